/* The controller of the cloud, asked as its operator. */
#include "cli/controller.h"

#include "base/fault.h"
#include "cli/cli.h"

#include <libsoup/soup.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_S 60
#define ROOT     "/sluice/v1"
#define INVALID  "InvalidParameter" /* the code of FAULT_INVALID: docs/API.md, Operators */

struct controller {
	char *endpoint;
	char *token;
	SoupSession *session;
};

/* ---- what is in the state folder ---- */

json_t *controller_principal(const char *state, GError **error)
{
	g_autofree char *path = g_build_filename(state, "principal.json", NULL);
	json_t *json = json_load_file(path, 0, NULL);

	if (!json)
		fault_set(error, FAULT_NOT_FOUND,
			"%s cannot be read; start the cloud with 'sluice up --state %s' first, and run this "
			"as root on the controller's machine",
			path, state);
	return json;
}

/* `sluice up` writes it at each start. */
char *controller_endpoint(const char *state, GError **error)
{
	g_autofree char *path = g_build_filename(state, "endpoint", NULL);
	char *endpoint = NULL;

	if (!g_file_get_contents(path, &endpoint, NULL, NULL)) {
		fault_set(error, FAULT_NOT_FOUND,
			"%s cannot be read; start the cloud with 'sluice up --state %s' first, and run this "
			"on the controller's machine",
			path, state);
		return NULL;
	}
	return g_strchomp(endpoint);
}

/* ---- requests ---- */

/* Of the answers with status 400 only one is about the request alone; the others are about what there is. */
static enum fault fault_of(guint status, const char *code)
{
	if (status >= 500)
		return FAULT_UNAVAILABLE;
	if (status == SOUP_STATUS_NOT_FOUND)
		return FAULT_NOT_FOUND;
	return status == SOUP_STATUS_BAD_REQUEST && g_strcmp0(code, INVALID) == 0 ? FAULT_INVALID
										  : FAULT_NOT_ALLOWED;
}

static bool fail(GError **error, guint status, const json_t *answer)
{
	const json_t *why = json_object_get(answer, "error");
	const char *words = json_string_value(json_object_get(why, "message"));
	enum fault code = fault_of(status, json_string_value(json_object_get(why, "code")));

	if (!words)
		words = json_string_value(json_object_get(answer, "error_description"));
	return words ? fault_set(error, code, "%s", words)
		     : fault_set(error, code, "the controller answered %u", status);
}

/* A page of something else at that address must not pass for what was asked for. */
static bool check_answer(
	SoupMessage *message, guint status, const json_t *answer, bool wanted, GError **error)
{
	if (status / 100 == 2 && (json_is_object(answer) || (!wanted && status == SOUP_STATUS_NO_CONTENT)))
		return true;
	g_autofree char *url = g_uri_to_string(soup_message_get_uri(message));
	return fault_set(error, FAULT_UNAVAILABLE,
		"%s answered %u %s, which no controller does; is something else at that address?", url,
		status, answer ? "with other JSON" : "without JSON");
}

/* Takes the message. */
static bool exchange(struct controller *controller, SoupMessage *message, json_t **ret, GError **error)
{
	g_autoptr(SoupMessage) own = message;
	g_autoptr(GError) failure = NULL;
	g_autoptr(GBytes) bytes = soup_session_send_and_read(controller->session, message, NULL, &failure);
	guint status = soup_message_get_status(message);

	if (!bytes)
		return fault_set(error, FAULT_UNAVAILABLE, "the controller at %s does not answer: %s",
			controller->endpoint, failure->message);
	json_auto_t *answer = json_loadb(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), 0, NULL);
	if (status >= 400)
		return fail(error, status, answer);
	if (!check_answer(message, status, answer, ret != NULL, error))
		return false;
	if (ret)
		*ret = json_incref(answer);
	return true;
}

static SoupMessage *message_new(const struct controller *controller, const char *method, const char *path)
{
	g_autofree char *url = g_strconcat(controller->endpoint, path, NULL);
	SoupMessage *message = soup_message_new(method, url);

	/* Who is sent elsewhere takes the secret along. */
	if (message)
		soup_message_add_flags(message, SOUP_MESSAGE_NO_REDIRECT);
	return message;
}

static void set_body(SoupMessage *message, const char *type, const char *text)
{
	g_autoptr(GBytes) bytes = g_bytes_new(text, strlen(text));

	soup_message_set_request_body_from_bytes(message, type, bytes);
}

static bool log_in(struct controller *controller, const json_t *principal, GError **error)
{
	const char *name = json_string_value(json_object_get(principal, "appId")),
		   *secret = json_string_value(json_object_get(principal, "password"));
	g_autofree char *form = soup_form_encode("grant_type", "client_credentials", "client_id",
		name ? name : "", "client_secret", secret ? secret : "", NULL);
	SoupMessage *message = message_new(controller, "POST", "/adfs/oauth2/token");
	json_t *answer = NULL;

	if (!message)
		return fault_set(
			error, FAULT_UNAVAILABLE, "'%s' is no URL of a controller", controller->endpoint);
	set_body(message, SOUP_FORM_MIME_TYPE_URLENCODED, form);
	if (!exchange(controller, message, &answer, error))
		return false;
	controller->token = g_strdup(json_string_value(json_object_get(answer, "access_token")));
	json_decref(answer);
	return controller->token || fault_set(error, FAULT_UNAVAILABLE,
					    "%s gives no token: it is no controller", controller->endpoint);
}

static SoupSession *session_new(const char *state, GError **error)
{
	g_autofree char *ca = g_build_filename(state, "ca.pem", NULL);
	g_autoptr(GTlsDatabase) database = g_tls_file_database_new(ca, error);

	if (!database) {
		g_prefix_error(error, "the certificate of the cloud cannot be read: ");
		return NULL;
	}
	return soup_session_new_with_options(
		"tls-database", database, "timeout", ANSWER_S, "proxy-resolver", NULL, NULL);
}

struct controller *controller_open(const char *state_option, GError **error)
{
	g_autofree char *state = cli_state_dir(state_option);
	_cleanup_(controller_close) struct controller *controller = g_new0(struct controller, 1);
	json_auto_t *principal = NULL;

	controller->endpoint = controller_endpoint(state, error);
	if (!controller->endpoint || !(principal = controller_principal(state, error)) ||
		!(controller->session = session_new(state, error)) || !log_in(controller, principal, error))
		return NULL;
	return g_steal_pointer(&controller);
}

void controller_close(struct controller *controller)
{
	if (!controller)
		return;
	g_clear_object(&controller->session);
	g_free(controller->endpoint);
	g_free(controller->token);
	g_free(controller);
}

bool controller_call(struct controller *controller, const char *method, const char *path, json_t *body,
	json_t **ret, GError **error)
{
	g_autofree char *below = g_strconcat(ROOT, path, NULL),
			*bearer = g_strconcat("Bearer ", controller->token, NULL);
	SoupMessage *message = message_new(controller, method, below);
	json_auto_t *own = body;

	soup_message_headers_append(soup_message_get_request_headers(message), "Authorization", bearer);
	if (body) {
		char *text = json_dumps(body, JSON_COMPACT);
		set_body(message, "application/json", text);
		free(text);
	}
	return exchange(controller, message, ret, error);
}

/* What follows ROOT in the link to the next page: no link leads away from the controller that was logged in to.
 * Borrowed; NULL: this page is the last. */
static const char *next_of(const json_t *page)
{
	const char *link = json_string_value(json_object_get(page, "nextLink")),
		   *root = link ? strstr(link, ROOT "/") : NULL;

	return root ? root + strlen(ROOT) : NULL;
}

bool controller_list(struct controller *controller, const char *path, const char *word, size_t enough,
	json_t **ret, GError **error)
{
	json_auto_t *all = json_array();
	g_autofree char *at = g_strdup(path);

	while (at && (!enough || json_array_size(all) < enough)) {
		json_auto_t *page = NULL;
		if (!controller_call(controller, "GET", at, NULL, &page, error))
			return false;
		json_array_extend(all, json_object_get(page, word));
		g_free(at);
		at = g_strdup(next_of(page));
	}
	while (enough && json_array_size(all) > enough)
		json_array_remove(all, json_array_size(all) - 1);
	*ret = json_pack("{s:O}", word, all);
	return true;
}
