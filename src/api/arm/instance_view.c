/* How a virtual machine is doing right now. */
#include "api/arm/instance_view.h"

static const struct {
	const char *code, *text;
} power_states[] = {
	[POWER_STATE_UNKNOWN] = {"PowerState/unknown", "VM state unknown"},
	[POWER_STATE_STARTING] = {"PowerState/starting", "VM starting"},
	[POWER_STATE_RUNNING] = {"PowerState/running", "VM running"},
	[POWER_STATE_STOPPING] = {"PowerState/stopping", "VM stopping"},
	[POWER_STATE_STOPPED] = {"PowerState/stopped", "VM stopped"},
	[POWER_STATE_DEALLOCATING] = {"PowerState/deallocating", "VM deallocating"},
	[POWER_STATE_DEALLOCATED] = {"PowerState/deallocated", "VM deallocated"},
};

static const struct {
	const char *code, *text;
} provisioning[] = {
	[PROVISIONING_SUCCEEDED] = {"ProvisioningState/succeeded", "Provisioning succeeded"},
	[PROVISIONING_CREATING] = {"ProvisioningState/creating", "Creating"},
	[PROVISIONING_UPDATING] = {"ProvisioningState/updating", "Updating"},
	[PROVISIONING_DELETING] = {"ProvisioningState/deleting", "Deleting"},
	[PROVISIONING_FAILED] = {"ProvisioningState/failed", "Provisioning failed"},
};

static json_t *status_new(const char *code, const char *level, const char *text, const char *message)
{
	json_t *status = json_pack("{s:s, s:s, s:s}", "code", code, "level", level, "displayStatus", text);

	put_text(status, "message", message);
	return status;
}

const char *instance_power_code(const struct vm *vm)
{
	return power_states[vm->status.power].code;
}

const char *instance_provisioning_code(const struct outcome *outcome)
{
	return provisioning[outcome->state].code;
}

json_t *instance_provisioning(const struct outcome *outcome)
{
	bool failed = outcome->state == PROVISIONING_FAILED;
	const char *reason = failed ? arm_error_of_word(outcome->fault).code : NULL;
	g_autofree char *code = reason ? g_strdup_printf("%s/%s", provisioning[outcome->state].code, reason)
				       : g_strdup(provisioning[outcome->state].code);

	return status_new(
		code, failed ? "Error" : "Info", provisioning[outcome->state].text, outcome->message);
}

char *instance_disk_name(const struct vm *vm)
{
	const json_t *storage =
		json_object_get(json_object_get(vm->meta.extra, "properties"), "storageProfile");
	const char *named = json_string_value(json_object_get(json_object_get(storage, "osDisk"), "name"));

	return named ? g_strdup(named) : g_strdup_printf("%s_OsDisk_1_%s", vm->meta.name, vm->meta.uid);
}

/* As Azure shows its agent, which here is sluice-guest. */
static json_t *agent_view(const struct vm *vm)
{
	const struct guest_os *guest = &vm->status.guest;
	json_t *view = json_object(), *statuses = json_array(), *status;
	g_autofree char *runs = g_strdup_printf("sluice-guest runs, on kernel %s.", guest->kernel);

	status = vm->status.guest_heard ? status_new("ProvisioningState/succeeded", "Info", "Ready", runs)
					: status_new("ProvisioningState/Unavailable", "Warning", "Not Ready",
						  "sluice-guest does not run in the guest, or is not heard.");
	put_text(view, "vmAgentVersion", vm->status.guest_heard && guest->agent ? guest->agent : "Unknown");
	json_array_append_new(statuses, status);
	put_json(view, "statuses", statuses);
	put_json(view, "extensionHandlers", json_array());
	return view;
}

/* What is known of the system that runs. */
static void put_guest(const struct vm *vm, json_t *view)
{
	if (vm->status.power != POWER_STATE_RUNNING)
		return;
	put_text(view, "osName", vm->status.guest.id);
	put_text(view, "osVersion", vm->status.guest.version);
	put_json(view, "vmAgent", agent_view(vm));
}

json_t *instance_view(struct arm *arm, const void *object)
{
	const struct vm *vm = object;
	json_t *view = json_object(), *statuses = json_array(), *disks = json_array();
	g_autofree char *disk = instance_disk_name(vm);
	int64_t fault_domain;

	if (vm->spec.availability_set)
		put_number(view, "platformUpdateDomain", vm->status.update_domain);
	if (control_fault_domain(arm->control, vm, &fault_domain))
		put_number(view, "platformFaultDomain", fault_domain);
	put_text(view, "computerName", vm->spec.computer_name);
	put_text(view, "hyperVGeneration", "V1");
	put_guest(vm, view);
	json_array_append_new(statuses, instance_provisioning(&vm->status.outcome));
	json_array_append_new(statuses,
		status_new(power_states[vm->status.power].code, vm->status.detail ? "Warning" : "Info",
			power_states[vm->status.power].text, vm->status.detail));
	json_array_append_new(disks, json_pack("{s:s, s:[o]}", "name", disk, "statuses",
					     instance_provisioning(&vm->status.outcome)));
	put_json(view, "disks", disks);
	put_json(view, "extensions", json_array());
	put_json(view, "statuses", statuses);
	return view;
}
