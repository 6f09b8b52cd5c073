/* Functions in quarantine: what an operator can do about one that cannot be given back as it was found. */
#pragma once
#include <jansson.h>

#include <glib.h>
#include <stdbool.h>

struct agent;

/* Called once: {"function", "given_up": ["sentence"]} (new reference), or NULL with error. */
typedef void (*quarantine_done_fn)(json_t *result, const GError *error, void *data);

/* Tries at once again to give the function back; `as_is`: gives up what cannot be made as it was found. NICs that found none free
 * get it then. */
void quarantine_reclaim(
	struct agent *agent, const char *function, bool as_is, quarantine_done_fn done, void *data);
