/* Load balancers in the switch's state, from the goal. */
#include "agent/switch_state.h"
#include "agent/test_world.h"

#include <string.h>

#define VIP "203.0.113.20"

struct fixture {
	struct goal *goal;
	struct goal_balancer *balancer; /* Borrowed from the goal */
	struct ledger *ledger;
	struct switch_port outside, host;
	struct switch_underlay underlay;
	struct switch_site site;
	GHashTable *left_out;
};

static void set(char **text, const char *value)
{
	g_free(*text);
	*text = g_strdup(value);
}

static struct goal_balance *add_rule(
	struct fixture *f, const char *name, int64_t port, const char *ip, bool well)
{
	struct goal_balance *rule = shape_new(&goal_balance_shape);
	struct goal_member *member = shape_new(&goal_member_shape);

	*member = (struct goal_member){g_strdup(WORLD_NIC), g_strdup(ip), well};
	rule->name = g_strdup(name);
	rule->address = g_strdup(VIP);
	rule->protocol = PROTOCOL_TCP;
	rule->port = port;
	rule->member_port = 8080;
	rule->members = shape_list_new(&goal_member_shape);
	g_ptr_array_add(rule->members, member);
	g_ptr_array_add(f->balancer->rules, rule);
	return rule;
}

static void setup(struct fixture *f, gconstpointer data)
{
	f->goal = world_goal(7, true);
	f->ledger = ledger_load("/nonexistent/ledger", NULL);
	f->left_out = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	f->outside = (struct switch_port){.interface = "sl-out"};
	f->host = (struct switch_port){.interface = "sl-host"};
	g_assert_cmpint(prefix_parse("203.0.113.0/24", &f->outside.prefix), ==, 0);
	g_assert_cmpint(ip_parse("203.0.113.1", &f->outside.gateway), ==, 0);
	g_assert_cmpint(prefix_parse("100.64.0.0/10", &f->host.prefix), ==, 0);
	f->underlay = (struct switch_underlay){.interface = "sl-under", .mtu = 1500};
	g_assert_cmpint(ip_parse("172.16.0.1", &f->underlay.address), ==, 0);
	g_assert_cmpint(prefix_parse("172.16.0.0/24", &f->underlay.prefix), ==, 0);
	f->site = (struct switch_site){
		.outside = &f->outside, .host_port = &f->host, .socket_dir = "/run/s/vhost"};

	f->balancer = shape_new(&goal_balancer_shape);
	f->goal->balancers = shape_list_new(&goal_balancer_shape);
	g_ptr_array_add(f->goal->balancers, f->balancer);
	f->balancer->uid = g_strdup("lb-1");
	f->balancer->name = g_strdup("lb");
	f->balancer->mac = g_strdup("00:0d:3a:00:00:1b");
	f->balancer->network = g_strdup("network-1");
	f->balancer->addresses = strings_new();
	g_ptr_array_add(f->balancer->addresses, g_strdup(VIP));
	f->balancer->rules = shape_list_new(&goal_balance_shape);
	add_rule(f, "web", 80, "192.168.1.4", true);
}

static void teardown(struct fixture *f, gconstpointer data)
{
	goal_free(f->goal);
	ledger_free(f->ledger);
	g_hash_table_unref(f->left_out);
}

static json_t *build(struct fixture *f)
{
	g_autoptr(GError) error = NULL;

	g_hash_table_remove_all(f->left_out);
	const struct switch_source source = {.goal = f->goal, .ledger = f->ledger, .site = &f->site};
	json_t *state = switch_state_build(&source, f->left_out, &error);
	g_assert_no_error(error);
	return state;
}

static void assert_json(const json_t *json, const char *golden)
{
	json_auto_t *wanted = json_loads(golden, JSON_DECODE_ANY, NULL);
	char *text = json_dumps(json, JSON_INDENT(1) | JSON_ENCODE_ANY);

	g_assert_nonnull(wanted);
	if (!json_equal(json, wanted))
		g_error("this is not what is wanted: %s", text);
	free(text);
}

static json_t *first_nic(json_t *state)
{
	return json_array_get(json_object_get(state, "nics"), 0);
}

static json_t *rules_of(json_t *state)
{
	return json_object_get(json_array_get(json_object_get(state, "balancers"), 0), "rules");
}

static void test_whole(struct fixture *f, gconstpointer data)
{
	struct goal_balance *floating = add_rule(f, "dns", 53, "192.168.1.9", false);

	floating->protocol = PROTOCOL_UDP;
	floating->member_port = 53;
	floating->floating = true;
	floating->distribution = DISTRIBUTION_SOURCE;
	floating->probe = g_strdup("lb-1/p");
	f->balancer->standard = true;
	json_auto_t *state = build(f);
	assert_json(json_object_get(state, "balancers"),
		"[{\"uid\": \"lb-1\", \"name\": \"lb\", \"mac\": \"00:0d:3a:00:00:1b\", \"network\": "
		"\"network-1\", \"standard\": true, \"addresses\": [\"" VIP "\"], \"rules\": ["
		"{\"name\": \"web\", \"address\": \"" VIP "\", \"protocol\": \"tcp\", \"port\": 80, "
		"\"member_port\": 8080, \"floating\": false, \"distribution\": \"tuple\", "
		"\"members\": [{\"ip\": \"192.168.1.4\", \"healthy\": true}]},"
		"{\"name\": \"dns\", \"address\": \"" VIP "\", \"protocol\": \"udp\", \"port\": 53, "
		"\"member_port\": 53, \"floating\": true, \"distribution\": \"source\", "
		"\"members\": [{\"ip\": \"192.168.1.9\", \"healthy\": false}]}]}]");
}

/* What would make the switch refuse everything is left out. */
static void test_bad_rules(struct fixture *f, gconstpointer data)
{
	add_rule(f, "twice", 80, "192.168.1.4", true);
	add_rule(f, "no port", 0, "192.168.1.4", true);
	set(&add_rule(f, "other address", 81, "192.168.1.4", true)->address, "203.0.113.21");
	add_rule(f, "floats", 82, "192.168.1.4", true)->floating = true;
	add_rule(f, "lost member", 83, "10.0.0.4", true);
	json_auto_t *state = build(f);
	const json_t *rules = rules_of(state);
	g_assert_cmpuint(json_array_size(rules), ==, 2);
	const json_t *last = json_array_get(rules, 1);
	g_assert_cmpstr(json_string_value(json_object_get(last, "name")), ==, "lost member");
	g_assert_cmpuint(json_array_size(json_object_get(last, "members")), ==, 0);
}

static void no_mac(struct fixture *f)
{
	set(&f->balancer->mac, NULL);
}

static void other_network(struct fixture *f)
{
	set(&f->balancer->network, "network-9");
}

static void gateways_address(struct fixture *f)
{
	set((char **)&f->balancer->addresses->pdata[0], "203.0.113.1");
}

static void shared_address(struct fixture *f)
{
	set(&f->goal->source_nat, VIP);
}

static void no_outside(struct fixture *f)
{
	f->site.outside = NULL;
}

static void test_left_out(struct fixture *f, gconstpointer data)
{
	static const struct {
		void (*spoil)(struct fixture *f);
		const char *says;
	} rows[] = {
		{no_mac, "no MAC"},
		{other_network, "no such network"},
		{gateways_address, "none of the public addresses"},
		{shared_address, "another's on this host"},
		{no_outside, "Nothing leads outside"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		struct fixture spoilt = {};
		setup(&spoilt, NULL);
		rows[i].spoil(&spoilt);
		world_nic(spoilt.goal)->source_nat = g_strdup(VIP);
		json_auto_t *state = build(&spoilt);
		g_assert_null(json_object_get(state, "balancers"));
		g_assert_null(json_object_get(first_nic(state), "source_nat"));
		const char *reason = g_hash_table_lookup(spoilt.left_out, "lb-1");
		g_assert_nonnull(reason);
		g_assert_nonnull(strstr(reason, rows[i].says));
		teardown(&spoilt, NULL);
	}
}

static void test_nic(struct fixture *f, gconstpointer data)
{
	struct goal_nic *nic = world_nic(f->goal);

	nic->source_nat = g_strdup(VIP);
	nic->front.vtep = g_strdup("172.16.0.2");
	nic->front.mac = g_strdup("00:0d:3a:00:00:1c");
	json_auto_t *alone = build(f);
	assert_json(json_object_get(first_nic(alone), "source_nat"), "\"" VIP "\"");
	g_assert_null(json_object_get(first_nic(alone), "front"));
	f->site.underlay = &f->underlay;
	json_auto_t *state = build(f);
	assert_json(json_object_get(first_nic(state), "front"),
		"{\"vtep\": \"172.16.0.2\", \"mac\": \"00:0d:3a:00:00:1c\", \"standard\": false, "
		"\"floating\": "
		"[]}");
	set(&nic->front.vtep, "172.16.0.1");
	json_auto_t *own = build(f);
	g_assert_null(json_object_get(first_nic(own), "front"));
}

static void test_internal(struct fixture *f, gconstpointer data)
{
	struct goal_balance *rule = f->balancer->rules->pdata[0];

	f->balancer->internal = true;
	f->site.outside = NULL;
	set((char **)&f->balancer->addresses->pdata[0], "192.168.1.20");
	set(&rule->address, "192.168.1.20");
	json_auto_t *state = build(f);
	const json_t *balancer = json_array_get(json_object_get(state, "balancers"), 0);
	g_assert_true(json_is_true(json_object_get(balancer, "internal")));
	g_assert_cmpuint(json_array_size(rules_of(state)), ==, 1);

	set((char **)&f->balancer->addresses->pdata[0], "10.0.0.9");
	json_auto_t *without = build(f);
	g_assert_null(json_object_get(without, "balancers"));
	g_assert_nonnull(strstr(g_hash_table_lookup(f->left_out, "lb-1"), "none of its network"));
	/* Of one address it is the holder, too. */
	set((char **)&f->balancer->addresses->pdata[0], "192.168.1.4");
	json_auto_t *taken = build(f);
	g_assert_cmpuint(json_array_size(json_object_get(taken, "nics")), ==, 0);
}

static void test_nic_has_the_address(struct fixture *f, gconstpointer data)
{
	set((char **)&f->balancer->addresses->pdata[0], "203.0.113.4");
	set(&((struct goal_balance *)f->balancer->rules->pdata[0])->address, "203.0.113.4");
	json_auto_t *state = build(f);
	g_assert_cmpuint(json_array_size(json_object_get(state, "nics")), ==, 0);
	g_assert_cmpuint(json_array_size(json_object_get(state, "balancers")), ==, 1);
}

#define TEST(name, fn) g_test_add("/switch-balancer/" name, struct fixture, NULL, setup, fn, teardown)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	TEST("rules and members become the documented state", test_whole);
	TEST("a rule that the switch would refuse is left out", test_bad_rules);
	TEST("a load balancer that it would refuse is left out with the reason, all else stays",
		test_left_out);
	TEST("an internal one is where its network is", test_internal);
	TEST("a NIC has the way to its load balancer, or its address to share", test_nic);
	TEST("of one address the load balancer is the holder", test_nic_has_the_address);
	return g_test_run();
}
