/* Network interfaces by libnl-route; taps by /dev/net/tun. */
#include "nic/link.h"

#include "base/fault.h"
#include "nic/link_priv.h"
#include "nic/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/link/macvlan.h>
#include <netlink/route/link/veth.h>
#include <netlink/route/link/vxlan.h>
#include <netlink/route/route.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

struct links {
	char *netns; /* for messages; NULL: the process's own */
	int netns_fd; /* Owned; outlives the name */
	struct nl_sock *sock; /* Owned */
};

CLEANUP_FUNC(struct rtnl_link *, rtnl_link_put)
CLEANUP_FUNC(struct rtnl_addr *, rtnl_addr_put)
CLEANUP_FUNC(struct rtnl_route *, rtnl_route_put)
CLEANUP_FUNC(struct nl_addr *, nl_addr_put)
CLEANUP_FUNC(struct nl_cache *, nl_cache_free)

/* " in namespace sl-switch", or nothing. Owned by the caller. */
static char *where(const struct links *links)
{
	return links->netns ? g_strdup_printf(" in namespace %s", links->netns) : g_strdup("");
}

/* Sets the fault for libnl's error unless it is 0 or `fine`. */
static bool check(
	const struct links *links, int rc, int fine, const char *what, const char *name, GError **error)
{
	g_autofree char *in = where(links);

	if (rc >= 0 || rc == -fine)
		return true;
	return fault_set(error, FAULT_INTERNAL, "cannot %s %s%s: %s", what, name, in, nl_geterror(rc));
}

/* ---- the handle ---- */

static bool open_socket(void *data, GError **error)
{
	struct links *links = data;

	links->sock = nl_socket_alloc();
	if (!links->sock)
		return fault_set(error, FAULT_INTERNAL, "cannot allocate a netlink socket");
	int rc = nl_connect(links->sock, NETLINK_ROUTE);
	return check(links, rc, 0, "connect to", "netlink", error);
}

struct links *links_open(const char *netns, GError **error)
{
	_cleanup_(links_close) struct links *links = g_new0(struct links, 1);

	links->netns = g_strdup(netns);
	links->netns_fd = netns_open(netns, error);
	if (links->netns_fd < 0 || !netns_run_in(links->netns_fd, open_socket, links, error))
		return NULL;
	return g_steal_pointer(&links);
}

void links_close(struct links *links)
{
	if (!links)
		return;
	if (links->sock)
		nl_socket_free(links->sock);
	if (links->netns_fd >= 0)
		close(links->netns_fd);
	g_free(links->netns);
	g_free(links);
}

struct nl_sock *links_socket(struct links *links)
{
	return links->sock;
}

/* ---- links ---- */

/* 0 when there is none. */
static int link_index(struct links *links, const char *name)
{
	_cleanup_(rtnl_link_put) struct rtnl_link *link = NULL;

	if (rtnl_link_get_kernel(links->sock, 0, name, &link) < 0)
		return 0;
	return rtnl_link_get_ifindex(link);
}

int links_index(struct links *links, const char *name, GError **error)
{
	int index = link_index(links, name);
	g_autofree char *in = where(links);

	if (index == 0)
		fault_set(error, FAULT_NOT_FOUND, "there is no interface %s%s", name, in);
	return index;
}

bool links_exists(struct links *links, const char *name)
{
	return link_index(links, name) != 0;
}

bool links_get_state(struct links *links, const char *name, struct link_state *ret, GError **error)
{
	_cleanup_(rtnl_link_put) struct rtnl_link *link = NULL;
	int rc = rtnl_link_get_kernel(links->sock, 0, name, &link);

	if (rc == -NLE_OBJ_NOTFOUND)
		rc = -NLE_NODEV;
	if (!check(links, rc, NLE_NODEV, "look at", name, error))
		return false;
	*ret = (struct link_state){.exists = link != NULL,
		.up = link && rtnl_link_get_flags(link) & IFF_UP,
		.carrier = link && rtnl_link_get_carrier(link)};
	return true;
}

bool links_remove(struct links *links, const char *name, GError **error)
{
	_cleanup_(rtnl_link_put) struct rtnl_link *link = rtnl_link_alloc();
	int index = link_index(links, name);

	if (index == 0)
		return true;
	rtnl_link_set_ifindex(link, index);
	return check(links, rtnl_link_delete(links->sock, link), NLE_NODEV, "remove interface", name, error);
}

/* Applies what is set in `change` to the link; takes the reference to `change`. */
static bool link_change(
	struct links *links, const char *name, struct rtnl_link *change, const char *what, GError **error)
{
	_cleanup_(rtnl_link_put) struct rtnl_link *owned = change, *link = NULL;
	int rc = rtnl_link_get_kernel(links->sock, 0, name, &link);

	if (rc >= 0)
		rc = rtnl_link_change(links->sock, link, owned, 0);
	return check(links, rc, 0, what, name, error);
}

bool links_set_up(struct links *links, const char *name, GError **error)
{
	struct rtnl_link *change = rtnl_link_alloc();

	rtnl_link_set_flags(change, IFF_UP);
	return link_change(links, name, change, "bring up", error);
}

bool links_set_down(struct links *links, const char *name, GError **error)
{
	struct rtnl_link *change = rtnl_link_alloc();

	rtnl_link_unset_flags(change, IFF_UP);
	return link_change(links, name, change, "bring down", error);
}

bool links_set_mac(struct links *links, const char *name, struct mac_addr mac, GError **error)
{
	_cleanup_(nl_addr_put) struct nl_addr *addr = nl_addr_build(AF_LLC, mac.bytes, sizeof mac.bytes);
	struct rtnl_link *change = rtnl_link_alloc();

	rtnl_link_set_addr(change, addr);
	return link_change(links, name, change, "set the MAC of", error);
}

bool links_get_mac(struct links *links, const char *name, struct mac_addr *ret, GError **error)
{
	_cleanup_(rtnl_link_put) struct rtnl_link *link = NULL;
	g_autofree char *in = where(links);
	int rc = rtnl_link_get_kernel(links->sock, 0, name, &link);
	struct nl_addr *addr = rc < 0 ? NULL : rtnl_link_get_addr(link);

	if (!addr || nl_addr_get_len(addr) != sizeof ret->bytes)
		return fault_set(error, FAULT_NOT_FOUND, "there is no Ethernet interface %s%s", name, in);
	memcpy(ret->bytes, nl_addr_get_binary_addr(addr), sizeof ret->bytes);
	return true;
}

bool links_set_mtu(struct links *links, const char *name, unsigned mtu, GError **error)
{
	struct rtnl_link *change = rtnl_link_alloc();

	rtnl_link_set_mtu(change, mtu);
	return link_change(links, name, change, "set the MTU of", error);
}

bool links_get_mtu(struct links *links, const char *name, unsigned *ret, GError **error)
{
	_cleanup_(rtnl_link_put) struct rtnl_link *link = NULL;
	g_autofree char *in = where(links);

	if (rtnl_link_get_kernel(links->sock, 0, name, &link) < 0)
		return fault_set(error, FAULT_NOT_FOUND, "there is no interface %s%s", name, in);
	*ret = rtnl_link_get_mtu(link);
	return true;
}

/* ---- veth pairs, macvlans, VXLAN devices ---- */

bool links_add_veth(
	struct links *links, const char *name, const char *peer, const char *peer_netns, GError **error)
{
	_cleanup_(links_close) struct links *peer_links = links_open(peer_netns, error);
	_cleanup_(rtnl_link_put) struct rtnl_link *link = rtnl_link_veth_alloc();
	struct rtnl_link *end = rtnl_link_veth_get_peer(link);

	rtnl_link_set_name(link, name);
	rtnl_link_set_name(end, peer);
	if (peer_links)
		rtnl_link_set_ns_fd(end, peer_links->netns_fd);
	rtnl_link_put(end);
	if (!peer_links)
		return false;
	if (links_exists(links, name) && links_exists(peer_links, peer))
		return true;
	if (!links_remove(links, name, error) || !links_remove(peer_links, peer, error))
		return false;
	int rc = rtnl_link_add(links->sock, link, NLM_F_CREATE | NLM_F_EXCL);
	return check(links, rc, 0, "make the veth pair of", name, error);
}

/* Whether it is a macvlan of the parent with that index. */
static bool is_macvlan_of(struct links *links, const char *name, int parent_index)
{
	_cleanup_(rtnl_link_put) struct rtnl_link *link = NULL;

	return rtnl_link_get_kernel(links->sock, 0, name, &link) >= 0 && rtnl_link_is_macvlan(link) &&
	       rtnl_link_get_link(link) == parent_index;
}

bool links_add_macvlan(
	struct links *links, const char *name, const char *parent, const char *parent_netns, GError **error)
{
	_cleanup_(links_close) struct links *parent_links = links_open(parent_netns, error);
	_cleanup_(rtnl_link_put) struct rtnl_link *link = rtnl_link_macvlan_alloc();
	int index = parent_links ? links_index(parent_links, parent, error) : 0;

	if (index == 0)
		return false;
	if (is_macvlan_of(links, name, index))
		return true;
	if (!links_remove(links, name, error))
		return false;
	rtnl_link_set_name(link, name);
	rtnl_link_set_link(link, index);
	rtnl_link_set_ns_fd(link, links->netns_fd);
	rtnl_link_macvlan_set_mode(link, rtnl_link_macvlan_str2mode("bridge"));
	int rc = rtnl_link_add(parent_links->sock, link, NLM_F_CREATE | NLM_F_EXCL);
	return check(links, rc, 0, "make the macvlan", name, error);
}

static bool is_external_vxlan(struct links *links, const char *name, uint16_t port)
{
	_cleanup_(rtnl_link_put) struct rtnl_link *link = NULL;
	uint32_t is_port;

	return rtnl_link_get_kernel(links->sock, 0, name, &link) >= 0 && rtnl_link_is_vxlan(link) &&
	       rtnl_link_vxlan_get_collect_metadata(link) > 0 && rtnl_link_vxlan_get_learning(link) == 0 &&
	       rtnl_link_vxlan_get_port(link, &is_port) >= 0 && is_port == port;
}

bool links_add_vxlan(struct links *links, const char *name, uint16_t port, GError **error)
{
	_cleanup_(rtnl_link_put) struct rtnl_link *link = rtnl_link_vxlan_alloc();

	if (is_external_vxlan(links, name, port))
		return true;
	if (!links_remove(links, name, error))
		return false;
	rtnl_link_set_name(link, name);
	rtnl_link_vxlan_set_collect_metadata(link, 1);
	rtnl_link_vxlan_set_learning(link, 0);
	rtnl_link_vxlan_set_port(link, port);
	int rc = rtnl_link_add(links->sock, link, NLM_F_CREATE | NLM_F_EXCL);
	return check(links, rc, 0, "make the VXLAN device", name, error);
}

/* ---- taps ---- */

static bool create_tap(void *data, GError **error)
{
	const char *name = data;
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return fault_set(error, FAULT_INTERNAL, "cannot open /dev/net/tun: %s", g_strerror(errno));
	g_strlcpy(request.ifr_name, name, sizeof request.ifr_name);
	bool ok = ioctl(fd, TUNSETIFF, &request) == 0 && ioctl(fd, TUNSETPERSIST, 1) == 0;
	if (!ok)
		fault_set(error, FAULT_INTERNAL, "cannot make the tap %s: %s", name, g_strerror(errno));
	close(fd);
	return ok;
}

bool links_add_tap(struct links *links, const char *name, GError **error)
{
	g_autofree char *copy = g_strdup(name);

	if (links_exists(links, name))
		return true;
	return netns_run_in(links->netns_fd, create_tap, copy, error);
}

/* ---- addresses and routes ---- */

static struct nl_addr *address_build(struct ip_addr address, uint8_t length)
{
	bool v4 = address.family == IP_V4;
	struct nl_addr *addr = nl_addr_build(v4 ? AF_INET : AF_INET6, address.bytes, v4 ? 4 : 16);

	nl_addr_set_prefixlen(addr, length);
	return addr;
}

bool links_add_address(
	struct links *links, const char *name, struct ip_addr address, uint8_t length, GError **error)
{
	_cleanup_(rtnl_addr_put) struct rtnl_addr *addr = rtnl_addr_alloc();
	_cleanup_(nl_addr_put) struct nl_addr *local = address_build(address, length);
	int index = links_index(links, name, error);

	if (index == 0)
		return false;
	rtnl_addr_set_ifindex(addr, index);
	rtnl_addr_set_local(addr, local);
	int rc = rtnl_addr_add(links->sock, addr, 0);
	return check(links, rc, NLE_EXIST, "add an address to", name, error);
}

bool links_add_route(struct links *links, const char *name, struct ip_prefix prefix, GError **error)
{
	_cleanup_(rtnl_route_put) struct rtnl_route *route = rtnl_route_alloc();
	_cleanup_(nl_addr_put) struct nl_addr *dst = address_build(prefix.addr, prefix.length);
	int index = links_index(links, name, error);

	if (index == 0)
		return false;
	struct rtnl_nexthop *hop = rtnl_route_nh_alloc();
	rtnl_route_nh_set_ifindex(hop, index);
	rtnl_route_set_dst(route, dst);
	rtnl_route_set_scope(route, RT_SCOPE_LINK);
	rtnl_route_add_nexthop(route, hop);
	int rc = rtnl_route_add(links->sock, route, NLM_F_CREATE | NLM_F_EXCL);
	return check(links, rc, NLE_EXIST, "add a route by", name, error);
}

static bool is_made_by_itself(struct rtnl_addr *address)
{
	struct ip_addr ip = {.family = IP_V6};
	struct nl_addr *local = rtnl_addr_get_local(address);

	if (!local || nl_addr_get_family(local) != AF_INET6 || nl_addr_get_len(local) != sizeof ip.bytes)
		return false;
	memcpy(ip.bytes, nl_addr_get_binary_addr(local), sizeof ip.bytes);
	return ip_is_link_local(ip);
}

bool links_has_address(struct links *links, const char *name)
{
	_cleanup_(nl_cache_free) struct nl_cache *addresses = NULL;
	int index = link_index(links, name);

	if (index == 0)
		return false;
	if (rtnl_addr_alloc_cache(links->sock, &addresses) < 0)
		return true;
	for (struct nl_object *at = nl_cache_get_first(addresses); at; at = nl_cache_get_next(at)) {
		struct rtnl_addr *address = (struct rtnl_addr *)at;
		if (rtnl_addr_get_ifindex(address) == index && !is_made_by_itself(address))
			return true;
	}
	return false;
}

static bool is_ipv4(struct rtnl_addr *address, struct ip_addr *ret)
{
	struct nl_addr *local = rtnl_addr_get_local(address);

	if (!local || nl_addr_get_family(local) != AF_INET || nl_addr_get_len(local) != 4)
		return false;
	*ret = (struct ip_addr){.family = IP_V4};
	memcpy(ret->bytes, nl_addr_get_binary_addr(local), 4);
	return true;
}

bool links_get_address(struct links *links, const char *name, struct ip_addr *ret_address,
	uint8_t *ret_length, GError **error)
{
	_cleanup_(nl_cache_free) struct nl_cache *addresses = NULL;
	int index = links_index(links, name, error);
	g_autofree char *in = where(links);

	if (index == 0)
		return false;
	int rc = rtnl_addr_alloc_cache(links->sock, &addresses);
	if (!check(links, rc, 0, "list addresses of", name, error))
		return false;
	for (struct nl_object *at = nl_cache_get_first(addresses); at; at = nl_cache_get_next(at)) {
		struct rtnl_addr *address = (struct rtnl_addr *)at;
		if (rtnl_addr_get_ifindex(address) != index ||
			rtnl_addr_get_scope(address) != RT_SCOPE_UNIVERSE ||
			rtnl_addr_get_flags(address) & IFA_F_SECONDARY || !is_ipv4(address, ret_address))
			continue;
		*ret_length = (uint8_t)rtnl_addr_get_prefixlen(address);
		return true;
	}
	return fault_set(error, FAULT_NOT_FOUND, "interface %s has no IPv4 address%s; give it one", name, in);
}

char *links_find_address(struct links *links, struct ip_addr address)
{
	_cleanup_(nl_cache_free) struct nl_cache *addresses = NULL;
	struct ip_addr ip;

	if (rtnl_addr_alloc_cache(links->sock, &addresses) < 0)
		return NULL;
	for (struct nl_object *at = nl_cache_get_first(addresses); at; at = nl_cache_get_next(at)) {
		_cleanup_(rtnl_link_put) struct rtnl_link *link = NULL;
		struct rtnl_addr *one = (struct rtnl_addr *)at;
		if (is_ipv4(one, &ip) && ip_equal(ip, address) &&
			rtnl_link_get_kernel(links->sock, rtnl_addr_get_ifindex(one), NULL, &link) >= 0)
			return g_strdup(rtnl_link_get_name(link));
	}
	return NULL;
}

/* The interface that a route leads to; 0 when it has none or several. */
static int route_index(struct rtnl_route *route)
{
	return rtnl_route_get_nnexthops(route) == 1
		       ? rtnl_route_nh_get_ifindex(rtnl_route_nexthop_n(route, 0))
		       : 0;
}

static bool routes_overlap(struct nl_addr *a, struct nl_addr *b)
{
	unsigned length = MIN(nl_addr_get_prefixlen(a), nl_addr_get_prefixlen(b));
	_cleanup_(nl_addr_put) struct nl_addr *wide = nl_addr_clone(a);

	nl_addr_set_prefixlen(wide, (int)length);
	return nl_addr_cmp_prefix(wide, b) == 0;
}

bool links_check_free(struct links *links, struct ip_prefix prefix, const char *own, GError **error)
{
	int own_index = link_index(links, own);
	_cleanup_(nl_addr_put) struct nl_addr *wanted = address_build(prefix.addr, prefix.length);
	_cleanup_(nl_cache_free) struct nl_cache *routes = NULL;
	char text[64];

	/* Addresses have routes too, in the local table. */
	int rc = rtnl_route_alloc_cache(links->sock, AF_INET, 0, &routes);
	if (!check(links, rc, 0, "list", "routes", error))
		return false;
	for (struct nl_object *at = nl_cache_get_first(routes); at; at = nl_cache_get_next(at)) {
		struct rtnl_route *route = (struct rtnl_route *)at;
		struct nl_addr *dst = rtnl_route_get_dst(route);
		int index = route_index(route);
		if (nl_addr_get_prefixlen(dst) == 0 || (index != 0 && index == own_index) ||
			!routes_overlap(wanted, dst))
			continue;
		_cleanup_(rtnl_link_put) struct rtnl_link *link = NULL;
		bool named = index != 0 && rtnl_link_get_kernel(links->sock, index, NULL, &link) >= 0;
		return fault_set(error, FAULT_OVERLAP, "it overlaps %s, which is reached by %s",
			nl_addr2str(dst, text, sizeof text),
			named ? rtnl_link_get_name(link) : "several ways");
	}
	return true;
}

/* ---- what packet sockets need ---- */

/* A kernel without the protocol, or the setting, is quiet enough. */
static bool write_setting(
	const char *protocol, const char *name, const char *setting, const char *value, GError **error)
{
	g_autofree char *path = g_strdup_printf("/proc/sys/net/%s/conf/%s/%s", protocol, name, setting);
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		return true;
	bool ok = fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value);
	if (!ok)
		fault_set(error, FAULT_INTERNAL, "cannot write %s: %s", path, g_strerror(errno));
	if (fd >= 0)
		close(fd);
	return ok;
}

static bool quieten(void *data, GError **error)
{
	/* No way back leads by an interface without an address, so by rp_filter no packet is from there. */
	return write_setting("ipv6", data, "disable_ipv6", "1", error) &&
	       write_setting("ipv4", data, "forwarding", "0", error) &&
	       write_setting("ipv4", data, "rp_filter", "1", error) &&
	       write_setting("ipv4", data, "drop_unicast_in_l2_multicast", "1", error);
}

bool links_quiet(struct links *links, const char *name, GError **error)
{
	g_autofree char *copy = g_strdup(name);
	struct rtnl_link *change = rtnl_link_alloc();

	rtnl_link_set_flags(change, IFF_NOARP);
	return link_change(links, name, change, "turn ARP off on", error) &&
	       netns_run_in(links->netns_fd, quieten, copy, error);
}
