/* Features of interfaces, as `ethtool -k` shows them, channels, as `ethtool -l` does, and what drivers tell of themselves, as
 * `ethtool -i` does.
 *
 * Source: Linux Documentation/networking/ethtool-netlink.rst, include/uapi/linux/ethtool.h.
 */
#pragma once
#include "nic/genl.h"

/* In this order: of several interfaces the greatest tells what the worst of them lacks. */
enum ethtool_feature { ETHTOOL_UNKNOWN, ETHTOOL_ON, ETHTOOL_OFF, ETHTOOL_ABSENT };

/* Whether a feature ("hw-tc-offload") of the interface is on, off and could be on, or is not to be had. `ethtool`: that
 * family. UNKNOWN when the kernel does not tell. */
enum ethtool_feature ethtool_feature(struct genl *ethtool, const char *netdev, const char *name);

#define ETHTOOL_TC_OFFLOAD "hw-tc-offload" /* the feature that has the NIC take flows of tc */

/* Turns a feature of the interface on or off, as `ethtool -K` does, and returns when the kernel has. FAULT_UNSUPPORTED when it
 * stays as it was: a driver cannot change it (`ethtool -k`: "[fixed]"), or refused to; FAULT_NOT_FOUND when there is no such
 * interface; FAULT_DENIED when this process may not. */
bool ethtool_set_feature(struct genl *ethtool, const char *netdev, const char *name, bool on, GError **error);

enum ethtool_queue { ETHTOOL_COMBINED, ETHTOOL_RX, ETHTOOL_TX };
#define ETHTOOL_QUEUE_KINDS 3

/* By enum ethtool_queue: how many there are, and how many the device can have at most. A combined one receives and sends. */
struct ethtool_queues {
	unsigned count[ETHTOOL_QUEUE_KINDS], max[ETHTOOL_QUEUE_KINDS];
};

/* How many channels with queues (interrupts that serve some) the interface has; of a kind that it does not have 0. `ethtool`:
 * that family. False when its driver tells none; *ret is then undefined. */
bool ethtool_channels(struct genl *ethtool, const char *netdev, struct ethtool_queues *ret);

/* Version of the firmware of the interface's device, by its driver; NULL: it tells none. Owned by the caller. */
char *ethtool_firmware(const char *netdev);

/* The same, of what a driver wrote into a field of so many bytes, which need not end in a zero; drivers write nothing, or "N/A",
 * where they know none. */
char *ethtool_firmware_parse(const char *field, size_t size);
