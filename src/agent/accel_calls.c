/* One NIC's acceleration: the calls of the provider and of the VM manager. */
#include "agent/accel_priv.h"
#include "base/fault.h"
#include "base/log.h"

#define LEFT_TRIES 3 /* to tell that a function has left, before it is asked whether it comes back at all */

/* Of the function that was claimed: by it the switch reaches the guest. */
static bool find_representor(struct accel_job *job)
{
	g_autoptr(GPtrArray) list = job->provider->ops->list(job->provider);

	g_clear_pointer(&job->representor, g_free);
	for (guint i = 0; i < list->len; i++) {
		struct nic_function *function = list->pdata[i];
		if (g_str_equal(function->name, job->function))
			job->representor = g_steal_pointer(&function->representor);
	}
	return job->representor ||
	       fault_set(&job->error, FAULT_NOT_FOUND,
		       "Function %s has no representor: its NIC must be in switchdev mode; "
		       "`sluice doctor` says more.",
		       job->function);
}

bool accel_run_claim(struct accel_job *job)
{
	const struct nic_request request = {.nic = job->nic,
		.physical = job->physical,
		.tunnel = job->tunnel,
		.mac = job->mac,
		.vlan = job->vlan,
		.rate_mbps = job->rate_mbps};

	g_clear_pointer(&job->function, g_free);
	return job->provider->ops->claim(job->provider, &request, &job->function, &job->error) &&
	       (!job->provider->caps->representors || find_representor(job));
}

bool accel_run_release(struct accel_job *job)
{
	return job->provider->ops->release(job->provider, job->nic, &job->error);
}

bool accel_run_arm(struct accel_job *job)
{
	return job->provider->ops->arm(job->provider, job->nic, &job->error);
}

bool accel_run_cut(struct accel_job *job)
{
	return job->provider->ops->cut(job->provider, job->nic, &job->error);
}

/* Whether the VM manager will not give back what has left the guest: it died at that, and knows nothing of it any more. */
static bool is_abandoned(const struct accel_job *job)
{
	g_autoptr(GError) error = NULL;
	bool plugged;

	if (job->tries < LEFT_TRIES || !g_error_matches(job->error, FAULT, FAULT_TIMEOUT))
		return false;
	return job->manager->ops->plugged(job->manager, job->vm, job->nic, &plugged, &error)
		       ? !plugged
		       : g_error_matches(error, FAULT, FAULT_NOT_FOUND);
}

bool accel_run_left(struct accel_job *job)
{
	if (job->provider->ops->left(job->provider, job->nic, &job->error))
		return true;
	if (!is_abandoned(job))
		return false;
	log_warn(job->nic, "%s; the VM manager knows nothing of it, so it is taken back without that",
		job->error->message);
	g_clear_error(&job->error);
	return true;
}

/* On a representor the switch does the tagging. */
static struct vm_primary primary_of(const struct accel_job *job)
{
	return (struct vm_primary){.nic_uid = job->nic,
		.mac = job->mac,
		.tap = job->bypass ? NULL : job->function,
		.pci = job->bypass ? job->function : NULL,
		.vlan = job->representor ? 0 : job->vlan};
}

bool accel_run_plug(struct accel_job *job)
{
	struct vm_primary primary = primary_of(job);

	return job->manager->ops->plug(job->manager, job->vm, &primary, &job->error);
}

bool accel_run_unplug(struct accel_job *job)
{
	struct vm_primary primary = primary_of(job);

	return job->manager->ops->unplug(job->manager, job->vm, &primary, job->timeout_ms, &job->error);
}

bool accel_run_plugged(struct accel_job *job)
{
	return job->manager->ops->plugged(job->manager, job->vm, job->nic, &job->plugged, &job->error);
}
