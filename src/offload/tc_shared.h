/* What flows share in tc: police actions by index, one for each MTU, and one or two for each meter. The NIC is asked for each
 * by itself, and heard, before a filter names it: a filter that names one that is not there has the kernel make it, without
 * its limit.
 *
 * Nothing may be waiting in the socket in any call.
 */
#pragma once
#include "offload/tc_message.h"
#include "offload/tc_socket.h"

struct tc_shared;

/* socket: Borrowed. flags: of the filters (TCA_CLS_FLAGS_SKIP_HW ..). */
struct tc_shared *tc_shared_new(struct tc_socket *socket, uint32_t flags);
/* Filters let go of their actions a grace period after they are removed; that is waited for. */
void tc_shared_free(struct tc_shared *shared);
CLEANUP_FUNC(struct tc_shared *, tc_shared_free)

bool tc_shared_has_mtu(const struct tc_shared *shared, uint16_t mtu);
/* 0 or -errno; *ret_text as of tc_socket_do. */
int tc_shared_add_mtu(struct tc_shared *shared, uint16_t mtu, char **ret_text);

/* 0, or -errno: then flows that have it keep what it was, and others do not get it. */
int tc_shared_set_meter(struct tc_shared *shared, const struct offload_meter *meter);
/* Writes down which actions a flow's meters are; false when one is not there. */
bool tc_shared_find_meters(
	const struct tc_shared *shared, const struct offload_flow *flow, struct tc_out *out);
