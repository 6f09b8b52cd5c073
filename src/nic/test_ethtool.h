/* For tests: features of interfaces that are made up, as a kernel's ethtool would answer. */
#pragma once
#include "nic/ethtool.h"

#include <stddef.h>

/* An interface with one feature. Texts Borrowed. */
struct test_feature {
	const char *netdev, *name;
	enum ethtool_feature is; /* ETHTOOL_ABSENT: fixed off */
	bool stays; /* its driver refuses each change */
};

/* The interfaces are the caller's, and changed by what is set. There are no others. */
struct genl *test_ethtool_open(struct test_feature *features, size_t n);
