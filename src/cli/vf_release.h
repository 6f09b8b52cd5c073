/* `sluice vf release`. */
#pragma once
#include <stdbool.h>

/* Has the agent try again to give the function back, and prints what came of it. state: NULL: the usual folder. Returns an exit
 * status. */
int vf_release(const char *state, const char *function, bool as_is, bool as_json);
