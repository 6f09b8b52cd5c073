/* Aliases of images. */
#include "vm/image_alias.h"

#include "base/fault.h"
#include "vm/image_build.h"
#include "vm/image_support.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define ALIASES_FILE "aliases.json"

/* What az's users ask for. All stand for the one built image, and say so. */
static const struct default_alias {
	const char *name, *publisher, *offer, *sku, *what;
} default_aliases[] = {
	{"UbuntuLTS", "Canonical", "UbuntuServer", "18.04-LTS", "Ubuntu 18.04"},
	{"Ubuntu2204", "Canonical", "0001-com-ubuntu-server-jammy", "22_04-lts-gen2", "Ubuntu 22.04"},
	{"Ubuntu2404", "Canonical", "ubuntu-24_04-lts", "server", "Ubuntu 24.04"},
	{"Debian11", "Debian", "debian-11", "11-backports-gen2", "Debian 11"},
	{"Debian12", "Debian", "debian-12", "12-gen2", "a full Debian 12"},
};

void image_alias_free(struct image_alias *alias)
{
	if (!alias)
		return;
	g_free(alias->name);
	g_free(alias->publisher);
	g_free(alias->offer);
	g_free(alias->sku);
	g_free(alias->version);
	g_free(alias->architecture);
	g_free(alias->image);
	g_free(alias->description);
	g_free(alias);
}

static struct image_alias *alias_from_json(const char *name, json_t *json, GError **error)
{
	const char *publisher, *offer, *sku, *version = "latest", *architecture = "x64", *image,
					     *description = "";
	int accelerated = 0;
	json_error_t where;

	if (json_unpack_ex(json, &where, 0, "{s:s, s:s, s:s, s?s, s?s, s:s, s?s, s?b}", "publisher",
		    &publisher, "offer", &offer, "sku", &sku, "version", &version, "architecture",
		    &architecture, "image", &image, "description", &description, "accelerated",
		    &accelerated) < 0) {
		fault_set(error, FAULT_INVALID, "alias %s: %s", name, where.text);
		return NULL;
	}

	struct image_alias *alias = g_new0(struct image_alias, 1);

	alias->name = g_strdup(name);
	alias->publisher = g_strdup(publisher);
	alias->offer = g_strdup(offer);
	alias->sku = g_strdup(sku);
	alias->version = g_strdup(version);
	alias->architecture = g_strdup(architecture);
	alias->image = g_strdup(image);
	alias->description = g_strdup(description);
	alias->accelerated = accelerated;
	return alias;
}

/* The file as an object, empty when it does not exist; a new reference. */
static json_t *load_file(const char *path, GError **error)
{
	json_error_t where;
	json_t *json;

	if (!g_file_test(path, G_FILE_TEST_EXISTS))
		return json_object();
	json = json_load_file(path, JSON_REJECT_DUPLICATES, &where);
	if (json_is_object(json))
		return json;
	fault_set(error, FAULT_INVALID, "%s: line %d: %s", path, where.line, json ? "no object" : where.text);
	json_decref(json);
	return NULL;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(
		(*(const struct image_alias *const *)a)->name, (*(const struct image_alias *const *)b)->name);
}

GPtrArray *image_alias_list(const char *image_dir, GError **error)
{
	g_autofree char *path = g_build_filename(image_dir, ALIASES_FILE, NULL);
	g_autoptr(GPtrArray) aliases = g_ptr_array_new_with_free_func((GDestroyNotify)image_alias_free);
	json_t *json = load_file(path, error), *item;
	const char *name;
	bool ok = json;

	json_object_foreach(json, name, item)
	{
		struct image_alias *alias = ok ? alias_from_json(name, item, error) : NULL;

		if (alias)
			g_ptr_array_add(aliases, alias);
		else if (ok)
			g_prefix_error(error, "%s: ", path);
		ok = alias;
	}
	json_decref(json);
	g_ptr_array_sort(aliases, compare_names);
	return ok ? g_steal_pointer(&aliases) : NULL;
}

/* Sets what depends on the image; the names stay. */
static void describe(json_t *alias, const struct image *image, bool accelerated, const char *description)
{
	json_object_set_new(alias, "version", json_string(image->version ? image->version : "latest"));
	json_object_set_new(alias, "image", json_string(image->id));
	json_object_set_new(alias, "accelerated", json_boolean(accelerated));
	json_object_set_new(alias, "description", json_string(description ? description : ""));
}

/* Points the alias of something well known at an image that is not that, and says so. */
static void point_at(json_t *alias, const struct image *image, const char *what)
{
	g_autofree char *description = g_strdup_printf("Not %s: %s", what, image->description);

	describe(alias, image, image->accelerated, description);
}

static const char *what_it_is_not(const char *name)
{
	for (size_t i = 0; i < G_N_ELEMENTS(default_aliases); i++)
		if (g_str_equal(name, default_aliases[i].name))
			return default_aliases[i].what;
	return name;
}

static void add_defaults(json_t *json, const struct image *image)
{
	for (size_t i = 0; i < G_N_ELEMENTS(default_aliases); i++) {
		const struct default_alias *wanted = &default_aliases[i];
		json_t *alias = json_pack("{s:s, s:s, s:s, s:s}", "publisher", wanted->publisher, "offer",
			wanted->offer, "sku", wanted->sku, "architecture", "x64");

		point_at(alias, image, wanted->what);
		json_object_set_new(json, wanted->name, alias);
	}
}

static void move_built(json_t *json, const struct image *image)
{
	const char *name;
	json_t *alias;

	json_object_foreach(json, name, alias)
	{
		const char *id = json_string_value(json_object_get(alias, "image"));

		if (id && g_str_has_prefix(id, IMAGE_BUILD_PREFIX))
			point_at(alias, image, what_it_is_not(name));
	}
}

static bool write_file(const char *path, const json_t *json, GError **error)
{
	g_autoptr(GError) failure = NULL;
	char *text = json_dumps(json, JSON_INDENT(2));
	bool ok = g_file_set_contents_full(
		path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0644, &failure);

	free(text);
	return ok || fault_set(error, FAULT_INTERNAL, "%s cannot be written: %s", path, failure->message);
}

bool image_alias_set_built(const char *image_dir, const struct image *image, GError **error)
{
	g_autofree char *path = g_build_filename(image_dir, ALIASES_FILE, NULL);
	json_auto_t *json = load_file(path, error);

	if (!json)
		return false;
	if (g_file_test(path, G_FILE_TEST_EXISTS))
		move_built(json, image);
	else
		add_defaults(json, image);
	return write_file(path, json, error);
}

/* ---- one alias ---- */

static const char *const urn_members[] = {"publisher", "offer", "sku"};
#define URN_PARTS G_N_ELEMENTS(urn_members)

static bool has_urn(const json_t *alias, char *const *parts)
{
	for (size_t i = 0; i < URN_PARTS; i++) {
		const char *value = json_string_value(json_object_get(alias, urn_members[i]));
		if (!value || g_ascii_strcasecmp(value, parts[i]) != 0)
			return false;
	}
	return true;
}

static bool check_urn(const char *urn, GError **error)
{
	g_auto(GStrv) parts = g_strsplit(urn, ":", -1);

	for (size_t i = 0; i < URN_PARTS; i++)
		if (g_strv_length(parts) != URN_PARTS || !image_id_is_valid(parts[i]))
			return fault_set(error, FAULT_INVALID,
				"a URN is publisher:offer:sku, of letters, digits, '.', '_' and '-', not "
				"'%s'",
				urn);
	return true;
}

bool image_check_names(const char *id, const char *alias, const char *urn, GError **error)
{
	if (id && !image_id_is_valid(id))
		return fault_set(error, FAULT_INVALID, "'%s' cannot be the id of an image", id);
	if (alias && !image_id_is_valid(alias))
		return fault_set(error, FAULT_INVALID,
			"an alias has letters, digits, '.', '_' and '-', and starts with one of the first "
			"two; '%s' does not",
			alias);
	return !urn || check_urn(urn, error);
}

/* No other alias has it. */
static bool check_unique(
	const json_t *json, const char *name, const char *urn, char *const *parts, GError **error)
{
	const char *other;
	json_t *alias;

	json_object_foreach((json_t *)json, other, alias)
	{
		if (!g_str_equal(other, name) && has_urn(alias, parts))
			return fault_set(error, FAULT_INVALID,
				"alias %s has the URN %s already; give %s another", other, urn, name);
	}
	return true;
}

/* The image says so itself, or the alias has the name of one that is known to. */
static bool is_accelerated(const json_t *alias, const struct image *image)
{
	const char *urn[URN_PARTS];

	for (size_t i = 0; i < URN_PARTS; i++)
		urn[i] = json_string_value(json_object_get(alias, urn_members[i]));
	return image->accelerated || image_support_is_documented(urn[0], urn[1], urn[2]);
}

bool image_alias_set(
	const char *image_dir, const char *name, const char *urn, const struct image *image, GError **error)
{
	g_autofree char *path = g_build_filename(image_dir, ALIASES_FILE, NULL);
	g_autofree char *made = g_strdup_printf("sluice:%s:default", name);
	json_auto_t *json = NULL;

	if (!image_check_names(NULL, name, urn, error) || !(json = load_file(path, error)))
		return false;
	json_t *alias = json_object_get(json, name);
	if (!alias)
		json_object_set_new(json, name, alias = json_pack("{s:s}", "architecture", "x64"));
	else if (!json_is_object(alias))
		return fault_set(error, FAULT_INVALID, "%s: alias %s is no object", path, name);
	if (!urn && !json_object_get(alias, "sku"))
		urn = made;
	if (urn) {
		g_auto(GStrv) parts = g_strsplit(urn, ":", -1);
		if (!check_unique(json, name, urn, parts, error))
			return false;
		for (size_t i = 0; i < URN_PARTS; i++)
			json_object_set_new(alias, urn_members[i], json_string(parts[i]));
	}
	describe(alias, image, is_accelerated(alias, image), image->description);
	return write_file(path, json, error);
}

bool image_alias_remove(const char *image_dir, const char *name, GError **error)
{
	g_autofree char *path = g_build_filename(image_dir, ALIASES_FILE, NULL);
	json_auto_t *json = load_file(path, error);

	if (!json)
		return false;
	if (json_object_del(json, name) < 0)
		return fault_set(error, FAULT_NOT_FOUND, "there is no alias %s in %s", name, path);
	return write_file(path, json, error);
}

bool image_alias_supports(const GPtrArray *aliases, const char *image)
{
	for (guint i = 0; i < aliases->len; i++) {
		const struct image_alias *alias = aliases->pdata[i];
		if (alias->accelerated && g_str_equal(alias->image, image))
			return true;
	}
	return false;
}

char *image_alias_names(const GPtrArray *aliases, const char *image, const char *separator)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new();

	for (guint i = 0; i < aliases->len; i++) {
		const struct image_alias *alias = aliases->pdata[i];
		if (g_str_equal(alias->image, image))
			g_ptr_array_add(names, alias->name);
	}
	g_ptr_array_add(names, NULL);
	return g_strjoinv(separator, (char **)names->pdata);
}
