/* Which instances of a scale set are healthy.
 *
 * How it works. An instance is healthy when it is as it was last asked to be and, where the set names a load balancer's
 * probe, when that finds it well: its host asks the instance's primary interface because a load-balancing rule for a pool
 * with that interface has the probe. A rule that goes later leaves nobody well: a rolling upgrade stops then.
 */
#include "base/fault.h"
#include "control/control_priv.h"

static bool is_well(struct control *control, const struct scale_set *set, const struct vm *vm)
{
	for (guint i = 0; i < list_length(vm->spec.nics); i++) {
		const struct vm_nic_ref *ref = vm->spec.nics->pdata[i];
		_cleanup_(model_free) struct nic *nic =
			ref->primary ? control_get(control, KIND_NIC, ref->nic, NULL) : NULL;
		if (nic)
			return balancing_finds_well(nic, &set->spec.health);
	}
	return false;
}

bool control_instance_is_healthy(struct control *control, const struct scale_set *set, const struct vm *vm)
{
	if (vm->status.outcome.state == PROVISIONING_FAILED)
		return false;
	if (vm->spec.power != POWER_RUNNING)
		return true;
	return vm->status.power == POWER_STATE_RUNNING &&
	       (!set->spec.health.balancer || is_well(control, set, vm));
}

/* Whether the primary interface is in it. */
static bool model_has_pool(const struct set_model *model, const struct balancer *balancer, const char *pool)
{
	for (guint i = 0; i < list_length(model->nics); i++) {
		const struct set_nic *nic = model->nics->pdata[i];
		for (guint c = 0; nic->primary && c < nic->configs->len; c++) {
			const struct nic_config *config =
				&((const struct set_config *)nic->configs->pdata[c])->nic;
			if (balancer_is_among(config->pools, balancer, pool))
				return true;
		}
	}
	return false;
}

/* Of a load balancer's probes only those are asked that a rule for a pool of the interface has. */
static bool is_asked(const struct balancer *balancer, const struct set_model *model, const char *probe)
{
	for (guint i = 0; i < list_length(balancer->spec.rules); i++) {
		const struct balancer_rule *rule = balancer->spec.rules->pdata[i];
		if (rule->probe && g_ascii_strcasecmp(rule->probe, probe) == 0 &&
			model_has_pool(model, balancer, rule->pool))
			return true;
	}
	return false;
}

bool scale_set_check_health(struct put *put, GError **error)
{
	const struct scale_set *set = put->object;
	const struct balancer_ref *probe = &set->spec.health;
	const struct balancer *balancer = probe->balancer ? check_reference(put->change, KIND_BALANCER,
								    probe->balancer, &set->meta, error)
							  : NULL;

	if (!probe->balancer)
		return true;
	return balancer && (is_asked(balancer, &set->spec.model, probe->name) ||
				   fault_set(error, FAULT_INVALID_REFERENCE,
					   "scale set %s refers to probe %s of load balancer %s, which asks "
					   "no instance: a "
					   "load-balancing rule must have it, for a backend pool that the "
					   "primary network "
					   "interface is in",
					   set->meta.name, probe->name, balancer->meta.name));
}
