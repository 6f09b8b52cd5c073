/* NICs: can they have VFs, have they those that the host file wants, are these apart from other devices, and does nobody
 * else use them? */
#include "base/sysfs.h"
#include "doctor/host_priv.h"
#include "nic/host_file.h"
#include "nic/inventory.h"
#include "nic/keeper.h"
#include "nic/pci_config.h"

#include <string.h>

#define FUNCTIONS_WITHOUT_ARI 8 /* of a device on its bus, the PF among them */
#define SET_UP                "run 'sluice host setup --apply'"

struct visit {
	const struct host_source *source;
	const struct host_physical *physical; /* that the host file gives the PF to; NULL: to none */
	GPtrArray *findings; /* Borrowed */
};

static bool is_up(const struct host_source *source, const char *netdev)
{
	return sysfs_number(source->root, 0, "/sys/class/net/%s/flags", netdev) & 1;
}

bool host_has_sriov(const struct host_source *source)
{
	g_autoptr(GPtrArray) pfs = inventory_read(source->root);

	for (guint i = 0; i < pfs->len; i++) {
		const struct nic_pf *pf = pfs->pdata[i];
		if (pf->sriov || pf->config_vfs)
			return true;
	}
	return false;
}

/* ---- VFs ---- */

static void check_vf_unused(const struct visit *visit, const struct nic_vf *vf)
{
	if (!vf->netdev)
		return;
	enum keeper keeper = keeper_of(visit->source->root, vf->netdev);
	g_autofree char *remedy = keeper_remedy(keeper, vf->netdev);
	if (is_up(visit->source, vf->netdev))
		findings_add(visit->findings, FINDING_PROBLEM, "vf", vf->address, remedy,
			"this host uses the VF itself, as %s, which is up; %s configures it", vf->netdev,
			keeper_name(keeper));
	else if (keeper != KEEPER_NONE)
		findings_add(visit->findings, FINDING_PROBLEM, "vf", vf->address, remedy,
			"%s configures the VF's interface %s on this host", keeper_name(keeper), vf->netdev);
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
			host_remedy(visit->source,
				"put the NIC into a slot of the processor's own, or turn ACS on in the "
				"firmware's "
				"set-up",
				"put the NIC behind a PCI Express port of its own where this machine is set "
				"up"),
			"it shares IOMMU group %d (%s), and so cannot be given away alone", group, all);
}

static void check_each_vf(const struct visit *visit, const struct nic_pf *pf)
{
	for (guint i = 0; i < pf->vfs->len; i++) {
		const struct nic_vf *vf = pf->vfs->pdata[i];
		check_group(visit, vf->address, vf->iommu_group);
		check_vf_unused(visit, vf);
	}
}

/* ---- PFs ---- */

static bool check_capability(const struct visit *visit, const struct nic_pf *pf)
{
	if (pf->sriov && pf->total_vfs)
		return true;
	if (pf->sriov)
		findings_add(visit->findings, FINDING_PROBLEM, "nic", pf->address,
			host_remedy(visit->source,
				"turn SR-IOV on in the NIC's own set-up (at its boot screen, or mlxconfig "
				"SRIOV_EN=1 "
				"NUM_OF_VFS=16), and restart",
				"have SR-IOV turned on in the NIC where this machine is set up"),
			"the NIC has SR-IOV, and is set up for no VFs");
	else if (pf->config_vfs)
		findings_add(visit->findings, FINDING_PROBLEM, "nic", pf->address,
			"start a kernel with CONFIG_PCI_IOV, as Debian's linux-image-amd64 is",
			"the NIC has SR-IOV for %u VFs, and the kernel is built without it", pf->config_vfs);
	return false;
}

/* Those that take any device, and make no VFs (vfio-pci when its enable_sriov is off, which is usual). */
static bool is_generic(const char *driver)
{
	static const char *const generic[] = {"vfio-pci", "pci-stub", "uio_pci_generic", "igb_uio", NULL};

	return g_strv_contains(generic, driver);
}

static void check_driver(const struct visit *visit, const struct nic_pf *pf)
{
	if (!pf->driver)
		findings_add(visit->findings, FINDING_PROBLEM, "nic", pf->address,
			"load the driver of the NIC; lspci -k names it",
			"no driver is bound to the PF, so it makes no VFs");
	else if (is_generic(pf->driver))
		findings_add(visit->findings, FINDING_PROBLEM, "driver", pf->address,
			"bind the NIC's own driver, which lspci -k names; or leave the device out of the "
			"host file",
			"the PF is bound to %s, which makes no VFs", pf->driver);
}

/* A NIC that the host file names carries packets; of another it is worth knowing. */
static void check_link(const struct visit *visit, const struct nic_pf *pf)
{
	enum finding_level level = visit->physical ? FINDING_PROBLEM : FINDING_NOTE;
	g_autofree char *set_up = g_strdup_printf("ip link set dev %s up, or " SET_UP, pf->netdev);

	if (!pf->netdev)
		return;
	if (!is_up(visit->source, pf->netdev))
		findings_add(visit->findings, level, "link", pf->address, set_up,
			"its interface %s is down, and so VFs have no carrier", pf->netdev);
	else if (sysfs_number(visit->source->root, 1, "/sys/class/net/%s/carrier", pf->netdev) == 0)
		findings_add(visit->findings, level, "link", pf->address,
			host_remedy(visit->source,
				"look at the cable, and at the port of the switch that it leads to",
				"look at the link of the NIC where this machine is set up"),
			"its interface %s has no carrier, and neither have its VFs", pf->netdev);
}

/* A bridge that forwards no ARI leaves a device eight functions a bus; one without ACS may not keep them apart, which
 * shows in their groups once they are made. */
static void check_bridge(const struct visit *visit, const struct nic_pf *pf)
{
	struct pci_config config;

	if (!pf->bridge)
		return;
	pci_config_read(visit->source->root, pf->bridge, &config);
	if (!pci_config_is_whole(&config))
		return;
	if (pf->total_vfs >= FUNCTIONS_WITHOUT_ARI && !pci_config_forwards_ari(&config))
		findings_add(visit->findings, FINDING_NOTE, "ari", pf->address,
			host_remedy(visit->source,
				"if making VFs fails, turn ARI on in the firmware's set-up",
				"if making VFs fails, have ARI turned on in the port where this machine is "
				"set up"),
			"the bridge %s forwards no ARI, so that more than %d VFs need bus numbers of their "
			"own",
			pf->bridge, FUNCTIONS_WITHOUT_ARI - 1);
	if (!pf->num_vfs && !pci_config_isolates(&config))
		findings_add(visit->findings, FINDING_NOTE, "acs", pf->address,
			host_remedy(visit->source,
				"if VFs share an IOMMU group then, turn ACS on in the firmware's set-up, or "
				"use another "
				"slot",
				"if VFs share an IOMMU group then, put the NIC behind another port where "
				"this machine is "
				"set up"),
			"the bridge %s has no ACS, by which VFs are kept apart", pf->bridge);
}

static void check_number(const struct visit *visit, const struct nic_pf *pf)
{
	const char *name = pf->netdev ? pf->netdev : "without an interface";
	unsigned wanted = visit->physical ? visit->physical->vfs : 0;

	if (pf->num_vfs < wanted)
		findings_add(visit->findings, FINDING_PROBLEM, "vfs", pf->address,
			wanted > pf->total_vfs ? "lower 'vfs' in the host file" : SET_UP,
			"%s has %u of the %u VFs that the host file wants, and can have %u", name,
			pf->num_vfs, wanted, pf->total_vfs);
	else if (!pf->num_vfs && !visit->physical)
		findings_add(visit->findings, FINDING_NOTE, "nic", pf->address,
			"name it in " HOST_FILE ", and " SET_UP, "%s can have %u VFs, and has none", name,
			pf->total_vfs);
	else
		findings_add(visit->findings, FINDING_OK, "nic", pf->address, NULL, "%s has %u of %u VFs",
			name, pf->num_vfs, pf->total_vfs);
}

static void check_classes(const struct visit *visit, const struct nic_pf *pf)
{
	if (pf->num_vfs && pf->traffic_classes && pf->traffic_classes < 8)
		findings_add(visit->findings, FINDING_NOTE, "nic", pf->address,
			"make fewer than 16 VFs where all eight traffic classes (DCB) are needed",
			"with %u VFs it has %u traffic class%s left", pf->num_vfs, pf->traffic_classes,
			pf->traffic_classes == 1 ? "" : "es");
}

static void check_pf(const struct visit *visit, const struct nic_pf *pf)
{
	if (!check_capability(visit, pf))
		return;
	check_driver(visit, pf);
	check_link(visit, pf);
	check_bridge(visit, pf);
	check_number(visit, pf);
	check_classes(visit, pf);
	check_each_vf(visit, pf);
}

/* ---- the host file ---- */

static const char *name_of(const GPtrArray *inventory, const char *address)
{
	for (guint i = 0; i < inventory->len; i++) {
		const struct nic_pf *pf = inventory->pdata[i];
		if (g_str_equal(pf->address, address))
			return pf->netdev ? pf->netdev : address;
	}
	return address;
}

/* A legacy NIC hands frames between the VFs and the PF of one port. The switch's port is on the first PF, which has the filters
 * (nic/sriov_hear.c); from the others' VFs to it there is only the wire. */
static void note_wires(const struct host_physical *physical, const GPtrArray *pfs, const GPtrArray *inventory,
	GPtrArray *findings)
{
	if (physical->switchdev || physical->vfs == 0)
		return;
	for (guint i = 1; i < pfs->len; i++)
		findings_add(findings, FINDING_NOTE, "wires", pfs->pdata[i],
			"see that the switches at the wires of both pass frames from one to the other, by "
			"the "
			"same VLANs; else give each a physical network of its own",
			"VFs of %s reach NICs of this host that have no VF, or one of %s, by the wire alone: "
			"the "
			"port of physical network %s is %s",
			name_of(inventory, pfs->pdata[i]), name_of(inventory, pfs->pdata[0]), physical->name,
			name_of(inventory, pfs->pdata[0]));
}

/* Physical networks by the PCI addresses of their devices; what is amiss in the file is found. */
static GHashTable *owners_of(const struct host_source *source, const struct host_file *file,
	const GPtrArray *inventory, GPtrArray *findings)
{
	GHashTable *owners = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

	for (guint i = 0; i < file->physicals->len; i++) {
		struct host_physical *physical = file->physicals->pdata[i];
		g_autoptr(GError) error = NULL;
		g_autoptr(GPtrArray) pfs = host_file_pfs(physical, inventory, &error);
		if (!pfs)
			findings_add(findings, FINDING_PROBLEM, "hostfile", NULL,
				"correct the host file, or see by lspci whether the NIC is there", "%s",
				error->message);
		for (guint p = 0; pfs && p < pfs->len; p++)
			g_hash_table_insert(owners, g_strdup(pfs->pdata[p]), physical);
		if (pfs)
			note_wires(physical, pfs, inventory, findings);
	}
	return owners;
}

static struct host_file *read_host_file(const struct host_source *source, GPtrArray *findings)
{
	g_autofree char *path = g_strconcat(source->root, source->host_file, NULL);
	g_autoptr(GError) error = NULL;
	struct host_file *file = host_file_read(path, &error);

	if (!file)
		findings_add(findings, FINDING_PROBLEM, "hostfile", NULL, "correct the host file", "%s",
			error->message);
	return file;
}

/* ---- all of it ---- */

void host_check_nic_setup(const struct host_source *source, GPtrArray *findings)
{
	g_autoptr(GPtrArray) pfs = inventory_read(source->root);
	const struct visit visit = {.source = source, .findings = findings};

	for (guint i = 0; i < pfs->len; i++) {
		const struct nic_pf *pf = pfs->pdata[i];
		if (pf->sriov)
			check_capability(&visit, pf);
	}
}

void host_check_devices(const struct host_source *source, GPtrArray *findings)
{
	g_autoptr(GPtrArray) pfs = inventory_read(source->root);
	_cleanup_(host_file_free) struct host_file *file = read_host_file(source, findings);
	g_autoptr(GHashTable) owners =
		file ? owners_of(source, file, pfs, findings) : g_hash_table_new(g_str_hash, g_str_equal);
	unsigned before = findings->len;

	for (guint i = 0; i < pfs->len; i++) {
		const struct nic_pf *pf = pfs->pdata[i];
		const struct visit visit = {source, g_hash_table_lookup(owners, pf->address), findings};
		check_pf(&visit, pf);
	}
	if (findings->len == before)
		findings_add(findings, FINDING_NOTE, "nic", NULL,
			host_remedy(source,
				"if there should be one, turn SR-IOV on in the firmware's set-up and in the "
				"NIC's own",
				"if there should be one, give this virtual machine a NIC with SR-IOV where "
				"it is set up"),
			"no NIC here has SR-IOV: accelerated NICs get emulated functions, which bypass "
			"nothing");
}
