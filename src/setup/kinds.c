/* Kinds of steps: how each thing is read and written as text. */
#include "base/fault.h"
#include "base/sysfs.h"
#include "nic/ethtool.h"
#include "nic/sriov_ledger.h"
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

/* Below the root. Owned by the caller. */
static char *claims_of(const struct setup_machine *machine)
{
	return g_build_filename(machine->state, "agent", "vfs.json", NULL);
}

/* Keeps the agent from claiming VFs, until it is unlocked; -1: there has never been an agent, or *error. */
static bool lock_claims(const struct setup_machine *machine, int *ret_lock, GError **error)
{
	g_autofree char *claims = claims_of(machine), *path = g_strconcat(machine->root, claims, NULL);
	g_autofree char *folder = g_path_get_dirname(path);

	*ret_lock = -1;
	if (!g_file_test(folder, G_FILE_TEST_IS_DIR))
		return true;
	*ret_lock = sriov_ledger_lock(path, error);
	return *ret_lock >= 0;
}

bool setup_check_unused(const struct setup_machine *machine, const struct nic_pf *pf, GError **error)
{
	g_autofree char *claims = claims_of(machine);
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
	return setup_check_unused(machine, pf, error);
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
	_cleanup_(sriov_ledger_unlock) int lock = -1;

	if (!pf)
		return fault_set(error, FAULT_NOT_FOUND, "there is no %s any more", object);
	if (!lock_claims(machine, &lock, error) || !setup_check_vfs(machine, pf, number, error))
		return false;
	if (pf->num_vfs && number != pf->num_vfs && !put_vfs(machine, object, 0, error))
		return false;
	return !number ||
	       (put_vfs(machine, object, number, error) && wait_for_vfs(machine, object, number, error));
}

/* ---- eswitches ---- */

/* Before a change that those who use VFs would feel: there are none, and while it is locked nobody becomes one. */
static bool lock_unused(
	const struct setup_machine *machine, const struct nic_pf *pf, int *ret_lock, GError **error)
{
	return lock_claims(machine, ret_lock, error) && setup_check_unused(machine, pf, error);
}

static bool read_eswitch(const struct setup_machine *machine, const char *object, struct devlink_eswitch *ret)
{
	_cleanup_(genl_close) struct genl *devlink = machine->open_genl("devlink", NULL);
	g_autofree char *handle = devlink_handle(object);

	return devlink && devlink_read_eswitch(devlink, handle, ret, NULL);
}

static bool write_eswitch(const struct setup_machine *machine, const char *object,
	enum devlink_setting setting, const char *text, GError **error)
{
	_cleanup_(genl_close) struct genl *devlink = machine->open_genl("devlink", error);
	g_autofree char *handle = devlink_handle(object);

	return devlink && devlink_write_eswitch(devlink, handle, setting, text, error);
}

static char *read_mode(const struct setup_machine *machine, const char *object)
{
	struct devlink_eswitch eswitch;

	return read_eswitch(machine, object, &eswitch) ? g_strdup(eswitch.mode) : NULL;
}

/* Drivers change it only while there are no VFs, or none that is bound: those that are there are taken away and made again,
 * whatever comes of it. */
static bool write_mode(
	const struct setup_machine *machine, const char *object, const char *text, GError **error)
{
	g_autoptr(GPtrArray) inventory = inventory_read(machine->root);
	const struct nic_pf *pf = setup_find_pf(inventory, object);
	unsigned number = pf ? pf->num_vfs : 0;
	_cleanup_(sriov_ledger_unlock) int lock = -1;

	if (!pf)
		return fault_set(error, FAULT_NOT_FOUND, "there is no %s any more", object);
	if (number && (!lock_unused(machine, pf, &lock, error) || !put_vfs(machine, object, 0, error)))
		return false;
	bool ok = write_eswitch(machine, object, DEVLINK_MODE, text, error);
	return (!number || (put_vfs(machine, object, number, ok ? error : NULL) &&
				   wait_for_vfs(machine, object, number, ok ? error : NULL))) &&
	       ok;
}

/* A NIC that needs none of a packet's headers matches all of them. */
static char *read_inline_mode(const struct setup_machine *machine, const char *object)
{
	struct devlink_eswitch eswitch;

	if (!read_eswitch(machine, object, &eswitch))
		return NULL;
	bool needs_none = !eswitch.inline_mode || g_str_equal(eswitch.inline_mode, "none");
	return g_strdup(needs_none ? DEVLINK_INLINE_WANTED : eswitch.inline_mode);
}

static bool write_inline_mode(
	const struct setup_machine *machine, const char *object, const char *text, GError **error)
{
	return write_eswitch(machine, object, DEVLINK_INLINE_MODE, text, error);
}

static char *read_encap_mode(const struct setup_machine *machine, const char *object)
{
	struct devlink_eswitch eswitch;

	if (!read_eswitch(machine, object, &eswitch))
		return NULL;
	return g_strdup(eswitch.encap_mode ? eswitch.encap_mode : DEVLINK_ENCAP_WANTED);
}

static bool write_encap_mode(
	const struct setup_machine *machine, const char *object, const char *text, GError **error)
{
	return write_eswitch(machine, object, DEVLINK_ENCAP_MODE, text, error);
}

/* ---- interfaces ---- */

static char *netdev_of(const struct setup_machine *machine, const char *address)
{
	g_autoptr(GPtrArray) inventory = inventory_read(machine->root);
	const struct nic_pf *pf = setup_find_pf(inventory, address);

	return g_strdup(pf ? pf->netdev : NULL);
}

static bool lacks_netdev(const char *address, GError **error)
{
	return fault_set(error, FAULT_NOT_FOUND,
		"%s has no interface here: no driver has it, or it is in another namespace", address);
}

/* ---- tc offload ---- */

/* With the representors of VFs. */
static GPtrArray *read_inventory(const struct setup_machine *machine)
{
	_cleanup_(genl_close) struct genl *devlink = machine->open_genl("devlink", NULL);
	GPtrArray *inventory = inventory_read(machine->root);

	inventory_add_eswitches(inventory, devlink);
	return inventory;
}

/* Owned by the caller; NULL: the kernel does not tell. */
static char *offload_word(enum ethtool_feature feature)
{
	return g_strdup(feature == ETHTOOL_ON       ? "on"
			: feature == ETHTOOL_OFF    ? "off"
			: feature == ETHTOOL_ABSENT ? SETUP_FIXED_OFF
						    : NULL);
}

static char *read_offload(const struct setup_machine *machine, const char *object)
{
	_cleanup_(genl_close) struct genl *ethtool = machine->open_genl("ethtool", NULL);
	g_autofree char *netdev = netdev_of(machine, object);

	return ethtool && netdev ? offload_word(ethtool_feature(ethtool, netdev, ETHTOOL_TC_OFFLOAD)) : NULL;
}

/* Turned off, the NIC would no longer carry what VFs in use have it carry: so not under these. */
static bool write_offload(
	const struct setup_machine *machine, const char *object, const char *text, GError **error)
{
	g_autoptr(GPtrArray) inventory = inventory_read(machine->root);
	const struct nic_pf *pf = setup_find_pf(inventory, object);
	bool on = g_strcmp0(text, "on") == 0;
	_cleanup_(genl_close) struct genl *ethtool = machine->open_genl("ethtool", error);
	_cleanup_(sriov_ledger_unlock) int lock = -1;

	if (!ethtool)
		return false;
	if (!pf || !pf->netdev)
		return lacks_netdev(object, error);
	return (on || lock_unused(machine, pf, &lock, error)) &&
	       ethtool_set_feature(ethtool, pf->netdev, ETHTOOL_TC_OFFLOAD, on, error);
}

/* What the worst of those that are there has. */
static char *read_representors(const struct setup_machine *machine, const char *object)
{
	_cleanup_(genl_close) struct genl *ethtool = machine->open_genl("ethtool", NULL);
	g_autoptr(GPtrArray) inventory = read_inventory(machine);
	const struct nic_pf *pf = setup_find_pf(inventory, object);
	enum ethtool_feature worst = ETHTOOL_UNKNOWN;

	for (guint i = 0; ethtool && pf && i < pf->vfs->len; i++) {
		const struct nic_vf *vf = pf->vfs->pdata[i];
		if (vf->representor)
			worst = MAX(worst, ethtool_feature(ethtool, vf->representor, ETHTOOL_TC_OFFLOAD));
	}
	return offload_word(worst);
}

static unsigned count_representors(const struct nic_pf *pf)
{
	unsigned n = 0;

	for (guint i = 0; i < pf->vfs->len; i++)
		n += ((const struct nic_vf *)pf->vfs->pdata[i])->representor != NULL;
	return n;
}

/* Whether all VFs of the PF have representors; false with *error when there will be none, or time is over. */
static bool has_representors(
	const struct setup_machine *machine, const struct nic_pf *pf, bool is_over, GError **error)
{
	unsigned lack = pf->vfs->len - count_representors(pf);

	if (!pf->vfs->len)
		return fault_set(
			error, FAULT_NOT_FOUND, "%s has no VFs, and so no representors", pf->address);
	if (!lack)
		return true;
	return is_over &&
	       fault_set(error, FAULT_TIMEOUT,
		       "%u of the %u VFs of %s have no representor here after %u s: bring them back from "
		       "other network namespaces, or see dmesg",
		       lack, pf->vfs->len, pf->address, machine->wait_ms / 1000);
}

/* The inventory once they have: they may come after the VFs. Owned by the caller; NULL with *error. */
static GPtrArray *wait_for_representors(
	const struct setup_machine *machine, const char *address, GError **error)
{
	gint64 end = g_get_monotonic_time() + machine->wait_ms * INT64_C(1000);

	for (;; g_usleep(POLL_US)) {
		g_autoptr(GPtrArray) inventory = read_inventory(machine);
		const struct nic_pf *pf = setup_find_pf(inventory, address);
		g_autoptr(GError) cause = NULL;
		if (!pf)
			fault_set(&cause, FAULT_NOT_FOUND, "there is no %s any more", address);
		else if (has_representors(machine, pf, g_get_monotonic_time() > end, &cause))
			return g_steal_pointer(&inventory);
		if (cause) {
			g_propagate_error(error, g_steal_pointer(&cause));
			return NULL;
		}
	}
}

/* Those of one PF are set alike; before us they were as well, unless by hand. */
static bool write_representors(
	const struct setup_machine *machine, const char *object, const char *text, GError **error)
{
	bool on = g_strcmp0(text, "on") == 0;
	g_autoptr(GPtrArray) inventory =
		on ? wait_for_representors(machine, object, error) : read_inventory(machine);
	const struct nic_pf *pf = inventory ? setup_find_pf(inventory, object) : NULL;
	_cleanup_(genl_close) struct genl *ethtool = pf ? machine->open_genl("ethtool", error) : NULL;
	_cleanup_(sriov_ledger_unlock) int lock = -1;

	if (!ethtool || (!on && !lock_unused(machine, pf, &lock, error)))
		return false;
	for (guint i = 0; i < pf->vfs->len; i++) {
		const char *representor = ((const struct nic_vf *)pf->vfs->pdata[i])->representor;
		if (representor && !ethtool_set_feature(ethtool, representor, ETHTOOL_TC_OFFLOAD, on, error))
			return false;
	}
	return true;
}

/* ---- links ---- */

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
		return lacks_netdev(object, error);
	if (!up && machine->has_address(netdev))
		return fault_set(error, FAULT_IN_USE, "%s is not set down: it has addresses", netdev);
	return machine->set_link(netdev, up, error);
}

/* ---- the table ---- */

const struct setup_kind_ops setup_kinds[] = {
	[SETUP_FILE] = {"file", read_file, write_file},
	[SETUP_ATTRIBUTE] = {"attribute", read_attribute, write_attribute},
	[SETUP_MODE] = {"mode", read_mode, write_mode},
	[SETUP_INLINE_MODE] = {"inline-mode", read_inline_mode, write_inline_mode},
	[SETUP_ENCAP_MODE] = {"encap-mode", read_encap_mode, write_encap_mode},
	[SETUP_OFFLOAD] = {"tc-offload", read_offload, write_offload},
	[SETUP_REPRESENTORS] = {"representors", read_representors, write_representors},
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
