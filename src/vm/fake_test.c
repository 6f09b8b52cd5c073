/* The VM manager in memory keeps the contract, and does what tests ask of it. */
#include "vm/fake.h"

#include "base/fault.h"
#include "vm/conformance.h"

static void serve(struct conformance *c, const struct vm_spec *spec)
{
	vm_fake_lose_switch(c->manager, false);
}

static void unserve(struct conformance *c, const struct vm_spec *spec)
{
	vm_fake_lose_switch(c->manager, true);
}

static void await_guest(struct conformance *c, const struct vm_spec *spec)
{
}

static void kill_machine(struct conformance *c, const struct vm_spec *spec)
{
	vm_fake_crash(c->manager, spec->uid);
}

static void join(struct conformance *c, const char *migration)
{
}

static void hold(struct conformance *c, const struct vm_spec *spec, bool on)
{
	vm_fake_hold_migrations(c->manager, on);
}

/* A running VM whose migration was cut off, and that is decided by asking the other side. */
static void check_cut(struct conformance *c, bool arrived)
{
	struct vm_manager *manager = c->manager, *there = c->target->manager;
	const struct vm_migration migration = {.uid = "8f1d4f8e-0d0c-4f0e-9a51-000000000001"};
	_cleanup_(vm_spec_free) struct vm_spec *spec = conformance_spec(c, "cut"),
					       *twin = conformance_twin(c, spec);
	g_autoptr(GError) cut = NULL, busy = NULL, error = NULL;

	serve(c, spec);
	serve(c->target, twin);
	vm_fake_cut_migration(manager, arrived);
	g_assert_true(manager->ops->define(manager, spec, NULL));
	g_assert_true(manager->ops->start(manager, spec->uid, NULL));
	g_assert_true(there->ops->define(there, twin, NULL));
	g_assert_false(manager->ops->migrate(manager, spec->uid, &migration, &cut));
	g_assert_error(cut, FAULT, FAULT_TIMEOUT);
	g_assert_cmpint(conformance_state(c, spec->uid, NULL), ==, VM_STOPPED);
	g_assert_false(manager->ops->start(manager, spec->uid, &busy));
	g_assert_error(busy, FAULT, FAULT_BUSY);
	g_assert_cmpint(manager->ops->migrate(manager, spec->uid, &migration, &error), ==, arrived);
	g_assert_cmpint(conformance_state(c, spec->uid, NULL), ==, arrived ? VM_ABSENT : VM_RUNNING);
	g_assert_cmpint(conformance_state(c->target, spec->uid, NULL), ==, arrived ? VM_RUNNING : VM_STOPPED);
	g_assert_true(manager->ops->remove(manager, spec->uid, NULL));
	g_assert_true(there->ops->remove(there, spec->uid, NULL));
}

static void a_migration_that_was_cut_off_is_decided_by_the_next(const void *data)
{
	check_cut((struct conformance *)data, false);
	check_cut((struct conformance *)data, true);
}

static void a_guest_can_be_told_to_hold_its_primary(const void *data)
{
	struct conformance *c = (struct conformance *)data;
	struct vm_manager *manager = c->manager;
	_cleanup_(vm_spec_free) struct vm_spec *spec = conformance_spec(c, "holder");
	const struct vm_nic *nic = spec->nics->pdata[0];
	const struct vm_primary primary = {.nic_uid = nic->uid, .mac = nic->mac, .tap = c->tap};
	g_autoptr(GError) error = NULL;

	serve(c, spec);
	g_assert_true(manager->ops->define(manager, spec, NULL));
	g_assert_true(manager->ops->start(manager, spec->uid, NULL));
	g_assert_true(manager->ops->plug(manager, spec->uid, &primary, NULL));
	vm_fake_hold_primaries(manager, true);
	g_assert_false(manager->ops->unplug(manager, spec->uid, &primary, 1, &error));
	g_assert_error(error, FAULT, FAULT_UNAVAILABLE);
	vm_fake_hold_primaries(manager, false);
	g_assert_true(manager->ops->unplug(manager, spec->uid, &primary, 1, NULL));
	g_assert_true(manager->ops->remove(manager, spec->uid, NULL));
}

/* As one whose disk failed is. */
static void a_frozen_machine_keeps_its_primary_until_it_is_ended(const void *data)
{
	struct conformance *c = (struct conformance *)data;
	struct vm_manager *manager = c->manager;
	_cleanup_(vm_spec_free) struct vm_spec *spec = conformance_spec(c, "frozen");
	const struct vm_nic *nic = spec->nics->pdata[0];
	const struct vm_primary primary = {.nic_uid = nic->uid, .mac = nic->mac, .tap = c->tap};
	bool plugged;

	serve(c, spec);
	g_assert_true(manager->ops->define(manager, spec, NULL));
	for (int by_start = 0; by_start < 2; by_start++) {
		g_autoptr(GError) error = NULL;
		g_assert_true(manager->ops->start(manager, spec->uid, NULL));
		g_assert_true(manager->ops->plug(manager, spec->uid, &primary, NULL));
		vm_fake_freeze(manager, spec->uid);
		g_assert_cmpint(conformance_state(c, spec->uid, NULL), ==, VM_CRASHED);
		g_assert_true(manager->ops->plugged(manager, spec->uid, nic->uid, &plugged, NULL));
		g_assert_true(plugged);
		g_assert_false(manager->ops->unplug(manager, spec->uid, &primary, 1, &error));
		g_assert_error(error, FAULT, FAULT_UNAVAILABLE);
		g_assert_true(by_start ? manager->ops->start(manager, spec->uid, NULL)
				       : manager->ops->stop(manager, spec->uid, 0, NULL));
		g_assert_cmpint(
			conformance_state(c, spec->uid, NULL), ==, by_start ? VM_RUNNING : VM_STOPPED);
		g_assert_true(manager->ops->plugged(manager, spec->uid, nic->uid, &plugged, NULL));
		g_assert_false(plugged);
	}
	g_assert_true(manager->ops->remove(manager, spec->uid, NULL));
}

static void a_function_is_in_one_machine_at_a_time(const void *data)
{
	struct conformance *c = (struct conformance *)data;
	struct vm_manager *manager = c->manager;
	_cleanup_(vm_spec_free) struct vm_spec *one = conformance_spec(c, "one"),
					       *two = conformance_spec(c, "two");
	const struct vm_spec *specs[] = {one, two};
	struct vm_primary primaries[2];
	g_autoptr(GError) error = NULL;

	for (int i = 0; i < 2; i++) {
		const struct vm_nic *nic = specs[i]->nics->pdata[0];
		primaries[i] = (struct vm_primary){
			.nic_uid = nic->uid, .mac = nic->mac, .pci = "0000:3b:10.0", .vlan = 100};
		serve(c, specs[i]);
		g_assert_true(manager->ops->define(manager, specs[i], NULL));
		g_assert_true(manager->ops->start(manager, specs[i]->uid, NULL));
	}
	g_assert_true(manager->ops->plug(manager, one->uid, &primaries[0], NULL));
	g_assert_true(manager->ops->plug(manager, one->uid, &primaries[0], NULL));
	g_assert_false(manager->ops->plug(manager, two->uid, &primaries[1], &error));
	g_assert_error(error, FAULT, FAULT_IN_USE);
	vm_fake_crash(manager, one->uid);
	g_assert_true(manager->ops->plug(manager, two->uid, &primaries[1], NULL));
	g_assert_true(manager->ops->remove(manager, one->uid, NULL));
	g_assert_true(manager->ops->remove(manager, two->uid, NULL));
}

static void a_machine_bigger_than_the_host_is_refused_as_allocation(const void *data)
{
	struct conformance *c = (struct conformance *)data;
	struct vm_manager *manager = c->manager;
	_cleanup_(vm_spec_free) struct vm_spec *spec = conformance_spec(c, "giant");
	g_autoptr(GError) error = NULL;

	serve(c, spec);
	vm_fake_set_memory(manager, spec->memory_mib - 1);
	g_assert_true(manager->ops->define(manager, spec, NULL));
	g_assert_false(manager->ops->start(manager, spec->uid, &error));
	g_assert_error(error, FAULT, FAULT_ALLOCATION);
	g_assert_true(manager->ops->remove(manager, spec->uid, NULL));
	vm_fake_set_memory(manager, 64 * 1024);
}

static void count_event(const char *uid, enum vm_state state, const char *gone_nic, void *data)
{
	(*(int *)data)++;
}

static void a_closed_manager_tells_nothing_more(void)
{
	struct conformance c = {.vm_root = (char *)"/nowhere", .image = (char *)"any"};
	_cleanup_(vm_spec_free) struct vm_spec *spec = conformance_spec(&c, "closing");
	int told = 0;
	struct vm_manager *manager = vm_fake_open(count_event, &told);

	g_assert_true(manager->ops->define(manager, spec, NULL));
	vm_manager_close(manager);
	while (g_main_context_iteration(NULL, FALSE))
		;
	g_assert_cmpint(told, ==, 0);
}

int main(int argc, char **argv)
{
	struct conformance target = {
		.context = g_main_context_default(),
		.vm_root = (char *)"/nonexistent/other/vms",
		.image = (char *)"any",
		.serve = serve,
		.unserve = unserve,
	};
	struct conformance c = {
		.context = g_main_context_default(),
		.vm_root = (char *)"/nonexistent/vms",
		.image = (char *)"any",
		.tap = (char *)"tap0",
		.serve = serve,
		.unserve = unserve,
		.await_guest = await_guest,
		.kill = kill_machine,
		.target = &target,
		.join = join,
		.hold = hold,
	};

	g_test_init(&argc, &argv, NULL);
	c.manager = vm_fake_open(conformance_event, &c);
	target.manager = vm_fake_open(conformance_event, &target);
	vm_fake_join(c.manager, target.manager, NULL);
	conformance_add("vm/fake", &c);
	g_test_add_data_func("/vm/fake/a migration that was cut off is decided by the next", &c,
		a_migration_that_was_cut_off_is_decided_by_the_next);
	g_test_add_data_func("/vm/fake/a guest can be told to hold its primary", &c,
		a_guest_can_be_told_to_hold_its_primary);
	g_test_add_data_func("/vm/fake/a frozen machine keeps its primary until it is ended", &c,
		a_frozen_machine_keeps_its_primary_until_it_is_ended);
	g_test_add_data_func("/vm/fake/a function is in one machine at a time", &c,
		a_function_is_in_one_machine_at_a_time);
	g_test_add_data_func("/vm/fake/a machine bigger than the host is refused as allocation", &c,
		a_machine_bigger_than_the_host_is_refused_as_allocation);
	g_test_add_func("/vm/fake/a closed manager tells nothing more", a_closed_manager_tells_nothing_more);
	int result = g_test_run();
	vm_manager_close(c.manager);
	vm_manager_close(target.manager);
	g_ptr_array_unref(c.events);
	g_ptr_array_unref(target.events);
	return result;
}
