/* The order of lists. */
#include "cli/order.h"

#include <glib.h>

static void assert_order(const char *array, const char *const *members, const char *expected)
{
	json_t *json = json_loads(array, 0, NULL);

	g_assert_nonnull(json);
	order_by(json, members);
	char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
	g_assert_cmpstr(text, ==, expected);
	free(text);
	json_decref(json);
}

static void test_texts(void)
{
	static const char *const members[] = {"group", "name", NULL};

	assert_order("[{\"group\":\"b\",\"name\":\"a\"},{\"group\":\"a\",\"name\":\"vm10\"},"
		     "{\"group\":\"A\",\"name\":\"VM2\"},{\"group\":\"a\",\"name\":\"vm2\"}]",
		members,
		"[{\"group\":\"A\",\"name\":\"VM2\"},{\"group\":\"a\",\"name\":\"vm2\"},"
		"{\"group\":\"a\",\"name\":\"vm10\"},{\"group\":\"b\",\"name\":\"a\"}]");
	assert_order("[]", members, "[]");
}

static void test_missing(void)
{
	static const char *const members[] = {"?nic", "pf", "index", NULL};

	assert_order("[{\"nic\":null,\"pf\":\"a\",\"index\":0},{\"nic\":\"y\",\"pf\":null},"
		     "{\"nic\":\"x\",\"pf\":\"b\",\"index\":1},{\"nic\":\"z\",\"pf\":\"a\",\"index\":10},"
		     "{\"nic\":\"n\",\"pf\":\"a\",\"index\":2},{\"pf\":\"a\",\"index\":1},{\"nic\":\"m\"}]",
		members,
		"[{\"index\":2,\"nic\":\"n\",\"pf\":\"a\"},{\"index\":10,\"nic\":\"z\",\"pf\":\"a\"},"
		"{\"index\":1,\"nic\":\"x\",\"pf\":\"b\"},{\"nic\":\"y\",\"pf\":null},{\"nic\":\"m\"},"
		"{\"index\":0,\"nic\":null,\"pf\":\"a\"},{\"index\":1,\"pf\":\"a\"}]");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/order/names go without case, and numbers in them by size", test_texts);
	g_test_add_func("/order/what is missing is last, and what is alike keeps its order", test_missing);
	return g_test_run();
}
