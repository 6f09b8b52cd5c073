/* Tests of the rules' JSON. */
#include "policy/policy_json.h"

#include "base/fault.h"

#include <string.h>

static const char tutorial_rules[] =
	"[{\"name\": \"Allow-SSH-Internet\", \"direction\": \"inbound\", \"priority\": 100, \"protocol\": "
	"\"tcp\","
	"  \"action\": \"allow\","
	"  \"source\": {\"any\": false, \"tags\": [\"Internet\"], \"prefixes\": [], \"ports\": []},"
	"  \"destination\": {\"any\": true, \"tags\": [], \"prefixes\": [], \"ports\": [[22, 22]]}},"
	" {\"name\": \"deny-some\", \"direction\": \"outbound\", \"priority\": 100, \"protocol\": \"any\","
	"  \"action\": \"deny\","
	"  \"source\": {\"any\": false, \"tags\": [], \"prefixes\": [], \"groups\": [3, 9], \"ports\": []},"
	"  \"destination\": {\"any\": false, \"tags\": [\"VirtualNetwork\", \"AzureLoadBalancer\"],"
	"    \"prefixes\": [\"10.0.0.0/8\", \"fd00::1/128\"], \"ports\": [[80, 80], [8000, 8999]]}}]";

static json_t *load(const char *text)
{
	json_error_t at;
	json_t *json = json_loads(text, 0, &at);

	if (!json)
		g_error("test's own JSON, column %d: %s", at.column, at.text);
	return json;
}

static struct policy_rules *decode(const char *text, GError **error)
{
	json_t *json = load(text);
	struct policy_rules *rules = policy_rules_decode("web", json, error);

	json_decref(json);
	return rules;
}

static void test_decode(void)
{
	g_autoptr(GError) error = NULL;
	_cleanup_(policy_rules_free) struct policy_rules *rules = decode(tutorial_rules, &error);

	g_assert_no_error(error);
	g_assert_cmpstr(rules->group.name, ==, "web");
	g_assert_cmpuint(rules->group.n_rules, ==, 2);
	const struct policy_rule *ssh = &rules->group.rules[0], *deny = &rules->group.rules[1];
	g_assert_cmpstr(ssh->name, ==, "Allow-SSH-Internet");
	g_assert_cmpuint(ssh->direction, ==, POLICY_INBOUND);
	g_assert_cmpuint(ssh->priority, ==, 100);
	g_assert_cmpuint(ssh->protocol, ==, POLICY_TCP);
	g_assert_cmpuint(ssh->action, ==, POLICY_ALLOW);
	g_assert_cmpuint(ssh->source.tags, ==, POLICY_TAG_INTERNET);
	g_assert_cmpuint(ssh->source.n_ports, ==, 0);
	g_assert_cmpuint(ssh->destination.tags, ==, POLICY_TAG_ANY);
	g_assert_cmpuint(ssh->destination.ports[0].last, ==, 22);
	g_assert_cmpuint(deny->direction, ==, POLICY_OUTBOUND);
	g_assert_cmpuint(deny->action, ==, POLICY_DENY);
	g_assert_cmpuint(deny->source.groups[1], ==, 9);
	g_assert_cmpuint(deny->destination.tags, ==, POLICY_TAG_VIRTUAL_NETWORK | POLICY_TAG_LOAD_BALANCER);
	g_assert_cmpuint(deny->destination.prefixes[0].length, ==, 8);
	g_assert_cmpuint(deny->destination.prefixes[1].addr.family, ==, IP_V6);
	g_assert_cmpuint(deny->destination.ports[1].first, ==, 8000);
}

static void test_round_trip(void)
{
	_cleanup_(policy_rules_free) struct policy_rules *rules = decode(tutorial_rules, NULL);
	json_t *expected = load(tutorial_rules), *encoded = policy_rules_encode(&rules->group);

	g_assert_true(json_equal(expected, encoded));
	json_decref(expected);
	json_decref(encoded);
}

static void test_absent_lists(void)
{
	g_autoptr(GError) error = NULL;
	_cleanup_(policy_rules_free) struct policy_rules *rules = decode(
		"[{\"name\": \"a\", \"direction\": \"inbound\", \"priority\": 4096, \"protocol\": \"icmp\","
		"  \"action\": \"deny\", \"source\": {\"any\": true}, \"destination\": {\"tags\": "
		"[\"Internet\"]}}]",
		&error);

	g_assert_no_error(error);
	g_assert_cmpuint(rules->group.rules[0].source.n_ports, ==, 0);
	g_assert_cmpuint(rules->group.rules[0].destination.tags, ==, POLICY_TAG_INTERNET);
}

static void test_no_rules(void)
{
	_cleanup_(policy_rules_free) struct policy_rules *rules = decode("[]", NULL);

	g_assert_cmpuint(rules->group.n_rules, ==, 0);
}

static void test_verdict(void)
{
	_cleanup_(policy_rules_free) struct policy_rules *rules = decode(tutorial_rules, NULL);
	const struct policy_nic nic = {.nic_group = &rules->group};
	struct policy_packet packet = {.protocol = POLICY_TCP, .destination_port = 22};

	g_assert_cmpint(ip_parse("9.9.9.9", &packet.source), ==, 0);
	g_assert_cmpint(ip_parse("192.168.1.4", &packet.destination), ==, 0);
	g_assert_true(policy_check(&nic, &packet).allow);
	packet.destination_port = 23;
	g_assert_false(policy_check(&nic, &packet).allow);
}

/* The rule that the bad ones differ from in one place. */
#define RULE(member, value)                                                                                  \
	"{\"name\": \"a\", \"direction\": \"inbound\", \"priority\": 200, \"protocol\": \"tcp\","            \
	" \"action\": \"allow\", \"source\": {\"any\": true}, \"destination\": {\"any\": true}, \"" member   \
	"\": " value "}"

static void test_faults(void)
{
	static const struct {
		const char *rules, *text;
	} cases[] = {
		{"{}", "rules: must be an array"},
		{"[7]", "rules[0]: must be an object"},
		{"[" RULE("port", "22") "]", "rules[0].port: is not known here"},
		{"[" RULE("name", "\"\"") "]", "rules[0].name: must be a string"},
		{"[" RULE("name", "7") "]", "rules[0].name: must be a string"},
		{"[" RULE("direction", "\"in\"") "]",
			"rules[0].direction: \"in\" is none of inbound, outbound"},
		{"[" RULE("direction", "null") "]", "rules[0].direction: must be one of inbound, outbound"},
		{"[" RULE("action", "\"Allow\"") "]", "rules[0].action: \"Allow\" is none of allow, deny"},
		{"[" RULE("protocol", "\"sctp\"") "]", "rules[0].protocol: \"sctp\" is none of any, tcp"},
		{"[" RULE("protocol", "58") "]", "rules[0].protocol: write \"icmp\""},
		{"[" RULE("protocol", "0") "]", "rules[0].protocol: must be a whole number from 1 to 255"},
		{"[" RULE("protocol", "256") "]", "rules[0].protocol: must be a whole number from 1 to 255"},
		{"[" RULE("protocol", "null") "]", "rules[0].protocol: must be one of any, tcp"},
		{"[" RULE("priority", "99") "]",
			"rules[0].priority: must be a whole number from 100 to 4096"},
		{"[" RULE("priority", "4097") "]", "rules[0].priority: must be"},
		{"[" RULE("priority", "\"200\"") "]", "rules[0].priority: must be"},
		{"[" RULE("priority", "200.5") "]", "rules[0].priority: must be"},
		{"[" RULE("source", "null") "]", "rules[0].source: must be an object"},
		{"[" RULE("source", "{}") "]", "rules[0].source: names no address"},
		{"[" RULE("source", "{\"any\": false, \"ports\": [[1, 2]]}") "]",
			"rules[0].source: names no address"},
		{"[" RULE("source", "{\"any\": 1}") "]", "rules[0].source.any: must be true or false"},
		{"[" RULE("source", "{\"anny\": true}") "]", "rules[0].source.anny: is not known here"},
		{"[" RULE("source", "{\"tags\": [\"Internet\", \"Storage\"]}") "]",
			"rules[0].source.tags[1]: \"Storage\" is none of VirtualNetwork, Internet, "
			"AzureLoadBalancer"},
		{"[" RULE("source", "{\"tags\": \"Internet\"}") "]",
			"rules[0].source.tags: must be an array"},
		{"[" RULE("source", "{\"prefixes\": [\"10.0.0.1/8\"]}") "]",
			"rules[0].source.prefixes[0]: \"10.0.0.1/8\" has bits set past its length"},
		{"[" RULE("source", "{\"prefixes\": [\"10.0.0.0/33\"]}") "]",
			"rules[0].source.prefixes[0]: must be a prefix"},
		{"[" RULE("source", "{\"prefixes\": [null]}") "]",
			"rules[0].source.prefixes[0]: must be a prefix"},
		{"[" RULE("source", "{\"groups\": [-1]}") "]",
			"rules[0].source.groups[0]: must be a whole number"},
		{"[" RULE("destination\": {\"any\": true, \"ports\": [[1, 2]]}, \"protocol", "\"icmp\"") "]",
			"rules[0].destination.ports: only tcp and udp have ports, so that the rule would "
			"never "
			"match; leave them out"},
		{"[" RULE("source\": {\"any\": true, \"ports\": [[0, 65535]]}, \"protocol", "\"ah\"") "]",
			"rules[0].source.ports: only tcp and udp have ports"},
		{"[" RULE("source\": {\"any\": true, \"ports\": [[0, 65535]]}, \"protocol", "\"esp\"") "]",
			"rules[0].source.ports: only tcp and udp have ports"},
		{"[" RULE("source\": {\"any\": true, \"ports\": [[1, 1]]}, \"protocol", "47") "]",
			"rules[0].source.ports: only tcp and udp have ports"},
		{"[" RULE("destination", "{\"any\": true, \"ports\": [22]}") "]",
			"rules[0].destination.ports[0]: must be a range"},
		{"[" RULE("destination", "{\"any\": true, \"ports\": [[22, 65536]]}") "]",
			"rules[0].destination.ports[0]: must be a whole number from 0 to 65535"},
		{"[" RULE("destination", "{\"any\": true, \"ports\": [[23, 22]]}") "]",
			"rules[0].destination.ports[0]: the range ends before it starts"},
		{"[" RULE("name", "\"first\"") ", " RULE("name", "\"second\"") "]",
			"rules[1].priority: 200 is taken by inbound rule \"first\""},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;
		g_test_message("%s", cases[i].rules);
		g_assert_null(decode(cases[i].rules, &error));
		g_assert_error(error, FAULT, FAULT_INVALID);
		g_test_message("%s", error->message);
		g_assert_true(g_str_has_prefix(error->message, cases[i].text));
	}
}

static void test_protocol_numbers(void)
{
	static const struct {
		const char *json;
		unsigned protocol;
		const char *encoded;
	} cases[] = {{"132", 132, "132"}, {"6", POLICY_TCP, "\"tcp\""}, {"1", POLICY_ICMP, "\"icmp\""}};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *text = g_strdup_printf("[" RULE("protocol", "%s") "]", cases[i].json);
		_cleanup_(policy_rules_free) struct policy_rules *rules = decode(text, NULL);
		g_assert_nonnull(rules);
		g_assert_cmpuint(rules->group.rules[0].protocol, ==, cases[i].protocol);
		json_t *protocol = policy_protocol_encode(rules->group.rules[0].protocol);
		char *encoded = json_dumps(protocol, JSON_ENCODE_ANY);
		g_assert_cmpstr(encoded, ==, cases[i].encoded);
		free(encoded);
		json_decref(protocol);
	}
}

static void test_missing_members(void)
{
	static const char *const members[] = {
		"name", "direction", "priority", "protocol", "action", "source", "destination"};

	for (size_t i = 0; i < G_N_ELEMENTS(members); i++) {
		g_autoptr(GError) error = NULL;
		g_autofree char *path = g_strdup_printf("rules[0].%s: must be", members[i]);
		json_t *rules = load(tutorial_rules);
		json_object_del(json_array_get(rules, 0), members[i]);
		g_assert_null(policy_rules_decode("web", rules, &error));
		g_assert_error(error, FAULT, FAULT_INVALID);
		g_assert_true(g_str_has_prefix(error->message, path));
		json_decref(rules);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/policy_json/every member reaches its struct", test_decode);
	g_test_add_func("/policy_json/encoding gives back what was decoded", test_round_trip);
	g_test_add_func("/policy_json/lists and any may be absent", test_absent_lists);
	g_test_add_func("/policy_json/a group may have no rules", test_no_rules);
	g_test_add_func("/policy_json/decoded rules decide", test_verdict);
	g_test_add_func("/policy_json/a fault starts with the path of the bad member", test_faults);
	g_test_add_func("/policy_json/a protocol without a word is a number", test_protocol_numbers);
	g_test_add_func("/policy_json/no member of a rule may be missing", test_missing_members);
	return g_test_run();
}
