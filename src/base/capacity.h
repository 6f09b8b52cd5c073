/* What one switch can carry: it refuses a state that holds more, so the agent offers none. */
#pragma once

#define NIC_SLOTS        1024 /* NICs; DPDK's vhost has as many devices */
#define NIC_ATTACHMENTS  2
#define NIC_ADDRESSES    64 /* at most, on one NIC */
#define NIC_MTU_MIN      68 /* RFC 791 */
#define NIC_MTU_MAX      9000
#define BALANCER_RULES   65536 /* of one load balancer, which takes the slot of a NIC */
#define BALANCER_MEMBERS 1024 /* of one rule */
#define PHYSICALS_MAX    8 /* physical networks */
#define TEXT_LENGTH_MAX  255 /* bytes of a uid or a name */
