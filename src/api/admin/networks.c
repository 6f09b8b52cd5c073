/* Physical networks, and which virtual network travels where: what the operator decides. */
#include "api/admin/admin_priv.h"
#include "base/fault.h"

/* ---- physical networks ---- */

/* What they are shown with. */
struct around {
	struct control *control; /* Borrowed */
	GPtrArray *networks, *hosts; /* Owned */
};

static bool around_read(struct control *control, struct around *ret, GError **error)
{
	*ret = (struct around){.control = control};
	ret->networks = control_list(control, KIND_NETWORK, NULL, error);
	ret->hosts = ret->networks ? control_list(control, KIND_HOST, NULL, error) : NULL;
	return ret->hosts != NULL;
}

static void around_clear(struct around *around)
{
	g_clear_pointer(&around->networks, g_ptr_array_unref);
	g_clear_pointer(&around->hosts, g_ptr_array_unref);
}
CLEANUP_CLEAR_FUNC(struct around, around_clear)

static json_t *encode_users(const struct around *around, const struct physical *physical)
{
	json_t *array = json_array();

	for (guint i = 0; i < around->networks->len; i++) {
		const struct network *network = around->networks->pdata[i];
		if (g_strcmp0(network->spec.physical, physical->meta.uid) != 0)
			continue;
		json_t *user = admin_user(around->control, KIND_NETWORK, network->meta.uid);
		json_object_set_new(user, "vlan", json_integer(network->status.vlan));
		json_array_append_new(array, user);
	}
	return array;
}

static json_t *encode_physical(const struct around *around, const struct physical *physical)
{
	json_t *hosts = json_array();

	for (guint i = 0; i < around->hosts->len; i++) {
		const struct host *host = around->hosts->pdata[i];
		if (control_host_is_on(host, physical->meta.name))
			json_array_append_new(hosts, json_string(host->meta.name));
	}
	return json_pack("{s:s, s:s, s:b, s:o, s:o}", "name", physical->meta.name, "vlans",
		physical->spec.vlans, "guestEnforcement", (int)physical->spec.guest_enforcement, "networks",
		encode_users(around, physical), "hosts", hosts);
}

static void list_physicals(struct call *call, void *data)
{
	_cleanup_(around_clear) struct around around = {};
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) list = control_list(data, KIND_PHYSICAL, NULL, &error);

	if (!list || !around_read(data, &around, &error)) {
		call_fail(call, error);
		return;
	}
	json_t *array = json_array();
	for (guint i = 0; i < list->len; i++)
		json_array_append_new(array, encode_physical(&around, list->pdata[i]));
	call_answer_json(call, 200, json_pack("{s:o}", "physicalNetworks", array));
}

/* old: what is there, NULL: nothing. What the body leaves out stays: a permission is only withdrawn by who says so. */
static struct physical *decode_physical(const struct call *call, const struct physical *old, GError **error)
{
	json_auto_t *body = admin_read_body(call, error);
	int guest = old && old->spec.guest_enforcement;
	const char *vlans;
	json_error_t where;

	if (!body)
		return NULL;
	if (json_unpack_ex(body, &where, JSON_STRICT, "{s:s, s?:b}", "vlans", &vlans, "guestEnforcement",
		    &guest) < 0) {
		fault_set(error, FAULT_INVALID,
			"%s; what is needed looks like {\"vlans\": \"100-199,300\", \"guestEnforcement\": "
			"false}",
			where.text);
		return NULL;
	}
	struct physical *physical = model_new(KIND_PHYSICAL, call_param(call, "name"), NULL);
	physical->spec.vlans = g_strdup(vlans);
	physical->spec.guest_enforcement = guest;
	return physical;
}

/* As it is now; "was": what of it was another way before. NULL with *error. */
static json_t *encode_put(
	struct control *control, const struct physical *old, const struct physical *now, GError **error)
{
	_cleanup_(around_clear) struct around around = {};

	if (!around_read(control, &around, error))
		return NULL;
	json_t *json = encode_physical(&around, now), *was = json_object();
	if (old && !g_str_equal(old->spec.vlans, now->spec.vlans))
		json_object_set_new(was, "vlans", json_string(old->spec.vlans));
	if (old && old->spec.guest_enforcement != now->spec.guest_enforcement)
		json_object_set_new(was, "guestEnforcement", json_boolean(old->spec.guest_enforcement));
	json_object_set_new(json, "was", was);
	return json;
}

static void put_physical(struct call *call, void *data)
{
	_cleanup_(control_result_clear) struct control_result result = {};
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct physical *old =
		control_find(data, KIND_PHYSICAL, NULL, call_param(call, "name"), &error);
	_cleanup_(model_free) struct physical *wanted = error ? NULL : decode_physical(call, old, &error);
	/* What was kept of the old one, and is answered of it, must be true of the one that is replaced. */
	const struct control_request request = {
		.principal = call_principal(call),
		.if_revision = old ? old->meta.revision : 0,
		.if_none = !old,
	};
	bool done = wanted && control_put(data, wanted, &request, &result, &error);

	admin_answer(call, result.created ? 201 : 200,
		done ? encode_put(data, old, result.object, &error) : NULL, error);
}

static void delete_physical(struct call *call, void *data)
{
	const struct control_request request = {.principal = call_principal(call)};
	_cleanup_(control_result_clear) struct control_result result = {};
	const char *name = call_param(call, "name");
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct physical *physical =
		control_find(data, KIND_PHYSICAL, NULL, name, &error);

	if (!physical && !error)
		fault_set(&error, FAULT_NOT_FOUND, "there is no physical network %s", name);
	if (physical && control_delete(data, KIND_PHYSICAL, physical->meta.uid, &request, &result, &error))
		call_answer(call, 204);
	else
		call_fail(call, error);
}

/* ---- virtual networks ---- */

/* NULL with *error. */
static json_t *encode_network(
	struct control *control, const struct network *network, const GPtrArray *nics, GError **error)
{
	g_autofree char *segment = control_segment(control, network, error);
	bool vlan = network->spec.segment == SEGMENT_VLAN;

	if (!segment)
		return NULL;
	json_t *json = admin_user(control, KIND_NETWORK, network->meta.uid), *array = json_array();
	for (guint i = 0; i < nics->len; i++) {
		const struct nic *nic = nics->pdata[i];
		const struct nic_config *first = nic->spec.configs->pdata[0];
		if (g_str_equal(first->network, network->meta.uid))
			json_array_append_new(array, json_string(nic->meta.name));
	}
	json_object_set_new(json, "segment", json_string(segment));
	json_object_set_new(
		json, vlan ? "vlan" : "vni", json_integer(vlan ? network->status.vlan : network->status.vni));
	json_object_set_new(json, "nics", array);
	return json;
}

static void list_networks(struct call *call, void *data)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) networks = control_list(data, KIND_NETWORK, NULL, &error);
	g_autoptr(GPtrArray) nics = networks ? control_list(data, KIND_NIC, NULL, &error) : NULL;
	json_auto_t *array = json_array();

	for (guint i = 0; nics && !error && i < networks->len; i++)
		json_array_append_new(array, encode_network(data, networks->pdata[i], nics, &error));
	admin_answer(call, 200, error ? NULL : json_pack("{s:O}", "networks", array), error);
}

static json_t *set_segment(const struct call *call, struct control *control, GError **error)
{
	const struct control_request request = {.principal = call_principal(call)};
	_cleanup_(control_result_clear) struct control_result result = {};
	_cleanup_(model_free) struct network *network = admin_find(call, control, KIND_NETWORK, error);
	json_auto_t *body = network ? admin_read_body(call, error) : NULL;
	const char *words;
	json_error_t where;

	if (!body)
		return NULL;
	if (json_unpack_ex(body, &where, JSON_STRICT, "{s:s}", "segment", &words) < 0) {
		fault_set(error, FAULT_INVALID,
			"%s; what is needed looks like {\"segment\": \"vlan:physnet1:150\"}", where.text);
		return NULL;
	}
	if (!control_set_segment(control, network->meta.uid, words, &request, &result, error))
		return NULL;
	g_autoptr(GPtrArray) nics = control_list(control, KIND_NIC, NULL, error);
	return nics ? encode_network(control, result.object, nics, error) : NULL;
}

static void put_segment(struct call *call, void *data)
{
	g_autoptr(GError) error = NULL;
	json_t *json = set_segment(call, data, &error);

	admin_answer(call, 200, json, error);
}

const struct route admin_network_routes[] = {
	{"GET", "/sluice/v1/physical-networks", list_physicals},
	{"PUT", "/sluice/v1/physical-networks/{name}", put_physical},
	{"DELETE", "/sluice/v1/physical-networks/{name}", delete_physical},
	{"GET", "/sluice/v1/networks", list_networks},
	{"PUT", "/sluice/v1/networks/{uid}/segment", put_segment},
	{"PUT", "/sluice/v1/networks/{group}/{name}/segment", put_segment},
	{},
};
