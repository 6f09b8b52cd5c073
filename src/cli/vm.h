/* Virtual machines' way from host to host, for `sluice vm` and `sluice host drain --migrate`. */
#pragma once
#include "cli/controller.h"

struct vm_move {
	const char *to; /* name of a host; NULL: the controller chooses */
	unsigned notice_s; /* that guests get */
	bool as_json;
};

/* Moves a VM (Borrowed: as the controller lists it) and prints what happens until it is over. *ret_left: the user has pressed Ctrl-C,
 * so that the migration goes on without being watched; true then. */
bool vm_move_one(struct controller *controller, const json_t *vm, const struct vm_move *move, bool *ret_left,
	GError **error);
/* All that run on the host, one after the other. False when any stays, or *error is set; what stays is said. */
bool vm_move_all(struct controller *controller, const char *host, const struct vm_move *move, GError **error);
/* Call it before anything that makes threads: from now on Ctrl-C is seen by the functions above alone. */
void vm_move_guard(void);
