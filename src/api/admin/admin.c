/* The operator's view of hosts. */
#include "api/admin/admin_priv.h"
#include "base/fault.h"

json_t *admin_user(struct control *control, enum kind kind, const char *uid)
{
	_cleanup_(model_free) struct meta *meta = uid ? control_get(control, kind, uid, NULL) : NULL;
	_cleanup_(model_free) struct group *group = meta ? control_group_of(control, meta) : NULL;

	if (!meta)
		return json_null();
	return json_pack("{s:s, s:s, s:s?}", "uid", meta->uid, "name", meta->name, "group",
		group ? group->meta.name : NULL);
}

json_t *admin_read_body(const struct call *call, GError **error)
{
	size_t length;
	const char *text = call_body(call, &length);
	json_error_t where;
	json_t *json = json_loadb(text, length, JSON_REJECT_DUPLICATES, &where);

	if (!json)
		fault_set(error, FAULT_INVALID, "the body is no JSON: %s", where.text);
	return json;
}

void admin_answer(struct call *call, unsigned status, json_t *json, const GError *error)
{
	if (json)
		call_answer_json(call, status, json);
	else
		call_fail(call, error);
}

void *admin_find(const struct call *call, struct control *control, enum kind kind, GError **error)
{
	const char *uid = call_param(call, "uid"), *name = call_param(call, "name"),
		   *group_name = call_param(call, "group");
	g_autoptr(GError) failure = NULL;

	if (uid)
		return control_get(control, kind, uid, error);
	_cleanup_(model_free) struct group *group =
		control_find(control, KIND_GROUP, control_subscription(control), group_name, &failure);
	void *object = group ? control_find(control, kind, group->meta.uid, name, &failure) : NULL;
	if (failure)
		g_propagate_error(error, g_steal_pointer(&failure));
	else if (!group)
		fault_set(error, FAULT_GROUP_NOT_FOUND, "there is no resource group %s", group_name);
	else if (!object)
		fault_set(error, FAULT_NOT_FOUND, "there is no %s %s in resource group %s",
			kind_info(kind)->title, name, group_name);
	return object;
}

/* ---- lists ---- */

struct listing {
	struct control *control; /* Borrowed */
	admin_encode_fn encode;
	json_t *array;
	GError *failure; /* Owned; the first */
};

/* What it is encoded to may be an array, of several elements of the list. */
static bool take(const void *object, void *data)
{
	struct listing *listing = data;
	json_auto_t *json =
		listing->failure ? NULL : listing->encode(listing->control, object, &listing->failure);

	return json_is_array(json) ? json_array_extend(listing->array, json) == 0 && json_array_size(json)
				   : json && json_array_append(listing->array, json) == 0;
}

void admin_list(
	struct call *call, struct control *control, enum kind kind, const char *word, admin_encode_fn encode)
{
	_cleanup_(page_clear) struct page page = {};
	json_auto_t *array = json_array();
	struct listing listing = {.control = control, .encode = encode, .array = array};
	g_autoptr(GError) error = NULL;
	bool good = page_of_call(call, &page, &error) &&
		    page_walk(&page, control, kind, NULL, take, &listing, &error);

	if (listing.failure)
		g_propagate_error(&error, listing.failure);
	admin_answer(
		call, 200, good && !error ? page_encode(&page, call, word, json_incref(array)) : NULL, error);
}

/* ---- functions and hosts ---- */

static json_t *encode_function(
	struct control *control, const char *host, const struct report_function *function)
{
	json_t *json = json_pack("{s:s, s:s?, s:s?, s:s?, s:o, s:o}", "host", host, "name", function->name,
		"provider", function->provider, "state", function->state, "nic",
		admin_user(control, KIND_NIC, function->nic), "vm",
		admin_user(control, KIND_VM, function->vm));

	if (function->pf)
		json_object_update_new(
			json, json_pack("{s:s?, s:s, s:I, s:s?, s:I}", "physical", function->physical, "pf",
				      function->pf, "index", (json_int_t)function->index, "mac",
				      function->mac, "vlan", (json_int_t)function->vlan));
	return json;
}

/* All of one host: a page has whole hosts. */
static json_t *encode_functions(struct control *control, const void *object, GError **error)
{
	const struct meta *host = object;
	const struct report *report = control_last_report(control, host->name);
	json_t *array = json_array();

	for (guint i = 0; report && i < list_length(report->functions); i++)
		json_array_append_new(
			array, encode_function(control, host->name, report->functions->pdata[i]));
	return array;
}

static void list_functions(struct call *call, void *data)
{
	admin_list(call, data, KIND_HOST, "functions", encode_functions);
}

static json_t *encode_names(const GPtrArray *names)
{
	json_t *array = json_array();

	for (guint i = 0; i < list_length(names); i++)
		json_array_append_new(array, json_string(names->pdata[i]));
	return array;
}

/* Sentences about what does not work there as it should; of a goal, which is made of what is stored. */
static json_t *encode_conditions(struct control *control, const struct host *host)
{
	_cleanup_(goal_free) struct goal *goal = control_goal(control, host->meta.name, NULL);

	return encode_names(goal ? goal->conditions : NULL);
}

static json_t *encode_host(struct control *control, const struct host *host)
{
	const struct report *report = control_last_report(control, host->meta.name);
	json_t *json = json_pack(
		"{s:s, s:s, s:b, s:s?, s:I, s:I, s:b, s:s?, s:s?, s:s?, s:s?, s:s?, s:o, s:o}", "uid",
		host->meta.uid, "name", host->meta.name, "silent", (int)control_host_is_silent(control, host),
		"faultDomain", host->spec.fault_domain, "vcpus", (json_int_t)host->status.vcpus, "memoryMib",
		(json_int_t)host->status.memory_mib, "kvm", (int)host->status.kvm, "provider",
		host->status.provider, "detail", host->status.accel_detail, "version", host->status.version,
		"vtep", host->status.vtep, "tunnel", host->status.tunnel, "physicals",
		encode_names(host->status.physicals), "conditions", encode_conditions(control, host));

	/* What changes all the time is only known of a host that has reported since this controller runs. */
	if (report) {
		json_object_set_new(json, "drained", json_boolean(report->drained));
		json_object_set_new(json, "availableMib", json_integer(report->available_mib));
		json_object_set_new(json, "applied", json_integer(report->applied));
		json_object_set_new(json, "vms", json_integer(list_length(report->vms)));
	}
	return json;
}

static json_t *encode_listed(struct control *control, const void *object, GError **error)
{
	return encode_host(control, object);
}

static void list_hosts(struct call *call, void *data)
{
	admin_list(call, data, KIND_HOST, "hosts", encode_listed);
}

/* {"faultDomain": NAME or null} */
static void put_fault_domain(struct call *call, void *data)
{
	size_t length;
	const char *text = call_body(call, &length), *name = call_param(call, "host");
	json_auto_t *body = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
	json_t *value = json_object_get(body, "faultDomain");
	const char *domain = json_string_value(value);
	g_autoptr(GError) error = NULL;

	if ((!domain && !json_is_null(value)) || json_object_size(body) != 1)
		fault_set(&error, FAULT_INVALID,
			"what is needed looks like {\"faultDomain\": \"rack-1\"}, or null for one of its "
			"own");
	_cleanup_(model_free) struct host *host =
		!error && control_set_fault_domain(data, name, domain, &error)
			? control_find(data, KIND_HOST, NULL, name, &error)
			: NULL;
	if (host)
		call_answer_json(call, 200, encode_host(data, host));
	else
		call_fail(call, error);
}

/* ?lost=true: with the machines that it has */
static void delete_host(struct call *call, void *data)
{
	const char *name = call_param(call, "host"), *lost = call_query(call, "lost");
	g_autoptr(GPtrArray) machines = NULL;
	g_autoptr(GError) error = NULL;

	if (lost && !g_str_equal(lost, "true"))
		fault_set(&error, FAULT_INVALID, "lost is 'true' or left out, not '%s'", lost);
	bool removed = !error && control_remove_host(data, name, lost != NULL, &machines, &error);
	admin_answer(call, 200,
		removed ? json_pack("{s:s, s:o}", "host", name, "lost", encode_names(machines)) : NULL,
		error);
}

static const struct route routes[] = {
	{"GET", "/sluice/v1/functions", list_functions},
	{"GET", "/sluice/v1/hosts", list_hosts},
	{"DELETE", "/sluice/v1/hosts/{host}", delete_host},
	{"PUT", "/sluice/v1/hosts/{host}/fault-domain", put_fault_domain},
	{},
};

void admin_serve(struct control *control, struct server *server)
{
	server_add_routes(server, routes, control);
	server_add_routes(server, admin_network_routes, control);
	server_add_routes(server, admin_quota_routes, control);
	server_add_routes(server, admin_vm_routes, control);
}
