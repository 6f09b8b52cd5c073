/* What becomes of a public load balancer's addresses and connections when it goes to another switch.
 *
 * How it works. The controller moves a load balancer from a host that is silent. Where all of that host is down there is
 * nothing to settle with it. But it may be its agent alone: then its switch goes on with an old state, and two have one
 * address. So a switch leaves the addresses of a load balancer to whoever announces one of them: it goes on with what is
 * sent to it, but does not answer for them any more (RFC 5227, section 2.4, case a). The one who announces is always the
 * later one: it does so only when a state brings the load balancer, and never when a process begins with what was on disk.
 * What is given up so stays so until a state without the load balancer has come (its number is another one afterwards), or the
 * process ends: the next one answers for what is on disk, and announces nothing.
 *
 * The new switch knows none of the connections. For TAKEOVER_MS it takes up such as it did not see begin, as policy allows
 * them. The choice of members is the same on each switch, so a connection meets its member again, unless members have come
 * or gone since it began: then that one resets it.
 *
 * Whoever can send ARP on the uplink could take addresses before: nothing is won by an announcement that was not.
 */
#include "switch/takeover.h"

#include "switch/datapath.h"
#include "switch/load_balancer.h"
#include "switch/wire.h"

#include <string.h>

static bool is_public(const struct nic *nic)
{
	return nic->load_balancer && !nic->load_balancer->internal;
}

void takeover_begin(struct datapath *datapath, const struct snapshot *before, const struct snapshot *after)
{
	for (unsigned slot = 0; before->generation && slot < NIC_SLOTS; slot++) {
		const struct nic *nic = after->nics[slot];
		if (!nic || !is_public(nic) || snapshot_nic(before, nic->id))
			continue;
		atomic_store_explicit(&datapath->takeovers[slot].came_ms, 0, memory_order_relaxed);
		atomic_store_explicit(&datapath->takeovers[slot].nic, nic->id, memory_order_release);
	}
}

void takeover_tick(struct worker *worker)
{
	for (unsigned slot = 0; slot < NIC_SLOTS; slot++) {
		struct takeover *takeover = &worker->datapath->takeovers[slot];
		if (!atomic_load_explicit(&takeover->nic, memory_order_acquire))
			continue;
		uint32_t came_ms = atomic_load_explicit(&takeover->came_ms, memory_order_relaxed);
		if (!came_ms)
			atomic_store_explicit(&takeover->came_ms, worker->now_ms | 1, memory_order_relaxed);
		else if (worker->now_ms - came_ms > TAKEOVER_MS)
			atomic_store_explicit(&takeover->nic, 0, memory_order_relaxed);
	}
}

void takeover_hear(struct worker *worker, const uint8_t *arp)
{
	const struct edge *outside = &worker->snapshot->outside;
	struct ip_addr sender = {.family = IP_V4};

	memcpy(sender.bytes, arp + ARP_SENDER_IP, 4);
	const struct nic *nic = load_balancer_of(worker->snapshot, SPACE_PUBLIC, sender);
	if (nic && memcmp(arp + ARP_SENDER_IP, arp + ARP_TARGET_IP, 4) == 0 &&
		memcmp(arp + ARP_SENDER_MAC, outside->mac.bytes, 6) != 0)
		atomic_store_explicit(&worker->datapath->takeovers[nic_slot(nic->id)].yielded, nic->id,
			memory_order_relaxed);
}

bool takeover_has_yielded(const struct datapath *datapath, const struct nic *nic)
{
	return atomic_load_explicit(&datapath->takeovers[nic_slot(nic->id)].yielded, memory_order_relaxed) ==
	       nic->id;
}

bool takeover_may_have_begun(
	const struct datapath *datapath, const struct snapshot *state, const struct flow_key *key)
{
	const struct nic *nic = snapshot_nic(state, key->nic);

	return nic && is_public(nic) &&
	       atomic_load_explicit(&datapath->takeovers[nic_slot(nic->id)].nic, memory_order_relaxed) ==
		       nic->id;
}
