/* The guest's doctor: kernel, functions and their drivers, pairs, addresses, links. */
#include "guest/doctor.h"

#include "base/sysfs.h"
#include "guest/doctor_priv.h"

#include <string.h>

#define NET_DEVICES "/sys/class/net"
#define F_STANDBY   62 /* VIRTIO_NET_F_STANDBY, linux/virtio_net.h */
#define ENABLE      "enable accelerated networking of the NIC while the VM is deallocated"

/* ---- functions ---- */

static bool is_some_nics(const struct accel_report *report, const struct function *function)
{
	for (guint i = 0; i < report->nics->len; i++)
		if (((const struct accel_nic *)report->nics->pdata[i])->function == function)
			return true;
	return false;
}

static void check_functions(const char *root, const struct accel_report *report, GPtrArray *findings)
{
	unsigned n = 0;

	for (guint i = 0; i < report->functions->len; i++) {
		const struct function *function = report->functions->pdata[i];
		if (function->kind != FUNCTION_VF && !is_some_nics(report, function))
			continue;
		n++;
		doctor_check_driver(root, function, findings);
	}
	if (!n)
		findings_add(findings, FINDING_NOTE, "function", NULL,
			"if there should be one: " ENABLE
			"; after maintenance of the host it comes back by itself",
			"no VF is on the PCI bus");
}

/* ---- pairs ---- */

static char *mac_of(const char *root, const char *netdev)
{
	return sysfs_text(root, NET_DEVICES "/%s/address", netdev);
}

/* The host offered to pair the NIC: the features that the driver took, as a line of '0' and '1'. */
static bool may_stand_by(const char *root, const char *netdev)
{
	g_autofree char *features = sysfs_text(root, NET_DEVICES "/%s/device/features", netdev);

	return features && strlen(features) > F_STANDBY && features[F_STANDBY] == '1';
}

static void check_plain(const char *root, const struct accel_nic *nic, GPtrArray *findings)
{
	if (may_stand_by(root, nic->name))
		findings_add(findings, FINDING_PROBLEM, "pair", nic->name,
			"modprobe net_failover, then reload virtio_net; a kernel without it has no "
			"CONFIG_NET_FAILOVER",
			"the host offers the NIC a VF, and the kernel has made no failover pair of it");
	else
		findings_add(findings, FINDING_NOTE, "pair", nic->name, ENABLE,
			"it is a plain virtio NIC, which the host does not accelerate");
}

static void check_incomplete(const struct accel_nic *nic, GPtrArray *findings)
{
	const struct function *function = nic->function;

	if (nic->state != ACCEL_BROKEN)
		findings_add(findings, FINDING_NOTE, "pair", nic->name,
			"nothing, where the host took the VF for a while (sluice vf list says so there); "
			"else " ENABLE,
			"it has no VF now, and the synthetic path carries its packets");
	else if (function->netdev)
		findings_add(findings, FINDING_PROBLEM, "pair", nic->name,
			"bind the VF's driver anew; if it stays alone, dmesg tells why net_failover refused "
			"it",
			"%s has its address, and is not paired with it", function->netdev);
	else
		findings_add(findings, FINDING_PROBLEM, "pair", nic->name,
			"see to the driver of the function", "its VF %s has no interface", function->address);
}

/* Both ends of a pair have the address of the whole. */
static void check_macs(const char *root, const struct accel_nic *nic, GPtrArray *findings)
{
	const struct accel_side *const sides[] = {nic->standby, nic->primary};

	for (size_t i = 0; i < G_N_ELEMENTS(sides); i++) {
		g_autofree char *mac = sides[i] ? mac_of(root, sides[i]->netdev) : NULL;
		if (!mac || g_strcmp0(mac, nic->mac) == 0)
			continue;
		g_autofree char *remedy = g_strdup_printf("ip link set %s address %s", nic->name, mac);
		findings_add(findings, FINDING_PROBLEM, "mac", nic->name, remedy,
			"its address %s is not that of %s, %s", nic->mac, sides[i]->netdev, mac);
	}
}

static void check_paired(const char *root, const struct accel_nic *nic, GPtrArray *findings)
{
	const struct accel_side *primary = nic->primary;
	g_autofree char *set_up = g_strdup_printf(
		"ip link set %s up", nic->pairing == ACCEL_DIRECT ? primary->netdev : nic->name);
	bool emulated = nic->function && nic->function->kind == FUNCTION_EMULATED;

	findings_add(findings, FINDING_OK, "pair", nic->name, NULL, "%s%s%s", primary->netdev,
		nic->pairing == ACCEL_DIRECT ? " is a VF on its own" : " is its VF",
		emulated ? ", emulated (no host bypass, no speed claim)" : "");
	check_macs(root, nic, findings);
	if (!primary->up)
		findings_add(findings, FINDING_PROBLEM, "link", primary->netdev, set_up, "it is down");
	else if (!primary->carrier)
		findings_add(findings, FINDING_PROBLEM, "link", primary->netdev,
			"have the host's operator look at the PF: sluice doctor host",
			"it has no carrier: its link on the host is down");
	else
		doctor_check_traffic(root, nic, findings);
}

/* A NIC that waits for a VF while one with another address is there alone: the host gave it the wrong one. */
static void check_strangers(const struct accel_report *report, GPtrArray *findings)
{
	const struct accel_nic *waiting = NULL, *alone = NULL;

	for (guint i = 0; i < report->nics->len; i++) {
		const struct accel_nic *nic = report->nics->pdata[i];
		if (nic->pairing == ACCEL_FAILOVER && !nic->primary)
			waiting = nic;
		else if (nic->pairing == ACCEL_DIRECT)
			alone = nic;
	}
	if (waiting && alone)
		findings_add(findings, FINDING_PROBLEM, "mac", alone->name,
			"have the host's operator take the VF away and give it again: sluice vf revoke, "
			"restore",
			"the VF's address %s is no NIC's here, so it is paired with none, and %s (%s) has no "
			"VF",
			alone->mac, waiting->name, waiting->mac);
}

/* ---- all of it ---- */

GPtrArray *doctor_examine(const struct accel_source *source)
{
	_cleanup_(accel_report_free) struct accel_report *report = accel_inspect(source);
	GPtrArray *findings = findings_new();

	doctor_check_kernel(source->root, report->kernel, findings);
	check_functions(source->root, report, findings);
	for (guint i = 0; i < report->nics->len; i++) {
		const struct accel_nic *nic = report->nics->pdata[i];
		if (nic->primary)
			check_paired(source->root, nic, findings);
		else if (nic->pairing == ACCEL_PLAIN)
			check_plain(source->root, nic, findings);
		else
			check_incomplete(nic, findings);
		doctor_check_manager(source->root, nic, findings);
	}
	check_strangers(report, findings);
	if (!report->nics->len)
		findings_add(findings, FINDING_NOTE, "pair", NULL, "give the VM a NIC",
			"there is no virtio or Hyper-V network interface, and no VF");
	return findings;
}
