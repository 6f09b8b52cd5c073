/* NICs: can they have VFs, have they, are these apart from other devices, and does nobody else use them? */
#include "base/sysfs.h"
#include "doctor/host_priv.h"
#include "nic/inventory.h"
#include "nic/pci_config.h"

#include <string.h>

#define FUNCTIONS_WITHOUT_ARI 8 /* of a device on its bus, the PF among them */

struct visit {
	const struct host_source *source;
	GPtrArray *findings; /* Borrowed */
	bool manager; /* NetworkManager runs here */
};

static bool is_up(const struct host_source *source, const char *netdev)
{
	return sysfs_number(source->root, 0, "/sys/class/net/%s/flags", netdev) & 1;
}

/* ---- VFs ---- */

static void check_vf_unused(const struct visit *visit, const struct nic_vf *vf)
{
	if (!vf->netdev || !is_up(visit->source, vf->netdev))
		return;
	findings_add(visit->findings, FINDING_PROBLEM, "vf", vf->address,
		visit->manager ? "tell NetworkManager to leave it: a file in /etc/NetworkManager/conf.d with "
				 "[keyfile] "
				 "unmanaged-devices=driver:igbvf,driver:ixgbevf,driver:iavf"
			       : "take it out of /etc/network/interfaces, or give systemd-networkd a "
				 ".network file that "
				 "says Unmanaged=yes for its driver",
		"this host uses the VF itself, as %s, which is up", vf->netdev);
}

/* Who is given a device is given all of its group. */
static void check_group(const struct visit *visit, const char *address, int group)
{
	if (group == INVENTORY_NONE)
		return;
	g_auto(GStrv) devices = inventory_group(visit->source->root, group);
	g_autofree char *all = g_strjoinv(", ", devices);

	if (g_strv_length(devices) > 1)
		findings_add(visit->findings, FINDING_PROBLEM, "group", address,
			"put the NIC into a slot of the processor's own, or turn ACS on in the firmware's "
			"set-up",
			"it shares IOMMU group %d (%s), and so cannot be given away alone", group, all);
}

/* ---- PFs ---- */

static bool check_capability(const struct visit *visit, const struct nic_pf *pf)
{
	if (pf->sriov && pf->total_vfs)
		return true;
	if (pf->sriov)
		findings_add(visit->findings, FINDING_PROBLEM, "nic", pf->address,
			"turn SR-IOV on in the NIC's own set-up (at its boot screen, or mlxconfig SRIOV_EN=1 "
			"NUM_OF_VFS=16), and restart",
			"the NIC has SR-IOV, and is set up for no VFs");
	else if (pf->config_vfs)
		findings_add(visit->findings, FINDING_PROBLEM, "nic", pf->address,
			"start a kernel with CONFIG_PCI_IOV, as Debian's linux-image-amd64 is",
			"the NIC has SR-IOV for %u VFs, and the kernel is built without it", pf->config_vfs);
	return false;
}

static void check_driver(const struct visit *visit, const struct nic_pf *pf)
{
	g_autofree char *set_up = g_strdup_printf("ip link set dev %s up", pf->netdev);

	if (!pf->driver)
		findings_add(visit->findings, FINDING_PROBLEM, "nic", pf->address,
			"load the driver of the NIC; lspci -k names it",
			"no driver is bound to the PF, so it makes no VFs");
	else if (pf->netdev && !is_up(visit->source, pf->netdev))
		findings_add(visit->findings, FINDING_NOTE, "nic", pf->address, set_up,
			"its interface %s is down, and so VFs have no carrier", pf->netdev);
}

/* A bridge that forwards no ARI leaves a device eight functions a bus. */
static void check_bridge(const struct visit *visit, const struct nic_pf *pf)
{
	struct pci_config config;

	if (!pf->bridge || pf->total_vfs < FUNCTIONS_WITHOUT_ARI)
		return;
	pci_config_read(visit->source->root, pf->bridge, &config);
	if (pci_config_is_whole(&config) && !pci_config_forwards_ari(&config))
		findings_add(visit->findings, FINDING_NOTE, "ari", pf->address,
			"if making VFs fails, turn ARI on in the firmware's set-up",
			"the bridge %s forwards no ARI, so that more than %d VFs need bus numbers of their "
			"own",
			pf->bridge, FUNCTIONS_WITHOUT_ARI - 1);
}

static void check_vfs(const struct visit *visit, const struct nic_pf *pf)
{
	const char *name = pf->netdev ? pf->netdev : "without an interface";
	g_autofree char *make = g_strdup_printf(
		"echo %u > /sys/bus/pci/devices/%s/sriov_numvfs", MIN(pf->total_vfs, 4), pf->address);

	if (!pf->num_vfs) {
		findings_add(visit->findings, FINDING_NOTE, "nic", pf->address, make,
			"%s can have %u VFs, and has none", name, pf->total_vfs);
		return;
	}
	findings_add(visit->findings, FINDING_OK, "nic", pf->address, NULL, "%s has %u of %u VFs", name,
		pf->num_vfs, pf->total_vfs);
	if (pf->traffic_classes && pf->traffic_classes < 8)
		findings_add(visit->findings, FINDING_NOTE, "nic", pf->address,
			"make fewer than 16 VFs where all eight traffic classes (DCB) are needed",
			"with %u VFs it has %u traffic class%s left", pf->num_vfs, pf->traffic_classes,
			pf->traffic_classes == 1 ? "" : "es");
	for (guint i = 0; i < pf->vfs->len; i++) {
		const struct nic_vf *vf = pf->vfs->pdata[i];
		check_group(visit, vf->address, vf->iommu_group);
		check_vf_unused(visit, vf);
	}
}

void host_check_devices(const struct host_source *source, GPtrArray *findings)
{
	g_autofree char *manager = g_strconcat(source->root, "/run/NetworkManager", NULL);
	const struct visit visit = {source, findings, g_file_test(manager, G_FILE_TEST_EXISTS)};
	g_autoptr(GPtrArray) pfs = inventory_read(source->root);
	unsigned before = findings->len;

	for (guint i = 0; i < pfs->len; i++) {
		const struct nic_pf *pf = pfs->pdata[i];
		if (!check_capability(&visit, pf))
			continue;
		check_driver(&visit, pf);
		check_bridge(&visit, pf);
		check_vfs(&visit, pf);
	}
	if (findings->len == before)
		findings_add(findings, FINDING_NOTE, "nic", NULL,
			"if there should be one, turn SR-IOV on in the firmware's set-up and in the NIC's "
			"own",
			"no NIC here has SR-IOV: accelerated NICs get emulated functions, which bypass "
			"nothing");
}
