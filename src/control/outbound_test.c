/* Default outbound access: which hosts hold an address to share, and what networks make of it. */
#include "base/fault.h"
#include "control/fixture.h"

#include <string.h>

static struct vm *run_vm(struct fixture *f, const char *name)
{
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct nic *nic = fixture_put(f, fixture_nic(f, name, false), &error);
	struct vm *vm = fixture_put(f, fixture_vm(f, name, "Standard_B1s", nic), &error);

	g_assert_no_error(error);
	return vm;
}

static struct address *new_address(struct fixture *f, const char *name, GError **error)
{
	struct address *wanted = model_new(KIND_ADDRESS, name, f->group);

	wanted->meta.location = g_strdup("centralus");
	return fixture_put(f, wanted, error);
}

static void assert_shared(struct fixture *f, const char *address)
{
	_cleanup_(goal_free) struct goal *goal = control_goal(f->control, "host-1", NULL);

	g_assert_cmpstr(goal->source_nat, ==, address);
}

static guint conditions(struct fixture *f)
{
	_cleanup_(goal_free) struct goal *goal = control_goal(f->control, "host-1", NULL);

	return list_length(goal->conditions);
}

static void test_life(void)
{
	OPEN(f);

	assert_shared(&f, NULL);
	_cleanup_(model_free) struct vm *first = run_vm(&f, "one");
	assert_shared(&f, "203.0.113.14");
	_cleanup_(model_free) struct vm *second = run_vm(&f, "two");
	fixture_delete(&f, KIND_VM, first->meta.uid);
	assert_shared(&f, "203.0.113.14");
	fixture_delete(&f, KIND_VM, second->meta.uid);
	fixture_obey(&f);
	assert_shared(&f, NULL);
	_cleanup_(model_free) struct vm *third = run_vm(&f, "three");
	fixture_restart(&f);
	assert_shared(&f, "203.0.113.14");
}

static void test_apart(void)
{
	OPEN(f);
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct vm *vm = run_vm(&f, "one");

	/* 203.0.113.0/28 without its ends, the gateway and the one that is shared. */
	for (unsigned i = 0; i < 12; i++) {
		g_autofree char *name = g_strdup_printf("ip-%u", i);
		_cleanup_(model_free) struct address *address = new_address(&f, name, &error);
		g_assert_no_error(error);
		g_assert_cmpstr(address->status.ip, !=, "203.0.113.14");
	}
	g_assert_null(new_address(&f, "more", &error));
	g_assert_error(error, FAULT, FAULT_POOL_FULL);
}

static void test_full(void)
{
	OPEN(f);
	const struct control_request request = {.principal = "test"};
	_cleanup_(control_result_clear) struct control_result result = {};
	_cleanup_(model_free) struct address *last = NULL;

	for (unsigned i = 0; i < 13; i++) {
		g_autofree char *name = g_strdup_printf("ip-%u", i);
		g_clear_pointer(&last, model_free);
		last = new_address(&f, name, NULL);
	}
	_cleanup_(model_free) struct vm *vm = run_vm(&f, "one");
	assert_shared(&f, NULL);
	g_assert_cmpuint(conditions(&f), ==, 1);
	g_assert_true(control_delete(f.control, KIND_ADDRESS, last->meta.uid, &request, &result, NULL));
	fixture_obey(&f);
	assert_shared(&f, last->status.ip);
	g_assert_cmpuint(conditions(&f), ==, 0);
}

static void opt_out(struct network *network, guint index)
{
	((struct subnet *)network->spec.subnets->pdata[index])->no_outbound = true;
}

static void test_opt_out(void)
{
	OPEN(f);
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct vm *vm = run_vm(&f, "one");
	struct network *mixed =
		fixture_network(&f, "net", "10.0.0.0/16", "sub", "10.0.1.0/24", "other", "10.0.2.0/24", NULL);

	opt_out(mixed, 1);
	g_assert_null(fixture_put(&f, mixed, &error));
	g_assert_error(error, FAULT, FAULT_UNSUPPORTED);
	g_assert_nonnull(strstr(error->message, "defaultOutboundAccess"));
	g_clear_error(&error);
	struct network *closed = fixture_network(&f, "net", "10.0.0.0/16", "sub", "10.0.1.0/24", NULL);
	opt_out(closed, 0);
	_cleanup_(model_free) struct network *network = fixture_put(&f, closed, &error);
	g_assert_no_error(error);
	_cleanup_(goal_free) struct goal *goal = control_goal(f.control, "host-1", NULL);
	g_assert_true(((struct goal_network *)goal->networks->pdata[0])->no_outbound);
}

static void test_off(void)
{
	OPEN(f);
	_cleanup_(model_free) struct vm *vm = run_vm(&f, "one");

	f.no_default_outbound = true;
	fixture_restart(&f);
	fixture_obey(&f);
	assert_shared(&f, NULL);
	g_assert_cmpuint(conditions(&f), ==, 0);
	f.no_default_outbound = false;
	fixture_restart(&f);
	fixture_obey(&f);
	assert_shared(&f, "203.0.113.14");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define TEST(text, fn) g_test_add_func("/outbound/" text, fn)
	TEST("a host has an address to share while it has VMs", test_life);
	TEST("users' public addresses and those that are shared keep apart", test_apart);
	TEST("a host that found none says so, and gets one when one is free", test_full);
	TEST("a network opts out as a whole", test_opt_out);
	TEST("the operator can turn it off and on", test_off);
	return g_test_run();
}
