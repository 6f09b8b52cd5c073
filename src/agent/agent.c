/* The agent: compares goal, ledger, VMs and switch, and lets its machines step. */
#include "agent/agent_priv.h"
#include "base/failpoint.h"
#include "base/fault.h"
#include "base/log.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define JOBS_MAX    16 /* starts of VMs may each block for seconds */
#define UNPLUGS_MAX 32 /* each blocks for unplug_ms when its guest does not answer */

const struct agent_times agent_times_default = {
	.port_ms = 60000,
	.confirm_ms = 15000,
	.first_frame_ms = 15000,
	.no_driver_ms = 15000,
	.no_driver_pause_ms = 60000,
	.unplug_ms = 15000,
	.migrate_functions_ms = 60000,
	.stop_grace_s = 15,
	.retry_ms = 1000,
	.retry_max_ms = 60000,
	.refresh_ms = 5000,
	.health_ms = 10000,
	.eager_ms = 50,
	.idle_ms = 1000,
	.report_ms = 10000,
};

/* ---- lookups ---- */

const struct goal_vm *agent_goal_vm(const struct agent *agent, const char *uid)
{
	return agent->goal ? goal_find_vm(agent->goal, uid) : NULL;
}

const struct goal_nic *agent_goal_nic(const struct agent *agent, const char *uid)
{
	return agent->goal ? goal_find_nic(agent->goal, uid) : NULL;
}

const struct goal_network *agent_goal_network(const struct agent *agent, const char *uid)
{
	return agent->goal ? goal_find_network(agent->goal, uid) : NULL;
}

const struct goal *agent_goal(const struct agent *agent)
{
	return agent->goal;
}

const GPtrArray *agent_physicals(const struct agent *agent)
{
	return health_physicals(agent->health);
}

bool agent_functions_held(const struct agent *agent, const char *vm)
{
	for (guint i = 0; i < agent->ledger->nics->len; i++) {
		const struct ledger_nic *nic = agent->ledger->nics->pdata[i];
		if (nic->state != ACCEL_OFF && g_strcmp0(nic->vm, vm) == 0)
			return true;
	}
	return false;
}

int64_t agent_starting_mib(const struct agent *agent)
{
	GHashTableIter iter;
	void *uid, *machine;
	int64_t sum = 0;

	g_hash_table_iter_init(&iter, agent->machines);
	while (g_hash_table_iter_next(&iter, &uid, &machine)) {
		const struct goal_vm *vm = agent_goal_vm(agent, uid);
		if (vm && vm_machine_is_starting(machine))
			sum += host_start_mib(&agent->config.admission, vm->memory_mib);
	}
	return sum;
}

int64_t agent_backoff_us(const struct agent *agent, unsigned failures)
{
	const struct agent_times *times = &agent->config.times;
	uint64_t ms = (uint64_t)times->retry_ms << MIN(failures, 16);

	return (int64_t)MIN(ms, times->retry_max_ms) * 1000;
}

bool agent_save(struct agent *agent, GError **error)
{
	if (!ledger_save(agent->ledger, error))
		return false;
	agent->state_dirty = true;
	agent_kick(agent);
	return true;
}

static void doubt_all(struct agent *agent)
{
	GHashTableIter iter;
	void *accel;

	g_hash_table_iter_init(&iter, agent->accels);
	while (g_hash_table_iter_next(&iter, NULL, &accel))
		accel_doubt(accel);
}

void agent_vm_event(const char *uid, enum vm_state state, const char *gone_nic, void *data)
{
	struct agent *agent = data;
	struct accel *accel = gone_nic ? g_hash_table_lookup(agent->accels, gone_nic) : NULL;

	log_debug(
		uid, "event: state %d%s%s", (int)state, gone_nic ? ", gone: " : "", gone_nic ? gone_nic : "");
	if (!uid)
		doubt_all(agent);
	if (accel)
		accel_gone(accel);
	agent_refresh(agent);
}

struct guest_policies *agent_guest_policies(const struct agent *agent)
{
	return agent->guest_policies;
}

struct guest_identities *agent_guest_identities(const struct agent *agent)
{
	return agent->guest_identities;
}

struct events *agent_events(const struct agent *agent)
{
	return agent->events;
}

/* ---- what guests are told and say ---- */

static void on_guest(void *data)
{
	agent_kick(data);
}

static int64_t now_s(void)
{
	return g_get_real_time() / G_USEC_PER_SEC;
}

static bool open_guest_side(struct agent *agent, GError **error)
{
	const struct guest_policies_config policies = {
		.now_us = g_get_monotonic_time, .reported = on_guest, .data = agent};
	g_autofree char *path = g_build_filename(agent->config.state_dir, "events.json", NULL);
	const struct events_config events = {
		.path = path, .now_s = now_s, .changed = on_guest, .data = agent};

	agent->guest_policies = guest_policies_new(&policies);
	agent->guest_identities = guest_identities_new(g_get_monotonic_time);
	agent->events = events_open(&events, error);
	return agent->events != NULL;
}

static void tell_guests(struct agent *agent)
{
	guest_policies_set_goal(agent->guest_policies, agent->goal);
	guest_identities_set_goal(agent->guest_identities, agent->goal);
	events_set_goal(agent->events, agent->goal);
}

/* ---- goals ---- */

static void load_goal(struct agent *agent)
{
	json_error_t parse_error;
	g_autoptr(GError) error = NULL;

	if (!g_file_test(agent->goal_path, G_FILE_TEST_EXISTS))
		return;
	json_auto_t *json = json_load_file(agent->goal_path, 0, &parse_error);
	if (json)
		agent->goal = shape_decode(&goal_shape, json, SHAPE_LENIENT, &error);
	if (!agent->goal)
		log_warn("goal", "%s is damaged (%s); waiting for the controller's", agent->goal_path,
			error ? error->message : parse_error.text);
}

static void store_goal(struct agent *agent)
{
	json_auto_t *json = shape_encode(&goal_shape, agent->goal);
	char *text = json_dumps(json, JSON_COMPACT);
	g_autoptr(GError) error = NULL;

	if (!g_file_set_contents_full(agent->goal_path, text, -1,
		    G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600, &error))
		log_warn("goal", "cannot keep it for the next start: %s", error->message);
	free(text);
	failpoint(FAILPOINT_AGENT_GOAL_CACHED);
}

static bool is_at_hand(const struct agent *agent, const struct goal *goal)
{
	return goal->version == agent->goal->version && g_strcmp0(goal->host, agent->goal->host) == 0;
}

/* The goal gives way to the next one. */
static void leave_goal(struct agent *agent, const struct goal *next)
{
	if (goal_is_astray(next, agent->goal->host, agent->goal->version)) {
		log_warn("goal",
			"the controller's store is another one, or was set back (to version %" G_GINT64_FORMAT
			" from %" G_GINT64_FORMAT "); following it",
			next->version, agent->goal->version);
		agent->applied = 0; /* was a version of the store that is gone */
	}
	goal_free(agent->goal);
}

/* What the operator must see stands in the log when it begins, and in the status while it lasts. */
static void log_conditions(const struct goal *goal, const struct goal *before)
{
	for (guint i = 0; i < list_length(goal->conditions); i++)
		if (!before || !before->conditions ||
			!g_ptr_array_find_with_equal_func(
				before->conditions, goal->conditions->pdata[i], g_str_equal, NULL))
			log_warn("network", "%s", (char *)goal->conditions->pdata[i]);
}

void agent_take_goal(struct agent *agent, struct goal *goal)
{
	GHashTableIter iter;
	void *machine, *accel;

	if (agent->stopping || (agent->goal && is_at_hand(agent, goal))) {
		goal_free(goal);
		return;
	}
	log_conditions(goal, agent->goal);
	if (agent->goal)
		leave_goal(agent, goal);
	agent->goal = goal;
	store_goal(agent);
	tell_guests(agent);
	agent->state_dirty = true;
	agent_add_members(agent);
	g_hash_table_iter_init(&iter, agent->machines);
	while (g_hash_table_iter_next(&iter, NULL, &machine))
		vm_machine_goal_changed(machine);
	g_hash_table_iter_init(&iter, agent->accels);
	while (g_hash_table_iter_next(&iter, NULL, &accel))
		accel_goal_changed(accel);
	agent_kick(agent);
}

static void on_goal(struct goal *goal, void *data)
{
	agent_take_goal(data, goal);
}

static struct report *on_report(void *data)
{
	return agent_report(data);
}

/* ---- the switch ---- */

static int64_t next_generation(int64_t floor, void *data, GError **error)
{
	struct agent *agent = data;

	agent->ledger->generation = MAX(agent->ledger->generation, floor) + 1;
	return ledger_save(agent->ledger, error) ? agent->ledger->generation : -1;
}

static void on_switch(void *data)
{
	agent_kick(data);
}

/* ---- life ---- */

bool agent_make_folder(const char *path, GError **error)
{
	return g_mkdir_with_parents(path, 0711) == 0 ||
	       fault_set(error, FAULT_INTERNAL, "cannot make folder %s: %s", path, g_strerror(errno));
}

/* The sockets' folder has the switch's group (`sluice up` gives it), which may write here, too. */
static bool make_exchange(struct agent *agent, GError **error)
{
	struct stat sockets;

	agent->exchange_dir = g_build_filename(agent->socket_dir, "exchange", NULL);
	if (!agent_make_folder(agent->exchange_dir, error))
		return false;
	return (stat(agent->socket_dir, &sockets) == 0 &&
		       chown(agent->exchange_dir, (uid_t)-1, sockets.st_gid) == 0 &&
		       chmod(agent->exchange_dir, 0770) == 0) ||
	       fault_set(error, FAULT_INTERNAL, "cannot share folder %s with the switch: %s",
		       agent->exchange_dir, g_strerror(errno));
}

/* Zero times stand for the defaults. */
static void complete_times(struct agent_times *times)
{
	unsigned *at = (unsigned *)times;
	const unsigned *fallback = (const unsigned *)&agent_times_default;

	for (size_t i = 0; i < sizeof *times / sizeof *at; i++)
		if (at[i] == 0)
			at[i] = fallback[i];
}

/* Another member of a pool is well, or not any more. */
static void on_probe(void *data)
{
	struct agent *agent = data;

	agent->state_dirty = true;
	agent_kick(agent);
}

static struct probes *new_probes(struct agent *agent)
{
	const struct probes_config config = {.netns = agent->config.probe_netns,
		.source = agent->config.probe_source,
		.changed = on_probe,
		.data = agent};

	return config.source ? probes_new(&config) : NULL;
}

struct agent *agent_new(const struct agent_config *config, GError **error)
{
	_cleanup_(agent_free) struct agent *agent = g_new0(struct agent, 1);
	g_autofree char *ledger_path = g_build_filename(config->state_dir, "agent.json", NULL);

	agent->config = *config;
	complete_times(&agent->config.times);
	agent->socket_dir = g_build_filename(config->run_dir, "vhost", NULL);
	agent->vm_dir = g_build_filename(config->state_dir, "vms", NULL);
	agent->goal_path = g_build_filename(config->state_dir, "goal.json", NULL);
	agent->config.site.socket_dir = agent->socket_dir;
	agent->machines =
		g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)vm_machine_free);
	agent->migrations =
		g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)migration_free);
	agent->accels = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)accel_free);
	agent->left_out = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	agent->jobs = jobs_new(JOBS_MAX);
	agent->unplugs = jobs_new(UNPLUGS_MAX);
	agent->hearing = hearing_new(agent);
	agent->health = health_new(agent);
	agent->config.site.probes = agent->probes = new_probes(agent);
	if (!agent_make_folder(agent->socket_dir, error) || !make_exchange(agent, error) ||
		!agent_make_folder(agent->vm_dir, error))
		return NULL;
	agent->ledger = ledger_load(ledger_path, error);
	if (!agent->ledger)
		return NULL;
	if (!open_guest_side(agent, error))
		return NULL;
	load_goal(agent);
	if (agent->goal)
		tell_guests(agent);
	agent->state_dirty = true;
	return g_steal_pointer(&agent);
}

static bool release_stray(struct nic_provider *provider, const char *nic, GError **error)
{
	return (!provider->ops->left || provider->ops->left(provider, nic, error)) &&
	       provider->ops->release(provider, nic, error);
}

/* What could not be released is entered as a NIC's that is being taken away, which goes on as with any. */
static bool keep_stray(struct agent *agent, const struct nic_function *function, GError **error)
{
	struct ledger_nic *record = ledger_find_nic(agent->ledger, function->nic);

	if (!record)
		record = ledger_add_nic(agent->ledger, function->nic);
	g_free(record->function);
	g_free(record->physical);
	record->function = g_strdup(function->name);
	record->physical = agent->provider->ops->left ? g_strdup("") : NULL;
	record->state = ACCEL_DRAINING;
	return ledger_save(agent->ledger, error);
}

/* Releases functions that the ledger does not know to be in use: the last process died before it had noted
 * them, or after it had forgotten them. */
static bool release_strays(struct agent *agent, GError **error)
{
	g_autoptr(GPtrArray) functions = agent->provider->ops->list(agent->provider);

	for (guint i = 0; i < functions->len; i++) {
		const struct nic_function *function = functions->pdata[i];
		const struct ledger_nic *record = ledger_find_nic(agent->ledger, function->nic);
		if (function->quarantined || (record && record->state != ACCEL_OFF))
			continue; /* the provider sees to the former */
		g_autoptr(GError) cause = NULL;
		log_info(function->name, "releasing it: NIC %s does not use it", function->nic);
		if (release_stray(agent->provider, function->nic, &cause))
			continue;
		log_warn(function->name, "%s; it is tried again", cause->message);
		if (!keep_stray(agent, function, error))
			return false;
	}
	return true;
}

static void on_file(struct tunnel_file *file, void *data)
{
	migration_take_file(data, file);
}

static bool open_tunnel(struct agent *agent, GError **error)
{
	g_autofree char *spool = g_build_filename(agent->config.run_dir, "connections", NULL);
	struct tunnel_config config = *agent->config.tunnel;

	config.spool = spool;
	config.file = on_file;
	config.data = agent;
	agent->tunnel = tunnel_new(&config, error);
	return agent->tunnel != NULL;
}

static void on_console(const char *vm, void *data)
{
	agent_fetch_console(data, vm);
}

static bool start_client(struct agent *agent, GError **error)
{
	agent->controller = *agent->config.controller;
	agent->controller.goal = on_goal;
	agent->controller.report = on_report;
	agent->controller.console = on_console;
	agent->controller.data = agent;
	agent->controller.report_ms = agent->config.times.report_ms;
	agent->controller.retry_max_ms = agent->config.times.retry_max_ms;
	agent->client = goal_client_new(&agent->controller, agent->goal, error);
	return agent->client != NULL;
}

bool agent_start(
	struct agent *agent, struct vm_manager *manager, struct nic_provider *provider, GError **error)
{
	const struct switch_link_config link = {
		.socket = agent->config.switch_socket,
		.eager_ms = agent->config.times.eager_ms,
		.idle_ms = agent->config.times.idle_ms,
		.next_generation = next_generation,
		.changed = on_switch,
		.data = agent,
	};

	agent->manager = manager;
	agent->provider = provider;
	if (!manager->ops->host(manager, &agent->vm_host, error))
		return false;
	if (provider && !release_strays(agent, error))
		return false;
	if (agent->config.tunnel && !open_tunnel(agent, error))
		return false;
	if (agent->config.controller && !start_client(agent, error))
		return false;
	agent->link = switch_link_new(&link);
	agent_refresh(agent);
	agent_kick(agent);
	return true;
}

static void stop_migrations(struct agent *agent)
{
	GHashTableIter iter;
	void *migration;

	g_hash_table_iter_init(&iter, agent->migrations);
	while (g_hash_table_iter_next(&iter, NULL, &migration))
		migration_stop(migration);
}

void agent_free(struct agent *agent)
{
	if (!agent)
		return;
	agent->stopping = true;
	goal_client_free(agent->client);
	g_clear_handle_id(&agent->evaluate_source, g_source_remove);
	g_clear_handle_id(&agent->refresh_timer, g_source_remove);
	g_clear_handle_id(&agent->wake_timer, g_source_remove);
	stop_migrations(agent);
	jobs_drain(agent->jobs);
	jobs_drain(agent->unplugs);
	switch_link_free(agent->link);
	g_clear_pointer(&agent->tunnel, tunnel_free);
	probes_free(agent->probes);
	hearing_free(agent->hearing);
	health_free(agent->health);
	jobs_free(agent->jobs);
	jobs_free(agent->unplugs);
	g_hash_table_unref(agent->left_out);
	g_hash_table_unref(agent->accels);
	g_hash_table_unref(agent->migrations);
	g_hash_table_unref(agent->machines);
	g_clear_pointer(&agent->events, events_free);
	g_clear_pointer(&agent->guest_policies, guest_policies_free);
	g_clear_pointer(&agent->guest_identities, guest_identities_free);
	ledger_free(agent->ledger);
	if (agent->goal)
		goal_free(agent->goal);
	if (agent->last_report)
		report_free(agent->last_report);
	vm_host_clear(&agent->vm_host);
	g_clear_error(&agent->goal_error);
	g_free(agent->socket_dir);
	g_free(agent->exchange_dir);
	g_free(agent->vm_dir);
	g_free(agent->goal_path);
	g_free(agent);
}
