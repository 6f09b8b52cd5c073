/* What guests say that they are: what is kept of it, and what follows from an old kernel. */
#include "base/fault.h"
#include "control/fixture.h"

#include <string.h>

static const struct guest_os old_guest = {.kernel = (char *)"4.4.0-31-generic",
	.id = (char *)"ubuntu",
	.version = (char *)"16.04",
	.agent = (char *)"0.1"};
static const struct guest_os new_guest = {.kernel = (char *)"4.15.0-1113-azure",
	.id = (char *)"ubuntu",
	.version = (char *)"16.04",
	.agent = (char *)"0.1"};

static struct vm *new_vm(struct fixture *f, bool accelerated)
{
	_cleanup_(model_free) struct nic *nic = fixture_must_put(f, fixture_nic(f, "nic", accelerated));

	return fixture_must_put(f, fixture_vm(f, "vm", "Standard_DS2_v2", nic));
}

static struct vm *read_vm(struct fixture *f, const struct vm *vm)
{
	g_autoptr(GError) error = NULL;
	struct vm *now = control_get(f->control, KIND_VM, vm->meta.uid, &error);

	g_assert_no_error(error);
	return now;
}

/* The host reports the VM's only interface, and what all guests say. */
static struct nic *report(
	struct fixture *f, const struct vm *vm, const struct guest_os *guest, const char *reason)
{
	struct report_nic *entry = shape_new(&report_nic_shape);
	g_autoptr(GError) error = NULL;

	f->guest = *guest;
	entry->uid = g_strdup(((const struct vm_nic_ref *)vm->spec.nics->pdata[0])->nic);
	entry->path = PATH_EMULATED;
	entry->enforcement = ENFORCEMENT_SWITCH;
	entry->reason = g_strdup(reason);
	entry->driver = g_strdup("e1000e");
	g_clear_pointer(&f->report->nics, g_ptr_array_unref);
	f->report->nics = shape_list_new(&report_nic_shape);
	g_ptr_array_add(f->report->nics, entry);
	fixture_obey(f);
	struct nic *nic = control_get(f->control, KIND_NIC, entry->uid, &error);
	g_assert_no_error(error);
	return nic;
}

static void hear(struct fixture *f, const struct vm *vm, const struct guest_os *guest)
{
	model_free(report(f, vm, guest, NULL));
}

static void test_kept(void)
{
	OPEN(f);
	_cleanup_(model_free) struct vm *vm = new_vm(&f, false);
	g_assert_null(vm->status.guest.kernel);
	hear(&f, vm, &old_guest);
	_cleanup_(model_free) struct vm *heard = read_vm(&f, vm);
	g_assert_true(heard->status.guest_heard);
	g_assert_true(shape_equal(&guest_os_shape, &heard->status.guest, &old_guest));
	hear(&f, vm, &(struct guest_os){});
	_cleanup_(model_free) struct vm *silent = read_vm(&f, vm);
	g_assert_false(silent->status.guest_heard);
	g_assert_true(shape_equal(&guest_os_shape, &silent->status.guest, &old_guest));
	hear(&f, vm, &silent->status.guest);
	_cleanup_(model_free) struct vm *same = read_vm(&f, vm);
	g_assert_true(same->status.guest_heard);
	int64_t revision = same->meta.revision;
	hear(&f, vm, &old_guest);
	_cleanup_(model_free) struct vm *unchanged = read_vm(&f, vm);
	g_assert_cmpint(unchanged->meta.revision, ==, revision);
}

static void test_unsound(void)
{
	OPEN(f);
	_cleanup_(model_free) struct vm *vm = new_vm(&f, false);
	g_autofree char *longer = g_strnfill(GUEST_WORD_MAX + 1, 'x');

	hear(&f, vm, &new_guest);
	hear(&f, vm, &(struct guest_os){.kernel = longer});
	_cleanup_(model_free) struct vm *now = read_vm(&f, vm);
	g_assert_false(now->status.guest_heard);
	g_assert_cmpstr(now->status.guest.kernel, ==, new_guest.kernel);
}

static void assert_reason(const struct nic *nic, const char *begins, const char *has)
{
	g_assert_nonnull(nic->status.reason);
	g_assert_true(g_str_has_prefix(nic->status.reason, begins));
	g_assert_nonnull(strstr(nic->status.reason, has));
}

static void test_said(void)
{
	OPEN(f);
	_cleanup_(model_free) struct vm *vm = new_vm(&f, true);
	_cleanup_(model_free) struct nic *old = report(&f, vm, &old_guest, NULL);
	assert_reason(old, "Its guest runs kernel 4.4.0-31-generic, older than 4.11.0-1013", "linux-azure");
	g_assert_cmpstr(old->status.driver, ==, "e1000e");
	_cleanup_(model_free) struct nic *both = report(&f, vm, &old_guest, "It waits.");
	assert_reason(both, "It waits. Its guest runs kernel", "Ubuntu 16.04");
	_cleanup_(model_free) struct nic *silent = report(&f, vm, &(struct guest_os){}, NULL);
	assert_reason(silent, "Its guest runs kernel", "4.4.0-31");
	_cleanup_(model_free) struct nic *fresh = report(&f, vm, &new_guest, NULL);
	g_assert_null(fresh->status.reason);
	fixture_act(&f, vm, VERB_DEALLOCATE);
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct nic *off = control_get(f.control, KIND_NIC, fresh->meta.uid, &error);
	g_assert_null(off->status.driver);
}

static void test_plain_interfaces(void)
{
	OPEN(f);
	_cleanup_(model_free) struct vm *vm = new_vm(&f, false);
	_cleanup_(model_free) struct nic *nic = report(&f, vm, &old_guest, NULL);

	g_assert_null(nic->status.reason);
}

static void assert_refused(struct fixture *f, void *object)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(fixture_put(f, object, &error));
	g_assert_error(error, FAULT, FAULT_NOT_ALLOWED);
	g_assert_true(g_str_has_prefix(error->message, "The guest of virtual machine vm ran kernel "
						       "4.4.0-31-generic when it was heard last, older than "
						       "4.11.0-1013"));
}

static void test_turned_on(void)
{
	OPEN(f);
	_cleanup_(model_free) struct vm *vm = new_vm(&f, false);

	hear(&f, vm, &old_guest);
	f.guest = (struct guest_os){};
	fixture_act(&f, vm, VERB_DEALLOCATE);
	assert_refused(&f, fixture_nic(&f, "nic", true));
	fixture_act(&f, vm, VERB_START);
	hear(&f, vm, &new_guest);
	fixture_act(&f, vm, VERB_DEALLOCATE);
	_cleanup_(model_free) struct nic *nic = fixture_must_put(&f, fixture_nic(&f, "nic", true));
	g_assert_true(nic->spec.accelerated);
}

/* One that is accelerated already is not held up: it has to run to get a newer kernel. */
static void test_attached(void)
{
	OPEN(f);
	_cleanup_(model_free) struct vm *vm = new_vm(&f, true);
	_cleanup_(model_free) struct nic *second = fixture_must_put(&f, fixture_nic(&f, "second", true));

	hear(&f, vm, &old_guest);
	fixture_act(&f, vm, VERB_DEALLOCATE);
	fixture_act(&f, vm, VERB_START);
	fixture_act(&f, vm, VERB_DEALLOCATE);
	_cleanup_(model_free) struct vm *more = read_vm(&f, vm);
	struct vm_nic_ref *ref = shape_new(&vm_nic_ref_shape);
	ref->nic = g_strdup(second->meta.uid);
	g_ptr_array_add(more->spec.nics, ref);
	((struct vm_nic_ref *)more->spec.nics->pdata[0])->primary = true;
	assert_refused(&f, model_copy(more));
	model_free(fixture_must_put(&f, fixture_nic(&f, "second", false)));
	_cleanup_(model_free) struct vm *done = fixture_must_put(&f, model_copy(more));
	g_assert_cmpuint(done->spec.nics->len, ==, 2);
}

static void test_new_disk(void)
{
	OPEN(f);
	_cleanup_(model_free) struct vm *vm = new_vm(&f, false);

	hear(&f, vm, &old_guest);
	f.guest = (struct guest_os){};
	fixture_act(&f, vm, VERB_REIMAGE);
	_cleanup_(model_free) struct vm *fresh = read_vm(&f, vm);
	g_assert_null(fresh->status.guest.kernel);
	fixture_act(&f, vm, VERB_DEALLOCATE);
	model_free(fixture_must_put(&f, fixture_nic(&f, "nic", true)));
}

#define ADD(name, fn) g_test_add_func("/guest/" name, fn)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("what a guest says is kept, also when it falls silent", test_kept);
	ADD("words that no guest should say are not kept", test_unsound);
	ADD("of an accelerated interface an old kernel is said, with what to do", test_said);
	ADD("of a plain one it is not", test_plain_interfaces);
	ADD("acceleration is turned on once the guest says that its kernel is new enough", test_turned_on);
	ADD("an accelerated interface is attached only to what has no old kernel", test_attached);
	ADD("a new disk is of a guest that has said nothing yet", test_new_disk);
	return g_test_run();
}
