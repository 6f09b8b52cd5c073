/* The cloud itself: endpoints for clients to register it by, tenants, subscriptions, locations, providers. */
#include "api/arm/arm_priv.h"

#define CLOUD_NAME "sluice"

/* ---- metadata ---- */

/* 2015-01-01: the little that old clients want. */
static json_t *endpoints_2015(const char *url, const char *login)
{
	return json_pack("{s:s, s:s, s:s, s:{s:s, s:[s]}}", "galleryEndpoint", url, "graphEndpoint", url,
		"portalEndpoint", url, "authentication", "loginEndpoint", login, "audiences", ARM_AUDIENCE);
}

/* An authority that ends in "/adfs" keeps the client's login library from looking for it on the internet. */
static json_t *endpoints_2022(const char *url, const char *login)
{
	static const char *const same[] = {"portal", "media", "graphAudience", "graph", "resourceManager",
		"gallery", "sqlManagement", "batch", "activeDirectoryDataLake"};
	g_autofree char *aliases = g_strdup_printf("%s/aliases.json", url);
	json_t *json = json_pack("{s:s, s:{s:s, s:[s], s:s, s:s}, s:s, s:{s:s, s:s}}", "name", CLOUD_NAME,
		"authentication", "loginEndpoint", login, "audiences", ARM_AUDIENCE, "tenant", "adfs",
		"identityProvider", "ADFS", "vmImageAliasDoc", aliases, "suffixes", "storage",
		CLOUD_NAME ".local", "keyVaultDns", "vault." CLOUD_NAME ".local");

	for (size_t i = 0; i < G_N_ELEMENTS(same); i++)
		put_text(json, same[i], url);
	return json;
}

/* Clients ask for one of three versions, each with its own shape: an old object, an array, an object. */
static void get_endpoints(struct call *call, void *data)
{
	const struct arm *arm = data;
	const char *version = call_query(call, "api-version");
	g_autofree char *login = g_strdup_printf("%s/adfs", arm->url);

	if (version && g_str_has_prefix(version, "2015"))
		call_answer_json(call, 200, endpoints_2015(arm->url, login));
	else if (version && g_str_has_prefix(version, "2019"))
		call_answer_json(call, 200, json_pack("[o]", endpoints_2022(arm->url, login)));
	else
		call_answer_json(call, 200, endpoints_2022(arm->url, login));
}

json_t *arm_environment(const struct arm *arm)
{
	g_autofree char *login = g_strdup_printf("%s/adfs", arm->url);

	return endpoints_2022(arm->url, login);
}

/* ---- tenants and subscriptions ---- */

static void list_tenants(struct call *call, void *data)
{
	struct arm *arm = data;
	const char *tenant = control_tenant(arm->control);
	g_autofree char *id = g_strdup_printf("/tenants/%s", tenant);

	call_answer_json(call, 200,
		put_list(json_pack(
			"[{s:s, s:s, s:s}]", "id", id, "tenantId", tenant, "displayName", CLOUD_NAME)));
}

json_t *arm_subscription(struct arm *arm)
{
	const char *subscription = control_subscription(arm->control);
	g_autofree char *id = g_strdup_printf("/subscriptions/%s", subscription);

	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:{s:s, s:s, s:s}, s:s, s:[]}", "id", id,
		"subscriptionId", subscription, "tenantId", control_tenant(arm->control), "displayName",
		CLOUD_NAME, "state", "Enabled", "subscriptionPolicies", "locationPlacementId",
		"Public_2014-09-01", "quotaId", CLOUD_NAME, "spendingLimit", "Off", "authorizationSource",
		"RoleBased", "managedByTenants");
}

static void list_subscriptions(struct call *call, void *data)
{
	json_t *json = put_list(json_pack("[o]", arm_subscription(data)));

	put_json(json, "count", json_pack("{s:s, s:i}", "type", "Total", "value", 1));
	call_answer_json(call, 200, json);
}

/* What all paths below a subscription begin with. False after it has answered. */
static bool check(struct call *call, struct arm *arm)
{
	GError *error = NULL;

	if (arm_check_subscription(arm, call_param(call, "subscription"), &error))
		return true;
	arm_fail(call, error);
	return false;
}

static void get_subscription(struct call *call, void *data)
{
	if (check(call, data))
		call_answer_json(call, 200, arm_subscription(data));
}

static void list_locations(struct call *call, void *data)
{
	struct arm *arm = data;
	const GPtrArray *locations = control_locations(arm->control);
	json_t *array;

	if (!check(call, arm))
		return;
	array = json_array();
	for (guint i = 0; i < locations->len; i++) {
		const char *name = locations->pdata[i];
		g_autofree char *id = g_strdup_printf(
			"/subscriptions/%s/locations/%s", control_subscription(arm->control), name);
		json_array_append_new(array,
			json_pack("{s:s, s:s, s:s, s:s, s:s, s:{s:s, s:s}}", "id", id, "name", name, "type",
				"Region", "displayName", name, "regionalDisplayName", name, "metadata",
				"regionType", "Physical", "regionCategory", "Recommended"));
	}
	call_answer_json(call, 200, put_list(array));
}

/* ---- resource providers: what types there are ---- */

/* Clients take the first for what they do not know better; all are answered alike. */
static const char *const api_versions[] = {"2024-11-01", "2022-11-01", "2020-06-01"};

const char *arm_api_version(void)
{
	return api_versions[0];
}

static json_t *encode_type(struct arm *arm, const char *name)
{
	json_t *versions = json_array();

	for (size_t i = 0; i < G_N_ELEMENTS(api_versions); i++)
		json_array_append_new(versions, json_string(api_versions[i]));
	return json_pack("{s:s, s:o, s:o, s:s}", "resourceType", name, "locations",
		put_strings(control_locations(arm->control)), "apiVersions", versions, "capabilities",
		"SupportsTags, SupportsLocation");
}

json_t *arm_provider(struct arm *arm, const char *namespace)
{
	json_t *types = json_array();
	const char *canonical = NULL;

	for (const struct arm_type *const *type = arm_types; *type; type++) {
		if (g_ascii_strcasecmp((*type)->namespace, namespace) != 0)
			continue;
		canonical = (*type)->namespace;
		json_array_append_new(types, encode_type(arm, (*type)->name));
		for (const struct arm_child *child = (*type)->children; child && child->name; child++) {
			g_autofree char *name = g_strdup_printf("%s/%s", (*type)->name, child->name);
			json_array_append_new(types, encode_type(arm, name));
		}
	}
	if (g_ascii_strcasecmp(namespace, arm_groups.namespace) == 0) {
		canonical = arm_groups.namespace;
		json_array_append_new(types, encode_type(arm, arm_groups.name));
		json_array_append_new(types, encode_type(arm, "deployments"));
	}
	if (!canonical) {
		json_decref(types);
		return NULL;
	}
	g_autofree char *id = g_strdup_printf(
		"/subscriptions/%s/providers/%s", control_subscription(arm->control), canonical);
	return json_pack("{s:s, s:s, s:s, s:s, s:o}", "id", id, "namespace", canonical, "registrationState",
		"Registered", "registrationPolicy", "RegistrationFree", "resourceTypes", types);
}

static void list_providers(struct call *call, void *data)
{
	static const char *const namespaces[] = {
		"Microsoft.Compute", "Microsoft.Network", "Microsoft.Resources"};
	json_t *array;

	if (!check(call, data))
		return;
	array = json_array();
	for (size_t i = 0; i < G_N_ELEMENTS(namespaces); i++)
		json_array_append_new(array, arm_provider(data, namespaces[i]));
	call_answer_json(call, 200, put_list(array));
}

/* Registering changes nothing: all there is is registered. */
static void get_provider(struct call *call, void *data)
{
	const char *namespace = call_param(call, "namespace");
	g_autoptr(GError) error = NULL;
	json_t *json;

	if (!check(call, data))
		return;
	json = arm_provider(data, namespace);
	if (json) {
		call_answer_json(call, 200, json);
		return;
	}
	arm_fault_set(&error, ARM_INVALID_TYPE,
		"The resource provider '%s' is not supported; there are Microsoft.Compute, Microsoft.Network "
		"and "
		"Microsoft.Resources.",
		namespace);
	call_fail(call, error);
}

#define SUBSCRIPTION "/subscriptions/{subscription}"

const struct route arm_cloud_routes[] = {
	{"GET", "/metadata/endpoints", get_endpoints, ROUTE_OPEN},
	{"GET", "/tenants", list_tenants},
	{"GET", "/subscriptions", list_subscriptions},
	{"GET", SUBSCRIPTION, get_subscription},
	{"GET", SUBSCRIPTION "/locations", list_locations},
	{"GET", SUBSCRIPTION "/providers", list_providers},
	{"GET", SUBSCRIPTION "/providers/{namespace}", get_provider},
	{"POST", SUBSCRIPTION "/providers/{namespace}/register", get_provider},
	{},
};
