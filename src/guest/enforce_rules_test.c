/* Policy documents as nftables rules: what the text says, and what never gets into it. What it does to packets is
 * tested in test/net/guest_policy_test.py. */
#include "guest/enforce_rules.h"

#include "base/fault.h"

#include <string.h>

#define ANY "{\"prefixes\": [\"0.0.0.0/0\", \"::/0\"], \"ports\": []}"
#define SSH                                                                                                  \
	"{\"action\": \"allow\", \"protocol\": 6, \"source\": {\"prefixes\": [\"10.0.0.0/8\"], \"ports\": "  \
	"[]}, "                                                                                              \
	"\"destination\": {\"prefixes\": [\"0.0.0.0/0\"], \"ports\": [[22, 22], [80, 90]]}}"
#define PING "{\"action\": \"deny\", \"protocol\": \"icmp\", \"source\": " ANY ", \"destination\": " ANY "}"

/* Owned by the caller; NULL with error. */
static char *text_of(const char *interface, const char *document, GError **error)
{
	json_t *policy = json_loads(document, 0, NULL);
	const struct enforce_nic nic = {.interface = interface, .policy = policy};

	g_assert_nonnull(policy);
	char *text = enforce_rules_text(&nic, 1, 5, error);
	json_decref(policy);
	return text;
}

static char *with_rule(const char *rule)
{
	return g_strdup_printf("{\"version\": 1, \"outbound\": [], \"inbound\": [{\"revalidate\": true, "
			       "\"rules\": [%s]}]}",
		rule);
}

static void assert_has(const char *text, const char *part)
{
	if (!strstr(text, part))
		g_error("no \"%s\" in:\n%s", part, text);
}

static void test_rules(void)
{
	g_autofree char *document = with_rule(SSH ", " PING);
	g_autoptr(GError) error = NULL;
	g_autofree char *text = text_of("eth0", document, &error);

	g_assert_no_error(error);
	assert_has(text, " chain n0_in_0 {\n"
			 "  meta nfproto ipv4 meta l4proto 6 ip saddr { 10.0.0.0/8 } th dport { 22-22, 80-90 "
			 "} return\n"
			 "  meta nfproto ipv4 meta l4proto 1 drop\n"
			 "  meta nfproto ipv6 meta l4proto 58 drop\n"
			 "  drop\n }\n");
	assert_has(text, " chain n0_in_back_0 {\n"
			 "  meta nfproto ipv4 meta l4proto 6 ip daddr { 10.0.0.0/8 } th sport { 22-22, 80-90 "
			 "} return\n");
	/* A guest may be without /etc/protocols. */
	g_assert_false(g_regex_match_simple("l4proto[ {]*[a-z]", text, 0, 0));
	assert_has(text, "iifname vmap { \"eth0\" : goto n0_arrive }");
	assert_has(text, "oifname vmap { \"eth0\" : goto n0_leave }");
}

static void test_generations(void)
{
	g_autofree char *document = with_rule(SSH);
	g_autofree char *text = text_of("eth0", document, NULL);

	assert_has(text, "ct state new,established ct mark and 0x000fff00 == 0x00000500 accept");
	assert_has(text, "ct mark set ct mark and 0xfff000ff or 0x00000500");
	assert_has(text, "ct state new,established ct mark and 0xfff00000 == 0x00500000 accept");
	assert_has(text, "ct mark set ct mark and 0x000fffff or 0x00500000");
	g_assert_cmpuint(enforce_generation_after(0), ==, 1);
	g_assert_cmpuint(enforce_generation_after(1), ==, 2);
	g_assert_cmpuint(enforce_generation_after(ENFORCE_GENERATION_MAX), ==, 1);
}

static void test_nothing(void)
{
	g_autofree char *text = enforce_rules_text(NULL, 0, 1, NULL);

	g_assert_cmpstr(text, ==, ENFORCE_RULES_NONE);
}

static void test_keep(void)
{
	g_autofree char *text = text_of("eth0",
		"{\"version\": 1, \"outbound\": [], \"inbound\": [{\"revalidate\": true, \"rules\": []}, "
		"{\"revalidate\": false, \"rules\": []}]}",
		NULL);

	assert_has(text, " chain n0_in_again {\n  jump n0_in_0\n  ct mark set");
	assert_has(text, "  jump n0_in_0\n  jump n0_in_1\n  ct mark set");
}

/* Others on the VLAN can take the platform's addresses. */
static void test_platform(void)
{
	g_autofree char *text = text_of("eth0", "{\"version\": 1, \"outbound\": [], \"inbound\": []}", NULL);

	assert_has(text,
		" chain n0_arrive {\n"
		"  ether saddr 12:34:56:78:9a:bc ip saddr { 168.63.129.16, 169.254.169.254 } accept\n"
		"  ether saddr 12:34:56:78:9a:bc meta nfproto ipv4 udp sport 67 udp dport 68 accept\n"
		"  ether saddr 12:34:56:78:9a:bc ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept\n"
		"  icmpv6 type ");
}

/* The host is trusted with the rules, not with this guest's shell. */
static void test_hostile(void)
{
	static const char *const rules[] = {
		"{\"action\": \"accept\", \"protocol\": \"any\", \"source\": " ANY ", \"destination\": " ANY
		"}",
		"{\"action\": \"allow\", \"protocol\": \"6 accept\", \"source\": " ANY
		", \"destination\": " ANY "}",
		"{\"action\": \"allow\", \"protocol\": 256, \"source\": " ANY ", \"destination\": " ANY "}",
		"{\"action\": \"allow\", \"protocol\": 6, \"source\": " ANY "}",
		"{\"action\": \"allow\", \"protocol\": 6, \"source\": {\"prefixes\": [\"10.0.0.0/8 }\"], "
		"\"ports\": []}, \"destination\": " ANY "}",
		"{\"action\": \"allow\", \"protocol\": 6, \"source\": {\"prefixes\": [\"10.0.0.0/8\"], "
		"\"ports\": "
		"[[1, 65536]]}, \"destination\": " ANY "}",
		"{\"action\": \"allow\", \"protocol\": 6, \"source\": {\"prefixes\": [\"10.0.0.0/8\"], "
		"\"ports\": "
		"[[2, 1]]}, \"destination\": " ANY "}",
		"{\"action\": \"allow\", \"protocol\": 6, \"source\": {\"prefixes\": [\"10.0.0.0/8\"]}, "
		"\"destination\": " ANY "}",
		"7",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rules); i++) {
		g_autofree char *document = with_rule(rules[i]);
		g_autoptr(GError) error = NULL;
		g_assert_null(text_of("eth0", document, &error));
		g_assert_error(error, FAULT, FAULT_INVALID);
		assert_has(error->message, "the rules of eth0 are not understood: rule 0 of group 0 in: ");
	}
}

static void test_other_documents(void)
{
	static const char *const documents[] = {
		"{}",
		"{\"version\": 2, \"inbound\": [], \"outbound\": []}",
		"{\"version\": 1, \"inbound\": {}, \"outbound\": []}",
		"{\"version\": 1, \"inbound\": [{}], \"outbound\": []}",
		"{\"version\": 1, \"inbound\": [], \"outbound\": [{\"rules\": []}]}",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(documents); i++) {
		g_autoptr(GError) error = NULL;
		g_assert_null(text_of("eth0", documents[i], &error));
		g_assert_error(error, FAULT, FAULT_INVALID);
	}
}

static void test_names(void)
{
	static const char *const names[] = {"eth*", "a\"b", "a\\b", "a b", "a\nb"};
	g_autofree char *document = with_rule(SSH);

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autoptr(GError) error = NULL;
		g_assert_null(text_of(names[i], document, &error));
		g_assert_error(error, FAULT, FAULT_INVALID);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/enforce/a rule is said for either family and either direction", test_rules);
	g_test_add_func(
		"/enforce/a connection's mark says which generation let it in and out", test_generations);
	g_test_add_func("/enforce/without NICs the table is removed", test_nothing);
	g_test_add_func("/enforce/known connections are asked of groups that revalidate only", test_keep);
	g_test_add_func("/enforce/the platform is known by its MAC", test_platform);
	g_test_add_func("/enforce/nothing of a document gets into the rules unchecked", test_hostile);
	g_test_add_func("/enforce/a document of another form is refused", test_other_documents);
	g_test_add_func("/enforce/an interface that nft would misread is refused", test_names);
	return g_test_run();
}
