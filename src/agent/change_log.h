/* What the log says of functions that are given and taken, and of the operators who asked for it: one line for each.
 *
 * How it works. Whoever asks by the control socket has a line when the answer is there: who it is, what for, what came of it and
 * how long that took; a second one when the answer was that it is still under way. A change that nobody waited for (a drain, notice that is over, rules, a guest that gave the device away) has one
 * when it has come to its end: which NIC and function, why it was taken, how long that took. What failed is told where it failed.
 */
#pragma once
#include "agent/accel_state.h"

#include <glib.h>
#include <jansson.h>

struct accel;

/* A call of the control socket is over. Borrows all; result or error is NULL. Any thread. */
struct change_request {
	const char *method; /* "vf.revoke" */
	const char *who; /* as jsonrpc_asker() has it */
	const json_t *params; /* may be NULL */
	int64_t began_us; /* monotonic */
};
void change_log_request(const struct change_request *request, const json_t *result, const GError *error);

/* The NIC's acceleration is new, with the state that the ledger has. */
void change_log_resume(struct accel *accel);
/* The NIC's acceleration was in state `old`, and has entered another. */
void change_log_entered(struct accel *accel, enum accel_state old);
/* A taking (revoking), or a giving, has come to its end, or is over already. awaited: an operator is told of it, and has
 * the line. */
void change_log_ended(struct accel *accel, bool revoking, bool awaited);
