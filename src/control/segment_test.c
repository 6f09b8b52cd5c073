/* Where networks travel: which numbers they get, when they may move, what hosts are told and who gets the VMs. */
#include "base/fault.h"
#include "control/change.h"
#include "control/fixture.h"
#include "store/spy.h"

#include <string.h>

static const struct control_request request = {.principal = "test"};

/* ---- what tests do ---- */

static void put_physical(struct fixture *f, const char *name, const char *vlans)
{
	model_free(fixture_must_put(f, fixture_physical(name, vlans)));
}

static struct network *network_with(const struct fixture *f, const char *name, const char *tag)
{
	struct network *network = fixture_network(f, name, "10.0.0.0/16", "sub", "10.0.1.0/24", NULL);

	network->meta.tags = tag ? json_pack("{s:s}", "Sluice-Segment", tag) : NULL;
	return network;
}

static struct nic *nic_with(const struct fixture *f, const char *name, const char *enforcement)
{
	struct nic *nic = fixture_nic(f, name, true);

	nic->meta.tags = enforcement ? json_pack("{s:s}", "sluice-enforcement", enforcement) : NULL;
	return nic;
}

static bool move(struct fixture *f, const char *network, const char *words, GError **error)
{
	_cleanup_(control_result_clear) struct control_result result = {};

	return control_set_segment(f->control, network, words, &request, &result, error);
}

static void assert_moved(struct fixture *f, const char *network, const char *words)
{
	g_autoptr(GError) error = NULL;

	move(f, network, words, &error);
	g_assert_no_error(error);
}

static void assert_error(const GError *error, enum fault fault, const char *words)
{
	g_assert_error(error, FAULT, (int)fault);
	if (!strstr(error->message, words))
		g_error("'%s' is not in: %s", words, error->message);
}

static void assert_stays(
	struct fixture *f, const char *network, const char *words, enum fault fault, const char *why)
{
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct network *before = control_get(f->control, KIND_NETWORK, network, NULL);

	g_assert_false(move(f, network, words, &error));
	assert_error(error, fault, why);
	_cleanup_(model_free) struct network *after = control_get(f->control, KIND_NETWORK, network, NULL);
	g_assert_true(shape_equal(kind_info(KIND_NETWORK)->shape, before, after));
}

static void assert_put_refused(struct fixture *f, void *object, enum fault fault, const char *why)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(fixture_put(f, object, &error));
	assert_error(error, fault, why);
}

static void assert_segment(struct fixture *f, const char *uid, const char *words)
{
	_cleanup_(model_free) struct network *network = control_get(f->control, KIND_NETWORK, uid, NULL);
	g_autofree char *now = control_segment(f->control, network, NULL);

	g_assert_cmpstr(now, ==, words);
	g_assert_cmpint(network->spec.segment == SEGMENT_VXLAN, ==, network->status.vni != 0);
	g_assert_cmpint(network->spec.segment == SEGMENT_VLAN, ==, network->status.vlan != 0);
}

static guint count_keys(struct fixture *f, const char *prefix)
{
	_cleanup_(store_range_clear) struct store_range range = {};
	g_autofree char *end = store_prefix_end(prefix);

	g_assert_true(store_list(f->store, prefix, end, 0, 0, &range, NULL, NULL));
	return range.kvs->len;
}

static void act(struct fixture *f, const struct vm *vm, enum verb verb)
{
	_cleanup_(control_result_clear) struct control_result result = {};
	g_autoptr(GError) error = NULL;

	control_vm_action(f->control, vm->meta.uid, verb, &request, &result, &error);
	g_assert_no_error(error);
	_cleanup_(model_free) struct operation *over = fixture_finish(f, result.operation, true);
	g_assert_cmpint(over->status.state, ==, OPERATION_SUCCEEDED);
}

/* ---- numbers ---- */

static void test_moves(void)
{
	OPEN(f);

	put_physical(&f, "physnet1", "300,100-101");
	put_physical(&f, "physnet2", "7");
	assert_segment(&f, f.network, "vxlan");
	guint before = count_keys(&f, "/sluice/pool/") + count_keys(&f, "/sluice/ref/");
	assert_moved(&f, f.network, "vlan:physnet1");
	assert_segment(&f, f.network, "vlan:physnet1:100");
	assert_moved(&f, f.network, "vlan:physnet1:300");
	assert_moved(&f, f.network, "vlan:physnet1");
	assert_segment(&f, f.network, "vlan:physnet1:300");
	assert_moved(&f, f.network, "vlan:PHYSNET2");
	assert_segment(&f, f.network, "vlan:physnet2:7");
	g_assert_cmpuint(count_keys(&f, "/sluice/pool/vni/"), ==, 0);
	assert_moved(&f, f.network, "vxlan");
	assert_segment(&f, f.network, "vxlan");
	g_assert_cmpuint(count_keys(&f, "/sluice/pool/") + count_keys(&f, "/sluice/ref/"), ==, before);
}

static void test_ids_once(void)
{
	OPEN(f);

	put_physical(&f, "physnet1", "100-101");
	_cleanup_(model_free) struct network *a = fixture_must_put(
						     &f, network_with(&f, "a", "vlan:physnet1")),
					     *b = fixture_must_put(
						     &f, network_with(&f, "b", "vlan:physnet1:101"));
	assert_segment(&f, a->meta.uid, "vlan:physnet1:100");
	assert_stays(&f, f.network, "vlan:physnet1:101", FAULT_EXISTS,
		"VLAN 101 of physical network physnet1 is virtual network b's");
	assert_stays(&f, f.network, "vlan:physnet1", FAULT_POOL_FULL, "all of 100-101 are in use");
	fixture_delete(&f, KIND_NETWORK, a->meta.uid);
	assert_moved(&f, f.network, "vlan:physnet1");
	assert_segment(&f, f.network, "vlan:physnet1:100");
}

static void test_words_refused(void)
{
	static const char *const bad[] = {"", "vlan", "vlan:", "vlan:physnet1:", "vlan:physnet1:0",
		"vlan:physnet1:4095", "vlan:physnet1:x", "vlan:physnet1:100:1", "VXLAN", "vxlan:4096",
		"flat:physnet1", "vlan::100"};
	OPEN(f);

	put_physical(&f, "physnet1", "100-199");
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		assert_stays(&f, f.network, bad[i], FAULT_INVALID, "is no segment");
	assert_stays(&f, f.network, "vlan:physnet1:200", FAULT_INVALID, "whose networks have 100-199");
	assert_stays(
		&f, f.network, "vlan:wire", FAULT_INVALID_REFERENCE, "there is no physical network wire");
}

static void test_group_gives_back(void)
{
	OPEN(f);

	put_physical(&f, "physnet1", "100");
	assert_moved(&f, f.network, "vlan:physnet1");
	fixture_delete(&f, KIND_GROUP, f.group);
	g_assert_cmpuint(count_keys(&f, "/sluice/pool/") + count_keys(&f, "/sluice/ref/"), ==, 0);
}

/* ---- when ---- */

static void test_not_while_on(void)
{
	OPEN(f);

	put_physical(&f, "physnet1", "100-199");
	_cleanup_(model_free) struct nic *nic = fixture_must_put(&f, fixture_nic(&f, "nic", false));
	_cleanup_(model_free) struct vm *vm =
		fixture_must_put(&f, fixture_vm(&f, "web-1", "Standard_B1s", nic));
	assert_stays(&f, f.network, "vlan:physnet1", FAULT_NOT_ALLOWED, "not deallocated: web-1. Deallocate");
	assert_moved(&f, f.network, "vxlan"); /* where it is */
	act(&f, vm, VERB_POWER_OFF);
	assert_stays(&f, f.network, "vlan:physnet1", FAULT_NOT_ALLOWED, "web-1");
	_cleanup_(model_free) struct network *other = fixture_must_put(&f, network_with(&f, "other", NULL));
	assert_moved(&f, other->meta.uid, "vlan:physnet1");
	act(&f, vm, VERB_DEALLOCATE);
	assert_moved(&f, f.network, "vlan:physnet1:150");
	act(&f, vm, VERB_START);
}

static void test_unplaced(void)
{
	OPEN(f);
	_cleanup_(control_result_clear) struct control_result result = {};

	put_physical(&f, "physnet1", "100-199");
	_cleanup_(model_free) struct nic *nic = fixture_must_put(&f, fixture_nic(&f, "nic", false));
	_cleanup_(model_free) struct vm *vm = fixture_vm(&f, "vm", "Standard_Huge", nic);
	g_assert_true(control_put(f.control, vm, &request, &result, NULL));
	assert_stays(&f, f.network, "vlan:physnet1", FAULT_NOT_ALLOWED, "vm");
	_cleanup_(model_free) struct operation *over = fixture_finish(&f, result.operation, true);
	g_assert_cmpint(over->status.state, ==, OPERATION_FAILED);
	assert_moved(&f, f.network, "vlan:physnet1");
}

/* ---- the tag ---- */

static void test_tag(void)
{
	OPEN(f);

	put_physical(&f, "physnet1", "100-199");
	_cleanup_(model_free) struct network *net =
		fixture_must_put(&f, network_with(&f, "n", "vlan:physnet1:150"));
	assert_segment(&f, net->meta.uid, "vlan:physnet1:150");
	model_free(fixture_must_put(&f, network_with(&f, "n", NULL)));
	assert_segment(&f, net->meta.uid, "vlan:physnet1:150");
	model_free(fixture_must_put(&f, network_with(&f, "n", "vxlan")));
	assert_segment(&f, net->meta.uid, "vxlan");
	assert_moved(&f, net->meta.uid, "vlan:physnet1:160");
	model_free(fixture_must_put(&f, network_with(&f, "n", "vlan:physnet1:160")));
	assert_segment(&f, net->meta.uid, "vlan:physnet1:160");
	assert_put_refused(&f, network_with(&f, "n", "vlan:physnet1:200"), FAULT_INVALID, "is none of");
	assert_put_refused(&f, network_with(&f, "m", "vlan:none"), FAULT_INVALID_REFERENCE,
		"virtual network m: there is no physical network none");
	assert_segment(&f, net->meta.uid, "vlan:physnet1:160");
}

static void assert_tag(struct fixture *f, const char *uid, const char *words)
{
	_cleanup_(model_free) struct network *network = control_get(f->control, KIND_NETWORK, uid, NULL);

	g_assert_cmpstr(json_string_value(json_object_get(network->meta.tags, "Sluice-Segment")), ==, words);
}

static void test_tag_is_true(void)
{
	OPEN(f);

	put_physical(&f, "physnet1", "100-199");
	_cleanup_(model_free) struct network *net =
		fixture_must_put(&f, network_with(&f, "n", "vlan:physnet1"));
	assert_tag(&f, net->meta.uid, "vlan:physnet1");
	assert_moved(&f, net->meta.uid, "vxlan");
	assert_tag(&f, net->meta.uid, "vxlan");
	assert_moved(&f, net->meta.uid, "vlan:physnet1");
	assert_tag(&f, net->meta.uid, "vlan:physnet1:100");
	model_free(fixture_must_put(&f, network_with(&f, "n", "vlan:physnet1")));
	assert_segment(&f, net->meta.uid, "vlan:physnet1:100");
	assert_moved(&f, f.network, "vlan:physnet1");
	assert_tag(&f, f.network, NULL);
}

/* ---- physical networks ---- */

static void test_physical_in_use(void)
{
	OPEN(f);
	g_autoptr(GError) error = NULL;
	_cleanup_(control_result_clear) struct control_result result = {};
	_cleanup_(model_free) struct physical *physical =
		fixture_must_put(&f, fixture_physical("physnet1", "199,100-150"));

	g_assert_cmpstr(physical->spec.vlans, ==, "100-150,199");
	assert_moved(&f, f.network, "vlan:physnet1:120");
	assert_put_refused(&f, fixture_physical("physnet1", "100-119,121-150"), FAULT_IN_USE,
		"VLAN 120 of physical network physnet1 is virtual network net's");
	put_physical(&f, "physnet1", "120");
	g_assert_false(
		control_delete(f.control, KIND_PHYSICAL, physical->meta.uid, &request, &result, &error));
	assert_error(error, FAULT_IN_USE, "physical network physnet1 is in use by virtual network net");
	assert_moved(&f, f.network, "vxlan");
	fixture_delete(&f, KIND_PHYSICAL, physical->meta.uid);
	assert_put_refused(
		&f, fixture_physical("physnet1", "0-5"), FAULT_INVALID, "physnet1: '0-5' are no VLANs");
	assert_put_refused(&f, fixture_physical("phys:net", "5"), FAULT_INVALID, "is no name");
}

struct race {
	struct fixture *f;
	unsigned attempts;
};

/* Between its look at all networks and its commit another one is made. */
static bool look_and_write(struct change *change, void *data, GError **error)
{
	struct race *race = data;
	g_autoptr(GPtrArray) networks = change_list(change, KIND_NETWORK, error);

	g_assert_cmpuint(networks->len, ==, 1 + race->attempts);
	if (race->attempts++ == 0)
		model_free(fixture_must_put(race->f, network_with(race->f, "late", NULL)));
	change_claim(change, "test", "1", "me", error);
	return true;
}

static void test_list_is_guarded(void)
{
	OPEN(f);
	struct race race = {.f = &f};

	g_assert_true(change_run(f.store, look_and_write, &race, NULL, NULL));
	g_assert_cmpuint(race.attempts, ==, 2);
}

/* Somebody who makes a NIC and a VM with it, on another controller, just before a list of some keys is read. */
struct intruder {
	struct fixture *f;
	char *key;
	bool came;
};

static void intrude(const char *key, void *data)
{
	struct intruder *intruder = data;

	if (intruder->came || !g_str_equal(key, intruder->key))
		return;
	intruder->came = true;
	_cleanup_(model_free) struct nic *nic =
		fixture_must_put(intruder->f, fixture_nic(intruder->f, "late", false));
	model_free(fixture_must_put(intruder->f, fixture_vm(intruder->f, "late", "Standard_B1s", nic)));
}

/* Takes the key. */
static void assert_noticed(struct fixture *f, char *key)
{
	struct intruder intruder = {.f = f, .key = key};
	struct store_spy spy;

	store_spy_start(&spy, f->store, intrude, &intruder);
	assert_stays(f, f->network, "vlan:physnet1", FAULT_NOT_ALLOWED, "not deallocated: late");
	store_spy_stop(&spy);
	g_assert_true(intruder.came);
	g_free(key);
}

static void test_nobody_slips_in(void)
{
	OPEN(before_vms);
	OPEN(before_refs);

	put_physical(&before_vms, "physnet1", "100");
	assert_noticed(&before_vms, key_objects(KIND_VM));
	put_physical(&before_refs, "physnet1", "100");
	assert_noticed(&before_refs, key_refs(before_refs.network));
}

/* ---- what hosts are told ---- */

static struct goal *goal_of(struct fixture *f, const char *host)
{
	g_autoptr(GError) error = NULL;
	struct goal *goal = control_goal(f->control, host, &error);

	g_assert_no_error(error);
	return goal;
}

static void test_goal(void)
{
	OPEN(f);

	put_physical(&f, "physnet1", "100-199");
	assert_moved(&f, f.network, "vlan:physnet1:150");
	_cleanup_(model_free) struct nic *nic = fixture_must_put(&f, fixture_nic(&f, "nic", true));
	model_free(fixture_must_put(&f, fixture_vm(&f, "vm", "Standard_DS4_v2", nic)));
	_cleanup_(goal_free) struct goal *goal = goal_of(&f, "host-1");
	const struct goal_network *network = goal->networks->pdata[0];
	g_assert_cmpstr(network->physical, ==, "physnet1");
	g_assert_cmpint(network->vlan, ==, 150);
	g_assert_cmpint(network->vni, ==, 0);
	g_assert_cmpuint(list_length(network->mappings), ==, 0);
	g_assert_cmpuint(list_length(goal->conditions), ==, 0);
	g_clear_pointer(&f.report->physicals, g_ptr_array_unref);
	fixture_obey(&f);
	_cleanup_(goal_free) struct goal *later = goal_of(&f, "host-1");
	g_assert_cmpuint(list_length(later->conditions), ==, 1);
	g_assert_nonnull(
		strstr(later->conditions->pdata[0], "Host host-1 is not on physical network physnet1"));
}

static void set_guest(struct fixture *f, bool allowed)
{
	struct physical *physical = fixture_physical("physnet1", "100-199");

	physical->spec.guest_enforcement = allowed;
	model_free(fixture_must_put(f, physical));
}

static void assert_guest(struct fixture *f, const char *tag, enum guest wanted)
{
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct nic *nic = fixture_must_put(f, nic_with(f, "nic", tag));
	_cleanup_(goal_free) struct goal *goal = goal_of(f, "host-1");
	enum guest guest;

	g_assert_true(control_guest(f->control, nic, &guest, &error));
	g_assert_cmpint(guest, ==, wanted);
	g_assert_cmpint(
		((struct goal_nic *)goal->nics->pdata[0])->guest_enforcement, ==, wanted == GUEST_ALLOWED);
}

static void test_guest(void)
{
	OPEN(f);

	set_guest(&f, true);
	assert_put_refused(
		&f, nic_with(&f, "nic", "hardware"), FAULT_INVALID, "only 'guest' can be asked for");
	_cleanup_(model_free) struct nic *nic = fixture_must_put(&f, nic_with(&f, "nic", NULL));
	_cleanup_(model_free) struct vm *vm =
		fixture_must_put(&f, fixture_vm(&f, "vm", "Standard_DS4_v2", nic));
	assert_guest(&f, "guest", GUEST_NOT_ALLOWED); /* in a VXLAN */
	act(&f, vm, VERB_DEALLOCATE);
	assert_moved(&f, f.network, "vlan:physnet1");
	act(&f, vm, VERB_START);
	assert_guest(&f, "guest", GUEST_ALLOWED);
	assert_guest(&f, NULL, GUEST_NOT_ASKED);
	set_guest(&f, false);
	assert_guest(&f, "guest", GUEST_NOT_ALLOWED);
}

/* ---- hosts ---- */

/* A second host, on the physical networks that are named; has more memory than the first. */
static struct report *second_host(struct fixture *f, const char *first_name, ...)
{
	struct report *report = report_new();
	va_list args;

	report->vcpus = 2;
	report->memory_mib = 64 * 1024;
	report->available_mib = 60 * 1024;
	report->physicals = strings_new();
	va_start(args, first_name);
	for (const char *name = first_name; name; name = va_arg(args, const char *))
		g_ptr_array_add(report->physicals, g_strdup(name));
	va_end(args);
	fixture_obey_as(f, "host-2", report);
	return report;
}

/* Puts while both hosts obey; returns the message of its operation, NULL when it succeeded. Takes the object. */
static char *put_with(struct fixture *f, struct report *second, void *object, void *ret_stored)
{
	_cleanup_(model_free) struct meta *wanted = object;
	_cleanup_(control_result_clear) struct control_result result = {};
	_cleanup_(model_free) struct operation *now = NULL;
	g_autoptr(GError) error = NULL;

	control_put(f->control, wanted, &request, &result, &error);
	g_assert_no_error(error);
	do {
		fixture_obey(f);
		fixture_obey_as(f, "host-2", second);
		g_main_context_iteration(NULL, TRUE);
		g_clear_pointer(&now, model_free);
		now = control_get(f->control, KIND_OPERATION, result.operation->meta.uid, NULL);
	} while (now->status.state == OPERATION_RUNNING);
	*(void **)ret_stored =
		control_get(f->control, (enum kind)wanted->kind, model_meta(result.object)->uid, NULL);
	return g_strdup(now->status.message);
}

/* How the placement of a VM with one NIC ends: the host's name, or the sentence. */
static char *place(struct fixture *f, struct report *second, const char *name, bool accelerated)
{
	_cleanup_(model_free) struct nic *nic = NULL;
	_cleanup_(model_free) struct vm *vm = NULL;
	g_autofree char *none = put_with(f, second, fixture_nic(f, name, accelerated), &nic);
	g_autofree char *failure = put_with(f, second, fixture_vm(f, name, "Standard_DS4_v2", nic), &vm);

	g_assert_null(none);
	if (!vm->status.host)
		return g_steal_pointer(&failure);
	_cleanup_(model_free) struct host *host = control_get(f->control, KIND_HOST, vm->status.host, NULL);
	return g_strdup(host->meta.name);
}

/* The same cloud, where NICs are made in that network. */
static struct fixture inside(const struct fixture *f, const struct network *network)
{
	struct fixture in = *f;

	in.network = network->meta.uid;
	in.subnet = ((struct subnet *)network->spec.subnets->pdata[0])->uid;
	return in;
}

static void test_placed_where_the_wire_is(void)
{
	static const char *const whys[] = {" Host host-1: PhysicalNetworkFilter: physical network physnet4 "
					   "is needed, the host is on physnet1.",
		" Host host-2: PhysicalNetworkFilter: physical network physnet4 is needed, the host is on "
		"physnet2, "
		"physnet3."};
	OPEN(f);
	_cleanup_(report_free) struct report *second = second_host(&f, "physnet2", "physnet3", NULL);

	put_physical(&f, "physnet1", "100-199");
	put_physical(&f, "physnet4", "100-199");
	_cleanup_(model_free) struct network *vlan = fixture_must_put(
						     &f, network_with(&f, "v", "vlan:physnet1")),
					     *none = fixture_must_put(
						     &f, network_with(&f, "w", "vlan:physnet4"));
	struct fixture in_vlan = inside(&f, vlan), in_none = inside(&f, none);
	g_autofree char *anywhere = place(&f, second, "a", false),
			*there = place(&in_vlan, second, "b", false),
			*nowhere = place(&in_none, second, "c", false);
	g_assert_cmpstr(anywhere, ==, "host-2");
	g_assert_cmpstr(there, ==, "host-1");
	for (size_t i = 0; i < G_N_ELEMENTS(whys); i++)
		if (!strstr(nowhere, whys[i]))
			g_error("'%s' is not in: %s", whys[i], nowhere);
}

static void add_function(struct report *report, const char *physical, const char *nic)
{
	struct report_function *function = shape_new(&report_function_shape);

	if (!report->functions)
		report->functions = shape_list_new(&report_function_shape);
	function->name = g_strdup("0000:3b:10.0");
	function->physical = g_strdup(physical);
	function->nic = g_strdup(nic);
	g_ptr_array_add(report->functions, function);
}

static void test_free_functions_are_preferred(void)
{
	OPEN(f);
	_cleanup_(report_free) struct report *second = second_host(&f, "physnet1", NULL);

	put_physical(&f, "physnet1", "100-199");
	assert_moved(&f, f.network, "vlan:physnet1");
	add_function(f.report, "physnet2", NULL);
	add_function(f.report, "physnet1", "another");
	add_function(f.report, "physnet1", NULL);
	((struct report_function *)f.report->functions->pdata[2])->state = g_strdup("unavailable");
	fixture_obey(&f);
	g_autofree char *no_function = place(&f, second, "a", true);
	g_assert_cmpstr(no_function, ==, "host-2"); /* which has more memory */
	add_function(f.report, "physnet1", NULL);
	fixture_obey(&f);
	g_autofree char *with = place(&f, second, "b", true), *without = place(&f, second, "c", false);
	g_assert_cmpstr(with, ==, "host-1");
	g_assert_cmpstr(without, ==, "host-2");
}

static void set_provider(struct report *report, const char *provider)
{
	g_free(report->provider);
	report->provider = g_strdup(provider);
}

static void test_functions_are_promised_once(void)
{
	OPEN(f);
	_cleanup_(report_free) struct report *second = second_host(&f, "physnet1", NULL);

	put_physical(&f, "physnet1", "100-199");
	assert_moved(&f, f.network, "vlan:physnet1");
	add_function(f.report, "physnet1", NULL);
	add_function(second, "physnet1", NULL);
	/* No report tells yet that a function is a's. */
	g_autofree char *more_memory = place(&f, second, "a", true),
			*the_other = place(&f, second, "b", true);
	g_assert_cmpstr(more_memory, ==, "host-2");
	g_assert_cmpstr(the_other, ==, "host-1");
	/* One that it has is not promised any more. */
	_cleanup_(model_free) struct nic *a = control_find(f.control, KIND_NIC, f.group, "a", NULL);
	g_clear_pointer(&second->functions, g_ptr_array_unref);
	add_function(second, "physnet1", a->meta.uid);
	add_function(second, "physnet1", NULL);
	f.report->memory_mib = 256 * 1024;
	g_autofree char *with = place(&f, second, "c", true), *without = place(&f, second, "d", true);
	g_assert_cmpstr(with, ==, "host-2");
	g_assert_cmpstr(without, ==, "host-1");
}

static void test_pinned_memory(void)
{
	static const char *const whys[] = {
		" Host host-1: RamFilter: 28672 MiB are needed, 0 of 122880 MiB are in use (24576 MiB of "
		"memory, ram_allocation_ratio 5); 28672 MiB of the needed and used are pinned for functions "
		"that bypass the host, and pinned memory cannot be overcommitted.",
		" Host host-2: RamFilter: 28672 MiB are needed, 57344 of 327680 MiB are in use (65536 MiB of "
		"memory, ram_allocation_ratio 5); 86016 MiB of the needed and used are pinned"};
	OPEN(f);
	_cleanup_(report_free) struct report *second = second_host(&f, "physnet1", NULL);

	put_physical(&f, "physnet1", "100-199");
	assert_moved(&f, f.network, "vlan:physnet1");
	set_provider(f.report, "sriov");
	set_provider(second, "switchdev");
	g_autofree char *first = place(&f, second, "a", true), *next = place(&f, second, "b", true),
			*none = place(&f, second, "c", true);
	g_assert_cmpstr(first, ==, "host-2");
	g_assert_cmpstr(next, ==, "host-2");
	for (size_t i = 0; i < G_N_ELEMENTS(whys); i++)
		if (!strstr(none, whys[i]))
			g_error("'%s' is not in: %s", whys[i], none);
	/* What is not pinned is overcommitted as ever, on what others do not pin: 5 * 8 of host-2's 64 GiB are left. */
	f.report->vcpus = 0;
	g_autofree char *fits = place(&f, second, "d", false), *full = place(&f, second, "e", false);
	g_assert_cmpstr(fits, ==, "host-2");
	g_assert_nonnull(strstr(full, "57344 MiB of the needed and used are pinned"));
	f.report->vcpus = 2;
	set_provider(f.report, "emulated");
	g_autofree char *not_pinned = place(&f, second, "f", true);
	g_assert_cmpstr(not_pinned, ==, "host-1");
}

/* NICs in VXLANs take functions, and pin memory, where the host's underlay leaves by a NIC that has them. */
static void test_vxlans_take_functions(void)
{
	OPEN(f);
	_cleanup_(report_free) struct report *second = second_host(&f, "physnet1", NULL);

	put_physical(&f, "physnet1", "100-199");
	set_provider(f.report, "switchdev");
	set_provider(second, "switchdev");
	add_function(f.report, "physnet1", NULL);
	f.report->memory_mib = 36 * 1024;
	fixture_obey(&f);
	g_autofree char *anywhere = place(&f, second, "a", true);
	g_assert_cmpstr(anywhere, ==, "host-2"); /* which has more memory */
	f.report->vxlans = g_strdup("physnet1");
	fixture_obey(&f);
	g_autofree char *other_pf = place(&f, second, "e", true);
	g_assert_cmpstr(other_pf, ==, "host-2"); /* the function is of a PF that VXLANs do not go by */
	((struct report_function *)f.report->functions->pdata[0])->vxlan = true;
	fixture_obey(&f);
	g_autofree char *with = place(&f, second, "b", true);
	g_assert_cmpstr(with, ==, "host-1");
	/* What it pins is there once: 5 * 8 of its 36 GiB are left. */
	second->vcpus = 0;
	g_autofree char *not_twice = place(&f, second, "c", true), *other = place(&f, second, "d", false);
	g_assert_nonnull(strstr(not_twice, "57344 MiB of the needed and used are pinned"));
	g_assert_cmpstr(other, ==, "host-1");
}

static void test_names_without_case(void)
{
	OPEN(f);
	_cleanup_(report_free) struct report *second = second_host(&f, "PHYSNET2", NULL);

	_cleanup_(model_free) struct physical *physical =
		fixture_must_put(&f, fixture_physical("PhysNet2", "100-199"));
	g_assert_cmpstr(physical->meta.name, ==, "physnet2");
	_cleanup_(model_free) struct physical *again =
		fixture_must_put(&f, fixture_physical("PHYSNET2", "100"));
	g_assert_cmpstr(again->meta.uid, ==, physical->meta.uid);
	assert_moved(&f, f.network, "vlan:physNET2");
	assert_segment(&f, f.network, "vlan:physnet2:100");
	g_autofree char *there = place(&f, second, "a", false);
	g_assert_cmpstr(there, ==, "host-2");
	_cleanup_(goal_free) struct goal *goal = goal_of(&f, "host-2");
	g_assert_cmpstr(((struct goal_network *)goal->networks->pdata[0])->physical, ==, "physnet2");
	g_assert_cmpuint(list_length(goal->conditions), ==, 0);
	g_ptr_array_add(f.report->physicals, g_strdup("Physnet2"));
	add_function(f.report, "Physnet2", NULL);
	fixture_obey(&f);
	g_autofree char *with = place(&f, second, "b", true);
	g_assert_cmpstr(with, ==, "host-1");
}

static void assert_unmapped(struct fixture *f, const char *host)
{
	_cleanup_(goal_free) struct goal *goal = goal_of(f, host);

	g_assert_cmpuint(goal->networks->len, ==, 1);
	g_assert_cmpuint(list_length(((struct goal_network *)goal->networks->pdata[0])->mappings), ==, 0);
	g_assert_cmpuint(list_length(goal->conditions), ==, 0);
}

static void test_no_mappings(void)
{
	OPEN(f);
	_cleanup_(report_free) struct report *second = second_host(&f, "physnet1", NULL);

	f.report->vtep = g_strdup("172.16.0.1");
	second->vtep = g_strdup("172.16.0.2");
	put_physical(&f, "physnet1", "100-199");
	assert_moved(&f, f.network, "vlan:physnet1");
	g_autofree char *there = place(&f, second, "a", false);
	f.report->memory_mib = 256 * 1024;
	fixture_obey(&f);
	g_autofree char *here = place(&f, second, "b", false);
	g_assert_cmpstr(there, ==, "host-2");
	g_assert_cmpstr(here, ==, "host-1");
	assert_unmapped(&f, "host-1");
	assert_unmapped(&f, "host-2");
}

static void assert_condition(struct fixture *f, const char *part)
{
	_cleanup_(goal_free) struct goal *goal = goal_of(f, "host-2");

	g_assert_cmpuint(list_length(goal->conditions), ==, part ? 1 : 0);
	if (part && !strstr(goal->conditions->pdata[0], part))
		g_error("'%s' is not in: %s", part, (char *)goal->conditions->pdata[0]);
}

static void test_no_underlay_needed(void)
{
	OPEN(f);
	_cleanup_(report_free) struct report *second = second_host(&f, "physnet1", NULL);

	put_physical(&f, "physnet1", "100-199");
	_cleanup_(model_free) struct network *vlan =
		fixture_must_put(&f, network_with(&f, "v", "vlan:physnet1"));
	struct fixture in_vlan = inside(&f, vlan);
	g_autofree char *first = place(&in_vlan, second, "a", false);
	g_assert_cmpstr(first, ==, "host-2");
	assert_condition(&f, NULL);
	g_autofree char *next = place(&f, second, "b", false);
	g_assert_cmpstr(next, ==, "host-2");
	assert_condition(&f, "Host host-2 has no underlay: its virtual machines");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define TEST(text, fn) g_test_add_func("/segment/" text, fn)
	TEST("a network has one segment, and gives back the number that it leaves", test_moves);
	TEST("a VLAN is one network's, and free when that is gone", test_ids_once);
	TEST("words and VLANs that are none are refused and change nothing", test_words_refused);
	TEST("a group that goes gives back the VLANs of its networks", test_group_gives_back);
	TEST("a network moves only while the VMs in it are deallocated", test_not_while_on);
	TEST("a VM that found no host holds no network back", test_unplaced);
	TEST("a put goes where its tag says, and stays without one", test_tag);
	TEST("the tag says what the operator has made of it", test_tag_is_true);
	TEST("a physical network keeps what is in use", test_physical_in_use);
	TEST("a change that looked at all of a kind runs again when one more came", test_list_is_guarded);
	TEST("a VM that another controller makes meanwhile is not cut off", test_nobody_slips_in);
	TEST("a host is told the VLAN, and its operator when it is not on that wire", test_goal);
	TEST("guests enforce where the operator and the NIC want it", test_guest);
	TEST("a VM is placed on the physical networks of its NICs, or it says who is not on them",
		test_placed_where_the_wire_is);
	TEST("free functions are preferred, more memory comes next", test_free_functions_are_preferred);
	TEST("a function is promised to one NIC only, also before hosts tell",
		test_functions_are_promised_once);
	TEST("memory that a function pins is promised once, and it says so", test_pinned_memory);
	TEST("NICs in VXLANs take functions where the host's underlay has them", test_vxlans_take_functions);
	TEST("physical networks are named without case, by operators and hosts", test_names_without_case);
	TEST("machines in a VLAN find each other on the wire, without mappings", test_no_mappings);
	TEST("a host with VLANs alone needs no underlay", test_no_underlay_needed);
	return g_test_run();
}
