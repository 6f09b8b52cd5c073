/* Availability sets: who is in them, where their VMs are placed, and that acceleration is a matter of the whole set. */
#include "base/fault.h"
#include "control/fixture.h"
#include "control/keys.h"
#include "store/spy.h"

#include <string.h>

static const struct control_request request = {.principal = "test"};

/* ---- what tests do ---- */

/* Takes the object. */
static void assert_refused(struct fixture *f, void *object, enum fault fault, const char *words)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(fixture_put(f, object, &error));
	g_assert_error(error, FAULT, (int)fault);
	if (!strstr(error->message, words))
		g_error("'%s' is not in: %s", words, error->message);
}

/* Of that set's uid (NULL: none), with a NIC "NAME-nic". */
static struct vm *new_vm(struct fixture *f, const char *name, const char *set, bool accelerated)
{
	g_autofree char *nic_name = g_strconcat(name, "-nic", NULL);
	_cleanup_(model_free) struct nic *nic = fixture_must_put(f, fixture_nic(f, nic_name, accelerated));
	struct vm *vm = fixture_vm(f, name, "Standard_DS2_v2", nic);

	vm->spec.availability_set = g_strdup(set);
	return vm;
}

/* A set "web" with running VMs "a" and "b", and a VM "other" that is in none. */
struct world {
	struct fixture f;
	struct availability_set *set;
	struct vm *a, *b, *other;
};

static void world_open(struct world *w)
{
	fixture_open(&w->f);
	w->set = fixture_must_put(&w->f, fixture_set(&w->f, "web"));
	w->a = fixture_must_put(&w->f, new_vm(&w->f, "a", w->set->meta.uid, false));
	w->b = fixture_must_put(&w->f, new_vm(&w->f, "b", w->set->meta.uid, false));
	w->other = fixture_must_put(&w->f, new_vm(&w->f, "other", NULL, false));
}

static void world_close(struct world *w)
{
	model_free(w->set);
	model_free(w->a);
	model_free(w->b);
	model_free(w->other);
	fixture_close(&w->f);
}
CLEANUP_CLEAR_FUNC(struct world, world_close)

#define OPEN_WORLD(name)                                                                                     \
	_cleanup_(world_close) struct world name = {};                                                       \
	world_open(&name)

/* ---- acceleration ---- */

static void test_all_must_be_deallocated(void)
{
	OPEN_WORLD(w);

	assert_refused(&w.f, fixture_nic(&w.f, "a-nic", true), FAULT_NOT_ALLOWED,
		"while virtual machines of availability set web are not deallocated: a, b. Deallocate all");
	fixture_act(&w.f, w.a, VERB_DEALLOCATE);
	assert_refused(&w.f, fixture_nic(&w.f, "a-nic", true), FAULT_NOT_ALLOWED, "not deallocated: b.");
	fixture_act(&w.f, w.b, VERB_POWER_OFF);
	assert_refused(&w.f, fixture_nic(&w.f, "a-nic", true), FAULT_NOT_ALLOWED, "not deallocated: b.");
	fixture_act(&w.f, w.b, VERB_DEALLOCATE);
	_cleanup_(model_free) struct nic *on = fixture_must_put(&w.f, fixture_nic(&w.f, "a-nic", true));
	g_assert_true(on->spec.accelerated);
	fixture_act(&w.f, w.b, VERB_START);
	assert_refused(&w.f, fixture_nic(&w.f, "a-nic", false), FAULT_NOT_ALLOWED, "not deallocated: b.");
	/* What is no change of acceleration is nobody's matter. */
	model_free(fixture_must_put(&w.f, fixture_nic(&w.f, "a-nic", true)));
}

static void test_others_do_not_count(void)
{
	OPEN_WORLD(w);
	_cleanup_(model_free) struct availability_set *second =
		fixture_must_put(&w.f, fixture_set(&w.f, "second"));
	_cleanup_(model_free) struct vm *elsewhere =
		fixture_must_put(&w.f, new_vm(&w.f, "c", second->meta.uid, true));

	fixture_act(&w.f, w.other, VERB_DEALLOCATE);
	model_free(fixture_must_put(&w.f, fixture_nic(&w.f, "other-nic", true)));
	fixture_act(&w.f, elsewhere, VERB_DEALLOCATE);
	model_free(fixture_must_put(&w.f, fixture_nic(&w.f, "c-nic", false)));
}

/* As `vm`, with one more NIC (NULL: none) and without its first one when that is to leave. */
static struct vm *exchanged(struct fixture *f, const struct vm *vm, const struct nic *comes, bool leaves)
{
	struct vm *wanted = control_get(f->control, KIND_VM, vm->meta.uid, NULL);

	if (leaves)
		g_ptr_array_remove_index(wanted->spec.nics, 0);
	if (comes) {
		struct vm_nic_ref *ref = shape_new(&vm_nic_ref_shape);
		ref->nic = g_strdup(comes->meta.uid);
		g_ptr_array_add(wanted->spec.nics, ref);
	}
	return wanted;
}

static void test_no_way_round_by_exchange(void)
{
	OPEN_WORLD(w);
	_cleanup_(model_free) struct nic *fast = fixture_must_put(&w.f, fixture_nic(&w.f, "fast", true)),
					 *slow = fixture_must_put(&w.f, fixture_nic(&w.f, "slow", false));

	fixture_act(&w.f, w.a, VERB_DEALLOCATE);
	assert_refused(&w.f, exchanged(&w.f, w.a, fast, false), FAULT_NOT_ALLOWED,
		"fast has accelerated networking: it cannot be attached to or detached from virtual machine "
		"a "
		"while virtual machines of availability set web are not deallocated: b.");
	assert_refused(&w.f, exchanged(&w.f, w.a, fast, true), FAULT_NOT_ALLOWED, "not deallocated: b.");
	model_free(fixture_must_put(&w.f, exchanged(&w.f, w.a, slow, false)));
	fixture_act(&w.f, w.b, VERB_DEALLOCATE);
	model_free(fixture_must_put(&w.f, exchanged(&w.f, w.b, fast, true)));
	fixture_act(&w.f, w.a, VERB_START);
	assert_refused(&w.f, exchanged(&w.f, w.b, NULL, true), FAULT_INVALID, "at least one");
	_cleanup_(model_free) struct nic *plain = fixture_must_put(&w.f, fixture_nic(&w.f, "plain", false));
	assert_refused(&w.f, exchanged(&w.f, w.b, plain, true), FAULT_NOT_ALLOWED, "not deallocated: a.");
}

struct intruder {
	struct world *w;
	char *key; /* that comes before this is listed */
	bool came;
};

static void intrude(const char *key, void *data)
{
	struct intruder *intruder = data;
	_cleanup_(control_result_clear) struct control_result result = {};
	g_autoptr(GError) error = NULL;

	if (intruder->came || !g_str_equal(key, intruder->key))
		return;
	intruder->came = true;
	control_vm_action(
		intruder->w->f.control, intruder->w->b->meta.uid, VERB_START, &request, &result, &error);
	g_assert_no_error(error);
}

static void test_nobody_slips_in(void)
{
	OPEN_WORLD(w);
	struct store_spy spy;
	struct intruder intruder = {.w = &w, .key = key_placements(NULL)};

	fixture_act(&w.f, w.a, VERB_DEALLOCATE);
	fixture_act(&w.f, w.b, VERB_DEALLOCATE);
	store_spy_start(&spy, w.f.store, intrude, &intruder);
	assert_refused(&w.f, fixture_nic(&w.f, "a-nic", true), FAULT_NOT_ALLOWED, "not deallocated: b.");
	store_spy_stop(&spy);
	g_assert_true(intruder.came);
	g_free(intruder.key);
}

static struct vm *resized(struct fixture *f, const struct vm *vm, const char *size)
{
	struct vm *wanted = control_get(f->control, KIND_VM, vm->meta.uid, NULL);

	g_free(wanted->spec.size);
	wanted->spec.size = g_strdup(size);
	return wanted;
}

static void test_resize_wants_a_plain_set(void)
{
	OPEN_WORLD(w);

	fixture_act(&w.f, w.a, VERB_DEALLOCATE);
	fixture_act(&w.f, w.b, VERB_DEALLOCATE);
	model_free(fixture_must_put(&w.f, fixture_nic(&w.f, "a-nic", true)));
	model_free(fixture_must_put(&w.f, fixture_nic(&w.f, "b-nic", true)));
	assert_refused(&w.f, resized(&w.f, w.b, "Standard_B1s"), FAULT_NOT_ALLOWED,
		"Standard_B1s does not support accelerated networking, which network interfaces of "
		"availability set web have: ");
	model_free(fixture_must_put(&w.f, fixture_nic(&w.f, "b-nic", false)));
	assert_refused(&w.f, resized(&w.f, w.b, "Standard_B1s"), FAULT_NOT_ALLOWED, "web have: a-nic of a.");
	model_free(fixture_must_put(&w.f, resized(&w.f, w.b, "Standard_DS4_v2")));
	model_free(fixture_must_put(&w.f, resized(&w.f, w.other, "Standard_B1s")));
	model_free(fixture_must_put(&w.f, fixture_nic(&w.f, "a-nic", false)));
	_cleanup_(model_free) struct vm *small = fixture_must_put(&w.f, resized(&w.f, w.b, "Standard_B1s"));
	g_assert_cmpstr(small->spec.size, ==, "Standard_B1s");
}

/* ---- who is in it ---- */

static void test_for_good(void)
{
	OPEN_WORLD(w);
	_cleanup_(model_free) struct availability_set *second =
		fixture_must_put(&w.f, fixture_set(&w.f, "second"));
	const char *const sets[] = {NULL, second->meta.uid};

	fixture_act(&w.f, w.a, VERB_DEALLOCATE);
	for (size_t i = 0; i < G_N_ELEMENTS(sets); i++) {
		struct vm *vm = control_get(w.f.control, KIND_VM, w.a->meta.uid, NULL);
		g_free(vm->spec.availability_set);
		vm->spec.availability_set = g_strdup(sets[i]);
		assert_refused(&w.f, vm, FAULT_NOT_ALLOWED, "a was created in an availability set");
	}
	struct vm *joins = control_get(w.f.control, KIND_VM, w.other->meta.uid, NULL);
	joins->spec.availability_set = g_strdup(second->meta.uid);
	assert_refused(&w.f, joins, FAULT_NOT_ALLOWED, "other was created in no availability set");
}

static void test_accelerated_vm_may_join(void)
{
	OPEN_WORLD(w);

	model_free(fixture_must_put(&w.f, new_vm(&w.f, "c", w.set->meta.uid, true)));
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) vms = control_set_machines(w.f.control, w.set, &error);
	const char *names[] = {"a", "b", "c"};
	g_assert_cmpuint(vms->len, ==, 3);
	for (guint i = 0; i < 3; i++)
		g_assert_cmpstr(model_meta(vms->pdata[i])->name, ==, names[i]);
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

static void test_delete(void)
{
	OPEN_WORLD(w);
	g_autoptr(GError) error = NULL;

	g_assert_false(remove_object(&w.f, w.set, &error));
	g_assert_error(error, FAULT, FAULT_IN_USE);
	g_assert_nonnull(strstr(error->message, "virtual machine a"));
	g_clear_error(&error);
	g_assert_true(remove_object(&w.f, w.a, &error));
	g_assert_false(remove_object(&w.f, w.set, &error));
	g_clear_error(&error);
	g_assert_true(remove_object(&w.f, w.b, &error));
	g_assert_true(remove_object(&w.f, w.set, &error));
	g_assert_no_error(error);
}

static void test_group_delete(void)
{
	OPEN_WORLD(w);
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct group *group = control_get(w.f.control, KIND_GROUP, w.f.group, NULL);
	static const char *const prefixes[] = {"/sluice/ref/", "/sluice/object/availability-set/"};

	g_assert_true(remove_object(&w.f, group, &error));
	g_assert_no_error(error);
	for (size_t i = 0; i < G_N_ELEMENTS(prefixes); i++) {
		_cleanup_(store_range_clear) struct store_range left = {};
		g_autofree char *end = store_prefix_end(prefixes[i]);
		g_assert_true(store_list(w.f.store, prefixes[i], end, 0, 0, &left, NULL, &error));
		g_assert_cmpuint(left.kvs->len, ==, 0);
	}
}

static void test_numbers(void)
{
	OPEN_WORLD(w);
	static const struct {
		int64_t fault, update;
		const char *words;
	} cases[] = {{0, 5, "fault domains is 1 to 3"}, {4, 5, "fault domains is 1 to 3"},
		{2, 0, "update domains is 1 to 20"}, {2, 21, "update domains is 1 to 20"}};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct availability_set *set = fixture_set(&w.f, "new");
		set->spec.fault_domains = cases[i].fault;
		set->spec.update_domains = cases[i].update;
		assert_refused(&w.f, set, FAULT_INVALID, cases[i].words);
	}
	struct availability_set *more = fixture_set(&w.f, "web");
	more->spec.update_domains = 6;
	assert_refused(&w.f, more, FAULT_NOT_ALLOWED, "cannot be changed");
	struct availability_set *back = fixture_set(&w.f, "web");
	back->spec.aligned = false;
	assert_refused(&w.f, back, FAULT_NOT_ALLOWED, "cannot go back to Classic");
}

static void test_misfits(void)
{
	OPEN_WORLD(w);
	struct group *wanted = model_new(KIND_GROUP, "rg2", control_subscription(w.f.control));
	wanted->meta.location = g_strdup("centralus");
	_cleanup_(model_free) struct group *group = fixture_must_put(&w.f, wanted);
	struct availability_set *classic = fixture_set(&w.f, "classic"), *far = fixture_set(&w.f, "far"),
				*foreign = fixture_set(&w.f, "foreign");

	classic->spec.aligned = false;
	g_free(far->meta.location);
	far->meta.location = g_strdup("westus");
	g_free(foreign->meta.parent);
	foreign->meta.parent = g_strdup(group->meta.uid);
	_cleanup_(model_free) struct availability_set *first = fixture_must_put(&w.f, classic),
						      *second = fixture_must_put(&w.f, far),
						      *third = fixture_must_put(&w.f, foreign);
	assert_refused(&w.f, new_vm(&w.f, "x", first->meta.uid, false), FAULT_NOT_ALLOWED,
		"az vm availability-set convert");
	assert_refused(&w.f, new_vm(&w.f, "y", second->meta.uid, false), FAULT_INVALID_REFERENCE,
		"far is in westus");
	assert_refused(&w.f, new_vm(&w.f, "z", third->meta.uid, false), FAULT_INVALID_REFERENCE,
		"one resource group");
	model_free(fixture_must_put(&w.f, fixture_set(&w.f, "classic")));
	model_free(fixture_must_put(&w.f, new_vm(&w.f, "x", first->meta.uid, false)));
}

/* ---- where they are ---- */

/* A host that holds all that comes: name, and what it shares with others or NULL. */
static struct report *add_host(struct fixture *f, const char *name, const char *fault_domain)
{
	struct report *report = report_new();
	g_autoptr(GError) error = NULL;

	report->host = g_strdup(name);
	report->vcpus = 64;
	report->memory_mib = report->available_mib = 256 * 1024;
	fixture_obey_as(f, name, report);
	g_assert_true(control_set_fault_domain(f->control, name, fault_domain, &error));
	g_assert_no_error(error);
	return report;
}

/* "host:fault domain/update domain" of a new VM of the set. */
static char *place(struct fixture *f, GPtrArray *reports, const char *name, const char *set)
{
	_cleanup_(model_free) struct vm *wanted = new_vm(f, name, set, false);
	_cleanup_(control_result_clear) struct control_result result = {};
	g_autoptr(GError) error = NULL;
	int64_t domain = -1;

	g_assert_true(control_put(f->control, wanted, &request, &result, &error));
	for (;;) {
		_cleanup_(model_free) struct operation *now = control_get(
			f->control, KIND_OPERATION, ((struct operation *)result.operation)->meta.uid, NULL);
		if (now->status.state != OPERATION_RUNNING)
			break;
		fixture_obey(f);
		for (guint i = 0; i < reports->len; i++)
			fixture_obey_as(f, ((struct report *)reports->pdata[i])->host, reports->pdata[i]);
		g_main_context_iteration(NULL, TRUE);
	}
	_cleanup_(model_free) struct vm *vm =
		control_get(f->control, KIND_VM, model_meta(result.object)->uid, &error);
	g_assert_cmpint(vm->status.power, ==, POWER_STATE_RUNNING);
	_cleanup_(model_free) struct host *host = control_get(f->control, KIND_HOST, vm->status.host, &error);
	g_assert_true(control_fault_domain(f->control, vm, &domain));
	return g_strdup_printf("%s:%d/%d", host->meta.name, (int)domain, (int)vm->status.update_domain);
}

static void assert_places(
	struct fixture *f, GPtrArray *reports, struct availability_set *set, const char *const *expected)
{
	_cleanup_(model_free) struct availability_set *stored = fixture_must_put(f, set);

	for (guint i = 0; expected[i]; i++) {
		g_autofree char *name = g_strdup_printf("%s-%u", stored->meta.name, i);
		g_autofree char *where = place(f, reports, name, stored->meta.uid);
		g_assert_cmpstr(where, ==, expected[i]);
	}
}

/* host-1, which has the least memory by far, is domain 0, as the first that came. */
static void test_spread(void)
{
	_cleanup_(fixture_close) struct fixture f = {};
	g_autoptr(GPtrArray) reports = g_ptr_array_new_with_free_func((GDestroyNotify)report_free);

	fixture_open(&f);
	g_ptr_array_add(reports, add_host(&f, "host-2", NULL));
	((struct report *)reports->pdata[0])->memory_mib /= 2;
	g_ptr_array_add(reports, add_host(&f, "host-3", NULL));
	struct availability_set *set = fixture_set(&f, "two");
	set->spec.update_domains = 2;
	assert_places(&f, reports, set,
		(const char *const[]){"host-3:0/0", "host-2:1/1", "host-1:0/0", "host-2:1/1", NULL});
	struct availability_set *three = fixture_set(&f, "three");
	three->spec.fault_domains = 3;
	assert_places(&f, reports, three,
		(const char *const[]){"host-3:2/0", "host-2:1/1", "host-1:0/2", "host-3:2/3", NULL});
}

static void test_racks(void)
{
	_cleanup_(fixture_close) struct fixture f = {};
	g_autoptr(GPtrArray) reports = g_ptr_array_new_with_free_func((GDestroyNotify)report_free);

	fixture_open(&f);
	g_ptr_array_add(reports, add_host(&f, "host-2", "rack-2"));
	g_ptr_array_add(reports, add_host(&f, "host-3", "rack-2"));
	((struct report *)reports->pdata[1])->memory_mib /= 2;
	struct availability_set *set = fixture_set(&f, "racks");
	set->spec.fault_domains = 3;
	/* The second VM goes to the other rack although host-3 has more memory, the third to the host that has none. */
	assert_places(&f, reports, set,
		(const char *const[]){"host-2:1/0", "host-1:0/1", "host-3:1/2", "host-1:0/3", NULL});
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define TEST(text, fn) g_test_add_func("/availability-set/" text, fn)
	TEST("acceleration changes only while all VMs are deallocated, and those that are not are named",
		test_all_must_be_deallocated);
	TEST("VMs of no set or of another one do not stand in the way", test_others_do_not_count);
	TEST("an accelerated NIC comes and goes only while all VMs are deallocated",
		test_no_way_round_by_exchange);
	TEST("a VM that is started meanwhile is noticed", test_nobody_slips_in);
	TEST("a size without acceleration wants it off in the whole set", test_resize_wants_a_plain_set);
	TEST("a VM is in its set for good", test_for_good);
	TEST("an accelerated VM may be created beside running ones", test_accelerated_vm_may_join);
	TEST("a set with VMs is not deleted", test_delete);
	TEST("deleting a group takes its sets and leaves no reference", test_group_delete);
	TEST("numbers of domains have limits and stay", test_numbers);
	TEST("a set and its VMs are in one group, one location, and fit", test_misfits);
	TEST("VMs are spread over fault domains and hosts, and get update domains in turn", test_spread);
	TEST("hosts in one rack are one fault domain", test_racks);
	return g_test_run();
}
