/* The fragment table: a small cache, the oldest of a set gives way. */
#include "switch/fragment.h"

#include <glib.h>

#define SETS        256 /* a power of two */
#define WAYS        4
#define LIFETIME_MS 5000

struct entry {
	struct flow_key key; /* with the ports of the first fragment */
	uint32_t id;
	uint32_t at_ms;
	bool used;
};

struct fragment_table {
	struct entry entries[SETS][WAYS];
};

/* What a packet's fragments have in common, beside the identification (RFC 791, RFC 8200 section 4.5). */
static bool is_same_packet(const struct entry *entry, const struct packet *packet)
{
	const struct flow_key *a = &entry->key, *b = &packet->key;

	return entry->used && entry->id == packet->fragment_id && a->nic == b->nic &&
	       a->origin == b->origin && a->protocol == b->protocol && a->family == b->family &&
	       memcmp(a->src, b->src, 16) == 0 && memcmp(a->dst, b->dst, 16) == 0;
}

static struct entry *set_of(struct fragment_table *table, const struct packet *packet)
{
	uint32_t h = packet->fragment_id * 0x9e3779b1u, word;

	memcpy(&word, packet->key.src, sizeof word);
	h = (h ^ word ^ packet->key.nic) * 0x85ebca6bu;
	memcpy(&word, packet->key.dst, sizeof word);
	h = (h ^ h >> 15 ^ word) * 0xc2b2ae35u;
	return table->entries[h >> 24];
}
static_assert(SETS == 1 << (32 - 24), "the hash keeps as many bits as there are sets");

void fragment_learn(struct fragment_table *table, const struct packet *first, uint32_t now_ms)
{
	struct entry *set = set_of(table, first), *place = &set[0];

	for (unsigned i = 0; i < WAYS; i++) {
		if (!set[i].used || is_same_packet(&set[i], first)) {
			place = &set[i];
			break;
		}
		if (now_ms - set[i].at_ms > now_ms - place->at_ms)
			place = &set[i];
	}
	*place = (struct entry){.key = first->key, .id = first->fragment_id, .at_ms = now_ms, .used = true};
}

bool fragment_resolve(struct fragment_table *table, struct packet *later, uint32_t now_ms)
{
	struct entry *set = set_of(table, later);

	for (unsigned i = 0; i < WAYS; i++) {
		if (!is_same_packet(&set[i], later))
			continue;
		if (now_ms - set[i].at_ms > LIFETIME_MS)
			return false;
		later->key = set[i].key;
		return true;
	}
	return false;
}

struct fragment_table *fragment_table_new(void)
{
	return g_new0(struct fragment_table, 1);
}

void fragment_table_free(struct fragment_table *table)
{
	g_free(table);
}
