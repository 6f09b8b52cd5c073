/* Sets of addresses as lists of prefixes: union and complement.
 *
 * A list that comes out is the shortest one of its set: sorted (IPv4 first), no prefix within another, no two
 * that make up a larger one. Lists are GArrays of struct ip_prefix, Owned by the caller.
 */
#pragma once
#include "base/ip.h"

#include <glib.h>

GArray *policy_prefixes_new(void);
/* The addresses that lie in any of the prefixes, which may overlap and be in any order. */
GArray *policy_prefixes_union(const GArray *prefixes);
/* The addresses of both families that lie in none of them. */
GArray *policy_prefixes_complement(const GArray *prefixes);
