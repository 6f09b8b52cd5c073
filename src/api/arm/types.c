/* Which resource types there are. */
#include "api/arm/arm_priv.h"

const struct arm_type *const arm_types[] = {&arm_networks, &arm_security_groups, &arm_addresses, &arm_nics,
	&arm_vms, &arm_availability_sets, &arm_scale_sets, &arm_balancers, &arm_application_groups,
	&arm_route_tables, &arm_custom_images, &arm_key_pairs, NULL};

/* What people ask for that is refused for a reason worth saying. */
static const struct {
	const char *namespace, *reason;
} absent[] = {
	{"Microsoft.ClassicCompute", "classic virtual machines cannot be deployed, so they cannot have "
				     "accelerated networking either; use "
				     "Microsoft.Compute/virtualMachines"},
	{"Microsoft.ClassicNetwork",
		"classic networks cannot be deployed; use Microsoft.Network/virtualNetworks"},
	{"Microsoft.ClassicStorage", "classic storage cannot be deployed"},
};

const struct arm_type *arm_type_find(const char *namespace, const char *name, GError **error)
{
	g_autoptr(GString) known = g_string_new(NULL);

	for (size_t i = 0; i < G_N_ELEMENTS(absent); i++)
		if (g_ascii_strcasecmp(namespace, absent[i].namespace) == 0) {
			arm_fault_set(error, ARM_INVALID_TYPE,
				"The resource type '%s/%s' is not supported: %s.", namespace, name,
				absent[i].reason);
			return NULL;
		}
	for (const struct arm_type *const *type = arm_types; *type; type++) {
		if (g_ascii_strcasecmp((*type)->namespace, namespace) == 0 &&
			g_ascii_strcasecmp((*type)->name, name) == 0)
			return *type;
		g_string_append_printf(
			known, "%s%s/%s", known->len ? ", " : "", (*type)->namespace, (*type)->name);
	}
	arm_fault_set(error, ARM_INVALID_TYPE, "The resource type '%s/%s' is not supported; there are %s.",
		namespace, name, known->str);
	return NULL;
}

const struct arm_child *arm_child_find(const struct arm_type *type, const char *name, GError **error)
{
	for (const struct arm_child *child = type->children; child && child->name; child++)
		if (g_ascii_strcasecmp(child->name, name) == 0)
			return child;
	arm_fault_set(error, ARM_INVALID_TYPE,
		"The resource type '%s/%s/%s' is not supported, or cannot be changed.", type->namespace,
		type->name, name);
	return NULL;
}

#define INSTANCE "Microsoft.Compute/virtualMachineScaleSets/virtualMachines"

const char *arm_inner_type(enum kind kind)
{
	return kind == KIND_VM    ? INSTANCE
	       : kind == KIND_NIC ? INSTANCE "/networkInterfaces"
				  : INSTANCE "/networkInterfaces/ipConfigurations/publicIPAddresses";
}

const struct arm_type *arm_type_of(enum kind kind)
{
	if (kind == KIND_GROUP)
		return &arm_groups;
	for (const struct arm_type *const *type = arm_types; *type; type++)
		if ((*type)->kind == kind)
			return *type;
	return NULL;
}
