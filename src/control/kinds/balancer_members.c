/* Who is behind load balancers.
 *
 * How it works. A NIC's configurations name the pools, NAT rules and NAT pools that they are in. The load balancer's
 * status has the other side: its members, and which port of a NAT rule or NAT pool leads to whom. Both change in one
 * transaction, of the NIC's put or of the load balancer's, so a port has one target. A NAT pool, and a NAT rule that is
 * for a pool, have a port for each target: the first one that is free, kept as long as the target stays.
 */
#include "base/fault.h"
#include "control/control_priv.h"

#include <string.h>

static bool same(const char *a, const char *b)
{
	return g_ascii_strcasecmp(a, b) == 0;
}

/* ---- targets ---- */

static bool is_of(const struct balancer_target *target, const struct balancer_nat *nat, bool of_pool)
{
	return target->of_pool == of_pool && same(target->nat, nat->name);
}

static const struct balancer_target *find_target(const GPtrArray *targets, const struct balancer_nat *nat,
	bool of_pool, const char *nic, const char *config)
{
	for (guint i = 0; i < list_length(targets); i++) {
		const struct balancer_target *target = targets->pdata[i];
		if (is_of(target, nat, of_pool) && (!nic || g_str_equal(target->nic, nic)) &&
			(!config || same(target->config, config)))
			return target;
	}
	return NULL;
}

static bool is_taken(const GPtrArray *targets, const struct balancer_nat *nat, bool of_pool, int64_t port)
{
	for (guint i = 0; i < list_length(targets); i++) {
		const struct balancer_target *target = targets->pdata[i];
		if (is_of(target, nat, of_pool) && target->port == port)
			return true;
	}
	return false;
}

/* 0: none is free. */
static int64_t free_port(const GPtrArray *targets, const struct balancer_nat *nat, bool of_pool)
{
	for (int64_t port = nat->first_port; port <= nat->last_port; port++)
		if (!is_taken(targets, nat, of_pool, port))
			return port;
	return 0;
}

/* The port that it had, in `before`, or a free one. */
static bool add_target(struct balancer *balancer, const GPtrArray *before, const struct balancer_nat *nat,
	bool of_pool, const char *nic, const char *config, GError **error)
{
	GPtrArray **targets = &balancer->status.targets;
	const struct balancer_target *had = find_target(before, nat, of_pool, nic, config);
	int64_t port = had ? had->port : 0;

	if (port < nat->first_port || port > nat->last_port || is_taken(*targets, nat, of_pool, port))
		port = free_port(*targets, nat, of_pool);
	if (!port)
		return fault_set(error, FAULT_POOL_FULL,
			"inbound NAT %s %s of load balancer %s has no free port: all of %" G_GINT64_FORMAT
			" to %" G_GINT64_FORMAT " lead to others",
			of_pool ? "pool" : "rule", nat->name, balancer->meta.name, nat->first_port,
			nat->last_port);
	struct balancer_target *target = shape_new(&balancer_target_shape);
	*target =
		(struct balancer_target){g_strdup(nat->name), of_pool, g_strdup(nic), g_strdup(config), port};
	if (!*targets)
		*targets = shape_list_new(&balancer_target_shape);
	g_ptr_array_add(*targets, target);
	return true;
}

/* Ports of the NAT rules that are for a pool. */
static bool add_targets_of_pool(struct balancer *balancer, const GPtrArray *before,
	const struct balancer_member *member, GError **error)
{
	for (guint i = 0; i < list_length(balancer->spec.nat_rules); i++) {
		const struct balancer_nat *nat = balancer->spec.nat_rules->pdata[i];
		if (nat->pool && same(nat->pool, member->pool) &&
			!add_target(balancer, before, nat, false, member->nic, member->config, error))
			return false;
	}
	return true;
}

/* ---- a NIC joins ---- */

/* A NIC that joins one balancer. */
struct join {
	struct balancer *balancer; /* without the NIC so far */
	const GPtrArray *before; /* its targets, with the NIC */
	const struct nic *nic;
	const struct nic_config *config;
};

static bool fail_part(const struct join *join, const char *what, const char *name, GError **error)
{
	return fault_set(error, FAULT_INVALID_REFERENCE,
		"network interface %s refers to %s %s, which load balancer %s does not have",
		join->nic->meta.name, what, name, join->balancer->meta.name);
}

static bool join_pool(const struct join *join, const char *name, GError **error)
{
	struct balancer *balancer = join->balancer;
	const struct balancer_pool *pool = balancer_part(balancer->spec.pools, name);

	if (!pool)
		return fail_part(join, "backend address pool", name, error);
	struct balancer_member *member = shape_new(&balancer_member_shape);
	*member = (struct balancer_member){
		g_strdup(pool->name), g_strdup(join->nic->meta.uid), g_strdup(join->config->name)};
	if (!balancer->status.members)
		balancer->status.members = shape_list_new(&balancer_member_shape);
	g_ptr_array_add(balancer->status.members, member);
	return add_targets_of_pool(balancer, join->before, member, error);
}

static bool join_nat_rule(const struct join *join, const char *name, GError **error)
{
	struct balancer *balancer = join->balancer;
	const struct balancer_nat *nat = balancer_part(balancer->spec.nat_rules, name);

	if (!nat)
		return fail_part(join, "inbound NAT rule", name, error);
	if (nat->pool)
		return fault_set(error, FAULT_INVALID_REFERENCE,
			"network interface %s refers to inbound NAT rule %s of load balancer %s, which is "
			"for "
			"the members of backend address pool %s; join that",
			join->nic->meta.name, nat->name, balancer->meta.name, nat->pool);
	if (find_target(balancer->status.targets, nat, false, NULL, NULL))
		return fault_set(error, FAULT_IN_USE,
			"inbound NAT rule %s of load balancer %s leads to another network interface than %s; "
			"take it off there first",
			nat->name, balancer->meta.name, join->nic->meta.name);
	return add_target(balancer, join->before, nat, false, join->nic->meta.uid, join->config->name, error);
}

static bool join_nat_pool(const struct join *join, const char *name, GError **error)
{
	const struct balancer_nat *nat = balancer_part(join->balancer->spec.nat_pools, name);

	if (!nat)
		return fail_part(join, "inbound NAT pool", name, error);
	return add_target(
		join->balancer, join->before, nat, true, join->nic->meta.uid, join->config->name, error);
}

/* The parts of this balancer that the list names. */
static bool join_each(const struct join *join, const GPtrArray *refs,
	bool (*one)(const struct join *join, const char *name, GError **error), GError **error)
{
	for (guint i = 0; i < list_length(refs); i++) {
		const struct balancer_ref *ref = refs->pdata[i];
		if (g_str_equal(ref->balancer, join->balancer->meta.uid) && !one(join, ref->name, error))
			return false;
	}
	return true;
}

static bool check_place(struct change *change, const struct join *join, GError **error)
{
	struct balancer *balancer = join->balancer;
	const char *network = join->config->network;

	if (!g_str_equal(balancer->meta.location, join->nic->meta.location))
		return fault_set(error, FAULT_INVALID_REFERENCE,
			"network interface %s is in %s but load balancer %s is in %s; both must be in one "
			"location",
			join->nic->meta.name, join->nic->meta.location, balancer->meta.name,
			balancer->meta.location);
	if (balancer->status.network && !g_str_equal(balancer->status.network, network)) {
		const struct meta *other = change_get(change, KIND_NETWORK, balancer->status.network, NULL);
		return fault_set(error, FAULT_INVALID_REFERENCE,
			"network interface %s is not in virtual network %s, in which all members of load "
			"balancer %s have to be",
			join->nic->meta.name, other ? other->name : balancer->status.network,
			balancer->meta.name);
	}
	g_free(balancer->status.network);
	balancer->status.network = g_strdup(network);
	return true;
}

static bool names(const GPtrArray *refs, const char *balancer)
{
	for (guint i = 0; i < list_length(refs); i++)
		if (g_str_equal(((struct balancer_ref *)refs->pdata[i])->balancer, balancer))
			return true;
	return false;
}

static bool join_balancer(struct change *change, struct balancer *balancer, const GPtrArray *before,
	const struct nic *nic, GError **error)
{
	for (guint i = 0; nic && i < list_length(nic->spec.configs); i++) {
		const struct nic_config *config = nic->spec.configs->pdata[i];
		const struct join join = {balancer, before, nic, config};
		const char *uid = balancer->meta.uid;
		if (!names(config->pools, uid) && !names(config->nat_rules, uid) &&
			!names(config->nat_pools, uid))
			continue;
		if (!check_place(change, &join, error) ||
			!join_each(&join, config->pools, join_pool, error) ||
			!join_each(&join, config->nat_rules, join_nat_rule, error) ||
			!join_each(&join, config->nat_pools, join_nat_pool, error))
			return false;
		change_ref(change, uid, &nic->meta);
	}
	return true;
}

/* ---- a NIC leaves ---- */

static void leave(struct balancer *balancer, const char *nic)
{
	struct balancer_status *status = &balancer->status;

	for (guint i = list_length(status->members); i-- > 0;)
		if (g_str_equal(((struct balancer_member *)status->members->pdata[i])->nic, nic))
			g_ptr_array_remove_index(status->members, i);
	for (guint i = list_length(status->targets); i-- > 0;)
		if (g_str_equal(((struct balancer_target *)status->targets->pdata[i])->nic, nic))
			g_ptr_array_remove_index(status->targets, i);
	if (list_length(status->members) == 0 && list_length(status->targets) == 0 &&
		!balancer_is_internal(balancer))
		g_clear_pointer(&status->network, g_free);
}

/* ---- both ---- */

static void add_uids(GHashTable *uids, const GPtrArray *refs)
{
	for (guint i = 0; i < list_length(refs); i++)
		g_hash_table_add(uids, ((struct balancer_ref *)refs->pdata[i])->balancer);
}

static void add_balancers(GHashTable *uids, const struct nic *nic)
{
	for (guint i = 0; nic && i < list_length(nic->spec.configs); i++) {
		const struct nic_config *config = nic->spec.configs->pdata[i];
		add_uids(uids, config->pools);
		add_uids(uids, config->nat_rules);
		add_uids(uids, config->nat_pools);
	}
}

/* A public one and an internal one do not meet: answers outside and inside of the network have ways of their own. */
static bool check_kinds(struct change *change, GHashTable *uids, const struct nic *nic, GError **error)
{
	const struct balancer *seen[2] = {};
	GHashTableIter iter;
	void *uid;

	g_hash_table_iter_init(&iter, uids);
	while (g_hash_table_iter_next(&iter, &uid, NULL)) {
		const struct balancer *balancer =
			check_reference(change, KIND_BALANCER, uid, &nic->meta, error);
		if (!balancer)
			return false;
		const struct balancer **of_kind = &seen[balancer_is_internal(balancer)];
		if (*of_kind)
			return fault_set(error, FAULT_UNSUPPORTED,
				"network interface %s is to be behind load balancers %s and %s; one public "
				"and one "
				"internal load balancer are possible",
				nic->meta.name, (*of_kind)->meta.name, balancer->meta.name);
		*of_kind = balancer;
	}
	return true;
}

bool balancer_join(struct change *change, const struct nic *old, const struct nic *nic, GError **error)
{
	const struct meta *meta = nic ? &nic->meta : &old->meta;
	g_autoptr(GHashTable) uids = g_hash_table_new(g_str_hash, g_str_equal);
	GHashTableIter iter;
	void *uid;

	add_balancers(uids, nic);
	if (nic && !check_kinds(change, uids, nic, error))
		return false;
	add_balancers(uids, old);
	g_hash_table_iter_init(&iter, uids);
	while (g_hash_table_iter_next(&iter, &uid, NULL)) {
		struct balancer *balancer = check_reference(change, KIND_BALANCER, uid, meta, error);
		if (!balancer)
			return false;
		_cleanup_(model_free) struct balancer *before = model_copy(balancer);
		leave(balancer, meta->uid);
		change_unref(change, uid, meta->uid);
		if (!join_balancer(change, balancer, before->status.targets, nic, error) ||
			!balancer_settle(change, balancer, error))
			return false;
		if (!shape_equal(kind_info(KIND_BALANCER)->shape, before, balancer))
			change_put(change, balancer);
	}
	return true;
}

/* ---- a load balancer changes ---- */

static bool fail_removed(const struct balancer *balancer, const char *what, const char *name, GError **error)
{
	return fault_set(error, FAULT_IN_USE,
		"%s %s of load balancer %s is in use by network interfaces and cannot be deleted; take it "
		"off "
		"there first",
		what, name, balancer->meta.name);
}

/* What its members refer to is still there. */
static bool check_kept(const struct balancer *balancer, const struct balancer *old, GError **error)
{
	for (guint i = 0; i < list_length(old->status.members); i++) {
		const struct balancer_member *member = old->status.members->pdata[i];
		if (!balancer_part(balancer->spec.pools, member->pool))
			return fail_removed(balancer, "backend address pool", member->pool, error);
	}
	for (guint i = 0; i < list_length(old->status.targets); i++) {
		const struct balancer_target *target = old->status.targets->pdata[i];
		const GPtrArray *was = target->of_pool ? old->spec.nat_pools : old->spec.nat_rules,
				*are = target->of_pool ? balancer->spec.nat_pools : balancer->spec.nat_rules;
		const struct balancer_nat *nat = balancer_part(was, target->nat);
		if (nat && !nat->pool && !balancer_part(are, target->nat))
			return fail_removed(balancer,
				target->of_pool ? "inbound NAT pool" : "inbound NAT rule", target->nat,
				error);
	}
	return true;
}

/* The targets of what no pool is named for: NICs refer to it themselves. */
static bool keep_target(struct balancer *balancer, const GPtrArray *before,
	const struct balancer_target *target, GError **error)
{
	const struct balancer_nat *nat = balancer_part(
		target->of_pool ? balancer->spec.nat_pools : balancer->spec.nat_rules, target->nat);

	return !nat || nat->pool ||
	       add_target(balancer, before, nat, target->of_pool, target->nic, target->config, error);
}

bool balancer_keep_members(struct put *put, GError **error)
{
	const struct balancer *old = put->old;
	struct balancer *balancer = put->object;

	if (!old)
		return true;
	if (!check_kept(balancer, old, error))
		return false;
	g_clear_pointer(&balancer->status.targets, g_ptr_array_unref);
	for (guint i = 0; i < list_length(old->status.targets); i++)
		if (!keep_target(balancer, old->status.targets, old->status.targets->pdata[i], error))
			return false;
	for (guint i = 0; i < list_length(balancer->status.members); i++)
		if (!add_targets_of_pool(
			    balancer, old->status.targets, balancer->status.members->pdata[i], error))
			return false;
	return true;
}
