/* What is common to all VM managers: the spec's life and its checks. */
#include "vm/vm.h"

#include "base/fault.h"
#include "vm/events.h"

#include <stdio.h>
#include <string.h>

#define NIC_UID_MAX  64
#define VLAN_MAX     4094
#define PCI_TEXT_MAX 16

const char *vm_state_name(enum vm_state state)
{
	static const char *const names[] = {
		[VM_ABSENT] = "absent",
		[VM_STOPPED] = "stopped",
		[VM_RUNNING] = "running",
		[VM_CRASHED] = "crashed",
	};

	return names[state];
}

void vm_nic_free(struct vm_nic *nic)
{
	if (!nic)
		return;
	g_free(nic->uid);
	g_free(nic->vhost_socket);
	g_free(nic);
}

struct vm_spec *vm_spec_new(void)
{
	struct vm_spec *spec = g_new0(struct vm_spec, 1);

	spec->nics = g_ptr_array_new_with_free_func((GDestroyNotify)vm_nic_free);
	return spec;
}

void vm_spec_free(struct vm_spec *spec)
{
	if (!spec)
		return;
	g_free(spec->uid);
	g_free(spec->name);
	g_free(spec->image);
	g_free(spec->directory);
	g_ptr_array_unref(spec->nics);
	g_free(spec);
}

void vm_info_free(struct vm_info *info)
{
	if (!info)
		return;
	g_free(info->uid);
	g_free(info->detail);
	g_free(info);
}

void vm_host_clear(struct vm_host *host)
{
	g_free(host->accel_detail);
	g_free(host->version);
	*host = (struct vm_host){};
}

void vm_manager_close(struct vm_manager *manager)
{
	if (manager)
		manager->ops->close(manager);
}

/* NIC uids are parts of device aliases, which libvirt and QEMU restrict. */
static bool is_alias_word(const char *uid)
{
	size_t length = uid ? strlen(uid) : 0;

	return length > 0 && length <= NIC_UID_MAX &&
	       strspn(uid, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "-_") == length;
}

static bool is_unicast(struct mac_addr mac)
{
	const struct mac_addr zero = {};

	return memcmp(&mac, &zero, sizeof zero) != 0 && !(mac.bytes[0] & 1);
}

static bool check_nic(const struct vm_spec *spec, const struct vm_nic *nic, GError **error)
{
	if (!is_alias_word(nic->uid))
		return fault_set(error, FAULT_INVALID,
			"vm %s: '%s' is no uid of a NIC; 1 to %d letters, digits, '-' and '_' are",
			spec->name, nic->uid ? nic->uid : "", NIC_UID_MAX);
	if (!is_unicast(nic->mac))
		return fault_set(error, FAULT_INVALID, "vm %s: NIC %s needs a unicast MAC address",
			spec->name, nic->uid);
	if (nic->queues < 1)
		return fault_set(error, FAULT_INVALID, "vm %s: NIC %s needs at least one queue pair",
			spec->name, nic->uid);
	if (!nic->vhost_socket || !g_path_is_absolute(nic->vhost_socket))
		return fault_set(error, FAULT_INVALID,
			"vm %s: NIC %s needs the absolute path of its vhost-user socket", spec->name,
			nic->uid);
	if (strlen(nic->vhost_socket) > VM_SOCKET_PATH_MAX)
		return fault_set(error, FAULT_INVALID,
			"vm %s: the socket path %s is longer than %d bytes; use a shorter state folder",
			spec->name, nic->vhost_socket, VM_SOCKET_PATH_MAX);
	return true;
}

bool vm_spec_check(const struct vm_spec *spec, GError **error)
{
	if (!spec->name || !*spec->name)
		return fault_set(error, FAULT_INVALID, "a VM needs a name");
	if (!spec->uid || !g_uuid_string_is_valid(spec->uid))
		return fault_set(error, FAULT_INVALID, "vm %s: '%s' is no UUID", spec->name,
			spec->uid ? spec->uid : "");
	if (spec->vcpus < 1 || spec->memory_mib < 1)
		return fault_set(error, FAULT_INVALID, "vm %s needs at least one vCPU and 1 MiB of memory",
			spec->name);
	if (!spec->image)
		return fault_set(error, FAULT_INVALID, "vm %s names no image", spec->name);
	if (!spec->directory || !g_path_is_absolute(spec->directory))
		return fault_set(
			error, FAULT_INVALID, "vm %s needs the absolute path of its directory", spec->name);
	if (strlen(spec->directory) + strlen("/" VM_CONSOLE_SOCKET) > VM_SOCKET_PATH_MAX)
		return fault_set(error, FAULT_INVALID,
			"vm %s: sockets in %s would have paths longer than %d bytes; use a shorter state "
			"folder",
			spec->name, spec->directory, VM_SOCKET_PATH_MAX);
	for (guint i = 0; i < spec->nics->len; i++)
		if (!check_nic(spec, spec->nics->pdata[i], error))
			return false;
	return true;
}

void vm_migration_paths_clear(struct vm_migration_paths *paths)
{
	g_free(paths->manager);
	g_free(paths->memory);
	g_free(paths->disk);
	*paths = (struct vm_migration_paths){};
}

bool vm_pci_parse(const char *text, struct vm_pci *ret)
{
	char again[PCI_TEXT_MAX];
	struct vm_pci pci;

	if (sscanf(text, "%4x:%2x:%2x.%1x", &pci.domain, &pci.bus, &pci.slot, &pci.function) != 4)
		return false;
	/* Only what is written so: sscanf takes signs, spaces and less digits too. */
	g_snprintf(again, sizeof again, "%04x:%02x:%02x.%x", pci.domain, pci.bus, pci.slot, pci.function);
	if (!g_str_equal(text, again) || pci.slot > 0x1f || pci.function > 7)
		return false;
	*ret = pci;
	return true;
}

bool vm_primary_check(const struct vm_primary *primary, GError **error)
{
	struct vm_pci pci;

	if (!is_alias_word(primary->nic_uid))
		return fault_set(error, FAULT_INVALID, "a primary needs the uid of its NIC");
	if (!is_unicast(primary->mac))
		return fault_set(error, FAULT_INVALID, "the primary of NIC %s needs a unicast MAC address",
			primary->nic_uid);
	if (!primary->tap == !primary->pci)
		return fault_set(error, FAULT_INVALID,
			"the primary of NIC %s is either on a tap or a function with a PCI address",
			primary->nic_uid);
	if (primary->pci && !vm_pci_parse(primary->pci, &pci))
		return fault_set(error, FAULT_INVALID,
			"the primary of NIC %s: '%s' is no PCI address; '0000:3b:10.0' is one",
			primary->nic_uid, primary->pci);
	if (primary->vlan > (primary->pci ? VLAN_MAX : 0))
		return fault_set(error, FAULT_INVALID, "the primary of NIC %s cannot be on VLAN %u",
			primary->nic_uid, primary->vlan);
	return true;
}
