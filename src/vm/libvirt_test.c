/* The libvirt provider with a real private daemon, real QEMU and a real guest. */
#include "base/fault.h"
#include "vm/libvirt_rig.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>

/* One started VM, for the length of one test. */
struct subject {
	struct rig *rig;
	struct conformance *c;
	struct vm_manager *manager;
	const struct vm_ops *ops;
	struct vm_spec *spec;
};

static void set_up(struct subject *s, const void *data)
{
	g_autoptr(GError) error = NULL;

	s->rig = (struct rig *)data;
	s->c = &s->rig->c;
	s->manager = s->c->manager;
	s->ops = s->manager->ops;
	s->spec = conformance_spec(s->c, "it's <web> & more");
	s->ops->define(s->manager, s->spec, &error);
	g_assert_no_error(error);
	s->c->serve(s->c, s->spec);
	s->ops->start(s->manager, s->spec->uid, &error);
	g_assert_no_error(error);
	conformance_await(s->c, s->spec->uid, VM_RUNNING, NULL);
}

static void tear_down(struct subject *s, const void *data)
{
	g_autoptr(GError) error = NULL;

	s->ops->remove(s->manager, s->spec->uid, &error);
	g_assert_no_error(error);
	s->c->unserve(s->c, s->spec);
	vm_spec_free(s->spec);
}

struct opening {
	const char *uri;
	struct vm_manager *manager; /* Owned */
	GError *error; /* Owned */
};

static void *open_another(void *data)
{
	struct opening *opening = data;

	opening->manager = vm_libvirt_open(
		&(struct vm_libvirt_config){.uri = opening->uri}, NULL, NULL, &opening->error);
	return NULL;
}

static void a_manager_opens_while_its_daemon_is_being_started_again(struct subject *s, const void *data)
{
	struct opening opening = {.uri = vm_daemon_uri(s->rig->daemon)};
	struct vm_host host = {};
	g_autoptr(GError) error = NULL;

	rig_kill_daemon(s->rig);
	GThread *opener = g_thread_new("opener", open_another, &opening);
	g_usleep(G_USEC_PER_SEC);
	rig_start_daemon(s->rig);
	g_thread_join(opener);
	g_assert_no_error(opening.error);
	g_assert_true(opening.manager->ops->host(opening.manager, &host, &error));
	g_assert_no_error(error);
	vm_host_clear(&host);
	vm_manager_close(opening.manager);
}

static void running_vms_survive_a_killed_daemon_and_are_adopted(struct subject *s, const void *data)
{
	pid_t qemu = rig_qemu_pid(s->rig, s->spec);
	g_autoptr(GError) away = NULL, error = NULL;

	s->c->await_guest(s->c, s->spec);
	rig_kill_daemon(s->rig);
	g_assert_null(s->ops->list(s->manager, &away));
	g_assert_error(away, FAULT, FAULT_UNAVAILABLE);
	g_assert_cmpint(kill(qemu, 0), ==, 0);
	rig_type(s->spec, "echo still-$((20 + 1))");
	rig_await_console(s->spec, "still-21", 1);
	rig_start_daemon(s->rig);
	g_assert_cmpint(conformance_state(s->c, s->spec->uid, NULL), ==, VM_RUNNING);
	g_assert_cmpint(rig_qemu_pid(s->rig, s->spec), ==, qemu);
	conformance_await(s->c, NULL, VM_ABSENT, NULL); /* it was away */
	s->ops->stop(s->manager, s->spec->uid, 0, &error);
	g_assert_no_error(error);
	conformance_await(s->c, s->spec->uid, VM_STOPPED, NULL);
	g_assert_cmpint(kill(qemu, 0), ==, -1);
}

static void what_died_while_the_daemon_was_away_is_told_when_it_is_back(struct subject *s, const void *data)
{
	rig_kill_daemon(s->rig);
	s->c->kill(s->c, s->spec);
	rig_start_daemon(s->rig);
	conformance_await(s->c, s->spec->uid, VM_CRASHED, NULL);
	g_assert_cmpint(conformance_state(s->c, s->spec->uid, NULL), ==, VM_CRASHED);
}

static void a_guest_that_panics_is_told_as_crashed(struct subject *s, const void *data)
{
	s->c->await_guest(s->c, s->spec);
	rig_type(s->spec, "echo c >/proc/sysrq-trigger");
	conformance_await(s->c, s->spec->uid, VM_CRASHED, NULL);
	g_assert_cmpint(conformance_state(s->c, s->spec->uid, NULL), ==, VM_CRASHED);
}

/* A VM in a file system of its own, of so many MiB, which the daemon sees from its next start on. */
static struct vm_spec *make_cramped(struct subject *s, const char *folder, unsigned mib)
{
	g_autofree char *options = g_strdup_printf("size=%um", mib);
	struct vm_spec *spec = conformance_spec(s->c, "cramped");
	struct vm_nic *nic = spec->nics->pdata[0];

	g_assert_cmpint(g_mkdir(folder, 0755), ==, 0);
	g_assert_cmpint(mount("cramped", folder, "tmpfs", 0, options), ==, 0);
	rig_kill_daemon(s->rig);
	rig_start_daemon(s->rig);
	conformance_await(s->c, NULL, VM_ABSENT, NULL);
	g_free(spec->directory);
	g_free(nic->vhost_socket);
	spec->directory = g_build_filename(folder, spec->uid, NULL);
	nic->vhost_socket = g_build_filename(spec->directory, "nic0.sock", NULL);
	return spec;
}

static void a_machine_whose_disk_fails_is_there_with_its_primary_until_it_is_stopped(
	struct subject *s, const void *data)
{
	g_autofree char *folder = g_build_filename(s->rig->root, "cramped", NULL), *detail = NULL;
	_cleanup_(vm_spec_free) struct vm_spec *spec = make_cramped(s, folder, 4);
	const struct vm_nic *nic = spec->nics->pdata[0];
	const struct vm_primary primary = {.nic_uid = nic->uid, .mac = nic->mac, .tap = s->c->tap};
	g_autoptr(GError) error = NULL;
	bool plugged = false;

	s->ops->define(s->manager, spec, &error);
	g_assert_no_error(error);
	s->c->serve(s->c, spec);
	s->ops->start(s->manager, spec->uid, &error);
	g_assert_no_error(error);
	s->c->await_guest(s->c, spec);
	s->ops->plug(s->manager, spec->uid, &primary, &error);
	g_assert_no_error(error);
	pid_t qemu = rig_qemu_pid(s->rig, spec);
	rig_type(spec, "dd if=/dev/urandom of=/dev/vda bs=1M count=16; sync");
	conformance_await(s->c, spec->uid, VM_CRASHED, NULL);
	g_assert_cmpint(conformance_state(s->c, spec->uid, &detail), ==, VM_CRASHED);
	g_test_message("%s", detail);
	g_assert_nonnull(g_strrstr(detail, "I/O error"));
	g_assert_cmpint(kill(qemu, 0), ==, 0);
	s->ops->plugged(s->manager, spec->uid, nic->uid, &plugged, &error);
	g_assert_no_error(error);
	g_assert_true(plugged);
	s->ops->stop(s->manager, spec->uid, 0, &error);
	g_assert_no_error(error);
	g_assert_cmpint(kill(qemu, 0), ==, -1);
	g_assert_cmpint(conformance_state(s->c, spec->uid, NULL), ==, VM_STOPPED);
	s->ops->remove(s->manager, spec->uid, &error);
	g_assert_no_error(error);
	s->c->unserve(s->c, spec);
	g_assert_cmpint(umount2(folder, MNT_DETACH), ==, 0);
	g_assert_cmpint(g_rmdir(folder), ==, 0);
}

static void a_guest_that_heeds_the_power_button_stops_before_its_grace_ends(
	struct subject *s, const void *data)
{
	gint64 start = g_get_monotonic_time();
	g_autoptr(GError) error = NULL;

	s->c->await_guest(s->c, s->spec);
	s->ops->stop(s->manager, s->spec->uid, 60, &error);
	g_assert_no_error(error);
	g_assert_cmpint(g_get_monotonic_time() - start, <, 30 * G_USEC_PER_SEC);
	conformance_await(s->c, s->spec->uid, VM_STOPPED, NULL);
}

static void a_guest_that_does_not_is_turned_off_after_its_grace(struct subject *s, const void *data)
{
	g_autoptr(GError) error = NULL;

	s->c->await_guest(s->c, s->spec);
	rig_type(s->spec, "killall acpid; echo deaf-$((1 + 1))");
	rig_await_console(s->spec, "deaf-2", 1);
	gint64 start = g_get_monotonic_time();
	s->ops->stop(s->manager, s->spec->uid, 2, &error);
	g_assert_no_error(error);
	g_assert_cmpint(g_get_monotonic_time() - start, >=, 2 * G_USEC_PER_SEC);
	conformance_await(s->c, s->spec->uid, VM_STOPPED, NULL);
}

static void a_guest_that_powers_itself_off_is_stopped_and_its_console_log_is_kept(
	struct subject *s, const void *data)
{
	g_autoptr(GError) error = NULL;

	s->c->await_guest(s->c, s->spec);
	rig_type(s->spec, "poweroff -f");
	conformance_await(s->c, s->spec->uid, VM_STOPPED, NULL);
	s->ops->start(s->manager, s->spec->uid, &error);
	g_assert_no_error(error);
	rig_await_console(s->spec, "GUEST-UP", 2);
}

static void the_guest_sees_what_the_spec_says(struct subject *s, const void *data)
{
	s->c->await_guest(s->c, s->spec);
	rig_type(s->spec, "echo cpus-$(grep -c ^processor /proc/cpuinfo) disk-$(cat /sys/block/vda/size)");
	rig_await_console(s->spec, "cpus-1 disk-131072", 1);
	/* The standby has joined its master: a team, not a lone NIC. */
	rig_type(s->spec, "echo $(cat /sys/class/net/eth0/address) $(cd /sys/class/net; echo eth0/lower_*)");
	rig_await_console(s->spec, "00:0d:3a:00:00:04 eth0/lower_eth", 1);
}

static void a_guest_that_does_not_answer_holds_its_primary_until_it_does(struct subject *s, const void *data)
{
	const struct vm_nic *nic = s->spec->nics->pdata[0];
	const struct vm_primary primary = {.nic_uid = nic->uid, .mac = nic->mac, .tap = s->c->tap};
	g_autoptr(GError) refused = NULL, error = NULL;
	bool plugged = false;

	s->c->await_guest(s->c, s->spec);
	rig_virsh(s->rig, "suspend", s->spec);
	s->ops->plug(s->manager, s->spec->uid, &primary, &error);
	g_assert_no_error(error);
	g_assert_false(s->ops->unplug(s->manager, s->spec->uid, &primary, 700, &refused));
	g_assert_error(refused, FAULT, FAULT_UNAVAILABLE);
	s->ops->plugged(s->manager, s->spec->uid, nic->uid, &plugged, NULL);
	g_assert_true(plugged);
	rig_virsh(s->rig, "resume", s->spec);
	s->ops->unplug(s->manager, s->spec->uid, &primary, 30000, &error);
	g_assert_no_error(error);
}

static void a_primary_on_a_tap_that_is_not_there_is_refused_by_name(struct subject *s, const void *data)
{
	const struct vm_nic *nic = s->spec->nics->pdata[0];
	const struct vm_primary primary = {.nic_uid = nic->uid, .mac = nic->mac, .tap = "no-such-tap"};
	g_autoptr(GError) error = NULL;

	g_assert_false(s->ops->plug(s->manager, s->spec->uid, &primary, &error));
	g_assert_nonnull(error);
	g_assert_nonnull(g_strrstr(error->message, "no-such-tap"));
}

static void an_image_that_is_not_there_is_refused(struct subject *s, const void *data)
{
	_cleanup_(vm_spec_free) struct vm_spec *spec = conformance_spec(s->c, "misfit");
	g_autoptr(GError) error = NULL;

	g_free(spec->image);
	spec->image = g_strdup("no-such-image");
	g_assert_false(s->ops->define(s->manager, spec, &error));
	g_assert_error(error, FAULT, FAULT_NOT_FOUND);
	g_assert_cmpint(conformance_state(s->c, spec->uid, NULL), ==, VM_ABSENT);
}

static void a_disk_is_kept_when_its_vm_is_defined_again(struct subject *s, const void *data)
{
	g_autoptr(GError) error = NULL;

	s->c->await_guest(s->c, s->spec);
	rig_type(s->spec, "echo written-before >/dev/vda; sync; poweroff -f");
	conformance_await(s->c, s->spec->uid, VM_STOPPED, NULL);
	s->spec->memory_mib += 64;
	s->ops->define(s->manager, s->spec, &error);
	g_assert_no_error(error);
	s->ops->start(s->manager, s->spec->uid, &error);
	g_assert_no_error(error);
	rig_await_console(s->spec, "GUEST-UP", 2);
	rig_type(s->spec, "echo found-$(head -c 14 /dev/vda)");
	rig_await_console(s->spec, "found-written-before", 1);
}

static void the_hosts_own_libvirt_is_not_touched(struct subject *s, const void *data)
{
	g_autofree char *socket = g_build_filename(s->rig->root, "libvirt/run/libvirt-sock", NULL);
	g_autofree char *definitions = g_build_filename(s->rig->root, "libvirt/etc/qemu", NULL);
	g_autofree char *name = g_strdup_printf("it_s__web____more-%.8s.xml", s->spec->uid);
	g_autofree char *ours = g_build_filename(definitions, name, NULL);
	g_autofree char *hosts = g_build_filename("/etc/libvirt/qemu", name, NULL);

	g_assert_true(g_file_test(socket, G_FILE_TEST_EXISTS));
	g_assert_true(g_file_test(ours, G_FILE_TEST_EXISTS));
	g_assert_false(g_file_test(hosts, G_FILE_TEST_EXISTS));
	g_assert_false(g_file_test("/run/libvirt/libvirtd.pid", G_FILE_TEST_EXISTS));
}

static void skip_all(const void *reason)
{
	g_test_skip(reason);
}

static void add(struct rig *rig)
{
	static const struct {
		const char *name;
		void (*run)(struct subject *, const void *);
	} tests[] = {
		{"the guest sees what the spec says", the_guest_sees_what_the_spec_says},
		{"the host's own libvirt is not touched", the_hosts_own_libvirt_is_not_touched},
		{"running VMs survive a killed daemon and are adopted",
			running_vms_survive_a_killed_daemon_and_are_adopted},
		{"what died while the daemon was away is told when it is back",
			what_died_while_the_daemon_was_away_is_told_when_it_is_back},
		{"a guest that panics is told as crashed", a_guest_that_panics_is_told_as_crashed},
		{"a machine whose disk fails is there, with its primary, until it is stopped",
			a_machine_whose_disk_fails_is_there_with_its_primary_until_it_is_stopped},
		{"a guest that heeds the power button stops before its grace ends",
			a_guest_that_heeds_the_power_button_stops_before_its_grace_ends},
		{"a guest that does not is turned off after its grace",
			a_guest_that_does_not_is_turned_off_after_its_grace},
		{"a guest that powers itself off is stopped and its console log is kept",
			a_guest_that_powers_itself_off_is_stopped_and_its_console_log_is_kept},
		{"a guest that does not answer holds its primary until it does",
			a_guest_that_does_not_answer_holds_its_primary_until_it_does},
		{"a primary on a tap that is not there is refused by name",
			a_primary_on_a_tap_that_is_not_there_is_refused_by_name},
		{"a manager opens while its daemon is being started again",
			a_manager_opens_while_its_daemon_is_being_started_again},
		{"a disk is kept when its VM is defined again", a_disk_is_kept_when_its_vm_is_defined_again},
		{"an image that is not there is refused", an_image_that_is_not_there_is_refused},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
		g_autofree char *path = g_strdup_printf("/vm/libvirt/%s", tests[i].name);
		g_test_add(path, struct subject, rig, set_up, tests[i].run, tear_down);
	}
}

int main(int argc, char **argv)
{
	g_autofree char *reason = NULL;

	g_test_init(&argc, &argv, NULL);
	g_test_set_nonfatal_assertions(); /* a failed test still removes its machine */
	g_log_set_always_fatal(G_LOG_LEVEL_ERROR); /* that the daemon went away is logged */
	_cleanup_(rig_free) struct rig *target = rig_new(&reason);
	_cleanup_(rig_free) struct rig *rig = target ? rig_new(&reason) : NULL;
	if (rig) {
		rig_join(rig, target);
		conformance_add("vm/libvirt", &rig->c);
		add(rig);
	} else {
		g_test_add_data_func("/vm/libvirt/a real machine", reason, skip_all);
	}
	return g_test_run();
}
