/* Between ids and objects. */
#include "api/arm/arm_priv.h"

#include <string.h>

bool arm_check_subscription(struct arm *arm, const char *subscription, GError **error)
{
	if (g_ascii_strcasecmp(subscription, control_subscription(arm->control)) == 0)
		return true;
	return arm_fault_set(
		error, ARM_SUBSCRIPTION_NOT_FOUND, "The subscription '%s' could not be found.", subscription);
}

struct group *arm_find_group(struct arm *arm, const char *subscription, const char *group, GError **error)
{
	g_autoptr(GError) failure = NULL;
	struct group *found;

	if (!arm_check_subscription(arm, subscription, error))
		return NULL;
	found = control_find(arm->control, KIND_GROUP, control_subscription(arm->control), group, &failure);
	if (failure)
		g_propagate_error(error, g_steal_pointer(&failure));
	else if (!found)
		fault_set(error, FAULT_GROUP_NOT_FOUND, "Resource group '%s' could not be found.", group);
	return found;
}

void *arm_find(struct arm *arm, const struct arm_id *id, GError **error)
{
	_cleanup_(model_free) struct group *group = arm_find_group(arm, id->subscription, id->group, error);
	const struct arm_type *type;
	g_autoptr(GError) failure = NULL;
	void *object;

	if (!group)
		return NULL;
	if (!id->name)
		return g_steal_pointer(&group);
	type = arm_type_find(id->namespace, id->type, error);
	if (!type)
		return NULL;
	object = control_find(arm->control, type->kind, group->meta.uid, id->name, &failure);
	if (failure)
		g_propagate_error(error, g_steal_pointer(&failure));
	else if (!object)
		fault_set(error, id->child_name ? FAULT_PARENT_NOT_FOUND : FAULT_NOT_FOUND,
			"The Resource '%s/%s/%s' under resource group '%s' was not found.", type->namespace,
			type->name, id->name, group->meta.name);
	return object;
}

/* Name of the NIC's configuration that has the address. */
static const char *configuration_of(const struct nic *nic, const char *address)
{
	for (guint i = 0; i < list_length(nic->spec.configs); i++) {
		const struct nic_config *config = nic->spec.configs->pdata[i];
		if (g_strcmp0(config->address, address) == 0)
			return config->name;
	}
	return "";
}

/* Of what is inside of an instance of a scale set, or is one: behind the id of what it is in. */
static char *id_of_inner(struct arm *arm, const struct meta *meta)
{
	_cleanup_(model_free) struct meta *outer =
		control_get(arm->control, (enum kind)meta->parent_kind, meta->parent, NULL);
	g_autofree char *id = outer ? arm_id_of_object(arm, outer) : NULL;

	if (!id)
		return NULL;
	switch ((enum kind)meta->kind) {
	case KIND_VM:
		return g_strdup_printf("%s/virtualMachines/%" G_GINT64_FORMAT, id,
			((const struct vm *)(const void *)meta)->spec.instance);
	case KIND_NIC: return g_strdup_printf("%s/networkInterfaces/%s", id, meta->name);
	case KIND_ADDRESS:
		return g_strdup_printf("%s/ipConfigurations/%s/publicIPAddresses/%s", id,
			configuration_of((const struct nic *)(const void *)outer, meta->uid), meta->name);
	default: return NULL;
	}
}

char *arm_id_of_object(struct arm *arm, const struct meta *meta)
{
	const struct arm_type *type = arm_type_of((enum kind)meta->kind);
	_cleanup_(model_free) struct group *group = NULL;

	if (model_is_inner(meta))
		return id_of_inner(arm, meta);
	if (meta->kind == KIND_GROUP)
		return g_strdup_printf("/subscriptions/%s/resourceGroups/%s",
			control_subscription(arm->control), meta->name);
	group = control_get(arm->control, KIND_GROUP, meta->parent, NULL);
	if (!group || !type)
		return NULL;
	return g_strdup_printf("/subscriptions/%s/resourceGroups/%s/providers/%s/%s/%s",
		control_subscription(arm->control), group->meta.name, type->namespace, type->name,
		meta->name);
}

char *arm_id_of(struct arm *arm, enum kind kind, const char *uid)
{
	_cleanup_(model_free) struct meta *meta = uid ? control_get(arm->control, kind, uid, NULL) : NULL;

	return meta ? arm_id_of_object(arm, meta) : NULL;
}

/* ---- references ---- */

static void fail_reference(const struct cursor *reference, const char *text, const char *why)
{
	g_autofree char *path = cursor_path(reference, NULL);
	GError *error = NULL;

	fault_set(&error, FAULT_INVALID_REFERENCE, "Resource %s referenced by %s %s.", text, path, why);
	cursor_take_error(reference, error);
}

/* The object (or the parent of the child) that {"id"} names; NULL when absent or wrong. */
static void *find_referenced(
	struct arm *arm, const struct cursor *reference, enum kind kind, bool child, struct arm_id *ret_id)
{
	const struct arm_type *type = arm_type_of(kind);
	const char *text = cursor_string(reference, "id");
	g_autoptr(GError) failure = NULL;
	void *object;

	if (cursor_is_set(reference) && !text)
		cursor_fail(reference, "id", "it is required");
	if (!text)
		return NULL;
	if (!arm_id_parse(text, ret_id, &failure)) {
		cursor_fail(reference, "id", "%s", failure->message);
		return NULL;
	}
	if (!ret_id->name || g_ascii_strcasecmp(ret_id->namespace, type->namespace) != 0 ||
		g_ascii_strcasecmp(ret_id->type, type->name) != 0 || child != (ret_id->child_name != NULL)) {
		const char *part = kind == KIND_NETWORK ? "subnet" : "part of a load balancer";
		g_autofree char *why = g_strdup_printf("is no %s", child ? part : kind_info(kind)->title);
		fail_reference(reference, text, why);
		return NULL;
	}
	object = arm_find(arm, ret_id, &failure);
	if (!object)
		fail_reference(reference, text, "was not found; create it first");
	return object;
}

char *arm_reference_at(struct arm *arm, const struct cursor *reference, enum kind kind)
{
	_cleanup_(arm_id_clear) struct arm_id id = {};
	_cleanup_(model_free) struct meta *meta = find_referenced(arm, reference, kind, false, &id);

	return meta ? g_strdup(meta->uid) : NULL;
}

char *arm_reference(struct arm *arm, const struct cursor *at, const char *key, enum kind kind)
{
	struct cursor reference = cursor_object(at, key);

	return arm_reference_at(arm, &reference, kind);
}

GPtrArray *arm_references(struct arm *arm, const struct cursor *at, const char *key, enum kind kind)
{
	struct cursor array = cursor_array(at, key);

	if (!cursor_is_set(&array))
		return NULL;
	GPtrArray *uids = strings_new();
	for (size_t i = 0; i < cursor_length(&array); i++) {
		struct cursor item = cursor_item(&array, i);
		char *uid = arm_reference_at(arm, &item, kind);
		if (uid)
			g_ptr_array_add(uids, uid);
		else if (cursor_is_good(at))
			cursor_fail(&item, "id", "it is required");
	}
	return uids;
}

void arm_put_references(
	struct arm *arm, json_t *object, const char *key, enum kind kind, const GPtrArray *uids)
{
	json_t *array = json_array();

	for (guint i = 0; i < list_length(uids); i++) {
		g_autofree char *id = arm_id_of(arm, kind, uids->pdata[i]);
		if (id)
			json_array_append_new(array, json_pack("{s:s}", "id", id));
	}
	if (json_array_size(array))
		json_object_set(object, key, array);
	json_decref(array);
}

/* Takes the list. */
static void put_list_unless_empty(json_t *object, const char *key, json_t *list)
{
	if (json_array_size(list))
		put_json(object, key, list);
	else
		json_decref(list);
}

void arm_put_interfaces(struct arm *arm, json_t *object, const char *uid)
{
	g_autoptr(GPtrArray) nics = control_users(arm->control, KIND_NIC, uid, 0, NULL);
	json_t *list = json_array();

	for (guint i = 0; i < list_length(nics); i++) {
		g_autofree char *id = arm_id_of_object(arm, nics->pdata[i]);
		if (id)
			json_array_append_new(list, json_pack("{s:s}", "id", id));
	}
	put_list_unless_empty(object, "networkInterfaces", list);
}

void arm_put_subnets(struct arm *arm, json_t *object, const char *uid, size_t of_subnet)
{
	g_autoptr(GPtrArray) networks = control_users(arm->control, KIND_NETWORK, uid, 0, NULL);
	json_t *list = json_array();

	for (guint n = 0; n < list_length(networks); n++) {
		const struct network *network = networks->pdata[n];
		g_autofree char *id = arm_id_of_object(arm, &network->meta);
		for (guint i = 0; id && i < list_length(network->spec.subnets); i++) {
			const struct subnet *subnet = network->spec.subnets->pdata[i];
			if (g_strcmp0(G_STRUCT_MEMBER(char *, subnet, of_subnet), uid) == 0)
				json_array_append_new(
					list, json_pack("{s:s++}", "id", id, "/subnets/", subnet->name));
		}
	}
	put_list_unless_empty(object, "subnets", list);
}

bool arm_subnet_reference(
	struct arm *arm, const struct cursor *at, const char *key, char **ret_network, char **ret_subnet)
{
	_cleanup_(arm_id_clear) struct arm_id id = {};
	struct cursor reference = cursor_object(at, key);
	_cleanup_(model_free) struct network *network =
		find_referenced(arm, &reference, KIND_NETWORK, true, &id);

	if (!network)
		return false;
	for (guint i = 0; i < list_length(network->spec.subnets); i++) {
		const struct subnet *subnet = network->spec.subnets->pdata[i];
		if (g_ascii_strcasecmp(id.child, "subnets") != 0 ||
			g_ascii_strcasecmp(subnet->name, id.child_name) != 0)
			continue;
		*ret_network = g_strdup(network->meta.uid);
		*ret_subnet = g_strdup(subnet->uid);
		return true;
	}
	g_autofree char *text = arm_id_format(&id);
	fail_reference(&reference, text, "was not found; create it first");
	return false;
}

static bool find_part(
	struct arm *arm, const struct cursor *reference, const char *list, struct balancer_ref *ret)
{
	_cleanup_(arm_id_clear) struct arm_id id = {};
	_cleanup_(model_free) struct balancer *balancer =
		find_referenced(arm, reference, KIND_BALANCER, true, &id);

	if (!balancer)
		return false;
	if (g_ascii_strcasecmp(id.child, list) != 0) {
		g_autofree char *text = arm_id_format(&id), *why = g_strdup_printf("is none of %s", list);
		fail_reference(reference, text, why);
		return false;
	}
	*ret = (struct balancer_ref){g_strdup(balancer->meta.uid), g_strdup(id.child_name)};
	return true;
}

GPtrArray *arm_balancer_refs(struct arm *arm, const struct cursor *at, const char *key, const char *list)
{
	struct cursor array = cursor_array(at, key);

	if (!cursor_is_set(&array))
		return NULL;
	GPtrArray *refs = shape_list_new(&balancer_ref_shape);
	for (size_t i = 0; i < cursor_length(&array); i++) {
		struct cursor item = cursor_item(&array, i);
		struct balancer_ref *ref = shape_new(&balancer_ref_shape);
		g_ptr_array_add(refs, ref);
		if (!find_part(arm, &item, list, ref) && cursor_is_good(at))
			cursor_fail(&item, "id", "it is required");
	}
	return refs;
}

void arm_balancer_ref(
	struct arm *arm, const struct cursor *at, const char *key, const char *list, struct balancer_ref *ret)
{
	struct cursor reference = cursor_object(at, key);

	if (cursor_is_set(&reference) && !find_part(arm, &reference, list, ret) && cursor_is_good(at))
		cursor_fail(&reference, "id", "it is required");
}

char *arm_id_of_part(struct arm *arm, const struct balancer_ref *ref, const char *list)
{
	g_autofree char *balancer = arm_id_of(arm, KIND_BALANCER, ref->balancer);

	return balancer ? g_strdup_printf("%s/%s/%s", balancer, list, ref->name) : NULL;
}

json_t *arm_encode_balancer_refs(struct arm *arm, const GPtrArray *refs, const char *list)
{
	json_t *array = json_array();

	for (guint i = 0; i < list_length(refs); i++) {
		g_autofree char *id = arm_id_of_part(arm, refs->pdata[i], list);
		if (id)
			json_array_append_new(array, json_pack("{s:s}", "id", id));
	}
	return array;
}
