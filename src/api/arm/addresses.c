/* Public IP addresses. */
#include "api/arm/arm_priv.h"

static const char *const owned[] = {"ipAddress", "ipConfiguration", "publicIPAllocationMethod",
	"idleTimeoutInMinutes", "publicIPAddressVersion", "ipTags", NULL};

static const struct refusal refused[] = {
	{"properties.dnsSettings", "DNS names of public addresses"},
	{"properties.publicIPPrefix", "public address prefixes"},
	{"properties.natGateway", "NAT gateways"},
	{"properties.ipTags", "IP tags"},
	{"zones", "availability zones"},
	{"extendedLocation", "extended locations"},
	{},
};

static const char *const skus[] = {[ADDRESS_BASIC] = "Basic", [ADDRESS_STANDARD] = "Standard", NULL};

#define IDLE_TIMEOUT_MIN 4

void arm_check_public_version(const struct cursor *properties)
{
	if (cursor_word(properties, "publicIPAddressVersion", arm_versions, 0) != 0)
		cursor_fail(properties, "publicIPAddressVersion",
			"public addresses are of IPv4 here, as IPv6 does not leave virtual networks; use "
			"IPv4");
}

static void decode(struct arm *arm, const struct cursor *body, const void *old, void *wanted)
{
	const struct address *was = old;
	struct address *address = wanted;
	struct cursor sku = cursor_object(body, "sku"), properties = cursor_object(body, "properties");

	address->spec.sku = cursor_word(&sku, "name", skus, was ? was->spec.sku : ADDRESS_BASIC);
	/* A client that names no method gets the one that the SKU allows. */
	address->spec.allocation = cursor_word(&properties, "publicIPAllocationMethod", arm_allocations,
		address->spec.sku == ADDRESS_STANDARD ? ALLOCATION_STATIC : ALLOCATION_DYNAMIC);
	address->spec.idle_timeout_min = cursor_int(&properties, "idleTimeoutInMinutes", 0);
	arm_check_public_version(&properties);
}

/* Id of the load balancer's front end that uses the address. Owned; NULL when none does. */
static char *front_of(struct arm *arm, const struct address *address)
{
	_cleanup_(model_free) struct balancer *balancer =
		address->status.balancer
			? control_get(arm->control, KIND_BALANCER, address->status.balancer, NULL)
			: NULL;
	g_autofree char *id = balancer ? arm_id_of_object(arm, &balancer->meta) : NULL;

	for (guint i = 0; id && i < list_length(balancer->spec.fronts); i++) {
		const struct balancer_front *front = balancer->spec.fronts->pdata[i];
		if (g_strcmp0(front->address, address->meta.uid) == 0)
			return g_strdup_printf("%s/frontendIPConfigurations/%s", id, front->name);
	}
	return NULL;
}

/* Id of the NIC's configuration that uses the address. Owned; NULL when none does. */
static char *configuration_of(struct arm *arm, const struct address *address)
{
	_cleanup_(model_free) struct nic *nic =
		address->status.nic ? control_get(arm->control, KIND_NIC, address->status.nic, NULL) : NULL;
	g_autofree char *id = nic ? arm_id_of_object(arm, &nic->meta) : NULL;

	for (guint i = 0; id && i < list_length(nic->spec.configs); i++) {
		const struct nic_config *config = nic->spec.configs->pdata[i];
		if (g_strcmp0(config->address, address->meta.uid) == 0)
			return g_strdup_printf("%s/ipConfigurations/%s", id, config->name);
	}
	return NULL;
}

static void encode(struct arm *arm, const void *object, unsigned flags, json_t *answer, json_t *properties)
{
	const struct address *address = object;
	json_t *sku = put_object(answer, "sku");
	int64_t idle = address->spec.idle_timeout_min;

	put_text(sku, "name", skus[address->spec.sku]);
	put_text(sku, "tier", "Regional");
	put_text(properties, "resourceGuid", address->meta.uid);
	put_text(properties, "publicIPAllocationMethod", arm_allocations[address->spec.allocation]);
	put_text(properties, "publicIPAddressVersion", arm_versions[0]);
	put_number(properties, "idleTimeoutInMinutes", idle ? idle : IDLE_TIMEOUT_MIN);
	put_json(properties, "ipTags", json_array());
	if (flags & ENCODE_WANTED)
		return;
	put_text(properties, "ipAddress", address->status.ip);
	put_id(properties, "ipConfiguration",
		address->status.balancer ? front_of(arm, address) : configuration_of(arm, address));
}

const struct arm_type arm_addresses = {
	.namespace = "Microsoft.Network",
	.name = "publicIPAddresses",
	.kind = KIND_ADDRESS,
	.owned = owned,
	.refused = refused,
	.decode = decode,
	.encode = encode,
};
