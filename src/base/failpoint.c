/* Failpoints. The only state is how often the named one was reached, which is why it is a global. */
#include "base/failpoint.h"

#include <glib.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name, *text;
} points[] = {
#define X(NAME, name, text) [FAILPOINT_##NAME] = {name, text},
	FAILPOINTS(X)
#undef X
};

static atomic_uint hits;

const char *failpoint_name(enum failpoint point)
{
	return (unsigned)point < FAILPOINT_COUNT ? points[point].name : NULL;
}

const char *failpoint_text(enum failpoint point)
{
	return (unsigned)point < FAILPOINT_COUNT ? points[point].text : NULL;
}

void failpoint(enum failpoint point)
{
	const char *wanted = g_getenv("SLUICE_FAILPOINT");
	size_t length = strlen(points[point].name);

	if (!wanted || strncmp(wanted, points[point].name, length) != 0)
		return;
	if (wanted[length] != '\0' && wanted[length] != ':')
		return;
	unsigned nth = wanted[length] == ':' ? (unsigned)strtoul(wanted + length + 1, NULL, 10) : 1;
	if (atomic_fetch_add(&hits, 1) + 1 == MAX(nth, 1))
		raise(SIGKILL);
}
