/* A running machine moves between two hosts of this machine: two libvirt daemons with host names, folders and network
 * namespaces of their own, joined by two tunnels as two agents would. */
#include "agent/tunnel.h"
#include "base/fault.h"
#include "base/pki.h"
#include "vm/libvirt_rig.h"
#include "vm/vhost_peer.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define GROW_WAIT_S 30

struct world {
	struct rig *from, *to; /* Owned */
	struct tunnel *from_tunnel, *to_tunnel; /* Owned */
	char *dir; /* Owned: certificates and spools */
};

/* One running guest that counts on its console, and its definition on the target. */
struct subject {
	struct world *w;
	struct vm_manager *from, *to;
	struct vm_spec *here, *there;
	struct tunnel_peer peer; /* the target's end */
	char *uid; /* of the migration */
	struct vm_migration migration;
	void (*trouble)(struct subject *s); /* what happens in its middle; NULL: nothing */
};

/* ---- hosts ---- */

static struct tunnel *tunnel_of(const struct world *w, const char *host, const char *listen)
{
	g_autofree char *certificate = g_strdup_printf("%s/%s.pem", w->dir, host);
	g_autofree char *key = g_strdup_printf("%s/%s.key", w->dir, host);
	g_autofree char *ca = g_strdup_printf("%s/ca.pem", w->dir),
			*spool = g_strdup_printf("%s/%s", w->dir, host);
	g_autoptr(GError) error = NULL;

	if (!pki_ensure_ca(w->dir, "test CA", &error) || !pki_ensure_leaf(w->dir, host, host, NULL, &error))
		g_error("%s", error->message);
	struct tunnel *tunnel = tunnel_new(
		&(struct tunnel_config){
			.certificate = certificate, .key = key, .ca = ca, .listen = listen, .spool = spool},
		&error);
	g_assert_no_error(error);
	return tunnel;
}

static void on_progress(unsigned percent, void *data)
{
	struct subject *s = data;
	void (*trouble)(struct subject *) = s->trouble;

	s->trouble = NULL; /* once */
	if (trouble)
		trouble(s);
}

static void join(struct subject *s)
{
	_cleanup_(vm_migration_paths_clear) struct vm_migration_paths out = {}, in = {};
	const struct tunnel_peer source = {.vm = s->here->uid, .migration = s->uid, .host = "host-from"};
	struct tunnel *from = s->w->from_tunnel;

	g_assert_true(s->from->ops->migration_paths(s->from, s->uid, false, &out, NULL));
	g_assert_true(s->to->ops->migration_paths(s->to, s->uid, true, &in, NULL));
	tunnel_admit(s->w->to_tunnel, &source, in.manager, in.memory, in.disk);
	g_assert_true(tunnel_forward(from, &s->peer, TUNNEL_LIBVIRT, out.manager, NULL));
	g_assert_true(tunnel_forward(from, &s->peer, TUNNEL_MEMORY, out.memory, NULL));
	g_assert_true(tunnel_forward(from, &s->peer, TUNNEL_DISK, out.disk, NULL));
}

static void part(struct subject *s)
{
	_cleanup_(vm_migration_paths_clear) struct vm_migration_paths in = {};

	tunnel_end(s->w->from_tunnel, s->uid);
	tunnel_end(s->w->to_tunnel, s->uid);
	g_assert_true(s->to->ops->migration_paths(s->to, s->uid, true, &in, NULL));
	g_unlink(in.memory);
	g_unlink(in.disk);
}

static void set_up(struct subject *s, const void *data)
{
	struct world *w = (struct world *)data;
	struct conformance *from = &w->from->c, *to = &w->to->c;
	g_autoptr(GError) error = NULL;

	*s = (struct subject){.w = w, .from = from->manager, .to = to->manager};
	s->here = conformance_spec(from, "traveller");
	s->there = conformance_twin(from, s->here);
	s->uid = g_uuid_string_random();
	s->migration = (struct vm_migration){.uid = s->uid, .progress = on_progress, .data = s};
	s->peer = (struct tunnel_peer){.vm = s->here->uid,
		.migration = s->uid,
		.host = "host-to",
		.address = tunnel_address(w->to_tunnel)};
	g_assert_true(s->from->ops->define(s->from, s->here, &error));
	from->serve(from, s->here);
	g_assert_true(s->from->ops->start(s->from, s->here->uid, &error));
	g_assert_true(s->to->ops->define(s->to, s->there, &error));
	to->serve(to, s->there);
	join(s);
	from->await_guest(from, s->here);
	rig_type(s->here, "(i=0; while :; do i=$((i + 1)); echo tick-$i; sleep 1; done) &");
}

/* Names in a folder of one of the daemons that begin as this migration's sockets do. */
static bool has_sockets(struct rig *rig, const char *uid)
{
	g_autoptr(GDir) dir = g_dir_open(vm_daemon_qemu_dir(rig->daemon), 0, NULL);
	const char *name;

	while ((name = g_dir_read_name(dir)))
		if (g_str_has_prefix(name, uid))
			return true;
	return false;
}

static void tear_down(struct subject *s, const void *data)
{
	struct world *w = s->w;

	part(s);
	g_assert_true(s->from->ops->remove(s->from, s->here->uid, NULL));
	g_assert_true(s->to->ops->remove(s->to, s->here->uid, NULL));
	g_assert_false(g_file_test(s->here->directory, G_FILE_TEST_EXISTS));
	g_assert_false(g_file_test(s->there->directory, G_FILE_TEST_EXISTS));
	g_assert_false(has_sockets(w->from, s->uid));
	g_assert_false(has_sockets(w->to, s->uid));
	w->from->c.unserve(&w->from->c, s->here);
	w->to->c.unserve(&w->to->c, s->there);
	vm_spec_free(s->here);
	vm_spec_free(s->there);
	g_free(s->uid);
}

/* ---- guests ---- */

static char *console(const struct vm_spec *spec)
{
	g_autofree char *path = g_build_filename(spec->directory, VM_CONSOLE_LOG, NULL);
	char *log = NULL;

	g_file_get_contents(path, &log, NULL, NULL);
	return log ? log : g_strdup("");
}

/* The number after the last `word` on a console; 0: there is none. */
static unsigned long last_number(const struct vm_spec *spec, const char *word)
{
	g_autofree char *log = console(spec);
	const char *at = g_strrstr(log, word);

	return at ? strtoul(at + strlen(word), NULL, 10) : 0;
}

static void await_tick_after(const struct vm_spec *spec, unsigned long tick)
{
	gint64 end = g_get_monotonic_time() + GROW_WAIT_S * G_USEC_PER_SEC;

	while (last_number(spec, "tick-") <= tick && g_get_monotonic_time() < end)
		g_usleep(100000);
	g_assert_cmpuint(last_number(spec, "tick-"), >, tick);
}

/* What a guest's line prints after `word`. */
static char *ask(const struct vm_spec *spec, const char *word, const char *line)
{
	g_autofree char *command = g_strdup_printf("echo %s$(%s).", word, line);
	g_autofree char *log = NULL;
	gint64 end = g_get_monotonic_time() + GROW_WAIT_S * G_USEC_PER_SEC;
	const char *at = NULL;

	rig_type(spec, command);
	do {
		g_usleep(100000);
		g_free(log);
		log = console(spec);
		at = g_strrstr(log, word);
	} while ((!at || at[strlen(word)] == '$' || !strchr(at, '.')) && g_get_monotonic_time() < end);
	g_assert_nonnull(at);
	at += strlen(word);
	return g_strndup(at, strcspn(at, " ."));
}

/* Where each PCI device is, by its own configuration space: not what the guest remembers of it. */
static char *pci_devices(const struct vm_spec *spec)
{
	return ask(spec, "pci-",
		"cd /sys/bus/pci/devices; for d in *; do echo $d; head -c 4 $d/config; done | md5sum");
}

/* The guest's addresses in the running machine's definition. */
static char *addresses(struct rig *rig, const struct vm_spec *spec)
{
	g_autofree char *command = g_strdup_printf(
		"sh -c \"virsh -q -c '%s' dumpxml %s | grep -o \\\"<address type='pci'.*>\\\"\"",
		vm_daemon_uri(rig->daemon), spec->uid);
	char *text = NULL;

	g_assert_true(g_spawn_command_line_sync(command, &text, NULL, NULL, NULL));
	g_assert_nonnull(strstr(text, "bus="));
	return text;
}

static bool migrate(struct subject *s, GError **error)
{
	return s->from->ops->migrate(s->from, s->here->uid, &s->migration, error);
}

/* It runs on one side, and the other has no process of it. */
static void assert_runs(struct subject *s, struct rig *on, struct rig *not_on)
{
	g_assert_cmpint(conformance_state(&on->c, s->here->uid, NULL), ==, VM_RUNNING);
	g_assert_cmpint(conformance_state(&not_on->c, s->here->uid, NULL), !=, VM_RUNNING);
	g_assert_cmpint(rig_qemu_pid(on, s->here), >, 1);
	g_assert_cmpint(rig_qemu_pid(not_on, s->here), ==, 0);
}

static void assert_moved(struct subject *s)
{
	assert_runs(s, s->w->to, s->w->from);
	g_assert_cmpint(conformance_state(&s->w->from->c, s->here->uid, NULL), ==, VM_ABSENT);
	g_assert_false(g_file_test(s->here->directory, G_FILE_TEST_EXISTS));
}

/* ---- tests ---- */

static void a_machine_goes_on_over_there_with_memory_disk_and_devices(struct subject *s, const void *data)
{
	g_autofree char *pci = pci_devices(s->here), *places = addresses(s->w->from, s->here);
	g_autoptr(GError) error = NULL;

	rig_type(s->here, "echo carried-in-the-overlay >/dev/vda; sync; echo wrote-$((1 + 1))");
	rig_await_console(s->here, "wrote-2", 1);
	g_autofree char *uptime = ask(s->here, "uptime-", "cut -d. -f1 /proc/uptime");
	unsigned long tick = last_number(s->here, "tick-");
	gint64 begin = g_get_monotonic_time();
	bool moved = migrate(s, &error);
	g_assert_no_error(error);
	g_assert_true(moved);
	g_test_message("it took %" G_GINT64_FORMAT " ms", (g_get_monotonic_time() - begin) / 1000);
	assert_moved(s);
	await_tick_after(s->there, tick);
	g_autofree char *log = console(s->there);
	g_assert_null(strstr(log, "GUEST-UP"));
	g_autofree char *later = ask(s->there, "uptime-", "cut -d. -f1 /proc/uptime");
	g_assert_cmpuint(strtoul(later, NULL, 10), >=, strtoul(uptime, NULL, 10));
	g_autofree char *found =
		ask(s->there, "found-", "echo 3 >/proc/sys/vm/drop_caches; head -c 22 /dev/vda");
	g_assert_cmpstr(found, ==, "carried-in-the-overlay");
	g_autofree char *pci_there = pci_devices(s->there), *places_there = addresses(s->w->to, s->here);
	g_assert_cmpstr(pci_there, ==, pci);
	g_assert_cmpstr(places_there, ==, places);
	g_assert_true(vhost_peer_is_ready(g_hash_table_lookup(s->w->to->peers, s->here->uid)));
}

static void what_was_left_behind_by_a_daemon_that_died_is_forgotten(struct subject *s, const void *data)
{
	g_autoptr(GError) first = NULL, again = NULL;

	g_assert_true(migrate(s, &first));
	g_assert_no_error(first);
	/* As it is when the source's daemon died once its machine had ended, and is back. */
	g_assert_true(s->from->ops->define(s->from, s->here, NULL));
	bool moved = migrate(s, &again);
	g_assert_no_error(again);
	g_assert_true(moved);
	assert_moved(s);
}

static void cancel(struct subject *s)
{
	g_assert_true(s->from->ops->migrate_cancel(s->from, s->here->uid, NULL));
}

static void cut_streams(struct subject *s)
{
	tunnel_end(s->w->to_tunnel, s->uid);
}

static void kill_source_daemon(struct subject *s)
{
	rig_kill_daemon(s->w->from);
}

static void kill_target_daemon(struct subject *s)
{
	rig_kill_daemon(s->w->to);
}

static void kill_target_machine(struct subject *s)
{
	pid_t pid = rig_qemu_pid(s->w->to, s->there);

	g_assert_cmpint(pid, >, 1);
	g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
}

/* In the middle of the copy something happens, and the failure says so; the machine stays, and moves when it is asked to again. */
static void check_trouble(struct subject *s, void (*trouble)(struct subject *), const char *says)
{
	g_autoptr(GError) failure = NULL, error = NULL;

	rig_set_speed(s->w->from, s->here, 1);
	s->trouble = trouble;
	g_assert_false(migrate(s, &failure));
	g_test_message("%s", failure->message);
	g_assert_nonnull(strstr(failure->message, says));
	if (!s->w->from->daemon_pid)
		rig_start_daemon(s->w->from);
	if (!s->w->to->daemon_pid)
		rig_start_daemon(s->w->to);
	tunnel_end(s->w->from_tunnel, s->uid);
	join(s);
	unsigned long tick = last_number(s->here, "tick-");
	await_tick_after(s->here, tick);
	assert_runs(s, s->w->from, s->w->to);
	rig_set_speed(s->w->from, s->here, 1000);
	bool moved = migrate(s, &error);
	g_assert_no_error(error);
	g_assert_true(moved);
	assert_moved(s);
	await_tick_after(s->there, tick);
}

static void a_cancelled_migration_leaves_it_running_and_can_be_made_again(struct subject *s, const void *data)
{
	check_trouble(s, cancel, "was cancelled");
}

static void a_migration_whose_streams_are_cut_leaves_it_running(struct subject *s, const void *data)
{
	check_trouble(s, cut_streams, "");
}

static void a_source_daemon_that_dies_in_the_middle_leaves_it_running(struct subject *s, const void *data)
{
	check_trouble(s, kill_source_daemon, "");
}

static void a_target_daemon_that_dies_in_the_middle_leaves_it_running(struct subject *s, const void *data)
{
	check_trouble(s, kill_target_daemon, "");
}

static void a_target_machine_that_dies_in_the_middle_leaves_it_running(struct subject *s, const void *data)
{
	check_trouble(s, kill_target_machine, "its QEMU failed on one of the hosts");
}

static void a_target_whose_switch_does_not_come_is_given_up(struct subject *s, const void *data)
{
	struct conformance *to = &s->w->to->c;
	g_autoptr(GError) failure = NULL, error = NULL;

	to->unserve(to, s->there);
	g_assert_false(migrate(s, &failure));
	g_assert_nonnull(strstr(failure->message, "was not ready on the target"));
	tunnel_end(s->w->from_tunnel, s->uid);
	join(s);
	assert_runs(s, s->w->from, s->w->to);
	to->serve(to, s->there);
	bool moved = migrate(s, &error);
	g_assert_no_error(error);
	g_assert_true(moved);
	assert_moved(s);
}

static void skip(const void *reason)
{
	g_test_skip(reason);
}

static void add(struct world *w)
{
	static const struct {
		const char *name;
		void (*run)(struct subject *, const void *);
	} tests[] = {
		{"a machine goes on over there, with memory, disk and devices",
			a_machine_goes_on_over_there_with_memory_disk_and_devices},
		{"what was left behind by a daemon that died is forgotten",
			what_was_left_behind_by_a_daemon_that_died_is_forgotten},
		{"a cancelled migration leaves it running, and can be made again",
			a_cancelled_migration_leaves_it_running_and_can_be_made_again},
		{"a migration whose streams are cut leaves it running",
			a_migration_whose_streams_are_cut_leaves_it_running},
		{"a source's daemon that dies in the middle leaves it running",
			a_source_daemon_that_dies_in_the_middle_leaves_it_running},
		{"a target's daemon that dies in the middle leaves it running",
			a_target_daemon_that_dies_in_the_middle_leaves_it_running},
		{"a target's QEMU that dies in the middle leaves it running",
			a_target_machine_that_dies_in_the_middle_leaves_it_running},
		{"a target whose switch does not come is given up, and it moves when that has",
			a_target_whose_switch_does_not_come_is_given_up},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
		g_autofree char *path = g_strdup_printf("/migration/%s", tests[i].name);
		g_test_add(path, struct subject, w, set_up, tests[i].run, tear_down);
	}
}

static void clear(struct world *w)
{
	if (w->from_tunnel) {
		tunnel_free(w->from_tunnel);
		tunnel_free(w->to_tunnel);
	}
	if (w->from)
		rig_free(w->from);
	if (w->to)
		rig_free(w->to);
	g_free(w->dir);
}
CLEANUP_CLEAR_FUNC(struct world, clear)

int main(int argc, char **argv)
{
	g_autofree char *reason = NULL;
	_cleanup_(clear) struct world w = {};

	g_test_init(&argc, &argv, NULL);
	g_test_set_nonfatal_assertions(); /* a failed test still removes its machine */
	g_log_set_always_fatal(G_LOG_LEVEL_ERROR); /* that a daemon went away is logged */
	w.to = rig_new(&reason);
	w.from = w.to ? rig_new(&reason) : NULL;
	if (w.from) {
		rig_join(w.from, w.to);
		w.dir = g_build_filename(w.from->root, "tls", NULL);
		w.to_tunnel = tunnel_of(&w, "host-to", "127.0.0.1:0");
		w.from_tunnel = tunnel_of(&w, "host-from", NULL);
		add(&w);
	} else {
		g_test_add_data_func("/migration/two hosts", reason, skip);
	}
	return g_test_run();
}
