/* Which changes wait for NICs that pass their host by rules that hold no more, and for hosts that do not report.
 *
 * A host says that it has applied a goal when its switch has, and names beside that the NICs whose guests pass the switch
 * by a function that the goal does not allow them any more. Only a change that is about such a NIC waits for it: one
 * guest must not hold up others. The host cuts the function off when the guest has had its time.
 *
 * Likewise a host whose agent is silent holds up a change only to what its NICs and load balancers use. What that is says
 * the store as it is behind the change; of a NIC that may have left something (an application group, a pool) it does not,
 * so there every host waits that has such things of the NIC's network.
 */
#include "control/control_priv.h"

static bool has_uid(const GPtrArray *uids, const char *uid)
{
	return uids && g_ptr_array_find_with_equal_func((GPtrArray *)uids, uid, g_str_equal, NULL);
}

static bool names_application_group(const struct security_group *group, const char *uid)
{
	for (guint i = 0; i < list_length(group->spec.rules); i++) {
		const struct rule *rule = group->spec.rules->pdata[i];
		if (has_uid(rule->source.application_groups, uid) ||
			has_uid(rule->destination.application_groups, uid))
			return true;
	}
	return false;
}

/* group: uid of a security group that the NIC is subject to, or NULL. */
static bool is_of_group(struct control *control, const char *group, const struct operation_spec *what)
{
	if (!group || what->target_kind == KIND_SECURITY_GROUP)
		return g_strcmp0(group, what->target) == 0;
	if (what->target_kind != KIND_APPLICATION_GROUP)
		return false;
	_cleanup_(model_free) struct security_group *rules =
		control_get(control, KIND_SECURITY_GROUP, group, NULL);
	return rules && names_application_group(rules, what->target);
}

static bool is_of_config(
	struct control *control, const struct nic_config *config, const struct operation_spec *what)
{
	if (g_strcmp0(config->network, what->target) == 0 || g_strcmp0(config->address, what->target) == 0 ||
		has_uid(config->application_groups, what->target))
		return true;
	_cleanup_(model_free) struct network *network =
		control_get(control, KIND_NETWORK, config->network, NULL);
	const struct subnet *subnet = network ? network_find_subnet(network, config->subnet) : NULL;
	return subnet && (g_strcmp0(subnet->route_table, what->target) == 0 ||
				 is_of_group(control, subnet->security_group, what));
}

/* Whether the operation's target is the NIC, or among what its policy is made of. */
static bool is_about(struct control *control, const struct operation_spec *what, const char *uid)
{
	if (g_strcmp0(what->target, uid) == 0)
		return true;
	_cleanup_(model_free) struct nic *nic = control_get(control, KIND_NIC, uid, NULL);
	if (!nic)
		return false;
	for (guint i = 0; i < list_length(nic->spec.configs); i++)
		if (is_of_config(control, nic->spec.configs->pdata[i], what))
			return true;
	return is_of_group(control, nic->spec.security_group, what);
}

static char *describe(
	struct control *control, const struct report *report, const struct report_exposure *exposed)
{
	_cleanup_(model_free) struct nic *nic = control_get(control, KIND_NIC, exposed->nic, NULL);
	_cleanup_(model_free) struct vm *vm = control_get(control, KIND_VM, exposed->vm, NULL);

	return g_strdup_printf("host %s has not applied it to network interface %s of virtual machine %s: %s",
		report->host, nic ? nic->meta.name : exposed->nic, vm ? vm->meta.name : exposed->vm,
		exposed->reason);
}

char *exposure_behind(struct control *control, const struct report *report, const struct operation *operation)
{
	for (guint i = 0; i < list_length(report->exposed); i++) {
		const struct report_exposure *exposed = report->exposed->pdata[i];
		if (is_about(control, &operation->spec, exposed->nic))
			return describe(control, report, exposed);
	}
	return NULL;
}

/* ---- hosts that do not report ---- */

static bool names_balancer(const GPtrArray *refs, const char *uid)
{
	for (guint i = 0; i < list_length(refs); i++)
		if (g_str_equal(((const struct balancer_ref *)refs->pdata[i])->balancer, uid))
			return true;
	return false;
}

static bool is_behind_balancer(struct control *control, const char *uid, const char *balancer)
{
	_cleanup_(model_free) struct nic *nic = control_get(control, KIND_NIC, uid, NULL);

	for (guint i = 0; nic && i < list_length(nic->spec.configs); i++) {
		const struct nic_config *config = nic->spec.configs->pdata[i];
		if (names_balancer(config->pools, balancer) || names_balancer(config->nat_rules, balancer) ||
			names_balancer(config->nat_pools, balancer))
			return true;
	}
	return false;
}

/* The operation's target is the load balancer, its network, or an address of its. */
static bool is_of_balancer(
	struct control *control, const struct goal_balancer *goal, const struct operation_spec *what)
{
	if (g_strcmp0(goal->uid, what->target) == 0 || g_strcmp0(goal->network, what->target) == 0)
		return true;
	_cleanup_(model_free) struct balancer *balancer =
		what->target_kind == KIND_ADDRESS ? control_get(control, KIND_BALANCER, goal->uid, NULL)
						  : NULL;
	for (guint i = 0; balancer && i < list_length(balancer->spec.fronts); i++)
		if (g_strcmp0(((const struct balancer_front *)balancer->spec.fronts->pdata[i])->address,
			    what->target) == 0)
			return true;
	return false;
}

static bool has_application_group(const struct nic *nic)
{
	for (guint i = 0; i < list_length(nic->spec.configs); i++)
		if (list_length(((const struct nic_config *)nic->spec.configs->pdata[i])->application_groups))
			return true;
	return false;
}

static bool is_same(const char *a, const char *b)
{
	return !a || !b || g_str_equal(a, b);
}

/* The NIC is, or was, where the goal has members: wherever it is itself. */
static bool may_be_member(struct control *control, const struct goal *goal, const struct operation *operation)
{
	_cleanup_(model_free) struct nic *nic = control_get(control, KIND_NIC, operation->spec.target, NULL);
	/* NULL: it has gone, and was in any. */
	const char *network = nic ? ((const struct nic_config *)nic->spec.configs->pdata[0])->network : NULL;

	if (nic && operation->spec.created && !has_application_group(nic))
		return false;
	for (guint i = 0; i < list_length(goal->application_groups); i++)
		if (is_same(((const struct goal_application_group *)goal->application_groups->pdata[i])
				    ->network,
			    network))
			return true;
	/* What has gone had no machine, so it was no member that packets went to. */
	for (guint i = 0; nic && nic->status.vm && i < list_length(goal->balancers); i++)
		if (is_same(((const struct goal_balancer *)goal->balancers->pdata[i])->network, network))
			return true;
	return false;
}

bool exposure_concerns(struct control *control, const struct goal *goal, const struct operation *operation)
{
	const struct operation_spec *what = &operation->spec;

	for (guint i = 0; i < list_length(goal->balancers); i++)
		if (is_of_balancer(control, goal->balancers->pdata[i], what))
			return true;
	for (guint i = 0; i < list_length(goal->nics); i++) {
		const char *nic = ((const struct goal_nic *)goal->nics->pdata[i])->uid;
		if (what->target_kind == KIND_NIC            ? g_strcmp0(nic, what->target) == 0
			: what->target_kind == KIND_BALANCER ? is_behind_balancer(control, nic, what->target)
							     : is_about(control, what, nic))
			return true;
	}
	return what->target_kind == KIND_NIC && may_be_member(control, goal, operation);
}
