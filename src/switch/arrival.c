/* Parsing of what comes, by where it comes from: see arrival.h.
 *
 * While one packet is parsed, the header of one further on is fetched. The common packet, of a NIC, the uplink or the
 * host port, is parsed in line.
 */
#include "switch/arrival.h"

#include "switch/datapath.h"
#include "switch/decide.h"
#include "switch/fragment.h"
#include "switch/layers/layer.h"
#include "switch/meter.h"
#include "switch/mirror.h"
#include "switch/parse.h"
#include "switch/respond/respond.h"
#include "switch/segmentation.h"
#include "switch/vlan.h"
#include "switch/wire.h"

#define PREFETCH_AHEAD 4

static inline void refuse(struct packet *parsed, enum drop reason)
{
	parsed->kind = PACKET_DROP;
	parsed->drop = (uint8_t)reason;
}

/* What is the same for all packets of a burst. */
struct arrival {
	const struct source *source;
	const struct edge *edge; /* that it came by; NULL: a NIC sent it */
	uint8_t mac[6]; /* what NICs send from, and edges bring to */
};

static inline struct arrival arrival_of(const struct worker *worker, const struct source *source)
{
	const struct snapshot *snapshot = worker->snapshot;
	struct arrival arrival = {.source = source};

	if (source->origin == FLOW_FROM_NIC) {
		memcpy(arrival.mac, snapshot_nic(snapshot, source->nic)->mac.bytes, 6);
	} else if (source->origin == FLOW_FROM_PHYSICAL) {
		arrival.edge = &snapshot->physicals[source->physical].edge;
	} else {
		arrival.edge = snapshot_edge(snapshot, source->origin);
		memcpy(arrival.mac, arrival.edge->mac.bytes, 6);
	}
	return arrival;
}

/* What an edge brings belongs to the NIC that it is addressed to; only flows know whose NIC's it is that is for
 * an address that they share. */
static inline void claim_for_edge(
	struct worker *worker, const struct arrival *arrival, const uint8_t *frame, struct packet *parsed)
{
	parsed->key.nic = NO_NIC;
	if (parsed->kind == PACKET_DROP || parsed->kind == PACKET_ARP)
		return;
	struct owner owner = snapshot_find(worker->snapshot,
		parsed->key.origin == FLOW_FROM_OUTSIDE ? SPACE_PUBLIC : SPACE_HOST,
		flow_key_destination(&parsed->key));
	if (memcmp(frame + ETH_DST, arrival->mac, 6) != 0 || owner.kind == OWNER_NONE)
		refuse(parsed, DROP_NOT_OURS);
	else
		parsed->key.nic = owner.kind == OWNER_NIC ? owner.nic->id : FLOW_NIC_SHARED;
}

static inline void complete_fragment(struct worker *worker, struct packet *parsed)
{
	if (parsed->kind == PACKET_FLOW && parsed->flags & PACKET_FRAGMENT_FIRST)
		fragment_learn(worker->fragments, parsed, worker->now_ms);
	else if (parsed->kind == PACKET_FRAGMENT &&
		 !fragment_resolve(worker->fragments, parsed, worker->now_ms))
		refuse(parsed, DROP_FRAGMENT);
}

static void parse_other(const uint8_t *frame, const struct rte_mbuf *packet, const struct source *source,
	struct packet *parsed)
{
	parse_frame(frame, packet->data_len, packet->pkt_len, parsed);
	parsed->key.nic = source->nic;
	parsed->key.origin = source->origin;
}

/* Frames of several buffers, and those that leave something to a device. stripped: as of segmentation_accept. */
static __attribute__((noinline)) void check_large(
	struct rte_mbuf *packet, struct packet *parsed, uint32_t stripped)
{
	enum drop reason = packet->pkt_len > SEGMENTATION_FRAME_MAX ? DROP_MALFORMED : DROP_NONE;

	if (reason == DROP_NONE && segmentation_is_claimed(packet))
		reason = segmentation_accept(packet, parsed, stripped);
	if (reason != DROP_NONE)
		refuse(parsed, reason);
}

static inline bool is_large(const struct rte_mbuf *packet)
{
	return packet->nb_segs > 1 || segmentation_is_claimed(packet);
}

static inline void parse_one(
	struct worker *worker, const struct arrival *arrival, struct rte_mbuf *packet, struct packet *parsed)
{
	const struct source *source = arrival->source;

	/* Headers that are spread over segments are gathered, where the first has room. */
	if (__builtin_expect(packet->nb_segs > 1 && packet->data_len < PARSE_CONTIGUOUS, 0))
		rte_pktmbuf_linearize(packet);
	const uint8_t *frame = rte_pktmbuf_mtod(packet, const uint8_t *);
	bool plain =
		parse_plain(frame, packet->data_len, packet->pkt_len, source->nic, source->origin, parsed);
	if (!plain)
		parse_other(frame, packet, source, parsed);
	/* Spoofed frames end here: the MAC is no part of a flow's key. */
	if (arrival->edge)
		claim_for_edge(worker, arrival, frame, parsed);
	else if (memcmp(frame + ETH_SRC, arrival->mac, 6) != 0)
		refuse(parsed, DROP_SPOOFED_MAC);
	if (__builtin_expect(is_large(packet), 0))
		check_large(packet, parsed, 0);
	if (!plain)
		complete_fragment(worker, parsed);
}

/* ---- the underlay ---- */

/* Takes off what is around the inner frame, and what is behind it. */
static bool strip(struct rte_mbuf *packet, const struct vxlan_inner *inner)
{
	uint32_t behind = packet->pkt_len - inner->offset - inner->length;

	return rte_pktmbuf_adj(packet, (uint16_t)inner->offset) &&
	       (behind == 0 || rte_pktmbuf_trim(packet, (uint16_t)behind) == 0);
}

/* The NIC that has the MAC in that segment; most packets of a burst are for one. NO_NIC: none. */
static uint32_t find_mac(struct worker *worker, uint32_t segment, const uint8_t mac[6])
{
	if (worker->brought.segment != segment || memcmp(worker->brought.mac, mac, 6) != 0) {
		const struct nic *nic = snapshot_find_mac(worker->snapshot, segment, mac);
		if (!nic)
			return NO_NIC;
		worker->brought.segment = segment;
		worker->brought.nic = nic->id;
		worker->brought.on_wire = nic_is_on_wire(nic);
		memcpy(worker->brought.mac, mac, 6);
	}
	return worker->brought.nic;
}

/* What the tunnel brings belongs to the NIC that it is addressed to, within its network. */
static void claim_for_tunnel(
	struct worker *worker, const struct vxlan_inner *inner, const uint8_t *frame, struct packet *parsed)
{
	memcpy(parsed->vtep, inner->vtep, sizeof parsed->vtep);
	parsed->key.nic = find_mac(worker, inner->vni, frame + ETH_DST);
	if (parsed->kind == PACKET_DROP)
		return;
	if (parsed->key.nic == NO_NIC)
		refuse(parsed, snapshot_find_vni(worker->snapshot, inner->vni) ? DROP_UNKNOWN_MAC
									       : DROP_UNKNOWN_VNI);
	else if (parsed->kind == PACKET_ARP)
		refuse(parsed, DROP_ARP_UNANSWERED); /* each switch answers its own NICs */
}

/* The underlay brings frames within frames, and ARP of its own. */
static void parse_underlay(
	struct worker *worker, const struct arrival *arrival, struct rte_mbuf *packet, struct packet *parsed)
{
	const struct source *source = arrival->source;
	const struct underlay *underlay = &worker->snapshot->underlay;
	struct vxlan_inner inner;

	if (packet->nb_segs > 1 && packet->data_len < VXLAN_OVERHEAD + PARSE_CONTIGUOUS)
		rte_pktmbuf_linearize(packet);
	const uint8_t *frame = rte_pktmbuf_mtod(packet, const uint8_t *);
	enum drop reason = vxlan_open(
		frame, packet->data_len, packet->pkt_len, arrival->mac, underlay->address.bytes, &inner);
	if (reason != DROP_NONE || !strip(packet, &inner)) {
		parse_other(frame, packet, source, parsed);
		if (parsed->kind != PACKET_ARP)
			refuse(parsed, reason != DROP_NONE ? reason : DROP_MALFORMED);
		return;
	}
	frame = rte_pktmbuf_mtod(packet, const uint8_t *);
	bool plain =
		parse_plain(frame, packet->data_len, packet->pkt_len, source->nic, source->origin, parsed);
	if (!plain)
		parse_other(frame, packet, source, parsed);
	claim_for_tunnel(worker, &inner, frame, parsed);
	if (__builtin_expect(inner.congested, 0) && parsed->kind != PACKET_DROP &&
		!vxlan_mark_congested(
			rte_pktmbuf_mtod_offset(packet, uint8_t *, parsed->l3), parsed->key.family == IP_V6))
		refuse(parsed, DROP_CONGESTION);
	if (__builtin_expect(is_large(packet), 0))
		check_large(packet, parsed, inner.offset);
	if (!plain)
		complete_fragment(worker, parsed);
}

/* ---- physical networks ---- */

/* Finds worker->sender. False: the MAC is of somebody here, whose frames do not come from there, or of a NIC whose
 * function is not active. */
static bool find_sender(struct worker *worker, uint32_t segment, const uint8_t mac[6])
{
	if (worker->sender.segment == segment && memcmp(worker->sender.mac, mac, 6) == 0)
		return true;
	const struct nic *nic = snapshot_find_mac(worker->snapshot, segment, mac);
	const struct attachment *function = nic ? nic_physical_function(nic) : NULL;
	if ((nic && !(function && function->active)) || mac[0] & 1 || memcmp(mac, gateway_mac, 6) == 0)
		return false;
	worker->sender.segment = segment;
	worker->sender.nic = nic;
	worker->sender.port = function ? function->port : NULL;
	memcpy(worker->sender.mac, mac, 6);
	return true;
}

/* Whether the source is the NIC's, as who answers or decides it will find too. DHCP of a guest without an address is not
 * its own then. */
static bool is_own(const struct nic *nic, const uint8_t *frame, const struct packet *parsed)
{
	switch ((enum packet_kind)parsed->kind) {
	case PACKET_DROP: return false;
	case PACKET_ARP:
	case PACKET_RARP: return arp_is_own(nic, frame + ETH_LEN);
	case PACKET_ND:
	case PACKET_ICMP_ERROR: return reach_may_speak(nic, flow_key_source(&parsed->key));
	case PACKET_FLOW:
	case PACKET_FRAGMENT: return spoof_may_send(nic, flow_key_source(&parsed->key));
	}
	return false;
}

/* Counts what is the NIC's own: who waits for a sign of life is not to take a forged frame for one. */
static void account_function(
	struct worker *worker, const uint8_t *frame, const struct packet *parsed, struct rte_mbuf *packet)
{
	struct port *port = worker->sender.port;

	if (!port)
		return;
	if (is_own(worker->sender.nic, frame, parsed)) {
		counter_add(&port->counters[worker->index].rx_packets, 1);
		counter_add(&port->counters[worker->index].rx_bytes, packet->pkt_len);
	}
	if (__builtin_expect(worker->mirror != NULL, 0))
		mirror_received(worker, port, &packet, 1);
}

/* What a NIC's function sent is the NIC's, as by any attachment; but for others on the wire it is there already.
 * `to`: the NIC here that has the destination MAC. */
static void claim_for_function(struct worker *worker, uint32_t to, const uint8_t *frame,
	const struct rte_mbuf *packet, struct packet *parsed)
{
	const struct nic *nic = worker->sender.nic;

	parsed->key.nic = nic->id;
	parsed->key.origin = FLOW_FROM_NIC;
	parsed->flags |= PACKET_BY_FUNCTION;
	if (parsed->kind == PACKET_DROP)
		return;
	if (memcmp(frame + ETH_DST, gateway_mac, 6) != 0) {
		parsed->flags |= PACKET_ON_WIRE;
		if (!(frame[ETH_DST] & 1) && (to == NO_NIC || worker->brought.on_wire))
			refuse(parsed, DROP_ON_WIRE);
	}
	if (parsed->kind != PACKET_DROP && limit_is_set(&nic->send) &&
		!meter_may_send(&worker->datapath->meters[nic_slot(nic->id)], nic, worker->now_ms, packet))
		refuse(parsed, DROP_RATE);
}

/* What others send belongs to the NIC that it is addressed to. ARP may be for all of them. */
static void claim_for_stranger(
	struct worker *worker, uint32_t to, const uint8_t *frame, struct packet *parsed)
{
	parsed->key.nic = to;
	if (parsed->kind == PACKET_DROP)
		return;
	parsed->flags |= PACKET_ON_WIRE;
	if (parsed->kind == PACKET_ARP)
		return;
	if (frame[ETH_DST] & 1)
		refuse(parsed, DROP_MULTICAST);
	else if (parsed->kind == PACKET_ND)
		refuse(parsed, DROP_IPV6_PHYSICAL);
	else if (to == NO_NIC)
		refuse(parsed, DROP_UNKNOWN_MAC);
	else if (worker->brought.on_wire)
		refuse(parsed, DROP_ON_WIRE);
}

/* Whose a frame of a VLAN is, by its MACs. */
static void claim_for_physical(
	struct worker *worker, const struct network *network, struct rte_mbuf *packet, struct packet *parsed)
{
	const uint8_t *frame = rte_pktmbuf_mtod(packet, const uint8_t *);
	uint32_t to = find_mac(worker, network->segment, frame + ETH_DST);

	parsed->segment = network->segment;
	if (!find_sender(worker, network->segment, frame + ETH_SRC)) {
		parsed->key.nic = to;
		if (parsed->kind != PACKET_DROP)
			refuse(parsed, DROP_SPOOFED_PHYSICAL);
	} else if (!worker->sender.nic) {
		claim_for_stranger(worker, to, frame, parsed);
	} else {
		claim_for_function(worker, to, frame, packet, parsed);
		account_function(worker, frame, parsed, packet);
	}
}

static void parse_physical(
	struct worker *worker, const struct arrival *arrival, struct rte_mbuf *packet, struct packet *parsed)
{
	const struct source *source = arrival->source;
	const struct physical *physical = &worker->snapshot->physicals[source->physical];
	uint32_t length = packet->pkt_len;
	uint16_t id;

	if (packet->nb_segs > 1 && packet->data_len < VLAN_TAG_LEN + PARSE_CONTIGUOUS)
		rte_pktmbuf_linearize(packet);
	enum drop reason = vlan_open(packet, &id);
	const uint8_t *frame = rte_pktmbuf_mtod(packet, const uint8_t *);
	bool plain = parse_plain(frame, packet->data_len, packet->pkt_len, NO_NIC, source->origin, parsed);
	if (!plain)
		parse_other(frame, packet, source, parsed);
	if (reason == DROP_NONE && !physical->vlans[id])
		reason = DROP_UNKNOWN_VLAN;
	if (reason != DROP_NONE)
		refuse(parsed, reason);
	else
		claim_for_physical(worker, physical->vlans[id], packet, parsed);
	if (__builtin_expect(is_large(packet), 0))
		check_large(packet, parsed, length - packet->pkt_len);
	if (!plain)
		complete_fragment(worker, parsed);
}

/* What comes within something else, and belongs to whoever has its destination MAC. */
static void parse_carried(
	struct worker *worker, const struct arrival *arrival, struct rte_mbuf *packet, struct packet *parsed)
{
	if (arrival->source->origin == FLOW_FROM_TUNNEL)
		parse_underlay(worker, arrival, packet, parsed);
	else
		parse_physical(worker, arrival, packet, parsed);
}

void arrival_parse(struct worker *worker, const struct source *source, struct rte_mbuf **packets, unsigned n,
	struct packet *parsed)
{
	const struct arrival arrival = arrival_of(worker, source);

	for (unsigned i = 0; i < RTE_MIN(n, (unsigned)PREFETCH_AHEAD); i++)
		__builtin_prefetch(rte_pktmbuf_mtod(packets[i], void *));
	for (unsigned i = 0; i < n; i++) {
		if (i + PREFETCH_AHEAD < n)
			__builtin_prefetch(rte_pktmbuf_mtod(packets[i + PREFETCH_AHEAD], void *));
		if (source->origin >= FLOW_FROM_TUNNEL)
			parse_carried(worker, &arrival, packets[i], &parsed[i]);
		else
			parse_one(worker, &arrival, packets[i], &parsed[i]);
	}
}
