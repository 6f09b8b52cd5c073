/* Network security groups and their rules. */
#include "base/fault.h"
#include "control/control_priv.h"

#include <stdlib.h>
#include <string.h>

#define PRIORITY_FIRST 100
#define PRIORITY_LAST  4096
#define RULES_MAX      1000
#define NAMED_MAX      100 /* application groups in all rules of a group; as in Azure */

static const char *const tags[] = {"*", "VirtualNetwork", "Internet", "AzureLoadBalancer", NULL};

/* Tags come out in their one spelling, prefixes as they are. */
static bool check_addresses(const struct rule *rule, const char *side, GPtrArray *addresses, GError **error)
{
	for (guint i = 0; i < list_length(addresses); i++) {
		char *text = addresses->pdata[i];
		int tag = words_find(tags, g_ascii_strcasecmp(text, "any") == 0 ? "*" : text);
		struct ip_prefix prefix;
		if (tag >= 0) {
			addresses->pdata[i] = g_strdup(tags[tag]);
			g_free(text);
		} else if (prefix_parse(text, &prefix) < 0) {
			return fault_set(error, FAULT_INVALID,
				"security rule %s: '%s' is no %s address; use a prefix such as 10.0.0.0/8, "
				"an address, "
				"VirtualNetwork, Internet, AzureLoadBalancer or *",
				rule->name, text, side);
		}
	}
	return true;
}

static bool port_number(const char *text, const char *end, unsigned long *ret)
{
	char *stop;

	if (text == end || !g_ascii_isdigit(*text))
		return false;
	*ret = strtoul(text, &stop, 10);
	return stop == end && *ret <= 65535;
}

static bool is_port_range(const char *text)
{
	const char *end = text + strlen(text), *dash = strchr(text, '-');
	unsigned long first, last;

	if (g_str_equal(text, "*"))
		return true;
	if (!dash)
		return port_number(text, end, &first);
	return port_number(text, dash, &first) && port_number(dash + 1, end, &last) && first <= last;
}

/* Else a rule that is to deny would deny nothing. */
static bool check_portless(const struct rule *rule, const char *side, const GPtrArray *ports, GError **error)
{
	for (guint i = 0; !rule_may_name_ports(rule) && i < ports->len; i++)
		if (!g_str_equal(ports->pdata[i], "*"))
			return fault_set(error, FAULT_INVALID,
				"security rule %s would never match: protocol %s has no ports. Its %s port "
				"range must be '*', not '%s' (some clients send a port unless '*' is given)",
				rule->name, protocol_words[rule->protocol], side, (char *)ports->pdata[i]);
	return true;
}

static bool check_ports(const struct rule *rule, const char *side, const GPtrArray *ports, GError **error)
{
	if (list_length(ports) == 0)
		return fault_set(
			error, FAULT_INVALID, "security rule %s needs a %s port range", rule->name, side);
	for (guint i = 0; i < ports->len; i++)
		if (!is_port_range(ports->pdata[i]))
			return fault_set(error, FAULT_INVALID,
				"security rule %s: '%s' is no %s port; use a number, a range such as "
				"1000-2000, or *",
				rule->name, (char *)ports->pdata[i], side);
	return check_portless(rule, side, ports, error);
}

static bool check_side(const struct rule *rule, const char *name, struct rule_side *side, GError **error)
{
	guint addresses = list_length(side->addresses), groups = list_length(side->application_groups);

	if (!addresses && !groups)
		return fault_set(error, FAULT_INVALID,
			"security rule %s needs a %s address prefix or application security group",
			rule->name, name);
	if (addresses && groups)
		return fault_set(error, FAULT_INVALID,
			"security rule %s has %s address prefixes and application security groups; a side of "
			"a rule can have only one of both",
			rule->name, name);
	return check_addresses(rule, name, side->addresses, error) &&
	       check_ports(rule, name, side->ports, error);
}

static bool check_rule(const struct security_group *group, guint index, GError **error)
{
	struct rule *rule = group->spec.rules->pdata[index];

	if (!check_name(KIND_SECURITY_GROUP, rule->name, error)) {
		g_prefix_error(error, "security rule of %s: ", group->meta.name);
		return false;
	}
	if (rule->priority < PRIORITY_FIRST || rule->priority > PRIORITY_LAST)
		return fault_set(error, FAULT_INVALID,
			"security rule %s has priority %" G_GINT64_FORMAT "; it must be between %d and %d",
			rule->name, rule->priority, PRIORITY_FIRST, PRIORITY_LAST);
	for (guint i = 0; i < index; i++) {
		const struct rule *other = group->spec.rules->pdata[i];
		if (g_ascii_strcasecmp(other->name, rule->name) == 0)
			return fault_set(error, FAULT_INVALID, "security rule %s is there twice", rule->name);
		if (other->direction == rule->direction && other->priority == rule->priority)
			return fault_set(error, FAULT_OVERLAP,
				"Security rule %s conflicts with rule %s: rules of one direction cannot "
				"share priority "
				"%" G_GINT64_FORMAT ".",
				rule->name, other->name, rule->priority);
	}
	return check_side(rule, "source", &rule->source, error) &&
	       check_side(rule, "destination", &rule->destination, error);
}

static const struct rule *find_rule(const struct security_group *group, const char *name)
{
	for (guint i = 0; group && i < list_length(group->spec.rules); i++) {
		const struct rule *rule = group->spec.rules->pdata[i];
		if (g_ascii_strcasecmp(rule->name, name) == 0)
			return rule;
	}
	return NULL;
}

/* ---- application groups ---- */

static void add_named(GHashTable *uids, const struct rule_side *side)
{
	for (guint i = 0; i < list_length(side->application_groups); i++)
		g_hash_table_add(uids, side->application_groups->pdata[i]);
}

/* uids of all that the group's rules name. group NULL: none. */
static GHashTable *named_by(const struct security_group *group)
{
	GHashTable *uids = g_hash_table_new(g_str_hash, g_str_equal);

	for (guint i = 0; group && i < list_length(group->spec.rules); i++) {
		const struct rule *rule = group->spec.rules->pdata[i];
		add_named(uids, &rule->source);
		add_named(uids, &rule->destination);
	}
	return uids;
}

static void unref_named(struct change *change, const struct security_group *group)
{
	g_autoptr(GHashTable) uids = named_by(group);
	GHashTableIter iter;
	void *uid;

	g_hash_table_iter_init(&iter, uids);
	while (g_hash_table_iter_next(&iter, &uid, NULL))
		change_unref(change, uid, group->meta.uid);
}

static bool stage_one(struct put *put, const char *uid, GError **error)
{
	const struct meta *meta = put->object;
	const struct application_group *named =
		check_reference(put->change, KIND_APPLICATION_GROUP, uid, meta, error);

	if (!named)
		return false;
	if (!g_str_equal(named->meta.location, meta->location))
		return fault_set(error, FAULT_INVALID_REFERENCE,
			"network security group %s is in %s but application security group %s is in %s; both "
			"must be in one location",
			meta->name, meta->location, named->meta.name, named->meta.location);
	change_ref(put->change, uid, meta);
	return true;
}

static bool stage_named(struct put *put, GError **error)
{
	const struct security_group *group = put->object;
	g_autoptr(GHashTable) uids = named_by(group);
	GHashTableIter iter;
	void *uid;

	if (g_hash_table_size(uids) > NAMED_MAX)
		return fault_set(error, FAULT_QUOTA,
			"rules of network security group %s name %u application security groups, %d is the "
			"most",
			group->meta.name, g_hash_table_size(uids), NAMED_MAX);
	unref_named(put->change, put->old);
	g_hash_table_iter_init(&iter, uids);
	while (g_hash_table_iter_next(&iter, &uid, NULL))
		if (!stage_one(put, uid, error))
			return false;
	for (guint i = 0; i < list_length(group->spec.rules); i++)
		if (!application_groups_check_rule(put->change, group, group->spec.rules->pdata[i], error))
			return false;
	return true;
}

/* ---- hooks ---- */

static bool security_group_prepare(struct put *put, GError **error)
{
	struct security_group *group = put->object;

	if (list_length(group->spec.rules) > RULES_MAX)
		return fault_set(error, FAULT_QUOTA, "network security group %s has %u rules, %d is the most",
			group->meta.name, group->spec.rules->len, RULES_MAX);
	for (guint i = 0; i < list_length(group->spec.rules); i++) {
		struct rule *rule = group->spec.rules->pdata[i];
		if (!check_rule(group, i, error))
			return false;
		const struct rule *was = find_rule(put->old, rule->name);
		g_free(rule->uid);
		rule->uid = was ? g_strdup(was->uid) : g_uuid_string_random();
	}
	return stage_named(put, error);
}

static bool security_group_release(
	struct control *control, struct change *change, void *object, GError **error)
{
	const struct security_group *group = object;

	if (!change_unreferenced(change, &group->meta, error))
		return false;
	unref_named(change, group);
	return true;
}

const struct kind_hooks security_group_hooks = {
	.prepare = security_group_prepare,
	.release = security_group_release,
	.reaches_hosts = true,
};
