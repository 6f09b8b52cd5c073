/* OData's $filter. */
#include "api/arm/filter.h"

#include <string.h>

static const struct {
	const char *word;
	size_t offset;
} words[] = {
	{"resourceType", offsetof(struct filter, resource_type)},
	{"name", offsetof(struct filter, name)},
	{"resourceGroup", offsetof(struct filter, group)},
	{"location", offsetof(struct filter, location)},
	{"tagName", offsetof(struct filter, tag_name)},
	{"tagValue", offsetof(struct filter, tag_value)},
	{"virtualMachineScaleSet/id", offsetof(struct filter, scale_set)},
	{"provisioningState", offsetof(struct filter, state)},
};

void filter_clear(struct filter *filter)
{
	for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
		g_free(*(char **)((char *)filter + words[i].offset));
	*filter = (struct filter){};
}

static char **find_word(struct filter *filter, const char *word)
{
	for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
		if (g_ascii_strcasecmp(words[i].word, word) == 0)
			return (char **)((char *)filter + words[i].offset);
	return NULL;
}

/* "word eq 'value'", the word in quotes or not; a doubled quote stands for one. */
static bool parse_clause(struct filter *filter, GMatchInfo *match)
{
	g_autofree char *word = g_match_info_fetch(match, 2), *raw = g_match_info_fetch(match, 3);
	g_auto(GStrv) parts = g_strsplit(raw, "''", -1);
	char **at = find_word(filter, word);

	if (!at || *at)
		return false;
	*at = g_strjoinv("'", parts);
	return true;
}

bool filter_parse(const char *text, struct filter *ret, GError **error)
{
	g_autoptr(GRegex) clause =
		g_regex_new("\\G\\s*('?)([\\w/]+)\\1\\s+eq\\s+'((?:[^']|'')*)'\\s*(?:$|and(?=\\s+\\S))",
			G_REGEX_CASELESS, 0, NULL);
	g_autoptr(GMatchInfo) match = NULL;
	size_t length = text ? strlen(text) : 0;
	int end = 0;
	bool good = true;

	if (length == 0)
		return true;
	for (g_regex_match(clause, text, 0, &match); good && g_match_info_matches(match);
		g_match_info_next(match, NULL)) {
		good = parse_clause(ret, match);
		g_match_info_fetch_pos(match, 0, NULL, &end);
	}
	return (good && (size_t)end == length) ||
	       arm_fault_set(error, ARM_INVALID_FILTER,
		       "The filter '%s' is not supported; use \"resourceType eq 'TYPE'\", with name, "
		       "resourceGroup, location, tagName, tagValue, provisioningState or "
		       "'virtualMachineScaleSet/id', joined by \"and\".",
		       text);
}

bool filter_has_only(const struct filter *filter, const char *word, GError **error)
{
	for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
		if (*(char *const *)((const char *)filter + words[i].offset) &&
			!g_str_equal(words[i].word, word))
			return arm_fault_set(error, ARM_INVALID_FILTER,
				"The filter's '%s' is not supported by this list, which can be filtered by "
				"'%s' alone.",
				words[i].word, word);
	return true;
}

bool filter_is_absent(const struct call *call, GError **error)
{
	const char *text = call_query(call, "$filter");

	return !text || !*text ||
	       arm_fault_set(error, ARM_INVALID_FILTER,
		       "This list cannot be filtered: ask for it without '%s'.", text);
}

static bool find_location(struct arm *arm, struct filter *filter, GError **error)
{
	const char *location = arm_location(arm, NULL, filter->location, error);

	g_free(filter->location);
	filter->location = g_strdup(location);
	return location;
}

static bool find_scale_set(struct arm *arm, struct filter *filter, GError **error)
{
	_cleanup_(arm_id_clear) struct arm_id id = {};
	_cleanup_(model_free) struct meta *set =
		arm_id_parse(filter->scale_set, &id, error) ? arm_find(arm, &id, error) : NULL;

	if (!set)
		return false;
	if (set->kind != KIND_SCALE_SET || id.child)
		return arm_fault_set(error, ARM_INVALID_FILTER,
			"The filter's '%s' is no virtual machine scale set.", filter->scale_set);
	g_free(filter->scale_set);
	filter->scale_set = g_strdup(set->uid);
	return true;
}

bool filter_of_call(struct arm *arm, const struct call *call, struct filter *ret, GError **error)
{
	return filter_parse(call_query(call, "$filter"), ret, error) &&
	       (!ret->location || find_location(arm, ret, error)) &&
	       (!ret->scale_set || find_scale_set(arm, ret, error));
}

static bool fits(const char *wanted, const char *value)
{
	return !wanted || (value && g_ascii_strcasecmp(wanted, value) == 0);
}

static bool tags_fit(const struct filter *filter, const json_t *tags)
{
	const json_t *value;

	if (!filter->tag_name)
		return true;
	value = json_object_get(tags, filter->tag_name);
	return value && (!filter->tag_value || g_strcmp0(filter->tag_value, json_string_value(value)) == 0);
}

static bool is_of_scale_set(const struct filter *filter, const struct meta *meta)
{
	const struct vm *vm = meta->kind == KIND_VM ? (const struct vm *)(const void *)meta : NULL;

	return !filter->scale_set || (vm && g_strcmp0(vm->spec.scale_set, filter->scale_set) == 0);
}

static bool state_fits(const struct filter *filter, const struct meta *meta)
{
	const struct outcome *outcome = filter->state ? model_outcome((void *)meta) : NULL;

	return !filter->state || (outcome && fits(filter->state, arm_provisioning_state(outcome->state)));
}

bool filter_fits(
	const struct filter *filter, const struct meta *meta, const struct arm_type *type, const char *group)
{
	g_autofree char *type_name = g_strdup_printf("%s/%s", type->namespace, type->name);

	return fits(filter->resource_type, type_name) && fits(filter->name, meta->name) &&
	       (!group || fits(filter->group, group)) && fits(filter->location, meta->location) &&
	       tags_fit(filter, meta->tags) && is_of_scale_set(filter, meta) && state_fits(filter, meta);
}
