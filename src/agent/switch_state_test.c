/* The switch's state from the goal, against golden text. */
#include "agent/switch_state.h"
#include "agent/test_world.h"
#include "base/capacity.h"
#include "base/fault.h"

#include <string.h>

struct fixture {
	struct goal *goal;
	struct ledger *ledger;
	struct switch_port outside, host;
	struct switch_site site;
	GHashTable *elsewhere; /* Owned; NULL: no machine is */
	GHashTable *left_out; /* of the last build */
};

static void setup(struct fixture *f, gconstpointer data)
{
	f->goal = world_goal(7, true);
	f->ledger = ledger_load("/nonexistent/ledger", NULL);
	f->left_out = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	f->outside = (struct switch_port){.interface = "sl-out"};
	f->host = (struct switch_port){.interface = "sl-host"};
	g_assert_cmpint(mac_parse("02:00:5e:00:00:01", &f->outside.mac), ==, 0);
	g_assert_cmpint(prefix_parse("203.0.113.0/24", &f->outside.prefix), ==, 0);
	g_assert_cmpint(ip_parse("203.0.113.1", &f->outside.gateway), ==, 0);
	g_assert_cmpint(mac_parse("02:00:5e:00:00:02", &f->host.mac), ==, 0);
	g_assert_cmpint(prefix_parse("100.64.0.0/10", &f->host.prefix), ==, 0);
	f->site = (struct switch_site){
		.outside = &f->outside, .host_port = &f->host, .socket_dir = "/run/s/vhost"};
}

static void teardown(struct fixture *f, gconstpointer data)
{
	goal_free(f->goal);
	ledger_free(f->ledger);
	g_hash_table_unref(f->left_out);
	g_clear_pointer(&f->elsewhere, g_hash_table_unref);
}

static json_t *try_build(struct fixture *f, GError **error)
{
	const struct switch_source source = {f->goal, f->ledger, &f->site, f->elsewhere};

	return switch_state_build(&source, f->left_out, error);
}

static json_t *build(struct fixture *f)
{
	g_autoptr(GError) error = NULL;

	g_hash_table_remove_all(f->left_out);
	json_t *state = try_build(f, &error);

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
		{ACCEL_ARMING, GOLDEN_NIC(WITH_FUNCTION, "synthetic")},
		{ACCEL_PLUGGING, GOLDEN_NIC(WITH_FUNCTION, "both")},
		{ACCEL_COPYING, GOLDEN_NIC(WITH_FUNCTION, "both")},
		{ACCEL_ON, GOLDEN_NIC(WITH_FUNCTION, "function")},
		{ACCEL_UNPLUGGING, GOLDEN_NIC(WITH_FUNCTION, "both")},
		{ACCEL_CUT, GOLDEN_NIC(ATTACH_SYNTHETIC, "synthetic")},
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

static void test_keep_established(struct fixture *f, gconstpointer data)
{
	add_rule(f, "");
	((struct goal_group *)f->goal->groups->pdata[0])->keep_established = true;
	json_auto_t *state = build(f);
	json_t *group = json_array_get(json_object_get(state, "groups"), 0);
	g_assert_true(json_is_false(json_object_get(group, "revalidate")));
}

static void add_application_group(struct goal *goal, const char *text)
{
	json_auto_t *json = json_loads(text, 0, NULL);
	g_autoptr(GError) error = NULL;

	if (!goal->application_groups)
		goal->application_groups = shape_list_new(&goal_application_group_shape);
	g_ptr_array_add(goal->application_groups,
		shape_decode(&goal_application_group_shape, json, SHAPE_STRICT, &error));
	g_assert_no_error(error);
}

/* Rules name them by number, each network has its own members. One that is not known would open or close something. */
static void test_application_groups(struct fixture *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	add_rule(f,
		"{\"name\": \"named\", \"priority\": 100, \"source\": {\"application_groups\": [\"app-1\", "
		"\"app-2\"]}, \"destination\": {\"addresses\": [\"*\"]}}");
	g_assert_null(try_build(f, &error));
	g_assert_error(error, FAULT, FAULT_INVALID);
	g_assert_nonnull(strstr(error->message, "'app-1' is not understood"));
	add_application_group(f->goal,
		"{\"uid\": \"app-1\", \"number\": 3, \"name\": \"web\", \"network\": \"network-1\", "
		"\"members\": [\"192.168.1.4\", \"192.168.1.9\"]}");
	add_application_group(f->goal, "{\"uid\": \"app-2\", \"number\": 5, \"name\": \"empty\"}");
	json_auto_t *state = build(f);
	const json_t *group = json_array_get(json_object_get(state, "groups"), 0),
		     *rule = json_array_get(json_object_get(group, "rules"), 0),
		     *network = json_array_get(json_object_get(state, "networks"), 0);
	assert_json(json_object_get(json_object_get(rule, "source"), "groups"), "[3, 5]");
	g_assert_null(json_object_get(json_object_get(rule, "destination"), "groups"));
	assert_json(json_object_get(network, "application_groups"),
		"[{\"number\": 3, \"name\": \"web\", \"members\": [\"192.168.1.4\", \"192.168.1.9\"]}]");
}

static void test_routes(struct fixture *f, gconstpointer data)
{
	const struct goal_network *network = f->goal->networks->pdata[0];
	struct goal_subnet *subnet = network->subnets->pdata[0];
	static const char *const rows[][2] = {{"0.0.0.0/0", "192.168.1.9"}, {"10.0.0.0/8", "none"}};

	subnet->routes = shape_list_new(&goal_route_shape);
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		struct goal_route *route = shape_new(&goal_route_shape);
		*route = (struct goal_route){g_strdup(rows[i][0]), g_strdup(rows[i][1])};
		g_ptr_array_add(subnet->routes, route);
	}
	json_auto_t *state = build(f);
	const json_t *out = json_array_get(json_object_get(state, "networks"), 0);
	assert_json(json_object_get(json_array_get(json_object_get(out, "subnets"), 0), "routes"),
		"[{\"prefix\": \"0.0.0.0/0\", \"via\": \"192.168.1.9\"}, "
		"{\"prefix\": \"10.0.0.0/8\", \"via\": \"none\"}]");
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

/* The world's subnet and NIC with IPv6 beside IPv4. */
static void add_ipv6(struct goal *goal)
{
	struct goal_network *network = goal->networks->pdata[0];
	struct goal_subnet *subnet = network->subnets->pdata[0];
	struct goal_address *address = shape_new(&goal_address_shape);

	g_ptr_array_add(network->prefixes, g_strdup("fd00:8::/48"));
	subnet->prefix6 = g_strdup("fd00:8:0:1::/64");
	subnet->gateway6 = g_strdup("fd00:8:0:1::1");
	address->ip = g_strdup("fd00:8:0:1::4");
	g_ptr_array_add(world_nic(goal)->addresses, address);
}

static void test_dual_stack(struct fixture *f, gconstpointer data)
{
	add_ipv6(f->goal);
	json_auto_t *state = build(f);
	const json_t *network = json_array_get(json_object_get(state, "networks"), 0),
		     *nic = json_array_get(json_object_get(state, "nics"), 0);

	g_assert_cmpuint(g_hash_table_size(f->left_out), ==, 0);
	assert_json(json_object_get(network, "prefixes"), "[\"192.168.0.0/16\", \"fd00:8::/48\"]");
	assert_json(json_object_get(network, "subnets"),
		"[{\"uid\": \"subnet-1\", \"prefix\": \"192.168.1.0/24\", \"gateway\": \"192.168.1.1\","
		" \"prefix6\": \"fd00:8:0:1::/64\", \"gateway6\": \"fd00:8:0:1::1\", \"dns\": [],"
		" \"group\": null}]");
	assert_json(json_object_get(nic, "addresses"),
		"[{\"ip\": \"192.168.1.4\", \"public\": \"203.0.113.4\", \"standard\": true},"
		" {\"ip\": \"fd00:8:0:1::4\", \"public\": null, \"standard\": false}]");
	static const struct {
		const char *ip, *words;
	} wrong[] = {
		{"fd00:8:0:1::1", "is another's"}, /* the gateway */
		{"fd00:8:0:1::", "subnet-router anycast"},
		{"fd00:8:0:2::4", "outside its subnet"},
	};
	struct goal_address *six = world_nic(f->goal)->addresses->pdata[1];
	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
		g_free(six->ip);
		six->ip = g_strdup(wrong[i].ip);
		json_auto_t *without = build(f);
		g_assert_nonnull(strstr(g_hash_table_lookup(f->left_out, WORLD_NIC), wrong[i].words));
	}
}

/* ---- NICs that the switch would refuse ---- */

static void set(char **text, const char *value)
{
	g_free(*text);
	*text = g_strdup(value);
}

static void no_mac(struct goal_nic *nic, struct goal_address *address)
{
	set(&nic->mac, NULL);
}

static void multicast_mac(struct goal_nic *nic, struct goal_address *address)
{
	set(&nic->mac, "01:0d:3a:00:00:05");
}

static void others_mac(struct goal_nic *nic, struct goal_address *address)
{
	set(&nic->mac, "00-0D-3A-00-00-04");
}

static void no_name(struct goal_nic *nic, struct goal_address *address)
{
	set(&nic->name, "");
}

static void others_uid(struct goal_nic *nic, struct goal_address *address)
{
	set(&nic->uid, WORLD_NIC);
}

static void other_network(struct goal_nic *nic, struct goal_address *address)
{
	set(&nic->network, "network-2");
}

static void other_subnet(struct goal_nic *nic, struct goal_address *address)
{
	set(&nic->subnet, "subnet-2");
}

static void unknown_group(struct goal_nic *nic, struct goal_address *address)
{
	set(&nic->security_group, "group-9");
}

static void outside_subnet(struct goal_nic *nic, struct goal_address *address)
{
	set(&address->ip, "192.168.2.5");
}

static void no_address(struct goal_nic *nic, struct goal_address *address)
{
	set(&address->ip, "192.168.1");
}

static void ipv6_address(struct goal_nic *nic, struct goal_address *address)
{
	set(&address->ip, "fd00::5");
}

static void gateways_address(struct goal_nic *nic, struct goal_address *address)
{
	set(&address->ip, "192.168.1.1");
}

static void others_address(struct goal_nic *nic, struct goal_address *address)
{
	set(&address->ip, "192.168.1.4");
}

static void others_public(struct goal_nic *nic, struct goal_address *address)
{
	set(&address->public_ip, "203.0.113.4");
}

static void broadcast_address(struct goal_nic *nic, struct goal_address *address)
{
	set(&address->ip, "192.168.1.255");
}

static void gateways_public(struct goal_nic *nic, struct goal_address *address)
{
	set(&address->public_ip, "203.0.113.1");
}

static void host_ports_public(struct goal_nic *nic, struct goal_address *address)
{
	set(&address->public_ip, "100.64.0.9");
}

static void ipv6_public(struct goal_nic *nic, struct goal_address *address)
{
	set(&address->public_ip, "fd00::5");
}

static void many_addresses(struct goal_nic *nic, struct goal_address *address)
{
	for (unsigned i = 0; i < NIC_ADDRESSES; i++) {
		struct goal_address *more = shape_new(&goal_address_shape);
		more->ip = g_strdup_printf("192.168.1.%u", 100 + i);
		g_ptr_array_add(nic->addresses, more);
	}
}

static void host_address_outside(struct goal_nic *nic, struct goal_address *address)
{
	set(&nic->host_address, "10.0.0.5");
}

static void others_host_address(struct goal_nic *nic, struct goal_address *address)
{
	set(&nic->host_address, "100.64.0.4");
}

static void test_left_out(struct fixture *f, gconstpointer data)
{
	static const struct {
		void (*spoil)(struct goal_nic *nic, struct goal_address *address);
		const char *says;
	} rows[] = {
		{no_mac, "none, is no unicast"},
		{multicast_mac, "no unicast"},
		{others_mac, "00:0d:3a:00:00:04"},
		{no_name, "1 to 255 bytes"},
		{others_uid, "has the uid"},
		{other_network, "network-2"},
		{other_subnet, "subnet-2"},
		{unknown_group, "group-9"},
		{outside_subnet, "192.168.2.5 lies outside"},
		{no_address, "192.168.1 is no IP address"},
		{ipv6_address, "lies outside"},
		{gateways_address, "is another's"},
		{others_address, "is another's"},
		{others_public, "203.0.113.4 is another's"},
		{ipv6_public, "must be IPv4"},
		{broadcast_address, "192.168.1.255 is the broadcast address"},
		{gateways_public, "203.0.113.1 is another's on this host, or a gateway's"},
		{host_ports_public, "100.64.0.9 is of the host port's prefix"},
		{many_addresses, "65 addresses"},
		{host_address_outside, "10.0.0.5"},
		{others_host_address, "100.64.0.4"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		goal_free(f->goal);
		f->goal = world_goal(1, false);
		world_add_vm(f->goal);
		struct goal_nic *nic = f->goal->nics->pdata[1];
		json_auto_t *both = build(f);
		g_assert_cmpuint(json_array_size(json_object_get(both, "nics")), ==, 2);
		g_assert_cmpuint(g_hash_table_size(f->left_out), ==, 0);
		rows[i].spoil(nic, nic->addresses->pdata[0]);
		json_auto_t *state = build(f);
		const char *reason = g_hash_table_lookup(f->left_out, nic->uid);
		assert_json(json_object_get(state, "nics"), GOLDEN_NIC(ATTACH_SYNTHETIC, "synthetic"));
		g_assert_true(
			json_equal(json_object_get(state, "networks"), json_object_get(both, "networks")));
		if (!reason || !strstr(reason, rows[i].says))
			g_error("'%s' is not said, but: %s", rows[i].says, reason);
	}
}

/* Whom the first NIC would have kept from something, it does not when it is left out itself. */
static void test_left_out_takes_nothing(struct fixture *f, gconstpointer data)
{
	world_add_vm(f->goal);
	struct goal_nic *first = world_nic(f->goal), *second = f->goal->nics->pdata[1];
	struct goal_address *address = second->addresses->pdata[0];
	set(&address->ip, "192.168.1.4");
	set(&address->public_ip, "203.0.113.4");
	set(&first->host_address, "10.0.0.5");
	json_auto_t *state = build(f);
	g_assert_cmpuint(g_hash_table_size(f->left_out), ==, 1);
	g_assert_nonnull(g_hash_table_lookup(f->left_out, WORLD_NIC));
	g_assert_cmpuint(json_array_size(json_object_get(state, "nics")), ==, 1);
}

static void map(struct fixture *f, const char *ip, const char *vtep, const char *mac)
{
	struct goal_network *network = f->goal->networks->pdata[0];
	struct goal_mapping *mapping = shape_new(&goal_mapping_shape);

	if (!network->mappings)
		network->mappings = shape_list_new(&goal_mapping_shape);
	mapping->ip = g_strdup(ip);
	mapping->vtep = g_strdup(vtep);
	mapping->mac = g_strdup(mac);
	g_ptr_array_add(network->mappings, mapping);
}

static struct switch_underlay underlay(const char *gateway, unsigned mtu)
{
	struct switch_underlay underlay = {.interface = "sl-under", .mtu = mtu};

	g_assert_cmpint(mac_parse("02:5e:ac:10:00:01", &underlay.mac), ==, 0);
	g_assert_cmpint(ip_parse("172.16.0.1", &underlay.address), ==, 0);
	g_assert_cmpint(prefix_parse("172.16.0.0/24", &underlay.prefix), ==, 0);
	if (gateway)
		g_assert_cmpint(ip_parse(gateway, &underlay.gateway), ==, 0);
	return underlay;
}

static const json_t *first(const json_t *state, const char *list, const char *member)
{
	return json_object_get(json_array_get(json_object_get(state, list), 0), member);
}

static void test_underlay(struct fixture *f, gconstpointer data)
{
	struct switch_underlay direct = underlay(NULL, 1500), routed = underlay("172.16.0.254", 1550);

	map(f, "192.168.1.9", "172.16.0.2", "00:0d:3a:00:00:09");
	json_auto_t *without = build(f);
	g_assert_null(json_object_get(without, "underlay"));
	g_assert_null(first(without, "networks", "mappings"));
	g_assert_cmpint(json_integer_value(first(without, "nics", "mtu")), ==, 1500);
	f->site.underlay = &direct;
	json_auto_t *state = build(f);
	assert_json(json_object_get(state, "underlay"),
		"{\"interface\": \"sl-under\", \"mac\": \"02:5e:ac:10:00:01\", \"address\": \"172.16.0.1\","
		" \"prefix\": \"172.16.0.0/24\", \"gateway\": null, \"mtu\": 1500}");
	assert_json(first(state, "networks", "mappings"),
		"[{\"prefix\": \"192.168.1.9\", \"vtep\": \"172.16.0.2\", \"mac\": \"00:0d:3a:00:00:09\"}]");
	g_assert_cmpint(json_integer_value(first(state, "nics", "mtu")), ==, 1450);
	f->site.underlay = &routed;
	map(f, "192.168.1.10", "10.9.8.7", "00:0d:3a:00:00:0a");
	json_auto_t *far = build(f);
	assert_json(json_object_get(json_object_get(far, "underlay"), "gateway"), "\"172.16.0.254\"");
	g_assert_cmpuint(json_array_size(first(far, "networks", "mappings")), ==, 2);
	g_assert_cmpint(json_integer_value(first(far, "nics", "mtu")), ==, 1500);
	routed.mtu = 9000;
	json_auto_t *jumbo = build(f);
	g_assert_cmpint(json_integer_value(first(jumbo, "nics", "mtu")), ==, 1500);
}

static void test_elsewhere(struct fixture *f, gconstpointer data)
{
	struct switch_underlay direct = underlay(NULL, 1500);
	struct goal_migration *migration = &world_vm(f->goal)->migration;

	f->site.underlay = &direct;
	world_add_vm(f->goal);
	migration->uid = g_strdup("m");
	migration->vtep = g_strdup("172.16.0.2");
	f->elsewhere = g_hash_table_new(g_str_hash, g_str_equal);
	json_auto_t *before = build(f);
	g_assert_null(first(before, "nics", "away"));
	assert_json(first(before, "networks", "mappings"), "[]");
	g_hash_table_add(f->elsewhere, WORLD_VM);
	json_auto_t *gone = build(f);
	g_assert_true(json_is_true(first(gone, "nics", "away")));
	g_assert_null(json_object_get(json_array_get(json_object_get(gone, "nics"), 1), "away"));
	assert_json(first(gone, "networks", "mappings"),
		"[{\"prefix\": \"192.168.1.4\", \"vtep\": \"172.16.0.2\", \"mac\": \"00:0d:3a:00:00:04\"}]");
	migration->role = MIGRATION_TARGET;
	map(f, "192.168.1.4", "172.16.0.3", "00:0d:3a:00:00:04");
	json_auto_t *coming = build(f);
	g_assert_true(json_is_true(first(coming, "nics", "away")));
	assert_json(first(coming, "networks", "mappings"),
		"[{\"prefix\": \"192.168.1.4\", \"vtep\": \"172.16.0.3\", \"mac\": \"00:0d:3a:00:00:04\"}]");
}

static void test_bad_mappings(struct fixture *f, gconstpointer data)
{
	static const struct {
		const char *ip, *vtep, *mac, *says;
	} rows[] = {
		{NULL, "172.16.0.2", "00:0d:3a:00:00:09", "no address"},
		{"192.168.1", "172.16.0.2", "00:0d:3a:00:00:09", "no address"},
		{"192.168.1.9", NULL, "00:0d:3a:00:00:09", "no VTEP"},
		{"192.168.1.9", "fd00::2", "00:0d:3a:00:00:09", "no VTEP"},
		{"192.168.1.9", "172.16.0.2", "01:0d:3a:00:00:09", "no MAC"},
		{"192.168.1.9", "172.16.0.2", "00:00:00:00:00:00", "no MAC"},
		{"192.168.1.9", "172.16.0.1", "00:0d:3a:00:00:09", "this host's own"},
		{"192.168.1.9", "172.16.1.2", "00:0d:3a:00:00:09", "cannot be reached"},
		{"192.168.1.8", "172.16.0.3", "00:0d:3a:00:00:09", "Another has its address"},
	};
	struct switch_underlay direct = underlay(NULL, 1500);

	f->site.underlay = &direct;
	map(f, "192.168.1.8", "172.16.0.2", "00:0d:3a:00:00:08");
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		GPtrArray *mappings = ((struct goal_network *)f->goal->networks->pdata[0])->mappings;
		GHashTableIter iter;
		void *reason;
		g_ptr_array_set_size(mappings, 1);
		map(f, rows[i].ip, rows[i].vtep, rows[i].mac);
		json_auto_t *state = build(f);
		g_assert_cmpuint(json_array_size(first(state, "networks", "mappings")), ==, 1);
		g_assert_cmpuint(g_hash_table_size(f->left_out), ==, 1);
		g_hash_table_iter_init(&iter, f->left_out);
		g_hash_table_iter_next(&iter, NULL, &reason);
		if (!strstr(reason, rows[i].says))
			g_error("'%s' is not said, but: %s", rows[i].says, (char *)reason);
	}
}

static void test_bandwidth(struct fixture *f, gconstpointer data)
{
	json_auto_t *without = build(f);

	g_assert_null(first(without, "nics", "limits"));
	world_nic(f->goal)->bandwidth_mbps = 6000;
	json_auto_t *state = build(f);
	assert_json(first(state, "nics", "limits"), "{\"send\": {\"bits_per_s\": 6000000000}}");
}

static void test_forwarding(struct fixture *f, gconstpointer data)
{
	json_auto_t *without = build(f);

	g_assert_null(first(without, "nics", "forwarding"));
	world_nic(f->goal)->forwarding = true;
	json_auto_t *state = build(f);
	g_assert_true(json_is_true(first(state, "nics", "forwarding")));
}

static void test_shared(struct fixture *f, gconstpointer data)
{
	struct switch_underlay under = underlay(NULL, 1500);

	set(&f->goal->source_nat, "203.0.113.250");
	json_auto_t *state = build(f);
	assert_json(first(state, "networks", "source_nat"), "{\"addresses\": [\"203.0.113.250\"]}");
	((struct goal_network *)f->goal->networks->pdata[0])->no_outbound = true;
	json_auto_t *closed = build(f);
	g_assert_null(first(closed, "networks", "source_nat"));
	((struct goal_network *)f->goal->networks->pdata[0])->no_outbound = false;
	f->site.underlay = &under;
	g_assert_cmpint(prefix_parse("172.16.0.0/12", &f->outside.prefix), ==, 0);
	for (const char *const *bad = (const char *const[]){"fd00::1", "x", "198.18.0.9", "172.16.0.1", NULL};
		*bad; bad++) {
		set(&f->goal->source_nat, *bad);
		json_auto_t *without = build(f);
		g_assert_null(first(without, "networks", "source_nat"));
		g_assert_cmpuint(g_hash_table_size(f->left_out), ==, 1);
	}
	f->site.outside = NULL;
	json_auto_t *nowhere = build(f);
	g_assert_null(first(nowhere, "networks", "source_nat"));
	g_assert_cmpuint(g_hash_table_size(f->left_out), ==, 0);
}

static void test_shared_is_nobodys(struct fixture *f, gconstpointer data)
{
	set(&f->goal->source_nat, "203.0.113.4");
	json_auto_t *state = build(f);
	g_assert_cmpuint(json_array_size(json_object_get(state, "nics")), ==, 0);
	g_assert_nonnull(g_hash_table_lookup(f->left_out, WORLD_NIC));
}

/* ---- physical networks ---- */

static const struct switch_physical physicals[] = {{"physnet1", "ens3", 9216}, {"physnet2", "ens4", 1400}};

static struct goal_network *move_to(struct fixture *f, const char *physical, int64_t vlan)
{
	struct goal_network *network = f->goal->networks->pdata[0];

	f->site.physicals = physicals;
	f->site.n_physicals = G_N_ELEMENTS(physicals);
	set(&network->physical, physical);
	network->vlan = vlan;
	network->vni = 0;
	return network;
}

static void test_vlan(struct fixture *f, gconstpointer data)
{
	struct switch_underlay direct = underlay(NULL, 1500);

	f->site.underlay = &direct;
	move_to(f, "physnet1", 100);
	map(f, "192.168.1.9", "172.16.0.2", "00:0d:3a:00:00:09");
	json_auto_t *state = build(f);
	assert_json(json_object_get(state, "physicals"),
		"[{\"name\": \"physnet1\", \"interface\": \"ens3\", \"mtu\": 9000},"
		" {\"name\": \"physnet2\", \"interface\": \"ens4\", \"mtu\": 1400}]");
	assert_json(first(state, "networks", "vlan"), "{\"physical\": \"physnet1\", \"id\": 100}");
	g_assert_null(first(state, "networks", "vni"));
	g_assert_null(first(state, "networks", "mappings"));
	g_assert_cmpint(json_integer_value(first(state, "nics", "mtu")), ==, 1500);
	move_to(f, "physnet2", 0);
	json_auto_t *untagged = build(f);
	assert_json(first(untagged, "networks", "vlan"), "{\"physical\": \"physnet2\"}");
	g_assert_cmpint(json_integer_value(first(untagged, "nics", "mtu")), ==, 1400);
}

static void assert_lost(struct fixture *f, unsigned networks, const char *says)
{
	json_auto_t *state = build(f);
	const char *reason = g_hash_table_lookup(f->left_out, WORLD_NIC);

	g_assert_cmpuint(json_array_size(json_object_get(state, "networks")), ==, networks);
	g_assert_cmpuint(json_array_size(json_object_get(state, "nics")), ==, 0);
	g_assert_nonnull(reason);
	g_assert_nonnull(strstr(reason, says));
}

static void test_lost(struct fixture *f, gconstpointer data)
{
	move_to(f, "physnet3", 100);
	assert_lost(f, 0, "physnet3");
	move_to(f, "physnet1", 4095);
	assert_lost(f, 0, "4095");
	move_to(f, "physnet1", 100);
	struct goal_network *same = shape_new(&goal_network_shape);
	same->uid = g_strdup("network-0");
	same->physical = g_strdup("physnet1");
	same->vlan = 100;
	g_ptr_array_insert(f->goal->networks, 0, same);
	assert_lost(f, 1, "Another network");
}

static void test_physical_function(struct fixture *f, gconstpointer data)
{
	struct ledger_nic *record = ledger_add_nic(f->ledger, WORLD_NIC);

	record->state = ACCEL_ON;
	set(&record->function, "0000:3b:10.0");
	set(&record->physical, "physnet1");
	record->vlan = 100;
	move_to(f, "physnet1", 100);
	json_auto_t *state = build(f);
	assert_json(first(state, "nics", "attachments"),
		"[" ATTACH_SYNTHETIC ", {\"kind\": \"function\", \"physical\": true}]");
	g_assert_cmpstr(json_string_value(first(state, "nics", "active")), ==, "function");
	move_to(f, "physnet1", 200);
	json_auto_t *moved = build(f);
	assert_json(first(moved, "nics", "attachments"), "[" ATTACH_SYNTHETIC "]");
	g_assert_cmpstr(json_string_value(first(moved, "nics", "active")), ==, "synthetic");
}

static void test_representor(struct fixture *f, gconstpointer data)
{
	static const struct switch_physical eswitch[] = {{"physnet1", "ens3", 1500, true}};
	struct ledger_nic *record = ledger_add_nic(f->ledger, WORLD_NIC);

	record->state = ACCEL_COPYING;
	set(&record->function, "0000:3b:10.0");
	set(&record->representor, "ens3_0");
	json_auto_t *state = build(f);
	assert_json(first(state, "nics", "attachments"),
		"[" ATTACH_SYNTHETIC
		", {\"kind\": \"function\", \"interface\": \"ens3_0\", \"offload\": \"tc\"}]");
	g_assert_cmpstr(json_string_value(first(state, "nics", "active")), ==, "both");
	/* On a VLAN by the same interface, whichever it was claimed for. */
	move_to(f, "physnet1", 100);
	f->site.physicals = eswitch;
	f->site.n_physicals = 1;
	set(&record->physical, "physnet2");
	json_auto_t *moved = build(f);
	g_assert_cmpstr(json_string_value(first(moved, "nics", "active")), ==, "both");
	assert_json(json_object_get(moved, "physicals"),
		"[{\"name\": \"physnet1\", \"interface\": \"ens3\", \"mtu\": 1500, \"offload\": \"tc\"}]");
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
	add("/switch-state/rules name application groups by number, networks their members",
		test_application_groups);
	add("/switch-state/routes that users made are the subnet's", test_routes);
	add("/switch-state/a group that keeps established connections is not revalidated",
		test_keep_established);
	add("/switch-state/a computer's name that is no host name is not given by DHCP", test_hostname);
	add("/switch-state/a NIC that the switch would refuse is left out with the reason, all else stays",
		test_left_out);
	add("/switch-state/a NIC that is left out takes nothing from the others",
		test_left_out_takes_nothing);
	add("/switch-state/with an underlay networks have mappings, and NICs an MTU that fits its tunnels",
		test_underlay);
	add("/switch-state/a network in a VLAN says so, has no mappings, and its NICs the wire's MTU",
		test_vlan);
	add("/switch-state/a network whose VLAN cannot be here is left out with its NICs", test_lost);
	add("/switch-state/a function on the physical network is reached in its VLAN only",
		test_physical_function);
	add("/switch-state/a function with a representor is reached by it, on any segment", test_representor);
	add("/switch-state/what a NIC sends is limited by its VM's size, what it gets is not",
		test_bandwidth);
	add("/switch-state/subnets and NICs have IPv6 beside IPv4", test_dual_stack);
	add("/switch-state/a NIC that forwards for others may, and no other", test_forwarding);
	add("/switch-state/the address that NICs share is in each network that has not opted out",
		test_shared);
	add("/switch-state/a NIC cannot have the address that all share", test_shared_is_nobodys);
	add("/switch-state/what is for a machine that has gone goes to the target, of one that comes to "
	    "where the goal says",
		test_elsewhere);
	add("/switch-state/a mapping that the switch would refuse is left out with the reason",
		test_bad_mappings);
	return g_test_run();
}
