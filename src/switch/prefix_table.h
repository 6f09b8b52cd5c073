/* Rows by prefix: the one of the longest prefix that holds an address.
 *
 * How it works. The prefixes of a family cut its addresses into intervals with one answer each, found by a
 * binary search (address_map.h, whose numbers of sets are here numbers of rows). n prefixes make at most 2n + 1
 * intervals: 100,000 take 20 bytes each beside the rows, and 18 steps to find, once a connection.
 *
 * Rejected: DPDK's rte_lpm and rte_fib, whose first stage alone takes 64 MiB a table for 24 bits of an address,
 * and there is one table a network; as tries they are made one prefix after the other, and so would be every
 * snapshot.
 *
 * A table never changes, so snapshots that follow each other share it: it is known again by its rows.
 */
#pragma once
#include "base/cleanup.h"
#include "base/ip.h"

#include <glib.h>

struct prefix_table;

/* A set in which tables are known by their rows; it does not own them. */
GHashTable *prefix_tables_new(void);

/* The table of these rows (taken): a reference to a known one, or a new one, which is then known. A row is a
 * struct that begins with its struct ip_prefix and has no padding. NULL when two rows have the prefix that
 * *ret_twice is then. */
struct prefix_table *prefix_tables_get(GHashTable *known, GArray *rows, struct ip_prefix *ret_twice);

struct prefix_table *prefix_table_ref(struct prefix_table *table);
void prefix_table_unref(struct prefix_table *table);
CLEANUP_FUNC(struct prefix_table *, prefix_table_unref)

/* The row of that number, in the order in which they came; NULL: there are no more. */
const void *prefix_table_row(const struct prefix_table *table, unsigned i);
/* The row, or NULL: no prefix holds the address. */
const void *prefix_table_find(const struct prefix_table *table, struct ip_addr addr);
