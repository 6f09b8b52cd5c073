/* `sluice-guest doctor`: every reason why accelerated networking fails in this guest, each with its remedy.
 *
 * The words and the form are those of the host's doctor (base/findings.h). It reads sysfs, proc and the lists of kernel modules, and
 * changes nothing; no root is needed.
 */
#pragma once
#include "base/findings.h"
#include "guest/accel.h"

/* GPtrArray of struct finding, Owned by the caller. */
GPtrArray *doctor_examine(const struct accel_source *source);
