/* The control plane is killed at every failpoint of its own, and at random moments; after a restart the same
 * commands are repeated, the end state is the one that was asked for, and nothing is left behind. */
#include "base/failpoint.h"
#include "base/fault.h"
#include "control/fixture.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define RANDOM_KILLS 50

static const struct control_request request = {.principal = "test"};

static struct nic *ensure_nic(struct fixture *f)
{
	g_autoptr(GError) error = NULL;
	struct nic *nic = fixture_put(f, fixture_nic(f, "nic", true), &error);

	g_assert_no_error(error);
	return nic;
}

static void act(struct fixture *f, const struct vm *vm, enum verb verb)
{
	_cleanup_(control_result_clear) struct control_result result = {};
	g_autoptr(GError) error = NULL;

	control_vm_action(f->control, vm->meta.uid, verb, &request, &result, &error);
	g_assert_no_error(error);
	_cleanup_(model_free) struct operation *over = fixture_finish(f, result.operation, true);
	g_assert_cmpint(over->status.state, ==, OPERATION_SUCCEEDED);
}

/* Takes the network to a VLAN, which is nothing to do when it is there. */
static void ensure_segment(struct fixture *f)
{
	g_autoptr(GError) error = NULL;
	_cleanup_(control_result_clear) struct control_result result = {};
	_cleanup_(model_free) struct physical *physical =
		fixture_put(f, fixture_physical("physnet1", "100"), &error);

	g_assert_no_error(error);
	control_set_segment(f->control, f->network, "vlan:physnet1:100", &request, &result, &error);
	g_assert_no_error(error);
}

static void remove_physical(struct fixture *f)
{
	g_autoptr(GError) error = NULL;
	_cleanup_(control_result_clear) struct control_result result = {};
	_cleanup_(model_free) struct physical *physical =
		control_find(f->control, KIND_PHYSICAL, NULL, "physnet1", &error);

	g_assert_no_error(error);
	if (physical)
		control_delete(f->control, KIND_PHYSICAL, physical->meta.uid, &request, &result, &error);
	g_assert_no_error(error);
}

/* To the other host, and no further. */
static void migrate(struct fixture *f, const struct vm *vm)
{
	const struct control_migration wish = {};
	g_autoptr(GError) error = NULL;

	for (unsigned i = 0; i < 2; i++) {
		_cleanup_(control_result_clear) struct control_result result = {};
		control_migrate(f->control, vm->meta.uid, &wish, &request, &result, &error);
		g_assert_no_error(error);
		if (i > 0) {
			fixture_obey(f); /* the target is ready, so that the source is told to go */
			while (g_main_context_iteration(NULL, FALSE))
				;
			control_migrate_cancel(f->control, vm->meta.uid, &request, &error);
			g_assert_no_error(error);
		}
		_cleanup_(model_free) struct operation *over = fixture_finish(f, result.operation, true);
		g_assert_cmpint(over->status.state, ==, i > 0 ? OPERATION_FAILED : OPERATION_SUCCEEDED);
	}
}

static void put_set(struct fixture *f, int64_t capacity, const char *size)
{
	struct scale_set *set = fixture_scale_set(f, "web", capacity);
	g_autoptr(GError) error = NULL;

	set->spec.upgrade = UPGRADE_ROLLING;
	set->spec.rolling = (struct set_rolling_policy){50, 100, 100, 0};
	g_free(set->spec.model.size);
	set->spec.model.size = g_strdup(size);
	model_free(fixture_put(f, set, &error));
	g_assert_no_error(error);
}

/* Two instances are made, upgraded one after the other, and stopped; one of them goes. */
static void scale(struct fixture *f)
{
	_cleanup_(control_result_clear) struct control_result result = {};
	g_autoptr(GError) error = NULL;

	put_set(f, 2, "Standard_B1s");
	put_set(f, 2, "Standard_DS2_v2");
	_cleanup_(model_free) struct scale_set *set =
		control_find(f->control, KIND_SCALE_SET, f->group, "web", &error);
	control_scale_set_act(f->control, set->meta.uid, VERB_DEALLOCATE, NULL, &request, &result, &error);
	g_assert_no_error(error);
	_cleanup_(model_free) struct operation *over = fixture_finish(f, result.operation, true);
	g_assert_cmpint(over->status.state, ==, OPERATION_SUCCEEDED);
	put_set(f, 1, "Standard_DS2_v2");
	g_autoptr(GPtrArray) vms = control_scale_set_instances(f->control, set, &error);
	g_assert_cmpuint(vms->len, ==, 1);
	const struct vm *vm = vms->pdata[0];
	g_assert_cmpstr(vm->spec.size, ==, "Standard_DS2_v2");
	g_assert_cmpint(vm->status.power, ==, POWER_STATE_DEALLOCATED);
}

/* What users and operators do: create, migrate, stop, start, scale, delete all. Every command may be repeated. */
static void run_commands(struct fixture *f)
{
	g_autoptr(GError) error = NULL;
	_cleanup_(control_result_clear) struct control_result result = {};

	fixture_add_host(f);
	ensure_segment(f);
	_cleanup_(model_free) struct nic *nic = ensure_nic(f);
	_cleanup_(model_free) struct vm *vm =
		fixture_put(f, fixture_vm(f, "vm", "Standard_DS4_v2", nic), &error);
	g_assert_no_error(error);
	act(f, vm, VERB_START); /* a life before may have stopped it */
	migrate(f, vm);
	act(f, vm, VERB_DEALLOCATE);
	act(f, vm, VERB_START);
	scale(f);
	_cleanup_(model_free) struct vm *now = control_get(f->control, KIND_VM, vm->meta.uid, &error);
	g_assert_cmpint(now->status.power, ==, POWER_STATE_RUNNING);
	g_assert_true(control_delete(f->control, KIND_GROUP, f->group, &request, &result, &error));
	_cleanup_(model_free) struct operation *over = fixture_finish(f, result.operation, true);
	g_assert_cmpint(over->status.state, ==, OPERATION_SUCCEEDED);
	remove_physical(f);
}

static void check_nothing_left(struct fixture *f)
{
	static const char *const prefixes[] = {"/sluice/pool/", "/sluice/ref/", "/sluice/placed/",
		"/sluice/name/group/", "/sluice/name/nic/", "/sluice/name/vm/", "/sluice/object/group/",
		"/sluice/object/nic/", "/sluice/object/vm/", "/sluice/object/network/",
		"/sluice/object/physical/", "/sluice/name/physical/", "/sluice/object/scale-set/",
		"/sluice/name/scale-set/"};

	for (size_t i = 0; i < G_N_ELEMENTS(prefixes); i++) {
		_cleanup_(store_range_clear) struct store_range left = {};
		g_autofree char *end = store_prefix_end(prefixes[i]);
		g_assert_true(store_list(f->store, prefixes[i], end, 0, 0, &left, NULL, NULL));
		if (left.kvs->len)
			g_error("left behind: %s", ((struct store_kv *)left.kvs->pdata[0])->key);
	}
}

/* One life of the control plane in a process of its own. Returns its wait status; kill_after_us 0: let it
 * live. */
static int live(const char *path, const char *point, gulong kill_after_us)
{
	pid_t pid = fork();

	if (pid == 0) {
		struct fixture f = {};
		/* A forked generator would make the uids of the life before once more. */
		g_random_set_seed((guint32)getpid());
		if (point)
			g_setenv("SLUICE_FAILPOINT", point, TRUE);
		fixture_open_at(&f, path);
		run_commands(&f);
		check_nothing_left(&f);
		fixture_close(&f);
		_exit(0);
	}
	g_assert_cmpint(pid, >, 0);
	if (kill_after_us) {
		g_usleep(kill_after_us);
		kill(pid, SIGKILL);
	}
	int status;
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	return status;
}

/* A life that was killed may have left any file of its own. */
static void remove_folder(const char *path)
{
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *file = g_build_filename(path, name, NULL);
		g_remove(file);
	}
	g_assert_cmpint(g_rmdir(path), ==, 0);
}

static bool was_killed(int status)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

/* Dies at the first, second, ... passage of the point until the commands end before it is reached again. */
static void test_failpoint(const void *data)
{
	const char *name = data;
	g_autofree char *dir = g_dir_make_tmp("sluice-crash-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(dir, "store.db", NULL);
	unsigned deaths = 0;

	for (unsigned nth = 1; nth < 100; nth++) {
		g_autofree char *point = g_strdup_printf("%s:%u", name, nth);
		int status = live(path, point, 0);
		if (!was_killed(status)) {
			g_assert_cmpint(status, ==, 0);
			break;
		}
		deaths++;
		g_assert_cmpint(live(path, NULL, 0), ==, 0);
	}
	g_assert_cmpuint(deaths, >, 0);
	remove_folder(dir);
}

static void test_random_kills(void)
{
	g_autofree char *dir = g_dir_make_tmp("sluice-crash-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(dir, "store.db", NULL);

	for (unsigned i = 0; i < RANDOM_KILLS; i++) {
		int status = live(path, NULL, (gulong)g_test_rand_int_range(1000, 200000));
		g_assert_true(was_killed(status) || status == 0);
	}
	g_assert_cmpint(live(path, NULL, 0), ==, 0);
	remove_folder(dir);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	for (int point = 0; point < FAILPOINT_COUNT; point++) {
		const char *name = failpoint_name((enum failpoint)point);
		g_autofree char *title =
			g_strdup_printf("/crash/commands can be repeated after a kill at %s", name);
		if (g_str_has_prefix(name, "control."))
			g_test_add_data_func(title, name, test_failpoint);
	}
	g_test_add_func("/crash/commands can be repeated after kills at any moment", test_random_kills);
	return g_test_run();
}
