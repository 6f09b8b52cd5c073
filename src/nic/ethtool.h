/* Features of interfaces, as `ethtool -k` shows them.
 *
 * Source: Linux Documentation/networking/ethtool-netlink.rst.
 */
#pragma once
#include "nic/genl.h"

enum ethtool_feature { ETHTOOL_UNKNOWN, ETHTOOL_ON, ETHTOOL_OFF, ETHTOOL_ABSENT };

/* Whether a feature ("hw-tc-offload") of the interface is on, off and could be on, or is not to be had. `ethtool`: that
 * family. UNKNOWN when the kernel does not tell. */
enum ethtool_feature ethtool_feature(struct genl *ethtool, const char *netdev, const char *name);
