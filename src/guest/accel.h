/* Whether accelerated networking is on and working in this guest, and if not, why.
 *
 * How it works. A guest pairs a synthetic interface, which is always there, with the VF of the same MAC
 * address that comes and goes, in one of two ways:
 *
 *     virtio, net_failover   eth0 (master, no hardware of its own)  ── lower ── eth0nsby (virtio, the
 * standby) └─ lower ── the VF (the primary) Hyper-V, hv_netvsc     eth0 (the synthetic interface itself)  ──
 * lower ── the VF
 *
 * Both show in sysfs as `lower_*` links of the upper interface and `master` links of the others. Counters of
 * the VF's share are the primary's own; hv_netvsc counts them itself and shows them in `ethtool -S eth0`.
 * Sources: Linux drivers/net/net_failover.c, drivers/net/hyperv/netvsc_drv.c, net/core/dev.c (link names).
 */
#pragma once
#include "base/cleanup.h"
#include "guest/function.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* What is counted: the name in sysfs, and with "vf_" before it in what we print. */
#define ACCEL_COUNTERS(X)                                                                                    \
	X(rx_packets)                                                                                        \
	X(rx_bytes)                                                                                          \
	X(tx_packets)                                                                                        \
	X(tx_bytes)                                                                                          \
	X(tx_dropped)

struct accel_counters {
#define X(name) uint64_t name;
	ACCEL_COUNTERS(X)
#undef X
};

/* What the inspection looks at; a seam for tests. */
struct accel_source {
	const char *root; /* before /sys and /proc; "" on a real machine */
	/* Reads the vf_* values of `ethtool -S netdev`; false when it shows none. */
	bool (*vf_statistics)(const char *netdev, struct accel_counters *ret);
};

enum accel_pairing {
	ACCEL_PLAIN, /* a synthetic interface that takes no VF */
	ACCEL_FAILOVER, /* virtio under net_failover */
	ACCEL_NETVSC, /* Hyper-V */
	ACCEL_DIRECT, /* a VF alone, with nothing to fall back to */
};

enum accel_state {
	ACCEL_WORKING, /* a VF carries the packets */
	ACCEL_OFF, /* by intent: not enabled, or the host took the VF away; packets go the synthetic way */
	ACCEL_BROKEN, /* something in this guest keeps a VF that is there from working */
};

/* One interface of a pair. */
struct accel_side {
	char *netdev; /* Owned */
	char *driver; /* Owned; NULL: unknown */
	bool up; /* the administrator's switch */
	bool carrier; /* the link itself */
	struct accel_counters counters;
};

struct accel_nic {
	char *name; /* Owned; the interface that holds the addresses */
	char *mac; /* Owned */
	enum accel_pairing pairing;
	enum accel_state state;
	struct accel_side *standby; /* Owned; NULL but for net_failover */
	struct accel_side *primary; /* Owned; NULL: no VF is paired */
	const struct function
		*function; /* Borrowed; the PCI function of the primary, or the one that fails */
	struct accel_counters vf; /* the VF's share; zero without one */
	char *reason; /* Owned; one sentence, no full stop */
};

struct accel_report {
	char *kernel; /* Owned; as `uname -r` */
	GPtrArray *functions; /* Owned; of struct function */
	GPtrArray *nics; /* Owned; of struct accel_nic, by name */
	enum accel_state state; /* BROKEN if any NIC is, else WORKING if any is, else OFF */
	char *summary; /* Owned; one line: the reason of the NIC that decides */
};

/* Never fails: what cannot be read is absent. */
struct accel_report *accel_inspect(const struct accel_source *source);
void accel_report_free(struct accel_report *report);
CLEANUP_FUNC(struct accel_report *, accel_report_free)

/* "net_failover", ... and "working", ...: the words of the JSON output. */
const char *accel_pairing_name(enum accel_pairing pairing);
const char *accel_state_name(enum accel_state state);
