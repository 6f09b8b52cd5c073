/* One HTTP exchange with the host's metadata service.
 *
 * Own code, since this program is static and no HTTP client is there as a static library, and since a request
 * must leave by the NIC that it is about: the host knows a NIC by that. HTTP/1.0, one request a connection, to an
 * address that never has a name; the body ends with the connection or by its Content-Length.
 */
#pragma once
#include "base/cleanup.h"

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

#define HTTP_BODY_MAX (16 * 1024 * 1024)

struct http_request {
	const char *interface; /* by which it leaves */
	const char *method, *path;
	const char *body; /* JSON, or NULL */
	unsigned timeout_s; /* for the whole */
};

struct http_answer {
	unsigned status; /* 200 */
	char *body; /* Owned, with a NUL after it */
	size_t length;
};

/* FAULT_UNAVAILABLE when there is no whole answer. */
bool http_exchange(const struct http_request *request, struct http_answer *ret, GError **error);
void http_answer_clear(struct http_answer *answer);
CLEANUP_CLEAR_FUNC(struct http_answer, http_answer_clear)

/* The answer of which these are all bytes. FAULT_UNAVAILABLE when it is none, or cut off. */
bool http_parse(const char *text, size_t length, struct http_answer *ret, GError **error);
