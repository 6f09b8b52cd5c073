/* tc flower as an offload provider: each flow is a filter on the ingress of the netdev that it enters by (a VF's
 * representor, an uplink, a VXLAN device), which the kernel hands to the NIC's driver.
 *
 * What lies where. Filters have numbers of our own as handles, all of one protocol in one priority, as flower wants
 * it; they are found again in dumps by these, and told from others' by a cookie. Before them lie guards: a time to live below 2 goes up, which flower
 * cannot say within one filter. That a packet is no fragment and has none of SYN, FIN and RST is part of each filter.
 * What is longer than the flow's MTU is let through to the host by a police action (one for all flows of that MTU);
 * rates are police actions that flows share by index.
 *
 * Requests are written one behind the other and sent as one message buffer, whose answers are counted: a flow costs no
 * system call of its own. The kernel executes a buffer before sendmsg returns. One terse dump for each device tells all
 * counters; what is missing in it, or is said not to be in the NIC, has been thrown out.
 */
#pragma once
#include "offload/provider.h"

enum offload_tc_mode {
	OFFLOAD_TC_HARDWARE, /* skip_sw: the NIC takes it, or it is refused */
	OFFLOAD_TC_EITHER, /* by both, but refused when the kernel says that the NIC has not taken it */
	OFFLOAD_TC_SOFTWARE, /* skip_hw: the kernel executes it, for tests and hosts without such a NIC */
};

/* In the namespace of the calling thread, without ports. Each device of its ports gets an ingress where it has none, and
 * loses the filters of a process before (tc_device.h). */
struct offload_provider *offload_tc_open(enum offload_tc_mode mode, GError **error);
