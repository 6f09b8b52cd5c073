/* A netdev that filters lie on: its ingress, and the guards before its flows.
 *
 * Others may have filters there, too: an uplink is the operator's. What is ours is known by the cookie of its actions, also
 * when a process before has left it, and nothing else is removed. The ingress (a clsact qdisc) is made where there is none;
 * then it goes with our last filter, unless others have put theirs into it, and that it is ours is in the guards' cookies,
 * for the next process. Filters lie in chain 0, where packets come in: to have a chain to ourselves there would have to be
 * one filter more, which leads to it, on each packet's way, and not all drivers take that.
 *
 * Guards are filters that let a last hop through to the host, which flower cannot say within one filter. Without them flows
 * mean packets that they must not (flow.h), so a device whose guards the NIC does not take has none, and one whose guards
 * are gone loses its flows until they are there again. A VXLAN device has none: a driver takes the tunnel off what any filter
 * there takes, also of what is let through (mlx5), and flows that come by a tunnel make no hop (tc.c refuses those that would).
 *
 * Nothing may be waiting in the socket in any call. flags: of filters (TCA_CLS_FLAGS_SKIP_HW ..).
 */
#pragma once
#include "offload/tc_read.h"
#include "offload/tc_socket.h"

struct tc_device {
	int ifindex;
	bool is_tunnel; /* a VXLAN device */
	bool made_ingress; /* it had none */
	bool guarded;
	unsigned guards; /* bits: those that the dump under way has told of */
};

/* Without what a process before left on it. FAULT_UNSUPPORTED when it cannot have filters or guards. */
struct tc_device *tc_device_open(
	struct tc_socket *socket, int ifindex, bool is_tunnel, uint32_t flags, GError **error);
/* Takes our filters out, and the ingress if that is ours. */
void tc_device_close(struct tc_device *device, struct tc_socket *socket);
/* Takes its flows out, and leaves the guards. */
void tc_device_clear(struct tc_device *device, struct tc_socket *socket);

/* Before a dump, for each filter of it, and behind: whether all guards are there. */
void tc_device_look(struct tc_device *device);
void tc_device_see(struct tc_device *device, const struct tc_filter *filter, uint32_t flags);
bool tc_device_has_guards(const struct tc_device *device);
/* Guards it anew; its flows have gone. */
void tc_device_guard(struct tc_device *device, struct tc_socket *socket, uint32_t flags);
