/* Scale sets: capacity, the model and who has it, acceleration as a matter of all instances, and actions on them. */
#include "control/control_priv.h"
#include "control/keys.h"
#include "control/set_fixture.h"

#include <string.h>

/* ---- capacity ---- */

static void test_capacity(void)
{
	OPEN(f);

	set_put_capacity(&f, 2);
	set_assert_instances(&f, "web_0* web_1*");
	set_assert_power(&f, "rr");
	set_put_capacity(&f, 4);
	set_assert_instances(&f, "web_0* web_1* web_2* web_3*");
	set_put_capacity(&f, 1);
	set_assert_instances(&f, "web_0*");
	set_put_capacity(&f, 2);
	set_assert_instances(&f, "web_0* web_4*");
	set_put_capacity(&f, 0);
	set_assert_instances(&f, "");
	g_assert_cmpuint(set_count_keys(&f, "/sluice/object/nic/"), ==, 0);
	g_assert_cmpuint(set_count_keys(&f, "/sluice/pool/mac/"), ==, 0);
	g_assert_cmpuint(set_count_keys(&f, "/sluice/placed/"), ==, 0);
}

static guint count_begun(struct fixture *f, const struct operation *operation)
{
	g_autoptr(GPtrArray) vms = set_instances(f);
	guint n = 0;

	for (guint i = 0; i < vms->len; i++)
		n += g_strcmp0(((const struct vm *)vms->pdata[i])->status.set_operation,
			     operation->meta.uid) == 0;
	return n;
}

/* All instances have their turn, some of them in each turn of the main loop. Takes the operation. */
static void assert_turns(struct fixture *f, struct operation *operation, guint instances)
{
	_cleanup_(model_free) struct operation *begun = operation, *over = NULL;

	for (guint before = 0, now; before < instances; before = now) {
		g_main_context_iteration(NULL, TRUE);
		now = count_begun(f, begun);
		g_assert_cmpuint(now - before, <=, 16);
	}
	over = fixture_finish(f, begun, true);
	g_assert_cmpint(over->status.state, ==, OPERATION_SUCCEEDED);
}

static void test_large_set(void)
{
	OPEN(f);
	_cleanup_(model_free) struct scale_set *wanted = fixture_scale_set(&f, "web", 40);
	_cleanup_(control_result_clear) struct control_result put = {}, action = {};
	g_autoptr(GError) error = NULL;

	f.report->vcpus = 4;
	g_free(wanted->spec.model.size);
	wanted->spec.model.size = g_strdup("Standard_B1s");
	control_put(f.control, wanted, &set_request, &put, &error);
	g_assert_no_error(error);
	assert_turns(&f, g_steal_pointer(&put.operation), 40);
	const struct meta *set = put.object;
	control_scale_set_act(f.control, set->uid, VERB_DEALLOCATE, NULL, &set_request, &action, &error);
	g_assert_no_error(error);
	assert_turns(&f, g_steal_pointer(&action.operation), 40);
	EDIT(&f);
	edit->spec.model.disk_gib = 64;
	edit = set_put(&f, edit);
	edit->spec.upgrade = UPGRADE_ROLLING;
	g_assert_true(control_store(f.control, edit, NULL)); /* as if its put had been killed */
	set_do(&f, VERB_START, -1);
	g_autoptr(GPtrArray) vms = set_instances(&f);
	for (guint i = 0; i < vms->len; i++) {
		g_assert_true(control_instance_is_current(edit, vms->pdata[i]));
		g_assert_cmpint(((const struct vm *)vms->pdata[i])->status.power, ==, POWER_STATE_RUNNING);
	}
	model_free(edit);
}

static void test_instances_are_inside(void)
{
	OPEN(f);

	set_put_capacity(&f, 2);
	_cleanup_(model_free) struct scale_set *set = set_read(&f);
	_cleanup_(model_free) struct vm *first = set_instance(&f, 0), *second = set_instance(&f, 1);
	_cleanup_(model_free) struct nic *eth = set_nic_of(&f, first), *other = set_nic_of(&f, second);
	const struct nic_config *a = eth->spec.configs->pdata[0], *b = other->spec.configs->pdata[0];
	g_autoptr(GPtrArray) vms = control_list(f.control, KIND_VM, f.group, NULL);

	g_assert_cmpuint(vms->len, ==, 0);
	g_assert_cmpint(first->meta.parent_kind, ==, KIND_SCALE_SET);
	g_assert_cmpstr(first->meta.parent, ==, set->meta.uid);
	g_assert_cmpint(eth->meta.parent_kind, ==, KIND_VM);
	g_assert_cmpstr(eth->meta.parent, ==, first->meta.uid);
	g_assert_cmpstr(eth->meta.name, ==, "eth0");
	g_assert_cmpstr(other->meta.name, ==, "eth0");
	g_assert_cmpstr(eth->status.mac, !=, other->status.mac);
	g_assert_cmpstr(a->ip, !=, b->ip);
	g_assert_cmpstr(second->spec.computer_name, ==, "web000001");
	_cleanup_(goal_free) struct goal *goal = control_goal(f.control, "host-1", NULL);
	const struct goal_vm *told = goal->vms->pdata[0];
	g_assert_cmpstr(told->group_name, ==, "rg");
}

static void test_flexible_instances_are_in_the_group(void)
{
	OPEN(f);
	struct scale_set *wanted = fixture_scale_set(&f, "web", 2);

	wanted->spec.flexible = true;
	model_free(set_put(&f, wanted));
	g_autoptr(GPtrArray) vms = control_list(f.control, KIND_VM, f.group, NULL),
			     nics = control_list(f.control, KIND_NIC, f.group, NULL);
	g_assert_cmpuint(vms->len, ==, 2);
	g_assert_cmpuint(nics->len, ==, 2);
	_cleanup_(model_free) struct vm *vm = set_instance(&f, 0);
	_cleanup_(model_free) struct nic *nic = set_nic_of(&f, vm);
	g_assert_true(g_str_has_prefix(vm->meta.name, "web_") && strlen(vm->meta.name) == 12);
	g_assert_cmpstr(strchr(nic->meta.name, '-') + 1, ==, strchr(vm->meta.name, '_') + 1);

	/* What its model says is not changed behind its back. */
	struct nic *changed = model_copy(nic);
	changed->spec.accelerated = true;
	set_assert_refused(&f, changed, FAULT_NOT_ALLOWED, "it is what the model of scale set web says");
	struct nic *tagged = model_copy(nic);
	tagged->meta.tags = json_pack("{s:s}", "a", "b");
	model_free(set_put(&f, tagged));
	struct vm *without = model_copy(vm);
	((struct vm_nic_ref *)without->spec.nics->pdata[0])->primary = false;
	g_ptr_array_add(without->spec.nics, shape_copy(&vm_nic_ref_shape, vm->spec.nics->pdata[0]));
	set_assert_refused(&f, without, FAULT_NOT_ALLOWED, "cannot be attached or detached");

	_cleanup_(control_result_clear) struct control_result result = {};
	g_assert_true(control_delete(f.control, KIND_VM, vm->meta.uid, &set_request, &result, NULL));
	model_free(fixture_finish(&f, result.operation, true));
	_cleanup_(model_free) struct scale_set *set = set_read(&f);
	g_assert_cmpint(set->spec.capacity, ==, 1);
	g_assert_cmpuint(set_count_keys(&f, "/sluice/object/nic/"), ==, 1);
}

static void test_public_addresses(void)
{
	OPEN(f);
	struct scale_set *wanted = fixture_scale_set(&f, "web", 2);
	struct set_config *config = set_first_nic(wanted)->configs->pdata[0];

	config->address.name = g_strdup("pub");
	config->address.sku = ADDRESS_STANDARD;
	model_free(set_put(&f, wanted));
	g_assert_cmpuint(set_count_keys(&f, "/sluice/pool/public/"), ==, 2 + 1); /* and the host's */
	_cleanup_(model_free) struct vm *vm = set_instance(&f, 0);
	_cleanup_(model_free) struct nic *nic = set_nic_of(&f, vm);
	const struct nic_config *its = nic->spec.configs->pdata[0];
	_cleanup_(model_free) struct address *address =
		control_get(f.control, KIND_ADDRESS, its->address, NULL);
	g_assert_cmpstr(address->status.nic, ==, nic->meta.uid);
	g_assert_cmpint(address->meta.parent_kind, ==, KIND_NIC);
	g_assert_cmpint(address->spec.allocation, ==, ALLOCATION_STATIC);
	EDIT(&f);
	edit->spec.capacity = 0;
	model_free(set_put(&f, edit));
	g_assert_cmpuint(set_count_keys(&f, "/sluice/object/address/"), ==, 0);
	g_assert_cmpuint(set_count_keys(&f, "/sluice/pool/public/"), ==, 0);
}

static void test_what_cannot_be_made(void)
{
	OPEN(f);
	struct scale_set *huge = fixture_scale_set(&f, "web", 2);

	g_free(huge->spec.model.size);
	huge->spec.model.size = g_strdup("Standard_Huge");
	set_assert_fails(&f, huge, FAULT_ALLOCATION,
		"2 of 2 instances of scale set web failed. web_0: No host can hold virtual machine web_0");
	set_assert_instances(&f, "web_0* web_1*");
	/* With a size that there is room for it is tried again. */
	set_put_size(&f, "Standard_DS2_v2");
	set_assert_power(&f, "rr");
	set_assert_instances(&f, "web_0* web_1*");
}

static void test_pool_of_addresses_is_empty(void)
{
	OPEN(f);
	struct scale_set *wanted = fixture_scale_set(&f, "web", 20);
	struct set_config *config = set_first_nic(wanted)->configs->pdata[0];

	g_free(wanted->spec.model.size);
	wanted->spec.model.size = g_strdup("Standard_B1s");
	config->address.name = g_strdup("pub");
	set_assert_fails(&f, wanted, FAULT_POOL_FULL, "web: ");
	g_autoptr(GPtrArray) vms = set_instances(&f);
	g_assert_cmpuint(vms->len, >, 10);
	g_assert_cmpuint(set_count_keys(&f, "/sluice/object/nic/"), ==, vms->len);
	g_assert_cmpuint(set_count_keys(&f, "/sluice/object/address/"), ==, vms->len);
}

static void test_scale_in(void)
{
	OPEN(f);

	set_put_capacity(&f, 3);
	EDIT(&f);
	edit->spec.scale_in = SCALE_IN_OLDEST;
	edit->spec.capacity = 2;
	model_free(set_put(&f, edit));
	set_assert_instances(&f, "web_1* web_2*");
	edit = set_read(&f);
	edit->spec.scale_in = SCALE_IN_NEWEST;
	edit->spec.capacity = 1;
	model_free(set_put(&f, edit));
	set_assert_instances(&f, "web_1*");
}

/* ---- the model ---- */

static void test_manual_upgrade(void)
{
	OPEN(f);

	set_put_capacity(&f, 3);
	set_put_size(&f, "Standard_DS4_v2");
	set_assert_instances(&f, "web_0 web_1 web_2");
	_cleanup_(model_free) struct vm *before = set_instance(&f, 1);
	g_assert_cmpstr(before->spec.size, ==, "Standard_DS2_v2");
	set_do(&f, VERB_UPGRADE, 1);
	set_assert_instances(&f, "web_0 web_1* web_2");
	_cleanup_(model_free) struct vm *after = set_instance(&f, 1);
	g_assert_cmpstr(after->spec.size, ==, "Standard_DS4_v2");
	g_assert_cmpint(after->status.restarts_done, ==, before->status.restarts_done + 1);
	set_do(&f, VERB_UPGRADE, -1);
	set_assert_instances(&f, "web_0* web_1* web_2*");
	_cleanup_(model_free) struct vm *again = set_instance(&f, 1);
	g_assert_cmpint(again->status.restarts_done, ==, after->status.restarts_done);
	/* What is no part of the model makes nobody outdated. */
	set_put_upgrade(&f, UPGRADE_AUTOMATIC);
	set_assert_instances(&f, "web_0* web_1* web_2*");
}

static void test_automatic_upgrade(void)
{
	OPEN(f);

	set_put_capacity(&f, 2);
	set_put_size(&f, "Standard_DS4_v2");
	set_assert_instances(&f, "web_0 web_1");
	set_put_upgrade(&f, UPGRADE_AUTOMATIC);
	set_assert_instances(&f, "web_0* web_1*");
	set_put_size(&f, "Standard_DS2_v2");
	set_assert_instances(&f, "web_0* web_1*");
	set_assert_power(&f, "rr");
}

/* The document's workflow: deallocate, change the model, change the policy, start. */
static void test_acceleration(void)
{
	OPEN(f);

	set_put_capacity(&f, 2);
	struct scale_set *wanted = set_read(&f);
	set_first_nic(wanted)->accelerated = true;
	set_assert_refused(&f, model_copy(wanted), FAULT_NOT_ALLOWED,
		"Accelerated networking of network interface eth0 cannot be changed while instances of scale "
		"set "
		"web are not deallocated: web_0, web_1. Deallocate all");
	set_do(&f, VERB_DEALLOCATE, 0);
	set_assert_refused(&f, wanted, FAULT_NOT_ALLOWED, "not deallocated: web_1.");
	set_do(&f, VERB_DEALLOCATE, -1);
	set_put_accelerated(&f, true);
	set_assert_instances(&f, "web_0 web_1");
	set_put_upgrade(&f, UPGRADE_AUTOMATIC);
	set_assert_instances(&f, "web_0* web_1*");
	set_assert_power(&f, "dd");
	set_do(&f, VERB_START, -1);
	set_assert_power(&f, "rr");
	_cleanup_(model_free) struct vm *vm = set_instance(&f, 0);
	_cleanup_(model_free) struct nic *nic = set_nic_of(&f, vm);
	g_assert_true(nic->spec.accelerated);
	struct scale_set *off = set_read(&f);
	set_first_nic(off)->accelerated = false;
	set_assert_refused(&f, off, FAULT_NOT_ALLOWED, "not deallocated: web_0, web_1.");
}

static void test_acceleration_waits_for_all(void)
{
	OPEN(f);

	set_put_capacity(&f, 2);
	set_do(&f, VERB_DEALLOCATE, -1);
	set_put_accelerated(&f, true);
	set_do(&f, VERB_START, 0);
	set_assert_instances(&f, "web_0 web_1");
	set_assert_power(&f, "rd");
	set_assert_act_fails(&f, VERB_UPGRADE, -1, FAULT_NOT_ALLOWED,
		"2 of 2 instances of scale set web failed. web_0: Accelerated networking of network "
		"interface "
		"eth0 cannot be changed while instances of scale set web are not deallocated: web_0.");
	set_assert_act_fails(&f, VERB_UPGRADE, 1, FAULT_NOT_ALLOWED, "not deallocated: web_0.");
	set_do(&f, VERB_DEALLOCATE, 0);
	set_do(&f, VERB_UPGRADE, -1);
	set_assert_instances(&f, "web_0* web_1*");
}

/* With an automatic policy, all that are off take the model before the first of them runs. */
static void test_start_refreshes(void)
{
	OPEN(f);

	set_put_capacity(&f, 3);
	set_do(&f, VERB_DEALLOCATE, -1);
	set_put_accelerated(&f, true);
	EDIT(&f);
	edit->spec.upgrade = UPGRADE_ROLLING;
	g_assert_true(control_store(f.control, edit, NULL)); /* as if its put had been killed */
	model_free(edit);
	set_do(&f, VERB_START, 1);
	set_assert_instances(&f, "web_0* web_1* web_2*");
	set_assert_power(&f, "drd");
	set_do(&f, VERB_START, -1);
	set_assert_power(&f, "rrr");
}

/* Clients turn one off just now: it is waited for, so that the others can take what all must be off for. */
static void test_start_waits_for_those_on_their_way(void)
{
	OPEN(f);
	_cleanup_(control_result_clear) struct control_result result = {}, started = {};
	g_autoptr(GError) error = NULL;

	set_put_capacity(&f, 2);
	set_do(&f, VERB_DEALLOCATE, -1);
	set_put_accelerated(&f, true);
	_cleanup_(model_free) struct vm *vm = set_instance(&f, 1);
	fixture_act(&f, vm, VERB_START);
	EDIT(&f);
	edit->spec.upgrade = UPGRADE_AUTOMATIC;
	g_assert_true(control_store(f.control, edit, NULL));
	model_free(edit);
	control_vm_action(f.control, vm->meta.uid, VERB_DEALLOCATE, &set_request, &result, &error);
	g_assert_no_error(error);
	_cleanup_(model_free) struct scale_set *set = set_read(&f);
	control_scale_set_act(f.control, set->meta.uid, VERB_START, NULL, &set_request, &started, &error);
	g_assert_no_error(error);
	while (g_main_context_iteration(NULL, FALSE)) /* it has looked before the host does anything */
		;
	_cleanup_(model_free) struct operation *over = fixture_finish(&f, started.operation, true);
	g_assert_cmpint(over->status.state, ==, OPERATION_SUCCEEDED);
	set_assert_instances(&f, "web_0* web_1*");
	set_assert_power(&f, "rr");
}

/* Another controller was faster: what was counted is not true any more. */
static void test_nobody_makes_too_many(void)
{
	OPEN(f);

	set_put_capacity(&f, 1);
	_cleanup_(model_free) struct scale_set *set = set_read(&f);
	_cleanup_(model_free) struct operation *operation = operation_new(VERB_PUT, set, &set_request, false);
	int64_t stale = set->meta.revision - 1, now = set->meta.revision;
	g_assert_true(instance_make(f.control, operation, &stale, NULL));
	set_assert_instances(&f, "web_0*");
	g_assert_true(instance_make(f.control, operation, &now, NULL));
	set_assert_instances(&f, "web_0* web_1*");
	g_assert_cmpint(now, >, set->meta.revision);
}

static void test_sizes_and_acceleration(void)
{
	OPEN(f);
	struct scale_set *wanted = fixture_scale_set(&f, "web", 1);

	set_first_nic(wanted)->accelerated = true;
	struct scale_set *unfit = model_copy(wanted);
	g_free(unfit->spec.model.size);
	unfit->spec.model.size = g_strdup("Standard_B1s");
	set_assert_refused(&f, unfit, FAULT_NOT_ALLOWED,
		"which size Standard_B1s does not support; take a size that 'az vm list-skus' shows with "
		"AcceleratedNetworkingEnabled, or create the set without it");
	model_free(set_put(&f, wanted));
	struct scale_set *small = set_read(&f);
	g_free(small->spec.model.size);
	small->spec.model.size = g_strdup("Standard_B1s");
	set_assert_refused(
		&f, model_copy(small), FAULT_NOT_ALLOWED, "which size Standard_B1s does not support");
	set_assert_refused(&f, model_copy(small), FAULT_NOT_ALLOWED, "or deallocate all instances");
	set_first_nic(small)->accelerated = false;
	set_assert_refused(&f, model_copy(small), FAULT_NOT_ALLOWED, "not deallocated: web_0.");
	set_do(&f, VERB_DEALLOCATE, -1);
	model_free(set_put(&f, small));
	set_do(&f, VERB_UPGRADE, -1);
	_cleanup_(model_free) struct vm *vm = set_instance(&f, 0);
	g_assert_cmpstr(vm->spec.size, ==, "Standard_B1s");
	/* And back: size and acceleration together. */
	EDIT(&f);
	g_free(edit->spec.model.size);
	edit->spec.model.size = g_strdup("Standard_DS2_v2");
	set_first_nic(edit)->accelerated = true;
	model_free(set_put(&f, edit));
	set_do(&f, VERB_UPGRADE, -1);
	set_do(&f, VERB_START, -1);
	set_assert_instances(&f, "web_0*");
}

static void test_images_and_acceleration(void)
{
	OPEN(f);
	struct scale_set *wanted = fixture_scale_set(&f, "web", 1);

	g_free(wanted->spec.model.image);
	wanted->spec.model.image = g_strdup("plain");
	struct scale_set *accelerated = model_copy(wanted);
	set_first_nic(accelerated)->accelerated = true;
	set_assert_refused(&f, accelerated, FAULT_NOT_ALLOWED,
		"The image of scale set web does not support accelerated networking, which network interface "
		"eth0 has");
	model_free(set_put(&f, wanted));
	set_do(&f, VERB_DEALLOCATE, -1);
	EDIT(&f);
	set_first_nic(edit)->accelerated = true;
	set_assert_refused(&f, edit, FAULT_NOT_ALLOWED, "The image of scale set web does not support");
}

/* Aliases go to newer images; a set stays with its own. */
static void test_older_images(void)
{
	OPEN(f);
	g_autofree char *aliases = g_build_filename(f.dir, "aliases.json", NULL);

	set_put_capacity(&f, 1);
	g_assert_true(g_file_set_contents(aliases, "{}", -1, NULL));
	set_assert_refused(&f, fixture_scale_set(&f, "other", 1), FAULT_INVALID_REFERENCE,
		"asks for an image that this cloud does not have");
	set_put_capacity(&f, 2);
	set_assert_instances(&f, "web_0* web_1*");
}

static void test_other_changes_of_interfaces(void)
{
	OPEN(f);
	struct security_group *group = model_new(KIND_SECURITY_GROUP, "sg", f.group);

	group->meta.location = g_strdup("centralus");
	_cleanup_(model_free) struct security_group *stored = set_put(&f, group);
	set_put_capacity(&f, 1);
	EDIT(&f);
	set_first_nic(edit)->security_group = g_strdup(stored->meta.uid);
	set_first_nic(edit)->ip_forwarding = true;
	edit->spec.upgrade = UPGRADE_AUTOMATIC;
	model_free(set_put(&f, edit));
	_cleanup_(model_free) struct vm *vm = set_instance(&f, 0);
	_cleanup_(model_free) struct nic *nic = set_nic_of(&f, vm);
	g_assert_cmpstr(nic->spec.security_group, ==, stored->meta.uid);
	g_assert_true(nic->spec.ip_forwarding);
	g_assert_cmpint(vm->status.restarts_done, ==, 0);
	/* The model refers to it as well as the interfaces. */
	set_put_capacity(&f, 1); /* without the group, and manual */
	set_do(&f, VERB_UPGRADE, -1);
	g_autofree char *refs = key_refs(stored->meta.uid);
	g_assert_cmpuint(set_count_keys(&f, refs), ==, 0);
}

static void test_model_is_in_use(void)
{
	OPEN(f);
	_cleanup_(control_result_clear) struct control_result result = {};
	g_autoptr(GError) error = NULL;

	set_put_capacity(&f, 0);
	g_assert_false(control_delete(f.control, KIND_NETWORK, f.network, &set_request, &result, &error));
	g_assert_error(error, FAULT, FAULT_IN_USE);
	set_assert_words(error->message, "scale set web");
}

static void test_what_stands(void)
{
	OPEN(f);

	set_put_capacity(&f, 1);
	struct scale_set *set = set_read(&f);
	set->spec.flexible = true;
	set_assert_refused(&f, model_copy(set), FAULT_NOT_ALLOWED, "orchestration mode");
	set->spec.flexible = false;
	g_free(set->spec.model.admin_user);
	set->spec.model.admin_user = g_strdup("somebody");
	set_assert_refused(&f, set, FAULT_NOT_ALLOWED, "admin user");
	set = set_read(&f);
	g_free(set_first_nic(set)->name);
	set_first_nic(set)->name = g_strdup("eth1");
	set_assert_refused(
		&f, model_copy(set), FAULT_NOT_ALLOWED, "while it has 1 instances. Scale it to 0 first");
	set_put_capacity(&f, 0);
	set->spec.capacity = 1;
	model_free(set_put(&f, set));
	_cleanup_(model_free) struct vm *vm = set_instance(&f, 0);
	_cleanup_(model_free) struct nic *nic = set_nic_of(&f, vm);
	g_assert_cmpstr(nic->meta.name, ==, "eth1");
}

/* ---- new disks ---- */

static void assert_reimages(struct fixture *f, guint index, int64_t expected)
{
	_cleanup_(model_free) struct vm *vm = set_instance(f, index);

	g_assert_cmpint(vm->spec.reimages, ==, expected);
}

static void test_reimage(void)
{
	OPEN(f);

	set_put_capacity(&f, 3);
	set_do(&f, VERB_DEALLOCATE, 2);
	set_do(&f, VERB_REIMAGE, 1);
	assert_reimages(&f, 0, 0);
	assert_reimages(&f, 1, 1);
	set_do(&f, VERB_REIMAGE, -1);
	assert_reimages(&f, 0, 1);
	assert_reimages(&f, 1, 2);
	assert_reimages(&f, 2, 1);
	set_assert_power(&f, "rrd");
	f.failing = "web_0";
	set_assert_act_fails(&f, VERB_REIMAGE, -1, FAULT_INTERNAL, "web_0: its disk is broken");
}

static void test_other_image(void)
{
	OPEN(f);

	set_put_capacity(&f, 2);
	EDIT(&f);
	edit->spec.model.disk_gib = 64;
	model_free(set_put(&f, edit));
	set_assert_instances(&f, "web_0 web_1");
	assert_reimages(&f, 1, 0);
	set_do(&f, VERB_UPGRADE, 1);
	set_assert_instances(&f, "web_0 web_1*");
	assert_reimages(&f, 0, 0);
	assert_reimages(&f, 1, 1);
	_cleanup_(model_free) struct vm *vm = set_instance(&f, 1);
	g_assert_cmpint(vm->spec.disk_gib, ==, 64);
	/* What needs no other disk makes none. */
	set_put_size(&f, "Standard_DS4_v2");
	set_do(&f, VERB_UPGRADE, 1);
	assert_reimages(&f, 1, 1);
}

/* ---- actions ---- */

static void test_actions(void)
{
	OPEN(f);

	set_put_capacity(&f, 3);
	set_do(&f, VERB_POWER_OFF, 0);
	set_do(&f, VERB_DEALLOCATE, 1);
	set_assert_power(&f, "sdr");
	set_do(&f, VERB_RESTART, -1); /* those that run */
	set_assert_power(&f, "sdr");
	_cleanup_(model_free) struct vm *restarted = set_instance(&f, 2);
	g_assert_cmpint(restarted->status.restarts_done, ==, 1);
	set_assert_act_fails(&f, VERB_RESTART, 1, FAULT_NOT_ALLOWED, "web_1 is not running");
	set_do(&f, VERB_POWER_OFF, -1);
	set_assert_power(&f, "sds");
	set_assert_act_fails(&f, VERB_POWER_OFF, 1, FAULT_NOT_ALLOWED, "web_1 is deallocated");
	set_do(&f, VERB_START, -1);
	set_assert_power(&f, "rrr");
	set_do(&f, VERB_REMOVE, 1);
	set_assert_instances(&f, "web_0* web_2*");
	_cleanup_(model_free) struct scale_set *set = set_read(&f);
	g_assert_cmpint(set->spec.capacity, ==, 2);
	set_do(&f, VERB_DEALLOCATE, -1);
	set_assert_power(&f, "dd");
}

static void test_busy(void)
{
	OPEN(f);
	_cleanup_(control_result_clear) struct control_result result = {}, other = {};
	g_autoptr(GError) error = NULL;

	set_put_capacity(&f, 2);
	_cleanup_(model_free) struct scale_set *set = set_read(&f);
	_cleanup_(model_free) struct vm *vm = set_instance(&f, 0);
	control_scale_set_act(f.control, set->meta.uid, VERB_DEALLOCATE, NULL, &set_request, &result, &error);
	g_assert_no_error(error);
	g_assert_false(control_scale_set_act(
		f.control, set->meta.uid, VERB_START, NULL, &set_request, &other, &error));
	g_assert_error(error, FAULT, FAULT_BUSY);
	g_clear_error(&error);
	g_assert_false(
		control_vm_action(f.control, vm->meta.uid, VERB_RESTART, &set_request, &other, &error));
	g_assert_error(error, FAULT, FAULT_BUSY);
	set_assert_words(error->message, "another operation on scale set web is under way");
	g_clear_error(&error);
	g_assert_false(control_delete(f.control, KIND_VM, vm->meta.uid, &set_request, &other, &error));
	g_assert_error(error, FAULT, FAULT_BUSY);
	model_free(fixture_finish(&f, result.operation, true));
	fixture_act(&f, vm, VERB_START);
	set_assert_power(&f, "rd");
}

static void test_deletion(void)
{
	OPEN(f);
	_cleanup_(control_result_clear) struct control_result result = {};
	g_autoptr(GError) error = NULL;
	unsigned pools = set_count_keys(&f, "/sluice/pool/"), refs = set_count_keys(&f, "/sluice/ref/");

	set_put_capacity(&f, 3);
	_cleanup_(model_free) struct scale_set *set = set_read(&f);
	g_assert_true(
		control_delete(f.control, KIND_SCALE_SET, set->meta.uid, &set_request, &result, &error));
	_cleanup_(model_free) struct operation *over = fixture_finish(&f, result.operation, true);
	g_assert_cmpint(over->status.state, ==, OPERATION_SUCCEEDED);
	g_assert_cmpuint(set_count_keys(&f, "/sluice/object/scale-set/"), ==, 0);
	g_assert_cmpuint(set_count_keys(&f, "/sluice/object/vm/"), ==, 0);
	g_assert_cmpuint(set_count_keys(&f, "/sluice/pool/"), ==, pools);
	g_assert_cmpuint(set_count_keys(&f, "/sluice/ref/"), ==, refs);
}

static void test_deletion_overtakes(void)
{
	OPEN(f);
	_cleanup_(control_result_clear) struct control_result begun = {}, result = {};
	_cleanup_(model_free) struct scale_set *wanted = fixture_scale_set(&f, "web", 2);

	g_assert_true(control_put(f.control, wanted, &set_request, &begun, NULL));
	g_assert_true(control_delete(f.control, KIND_GROUP, f.group, &set_request, &result, NULL));
	_cleanup_(model_free) struct operation *over = fixture_finish(&f, result.operation, true),
					       *put_over = fixture_finish(&f, begun.operation, true);
	g_assert_cmpint(over->status.state, ==, OPERATION_SUCCEEDED);
	g_assert_cmpint(put_over->status.state, ==, OPERATION_FAILED);
	g_assert_cmpuint(set_count_keys(&f, "/sluice/object/vm/"), ==, 0);
	g_assert_cmpuint(set_count_keys(&f, "/sluice/object/nic/"), ==, 0);
}

/* ---- placement ---- */

static void assert_spread(struct fixture *f, guint n)
{
	g_autoptr(GPtrArray) vms = set_instances(f);
	g_autoptr(GHashTable) hosts = g_hash_table_new(g_str_hash, g_str_equal);

	for (guint i = 0; i < vms->len; i++)
		g_hash_table_add(hosts, ((struct vm *)vms->pdata[i])->status.host);
	g_assert_cmpuint(g_hash_table_size(hosts), ==, n);
}

static void test_spreading(void)
{
	OPEN(f);
	int64_t domain;

	fixture_add_host(&f);
	struct scale_set *wanted = fixture_scale_set(&f, "web", 2);
	model_free(set_put(&f, wanted));
	assert_spread(&f, 2);
	_cleanup_(model_free) struct vm *vm = set_instance(&f, 0);
	g_assert_false(control_fault_domain(f.control, vm, &domain));
	set_put_capacity(&f, 0);
	_cleanup_(control_result_clear) struct control_result result = {};
	_cleanup_(model_free) struct scale_set *set = set_read(&f);
	g_assert_true(control_delete(f.control, KIND_SCALE_SET, set->meta.uid, &set_request, &result, NULL));
	model_free(fixture_finish(&f, result.operation, true));
	wanted = fixture_scale_set(&f, "web", 2);
	wanted->spec.fault_domains = 2;
	model_free(set_put(&f, wanted));
	assert_spread(&f, 2);
	_cleanup_(model_free) struct vm *first = set_instance(&f, 0), *second = set_instance(&f, 1);
	int64_t other;
	g_assert_true(control_fault_domain(f.control, first, &domain));
	g_assert_true(control_fault_domain(f.control, second, &other));
	g_assert_cmpint(domain + other, ==, 1);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(name, fn) g_test_add_func("/scale-set/" name, fn)
	ADD("there are as many instances as its capacity says, and the youngest go first", test_capacity);
	ADD("a large one leaves turns to others", test_large_set);
	ADD("the oldest go first where its rule says so", test_scale_in);
	ADD("instances and their interfaces are inside of it", test_instances_are_inside);
	ADD("flexible instances are in the group, and are what the model says",
		test_flexible_instances_are_in_the_group);
	ADD("each instance has a public address where the model says so", test_public_addresses);
	ADD("instances that no host can hold fail by name, and are tried again", test_what_cannot_be_made);
	ADD("an instance that cannot be made leaves nothing", test_pool_of_addresses_is_empty);
	ADD("with a manual policy instances take a model when they are told", test_manual_upgrade);
	ADD("with an automatic policy instances take a model at once", test_automatic_upgrade);
	ADD("acceleration changes while all instances are deallocated", test_acceleration);
	ADD("an instance does not take acceleration while another one is on",
		test_acceleration_waits_for_all);
	ADD("what is started takes the model before", test_start_refreshes);
	ADD("a start waits for instances that are on their way off", test_start_waits_for_those_on_their_way);
	ADD("one that was counted by an old list is not made", test_nobody_makes_too_many);
	ADD("size and acceleration fit", test_sizes_and_acceleration);
	ADD("image and acceleration fit", test_images_and_acceleration);
	ADD("a set whose image has no alias any more goes on with it", test_older_images);
	ADD("interfaces take groups without a restart", test_other_changes_of_interfaces);
	ADD("what the model names is in use", test_model_is_in_use);
	ADD("what instances cannot take stands while there are any", test_what_stands);
	ADD("instances get new disks where they are told to", test_reimage);
	ADD("instances take another image or disk size by a new disk", test_other_image);
	ADD("actions reach those instances that they name", test_actions);
	ADD("one operation at a time, and clients leave its instances alone", test_busy);
	ADD("a deleted one leaves nothing", test_deletion);
	ADD("the deletion of a group overtakes it", test_deletion_overtakes);
	ADD("its instances are spread over hosts and fault domains", test_spreading);
	return g_test_run();
}
