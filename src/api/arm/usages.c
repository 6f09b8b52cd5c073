/* What the subscription has and may have, by provider. Quotas are the subscription's, so every location shows the same. */
#include "api/arm/arm_priv.h"

/* Azure's number where there is no limit. */
#define NO_LIMIT 2147483647

#define COMPUTE "Microsoft.Compute"
#define NETWORK "Microsoft.Network"

static const struct {
	const char *namespace, *name, *title;
} usages[] = {
	[QUOTA_CORES] = {COMPUTE, "cores", "Total Regional vCPUs"},
	[QUOTA_MACHINES] = {COMPUTE, "virtualMachines", "Virtual Machines"},
	[QUOTA_AVAILABILITY_SETS] = {COMPUTE, "availabilitySets", "Availability Sets"},
	[QUOTA_SCALE_SETS] = {COMPUTE, "virtualMachineScaleSets", "Virtual Machine Scale Sets"},
	[QUOTA_FUNCTIONS] = {NETWORK, "AcceleratedNetworkInterfaces", "Accelerated Network Interfaces"},
	[QUOTA_INTERFACES] = {NETWORK, "NetworkInterfaces", "Network Interfaces"},
	[QUOTA_ADDRESSES] = {NETWORK, "PublicIPAddresses", "Public IP Addresses"},
	[QUOTA_NETWORKS] = {NETWORK, "VirtualNetworks", "Virtual Networks"},
	[QUOTA_SECURITY_GROUPS] = {NETWORK, "NetworkSecurityGroups", "Network Security Groups"},
	[QUOTA_BALANCERS] = {NETWORK, "LoadBalancers", "Load Balancers"},
	[QUOTA_APPLICATION_GROUPS] = {NETWORK, "ApplicationSecurityGroups", "Application Security Groups"},
	[QUOTA_ROUTE_TABLES] = {NETWORK, "RouteTables", "Route Tables"},
	[QUOTA_IMAGES] = {COMPUTE, "images", "Images"},
	[QUOTA_KEYS] = {COMPUTE, "sshPublicKeys", "SSH Public Keys"},
};
G_STATIC_ASSERT(G_N_ELEMENTS(usages) == QUOTA_COUNT);

static json_t *encode(struct arm *arm, const char *location, int i, const struct control_quota *quota)
{
	g_autofree char *id = g_strdup_printf("/subscriptions/%s/providers/%s/locations/%s/usages/%s",
		control_subscription(arm->control), usages[i].namespace, location, usages[i].name);

	return json_pack("{s:s, s:s, s:I, s:I, s:{s:s, s:s}}", "id", id, "unit", "Count", "currentValue",
		(json_int_t)quota->used, "limit",
		(json_int_t)(quota->limit == CONTROL_UNLIMITED ? NO_LIMIT : quota->limit), "name", "value",
		usages[i].name, "localizedValue", usages[i].title);
}

static void list(struct call *call, struct arm *arm, const char *namespace)
{
	struct control_quota quotas[QUOTA_COUNT];
	GError *error = NULL;
	const char *location = arm_check_subscription(arm, call_param(call, "subscription"), &error)
				       ? arm_location(arm, NULL, call_param(call, "location"), &error)
				       : NULL;
	json_t *array;

	if (!location || !control_quotas(arm->control, quotas, &error)) {
		arm_fail(call, error);
		return;
	}
	array = json_array();
	for (int i = 0; i < QUOTA_COUNT; i++)
		if (g_str_equal(usages[i].namespace, namespace))
			json_array_append_new(array, encode(arm, location, i, &quotas[i]));
	call_answer_json(call, 200, put_list(array));
}

static void list_compute(struct call *call, void *data)
{
	list(call, data, COMPUTE);
}

static void list_network(struct call *call, void *data)
{
	list(call, data, NETWORK);
}

#define PROVIDERS "/subscriptions/{subscription}/providers/"

const struct route arm_usage_routes[] = {
	{"GET", PROVIDERS COMPUTE "/locations/{location}/usages", list_compute},
	{"GET", PROVIDERS NETWORK "/locations/{location}/usages", list_network},
	{},
};
