/* Snapshots: life, and the map of addresses. */
#include "switch/snapshot.h"

#include "switch/classifier.h"
#include "switch/flow.h"
#include "switch/membership.h"
#include "switch/neighbour.h"
#include "switch/polling.h"

#include <stdatomic.h>
#include <string.h>

/* An open-addressing slot. The map is built once, at half load at most, and only read from then on. */
struct address_slot {
	uint32_t space;
	struct ip_addr addr; /* IP_NONE: empty */
	struct owner owner;
};

static_assert(NIC_SLOTS <= (FLOW_NIC_SHARED & 0xffff), "no NIC has the number that stands for none");

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

/* ---- MACs ---- */

#define SPACE_MACS UINT32_MAX /* no network's */

/* MACs of all networks are in the map too, each as an address of a family of its own. */
static struct ip_addr mac_key(uint32_t segment, const uint8_t mac[6])
{
	struct ip_addr key = {.family = IP_V6 + 1};

	memcpy(key.bytes, mac, 6);
	memcpy(key.bytes + 6, &segment, sizeof segment);
	return key;
}

const struct nic *snapshot_find_mac(const struct snapshot *snapshot, uint32_t segment, const uint8_t mac[6])
{
	return find_slot(snapshot, SPACE_MACS, mac_key(segment, mac))->owner.nic;
}

bool snapshot_add_mac(struct snapshot *snapshot, const struct nic *nic)
{
	return snapshot_add_address(snapshot, SPACE_MACS, mac_key(nic->network->segment, nic->mac.bytes),
		(struct owner){.kind = OWNER_NIC, .nic = nic});
}

/* ---- small questions ---- */

const struct network *snapshot_find_vni(const struct snapshot *snapshot, uint32_t vni)
{
	for (unsigned i = 0; i < snapshot->n_networks; i++)
		if (snapshot->networks[i].segment == vni)
			return &snapshot->networks[i];
	return NULL;
}

const struct edge *snapshot_edge(const struct snapshot *snapshot, unsigned place)
{
	switch (place) {
	case FLOW_TO_OUTSIDE: return &snapshot->outside;
	case FLOW_TO_HOST: return &snapshot->host;
	case FLOW_TO_TUNNEL: return &snapshot->underlay.edge;
	default: return NULL;
	}
}
static_assert((int)FLOW_TO_OUTSIDE == (int)FLOW_FROM_OUTSIDE && (int)FLOW_TO_HOST == (int)FLOW_FROM_HOST &&
		      (int)FLOW_TO_TUNNEL == (int)FLOW_FROM_TUNNEL &&
		      (int)FLOW_TO_PHYSICAL == (int)FLOW_FROM_PHYSICAL,
	"origins and exits of one place have one number");

bool network_contains(const struct network *network, struct ip_addr addr)
{
	for (unsigned i = 0; i < network->n_prefixes; i++)
		if (prefix_contains(network->prefixes[i], addr))
			return true;
	return false;
}

bool subnet_contains(const struct subnet *subnet, struct ip_addr addr)
{
	return prefix_contains(addr.family == IP_V6 ? subnet->prefix6 : subnet->prefix, addr);
}

const struct nic_address *nic_first_address(const struct nic *nic, enum ip_family family)
{
	for (unsigned i = 0; i < nic->n_addresses; i++)
		if (nic->addresses[i].ip.family == family)
			return &nic->addresses[i];
	return NULL;
}

const struct nic_address *nic_find_address(const struct nic *nic, struct ip_addr ip)
{
	for (unsigned i = 0; i < nic->n_addresses; i++)
		if (ip_equal(nic->addresses[i].ip, ip))
			return &nic->addresses[i];
	return NULL;
}

const struct nic_address *nic_find_public(const struct nic *nic, struct ip_addr ip)
{
	for (unsigned i = 0; i < nic->n_addresses; i++)
		if (ip_equal(nic->addresses[i].public_ip, ip))
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
	free(group->text); /* as jansson gave it */
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
	snapshot->memberships = g_ptr_array_new_with_free_func((GDestroyNotify)membership_map_free);
	snapshot->groups = g_ptr_array_new_with_free_func((GDestroyNotify)group_unref);
	snapshot->tables = g_ptr_array_new_with_free_func((GDestroyNotify)prefix_table_unref);
	snapshot->neighbours = g_ptr_array_new_with_free_func((GDestroyNotify)neighbour_table_unref);
	snapshot_reserve(snapshot, 0);
	return snapshot;
}

void snapshot_free(struct snapshot *snapshot)
{
	if (!snapshot)
		return;
	polling_free(atomic_load(&snapshot->polling));
	g_ptr_array_unref(snapshot->groups);
	g_ptr_array_unref(snapshot->tables);
	g_ptr_array_unref(snapshot->neighbours);
	g_ptr_array_unref(snapshot->memberships);
	g_ptr_array_unref(snapshot->blocks);
	g_free(snapshot);
}
