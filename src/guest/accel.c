/* Whether accelerated networking is on and working in this guest. */
#include "guest/accel.h"

#include "base/sysfs.h"

#include <string.h>

#define NET_DEVICES "/sys/class/net"
#define FLAG_UP     0x1 /* IFF_UP, linux/if.h */
#define EMULATED    "emulated (no host bypass, no speed claim)"

const char *accel_pairing_name(enum accel_pairing pairing)
{
	static const char *const names[] = {
		[ACCEL_PLAIN] = "none",
		[ACCEL_FAILOVER] = "net_failover",
		[ACCEL_NETVSC] = "hv_netvsc",
		[ACCEL_DIRECT] = "direct",
	};

	return names[pairing];
}

const char *accel_state_name(enum accel_state state)
{
	static const char *const names[] = {
		[ACCEL_WORKING] = "working",
		[ACCEL_OFF] = "off",
		[ACCEL_BROKEN] = "broken",
	};

	return names[state];
}

static void side_free(struct accel_side *side)
{
	if (!side)
		return;
	g_free(side->netdev);
	g_free(side->driver);
	g_free(side);
}

static void nic_free(struct accel_nic *nic)
{
	g_free(nic->name);
	g_free(nic->mac);
	g_free(nic->reason);
	side_free(nic->standby);
	side_free(nic->primary);
	g_free(nic);
}

void accel_report_free(struct accel_report *report)
{
	if (!report)
		return;
	g_free(report->kernel);
	g_free(report->summary);
	g_clear_pointer(&report->nics, g_ptr_array_unref);
	g_clear_pointer(&report->functions, g_ptr_array_unref);
	g_free(report);
}

/* ---- one interface ---- */

static struct accel_side *side_read(const char *root, const char *netdev)
{
	struct accel_side *side = g_new0(struct accel_side, 1);

	side->netdev = g_strdup(netdev);
	side->driver = sysfs_link_name(root, NET_DEVICES "/%s/device/driver", netdev);
	side->up = sysfs_number(root, 0, NET_DEVICES "/%s/flags", netdev) & FLAG_UP;
	side->carrier = sysfs_number(root, 0, NET_DEVICES "/%s/carrier", netdev) == 1;
#define X(name) side->counters.name = sysfs_number(root, 0, NET_DEVICES "/%s/statistics/" #name, netdev);
	ACCEL_COUNTERS(X)
#undef X
	return side;
}

/* Bus of the device behind an interface: "virtio", "vmbus", "pci"; NULL for an interface with no device. */
static char *netdev_bus(const char *root, const char *netdev)
{
	return sysfs_link_name(root, NET_DEVICES "/%s/device/subsystem", netdev);
}

static const struct function *function_of_netdev(const GPtrArray *functions, const char *netdev)
{
	for (guint i = 0; i < functions->len; i++) {
		const struct function *function = functions->pdata[i];

		if (g_strcmp0(function->netdev, netdev) == 0)
			return function;
	}
	return NULL;
}

/* ---- pairing ---- */

static void nic_add_lower(
	const char *root, struct accel_report *report, struct accel_nic *nic, const char *lower)
{
	g_autofree char *bus = netdev_bus(root, lower);
	struct accel_side **side = g_strcmp0(bus, "virtio") == 0 ? &nic->standby : &nic->primary;

	if (*side)
		return;
	*side = side_read(root, lower);
	if (side == &nic->primary)
		nic->function = function_of_netdev(report->functions, lower);
}

/* Whether an interface sits under another one that is a pair's upper end (and not, say, under a bridge). */
static bool is_paired_lower(const char *root, const char *netdev)
{
	g_autofree char *master = sysfs_link_name(root, NET_DEVICES "/%s/master", netdev);
	g_autofree char *bus = master ? netdev_bus(root, master) : NULL;

	return g_strcmp0(bus, "virtio") == 0 || g_strcmp0(bus, "vmbus") == 0;
}

/* How an interface that is no pair's lower end takes a VF; false when it is none that could be accelerated: a
 * bridge, a whole device. */
static bool pairing_of(
	const char *bus, bool has_lower, const struct function *function, enum accel_pairing *ret)
{
	if (g_strcmp0(bus, "vmbus") == 0)
		*ret = ACCEL_NETVSC;
	else if (g_strcmp0(bus, "virtio") == 0)
		*ret = has_lower ? ACCEL_FAILOVER : ACCEL_PLAIN;
	else if (function && function->kind == FUNCTION_VF)
		*ret = ACCEL_DIRECT;
	else
		return false;
	return true;
}

/* The NIC whose upper end is `netdev`; NULL when it is no NIC's. */
static struct accel_nic *nic_read(
	const struct accel_source *source, struct accel_report *report, const char *netdev)
{
	const char *root = source->root;
	g_autofree char *bus = netdev_bus(root, netdev);
	g_auto(GStrv) lowers = sysfs_children(root, "lower_", NET_DEVICES "/%s", netdev);
	const struct function *function = function_of_netdev(report->functions, netdev);
	enum accel_pairing pairing;

	if (is_paired_lower(root, netdev) || !pairing_of(bus, *lowers, function, &pairing))
		return NULL;

	struct accel_nic *nic = g_new0(struct accel_nic, 1);

	nic->name = g_strdup(netdev);
	nic->mac = sysfs_text(root, NET_DEVICES "/%s/address", netdev);
	nic->pairing = pairing;
	for (char **lower = lowers; *lower; lower++)
		nic_add_lower(root, report, nic, *lower + strlen("lower_"));
	if (pairing == ACCEL_DIRECT) {
		nic->primary = side_read(root, netdev);
		nic->function = function;
	}
	if (nic->primary)
		nic->vf = nic->primary->counters;
	if (pairing == ACCEL_NETVSC && nic->primary)
		source->vf_statistics(netdev, &nic->vf);
	return nic;
}

/* ---- judgement ---- */

static void nic_judge(struct accel_nic *nic, enum accel_state state, const char *format, ...)
	G_GNUC_PRINTF(3, 4);

static void nic_judge(struct accel_nic *nic, enum accel_state state, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	nic->state = state;
	nic->reason = g_strdup_vprintf(format, args);
	va_end(args);
}

static void nic_judge_paired(struct accel_nic *nic)
{
	const struct accel_side *primary = nic->primary;
	const char *driver = primary->driver ? primary->driver : "unknown driver";
	bool emulated = nic->function && nic->function->kind == FUNCTION_EMULATED;
	const char *note = emulated ? ", " EMULATED : "";

	if (!primary->up)
		nic_judge(nic, ACCEL_BROKEN, "%s is down: set it up with `ip link set %s up`",
			primary->netdev, nic->pairing == ACCEL_DIRECT ? primary->netdev : nic->name);
	else if (!primary->carrier)
		nic_judge(nic, ACCEL_BROKEN, "%s has no carrier: its link on the host is down%s",
			primary->netdev,
			nic->pairing == ACCEL_DIRECT ? "" : ", the synthetic path carries the packets");
	else if (nic->vf.rx_packets + nic->vf.tx_packets == 0)
		nic_judge(nic, ACCEL_WORKING, "on: %s has %s (%s), nothing went through it yet%s", nic->name,
			primary->netdev, driver, note);
	else
		nic_judge(nic, ACCEL_WORKING, "on and working: %s sends and receives through %s (%s)%s",
			nic->name, primary->netdev, driver, note);
}

/* A function that should be the NIC's primary and is not. An emulated device, or any other, counts only when
 * its address says that it belongs to this NIC; a VF without interface has no address to compare. */
static const struct function *find_unpaired(
	const char *root, const struct accel_report *report, const struct accel_nic *nic)
{
	for (guint i = 0; i < report->functions->len; i++) {
		const struct function *function = report->functions->pdata[i];
		g_autofree char *mac = NULL;

		if (!function->netdev) {
			if (function->kind != FUNCTION_OTHER)
				return function;
			continue;
		}
		mac = sysfs_text(root, NET_DEVICES "/%s/address", function->netdev);
		if (!is_paired_lower(root, function->netdev) && g_strcmp0(mac, nic->mac) == 0)
			return function;
	}
	return NULL;
}

static void nic_judge_unpaired(struct accel_nic *nic, const struct function *function)
{
	g_autofree char *what = function_describe(function);

	nic->function = function;
	if (function->netdev)
		nic_judge(nic, ACCEL_BROKEN,
			"%s (%s) has the address of %s but is not paired with it: bind its"
			" driver again, or look into the kernel log",
			function->netdev, what, nic->name);
	else if (function->driver)
		nic_judge(nic, ACCEL_BROKEN, "%s is held by %s, which makes no network interface of it", what,
			function->driver);
	else if (function->wanted)
		nic_judge(nic, ACCEL_BROKEN, "no driver is bound to %s: load it with `modprobe %s`", what,
			function->wanted);
	else
		nic_judge(nic, ACCEL_BROKEN, "no driver is bound to %s", what);
}

static void nic_judge_absent(struct accel_nic *nic)
{
	switch (nic->pairing) {
	case ACCEL_FAILOVER:
		nic_judge(nic, ACCEL_OFF,
			"off: %s has no VF now, the host took it back; %s (virtio) carries the"
			" packets",
			nic->name, nic->standby ? nic->standby->netdev : "the standby");
		break;
	case ACCEL_NETVSC:
		nic_judge(nic, ACCEL_OFF,
			"off: the host offers %s no VF; enable accelerated networking while"
			" the VM is deallocated",
			nic->name);
		break;
	default:
		nic_judge(nic, ACCEL_OFF,
			"off: %s is a plain virtio NIC; enable accelerated networking while the"
			" VM is deallocated",
			nic->name);
		break;
	}
}

static void judge_nics(const char *root, struct accel_report *report)
{
	for (guint i = 0; i < report->nics->len; i++) {
		struct accel_nic *nic = report->nics->pdata[i];
		const struct function *function;

		if (nic->primary)
			nic_judge_paired(nic);
		else if (nic->pairing != ACCEL_PLAIN && (function = find_unpaired(root, report, nic)))
			nic_judge_unpaired(nic, function);
		else
			nic_judge_absent(nic);
	}
}

/* A VF alone is its own NIC, unless it has the address of a NIC that misses its primary: then it is part of
 * that one's trouble. */
static bool is_stray(const struct accel_report *report, const struct accel_nic *direct)
{
	for (guint i = 0; i < report->nics->len; i++) {
		const struct accel_nic *nic = report->nics->pdata[i];

		if (!nic->primary && nic->pairing != ACCEL_PLAIN && g_strcmp0(nic->mac, direct->mac) == 0)
			return true;
	}
	return false;
}

static void drop_strays(struct accel_report *report)
{
	for (guint i = report->nics->len; i-- > 0;) {
		const struct accel_nic *nic = report->nics->pdata[i];

		if (nic->pairing == ACCEL_DIRECT && is_stray(report, nic))
			g_ptr_array_remove_index(report->nics, i);
	}
}

/* One line for all NICs: that of the worst state, broken before working before off. */
static void judge_all(struct accel_report *report)
{
	static const enum accel_state order[] = {ACCEL_BROKEN, ACCEL_WORKING, ACCEL_OFF};

	for (size_t o = 0; o < G_N_ELEMENTS(order); o++) {
		for (guint i = 0; i < report->nics->len; i++) {
			const struct accel_nic *nic = report->nics->pdata[i];

			if (nic->state != order[o])
				continue;
			report->state = nic->state;
			report->summary = g_strdup(nic->reason);
			return;
		}
	}
	report->state = ACCEL_OFF;
	report->summary = g_strdup("off: there is no virtio or Hyper-V network interface and no VF");
}

struct accel_report *accel_inspect(const struct accel_source *source)
{
	struct accel_report *report = g_new0(struct accel_report, 1);
	g_auto(GStrv) netdevs = sysfs_children(source->root, "", NET_DEVICES);

	report->kernel = sysfs_text(source->root, "/proc/sys/kernel/osrelease");
	report->functions = function_list(source->root);
	report->nics = g_ptr_array_new_with_free_func((GDestroyNotify)nic_free);
	for (char **netdev = netdevs; *netdev; netdev++) {
		struct accel_nic *nic = nic_read(source, report, *netdev);

		if (nic)
			g_ptr_array_add(report->nics, nic);
	}
	drop_strays(report);
	judge_nics(source->root, report);
	judge_all(report);
	return report;
}
