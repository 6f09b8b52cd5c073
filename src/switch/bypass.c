/* What is remembered of functions past the host, and which connections are taken up from them.
 *
 * How it works. While a NIC's function is on the physical network itself, its connections there begin unseen. When the
 * function goes they come to the switch in the middle, and a NIC without that would lose each of them. So they are
 * taken up, but only such as can be of that kind, as a connection that policy has revoked looks the same:
 *
 *   where  The other end is on the NIC's physical network, or beyond by a router there: that is what functions reach
 *          unseen. Another NIC here is, while its function was active too. All else went through the switch.
 *   when   Within BYPASS_TAKE_UP_S of the function: a guest may have said nothing by it for as long as an established
 *          connection may be silent. The time is kept beside the flows (flow_memory.h), so that the next process has it as
 *          it has them, and goes along with them to another host (carry.h). The first worker's ticks keep it. A process
 *          that finds no memory to adopt does not know: then a NIC whose first state has the attachment counts as
 *          active at the start, since the process before may have had it active to the end.
 *   what   Policy must allow it whoever began it: the direction that was seen, as any first packet's, and the other
 *          one. The latter may be left out where the NIC sent the packet and its port is a client's, the peer's a
 *          server's: then it is known who began. This errs to the safe side: a connection may be lost.
 *
 * And what policy has revoked is remembered for as long as an established connection is, while its NIC's function is in
 * the state or was active within that time (worker.c): so the length of the time opens nothing that was closed.
 */
#include "switch/bypass.h"

#include "switch/datapath.h"

#include <sys/random.h>

#define NEVER        0u
#define JUST_NOW     UINT32_MAX /* the next tick says when that is */
#define CLOCKS_APART 10 /* seconds, at most, of two threads */
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

static struct flow_memory_nic *record_of(const struct datapath *datapath, const struct nic *nic)
{
	return &flow_table_memory(datapath->flows)->header->nics[nic_slot(nic->id)];
}

/* When the NIC's function was last active, by clocks' seconds; NEVER: not within the time, or the record is another's. */
static uint32_t active_s(const struct datapath *datapath, const struct nic *nic)
{
	const struct flow_memory_nic *record = record_of(datapath, nic);
	bool is_its = atomic_load_explicit(&record->number, memory_order_acquire) == nic->id;

	return is_its ? atomic_load_explicit(&record->function_s, memory_order_relaxed) : NEVER;
}

/* Seconds that mean nothing else. */
static uint32_t plain(uint32_t s)
{
	return s == NEVER || s == JUST_NOW ? 1 : s;
}

/* What is far ahead of the clock is damage, or of a clock that is gone. */
static bool is_over(uint32_t then_s, uint32_t now_s)
{
	int32_t ago = (int32_t)(now_s - then_s);

	return ago > (int32_t)BYPASS_TAKE_UP_S || ago < -CLOCKS_APART;
}

/* What it is from now on, if it is still what was seen. */
static void replace(const struct datapath *datapath, const struct nic *nic, uint32_t seen_s, uint32_t s)
{
	struct flow_memory_nic *record = record_of(datapath, nic);

	if (seen_s != s && atomic_load_explicit(&record->number, memory_order_relaxed) == nic->id)
		atomic_compare_exchange_strong_explicit(
			&record->function_s, &seen_s, s, memory_order_relaxed, memory_order_relaxed);
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

/* What was long ago is over before the first tick, too: packets may come sooner. */
static void end_what_is_over(const struct datapath *datapath, const struct nic *nic, uint32_t now_s)
{
	uint32_t then_s = active_s(datapath, nic);

	if (then_s != NEVER && then_s != JUST_NOW && (int32_t)(now_s - then_s) > (int32_t)BYPASS_TAKE_UP_S)
		replace(datapath, nic, then_s, NEVER);
}

void bypass_begin(struct datapath *datapath, const struct snapshot *before, const struct snapshot *after)
{
	bool first = before->generation == 0;
	bool unknown = first && !flow_table_memory(datapath->flows)->adopted;
	uint32_t now_s = (uint32_t)(datapath_clock_ms() / 1000);

	for (unsigned slot = 0; slot < NIC_SLOTS; slot++) {
		const struct nic *nic = after->nics[slot];
		if (first && nic)
			end_what_is_over(datapath, nic, now_s);
		if (!nic || !nic_physical_function(nic))
			continue;
		const struct nic *was = snapshot_nic(before, nic->id);
		if (unknown)
			replace(datapath, nic, NEVER, JUST_NOW);
		if (is_in_question(was, nic))
			ask_anew(&datapath->bypasses[slot]);
	}
}

void bypass_tick(struct worker *worker)
{
	for (unsigned slot = 0; slot < NIC_SLOTS; slot++) {
		const struct nic *nic = worker->snapshot->nics[slot];
		uint32_t then_s = nic ? active_s(worker->datapath, nic) : NEVER;
		if (nic && (is_active(nic) || then_s == JUST_NOW))
			replace(worker->datapath, nic, then_s, plain(worker->now_s));
		else if (then_s != NEVER && is_over(then_s, worker->now_s))
			replace(worker->datapath, nic, then_s, NEVER);
	}
}

bool bypass_was_active(const struct datapath *datapath, const struct nic *nic)
{
	return is_active(nic) || active_s(datapath, nic) != NEVER;
}

bool bypass_was_active_ago(
	const struct datapath *datapath, const struct nic *nic, uint32_t now_s, uint32_t *ret_ago_s)
{
	uint32_t then_s = active_s(datapath, nic);

	if (is_active(nic) || then_s == JUST_NOW)
		*ret_ago_s = 0;
	else if (then_s == NEVER || is_over(then_s, now_s))
		return false;
	else
		*ret_ago_s = (uint32_t)MAX((int32_t)(now_s - then_s), 0);
	return true;
}

void bypass_note_ago(struct datapath *datapath, const struct nic *nic, uint32_t now_s, uint32_t ago_s)
{
	uint32_t then_s = active_s(datapath, nic), is_s = plain(now_s - ago_s);
	bool is_later = then_s == NEVER || (then_s != JUST_NOW && (int32_t)(is_s - then_s) > 0);

	if (nic->network->physical && is_later)
		replace(datapath, nic, then_s, is_s);
}

bool bypass_has_answered(const struct datapath *datapath, const struct nic *nic)
{
	return is_active(nic) &&
	       atomic_load_explicit(&datapath->bypasses[nic_slot(nic->id)].answered, memory_order_relaxed);
}

/* ---- connections ---- */

bool bypass_may_have_begun(
	const struct datapath *datapath, const struct snapshot *state, const struct flow_key *key)
{
	const struct nic *nic = snapshot_nic(state, key->nic);

	return nic && bypass_was_active(datapath, nic);
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
	return from && to && from->network == to->network && bypass_was_active(datapath, to);
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
