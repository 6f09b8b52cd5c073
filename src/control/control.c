/* The control plane's calls: reading, and the one way in which every kind is changed. */
#include "base/failpoint.h"
#include "base/fault.h"
#include "control/control_priv.h"
#include "control/quota.h"

#include <string.h>

static const struct kind_hooks *const hooks[KIND_COUNT] = {
	[KIND_GROUP] = &group_hooks,
	[KIND_NETWORK] = &network_hooks,
	[KIND_SECURITY_GROUP] = &security_group_hooks,
	[KIND_ADDRESS] = &address_hooks,
	[KIND_NIC] = &nic_hooks,
	[KIND_VM] = &vm_hooks,
	[KIND_DEPLOYMENT] = &deployment_hooks,
	[KIND_PHYSICAL] = &physical_hooks,
	[KIND_AVAILABILITY_SET] = &availability_set_hooks,
	[KIND_SCALE_SET] = &scale_set_hooks,
	[KIND_BALANCER] = &balancer_hooks,
	[KIND_APPLICATION_GROUP] = &application_group_hooks,
	[KIND_ROUTE_TABLE] = &route_table_hooks,
	[KIND_CUSTOM_IMAGE] = &custom_image_hooks,
	[KIND_KEY_PAIR] = &key_pair_hooks,
};

const struct kind_hooks *kind_hooks(enum kind kind)
{
	g_assert(hooks[kind]);
	return hooks[kind];
}

/* ---- opening ---- */

static bool read_pool(struct control *control, const struct control_config *config, GError **error)
{
	if (prefix_parse(config->public_prefix, &control->public_prefix) < 0)
		return fault_set(error, FAULT_INVALID,
			"the pool of public addresses '%s' is no prefix such as 203.0.113.0/24",
			config->public_prefix);
	if (config->public_gateway &&
		(ip_parse(config->public_gateway, &control->public_gateway) < 0 ||
			!prefix_contains(control->public_prefix, control->public_gateway)))
		return fault_set(error, FAULT_INVALID, "the public gateway '%s' is no address of %s",
			config->public_gateway, config->public_prefix);
	return true;
}

/* Without what a size says, a host could not be told of a machine that is there. */
static bool check_sizes(struct control *control, const char *path, GError **error)
{
	g_autoptr(GPtrArray) vms = control_list(control, KIND_VM, NULL, error);

	for (guint i = 0; i < list_length(vms); i++) {
		const struct vm *vm = vms->pdata[i];
		if (!vm_needs_size(vm) || control_size(control, vm->spec.size))
			continue;
		_cleanup_(model_free) struct group *group = control_group_of(control, &vm->meta);
		return fault_set(error, FAULT_INVALID,
			"size %s is not in the catalog %s, but virtual machine %s of resource group %s has "
			"it and is not deallocated; put the size back, and delete, deallocate or resize the "
			"machine before the size goes",
			vm->spec.size, path, vm->meta.name, group ? group->meta.name : "(none)");
	}
	return vms != NULL;
}

struct control *control_open(const struct control_config *config, GError **error)
{
	struct control *control = g_new0(struct control, 1);

	control->store = config->store;
	control->cache = cache_new();
	control->mirror = mirror_new(control->store, control->cache);
	control->default_outbound = !config->no_default_outbound;
	control->cpu_ratio = config->cpu_allocation_ratio;
	control->ram_ratio = config->ram_allocation_ratio;
	control->silent_us = (int64_t)(config->host_timeout_s ? config->host_timeout_s : 30) * G_USEC_PER_SEC;
	control->consoles = consoles_open();
	control->hosts = hosts_open(control, error);
	if (control->hosts && read_pool(control, config, error) &&
		(control->catalog = catalog_open(config, error)) &&
		check_sizes(control, config->sizes_path, error) && principals_open(control, error) &&
		quota_open(control, error) && reconciler_open(control, error))
		return control;
	control_close(control);
	return NULL;
}

void control_close(struct control *control)
{
	if (!control)
		return;
	reconciler_close(control->reconciler);
	hosts_close(control->hosts);
	consoles_close(control->consoles);
	places_free(control->places);
	catalog_close(control->catalog);
	mirror_free(control->mirror);
	cache_free(control->cache);
	g_free(control->subscription);
	g_free(control->tenant);
	g_free(control);
}

struct control *control_preview_open(struct control *control, GError **error)
{
	struct store *store = store_memory_over(control->store, error);

	if (!store)
		return NULL;
	struct control *preview = g_memdup2(control, sizeof *control);
	preview->store = store;
	preview->cache = cache_new();
	preview->mirror = mirror_new(store, preview->cache);
	preview->places = NULL;
	preview->preview = true;
	return preview;
}

void control_preview_close(struct control *preview)
{
	if (!preview)
		return;
	places_free(preview->places);
	mirror_free(preview->mirror);
	cache_free(preview->cache);
	store_close(preview->store);
	g_free(preview);
}

/* ---- reading ---- */

bool control_revision(struct control *control, int64_t *ret, GError **error)
{
	_cleanup_(store_range_clear) struct store_range range = {};

	return store_list(control->store, KEY_ROOT, NULL, 0, 1, &range, ret, error);
}

void *control_get(struct control *control, enum kind kind, const char *uid, GError **error)
{
	g_autofree char *key = key_object(kind, uid);
	_cleanup_(store_kv_free) struct store_kv *kv = NULL;

	if (!store_get(control->store, key, &kv, error))
		return NULL;
	if (kv)
		return cache_decode(control->cache, kind, kv, error);
	fault_set(error, FAULT_NOT_FOUND, "there is no %s with id %s", kind_info(kind)->title, uid);
	return NULL;
}

void *control_find(
	struct control *control, enum kind kind, const char *parent, const char *name, GError **error)
{
	g_autofree char *key = key_name(kind, parent, name);
	_cleanup_(store_kv_free) struct store_kv *kv = NULL;
	gsize length;

	if (!store_get(control->store, key, &kv, error) || !kv)
		return NULL;
	const char *text = g_bytes_get_data(kv->value, &length);
	g_autofree char *uid = g_strndup(text, length);
	return control_get(control, kind, uid, error);
}

static GPtrArray *list_all(struct control *control, enum kind kind, GError **error)
{
	g_autofree char *prefix = key_objects(kind), *end = store_prefix_end(prefix);
	_cleanup_(store_range_clear) struct store_range range = {};
	g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(model_free);

	if (!store_list(control->store, prefix, end, 0, 0, &range, NULL, error))
		return NULL;
	for (guint i = 0; i < range.kvs->len; i++) {
		void *object = cache_decode(control->cache, kind, range.kvs->pdata[i], error);
		if (!object)
			return NULL;
		g_ptr_array_add(list, object);
	}
	return g_steal_pointer(&list);
}

GPtrArray *control_list(struct control *control, enum kind kind, const char *parent, GError **error)
{
	if (!parent)
		return list_all(control, kind, error);
	g_autofree char *prefix = key_names(kind, parent), *end = store_prefix_end(prefix);
	_cleanup_(store_range_clear) struct store_range range = {};
	g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(model_free);
	if (!store_list(control->store, prefix, end, 0, 0, &range, NULL, error))
		return NULL;
	for (guint i = 0; i < range.kvs->len; i++) {
		gsize length;
		const char *text = g_bytes_get_data(((struct store_kv *)range.kvs->pdata[i])->value, &length);
		g_autofree char *uid = g_strndup(text, length);
		void *object = control_get(control, kind, uid, error);
		if (!object)
			return NULL;
		g_ptr_array_add(list, object);
	}
	return g_steal_pointer(&list);
}

struct group *control_group_of(struct control *control, const struct meta *meta)
{
	if (!model_is_inner(meta))
		return control_get(control, KIND_GROUP, meta->parent, NULL);
	_cleanup_(model_free) struct meta *outer =
		control_get(control, (enum kind)meta->parent_kind, meta->parent, NULL);
	return outer ? control_group_of(control, outer) : NULL;
}

/* ---- changing ---- */

void control_result_clear(struct control_result *result)
{
	model_free(result->object);
	model_free(result->operation);
	*result = (struct control_result){};
}

/* One call, as the change functions below see it. */
struct call {
	struct control *control;
	const struct control_request *request;
	const void *wanted; /* control_put */
	enum kind kind;
	const char *uid; /* control_delete, control_vm_action, control_set_segment */
	const char *words; /* control_set_segment */
	const GPtrArray *instances; /* control_scale_set_act */
	const char *image; /* control_scale_set_roll, as the next */
	json_t *reference;
	const char *set_operation; /* uid of the one of a scale set that asks; NULL: a client does */
	enum verb verb;
	struct control_result *ret;
};

static void set_result(struct call *call, bool created, const void *object, struct operation *operation)
{
	control_result_clear(call->ret);
	call->ret->created = created;
	call->ret->object = model_copy(object);
	call->ret->operation = operation;
}

static bool check_precondition(const struct call *call, const struct meta *old, GError **error)
{
	const struct control_request *request = call->request;

	if (request->if_none && old)
		return fault_set(error, FAULT_PRECONDITION,
			"%s %s exists already, and If-None-Match was given", kind_info(call->kind)->title,
			old->name);
	if (request->if_revision && (!old || old->revision != request->if_revision))
		return fault_set(error, FAULT_PRECONDITION,
			"%s %s was changed by someone else since its etag was read; read it again and repeat",
			kind_info(call->kind)->title, old ? old->name : "that is asked for");
	return true;
}

static bool check_parent(
	struct change *change, const struct meta *meta, const struct group **ret, GError **error)
{
	if (kind_info((enum kind)meta->kind)->parent != KIND_GROUP)
		return true;
	const struct group *group = change_get(change, KIND_GROUP, meta->parent, NULL);
	if (!group)
		return fault_set(error, FAULT_GROUP_NOT_FOUND,
			"the resource group of %s does not exist; create it first", meta->name);
	if (group->status.outcome.state == PROVISIONING_DELETING)
		return fault_set(error, FAULT_BUSY,
			"resource group %s is being deleted; wait until it is gone", group->meta.name);
	*ret = group;
	return true;
}

/* The new version of an object: what is wanted, with the identity and status of what was there. */
static void *next_version(const void *wanted, const void *old)
{
	struct meta *meta = model_copy(wanted);
	const struct meta *was = old;

	meta->revision = was ? was->revision : 0;
	if (!was) {
		meta->generation = 1;
		return meta;
	}
	void *kept = model_copy(old);
	struct meta *kept_meta = kept;
	/* Identity and status from the old one, the rest from the wanted one. */
	g_free(meta->uid);
	g_free(meta->name);
	meta->uid = g_steal_pointer(&kept_meta->uid);
	meta->name = g_steal_pointer(&kept_meta->name);
	meta->created_us = was->created_us;
	meta->generation = was->generation + 1;
	const struct shape *shape = kind_info((enum kind)meta->kind)->shape;
	for (const struct field *field = shape->fields; field->type != FIELD_END; field++) {
		if (!g_str_equal(field->name, "status"))
			continue;
		shape_clear(field->shape, (char *)meta + field->offset);
		memcpy((char *)meta + field->offset, (char *)kept + field->offset, field->shape->size);
		memset((char *)kept + field->offset, 0, field->shape->size);
	}
	model_free(kept);
	return meta;
}

static bool must_wait(struct call *call, struct change *change, bool *ret, GError **error)
{
	*ret = !call->control->preview && (call->kind == KIND_VM || call->kind == KIND_SCALE_SET ||
						  reconciler_has(call->control, call->kind));
	if (*ret || call->control->preview || !kind_hooks(call->kind)->reaches_hosts)
		return true;
	return change_any_placed(change, ret, error);
}

static struct operation *start_operation(
	struct change *change, const struct call *call, const void *object, bool created, bool wait)
{
	struct operation *operation = operation_new(call->verb, object, call->request, created);

	if (!wait) {
		operation->status.state = OPERATION_SUCCEEDED;
		operation->status.finished_us = g_get_real_time();
	}
	change_put(change, operation);
	return operation;
}

static bool put_object(struct change *change, void *data, GError **error)
{
	struct call *call = data;
	const struct meta *wanted = call->wanted;
	const struct group *group = NULL;
	bool wait;
	void *old;

	if (!check_name(call->kind, wanted->name, error) || !check_parent(change, wanted, &group, error) ||
		!change_find(change, call->kind, wanted->parent, wanted->name, &old, error) ||
		!check_precondition(call, old, error) || (old && !check_not_busy(old, error)))
		return false;
	_cleanup_(model_free) struct meta *object = next_version(call->wanted, old);
	struct put put = {call->control, change, old, object, group};
	const struct kind_hooks *kind = kind_hooks(call->kind);
	if ((!kind->nowhere && !check_location(&put, error)) || !kind->prepare(&put, error) ||
		!must_wait(call, change, &wait, error))
		return false;
	outcome_begin(object, !wait ? PROVISIONING_SUCCEEDED
			      : old ? PROVISIONING_UPDATING
				    : PROVISIONING_CREATING);
	change_reserve(change, CONTROL_PUT_ROOM);
	change_put(change, object);
	if (!old)
		change_name(change, object);
	set_result(call, !old, object, start_operation(change, call, object, !old, wait));
	return true;
}

/* The store gave the objects their revisions when it took them. */
static bool commit(struct call *call, change_fn fn, GError **error)
{
	int64_t revision;

	if (!change_run(call->control->store, fn, call, &revision, error)) {
		control_result_clear(call->ret);
		return false;
	}
	failpoint(FAILPOINT_CONTROL_ACCEPTED);
	model_meta(call->ret->object)->revision = revision;
	call->ret->operation->meta.revision = revision;
	return true;
}

bool control_put(struct control *control, const void *wanted, const struct control_request *request,
	struct control_result *ret, GError **error)
{
	struct call call = {
		.control = control,
		.request = request,
		.wanted = wanted,
		.kind = (enum kind)((const struct meta *)wanted)->kind,
		.verb = VERB_PUT,
		.ret = ret,
	};

	return commit(&call, put_object, error);
}

/* For the rules of instances, and for their set to know what it has begun. */
static void note_asker(const struct call *call, struct vm *vm)
{
	g_free(vm->status.set_operation);
	vm->status.set_operation = g_strdup(call->set_operation);
}

static bool delete_object(struct change *change, void *data, GError **error)
{
	struct call *call = data;
	const struct kind_hooks *kind = kind_hooks(call->kind);
	void *object = change_get(change, call->kind, call->uid, error);
	bool wait = kind->delete_later;

	if (!object || !check_precondition(call, object, error))
		return false;
	if (model_outcome(object)->state == PROVISIONING_DELETING)
		return fault_set(error, FAULT_BUSY, "%s %s is being deleted already",
			kind_info(call->kind)->title, model_meta(object)->name);
	if (call->kind == KIND_VM)
		note_asker(call, object);
	if (!kind->release(call->control, change, object, error))
		return false;
	if (kind->delete_later) {
		outcome_begin(object, PROVISIONING_DELETING);
		change_put(change, object);
	} else {
		change_delete(change, object);
		if (kind->reaches_hosts && !change_any_placed(change, &wait, error))
			return false;
	}
	set_result(call, false, object, start_operation(change, call, object, false, wait));
	return true;
}

bool control_delete(struct control *control, enum kind kind, const char *uid,
	const struct control_request *request, struct control_result *ret, GError **error)
{
	struct call call = {
		.control = control,
		.request = request,
		.kind = kind,
		.uid = uid,
		.verb = VERB_DELETE,
		.ret = ret,
	};

	return commit(&call, delete_object, error);
}

/* A deallocated VM starts where its disk is, so that host must have room again. */
static bool check_startable(struct control *control, const struct vm *vm, GError **error)
{
	const struct size *size = control_size(control, vm->spec.size);
	g_autoptr(GError) failure = NULL;

	if (!size)
		return fault_set(error, FAULT_INVALID,
			"virtual machine %s has size %s, which is no longer in the catalog; resize it first",
			vm->meta.name, vm->spec.size);
	if (vm->spec.power != POWER_DEALLOCATED || !vm->status.host)
		return true;
	g_autofree char *host = schedule(control, vm, size, &failure);
	if (host || hosts_awaited(control))
		return true;
	g_propagate_error(error, g_steal_pointer(&failure));
	return false;
}

static bool act_on_vm(struct change *change, void *data, GError **error)
{
	struct call *call = data;
	struct vm *vm = change_get(change, KIND_VM, call->uid, error);

	if (!vm || !check_not_busy(vm, error) || !vm_check_there(vm, error) ||
		(!call->set_operation && !scale_set_check_idle(change, vm, error)))
		return false;
	if (call->verb == VERB_START && !check_startable(call->control, vm, error))
		return false;
	switch (call->verb) {
	case VERB_START:
		/* A guest that turned itself off, or died too often, is left alone until it is asked for
		 * anew. */
		if (vm->spec.power == POWER_RUNNING && vm->status.power == POWER_STATE_STOPPED)
			vm->spec.restarts++;
		vm->spec.power = POWER_RUNNING;
		break;
	case VERB_POWER_OFF:
		if (vm->spec.power == POWER_DEALLOCATED)
			return fault_set(error, FAULT_NOT_ALLOWED,
				"virtual machine %s is deallocated; start it before it can be powered off",
				vm->meta.name);
		vm->spec.power = POWER_STOPPED;
		break;
	case VERB_DEALLOCATE: vm->spec.power = POWER_DEALLOCATED; break;
	case VERB_RESTART:
		if (vm->spec.power != POWER_RUNNING)
			return fault_set(error, FAULT_NOT_ALLOWED,
				"virtual machine %s is not running; start it instead", vm->meta.name);
		vm->spec.restarts++;
		break;
	case VERB_REIMAGE:
		/* One that no host has gets its first disk when it is started. */
		if (vm->status.host)
			vm_reimage(vm);
		break;
	default:
		return fault_set(error, FAULT_UNSUPPORTED, "a virtual machine has no action %s",
			verb_words[call->verb]);
	}
	/* A VM that never had a host has nothing to let go. */
	if (call->verb == VERB_DEALLOCATE && !vm->status.host)
		vm->status.power = POWER_STATE_DEALLOCATED;
	note_asker(call, vm);
	vm->meta.generation++;
	outcome_begin(vm, PROVISIONING_UPDATING);
	change_put(change, vm);
	set_result(call, false, vm, start_operation(change, call, vm, false, true));
	return true;
}

bool control_vm_action(struct control *control, const char *uid, enum verb verb,
	const struct control_request *request, struct control_result *ret, GError **error)
{
	struct call call = {
		.control = control,
		.request = request,
		.kind = KIND_VM,
		.uid = uid,
		.verb = verb,
		.ret = ret,
	};

	return commit(&call, act_on_vm, error);
}

bool instance_act(struct control *control, const struct operation *operation, const char *vm, enum verb verb,
	GError **error)
{
	_cleanup_(control_result_clear) struct control_result result = {};
	const struct control_request request = control_request_after(operation);
	struct call call = {
		.control = control,
		.request = &request,
		.kind = KIND_VM,
		.uid = vm,
		.set_operation = operation->meta.uid,
		.verb = verb,
		.ret = &result,
	};

	return commit(&call, verb == VERB_DELETE ? delete_object : act_on_vm, error);
}

static bool act_on_set(struct change *change, void *data, GError **error)
{
	struct call *call = data;
	struct scale_set *set = change_get(change, KIND_SCALE_SET, call->uid, error);

	if (!set || !check_not_busy(set, error) ||
		!scale_set_begin(call->control, set, call->verb, call->instances, error))
		return false;
	if (call->verb == VERB_ROLL)
		scale_set_take_image(set, call->image, call->reference);
	outcome_begin(set, PROVISIONING_UPDATING);
	change_put(change, set);
	struct operation *operation = start_operation(change, call, set, false, true);
	operation->spec.instances = strings_new();
	for (guint i = 0; i < list_length(call->instances); i++)
		g_ptr_array_add(operation->spec.instances, g_strdup(call->instances->pdata[i]));
	change_put(change, operation);
	set_result(call, false, set, operation);
	return true;
}

bool control_scale_set_act(struct control *control, const char *uid, enum verb verb,
	const GPtrArray *instances, const struct control_request *request, struct control_result *ret,
	GError **error)
{
	struct call call = {
		.control = control,
		.request = request,
		.kind = KIND_SCALE_SET,
		.uid = uid,
		.verb = verb,
		.instances = instances,
		.ret = ret,
	};

	return commit(&call, act_on_set, error);
}

bool control_scale_set_roll(struct control *control, const char *uid, const char *image, json_t *reference,
	const struct control_request *request, struct control_result *ret, GError **error)
{
	struct call call = {
		.control = control,
		.request = request,
		.kind = KIND_SCALE_SET,
		.uid = uid,
		.image = image,
		.reference = reference,
		.verb = VERB_ROLL,
		.ret = ret,
	};

	return commit(&call, act_on_set, error);
}

static bool move_network(struct change *change, void *data, GError **error)
{
	struct call *call = data;
	struct network *network = change_get(change, KIND_NETWORK, call->uid, error);

	if (!network || !check_precondition(call, &network->meta, error) || !check_not_busy(network, error) ||
		!segment_move(change, network, call->words, error))
		return false;
	network->meta.generation++;
	change_put(change, network);
	set_result(call, false, network, start_operation(change, call, network, false, false));
	return true;
}

bool control_set_segment(struct control *control, const char *network, const char *words,
	const struct control_request *request, struct control_result *ret, GError **error)
{
	struct call call = {
		.control = control,
		.request = request,
		.kind = KIND_NETWORK,
		.uid = network,
		.words = words,
		.verb = VERB_PUT,
		.ret = ret,
	};

	return commit(&call, move_network, error);
}

static bool store_object(struct change *change, void *data, GError **error)
{
	change_reserve(change, CONTROL_STORE_ROOM);
	change_put(change, data);
	return true;
}

bool control_store(struct control *control, void *object, GError **error)
{
	int64_t revision;

	if (!change_run(control->store, store_object, object, &revision, error))
		return false;
	model_meta(object)->revision = revision;
	return true;
}

bool control_refuse(struct control *control, const void *wanted, const struct control_request *request,
	const GError *failure, json_t *details, struct operation **ret, GError **error)
{
	_cleanup_(model_free) struct operation *operation = operation_new(VERB_PUT, wanted, request, false);

	operation_fail(operation, failure);
	operation->status.details = json_incref(details);
	if (!control_store(control, operation, error))
		return false;
	*ret = g_steal_pointer(&operation);
	return true;
}
