/* The host file, /etc/sluice/host.conf: which NICs lead to which physical networks, and how many VFs each has.
 *
 *     [physical physnet1]              the name that the operator gave the physical network
 *     devices = ens1f0;0000:3b:00.1    each an interface's name, a PCI address, or vendor:product (all NICs of that model)
 *     vfs = 8                          VFs on each of them; 0, or no such key: none
 *     mode = switchdev                 or legacy, which is also what is wanted when this key is absent; one for all of a host's
 *
 *     [memory]
 *     hugepages = 512                  pages of 2 MiB; 0, or no such key: as they are
 *
 * It is written by a person and read strictly: what it does not know it refuses, naming file, group and key. That its
 * devices are there is another matter (host_file_pfs), since NICs come and go.
 */
#pragma once
#include "base/cleanup.h"

#include <glib.h>
#include <stdbool.h>

#define HOST_FILE     "/etc/sluice/host.conf"
#define HOST_VFS_MAX  65535 /* TotalVFs has 16 bits */
#define HOST_NAME_MAX 64

struct host_physical {
	char *name; /* Owned; letters, digits, '-', '_', '.'; in lower case, as the controller has it */
	GPtrArray *
		devices; /* Owned; of text, as written; hexadecimal digits of PCI addresses and ids are small */
	unsigned vfs; /* on each device */
	bool switchdev;
};

struct host_file {
	GPtrArray *physicals; /* Owned; of struct host_physical, in the file's order */
	unsigned hugepages; /* of 2 MiB; 0: not asked for */
};

void host_file_free(struct host_file *file);
CLEANUP_FUNC(struct host_file *, host_file_free)

/* A missing file is an empty one. FAULT_INVALID when something in it is not as above, when the same device is named
 * twice, or when physical networks have different modes; FAULT_INTERNAL when it cannot be read. */
struct host_file *host_file_read(const char *path, GError **error);

/* PCI addresses of the devices of a physical network, in their order: GPtrArray of text, Owned by the caller.
 * inventory: see inventory_read(). FAULT_NOT_FOUND when a device is not there; FAULT_INVALID when two of them
 * are one. */
GPtrArray *host_file_pfs(const struct host_physical *physical, const GPtrArray *inventory, GError **error);

/* The same of the devices that are there; a sentence for each that is not, or is one by another name, is added to `lacks`. */
GPtrArray *host_file_find_pfs(
	const struct host_physical *physical, const GPtrArray *inventory, GPtrArray *lacks);

/* Whether host_file_pfs() finds the devices of all physical networks and none belongs to two. Errors as there. */
bool host_file_check(const struct host_file *file, const GPtrArray *inventory, GError **error);
