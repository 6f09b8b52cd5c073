/* Load balancers: their rules about themselves.
 *
 * A front end's port leads to one place: rules, NAT rules and NAT pools of a front end and protocol do not share ports.
 * A member's port is that of one rule, unless the front end's address comes with the packets. Its addresses are in
 * balancer_fronts.c, and which NICs are behind it in balancer_members.c.
 */
#include "base/fault.h"
#include "control/control_priv.h"

#include <string.h>

#define PARTS_MAX        256 /* of each kind */
#define FRONTS_MAX       16
#define TARGETS_MAX      1000 /* ports of a NAT rule or NAT pool */
#define IDLE_MINUTES_MIN 4
#define IDLE_MINUTES_MAX 100
#define INTERVAL_S_MIN   5
#define INTERVAL_S_MAX   86400
#define THRESHOLD_MAX    100
#define PATH_LENGTH_MAX  2048
#define PORT_MAX         65535

void *balancer_part(const GPtrArray *parts, const char *name)
{
	for (guint i = 0; name && i < list_length(parts); i++)
		if (g_ascii_strcasecmp(*(char **)parts->pdata[i], name) == 0)
			return parts->pdata[i];
	return NULL;
}
G_STATIC_ASSERT(offsetof(struct balancer_front, name) == 0 && offsetof(struct balancer_pool, name) == 0 &&
		offsetof(struct balancer_probe, name) == 0 && offsetof(struct balancer_rule, name) == 0 &&
		offsetof(struct balancer_nat, name) == 0);

/* ---- names, and what they refer to ---- */

static bool check_names(
	const struct balancer *balancer, const GPtrArray *parts, const char *what, guint max, GError **error)
{
	const char *of = balancer->meta.name;

	if (list_length(parts) > max)
		return fault_set(error, FAULT_QUOTA, "load balancer %s has %u %ss, %u is the most", of,
			parts->len, what, max);
	for (guint i = 0; i < list_length(parts); i++) {
		const char *name = *(char **)parts->pdata[i];
		if (!check_name(KIND_BALANCER, name, error)) {
			g_prefix_error(error, "%s of load balancer %s: ", what, of);
			return false;
		}
		if (balancer_part(parts, name) != parts->pdata[i])
			return fault_set(error, FAULT_INVALID, "load balancer %s has two %ss named %s", of,
				what, name);
	}
	return true;
}

/* What a rule, which may be a NAT rule or NAT pool too, says. */
struct opening {
	const char *what, *name, *front;
	int protocol;
	int64_t first, last, back_port;
	bool floating;
	int64_t idle_timeout_min;
};

static struct opening opening_of_rule(const struct balancer_rule *rule)
{
	return (struct opening){"load-balancing rule", rule->name, rule->front, rule->protocol,
		rule->front_port, rule->front_port, rule->back_port, rule->floating, rule->idle_timeout_min};
}

static struct opening opening_of_nat(const struct balancer_nat *nat, const char *what)
{
	return (struct opening){what, nat->name, nat->front, nat->protocol, nat->first_port, nat->last_port,
		nat->back_port, nat->floating, nat->idle_timeout_min};
}

static bool is_port(int64_t port)
{
	return port >= 1 && port <= PORT_MAX;
}

static bool fail(const struct balancer *balancer, const struct opening *opening, enum fault code,
	const char *sentence, GError **error)
{
	return fault_set(error, code, "%s %s of load balancer %s: %s", opening->what, opening->name,
		balancer->meta.name, sentence);
}

static bool check_opening(const struct balancer *balancer, const struct opening *opening, GError **error)
{
	int64_t idle = opening->idle_timeout_min;

	if (!balancer_part(balancer->spec.fronts, opening->front))
		return fail(balancer, opening, FAULT_INVALID_REFERENCE,
			"it refers to a frontend IP configuration that the load balancer does not have",
			error);
	if (opening->protocol != PROTOCOL_TCP && opening->protocol != PROTOCOL_UDP)
		return fail(balancer, opening, FAULT_UNSUPPORTED,
			"a protocol of Tcp or Udp is needed; all protocols at once are not supported here",
			error);
	if (!is_port(opening->first) || !is_port(opening->last) || opening->last < opening->first ||
		!is_port(opening->back_port))
		return fail(balancer, opening, FAULT_INVALID,
			"ports are 1 to 65535, and the end of a range is not before its start", error);
	if (opening->last - opening->first >= TARGETS_MAX)
		return fail(balancer, opening, FAULT_QUOTA, "a range of 1000 ports is the most", error);
	if (opening->floating && (opening->first != opening->last || opening->first != opening->back_port))
		return fail(balancer, opening, FAULT_INVALID,
			"with floating IP the packets come as they were sent, so the backend port must be "
			"the "
			"frontend port",
			error);
	if (idle && (idle < IDLE_MINUTES_MIN || idle > IDLE_MINUTES_MAX))
		return fail(balancer, opening, FAULT_INVALID, "an idle timeout of 4 to 100 minutes is needed",
			error);
	return true;
}

static bool check_apart(
	const struct balancer *balancer, const struct opening *a, const struct opening *b, GError **error)
{
	if (a->protocol != b->protocol || g_ascii_strcasecmp(a->front, b->front) != 0 || a->last < b->first ||
		b->last < a->first)
		return true;
	return fault_set(error, FAULT_INVALID,
		"load balancer %s: %s %s and %s %s have the same frontend port, protocol and frontend IP "
		"configuration",
		balancer->meta.name, a->what, a->name, b->what, b->name);
}

/* All ports of all front ends. */
static bool check_openings(const struct balancer *balancer, GError **error)
{
	const struct balancer_spec *spec = &balancer->spec;
	g_autoptr(GArray) all = g_array_new(false, false, sizeof(struct opening));

	for (guint i = 0; i < list_length(spec->rules); i++) {
		struct opening opening = opening_of_rule(spec->rules->pdata[i]);
		g_array_append_val(all, opening);
	}
	for (guint i = 0; i < list_length(spec->nat_rules); i++) {
		struct opening opening = opening_of_nat(spec->nat_rules->pdata[i], "inbound NAT rule");
		g_array_append_val(all, opening);
	}
	for (guint i = 0; i < list_length(spec->nat_pools); i++) {
		struct opening opening = opening_of_nat(spec->nat_pools->pdata[i], "inbound NAT pool");
		g_array_append_val(all, opening);
	}
	for (guint i = 0; i < all->len; i++) {
		const struct opening *opening = &g_array_index(all, struct opening, i);
		if (!check_opening(balancer, opening, error))
			return false;
		for (guint j = 0; j < i; j++)
			if (!check_apart(balancer, &g_array_index(all, struct opening, j), opening, error))
				return false;
	}
	return true;
}

/* ---- each kind of part ---- */

static bool check_probe(const struct balancer *balancer, const struct balancer_probe *probe, GError **error)
{
	const char *of = balancer->meta.name;

	if (!is_port(probe->port))
		return fault_set(error, FAULT_INVALID,
			"probe %s of load balancer %s needs a port of 1 to 65535", probe->name, of);
	if (probe->interval_s < INTERVAL_S_MIN || probe->interval_s > INTERVAL_S_MAX)
		return fault_set(error, FAULT_INVALID,
			"probe %s of load balancer %s needs an interval of %d to %d seconds", probe->name, of,
			INTERVAL_S_MIN, INTERVAL_S_MAX);
	if (probe->threshold < 1 || probe->threshold > THRESHOLD_MAX)
		return fault_set(error, FAULT_INVALID,
			"probe %s of load balancer %s needs a threshold of 1 to %d probes", probe->name, of,
			THRESHOLD_MAX);
	if (probe->protocol == PROBE_HTTP &&
		(!probe->path || probe->path[0] != '/' || strlen(probe->path) > PATH_LENGTH_MAX ||
			strpbrk(probe->path, " \r\n")))
		return fault_set(error, FAULT_INVALID,
			"probe %s of load balancer %s needs a request path that starts with '/' and has no "
			"spaces",
			probe->name, of);
	return probe->protocol == PROBE_HTTP || !probe->path ||
	       fault_set(error, FAULT_INVALID,
		       "probe %s of load balancer %s has a request path, which is for HTTP only", probe->name,
		       of);
}

static bool check_rule(const struct balancer *balancer, guint index, GError **error)
{
	const struct balancer_rule *rule = balancer->spec.rules->pdata[index];
	const struct opening opening = opening_of_rule(rule);

	if (!balancer_part(balancer->spec.pools, rule->pool))
		return fail(balancer, &opening, FAULT_INVALID_REFERENCE,
			"it refers to a backend address pool that the load balancer does not have", error);
	if (rule->probe && !balancer_part(balancer->spec.probes, rule->probe))
		return fail(balancer, &opening, FAULT_INVALID_REFERENCE,
			"it refers to a probe that the load balancer does not have", error);
	for (guint i = 0; i < index; i++) {
		const struct balancer_rule *before = balancer->spec.rules->pdata[i];
		if (!rule->floating && !before->floating && rule->protocol == before->protocol &&
			rule->back_port == before->back_port &&
			g_ascii_strcasecmp(rule->pool, before->pool) == 0)
			return fault_set(error, FAULT_INVALID,
				"load balancer %s: load-balancing rules %s and %s have the same backend "
				"port, "
				"protocol and backend address pool",
				balancer->meta.name, before->name, rule->name);
	}
	return true;
}

/* "POOL.7" is what clients are shown of a NAT pool's ports. */
static bool is_port_of_pool(const struct balancer_spec *spec, const char *name)
{
	const char *dot = strrchr(name, '.');
	g_autofree char *pool = dot ? g_strndup(name, (gsize)(dot - name)) : NULL;

	return pool && balancer_part(spec->nat_pools, pool);
}

static bool check_nat_rule(const struct balancer *balancer, const struct balancer_nat *nat, GError **error)
{
	const struct balancer_spec *spec = &balancer->spec;
	const struct opening opening = opening_of_nat(nat, "inbound NAT rule");

	if (nat->pool && !balancer_part(spec->pools, nat->pool))
		return fail(balancer, &opening, FAULT_INVALID_REFERENCE,
			"it refers to a backend address pool that the load balancer does not have", error);
	if (is_port_of_pool(spec, nat->name))
		return fail(balancer, &opening, FAULT_INVALID,
			"ports of an inbound NAT pool have such names; take another one", error);
	return true;
}

static bool check_parts(const struct balancer *balancer, GError **error)
{
	const struct balancer_spec *spec = &balancer->spec;

	if (!check_names(balancer, spec->fronts, "frontend IP configuration", FRONTS_MAX, error) ||
		!check_names(balancer, spec->pools, "backend address pool", PARTS_MAX, error) ||
		!check_names(balancer, spec->probes, "probe", PARTS_MAX, error) ||
		!check_names(balancer, spec->rules, "load-balancing rule", PARTS_MAX, error) ||
		!check_names(balancer, spec->nat_rules, "inbound NAT rule", PARTS_MAX, error) ||
		!check_names(balancer, spec->nat_pools, "inbound NAT pool", PARTS_MAX, error))
		return false;
	for (guint i = 0; i < list_length(spec->probes); i++)
		if (!check_probe(balancer, spec->probes->pdata[i], error))
			return false;
	if (!check_openings(balancer, error))
		return false;
	for (guint i = 0; i < list_length(spec->rules); i++)
		if (!check_rule(balancer, i, error))
			return false;
	for (guint i = 0; i < list_length(spec->nat_rules); i++)
		if (!check_nat_rule(balancer, spec->nat_rules->pdata[i], error))
			return false;
	return true;
}

/* ---- hooks ---- */

static bool balancer_prepare(struct put *put, GError **error)
{
	const struct balancer *old = put->old;
	struct balancer *balancer = put->object;

	if (old && old->spec.sku != balancer->spec.sku)
		return fault_set(error, FAULT_NOT_ALLOWED,
			"load balancer %s: its SKU cannot be changed; create another load balancer",
			balancer->meta.name);
	if (old && balancer_is_internal(old) != balancer_is_internal(balancer) &&
		list_length(old->status.members))
		return fault_set(error, FAULT_IN_USE,
			"load balancer %s: it has members, so its front ends stay %s; take the network "
			"interfaces out of "
			"its pools and rules first",
			balancer->meta.name, balancer_is_internal(old) ? "internal" : "public");
	if (!check_parts(balancer, error) || !balancer_claim_fronts(put, error) ||
		!balancer_keep_members(put, error) || !balancer_settle(put->change, balancer, error))
		return false;
	if (!balancer->status.mac)
		balancer->status.mac = ipam_claim_mac(put->change, balancer->meta.uid, error);
	return balancer->status.mac != NULL;
}

static bool balancer_release(struct control *control, struct change *change, void *object, GError **error)
{
	struct balancer *balancer = object;

	if (!change_unreferenced(change, &balancer->meta, error) ||
		!balancer_release_fronts(change, balancer, error))
		return false;
	change_release(change, POOL_MAC, balancer->status.mac);
	return true;
}

const struct kind_hooks balancer_hooks = {
	.prepare = balancer_prepare,
	.release = balancer_release,
	.reaches_hosts = true,
};
