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
/* Never NULL; not terminated. */
const char *call_body(const struct call *call, size_t *ret_length);
/* Who asks, once a token or certificate has shown it; NULL on open routes. */
const char *call_principal(const struct call *call);
/* Common name of the client's certificate, which the listener's CA has signed; NULL without one. */
const char *call_peer(const struct call *call);

/* ---- the answer ---- */
void call_set_header(struct call *call, const char *name, const char *value);
void call_answer(struct call *call, unsigned status);
/* Takes the reference. */
void call_answer_json(struct call *call, unsigned status, json_t *json);
/* With the status and body that the listener's dialect gives to this failure. */
void call_fail(struct call *call, const GError *error);

/* Answers later. `gone` is called when the call ends before it was answered (the client hung up, the server
 * stops): forget the call then, it is freed. Sequence: call_hold, then either one answer or one `gone`. */
void call_hold(struct call *call, void (*gone)(void *data), void *data);
