/* The host file: read by GKeyFile, which takes unknown and repeated things in silence; they are found here. */
#include "nic/host_file.h"

#include "base/fault.h"
#include "nic/inventory.h"

#include <string.h>

#define PHYSICAL "physical "
#define MEMORY   "memory"

#define ADDRESS_SHAPE   "^[0-9a-f]{4}:[0-9a-f]{2}:[01][0-9a-f]\\.[0-7]$"
#define MODEL_SHAPE     "^[0-9a-f]{4}:[0-9a-f]{4}$"
#define INTERFACE_SHAPE "^(?!\\.{1,2}$)[^/:\\s]{1,15}$" /* Linux net/core/dev.c, dev_valid_name() */
#define NAME_SHAPE      "^[0-9A-Za-z][0-9A-Za-z._-]*$"

static void physical_free(struct host_physical *physical)
{
	g_free(physical->name);
	g_ptr_array_unref(physical->devices);
	g_free(physical);
}

void host_file_free(struct host_file *file)
{
	g_ptr_array_unref(file->physicals);
	g_free(file);
}

/* What is being read, so that each sentence can say where. */
struct reading {
	const char *path;
	GKeyFile *keys; /* Borrowed */
	GHashTable *named; /* Borrowed; set of devices that are named already */
};

static bool has_shape(const char *text, const char *shape)
{
	return g_regex_match_simple(shape, text, G_REGEX_DOLLAR_ENDONLY, 0);
}

/* ---- what GKeyFile lets pass ---- */

static bool check_known(
	const struct reading *reading, const char *group, const char *const *known, GError **error)
{
	g_auto(GStrv) keys = g_key_file_get_keys(reading->keys, group, NULL, NULL);
	g_autofree char *all = g_strjoinv(", ", (char **)known);

	for (char **key = keys; *key; key++)
		if (!g_strv_contains(known, *key))
			return fault_set(error, FAULT_INVALID,
				"%s: [%s]: there is no key '%s'; it may have %s", reading->path, group, *key,
				all);
	return true;
}

/* A second group of a name would be merged with the first, a second key would replace it. */
static bool check_repeated(const char *path, const char *text, GError **error)
{
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	const char *group = "";

	for (char **at = lines; *at; at++) {
		char *line = g_strstrip(*at), *equals = strchr(line, '=');
		if (*line == '[')
			group = line;
		else if (equals && *line != '#')
			*equals = '\0';
		else
			continue;
		const char *key = line == group ? "" : g_strchomp(line);
		g_autofree char *name = g_strconcat(group, key, NULL);
		if (!g_hash_table_add(seen, g_ascii_strdown(name, -1)))
			return fault_set(error, FAULT_INVALID, "%s: %s%s%s is there twice; make one of both",
				path, group, *key ? ": " : "", key);
	}
	return true;
}

/* ---- values ---- */

static bool read_number(const struct reading *reading, const char *group, const char *key, unsigned max,
	unsigned *ret, GError **error)
{
	g_autofree char *text = g_key_file_get_string(reading->keys, group, key, NULL);
	guint64 number;

	if (!text)
		return true; /* it keeps its default */
	if (!g_ascii_string_to_unsigned(g_strstrip(text), 10, 0, max, &number, NULL))
		return fault_set(error, FAULT_INVALID, "%s: [%s]: %s: '%s' is no number from 0 to %u",
			reading->path, group, key, text, max);
	*ret = (unsigned)number;
	return true;
}

static bool read_mode(const struct reading *reading, const char *group, bool *ret, GError **error)
{
	g_autofree char *text = g_key_file_get_string(reading->keys, group, "mode", NULL);

	if (text && !g_str_equal(text, "legacy") && !g_str_equal(text, "switchdev"))
		return fault_set(error, FAULT_INVALID, "%s: [%s]: mode: '%s' is neither legacy nor switchdev",
			reading->path, group, text);
	*ret = g_strcmp0(text, "switchdev") == 0;
	return true;
}

/* PCI addresses and models have a ':', which no interface's name has. */
static bool is_device(const char *text)
{
	return has_shape(text, ADDRESS_SHAPE) || has_shape(text, MODEL_SHAPE) ||
	       has_shape(text, INTERFACE_SHAPE);
}

static bool add_device(const struct reading *reading, const char *group, const char *text, GPtrArray *devices,
	GError **error)
{
	g_autofree char *device = strchr(text, ':') ? g_ascii_strdown(text, -1) : g_strdup(text);

	g_strstrip(device);
	if (!is_device(device))
		return fault_set(error, FAULT_INVALID,
			"%s: [%s]: devices: '%s' is no interface's name, no PCI address (0000:3b:00.0) and "
			"no "
			"vendor:product (8086:10c9)",
			reading->path, group, device);
	if (!g_hash_table_add(reading->named, g_strdup(device)))
		return fault_set(error, FAULT_INVALID,
			"%s: [%s]: devices: %s is named twice; a device leads to one "
			"physical network",
			reading->path, group, device);
	g_ptr_array_add(devices, g_steal_pointer(&device));
	return true;
}

static bool read_devices(const struct reading *reading, const char *group, GPtrArray *devices, GError **error)
{
	g_auto(GStrv) list = g_key_file_get_string_list(reading->keys, group, "devices", NULL, NULL);

	if (!list || !list[0])
		return fault_set(error, FAULT_INVALID,
			"%s: [%s]: devices: name the NICs that lead to this physical network, with ';' "
			"between them",
			reading->path, group);
	for (char **text = list; *text; text++)
		if (!add_device(reading, group, *text, devices, error))
			return false;
	return true;
}

/* ---- groups ---- */

static bool read_physical(
	const struct reading *reading, const char *group, struct host_file *file, GError **error)
{
	static const char *const known[] = {"devices", "vfs", "mode", NULL};
	const char *name = group + strlen(PHYSICAL);
	struct host_physical *physical = g_new0(struct host_physical, 1);

	physical->name = g_ascii_strdown(name, -1);
	physical->devices = g_ptr_array_new_with_free_func(g_free);
	g_ptr_array_add(file->physicals, physical);
	if (strlen(name) > HOST_NAME_MAX || !has_shape(name, NAME_SHAPE))
		return fault_set(error, FAULT_INVALID,
			"%s: [%s]: '%s' is no name of a physical network: at most %d letters, digits, '-', "
			"'_' and "
			"'.'",
			reading->path, group, name, HOST_NAME_MAX);
	return check_known(reading, group, known, error) &&
	       read_devices(reading, group, physical->devices, error) &&
	       read_number(reading, group, "vfs", HOST_VFS_MAX, &physical->vfs, error) &&
	       read_mode(reading, group, &physical->switchdev, error);
}

static bool read_memory(const struct reading *reading, struct host_file *file, GError **error)
{
	static const char *const known[] = {"hugepages", NULL};

	return check_known(reading, MEMORY, known, error) &&
	       read_number(reading, MEMORY, "hugepages", G_MAXINT, &file->hugepages, error);
}

static bool read_group(
	const struct reading *reading, const char *group, struct host_file *file, GError **error)
{
	if (g_str_has_prefix(group, PHYSICAL))
		return read_physical(reading, group, file, error);
	if (g_str_equal(group, MEMORY))
		return read_memory(reading, file, error);
	return fault_set(error, FAULT_INVALID,
		"%s: there is no group [%s]; it may have [physical NAME] and [memory]", reading->path, group);
}

/* An agent has one provider, so all of a host's NICs have one mode; those that give no VFs, too. */
static bool check_modes(const char *path, const struct host_file *file, GError **error)
{
	const struct host_physical *first = file->physicals->len ? file->physicals->pdata[0] : NULL;

	for (guint i = 1; i < file->physicals->len; i++) {
		const struct host_physical *other = file->physicals->pdata[i];
		if (other->switchdev != first->switchdev)
			return fault_set(error, FAULT_INVALID,
				"%s: [physical %s] has %s in %s mode, [physical %s] has %s in %s mode; all "
				"NICs of a host have one mode: write the same 'mode' in every [physical], or "
				"leave one of the two out, for another host",
				path, first->name, (const char *)first->devices->pdata[0],
				first->switchdev ? "switchdev" : "legacy", other->name,
				(const char *)other->devices->pdata[0],
				other->switchdev ? "switchdev" : "legacy");
	}
	return true;
}

static bool read_groups(const char *path, const char *text, struct host_file *file, GError **error)
{
	g_autoptr(GKeyFile) keys = g_key_file_new();
	g_autoptr(GHashTable) named = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	const struct reading reading = {path, keys, named};
	g_autoptr(GError) cause = NULL;

	if (*text && !g_key_file_load_from_data(keys, text, strlen(text), G_KEY_FILE_NONE, &cause))
		return fault_set(error, FAULT_INVALID, "%s: %s", path, cause->message);
	g_auto(GStrv) groups = g_key_file_get_groups(keys, NULL);
	for (char **group = groups; *group; group++)
		if (!read_group(&reading, *group, file, error))
			return false;
	return check_repeated(path, text, error) && check_modes(path, file, error);
}

/* GKeyFile knows comments that have a line of their own; people write them behind values, too. No value has a '#'. */
static char *without_comments(const char *text)
{
	g_autoptr(GRegex) behind = g_regex_new("[ \\t]+(#.*)?$", G_REGEX_MULTILINE, 0, NULL);

	return g_regex_replace_literal(behind, text, -1, 0, "", 0, NULL);
}

struct host_file *host_file_read(const char *path, GError **error)
{
	_cleanup_(host_file_free) struct host_file *file = g_new0(struct host_file, 1);
	g_autofree char *written = NULL, *text = NULL;
	g_autoptr(GError) cause = NULL;

	file->physicals = g_ptr_array_new_with_free_func((GDestroyNotify)physical_free);
	if (!g_file_get_contents(path, &written, NULL, &cause) &&
		!g_error_matches(cause, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
		fault_set(error, FAULT_INTERNAL, "the host file cannot be read: %s", cause->message);
		return NULL;
	}
	if (written)
		text = without_comments(written);
	if (written && !text) {
		fault_set(error, FAULT_INVALID, "%s: it is no text in UTF-8", path);
		return NULL;
	}
	return !text || read_groups(path, text, file, error) ? g_steal_pointer(&file) : NULL;
}

/* ---- devices ---- */

static bool is_meant(const struct nic_pf *pf, const char *device)
{
	g_autofree char *model = g_strdup_printf("%04x:%04x", pf->vendor, pf->device);

	return g_str_equal(device, pf->address) || g_str_equal(device, model) ||
	       g_strcmp0(device, pf->netdev) == 0;
}

/* "ens1f0 (0000:3b:00.0, 8086:10fb), …": what an operator may have meant. Owned by the caller. */
static char *describe(const GPtrArray *inventory)
{
	GString *all = g_string_new(inventory->len ? "" : "no NIC at all");

	for (guint i = 0; i < inventory->len; i++) {
		const struct nic_pf *pf = inventory->pdata[i];
		g_string_append_printf(all, "%s%s (%s, %04x:%04x)", i ? ", " : "",
			pf->netdev ? pf->netdev : "one without an interface", pf->address, pf->vendor,
			pf->device);
	}
	return g_string_free(all, false);
}

/* PFs that the device's name means: one, or as many as there are of a model. */
static bool add_pfs(const struct host_physical *physical, const char *device, const GPtrArray *inventory,
	GPtrArray *pfs, GError **error)
{
	guint before = pfs->len;

	for (guint i = 0; i < inventory->len; i++) {
		const struct nic_pf *pf = inventory->pdata[i];
		if (!is_meant(pf, device))
			continue;
		if (g_ptr_array_find_with_equal_func(pfs, pf->address, g_str_equal, NULL))
			return fault_set(error, FAULT_INVALID,
				"physical network %s: its device %s is %s, which it has already by another "
				"name",
				physical->name, device, pf->address);
		g_ptr_array_add(pfs, g_strdup(pf->address));
	}
	if (pfs->len > before)
		return true;
	g_autofree char *all = describe(inventory);
	return fault_set(error, FAULT_NOT_FOUND,
		"physical network %s: its device %s is not there; this host has %s", physical->name, device,
		all);
}

GPtrArray *host_file_pfs(const struct host_physical *physical, const GPtrArray *inventory, GError **error)
{
	g_autoptr(GPtrArray) pfs = g_ptr_array_new_with_free_func(g_free);

	for (guint i = 0; i < physical->devices->len; i++)
		if (!add_pfs(physical, physical->devices->pdata[i], inventory, pfs, error))
			return NULL;
	return g_steal_pointer(&pfs);
}

GPtrArray *host_file_find_pfs(
	const struct host_physical *physical, const GPtrArray *inventory, GPtrArray *lacks)
{
	GPtrArray *pfs = g_ptr_array_new_with_free_func(g_free);

	for (guint i = 0; i < physical->devices->len; i++) {
		g_autoptr(GError) error = NULL;
		if (!add_pfs(physical, physical->devices->pdata[i], inventory, pfs, &error))
			g_ptr_array_add(lacks, g_strdup(error->message));
	}
	return pfs;
}

/* owners: name of the physical network by PCI address. */
static bool check_owners(
	const struct host_physical *physical, const GPtrArray *pfs, GHashTable *owners, GError **error)
{
	for (guint i = 0; i < pfs->len; i++) {
		const char *other = g_hash_table_lookup(owners, pfs->pdata[i]);
		if (other)
			return fault_set(error, FAULT_INVALID,
				"%s is a device of two physical networks, %s and %s; a device leads to one",
				(const char *)pfs->pdata[i], other, physical->name);
		g_hash_table_insert(owners, g_strdup(pfs->pdata[i]), physical->name);
	}
	return true;
}

bool host_file_check(const struct host_file *file, const GPtrArray *inventory, GError **error)
{
	g_autoptr(GHashTable) owners = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

	for (guint i = 0; i < file->physicals->len; i++) {
		const struct host_physical *physical = file->physicals->pdata[i];
		g_autoptr(GPtrArray) pfs = host_file_pfs(physical, inventory, error);
		if (!pfs || !check_owners(physical, pfs, owners, error))
			return false;
	}
	return true;
}
