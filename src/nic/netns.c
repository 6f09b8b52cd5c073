/* Network namespaces by unshare(2), setns(2) and bind mounts, laid out as iproute2 does it. */
#include "nic/netns.h"

#include "base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define NETNS_DIR "/run/netns"
#define SELF      "/proc/thread-self/ns/net"

struct call {
	const char *path; /* of a new namespace */
	int fd; /* of the namespace to enter */
	netns_fn fn;
	void *data;
	bool ok;
	GError *error;
};

char *netns_path(const char *name)
{
	return strchr(name, '/') ? g_strdup(name) : g_build_filename(NETNS_DIR, name, NULL);
}

static bool is_mounted(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && fs.f_type == NSFS_MAGIC;
}

bool netns_exists(const char *name)
{
	g_autofree char *path = netns_path(name);

	return is_mounted(path);
}

/* A mount of a namespace must be seen by programs in other mount namespaces, so its folder is a shared mount.
 */
static bool share_folder(const char *path, GError **error)
{
	g_autofree char *dir = g_path_get_dirname(path);

	if (g_mkdir_with_parents(dir, 0755) < 0)
		return fault_set(error, FAULT_INTERNAL, "cannot make folder %s: %s", dir, g_strerror(errno));
	if (mount("", dir, "none", MS_SHARED | MS_REC, NULL) == 0)
		return true;
	if (mount(dir, dir, "none", MS_BIND | MS_REC, NULL) < 0 ||
		mount("", dir, "none", MS_SHARED | MS_REC, NULL) < 0)
		return fault_set(error, FAULT_INTERNAL,
			"cannot make %s a shared mount: %s; network namespaces need root", dir,
			g_strerror(errno));
	return true;
}

static bool loopback_up(GError **error)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool ok = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;

	if (!ok)
		fault_set(error, FAULT_INTERNAL, "cannot bring loopback up: %s", g_strerror(errno));
	if (fd >= 0)
		close(fd);
	return ok;
}

/* On a thread of its own: makes a namespace and pins it to the file. */
static void *create_thread(void *data)
{
	struct call *call = data;

	if (unshare(CLONE_NEWNET) < 0)
		fault_set(&call->error, FAULT_INTERNAL,
			"cannot make network namespace %s: %s; that needs CAP_SYS_ADMIN", call->path,
			g_strerror(errno));
	else if (loopback_up(&call->error) && mount(SELF, call->path, "none", MS_BIND, NULL) < 0)
		fault_set(&call->error, FAULT_INTERNAL, "cannot mount network namespace %s: %s", call->path,
			g_strerror(errno));
	return NULL;
}

bool netns_create(const char *name, GError **error)
{
	g_autofree char *path = netns_path(name);
	struct call call = {.path = path};

	if (is_mounted(path))
		return true;
	if (!share_folder(path, error))
		return false;
	int fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0444);
	if (fd < 0)
		return fault_set(error, FAULT_INTERNAL, "cannot make %s: %s", path, g_strerror(errno));
	close(fd);
	g_thread_join(g_thread_new("netns-create", create_thread, &call));
	if (!call.error)
		return true;
	unlink(path);
	g_propagate_error(error, call.error);
	return false;
}

bool netns_remove(const char *name, GError **error)
{
	g_autofree char *path = netns_path(name);

	while (is_mounted(path))
		if (umount2(path, MNT_DETACH) < 0)
			return fault_set(error, FAULT_INTERNAL, "cannot unmount network namespace %s: %s",
				path, g_strerror(errno));
	if (unlink(path) < 0 && errno != ENOENT)
		return fault_set(error, FAULT_INTERNAL, "cannot remove %s: %s", path, g_strerror(errno));
	return true;
}

static void *run_thread(void *data)
{
	struct call *call = data;

	if (setns(call->fd, CLONE_NEWNET) < 0)
		fault_set(&call->error, FAULT_INTERNAL, "cannot enter a network namespace: %s",
			g_strerror(errno));
	else
		call->ok = call->fn(call->data, &call->error);
	return NULL;
}

bool netns_run_in(int fd, netns_fn fn, void *data, GError **error)
{
	struct call call = {.fd = fd, .fn = fn, .data = data};

	g_thread_join(g_thread_new("netns", run_thread, &call));
	if (call.error)
		g_propagate_error(error, call.error);
	return call.ok;
}

int netns_open(const char *name, GError **error)
{
	g_autofree char *path = name ? netns_path(name) : g_strdup(SELF);
	int fd = -1;

	if (name && !is_mounted(path))
		fault_set(error, FAULT_NOT_FOUND, "there is no network namespace %s; make it first", name);
	else if ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
		fault_set(error, FAULT_INTERNAL, "cannot open %s: %s", path, g_strerror(errno));
	return fd;
}

bool netns_run(const char *name, netns_fn fn, void *data, GError **error)
{
	int fd;

	if (!name)
		return fn(data, error);
	fd = netns_open(name, error);
	if (fd < 0)
		return false;
	bool ok = netns_run_in(fd, fn, data, error);
	close(fd);
	return ok;
}
