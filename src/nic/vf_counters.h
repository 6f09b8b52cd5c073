/* What virtual functions have received and sent, as their PF counts it: also while a guest has them.
 *
 * Source: Linux include/uapi/linux/if_link.h (IFLA_VF_STATS_*), net/core/rtnetlink.c (rtnl_fill_vfinfo). The kernel shows zeros
 * of a driver that counts nothing (igb), as of a VF that is idle. So counters are believed as soon as one of any VF of the PF is
 * not zero; before that there are none.
 */
#pragma once
#include "nic/link.h"

#include <jansson.h>
#include <stdint.h>

/* As the VF sees it: rx is what it received. */
enum vf_counter {
	VF_RX_PACKETS,
	VF_RX_BYTES,
	VF_RX_BROADCAST, /* packets, as the next */
	VF_RX_MULTICAST,
	VF_RX_DROPPED, /* packets that it should have received */
	VF_TX_PACKETS,
	VF_TX_BYTES,
	VF_TX_DROPPED,
};
#define VF_COUNTERS 8

struct vf_counters {
	unsigned index; /* of the VF */
	unsigned known; /* set of 1 << enum vf_counter; 0: there are none */
	uint64_t values[VF_COUNTERS];
};

/* "rx_packets", "RX PACKETS": the name of one, and the title of its column. */
const char *vf_counter_word(enum vf_counter counter);
const char *vf_counter_title(enum vf_counter counter);

/* Those of all VFs of the PF, of struct vf_counters. Owned by the caller; empty: its driver tells none, or there is no such
 * interface. */
GArray *vf_counters_read(struct links *links, const char *pf);

struct nlmsghdr;
/* The same, of the kernel's answer (RTM_NEWLINK) about the PF. */
GArray *vf_counters_parse(const struct nlmsghdr *answer);

/* Those of the VF, which are none (known 0) where it is not among them. */
struct vf_counters vf_counters_of(const GArray *all, unsigned index);

/* {"rx_packets": 12, …}: those that are known. New reference; NULL: none is. */
json_t *vf_counters_encode(const struct vf_counters *counters);
