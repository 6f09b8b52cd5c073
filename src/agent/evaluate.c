/* The agent's evaluation: every machine and every acceleration takes a step, then the switch is told. */
#include "agent/agent_priv.h"
#include "base/log.h"

/* Those that goal or ledger speak of. */
static void add_migrations(struct agent *agent)
{
	GHashTableIter iter;
	void *uid;

	g_hash_table_iter_init(&iter, agent->machines);
	while (g_hash_table_iter_next(&iter, &uid, NULL)) {
		const struct goal_vm *goal = agent_goal_vm(agent, uid);
		const struct ledger_vm *record = ledger_find_vm(agent->ledger, uid);
		if (((goal && goal->migration.uid) || (record && record->migration.uid)) &&
			!g_hash_table_contains(agent->migrations, uid))
			g_hash_table_insert(agent->migrations, g_strdup(uid), migration_new(agent, uid));
	}
}

void agent_add_members(struct agent *agent)
{
	GPtrArray *vms[] = {agent->goal->vms, agent->ledger->vms},
		  *nics[] = {agent->goal->nics, agent->ledger->nics};

	/* The first member of all four structs is the uid. */
	for (unsigned n = 0; n < 2; n++) {
		for (guint i = 0; i < list_length(vms[n]); i++) {
			const char *uid = *(char **)vms[n]->pdata[i];
			if (!uid || g_hash_table_contains(agent->machines, uid))
				continue;
			g_hash_table_insert(agent->machines, g_strdup(uid), vm_machine_new(agent, uid));
			agent_refresh(agent);
		}
		for (guint i = 0; i < list_length(nics[n]); i++) {
			const char *uid = *(char **)nics[n]->pdata[i];
			if (uid && !g_hash_table_contains(agent->accels, uid))
				g_hash_table_insert(agent->accels, g_strdup(uid), accel_new(agent, uid));
		}
	}
	add_migrations(agent);
}
G_STATIC_ASSERT(offsetof(struct goal_vm, uid) == 0 && offsetof(struct ledger_vm, uid) == 0);
G_STATIC_ASSERT(offsetof(struct goal_nic, uid) == 0 && offsetof(struct ledger_nic, uid) == 0);

static gboolean machine_is_over(void *uid, void *machine, void *data)
{
	return vm_machine_is_over(machine);
}

static gboolean accel_over(void *uid, void *accel, void *data)
{
	return accel_is_over(accel);
}

static gboolean migration_over(void *vm, void *migration, void *data)
{
	return migration_is_over(migration);
}

static void step_members(struct agent *agent)
{
	GHashTableIter iter;
	void *member;

	g_hash_table_iter_init(&iter, agent->migrations);
	while (g_hash_table_iter_next(&iter, NULL, &member))
		migration_step(member);
	g_hash_table_iter_init(&iter, agent->machines);
	while (g_hash_table_iter_next(&iter, NULL, &member))
		vm_machine_step(member);
	g_hash_table_iter_init(&iter, agent->accels);
	while (g_hash_table_iter_next(&iter, NULL, &member)) {
		accel_tell_guest(member);
		accel_step(member);
	}
	g_hash_table_foreach_remove(agent->migrations, migration_over, NULL);
	g_hash_table_foreach_remove(agent->machines, machine_is_over, NULL);
	g_hash_table_foreach_remove(agent->accels, accel_over, NULL);
}

/* Whether anyone had waited for the number. */
static bool tell_number(struct agent *agent, uint64_t number)
{
	GHashTableIter iter;
	void *member;
	bool news = false;

	g_hash_table_iter_init(&iter, agent->machines);
	while (g_hash_table_iter_next(&iter, NULL, &member))
		news |= vm_machine_set_number(member, number);
	g_hash_table_iter_init(&iter, agent->accels);
	while (g_hash_table_iter_next(&iter, NULL, &member))
		news |= accel_set_number(member, number);
	return news;
}

/* Keeps the reasons of the NICs that the new state is without, and logs those that are new. */
static void note_left_out(struct agent *agent, GHashTable *left_out)
{
	GHashTableIter iter;
	void *uid, *reason;

	g_hash_table_iter_init(&iter, left_out);
	while (g_hash_table_iter_next(&iter, &uid, &reason))
		if (g_strcmp0(g_hash_table_lookup(agent->left_out, uid), reason) != 0)
			log_warn(uid, "the switch cannot have it: %s", (char *)reason);
	g_hash_table_unref(agent->left_out);
	agent->left_out = g_hash_table_ref(left_out);
}

/* uids of the goal's VMs whose machines are on other hosts. */
static GHashTable *find_elsewhere(const struct agent *agent)
{
	GHashTable *elsewhere = g_hash_table_new(g_str_hash, g_str_equal);

	for (guint i = 0; i < list_length(agent->goal->vms); i++) {
		const struct goal_vm *vm = agent->goal->vms->pdata[i];
		if (vm->uid && migration_is_elsewhere(agent, vm->uid))
			g_hash_table_add(elsewhere, vm->uid);
	}
	return elsewhere;
}

static json_t *build_state(const struct agent *agent, GHashTable *left_out, GError **error)
{
	g_autoptr(GHashTable) elsewhere = find_elsewhere(agent);
	const struct switch_source source = {agent->goal, agent->ledger, &agent->config.site, elsewhere};

	return switch_state_build(&source, left_out, error);
}

/* Builds the switch's state anew when its sources changed. On failure the last one stays in force. */
static void tell_switch(struct agent *agent)
{
	GError *error = NULL;
	json_t *state;

	if (agent->state_dirty) {
		g_autoptr(GHashTable) left_out =
			g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
		state = build_state(agent, left_out, &error);
		if (error &&
			g_strcmp0(agent->goal_error ? agent->goal_error->message : NULL, error->message) != 0)
			log_error("goal", "%s; the switch stays as it is", error->message);
		g_clear_error(&agent->goal_error);
		agent->goal_error = error;
		if (!state)
			return;
		note_left_out(agent, left_out);
		agent->goal_number = switch_link_want(agent->link, state);
		agent->state_dirty = false;
	}
	if (tell_number(agent, agent->goal_number))
		agent_kick(agent);
	if (switch_link_confirmed(agent->link) >= agent->goal_number)
		agent->applied = agent->goal->version;
}

static bool is_eager(const struct agent *agent)
{
	GHashTableIter iter;
	void *member;

	g_hash_table_iter_init(&iter, agent->machines);
	while (g_hash_table_iter_next(&iter, NULL, &member))
		if (vm_machine_is_eager(member))
			return true;
	g_hash_table_iter_init(&iter, agent->accels);
	while (g_hash_table_iter_next(&iter, NULL, &member))
		if (accel_is_eager(member))
			return true;
	return false;
}

/* Sends a report when there is something new in it; free memory alone is not. */
static void note_report(struct agent *agent)
{
	struct report *report = agent_report(agent);
	bool news;

	report->available_mib = 0;
	news = !agent->last_report || !shape_equal(&report_shape, report, agent->last_report);
	if (agent->last_report)
		report_free(agent->last_report);
	agent->last_report = report;
	if (news && agent->client)
		goal_client_touch(agent->client);
}

static gboolean evaluate(void *data)
{
	struct agent *agent = data;

	agent->evaluate_source = 0;
	if (!agent->link)
		return G_SOURCE_REMOVE;
	health_update(agent->health);
	if (!agent->goal)
		return G_SOURCE_REMOVE;
	agent_add_members(agent);
	drain_step(agent);
	if (agent->refreshed)
		step_members(agent);
	if (agent->probes)
		probes_update(agent->probes, agent->goal);
	tell_switch(agent);
	hearing_update(agent->hearing);
	switch_link_set_eager(agent->link, is_eager(agent));
	note_report(agent);
	return G_SOURCE_REMOVE;
}

void agent_kick(struct agent *agent)
{
	if (agent->evaluate_source == 0 && !agent->stopping)
		agent->evaluate_source = g_idle_add_full(G_PRIORITY_DEFAULT, evaluate, agent, NULL);
}

static gboolean wake(void *data)
{
	struct agent *agent = data;

	agent->wake_timer = 0;
	agent_kick(agent);
	return G_SOURCE_REMOVE;
}

void agent_wake_at(struct agent *agent, int64_t at_us)
{
	int64_t left_ms = (at_us - g_get_monotonic_time()) / 1000 + 1;

	if (agent->stopping || (agent->wake_timer != 0 && agent->wake_at <= at_us))
		return;
	g_clear_handle_id(&agent->wake_timer, g_source_remove);
	agent->wake_at = at_us;
	agent->wake_timer = g_timeout_add((guint)CLAMP(left_ms, 0, G_MAXINT), wake, agent);
}
