/* For tests: a metadata service on loopback whose guests are 127.0.0.4 (WORLD_VM) and 127.0.0.5 (WORLD_VM_2), and what
 * they get, in the test's main context. */
#pragma once
#include "agent/events.h"
#include "agent/guest_identity.h"
#include "agent/guest_policy.h"
#include "agent/metadata.h"
#include "agent/test_world.h"

#include <libsoup/soup.h>

struct guests {
	struct goal *goal; /* Owned; NULL: there is none */
	struct metadata *metadata; /* Owned */
	struct guest_identities *identities; /* Owned */
};

/* policies, events: may be NULL. What guests say of themselves is taken into `identities`. */
void guests_init(struct guests *guests, struct guest_policies *policies, struct events *events);
void guests_done(struct guests *guests);

struct answer {
	guint status;
	char *body; /* Owned */
	char *type; /* Owned */
};

void answer_clear(struct answer *answer);
CLEANUP_CLEAR_FUNC(struct answer, answer_clear)

struct request {
	const char *from; /* address of the guest */
	const char *method, *path;
	const char *const *headers; /* names and values, NULL-terminated; NULL: the one that is needed */
	const char *body; /* JSON, or NULL */
};

struct asking;

/* Asks, and waits for the answer. */
struct answer guests_ask(struct guests *guests, const struct request *request);
/* The same in halves, for requests that are held. */
struct asking *guests_begin(struct guests *guests, const struct request *request);
bool guests_is_answered(const struct asking *asking);
struct answer guests_finish(struct asking *asking);
/* The guest hangs up. */
void guests_hang_up(struct asking *asking);
