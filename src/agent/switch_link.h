/* The agent's side of the switch's control socket: keeps the switch at the state that is wanted.
 *
 * How it works. switch_link_want() takes a state; the link applies it as often as it takes: again after a
 * failure, some seconds after the switch refused it, and again when the switch was away or is another
 * process. A switch is met first: asked for its version and its generation. Each offer carries a generation
 * above all before it, the agent's and the switch's own, and is on disk before it is sent. Every state wanted
 * has a number; switch_link_confirmed() is the number that the switch in place has confirmed, 0 when it is
 * not reachable or not up to date.
 *
 * One round at a time runs in a thread of its own: version, then apply if need be, then nic.list, whose
 * answer is kept as a snapshot. Rounds follow each other at once while there is something to apply, else every idle_ms.
 * While someone waits for the guest or a first frame they come sooner: after eager_ms at first, then after a quarter of
 * the time that has been waited, so that a guest that boots for a minute costs no more than that.
 */
#pragma once
#include "base/cleanup.h"

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct switch_link;

struct switch_link_config {
	const char *socket;
	unsigned eager_ms, idle_ms;
	/* Stores and returns a generation above `floor` and all that were returned before; -1 with *error
	 * when it cannot be stored. */
	int64_t (*next_generation)(int64_t floor, void *data, GError **error);
	/* A round has ended: confirmations, NICs or the error may have changed. */
	void (*changed)(void *data);
	void *data;
};

enum switch_port_state { SWITCH_PORT_WAITING, SWITCH_PORT_READY, SWITCH_PORT_FAILED };

struct switch_attachment {
	bool present;
	enum switch_port_state state;
	int64_t rx_packets; /* frames from the guest */
	bool answered; /* by it, to the switch's own question, since both attachments get copies */
	char *error; /* NULL unless failed */
};

struct switch_nic {
	struct switch_attachment synthetic, function;
	bool offloaded; /* an eswitch takes flows of its function; */
	int64_t offloaded_flows; /* and has so many */
	char *offload_reason; /* why it has none; NULL: it has, or it has refused none */
};

struct switch_link *switch_link_new(const struct switch_link_config *config);
/* Lets a running round end first. */
void switch_link_free(struct switch_link *link);
CLEANUP_FUNC(struct switch_link *, switch_link_free)

/* Takes the reference. A state equal to the one wanted keeps its number. Returns the number. */
uint64_t switch_link_want(struct switch_link *link, json_t *state);
uint64_t switch_link_confirmed(const struct switch_link *link);

/* NULL when the switch did not name it in the last round. Borrowed until the main loop runs again. */
const struct switch_nic *switch_link_nic(const struct switch_link *link, const char *uid);

/* Why the last round failed; NULL when it did not. Borrowed. */
const GError *switch_link_error(const struct switch_link *link);

/* Someone waits for what the switch will show. */
void switch_link_set_eager(struct switch_link *link, bool eager);
/* What is waited for begins now, or anew: a state that is new does as well. */
void switch_link_hurry(struct switch_link *link);

/* Asks the switch something else, between two rounds. Takes the params. `done` follows once, also
 * when the link is freed meanwhile: `answer` is Borrowed, or NULL with the error. */
typedef void (*switch_link_answer_fn)(json_t *answer, const GError *error, void *data);
void switch_link_call(
	struct switch_link *link, const char *method, json_t *params, switch_link_answer_fn done, void *data);
