/* One NIC's acceleration: what is, and what is wanted. */
#include "agent/accel_policy.h"
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

bool accel_is_bypass(const struct ledger_nic *record)
{
	return record->physical || record->representor;
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

int64_t accel_damped_until_us(const struct accel *a)
{
	int64_t left_ms = damping_left_ms(accel_record(a), g_get_real_time() / 1000);

	return left_ms > 0 ? g_get_monotonic_time() + left_ms * 1000 : 0;
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

bool accel_lacks_port(const struct accel *a)
{
	const struct switch_nic *port = switch_link_nic(a->agent->link, a->uid);

	return port && port->function.present && port->function.state == SWITCH_PORT_FAILED &&
	       !accel_is_bypass(accel_record(a));
}

bool accel_is_offloaded(const struct accel *a)
{
	const struct switch_nic *port = switch_link_nic(a->agent->link, a->uid);

	return accel_record(a)->representor && port && port->offloaded;
}

int64_t accel_standby_frames(const struct accel *a)
{
	const struct switch_nic *port = switch_link_nic(a->agent->link, a->uid);

	return port && port->synthetic.present ? port->synthetic.rx_packets : 0;
}

const struct goal_network *accel_network(const struct accel *a)
{
	const struct goal_nic *goal = accel_goal(a);

	return goal ? agent_goal_network(a->agent, goal->network) : NULL;
}

bool accel_provider_bypasses(const struct accel *a)
{
	return a->agent->provider && a->agent->provider->caps->bypass;
}

const char *accel_physical(const struct accel *a)
{
	const struct goal_network *network = accel_network(a);

	if (!network || !accel_provider_bypasses(a))
		return NULL;
	const struct switch_physical *tunnels = switch_site_vxlans(&a->agent->config.site);
	return network->physical ? network->physical : tunnels ? tunnels->name : NULL;
}

/* The rules are many, and looked at often: what they amount to is kept. */
void accel_goal_changed(struct accel *a)
{
	const struct goal_nic *goal = accel_goal(a);

	a->policy = NIC_POLICY_OTHER;
	if (goal && accel_provider_bypasses(a) && accel_network(a) && accel_network(a)->physical)
		a->policy = accel_policy_of(a->agent->goal, goal);
}

/* Why this host cannot give a function for the network, of a NIC that passes it; NULL: it can. What a NIC has it keeps while the
 * host's devices are away. */
static const char *physical_obstacle(const struct accel *a, const struct goal_network *network)
{
	const struct switch_site *site = &a->agent->config.site;
	const struct switch_physical *physical = switch_site_physical(site, accel_physical(a));

	if (!physical && !network->physical)
		return site->underlay && site->underlay->kernel
			       ? "Its network is a vxlan segment, and its host's underlay leaves by no NIC "
				 "in switchdev mode that the host file names."
			       : "Its network is a vxlan segment, and its host's underlay is the switch's "
				 "own, so that no NIC can put packets into tunnels there; --underlay-address "
				 "host changes that, where it leaves by a NIC in switchdev mode.";
	if (!physical)
		return "Its network is on a physical network that this host is not on.";
	if (physical->absent && !accel_holds(a))
		return "Its physical network has no VFs on this host now, as none of its devices is there; "
		       "`sluice status` there says more.";
	return NULL;
}

/* The guest applies the rules: it must have said so before it gets a function, and keeps the one that it has until its time
 * to follow a change is over. */
static bool guest_enforces(const struct accel *a, const char **ret_reason)
{
	int64_t until = guest_policy_deadline_us(a->agent, a->uid);
	bool current = guest_policy_state(a->agent, a->uid) == GUEST_POLICY_CURRENT;

	*ret_reason = guest_policy_sentence(a->agent, a->uid);
	if (!current && !accel_row(accel_state(a))->in_guest)
		return false;
	if (until <= g_get_monotonic_time())
		return false;
	agent_wake_at(a->agent, until);
	return true;
}

bool accel_is_permitted(const struct accel *a, enum nic_enforcer *ret_enforcer, const char **ret_reason)
{
	const struct goal_network *network = accel_network(a);
	const struct nic_provider *provider = a->agent->provider;
	enum nic_segment segment = network && network->physical ? NIC_SEGMENT_VLAN : NIC_SEGMENT_VXLAN;

	*ret_reason = "This host has no functions to give.";
	if (!provider)
		return false;
	bool passes = provider->caps->bypass && (segment == NIC_SEGMENT_VLAN || provider->caps->tunnels);
	*ret_reason = passes && network ? physical_obstacle(a, network) : NULL;
	if (*ret_reason)
		return false;
	if (nic_caps_allow(provider->caps, segment, a->policy, accel_goal(a)->guest_enforcement, ret_enforcer,
		    ret_reason))
		return *ret_enforcer != NIC_ENFORCER_GUEST || guest_enforces(a, ret_reason);
	if (segment == NIC_SEGMENT_VLAN && !accel_goal(a)->guest_enforcement)
		*ret_reason = "Its security groups do more than allow everything, which the host's functions "
			      "cannot "
			      "enforce, and operator and NIC have not both let its guest do so.";
	return false;
}

bool accel_is_entitled(const struct accel *a, const char **ret_reason)
{
	const struct goal_nic *goal = accel_goal(a);
	const struct ledger_nic *record = accel_record(a);
	enum nic_enforcer enforcer;

	*ret_reason = NULL;
	if (!goal || !goal->accelerated)
		return false;
	const char *bar = migration_bar(a->agent, goal->vm);
	if (!a->agent->provider)
		*ret_reason = "This host has no functions to give.";
	else if (a->agent->ledger->drained && (!accel_holds(a) || drain_is_due(a->agent, record->vm)))
		*ret_reason = "Its host is drained for maintenance; `sluice host undrain` there ends that.";
	else if (bar)
		*ret_reason = bar;
	else if (record && record->revoked && !accel_has_notice(a))
		*ret_reason = "The operator has revoked its function.";
	else if (accel_is_permitted(a, &enforcer, ret_reason)) {
		*ret_reason = NULL; /* the guest's time to follow a change of rules is none yet */
		return true;
	}
	return false;
}

/* Scheduled events are found by it. Owned by the caller. */
static char *notice_key(const struct accel *a)
{
	return g_strdup_printf("revoke %s", a->uid);
}

bool accel_has_notice(const struct accel *a)
{
	const struct ledger_nic *record = accel_record(a);
	g_autofree char *key = notice_key(a);

	if (!record || !record->revoked || record->revoke_due_s == 0 || !accel_holds(a))
		return false;
	const struct notice notice = {.vm = record->vm, .key = key, .due_s = record->revoke_due_s};
	return !notice_is_due(a->agent, &notice);
}

void accel_tell_guest(struct accel *a)
{
	const struct ledger_nic *record = accel_record(a);
	const struct goal_nic *goal = accel_goal(a);
	g_autofree char *key = notice_key(a);

	if (!record || !record->vm || !agent_goal_vm(a->agent, record->vm))
		return;
	g_autofree char *description = g_strdup_printf(
		"Accelerated networking of %s is off until further notice; connections go on.",
		goal ? goal->name : a->uid);
	const struct notice notice = {record->vm, key, description, record->revoke_due_s};
	if (record->revoked && accel_holds(a))
		notice_give(a->agent, &notice);
	else
		notice_end(a->agent, record->vm, key);
}

/* Functions of the provider, claimed now, would have representors. */
static bool provider_represents(const struct accel *a)
{
	return a->agent->provider && a->agent->provider->caps->representors;
}

/* The function is of the kind, and for the place on the wire, that the goal's NIC would get one for now. */
static bool is_claimed_for(const struct accel *a, const struct goal_nic *goal)
{
	const struct ledger_nic *record = accel_record(a);
	const struct goal_network *network = accel_network(a);
	bool bypass = accel_provider_bypasses(a);

	if (record->function && !record->representor != !provider_represents(a))
		return false;
	return network && g_strcmp0(record->vm, goal->vm) == 0 && g_strcmp0(record->mac, goal->mac) == 0 &&
	       g_strcmp0(record->physical, accel_physical(a)) == 0 &&
	       record->vlan == (bypass ? network->vlan : 0);
}

bool accel_is_wanted(const struct accel *a)
{
	const struct vm_machine *machine = accel_machine(a);
	const char *reason;

	if (!machine || !vm_machine_is_up(machine) || !accel_is_entitled(a, &reason))
		return false;
	return accel_state(a) == ACCEL_OFF || is_claimed_for(a, accel_goal(a));
}

bool accel_is_forced(const struct accel *a)
{
	const struct ledger *ledger = a->agent->ledger;

	return accel_record(a)->forced || (ledger->drained && ledger->drain_forced) || accel_is_exposed(a);
}

bool accel_is_exposed(const struct accel *a)
{
	const struct ledger_nic *record = accel_record(a);
	const struct goal_nic *goal = accel_goal(a);
	enum nic_enforcer enforcer;
	const char *reason;

	/* What passes a representor, or the eswitch in its place, does so as the switch decides. */
	if (!record || !record->physical || record->representor || !accel_row(accel_state(a))->in_guest ||
		a->cut)
		return false;
	if (!goal || !is_claimed_for(a, goal) || !accel_is_permitted(a, &enforcer, &reason))
		return true;
	return enforcer == NIC_ENFORCER_GUEST && guest_policy_state(a->agent, a->uid) != GUEST_POLICY_CURRENT;
}

bool accel_is_heard(const struct accel *a)
{
	return accel_row(accel_state(a))->heard;
}

bool accel_keeps_to_standby(struct accel *a)
{
	const struct agent_times *times = &a->agent->config.times;
	int64_t now = g_get_monotonic_time(), frames = accel_standby_frames(a);
	bool sends = frames > a->standby_frames;
	/* A new function takes its guest a while, one that it has used does not. */
	bool fresh = a->entered_us[ACCEL_ON] <= a->entered_us[ACCEL_PLUGGING] &&
		     now - a->entered_us[ACCEL_COPYING] < (int64_t)times->first_frame_ms * 1000;

	a->standby_frames = frames;
	if (!sends || !accel_is_bypass(accel_record(a)) || fresh)
		return false;
	if (a->standby_since_us == 0)
		a->standby_since_us = now;
	return now - a->standby_since_us >= (int64_t)times->no_driver_ms * 1000;
}

bool accel_strays_to_standby(struct accel *a)
{
	int64_t now = g_get_monotonic_time(), frames = accel_standby_frames(a);
	bool sends = frames > a->standby_frames;

	a->standby_frames = frames;
	if (a->entered_us[ACCEL_ON] == 0) /* by an earlier process */
		a->entered_us[ACCEL_ON] = now;
	return sends && accel_is_bypass(accel_record(a)) &&
	       now - a->entered_us[ACCEL_ON] >= (int64_t)a->agent->config.times.first_frame_ms * 1000;
}

bool accel_is_heard_by_function(const struct accel *a)
{
	const struct switch_nic *port = switch_link_nic(a->agent->link, a->uid);
	bool asked = a->confirmed_us[ACCEL_COPYING] != 0; /* an earlier answer was to an earlier question */
	int64_t copying_us = g_get_monotonic_time() - a->entered_us[ACCEL_COPYING];

	if (port && port->function.answered && asked)
		return true;
	return accel_function_frames(a) > a->baseline &&
	       (!accel_provider_bypasses(a) || accel_record(a)->representor ||
		       copying_us > (int64_t)a->agent->config.times.first_frame_ms * 1000);
}
