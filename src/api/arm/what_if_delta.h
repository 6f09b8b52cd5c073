/* What changes between two states of a resource, as ARM's what-if says it. */
#pragma once
#include <jansson.h>

/* [{"path", "propertyChangeType": "Create"|"Delete"|"Modify"|"Array", "before"?, "after"?, "children"?}], empty when
 * nothing does. Members of objects have their paths ("properties.addressSpace.addressPrefixes"); a list is an Array whose
 * children's paths are numbers: places in the state after, or of what goes, before. What is empty (null, [], {}) is as
 * good as absent. Elements of lists are known by their names, else their ids, else as they are; where nothing tells
 * them apart, by their places. A list in another order is a Modify of all of it. New reference. */
json_t *what_if_delta(const json_t *before, const json_t *after);
