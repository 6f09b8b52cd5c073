/* The model: every kind survives its codec; bad JSON is refused with the path of the bad member. */
#include "base/fault.h"
#include "model/goal.h"
#include "model/model.h"

#include <string.h>

static struct network *sample_network(void)
{
	struct network *network = model_new(KIND_NETWORK, "myVnet", "group-uid");
	struct subnet *subnet = shape_new(&subnet_shape);

	network->meta.location = g_strdup("centralus");
	network->meta.tags = json_pack("{s:s}", "env", "test");
	network->spec.prefixes = strings_new();
	g_ptr_array_add(network->spec.prefixes, g_strdup("192.168.0.0/16"));
	subnet->name = g_strdup("mySubnet");
	subnet->prefix = g_strdup("192.168.1.0/24");
	network->spec.subnets = shape_list_new(&subnet_shape);
	g_ptr_array_add(network->spec.subnets, subnet);
	network->spec.segment = SEGMENT_VLAN;
	network->status.vni = 4097;
	return network;
}

static void test_round_trip(void)
{
	_cleanup_(model_free) struct network *network = sample_network();
	g_autofree char *text = model_encode(network);
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct network *back =
		model_decode(KIND_NETWORK, text, strlen(text), 7, &error);

	g_assert_no_error(error);
	g_assert_cmpint(back->meta.revision, ==, 7);
	g_assert_true(shape_equal(kind_info(KIND_NETWORK)->shape, network, back));
	struct subnet *subnet = back->spec.subnets->pdata[0];
	g_assert_cmpstr(subnet->prefix, ==, "192.168.1.0/24");
}

static void test_copy_is_independent(void)
{
	_cleanup_(model_free) struct network *network = sample_network();
	_cleanup_(model_free) struct network *copy = model_copy(network);
	const struct shape *shape = kind_info(KIND_NETWORK)->shape;

	g_assert_true(shape_equal(shape, network, copy));
	struct subnet *subnet = copy->spec.subnets->pdata[0];
	g_free(subnet->prefix);
	subnet->prefix = g_strdup("192.168.2.0/24");
	g_assert_false(shape_equal(shape, network, copy));
	g_assert_cmpstr(((struct subnet *)network->spec.subnets->pdata[0])->prefix, ==, "192.168.1.0/24");
}

static void test_every_kind_starts_empty(void)
{
	for (int kind = KIND_NONE + 1; kind < KIND_COUNT; kind++) {
		_cleanup_(model_free) struct meta *meta = model_new(kind, "name", NULL);
		g_autofree char *text = model_encode(meta);
		g_autoptr(GError) error = NULL;
		_cleanup_(model_free) struct meta *back = model_decode(kind, text, strlen(text), 1, &error);
		g_assert_no_error(error);
		g_assert_true(shape_equal(kind_info(kind)->shape, meta, back));
		g_assert_true(!model_outcome(back) || model_outcome(back)->state == PROVISIONING_SUCCEEDED);
	}
}

static void check_refused(const char *text, const char *path)
{
	g_autoptr(GError) error = NULL;
	json_t *json = json_loads(text, 0, NULL);

	g_assert_nonnull(json);
	struct goal *goal = shape_decode(&goal_shape, json, SHAPE_STRICT, &error);
	json_decref(json);
	g_assert_null(goal);
	g_assert_error(error, FAULT, FAULT_INVALID);
	g_assert_nonnull(strstr(error->message, path));
}

static void test_bad_members_are_named(void)
{
	check_refused("[]", "must be a JSON object");
	check_refused("{\"version\":\"seven\"}", "version: an integer");
	check_refused("{\"vms\":{}}", "vms: an array");
	check_refused(
		"{\"vms\":[{},{\"power\":\"asleep\"}]}", "vms[1].power: running, stopped or deallocated");
	check_refused("{\"groups\":[{\"rules\":[{\"source\":{\"ports\":[1]}}]}]}",
		"groups[0].rules[0].source.ports");
	check_refused("{\"vmz\":[]}", "vmz: a goal has no such member");
}

static void test_null_means_absent(void)
{
	g_autoptr(GError) error = NULL;
	json_t *json = json_pack("{s:n,s:n,s:i}", "host", "vms", "version", 3);
	_cleanup_(goal_free) struct goal *goal = shape_decode(&goal_shape, json, SHAPE_STRICT, &error);

	json_decref(json);
	g_assert_no_error(error);
	g_assert_null(goal->host);
	g_assert_cmpint(list_length(goal->vms), ==, 0);
	g_assert_cmpint(goal->version, ==, 3);
}

static void test_newer_schema_is_refused(void)
{
	g_autoptr(GError) error = NULL;
	const char *text = "{\"v\":99,\"meta\":{}}";

	g_assert_null(model_decode(KIND_NIC, text, strlen(text), 1, &error));
	g_assert_error(error, FAULT, FAULT_INTERNAL);
	g_assert_nonnull(strstr(error->message, "schema version 99"));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/model/an object survives its codec", test_round_trip);
	g_test_add_func("/model/a copy shares nothing with its original", test_copy_is_independent);
	g_test_add_func("/model/every kind encodes and decodes when empty", test_every_kind_starts_empty);
	g_test_add_func("/model/a bad member is named with its path", test_bad_members_are_named);
	g_test_add_func("/model/null means absent", test_null_means_absent);
	g_test_add_func("/model/a value of a newer schema is refused", test_newer_schema_is_refused);
	return g_test_run();
}
