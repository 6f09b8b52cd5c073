/* What the kernel has said already: messages that name a reason, and what helps. */
#include "base/sysfs.h"
#include "doctor/host_priv.h"
#include "nic/inventory.h"

#include <string.h>

#define DEVICES         "/sys/bus/pci/devices"
#define IOV_RESOURCES   7 /* number of the first of a PF's resources that are for VFs */
#define IOV_RESOURCES_N 6
#define ROW_MMIO        0 /* of the table */

/* ---- what stands still ----
 *
 * The log keeps a message until its buffer is full of others, also when somebody has helped since. Each of these: whether the
 * cause that the line tells of is still there, as far as can be seen; where it cannot be it is. device may be NULL. */

static bool is_up_now(const struct host_source *source, const char *folder)
{
	g_auto(GStrv) netdevs = sysfs_children(source->root, "", "%s/net", folder);

	return *netdevs && sysfs_number(source->root, 0, "/sys/class/net/%s/flags", *netdevs) & 1;
}

/* The resource of that number in the lines of a device's: "0xSTART 0xEND 0xFLAGS". */
static void read_resource(GStrv lines, unsigned number, guint64 *ret_start, guint64 *ret_flags)
{
	g_auto(GStrv) words = number < g_strv_length(lines) ? g_strsplit(lines[number], " ", 3) : NULL;
	bool whole = words && g_strv_length(words) == 3;

	*ret_start = whole ? g_ascii_strtoull(words[0], NULL, 16) : 0;
	*ret_flags = whole ? g_ascii_strtoull(words[2], NULL, 16) : 0;
}

/* Whether a resource of its VFs is without addresses: one that the kernel knows the size of, or all of them, since what it could
 * not assign it may have forgotten. */
static bool is_short_of_space(const struct host_source *source, const char *device, const char *line)
{
	g_autofree char *text = device ? sysfs_text(source->root, DEVICES "/%s/resource", device) : NULL;
	g_auto(GStrv) lines = text ? g_strsplit(text, "\n", -1) : NULL;
	bool any = false;

	for (unsigned i = 0; lines && i < IOV_RESOURCES_N; i++) {
		guint64 start, flags;
		read_resource(lines, IOV_RESOURCES + i, &start, &flags);
		if (flags && !start)
			return true;
		any = any || start;
	}
	return !any;
}

static bool has_no_vfs(const struct host_source *source, const char *device, const char *line)
{
	return !device || sysfs_number(source->root, 0, DEVICES "/%s/sriov_numvfs", device) == 0;
}

/* The line begins with the driver's name. */
static bool has_that_driver(const struct host_source *source, const char *device, const char *line)
{
	g_autofree char *driver = device ? sysfs_link_name(source->root, DEVICES "/%s/driver", device) : NULL;

	return !driver || strstr(line, driver);
}

static bool has_pf_down(const struct host_source *source, const char *device, const char *line)
{
	g_autofree char *pf = device ? g_strdup_printf(DEVICES "/%s/physfn", device) : NULL;

	return !pf || !is_up_now(source, pf);
}

/* ---- messages ---- */

/* Sources: Linux drivers/pci/iov.c, drivers/iommu/intel/iommu.c, drivers/vfio/vfio_iommu_type1.c,
 * arch/x86/kvm, drivers/net/ethernet/intel. */
static const struct {
	const char *says; /* part of a message, in small or large letters */
	const char *check, *text, *remedy;
	const char *in_vm; /* the remedy in a virtual machine; NULL: the same */
	bool (*stands)(const struct host_source *source, const char *device,
		const char *line); /* NULL: until the machine is started again */
} table[] = {
	[ROW_MMIO] = {"not enough MMIO resources for SR-IOV", "mmio",
		"the firmware has given the device too little address space for its VFs",
		"turn 'SR-IOV' and 'Above 4G Decoding' on in the firmware's set-up; where it has neither, "
		"add "
		"pci=realloc to the kernel's command line; then restart",
		"give the port that the NIC is behind more address space where this machine is set up (QEMU: "
		"pcie-root-port's pref64-reserve), and start it anew",
		is_short_of_space},
	{" VFs (bus ", "bus", "the firmware has left too few bus numbers for the device's VFs",
		"turn ARI on in the firmware's set-up, or add pci=assign-busses to the kernel's command "
		"line; then "
		"restart",
		"give the port that the NIC is behind more bus numbers where this machine is set up (QEMU: "
		"pcie-root-port's bus-reserve)",
		has_no_vfs},
	{"does not support SRIOV configuration via sysfs", "driver", "the device's driver cannot make VFs",
		"use the driver for the physical function, not one for pass-through or DPDK", NULL,
		has_that_driver},
	{"ineligible for IOMMU domain attach due to platform RMRR", "rmrr",
		"the firmware keeps the device's memory for itself (RMRR), so it cannot be given away",
		"turn off what uses the device in the firmware's set-up (shared management ports, HP's "
		"'RMRDS'), or use another NIC",
		NULL},
	{"No interrupt remapping support", "interrupts",
		"the platform cannot remap interrupts, and so vfio refuses functions",
		"turn x2APIC or interrupt remapping on in the firmware's set-up, and take intremap=off from "
		"the "
		"kernel's command line",
		"turn interrupt remapping on in the IOMMU that this machine is given (QEMU: intremap=on)"},
	{"disabled by bios", "kvm", "the firmware has locked virtualization off",
		"turn Intel VT-x or AMD-V (SVM) on in the firmware's set-up, and power the machine off and "
		"on",
		"turn nested virtualization on where this machine's own hypervisor is set up"},
	{"PF still in reset state", "reset", "a VF's driver found its PF not ready",
		"set the PF's interface up, then bind the VF's driver again", NULL, has_pf_down},
};

/* "0000:03:00.0" of a line, or NULL. Owned by the caller. */
static char *device_of(const char *line)
{
	g_autoptr(GRegex) shape = g_regex_new("[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\\.[0-7]", 0, 0, NULL);
	g_autoptr(GMatchInfo) match = NULL;

	return g_regex_match(shape, line, 0, &match) ? g_match_info_fetch(match, 0) : NULL;
}

/* Each reason once a device, however often the kernel says it. line: NULL where it says nothing. */
static void find_reason(const struct host_source *source, size_t row, const char *device, const char *line,
	GHashTable *told, GPtrArray *findings)
{
	const char *in_vm = table[row].in_vm ? table[row].in_vm : table[row].remedy;

	if (g_hash_table_add(told, g_strdup_printf("%zu %s", row, device ? device : "")))
		findings_add(findings, FINDING_PROBLEM, table[row].check, device,
			host_remedy(source, table[row].remedy, in_vm), "%s%s%s%s", table[row].text,
			line ? " (the kernel says: " : "", line ? line : "", line ? ")" : "");
}

/* Whether the device's resource of that number is without addresses. */
static bool is_unassigned(const struct host_source *source, const char *device, unsigned number)
{
	g_autofree char *text = sysfs_text(source->root, DEVICES "/%s/resource", device);
	g_auto(GStrv) lines = text ? g_strsplit(text, "\n", -1) : NULL;
	guint64 start = 1, flags;

	if (lines)
		read_resource(lines, number, &start, &flags);
	return start == 0;
}

/* "0000:01:00.0: VF BAR 3 [mem size 0x00020000 64bit pref]: failed to assign", or by older kernels
 * "BAR 10: failed to assign": VFs that nobody has asked for yet will find no room, unless the kernel tried again with
 * success. Source: Linux drivers/pci/setup-res.c, PCI_IOV_RESOURCES. */
static void look_at_bar(
	const struct host_source *source, const char *line, GHashTable *told, GPtrArray *findings)
{
	g_autoptr(GRegex) shape = g_regex_new(
		"([0-9a-f:]{10}\\.[0-7]): (?:VF BAR ([0-5]) .*|BAR (7|8|9|10|11|12)): failed to assign", 0, 0,
		NULL);
	g_autoptr(GMatchInfo) match = NULL;

	if (!g_regex_match(shape, line, 0, &match))
		return;
	g_autofree char *device = g_match_info_fetch(match, 1), *vf = g_match_info_fetch(match, 2);
	g_autofree char *any = g_match_info_fetch(match, 3);
	unsigned number = vf && *vf ? IOV_RESOURCES + (unsigned)g_ascii_strtoull(vf, NULL, 10)
				    : (unsigned)g_ascii_strtoull(any, NULL, 10);

	if (is_unassigned(source, device, number))
		find_reason(source, ROW_MMIO, device, line, told, findings);
}

static void look_at(const struct host_source *source, const char *line, GHashTable *told, GPtrArray *findings)
{
	g_autofree char *device = device_of(line);

	look_at_bar(source, line, told, findings);
	for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
		if (strcasestr(line, table[i].says) &&
			(!table[i].stands || table[i].stands(source, device, line)))
			find_reason(source, i, device, line, told, findings);
}

/* The kernel says so at its start, and its log forgets: what it has given the PFs does not. */
static void look_at_space(const struct host_source *source, GHashTable *told, GPtrArray *findings)
{
	g_autoptr(GPtrArray) pfs = inventory_read(source->root);

	for (guint i = 0; i < pfs->len; i++) {
		const struct nic_pf *pf = pfs->pdata[i];
		g_autofree char *resources = sysfs_text(source->root, DEVICES "/%s/resource", pf->address);
		if (resources && pf->total_vfs && !pf->num_vfs &&
			is_short_of_space(source, pf->address, NULL))
			find_reason(source, ROW_MMIO, pf->address, NULL, told, findings);
	}
}

void host_check_kernel_log(const struct host_source *source, GPtrArray *findings)
{
	g_autofree char *log = source->kernel_log();
	g_autoptr(GHashTable) told = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_auto(GStrv) lines = log ? g_strsplit(log, "\n", -1) : NULL;
	unsigned before = findings->len;

	if (!log) {
		look_at_space(source, told, findings);
		findings_add(findings, FINDING_NOTE, "log", NULL, "run as root",
			"the kernel's log is not for this user, so what it says of devices is not known");
		return;
	}
	for (char **line = lines; *line; line++)
		look_at(source, *line, told, findings);
	look_at_space(source, told, findings);
	if (findings->len == before)
		findings_add(findings, FINDING_OK, "log", NULL, NULL, "the kernel complains of no device");
}
