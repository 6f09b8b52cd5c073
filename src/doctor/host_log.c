/* What the kernel has said already: messages that name a reason, and what helps. */
#include "base/sysfs.h"
#include "doctor/host_priv.h"

#include <string.h>

#define IOV_RESOURCES 7 /* number of the first of a PF's resources that are for VFs */
#define ROW_MMIO      0 /* of the table */

/* Sources: Linux drivers/pci/iov.c, drivers/iommu/intel/iommu.c, drivers/vfio/vfio_iommu_type1.c,
 * arch/x86/kvm, drivers/net/ethernet/intel. */
static const struct {
	const char *says; /* part of a message, in small or large letters */
	const char *check, *text, *remedy;
	const char *in_vm; /* the remedy in a virtual machine; NULL: the same */
} table[] = {
	[ROW_MMIO] = {"not enough MMIO resources for SR-IOV", "mmio",
		"the firmware has given the device too little address space for its VFs",
		"turn 'SR-IOV' and 'Above 4G Decoding' on in the firmware's set-up; where it has neither, "
		"add "
		"pci=realloc to the kernel's command line; then restart",
		"give the port that the NIC is behind more address space where this machine is set up (QEMU: "
		"pcie-root-port's pref64-reserve), and start it anew"},
	{" VFs (bus ", "bus", "the firmware has left too few bus numbers for the device's VFs",
		"turn ARI on in the firmware's set-up, or add pci=assign-busses to the kernel's command "
		"line; then "
		"restart",
		"give the port that the NIC is behind more bus numbers where this machine is set up (QEMU: "
		"pcie-root-port's bus-reserve)"},
	{"does not support SRIOV configuration via sysfs", "driver", "the device's driver cannot make VFs",
		"use the driver for the physical function, not one for pass-through or DPDK"},
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
		"set the PF's interface up, then bind the VF's driver again"},
};

/* "0000:03:00.0" of a line, or NULL. Owned by the caller. */
static char *device_of(const char *line)
{
	g_autoptr(GRegex) shape = g_regex_new("[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\\.[0-7]", 0, 0, NULL);
	g_autoptr(GMatchInfo) match = NULL;

	return g_regex_match(shape, line, 0, &match) ? g_match_info_fetch(match, 0) : NULL;
}

/* Each reason once a device, however often the kernel says it. */
static void find_reason(const struct host_source *source, size_t row, const char *device, const char *line,
	GHashTable *told, GPtrArray *findings)
{
	const char *in_vm = table[row].in_vm ? table[row].in_vm : table[row].remedy;

	if (g_hash_table_add(told, g_strdup_printf("%zu %s", row, device ? device : "")))
		findings_add(findings, FINDING_PROBLEM, table[row].check, device,
			host_remedy(source, table[row].remedy, in_vm), "%s (the kernel says: %s)",
			table[row].text, line);
}

/* Whether the device's resource of that number is without addresses: a line "0xSTART 0xEND 0xFLAGS" each. */
static bool is_unassigned(const struct host_source *source, const char *device, unsigned number)
{
	g_autofree char *text = sysfs_text(source->root, "/sys/bus/pci/devices/%s/resource", device);
	g_auto(GStrv) lines = text ? g_strsplit(text, "\n", -1) : NULL;

	return lines && number < g_strv_length(lines) && g_ascii_strtoull(lines[number], NULL, 16) == 0;
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
		if (strcasestr(line, table[i].says))
			find_reason(source, i, device, line, told, findings);
}

void host_check_kernel_log(const struct host_source *source, GPtrArray *findings)
{
	g_autofree char *log = source->kernel_log();
	g_autoptr(GHashTable) told = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_auto(GStrv) lines = log ? g_strsplit(log, "\n", -1) : NULL;
	unsigned before = findings->len;

	if (!log) {
		findings_add(findings, FINDING_NOTE, "log", NULL, "run as root",
			"the kernel's log is not for this user, so what it says of devices is not known");
		return;
	}
	for (char **line = lines; *line; line++)
		look_at(source, *line, told, findings);
	if (findings->len == before)
		findings_add(findings, FINDING_OK, "log", NULL, NULL, "the kernel complains of no device");
}
