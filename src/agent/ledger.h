/* The agent's ledger: what it has done on this host and what it was about to do, on disk.
 *
 * One file, replaced whole and synchronously, so that after a kill -9 the agent knows which VMs and functions
 * are its own and where each stood. It never holds what can be asked of the VM manager or the switch.
 */
#pragma once
#include "agent/accel_state.h"
#include "base/cleanup.h"
#include "model/goal.h"

/* What was done of a VM's migration, see migration.h. */
struct ledger_migration {
	char *uid; /* NULL: it takes part in none */
	int role; /* enum migration_role */
	int state; /* enum migration_state */
	char *message; /* sentence: why it failed; or NULL */
};

struct ledger_vm {
	char *uid;
	char *name;
	int64_t restarts, reimages; /* of the goal's, those that were done */
	bool halted; /* it died and stays off until the goal asks for a restart, or for off and on again */
	char *message; /* sentence: how it died; NULL when it did not */
	struct ledger_migration migration;
};

/* Of a NIC's path. */
struct ledger_change {
	int64_t at_ms; /* Unix time */
};

struct ledger_nic {
	char *uid;
	char *vm; /* uid */
	char *mac;
	int state; /* enum accel_state */
	char *physical; /* physical network of the function, a bypass one; "": a stray's, which nobody knows any more; NULL: it is none, or on a vxlan segment */
	int64_t vlan; /* there; 0: not tagged */
	char *function; /* interface name, or PCI address of a bypass function; NULL until it is claimed */
	char *representor; /* interface by which the switch reaches the function, a bypass one; NULL: it has none */
	bool revoked; /* by the operator, until restored or the VM leaves this host */
	int64_t revoke_due_s; /* Unix time by which it loses the function that it had then; 0: at once */
	bool forced; /* the same, also from a guest that does not let go */
	int64_t changes; /* functions given and taken, ever */
	GPtrArray *changed; /* Owned, of struct ledger_change: the last ones, the oldest first (damping.h) */
	int64_t dampings; /* how often attaching was held off, as the path had changed too often, ever */
	int64_t dampings_in_row; /* the same, since the path had a minute's rest */
	int64_t damped_until_ms; /* Unix time until which it was held off last; 0: never, or an operator has ended it */
};

struct ledger {
	char *path; /* not stored */
	int64_t generation; /* newest that was offered to the switch */
	bool drained; /* by the operator, until undrained: no NIC of this host has a function */
	bool drain_forced; /* while drained: nor one whose guest does not let go */
	int64_t drain_due_s; /* Unix time by which those that had one when it was drained lose it */
	GPtrArray *vms; /* Owned, of struct ledger_vm */
	GPtrArray *nics; /* Owned, of struct ledger_nic */
};

/* An empty one when there is no file. FAULT_INTERNAL when it is damaged: starting without it would leak what
 * it names. */
struct ledger *ledger_load(const char *path, GError **error);
void ledger_free(struct ledger *ledger);
CLEANUP_FUNC(struct ledger *, ledger_free)

bool ledger_save(const struct ledger *ledger, GError **error);

/* NULL when there is none. Borrowed until it is dropped. */
struct ledger_vm *ledger_find_vm(const struct ledger *ledger, const char *uid);
struct ledger_nic *ledger_find_nic(const struct ledger *ledger, const char *uid);
/* An entry that is all zero but for its uid. */
struct ledger_vm *ledger_add_vm(struct ledger *ledger, const char *uid);
struct ledger_nic *ledger_add_nic(struct ledger *ledger, const char *uid);
/* One more at the end of the NIC's last changes. */
void ledger_add_change(struct ledger_nic *nic, int64_t at_ms);
void ledger_drop_vm(struct ledger *ledger, const char *uid);
void ledger_drop_nic(struct ledger *ledger, const char *uid);
/* It takes part in none any more. */
void ledger_clear_migration(struct ledger_vm *vm);
