/* How a virtual machine is doing right now, as ARM shows it. */
#pragma once
#include "api/arm/arm_priv.h"

/* object: struct vm. */
json_t *instance_view(struct arm *arm, const void *object);
/* "PowerState/running", "ProvisioningState/succeeded" */
const char *instance_power_code(const struct vm *vm);
const char *instance_provisioning_code(const struct outcome *outcome);
/* {"code","level","displayStatus","message"} of how the last operation went. */
json_t *instance_provisioning(const struct outcome *outcome);
/* The name that the machine's disk is shown under. Owned. */
char *instance_disk_name(const struct vm *vm);
