/* Network interfaces of one namespace: pairs, macvlans, taps, addresses, routes.
 *
 * A handle's sockets were made inside the namespace, so it acts there from any thread (one at a time). All
 * calls are idempotent: what is already so succeeds. Faults name the interface and the namespace.
 */
#pragma once
#include "base/cleanup.h"
#include "base/ip.h"

#include <glib.h>
#include <stdbool.h>

struct links;

/* netns: see netns.h; NULL is the process's own. */
struct links *links_open(const char *netns, GError **error);
void links_close(struct links *links);
CLEANUP_FUNC(struct links *, links_close)

bool links_exists(struct links *links, const char *name);

struct link_state {
	bool exists; /* else nothing else is so */
	bool up; /* an administrator's word: IFF_UP */
	bool carrier; /* of a tap: a program has it open (the kernel's drivers/net/tun.c) */
};
/* Fails only where it cannot be told. */
bool links_get_state(struct links *links, const char *name, struct link_state *ret, GError **error);

/* A veth pair: `name` here, `peer` in the namespace `peer_netns` (NULL: the process's own). A half of it that
 * stands alone is replaced. */
bool links_add_veth(
	struct links *links, const char *name, const char *peer, const char *peer_netns, GError **error);

/* `name` here, with a MAC of its own, on the wire of `parent` in the namespace `parent_netns` (NULL: the
 * process's own): a macvlan, so that the parent stays as it is, and what it has is not seen from here. One of
 * another parent of that namespace is replaced. FAULT_NOT_FOUND when there is no parent. */
bool links_add_macvlan(
	struct links *links, const char *name, const char *parent, const char *parent_netns, GError **error);

/* The kernel's VXLAN device of that UDP port, whose tunnels each packet or tc filter names itself ("external"), and which learns
 * no MACs. Another link of that name is replaced. */
bool links_add_vxlan(struct links *links, const char *name, uint16_t port, GError **error);

/* A tap that stays when nobody has it open, without packet information or vnet headers: one program opens it
 * (QEMU), and what that program sends arrives here. */
bool links_add_tap(struct links *links, const char *name, GError **error);

/* Its peer goes with it. One that is not there is fine. */
bool links_remove(struct links *links, const char *name, GError **error);

bool links_set_up(struct links *links, const char *name, GError **error);
bool links_set_down(struct links *links, const char *name, GError **error);
bool links_set_mac(struct links *links, const char *name, struct mac_addr mac, GError **error);
/* FAULT_NOT_FOUND. */
bool links_get_mac(struct links *links, const char *name, struct mac_addr *ret, GError **error);
/* FAULT_NOT_FOUND. */
bool links_get_mtu(struct links *links, const char *name, unsigned *ret, GError **error);
bool links_set_mtu(struct links *links, const char *name, unsigned mtu, GError **error);

/* "203.0.113.1" of 203.0.113.0/24: address and length of its prefix. */
bool links_add_address(
	struct links *links, const char *name, struct ip_addr address, uint8_t length, GError **error);

/* Its first IPv4 address that others can send to, no secondary one, and the length of that one's prefix. FAULT_NOT_FOUND. */
bool links_get_address(struct links *links, const char *name, struct ip_addr *ret_address,
	uint8_t *ret_length, GError **error);
/* Name of an interface of the namespace that has the IPv4 address; NULL: none has. Owned by the caller. */
char *links_find_address(struct links *links, struct ip_addr address);

/* Whether it has an address that somebody gave it: IPv6 link-local ones an interface makes itself. One that is not there has
 * none; where it cannot be seen, it has one, which is the safe side. */
bool links_has_address(struct links *links, const char *name);

/* A route to hosts that are directly on the link. */
bool links_add_route(struct links *links, const char *name, struct ip_prefix prefix, GError **error);

/* FAULT_OVERLAP when an address or route of another interface than `own` lies in the prefix, or holds all of it; a
 * default route does not count. */
bool links_check_free(struct links *links, struct ip_prefix prefix, const char *own, GError **error);

/* For an end that a program reads by packet socket, and that has no address: the kernel itself answers no ARP there, speaks no IPv6,
 * takes nothing that arrives for its own, as who sends there is no friend of the host's, and does not forward it, which it would do a
 * second time on a host that is a router. */
bool links_quiet(struct links *links, const char *name, GError **error);
