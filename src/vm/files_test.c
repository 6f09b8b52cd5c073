/* A VM's disk and console log. */
#include "vm/files.h"

#include "base/fault.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

struct folder {
	char *path, *directory;
	struct image image;
	struct vm_spec *spec;
};

static bool run(const char *format, ...) G_GNUC_PRINTF(1, 2);
static bool run(const char *format, ...)
{
	va_list args;
	int status;

	va_start(args, format);
	g_autofree char *command = g_strdup_vprintf(format, args);
	va_end(args);
	return g_spawn_command_line_sync(command, NULL, NULL, &status, NULL) &&
	       g_spawn_check_wait_status(status, NULL);
}

static void set_up(struct folder *folder, const void *data)
{
	folder->path = g_dir_make_tmp("sluice-files-XXXXXX", NULL);
	folder->directory = g_build_filename(folder->path, "vm", "one", NULL);
	folder->image = (struct image){.id = (char *)"base",
		.disk_path = g_build_filename(folder->path, "base.qcow2", NULL),
		.disk_format = (char *)"qcow2",
		.virtual_bytes = 2ull << 30};
	folder->spec = vm_spec_new();
	folder->spec->name = g_strdup("web");
	folder->spec->directory = g_strdup(folder->directory);
	g_assert_true(run("qemu-img create -q -f qcow2 %s 2G", folder->image.disk_path));
}

static void tear_down(struct folder *folder, const void *data)
{
	g_assert_true(vm_files_remove(folder->path, NULL));
	g_free(folder->image.disk_path);
	vm_spec_free(folder->spec);
	g_free(folder->directory);
	g_free(folder->path);
}

static char *disk_info(const struct folder *folder)
{
	g_autofree char *command = g_strdup_printf("qemu-img info %s/" VM_DISK_FILE, folder->directory);
	char *text = NULL;

	g_assert_true(g_spawn_command_line_sync(command, &text, NULL, NULL, NULL));
	return text;
}

static void the_disk_is_an_overlay_of_the_size_that_was_asked_for(struct folder *folder, const void *data)
{
	g_autoptr(GError) error = NULL;

	folder->spec->disk_gib = 5;
	vm_files_prepare(folder->spec, &folder->image, &error);
	g_assert_no_error(error);
	g_autofree char *info = disk_info(folder);
	g_assert_nonnull(strstr(info, "virtual size: 5 GiB"));
	g_assert_nonnull(strstr(info, folder->image.disk_path));
}

static void without_a_size_the_disk_is_as_big_as_the_image(struct folder *folder, const void *data)
{
	g_autoptr(GError) error = NULL;

	vm_files_prepare(folder->spec, &folder->image, &error);
	g_assert_no_error(error);
	g_autofree char *info = disk_info(folder);
	g_assert_nonnull(strstr(info, "virtual size: 2 GiB"));
}

static void a_disk_smaller_than_its_image_is_refused_with_the_size_it_needs(
	struct folder *folder, const void *data)
{
	g_autoptr(GError) error = NULL;

	folder->spec->disk_gib = 1;
	g_assert_false(vm_files_prepare(folder->spec, &folder->image, &error));
	g_assert_error(error, FAULT, FAULT_INVALID);
	g_assert_nonnull(strstr(error->message, "needs 2 GiB"));
	g_assert_false(g_file_test(folder->directory, G_FILE_TEST_EXISTS));
}

static void a_second_preparation_keeps_the_disk_and_a_half_made_one_is_replaced(
	struct folder *folder, const void *data)
{
	g_autofree char *disk = g_build_filename(folder->directory, VM_DISK_FILE, NULL);
	g_autofree char *half = g_strconcat(disk, ".new", NULL);
	GStatBuf before, after;

	g_assert_cmpint(g_mkdir_with_parents(folder->directory, 0700), ==, 0);
	g_assert_true(g_file_set_contents(half, "half", -1, NULL));
	g_assert_true(vm_files_prepare(folder->spec, &folder->image, NULL));
	g_assert_cmpint(g_stat(disk, &before), ==, 0);
	g_assert_true(vm_files_prepare(folder->spec, &folder->image, NULL));
	g_assert_cmpint(g_stat(disk, &after), ==, 0);
	g_assert_cmpuint(before.st_ino, ==, after.st_ino);
	folder->spec->disk_gib = 1; /* less than its image, which is only asked of a disk that is made */
	g_assert_true(vm_files_prepare(folder->spec, &folder->image, NULL));
	g_assert_cmpint(g_stat(disk, &after), ==, 0);
	g_assert_cmpuint(before.st_ino, ==, after.st_ino);
	g_assert_false(g_file_test(half, G_FILE_TEST_EXISTS));
}

static void a_disk_that_cannot_be_made_says_what_qemu_img_said(struct folder *folder, const void *data)
{
	g_autoptr(GError) error = NULL;

	g_unlink(folder->image.disk_path);
	g_assert_false(vm_files_prepare(folder->spec, &folder->image, &error));
	g_assert_nonnull(error);
	g_assert_nonnull(strstr(error->message, "vm web: cannot make its disk"));
	g_assert_nonnull(strstr(error->message, folder->image.disk_path));
}

/* A disk of another host, whose images lie elsewhere, with something of the guest's in it. Owned. */
static char *make_foreign_disk(const struct folder *folder)
{
	char *path = g_strconcat(folder->directory, ".foreign", NULL);

	g_assert_true(run("qemu-img create -q -f qcow2 -F qcow2 -b %s %s", folder->image.disk_path, path));
	g_assert_true(run("qemu-io -c 'write -q -P 0x5a 1M 64k' %s", path));
	g_assert_true(run("qemu-img rebase -u -f qcow2 -F qcow2 -b /elsewhere/base.qcow2 %s", path));
	return path;
}

static void a_disk_of_another_host_lies_on_the_image_here(struct folder *folder, const void *data)
{
	g_autofree char *disk = g_build_filename(folder->directory, VM_DISK_FILE, NULL);
	g_autoptr(GError) error = NULL;

	g_assert_true(vm_files_prepare(folder->spec, &folder->image, &error));
	g_autofree char *foreign = make_foreign_disk(folder);
	vm_files_take_disk(folder->spec, &folder->image, foreign, &error);
	g_assert_no_error(error);
	g_assert_false(g_file_test(foreign, G_FILE_TEST_EXISTS));
	g_autofree char *info = disk_info(folder);
	g_assert_nonnull(strstr(info, folder->image.disk_path));
	g_assert_null(strstr(info, "/elsewhere/"));
	g_assert_true(run("qemu-io -c 'read -q -P 0x5a 1M 64k' %s", disk));
	g_assert_true(run("qemu-io -c 'read -q -P 0 2M 64k' %s", disk));
}

static void what_is_no_overlay_is_not_taken(struct folder *folder, const void *data)
{
	g_autofree char *disk = g_build_filename(folder->directory, VM_DISK_FILE, NULL);
	g_autofree char *whole = g_build_filename(folder->path, "whole", NULL);
	GStatBuf before, after;

	g_assert_true(vm_files_prepare(folder->spec, &folder->image, NULL));
	g_assert_cmpint(g_stat(disk, &before), ==, 0);
	g_assert_true(run("qemu-img create -q -f qcow2 %s 2G", whole));
	for (int i = 0; i < 2; i++) {
		g_autoptr(GError) error = NULL;
		g_assert_false(vm_files_take_disk(folder->spec, &folder->image, whole, &error));
		g_assert_error(error, FAULT, FAULT_INVALID);
		g_assert_true(g_file_set_contents(whole, "no disk at all", -1, NULL));
	}
	g_assert_cmpint(g_stat(disk, &after), ==, 0);
	g_assert_cmpuint(before.st_ino, ==, after.st_ino);
}

static void removing_deletes_links_but_not_what_they_point_at(struct folder *folder, const void *data)
{
	g_autofree char *outside = g_build_filename(folder->path, "outside", NULL);
	g_autofree char *link = g_build_filename(folder->directory, "link", NULL);

	g_assert_cmpint(g_mkdir_with_parents(folder->directory, 0700), ==, 0);
	g_assert_true(g_file_set_contents(outside, "precious", -1, NULL));
	g_assert_cmpint(symlink(folder->path, link), ==, 0);
	g_assert_true(vm_files_remove(folder->directory, NULL));
	g_assert_true(vm_files_remove(folder->directory, NULL));
	g_assert_false(g_file_test(folder->directory, G_FILE_TEST_EXISTS));
	g_assert_true(g_file_test(outside, G_FILE_TEST_EXISTS));
}

static void only_a_big_console_log_is_rotated(struct folder *folder, const void *data)
{
	g_autofree char *log = g_build_filename(folder->directory, VM_CONSOLE_LOG, NULL);
	g_autofree char *old = g_strconcat(log, ".1", NULL);

	g_assert_cmpint(g_mkdir_with_parents(folder->directory, 0700), ==, 0);
	g_assert_true(g_file_set_contents(log, "short", -1, NULL));
	vm_files_rotate(folder->directory);
	g_assert_true(g_file_test(log, G_FILE_TEST_EXISTS));
	g_assert_cmpint(truncate(log, VM_CONSOLE_LOG_MAX + 1), ==, 0);
	vm_files_rotate(folder->directory);
	g_assert_false(g_file_test(log, G_FILE_TEST_EXISTS));
	g_assert_true(g_file_test(old, G_FILE_TEST_EXISTS));
}

static void assert_console(const struct folder *folder, size_t max, const char *text)
{
	g_autoptr(GBytes) log = vm_files_console(folder->directory, max);
	size_t length;
	const char *bytes = g_bytes_get_data(log, &length);
	g_autofree char *got = g_strndup(length ? bytes : "", length);

	g_assert_cmpstr(got, ==, text);
}

static void the_end_of_a_console_log_begins_at_a_line(struct folder *folder, const void *data)
{
	g_autofree char *log = g_build_filename(folder->directory, VM_CONSOLE_LOG, NULL);
	g_autofree char *old = g_strconcat(log, ".1", NULL);

	assert_console(folder, 100, "");
	g_assert_cmpint(g_mkdir_with_parents(folder->directory, 0700), ==, 0);
	assert_console(folder, 100, "");
	g_assert_true(g_file_set_contents(log, "third\nfourth\n", -1, NULL));
	assert_console(folder, 100, "third\nfourth\n");
	assert_console(folder, 10, "fourth\n");
	assert_console(folder, 13, "third\nfourth\n");
	assert_console(folder, 3, "");
	g_assert_true(g_file_set_contents(old, "first\nsecond\n", -1, NULL));
	assert_console(folder, 100, "first\nsecond\nthird\nfourth\n");
	assert_console(folder, 23, "second\nthird\nfourth\n");
	g_assert_cmpint(g_unlink(log), ==, 0);
	g_assert_cmpint(symlink(old, log), ==, 0);
	assert_console(folder, 8, "second\n");
}

static void a_console_log_is_bounded_while_it_is_written(struct folder *folder, const void *data)
{
	g_autofree char *log = g_build_filename(folder->directory, VM_CONSOLE_LOG, NULL);
	g_autofree char *big = g_strnfill(VM_CONSOLE_LOG_MAX, 'x');

	g_assert_cmpint(g_mkdir_with_parents(folder->directory, 0700), ==, 0);
	g_assert_true(g_file_set_contents(log, big, -1, NULL));
	int writer = open(log, O_WRONLY | O_APPEND);
	g_assert_cmpint(writer, >=, 0);
	vm_files_trim(folder->directory);
	g_assert_cmpint(lseek(writer, 0, SEEK_END), ==, VM_CONSOLE_LOG_MAX);
	for (int i = 0; i < 2; i++) {
		g_assert_cmpint(write(writer, "\nlast\n", 6), ==, 6);
		vm_files_trim(folder->directory);
	}
	assert_console(folder, 20, "last\n\nlast\n");
	g_assert_cmpint(lseek(writer, 0, SEEK_END), ==, 6);
	g_assert_cmpint(close(writer), ==, 0);
}

#define ADD(name, fn) g_test_add("/vm/files/" name, struct folder, NULL, set_up, fn, tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_autofree char *qemu_img = g_find_program_in_path("qemu-img");
	if (!qemu_img) {
		g_print("1..0 # SKIP qemu-img is not installed (package qemu-utils)\n");
		return 0;
	}
	ADD("the disk is an overlay of the size that was asked for",
		the_disk_is_an_overlay_of_the_size_that_was_asked_for);
	ADD("without a size the disk is as big as the image", without_a_size_the_disk_is_as_big_as_the_image);
	ADD("a disk smaller than its image is refused with the size it needs",
		a_disk_smaller_than_its_image_is_refused_with_the_size_it_needs);
	ADD("a second preparation keeps the disk and a half-made one is replaced",
		a_second_preparation_keeps_the_disk_and_a_half_made_one_is_replaced);
	ADD("a disk that cannot be made says what qemu-img said",
		a_disk_that_cannot_be_made_says_what_qemu_img_said);
	ADD("a disk of another host lies on the image here", a_disk_of_another_host_lies_on_the_image_here);
	ADD("what is no overlay is not taken", what_is_no_overlay_is_not_taken);
	ADD("removing deletes links but not what they point at",
		removing_deletes_links_but_not_what_they_point_at);
	ADD("only a big console log is rotated", only_a_big_console_log_is_rotated);
	ADD("the end of a console log begins at a line", the_end_of_a_console_log_begins_at_a_line);
	ADD("a console log is bounded while it is written", a_console_log_is_bounded_while_it_is_written);
	return g_test_run();
}
