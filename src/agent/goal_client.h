/* The agent's side of the controller: fetches goals, sends reports.
 *
 * How it works. Two loops in the main context, over TLS with the host's certificate: a long poll for a goal
 * newer than the newest one had, or of another store (see model/goal.h), and a PUT of the report whenever there
 * is a new one, at least every report_ms. Each loop backs off by itself when the controller does not answer, up
 * to retry_max_ms. Answers to the poll may name VMs (header Sluice-Consoles) whose console logs the controller
 * wants: each is brought by a PUT of its own. Nothing here waits for the controller: the agent works from the goal it has.
 */
#pragma once
#include "base/cleanup.h"
#include "model/goal.h"

struct goal_client;

struct goal_client_config {
	const char *url; /* "https://controller:8443"; must be https */
	const char *certificate, *key, *ca; /* paths, PEM */
	unsigned report_ms; /* also the controller's sign of life */
	unsigned retry_max_ms;
	void (*goal)(struct goal *goal, void *data); /* Owned by the callee */
	struct report *(*report)(void *data); /* Owned by the caller */
	/* The controller wants the console log of a VM, which goal_client_bring_console() brings; NULL: it gets none. */
	void (*console)(const char *vm, void *data);
	void *data;
};

/* `goal`: the one that is there already, used in this call only; NULL for none. FAULT_INVALID when the URL is
 * not https or a file is no certificate or key. */
struct goal_client *goal_client_new(
	const struct goal_client_config *config, const struct goal *goal, GError **error);
void goal_client_free(struct goal_client *client);
CLEANUP_FUNC(struct goal_client *, goal_client_free)

/* The report has changed: sends it soon (several calls, one PUT). */
void goal_client_touch(struct goal_client *client);

/* Sends a console log. It is not tried again: whoever waits for it asks again. */
void goal_client_bring_console(struct goal_client *client, const char *vm, GBytes *log);

/* Whether the last exchange with the controller went well; false before the first. */
bool goal_client_is_connected(const struct goal_client *client);
