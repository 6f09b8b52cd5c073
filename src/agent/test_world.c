/* For tests: the fake switch, the VM manager's server, and the agent in between. */
#include "agent/test_world.h"

#include "base/fault.h"
#include "base/jsonrpc.h"
#include "base/pki.h"

#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>

#define DEADLINE_US (10 * G_USEC_PER_SEC)

G_GNUC_PRINTF(2, 3)
static void note(struct world *w, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	g_mutex_lock(&w->lock);
	g_ptr_array_add(w->log, g_strdup_vprintf(format, args));
	g_mutex_unlock(&w->lock);
	va_end(args);
}

static void note_function(const char *text, void *data)
{
	note(data, "%s", text);
}

static const char *text(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? value : "";
}

/* ---- the fake switch ---- */

/* Notes each NIC whose attachments or active path changed: "switch NIC both +sl-f0". */
static void note_nics(struct world *w, const json_t *state)
{
	json_t *nic, *old;
	size_t i, j;

	json_array_foreach(json_object_get(state, "nics"), i, nic)
	{
		json_t *function = json_array_get(json_object_get(nic, "attachments"), 1);
		bool same = false;
		json_array_foreach(json_object_get(w->state, "nics"), j, old) same |=
			json_equal(json_object_get(old, "uid"), json_object_get(nic, "uid")) &&
			json_equal(json_object_get(old, "active"), json_object_get(nic, "active")) &&
			json_equal(json_object_get(old, "attachments"), json_object_get(nic, "attachments"));
		if (!same)
			note(w, "switch %s %s%s%s%s", text(nic, "uid"), text(nic, "active"),
				function ? " +" : "",
				!function ? ""
				: json_is_true(json_object_get(function, "physical"))
					? "physical"
					: text(function, "interface"),
				json_object_get(function, "offload") ? " offloaded" : "");
	}
}

static json_t *on_version(json_t *params, void *data, GError **error)
{
	struct world *w = data;

	return json_pack("{s:s, s:i, s:I}", "program", "fake", "protocol", 1, "pid", (json_int_t)w->pid);
}

static json_t *on_state(json_t *params, void *data, GError **error)
{
	struct world *w = data;

	return w->state ? json_incref(w->state) : json_null();
}

static json_t *on_apply(json_t *params, void *data, GError **error)
{
	struct world *w = data;
	json_int_t generation = json_integer_value(json_object_get(params, "generation"));

	if (w->refuse_apply || generation <= w->generation) {
		fault_set(error, FAULT_INVALID, "generation: %d was offered after %d", (int)generation,
			(int)w->generation);
		return NULL;
	}
	g_usleep(2000); /* workers take their time */
	note_nics(w, params);
	w->generation = generation;
	w->applies++;
	json_decref(w->state);
	w->state = json_incref(params);
	return json_pack("{s:I}", "generation", generation);
}

static bool is_plugged(struct world *w, const char *vm, const char *nic)
{
	bool plugged = false;

	return w->machines->ops->plugged(w->machines, vm, nic, &plugged, NULL) && plugged;
}

static const char *vm_of_nic(const char *nic)
{
	return g_str_equal(nic, WORLD_NIC) ? WORLD_VM : WORLD_VM_2;
}

/* NULL: its function has no representor. */
static json_t *offload_of(const struct world *w, const json_t *nic)
{
	const json_t *function = json_array_get(json_object_get(nic, "attachments"), 1);

	if (!json_object_get(function, "offload"))
		return NULL;
	return json_pack("{s:s?, s:s*, s:i, s:i, s:{}}", "provider", w->offload_error ? NULL : "tc", "error",
		w->offload_error, "installed", w->offload_error ? 0 : WORLD_FLOWS, "refused", 0, "reasons");
}

static json_t *on_nic_list(json_t *params, void *data, GError **error)
{
	struct world *w = data;
	json_t *list = json_array(), *nic;
	size_t i;

	w->looks++;
	json_array_foreach(json_object_get(w->state, "nics"), i, nic)
	{
		const char *uid = text(nic, "uid"), *vm = vm_of_nic(uid);
		bool up = world_machine(w, vm) == VM_RUNNING && !w->guest_is_deaf && !w->reboot;
		if (up && (w->has_no_driver || w->chatters))
			w->standby_frames++;
		json_t *attachments = json_pack("[{s:s, s:s, s:I}]", "kind", "synthetic", "state",
			up ? "ready" : "waiting", "rx_packets", w->standby_frames);
		if (json_array_size(json_object_get(nic, "attachments")) > 1) {
			if (up && is_plugged(w, vm, uid) && !w->guest_is_quiet && !w->has_no_driver)
				w->frames++;
			json_array_append_new(
				attachments, json_pack("{s:s, s:s, s:I, s:b}", "kind", "function", "state",
						     w->function_fails ? "failed" : "ready", "rx_packets",
						     w->frames, "answered", w->chatters));
		}
		json_array_append_new(list, json_pack("{s:s, s:o, s:o*}", "uid", uid, "attachments",
						    attachments, "offload", offload_of(w, nic)));
	}
	return list;
}

/* Whether the switch knows that the NIC's machine is elsewhere. */
static bool is_away(struct world *w, const char *uid)
{
	json_t *nic;
	size_t i;

	json_array_foreach(json_object_get(w->state, "nics"), i, nic)
	{
		if (g_str_equal(text(nic, "uid"), uid))
			return json_is_true(json_object_get(nic, "away"));
	}
	return false;
}

static json_t *on_export(json_t *params, void *data, GError **error)
{
	struct world *w = data;
	g_autofree char *content = g_strdup_printf("connections of %s\n", text(params, "nic"));

	if (w->refuse_export || !g_file_set_contents(text(params, "path"), content, -1, NULL)) {
		fault_set(error, FAULT_UNAVAILABLE, "the switch cannot export");
		return NULL;
	}
	note(w, "export %s", text(params, "nic"));
	return json_pack("{s:i}", "connections", 3);
}

static json_t *on_import(json_t *params, void *data, GError **error)
{
	struct world *w = data;
	g_autofree char *content = NULL,
			*wanted = g_strdup_printf("connections of %s\n", text(params, "nic"));

	g_assert_true(g_file_get_contents(text(params, "path"), &content, NULL, NULL));
	g_assert_cmpstr(content, ==, wanted);
	note(w, "import %s%s", text(params, "nic"), is_away(w, text(params, "nic")) ? " early" : "");
	return json_pack("{s:i, s:i, s:{s:i}}", "imported", 2, "known", 0, "refused", "not-ours", 1);
}

static const struct jsonrpc_method switch_methods[] = {
	{"version", on_version},
	{"state", on_state},
	{"apply", on_apply},
	{"nic.list", on_nic_list},
	{"connection.export", on_export},
	{"connection.import", on_import},
	{NULL, NULL},
};

void world_start_switch(struct world *w)
{
	g_autoptr(GError) error = NULL;

	w->pid++;
	w->switch_server = jsonrpc_serve(w->switch_path, switch_methods, w, &error);
	g_assert_no_error(error);
}

void world_stop_switch(struct world *w)
{
	g_clear_pointer(&w->switch_server, jsonrpc_server_free);
}

/* ---- the VM manager's server ---- */

static json_t *on_define(json_t *params, void *data, GError **error)
{
	struct world *w = data;
	_cleanup_(vm_spec_free) struct vm_spec *spec = vm_spec_new();
	json_t *nic;
	size_t i;

	note(w, "define %s", text(params, "uid"));
	spec->uid = g_strdup(text(params, "uid"));
	spec->name = g_strdup(text(params, "name"));
	spec->image = g_strdup(text(params, "image"));
	spec->directory = g_strdup(text(params, "directory"));
	spec->vcpus = (uint32_t)json_integer_value(json_object_get(params, "vcpus"));
	spec->memory_mib = (uint64_t)json_integer_value(json_object_get(params, "memory"));
	json_array_foreach(json_object_get(params, "nics"), i, nic)
	{
		struct vm_nic *out = g_new0(struct vm_nic, 1);
		out->uid = g_strdup(text(nic, "uid"));
		mac_parse(text(nic, "mac"), &out->mac);
		out->vhost_socket = g_strdup(text(nic, "socket"));
		out->teamed = json_is_true(json_object_get(nic, "teamed"));
		out->queues = 1;
		g_ptr_array_add(spec->nics, out);
	}
	return w->machines->ops->define(w->machines, spec, error) ? json_true() : NULL;
}

static json_t *on_start(json_t *params, void *data, GError **error)
{
	struct world *w = data;

	note(w, "start %s", text(params, "uid"));
	if (w->half_starts > 0) {
		w->half_starts--;
		w->half_started = true;
		world_run(150);
		w->half_started = false;
		fault_set(error, FAULT_UNAVAILABLE, "it took too long");
		return NULL;
	}
	return w->machines->ops->start(w->machines, text(params, "uid"), error) ? json_true() : NULL;
}

static json_t *on_stop(json_t *params, void *data, GError **error)
{
	struct world *w = data;
	unsigned grace = (unsigned)json_integer_value(json_object_get(params, "grace"));

	note(w, "stop %s", text(params, "uid"));
	return w->machines->ops->stop(w->machines, text(params, "uid"), grace, error) ? json_true() : NULL;
}

static json_t *on_remove(json_t *params, void *data, GError **error)
{
	struct world *w = data;

	note(w, "remove %s", text(params, "uid"));
	return w->machines->ops->remove(w->machines, text(params, "uid"), error) ? json_true() : NULL;
}

static json_t *on_list(json_t *params, void *data, GError **error)
{
	struct world *w = data;
	g_autoptr(GPtrArray) infos = w->machines->ops->list(w->machines, error);
	json_t *list = json_array();

	for (guint i = 0; i < infos->len; i++) {
		const struct vm_info *info = infos->pdata[i];
		enum vm_state state = w->half_started ? VM_RUNNING : info->state;
		json_array_append_new(list, json_pack("{s:s, s:i, s:s?}", "uid", info->uid, "state",
						    (int)state, "detail", info->detail));
	}
	return list;
}

static struct vm_primary primary_of(const json_t *params)
{
	struct vm_primary primary = {.nic_uid = text(params, "nic"),
		.tap = json_string_value(json_object_get(params, "tap")),
		.pci = json_string_value(json_object_get(params, "pci")),
		.vlan = (uint16_t)json_integer_value(json_object_get(params, "vlan"))};

	mac_parse(text(params, "mac"), &primary.mac);
	return primary;
}

/* A VF with a representor is plugged when it is armed, without a VLAN. */
static void check_represented(struct world *w, const struct vm_primary *primary)
{
	g_autofree char *path = g_build_filename(w->folder, primary->pci, NULL), *file = NULL;
	char mac[MAC_TEXT_MAX];

	g_assert_true(g_file_get_contents(path, &file, NULL, NULL));
	g_assert_true(g_str_has_prefix(file, "armed ") && strstr(file, mac_format(primary->mac, mac)));
	g_assert_cmpuint(primary->vlan, ==, 0);
}

/* A VF is plugged only when it has its MAC, and the host has it no more. */
static void check_armed(struct world *w, const struct vm_primary *primary)
{
	g_autofree char *path = g_build_filename(w->folder, primary->pci, NULL), *file = NULL;
	g_autofree char *heard_path = g_build_filename(w->folder, "heard", NULL), *heard = NULL;
	char mac[MAC_TEXT_MAX];
	g_autofree char *place =
		g_strdup_printf("physnet1 %u %s", primary->vlan, mac_format(primary->mac, mac));
	g_autofree char *armed = g_strdup_printf("armed %s ", place);

	g_assert_true(g_file_get_contents(path, &file, NULL, NULL));
	g_assert_true(g_str_has_prefix(file, armed));
	g_assert_true(g_file_get_contents(heard_path, &heard, NULL, NULL));
	g_assert_null(strstr(heard, place));
}

static json_t *on_plug(json_t *params, void *data, GError **error)
{
	struct world *w = data;
	struct vm_primary primary = primary_of(params);

	if (primary.pci) {
		(w->switchdev ? check_represented : check_armed)(w, &primary);
		note(w, "plug %s %s vlan %u", primary.nic_uid, primary.pci, primary.vlan);
	} else {
		note(w, "plug %s %s", primary.nic_uid, primary.tap);
	}
	bool plugged = w->machines->ops->plug(w->machines, text(params, "uid"), &primary, error);
	if (plugged && w->drops_next) {
		w->drops_next = false;
		w->machines->ops->unplug(w->machines, text(params, "uid"), &primary, 0, NULL);
	}
	return plugged ? json_true() : NULL;
}

static json_t *on_unplug(json_t *params, void *data, GError **error)
{
	struct world *w = data;
	struct vm_primary primary = primary_of(params);

	note(w, "unplug %s", primary.nic_uid);
	return w->machines->ops->unplug(w->machines, text(params, "uid"), &primary, 0, error) ? json_true()
											      : NULL;
}

static json_t *on_plugged(json_t *params, void *data, GError **error)
{
	return json_boolean(is_plugged(data, text(params, "uid"), text(params, "nic")));
}

/* In the mover's thread. */
static json_t *on_migrate(json_t *params, void *data, GError **error)
{
	struct world *w = data;
	const struct vm_migration migration = {.uid = text(params, "migration")};

	note(w, "migrate %s", text(params, "uid"));
	return w->machines->ops->migrate(w->machines, text(params, "uid"), &migration, error) ? json_true()
											      : NULL;
}

static json_t *on_migrate_cancel(json_t *params, void *data, GError **error)
{
	struct world *w = data;

	note(w, "cancel %s", text(params, "uid"));
	return w->machines->ops->migrate_cancel(w->machines, text(params, "uid"), error) ? json_true() : NULL;
}

static const struct jsonrpc_method vm_methods[] = {
	{"define", on_define},
	{"start", on_start},
	{"stop", on_stop},
	{"remove", on_remove},
	{"list", on_list},
	{"plug", on_plug},
	{"unplug", on_unplug},
	{"plugged", on_plugged},
	{"cancel", on_migrate_cancel},
	{NULL, NULL},
};

static const struct jsonrpc_method mover_methods[] = {{"migrate", on_migrate}, {NULL, NULL}};

struct world_mover {
	GMainContext *context;
	GMainLoop *loop;
	struct jsonrpc_server *server;
	GThread *thread;
};

static void *run_mover(void *data)
{
	struct world_mover *mover = data;

	g_main_context_push_thread_default(mover->context);
	g_main_loop_run(mover->loop);
	jsonrpc_server_free(mover->server);
	g_main_context_pop_thread_default(mover->context);
	return NULL;
}

static void start_mover(struct world *w)
{
	struct world_mover *mover = g_new0(struct world_mover, 1);
	g_autofree char *path = g_strdup_printf("%s.move", w->vm_path);
	g_autoptr(GError) error = NULL;

	mover->context = g_main_context_new();
	mover->loop = g_main_loop_new(mover->context, false);
	g_main_context_push_thread_default(mover->context);
	mover->server = jsonrpc_serve(path, mover_methods, w, &error);
	g_main_context_pop_thread_default(mover->context);
	g_assert_no_error(error);
	mover->thread = g_thread_new("mover", run_mover, mover);
	w->mover = mover;
}

static gboolean quit(void *loop)
{
	g_main_loop_quit(loop);
	return G_SOURCE_REMOVE;
}

static void stop_mover(struct world *w)
{
	struct world_mover *mover = g_steal_pointer(&w->mover);

	vm_fake_hold_migrations(w->machines, false);
	vm_fake_hold_arrivals(w->machines, false);
	g_main_context_invoke(mover->context, quit, mover->loop);
	g_thread_join(mover->thread);
	g_main_loop_unref(mover->loop);
	g_main_context_unref(mover->context);
	g_free(mover);
}

static void on_event(const char *uid, enum vm_state state, const char *gone_nic, void *data)
{
	struct world *w = data;

	if (w->agent)
		agent_vm_event(uid, state, gone_nic, w->agent);
}

/* ---- the world ---- */

/* meminfo of a big host. */
static void write_proc(struct world *w)
{
	g_autofree char *path = g_build_filename(w->folder, "meminfo", NULL);

	g_assert_true(g_file_set_contents(
		path, "MemTotal: 67108864 kB\nMemFree: 1 kB\nMemAvailable: 33554432 kB\n", -1, NULL));
}

struct agent_config world_config(const char *folder, const char *switch_path)
{
	return (struct agent_config){
		.host_name = "host-a",
		.version = "test",
		.state_dir = folder,
		.run_dir = folder,
		.switch_socket = switch_path,
		.proc = folder,
		.admission = {.start_mib = 1024, .reserve_mib = 512},
		.times = {.port_ms = 300,
			.confirm_ms = 2000,
			.first_frame_ms = 300,
			.no_driver_ms = 200,
			.no_driver_pause_ms = 60000,
			.unplug_ms = 100,
			.migrate_functions_ms = 5000,
			.stop_grace_s = 1,
			.retry_ms = 20,
			.retry_max_ms = 100,
			.refresh_ms = 50,
			.health_ms = 50,
			.eager_ms = 5,
			.idle_ms = 20,
			.report_ms = 100},
	};
}

void world_config_physical(struct agent_config *config)
{
	static const struct switch_physical physicals[] = {{"physnet1", "ens3", 1500}};

	config->site.physicals = physicals;
	config->site.n_physicals = G_N_ELEMENTS(physicals);
}

void world_init(struct world *w)
{
	g_autoptr(GError) error = NULL;

	g_log_set_always_fatal(G_LOG_FATAL_MASK); /* warnings are part of what is tested */
	*w = (struct world){.pid = 100, .vfs = 2};
	w->folder = g_dir_make_tmp("agent-XXXXXX", NULL);
	w->switch_path = g_build_filename(w->folder, "switch.sock", NULL);
	w->vm_path = g_build_filename(w->folder, "vm.sock", NULL);
	g_mutex_init(&w->lock);
	w->log = g_ptr_array_new_with_free_func(g_free);
	w->machines = vm_fake_open(on_event, w);
	w->proxy = world_proxy_open(w->vm_path);
	w->vm_server = jsonrpc_serve(w->vm_path, vm_methods, w, &error);
	g_assert_no_error(error);
	start_mover(w);
	world_start_switch(w);
	write_proc(w);
	w->config = world_config(w->folder, w->switch_path);
}

void world_done(struct world *w)
{
	g_autofree char *command = g_strdup_printf("rm -r '%s'", w->folder);

	world_stop_agent(w);
	world_stop_switch(w);
	stop_mover(w);
	jsonrpc_server_free(w->vm_server);
	vm_manager_close(w->proxy);
	vm_manager_close(w->machines);
	g_ptr_array_unref(w->log);
	g_mutex_clear(&w->lock);
	json_decref(w->state);
	g_assert_cmpint(system(command), ==, 0);
	g_free(w->folder);
	g_free(w->switch_path);
	g_free(w->vm_path);
	g_strfreev(w->certificates);
}

void world_join(struct world *w, struct world *peer, const char *name, const char *ca)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *dir = g_build_filename(w->folder, "migrations", NULL);

	g_assert_cmpint(g_mkdir(dir, 0700), ==, 0);
	vm_fake_join(w->machines, peer->machines, dir);
	pki_ensure_leaf(ca, name, name, NULL, &error);
	g_assert_no_error(error);
	w->certificates = g_new0(char *, 4);
	w->certificates[0] = g_strdup_printf("%s/%s.pem", ca, name);
	w->certificates[1] = g_strdup_printf("%s/%s.key", ca, name);
	w->certificates[2] = g_strdup_printf("%s/ca.pem", ca);
	w->tunnel = (struct tunnel_config){.certificate = w->certificates[0],
		.key = w->certificates[1],
		.ca = w->certificates[2],
		.listen = "127.0.0.1:0"};
	w->config.host_name = name;
	w->config.tunnel = &w->tunnel;
}

void world_start_agent(struct world *w, bool with_provider)
{
	g_autoptr(GError) error = NULL;

	if (w->bypass || w->switchdev)
		world_config_physical(&w->config);
	if (with_provider)
		w->provider = w->switchdev
				      ? nic_fake_open_switchdev(w->folder, w->vfs, note_function, w, &error)
			      : w->bypass ? nic_fake_open_bypass(w->folder, w->vfs, note_function, w, &error)
					  : nic_fake_open(w->folder, 4, &error);
	g_assert_no_error(error);
	w->agent = agent_new(&w->config, &error);
	g_assert_no_error(error);
	agent_start(w->agent, w->proxy, w->provider, &error);
	g_assert_no_error(error);
}

void world_stop_agent(struct world *w)
{
	g_clear_pointer(&w->agent, agent_free);
	g_clear_pointer(&w->provider, nic_provider_close);
}

/* ---- goals ---- */

static void *add(GPtrArray **list, const struct shape *shape)
{
	void *object = shape_new(shape);

	if (!*list)
		*list = shape_list_new(shape);
	g_ptr_array_add(*list, object);
	return object;
}

static void add_vm(struct goal *goal, const char *uid, const char *name)
{
	struct goal_vm *vm = add(&goal->vms, &goal_vm_shape);

	vm->uid = g_strdup(uid);
	vm->name = g_strdup(name);
	vm->group_name = g_strdup("myGroup");
	vm->location = g_strdup("centralus");
	vm->size = g_strdup("Standard_DS4_v2");
	vm->subscription = g_strdup("55555555-5555-4555-8555-555555555555");
	vm->computer_name = g_strdup(name);
	vm->admin_user = g_strdup("azureuser");
	vm->image = g_strdup("sluice-debian");
	vm->vcpus = 8;
	vm->memory_mib = 28672;
	vm->ssh_keys = strings_new();
	g_ptr_array_add(vm->ssh_keys, g_strdup("ssh-rsa AAAA me@there\n"));
	vm->tags = json_pack("{s:s}", "purpose", "test");
}

static void add_nic(struct goal *goal, const char *uid, const char *vm, unsigned number, bool accelerated)
{
	struct goal_nic *nic = add(&goal->nics, &goal_nic_shape);
	struct goal_address *address = add(&nic->addresses, &goal_address_shape);

	nic->uid = g_strdup(uid);
	nic->name = g_strdup_printf("nic-%u", number);
	nic->mac = g_strdup_printf("00:0d:3a:00:00:%02x", number);
	nic->vm = g_strdup(vm);
	nic->network = g_strdup("network-1");
	nic->subnet = g_strdup("subnet-1");
	nic->host_address = g_strdup_printf("100.64.0.%u", number);
	nic->accelerated = accelerated;
	nic->primary = true;
	address->ip = g_strdup_printf("192.168.1.%u", number);
	address->public_ip = g_strdup_printf("203.0.113.%u", number);
	address->standard = true;
}

struct goal *world_goal(int64_t version, bool accelerated)
{
	struct goal *goal = goal_new();
	struct goal_network *network = add(&goal->networks, &goal_network_shape);
	struct goal_subnet *subnet = add(&network->subnets, &goal_subnet_shape);

	goal->version = version;
	goal->host = g_strdup("host-uid");
	network->uid = g_strdup("network-1");
	network->name = g_strdup("myVnet");
	network->vni = 4096;
	network->prefixes = strings_new();
	g_ptr_array_add(network->prefixes, g_strdup("192.168.0.0/16"));
	subnet->uid = g_strdup("subnet-1");
	subnet->prefix = g_strdup("192.168.1.0/24");
	subnet->gateway = g_strdup("192.168.1.1");
	add_vm(goal, WORLD_VM, "myvm");
	add_nic(goal, WORLD_NIC, WORLD_VM, 4, accelerated);
	return goal;
}

struct goal *world_goal_physical(int64_t version, bool accelerated)
{
	struct goal *goal = world_goal(version, accelerated);
	struct goal_network *network = goal->networks->pdata[0];
	struct goal_address *address = world_nic(goal)->addresses->pdata[0];

	network->vni = 0;
	network->physical = g_strdup("physnet1");
	network->vlan = 100;
	g_clear_pointer(&address->public_ip, g_free);
	return goal;
}

void world_add_rules(struct goal *goal, const char *rules)
{
	g_autofree char *text =
		g_strdup_printf("{\"uid\": \"group-1\", \"name\": \"myGroup\", \"rules\": [%s]}", rules);
	json_auto_t *json = json_loads(text, 0, NULL);
	g_autoptr(GError) error = NULL;

	g_assert_nonnull(json);
	if (!goal->groups)
		goal->groups = shape_list_new(&goal_group_shape);
	g_ptr_array_add(goal->groups, shape_decode(&goal_group_shape, json, SHAPE_STRICT, &error));
	g_assert_no_error(error);
	world_nic(goal)->security_group = g_strdup("group-1");
}

void world_add_vm(struct goal *goal)
{
	add_vm(goal, WORLD_VM_2, "other");
	add_nic(goal, WORLD_NIC_2, WORLD_VM_2, 5, false);
}

/* ---- waiting and looking ---- */

static gboolean set_flag(void *data)
{
	*(bool *)data = true;
	return G_SOURCE_REMOVE;
}

void world_run(unsigned ms)
{
	bool over = false;

	g_timeout_add(ms, set_flag, &over);
	while (!over)
		g_main_context_iteration(NULL, true);
}

static gboolean tick(void *data)
{
	return G_SOURCE_CONTINUE;
}

static void print_log(const struct world *w)
{
	for (guint i = 0; i < w->log->len; i++)
		g_test_message("%u: %s", i, (char *)w->log->pdata[i]);
}

void world_wait(struct world *w, const char *what, world_condition condition)
{
	int64_t deadline = g_get_monotonic_time() + DEADLINE_US;
	guint ticking = g_timeout_add(2, tick, NULL);

	while (!condition(w)) {
		g_main_context_iteration(NULL, true);
		if (g_get_monotonic_time() < deadline)
			continue;
		print_log(w);
		g_error("this did not happen in 10 s: %s", what);
	}
	g_source_remove(ticking);
}

enum power_state world_power(struct world *w, const char *vm)
{
	_cleanup_(report_free) struct report *report = agent_report(w->agent);

	for (guint i = 0; i < report->vms->len; i++) {
		const struct report_vm *entry = report->vms->pdata[i];
		if (g_str_equal(entry->uid, vm))
			return (enum power_state)entry->power;
	}
	return POWER_STATE_UNKNOWN;
}

enum vm_state world_machine(struct world *w, const char *vm)
{
	g_autoptr(GPtrArray) infos = w->machines->ops->list(w->machines, NULL);

	for (guint i = 0; i < infos->len; i++) {
		const struct vm_info *info = infos->pdata[i];
		if (g_str_equal(info->uid, vm))
			return info->state;
	}
	return VM_ABSENT;
}

void world_forget(struct world *w)
{
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&w->lock);

	g_ptr_array_set_size(w->log, 0);
}

int world_find(struct world *w, const char *wanted, int from)
{
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&w->lock);

	for (guint i = (guint)from; i < w->log->len; i++)
		if (g_str_equal(w->log->pdata[i], wanted))
			return (int)i;
	return -1;
}

void world_expect(struct world *w, ...)
{
	va_list args;
	const char *wanted;
	int at = 0;

	va_start(args, w);
	while ((wanted = va_arg(args, const char *))) {
		int found = world_find(w, wanted, at);
		if (found < 0) {
			print_log(w);
			g_error("the log has no '%s' after its line %d", wanted, at);
		}
		at = found + 1;
	}
	va_end(args);
}
