/* The control socket: see control.h. */
#include "switch/control.h"

#include "base/fault.h"
#include "base/jsonrpc.h"
#include "base/log.h"
#include "switch/advertise.h"
#include "switch/carry.h"
#include "switch/eal.h"
#include "switch/flow_query.h"
#include "switch/metrics.h"
#include "switch/mirror_session.h"
#include "switch/offloader.h"
#include "switch/rebalance.h"
#include "switch/report.h"
#include "switch/state.h"
#include "switch/state_file.h"
#include "switch/switch.h"
#include "switch/trace.h"

#include <unistd.h>

#define PROTOCOL_VERSION 1
#define SETTLE_LOOK_MS   2 /* while an eswitch has not followed a state */

/* An apply whose state is in use by workers, and not yet by the eswitch. */
struct applied {
	struct jsonrpc_later *later; /* Owned */
	json_t *answer; /* Owned */
};

struct control {
	struct datapath *datapath; /* Borrowed */
	struct ports *ports; /* Borrowed */
	char *state_dir; /* Owned, or NULL */
	bool hugepages;
	json_t *state; /* Owned: as it was applied */
	struct mirror_session *mirrors; /* Owned */
	struct rebalance *rebalance; /* Owned */
	struct jsonrpc_server *server;
	GQueue applied; /* of struct applied, Owned */
	unsigned tick, settle; /* sources; 0: none */
};

/* ---- apply ---- */

/* Uses a decoded snapshot: opens what is new, publishes, closes what is gone. Cannot fail. */
static void use(struct control *control, struct snapshot *snapshot)
{
	ports_resolve(control->ports, snapshot);
	struct snapshot *before = datapath_publish(control->datapath, snapshot);
	ports_collect(control->ports, snapshot);
	snapshot_free(before);
}

bool control_apply(struct control *control, json_t *state, GError **error)
{
	_cleanup_(snapshot_free) struct snapshot *snapshot =
		state_decode(state, datapath_snapshot(control->datapath), error);

	if (!snapshot)
		return false;
	if (control->state_dir && !state_file_save(control->state_dir, state, snapshot->groups, error))
		return false;
	use(control, g_steal_pointer(&snapshot));
	json_decref(control->state);
	control->state = json_incref(state);
	return true;
}

static void restore(struct control *control)
{
	g_autoptr(GError) error = NULL;
	json_t *state = state_file_load(control->state_dir, &error);

	if (state) {
		struct snapshot *snapshot = state_decode(state, datapath_snapshot(control->datapath), &error);
		if (snapshot) {
			use(control, snapshot);
			json_decref(control->state);
			control->state = json_incref(state);
			log_info(NULL, "restored the state of generation %" G_GUINT64_FORMAT,
				snapshot->generation);
		}
		json_decref(state);
	}
	if (error)
		log_error(NULL, "the saved state is not usable, the switch starts empty: %s", error->message);
}

/* ---- methods ---- */

static json_t *method_version(json_t *params, void *data, GError **error)
{
	const struct control *control = data;

	return json_pack("{s:s, s:s, s:s, s:i, s:i, s:i, s:b}", "program", "sluice-switch", "version",
		SLUICE_VERSION, "dpdk", eal_version(), "protocol", PROTOCOL_VERSION, "pid", (int)getpid(),
		"workers", (int)control->datapath->limits.workers, "hugepages", control->hugepages);
}

/* Those that wait now: an answer lets its connection go on, and so another state may come meanwhile. */
static void answer_applied(struct control *control)
{
	GQueue waiting = control->applied;
	struct applied *applied;

	g_queue_init(&control->applied);
	while ((applied = g_queue_pop_head(&waiting))) {
		jsonrpc_answer(applied->later, applied->answer);
		g_free(applied);
	}
}

static gboolean on_settle(void *data)
{
	struct control *control = data;

	if (!offloader_is_settled(control->datapath->offloader))
		return G_SOURCE_CONTINUE;
	control->settle = 0;
	answer_applied(control);
	return G_SOURCE_REMOVE;
}

static void answer_when_settled(struct control *control, json_t *answer)
{
	struct applied *applied = g_new0(struct applied, 1);

	applied->later = jsonrpc_defer(control->server);
	applied->answer = answer;
	g_queue_push_tail(&control->applied, applied);
	if (!control->settle)
		control->settle = g_timeout_add(SETTLE_LOOK_MS, on_settle, control);
}

static json_t *method_apply(json_t *params, void *data, GError **error)
{
	struct control *control = data;

	if (!control_apply(control, params, error))
		return NULL;
	json_t *answer = json_pack("{s:O}", "generation", json_object_get(control->state, "generation"));
	if (offloader_is_settled(control->datapath->offloader))
		return answer;
	answer_when_settled(control, answer);
	return NULL;
}

static json_t *method_state(json_t *params, void *data, GError **error)
{
	return json_incref(((struct control *)data)->state);
}

static json_t *method_nics(json_t *params, void *data, GError **error)
{
	return report_nics(((struct control *)data)->datapath);
}

static json_t *method_balancers(json_t *params, void *data, GError **error)
{
	return report_balancers(((struct control *)data)->datapath);
}

static json_t *method_edges(json_t *params, void *data, GError **error)
{
	return report_edges(((struct control *)data)->datapath);
}

static json_t *method_flow_list(json_t *params, void *data, GError **error)
{
	return flow_query_list(((struct control *)data)->datapath, params, error);
}

static json_t *method_flow_count(json_t *params, void *data, GError **error)
{
	return flow_query_count(((struct control *)data)->datapath, params, error);
}

static json_t *method_flow_show(json_t *params, void *data, GError **error)
{
	return flow_query_show(((struct control *)data)->datapath, params, error);
}

static json_t *method_trace(json_t *params, void *data, GError **error)
{
	return trace_packet(((struct control *)data)->datapath, params, error);
}

static json_t *method_drops(json_t *params, void *data, GError **error)
{
	return report_drops(((struct control *)data)->datapath, params, error);
}

static json_t *method_metrics(json_t *params, void *data, GError **error)
{
	struct control *control = data;

	return metrics_encode(control->datapath, control->mirrors);
}

static json_t *method_mirror_start(json_t *params, void *data, GError **error)
{
	return mirror_session_start(((struct control *)data)->mirrors, params, error);
}

static json_t *method_mirror_read(json_t *params, void *data, GError **error)
{
	return mirror_session_read(((struct control *)data)->mirrors, params, error);
}

static json_t *method_mirror_stop(json_t *params, void *data, GError **error)
{
	return mirror_session_stop(((struct control *)data)->mirrors, params, error);
}

static json_t *method_counters(json_t *params, void *data, GError **error)
{
	return report_counters(((struct control *)data)->datapath);
}

static json_t *method_workers(json_t *params, void *data, GError **error)
{
	return report_workers(((struct control *)data)->datapath);
}

static json_t *method_export(json_t *params, void *data, GError **error)
{
	return carry_method_export(((struct control *)data)->datapath, params, error);
}

static json_t *method_import(json_t *params, void *data, GError **error)
{
	return carry_method_import(((struct control *)data)->datapath, params, error);
}

static json_t *method_flow_forget(json_t *params, void *data, GError **error)
{
	flow_memory_forget(flow_table_memory(((struct control *)data)->datapath->flows));
	return json_null();
}

static const struct jsonrpc_method methods[] = {
	{"version", method_version},
	{"apply", method_apply},
	{"state", method_state},
	{"nic.list", method_nics},
	{"balancer.list", method_balancers},
	{"edge.list", method_edges},
	{"flow.list", method_flow_list},
	{"flow.count", method_flow_count},
	{"flow.show", method_flow_show},
	{"trace", method_trace},
	{"flow.forget", method_flow_forget},
	{"connection.export", method_export},
	{"connection.import", method_import},
	{"drop.list", method_drops},
	{"counters", method_counters},
	{"worker.list", method_workers},
	{"metrics", method_metrics},
	{"mirror.start", method_mirror_start},
	{"mirror.read", method_mirror_read},
	{"mirror.stop", method_mirror_stop},
	{},
};

/* ---- life ---- */

static gboolean on_tick(void *data)
{
	struct control *control = data;

	ports_tick(control->ports);
	advertise_tick(control->datapath, datapath_clock_ms());
	mirror_session_tick(control->mirrors, g_get_monotonic_time());
	rebalance_tick(control->rebalance);
	return G_SOURCE_CONTINUE;
}

struct control *control_new(
	const struct control_config *config, struct datapath *datapath, struct ports *ports, GError **error)
{
	_cleanup_(control_free) struct control *control = g_new0(struct control, 1);

	control->datapath = datapath;
	control->ports = ports;
	control->mirrors = mirror_session_new(datapath);
	control->rebalance = rebalance_new(datapath);
	control->state_dir = g_strdup(config->state_dir);
	control->hugepages = config->hugepages;
	control->state = json_pack("{s:i, s:n, s:n, s:n, s:[], s:[], s:[], s:[]}", "generation", 0, "outside",
		"host_port", "underlay", "physicals", "groups", "networks", "nics");
	if (control->state_dir)
		restore(control);
	control->server = jsonrpc_serve(config->socket, methods, control, error);
	if (!control->server)
		return NULL;
	control->tick = g_timeout_add_seconds(1, on_tick, control);
	return g_steal_pointer(&control);
}

void control_free(struct control *control)
{
	if (!control)
		return;
	if (control->tick)
		g_source_remove(control->tick);
	if (control->settle)
		g_source_remove(control->settle);
	jsonrpc_server_free(control->server);
	answer_applied(control); /* of no effect any more */
	rebalance_free(control->rebalance);
	mirror_session_free(control->mirrors);
	json_decref(control->state);
	g_free(control->state_dir);
	g_free(control);
}
