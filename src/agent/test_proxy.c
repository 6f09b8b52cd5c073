/* For tests: a VM manager that asks the one in the test's process. */
#include "agent/test_world.h"
#include "base/fault.h"
#include "base/jsonrpc.h"

#include <errno.h>
#include <glib/gstdio.h>

struct proxy {
	struct vm_manager base; /* first member */
	char *path;
};

static json_t *ask(struct vm_manager *manager, const char *method, json_t *params, GError **error)
{
	_cleanup_(jsonrpc_client_free) struct jsonrpc_client *client =
		jsonrpc_client_new(((struct proxy *)manager)->path);

	return jsonrpc_call(client, method, params, 10000, error);
}

static bool ask_plain(struct vm_manager *manager, const char *method, json_t *params, GError **error)
{
	json_auto_t *answer = ask(manager, method, params, error);

	return answer != NULL;
}

static bool proxy_host(struct vm_manager *manager, struct vm_host *ret, GError **error)
{
	*ret = (struct vm_host){.accel_detail = g_strdup("none: a test"), .version = g_strdup("proxy")};
	return true;
}

static bool proxy_define(struct vm_manager *manager, const struct vm_spec *spec, GError **error)
{
	json_t *nics = json_array();
	char mac[MAC_TEXT_MAX];

	for (guint i = 0; i < spec->nics->len; i++) {
		const struct vm_nic *nic = spec->nics->pdata[i];
		json_array_append_new(nics,
			json_pack("{s:s, s:s, s:s, s:b}", "uid", nic->uid, "mac", mac_format(nic->mac, mac),
				"socket", nic->vhost_socket, "teamed", nic->teamed));
	}
	return ask_plain(manager, "define",
		json_pack("{s:s, s:s, s:i, s:I, s:s, s:s, s:o}", "uid", spec->uid, "name", spec->name,
			"vcpus", (int)spec->vcpus, "memory", (json_int_t)spec->memory_mib, "image",
			spec->image, "directory", spec->directory, "nics", nics),
		error);
}

static bool proxy_start(struct vm_manager *manager, const char *uid, GError **error)
{
	return ask_plain(manager, "start", json_pack("{s:s}", "uid", uid), error);
}

static bool proxy_stop(struct vm_manager *manager, const char *uid, unsigned grace_s, GError **error)
{
	return ask_plain(manager, "stop", json_pack("{s:s, s:i}", "uid", uid, "grace", (int)grace_s), error);
}

static bool proxy_reset(struct vm_manager *manager, const char *uid, GError **error)
{
	return fault_set(error, FAULT_UNSUPPORTED, "the agent is not expected to reset");
}

static bool proxy_remove(struct vm_manager *manager, const char *uid, GError **error)
{
	return ask_plain(manager, "remove", json_pack("{s:s}", "uid", uid), error);
}

static GPtrArray *proxy_list(struct vm_manager *manager, GError **error)
{
	json_auto_t *answer = ask(manager, "list", NULL, error);
	json_t *entry;
	size_t i;

	if (!answer)
		return NULL;
	GPtrArray *infos = g_ptr_array_new_with_free_func((GDestroyNotify)vm_info_free);
	json_array_foreach(answer, i, entry)
	{
		struct vm_info *info = g_new0(struct vm_info, 1);
		info->uid = g_strdup(json_string_value(json_object_get(entry, "uid")));
		info->state = (enum vm_state)json_integer_value(json_object_get(entry, "state"));
		info->detail = g_strdup(json_string_value(json_object_get(entry, "detail")));
		g_ptr_array_add(infos, info);
	}
	return infos;
}

static json_t *primary_json(const char *uid, const struct vm_primary *primary, unsigned timeout_ms)
{
	char mac[MAC_TEXT_MAX];

	return json_pack("{s:s, s:s, s:s, s:s?, s:s?, s:i, s:i}", "uid", uid, "nic", primary->nic_uid, "mac",
		mac_format(primary->mac, mac), "tap", primary->tap, "pci", primary->pci, "vlan",
		(int)primary->vlan, "timeout", (int)timeout_ms);
}

static bool proxy_plug(
	struct vm_manager *manager, const char *uid, const struct vm_primary *primary, GError **error)
{
	return ask_plain(manager, "plug", primary_json(uid, primary, 0), error);
}

static bool proxy_unplug(struct vm_manager *manager, const char *uid, const struct vm_primary *primary,
	unsigned timeout_ms, GError **error)
{
	return ask_plain(manager, "unplug", primary_json(uid, primary, timeout_ms), error);
}

static bool proxy_plugged(
	struct vm_manager *manager, const char *uid, const char *nic_uid, bool *ret, GError **error)
{
	json_auto_t *answer =
		ask(manager, "plugged", json_pack("{s:s, s:s}", "uid", uid, "nic", nic_uid), error);

	*ret = json_is_true(answer);
	return answer != NULL;
}

/* What vm_fake_join() makes of the world's folder: nobody is asked for paths alone. */
static bool proxy_paths(struct vm_manager *manager, const char *migration, bool incoming,
	struct vm_migration_paths *ret, GError **error)
{
	g_autofree char *folder = g_path_get_dirname(((struct proxy *)manager)->path);

	*ret = (struct vm_migration_paths){
		.manager = incoming ? g_strdup_printf("%s/migrations/manager", folder)
				    : g_strdup_printf("%s/migrations/%s.manager", folder, migration),
		.memory = g_strdup_printf("%s/migrations/%s.memory", folder, migration),
		.disk = g_strdup_printf("%s/migrations/%s.disk", folder, migration),
	};
	return true;
}

/* Sees the machine's stop, while the call that moves it is under way. */
struct watcher {
	struct vm_manager *manager;
	const char *uid;
	const struct vm_migration *migration;
	gint over;
};

static bool is_off(const struct watcher *watcher)
{
	g_autoptr(GPtrArray) infos = proxy_list(watcher->manager, NULL);

	for (guint i = 0; infos && i < infos->len; i++) {
		const struct vm_info *info = infos->pdata[i];
		if (g_str_equal(info->uid, watcher->uid))
			return info->state == VM_STOPPED;
	}
	return false;
}

static void *watch(void *data)
{
	const struct watcher *watcher = data;

	for (; !g_atomic_int_get(&watcher->over); g_usleep(5000)) {
		if (is_off(watcher)) {
			watcher->migration->stopped(watcher->migration->data);
			break;
		}
	}
	return NULL;
}

static bool proxy_migrate(
	struct vm_manager *manager, const char *uid, const struct vm_migration *migration, GError **error)
{
	struct watcher watcher = {.manager = manager, .uid = uid, .migration = migration};
	g_autofree char *path = g_strdup_printf("%s.move", ((struct proxy *)manager)->path);
	_cleanup_(jsonrpc_client_free) struct jsonrpc_client *client = jsonrpc_client_new(path);

	migration->progress(50, migration->data);
	GThread *thread = g_thread_new("watcher", watch, &watcher);
	json_auto_t *answer = jsonrpc_call(client, "migrate",
		json_pack("{s:s, s:s}", "uid", uid, "migration", migration->uid), 30000, error);
	g_atomic_int_set(&watcher.over, true);
	g_thread_join(thread);
	return answer != NULL;
}

static bool proxy_migrate_cancel(struct vm_manager *manager, const char *uid, GError **error)
{
	return ask_plain(manager, "cancel", json_pack("{s:s}", "uid", uid), error);
}

/* The manager beyond the proxy has no disks. */
static bool proxy_take_disk(
	struct vm_manager *manager, const struct vm_spec *spec, const char *path, GError **error)
{
	g_autofree char *disk = g_build_filename(spec->directory, VM_DISK_FILE, NULL);

	return g_rename(path, disk) == 0 ||
	       fault_set(error, FAULT_INVALID, "%s is no disk: %s", path, g_strerror(errno));
}

static void proxy_close(struct vm_manager *manager)
{
	g_free(((struct proxy *)manager)->path);
	g_free(manager);
}

struct vm_manager *world_proxy_open(const char *vm_path)
{
	static const struct vm_ops ops = {
		.name = "proxy",
		.host = proxy_host,
		.define = proxy_define,
		.take_disk = proxy_take_disk,
		.start = proxy_start,
		.stop = proxy_stop,
		.reset = proxy_reset,
		.remove = proxy_remove,
		.list = proxy_list,
		.plug = proxy_plug,
		.unplug = proxy_unplug,
		.plugged = proxy_plugged,
		.migration_paths = proxy_paths,
		.migrate = proxy_migrate,
		.migrate_cancel = proxy_migrate_cancel,
		.close = proxy_close,
	};
	struct proxy *proxy = g_new0(struct proxy, 1);

	proxy->base.ops = &ops;
	proxy->path = g_strdup(vm_path);
	return &proxy->base;
}
