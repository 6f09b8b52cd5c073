/* What tests of scale sets share. */
#include "control/set_fixture.h"

#include <string.h>

const struct control_request set_request = {.principal = "test"};

void *set_put(struct fixture *f, void *object)
{
	g_autoptr(GError) error = NULL;
	void *stored = fixture_put(f, object, &error);

	g_assert_no_error(error);
	return stored;
}

void set_assert_words(const char *text, const char *words)
{
	if (!strstr(text, words))
		g_error("'%s' is not in: %s", words, text);
}

void set_assert_refused(struct fixture *f, void *object, enum fault fault, const char *words)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(fixture_put(f, object, &error));
	g_assert_error(error, FAULT, (int)fault);
	set_assert_words(error->message, words);
}

void set_assert_fails(struct fixture *f, void *object, enum fault fault, const char *words)
{
	_cleanup_(model_free) struct meta *wanted = object;
	_cleanup_(control_result_clear) struct control_result result = {};
	g_autoptr(GError) error = NULL;

	control_put(f->control, wanted, &set_request, &result, &error);
	g_assert_no_error(error);
	_cleanup_(model_free) struct operation *over = fixture_finish(f, result.operation, true);
	g_assert_cmpint(over->status.state, ==, OPERATION_FAILED);
	g_assert_cmpstr(over->status.fault, ==, fault_name(fault));
	set_assert_words(over->status.message, words);
}

struct scale_set *set_read(struct fixture *f)
{
	struct scale_set *set = control_find(f->control, KIND_SCALE_SET, f->group, "web", NULL);

	g_assert_nonnull(set);
	return set;
}

struct set_nic *set_first_nic(struct scale_set *set)
{
	return set->spec.model.nics->pdata[0];
}

GPtrArray *set_instances(struct fixture *f)
{
	_cleanup_(model_free) struct scale_set *set = set_read(f);
	GPtrArray *vms = control_scale_set_instances(f->control, set, NULL);

	g_assert_nonnull(vms);
	return vms;
}

struct vm *set_instance(struct fixture *f, guint index)
{
	g_autoptr(GPtrArray) vms = set_instances(f);

	g_assert_cmpuint(index, <, vms->len);
	return model_copy(vms->pdata[index]);
}

struct nic *set_nic_of(struct fixture *f, const struct vm *vm)
{
	const struct vm_nic_ref *ref = vm->spec.nics->pdata[0];
	struct nic *nic = control_get(f->control, KIND_NIC, ref->nic, NULL);

	g_assert_nonnull(nic);
	return nic;
}

void set_assert_instances(struct fixture *f, const char *expected)
{
	_cleanup_(model_free) struct scale_set *set = set_read(f);
	g_autoptr(GPtrArray) vms = set_instances(f);
	g_autoptr(GString) names = g_string_new(NULL);

	for (guint i = 0; i < vms->len; i++)
		g_string_append_printf(names, "%s%s%s", i ? " " : "", model_meta(vms->pdata[i])->name,
			control_instance_is_current(set, vms->pdata[i]) ? "*" : "");
	g_assert_cmpstr(names->str, ==, expected);
}

void set_assert_power(struct fixture *f, const char *expected)
{
	static const char letters[] = "?.r.s.d";
	g_autoptr(GPtrArray) vms = set_instances(f);
	g_autoptr(GString) found = g_string_new(NULL);

	for (guint i = 0; i < vms->len; i++)
		g_string_append_c(found, letters[((const struct vm *)vms->pdata[i])->status.power]);
	g_assert_cmpstr(found->str, ==, expected);
}

struct operation *set_act(struct fixture *f, enum verb verb, int index)
{
	_cleanup_(control_result_clear) struct control_result result = {};
	_cleanup_(model_free) struct scale_set *set = set_read(f);
	g_autoptr(GPtrArray) uids = strings_new();
	g_autoptr(GError) error = NULL;

	if (index >= 0) {
		_cleanup_(model_free) struct vm *vm = set_instance(f, (guint)index);
		g_ptr_array_add(uids, g_strdup(vm->meta.uid));
	}
	control_scale_set_act(f->control, set->meta.uid, verb, uids, &set_request, &result, &error);
	g_assert_no_error(error);
	return fixture_finish(f, result.operation, true);
}

void set_do(struct fixture *f, enum verb verb, int index)
{
	_cleanup_(model_free) struct operation *over = set_act(f, verb, index);

	if (over->status.state != OPERATION_SUCCEEDED)
		g_error("%s: %s", verb_words[verb], over->status.message);
}

void set_assert_act_fails(struct fixture *f, enum verb verb, int index, enum fault fault, const char *words)
{
	_cleanup_(model_free) struct operation *over = set_act(f, verb, index);

	g_assert_cmpint(over->status.state, ==, OPERATION_FAILED);
	g_assert_cmpstr(over->status.fault, ==, fault_name(fault));
	set_assert_words(over->status.message, words);
}

void set_put_capacity(struct fixture *f, int64_t capacity)
{
	model_free(set_put(f, fixture_scale_set(f, "web", capacity)));
}

void set_put_accelerated(struct fixture *f, bool on)
{
	EDIT(f);

	set_first_nic(edit)->accelerated = on;
	model_free(set_put(f, edit));
}

void set_put_size(struct fixture *f, const char *size)
{
	EDIT(f);

	g_free(edit->spec.model.size);
	edit->spec.model.size = g_strdup(size);
	model_free(set_put(f, edit));
}

void set_put_upgrade(struct fixture *f, enum upgrade upgrade)
{
	EDIT(f);

	edit->spec.upgrade = (int)upgrade;
	model_free(set_put(f, edit));
}

static void *new_part(GPtrArray **list, const struct shape *shape, const char *name)
{
	char **part = shape_new(shape);

	*list = shape_list_new(shape);
	*part = g_strdup(name);
	g_ptr_array_add(*list, part);
	return part;
}

struct balancer *set_put_balancer(struct fixture *f)
{
	struct address *address = model_new(KIND_ADDRESS, "lb-ip", f->group);
	struct balancer *balancer = model_new(KIND_BALANCER, "lb", f->group);
	struct balancer_front *front = new_part(&balancer->spec.fronts, &balancer_front_shape, "front");
	struct balancer_probe *probe = new_part(&balancer->spec.probes, &balancer_probe_shape, "probe");
	struct balancer_rule *rule = new_part(&balancer->spec.rules, &balancer_rule_shape, "rule");

	new_part(&balancer->spec.pools, &balancer_pool_shape, "pool");
	address->meta.location = g_strdup("centralus");
	_cleanup_(model_free) struct address *stored = set_put(f, address);
	balancer->meta.location = g_strdup("centralus");
	front->address = g_strdup(stored->meta.uid);
	probe->port = 80;
	probe->interval_s = 5;
	probe->threshold = 2;
	rule->front = g_strdup("front");
	rule->pool = g_strdup("pool");
	rule->probe = g_strdup("probe");
	rule->protocol = PROTOCOL_TCP;
	rule->front_port = rule->back_port = 80;
	return set_put(f, balancer);
}

void set_put_health(struct fixture *f, const struct balancer *balancer)
{
	struct scale_set *set = fixture_scale_set(f, "web", 2);
	struct set_config *config = set_first_nic(set)->configs->pdata[0];
	struct balancer_ref *pool = shape_new(&balancer_ref_shape);

	config->nic.pools = shape_list_new(&balancer_ref_shape);
	*pool = (struct balancer_ref){g_strdup(balancer->meta.uid), g_strdup("pool")};
	g_ptr_array_add(config->nic.pools, pool);
	set->spec.health = (struct balancer_ref){g_strdup(balancer->meta.uid), g_strdup("Probe")};
	model_free(set_put(f, set));
}

void set_say_well(struct fixture *f, const char *instance, const struct balancer *balancer)
{
	g_autoptr(GPtrArray) vms = set_instances(f);

	for (guint i = 0; i < vms->len; i++) {
		const struct vm *vm = vms->pdata[i];
		if (!g_str_equal(vm->meta.name, instance))
			continue;
		_cleanup_(model_free) struct nic *nic = set_nic_of(f, vm);
		g_clear_pointer(&nic->status.well, g_ptr_array_unref);
		nic->status.well = strings_new();
		if (balancer)
			g_ptr_array_add(nic->status.well, g_strdup_printf("%s/probe", balancer->meta.uid));
		g_assert_true(control_store(f->control, nic, NULL));
		return;
	}
	g_assert_not_reached();
}

unsigned set_count_keys(struct fixture *f, const char *prefix)
{
	_cleanup_(store_range_clear) struct store_range range = {};
	g_autofree char *end = store_prefix_end(prefix);

	g_assert_true(store_list(f->store, prefix, end, 0, 0, &range, NULL, NULL));
	return range.kvs->len;
}
