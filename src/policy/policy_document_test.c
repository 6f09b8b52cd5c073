/* The document of a NIC's rules: what it says, and that it says the same of the same rules. */
#include "policy/policy_document.h"

#include "policy/policy_gen.h"
#include "policy/policy_json.h"

#include <stdlib.h>
#include <string.h>

static const struct ip_prefix space[] = {{.addr = {.family = IP_V4, .bytes = {10}}, .length = 8}};
static const struct ip_prefix own = {.addr = {.family = IP_V4, .bytes = {10, 0, 0, 4}}, .length = 32};

static struct policy_rules *rules_of(const char *json)
{
	json_auto_t *rules = json_loads(json, 0, NULL);
	g_autoptr(GError) error = NULL;
	struct policy_rules *decoded = policy_rules_decode("g", rules, &error);

	g_assert_no_error(error);
	return decoded;
}

static json_t *encode(const struct policy_group *subnet, const struct policy_group *nic, size_t n_standard)
{
	const struct policy_nic policy = {
		.subnet_group = subnet, .nic_group = nic, .space = {.n_prefixes = 1, .prefixes = space}};

	return policy_document_encode(&(struct policy_document){
		.nic = &policy, .subnet_revalidates = true, .n_standard = n_standard, .standard = &own});
}

static void assert_json(const json_t *json, const char *wanted)
{
	json_auto_t *golden = json_loads(wanted, JSON_DECODE_ANY, NULL);
	char *text = json_dumps(json, JSON_ENCODE_ANY);

	g_assert_nonnull(golden);
	if (!json_equal(json, golden))
		g_error("this is not what is wanted: %s", text);
	free(text);
}

#define ANY      "{\"prefixes\": [\"0.0.0.0/0\", \"::/0\"], \"ports\": []}"
#define VNET     "{\"prefixes\": [\"10.0.0.0/8\", \"168.63.129.16/32\"], \"ports\": []}"
#define BALANCER "{\"prefixes\": [\"168.63.129.16/32\"], \"ports\": []}"
#define SSH                                                                                                  \
	"{\"name\": \"ssh\", \"direction\": \"inbound\", \"priority\": 100, \"protocol\": \"tcp\", "         \
	"\"action\": "                                                                                       \
	"\"allow\", \"source\": {\"prefixes\": [\"192.0.2.1/32\", \"192.0.2.0/32\"]}, \"destination\": "     \
	"{\"any\": "                                                                                         \
	"true, \"ports\": [[80, 81], [22, 22], [82, 90]]}}"
#define WEB                                                                                                  \
	"{\"name\": \"web\", \"direction\": \"inbound\", \"priority\": 200, \"protocol\": \"icmp\", "        \
	"\"action\": "                                                                                       \
	"\"deny\", \"source\": {\"any\": true}, \"destination\": {\"any\": true}}"

static void test_shape(void)
{
	_cleanup_(policy_rules_free) struct policy_rules *group = rules_of("[" SSH "]");
	json_auto_t *json = encode(&group->group, NULL, 0);

	assert_json(json_object_get(json, "inbound"),
		"[{\"revalidate\": true, \"rules\": [{\"action\": \"allow\", \"protocol\": 6, \"source\": "
		"{\"prefixes\": [\"192.0.2.0/31\"], \"ports\": []}, \"destination\": {\"prefixes\": "
		"[\"0.0.0.0/0\", \"::/0\"], \"ports\": [[22, 22], [80, 90]]}}, "
		"{\"action\": \"allow\", \"protocol\": \"any\", \"source\": " VNET ", \"destination\": " VNET
		"}, "
		"{\"action\": \"allow\", \"protocol\": \"any\", \"source\": " BALANCER
		", \"destination\": " ANY "}, "
		"{\"action\": \"deny\", \"protocol\": \"any\", \"source\": " ANY ", \"destination\": " ANY
		"}]}]");
	g_assert_cmpint(json_integer_value(json_object_get(json, "version")), ==, 1);
}

static void test_order(void)
{
	_cleanup_(policy_rules_free) struct policy_rules *a = rules_of("[" SSH "]"),
							 *b = rules_of("[" WEB "]");
	json_auto_t *json = encode(&a->group, &b->group, 0);
	const json_t *inbound = json_object_get(json, "inbound"),
		     *outbound = json_object_get(json, "outbound");

	g_assert_cmpuint(json_array_size(inbound), ==, 2);
	g_assert_true(json_is_true(json_object_get(json_array_get(inbound, 0), "revalidate")));
	g_assert_true(json_is_false(json_object_get(json_array_get(inbound, 1), "revalidate")));
	g_assert_true(json_is_false(json_object_get(json_array_get(outbound, 0), "revalidate")));
}

static void test_no_group(void)
{
	json_auto_t *open = encode(NULL, NULL, 0), *closed = encode(NULL, NULL, 1);

	assert_json(open, "{\"version\": 1, \"inbound\": [], \"outbound\": []}");
	assert_json(json_object_get(closed, "outbound"), "[]");
	const json_t *rules = json_object_get(json_array_get(json_object_get(closed, "inbound"), 0), "rules");
	g_assert_cmpuint(json_array_size(rules), ==, 2);
	assert_json(json_object_get(json_array_get(rules, 0), "destination"),
		"{\"prefixes\": [\"10.0.0.4/32\"], \"ports\": []}");
	assert_json(json_object_get(json_array_get(rules, 1), "source"), ANY);
}

static void test_same_text(void)
{
	static const char again[] =
		"[" WEB ", {\"name\": \"other\", \"direction\": \"inbound\", \"priority\": 150, "
		"\"protocol\": \"tcp\", "
		"\"action\": \"allow\", \"source\": {\"prefixes\": [\"192.0.2.0/32\", \"192.0.2.1/32\", "
		"\"192.0.2.0/31\"]}, \"destination\": {\"prefixes\": [\"0.0.0.0/0\", \"::/0\"], \"ports\": "
		"[[22, "
		"22], [80, 85], [84, 90]]}}]";
	_cleanup_(policy_rules_free) struct policy_rules *a = rules_of("[" SSH ", " WEB "]"),
							 *b = rules_of(again), *c = rules_of("[" WEB "]");
	json_auto_t *one = encode(&a->group, NULL, 0), *two = encode(&b->group, NULL, 0),
		    *three = encode(&c->group, NULL, 0);
	char *texts[] = {policy_document_text(one), policy_document_text(two), policy_document_text(three)};

	g_assert_cmpstr(texts[0], ==, texts[1]);
	g_assert_cmpstr(texts[0], !=, texts[2]);
	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
		g_free(texts[i]);
}

static void reverse(struct policy_rule *rules, size_t n)
{
	for (size_t i = 0; i < n / 2; i++) {
		struct policy_rule other = rules[i];
		rules[i] = rules[n - 1 - i];
		rules[n - 1 - i] = other;
	}
}

static char *text_of(const struct policy_group *group, const struct policy_space *members)
{
	const struct policy_nic nic = {.nic_group = group, .space = *members};
	json_auto_t *json = policy_document_encode(&(struct policy_document){.nic = &nic});

	return policy_document_text(json);
}

static void test_random(void)
{
	for (uint64_t seed = 1; seed <= 20; seed++) {
		_cleanup_(policy_gen_free) struct policy_gen *gen =
			policy_gen_new(seed, &(struct policy_gen_config){.rules_max = 50});
		const struct policy_gen_world *world = policy_gen_world(gen);
		for (unsigned i = 0; i < world->n_groups; i++) {
			const struct policy_group *group = &world->groups[i];
			g_autofree struct policy_rule *rules =
				g_memdup2(group->rules, group->n_rules * sizeof *rules);
			const struct policy_group other = {.n_rules = group->n_rules, .rules = rules};
			reverse(rules, group->n_rules);
			g_autofree char *a = text_of(group, &world->networks[0].space),
					*b = text_of(&other, &world->networks[0].space);
			g_assert_cmpstr(a, ==, b);
		}
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/document/tags, defaults and members are said as what they stand for", test_shape);
	g_test_add_func("/document/groups come in the order in which a packet meets them", test_order);
	g_test_add_func("/document/a NIC without groups is open, but for what Standard addresses close",
		test_no_group);
	g_test_add_func("/document/the same rules written otherwise have the same text", test_same_text);
	g_test_add_func("/document/the order of listing changes no text", test_random);
	return g_test_run();
}
