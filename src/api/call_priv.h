/* What the server and its calls share. */
#pragma once
#include "api/call.h"
#include "api/server.h"

#include <libsoup/soup.h>

struct call {
	const struct server_dialect *dialect; /* Borrowed */
	void *dialect_data; /* Borrowed */
	SoupServerMessage *message; /* Borrowed: the call lives as its data */
	GHashTable *params; /* Owned; NULL before a route is found */
	GHashTable *query; /* Ref; may be NULL */
	char *principal; /* Owned */
	char *peer; /* Owned */
	int64_t peer_made_s;
	char *code, *operation; /* Owned; for the record */
	bool open; /* its route is */
	int64_t started_us;
	void (*gone)(void *data); /* set while the call is held */
	void *gone_data;
};

struct call *call_new(SoupServerMessage *message, const struct server_dialect *dialect, void *dialect_data);
void call_free(struct call *call);
/* Fails with a status of the HTTP layer's own (404, 405, 413, ...). */
void call_fail_status(struct call *call, unsigned status, const char *format, ...) G_GNUC_PRINTF(3, 4);
