/* The host's doctor: processor, KVM, IOMMU, vfio, memory, programs; devices, eswitches and the kernel's log lie beside. */
#include "doctor/host.h"

#include "base/sysfs.h"
#include "doctor/host_priv.h"
#include "nic/host_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HUGEPAGES "/sys/kernel/mm/hugepages/hugepages-2048kB"
#define TABLES    "/sys/firmware/acpi/tables"

/* ---- words in files ---- */

static bool has_word(const char *text, const char *word)
{
	g_auto(GStrv) words = text ? g_strsplit_set(text, " \t\n", -1) : NULL;

	return words && g_strv_contains((const char *const *)words, word);
}

bool host_kernel_line_has(const struct host_source *source, const char *word)
{
	g_autofree char *line = sysfs_text(source->root, "/proc/cmdline");

	return has_word(line, word);
}

bool host_is_virtual(const struct host_source *source)
{
	g_autofree char *processor = sysfs_text(source->root, "/proc/cpuinfo");

	return has_word(processor, "hypervisor");
}

const char *host_remedy(const struct host_source *source, const char *real, const char *virtual_machine)
{
	return host_is_virtual(source) ? virtual_machine : real;
}

static bool exists(const struct host_source *source, const char *path)
{
	g_autofree char *full = g_strconcat(source->root, path, NULL);

	return g_file_test(full, G_FILE_TEST_EXISTS);
}

/* ---- processor and KVM ---- */

static void check_processor(const struct host_source *source, GPtrArray *findings)
{
	g_autofree char *text = sysfs_text(source->root, "/proc/cpuinfo");

	if (has_word(text, "vmx") || has_word(text, "svm"))
		findings_add(findings, FINDING_OK, "processor", NULL, NULL, "%s is on",
			has_word(text, "vmx") ? "VT-x" : "AMD-V");
	else if (host_is_virtual(source))
		findings_add(findings, FINDING_NOTE, "processor", NULL,
			"for speed, turn nested virtualization on where this machine's own hypervisor is set "
			"up",
			"this is a virtual machine, and it is offered no virtualization of its own");
	else
		findings_add(findings, FINDING_PROBLEM, "processor", NULL,
			"turn Intel VT-x or AMD-V (SVM) on in the firmware's set-up, and restart",
			"the processor shows no virtualization: it is off in the firmware");
}

/* Without KVM virtual machines run too, so it is a problem only where it should work. */
static void check_kvm(const struct host_source *source, GPtrArray *findings)
{
	const struct kvm_probe probe = source->probe_kvm();
	g_autofree char *text = kvm_probe_describe(&probe);
	enum finding_level level = probe.outcome == KVM_USABLE ? FINDING_OK
				   : host_is_virtual(source)   ? FINDING_NOTE
							       : FINDING_PROBLEM;
	const char *remedy =
		probe.outcome == KVM_USABLE ? NULL
		: probe.outcome == KVM_NO_DEVICE && probe.error == EACCES
			? "run as root, or as a member of the group kvm"
		: probe.outcome == KVM_NO_DEVICE && probe.error == ENOENT && level == FINDING_PROBLEM
			? "load the module: modprobe kvm_intel, or kvm_amd"
			: "virtual machines run all the same, by emulation and slowly; for speed, "
			  "use a machine whose hardware virtualization works";

	findings_add(findings, level, "kvm", NULL, remedy, "%s", text);
}

/* ---- IOMMU ---- */

#define GRUB_LINE                                                                                            \
	"let 'sluice host setup --apply' see to it, or add intel_iommu=on to the kernel's command line, "    \
	"and restart"

static enum finding_level sriov_level(const struct host_source *source)
{
	return host_has_sriov(source) ? FINDING_PROBLEM : FINDING_NOTE;
}

static bool firmware_has_iommu(const struct host_source *source)
{
	return exists(source, TABLES "/DMAR") || exists(source, TABLES "/IVRS");
}

static void check_firmware_iommu(const struct host_source *source, GPtrArray *findings)
{
	if (!firmware_has_iommu(source))
		findings_add(findings, sriov_level(source), "iommu", NULL,
			host_remedy(source,
				"turn VT-d (Intel) or IOMMU (AMD) on in the firmware's set-up, and restart",
				"give this virtual machine an IOMMU where it is set up (libvirt: <iommu "
				"model='intel'/>)"),
			"the firmware describes no IOMMU, without which no function can be given to a "
			"virtual machine");
}

static bool check_iommu_off(const struct host_source *source, GPtrArray *findings)
{
	static const char *const off[] = {"intel_iommu=off", "amd_iommu=off", "iommu=off"};

	for (size_t i = 0; i < G_N_ELEMENTS(off); i++) {
		if (!host_kernel_line_has(source, off[i]))
			continue;
		findings_add(findings, sriov_level(source), "iommu", NULL,
			"take it out of GRUB_CMDLINE_LINUX_DEFAULT in /etc/default/grub, run update-grub, "
			"and "
			"restart",
			"the kernel's command line turns the IOMMU off: %s", off[i]);
		return true;
	}
	return false;
}

static void check_iommu(const struct host_source *source, GPtrArray *findings)
{
	g_auto(GStrv) groups = sysfs_children(source->root, "", "/sys/kernel/iommu_groups");

	if (groups[0])
		findings_add(findings, FINDING_OK, "iommu", NULL, NULL, "it is in use, with %u groups",
			g_strv_length(groups));
	else if (check_iommu_off(source, findings))
		return;
	else if (!firmware_has_iommu(source))
		check_firmware_iommu(source, findings);
	else if (exists(source, TABLES "/DMAR") && !host_kernel_line_has(source, "intel_iommu=on"))
		findings_add(findings, sriov_level(source), "iommu", NULL, GRUB_LINE,
			"the kernel does not use the IOMMU that is there: intel_iommu=on is not on its "
			"command line");
	else
		findings_add(findings, sriov_level(source), "iommu", NULL,
			"look for DMAR or AMD-Vi in the kernel's log (dmesg); a firmware update may help",
			"the firmware describes an IOMMU, and the kernel does not use it");
}

/* Loaded, built in, or there to be loaded. */
static bool has_module(const struct host_source *source, const char *name)
{
	static const char *const lists[] = {"modules.dep", "modules.builtin"};
	g_autofree char *release = sysfs_text(source->root, "/proc/sys/kernel/osrelease");
	g_autofree char *file = g_strdup_printf("/%s.ko", name);

	for (size_t i = 0; release && i < G_N_ELEMENTS(lists); i++) {
		g_autofree char *list = sysfs_text(source->root, "/lib/modules/%s/%s", release, lists[i]);
		if (list && strstr(list, file))
			return true;
	}
	return false;
}

static void check_vfio(const struct host_source *source, GPtrArray *findings)
{
	if (exists(source, "/sys/bus/pci/drivers/vfio-pci"))
		findings_add(findings, FINDING_OK, "vfio", NULL, NULL, "vfio-pci is loaded");
	else if (has_module(source, "vfio-pci"))
		findings_add(findings, FINDING_OK, "vfio", NULL, NULL,
			"vfio-pci is there, and is loaded when the first function is used");
	else
		findings_add(findings, sriov_level(source), "vfio", NULL,
			"start a kernel with CONFIG_VFIO_PCI, as Debian's linux-image-amd64 is; one whose "
			"name has "
			"'cloud' may lack it",
			"the kernel has no vfio-pci, by which functions are given to virtual machines");
}

/* ---- memory and programs ---- */

static void check_hugepages(const struct host_source *source, GPtrArray *findings)
{
	guint64 total = sysfs_number(source->root, 0, HUGEPAGES "/nr_hugepages");
	guint64 free = sysfs_number(source->root, 0, HUGEPAGES "/free_hugepages");

	if (total)
		findings_add(findings, FINDING_OK, "hugepages", NULL, NULL,
			"%" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " pages of 2 MiB are free", free,
			total);
	else
		findings_add(findings, FINDING_NOTE, "hugepages", NULL,
			"for speed: sysctl vm.nr_hugepages=512, and the same in /etc/sysctl.d",
			"there are none, so the switch's tables lie in small pages");
}

/* Major and minor number in "QEMU emulator version 10.0.2 (Debian …)", "libvirtd (libvirt) 9.0.0": the first word that is two
 * numbers with a dot between them. */
static bool parse_version(const char *text, unsigned *ret_major, unsigned *ret_minor)
{
	g_auto(GStrv) words = g_strsplit_set(text, " \n", -1);

	for (char **word = words; *word; word++)
		if (g_ascii_isdigit(**word) && sscanf(*word, "%u.%u", ret_major, ret_minor) == 2)
			return true;
	return false;
}

static bool is_older(unsigned major, unsigned minor, unsigned than_major, unsigned than_minor)
{
	return major < than_major || (major == than_major && minor < than_minor);
}

/* A program that is needed, by what it is called in findings. */
static const struct program {
	const char *check, *names[3]; /* the first of the names that is installed counts */
	const char *absent, *install;
	unsigned least_major, least_minor; /* what is older does not do */
	const char *least_why;
	unsigned used_major, used_minor; /* dist/setup.sh installs no older ones; 0.0: any */
	const char *update;
} programs[] = {
	/* Source: QEMU docs/system/virtio-net-failover.rst. */
	{"qemu", {"qemu-system-x86_64"}, "qemu-system-x86_64 is not installed", "apt install qemu-system-x86",
		4, 2, "no virtio NIC there can stand by for a function (failover)", 8, 0,
		"install QEMU 8.0 or newer: 'dist/setup.sh run' does; on Debian 12 by 'apt install -t "
		"bookworm-backports qemu-system-x86'"},
	{"libvirt", {"libvirtd", "virtqemud"}, "neither libvirtd nor virtqemud is installed",
		"apt install libvirt-daemon", 9, 0, "the agent is built for what libvirt has from 9.0 on", 0,
		0, "install libvirt 9.0 or newer, as Debian 12 and later have it"},
};

static void check_version(
	const struct program *program, const char *name, const char *text, GPtrArray *findings)
{
	unsigned major, minor;

	if (!parse_version(text, &major, &minor))
		findings_add(findings, FINDING_NOTE, program->check, NULL, program->update,
			"%s is installed, and its version is unknown: '%s --version' tells none", name, name);
	else if (is_older(major, minor, program->least_major, program->least_minor))
		findings_add(findings, FINDING_PROBLEM, program->check, NULL, program->update,
			"%s is of version %u.%u, and %u.%u is the oldest that will do: %s", name, major,
			minor, program->least_major, program->least_minor, program->least_why);
	else if (is_older(major, minor, program->used_major, program->used_minor))
		findings_add(findings, FINDING_NOTE, program->check, NULL, program->update,
			"%s is of version %u.%u: 'dist/setup.sh run' installs %u.%u or newer, and older ones "
			"were never run",
			name, major, minor, program->used_major, program->used_minor);
	else
		findings_add(findings, FINDING_OK, program->check, NULL, NULL,
			"%s is installed, version %u.%u", name, major, minor);
}

static void check_program(
	const struct host_source *source, const struct program *program, GPtrArray *findings)
{
	for (const char *const *name = program->names; *name; name++) {
		g_autofree char *text = source->program_version(*name);
		if (text) {
			check_version(program, *name, text, findings);
			return;
		}
	}
	findings_add(
		findings, FINDING_PROBLEM, program->check, NULL, program->install, "%s", program->absent);
}

static void check_programs(const struct host_source *source, GPtrArray *findings)
{
	for (size_t i = 0; i < G_N_ELEMENTS(programs); i++)
		check_program(source, &programs[i], findings);
}

/* ---- all of it ---- */

static void (*const checks[])(const struct host_source *source, GPtrArray *findings) = {
	check_processor,
	check_kvm,
	check_iommu,
	check_vfio,
	host_check_devices,
	host_check_eswitches,
	host_check_kernel_log,
	check_hugepages,
	check_programs,
};

GPtrArray *host_examine(const struct host_source *source)
{
	GPtrArray *findings = findings_new();

	for (size_t i = 0; i < G_N_ELEMENTS(checks); i++)
		checks[i](source, findings);
	return findings;
}

GPtrArray *host_examine_firmware(const struct host_source *source)
{
	g_autoptr(GPtrArray) all = findings_new();
	GPtrArray *problems = findings_new();

	check_processor(source, all);
	check_firmware_iommu(source, all);
	host_check_nic_setup(source, all);
	for (guint i = 0; i < all->len; i++) {
		const struct finding *finding = all->pdata[i];
		if (finding->level == FINDING_PROBLEM)
			findings_add(problems, finding->level, finding->check, finding->subject,
				finding->remedy, "%s", finding->text);
	}
	return problems;
}

/* ---- this machine ---- */

static struct kvm_probe probe_kvm(void)
{
	return kvm_probe_run("/dev/kvm");
}

/* Each read gives one record: "6,1234,5678,-;text", and lines of its own after it. */
static char *kernel_log(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	GString *log = g_string_new(NULL);
	char record[8192];

	if (fd < 0)
		return g_string_free(log, true);
	for (;;) {
		ssize_t n = read(fd, record, sizeof record - 1);
		if (n < 0 && (errno == EPIPE || errno == EINTR))
			continue; /* records were overwritten meanwhile: go on with those that are there */
		if (n <= 0)
			break;
		record[n] = '\0';
		const char *text = strchr(record, ';');
		g_string_append(log, text ? text + 1 : record);
	}
	close(fd);
	return g_string_free(log, false);
}

/* Path of a program, Owned by the caller; NULL: it is not installed. */
static char *find_program(const char *name)
{
	static const char *const folders[] = {"/usr/sbin", "/sbin"}; /* not in every user's path */
	g_autofree char *path = g_find_program_in_path(name);

	for (size_t i = 0; !path && i < G_N_ELEMENTS(folders); i++) {
		g_autofree char *full = g_build_filename(folders[i], name, NULL);
		if (g_file_test(full, G_FILE_TEST_IS_EXECUTABLE))
			path = g_steal_pointer(&full);
	}
	return g_steal_pointer(&path);
}

static char *program_version(const char *name)
{
	g_autofree char *path = find_program(name), *output = NULL;
	char *argv[] = {path, "--version", NULL};
	int status;

	if (!path)
		return NULL;
	if (!g_spawn_sync(
		    NULL, argv, NULL, G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, &output, NULL, &status, NULL) ||
		!g_spawn_check_wait_status(status, NULL))
		return g_strdup("");
	return g_steal_pointer(&output);
}

const struct host_source host_source_real = {.root = "",
	.host_file = HOST_FILE,
	.probe_kvm = probe_kvm,
	.kernel_log = kernel_log,
	.program_version = program_version,
	.open_genl = genl_open};
