/* Paths and patterns. */
#include "api/route.h"

static void assert_match(const char *pattern, const char *path, const char *expected)
{
	g_auto(GStrv) segments = path_split(path);
	g_autoptr(GHashTable) params = NULL;

	g_assert_nonnull(segments);
	g_assert_cmpint(path_match(pattern, segments, &params), ==, expected != NULL);
	g_assert_cmpint(params != NULL, ==, expected != NULL);
	if (expected && *expected)
		g_assert_cmpstr(g_hash_table_lookup(params, "name"), ==, expected);
}

static void test_fixed(void)
{
	assert_match("/a/b", "/a/b", "");
	assert_match("/a/b", "/a", NULL);
	assert_match("/a/b", "/a/b/c", NULL);
	assert_match("/a/b", "/a/bb", NULL);
	assert_match("/", "/", "");
	assert_match("/", "/a", NULL);
}

static void test_case(void)
{
	assert_match("/resourceGroups/{name}", "/resourcegroups/myGroup", "myGroup");
	assert_match("/RESOURCEGROUPS/{name}", "/resourceGroups/MYGROUP", "MYGROUP");
}

static void test_slashes(void)
{
	assert_match("/a/{name}", "//a///b/", "b");
	assert_match("/a/{name}", "/a/", NULL);
}

static void test_decoding(void)
{
	assert_match("/a/{name}", "/a/x%20y", "x y");
	assert_match("/a/{name}", "/a/%24x", "$x");
	g_assert_null(path_split("/a/x%2Fy"));
	g_assert_null(path_split("/a/%00"));
	g_assert_null(path_split("/a/%zz"));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/route/a pattern fits a path segment for segment", test_fixed);
	g_test_add_func("/route/fixed words fit without case and names keep theirs", test_case);
	g_test_add_func("/route/doubled and trailing slashes do not count", test_slashes);
	g_test_add_func("/route/segments are decoded and cannot hide a slash", test_decoding);
	return g_test_run();
}
