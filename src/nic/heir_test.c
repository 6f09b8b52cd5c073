/* A host whose provider is another one than before. */
#include "nic/heir.h"

#include "base/fault.h"
#include "base/test_tree.h"
#include "nic/function_pool.h"
#include "nic/sriov_ledger.h"

#include <string.h>

struct fixture {
	struct tree *now, *former; /* folders of the two fakes */
};

static void setup(struct fixture *f, gconstpointer data)
{
	f->now = tree_new();
	f->former = tree_new();
}

static void teardown(struct fixture *f, gconstpointer data)
{
	tree_free(f->now);
	tree_free(f->former);
}

static const struct nic_request request = {
	.nic = "a", .physical = "physnet1", .mac = {{2, 0, 0, 0, 0, 1}}, .vlan = 100};

/* One VF is claimed and armed by the former provider. */
static struct nic_provider *open_former(const struct fixture *f)
{
	struct nic_provider *former = nic_fake_open_bypass(f->former->root, 2, NULL, NULL, NULL);
	g_autofree char *name = NULL;

	g_assert_true(former->ops->claim(former, &request, &name, NULL));
	g_assert_true(former->ops->arm(former, request.nic, NULL));
	return former;
}

/* How many functions it lists. */
static guint n_of(struct nic_provider *provider)
{
	g_autoptr(GPtrArray) list = provider->ops->list(provider);

	return list->len;
}

static void test_taken_back(struct fixture *f, gconstpointer data)
{
	_cleanup_(nic_provider_close) struct nic_provider *heir =
		nic_heir_open(nic_fake_open(f->now->root, 2, NULL), open_former(f));
	const struct nic_request other = {.nic = "b"};
	g_autofree char *name = NULL;
	g_autoptr(GError) error = NULL;

	g_assert_cmpstr(heir->caps->name, ==, "fake");
	g_autoptr(GPtrArray) list = heir->ops->list(heir);
	g_assert_cmpuint(list->len, ==, 1);
	g_assert_cmpstr(((struct nic_function *)list->pdata[0])->nic, ==, "a");
	g_autoptr(GPtrArray) survey = heir->ops->survey(heir);
	g_assert_cmpuint(survey->len, ==, 2);
	g_assert_cmpint(((struct nic_device *)survey->pdata[0])->use, ==, NIC_USE_ARMED);
	g_assert_true(heir->ops->claim(heir, &other, &name, &error));
	g_assert_cmpstr(name, ==, "sl-f0");
	g_assert_true(heir->ops->arm(heir, "b", &error));
	g_assert_cmpuint(n_of(heir), ==, 2);
	g_assert_true(heir->ops->cut(heir, "b", &error));
	g_assert_true(heir->ops->cut(heir, "a", &error));
	g_assert_false(heir->ops->cut(heir, "c", &error));
	g_assert_error(error, FAULT, FAULT_NOT_FOUND);
	g_clear_error(&error);
	/* It has a MAC still: the fake would not release it. */
	g_assert_true(heir->ops->left(heir, "a", &error));
	g_assert_true(heir->ops->release(heir, "a", &error));
	g_assert_cmpuint(n_of(heir), ==, 1);
	g_assert_true(heir->ops->left(heir, "b", &error));
	g_assert_true(heir->ops->release(heir, "b", &error));
	g_assert_no_error(error);
	g_assert_cmpuint(n_of(heir), ==, 0);
}

static void test_none(struct fixture *f, gconstpointer data)
{
	_cleanup_(nic_provider_close) struct nic_provider *heir = nic_heir_open(NULL, open_former(f));
	g_autofree char *name = NULL;
	g_autoptr(GError) error = NULL;

	g_assert_false(heir->ops->claim(heir, &request, &name, &error));
	g_assert_error(error, FAULT, FAULT_POOL_FULL);
	g_clear_error(&error);
	g_assert_true(heir->ops->left(heir, "a", &error));
	g_assert_true(heir->ops->release(heir, "a", &error));
	g_assert_true(heir->ops->hear(heir, NULL, 0, &error));
	g_assert_cmpuint(n_of(heir), ==, 0);
}

/* ---- ledgers that are left ---- */

static struct nic_provider *former_of(const struct fixture *f, enum nic_former kind, GError **error)
{
	g_autofree char *path = g_build_filename(f->former->root, "ledger.json", NULL);
	struct nic_provider *provider = NULL;

	g_assert_true(nic_former_open(kind, path, &provider, error) == !(error && *error));
	return provider;
}

static void write_vfs(const struct fixture *f, const char *kind, bool claimed)
{
	g_autofree char *path = g_build_filename(f->former->root, "ledger.json", NULL);
	_cleanup_(sriov_ledger_free) struct sriov_ledger *ledger = sriov_ledger_load(path, NULL);
	struct sriov_claim *claim = g_new0(struct sriov_claim, 1);

	g_free(ledger->kind);
	ledger->kind = g_strdup(kind);
	g_ptr_array_set_size(ledger->claims, 0);
	*claim = (struct sriov_claim){.pf = g_strdup("0000:03:00.0"),
		.vf = g_strdup("0000:03:10.0"),
		.nic = g_strdup("a"),
		.physical = g_strdup("physnet1"),
		.step = SRIOV_LEFT};
	g_ptr_array_add(ledger->claims, claim);
	if (!claimed)
		g_ptr_array_set_size(ledger->claims, 0);
	g_assert_true(sriov_ledger_save(ledger, NULL));
}

static void test_nothing_left(struct fixture *f, gconstpointer data)
{
	g_assert_null(former_of(f, NIC_FORMER_VFS, NULL));
	g_assert_null(former_of(f, NIC_FORMER_EMULATED, NULL));
	write_vfs(f, "sriov", false);
	g_assert_null(former_of(f, NIC_FORMER_VFS, NULL));
}

/* By the ledger it is known who made them; older ones do not say. The VF itself is gone with its PF here. */
static void test_vfs_left(struct fixture *f, gconstpointer data)
{
	static const char *const kinds[] = {"sriov", NULL};

	for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
		g_autoptr(GError) error = NULL;
		write_vfs(f, kinds[i], true);
		_cleanup_(nic_provider_close) struct nic_provider *former =
			former_of(f, NIC_FORMER_VFS, &error);
		g_assert_no_error(error);
		g_assert_cmpstr(former->caps->name, ==, "sriov");
		g_autoptr(GPtrArray) survey = former->ops->survey(former);
		g_assert_cmpuint(survey->len, ==, 1);
		g_assert_cmpint(((struct nic_device *)survey->pdata[0])->use, ==, NIC_USE_LOST);
		g_assert_true(former->ops->left(former, "a", &error));
		g_assert_true(former->ops->release(former, "a", &error));
		g_assert_no_error(error);
		g_assert_cmpuint(n_of(former), ==, 0);
	}
}

static void test_damaged(struct fixture *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	tree_write(f->former, "{", "ledger.json");
	g_assert_null(former_of(f, NIC_FORMER_VFS, &error));
	g_assert_error(error, FAULT, FAULT_INTERNAL);
	g_assert_nonnull(strstr(error->message, "is damaged"));
}

static void test_place(struct fixture *f, gconstpointer data)
{
	g_autofree char *path = g_build_filename(f->former->root, "ledger.json", NULL);

	g_assert_null(function_pool_place(path));
	tree_write(f->former, "{\"place\": \"there\", \"functions\": []}", "ledger.json");
	g_autofree char *place = function_pool_place(path);
	g_assert_cmpstr(place, ==, "there");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define TEST(name, function) g_test_add("/heir/" name, struct fixture, NULL, setup, function, teardown)
	TEST("what the former provider gave is shown and taken back, and the present one gives",
		test_taken_back);
	TEST("a host that gives none takes back all the same", test_none);
	TEST("a ledger that is not there, or empty, is nobody's", test_nothing_left);
	TEST("VFs that are claimed in a ledger are taken back by who made them", test_vfs_left);
	TEST("a damaged ledger is told, not passed over", test_damaged);
	TEST("a ledger says where its devices are", test_place);
	return g_test_run();
}
