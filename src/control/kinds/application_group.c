/* Application security groups: NICs that rules name together, whatever their addresses are.
 *
 * A NIC's IP configurations say which groups they are in. The groups' status has these addresses, changed in the
 * transaction of the put that changes them, so that a host is told what its rules mean without a look at all NICs.
 *
 * All members of a group are in one virtual network, that of the first one; a group that has lost its last member may
 * get another. So are those of all groups that one rule names: a rule between two networks would never match.
 */
#include "base/fault.h"
#include "control/control_priv.h"

#include <string.h>

#define NIC_GROUPS_MAX 20 /* of one NIC; a switch takes 32 for an address */
#define MEMBERS_MAX    4000 /* of one group, so that it stays one value of the store */

/* ---- rules ---- */

/* *first: the first group that has members, of all that were looked at. */
static bool check_networks(struct change *change, const char *where, const GPtrArray *uids,
	const struct application_group **first, GError **error)
{
	for (guint i = 0; i < list_length(uids); i++) {
		const struct application_group *group =
			change_get(change, KIND_APPLICATION_GROUP, uids->pdata[i], error);
		if (!group)
			return false;
		if (!group->status.network)
			continue;
		if (!*first)
			*first = group;
		else if (!g_str_equal(group->status.network, (*first)->status.network))
			return fault_set(error, FAULT_INVALID_REFERENCE,
				"%s names the application security groups %s and %s, whose network "
				"interfaces are in different virtual networks; those of one rule must be in "
				"one",
				where, (*first)->meta.name, group->meta.name);
	}
	return true;
}

bool application_groups_check_rule(
	struct change *change, const struct security_group *group, const struct rule *rule, GError **error)
{
	const struct application_group *first = NULL;
	g_autofree char *where = g_strdup_printf(
		"security rule %s of network security group %s", rule->name, group->meta.name);

	return check_networks(change, where, rule->source.application_groups, &first, error) &&
	       check_networks(change, where, rule->destination.application_groups, &first, error);
}

static bool names(const struct rule_side *side, const char *uid)
{
	for (guint i = 0; i < list_length(side->application_groups); i++)
		if (g_str_equal(side->application_groups->pdata[i], uid))
			return true;
	return false;
}

/* Whether rules that name the group can live with its having got a network. Not guarded against rules that come
 * meanwhile: such a one would never match. */
static bool check_rules(struct control *control, struct change *change, const char *uid, GError **error)
{
	g_autoptr(GHashTable) refs = change_refs(change, uid, error);
	GHashTableIter iter;
	void *source;

	if (!refs)
		return false;
	g_hash_table_iter_init(&iter, refs);
	while (g_hash_table_iter_next(&iter, &source, NULL)) {
		_cleanup_(model_free) struct security_group *group =
			control_get(control, KIND_SECURITY_GROUP, source, NULL);
		for (guint i = 0; group && i < list_length(group->spec.rules); i++) {
			const struct rule *rule = group->spec.rules->pdata[i];
			if ((names(&rule->source, uid) || names(&rule->destination, uid)) &&
				!application_groups_check_rule(change, group, rule, error))
				return false;
		}
	}
	return true;
}

/* ---- members ---- */

static void leave(struct application_group *group, const char *nic)
{
	GPtrArray *members = group->status.members;

	for (guint i = list_length(members); i-- > 0;)
		if (g_str_equal(((struct application_member *)members->pdata[i])->nic, nic))
			g_ptr_array_remove_index(members, i);
	if (list_length(members) == 0)
		g_clear_pointer(&group->status.network, g_free);
}

static bool check_place(struct change *change, const struct application_group *group, const struct nic *nic,
	const struct nic_config *config, GError **error)
{
	const char *network = group->status.network;

	if (!g_str_equal(group->meta.location, nic->meta.location))
		return fault_set(error, FAULT_INVALID_REFERENCE,
			"network interface %s is in %s but application security group %s is in %s; both must "
			"be in one location",
			nic->meta.name, nic->meta.location, group->meta.name, group->meta.location);
	if (network && !g_str_equal(network, config->network)) {
		const struct network *other = change_get(change, KIND_NETWORK, network, NULL);
		return fault_set(error, FAULT_INVALID_REFERENCE,
			"network interface %s cannot be in application security group %s: all its network "
			"interfaces must be in one virtual network, and those that it has are in %s",
			nic->meta.name, group->meta.name, other ? other->meta.name : network);
	}
	return list_length(group->status.members) < MEMBERS_MAX ||
	       fault_set(error, FAULT_QUOTA,
		       "application security group %s has %d IP configurations, which is the most",
		       group->meta.name, MEMBERS_MAX);
}

static bool join(struct change *change, struct application_group *group, const struct nic *nic,
	const struct nic_config *config, GError **error)
{
	struct application_member *member;

	if (!check_place(change, group, nic, config, error))
		return false;
	if (!group->status.members)
		group->status.members = shape_list_new(&application_member_shape);
	member = shape_new(&application_member_shape);
	*member = (struct application_member){g_strdup(nic->meta.uid), g_strdup(config->ip)};
	g_ptr_array_add(group->status.members, member);
	g_free(group->status.network);
	group->status.network = g_strdup(config->network);
	return true;
}

bool application_groups_check(struct change *change, const struct nic *nic, GError **error)
{
	for (guint i = 0; i < list_length(nic->spec.configs); i++) {
		const struct nic_config *config = nic->spec.configs->pdata[i];
		for (guint j = 0; j < list_length(config->application_groups); j++) {
			const struct application_group *group =
				check_reference(change, KIND_APPLICATION_GROUP,
					config->application_groups->pdata[j], &nic->meta, error);
			if (!group || !check_place(change, group, nic, config, error))
				return false;
		}
	}
	return true;
}

static bool is_in(const struct nic_config *config, const char *uid)
{
	for (guint i = 0; i < list_length(config->application_groups); i++)
		if (g_str_equal(config->application_groups->pdata[i], uid))
			return true;
	return false;
}

static bool join_each(
	struct change *change, struct application_group *group, const struct nic *nic, GError **error)
{
	for (guint i = 0; nic && i < list_length(nic->spec.configs); i++) {
		const struct nic_config *config = nic->spec.configs->pdata[i];
		if (!is_in(config, group->meta.uid))
			continue;
		if (!join(change, group, nic, config, error))
			return false;
		change_ref(change, group->meta.uid, &nic->meta);
	}
	return true;
}

/* In one order, so that a NIC that is put again as it is changes nothing. */
static int by_nic(const void *a, const void *b)
{
	const struct application_member *x = *(const struct application_member *const *)a,
					*y = *(const struct application_member *const *)b;
	int order = strcmp(x->nic, y->nic);

	return order ? order : strcmp(x->ip, y->ip);
}

static bool settle(struct control *control, struct change *change, const char *uid, const struct nic *old,
	const struct nic *nic, GError **error)
{
	const struct meta *meta = nic ? &nic->meta : &old->meta;
	struct application_group *group = check_reference(change, KIND_APPLICATION_GROUP, uid, meta, error);

	if (!group)
		return false;
	_cleanup_(model_free) struct application_group *before = model_copy(group);
	leave(group, meta->uid);
	change_unref(change, uid, meta->uid);
	if (!join_each(change, group, nic, error))
		return false;
	if (group->status.members)
		g_ptr_array_sort(group->status.members, by_nic);
	if (!before->status.network && group->status.network && !check_rules(control, change, uid, error))
		return false;
	if (!shape_equal(kind_info(KIND_APPLICATION_GROUP)->shape, before, group))
		change_put(change, group);
	return true;
}

static void add_groups(GHashTable *uids, const struct nic *nic)
{
	for (guint i = 0; nic && i < list_length(nic->spec.configs); i++) {
		const struct nic_config *config = nic->spec.configs->pdata[i];
		for (guint j = 0; j < list_length(config->application_groups); j++)
			g_hash_table_add(uids, config->application_groups->pdata[j]);
	}
}

bool application_groups_join(struct control *control, struct change *change, const struct nic *old,
	const struct nic *nic, GError **error)
{
	g_autoptr(GHashTable) uids = g_hash_table_new(g_str_hash, g_str_equal);
	GHashTableIter iter;
	void *uid;

	add_groups(uids, nic);
	if (g_hash_table_size(uids) > NIC_GROUPS_MAX)
		return fault_set(error, FAULT_QUOTA,
			"network interface %s is to be in %u application security groups, %d is the most",
			nic->meta.name, g_hash_table_size(uids), NIC_GROUPS_MAX);
	add_groups(uids, old);
	g_hash_table_iter_init(&iter, uids);
	while (g_hash_table_iter_next(&iter, &uid, NULL))
		if (!settle(control, change, uid, old, nic, error))
			return false;
	return true;
}

/* ---- hooks ---- */

static bool application_group_prepare(struct put *put, GError **error)
{
	struct application_group *group = put->object;

	if (!group->status.number)
		group->status.number = ipam_claim_group_number(put->change, group->meta.uid, error);
	return group->status.number != 0;
}

static bool application_group_release(
	struct control *control, struct change *change, void *object, GError **error)
{
	struct application_group *group = object;
	g_autofree char *number = g_strdup_printf("%" G_GINT64_FORMAT, group->status.number);

	if (!change_unreferenced(change, &group->meta, error))
		return false;
	change_release(change, POOL_APPLICATION_GROUP, number);
	return true;
}

/* What rules mean by it changes with its members, by whose puts hosts hear of that. */
const struct kind_hooks application_group_hooks = {
	.prepare = application_group_prepare,
	.release = application_group_release,
};
