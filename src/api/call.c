/* One request and its answer, over libsoup. */
#include "api/call_priv.h"

#include "base/fault.h"

#include <stdlib.h>
#include <string.h>

struct call *call_new(SoupServerMessage *message, const struct server_dialect *dialect, void *dialect_data)
{
	struct call *call = g_new0(struct call, 1);

	call->dialect = dialect;
	call->dialect_data = dialect_data;
	call->message = message;
	call->started_us = g_get_monotonic_time();
	return call;
}

void call_free(struct call *call)
{
	if (call->gone)
		call->gone(call->gone_data);
	g_clear_pointer(&call->params, g_hash_table_unref);
	g_clear_pointer(&call->query, g_hash_table_unref);
	g_free(call->principal);
	g_free(call->peer);
	g_free(call->code);
	g_free(call->operation);
	g_free(call);
}

const char *call_method(const struct call *call)
{
	return soup_server_message_get_method(call->message);
}

const char *call_path(const struct call *call)
{
	return g_uri_get_path(soup_server_message_get_uri(call->message));
}

const char *call_param(const struct call *call, const char *name)
{
	return g_hash_table_lookup(call->params, name);
}

const char *call_query(const struct call *call, const char *name)
{
	GHashTableIter iter;
	void *key, *value;

	if (!call->query)
		return NULL;
	g_hash_table_iter_init(&iter, call->query);
	while (g_hash_table_iter_next(&iter, &key, &value))
		if (g_ascii_strcasecmp(key, name) == 0)
			return value;
	return NULL;
}

static bool is_named(const char *pair, const char *name)
{
	g_autofree char *key = g_strndup(pair, strcspn(pair, "=")), *plain = g_uri_unescape_string(key, NULL);

	return plain && g_ascii_strcasecmp(plain, name) == 0;
}

char *call_url_with(const struct call *call, const char *name, const char *value)
{
	GUri *uri = soup_server_message_get_uri(call->message);
	const char *old = g_uri_get_query(uri);
	g_auto(GStrv) pairs = g_strsplit(old ? old : "", "&", -1);
	g_autofree char *escaped = g_uri_escape_string(name, NULL, FALSE);
	g_autoptr(GString) query = g_string_new(NULL);

	for (char **pair = pairs; *pair; pair++)
		if (**pair && !is_named(*pair, name))
			g_string_append_printf(query, "%s&", *pair);
	g_string_append_printf(query, "%s=%s", escaped, value);
	return g_uri_join((GUriFlags)SOUP_HTTP_URI_FLAGS, g_uri_get_scheme(uri), NULL, g_uri_get_host(uri),
		g_uri_get_port(uri), g_uri_get_path(uri), query->str, NULL);
}

const char *call_header(const struct call *call, const char *name)
{
	return soup_message_headers_get_one(soup_server_message_get_request_headers(call->message), name);
}

const char *call_body(const struct call *call, size_t *ret_length)
{
	const SoupMessageBody *body = soup_server_message_get_request_body(call->message);

	*ret_length = body->data ? (size_t)body->length : 0;
	return body->data ? body->data : "";
}

const char *call_principal(const struct call *call)
{
	return call->principal;
}

const char *call_peer(const struct call *call)
{
	return call->peer;
}

int64_t call_peer_made_s(const struct call *call)
{
	return call->peer_made_s;
}

const char *call_remote(const struct call *call)
{
	return soup_server_message_get_remote_host(call->message);
}

bool call_is_open(const struct call *call)
{
	return call->open;
}

void call_set_code(struct call *call, const char *code)
{
	g_free(call->code);
	call->code = g_strdup(code);
}

void call_set_operation(struct call *call, const char *uid)
{
	g_free(call->operation);
	call->operation = g_strdup(uid);
}

const char *call_code(const struct call *call)
{
	return call->code;
}

const char *call_operation(const struct call *call)
{
	return call->operation;
}

const char *call_answer_header(const struct call *call, const char *name)
{
	return soup_message_headers_get_one(soup_server_message_get_response_headers(call->message), name);
}

const char *call_id(const struct call *call)
{
	return call_answer_header(call, "x-ms-request-id");
}

void call_set_header(struct call *call, const char *name, const char *value)
{
	soup_message_headers_replace(soup_server_message_get_response_headers(call->message), name, value);
}

/* Takes the body (NULL: none), which was allocated by malloc. */
static void answer(struct call *call, unsigned status, const char *type, char *body)
{
	bool held = call->gone != NULL;

	call->gone = NULL;
	if (call->dialect->answered)
		call->dialect->answered(call, status, call->dialect_data);
	soup_server_message_set_status(call->message, status, NULL);
	/* g_free, with which libsoup releases the body, is free(). */
	if (body)
		soup_server_message_set_response(call->message, type, SOUP_MEMORY_TAKE, body, strlen(body));
	if (held)
		soup_server_message_unpause(call->message);
}

void call_answer(struct call *call, unsigned status)
{
	answer(call, status, NULL, NULL);
}

void call_answer_json(struct call *call, unsigned status, json_t *json)
{
	char *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);

	json_decref(json);
	answer(call, status, "application/json; charset=utf-8", text);
}

void call_answer_bytes(struct call *call, unsigned status, const char *type, GBytes *bytes)
{
	soup_message_headers_set_content_type(
		soup_server_message_get_response_headers(call->message), type, NULL);
	soup_message_body_append_bytes(soup_server_message_get_response_body(call->message), bytes);
	answer(call, status, NULL, NULL);
}

void call_fail(struct call *call, const GError *error)
{
	call->dialect->fail(call, 0, error, call->dialect_data);
}

void call_fail_status(struct call *call, unsigned status, const char *format, ...)
{
	g_autoptr(GError) error = NULL;
	va_list args;

	va_start(args, format);
	error = g_error_new_valist(FAULT, FAULT_INVALID, format, args);
	va_end(args);
	call->dialect->fail(call, status, error, call->dialect_data);
}

void call_hold(struct call *call, void (*gone)(void *data), void *data)
{
	call->gone = gone;
	call->gone_data = data;
	soup_server_message_pause(call->message);
}
