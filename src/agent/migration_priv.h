/* What the parts of a migration share: migration.c drives the source's side, migration_move.c
 * calls the VM manager there, migration_target.c drives the target's, migration_copy.c
 * sends connections, migration_off.c moves a machine that is off, migration_view.c tells about it. */
#pragma once
#include "agent/agent_priv.h"
#include "agent/migration.h"
#include "agent/tunnel.h"

#define MIGRATION_EVENT "migration" /* key of the guest's scheduled event */

/* What came of copying the connections of all NICs. */
typedef void (*migration_copied_fn)(struct migration *m, const GError *error);

struct migration {
	struct agent *agent; /* Borrowed */
	char *vm; /* uid */
	char *uid; /* Owned; of the migration that all below is about; NULL: none yet */
	int role; /* enum migration_role */
	struct vm_machine *held; /* the machine that it keeps still; NULL: none */
	/* Source. */
	uint64_t
		release_at_look; /* the machine is held until this look at all VMs is over; 0: it is not settled */
	bool moving; /* the job that moves it is running */
	bool cancelling; /* the VM manager was asked to stop */
	bool stopped; /* the machine has stopped here, to run there; while it moves, it may run here again */
	bool first_copied; /* the connections came through once */
	unsigned last_copies; /* tried since it has moved */
	bool sending; /* the disk of a machine that is off is under way */
	unsigned sent; /* times that it was begun */
	bool told; /* all is done: the controller may be told that it has moved */
	gint percent; /* atomic: written by a thread of the VM manager's */
	int64_t started_us; /* when functions began to be taken back; 0: not yet */
	int64_t retry_at_us;
	unsigned failures;
	char *message; /* Owned; what it waits for */
	GPtrArray *
		nics; /* Owned, of text: those whose connections are still to be copied; NULL: nothing is copied */
	char *path; /* Owned; the file that is under way */
	migration_copied_fn copied;
	/* Target. */
	bool admitted; /* streams are let in */
};

const struct goal_vm *migration_goal(const struct migration *m);
struct ledger_vm *migration_record(const struct migration *m);
/* NULL when there is none: the agent started without one. */
struct vm_machine *migration_machine(const struct migration *m);
/* Of the goal, whose migration it is. */
struct tunnel_peer migration_peer(const struct migration *m);

void migration_set_message(struct migration *m, const char *message);
/* As the ledger has it; WAITING while it says nothing of this migration. */
enum migration_state migration_state(const struct migration *m);
/* Takes the state into the ledger, with a message (NULL: none). When that fails the old one stays: try again. */
bool migration_enter(struct migration *m, enum migration_state state, const char *message);

void migration_retry_later(struct migration *m);
/* Keeps the machine still from now on; false: it is busy, try again. */
bool migration_hold(struct migration *m);
/* The source has no part in it any more: the machine is there, with all that belongs to it. */
void migration_settle_moved(struct migration *m);
/* The source's machine is here and stays, for this reason. */
void migration_stay(struct migration *m, const char *message);

/* Leads the VM manager's streams of this host to the target. */
bool migration_open_way(struct migration *m, GError **error);
/* Calls `migrate`, in a job; what it answers is the migration's next state. */
void migration_begin_move(struct migration *m);
/* What becomes of it is what `migrate` answers. */
void migration_cancel_move(struct migration *m);

/* migration_off.c: the goal has the machine off, so that only its disk moves. */
bool migration_is_off(const struct migration *m);
/* The source's step: from WAITING on, while it is not cancelled, to MOVED or FAILED. */
void migration_step_off(struct migration *m);
/* The target lets the disk in, and takes it when it has come. */
void migration_admit_disk(struct migration *m);
void migration_take_disk(struct migration *m, struct tunnel_file *file);

/* Copies the connections of all NICs to the target; `copied` follows, or the migration is freed. */
void migration_copy(struct migration *m, migration_copied_fn copied);
/* Forgets what is being copied. */
void migration_drop_copy(struct migration *m);

void migration_step_target(struct migration *m);
/* No stream is let in any more. */
void migration_close_target(struct migration *m);
