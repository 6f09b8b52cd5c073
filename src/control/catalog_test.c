/* The catalog of sizes that is shipped, and what a catalog may not say. */
#include "base/fault.h"
#include "control/control.h"

#include <glib/gstdio.h>
#include <string.h>

static struct control *open_with(struct store *store, const char *sizes, GError **error)
{
	g_autoptr(GPtrArray) locations = strings_new();
	const struct control_config config = {
		.store = store,
		.sizes_path = sizes,
		.locations = locations,
		.public_prefix = "203.0.113.0/28",
	};

	g_ptr_array_add(locations, g_strdup("centralus"));
	return control_open(&config, error);
}

enum support { NONE, ENOUGH_VCPUS, IGNORED };

/* What the documents on accelerated networking and on InfiniBand say of each series. */
static const struct series {
	const char *family;
	enum support support;
	bool hyperthreaded;
	unsigned sizes, rdma; /* how many */
} series[] = {
	{"standardDv2Family", ENOUGH_VCPUS, false, 10, 0},
	{"standardDSv2Family", ENOUGH_VCPUS, false, 10, 0},
	{"standardFFamily", ENOUGH_VCPUS, false, 5, 0},
	{"standardFSFamily", ENOUGH_VCPUS, false, 5, 0},
	{"standardDv3Family", ENOUGH_VCPUS, true, 7, 0},
	{"standardDSv3Family", ENOUGH_VCPUS, true, 7, 0},
	{"standardEv3Family", ENOUGH_VCPUS, true, 8, 0},
	{"standardESv3Family", ENOUGH_VCPUS, true, 8, 0},
	{"standardFSv2Family", ENOUGH_VCPUS, true, 8, 0},
	{"standardMSFamily", ENOUGH_VCPUS, true, 10, 0},
	{"standardAv2Family", NONE, false, 4, 0},
	{"standardBSFamily", NONE, false, 5, 0},
	{"standardHFamily", NONE, false, 6, 2},
	{"standardHBSFamily", ENOUGH_VCPUS, false, 1, 1},
	{"standardHBrsv2Family", ENOUGH_VCPUS, false, 1, 1},
	{"standardHCSFamily", ENOUGH_VCPUS, false, 1, 1},
	{"standardNCFamily", IGNORED, false, 4, 1},
	{"standardNCSv2Family", IGNORED, false, 4, 1},
	{"standardNCSv3Family", IGNORED, false, 4, 1},
	{"standardNVFamily", IGNORED, false, 3, 0},
	{"standardNDSFamily", NONE, false, 4, 1},
	{"standardNDSv2Family", ENOUGH_VCPUS, false, 1, 1},
};

static void check_size(const struct series *of, const struct size *size)
{
	int64_t least = of->hyperthreaded ? 4 : 2;
	/* "HB60rs": the letters behind the number have an r. */
	bool r = g_regex_match_simple("^Standard_[A-Z]+[0-9]+[a-z]*r", size->name, 0, 0);

	g_test_message("%s", size->name);
	g_assert_cmpint(size->hyperthreaded, ==, of->hyperthreaded);
	g_assert_cmpint(size->accelerated, ==, of->support == ENOUGH_VCPUS && size->vcpus >= least);
	g_assert_cmpint(size->accelerated_ignored, ==, of->support == IGNORED);
	g_assert_cmpint(size->rdma, ==, r);
	g_assert_cmpint(size->max_nics, <=, 8);
	/* What can be accelerated has a rate that is worth it. */
	g_assert_true(!size->accelerated || size->bandwidth_mbps >= 875);
}

static void test_series(void)
{
	struct store *store = store_memory_open();
	g_autoptr(GError) error = NULL;
	_cleanup_(control_close) struct control *control = open_with(store, SIZES_PATH, &error);
	g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	unsigned sum = 0;

	g_assert_no_error(error);
	const GPtrArray *sizes = control_sizes(control);
	for (guint i = 0; i < sizes->len; i++)
		g_assert_true(g_hash_table_add(
			names, g_ascii_strdown(((const struct size *)sizes->pdata[i])->name, -1)));
	for (size_t s = 0; s < G_N_ELEMENTS(series); s++) {
		unsigned n = 0, rdma = 0;
		for (guint i = 0; i < sizes->len; i++) {
			const struct size *size = sizes->pdata[i];
			if (!g_str_equal(size->family, series[s].family))
				continue;
			check_size(&series[s], size);
			n++;
			rdma += size->rdma;
		}
		g_assert_cmpuint(n, ==, series[s].sizes);
		g_assert_cmpuint(rdma, ==, series[s].rdma);
		sum += n;
	}
	g_assert_cmpuint(sum, ==, sizes->len);
	g_clear_pointer(&control, control_close);
	store_close(store);
}

static void test_bad_catalogs(void)
{
	static const struct {
		const char *size, *words;
	} cases[] = {
		{"\"vcpus\": 1, \"accelerated\": true", "cannot be accelerated: it takes 2 vCPUs"},
		{"\"vcpus\": 2, \"hyperthreaded\": true, \"accelerated\": true", "it takes 4 vCPUs"},
		{"\"vcpus\": 4, \"accelerated\": true, \"accelerated_ignored\": true", "not both"},
		{"\"vcpus\": 0", "needs a name, vcpus"},
		{"\"vcpus\": 1, \"bandwidth_mbps\": -1", "bandwidth_mbps is a number up to"},
	};
	g_autofree char *dir = g_dir_make_tmp("sluice-catalog-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(dir, "sizes.json", NULL);
	struct store *store = store_memory_open();

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;
		g_autofree char *text = g_strdup_printf(
			"[{\"name\": \"s\", \"family\": \"f\", \"memory_mib\": 1024, \"max_nics\": 1, %s}]",
			cases[i].size);
		g_assert_true(g_file_set_contents(path, text, -1, NULL));
		g_assert_null(open_with(store, path, &error));
		g_assert_error(error, FAULT, FAULT_INVALID);
		if (!strstr(error->message, cases[i].words))
			g_error("'%s' is not in: %s", cases[i].words, error->message);
	}
	g_unlink(path);
	g_rmdir(dir);
	store_close(store);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/catalog/each series has what Azure's documents say", test_series);
	g_test_add_func("/catalog/a size that contradicts the rules is refused", test_bad_catalogs);
	return g_test_run();
}
