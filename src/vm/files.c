/* What a VM keeps in its directory. */
#include "vm/files.h"

#include "base/fault.h"
#include "vm/image_qcow2.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIRECTORY_MODE 0711 /* the switch, a user of its own, reaches the sockets in it but lists nothing */
#define DISK_MODE      0644 /* as qemu-img makes them */
#define GIB            ((guint64)1 << 30)

static bool run(const char *const *argv, GError **error)
{
	g_autoptr(GSubprocess) process = g_subprocess_newv(
		argv, G_SUBPROCESS_FLAGS_STDOUT_SILENCE | G_SUBPROCESS_FLAGS_STDERR_PIPE, error);
	g_autofree char *text = NULL;

	if (!process || !g_subprocess_communicate_utf8(process, NULL, NULL, NULL, &text, error))
		return false;
	if (!g_subprocess_get_successful(process))
		return fault_set(error, FAULT_INTERNAL, "%s: %s", argv[0], g_strstrip(text));
	return true;
}

/* Made under another name and renamed, so that a kill in between leaves no half disk. */
static bool make_overlay(const char *path, const struct image *image, guint64 bytes, GError **error)
{
	g_autofree char *new = g_strconcat(path, ".new", NULL);
	g_autofree char *size = g_strdup_printf("%" G_GUINT64_FORMAT, bytes);
	const char *argv[] = {"qemu-img", "create", "-q", "-f", "qcow2", "-F", image->disk_format, "-b",
		image->disk_path, new, size, NULL};

	if (!run(argv, error))
		return false;
	if (g_rename(new, path) < 0)
		return fault_set(error, FAULT_INTERNAL, "rename %s: %s", new, g_strerror(errno));
	return true;
}

bool vm_files_prepare(const struct vm_spec *spec, const struct image *image, GError **error)
{
	g_autofree char *disk = g_build_filename(spec->directory, VM_DISK_FILE, NULL);
	guint64 bytes = spec->disk_gib ? spec->disk_gib * GIB : image->virtual_bytes;

	if (g_file_test(disk, G_FILE_TEST_EXISTS))
		return true;
	if (bytes < image->virtual_bytes)
		return fault_set(error, FAULT_INVALID,
			"vm %s: a disk of %" G_GUINT64_FORMAT
			" GiB does not hold image %s, which needs %" G_GUINT64_FORMAT " GiB",
			spec->name, spec->disk_gib, image->id, (image->virtual_bytes + GIB - 1) / GIB);
	if (g_mkdir_with_parents(spec->directory, DIRECTORY_MODE) < 0)
		return fault_set(error, FAULT_INTERNAL, "vm %s: cannot make %s: %s", spec->name,
			spec->directory, g_strerror(errno));
	if (!make_overlay(disk, image, bytes, error)) {
		g_prefix_error(error, "vm %s: cannot make its disk: ", spec->name);
		return false;
	}
	return true;
}

static bool synchronise(const char *path, int flags, GError **error)
{
	int fd = open(path, O_CLOEXEC | O_NOFOLLOW | flags);
	bool done = fd >= 0 && fsync(fd) == 0;

	if (!done)
		fault_set(error, FAULT_INTERNAL, "%s cannot be written to its disk: %s", path,
			g_strerror(errno));
	if (fd >= 0)
		close(fd);
	return done;
}

bool vm_files_take_disk(
	const struct vm_spec *spec, const struct image *image, const char *path, GError **error)
{
	g_autofree char *disk = g_build_filename(spec->directory, VM_DISK_FILE, NULL);
	const char *argv[] = {"qemu-img", "rebase", "-u", "-f", "qcow2", "-F", image->disk_format, "-b",
		image->disk_path, path, NULL};

	if (!image_qcow2_check_overlay(path, error))
		return false;
	/* Only the name of what it lies on changes: the image is the same on all hosts. */
	if (!run(argv, error) || !synchronise(path, O_RDWR, error))
		return false;
	if (chmod(path, DISK_MODE) < 0 || g_rename(path, disk) < 0)
		return fault_set(error, FAULT_INTERNAL, "vm %s: %s cannot be put in the place of %s: %s",
			spec->name, path, disk, g_strerror(errno));
	return synchronise(spec->directory, O_RDONLY | O_DIRECTORY, error);
}

void vm_files_rotate(const char *directory)
{
	g_autofree char *log = g_build_filename(directory, VM_CONSOLE_LOG, NULL);
	g_autofree char *old = g_strconcat(log, ".1", NULL);
	GStatBuf st;

	if (g_stat(log, &st) == 0 && st.st_size > VM_CONSOLE_LOG_MAX)
		(void)g_rename(log, old);
}

static bool read_end(GByteArray *to, int fd, size_t max)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return false;
	size_t begin = to->len, wanted = MIN((size_t)st.st_size, max);
	g_byte_array_set_size(to, (guint)(begin + wanted));
	ssize_t n = pread(fd, to->data + begin, wanted, st.st_size - (off_t)wanted);
	g_byte_array_set_size(to, (guint)(begin + (size_t)MAX(n, 0)));
	return (size_t)st.st_size > max;
}

/* Adds the last `max` bytes of a file; nothing when there is none. Whether it held more. */
static bool add_end(GByteArray *to, const char *path, size_t max)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0)
		return false;
	bool more = read_end(to, fd, max);
	close(fd);
	return more;
}

/* Its blocks are counted: a writer that does not append leaves a hole behind a file that was cut. */
void vm_files_trim(const char *directory)
{
	g_autofree char *log = g_build_filename(directory, VM_CONSOLE_LOG, NULL);
	g_autofree char *old = g_strconcat(log, ".1", NULL);
	g_autoptr(GByteArray) end = g_byte_array_new();
	GStatBuf st;

	if (g_lstat(log, &st) < 0 || (guint64)st.st_blocks * 512 <= VM_CONSOLE_LOG_MAX)
		return;
	add_end(end, log, VM_CONSOLE_LOG_MAX);
	if (g_file_set_contents(old, (const char *)end->data, end->len, NULL))
		(void)!truncate(log, 0);
}

GBytes *vm_files_console(const char *directory, size_t max)
{
	g_autofree char *log = g_build_filename(directory, VM_CONSOLE_LOG, NULL);
	g_autofree char *old = g_strconcat(log, ".1", NULL);
	g_autoptr(GByteArray) now = g_byte_array_new();
	GByteArray *all = g_byte_array_new();
	bool cut = add_end(now, log, max);

	if (!cut)
		cut = add_end(all, old, max - now->len);
	g_byte_array_append(all, now->data, now->len);
	const char *line = cut && all->len ? memchr(all->data, '\n', all->len) : NULL;
	if (line)
		g_byte_array_remove_range(all, 0, (guint)((const guint8 *)line - all->data) + 1);
	return g_byte_array_free_to_bytes(all);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
	return remove(path) < 0 && errno != ENOENT ? -1 : 0;
}

bool vm_files_remove(const char *directory, GError **error)
{
	if (nftw(directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) == 0 || errno == ENOENT)
		return true;
	return fault_set(error, FAULT_INTERNAL, "cannot delete %s: %s", directory, g_strerror(errno));
}
