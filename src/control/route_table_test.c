/* Route tables in the control plane: their rules, which subnets use them, and what hosts are told. */
#include "base/fault.h"
#include "control/fixture.h"

#include <string.h>

static void add_route(struct route_table *table, const char *name, const char *prefix, enum next_hop next_hop,
	const char *appliance)
{
	struct user_route *route = shape_new(&user_route_shape);

	*route = (struct user_route){
		.name = g_strdup(name),
		.prefix = g_strdup(prefix),
		.next_hop = (int)next_hop,
		.appliance = g_strdup(appliance),
	};
	g_ptr_array_add(table->spec.routes, route);
}

static struct route_table *new_table(const struct fixture *f, const char *name)
{
	struct route_table *table = model_new(KIND_ROUTE_TABLE, name, f->group);

	table->meta.location = g_strdup("centralus");
	table->spec.routes = shape_list_new(&user_route_shape);
	return table;
}

static void assert_refused(GError **error, enum fault code, const char *words)
{
	g_assert_error(*error, FAULT, (int)code);
	if (!strstr((*error)->message, words))
		g_error("'%s' is not in: %s", words, (*error)->message);
	g_clear_error(error);
}

static void test_rules(void)
{
	OPEN(f);
	static const struct {
		const char *name, *prefix;
		enum next_hop next_hop;
		const char *appliance;
		enum fault code;
		const char *words;
	} rows[] = {
		{"-", "10.1.0.0/16", NEXT_HOP_NONE, NULL, FAULT_INVALID, "is no name"},
		{"r", "10.1.0.0/8", NEXT_HOP_NONE, NULL, FAULT_INVALID, "bits set behind its length"},
		{"r", "AzureCloud", NEXT_HOP_NONE, NULL, FAULT_INVALID, "service tags cannot be routed"},
		{"r", "10.1.0.0/16", NEXT_HOP_APPLIANCE, NULL, FAULT_INVALID, "does not say which"},
		{"r", "10.1.0.0/16", NEXT_HOP_APPLIANCE, "10.0.0.300", FAULT_INVALID, "no IP address"},
		{"r", "10.1.0.0/16", NEXT_HOP_APPLIANCE, "fd00::1", FAULT_INVALID, "not of one IP version"},
		{"r", "10.1.0.0/16", NEXT_HOP_OUTSIDE, "10.0.1.9", FAULT_INVALID,
			"only a route to a virtual"},
		{"FIRST", "10.1.0.0/16", NEXT_HOP_NONE, NULL, FAULT_INVALID, "is there twice"},
		{"r", "10.5.0.0/16", NEXT_HOP_NONE, NULL, FAULT_OVERLAP, "conflicts with route first"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		struct route_table *table = new_table(&f, "table");
		g_autoptr(GError) error = NULL;
		add_route(table, "first", "10.5.0.0/16", NEXT_HOP_APPLIANCE, "10.0.1.9");
		add_route(table, rows[i].name, rows[i].prefix, rows[i].next_hop, rows[i].appliance);
		g_assert_null(fixture_put(&f, table, &error));
		assert_refused(&error, rows[i].code, rows[i].words);
	}
}

/* The fixture's network with its subnet on that table. */
static struct network *use_table(struct fixture *f, const struct route_table *table, GError **error)
{
	struct network *network = fixture_network(f, "net", "10.0.0.0/16", "sub", "10.0.1.0/24", NULL);
	struct subnet *subnet = network->spec.subnets->pdata[0];

	subnet->route_table = table ? g_strdup(table->meta.uid) : NULL;
	return fixture_put(f, network, error);
}

static bool remove_table(struct fixture *f, const struct route_table *table, GError **error)
{
	const struct control_request request = {.principal = "test"};
	_cleanup_(control_result_clear) struct control_result result = {};

	return control_delete(f->control, KIND_ROUTE_TABLE, table->meta.uid, &request, &result, error);
}

static void test_subnet(void)
{
	OPEN(f);
	g_autoptr(GError) error = NULL;
	struct route_table *wanted = new_table(&f, "table");

	add_route(wanted, "all", "0.0.0.0/0", NEXT_HOP_APPLIANCE, "10.0.2.9");
	_cleanup_(model_free) struct route_table *table = fixture_put(&f, wanted, &error);
	g_assert_no_error(error);
	/* An appliance is in the networks that use the table, whichever changes. */
	g_assert_null(use_table(&f, table, &error));
	assert_refused(&error, FAULT_INVALID, "10.0.2.9 is in no subnet");
	struct route_table *good = new_table(&f, "table");
	add_route(good, "all", "0.0.0.0/0", NEXT_HOP_APPLIANCE, "10.0.1.9");
	_cleanup_(model_free) struct route_table *fits = fixture_put(&f, good, &error);
	_cleanup_(model_free) struct network *used = use_table(&f, fits, &error);
	g_assert_no_error(error);
	g_assert_null(fixture_put(&f, model_copy(table), &error));
	assert_refused(&error, FAULT_INVALID, "virtual network net, which uses the table");

	g_assert_false(remove_table(&f, table, &error));
	assert_refused(&error, FAULT_IN_USE, "net");
	_cleanup_(model_free) struct network *unused = use_table(&f, NULL, &error);
	g_assert_true(remove_table(&f, table, &error));
	g_assert_null(use_table(&f, table, &error));
	assert_refused(&error, FAULT_INVALID_REFERENCE, "create it first");
}

static const struct goal_route *route_at(const struct goal *goal, guint i)
{
	const struct goal_network *network = goal->networks->pdata[0];
	const struct goal_subnet *subnet = network->subnets->pdata[0];

	return i < list_length(subnet->routes) ? subnet->routes->pdata[i] : NULL;
}

static struct vm *run_vm(struct fixture *f, const struct nic *nic)
{
	g_autoptr(GError) error = NULL;
	struct vm *vm = fixture_put(f, fixture_vm(f, "vm", "Standard_DS2_v2", nic), &error);

	g_assert_no_error(error);
	return vm;
}

static void test_goal(void)
{
	OPEN(f);
	g_autoptr(GError) error = NULL;
	struct route_table *wanted = new_table(&f, "table");

	add_route(wanted, "all", "0.0.0.0/0", NEXT_HOP_APPLIANCE, "10.0.1.9");
	add_route(wanted, "dark", "10.7.0.0/16", NEXT_HOP_NONE, NULL);
	add_route(wanted, "near", "10.8.0.0/16", NEXT_HOP_NETWORK, NULL);
	add_route(wanted, "far", "10.9.0.0/16", NEXT_HOP_OUTSIDE, NULL);
	_cleanup_(model_free) struct route_table *table = fixture_put(&f, wanted, &error);
	_cleanup_(model_free) struct network *network = use_table(&f, table, &error);
	_cleanup_(model_free) struct nic *nic = fixture_put(&f, fixture_nic(&f, "nic", false), &error);
	_cleanup_(model_free) struct vm *vm = run_vm(&f, nic);
	g_assert_no_error(error);
	_cleanup_(goal_free) struct goal *goal = control_goal(f.control, "host-1", NULL);
	static const char *const vias[] = {"10.0.1.9", "none", "network", "outside"};
	for (guint i = 0; i < G_N_ELEMENTS(vias); i++)
		g_assert_cmpstr(route_at(goal, i)->via, ==, vias[i]);
	g_assert_cmpstr(route_at(goal, 1)->prefix, ==, "10.7.0.0/16");
	/* A change of the table reaches hosts. */
	_cleanup_(model_free) struct route_table *emptied = fixture_put(&f, new_table(&f, "table"), &error);
	g_assert_no_error(error);
	_cleanup_(goal_free) struct goal *after = control_goal(f.control, "host-1", NULL);
	g_assert_cmpint(after->version, >, goal->version);
	g_assert_null(route_at(after, 0));
}

static void assert_route(const GPtrArray *routes, guint i, const char *prefix, enum next_hop next_hop,
	bool is_default, bool is_active)
{
	const struct control_route *route = routes->pdata[i];

	g_assert_cmpstr(route->route->prefix, ==, prefix);
	g_assert_cmpint(route->route->next_hop, ==, next_hop);
	g_assert_true(route->is_default == is_default && route->is_active == is_active);
}

static void test_effective(void)
{
	OPEN(f);
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct nic *nic = fixture_put(&f, fixture_nic(&f, "nic", false), &error);

	g_assert_null(control_nic_routes(f.control, nic, &error));
	assert_refused(&error, FAULT_NOT_ALLOWED, "not attached to a virtual machine");
	_cleanup_(model_free) struct vm *vm = run_vm(&f, nic);
	_cleanup_(model_free) struct nic *bound = control_get(f.control, KIND_NIC, nic->meta.uid, NULL);
	g_autoptr(GPtrArray) plain = control_nic_routes(f.control, bound, &error);
	g_assert_cmpuint(plain->len, ==, 2);
	assert_route(plain, 0, "10.0.0.0/16", NEXT_HOP_NETWORK, true, true);
	assert_route(plain, 1, "0.0.0.0/0", NEXT_HOP_OUTSIDE, true, true);

	struct route_table *wanted = new_table(&f, "table");
	add_route(wanted, "all", "0.0.0.0/0", NEXT_HOP_APPLIANCE, "10.0.1.9");
	_cleanup_(model_free) struct route_table *table = fixture_put(&f, wanted, &error);
	_cleanup_(model_free) struct network *network = use_table(&f, table, &error);
	g_autoptr(GPtrArray) own = control_nic_routes(f.control, bound, &error);
	g_assert_cmpuint(own->len, ==, 3);
	assert_route(own, 1, "0.0.0.0/0", NEXT_HOP_OUTSIDE, true, false);
	assert_route(own, 2, "0.0.0.0/0", NEXT_HOP_APPLIANCE, false, true);

	fixture_act(&f, vm, VERB_DEALLOCATE);
	g_assert_null(control_nic_routes(f.control, bound, &error));
	assert_refused(&error, FAULT_NOT_ALLOWED, "which is not running");
	g_assert_null(control_nic_policy(f.control, bound, &error));
	assert_refused(&error, FAULT_NOT_ALLOWED, "which is not running");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/route-table/a route that leads nowhere by mistake is refused", test_rules);
	g_test_add_func("/route-table/subnets that use it hold it, and have its appliances", test_subnet);
	g_test_add_func("/route-table/a host is told where packets go, and of changes", test_goal);
	g_test_add_func("/route-table/what is in effect is said of what runs", test_effective);
	return g_test_run();
}
