/* The kernel's command line: what turns the IOMMU on, by a drop-in of GRUB's where the machine starts by GRUB. */
#include "base/sysfs.h"
#include "setup/setup_priv.h"

#include <string.h>

#define DROP_IN "/etc/default/grub.d/50-sluice.cfg"
#define DROP_IN_TEXT                                                                                         \
	"# Written by 'sluice host setup --apply'; '--revert' removes it.\n"                                 \
	"GRUB_CMDLINE_LINUX_DEFAULT=\"$GRUB_CMDLINE_LINUX_DEFAULT %s\"\n"

static bool has_words(const char *line, const char *wanted)
{
	g_auto(GStrv) there = g_strsplit_set(line ? line : "", " \t\n", -1);
	g_auto(GStrv) words = g_strsplit(wanted, " ", -1);

	for (char **word = words; *word; word++)
		if (!g_strv_contains((const char *const *)there, *word))
			return false;
	return true;
}

/* iommu=pt leaves the host's own devices untranslated, as fast as without. Intel's IOMMU (DMAR) waits for a word on the line,
 * AMD's does not. Firmware that has its IOMMU off describes none; then the processor tells. */
static const char *words_of(const struct setup_machine *machine)
{
	g_autofree char *processor = sysfs_text(machine->root, "/proc/cpuinfo");
	bool amd = processor && strstr(processor, "AuthenticAMD");

	return amd && !setup_exists(machine, "/sys/firmware/acpi/tables/DMAR") ? "iommu=pt"
									       : "intel_iommu=on iommu=pt";
}

/* Where a person adds to the line, by what starts the machine. */
static const char *place_of(const struct setup_machine *machine)
{
	if (setup_exists(machine, "/etc/kernel/cmdline"))
		return "/etc/kernel/cmdline, and run kernel-install";
	if (setup_exists(machine, "/boot/loader/loader.conf") ||
		setup_exists(machine, "/boot/efi/loader/loader.conf"))
		return "the options line of loader/entries on the boot partition";
	return "where this machine's boot loader has the kernel's command line";
}

static void add_off(const struct setup_machine *machine, const char *line, GPtrArray *steps)
{
	static const char *const off[] = {"intel_iommu=off", "amd_iommu=off", "iommu=off"};

	for (size_t i = 0; i < G_N_ELEMENTS(off); i++)
		if (has_words(line, off[i]))
			setup_add_step(machine, steps, SETUP_PERSON, "kernel line", NULL,
				"take %s out: it turns the IOMMU off, whatever else is said", off[i]);
}

void setup_plan_kernel_line(const struct setup_machine *machine, GPtrArray *steps)
{
	g_autofree char *line = sysfs_text(machine->root, "/proc/cmdline");
	const char *words = words_of(machine);
	g_autofree char *text = g_strdup_printf(DROP_IN_TEXT, words);
	bool works = has_words(line, words);

	add_off(machine, line, steps);
	if (works && !setup_exists(machine, DROP_IN))
		return; /* a person has seen to it */
	if (setup_exists(machine, "/etc/default/grub"))
		setup_add_step(machine, steps, SETUP_FILE, DROP_IN, text, "the kernel turns the IOMMU on%s",
			works ? "" : "; restart this machine for it to take effect");
	else
		setup_add_step(machine, steps, SETUP_PERSON, "kernel line", NULL,
			"this machine does not start by GRUB: add '%s' to %s, and restart", words,
			place_of(machine));
}
