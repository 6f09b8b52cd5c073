/* The dialect as the server sees it: headers, who asks, failures; and what its handlers share. */
#include "api/arm/arm_priv.h"

#include <string.h>

#define BEARER "Bearer "

struct arm *arm_new(const struct arm_config *config)
{
	struct arm *arm = g_new0(struct arm, 1);

	arm->control = config->control;
	arm->auth = config->auth;
	arm->audit = config->audit;
	arm->pairs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	arm->url = g_strdup(config->url);
	if (arm->url && g_str_has_suffix(arm->url, "/"))
		arm->url[strlen(arm->url) - 1] = '\0';
	control_set_reconciler(arm->control, KIND_DEPLOYMENT, arm_deploy, arm);
	control_set_listener(arm->control, arm_record_end, arm);
	arm_record_missed(arm);
	return arm;
}

void arm_free(struct arm *arm)
{
	control_set_reconciler(arm->control, KIND_DEPLOYMENT, NULL, NULL);
	control_set_listener(arm->control, NULL, NULL);
	g_hash_table_unref(arm->pairs);
	g_free(arm->url);
	g_free(arm);
}

/* The first pattern that fits wins: fixed words before those that take any type. */
void arm_serve(struct arm *arm, struct server *server)
{
	const struct route *const tables[] = {arm_login_routes, arm_cloud_routes, arm_image_routes,
		arm_size_routes, arm_usage_routes, arm_operation_routes, arm_deployment_routes,
		arm_preflight_routes, arm_export_routes, arm_inventory_routes, arm_scale_set_routes,
		arm_console_routes, arm_tag_routes, arm_key_pair_routes, arm_resource_routes};

	if (!arm->url)
		arm->url = g_strdup(server_url(server));
	for (size_t i = 0; i < G_N_ELEMENTS(tables); i++)
		server_add_routes(server, tables[i], arm);
}

/* ---- the dialect ---- */

static void begin(struct call *call, void *data)
{
	g_autofree char *id = g_uuid_string_random();
	const char *correlation = call_header(call, "x-ms-correlation-request-id"),
		   *client = call_header(call, "x-ms-client-request-id");

	call_set_header(call, "x-ms-request-id", id);
	call_set_header(call, "x-ms-correlation-request-id", correlation ? correlation : id);
	if (client)
		call_set_header(call, "x-ms-client-request-id", client);
	call_set_header(call, "Cache-Control", "no-cache");
}

static char *authenticate(struct call *call, void *data, GError **error)
{
	struct arm *arm = data;
	const char *header = call_header(call, "Authorization");
	struct auth_identity identity = {};

	if (!header || g_ascii_strncasecmp(header, BEARER, strlen(BEARER)) != 0) {
		fault_set(error, FAULT_UNAUTHENTICATED,
			"Authentication failed. The 'Authorization' header is missing; log in with az "
			"login.");
		return NULL;
	}
	if (!auth_check(arm->auth, header + strlen(BEARER), AUTH_ACCESS, &identity, error))
		return NULL;
	return identity.principal;
}

static void fail(struct call *call, unsigned status, const GError *error, void *data)
{
	struct arm *arm = data;
	struct arm_error its = arm_error_of(error);

	if (status == 0)
		status = its.status;
	else
		its.code = status == 404   ? "NotFound"
			   : status == 405 ? "MethodNotAllowed"
			   : status == 413 ? "RequestContentTooLarge"
					   : "BadRequest";
	if (status == 401) {
		g_autofree char *challenge = g_strdup_printf(
			"Bearer authorization_uri=\"%s/adfs/oauth2/authorize\", error=\"invalid_token\"",
			arm->url);
		call_set_header(call, "WWW-Authenticate", challenge);
	}
	if (status == 404 || status == 409)
		call_set_header(call, "x-ms-failure-cause", "gateway");
	call_set_code(call, its.code);
	call_answer_json(
		call, status, json_pack("{s:o}", "error", arm_error_json(its.code, error->message, NULL)));
}

const struct server_dialect arm_dialect = {
	.begin = begin,
	.authenticate = authenticate,
	.fail = fail,
	.answered = arm_record_answer,
};

/* ---- for handlers ---- */

void arm_fail(struct call *call, GError *error)
{
	call_fail(call, error);
	g_error_free(error);
}

void arm_id_of_call(const struct call *call, struct arm_id *ret)
{
	*ret = (struct arm_id){
		.subscription = g_strdup(call_param(call, "subscription")),
		.group = g_strdup(call_param(call, "group")),
		.namespace = g_strdup(call_param(call, "namespace")),
		.type = g_strdup(call_param(call, "type")),
		.name = g_strdup(call_param(call, "name")),
		.child = g_strdup(call_param(call, "child")),
		.child_name = g_strdup(call_param(call, "child_name")),
	};
}

json_t *arm_body(const struct call *call, GError **error)
{
	size_t length;
	const char *text = call_body(call, &length);
	json_error_t where;
	json_t *json = json_loadb(text, length, JSON_REJECT_DUPLICATES, &where);

	if (!json)
		arm_fault_set(error, ARM_INVALID_CONTENT,
			"The request content was invalid and could not be read: line %d, column %d: %s.",
			where.line, where.column, where.text);
	return json;
}

char *arm_etag(const struct meta *meta)
{
	return g_strdup_printf("W/\"%" G_GINT64_FORMAT "\"", meta->revision);
}

/* The revision that an ETag of ours stands for; 0 for any other text. */
static int64_t revision_of(const char *etag)
{
	g_autofree char *text = g_strdup(g_str_has_prefix(etag, "W/") ? etag + 2 : etag);
	size_t length = strlen(text);
	gint64 revision;

	if (length < 3 || text[0] != '"' || text[length - 1] != '"')
		return 0;
	text[length - 1] = '\0';
	return g_ascii_string_to_signed(text + 1, 10, 1, G_MAXINT64, &revision, NULL) ? revision : 0;
}

bool arm_request_of(const struct call *call, struct control_request *ret, GError **error)
{
	const char *match = call_header(call, "If-Match"), *none = call_header(call, "If-None-Match");

	*ret = (struct control_request){.principal = call_principal(call), .id = call_id(call)};
	if (none && g_str_equal(none, "*"))
		ret->if_none = true;
	if (!match || g_str_equal(match, "*"))
		return true;
	ret->if_revision = revision_of(match);
	return ret->if_revision ||
	       fault_set(error, FAULT_PRECONDITION,
		       "The ETag %s is none of this resource's; read it again and repeat.", match);
}

const char *arm_location(struct arm *arm, const struct arm_type *type, const char *location, GError **error)
{
	const char *canonical = control_location(arm->control, location);
	const GPtrArray *locations = control_locations(arm->control);
	g_autoptr(GString) list = g_string_new(NULL);

	if (canonical)
		return canonical;
	for (guint i = 0; i < locations->len; i++)
		g_string_append_printf(list, "%s%s", i ? "," : "", (char *)locations->pdata[i]);
	if (type)
		fault_set(error, FAULT_BAD_LOCATION,
			"The provided location '%s' is not available for resource type '%s/%s'. List of "
			"available regions "
			"for the resource type is '%s'.",
			location, type->namespace, type->name, list->str);
	else
		fault_set(error, FAULT_BAD_LOCATION,
			"The provided location '%s' is not available. List of available regions is '%s'.",
			location, list->str);
	return NULL;
}
