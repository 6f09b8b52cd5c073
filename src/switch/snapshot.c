/* Snapshots: life, and the map of addresses. */
#include "switch/snapshot.h"

#include "switch/classifier.h"

#include <string.h>

/* An open-addressing slot. The map is built once, at half load at most, and only read from then on. */
struct address_slot {
	uint32_t space;
	struct ip_addr addr; /* IP_NONE: empty */
	struct owner owner;
};

/* ---- the map of addresses ---- */

static uint32_t address_hash(uint32_t space, struct ip_addr addr)
{
	uint64_t word[2], h;

	memcpy(word, addr.bytes, sizeof word);
	h = (word[0] ^ space) * UINT64_C(0x9e3779b97f4a7c15) ^ word[1];
	h = (h ^ h >> 32) * UINT64_C(0xd6e8feb86659fd93);
	return (uint32_t)(h ^ h >> 32);
}

/* The slot of the address, or the empty one where it would be. */
static struct address_slot *find_slot(const struct snapshot *snapshot, uint32_t space, struct ip_addr addr)
{
	unsigned mask = snapshot->n_address_slots - 1;

	for (unsigned i = address_hash(space, addr) & mask;; i = (i + 1) & mask) {
		struct address_slot *slot = &snapshot->address_slots[i];
		if (slot->addr.family == IP_NONE || (slot->space == space && ip_equal(slot->addr, addr)))
			return slot;
	}
}

struct owner snapshot_find(const struct snapshot *snapshot, uint32_t space, struct ip_addr addr)
{
	return find_slot(snapshot, space, addr)->owner;
}

void snapshot_reserve(struct snapshot *snapshot, unsigned n)
{
	for (snapshot->n_address_slots = 16; snapshot->n_address_slots < 2 * n + 1;)
		snapshot->n_address_slots *= 2;
	snapshot->address_slots =
		snapshot_alloc(snapshot, snapshot->n_address_slots, sizeof(struct address_slot));
}

bool snapshot_add_address(struct snapshot *snapshot, uint32_t space, struct ip_addr addr, struct owner owner)
{
	struct address_slot *slot = find_slot(snapshot, space, addr);

	if (slot->addr.family != IP_NONE)
		return false;
	*slot = (struct address_slot){.space = space, .addr = addr, .owner = owner};
	return true;
}

/* ---- small questions ---- */

bool network_contains(const struct network *network, struct ip_addr addr)
{
	for (unsigned i = 0; i < network->n_prefixes; i++)
		if (prefix_contains(network->prefixes[i], addr))
			return true;
	return false;
}

const struct nic_address *nic_find_address(const struct nic *nic, struct ip_addr ip)
{
	for (unsigned i = 0; i < nic->n_addresses; i++)
		if (ip_equal(nic->addresses[i].ip, ip))
			return &nic->addresses[i];
	return NULL;
}

/* ---- life ---- */

struct group *group_ref(struct group *group)
{
	if (group)
		g_atomic_ref_count_inc(&group->references);
	return group;
}

void group_unref(struct group *group)
{
	if (!group || !g_atomic_ref_count_dec(&group->references))
		return;
	classifier_free(group->classifier);
	json_decref(group->source);
	g_free(group->uid);
	g_free(group->name);
	g_free(group);
}

void *snapshot_alloc(struct snapshot *snapshot, size_t n, size_t size)
{
	void *block = n ? g_malloc0_n(n, size) : NULL;

	if (block)
		g_ptr_array_add(snapshot->blocks, block);
	return block;
}

char *snapshot_strdup(struct snapshot *snapshot, const char *text)
{
	size_t size = strlen(text) + 1;

	return memcpy(snapshot_alloc(snapshot, size, 1), text, size);
}

struct snapshot *snapshot_new(void)
{
	struct snapshot *snapshot = g_new0(struct snapshot, 1);

	snapshot->blocks = g_ptr_array_new_with_free_func(g_free);
	snapshot->groups = g_ptr_array_new_with_free_func((GDestroyNotify)group_unref);
	for (unsigned i = 0; i < SNAPSHOT_WORKERS; i++)
		snapshot->sources[i] = g_array_new(false, false, sizeof(struct source));
	snapshot_reserve(snapshot, 0);
	return snapshot;
}

void snapshot_free(struct snapshot *snapshot)
{
	if (!snapshot)
		return;
	for (unsigned i = 0; i < SNAPSHOT_WORKERS; i++)
		g_array_unref(snapshot->sources[i]);
	g_ptr_array_unref(snapshot->groups);
	g_ptr_array_unref(snapshot->blocks);
	g_free(snapshot);
}
