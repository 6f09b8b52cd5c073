/* The ports that tc was told of, and the netdevs that they are.
 *
 * Nothing may be waiting in the socket in any call that changes or dumps.
 */
#pragma once
#include "offload/provider.h"
#include "offload/tc_device.h"

/* What a flow comes or leaves by. */
struct tc_way {
	uint32_t port;
	bool tunnel;
	int ifindex;
};

struct tc_ports;

/* socket: Borrowed. flags: of filters (TCA_CLS_FLAGS_SKIP_HW ..). */
struct tc_ports *tc_ports_new(struct tc_socket *socket, uint32_t flags);
/* Nothing of ours is left on its devices. */
void tc_ports_free(struct tc_ports *ports);
CLEANUP_FUNC(struct tc_ports *, tc_ports_free)

/* As offload_provider_ops' ports; devices that are no port's any more stay until tc_ports_tidy. */
bool tc_ports_set(struct tc_ports *ports, const struct offload_port *is, unsigned n, GError **error);
void tc_ports_tidy(struct tc_ports *ports);

/* Where flows come or leave by a port, or by the tunnel device on it. NULL, or why none can: Owned by the caller. */
char *tc_ports_find(const struct tc_ports *ports, uint32_t number, bool tunnel, struct tc_way *ret);
/* Whether that is there still. */
bool tc_ports_has(const struct tc_ports *ports, const struct tc_way *way);
/* NULL: it is no port's. Borrowed. */
struct tc_device *tc_ports_device(const struct tc_ports *ports, int ifindex);

/* Takes all flows out. */
void tc_ports_clear(struct tc_ports *ports);
/* Tells of all filters. False when the kernel does not answer, or none of the devices is there any more. */
bool tc_ports_dump(struct tc_ports *ports, const struct tc_hearer *hearer, void *data);
/* Guards those devices anew whose guards the dump has not told of, and whose flows have gone. */
void tc_ports_guard(struct tc_ports *ports);
