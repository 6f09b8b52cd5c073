/* What the parts of offload share: offloader.c has its life, offload_choice.c chooses flows, offload_report.c tells. */
#pragma once
#include "switch/offload_flows.h"
#include "switch/offloader.h"

#include <pthread.h>

#define ROUND_MS  1000
#define HOT_PER_S 16 /* packets of a direction: for fewer an eswitch's place is not worth its making */

/* A direction that was hot once, until its connection is over. */
struct offered {
	uint64_t id; /* offload_flows_id */
	uint32_t index; /* in the flow table */
	uint32_t nic; /* number of who sends it, or of who gets it from an edge */
	const char *unable; /* why it cannot be made a flow of an eswitch (a constant); NULL: it was */
	struct offload_flow flow; /* as it was offered last */
	struct offload_stats carried;
	bool was_carried; /* by a NIC before it was offered */
};

/* How far the eswitch has followed the state in use. */
enum follow {
	/* It executes nothing that the state decides otherwise. Left by the next one. */
	FOLLOW_DONE,
	/* What it has is decided anew, a part a turn; nothing is offered. Left when all is. */
	FOLLOW_CONFIRM,
	/* What is decided otherwise leaves; nothing is offered. Left when it has. */
	FOLLOW_SETTLE,
};

/* What an eswitch has carried of a NIC's. */
struct traffic {
	uint32_t nic; /* number */
	struct offload_stats sent, received;
	struct offload_stats sent_since, received_since; /* the last round */
};

struct offloader {
	struct datapath *datapath; /* Borrowed */
	offloader_open open;
	void *data;
	bool used; /* the main thread's: there is an eswitch, or was; the rest is of no interest before */
	GThread *thread; /* Owned; NULL: none yet; the main thread's */

	/* What follows is under the lock. It is not GLib's, in which a sanitizer of threads sees none. */
	pthread_mutex_t lock;
	pthread_cond_t woken; /* there is something to do, or it is to stop */
	bool started, stopping;
	_Atomic enum follow follow; /* which the main thread reads without the lock */
	bool begins; /* no provider was tried yet */

	struct offload_manager *manager; /* Owned */
	GError *error; /* Owned: why there is no provider, or not for all ports; NULL */
	uint64_t now_ms; /* the workers' clock, which does not wrap here */
	uint64_t open_ms; /* when it was tried last to open a provider */
	GArray *ports; /* Owned, of struct offload_port */
	GArray *told; /* the same: those that the provider was told of last */
	bool port_lacks; /* the provider cannot have one of them */
	uint64_t ports_ms; /* when it was told of them last */
	unsigned tunnel; /* index of the kernel's VXLAN device; 0: there is none */
	uint64_t tunnel_ms; /* not sought again before, while there is none */
	bool is_port[PORTS_MAX]; /* by the port's index */
	bool is_wanted[NIC_SLOTS]; /* the NIC's active attachment is a port */
	struct offload_meter meters[NIC_SLOTS][2]; /* as the manager has them: send, receive */

	GHashTable *flows; /* id → struct offered, Owned */
	GArray *unconfirmed; /* Owned, of uint64_t: ids that FOLLOW_CONFIRM has to look at; NULL: not gathered */
	uint64_t *
		noted; /* Owned: by entry of the flow table, its packets at the last look; NULL: not used yet */
	uint64_t round_ms; /* when the round began */
	uint64_t enough; /* packets since the last look */
	uint32_t scan_next; /* entry to look at next; 0: the round is over */
	struct traffic traffic[NIC_SLOTS];
};

static inline void offloader_lock(struct offloader *o)
{
	pthread_mutex_lock(&o->lock);
}

static inline void offloader_unlock(struct offloader *o)
{
	pthread_mutex_unlock(&o->lock);
}

/* ---- offload_choice.c ---- */

void offload_choice_init(struct offloader *o, const struct offload_policy *policy);
void offload_choice_begin(struct offloader *o);
void offload_choice_done(struct offloader *o);
/* Looks at a part of the table, and offers what is hot there. Returns whether the round goes on. */
bool offload_choice_scan(struct offloader *o);
/* Looks whether what was offered is as it was; else it leaves. */
void offload_choice_check(struct offloader *o);
/* Confirms those in the eswitch that the state in use decides alike, a part of them a call. Returns whether there are
 * more. The other begins anew. */
bool offload_choice_confirm(struct offloader *o);
void offload_choice_begin_confirm(struct offloader *o);

/* The NIC that a direction is counted for. */
uint32_t offload_choice_nic(const struct flow *flow);
