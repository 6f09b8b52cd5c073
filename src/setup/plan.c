/* What a host needs, from its host file and what is there. */
#include "base/fault.h"
#include "base/sysfs.h"
#include "nic/keeper.h"
#include "setup/setup_priv.h"

#include <stdarg.h>

#define DEVICES   "/sys/bus/pci/devices"
#define HUGEPAGES "/proc/sys/vm/nr_hugepages"
#define POLL_US   200000

static void step_free(struct setup_step *step)
{
	g_free(step->object);
	g_free(step->wanted);
	g_free(step->now);
	g_free(step->text);
	g_free(step->problem);
	g_free(step);
}

GPtrArray *setup_steps_new(void)
{
	return g_ptr_array_new_with_free_func((GDestroyNotify)step_free);
}

struct setup_step *setup_add_step(const struct setup_machine *machine, GPtrArray *steps, enum setup_kind kind,
	const char *object, const char *wanted, const char *format, ...)
{
	struct setup_step *step = g_new0(struct setup_step, 1);
	const struct setup_kind_ops *ops = &setup_kinds[kind];
	va_list args;

	step->kind = kind;
	step->object = g_strdup(object);
	step->wanted = g_strdup(wanted);
	step->now = ops->read ? ops->read(machine, object) : NULL;
	step->state = kind == SETUP_PERSON                ? SETUP_FOR_PERSON
		      : g_strcmp0(step->now, wanted) == 0 ? SETUP_SO
							  : SETUP_TO_DO;
	va_start(args, format);
	step->text = g_strdup_vprintf(format, args);
	va_end(args);
	g_ptr_array_add(steps, step);
	return step;
}

void setup_add_by_hand(GPtrArray *steps, const char *where, const char *text)
{
	setup_add_step(NULL, steps, SETUP_PERSON, where, NULL, "%s", text);
}

static void block(struct setup_step *step, const char *problem)
{
	step->state = SETUP_BLOCKED;
	step->problem = g_strdup(problem);
}

/* ---- one PF ---- */

struct visit {
	const struct setup_machine *machine;
	const struct host_physical *physical;
	const struct nic_pf *pf;
	GPtrArray *steps; /* Borrowed */
};

/* A change of mode takes all VFs of the NIC away and makes them anew. */
static void keep_used(const struct visit *visit, struct setup_step *mode)
{
	g_autoptr(GError) error = NULL;

	if (mode->state == SETUP_TO_DO && !setup_check_unused(visit->machine, visit->pf, &error))
		block(mode, error->message);
}

/* One that is in switchdev mode, from before or by an earlier host file: nobody would carry what its VFs send. */
static void plan_legacy(const struct visit *visit)
{
	const char *address = visit->pf->address;
	g_autofree char *now = setup_kinds[SETUP_MODE].read(visit->machine, address);

	if (g_strcmp0(now, DEVLINK_SWITCHDEV) == 0)
		keep_used(visit, setup_add_step(visit->machine, visit->steps, SETUP_MODE, address,
					 DEVLINK_LEGACY, "VFs pass the host, without its switch"));
}

/* What the last two are shows only once the first is done; they are looked at again then. Whether the NIC is to take flows. */
static bool plan_eswitch(const struct visit *visit)
{
	const char *address = visit->pf->address;

	if (!visit->physical->switchdev) {
		plan_legacy(visit);
		return false;
	}
	struct setup_step *mode = setup_add_step(visit->machine, visit->steps, SETUP_MODE, address,
		DEVLINK_SWITCHDEV, "the NIC's own switch does as it is told, flow by flow");
	if (!mode->now)
		block(mode, "the NIC or its driver has no eswitch (devlink shows none); take 'mode' out of "
			    "the host file");
	else
		keep_used(visit, mode);
	if (!mode->now)
		return false;
	setup_add_step(visit->machine, visit->steps, SETUP_INLINE_MODE, address, DEVLINK_INLINE_WANTED,
		"flows match addresses and ports of what VFs send");
	setup_add_step(visit->machine, visit->steps, SETUP_ENCAP_MODE, address, DEVLINK_ENCAP_WANTED,
		"flows put packets into tunnels");
	return true;
}

/* mlx5_core turns it on with the mode, ice leaves it off, of representors too. What these have shows only once there are some; it
 * is looked at again then. Source: Linux mlx5e_uplink_rep_enable(), ice_set_netdev_features(), ice_repr_reg_netdev(). */
static void plan_feature(const struct visit *visit, enum setup_kind kind, const char *of)
{
	g_autofree char *problem = g_strdup_printf(
		"its driver, %s, offloads nothing of tc (ethtool -k: hw-tc-offload off [fixed]), "
		"so the NIC takes no flows; use a newer kernel, or take 'mode' out of the host "
		"file",
		visit->pf->driver ? visit->pf->driver : "none");
	struct setup_step *step = setup_add_step(visit->machine, visit->steps, kind, visit->pf->address, "on",
		"the NIC takes flows of tc on %s (hw-tc-offload)", of);

	if (g_strcmp0(step->now, SETUP_FIXED_OFF) == 0)
		block(step, problem);
}

static void plan_offload(const struct visit *visit)
{
	if (!visit->pf->netdev)
		return; /* as plan_link() tells */
	plan_feature(visit, SETUP_OFFLOAD, visit->pf->netdev);
	plan_feature(visit, SETUP_REPRESENTORS, "its VFs' representors");
}

/* No driver of the host's takes VFs as they come: none has an interface that anybody would configure, and libvirt binds
 * them to vfio by driver_override, which this does not keep from working. */
static void plan_autoprobe(const struct visit *visit)
{
	g_autofree char *path = g_strdup_printf(DEVICES "/%s/sriov_drivers_autoprobe", visit->pf->address);

	if (setup_exists(visit->machine, path))
		setup_add_step(visit->machine, visit->steps, SETUP_ATTRIBUTE, path, "0",
			"no driver of this host's takes VFs, so they have no interface here");
}

static void plan_vfs(const struct visit *visit)
{
	const struct nic_pf *pf = visit->pf;
	g_autofree char *number = g_strdup_printf("%u", visit->physical->vfs);
	g_autoptr(GError) error = NULL;
	struct setup_step *step = setup_add_step(visit->machine, visit->steps, SETUP_VFS, pf->address, number,
		"VFs of %s, for physical network %s", pf->netdev ? pf->netdev : "a PF without an interface",
		visit->physical->name);

	if (step->state == SETUP_TO_DO && !setup_check_vfs(visit->machine, pf, visit->physical->vfs, &error))
		block(step, error->message);
}

static void plan_link(const struct visit *visit)
{
	struct setup_step *step = setup_add_step(visit->machine, visit->steps, SETUP_LINK, visit->pf->address,
		"up", "%s leads to physical network %s; VFs have carrier only while it is up",
		visit->pf->netdev ? visit->pf->netdev : "it", visit->physical->name);

	if (!step->now)
		block(step, "the PF has no interface here: no driver has it, or it is in another namespace");
}

static void plan_keepers(const struct visit *visit)
{
	for (guint i = 0; i < visit->pf->vfs->len; i++) {
		const struct nic_vf *vf = visit->pf->vfs->pdata[i];
		if (vf->netdev && keeper_of(visit->machine->root, vf->netdev) == KEEPER_IFUPDOWN)
			setup_add_step(visit->machine, visit->steps, SETUP_PERSON, "/etc/network/interfaces",
				NULL, "take %s out: it is VF %u of %s", vf->netdev, vf->index,
				visit->pf->netdev);
	}
}

static void plan_pf(const struct visit *visit)
{
	if (visit->physical->vfs) {
		plan_autoprobe(visit);
		bool takes_flows = plan_eswitch(visit);
		plan_vfs(visit);
		if (takes_flows)
			plan_offload(visit);
		plan_keepers(visit);
	}
	plan_link(visit);
}

/* ---- all of it ---- */

/* A physical network's PFs; at boot each device that is not there is a step that is blocked, and the others are done. */
static void plan_physical(const struct setup_machine *machine, const struct host_physical *physical,
	const GPtrArray *inventory, GPtrArray *steps)
{
	g_autoptr(GPtrArray) lacks = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) pfs = host_file_find_pfs(physical, inventory, lacks);

	for (guint i = 0; i < lacks->len; i++)
		block(setup_add_step(machine, steps, SETUP_PERSON, physical->name, NULL, "its devices"),
			lacks->pdata[i]);
	for (guint i = 0; i < pfs->len; i++) {
		const struct visit visit = {
			machine, physical, setup_find_pf(inventory, pfs->pdata[i]), steps};
		plan_pf(&visit);
	}
}

static void plan_files(const struct setup_machine *machine, const struct host_file *file, GPtrArray *steps)
{
	g_autoptr(GPtrArray) contents = setup_contents(machine, file);

	for (guint i = 0; i < contents->len; i++) {
		const struct setup_content *content = contents->pdata[i];
		setup_add_step(machine, steps, SETUP_FILE, content->path, content->text, "%s", content->why);
	}
	if (contents->len && !setup_exists(machine, "/usr/lib/systemd/systemd"))
		setup_add_step(machine, steps, SETUP_PERSON, "init", NULL,
			"this machine has no systemd: have what starts it run '%s --boot'", machine->program);
}

static void plan_hugepages(
	const struct setup_machine *machine, const struct host_file *file, GPtrArray *steps)
{
	g_autofree char *number = g_strdup_printf("%u", file->hugepages);

	if (file->hugepages)
		setup_add_step(machine, steps, SETUP_ATTRIBUTE, HUGEPAGES, number,
			"the switch's memory is of huge pages");
}

GPtrArray *setup_plan(
	const struct setup_machine *machine, const struct host_file *file, bool boot, GError **error)
{
	g_autoptr(GPtrArray) inventory = inventory_read(machine->root);
	g_autoptr(GPtrArray) steps = setup_steps_new();

	if (!boot) {
		if (!host_file_check(file, inventory, error))
			return NULL;
		if (file->physicals->len)
			setup_plan_kernel_line(machine, steps);
		plan_files(machine, file, steps);
		plan_hugepages(machine, file, steps);
	}
	for (guint i = 0; i < file->physicals->len; i++)
		plan_physical(machine, file->physicals->pdata[i], inventory, steps);
	return g_steal_pointer(&steps);
}

/* It has an interface, and udev, where it runs, has given that its name: an interface that is up keeps the one that it has. Source:
 * systemd's sd-device.c, by which a file of the interface in /run/udev/data says so. */
static bool is_settled(const struct setup_machine *machine, const struct nic_pf *pf)
{
	if (!pf->netdev)
		return false;
	long long index =
		sysfs_number(machine->root, 0, DEVICES "/%s/net/%s/ifindex", pf->address, pf->netdev);
	g_autofree char *known = g_strdup_printf("/run/udev/data/n%lld", index);
	return !setup_exists(machine, "/run/udev/control") || setup_exists(machine, known);
}

static bool are_settled(
	const struct setup_machine *machine, const struct host_physical *physical, const GPtrArray *inventory)
{
	g_autoptr(GPtrArray) pfs = host_file_pfs(physical, inventory, NULL);

	for (guint i = 0; pfs && i < pfs->len; i++)
		if (!is_settled(machine, setup_find_pf(inventory, pfs->pdata[i])))
			return false;
	return pfs != NULL;
}

static bool are_all_settled(const struct setup_machine *machine, const struct host_file *file)
{
	g_autoptr(GPtrArray) inventory = inventory_read(machine->root);

	for (guint i = 0; i < file->physicals->len; i++)
		if (!are_settled(machine, file->physicals->pdata[i], inventory))
			return false;
	return true;
}

bool setup_wait_for_devices(const struct setup_machine *machine, const struct host_file *file)
{
	gint64 end = g_get_monotonic_time() + machine->wait_ms * INT64_C(1000);

	while (!are_all_settled(machine, file)) {
		if (g_get_monotonic_time() > end)
			return false;
		g_usleep(POLL_US);
	}
	return true;
}
