/* Small rules that several kinds share. */
#include "base/fault.h"
#include "control/control_priv.h"

#include <string.h>

/* Azure's "Naming rules and restrictions for Azure resources". */
struct name_rule {
	size_t max; /* characters */
	const char *extra; /* beside letters and digits */
	bool any_start; /* else a letter, a digit or '_' */
	const char *not_last;
};

static struct name_rule name_rule_of(enum kind kind)
{
	switch (kind) {
	case KIND_GROUP: return (struct name_rule){90, "_-.()", true, "."};
	case KIND_DEPLOYMENT: return (struct name_rule){64, "_-.()", true, ""};
	case KIND_VM:
	case KIND_SCALE_SET: return (struct name_rule){64, "_-.", false, ".-"};
	default: return (struct name_rule){80, "_-.", false, ".-"};
	}
}

size_t check_name_max(enum kind kind)
{
	return name_rule_of(kind).max;
}

bool check_name(enum kind kind, const char *name, GError **error)
{
	const struct name_rule rule = name_rule_of(kind);
	size_t length = name ? strlen(name) : 0;

	if (length == 0 || length > rule.max)
		return fault_set(error, FAULT_INVALID,
			"the name of a %s must have 1 to %zu characters, '%s' has %zu",
			kind_info(kind)->title, rule.max, name ? name : "", length);
	for (size_t i = 0; i < length; i++)
		if (!g_ascii_isalnum(name[i]) && !strchr(rule.extra, name[i]))
			return fault_set(error, FAULT_INVALID,
				"'%s' is no name for a %s: only letters, digits and %s may be in it", name,
				kind_info(kind)->title, rule.extra);
	if (!rule.any_start && !g_ascii_isalnum(name[0]) && name[0] != '_')
		return fault_set(error, FAULT_INVALID,
			"'%s' is no name for a %s: it must start with a letter or digit", name,
			kind_info(kind)->title);
	if (strchr(rule.not_last, name[length - 1]))
		return fault_set(error, FAULT_INVALID, "'%s' is no name for a %s: it must not end with '%c'",
			name, kind_info(kind)->title, name[length - 1]);
	return true;
}

bool check_location(struct put *put, GError **error)
{
	struct meta *meta = put->object;
	const struct meta *old = put->old;
	const char *canonical = control_location(put->control, meta->location);
	const GPtrArray *locations = control_locations(put->control);

	if (!canonical) {
		g_autoptr(GString) list = g_string_new(NULL);
		for (guint i = 0; i < locations->len; i++)
			g_string_append_printf(list, "%s%s", i ? "," : "", (char *)locations->pdata[i]);
		return fault_set(error, FAULT_BAD_LOCATION,
			"The provided location '%s' is not available for a %s. List of available regions is "
			"'%s'.",
			meta->location ? meta->location : "", kind_info((enum kind)meta->kind)->title,
			list->str);
	}
	if (old && !g_str_equal(old->location, canonical))
		return fault_set(error, FAULT_NOT_ALLOWED,
			"%s %s is in %s and cannot move to %s; delete it and create it there, or use another "
			"name",
			kind_info((enum kind)meta->kind)->title, meta->name, old->location, canonical);
	g_free(meta->location);
	meta->location = g_strdup(canonical);
	return true;
}

const char *tag_value(const struct meta *meta, const char *name)
{
	const char *key;
	json_t *value;

	json_object_foreach(meta->tags, key, value)
	{
		if (g_ascii_strcasecmp(key, name) == 0)
			return json_string_value(value);
	}
	return NULL;
}

void *check_reference(
	struct change *change, enum kind kind, const char *uid, const struct meta *from, GError **error)
{
	g_autoptr(GError) failure = NULL;
	void *object = change_get(change, kind, uid, &failure);

	if (!object && !g_error_matches(failure, FAULT, FAULT_NOT_FOUND)) {
		g_propagate_error(error, g_steal_pointer(&failure));
		return NULL;
	}
	if (!object || model_outcome(object)->state == PROVISIONING_DELETING) {
		fault_set(error, FAULT_INVALID_REFERENCE, "%s %s refers to a %s that %s; create it first",
			kind_info((enum kind)from->kind)->title, from->name, kind_info(kind)->title,
			object ? "is being deleted" : "does not exist");
		return NULL;
	}
	return object;
}

/* VMs have steps of their own; other kinds only wait for hosts, and a newer put takes the older one's place.
 */
bool check_not_busy(const void *object, GError **error)
{
	const struct meta *meta = object;
	const struct outcome *outcome = model_outcome((void *)object);
	const char *title = kind_info((enum kind)meta->kind)->title;

	if (outcome->state == PROVISIONING_DELETING)
		return fault_set(error, FAULT_BUSY, "%s %s is being deleted; wait until it is gone", title,
			meta->name);
	if (operation_running(outcome) &&
		(meta->kind == KIND_VM || meta->kind == KIND_DEPLOYMENT || meta->kind == KIND_SCALE_SET))
		return fault_set(error, FAULT_BUSY,
			"another operation on %s %s is under way; wait until it is over", title, meta->name);
	return meta->kind != KIND_VM || migrate_check_still(object, error);
}
