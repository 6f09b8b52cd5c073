/* A size that its operator has taken out of the catalog, and machines that have it. */
#include "base/fault.h"
#include "control/fixture.h"

#include <glib/gstdio.h>
#include <string.h>

#define GONE "Standard_DS4_v2"
#define LEFT "Standard_B1s"

static const struct control_request request = {.principal = "test"};

static const char catalog[] =
	"[{\"name\":\"Standard_B1s\",\"family\":\"f\",\"vcpus\":1,\"memory_mib\":1024,\"max_nics\":2}]";

/* Opens the control plane with a catalog that has the size no more. */
static bool reopen(struct fixture *f, GError **error)
{
	g_autofree char *path = g_build_filename(f->dir, "less.json", NULL);
	g_autofree char *aliases = g_build_filename(f->dir, "aliases.json", NULL);
	g_autoptr(GPtrArray) locations = strings_new();
	const struct control_config config = {
		.store = f->store,
		.sizes_path = path,
		.aliases_path = aliases,
		.locations = locations,
		.public_prefix = "203.0.113.0/28",
		.cpu_allocation_ratio = 16,
		.ram_allocation_ratio = 5,
	};

	g_ptr_array_add(locations, g_strdup("centralus"));
	g_assert_true(g_file_set_contents(path, catalog, -1, NULL));
	control_close(f->control);
	f->control = control_open(&config, error);
	g_assert_cmpint(g_remove(path), ==, 0);
	return f->control != NULL;
}

static struct vm *new_vm(struct fixture *f, const char *name)
{
	_cleanup_(model_free) struct nic *nic = fixture_must_put(f, fixture_nic(f, name, false));

	return fixture_must_put(f, fixture_vm(f, name, GONE, nic));
}

static void test_running(void)
{
	OPEN(f);
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct vm *vm = new_vm(&f, "vm");

	g_assert_false(reopen(&f, &error));
	g_assert_error(error, FAULT, FAULT_INVALID);
	g_test_message("%s", error->message);
	g_assert_nonnull(strstr(error->message, "size " GONE " is not in the catalog"));
	g_assert_nonnull(strstr(error->message, "virtual machine vm of resource group rg has it"));
}

static void test_deallocated(void)
{
	OPEN(f);
	g_autoptr(GError) error = NULL;
	_cleanup_(control_result_clear) struct control_result result = {};
	_cleanup_(model_free) struct vm *first = new_vm(&f, "first"), *second = new_vm(&f, "second");

	fixture_act(&f, first, VERB_DEALLOCATE);
	fixture_act(&f, second, VERB_DEALLOCATE);
	reopen(&f, &error);
	g_assert_no_error(error);
	fixture_obey(&f);
	/* It is not started as what nobody knows, and its host goes on with all else. */
	g_assert_false(control_vm_action(f.control, second->meta.uid, VERB_START, &request, &result, &error));
	g_assert_error(error, FAULT, FAULT_INVALID);
	g_assert_nonnull(strstr(error->message, "resize it first"));
	_cleanup_(model_free) struct nic *nic = fixture_must_put(&f, fixture_nic(&f, "other", false));
	_cleanup_(model_free) struct vm *other = fixture_must_put(&f, fixture_vm(&f, "other", LEFT, nic));
	g_assert_cmpint(other->status.power, ==, POWER_STATE_RUNNING);
	fixture_delete(&f, KIND_VM, first->meta.uid);
	_cleanup_(model_free) struct vm *resized = model_copy(second);
	g_free(resized->spec.size);
	resized->spec.size = g_strdup(LEFT);
	model_free(fixture_must_put(&f, g_steal_pointer(&resized)));
	fixture_act(&f, second, VERB_START);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func(
		"/gone-size/the controller does not start while a machine holds what it says", test_running);
	g_test_add_func("/gone-size/a deallocated machine is resized or deleted as ever", test_deallocated);
	return g_test_run();
}
