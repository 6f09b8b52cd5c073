/* Public IP addresses. One is given at creation and kept until deletion, whatever the allocation method says.
 */
#include "base/fault.h"
#include "control/control_priv.h"

static bool address_prepare(struct put *put, GError **error)
{
	struct address *address = put->object;
	const struct address *old = put->old;

	if (old && old->spec.sku != address->spec.sku)
		return fault_set(error, FAULT_NOT_ALLOWED,
			"public IP address %s: its SKU cannot be changed; create another address",
			address->meta.name);
	if (address->spec.sku == ADDRESS_STANDARD && address->spec.allocation != ALLOCATION_STATIC)
		return fault_set(error, FAULT_INVALID,
			"public IP address %s: Standard sku publicIPAddresses must have "
			"publicIPAllocationMethod set to Static.",
			address->meta.name);
	if (address->spec.idle_timeout_min &&
		(address->spec.idle_timeout_min < 4 || address->spec.idle_timeout_min > 30))
		return fault_set(error, FAULT_INVALID,
			"public IP address %s: an idle timeout of 4 to 30 minutes is needed",
			address->meta.name);
	if (!address->status.ip)
		address->status.ip = ipam_claim_public(put->control, put->change, address->meta.uid, error);
	return address->status.ip != NULL;
}

static bool address_release(struct control *control, struct change *change, void *object, GError **error)
{
	struct address *address = object;

	if (!change_unreferenced(change, &address->meta, error))
		return false;
	change_release(change, POOL_PUBLIC, address->status.ip);
	return true;
}

const struct kind_hooks address_hooks = {
	.prepare = address_prepare,
	.release = address_release,
	.reaches_hosts = true,
};
