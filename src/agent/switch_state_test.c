/* The switch's state from the goal, against golden text. */
#include "agent/switch_state.h"
#include "agent/test_world.h"
#include "base/fault.h"

#include <string.h>

struct fixture {
	struct goal *goal;
	struct ledger *ledger;
	struct switch_port outside, host;
	struct switch_site site;
};

static void setup(struct fixture *f, gconstpointer data)
{
	f->goal = world_goal(7, true);
	f->ledger = ledger_load("/nonexistent/ledger", NULL);
	f->outside = (struct switch_port){.interface = "sl-out"};
	f->host = (struct switch_port){.interface = "sl-host"};
	g_assert_cmpint(mac_parse("02:00:5e:00:00:01", &f->outside.mac), ==, 0);
	g_assert_cmpint(prefix_parse("203.0.113.0/24", &f->outside.prefix), ==, 0);
	g_assert_cmpint(ip_parse("203.0.113.1", &f->outside.gateway), ==, 0);
	g_assert_cmpint(mac_parse("02:00:5e:00:00:02", &f->host.mac), ==, 0);
	g_assert_cmpint(prefix_parse("100.64.0.0/10", &f->host.prefix), ==, 0);
	f->site = (struct switch_site){&f->outside, &f->host, "/run/s/vhost"};
}

static void teardown(struct fixture *f, gconstpointer data)
{
	goal_free(f->goal);
	ledger_free(f->ledger);
}

static json_t *build(struct fixture *f)
{
	g_autoptr(GError) error = NULL;
	json_t *state = switch_state_build(f->goal, f->ledger, &f->site, &error);

	g_assert_no_error(error);
	return state;
}

static void assert_json(const json_t *json, const char *golden)
{
	json_error_t error;
	json_auto_t *wanted = json_loads(golden, JSON_DECODE_ANY, &error);

	if (!wanted)
		g_error("the golden text is no JSON: %s", error.text);
	if (json_equal(json, wanted))
		return;
	char *text = json_dumps(json, JSON_INDENT(1) | JSON_ENCODE_ANY);
	g_error("this is not what is wanted: %s", text);
}

/* A rule of a group in the goal, from JSON as the goal has it. */
static void add_rule(struct fixture *f, const char *text)
{
	g_autofree char *group =
		g_strdup_printf("{\"uid\": \"group-1\", \"name\": \"myGroup\", \"rules\": [%s]}", text);
	json_auto_t *json = json_loads(group, 0, NULL);
	g_autoptr(GError) error = NULL;

	g_assert_nonnull(json);
	if (!f->goal->groups)
		f->goal->groups = shape_list_new(&goal_group_shape);
	g_ptr_array_add(f->goal->groups, shape_decode(&goal_group_shape, json, SHAPE_STRICT, &error));
	g_assert_no_error(error);
}

#define ATTACH_SYNTHETIC "{\"kind\": \"synthetic\", \"socket\": \"/run/s/vhost/" WORLD_NIC ".sock\"}"
#define GOLDEN_NIC(attachments, active)                                                                      \
	"[{\"uid\": \"" WORLD_NIC "\", \"name\": \"nic-4\", \"mac\": \"00:0d:3a:00:00:04\","                 \
	" \"network\": \"network-1\", \"subnet\": \"subnet-1\", \"group\": null, \"mtu\": 1500,"             \
	" \"addresses\": [{\"ip\": \"192.168.1.4\", \"public\": \"203.0.113.4\", \"standard\": true}],"      \
	" \"host_address\": \"100.64.0.4\", \"hostname\": \"myvm\","                                         \
	" \"attachments\": [" attachments "], \"active\": \"" active "\"}]"

static void test_whole(struct fixture *f, gconstpointer data)
{
	json_auto_t *state = build(f);

	assert_json(state,
		"{\"outside\": {\"interface\": \"sl-out\", \"mac\": \"02:00:5e:00:00:01\", \"prefix\": "
		"\"203.0.113.0/24\", \"gateway\": \"203.0.113.1\"},"
		" \"host_port\": {\"interface\": \"sl-host\", \"mac\": \"02:00:5e:00:00:02\", \"prefix\": "
		"\"100.64.0.0/10\"},"
		" \"networks\": [{\"uid\": \"network-1\", \"vni\": 4096, \"prefixes\": [\"192.168.0.0/16\"],"
		" \"subnets\": [{\"uid\": \"subnet-1\", \"prefix\": \"192.168.1.0/24\", \"gateway\": "
		"\"192.168.1.1\", \"dns\": [], \"group\": null}]}],"
		" \"groups\": [], \"nics\": " GOLDEN_NIC(ATTACH_SYNTHETIC, "synthetic") "}");
}

static void test_no_ports(struct fixture *f, gconstpointer data)
{
	f->site.outside = f->site.host_port = NULL;
	json_auto_t *state = build(f);
	g_assert_true(json_is_null(json_object_get(state, "outside")));
	g_assert_true(json_is_null(json_object_get(state, "host_port")));
}

static void test_attachments(struct fixture *f, gconstpointer data)
{
	static const struct {
		enum accel_state state;
		const char *nics;
	} rows[] = {
#define WITH_FUNCTION ATTACH_SYNTHETIC ", {\"kind\": \"function\", \"interface\": \"sl-f3\"}"
		{ACCEL_OFF, GOLDEN_NIC(ATTACH_SYNTHETIC, "synthetic")},
		{ACCEL_CLAIMING, GOLDEN_NIC(ATTACH_SYNTHETIC, "synthetic")},
		{ACCEL_PLUGGING, GOLDEN_NIC(WITH_FUNCTION, "both")},
		{ACCEL_COPYING, GOLDEN_NIC(WITH_FUNCTION, "both")},
		{ACCEL_ON, GOLDEN_NIC(WITH_FUNCTION, "function")},
		{ACCEL_UNPLUGGING, GOLDEN_NIC(WITH_FUNCTION, "both")},
		{ACCEL_DRAINING, GOLDEN_NIC(WITH_FUNCTION, "synthetic")},
		{ACCEL_RELEASING, GOLDEN_NIC(ATTACH_SYNTHETIC, "synthetic")},
	};
	struct ledger_nic *record = ledger_add_nic(f->ledger, WORLD_NIC);

	g_assert_cmpuint(G_N_ELEMENTS(rows), ==, ACCEL_STATE_COUNT);
	record->function = g_strdup("sl-f3");
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		record->state = rows[i].state;
		json_auto_t *state = build(f);
		assert_json(json_object_get(state, "nics"), rows[i].nics);
	}
}

static void test_rules(struct fixture *f, gconstpointer data)
{
	add_rule(f, "{\"name\": \"ssh\", \"priority\": 100, \"access\": \"allow\", \"protocol\": \"tcp\","
		    " \"source\": {\"addresses\": [\"Internet\", \"10.0.0.0/8\", \"10.1.2.3\"], \"ports\": "
		    "[\"*\"]},"
		    " \"destination\": {\"addresses\": [\"*\"], \"ports\": [\"22\", \"1000-2000\"]}},"
		    "{\"name\": \"out\", \"priority\": 4096, \"direction\": \"outbound\","
		    " \"source\": {\"addresses\": [\"virtualnetwork\"]}, \"destination\": {\"addresses\": "
		    "[\"AzureLoadBalancer\"]}}");
	json_auto_t *state = build(f);
	assert_json(json_object_get(state, "groups"),
		"[{\"uid\": \"group-1\", \"name\": \"myGroup\", \"revalidate\": true, \"rules\": ["
		"{\"name\": \"ssh\", \"direction\": \"inbound\", \"priority\": 100, \"protocol\": \"tcp\", "
		"\"action\": \"allow\","
		" \"source\": {\"any\": false, \"tags\": [\"Internet\"], \"prefixes\": [\"10.0.0.0/8\", "
		"\"10.1.2.3\"], "
		"\"ports\": []},"
		" \"destination\": {\"any\": true, \"tags\": [], \"prefixes\": [], \"ports\": [[22, 22], "
		"[1000, "
		"2000]]}},"
		"{\"name\": \"out\", \"direction\": \"outbound\", \"priority\": 4096, \"protocol\": \"any\", "
		"\"action\": \"deny\","
		" \"source\": {\"any\": false, \"tags\": [\"VirtualNetwork\"], \"prefixes\": [], \"ports\": "
		"[]},"
		" \"destination\": {\"any\": false, \"tags\": [\"AzureLoadBalancer\"], \"prefixes\": [], "
		"\"ports\": "
		"[]}}]}]");
}

static void test_keep_established(struct fixture *f, gconstpointer data)
{
	add_rule(f, "");
	((struct goal_group *)f->goal->groups->pdata[0])->keep_established = true;
	json_auto_t *state = build(f);
	json_t *group = json_array_get(json_object_get(state, "groups"), 0);
	g_assert_true(json_is_false(json_object_get(group, "revalidate")));
}

/* Each of these would open something, or close something, if it were left out. */
static void test_refused(struct fixture *f, gconstpointer data)
{
	static const char *const sides[] = {
		"{\"addresses\": [\"Intenet\"]}",
		"{\"addresses\": [\"10.0.0.1/8\"]}",
		"{\"addresses\": [\"*\"], \"ports\": [\"ssh\"]}",
		"{\"addresses\": [\"*\"], \"ports\": [\"65536\"]}",
		"{\"addresses\": [\"*\"], \"ports\": [\"2000-1000\"]}",
		"{\"addresses\": [\"*\"], \"ports\": [\"\"]}",
		"{\"addresses\": [\"*\"], \"ports\": [\"1-2-3\"]}",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(sides); i++) {
		g_autofree char *rule =
			g_strdup_printf("{\"name\": \"bad\", \"priority\": 100, \"source\": %s, "
					"\"destination\": {\"addresses\": [\"*\"]}}",
				sides[i]);
		g_autoptr(GError) error = NULL;
		g_clear_pointer(&f->goal->groups, g_ptr_array_unref);
		add_rule(f, rule);
		g_assert_null(switch_state_build(f->goal, f->ledger, &f->site, &error));
		g_assert_error(error, FAULT, FAULT_INVALID);
		g_assert_nonnull(strstr(error->message, "rule bad"));
	}
}

static void test_hostname(struct fixture *f, gconstpointer data)
{
	static const char *const none[] = {"", "-vm", "my_vm", "vm.example", "vm 1", "ü"};

	for (size_t i = 0; i < G_N_ELEMENTS(none); i++) {
		g_free(world_vm(f->goal)->computer_name);
		world_vm(f->goal)->computer_name = g_strdup(none[i]);
		json_auto_t *state = build(f);
		json_t *nic = json_array_get(json_object_get(state, "nics"), 0);
		g_assert_true(json_is_null(json_object_get(nic, "hostname")));
	}
}

static void test_incomplete_nic(struct fixture *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	g_clear_pointer(&world_nic(f->goal)->mac, g_free);
	g_assert_null(switch_state_build(f->goal, f->ledger, &f->site, &error));
	g_assert_error(error, FAULT, FAULT_INVALID);
	g_assert_nonnull(strstr(error->message, WORLD_NIC));
}

static void add(const char *name, void (*fn)(struct fixture *, gconstpointer))
{
	g_test_add(name, struct fixture, NULL, setup, fn, teardown);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	add("/switch-state/a goal becomes the documented state", test_whole);
	add("/switch-state/ports that this host lacks are null", test_no_ports);
	add("/switch-state/attachments and active path follow the table of states", test_attachments);
	add("/switch-state/rules keep tags, prefixes and port ranges apart", test_rules);
	add("/switch-state/a group that keeps established connections is not revalidated",
		test_keep_established);
	add("/switch-state/a rule that is not understood refuses the whole state", test_refused);
	add("/switch-state/a computer's name that is no host name is not given by DHCP", test_hostname);
	add("/switch-state/a NIC without a MAC refuses the whole state", test_incomplete_nic);
	return g_test_run();
}
