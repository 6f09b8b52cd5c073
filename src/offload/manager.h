/* Which flows a NIC executes, and what becomes of them there.
 *
 * Theory of operation. The owner (a switch) offers flows that its policy has decided and withdraws them when they end;
 * the manager asks the provider, hears its events, and tells the owner by a listener what packets the NIC has carried,
 * so that a connection that the NIC carries does not look silent, and when the NIC no longer carries one. The owner's
 * own way for the packets is there all the time: whatever goes wrong here, packets go up to the switch.
 *
 *                 offer                  INSTALLED
 *     NONE ───────────────► QUEUED ──────────────────► INSTALLED
 *      ▲ ▲                     │ REFUSED                 │    │ EVICTED by the NIC
 *      │ │     withdraw        ▼                         │    ▼
 *      │ └────────────────  REFUSED ◄────────────────────┼── (as REFUSED, with the NIC's reason)
 *      │                                                 │ withdraw, idle, another generation
 *      │            REMOVED                              ▼
 *      └──────────────────────────────────────────── EVICTING
 *
 * A generation is the owner's state of policy. With a new one all flows of another leave first, but those that the owner
 * has confirmed for it; is_settled says when the NIC executes nothing that the old policy alone decided, and only then may
 * the owner say that the new one holds. Flows are offered again as the switch decides them anew.
 *
 * A flow has one request under way at most, so the order of answers about different flows does not matter. What is
 * withdrawn while it is queued is taken out when the NIC has answered. When a provider dies, nothing is carried by it
 * any more: all flows are NONE, and the owner may attach another one, which is flushed before it gets flows.
 *
 * Time is the caller's. One thread; the listener must not call the manager.
 */
#pragma once
#include "offload/provider.h"

#include <glib.h>

enum offload_state {
	/* The switch executes it. Left by an offer that the policy below finds worth it. */
	OFFLOAD_STATE_NONE,
	/* The NIC has been asked; either may execute it. Left by the NIC's answer. */
	OFFLOAD_STATE_QUEUED,
	/* The NIC executes it; exceptions go up. Left by withdraw, silence, another generation, or the NIC. */
	OFFLOAD_STATE_INSTALLED,
	/* The NIC did not take it, or threw it out: there is a reason. An offer after retry_ms tries again. */
	OFFLOAD_STATE_REFUSED,
	/* It is to be taken out; the NIC may execute it still. Offers are not heard. Left by the NIC's answer. */
	OFFLOAD_STATE_EVICTING,
	OFFLOAD_STATES,
};

/* "installed" */
const char *offload_state_word(enum offload_state state);

struct offload_policy {
	uint64_t packets; /* that a flow must have had to be worth a place; 0: each is */
	unsigned pending; /* puts that may be under way */
	uint32_t idle_ms; /* a flow that is silent for so long makes room; more than stats_ms */
	uint32_t stats_ms; /* between two looks at the counters */
	uint32_t retry_ms; /* after a refusal, also of a meter, or an eviction */
};

struct offload_listener {
	/* The NIC has carried so much more of the flow. */
	void (*carried)(void *data, uint64_t flow, const struct offload_stats *more);
	/* The NIC does not execute it: state is NONE or REFUSED. reason: a sentence, Borrowed. */
	void (*left)(void *data, uint64_t flow, enum offload_state state, const char *reason);
};

struct offload_manager;

/* policy: copied. listener: Borrowed. */
struct offload_manager *offload_manager_new(
	const struct offload_policy *policy, const struct offload_listener *listener, void *data);
/* Closes the provider. */
void offload_manager_free(struct offload_manager *manager);
CLEANUP_FUNC(struct offload_manager *, offload_manager_free)

/* Takes the provider, which gets all meters and is flushed. There must be none. */
void offload_manager_attach(struct offload_manager *manager, struct offload_provider *provider);
/* NULL: there is none, or it died. Borrowed. */
struct offload_provider *offload_manager_provider(const struct offload_manager *manager);

/* For this and later providers. While the NIC does not take it, which is tried again every retry_ms, it has no flow with that
 * meter: those that are there leave, others are refused. */
void offload_manager_set_meter(struct offload_manager *manager, const struct offload_meter *meter);
/* The flow, if it is there, is decided alike by that generation: it need not leave when that one comes. */
void offload_manager_confirm(struct offload_manager *manager, uint64_t flow, uint32_t generation);
void offload_manager_set_generation(struct offload_manager *manager, uint32_t generation);
/* Whether nothing that was withdrawn, is of another generation, or was left by a process before, is executed by the
 * NIC. */
bool offload_manager_is_settled(const struct offload_manager *manager);

/* The owner would have the flow executed by the NIC; it has had so many packets. As often as it likes: what is there
 * already stays. Returns its state after that; NONE: not now. */
enum offload_state offload_manager_offer(struct offload_manager *manager, const struct offload_flow *flow,
	uint32_t generation, uint64_t packets, uint64_t now_ms);
/* The flow is none any more, or another one; reason: a sentence that tells why. */
void offload_manager_withdraw(struct offload_manager *manager, uint64_t flow, const char *reason);

/* Lets the provider work, hears its events, asks for counters. Several times a second, and without waiting while
 * it returns true: there is more to do at once. */
bool offload_manager_poll(struct offload_manager *manager, uint64_t now_ms);

struct offload_flow_report {
	enum offload_state state;
	const char *reason; /* of REFUSED and EVICTING; Borrowed until the next call; else NULL */
	struct offload_stats stats; /* since it was installed last */
};
struct offload_flow_report offload_manager_find(const struct offload_manager *manager, uint64_t flow);

struct offload_counts {
	unsigned states[OFFLOAD_STATES]; /* flows in them now; none in NONE */
	uint64_t installed, refused, evicted, deaths; /* since the beginning */
};
struct offload_counts offload_manager_counts(const struct offload_manager *manager);
