/* The control plane: what it accepts and refuses, and that operations end right, also across restarts. */
#include "base/fault.h"
#include "control/fixture.h"

#include <string.h>

static const struct control_request request = {.principal = "test"};

static void check_refused(struct fixture *f, void *object, enum fault fault, const char *words)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *name = g_strdup(model_meta(object)->name),
			*parent = g_strdup(model_meta(object)->parent);
	enum kind kind = (enum kind)model_meta(object)->kind;

	g_assert_null(fixture_put(f, object, &error));
	g_assert_error(error, FAULT, (int)fault);
	if (!strstr(error->message, words))
		g_error("'%s' is not in: %s", words, error->message);
	_cleanup_(model_free) void *there = name ? control_find(f->control, kind, parent, name, NULL) : NULL;
	g_assert_null(there);
}

static void test_networks_refused(void)
{
	OPEN(f);
	check_refused(&f, fixture_network(&f, "n", "10.0.0.1/16", NULL), FAULT_INVALID,
		"bits set behind its length");
	check_refused(&f, fixture_network(&f, "n", "ten", NULL), FAULT_INVALID, "no address prefix");
	static const char *const taken[] = {
		"168.63.129.0/24", "169.254.1.0/24", "127.1.0.0/16", "239.0.0.0/8", "0.0.0.0/0"};
	for (size_t i = 0; i < G_N_ELEMENTS(taken); i++)
		check_refused(&f, fixture_network(&f, "n", taken[i], NULL), FAULT_INVALID,
			"the platform's or no machine's");
	check_refused(&f, fixture_network(&f, "n", "10.0.0.0/16", "a", "10.1.0.0/24", NULL), FAULT_INVALID,
		"outside");
	check_refused(&f,
		fixture_network(&f, "n", "10.0.0.0/16", "a", "10.0.0.0/24", "b", "10.0.0.0/25", NULL),
		FAULT_OVERLAP, "overlaps with subnet a");
	check_refused(&f,
		fixture_network(&f, "n", "10.0.0.0/16", "a", "10.0.0.0/24", "A", "10.0.1.0/24", NULL),
		FAULT_INVALID, "twice");
	check_refused(&f, fixture_network(&f, "n", "10.0.0.0/16", "a", "10.0.0.0/30", NULL), FAULT_INVALID,
		"too small");
	check_refused(&f, fixture_network(&f, "bad/name", "10.0.0.0/16", NULL), FAULT_INVALID, "no name");
	struct network *nowhere = fixture_network(&f, "n", "10.0.0.0/16", NULL);
	g_free(nowhere->meta.location);
	nowhere->meta.location = g_strdup("atlantis");
	check_refused(&f, nowhere, FAULT_BAD_LOCATION, "centralus,westus");
}

static void *group_with(const struct fixture *f, struct rule *a, struct rule *b)
{
	struct security_group *group = model_new(KIND_SECURITY_GROUP, "nsg", f->group);

	group->meta.location = g_strdup("centralus");
	group->spec.rules = shape_list_new(&rule_shape);
	if (a)
		g_ptr_array_add(group->spec.rules, a);
	if (b)
		g_ptr_array_add(group->spec.rules, b);
	return group;
}

static struct rule *rule_with_port(const char *port)
{
	struct rule *rule = fixture_rule("r", 100);

	g_ptr_array_set_size(rule->destination.ports, 0);
	g_ptr_array_add(rule->destination.ports, g_strdup(port));
	return rule;
}

static void test_rules_refused(void)
{
	static const char *const ports[] = {"70000", "20-10", "x", "-5", "", "1-", "22 "};

	OPEN(f);
	check_refused(&f, group_with(&f, fixture_rule("r", 99), NULL), FAULT_INVALID, "between 100 and 4096");
	check_refused(&f, group_with(&f, fixture_rule("r", 100), fixture_rule("s", 100)), FAULT_OVERLAP,
		"priority 100");
	check_refused(
		&f, group_with(&f, fixture_rule("r", 100), fixture_rule("R", 101)), FAULT_INVALID, "twice");
	for (size_t i = 0; i < G_N_ELEMENTS(ports); i++)
		check_refused(&f, group_with(&f, rule_with_port(ports[i]), NULL), FAULT_INVALID,
			"destination port");
	for (int protocol = PROTOCOL_ICMP; protocol <= PROTOCOL_AH; protocol++) {
		struct rule *portless = rule_with_port("1-2");
		portless->protocol = protocol;
		check_refused(&f, group_with(&f, portless, NULL), FAULT_INVALID,
			"Its destination port range must be '*', not '1-2'");
	}
	struct rule *rule = fixture_rule("r", 100);
	g_ptr_array_add(rule->source.addresses, g_strdup("Intranet"));
	check_refused(&f, group_with(&f, rule, NULL), FAULT_INVALID, "'Intranet' is no source address");
}

static void test_full_subnet(void)
{
	OPEN(f);
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct network *small = fixture_put(
		&f, fixture_network(&f, "small", "10.9.0.0/24", "tiny", "10.9.0.0/29", NULL), &error);
	const char *expected[] = {"10.9.0.4", "10.9.0.5", "10.9.0.6"};

	g_assert_no_error(error);
	for (int i = 0; i < 4; i++) {
		g_autofree char *name = g_strdup_printf("nic%d", i);
		struct nic *nic = fixture_nic(&f, name, false);
		struct nic_config *config = nic->spec.configs->pdata[0];
		g_free(config->network);
		g_free(config->subnet);
		config->network = g_strdup(small->meta.uid);
		config->subnet = g_strdup(((struct subnet *)small->spec.subnets->pdata[0])->uid);
		if (i == 3) {
			check_refused(&f, nic, FAULT_POOL_FULL, "subnet tiny is full");
			break;
		}
		_cleanup_(model_free) struct nic *made = fixture_put(&f, nic, &error);
		g_assert_no_error(error);
		g_assert_cmpstr(((struct nic_config *)made->spec.configs->pdata[0])->ip, ==, expected[i]);
	}
}

static struct operation *action(struct fixture *f, const struct vm *vm, enum verb verb)
{
	_cleanup_(control_result_clear) struct control_result result = {};
	g_autoptr(GError) error = NULL;

	g_assert_true(control_vm_action(f->control, vm->meta.uid, verb, &request, &result, &error));
	g_assert_no_error(error);
	return fixture_finish(f, result.operation, true);
}

static bool remove_object(struct fixture *f, const void *object, GError **error)
{
	const struct meta *meta = object;
	_cleanup_(control_result_clear) struct control_result result = {};

	if (!control_delete(f->control, (enum kind)meta->kind, meta->uid, &request, &result, error))
		return false;
	_cleanup_(model_free) struct operation *over = fixture_finish(f, result.operation, true);
	return over->status.state == OPERATION_SUCCEEDED;
}

static void test_vm_life(void)
{
	OPEN(f);
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct nic *nic = fixture_put(&f, fixture_nic(&f, "nic", false), &error);
	_cleanup_(model_free) struct vm *vm =
		fixture_put(&f, fixture_vm(&f, "vm", "standard_ds4_v2", nic), &error);

	g_assert_no_error(error);
	g_assert_cmpstr(vm->spec.size, ==, "Standard_DS4_v2");
	g_assert_cmpint(vm->status.power, ==, POWER_STATE_RUNNING);
	_cleanup_(model_free) struct operation *off = action(&f, vm, VERB_DEALLOCATE);
	g_assert_cmpint(off->status.state, ==, OPERATION_SUCCEEDED);
	_cleanup_(model_free) struct operation *on = action(&f, vm, VERB_START);
	g_assert_cmpint(on->status.state, ==, OPERATION_SUCCEEDED);
	_cleanup_(model_free) struct operation *again = action(&f, vm, VERB_RESTART);
	g_assert_cmpint(again->status.state, ==, OPERATION_SUCCEEDED);
	g_assert_false(remove_object(&f, nic, &error));
	g_assert_error(error, FAULT, FAULT_IN_USE);
	g_assert_nonnull(strstr(error->message, "virtual machine vm"));
	g_clear_error(&error);
	g_assert_true(remove_object(&f, vm, &error));
	g_assert_true(remove_object(&f, nic, &error));
	g_assert_no_error(error);
}

/* The host reports the VM off although it is wanted on, as after a guest's own poweroff. */
static void report_stopped(struct fixture *f, const struct vm *vm)
{
	g_autoptr(GError) error = NULL;

	fixture_obey(f);
	((struct report_vm *)f->report->vms->pdata[0])->power = POWER_STATE_STOPPED;
	g_assert_true(control_report(f->control, f->report->host, f->report, &error));
	_cleanup_(model_free) struct vm *now = control_get(f->control, KIND_VM, vm->meta.uid, &error);
	g_assert_cmpint(now->status.power, ==, POWER_STATE_STOPPED);
}

static void test_start_after_poweroff(void)
{
	OPEN(f);
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct nic *nic = fixture_put(&f, fixture_nic(&f, "nic", false), &error);
	_cleanup_(model_free) struct vm *vm =
		fixture_put(&f, fixture_vm(&f, "vm", "Standard_DS4_v2", nic), &error);

	report_stopped(&f, vm);
	_cleanup_(model_free) struct operation *on = action(&f, vm, VERB_START);
	g_assert_cmpint(on->status.state, ==, OPERATION_SUCCEEDED);
	_cleanup_(model_free) struct vm *now = control_get(f.control, KIND_VM, vm->meta.uid, &error);
	g_assert_cmpint(now->spec.restarts, ==, 1);
	g_assert_cmpint(now->status.power, ==, POWER_STATE_RUNNING);
}

/* Changes the rules of the interface's security group; its operation, Owned. */
static struct operation *change_rules(struct fixture *f, const char *rule)
{
	g_autoptr(GError) error = NULL;
	_cleanup_(control_result_clear) struct control_result result = {};
	_cleanup_(model_free) struct security_group *group = model_new(KIND_SECURITY_GROUP, "busy", f->group);

	group->meta.location = g_strdup("westus");
	group->spec.rules = shape_list_new(&rule_shape);
	g_ptr_array_add(group->spec.rules, fixture_rule(rule, 100));
	g_assert_true(control_put(f->control, group, &request, &result, &error));
	g_assert_no_error(error);
	return g_steal_pointer(&result.operation);
}

static struct goal *goal_now(struct fixture *f)
{
	g_autoptr(GError) error = NULL;
	struct goal *goal = control_goal(f->control, f->report->host, &error);

	g_assert_no_error(error);
	return goal;
}

static bool is_running(struct fixture *f, const struct operation *operation)
{
	for (unsigned i = 0; i < 20; i++) {
		g_main_context_iteration(NULL, FALSE);
		g_usleep(1000);
	}
	_cleanup_(model_free) struct operation *now =
		control_get(f->control, KIND_OPERATION, operation->meta.uid, NULL);
	return now->status.state == OPERATION_RUNNING;
}

static void assert_ends(struct fixture *f, const struct operation *operation)
{
	_cleanup_(model_free) struct operation *over = fixture_finish(f, operation, false);

	g_assert_cmpint(over->status.state, ==, OPERATION_SUCCEEDED);
}

/* Where many work at the same time, each goal is an old one when its host reports it. */
static void test_operations_end_in_a_busy_cloud(void)
{
	OPEN(f);
	_cleanup_(model_free) struct operation *first = change_rules(&f, "zero");
	_cleanup_(model_free) struct security_group *group =
		control_get(f.control, KIND_SECURITY_GROUP, first->spec.target, NULL);
	struct nic *wanted = fixture_nic(&f, "nic", false);
	wanted->spec.security_group = g_strdup(group->meta.uid);
	_cleanup_(model_free) struct nic *nic = fixture_must_put(&f, wanted);
	_cleanup_(model_free) struct vm *vm =
		fixture_must_put(&f, fixture_vm(&f, "vm", "Standard_DS4_v2", nic));

	_cleanup_(model_free) struct operation *one = change_rules(&f, "one");
	_cleanup_(goal_free) struct goal *with_one = goal_now(&f);
	_cleanup_(model_free) struct operation *two = change_rules(&f, "two");
	_cleanup_(goal_free) struct goal *with_two = goal_now(&f);
	g_assert_cmpint(with_two->version, >, with_one->version);
	fixture_report(&f, with_one, f.report->host, f.report);
	assert_ends(&f, one);
	g_assert_true(is_running(&f, two));
	/* What was said before a machine was to be another says nothing of it. */
	_cleanup_(control_result_clear) struct control_result off = {};
	g_assert_true(control_vm_action(f.control, vm->meta.uid, VERB_POWER_OFF, &request, &off, NULL));
	_cleanup_(goal_free) struct goal *with_off = goal_now(&f);
	_cleanup_(model_free) struct operation *three = change_rules(&f, "three");
	_cleanup_(goal_free) struct goal *with_three = goal_now(&f);
	g_assert_cmpint(with_three->version, >, with_off->version);
	fixture_report(&f, with_two, f.report->host, f.report);
	assert_ends(&f, two);
	g_assert_true(is_running(&f, off.operation));
	fixture_report(&f, with_off, f.report->host, f.report);
	assert_ends(&f, off.operation);
	fixture_report(&f, with_three, f.report->host, f.report);
	assert_ends(&f, three);
}

static void test_acceleration_only_while_deallocated(void)
{
	OPEN(f);
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct nic *nic = fixture_put(&f, fixture_nic(&f, "nic", false), &error);
	_cleanup_(model_free) struct vm *vm =
		fixture_put(&f, fixture_vm(&f, "vm", "Standard_DS4_v2", nic), &error);

	g_assert_null(fixture_put(&f, fixture_nic(&f, "nic", true), &error));
	g_assert_error(error, FAULT, FAULT_NOT_ALLOWED);
	g_assert_nonnull(strstr(error->message, "Deallocate it first"));
	g_clear_error(&error);
	model_free(action(&f, vm, VERB_POWER_OFF));
	g_assert_null(fixture_put(&f, fixture_nic(&f, "nic", true), &error));
	g_assert_error(error, FAULT, FAULT_NOT_ALLOWED); /* stopped, but it has its place still */
	g_clear_error(&error);
	_cleanup_(model_free) struct operation *off = action(&f, vm, VERB_DEALLOCATE);
	_cleanup_(model_free) struct nic *changed = fixture_put(&f, fixture_nic(&f, "nic", true), &error);
	g_assert_no_error(error);
	g_assert_true(changed->spec.accelerated);
	g_assert_cmpstr(changed->status.mac, ==, nic->status.mac);
}

static void test_acceleration_needs_the_size(void)
{
	OPEN(f);
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct nic *nic = fixture_put(&f, fixture_nic(&f, "nic", true), &error);

	check_refused(&f, fixture_vm(&f, "vm", "Standard_B1s", nic), FAULT_NOT_ALLOWED, "Standard_B1s");
	check_refused(&f, fixture_vm(&f, "vm", "Standard_B1s", nic), FAULT_NOT_ALLOWED,
		"or create the machine with an interface without it (--accelerated-networking false)");
	check_refused(&f, fixture_vm(&f, "vm", "Standard_Q9", nic), FAULT_INVALID, "no size of this cloud");
}

static void test_drained_host_takes_no_vm(void)
{
	OPEN(f);
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct nic *nic = fixture_put(&f, fixture_nic(&f, "nic", false), &error);
	_cleanup_(model_free) struct vm *wanted = fixture_vm(&f, "vm", "Standard_DS4_v2", nic);
	_cleanup_(control_result_clear) struct control_result result = {};

	f.report->drained = true;
	g_assert_true(control_report(f.control, f.report->host, f.report, &error));
	g_assert_true(control_put(f.control, wanted, &request, &result, &error));
	_cleanup_(model_free) struct operation *over = fixture_finish(&f, result.operation, true);
	g_assert_cmpstr(over->status.fault, ==, "allocation");
	g_assert_nonnull(strstr(over->status.message, "Host host-1: ComputeFilter: it is drained"));
}

static void test_allocation_failure_names_the_filter(void)
{
	OPEN(f);
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct nic *nic = fixture_put(&f, fixture_nic(&f, "nic", false), &error);
	_cleanup_(model_free) struct vm *wanted = fixture_vm(&f, "vm", "Standard_Huge", nic);
	_cleanup_(control_result_clear) struct control_result result = {};

	g_assert_true(control_put(f.control, wanted, &request, &result, &error));
	_cleanup_(model_free) struct operation *over = fixture_finish(&f, result.operation, true);
	g_assert_cmpint(over->status.state, ==, OPERATION_FAILED);
	g_assert_cmpstr(over->status.fault, ==, "allocation");
	g_assert_nonnull(strstr(over->status.message, "Host host-1: RamFilter: 4194304 MiB are needed"));
	_cleanup_(model_free) struct vm *vm =
		control_get(f.control, KIND_VM, model_meta(result.object)->uid, &error);
	g_assert_cmpint(vm->status.outcome.state, ==, PROVISIONING_FAILED);
	g_assert_true(remove_object(&f, vm, &error));
}

static void test_in_use(void)
{
	OPEN(f);
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct security_group *nsg =
		fixture_put(&f, group_with(&f, NULL, NULL), &error);
	struct nic *wanted = fixture_nic(&f, "nic", false);
	wanted->spec.security_group = g_strdup(nsg->meta.uid);
	_cleanup_(model_free) struct nic *nic = fixture_put(&f, wanted, &error);
	_cleanup_(model_free) struct network *network =
		control_get(f.control, KIND_NETWORK, f.network, &error);

	g_assert_no_error(error);
	g_assert_false(remove_object(&f, nsg, &error));
	g_assert_error(error, FAULT, FAULT_IN_USE);
	g_assert_nonnull(strstr(error->message, "network interface nic"));
	g_clear_error(&error);
	g_assert_false(remove_object(&f, network, &error));
	g_assert_error(error, FAULT, FAULT_IN_USE);
	g_clear_error(&error);
	g_assert_null(fixture_put(&f, fixture_network(&f, "net", "10.0.0.0/16", NULL), &error));
	g_assert_error(error, FAULT, FAULT_IN_USE);
	g_clear_error(&error);
	g_assert_true(remove_object(&f, nic, &error));
	g_assert_true(remove_object(&f, nsg, &error));
	g_assert_true(remove_object(&f, network, &error));
	g_assert_no_error(error);
}

static void test_public_address_moves(void)
{
	OPEN(f);
	g_autoptr(GError) error = NULL;
	struct address *wanted = model_new(KIND_ADDRESS, "pip", f.group);
	wanted->meta.location = g_strdup("centralus");
	_cleanup_(model_free) struct address *address = fixture_put(&f, wanted, &error);
	struct nic *first = fixture_nic(&f, "first", false), *second = fixture_nic(&f, "second", false);

	g_assert_cmpstr(address->status.ip, ==, "203.0.113.2");
	((struct nic_config *)first->spec.configs->pdata[0])->address = g_strdup(address->meta.uid);
	((struct nic_config *)second->spec.configs->pdata[0])->address = g_strdup(address->meta.uid);
	_cleanup_(model_free) struct nic *again = model_copy(second);
	_cleanup_(model_free) struct nic *holder = fixture_put(&f, first, &error);
	g_assert_no_error(error);
	check_refused(&f, second, FAULT_IN_USE, "network interface first");
	_cleanup_(model_free) struct nic *without = fixture_put(&f, fixture_nic(&f, "first", false), &error);
	_cleanup_(model_free) struct nic *taker = fixture_put(&f, g_steal_pointer(&again), &error);
	g_assert_no_error(error);
	_cleanup_(model_free) struct address *now =
		control_get(f.control, KIND_ADDRESS, address->meta.uid, &error);
	g_assert_cmpstr(now->status.nic, ==, taker->meta.uid);
}

static struct address *ensure_address(struct fixture *f, const char *name)
{
	g_autoptr(GError) error = NULL;
	struct address *wanted = model_new(KIND_ADDRESS, name, f->group);

	wanted->meta.location = g_strdup("centralus");
	struct address *address = fixture_put(f, wanted, &error);
	g_assert_no_error(error);
	return address;
}

/* A NIC with configurations a and b that have these private and public addresses. */
static struct nic *pair_nic(const struct fixture *f, const char *ip_a, const char *public_a, const char *ip_b,
	const char *public_b)
{
	struct nic *nic = fixture_nic(f, "pair", false);
	const char *const ips[] = {ip_a, ip_b}, *const publics[] = {public_a, public_b};

	g_ptr_array_add(nic->spec.configs, shape_copy(&nic_config_shape, nic->spec.configs->pdata[0]));
	for (guint i = 0; i < 2; i++) {
		struct nic_config *config = nic->spec.configs->pdata[i];
		g_free(config->name);
		config->name = g_strdup(i ? "b" : "a");
		config->allocation = ALLOCATION_STATIC;
		config->ip = g_strdup(ips[i]);
		config->address = g_strdup(publics[i]);
	}
	return nic;
}

static void test_configurations_swap(void)
{
	OPEN(f);
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct address *one = ensure_address(&f, "one"),
					     *two = ensure_address(&f, "two");
	_cleanup_(model_free) struct nic *before =
		fixture_put(&f, pair_nic(&f, "10.0.1.10", one->meta.uid, "10.0.1.11", two->meta.uid), &error);

	g_assert_no_error(error);
	_cleanup_(model_free) struct nic *after =
		fixture_put(&f, pair_nic(&f, "10.0.1.11", two->meta.uid, "10.0.1.10", one->meta.uid), &error);
	g_assert_no_error(error);
	_cleanup_(model_free) struct address *now =
		control_get(f.control, KIND_ADDRESS, one->meta.uid, &error);
	g_assert_cmpstr(now->status.nic, ==, after->meta.uid);
	g_assert_false(remove_object(&f, one, &error));
	g_assert_error(error, FAULT, FAULT_IN_USE);
	g_clear_error(&error);
	struct nic *other = fixture_nic(&f, "other", false);
	((struct nic_config *)other->spec.configs->pdata[0])->ip = g_strdup("10.0.1.10");
	check_refused(&f, other, FAULT_EXISTS, "taken already");
	g_assert_null(fixture_put(
		&f, pair_nic(&f, "10.0.1.11", one->meta.uid, "10.0.1.10", one->meta.uid), &error));
	g_assert_error(error, FAULT, FAULT_INVALID);
	g_clear_error(&error);
	g_assert_true(remove_object(&f, after, &error));
	g_assert_true(remove_object(&f, one, &error));
	g_assert_no_error(error);
}

static void test_delete_overtakes(void)
{
	OPEN(f);
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct nic *nic = fixture_put(&f, fixture_nic(&f, "nic", false), &error);
	_cleanup_(model_free) struct vm *vm =
		fixture_put(&f, fixture_vm(&f, "vm", "Standard_DS4_v2", nic), &error);
	_cleanup_(control_result_clear) struct control_result off = {}, gone = {};

	g_assert_true(control_vm_action(f.control, vm->meta.uid, VERB_DEALLOCATE, &request, &off, &error));
	g_assert_true(control_delete(f.control, KIND_VM, vm->meta.uid, &request, &gone, &error));
	g_assert_no_error(error);
	_cleanup_(model_free) struct operation *first = fixture_finish(&f, off.operation, false);
	g_assert_cmpint(first->status.state, ==, OPERATION_FAILED);
	g_assert_nonnull(strstr(first->status.message, "deleted meanwhile"));
	_cleanup_(model_free) struct operation *second = fixture_finish(&f, gone.operation, true);
	g_assert_cmpint(second->status.state, ==, OPERATION_SUCCEEDED);
	g_assert_null(control_get(f.control, KIND_VM, vm->meta.uid, NULL));
}

static void test_hosts_are_not_trusted(void)
{
	OPEN(f);
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct nic *nic = fixture_put(&f, fixture_nic(&f, "nic", true), &error);
	_cleanup_(model_free) struct vm *vm =
		fixture_put(&f, fixture_vm(&f, "vm", "Standard_DS4_v2", nic), &error);
	_cleanup_(report_free) struct report *report = report_new();
	struct report_nic *entry = shape_new(&report_nic_shape);

	g_assert_nonnull(vm);
	report->nics = shape_list_new(&report_nic_shape);
	g_ptr_array_add(report->nics, entry);
	g_assert_false(control_report(f.control, "host-2", report, &error));
	g_assert_error(error, FAULT, FAULT_INVALID);
	g_clear_error(&error);
	entry->uid = g_strdup(nic->meta.uid);
	entry->enforcement = ENFORCEMENT_HARDWARE;
	g_assert_true(control_report(f.control, "host-2", report, &error));
	_cleanup_(model_free) struct nic *now = control_get(f.control, KIND_NIC, nic->meta.uid, &error);
	g_assert_cmpint(now->status.enforcement, ==, ENFORCEMENT_NONE);
	g_assert_true(control_report(f.control, "host-1", report, &error));
	_cleanup_(model_free) struct nic *then = control_get(f.control, KIND_NIC, nic->meta.uid, &error);
	g_assert_cmpint(then->status.enforcement, ==, ENFORCEMENT_HARDWARE);
}

static void test_group_delete_takes_all(void)
{
	OPEN(f);
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct nic *nic = fixture_put(&f, fixture_nic(&f, "nic", true), &error);
	_cleanup_(model_free) struct vm *vm =
		fixture_put(&f, fixture_vm(&f, "vm", "Standard_DS4_v2", nic), &error);
	_cleanup_(model_free) struct group *group = control_get(f.control, KIND_GROUP, f.group, &error);
	_cleanup_(store_range_clear) struct store_range left = {};

	g_assert_no_error(error);
	g_assert_nonnull(vm);
	g_assert_true(remove_object(&f, group, &error));
	g_assert_no_error(error);
	static const char *const prefixes[] = {"/sluice/pool/", "/sluice/ref/", "/sluice/placed/",
		"/sluice/name/nic/", "/sluice/object/nic/", "/sluice/object/vm/", "/sluice/object/group/",
		"/sluice/object/network/"};
	for (size_t i = 0; i < G_N_ELEMENTS(prefixes); i++) {
		g_autofree char *end = store_prefix_end(prefixes[i]);
		store_range_clear(&left);
		g_assert_true(store_list(f.store, prefixes[i], end, 0, 0, &left, NULL, &error));
		if (left.kvs->len)
			g_error("left behind: %s", ((struct store_kv *)left.kvs->pdata[0])->key);
	}
}

static void test_restart_resumes(void)
{
	OPEN(f);
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct nic *nic = fixture_put(&f, fixture_nic(&f, "nic", false), &error);
	_cleanup_(model_free) struct vm *wanted = fixture_vm(&f, "vm", "Standard_DS4_v2", nic);
	_cleanup_(control_result_clear) struct control_result result = {};

	g_assert_true(control_put(f.control, wanted, &request, &result, &error));
	fixture_restart(&f);
	_cleanup_(model_free) struct operation *over = fixture_finish(&f, result.operation, true);
	g_assert_cmpint(over->status.state, ==, OPERATION_SUCCEEDED);
	g_assert_true(control_delete(f.control, KIND_GROUP, f.group, &request, &result, &error));
	fixture_restart(&f);
	_cleanup_(model_free) struct operation *gone = fixture_finish(&f, result.operation, true);
	g_assert_cmpint(gone->status.state, ==, OPERATION_SUCCEEDED);
}

static void test_goal_holds_what_the_vm_needs(void)
{
	OPEN(f);
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct security_group *nsg =
		fixture_put(&f, group_with(&f, fixture_rule("ssh", 100), NULL), &error);
	struct nic *wanted = fixture_nic(&f, "nic", true);
	wanted->spec.security_group = g_strdup(nsg->meta.uid);
	wanted->spec.ip_forwarding = true;
	_cleanup_(model_free) struct nic *nic = fixture_put(&f, wanted, &error);
	_cleanup_(model_free) struct vm *vm =
		fixture_put(&f, fixture_vm(&f, "vm", "Standard_DS4_v2", nic), &error);
	_cleanup_(goal_free) struct goal *goal = control_goal(f.control, "host-1", &error);

	g_assert_no_error(error);
	g_assert_cmpint(goal->vms->len, ==, 1);
	const struct goal_vm *out = goal->vms->pdata[0];
	g_assert_cmpint(out->memory_mib, ==, 28672);
	g_assert_cmpstr(out->ssh_keys->pdata[0], ==, "ssh-rsa AAAA test");
	const struct goal_nic *port = goal->nics->pdata[0];
	g_assert_true(port->accelerated);
	g_assert_true(port->forwarding);
	g_assert_cmpint(port->bandwidth_mbps, ==, 6000);
	g_assert_cmpstr(((struct goal_address *)port->addresses->pdata[0])->ip, ==, "10.0.1.4");
	const struct goal_network *network = goal->networks->pdata[0];
	g_assert_cmpstr(((struct goal_subnet *)network->subnets->pdata[0])->gateway, ==, "10.0.1.1");
	g_assert_cmpint(((struct goal_group *)goal->groups->pdata[0])->rules->len, ==, 1);
	_cleanup_(goal_free) struct goal *other = control_goal(f.control, "host-2", &error);
	g_assert_cmpint(
		list_length(other->vms) + list_length(other->nics) + list_length(other->networks), ==, 0);
}

static void test_etags(void)
{
	OPEN(f);
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct network *network =
		control_get(f.control, KIND_NETWORK, f.network, &error);
	_cleanup_(model_free) struct network *wanted =
		fixture_network(&f, "net", "10.0.0.0/16", "sub", "10.0.1.0/24", NULL);
	_cleanup_(control_result_clear) struct control_result result = {};
	struct control_request stale = {.principal = "t", .if_revision = network->meta.revision + 1000};
	struct control_request fresh = {.principal = "t", .if_revision = network->meta.revision};
	struct control_request none = {.principal = "t", .if_none = true};

	g_assert_false(control_put(f.control, wanted, &stale, &result, &error));
	g_assert_error(error, FAULT, FAULT_PRECONDITION);
	g_clear_error(&error);
	g_assert_false(control_put(f.control, wanted, &none, &result, &error));
	g_assert_error(error, FAULT, FAULT_PRECONDITION);
	g_clear_error(&error);
	g_assert_true(control_put(f.control, wanted, &fresh, &result, &error));
	g_assert_false(control_put(f.control, wanted, &fresh, &result, &error));
	g_assert_error(error, FAULT, FAULT_PRECONDITION);
}

static void test_principals(void)
{
	OPEN(f);
	g_autoptr(GError) error = NULL;
	g_autofree char *secret = control_principal_add(f.control, "app", NULL, false, &error);

	g_assert_no_error(error);
	g_assert_cmpuint(strlen(secret), >=, 40);
	g_assert_true(control_principal_check(f.control, "app", secret, &error));
	g_assert_false(control_principal_check(f.control, "app", "wrong", &error));
	g_assert_error(error, FAULT, FAULT_UNAUTHENTICATED);
	g_clear_error(&error);
	g_assert_false(control_principal_check(f.control, "nobody", secret, &error));
	g_assert_error(error, FAULT, FAULT_UNAUTHENTICATED);
	g_clear_error(&error);
	g_assert_null(control_principal_add(f.control, "app", NULL, false, &error));
	g_assert_error(error, FAULT, FAULT_EXISTS);
}

/* Puts in the preview, to success. The object, Owned. */
static void *put_in(struct control *control, void *object)
{
	_cleanup_(model_free) void *wanted = object;
	_cleanup_(control_result_clear) struct control_result result = {};
	g_autoptr(GError) error = NULL;

	control_put(control, wanted, &request, &result, &error);
	g_assert_no_error(error);
	g_assert_cmpint(result.operation->status.state, ==, OPERATION_SUCCEEDED);
	return g_steal_pointer(&result.object);
}

static void test_preview(void)
{
	OPEN(f);
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct nic *real = fixture_put(&f, fixture_nic(&f, "real", true), &error);
	g_assert_no_error(error);
	_cleanup_(control_preview_close) struct control *preview = control_preview_open(f.control, &error);
	g_assert_no_error(error);
	/* What is there is seen, and so is what was put before; a machine is there at once, as no host hears of it. */
	_cleanup_(model_free) struct nic *nic = put_in(preview, fixture_nic(&f, "n", true));
	_cleanup_(model_free) struct vm *vm = put_in(preview, fixture_vm(&f, "vm", "Standard_DS2_v2", nic));
	_cleanup_(model_free) struct vm *seen = control_find(preview, KIND_VM, f.group, "vm", &error);
	g_assert_no_error(error);
	g_assert_cmpint(seen->status.outcome.state, ==, PROVISIONING_SUCCEEDED);
	const struct nic_config *first = real->spec.configs->pdata[0], *second = nic->spec.configs->pdata[0];
	g_assert_cmpstr(first->ip, !=, second->ip);
	/* Rules hold as ever. */
	_cleanup_(control_result_clear) struct control_result result = {};
	g_assert_false(control_delete(preview, KIND_NIC, nic->meta.uid, &request, &result, &error));
	g_assert_error(error, FAULT, FAULT_IN_USE);
	g_clear_error(&error);
	g_assert_true(control_delete(preview, KIND_NIC, real->meta.uid, &request, &result, &error));
	/* Nothing of it was done. */
	g_assert_null(control_find(f.control, KIND_VM, f.group, "vm", &error));
	_cleanup_(model_free) struct nic *still = control_find(f.control, KIND_NIC, f.group, "real", &error);
	g_assert_nonnull(still);
	g_assert_cmpint(still->meta.revision, ==, real->meta.revision);
}

static void note_end(const struct operation *operation, void *data)
{
	g_string_append_printf(data, "%s ", operation->spec.target_name);
}

/* Whether it is over in the store, of which the watch tells in its next turn. */
static bool is_over(struct fixture *f, const struct operation *operation)
{
	_cleanup_(model_free) struct operation *now =
		control_get(f->control, KIND_OPERATION, operation->meta.uid, NULL);

	return now->status.state != OPERATION_RUNNING;
}

static void test_watch_that_lags(void)
{
	OPEN(f);
	g_autoptr(GString) ends = g_string_new(NULL);
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct nic *nic = fixture_must_put(&f, fixture_nic(&f, "nic", false));
	g_autoptr(GBytes) value = g_bytes_new_static("x", 1);
	int64_t revision;

	control_set_listener(f.control, note_end, ends);
	_cleanup_(model_free) struct operation *operation =
		fixture_begin(&f, fixture_vm(&f, "vm", "Standard_DS2_v2", nic));
	while (!is_over(&f, operation)) {
		fixture_obey(&f);
		g_main_context_iteration(NULL, true);
	}
	g_assert_cmpstr(ends->str, ==, "");
	g_assert_true(store_put(f.store, "/sluice/later", value, &revision, &error));
	g_assert_true(store_compact(f.store, revision, &error));
	while (g_main_context_iteration(NULL, false))
		continue;
	g_assert_cmpstr(ends->str, ==, "vm ");
	/* Once, and what comes after that is followed again. */
	fixture_delete(&f, KIND_VM, operation->spec.target);
	while (g_main_context_iteration(NULL, false))
		continue;
	g_assert_cmpstr(ends->str, ==, "vm vm ");
	control_set_listener(f.control, NULL, NULL);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define TEST(text, fn) g_test_add_func("/control/" text, fn)
	TEST("bad networks are refused and leave nothing", test_networks_refused);
	TEST("bad rules are refused and leave nothing", test_rules_refused);
	TEST("a full subnet gives no address and says so", test_full_subnet);
	TEST("a VM runs, stops, starts, restarts and goes", test_vm_life);
	TEST("a VM that powered itself off is started anew", test_start_after_poweroff);
	TEST("operations end when hosts have them, whatever changes meanwhile",
		test_operations_end_in_a_busy_cloud);
	TEST("acceleration changes only while the VM is deallocated",
		test_acceleration_only_while_deallocated);
	TEST("acceleration and VMs want a fitting size", test_acceleration_needs_the_size);
	TEST("a VM that no host can hold names the filter of each host",
		test_allocation_failure_names_the_filter);
	TEST("a host that is drained takes no new VM, and says so", test_drained_host_takes_no_vm);
	TEST("what is in use cannot be deleted", test_in_use);
	TEST("a public address has one user at a time", test_public_address_moves);
	TEST("configurations of one NIC may swap their addresses", test_configurations_swap);
	TEST("a deletion overtakes what is under way", test_delete_overtakes);
	TEST("a host speaks for its own VMs only, and whole", test_hosts_are_not_trusted);
	TEST("deleting a group deletes all in it and leaks nothing", test_group_delete_takes_all);
	TEST("operations go on after a restart", test_restart_resumes);
	TEST("a host's goal holds what its VMs need and nothing of others",
		test_goal_holds_what_the_vm_needs);
	TEST("etags guard against lost updates", test_etags);
	TEST("principals are known by their secrets", test_principals);
	TEST("ends are told of, also where the store has forgotten the changes", test_watch_that_lags);
	TEST("a preview sees what it did, and nothing of it was done", test_preview);
	return g_test_run();
}
