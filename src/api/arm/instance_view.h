/* How a virtual machine is doing right now, as ARM shows it. */
#pragma once
#include "api/arm/arm_priv.h"

/* object: struct vm. */
json_t *instance_view(struct arm *arm, const void *object);
/* The name that the machine's disk is shown under. Owned. */
char *instance_disk_name(const struct vm *vm);
