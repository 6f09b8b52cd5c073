/* Image store: what comes and goes. */
#include "base/fault.h"
#include "vm/image.h"
#include "vm/image_alias.h"
#include "vm/image_qcow2.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DISK_FILE     "disk.qcow2"
#define MANIFEST_FILE "manifest.json"

static bool fail_errno(GError **error, const char *what, const char *path)
{
	return fault_set(error, FAULT_INTERNAL, "%s %s: %s", what, path, g_strerror(errno));
}

/* Files of an image lie flat in its folder. */
static bool remove_folder(const char *folder, GError **error)
{
	g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(folder, name, NULL);

		if (g_unlink(path) < 0)
			return fail_errno(error, "cannot remove", path);
	}
	return g_rmdir(folder) == 0 || fail_errno(error, "cannot remove", folder);
}

/* A folder that is still being made: removed unless it was published. */
static void discard_folder(char *folder)
{
	remove_folder(folder, NULL);
	g_free(folder);
}
CLEANUP_FUNC(char *, discard_folder)

static bool sync_path(const char *path, GError **error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool ok = fd >= 0 && fsync(fd) == 0;

	if (!ok)
		fail_errno(error, "cannot write to the disk", path);
	if (fd >= 0)
		close(fd);
	return ok;
}

/* The source is looked at before it is copied, to fail early, and the copy again: the source may have
 * changed. */
static bool copy_disk(const char *source, const char *path, GError **error)
{
	g_autoptr(GFile) from = g_file_new_for_path(source), to = g_file_new_for_path(path);
	uint64_t bytes;

	return image_qcow2_check(source, &bytes, error) &&
	       g_file_copy(from, to, G_FILE_COPY_TARGET_DEFAULT_PERMS, NULL, NULL, NULL, error) &&
	       image_qcow2_check(path, &bytes, error) && sync_path(path, error);
}

/* qemu-img's exit status: 0 sound, 3 leaked clusters (space lost, nothing else), else damaged or no answer.
 */
static bool check_tables(const char *path, GError **error)
{
	const char *argv[] = {"qemu-img", "check", "-q", "-f", "qcow2", path, NULL};
	g_autoptr(GSubprocess) process = g_subprocess_newv(
		argv, G_SUBPROCESS_FLAGS_STDOUT_SILENCE | G_SUBPROCESS_FLAGS_STDERR_PIPE, error);
	g_autofree char *text = NULL;

	if (!process || !g_subprocess_communicate_utf8(process, NULL, NULL, NULL, &text, error))
		return false;
	if (!g_subprocess_get_if_exited(process) ||
		(g_subprocess_get_exit_status(process) != 0 && g_subprocess_get_exit_status(process) != 3))
		return fault_set(error, FAULT_INVALID, "the disk is damaged: %s", g_strstrip(text));
	return true;
}

static bool write_manifest(const char *folder, const struct image_import *import, GError **error)
{
	g_autofree char *path = g_build_filename(folder, MANIFEST_FILE, NULL);
	g_autofree char *name = g_path_get_basename(import->source);
	g_autofree char *description = import->description ? g_strdup(import->description)
							   : g_strdup_printf("Imported from %s", name);
	json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:s}", "id", import->id, "description",
		description, "disk", DISK_FILE, "format", "qcow2", "os", "linux", "accelerated",
		import->accelerated, "built_from", name);
	int status = json ? json_dump_file(json, path, JSON_INDENT(2)) : -1;

	json_decref(json);
	if (!json)
		return fault_set(error, FAULT_INVALID, "description and file name have to be UTF-8");
	return status == 0 ? sync_path(path, error) : fail_errno(error, "cannot write", path);
}

static bool publish(const char *staging, const char *image_dir, const char *id, GError **error)
{
	g_autofree char *folder = g_build_filename(image_dir, id, NULL);

	/* A folder that is there is never empty, so that rename() leaves it alone. */
	if (g_rename(staging, folder) < 0) {
		if (errno == ENOTEMPTY || errno == EEXIST)
			return fault_set(error, FAULT_EXISTS,
				"the store has an image of this id already; choose another");
		return fail_errno(error, "cannot put into place", folder);
	}
	return sync_path(image_dir, error);
}

static bool import_into(const char *image_dir, const struct image_import *import, GError **error)
{
	g_autofree char *template = g_strdup_printf("%s/.%s.XXXXXX", image_dir, import->id);
	_cleanup_(discard_folder) char *staging = NULL;

	if (g_mkdir_with_parents(image_dir, 0755) < 0 || !g_mkdtemp_full(template, 0755))
		return fail_errno(error, "cannot make a folder in", image_dir);
	staging = g_steal_pointer(&template);

	g_autofree char *disk = g_build_filename(staging, DISK_FILE, NULL);

	if (!copy_disk(import->source, disk, error) || !check_tables(disk, error) ||
		!write_manifest(staging, import, error) || !publish(staging, image_dir, import->id, error))
		return false;
	g_clear_pointer(&staging, g_free);
	return true;
}

bool image_import(const char *image_dir, const struct image_import *import, GError **error)
{
	if (!image_check_names(import->id, NULL, NULL, error))
		return false;

	g_autofree char *folder = g_build_filename(image_dir, import->id, NULL);

	if (g_file_test(folder, G_FILE_TEST_EXISTS))
		return fault_set(error, FAULT_EXISTS,
			"image %s is in the store already; remove it or choose another id", import->id);
	if (import_into(image_dir, import, error))
		return true;
	g_prefix_error(error, "image %s cannot be imported: ", import->id);
	return false;
}

bool image_remove(const char *image_dir, const char *id, GError **error)
{
	if (!image_check_names(id, NULL, NULL, error))
		return false;

	g_autofree char *folder = g_build_filename(image_dir, id, NULL);
	g_autofree char *going = g_strdup_printf("%s/.%s.XXXXXX", image_dir, id);
	g_autoptr(GPtrArray) aliases = image_alias_list(image_dir, error);
	g_autofree char *names = aliases ? image_alias_names(aliases, id, ", ") : NULL;

	if (!aliases)
		return false;
	if (*names)
		return fault_set(error, FAULT_IN_USE,
			"image %s still has aliases: %s; first give each another image ('sluice image alias "
			"OTHER --alias NAME') or remove it ('sluice image alias --remove NAME')",
			id, names);
	if (!g_file_test(folder, G_FILE_TEST_IS_DIR))
		return fault_set(error, FAULT_NOT_FOUND, "image %s is not in %s", id, image_dir);
	/* An empty folder is what rename() may replace: it goes out of sight at once, whatever happens next.
	 */
	if (!g_mkdtemp(going) || g_rename(folder, going) < 0)
		return fail_errno(error, "cannot remove image", folder);
	return sync_path(image_dir, error) && remove_folder(going, error);
}
