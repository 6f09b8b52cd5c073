/* Signs of life of NICs whose path changes.
 *
 * How it works. While packets to a NIC go to both of its attachments, whoever waits for its guest to use the new path
 * counts the frames that come by it. A guest that is idle sends none. So it is asked by ARP for its own first address,
 * or by neighbour discovery where it has none of IPv4, and answers by the path that it uses then: quickly at first, as
 * that is when it moves, then once a second. The questions are from the gateways' MAC, and change nothing in the guest;
 * its answers end in the switch (respond/arp.c, respond/nd.c).
 *
 * It is done by the worker that looks after what is shared (worker_housekeep), as output_nic is a worker's. A NIC is in
 * `both` for a few seconds at most, and few are at a time: what is remembered of each begins anew when it was not seen
 * for some ticks.
 */
#include "switch/probe.h"

#include "switch/datapath.h"
#include "switch/output.h"
#include "switch/respond/respond.h"

#include <rte_mbuf.h>

static bool is_due(struct probe *probe, uint32_t nic, uint32_t now_ms)
{
	bool goes_on = probe->nic == nic && now_ms - probe->ticked_ms < PROBE_SLOW_MS;

	if (!goes_on)
		*probe = (struct probe){.nic = nic, .began_ms = now_ms};
	probe->ticked_ms = now_ms;
	uint32_t pause = now_ms - probe->began_ms < PROBE_QUICK_FOR_MS ? PROBE_QUICK_MS : PROBE_SLOW_MS;
	if (goes_on && now_ms - probe->sent_ms < pause)
		return false;
	probe->sent_ms = now_ms;
	return true;
}

static void ask(struct worker *worker, const struct nic *nic)
{
	struct rte_mbuf *packet = rte_pktmbuf_alloc(worker->datapath->pool);

	if (!packet) {
		output_count_drop(worker, nic->id, DROP_NO_BUFFER);
		return;
	}
	if (nic_first_address(nic, IP_V4))
		arp_build_probe(packet, nic);
	else
		nd_build_probe(packet, nic);
	output_nic(worker, nic, packet);
}

void probe_tick(struct worker *worker)
{
	for (unsigned slot = 0; worker->snapshot->n_changing && slot < NIC_SLOTS; slot++) {
		const struct nic *nic = worker->snapshot->nics[slot];
		if (nic && nic->n_addresses && nic_is_changing(nic) &&
			is_due(&worker->probes[slot], nic->id, worker->now_ms))
			ask(worker, nic);
	}
}
