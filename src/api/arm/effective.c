/* What a network interface is subject to: the rules of its groups, and its routes.
 *
 * Rules come from policy/, which reads them from what a host would be told of the interface: so they are what
 * `sluice policy effective` says on its host.
 */
#include "api/arm/arm_priv.h"
#include "model/goal_policy.h"
#include "policy/policy_effective.h"
#include "policy/policy_state.h"
#include "policy/policy_words.h"

#include <string.h>

/* ---- rules ---- */

static const struct policy_word protocols[] = {{"All", POLICY_ANY}, {"Tcp", POLICY_TCP}, {"Udp", POLICY_UDP},
	{"Icmp", POLICY_ICMP}, {"Esp", POLICY_ESP}, {"Ah", POLICY_AH}, {}};

/* The names under which a side of a rule has its addresses and ports. */
struct side_words {
	const char *address, *addresses, *expanded, *port, *ports;
};
static const struct side_words source_words = {"sourceAddressPrefix", "sourceAddressPrefixes",
	"expandedSourceAddressPrefix", "sourcePortRange", "sourcePortRanges"};
static const struct side_words destination_words = {"destinationAddressPrefix", "destinationAddressPrefixes",
	"expandedDestinationAddressPrefix", "destinationPortRange", "destinationPortRanges"};

/* Takes the list; a list of one is also there by itself. */
static void put_either(json_t *json, const char *one, const char *several, json_t *list)
{
	if (json_array_size(list) == 1)
		json_object_set(json, one, json_array_get(list, 0));
	json_object_set_new(json, several, list);
}

static json_t *encode_prefixes(const struct ip_prefix *prefixes, size_t n)
{
	json_t *list = json_array();
	char text[PREFIX_TEXT_MAX];

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_string(prefix_format(prefixes[i], text)));
	return list;
}

static json_t *encode_expanded(const struct policy_side *side, const struct policy_space *space)
{
	g_autoptr(GArray) prefixes = policy_side_prefixes(side, space);

	return encode_prefixes((const struct ip_prefix *)prefixes->data, prefixes->len);
}

/* As they stand in the rule. */
static json_t *encode_written(const struct policy_side *side)
{
	json_t *list = encode_prefixes(side->prefixes, side->n_prefixes);

	if (side->tags & POLICY_TAG_ANY)
		json_array_append_new(list, json_string("*"));
	for (const struct policy_word *tag = policy_tag_words; tag->text; tag++)
		if (side->tags & tag->value)
			json_array_append_new(list, json_string(tag->text));
	return list;
}

static json_t *encode_ports(const struct policy_side *side)
{
	json_t *list = json_array();

	for (size_t i = 0; i < side->n_ports; i++) {
		g_autofree char *text = g_strdup_printf("%u-%u", side->ports[i].first, side->ports[i].last);
		json_array_append_new(list, json_string(text));
	}
	if (!side->n_ports)
		json_array_append_new(list, json_string("0-65535"));
	return list;
}

/* Clients have no member for application groups here: such a side is its members' addresses. */
static void put_side(json_t *json, const struct policy_side *side, const struct policy_space *space,
	const struct side_words *words)
{
	json_t *expanded = encode_expanded(side, space);

	put_either(json, words->address, words->addresses,
		side->n_groups ? json_incref(expanded) : encode_written(side));
	json_object_set_new(json, words->expanded, expanded);
	put_either(json, words->port, words->ports, encode_ports(side));
}

static json_t *encode_rule(const struct policy_effective_rule *entry, const struct policy_space *space)
{
	const struct policy_rule *rule = entry->rule;
	g_autofree char *name = g_strdup_printf(
		"%s/%s", entry->is_default ? "defaultSecurityRules" : "securityRules", rule->name);
	json_t *json = json_object();

	put_text(json, "name", name);
	put_text(json, "protocol", policy_word_text(protocols, rule->protocol));
	put_side(json, &rule->source, space, &source_words);
	put_side(json, &rule->destination, space, &destination_words);
	put_text(json, "access", rule->action == POLICY_ALLOW ? "Allow" : "Deny");
	put_number(json, "priority", rule->priority);
	put_text(json, "direction", rule->direction == POLICY_INBOUND ? "Inbound" : "Outbound");
	return json;
}

/* Those of one group. */
static json_t *encode_rules(const struct policy_nic *policy, enum policy_place at)
{
	static const enum policy_direction directions[] = {POLICY_INBOUND, POLICY_OUTBOUND};
	json_t *list = json_array();

	for (size_t d = 0; d < G_N_ELEMENTS(directions); d++) {
		g_autoptr(GArray) rules = policy_effective(policy, directions[d]);
		for (guint i = 0; i < rules->len; i++) {
			const struct policy_effective_rule *entry =
				&g_array_index(rules, struct policy_effective_rule, i);
			if (entry->at == at)
				json_array_append_new(list, encode_rule(entry, &policy->space));
		}
	}
	return list;
}

/* Where it stands. */
static json_t *encode_association(struct arm *arm, const struct nic *nic, enum policy_place at)
{
	const struct nic_config *config = nic->spec.configs->pdata[0];
	json_t *json = json_object();

	if (at == POLICY_AT_SUBNET)
		arm_put_subnet(arm, json, config->network, config->subnet);
	else
		put_id(json, "networkInterface", arm_id_of_object(arm, &nic->meta));
	return json;
}

static void add_group(json_t *list, struct arm *arm, const struct nic *nic, const struct policy_nic *policy,
	enum policy_place at)
{
	const struct policy_group *group = at == POLICY_AT_SUBNET ? policy->subnet_group : policy->nic_group;

	if (!group)
		return;
	json_t *json = json_object();
	put_id(json, "networkSecurityGroup", arm_id_of(arm, KIND_SECURITY_GROUP, group->uid));
	put_json(json, "association", encode_association(arm, nic, at));
	put_json(json, "effectiveSecurityRules", encode_rules(policy, at));
	json_array_append_new(list, json);
}

json_t *arm_effective_groups(struct arm *arm, const void *object, GError **error)
{
	const struct nic *nic = object;
	_cleanup_(goal_free) struct goal *goal = control_nic_policy(arm->control, nic, error);
	json_auto_t *json = goal ? goal_policy_of_nic(goal, goal->nics->pdata[0], error) : NULL;
	_cleanup_(policy_state_free) struct policy_state *state =
		json ? policy_state_decode(json, error) : NULL;

	if (!state)
		return NULL;
	const struct policy_nic *policy = &policy_state_get(state, 0)->policy;
	json_t *list = json_array();
	add_group(list, arm, nic, policy, POLICY_AT_SUBNET);
	add_group(list, arm, nic, policy, POLICY_AT_NIC);
	return put_list(list);
}

/* ---- routes ---- */

static json_t *encode_route(const struct control_route *from)
{
	const struct user_route *route = from->route;
	json_t *json = json_object();

	put_text(json, "name", route->name);
	put_text(json, "source", from->is_default ? "Default" : "User");
	put_text(json, "state", from->is_active ? "Active" : "Invalid");
	put_json(json, "addressPrefix", json_pack("[s]", route->prefix));
	put_text(json, "nextHopType", arm_next_hops[route->next_hop]);
	put_json(json, "nextHopIpAddress",
		route->appliance ? json_pack("[s]", route->appliance) : json_array());
	put_flag(json, "disableBgpRoutePropagation", false);
	return json;
}

json_t *arm_effective_routes(struct arm *arm, const void *object, GError **error)
{
	g_autoptr(GPtrArray) routes = control_nic_routes(arm->control, object, error);
	json_t *list = routes ? json_array() : NULL;

	for (guint i = 0; i < list_length(routes); i++)
		json_array_append_new(list, encode_route(routes->pdata[i]));
	return list ? put_list(list) : NULL;
}
