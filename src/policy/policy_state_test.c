/* Policy out of a switch's state: references, faults, and JSON that is anything at all. SEED=N starts elsewhere.
 */
#include "policy/policy_state.h"

#include "base/fault.h"
#include "policy/policy_gen_priv.h"
#include "policy/policy_json.h"

#define MUTATIONS 5000

static const char state_text[] =
	"{\"generation\": 7, \"outside\": null, \"something\": [\"new\"],"
	" \"groups\": ["
	"  {\"uid\": \"g1\", \"name\": \"web\", \"revalidate\": true, \"rules\": [{\"name\": \"r\","
	"   \"direction\": \"inbound\", \"priority\": 100, \"protocol\": \"tcp\", \"action\": \"allow\","
	"   \"source\": {\"groups\": [3]}, \"destination\": {\"any\": true}}]},"
	"  {\"uid\": \"g2\", \"name\": \"subnet\", \"rules\": []}],"
	" \"networks\": [{\"uid\": \"n1\", \"vni\": 4096, \"prefixes\": [\"192.168.0.0/16\", \"fd00::/64\"],"
	"   \"application_groups\": [{\"number\": 3, \"name\": \"jump\", \"members\": [\"192.168.1.9\"]}],"
	"   \"subnets\": [{\"uid\": \"s1\", \"group\": \"g2\"}, {\"uid\": \"s2\", \"group\": null}]}],"
	" \"nics\": ["
	"  {\"uid\": \"u1\", \"name\": \"one\", \"network\": \"n1\", \"subnet\": \"s1\", \"group\": \"g1\","
	"   \"addresses\": [{\"ip\": \"192.168.1.4\", \"public\": \"203.0.113.10\", \"standard\": true},"
	"     {\"ip\": \"192.168.1.5\", \"public\": null}]},"
	"  {\"uid\": \"u2\", \"name\": \"two\", \"network\": \"n1\", \"subnet\": \"s2\", \"group\": null,"
	"   \"addresses\": []},"
	"  {\"uid\": \"u3\", \"name\": \"two\", \"network\": \"n1\", \"subnet\": \"s2\","
	"   \"addresses\": [{\"ip\": \"fd00::4\"}]}]}";

static struct policy_state *decode(void)
{
	g_autoptr(GError) error = NULL;
	json_t *json = json_loads(state_text, 0, NULL);
	struct policy_state *state = policy_state_decode(json, &error);

	g_assert_no_error(error);
	json_decref(json);
	return state;
}

static void test_references(void)
{
	_cleanup_(policy_state_free) struct policy_state *state = decode();

	g_assert_cmpuint(policy_state_length(state), ==, 3);
	const struct policy_state_nic *one = policy_state_get(state, 0), *two = policy_state_get(state, 1);
	g_assert_cmpstr(one->policy.nic_group->name, ==, "web");
	g_assert_cmpstr(one->policy.nic_group->uid, ==, "g1");
	g_assert_cmpstr(one->policy.subnet_group->name, ==, "subnet");
	g_assert_cmpuint(one->policy.space.n_prefixes, ==, 2);
	g_assert_cmpstr(one->policy.space.members[0].name, ==, "jump");
	g_assert_cmpuint(one->policy.space.members[0].prefixes[0].length, ==, 32);
	g_assert_null(two->policy.nic_group);
	g_assert_null(two->policy.subnet_group);
}

static void test_find(void)
{
	_cleanup_(policy_state_free) struct policy_state *state = decode();
	g_autoptr(GError) several = NULL, none = NULL;

	g_assert_cmpstr(policy_state_find(state, "one", NULL)->uid, ==, "u1");
	g_assert_cmpstr(policy_state_find(state, "u3", NULL)->uid, ==, "u3");
	g_assert_null(policy_state_find(state, "two", &several));
	g_assert_error(several, FAULT, FAULT_INVALID);
	g_assert_null(policy_state_find(state, "three", &none));
	g_assert_error(none, FAULT, FAULT_NOT_FOUND);
}

static void test_find_address(void)
{
	_cleanup_(policy_state_free) struct policy_state *state = decode();
	const struct policy_state_nic *nic = policy_state_get(state, 0);
	struct ip_addr private_ip, public_ip, other;

	ip_parse("192.168.1.4", &private_ip);
	ip_parse("203.0.113.10", &public_ip);
	ip_parse("192.168.1.6", &other);
	g_assert_true(policy_state_find_address(nic, private_ip) == &nic->addresses[0]);
	g_assert_true(policy_state_find_address(nic, public_ip) == &nic->addresses[0]);
	g_assert_true(nic->addresses[0].standard);
	g_assert_false(nic->addresses[1].standard);
	g_assert_null(policy_state_find_address(nic, other));
	g_assert_null(
		policy_state_find_address(nic, (struct ip_addr){})); /* not the public one that is none */
}

/* Puts `value` at "a/0/b" of the tree. */
static void put(json_t *at, const char *path, const char *value)
{
	g_auto(GStrv) keys = g_strsplit(path, "/", -1);
	char **key = keys;

	for (; key[1]; key++)
		at = json_is_array(at) ? json_array_get(at, (size_t)g_ascii_strtoull(*key, NULL, 10))
				       : json_object_get(at, *key);
	json_object_set_new(at, *key, json_loads(value, JSON_DECODE_ANY, NULL));
}

static void test_faults(void)
{
	static const struct {
		const char *path, *value, *text;
	} cases[] = {
		{"groups", "null", "groups: must be an array"},
		{"nics", "{}", "nics: must be an array"},
		{"groups/0/uid", "7", "groups[0].uid: must be text"},
		{"groups/1/rules", "[1]", "groups[1].rules[0]: must be an object"},
		{"networks/0/prefixes", "[\"10.0.0.1/8\"]", "networks[0].prefixes[0]: must be a prefix"},
		{"networks/0/application_groups", "7", "networks[0].application_groups: must be an array"},
		{"networks/0/application_groups/0/number", "-1",
			"networks[0].application_groups[0].number: must be a whole number"},
		{"networks/0/application_groups/0/members", "[null]",
			"networks[0].application_groups[0].members[0]: must be a prefix"},
		{"networks/0/subnets/0/group", "\"none\"", "nics[0].group: no group has the uid none"},
		{"nics/0/group", "\"none\"", "nics[0].group: no group has the uid none"},
		{"nics/0/group", "7", "nics[0].group: must be text"},
		{"nics/0/network", "\"none\"", "nics[0].network: no network has the uid none"},
		{"nics/0/subnet", "\"none\"", "nics[0].subnet: the NIC's network has no subnet"},
		{"nics/0/addresses", "null", "nics[0].addresses: must be an array"},
		{"nics/0/addresses/0/ip", "\"192.168\"", "nics[0].addresses[0].ip: must be an IP address"},
		{"nics/0/addresses/0/public", "\"x\"", "nics[0].addresses[0].public: must be an IP address"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;
		json_t *json = json_loads(state_text, 0, NULL);
		put(json, cases[i].path, cases[i].value);
		g_assert_null(policy_state_decode(json, &error));
		g_assert_error(error, FAULT, FAULT_INVALID);
		g_test_message("%s", error->message);
		g_assert_true(g_str_has_prefix(error->message, cases[i].text));
		json_decref(json);
	}
}

/* ---- anything ---- */

/* Values at which decoders stumble. */
static json_t *odd_value(struct gen_random *random)
{
	static const char *const values[] = {"null", "true", "[]", "{}", "[[]]", "\"\"", "-1", "0", "1e308",
		"0.5", "58", "255", "256", "65535", "65536", "4294967295", "4294967296",
		"9223372036854775807", "[65535, 0]", "[0, 65535]", "[1, 2, 3]", "\"any\"", "\"Internet\"",
		"\"0.0.0.0/0\"", "\"::/129\"", "\"1.2.3.4/032\"", "\"fd00::/64\"", "\"10.0.0.0/+8\"",
		"\"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/128\"",
		"\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"", "{\"any\": true}",
		"{\"any\": true, \"ports\": [[0, 65535]]}"};

	return json_loads(values[gen_below(random, G_N_ELEMENTS(values))], JSON_DECODE_ANY, NULL);
}

/* Something in the tree becomes something else, is gone, or is there twice. */
static void mutate(struct gen_random *random, json_t *at)
{
	size_t n = json_is_array(at) ? json_array_size(at) : json_object_size(at),
	       i = gen_below(random, (unsigned)n);
	void *member = json_object_iter(at);

	for (size_t k = 0; member && k < i; k++)
		member = json_object_iter_next(at, member);
	json_t *child = json_is_array(at) ? json_array_get(at, i)
			: member          ? json_object_iter_value(member)
					  : NULL;
	if (!child)
		return;
	if ((json_is_array(child) || json_is_object(child)) && !gen_once_in(random, 8))
		return mutate(random, child);
	switch (gen_below(random, 4)) {
	case 0:
		if (member)
			json_object_del(at, json_object_iter_key(member));
		else
			json_array_remove(at, i);
		break;
	case 1:
		if (!member)
			json_array_append_new(at, json_deep_copy(child));
		else
			json_object_set_new(at, "more", odd_value(random));
		break;
	default:
		if (member)
			json_object_iter_set_new(at, member, odd_value(random));
		else
			json_array_set_new(at, i, odd_value(random));
	}
}

/* What a decoder takes, it means: encoding it again and decoding that gives the same. */
static void check_group(const json_t *object, unsigned *taken)
{
	g_autoptr(GError) error = NULL;
	_cleanup_(policy_rules_free) struct policy_rules *rules =
		policy_rules_decode("g", json_object_get(object, "rules"), &error);

	if (!rules) {
		g_assert_error(error, FAULT, FAULT_INVALID);
		g_assert_true(g_str_has_prefix(error->message, "rules"));
		return;
	}
	json_t *once = policy_rules_encode(&rules->group);
	_cleanup_(policy_rules_free) struct policy_rules *again = policy_rules_decode("g", once, &error);
	g_assert_no_error(error);
	json_t *twice = policy_rules_encode(&again->group);
	g_assert_true(json_equal(once, twice));
	json_decref(once);
	json_decref(twice);
	(*taken)++;
}

static void test_mutations(void)
{
	const char *text = g_getenv("SEED");
	struct gen_random random = {text ? g_ascii_strtoull(text, NULL, 10) : 1};
	unsigned whole = 0, groups = 0;

	_cleanup_(policy_gen_free) struct policy_gen *gen = policy_gen_new(random.state,
		&(struct policy_gen_config){.rules_max = 5, .groups = 3, .networks = 2, .nics = 3});
	json_t *original = policy_gen_state(gen, 1);
	for (unsigned i = 0; i < MUTATIONS; i++) {
		g_autoptr(GError) error = NULL;
		json_t *json = json_deep_copy(original), *group;
		size_t index;
		for (unsigned n = 1 + gen_below(&random, 3); n > 0; n--)
			mutate(&random, json);
		_cleanup_(policy_state_free) struct policy_state *state = policy_state_decode(json, &error);
		if (!state)
			g_assert_error(error, FAULT, FAULT_INVALID);
		whole += state != NULL;
		json_array_foreach(json_object_get(json, "groups"), index, group) check_group(group, &groups);
		json_decref(json);
	}
	json_decref(original);
	g_test_message("%u states and %u groups of %u were taken", whole, groups, MUTATIONS);
	/* Neither all nor nothing: both ways out were taken. */
	g_assert_cmpuint(whole, >, MUTATIONS / 50);
	g_assert_cmpuint(whole, <, MUTATIONS);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/policy_state/references lead to groups and networks", test_references);
	g_test_add_func("/policy_state/a NIC is found by its uid, or by a name of its own", test_find);
	g_test_add_func("/policy_state/an address is found by either of its two", test_find_address);
	g_test_add_func("/policy_state/a fault starts with the path of the bad member", test_faults);
	g_test_add_func("/policy_state/JSON that is anything is refused or understood", test_mutations);
	return g_test_run();
}
