/* What a client sent and the model does not hold.
 *
 * Clients read a resource, change one member and put all of it back, so what they sent must come back. The
 * rest of a body, without nulls, without what is the server's to say, and without secrets, is kept in
 * meta.extra and laid under the answer. What would change behaviour that Sluice does not have is refused
 * instead: nothing that matters is dropped in silence.
 */
#pragma once
#include "api/arm/cursor.h"

/* A member that is refused unless it is empty (null, false, "", [], {}). */
struct refusal {
	const char *path; /* "properties.ipConfigurations[].properties.loadBalancerBackendAddressPools" */
	const char *feature; /* plural: "load balancers" */
};

/* Deep copy without nulls and secrets. New reference. */
json_t *extra_clean(const json_t *json);
/* The body less the members of "properties" in `owned` and those at the top that every resource has. New
 * reference, NULL when nothing is left. */
json_t *extra_of(const json_t *body, const char *const *owned);
/* FAULT_UNSUPPORTED in the cursor's error. The table ends with a NULL path. */
void extra_refuse(const struct cursor *body, const struct refusal *table);
