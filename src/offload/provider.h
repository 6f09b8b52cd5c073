/* Providers of offload: what executes unified flows in the switch's place. One conformance test runs on all of them:
 * the same packets in, the same packets out.
 *
 * Theory of operation. Requests are queued, take effect in the order in which they were made, and are answered by
 * events, which poll hands out. Answers about different flows may come in any order; a flow has at most one request
 * under way, which is the caller's to see to (manager.h). Between the request and its answer a flow may be executed or
 * not: the caller keeps its own way for the packets all the time.
 *
 * A provider may be slow (the kernel asks firmware about each flow), and poll is where it spends its time: it belongs
 * to a thread of its own, not to one that moves packets. No call is made from two threads at once.
 *
 * A provider whose device is gone answers -ENODEV to everything from then on, and its flows are executed no longer.
 */
#pragma once
#include "base/cleanup.h"
#include "offload/flow.h"

#include <glib.h>

/* What flows enter and leave by. */
struct offload_port {
	uint32_t number; /* what flows call it */
	int ifindex;
	int tunnel_ifindex; /* a VXLAN device of the kernel ("external") whose packets go by this port; 0: none */
};

struct offload_caps {
	const char *name; /* "tc" */
	uint32_t abilities; /* OFFLOAD_IPV4 .. */
	uint32_t flows; /* that it holds; 0: nobody knows before it refuses one */
};

enum offload_event_kind {
	OFFLOAD_EVENT_INSTALLED, /* put: it is executed from now on */
	OFFLOAD_EVENT_REFUSED, /* put: it is not; `reason` says why */
	OFFLOAD_EVENT_REMOVED, /* remove: it is executed no longer; `stats` are its last where has_stats */
	OFFLOAD_EVENT_EVICTED, /* unasked: as REMOVED, and `reason` says why */
	OFFLOAD_EVENT_STATS, /* stats: a flow's, one event each */
	OFFLOAD_EVENT_STATS_DONE, /* stats: that were all */
	OFFLOAD_EVENT_FLUSHED, /* flush: no flow is executed */
};

/* Since the flow was installed. Bytes are of whole frames, as nearly as the provider tells. */
struct offload_stats {
	uint64_t packets, bytes;
};

struct offload_event {
	enum offload_event_kind kind;
	uint64_t flow; /* its id; 0 where the event is about all */
	const char *reason; /* a sentence; Borrowed until the next call; else NULL */
	bool has_stats;
	struct offload_stats stats;
};

struct offload_provider;

/* Those that queue return 0, -EAGAIN when the queue is full (poll makes room), or -ENODEV. */
struct offload_provider_ops {
	/* flow: copied. No flow of that id may be there; one of the same match is refused. */
	int (*put)(struct offload_provider *provider, const struct offload_flow *flow);
	/* A flow that is not there is answered all the same. */
	int (*remove)(struct offload_provider *provider, uint64_t flow);
	/* Asks for the counters of all flows that are installed. */
	int (*stats)(struct offload_provider *provider);
	/* Removes all flows, also those of a process before. What is queued is done first. May take its time. */
	int (*flush)(struct offload_provider *provider);
	/* Makes a meter, at once, before the first flow that has it; or gives it other limits, of the same kinds (bits,
	 * packets, or both). Any other -errno than -ENODEV: the NIC has not taken it. Then flows that have it keep what it
	 * was, which the caller sees to, and those that name it are refused until it is set once more. */
	int (*meter)(struct offload_provider *provider, const struct offload_meter *meter);
	/* The ports from now on. One that is gone, or is another interface than before, has no flows any more: those that came or
	 * left by it are evicted. At once; one that cannot be had, for which this fails, is left out, and flows that name it are
	 * refused; it is tried again when the ports are told again. */
	bool (*ports)(struct offload_provider *provider, const struct offload_port *ports, unsigned n,
		GError **error);
	/* Works, and hands out events: how many, at most `max`; 0 when nothing has happened; -ENODEV. */
	int (*poll)(struct offload_provider *provider, struct offload_event *events, unsigned max);
	/* Its flows go with it. */
	void (*close)(struct offload_provider *provider);
};

/* First member of every provider's own struct. */
struct offload_provider {
	const struct offload_provider_ops *ops;
	struct offload_caps caps;
};

static inline void offload_provider_close(struct offload_provider *provider)
{
	provider->ops->close(provider);
}
CLEANUP_FUNC(struct offload_provider *, offload_provider_close)
