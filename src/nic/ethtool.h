/* Features of interfaces, as `ethtool -k` shows them, and what drivers tell of themselves, as `ethtool -i` does.
 *
 * Source: Linux Documentation/networking/ethtool-netlink.rst, include/uapi/linux/ethtool.h.
 */
#pragma once
#include "nic/genl.h"

enum ethtool_feature { ETHTOOL_UNKNOWN, ETHTOOL_ON, ETHTOOL_OFF, ETHTOOL_ABSENT };

/* Whether a feature ("hw-tc-offload") of the interface is on, off and could be on, or is not to be had. `ethtool`: that
 * family. UNKNOWN when the kernel does not tell. */
enum ethtool_feature ethtool_feature(struct genl *ethtool, const char *netdev, const char *name);

/* Version of the firmware of the interface's device, by its driver; NULL: it tells none. Owned by the caller. */
char *ethtool_firmware(const char *netdev);

/* The same, of what a driver wrote into a field of so many bytes, which need not end in a zero; drivers write nothing, or "N/A",
 * where they know none. */
char *ethtool_firmware_parse(const char *field, size_t size);
