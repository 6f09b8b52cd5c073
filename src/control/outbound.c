/* Default outbound access: NICs without a public address reach the outside by source NAT to one that all of a host's
 * share.
 *
 * A host takes the address from the pool of public addresses when the first VM is placed on it, and gives it
 * back with the last. Each report of the host settles it once more: also for hosts that were without when all
 * addresses were in use, and when the operator has turned default outbound access on or off.
 */
#include "base/fault.h"
#include "control/control_priv.h"

bool outbound_settle(
	struct control *control, struct change *change, struct host *host, bool wanted, GError **error)
{
	g_autoptr(GError) failure = NULL;
	char **has = &host->status.source_nat;

	wanted &= control->default_outbound;
	if (wanted == (*has != NULL))
		return true;
	if (!wanted) {
		change_release(change, POOL_PUBLIC, *has);
		g_clear_pointer(has, g_free);
		return true;
	}
	*has = ipam_claim_shared(control, change, host->meta.uid, &failure);
	if (!failure || g_error_matches(failure, FAULT, FAULT_POOL_FULL))
		return true;
	g_propagate_error(error, g_steal_pointer(&failure));
	return false;
}

void outbound_fill(const struct control *control, const struct host *host, struct goal *goal)
{
	goal->source_nat = g_strdup(host->status.source_nat);
	if (!control->default_outbound || host->status.source_nat || goal->nics->len == 0)
		return;
	if (!goal->conditions)
		goal->conditions = strings_new();
	g_ptr_array_add(goal->conditions,
		g_strdup_printf(
			"Host %s has no public address to share, all are in use: its network interfaces "
			"without one of their own do not reach the outside. Release one, or give the cloud "
			"a larger --public-prefix.",
			host->meta.name));
}
