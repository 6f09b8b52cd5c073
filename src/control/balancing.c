/* What hosts are told of load balancers.
 *
 * Each host with NICs of an internal one's network has its addresses. Of a public one, one host has the addresses (its
 * status says which): its goal has the rules, with all members that are placed, wherever they are. The goals of hosts that
 * have members say what is asked of them (probes), and, where the load balancer is elsewhere, by which host it is reached.
 *
 * A member is well for a rule when the rule's probe finds it so. Its own host asks, and reports; what it found is stored
 * with the NIC, so that the goal of the host with the addresses follows. Until then it is not.
 */
#include "base/fault.h"
#include "control/control_priv.h"

#include <string.h>

static bool same(const char *a, const char *b)
{
	return g_ascii_strcasecmp(a, b) == 0;
}

static char *probe_key(const char *balancer, const char *probe)
{
	g_autofree char *name = g_ascii_strdown(probe, -1);

	return g_strdup_printf("%s/%s", balancer, name);
}

/* Of a front end. Owned; NULL when it has none. */
static char *address_of(struct control *control, const struct balancer *balancer, const char *front_name)
{
	const struct balancer_front *front = balancer_part(balancer->spec.fronts, front_name);
	_cleanup_(model_free) struct address *address =
		front && front->address ? control_get(control, KIND_ADDRESS, front->address, NULL) : NULL;

	if (front && front->subnet)
		return g_strdup(front->ip);
	return address ? g_strdup(address->status.ip) : NULL;
}

/* ---- members ---- */

/* NICs of members that hosts have. */
struct crowd {
	struct control *control; /* Borrowed */
	GHashTable *nics; /* Owned: uid → struct nic; NULL: it is on no host */
};

static void nic_free(void *nic)
{
	model_free(nic);
}

static bool is_placed(struct control *control, const struct nic *nic)
{
	_cleanup_(model_free) struct vm *vm =
		nic->status.vm ? control_get(control, KIND_VM, nic->status.vm, NULL) : NULL;

	return vm && vm->status.host && vm->spec.power != POWER_DEALLOCATED &&
	       vm->status.outcome.state != PROVISIONING_DELETING;
}

static const struct nic *find_nic(const struct crowd *crowd, const char *uid)
{
	struct nic *nic;

	if (g_hash_table_lookup_extended(crowd->nics, uid, NULL, (gpointer *)&nic))
		return nic;
	nic = control_get(crowd->control, KIND_NIC, uid, NULL);
	if (nic && !is_placed(crowd->control, nic))
		g_clear_pointer(&nic, model_free);
	g_hash_table_insert(crowd->nics, g_strdup(uid), nic);
	return nic;
}

static const struct nic_config *find_config(const struct nic *nic, const char *name)
{
	for (guint i = 0; nic && i < list_length(nic->spec.configs); i++) {
		const struct nic_config *config = nic->spec.configs->pdata[i];
		if (same(config->name, name))
			return config;
	}
	return NULL;
}

static bool is_well(const struct nic *nic, const char *probe)
{
	return !probe || (nic->status.well && g_ptr_array_find_with_equal_func(
						      nic->status.well, probe, g_str_equal, NULL));
}

bool balancing_finds_well(const struct nic *nic, const struct balancer_ref *probe)
{
	g_autofree char *key = probe_key(probe->balancer, probe->name);

	return is_well(nic, key);
}

static void add_member(
	const struct crowd *crowd, struct goal_balance *rule, const char *uid, const char *name)
{
	const struct nic *nic = find_nic(crowd, uid);
	const struct nic_config *config = find_config(nic, name);

	if (!config || !config->ip)
		return;
	struct goal_member *member = shape_new(&goal_member_shape);
	member->nic = g_strdup(uid);
	member->ip = g_strdup(config->ip);
	member->well = is_well(nic, rule->probe);
	g_ptr_array_add(rule->members, member);
}

/* ---- the goal of the host that has the addresses ---- */

static struct goal_balance *add_rule(struct goal_balancer *goal, const char *name, char *address,
	int protocol, int64_t port, int64_t back_port)
{
	struct goal_balance *rule = shape_new(&goal_balance_shape);

	rule->name = g_strdup(name);
	rule->address = address;
	rule->protocol = protocol;
	rule->port = port;
	rule->member_port = back_port;
	rule->members = shape_list_new(&goal_member_shape);
	g_ptr_array_add(goal->rules, rule);
	return rule;
}

static void fill_rules(const struct crowd *crowd, const struct balancer *balancer, struct goal_balancer *goal)
{
	for (guint i = 0; i < list_length(balancer->spec.rules); i++) {
		const struct balancer_rule *from = balancer->spec.rules->pdata[i];
		struct goal_balance *rule =
			add_rule(goal, from->name, address_of(crowd->control, balancer, from->front),
				from->protocol, from->front_port, from->back_port);
		rule->floating = from->floating;
		rule->distribution = from->distribution;
		rule->probe = from->probe ? probe_key(balancer->meta.uid, from->probe) : NULL;
		for (guint j = 0; j < list_length(balancer->status.members); j++) {
			const struct balancer_member *member = balancer->status.members->pdata[j];
			if (same(member->pool, from->pool))
				add_member(crowd, rule, member->nic, member->config);
		}
	}
}

static void fill_targets(
	const struct crowd *crowd, const struct balancer *balancer, struct goal_balancer *goal)
{
	for (guint i = 0; i < list_length(balancer->status.targets); i++) {
		const struct balancer_target *target = balancer->status.targets->pdata[i];
		const struct balancer_nat *nat = balancer_part(
			target->of_pool ? balancer->spec.nat_pools : balancer->spec.nat_rules, target->nat);
		if (!nat)
			continue;
		struct goal_balance *rule =
			add_rule(goal, nat->name, address_of(crowd->control, balancer, nat->front),
				nat->protocol, target->port, nat->back_port);
		rule->floating = nat->floating;
		add_member(crowd, rule, target->nic, target->config);
	}
}

static struct goal_balancer *describe(struct control *control, const struct balancer *balancer)
{
	struct goal_balancer *goal = shape_new(&goal_balancer_shape);
	g_autoptr(GHashTable) nics = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, nic_free);
	const struct crowd crowd = {control, nics};

	goal->uid = g_strdup(balancer->meta.uid);
	goal->name = g_strdup(balancer->meta.name);
	goal->mac = g_strdup(balancer->status.mac);
	goal->network = g_strdup(balancer->status.network);
	goal->internal = balancer_is_internal(balancer);
	goal->standard = balancer->spec.sku == ADDRESS_STANDARD;
	goal->addresses = strings_new();
	for (guint i = 0; i < list_length(balancer->spec.fronts); i++) {
		const struct balancer_front *front = balancer->spec.fronts->pdata[i];
		char *address = address_of(control, balancer, front->name);
		if (address)
			g_ptr_array_add(goal->addresses, address);
	}
	goal->rules = shape_list_new(&goal_balance_shape);
	fill_rules(&crowd, balancer, goal);
	fill_targets(&crowd, balancer, goal);
	return goal;
}

/* goal: with the networks of all of the host's NICs. */
static bool is_at(const struct balancer *balancer, const struct host *host, const struct goal *goal)
{
	if (balancer_is_internal(balancer))
		return goal_find_network(goal, balancer->status.network);
	/* Without members it has no network, and nothing to lead anywhere. */
	return balancer->status.network && g_strcmp0(balancer->status.host, host->meta.uid) == 0;
}

bool balancing_fill(struct control *control, const struct host *host, struct goal *goal, GError **error)
{
	g_autoptr(GPtrArray) balancers = control_list(control, KIND_BALANCER, NULL, error);

	goal->balancers = shape_list_new(&goal_balancer_shape);
	for (guint i = 0; i < list_length(balancers); i++) {
		const struct balancer *balancer = balancers->pdata[i];
		if (is_at(balancer, host, goal))
			g_ptr_array_add(goal->balancers, describe(control, balancer));
	}
	return balancers != NULL;
}

/* ---- the goals of hosts that have members ---- */

static void add_probe(struct goal_nic *nic, const struct balancer *balancer, const char *name)
{
	const struct balancer_probe *from = balancer_part(balancer->spec.probes, name);
	g_autofree char *key = from ? probe_key(balancer->meta.uid, name) : NULL;

	if (!nic->probes)
		nic->probes = shape_list_new(&goal_probe_shape);
	for (guint i = 0; key && i < nic->probes->len; i++)
		if (g_str_equal(((struct goal_probe *)nic->probes->pdata[i])->key, key))
			return;
	if (!key)
		return;
	struct goal_probe *probe = shape_new(&goal_probe_shape);
	*probe = (struct goal_probe){g_steal_pointer(&key), from->protocol, from->port, g_strdup(from->path),
		from->interval_s, from->threshold};
	g_ptr_array_add(nic->probes, probe);
}

static void add_floating(
	struct control *control, const struct balancer *balancer, const char *front, struct goal_front *ret)
{
	char *address = address_of(control, balancer, front);

	if (!ret->floating)
		ret->floating = strings_new();
	if (address)
		g_ptr_array_add(ret->floating, address);
}

bool balancer_is_among(const GPtrArray *refs, const struct balancer *balancer, const char *name)
{
	for (guint i = 0; i < list_length(refs); i++) {
		const struct balancer_ref *ref = refs->pdata[i];
		if (g_str_equal(ref->balancer, balancer->meta.uid) && same(ref->name, name))
			return true;
	}
	return false;
}

static void fill_config(struct control *control, const struct balancer *balancer,
	const struct nic_config *config, bool here, struct goal_nic *ret)
{
	for (guint i = 0; i < list_length(balancer->spec.rules); i++) {
		const struct balancer_rule *rule = balancer->spec.rules->pdata[i];
		if (!balancer_is_among(config->pools, balancer, rule->pool))
			continue;
		if (rule->probe)
			add_probe(ret, balancer, rule->probe);
		if (rule->floating && !here && !balancer_is_internal(balancer))
			add_floating(control, balancer, rule->front, &ret->front);
		if (here && !rule->no_outbound && !ret->source_nat)
			ret->source_nat = address_of(control, balancer, rule->front);
	}
	for (guint i = 0; i < list_length(balancer->spec.nat_rules); i++) {
		const struct balancer_nat *nat = balancer->spec.nat_rules->pdata[i];
		if (nat->floating && !here && !balancer_is_internal(balancer) &&
			balancer_is_among(config->nat_rules, balancer, nat->name))
			add_floating(control, balancer, nat->front, &ret->front);
	}
}

static void add_balancers(GHashTable *balancers, struct control *control, const GPtrArray *refs)
{
	for (guint i = 0; i < list_length(refs); i++) {
		const struct balancer_ref *ref = refs->pdata[i];
		struct balancer *balancer =
			g_hash_table_contains(balancers, ref->balancer)
				? NULL
				: control_get(control, KIND_BALANCER, ref->balancer, NULL);
		if (balancer)
			g_hash_table_insert(balancers, balancer->meta.uid, balancer);
	}
}

/* Those that the NIC is behind, by uid: one of a kind at most. What cannot be read is none. */
static GHashTable *balancers_of(struct control *control, const struct nic *nic)
{
	GHashTable *balancers = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, model_free);

	for (guint i = 0; i < list_length(nic->spec.configs); i++) {
		const struct nic_config *config = nic->spec.configs->pdata[i];
		add_balancers(balancers, control, config->pools);
		add_balancers(balancers, control, config->nat_rules);
		add_balancers(balancers, control, config->nat_pools);
	}
	return balancers;
}

static void fill_of(struct control *control, const struct host *host, const struct places *places,
	const struct balancer *balancer, const struct nic *nic, struct goal_nic *ret)
{
	bool here = g_strcmp0(balancer->status.host, host->meta.uid) == 0;

	for (guint i = 0; i < list_length(nic->spec.configs); i++)
		fill_config(control, balancer, nic->spec.configs->pdata[i], here, ret);
	const struct host *other = !here && balancer->status.host
					   ? g_hash_table_lookup(places->hosts, balancer->status.host)
					   : NULL;
	if (!other || !other->status.vtep)
		return;
	ret->front.vtep = g_strdup(other->status.vtep);
	ret->front.mac = g_strdup(balancer->status.mac);
	ret->front.standard = balancer->spec.sku == ADDRESS_STANDARD;
}

void balancing_fill_nic(struct control *control, const struct host *host, const struct places *places,
	const struct nic *nic, struct goal_nic *ret)
{
	g_autoptr(GHashTable) balancers = balancers_of(control, nic);
	GHashTableIter iter;
	void *balancer;

	g_hash_table_iter_init(&iter, balancers);
	while (g_hash_table_iter_next(&iter, NULL, &balancer))
		fill_of(control, host, places, balancer, nic, ret);
}

/* ---- reports ---- */

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool same_texts(const GPtrArray *a, const GPtrArray *b)
{
	if (list_length(a) != list_length(b))
		return false;
	for (guint i = 0; i < list_length(a); i++)
		if (!g_str_equal(a->pdata[i], b->pdata[i]))
			return false;
	return true;
}

bool balancing_note(struct nic *nic, const GPtrArray *reported)
{
	g_autoptr(GPtrArray) well = strings_new();

	for (guint i = 0; i < list_length(reported); i++)
		g_ptr_array_add(well, g_strdup(reported->pdata[i]));
	g_ptr_array_sort(well, by_text);
	if (same_texts(nic->status.well, well))
		return false;
	g_clear_pointer(&nic->status.well, g_ptr_array_unref);
	nic->status.well = g_steal_pointer(&well);
	return true;
}
