/* Availability sets: from JSON to the model and back. */
#include "api/arm/arm_priv.h"

#define FAULT_DOMAINS  1 /* when a client says nothing */
#define UPDATE_DOMAINS 5

static const char *const owned[] = {"platformFaultDomainCount", "platformUpdateDomainCount",
	"virtualMachines", "virtualMachineScaleSetMigrationInfo", "statuses", NULL};

static const struct refusal refused[] = {
	{"properties.proximityPlacementGroup", "proximity placement groups"},
	{"properties.scheduledEventsPolicy", "policies of scheduled events"},
	{},
};

static const char *const skus[] = {"Classic", "Aligned", NULL};

/* Virtual machines name their set; what a body says of them is what the client was shown. */
static void decode(struct arm *arm, const struct cursor *body, const void *object, void *wanted)
{
	const struct availability_set *old = object;
	struct availability_set *set = wanted;
	struct cursor properties = cursor_object(body, "properties"), sku = cursor_object(body, "sku");

	set->spec.aligned = cursor_word(&sku, "name", skus, old && old->spec.aligned) == 1;
	set->spec.fault_domains = cursor_int(
		&properties, "platformFaultDomainCount", old ? old->spec.fault_domains : FAULT_DOMAINS);
	set->spec.update_domains = cursor_int(
		&properties, "platformUpdateDomainCount", old ? old->spec.update_domains : UPDATE_DOMAINS);
}

static void encode(struct arm *arm, const void *object, unsigned flags, json_t *answer, json_t *properties)
{
	const struct availability_set *set = object;
	json_t *array;

	put_text(put_object(answer, "sku"), "name", skus[set->spec.aligned]);
	put_number(properties, "platformFaultDomainCount", set->spec.fault_domains);
	put_number(properties, "platformUpdateDomainCount", set->spec.update_domains);
	if (flags & ENCODE_WANTED)
		return;
	g_autoptr(GPtrArray) machines = control_set_machines(arm->control, set, NULL);
	array = json_array();
	for (guint i = 0; i < list_length(machines); i++) {
		g_autofree char *id = arm_id_of_object(arm, machines->pdata[i]);
		if (id)
			json_array_append_new(array, json_pack("{s:s}", "id", id));
	}
	put_json(properties, "virtualMachines", array);
}

static json_t *encode_sizes(struct arm *arm, const void *object)
{
	return put_list(arm_size_list(arm, NULL));
}

static const struct arm_view views[] = {
	{"vmSizes", encode_sizes},
	{},
};

const struct arm_type arm_availability_sets = {
	.namespace = "Microsoft.Compute",
	.name = "availabilitySets",
	.kind = KIND_AVAILABILITY_SET,
	.owned = owned,
	.refused = refused,
	.decode = decode,
	.encode = encode,
	.views = views,
};
