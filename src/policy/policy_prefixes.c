/* Sets of addresses: see policy_prefixes.h.
 *
 * How it works: prefixes are the nodes of a binary tree, /0 its root. Sorted by address and length, those
 * within a node lie next to each other, its own first, those of its lower half before those of its upper. So
 * one walk down from the root tells of each node whether all of it, nothing or a part of it is in the set; in
 * the last case its halves are looked at.
 */
#include "policy/policy_prefixes.h"

#include <string.h>

struct walk {
	const struct ip_prefix *sorted;
	bool wanted; /* emit what is in the set, or what is not */
	GArray *out;
};

GArray *policy_prefixes_new(void)
{
	return g_array_new(false, false, sizeof(struct ip_prefix));
}

static int by_place(const void *a, const void *b)
{
	const struct ip_prefix *x = a, *y = b;
	int order = memcmp(&x->addr, &y->addr, sizeof x->addr); /* the family stands first */

	return order ? order : (int)x->length - (int)y->length;
}

static bool bit(struct ip_addr addr, unsigned n)
{
	return addr.bytes[n / 8] & 0x80 >> n % 8;
}

static struct ip_prefix half(struct ip_prefix prefix, bool upper)
{
	if (upper)
		prefix.addr.bytes[prefix.length / 8] |= (uint8_t)(0x80 >> prefix.length % 8);
	prefix.length++;
	return prefix;
}

/* Returns whether all of `node` is wanted, and leaves it to the caller then; else emits the parts that are.
 * sorted[first..end) are the prefixes of the set within the node. */
static bool walk_node(const struct walk *walk, struct ip_prefix node, size_t first, size_t end)
{
	size_t middle = first;
	unsigned before = walk->out->len;

	if (first == end)
		return !walk->wanted;
	if (walk->sorted[first].length == node.length)
		return walk->wanted;
	while (middle < end && !bit(walk->sorted[middle].addr, node.length))
		middle++;
	struct ip_prefix lower = half(node, false), upper = half(node, true);
	bool lower_whole = walk_node(walk, lower, first, middle);
	if (lower_whole)
		g_array_append_val(walk->out, lower);
	bool upper_whole = walk_node(walk, upper, middle, end);
	if (lower_whole && upper_whole) {
		g_array_set_size(walk->out, before);
		return true;
	}
	if (upper_whole)
		g_array_append_val(walk->out, upper);
	return false;
}

static GArray *walk_all(const GArray *prefixes, bool wanted)
{
	GArray *out = policy_prefixes_new();
	g_autoptr(GArray) sorted = g_array_copy((GArray *)prefixes);
	const struct walk walk = {(const struct ip_prefix *)sorted->data, wanted, out};
	const struct ip_prefix roots[] = {{.addr.family = IP_V4}, {.addr.family = IP_V6}};
	size_t first = 0;

	g_array_sort(sorted, by_place);
	for (size_t i = 0; i < G_N_ELEMENTS(roots); i++) {
		size_t end = first;
		while (end < sorted->len && walk.sorted[end].addr.family == roots[i].addr.family)
			end++;
		if (walk_node(&walk, roots[i], first, end))
			g_array_append_val(out, roots[i]);
		first = end;
	}
	return out;
}

GArray *policy_prefixes_union(const GArray *prefixes)
{
	return walk_all(prefixes, true);
}

GArray *policy_prefixes_complement(const GArray *prefixes)
{
	return walk_all(prefixes, false);
}
