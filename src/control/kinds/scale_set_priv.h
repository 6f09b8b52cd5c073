/* What drives operations on scale sets: shared by its steps. */
#pragma once
#include "base/fault.h"
#include "control/control_priv.h"

/* One look at an operation, which may take many steps, each on one instance. */
struct drive {
	struct control *control;
	const struct operation *operation;
	struct scale_set *set; /* Owned */
	GPtrArray *instances; /* Owned, by number: as they were at the look's begin */
	bool waiting; /* for something that is under way, or left for the next look */
	guint steps; /* done in this look */
	guint failed; /* instances */
	enum fault fault; /* of the first of them */
	GString *reasons; /* Owned: sentences of the first of them */
};

/* Whether another step may be done in this look; the rest is for the next one, which the steps that were done bring about. Each
 * is a transaction on its way to the disk, and all else waits for it. */
bool drive_may_step(struct drive *drive);
/* The operation began what the instance did last. */
static inline bool drive_has_touched(const struct drive *drive, const struct vm *vm)
{
	return g_strcmp0(vm->status.set_operation, drive->operation->meta.uid) == 0;
}
/* Nothing is to be done with it now: it is on its way, or the operation is over for it. */
bool drive_is_settled(struct drive *drive, const struct vm *vm);
/* Takes a failure of a step on an instance; what is only in the way now is waited for. */
void drive_note(struct drive *drive, const char *name, const GError *failure);
/* Takes the set's model to it. */
void drive_upgrade(struct drive *drive, const struct vm *vm);

/* The operation has begun a rolling upgrade, which looks after the set's instances then. */
bool scale_set_is_rolling(const struct drive *drive);
/* scale_set_rolling.c: one step of a rolling upgrade: 1 done, 0 waiting, -1 stopped with *error. */
int scale_set_roll(struct drive *drive, GError **error);
