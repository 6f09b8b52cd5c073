/* Driving operations on scale sets.
 *
 * How it works. Each look at an operation compares the set with its instances and begins what is missing: an instance is
 * made, upgraded, told or removed in a transaction of its own, which leaves an operation on the instance that
 * vm_reconcile() drives, and its uid of the set's operation that has begun it. So the next look, in this process or
 * another, knows what is begun, what is over and what has failed, and nothing is begun twice. A look does some steps only,
 * so that what others ask for is not held up by a set of a thousand; those that were done bring about the next look. What is
 * refused counts as no step: else instances that refuse would keep the rest from its turn.
 *
 * | operation | what each instance of it is asked for                                                |
 * |-----------|--------------------------------------------------------------------------------------|
 * | put       | that there are as many as capacity says; the model, when the upgrade policy says so  |
 * | upgrade   | the model                                                                            |
 * | start     | with an upgrade policy other than manual the model, all first; then to run           |
 * | powerOff, deallocate, restart, reimage | that                                                    |
 * | roll      | the model, batch after batch                                                         |
 * | remove    | to go; capacity has become less already                                              |
 * | delete    | to go; then the set goes                                                             |
 *
 * The operation is over when nothing is under way any more. It fails when anything of it has failed, with the first
 * reasons; the rest of it is done none the less, and the same command can be repeated.
 */
#include "control/kinds/scale_set_priv.h"

#include "base/failpoint.h"

#include <string.h>

#define REASONS_MAX 3
#define STEPS_MAX   16 /* of a look */

/* ---- what became of instances ---- */

static void fail_instance(struct drive *drive, const char *name, enum fault fault, const char *message)
{
	if (drive->failed == 0)
		drive->fault = fault;
	if (drive->failed++ < REASONS_MAX)
		g_string_append_printf(drive->reasons, " %s: %s", name, message);
}

bool drive_may_step(struct drive *drive)
{
	drive->waiting |= drive->steps == STEPS_MAX;
	return drive->steps < STEPS_MAX;
}

void drive_note(struct drive *drive, const char *name, const GError *failure)
{
	enum fault fault = fault_code(failure);

	if (fault == FAULT_BUSY || fault == FAULT_CONFLICT || fault == FAULT_UNAVAILABLE)
		drive->waiting = true;
	else
		fail_instance(drive, name, fault, failure->message);
}

bool drive_is_settled(struct drive *drive, const struct vm *vm)
{
	const struct outcome *outcome = &vm->status.outcome;

	if (operation_running(outcome)) {
		drive->waiting = true;
		return true;
	}
	if (!drive_has_touched(drive, vm))
		return false;
	if (outcome->state == PROVISIONING_FAILED)
		fail_instance(drive, vm->meta.name, fault_from_name(outcome->fault), outcome->message);
	return true;
}

static bool is_named(const struct drive *drive, const struct vm *vm)
{
	const GPtrArray *uids = drive->operation->spec.instances;

	return list_length(uids) == 0 ||
	       g_ptr_array_find_with_equal_func((GPtrArray *)uids, vm->meta.uid, g_str_equal, NULL);
}

/* ---- the model ---- */

void drive_upgrade(struct drive *drive, const struct vm *vm)
{
	g_autoptr(GError) failure = NULL;

	if (!drive_may_step(drive))
		return;
	if (!instance_upgrade(drive->control, drive->operation, vm->meta.uid, &failure)) {
		drive_note(drive, vm->meta.name, failure);
		return;
	}
	drive->waiting = true;
	drive->steps++;
}

/* Its first operation has failed before any host had it: whoever asks for the set again asks for it, too. */
static bool is_unmade(const struct vm *vm)
{
	return vm->status.outcome.state == PROVISIONING_FAILED && !vm->status.host &&
	       vm->spec.power == POWER_RUNNING;
}

static void upgrade_named(struct drive *drive)
{
	for (guint i = 0; i < drive->instances->len; i++) {
		const struct vm *vm = drive->instances->pdata[i];
		if (is_named(drive, vm) && !drive_is_settled(drive, vm) &&
			!control_instance_is_current(drive->set, vm))
			drive_upgrade(drive, vm);
	}
}

/* ---- capacity ---- */

static void remove_instance(struct drive *drive, const struct vm *vm)
{
	g_autoptr(GError) failure = NULL;

	drive->waiting = true;
	if (vm->status.outcome.state == PROVISIONING_DELETING || !drive_may_step(drive))
		return;
	/* One that is on its way to another host is waited for. */
	if (!instance_act(drive->control, drive->operation, vm->meta.uid, VERB_DELETE, &failure))
		return;
	drive->steps++;
	failpoint(FAILPOINT_CONTROL_INSTANCE_TOLD);
}

static int64_t count_alive(const struct drive *drive)
{
	int64_t alive = 0;

	for (guint i = 0; i < drive->instances->len; i++) {
		const struct vm *vm = drive->instances->pdata[i];
		alive += vm->status.outcome.state != PROVISIONING_DELETING;
	}
	return alive;
}

static void make_missing(struct drive *drive, int64_t alive)
{
	int64_t revision = drive->set->meta.revision;

	for (; alive < drive->set->spec.capacity && drive_may_step(drive); alive++) {
		g_autoptr(GError) failure = NULL;
		if (!instance_make(drive->control, drive->operation, &revision, &failure)) {
			drive_note(drive, drive->set->meta.name, failure);
			return;
		}
		drive->waiting = true;
		drive->steps++;
	}
}

/* By their numbers from one end. */
static void remove_surplus(struct drive *drive, int64_t alive)
{
	guint n = drive->instances->len;
	bool oldest = drive->set->spec.scale_in == SCALE_IN_OLDEST;

	for (guint i = 0; i < n && alive > drive->set->spec.capacity; i++) {
		const struct vm *vm = drive->instances->pdata[oldest ? i : n - 1 - i];
		alive -= vm->status.outcome.state != PROVISIONING_DELETING;
		remove_instance(drive, vm);
	}
}

/* At once, and what failed when it was made. */
static void upgrade_by_policy(struct drive *drive)
{
	for (guint i = 0; i < drive->instances->len; i++) {
		const struct vm *vm = drive->instances->pdata[i];
		bool outdated = drive->set->spec.upgrade == UPGRADE_AUTOMATIC &&
				!control_instance_is_current(drive->set, vm);
		if (!drive_is_settled(drive, vm) && (outdated || is_unmade(vm)))
			drive_upgrade(drive, vm);
	}
}

static int put_set(struct drive *drive, GError **error)
{
	int64_t alive = count_alive(drive);
	bool rolling = scale_set_is_rolling(drive);

	remove_surplus(drive, alive);
	if (!rolling)
		upgrade_by_policy(drive);
	make_missing(drive, alive);
	/* A rolling upgrade begins when all is as it shall be. */
	if (!rolling && (drive->set->spec.upgrade != UPGRADE_ROLLING || drive->waiting || drive->failed))
		return 1;
	return scale_set_roll(drive, error);
}

/* ---- actions ---- */

/* It is not as the verb wants it yet. Instances that are not named are only asked for what they can do. */
static bool is_wanted(const struct drive *drive, const struct vm *vm)
{
	bool named = list_length(drive->operation->spec.instances) > 0;

	switch ((enum verb)drive->operation->spec.verb) {
	case VERB_START: return vm->spec.power != POWER_RUNNING || vm->status.power != POWER_STATE_RUNNING;
	case VERB_POWER_OFF: return named || vm->spec.power != POWER_DEALLOCATED;
	case VERB_DEALLOCATE:
		return vm->spec.power != POWER_DEALLOCATED || vm->status.power != POWER_STATE_DEALLOCATED;
	case VERB_RESTART: return named || vm->spec.power == POWER_RUNNING;
	case VERB_REIMAGE: return true;
	default: return false;
	}
}

static void act(struct drive *drive)
{
	enum verb verb = (enum verb)drive->operation->spec.verb;

	for (guint i = 0; i < drive->instances->len; i++) {
		const struct vm *vm = drive->instances->pdata[i];
		g_autoptr(GError) failure = NULL;
		/* What a start has upgraded is still to be started. */
		bool upgraded = verb == VERB_START && vm->spec.power != POWER_RUNNING &&
				!operation_running(&vm->status.outcome);
		if (!is_named(drive, vm) || (!upgraded && drive_is_settled(drive, vm)) ||
			!is_wanted(drive, vm) || !drive_may_step(drive))
			continue;
		if (!instance_act(drive->control, drive->operation, vm->meta.uid, verb, &failure)) {
			drive_note(drive, vm->meta.name, failure);
			continue;
		}
		drive->waiting = true;
		drive->steps++;
		failpoint(FAILPOINT_CONTROL_INSTANCE_TOLD);
	}
}

/* Those that are off take the model, as far as they can. */
static void refresh(struct drive *drive)
{
	for (guint i = 0; i < drive->instances->len; i++) {
		const struct vm *vm = drive->instances->pdata[i];
		g_autoptr(GError) failure = NULL;
		if (operation_running(&vm->status.outcome) || !vm_is_off(vm) ||
			control_instance_is_current(drive->set, vm) || !drive_may_step(drive))
			continue;
		if (instance_upgrade(drive->control, drive->operation, vm->meta.uid, &failure)) {
			drive->waiting = true;
			drive->steps++;
		}
	}
}

/* One is on its way off, or takes the model while it is. */
static bool is_settling(const struct drive *drive)
{
	for (guint i = 0; i < drive->instances->len; i++) {
		const struct vm *vm = drive->instances->pdata[i];
		if (operation_running(&vm->status.outcome) && vm->spec.power != POWER_RUNNING)
			return true;
	}
	return false;
}

/* What changes only while all are off is taken by all before the first of them runs, or would have to wait for the next
 * time. */
static void start(struct drive *drive)
{
	if (drive->set->spec.upgrade != UPGRADE_MANUAL) {
		refresh(drive);
		drive->waiting |= is_settling(drive);
	}
	if (!drive->waiting)
		act(drive);
}

static void remove_named(struct drive *drive, bool all)
{
	for (guint i = 0; i < drive->instances->len; i++)
		if (all || is_named(drive, drive->instances->pdata[i]))
			remove_instance(drive, drive->instances->pdata[i]);
}

/* ---- the end of a set ---- */

static bool dissolve(struct change *change, void *data, GError **error)
{
	const struct scale_set *set = change_get(change, KIND_SCALE_SET, data, error);

	if (!set)
		return false;
	scale_set_stage_refs(change, set, false);
	change_delete(change, set);
	return true;
}

static int delete_set(struct drive *drive, GError **error)
{
	remove_named(drive, true);
	if (drive->instances->len > 0)
		return 0;
	if (!change_run(drive->control->store, dissolve, drive->set->meta.uid, NULL, error))
		return -1;
	failpoint(FAILPOINT_CONTROL_SET_DISSOLVED);
	return 1;
}

/* ---- one look ---- */

static int look(struct drive *drive, GError **error)
{
	int done = 1;

	switch ((enum verb)drive->operation->spec.verb) {
	case VERB_PUT: done = put_set(drive, error); break;
	case VERB_DELETE: return delete_set(drive, error);
	case VERB_UPGRADE: upgrade_named(drive); break;
	case VERB_ROLL: done = scale_set_roll(drive, error); break;
	case VERB_REMOVE: remove_named(drive, false); break;
	case VERB_START: start(drive); break;
	default: act(drive); break;
	}
	if (done < 1 || drive->waiting)
		return MIN(done, 0);
	if (drive->failed == 0)
		return 1;
	fault_set(error, drive->fault, "%u of %u instances of scale set %s failed.%s%s", drive->failed,
		drive->instances->len, drive->set->meta.name, drive->reasons->str,
		drive->failed > REASONS_MAX ? " ..." : "");
	return -1;
}

int scale_set_reconcile(struct control *control, const struct operation *operation, GError **error)
{
	g_autoptr(GError) failure = NULL;
	_cleanup_(model_free) struct scale_set *set =
		control_get(control, KIND_SCALE_SET, operation->spec.target, &failure);
	bool deleting = operation->spec.verb == VERB_DELETE;

	if (!set) {
		if (deleting && g_error_matches(failure, FAULT, FAULT_NOT_FOUND))
			return 1;
		g_propagate_error(error, g_steal_pointer(&failure));
		return -1;
	}
	if (!deleting && set->status.outcome.state == PROVISIONING_DELETING) {
		fault_set(error, FAULT_NOT_FOUND, "scale set %s was deleted meanwhile", set->meta.name);
		return -1;
	}
	g_autoptr(GPtrArray) instances = control_scale_set_instances(control, set, error);
	g_autoptr(GString) reasons = g_string_new(NULL);
	struct drive drive = {.control = control,
		.operation = operation,
		.set = set,
		.instances = instances,
		.reasons = reasons};
	return instances ? look(&drive, error) : -1;
}
