/* Load balancers in the control plane: their rules, who is behind them, and what hosts are told. */
#include "base/fault.h"
#include "control/balancer_fixture.h"
#include "control/control_priv.h"

#include <string.h>

/* 0: none leads there. */
static int64_t port_to(struct fixture *f, const struct balancer *balancer, const struct nic *nic)
{
	_cleanup_(model_free) struct balancer *now = balancer_fixture_reload(f, balancer);

	for (guint i = 0; i < list_length(now->status.targets); i++) {
		const struct balancer_target *target = now->status.targets->pdata[i];
		if (g_str_equal(target->nic, nic->meta.uid))
			return target->port;
	}
	return 0;
}

/* ---- its own rules ---- */

static void test_rules(void)
{
	OPEN(f);
	_cleanup_(model_free) struct address *address = balancer_fixture_address(&f, "ip", ADDRESS_STANDARD);
	struct balancer *balancer;

	balancer = balancer_fixture_new(&f, "lb", address);
	balancer->spec.sku = ADDRESS_BASIC;
	balancer_fixture_refused(&f, balancer, FAULT_INVALID, "different SKUs");
	balancer = balancer_fixture_new(&f, "lb", address);
	balancer_fixture_rule(balancer, "a", 80);
	balancer_fixture_rule(balancer, "A", 81);
	balancer_fixture_refused(&f, balancer, FAULT_INVALID, "two load-balancing rules named A");
	balancer = balancer_fixture_new(&f, "lb", address);
	balancer_fixture_rule(balancer, "a", 80);
	balancer_fixture_nat(&balancer->spec.nat_rules, "b", NULL, 80, 80);
	balancer_fixture_refused(&f, balancer, FAULT_INVALID,
		"load-balancing rule a and inbound NAT rule b have the same frontend port");
	balancer = balancer_fixture_new(&f, "lb", address);
	balancer_fixture_rule(balancer, "a", 80);
	balancer_fixture_rule(balancer, "b", 81)->back_port = 80;
	balancer_fixture_refused(&f, balancer, FAULT_INVALID, "a and b have the same backend port");
	balancer = balancer_fixture_new(&f, "lb", address);
	balancer_fixture_rule(balancer, "a", 80)->floating = true;
	((struct balancer_rule *)balancer->spec.rules->pdata[0])->back_port = 81;
	balancer_fixture_refused(&f, balancer, FAULT_INVALID, "the backend port must be the frontend port");
	balancer = balancer_fixture_new(&f, "lb", address);
	balancer_fixture_rule(balancer, "a", 80)->probe = g_strdup("none");
	balancer_fixture_refused(&f, balancer, FAULT_INVALID_REFERENCE, "refers to a probe");
	balancer = balancer_fixture_new(&f, "lb", address);
	balancer_fixture_rule(balancer, "a", 80)->protocol = PROTOCOL_ANY;
	balancer_fixture_refused(&f, balancer, FAULT_UNSUPPORTED, "Tcp or Udp");
	balancer = balancer_fixture_new(&f, "lb", address);
	balancer_fixture_rule(balancer, "a", 0);
	balancer_fixture_refused(&f, balancer, FAULT_INVALID, "1 to 65535");
	balancer = balancer_fixture_new(&f, "lb", address);
	struct balancer_probe *probe =
		balancer_fixture_add(&balancer->spec.probes, &balancer_probe_shape, "p");
	*probe = (struct balancer_probe){probe->name, PROBE_TCP, 80, NULL, 4, 2};
	balancer_fixture_refused(&f, balancer, FAULT_INVALID, "an interval of 5");
}

static void test_address(void)
{
	OPEN(f);
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct address *address = balancer_fixture_address(&f, "ip", ADDRESS_STANDARD);
	_cleanup_(model_free) struct balancer *balancer =
		fixture_put(&f, balancer_fixture_new(&f, "lb", address), &error);

	g_assert_no_error(error);
	g_assert_nonnull(balancer->status.host);
	g_assert_nonnull(balancer->status.mac);
	balancer_fixture_refused(
		&f, balancer_fixture_new(&f, "other", address), FAULT_IN_USE, "another load balancer");
	struct nic *nic = fixture_nic(&f, "nic", false);
	((struct nic_config *)nic->spec.configs->pdata[0])->address = g_strdup(address->meta.uid);
	g_assert_null(fixture_put(&f, nic, &error));
	g_assert_error(error, FAULT, FAULT_IN_USE);
	balancer_fixture_remove(&f, address, "load balancer lb");
	_cleanup_(model_free) struct balancer *again =
		fixture_put(&f, balancer_fixture_new(&f, "lb", address), NULL);
	g_assert_cmpstr(again->status.mac, ==, balancer->status.mac);
	balancer_fixture_remove(&f, again, NULL);
	balancer_fixture_remove(&f, address, NULL);
}

/* ---- members ---- */

static void test_members(void)
{
	OPEN(f);
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct address *address = balancer_fixture_address(&f, "ip", ADDRESS_STANDARD);
	struct balancer *wanted = balancer_fixture_new(&f, "lb", address);
	balancer_fixture_nat(&wanted->spec.nat_rules, "ssh", "pool", 50000, 50001);
	_cleanup_(model_free) struct balancer *balancer = fixture_put(&f, wanted, &error);
	_cleanup_(model_free) struct nic *a =
		balancer_fixture_member(&f, "a", balancer, "POOL", NULL, NULL, &error);
	g_assert_no_error(error);
	_cleanup_(model_free) struct nic *b =
		balancer_fixture_member(&f, "b", balancer, "pool", NULL, NULL, &error);
	g_assert_cmpint(port_to(&f, balancer, a), ==, 50000);
	g_assert_cmpint(port_to(&f, balancer, b), ==, 50001);
	g_assert_null(balancer_fixture_member(&f, "c", balancer, "pool", NULL, NULL, &error));
	g_assert_error(error, FAULT, FAULT_POOL_FULL);
	g_clear_error(&error);
	balancer_fixture_remove(&f, balancer, "network interface");
	balancer_fixture_remove(&f, a, NULL);
	_cleanup_(model_free) struct nic *c =
		balancer_fixture_member(&f, "c", balancer, "pool", NULL, NULL, &error);
	g_assert_no_error(error);
	g_assert_cmpint(port_to(&f, balancer, c), ==, 50000);
	g_assert_cmpint(port_to(&f, balancer, b), ==, 50001);
	/* It leaves. */
	_cleanup_(model_free) struct nic *left =
		balancer_fixture_member(&f, "b", balancer, NULL, NULL, NULL, &error);
	g_assert_cmpint(port_to(&f, balancer, left), ==, 0);
	balancer_fixture_remove(&f, c, NULL);
	balancer_fixture_remove(&f, balancer, NULL);
}

static void test_nat_rule_comes_later(void)
{
	OPEN(f);
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct address *address = balancer_fixture_address(&f, "ip", ADDRESS_STANDARD);
	_cleanup_(model_free) struct balancer *balancer =
		fixture_put(&f, balancer_fixture_new(&f, "lb", address), &error);
	_cleanup_(model_free) struct nic *a =
		balancer_fixture_member(&f, "a", balancer, "pool", NULL, NULL, &error);
	g_assert_no_error(error);
	struct balancer *wanted = balancer_fixture_new(&f, "lb", address);
	balancer_fixture_nat(&wanted->spec.nat_rules, "ssh", "pool", 50000, 50119);
	_cleanup_(model_free) struct balancer *with = fixture_put(&f, wanted, &error);
	g_assert_no_error(error);
	g_assert_cmpint(port_to(&f, balancer, a), ==, 50000);
	/* The pool cannot go while it has a member. */
	wanted = balancer_fixture_new(&f, "lb", address);
	g_clear_pointer(&wanted->spec.pools, g_ptr_array_unref);
	balancer_fixture_refused(&f, wanted, FAULT_IN_USE, "backend address pool pool");
}

static void test_nat_targets(void)
{
	OPEN(f);
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct address *address = balancer_fixture_address(&f, "ip", ADDRESS_STANDARD);
	struct balancer *wanted = balancer_fixture_new(&f, "lb", address);
	balancer_fixture_nat(&wanted->spec.nat_rules, "one", NULL, 2222, 2222);
	balancer_fixture_nat(&wanted->spec.nat_pools, "many", NULL, 50000, 50119);
	_cleanup_(model_free) struct balancer *balancer = fixture_put(&f, wanted, &error);
	_cleanup_(model_free) struct nic *a =
		balancer_fixture_member(&f, "a", balancer, NULL, "one", NULL, &error);
	g_assert_no_error(error);
	g_assert_cmpint(port_to(&f, balancer, a), ==, 2222);
	g_assert_null(balancer_fixture_member(&f, "b", balancer, NULL, "one", NULL, &error));
	g_assert_error(error, FAULT, FAULT_IN_USE);
	g_clear_error(&error);
	g_assert_null(balancer_fixture_member(&f, "b", balancer, NULL, "none", NULL, &error));
	g_assert_error(error, FAULT, FAULT_INVALID_REFERENCE);
	g_clear_error(&error);
	_cleanup_(model_free) struct nic *b =
		balancer_fixture_member(&f, "b", balancer, NULL, NULL, "many", &error);
	g_assert_no_error(error);
	g_assert_cmpint(port_to(&f, balancer, b), ==, 50000);
	/* Another put of the same keeps who has what. */
	wanted = balancer_fixture_new(&f, "lb", address);
	balancer_fixture_nat(&wanted->spec.nat_rules, "one", NULL, 2222, 2222);
	balancer_fixture_nat(&wanted->spec.nat_pools, "many", NULL, 50000, 50119);
	_cleanup_(model_free) struct balancer *same = fixture_put(&f, wanted, &error);
	g_assert_no_error(error);
	g_assert_cmpint(port_to(&f, balancer, a), ==, 2222);
	g_assert_cmpint(port_to(&f, balancer, b), ==, 50000);
	balancer_fixture_refused(&f, balancer_fixture_new(&f, "lb", address), FAULT_IN_USE, "inbound NAT");
}

static void test_one_network(void)
{
	OPEN(f);
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct address *address = balancer_fixture_address(&f, "ip", ADDRESS_STANDARD);
	_cleanup_(model_free) struct balancer *balancer =
		fixture_put(&f, balancer_fixture_new(&f, "lb", address), &error);
	_cleanup_(model_free) struct nic *a =
		balancer_fixture_member(&f, "a", balancer, "pool", NULL, NULL, &error);
	_cleanup_(model_free) struct network *network = fixture_put(
		&f, fixture_network(&f, "net2", "10.0.0.0/16", "sub", "10.0.1.0/24", NULL), &error);
	struct nic *elsewhere = fixture_nic(&f, "b", false);
	struct nic_config *config = elsewhere->spec.configs->pdata[0];

	g_assert_no_error(error);
	g_free(config->network);
	g_free(config->subnet);
	config->network = g_strdup(network->meta.uid);
	config->subnet = g_strdup(((struct subnet *)network->spec.subnets->pdata[0])->uid);
	config->pools = balancer_fixture_refs(balancer, "pool");
	g_assert_null(fixture_put(&f, elsewhere, &error));
	g_assert_error(error, FAULT, FAULT_INVALID_REFERENCE);
	g_assert_nonnull(strstr(error->message, "is not in virtual network net"));
}

/* ---- what hosts are told ---- */

static struct balancer *put_web(struct fixture *f, struct address **ret_address)
{
	g_autoptr(GError) error = NULL;
	struct balancer *wanted = balancer_fixture_new(
		f, "lb", *ret_address = balancer_fixture_address(f, "ip", ADDRESS_STANDARD));
	struct balancer_probe *probe =
		balancer_fixture_add(&wanted->spec.probes, &balancer_probe_shape, "Alive");

	*probe = (struct balancer_probe){probe->name, PROBE_TCP, 8080, NULL, 5, 2};
	balancer_fixture_rule(wanted, "web", 80)->probe = g_strdup("alive");
	balancer_fixture_nat(&wanted->spec.nat_rules, "ssh", "pool", 50000, 50119);
	struct balancer *balancer = fixture_put(f, wanted, &error);
	g_assert_no_error(error);
	return balancer;
}

static const struct goal_balance *rule_at(const struct goal *goal, guint i)
{
	const struct goal_balancer *balancer = goal->balancers->pdata[0];

	g_assert_cmpuint(list_length(balancer->rules), >, i);
	return balancer->rules->pdata[i];
}

static struct report_nic *add_report(struct report *report, const char *nic)
{
	struct report_nic *entry = shape_new(&report_nic_shape);

	if (!report->nics)
		report->nics = shape_list_new(&report_nic_shape);
	g_ptr_array_add(report->nics, entry);
	entry->uid = g_strdup(nic);
	return entry;
}

static void test_goal(void)
{
	OPEN(f);
	g_autoptr(GError) error = NULL;
	struct address *ip;
	_cleanup_(model_free) struct balancer *balancer = put_web(&f, &ip);
	_cleanup_(model_free) struct address *address = ip;
	_cleanup_(goal_free) struct goal *before = control_goal(f.control, "host-1", NULL);
	g_assert_cmpuint(list_length(before->balancers), ==, 0);
	_cleanup_(model_free) struct nic *nic =
		balancer_fixture_member(&f, "a", balancer, "pool", NULL, NULL, &error);
	_cleanup_(model_free) struct vm *vm = balancer_fixture_run(&f, "a", nic);

	_cleanup_(goal_free) struct goal *goal = control_goal(f.control, "host-1", NULL);
	g_assert_cmpuint(list_length(goal->balancers), ==, 1);
	const struct goal_balance *web = rule_at(goal, 0), *ssh = rule_at(goal, 1);
	g_assert_cmpstr(web->address, ==, address->status.ip);
	g_assert_cmpint(web->port, ==, 80);
	g_assert_cmpuint(list_length(web->members), ==, 1);
	const struct goal_member *member = web->members->pdata[0];
	g_assert_cmpstr(member->nic, ==, nic->meta.uid);
	g_assert_false(member->well);
	g_assert_cmpint(ssh->port, ==, 50000);
	g_assert_cmpint(ssh->member_port, ==, 22);
	g_assert_true(((struct goal_member *)ssh->members->pdata[0])->well);
	const struct goal_nic *of_nic = goal->nics->pdata[0];
	g_assert_cmpuint(list_length(of_nic->probes), ==, 1);
	g_assert_cmpstr(((struct goal_probe *)of_nic->probes->pdata[0])->key, ==, web->probe);
	g_assert_cmpstr(of_nic->source_nat, ==, address->status.ip);
	g_assert_null(of_nic->front.vtep);

	/* Its host finds it well. */
	struct report_nic *report = add_report(f.report, nic->meta.uid);
	report->well = strings_new();
	g_ptr_array_add(report->well, g_strdup(web->probe));
	g_assert_true(control_report(f.control, "host-1", f.report, &error));
	_cleanup_(goal_free) struct goal *well = control_goal(f.control, "host-1", NULL);
	g_assert_cmpint(well->version, >, goal->version);
	g_assert_true(((struct goal_member *)rule_at(well, 0)->members->pdata[0])->well);

	/* Off, it is no member, and has to be found well anew. */
	fixture_act(&f, vm, VERB_DEALLOCATE);
	_cleanup_(goal_free) struct goal *off = control_goal(f.control, "host-1", NULL);
	g_assert_cmpuint(list_length(rule_at(off, 0)->members), ==, 0);
	_cleanup_(model_free) struct nic *now = control_get(f.control, KIND_NIC, nic->meta.uid, NULL);
	g_assert_cmpuint(list_length(now->status.well), ==, 0);
}

static void test_two_hosts(void)
{
	OPEN(f);
	g_autoptr(GError) error = NULL;
	struct address *ip;

	fixture_add_host(&f);
	f.report->vtep = g_strdup("172.16.0.1");
	f.second->vtep = g_strdup("172.16.0.2");
	fixture_obey(&f);
	_cleanup_(model_free) struct balancer *balancer = put_web(&f, &ip);
	_cleanup_(model_free) struct address *address = ip;
	_cleanup_(model_free) struct host *home =
		control_get(f.control, KIND_HOST, balancer->status.host, NULL);
	g_assert_nonnull(home);
	/* As many as it takes for both hosts to have some. */
	const char *other_name = g_str_equal(home->meta.name, "host-1") ? "host-2" : "host-1";
	for (unsigned i = 0; i < 4; i++) {
		g_autofree char *name = g_strdup_printf("m%u", i);
		_cleanup_(model_free) struct nic *nic =
			balancer_fixture_member(&f, name, balancer, "pool", NULL, NULL, &error);
		model_free(balancer_fixture_run(&f, name, nic));
	}
	_cleanup_(goal_free) struct goal *here = control_goal(f.control, home->meta.name, NULL),
					 *there = control_goal(f.control, other_name, NULL);
	g_assert_cmpuint(list_length(here->balancers), ==, 1);
	g_assert_cmpuint(list_length(rule_at(here, 0)->members), ==, 4);
	g_assert_cmpuint(list_length(there->balancers), ==, 0);
	g_assert_cmpuint(
		list_length(here->networks), ==, 1); /* of the members, whether they are here or not */
	g_assert_cmpuint(list_length(here->nics) + list_length(there->nics), ==, 4);
	for (guint i = 0; i < list_length(there->nics); i++) {
		const struct goal_nic *nic = there->nics->pdata[i];
		g_assert_cmpstr(nic->front.vtep, ==, home->status.vtep);
		g_assert_cmpstr(nic->front.mac, ==, balancer->status.mac);
		g_assert_true(nic->front.standard);
		g_assert_null(nic->source_nat);
		g_assert_cmpuint(list_length(nic->probes), ==, 1);
	}
}

/* ---- its host goes down ---- */

static bool is_at(struct fixture *f, const struct balancer *balancer, const struct host *host)
{
	_cleanup_(model_free) struct balancer *now = balancer_fixture_reload(f, balancer);

	return g_strcmp0(now->status.host, host->meta.uid) == 0;
}

/* Lets time pass, in which that host (NULL: nobody) reports, until the load balancer is at `wanted` (NULL: to the end). */
static void pass(struct fixture *f, const struct host *reporting, const struct balancer *balancer,
	const struct host *wanted, unsigned seconds)
{
	int64_t end = g_get_monotonic_time() + seconds * G_USEC_PER_SEC;

	while (g_get_monotonic_time() < end && !(wanted && is_at(f, balancer, wanted))) {
		bool first = reporting && g_str_equal(reporting->meta.name, "host-1");
		if (reporting)
			g_assert_true(control_report(
				f->control, reporting->meta.name, first ? f->report : f->second, NULL));
		while (g_main_context_iteration(NULL, false))
			;
		g_usleep(20000);
	}
}

static struct vm *vm_of(struct fixture *f, const struct balancer_member *member, struct nic **ret_nic)
{
	*ret_nic = control_get(f->control, KIND_NIC, member->nic, NULL);
	return control_get(f->control, KIND_VM, (*ret_nic)->status.vm, NULL);
}

/* Four, which their hosts find well from now on. */
static void add_members(struct fixture *f, const struct balancer *balancer, const struct host *one)
{
	g_autoptr(GError) error = NULL;

	for (unsigned i = 0; i < 4; i++) {
		g_autofree char *name = g_strdup_printf("m%u", i);
		_cleanup_(model_free) struct nic *nic =
			balancer_fixture_member(f, name, balancer, "pool", NULL, NULL, &error);
		g_assert_no_error(error);
		model_free(balancer_fixture_run(f, name, nic));
	}
	_cleanup_(model_free) struct balancer *now = balancer_fixture_reload(f, balancer);
	for (guint i = 0; i < now->status.members->len; i++) {
		_cleanup_(model_free) struct nic *nic = NULL;
		_cleanup_(model_free) struct vm *vm = vm_of(f, now->status.members->pdata[i], &nic);
		struct report_nic *report = add_report(
			g_str_equal(vm->status.host, one->meta.uid) ? f->report : f->second, nic->meta.uid);
		report->well = strings_new();
		g_ptr_array_add(report->well, g_strdup_printf("%s/alive", balancer->meta.uid));
	}
}

/* How many members of that host are well. */
static unsigned count_well(struct fixture *f, const struct balancer *balancer, const struct host *host)
{
	_cleanup_(model_free) struct balancer *now = balancer_fixture_reload(f, balancer);
	unsigned n = 0;

	for (guint i = 0; i < now->status.members->len; i++) {
		_cleanup_(model_free) struct nic *nic = NULL;
		_cleanup_(model_free) struct vm *vm = vm_of(f, now->status.members->pdata[i], &nic);
		n += g_str_equal(vm->status.host, host->meta.uid) && list_length(nic->status.well) > 0;
	}
	return n;
}

static void test_silent(void)
{
	_cleanup_(fixture_close) struct fixture f = {.host_timeout_s = 1};
	struct address *ip;

	fixture_open(&f);
	fixture_add_host(&f);
	f.report->vtep = g_strdup("172.16.0.1");
	f.second->vtep = g_strdup("172.16.0.2");
	fixture_obey(&f);
	_cleanup_(model_free) struct balancer *balancer = put_web(&f, &ip);
	_cleanup_(model_free) struct address *address = ip;
	_cleanup_(model_free) struct host *one = control_find(f.control, KIND_HOST, NULL, "host-1", NULL),
					  *two = control_find(f.control, KIND_HOST, NULL, "host-2", NULL);
	bool first = is_at(&f, balancer, one);
	const struct host *home = first ? one : two, *other = first ? two : one;

	add_members(&f, balancer, one);
	g_assert_true(control_report(f.control, "host-1", f.report, NULL));
	g_assert_true(control_report(f.control, "host-2", f.second, NULL));
	g_assert_cmpuint(count_well(&f, balancer, home), >, 0);
	g_assert_cmpuint(count_well(&f, balancer, other), >, 0);
	/* Nobody reports: it may be the controller's own trouble. */
	pass(&f, NULL, balancer, NULL, 3);
	g_assert_true(is_at(&f, balancer, home));
	g_assert_cmpuint(count_well(&f, balancer, home), >, 0);
	g_assert_cmpuint(count_well(&f, balancer, other), >, 0);
	pass(&f, home, balancer, NULL, 3);
	g_assert_true(is_at(&f, balancer, home));
	GLogLevelFlags fatal = g_log_set_always_fatal(G_LOG_FATAL_MASK); /* the operator is warned */
	pass(&f, other, balancer, other, 20);
	pass(&f, other, balancer, NULL, 2);
	g_log_set_always_fatal(fatal);
	g_assert_true(is_at(&f, balancer, other));
	/* Nor do its members get anything, which nobody asks. */
	g_assert_cmpuint(count_well(&f, balancer, home), ==, 0);
	g_assert_cmpuint(count_well(&f, balancer, other), >, 0);
	/* It does not go back by itself. */
	for (unsigned i = 0; i < 30; i++) {
		g_assert_true(control_report(f.control, "host-1", f.report, NULL));
		g_assert_true(control_report(f.control, "host-2", f.second, NULL));
		while (g_main_context_iteration(NULL, false))
			;
		g_usleep(100000);
	}
	g_assert_true(is_at(&f, balancer, other));
	g_assert_cmpuint(count_well(&f, balancer, home), >, 0);
}

/* Nobody reports, so it stays with its host until that is given up. */
static void test_given_up(void)
{
	_cleanup_(fixture_close) struct fixture f = {.host_timeout_s = 1};
	g_autoptr(GPtrArray) lost = NULL;
	g_autoptr(GError) error = NULL;
	struct address *ip;

	fixture_open(&f);
	fixture_add_host(&f);
	_cleanup_(model_free) struct balancer *balancer = put_web(&f, &ip);
	_cleanup_(model_free) struct address *address = ip;
	_cleanup_(model_free) struct host *one = control_find(f.control, KIND_HOST, NULL, "host-1", NULL),
					  *two = control_find(f.control, KIND_HOST, NULL, "host-2", NULL);
	bool first = is_at(&f, balancer, one);

	g_usleep(1100000);
	control_remove_host(f.control, first ? "host-1" : "host-2", true, &lost, &error);
	g_assert_no_error(error);
	g_assert_true(is_at(&f, balancer, first ? two : one));
}

/* A put of the object is a matter of the host of that name, also while it is silent. */
static bool concerns(struct fixture *f, const char *host, const void *object)
{
	const struct control_request request = {.principal = "test"};
	_cleanup_(goal_free) struct goal *goal = control_goal(f->control, host, NULL);
	_cleanup_(model_free) struct operation *operation = operation_new(VERB_PUT, object, &request, false);

	return exposure_concerns(f->control, goal, operation);
}

static void test_silent_parts(void)
{
	OPEN(f);
	g_autoptr(GError) error = NULL;
	struct address *ip;

	fixture_add_host(&f);
	_cleanup_(model_free) struct balancer *balancer = put_web(&f, &ip);
	_cleanup_(model_free) struct address *address = ip;
	_cleanup_(model_free) struct address *idle = balancer_fixture_address(&f, "idle", ADDRESS_STANDARD);
	_cleanup_(model_free) struct balancer *beside =
		fixture_must_put(&f, balancer_fixture_new(&f, "beside", idle));
	_cleanup_(model_free) struct host *one = control_find(f.control, KIND_HOST, NULL, "host-1", NULL);
	bool first = is_at(&f, balancer, one);
	const char *home = first ? "host-1" : "host-2", *other = first ? "host-2" : "host-1";

	add_members(&f, balancer, one);
	g_assert_true(concerns(&f, home, balancer));
	g_assert_true(concerns(&f, other, balancer)); /* it has members, and knows where it is */
	g_assert_true(concerns(&f, home, address));
	g_assert_false(concerns(&f, home, beside));
	g_assert_false(concerns(&f, other, beside));
	g_assert_false(concerns(&f, home, idle));
	/* Wherever a member is, it may leave; one that is new and without a machine is none. */
	_cleanup_(goal_free) struct goal *there = control_goal(f.control, other, NULL);
	_cleanup_(model_free) struct nic *member =
		control_get(f.control, KIND_NIC, ((struct goal_nic *)there->nics->pdata[0])->uid, &error);
	g_assert_no_error(error);
	g_assert_true(concerns(&f, home, member));
	_cleanup_(model_free) struct nic *idler =
		balancer_fixture_member(&f, "idler", balancer, "pool", NULL, NULL, &error);
	g_assert_no_error(error);
	g_assert_false(concerns(&f, home, idler));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/balancer/what contradicts itself is refused, and why", test_rules);
	g_test_add_func("/balancer/an address is of one front end or NIC", test_address);
	g_test_add_func("/balancer/members get ports, keep them and give them back", test_members);
	g_test_add_func("/balancer/a NAT rule reaches the members that are there", test_nat_rule_comes_later);
	g_test_add_func("/balancer/NAT rules and NAT pools lead to one NIC a port", test_nat_targets);
	g_test_add_func("/balancer/all members are in one network", test_one_network);
	g_test_add_func("/balancer/a host is told of rules, members and what it asks them", test_goal);
	g_test_add_func("/balancer/one host has the addresses, others the way to it", test_two_hosts);
	g_test_add_func("/balancer/it leaves a host that is silent for one that is not", test_silent);
	g_test_add_func("/balancer/it leaves a host that is given up", test_given_up);
	g_test_add_func("/balancer/a silent host waits for changes to those that it has something of",
		test_silent_parts);
	return g_test_run();
}
