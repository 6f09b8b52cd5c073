/* A private libvirt daemon, an image, and what stands in for the switch. */
#include "vm/libvirt_rig.h"

#include "vm/domain_xml.h"
#include "vm/files.h"
#include "vm/vhost_peer.h"

#include <errno.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define GUEST_DIR      "/var/cache/sluice/test-guest"
#define IMAGE          "tiny"
#define TAP            "primary0"
#define DAEMON_WAIT_S  60
#define CONSOLE_WAIT_S 60
#define UNLIMITED_MIB  100000ul

/* "" on success, else what the command said. */
static char *G_GNUC_PRINTF(1, 2) run(const char *format, ...)
{
	va_list args;
	g_autofree char *output = NULL;
	char *text = NULL;
	int status;
	g_autoptr(GError) error = NULL;

	va_start(args, format);
	g_autofree char *command = g_strdup_vprintf(format, args);
	va_end(args);
	if (!g_spawn_command_line_sync(command, &output, &text, &status, &error))
		return g_strdup(error->message);
	if (g_spawn_check_wait_status(status, NULL)) {
		g_free(text);
		return g_strdup("");
	}
	char *reason = g_strdup_printf("%s: %s", command, g_strstrip(text));
	g_free(text);
	return reason;
}

static void must(char *reason)
{
	if (*reason)
		g_error("%s", reason);
	g_free(reason);
}

static void put(const char *folder, const char *name, const char *text)
{
	g_autofree char *path = g_build_filename(folder, name, NULL);

	g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void make_image(const struct rig *rig)
{
	g_autofree char *dir = g_build_filename(rig->root, "images", IMAGE, NULL);

	g_assert_cmpint(g_mkdir_with_parents(dir, 0755), ==, 0);
	must(run("qemu-img create -q -f qcow2 %s/disk.qcow2 64M", dir));
	must(run("cp " GUEST_DIR "/vmlinuz %s/vmlinux", dir));
	must(run("cp " GUEST_DIR "/initrd.cpio %s/initrd.cpio", dir));
	put(dir, "manifest.json",
		"{\"id\": \"" IMAGE "\", \"description\": \"busybox for tests\", \"disk\": \"disk.qcow2\", "
		"\"format\": \"qcow2\", \"kernel\": \"vmlinux\", \"initrd\": \"initrd.cpio\", \"cmdline\": "
		"\"console=ttyS0 quiet\", \"cmdline_tcg\": \"nokaslr mitigations=off tsc=reliable "
		"no_timer_check "
		"clocksource=tsc random.trust_cpu=on cryptomgr.notests\", \"os\": \"linux\", "
		"\"accelerated\": true, \"virtual_bytes\": 67108864}\n");
}

static void make_netns(struct rig *rig)
{
	rig->netns = g_path_get_basename(rig->root);
	must(run("ip netns add %s", rig->netns));
	must(run("ip -n %s link set lo up", rig->netns));
	must(run("ip -n %s tuntap add dev " TAP " mode tap", rig->netns));
	must(run("ip -n %s link set " TAP " up", rig->netns));
}

void rig_start_daemon(struct rig *rig)
{
	rig->daemon_pid = fork();
	g_assert_cmpint(rig->daemon_pid, >=, 0);
	if (rig->daemon_pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (unshare(CLONE_NEWUTS) < 0 || sethostname(rig->netns, strlen(rig->netns)) < 0)
			_exit(127);
		vm_daemon_exec(rig->daemon);
		_exit(127);
	}
	gint64 end = g_get_monotonic_time() + DAEMON_WAIT_S * G_USEC_PER_SEC;
	while (!vm_daemon_is_up(rig->daemon)) {
		if (g_get_monotonic_time() > end || waitpid(rig->daemon_pid, NULL, WNOHANG) != 0)
			g_error("the libvirt daemon did not come up");
		g_usleep(20000);
	}
}

void rig_kill_daemon(struct rig *rig)
{
	kill(rig->daemon_pid, SIGKILL);
	g_assert_cmpint(waitpid(rig->daemon_pid, NULL, 0), ==, rig->daemon_pid);
	rig->daemon_pid = 0;
}

static void serve(struct conformance *c, const struct vm_spec *spec)
{
	struct rig *rig = c->data;
	const struct vm_nic *nic = spec->nics->pdata[0];

	if (!g_hash_table_contains(rig->peers, spec->uid))
		g_hash_table_insert(rig->peers, g_strdup(spec->uid), vhost_peer_new(nic->vhost_socket));
}

static void unserve(struct conformance *c, const struct vm_spec *spec)
{
	g_hash_table_remove(((struct rig *)c->data)->peers, spec->uid);
}

static void await_guest(struct conformance *c, const struct vm_spec *spec)
{
	rig_await_console(spec, "GUEST-UP", 1);
}

static void kill_machine(struct conformance *c, const struct vm_spec *spec)
{
	pid_t pid = rig_qemu_pid(c->data, spec);

	g_assert_cmpint(pid, >, 1);
	g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
}

/* The sockets of one host's folder are names for the other's. */
static void join(struct conformance *c, const char *migration)
{
	struct vm_manager *here = c->manager, *there = c->target->manager;
	_cleanup_(vm_migration_paths_clear) struct vm_migration_paths from = {}, to = {};

	g_assert_true(here->ops->migration_paths(here, migration, false, &from, NULL));
	g_assert_true(there->ops->migration_paths(there, migration, true, &to, NULL));
	g_assert_cmpint(symlink(to.manager, from.manager), ==, 0);
	g_assert_cmpint(symlink(to.memory, from.memory), ==, 0);
	g_assert_cmpint(symlink(to.disk, from.disk), ==, 0);
}

static void hold(struct conformance *c, const struct vm_spec *spec, bool on)
{
	rig_set_speed(c->data, spec, on ? 1 : UNLIMITED_MIB);
}

void rig_join(struct rig *rig, struct rig *target)
{
	rig->c.target = &target->c;
	rig->c.join = join;
	rig->c.hold = hold;
}

static void *run_loop(void *data)
{
	g_main_loop_run(data);
	return NULL;
}

static void open_manager(struct rig *rig)
{
	g_autofree char *images = g_build_filename(rig->root, "images", NULL);
	g_autoptr(GError) error = NULL;

	rig->loop = g_main_loop_new(NULL, FALSE);
	rig->thread = g_thread_new("main-loop", run_loop, rig->loop);
	rig->c.context = g_main_context_new();
	g_main_context_push_thread_default(rig->c.context);
	rig->c.manager = vm_libvirt_open(&(struct vm_libvirt_config){.uri = vm_daemon_uri(rig->daemon),
						 .image_dir = images,
						 .log_dir = vm_daemon_log_dir(rig->daemon),
						 .qemu_dir = vm_daemon_qemu_dir(rig->daemon)},
		conformance_event, &rig->c, &error);
	g_main_context_pop_thread_default(rig->c.context);
	g_assert_no_error(error);
}

struct rig *rig_new(char **ret_reason)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *root = g_dir_make_tmp("vmrig-XXXXXX", NULL);
	g_autofree char *state = g_build_filename(root, "libvirt", NULL);
	/* The path of the tree may have blanks. */
	g_autofree char *maker = g_shell_quote(g_getenv("VM_TEST_GUEST"));

	*ret_reason = geteuid() == 0 ? run("%s " GUEST_DIR, maker)
				     : g_strdup("not root: namespaces and libvirt need it");
	if (**ret_reason)
		return NULL;
	g_clear_pointer(ret_reason, g_free);
	struct rig *rig = g_new0(struct rig, 1);
	rig->root = g_steal_pointer(&root);
	make_netns(rig);
	g_autofree char *netns = g_strconcat("/run/netns/", rig->netns, NULL);
	rig->daemon = vm_daemon_new(&(struct vm_daemon_config){.state_dir = state, .netns = netns}, &error);
	if (!rig->daemon) {
		*ret_reason = g_strdup(error->message);
		rig_free(rig);
		return NULL;
	}
	make_image(rig);
	rig->peers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)vhost_peer_free);
	rig->c = (struct conformance){.vm_root = g_build_filename(rig->root, "vm", NULL),
		.image = (char *)IMAGE,
		.tap = (char *)TAP,
		.data = rig,
		.serve = serve,
		.unserve = unserve,
		.await_guest = await_guest,
		.kill = kill_machine};
	rig_start_daemon(rig);
	open_manager(rig);
	return rig;
}

void rig_free(struct rig *rig)
{
	if (rig->c.manager) {
		vm_manager_close(rig->c.manager);
		g_main_loop_quit(rig->loop);
		g_thread_join(rig->thread);
		g_main_loop_unref(rig->loop);
		g_main_context_unref(rig->c.context);
		g_hash_table_unref(rig->peers);
		if (rig->c.events)
			g_ptr_array_unref(rig->c.events);
		g_free(rig->c.vm_root);
	}
	if (rig->daemon_pid)
		rig_kill_daemon(rig);
	if (rig->daemon)
		vm_daemon_free(rig->daemon);
	must(run("ip netns delete %s", rig->netns));
	g_assert_true(vm_files_remove(rig->root, NULL));
	g_free(rig->netns);
	g_free(rig->root);
	g_free(rig);
}

pid_t rig_qemu_pid(struct rig *rig, const struct vm_spec *spec)
{
	g_autofree char *name = domain_xml_name(spec->name, spec->uid), *text = NULL;
	g_autofree char *path = g_strdup_printf("%s/libvirt/run/qemu/%s.pid", rig->root, name);

	return g_file_get_contents(path, &text, NULL, NULL) ? atoi(text) : 0;
}

void rig_virsh(struct rig *rig, const char *verb, const struct vm_spec *spec)
{
	must(run("virsh -q -c %s %s %s", vm_daemon_uri(rig->daemon), verb, spec->uid));
}

void rig_set_speed(struct rig *rig, const struct vm_spec *spec, unsigned long mib)
{
	must(run("virsh -q -c %s migrate-setspeed %s %lu", vm_daemon_uri(rig->daemon), spec->uid, mib));
}

void rig_type(const struct vm_spec *spec, const char *line)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	g_snprintf(address.sun_path, sizeof address.sun_path, "%s/" VM_CONSOLE_SOCKET, spec->directory);
	g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
	g_assert_cmpint(write(fd, line, strlen(line)), ==, strlen(line));
	g_assert_cmpint(write(fd, "\n", 1), ==, 1);
	g_usleep(G_USEC_PER_SEC / 2); /* the serial port takes it byte by byte; closing drops the rest */
	close(fd);
}

static unsigned count_in(const char *text, const char *word)
{
	unsigned count = 0;

	for (const char *at = text; at && (at = strstr(at, word)); at += strlen(word))
		count++;
	return count;
}

void rig_await_console(const struct vm_spec *spec, const char *text, unsigned count)
{
	g_autofree char *path = g_build_filename(spec->directory, VM_CONSOLE_LOG, NULL);
	gint64 end = g_get_monotonic_time() + CONSOLE_WAIT_S * G_USEC_PER_SEC;

	for (;;) {
		g_autofree char *log = NULL;
		g_file_get_contents(path, &log, NULL, NULL);
		if (count_in(log, text) >= count)
			return;
		if (g_get_monotonic_time() > end) {
			g_test_fail_printf("'%s' did not come %u times on the console: %s", text, count,
				log ? log : "(no log)");
			return;
		}
		g_usleep(50000);
	}
}
