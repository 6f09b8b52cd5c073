/* Identities of resources. */
#include "api/arm/id.h"

#include "api/arm/error.h"
#include "api/route.h"

#include <string.h>

void arm_id_clear(struct arm_id *id)
{
	g_free(id->subscription);
	g_free(id->group);
	g_free(id->namespace);
	g_free(id->type);
	g_free(id->name);
	g_free(id->child);
	g_free(id->child_name);
	*id = (struct arm_id){};
}

static const char *const patterns[] = {
	"/subscriptions/{s}/resourceGroups/{g}",
	"/subscriptions/{s}/resourceGroups/{g}/providers/{n}/{t}/{m}",
	"/subscriptions/{s}/resourceGroups/{g}/providers/{n}/{t}/{m}/{c}/{d}",
};

static char *take(GHashTable *params, const char *name)
{
	return g_strdup(g_hash_table_lookup(params, name));
}

bool arm_id_parse(const char *text, struct arm_id *ret, GError **error)
{
	g_auto(GStrv) segments = path_split(text);

	for (size_t i = 0; segments && text[0] == '/' && i < G_N_ELEMENTS(patterns); i++) {
		g_autoptr(GHashTable) params = NULL;
		if (!path_match(patterns[i], segments, &params))
			continue;
		*ret = (struct arm_id){
			.subscription = take(params, "s"),
			.group = take(params, "g"),
			.namespace = take(params, "n"),
			.type = take(params, "t"),
			.name = take(params, "m"),
			.child = take(params, "c"),
			.child_name = take(params, "d"),
		};
		return true;
	}
	return arm_fault_set(error, ARM_INVALID_CONTENT,
		"'%s' is no resource id; one looks like "
		"/subscriptions/S/resourceGroups/G/providers/NAMESPACE/TYPE/NAME",
		text);
}

char *arm_id_format(const struct arm_id *id)
{
	g_autoptr(GString) text = g_string_new(NULL);

	g_string_append_printf(text, "/subscriptions/%s/resourceGroups/%s", id->subscription, id->group);
	if (id->name)
		g_string_append_printf(text, "/providers/%s/%s/%s", id->namespace, id->type, id->name);
	if (id->child_name)
		g_string_append_printf(text, "/%s/%s", id->child, id->child_name);
	return g_string_free(g_steal_pointer(&text), FALSE);
}

bool arm_id_equal(const struct arm_id *a, const struct arm_id *b)
{
	g_autofree char *left = arm_id_format(a), *right = arm_id_format(b);

	return g_ascii_strcasecmp(left, right) == 0;
}

bool arm_id_make(const char *subscription, const char *group, const char *type, const char *name,
	struct arm_id *ret, GError **error)
{
	g_auto(GStrv) types = g_strsplit(type, "/", -1), names = g_strsplit(name, "/", -1);
	guint n_types = g_strv_length(types), n_names = g_strv_length(names);

	if (n_types != n_names + 1)
		return arm_fault_set(error, ARM_INVALID_TYPE,
			"The type '%s' and the name '%s' do not fit: a type must have one part more than its "
			"name",
			type, name);
	if (n_names < 1 || n_names > 2)
		return arm_fault_set(error, ARM_INVALID_TYPE,
			"The resource type '%s' is not supported: no resource here has children of children.",
			type);
	*ret = (struct arm_id){
		.subscription = g_strdup(subscription),
		.group = g_strdup(group),
		.namespace = g_strdup(types[0]),
		.type = g_strdup(types[1]),
		.name = g_strdup(names[0]),
		.child = g_strdup(n_names > 1 ? types[2] : NULL),
		.child_name = g_strdup(n_names > 1 ? names[1] : NULL),
	};
	return true;
}

char *arm_id_type(const struct arm_id *id)
{
	return id->child ? g_strdup_printf("%s/%s/%s", id->namespace, id->type, id->child)
			 : g_strdup_printf("%s/%s", id->namespace, id->type);
}
