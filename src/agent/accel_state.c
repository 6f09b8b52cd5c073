/* The table of acceleration states. */
#include "agent/accel_state.h"

#include <stddef.h>

static const struct accel_row rows[] = {
	[ACCEL_OFF] = {false, "synthetic"},
	[ACCEL_CLAIMING] = {false, "synthetic"},
	[ACCEL_PLUGGING] = {true, "both"},
	[ACCEL_COPYING] = {true, "both"},
	[ACCEL_ON] = {true, "function"},
	[ACCEL_UNPLUGGING] = {true, "both"},
	[ACCEL_DRAINING] = {true, "synthetic"},
	[ACCEL_RELEASING] = {false, "synthetic"},
};

const char *const accel_state_words[] = {
	"off", "claiming", "plugging", "copying", "on", "unplugging", "draining", "releasing", NULL};

_Static_assert(sizeof rows / sizeof rows[0] == ACCEL_STATE_COUNT, "a row for each state");
_Static_assert(
	sizeof accel_state_words / sizeof accel_state_words[0] == ACCEL_STATE_COUNT + 1, "a word each");

const struct accel_row *accel_row(enum accel_state state)
{
	return &rows[state];
}
