/* Virtual machines' way from host to host, for `sluice vm` and `sluice host drain --migrate`. */
#pragma once
#include "cli/controller.h"

struct vm_move {
	const char *to; /* name of a host; NULL: the controller chooses */
	unsigned notice_s; /* that guests get */
	bool quiet; /* prints nothing to standard output */
};

/* Moves a VM (Borrowed: as the controller lists it) and prints what happens until it is over. *ret_left: the user has pressed Ctrl-C,
 * so that the migration goes on without being watched; true then. *ret_operation: as the controller told it last, also on
 * failure; NULL: none began. New reference. */
bool vm_move_one(struct controller *controller, const json_t *vm, const struct vm_move *move, bool *ret_left,
	json_t **ret_operation, GError **error);
/* All that run on the host, one after the other. False when any stays, or *error is set; what stays is said.
 * *ret: {"migrations": [the operations], "staying": [{"uid", "group", "name", "reason"}]}. New reference; NULL with *error. */
bool vm_move_all(struct controller *controller, const char *host, const struct vm_move *move, json_t **ret,
	GError **error);
/* Call it before anything that makes threads: from now on Ctrl-C is seen by the functions above alone. */
void vm_move_guard(void);
