/* Tables of prefixes against a search through all rows. */
#include "switch/prefix_table.h"

#include "switch/test_values.h"

struct row {
	struct ip_prefix prefix;
	uint8_t tag[4];
};

static GArray *rows_new(void)
{
	return g_array_new(false, true, sizeof(struct row));
}

static void add(GArray *rows, struct ip_prefix prefix)
{
	struct row row = {.prefix = prefix};
	uint32_t n = rows->len;

	memcpy(row.tag, &n, sizeof row.tag);
	g_array_append_val(rows, row);
}

/* Few distinct bits, so that prefixes lie in each other and side by side. */
static struct ip_addr random_addr(uint8_t family)
{
	struct ip_addr addr = {.family = family};
	unsigned n = family == IP_V4 ? 4 : 16;

	for (unsigned i = 0; i < n; i++)
		addr.bytes[i] = test_below(3) ? (uint8_t)(0xff * test_below(2)) : (uint8_t)test_below(256);
	return addr;
}

static struct ip_prefix random_prefix(uint8_t family)
{
	unsigned width = family == IP_V4 ? 32 : 128;
	struct ip_prefix prefix = {.addr = random_addr(family), .length = (uint8_t)test_below(width + 1)};

	for (unsigned bit = prefix.length; bit < width; bit++)
		prefix.addr.bytes[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
	return prefix;
}

static bool has(const GArray *rows, struct ip_prefix prefix)
{
	for (unsigned i = 0; i < rows->len; i++)
		if (memcmp(&g_array_index(rows, struct row, i).prefix, &prefix, sizeof prefix) == 0)
			return true;
	return false;
}

static const struct row *search(const GArray *rows, struct ip_addr addr)
{
	const struct row *best = NULL;

	for (unsigned i = 0; i < rows->len; i++) {
		const struct row *row = &g_array_index(rows, struct row, i);
		if (prefix_contains(row->prefix, addr) && (!best || row->prefix.length > best->prefix.length))
			best = row;
	}
	return best;
}

static void assert_same(const struct prefix_table *table, const GArray *rows, struct ip_addr addr)
{
	const struct row *found = prefix_table_find(table, addr), *expected = search(rows, addr);

	g_assert_true(!found == !expected);
	if (found)
		g_assert_cmpmem(found, sizeof *found, expected, sizeof *expected);
}

static void test_longest(void)
{
	for (unsigned world = 0; world < 400; world++) {
		g_autoptr(GHashTable) known = prefix_tables_new();
		g_autoptr(GArray) rows = rows_new();
		struct ip_prefix twice;
		for (unsigned n = test_below(60); n; n--) {
			struct ip_prefix prefix = random_prefix(test_below(2) ? IP_V4 : IP_V6);
			if (!has(rows, prefix))
				add(rows, prefix);
		}
		_cleanup_(prefix_table_unref) struct prefix_table *table =
			prefix_tables_get(known, g_array_copy(rows), &twice);
		g_assert_nonnull(table);
		for (unsigned i = 0; i < 300; i++)
			assert_same(table, rows, random_addr(i % 2 ? IP_V4 : IP_V6));
		for (unsigned i = 0; i < rows->len; i++)
			assert_same(table, rows, g_array_index(rows, struct row, i).prefix.addr);
	}
}

static void test_edges(void)
{
	static const char *const prefixes[] = {"0.0.0.0/0", "255.255.255.255/32", "0.0.0.0/32", "128.0.0.0/1",
		"128.0.0.0/32", "::/0", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", "8000::/1"};
	static const char *const addrs[] = {"0.0.0.0", "0.0.0.1", "127.255.255.255", "128.0.0.0", "128.0.0.1",
		"255.255.255.254", "255.255.255.255", "::", "::1",
		"7fff::", "8000::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe",
		"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"};
	g_autoptr(GHashTable) known = prefix_tables_new();
	g_autoptr(GArray) rows = rows_new();
	struct ip_prefix twice;

	for (unsigned i = 0; i < G_N_ELEMENTS(prefixes); i++)
		add(rows, test_prefix(prefixes[i]));
	_cleanup_(prefix_table_unref) struct prefix_table *table =
		prefix_tables_get(known, g_array_copy(rows), &twice);
	for (unsigned i = 0; i < G_N_ELEMENTS(addrs); i++)
		assert_same(table, rows, test_addr(addrs[i]));
}

static void test_twice(void)
{
	g_autoptr(GHashTable) known = prefix_tables_new();
	GArray *rows = rows_new();
	struct ip_prefix twice;
	char text[PREFIX_TEXT_MAX];

	add(rows, test_prefix("10.0.0.0/8"));
	add(rows, test_prefix("10.0.0.0/9"));
	add(rows, test_prefix("10.0.0.0/8"));
	g_assert_null(prefix_tables_get(known, rows, &twice));
	g_assert_cmpstr(prefix_format(twice, text), ==, "10.0.0.0/8");
	g_assert_cmpuint(g_hash_table_size(known), ==, 0);
}

static void test_shared(void)
{
	g_autoptr(GHashTable) known = prefix_tables_new();
	g_autoptr(GArray) rows = rows_new();
	struct ip_prefix twice;

	add(rows, test_prefix("10.0.0.0/8"));
	_cleanup_(prefix_table_unref) struct prefix_table *one =
		prefix_tables_get(known, g_array_copy(rows), &twice);
	_cleanup_(prefix_table_unref) struct prefix_table *same =
		prefix_tables_get(known, g_array_copy(rows), &twice);
	add(rows, test_prefix("10.1.0.0/16"));
	_cleanup_(prefix_table_unref) struct prefix_table *other =
		prefix_tables_get(known, g_array_copy(rows), &twice);
	g_assert_true(one == same);
	g_assert_true(one != other);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/prefix_table/the longest prefix wins, in both families", test_longest);
	g_test_add_func("/prefix_table/the first and the last address are like any other", test_edges);
	g_test_add_func("/prefix_table/two rows of one prefix are refused by name", test_twice);
	g_test_add_func("/prefix_table/equal tables are one", test_shared);
	return g_test_run();
}
