/* Policy documents as nftables rules: see enforce_rules.h. */
#include "guest/enforce_rules.h"

#include "base/fault.h"
#include "base/gateway.h"
#include "base/ip.h"

#include <netinet/in.h>
#include <string.h>

#define DOCUMENT_VERSION 1
#define PLATFORM         "{ 168.63.129.16, 169.254.169.254 }"
#define PORT_MAX         65535

/* Where in the mark the generation stands by which a connection was let in, or out. */
struct mark {
	unsigned shift;
};
static const struct mark in_mark = {8}, out_mark = {20};

struct build {
	GString *out;
	unsigned generation;
	size_t nic; /* number of the one at hand */
	GError **error;
};

/* One group's rules in one direction: for packets of the connection's first direction, or its answers. */
struct chain {
	const char *direction; /* "in", "out" */
	bool back;
};

unsigned enforce_generation_after(unsigned generation)
{
	return generation % ENFORCE_GENERATION_MAX + 1;
}

/* ---- one rule ---- */

/* What a rule says of packets of one family. */
struct match {
	enum ip_family family;
	const json_t *protocol, *source, *destination;
	bool has_ports;
};

static const char *family_word(enum ip_family family)
{
	return family == IP_V4 ? "ip" : "ip6";
}

/* Into `out` " ip saddr { … }", nothing when any address matches. False with no error when none does. */
static bool add_prefixes(
	const json_t *list, enum ip_family family, const char *word, GString *out, GError **error)
{
	g_autoptr(GString) text = g_string_new(NULL);
	const json_t *value;
	size_t i;

	if (!json_is_array(list))
		return fault_set(error, FAULT_INVALID, "prefixes must be an array");
	json_array_foreach(list, i, value)
	{
		const char *prefix_text = json_string_value(value);
		char clean[PREFIX_TEXT_MAX];
		struct ip_prefix prefix;
		if (!prefix_text || prefix_parse(prefix_text, &prefix) < 0)
			return fault_set(error, FAULT_INVALID, "prefixes[%zu] is no prefix", i);
		if (prefix.addr.family != family)
			continue;
		if (prefix.length == 0)
			return true;
		g_string_append_printf(text, "%s%s", text->len ? ", " : "", prefix_format(prefix, clean));
	}
	if (text->len == 0)
		return false;
	g_string_append_printf(out, " %s %s { %s }", family_word(family), word, text->str);
	return true;
}

static bool add_ports(const json_t *list, const char *word, GString *out, GError **error)
{
	g_autoptr(GString) text = g_string_new(NULL);
	const json_t *value;
	size_t i;

	if (!json_is_array(list))
		return fault_set(error, FAULT_INVALID, "ports must be an array");
	json_array_foreach(list, i, value)
	{
		int first, last;
		if (json_unpack((json_t *)value, "[ii!]", &first, &last) < 0 || first < 0 || first > last ||
			last > PORT_MAX)
			return fault_set(error, FAULT_INVALID, "ports[%zu] is no range of ports", i);
		if (first == 0 && last == PORT_MAX)
			return true;
		g_string_append_printf(text, "%s%d-%d", text->len ? ", " : "", first, last);
	}
	if (text->len)
		g_string_append_printf(out, " th %s { %s }", word, text->str);
	return true;
}

/* False with no error when no packet of the family has it. */
static bool add_protocol(const struct match *match, GString *out, GError **error)
{
	const char *word = json_string_value(match->protocol);
	json_int_t number = json_integer_value(match->protocol);

	if (g_strcmp0(word, "any") == 0) {
		g_string_append(out, match->has_ports ? " meta l4proto { 6, 17 }" : "");
		return true;
	}
	if (g_strcmp0(word, "icmp") == 0)
		number = match->family == IP_V4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	else if (!json_is_integer(match->protocol) || number < 1 || number > UINT8_MAX)
		return fault_set(error, FAULT_INVALID, "protocol is neither \"any\", \"icmp\" nor 1 to 255");
	g_string_append_printf(out, " meta l4proto %d", (int)number);
	return !match->has_ports || number == IPPROTO_TCP || number == IPPROTO_UDP;
}

/* One line for the packets of one family; none when none can match. */
static bool add_line(
	struct build *b, const struct match *match, const struct chain *chain, const char *verdict)
{
	const json_t *source_prefixes = json_object_get(match->source, "prefixes"),
		     *source_ports = json_object_get(match->source, "ports"),
		     *destination_prefixes = json_object_get(match->destination, "prefixes"),
		     *destination_ports = json_object_get(match->destination, "ports");
	const char *source = chain->back ? "daddr" : "saddr", *source_port = chain->back ? "dport" : "sport",
		   *destination = chain->back ? "saddr" : "daddr",
		   *destination_port = chain->back ? "sport" : "dport";
	g_autoptr(GString) line = g_string_new(NULL);
	GError *cause = NULL;

	g_string_printf(line, "  meta nfproto %s", match->family == IP_V4 ? "ipv4" : "ipv6");
	bool matches = add_protocol(match, line, &cause) &&
		       add_prefixes(source_prefixes, match->family, source, line, &cause) &&
		       add_prefixes(destination_prefixes, match->family, destination, line, &cause) &&
		       add_ports(source_ports, source_port, line, &cause) &&
		       add_ports(destination_ports, destination_port, line, &cause);
	if (cause) {
		g_propagate_error(b->error, cause);
		return false;
	}
	if (matches)
		g_string_append_printf(b->out, "%s %s\n", line->str, verdict);
	return true;
}

static bool add_rule(struct build *b, const json_t *rule, const struct chain *chain)
{
	const char *action = json_string_value(json_object_get(rule, "action"));
	struct match match = {
		.protocol = json_object_get(rule, "protocol"),
		.source = json_object_get(rule, "source"),
		.destination = json_object_get(rule, "destination"),
	};
	bool allow = g_strcmp0(action, "allow") == 0;

	if (!allow && g_strcmp0(action, "deny") != 0)
		return fault_set(b->error, FAULT_INVALID, "action is neither \"allow\" nor \"deny\"");
	match.has_ports = json_array_size(json_object_get(match.source, "ports")) > 0 ||
			  json_array_size(json_object_get(match.destination, "ports")) > 0;
	match.family = IP_V4;
	if (!add_line(b, &match, chain, allow ? "return" : "drop"))
		return false;
	match.family = IP_V6;
	return add_line(b, &match, chain, allow ? "return" : "drop");
}

/* ---- the chains of a NIC ---- */

static bool add_group(struct build *b, const json_t *group, size_t number, const struct chain *chain)
{
	const json_t *rules = json_object_get(group, "rules"), *rule;
	size_t i;

	if (!json_is_array(rules) || !json_is_boolean(json_object_get(group, "revalidate")))
		return fault_set(b->error, FAULT_INVALID,
			"a group must have an array \"rules\" and a bool \"revalidate\"");
	g_string_append_printf(b->out, " chain n%zu_%s%s_%zu {\n", b->nic, chain->direction,
		chain->back ? "_back" : "", number);
	json_array_foreach(rules, i, rule)
	{
		if (!add_rule(b, rule, chain)) {
			g_prefix_error(b->error, "rule %zu of group %zu %s: ", i, number, chain->direction);
			return false;
		}
	}
	g_string_append(b->out, "  drop\n }\n");
	return true;
}

static void add_jumps(struct build *b, const json_t *groups, const struct chain *chain, bool all)
{
	const json_t *group;
	size_t i;

	json_array_foreach(groups, i, group)
	{
		if (all || json_is_true(json_object_get(group, "revalidate")))
			g_string_append_printf(b->out, "  jump n%zu_%s%s_%zu\n", b->nic, chain->direction,
				chain->back ? "_back" : "", i);
	}
}

static void add_pass(struct build *b, const struct mark *mark)
{
	guint32 field = (guint32)ENFORCE_GENERATION_MAX << mark->shift;

	g_string_append_printf(b->out, "  ct mark set ct mark and 0x%08x or 0x%08x\n  accept\n }\n", ~field,
		b->generation << mark->shift);
}

/* A connection is known by its mark, but one that another expected (of FTP, say) has inherited that. */
static bool add_chains(
	struct build *b, const json_t *groups, const struct chain *chain, const struct mark *mark)
{
	const char *back = chain->back ? "_back" : "";
	guint32 field = (guint32)ENFORCE_GENERATION_MAX << mark->shift;
	const json_t *group;
	size_t i;

	json_array_foreach(groups, i, group)
	{
		if (!add_group(b, group, i, chain))
			return false;
	}
	g_string_append_printf(b->out, " chain n%zu_%s%s_again {\n", b->nic, chain->direction, back);
	add_jumps(b, groups, chain, false);
	add_pass(b, mark);
	g_string_append_printf(b->out,
		" chain n%zu_%s%s {\n"
		"  ct state new,established ct mark and 0x%08x == 0x%08x accept\n"
		"  ct state new,established ct mark and 0x%08x != 0 goto n%zu_%s%s_again\n",
		b->nic, chain->direction, back, field, b->generation << mark->shift, field, b->nic,
		chain->direction, back);
	add_jumps(b, groups, chain, true);
	add_pass(b, mark);
	return true;
}

/* On the NIC's VLAN others can take the platform's addresses, but not its MAC. */
static void add_gates(struct build *b)
{
	char gateway[MAC_TEXT_MAX];

	mac_format((struct mac_addr){GATEWAY_MAC}, gateway);
	g_string_append_printf(b->out,
		" chain n%zu_arrive {\n"
		"  ether saddr %s ip saddr " PLATFORM " accept\n"
		"  ether saddr %s meta nfproto ipv4 udp sport 67 udp dport 68 accept\n"
		"  ether saddr %s ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept\n"
		"  icmpv6 type { nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } ip6 hoplimit "
		"255 "
		"accept\n"
		"  meta l4proto { 1, 58 } ct state related accept\n"
		"  ct direction reply goto n%zu_out_back\n"
		"  goto n%zu_in\n }\n",
		b->nic, gateway, gateway, gateway, b->nic, b->nic);
	g_string_append_printf(b->out,
		" chain n%zu_leave {\n"
		"  ip daddr " PLATFORM " accept\n"
		"  meta nfproto ipv4 udp sport 68 udp dport 67 accept\n"
		"  ip6 saddr fe80::/10 udp sport 546 udp dport 547 accept\n"
		"  icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert } ip6 hoplimit "
		"255 "
		"accept\n"
		"  meta l4proto { 1, 58 } ct state related accept\n"
		"  ct direction reply goto n%zu_in_back\n"
		"  goto n%zu_out\n }\n",
		b->nic, b->nic, b->nic);
}

static bool add_nic(struct build *b, const json_t *policy)
{
	const json_t *in = json_object_get(policy, "inbound"), *out = json_object_get(policy, "outbound");

	if (json_integer_value(json_object_get(policy, "version")) != DOCUMENT_VERSION)
		return fault_set(b->error, FAULT_INVALID,
			"its version is not %d, the one that this program knows; install a newer one",
			DOCUMENT_VERSION);
	if (!json_is_array(in) || !json_is_array(out))
		return fault_set(b->error, FAULT_INVALID, "it must have arrays \"inbound\" and \"outbound\"");
	if (!add_chains(b, in, &(struct chain){"in", false}, &in_mark) ||
		!add_chains(b, in, &(struct chain){"in", true}, &in_mark) ||
		!add_chains(b, out, &(struct chain){"out", false}, &out_mark) ||
		!add_chains(b, out, &(struct chain){"out", true}, &out_mark))
		return false;
	add_gates(b);
	return true;
}

/* ---- the table ---- */

/* Linux allows in a name what nft would read as a pattern or the end of a text. */
static bool is_plain(const char *interface)
{
	return strspn(interface, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-@") ==
	       strlen(interface);
}

static void add_hook(struct build *b, const struct enforce_nic *nics, size_t n, const char *name,
	const char *hook, const char *key)
{
	g_string_append_printf(
		b->out, " chain %s {\n  type filter hook %s; policy accept;\n  %s vmap {", name, hook, key);
	for (size_t i = 0; i < n; i++)
		g_string_append_printf(
			b->out, "%s \"%s\" : goto n%zu_%s", i ? "," : "", nics[i].interface, i, name);
	g_string_append(b->out, " }\n }\n");
}

char *enforce_rules_text(const struct enforce_nic *nics, size_t n, unsigned generation, GError **error)
{
	g_autoptr(GString) out = g_string_new(ENFORCE_RULES_NONE);
	struct build b = {.out = out, .generation = generation, .error = error};

	if (n == 0)
		return g_string_free(g_steal_pointer(&out), false);
	g_string_append(out, "table " ENFORCE_TABLE " {\n");
	for (b.nic = 0; b.nic < n; b.nic++) {
		const char *interface = nics[b.nic].interface;
		if (!is_plain(interface)) {
			fault_set(error, FAULT_INVALID,
				"interface %s has a name that nftables would misread; rename it", interface);
			return NULL;
		}
		if (!add_nic(&b, nics[b.nic].policy)) {
			g_prefix_error(error, "the rules of %s are not understood: ", interface);
			return NULL;
		}
	}
	add_hook(&b, nics, n, "arrive", "prerouting priority -150", "iifname");
	add_hook(&b, nics, n, "leave", "postrouting priority 200", "oifname");
	g_string_append(out, "}\n");
	return g_string_free(g_steal_pointer(&out), false);
}
