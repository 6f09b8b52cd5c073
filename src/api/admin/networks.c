/* Physical networks, and which virtual network travels where: what the operator decides. */
#include "api/admin/admin_priv.h"
#include "base/fault.h"

#define NICS_MAX 100 /* whose names are shown with a network */

/* ---- physical networks ---- */

static json_t *encode_users(struct control *control, const struct physical *physical, GError **error)
{
	g_autoptr(GPtrArray) users = control_users(control, KIND_NETWORK, physical->meta.uid, 0, error);
	json_t *array = users ? json_array() : NULL;

	for (guint i = 0; users && i < users->len; i++) {
		const struct network *network = users->pdata[i];
		json_t *user = admin_user(control, KIND_NETWORK, network->meta.uid);
		json_object_set_new(user, "vlan", json_integer(network->status.vlan));
		json_array_append_new(array, user);
	}
	return array;
}

static json_t *encode_hosts(struct control *control, const struct physical *physical, GError **error)
{
	g_autoptr(GPtrArray) hosts = control_list(control, KIND_HOST, NULL, error);
	json_t *array = hosts ? json_array() : NULL;

	for (guint i = 0; hosts && i < hosts->len; i++) {
		const struct host *host = hosts->pdata[i];
		if (control_host_is_on(host, physical->meta.name))
			json_array_append_new(array, json_string(host->meta.name));
	}
	return array;
}

/* NULL with *error. */
static json_t *encode_physical(struct control *control, const void *object, GError **error)
{
	const struct physical *physical = object;
	json_auto_t *networks = encode_users(control, physical, error),
		    *hosts = networks ? encode_hosts(control, physical, error) : NULL;

	return hosts ? json_pack("{s:s, s:s, s:b, s:O, s:O}", "name", physical->meta.name, "vlans",
			       physical->spec.vlans, "guestEnforcement",
			       (int)physical->spec.guest_enforcement, "networks", networks, "hosts", hosts)
		     : NULL;
}

static void list_physicals(struct call *call, void *data)
{
	admin_list(call, data, KIND_PHYSICAL, "physicalNetworks", encode_physical);
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
	json_t *json = encode_physical(control, now, error), *was;

	if (!json)
		return NULL;
	was = json_object();
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
		.id = call_id(call),
		.if_revision = old ? old->meta.revision : 0,
		.if_none = !old,
	};
	bool done = wanted && control_put(data, wanted, &request, &result, &error);

	admin_answer(call, result.created ? 201 : 200,
		done ? encode_put(data, old, result.object, &error) : NULL, error);
}

static void delete_physical(struct call *call, void *data)
{
	const struct control_request request = {.principal = call_principal(call), .id = call_id(call)};
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

/* Names of the first that are in it. */
static json_t *encode_nics(struct control *control, const struct network *network, GError **error)
{
	g_autoptr(GPtrArray) nics = control_users(control, KIND_NIC, network->meta.uid, NICS_MAX, error);
	json_t *array = nics ? json_array() : NULL;

	for (guint i = 0; nics && i < nics->len; i++)
		json_array_append_new(array, json_string(((const struct meta *)nics->pdata[i])->name));
	return array;
}

/* NULL with *error. */
static json_t *encode_network(struct control *control, const void *object, GError **error)
{
	const struct network *network = object;
	g_autofree char *segment = control_segment(control, network, error);
	bool vlan = network->spec.segment == SEGMENT_VLAN;
	json_t *nics = segment ? encode_nics(control, network, error) : NULL, *json;

	if (!nics)
		return NULL;
	json = admin_user(control, KIND_NETWORK, network->meta.uid);
	json_object_set_new(json, "segment", json_string(segment));
	json_object_set_new(
		json, vlan ? "vlan" : "vni", json_integer(vlan ? network->status.vlan : network->status.vni));
	json_object_set_new(json, "nics", nics);
	json_object_set_new(
		json, "nicCount", json_integer(control_count_users(control, KIND_NIC, network->meta.uid)));
	return json;
}

static void list_networks(struct call *call, void *data)
{
	admin_list(call, data, KIND_NETWORK, "networks", encode_network);
}

static json_t *set_segment(const struct call *call, struct control *control, GError **error)
{
	const struct control_request request = {.principal = call_principal(call), .id = call_id(call)};
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
	return encode_network(control, result.object, error);
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
