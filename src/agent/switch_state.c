/* The switch's state from the goal. */
#include "agent/switch_state.h"

#include "agent/switch_balancer.h"
#include "agent/switch_nic.h"
#include "model/goal_policy.h"

#include <string.h>

#define GUEST_MTU          1500 /* at most: what leaves the cloud fits any path's usual MTU */
#define BANDWIDTH_MAX_MBPS 1000000 /* what a switch takes for a limit */
#define VLAN_MAX           4094
#define MAPPINGS_MAX       100000 /* of one network, what a switch takes */

char *switch_state_socket(const struct switch_site *site, const char *nic)
{
	return g_strdup_printf("%s/%s.sock", site->socket_dir, nic);
}

const struct switch_physical *switch_site_physical(const struct switch_site *site, const char *name)
{
	for (size_t i = 0; name && i < site->n_physicals; i++)
		if (g_str_equal(site->physicals[i].name, name))
			return &site->physicals[i];
	return NULL;
}

const struct switch_physical *switch_site_vxlans(const struct switch_site *site)
{
	for (size_t i = 0; site->underlay && site->underlay->vxlan_device && i < site->n_physicals; i++)
		if (site->physicals[i].vxlans && site->physicals[i].switchdev)
			return &site->physicals[i];
	return NULL;
}

json_t *switch_state_texts(const GPtrArray *texts)
{
	json_t *list = json_array();

	for (guint i = 0; i < list_length(texts); i++)
		json_array_append_new(list, json_string(texts->pdata[i]));
	return list;
}

/* ---- networks ---- */

/* NULL: none, for the reason. */
static json_t *build_mapping(const struct goal_mapping *mapping, const struct switch_underlay *underlay,
	GHashTable *ips, const char **ret_reason)
{
	struct ip_addr ip, vtep;
	struct mac_addr mac;
	char text[IP_TEXT_MAX];

	*ret_reason = "It has no address, no VTEP or no MAC address.";
	if (!mapping->ip || ip_parse(mapping->ip, &ip) < 0 || !mapping->vtep ||
		ip_parse(mapping->vtep, &vtep) < 0 || vtep.family != IP_V4 ||
		!switch_mac_parse(mapping->mac, &mac))
		return NULL;
	*ret_reason = "Its VTEP is this host's own.";
	if (ip_equal(vtep, underlay->address))
		return NULL;
	*ret_reason =
		"Its VTEP cannot be reached: it is not of the underlay's prefix, and there is no gateway.";
	if (!prefix_contains(underlay->prefix, vtep) && underlay->gateway.family == IP_NONE)
		return NULL;
	*ret_reason = "Another has its address.";
	if (!g_hash_table_add(ips, g_strdup(ip_format(ip, text))))
		return NULL;
	*ret_reason = "One network has too many NICs on other hosts.";
	if (g_hash_table_size(ips) > MAPPINGS_MAX)
		return NULL;
	return json_pack(
		"{s:s, s:s, s:s}", "prefix", mapping->ip, "vtep", mapping->vtep, "mac", mapping->mac);
}

/* A network's, while they are collected. */
struct mappings {
	const struct goal_network *network;
	const struct switch_underlay *underlay;
	GHashTable *ips; /* Owned, of text: those that are there */
	GHashTable *left_out; /* Borrowed */
	json_t *list; /* Owned */
};

static void add_mapping(struct mappings *m, const struct goal_mapping *mapping)
{
	const char *reason;
	json_t *json = build_mapping(mapping, m->underlay, m->ips, &reason);

	if (json)
		json_array_append_new(m->list, json);
	else
		g_hash_table_replace(m->left_out,
			g_strdup_printf("%s of network %s", mapping->ip ? mapping->ip : "(none)",
				m->network->name ? m->network->name : m->network->uid),
			g_strdup(reason));
}

static bool is_elsewhere(const struct switch_source *source, const char *vm)
{
	return vm && source->elsewhere && g_hash_table_contains(source->elsewhere, vm);
}

/* The NIC's machine has gone to another host, of which the goal's mappings do not say so yet. */
static void add_gone(struct mappings *m, const struct switch_source *source, const struct goal_nic *nic)
{
	if (g_strcmp0(nic->network, m->network->uid) != 0 || !is_elsewhere(source, nic->vm))
		return;
	const struct goal_migration *migration = &goal_find_vm(source->goal, nic->vm)->migration;
	for (guint i = 0; migration->role == MIGRATION_SOURCE && i < list_length(nic->addresses); i++) {
		const struct goal_address *address = nic->addresses->pdata[i];
		add_mapping(m, &(struct goal_mapping){address->ip, migration->vtep, nic->mac});
	}
}

static json_t *build_mappings(
	const struct switch_source *source, const struct goal_network *network, GHashTable *left_out)
{
	g_autoptr(GHashTable) ips = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	struct mappings m = {network, source->site->underlay, ips, left_out, json_array()};

	for (guint i = 0; i < list_length(network->mappings); i++)
		add_mapping(&m, network->mappings->pdata[i]);
	for (guint i = 0; i < list_length(source->goal->nics); i++)
		add_gone(&m, source, source->goal->nics->pdata[i]);
	return m.list;
}

/* Whether NICs may share it: the switch refuses what is somebody's already. */
static bool check_shared(const char *text, const struct switch_site *site, const char **ret_reason)
{
	struct ip_addr shared;

	*ret_reason = "It is no IPv4 address.";
	if (ip_parse(text, &shared) < 0 || shared.family != IP_V4)
		return false;
	*ret_reason = "It is not of the prefix of the public addresses here, or their gateway's.";
	if (!prefix_contains(site->outside->prefix, shared) || ip_equal(site->outside->gateway, shared))
		return false;
	*ret_reason = "It is this host's on the underlay.";
	return !site->underlay ||
	       (!ip_equal(site->underlay->address, shared) && !ip_equal(site->underlay->gateway, shared));
}

/* The address that the goal's NICs share here; NULL when they share none, as where nothing leads outside. */
static const char *shared_address(
	const struct goal *goal, const struct switch_site *site, GHashTable *left_out)
{
	const char *reason;

	if (!goal->source_nat || !site->outside)
		return NULL;
	if (check_shared(goal->source_nat, site, &reason))
		return goal->source_nat;
	g_hash_table_replace(
		left_out, g_strdup_printf("shared address %s", goal->source_nat), g_strdup(reason));
	return NULL;
}

/* Whether the switch takes the segment; else *ret_reason, a sentence about a NIC of the network, is Owned by the
 * caller. `vlans`: of the networks so far, as text. */
static bool check_segment(const struct goal_network *network, const struct switch_site *site,
	GHashTable *vlans, char **ret_reason)
{
	int vlan = (int)network->vlan;

	if (!network->physical)
		return true;
	if (!switch_site_physical(site, network->physical))
		*ret_reason = g_strdup_printf(
			"Its network is on the physical network %s, which this host is not on.",
			network->physical);
	else if (vlan < 0 || vlan > VLAN_MAX)
		*ret_reason = g_strdup_printf("Its network is on VLAN %d, which cannot be.", vlan);
	else if (!g_hash_table_add(vlans, g_strdup_printf("%s %d", network->physical, vlan)))
		*ret_reason = g_strdup_printf("Another network is on VLAN %d of physical network %s, too.",
			vlan, network->physical);
	else
		return true;
	return false;
}

static void set_segment(json_t *json, const struct goal_network *network)
{
	if (!network->physical) {
		json_object_set_new(json, "vni", json_integer(network->vni));
		return;
	}
	json_t *vlan = json_pack("{s:s}", "physical", network->physical);
	if (network->vlan)
		json_object_set_new(vlan, "id", json_integer(network->vlan));
	json_object_set_new(json, "vlan", vlan);
}

static json_t *build_routes(const GPtrArray *routes)
{
	json_t *list = json_array();

	for (guint i = 0; i < routes->len; i++) {
		const struct goal_route *route = routes->pdata[i];
		json_array_append_new(
			list, json_pack("{s:s, s:s}", "prefix", route->prefix, "via", route->via));
	}
	return list;
}

static json_t *build_subnet(const struct goal_subnet *subnet)
{
	json_t *json = json_pack("{s:s, s:s, s:s?, s:[], s:s?}", "uid", subnet->uid, "prefix", subnet->prefix,
		"gateway", subnet->gateway, "dns", "group", subnet->security_group);

	if (subnet->prefix6) {
		json_object_set_new(json, "prefix6", json_string(subnet->prefix6));
		json_object_set_new(json, "gateway6", json_string(subnet->gateway6));
	}
	if (list_length(subnet->routes))
		json_object_set_new(json, "routes", build_routes(subnet->routes));
	return json;
}

static json_t *build_network(const struct switch_source *source, const struct goal_network *network,
	const char *shared, GHashTable *left_out)
{
	json_t *prefixes = switch_state_texts(network->prefixes), *subnets = json_array();

	for (guint i = 0; i < list_length(network->subnets); i++)
		json_array_append_new(subnets, build_subnet(network->subnets->pdata[i]));
	json_t *json =
		json_pack("{s:s, s:o, s:o}", "uid", network->uid, "prefixes", prefixes, "subnets", subnets);
	json_t *application_groups = goal_policy_application_groups(source->goal, network->uid);
	if (application_groups)
		json_object_set_new(json, "application_groups", application_groups);
	set_segment(json, network);
	if (source->site->underlay && !network->physical)
		json_object_set_new(json, "mappings", build_mappings(source, network, left_out));
	if (shared && !network->no_outbound)
		json_object_set_new(json, "source_nat", json_pack("{s:[s]}", "addresses", shared));
	return json;
}

/* ---- NICs ---- */

static json_t *build_addresses(const struct goal_nic *nic)
{
	json_t *addresses = json_array();

	for (guint i = 0; i < list_length(nic->addresses); i++) {
		const struct goal_address *address = nic->addresses->pdata[i];
		json_array_append_new(addresses, json_pack("{s:s, s:s?, s:b}", "ip", address->ip, "public",
							 address->public_ip, "standard", address->standard));
	}
	return addresses;
}

/* The NIC has a function that the switch reaches: by its interface or representor, or on the physical network that it is on. One of a
 * segment that the goal has moved the network from is out of reach, until it is taken back. */
static bool is_attached(const struct ledger_nic *record, const struct goal_network *network)
{
	if (!record || !record->function || !accel_row(record->state)->attached)
		return false;
	return !record->physical || record->representor ||
	       (g_strcmp0(record->physical, network->physical) == 0 && record->vlan == network->vlan);
}

static json_t *build_function(const struct ledger_nic *record)
{
	if (record->representor)
		return json_pack("{s:s, s:s, s:s}", "kind", "function", "interface", record->representor,
			"offload", "tc");
	if (record->physical)
		return json_pack("{s:s, s:b}", "kind", "function", "physical", true);
	return json_pack("{s:s, s:s}", "kind", "function", "interface", record->function);
}

static json_t *build_attachments(const struct goal_nic *nic, const struct goal_network *network,
	const struct ledger_nic *record, const struct switch_site *site)
{
	g_autofree char *socket = switch_state_socket(site, nic->uid);
	json_t *list = json_pack("[{s:s, s:s}]", "kind", "synthetic", "socket", socket);

	if (is_attached(record, network))
		json_array_append_new(list, build_function(record));
	return list;
}

/* The name that DHCP gives: only what is one label of a host name (RFC 1123), else none. */
static const char *hostname_of(const struct goal_vm *vm)
{
	const char *name = vm ? vm->computer_name : NULL;

	if (!name || !*name || strlen(name) > 63 || name[0] == '-')
		return NULL;
	for (const char *c = name; *c; c++)
		if (!g_ascii_isalnum(*c) && *c != '-')
			return NULL;
	return name;
}

static int nic_mtu(const struct goal_network *network, const struct switch_site *site)
{
	const struct switch_physical *physical = switch_site_physical(site, network->physical);

	if (physical)
		return MIN((int)physical->mtu, GUEST_MTU);
	return site->underlay ? MIN((int)site->underlay->mtu - TUNNEL_BYTES, GUEST_MTU) : GUEST_MTU;
}

static json_t *build_nic(
	const struct switch_source *source, const struct goal_nic *nic, const struct goal_network *network)
{
	const struct switch_site *site = source->site;
	const struct ledger_nic *record = ledger_find_nic(source->ledger, nic->uid);
	const struct goal_vm *vm = goal_find_vm(source->goal, nic->vm);

	json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s?, s:i, s:o, s:s?, s:s?, s:o, s:s}", "uid",
		nic->uid, "name", nic->name, "mac", nic->mac, "network", nic->network, "subnet", nic->subnet,
		"group", nic->security_group, "mtu", nic_mtu(network, site), "addresses",
		build_addresses(nic), "host_address", nic->host_address, "hostname", hostname_of(vm),
		"attachments", build_attachments(nic, network, record, site), "active",
		is_attached(record, network) ? accel_row(record->state)->active : "synthetic");
	if (is_elsewhere(source, nic->vm))
		json_object_set_new(json, "away", json_true());
	if (nic->forwarding)
		json_object_set_new(json, "forwarding", json_true());
	if (nic->bandwidth_mbps > 0)
		json_object_set_new(json, "limits",
			json_pack("{s:{s:I}}", "send", "bits_per_s",
				(json_int_t)(MIN(nic->bandwidth_mbps, BANDWIDTH_MAX_MBPS) * 1000000)));
	return json;
}

/* ---- the whole ---- */

static json_t *build_port(const struct switch_port *port)
{
	char mac[MAC_TEXT_MAX], prefix[PREFIX_TEXT_MAX], gateway[IP_TEXT_MAX];

	if (!port)
		return json_null();
	json_t *json = json_pack("{s:s, s:s, s:s}", "interface", port->interface, "mac",
		mac_format(port->mac, mac), "prefix", prefix_format(port->prefix, prefix));
	if (port->gateway.family != IP_NONE)
		json_object_set_new(json, "gateway", json_string(ip_format(port->gateway, gateway)));
	return json;
}

static json_t *build_underlay(const struct switch_site *site)
{
	char mac[MAC_TEXT_MAX], address[IP_TEXT_MAX], prefix[PREFIX_TEXT_MAX], gateway[IP_TEXT_MAX];
	const struct switch_underlay *underlay = site->underlay;
	bool routed = underlay->gateway.family != IP_NONE;

	json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:s?, s:i}", "interface", underlay->interface, "mac",
		mac_format(underlay->mac, mac), "address", ip_format(underlay->address, address), "prefix",
		prefix_format(underlay->prefix, prefix), "gateway",
		routed ? ip_format(underlay->gateway, gateway) : NULL, "mtu", (int)underlay->mtu);
	if (underlay->kernel)
		json_object_set_new(json, "kernel", json_true());
	if (switch_site_vxlans(site))
		json_object_update_new(json,
			json_pack("{s:s, s:s}", "vxlan_device", underlay->vxlan_device, "offload", "tc"));
	return json;
}

static json_t *build_physicals(const struct switch_site *site)
{
	json_t *list = json_array();

	for (size_t i = 0; i < site->n_physicals; i++) {
		const struct switch_physical *physical = &site->physicals[i];
		json_array_append_new(
			list, json_pack("{s:s, s:s, s:i, s:s*}", "name", physical->name, "interface",
				      physical->interface, "mtu", (int)MIN(physical->mtu, NIC_MTU_MAX),
				      "offload", physical->switchdev ? "tc" : NULL));
	}
	return list;
}

/* `lost`: table of uid → sentence, gets the networks that are left out. */
static json_t *build_networks(const struct switch_source *source, GHashTable *lost, GHashTable *left_out)
{
	g_autoptr(GHashTable) vlans = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	const char *shared = shared_address(source->goal, source->site, left_out);
	json_t *networks = json_array();

	for (guint i = 0; i < list_length(source->goal->networks); i++) {
		const struct goal_network *network = source->goal->networks->pdata[i];
		char *reason;
		if (check_segment(network, source->site, vlans, &reason))
			json_array_append_new(networks, build_network(source, network, shared, left_out));
		else
			g_hash_table_replace(lost, g_strdup(network->uid ? network->uid : ""), reason);
	}
	return networks;
}

/* shared: addresses of load balancers. */
static json_t *build_nics(const struct switch_source *source, struct switch_nics *checked, GHashTable *shared,
	GHashTable *left_out)
{
	const struct goal *goal = source->goal;
	json_t *nics = json_array();

	for (guint i = 0; i < list_length(goal->nics); i++) {
		const struct goal_nic *nic = goal->nics->pdata[i];
		const struct goal_network *network;
		char *reason = switch_nics_add(checked, nic, &network);
		if (reason) {
			g_hash_table_replace(left_out, g_strdup(nic->uid ? nic->uid : ""), reason);
			continue;
		}
		json_t *json = build_nic(source, nic, network);
		switch_balancers_add_nic(checked, nic, network, shared, json);
		json_array_append_new(nics, json);
	}
	return nics;
}

json_t *switch_state_build(const struct switch_source *source, GHashTable *left_out, GError **error)
{
	const struct goal *goal = source->goal;
	const struct switch_site *site = source->site;
	g_autoptr(GHashTable) lost = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	json_auto_t *groups = json_array();

	for (guint i = 0; i < list_length(goal->groups); i++) {
		json_t *group = goal_policy_group(goal, goal->groups->pdata[i], error);
		if (!group)
			return NULL;
		json_array_append_new(groups, group);
	}
	json_auto_t *networks = build_networks(source, lost, left_out);
	g_autoptr(GHashTable) shared = g_hash_table_new(g_str_hash, g_str_equal);
	_cleanup_(switch_nics_done) struct switch_nics checked;
	switch_nics_init(&checked, goal, site, lost);
	json_auto_t *balancers = switch_balancers_build(&checked, left_out, shared);
	json_t *state = json_pack("{s:o, s:o, s:O, s:O, s:o}", "outside", build_port(site->outside),
		"host_port", build_port(site->host_port), "networks", networks, "groups", groups, "nics",
		build_nics(source, &checked, shared, left_out));
	if (json_array_size(balancers))
		json_object_set(state, "balancers", balancers);
	if (site->underlay)
		json_object_set_new(state, "underlay", build_underlay(site));
	if (site->n_physicals)
		json_object_set_new(state, "physicals", build_physicals(site));
	return state;
}
