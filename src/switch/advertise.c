/* Router advertisements that nobody asked for.
 *
 * How it works. A host asks for a router when it starts and believes the answer for as long as it says; hosts
 * do not ask again. So each NIC is told every ADVERTISE_PERIOD_MS, nine times in a router's life, and at once
 * when the advertisement is another one: other prefix, other MTU. NICs take turns by slot, so that never more
 * than a few are told in a second, and nothing is remembered of any of them. A NIC whose port nobody is
 * connected to is not told: it asks when it comes.
 *
 * It is the main thread that does it, as it announces public addresses (datapath.c): workers have no part in it.
 */
#include "switch/advertise.h"

#include "switch/respond/respond.h"

#include <rte_mbuf.h>
#include <string.h>

static void send_to(struct datapath *datapath, struct port *port, const uint8_t *frame, uint16_t length)
{
	struct rte_mbuf *packet = rte_pktmbuf_alloc(datapath->pool);

	if (!packet)
		return;
	memcpy(rte_pktmbuf_append(packet, length), frame, length);
	datapath_send(port, packet);
}

static void tell(struct datapath *datapath, const struct nic *nic)
{
	uint8_t frame[ND_ROUTER_FRAME_MAX];
	uint16_t length = nd_write_router(nic, frame);

	for (unsigned i = 0; length && i < nic->n_attachments; i++) {
		const struct attachment *attachment = &nic->attachments[i];
		if (attachment->active && attachment->port &&
			attachment->port->ops->state(attachment->port) == PORT_READY)
			send_to(datapath, attachment->port, frame, length);
	}
}

void advertise_tick(struct datapath *datapath, uint32_t now_ms)
{
	const struct snapshot *snapshot = datapath_snapshot(datapath);
	uint32_t turns = (now_ms - datapath->advertised_ms) / (ADVERTISE_PERIOD_MS / NIC_SLOTS);

	datapath->advertised_ms += turns * (ADVERTISE_PERIOD_MS / NIC_SLOTS);
	for (turns = RTE_MIN(turns, (uint32_t)NIC_SLOTS); turns; turns--) {
		const struct nic *nic = snapshot->nics[datapath->advertise_next++ % NIC_SLOTS];
		if (nic)
			tell(datapath, nic);
	}
}

static bool says_the_same(const struct nic *a, const struct nic *b)
{
	uint8_t frame_a[ND_ROUTER_FRAME_MAX], frame_b[ND_ROUTER_FRAME_MAX];
	uint16_t length = nd_write_router(a, frame_a);

	return nd_write_router(b, frame_b) == length && memcmp(frame_a, frame_b, length) == 0;
}

void advertise_changes(struct datapath *datapath, const struct snapshot *before, const struct snapshot *after)
{
	for (unsigned slot = 0; slot < NIC_SLOTS; slot++) {
		const struct nic *was = before->nics[slot], *is = after->nics[slot];
		if (was && is && was->id == is->id && !says_the_same(was, is))
			tell(datapath, is);
	}
}
