/* What this guest tells its host that it is: kernel, distribution, and the driver of a NIC's VF. */
#pragma once
#include "guest/accel.h"

/* {"os": {"kernel","id","version","name","agent"}, "driver"}, without what is not known; each word is of 128 bytes at
 * most, printable. agent: version of this program. Owned by the caller. */
char *identity_text(const struct accel_source *source, const char *interface, const char *agent);
