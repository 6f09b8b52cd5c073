/* One NIC's acceleration: the machine. */
#include "agent/accel_priv.h"
#include "base/failpoint.h"
#include "base/fault.h"
#include "base/log.h"

/* It is on disk with the next state. */
static void note_change(struct accel *a)
{
	struct ledger_nic *record = accel_record(a);
	int64_t hold_ms = damping_note(record, g_get_real_time() / 1000);

	record->changes++;
	if (hold_ms > 0)
		log_warn(a->uid,
			"its path changed more than %d times in a minute; attaching is held off for %d s "
			"(dampings so far: %" G_GINT64_FORMAT ")",
			AGENT_CHANGES_MAX, (int)(hold_ms / 1000), record->dampings);
}

/* ---- going from state to state ---- */

static const enum failpoint points[] = {
	[ACCEL_CLAIMING] = FAILPOINT_AGENT_ACCEL_CLAIMING,
	[ACCEL_ARMING] = FAILPOINT_AGENT_VF_ARMING,
	[ACCEL_PLUGGING] = FAILPOINT_AGENT_ACCEL_PLUGGING,
	[ACCEL_COPYING] = FAILPOINT_AGENT_ACCEL_COPYING,
	[ACCEL_ON] = FAILPOINT_AGENT_ACCEL_ON,
	[ACCEL_UNPLUGGING] = FAILPOINT_AGENT_ACCEL_UNPLUGGING,
	[ACCEL_CUT] = FAILPOINT_AGENT_VF_CUTTING,
	[ACCEL_DRAINING] = FAILPOINT_AGENT_ACCEL_DRAINING,
	[ACCEL_RELEASING] = FAILPOINT_AGENT_ACCEL_RELEASING,
};

static void retry_later(struct accel *a)
{
	a->retry_at_us = g_get_monotonic_time() + agent_backoff_us(a->agent, a->failures++);
	agent_wake_at(a->agent, a->retry_at_us);
}

/* Takes the error. */
static void note_fault(struct accel *a, GError *error)
{
	if (g_strcmp0(a->fault ? a->fault->message : NULL, error->message) != 0)
		log_warn(a->uid, "%s", error->message);
	g_clear_error(&a->fault);
	a->fault = error;
}

/* Takes the error. */
static void fail(struct accel *a, GError *error)
{
	note_fault(a, error);
	retry_later(a);
}

/* Writes the state to the ledger. When that fails the old state stays, and the step is tried again. */
static void enter(struct accel *a, enum accel_state state)
{
	struct ledger_nic *record = accel_record(a);
	int old = record->state;
	GError *error = NULL;

	record->state = state;
	if (!agent_save(a->agent, &error)) {
		record->state = old;
		fail(a, error);
		return;
	}
	if (state != ACCEL_OFF)
		failpoint(points[state]);
	log_debug(a->uid, "acceleration: %s", accel_state_words[state]);
	health_touch(a->agent->health);
	switch_link_hurry(a->agent->link);
	change_log_entered(a, (enum accel_state)old);
	a->number = 0;
	a->left = a->cut = a->asks = a->lacked_port = false;
	g_clear_pointer(&a->loss, g_free);
	a->failures = 0;
	a->retry_at_us = 0;
	a->entered_us[state] = g_get_monotonic_time();
	a->confirmed_us[state] = 0;
}

/* A change begins; an operator may have asked for it earlier. */
static void begin_change(struct accel *a)
{
	note_change(a);
	if (!a->asked)
		a->began_us = g_get_monotonic_time();
}

static void begin_unplugging(struct accel *a)
{
	begin_change(a);
	enter(a, ACCEL_UNPLUGGING);
}

/* Attaching failed: tells whoever waits for it, and tries no more for a while. Takes the error. */
static void attach_failed(struct accel *a, int64_t pause_us, GError *error)
{
	accel_answer(a, false, error);
	log_warn(a->uid, "%s", error->message);
	g_clear_error(&a->attach_fault);
	a->attach_fault = error;
	a->attach_at_us = g_get_monotonic_time() + pause_us;
}

static int64_t next_pause_us(struct accel *a)
{
	return agent_backoff_us(a->agent, a->attach_failures++);
}

/* The guest does not use the function, which others could, and which takes what comes from the wire. */
static void take_back(struct accel *a)
{
	int64_t pause_ms = (int64_t)a->agent->config.times.no_driver_pause_ms << MIN(a->driverless, 6);
	GError *error = NULL;

	a->driverless++;
	fault_set(&error, FAULT_UNAVAILABLE,
		"Its guest got function %s and goes on sending by its standby: it has no driver for the "
		"function, or has set it down. It is offered one again when its VM is restarted, in %d "
		"min, or by `sluice vf restore`.",
		accel_record(a)->function, (int)((pause_ms + 59999) / 60000));
	attach_failed(a, pause_ms * 1000, error);
	begin_unplugging(a);
}

/* ---- jobs ---- */

static void work(void *data)
{
	struct accel_job *job = data;

	if (!job->run(job) && !job->error)
		fault_set(&job->error, FAULT_INTERNAL, "it failed without a reason");
}

static void finish(void *data)
{
	struct accel_job *job = data;
	struct accel *a = job->accel;

	a->busy = false;
	if (job->held)
		vm_machine_unhold(job->held);
	if (!job->error) {
		g_clear_error(&a->fault);
		a->failures = 0;
	}
	job->then(a, job, job->error);
	if (a->gone)
		accel_gone(a);
	agent_kick(a->agent);
	g_free(job->nic);
	g_free(job->vm);
	g_free(job->function);
	g_free(job->representor);
	g_free(job->physical);
	g_free(job);
}

/* Runs one call; `then` follows in either case and takes the error. `held`: a machine that must do nothing
 * else meanwhile; when it is busy the step is taken later. */
static void begin(struct accel *a, bool (*run)(struct accel_job *),
	void (*then)(struct accel *, struct accel_job *, GError *), struct vm_machine *held)
{
	const struct ledger_nic *record = accel_record(a);
	const struct goal_nic *goal = accel_goal(a);

	if (held && !vm_machine_hold(held))
		return;
	struct accel_job *job = g_new0(struct accel_job, 1);
	*job = (struct accel_job){.accel = a,
		.provider = a->agent->provider,
		.manager = a->agent->manager,
		.nic = g_strdup(a->uid),
		.vm = g_strdup(record->vm),
		.function = g_strdup(record->function),
		.representor = g_strdup(record->representor),
		.physical = g_strdup(record->physical),
		.tunnel = record->physical && accel_network(a) && !accel_network(a)->physical,
		.bypass = accel_is_bypass(record),
		.vlan = (uint16_t)record->vlan,
		.rate_mbps = (uint32_t)(goal ? CLAMP(goal->bandwidth_mbps, 0, UINT32_MAX) : 0),
		.timeout_ms = a->agent->config.times.unplug_ms,
		.tries = a->failures,
		.run = run,
		.then = then,
		.held = held};
	mac_parse(record->mac, &job->mac);
	a->busy = true;
	jobs_run(run == accel_run_unplug ? a->agent->unplugs : a->agent->jobs, work, finish, job);
}

/* ---- what each state does ---- */

static void claimed(struct accel *a, struct accel_job *job, GError *error)
{
	struct ledger_nic *record = accel_record(a);

	if (error) {
		attach_failed(a, next_pause_us(a), error);
		enter(a, ACCEL_RELEASING);
		return;
	}
	failpoint(FAILPOINT_AGENT_ACCEL_CLAIMED);
	g_free(record->function);
	g_free(record->representor);
	record->function = g_steal_pointer(&job->function);
	record->representor = g_steal_pointer(&job->representor);
	enter(a, job->provider->ops->arm ? ACCEL_ARMING : ACCEL_PLUGGING);
}

static void armed(struct accel *a, struct accel_job *job, GError *error)
{
	if (error) {
		attach_failed(a, next_pause_us(a), error);
		enter(a, ACCEL_DRAINING);
		return;
	}
	failpoint(FAILPOINT_AGENT_VF_ARMED);
	enter(a, ACCEL_PLUGGING);
}

/* Looks at the counters from where they are now. */
static void begin_copying(struct accel *a)
{
	a->standby_frames = accel_standby_frames(a);
	a->standby_since_us = 0;
	enter(a, ACCEL_COPYING);
}

static void plugged(struct accel *a, struct accel_job *job, GError *error)
{
	if (error) {
		attach_failed(a, next_pause_us(a), error);
		begin_unplugging(a);
		return;
	}
	failpoint(FAILPOINT_AGENT_ACCEL_PLUGGED);
	a->attach_failures = 0;
	g_clear_error(&a->attach_fault);
	begin_copying(a);
}

static void unplugged(struct accel *a, struct accel_job *job, GError *error)
{
	if (error) {
		if (!accel_is_forced(a))
			accel_answer(a, true, error);
		if (a->asks) { /* that it cannot be cut off is what people have to know */
			a->asks = false;
			g_error_free(error);
			retry_later(a);
		} else {
			fail(a, error);
		}
		return;
	}
	failpoint(FAILPOINT_AGENT_ACCEL_UNPLUGGED);
	enter(a, ACCEL_DRAINING);
}

static void cut_off(struct accel *a, struct accel_job *job, GError *error)
{
	if (error) {
		a->asks = true;
		fail(a, error);
		return;
	}
	failpoint(FAILPOINT_AGENT_VF_CUT);
	log_warn(a->uid, "its guest does not let go of function %s, which is cut off", job->function);
	a->cut = true;
}

static void has_left(struct accel *a, struct accel_job *job, GError *error)
{
	if (error) {
		fail(a, error);
		return;
	}
	failpoint(FAILPOINT_AGENT_VF_LEFT);
	a->left = true;
}

void accel_tell_freed(struct agent *agent)
{
	GHashTableIter iter;
	struct accel *a;

	g_hash_table_iter_init(&iter, agent->accels);
	while (g_hash_table_iter_next(&iter, NULL, (void **)&a))
		if (g_error_matches(a->attach_fault, FAULT, FAULT_POOL_FULL))
			a->attach_at_us = 0;
}

static void released(struct accel *a, struct accel_job *job, GError *error)
{
	if (error) {
		fail(a, error);
		return;
	}
	failpoint(FAILPOINT_AGENT_ACCEL_RELEASED);
	if (job->function)
		accel_tell_freed(a->agent);
	enter(a, ACCEL_OFF);
}

/* Nothing is held: an entry that says nothing any more goes. */
static void tidy(struct accel *a)
{
	struct ledger_nic *record = accel_record(a);

	if (!record)
		return;
	g_clear_pointer(&record->function, g_free);
	g_clear_pointer(&record->representor, g_free);
	if (accel_goal(a) || agent_goal_vm(a->agent, record->vm ? record->vm : ""))
		return;
	ledger_drop_nic(a->agent->ledger, a->uid);
	agent_save(a->agent, NULL); /* an entry that stays in the file is dropped again by the next process */
}

/* Puts down what the function is claimed for; it is on disk with the next state. */
static void note_claim(struct accel *a)
{
	const struct goal_nic *goal = accel_goal(a);
	const struct goal_network *network = accel_provider_bypasses(a) ? accel_network(a) : NULL;
	struct ledger_nic *record = accel_record(a);
	const char *physical = accel_physical(a);

	if (!record)
		record = ledger_add_nic(a->agent->ledger, a->uid);
	g_free(record->vm);
	g_free(record->mac);
	g_free(record->physical);
	record->vm = g_strdup(goal->vm);
	record->mac = g_strdup(goal->mac);
	record->physical = g_strdup(physical);
	record->vlan = network ? network->vlan : 0;
}

static void step_off(struct accel *a)
{
	int64_t hold_until_us;

	tidy(a);
	if (accel_machine_is_off(a))
		a->attach_at_us = a->driverless = 0; /* what starts anew may be another */
	if (!accel_is_wanted(a) || !accel_guest_is_ready(a))
		return;
	hold_until_us = MAX(accel_damped_until_us(a), a->attach_at_us);
	if (g_get_monotonic_time() < hold_until_us) {
		agent_wake_at(a->agent, hold_until_us);
		return;
	}
	note_claim(a);
	begin_change(a);
	enter(a, ACCEL_CLAIMING);
}

static void step_plugging(struct accel *a)
{
	if (accel_machine_is_off(a)) {
		enter(a, ACCEL_DRAINING);
	} else if (!accel_is_wanted(a)) {
		begin_unplugging(a);
	} else {
		a->baseline = accel_function_frames(a);
		a->ask_at_us = 0;
		begin(a, accel_run_plug, plugged, accel_machine(a));
	}
}

/* The host's filters are another matter than the switch's attachments, and waited for as well. */
static void step_arming(struct accel *a)
{
	if (accel_machine_is_off(a) || !accel_is_wanted(a))
		enter(a, ACCEL_DRAINING);
	else if (hearing_is_settled(a->agent->hearing))
		begin(a, accel_run_arm, armed, NULL);
}

/* ---- whether the device is still there ---- */

/* Only its guest can make the function work again, by letting it go and getting it anew; meanwhile it has its standby. */
static void replace(struct accel *a)
{
	const char *function = accel_record(a)->function;
	g_autofree char *finding =
		g_strdup_printf("function %s (NIC %s) %s; its guest gives it back, and gets one again",
			function, a->uid, a->loss);

	health_note(a->agent->health, finding);
	g_clear_error(&a->attach_fault);
	fault_set(&a->attach_fault, FAULT_UNAVAILABLE,
		"Its function %s %s: its guest gives it back, and gets one again.", function, a->loss);
	begin_unplugging(a);
}

/* The guest gave the device away by itself, or it only seemed so. */
static void looked(struct accel *a, struct accel_job *job, GError *error)
{
	if (error) {
		note_fault(a, error);
		if (a->ask_at_us == 0)
			a->ask_at_us =
				g_get_monotonic_time() + (int64_t)a->agent->config.times.retry_max_ms * 1000;
	} else if (!job->plugged) {
		note_change(a);
		enter(a, ACCEL_DRAINING);
	} else if (a->loss) {
		replace(a);
	}
}

static bool must_look(struct accel *a)
{
	if (a->ask_at_us == 0)
		return false;
	if (g_get_monotonic_time() >= a->ask_at_us)
		return true;
	agent_wake_at(a->agent, a->ask_at_us);
	return false;
}

/* A machine that is busy is asked about later. */
static void look(struct accel *a)
{
	begin(a, accel_run_plugged, looked, accel_machine(a));
	if (a->busy)
		a->ask_at_us = 0;
}

void accel_doubt(struct accel *a)
{
	a->ask_at_us = g_get_monotonic_time();
	agent_kick(a->agent);
}

void accel_lose(struct accel *a, const char *loss, int64_t seen_us)
{
	enum accel_state state = accel_state(a);

	if ((state != ACCEL_COPYING && state != ACCEL_ON) || a->entered_us[state] > seen_us)
		return;
	g_free(a->loss);
	a->loss = g_strdup(loss);
	accel_doubt(a);
}

void accel_gone(struct accel *a)
{
	enum accel_state state = accel_state(a);

	a->gone = a->busy;
	if (a->busy)
		return;
	if (state == ACCEL_UNPLUGGING || state == ACCEL_CUT) {
		a->retry_at_us = 0;
		a->asks = state == ACCEL_CUT && !a->cut;
	}
	accel_doubt(a);
}

static void step_copying(struct accel *a)
{
	int64_t since = a->entered_us[ACCEL_COPYING];

	if (accel_machine_is_off(a))
		enter(a, ACCEL_DRAINING);
	else if (!accel_is_wanted(a))
		begin_unplugging(a);
	else if (must_look(a))
		look(a);
	else if (accel_guest_is_ready(a) && accel_is_heard_by_function(a))
		enter(a, ACCEL_ON);
	else if (accel_keeps_to_standby(a))
		take_back(a);
	else if (g_get_monotonic_time() - since > (int64_t)a->agent->config.times.first_frame_ms * 1000)
		accel_answer(a, false, NULL);
}

/* From ON. */
static void begin_copying_anew(struct accel *a)
{
	a->baseline = accel_function_frames(a);
	begin_copying(a);
}

static void forget_guest(struct accel *a)
{
	guest_policy_forget(a->agent, a->uid);
	guest_identities_forget(a->agent->guest_identities, a->uid);
}

static void step_on(struct accel *a)
{
	bool lacks_port = accel_lacks_port(a);

	if (lacks_port && !a->lacked_port)
		health_touch(a->agent->health);
	a->lacked_port = lacks_port;
	if (accel_machine_is_off(a)) {
		enter(a, ACCEL_DRAINING);
	} else if (!accel_is_wanted(a)) {
		begin_unplugging(a);
	} else if (must_look(a)) {
		look(a);
	} else if (accel_guest_went_away(a)) {
		forget_guest(a);
		begin_copying_anew(a);
	} else if (accel_strays_to_standby(a)) {
		begin_copying_anew(a);
	} else {
		a->driverless = 0;
	}
}

static void step_unplugging(struct accel *a)
{
	if (accel_machine_is_off(a))
		enter(a, ACCEL_DRAINING);
	else
		begin(a, accel_run_unplug, unplugged, accel_machine(a));
}

/* Whether the guest has had its time to let go, and must not go on with the function. */
static bool must_cut(struct accel *a)
{
	int64_t limit = (int64_t)a->agent->config.times.unplug_ms * 1000;

	if (!a->agent->provider || !accel_is_forced(a))
		return false;
	if (a->entered_us[ACCEL_UNPLUGGING] == 0) /* by an earlier process */
		a->entered_us[ACCEL_UNPLUGGING] = g_get_monotonic_time();
	int64_t until = a->entered_us[ACCEL_UNPLUGGING] + limit;
	if (g_get_monotonic_time() >= until)
		return true;
	agent_wake_at(a->agent, until);
	return false;
}

static void step_cut(struct accel *a)
{
	if (accel_machine_is_off(a))
		enter(a, ACCEL_DRAINING);
	else if (!a->cut && !a->asks && a->agent->provider)
		begin(a, accel_run_cut, cut_off, NULL);
	else
		begin(a, accel_run_unplug, unplugged, accel_machine(a));
}

/* Without a provider its devices are left to it: it releases them when it is opened again. */
static void step_releasing(struct accel *a)
{
	if (a->agent->provider)
		begin(a, accel_run_release, released, NULL);
	else
		enter(a, ACCEL_OFF);
}

static bool must_tell_left(const struct accel *a)
{
	return !a->left && accel_is_bypass(accel_record(a)) && a->agent->provider &&
	       a->agent->provider->ops->left;
}

static void step_draining(struct accel *a)
{
	if (must_tell_left(a))
		begin(a, accel_run_left, has_left, NULL);
	else
		enter(a, ACCEL_RELEASING);
}

static void step_claiming(struct accel *a)
{
	if (accel_is_wanted(a))
		begin(a, accel_run_claim, claimed, NULL);
	else
		enter(a, ACCEL_RELEASING);
}

static void step_state(struct accel *a, enum accel_state state)
{
	switch (state) {
	case ACCEL_OFF: step_off(a); break;
	case ACCEL_CLAIMING: step_claiming(a); break;
	case ACCEL_ARMING: step_arming(a); break;
	case ACCEL_PLUGGING: step_plugging(a); break;
	case ACCEL_COPYING: step_copying(a); break;
	case ACCEL_ON: step_on(a); break;
	case ACCEL_UNPLUGGING: step_unplugging(a); break;
	case ACCEL_CUT: step_cut(a); break;
	case ACCEL_DRAINING: step_draining(a); break;
	case ACCEL_RELEASING: step_releasing(a); break;
	case ACCEL_STATE_COUNT: break;
	}
}

/* Notes when the switch confirms the state's attachments; whether the state's step must wait for that. */
static bool waits_for_switch(struct accel *a, enum accel_state state)
{
	bool confirmed = a->number != 0 && switch_link_confirmed(a->agent->link) >= a->number;

	if (confirmed && a->confirmed_us[state] == 0)
		a->confirmed_us[state] = g_get_monotonic_time();
	switch (state) {
	case ACCEL_ARMING:
	case ACCEL_PLUGGING:
	case ACCEL_UNPLUGGING:
	case ACCEL_RELEASING: return !confirmed;
	case ACCEL_DRAINING: return !confirmed && !must_tell_left(a);
	default: return false;
	}
}

/* Answers operators whose change has come to its end. */
static void settle(struct accel *a)
{
	enum accel_state state = accel_state(a);
	bool on = state == ACCEL_ON && a->confirmed_us[ACCEL_ON] != 0;

	if (state == ACCEL_OFF || (state == ACCEL_CUT && a->cut))
		accel_answer(a, true, NULL);
	if (on)
		accel_answer(a, false, NULL);
	if (a->waiters->len == 0)
		a->asked = false;
}

void accel_step(struct accel *a)
{
	const struct vm_machine *machine = accel_machine(a);
	enum accel_state state = accel_state(a);

	if (a->busy || a->agent->stopping)
		return;
	if (machine && (!vm_machine_is_known(machine) || vm_machine_is_stopping(machine)))
		return;
	/* It has the function open as long as it lingers, and asks nobody to let go of it: it is ended first. */
	if (machine && accel_row(state)->in_guest && vm_machine_may_linger(machine))
		return;
	if (accel_machine_is_off(a))
		forget_guest(a);
	/* It waits neither for the switch nor for the next try. */
	if (state == ACCEL_UNPLUGGING && !accel_machine_is_off(a) && must_cut(a)) {
		enter(a, ACCEL_CUT);
		return;
	}
	if (g_get_monotonic_time() < a->retry_at_us) {
		settle(a);
		agent_wake_at(a->agent, a->retry_at_us);
		return;
	}
	if (!waits_for_switch(a, state)) {
		step_state(a, state);
		settle(a);
	}
}

bool accel_set_number(struct accel *a, uint64_t number)
{
	if (a->number != 0)
		return false;
	a->number = number;
	return true;
}

/* ---- life ---- */

struct accel *accel_new(struct agent *agent, const char *nic)
{
	struct accel *a = g_new0(struct accel, 1);

	a->agent = agent;
	a->uid = g_strdup(nic);
	a->ask_at_us = g_get_monotonic_time(); /* it may have left while no agent was there */
	a->waiters = g_ptr_array_new_with_free_func(g_free);
	accel_goal_changed(a);
	change_log_resume(a);
	return a;
}

void accel_free(struct accel *a)
{
	if (!a)
		return;
	g_assert(!a->busy);
	accel_dismiss(a);
	g_ptr_array_unref(a->waiters);
	g_clear_error(&a->fault);
	g_clear_error(&a->attach_fault);
	g_free(a->loss);
	g_free(a->function);
	g_free(a->why);
	g_free(a->uid);
	g_free(a);
}
