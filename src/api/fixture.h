/* A control plane with the dialects on it, for tests: memory or SQLite store in a folder of its own, the real
 * catalog of sizes, two image aliases, a service principal "tester", a user "ada@local" with the password
 * "pass word", and on demand the two listeners. */
#pragma once
#include "api/arm/arm.h"

struct fixture {
	char *dir;
	bool persistent; /* SQLite: fixture_restart() keeps everything */
	struct store *store;
	struct control *control;
	struct auth *auth;
	struct audit *audit; /* in the folder "audit" */
	struct arm *arm;
	struct server *clients, *agents; /* NULL before fixture_serve() */
	char *secret; /* of "tester" */
	unsigned host_timeout_s; /* of the control plane that is opened next; 0: the default */
};

void fixture_open(struct fixture *fixture, bool persistent);
void fixture_close(struct fixture *fixture);
CLEANUP_CLEAR_FUNC(struct fixture, fixture_close)
/* Stops everything without a word and starts it on the same store, as after a crash. */
void fixture_restart(struct fixture *fixture);

/* Listens for clients and agents on free ports of 127.0.0.1, with certificates of a CA in dir: ca.pem,
 * host.pem and host.key (for "host1"), controller.pem and controller.key. */
void fixture_serve(struct fixture *fixture);

/* testdata/NAME.json with this cloud's subscription in it: {"path", "request", "answer"}. New reference. */
json_t *fixture_load(const struct fixture *fixture, const char *name);
/* Every member of `expected` is in `actual` with the same value; arrays have the same length. Aborts with the
 * path of the first that is not. */
void fixture_assert_covers(const json_t *expected, const json_t *actual);
