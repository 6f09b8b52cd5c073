/* One request and its answer.
 *
 * A handler gets a call, reads what it needs, and answers once: at once, or later after call_hold(). All
 * pointers that a call hands out are Borrowed and live until it is answered or gone.
 */
#pragma once
#include <gio/gio.h>
#include <jansson.h>
#include <stdbool.h>

struct call;

/* ---- the request ---- */
const char *call_method(const struct call *call);
/* As it was sent, still encoded. */
const char *call_path(const struct call *call);
/* Value of a {name} of the route's pattern; every route's handler may ask for those it has. */
const char *call_param(const struct call *call, const char *name);
/* Value of a query parameter, its name compared without case; NULL when there is none. */
const char *call_query(const struct call *call, const char *name);
const char *call_header(const struct call *call, const char *name);
/* The URL by which the client asked, with its own name for this server, and that query parameter set to the value, which
 * needs no escapes. Owned by the caller. */
char *call_url_with(const struct call *call, const char *name, const char *value);
/* Never NULL; not terminated. */
const char *call_body(const struct call *call, size_t *ret_length);
/* Who asks, once a token or certificate has shown it; NULL on open routes. */
const char *call_principal(const struct call *call);
/* Where the request comes from, without its port. Borrowed; NULL when the connection is gone. */
const char *call_remote(const struct call *call);
/* Anybody may call what it asked for. */
bool call_is_open(const struct call *call);
/* The id that its answer carries (x-ms-request-id), for the records of what follows from it. */
const char *call_id(const struct call *call);
/* Common name of the client's certificate, which the listener's CA has signed; NULL without one. */
const char *call_peer(const struct call *call);
/* When that certificate was made, seconds since 1970; 0: none, or it does not say. */
int64_t call_peer_made_s(const struct call *call);

/* ---- the answer ---- */
void call_set_header(struct call *call, const char *name, const char *value);
void call_answer(struct call *call, unsigned status);
/* Takes the reference. */
void call_answer_json(struct call *call, unsigned status, json_t *json);
/* A body of another type, such as "text/plain; charset=utf-8". */
void call_answer_bytes(struct call *call, unsigned status, const char *type, GBytes *bytes);
/* With the status and body that the listener's dialect gives to this failure. */
void call_fail(struct call *call, const GError *error);
/* For the record of the call, before it is answered: the failure's word in the answer, and the operation that it began.
 * Copied; as they were set, NULL while they were not. */
void call_set_code(struct call *call, const char *code);
void call_set_operation(struct call *call, const char *uid);
const char *call_code(const struct call *call);
const char *call_operation(const struct call *call);
/* A header that the answer has. Borrowed; NULL when it has none. */
const char *call_answer_header(const struct call *call, const char *name);

/* Answers later. `gone` is called when the call ends before it was answered (the client hung up, the server
 * stops): forget the call then, it is freed. Sequence: call_hold, then either one answer or one `gone`. */
void call_hold(struct call *call, void (*gone)(void *data), void *data);
