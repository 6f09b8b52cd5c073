/* A random world as the switch's state. */
#include "policy/policy_gen_priv.h"

#include "policy/policy_json.h"

static json_t *ip_encode(struct ip_addr addr)
{
	char text[IP_TEXT_MAX];

	return addr.family == IP_NONE ? json_null() : json_string(ip_format(addr, text));
}

static json_t *prefix_encode(struct ip_prefix prefix)
{
	char text[PREFIX_TEXT_MAX];

	return json_string(prefix_format(prefix, text));
}

static json_t *prefixes_encode(const struct ip_prefix *prefixes, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, prefix_encode(prefixes[i]));
	return list;
}

static json_t *group_encode(const struct policy_group *group)
{
	return json_pack("{s:s, s:s, s:b, s:o}", "uid", group->uid, "name", group->name, "revalidate", true,
		"rules", policy_rules_encode(group));
}

static json_t *subnet_encode(const struct policy_gen_subnet *subnet)
{
	bool v6 = subnet->prefix.addr.family == IP_V6;

	return json_pack("{s:s, s:o, s:o, s:[], s:s?}", "uid", subnet->uid, v6 ? "prefix6" : "prefix",
		prefix_encode(subnet->prefix), v6 ? "gateway6" : "gateway", ip_encode(subnet->gateway), "dns",
		"group", subnet->group ? subnet->group->uid : NULL);
}

static json_t *members_encode(const struct policy_members *members)
{
	return json_pack("{s:I, s:s, s:o}", "number", (json_int_t)members->group, "name", members->name,
		"members", prefixes_encode(members->prefixes, members->n_prefixes));
}

static json_t *network_encode(const struct policy_gen_network *network)
{
	const struct policy_space *space = &network->space;
	json_t *subnets = json_array(), *groups = json_array();
	json_t *json = json_pack("{s:s, s:i, s:o, s:o}", "uid", network->uid, "vni", (int)network->vni,
		"prefixes", prefixes_encode(space->prefixes, space->n_prefixes), "subnets", subnets);

	for (unsigned i = 0; i < network->n_subnets; i++)
		json_array_append_new(subnets, subnet_encode(&network->subnets[i]));
	for (size_t i = 0; i < space->n_members; i++)
		json_array_append_new(groups, members_encode(&space->members[i]));
	if (space->n_members)
		json_object_set(json, "application_groups", groups);
	json_decref(groups);
	return json;
}

static json_t *nic_encode(const struct policy_gen_world *world, const struct policy_gen_nic *nic)
{
	const struct policy_gen_network *network = &world->networks[nic->network];
	json_t *addresses = json_array();
	char mac[MAC_TEXT_MAX];

	for (unsigned i = 0; i < nic->n_addresses; i++)
		json_array_append_new(
			addresses, json_pack("{s:o, s:o, s:b}", "ip", ip_encode(nic->addresses[i].ip),
					   "public", ip_encode(nic->addresses[i].public_ip), "standard",
					   nic->addresses[i].standard));
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s?, s:i, s:o, s:o, s:s, s:[{s:s, s:s}], s:s}", "uid",
		nic->uid, "name", nic->uid, "mac", mac_format(nic->mac, mac), "network", network->uid,
		"subnet", network->subnets[nic->subnet].uid, "group", nic->group ? nic->group->uid : NULL,
		"mtu", 1500, "addresses", addresses, "host_address", ip_encode(nic->host_address), "hostname",
		nic->uid, "attachments", "kind", "function", "interface", nic->uid, "active", "function");
}

json_t *policy_gen_state(const struct policy_gen *gen, uint64_t generation)
{
	const struct policy_gen_world *world = &gen->world;
	json_t *groups = json_array(), *networks = json_array(), *nics = json_array();

	for (unsigned i = 0; i < world->n_groups; i++)
		json_array_append_new(groups, group_encode(&world->groups[i]));
	for (unsigned i = 0; i < world->n_networks; i++)
		json_array_append_new(networks, network_encode(&world->networks[i]));
	for (unsigned i = 0; i < world->n_nics; i++)
		json_array_append_new(nics, nic_encode(world, &world->nics[i]));
	return json_pack("{s:I, s:n, s:n, s:o, s:o, s:o}", "generation", (json_int_t)generation, "outside",
		"host_port", "groups", groups, "networks", networks, "nics", nics);
}
