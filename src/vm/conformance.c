/* What vm.h promises, checked on any manager. */
#include "vm/conformance.h"

#include "base/fault.h"

#include <string.h>

#define EVENT_WAIT_S   20
#define UNPLUG_WAIT_MS 15000

struct told {
	char *uid, *gone_nic;
	enum vm_state state;
};

static void told_free(void *data)
{
	struct told *told = data;

	g_free(told->uid);
	g_free(told->gone_nic);
	g_free(told);
}

void conformance_event(const char *uid, enum vm_state state, const char *gone_nic, void *data)
{
	struct conformance *c = data;
	struct told *told = g_new0(struct told, 1);

	told->uid = g_strdup(uid);
	told->state = state;
	told->gone_nic = g_strdup(gone_nic);
	g_ptr_array_add(c->events, told);
}

struct vm_spec *conformance_spec(const struct conformance *c, const char *name)
{
	struct vm_spec *spec = vm_spec_new();
	struct vm_nic *nic = g_new0(struct vm_nic, 1);

	spec->uid = g_uuid_string_random();
	spec->name = g_strdup(name);
	spec->vcpus = 1;
	spec->memory_mib = 192;
	spec->image = g_strdup(c->image);
	spec->directory = g_build_filename(c->vm_root, spec->uid, NULL);
	nic->uid = g_uuid_string_random();
	g_assert_cmpint(mac_parse("00:0d:3a:00:00:04", &nic->mac), ==, 0);
	nic->mtu = 1450;
	nic->vhost_socket = g_build_filename(spec->directory, "nic0.sock", NULL);
	nic->teamed = true;
	nic->queues = 1;
	g_ptr_array_add(spec->nics, nic);
	return spec;
}

struct vm_spec *conformance_twin(const struct conformance *c, const struct vm_spec *spec)
{
	struct vm_spec *twin = conformance_spec(c->target, spec->name);
	struct vm_nic *nic = twin->nics->pdata[0];

	g_free(twin->uid);
	twin->uid = g_strdup(spec->uid);
	g_free(nic->uid);
	nic->uid = g_strdup(((const struct vm_nic *)spec->nics->pdata[0])->uid);
	return twin;
}

static bool take_event(struct conformance *c, const char *uid, enum vm_state state, const char *gone_nic)
{
	for (guint i = 0; i < c->events->len; i++) {
		const struct told *told = c->events->pdata[i];
		if (g_strcmp0(told->uid, uid) != 0 || told->state != state ||
			g_strcmp0(told->gone_nic, gone_nic) != 0)
			continue;
		g_ptr_array_remove_range(c->events, 0, i + 1);
		return true;
	}
	return false;
}

void conformance_await(struct conformance *c, const char *uid, enum vm_state state, const char *gone_nic)
{
	gint64 end = g_get_monotonic_time() + EVENT_WAIT_S * G_USEC_PER_SEC;

	while (!take_event(c, uid, state, gone_nic)) {
		if (g_get_monotonic_time() > end) {
			g_test_fail_printf("no event '%s' of vm %s within %d s",
				gone_nic ? "gone" : vm_state_name(state), uid, EVENT_WAIT_S);
			return;
		}
		if (!g_main_context_iteration(c->context, FALSE))
			g_usleep(5000);
	}
}

enum vm_state conformance_state(struct conformance *c, const char *uid, char **ret_detail)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) infos = c->manager->ops->list(c->manager, &error);

	g_assert_no_error(error);
	for (guint i = 0; i < infos->len; i++) {
		const struct vm_info *info = infos->pdata[i];
		if (!g_str_equal(info->uid, uid))
			continue;
		if (ret_detail)
			*ret_detail = g_strdup(info->detail);
		g_assert_true((info->detail != NULL) == (info->state == VM_CRASHED));
		return info->state;
	}
	return VM_ABSENT;
}

/* One VM, for the length of one test. */
struct subject {
	struct conformance *c;
	struct vm_manager *manager;
	const struct vm_ops *ops;
	struct vm_spec *spec;
	struct vm_primary primary;
};

static void set_up(struct subject *s, const void *data)
{
	s->c = (struct conformance *)data;
	s->manager = s->c->manager;
	s->ops = s->manager->ops;
	s->spec = conformance_spec(s->c, "conformance");
	const struct vm_nic *nic = s->spec->nics->pdata[0];
	s->primary = (struct vm_primary){.nic_uid = nic->uid, .mac = nic->mac, .tap = s->c->tap};
}

static void tear_down(struct subject *s, const void *data)
{
	g_autoptr(GError) error = NULL;

	s->ops->remove(s->manager, s->spec->uid, &error);
	g_assert_no_error(error);
	s->c->unserve(s->c, s->spec);
	g_assert_cmpint(conformance_state(s->c, s->spec->uid, NULL), ==, VM_ABSENT);
	g_assert_false(g_file_test(s->spec->directory, G_FILE_TEST_EXISTS));
	vm_spec_free(s->spec);
}

/* Calls an operation that must succeed. */
#define OK(call)                                                                                             \
	do {                                                                                                 \
		g_autoptr(GError) error = NULL;                                                              \
		bool ok = (call);                                                                            \
		g_assert_no_error(error);                                                                    \
		g_assert_true(ok);                                                                           \
	} while (0)

/* Calls an operation that must fail with this fault and a sentence. */
#define FAILS(call, fault)                                                                                   \
	do {                                                                                                 \
		g_autoptr(GError) error = NULL;                                                              \
		g_assert_false(call);                                                                        \
		g_assert_error(error, FAULT, fault);                                                         \
		g_assert_cmpuint(strlen(error->message), >, 10);                                             \
	} while (0)

static void define_and_start(struct subject *s)
{
	OK(s->ops->define(s->manager, s->spec, &error));
	s->c->serve(s->c, s->spec);
	OK(s->ops->start(s->manager, s->spec->uid, &error));
}

static void the_host_says_what_runs_its_machines(struct subject *s, const void *data)
{
	struct vm_host host = {};

	OK(s->ops->host(s->manager, &host, &error));
	g_assert_cmpuint(strlen(host.accel_detail), >, 10);
	g_assert_nonnull(host.version);
	g_test_message("%s; %s", host.version, host.accel_detail);
	vm_host_clear(&host);
}

static void a_vm_is_stopped_then_running_then_stopped_and_each_is_told(struct subject *s, const void *data)
{
	const char *uid = s->spec->uid;

	OK(s->ops->define(s->manager, s->spec, &error));
	conformance_await(s->c, uid, VM_STOPPED, NULL);
	g_assert_cmpint(conformance_state(s->c, uid, NULL), ==, VM_STOPPED);
	s->c->serve(s->c, s->spec);
	OK(s->ops->start(s->manager, uid, &error));
	conformance_await(s->c, uid, VM_RUNNING, NULL);
	g_assert_cmpint(conformance_state(s->c, uid, NULL), ==, VM_RUNNING);
	OK(s->ops->reset(s->manager, uid, &error));
	g_assert_cmpint(conformance_state(s->c, uid, NULL), ==, VM_RUNNING);
	OK(s->ops->stop(s->manager, uid, 0, &error));
	conformance_await(s->c, uid, VM_STOPPED, NULL);
	g_assert_cmpint(conformance_state(s->c, uid, NULL), ==, VM_STOPPED);
	OK(s->ops->remove(s->manager, uid, &error));
	conformance_await(s->c, uid, VM_ABSENT, NULL);
}

static void what_is_so_already_succeeds(struct subject *s, const void *data)
{
	const char *uid = s->spec->uid;

	OK(s->ops->define(s->manager, s->spec, &error));
	OK(s->ops->define(s->manager, s->spec, &error));
	OK(s->ops->stop(s->manager, uid, 0, &error));
	define_and_start(s);
	OK(s->ops->start(s->manager, uid, &error));
	OK(s->ops->define(s->manager, s->spec, &error));
	g_assert_cmpint(conformance_state(s->c, uid, NULL), ==, VM_RUNNING);
	OK(s->ops->remove(s->manager, uid, &error));
	OK(s->ops->remove(s->manager, uid, &error));
}

static void an_unknown_vm_is_not_found(struct subject *s, const void *data)
{
	const char *uid = s->spec->uid;
	bool plugged;

	FAILS(s->ops->start(s->manager, uid, &error), FAULT_NOT_FOUND);
	FAILS(s->ops->stop(s->manager, uid, 1, &error), FAULT_NOT_FOUND);
	FAILS(s->ops->reset(s->manager, uid, &error), FAULT_NOT_FOUND);
	FAILS(s->ops->plug(s->manager, uid, &s->primary, &error), FAULT_NOT_FOUND);
	FAILS(s->ops->unplug(s->manager, uid, &s->primary, 1, &error), FAULT_NOT_FOUND);
	FAILS(s->ops->plugged(s->manager, uid, s->primary.nic_uid, &plugged, &error), FAULT_NOT_FOUND);
}

static void a_spec_that_cannot_run_is_refused_and_nothing_is_made(struct subject *s, const void *data)
{
	struct vm_nic *nic = s->spec->nics->pdata[0];

	s->spec->vcpus = 0;
	FAILS(s->ops->define(s->manager, s->spec, &error), FAULT_INVALID);
	s->spec->vcpus = 1;
	nic->queues = 0;
	FAILS(s->ops->define(s->manager, s->spec, &error), FAULT_INVALID);
	nic->queues = 1;
	nic->mac.bytes[0] = 1;
	FAILS(s->ops->define(s->manager, s->spec, &error), FAULT_INVALID);
	nic->mac.bytes[0] = 0;
	g_autofree char *long_path = g_strnfill(VM_SOCKET_PATH_MAX + 1, '/');
	char *socket = nic->vhost_socket;
	nic->vhost_socket = long_path;
	FAILS(s->ops->define(s->manager, s->spec, &error), FAULT_INVALID);
	nic->vhost_socket = socket;
	char *nic_uid = nic->uid;
	nic->uid = (char *)"it's no alias";
	FAILS(s->ops->define(s->manager, s->spec, &error), FAULT_INVALID);
	nic->uid = nic_uid;
	g_assert_cmpint(conformance_state(s->c, s->spec->uid, NULL), ==, VM_ABSENT);
}

static void a_primary_that_is_none_is_refused(struct subject *s, const void *data)
{
	struct vm_primary bad[] = {s->primary, s->primary, s->primary, s->primary, s->primary, s->primary,
		s->primary, s->primary};

	bad[0].pci = "0000:3b:10.0"; /* and a tap */
	bad[1].tap = NULL;
	bad[2].vlan = 7; /* on a tap */
	bad[3].mac.bytes[0] = 1;
	bad[4].nic_uid = "it's no alias";
	for (size_t i = 5; i < G_N_ELEMENTS(bad); i++)
		bad[i].tap = NULL;
	bad[5].pci = "3b:10.0";
	bad[6].pci = "0000:3b:20.0"; /* slots end at 1f */
	bad[7].pci = "0000:3b:10.0";
	bad[7].vlan = 4095;
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		FAILS(s->ops->plug(s->manager, s->spec->uid, &bad[i], &error), FAULT_INVALID);
}

static void a_machine_that_dies_is_told_as_crashed_and_starts_again(struct subject *s, const void *data)
{
	const char *uid = s->spec->uid;
	g_autofree char *detail = NULL;

	define_and_start(s);
	conformance_await(s->c, uid, VM_RUNNING, NULL);
	s->c->kill(s->c, s->spec);
	conformance_await(s->c, uid, VM_CRASHED, NULL);
	g_assert_cmpint(conformance_state(s->c, uid, &detail), ==, VM_CRASHED);
	g_test_message("%s", detail);
	OK(s->ops->start(s->manager, uid, &error));
	conformance_await(s->c, uid, VM_RUNNING, NULL);
	g_assert_cmpint(conformance_state(s->c, uid, NULL), ==, VM_RUNNING);
}

static void a_primary_comes_and_goes_and_its_going_is_told(struct subject *s, const void *data)
{
	const char *uid = s->spec->uid, *nic = s->primary.nic_uid;
	bool plugged;

	define_and_start(s);
	s->c->await_guest(s->c, s->spec);
	OK(s->ops->plugged(s->manager, uid, nic, &plugged, &error));
	g_assert_false(plugged);
	for (int i = 0; i < 3; i++) {
		OK(s->ops->plug(s->manager, uid, &s->primary, &error));
		OK(s->ops->plug(s->manager, uid, &s->primary, &error));
		OK(s->ops->plugged(s->manager, uid, nic, &plugged, &error));
		g_assert_true(plugged);
		OK(s->ops->unplug(s->manager, uid, &s->primary, UNPLUG_WAIT_MS, &error));
		conformance_await(s->c, uid, VM_RUNNING, nic);
		OK(s->ops->plugged(s->manager, uid, nic, &plugged, &error));
		g_assert_false(plugged);
		OK(s->ops->unplug(s->manager, uid, &s->primary, UNPLUG_WAIT_MS, &error));
	}
}

static void a_stopped_vm_takes_no_primary_and_has_none(struct subject *s, const void *data)
{
	bool plugged = true;

	OK(s->ops->define(s->manager, s->spec, &error));
	FAILS(s->ops->plug(s->manager, s->spec->uid, &s->primary, &error), FAULT_NOT_ALLOWED);
	FAILS(s->ops->reset(s->manager, s->spec->uid, &error), FAULT_NOT_ALLOWED);
	OK(s->ops->unplug(s->manager, s->spec->uid, &s->primary, 1, &error));
	OK(s->ops->plugged(s->manager, s->spec->uid, s->primary.nic_uid, &plugged, &error));
	g_assert_false(plugged);
}

static void a_primary_does_not_outlive_the_machine(struct subject *s, const void *data)
{
	const char *uid = s->spec->uid;
	bool plugged = true;

	define_and_start(s);
	OK(s->ops->plug(s->manager, uid, &s->primary, &error));
	OK(s->ops->stop(s->manager, uid, 0, &error));
	OK(s->ops->start(s->manager, uid, &error));
	OK(s->ops->plugged(s->manager, uid, s->primary.nic_uid, &plugged, &error));
	g_assert_false(plugged);
}

static void without_the_switch_a_start_is_undone_and_works_later(struct subject *s, const void *data)
{
	gint64 start = g_get_monotonic_time();

	OK(s->ops->define(s->manager, s->spec, &error));
	s->c->unserve(s->c, s->spec);
	FAILS(s->ops->start(s->manager, s->spec->uid, &error), FAULT_UNAVAILABLE);
	g_assert_cmpint(g_get_monotonic_time() - start, <,
		(VM_START_DEADLINE_S + VM_START_NIC_S + 10) * G_USEC_PER_SEC);
	g_assert_cmpint(conformance_state(s->c, s->spec->uid, NULL), ==, VM_STOPPED);
	s->c->serve(s->c, s->spec);
	OK(s->ops->start(s->manager, s->spec->uid, &error));
	g_assert_cmpint(conformance_state(s->c, s->spec->uid, NULL), ==, VM_RUNNING);
}

/* A migration of the subject: its twin is defined on the target, and its switch is ready. */
struct migration_subject {
	struct vm_spec *twin;
	char *uid;
	struct vm_migration migration;
	struct subject *subject;
	unsigned percent; /* last told */
	unsigned stops; /* told */
	bool fell, cancel;
};

static void on_progress(unsigned percent, void *data)
{
	struct migration_subject *m = data;
	struct subject *s = m->subject;

	m->fell |= percent < m->percent || percent > 99;
	m->percent = percent;
	if (m->cancel)
		OK(s->ops->migrate_cancel(s->manager, s->spec->uid, &error));
}

/* It runs on neither side. */
static void on_stopped(void *data)
{
	struct migration_subject *m = data;

	m->stops++;
	g_assert_cmpint(conformance_state(m->subject->c, m->subject->spec->uid, NULL), !=, VM_RUNNING);
}

static void migration_begin(struct migration_subject *m, struct subject *s)
{
	struct conformance *target = s->c->target;

	*m = (struct migration_subject){
		.twin = conformance_twin(s->c, s->spec), .uid = g_uuid_string_random(), .subject = s};
	m->migration = (struct vm_migration){
		.uid = m->uid, .progress = on_progress, .stopped = on_stopped, .data = m};
	OK(target->manager->ops->define(target->manager, m->twin, &error));
	target->serve(target, m->twin);
	s->c->join(s->c, m->uid);
}

static void migration_end(struct migration_subject *m)
{
	struct conformance *target = m->subject->c->target;

	g_assert_false(m->fell);
	OK(target->manager->ops->remove(target->manager, m->twin->uid, &error));
	g_assert_false(g_file_test(m->twin->directory, G_FILE_TEST_EXISTS));
	target->unserve(target, m->twin);
	vm_spec_free(m->twin);
	g_free(m->uid);
}

/* It runs where it began, and only there. */
static void assert_stayed(struct migration_subject *m)
{
	struct subject *s = m->subject;

	g_assert_cmpint(conformance_state(s->c, s->spec->uid, NULL), ==, VM_RUNNING);
	g_assert_cmpint(conformance_state(s->c->target, s->spec->uid, NULL), !=, VM_RUNNING);
}

static void a_migrated_vm_runs_on_the_target_and_nothing_of_it_is_left(struct subject *s, const void *data)
{
	const char *uid = s->spec->uid;
	struct migration_subject m;

	define_and_start(s);
	conformance_await(s->c, uid, VM_RUNNING, NULL);
	migration_begin(&m, s);
	OK(s->ops->migrate(s->manager, uid, &m.migration, &error));
	g_assert_cmpint(conformance_state(s->c, uid, NULL), ==, VM_ABSENT);
	g_assert_cmpint(conformance_state(s->c->target, uid, NULL), ==, VM_RUNNING);
	conformance_await(s->c, uid, VM_ABSENT, NULL);
	conformance_await(s->c->target, uid, VM_RUNNING, NULL);
	g_assert_cmpuint(m.percent, >, 0);
	g_assert_cmpuint(m.stops, ==, 1);
	g_assert_false(g_file_test(s->spec->directory, G_FILE_TEST_EXISTS));
	FAILS(s->ops->migrate(s->manager, uid, &m.migration, &error), FAULT_NOT_FOUND);
	migration_end(&m);
}

static void a_cancelled_migration_leaves_the_vm_running_and_can_be_made_again(
	struct subject *s, const void *data)
{
	const char *uid = s->spec->uid;
	struct migration_subject m;

	define_and_start(s);
	OK(s->ops->migrate_cancel(s->manager, uid, &error)); /* nothing is under way */
	migration_begin(&m, s);
	s->c->hold(s->c, s->spec, true);
	m.cancel = true;
	FAILS(s->ops->migrate(s->manager, uid, &m.migration, &error), FAULT_UNAVAILABLE);
	assert_stayed(&m);
	g_assert_cmpuint(m.stops, ==, 0);
	s->c->hold(s->c, s->spec, false);
	m.cancel = false;
	m.percent = 0;
	OK(s->ops->migrate(s->manager, uid, &m.migration, &error));
	g_assert_cmpint(conformance_state(s->c->target, uid, NULL), ==, VM_RUNNING);
	migration_end(&m);
}

static void a_target_that_cannot_run_it_leaves_the_vm_running(struct subject *s, const void *data)
{
	struct conformance *target = s->c->target;
	struct migration_subject m;

	define_and_start(s);
	migration_begin(&m, s);
	target->unserve(target, m.twin);
	FAILS(s->ops->migrate(s->manager, s->spec->uid, &m.migration, &error), FAULT_UNAVAILABLE);
	assert_stayed(&m);
	OK(target->manager->ops->remove(target->manager, s->spec->uid, &error));
	FAILS(s->ops->migrate(s->manager, s->spec->uid, &m.migration, &error), FAULT_UNAVAILABLE);
	assert_stayed(&m);
	migration_end(&m);
}

static void what_does_not_run_does_not_migrate(struct subject *s, const void *data)
{
	const char *uid = s->spec->uid;
	struct migration_subject m;

	migration_begin(&m, s);
	FAILS(s->ops->migrate(s->manager, uid, &m.migration, &error), FAULT_NOT_FOUND);
	FAILS(s->ops->migrate_cancel(s->manager, uid, &error), FAULT_NOT_FOUND);
	OK(s->ops->define(s->manager, s->spec, &error));
	FAILS(s->ops->migrate(s->manager, uid, &m.migration, &error), FAULT_NOT_ALLOWED);
	g_assert_cmpint(conformance_state(s->c, uid, NULL), ==, VM_STOPPED);
	migration_end(&m);
}

static void a_machine_with_a_primary_does_not_migrate(struct subject *s, const void *data)
{
	struct migration_subject m;

	define_and_start(s);
	migration_begin(&m, s);
	OK(s->ops->plug(s->manager, s->spec->uid, &s->primary, &error));
	FAILS(s->ops->migrate(s->manager, s->spec->uid, &m.migration, &error), FAULT_NOT_ALLOWED);
	assert_stayed(&m);
	migration_end(&m);
}

void conformance_add(const char *prefix, struct conformance *c)
{
	static const struct {
		const char *name;
		void (*run)(struct subject *, const void *);
	} tests[] = {
		{"the host says what runs its machines", the_host_says_what_runs_its_machines},
		{"a VM is stopped, then running, then stopped, and each is told",
			a_vm_is_stopped_then_running_then_stopped_and_each_is_told},
		{"what is so already succeeds", what_is_so_already_succeeds},
		{"an unknown VM is not found", an_unknown_vm_is_not_found},
		{"a spec that cannot run is refused and nothing is made",
			a_spec_that_cannot_run_is_refused_and_nothing_is_made},
		{"a primary that is none is refused", a_primary_that_is_none_is_refused},
		{"a machine that dies is told as crashed and starts again",
			a_machine_that_dies_is_told_as_crashed_and_starts_again},
		{"a primary comes and goes and its going is told",
			a_primary_comes_and_goes_and_its_going_is_told},
		{"a stopped VM takes no primary and has none", a_stopped_vm_takes_no_primary_and_has_none},
		{"a primary does not outlive the machine", a_primary_does_not_outlive_the_machine},
		{"without the switch a start is undone and works later",
			without_the_switch_a_start_is_undone_and_works_later},
		{"a migrated VM runs on the target and nothing of it is left",
			a_migrated_vm_runs_on_the_target_and_nothing_of_it_is_left},
		{"a cancelled migration leaves the VM running, and can be made again",
			a_cancelled_migration_leaves_the_vm_running_and_can_be_made_again},
		{"a target that cannot run it leaves the VM running",
			a_target_that_cannot_run_it_leaves_the_vm_running},
		{"what does not run does not migrate", what_does_not_run_does_not_migrate},
		{"a machine with a primary does not migrate", a_machine_with_a_primary_does_not_migrate},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
		g_autofree char *path = g_strdup_printf("/%s/%s", prefix, tests[i].name);
		g_test_add(path, struct subject, c, set_up, tests[i].run, tear_down);
	}
	c->events = g_ptr_array_new_with_free_func(told_free);
	c->target->events = g_ptr_array_new_with_free_func(told_free);
}
