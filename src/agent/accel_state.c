/* The table of acceleration states. */
#include "agent/accel_state.h"

#include <stddef.h>

static const struct accel_row rows[] = {
	[ACCEL_OFF] = {false, "synthetic", false, true},
	[ACCEL_CLAIMING] = {false, "synthetic", false, true},
	[ACCEL_ARMING] = {true, "synthetic", false, false},
	[ACCEL_PLUGGING] = {true, "both", true, false},
	[ACCEL_COPYING] = {true, "both", true, false},
	[ACCEL_ON] = {true, "function", true, false},
	[ACCEL_UNPLUGGING] = {true, "both", true, false},
	[ACCEL_CUT] = {false, "synthetic", true, true},
	[ACCEL_DRAINING] = {true, "synthetic", false, true},
	[ACCEL_RELEASING] = {false, "synthetic", false, true},
};

const char *const accel_state_words[] = {"off", "claiming", "arming", "plugging", "copying", "on",
	"unplugging", "cut", "draining", "releasing", NULL};

_Static_assert(sizeof rows / sizeof rows[0] == ACCEL_STATE_COUNT, "a row for each state");
_Static_assert(
	sizeof accel_state_words / sizeof accel_state_words[0] == ACCEL_STATE_COUNT + 1, "a word each");

const struct accel_row *accel_row(enum accel_state state)
{
	return &rows[state];
}
