/* Migrations between two agents in one process, with fake switches and VM managers, over a tunnel on the loopback. */
#include "agent/events.h"
#include "agent/test_world.h"
#include "base/fault.h"
#include "base/pki.h"

#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST  "77777777-7777-4777-8777-777777777771"
#define SECOND "77777777-7777-4777-8777-777777777772"

enum side { SOURCE, TARGET };

struct pair {
	struct world worlds[2];
	char *ca; /* folder */
	int64_t version; /* of the last goal */
	bool physical; /* the VM's network is one, and its functions pass the hosts */
};

static void setup(struct pair *p, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	p->ca = g_dir_make_tmp("migration-ca-XXXXXX", NULL);
	pki_ensure_ca(p->ca, "test", &error);
	g_assert_no_error(error);
	for (int side = SOURCE; side <= TARGET; side++)
		world_init(&p->worlds[side]);
	world_join(&p->worlds[SOURCE], &p->worlds[TARGET], "host-a", p->ca);
	world_join(&p->worlds[TARGET], &p->worlds[SOURCE], "host-b", p->ca);
}

static void teardown(struct pair *p, gconstpointer data)
{
	g_autofree char *command = g_strdup_printf("rm -r '%s'", p->ca);

	for (int side = SOURCE; side <= TARGET; side++)
		world_stop_agent(&p->worlds[side]);
	/* Either manager may have been the other's target. */
	for (int side = SOURCE; side <= TARGET; side++)
		world_done(&p->worlds[side]);
	g_assert_cmpint(system(command), ==, 0);
	g_free(p->ca);
}

/* ---- goals ---- */

static struct goal *plain(struct pair *p)
{
	return (p->physical ? world_goal_physical : world_goal)(++p->version, true);
}

/* Without the VM. */
static struct goal *empty(struct pair *p)
{
	struct goal *goal = plain(p);

	g_ptr_array_set_size(goal->vms, 0);
	g_ptr_array_set_size(goal->nics, 0);
	return goal;
}

static struct goal *moving(struct pair *p, enum side side, const char *uid)
{
	struct goal *goal = plain(p);
	struct goal_migration *migration = &world_vm(goal)->migration;
	struct agent *peer = p->worlds[!side].agent;
	_cleanup_(report_free) struct report *report = peer ? agent_report(peer) : report_new();

	migration->uid = g_strdup(uid);
	migration->role = side == SOURCE ? MIGRATION_SOURCE : MIGRATION_TARGET;
	migration->peer = g_strdup(side == SOURCE ? "host-b" : "host-a");
	migration->address = g_strdup(report->tunnel);
	migration->vtep = g_strdup(side == SOURCE ? "172.16.0.2" : "172.16.0.1");
	return goal;
}

static void give(struct pair *p, enum side side, struct goal *goal)
{
	agent_take_goal(p->worlds[side].agent, goal);
}

static void give_go(struct pair *p, bool cancel)
{
	struct goal *goal = moving(p, SOURCE, FIRST);

	world_vm(goal)->migration.go = true;
	world_vm(goal)->migration.cancel = cancel;
	give(p, SOURCE, goal);
}

/* ---- what hosts say ---- */

static enum migration_state said(struct world *w, char **ret_message)
{
	_cleanup_(report_free) struct report *report = agent_report(w->agent);
	const struct report_vm *vm = report->vms->len ? report->vms->pdata[0] : NULL;

	if (!vm || !vm->migration.uid)
		return MIGRATION_WAITING;
	if (ret_message)
		*ret_message = g_strdup(vm->migration.message);
	return (enum migration_state)vm->migration.state;
}

static bool says_ready(struct world *w)
{
	return said(w, NULL) == MIGRATION_READY;
}

static bool says_moving(struct world *w)
{
	return said(w, NULL) == MIGRATION_MOVING;
}

static bool says_moved(struct world *w)
{
	return said(w, NULL) == MIGRATION_MOVED;
}

static bool says_failed(struct world *w)
{
	return said(w, NULL) == MIGRATION_FAILED;
}

static enum nic_path path_of(struct world *w)
{
	_cleanup_(report_free) struct report *report = agent_report(w->agent);
	const struct report_nic *nic = report->nics->len ? report->nics->pdata[0] : NULL;

	return nic ? (enum nic_path)nic->path : PATH_NONE;
}

static void assert_reason(struct world *w, enum nic_path path, const char *reason)
{
	_cleanup_(report_free) struct report *report = agent_report(w->agent);
	const struct report_nic *nic = report->nics->pdata[0];

	g_assert_cmpint(nic->path, ==, path);
	g_assert_cmpstr(nic->reason, ==, reason);
}

static bool is_accelerated(struct world *w)
{
	return world_machine(w, WORLD_VM) == VM_RUNNING &&
	       path_of(w) == (w->bypass ? PATH_VF : PATH_EMULATED);
}

static bool is_forgotten(struct world *w)
{
	_cleanup_(report_free) struct report *report = agent_report(w->agent);
	g_autofree char *path = g_build_filename(w->folder, "agent.json", NULL);
	json_auto_t *ledger = json_load_file(path, 0, NULL);

	return world_machine(w, WORLD_VM) == VM_ABSENT &&
	       json_array_size(json_object_get(ledger, "vms")) == 0 && report->applied == report->received;
}

static bool is_off(struct world *w)
{
	return world_machine(w, WORLD_VM) != VM_RUNNING;
}

static bool migrate_was_called(struct world *w)
{
	return world_find(w, "migrate " WORLD_VM, 0) >= 0;
}

static void wait(struct pair *p, enum side side, const char *what, world_condition condition)
{
	world_wait(&p->worlds[side], what, condition);
}

static unsigned count(struct world *w, const char *line)
{
	unsigned n = 0;

	for (int at = -1; (at = world_find(w, line, at + 1)) >= 0;)
		n++;
	return n;
}

/* ---- ways ---- */

/* An accelerated machine runs on the source, and the target has an agent. */
static void bring_up(struct pair *p)
{
	world_start_agent(&p->worlds[SOURCE], true);
	world_start_agent(&p->worlds[TARGET], true);
	give(p, SOURCE, plain(p));
	give(p, TARGET, empty(p));
	wait(p, SOURCE, "the machine runs accelerated", is_accelerated);
}

static void prepare(struct pair *p)
{
	bring_up(p);
	give(p, SOURCE, moving(p, SOURCE, FIRST));
	give(p, TARGET, moving(p, TARGET, FIRST));
	wait(p, TARGET, "the target is ready", says_ready);
}

static bool is_away(struct world *w)
{
	return json_is_true(json_object_get(json_array_get(json_object_get(w->state, "nics"), 0), "away"));
}

static bool is_here(struct world *w)
{
	return !is_away(w);
}

static bool has_arrived(struct world *w)
{
	return says_moved(w) && !is_away(w);
}

static void test_way(struct pair *p, gconstpointer data)
{
	struct world *source = &p->worlds[SOURCE], *target = &p->worlds[TARGET];
	g_autofree char *directory = g_build_filename(source->folder, "vms", WORLD_VM, NULL);

	prepare(p);
	g_assert_cmpint(g_mkdir_with_parents(directory, 0700), ==, 0);
	g_assert_true(is_away(target));
	g_assert_cmpint(path_of(source), ==, PATH_EMULATED); /* until it goes */
	give_go(p, false);
	wait(p, SOURCE, "the source has moved it", says_moved);
	wait(p, TARGET, "the target has it", has_arrived);
	g_assert_cmpint(world_machine(target, WORLD_VM), ==, VM_RUNNING);
	g_assert_cmpint(world_machine(source, WORLD_VM), ==, VM_ABSENT);
	world_expect(source, "unplug " WORLD_NIC, "export " WORLD_NIC, "migrate " WORLD_VM,
		"export " WORLD_NIC, NULL);
	world_expect(target, "define " WORLD_VM, "import " WORLD_NIC " early", NULL);
	g_assert_cmpuint(
		count(target, "import " WORLD_NIC) + count(target, "import " WORLD_NIC " early"), ==, 2);
	assert_reason(target, PATH_SYNTHETIC,
		"Its virtual machine comes from another host, and gets a function once it is here.");

	give(p, SOURCE, empty(p));
	give(p, TARGET, plain(p));
	wait(p, SOURCE, "nothing is left on the source", is_forgotten);
	wait(p, TARGET, "it has a function again", is_accelerated);
	g_assert_false(g_file_test(directory, G_FILE_TEST_EXISTS));
	g_assert_cmpuint(count(target, "start " WORLD_VM), ==, 0);
	g_assert_cmpuint(count(target, "stop " WORLD_VM) + count(source, "stop " WORLD_VM), ==, 0);
	g_assert_cmpuint(count(source, "migrate " WORLD_VM), ==, 1);
}

/* Both hosts' switches hold it for away while it is between them, and one of them only afterwards. */
static void stop_between(struct pair *p)
{
	static const struct switch_underlay underlay = {.interface = "sl-under",
		.mac = {{2, 0, 0, 0, 0, 1}},
		.address = {IP_V4, {172, 16, 0, 1}},
		.prefix = {{IP_V4, {172, 16}}, 16},
		.mtu = 1500};

	p->worlds[SOURCE].config.site.underlay = &underlay;
	prepare(p);
	vm_fake_hold_arrivals(p->worlds[SOURCE].machines, true);
	g_assert_false(is_away(&p->worlds[SOURCE]));
	give_go(p, false);
	wait(p, SOURCE, "the source's switch holds it for away", is_away);
	g_assert_true(says_moving(&p->worlds[SOURCE]));
	g_assert_true(is_away(&p->worlds[TARGET]));
	assert_reason(&p->worlds[SOURCE], PATH_NONE,
		"Its virtual machine has stopped here, and goes on at host host-b.");
	assert_reason(&p->worlds[TARGET], PATH_NONE, "Its virtual machine is to come from host host-a.");
}

static void test_between(struct pair *p, gconstpointer data)
{
	struct world *source = &p->worlds[SOURCE];

	stop_between(p);
	const json_t *network = json_array_get(json_object_get(source->state, "networks"), 0);
	const json_t *mapping = json_array_get(json_object_get(network, "mappings"), 0);
	g_assert_cmpstr(json_string_value(json_object_get(mapping, "prefix")), ==, "192.168.1.4");
	g_assert_cmpstr(json_string_value(json_object_get(mapping, "vtep")), ==, "172.16.0.2");
	vm_fake_hold_arrivals(source->machines, false);
	wait(p, SOURCE, "the source has moved it", says_moved);
	wait(p, TARGET, "the target has it", has_arrived);
	g_assert_true(is_away(source));
	world_stop_agent(source);
	world_start_agent(source, true);
	world_run(200);
	g_assert_true(is_away(source));
}

/* And back: what the first way has left says nothing of the second. */
static void test_back(struct pair *p, gconstpointer data)
{
	struct world *source = &p->worlds[SOURCE];

	prepare(p);
	give_go(p, false);
	wait(p, SOURCE, "the source has moved it", says_moved);
	give(p, SOURCE, empty(p));
	give(p, TARGET, plain(p));
	wait(p, SOURCE, "nothing is left on the source", is_forgotten);
	wait(p, TARGET, "it has a function again", is_accelerated);
	struct goal *back = moving(p, SOURCE, SECOND), *home = moving(p, TARGET, SECOND);
	_cleanup_(report_free) struct report *report = agent_report(source->agent);
	g_free(back->vms ? world_vm(back)->migration.peer : NULL);
	world_vm(back)->migration.peer = g_strdup("host-a");
	g_free(world_vm(back)->migration.address);
	world_vm(back)->migration.address = g_strdup(report->tunnel);
	world_vm(back)->migration.go = true;
	g_free(world_vm(home)->migration.peer);
	world_vm(home)->migration.peer = g_strdup("host-b");
	give(p, SOURCE, home);
	wait(p, SOURCE, "it is expected back", says_ready);
	give(p, TARGET, back);
	wait(p, TARGET, "it has gone back", says_moved);
	give(p, TARGET, empty(p));
	give(p, SOURCE, plain(p));
	wait(p, SOURCE, "it has a function again", is_accelerated);
	wait(p, TARGET, "nothing is left on the target", is_forgotten);
}

/* ---- it stays ---- */

static void assert_stays(struct pair *p, const char *words)
{
	struct world *source = &p->worlds[SOURCE];
	g_autofree char *message = NULL;

	wait(p, SOURCE, "it stays", says_failed);
	said(source, &message);
	if (!message || !strstr(message, words))
		g_error("'%s' is not in: %s", words, message);
	wait(p, SOURCE, "it has its function again", is_accelerated);
	give(p, TARGET, empty(p));
	give(p, SOURCE, plain(p));
	wait(p, TARGET, "nothing is left on the target", is_forgotten);
	world_run(100);
	g_assert_true(is_accelerated(source));
	g_assert_cmpuint(count(source, "start " WORLD_VM), ==, 1);
	g_assert_cmpuint(count(source, "stop " WORLD_VM), ==, 0);
}

static void test_between_fails(struct pair *p, gconstpointer data)
{
	stop_between(p);
	vm_fake_lose_switch(p->worlds[TARGET].machines, true);
	vm_fake_hold_arrivals(p->worlds[SOURCE].machines, false);
	wait(p, SOURCE, "it is here again", is_here);
	assert_stays(p, "the switch does not serve its NICs");
}

static bool is_heard(struct world *w)
{
	g_autofree char *path = g_build_filename(w->folder, "heard", NULL), *heard = NULL;

	g_assert_true(g_file_get_contents(path, &heard, NULL, NULL));
	return strstr(heard, "00:0d:3a:00:00:04");
}

static bool is_unheard(struct world *w)
{
	return !is_heard(w);
}

/* A PF that hears the MAC keeps what functions beside it send there from the wire. */
static void test_heard(struct pair *p, gconstpointer data)
{
	struct world *source = &p->worlds[SOURCE], *target = &p->worlds[TARGET];

	p->physical = source->bypass = target->bypass = true;
	vm_fake_hold_migrations(source->machines, true);
	vm_fake_hold_arrivals(source->machines, true);
	prepare(p);
	give_go(p, false);
	wait(p, SOURCE, "the source hears it while it runs without its function", is_heard);
	world_run(100);
	g_assert_false(is_heard(target));
	vm_fake_hold_migrations(source->machines, false);
	wait(p, SOURCE, "the source does not hear it any more", is_unheard);
	g_assert_false(is_heard(target));
	vm_fake_hold_arrivals(source->machines, false);
	wait(p, TARGET, "the target hears it once it is there", is_heard);
	wait(p, SOURCE, "the source has moved it", says_moved);
	g_assert_false(is_heard(source));
}

static void test_target_fails(struct pair *p, gconstpointer data)
{
	prepare(p);
	vm_fake_lose_switch(p->worlds[TARGET].machines, true);
	give_go(p, false);
	assert_stays(p, "the switch does not serve its NICs");
	g_assert_cmpint(world_find(&p->worlds[TARGET], "remove " WORLD_VM, 0), >=, 0);
}

static void test_export_fails(struct pair *p, gconstpointer data)
{
	prepare(p);
	p->worlds[SOURCE].refuse_export = true;
	give_go(p, false);
	assert_stays(p, "the connections cannot be copied: the switch cannot export");
	g_assert_false(migrate_was_called(&p->worlds[SOURCE]));
}

static void test_guest_keeps(struct pair *p, gconstpointer data)
{
	p->worlds[SOURCE].config.times.migrate_functions_ms = 300;
	prepare(p);
	vm_fake_hold_primaries(p->worlds[SOURCE].machines, true);
	give_go(p, false);
	wait(p, SOURCE, "it is given up", says_failed);
	vm_fake_hold_primaries(p->worlds[SOURCE].machines, false);
	assert_stays(p, "its guest does not let its functions go");
	g_assert_false(migrate_was_called(&p->worlds[SOURCE]));
}

static void test_not_running(struct pair *p, gconstpointer data)
{
	g_autofree char *message = NULL;

	prepare(p);
	vm_fake_crash(p->worlds[SOURCE].machines, WORLD_VM);
	wait(p, SOURCE, "it is given up", says_failed);
	said(&p->worlds[SOURCE], &message);
	g_assert_cmpstr(message, ==, "its machine does not run");
}

static void test_cancel_early(struct pair *p, gconstpointer data)
{
	prepare(p);
	give_go(p, true);
	assert_stays(p, "it was cancelled");
	g_assert_false(migrate_was_called(&p->worlds[SOURCE]));
}

static void test_cancel(struct pair *p, gconstpointer data)
{
	struct world *source = &p->worlds[SOURCE];

	prepare(p);
	vm_fake_hold_migrations(source->machines, true);
	give_go(p, false);
	wait(p, SOURCE, "it is being moved", migrate_was_called);
	g_assert_true(says_moving(source));
	assert_reason(source, PATH_SYNTHETIC,
		"Its virtual machine is moving to another host, and gets a function there.");
	give_go(p, true);
	assert_stays(p, "was cancelled");
	g_assert_cmpuint(count(source, "cancel " WORLD_VM), ==, 1);
}

/* The agent ends in order while the machine is under way. */
static void test_agent_stops(struct pair *p, gconstpointer data)
{
	struct world *source = &p->worlds[SOURCE];

	prepare(p);
	vm_fake_hold_migrations(source->machines, true);
	give_go(p, false);
	wait(p, SOURCE, "it is being moved", migrate_was_called);
	world_stop_agent(source);
	g_assert_cmpint(world_machine(source, WORLD_VM), ==, VM_RUNNING);
	world_start_agent(source, true);
	assert_stays(p, "was cancelled");
}

/* ---- a machine that is off ---- */

static struct goal *off(struct goal *goal)
{
	world_vm(goal)->power = POWER_DEALLOCATED;
	g_ptr_array_set_size(goal->nics, 0);
	return goal;
}

static char *disk_of(struct world *w)
{
	return g_build_filename(w->folder, "vms", WORLD_VM, VM_DISK_FILE, NULL);
}

static void write_disk(struct world *w, const char *text)
{
	g_autofree char *path = disk_of(w), *directory = g_path_get_dirname(path);

	g_assert_cmpint(g_mkdir_with_parents(directory, 0711), ==, 0);
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void assert_disk(struct world *w, const char *expected)
{
	g_autofree char *path = disk_of(w), *text = NULL;

	g_file_get_contents(path, &text, NULL, NULL);
	g_assert_cmpstr(text, ==, expected);
}

/* A machine that ran on the source is deallocated, with a disk that says "mine"; the target is ready for it. */
static void prepare_off(struct pair *p)
{
	bring_up(p);
	give(p, SOURCE, off(plain(p)));
	wait(p, SOURCE, "it is off", is_off);
	write_disk(&p->worlds[SOURCE], "mine");
	give(p, SOURCE, off(moving(p, SOURCE, FIRST)));
	give(p, TARGET, off(moving(p, TARGET, FIRST)));
	wait(p, TARGET, "the target is ready", says_ready);
	write_disk(&p->worlds[TARGET], "empty");
}

static void give_go_off(struct pair *p, bool cancel)
{
	struct goal *goal = off(moving(p, SOURCE, FIRST));

	world_vm(goal)->migration.go = true;
	world_vm(goal)->migration.cancel = cancel;
	give(p, SOURCE, goal);
}

static bool reports_deallocated(struct world *w)
{
	_cleanup_(report_free) struct report *report = agent_report(w->agent);

	return report->vms->len &&
	       ((struct report_vm *)report->vms->pdata[0])->power == POWER_STATE_DEALLOCATED;
}

static void test_off(struct pair *p, gconstpointer data)
{
	struct world *source = &p->worlds[SOURCE], *target = &p->worlds[TARGET];

	prepare_off(p);
	give_go_off(p, false);
	wait(p, SOURCE, "the source has moved it", says_moved);
	assert_disk(target, "mine");
	g_assert_true(reports_deallocated(source));
	g_assert_true(says_ready(target)); /* it decides nothing */
	g_assert_false(migrate_was_called(source));
	world_stop_agent(source);
	world_start_agent(source, true);
	wait(p, SOURCE, "the next process says the same", says_moved);
	give(p, SOURCE, empty(p));
	give(p, TARGET, off(plain(p)));
	wait(p, SOURCE, "nothing is left on the source", is_forgotten);
	world_run(100);
	assert_disk(source, NULL);
	assert_disk(target, "mine");
	give(p, TARGET, plain(p));
	wait(p, TARGET, "it starts there", is_accelerated);
	assert_disk(target, "mine");
}

/* The controller does not let it move: what has come is nothing. */
static void test_off_in_vain(struct pair *p, gconstpointer data)
{
	struct world *source = &p->worlds[SOURCE], *target = &p->worlds[TARGET];

	prepare_off(p);
	give_go_off(p, true);
	wait(p, SOURCE, "it stays", says_failed);
	give(p, TARGET, empty(p));
	give(p, SOURCE, off(plain(p)));
	wait(p, TARGET, "nothing is left on the target", is_forgotten);
	assert_disk(target, NULL);
	assert_disk(source, "mine");
	give(p, SOURCE, plain(p));
	wait(p, SOURCE, "it starts where it was", is_accelerated);
}

static void test_off_refused(struct pair *p, gconstpointer data)
{
	g_autofree char *message = NULL, *path = NULL;

	prepare_off(p);
	path = disk_of(&p->worlds[SOURCE]);
	g_assert_cmpint(g_unlink(path), ==, 0);
	give_go_off(p, false);
	wait(p, SOURCE, "it stays", says_failed);
	said(&p->worlds[SOURCE], &message);
	g_assert_nonnull(strstr(message, "cannot be read"));
	assert_disk(&p->worlds[TARGET], "empty");
}

/* The target is away for a moment: the disk is sent again. What came before goes. */
static void test_off_again(struct pair *p, gconstpointer data)
{
	struct world *target = &p->worlds[TARGET];
	g_autofree char *disk = disk_of(target), *half = g_strconcat(disk, ".in.7", NULL);

	p->worlds[SOURCE].config.times.retry_max_ms = 2000;
	prepare_off(p);
	world_stop_agent(target);
	g_assert_true(g_file_set_contents(half, "mi", -1, NULL));
	give_go_off(p, false);
	wait(p, SOURCE, "it tries", says_moving);
	world_run(100);
	g_assert_false(says_moved(&p->worlds[SOURCE]));
	assert_disk(target, "empty");
	world_start_agent(target, true);
	wait(p, TARGET, "the target is ready again", says_ready);
	give_go_off(p, false); /* with its new address */
	wait(p, SOURCE, "the source has moved it", says_moved);
	assert_disk(target, "mine");
	g_assert_false(g_file_test(half, G_FILE_TEST_EXISTS));
}

/* ---- undecided ---- */

static void finish_cut(struct pair *p, bool arrived)
{
	prepare(p);
	vm_fake_cut_migration(p->worlds[SOURCE].machines, arrived);
	give_go(p, false);
	if (!arrived) {
		assert_stays(p, "was cut off; it goes on here");
		return;
	}
	wait(p, SOURCE, "it is found to have moved", says_moved);
	wait(p, TARGET, "the target has it", says_moved);
	g_assert_cmpint(world_machine(&p->worlds[SOURCE], WORLD_VM), ==, VM_ABSENT);
}

static void test_cut_before(struct pair *p, gconstpointer data)
{
	finish_cut(p, false);
	g_assert_cmpuint(count(&p->worlds[SOURCE], "migrate " WORLD_VM), ==, 2);
}

static void test_cut_after(struct pair *p, gconstpointer data)
{
	finish_cut(p, true);
	g_assert_cmpuint(count(&p->worlds[SOURCE], "migrate " WORLD_VM), ==, 2);
	g_assert_cmpuint(count(&p->worlds[SOURCE], "start " WORLD_VM), ==, 1);
}

/* A controller whose store was set back wants it here, where its old disk still is. */
static void test_moved_stays_away(struct pair *p, gconstpointer data)
{
	struct world *source = &p->worlds[SOURCE];

	prepare(p);
	give_go(p, false);
	wait(p, SOURCE, "the source has moved it", says_moved);
	give(p, SOURCE, plain(p));
	world_run(200);
	world_stop_agent(source);
	world_start_agent(source, true);
	world_run(200);
	g_assert_cmpint(world_machine(source, WORLD_VM), ==, VM_ABSENT);
	g_assert_cmpuint(count(source, "start " WORLD_VM), ==, 1);
}

/* ---- the target ---- */

static bool says_fault(struct world *w)
{
	_cleanup_(report_free) struct report *report = agent_report(w->agent);

	return report->vms->len && ((struct report_vm *)report->vms->pdata[0])->fault;
}

static void test_strange_disk(struct pair *p, gconstpointer data)
{
	struct world *target = &p->worlds[TARGET];

	bring_up(p);
	give(p, TARGET, plain(p));
	wait(p, TARGET, "another machine of that name runs there", is_accelerated);
	struct goal *off = plain(p);
	world_vm(off)->power = POWER_STOPPED;
	give(p, TARGET, off);
	wait(p, TARGET, "it is off", is_off);
	unsigned defined = count(target, "define " WORLD_VM);
	give(p, TARGET, moving(p, TARGET, FIRST));
	wait(p, TARGET, "the target refuses", says_fault);
	g_assert_cmpuint(count(target, "define " WORLD_VM), ==, defined);
	g_assert_cmpint(world_find(target, "remove " WORLD_VM, 0), <, 0);
}

static void test_not_started(struct pair *p, gconstpointer data)
{
	struct world *target = &p->worlds[TARGET];

	prepare(p);
	world_run(200);
	world_stop_agent(target);
	world_start_agent(target, true);
	wait(p, TARGET, "it is ready again", says_ready);
	g_assert_cmpuint(count(target, "start " WORLD_VM), ==, 0);
	g_assert_cmpint(world_machine(target, WORLD_VM), ==, VM_STOPPED);
	give(p, TARGET, empty(p));
	wait(p, TARGET, "nothing is left", is_forgotten);
}

/* ---- the guest's notice ---- */

static json_t *events_of(struct world *w)
{
	return events_document(agent_events(w->agent), WORLD_VM, "myvm");
}

static const char *event_text(const json_t *document, const char *member)
{
	const char *words = json_string_value(
		json_object_get(json_array_get(json_object_get(document, "Events"), 0), member));

	return words ? words : "";
}

static void test_notice(struct pair *p, gconstpointer data)
{
	struct world *source = &p->worlds[SOURCE];
	struct goal *goal = NULL;
	g_autoptr(GError) error = NULL;

	bring_up(p);
	give(p, TARGET, moving(p, TARGET, FIRST));
	wait(p, TARGET, "the target is ready", says_ready);
	goal = moving(p, SOURCE, FIRST);
	world_vm(goal)->migration.notice_s = 600;
	world_vm(goal)->migration.go = true;
	give(p, SOURCE, goal);
	wait(p, SOURCE, "it waits", says_moving);
	world_run(100);
	g_assert_cmpint(path_of(source), ==, PATH_EMULATED);
	json_auto_t *before = events_of(source);
	g_assert_cmpstr(event_text(before, "EventType"), ==, "Freeze");
	g_assert_cmpstr(event_text(before, "EventStatus"), ==, "Scheduled");
	json_auto_t *request =
		json_pack("{s:[{s:s}]}", "StartRequests", "EventId", event_text(before, "EventId"));
	events_acknowledge(agent_events(source->agent), WORLD_VM, request, &error);
	g_assert_no_error(error);
	wait(p, SOURCE, "it goes once the guest lets it", says_moved);
}

/* Whoever has no certificate of the cloud for the peer's name gets nothing moved. */
static void test_wrong_peer(struct pair *p, gconstpointer data)
{
	struct goal *goal = NULL;

	bring_up(p);
	give(p, SOURCE, moving(p, SOURCE, FIRST));
	goal = moving(p, TARGET, FIRST);
	g_free(world_vm(goal)->migration.peer);
	world_vm(goal)->migration.peer = g_strdup("host-c");
	give(p, TARGET, goal);
	wait(p, TARGET, "the target is ready for another host", says_ready);
	give_go(p, false);
	assert_stays(p, "the connections cannot be copied");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(title, fn) g_test_add("/migration/" title, struct pair, NULL, setup, fn, teardown)
	ADD("functions go first, connections are copied twice, and the NIC arrives with the machine",
		test_way);
	ADD("once it has stopped, what is for it goes to the target", test_between);
	ADD("what is for it comes to it again when it goes on here", test_between_fails);
	ADD("the host where it is hears what the wire brings for it", test_heard);
	ADD("a machine that has moved can move back", test_back);
	ADD("a target that fails leaves it where it was, with its function", test_target_fails);
	ADD("connections that cannot be copied keep it where it is", test_export_fails);
	ADD("a guest that keeps its function stays, with the reason", test_guest_keeps);
	ADD("a machine that is off moves by its disk, and starts there", test_off);
	ADD("a disk that came in vain goes, and the machine starts where it was", test_off_in_vain);
	ADD("a disk that cannot be read stays where it is, with the reason", test_off_refused);
	ADD("a disk is sent again to a target that was away", test_off_again);
	ADD("a machine that has ended is not moved", test_not_running);
	ADD("what was cancelled in time does not begin", test_cancel_early);
	ADD("what is under way is cancelled by the VM manager", test_cancel);
	ADD("an agent that ends takes the machine off its way", test_agent_stops);
	ADD("what was cut off before its arrival goes on here", test_cut_before);
	ADD("what was cut off after its arrival goes on there", test_cut_after);
	ADD("what has moved is not started again, whatever the goal says", test_moved_stays_away);
	ADD("a disk that should not be there is not overwritten", test_strange_disk);
	ADD("what is expected is not started, and prepared anew by the next agent", test_not_started);
	ADD("a guest gets its notice, and may let the machine go earlier", test_notice);
	ADD("a host that is not the goal's peer gets nothing", test_wrong_peer);
	return g_test_run();
}
