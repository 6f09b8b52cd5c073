/* Failpoints. The only state is how often the named one was reached, which is why it is a global. */
#include "base/failpoint.h"

#include <glib.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* Whoever takes the file away is the one that dies. */
static bool is_armed_by_file(const char *path, const char *name)
{
	g_autofree char *armed = NULL;

	if (!g_file_get_contents(path, &armed, NULL, NULL))
		return false;
	return g_str_equal(g_strstrip(armed), name) && unlink(path) == 0;
}

static bool is_armed_by_name(const char *wanted, const char *name)
{
	size_t length = strlen(name);

	if (strncmp(wanted, name, length) != 0 || (wanted[length] != '\0' && wanted[length] != ':'))
		return false;
	unsigned nth = wanted[length] == ':' ? (unsigned)strtoul(wanted + length + 1, NULL, 10) : 1;
	return atomic_fetch_add(&hits, 1) + 1 == MAX(nth, 1);
}

void failpoint(enum failpoint point)
{
	const char *wanted = g_getenv("SLUICE_FAILPOINT"), *name = points[point].name;

	if (wanted &&
		(wanted[0] == '@' ? is_armed_by_file(wanted + 1, name) : is_armed_by_name(wanted, name)))
		raise(SIGKILL);
}
