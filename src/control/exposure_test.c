/* Which changes wait for a NIC whose guest holds on to what the rules do not allow. */
#include "base/fault.h"
#include "control/control_priv.h"
#include "control/fixture.h"

#include <string.h>

#define SIZE "Standard_DS4_v2"

/* VMs a and b with a NIC each, in groups of their own; the host says that of a's the guest holds on. */
struct cloud {
	struct fixture f;
	struct security_group *groups[2]; /* Owned, as all here */
	struct nic *nics[2];
	struct vm *vms[2];
};

static const struct control_request request = {.principal = "test"};

static struct security_group *group_of(const struct fixture *f, const char *name, int64_t priority)
{
	struct security_group *group = model_new(KIND_SECURITY_GROUP, name, f->group);

	group->meta.location = g_strdup("centralus");
	group->spec.rules = shape_list_new(&rule_shape);
	g_ptr_array_add(group->spec.rules, fixture_rule("rule", priority));
	return group;
}

static void say_exposed(struct cloud *p)
{
	struct report_exposure *exposed = shape_new(&report_exposure_shape);

	exposed->nic = g_strdup(p->nics[0]->meta.uid);
	exposed->vm = g_strdup(p->vms[0]->meta.uid);
	exposed->reason = g_strdup("its guest holds on");
	p->f.report->exposed = shape_list_new(&report_exposure_shape);
	g_ptr_array_add(p->f.report->exposed, exposed);
}

static void cloud_open(struct cloud *p)
{
	static const char *const groups[] = {"group-a", "group-b"}, *const nics[] = {"nic-a", "nic-b"},
				 *const vms[] = {"a", "b"};
	g_autoptr(GError) error = NULL;

	fixture_open(&p->f);
	for (unsigned i = 0; i < 2; i++) {
		p->groups[i] = fixture_put(&p->f, group_of(&p->f, groups[i], 100), &error);
		g_assert_no_error(error);
		struct nic *nic = fixture_nic(&p->f, nics[i], true);
		nic->spec.security_group = g_strdup(p->groups[i]->meta.uid);
		p->nics[i] = fixture_put(&p->f, nic, &error);
		g_assert_no_error(error);
		p->vms[i] = fixture_put(&p->f, fixture_vm(&p->f, vms[i], SIZE, p->nics[i]), &error);
		g_assert_no_error(error);
	}
	say_exposed(p);
}

static void cloud_close(struct cloud *p)
{
	for (unsigned i = 0; i < 2; i++) {
		model_free(p->groups[i]);
		model_free(p->nics[i]);
		model_free(p->vms[i]);
	}
	fixture_close(&p->f);
}
CLEANUP_CLEAR_FUNC(struct cloud, cloud_close)

/* What the operation waits for when the host has done all that it was told; NULL: nothing. Owned by the caller. */
static char *behind(struct cloud *p, const struct operation *operation)
{
	char *text = NULL;

	fixture_obey(&p->f);
	g_assert_true(hosts_applied(p->f.control, operation, &text) == !text);
	return text;
}

static void expect(struct cloud *p, void *object, bool waits)
{
	_cleanup_(model_free) struct operation *operation = fixture_begin(&p->f, object);
	g_autofree char *text = behind(p, operation);

	g_test_message("%s: %s", operation->spec.target_name, text ? text : "nothing");
	g_assert_cmpint(text != NULL, ==, waits);
	g_clear_pointer(&p->f.report->exposed, g_ptr_array_unref);
	_cleanup_(model_free) struct operation *over = fixture_finish(&p->f, operation, true);
	g_assert_cmpint(over->status.state, ==, OPERATION_SUCCEEDED);
	say_exposed(p);
}

static void test_others(void)
{
	_cleanup_(cloud_close) struct cloud p = {};

	cloud_open(&p);
	_cleanup_(model_free) struct operation *operation =
		fixture_begin(&p.f, group_of(&p.f, "group-b", 200));
	_cleanup_(model_free) struct operation *over = fixture_finish(&p.f, operation, true);
	g_assert_cmpint(over->status.state, ==, OPERATION_SUCCEEDED);
}

static void test_own(void)
{
	_cleanup_(cloud_close) struct cloud p = {};

	cloud_open(&p);
	_cleanup_(model_free) struct operation *operation =
		fixture_begin(&p.f, group_of(&p.f, "group-a", 200));
	for (unsigned i = 0; i < 20; i++) {
		fixture_obey(&p.f);
		g_main_context_iteration(NULL, true);
	}
	_cleanup_(model_free) struct operation *now =
		control_get(p.f.control, KIND_OPERATION, operation->meta.uid, NULL);
	g_assert_cmpint(now->status.state, ==, OPERATION_RUNNING);
	g_autofree char *text = behind(&p, operation);
	g_assert_cmpstr(text, ==,
		"host host-1 has not applied it to network interface nic-a of virtual machine a: its guest "
		"holds "
		"on");
	g_clear_pointer(&p.f.report->exposed, g_ptr_array_unref);
	_cleanup_(model_free) struct operation *over = fixture_finish(&p.f, operation, true);
	g_assert_cmpint(over->status.state, ==, OPERATION_SUCCEEDED);
}

static struct application_group *application_group(const struct cloud *p, const char *name)
{
	struct application_group *group = model_new(KIND_APPLICATION_GROUP, name, p->f.group);

	group->meta.location = g_strdup("centralus");
	return group;
}

static void test_parts(void)
{
	_cleanup_(cloud_close) struct cloud p = {};
	g_autoptr(GError) error = NULL;

	cloud_open(&p);
	expect(&p, model_copy(p.nics[0]), true);
	expect(&p, model_copy(p.nics[1]), false);
	struct network *network = control_get(p.f.control, KIND_NETWORK, p.f.network, &error);
	struct subnet *subnet = network->spec.subnets->pdata[0];
	subnet->security_group = g_strdup(p.groups[1]->meta.uid);
	expect(&p, network, true);
	expect(&p, group_of(&p.f, "group-b", 300), true); /* it is the subnet's now */
	_cleanup_(model_free) struct application_group *named =
		fixture_put(&p.f, application_group(&p, "named"), &error);
	g_assert_no_error(error);
	struct security_group *naming = group_of(&p.f, "group-a", 300);
	struct rule *rule = naming->spec.rules->pdata[0];
	g_clear_pointer(&rule->source.addresses, g_ptr_array_unref);
	rule->source.application_groups = strings_new();
	g_ptr_array_add(rule->source.application_groups, g_strdup(named->meta.uid));
	expect(&p, naming, true);
	_cleanup_(model_free) struct operation *of_named = operation_new(VERB_PUT, named, &request, false);
	of_named->meta.revision = 1;
	g_autofree char *text = behind(&p, of_named);
	g_assert_nonnull(text);
}

static void test_whole(void)
{
	_cleanup_(cloud_close) struct cloud p = {};
	g_autoptr(GError) error = NULL;

	cloud_open(&p);
	g_clear_pointer(&((struct report_exposure *)p.f.report->exposed->pdata[0])->reason, g_free);
	g_assert_false(control_report(p.f.control, "host-1", p.f.report, &error));
	g_assert_error(error, FAULT, FAULT_INVALID);
	g_assert_nonnull(strstr(error->message, "exposed[0]"));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define TEST(text, fn) g_test_add_func("/exposure/" text, fn)
	TEST("a guest that holds on holds up no change to others", test_others);
	TEST("a change to what its NIC's rules are waits for it, and says for which", test_own);
	TEST("so do changes to the NIC, its network, its subnet's group and application groups in rules",
		test_parts);
	TEST("an entry that is not whole is refused", test_whole);
	return g_test_run();
}
