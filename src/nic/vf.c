/* Attributes of virtual functions, by libnl-route. */
#include "nic/vf.h"

#include "base/fault.h"
#include "nic/link_priv.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>
#include <netlink/route/link/sriov.h>
#include <string.h>

CLEANUP_FUNC(struct rtnl_link *, rtnl_link_put)
CLEANUP_FUNC(struct rtnl_link_vf *, rtnl_link_vf_put)
CLEANUP_FUNC(struct nl_addr *, nl_addr_put)
CLEANUP_FUNC(nl_vf_vlans_t *, rtnl_link_vf_vlan_put)

const char *vf_attribute_word(enum vf_attribute attribute)
{
	static const char *const words[VF_ATTRIBUTES] = {"mac", "vlan", "spoofchk", "trust", "rate", "link"};

	return words[__builtin_ctz(attribute)];
}

char *vf_attribute_format(const struct vf_attributes *attributes, enum vf_attribute attribute)
{
	static const char *const links[] = {
		[VF_LINK_AUTO] = "auto", [VF_LINK_ENABLE] = "enabled", [VF_LINK_DISABLE] = "disabled"};
	char mac[MAC_TEXT_MAX];

	switch (attribute) {
	case VF_MAC: return g_strdup(mac_format(attributes->mac, mac));
	case VF_VLAN:
		return attributes->priority
			       ? g_strdup_printf("%u, priority %u", attributes->vlan, attributes->priority)
			       : g_strdup_printf("%u", attributes->vlan);
	case VF_SPOOFCHK: return g_strdup(attributes->spoofchk ? "on" : "off");
	case VF_TRUST: return g_strdup(attributes->trust ? "on" : "off");
	case VF_RATE:
		return attributes->min_rate ? g_strdup_printf("%u to %u Mbit/s", attributes->min_rate,
						      attributes->max_rate)
					    : g_strdup_printf("%u Mbit/s", attributes->max_rate);
	case VF_LINK: return g_strdup(links[attributes->link]);
	}
	return NULL;
}

static bool is_same(
	const struct vf_attributes *is, const struct vf_attributes *want, enum vf_attribute attribute)
{
	switch (attribute) {
	case VF_MAC: return memcmp(&is->mac, &want->mac, sizeof is->mac) == 0;
	case VF_VLAN: return is->vlan == want->vlan && is->priority == want->priority;
	case VF_SPOOFCHK: return is->spoofchk == want->spoofchk;
	case VF_TRUST: return is->trust == want->trust;
	case VF_RATE: return is->min_rate == want->min_rate && is->max_rate == want->max_rate;
	case VF_LINK: return is->link == want->link;
	}
	return false;
}

unsigned vf_compare(const struct vf_attributes *is, const struct vf_attributes *want, unsigned which)
{
	unsigned differ = 0;

	for (unsigned i = 0; i < VF_ATTRIBUTES; i++) {
		enum vf_attribute attribute = 1u << i;
		if (which & is->known & attribute && !is_same(is, want, attribute))
			differ |= attribute;
	}
	return differ;
}

/* ---- reading ---- */

static struct rtnl_link_vf *find_vf(
	struct links *links, const char *pf, unsigned index, struct rtnl_link **ret_link, GError **error)
{
	struct rtnl_link_vf *vf = NULL;

	if (!links_index(links, pf, error))
		return NULL;
	int rc = rtnl_link_get_kernel(links_socket(links), 0, pf, ret_link);
	if (rc < 0) {
		fault_set(error, FAULT_INTERNAL, "cannot read the VFs of %s: %s", pf, nl_geterror(rc));
		return NULL;
	}
	vf = rtnl_link_vf_get(*ret_link, index);
	if (!vf)
		fault_set(error, FAULT_NOT_FOUND, "%s has no VF %u", pf, index);
	return vf;
}

static void read_mac(struct rtnl_link_vf *vf, struct vf_attributes *ret)
{
	struct nl_addr *addr = NULL;

	/* Borrowed from the VF. */
	if (rtnl_link_vf_get_addr(vf, &addr) < 0 || nl_addr_get_len(addr) != sizeof ret->mac.bytes)
		return;
	memcpy(ret->mac.bytes, nl_addr_get_binary_addr(addr), sizeof ret->mac.bytes);
	ret->known |= VF_MAC;
}

static void read_vlan(struct rtnl_link_vf *vf, struct vf_attributes *ret)
{
	_cleanup_(rtnl_link_vf_vlan_put) nl_vf_vlans_t *vlans = NULL;

	if (rtnl_link_vf_get_vlans(vf, &vlans) < 0 || vlans->size < 1)
		return;
	ret->vlan = (uint16_t)vlans->vlans[0].vf_vlan;
	ret->priority = (uint8_t)vlans->vlans[0].vf_vlan_qos;
	ret->known |= VF_VLAN;
}

static void read_switches(struct rtnl_link_vf *vf, struct vf_attributes *ret)
{
	uint32_t value;

	/* The kernel says all ones where the driver does not know. */
	if (rtnl_link_vf_get_spoofchk(vf, &value) == 0 && value != UINT32_MAX) {
		ret->spoofchk = value;
		ret->known |= VF_SPOOFCHK;
	}
	if (rtnl_link_vf_get_trust(vf, &value) == 0 && value != UINT32_MAX) {
		ret->trust = value;
		ret->known |= VF_TRUST;
	}
	if (rtnl_link_vf_get_linkstate(vf, &value) == 0 && value <= IFLA_VF_LINK_STATE_DISABLE) {
		ret->link = (enum vf_link)value;
		ret->known |= VF_LINK;
	}
}

static void read_rate(struct rtnl_link_vf *vf, struct vf_attributes *ret)
{
	struct nl_vf_rate rate = {};

	/* The kernel always says a rate; libnl takes one of zero for none. */
	if (rtnl_link_vf_get_rate(vf, &rate) < 0)
		rate = (struct nl_vf_rate){};
	ret->min_rate = rate.min_tx_rate;
	ret->max_rate = rate.max_tx_rate;
	ret->known |= VF_RATE;
}

bool vf_read(struct links *links, const char *pf, unsigned index, struct vf_attributes *ret, GError **error)
{
	_cleanup_(rtnl_link_put) struct rtnl_link *link = NULL;
	_cleanup_(rtnl_link_vf_put) struct rtnl_link_vf *vf = find_vf(links, pf, index, &link, error);

	if (!vf)
		return false;
	*ret = (struct vf_attributes){};
	read_mac(vf, ret);
	read_vlan(vf, ret);
	read_switches(vf, ret);
	read_rate(vf, ret);
	return true;
}

/* ---- writing ---- */

static void put_mac(struct rtnl_link_vf *vf, struct mac_addr mac)
{
	_cleanup_(nl_addr_put) struct nl_addr *addr = nl_addr_build(AF_LLC, mac.bytes, sizeof mac.bytes);

	rtnl_link_vf_set_addr(vf, addr);
}

static void put_vlan(struct rtnl_link_vf *vf, const struct vf_attributes *want)
{
	nl_vf_vlans_t *vlans = NULL;

	if (rtnl_link_vf_vlan_alloc(&vlans, 1) < 0)
		return;
	vlans->vlans[0].vf_vlan = want->vlan;
	vlans->vlans[0].vf_vlan_qos = want->priority;
	vlans->vlans[0].vf_vlan_proto = ETH_P_8021Q;
	rtnl_link_vf_set_vlans(vf, vlans); /* takes a reference */
	rtnl_link_vf_vlan_put(vlans);
}

static void put_rate(struct rtnl_link_vf *vf, const struct vf_attributes *want)
{
	struct nl_vf_rate rate = {.api = RTNL_LINK_VF_RATE_API_NEW,
		.min_tx_rate = want->min_rate,
		.max_tx_rate = want->max_rate};

	rtnl_link_vf_set_rate(vf, &rate);
}

static void put(struct rtnl_link_vf *vf, const struct vf_attributes *want, enum vf_attribute attribute)
{
	switch (attribute) {
	case VF_MAC: put_mac(vf, want->mac); return;
	case VF_VLAN: put_vlan(vf, want); return;
	case VF_SPOOFCHK: rtnl_link_vf_set_spoofchk(vf, want->spoofchk); return;
	case VF_TRUST: rtnl_link_vf_set_trust(vf, want->trust); return;
	case VF_RATE: put_rate(vf, want); return;
	case VF_LINK: rtnl_link_vf_set_linkstate(vf, want->link); return;
	}
}

/* 0 or an error of libnl. */
static int write_one(struct links *links, int pf, unsigned index, const struct vf_attributes *want,
	enum vf_attribute attribute)
{
	_cleanup_(rtnl_link_put) struct rtnl_link *link = rtnl_link_alloc(), *change = rtnl_link_alloc();
	struct rtnl_link_vf *vf = rtnl_link_vf_alloc();

	rtnl_link_set_ifindex(link, pf);
	rtnl_link_vf_set_index(vf, index);
	put(vf, want, attribute);
	int rc = rtnl_link_vf_add(change, vf); /* takes a reference */
	rtnl_link_vf_put(vf);
	return rc < 0 ? rc : rtnl_link_change(links_socket(links), link, change, 0);
}

static enum fault fault_of(int rc)
{
	switch (-rc) {
	case NLE_OPNOTSUPP: return FAULT_UNSUPPORTED;
	case NLE_INVAL:
	case NLE_RANGE:
	case NLE_PROTO_MISMATCH: return FAULT_INVALID;
	case NLE_PERM:
	case NLE_NOACCESS: return FAULT_DENIED;
	default: return FAULT_INTERNAL;
	}
}

bool vf_takes(
	struct links *links, const char *pf, unsigned beyond, enum vf_attribute attribute, GError **error)
{
	static const struct vf_attributes nothing;
	int number = links_index(links, pf, error);

	if (!number)
		return false;
	/* The kernel refuses what the driver has no function for before the driver sees the VF's number (net/core/rtnetlink.c,
	   do_setvfinfo); every driver looks at the number, and calls one that is not there invalid. */
	int rc = write_one(links, number, beyond, &nothing, attribute);
	enum fault fault = rc < 0 ? fault_of(rc) : FAULT_INVALID;
	return fault == FAULT_INVALID || fault_set(error, fault, "%s, asked for the %s of VFs: %s", pf,
						 vf_attribute_word(attribute), nl_geterror(rc));
}

unsigned vf_write(struct links *links, const char *pf, unsigned index, const struct vf_attributes *want,
	unsigned which, GError **error)
{
	int number = links_index(links, pf, error);
	unsigned refused = 0;

	if (!number)
		return which;
	for (unsigned i = 0; i < VF_ATTRIBUTES; i++) {
		enum vf_attribute attribute = 1u << i;
		int rc = which & attribute ? write_one(links, number, index, want, attribute) : 0;
		if (rc < 0 && !refused)
			fault_set(error, fault_of(rc), "%s does not take the %s of its VF %u: %s", pf,
				vf_attribute_word(attribute), index, nl_geterror(rc));
		refused |= rc < 0 ? attribute : 0;
	}
	return refused;
}
