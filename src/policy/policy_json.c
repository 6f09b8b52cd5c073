/* JSON of a group's rules: see policy_json.h. */
#include "policy/policy_json.h"

#include "base/fault.h"
#include "policy/policy_words.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

static const char *const rule_members[] = {
	"name", "direction", "priority", "protocol", "action", "source", "destination", NULL};
static const char *const side_members[] = {"any", "tags", "prefixes", "groups", "ports", NULL};

static bool word_decode(const json_t *value, const struct policy_word *words, uint8_t *ret, GError **error)
{
	const char *text = json_string_value(value);
	const struct policy_word *found = policy_word_find(words, text);
	g_autoptr(GString) list = g_string_new(NULL);

	if (found) {
		*ret = found->value;
		return true;
	}
	for (const struct policy_word *word = words; word->text; word++)
		g_string_append_printf(list, "%s%s", list->len ? ", " : "", word->text);
	if (!text)
		return fault_set(error, FAULT_INVALID, ": must be one of %s", list->str);
	return fault_set(error, FAULT_INVALID, ": \"%s\" is none of %s", text, list->str);
}

static bool integer_decode(
	const json_t *value, json_int_t min, json_int_t max, json_int_t *ret, GError **error)
{
	json_int_t number = json_integer_value(value);

	if (!json_is_integer(value) || number < min || number > max)
		return fault_set(error, FAULT_INVALID, ": must be a whole number from %lld to %lld",
			(long long)min, (long long)max);
	*ret = number;
	return true;
}

static bool check_members(const json_t *object, const char *const *known, GError **error)
{
	const char *key;
	json_t *value;

	if (!json_is_object(object))
		return fault_set(error, FAULT_INVALID, ": must be an object");
	json_object_foreach((json_t *)object, key, value) if (!g_strv_contains(known, key)) return fault_set(
		error, FAULT_INVALID, ".%s: is not known here", key);
	return true;
}

/* Memory that lives as long as the rules; NULL for no elements. */
static void *block(struct policy_rules *rules, size_t n, size_t size)
{
	void *memory = n ? g_malloc0_n(n, size) : NULL;

	if (memory)
		g_ptr_array_add(rules->blocks, memory);
	return memory;
}

/* Decodes one element of an array into *slot. */
typedef bool (*element_decode)(const json_t *value, void *slot, GError **error);

static bool prefix_decode(const json_t *value, void *slot, GError **error)
{
	const char *text = json_string_value(value);
	int r = prefix_parse(text, slot);

	if (r == -ERANGE)
		return fault_set(error, FAULT_INVALID,
			": \"%s\" has bits set past its length; write the first address of the prefix", text);
	if (r < 0)
		return fault_set(
			error, FAULT_INVALID, ": must be a prefix like \"10.0.0.0/16\" or \"fd00::/64\"");
	return true;
}

static bool group_decode(const json_t *value, void *slot, GError **error)
{
	json_int_t number = 0;

	if (!integer_decode(value, 0, UINT32_MAX, &number, error))
		return false;
	*(uint32_t *)slot = (uint32_t)number;
	return true;
}

static bool ports_decode(const json_t *value, void *slot, GError **error)
{
	struct policy_ports *ports = slot;
	json_int_t first = 0, last = 0;

	if (json_array_size(value) != 2)
		return fault_set(error, FAULT_INVALID, ": must be a range like [22, 22] or [8000, 8999]");
	if (!integer_decode(json_array_get(value, 0), 0, UINT16_MAX, &first, error) ||
		!integer_decode(json_array_get(value, 1), 0, UINT16_MAX, &last, error))
		return false;
	if (first > last)
		return fault_set(error, FAULT_INVALID, ": the range ends before it starts");
	*ports = (struct policy_ports){.first = (uint16_t)first, .last = (uint16_t)last};
	return true;
}

static bool tag_decode(const json_t *value, void *slot, GError **error)
{
	return word_decode(value, policy_tag_words, slot, error);
}

/* Decodes the array object[member], which may be absent, element by element. *ret is NULL when it is empty.
 */
static bool array_decode(struct policy_rules *rules, const json_t *object, const char *member, size_t size,
	element_decode decode, void *ret, size_t *ret_n, GError **error)
{
	const json_t *array = json_object_get(object, member);
	size_t n = json_array_size(array);
	char *slots = block(rules, n, size);

	if (array && !json_is_array(array))
		return fault_set(error, FAULT_INVALID, ".%s: must be an array", member);
	for (size_t i = 0; i < n; i++) {
		if (!decode(json_array_get(array, i), slots + i * size, error)) {
			g_prefix_error(error, ".%s[%zu]", member, i);
			return false;
		}
	}
	memcpy(ret, &slots, sizeof slots);
	*ret_n = n;
	return true;
}

static bool side_arrays_decode(
	struct policy_rules *rules, const json_t *object, struct policy_side *side, GError **error)
{
	const uint8_t *tags = NULL;
	size_t n_tags;

	if (!array_decode(rules, object, "tags", sizeof *tags, tag_decode, &tags, &n_tags, error) ||
		!array_decode(rules, object, "prefixes", sizeof *side->prefixes, prefix_decode,
			&side->prefixes, &side->n_prefixes, error) ||
		!array_decode(rules, object, "groups", sizeof *side->groups, group_decode, &side->groups,
			&side->n_groups, error) ||
		!array_decode(rules, object, "ports", sizeof *side->ports, ports_decode, &side->ports,
			&side->n_ports, error))
		return false;
	for (size_t i = 0; i < n_tags; i++)
		side->tags |= tags[i];
	return true;
}

static bool side_decode(
	struct policy_rules *rules, const json_t *object, struct policy_side *side, GError **error)
{
	const json_t *any = json_object_get(object, "any");

	if (!check_members(object, side_members, error))
		return false;
	if (any && !json_is_boolean(any))
		return fault_set(error, FAULT_INVALID, ".any: must be true or false");
	if (json_is_true(any))
		side->tags |= POLICY_TAG_ANY;
	if (!side_arrays_decode(rules, object, side, error))
		return false;
	if (!side->tags && !side->n_prefixes && !side->n_groups)
		return fault_set(error, FAULT_INVALID,
			": names no address, so that the rule would never match; set any, tags, prefixes or "
			"groups");
	return true;
}

/* Decodes the member of `rule` called `member` by a table of words. */
static bool member_word_decode(
	const json_t *rule, const char *member, const struct policy_word *words, uint8_t *ret, GError **error)
{
	if (word_decode(json_object_get(rule, member), words, ret, error))
		return true;
	g_prefix_error(error, ".%s", member);
	return false;
}

/* A word, or the IANA number of a protocol that has none. */
static bool protocol_decode(const json_t *object, struct policy_rule *rule, GError **error)
{
	const json_t *value = json_object_get(object, "protocol");
	json_int_t number = 0;
	bool ok = json_is_integer(value) ? integer_decode(value, 1, UINT8_MAX, &number, error)
					 : word_decode(value, policy_protocol_words, &rule->protocol, error);

	if (ok && number == IPPROTO_ICMPV6)
		ok = fault_set(error, FAULT_INVALID, ": write \"icmp\", which is ICMPv6 on IPv6");
	if (!ok) {
		g_prefix_error(error, ".protocol");
		return false;
	}
	if (number)
		rule->protocol = (uint8_t)number;
	return true;
}

static bool priority_decode(const json_t *object, struct policy_rule *rule, GError **error)
{
	json_int_t priority = 0;

	if (!integer_decode(json_object_get(object, "priority"), POLICY_PRIORITY_MIN, POLICY_PRIORITY_MAX,
		    &priority, error)) {
		g_prefix_error(error, ".priority");
		return false;
	}
	rule->priority = (uint16_t)priority;
	return true;
}

/* Else a rule that is to deny would deny nothing. */
static bool check_ports(
	const struct policy_rule *rule, const char *member, const struct policy_side *side, GError **error)
{
	if (side->n_ports == 0 || rule->protocol == POLICY_ANY || policy_protocol_has_ports(rule->protocol))
		return true;
	return fault_set(error, FAULT_INVALID,
		".%s.ports: only tcp and udp have ports, so that the rule would never match; leave them out",
		member);
}

static bool member_side_decode(struct policy_rules *rules, const json_t *rule, const char *member,
	struct policy_side *side, GError **error)
{
	if (side_decode(rules, json_object_get(rule, member), side, error))
		return true;
	g_prefix_error(error, ".%s", member);
	return false;
}

static bool rule_decode(
	struct policy_rules *rules, const json_t *object, struct policy_rule *rule, GError **error)
{
	const char *name = json_string_value(json_object_get(object, "name"));

	if (!check_members(object, rule_members, error))
		return false;
	if (!name || !*name)
		return fault_set(error, FAULT_INVALID, ".name: must be a string that is not empty");
	char *copy = g_strdup(name);
	g_ptr_array_add(rules->blocks, copy);
	rule->name = copy;
	return member_word_decode(object, "direction", policy_direction_words, &rule->direction, error) &&
	       priority_decode(object, rule, error) && protocol_decode(object, rule, error) &&
	       member_word_decode(object, "action", policy_action_words, &rule->action, error) &&
	       member_side_decode(rules, object, "source", &rule->source, error) &&
	       member_side_decode(rules, object, "destination", &rule->destination, error) &&
	       check_ports(rule, "source", &rule->source, error) &&
	       check_ports(rule, "destination", &rule->destination, error);
}

/* `taken` holds the rule that has each priority, by direction. */
static bool claim_priority(GHashTable *taken, struct policy_rule *rule, GError **error)
{
	gpointer key = GUINT_TO_POINTER((unsigned)rule->direction << 16 | rule->priority);
	const struct policy_rule *other = g_hash_table_lookup(taken, key);

	if (other)
		return fault_set(error, FAULT_INVALID,
			".priority: %u is taken by %s rule \"%s\"; choose another", rule->priority,
			policy_word_text(policy_direction_words, rule->direction), other->name);
	g_hash_table_insert(taken, key, rule);
	return true;
}

struct policy_rules *policy_rules_decode(const char *name, const json_t *array, GError **error)
{
	_cleanup_(policy_rules_free) struct policy_rules *rules = g_new0(struct policy_rules, 1);
	g_autoptr(GHashTable) taken = g_hash_table_new(NULL, NULL);
	size_t n = json_array_size(array);

	rules->blocks = g_ptr_array_new_with_free_func(g_free);
	if (!json_is_array(array)) {
		fault_set(error, FAULT_INVALID, "rules: must be an array");
		return NULL;
	}
	char *copy = g_strdup(name);
	g_ptr_array_add(rules->blocks, copy);
	struct policy_rule *decoded = block(rules, n, sizeof *decoded);
	for (size_t i = 0; i < n; i++) {
		if (!rule_decode(rules, json_array_get(array, i), &decoded[i], error) ||
			!claim_priority(taken, &decoded[i], error)) {
			g_prefix_error(error, "rules[%zu]", i);
			return NULL;
		}
	}
	rules->group = (struct policy_group){.name = copy, .n_rules = n, .rules = decoded};
	return g_steal_pointer(&rules);
}

void policy_rules_free(struct policy_rules *rules)
{
	if (!rules)
		return;
	g_ptr_array_unref(rules->blocks);
	g_free(rules);
}

static json_t *side_encode(const struct policy_side *side)
{
	json_t *tags = json_array(), *prefixes = json_array(), *ports = json_array();
	json_t *object = json_pack("{s:b, s:o, s:o, s:o}", "any", !!(side->tags & POLICY_TAG_ANY), "tags",
		tags, "prefixes", prefixes, "ports", ports);
	char text[PREFIX_TEXT_MAX];

	for (const struct policy_word *word = policy_tag_words; word->text; word++)
		if (side->tags & word->value)
			json_array_append_new(tags, json_string(word->text));
	for (size_t i = 0; i < side->n_prefixes; i++)
		json_array_append_new(prefixes, json_string(prefix_format(side->prefixes[i], text)));
	for (size_t i = 0; i < side->n_ports; i++)
		json_array_append_new(ports, json_pack("[i, i]", side->ports[i].first, side->ports[i].last));
	if (side->n_groups) {
		json_t *groups = json_array();
		for (size_t i = 0; i < side->n_groups; i++)
			json_array_append_new(groups, json_integer(side->groups[i]));
		json_object_set_new(object, "groups", groups);
	}
	return object;
}

json_t *policy_protocol_encode(uint8_t protocol)
{
	const char *word = policy_word_text(policy_protocol_words, protocol);

	return word ? json_string(word) : json_integer(protocol);
}

json_t *policy_rule_encode(const struct policy_rule *rule)
{
	return json_pack("{s:s, s:s, s:i, s:o, s:s, s:o, s:o}", "name", rule->name, "direction",
		policy_word_text(policy_direction_words, rule->direction), "priority", rule->priority,
		"protocol", policy_protocol_encode(rule->protocol), "action",
		policy_word_text(policy_action_words, rule->action), "source", side_encode(&rule->source),
		"destination", side_encode(&rule->destination));
}

json_t *policy_rules_encode(const struct policy_group *group)
{
	json_t *rules = json_array();

	for (size_t i = 0; i < group->n_rules; i++)
		json_array_append_new(rules, policy_rule_encode(&group->rules[i]));
	return rules;
}
