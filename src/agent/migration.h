/* A VM's migration, as its source or its target sees it: what the agent adds to the machine (vm_machine.h), the functions
 * (accel.h), the VM manager (vm/vm.h), the tunnel (tunnel.h) and the switch.
 *
 * How it works. The goal says who the peer is and when to go; what has been done is in the VM's entry of the ledger,
 * written before the step that it allows. The VM manager knows on which side the machine is, and is asked again by each
 * process that finds a migration begun.
 *
 * Source
 *     state      meaning; who leaves it
 *     WAITING    Nothing has been done but for the guest's announced event (events.h). Left when the target is ready (`go`), the
 *                event has started, the NICs' functions are back, and a first copy of the connections has come
 *                through: it proves the whole way while turning back costs nothing.
 *     MOVING     The VM manager moves the machine, or did when the agent died: `migrate` is called, again if need be, until
 *                it says how it ended. From the machine's stop on, its NICs are `away` in the switch, which takes what is for
 *                them to the target. Forbidden: to start the machine, to plug anything into it.
 *     MOVED      The machine is not here. The connections, which have gone on since, are copied once more; then the
 *                controller is told. Its NICs are `away`. The disk that is left goes when the goal does not name the VM any
 *                more. Forbidden: to start the machine, whatever the goal says.
 *     FAILED     The machine is here as it was, as are its NICs, and gets its functions back. Nothing of this migration begins
 *                again.
 *
 * Target
 *     WAITING    The machine is defined as for a start, and its ports are confirmed; then streams are let in, and its
 *                connections taken to the switch. Its NICs are `away` there: whoever is here reaches the machine at the
 *                source, and nothing is announced. When the goal does not name the VM any more, disk and definition go.
 *     MOVED      The machine was seen to run here; its NICs are like others. Forbidden: to remove anything of it unasked.
 *
 * A machine that is deallocated has the same states, and less to do between them: migration_off.c.
 */
#pragma once
#include "base/cleanup.h"
#include "model/goal.h"

#include <glib.h>
#include <jansson.h>

struct agent;
struct migration;
struct tunnel_file;

struct migration *migration_new(struct agent *agent, const char *vm);
/* No job may be running. */
void migration_free(struct migration *migration);
CLEANUP_FUNC(struct migration *, migration_free)

void migration_step(struct migration *migration);
/* Neither goal nor ledger speak of it any more: it may be freed. */
bool migration_is_over(const struct migration *migration);
/* The agent stops: a machine that is on its way stays, if it still can. */
void migration_stop(struct migration *migration);

/* A file of connections has come by the tunnel. */
void migration_take_file(struct agent *agent, struct tunnel_file *file);

/* What a VM's machine must know. */
enum migration_stance {
	MIGRATION_NOT_CONCERNED, /* the machine is as the goal wants it */
	MIGRATION_COMING, /* it is to be ready for the machine, and not to start it */
	MIGRATION_LEFT, /* it is on its way or gone: not to be touched */
	MIGRATION_LEFTOVER, /* what is here of it is no good any more */
};
enum migration_stance migration_stance(const struct agent *agent, const char *vm);

/* The machine is on the peer, still or already, or on its way there: what is for its NICs goes to the peer. */
bool migration_is_elsewhere(const struct agent *agent, const char *vm);
/* The same in a sentence about its NICs, or NULL. Owned by the caller. */
char *migration_whereabouts(const struct agent *agent, const char *vm);
/* Why the VM's NICs have no functions meanwhile, a sentence; NULL: they may. */
const char *migration_bar(const struct agent *agent, const char *vm);
/* Of a VM that this host has taken part in moving; else nothing is filled. */
void migration_report(const struct agent *agent, const char *vm, struct report_migration *ret);
