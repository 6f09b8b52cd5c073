/* A cloud whose clients and host are in the same program, for tests of what goes over the wire.
 *
 * The servers run in the main thread. A scenario runs in a thread of its own and speaks to them as any client
 * does, over TLS with libsoup; so does a pretended host, which does what its goal says at once and reports
 * it. A machine's guest is what its tag pretend-guest says, as "ubuntu 16.04 4.4.0-31-generic"; one with a tag
 * pretend-fault is reported to have failed, with its sentence.
 */
#pragma once
#include "api/fixture.h"

#include <libsoup/soup.h>

struct test_cloud {
	struct fixture fixture;
	GMutex lock; /* over what follows */
	GCond changed;
	bool obey; /* the host follows its goal; else it stays silent */
	bool busy; /* it does */
	gint hold; /* atomic: machines that migrate stay half-way, until it is cancelled */
	gint drained; /* atomic: it says that it is */
	char *wanted; /* the host's: machines whose console logs it was last asked for, or NULL */
	bool stop; /* the host ends */
	bool restart; /* the main thread restarts the servers, then clears it */
	unsigned running; /* threads: the scenario and the host */
	char *clients_url, *agents_url;
	char *token;
	SoupSession *session; /* the scenario's */
	void (*scenario)(struct test_cloud *cloud);
};

/* Runs the scenario to its end. */
void test_cloud_run(void (*scenario)(struct test_cloud *cloud));
/* The same with a second host, "host2", which always obeys; both take machines from each other. */
void test_cloud_run_pair(void (*scenario)(struct test_cloud *cloud));

/* A test that runs one scenario. A function pointer goes through a struct: C does not let it be data. */
struct test_cloud_scenario {
	void (*run)(struct test_cloud *cloud);
};
void test_cloud_run_data(const void *scenario);
#define TEST_CLOUD_ADD(name, fn)                                                                             \
	static const struct test_cloud_scenario fn##_of_test = {fn};                                         \
	g_test_add_data_func(name, &fn##_of_test, test_cloud_run_data)

/* ---- for scenarios ---- */

/* Once the host shall not obey any more, it has said its last word when this returns. */
void test_cloud_obey(struct test_cloud *cloud, bool obey);
/* Restarts the controller on its store; the token stays good. */
void test_cloud_restart(struct test_cloud *cloud);

struct answer {
	unsigned status; /* HTTP; 0: the connection failed */
	json_t *json; /* NULL when there is no body, or none of JSON */
	SoupMessageHeaders *headers;
	int64_t took_ms;
};
void answer_clear(struct answer *answer);
CLEANUP_CLEAR_FUNC(struct answer, answer_clear)

/* `path` is a URL, or a path below the clients' one in which "S" stands for the subscription's. body may be
 * NULL. Then pairs of header names and values, and NULL. */
struct answer ask(struct test_cloud *cloud, const char *method, const char *path, const char *body,
	...) G_GNUC_NULL_TERMINATED;
/* Several requests at once, without bodies, each over a connection of its own that is open before. */
void ask_at_once(struct test_cloud *cloud, const char *method, const char *const paths[], size_t n,
	struct answer *ret);
/* "error.code", or a text member of the top. Borrowed; "" when there is none. */
const char *answer_code(const struct answer *answer);
const char *answer_text(const struct answer *answer, const char *member);
const char *answer_header(const struct answer *answer, const char *name);
/* GETs Azure-AsyncOperation until it ends; the status it ends with. ret_polls may be NULL. Owned. */
char *finish(struct test_cloud *cloud, const struct answer *answer, unsigned *ret_polls);
/* POSTs a form for a token: its grant and the rest of it. */
struct answer log_in(struct test_cloud *cloud, const char *grant, const char *rest);
/* Later requests go with a token. */
void log_in_as_tester(struct test_cloud *cloud);
/* Logs in and makes all that a VM needs. */
void put_base(struct test_cloud *cloud);
/* PUTs a recorded body; the answer's status. It is finished. */
unsigned put_recorded(struct test_cloud *cloud, const char *name);
