/* `sluice-guest status`: the report as text for people and as JSON for programs. */
#pragma once
#include "guest/accel.h"

#include <glib.h>

/* Several lines, the last one "Acceleration: ...". Owned by the caller. */
char *status_text(const struct accel_report *report);

/* One JSON object, indented, with a line end; docs/GUEST.md says what is in it. Owned by the caller. */
char *status_json(const struct accel_report *report);

/* Exit status of the program: one table, also in docs/GUEST.md. */
enum status_exit {
	STATUS_EXIT_WORKING = 0, /* acceleration is on and working */
	STATUS_EXIT_OFF = 1, /* it is off: not enabled, or the VF is away */
	STATUS_EXIT_BROKEN = 2, /* there is a VF and it does not work */
	STATUS_EXIT_USAGE = 3, /* the command line is wrong */
};

enum status_exit status_exit_of(const struct accel_report *report);
