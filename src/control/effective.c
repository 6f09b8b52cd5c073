/* What a NIC that is in use is subject to: its rules and its routes. */
#include "base/fault.h"
#include "control/control_priv.h"

/* A NIC of a machine that does not run has no packets, and no host has been told of it. */
static bool check_runs(struct control *control, const struct nic *nic, GError **error)
{
	_cleanup_(model_free) struct vm *vm =
		nic->status.vm ? control_get(control, KIND_VM, nic->status.vm, NULL) : NULL;

	if (!vm)
		return fault_set(error, FAULT_NOT_ALLOWED,
			"Network interface %s is not attached to a virtual machine; what is in effect can be "
			"seen while one runs with it",
			nic->meta.name);
	return vm->status.power == POWER_STATE_RUNNING ||
	       fault_set(error, FAULT_NOT_ALLOWED,
		       "Network interface %s is attached to virtual machine %s, which is not running; start "
		       "it to see what is in effect",
		       nic->meta.name, vm->meta.name);
}

struct goal *control_nic_policy(struct control *control, const struct nic *nic, GError **error)
{
	return check_runs(control, nic, error) ? goal_of_nic(control, nic, error) : NULL;
}

GPtrArray *control_nic_routes(struct control *control, const struct nic *nic, GError **error)
{
	if (!check_runs(control, nic, error))
		return NULL;
	const struct nic_config *first = nic->spec.configs->pdata[0];
	_cleanup_(model_free) struct network *network =
		control_get(control, KIND_NETWORK, first->network, error);
	const struct subnet *subnet = network ? network_find_subnet(network, first->subnet) : NULL;
	_cleanup_(model_free) struct route_table *table = NULL;

	if (!subnet)
		return NULL;
	if (subnet->route_table &&
		!(table = control_get(control, KIND_ROUTE_TABLE, subnet->route_table, error)))
		return NULL;
	return route_table_effective(network, table);
}
