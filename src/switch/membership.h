/* What an address is to rules, in one network: the tags it has, and the application groups it is in.
 *
 * How it works. VirtualNetwork, AzureLoadBalancer and each application group are prefixes, which cut the addresses into
 * intervals with the same ones in each (address_map.h). What holds in each is spelt out once, when the map is made: so
 * a packet's address costs one binary search, however many groups there are and however many members they have.
 *
 * Threads: immutable once made.
 */
#pragma once
#include "base/cleanup.h"
#include "policy/policy.h"

#include <glib.h>

struct membership_map;

struct membership {
	uint8_t tags; /* VIRTUAL_NETWORK or INTERNET, and LOAD_BALANCER */
	unsigned n_groups; /* CLASSIFIER_GROUPS_MAX at most */
	const uint32_t *groups; /* in order of number; Borrowed from the map */
};

/* The space is copied; its groups have a number each. NULL with FAULT_INVALID when an address is in more than
 * CLASSIFIER_GROUPS_MAX groups. */
struct membership_map *membership_map_new(const struct policy_space *space, GError **error);
void membership_map_free(struct membership_map *map);
CLEANUP_FUNC(struct membership_map *, membership_map_free)

struct membership membership_find(const struct membership_map *map, struct ip_addr addr);
