/* Signs of life of NICs whose path changes.
 *
 * How it works. While packets to a NIC go to both of its attachments, whoever waits for its guest to use the new path
 * counts the frames that come by it. A guest that is idle sends none. So it is asked by ARP for its own first address,
 * or by neighbour discovery where it has none of IPv4, and answers by the path that it uses then: quickly at first, as
 * that is when it moves, then once a second. The questions are from the gateways' MAC, in the name of who has that MAC for
 * the guest, which may note it; its answers end in the switch (respond/arp.c, respond/nd.c).
 *
 * Whose function is past the host is asked one thing more, as others may forge its frames: by an echo request with a
 * nonce, new each time that the function becomes active or is joined by the other attachment, until it has answered by the function. What the answer is told
 * apart by has to be what guests bring back as it is, and may not be where it goes to: a NIC's own switch brings to its PF
 * what is for MACs that it was told, so a random one to answer to, or an address that the guest would seek elsewhere,
 * would be answered to the wire. ARP has no other room. Guests that drop echo requests are heard by their frames alone.
 * Until the function is there the question goes to the wire; switches there have the NIC's MAC at the port that it comes
 * by, and do not send it on.
 *
 * It is done by the worker that looks after what is shared (worker_housekeep), as output_nic is a worker's. A NIC is in
 * `both` for a few seconds at most, and few are at a time: what is remembered of each begins anew when it was not seen
 * for some ticks.
 */
#include "switch/probe.h"

#include "switch/bypass.h"
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

/* nonce: of the question that others cannot answer; 0: of the other kind. */
static void ask(struct worker *worker, const struct nic *nic, uint64_t nonce)
{
	const struct nic_address *address = nic_first_address(nic, IP_V4);
	struct rte_mbuf *packet = rte_pktmbuf_alloc(worker->datapath->pool);

	if (!packet) {
		output_count_drop(worker, nic->id, DROP_NO_BUFFER);
		return;
	}
	if (nonce)
		icmp_build_probe(packet, nic, (address ? address : nic_first_address(nic, IP_V6))->ip, nonce);
	else if (address)
		arp_build_probe(packet, nic);
	else
		nd_build_probe(packet, nic);
	output_nic(worker, nic, packet);
}

/* 0: it is not asked that, or has answered. An external gateway would be given the answer to the metadata service. */
static uint64_t nonce_of(const struct worker *worker, const struct nic *nic)
{
	const struct bypass *bypass = &worker->datapath->bypasses[nic_slot(nic->id)];

	return !nic_physical_function(nic) || nic->subnet->gateway_external ||
			       bypass_has_answered(worker->datapath, nic)
		       ? 0
		       : atomic_load_explicit(&bypass->nonce, memory_order_relaxed);
}

void probe_tick(struct worker *worker)
{
	for (unsigned slot = 0; worker->snapshot->n_changing && slot < NIC_SLOTS; slot++) {
		const struct nic *nic = worker->snapshot->nics[slot];
		if (!nic || nic->n_addresses == 0 || !nic_is_changing(nic) ||
			!is_due(&worker->probes[slot], nic->id, worker->now_ms))
			continue;
		uint64_t nonce = nonce_of(worker, nic);
		ask(worker, nic, 0);
		if (nonce)
			ask(worker, nic, nonce);
	}
}

bool probe_hear(
	struct worker *worker, const struct nic *nic, const struct packet *parsed, struct rte_mbuf *packet)
{
	struct bypass *bypass = &worker->datapath->bypasses[nic_slot(nic->id)];
	uint64_t nonce = icmp_probe_nonce(nic, parsed, packet);

	if (nonce == 0 || !nic_physical_function(nic) ||
		nonce != atomic_load_explicit(&bypass->nonce, memory_order_relaxed) ||
		!nic_find_address(nic, flow_key_source(&parsed->key)))
		return false;
	if (parsed->flags & PACKET_BY_FUNCTION)
		atomic_store_explicit(&bypass->answered, true, memory_order_relaxed);
	rte_pktmbuf_free(packet);
	return true;
}
