/* Policy out of a goal: see goal_policy.h. */
#include "model/goal_policy.h"

#include "base/fault.h"
#include "base/ip.h"

#include <string.h>

static const char *const tags[] = {"VirtualNetwork", "Internet", "AzureLoadBalancer", NULL};

static const char *at(const GPtrArray *list, guint i)
{
	return list->pdata[i];
}

/* ---- rules ---- */

/* "22", "1000-2000" */
static bool parse_ports(const char *text, unsigned *ret_first, unsigned *ret_last)
{
	g_auto(GStrv) ends = g_strsplit(text, "-", 2);
	guint64 first, last;

	if (!ends[0] || !g_ascii_string_to_unsigned(ends[0], 10, 0, 65535, &first, NULL))
		return false;
	last = first;
	if (ends[1] && !g_ascii_string_to_unsigned(ends[1], 10, first, 65535, &last, NULL))
		return false;
	*ret_first = (unsigned)first;
	*ret_last = (unsigned)last;
	return true;
}

/* Empty when any port is meant. NULL when a text is none. */
static json_t *build_ports(const GPtrArray *texts)
{
	json_auto_t *ports = json_array();

	for (guint i = 0; i < list_length(texts); i++) {
		unsigned first, last;
		if (g_str_equal(at(texts, i), "*"))
			return json_array();
		if (!parse_ports(at(texts, i), &first, &last))
			return NULL;
		json_array_append_new(ports, json_pack("[i, i]", (int)first, (int)last));
	}
	return json_incref(ports);
}

/* Puts one address of a side where it belongs. */
static bool add_address(const char *text, bool *any, json_t *tag_list, json_t *prefixes)
{
	struct ip_prefix prefix;
	int tag = words_find(tags, text);

	if (g_str_equal(text, "*"))
		*any = true;
	else if (tag >= 0)
		json_array_append_new(tag_list, json_string(tags[tag]));
	else if (prefix_parse(text, &prefix) == 0)
		json_array_append_new(prefixes, json_string(text));
	else
		return false;
	return true;
}

static const struct goal_application_group *find_application_group(const struct goal *goal, const char *uid)
{
	for (guint i = 0; i < list_length(goal->application_groups); i++) {
		const struct goal_application_group *group = goal->application_groups->pdata[i];
		if (g_strcmp0(group->uid, uid) == 0)
			return group;
	}
	return NULL;
}

/* NULL with *ret_bad set to the uid of one that the goal does not have. */
static json_t *build_numbers(const struct goal *goal, const GPtrArray *uids, const char **ret_bad)
{
	json_auto_t *numbers = json_array();

	for (guint i = 0; i < list_length(uids); i++) {
		const struct goal_application_group *group = find_application_group(goal, at(uids, i));
		*ret_bad = at(uids, i);
		if (!group)
			return NULL;
		json_array_append_new(numbers, json_integer(group->number));
	}
	return json_incref(numbers);
}

/* NULL with *ret_bad set to the text that is not understood. */
static json_t *build_side(const struct goal *goal, const struct rule_side *side, const char **ret_bad)
{
	json_auto_t *tag_list = json_array(), *prefixes = json_array(), *ports = build_ports(side->ports);
	bool any = false;

	*ret_bad = "its ports";
	if (!ports)
		return NULL;
	for (guint i = 0; i < list_length(side->addresses); i++) {
		*ret_bad = at(side->addresses, i);
		if (!add_address(*ret_bad, &any, tag_list, prefixes))
			return NULL;
	}
	json_auto_t *numbers = build_numbers(goal, side->application_groups, ret_bad);
	if (!numbers)
		return NULL;
	json_t *json = json_pack(
		"{s:b, s:O, s:O, s:O}", "any", any, "tags", tag_list, "prefixes", prefixes, "ports", ports);
	if (json_array_size(numbers))
		json_object_set(json, "groups", numbers);
	return json;
}

static json_t *build_rule(
	const struct goal *goal, const struct rule *rule, const struct goal_group *group, GError **error)
{
	const char *bad = NULL;
	json_auto_t *source = build_side(goal, &rule->source, &bad);
	json_auto_t *destination = source ? build_side(goal, &rule->destination, &bad) : NULL;

	if (!destination) {
		fault_set(error, FAULT_INVALID,
			"rule %s of security group %s: '%s' is not understood by this host", rule->name,
			group->name, bad);
		return NULL;
	}
	return json_pack("{s:s, s:s, s:I, s:s, s:s, s:O, s:O}", "name", rule->name, "direction",
		direction_words[rule->direction], "priority", (json_int_t)rule->priority, "protocol",
		protocol_words[rule->protocol], "action", access_words[rule->access], "source", source,
		"destination", destination);
}

/* Ports of a protocol without ports: controllers once took such rules, and stores may have them still. The switch takes
 * none, and one of them must not keep all other rules from it. */
static bool never_matches(const struct rule *rule, const json_t *built)
{
	const json_t *source = json_object_get(built, "source"),
		     *destination = json_object_get(built, "destination");

	return !rule_may_name_ports(rule) && (json_array_size(json_object_get(source, "ports")) ||
						     json_array_size(json_object_get(destination, "ports")));
}

json_t *goal_policy_group(const struct goal *goal, const struct goal_group *group, GError **error)
{
	json_auto_t *rules = json_array();

	for (guint i = 0; i < list_length(group->rules); i++) {
		const struct rule *rule = group->rules->pdata[i];
		json_auto_t *built = build_rule(goal, rule, group, error);
		if (!built)
			return NULL;
		if (!never_matches(rule, built))
			json_array_append(rules, built);
	}
	return json_pack("{s:s, s:s, s:b, s:O}", "uid", group->uid, "name", group->name, "revalidate",
		!group->keep_established, "rules", rules);
}

/* ---- application groups ---- */

static json_t *build_texts(const GPtrArray *texts)
{
	json_t *list = json_array();

	for (guint i = 0; i < list_length(texts); i++)
		json_array_append_new(list, json_string(at(texts, i)));
	return list;
}

json_t *goal_policy_application_groups(const struct goal *goal, const char *network)
{
	json_t *list = NULL;

	for (guint i = 0; i < list_length(goal->application_groups); i++) {
		const struct goal_application_group *group = goal->application_groups->pdata[i];
		if (g_strcmp0(group->network, network) != 0)
			continue;
		list = list ? list : json_array();
		json_array_append_new(
			list, json_pack("{s:I, s:s, s:o}", "number", (json_int_t)group->number, "name",
				      group->name, "members", build_texts(group->members)));
	}
	return list;
}

/* ---- one NIC ---- */

/* Adds the goal's group of that uid, unless it is NULL. */
static bool add_group(json_t *list, const struct goal *goal, const char *uid, GError **error)
{
	for (guint i = 0; uid && i < list_length(goal->groups); i++) {
		const struct goal_group *group = goal->groups->pdata[i];
		if (g_strcmp0(group->uid, uid) != 0)
			continue;
		json_t *json = goal_policy_group(goal, group, error);
		return json && json_array_append_new(list, json) == 0;
	}
	return !uid ||
	       fault_set(error, FAULT_INVALID, "the goal names security group %s and does not have it", uid);
}

static json_t *build_network(
	const struct goal *goal, const struct goal_network *network, const struct goal_subnet *subnet)
{
	json_t *json = json_pack("{s:s, s:o, s:[{s:s, s:s?}]}", "uid", network->uid, "prefixes",
		build_texts(network->prefixes), "subnets", "uid", subnet->uid, "group",
		subnet->security_group);
	json_t *groups = goal_policy_application_groups(goal, network->uid);

	if (groups)
		json_object_set_new(json, "application_groups", groups);
	return json;
}

static json_t *build_nic(const struct goal_nic *nic)
{
	json_t *addresses = json_array();

	for (guint i = 0; i < list_length(nic->addresses); i++) {
		const struct goal_address *address = nic->addresses->pdata[i];
		json_array_append_new(addresses, json_pack("{s:s?, s:s?, s:b}", "ip", address->ip, "public",
							 address->public_ip, "standard", address->standard));
	}
	return json_pack("{s:s, s:s, s:s, s:s, s:s?, s:o}", "uid", nic->uid, "name", nic->name, "network",
		nic->network, "subnet", nic->subnet, "group", nic->security_group, "addresses", addresses);
}

json_t *goal_policy_of_nic(const struct goal *goal, const struct goal_nic *nic, GError **error)
{
	const struct goal_network *network = goal_find_network(goal, nic->network);
	const struct goal_subnet *subnet = goal_find_subnet(network, nic->subnet);
	json_auto_t *groups = json_array();

	if (!subnet) {
		fault_set(error, FAULT_INVALID, "the goal does not have its subnet");
		return NULL;
	}
	if (!add_group(groups, goal, subnet->security_group, error))
		return NULL;
	if (g_strcmp0(nic->security_group, subnet->security_group) != 0 &&
		!add_group(groups, goal, nic->security_group, error))
		return NULL;
	return json_pack("{s:O, s:[o], s:[o]}", "groups", groups, "networks",
		build_network(goal, network, subnet), "nics", build_nic(nic));
}
