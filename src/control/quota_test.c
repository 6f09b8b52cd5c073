/* Quotas: what counts, what is refused, and that counts and objects are never apart; and lists in parts. */
#include "base/fault.h"
#include "control/control_priv.h"
#include "control/fixture.h"

#include <string.h>

static const struct control_request request = {.principal = "test"};

static void *placed(enum kind kind, const struct fixture *f, const char *name)
{
	struct meta *meta = model_new(kind, name, f->group);

	meta->location = g_strdup("centralus");
	return meta;
}

static int64_t used(struct fixture *f, enum quota_item item)
{
	struct control_quota quotas[QUOTA_COUNT];
	g_autoptr(GError) error = NULL;

	control_quotas(f->control, quotas, &error);
	g_assert_no_error(error);
	return quotas[item].used;
}

static void limit(struct fixture *f, enum quota_item item, int64_t n)
{
	struct control_quota quotas[QUOTA_COUNT];
	g_autoptr(GError) error = NULL;

	control_quotas(f->control, quotas, &error);
	quotas[item].limit = n;
	control_set_quotas(f->control, quotas, &error);
	g_assert_no_error(error);
}

/* Takes the object. */
static void assert_refused(struct fixture *f, void *object, const char *words)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(fixture_put(f, object, &error));
	g_assert_error(error, FAULT, FAULT_QUOTA);
	if (!strstr(error->message, words))
		g_error("'%s' is not in: %s", words, error->message);
}

/* ---- what counts ---- */

static void test_counts(void)
{
	OPEN(f);
	_cleanup_(model_free) struct nic *plain = fixture_must_put(&f, fixture_nic(&f, "plain", false));
	_cleanup_(model_free) struct nic *fast = fixture_must_put(&f, fixture_nic(&f, "fast", true));
	_cleanup_(model_free) struct vm *vm =
		fixture_must_put(&f, fixture_vm(&f, "vm", "Standard_DS2_v2", fast));

	g_assert_cmpint(used(&f, QUOTA_NETWORKS), ==, 1);
	g_assert_cmpint(used(&f, QUOTA_INTERFACES), ==, 2);
	g_assert_cmpint(used(&f, QUOTA_FUNCTIONS), ==, 1);
	g_assert_cmpint(used(&f, QUOTA_MACHINES), ==, 1);
	g_assert_cmpint(used(&f, QUOTA_CORES), ==, 2);
	fixture_act(&f, vm, VERB_DEALLOCATE);
	g_assert_cmpint(used(&f, QUOTA_CORES), ==, 2);
	fixture_restart(&f);
	g_assert_cmpint(used(&f, QUOTA_CORES), ==, 2);
	fixture_delete(&f, KIND_VM, vm->meta.uid);
	fixture_delete(&f, KIND_NIC, fast->meta.uid);
	g_assert_cmpint(used(&f, QUOTA_CORES), ==, 0);
	g_assert_cmpint(used(&f, QUOTA_MACHINES), ==, 0);
	g_assert_cmpint(used(&f, QUOTA_FUNCTIONS), ==, 0);
	g_assert_cmpint(used(&f, QUOTA_INTERFACES), ==, 1);
}

static void test_instances_count(void)
{
	OPEN(f);
	_cleanup_(model_free) struct scale_set *set = fixture_must_put(&f, fixture_scale_set(&f, "set", 2));

	g_assert_cmpint(used(&f, QUOTA_SCALE_SETS), ==, 1);
	g_assert_cmpint(used(&f, QUOTA_MACHINES), ==, 2);
	g_assert_cmpint(used(&f, QUOTA_CORES), ==, 4);
	g_assert_cmpint(used(&f, QUOTA_INTERFACES), ==, 2);
	fixture_delete(&f, KIND_GROUP, f.group);
	for (int i = 0; i < QUOTA_COUNT; i++)
		g_assert_cmpint(used(&f, (enum quota_item)i), ==, 0);
}

/* ---- what is refused ---- */

static void test_refusal(void)
{
	OPEN(f);
	_cleanup_(model_free) struct nic *nic = fixture_must_put(&f, fixture_nic(&f, "nic", false));

	limit(&f, QUOTA_CORES, 7);
	assert_refused(&f, fixture_vm(&f, "vm", "Standard_DS4_v2", nic),
		"Current Limit: 7, Current Usage: 0, Additional Required: 8, (Minimum) New Limit Required: "
		"8");
	g_assert_cmpint(used(&f, QUOTA_CORES), ==, 0);
	g_assert_cmpint(used(&f, QUOTA_MACHINES), ==, 0);
	g_autoptr(GPtrArray) vms = control_list(f.control, KIND_VM, NULL, NULL);
	g_assert_cmpint(vms->len, ==, 0);
	limit(&f, QUOTA_CORES, 8);
	_cleanup_(model_free) struct vm *vm =
		fixture_must_put(&f, fixture_vm(&f, "vm", "Standard_DS4_v2", nic));
	g_assert_cmpint(used(&f, QUOTA_CORES), ==, 8);
}

static void test_each_limit(void)
{
	OPEN(f);

	limit(&f, QUOTA_INTERFACES, 1);
	limit(&f, QUOTA_FUNCTIONS, 0);
	limit(&f, QUOTA_ADDRESSES, 0);
	limit(&f, QUOTA_SECURITY_GROUPS, 0);
	assert_refused(&f, fixture_nic(&f, "fast", true), "Accelerated Network Interfaces quota");
	_cleanup_(model_free) struct nic *nic = fixture_must_put(&f, fixture_nic(&f, "plain", false));
	assert_refused(&f, fixture_nic(&f, "second", false), "sluice quota set network-interfaces=2");
	assert_refused(&f, placed(KIND_ADDRESS, &f, "ip"), "Public IP Addresses quota");
	assert_refused(&f, placed(KIND_SECURITY_GROUP, &f, "nsg"), "Network Security Groups quota");
	/* What becomes accelerated needs one more. */
	_cleanup_(model_free) struct nic *faster = model_copy(nic);
	faster->spec.accelerated = true;
	assert_refused(&f, g_steal_pointer(&faster), "Additional Required: 1");
	limit(&f, QUOTA_FUNCTIONS, CONTROL_UNLIMITED);
	faster = model_copy(nic);
	faster->spec.accelerated = true;
	_cleanup_(model_free) struct nic *now = fixture_must_put(&f, g_steal_pointer(&faster));
	g_assert_cmpint(used(&f, QUOTA_FUNCTIONS), ==, 1);
}

/* A limit below what is used takes nothing away, and less is never refused. */
static void test_lowered(void)
{
	OPEN(f);
	_cleanup_(model_free) struct nic *nic = fixture_must_put(&f, fixture_nic(&f, "nic", false));
	_cleanup_(model_free) struct vm *vm =
		fixture_must_put(&f, fixture_vm(&f, "vm", "Standard_DS4_v2", nic));
	struct vm *smaller, *larger;

	limit(&f, QUOTA_CORES, 1);
	_cleanup_(model_free) struct vm *same = fixture_must_put(&f, model_copy(vm));
	smaller = model_copy(vm);
	g_free(smaller->spec.size);
	smaller->spec.size = g_strdup("Standard_DS2_v2");
	_cleanup_(model_free) struct vm *now = fixture_must_put(&f, smaller);
	g_assert_cmpint(used(&f, QUOTA_CORES), ==, 2);
	larger = model_copy(now);
	g_free(larger->spec.size);
	larger->spec.size = g_strdup("Standard_DS4_v2");
	assert_refused(&f, larger, "Current Limit: 1, Current Usage: 2, Additional Required: 6");
}

/* An instance more than may be fails the set's operation with the sentence, and leaves nothing half made. */
static void test_instances_are_refused(void)
{
	OPEN(f);
	_cleanup_(control_result_clear) struct control_result result = {};
	_cleanup_(model_free) struct scale_set *set = fixture_scale_set(&f, "set", 3);
	g_autoptr(GError) error = NULL;

	limit(&f, QUOTA_CORES, 4);
	g_assert_true(control_put(f.control, set, &request, &result, &error));
	_cleanup_(model_free) struct operation *over = fixture_finish(&f, result.operation, true);
	g_assert_cmpint(over->status.state, ==, OPERATION_FAILED);
	g_assert_cmpstr(over->status.fault, ==, "quota");
	g_assert_cmpint(used(&f, QUOTA_MACHINES), ==, 2);
	g_assert_cmpint(used(&f, QUOTA_INTERFACES), ==, 2);
}

/* ---- a store of an older version ---- */

static bool forget(struct change *change, void *data, GError **error)
{
	struct subscription *subscription = change_subscription(change, error);
	struct vm *vm = change_get(change, KIND_VM, data, error);

	g_clear_pointer(&subscription->status.used, g_ptr_array_unref);
	change_put(change, subscription);
	g_assert_nonnull(vm);
	return true;
}

static void test_old_store(void)
{
	OPEN(f);
	_cleanup_(model_free) struct nic *nic = fixture_must_put(&f, fixture_nic(&f, "nic", true));
	_cleanup_(model_free) struct vm *vm =
		fixture_must_put(&f, fixture_vm(&f, "vm", "Standard_DS2_v2", nic));
	g_autoptr(GError) error = NULL;
	char *text, *at;

	g_assert_true(change_run(f.store, forget, vm->meta.uid, NULL, &error));
	/* The machine as it was stored before it carried its processors. */
	vm->status.vcpus = 0;
	text = model_encode(vm);
	at = strstr(text, "vcpus");
	g_assert_null(at);
	g_autofree char *key = key_object(KIND_VM, vm->meta.uid);
	g_autoptr(GBytes) bytes = g_bytes_new_with_free_func(text, strlen(text), free, text);
	g_assert_true(store_put(f.store, key, bytes, NULL, &error));
	fixture_restart(&f);
	g_assert_cmpint(used(&f, QUOTA_CORES), ==, 2);
	g_assert_cmpint(used(&f, QUOTA_MACHINES), ==, 1);
	g_assert_cmpint(used(&f, QUOTA_FUNCTIONS), ==, 1);
	fixture_delete(&f, KIND_VM, vm->meta.uid);
	g_assert_cmpint(used(&f, QUOTA_CORES), ==, 0);
}

/* ---- lists in parts ---- */

/* Names of a part, and *ret_next where it goes on; Owned. */
static char *part(struct fixture *f, const char *parent, const char *after, guint n, char **ret_next)
{
	_cleanup_(control_page_clear) struct control_page page = {};
	g_autoptr(GString) names = g_string_new(NULL);
	g_autoptr(GError) error = NULL;

	control_list_page(f->control, KIND_SECURITY_GROUP, parent, after, n, &page, &error);
	g_assert_no_error(error);
	for (guint i = 0; i < page.objects->len; i++)
		g_string_append_printf(names, "%s ", ((const struct meta *)page.objects->pdata[i])->name);
	*ret_next = g_steal_pointer(&page.next);
	return g_string_free(g_steal_pointer(&names), FALSE);
}

#define assert_part(f, after, n, ret_next, expected)                                                         \
	do {                                                                                                 \
		g_autofree char *part_ = part(f, (f)->group, after, n, ret_next);                            \
		g_assert_cmpstr(part_, ==, expected);                                                        \
	} while (0)

static void test_parts(void)
{
	static const char *const names[] = {"a", "B", "c", "d", "e"};
	OPEN(f);
	g_autofree char *first = NULL, *second = NULL, *third = NULL, *all = NULL;

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		model_free(fixture_must_put(&f, placed(KIND_SECURITY_GROUP, &f, names[i])));
	assert_part(&f, NULL, 2, &first, "a B ");
	/* The part's last one goes, one comes before it, and one behind. */
	_cleanup_(model_free) struct meta *b =
		control_find(f.control, KIND_SECURITY_GROUP, f.group, "b", NULL);
	fixture_delete(&f, KIND_SECURITY_GROUP, b->uid);
	model_free(fixture_must_put(&f, placed(KIND_SECURITY_GROUP, &f, "aa")));
	model_free(fixture_must_put(&f, placed(KIND_SECURITY_GROUP, &f, "c.1")));
	assert_part(&f, first, 2, &second, "c c.1 ");
	assert_part(&f, second, 2, &third, "d e ");
	g_assert_null(third);
	g_autofree char *whole = part(&f, NULL, NULL, 7, &all);
	g_assert_cmpint(strlen(whole), ==, strlen("a aa c c.1 d e "));
	g_assert_null(all);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/quota/machines, interfaces and the rest count from creation to the end of deletion",
		test_counts);
	g_test_add_func("/quota/instances of scale sets count, and a deleted group leaves nothing counted",
		test_instances_count);
	g_test_add_func(
		"/quota/what leads beyond a limit is refused with limit, use and request, and changes "
		"nothing",
		test_refusal);
	g_test_add_func("/quota/each kind has its limit, and what becomes accelerated needs one more",
		test_each_limit);
	g_test_add_func(
		"/quota/a limit below what is used takes nothing, and less is never refused", test_lowered);
	g_test_add_func("/quota/a scale set gets as many instances as may be, and fails with the sentence",
		test_instances_are_refused);
	g_test_add_func("/quota/a store of an older version is counted when it is opened", test_old_store);
	g_test_add_func("/list/what stays is in one part, whatever comes and goes between two", test_parts);
	return g_test_run();
}
