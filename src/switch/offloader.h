/* Offload: which of the switch's flows an eswitch executes in its place, and since when.
 *
 * Theory of operation. What has `offload` in the state, representors of functions and uplinks, are ports of an eswitch, which
 * a provider (offload/provider.h) drives. Packets for which the eswitch has no flow come up by these ports, and what is sent
 * there reaches the function, so the switch's own way is there all the time. Once a round (ROUND_MS) the table is walked: a
 * connection that is established, and had HOT_PER_S packets a second since the last look, is offered, both directions. The
 * manager (offload/manager.h) has the rest of their life. In the same round each direction that was offered is made anew and
 * compared with what the eswitch has: it leaves when its connection ends (FIN and RST come up), goes another way, or a
 * neighbour has another MAC.
 *
 * A change of the state. datapath_publish holds the offloader, and tells it once all workers use the new state: each
 * direction in the eswitch is decided anew, the ones that are decided otherwise leave, and only when they have left is it settled.
 * Until then no change counts as applied, as the eswitch may execute what was before: control.c answers `apply` then. It may
 * take long, by the number of flows and by the NIC, so the thread does it, a part a turn. What is decided alike stays, and is
 * marked as decided by that state.
 *
 * What comes back. Packets and bytes that the eswitch carried are kept here, apart from the flow's own, which its worker
 * alone may write; who shows a flow adds both. The time of its last packet is set in the table, so that it does not age. A
 * NIC's limits are meters of the eswitch for what it carries; the switch's own meters leave to the rest what that is short of
 * the limit, an eighth at least, so that first packets get through: together that may be a little over the limit.
 * What TCP's window is nobody knows while the eswitch has the packets: tcp.h says what follows.
 *
 * Threads. All of it is under one lock: a thread of its own takes turns, as the provider may be slow, and the main thread
 * asks, and follows. Neither workers nor anything that they wait for ever takes it. Without ports of an eswitch there is
 * no thread, and in any case nothing is done per packet.
 *
 * When no provider can be opened, or it dies, or it cannot have a port, the switch goes on with what the eswitch does not
 * do; it is tried again every RETRY_MS.
 */
#pragma once
#include "offload/manager.h"
#include "switch/datapath.h"

struct offloader;

/* A provider without ports. NULL with *error. */
typedef struct offload_provider *(*offloader_open)(void *data, GError **error);

/* Of the data path (Borrowed), which knows it from now on. It does nothing by itself before it is started. */
struct offloader *offloader_new(struct datapath *datapath, offloader_open open, void *data);
/* No worker runs any more. */
void offloader_free(struct offloader *offloader);
CLEANUP_FUNC(struct offloader *, offloader_free)

/* From now on it takes turns by itself, as soon as there is an eswitch. */
void offloader_start(struct offloader *offloader);
/* A turn; for tests, which do not start it. Returns whether there is more to do at once. */
bool offloader_turn(struct offloader *offloader, uint32_t now_ms);

/* For datapath_publish alone; NULL: none. Between the two nobody takes a turn. Where it was not started, it has settled
 * when the second returns. */
void offloader_hold(struct offloader *offloader);
void offloader_follow(struct offloader *offloader);
/* Whether the eswitch executes nothing that the state in use decides otherwise. Without waiting for a turn to end; NULL: it is. */
bool offloader_is_settled(const struct offloader *offloader);

/* ---- questions; of NULL, answers as if nothing were offloaded ---- */

struct offloader_flow {
	enum offload_state state;
	char *reason; /* Owned: why the eswitch does not have it, a sentence; NULL: there is none */
	struct offload_stats carried; /* ever, by the eswitch */
};
void offloader_flow_clear(struct offloader_flow *flow);
CLEANUP_CLEAR_FUNC(struct offloader_flow, offloader_flow_clear)

/* Of a direction, whose other one is `pair`; both are copies of one moment. */
struct offloader_flow offloader_look(
	struct offloader *offloader, const struct flow *flow, const struct flow *pair);
/* What the eswitch has carried of it. */
struct offload_stats offloader_carried(
	struct offloader *offloader, const struct flow *flow, const struct flow *pair);

struct offloader_nic {
	bool wanted; /* its active attachment is a port of an eswitch */
	unsigned states[OFFLOAD_STATES]; /* directions that it sends, or that come to it from an edge */
	struct offload_stats sent, received; /* by the eswitch, ever */
	GHashTable *reasons; /* Owned: sentence → how many directions; NULL: none */
};

struct offloader_report {
	const char *provider; /* "tc"; NULL: there is none now */
	char *error; /* Owned: why, or which ports it does not have; NULL */
	struct offload_counts counts;
	struct offloader_nic nics[NIC_SLOTS];
};
/* NULL: nothing is to be offloaded, and never was. Owned by the caller. */
struct offloader_report *offloader_report(struct offloader *offloader);
void offloader_report_free(struct offloader_report *report);
CLEANUP_FUNC(struct offloader_report *, offloader_report_free)
