/* Folder and command of the private libvirt daemon. That it runs is proved by libvirt_test. */
#include "vm/daemon.h"

#include "base/fault.h"
#include "vm/files.h"

#include <string.h>

struct folder {
	char *path;
};

static void set_up(struct folder *folder, const void *data)
{
	folder->path = g_dir_make_tmp("sluice-daemon-XXXXXX", NULL);
	g_assert_nonnull(folder->path);
}

static void tear_down(struct folder *folder, const void *data)
{
	g_assert_true(vm_files_remove(folder->path, NULL));
	g_free(folder->path);
}

static char *content(const struct folder *folder, const char *name)
{
	g_autofree char *path = g_build_filename(folder->path, name, NULL);
	char *text = NULL;

	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	return text;
}

/* Skips the test where libvirt is not installed. */
static struct vm_daemon *make(const struct folder *folder)
{
	g_autoptr(GError) error = NULL;
	struct vm_daemon *daemon =
		vm_daemon_new(&(struct vm_daemon_config){.state_dir = folder->path}, &error);

	if (g_error_matches(error, FAULT, FAULT_UNSUPPORTED))
		g_test_skip(error->message);
	else
		g_assert_no_error(error);
	return daemon;
}

static void it_closes_the_daemon_to_all_but_its_socket(struct folder *folder, const void *data)
{
	_cleanup_(vm_daemon_free) struct vm_daemon *daemon = make(folder);
	if (!daemon)
		return;
	g_autofree char *libvirtd = content(folder, "etc/libvirtd.conf"),
			*qemu = content(folder, "etc/qemu.conf");
	g_autofree char *uri =
		g_strdup_printf("qemu+unix:///system?socket=%s/run/libvirt-sock", folder->path);

	g_assert_nonnull(strstr(libvirtd, "unix_sock_rw_perms = \"0700\"\n"));
	g_assert_nonnull(strstr(qemu, "user = \"root\"\n"));
	g_assert_nonnull(strstr(qemu, "stdio_handler = \"file\"\n"));
	g_assert_cmpstr(vm_daemon_uri(daemon), ==, uri);
	g_assert_false(vm_daemon_is_up(daemon));
}

static void the_host_uuid_is_made_once_and_differs_between_folders(struct folder *folder, const void *data)
{
	_cleanup_(vm_daemon_free) struct vm_daemon *first = make(folder);
	if (!first)
		return;
	g_autofree char *before = content(folder, "etc/libvirtd.conf");
	_cleanup_(vm_daemon_free) struct vm_daemon *second = make(folder);
	g_autofree char *after = content(folder, "etc/libvirtd.conf");
	struct folder other;
	set_up(&other, NULL);
	_cleanup_(vm_daemon_free) struct vm_daemon *third = make(&other);
	g_autofree char *elsewhere = content(&other, "etc/libvirtd.conf");
	tear_down(&other, NULL);

	g_assert_cmpstr(before, ==, after);
	g_assert_cmpstr(before, !=, elsewhere);
}

static void a_state_folder_too_long_for_a_socket_is_refused(struct folder *folder, const void *data)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *tail = g_strnfill(VM_SOCKET_PATH_MAX, 'x');
	g_autofree char *path = g_build_filename(folder->path, tail, NULL);

	g_assert_null(vm_daemon_new(&(struct vm_daemon_config){.state_dir = path}, &error));
	g_assert_error(error, FAULT, FAULT_INVALID);
}

#define ADD(name, fn) g_test_add("/vm/daemon/" name, struct folder, NULL, set_up, fn, tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("it closes the daemon to all but its socket", it_closes_the_daemon_to_all_but_its_socket);
	ADD("the host UUID is made once and differs between folders",
		the_host_uuid_is_made_once_and_differs_between_folders);
	ADD("a state folder too long for a socket is refused",
		a_state_folder_too_long_for_a_socket_is_refused);
	return g_test_run();
}
