/* A control plane on a memory store with one pretended host. */
#include "control/fixture.h"

#include <glib/gstdio.h>
#include <string.h>

#define HOST "host-1"

static const char sizes_text[] =
	"[{\"name\":\"Standard_DS4_v2\",\"family\":\"f\",\"vcpus\":8,\"memory_mib\":28672,\"max_nics\":8,"
	"\"bandwidth_mbps\":6000,\"accelerated\":true},"
	"{\"name\":\"Standard_DS2_v2\",\"family\":\"f\",\"vcpus\":2,\"memory_mib\":7168,\"max_nics\":2,"
	"\"bandwidth_mbps\":1500,\"accelerated\":true},"
	"{\"name\":\"Standard_D5_v2\",\"family\":\"f\",\"vcpus\":30,\"memory_mib\":57344,\"max_nics\":8,"
	"\"bandwidth_mbps\":12000,\"accelerated\":true},"
	"{\"name\":\"Standard_NC6\",\"family\":\"f\",\"vcpus\":6,\"memory_mib\":7168,\"max_nics\":2,"
	"\"accelerated_ignored\":true},"
	"{\"name\":\"Standard_B1s\",\"family\":\"f\",\"vcpus\":1,\"memory_mib\":1024,\"max_nics\":2},"
	"{\"name\":\"Standard_Huge\",\"family\":\"f\",\"vcpus\":8,\"memory_mib\":4194304,\"max_nics\":8}]";
/* The image "img" supports acceleration, by one of its aliases; "plain" does not. */
static const char aliases_text[] =
	"{\"Bare\":{\"publisher\":\"me\",\"offer\":\"bare\",\"sku\":\"1\",\"image\":\"img\"},"
	"\"UbuntuLTS\":{\"publisher\":\"Canonical\",\"offer\":\"UbuntuServer\",\"sku\":\"18.04-LTS\","
	"\"version\":\"latest\",\"architecture\":\"x64\",\"image\":\"img\",\"accelerated\":true},"
	"\"Debian\":{\"publisher\":\"debian\",\"offer\":\"debian-12\",\"sku\":\"12\",\"image\":\"newer\","
	"\"accelerated\":true},"
	"\"Plain\":{\"publisher\":\"me\",\"offer\":\"plain\",\"sku\":\"1\",\"image\":\"plain\"}}";

static char *write_file(const struct fixture *fixture, const char *name, const char *text)
{
	char *path = g_build_filename(fixture->dir, name, NULL);

	g_assert_true(g_file_set_contents(path, text, -1, NULL));
	return path;
}

static void open_control(struct fixture *fixture)
{
	g_autofree char *sizes = write_file(fixture, "sizes.json", sizes_text);
	g_autofree char *aliases = write_file(fixture, "aliases.json", aliases_text);
	g_autoptr(GPtrArray) locations = strings_new();
	g_autoptr(GError) error = NULL;

	g_ptr_array_add(locations, g_strdup("centralus"));
	g_ptr_array_add(locations, g_strdup("westus"));
	const struct control_config config = {
		.store = fixture->store,
		.sizes_path = sizes,
		.aliases_path = aliases,
		.locations = locations,
		.public_prefix = "203.0.113.0/28",
		.public_gateway = "203.0.113.1",
		.no_default_outbound = fixture->no_default_outbound,
		.host_timeout_s = fixture->host_timeout_s,
		.cpu_allocation_ratio = 16,
		.ram_allocation_ratio = 5,
	};
	fixture->control = control_open(&config, &error);
	g_assert_no_error(error);
	g_assert_true(control_report(fixture->control, HOST, fixture->report, &error));
	g_assert_no_error(error);
}

static struct report *first_report(void)
{
	struct report *report = report_new();

	report->host = g_strdup(HOST);
	report->vcpus = 2;
	report->memory_mib = 24 * 1024;
	report->available_mib = 20 * 1024;
	report->physicals = strings_new();
	g_ptr_array_add(report->physicals, g_strdup("physnet1"));
	return report;
}

void *fixture_put(struct fixture *fixture, void *object, GError **error)
{
	_cleanup_(model_free) struct meta *wanted = object;
	_cleanup_(control_result_clear) struct control_result result = {};
	const struct control_request request = {.principal = "test"};

	if (!control_put(fixture->control, wanted, &request, &result, error))
		return NULL;
	_cleanup_(model_free) struct operation *over = fixture_finish(fixture, result.operation, true);
	g_assert_cmpint(over->status.state, ==, OPERATION_SUCCEEDED);
	return control_get(fixture->control, (enum kind)wanted->kind, model_meta(result.object)->uid, error);
}

void *fixture_must_put(struct fixture *f, void *object)
{
	g_autoptr(GError) error = NULL;
	void *stored = fixture_put(f, object, &error);

	g_assert_no_error(error);
	return stored;
}

static void *placed(struct meta *meta)
{
	meta->location = g_strdup("centralus");
	return meta;
}

struct network *fixture_network(const struct fixture *fixture, const char *name, const char *prefix, ...)
{
	struct network *network = placed(model_new(KIND_NETWORK, name, fixture->group));
	const char *text;
	va_list args;

	network->spec.prefixes = strings_new();
	g_ptr_array_add(network->spec.prefixes, g_strdup(prefix));
	network->spec.subnets = shape_list_new(&subnet_shape);
	va_start(args, prefix);
	while ((text = va_arg(args, const char *))) {
		struct subnet *subnet = shape_new(&subnet_shape);
		subnet->name = g_strdup(text);
		subnet->prefix = g_strdup(va_arg(args, const char *));
		g_ptr_array_add(network->spec.subnets, subnet);
	}
	va_end(args);
	return network;
}

struct physical *fixture_physical(const char *name, const char *vlans)
{
	struct physical *physical = model_new(KIND_PHYSICAL, name, NULL);

	physical->spec.vlans = g_strdup(vlans);
	return physical;
}

struct nic *fixture_nic(const struct fixture *fixture, const char *name, bool accelerated)
{
	struct nic *nic = placed(model_new(KIND_NIC, name, fixture->group));
	struct nic_config *config = shape_new(&nic_config_shape);

	nic->spec.accelerated = accelerated;
	nic->spec.configs = shape_list_new(&nic_config_shape);
	g_ptr_array_add(nic->spec.configs, config);
	config->name = g_strdup("ipconfig1");
	config->network = g_strdup(fixture->network);
	config->subnet = g_strdup(fixture->subnet);
	return nic;
}

struct vm *fixture_vm(
	const struct fixture *fixture, const char *name, const char *size, const struct nic *nic)
{
	struct vm *vm = placed(model_new(KIND_VM, name, fixture->group));
	struct vm_nic_ref *ref = shape_new(&vm_nic_ref_shape);
	struct ssh_key *key = shape_new(&ssh_key_shape);

	vm->spec.size = g_strdup(size);
	vm->spec.image = g_strdup("img");
	vm->spec.admin_user = g_strdup("azureuser");
	vm->spec.nics = shape_list_new(&vm_nic_ref_shape);
	g_ptr_array_add(vm->spec.nics, ref);
	ref->nic = g_strdup(nic->meta.uid);
	vm->spec.ssh_keys = shape_list_new(&ssh_key_shape);
	g_ptr_array_add(vm->spec.ssh_keys, key);
	key->key = g_strdup("ssh-rsa AAAA test");
	return vm;
}

struct availability_set *fixture_set(const struct fixture *fixture, const char *name)
{
	struct availability_set *set = placed(model_new(KIND_AVAILABILITY_SET, name, fixture->group));

	set->spec.aligned = true;
	set->spec.fault_domains = 2;
	set->spec.update_domains = 5;
	return set;
}

static struct set_nic *scale_set_nic(const struct fixture *fixture)
{
	struct set_nic *nic = shape_new(&set_nic_shape);
	struct set_config *config = shape_new(&set_config_shape);

	nic->name = g_strdup("eth0");
	nic->configs = shape_list_new(&set_config_shape);
	g_ptr_array_add(nic->configs, config);
	config->nic.name = g_strdup("ipconfig1");
	config->nic.network = g_strdup(fixture->network);
	config->nic.subnet = g_strdup(fixture->subnet);
	return nic;
}

struct scale_set *fixture_scale_set(const struct fixture *fixture, const char *name, int64_t capacity)
{
	struct scale_set *set = placed(model_new(KIND_SCALE_SET, name, fixture->group));
	struct set_model *model = &set->spec.model;
	struct ssh_key *key = shape_new(&ssh_key_shape);

	set->spec.capacity = capacity;
	set->spec.fault_domains = 1;
	set->spec.rolling = (struct set_rolling_policy){20, 20, 20, 0};
	model->size = g_strdup("Standard_DS2_v2");
	model->image = g_strdup("img");
	model->name_prefix = g_strdup("web");
	model->admin_user = g_strdup("azureuser");
	model->ssh_keys = shape_list_new(&ssh_key_shape);
	g_ptr_array_add(model->ssh_keys, key);
	key->key = g_strdup("ssh-rsa AAAA test");
	model->nics = shape_list_new(&set_nic_shape);
	g_ptr_array_add(model->nics, scale_set_nic(fixture));
	return set;
}

struct rule *fixture_rule(const char *name, int64_t priority)
{
	struct rule *rule = shape_new(&rule_shape);
	struct rule_side *const sides[] = {&rule->source, &rule->destination};

	rule->name = g_strdup(name);
	rule->priority = priority;
	rule->access = ACCESS_ALLOW;
	for (size_t i = 0; i < 2; i++) {
		sides[i]->addresses = strings_new();
		sides[i]->ports = strings_new();
		g_ptr_array_add(sides[i]->addresses, g_strdup("*"));
		g_ptr_array_add(sides[i]->ports, g_strdup("*"));
	}
	return rule;
}

void fixture_add_host(struct fixture *fixture)
{
	if (fixture->second)
		return;
	fixture->second = first_report();
	g_free(fixture->second->host);
	fixture->second->host = g_strdup("host-2");
	fixture->second->tunnel = g_strdup("192.0.2.2:8446");
	fixture->report->tunnel = g_strdup("192.0.2.1:8446");
	fixture_obey(fixture);
}

void fixture_obey(struct fixture *fixture)
{
	fixture_obey_as(fixture, HOST, fixture->report);
	if (fixture->second)
		fixture_obey_as(fixture, fixture->second->host, fixture->second);
}

/* What a host that does all at once says of a migration. */
static void obey_migration(const struct goal_migration *goal, struct report_migration *ret)
{
	ret->uid = g_strdup(goal->uid);
	if (goal->role == MIGRATION_TARGET)
		ret->state = MIGRATION_READY;
	else if (goal->cancel)
		ret->state = MIGRATION_FAILED;
	else if (goal->go)
		ret->state = MIGRATION_MOVED;
}

void fixture_obey_as(struct fixture *fixture, const char *host, struct report *report)
{
	g_autoptr(GError) error = NULL;
	_cleanup_(goal_free) struct goal *goal = control_goal(fixture->control, host, &error);

	g_assert_no_error(error);
	fixture_report(fixture, goal, host, report);
}

void fixture_report(struct fixture *fixture, const struct goal *goal, const char *host, struct report *report)
{
	static const enum power_state reached[] = {
		POWER_STATE_RUNNING, POWER_STATE_STOPPED, POWER_STATE_DEALLOCATED};
	g_autoptr(GError) error = NULL;

	g_clear_pointer(&report->vms, g_ptr_array_unref);
	report->vms = shape_list_new(&report_vm_shape);
	for (guint i = 0; i < list_length(goal->vms); i++) {
		const struct goal_vm *vm = goal->vms->pdata[i];
		struct report_vm *done = shape_new(&report_vm_shape);
		done->uid = g_strdup(vm->uid);
		done->power = (int)reached[vm->power];
		done->absent = vm->remove;
		done->restarts = vm->restarts;
		done->reimages = vm->reimages;
		if (g_strcmp0(vm->name, fixture->failing) == 0) {
			done->fault = g_strdup("internal");
			done->message = g_strdup("its disk is broken");
		}
		guest_os_take(&done->guest, &fixture->guest);
		obey_migration(&vm->migration, &done->migration);
		g_ptr_array_add(report->vms, done);
	}
	g_free(report->goal_host);
	report->goal_host = g_strdup(goal->host);
	report->received = report->applied = goal->version;
	g_assert_true(control_report(fixture->control, host, report, &error));
	g_assert_no_error(error);
}

void fixture_act(struct fixture *fixture, const struct vm *vm, enum verb verb)
{
	_cleanup_(control_result_clear) struct control_result result = {};
	const struct control_request request = {.principal = "test"};
	g_autoptr(GError) error = NULL;

	control_vm_action(fixture->control, vm->meta.uid, verb, &request, &result, &error);
	g_assert_no_error(error);
	_cleanup_(model_free) struct operation *over = fixture_finish(fixture, result.operation, true);
	g_assert_cmpint(over->status.state, ==, OPERATION_SUCCEEDED);
}

void fixture_delete(struct fixture *fixture, enum kind kind, const char *uid)
{
	const struct control_request request = {.principal = "test"};
	_cleanup_(control_result_clear) struct control_result result = {};
	g_autoptr(GError) error = NULL;

	control_delete(fixture->control, kind, uid, &request, &result, &error);
	g_assert_no_error(error);
	_cleanup_(model_free) struct operation *over = fixture_finish(fixture, result.operation, true);
	g_assert_cmpint(over->status.state, ==, OPERATION_SUCCEEDED);
}

struct operation *fixture_begin(struct fixture *fixture, void *object)
{
	_cleanup_(model_free) void *wanted = object;
	const struct control_request request = {.principal = "test"};
	_cleanup_(control_result_clear) struct control_result result = {};
	g_autoptr(GError) error = NULL;

	control_put(fixture->control, wanted, &request, &result, &error);
	g_assert_no_error(error);
	return g_steal_pointer(&result.operation);
}

void fixture_join(struct nic *nic, const struct network *network)
{
	struct nic_config *config = nic->spec.configs->pdata[0];
	const struct subnet *subnet = network->spec.subnets->pdata[0];

	g_free(config->network);
	g_free(config->subnet);
	config->network = g_strdup(network->meta.uid);
	config->subnet = g_strdup(subnet->uid);
}

static gboolean give_up(void *data)
{
	g_error("an operation did not end within 10 s");
	return G_SOURCE_REMOVE;
}

struct operation *fixture_finish(struct fixture *fixture, const struct operation *operation, bool obey)
{
	guint limit = g_timeout_add_seconds(10, give_up, NULL);
	struct operation *now = control_get(fixture->control, KIND_OPERATION, operation->meta.uid, NULL);

	while (now->status.state == OPERATION_RUNNING) {
		if (obey)
			fixture_obey(fixture);
		g_main_context_iteration(NULL, TRUE);
		model_free(now);
		now = control_get(fixture->control, KIND_OPERATION, operation->meta.uid, NULL);
	}
	g_source_remove(limit);
	return now;
}

/* Runs what an earlier life left under way to its end. */
static void settle(struct fixture *fixture)
{
	g_autoptr(GPtrArray) operations = control_list(fixture->control, KIND_OPERATION, NULL, NULL);

	for (guint i = 0; i < operations->len; i++)
		model_free(fixture_finish(fixture, operations->pdata[i], true));
}

/* Puts the group and network that tests build on. */
static void open_with(struct fixture *fixture, struct store *store, char *dir)
{
	g_autoptr(GError) error = NULL;

	fixture->dir = dir;
	fixture->store = store;
	fixture->report = first_report();
	open_control(fixture);
	_cleanup_(model_free) struct host *second =
		control_find(fixture->control, KIND_HOST, NULL, "host-2", &error);
	if (second)
		fixture_add_host(fixture);
	settle(fixture);
	_cleanup_(model_free) struct group *group = fixture_put(
		fixture, placed(model_new(KIND_GROUP, "rg", control_subscription(fixture->control))), &error);
	g_assert_no_error(error);
	fixture->group = g_strdup(group->meta.uid);
	_cleanup_(model_free) struct network *network = fixture_put(
		fixture, fixture_network(fixture, "net", "10.0.0.0/16", "sub", "10.0.1.0/24", NULL), &error);
	g_assert_no_error(error);
	fixture->network = g_strdup(network->meta.uid);
	fixture->subnet = g_strdup(((struct subnet *)network->spec.subnets->pdata[0])->uid);
}

void fixture_open(struct fixture *fixture)
{
	open_with(fixture, store_memory_open(), g_dir_make_tmp("sluice-control-XXXXXX", NULL));
}

void fixture_open_at(struct fixture *fixture, const char *path)
{
	g_autoptr(GError) error = NULL;
	struct store *store = store_sqlite_open(path, &error);

	g_assert_no_error(error);
	/* Beside the store, so that a life that is killed leaves nothing elsewhere. */
	open_with(fixture, store, g_path_get_dirname(path));
}

void fixture_restart(struct fixture *fixture)
{
	control_close(fixture->control);
	open_control(fixture);
}

void fixture_close(struct fixture *fixture)
{
	static const char *const files[] = {"sizes.json", "aliases.json"};

	control_close(fixture->control);
	store_close(fixture->store);
	for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
		g_autofree char *path = g_build_filename(fixture->dir, files[i], NULL);
		g_remove(path);
	}
	g_rmdir(fixture->dir);
	g_free(fixture->dir);
	g_free(fixture->group);
	g_free(fixture->network);
	g_free(fixture->subnet);
	report_free(fixture->report);
	if (fixture->second)
		report_free(fixture->second);
}
