/* Inventory: the network devices on the host's PCI buses, their physical and virtual functions.
 *
 * All of it is read at the moment of asking, from sysfs, and on demand from netlink and devlink; nothing is kept. So it is right
 * after a reboot, a driver's reload, or when somebody else has changed something.
 * Source: Linux Documentation/ABI/testing/sysfs-bus-pci, sysfs-class-net.
 */
#pragma once
#include "base/cleanup.h"
#include "nic/devlink.h"
#include "nic/ethtool.h"
#include "nic/vf.h"
#include "nic/vf_counters.h"

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define INVENTORY_NONE (-1) /* a number that is not known */

struct nic_vf {
	unsigned index; /* below its PF's num_vfs */
	char *address; /* Owned, as all here; "0000:3b:10.0" */
	char *driver; /* NULL: none is bound */
	char *netdev; /* NULL: none, as when it is in a guest */
	char *representor; /* NULL: none; interface of the PF's eswitch that stands for it */
	int iommu_group; /* or INVENTORY_NONE */
	struct ethtool_queues queues; /* as a PF's; of its interface here, where it has one */
	/* As its PF holds and counts them; none is known before inventory_add_attributes. */
	struct vf_attributes attributes;
	struct vf_counters counters;
};

/* A physical function, or a network device that has no others. */
struct nic_pf {
	char *address, *driver, *netdev; /* as above; several netdevs: the first that is no representor */
	char *bridge; /* address of the bridge above; NULL: it is on the root bus */
	char *switch_id; /* NULL: none; of the eswitch that it is the uplink of */
	char *firmware; /* version that runs; NULL: it tells none. By inventory_add_eswitches, as the two below, and inventory_add_firmware */
	struct devlink_eswitch eswitch; /* all NULL: none */
	char *representor; /* of the PF itself, where another host's processor has the NIC's uplink; NULL: none */
	/* Its interface's channels; where its driver tells none its queues, as RX and TX whose maximum is not known (0). All 0 before
	 * inventory_add_queues, and without an interface in this process's namespace. */
	struct ethtool_queues queues;
	uint16_t vendor, device;
	int numa_node, iommu_group; /* or INVENTORY_NONE */
	unsigned config_vfs; /* as its configuration space says; 0: no SR-IOV, or not root */
	unsigned total_vfs; /* that the kernel allows; 0: none */
	bool sriov; /* the kernel lets SR-IOV be used: it has sriov_totalvfs */
	unsigned num_vfs; /* that are made */
	unsigned
		traffic_classes; /* left of the port's eight with that many VFs; 0: not known of this device */
	GPtrArray *vfs; /* of struct nic_vf, by index */
};

void nic_pf_free(struct nic_pf *pf);

/* Which traffic classes Intel's X540 and 82599 leave a port with so many VFs: 0–15: 8, 16–31: 4, 32–63: 1.
 * Source: Linux drivers/net/ethernet/intel/ixgbe/ixgbe_sriov.h (IXGBE_MAX_VFS_8TC and the two below it). */
unsigned inventory_traffic_classes(uint16_t vendor, uint16_t device, unsigned num_vfs);

/* All network devices but VFs and virtio's, by address: GPtrArray of struct nic_pf, Owned by the caller. Never fails:
 * what cannot be read is absent. root: see base/sysfs.h. */
GPtrArray *inventory_read(const char *root);

/* Asks the kernel for the attributes and counters of all VFs whose PF has an interface in this process's namespace.
 * FAULT_INTERNAL when netlink does not work. */
bool inventory_add_attributes(GPtrArray *pfs, GError **error);

/* Asks devlink for firmware, eswitches and representors; NULL: it is not there. What a driver does not tell stays as it is: then
 * representors are those that sysfs shows. */
void inventory_add_eswitches(GPtrArray *pfs, struct genl *devlink);

/* Asks the drivers themselves (as `ethtool -i`) for the firmware that devlink, asked before, has told none of. */
void inventory_add_firmware(GPtrArray *pfs);

/* Asks the drivers for the channels of PFs' and VFs' interfaces, and sysfs below `root` for the queues of the others. ethtool: that
 * family; NULL: it is not there. */
void inventory_add_queues(GPtrArray *pfs, const char *root, struct genl *ethtool);

/* "4/8", "rx 4/8, tx 2/8", "rx 1, tx 1": how many there are of how many that could be, which may be unknown; combined ones without
 * a word. NULL: it has none, or they are not known. Owned by the caller. */
char *inventory_queues_format(const struct ethtool_queues *queues);

/* Devices that share the IOMMU group and are no bridges, by address: who has one of them has all. Owned by the
 * caller. */
GStrv inventory_group(const char *root, int group);

/* [{"address","id","driver","interface","firmware","eswitch","representor","numa_node","iommu_group","total_vfs","num_vfs",
 * "traffic_classes","queues":{"combined"?,"rx"?,"tx"?: {"count","max"?}} or null: not known,"vfs":[…]}]; of attributes and counters
 * ("statistics") those that are known. New reference. */
json_t *inventory_encode(const GPtrArray *pfs);
