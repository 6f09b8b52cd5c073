/* Attributes of a virtual function that its PF holds: what a VF of an SR-IOV NIC may do, whoever has it.
 *
 * They are the PF's, so they stay when the VF goes into a guest and comes back, and when its driver changes.
 * What a driver cannot do it refuses by an error, or shows no value of: drivers differ, and nothing says
 * beforehand which can do what. Source: Linux include/uapi/linux/if_link.h (IFLA_VF_*), net/core/rtnetlink.c.
 */
#pragma once
#include "base/ip.h"
#include "nic/link.h"

#include <stdint.h>

enum vf_attribute {
	VF_MAC = 1 << 0,
	VF_VLAN = 1 << 1,
	VF_SPOOFCHK = 1 << 2,
	VF_TRUST = 1 << 3,
	VF_RATE = 1 << 4,
	VF_LINK = 1 << 5,
};
#define VF_ATTRIBUTES 6

enum vf_link {
	VF_LINK_AUTO,
	VF_LINK_ENABLE,
	VF_LINK_DISABLE
}; /* as the PF's carrier is, always on, always off */

struct vf_attributes {
	unsigned known; /* set of enum vf_attribute: those that the driver shows */
	struct mac_addr mac; /* zero: none is set, and the guest may choose */
	uint16_t vlan; /* 1–4094, pushed and popped by the NIC; 0: none */
	uint8_t priority; /* 0–7, of the pushed tag */
	uint16_t
		vlan_protocol; /* EtherType of the pushed tag: 0x8100, 802.1Q; 0x88a8, 802.1ad; 0: not said, 802.1Q */
	bool spoofchk; /* frames from other MACs than its own are dropped */
	bool trust; /* the guest may change its MAC and hear other's traffic */
	uint32_t min_rate,
		max_rate; /* Mbit/s of what it sends; 0: none. igb takes one only while the PF has carrier */
	enum vf_link link;
};

/* "mac": the word of one attribute. */
const char *vf_attribute_word(enum vf_attribute attribute);

/* Its value as people read it: "00:0d:3a:00:00:07", "100", "on", "100 Mbit/s". Owned by the caller. */
char *vf_attribute_format(const struct vf_attributes *attributes, enum vf_attribute attribute);

/* Those of `which` in which the two differ, as far as `is` knows them. */
unsigned vf_compare(const struct vf_attributes *is, const struct vf_attributes *want, unsigned which);

/* FAULT_NOT_FOUND when the PF has no such interface or VF. */
bool vf_read(struct links *links, const char *pf, unsigned index, struct vf_attributes *ret, GError **error);

/* Whether the PF's driver has the attribute at all, found out without a change: it is asked to set it on the VF `beyond`, a number
 * that the PF can never have (its total of VFs). FAULT_UNSUPPORTED when it has not; FAULT_DENIED when this process may not
 * ask; others when the answer says neither. A driver that has it may still refuse a value. */
bool vf_takes(
	struct links *links, const char *pf, unsigned beyond, enum vf_attribute attribute, GError **error);

/* Sets those of `which`, each by a request of its own, in the order of the enumeration. Returns the set of
 * those that were refused; *error tells about the first: FAULT_UNSUPPORTED when the driver cannot do it at all,
 * FAULT_INVALID when it takes no such value, FAULT_NOT_FOUND, else FAULT_INTERNAL. */
unsigned vf_write(struct links *links, const char *pf, unsigned index, const struct vf_attributes *want,
	unsigned which, GError **error);
