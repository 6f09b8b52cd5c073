/* Two agents move a machine to and fro, and are killed at every failpoint on the way; each time it ends up running once.
 *
 * Both agents are children (test_child.h); this process has their switches and VM managers, and is the controller:
 * it tells the hosts what src/control/migrate.c would. The invariant is looked at all the time: at no moment the
 * machine runs twice, and it is never started or stopped after its first start.
 */
#include "agent/test_child.h"
#include "base/failpoint.h"
#include "base/pki.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define DEADLINE_US (30 * G_USEC_PER_SEC)

struct cloud {
	struct world worlds[2];
	struct child children[2];
	char *ca; /* folder */
	unsigned home; /* who has the VM, as the controller knows it */
	bool placed; /* there is a VM */
	bool on_way, go;
	bool off; /* the VM is deallocated */
	unsigned number; /* of migrations */
	int64_t versions[2];
	struct goal *goals[2]; /* Owned; as they were told */
	unsigned deaths;
	unsigned starts; /* of the machine, before it moved first: a kill may have repeated it */
};

static const char *const names[] = {"host-a", "host-b"};

/* ---- the controller ---- */

static char *uid_of(const struct cloud *cloud)
{
	return g_strdup_printf("77777777-7777-4777-8777-%012u", cloud->number);
}

static void fill_migration(struct cloud *cloud, unsigned host, struct goal_migration *migration)
{
	_cleanup_(report_free) struct report *peer = child_report(&cloud->worlds[!host]);

	migration->uid = uid_of(cloud);
	migration->role = host == cloud->home ? MIGRATION_SOURCE : MIGRATION_TARGET;
	migration->peer = g_strdup(names[!host]);
	migration->address = g_strdup(peer ? peer->tunnel : NULL);
	migration->go = cloud->go && host == cloud->home;
}

static void publish(struct cloud *cloud, unsigned host)
{
	struct goal *goal = world_goal(cloud->versions[host], true), *told = cloud->goals[host];
	bool named = cloud->placed && (host == cloud->home || cloud->on_way);

	if (!named) {
		g_ptr_array_set_size(goal->vms, 0);
		g_ptr_array_set_size(goal->nics, 0);
	} else if (cloud->on_way) {
		fill_migration(cloud, host, &world_vm(goal)->migration);
	}
	if (named && cloud->off) {
		world_vm(goal)->power = POWER_DEALLOCATED;
		g_ptr_array_set_size(goal->nics, 0);
	}
	if (told && shape_equal(&goal_shape, goal, told)) {
		goal_free(goal);
		return;
	}
	goal->version = ++cloud->versions[host];
	g_clear_pointer(&cloud->goals[host], goal_free);
	cloud->goals[host] = shape_copy(&goal_shape, goal);
	child_want(&cloud->worlds[host], goal);
}

/* What the host says of the migration about the goal that it was told last; WAITING when nothing. */
static enum migration_state said(struct cloud *cloud, unsigned host)
{
	_cleanup_(report_free) struct report *report = child_report(&cloud->worlds[host]);
	const struct report_vm *vm = report && list_length(report->vms) ? report->vms->pdata[0] : NULL;
	g_autofree char *uid = uid_of(cloud);

	if (!vm || report->received != cloud->versions[host] || g_strcmp0(vm->migration.uid, uid) != 0)
		return MIGRATION_WAITING;
	return (enum migration_state)vm->migration.state;
}

static void control(struct cloud *cloud)
{
	unsigned target = !cloud->home;

	if (cloud->on_way && !cloud->go) {
		cloud->go = said(cloud, target) == MIGRATION_READY;
	} else if (cloud->on_way && said(cloud, cloud->home) == MIGRATION_MOVED) {
		cloud->home = target;
		cloud->on_way = cloud->go = false;
	} else if (cloud->on_way && said(cloud, cloud->home) == MIGRATION_FAILED) {
		cloud->on_way = cloud->go = false;
	}
	publish(cloud, 0);
	publish(cloud, 1);
}

/* ---- the world ---- */

static unsigned count_running(struct cloud *cloud)
{
	return (world_machine(&cloud->worlds[0], WORLD_VM) == VM_RUNNING) +
	       (world_machine(&cloud->worlds[1], WORLD_VM) == VM_RUNNING);
}

/* A killed agent is started again, without its failpoint. */
static void revive(struct cloud *cloud)
{
	for (unsigned i = 0; i < 2; i++) {
		if (!cloud->children[i].over)
			continue;
		g_assert_true(WIFSIGNALED(cloud->children[i].status));
		cloud->deaths++;
		child_start(&cloud->worlds[i], &cloud->children[i], NULL);
	}
}

static gboolean tick(void *data)
{
	return G_SOURCE_CONTINUE;
}

static void run_until(struct cloud *cloud, const char *what, bool (*condition)(struct cloud *))
{
	int64_t deadline = g_get_monotonic_time() + DEADLINE_US;
	guint ticking = g_timeout_add(5, tick, NULL);

	do {
		control(cloud);
		g_main_context_iteration(NULL, true);
		revive(cloud);
		g_assert_cmpuint(count_running(cloud), <=, 1);
		if (g_get_monotonic_time() < deadline)
			continue;
		for (unsigned i = 0; i < 2; i++)
			for (guint j = 0; j < cloud->worlds[i].log->len; j++)
				g_test_message("%s: %s", names[i], (char *)cloud->worlds[i].log->pdata[j]);
		g_error("this did not happen: %s", what);
	} while (!condition(cloud));
	g_source_remove(ticking);
}

static bool is_over(struct cloud *cloud)
{
	return !cloud->on_way;
}

/* The VM runs where it is at home, accelerated, or is off there, and the other host has forgotten it. */
static bool is_settled(struct cloud *cloud)
{
	for (unsigned i = 0; i < 2; i++) {
		_cleanup_(report_free) struct report *report = child_report(&cloud->worlds[i]);
		g_autofree char *path = g_build_filename(cloud->worlds[i].folder, "agent.json", NULL);
		json_auto_t *ledger = json_load_file(path, 0, NULL);
		bool named = cloud->placed && i == cloud->home, runs = named && !cloud->off;
		if (!report || report->applied != cloud->versions[i] || list_length(report->nics) != runs ||
			json_array_size(json_object_get(ledger, "vms")) != named)
			return false;
		if (runs && ((struct report_nic *)report->nics->pdata[0])->path != PATH_EMULATED)
			return false;
		enum vm_state state = world_machine(&cloud->worlds[i], WORLD_VM);
		if (named && cloud->off ? state == VM_RUNNING : state != (runs ? VM_RUNNING : VM_ABSENT))
			return false;
	}
	return true;
}

/* Whether it has moved: a kill may have turned it back. */
static bool migrate(struct cloud *cloud)
{
	unsigned from = cloud->home;

	cloud->number++;
	cloud->on_way = true;
	run_until(cloud, "the migration is over", is_over);
	run_until(cloud, "its end is settled", is_settled);
	return cloud->home != from;
}

static unsigned count(struct cloud *cloud, const char *line)
{
	unsigned n = 0;

	for (unsigned i = 0; i < 2; i++)
		for (int at = -1; (at = world_find(&cloud->worlds[i], line, at + 1)) >= 0;)
			n++;
	return n;
}

static void cloud_open(struct cloud *cloud, const char *failpoint)
{
	g_autoptr(GError) error = NULL;

	*cloud = (struct cloud){.ca = g_dir_make_tmp("migration-ca-XXXXXX", NULL)};
	pki_ensure_ca(cloud->ca, "test", &error);
	g_assert_no_error(error);
	for (unsigned i = 0; i < 2; i++)
		world_init(&cloud->worlds[i]);
	for (unsigned i = 0; i < 2; i++) {
		world_join(&cloud->worlds[i], &cloud->worlds[!i], names[i], cloud->ca);
		child_start(&cloud->worlds[i], &cloud->children[i], failpoint);
	}
	cloud->placed = true;
	run_until(cloud, "the machine runs", is_settled);
	cloud->starts = count(cloud, "start " WORLD_VM);
}

static bool has_files(struct world *w)
{
	g_autofree char *path = g_build_filename(w->folder, "vhost", "exchange", NULL);
	g_autoptr(GDir) folder = g_dir_open(path, 0, NULL);

	return folder && g_dir_read_name(folder);
}

static void cloud_close(struct cloud *cloud)
{
	g_autofree char *command = g_strdup_printf("rm -r '%s'", cloud->ca);

	for (unsigned i = 0; i < 2; i++) {
		child_stop(&cloud->children[i]);
		g_assert_false(has_files(&cloud->worlds[i]));
		g_clear_pointer(&cloud->goals[i], goal_free);
	}
	for (unsigned i = 0; i < 2; i++)
		world_done(&cloud->worlds[i]);
	g_assert_cmpint(system(command), ==, 0);
	g_free(cloud->ca);
}

/* ---- tests ---- */

/* There, not back while the first host cannot take it, then back. */
static void run_scenario(struct cloud *cloud)
{
	unsigned tries = 0;

	while (!migrate(cloud))
		g_assert_cmpuint(++tries, <, 4);
	vm_fake_lose_switch(cloud->worlds[0].machines, true);
	g_assert_false(migrate(cloud));
	vm_fake_lose_switch(cloud->worlds[0].machines, false);
	while (!migrate(cloud))
		g_assert_cmpuint(++tries, <, 4);
	g_assert_cmpuint(cloud->home, ==, 0);
	g_assert_cmpuint(count(cloud, "stop " WORLD_VM), ==, 0);
}

static void test_undisturbed(void)
{
	struct cloud cloud;

	cloud_open(&cloud, NULL);
	run_scenario(&cloud);
	g_assert_cmpuint(cloud.number, ==, 3);
	g_assert_cmpuint(count(&cloud, "start " WORLD_VM), ==, cloud.starts);
	g_assert_cmpuint(cloud.deaths, ==, 0);
	cloud_close(&cloud);
}

static void test_failpoint(gconstpointer failpoint)
{
	struct cloud cloud;

	cloud_open(&cloud, failpoint);
	run_scenario(&cloud);
	g_assert_cmpuint(count(&cloud, "start " WORLD_VM), ==, cloud.starts);
	g_assert_cmpuint(cloud.deaths, >, 0);
	cloud_close(&cloud);
}

/* ---- a machine that is off ---- */

static char *disk_at(struct cloud *cloud, unsigned host)
{
	return g_build_filename(cloud->worlds[host].folder, "vms", WORLD_VM, VM_DISK_FILE, NULL);
}

/* Where it is at home its disk is whole, and there is no other. */
static void assert_disk(struct cloud *cloud)
{
	g_autofree char *home = disk_at(cloud, cloud->home), *other = disk_at(cloud, !cloud->home),
			*text = NULL;

	g_assert_true(g_file_get_contents(home, &text, NULL, NULL));
	g_assert_cmpstr(text, ==, "mine");
	g_assert_false(g_file_test(other, G_FILE_TEST_EXISTS));
}

/* Killed on the way, it is there or here in the end, with its disk. */
static void test_off(gconstpointer failpoint)
{
	struct cloud cloud;
	unsigned tries = 0;

	cloud_open(&cloud, failpoint);
	cloud.off = true;
	run_until(&cloud, "it is off", is_settled);
	g_autofree char *disk = disk_at(&cloud, 0), *directory = g_path_get_dirname(disk);
	g_assert_cmpint(g_mkdir_with_parents(directory, 0711), ==, 0);
	g_assert_true(g_file_set_contents(disk, "mine", -1, NULL));
	for (unsigned i = 0; i < 2; i++) {
		while (!migrate(&cloud)) {
			assert_disk(&cloud);
			g_assert_cmpuint(++tries, <, 4);
		}
		assert_disk(&cloud);
	}
	g_assert_cmpuint(cloud.deaths, >, 0);
	cloud.off = false;
	run_until(&cloud, "it runs", is_settled);
	assert_disk(&cloud);
	cloud_close(&cloud);
}

static gboolean kill_one(void *data)
{
	struct cloud *cloud = data;
	struct child *child = &cloud->children[g_test_rand_int_range(0, 2)];

	if (!child->over)
		kill(child->pid, SIGKILL);
	return G_SOURCE_REMOVE;
}

static void test_random(void)
{
	struct cloud cloud;

	cloud_open(&cloud, NULL);
	for (unsigned i = 0; i < 20; i++) {
		g_timeout_add((guint)g_test_rand_int_range(1, 150), kill_one, &cloud);
		migrate(&cloud);
	}
	g_assert_cmpuint(count(&cloud, "start " WORLD_VM), ==, cloud.starts);
	g_assert_cmpuint(count(&cloud, "stop " WORLD_VM), ==, 0);
	g_assert_cmpuint(cloud.deaths, >, 0);
	cloud_close(&cloud);
}

/* Those that these two agents pass. */
static bool is_passed(const char *name)
{
	static const char *const others[] = {"agent.goal-cached", "agent.vm-recorded", "agent.vm-defined",
		"agent.vm-removed", "agent.switch-generation", "agent.switch-applied",
		"agent.accel-unplugged", "agent.accel-released"};

	for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
		if (g_str_equal(name, others[i]))
			return true;
	return g_str_has_prefix(name, "migration.");
}

/* What agents pass when they move a machine that is off. */
static const char *const off_ways[] = {
	"migration.admitted", "migration.going", "migration.arrived", "migration.left", "agent.vm-removed"};

int main(int argc, char **argv)
{
	if (argc == 2 && g_str_equal(argv[1], "--agent"))
		return child_main();
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/migration_crash/undisturbed, it moves there and back", test_undisturbed);
	for (unsigned i = 0; i < FAILPOINT_COUNT; i++) {
		const char *name = failpoint_name(i);
		g_autofree char *path =
			g_strdup_printf("/migration_crash/killed when %s (%s)", failpoint_text(i), name);
		if (is_passed(name))
			g_test_add_data_func(path, name, test_failpoint);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(off_ways); i++) {
		g_autofree char *path =
			g_strdup_printf("/migration_crash/off, and killed at %s", off_ways[i]);
		g_test_add_data_func(path, off_ways[i], test_off);
	}
	g_test_add_func(
		"/migration_crash/killed at random moments, it runs once and never stops", test_random);
	return g_test_run();
}
