/* What is behind a scale set's id: its instances with their interfaces and addresses, actions on some or all of them,
 * and its rolling upgrade.
 *
 * An instance is named by its number, one of a flexible set by its machine's name.
 */
#include "api/arm/arm_priv.h"
#include "api/arm/filter.h"
#include "api/arm/instance_view.h"

#include <string.h>

/* ---- finding ---- */

/* The set of the path; NULL after it has answered. */
static struct scale_set *find_set(struct call *call, struct arm *arm)
{
	_cleanup_(arm_id_clear) struct arm_id id = {
		.subscription = g_strdup(call_param(call, "subscription")),
		.group = g_strdup(call_param(call, "group")),
		.namespace = g_strdup(arm_scale_sets.namespace),
		.type = g_strdup(arm_scale_sets.name),
		.name = g_strdup(call_param(call, "name"))};
	GError *error = NULL;
	struct scale_set *set = arm_find(arm, &id, &error);

	if (!set)
		arm_fail(call, error);
	return set;
}

/* FAULT_NOT_FOUND. Owned. */
static struct vm *find_by_id(
	struct arm *arm, const struct scale_set *set, const char *instance, GError **error)
{
	g_autofree char *name =
		set->spec.flexible ? g_strdup(instance) : g_strdup_printf("%s_%s", set->meta.name, instance);
	g_autoptr(GError) failure = NULL;
	_cleanup_(model_free) struct vm *vm = control_find(
		arm->control, KIND_VM, set->spec.flexible ? set->meta.parent : set->meta.uid, name, &failure);

	if (failure)
		g_propagate_error(error, g_steal_pointer(&failure));
	else if (!vm || g_strcmp0(vm->spec.scale_set, set->meta.uid) != 0)
		fault_set(error, FAULT_NOT_FOUND, "The scale set %s has no instance '%s'.", set->meta.name,
			instance);
	else
		return g_steal_pointer(&vm);
	return NULL;
}

/* The instance of the path, and its set; NULL after it has answered. */
static struct vm *find_instance(struct call *call, struct arm *arm, struct scale_set **ret_set)
{
	GError *error = NULL;
	struct vm *vm;

	*ret_set = find_set(call, arm);
	if (!*ret_set)
		return NULL;
	vm = find_by_id(arm, *ret_set, call_param(call, "instance"), &error);
	if (!vm)
		arm_fail(call, error);
	return vm;
}

/* ---- how they are ---- */

/* As the model would have it, with what it has. */
static json_t *encode_nic_config(struct arm *arm, const struct set_nic *model, const struct nic *nic)
{
	struct set_nic *now = shape_copy(&set_nic_shape, model);

	now->accelerated = nic->spec.accelerated;
	now->ip_forwarding = nic->spec.ip_forwarding;
	g_free(now->security_group);
	now->security_group = g_strdup(nic->spec.security_group);
	json_t *json = arm_encode_set_nic(arm, now);
	shape_free(&set_nic_shape, now);
	return json;
}

static json_t *encode_nic_configs(struct arm *arm, const struct scale_set *set, const struct vm *vm)
{
	const GPtrArray *models = set->spec.model.nics;
	json_t *array = json_array();

	for (guint i = 0; i < MIN(list_length(models), list_length(vm->spec.nics)); i++) {
		const struct vm_nic_ref *ref = vm->spec.nics->pdata[i];
		_cleanup_(model_free) struct nic *nic = control_get(arm->control, KIND_NIC, ref->nic, NULL);
		if (nic)
			json_array_append_new(array, encode_nic_config(arm, models->pdata[i], nic));
	}
	return array;
}

/* What the set's probe has found, where it has one. */
static void put_health(struct arm *arm, const struct scale_set *set, const struct vm *vm, json_t *view)
{
	bool healthy = control_instance_is_healthy(arm->control, set, vm);

	if (set->spec.health.balancer && vm->spec.power == POWER_RUNNING)
		put_json(view, "vmHealth",
			json_pack("{s:{s:s, s:s, s:s}}", "status", "code",
				healthy ? "HealthState/healthy" : "HealthState/unhealthy", "level", "Info",
				"displayStatus",
				healthy ? "The VM is reported healthy" : "The VM is reported unhealthy"));
}

/* A virtual machine, and what makes it an instance. */
static json_t *encode_instance(
	struct arm *arm, const struct scale_set *set, const struct vm *vm, unsigned flags)
{
	json_t *json = arm_encode(arm, vm, flags), *properties = put_object(json, "properties"),
	       *sku = put_object(json, "sku");
	g_autofree char *number = g_strdup_printf("%" G_GINT64_FORMAT, vm->spec.instance);

	put_text(json, "instanceId", set->spec.flexible ? vm->meta.name : number);
	put_text(sku, "name", vm->spec.size);
	put_text(sku, "tier", "Standard");
	put_flag(properties, "latestModelApplied", control_instance_is_current(set, vm));
	put_text(properties, "modelDefinitionApplied", "VirtualMachineScaleSet");
	put_json(put_object(properties, "networkProfileConfiguration"), "networkInterfaceConfigurations",
		encode_nic_configs(arm, set, vm));
	if (flags & ENCODE_INSTANCE_VIEW)
		put_health(arm, set, vm, put_object(properties, "instanceView"));
	return json;
}

static void count_code(json_t *counts, const char *code)
{
	json_int_t n = json_integer_value(json_object_get(counts, code));

	json_object_set_new(counts, code, json_integer(n + 1));
}

json_t *arm_scale_set_view(struct arm *arm, const void *object)
{
	const struct scale_set *set = object;
	g_autoptr(GPtrArray) vms = control_scale_set_instances(arm->control, set, NULL);
	json_auto_t *counts = json_object();
	json_t *summary = json_array(), *count;
	const char *code;

	for (guint i = 0; i < list_length(vms); i++)
		count_code(counts, instance_provisioning_code(&((struct vm *)vms->pdata[i])->status.outcome));
	for (guint i = 0; i < list_length(vms); i++)
		count_code(counts, instance_power_code(vms->pdata[i]));
	json_object_foreach(counts, code, count)
	{
		json_array_append_new(summary, json_pack("{s:s, s:O}", "code", code, "count", count));
	}
	return json_pack("{s:{s:o}, s:[o], s:[]}", "virtualMachine", "statusesSummary", summary, "statuses",
		instance_provisioning(&set->status.outcome), "extensions");
}

/* ---- reading ---- */

/* Leaves those of the page, which says behind which number it begins. */
static void cut(struct page *page, GPtrArray *vms)
{
	int64_t after = page->after ? g_ascii_strtoll(page->after, NULL, 10) : -1;
	guint first = 0;

	while (first < vms->len && ((const struct vm *)vms->pdata[first])->spec.instance <= after)
		first++;
	if (first)
		g_ptr_array_remove_range(vms, 0, first);
	if (vms->len <= page->limit)
		return;
	g_ptr_array_set_size(vms, (gint)page->limit);
	const struct vm *last = vms->pdata[vms->len - 1];
	page->next = g_strdup_printf("%" G_GINT64_FORMAT, last->spec.instance);
}

/* The set's instances; NULL after it has answered. */
static GPtrArray *list_of(struct call *call, struct arm *arm, struct scale_set **ret_set)
{
	GError *error = NULL;
	GPtrArray *vms;

	*ret_set = find_set(call, arm);
	vms = *ret_set ? control_scale_set_instances(arm->control, *ret_set, &error) : NULL;
	if (error)
		arm_fail(call, error);
	return vms;
}

/* Those of one page. */
static GPtrArray *page_of(
	struct call *call, struct arm *arm, struct scale_set **ret_set, struct page *ret_page)
{
	GError *error = NULL;
	GPtrArray *vms;

	*ret_set = NULL;
	if (!filter_is_absent(call, &error) || !page_of_call(call, ret_page, &error)) {
		arm_fail(call, error);
		return NULL;
	}
	vms = list_of(call, arm, ret_set);
	if (vms)
		cut(ret_page, vms);
	return vms;
}

static void list_instances(struct call *call, void *data)
{
	_cleanup_(model_free) struct scale_set *set = NULL;
	_cleanup_(page_clear) struct page page = {};
	g_autoptr(GPtrArray) vms = page_of(call, data, &set, &page);
	json_t *array;

	if (!vms)
		return;
	array = json_array();
	for (guint i = 0; i < vms->len; i++)
		json_array_append_new(array, encode_instance(data, set, vms->pdata[i], arm_expand_of(call)));
	arm_answer_page(call, &page, array);
}

static void get_instance(struct call *call, void *data)
{
	_cleanup_(model_free) struct scale_set *set = NULL;
	_cleanup_(model_free) struct vm *vm = find_instance(call, data, &set);

	if (vm)
		arm_answer_read(call, &vm->meta, encode_instance(data, set, vm, arm_expand_of(call)));
}

static void get_instance_view(struct call *call, void *data)
{
	_cleanup_(model_free) struct scale_set *set = NULL;
	_cleanup_(model_free) struct vm *vm = find_instance(call, data, &set);

	json_t *view;

	if (!vm)
		return;
	view = instance_view(data, vm);
	put_health(data, set, vm, view);
	call_answer_json(call, 200, view);
}

/* ---- interfaces and addresses ---- */

static void append_nics(struct arm *arm, const struct vm *vm, json_t *array)
{
	for (guint i = 0; i < list_length(vm->spec.nics); i++) {
		const struct vm_nic_ref *ref = vm->spec.nics->pdata[i];
		_cleanup_(model_free) struct nic *nic = control_get(arm->control, KIND_NIC, ref->nic, NULL);
		if (nic)
			json_array_append_new(array, arm_encode(arm, nic, 0));
	}
}

static void append_addresses(struct arm *arm, const struct vm *vm, json_t *array)
{
	for (guint i = 0; i < list_length(vm->spec.nics); i++) {
		const struct vm_nic_ref *ref = vm->spec.nics->pdata[i];
		_cleanup_(model_free) struct nic *nic = control_get(arm->control, KIND_NIC, ref->nic, NULL);
		for (guint c = 0; nic && c < nic->spec.configs->len; c++) {
			const struct nic_config *config = nic->spec.configs->pdata[c];
			_cleanup_(model_free) struct address *address =
				config->address
					? control_get(arm->control, KIND_ADDRESS, config->address, NULL)
					: NULL;
			if (address)
				json_array_append_new(array, arm_encode(arm, address, 0));
		}
	}
}

static void list_parts(struct call *call, struct arm *arm,
	void (*append)(struct arm *arm, const struct vm *vm, json_t *array))
{
	_cleanup_(model_free) struct scale_set *set = NULL;
	_cleanup_(page_clear) struct page page = {};
	g_autoptr(GPtrArray) vms = page_of(call, arm, &set, &page);
	json_t *array;

	if (!vms)
		return;
	array = json_array();
	for (guint i = 0; i < vms->len; i++)
		append(arm, vms->pdata[i], array);
	arm_answer_page(call, &page, array);
}

static void list_nics(struct call *call, void *data)
{
	list_parts(call, data, append_nics);
}

static void list_addresses(struct call *call, void *data)
{
	list_parts(call, data, append_addresses);
}

static void list_instance_nics(struct call *call, void *data)
{
	_cleanup_(model_free) struct scale_set *set = NULL;
	_cleanup_(model_free) struct vm *vm = find_instance(call, data, &set);
	json_t *array;

	if (!vm)
		return;
	array = json_array();
	append_nics(data, vm, array);
	call_answer_json(call, 200, put_list(array));
}

static void get_instance_nic(struct call *call, void *data)
{
	_cleanup_(model_free) struct scale_set *set = NULL;
	_cleanup_(model_free) struct vm *vm = find_instance(call, data, &set);
	struct arm *arm = data;
	const char *name = call_param(call, "nic");
	GError *error = NULL;

	if (!vm)
		return;
	for (guint i = 0; i < list_length(vm->spec.nics); i++) {
		const struct vm_nic_ref *ref = vm->spec.nics->pdata[i];
		_cleanup_(model_free) struct nic *nic = control_get(arm->control, KIND_NIC, ref->nic, NULL);
		if (nic && g_ascii_strcasecmp(nic->meta.name, name) == 0) {
			arm_answer_read(call, &nic->meta, arm_encode(arm, nic, 0));
			return;
		}
	}
	fault_set(&error, FAULT_NOT_FOUND, "Instance %s has no network interface '%s'.", vm->meta.name, name);
	arm_fail(call, error);
}

/* ---- actions ---- */

/* uids of the instances in {"instanceIds": [...]}; empty: all. NULL with *error. */
static GPtrArray *decode_ids(
	struct arm *arm, const struct scale_set *set, const json_t *json, bool required, GError **error)
{
	GError *failure = NULL;
	struct cursor body = cursor_root(json, &failure);
	g_autoptr(GPtrArray) ids = cursor_strings(&body, "instanceIds"), uids = strings_new();

	if (required && list_length(ids) == 0)
		cursor_fail(&body, "instanceIds", "at least one is required; [\"*\"] means all");
	if (failure) {
		g_propagate_error(error, failure);
		return NULL;
	}
	for (guint i = 0; i < list_length(ids); i++) {
		if (g_str_equal(ids->pdata[i], "*"))
			return strings_new();
		_cleanup_(model_free) struct vm *vm = find_by_id(arm, set, ids->pdata[i], error);
		if (!vm)
			return NULL;
		g_ptr_array_add(uids, g_strdup(vm->meta.uid));
	}
	return g_steal_pointer(&uids);
}

static GPtrArray *read_ids(
	struct call *call, struct arm *arm, const struct scale_set *set, enum verb verb, GError **error)
{
	bool required = verb == VERB_UPGRADE || verb == VERB_REMOVE;
	size_t length;

	call_body(call, &length);
	json_auto_t *json = length ? arm_body(call, error) : json_object();
	return json ? decode_ids(arm, set, json, required, error) : NULL;
}

/* The newest image that the model's reference leads to. */
static bool roll(struct arm *arm, const struct scale_set *set, const struct control_request *request,
	struct control_result *ret, GError **error)
{
	json_t *reference = set->spec.model.image_reference;
	const char *publisher = "", *offer = "", *sku = "", *version = "";

	if (set->spec.model.custom_image)
		return fault_set(error, FAULT_NOT_ALLOWED,
			"Scale set %s has an image of one's own, of which there are no newer versions; put "
			"another "
			"image into its model.",
			set->meta.name);
	json_unpack(reference, "{s:s, s:s, s:s, s:s}", "publisher", &publisher, "offer", &offer, "sku", &sku,
		"version", &version);
	const struct image_entry *image = arm_image_find(arm, publisher, offer, sku, version);
	if (!image)
		return fault_set(error, FAULT_INVALID_REFERENCE,
			"The platform image '%s:%s:%s:%s' of scale set %s is not available any more; 'az vm "
			"image "
			"list' shows the images there are.",
			publisher, offer, sku, version, set->meta.name);
	json_auto_t *exact = json_copy(reference);
	json_object_set_new(exact, "exactVersion", json_string(arm_image_version(image)));
	return control_scale_set_roll(arm->control, set->meta.uid, image->image, exact, request, ret, error);
}

static bool act(struct call *call, struct arm *arm, const struct scale_set *set, enum verb verb,
	struct control_result *ret, GError **error)
{
	const struct control_request request = {.principal = call_principal(call), .id = call_id(call)};

	if (verb == VERB_ROLL)
		return roll(arm, set, &request, ret, error);
	g_autoptr(GPtrArray) uids = read_ids(call, arm, set, verb, error);
	return uids && control_scale_set_act(arm->control, set->meta.uid, verb, uids, &request, ret, error);
}

static void post_action(struct call *call, void *data)
{
	struct arm *arm = data;
	_cleanup_(model_free) struct scale_set *set = find_set(call, arm);
	_cleanup_(control_result_clear) struct control_result result = {};
	GError *error = NULL;

	if (!set)
		return;
	const struct arm_action *action =
		arm_action_find(call, &arm_scale_sets, call_param(call, "action"), &error);
	if (action && act(call, arm, set, action->verb, &result, &error))
		arm_answer_accepted(call, arm, &arm_scale_sets, &result);
	else
		arm_fail(call, error);
}

static void post_instance_action(struct call *call, void *data)
{
	struct arm *arm = data;
	_cleanup_(model_free) struct scale_set *set = NULL;
	_cleanup_(model_free) struct vm *vm = find_instance(call, arm, &set);
	_cleanup_(control_result_clear) struct control_result result = {};
	const struct control_request request = {.principal = call_principal(call), .id = call_id(call)};
	GError *error = NULL;

	if (!vm)
		return;
	const struct arm_action *action = arm_action_find(call, &arm_vms, call_param(call, "action"), &error);
	if (action && control_vm_action(arm->control, vm->meta.uid, action->verb, &request, &result, &error))
		arm_answer_accepted(call, arm, &arm_vms, &result);
	else
		arm_fail(call, error);
}

static void delete_instance(struct call *call, void *data)
{
	struct arm *arm = data;
	_cleanup_(model_free) struct scale_set *set = NULL;
	_cleanup_(model_free) struct vm *vm = find_instance(call, arm, &set);
	_cleanup_(control_result_clear) struct control_result result = {};
	const struct control_request request = {.principal = call_principal(call), .id = call_id(call)};
	GError *error = NULL;

	if (vm && control_delete(arm->control, KIND_VM, vm->meta.uid, &request, &result, &error))
		arm_answer_accepted(call, arm, &arm_vms, &result);
	else if (vm)
		arm_fail(call, error);
}

/* ---- rolling upgrades ---- */

static const char *const rolling_codes[] = {[ROLLING_FORWARD] = "RollingForward",
	[ROLLING_COMPLETED] = "Completed",
	[ROLLING_CANCELLED] = "Cancelled",
	[ROLLING_FAULTED] = "Faulted"};

struct progress {
	int healthy, unhealthy, busy, pending;
};

/* What it has come to: of the instances that it was for, and those that are left. */
static void count_progress(
	struct arm *arm, const struct scale_set *set, const GPtrArray *vms, struct progress *ret)
{
	for (guint i = 0; i < vms->len; i++) {
		const struct vm *vm = vms->pdata[i];
		bool its = control_instance_was_upgraded(vm, set->status.rolling.operation);
		if (!control_instance_is_current(set, vm))
			ret->pending++;
		else if (its && vm->status.outcome.state == PROVISIONING_UPDATING)
			ret->busy++;
		else if (its && !control_instance_is_healthy(arm->control, set, vm))
			ret->unhealthy++;
		else if (its)
			ret->healthy++;
	}
}

static json_t *encode_rolling(struct arm *arm, const struct scale_set *set, const GPtrArray *vms)
{
	const struct set_rolling_status *rolling = &set->status.rolling;
	struct progress progress = {};
	json_t *running, *json;

	count_progress(arm, set, vms, &progress);
	running = json_pack("{s:s}", "code", rolling_codes[rolling->state]);
	put_time(running, "startTime", rolling->started_us);
	put_text(running, "lastAction", rolling->cancel ? "Cancel" : "Start");
	put_time(running, "lastActionTime", rolling->started_us);
	json = json_pack("{s:s, s:s, s:s, s:{s:o, s:{s:i, s:i, s:i, s:i}}}", "name", "latest", "type",
		"Microsoft.Compute/virtualMachineScaleSets/rollingUpgrades", "location", set->meta.location,
		"properties", "runningStatus", running, "progress", "successfulInstanceCount",
		progress.healthy, "failedInstanceCount", progress.unhealthy, "inProgressInstanceCount",
		progress.busy, "pendingInstanceCount", progress.pending);
	if (rolling->message)
		put_json(json_object_get(json, "properties"), "error",
			arm_error_json(arm_error_of_word(fault_name(FAULT_NOT_ALLOWED)).code,
				rolling->message, NULL));
	return json;
}

static void get_rolling(struct call *call, void *data)
{
	_cleanup_(model_free) struct scale_set *set = NULL;
	g_autoptr(GPtrArray) vms = list_of(call, data, &set);
	GError *error = NULL;

	if (!vms)
		return;
	if (set->status.rolling.state != ROLLING_NONE) {
		call_answer_json(call, 200, encode_rolling(data, set, vms));
		return;
	}
	fault_set(&error, FAULT_NOT_FOUND, "The scale set %s had no rolling upgrade yet.", set->meta.name);
	arm_fail(call, error);
}

static void cancel_rolling(struct call *call, void *data)
{
	struct arm *arm = data;
	_cleanup_(model_free) struct scale_set *set = find_set(call, arm);
	GError *error = NULL;

	if (set && control_scale_set_cancel(arm->control, set->meta.uid, &error))
		call_answer(call, 200);
	else if (set)
		arm_fail(call, error);
}

#define SET                                                                                                  \
	"/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Compute/"                  \
	"virtualMachineScaleSets/{name}"
#define INSTANCE SET "/virtualMachines/{instance}"

const struct route arm_scale_set_routes[] = {
	{"GET", SET "/virtualMachines", list_instances},
	{"GET", SET "/networkInterfaces", list_nics},
	{"GET", SET "/publicIPAddresses", list_addresses},
	{"GET", SET "/rollingUpgrades/latest", get_rolling},
	{"POST", SET "/rollingUpgrades/cancel", cancel_rolling},
	{"POST", SET "/{action}", post_action},
	{"GET", INSTANCE, get_instance},
	{"DELETE", INSTANCE, delete_instance},
	{"GET", INSTANCE "/instanceView", get_instance_view},
	{"GET", INSTANCE "/networkInterfaces", list_instance_nics},
	{"GET", INSTANCE "/networkInterfaces/{nic}", get_instance_nic},
	{"POST", INSTANCE "/{action}", post_instance_action},
	{},
};
