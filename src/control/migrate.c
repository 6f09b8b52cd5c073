/* Moving a VM to another host: one that runs, while it runs; the disk of one that is deallocated.
 *
 * How it works. The migration stands with its VM in the store and has the uid of its operation. From its first transaction to its
 * last both hosts hold a place for the VM, and both goals have it. Where the machine is, only the hosts know: the
 * controller asks, and moves the VM's host in the transaction that ends the operation.
 *
 *     phase        goals say            left when
 *     PREPARING    target: prepare      the target is ready → GOING; it cannot be, or is not in READY_US → stays
 *     GOING        source: go           the source has moved it → moves; it could not → stays
 *     CANCELLING   source: cancel       likewise; it is a request, which may come too late
 *
 * A source that was told to go has the last word: it alone knows what its VM manager made of the migration (vm/vm.h). When it is
 * silent, the target is believed that the machine runs there. While the one is silent and the other does not have it,
 * nothing is decided: the operation goes on until the source is back, since a VM that were given up might run.
 *
 * A deallocated one goes through the same phases, but has no NICs on either host, and its target never says that it has moved:
 * whole or not, its copy of the disk is nothing before the source has let its own go.
 *
 * Until it has moved, packets of other hosts go to the source: its mappings follow the VM's host (places.c). The source
 * knows it first, and where the target's switch is: it need not wait for its own.
 */
#include "base/failpoint.h"
#include "base/fault.h"
#include "control/control_priv.h"

#define READY_US (120 * G_USEC_PER_SEC)

/* ---- beginning ---- */

struct beginning {
	struct control *control;
	const char *uid;
	const struct control_migration *wish;
	const struct control_request *request;
	struct control_result *ret;
};

static char *name_of(struct control *control, const char *host)
{
	_cleanup_(model_free) struct host *object = control_get(control, KIND_HOST, host, NULL);

	return g_strdup(object ? object->meta.name : host);
}

/* uid of the host that is asked for (NULL: any will do). */
static bool find_wanted(
	struct change *change, const struct vm *vm, const char *name, const char **ret, GError **error)
{
	struct host *host = NULL;

	*ret = NULL;
	if (name && !change_find(change, KIND_HOST, NULL, name, (void **)&host, error))
		return false;
	if (name && !host)
		return fault_set(error, FAULT_INVALID_REFERENCE,
			"virtual machine %s cannot be migrated to %s: there is no such host", vm->meta.name,
			name);
	if (host && g_str_equal(host->meta.uid, vm->status.host))
		return fault_set(error, FAULT_NOT_ALLOWED, "virtual machine %s is on host %s already",
			vm->meta.name, name);
	*ret = host ? host->meta.uid : NULL;
	return true;
}

static bool check_movable(const struct vm *vm, GError **error)
{
	bool runs = vm->spec.power == POWER_RUNNING && vm->status.power == POWER_STATE_RUNNING,
	     off = vm->spec.power == POWER_DEALLOCATED && vm->status.power == POWER_STATE_DEALLOCATED;

	if (vm->status.host)
		return runs || off ||
		       fault_set(error, FAULT_NOT_ALLOWED,
			       "virtual machine %s is neither running nor deallocated, and cannot be "
			       "migrated "
			       "so; start it, or deallocate it, first",
			       vm->meta.name);
	return fault_set(error, FAULT_NOT_ALLOWED,
		"virtual machine %s has no disk on any host yet; it is placed when it is started",
		vm->meta.name);
}

static char *find_target(
	const struct beginning *b, struct change *change, const struct vm *vm, GError **error)
{
	const struct size *size = control_size(b->control, vm->spec.size);
	const char *wanted;

	if (!size) {
		fault_set(error, FAULT_INVALID,
			"virtual machine %s has size %s, which is no longer in the catalog; add it there",
			vm->meta.name, vm->spec.size);
		return NULL;
	}
	return find_wanted(change, vm, b->wish->host, &wanted, error)
		       ? schedule_target(b->control, vm, size, wanted, error)
		       : NULL;
}

static bool begin(struct change *change, void *data, GError **error)
{
	const struct beginning *b = data;
	struct vm *vm = change_get(change, KIND_VM, b->uid, error);

	if (!vm || !check_not_busy(vm, error) || !vm_check_there(vm, error) || !check_movable(vm, error))
		return false;
	g_autofree char *target = find_target(b, change, vm, error);
	if (!target || !vm_enter_host(b->control, change, target, vm->meta.uid, error))
		return false;
	_cleanup_(model_free) struct operation *operation =
		operation_new(VERB_MIGRATE, vm, b->request, false);
	vm->status.migration = (struct vm_migration_status){
		.uid = g_strdup(operation->meta.uid),
		.target = g_steal_pointer(&target),
		.notice_s = b->wish->notice_s,
	};
	change_put(change, vm);
	change_put(change, operation);
	control_result_clear(b->ret);
	b->ret->object = model_copy(vm);
	b->ret->operation = g_steal_pointer(&operation);
	return true;
}

bool control_migrate(struct control *control, const char *uid, const struct control_migration *wish,
	const struct control_request *request, struct control_result *ret, GError **error)
{
	struct beginning beginning = {control, uid, wish, request, ret};
	int64_t revision;

	if (!change_run(control->store, begin, &beginning, &revision, error)) {
		control_result_clear(ret);
		return false;
	}
	failpoint(FAILPOINT_CONTROL_ACCEPTED);
	model_meta(ret->object)->revision = ret->operation->meta.revision = revision;
	return true;
}

bool migrate_check_still(const struct vm *vm, GError **error)
{
	return !vm->status.migration.uid || fault_set(error, FAULT_NOT_ALLOWED,
						    "Virtual machine %s is being migrated to another host; "
						    "wait until that is over, or cancel "
						    "it: 'sluice vm migrate %s --cancel'.",
						    vm->meta.name, vm->meta.name);
}

/* ---- what hosts are told ---- */

bool migrate_fill(struct control *control, const struct host *host, const struct vm *vm,
	struct goal_migration *ret, GError **error)
{
	const struct vm_migration_status *migration = &vm->status.migration;
	bool source = g_strcmp0(vm->status.host, host->meta.uid) == 0;

	if (!migration->uid)
		return true;
	_cleanup_(model_free) struct host *peer =
		control_get(control, KIND_HOST, source ? migration->target : vm->status.host, error);
	if (!peer)
		return false;
	*ret = (struct goal_migration){
		.uid = g_strdup(migration->uid),
		.role = source ? MIGRATION_SOURCE : MIGRATION_TARGET,
		.peer = g_strdup(peer->meta.name),
		.address = g_strdup(peer->status.tunnel),
		.vtep = g_strdup(peer->status.vtep),
		.notice_s = source ? migration->notice_s : 0,
		.go = source && migration->phase >= MIGRATION_GOING,
		.cancel = source && migration->phase == MIGRATION_CANCELLING,
	};
	return true;
}

/* ---- ending ---- */

/* One transaction on a migration. */
struct turn {
	struct control *control;
	const char *vm;
	const char *migration; /* uid: the turn is of this one, or of none */
	const char *principal; /* cancel: who asks */
	const GError *failure; /* stay: why */
};

/* The VM while it is on its way by this migration; NULL with or without *error. */
static struct vm *take(struct change *change, const struct turn *turn, GError **error)
{
	struct vm *vm = change_get(change, KIND_VM, turn->vm, error);

	return vm && g_strcmp0(vm->status.migration.uid, turn->migration) == 0 ? vm : NULL;
}

static void forget(struct vm_migration_status *migration)
{
	g_free(migration->uid);
	g_free(migration->target);
	g_free(migration->message);
	*migration = (struct vm_migration_status){};
}

/* Takes the place at the host away, and ends the operation. */
static bool end(struct change *change, const struct turn *turn, struct vm *vm, const char *left,
	const GError *failure, GError **error)
{
	struct operation *operation = change_get(change, KIND_OPERATION, turn->migration, error);

	if (!operation || !vm_leave_host(turn->control, change, left, vm->meta.uid, error))
		return false;
	forget(&vm->status.migration);
	change_put(change, vm);
	operation_finish(change, operation, failure);
	return true;
}

static bool stay(struct change *change, void *data, GError **error)
{
	const struct turn *turn = data;
	struct vm *vm = take(change, turn, error);
	g_autofree char *left = vm ? g_strdup(vm->status.migration.target) : NULL;

	return vm ? end(change, turn, vm, left, turn->failure, error) : !*error;
}

static bool move(struct change *change, void *data, GError **error)
{
	const struct turn *turn = data;
	struct vm *vm = take(change, turn, error);

	if (!vm)
		return !*error;
	g_autofree char *left = g_steal_pointer(&vm->status.host);
	vm->status.host = g_strdup(vm->status.migration.target);
	return end(change, turn, vm, left, NULL, error);
}

static bool go(struct change *change, void *data, GError **error)
{
	struct vm *vm = take(change, data, error);

	if (!vm || vm->status.migration.phase != MIGRATION_PREPARING)
		return !*error;
	vm->status.migration.phase = MIGRATION_GOING;
	change_put(change, vm);
	return true;
}

bool migrate_lose(
	struct control *control, struct change *change, struct vm *vm, const char *host, GError **error)
{
	const struct vm_migration_status *migration = &vm->status.migration;
	bool source = g_strcmp0(vm->status.host, host) == 0;
	g_autofree char *other = migration->uid ? name_of(control, migration->target) : NULL;
	g_autoptr(GError) failure = NULL;

	if (!migration->uid)
		return true;
	if (!source)
		return fault_set(error, FAULT_NOT_ALLOWED,
			"virtual machine %s is on its way there; wait until that has failed, or cancel it: "
			"'sluice vm migrate %s --cancel'",
			vm->meta.name, vm->meta.name);
	/* One that has it says so, and it moves without its source. */
	if (migration->phase != MIGRATION_PREPARING && hosts_is_silent(control, migration->target))
		return fault_set(error, FAULT_NOT_ALLOWED,
			"virtual machine %s is on its way from there to host %s, which does not report "
			"either: "
			"it may be there; start sluice-agent there, or remove that host first",
			vm->meta.name, other);
	g_autofree char *left = g_strdup(migration->target), *uid = g_strdup(migration->uid);
	const struct turn turn = {.control = control, .migration = uid};
	fault_set(&failure, FAULT_UNAVAILABLE,
		"virtual machine %s was not migrated: its host was given up before it was on host %s",
		vm->meta.name, other);
	return end(change, &turn, vm, left, failure, error);
}

/* ---- cancelling ---- */

static bool cancel(struct change *change, void *data, GError **error)
{
	const struct turn *turn = data;
	struct vm *vm = change_get(change, KIND_VM, turn->vm, error);
	g_autoptr(GError) failure = NULL;

	if (!vm)
		return false;
	struct vm_migration_status *migration = &vm->status.migration;
	if (!migration->uid)
		return fault_set(
			error, FAULT_NOT_ALLOWED, "virtual machine %s is not being migrated", vm->meta.name);
	if (migration->phase == MIGRATION_CANCELLING)
		return true;
	g_autofree char *message = g_strdup_printf("%s has cancelled it", turn->principal);
	if (migration->phase == MIGRATION_PREPARING) {
		g_autofree char *left = g_strdup(migration->target), *uid = g_strdup(migration->uid);
		const struct turn last = {.control = turn->control, .migration = uid};
		fault_set(&failure, FAULT_CANCELLED, "virtual machine %s is not migrated: %s", vm->meta.name,
			message);
		return end(change, &last, vm, left, failure, error);
	}
	migration->phase = MIGRATION_CANCELLING;
	migration->message = g_steal_pointer(&message);
	change_put(change, vm);
	return true;
}

bool control_migrate_cancel(
	struct control *control, const char *uid, const struct control_request *request, GError **error)
{
	struct turn turn = {.control = control,
		.vm = uid,
		.principal = request->principal ? request->principal : "somebody"};

	return change_run(control->store, cancel, &turn, NULL, error);
}

/* ---- steps ---- */

/* What a step looks at. */
struct view {
	struct control *control;
	const struct operation *operation;
	const struct vm *vm;
	const struct report_vm *source, *target; /* what they say of the newest goal; NULL: nothing yet */
};

static bool says(const struct view *view, const struct report_vm *report, enum migration_state state)
{
	return report && g_strcmp0(report->migration.uid, view->operation->meta.uid) == 0 &&
	       report->migration.state == (int)state;
}

/* 0: it is decided or not, what follows is another step's. -1 with *error. */
static int turn(const struct view *view, change_fn fn, struct turn turn, enum failpoint point, GError **error)
{
	turn.control = view->control;
	turn.vm = view->vm->meta.uid;
	turn.migration = view->operation->meta.uid;
	if (!change_run(view->control->store, fn, &turn, NULL, error))
		return -1;
	failpoint(point);
	return 0;
}

/* Takes the failure. */
static int step_stay(const struct view *view, GError *failure, GError **error)
{
	g_autoptr(GError) own = failure;

	return turn(view, stay, (struct turn){.failure = own}, FAILPOINT_CONTROL_STAYED, error);
}

static int step_move(const struct view *view, GError **error)
{
	return turn(view, move, (struct turn){}, FAILPOINT_CONTROL_MIGRATED, error);
}

/* Why a VM that stays where it is was not moved. */
static GError *why_stays(const struct view *view, const struct report_vm *report, const char *otherwise)
{
	const struct vm_migration_status *migration = &view->vm->status.migration;
	g_autofree char *host = name_of(view->control, view->vm->status.host);
	const char *why = migration->message                    ? migration->message
			  : report && report->migration.message ? report->migration.message
								: otherwise;
	GError *failure = NULL;

	fault_set(&failure, migration->message ? FAULT_CANCELLED : FAULT_UNAVAILABLE,
		"virtual machine %s was not migrated, it is on host %s as before: %s", view->vm->meta.name,
		host, why);
	return failure;
}

/* Why it will not begin; NULL: it may yet. Owned by the caller. */
static char *why_not_begun(const struct view *view)
{
	const struct vm_migration_status *migration = &view->vm->status.migration;
	int64_t waited = g_get_real_time() - view->operation->meta.created_us;
	g_autofree char *source = name_of(view->control, view->vm->status.host),
			*target = name_of(view->control, migration->target);

	if (hosts_is_silent(view->control, view->vm->status.host))
		return g_strdup_printf("the agent of host %s does not report", source);
	if (hosts_is_silent(view->control, migration->target))
		return g_strdup_printf("the agent of host %s does not report", target);
	if (view->target && view->target->fault)
		return g_strdup_printf("host %s cannot take it: %s", target,
			view->target->message ? view->target->message : view->target->fault);
	if (waited < READY_US)
		return NULL;
	const char *last = view->target ? view->target->migration.message : NULL;
	return g_strdup_printf("host %s was not ready for it within %d s%s%s", target,
		(int)(READY_US / G_USEC_PER_SEC), last ? ": " : "", last ? last : "");
}

static int step_preparing(const struct view *view, GError **error)
{
	if (says(view, view->source, MIGRATION_FAILED))
		return step_stay(view, why_stays(view, view->source, "it does not run"), error);
	if (says(view, view->target, MIGRATION_READY))
		return turn(view, go, (struct turn){}, FAILPOINT_CONTROL_MIGRATING, error);
	g_autofree char *why = why_not_begun(view);
	return why ? step_stay(view, why_stays(view, NULL, why), error) : 0;
}

static int step_going(const struct view *view, GError **error)
{
	bool silent = hosts_is_silent(view->control, view->vm->status.host);

	if (says(view, view->source, MIGRATION_MOVED) ||
		(silent && says(view, view->target, MIGRATION_MOVED)))
		return step_move(view, error);
	if (says(view, view->source, MIGRATION_FAILED))
		return step_stay(view, why_stays(view, view->source, "the host gives no reason"), error);
	return 0;
}

int migrate_reconcile(
	struct control *control, const struct operation *operation, const struct vm *vm, GError **error)
{
	const struct vm_migration_status *migration = &vm->status.migration;
	int64_t revision = operation->meta.revision;

	if (g_strcmp0(migration->uid, operation->meta.uid) != 0)
		return 0; /* the VM was read after the transaction that has ended the operation */
	const struct view view = {
		.control = control,
		.operation = operation,
		.vm = vm,
		.source = hosts_vm_report(control, vm->status.host, vm, revision),
		.target = hosts_vm_report(control, migration->target, vm, revision),
	};
	switch ((enum migration_phase)migration->phase) {
	case MIGRATION_PREPARING: return step_preparing(&view, error);
	case MIGRATION_GOING:
	case MIGRATION_CANCELLING: return step_going(&view, error);
	}
	return 0;
}

/* ---- what operators see ---- */

void control_migration_progress(struct control *control, const struct vm *vm, struct control_progress *ret)
{
	const struct vm_migration_status *migration = &vm->status.migration;
	bool preparing = migration->phase == MIGRATION_PREPARING;
	const char *host = preparing ? migration->target : vm->status.host;
	const struct report_vm *report = hosts_vm_report(control, host, vm, 0);

	*ret = (struct control_progress){.phase = migration_phase_words[migration->phase]};
	if (report && g_strcmp0(report->migration.uid, migration->uid) == 0) {
		ret->percent = report->migration.percent;
		ret->message = report->migration.message;
	}
	if (hosts_is_silent(control, host))
		ret->message =
			preparing ? "the target's agent does not report"
				  : "the source's agent does not report; only it knows where the machine "
				    "is, so this goes on when it is back";
}
