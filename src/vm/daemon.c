/* A private libvirt daemon.
 *
 * How it works: vm_daemon_new does all that allocates or may fail in words: it writes the configuration and
 * composes argv, environment and the table of mounts. vm_daemon_exec, in the forked child, only makes system
 * calls: enter the network namespace, unshare mounts, bind the table, exec. The network namespace is entered
 * by setns(2) and not by `ip netns exec`, which mounts another /sys and so hides the control groups. Mounts
 * are made slaves, not private, so that file systems which the host mounts later are seen.
 *
 * Debian's libvirtd looks up the user `libvirt-qemu` even when qemu.conf names another, and gives up without
 * it. The user is made by a package that a private daemon does not need, so where it is missing the daemon
 * alone sees an /etc/passwd and /etc/group with it.
 */
#include "vm/daemon.h"

#include "base/fault.h"
#include "vm/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define QEMU_DRIVER "libvirt_driver_qemu.so"
#define QEMU_USER   "libvirt-qemu"
#define QEMU_ID     "64055" /* Debian's number of user and group */

/* Folders of the state directory, and where libvirtd has them. */
static const struct {
	const char *name, *target;
} folders[] = {
	{"run", "/run/libvirt"},
	{"lib", "/var/lib/libvirt"},
	{"etc", "/etc/libvirt"},
	{"cache", "/var/cache/libvirt"},
	{"log", "/var/log/libvirt"},
};

/* Files of the state directory that stand in for the host's. */
static const struct {
	const char *name, *target, *line;
} accounts[] = {
	{"passwd", "/etc/passwd",
		QEMU_USER ":x:" QEMU_ID ":" QEMU_ID "::/var/lib/libvirt:/usr/sbin/nologin\n"},
	{"group", "/etc/group", QEMU_USER ":x:" QEMU_ID ":\n"},
};

#define MOUNTS_MAX (G_N_ELEMENTS(folders) + G_N_ELEMENTS(accounts))

/* Strings Owned. Ready for the child: nothing in it changes after vm_daemon_new. */
struct vm_daemon {
	char *state_dir, *netns, *socket, *uri, *log_dir, *qemu_dir, *pid_file;
	char *program;
	char **argv, **env;
	struct {
		char *source;
		const char *target;
		bool is_dir;
	} mounts[MOUNTS_MAX];
	size_t n_mounts;
};

static const char qemu_conf[] = "user = \"root\"\n"
				"group = \"root\"\n"
				"security_driver = \"none\"\n"
				"dynamic_ownership = 0\n" /* never chown images */
				"remember_owner = 0\n"
				"cgroup_controllers = [ ]\n"
				"namespaces = [ ]\n"
				"stdio_handler = \"file\"\n" /* no virtlogd */
				"max_core = 0\n";

/* One client, the agent, has many calls under way: a start may wait for the switch. */
static const char libvirtd_conf[] = "auth_unix_ro = \"none\"\n"
				    "auth_unix_rw = \"none\"\n"
				    "unix_sock_group = \"root\"\n"
				    "unix_sock_ro_perms = \"0700\"\n"
				    "unix_sock_rw_perms = \"0700\"\n"
				    "unix_sock_admin_perms = \"0700\"\n"
				    "max_workers = 40\n"
				    "max_client_requests = 32\n"
				    "log_level = 3\n"
				    /* warnings at each start, about what we want: root, own QEMU options */
				    "log_filters = \"4:qemu.qemu_domain 4:qemu.qemu_process 4:security\"\n"
				    "log_outputs = \"3:stderr\"\n";

void vm_daemon_free(struct vm_daemon *daemon)
{
	if (!daemon)
		return;
	for (size_t i = 0; i < daemon->n_mounts; i++)
		g_free(daemon->mounts[i].source);
	g_strfreev(daemon->argv);
	g_strfreev(daemon->env);
	g_free(daemon->program);
	g_free(daemon->qemu_dir);
	g_free(daemon->pid_file);
	g_free(daemon->log_dir);
	g_free(daemon->uri);
	g_free(daemon->socket);
	g_free(daemon->netns);
	g_free(daemon->state_dir);
	g_free(daemon);
}

const char *vm_daemon_uri(const struct vm_daemon *daemon)
{
	return daemon->uri;
}

const char *vm_daemon_log_dir(const struct vm_daemon *daemon)
{
	return daemon->log_dir;
}

const char *vm_daemon_qemu_dir(const struct vm_daemon *daemon)
{
	return daemon->qemu_dir;
}

const char *vm_daemon_pid_file(const struct vm_daemon *daemon)
{
	return daemon->pid_file;
}

static bool write_file(const struct vm_daemon *daemon, const char *name, const char *text, GError **error)
{
	g_autofree char *path = g_build_filename(daemon->state_dir, name, NULL);

	return g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600, error);
}

static void add_mount(struct vm_daemon *daemon, const char *name, const char *target, bool is_dir)
{
	g_assert(daemon->n_mounts < MOUNTS_MAX);
	daemon->mounts[daemon->n_mounts].source = g_build_filename(daemon->state_dir, name, NULL);
	daemon->mounts[daemon->n_mounts].target = target;
	daemon->mounts[daemon->n_mounts++].is_dir = is_dir;
}

static bool make_folders(struct vm_daemon *daemon, GError **error)
{
	for (size_t i = 0; i < G_N_ELEMENTS(folders); i++) {
		g_autofree char *path = g_build_filename(daemon->state_dir, folders[i].name, NULL);
		if (g_mkdir_with_parents(path, 0700) < 0)
			return fault_set(
				error, FAULT_INTERNAL, "cannot make %s: %s", path, g_strerror(errno));
		add_mount(daemon, folders[i].name, folders[i].target, true);
	}
	return true;
}

/* Two daemons with one UUID would take each other's migrations for their own, so it is made once and kept. */
static bool host_uuid(const struct vm_daemon *daemon, char **ret, GError **error)
{
	g_autofree char *path = g_build_filename(daemon->state_dir, "host-uuid", NULL);
	g_autofree char *uuid = NULL;

	if (g_file_get_contents(path, &uuid, NULL, NULL) && g_uuid_string_is_valid(g_strstrip(uuid))) {
		*ret = g_steal_pointer(&uuid);
		return true;
	}
	g_free(uuid);
	uuid = g_uuid_string_random();
	if (!write_file(daemon, "host-uuid", uuid, error))
		return false;
	*ret = g_steal_pointer(&uuid);
	return true;
}

static bool write_configuration(const struct vm_daemon *daemon, GError **error)
{
	g_autofree char *uuid = NULL;

	if (!host_uuid(daemon, &uuid, error))
		return false;
	g_autofree char *text = g_strdup_printf("%shost_uuid = \"%s\"\n", libvirtd_conf, uuid);
	return write_file(daemon, "etc/libvirtd.conf", text, error) &&
	       write_file(daemon, "etc/qemu.conf", qemu_conf, error);
}

static bool make_accounts(struct vm_daemon *daemon, GError **error)
{
	char buffer[4096];
	struct passwd entry, *found = NULL;

	if (getpwnam_r(QEMU_USER, &entry, buffer, sizeof buffer, &found) == 0 && found)
		return true;
	for (size_t i = 0; i < G_N_ELEMENTS(accounts); i++) {
		g_autofree char *text = NULL,
				*path = g_build_filename(daemon->state_dir, accounts[i].name, NULL);
		if (!g_file_get_contents(accounts[i].target, &text, NULL, error))
			return false;
		g_autofree char *more =
			g_strconcat(text, g_str_has_suffix(text, "\n") ? "" : "\n", accounts[i].line, NULL);
		if (!g_file_set_contents_full(path, more, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0644, error))
			return false;
		add_mount(daemon, accounts[i].name, accounts[i].target, false);
	}
	return true;
}

/* A folder that holds QEMU's driver and no other. */
static bool make_driver_folder(const struct vm_daemon *daemon, char **ret_dir, GError **error)
{
	g_autofree char *dir = g_build_filename(daemon->state_dir, "drivers", NULL);
	g_autofree char *link = g_build_filename(dir, QEMU_DRIVER, NULL);
	const char *driver = VM_LIBVIRT_DRIVER_DIR "/" QEMU_DRIVER;

	if (access(driver, R_OK) < 0)
		return fault_set(error, FAULT_UNSUPPORTED,
			"libvirt's QEMU driver is not installed (%s: %s); install libvirt-daemon-driver-qemu",
			driver, g_strerror(errno));
	if (g_mkdir_with_parents(dir, 0700) < 0 || (g_unlink(link) < 0 && errno != ENOENT) ||
		symlink(driver, link) < 0)
		return fault_set(error, FAULT_INTERNAL, "cannot make %s: %s", link, g_strerror(errno));
	*ret_dir = g_steal_pointer(&dir);
	return true;
}

static bool compose_command(struct vm_daemon *daemon, GError **error)
{
	g_autofree char *driver_dir = NULL;

	if (access("/usr/sbin/libvirtd", X_OK) < 0)
		return fault_set(error, FAULT_UNSUPPORTED,
			"libvirt's daemon is not installed (/usr/sbin/libvirtd: %s); install libvirt-daemon",
			g_strerror(errno));
	if (!make_driver_folder(daemon, &driver_dir, error))
		return false;
	daemon->program = g_strdup("/usr/sbin/libvirtd");
	/* Paths as the daemon sees them. No --listen: TCP stays closed. */
	const char *argv[] = {"libvirtd", "--config", "/etc/libvirt/libvirtd.conf", "--pid-file",
		"/run/libvirt/libvirtd.pid", NULL};
	daemon->argv = g_strdupv((char **)argv);
	g_autoptr(GStrvBuilder) env = g_strv_builder_new();
	g_strv_builder_add_many(env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"LC_ALL=C", "HOME=/var/lib/libvirt", NULL);
	g_autofree char *drivers = g_strconcat("LIBVIRT_DRIVER_DIR=", driver_dir, NULL);
	g_strv_builder_add(env, drivers);
	daemon->env = g_strv_builder_end(env);
	return true;
}

struct vm_daemon *vm_daemon_new(const struct vm_daemon_config *config, GError **error)
{
	_cleanup_(vm_daemon_free) struct vm_daemon *daemon = g_new0(struct vm_daemon, 1);

	daemon->state_dir = g_strdup(config->state_dir);
	daemon->netns = g_strdup(config->netns);
	daemon->socket = g_build_filename(config->state_dir, "run/libvirt-sock", NULL);
	daemon->log_dir = g_build_filename(config->state_dir, "log/qemu", NULL);
	daemon->qemu_dir = g_build_filename(config->state_dir, "lib/qemu", NULL);
	daemon->pid_file = g_build_filename(config->state_dir, "run/libvirtd.pid", NULL);
	if (!g_path_is_absolute(config->state_dir) || strlen(daemon->socket) > VM_SOCKET_PATH_MAX) {
		fault_set(error, FAULT_INVALID,
			"the state folder %s must be an absolute path, short enough for the socket %s (%d "
			"bytes)",
			config->state_dir, daemon->socket, VM_SOCKET_PATH_MAX);
		return NULL;
	}
	g_autofree char *escaped = g_uri_escape_string(daemon->socket, "/", FALSE);
	daemon->uri = g_strconcat("qemu+unix:///system?socket=", escaped, NULL);
	if (!make_folders(daemon, error) || !make_accounts(daemon, error) ||
		!write_configuration(daemon, error) || !compose_command(daemon, error))
		return NULL;
	return g_steal_pointer(&daemon);
}

bool vm_daemon_is_up(const struct vm_daemon *daemon)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return false;
	g_strlcpy(address.sun_path, daemon->socket, sizeof address.sun_path);
	bool up = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
	close(fd);
	return up;
}

/* What follows runs in the child: system calls only. */

static void complain(const char *step, const char *object)
{
	const char *reason = strerrordesc_np(errno);
	const char *const words[] = {
		"libvirtd: cannot ", step, " ", object, ": ", reason ? reason : "?", "\n"};
	struct iovec parts[G_N_ELEMENTS(words)];

	for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
		parts[i] = (struct iovec){.iov_base = (void *)words[i], .iov_len = strlen(words[i])};
	if (writev(STDERR_FILENO, parts, G_N_ELEMENTS(words)) < 0)
		return;
}

static bool enter_netns(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0) {
		complain("enter the network namespace", path);
		return false;
	}
	close(fd);
	return true;
}

static bool enter_mounts(const struct vm_daemon *daemon)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0) {
		complain("unshare", "mounts");
		return false;
	}
	for (size_t i = 0; i < daemon->n_mounts; i++) {
		const char *target = daemon->mounts[i].target;
		if (daemon->mounts[i].is_dir && mkdir(target, 0755) < 0 && errno != EEXIST) {
			complain("make", target);
			return false;
		}
		if (mount(daemon->mounts[i].source, target, NULL, MS_BIND, NULL) < 0) {
			complain("mount a private folder on", target);
			return false;
		}
	}
	return true;
}

void vm_daemon_exec(const struct vm_daemon *daemon)
{
	sigset_t none;

	/* exec keeps blocked and ignored signals; the supervisor's are not the daemon's. */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGCHLD, SIG_DFL);
	if ((daemon->netns && !enter_netns(daemon->netns)) || !enter_mounts(daemon))
		return;
	execve(daemon->program, daemon->argv, daemon->env);
	complain("run", daemon->program);
}
