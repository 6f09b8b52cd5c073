/* One NIC's acceleration: what is, and what is wanted. */
#include "agent/accel_priv.h"

struct ledger_nic *accel_record(const struct accel *a)
{
	return ledger_find_nic(a->agent->ledger, a->uid);
}

const struct goal_nic *accel_goal(const struct accel *a)
{
	return agent_goal_nic(a->agent, a->uid);
}

enum accel_state accel_state(const struct accel *a)
{
	const struct ledger_nic *record = accel_record(a);

	return record ? (enum accel_state)record->state : ACCEL_OFF;
}

bool accel_holds(const struct accel *a)
{
	return accel_state(a) != ACCEL_OFF;
}

struct vm_machine *accel_machine(const struct accel *a)
{
	const struct goal_nic *goal = accel_goal(a);
	const char *vm = accel_state(a) != ACCEL_OFF ? accel_record(a)->vm : goal ? goal->vm : NULL;

	return vm ? g_hash_table_lookup(a->agent->machines, vm) : NULL;
}

bool accel_machine_is_off(const struct accel *a)
{
	const struct vm_machine *machine = accel_machine(a);

	return !machine || vm_machine_is_off(machine);
}

int64_t accel_function_frames(const struct accel *a)
{
	const struct switch_nic *port = switch_link_nic(a->agent->link, a->uid);

	return port && port->function.present ? port->function.rx_packets : 0;
}

bool accel_guest_is_ready(const struct accel *a)
{
	const struct switch_nic *port = switch_link_nic(a->agent->link, a->uid);

	return port && port->synthetic.present && port->synthetic.state == SWITCH_PORT_READY;
}

bool accel_guest_went_away(const struct accel *a)
{
	const struct switch_nic *port = switch_link_nic(a->agent->link, a->uid);

	return port && port->synthetic.present && port->synthetic.state == SWITCH_PORT_WAITING;
}

static const struct goal_subnet *find_subnet(const struct goal *goal, const char *uid)
{
	for (guint i = 0; i < list_length(goal->networks); i++) {
		const struct goal_network *network = goal->networks->pdata[i];
		for (guint j = 0; j < list_length(network->subnets); j++) {
			const struct goal_subnet *subnet = network->subnets->pdata[j];
			if (g_strcmp0(subnet->uid, uid) == 0)
				return subnet;
		}
	}
	return NULL;
}

/* A NIC with no group, on it or its subnet, allows everything. */
static enum nic_policy policy_of(const struct accel *a, const struct goal_nic *nic)
{
	const struct goal_subnet *subnet = find_subnet(a->agent->goal, nic->subnet);
	bool grouped = nic->security_group || (subnet && subnet->security_group);

	return grouped ? NIC_POLICY_OTHER : NIC_POLICY_ALLOW_ALL;
}

bool accel_is_entitled(const struct accel *a, const char **ret_reason)
{
	const struct goal_nic *goal = accel_goal(a);
	const struct ledger_nic *record = accel_record(a);
	const struct nic_provider *provider = a->agent->provider;

	enum nic_enforcer enforcer;

	*ret_reason = NULL;
	if (!goal || !goal->accelerated)
		return false;
	if (!provider)
		*ret_reason = "This host has no functions to give.";
	else if (a->agent->ledger->drained)
		*ret_reason = "Its host is drained for maintenance; `sluice host undrain` there ends that.";
	else if (record && record->revoked)
		*ret_reason = "The operator has revoked its function.";
	else
		return nic_caps_allow(
			provider->caps, NIC_SEGMENT_VXLAN, policy_of(a, goal), false, &enforcer, ret_reason);
	return false;
}

bool accel_is_wanted(const struct accel *a)
{
	const struct vm_machine *machine = accel_machine(a);
	const struct ledger_nic *record = accel_record(a);
	const struct goal_nic *goal = accel_goal(a);
	const char *reason;

	if (!machine || !vm_machine_is_up(machine) || !accel_is_entitled(a, &reason))
		return false;
	return accel_state(a) == ACCEL_OFF || g_strcmp0(record->vm, goal->vm) == 0;
}
