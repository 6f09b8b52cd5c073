/* The order in which lists are shown. */
#pragma once
#include <jansson.h>

/* Sorts an array of objects by the members, of which the first that differs decides; ends with NULL. Texts go without case, and
 * digits in them by what they count, so that web2 is before web10; numbers by size; what is missing or null is behind the
 * rest. Of "?MEMBER" only that counts, whether it is there. What is alike stays in its order. */
void order_by(json_t *array, const char *const *members);
