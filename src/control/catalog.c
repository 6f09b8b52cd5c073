/* What the operator offers: locations, sizes, images.
 *
 * The image list is read again when its file changed, so that `sluice image build` needs no restart.
 */
#include "base/fault.h"
#include "base/log.h"
#include "control/control_priv.h"

#include <glib/gstdio.h>
#include <string.h>

#define BANDWIDTH_MAX_MBPS 1000000

struct catalog {
	GPtrArray *locations;
	GPtrArray *sizes; /* of struct size */
	GPtrArray *images; /* of struct image_entry */
	char *aliases_path;
	GStatBuf aliases_stat; /* of the file that `images` was read from */
};

#define SHAPE(NAME, type, title, ...)                                                                        \
	static const struct field NAME##_fields[] = {__VA_ARGS__, F_END};                                    \
	static const struct shape NAME##_shape = {title, sizeof(type), NAME##_fields}

SHAPE(size, struct size, "size", F_STRING(size, name), F_STRING(size, family), F_INT(size, vcpus),
	F_INT(size, memory_mib), F_INT(size, max_nics), F_INT(size, bandwidth_mbps), F_INT(size, os_disk_mib),
	F_INT(size, resource_disk_mib), F_INT(size, max_data_disks), F_BOOL(size, hyperthreaded),
	F_BOOL(size, accelerated), F_BOOL(size, accelerated_ignored), F_BOOL(size, rdma));
SHAPE(image_entry, struct image_entry, "image alias", F_STRING(image_entry, alias),
	F_STRING(image_entry, publisher), F_STRING(image_entry, offer), F_STRING(image_entry, sku),
	F_STRING(image_entry, version), F_STRING(image_entry, architecture), F_STRING(image_entry, image),
	F_BOOL(image_entry, accelerated), F_STRING(image_entry, description));

static bool check_size(const struct size *size, GError **error)
{
	if (!size->name || size->vcpus < 1 || size->memory_mib < 128 || size->max_nics < 1)
		return fault_set(error, FAULT_INVALID,
			"size '%s' needs a name, vcpus, memory_mib of 128 or more and max_nics",
			size->name ? size->name : "");
	if (size->bandwidth_mbps < 0 || size->bandwidth_mbps > BANDWIDTH_MAX_MBPS)
		return fault_set(error, FAULT_INVALID,
			"size %s: bandwidth_mbps is a number up to %d, or 0 for no limit", size->name,
			BANDWIDTH_MAX_MBPS);
	if (size->accelerated && size->accelerated_ignored)
		return fault_set(error, FAULT_INVALID,
			"size %s is either accelerated or accelerated_ignored, not both", size->name);
	if (size->accelerated && size->vcpus < (size->hyperthreaded ? 4 : 2))
		return fault_set(error, FAULT_INVALID,
			"size %s cannot be accelerated: it takes %d vCPUs or more", size->name,
			size->hyperthreaded ? 4 : 2);
	return true;
}

static bool load_sizes(struct catalog *catalog, const char *path, GError **error)
{
	json_error_t where;
	json_t *json = json_load_file(path, 0, &where), *item;
	size_t i;

	if (!json_is_array(json)) {
		json_decref(json);
		return fault_set(error, FAULT_INVALID, "the catalog of sizes %s cannot be read (line %d: %s)",
			path, where.line, where.text);
	}
	catalog->sizes = shape_list_new(&size_shape);
	json_array_foreach(json, i, item)
	{
		struct size *size = shape_decode(&size_shape, item, SHAPE_LENIENT, error);
		if (size)
			g_ptr_array_add(catalog->sizes, size);
		if (!size || !check_size(size, error)) {
			g_prefix_error(error, "%s: entry %zu: ", path, i);
			json_decref(json);
			return false;
		}
	}
	json_decref(json);
	return true;
}

/* Keeps the images it has when the new file is broken, and says so. */
static void load_images(struct catalog *catalog)
{
	json_error_t where;
	json_t *json = json_load_file(catalog->aliases_path, 0, &where), *item;
	GPtrArray *images = shape_list_new(&image_entry_shape);
	const char *alias;

	if (!json_is_object(json))
		log_warn("images", "%s cannot be read (line %d: %s); the images known before stay",
			catalog->aliases_path, where.line, where.text);
	json_object_foreach(json, alias, item)
	{
		g_autoptr(GError) failure = NULL;
		struct image_entry *entry = shape_decode(&image_entry_shape, item, SHAPE_LENIENT, &failure);
		if (!entry || !entry->publisher || !entry->offer || !entry->sku || !entry->image) {
			log_warn("images", "%s: alias %s is left out: %s", catalog->aliases_path, alias,
				failure ? failure->message : "publisher, offer, sku and image are needed");
			if (entry)
				shape_free(&image_entry_shape, entry);
			continue;
		}
		g_free(entry->alias);
		entry->alias = g_strdup(alias);
		g_ptr_array_add(images, entry);
	}
	if (json_is_object(json))
		g_clear_pointer(&catalog->images, g_ptr_array_unref);
	if (!catalog->images)
		catalog->images = g_steal_pointer(&images);
	g_clear_pointer(&images, g_ptr_array_unref);
	json_decref(json);
}

struct catalog *catalog_open(const struct control_config *config, GError **error)
{
	struct catalog *catalog = g_new0(struct catalog, 1);

	catalog->locations = g_ptr_array_ref(config->locations);
	catalog->aliases_path = g_strdup(config->aliases_path);
	catalog->images = shape_list_new(&image_entry_shape);
	if (load_sizes(catalog, config->sizes_path, error))
		return catalog;
	catalog_close(catalog);
	return NULL;
}

void catalog_close(struct catalog *catalog)
{
	if (!catalog)
		return;
	g_clear_pointer(&catalog->locations, g_ptr_array_unref);
	g_clear_pointer(&catalog->sizes, g_ptr_array_unref);
	g_clear_pointer(&catalog->images, g_ptr_array_unref);
	g_free(catalog->aliases_path);
	g_free(catalog);
}

const GPtrArray *control_locations(struct control *control)
{
	return control->catalog->locations;
}

const GPtrArray *control_sizes(struct control *control)
{
	return control->catalog->sizes;
}

const GPtrArray *control_images(struct control *control)
{
	struct catalog *catalog = control->catalog;
	GStatBuf now = {};

	if (!catalog->aliases_path || g_stat(catalog->aliases_path, &now) < 0)
		return catalog->images;
	if (now.st_ino != catalog->aliases_stat.st_ino || now.st_size != catalog->aliases_stat.st_size ||
		now.st_mtim.tv_sec != catalog->aliases_stat.st_mtim.tv_sec ||
		now.st_mtim.tv_nsec != catalog->aliases_stat.st_mtim.tv_nsec) {
		catalog->aliases_stat = now;
		load_images(catalog);
	}
	return catalog->images;
}

/* "Central US" and "centralus" are the same location. */
static bool same_location(const char *a, const char *b)
{
	for (;; a++, b++) {
		while (*a == ' ')
			a++;
		while (*b == ' ')
			b++;
		if (g_ascii_tolower(*a) != g_ascii_tolower(*b))
			return false;
		if (!*a)
			return true;
	}
}

const char *control_location(struct control *control, const char *name)
{
	const GPtrArray *locations = control->catalog->locations;

	for (guint i = 0; name && i < locations->len; i++)
		if (same_location(locations->pdata[i], name))
			return locations->pdata[i];
	return NULL;
}

const struct size *control_size(struct control *control, const char *name)
{
	const GPtrArray *sizes = control->catalog->sizes;

	for (guint i = 0; name && i < sizes->len; i++) {
		const struct size *size = sizes->pdata[i];
		if (g_ascii_strcasecmp(size->name, name) == 0)
			return size;
	}
	return NULL;
}

bool catalog_supports(struct control *control, const char *image)
{
	const GPtrArray *images = control_images(control);
	bool known = false;

	for (guint i = 0; i < images->len; i++) {
		const struct image_entry *entry = images->pdata[i];
		if (!g_str_equal(entry->image, image))
			continue;
		if (entry->accelerated)
			return true;
		known = true;
	}
	return !known;
}

/* What can be the id of an image is vm/image.h's to say; here it must not lead elsewhere. */
bool catalog_has_stored(struct control *control, const char *image)
{
	const char *aliases = control->catalog->aliases_path;

	if (!aliases || !g_ascii_isalnum(*image) ||
		image[strspn(image, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "._-")])
		return false;
	g_autofree char *store = g_path_get_dirname(aliases),
			*manifest = g_build_filename(store, image, "manifest.json", NULL);
	return g_file_test(manifest, G_FILE_TEST_IS_REGULAR);
}

const struct image_entry *catalog_image(struct control *control, const char *image)
{
	const GPtrArray *images = control_images(control);

	for (guint i = 0; i < images->len; i++) {
		const struct image_entry *entry = images->pdata[i];
		if (g_str_equal(entry->image, image))
			return entry;
	}
	return NULL;
}
