/* What may change of a VM that is there: its size, with what follows from it, and its NICs. */
#include "base/fault.h"
#include "control/fixture.h"

#include <string.h>

static const struct control_request request = {.principal = "test"};

/* ---- what tests do ---- */

static struct vm *read_vm(struct fixture *f, const struct vm *vm)
{
	g_autoptr(GError) error = NULL;
	struct vm *now = control_get(f->control, KIND_VM, vm->meta.uid, &error);

	g_assert_no_error(error);
	return now;
}

/* Nothing of the VM changed. Takes the object. */
static void assert_refused(struct fixture *f, struct vm *wanted, enum fault fault, const char *words)
{
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct vm *before = read_vm(f, wanted);

	g_assert_null(fixture_put(f, wanted, &error));
	g_assert_error(error, FAULT, (int)fault);
	if (!strstr(error->message, words))
		g_error("'%s' is not in: %s", words, error->message);
	_cleanup_(model_free) struct vm *after = read_vm(f, before);
	g_assert_true(shape_equal(kind_info(KIND_VM)->shape, before, after));
}

static struct vm *new_vm(struct fixture *f, const char *size, bool accelerated)
{
	_cleanup_(model_free) struct nic *nic = fixture_must_put(f, fixture_nic(f, "nic", accelerated));

	return fixture_must_put(f, fixture_vm(f, "vm", size, nic));
}

static struct vm *resized(struct fixture *f, const struct vm *vm, const char *size)
{
	struct vm *wanted = read_vm(f, vm);

	g_free(wanted->spec.size);
	wanted->spec.size = g_strdup(size);
	return wanted;
}

/* What its host is told of the only VM. */
static void assert_told(
	struct fixture *f, int64_t vcpus, int64_t memory_mib, int64_t bandwidth_mbps, int64_t restarts)
{
	g_autoptr(GError) error = NULL;
	_cleanup_(goal_free) struct goal *goal = control_goal(f->control, "host-1", &error);

	g_assert_no_error(error);
	g_assert_cmpuint(goal->vms->len, ==, 1);
	const struct goal_vm *vm = goal->vms->pdata[0];
	g_assert_cmpint(vm->vcpus, ==, vcpus);
	g_assert_cmpint(vm->memory_mib, ==, memory_mib);
	g_assert_cmpint(vm->restarts, ==, restarts);
	for (guint i = 0; i < goal->nics->len; i++)
		g_assert_cmpint(
			((struct goal_nic *)goal->nics->pdata[i])->bandwidth_mbps, ==, bandwidth_mbps);
}

/* ---- size ---- */

static void test_running_vm_restarts(void)
{
	OPEN(f);
	_cleanup_(model_free) struct vm *vm = new_vm(&f, "Standard_DS4_v2", true);

	assert_told(&f, 8, 28672, 6000, 0);
	_cleanup_(model_free) struct vm *small = fixture_must_put(&f, resized(&f, vm, "standard_ds2_V2"));
	g_assert_cmpstr(small->spec.size, ==, "Standard_DS2_v2");
	g_assert_cmpstr(small->status.host, ==, vm->status.host);
	g_assert_cmpint(small->status.power, ==, POWER_STATE_RUNNING);
	assert_told(&f, 2, 7168, 1500, 1);
	/* The same size in other letters is no change. */
	model_free(fixture_must_put(&f, resized(&f, vm, "STANDARD_DS2_v2")));
	assert_told(&f, 2, 7168, 1500, 1);
}

static void test_deallocated_vm_does_not_start(void)
{
	OPEN(f);
	_cleanup_(model_free) struct vm *vm = new_vm(&f, "Standard_DS2_v2", true);

	fixture_act(&f, vm, VERB_DEALLOCATE);
	_cleanup_(model_free) struct vm *big = fixture_must_put(&f, resized(&f, vm, "Standard_DS4_v2"));
	g_assert_cmpint(big->status.power, ==, POWER_STATE_DEALLOCATED);
	assert_told(&f, 8, 28672, 6000, 0);
	fixture_act(&f, vm, VERB_START);
	assert_told(&f, 8, 28672, 6000, 0);
}

/* The host reports it off although it is wanted on. */
static void power_itself_off(struct fixture *f)
{
	g_autoptr(GError) error = NULL;

	fixture_obey(f);
	((struct report_vm *)f->report->vms->pdata[0])->power = POWER_STATE_STOPPED;
	g_assert_true(control_report(f->control, f->report->host, f->report, &error));
}

static void test_guest_that_is_off_stays_off(void)
{
	OPEN(f);
	_cleanup_(model_free) struct vm *vm = new_vm(&f, "Standard_DS2_v2", true);
	_cleanup_(control_result_clear) struct control_result result = {};
	g_autoptr(GError) error = NULL;

	power_itself_off(&f);
	_cleanup_(model_free) struct vm *wanted = resized(&f, vm, "Standard_DS4_v2");
	g_assert_true(control_put(f.control, wanted, &request, &result, &error));
	power_itself_off(&f);
	_cleanup_(model_free) struct operation *over = fixture_finish(&f, result.operation, false);
	g_assert_cmpint(over->status.state, ==, OPERATION_SUCCEEDED);
	assert_told(&f, 8, 28672, 6000, 0);
	fixture_act(&f, vm, VERB_START);
	assert_told(&f, 8, 28672, 6000, 1);
}

static void test_acceleration_wants_its_sizes(void)
{
	OPEN(f);
	_cleanup_(model_free) struct vm *vm = new_vm(&f, "Standard_DS2_v2", true);

	assert_refused(&f, resized(&f, vm, "Standard_B1s"), FAULT_NOT_ALLOWED,
		"nic has accelerated networking, which size Standard_B1s of virtual machine vm does not "
		"support; take a size that 'az vm list-skus' shows with AcceleratedNetworkingEnabled, or "
		"turn it off on the interface");
	assert_refused(&f, resized(&f, vm, "Standard_X9"), FAULT_INVALID, "no size of this cloud");
	fixture_act(&f, vm, VERB_DEALLOCATE);
	model_free(fixture_must_put(&f, fixture_nic(&f, "nic", false)));
	_cleanup_(model_free) struct vm *small = fixture_must_put(&f, resized(&f, vm, "Standard_B1s"));
	g_assert_cmpstr(small->spec.size, ==, "Standard_B1s");
	g_autoptr(GError) error = NULL;
	g_assert_null(fixture_put(&f, fixture_nic(&f, "nic", true), &error));
	g_assert_error(error, FAULT, FAULT_NOT_ALLOWED);
}

static struct vm *of_plain_image(struct fixture *f, const struct nic *nic)
{
	struct vm *vm = fixture_vm(f, "vm", "Standard_DS2_v2", nic);

	g_free(vm->spec.image);
	vm->spec.image = g_strdup("plain");
	return vm;
}

/* Takes the object. */
static void assert_unsupported(struct fixture *f, void *object)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(fixture_put(f, object, &error));
	g_assert_error(error, FAULT, FAULT_NOT_ALLOWED);
	g_assert_true(g_str_has_prefix(error->message,
		"The image of virtual machine vm does not support accelerated "
		"networking, which network interface nic has"));
}

static void test_acceleration_wants_its_images(void)
{
	OPEN(f);
	_cleanup_(model_free) struct nic *nic = fixture_must_put(&f, fixture_nic(&f, "nic", true));

	assert_unsupported(&f, of_plain_image(&f, nic));
	model_free(fixture_must_put(&f, fixture_nic(&f, "nic", false)));
	_cleanup_(model_free) struct vm *vm = fixture_must_put(&f, of_plain_image(&f, nic));
	fixture_act(&f, vm, VERB_DEALLOCATE);
	assert_unsupported(&f, fixture_nic(&f, "nic", true));
}

/* Aliases go to newer images; machines stay with theirs, of which then nothing is said. */
static void test_older_images(void)
{
	OPEN(f);
	_cleanup_(model_free) struct vm *vm = new_vm(&f, "Standard_DS2_v2", false);
	g_autofree char *aliases = g_build_filename(f.dir, "aliases.json", NULL);

	fixture_act(&f, vm, VERB_DEALLOCATE);
	g_assert_true(g_file_set_contents(aliases, "{}", -1, NULL));
	model_free(fixture_must_put(&f, fixture_nic(&f, "nic", true)));
	_cleanup_(model_free) struct vm *large = fixture_must_put(&f, resized(&f, vm, "Standard_DS4_v2"));
	g_assert_cmpstr(large->spec.size, ==, "Standard_DS4_v2");
}

/* The host says of its NICs what it was asked for; of the others nothing. */
static void report_nics(struct fixture *f)
{
	g_autoptr(GError) error = NULL;
	_cleanup_(goal_free) struct goal *goal = control_goal(f->control, "host-1", &error);

	fixture_obey(f);
	g_clear_pointer(&f->report->nics, g_ptr_array_unref);
	f->report->nics = shape_list_new(&report_nic_shape);
	for (guint i = 0; i < goal->nics->len; i++) {
		const struct goal_nic *nic = goal->nics->pdata[i];
		struct report_nic *entry = shape_new(&report_nic_shape);
		entry->uid = g_strdup(nic->uid);
		entry->path = nic->accelerated ? PATH_EMULATED : PATH_SYNTHETIC;
		entry->enforcement = ENFORCEMENT_SWITCH;
		g_ptr_array_add(f->report->nics, entry);
	}
	g_assert_true(control_report(f->control, "host-1", f->report, &error));
}

static void test_ignored_acceleration_is_said(void)
{
	OPEN(f);
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct vm *vm = new_vm(&f, "Standard_DS2_v2", true);
	const char *nic_uid = ((struct vm_nic_ref *)vm->spec.nics->pdata[0])->nic;

	report_nics(&f);
	_cleanup_(model_free) struct nic *fast = control_get(f.control, KIND_NIC, nic_uid, &error);
	g_assert_cmpint(fast->status.path, ==, PATH_EMULATED);
	g_assert_null(fast->status.reason);
	model_free(fixture_must_put(&f, resized(&f, vm, "Standard_NC6")));
	report_nics(&f);
	_cleanup_(model_free) struct nic *slow = control_get(f.control, KIND_NIC, nic_uid, &error);
	g_assert_true(slow->spec.accelerated);
	g_assert_cmpint(slow->status.path, ==, PATH_SYNTHETIC);
	g_assert_nonnull(slow->status.reason);
	g_assert_nonnull(strstr(slow->status.reason, "Standard_NC6 accepts accelerated networking, but"));
}

static void test_host_without_room(void)
{
	OPEN(f);
	_cleanup_(model_free) struct vm *vm = new_vm(&f, "Standard_DS2_v2", true);
	static const char words[] =
		"The host that has the disk of virtual machine vm cannot hold it in size Standard_Huge. "
		"Host host-1: RamFilter: 4194304 MiB are needed, 0 of 122880 MiB are in use (24576 MiB of "
		"memory, "
		"ram_allocation_ratio 5). There is no other host. Take a smaller size, or make room";

	assert_refused(&f, resized(&f, vm, "Standard_Huge"), FAULT_NOT_ALLOWED, "does not support");
	fixture_act(&f, vm, VERB_DEALLOCATE);
	model_free(fixture_must_put(&f, fixture_nic(&f, "nic", false)));
	assert_refused(&f, resized(&f, vm, "Standard_Huge"), FAULT_ALLOCATION, words);
	fixture_act(&f, vm, VERB_START);
	assert_refused(&f, resized(&f, vm, "Standard_Huge"), FAULT_ALLOCATION, words);
	assert_told(&f, 2, 7168, 1500, 0);
}

/* What speaks against each host is said, and which one could. */
static void test_other_host_with_room(void)
{
	static const char
		at_home[] = "The host that has the disk of virtual machine vm cannot hold it in size "
			    "Standard_DS4_v2. Host host-1: RamFilter: 28672 MiB are needed, 0 of ",
		could[] = " Host host-2 can: 'sluice vm migrate vm --to host-2' moves its disk there; then",
		neither[] = " No other host can. Host host-2: RamFilter: 28672 MiB are needed, ";
	OPEN(f);
	_cleanup_(model_free) struct vm *vm = new_vm(&f, "Standard_DS2_v2", false);

	fixture_add_host(&f);
	f.report->memory_mib = 4096;
	fixture_obey(&f);
	assert_refused(&f, resized(&f, vm, "Standard_DS4_v2"), FAULT_ALLOCATION, at_home);
	assert_refused(&f, resized(&f, vm, "Standard_DS4_v2"), FAULT_ALLOCATION,
		" Host host-2 can: 'sluice vm migrate vm --to host-2' moves it there; then");
	fixture_act(&f, vm, VERB_DEALLOCATE);
	assert_refused(&f, resized(&f, vm, "Standard_DS4_v2"), FAULT_ALLOCATION, could);
	f.second->memory_mib = 1024;
	fixture_obey(&f);
	assert_refused(&f, resized(&f, vm, "Standard_DS4_v2"), FAULT_ALLOCATION, neither);
}

/* 32 vCPUs are there: it cannot hold both sizes at once, and need not. The same of memory that is free now. */
static void test_own_room_counts(void)
{
	OPEN(f);
	_cleanup_(model_free) struct vm *vm = new_vm(&f, "Standard_DS4_v2", false);

	f.report->available_mib = 100;
	fixture_obey(&f);
	model_free(fixture_must_put(&f, resized(&f, vm, "Standard_D5_v2")));
	assert_told(&f, 30, 57344, 12000, 1);
	_cleanup_(model_free) struct nic *nic = fixture_must_put(&f, fixture_nic(&f, "nic-2", false));
	f.report->available_mib = 20 * 1024;
	fixture_obey(&f);
	_cleanup_(model_free) struct vm *second =
		fixture_must_put(&f, fixture_vm(&f, "vm-2", "Standard_DS2_v2", nic));
	assert_refused(&f, resized(&f, second, "Standard_DS4_v2"), FAULT_ALLOCATION,
		"CoreFilter: 8 vCPUs are needed, 30 of 32");
}

/* A VM that no host could hold gets one with the size that fits. */
static void test_unplaced_vm_is_placed(void)
{
	OPEN(f);
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct nic *nic = fixture_must_put(&f, fixture_nic(&f, "nic", false));
	_cleanup_(model_free) struct vm *huge = fixture_vm(&f, "vm", "Standard_Huge", nic);
	_cleanup_(control_result_clear) struct control_result result = {};

	g_assert_true(control_put(f.control, huge, &request, &result, &error));
	_cleanup_(model_free) struct operation *over = fixture_finish(&f, result.operation, true);
	g_assert_cmpstr(over->status.fault, ==, "allocation");
	struct vm *wanted = resized(&f, result.object, "Standard_B1s");
	wanted->spec.disk_gib = 64; /* it has no disk yet */
	_cleanup_(model_free) struct vm *small = fixture_must_put(&f, wanted);
	g_assert_cmpint(small->status.power, ==, POWER_STATE_RUNNING);
	assert_told(&f, 1, 1024, 0, 0);
}

/* ---- NICs ---- */

/* The VM with those NICs, the one at `primary` primary. */
static struct vm *with_nics(struct fixture *f, const struct vm *vm, struct nic *const *nics, guint primary)
{
	struct vm *wanted = read_vm(f, vm);

	g_ptr_array_set_size(wanted->spec.nics, 0);
	for (guint i = 0; nics[i]; i++) {
		struct vm_nic_ref *ref = shape_new(&vm_nic_ref_shape);
		ref->nic = g_strdup(nics[i]->meta.uid);
		ref->primary = i == primary;
		g_ptr_array_add(wanted->spec.nics, ref);
	}
	return wanted;
}

/* "name, name*" of the goal's NICs in their order; an accelerated one in capitals, the primary one with a star. */
static void assert_nics(struct fixture *f, const char *expected)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GString) text = g_string_new(NULL);
	_cleanup_(goal_free) struct goal *goal = control_goal(f->control, "host-1", &error);

	for (guint i = 0; i < goal->nics->len; i++) {
		const struct goal_nic *nic = goal->nics->pdata[i];
		g_autofree char *name = nic->accelerated ? g_ascii_strup(nic->name, -1) : g_strdup(nic->name);
		g_string_append_printf(text, "%s%s%s", i ? ", " : "", name, nic->primary ? "*" : "");
	}
	g_assert_cmpstr(text->str, ==, expected);
}

static void test_several_nics(void)
{
	OPEN(f);
	_cleanup_(model_free) struct nic *a = fixture_must_put(&f, fixture_nic(&f, "a", true)),
					 *b = fixture_must_put(&f, fixture_nic(&f, "b", false)),
					 *c = fixture_must_put(&f, fixture_nic(&f, "c", true));
	struct nic *const three[] = {c, b, a, NULL}, *const two[] = {c, a, NULL}, *const one[] = {b, NULL},
			  *const twice[] = {a, a, NULL};
	_cleanup_(model_free) struct vm *vm =
		fixture_must_put(&f, fixture_vm(&f, "vm", "Standard_DS4_v2", a));

	assert_nics(&f, "A*");
	assert_refused(&f, with_nics(&f, vm, three, 1), FAULT_NOT_ALLOWED, "deallocate it first");
	fixture_act(&f, vm, VERB_DEALLOCATE);
	assert_refused(&f, with_nics(&f, vm, twice, 0), FAULT_INVALID, "twice");
	model_free(fixture_must_put(&f, with_nics(&f, vm, three, 1)));
	fixture_act(&f, vm, VERB_START);
	assert_nics(&f, "C, b*, A");
	assert_refused(&f, with_nics(&f, vm, three, 0), FAULT_NOT_ALLOWED, "deallocate it first");
	assert_refused(&f, resized(&f, vm, "Standard_DS2_v2"), FAULT_INVALID,
		"has 3 network interfaces; size Standard_DS2_v2 takes 2 at most");
	fixture_act(&f, vm, VERB_DEALLOCATE);
	model_free(fixture_must_put(&f, with_nics(&f, vm, two, 1)));
	model_free(fixture_must_put(&f, resized(&f, vm, "Standard_DS2_v2")));
	fixture_act(&f, vm, VERB_START);
	assert_nics(&f, "C, A*");
	_cleanup_(model_free) struct nic *gone = control_get(f.control, KIND_NIC, b->meta.uid, NULL);
	g_assert_null(gone->status.vm);
	fixture_act(&f, vm, VERB_DEALLOCATE);
	model_free(fixture_must_put(&f, with_nics(&f, vm, one, 0)));
	fixture_act(&f, vm, VERB_START);
	assert_nics(&f, "b*");
}

static void test_nic_has_one_vm(void)
{
	OPEN(f);
	_cleanup_(model_free) struct nic *a = fixture_must_put(&f, fixture_nic(&f, "a", false)),
					 *b = fixture_must_put(&f, fixture_nic(&f, "b", false));
	struct nic *const both[] = {a, b, NULL};
	_cleanup_(model_free) struct vm *first = fixture_must_put(
						&f, fixture_vm(&f, "first", "Standard_DS2_v2", a)),
					*second = fixture_must_put(
						&f, fixture_vm(&f, "second", "Standard_DS2_v2", b));

	g_assert_nonnull(second);
	fixture_act(&f, first, VERB_DEALLOCATE);
	assert_refused(&f, with_nics(&f, first, both, 0), FAULT_IN_USE,
		"attached to virtual machine second already");
}

/* ---- names ---- */

static struct vm *with_names(struct vm *vm, const char *user, const char *computer)
{
	g_free(vm->spec.admin_user);
	vm->spec.admin_user = g_strdup(user);
	g_free(vm->spec.computer_name);
	vm->spec.computer_name = g_strdup(computer);
	return vm;
}

static void test_names_in_the_guest(void)
{
	static const struct {
		const char *user, *computer, *words; /* words NULL: good */
	} rows[] = {
		{"azureuser\n", "web", "no admin user name"},
		{"root\n", "web", "no admin user name"},
		{"root", "web", "is not allowed"},
		{"azureuser", "", "no computer name"},
		{"azureuser", "web\n", "no computer name"},
		{"azureuser", "web_1", "no computer name"},
		{"azureuser", "-web", "no computer name"},
		{"azureuser", "web.", "no computer name"},
		{"azureuser", "a23456789-b23456789-c23456789-d23456789-e23456789-f23456789-g234",
			"no computer name"},
		{"azureuser", "a23456789-b23456789-c23456789-d23456789-e23456789-f23456789-g23", NULL},
		{"azure-user_1", "Web-1.example", NULL},
		{"azureuser", NULL, NULL},
	};
	OPEN(f);
	_cleanup_(model_free) struct nic *nic = fixture_must_put(&f, fixture_nic(&f, "nic", false));

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(GError) error = NULL;
		_cleanup_(model_free) struct vm *vm = fixture_put(&f,
			with_names(fixture_vm(&f, "web_vm", "Standard_B1s", nic), rows[i].user,
				rows[i].computer),
			&error);
		g_assert_cmpint(!vm, ==, rows[i].words != NULL);
		if (rows[i].words && !strstr(error->message, rows[i].words))
			g_error("'%s' is not in: %s", rows[i].words, error->message);
		if (!vm)
			continue;
		g_assert_cmpstr(vm->spec.computer_name, ==, rows[i].computer ? rows[i].computer : "web_vm");
		/* What it has is put back. */
		model_free(fixture_must_put(&f, read_vm(&f, vm)));
		fixture_delete(&f, KIND_VM, vm->meta.uid);
	}
}

/* ---- disks ---- */

static struct vm *with_disk(struct vm *vm, int64_t gib)
{
	vm->spec.disk_gib = gib;
	return vm;
}

static void test_disk_keeps_its_size(void)
{
	OPEN(f);
	_cleanup_(model_free) struct nic *nic = fixture_must_put(&f, fixture_nic(&f, "nic", false));
	_cleanup_(model_free) struct vm *vm =
		fixture_must_put(&f, with_disk(fixture_vm(&f, "vm", "Standard_DS2_v2", nic), 64));

	assert_refused(&f, with_disk(read_vm(&f, vm), 65), FAULT_NOT_ALLOWED,
		"the disk of virtual machine vm keeps the size that it was made with");
	fixture_act(&f, vm, VERB_DEALLOCATE);
	assert_refused(&f, with_disk(read_vm(&f, vm), 1), FAULT_NOT_ALLOWED, "keeps the size");
	model_free(fixture_must_put(&f, with_disk(read_vm(&f, vm), 64)));
}

/* As az 2.74 and 2.45 send it at a resize, by their transcripts. */
static void test_disk_of_the_image(void)
{
	OPEN(f);
	_cleanup_(model_free) struct vm *vm = new_vm(&f, "Standard_DS2_v2", false);
	_cleanup_(model_free) struct vm *same = fixture_must_put(&f, with_disk(read_vm(&f, vm), 30));

	g_assert_cmpint(same->spec.disk_gib, ==, 0);
}

/* ---- the same again ---- */

/* It fails by what its host says, and is under way again by what that has said before. */
static struct operation *fail_and_repeat(struct fixture *f, struct operation *(*command)(struct fixture *f))
{
	f->failing = "vm";
	_cleanup_(model_free) struct operation *first = command(f);
	_cleanup_(model_free) struct operation *failed = fixture_finish(f, first, true);
	g_assert_cmpstr(failed->status.message, ==, "its disk is broken");
	f->failing = NULL;
	struct operation *again = command(f);
	while (g_main_context_iteration(NULL, FALSE))
		;
	_cleanup_(model_free) struct operation *now =
		control_get(f->control, KIND_OPERATION, again->meta.uid, NULL);
	g_assert_cmpint(now->status.state, ==, OPERATION_RUNNING);
	return again;
}

static void assert_repeats(struct fixture *f, struct operation *(*command)(struct fixture *f))
{
	_cleanup_(model_free) struct operation *again = fail_and_repeat(f, command);
	_cleanup_(model_free) struct operation *over = fixture_finish(f, again, true);

	g_assert_cmpint(over->status.state, ==, OPERATION_SUCCEEDED);
}

static struct vm *find_vm(struct fixture *f)
{
	g_autoptr(GError) error = NULL;
	struct vm *vm = control_find(f->control, KIND_VM, f->group, "vm", &error);

	g_assert_no_error(error);
	return vm;
}

static struct operation *put_same(struct fixture *f)
{
	_cleanup_(model_free) struct vm *vm = find_vm(f);
	_cleanup_(control_result_clear) struct control_result result = {};
	g_autoptr(GError) error = NULL;

	control_put(f->control, vm, &request, &result, &error);
	g_assert_no_error(error);
	return g_steal_pointer(&result.operation);
}

static struct operation *start_it(struct fixture *f)
{
	_cleanup_(model_free) struct vm *vm = find_vm(f);
	_cleanup_(control_result_clear) struct control_result result = {};
	g_autoptr(GError) error = NULL;

	control_vm_action(f->control, vm->meta.uid, VERB_START, &request, &result, &error);
	g_assert_no_error(error);
	return g_steal_pointer(&result.operation);
}

/* The first start takes the room before any watch or host has told of it. */
static void test_starts_at_once(void)
{
	OPEN(f);
	_cleanup_(model_free) struct vm *first = new_vm(&f, "Standard_DS2_v2", false);
	_cleanup_(model_free) struct nic *nic = fixture_must_put(&f, fixture_nic(&f, "nic-2", false));
	_cleanup_(model_free) struct vm *second =
		fixture_must_put(&f, fixture_vm(&f, "vm-2", "Standard_DS2_v2", nic));
	_cleanup_(control_result_clear) struct control_result result = {}, none = {};
	g_autoptr(GError) error = NULL;

	fixture_act(&f, first, VERB_DEALLOCATE);
	fixture_act(&f, second, VERB_DEALLOCATE);
	f.report->memory_mib = 2048; /* of which five times as much is given */
	fixture_obey(&f);
	g_assert_true(control_vm_action(f.control, first->meta.uid, VERB_START, &request, &result, &error));
	g_assert_no_error(error);
	g_assert_false(control_vm_action(f.control, second->meta.uid, VERB_START, &request, &none, &error));
	g_assert_error(error, FAULT, FAULT_ALLOCATION);
	g_assert_nonnull(strstr(error->message, "7168 of 10240 MiB are in use"));
}

static void test_repeated_command(void)
{
	OPEN(f);
	_cleanup_(model_free) struct vm *vm = new_vm(&f, "Standard_DS2_v2", false);

	g_assert_nonnull(vm);
	assert_repeats(&f, put_same);
	assert_repeats(&f, start_it);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define TEST(text, fn) g_test_add_func("/vm-change/" text, fn)
	TEST("a VM that runs is restarted with its new size, where it is", test_running_vm_restarts);
	TEST("a deallocated VM has its new size when it starts", test_deallocated_vm_does_not_start);
	TEST("a VM whose guest turned it off is resized and stays off", test_guest_that_is_off_stays_off);
	TEST("an accelerated VM takes only sizes that support it", test_acceleration_wants_its_sizes);
	TEST("only images that support it are accelerated", test_acceleration_wants_its_images);
	TEST("a VM of an image that has no alias any more is changed as before", test_older_images);
	TEST("a NIC says that its size ignores acceleration", test_ignored_acceleration_is_said);
	TEST("a size that the host cannot hold changes nothing", test_host_without_room);
	TEST("a size that the disk's host cannot hold names hosts that could, and what to do",
		test_other_host_with_room);
	TEST("what a VM has on its host is room for its new size", test_own_room_counts);
	TEST("a VM that no host could hold is placed with a smaller size", test_unplaced_vm_is_placed);
	TEST("NICs keep their order, one is primary, plain and accelerated ones mix", test_several_nics);
	TEST("a NIC is in one VM at a time", test_nic_has_one_vm);
	TEST("names of users and computers are what a guest takes", test_names_in_the_guest);
	TEST("the disk of a VM keeps its size", test_disk_keeps_its_size);
	TEST("a disk made without a size is the image's, whatever is sent back", test_disk_of_the_image);
	TEST("of two that are started at once, one has the room that is left", test_starts_at_once);
	TEST("a command that is repeated waits for what its host says of it then", test_repeated_command);
	return g_test_run();
}
