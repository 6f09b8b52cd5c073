/* Unicast filters of interfaces, by libnl-route. */
#include "nic/filter.h"

#include "base/fault.h"
#include "nic/link_priv.h"

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/netlink.h>
#include <netlink/route/neighbour.h>
#include <string.h>

CLEANUP_FUNC(struct nl_addr *, nl_addr_put)
CLEANUP_FUNC(struct rtnl_neigh *, rtnl_neigh_put)
CLEANUP_FUNC(struct nl_cb *, nl_cb_put)

struct listing {
	int index; /* of the interface */
	GArray *macs; /* Borrowed */
};

/* One of the answers to a dump. */
static int take_entry(struct nl_msg *message, void *data)
{
	struct listing *listing = data;
	struct nlmsghdr *header = nlmsg_hdr(message);
	const struct ndmsg *entry = nlmsg_data(header);
	struct nlattr *mac;

	if (header->nlmsg_type != RTM_NEWNEIGH || nlmsg_datalen(header) < (int)sizeof *entry ||
		entry->ndm_ifindex != listing->index || !(entry->ndm_flags & NTF_SELF))
		return NL_OK;
	mac = nlmsg_find_attr(header, sizeof *entry, NDA_LLADDR);
	/* Groups are listed too. */
	if (mac && nla_len(mac) == sizeof(struct mac_addr) && !(*(uint8_t *)nla_data(mac) & 1))
		g_array_append_vals(listing->macs, nla_data(mac), 1);
	return NL_OK;
}

GArray *filter_list(struct links *links, const char *name, GError **error)
{
	struct nl_sock *sock = links_socket(links);
	struct ifinfomsg request = {.ifi_family = AF_BRIDGE};
	g_autoptr(GArray) macs = g_array_new(FALSE, FALSE, sizeof(struct mac_addr));
	struct listing listing = {links_index(links, name, error), macs};

	if (!listing.index)
		return NULL;
	request.ifi_index = listing.index;
	struct nl_cb *own = nl_socket_get_cb(sock);
	_cleanup_(nl_cb_put) struct nl_cb *cb = nl_cb_clone(own);
	nl_cb_put(own);
	nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, take_entry, &listing);
	int rc = nl_send_simple(sock, RTM_GETNEIGH, NLM_F_DUMP, &request, sizeof request);
	if (rc >= 0)
		rc = nl_recvmsgs(sock, cb);
	if (rc >= 0)
		return g_steal_pointer(&macs);
	fault_set(error, FAULT_INTERNAL, "cannot list the MACs that %s hears: %s", name, nl_geterror(rc));
	return NULL;
}

/* NULL with *error when there is no such interface. */
static struct rtnl_neigh *entry_new(
	struct links *links, const char *name, struct mac_addr mac, GError **error)
{
	_cleanup_(nl_addr_put) struct nl_addr *addr = nl_addr_build(AF_LLC, mac.bytes, sizeof mac.bytes);
	int index = links_index(links, name, error);

	if (!index)
		return NULL;
	struct rtnl_neigh *entry = rtnl_neigh_alloc();
	rtnl_neigh_set_family(entry, AF_BRIDGE);
	rtnl_neigh_set_ifindex(entry, index);
	rtnl_neigh_set_lladdr(entry, addr);
	rtnl_neigh_set_flags(entry, NTF_SELF);
	rtnl_neigh_set_state(entry, NUD_PERMANENT);
	return entry;
}

bool filter_add(struct links *links, const char *name, struct mac_addr mac, GError **error)
{
	_cleanup_(rtnl_neigh_put) struct rtnl_neigh *entry = entry_new(links, name, mac, error);
	char text[MAC_TEXT_MAX];

	if (!entry)
		return false;
	int rc = rtnl_neigh_add(links_socket(links), entry, NLM_F_CREATE);
	if (rc >= 0 || rc == -NLE_EXIST)
		return true;
	/* Drivers answer so when there is no room (igb, ixgbe). */
	return fault_set(error, rc == -NLE_NOMEM ? FAULT_POOL_FULL : FAULT_INTERNAL,
		"%s cannot hear MAC %s: %s", name, mac_format(mac, text),
		rc == -NLE_NOMEM ? "its hardware's filters are full" : nl_geterror(rc));
}

bool filter_remove(struct links *links, const char *name, struct mac_addr mac, GError **error)
{
	_cleanup_(rtnl_neigh_put) struct rtnl_neigh *entry = entry_new(links, name, mac, error);
	char text[MAC_TEXT_MAX];

	if (!entry)
		return false;
	int rc = rtnl_neigh_delete(links_socket(links), entry, 0);
	return rc >= 0 || rc == -NLE_OBJ_NOTFOUND ||
	       fault_set(error, FAULT_INTERNAL, "cannot stop %s from hearing MAC %s: %s", name,
		       mac_format(mac, text), nl_geterror(rc));
}
