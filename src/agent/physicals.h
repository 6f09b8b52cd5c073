/* The physical networks that this host is on: what the host file says, found among the host's NICs.
 *
 * Read once, when the agent starts: a host that is set up anew has its agent started again.
 */
#pragma once
#include "agent/switch_state.h"
#include "base/cleanup.h"

#include <glib.h>
#include <stdbool.h>

struct physical_port {
	char *name;
	GPtrArray *pfs; /* PCI addresses of its NICs, in the host file's order */
	char *interface; /* of the first NIC: the switch's port */
	unsigned mtu; /* of that interface */
	bool switchdev; /* its NICs are switched by their eswitches */
};

/* In the host file's order: GPtrArray of struct physical_port, Owned by the caller; empty when the file names none, or is not
 * there. root: see base/sysfs.h. FAULT_INVALID when the file is wrong or there are more than PHYSICALS_MAX;
 * FAULT_NOT_FOUND when a NIC is not there or has no interface. */
GPtrArray *physicals_read(const char *root, const char *host_file, GError **error);

/* As the switch is told them. Texts Borrowed; Owned by the caller itself. */
struct switch_physical *physicals_for_switch(const GPtrArray *physicals);
