/* Virtual machines as the operator sees them: where they are, and their way from host to host. */
#include "api/admin/admin_priv.h"
#include "base/fault.h"

#define NOTICE_MAX_S 3600

static char *host_name(struct control *control, const char *uid)
{
	_cleanup_(model_free) struct host *host = uid ? control_get(control, KIND_HOST, uid, NULL) : NULL;

	return host ? g_strdup(host->meta.name) : NULL;
}

/* null when it is not on its way. */
static json_t *encode_migration(struct control *control, const struct vm *vm)
{
	const struct vm_migration_status *migration = &vm->status.migration;
	g_autofree char *target = host_name(control, migration->target);
	struct control_progress progress;

	if (!migration->uid)
		return json_null();
	control_migration_progress(control, vm, &progress);
	return json_pack("{s:s, s:s?, s:s, s:I, s:s?}", "operation", migration->uid, "to", target, "phase",
		progress.phase, "percent", (json_int_t)progress.percent, "message", progress.message);
}

static json_t *encode_vm(struct control *control, const struct vm *vm)
{
	g_autofree char *host = host_name(control, vm->status.host);
	json_t *json = admin_user(control, KIND_VM, vm->meta.uid);
	const struct outcome *outcome = &vm->status.outcome;

	if (json_is_object(json))
		json_object_update_new(
			json, json_pack("{s:s?, s:s, s:s, s:s?, s:s?, s:o}", "host", host, "power",
				      power_state_words[vm->status.power], "provisioning",
				      provisioning_words[outcome->state], "fault", outcome->fault, "message",
				      outcome->message ? outcome->message : vm->status.detail, "migration",
				      encode_migration(control, vm)));
	return json;
}

struct listing {
	struct control *control; /* Borrowed */
	char *host; /* uid: of those that are there; NULL: all */
	json_t *array;
};

static bool take(const void *object, void *data)
{
	struct listing *listing = data;
	const struct vm *vm = object;

	return (!listing->host || g_strcmp0(vm->status.host, listing->host) == 0) &&
	       json_array_append_new(listing->array, encode_vm(listing->control, vm)) == 0;
}

static bool find_host(struct control *control, const char *name, char **ret, GError **error)
{
	g_autoptr(GError) failure = NULL;
	_cleanup_(model_free) struct host *host = control_find(control, KIND_HOST, NULL, name, &failure);

	if (!host && !failure)
		fault_set(&failure, FAULT_NOT_FOUND, "there is no host %s", name);
	*ret = g_strdup(host ? host->meta.uid : NULL);
	if (failure)
		g_propagate_error(error, g_steal_pointer(&failure));
	return host != NULL;
}

static void list_vms(struct call *call, void *data)
{
	const char *wanted = call_query(call, "host");
	_cleanup_(page_clear) struct page page = {};
	g_autofree char *host = NULL;
	g_autoptr(GError) error = NULL;
	json_auto_t *array = json_array();
	struct listing listing = {.control = data, .array = array};
	bool good = !wanted || find_host(data, wanted, &host, &error);

	listing.host = host;
	good = good && page_of_call(call, &page, &error) &&
	       page_walk(&page, data, KIND_VM, NULL, take, &listing, &error);
	admin_answer(call, 200, good ? page_encode(&page, call, "virtualMachines", json_incref(array)) : NULL,
		error);
}

/* ---- operations ---- */

/* With the virtual machine that it is about, if it is about one. */
static json_t *encode_operation(struct control *control, const struct operation *operation)
{
	_cleanup_(model_free) struct vm *vm = NULL;

	if (operation->spec.target_kind == KIND_VM)
		vm = control_get(control, KIND_VM, operation->spec.target, NULL);
	return json_pack("{s:s, s:s, s:s, s:s?, s:s?, s:o}", "uid", operation->meta.uid, "verb",
		verb_words[operation->spec.verb], "state", operation_words[operation->status.state], "fault",
		operation->status.fault, "message", operation->status.message, "virtualMachine",
		vm ? encode_vm(control, vm) : json_null());
}

static json_t *read_operation(struct control *control, const char *uid, GError **error)
{
	_cleanup_(model_free) struct operation *operation = control_get(control, KIND_OPERATION, uid, error);

	return operation ? encode_operation(control, operation) : NULL;
}

static void get_operation(struct call *call, void *data)
{
	g_autoptr(GError) error = NULL;
	json_t *json = read_operation(data, call_param(call, "uid"), &error);

	admin_answer(call, 200, json, error);
}

/* ---- migrations ---- */

/* An empty body asks for nothing in particular. What *ret points to is the body's. */
static bool decode_wish(json_t *body, struct control_migration *ret, GError **error)
{
	json_int_t notice_s = 0;
	json_error_t where;

	if (json_unpack_ex(body, &where, JSON_STRICT, "{s?:s, s?:I}", "host", &ret->host, "noticeSeconds",
		    &notice_s) < 0)
		return fault_set(error, FAULT_INVALID,
			"%s; what is needed looks like {\"host\": \"host-2\", \"noticeSeconds\": 60}",
			where.text);
	ret->notice_s = notice_s;
	return (notice_s >= 0 && notice_s <= NOTICE_MAX_S) ||
	       fault_set(
		       error, FAULT_INVALID, "noticeSeconds: a number from 0 to %d is needed", NOTICE_MAX_S);
}

static json_t *migrate(const struct call *call, struct control *control, GError **error)
{
	const struct control_request request = {.principal = call_principal(call), .id = call_id(call)};
	_cleanup_(control_result_clear) struct control_result result = {};
	_cleanup_(model_free) struct vm *vm = admin_find(call, control, KIND_VM, error);
	struct control_migration wish = {};
	size_t length;

	if (!vm)
		return NULL;
	call_body(call, &length);
	json_auto_t *body = length ? admin_read_body(call, error) : json_object();
	if (!body || !decode_wish(body, &wish, error) ||
		!control_migrate(control, vm->meta.uid, &wish, &request, &result, error))
		return NULL;
	return encode_operation(control, result.operation);
}

static void post_migrate(struct call *call, void *data)
{
	g_autoptr(GError) error = NULL;
	json_t *json = migrate(call, data, &error);

	admin_answer(call, 202, json, error);
}

/* Answers the operation that was asked to end. */
static json_t *cancel(const struct call *call, struct control *control, GError **error)
{
	const struct control_request request = {.principal = call_principal(call), .id = call_id(call)};
	_cleanup_(model_free) struct vm *vm = admin_find(call, control, KIND_VM, error);

	if (!vm || !control_migrate_cancel(control, vm->meta.uid, &request, error))
		return NULL;
	return read_operation(control, vm->status.migration.uid, error);
}

static void delete_migrate(struct call *call, void *data)
{
	g_autoptr(GError) error = NULL;
	json_t *json = cancel(call, data, &error);

	admin_answer(call, 202, json, error);
}

const struct route admin_vm_routes[] = {
	{"GET", "/sluice/v1/virtual-machines", list_vms},
	{"GET", "/sluice/v1/operations/{uid}", get_operation},
	{"POST", "/sluice/v1/virtual-machines/{uid}/migrate", post_migrate},
	{"POST", "/sluice/v1/virtual-machines/{group}/{name}/migrate", post_migrate},
	{"DELETE", "/sluice/v1/virtual-machines/{uid}/migrate", delete_migrate},
	{"DELETE", "/sluice/v1/virtual-machines/{group}/{name}/migrate", delete_migrate},
	{},
};
