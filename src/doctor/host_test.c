/* Tests of the host's doctor: a machine on which all is well, and the same machine broken in one way after the
 * other. */
#include "base/test_tree.h"
#include "doctor/host.h"
#include "nic/host_file.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define BUS "sys/bus/pci/devices/"
#define PF  "0000:03:00.0"
#define VF  "0000:03:10.0"

/* ---- a machine ---- */

static struct kvm_probe kvm_of_machine;
static const char *log_of_machine; /* NULL: not for this user */
static const char *missing_program;
static const char *version_of_qemu, *version_of_libvirt;

static struct kvm_probe probe_kvm(void)
{
	return kvm_of_machine;
}

static char *kernel_log(void)
{
	return g_strdup(log_of_machine);
}

static char *program_version(const char *name)
{
	if (g_strcmp0(name, missing_program) == 0)
		return NULL;
	return g_strdup(g_str_has_prefix(name, "qemu") ? version_of_qemu : version_of_libvirt);
}

/* A kernel without devlink and ethtool. */
static struct genl *open_genl(const char *family, GError **error)
{
	return NULL;
}

static void add_network_device(const struct tree *tree, const char *address, const char *device)
{
	tree_write(tree, "0x020000", BUS "%s/class", address);
	tree_write(tree, "0x8086", BUS "%s/vendor", address);
	tree_write(tree, device, BUS "%s/device", address);
}

static struct tree *machine_new(void)
{
	struct tree *tree = tree_new();

	kvm_of_machine = (struct kvm_probe){.outcome = KVM_USABLE, .mips = 2000};
	log_of_machine = "ixgbe " PF ": registered\n";
	missing_program = NULL;
	version_of_qemu = "QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2+deb13u1~bpo12+1)\n"
			  "Copyright (c) 2003-2025 Fabrice Bellard and the QEMU Project developers\n";
	version_of_libvirt = "libvirtd (libvirt) 9.0.0\n";
	tree_write(tree, "flags : fpu vmx sse", "proc/cpuinfo");
	tree_write(tree, "root=/dev/sda1 intel_iommu=on quiet", "proc/cmdline");
	tree_write(tree, "6.1.0", "proc/sys/kernel/osrelease");
	tree_write(tree, "", "sys/firmware/acpi/tables/DMAR");
	tree_write(tree, "kernel/drivers/vfio/pci/vfio-pci.ko:", "lib/modules/6.1.0/modules.dep");
	tree_write(tree, "512", "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages");
	tree_write(tree, "500", "sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
	add_network_device(tree, PF, "0x10fb");
	tree_link(tree, "../../../bus/pci/drivers/ixgbe", BUS PF "/driver");
	tree_write(tree, "1", BUS PF "/net/ens1/ifindex");
	tree_write(tree, "0x1003", "sys/class/net/ens1/flags");
	tree_write(tree, "63", BUS PF "/sriov_totalvfs");
	tree_write(tree, "1", BUS PF "/sriov_numvfs");
	add_network_device(tree, VF, "0x10ed");
	tree_link(tree, "../" PF, BUS VF "/physfn");
	tree_link(tree, "../" VF, BUS PF "/virtfn0");
	tree_link(tree, "../../../kernel/iommu_groups/40", BUS VF "/iommu_group");
	tree_write(tree, "", "sys/kernel/iommu_groups/40/devices/" VF);
	return tree;
}

static GPtrArray *examine(const struct tree *tree)
{
	const struct host_source source = {.root = tree->root,
		.host_file = HOST_FILE,
		.probe_kvm = probe_kvm,
		.kernel_log = kernel_log,
		.program_version = program_version,
		.open_genl = open_genl};

	return host_examine(&source);
}

/* The one finding of that level is that check's, and says so. */
static void expect_only(const struct tree *tree, enum finding_level level, const char *check,
	const char *subject, const char *says)
{
	g_autoptr(GPtrArray) findings = examine(tree);
	const struct finding *found = NULL;

	for (guint i = 0; i < findings->len; i++) {
		const struct finding *finding = findings->pdata[i];
		if (finding->level != FINDING_OK) {
			g_test_message("%s: %s", finding->check, finding->text);
			g_assert_null(found);
			found = finding;
		}
	}
	g_assert_nonnull(found);
	g_assert_cmpint(found->level, ==, level);
	g_assert_cmpstr(found->check, ==, check);
	g_assert_cmpstr(found->subject, ==, subject);
	g_assert_nonnull(strstr(found->text, says));
	g_assert_nonnull(found->remedy);
	g_assert_cmpint(
		findings_exit_of(findings), ==, level == FINDING_PROBLEM ? FINDINGS_PROBLEM : FINDINGS_WELL);
}

/* ---- tests ---- */

static void expect_well(const struct tree *tree)
{
	g_autoptr(GPtrArray) findings = examine(tree);

	g_assert_cmpuint(findings_count(findings, FINDING_OK), ==, findings->len);
	g_assert_cmpint(findings_exit_of(findings), ==, FINDINGS_WELL);
}

static void test_well(void)
{
	_cleanup_(tree_free) struct tree *tree = machine_new();

	expect_well(tree);
}

/* One way to break the machine: a file's new contents (NULL: it is removed), and what is found. */
struct broken {
	const char *name, *file, *contents;
	enum finding_level level;
	const char *check, *subject, *says;
};

static const struct broken broken[] = {
	{"virtualization off in the firmware", "proc/cpuinfo", "flags : fpu sse", FINDING_PROBLEM,
		"processor", NULL, "off in the firmware"},
	{"a virtual machine without nesting", "proc/cpuinfo", "flags : fpu hypervisor", FINDING_NOTE,
		"processor", NULL, "this is a virtual machine"},
	{"no vfio in the kernel", "lib/modules/6.1.0/modules.dep", "kernel/fs/ext4.ko:", FINDING_PROBLEM,
		"vfio", NULL, "no vfio-pci"},
	{"no huge pages", "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "0", FINDING_NOTE,
		"hugepages", NULL, "there are none"},
	{"a PF without a driver", BUS PF "/driver", NULL, FINDING_PROBLEM, "nic", PF, "no driver"},
	{"a PF that is down", "sys/class/net/ens1/flags", "0x1002", FINDING_NOTE, "link", PF, "ens1 is down"},
	{"a PF without carrier", "sys/class/net/ens1/carrier", "0", FINDING_NOTE, "link", PF,
		"ens1 has no carrier"},
	{"a host file with a mistake", "etc/sluice/host.conf", "[physical p]\ndevice=ens1", FINDING_PROBLEM,
		"hostfile", NULL, "[physical p]: there is no key 'device'"},
	{"a host file with two modes", "etc/sluice/host.conf",
		"[physical p]\ndevices=ens1\n[physical q]\ndevices=ens2\nmode=switchdev", FINDING_PROBLEM,
		"hostfile", NULL, "ens1 in legacy mode, [physical q] has ens2 in switchdev mode"},
	{"a host file with a device that is not there", "etc/sluice/host.conf", "[physical p]\ndevices=ens9",
		FINDING_PROBLEM, "hostfile", NULL, "physical network p: its device ens9 is not there"},
	{"fewer VFs than the host file wants", "etc/sluice/host.conf", "[physical p]\ndevices=ens1\nvfs=4",
		FINDING_PROBLEM, "vfs", PF, "ens1 has 1 of the 4 VFs that the host file wants"},
	{"a NIC that is set up for no VFs", BUS PF "/sriov_totalvfs", "0", FINDING_PROBLEM, "nic", PF,
		"set up for no VFs"},
	{"a PF without VFs", BUS PF "/sriov_numvfs", "0", FINDING_NOTE, "nic", PF, "has none"},
	{"many VFs that take traffic classes", BUS PF "/sriov_numvfs", "32", FINDING_NOTE, "nic", PF,
		"1 traffic class left"},
	{"a device in the VF's group", "sys/kernel/iommu_groups/40/devices/0000:04:00.0", "", FINDING_PROBLEM,
		"group", VF, "IOMMU group 40 (0000:03:10.0, 0000:04:00.0)"},
};

static void test_broken(gconstpointer data)
{
	const struct broken *way = data;
	_cleanup_(tree_free) struct tree *tree = machine_new();

	if (way->contents)
		tree_write(tree, way->contents, "%s", way->file);
	else
		tree_remove(tree, "%s", way->file);
	expect_only(tree, way->level, way->check, way->subject, way->says);
}

/* Nothing of a host says whether the wires of two ports are one. */
static void test_wires(void)
{
	_cleanup_(tree_free) struct tree *tree = machine_new();

	add_network_device(tree, "0000:04:00.0", "0x10fb");
	tree_link(tree, "../../../bus/pci/drivers/ixgbe", BUS "0000:04:00.0/driver");
	tree_write(tree, "1", BUS "0000:04:00.0/net/ens2/ifindex");
	tree_write(tree, "0x1003", "sys/class/net/ens2/flags");
	tree_write(tree, "63", BUS "0000:04:00.0/sriov_totalvfs");
	tree_write(tree, "1", BUS "0000:04:00.0/sriov_numvfs");
	tree_write(tree, "[physical p]\ndevices=ens1\nvfs=1\n[physical q]\ndevices=ens2\n",
		"etc/sluice/host.conf");
	expect_well(tree);
	tree_write(tree, "[physical p]\ndevices=ens1;ens2\n", "etc/sluice/host.conf"); /* no VFs */
	expect_well(tree);
	tree_write(tree, "[physical p]\ndevices=ens1;ens2\nvfs=1\n", "etc/sluice/host.conf");
	expect_only(tree, FINDING_NOTE, "wires", "0000:04:00.0",
		"VFs of ens2 reach NICs of this host that have no VF, or one of ens1, by the wire alone: the "
		"port "
		"of physical network p is ens1");
}

static void test_iommu(void)
{
	static const struct {
		const char *line, *absent, *says;
	} ways[] = {
		{"root=/dev/sda1", NULL, "intel_iommu=on is not on its command line"},
		{"intel_iommu=off", NULL, "turns the IOMMU off: intel_iommu=off"},
		{"intel_iommu=on", NULL, "and the kernel does not use it"},
		{"intel_iommu=on", "sys/firmware/acpi/tables/DMAR", "the firmware describes no IOMMU"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(ways); i++) {
		_cleanup_(tree_free) struct tree *tree = machine_new();
		tree_remove(tree, "sys/kernel/iommu_groups");
		tree_remove(tree, BUS VF "/iommu_group");
		tree_write(tree, ways[i].line, "proc/cmdline");
		if (ways[i].absent)
			tree_remove(tree, "%s", ways[i].absent);
		expect_only(tree, FINDING_PROBLEM, "iommu", NULL, ways[i].says);
	}
}

static void test_kvm(void)
{
	_cleanup_(tree_free) struct tree *tree = machine_new();

	kvm_of_machine = (struct kvm_probe){.outcome = KVM_NO_DEVICE, .error = ENOENT};
	expect_only(tree, FINDING_PROBLEM, "kvm", NULL, "/dev/kvm");
	kvm_of_machine = (struct kvm_probe){.outcome = KVM_SLOW, .mips = 0.5};
	expect_only(tree, FINDING_PROBLEM, "kvm", NULL, "0.5");
}

static void test_programs(void)
{
	_cleanup_(tree_free) struct tree *tree = machine_new();

	missing_program = "qemu-system-x86_64";
	expect_only(tree, FINDING_PROBLEM, "qemu", NULL, "not installed");
}

static void test_versions(void)
{
	static const struct {
		const char *qemu, *libvirt; /* NULL: as it is */
		enum finding_level level; /* FINDING_OK: nothing is found */
		const char *says;
	} ways[] = {
		{"QEMU emulator version 4.1.1", NULL, FINDING_PROBLEM, "version 4.1, and 4.2 is the oldest"},
		{"QEMU emulator version 3.10.0 (x)", NULL, FINDING_PROBLEM, "version 3.10, and 4.2"},
		{"QEMU emulator version 4.2.0", NULL, FINDING_NOTE,
			"version 4.2: 'dist/setup.sh run' installs 8.0 or newer"},
		{"QEMU emulator version 7.2.15 (Debian 1:7.2+dfsg-7+deb12u12)", NULL, FINDING_NOTE,
			"version 7.2: 'dist/setup.sh run' installs 8.0 or newer"},
		{"QEMU emulator version 8.0.0", NULL, FINDING_OK, NULL},
		{"", NULL, FINDING_NOTE, "'qemu-system-x86_64 --version' tells none"},
		{NULL, "libvirtd (libvirt) 8.10.0", FINDING_PROBLEM, "libvirtd is of version 8.10, and 9.0"},
		{NULL, "libvirtd (libvirt) 11.3.0", FINDING_OK, NULL},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(ways); i++) {
		_cleanup_(tree_free) struct tree *tree = machine_new();
		version_of_qemu = ways[i].qemu ? ways[i].qemu : version_of_qemu;
		version_of_libvirt = ways[i].libvirt ? ways[i].libvirt : version_of_libvirt;
		if (ways[i].level == FINDING_OK)
			expect_well(tree);
		else
			expect_only(
				tree, ways[i].level, ways[i].qemu ? "qemu" : "libvirt", NULL, ways[i].says);
	}
	_cleanup_(tree_free) struct tree *tree = machine_new();
	missing_program = "libvirtd"; /* in parts: virtqemud */
	version_of_libvirt = "virtqemud (libvirt) 8.0.0";
	expect_only(tree, FINDING_PROBLEM, "libvirt", NULL, "virtqemud is of version 8.0");
}

static void test_kernel_without_sriov(void)
{
	_cleanup_(tree_free) struct tree *tree = machine_new();
	uint8_t config[4096] = {[0x100] = 0x10, [0x102] = 1, [0x10e] = 7};

	tree_remove(tree, BUS PF "/sriov_totalvfs");
	tree_write_bytes(tree, config, sizeof config, BUS PF "/config");
	expect_only(tree, FINDING_PROBLEM, "nic", PF, "SR-IOV for 7 VFs, and the kernel is built without it");
}

static void test_no_nic(void)
{
	_cleanup_(tree_free) struct tree *tree = machine_new();

	tree_remove(tree, BUS PF);
	tree_remove(tree, BUS VF);
	expect_only(tree, FINDING_NOTE, "nic", NULL, "no NIC here has SR-IOV");
}

static void test_ari(void)
{
	_cleanup_(tree_free) struct tree *tree = machine_new();
	uint8_t config[4096] = {[0x34] = 0x40, [0x40] = 0x10};
	g_autofree char *from = g_build_filename(tree->root, BUS PF, NULL);
	g_autofree char *to = g_build_filename(tree->root, "sys/devices/pci0000:00/0000:00:01.0/" PF, NULL);

	/* The device lies below its bridge, and the bus only links to it. */
	tree_write(tree, "0x060400", "sys/devices/pci0000:00/0000:00:01.0/class");
	g_assert_cmpint(rename(from, to), ==, 0);
	tree_link(tree, "../../../devices/pci0000:00/0000:00:01.0/" PF, BUS PF);
	tree_write_bytes(tree, config, sizeof config, BUS "0000:00:01.0/config");
	expect_only(tree, FINDING_NOTE, "ari", PF, "0000:00:01.0 forwards no ARI");
	config[0x40 + 0x24] = 1 << 5;
	tree_write(tree, "0", BUS PF "/sriov_numvfs");
	tree_write(tree, "[physical p]\ndevices=ens1", "etc/sluice/host.conf");
	tree_write_bytes(tree, config, sizeof config, BUS "0000:00:01.0/config");
	expect_only(tree, FINDING_NOTE, "acs", PF, "0000:00:01.0 has no ACS");
}

static void test_vf_in_use(void)
{
	_cleanup_(tree_free) struct tree *tree = machine_new();

	tree_write(tree, "7", BUS VF "/net/ens1v0/ifindex");
	tree_write(tree, "0x1002", "sys/class/net/ens1v0/flags");
	expect_well(tree);
	tree_write(tree, "0x1003", "sys/class/net/ens1v0/flags");
	expect_only(tree, FINDING_PROBLEM, "vf", VF, "this host uses the VF itself, as ens1v0");
}

static void test_keepers(void)
{
	_cleanup_(tree_free) struct tree *tree = machine_new();

	tree_write(tree, "7", BUS VF "/net/ens1v0/ifindex");
	tree_write(tree, "7", "sys/class/net/ens1v0/ifindex");
	tree_write(tree, "0x1002", "sys/class/net/ens1v0/flags");
	tree_write(tree, "iface ens1v0 inet dhcp", "etc/network/interfaces");
	expect_only(tree, FINDING_PROBLEM, "vf", VF, "ifupdown configures the VF's interface ens1v0");
	tree_write(tree, "[device]\nmanaged=true", "run/NetworkManager/devices/7");
	expect_only(tree, FINDING_PROBLEM, "vf", VF, "NetworkManager configures the VF's interface ens1v0");
	tree_write(tree, "0x1003", "sys/class/net/ens1v0/flags");
	expect_only(tree, FINDING_PROBLEM, "vf", VF, "as ens1v0, which is up; NetworkManager configures it");
}

/* What is only worth knowing of any NIC is a problem of one that the host file names. */
static void test_named(void)
{
	_cleanup_(tree_free) struct tree *tree = machine_new();

	tree_write(tree, "[physical p]\ndevices=8086:10fb\nvfs=1", "etc/sluice/host.conf");
	expect_well(tree);
	tree_write(tree, "0", "sys/class/net/ens1/carrier");
	expect_only(tree, FINDING_PROBLEM, "link", PF, "ens1 has no carrier");
	tree_write(tree, "0x1002", "sys/class/net/ens1/flags");
	expect_only(tree, FINDING_PROBLEM, "link", PF, "ens1 is down");
}

static void test_generic_driver(void)
{
	_cleanup_(tree_free) struct tree *tree = machine_new();

	tree_remove(tree, BUS PF "/driver");
	tree_link(tree, "../../../bus/pci/drivers/vfio-pci", BUS PF "/driver");
	expect_only(tree, FINDING_PROBLEM, "driver", PF, "bound to vfio-pci, which makes no VFs");
}

/* ---- a virtual machine ---- */

static void test_virtual_machine(void)
{
	_cleanup_(tree_free) struct tree *tree = machine_new();
	g_autoptr(GPtrArray) findings = NULL;
	unsigned notes = 0;

	tree_write(tree, "flags : fpu hypervisor", "proc/cpuinfo");
	kvm_of_machine = (struct kvm_probe){.outcome = KVM_NO_DEVICE, .error = ENOENT};
	tree_remove(tree, "sys/kernel/iommu_groups");
	tree_remove(tree, BUS VF "/iommu_group");
	tree_remove(tree, "sys/firmware/acpi/tables/DMAR");
	tree_write(tree, "0", BUS PF "/sriov_totalvfs");
	log_of_machine = "igb " PF ": not enough MMIO resources for SR-IOV\nkvm: disabled by BIOS\n";
	findings = examine(tree);
	for (guint i = 0; i < findings->len; i++) {
		const struct finding *finding = findings->pdata[i];
		g_test_message("%s: %s -> %s", finding->check, finding->text, finding->remedy);
		g_assert_true(!finding->remedy || !strstr(finding->remedy, "firmware"));
		notes += finding->level == FINDING_NOTE;
	}
	g_assert_cmpuint(notes, ==, 2); /* it runs virtual machines slowly: processor and kvm */
	g_assert_cmpuint(findings_count(findings, FINDING_PROBLEM), ==, 4);
}

/* Where no NIC has SR-IOV, what only SR-IOV needs is no problem. */
static void test_nothing_needs_it(void)
{
	_cleanup_(tree_free) struct tree *tree = machine_new();

	tree_remove(tree, BUS PF);
	tree_remove(tree, BUS VF);
	tree_remove(tree, "sys/kernel/iommu_groups");
	tree_remove(tree, "sys/firmware/acpi/tables/DMAR");
	tree_remove(tree, "lib/modules");
	g_autoptr(GPtrArray) findings = examine(tree);
	g_assert_cmpuint(findings_count(findings, FINDING_PROBLEM), ==, 0);
	g_assert_cmpuint(findings_count(findings, FINDING_NOTE), ==, 3); /* iommu, vfio, nic */
}

static void test_firmware(void)
{
	_cleanup_(tree_free) struct tree *tree = machine_new();
	const struct host_source source = {.root = tree->root, .host_file = HOST_FILE};
	g_autoptr(GPtrArray) none = host_examine_firmware(&source);

	g_assert_cmpuint(none->len, ==, 0);
	tree_write(tree, "flags : fpu", "proc/cpuinfo");
	tree_remove(tree, "sys/firmware/acpi/tables/DMAR");
	tree_write(tree, "0", BUS PF "/sriov_totalvfs");
	tree_remove(tree, BUS PF "/driver"); /* not the firmware's */
	g_autoptr(GPtrArray) all = host_examine_firmware(&source);
	g_assert_cmpuint(all->len, ==, 3);
}

static void test_log(void)
{
	static const struct {
		const char *log, *check, *subject;
	} messages[] = {
		{"ixgbe 0000:03:00.0: not enough MMIO resources for SR-IOV\n"
		 "ixgbe 0000:03:00.0: not enough MMIO resources for SR-IOV\n",
			"mmio", "0000:03:00.0"},
		{"ixgbe 0000:03:00.1: can't enable 63 VFs (bus 04 out of range of [bus 03])\n", "bus",
			"0000:03:00.1"},
		{"vfio-pci 0000:05:00.0: DMAR: Device is ineligible for IOMMU domain attach due to platform "
		 "RMRR "
		 "requirement.  Contact your platform vendor.\n",
			"rmrr", "0000:05:00.0"},
		{"vfio_iommu_type1_attach_group: No interrupt remapping support.\n", "interrupts", NULL},
		{"kvm: disabled by BIOS\n", "kvm", NULL},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(messages); i++) {
		_cleanup_(tree_free) struct tree *tree = machine_new();
		log_of_machine = messages[i].log;
		expect_only(
			tree, FINDING_PROBLEM, messages[i].check, messages[i].subject, "the kernel says: ");
	}
}

/* Before anybody has made a VF. */
static void test_no_room(void)
{
	_cleanup_(tree_free) struct tree *tree = machine_new();
	g_autoptr(GString) resources = g_string_new(NULL);
	static const char *const lines[] = {
		"pci 0000:03:00.0: VF BAR 3 [mem size 0x00020000 64bit pref]: failed to assign\n",
		"pci 0000:03:00.0: BAR 10: failed to assign [mem size 0x00020000 64bit pref]\n"};

	for (unsigned i = 0; i < 13; i++)
		g_string_append_printf(resources, "0x%016x 0x%016x 0x%016x\n", i == 10 ? 0 : 0xfe000000 + i,
			0, i == 10 ? 0 : 0x14220c);
	tree_write(tree, resources->str, BUS PF "/resource");
	for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
		log_of_machine = lines[i];
		expect_only(tree, FINDING_PROBLEM, "mmio", PF, "too little address space for its VFs");
	}
	log_of_machine = "pci 0000:03:00.0: VF BAR 0 [mem size 0x00020000 64bit pref]: failed to assign\n";
	expect_well(tree); /* it has some now */
}

/* As sysfs has them: thirteen lines, of which 7 to 12 are for VFs. */
static void write_resources(const struct tree *tree, const char *of_vfs)
{
	g_autoptr(GString) text = g_string_new(NULL);

	for (unsigned i = 0; i < 13; i++)
		g_string_append_printf(text, "%s\n", i < 7 ? "0xfe000000 0xfe01ffff 0x40200" : of_vfs);
	tree_write(tree, text->str, BUS PF "/resource");
}

static bool is_short_of_space(const struct tree *tree)
{
	g_autoptr(GPtrArray) findings = examine(tree);

	for (guint i = 0; i < findings->len; i++) {
		const struct finding *finding = findings->pdata[i];
		if (g_str_equal(finding->check, "mmio"))
			return finding->level == FINDING_PROBLEM && g_strcmp0(finding->subject, PF) == 0;
	}
	return false;
}

/* The kernel's log has forgotten, or is not for this user. */
static void test_no_room_told(void)
{
	static const char *const logs[] = {"", NULL};
	_cleanup_(tree_free) struct tree *tree = machine_new();

	tree_write(tree, "0", BUS PF "/sriov_numvfs");
	for (size_t i = 0; i < G_N_ELEMENTS(logs); i++) {
		log_of_machine = logs[i];
		write_resources(tree, "0x0 0x3fff 0x2014220c"); /* sized, and not assigned */
		g_assert_true(is_short_of_space(tree));
		write_resources(tree, "0x0 0x0 0x0"); /* given up */
		g_assert_true(is_short_of_space(tree));
		write_resources(tree, "0xfd000000 0xfd003fff 0x14220c");
		g_assert_false(is_short_of_space(tree));
	}
}

/* What the log still says of what has been helped since. */
static void test_old_log(void)
{
	static const char *const lines[] = {
		"ixgbe " PF ": not enough MMIO resources for SR-IOV\n",
		"ixgbe " PF ": can't enable 63 VFs (bus 04 out of range of [bus 03])\n",
		"vfio-pci " PF ": Driver does not support SRIOV configuration via sysfs\n",
		"igbvf " VF ": PF still in reset state. Is the PF interface up?\n",
	};
	_cleanup_(tree_free) struct tree *tree = machine_new();

	tree_write(tree, "2", BUS PF "/sriov_numvfs");
	write_resources(tree, "0xfd000000 0xfd003fff 0x14220c");
	for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
		g_test_message("%s", lines[i]);
		log_of_machine = lines[i];
		expect_well(tree);
	}
}

static void test_no_log(void)
{
	_cleanup_(tree_free) struct tree *tree = machine_new();

	log_of_machine = NULL;
	expect_only(tree, FINDING_NOTE, "log", NULL, "not for this user");
}

static void test_output(void)
{
	_cleanup_(tree_free) struct tree *tree = machine_new();
	tree_write(tree, "flags : fpu", "proc/cpuinfo");
	g_autoptr(GPtrArray) findings = examine(tree);
	g_autofree char *text = findings_text(findings);
	json_auto_t *json = findings_encode(findings);
	const json_t *first = json_array_get(json_object_get(json, "findings"), 0);

	g_assert_true(g_str_has_prefix(text, "problem  processor  the processor shows no virtualization"));
	g_assert_nonnull(strstr(text, "-> turn Intel VT-x or AMD-V (SVM) on"));
	g_assert_true(g_str_has_suffix(text, "\n1 problem, 0 notes\n"));
	g_assert_cmpint(json_integer_value(json_object_get(json, "problems")), ==, 1);
	g_assert_cmpstr(json_string_value(json_object_get(first, "level")), ==, "problem");
	g_assert_cmpstr(json_string_value(json_object_get(first, "check")), ==, "processor");
	g_assert_true(json_is_null(json_object_get(first, "subject")));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define TEST(name, function) g_test_add_func("/doctor/" name, function)
	TEST("nothing is found on a machine on which all is well", test_well);
	for (size_t i = 0; i < G_N_ELEMENTS(broken); i++) {
		g_autofree char *name = g_strdup_printf("/doctor/found alone: %s", broken[i].name);
		g_test_add_data_func(name, &broken[i], test_broken);
	}
	TEST("what only the wire joins is told", test_wires);
	TEST("an IOMMU that is not in use is told by who keeps it off", test_iommu);
	TEST("KVM that does not work is told by the probe's words", test_kvm);
	TEST("a program that is not installed is named", test_programs);
	TEST("a program that is too old is named with its version, and with the one that will do",
		test_versions);
	TEST("a kernel without SR-IOV is told by the NIC's own capability", test_kernel_without_sriov);
	TEST("a machine without such a NIC is told so, which is no problem", test_no_nic);
	TEST("a bridge that forwards no ARI, or has no ACS, is noted", test_ari);
	TEST("a VF that the host uses itself is a problem", test_vf_in_use);
	TEST("a VF that a network manager configures is a problem, with its name", test_keepers);
	TEST("a NIC that the host file names must be up and have a carrier", test_named);
	TEST("a PF that a generic driver has is a problem", test_generic_driver);
	TEST("in a virtual machine no remedy is the firmware's, and emulation is no problem",
		test_virtual_machine);
	TEST("without an SR-IOV NIC nothing that SR-IOV needs is a problem", test_nothing_needs_it);
	TEST("the firmware's problems are told apart", test_firmware);
	TEST("what the kernel has said is told once a device, with its remedy", test_log);
	TEST("VFs that will find no room are told before they are made", test_no_room);
	TEST("VFs without room are found without a log, too", test_no_room_told);
	TEST("what the kernel has said of a cause that is gone is no problem", test_old_log);
	TEST("a log that is not for this user is no problem", test_no_log);
	TEST("text and JSON say the same", test_output);
	return g_test_run();
}
