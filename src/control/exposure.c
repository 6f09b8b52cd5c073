/* NICs that pass their host by rules that hold no more, and which changes wait for them.
 *
 * A host says that it has applied a goal when its switch has, and names beside that the NICs whose guests pass the switch
 * by a function that the goal does not allow them any more. Only a change that is about such a NIC waits for it: one
 * guest must not hold up others. The host cuts the function off when the guest has had its time.
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
