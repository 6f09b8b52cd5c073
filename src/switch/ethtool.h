/* What an interface's driver does with what is sent and received by it, asked and told by ioctl (linux/ethtool.h). */
#pragma once
#include <stdint.h>

/* Of PORT_TAKES_CHECKSUM .. (port.h), what can be sent by it past the queueing discipline: there the kernel completes
 * checksums for a driver that does not, but drops what it would have to cut. fd: any socket. */
uint32_t ethtool_takes(int fd, const char *interface);

/* No more merging of received packets by the device itself (LRO), which loses what forwarding needs. Best effort: many
 * drivers have no such thing to turn off. */
void ethtool_stop_merging(int fd, const char *interface);
