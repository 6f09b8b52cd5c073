/* What passes for a controller in tests of verbs: a server of this program on a port of its own, and the state folder that
 * `sluice up` would leave for those who ask it. */
#pragma once
#include "base/cleanup.h"
#include "cli/test_case.h"

#include <glib.h>
#include <libsoup/soup.h>

/* Answers everything but a request for a token, on the server's thread. query: NULL when there is none. */
typedef void (*test_controller_answer)(
	SoupServerMessage *message, const char *path, GHashTable *query, void *data);

struct test_controller {
	char *state; /* the folder */
	test_controller_answer answer;
	void *data; /* Borrowed */
	gint port; /* atomic; 0: it does not listen yet */
	GMainLoop *loop; /* of the thread that answers */
	GThread *thread;
};

/* Into the struct, which stays where it is until it is closed. */
void test_controller_open(struct test_controller *controller, test_controller_answer answer, void *data);
/* body: NULL: none. */
void test_controller_reply(SoupServerMessage *message, guint status, const char *body);
/* A test of nothing but cases (test_case.h), which `run` runs on a controller that answers so. Borrows all. */
void test_controller_assert(int (*run)(const char *words), test_controller_answer answer, void *data,
	const struct test_case *cases, size_t n);
void test_controller_close(struct test_controller *controller);
CLEANUP_CLEAR_FUNC(struct test_controller, test_controller_close)
