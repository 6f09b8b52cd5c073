/* Kinds of steps: how each thing is read and written as text. */
#include "base/fault.h"
#include "base/sysfs.h"
#include "setup/setup_priv.h"
#include "setup/vf_user.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEVICES "/sys/bus/pci/devices"
#define POLL_US 50000

bool setup_exists(const struct setup_machine *machine, const char *path)
{
	g_autofree char *full = g_strconcat(machine->root, path, NULL);

	return g_file_test(full, G_FILE_TEST_EXISTS);
}

const struct nic_pf *setup_find_pf(const GPtrArray *inventory, const char *address)
{
	for (guint i = 0; i < inventory->len; i++) {
		const struct nic_pf *pf = inventory->pdata[i];
		if (g_str_equal(pf->address, address))
			return pf;
	}
	return NULL;
}

/* ---- files ---- */

static char *read_file(const struct setup_machine *machine, const char *object)
{
	g_autofree char *path = g_strconcat(machine->root, object, NULL);
	char *text = NULL;

	g_file_get_contents(path, &text, NULL, NULL);
	return text;
}

static bool write_file(
	const struct setup_machine *machine, const char *object, const char *text, GError **error)
{
	g_autofree char *path = g_strconcat(machine->root, object, NULL), *folder = g_path_get_dirname(path);
	g_autoptr(GError) cause = NULL;

	if (!text && unlink(path) < 0 && errno != ENOENT)
		return fault_set(
			error, FAULT_INTERNAL, "%s cannot be removed: %s", object, g_strerror(errno));
	if (!text)
		return true;
	if (g_mkdir_with_parents(folder, 0755) < 0)
		return fault_set(error, FAULT_INTERNAL, "%s cannot be made: %s", folder, g_strerror(errno));
	if (!g_file_set_contents_full(path, text, -1,
		    G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0644, &cause))
		return fault_set(error, FAULT_INTERNAL, "%s cannot be written: %s", object, cause->message);
	return true;
}

/* ---- attributes ---- */

static char *read_attribute(const struct setup_machine *machine, const char *object)
{
	return sysfs_text(machine->root, "%s", object);
}

static bool write_attribute(
	const struct setup_machine *machine, const char *object, const char *text, GError **error)
{
	g_autofree char *path = g_strconcat(machine->root, object, NULL);
	int rc = machine->write_attribute(path, text ? text : "");

	return rc == 0 ||
	       fault_set(error, FAULT_INTERNAL, "%s does not take %s: %s", object, text, g_strerror(-rc));
}

/* ---- VFs ---- */

static char *read_vfs(const struct setup_machine *machine, const char *object)
{
	return sysfs_text(machine->root, DEVICES "/%s/sriov_numvfs", object);
}

static bool check_unused(const struct setup_machine *machine, const struct nic_pf *pf, GError **error)
{
	g_autofree char *claims = g_build_filename(machine->state, "agent", "vfs.json", NULL);
	const struct vf_watch watch = {machine->root, claims, machine->has_address};

	return vf_check_unused(&watch, pf, error);
}

bool setup_check_vfs(
	const struct setup_machine *machine, const struct nic_pf *pf, unsigned wanted, GError **error)
{
	const char *name = pf->netdev ? pf->netdev : pf->address;

	if (wanted == pf->num_vfs)
		return true;
	if (wanted && !pf->sriov)
		return fault_set(error, FAULT_INVALID,
			"%s has no SR-IOV that this kernel could use, and %u VFs are wanted; 'sluice doctor' "
			"says why",
			name, wanted);
	if (wanted > pf->total_vfs)
		return fault_set(error, FAULT_INVALID,
			"%s can have %u VFs, and %u are wanted; lower 'vfs' in the host file, or raise the "
			"number in "
			"the NIC's own set-up where it has one",
			name, pf->total_vfs, wanted);
	return check_unused(machine, pf, error);
}

/* Why the kernel refused; source: Linux drivers/pci/pci-sysfs.c, sriov_numvfs_store(). */
static const char *vfs_reason(int error)
{
	return error == ENOENT   ? "its driver makes no VFs"
	       : error == ENOMEM ? "its firmware left too little address space; 'sluice doctor' tells more"
	       : error == EBUSY  ? "another program is changing them"
				 : g_strerror(error);
}

static bool put_vfs(const struct setup_machine *machine, const char *address, unsigned number, GError **error)
{
	g_autofree char *path = g_strdup_printf("%s" DEVICES "/%s/sriov_numvfs", machine->root, address);
	g_autofree char *text = g_strdup_printf("%u", number);
	int rc = machine->write_attribute(path, text);

	return rc == 0 || fault_set(error, FAULT_INTERNAL, "%s cannot have %u VFs: %s", address, number,
				  vfs_reason(-rc));
}

/* All are there, with their IOMMU groups where the PF has one. */
static bool has_vfs(const struct setup_machine *machine, const char *address, unsigned number)
{
	g_autoptr(GPtrArray) inventory = inventory_read(machine->root);
	const struct nic_pf *pf = setup_find_pf(inventory, address);

	if (!pf || pf->num_vfs != number || pf->vfs->len != number)
		return false;
	for (guint i = 0; i < pf->vfs->len; i++) {
		const struct nic_vf *vf = pf->vfs->pdata[i];
		g_autofree char *device = g_strdup_printf(DEVICES "/%s", vf->address);
		if (!setup_exists(machine, device) ||
			(pf->iommu_group != INVENTORY_NONE && vf->iommu_group == INVENTORY_NONE))
			return false;
	}
	return true;
}

/* The driver may make them after it has answered. */
static bool wait_for_vfs(
	const struct setup_machine *machine, const char *address, unsigned number, GError **error)
{
	gint64 end = g_get_monotonic_time() + machine->wait_ms * INT64_C(1000);

	while (!has_vfs(machine, address, number)) {
		if (g_get_monotonic_time() > end)
			return fault_set(error, FAULT_TIMEOUT,
				"%s was told to make %u VFs, and has not after %u s; see dmesg", address,
				number, machine->wait_ms / 1000);
		g_usleep(POLL_US);
	}
	return true;
}

/* The kernel changes one number into another only through zero. */
static bool write_vfs(
	const struct setup_machine *machine, const char *object, const char *text, GError **error)
{
	g_autoptr(GPtrArray) inventory = inventory_read(machine->root);
	const struct nic_pf *pf = setup_find_pf(inventory, object);
	unsigned number = (unsigned)strtoul(text ? text : "0", NULL, 10);

	if (!pf)
		return fault_set(error, FAULT_NOT_FOUND, "there is no %s any more", object);
	if (!setup_check_vfs(machine, pf, number, error))
		return false;
	if (pf->num_vfs && number != pf->num_vfs && !put_vfs(machine, object, 0, error))
		return false;
	return !number ||
	       (put_vfs(machine, object, number, error) && wait_for_vfs(machine, object, number, error));
}

/* ---- eswitch modes, by iproute2's devlink ---- */

static char *read_mode(const struct setup_machine *machine, const char *object)
{
	g_autofree char *handle = g_strdup_printf("pci/%s", object);
	const char *const argv[] = {"devlink", "-j", "dev", "eswitch", "show", handle, NULL};
	g_autofree char *text = machine->run(argv, NULL);
	json_auto_t *answer = text ? json_loads(text, 0, NULL) : NULL;
	const json_t *eswitches = json_object_get(json_object_get(answer, "dev"), "eswitch");

	return g_strdup(json_string_value(json_object_get(json_object_get(eswitches, handle), "mode")));
}

static bool write_mode(
	const struct setup_machine *machine, const char *object, const char *text, GError **error)
{
	g_autofree char *handle = g_strdup_printf("pci/%s", object);
	const char *const argv[] = {
		"devlink", "dev", "eswitch", "set", handle, "mode", text ? text : "legacy", NULL};
	g_autofree char *output = machine->run(argv, error);

	return output != NULL;
}

/* ---- links ---- */

static char *netdev_of(const struct setup_machine *machine, const char *address)
{
	g_auto(GStrv) netdevs = sysfs_children(machine->root, "", DEVICES "/%s/net", address);

	return g_strdup(netdevs[0]);
}

static char *read_link(const struct setup_machine *machine, const char *object)
{
	g_autofree char *netdev = netdev_of(machine, object);

	if (!netdev)
		return NULL;
	bool up = sysfs_number(machine->root, 0, "/sys/class/net/%s/flags", netdev) & IFF_UP;
	return g_strdup(up ? "up" : "down");
}

static bool write_link(
	const struct setup_machine *machine, const char *object, const char *text, GError **error)
{
	g_autofree char *netdev = netdev_of(machine, object);
	bool up = g_strcmp0(text, "up") == 0;

	if (!netdev)
		return fault_set(error, FAULT_NOT_FOUND,
			"%s has no interface here: no driver has it, or it is in another "
			"namespace",
			object);
	if (!up && machine->has_address(netdev))
		return fault_set(error, FAULT_IN_USE, "%s is not set down: it has addresses", netdev);
	return machine->set_link(netdev, up, error);
}

/* ---- the table ---- */

const struct setup_kind_ops setup_kinds[] = {
	[SETUP_FILE] = {"file", read_file, write_file},
	[SETUP_ATTRIBUTE] = {"attribute", read_attribute, write_attribute},
	[SETUP_MODE] = {"mode", read_mode, write_mode},
	[SETUP_VFS] = {"vfs", read_vfs, write_vfs},
	[SETUP_LINK] = {"link", read_link, write_link},
	[SETUP_PERSON] = {"person"},
};

enum setup_kind setup_kind_of(const char *word)
{
	for (size_t i = 0; i < G_N_ELEMENTS(setup_kinds); i++)
		if (g_strcmp0(word, setup_kinds[i].word) == 0)
			return (enum setup_kind)i;
	return SETUP_PERSON;
}
