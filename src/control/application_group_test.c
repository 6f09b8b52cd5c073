/* Application security groups in the control plane: who is in them, which rules may name them, and what hosts are told. */
#include "base/fault.h"
#include "control/fixture.h"

#include <string.h>

static struct application_group *put_group(struct fixture *f, const char *name)
{
	g_autoptr(GError) error = NULL;
	struct application_group *wanted = model_new(KIND_APPLICATION_GROUP, name, f->group);

	wanted->meta.location = g_strdup("centralus");
	struct application_group *group = fixture_put(f, wanted, &error);
	g_assert_no_error(error);
	return group;
}

static GPtrArray *uids_of(const struct application_group *group)
{
	GPtrArray *uids = strings_new();

	g_ptr_array_add(uids, g_strdup(group->meta.uid));
	return uids;
}

/* group NULL: in none. */
static struct nic *put_nic(
	struct fixture *f, const char *name, const struct application_group *group, GError **error)
{
	struct nic *nic = fixture_nic(f, name, false);
	struct nic_config *config = nic->spec.configs->pdata[0];

	config->application_groups = group ? uids_of(group) : NULL;
	return fixture_put(f, nic, error);
}

/* A network beside the fixture's, and a NIC of it. */
static struct nic *put_stranger(struct fixture *f, const struct application_group *group, GError **error)
{
	_cleanup_(model_free) struct network *network =
		fixture_put(f, fixture_network(f, "other", "10.9.0.0/16", "sub", "10.9.1.0/24", NULL), NULL);
	struct nic *nic = fixture_nic(f, "stranger", false);
	struct nic_config *config = nic->spec.configs->pdata[0];

	fixture_join(nic, network);
	config->application_groups = group ? uids_of(group) : NULL;
	return fixture_put(f, nic, error);
}

/* Of one rule, from the group's members to `to`'s (NULL: to every address). */
static struct security_group *put_rules(struct fixture *f, const char *name,
	const struct application_group *from, const struct application_group *to, GError **error)
{
	struct security_group *group = model_new(KIND_SECURITY_GROUP, name, f->group);
	struct rule *rule = fixture_rule("named", 100);

	group->meta.location = g_strdup("centralus");
	group->spec.rules = shape_list_new(&rule_shape);
	g_clear_pointer(&rule->source.addresses, g_ptr_array_unref);
	rule->source.application_groups = uids_of(from);
	if (to) {
		g_clear_pointer(&rule->destination.addresses, g_ptr_array_unref);
		rule->destination.application_groups = uids_of(to);
	}
	g_ptr_array_add(group->spec.rules, rule);
	return fixture_put(f, group, error);
}

static void assert_refused(GError **error, enum fault code, const char *words)
{
	g_assert_error(*error, FAULT, (int)code);
	if (!strstr((*error)->message, words))
		g_error("'%s' is not in: %s", words, (*error)->message);
	g_clear_error(error);
}

static bool remove_object(struct fixture *f, const void *object, GError **error)
{
	const struct control_request request = {.principal = "test"};
	_cleanup_(control_result_clear) struct control_result result = {};
	const struct meta *meta = object;

	return control_delete(f->control, (enum kind)meta->kind, meta->uid, &request, &result, error);
}

static guint count_members(struct fixture *f, const struct application_group *group)
{
	_cleanup_(model_free) struct application_group *now =
		control_get(f->control, KIND_APPLICATION_GROUP, group->meta.uid, NULL);

	return list_length(now->status.members);
}

static void test_members(void)
{
	OPEN(f);
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct application_group *web = put_group(&f, "web");
	_cleanup_(model_free) struct nic *a = put_nic(&f, "a", web, &error),
					 *b = put_nic(&f, "b", web, &error);

	g_assert_no_error(error);
	_cleanup_(model_free) struct application_group *now =
		control_get(f.control, KIND_APPLICATION_GROUP, web->meta.uid, NULL);
	g_assert_cmpint(now->status.number, ==, 1);
	g_assert_cmpstr(now->status.network, ==, f.network);
	g_assert_cmpuint(list_length(now->status.members), ==, 2);
	/* What is put again as it is changes nothing. */
	_cleanup_(model_free) struct nic *again = put_nic(&f, "a", web, &error);
	_cleanup_(model_free) struct application_group *same =
		control_get(f.control, KIND_APPLICATION_GROUP, web->meta.uid, NULL);
	g_assert_cmpint(same->meta.revision, ==, now->meta.revision);

	g_assert_false(remove_object(&f, web, &error));
	assert_refused(&error, FAULT_IN_USE, "network interface");
	_cleanup_(model_free) struct nic *left = put_nic(&f, "a", NULL, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(count_members(&f, web), ==, 1);
	g_assert_true(remove_object(&f, b, &error));
	g_assert_cmpuint(count_members(&f, web), ==, 0);
	g_assert_true(remove_object(&f, web, &error));
	/* Its number is free again. */
	_cleanup_(model_free) struct application_group *next = put_group(&f, "next");
	g_assert_cmpint(next->status.number, ==, 1);
}

static void test_one_network(void)
{
	OPEN(f);
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct application_group *web = put_group(&f, "web");
	_cleanup_(model_free) struct nic *a = put_nic(&f, "a", web, &error);

	g_assert_null(put_stranger(&f, web, &error));
	assert_refused(&error, FAULT_INVALID_REFERENCE, "those that it has are in net");
	g_assert_cmpuint(count_members(&f, web), ==, 1);
	/* Once its last member has left, it is free for another. */
	_cleanup_(model_free) struct nic *left = put_nic(&f, "a", NULL, &error);
	_cleanup_(model_free) struct nic *stranger = put_stranger(&f, web, &error);
	g_assert_no_error(error);
	g_assert_null(put_nic(&f, "a", web, &error));
	assert_refused(&error, FAULT_INVALID_REFERENCE, "those that it has are in other");
}

static void test_rules(void)
{
	OPEN(f);
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct application_group *web = put_group(&f, "web"),
						       *data = put_group(&f, "data");
	_cleanup_(model_free) struct security_group *group = put_rules(&f, "rules", web, data, &error);

	g_assert_no_error(error);
	g_assert_false(remove_object(&f, web, &error));
	assert_refused(&error, FAULT_IN_USE, "rules");

	struct security_group *both = model_copy(group);
	struct rule *rule = both->spec.rules->pdata[0];
	rule->source.addresses = strings_new();
	g_ptr_array_add(rule->source.addresses, g_strdup("10.0.0.0/8"));
	g_assert_null(fixture_put(&f, both, &error));
	assert_refused(&error, FAULT_INVALID, "only one of both");

	/* Members of one rule's groups are in one network, whichever comes first. */
	_cleanup_(model_free) struct nic *a = put_nic(&f, "a", web, &error);
	g_assert_null(put_stranger(&f, data, &error));
	assert_refused(&error, FAULT_INVALID_REFERENCE, "web and data");
	_cleanup_(model_free) struct application_group *third = put_group(&f, "third");
	_cleanup_(model_free) struct nic *stranger = put_stranger(&f, third, &error);
	g_assert_no_error(error);
	g_assert_null(put_rules(&f, "between", web, third, &error));
	assert_refused(&error, FAULT_INVALID_REFERENCE, "in different virtual networks");

	/* Who names it no more does not hold it. */
	_cleanup_(model_free) struct security_group *less = put_rules(&f, "rules", data, NULL, &error);
	g_assert_no_error(error);
	_cleanup_(model_free) struct nic *left = put_nic(&f, "a", NULL, &error);
	g_assert_true(remove_object(&f, web, &error));
	g_assert_null(put_nic(&f, "a", web, &error));
	assert_refused(&error, FAULT_INVALID_REFERENCE, "create it first");
	g_assert_null(put_rules(&f, "more", web, NULL, &error));
	assert_refused(&error, FAULT_INVALID_REFERENCE, "create it first");
}

static void test_limits(void)
{
	OPEN(f);
	g_autoptr(GError) error = NULL;
	struct nic *nic = fixture_nic(&f, "a", false);
	struct nic_config *config = nic->spec.configs->pdata[0];

	config->application_groups = strings_new();
	for (unsigned i = 0; i < 21; i++) {
		g_autofree char *name = g_strdup_printf("g%u", i);
		_cleanup_(model_free) struct application_group *group = put_group(&f, name);
		g_ptr_array_add(config->application_groups, g_strdup(group->meta.uid));
	}
	struct nic *fewer = model_copy(nic);
	g_assert_null(fixture_put(&f, nic, &error));
	assert_refused(&error, FAULT_QUOTA, "20 is the most");
	config = fewer->spec.configs->pdata[0];
	g_ptr_array_set_size(config->application_groups, 20);
	_cleanup_(model_free) struct nic *stored = fixture_put(&f, fewer, &error);
	g_assert_no_error(error);
}

static struct vm *run_vm(struct fixture *f, const char *name, const struct nic *nic)
{
	g_autoptr(GError) error = NULL;
	struct vm *vm = fixture_put(f, fixture_vm(f, name, "Standard_DS2_v2", nic), &error);

	g_assert_no_error(error);
	return vm;
}

/* The members are those of all hosts; only groups that rules of the host's NICs name are there. */
static void test_goal(void)
{
	OPEN(f);
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct application_group *web = put_group(&f, "web"),
						       *idle = put_group(&f, "idle");
	_cleanup_(model_free) struct security_group *rules = put_rules(&f, "rules", web, NULL, &error);
	struct nic *guarded = fixture_nic(&f, "a", false);

	guarded->spec.security_group = g_strdup(rules->meta.uid);
	_cleanup_(model_free) struct nic *a = fixture_put(&f, guarded, &error);
	_cleanup_(model_free) struct vm *vm = run_vm(&f, "vm", a);
	_cleanup_(goal_free) struct goal *before = control_goal(f.control, "host-1", NULL);
	const struct goal_application_group *empty = before->application_groups->pdata[0];
	g_assert_cmpuint(before->application_groups->len, ==, 1);
	g_assert_null(empty->network);
	g_assert_cmpuint(list_length(empty->members), ==, 0);

	_cleanup_(model_free) struct nic *b = put_nic(&f, "b", web, &error),
					 *c = put_nic(&f, "c", idle, &error);
	g_assert_no_error(error);
	_cleanup_(goal_free) struct goal *goal = control_goal(f.control, "host-1", NULL);
	g_assert_cmpint(goal->version, >, before->version);
	g_assert_cmpuint(goal->application_groups->len, ==, 1);
	const struct goal_application_group *group = goal->application_groups->pdata[0];
	const struct nic_config *config = b->spec.configs->pdata[0];
	g_assert_cmpstr(group->uid, ==, web->meta.uid);
	g_assert_cmpint(group->number, ==, web->status.number);
	g_assert_cmpstr(group->name, ==, "web");
	g_assert_cmpstr(group->network, ==, f.network);
	g_assert_cmpuint(list_length(group->members), ==, 1);
	g_assert_cmpstr(group->members->pdata[0], ==, config->ip);
}

/* An instance is in what its set's model names, also when the model changes. */
static void test_scale_set(void)
{
	OPEN(f);
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct application_group *web = put_group(&f, "web");
	struct scale_set *wanted = fixture_scale_set(&f, "set", 0);
	struct set_nic *nic = wanted->spec.model.nics->pdata[0];
	struct set_config *config = nic->configs->pdata[0];

	config->nic.application_groups = uids_of(web);
	struct scale_set *missing = model_copy(wanted);
	struct set_nic *its = missing->spec.model.nics->pdata[0];
	struct set_config *there = its->configs->pdata[0];
	g_ptr_array_add(there->nic.application_groups, g_uuid_string_random());
	g_assert_null(fixture_put(&f, missing, &error));
	assert_refused(&error, FAULT_INVALID_REFERENCE, "application security group");
	_cleanup_(model_free) struct scale_set *set = fixture_put(&f, wanted, &error);
	g_assert_no_error(error);
	g_assert_false(remove_object(&f, web, &error));
	assert_refused(&error, FAULT_IN_USE, "scale set");
	struct scale_set *more = model_copy(set);
	more->spec.capacity = 2;
	_cleanup_(model_free) struct scale_set *two = fixture_put(&f, more, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(count_members(&f, web), ==, 2);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/application-group/addresses of NICs come and go with what they say", test_members);
	g_test_add_func("/application-group/all members are in one network", test_one_network);
	g_test_add_func("/application-group/a rule names groups of one network, and holds them", test_rules);
	g_test_add_func("/application-group/a NIC is in twenty at most", test_limits);
	g_test_add_func("/application-group/a host is told of those that its rules name", test_goal);
	g_test_add_func("/application-group/instances are in those of their set's model", test_scale_set);
	return g_test_run();
}
