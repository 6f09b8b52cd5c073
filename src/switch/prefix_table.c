/* Tables of prefixes: see prefix_table.h. */
#include "switch/prefix_table.h"

#include "switch/address_map.h"

#include <assert.h>
#include <string.h>

#define NO_ROW    UINT32_MAX
#define DEPTH_MAX 130 /* prefixes of one address, one in the other */

struct prefix_table {
	gatomicrefcount references;
	guint hash; /* of the rows */
	GArray *rows; /* Owned */
	size_t row_size;
	struct address_map map; /* Owned; to numbers of rows */
};

static const struct ip_prefix *prefix_at(const struct prefix_table *table, uint32_t row)
{
	return (const struct ip_prefix *)(const void *)(table->rows->data + row * table->row_size);
}

/* ---- intervals ---- */

/* A prefix that is open where the sweep is. */
struct open_prefix {
	field_value last;
	uint32_t row;
};

struct sweep {
	struct rule_map *map;
	field_value last; /* the family's highest address */
	unsigned depth;
	struct open_prefix open[DEPTH_MAX];
};

/* From `start` on, the row holds. */
static void begin_interval(struct rule_map *map, field_value start, uint32_t row)
{
	field_value before = map->n == 0    ? 0
			     : map->is_wide ? map->starts.wide[map->n - 1]
					    : map->starts.narrow[map->n - 1];

	if (map->n && before == start)
		map->n--; /* a longer prefix begins at the same address */
	if (map->n && map->sets[map->n - 1] == row)
		return;
	if (map->is_wide)
		map->starts.wide[map->n] = start;
	else
		map->starts.narrow[map->n] = (uint32_t)start;
	map->sets[map->n++] = row;
}

/* Ends the prefixes that end before `at`. */
static void close_before(struct sweep *sweep, field_value at)
{
	while (sweep->depth > 1 && sweep->open[sweep->depth - 1].last < at) {
		field_value end = sweep->open[--sweep->depth].last;
		begin_interval(sweep->map, end + 1, sweep->open[sweep->depth - 1].row);
	}
}

static void open_prefix(struct sweep *sweep, struct ip_prefix prefix, uint32_t row)
{
	bool v4 = prefix.addr.family == IP_V4;
	unsigned host = (v4 ? 32u : 128u) - prefix.length;
	field_value first = v4 ? load32(prefix.addr.bytes) : address_wide(prefix.addr);
	field_value size = host == 128 ? 0 : (field_value)1 << host;

	close_before(sweep, first);
	sweep->open[sweep->depth++] = (struct open_prefix){first + size - 1, row};
	begin_interval(sweep->map, first, row);
}

static void sweep_begin(struct sweep *sweep, struct rule_map *map, field_value last, size_t n)
{
	size_t most = 2 * n + 1;

	*map = (struct rule_map){.is_wide = last > UINT32_MAX, .sets = g_new(uint32_t, most)};
	if (map->is_wide)
		map->starts.wide = g_new(field_value, most);
	else
		map->starts.narrow = g_new(uint32_t, most);
	*sweep = (struct sweep){.map = map, .last = last, .depth = 1, .open = {{last, NO_ROW}}};
	begin_interval(map, 0, NO_ROW);
}

/* What is open to the end of all addresses has nothing after it. */
static void sweep_end(struct sweep *sweep)
{
	close_before(sweep, sweep->last);
}

/* ---- tables ---- */

/* IPv4 before IPv6, then by the first address, then the shorter prefix. */
static int by_place(const void *a, const void *b, void *table)
{
	const struct ip_prefix *x = prefix_at(table, *(const uint32_t *)a);
	const struct ip_prefix *y = prefix_at(table, *(const uint32_t *)b);
	int order = memcmp(&x->addr, &y->addr, sizeof x->addr);

	return order ? order : x->length - y->length;
}
static_assert(offsetof(struct ip_addr, family) == 0 && IP_V4 < IP_V6, "addresses are compared as bytes");

static uint32_t *sorted(struct prefix_table *table)
{
	uint32_t n = table->rows->len, *order = g_new(uint32_t, n + 1);

	for (uint32_t i = 0; i < n; i++)
		order[i] = i;
	g_qsort_with_data(order, (int)n, sizeof *order, by_place, table);
	return order;
}

/* False when two rows have one prefix. */
static bool make_map(struct prefix_table *table, struct ip_prefix *ret_twice)
{
	uint32_t n = table->rows->len;
	g_autofree uint32_t *order = sorted(table);
	struct sweep v4, v6;

	sweep_begin(&v4, &table->map.v4, UINT32_MAX, n);
	sweep_begin(&v6, &table->map.v6, ~(field_value)0, n);
	for (uint32_t i = 0; i < n; i++) {
		const struct ip_prefix *prefix = prefix_at(table, order[i]);
		if (i && memcmp(prefix, prefix_at(table, order[i - 1]), sizeof *prefix) == 0) {
			*ret_twice = *prefix;
			return false;
		}
		open_prefix(prefix->addr.family == IP_V4 ? &v4 : &v6, *prefix, order[i]);
	}
	sweep_end(&v4);
	sweep_end(&v6);
	return true;
}

static void shrink(struct rule_map *map)
{
	map->sets = g_renew(uint32_t, map->sets, map->n);
	if (map->is_wide)
		map->starts.wide = g_renew(field_value, map->starts.wide, map->n);
	else
		map->starts.narrow = g_renew(uint32_t, map->starts.narrow, map->n);
}

struct prefix_table *prefix_table_ref(struct prefix_table *table)
{
	g_atomic_ref_count_inc(&table->references);
	return table;
}

void prefix_table_unref(struct prefix_table *table)
{
	if (!table || !g_atomic_ref_count_dec(&table->references))
		return;
	address_map_done(&table->map);
	g_array_unref(table->rows);
	g_free(table);
}

const void *prefix_table_row(const struct prefix_table *table, unsigned i)
{
	return i < table->rows->len ? prefix_at(table, i) : NULL;
}

const void *prefix_table_find(const struct prefix_table *table, struct ip_addr addr)
{
	uint32_t row = address_map_find(&table->map, addr);

	return row == NO_ROW ? NULL : prefix_at(table, row);
}

/* ---- known tables ---- */

static guint hash_of(const GArray *rows, size_t row_size)
{
	size_t size = rows->len * row_size;
	uint64_t h = size, word;

	for (size_t i = 0; i + sizeof word <= size; i += sizeof word) {
		memcpy(&word, rows->data + i, sizeof word);
		h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 32;
	}
	return (guint)h; /* the last few bytes count when tables are compared */
}

static guint table_hash(const void *table)
{
	return ((const struct prefix_table *)table)->hash;
}

static gboolean table_equal(const void *a, const void *b)
{
	const struct prefix_table *x = a, *y = b;

	return x->row_size == y->row_size && x->rows->len == y->rows->len &&
	       memcmp(x->rows->data, y->rows->data, x->row_size * x->rows->len) == 0;
}

GHashTable *prefix_tables_new(void)
{
	return g_hash_table_new(table_hash, table_equal);
}

struct prefix_table *prefix_tables_get(GHashTable *known, GArray *rows, struct ip_prefix *ret_twice)
{
	_cleanup_(prefix_table_unref) struct prefix_table *table = g_new0(struct prefix_table, 1);

	g_atomic_ref_count_init(&table->references);
	table->rows = rows;
	table->row_size = g_array_get_element_size(rows);
	table->hash = hash_of(rows, table->row_size);
	struct prefix_table *same = g_hash_table_lookup(known, table);
	if (same)
		return prefix_table_ref(same);
	if (!make_map(table, ret_twice))
		return NULL;
	shrink(&table->map.v4);
	shrink(&table->map.v6);
	g_hash_table_add(known, table);
	return g_steal_pointer(&table);
}
