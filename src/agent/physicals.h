/* The physical networks that this host is on: what the host file says, found among the host's NICs.
 *
 * The file is read once, when the agent starts: a host that is set up anew has its agent started again. Its NICs come and
 * go, and change their names, so they are looked for again and again (health.h). What is not there ends nothing: it
 * is a condition, and the rest of the host goes on.
 */
#pragma once
#include "agent/switch_state.h"
#include "base/cleanup.h"
#include "nic/provider.h"

#include <glib.h>
#include <stdbool.h>

struct host_file;

/* Where to look; Borrowed. */
struct physicals_source {
	const char *root; /* see base/sysfs.h */
	const struct host_file *file;
	const char *
		underlay; /* interface of an underlay that has an address of the kernel's; NULL: there is none */
};

struct physical_port {
	const char *name; /* Borrowed, the host file's */
	GPtrArray *
		pfs; /* Owned; PCI addresses of those of its NICs that have an interface, in the host file's order */
	/* Owned; of the first of these: the switch's port. While there is none, what it was last, where nobody else has that
	 * name now, so that it goes on as soon as it is back; else a name that nobody has. */
	char *interface;
	unsigned mtu; /* of that interface */
	bool switchdev; /* its NICs are switched by their eswitches */
	/* Owned; PCI addresses: those of its NICs that the underlay's interface is, or lies above as a VLAN or a bond; also one that is
	 * away and was such. */
	GPtrArray *tunnel_pfs;
	GPtrArray *conditions; /* Owned, of text: sentences about what of it is not as the host file has it */
};

/* host_file_read, of not more physical networks than a switch takes. FAULT_INVALID, FAULT_INTERNAL. */
struct host_file *physicals_open(const char *path, GError **error);

/* As they are now, in the host file's order: GPtrArray of struct physical_port, Owned by the caller. A device that two of
 * them name is the first one's. before: what was found last; NULL: nothing. */
GPtrArray *physicals_find(const struct physicals_source *source, const GPtrArray *before);

/* As the switch is told them. Texts Borrowed; Owned by the caller itself. */
struct switch_physical *physicals_for_switch(const GPtrArray *physicals);
/* As the provider of their functions is. All Borrowed, but for the array itself. */
struct sriov_physical *physicals_for_provider(const GPtrArray *physicals);
