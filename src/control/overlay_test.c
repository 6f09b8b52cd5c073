/* Networks on several hosts: whose addresses each host is told of, and what is said where they cannot be reached. */
#include "base/fault.h"
#include "control/fixture.h"

#include <string.h>

static const struct control_request request = {.principal = "test"};

/* Two hosts, with a VM of one network each. */
struct pair {
	struct fixture f;
	struct report *second; /* Owned; what host-2 says next */
	struct vm *vms[2]; /* Owned */
};

/* Both hosts do what their goals say until the operation is over. */
static void finish(struct pair *p, const struct operation *operation)
{
	_cleanup_(model_free) struct operation *now =
		control_get(p->f.control, KIND_OPERATION, operation->meta.uid, NULL);

	while (now->status.state == OPERATION_RUNNING) {
		fixture_obey(&p->f);
		fixture_obey_as(&p->f, "host-2", p->second);
		g_main_context_iteration(NULL, TRUE);
		model_free(now);
		now = control_get(p->f.control, KIND_OPERATION, operation->meta.uid, NULL);
	}
	g_assert_cmpint(now->status.state, ==, OPERATION_SUCCEEDED);
}

static void *put(struct pair *p, void *object)
{
	_cleanup_(model_free) struct meta *wanted = object;
	_cleanup_(control_result_clear) struct control_result result = {};
	g_autoptr(GError) error = NULL;

	control_put(p->f.control, wanted, &request, &result, &error);
	g_assert_no_error(error);
	finish(p, result.operation);
	return control_get(p->f.control, (enum kind)wanted->kind, model_meta(result.object)->uid, NULL);
}

/* The host with the most memory left gets the VM. */
static struct vm *vm_on(struct pair *p, const char *host, const char *name)
{
	bool second = g_str_equal(host, "host-2");

	p->f.report->memory_mib = second ? 16 * 1024 : 64 * 1024;
	p->second->memory_mib = 24 * 1024;
	fixture_obey(&p->f);
	fixture_obey_as(&p->f, "host-2", p->second);
	_cleanup_(model_free) struct nic *nic = put(p, fixture_nic(&p->f, name, false));
	struct vm *vm = put(p, fixture_vm(&p->f, name, "Standard_B1s", nic));
	_cleanup_(model_free) struct host *placed =
		control_get(p->f.control, KIND_HOST, vm->status.host, NULL);
	g_assert_cmpstr(placed->meta.name, ==, host);
	return vm;
}

static void set_vtep(struct report *report, const char *vtep)
{
	g_free(report->vtep);
	report->vtep = g_strdup(vtep);
}

static void pair_open(struct pair *p, const char *first, const char *second)
{
	fixture_open(&p->f);
	p->second = report_new();
	p->second->vcpus = 2;
	p->second->available_mib = 20 * 1024;
	set_vtep(p->f.report, first);
	set_vtep(p->second, second);
	p->vms[0] = vm_on(p, "host-1", "vm-1");
	p->vms[1] = vm_on(p, "host-2", "vm-2");
}

static void pair_close(struct pair *p)
{
	report_free(p->second);
	model_free(p->vms[0]);
	model_free(p->vms[1]);
	fixture_close(&p->f);
}
CLEANUP_CLEAR_FUNC(struct pair, pair_close)

#define OPEN_PAIR(name, first, second)                                                                       \
	_cleanup_(pair_close) struct pair name = {};                                                         \
	pair_open(&name, first, second)

static struct goal *goal_of(struct pair *p, const char *host)
{
	g_autoptr(GError) error = NULL;
	struct goal *goal = control_goal(p->f.control, host, &error);

	g_assert_no_error(error);
	return goal;
}

/* "IP by VTEP, ..." of the host's one network, and the version of its goal. */
static int64_t assert_mapped(struct pair *p, const char *host, const char *wanted)
{
	_cleanup_(goal_free) struct goal *goal = goal_of(p, host);
	const struct goal_network *network = goal->networks->pdata[0];
	g_autoptr(GString) text = g_string_new(NULL);

	for (guint i = 0; i < list_length(network->mappings); i++) {
		const struct goal_mapping *mapping = network->mappings->pdata[i];
		g_string_append_printf(text, "%s%s by %s", i ? ", " : "", mapping->ip, mapping->vtep);
		g_assert_true(g_str_has_prefix(mapping->mac, "00:0d:3a:"));
	}
	g_assert_cmpstr(text->str, ==, wanted);
	return goal->version;
}

static void assert_condition(struct pair *p, const char *host, const char *part)
{
	_cleanup_(goal_free) struct goal *goal = goal_of(p, host);

	g_assert_cmpuint(list_length(goal->conditions), ==, part ? 1 : 0);
	if (part && !strstr(goal->conditions->pdata[0], part))
		g_error("'%s' is not in: %s", part, (char *)goal->conditions->pdata[0]);
}

static void act(struct pair *p, const struct vm *vm, enum verb verb)
{
	_cleanup_(control_result_clear) struct control_result result = {};
	g_autoptr(GError) error = NULL;

	control_vm_action(p->f.control, vm->meta.uid, verb, &request, &result, &error);
	g_assert_no_error(error);
	finish(p, result.operation);
}

static void test_mapped(void)
{
	OPEN_PAIR(p, "172.16.0.1", "172.16.0.2");
	int64_t before = assert_mapped(&p, "host-1", "10.0.1.5 by 172.16.0.2");

	assert_mapped(&p, "host-2", "10.0.1.4 by 172.16.0.1");
	assert_condition(&p, "host-1", NULL);
	assert_condition(&p, "host-2", NULL);
	act(&p, p.vms[1], VERB_DEALLOCATE);
	g_assert_cmpint(assert_mapped(&p, "host-1", ""), >, before);
	act(&p, p.vms[1], VERB_START);
	model_free(vm_on(&p, "host-2", "vm-3"));
	assert_mapped(&p, "host-1", "10.0.1.5 by 172.16.0.2, 10.0.1.6 by 172.16.0.2");
}

static void test_moved(void)
{
	OPEN_PAIR(p, "172.16.0.1", "172.16.0.2");
	int64_t before = assert_mapped(&p, "host-1", "10.0.1.5 by 172.16.0.2");

	g_assert_cmpint(assert_mapped(&p, "host-1", "10.0.1.5 by 172.16.0.2"), ==, before);
	set_vtep(p.second, "172.16.0.9");
	fixture_obey_as(&p.f, "host-2", p.second);
	g_assert_cmpint(assert_mapped(&p, "host-1", "10.0.1.5 by 172.16.0.9"), >, before);
}

static void test_restart(void)
{
	OPEN_PAIR(p, "172.16.0.1", "172.16.0.2");
	int64_t before = assert_mapped(&p, "host-1", "10.0.1.5 by 172.16.0.2");

	fixture_restart(&p.f); /* host-1 reports in there, host-2 does not */
	g_assert_null(control_last_report(p.f.control, "host-2"));
	g_assert_cmpint(assert_mapped(&p, "host-1", "10.0.1.5 by 172.16.0.2"), >=, before);
	assert_mapped(&p, "host-2", "10.0.1.4 by 172.16.0.1");
}

static void test_no_underlay(void)
{
	OPEN_PAIR(p, "172.16.0.1", NULL);

	assert_mapped(&p, "host-1", "");
	assert_mapped(&p, "host-2", "");
	assert_condition(&p, "host-1", "Host host-2 has no underlay: virtual machines there and here");
	assert_condition(&p, "host-2", "Host host-2 has no underlay: its virtual machines");
	act(&p, p.vms[1], VERB_DEALLOCATE);
	assert_condition(&p, "host-1", NULL);
	set_vtep(p.second, "172.16.0.2");
	act(&p, p.vms[1], VERB_START);
	assert_mapped(&p, "host-1", "10.0.1.5 by 172.16.0.2");
	assert_condition(&p, "host-2", NULL);
}

static void test_one_host(void)
{
	_cleanup_(fixture_close) struct fixture f = {};
	fixture_open(&f);
	_cleanup_(goal_free) struct goal *goal = control_goal(f.control, "host-1", NULL);

	g_assert_cmpuint(list_length(goal->conditions), ==, 0);
}

static void test_same_vtep(void)
{
	OPEN_PAIR(p, "172.16.0.1", "172.16.0.1");

	assert_mapped(&p, "host-2", "");
	assert_condition(&p, "host-2", "for the address 172.16.0.1 is another host's");
	set_vtep(p.f.report, "172.16.0.7");
	fixture_obey(&p.f);
	fixture_obey_as(&p.f, "host-2", p.second);
	assert_mapped(&p, "host-2", "10.0.1.4 by 172.16.0.7");
	assert_mapped(&p, "host-1", "10.0.1.5 by 172.16.0.1");
	assert_condition(&p, "host-2", NULL);
}

static void test_bad_vtep(void)
{
	static const char *const bad[] = {
		"", "x", "fd00::1", "0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "172.16.0.0/24"};
	OPEN_PAIR(p, "172.16.0.1", "172.16.0.2");

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;
		set_vtep(p.second, bad[i]);
		g_assert_false(control_report(p.f.control, "host-2", p.second, &error));
		g_assert_error(error, FAULT, FAULT_INVALID);
	}
	assert_mapped(&p, "host-1", "10.0.1.5 by 172.16.0.2");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define TEST(text, fn) g_test_add_func("/overlay/" text, fn)
	TEST("a host is told of its networks' NICs on other hosts while they are on", test_mapped);
	TEST("a host that moves to another VTEP is followed", test_moved);
	TEST("mappings are there again before hosts report to a new controller", test_restart);
	TEST("a host without underlay is named where its VMs are missed, and nowhere else", test_no_underlay);
	TEST("a cloud of one host needs no underlay", test_one_host);
	TEST("two hosts never have one VTEP", test_same_vtep);
	TEST("a VTEP that is no host's address is refused", test_bad_vtep);
	return g_test_run();
}
