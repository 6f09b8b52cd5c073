/* Migrations in the control plane: who is told what, when the VM's host moves, and what is refused meanwhile. */
#include "base/fault.h"
#include "control/fixture.h"

#include <string.h>

static const struct control_request request = {.principal = "ada"};

/* Two hosts, and a VM that runs on the first. */
struct pair {
	struct fixture f;
	struct vm *vm; /* Owned; as it was put */
	struct operation *operation; /* Owned; of the migration that begin() began */
};

static void pair_open(struct pair *p)
{
	g_autoptr(GError) error = NULL;

	fixture_open(&p->f);
	_cleanup_(model_free) struct nic *nic = fixture_put(&p->f, fixture_nic(&p->f, "nic", false), &error);
	p->vm = fixture_put(&p->f, fixture_vm(&p->f, "vm", "Standard_B1s", nic), &error);
	g_assert_no_error(error);
	fixture_add_host(&p->f);
	p->f.report->vtep = g_strdup("172.16.0.1");
	p->f.second->vtep = g_strdup("172.16.0.2");
	fixture_obey(&p->f);
}

static void pair_close(struct pair *p)
{
	model_free(p->vm);
	if (p->operation)
		model_free(p->operation);
	fixture_close(&p->f);
}
CLEANUP_CLEAR_FUNC(struct pair, pair_close)

#define OPEN_PAIR(name)                                                                                      \
	_cleanup_(pair_close) struct pair name = {};                                                         \
	pair_open(&name)

static bool migrate(struct pair *p, const char *host, GError **error)
{
	const struct control_migration wish = {.host = host, .notice_s = 30};
	_cleanup_(control_result_clear) struct control_result result = {};

	if (!control_migrate(p->f.control, p->vm->meta.uid, &wish, &request, &result, error))
		return false;
	if (p->operation)
		model_free(p->operation);
	p->operation = g_steal_pointer(&result.operation);
	return true;
}

static void begin(struct pair *p)
{
	g_autoptr(GError) error = NULL;

	migrate(p, NULL, &error);
	g_assert_no_error(error);
}

static void cancel(struct pair *p)
{
	g_autoptr(GError) error = NULL;

	control_migrate_cancel(p->f.control, p->vm->meta.uid, &request, &error);
	g_assert_no_error(error);
}

static void run(void)
{
	while (g_main_context_iteration(NULL, FALSE))
		;
}

static struct goal *goal_of(struct pair *p, const char *host)
{
	g_autoptr(GError) error = NULL;
	struct goal *goal = control_goal(p->f.control, host, &error);

	g_assert_no_error(error);
	return goal;
}

/* What the host's goal says of the migration; NULL when it does not have the VM. Borrowed from the goal. */
static const struct goal_migration *told(const struct goal *goal)
{
	return goal->vms->len ? &((struct goal_vm *)goal->vms->pdata[0])->migration : NULL;
}

/* The host has taken its goal, and says this of its VM. */
static void say(
	struct pair *p, const char *host, enum migration_state state, const char *fault, const char *message)
{
	struct report *report = g_str_equal(host, "host-2") ? p->f.second : p->f.report;
	_cleanup_(goal_free) struct goal *goal = goal_of(p, host);
	g_autoptr(GError) error = NULL;

	fixture_obey_as(&p->f, host, report);
	struct report_vm *vm = report->vms->pdata[0];
	vm->migration.state = (int)state;
	vm->migration.message = g_strdup(message);
	vm->fault = g_strdup(fault);
	vm->message = g_strdup(fault ? message : NULL);
	g_assert_true(control_report(p->f.control, host, report, &error));
	run();
}

/* Both hosts' goals, as the source and the target have them. */
static void prepare(struct pair *p)
{
	begin(p);
	say(p, "host-1", MIGRATION_WAITING, NULL, NULL);
}

static void go(struct pair *p)
{
	prepare(p);
	say(p, "host-2", MIGRATION_READY, NULL, NULL);
}

static void assert_over(struct pair *p, const char *fault, const char *words)
{
	_cleanup_(model_free) struct operation *now =
		control_get(p->f.control, KIND_OPERATION, p->operation->meta.uid, NULL);

	g_assert_cmpint(now->status.state, ==, fault ? OPERATION_FAILED : OPERATION_SUCCEEDED);
	g_assert_cmpstr(now->status.fault, ==, fault);
	if (words && !strstr(now->status.message, words))
		g_error("'%s' is not in: %s", words, now->status.message);
}

static void assert_running(struct pair *p)
{
	_cleanup_(model_free) struct operation *now =
		control_get(p->f.control, KIND_OPERATION, p->operation->meta.uid, NULL);

	g_assert_cmpint(now->status.state, ==, OPERATION_RUNNING);
}

/* The VM is on that host alone, on its way nowhere, and nothing speaks against the next command. */
static void assert_settled(struct pair *p, const char *host)
{
	const char *other = g_str_equal(host, "host-1") ? "host-2" : "host-1";
	_cleanup_(model_free) struct vm *vm = control_get(p->f.control, KIND_VM, p->vm->meta.uid, NULL);
	_cleanup_(model_free) struct host *home = control_get(p->f.control, KIND_HOST, vm->status.host, NULL);
	_cleanup_(goal_free) struct goal *here = goal_of(p, host), *there = goal_of(p, other);
	_cleanup_(control_result_clear) struct control_result result = {};
	g_autoptr(GError) error = NULL;

	g_assert_cmpstr(home->meta.name, ==, host);
	g_assert_null(vm->status.migration.uid);
	g_assert_cmpint(vm->status.outcome.state, ==, PROVISIONING_SUCCEEDED);
	g_assert_cmpint(vm->status.power, ==, POWER_STATE_RUNNING);
	g_assert_null(told(here)->uid);
	g_assert_cmpuint(here->nics->len, ==, 1);
	g_assert_null(told(there));
	g_assert_cmpuint(there->nics->len, ==, 0);
	control_vm_action(p->f.control, vm->meta.uid, VERB_RESTART, &request, &result, &error);
	g_assert_no_error(error);
}

/* Where the other host's packets to the VM go; NULL: it does not know it. Owned by the caller. */
static char *vtep_at(struct pair *p, const char *host)
{
	_cleanup_(goal_free) struct goal *goal = goal_of(p, host);
	const struct goal_network *network = goal->networks->len ? goal->networks->pdata[0] : NULL;
	const struct goal_mapping *mapping =
		network && list_length(network->mappings) ? network->mappings->pdata[0] : NULL;

	return g_strdup(mapping ? mapping->vtep : NULL);
}

/* ---- the way ---- */

static void test_way(void)
{
	OPEN_PAIR(p);
	begin(&p);
	_cleanup_(goal_free) struct goal *source = goal_of(&p, "host-1"), *target = goal_of(&p, "host-2");
	g_assert_cmpint(told(source)->role, ==, MIGRATION_SOURCE);
	g_assert_cmpstr(told(source)->peer, ==, "host-2");
	g_assert_cmpstr(told(source)->address, ==, "192.0.2.2:8446");
	g_assert_cmpstr(told(source)->vtep, ==, "172.16.0.2");
	g_assert_cmpint(told(source)->notice_s, ==, 30);
	g_assert_false(told(source)->go);
	g_assert_cmpint(told(target)->role, ==, MIGRATION_TARGET);
	g_assert_cmpstr(told(target)->peer, ==, "host-1");
	g_assert_cmpstr(told(target)->uid, ==, told(source)->uid);
	g_assert_cmpuint(target->nics->len, ==, 1);
	g_autofree char *before = vtep_at(&p, "host-2");
	g_assert_cmpstr(before, ==, "172.16.0.1");

	say(&p, "host-1", MIGRATION_WAITING, NULL, NULL);
	say(&p, "host-2", MIGRATION_WAITING, NULL, NULL);
	_cleanup_(goal_free) struct goal *waiting = goal_of(&p, "host-1");
	g_assert_false(told(waiting)->go);
	say(&p, "host-2", MIGRATION_READY, NULL, NULL);
	_cleanup_(goal_free) struct goal *going = goal_of(&p, "host-1");
	g_assert_true(told(going)->go);
	say(&p, "host-1", MIGRATION_MOVING, NULL, NULL);
	say(&p, "host-2", MIGRATION_MOVED, NULL, NULL); /* the source has the last word */
	assert_running(&p);
	g_autofree char *meanwhile = vtep_at(&p, "host-2");
	g_assert_cmpstr(meanwhile, ==, "172.16.0.1");
	say(&p, "host-1", MIGRATION_MOVED, NULL, NULL);
	assert_over(&p, NULL, NULL);
	g_autofree char *after = vtep_at(&p, "host-2");
	g_assert_null(after);
	assert_settled(&p, "host-2");
}

static void test_restarts(void)
{
	OPEN_PAIR(p);
	begin(&p);
	fixture_restart(&p.f);
	say(&p, "host-1", MIGRATION_WAITING, NULL, NULL);
	say(&p, "host-2", MIGRATION_READY, NULL, NULL);
	fixture_restart(&p.f);
	_cleanup_(goal_free) struct goal *going = goal_of(&p, "host-1");
	g_assert_true(told(going)->go);
	g_assert_cmpstr(told(going)->address, ==, "192.0.2.2:8446");
	cancel(&p);
	fixture_restart(&p.f);
	_cleanup_(goal_free) struct goal *cancelled = goal_of(&p, "host-1");
	g_assert_true(told(cancelled)->cancel);
	say(&p, "host-1", MIGRATION_MOVED, NULL, NULL);
	assert_over(&p, NULL, NULL);
	assert_settled(&p, "host-2");
}

static void assert_progress(struct pair *p, const char *phase, const char *message)
{
	_cleanup_(model_free) struct vm *vm = control_get(p->f.control, KIND_VM, p->vm->meta.uid, NULL);
	struct control_progress progress;

	control_migration_progress(p->f.control, vm, &progress);
	g_assert_cmpstr(progress.phase, ==, phase);
	g_assert_cmpstr(progress.message, ==, message);
}

static void test_progress(void)
{
	OPEN_PAIR(p);
	prepare(&p);
	say(&p, "host-2", MIGRATION_WAITING, NULL, "waits for the switch");
	assert_progress(&p, "preparing", "waits for the switch");
	say(&p, "host-2", MIGRATION_READY, NULL, NULL);
	say(&p, "host-1", MIGRATION_MOVING, NULL, "waits for its guest");
	assert_progress(&p, "moving", "waits for its guest");
	cancel(&p);
	say(&p, "host-1", MIGRATION_MOVING, NULL, NULL);
	assert_progress(&p, "cancelling", NULL);
}

/* ---- ends on the way ---- */

static void test_target_cannot(void)
{
	OPEN_PAIR(p);
	prepare(&p);
	say(&p, "host-2", MIGRATION_WAITING, "not-found", "there is no image img on this host");
	assert_over(&p, "unavailable",
		"virtual machine vm was not migrated, it is on host host-1 as before: host host-2 cannot "
		"take it: "
		"there is no image img on this host");
	assert_settled(&p, "host-1");
}

static void test_source_cannot(void)
{
	OPEN_PAIR(p);
	go(&p);
	say(&p, "host-1", MIGRATION_FAILED, NULL, "its guest does not let its functions go");
	assert_over(&p, "unavailable", "as before: its guest does not let its functions go");
	assert_settled(&p, "host-1");
}

static void test_cancel_early(void)
{
	OPEN_PAIR(p);
	prepare(&p);
	cancel(&p);
	run();
	assert_over(&p, "cancelled", "ada has cancelled it");
	assert_settled(&p, "host-1");
}

static void test_cancel(void)
{
	OPEN_PAIR(p);
	go(&p);
	cancel(&p);
	cancel(&p);
	_cleanup_(goal_free) struct goal *source = goal_of(&p, "host-1"), *target = goal_of(&p, "host-2");
	g_assert_true(told(source)->cancel);
	g_assert_nonnull(told(target)); /* it may have been too late */
	say(&p, "host-1", MIGRATION_MOVING, NULL, NULL);
	assert_running(&p);
	say(&p, "host-1", MIGRATION_FAILED, NULL, "it was cancelled");
	assert_over(&p, "cancelled", "it is on host host-1 as before: ada has cancelled it");
	assert_settled(&p, "host-1");
}

static void test_cancel_too_late(void)
{
	OPEN_PAIR(p);
	go(&p);
	cancel(&p);
	say(&p, "host-1", MIGRATION_MOVED, NULL, NULL);
	assert_over(&p, NULL, NULL);
	assert_settled(&p, "host-2");
}

/* What a host says of an earlier migration, or of an older goal, is nothing. */
static void test_old_words(void)
{
	OPEN_PAIR(p);
	go(&p);
	say(&p, "host-1", MIGRATION_FAILED, NULL, "first");
	begin(&p);
	struct report_vm *vm = p.f.report->vms->pdata[0];
	g_assert_cmpint(vm->migration.state, ==, MIGRATION_FAILED);
	g_assert_true(control_report(p.f.control, "host-1", p.f.report, NULL));
	run();
	assert_running(&p);
	p.f.report->received = p.f.report->applied = 1 << 20; /* of a goal that there is not yet */
	g_assert_true(control_report(p.f.control, "host-1", p.f.report, NULL));
	run();
	assert_running(&p);
}

/* ---- refusals ---- */

static void assert_refused(struct pair *p, const char *host, enum fault fault, const char *words)
{
	g_autoptr(GError) error = NULL;

	g_assert_false(migrate(p, host, &error));
	g_assert_error(error, FAULT, (int)fault);
	if (!strstr(error->message, words))
		g_error("'%s' is not in: %s", words, error->message);
}

static void test_refused(void)
{
	OPEN_PAIR(p);
	assert_refused(
		&p, "host-9", FAULT_INVALID_REFERENCE, "virtual machine vm cannot be migrated to host-9");
	assert_refused(&p, "host-1", FAULT_NOT_ALLOWED, "virtual machine vm is on host host-1 already");
	p.f.second->drained = true;
	fixture_obey(&p.f);
	assert_refused(&p, NULL, FAULT_ALLOCATION,
		"no other host can hold it. Host host-2: ComputeFilter: it is drained");
	assert_refused(
		&p, "host-2", FAULT_ALLOCATION, "that host cannot hold it. Host host-2: ComputeFilter");
	p.f.second->drained = false;
	p.f.second->memory_mib = 100;
	fixture_obey(&p.f);
	assert_refused(&p, NULL, FAULT_ALLOCATION, "Host host-2: RamFilter: 1024 MiB are needed");
	p.f.second->memory_mib = 24 * 1024;
	g_clear_pointer(&p.f.second->tunnel, g_free);
	fixture_obey(&p.f);
	assert_refused(
		&p, NULL, FAULT_ALLOCATION, "Host host-2: MigrationFilter: its agent takes no machines");
}

static void test_alone(void)
{
	g_autoptr(GError) error = NULL;
	_cleanup_(pair_close) struct pair p = {};

	fixture_open(&p.f);
	_cleanup_(model_free) struct nic *nic = fixture_put(&p.f, fixture_nic(&p.f, "nic", false), &error);
	p.vm = fixture_put(&p.f, fixture_vm(&p.f, "vm", "Standard_B1s", nic), &error);
	assert_refused(&p, NULL, FAULT_ALLOCATION, "there is no other host; 'sluice host add'");
}

/* A host that has filled up keeps nobody's disk: it moves, and the machine starts elsewhere. */
static void test_deallocated(void)
{
	_cleanup_(control_result_clear) struct control_result result = {};
	g_autoptr(GError) error = NULL;
	OPEN_PAIR(p);

	fixture_act(&p.f, p.vm, VERB_DEALLOCATE);
	p.f.report->memory_mib = 100;
	fixture_obey(&p.f);
	g_assert_false(control_vm_action(p.f.control, p.vm->meta.uid, VERB_START, &request, &result, &error));
	g_assert_error(error, FAULT, FAULT_ALLOCATION);
	g_assert_nonnull(strstr(error->message, "Host host-1: RamFilter: 1024 MiB are needed"));
	g_assert_nonnull(strstr(error->message,
		"Host host-2 can: 'sluice vm migrate vm --to host-2' moves its disk there; then try again."));
	g_clear_error(&error);
	begin(&p);
	_cleanup_(goal_free) struct goal *source = goal_of(&p, "host-1"), *target = goal_of(&p, "host-2");
	g_assert_cmpint(told(source)->role, ==, MIGRATION_SOURCE);
	g_assert_cmpint(told(target)->role, ==, MIGRATION_TARGET);
	g_assert_cmpint(((struct goal_vm *)source->vms->pdata[0])->power, ==, POWER_DEALLOCATED);
	g_assert_cmpuint(source->nics->len + target->nics->len, ==, 0);
	g_assert_false(control_vm_action(p.f.control, p.vm->meta.uid, VERB_START, &request, &result, &error));
	g_assert_error(error, FAULT, FAULT_NOT_ALLOWED);
	g_clear_error(&error);
	_cleanup_(model_free) struct operation *over = fixture_finish(&p.f, p.operation, true);
	g_assert_cmpint(over->status.state, ==, OPERATION_SUCCEEDED);
	fixture_act(&p.f, p.vm, VERB_START);
	assert_settled(&p, "host-2");
}

static void test_only_running(void)
{
	_cleanup_(control_result_clear) struct control_result result = {};
	OPEN_PAIR(p);

	control_vm_action(p.f.control, p.vm->meta.uid, VERB_POWER_OFF, &request, &result, NULL);
	assert_refused(&p, NULL, FAULT_BUSY, "another operation on virtual machine vm is under way");
	model_free(fixture_finish(&p.f, result.operation, true));
	assert_refused(&p, NULL, FAULT_NOT_ALLOWED, "virtual machine vm is neither running nor deallocated");
}

static void assert_still(GError **error)
{
	g_assert_error(*error, FAULT, FAULT_NOT_ALLOWED);
	g_assert_nonnull(strstr((*error)->message, "Virtual machine vm is being migrated to another host"));
	g_assert_nonnull(strstr((*error)->message, "'sluice vm migrate vm --cancel'"));
	g_clear_error(error);
}

static void test_nothing_else(void)
{
	static const enum verb verbs[] = {VERB_DEALLOCATE, VERB_POWER_OFF, VERB_RESTART, VERB_START};
	_cleanup_(control_result_clear) struct control_result result = {};
	g_autoptr(GError) error = NULL;

	OPEN_PAIR(p);
	begin(&p);
	for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++) {
		control_vm_action(p.f.control, p.vm->meta.uid, verbs[i], &request, &result, &error);
		assert_still(&error);
	}
	control_delete(p.f.control, KIND_VM, p.vm->meta.uid, &request, &result, &error);
	assert_still(&error);
	migrate(&p, NULL, &error);
	assert_still(&error);
	control_put(p.f.control, p.vm, &request, &result, &error);
	assert_still(&error);
	cancel(&p);
	run();
	g_assert_false(control_migrate_cancel(p.f.control, p.vm->meta.uid, &request, &error));
	g_assert_error(error, FAULT, FAULT_NOT_ALLOWED);
	g_assert_nonnull(strstr(error->message, "virtual machine vm is not being migrated"));
}

/* ---- hosts that are given up ---- */

static void fall_silent(struct pair *p, bool second_too)
{
	for (unsigned i = 0; i < 12; i++) {
		g_usleep(100000);
		if (!second_too)
			g_assert_true(control_report(p->f.control, "host-2", p->f.second, NULL));
		run();
	}
}

static void test_source_given_up(void)
{
	_cleanup_(pair_close) struct pair p = {.f.host_timeout_s = 1};
	g_autoptr(GPtrArray) lost = NULL;
	g_autoptr(GError) error = NULL;

	pair_open(&p);
	go(&p);
	fall_silent(&p, true);
	assert_running(&p);
	/* It may be on the other host, which does not say. */
	g_assert_false(control_remove_host(p.f.control, "host-1", true, &lost, &error));
	g_assert_error(error, FAULT, FAULT_NOT_ALLOWED);
	g_assert_nonnull(strstr(error->message, "host host-2, which does not report either"));
	g_clear_error(&error);
	g_assert_false(control_remove_host(p.f.control, "host-2", true, &lost, &error));
	g_assert_error(error, FAULT, FAULT_NOT_ALLOWED);
	g_assert_nonnull(strstr(error->message, "is on its way there"));
	g_clear_error(&error);
	fall_silent(&p, false);
	control_remove_host(p.f.control, "host-1", true, &lost, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(lost->len, ==, 1);
	run();
	assert_over(&p, "unavailable", "its host was given up before it was on host host-2");
	_cleanup_(model_free) struct vm *vm = control_get(p.f.control, KIND_VM, p.vm->meta.uid, NULL);
	g_assert_cmpstr(vm->status.lost, ==, "host-1");
	g_assert_null(vm->status.migration.uid);
	_cleanup_(goal_free) struct goal *target = goal_of(&p, "host-2");
	g_assert_null(told(target));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(title, fn) g_test_add_func("/migrate/" title, fn)
	ADD("a VM's host moves when its source says that it has left, and not before", test_way);
	ADD("a controller that is started anew goes on where the last one was", test_restarts);
	ADD("operators see what a migration waits for", test_progress);
	ADD("a VM stays where it is when the target cannot take it", test_target_cannot);
	ADD("a VM stays where it is when the source cannot move it", test_source_cannot);
	ADD("cancelling before the source was told ends it at once", test_cancel_early);
	ADD("cancelling later asks the source, which tells", test_cancel);
	ADD("cancelling too late ends with the VM on its new host", test_cancel_too_late);
	ADD("what hosts say of other migrations and other goals counts for nothing", test_old_words);
	ADD("refusals name VM, hosts and filters", test_refused);
	ADD("a cloud of one host says how to get another", test_alone);
	ADD("a deallocated VM, whose host is full, starts where its disk was moved", test_deallocated);
	ADD("only what runs or is deallocated is migrated", test_only_running);
	ADD("nothing else is done to a VM on its way, and it is said how to end that", test_nothing_else);
	ADD("a source that is given up while the machine is not on the target takes it along",
		test_source_given_up);
	return g_test_run();
}
