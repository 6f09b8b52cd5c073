/* What is remembered of functions past the host, and which connections are taken up from them.
 *
 * How it works. While a NIC's function is on the physical network itself, its connections there begin unseen. When the
 * function goes they come to the switch in the middle, and a NIC without that would lose each of them. So they are
 * taken up, but only such as can be of that kind, as a connection that policy has revoked looks the same:
 *
 *   where  The other end is on the NIC's physical network, or beyond by a router there: that is what functions reach
 *          unseen. Another NIC here is, while its function was active too. All else went through the switch.
 *   when   Not long after the function was active (BYPASS_TAKE_UP_MS), or after the start, as the process before may
 *          have had it active to the end. The first worker's ticks keep the time, so that nobody compares clocks.
 *   what   Policy must allow it whoever began it: the direction that was seen, as any first packet's, and the other
 *          one. The latter may be left out where the NIC sent the packet and its port is a client's, the peer's a
 *          server's: then it is known who began. This errs to the safe side: a connection may be lost.
 *
 * And what policy has revoked is remembered for as long as an established connection is (worker.c), longer than that.
 */
#include "switch/bypass.h"

#include "switch/datapath.h"

#include <sys/random.h>

#define CLIENT_PORTS                                                                                         \
	32768 /* from here on: Linux's ephemeral ones; those of RFC 6335, section 6, are among them */

static bool is_active(const struct nic *nic)
{
	const struct attachment *function = nic_physical_function(nic);

	return function && function->active;
}

/* Becomes active, or is joined by the other attachment: whoever wants that asks whether the guest uses it. */
static bool is_in_question(const struct nic *before, const struct nic *after)
{
	return is_active(after) &&
	       (!before || !is_active(before) || (nic_is_changing(after) && !nic_is_changing(before)));
}

/* ---- what is remembered ---- */

static void note(struct bypass *bypass, uint32_t nic, uint32_t now_ms)
{
	atomic_store_explicit(&bypass->active_ms, now_ms, memory_order_relaxed);
	atomic_store_explicit(&bypass->nic, nic, memory_order_release);
}

/* Nobody can answer a question before it was asked, nor the one before. */
static void ask_anew(struct bypass *bypass)
{
	uint64_t nonce;

	if (getrandom(&nonce, sizeof nonce, 0) != sizeof nonce)
		nonce = 0;
	atomic_store_explicit(&bypass->nonce, nonce, memory_order_relaxed);
	atomic_store_explicit(&bypass->answered, false, memory_order_relaxed);
}

void bypass_begin(struct datapath *datapath, const struct snapshot *before, const struct snapshot *after)
{
	bool first = before->generation == 0;

	for (unsigned slot = 0; slot < NIC_SLOTS; slot++) {
		const struct nic *nic = after->nics[slot];
		if (!nic || !nic_physical_function(nic))
			continue;
		const struct nic *was = snapshot_nic(before, nic->id);
		if (first)
			note(&datapath->bypasses[slot], nic->id, datapath->started_ms);
		if (is_in_question(was, nic))
			ask_anew(&datapath->bypasses[slot]);
	}
}

void bypass_tick(struct worker *worker)
{
	for (unsigned slot = 0; slot < NIC_SLOTS; slot++) {
		struct bypass *bypass = &worker->datapath->bypasses[slot];
		const struct nic *nic = worker->snapshot->nics[slot];
		uint32_t since_ms = worker->now_ms - bypass->active_ms;
		if (nic && is_active(nic))
			note(bypass, nic->id, worker->now_ms);
		else if (since_ms > BYPASS_TAKE_UP_MS)
			atomic_store_explicit(&bypass->nic, 0, memory_order_relaxed);
	}
}

bool bypass_has_answered(const struct datapath *datapath, const struct nic *nic)
{
	return is_active(nic) &&
	       atomic_load_explicit(&datapath->bypasses[nic_slot(nic->id)].answered, memory_order_relaxed);
}

/* ---- connections ---- */

static bool was_active(const struct datapath *datapath, const struct nic *nic)
{
	const struct bypass *bypass = &datapath->bypasses[nic_slot(nic->id)];

	return is_active(nic) || atomic_load_explicit(&bypass->nic, memory_order_relaxed) == nic->id;
}

bool bypass_may_have_begun(
	const struct datapath *datapath, const struct snapshot *state, const struct flow_key *key)
{
	const struct nic *nic = snapshot_nic(state, key->nic);

	return nic && was_active(datapath, nic);
}

/* Whether the function reaches the other end by the wire alone. */
static bool is_by_wire(
	const struct datapath *datapath, const struct snapshot *state, const struct flow_half *forward)
{
	const struct nic *from = snapshot_nic(state, forward->key.nic), *to;

	if (forward->action.flags & FLOW_ROUTED)
		return false;
	if (forward->key.origin == FLOW_FROM_PHYSICAL || forward->action.exit == FLOW_TO_PHYSICAL)
		return true;
	if (forward->key.origin != FLOW_FROM_NIC || forward->action.exit != FLOW_TO_NIC)
		return false;
	to = snapshot_nic(state, forward->action.target);
	return from && to && from->network == to->network && was_active(datapath, to);
}

static bool is_of_client(const struct flow_key *key)
{
	return key->origin == FLOW_FROM_NIC && be16toh(key->sport) >= CLIENT_PORTS &&
	       be16toh(key->dport) < CLIENT_PORTS;
}

bool bypass_takes_up(
	const struct datapath *datapath, const struct snapshot *state, const struct decision *decision)
{
	struct decision other;

	return is_by_wire(datapath, state, &decision->forward) &&
	       (is_of_client(&decision->forward.key) || decide(state, &decision->reply.key, false, &other));
}
