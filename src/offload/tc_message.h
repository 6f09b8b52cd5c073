/* Netlink messages of tc: written attribute by attribute, as libnl knows little of flower. Sources: linux/pkt_cls.h, and the
 * kernel's net/sched/cls_flower.c and act_*.c.
 *
 * All begin the message anew; sequence number and flags of requests are the caller's.
 */
#pragma once
#include "offload/flow.h"

#include <netlink/msg.h>

#define TC_MESSAGE_MAX 4096 /* no message here is longer */

/* Where a filter lies. */
struct tc_place {
	int ifindex;
	uint32_t handle;
	uint16_t protocol; /* Ethernet type that the filter is for, host order */
	uint16_t priority;
};

/* In the last action of each filter of ours: by it a dump tells ours from others'. */
struct tc_cookie {
	char name[7]; /* TC_NAME */
	uint8_t made_ingress; /* a guard's: the ingress that it lies in is ours */
};
#define TC_NAME "sluice"

/* Handles of our filters; others' are small numbers, which the kernel gives. */
#define TC_HANDLES UINT32_C(0x58000000)

struct tc_place tc_place_of(const struct offload_match *match, int ifindex, uint32_t handle);
/* Whether flows are kept in that priority. */
bool tc_priority_is_of_flows(uint16_t priority);

/* Makes, or removes, a device's ingress. */
void tc_message_qdisc(struct nl_msg *msg, int ifindex);
void tc_message_remove_qdisc(struct nl_msg *msg, int ifindex);
/* What a flow's actions are in the kernel. */
struct tc_out {
	int ifindex; /* that it is sent by */
	uint32_t mtu_police; /* indices of what its MTU is, */
	unsigned n_police; /* and its meters */
	uint32_t police[2 * OFFLOAD_METERS];
};
/* flags: TCA_CLS_FLAGS_SKIP_HW .. */
void tc_message_put(struct nl_msg *msg, const struct offload_flow *flow, const struct tc_place *place,
	const struct tc_out *out, uint32_t flags);
void tc_message_remove(struct nl_msg *msg, const struct tc_place *place);
/* All of a device's filters, at its ingress or egress, with their counters. */
void tc_message_dump(struct nl_msg *msg, int ifindex, bool egress);
/* Asks for the device itself. */
void tc_message_link(struct nl_msg *msg, int ifindex);

/* What goes up before any flow is looked for; the i-th of them. */
#define TC_GUARDS 4
struct tc_place tc_guard_place(int ifindex, unsigned i);
void tc_message_guard(struct nl_msg *msg, int ifindex, unsigned i, bool made_ingress, uint32_t flags);

/* Actions that flows share, by index. What is longer than an MTU is let through to the host. A meter is one
 * for bits, one for packets, or both. flags: those of the filters, which theirs must be the same as. */
uint32_t tc_mtu_index(uint16_t mtu, uint32_t flags);
void tc_message_mtu(struct nl_msg *msg, uint16_t mtu, uint32_t flags);
void tc_message_meter(struct nl_msg *msg, const struct offload_meter *meter, bool packets, uint32_t flags);
uint32_t tc_meter_index(uint32_t meter, bool packets, uint32_t flags);
void tc_message_remove_police(struct nl_msg *msg, uint32_t index);
