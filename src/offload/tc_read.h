/* What the kernel tells of filters, in answers and dumps. */
#pragma once
#include "offload/provider.h"
#include "offload/tc_message.h"

struct tc_filter {
	struct tc_place place;
	bool ours; /* it has our cookie */
	bool made_ingress; /* and that says so */
	bool in_hw;
	bool has_stats;
	struct offload_stats stats;
};

/* An RTM_NEWTFILTER or RTM_DELTFILTER; false when it is none of flower's, or malformed. */
bool tc_read_filter(struct nlmsghdr *header, struct tc_filter *ret);

/* The status of an NLMSG_ERROR (0 or -errno), and what the kernel says of it: Borrowed from the message, or NULL. */
int tc_read_error(struct nlmsghdr *header, const char **ret_text);
