/* The addresses of load balancers' front ends: public ones, which are objects of their own, or private ones of subnets. */
#include "base/fault.h"
#include "control/control_priv.h"

/* ---- which front ends ---- */

bool balancer_is_internal(const struct balancer *balancer)
{
	const GPtrArray *fronts = balancer->spec.fronts;

	return list_length(fronts) && ((const struct balancer_front *)fronts->pdata[0])->subnet;
}

static bool fail_front(const struct balancer *balancer, const struct balancer_front *front, enum fault code,
	const char *sentence, GError **error)
{
	return fault_set(error, code, "frontend IP configuration %s of load balancer %s %s", front->name,
		balancer->meta.name, sentence);
}

static bool check_fronts(const struct balancer *balancer, GError **error)
{
	const GPtrArray *fronts = balancer->spec.fronts;
	bool internal = balancer_is_internal(balancer);

	for (guint i = 0; i < list_length(fronts); i++) {
		const struct balancer_front *front = fronts->pdata[i], *first = fronts->pdata[0];
		if (!front->subnet == !front->address)
			return fail_front(balancer, front, FAULT_INVALID,
				"needs a public IP address or a subnet, and has not both", error);
		if (internal != (front->subnet != NULL))
			return fault_set(error, FAULT_INVALID,
				"frontend IP configurations %s and %s of load balancer %s are a public and "
				"an "
				"internal one; put them into load balancers of their own",
				first->name, front->name, balancer->meta.name);
		if (internal && !g_str_equal(front->network, first->network))
			return fail_front(balancer, front, FAULT_INVALID_REFERENCE,
				"is in another virtual network than the first one", error);
	}
	return true;
}

/* ---- private addresses ---- */

/* The front end that has the private address already which this one wants; NULL: none. */
static const struct balancer_front *same_private(
	const struct balancer *balancer, const struct balancer_front *front)
{
	const struct balancer_front *was =
		balancer ? balancer_part(balancer->spec.fronts, front->name) : NULL;

	return was && was->subnet && g_str_equal(was->subnet, front->subnet) &&
			       (!front->ip || g_str_equal(front->ip, was->ip))
		       ? was
		       : NULL;
}

/* Unless `wanted` (NULL: nothing) keeps it. */
static void release_private(struct change *change, const struct balancer *balancer,
	const struct balancer_front *front, const struct balancer *wanted)
{
	const struct balancer_front *now = wanted ? balancer_part(wanted->spec.fronts, front->name) : NULL;

	change_unref(change, front->network, balancer->meta.uid);
	if (!now || !now->subnet || same_private(balancer, now) != front)
		change_release(change, front->subnet, front->ip);
}

static const struct network *check_network(
	struct put *put, const struct balancer_front *front, GError **error)
{
	const struct balancer *balancer = put->object;
	const struct network *network =
		check_reference(put->change, KIND_NETWORK, front->network, &balancer->meta, error);

	if (!network)
		return NULL;
	if (!g_str_equal(network->meta.location, balancer->meta.location))
		fail_front(balancer, front, FAULT_INVALID_REFERENCE,
			"is in a virtual network of another location; both must be in one", error);
	else if (network->spec.physical)
		fault_set(error, FAULT_UNSUPPORTED,
			"load balancer %s cannot be internal to virtual network %s, which is in a VLAN of a "
			"physical network; take a virtual network in a VXLAN",
			balancer->meta.name, network->meta.name);
	else
		return network;
	return NULL;
}

static bool claim_private(struct put *put, struct balancer_front *front, GError **error)
{
	const struct balancer *balancer = put->object;
	const struct network *network = check_network(put, front, error);
	const struct subnet *subnet = network ? network_find_subnet(network, front->subnet) : NULL;
	const struct balancer_front *was = same_private(put->old, front);

	if (network && !subnet)
		return fail_front(balancer, front, FAULT_INVALID_REFERENCE,
			"refers to a subnet that its virtual network does not have", error);
	if (!subnet)
		return false;
	char *ip = was ? g_strdup(was->ip)
		       : ipam_claim(put->change, subnet, false, front->ip, balancer->meta.uid, error);
	if (!ip)
		return false;
	g_free(front->ip);
	front->ip = ip;
	change_ref(put->change, front->network, &balancer->meta);
	return true;
}

/* ---- public addresses ---- */

static bool release_public(struct change *change, const struct balancer *balancer,
	const struct balancer_front *front, GError **error)
{
	struct address *address = change_get(change, KIND_ADDRESS, front->address, error);

	if (!address)
		return false;
	g_clear_pointer(&address->status.balancer, g_free);
	change_put(change, address);
	change_unref(change, front->address, balancer->meta.uid);
	return true;
}

static bool claim_public(struct put *put, struct balancer_front *front, GError **error)
{
	const struct balancer *balancer = put->object;
	struct address *address =
		check_reference(put->change, KIND_ADDRESS, front->address, &balancer->meta, error);

	if (!address)
		return false;
	if (address->status.nic || address->status.balancer)
		return fault_set(error, FAULT_IN_USE,
			"public IP address %s of load balancer %s is in use by %s; take it off there first",
			address->meta.name, balancer->meta.name,
			address->status.nic ? "a network interface"
			: g_str_equal(address->status.balancer, balancer->meta.uid)
				? "another of its frontend IP configurations"
				: "another load balancer");
	if (address->spec.sku != balancer->spec.sku)
		return fault_set(error, FAULT_INVALID,
			"load balancer %s and its public IP address %s have different SKUs; both must be "
			"Basic, "
			"or both Standard",
			balancer->meta.name, address->meta.name);
	address->status.balancer = g_strdup(balancer->meta.uid);
	change_put(put->change, address);
	change_ref(put->change, front->address, &balancer->meta);
	return true;
}

/* ---- all of them ---- */

/* What `wanted` (NULL: nothing) may keep of private addresses it keeps. */
static bool release(
	struct change *change, const struct balancer *balancer, const struct balancer *wanted, GError **error)
{
	for (guint i = 0; i < list_length(balancer->spec.fronts); i++) {
		const struct balancer_front *front = balancer->spec.fronts->pdata[i];
		if (front->subnet)
			release_private(change, balancer, front, wanted);
		else if (!release_public(change, balancer, front, error))
			return false;
	}
	return true;
}

/* Members of an internal one are in its front ends' network; without members and private addresses it has none. */
static bool settle_network(struct balancer *balancer, GError **error)
{
	bool internal = balancer_is_internal(balancer);
	const struct balancer_front *front = internal ? balancer->spec.fronts->pdata[0] : NULL;
	struct balancer_status *status = &balancer->status;

	if (list_length(status->members) == 0 && list_length(status->targets) == 0) {
		g_free(status->network);
		status->network = internal ? g_strdup(front->network) : NULL;
	}
	return !internal || g_str_equal(status->network, front->network) ||
	       fail_front(balancer, front, FAULT_NOT_ALLOWED,
		       "is in another virtual network than the load balancer's members; take these off first",
		       error);
}

/* All that it had is given back first, so that two front ends may swap their addresses. */
bool balancer_claim_fronts(struct put *put, GError **error)
{
	struct balancer *balancer = put->object;
	bool internal = balancer_is_internal(balancer);

	if (!check_fronts(balancer, error) || (put->old && !release(put->change, put->old, balancer, error)))
		return false;
	for (guint i = 0; i < list_length(balancer->spec.fronts); i++)
		if (!(internal ? claim_private : claim_public)(put, balancer->spec.fronts->pdata[i], error))
			return false;
	return settle_network(balancer, error);
}

bool balancer_release_fronts(struct change *change, const struct balancer *balancer, GError **error)
{
	return release(change, balancer, NULL, error);
}
