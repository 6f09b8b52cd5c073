/* What the handlers of the metadata service share. */
#pragma once
#include "agent/metadata.h"

#include <jansson.h>
#include <libsoup/soup.h>

struct metadata {
	struct metadata_config config;
	SoupServer *server; /* Owned */
	unsigned port;
	GHashTable *held; /* Owned: requests that wait for other rules, of metadata_policy.c */
};

#define METADATA_HANDLER(name)                                                                               \
	void name(SoupServer *server, SoupServerMessage *message, const char *path, GHashTable *query,       \
		void *data)

METADATA_HANDLER(metadata_on_policy); /* metadata_policy.c */
METADATA_HANDLER(metadata_on_events); /* metadata_events.c */
METADATA_HANDLER(metadata_on_guest); /* metadata_guest.c */

/* Lets go of all requests that are held. */
void metadata_policy_done(struct metadata *metadata);

/* Answers and returns false when the request is none that the service takes: forwarded, unmarked, or of another method
 * than these (NULL-terminated). */
bool metadata_check_request(SoupServerMessage *message, const char *const *methods);
/* The NIC whose guest asks, by the address of the connection; NULL when it is none of the goal's. */
const struct goal_nic *metadata_asker(const struct metadata *metadata, SoupServerMessage *message);
/* The request's body. New reference; NULL after it has answered that it is no JSON. */
json_t *metadata_body(SoupServerMessage *message);

void metadata_answer(SoupServerMessage *message, guint status, const char *type, const char *body);
void metadata_answer_json(SoupServerMessage *message, guint status, const json_t *json);
/* In Azure's shape of an error. */
void metadata_refuse(SoupServerMessage *message, guint status, const char *sentence);
