/* Attributes of virtual functions, by libnl-route; but VLANs of other tags than 802.1Q's by requests of our own, since libnl (3.7)
 * writes the number of the protocol in the machine's order, where the kernel wants the network's. */
#include "nic/vf_priv.h"

#include "base/fault.h"
#include "nic/link_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>
#include <netlink/route/link/sriov.h>
#include <string.h>

CLEANUP_FUNC(struct rtnl_link *, rtnl_link_put)
CLEANUP_FUNC(struct rtnl_link_vf *, rtnl_link_vf_put)
CLEANUP_FUNC(struct nl_addr *, nl_addr_put)
CLEANUP_FUNC(nl_vf_vlans_t *, rtnl_link_vf_vlan_put)
CLEANUP_FUNC(struct nl_msg *, nlmsg_free)

const char *vf_attribute_word(enum vf_attribute attribute)
{
	static const char *const words[VF_ATTRIBUTES] = {"mac", "vlan", "spoofchk", "trust", "rate", "link"};

	return words[__builtin_ctz(attribute)];
}

static uint16_t protocol_of(const struct vf_attributes *attributes)
{
	return attributes->vlan_protocol ? attributes->vlan_protocol : ETH_P_8021Q;
}

/* "100", "100, priority 3", "100, priority 3, 802.1ad". Owned by the caller. */
static char *vlan_format(const struct vf_attributes *attributes)
{
	GString *text = g_string_new(NULL);

	g_string_append_printf(text, "%u", attributes->vlan);
	if (attributes->priority)
		g_string_append_printf(text, ", priority %u", attributes->priority);
	if (attributes->vlan && protocol_of(attributes) != ETH_P_8021Q)
		g_string_append(text,
			protocol_of(attributes) == ETH_P_8021AD ? ", 802.1ad" : ", of another protocol");
	return g_string_free(text, false);
}

char *vf_attribute_format(const struct vf_attributes *attributes, enum vf_attribute attribute)
{
	static const char *const links[] = {
		[VF_LINK_AUTO] = "auto", [VF_LINK_ENABLE] = "enabled", [VF_LINK_DISABLE] = "disabled"};
	char mac[MAC_TEXT_MAX];

	switch (attribute) {
	case VF_MAC: return g_strdup(mac_format(attributes->mac, mac));
	case VF_VLAN: return vlan_format(attributes);
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

/* The protocol is of the tag, so where there is none there is nothing to compare. */
static bool is_same_vlan(const struct vf_attributes *is, const struct vf_attributes *want)
{
	return is->vlan == want->vlan && is->priority == want->priority &&
	       (!is->vlan || protocol_of(is) == protocol_of(want));
}

static bool is_same(
	const struct vf_attributes *is, const struct vf_attributes *want, enum vf_attribute attribute)
{
	switch (attribute) {
	case VF_MAC: return memcmp(&is->mac, &want->mac, sizeof is->mac) == 0;
	case VF_VLAN: return is_same_vlan(is, want);
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
	/* libnl looks into the list also where the kernel told none. */
	if (rtnl_link_has_vf_list(*ret_link))
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
	ret->vlan_protocol = (uint16_t)vlans->vlans[0].vf_vlan_proto;
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

void vf_take(struct rtnl_link_vf *vf, struct vf_attributes *ret)
{
	*ret = (struct vf_attributes){};
	read_mac(vf, ret);
	read_vlan(vf, ret);
	read_switches(vf, ret);
	read_rate(vf, ret);
}

bool vf_read(struct links *links, const char *pf, unsigned index, struct vf_attributes *ret, GError **error)
{
	_cleanup_(rtnl_link_put) struct rtnl_link *link = NULL;
	_cleanup_(rtnl_link_vf_put) struct rtnl_link_vf *vf = find_vf(links, pf, index, &link, error);

	if (!vf)
		return false;
	vf_take(vf, ret);
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

struct nl_msg *vf_vlan_request(int pf, unsigned index, const struct vf_attributes *want)
{
	const struct ifinfomsg interface = {.ifi_family = AF_UNSPEC, .ifi_index = pf};
	struct ifla_vf_vlan_info vlan;
	_cleanup_(nlmsg_free) struct nl_msg *request = nlmsg_alloc_simple(RTM_SETLINK, 0);
	struct nlattr *vfs, *vf, *list;

	memset(&vlan, 0, sizeof vlan); /* its padding is sent, too */
	vlan.vf = index;
	vlan.vlan = want->vlan;
	vlan.qos = want->priority;
	vlan.vlan_proto = htons(protocol_of(want));
	if (request && nlmsg_append(request, (void *)&interface, sizeof interface, NLMSG_ALIGNTO) == 0 &&
		(vfs = nla_nest_start(request, IFLA_VFINFO_LIST)) &&
		(vf = nla_nest_start(request, IFLA_VF_INFO)) &&
		(list = nla_nest_start(request, IFLA_VF_VLAN_LIST)) &&
		nla_put(request, IFLA_VF_VLAN_INFO, sizeof vlan, &vlan) == 0) {
		nla_nest_end(request, list);
		nla_nest_end(request, vf);
		nla_nest_end(request, vfs);
		return g_steal_pointer(&request);
	}
	return NULL;
}

/* 0 or an error of libnl. */
static int write_vlan_of_protocol(
	struct links *links, int pf, unsigned index, const struct vf_attributes *want)
{
	struct nl_msg *request = vf_vlan_request(pf, index, want);

	return request ? nl_send_sync(links_socket(links), request) : -NLE_NOMEM; /* takes it */
}

/* 0 or an error of libnl. */
static int write_one(struct links *links, int pf, unsigned index, const struct vf_attributes *want,
	enum vf_attribute attribute)
{
	if (attribute == VF_VLAN && want->vlan && protocol_of(want) != ETH_P_8021Q)
		return write_vlan_of_protocol(links, pf, index, want);
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
