/* One VM on its way to what the goal wants. */
#include "agent/vm_machine_priv.h"
#include "agent/vm_plan.h"
#include "base/failpoint.h"
#include "base/fault.h"
#include "base/log.h"
#include "vm/files.h"

#define FORGET_DEATHS_US (10 * 60 * G_USEC_PER_SEC)

struct vm_job {
	struct vm_machine *machine; /* main thread only */
	struct vm_manager *manager;
	char *uid;
	char *directory; /* Owned */
	struct vm_spec *spec; /* Owned; for define */
	unsigned grace_s;
	bool (*run)(struct vm_job *job);
	void (*then)(struct vm_machine *machine);
	GError *error;
};

/* ---- outcomes ---- */

/* For log lines. Owned by the caller. */
static char *label(const struct vm_machine *m)
{
	const struct goal_vm *goal = vm_machine_goal(m);
	const struct ledger_vm *record = vm_machine_record(m);
	const char *name = goal ? goal->name : record ? record->name : NULL;

	return g_strdup_printf("vm %s", name ? name : m->uid);
}

static void clear_fault(struct vm_machine *m)
{
	g_clear_error(&m->fault);
	m->failures = 0;
	m->retry_at_us = 0;
}

static void retry_later(struct vm_machine *m, unsigned failures)
{
	m->retry_at_us = g_get_monotonic_time() + agent_backoff_us(m->agent, failures);
	agent_wake_at(m->agent, m->retry_at_us);
}

/* Takes the error. */
static void fail(struct vm_machine *m, GError *error)
{
	g_autofree char *object = label(m);

	if (g_strcmp0(m->fault ? m->fault->message : NULL, error->message) != 0)
		log_warn(object, "%s", error->message);
	g_clear_error(&m->fault);
	m->fault = error;
	m->phase = VM_REST;
	retry_later(m, m->failures++);
}

/* Saves the ledger; a failure is the machine's. */
static bool save(struct vm_machine *m)
{
	GError *error = NULL;

	if (agent_save(m->agent, &error))
		return true;
	fail(m, error);
	return false;
}

/* ---- jobs ---- */

static void work(void *data)
{
	struct vm_job *job = data;

	if (!job->run(job) && !job->error)
		fault_set(&job->error, FAULT_INTERNAL, "the VM manager failed without a reason");
}

static void finish(void *data)
{
	struct vm_job *job = data;
	struct vm_machine *m = job->machine;

	m->busy = false;
	m->epoch++;
	if (job->error && m->overtaken) {
		/* It says nothing of the goal that came meanwhile, which has a try of its own. */
		g_clear_error(&job->error);
		m->phase = VM_REST;
		agent_refresh(m->agent);
	} else if (job->error) {
		fail(m, g_steal_pointer(&job->error));
		agent_refresh(m->agent);
	} else {
		job->then(m);
	}
	agent_kick(m->agent);
	if (job->spec)
		vm_spec_free(job->spec);
	g_free(job->uid);
	g_free(job->directory);
	g_free(job);
}

/* Runs one call of the VM manager; `then` follows when it succeeded. Takes the spec. */
static void begin(struct vm_machine *m, enum vm_phase phase, bool (*run)(struct vm_job *),
	void (*then)(struct vm_machine *), struct vm_spec *spec, unsigned grace_s)
{
	struct vm_job *job = g_new0(struct vm_job, 1);

	*job = (struct vm_job){.machine = m,
		.manager = m->agent->manager,
		.uid = g_strdup(m->uid),
		.directory = g_build_filename(m->agent->vm_dir, m->uid, NULL),
		.spec = spec,
		.grace_s = grace_s,
		.run = run,
		.then = then};
	m->phase = phase;
	m->busy = true;
	m->overtaken = false;
	m->epoch++;
	jobs_run(m->agent->jobs, work, finish, job);
}

static bool run_define(struct vm_job *job)
{
	return job->manager->ops->define(job->manager, job->spec, &job->error);
}

static bool run_start(struct vm_job *job)
{
	return job->manager->ops->start(job->manager, job->uid, &job->error);
}

static bool run_stop(struct vm_job *job)
{
	return job->manager->ops->stop(job->manager, job->uid, job->grace_s, &job->error);
}

static bool run_remove(struct vm_job *job)
{
	/* The VM manager does not know the directory of a machine that has left it. */
	return job->manager->ops->remove(job->manager, job->uid, &job->error) &&
	       vm_files_remove(job->directory, &job->error);
}

/* ---- the way down ---- */

/* Load balancers find its NICs well when they answer again, not before. */
static void forget_answers(struct vm_machine *m)
{
	const GPtrArray *nics = m->agent->goal ? m->agent->goal->nics : NULL;

	for (guint i = 0; i < list_length(nics); i++) {
		const struct goal_nic *nic = nics->pdata[i];
		if (g_strcmp0(nic->vm, m->uid) == 0)
			probes_restart(m->agent->probes, nic->uid);
	}
}

static void stopped(struct vm_machine *m)
{
	failpoint(FAILPOINT_AGENT_VM_STOPPED);
	m->actual = VM_STOPPED;
	forget_answers(m);
	m->phase = agent_functions_held(m->agent, m->uid) ? VM_RELEASING : VM_REST;
	clear_fault(m);
}

/* Nothing is left of what crashed. The pause before its next start goes on, where there is to be one. */
static void ended(struct vm_machine *m)
{
	failpoint(FAILPOINT_AGENT_VM_STOPPED);
	m->ended = true;
	m->phase = VM_REST;
	if (m->fault || vm_machine_want(m) != WANT_RUNNING)
		clear_fault(m);
}

static void removed(struct vm_machine *m)
{
	failpoint(FAILPOINT_AGENT_VM_REMOVED);
	m->actual = VM_ABSENT;
	m->phase = VM_REST;
	clear_fault(m);
	if (vm_machine_record(m)) {
		ledger_drop_vm(m->agent->ledger, m->uid);
		save(m);
	}
}

/* Its disk is gone; the next start makes another. What the machine died of went with it. */
static void wiped(struct vm_machine *m)
{
	const struct goal_vm *goal = vm_machine_goal(m); /* NULL: it came meanwhile, without the VM */
	struct ledger_vm *entry = vm_machine_record(m);

	failpoint(FAILPOINT_AGENT_VM_WIPED);
	m->actual = VM_ABSENT;
	m->phase = VM_REST;
	clear_fault(m);
	if (!goal || !entry)
		return;
	entry->reimages = goal->reimages;
	entry->halted = false;
	g_clear_pointer(&entry->message, g_free);
	save(m);
}

/* It is off and is meant to be: what happened before is forgotten. */
static void settle_off(struct vm_machine *m)
{
	const struct goal_vm *goal = vm_machine_goal(m);
	struct ledger_vm *record = vm_machine_record(m);

	m->phase = VM_REST;
	g_clear_pointer(&m->late, g_free);
	if (!goal || !record || (!record->halted && !record->message && record->restarts >= goal->restarts))
		return;
	record->halted = false;
	g_clear_pointer(&record->message, g_free);
	record->restarts = MAX(record->restarts, goal->restarts);
	save(m);
}

static void step_down(struct vm_machine *m, bool gone)
{
	if (m->actual == VM_RUNNING)
		begin(m, VM_STOPPING, run_stop, stopped, NULL,
			gone ? 0 : m->agent->config.times.stop_grace_s);
	else if (agent_functions_held(m->agent, m->uid))
		m->phase = VM_RELEASING;
	else if (gone && (m->actual != VM_ABSENT || vm_machine_record(m)))
		begin(m, VM_REMOVING, run_remove, removed, NULL, 0);
	else if (!gone && vm_machine_reimage_is_due(m))
		begin(m, VM_REMOVING, run_remove, wiped, NULL, 0);
	else
		settle_off(m);
}

/* ---- the way up ---- */

/* Forgets how it died, now that it runs again. */
static void forget_death(struct vm_machine *m)
{
	struct ledger_vm *entry = vm_machine_record(m);

	if (!entry || !entry->message || entry->halted)
		return;
	g_clear_pointer(&entry->message, g_free);
	save(m);
}

static void started(struct vm_machine *m)
{
	failpoint(FAILPOINT_AGENT_VM_STARTED);
	m->actual = VM_RUNNING;
	m->phase = VM_PORTS;
	m->up_since_us = g_get_monotonic_time();
	m->deadline_us = m->up_since_us + (int64_t)m->agent->config.times.port_ms * 1000;
	switch_link_hurry(m->agent->link);
	clear_fault(m);
	forget_death(m);
	agent_wake_at(m->agent, m->deadline_us);
}

static void defined(struct vm_machine *m)
{
	failpoint(FAILPOINT_AGENT_VM_DEFINED);
	m->phase = VM_CONFIRMING;
	m->number = 0;
	m->deadline_us = g_get_monotonic_time() + (int64_t)m->agent->config.times.confirm_ms * 1000;
	agent_wake_at(m->agent, m->deadline_us);
}

static bool is_admitted(struct vm_machine *m, const struct goal_vm *goal, GError **error)
{
	const struct agent *agent = m->agent;
	struct host_memory memory;

	return host_read_memory(agent->config.proc, &memory, error) &&
	       host_admit(&agent->config.admission, &memory, goal->name, goal->memory_mib,
		       agent_starting_mib(agent), error);
}

static void start_up(struct vm_machine *m)
{
	const struct agent *agent = m->agent;
	const struct goal_vm *goal = vm_machine_goal(m);
	GError *error = NULL;
	struct vm_spec *spec = NULL;

	if (is_admitted(m, goal, &error))
		spec = vm_plan_build(agent->goal, goal, &agent->config.site, agent->vm_dir,
			agent->provider != NULL, &error);
	if (spec)
		begin(m, VM_DEFINING, run_define, defined, spec, 0);
	else
		fail(m, error);
}

/* The attachment of a NIC of the VM that is furthest from `ready`, and the NIC: NULL attachment when the
 * switch does not name the NIC; NULL NIC when the VM has none. */
static const struct goal_nic *worst_port(const struct vm_machine *m, const struct switch_attachment **ret)
{
	const struct goal_nic *worst = NULL;

	*ret = NULL;
	for (guint i = 0; i < list_length(m->agent->goal->nics); i++) {
		const struct goal_nic *nic = m->agent->goal->nics->pdata[i];
		if (g_strcmp0(nic->vm, m->uid) != 0)
			continue;
		const struct switch_nic *port = switch_link_nic(m->agent->link, nic->uid);
		if (!port)
			*ret = NULL;
		else if (worst && port->synthetic.state == SWITCH_PORT_READY)
			continue;
		else
			*ret = &port->synthetic;
		worst = nic;
		if (!*ret || (*ret)->state == SWITCH_PORT_FAILED)
			break;
	}
	return worst;
}

static void confirmed(struct vm_machine *m)
{
	if (vm_machine_want(m) != WANT_COMING) {
		m->ended = false;
		begin(m, VM_STARTING, run_start, started, NULL, 0);
		return;
	}
	m->phase = VM_READY;
	clear_fault(m);
}

static void step_confirming(struct vm_machine *m)
{
	const struct goal_vm *goal = vm_machine_goal(m);
	const struct switch_attachment *port;
	const struct goal_nic *nic = worst_port(m, &port);
	const GError *cause = switch_link_error(m->agent->link);
	const char *left_out = nic ? g_hash_table_lookup(m->agent->left_out, nic->uid) : NULL;
	GError *error = NULL;

	if (m->number != 0 && switch_link_confirmed(m->agent->link) >= m->number && (!nic || port)) {
		if (nic && port->state == SWITCH_PORT_FAILED) {
			fault_set(&error, FAULT_UNAVAILABLE, "the switch cannot serve NIC %s of VM %s: %s",
				nic->name, goal->name, port->error ? port->error : "it says no reason");
			fail(m, error);
			return;
		}
		confirmed(m);
	} else if (g_get_monotonic_time() >= m->deadline_us) {
		fault_set(&error, FAULT_UNAVAILABLE,
			"the switch did not confirm the ports of VM %s in %u s: %s; the VM starts once it "
			"does",
			goal->name, m->agent->config.times.confirm_ms / 1000,
			m->agent->goal_error ? m->agent->goal_error->message
			: left_out           ? left_out
			: cause              ? cause->message
					     : "it is busy");
		fail(m, error);
	}
}

static void step_ports(struct vm_machine *m)
{
	const struct switch_attachment *port;
	const struct goal_nic *nic = worst_port(m, &port);
	g_autofree char *object = label(m);

	if (!nic || (port && port->state == SWITCH_PORT_READY)) {
		m->phase = VM_REST;
		g_clear_pointer(&m->late, g_free);
	} else if (m->phase == VM_PORTS && g_get_monotonic_time() >= m->deadline_us) {
		m->phase = VM_REST;
		g_free(m->late);
		m->late = g_strdup_printf("It runs, but its guest did not set NIC %s up within %u s.",
			nic->name, m->agent->config.times.port_ms / 1000);
		log_warn(object, "%s", m->late);
	}
}

static void step_running(struct vm_machine *m)
{
	if (vm_machine_reimage_is_due(m)) /* nothing that the guest could still write is kept */
		begin(m, VM_STOPPING, run_stop, stopped, NULL, 0);
	else if (vm_machine_restart_is_due(m))
		begin(m, VM_STOPPING, run_stop, stopped, NULL, m->agent->config.times.stop_grace_s);
	else if (m->phase == VM_PORTS || m->late)
		step_ports(m);
	else
		m->phase = VM_REST;
}

/* Enters the VM in the ledger, and counts a restart now that it is off. False when that failed. */
static bool record(struct vm_machine *m)
{
	const struct goal_vm *goal = vm_machine_goal(m);
	struct ledger_vm *entry = vm_machine_record(m);

	if (!entry) {
		entry = ledger_add_vm(m->agent->ledger, m->uid);
		entry->name = g_strdup(goal->name);
		entry->restarts = goal->restarts;
		entry->reimages = goal->reimages;
		entry->migration.uid = g_strdup(goal->migration.uid);
		entry->migration.role = goal->migration.role;
		if (!save(m))
			return false;
		failpoint(FAILPOINT_AGENT_VM_RECORDED);
	}
	if (!vm_machine_restart_is_due(m))
		return true;
	entry->restarts++;
	entry->halted = false;
	g_clear_pointer(&entry->message, g_free);
	if (!save(m))
		return false;
	failpoint(FAILPOINT_AGENT_VM_RESTARTING);
	return true;
}

static void step_up(struct vm_machine *m)
{
	if (m->actual == VM_RUNNING)
		step_running(m);
	else if (m->phase == VM_CONFIRMING)
		step_confirming(m);
	else if (agent_functions_held(m->agent, m->uid))
		m->phase = VM_RELEASING;
	else if (vm_machine_reimage_is_due(m))
		begin(m, VM_REMOVING, run_remove, wiped, NULL, 0);
	else if (!record(m))
		return;
	else if (vm_machine_record(m)->halted)
		m->phase = VM_REST;
	else
		start_up(m);
}

/* A disk that is here, and that the controller takes for another host's, is nothing to be overwritten. */
static bool is_expected(struct vm_machine *m)
{
	const struct goal_vm *goal = vm_machine_goal(m);
	const struct ledger_vm *entry = vm_machine_record(m);
	GError *error = NULL;

	if (!entry || g_strcmp0(entry->migration.uid, goal->migration.uid) == 0)
		return true;
	fault_set(&error, FAULT_EXISTS,
		"this host has a disk of VM %s, of which the controller does not know; see which one is "
		"right",
		goal->name);
	fail(m, error);
	return false;
}

/* Its machine is to come from another host. */
static void step_coming(struct vm_machine *m)
{
	if (m->actual == VM_RUNNING)
		m->phase = VM_REST;
	else if (m->phase == VM_CONFIRMING)
		step_confirming(m);
	else if (m->phase != VM_READY && is_expected(m) && record(m))
		start_up(m);
}

/* What crashed may have its functions open still, and is not off. Where it is as its migration goes, that decides. */
static bool must_end(const struct vm_machine *m, enum want wanted)
{
	bool off = wanted == WANT_OFF || wanted == WANT_GONE;

	return vm_machine_may_linger(m) &&
	       (off || (wanted == WANT_RUNNING && agent_functions_held(m->agent, m->uid)));
}

void vm_machine_step(struct vm_machine *m)
{
	enum want wanted = vm_machine_want(m);
	bool ends = must_end(m, wanted);

	if (m->busy || m->held || !m->known || m->agent->stopping)
		return;
	/* The pause after a death is one before the next start: its end does not wait for that. */
	if (g_get_monotonic_time() < m->retry_at_us && !(ends && !m->fault)) {
		agent_wake_at(m->agent, m->retry_at_us);
		return;
	}
	if (ends) {
		begin(m, VM_STOPPING, run_stop, ended, NULL, 0);
		return;
	}
	switch (wanted) {
	case WANT_RUNNING: step_up(m); break;
	case WANT_COMING: step_coming(m); break;
	case WANT_LEFT: m->phase = VM_REST; break;
	case WANT_OFF:
	case WANT_GONE: step_down(m, wanted == WANT_GONE); break;
	}
}

/* ---- what the VM manager says ---- */

/* It ran, and is off without a stop of ours. */
static void died(struct vm_machine *m, enum vm_state state, const char *detail)
{
	struct ledger_vm *entry = vm_machine_record(m);
	g_autofree char *object = label(m);

	m->phase = VM_REST;
	forget_answers(m);
	if (!entry || vm_machine_want(m) != WANT_RUNNING)
		return;
	if (g_get_monotonic_time() - m->up_since_us > FORGET_DEATHS_US)
		m->deaths = 0;
	g_free(entry->message);
	if (state == VM_STOPPED) {
		entry->halted = true;
		entry->message = g_strdup("Its guest powered itself off; start it to bring it back.");
	} else if (++m->deaths > AGENT_DEATHS_MAX) {
		entry->halted = true;
		entry->message = g_strdup_printf(
			"%s It died %u times in a row and is left alone; start it to try again.",
			detail ? detail : "The machine died.", m->deaths);
	} else {
		entry->message = g_strdup(detail ? detail : "The machine died; it is being started again.");
		retry_later(m, m->deaths - 1);
	}
	log_warn(object, "%s", entry->message);
	save(m);
}

void vm_machine_set_actual(struct vm_machine *m, enum vm_state state, const char *detail)
{
	bool ran = m->known && m->actual == VM_RUNNING;

	if (!m->known && state == VM_RUNNING)
		m->up_since_us = g_get_monotonic_time();
	m->known = true;
	m->ended = m->ended && m->actual == VM_CRASHED && state == VM_CRASHED;
	m->actual = state;
	if (ran && state != VM_RUNNING && vm_machine_want(m) != WANT_LEFT)
		died(m, state, detail);
	if (state == VM_RUNNING)
		forget_death(m);
}

/* ---- life ---- */

struct vm_machine *vm_machine_new(struct agent *agent, const char *uid)
{
	struct vm_machine *m = g_new0(struct vm_machine, 1);

	m->agent = agent;
	m->uid = g_strdup(uid);
	const struct goal_vm *goal = vm_machine_goal(m);
	m->generation = goal ? goal->generation : 0;
	return m;
}

void vm_machine_free(struct vm_machine *m)
{
	if (!m)
		return;
	g_assert(!m->busy && !m->held);
	g_clear_error(&m->fault);
	g_free(m->late);
	g_free(m->uid);
	g_free(m);
}

bool vm_machine_set_number(struct vm_machine *m, uint64_t number)
{
	if (m->phase != VM_CONFIRMING || m->number != 0)
		return false;
	m->number = number;
	return true;
}

void vm_machine_goal_changed(struct vm_machine *m)
{
	const struct goal_vm *goal = vm_machine_goal(m);
	bool commanded = goal && goal->generation != m->generation;

	m->overtaken = m->busy;
	if (goal)
		m->generation = goal->generation;
	if (commanded)
		m->deaths = 0;
	if (m->fault || commanded)
		clear_fault(m);
}

bool vm_machine_hold(struct vm_machine *m)
{
	if (m->busy || m->held)
		return false;
	m->held = true;
	return true;
}

void vm_machine_unhold(struct vm_machine *m)
{
	m->held = false;
	m->epoch++;
}
