/* The control socket: a thread that serves, and calls that hop to the main thread. */
#include "agent/control_socket.h"

#include "agent/agent_priv.h"
#include "agent/change_log.h"
#include "agent/quarantine.h"
#include "base/fault.h"
#include "base/jsonrpc.h"

#include <string.h>

#define CHANGE_TIMEOUT_US (60 * G_USEC_PER_SEC)

struct control_socket {
	struct agent *agent; /* Borrowed; main thread only */
	GMainContext *main; /* Ref */
	GMainContext *context; /* Owned; of the thread */
	GMainLoop *loop; /* Owned */
	GThread *thread;
	struct jsonrpc_server *server; /* Owned; made before the thread starts, used only there */
	gint closing; /* main tells the thread and its calls */
	gint ended; /* the thread tells main */
};

/* One call on its way: referenced by the handler that waits and by the main thread that answers. */
struct call {
	struct control_socket *socket;
	void (*run)(struct call *call); /* in the main thread; ends with finish(), now or later */
	json_t *params; /* Ref; NULL: none */
	bool repeated; /* it asks for what is so already, and changes nothing; main thread only until it is done */
	const char *method; /* for the log, as what follows; NULL: it changes nothing */
	char *who; /* Owned */
	int64_t began_us; /* monotonic */
	gint given; /* to the main thread; GLib's own locks order it, which a sanitizer does not see into */
	GMutex mutex; /* guards what follows */
	GCond cond;
	bool done;
	bool late; /* whoever asked has been told that it is still under way */
	json_t *result; /* Owned */
	GError *error; /* Owned */
};

static void call_clear(void *data)
{
	struct call *call = data;

	json_decref(call->params);
	json_decref(call->result);
	g_free(call->who);
	g_clear_error(&call->error);
	g_mutex_clear(&call->mutex);
	g_cond_clear(&call->cond);
}

static void call_unref(struct call *call)
{
	g_atomic_rc_box_release_full(call, call_clear);
}

/* The answer; takes the result, copies the error, drops the main thread's reference. */
/* Of what changes something, the log tells. Borrows all. */
static void tell(const struct call *call, const json_t *result, const GError *error)
{
	const struct change_request request = {call->method, call->who, call->params, call->began_us};

	if (call->method)
		change_log_request(&request, result, error);
}

static void finish(struct call *call, json_t *result, const GError *error)
{
	g_mutex_lock(&call->mutex);
	if (call->late)
		tell(call, result, error);
	call->done = true;
	call->result = result;
	call->error = error ? g_error_copy(error) : NULL;
	g_cond_signal(&call->cond);
	g_mutex_unlock(&call->mutex);
	call_unref(call);
}

G_GNUC_PRINTF(3, 4)
static void finish_fault(struct call *call, enum fault code, const char *format, ...)
{
	g_autoptr(GError) error = NULL;
	va_list args;

	va_start(args, format);
	g_autofree char *text = g_strdup_vprintf(format, args);
	va_end(args);
	fault_set(&error, code, "%s", text);
	finish(call, NULL, error);
}

/* ---- in the main thread ---- */

static bool is_listed(const json_t *list, const char *function)
{
	size_t i;
	json_t *entry;

	json_array_foreach((json_t *)list, i, entry)
	{
		if (g_strcmp0(json_string_value(json_object_get(entry, "function")), function) == 0)
			return true;
	}
	return false;
}

/* Why nobody gets the function; NULL: somebody has it, or may. */
static const char *reason_of(const struct nic_device *device)
{
	bool refused = device->use == NIC_USE_UNAVAILABLE || device->use == NIC_USE_QUARANTINED ||
		       device->use == NIC_USE_LOST;

	return refused ? device->detail : NULL;
}

/* Functions that no NIC of the goal or the ledger has. */
static void list_others(const struct agent *agent, json_t *list)
{
	const GPtrArray *devices = health_devices(agent->health);

	for (guint i = 0; devices && i < devices->len; i++) {
		const struct nic_device *device = devices->pdata[i];
		if (is_listed(list, device->name))
			continue;
		json_t *entry = json_pack("{s:s?, s:s?, s:s, s:s, s:s*}", "nic", device->nic, "function",
			device->name, "provider", agent->provider->caps->claim, "state",
			nic_use_word(device->use), "reason", reason_of(device));
		json_object_update_new(entry, health_describe(device));
		json_array_append_new(list, entry);
	}
}

static json_t *list_functions(const struct agent *agent)
{
	json_t *list = json_array();
	GHashTableIter iter;
	void *member;

	g_hash_table_iter_init(&iter, agent->accels);
	while (g_hash_table_iter_next(&iter, NULL, &member)) {
		json_t *entry = accel_describe(member);
		if (entry)
			json_array_append_new(list, entry);
	}
	list_others(agent, list);
	return list;
}

static void run_list(struct call *call)
{
	finish(call, list_functions(call->socket->agent), NULL);
}

static json_t *describe_migration(const struct goal_vm *goal, const struct report_migration *migration)
{
	return json_pack("{s:s, s:s, s:s, s:I, s:s?}", "role", migration_role_words[goal->migration.role],
		"peer", goal->migration.peer, "state", migration_state_words[migration->state], "percent",
		(json_int_t)migration->percent, "message", migration->message);
}

static json_t *list_vms(const struct report *report, const struct agent *agent)
{
	json_t *list = json_array();

	for (guint i = 0; i < list_length(report->vms); i++) {
		const struct report_vm *vm = report->vms->pdata[i];
		const struct goal_vm *goal = agent_goal_vm(agent, vm->uid);
		json_t *json =
			json_pack("{s:s, s:s?, s:s, s:s?}", "uid", vm->uid, "name", goal ? goal->name : NULL,
				"power", power_state_words[vm->power], "message", vm->message);
		if (goal && vm->migration.uid)
			json_object_set_new(json, "migration", describe_migration(goal, &vm->migration));
		json_array_append_new(list, json);
	}
	return list;
}

static const char *switch_word(const struct agent *agent)
{
	if (agent->goal_error)
		return agent->goal_error->message;
	if (switch_link_error(agent->link))
		return switch_link_error(agent->link)->message;
	return switch_link_confirmed(agent->link) >= agent->goal_number ? "in step" : "being told";
}

/* null when there is none. */
static json_t *describe_underlay(const struct switch_site *site)
{
	char address[IP_TEXT_MAX], prefix[PREFIX_TEXT_MAX];
	const struct switch_underlay *underlay = site->underlay;
	const struct switch_physical *vxlans = switch_site_vxlans(site);

	if (!underlay)
		return json_null();
	return json_pack("{s:s, s:s, s:i, s:b, s:s*}", "address", ip_format(underlay->address, address),
		"prefix", prefix_format(underlay->prefix, prefix), "mtu", (int)underlay->mtu, "kernel",
		underlay->kernel, "vxlans", vxlans ? vxlans->name : NULL);
}

static void run_status(struct call *call)
{
	struct agent *agent = call->socket->agent;
	_cleanup_(report_free) struct report *report = agent_report(agent);
	const char *controller = !agent->client                            ? "none"
				 : goal_client_is_connected(agent->client) ? "connected"
									   : "not reached";
	g_autofree char *last_repair = health_last_repair_at(agent->health);

	finish(call,
		json_pack("{s:s, s:b, s:s, s:I, s:I, s:s, s:s, s:s, s:{s:I, s:I}, s:i, s:s?, s:s?, s:o, s:o, "
			  "s:o, s:o}",
			"host", report->host, "drained", (int)agent->ledger->drained, "version",
			report->version, "goal", (json_int_t)report->received, "applied",
			(json_int_t)report->applied, "controller", controller, "switch", switch_word(agent),
			"provider", report->provider, "memory", "total_mib", (json_int_t)report->memory_mib,
			"available_mib", (json_int_t)report->available_mib, "repairs",
			(int)health_repairs(agent->health), "last_repair", health_last_repair(agent->health),
			"last_repair_at", last_repair, "underlay", describe_underlay(&agent->config.site),
			"conditions", agent_conditions(agent), "vms", list_vms(report, agent), "functions",
			list_functions(agent)),
		NULL);
}

/* Whether the NIC, accelerated or not, is called so, or its function. */
static bool is_named(const struct agent *agent, const char *uid, const struct accel *accel, const char *name)
{
	const struct goal_nic *goal = agent_goal_nic(agent, uid);
	json_auto_t *entry = accel_describe(accel);

	return (goal && g_str_equal(goal->name, name)) ||
	       g_strcmp0(json_string_value(json_object_get(entry, "function")), name) == 0;
}

/* The uids of those, Borrowed. */
static GPtrArray *find_named(const struct agent *agent, const char *name)
{
	GPtrArray *uids = g_ptr_array_new();
	GHashTableIter iter;
	void *uid, *accel;

	g_hash_table_iter_init(&iter, agent->accels);
	while (g_hash_table_iter_next(&iter, &uid, &accel))
		if (is_named(agent, uid, accel, name))
			g_ptr_array_add(uids, uid);
	return uids;
}

/* "UID of VM web, UID of VM db" */
static char *list_owners(const struct agent *agent, const GPtrArray *uids)
{
	GString *text = g_string_new(NULL);

	for (guint i = 0; i < uids->len; i++) {
		const struct goal_nic *nic = agent_goal_nic(agent, uids->pdata[i]);
		const struct goal_vm *vm = nic ? agent_goal_vm(agent, nic->vm) : NULL;
		g_string_append_printf(text, "%s%s of VM %s", i ? ", " : "", (const char *)uids->pdata[i],
			vm ? vm->name : "unknown");
	}
	return g_string_free(text, false);
}

/* The NIC that the call is about; answers the call and returns NULL when there is none, or several. */
static struct accel *find_accel(struct call *call)
{
	const struct agent *agent = call->socket->agent;
	const char *name = json_string_value(json_object_get(call->params, "nic"));

	if (!name)
		name = json_string_value(json_object_get(call->params, "function"));
	if (!name) {
		finish_fault(
			call, FAULT_INVALID, "name a NIC: {\"nic\": UID or name}, or {\"function\": name}");
		return NULL;
	}
	if (g_hash_table_contains(agent->accels, name))
		return g_hash_table_lookup(agent->accels, name);
	g_autoptr(GPtrArray) uids = find_named(agent, name);
	if (uids->len == 1)
		return g_hash_table_lookup(agent->accels, uids->pdata[0]);
	g_autofree char *owners = list_owners(agent, uids);
	if (uids->len)
		finish_fault(call, FAULT_INVALID, "several NICs of this host are called %s; give a uid: %s",
			name, owners);
	else
		finish_fault(call, FAULT_NOT_FOUND,
			"no NIC of this host is called %s, and none has a function of that name; one that "
			"was taken from its NIC is given back by the NIC's name",
			name);
	return NULL;
}

static void on_change(json_t *result, const GError *error, void *data)
{
	finish(data, result, error);
}

/* What guests are told before they lose functions; answers the call and returns false when it is malformed. */
static bool read_notice(struct call *call, unsigned *ret_notice_s, bool *ret_force)
{
	json_int_t notice_s = 0;
	int force = false;

	if (call->params &&
		json_unpack(call->params, "{s?:I, s?:b}", "notice_s", &notice_s, "force", &force) < 0)
		notice_s = -1;
	*ret_notice_s = (unsigned)notice_s;
	*ret_force = force;
	if (notice_s >= 0 && notice_s <= NOTICE_MAX_S)
		return true;
	finish_fault(call, FAULT_INVALID, "notice_s must be a number of seconds, %d at most", NOTICE_MAX_S);
	return false;
}

static void run_revoke(struct call *call)
{
	struct accel *accel = find_accel(call);
	unsigned notice_s;
	bool force;

	if (!accel || !read_notice(call, &notice_s, &force))
		return;
	call->repeated = accel_is_revoked(accel);
	accel_revoke(accel, force, notice_s, on_change, call);
}

static void run_restore(struct call *call)
{
	struct accel *accel = find_accel(call);

	if (accel)
		accel_restore(accel, on_change, call);
}

static void run_release(struct call *call)
{
	const char *function = NULL;
	int as_is = false;

	if (json_unpack(call->params, "{s:s, s?b}", "function", &function, "as_is", &as_is) < 0)
		finish_fault(call, FAULT_INVALID,
			"name a function: {\"function\": as vf.list has it, \"as_is\": true or false}");
	else
		quarantine_reclaim(call->socket->agent, function, as_is, on_change, call);
}

/* What still holds a function while the host is drained, as in vf.list. */
static json_t *list_holding(const struct agent *agent)
{
	json_t *list = json_array();
	GHashTableIter iter;
	void *member;

	g_hash_table_iter_init(&iter, agent->accels);
	while (g_hash_table_iter_next(&iter, NULL, &member))
		if (accel_holds(member))
			json_array_append_new(list, accel_describe(member));
	return list;
}

static void finish_draining(struct call *call)
{
	const struct agent *agent = call->socket->agent;

	finish(call,
		json_pack("{s:s, s:b, s:o}", "host", agent->config.host_name, "drained",
			agent->ledger->drained, "holding", list_holding(agent)),
		NULL);
}

static void run_drain(struct call *call)
{
	g_autoptr(GError) error = NULL;
	unsigned notice_s;
	bool force;

	if (!read_notice(call, &notice_s, &force))
		return;
	if (drain_begin(call->socket->agent, notice_s, force, &error))
		finish_draining(call);
	else
		finish(call, NULL, error);
}

static void run_undrain(struct call *call)
{
	g_autoptr(GError) error = NULL;

	if (drain_end(call->socket->agent, &error))
		finish_draining(call);
	else
		finish(call, NULL, error);
}

static gboolean run_call(void *data)
{
	struct call *call = data;

	g_atomic_int_get(&call->given);
	if (g_atomic_int_get(&call->socket->closing) || !call->socket->agent->link)
		finish_fault(call, FAULT_UNAVAILABLE, "the agent is not running");
	else
		call->run(call);
	return G_SOURCE_REMOVE;
}

/* ---- in the control thread ---- */

/* Waits until the main thread has answered; it keeps its own reference, should that take too long. */
static json_t *wait_for(struct call *call, GError **error)
{
	int64_t deadline = g_get_monotonic_time() + CHANGE_TIMEOUT_US;
	json_t *result = NULL;

	g_mutex_lock(&call->mutex);
	while (!call->done && g_cond_wait_until(&call->cond, &call->mutex, deadline))
		;
	result = g_steal_pointer(&call->result);
	if (call->error)
		g_propagate_error(error, g_steal_pointer(&call->error));
	else if (!result)
		fault_set(error, FAULT_UNAVAILABLE, "it is still under way; ask with vf.list how it stands");
	call->late = !call->done;
	g_mutex_unlock(&call->mutex);
	return result;
}

/* method: for the log, of what changes something; NULL: nothing does. */
static json_t *take_hop(struct control_socket *socket, const char *method, json_t *params,
	void (*run)(struct call *), GError **error)
{
	struct call *call = g_atomic_rc_box_new0(struct call);
	g_autoptr(GSource) source = g_idle_source_new();
	g_autoptr(GError) failure = NULL;

	call->socket = socket;
	call->run = run;
	call->params = json_incref(params);
	call->method = method;
	call->who = method ? jsonrpc_asker(socket->server) : NULL;
	call->began_us = g_get_monotonic_time();
	g_mutex_init(&call->mutex);
	g_cond_init(&call->cond);
	g_source_set_priority(source, G_PRIORITY_DEFAULT);
	g_source_set_callback(source, run_call, g_atomic_rc_box_acquire(call), NULL);
	g_atomic_int_set(&call->given, 1);
	g_source_attach(source, socket->main);
	json_t *result = wait_for(call, &failure);
	if (!result || !call->repeated)
		tell(call, result, failure);
	if (failure)
		g_propagate_error(error, g_steal_pointer(&failure));
	call_unref(call);
	return result;
}

static json_t *hop(struct control_socket *socket, json_t *params, void (*run)(struct call *), GError **error)
{
	return take_hop(socket, NULL, params, run, error);
}

static json_t *on_status(json_t *params, void *data, GError **error)
{
	return hop(data, params, run_status, error);
}

static json_t *on_list(json_t *params, void *data, GError **error)
{
	return hop(data, params, run_list, error);
}

static json_t *on_revoke(json_t *params, void *data, GError **error)
{
	return take_hop(data, "vf.revoke", params, run_revoke, error);
}

static json_t *on_restore(json_t *params, void *data, GError **error)
{
	return take_hop(data, "vf.restore", params, run_restore, error);
}

static json_t *on_release(json_t *params, void *data, GError **error)
{
	return take_hop(data, "vf.release", params, run_release, error);
}

static json_t *on_draining(json_t *params, void *data, GError **error)
{
	return hop(data, params, finish_draining, error);
}

static json_t *on_drain(json_t *params, void *data, GError **error)
{
	return take_hop(data, "host.drain", params, run_drain, error);
}

static json_t *on_undrain(json_t *params, void *data, GError **error)
{
	return take_hop(data, "host.undrain", params, run_undrain, error);
}

static const struct jsonrpc_method methods[] = {
	{"status", on_status},
	{"vf.list", on_list},
	{"vf.revoke", on_revoke},
	{"vf.restore", on_restore},
	{"vf.release", on_release},
	{"host.draining", on_draining},
	{"host.drain", on_drain},
	{"host.undrain", on_undrain},
	{NULL, NULL},
};

static void *serve(void *data)
{
	struct control_socket *socket = data;

	g_main_context_push_thread_default(socket->context);
	g_main_loop_run(socket->loop);
	jsonrpc_server_free(socket->server);
	g_main_context_pop_thread_default(socket->context);
	g_atomic_int_set(&socket->ended, 1);
	g_main_context_wakeup(socket->main);
	return NULL;
}

/* ---- life ---- */

struct control_socket *control_socket_open(struct agent *agent, const char *path, GError **error)
{
	struct control_socket *socket = g_new0(struct control_socket, 1);

	socket->agent = agent;
	socket->main = g_main_context_ref_thread_default();
	socket->context = g_main_context_new();
	socket->loop = g_main_loop_new(socket->context, false);
	g_main_context_push_thread_default(socket->context);
	socket->server = jsonrpc_serve(path, methods, socket, error);
	g_main_context_pop_thread_default(socket->context);
	if (socket->server)
		socket->thread = g_thread_new("control", serve, socket);
	if (socket->thread)
		return socket;
	control_socket_close(socket);
	return NULL;
}

static gboolean quit(void *loop)
{
	g_main_loop_quit(loop);
	return G_SOURCE_REMOVE;
}

/* Answers those who wait for a change of any NIC. */
static void answer_waiting(struct agent *agent)
{
	GHashTableIter iter;
	void *member;

	g_hash_table_iter_init(&iter, agent->accels);
	while (g_hash_table_iter_next(&iter, NULL, &member))
		accel_dismiss(member);
}

void control_socket_close(struct control_socket *socket)
{
	if (!socket)
		return;
	g_atomic_int_set(&socket->closing, 1);
	answer_waiting(socket->agent);
	g_main_context_invoke(socket->context, quit, socket->loop);
	/* Calls on their hop are refused here, so that the thread comes to its end. */
	while (socket->thread && !g_atomic_int_get(&socket->ended))
		g_main_context_iteration(socket->main, true);
	if (socket->thread)
		g_thread_join(socket->thread);
	g_main_loop_unref(socket->loop);
	g_main_context_unref(socket->context);
	g_main_context_unref(socket->main);
	g_free(socket);
}
