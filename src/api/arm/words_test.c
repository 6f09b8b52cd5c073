/* Ids, filters and the reading of bodies. */
#include "api/arm/arm_priv.h"
#include "api/arm/filter.h"

#include <string.h>

/* ---- ids ---- */

#define RG "/subscriptions/s/resourceGroups/g"

static void test_id_parse(void)
{
	static const struct {
		const char *text, *canonical;
	} cases[] = {
		{"/SUBSCRIPTIONS/s/resourcegroups/g", RG},
		{RG "/providers/Microsoft.Network//virtualNetworks/n/",
			RG "/providers/Microsoft.Network/virtualNetworks/n"},
		{RG "/Providers/N/t/a/c/b", RG "/providers/N/t/a/c/b"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		_cleanup_(arm_id_clear) struct arm_id id = {};
		g_autoptr(GError) error = NULL;
		g_assert_true(arm_id_parse(cases[i].text, &id, &error));
		g_autofree char *text = arm_id_format(&id);
		g_assert_cmpstr(text, ==, cases[i].canonical);
	}
}

static void test_id_bad(void)
{
	static const char *const bad[] = {"", "/", "x", "subscriptions/s/resourceGroups/g",
		"/subscriptions/s", RG "/providers/N", RG "/providers/N/t", RG "/providers/N/t/a/c",
		RG "/providers/N/t/a/c/b/d/e", RG "/providers/N/t/a%2Fb", RG "/suppliers/N/t/a"};

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		_cleanup_(arm_id_clear) struct arm_id id = {};
		g_autoptr(GError) error = NULL;
		g_assert_false(arm_id_parse(bad[i], &id, &error));
		g_assert_error(error, ARM_FAULT, ARM_INVALID_CONTENT);
	}
}

static void test_id_make(void)
{
	_cleanup_(arm_id_clear) struct arm_id id = {}, wrong = {};
	g_autoptr(GError) error = NULL;

	g_assert_true(arm_id_make("s", "g", "N/t/c", "a/b", &id, &error));
	g_autofree char *text = arm_id_format(&id), *type = arm_id_type(&id);
	g_assert_cmpstr(text, ==, RG "/providers/N/t/a/c/b");
	g_assert_cmpstr(type, ==, "N/t/c");
	g_assert_false(arm_id_make("s", "g", "N/t/c", "a", &wrong, &error));
	g_assert_error(error, ARM_FAULT, ARM_INVALID_TYPE);
	g_clear_error(&error);
	g_assert_false(arm_id_make("s", "g", "N/a/b/c/d", "1/2/3/4", &wrong, &error));
	g_assert_error(error, ARM_FAULT, ARM_INVALID_TYPE);
}

/* ---- cursors ---- */

static void test_cursor(void)
{
	json_auto_t *json = json_pack("{s:s, s:i, s:n, s:{s:[{s:s}, {s:i}]}, s:s, s:s}", "a", "text", "b", 7,
		"c", "d", "list", "x", "one", "x", 2, "t", "TRUE", "n", "-12");
	GError *error = NULL;
	struct cursor root = cursor_root(json, &error), d = cursor_object(&root, "D"),
		      list = cursor_array(&d, "list");
	g_autofree char *number = cursor_dup(&root, "b");

	g_assert_cmpstr(cursor_string(&root, "a"), ==, "text");
	g_assert_cmpstr(number, ==, "7");
	g_assert_null(cursor_string(&root, "c"));
	g_assert_cmpint(cursor_int(&root, "n", 0), ==, -12);
	g_assert_cmpint(cursor_int(&root, "absent", 5), ==, 5);
	g_assert_true(cursor_bool(&root, "t", false));
	g_assert_cmpint(cursor_length(&list), ==, 2);
	g_assert_no_error(error);
	struct cursor item = cursor_item(&list, 1);
	g_assert_null(cursor_string(&item, "x"));
	g_assert_error(error, ARM_FAULT, ARM_INVALID_CONTENT);
	g_assert_cmpstr(
		error->message, ==, "The request content is not valid: D.list[1].x: a string is needed.");
	/* The first mistake stays. */
	cursor_int(&root, "a", 0);
	g_assert_nonnull(strstr(error->message, "D.list[1].x"));
	g_error_free(error);
}

/* Everything below what is absent is absent. */
static void test_cursor_absent(void)
{
	json_auto_t *json = json_object();
	GError *error = NULL;
	struct cursor root = cursor_root(json, &error), a = cursor_object(&root, "a"),
		      b = cursor_array(&a, "b");

	g_assert_false(cursor_is_set(&b));
	g_assert_cmpint(cursor_length(&b), ==, 0);
	g_assert_null(cursor_strings(&a, "c"));
	g_assert_no_error(error);
}

/* ---- extra ---- */

static void test_extra(void)
{
	static const char *const owned[] = {"mine", NULL};
	json_auto_t *json =
		json_loads("{\"id\": \"x\", \"location\": \"y\", \"sku\": {\"name\": \"s\", \"tier\": null},"
			   " \"properties\": {\"Mine\": 1, \"yours\": [{\"adminPassword\": \"p\", \"k\": 1}],"
			   " \"provisioningState\": \"z\"}}",
			0, NULL);
	json_auto_t *extra = extra_of(json, owned);
	g_autofree char *text = json_dumps(extra, JSON_COMPACT | JSON_SORT_KEYS);

	g_assert_cmpstr(text, ==, "{\"properties\":{\"yours\":[{\"k\":1}]},\"sku\":{\"name\":\"s\"}}");
	json_auto_t *nothing = json_loads("{\"id\": \"x\", \"properties\": {\"mine\": 1}}", 0, NULL);
	g_assert_null(extra_of(nothing, owned));
}

/* ---- filters ---- */

static void test_filter(void)
{
	_cleanup_(filter_clear) struct filter filter = {};
	g_autoptr(GError) error = NULL;

	g_assert_true(filter_parse(
		"resourceType eq 'A/b' AND tagname eq 'it''s' and tagValue eq ''", &filter, &error));
	g_assert_cmpstr(filter.resource_type, ==, "A/b");
	g_assert_cmpstr(filter.tag_name, ==, "it's");
	g_assert_cmpstr(filter.tag_value, ==, "");
	filter_clear(&filter);
	g_assert_true(
		filter_parse("'virtualMachineScaleSet/id' eq '/a/b' and 'name' eq 'x'", &filter, &error));
	g_assert_cmpstr(filter.scale_set, ==, "/a/b");
	g_assert_cmpstr(filter.name, ==, "x");
	filter_clear(&filter);
	g_assert_true(filter_parse(NULL, &filter, &error));
	g_assert_true(filter_parse("", &filter, &error));
	g_assert_null(filter.name);
}

static void test_filter_bad(void)
{
	static const char *const bad[] = {"name", "name eq", "name eq x", "name ne 'x'", "size eq 'x'",
		"name eq 'x' or 1", "name eq 'x' and", "name eq 'x' name eq 'y'",
		"name eq 'x' and name eq 'y'", "substringof('a', name)", "'", "'name eq 'x'", "name' eq 'x'",
		"'virtualMachineScaleSet/name' eq 'x'", "''virtualMachineScaleSet/id'' eq 'x'"};

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		_cleanup_(filter_clear) struct filter filter = {};
		g_autoptr(GError) error = NULL;
		g_assert_false(filter_parse(bad[i], &filter, &error));
		g_assert_error(error, ARM_FAULT, ARM_INVALID_FILTER);
	}
}

static void test_filter_fits(void)
{
	_cleanup_(filter_clear) struct filter filter = {};
	_cleanup_(model_free) struct network *network = model_new(KIND_NETWORK, "net", "g");

	network->meta.tags = json_pack("{s:s}", "env", "test");
	g_assert_true(filter_parse(
		"resourceType eq 'microsoft.network/VIRTUALNETWORKS' and tagName eq 'env'", &filter, NULL));
	g_assert_true(filter_fits(&filter, &network->meta, &arm_networks, NULL));
	g_assert_false(filter_fits(&filter, &network->meta, &arm_nics, NULL));
	filter_clear(&filter);
	g_assert_true(filter_parse("tagName eq 'env' and tagValue eq 'live'", &filter, NULL));
	g_assert_false(filter_fits(&filter, &network->meta, &arm_networks, NULL));
	filter_clear(&filter);
	g_assert_true(filter_parse("resourceGroup eq 'RG'", &filter, NULL));
	g_assert_true(filter_fits(&filter, &network->meta, &arm_networks, "rg"));
	g_assert_false(filter_fits(&filter, &network->meta, &arm_networks, "other"));
	filter_clear(&filter);
	g_assert_true(filter_parse("provisioningState eq 'failed'", &filter, NULL));
	g_assert_false(filter_fits(&filter, &network->meta, &arm_networks, NULL));
	network->status.outcome.state = PROVISIONING_FAILED;
	g_assert_true(filter_fits(&filter, &network->meta, &arm_networks, NULL));
}

static void test_filter_has_only(void)
{
	_cleanup_(filter_clear) struct filter filter = {};
	g_autoptr(GError) error = NULL;

	g_assert_true(filter_has_only(&filter, "location", &error));
	g_assert_true(filter_parse("location eq 'x'", &filter, NULL));
	g_assert_true(filter_has_only(&filter, "location", &error));
	g_assert_false(filter_has_only(&filter, "provisioningState", &error));
	g_assert_error(error, ARM_FAULT, ARM_INVALID_FILTER);
	g_assert_nonnull(strstr(error->message, "'location' is not supported by this list"));
}

/* ---- errors ---- */

/* What a client did is never answered with a status that its SDK repeats. */
static void test_errors(void)
{
	static const char *const words[] = {
#define X(NAME, name) name,
		FAULT_CODES(X)
#undef X
	};

	for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
		struct arm_error error = arm_error_of_word(words[i]);
		bool ours = g_str_equal(words[i], "internal") || g_str_equal(words[i], "unavailable") ||
			    g_str_equal(words[i], "compacted");
		g_assert_nonnull(error.code);
		g_assert_cmpint(error.status >= 500, ==, ours);
		g_assert_cmpint(error.status, !=, 429);
		g_assert_cmpint(error.status, !=, 408);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/arm/id/fixed words are read without case and written with it", test_id_parse);
	g_test_add_func("/arm/id/what is no id is refused", test_id_bad);
	g_test_add_func("/arm/id/a type and a name of the same depth make an id", test_id_make);
	g_test_add_func(
		"/arm/cursor/values are read loosely and the first mistake names its place", test_cursor);
	g_test_add_func("/arm/cursor/below what is absent all is absent", test_cursor_absent);
	g_test_add_func(
		"/arm/extra/what the model does not hold is kept, secrets and nulls are not", test_extra);
	g_test_add_func("/arm/filter/clauses are read", test_filter);
	g_test_add_func("/arm/filter/what is not understood is refused", test_filter_bad);
	g_test_add_func("/arm/filter/resources fit by type, group, tag and state", test_filter_fits);
	g_test_add_func("/arm/filter/what a list cannot be asked for is refused", test_filter_has_only);
	g_test_add_func(
		"/arm/error/every fault has a status that clients do not repeat in vain", test_errors);
	return g_test_run();
}
