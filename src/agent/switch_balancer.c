/* Load balancers in the switch's state; what src/switch/state_load_balancer.c would refuse is found here. */
#include "agent/switch_balancer.h"

#include "agent/probes.h"
#include "base/capacity.h"

#include <string.h>

/* One load balancer on its way into the state. */
struct build {
	struct switch_nics *nics; /* Borrowed */
	const struct goal_balancer *balancer;
	const struct goal_network *network;
	char *reason; /* Owned: why it is left out */
};

G_GNUC_PRINTF(2, 3)
static bool fail(struct build *build, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	build->reason = g_strdup_vprintf(format, args);
	va_end(args);
	return false;
}

/* ---- rules ---- */

static bool is_well(
	const struct switch_site *site, const struct goal_balance *rule, const struct goal_member *member)
{
	bool well;

	if (!rule->probe)
		return true;
	return probes_find(site->probes, member->nic, rule->probe, &well) ? well : member->well;
}

static bool is_inside(const struct goal_network *network, struct ip_addr addr)
{
	for (guint i = 0; i < list_length(network->prefixes); i++) {
		struct ip_prefix prefix;
		if (prefix_parse(network->prefixes->pdata[i], &prefix) == 0 && prefix_contains(prefix, addr))
			return true;
	}
	return false;
}

static json_t *build_members(const struct build *build, const struct goal_balance *rule)
{
	json_t *list = json_array();

	for (guint i = 0; i < list_length(rule->members) && i < BALANCER_MEMBERS; i++) {
		const struct goal_member *member = rule->members->pdata[i];
		struct ip_addr ip;
		if (!member->ip || ip_parse(member->ip, &ip) < 0 || ip.family != IP_V4 ||
			!is_inside(build->network, ip))
			continue;
		json_array_append_new(list, json_pack("{s:s, s:b}", "ip", member->ip, "healthy",
						    is_well(build->nics->site, rule, member)));
	}
	return list;
}

static bool is_port(int64_t port)
{
	return port >= 1 && port <= 65535;
}

static bool is_address(const struct goal_balancer *balancer, const char *address)
{
	return address && g_ptr_array_find_with_equal_func(balancer->addresses, address, g_str_equal, NULL);
}

/* NULL: the switch would refuse it, or another is for its port already. */
static json_t *build_rule(const struct build *build, const struct goal_balance *rule, GHashTable *ports)
{
	g_autofree char *port = g_strdup_printf(
		"%s %d %" G_GINT64_FORMAT, rule->address ? rule->address : "", rule->protocol, rule->port);
	bool udp = rule->protocol == PROTOCOL_UDP;

	if (!is_address(build->balancer, rule->address) || !rule->name || !*rule->name ||
		strlen(rule->name) > TEXT_LENGTH_MAX || (!udp && rule->protocol != PROTOCOL_TCP) ||
		!is_port(rule->port) || !is_port(rule->member_port) ||
		(rule->floating && rule->port != rule->member_port) ||
		!g_hash_table_add(ports, g_steal_pointer(&port)))
		return NULL;
	json_t *json = json_pack("{s:s, s:s, s:s, s:I, s:I, s:b, s:s, s:o}", "name", rule->name, "address",
		rule->address, "protocol", udp ? "udp" : "tcp", "port", (json_int_t)rule->port, "member_port",
		(json_int_t)rule->member_port, "floating", rule->floating, "distribution",
		distribution_words[rule->distribution], "members", build_members(build, rule));
	return json;
}

static json_t *build_rules(const struct build *build)
{
	g_autoptr(GHashTable) ports = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	json_t *list = json_array();

	for (guint i = 0; i < list_length(build->balancer->rules); i++) {
		json_t *rule = build_rule(build, build->balancer->rules->pdata[i], ports);
		if (rule && json_array_size(list) < BALANCER_RULES)
			json_array_append_new(list, rule);
		else
			json_decref(rule);
	}
	return list;
}

/* ---- the load balancer ---- */

static bool check_public(struct build *build, const char *text)
{
	const struct switch_port *outside = build->nics->site->outside;
	struct ip_addr addr;

	if (ip_parse(text, &addr) < 0 || addr.family != IP_V4 || !prefix_contains(outside->prefix, addr) ||
		ip_equal(outside->gateway, addr))
		return fail(build, "Its address %s is none of the public addresses here.", text);
	return switch_nics_take(build->nics, "public", text) ||
	       fail(build, "Its address %s is another's on this host.", text);
}

static bool check_private(struct build *build, const char *text)
{
	struct ip_addr addr;
	char canonical[IP_TEXT_MAX];

	if (ip_parse(text, &addr) < 0 || addr.family != IP_V4 || !is_inside(build->network, addr))
		return fail(build, "Its address %s is none of its network.", text);
	return switch_nics_take(build->nics, build->network->uid, ip_format(addr, canonical)) ||
	       fail(build, "Its address %s is another's in its network.", text);
}

static bool check_addresses(struct build *build)
{
	const GPtrArray *addresses = build->balancer->addresses;
	bool internal = build->balancer->internal;

	if (!internal && !build->nics->site->outside)
		return fail(build, "Nothing leads outside here, where its addresses are.");
	if (internal && build->network->physical)
		return fail(build, "Its network is in a VLAN, where an internal one cannot be.");
	if (list_length(addresses) == 0 || list_length(addresses) > NIC_ADDRESSES)
		return fail(build, "It has %u addresses; 1 to %d are possible.", list_length(addresses),
			NIC_ADDRESSES);
	for (guint i = 0; i < addresses->len; i++)
		if (!(internal ? check_private : check_public)(build, addresses->pdata[i]))
			return false;
	return true;
}

static bool is_text(const char *text)
{
	return text && *text && strlen(text) <= TEXT_LENGTH_MAX && g_utf8_validate(text, -1, NULL);
}

static bool check(struct build *build)
{
	const struct goal_balancer *balancer = build->balancer;
	const char *lost = g_hash_table_lookup(build->nics->lost, balancer->network ? balancer->network : "");
	struct mac_addr mac;

	build->network = goal_find_network(build->nics->goal, balancer->network);
	if (!is_text(balancer->uid) || !is_text(balancer->name))
		return fail(build, "Its uid and its name must be text of 1 to %d bytes.", TEXT_LENGTH_MAX);
	if (lost || !build->network)
		return fail(build, "%s", lost ? lost : "This host was told of no such network as its own.");
	if (build->nics->n == NIC_SLOTS)
		return fail(build, "One switch serves %d NICs and load balancers; this host has more.",
			NIC_SLOTS);
	if (!switch_mac_parse(balancer->mac, &mac))
		return fail(build, "It has no MAC address.");
	if (!switch_nics_take(build->nics, "uid", balancer->uid))
		return fail(build, "Another has its uid.");
	g_autofree char *space = g_strdup_printf("mac %s", balancer->network);
	char text[MAC_TEXT_MAX];
	if (!switch_nics_take(build->nics, space, mac_format(mac, text)))
		return fail(build, "Another of its network has its MAC address.");
	return check_addresses(build);
}

static json_t *build_balancer(const struct build *build)
{
	const struct goal_balancer *balancer = build->balancer;
	json_t *json =
		json_pack("{s:s, s:s, s:s, s:s, s:b, s:o, s:o}", "uid", balancer->uid, "name", balancer->name,
			"mac", balancer->mac, "network", balancer->network, "standard", balancer->standard,
			"addresses", switch_state_texts(balancer->addresses), "rules", build_rules(build));

	if (balancer->internal)
		json_object_set_new(json, "internal", json_true());
	return json;
}

json_t *switch_balancers_build(struct switch_nics *nics, GHashTable *left_out, GHashTable *shared)
{
	const GPtrArray *balancers = nics->goal->balancers;
	json_t *list = json_array();

	for (guint i = 0; i < list_length(balancers); i++) {
		struct build build = {.nics = nics, .balancer = balancers->pdata[i]};
		const struct goal_balancer *balancer = build.balancer;
		if (!check(&build)) {
			g_hash_table_replace(
				left_out, g_strdup(balancer->uid ? balancer->uid : ""), build.reason);
			continue;
		}
		nics->n++;
		for (guint j = 0; !balancer->internal && j < balancer->addresses->len; j++)
			g_hash_table_add(shared, balancer->addresses->pdata[j]);
		json_array_append_new(list, build_balancer(&build));
	}
	return list;
}

/* ---- NICs ---- */

static bool is_way(const struct goal_front *front, const struct switch_underlay *underlay)
{
	struct ip_addr vtep;
	struct mac_addr mac;

	return front->vtep && underlay && ip_parse(front->vtep, &vtep) == 0 && vtep.family == IP_V4 &&
	       !ip_equal(vtep, underlay->address) && switch_mac_parse(front->mac, &mac);
}

void switch_balancers_add_nic(const struct switch_nics *nics, const struct goal_nic *nic,
	const struct goal_network *network, GHashTable *shared, json_t *json)
{
	const struct goal_front *front = &nic->front;

	if (nic->source_nat && g_hash_table_contains(shared, nic->source_nat))
		json_object_set_new(json, "source_nat", json_string(nic->source_nat));
	if (network->physical || !is_way(front, nics->site->underlay))
		return;
	json_object_set_new(json, "front",
		json_pack("{s:s, s:s, s:b, s:o}", "vtep", front->vtep, "mac", front->mac, "standard",
			front->standard, "floating", switch_state_texts(front->floating)));
}
