/* The agent's ledger as a JSON file. */
#include "agent/ledger.h"

#include "base/fault.h"

static const struct field migration_fields[] = {F_STRING(ledger_migration, uid),
	F_ENUM(ledger_migration, role, migration_role_words),
	F_ENUM(ledger_migration, state, migration_state_words), F_STRING(ledger_migration, message), F_END};
static const struct shape migration_shape = {
	"migration of the ledger", sizeof(struct ledger_migration), migration_fields};

static const struct field vm_fields[] = {F_STRING(ledger_vm, uid), F_STRING(ledger_vm, name),
	F_INT(ledger_vm, restarts), F_INT(ledger_vm, reimages), F_BOOL(ledger_vm, halted),
	F_STRING(ledger_vm, message), F_STRUCT(ledger_vm, migration, migration_shape), F_END};
static const struct shape vm_shape = {"VM of the ledger", sizeof(struct ledger_vm), vm_fields};

static const struct field change_fields[] = {F_INT(ledger_change, at_ms), F_END};
static const struct shape change_shape = {
	"change of the ledger", sizeof(struct ledger_change), change_fields};

static const struct field nic_fields[] = {F_STRING(ledger_nic, uid), F_STRING(ledger_nic, vm),
	F_STRING(ledger_nic, mac), F_ENUM(ledger_nic, state, accel_state_words),
	F_STRING(ledger_nic, physical), F_INT(ledger_nic, vlan), F_STRING(ledger_nic, function),
	F_STRING(ledger_nic, representor), F_BOOL(ledger_nic, revoked), F_INT(ledger_nic, revoke_due_s),
	F_BOOL(ledger_nic, forced), F_INT(ledger_nic, changes), F_LIST(ledger_nic, changed, change_shape),
	F_INT(ledger_nic, dampings), F_INT(ledger_nic, dampings_in_row), F_INT(ledger_nic, damped_until_ms),
	F_END};
static const struct shape nic_shape = {"NIC of the ledger", sizeof(struct ledger_nic), nic_fields};

static const struct field ledger_fields[] = {F_INT(ledger, generation), F_BOOL(ledger, drained),
	F_BOOL(ledger, drain_forced), F_INT(ledger, drain_due_s), F_LIST(ledger, vms, vm_shape),
	F_LIST(ledger, nics, nic_shape), F_END};
static const struct shape ledger_shape = {"ledger", sizeof(struct ledger), ledger_fields};

static struct ledger *decode(const char *path, GError **error)
{
	json_error_t parse_error;
	g_autoptr(GError) cause = NULL;

	if (!g_file_test(path, G_FILE_TEST_EXISTS))
		return shape_new(&ledger_shape);
	json_auto_t *json = json_load_file(path, 0, &parse_error);
	struct ledger *ledger = json ? shape_decode(&ledger_shape, json, SHAPE_LENIENT, &cause) : NULL;
	if (!ledger)
		fault_set(error, FAULT_INTERNAL,
			"the ledger %s is damaged (%s); without it VMs and functions would be lost sight of: "
			"mend it, or stop this host's VMs and remove it",
			path, cause ? cause->message : parse_error.text);
	return ledger;
}

struct ledger *ledger_load(const char *path, GError **error)
{
	struct ledger *ledger = decode(path, error);

	if (!ledger)
		return NULL;
	ledger->path = g_strdup(path);
	if (!ledger->vms)
		ledger->vms = shape_list_new(&vm_shape);
	if (!ledger->nics)
		ledger->nics = shape_list_new(&nic_shape);
	return ledger;
}

void ledger_free(struct ledger *ledger)
{
	if (!ledger)
		return;
	g_free(ledger->path);
	shape_free(&ledger_shape, ledger);
}

bool ledger_save(const struct ledger *ledger, GError **error)
{
	json_auto_t *json = shape_encode(&ledger_shape, ledger);
	char *text = json_dumps(json, JSON_INDENT(1));
	g_autoptr(GError) cause = NULL;
	bool ok = g_file_set_contents_full(ledger->path, text, -1,
		G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600, &cause);

	free(text);
	return ok || fault_set(error, FAULT_INTERNAL, "cannot write the agent's ledger: %s", cause->message);
}

struct ledger_vm *ledger_find_vm(const struct ledger *ledger, const char *uid)
{
	for (guint i = 0; i < ledger->vms->len; i++) {
		struct ledger_vm *vm = ledger->vms->pdata[i];
		if (g_str_equal(vm->uid, uid))
			return vm;
	}
	return NULL;
}

struct ledger_nic *ledger_find_nic(const struct ledger *ledger, const char *uid)
{
	for (guint i = 0; i < ledger->nics->len; i++) {
		struct ledger_nic *nic = ledger->nics->pdata[i];
		if (g_str_equal(nic->uid, uid))
			return nic;
	}
	return NULL;
}

struct ledger_vm *ledger_add_vm(struct ledger *ledger, const char *uid)
{
	struct ledger_vm *vm = shape_new(&vm_shape);

	vm->uid = g_strdup(uid);
	g_ptr_array_add(ledger->vms, vm);
	return vm;
}

struct ledger_nic *ledger_add_nic(struct ledger *ledger, const char *uid)
{
	struct ledger_nic *nic = shape_new(&nic_shape);

	nic->uid = g_strdup(uid);
	g_ptr_array_add(ledger->nics, nic);
	return nic;
}

void ledger_add_change(struct ledger_nic *nic, int64_t at_ms)
{
	struct ledger_change *change = shape_new(&change_shape);

	if (!nic->changed)
		nic->changed = shape_list_new(&change_shape);
	change->at_ms = at_ms;
	g_ptr_array_add(nic->changed, change);
}

void ledger_drop_vm(struct ledger *ledger, const char *uid)
{
	g_ptr_array_remove(ledger->vms, ledger_find_vm(ledger, uid));
}

void ledger_drop_nic(struct ledger *ledger, const char *uid)
{
	g_ptr_array_remove(ledger->nics, ledger_find_nic(ledger, uid));
}

void ledger_clear_migration(struct ledger_vm *vm)
{
	shape_clear(&migration_shape, &vm->migration);
}
