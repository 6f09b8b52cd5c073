/* Eswitches: is a NIC in switchdev mode where the host file wants it, and does it then take flows? */
#include "base/fault.h"
#include "base/sysfs.h"
#include "doctor/host_priv.h"
#include "nic/ethtool.h"
#include "nic/host_file.h"
#include "nic/inventory.h"

#include <stdio.h>

#define SET_UP "run 'sluice host setup --apply'"

/* Source: Linux drivers/net/ethernet/mellanox/mlx5/core/en/tc/act/police.c, which before takes no police action but one that drops;
 * the bound of a flow's MTU lets through to the host. */
#define MLX5_MAJOR 6
#define MLX5_MINOR 3

struct visit {
	const char *root; /* see base/sysfs.h */
	const struct nic_pf *pf;
	const char *name; /* of its interface, or its address; Borrowed */
	struct genl *devlink, *ethtool; /* Borrowed; NULL: the kernel has none */
	GPtrArray *findings; /* Borrowed */
};

static void add_problem(const struct visit *visit, const char *remedy, const char *text)
{
	findings_add(visit->findings, FINDING_PROBLEM, "eswitch", visit->pf->address, remedy, "%s %s",
		visit->name, text);
}

/* ---- one that should be in switchdev mode ---- */

static void check_unable(const struct visit *visit)
{
	g_autofree char *handle = devlink_handle(visit->pf->address);
	struct devlink_eswitch eswitch;
	g_autoptr(GError) error = NULL;

	if (!visit->devlink)
		fault_set(&error, FAULT_UNSUPPORTED, "the kernel has no devlink");
	else if (devlink_read_eswitch(visit->devlink, handle, &eswitch, &error))
		fault_set(&error, FAULT_UNSUPPORTED, "its driver shows no mode");
	findings_add(visit->findings, FINDING_PROBLEM, "eswitch", visit->pf->address,
		g_error_matches(error, FAULT, FAULT_DENIED)
			? "run this as root"
			: "take 'mode' out of the host file, or use a NIC whose driver has an eswitch "
			  "(mlx5_core, "
			  "ice, bnxt_en)",
		"the host file wants switchdev mode of %s (driver %s), and cannot have it: %s", visit->name,
		visit->pf->driver ? visit->pf->driver : "none", error->message);
}

/* ---- one that is ---- */

static void check_offload(const struct visit *visit)
{
	if (!visit->ethtool || !visit->pf->netdev)
		return;
	switch (ethtool_feature(visit->ethtool, visit->pf->netdev, ETHTOOL_TC_OFFLOAD)) {
	case ETHTOOL_OFF:
		add_problem(visit, SET_UP, "has tc offload turned off, so the NIC gets no flows");
		return;
	case ETHTOOL_ABSENT:
		add_problem(visit, "use a newer kernel, or 'mode = legacy' in the host file",
			"has a driver that offloads nothing of tc, so the NIC gets no flows");
		return;
	default: return;
	}
}

/* Where a packet of a VF's comes in, flows lie on its representor. */
static void check_offload_of_vfs(const struct visit *visit)
{
	unsigned off = 0;

	for (guint i = 0; visit->ethtool && i < visit->pf->vfs->len; i++) {
		const char *representor = ((const struct nic_vf *)visit->pf->vfs->pdata[i])->representor;
		enum ethtool_feature feature =
			representor ? ethtool_feature(visit->ethtool, representor, ETHTOOL_TC_OFFLOAD)
				    : ETHTOOL_UNKNOWN;
		off += feature == ETHTOOL_OFF || feature == ETHTOOL_ABSENT;
	}
	if (off)
		findings_add(visit->findings, FINDING_PROBLEM, "eswitch", visit->pf->address, SET_UP,
			"%u of the %u VFs of %s have a representor with tc offload turned off, so the NIC "
			"may get no flows of theirs",
			off, visit->pf->vfs->len, visit->name);
}

static void check_representors(const struct visit *visit)
{
	unsigned without = 0;

	for (guint i = 0; i < visit->pf->vfs->len; i++)
		without += !((const struct nic_vf *)visit->pf->vfs->pdata[i])->representor;
	if (without)
		findings_add(visit->findings, FINDING_PROBLEM, "eswitch", visit->pf->address,
			"bring them back from other network namespaces; else look for the driver's messages "
			"in "
			"dmesg",
			"%u of the %u VFs of %s have no representor here, and are given to nobody", without,
			visit->pf->vfs->len, visit->name);
}

/* What flows are wanted to do beyond matching MACs. */
static void check_modes(const struct visit *visit)
{
	const struct devlink_eswitch *eswitch = &visit->pf->eswitch;

	if (eswitch->inline_mode && !g_str_equal(eswitch->inline_mode, "none") &&
		!g_str_equal(eswitch->inline_mode, DEVLINK_INLINE_WANTED))
		add_problem(visit, SET_UP,
			"does not match ports of what VFs send (inline-mode), so the NIC refuses flows");
	if (eswitch->encap_mode && !g_str_equal(eswitch->encap_mode, DEVLINK_ENCAP_WANTED))
		add_problem(visit, SET_UP,
			"puts nothing into tunnels (encap-mode), so packets of VXLAN segments go by the "
			"switch");
}

/* Source: Linux Documentation/networking/devlink/mlx5.rst, flow_steering_mode. */
static void check_steering(const struct visit *visit)
{
	g_autofree char *handle = devlink_handle(visit->pf->address);
	g_autofree char *steering = devlink_parameter(visit->devlink, handle, "flow_steering_mode");
	g_autofree char *remedy = g_strdup_printf(
		"if that is too slow, while the mode is legacy: devlink dev param set %s name "
		"flow_steering_mode "
		"value smfs cmode runtime",
		handle);

	if (g_strcmp0(steering, "dmfs") == 0)
		findings_add(visit->findings, FINDING_NOTE, "eswitch", visit->pf->address, remedy,
			"%s has its firmware put flows in (flow_steering_mode dmfs), which takes longer",
			visit->name);
}

/* Others' kernels may have it all the same, under an older number. */
static void check_kernel(const struct visit *visit)
{
	g_autofree char *release = sysfs_text(visit->root, "/proc/sys/kernel/osrelease");
	int major, minor;

	if (g_strcmp0(visit->pf->driver, "mlx5_core") != 0 || !release ||
		sscanf(release, "%d.%d", &major, &minor) != 2 || major > MLX5_MAJOR ||
		(major == MLX5_MAJOR && minor >= MLX5_MINOR))
		return;
	findings_add(visit->findings, FINDING_NOTE, "eswitch", visit->pf->address,
		"use Linux 6.3 or newer, as Debian's backports have; 'sluice flow list' tells why flows are "
		"not in the NIC",
		"%s may take no flows: its driver of Linux %d.%d knows no police action that lets through "
		"what is too long",
		visit->name, major, minor);
}

static void check_switchdev(const struct visit *visit)
{
	guint before = visit->findings->len;

	check_offload(visit);
	check_offload_of_vfs(visit);
	check_representors(visit);
	check_modes(visit);
	check_steering(visit);
	check_kernel(visit);
	if (visit->findings->len == before)
		findings_add(visit->findings, FINDING_OK, "eswitch", visit->pf->address, NULL,
			"%s is in switchdev mode, with firmware %s", visit->name,
			visit->pf->firmware ? visit->pf->firmware : "of a version that it does not tell");
}

/* ---- all of it ---- */

static void check_pf(const struct visit *visit, bool wanted)
{
	const char *mode = visit->pf->eswitch.mode;

	if (wanted && !mode)
		check_unable(visit);
	else if (wanted && g_str_equal(mode, DEVLINK_LEGACY))
		add_problem(visit, SET_UP, "is in legacy mode, and the host file wants switchdev mode");
	else if (!wanted && g_strcmp0(mode, DEVLINK_SWITCHDEV) == 0)
		add_problem(visit,
			"set the mode back: sluice host setup --apply; or write 'mode = switchdev' into the "
			"host "
			"file",
			"is in switchdev mode, in which nobody carries what VFs send, and the host file "
			"wants "
			"legacy mode");
	else if (wanted)
		check_switchdev(visit);
}

static void check_physical(const struct host_source *source, const struct host_physical *physical,
	const GPtrArray *inventory, struct genl *devlink, struct genl *ethtool, GPtrArray *findings)
{
	g_autoptr(GPtrArray) addresses = host_file_pfs(physical, inventory, NULL);

	for (guint i = 0; addresses && i < inventory->len; i++) {
		const struct nic_pf *pf = inventory->pdata[i];
		const struct visit visit = {
			source->root, pf, pf->netdev ? pf->netdev : pf->address, devlink, ethtool, findings};
		if (g_ptr_array_find_with_equal_func(addresses, pf->address, g_str_equal, NULL))
			check_pf(&visit, physical->switchdev);
	}
}

/* What is wrong with the host file itself the check of devices tells. */
void host_check_eswitches(const struct host_source *source, GPtrArray *findings)
{
	g_autofree char *path = g_strconcat(source->root, source->host_file, NULL);
	_cleanup_(host_file_free) struct host_file *file = host_file_read(path, NULL);
	_cleanup_(genl_close) struct genl *devlink = source->open_genl("devlink", NULL);
	_cleanup_(genl_close) struct genl *ethtool = source->open_genl("ethtool", NULL);
	g_autoptr(GPtrArray) inventory = inventory_read(source->root);

	inventory_add_eswitches(inventory, devlink);
	for (guint i = 0; file && i < file->physicals->len; i++)
		check_physical(source, file->physicals->pdata[i], inventory, devlink, ethtool, findings);
}
