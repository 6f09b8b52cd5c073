/* Frames that are longer than the way ahead carries: see execute.h. */
#include "switch/execute.h"

#include "switch/datapath.h"
#include "switch/segmentation.h"
#include "switch/split.h"

static void send_fragments(
	struct worker *worker, struct flow *flow, const struct packet *parsed, struct rte_mbuf *packet)
{
	const struct flow_action *action = &flow->action;
	uint8_t *frame = rte_pktmbuf_mtod(packet, uint8_t *);
	struct rte_mbuf *piece;
	struct split split;

	if (action->flags & FLOW_ROUTED && rewrite_is_last_hop(frame, parsed)) {
		execute_refuse(worker, parsed, action, DROP_TTL, packet);
		return;
	}
	/* Each fragment gets a header of its own, whose checksum would be right whatever this one's is. */
	if (checksum_of(frame + parsed->l3, (frame[parsed->l3] & 0xfu) * 4) != 0) {
		output_drop(worker, execute_subject(parsed, action), DROP_CHECKSUM, packet);
		return;
	}
	if (segmentation_is_open(packet))
		segmentation_complete(packet); /* it covers all of them */
	execute_account(flow, parsed, frame, packet->pkt_len, worker->now_ms);
	rewrite_packet(frame, parsed, action);
	packet->hash.rss = flow->hash;
	split_fragments(&split, packet, parsed->l3, action->mtu, worker->datapath->pool);
	while ((piece = split_next(&split)))
		output_flow(worker, action, parsed, piece);
	if (split.left)
		output_count_drop(worker, execute_subject(parsed, action), DROP_NO_BUFFER);
	rte_pktmbuf_free(packet);
}

void execute_oversized(
	struct worker *worker, struct flow *flow, const struct packet *parsed, struct rte_mbuf *packet)
{
	uint16_t mtu = flow->action.mtu;

	split_trim(packet, packet_frame_length(parsed));
	if (parsed->l3_length <= mtu) {
		execute_action(worker, flow, parsed, packet);
		return;
	}
	bool may_cut = !(parsed->flags & PACKET_DF), segmented = segmentation_is_needed(packet);
	bool fits = segmented && segmentation_packet_length(packet) <= mtu;

	if (segmented && !fits && may_cut)
		fits = segmentation_shorten(packet, mtu);
	if (fits)
		execute_action(worker, flow, parsed, packet);
	else if (!segmented && may_cut)
		send_fragments(worker, flow, parsed, packet);
	else
		execute_refuse(worker, parsed, &flow->action, DROP_TOO_BIG, packet);
}
