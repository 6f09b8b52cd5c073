/* Sizes of virtual machines: the short list of a location, and SKUs with their capabilities. */
#include "api/arm/arm_priv.h"
#include "api/arm/filter.h"

#include <string.h>

json_t *arm_size_list(struct arm *arm, const struct vm *vm)
{
	const GPtrArray *sizes = control_sizes(arm->control);
	bool accelerated = vm && control_is_accelerated(arm->control, vm);
	json_t *array = json_array();

	for (guint i = 0; i < sizes->len; i++) {
		const struct size *size = sizes->pdata[i];
		if ((accelerated && !size_takes_acceleration(size)) ||
			(vm && list_length(vm->spec.nics) > (guint)size->max_nics))
			continue;
		json_array_append_new(array,
			json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "name", size->name, "numberOfCores",
				(json_int_t)size->vcpus, "memoryInMB", (json_int_t)size->memory_mib,
				"osDiskSizeInMB", (json_int_t)size->os_disk_mib, "resourceDiskSizeInMB",
				(json_int_t)size->resource_disk_mib, "maxDataDiskCount",
				(json_int_t)size->max_data_disks));
	}
	return array;
}

static void list_sizes(struct call *call, void *data)
{
	struct arm *arm = data;
	GError *error = NULL;

	if (arm_check_subscription(arm, call_param(call, "subscription"), &error) &&
		arm_location(arm, NULL, call_param(call, "location"), &error))
		call_answer_json(call, 200, put_list(arm_size_list(arm, NULL)));
	else
		arm_fail(call, error);
}

/* ---- SKUs. All values are text. ---- */

static void add_text(json_t *capabilities, const char *name, const char *value)
{
	json_array_append_new(capabilities, json_pack("{s:s, s:s}", "name", name, "value", value));
}

static void add_number(json_t *capabilities, const char *name, double value)
{
	g_autofree char *text = g_strdup_printf("%.10g", value);

	add_text(capabilities, name, text);
}

static void add_flag(json_t *capabilities, const char *name, bool flag)
{
	add_text(capabilities, name, flag ? "True" : "False");
}

static json_t *capabilities_of(const struct size *size)
{
	json_t *capabilities = json_array();

	add_number(capabilities, "vCPUs", (double)size->vcpus);
	add_number(capabilities, "MemoryGB", (double)size->memory_mib / 1024);
	add_number(capabilities, "MaxResourceVolumeMB", (double)size->resource_disk_mib);
	add_number(capabilities, "OSVhdSizeMB", (double)size->os_disk_mib);
	add_number(capabilities, "MaxDataDiskCount", (double)size->max_data_disks);
	add_number(capabilities, "MaxNetworkInterfaces", (double)size->max_nics);
	add_text(capabilities, "HyperVGenerations", "V1");
	add_text(capabilities, "CpuArchitectureType", "x64");
	/* Azure's list has those that accept acceleration without effect, too. */
	add_flag(capabilities, "AcceleratedNetworkingEnabled", size_takes_acceleration(size));
	add_flag(capabilities, "RdmaEnabled", size->rdma);
	return capabilities;
}

static json_t *sku_of(const struct size *size, const char *location)
{
	const char *word = strchr(size->name, '_');

	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:[s], s:[{s:s, s:[], s:[]}], s:[], s:o}", "resourceType",
		"virtualMachines", "name", size->name, "tier", "Standard", "size",
		word ? word + 1 : size->name, "family", size->family, "locations", location, "locationInfo",
		"location", location, "zones", "zoneDetails", "restrictions", "capabilities",
		capabilities_of(size));
}

/* Clients pick what they want themselves, so every size is there for every location. */
static void list_skus(struct call *call, void *data)
{
	struct arm *arm = data;
	const GPtrArray *locations = control_locations(arm->control), *sizes = control_sizes(arm->control);
	_cleanup_(filter_clear) struct filter filter = {};
	GError *error = NULL;
	json_t *array;

	if (!arm_check_subscription(arm, call_param(call, "subscription"), &error) ||
		!filter_of_call(arm, call, &filter, &error) ||
		!filter_has_only(&filter, "location", &error)) {
		arm_fail(call, error);
		return;
	}
	array = json_array();
	for (guint l = 0; l < locations->len; l++) {
		if (filter.location && g_ascii_strcasecmp(filter.location, locations->pdata[l]) != 0)
			continue;
		for (guint i = 0; i < sizes->len; i++)
			json_array_append_new(array, sku_of(sizes->pdata[i], locations->pdata[l]));
	}
	call_answer_json(call, 200, put_list(array));
}

#define COMPUTE "/subscriptions/{subscription}/providers/Microsoft.Compute"

const struct route arm_size_routes[] = {
	{"GET", COMPUTE "/locations/{location}/vmSizes", list_sizes},
	{"GET", COMPUTE "/skus", list_skus},
	{},
};
