/* What a host that does not report holds up, and what it does not. */
#include "base/fault.h"
#include "base/peer.h"
#include "base/pki.h"
#include "control/control_priv.h"
#include "control/fixture.h"

#include <glib/gstdio.h>
#include <string.h>

#define SIZE      "Standard_B1s"
#define LONG_AGO  (121 * G_USEC_PER_SEC)
#define PRINCIPAL "test"

/* Two hosts with a VM each, which is in a network of its own; the second one falls silent. */
struct pair {
	struct fixture f;
	struct report *second; /* Owned, as all here */
	struct nic *nics[2];
	struct vm *vms[2];
	struct security_group *group; /* of the second NIC */
	struct network *network; /* the second NIC's */
};

static const struct control_request request = {.principal = PRINCIPAL};

static struct security_group *group_of(const struct fixture *f, const char *name, int64_t priority)
{
	struct security_group *group = model_new(KIND_SECURITY_GROUP, name, f->group);

	group->meta.location = g_strdup("centralus");
	group->spec.rules = shape_list_new(&rule_shape);
	g_ptr_array_add(group->spec.rules, fixture_rule("rule", priority));
	return group;
}

/* Both hosts obey. */
static struct operation *finish(struct pair *p, const struct operation *operation)
{
	for (;;) {
		struct operation *now = control_get(p->f.control, KIND_OPERATION, operation->meta.uid, NULL);
		if (now->status.state != OPERATION_RUNNING)
			return now;
		model_free(now);
		fixture_obey(&p->f);
		fixture_obey_as(&p->f, "host-2", p->second);
		g_main_context_iteration(NULL, true);
	}
}

static void *put(struct pair *p, void *object)
{
	_cleanup_(model_free) struct meta *wanted = model_copy(object);
	_cleanup_(model_free) struct operation *operation = fixture_begin(&p->f, object);
	_cleanup_(model_free) struct operation *over = finish(p, operation);

	g_assert_cmpint(over->status.state, ==, OPERATION_SUCCEEDED);
	return control_get(p->f.control, (enum kind)wanted->kind, operation->spec.target, NULL);
}

/* The host with the most memory left gets the VM. */
static struct vm *vm_on(struct pair *p, unsigned host, const char *name)
{
	p->f.report->memory_mib = host ? 16 * 1024 : 64 * 1024;
	p->second->memory_mib = 24 * 1024;
	fixture_obey(&p->f);
	fixture_obey_as(&p->f, "host-2", p->second);
	struct nic *nic = fixture_nic(&p->f, name, false);
	if (host) {
		fixture_join(nic, p->network);
		nic->spec.security_group = g_strdup(p->group->meta.uid);
	}
	p->nics[host] = put(p, nic);
	struct vm *vm = put(p, fixture_vm(&p->f, name, SIZE, p->nics[host]));
	_cleanup_(model_free) struct host *placed =
		control_get(p->f.control, KIND_HOST, vm->status.host, NULL);
	g_assert_cmpstr(placed->meta.name, ==, host ? "host-2" : "host-1");
	return vm;
}

static void pair_open(struct pair *p)
{
	p->f.host_timeout_s = 1;
	fixture_open(&p->f);
	p->second = report_new();
	p->second->vcpus = 2;
	p->second->available_mib = 20 * 1024;
	p->second->physicals = strings_new();
	p->group = put(p, group_of(&p->f, "group-2", 100));
	p->network = put(p, fixture_network(&p->f, "net-2", "10.2.0.0/16", "sub", "10.2.1.0/24", NULL));
	p->vms[0] = vm_on(p, 0, "vm-1");
	p->vms[1] = vm_on(p, 1, "vm-2");
}

static void pair_close(struct pair *p)
{
	for (unsigned i = 0; i < 2; i++) {
		model_free(p->nics[i]);
		model_free(p->vms[i]);
	}
	model_free(p->group);
	model_free(p->network);
	report_free(p->second);
	fixture_close(&p->f);
}
CLEANUP_CLEAR_FUNC(struct pair, pair_close)

/* The first host alone reports for longer than the controller waits for the second. */
static void fall_silent(struct pair *p)
{
	for (unsigned i = 0; i < 12; i++) {
		g_usleep(100000);
		fixture_obey(&p->f);
		while (g_main_context_iteration(NULL, false))
			;
	}
	_cleanup_(model_free) struct host *second =
		control_find(p->f.control, KIND_HOST, NULL, "host-2", NULL);
	g_assert_true(hosts_is_silent(p->f.control, second->meta.uid));
}

/* As if it had begun long ago. */
static void age(struct pair *p, const struct operation *operation)
{
	_cleanup_(model_free) struct operation *now =
		control_get(p->f.control, KIND_OPERATION, operation->meta.uid, NULL);

	now->meta.created_us -= LONG_AGO;
	g_assert_true(control_store(p->f.control, now, NULL));
}

/* It waits for the silent host, until it has waited for too long. Takes the operation. */
static void expect_waits(struct pair *p, struct operation *taken)
{
	_cleanup_(model_free) struct operation *operation = taken;

	g_test_message("%s", operation->spec.target_name);
	for (unsigned i = 0; i < 20; i++) {
		fixture_obey(&p->f);
		while (g_main_context_iteration(NULL, false))
			;
	}
	_cleanup_(model_free) struct operation *now =
		control_get(p->f.control, KIND_OPERATION, operation->meta.uid, NULL);
	g_assert_cmpint(now->status.state, ==, OPERATION_RUNNING);
	age(p, operation);
	_cleanup_(model_free) struct operation *over = fixture_finish(&p->f, operation, true);
	g_assert_cmpstr(over->status.fault, ==, fault_name(FAULT_TIMEOUT));
	g_test_message("%s", over->status.message);
	g_assert_nonnull(strstr(over->status.message, "the agent of host host-2"));
	g_assert_nonnull(strstr(over->status.message, "does not report"));
}

/* Takes the operation. */
static void expect_passes(struct pair *p, struct operation *taken)
{
	_cleanup_(model_free) struct operation *operation = taken;
	_cleanup_(model_free) struct operation *over = fixture_finish(&p->f, operation, true);

	g_test_message("%s: %s", operation->spec.target_name, over->status.message);
	g_assert_cmpint(over->status.state, ==, OPERATION_SUCCEEDED);
}

static void test_unrelated(void)
{
	_cleanup_(pair_close) struct pair p = {};

	pair_open(&p);
	fall_silent(&p);
	expect_passes(&p, fixture_begin(&p.f, fixture_nic(&p.f, "new", false)));
	expect_passes(&p, fixture_begin(&p.f, group_of(&p.f, "new", 100)));
	expect_passes(&p,
		fixture_begin(&p.f, fixture_network(&p.f, "new", "10.3.0.0/16", "sub", "10.3.1.0/24", NULL)));
	expect_passes(&p, fixture_begin(&p.f, model_copy(p.nics[0])));
	struct nic *beside = fixture_nic(&p.f, "beside", false);
	fixture_join(beside, p.network);
	expect_passes(&p, fixture_begin(&p.f, beside));
	fixture_restart(&p.f); /* nothing is known of it then */
	fall_silent(&p);
	expect_passes(&p, fixture_begin(&p.f, group_of(&p.f, "new", 200)));
}

static struct application_group *application_group(const struct pair *p, const char *name)
{
	struct application_group *group = model_new(KIND_APPLICATION_GROUP, name, p->f.group);

	group->meta.location = g_strdup("centralus");
	return group;
}

/* The rules that the silent host has name an application group: NICs that enter it, and leave it, wait. */
static void expect_members_wait(struct pair *p, const struct application_group *named)
{
	struct nic *member = fixture_nic(&p->f, "member", false);
	struct nic_config *config = member->spec.configs->pdata[0];

	fixture_join(member, p->network);
	config->application_groups = strings_new();
	g_ptr_array_add(config->application_groups, g_strdup(named->meta.uid));
	expect_waits(p, fixture_begin(&p->f, model_copy(member)));
	g_clear_pointer(&config->application_groups, g_ptr_array_unref);
	expect_waits(p, fixture_begin(&p->f, member));
}

static void test_used(void)
{
	_cleanup_(pair_close) struct pair p = {};

	pair_open(&p);
	_cleanup_(model_free) struct application_group *named = put(&p, application_group(&p, "named"));
	fall_silent(&p);
	expect_waits(&p, fixture_begin(&p.f, group_of(&p.f, "group-2", 200)));
	/* The goal is what it was then, and the host has not got it. */
	expect_waits(&p, fixture_begin(&p.f, group_of(&p.f, "group-2", 200)));
	expect_waits(&p, fixture_begin(&p.f, model_copy(p.nics[1])));
	expect_waits(&p, fixture_begin(&p.f, model_copy(p.network)));
	struct security_group *naming = group_of(&p.f, "group-2", 300);
	struct rule *rule = naming->spec.rules->pdata[0];
	g_clear_pointer(&rule->source.addresses, g_ptr_array_unref);
	rule->source.application_groups = strings_new();
	g_ptr_array_add(rule->source.application_groups, g_strdup(named->meta.uid));
	expect_waits(&p, fixture_begin(&p.f, naming));
	expect_members_wait(&p, named);
}

static void test_deallocated(void)
{
	_cleanup_(pair_close) struct pair p = {};
	_cleanup_(control_result_clear) struct control_result result = {};
	g_autoptr(GError) error = NULL;

	pair_open(&p);
	control_vm_action(p.f.control, p.vms[1]->meta.uid, VERB_DEALLOCATE, &request, &result, &error);
	g_assert_no_error(error);
	_cleanup_(model_free) struct operation *over = finish(&p, result.operation);
	g_assert_cmpint(over->status.state, ==, OPERATION_SUCCEEDED);
	fall_silent(&p);
	expect_passes(&p, fixture_begin(&p.f, group_of(&p.f, "group-2", 200)));
	expect_passes(&p, fixture_begin(&p.f, model_copy(p.network)));
	expect_passes(&p, fixture_begin(&p.f, model_copy(p.nics[1])));
}

static struct operation *act(struct pair *p, const struct vm *vm, enum verb verb)
{
	_cleanup_(control_result_clear) struct control_result result = {};
	g_autoptr(GError) error = NULL;

	control_vm_action(p->f.control, vm->meta.uid, verb, &request, &result, &error);
	g_assert_no_error(error);
	return g_steal_pointer(&result.operation);
}

static struct operation *begin_delete(struct pair *p, enum kind kind, const char *uid)
{
	_cleanup_(control_result_clear) struct control_result result = {};
	g_autoptr(GError) error = NULL;

	control_delete(p->f.control, kind, uid, &request, &result, &error);
	g_assert_no_error(error);
	return g_steal_pointer(&result.operation);
}

static void test_machine(void)
{
	_cleanup_(pair_close) struct pair p = {};

	pair_open(&p);
	fall_silent(&p);
	expect_waits(&p, act(&p, p.vms[1], VERB_DEALLOCATE));
	_cleanup_(model_free) struct vm *vm = control_get(p.f.control, KIND_VM, p.vms[1]->meta.uid, NULL);
	g_assert_cmpint(vm->status.outcome.state, ==, PROVISIONING_FAILED);
	g_assert_cmpint(vm->spec.power, ==, POWER_DEALLOCATED);
	/* It does more than report, it is there again: what was asked of it is done. */
	fixture_obey_as(&p.f, "host-2", p.second);
	_cleanup_(model_free) struct vm *done = control_get(p.f.control, KIND_VM, p.vms[1]->meta.uid, NULL);
	g_assert_cmpint(done->status.power, ==, POWER_STATE_DEALLOCATED);
	_cleanup_(model_free) struct operation *start = act(&p, p.vms[1], VERB_START);
	_cleanup_(model_free) struct operation *over = finish(&p, start);
	g_assert_cmpint(over->status.state, ==, OPERATION_SUCCEEDED);
	/* A deletion does not give up. */
	fall_silent(&p);
	_cleanup_(model_free) struct operation *deletion = begin_delete(&p, KIND_VM, p.vms[1]->meta.uid);
	age(&p, deletion);
	fall_silent(&p);
	_cleanup_(model_free) struct operation *waits =
		control_get(p.f.control, KIND_OPERATION, deletion->meta.uid, NULL);
	g_assert_cmpint(waits->status.state, ==, OPERATION_RUNNING);
	_cleanup_(model_free) struct operation *gone = finish(&p, deletion);
	g_assert_cmpint(gone->status.state, ==, OPERATION_SUCCEEDED);
}

/* ---- a host is given up ---- */

static bool remove_host(struct pair *p, bool lost, char **ret_lost, GError **error)
{
	g_autoptr(GPtrArray) names = NULL;

	if (!control_remove_host(p->f.control, "HOST-2", lost, &names, error))
		return false;
	g_ptr_array_add(names, NULL);
	*ret_lost = g_strjoinv(" ", (char **)names->pdata);
	return true;
}

static void assert_not_removed(struct pair *p, bool lost, const char *words)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *names = NULL;

	g_assert_false(remove_host(p, lost, &names, &error));
	g_assert_error(error, FAULT, FAULT_NOT_ALLOWED);
	g_test_message("%s", error->message);
	g_assert_nonnull(strstr(error->message, words));
}

static void assert_removed(struct pair *p, bool lost, const char *expected)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *names = NULL;

	remove_host(p, lost, &names, &error);
	g_assert_no_error(error);
	g_assert_cmpstr(names, ==, expected);
	g_autoptr(GPtrArray) hosts = control_list(p->f.control, KIND_HOST, NULL, NULL);
	g_assert_cmpuint(hosts->len, ==, 1);
}

static void test_not_removed(void)
{
	_cleanup_(pair_close) struct pair p = {};
	g_autoptr(GPtrArray) names = NULL;
	g_autoptr(GError) error = NULL;

	pair_open(&p);
	assert_not_removed(&p, true, "host host-2 reports, or may yet do so");
	fixture_restart(&p.f);
	assert_not_removed(&p, true, "host host-2 reports, or may yet do so");
	fall_silent(&p);
	assert_not_removed(&p, false, "host host-2 has the disks of 1 virtual machines");
	g_assert_false(control_remove_host(p.f.control, "other", true, &names, &error));
	g_assert_error(error, FAULT, FAULT_NOT_FOUND);
}

/* Its machine can be deleted, and nothing else. */
static void assert_lost(struct pair *p, const struct vm *of)
{
	_cleanup_(model_free) struct vm *vm = control_get(p->f.control, KIND_VM, of->meta.uid, NULL);
	_cleanup_(control_result_clear) struct control_result result = {};
	g_autoptr(GError) error = NULL, put_error = NULL, migrate_error = NULL;
	const struct control_migration wish = {};

	g_assert_cmpint(vm->status.outcome.state, ==, PROVISIONING_FAILED);
	g_assert_cmpint(vm->status.power, ==, POWER_STATE_DEALLOCATED);
	g_assert_null(vm->status.host);
	g_assert_nonnull(strstr(vm->status.outcome.message, "host host-2, which had its disk, was given up"));
	g_assert_false(control_vm_action(p->f.control, vm->meta.uid, VERB_START, &request, &result, &error));
	g_assert_error(error, FAULT, FAULT_NOT_ALLOWED);
	g_assert_nonnull(strstr(error->message, "it can only be deleted"));
	g_assert_false(control_put(p->f.control, vm, &request, &result, &put_error));
	g_assert_error(put_error, FAULT, FAULT_NOT_ALLOWED);
	g_assert_false(control_migrate(p->f.control, vm->meta.uid, &wish, &request, &result, &migrate_error));
	g_assert_nonnull(strstr(migrate_error->message, "it can only be deleted"));
	expect_passes(p, begin_delete(p, KIND_VM, vm->meta.uid));
	_cleanup_(model_free) struct nic *nic =
		control_get(p->f.control, KIND_NIC, p->nics[1]->meta.uid, NULL);
	g_assert_null(nic->status.vm);
}

static void test_lost(void)
{
	_cleanup_(pair_close) struct pair p = {};

	pair_open(&p);
	p.second->vtep = g_strdup("172.16.0.2");
	fixture_obey_as(&p.f, "host-2", p.second);
	fall_silent(&p);
	_cleanup_(model_free) struct operation *stop = act(&p, p.vms[1], VERB_POWER_OFF);
	assert_removed(&p, true, "rg/vm-2");
	_cleanup_(model_free) struct operation *stopped = fixture_finish(&p.f, stop, true);
	g_assert_cmpstr(stopped->status.fault, ==, fault_name(FAULT_NOT_ALLOWED));
	assert_lost(&p, p.vms[1]);
	/* What it held is free, and its name is another's, who has what it needs. */
	g_free(p.f.report->vtep);
	p.f.report->vtep = g_strdup("172.16.0.2");
	fixture_obey(&p.f);
	_cleanup_(model_free) struct host *first = control_find(p.f.control, KIND_HOST, NULL, "host-1", NULL);
	g_assert_cmpstr(first->status.vtep, ==, "172.16.0.2");
	g_clear_pointer(&p.second->vtep, g_free);
	fixture_obey_as(&p.f, "host-2", p.second);
	model_free(g_steal_pointer(&p.nics[1]));
	_cleanup_(model_free) struct vm *anew = vm_on(&p, 1, "vm-2b");
	g_assert_cmpint(anew->status.power, ==, POWER_STATE_RUNNING);
}

static void test_lost_in_deletion(void)
{
	_cleanup_(pair_close) struct pair p = {};

	pair_open(&p);
	fall_silent(&p);
	_cleanup_(model_free) struct operation *deletion = begin_delete(&p, KIND_GROUP, p.f.group);
	for (unsigned i = 0; i < 20; i++) {
		fixture_obey(&p.f);
		while (g_main_context_iteration(NULL, false))
			;
	}
	_cleanup_(model_free) struct operation *waits =
		control_get(p.f.control, KIND_OPERATION, deletion->meta.uid, NULL);
	g_assert_cmpint(waits->status.state, ==, OPERATION_RUNNING);
	assert_removed(&p, true, "");
	_cleanup_(model_free) struct operation *over = fixture_finish(&p.f, deletion, true);
	g_assert_cmpint(over->status.state, ==, OPERATION_SUCCEEDED);
}

static void on_goal(const struct goal *goal, void *data)
{
	g_assert_null(goal);
	*(bool *)data = true;
}

static void test_comes_back(void)
{
	_cleanup_(pair_close) struct pair p = {};
	g_autoptr(GError) error = NULL;
	int64_t before = g_get_real_time() / G_USEC_PER_SEC - 10;
	bool answered = false;

	pair_open(&p);
	g_assert_true(control_admit_host(p.f.control, "host-2", before, NULL));
	_cleanup_(model_free) struct operation *deletion = begin_delete(&p, KIND_VM, p.vms[1]->meta.uid);
	_cleanup_(model_free) struct operation *over = finish(&p, deletion);
	g_assert_cmpint(over->status.state, ==, OPERATION_SUCCEEDED);
	control_goal_wait(p.f.control, "host-2", INT64_MAX, 60000, on_goal, &answered);
	fall_silent(&p);
	assert_removed(&p, false, "");
	g_assert_true(answered);
	for (unsigned i = 0; i < 2; i++) {
		g_clear_error(&error);
		g_assert_false(control_admit_host(p.f.control, "Host-2", before, &error));
		g_assert_error(error, FAULT, FAULT_DENIED);
		fixture_restart(&p.f);
	}
	g_test_message("%s", error->message);
	g_assert_nonnull(strstr(error->message, "sluice host add Host-2"));
	g_assert_true(control_admit_host(p.f.control, "host-2", before + 3600, NULL));
	g_assert_true(control_admit_host(p.f.control, "host-1", before, NULL));
	/* It takes part again, and is removed once more. */
	fixture_obey_as(&p.f, "host-2", p.second);
	fall_silent(&p);
	assert_removed(&p, false, "");
}

/* Its certificates have been made, and it has not come yet. */
static void test_never_came(void)
{
	int64_t before = g_get_real_time() / G_USEC_PER_SEC - 10;
	g_autoptr(GError) error = NULL, unnamed = NULL;
	g_autoptr(GPtrArray) lost = NULL;
	_cleanup_(pair_close) struct pair p = {};

	pair_open(&p);
	g_assert_true(control_admit_host(p.f.control, "host-3", before, NULL));
	g_assert_false(control_remove_host(p.f.control, "host-3", false, &lost, &error));
	g_assert_error(error, FAULT, FAULT_NOT_FOUND);
	g_assert_false(control_admit_host(p.f.control, "host-3", before, NULL));
	g_assert_true(control_admit_host(p.f.control, "host-3", before + 3600, NULL));
	g_assert_false(control_remove_host(p.f.control, "../x", false, &lost, &unnamed));
	g_assert_error(unnamed, FAULT, FAULT_NOT_FOUND);
}

/* When the host was removed, as it is kept. */
static int64_t removed_s(const struct pair *p, const char *host_name)
{
	g_autofree char *key = key_pool(POOL_REMOVED_HOST, host_name);
	_cleanup_(store_kv_free) struct store_kv *kv = NULL;
	gsize length;

	g_assert_true(store_get(p->f.control->store, key, &kv, NULL));
	g_assert_nonnull(kv);
	const char *data = g_bytes_get_data(kv->value, &length);
	g_autofree char *text = g_strndup(data, length);
	return g_ascii_strtoll(text, NULL, 10);
}

static int64_t made_s(const char *dir, const char *file)
{
	g_autofree char *path = g_build_filename(dir, file, NULL);
	g_autoptr(GError) error = NULL;
	g_autoptr(GTlsCertificate) certificate = g_tls_certificate_new_from_file(path, &error);

	g_assert_no_error(error);
	return peer_made_s(certificate);
}

static void remove_files(const char *dir)
{
	static const char *const names[] = {
		"ca.pem", "ca.key", "before.pem", "before.key", "after.pem", "after.key"};

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *path = g_build_filename(dir, names[i], NULL);
		g_assert_cmpint(g_remove(path), ==, 0);
	}
	g_assert_cmpint(g_rmdir(dir), ==, 0);
}

/* All within a second, mostly. */
static void test_same_second(void)
{
	g_autofree char *dir = g_dir_make_tmp("sluice-hosts-XXXXXX", NULL);
	g_autoptr(GError) error = NULL, unknown = NULL;
	g_autoptr(GPtrArray) lost = NULL;
	_cleanup_(pair_close) struct pair p = {};

	pair_open(&p);
	g_assert_true(pki_ensure_ca(dir, "Test CA", &error));
	g_assert_true(pki_ensure_leaf(dir, "before", "host-3", NULL, &error));
	g_assert_true(control_admit_host(p.f.control, "host-3", made_s(dir, "before.pem"), &error));
	g_assert_false(control_remove_host(p.f.control, "host-3", false, &lost, &unknown));
	g_assert_true(pki_ensure_later_leaf(dir, "after", "host-3", &error));
	g_assert_no_error(error);
	g_assert_true(control_admit_host(p.f.control, "host-3", made_s(dir, "after.pem"), &error));
	g_assert_no_error(error);
	g_assert_false(control_admit_host(p.f.control, "host-3", made_s(dir, "before.pem"), &error));
	g_assert_error(error, FAULT, FAULT_DENIED);
	/* However long that took. */
	int64_t removed = removed_s(&p, "host-3");
	g_assert_false(control_admit_host(p.f.control, "host-3", removed, NULL));
	g_assert_true(control_admit_host(p.f.control, "host-3", removed + 1, NULL));
	remove_files(dir);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define TEST(text, fn) g_test_add_func("/silent-host/" text, fn)
	TEST("it holds up no change to what it has nothing to do with", test_unrelated);
	TEST("it holds up changes to what its machines use, until they time out", test_used);
	TEST("with deallocated machines alone it holds up nothing", test_deallocated);
	TEST("what is asked of its machines times out, and is done when it is back; a deletion waits",
		test_machine);
	TEST("it is not removed while it reports, nor with machines unless they are given up",
		test_not_removed);
	TEST("one that never came is kept out", test_never_came);
	TEST("a certificate of the second of its removal is refused, and one that is made then is not",
		test_same_second);
	TEST("machines that are lost with it can be deleted, and nothing else", test_lost);
	TEST("what waits for it to delete machines goes on when it is given up", test_lost_in_deletion);
	TEST("one that comes back is refused until it has a new certificate", test_comes_back);
	return g_test_run();
}
