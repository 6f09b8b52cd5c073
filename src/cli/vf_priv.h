/* What the files of `sluice vf` share. */
#pragma once
#include <jansson.h>
#include <stdbool.h>

/* Has the agent try again to give the function back, and prints what came of it. state: NULL: the usual folder. Returns an exit
 * status. */
int vf_release(const char *state, const char *function, bool as_is, bool as_json);

/* A member of one of the agent's entries as text; "-" when it is not there. Of "nic_name" the NIC's uid instead, when the host has
 * forgotten the name, as of a VM that is deallocated. Owned by the caller. */
char *vf_text(const json_t *entry, const char *member);
/* Of all functions: what they are, or `statistics`: what they have carried. Those that NICs have come first, in the order of
 * physical networks, PFs and VFs, or of their names. */
void vf_print_list(json_t *list, bool statistics, bool as_json);
