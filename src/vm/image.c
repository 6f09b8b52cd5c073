/* Image store: reading. */
#include "vm/image.h"

#include "base/fault.h"
#include "base/log.h"
#include "vm/image_qcow2.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <jansson.h>
#include <string.h>

#define DISK_FORMAT "qcow2"

void image_free(struct image *image)
{
	if (!image)
		return;
	g_free(image->id);
	g_free(image->description);
	g_free(image->disk_path);
	g_free(image->disk_format);
	g_free(image->kernel_path);
	g_free(image->initrd_path);
	g_free(image->cmdline);
	g_free(image->cmdline_tcg);
	g_free(image->os);
	g_free(image->built_from);
	g_free(image->version);
	g_free(image);
}

bool image_id_is_valid(const char *id)
{
	size_t length = strlen(id);

	if (length == 0 || length > IMAGE_ID_MAX || !g_ascii_isalnum(id[0]))
		return false;
	for (size_t i = 1; i < length; i++)
		if (!g_ascii_isalnum(id[i]) && !strchr("._-", id[i]))
			return false;
	return true;
}

/* Path of a file that the manifest names; NULL when it leaves it out. Such a name is a plain one. */
static bool take_path(const char *folder, const char *member, const char *name, char **ret, GError **error)
{
	g_autofree char *path = NULL;

	*ret = NULL;
	if (!name)
		return true;
	if (name[0] == '.' || name[0] == '\0' || strchr(name, '/'))
		return fault_set(error, FAULT_INVALID, "%s: '%s' is no plain file name", member, name);
	path = g_build_filename(folder, name, NULL);
	if (!g_file_test(path, G_FILE_TEST_IS_REGULAR))
		return fault_set(error, FAULT_INVALID, "%s: %s is missing", member, path);
	*ret = g_steal_pointer(&path);
	return true;
}

/* Members of the manifest as they stand in it, Borrowed. */
struct manifest {
	const char *id, *description, *disk, *format, *kernel, *initrd, *cmdline, *cmdline_tcg, *os,
		*built_from, *version;
	int accelerated;
};

static bool read_manifest(json_t *json, struct manifest *m, GError **error)
{
	json_error_t where;

	if (json_unpack_ex(json, &where, 0, "{s:s, s?s, s:s, s:s, s?s, s?s, s?s, s?s, s?s, s?b, s?s, s?s}",
		    "id", &m->id, "description", &m->description, "disk", &m->disk, "format", &m->format,
		    "kernel", &m->kernel, "initrd", &m->initrd, "cmdline", &m->cmdline, "cmdline_tcg",
		    &m->cmdline_tcg, "os", &m->os, "accelerated", &m->accelerated, "built_from",
		    &m->built_from, "version", &m->version) < 0)
		return fault_set(error, FAULT_INVALID, "%s", where.text);
	if (!g_str_equal(m->format, DISK_FORMAT))
		return fault_set(
			error, FAULT_INVALID, "format: '%s' is not known, only " DISK_FORMAT, m->format);
	if (m->initrd && !m->kernel)
		return fault_set(error, FAULT_INVALID, "initrd: it needs a kernel");
	return true;
}

static struct image *image_from_json(json_t *json, const char *folder, const char *id, GError **error)
{
	_cleanup_(image_free) struct image *image = g_new0(struct image, 1);
	struct manifest m = {.os = "linux"};

	if (!read_manifest(json, &m, error) || !take_path(folder, "disk", m.disk, &image->disk_path, error) ||
		!take_path(folder, "kernel", m.kernel, &image->kernel_path, error) ||
		!take_path(folder, "initrd", m.initrd, &image->initrd_path, error) ||
		!image_qcow2_check(image->disk_path, &image->virtual_bytes, error))
		return NULL;
	if (!g_str_equal(m.id, id)) {
		fault_set(error, FAULT_INVALID, "id: '%s' stands in the folder of another", m.id);
		return NULL;
	}
	image->id = g_strdup(id);
	image->description = g_strdup(m.description ? m.description : id);
	image->disk_format = g_strdup(m.format);
	image->cmdline = m.kernel ? g_strdup(m.cmdline ? m.cmdline : "") : NULL;
	image->cmdline_tcg = g_strdup(m.cmdline_tcg);
	image->os = g_strdup(m.os);
	image->built_from = g_strdup(m.built_from);
	image->version = g_strdup(m.version);
	image->accelerated = m.accelerated;
	return g_steal_pointer(&image);
}

struct image *image_load(const char *image_dir, const char *id, GError **error)
{
	if (!image_check_names(id, NULL, NULL, error))
		return NULL;

	g_autofree char *folder = g_build_filename(image_dir, id, NULL);
	g_autofree char *path = g_build_filename(folder, "manifest.json", NULL);
	json_error_t where;
	json_t *json = json_load_file(path, 0, &where);
	struct image *image = NULL;

	if (json)
		image = image_from_json(json, folder, id, error);
	else if (!g_file_test(folder, G_FILE_TEST_IS_DIR))
		fault_set(error, FAULT_NOT_FOUND, "image %s is not in %s; `sluice image list` shows what is",
			id, image_dir);
	else
		fault_set(error, FAULT_INVALID, "line %d: %s", where.line, where.text);
	if (!image && !g_error_matches(error ? *error : NULL, FAULT, FAULT_NOT_FOUND))
		g_prefix_error(error, "image %s is not usable: %s: ", id, path);
	json_decref(json);
	return image;
}

static int compare_ids(const void *a, const void *b)
{
	return strcmp((*(const struct image *const *)a)->id, (*(const struct image *const *)b)->id);
}

GPtrArray *image_list(const char *image_dir, GError **error)
{
	g_autoptr(GError) failure = NULL;
	g_autoptr(GPtrArray) images = g_ptr_array_new_with_free_func((GDestroyNotify)image_free);
	g_autoptr(GDir) dir = g_dir_open(image_dir, 0, &failure);
	const char *name;

	if (!dir && !g_error_matches(failure, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
		fault_set(error, FAULT_INTERNAL, "the image store %s cannot be read: %s", image_dir,
			failure->message);
		return NULL;
	}
	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(image_dir, name, NULL);
		g_autoptr(GError) bad = NULL;
		struct image *image;

		if (!image_id_is_valid(name) || !g_file_test(path, G_FILE_TEST_IS_DIR))
			continue;
		image = image_load(image_dir, name, &bad);
		if (image)
			g_ptr_array_add(images, image);
		else
			log_warn("images", "%s", bad->message);
	}
	g_ptr_array_sort(images, compare_ids);
	return g_steal_pointer(&images);
}

char *image_cmdline(const struct image *image, bool tcg)
{
	if (!image->kernel_path)
		return NULL;
	if (!tcg || !image->cmdline_tcg)
		return g_strdup(image->cmdline);
	return g_strconcat(image->cmdline, " ", image->cmdline_tcg, NULL);
}
