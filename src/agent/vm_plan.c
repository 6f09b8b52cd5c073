/* From a VM of the goal to the spec of a machine. */
#include "agent/vm_plan.h"

#include "base/fault.h"

static bool add_nic(struct vm_spec *spec, const struct goal_nic *nic, const struct switch_site *site,
	bool accelerates, GError **error)
{
	struct vm_nic *out = g_new0(struct vm_nic, 1);

	g_ptr_array_add(spec->nics, out);
	out->uid = g_strdup(nic->uid);
	out->mtu = 1500;
	out->vhost_socket = switch_state_socket(site, nic->uid);
	out->teamed = accelerates && nic->accelerated;
	out->queues = 1;
	return mac_parse(nic->mac, &out->mac) == 0 ||
	       fault_set(error, FAULT_INVALID, "NIC %s: '%s' is no MAC address", nic->name, nic->mac);
}

/* Adds those NICs of the VM that are primary, or those that are not. */
static bool add_nics(struct vm_spec *spec, const struct goal *goal, bool primary,
	const struct switch_site *site, bool accelerates, GError **error)
{
	for (guint i = 0; i < list_length(goal->nics); i++) {
		const struct goal_nic *nic = goal->nics->pdata[i];
		if (g_strcmp0(nic->vm, spec->uid) != 0 || nic->primary != primary)
			continue;
		if (!add_nic(spec, nic, site, accelerates, error))
			return false;
	}
	return true;
}

struct vm_spec *vm_plan_build(const struct goal *goal, const struct goal_vm *vm,
	const struct switch_site *site, const char *vm_dir, bool accelerates, GError **error)
{
	struct vm_spec *spec = vm_spec_new();

	spec->uid = g_strdup(vm->uid);
	spec->name = g_strdup(vm->name);
	spec->vcpus = (uint32_t)vm->vcpus;
	spec->memory_mib = (uint64_t)vm->memory_mib;
	spec->image = g_strdup(vm->image);
	spec->directory = g_build_filename(vm_dir, vm->uid, NULL);
	spec->disk_gib = (uint64_t)MAX(vm->disk_gib, 0);
	if (add_nics(spec, goal, true, site, accelerates, error) &&
		add_nics(spec, goal, false, site, accelerates, error))
		return spec;
	vm_spec_free(spec);
	return NULL;
}
