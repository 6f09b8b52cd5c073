/* One NIC's acceleration: operators' requests, and what is told of it. */
#include "agent/accel_priv.h"
#include "base/fault.h"

static json_int_t ms_between(int64_t from_us, int64_t to_us)
{
	return from_us > 0 && to_us >= from_us ? (to_us - from_us + 500) / 1000 : 0;
}

/* One word for people: what became of the function. */
static const char *word_of(const struct accel *a, const struct ledger_nic *record)
{
	enum accel_state state = accel_state(a);

	if (state == ACCEL_OFF)
		return record && record->revoked ? "revoked" : "detached";
	if (state == ACCEL_CUT && !a->cut) /* it is only about to be */
		state = ACCEL_UNPLUGGING;
	return state == ACCEL_ON ? "attached" : accel_state_words[state];
}

/* The last change: the window in which copies went to both attachments, and the whole. */
static json_t *describe_change(const struct accel *a, bool revoking)
{
	const struct ledger_nic *record = accel_record(a);
	const struct goal_nic *goal = accel_goal(a);
	enum accel_state first = revoking ? ACCEL_UNPLUGGING : ACCEL_PLUGGING;
	enum accel_state middle = revoking ? ACCEL_DRAINING : ACCEL_COPYING;
	enum accel_state last = revoking ? ACCEL_DRAINING : ACCEL_ON;
	int64_t end = revoking ? MAX(a->entered_us[ACCEL_OFF], a->entered_us[ACCEL_CUT])
			       : a->confirmed_us[ACCEL_ON];
	bool done = a->began_us > 0 && a->confirmed_us[first] >= a->began_us;
	bool armed = !revoking && a->confirmed_us[ACCEL_ARMING] >= a->began_us;

	return json_pack("{s:s, s:s?, s:s?, s:s, s:I, s:I, s:I, s:I}", "nic", a->uid, "nic_name",
		goal ? goal->name : NULL, "function",
		done     ? a->function
		: record ? record->function
			 : NULL,
		"state", word_of(a, record), "changes", (json_int_t)(record ? record->changes : 0),
		revoking ? "unplug_ms" : "plug_ms",
		done ? ms_between(a->confirmed_us[first], a->entered_us[middle]) : 0, "copy_ms",
		done ? ms_between(a->confirmed_us[armed ? ACCEL_ARMING : first], a->confirmed_us[last]) : 0,
		"total_ms", done ? ms_between(a->began_us, end) : 0);
}

void accel_answer(struct accel *a, bool revoking, const GError *error)
{
	bool awaited = false;

	for (guint i = a->waiters->len; i-- > 0;) {
		struct accel_waiter *waiter = a->waiters->pdata[i];
		if (waiter->revoking != revoking)
			continue;
		awaited = true;
		g_ptr_array_steal_index(a->waiters, i);
		waiter->done(error ? NULL : describe_change(a, revoking), error, waiter->data);
		g_free(waiter);
	}
	if (!error)
		change_log_ended(a, revoking, awaited);
}

static void wait_for(struct accel *a, bool revoking, accel_done_fn done, void *data)
{
	struct accel_waiter *waiter = g_new(struct accel_waiter, 1);

	*waiter = (struct accel_waiter){done, data, revoking};
	g_ptr_array_add(a->waiters, waiter);
	a->asked = true;
	a->began_us = g_get_monotonic_time();
	agent_kick(a->agent);
}

/* Writes the mark to the ledger. due_s: as there. */
static bool mark(struct accel *a, bool revoked, bool force, int64_t due_s, GError **error)
{
	const struct goal_nic *goal = accel_goal(a);
	struct ledger_nic *record = accel_record(a);

	if (!goal || !goal->accelerated)
		return fault_set(error, FAULT_NOT_ALLOWED,
			"NIC %s is not accelerated; turn accelerated networking on while its VM is "
			"deallocated",
			goal ? goal->name : a->uid);
	if (!record)
		record = ledger_add_nic(a->agent->ledger, a->uid);
	if (!record->vm)
		record->vm = g_strdup(goal->vm);
	const struct ledger_nic old = *record;
	record->revoke_due_s = record->revoked ? MIN(record->revoke_due_s, due_s) : due_s;
	record->revoked = revoked;
	record->forced = force;
	if (agent_save(a->agent, error))
		return true;
	record->revoked = old.revoked;
	record->forced = old.forced;
	record->revoke_due_s = old.revoke_due_s;
	return false;
}

bool accel_is_revoked(const struct accel *a)
{
	const struct ledger_nic *record = accel_record(a);

	return record && record->revoked && accel_state(a) == ACCEL_OFF;
}

void accel_revoke(struct accel *a, bool force, unsigned notice_s, accel_done_fn done, void *data)
{
	const struct ledger_nic *record = accel_record(a);
	/* After its notice it has begun by itself, unless it has the function still. */
	bool going = accel_state(a) < ACCEL_CLAIMING || accel_state(a) > ACCEL_ON;
	int64_t began_us = going && record && record->revoked && record->revoke_due_s ? a->began_us : 0;
	g_autoptr(GError) error = NULL;
	g_autoptr(GError) overtaken = NULL;

	if (!mark(a, true, force, notice_s ? notice_now_s() + notice_s : 0, &error)) {
		done(NULL, error, data);
		return;
	}
	fault_set(&overtaken, FAULT_CONFLICT, "NIC %s was revoked meanwhile", accel_goal(a)->name);
	accel_answer(a, false, overtaken);
	if (accel_has_notice(a)) {
		done(accel_describe(a), NULL, data);
		return;
	}
	wait_for(a, true, done, data);
	if (began_us)
		a->began_us = began_us;
}

/* The revocation is over, and the NIC gets no function for now all the same. */
static void answer_restored(struct accel *a, const char *reason, accel_done_fn done, void *data)
{
	const struct goal_nic *goal = accel_goal(a);
	const struct ledger_nic *record = accel_record(a);
	json_t *result = json_pack("{s:s, s:s, s:s?, s:s, s:I, s:s}", "nic", a->uid, "nic_name", goal->name,
		"function", record->function, "state", word_of(a, record), "changes",
		(json_int_t)record->changes, "reason", reason);

	agent_kick(a->agent);
	done(result, NULL, data);
}

void accel_restore(struct accel *a, accel_done_fn done, void *data)
{
	const struct vm_machine *machine = accel_machine(a);
	g_autoptr(GError) error = NULL;
	g_autoptr(GError) overtaken = NULL;
	const char *reason = NULL;
	struct ledger_nic *record = accel_record(a);

	/* Revoked and restored in quick turn, a path flaps as by anything else. */
	if (record && !record->revoked && accel_damped_until_us(a) > 0)
		damping_end(record);
	if (!mark(a, false, false, 0, &error)) {
		done(NULL, error, data);
		return;
	}
	fault_set(&overtaken, FAULT_CONFLICT, "NIC %s was restored meanwhile", accel_goal(a)->name);
	accel_answer(a, true, overtaken);
	bool entitled = accel_is_entitled(a, &reason);
	if (entitled && accel_state(a) == ACCEL_CUT) {
		fault_set(&error, FAULT_UNAVAILABLE,
			"the guest of NIC %s still has function %s, which was cut off; when it lets go, or "
			"its VM is "
			"restarted, the NIC gets one again",
			accel_goal(a)->name, accel_record(a)->function);
		done(NULL, error, data);
		return;
	}
	g_clear_error(&a->attach_fault);
	a->attach_at_us = 0;
	if (entitled && !(machine && vm_machine_is_up(machine)))
		reason = "Its VM does not run; it gets a function when that does.";
	if (reason) {
		answer_restored(a, reason, done, data);
		return;
	}
	bool begun = accel_state(a) >= ACCEL_CLAIMING && accel_state(a) <= ACCEL_ON;
	int64_t held_ms = damping_left_ms(accel_record(a), g_get_real_time() / 1000);
	if (!begun && held_ms > 0) {
		fault_set(&error, FAULT_UNAVAILABLE,
			"the path of NIC %s changed more than %d times in a minute: its function is held off "
			"for %d s more, and restored then, or at once when that is asked for once more",
			accel_goal(a)->name, AGENT_CHANGES_MAX, (int)((held_ms + 999) / 1000));
		done(NULL, error, data);
		return;
	}
	wait_for(a, false, done, data);
}

void accel_dismiss(struct accel *a)
{
	g_autoptr(GError) error = NULL;

	fault_set(&error, FAULT_UNAVAILABLE, "the agent is stopping; ask again when it runs");
	accel_answer(a, true, error);
	accel_answer(a, false, error);
}

bool accel_is_eager(const struct accel *a)
{
	enum accel_state state = accel_state(a);
	int64_t copying = g_get_monotonic_time() - a->entered_us[ACCEL_COPYING];

	if (a->waiters->len > 0)
		return true;
	if (state == ACCEL_COPYING)
		return copying < (int64_t)a->agent->config.times.first_frame_ms * 1000;
	return state != ACCEL_OFF && state != ACCEL_ON && state != ACCEL_CUT;
}

bool accel_is_over(const struct accel *a)
{
	return !a->busy && !accel_goal(a) && !accel_record(a);
}

/* Why the switch executes all flows of a NIC whose function could have an eswitch do it; NULL: that does. */
static char *explain_switch(const struct accel *a)
{
	const struct switch_nic *port = switch_link_nic(a->agent->link, a->uid);

	if (!accel_record(a)->representor || !port || !port->offload_reason)
		return NULL;
	return g_strdup_printf("Its packets pass the switch: %s.", port->offload_reason);
}

/* A function that goes, and is still in the guest. reason: why it goes. */
static char *explain_going(const struct accel *a, const char *reason)
{
	const char *function = accel_record(a)->function;

	if (accel_state(a) == ACCEL_ON)
		return g_strdup_printf(
			"Its guest is about to be asked for function %s. %s", function, reason);
	return g_strdup_printf("Its guest has not let go of function %s yet. %s", function, reason);
}

/* It waits for a function, as its path has changed too often. */
static bool is_damped(const struct accel *a)
{
	return accel_state(a) == ACCEL_OFF && accel_damped_until_us(a) > 0;
}

/* When that is over, in UTC, to the second above. Owned by the caller. */
static char *damped_until(const struct accel *a, const char *format)
{
	g_autoptr(GDateTime) time =
		g_date_time_new_from_unix_utc((accel_record(a)->damped_until_ms + 999) / 1000);

	return g_date_time_format(time, format);
}

static char *explain_damping(const struct accel *a)
{
	g_autofree char *until = damped_until(a, "%H:%M:%S");

	return g_strdup_printf(
		"Its path changed more than %d times in a minute: it is offered a function again at "
		"%s (UTC), or by `sluice vf restore`.",
		AGENT_CHANGES_MAX, until);
}

/* Why an accelerated NIC of a VM that runs is not on its function, or not with all that it could have; NULL when it is. Owned by the caller. */
static char *explain(const struct accel *a)
{
	const char *reason = NULL;
	bool entitled = accel_is_entitled(a, &reason);

	if (accel_state(a) == ACCEL_ON)
		return reason ? explain_going(a, reason) : explain_switch(a);
	if (accel_state(a) == ACCEL_CUT && a->cut)
		return g_strdup_printf("Its guest does not let go of function %s, which is cut off: nothing "
				       "passes it, and the guest goes on being asked for it.",
			accel_record(a)->function);
	if (a->fault && (accel_state(a) == ACCEL_UNPLUGGING || accel_state(a) == ACCEL_CUT))
		return g_strdup(a->fault->message);
	if (accel_state(a) == ACCEL_UNPLUGGING && reason)
		return explain_going(a, reason);
	if (!entitled)
		return g_strdup(reason);
	if (is_damped(a) && accel_damped_until_us(a) > a->attach_at_us)
		return explain_damping(a);
	if (a->attach_fault)
		return g_strdup(a->attach_fault->message);
	if (a->fault)
		return g_strdup(a->fault->message);
	if (accel_state(a) == ACCEL_ARMING && hearing_error(a->agent->hearing) &&
		!hearing_is_settled(a->agent->hearing))
		return g_strdup(hearing_error(a->agent->hearing)->message);
	if (accel_state(a) == ACCEL_COPYING)
		return g_strdup("Attached; the guest has sent nothing on it yet, so both paths deliver.");
	if (accel_state(a) == ACCEL_OFF && !accel_guest_is_ready(a))
		return g_strdup("Its guest has not set the NIC up yet.");
	return g_strdup("Its function is being attached.");
}

static enum enforcement enforcement_of(const struct accel *a)
{
	const struct ledger_nic *record = accel_record(a);
	enum nic_enforcer enforcer;
	const char *reason;

	if (a->cut)
		return ENFORCEMENT_CUT;
	if (record && record->representor)
		return accel_state(a) == ACCEL_ON && accel_is_offloaded(a) ? ENFORCEMENT_HARDWARE
									   : ENFORCEMENT_SWITCH;
	if (!record || !record->physical || !accel_row(accel_state(a))->in_guest)
		return ENFORCEMENT_SWITCH;
	if (accel_is_exposed(a) || !accel_is_permitted(a, &enforcer, &reason))
		return ENFORCEMENT_NONE;
	return enforcer == NIC_ENFORCER_GUEST ? ENFORCEMENT_GUEST : ENFORCEMENT_HARDWARE;
}

static enum nic_path path_of(const struct accel *a)
{
	if (accel_state(a) != ACCEL_ON)
		return PATH_SYNTHETIC;
	return accel_is_bypass(accel_record(a)) ? PATH_VF : PATH_EMULATED;
}

/* A machine on its way is not led by its own steps, and runs on one of its hosts all the same (migration.h). */
static bool machine_is_here(const struct accel *a, const struct vm_machine *machine)
{
	const struct goal_vm *vm = agent_goal_vm(a->agent, accel_goal(a)->vm);

	return machine &&
	       (vm_machine_is_up(machine) || (vm && vm->migration.uid && vm_machine_is_running(machine)));
}

struct report_nic *accel_report(const struct accel *a)
{
	const struct goal_nic *goal = accel_goal(a);

	if (!goal)
		return NULL;
	struct report_nic *report = shape_new(&report_nic_shape);
	const struct vm_machine *machine = g_hash_table_lookup(a->agent->machines, goal->vm);
	const struct guest_identity *guest = guest_identities_find(a->agent->guest_identities, a->uid);
	report->uid = g_strdup(a->uid);
	report->enforcement = enforcement_of(a);
	report->reason = g_strdup(g_hash_table_lookup(a->agent->left_out, a->uid));
	report->well = probes_well(a->agent->probes, a->uid);
	report->driver = g_strdup(guest ? guest->driver : NULL);
	if (!report->reason)
		report->reason = migration_whereabouts(a->agent, goal->vm);
	if (report->reason || !machine_is_here(a, machine))
		return report;
	report->path = path_of(a);
	report->reason = explain(a);
	return report;
}

/* Owned by the caller. */
static char *explain_exposure(const struct accel *a)
{
	const struct ledger_nic *record = accel_record(a);
	const struct goal_nic *goal = accel_goal(a);

	if (accel_state(a) == ACCEL_CUT && a->fault)
		return g_strdup_printf("its guest does not let go of function %s, which cannot be cut off "
				       "either (%s); stop the virtual machine",
			record->function, a->fault->message);
	if (accel_state(a) == ACCEL_UNPLUGGING)
		return g_strdup_printf("its guest does not let go of function %s; 'sluice vf revoke --force "
				       "%s' on its host cuts it off",
			record->function, goal ? goal->name : a->uid);
	return g_strdup_printf("its guest has function %s still, by other rules", record->function);
}

struct report_exposure *accel_report_exposure(const struct accel *a)
{
	if (!accel_is_exposed(a))
		return NULL;
	struct report_exposure *report = shape_new(&report_exposure_shape);
	report->nic = g_strdup(a->uid);
	report->vm = g_strdup(accel_record(a)->vm);
	report->reason = explain_exposure(a);
	return report;
}

struct report_function *accel_report_function(const struct accel *a)
{
	const struct ledger_nic *record = accel_record(a);
	const struct nic_provider *provider = a->agent->provider;

	if (!record || !record->function)
		return NULL;
	struct report_function *report = shape_new(&report_function_shape);
	report->name = g_strdup(record->function);
	report->provider = g_strdup(provider ? provider->caps->claim : "none");
	report->nic = g_strdup(a->uid);
	report->vm = g_strdup(record->vm);
	report->state = g_strdup(word_of(a, record));
	return report;
}

json_t *accel_describe(const struct accel *a)
{
	const struct goal_nic *goal = accel_goal(a);
	const struct ledger_nic *record = accel_record(a);
	const struct nic_provider *provider = a->agent->provider;
	const char *vm_uid = goal ? goal->vm : record ? record->vm : NULL;
	const struct goal_vm *vm = vm_uid ? agent_goal_vm(a->agent, vm_uid) : NULL;
	const struct guest_identity *guest = guest_identities_find(a->agent->guest_identities, a->uid);
	g_autofree char *explanation = explain(a),
			*reason = guest ? guest_os_explain(&guest->os, explanation) : g_strdup(explanation);

	if (!record && !(goal && goal->accelerated))
		return NULL;
	json_t *json = json_pack("{s:s, s:s?, s:s?, s:s?, s:s, s:s, s:s, s:b, s:I, s:I, s:s?}", "nic", a->uid,
		"nic_name", goal ? goal->name : NULL, "vm", vm ? vm->name : NULL, "function",
		record ? record->function : NULL, "provider", provider ? provider->caps->claim : "none",
		"state", word_of(a, record), "active",
		record ? accel_row(accel_state(a))->active : "synthetic", "revoked",
		record && record->revoked, "changes", (json_int_t)(record ? record->changes : 0), "dampings",
		(json_int_t)(record ? record->dampings : 0), "reason", reason);
	if (is_damped(a)) {
		g_autofree char *until = damped_until(a, "%Y-%m-%dT%H:%M:%SZ");
		json_object_set_new(json, "damped_until", json_string(until));
	}
	if (accel_has_notice(a))
		json_object_set_new(json, "notice_s", json_integer(record->revoke_due_s - notice_now_s()));
	json_object_update_new(json, health_describe_finding(a->agent->health, a->uid));
	const struct switch_nic *port = switch_link_nic(a->agent->link, a->uid);
	if (record && record->representor && port)
		json_object_set_new(json, "offloaded_flows", json_integer(port->offloaded_flows));
	const struct nic_device *device = record ? health_device(a->agent->health, record->function) : NULL;
	if (device)
		json_object_update_new(json, health_describe(device));
	return json;
}
