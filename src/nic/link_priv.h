/* What the files that speak netlink share of a handle. */
#pragma once
#include "nic/link.h"

struct nl_sock;

/* Borrowed. */
struct nl_sock *links_socket(struct links *links);

/* Number of the interface; 0 with FAULT_NOT_FOUND when there is none. */
int links_index(struct links *links, const char *name, GError **error);
