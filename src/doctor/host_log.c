/* What the kernel has said already: messages that name a reason, and what helps. */
#include "doctor/host_priv.h"

#include <string.h>

/* Sources: Linux drivers/pci/iov.c, drivers/iommu/intel/iommu.c, drivers/vfio/vfio_iommu_type1.c,
 * arch/x86/kvm, drivers/net/ethernet/intel. */
static const struct {
	const char *says; /* part of a message, in small or large letters */
	const char *check, *text, *remedy;
} table[] = {
	{"not enough MMIO resources for SR-IOV", "mmio",
		"the firmware has given the device too little address space for its VFs",
		"turn 'SR-IOV' and 'Above 4G Decoding' on in the firmware's set-up; where it has neither, "
		"add "
		"pci=realloc to the kernel's command line; then restart"},
	{" VFs (bus ", "bus", "the firmware has left too few bus numbers for the device's VFs",
		"turn ARI on in the firmware's set-up, or add pci=assign-busses to the kernel's command "
		"line; then "
		"restart"},
	{"does not support SRIOV configuration via sysfs", "driver", "the device's driver cannot make VFs",
		"use the driver for the physical function, not one for pass-through or DPDK"},
	{"ineligible for IOMMU domain attach due to platform RMRR", "rmrr",
		"the firmware keeps the device's memory for itself (RMRR), so it cannot be given away",
		"turn off what uses the device in the firmware's set-up (shared management ports, HP's "
		"'RMRDS'), or use another NIC"},
	{"No interrupt remapping support", "interrupts",
		"the platform cannot remap interrupts, and so vfio refuses functions",
		"turn x2APIC or interrupt remapping on in the firmware's set-up, and take intremap=off from "
		"the "
		"kernel's command line"},
	{"disabled by bios", "kvm", "the firmware has locked virtualization off",
		"turn Intel VT-x or AMD-V (SVM) on in the firmware's set-up, and power the machine off and "
		"on"},
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
static void look_at(const char *line, GHashTable *told, GPtrArray *findings)
{
	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		if (!strcasestr(line, table[i].says))
			continue;
		g_autofree char *device = device_of(line);
		char *key = g_strdup_printf("%zu %s", i, device ? device : "");
		if (g_hash_table_add(told, key))
			findings_add(findings, FINDING_PROBLEM, table[i].check, device, table[i].remedy,
				"%s (the kernel says: %s)", table[i].text, line);
	}
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
		look_at(*line, told, findings);
	if (findings->len == before)
		findings_add(findings, FINDING_OK, "log", NULL, NULL, "the kernel complains of no device");
}
