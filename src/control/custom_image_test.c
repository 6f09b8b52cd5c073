/* Images of users' own: of what they are made, and what machines may have by them. */
#include "base/fault.h"
#include "control/fixture.h"

#include <glib/gstdio.h>
#include <string.h>

#define TAG "sluice-accelerated-networking"

/* As `sluice image import` leaves it, as far as the controller looks. */
static void add_stored(const struct fixture *f, const char *id)
{
	g_autofree char *folder = g_build_filename(f->dir, id, NULL),
			*path = g_build_filename(folder, "manifest.json", NULL);

	g_assert_cmpint(g_mkdir(folder, 0700), ==, 0);
	g_assert_true(g_file_set_contents(path, "{}", -1, NULL));
}

static struct custom_image *new_image(const struct fixture *f, const char *of, const char *tag)
{
	struct custom_image *image = model_new(KIND_CUSTOM_IMAGE, "mine", f->group);

	image->meta.location = g_strdup("centralus");
	image->spec.image = g_strdup(of);
	image->meta.tags = tag ? json_pack("{s:s}", TAG, tag) : NULL;
	return image;
}

static void assert_refused(struct fixture *f, void *object, enum fault code, const char *words)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(fixture_put(f, object, &error));
	g_assert_error(error, FAULT, (int)code);
	if (!strstr(error->message, words))
		g_error("'%s' is not in: %s", words, error->message);
}

static struct vm *vm_of(const struct fixture *f, const struct custom_image *image, const struct nic *nic)
{
	struct vm *vm = fixture_vm(f, "vm", "Standard_DS2_v2", nic);

	g_free(vm->spec.image);
	vm->spec.image = g_strdup(image->spec.image);
	vm->spec.custom_image = g_strdup(image->meta.uid);
	return vm;
}

static void test_sources(void)
{
	OPEN(f);
	add_stored(&f, "imported");
	static const char *const absent[] = {
		"nosuch", "", "..", "../imported", "imported/../imported", "img"};

	for (size_t i = 0; i < G_N_ELEMENTS(absent); i++)
		assert_refused(&f, new_image(&f, absent[i], NULL), FAULT_INVALID_REFERENCE,
			"image store does not have");
	model_free(fixture_must_put(&f, new_image(&f, "imported", NULL)));
	add_stored(&f, "other");
	assert_refused(&f, new_image(&f, "other", NULL), FAULT_NOT_ALLOWED, "was made of imported");
	model_free(fixture_must_put(&f, new_image(&f, "imported", "true")));
}

static void test_tag(void)
{
	OPEN(f);
	add_stored(&f, "imported");

	assert_refused(&f, new_image(&f, "imported", "yes"), FAULT_INVALID, "'yes'");
	model_free(fixture_must_put(&f, new_image(&f, "imported", "false")));
	model_free(fixture_must_put(&f, new_image(&f, "imported", "true")));
}

static void test_support(void)
{
	OPEN(f);
	add_stored(&f, "imported");
	static const char refusal[] =
		"The image of virtual machine vm does not support accelerated networking, which network "
		"interface nic has; if guests of image mine do, declare it by the image's tag " TAG "=true";
	_cleanup_(model_free) struct custom_image *image =
		fixture_must_put(&f, new_image(&f, "imported", NULL));
	_cleanup_(model_free) struct nic *nic = fixture_must_put(&f, fixture_nic(&f, "nic", true));

	assert_refused(&f, vm_of(&f, image, nic), FAULT_NOT_ALLOWED, refusal);
	model_free(fixture_must_put(&f, new_image(&f, "imported", "false")));
	assert_refused(&f, vm_of(&f, image, nic), FAULT_NOT_ALLOWED, refusal);
	model_free(fixture_must_put(&f, fixture_nic(&f, "nic", false)));
	_cleanup_(model_free) struct vm *vm = fixture_must_put(&f, vm_of(&f, image, nic));
	fixture_act(&f, vm, VERB_DEALLOCATE);
	assert_refused(&f, fixture_nic(&f, "nic", true), FAULT_NOT_ALLOWED, refusal);
	model_free(fixture_must_put(&f, new_image(&f, "imported", "true")));
	model_free(fixture_must_put(&f, fixture_nic(&f, "nic", true)));
	model_free(fixture_must_put(&f, new_image(&f, "imported", "false")));
	fixture_act(&f, vm, VERB_START);
}

static void test_sets(void)
{
	OPEN(f);
	add_stored(&f, "imported");
	_cleanup_(model_free) struct custom_image *image =
		fixture_must_put(&f, new_image(&f, "imported", NULL));
	_cleanup_(model_free) struct scale_set *set = fixture_scale_set(&f, "web", 1);
	struct set_nic *nic = set->spec.model.nics->pdata[0];

	g_free(set->spec.model.image);
	set->spec.model.image = g_strdup("imported");
	set->spec.model.custom_image = g_strdup(image->meta.uid);
	nic->accelerated = true;
	assert_refused(&f, model_copy(set), FAULT_NOT_ALLOWED, "The image of scale set web does not support");
	model_free(fixture_must_put(&f, new_image(&f, "imported", "true")));
	model_free(fixture_must_put(&f, model_copy(set)));
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) vms = control_list(f.control, KIND_VM, NULL, &error);
	for (guint i = 0; i < vms->len; i++) {
		const struct vm *vm = vms->pdata[i];
		g_assert_cmpstr(vm->spec.custom_image, ==, image->meta.uid);
	}
}

static void test_places(void)
{
	OPEN(f);
	add_stored(&f, "imported");
	struct custom_image *far = new_image(&f, "imported", "true");

	g_free(far->meta.location);
	far->meta.location = g_strdup("westus");
	_cleanup_(model_free) struct custom_image *image = fixture_must_put(&f, far);
	_cleanup_(model_free) struct nic *nic = fixture_must_put(&f, fixture_nic(&f, "nic", true));
	assert_refused(&f, vm_of(&f, image, nic), FAULT_INVALID_REFERENCE, "both must be in one location");
}

static void delete_image(struct fixture *f, const struct custom_image *image)
{
	_cleanup_(control_result_clear) struct control_result result = {};
	const struct control_request request = {.principal = "test"};
	g_autoptr(GError) error = NULL;

	control_delete(f->control, KIND_CUSTOM_IMAGE, image->meta.uid, &request, &result, &error);
	g_assert_no_error(error);
}

static void test_deleted(void)
{
	OPEN(f);
	add_stored(&f, "imported");
	_cleanup_(model_free) struct custom_image *image =
		fixture_must_put(&f, new_image(&f, "imported", NULL));
	_cleanup_(model_free) struct nic *nic = fixture_must_put(&f, fixture_nic(&f, "nic", false));
	_cleanup_(model_free) struct vm *vm = fixture_must_put(&f, vm_of(&f, image, nic));

	delete_image(&f, image);
	fixture_act(&f, vm, VERB_DEALLOCATE);
	fixture_act(&f, vm, VERB_START);
	fixture_act(&f, vm, VERB_DEALLOCATE);
	model_free(fixture_must_put(&f, fixture_nic(&f, "nic", true)));
	struct vm *another = vm_of(&f, image, nic);
	g_free(another->meta.name);
	another->meta.name = g_strdup("another");
	assert_refused(&f, another, FAULT_INVALID_REFERENCE, "refers to a custom image that does not exist");
}

#define ADD(name, fn) g_test_add_func("/custom image/" name, fn)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("it is made of what was imported, for good", test_sources);
	ADD("its tag is true or false", test_tag);
	ADD("machines are accelerated when it declares that they can be", test_support);
	ADD("so are those of scale sets", test_sets);
	ADD("it serves machines of its location", test_places);
	ADD("what was made from it stays when it is deleted", test_deleted);
	return g_test_run();
}
