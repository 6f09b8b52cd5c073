/* Addresses, prefixes and MAC addresses: tables of what is what. */
#include "base/ip.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

static struct ip_addr address(const char *text)
{
	struct ip_addr addr = {};

	if (!g_str_equal(text, "-"))
		g_assert_cmpint(ip_parse(text, &addr), ==, 0);
	return addr;
}

static struct ip_prefix prefix(const char *text)
{
	struct ip_prefix parsed = {};

	if (!g_str_equal(text, "-"))
		g_assert_cmpint(prefix_parse(text, &parsed), ==, 0);
	return parsed;
}

static void test_address_round_trip(void)
{
	static const struct {
		const char *text, *canonical;
		unsigned family;
	} cases[] = {
		{"0.0.0.0", "0.0.0.0", IP_V4},
		{"10.0.0.4", "10.0.0.4", IP_V4},
		{"255.255.255.255", "255.255.255.255", IP_V4},
		{"::", "::", IP_V6},
		{"::1", "::1", IP_V6},
		{"FD00:0:0:0::1", "fd00::1", IP_V6},
		{"::ffff:10.0.0.4", "::ffff:10.0.0.4", IP_V6},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", IP_V6},
	};
	char text[IP_TEXT_MAX];

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct ip_addr addr = address(cases[i].text);
		g_assert_cmpuint(addr.family, ==, cases[i].family);
		g_assert_cmpstr(ip_format(addr, text), ==, cases[i].canonical);
		g_assert_true(ip_equal(address(text), addr));
	}
	g_assert_cmpstr(ip_format((struct ip_addr){}, text), ==, "-");
}

static void test_address_bytes(void)
{
	static const uint8_t v4[16] = {10, 0, 0, 4};
	static const uint8_t v6[16] = {0xfd, 0, [15] = 1};

	g_assert_cmpmem(address("10.0.0.4").bytes, 16, v4, 16);
	g_assert_cmpmem(address("fd00::1").bytes, 16, v6, 16);
	g_assert_false(ip_equal(address("0.0.0.0"), address("::")));
}

static void test_address_refused(void)
{
	static const char *const cases[] = {NULL, "", " ", "10.0.0", "10.0.0.0.0", "10.0.0.256", "10.0.0.04",
		"10.0.0.4 ", " 10.0.0.4", "10.0.0.4/32", "0x0a.0.0.4",
		":::", "::1::", "12345::", "fe80::1%lo", "1:2:3:4:5:6:7:8:9", "localhost", "-"};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct ip_addr addr = {.family = 77};
		g_assert_cmpint(ip_parse(cases[i], &addr), ==, -EINVAL);
		g_assert_cmpuint(addr.family, ==, 77); /* a failure leaves the result alone */
	}
}

static void test_prefix_parse(void)
{
	static const struct {
		const char *text;
		int result;
		const char *canonical;
	} cases[] = {
		{"10.0.0.0/16", 0, "10.0.0.0/16"},
		{"10.0.0.4", 0, "10.0.0.4/32"},
		{"10.0.0.4/32", 0, "10.0.0.4/32"},
		{"0.0.0.0/0", 0, "0.0.0.0/0"},
		{"128.0.0.0/1", 0, "128.0.0.0/1"},
		{"10.128.0.0/9", 0, "10.128.0.0/9"},
		{"FD00::/8", 0, "fd00::/8"},
		{"::/0", 0, "::/0"},
		{"fd00::1", 0, "fd00::1/128"},
		{"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/128", 0,
			"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"},
		{"10.0.0.1/31", -ERANGE, NULL},
		{"10.0.0.4/16", -ERANGE, NULL},
		{"64.0.0.0/1", -ERANGE, NULL},
		{"0.0.0.1/0", -ERANGE, NULL},
		{"fd00::1/127", -ERANGE, NULL},
		{"::8000:0:0:0/64", -ERANGE, NULL},
		{"10.0.0.0/33", -EINVAL, NULL},
		{"::/129", -EINVAL, NULL},
		{"10.0.0.0/", -EINVAL, NULL},
		{"10.0.0.0/ 8", -EINVAL, NULL},
		{"10.0.0.0/8 ", -EINVAL, NULL},
		{"10.0.0.0/+8", -EINVAL, NULL},
		{"10.0.0.0/-1", -EINVAL, NULL},
		{"10.0.0.0/8/8", -EINVAL, NULL},
		{"10.0.0.0/0x8", -EINVAL, NULL},
		{"10.0.0.0/18446744073709551616", -EINVAL, NULL},
		{"10.0.0.0/4294967304", -EINVAL, NULL},
		{"/8", -EINVAL, NULL},
		{"", -EINVAL, NULL},
		{NULL, -EINVAL, NULL},
		{"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/0128", -EINVAL, NULL},
	};
	char text[PREFIX_TEXT_MAX];

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct ip_prefix parsed = {.length = 255};
		g_test_message("%s", cases[i].text ? cases[i].text : "(null)");
		g_assert_cmpint(prefix_parse(cases[i].text, &parsed), ==, cases[i].result);
		if (cases[i].result == 0)
			g_assert_cmpstr(prefix_format(parsed, text), ==, cases[i].canonical);
		else
			g_assert_cmpuint(parsed.length, ==, 255);
	}
}

static void test_prefix_contains(void)
{
	static const struct {
		const char *prefix, *addr;
		bool expected;
	} cases[] = {
		{"10.0.0.0/16", "10.0.0.0", true},
		{"10.0.0.0/16", "10.0.255.255", true},
		{"10.0.0.0/16", "10.1.0.0", false},
		{"10.0.0.0/16", "9.255.255.255", false},
		{"10.0.0.64/26", "10.0.0.127", true},
		{"10.0.0.64/26", "10.0.0.128", false},
		{"0.0.0.0/0", "255.255.255.255", true},
		{"0.0.0.0/0", "::", false},
		{"::/0", "0.0.0.0", false},
		{"::/0", "ffff::", true},
		{"fd00:0:0:8000::/49", "fd00:0:0:ffff::1", true},
		{"fd00:0:0:8000::/49", "fd00:0:0:7fff::1", false},
		{"fd00::1/128", "fd00::1", true},
		{"fd00::1/128", "fd00::2", false},
		{"0.0.0.0/0", "-", false},
		{"-", "-", false},
		{"-", "0.0.0.0", false},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_test_message("%s has %s", cases[i].prefix, cases[i].addr);
		g_assert_cmpint(prefix_contains(prefix(cases[i].prefix), address(cases[i].addr)), ==,
			cases[i].expected);
	}
}

static void test_prefix_relations(void)
{
	static const struct {
		const char *a, *b;
		bool a_covers_b, b_covers_a, overlap;
	} cases[] = {
		{"10.0.0.0/8", "10.1.0.0/16", true, false, true},
		{"10.0.0.0/8", "10.0.0.0/8", true, true, true},
		{"10.0.0.0/8", "10.0.0.0/16", true, false, true},
		{"10.0.0.0/9", "10.128.0.0/9", false, false, false},
		{"10.0.0.0/8", "11.0.0.0/8", false, false, false},
		{"0.0.0.0/0", "255.255.255.255/32", true, false, true},
		{"0.0.0.0/0", "::/0", false, false, false},
		{"::/0", "fd00::/8", true, false, true},
		{"fd00::/127", "fd00::1/128", true, false, true},
		{"fd00::/128", "fd00::1/128", false, false, false},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct ip_prefix a = prefix(cases[i].a), b = prefix(cases[i].b);
		g_test_message("%s and %s", cases[i].a, cases[i].b);
		g_assert_cmpint(prefix_covers(a, b), ==, cases[i].a_covers_b);
		g_assert_cmpint(prefix_covers(b, a), ==, cases[i].b_covers_a);
		g_assert_cmpint(prefix_overlaps(a, b), ==, cases[i].overlap);
		g_assert_cmpint(prefix_overlaps(b, a), ==, cases[i].overlap);
	}
}

static void test_prefix_nth(void)
{
	static const struct {
		const char *prefix;
		uint64_t n;
		const char *expected;
	} cases[] = {
		{"10.0.0.0/24", 0, "10.0.0.0"},
		{"10.0.0.0/24", 4, "10.0.0.4"},
		{"10.0.0.0/24", 255, "10.0.0.255"},
		{"10.0.0.0/24", 256, "-"},
		{"10.0.0.0/16", 256, "10.0.1.0"},
		{"10.0.0.128/25", 3, "10.0.0.131"},
		{"10.0.0.4/32", 0, "10.0.0.4"},
		{"10.0.0.4/32", 1, "-"},
		{"0.0.0.0/0", UINT32_MAX, "255.255.255.255"},
		{"0.0.0.0/0", UINT64_C(1) << 32, "-"},
		{"fd00::/64", 0x10001, "fd00::1:1"},
		{"fd00::/64", UINT64_MAX, "fd00::ffff:ffff:ffff:ffff"},
		{"fd00::/65", UINT64_MAX, "-"},
		{"fd00::/65", INT64_MAX, "fd00::7fff:ffff:ffff:ffff"},
		{"::/0", UINT64_MAX, "::ffff:ffff:ffff:ffff"},
		{"fd00::1/128", 0, "fd00::1"},
		{"fd00::1/128", 1, "-"},
	};
	char text[IP_TEXT_MAX];

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
		g_assert_cmpstr(ip_format(prefix_nth(prefix(cases[i].prefix), cases[i].n), text), ==,
			cases[i].expected);
}

static void test_prefix_size(void)
{
	static const struct {
		const char *prefix;
		uint64_t expected;
	} cases[] = {
		{"10.0.0.0/24", 256},
		{"10.0.0.4/32", 1},
		{"0.0.0.0/0", UINT64_C(1) << 32},
		{"fd00::1/128", 1},
		{"fd00::/65", UINT64_C(1) << 63},
		{"fd00::/64", UINT64_MAX},
		{"::/0", UINT64_MAX},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
		g_assert_cmpuint(prefix_size(prefix(cases[i].prefix)), ==, cases[i].expected);
}

static void test_mac(void)
{
	static const struct {
		const char *text, *canonical;
	} cases[] = {
		{"00:0d:3a:01:02:03", "00:0d:3a:01:02:03"},
		{"00-0D-3A-01-02-03", "00:0d:3a:01:02:03"},
		{"FF:ff:Ff:fF:0a:A0", "ff:ff:ff:ff:0a:a0"},
	};
	static const char *const refused[] = {NULL, "", "00:0d:3a:01:02", "00:0d:3a:01:02:03:04",
		"00:0d:3a:01:02:0g", "00:0d:3a:01:02:g0", "00:0d:3a:01:02:0x", "0x:0d:3a:01:02:03",
		"+1:0d:3a:01:02:03", " 1:0d:3a:01:02:03", "1 :0d:3a:01:02:03", "000d3a010203",
		"00.0d.3a.01.02.03", "00:0d-3a:01:02:03", "00:0d:3a:01:02-03", "00:0d:3a:01:02:03 ",
		"00:0d:3a:01:0203:"};
	char text[MAC_TEXT_MAX];

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct mac_addr mac;
		g_assert_cmpint(mac_parse(cases[i].text, &mac), ==, 0);
		g_assert_cmpstr(mac_format(mac, text), ==, cases[i].canonical);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
		struct mac_addr mac = {.bytes = {9, 9, 9, 9, 9, 9}}, before = mac;
		g_test_message("%s", refused[i] ? refused[i] : "(null)");
		g_assert_cmpint(mac_parse(refused[i], &mac), ==, -EINVAL);
		g_assert_cmpmem(&mac, sizeof mac, &before, sizeof before);
	}
}

static void test_link_local(void)
{
	static const struct {
		const char *text;
		bool is;
	} cases[] = {{"169.254.0.1", true}, {"169.253.0.1", false}, {"fe80::1", true}, {"febf::1", true},
		{"fec0::1", false}, {"fd00::1", false}, {"a9fe::", false}};
	struct mac_addr mac;
	struct ip_addr addr;
	char text[IP_TEXT_MAX];

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_assert_cmpint(ip_parse(cases[i].text, &addr), ==, 0);
		g_assert_cmpint(ip_is_link_local(addr), ==, cases[i].is);
	}
	g_assert_false(ip_is_link_local((struct ip_addr){}));
	g_assert_cmpint(mac_parse("12:34:56:78:9a:bc", &mac), ==, 0);
	g_assert_cmpstr(ip_format(ip_link_local(mac), text), ==, "fe80::1034:56ff:fe78:9abc");
}

static void test_prefix_reserved(void)
{
	static const struct {
		const char *prefix, *addr, *as;
	} cases[] = {{"10.0.0.0/24", "10.0.0.0", "network"}, {"10.0.0.0/24", "10.0.0.1", NULL},
		{"10.0.0.0/24", "10.0.0.254", NULL}, {"10.0.0.0/24", "10.0.0.255", "broadcast"},
		{"10.0.0.8/30", "10.0.0.11", "broadcast"}, {"0.0.0.0/0", "255.255.255.255", "broadcast"},
		{"10.0.0.8/31", "10.0.0.8", NULL}, {"10.0.0.8/31", "10.0.0.9", NULL},
		{"10.0.0.8/32", "10.0.0.8", NULL}, {"fd00::/64", "fd00::", "subnet-router anycast"},
		{"fd00::/64", "fd00::1", NULL}, {"fd00::/64", "fd00::ffff:ffff:ffff:ffff", NULL},
		{"fd00::/126", "fd00::", "subnet-router anycast"}, {"fd00::/126", "fd00::3", NULL},
		{"fd00::/127", "fd00::", NULL}};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct ip_prefix prefix;
		struct ip_addr addr;
		g_assert_cmpint(prefix_parse(cases[i].prefix, &prefix), ==, 0);
		g_assert_cmpint(ip_parse(cases[i].addr, &addr), ==, 0);
		g_assert_cmpstr(prefix_reserved(prefix, addr), ==, cases[i].as);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func(
		"/ip/an address is parsed and printed in its canonical form", test_address_round_trip);
	g_test_add_func("/ip/bytes are in network order and the rest is zero", test_address_bytes);
	g_test_add_func("/ip/what is no address is refused", test_address_refused);
	g_test_add_func("/ip/a prefix is parsed whole and its host bits are zero", test_prefix_parse);
	g_test_add_func("/ip/a prefix contains the addresses of its own family only", test_prefix_contains);
	g_test_add_func("/ip/covering and overlapping prefixes are told apart", test_prefix_relations);
	g_test_add_func("/ip/the nth address stays inside its prefix", test_prefix_nth);
	g_test_add_func("/ip/the size of a prefix is exact or the largest number", test_prefix_size);
	g_test_add_func("/ip/no host has the first or the last address of a prefix", test_prefix_reserved);
	g_test_add_func("/ip/a MAC address has six pairs and one kind of separator", test_mac);
	g_test_add_func("/ip/link-local addresses are known, and made of MACs", test_link_local);
	return g_test_run();
}
