/* OData's $filter, as far as clients of ARM use it: "resourceType eq 'a' and tagName eq 'b'". They quote a word with a
 * slash: "'virtualMachineScaleSet/id' eq '/subscriptions/...'" (az vm list --vmss). */
#pragma once
#include "api/arm/arm_priv.h"

struct filter {
	char *resource_type, *name, *group, *location, *tag_name, *tag_value; /* NULL: any */
	char *scale_set; /* that machines are of: its id, and behind filter_of_call() its uid; NULL: any, or none */
	char *state; /* "Failed"; NULL: any */
};
void filter_clear(struct filter *filter);
CLEANUP_CLEAR_FUNC(struct filter, filter_clear)

/* ARM_INVALID_FILTER for what is not understood: an answer that ignored it would be wrong. NULL and "" fit
 * all. */
bool filter_parse(const char *text, struct filter *ret, GError **error);
/* The query's, with its location in the canonical spelling; FAULT_BAD_LOCATION for one that is none, FAULT_NOT_FOUND for a
 * scale set that does not exist. */
bool filter_of_call(struct arm *arm, const struct call *call, struct filter *ret, GError **error);
/* Of lists whose elements have nothing else that could be asked for: ARM_INVALID_FILTER when the filter has other words. */
bool filter_has_only(const struct filter *filter, const char *word, GError **error);
/* Of a list that cannot be filtered: ARM_INVALID_FILTER when the query has a filter. */
bool filter_is_absent(const struct call *call, GError **error);
/* group: name of the object's group; NULL when the filter's does not matter. */
bool filter_fits(
	const struct filter *filter, const struct meta *meta, const struct arm_type *type, const char *group);
