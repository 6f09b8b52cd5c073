/* `sluice up`: what must be there before the first part starts, and what goes after the last. */
#include "base/fault.h"
#include "base/log.h"
#include "base/pki.h"
#include "cli/listen.h"
#include "cli/up_priv.h"
#include "nic/host_file.h"
#include "nic/link.h"
#include "nic/names.h"
#include "nic/netns.h"

#include <fcntl.h>
#include <gio/gio.h>
#include <linux/capability.h>
#include <sys/file.h>
#include <sys/stat.h>

const char *up_image_dir(const struct cloud *cloud)
{
	return cloud->options.images ? cloud->options.images : cloud->layout->images;
}

static bool take_lock(struct cloud *cloud, GError **error)
{
	cloud->lock = open(cloud->layout->lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (cloud->lock >= 0 && flock(cloud->lock, LOCK_EX | LOCK_NB) == 0)
		return true;
	return fault_set(error, FAULT_BUSY,
		"another 'sluice up' runs on %s; stop it first or give another --state",
		cloud->layout->state);
}

/* With the lock: what listens there is not of this state folder. */
static bool check_listens(const struct cloud *cloud, GError **error)
{
	return listen_check_free("--listen", cloud->options.listen, error) &&
	       listen_check_free("--agent-listen", cloud->options.agent_listen, error) &&
	       (!cloud->options.tunnel || listen_check_free("--tunnel", cloud->options.tunnel, error));
}

/* Clients that may not look into tls/ find the CA beside it. */
static bool publish_ca(const struct cloud *cloud, GError **error)
{
	g_autofree char *from = g_build_filename(cloud->layout->tls, "ca.pem", NULL);
	g_autofree char *to = g_build_filename(cloud->layout->state, "ca.pem", NULL);
	g_autofree char *text = NULL;
	gsize length;

	return g_file_get_contents(from, &text, &length, error) &&
	       g_file_set_contents_full(
		       to, text, (gssize)length, G_FILE_SET_CONTENTS_CONSISTENT, 0644, error);
}

/* Where clients connect, for `sluice az-env`. */
static bool publish_endpoint(const struct cloud *cloud, GError **error)
{
	g_autofree char *path = g_build_filename(cloud->layout->state, "endpoint", NULL);
	g_autofree char *reach = listen_reach(cloud->options.listen);
	g_autofree char *text = g_strdup_printf("https://%s\n", reach);

	return g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0644, error);
}

/* What 'sluice host add' made on the controller's machine. */
static bool check_certificates(const struct cloud *cloud, GError **error)
{
	static const char *const files[] = {"ca.pem", "host.pem", "host.key"};

	for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
		g_autofree char *path = g_build_filename(cloud->layout->tls, files[i], NULL);
		if (!g_file_test(path, G_FILE_TEST_EXISTS))
			return fault_set(error, FAULT_NOT_FOUND,
				"%s is not there; run 'sluice host add %s' where the controller is, and copy "
				"what "
				"it makes to %s",
				path, g_get_host_name(), cloud->layout->tls);
	}
	return true;
}

static bool make_certificates(const struct cloud *cloud, GError **error)
{
	const char *tls = cloud->layout->tls;
	const char *const listens[] = {cloud->options.listen, cloud->options.agent_listen, NULL};
	g_autofree char *names = listen_alt_names(listens, g_get_host_name());

	return pki_ensure_ca(tls, "Sluice CA", error) && publish_ca(cloud, error) &&
	       pki_ensure_leaf(tls, "controller", "sluice-controller", names, error) &&
	       pki_ensure_later_leaf(tls, "host", g_get_host_name(), error);
}

/* The switch owns one folder, with its control socket and its state. Into the sockets of QEMU, which makes them
 * group-writable, it comes by its group, which they inherit from their folder. */
static bool admit_switch(struct cloud *cloud, GError **error)
{
	const struct layout *layout = cloud->layout;
	struct account *account = &cloud->switch_account;

	account->capabilities = UINT64_C(1) << CAP_NET_ADMIN | UINT64_C(1) << CAP_NET_RAW;
	return account_give(layout->run, 0, 0, 0711, error) &&
	       account_give(layout->vhost, 0, account->gid, S_ISGID | 0710, error) &&
	       account_give(layout->switch_, account->uid, account->gid, 0700, error) &&
	       account_check_reach(account, layout->vhost, error) &&
	       account_check_reach(account, layout->switch_, error);
}

/* A pool that the machine reaches another way would cut that off; a cloud's own interface may be there still. */
static bool check_pool(const struct cloud *cloud, GError **error)
{
	const struct up_options *options = &cloud->options;
	struct ip_prefix pool;

	if (!g_str_equal(options->outside, "host") || prefix_parse(options->public_prefix, &pool) < 0)
		return true;
	_cleanup_(links_close) struct links *links = links_open(NULL, error);
	if (links && links_check_free(links, pool, cloud->layout->outside_interface, error))
		return true;
	g_prefix_error(error,
		"--public-prefix %s cannot be the pool of public addresses here: ", options->public_prefix);
	return false;
}

/* What the controller here needs, or the agent of another machine's. */
static bool prepare_controller(const struct cloud *cloud, GError **error)
{
	if (cloud->options.controller)
		return check_certificates(cloud, error);
	return check_listens(cloud, error) && make_certificates(cloud, error) &&
	       publish_endpoint(cloud, error);
}

char *up_switch_netns(const struct cloud *cloud)
{
	return cloud->on_physicals ? NULL : netns_path(cloud->layout->netns);
}

/* One cloud at a time has the physical networks, and the names in their namespace. */
static bool take_physicals(struct cloud *cloud, GError **error)
{
	const char *path = cloud->options.host_file;
	_cleanup_(host_file_free) struct host_file *file = host_file_read(path, error);

	if (!file)
		return false;
	cloud->on_physicals = file->physicals->len > 0;
	if (!cloud->on_physicals)
		return true;
	cloud->physicals_lock = open(path, O_RDONLY | O_CLOEXEC);
	if (cloud->physicals_lock >= 0 && flock(cloud->physicals_lock, LOCK_EX | LOCK_NB) == 0)
		return true;
	return fault_set(error, FAULT_BUSY,
		"another 'sluice up' is on the physical networks of %s; stop it first, or be on none by "
		"--host-file /dev/null",
		path);
}

bool up_prepare(struct cloud *cloud, GError **error)
{
	if (!take_lock(cloud, error) || !take_physicals(cloud, error) || !check_pool(cloud, error) ||
		!admit_switch(cloud, error) || !prepare_controller(cloud, error))
		return false;
	g_autofree char *netns = up_switch_netns(cloud);
	const struct vm_daemon_config config = {.state_dir = cloud->layout->libvirt, .netns = netns};
	if (netns && !netns_create(cloud->layout->netns, error))
		return false;
	cloud->daemon = vm_daemon_new(&config, error);
	return cloud->daemon != NULL;
}

/* The switch's ends in this namespace; the other ends of pairs go with them. */
static void remove_interfaces(void)
{
	static const char *const names[] = {NAME_OUTSIDE_SWITCH, NAME_HOST_SWITCH, NAME_UNDERLAY, NAME_VXLAN};
	g_autoptr(GError) failure = NULL;
	_cleanup_(links_close) struct links *links = links_open(NULL, &failure);
	bool ok = links != NULL;

	for (size_t i = 0; ok && i < G_N_ELEMENTS(names); i++)
		ok = links_remove(links, names[i], &failure);
	if (!ok)
		log_warn("up", "%s", failure->message);
}

/* With the last process of a namespace its interfaces go, and the other ends of their pairs. */
void up_remove_namespaces(const struct cloud *cloud)
{
	const char *const names[] = {cloud->layout->netns, cloud->layout->meta_netns};

	if (cloud->on_physicals)
		remove_interfaces();
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autoptr(GError) failure = NULL;
		if (!netns_remove(names[i], &failure))
			log_warn("up", "%s", failure->message);
	}
}
