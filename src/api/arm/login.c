/* Logging in, as Active Directory Federation Services would have it: OAuth 2.0 (RFC 6749) with the grants
 * client_credentials (service principals), password (users) and refresh_token. */
#include "api/arm/arm_priv.h"

#include <libsoup/soup.h>
#include <string.h>

#define ACCESS_LIFETIME_S  INT64_C(3600)
#define REFRESH_LIFETIME_S (INT64_C(14) * 24 * 3600)

static void get_configuration(struct call *call, void *data)
{
	const struct arm *arm = data;
	g_autofree char *issuer = g_strdup_printf("%s/adfs", arm->url);
	g_autofree char *authorize = g_strdup_printf("%s/oauth2/authorize", issuer),
			*token = g_strdup_printf("%s/oauth2/token", issuer),
			*keys = g_strdup_printf("%s/discovery/keys", issuer);

	call_answer_json(call, 200,
		json_pack("{s:s, s:s, s:s, s:s, s:[s], s:[s], s:[s]}", "issuer", issuer,
			"authorization_endpoint", authorize, "token_endpoint", token, "jwks_uri", keys,
			"response_types_supported", "token", "subject_types_supported", "pairwise",
			"id_token_signing_alg_values_supported", "HS256"));
}

/* Tokens are signed with a key that is nobody's to know, so there is none to publish. */
static void get_keys(struct call *call, void *data)
{
	call_answer_json(call, 200, json_pack("{s:[]}", "keys"));
}

/* RFC 6749, section 5.2. Clients print the description. */
static void refuse(struct call *call, unsigned status, const char *error, const char *description)
{
	call_answer_json(
		call, status, json_pack("{s:s, s:s}", "error", error, "error_description", description));
}

static char *issue(const struct arm *arm, enum auth_use use, const struct auth_identity *identity,
	const char *audience, int64_t lifetime_s)
{
	g_autofree char *issuer = g_strdup_printf("%s/adfs", arm->url);
	const struct auth_claims claims = {
		.use = use,
		.issuer = issuer,
		.audience = audience,
		.principal = identity->principal,
		.tenant = control_tenant(arm->control),
		.user = identity->user,
		.lifetime_s = lifetime_s,
	};

	return auth_issue(arm->auth, &claims);
}

/* A user's client builds its account from the id token, whose audience must be the client itself. */
static void answer_tokens(
	struct call *call, const struct arm *arm, const struct auth_identity *identity, GHashTable *form)
{
	const char *client = g_hash_table_lookup(form, "client_id"),
		   *scope = g_hash_table_lookup(form, "scope");
	g_autofree char *access = issue(arm, AUTH_ACCESS, identity, ARM_AUDIENCE, ACCESS_LIFETIME_S);
	json_t *json = json_object();

	put_text(json, "token_type", "Bearer");
	put_number(json, "expires_in", ACCESS_LIFETIME_S - 1);
	put_number(json, "ext_expires_in", ACCESS_LIFETIME_S - 1);
	put_text(json, "access_token", access);
	if (identity->user) {
		g_autofree char *refresh =
					issue(arm, AUTH_REFRESH, identity, ARM_AUDIENCE, REFRESH_LIFETIME_S),
				*id = issue(arm, AUTH_ID, identity, client ? client : ARM_AUDIENCE,
					ACCESS_LIFETIME_S);
		put_text(json, "refresh_token", refresh);
		put_text(json, "id_token", id);
		put_text(json, "scope", scope);
	}
	call_set_header(call, "Cache-Control", "no-store");
	call_answer_json(call, 200, json);
}

/* ---- grants ---- */

static bool check_secret(struct arm *arm, GHashTable *form, const char *name_key, const char *secret_key,
	bool user, struct auth_identity *ret, GError **error)
{
	const char *name = g_hash_table_lookup(form, name_key),
		   *secret = g_hash_table_lookup(form, secret_key);

	if (!name || !secret)
		return fault_set(error, FAULT_UNAUTHENTICATED, "%s and %s are needed", name_key, secret_key);
	if (!control_principal_check(arm->control, name, secret, error))
		return false;
	_cleanup_(model_free) struct principal *principal =
		control_find(arm->control, KIND_PRINCIPAL, NULL, name, error);
	if (!principal)
		return false;
	if (principal->spec.user != user)
		return fault_set(error, FAULT_UNAUTHENTICATED,
			user ? "'%s' is a service principal; log in with --service-principal"
			     : "'%s' is a user; log in without --service-principal",
			name);
	ret->principal = g_strdup(principal->meta.name);
	ret->user = user;
	return true;
}

static bool grant_client(struct arm *arm, GHashTable *form, struct auth_identity *ret, GError **error)
{
	return check_secret(arm, form, "client_id", "client_secret", false, ret, error);
}

static bool grant_password(struct arm *arm, GHashTable *form, struct auth_identity *ret, GError **error)
{
	return check_secret(arm, form, "username", "password", true, ret, error);
}

/* The user must still be there. */
static bool grant_refresh(struct arm *arm, GHashTable *form, struct auth_identity *ret, GError **error)
{
	const char *token = g_hash_table_lookup(form, "refresh_token");

	if (!token)
		return fault_set(error, FAULT_UNAUTHENTICATED, "refresh_token is needed");
	if (!auth_check(arm->auth, token, AUTH_REFRESH, ret, error))
		return false;
	_cleanup_(model_free) struct principal *principal =
		control_find(arm->control, KIND_PRINCIPAL, NULL, ret->principal, NULL);
	return principal ||
	       fault_set(error, FAULT_UNAUTHENTICATED, "'%s' may not log in any more", ret->principal);
}

static const struct {
	const char *name;
	bool (*check)(struct arm *arm, GHashTable *form, struct auth_identity *ret, GError **error);
	const char *error; /* when it is refused */
} grants[] = {
	{"client_credentials", grant_client, "invalid_client"},
	{"password", grant_password, "invalid_grant"},
	{"refresh_token", grant_refresh, "invalid_grant"},
};

static void post_token(struct call *call, void *data)
{
	struct arm *arm = data;
	size_t length, i = 0;
	const char *body = call_body(call, &length);
	g_autofree char *text = g_strndup(body, length);
	g_autoptr(GHashTable) form = soup_form_decode(text);
	const char *type = g_hash_table_lookup(form, "grant_type");
	_cleanup_(auth_identity_clear) struct auth_identity identity = {};
	g_autoptr(GError) error = NULL;

	while (i < G_N_ELEMENTS(grants) && g_strcmp0(grants[i].name, type) != 0)
		i++;
	if (i == G_N_ELEMENTS(grants))
		refuse(call, 400, "unsupported_grant_type",
			"grant_type must be client_credentials, password or refresh_token");
	else if (grants[i].check(arm, form, &identity, &error))
		answer_tokens(call, arm, &identity, form);
	else
		refuse(call, fault_code(error) == FAULT_UNAUTHENTICATED ? 401 : 500, grants[i].error,
			error->message);
}

const struct route arm_login_routes[] = {
	{"GET", "/adfs/.well-known/openid-configuration", get_configuration, ROUTE_OPEN},
	{"GET", "/adfs/discovery/keys", get_keys, ROUTE_OPEN},
	{"POST", "/adfs/oauth2/token", post_token, ROUTE_OPEN},
	{},
};
