/* Decoding of physical networks, and of networks that are VLANs of them. See state.c. */
#include "switch/neighbour.h"
#include "switch/state_priv.h"

#include <string.h>

/* ---- physical networks ---- */

static bool decode_physical_mtu(struct decode *d, json_t *value, void *to)
{
	int64_t mtu;

	if (!decode_whole(d, value, NIC_MTU_MIN, NIC_MTU_MAX, &mtu))
		return false;
	*(uint16_t *)to = (uint16_t)mtu;
	return true;
}

static const struct decode_member physical_members[] = {
	{"name", decode_text, offsetof(struct physical, name)},
	{"interface", decode_interface, offsetof(struct physical, edge.interface), .optional = true},
	{"device", decode_device, offsetof(struct physical, edge.interface), .optional = true},
	{"mtu", decode_physical_mtu, offsetof(struct physical, mtu)},
	{"offload", decode_offload, offsetof(struct physical, edge.offload), .optional = true},
	{},
};

/* The slot of the physical network of that name; PHYSICAL_SLOTS: there is none. */
static unsigned find_slot(const struct snapshot *snapshot, const char *name)
{
	unsigned slot;

	for (slot = 0; slot < PHYSICAL_SLOTS; slot++)
		if (snapshot->physicals[slot].name && g_str_equal(snapshot->physicals[slot].name, name))
			break;
	return slot;
}

/* The slot that it had, or one that nobody had in the snapshot before: there are twice as many as networks. */
static unsigned choose_slot(
	const struct snapshot *previous, const struct snapshot *snapshot, const char *name)
{
	unsigned slot = previous ? find_slot(previous, name) : PHYSICAL_SLOTS;

	if (slot < PHYSICAL_SLOTS)
		return slot;
	for (slot = 0; slot < PHYSICAL_SLOTS; slot++)
		if (!snapshot->physicals[slot].name && !(previous && previous->physicals[slot].name))
			break;
	g_assert(slot < PHYSICAL_SLOTS);
	return slot;
}

static bool decode_physical(struct decode *d, json_t *value, void *to)
{
	struct snapshot *snapshot = d->snapshot;
	struct physical physical = {};

	if (!decode_object(d, value, physical_members, &physical) ||
		!decode_port_named(d, physical.edge.interface) ||
		!check_offload(d, physical.edge.interface, physical.edge.offload))
		return false;
	if (find_slot(snapshot, physical.name) < PHYSICAL_SLOTS)
		return decode_fail_at(d, "name", "two physical networks have the name %s", physical.name);
	physical.edge.present = true;
	physical.vlans = snapshot_alloc(snapshot, VLAN_ID_MAX + 2, sizeof(struct network *));
	snapshot->physicals[choose_slot(index_of(d)->previous, snapshot, physical.name)] = physical;
	return true;
}

bool decode_physicals(struct decode *d, json_t *value, void *to)
{
	unsigned n;

	decode_list(d, value, 1, PHYSICALS_MAX, decode_physical, &n);
	return !d->error;
}

/* ---- VLANs ---- */

struct vlan_words {
	const char *physical; /* Borrowed */
	uint16_t id;
};

static bool decode_vlan_id(struct decode *d, json_t *value, void *to)
{
	int64_t id;

	if (!decode_whole(d, value, 1, VLAN_ID_MAX, &id))
		return false;
	*(uint16_t *)to = (uint16_t)id;
	return true;
}

static const struct decode_member vlan_members[] = {
	{"physical", decode_word, offsetof(struct vlan_words, physical)},
	{"id", decode_vlan_id, offsetof(struct vlan_words, id), .optional = true},
	{},
};

/* Comes after the VNI in the table. */
bool decode_vlan(struct decode *d, json_t *value, void *to)
{
	struct network *network = to;
	struct vlan_words words = {};

	if (network->segment)
		return decode_fail(
			d, "cannot be beside a VNI: a network is in VXLAN or on a physical network");
	if (!decode_object(d, value, vlan_members, &words))
		return false;
	unsigned slot = find_slot(d->snapshot, words.physical);
	if (slot == PHYSICAL_SLOTS)
		return decode_fail_at(d, "physical", "must be the name of a physical network of this state");
	network->segment = segment_of_vlan(slot, words.id);
	network->physical = &d->snapshot->physicals[slot];
	if (g_hash_table_add(index_of(d)->segments, GUINT_TO_POINTER(network->segment)))
		return true;
	return words.id ? decode_fail_at(
				  d, "id", "two networks are on VLAN %u of %s", words.id, words.physical)
			: decode_fail(d, "two networks are on %s without a VLAN id", words.physical);
}

bool check_segment(struct decode *d, struct network *network)
{
	if (!network->segment)
		return decode_fail(d, "has neither \"vni\" nor \"vlan\"; a network needs one of them");
	if (network->physical && network->mappings)
		return decode_fail_at(
			d, "mappings", "are of networks in VXLAN; on a VLAN, ARP finds who is there");
	for (unsigned i = 0; !network->physical && i < network->n_subnets; i++)
		if (network->subnets[i].gateway_external)
			return decode_fail(d, "subnet %s: only on a VLAN can a gateway be external",
				network->subnets[i].uid);
	return true;
}

/* What is known of a VLAN's neighbours stays known while it is on the same wire. */
static struct neighbour_table *neighbours_of(const struct network *network, const struct snapshot *previous)
{
	const struct network *before = previous ? snapshot_vlan(previous, network->segment) : NULL;

	if (before && g_str_equal(before->physical->edge.interface, network->physical->edge.interface))
		return neighbour_table_ref(before->neighbours);
	return neighbour_table_new(network->segment);
}

void link_vlans(struct snapshot *snapshot, const struct snapshot *previous)
{
	for (unsigned i = 0; i < snapshot->n_networks; i++) {
		struct network *network = &snapshot->networks[i];
		if (!network->physical)
			continue;
		network->physical->vlans[segment_vlan_id(network->segment)] = network;
		network->neighbours = neighbours_of(network, previous);
		g_ptr_array_add(snapshot->neighbours, network->neighbours);
	}
}
