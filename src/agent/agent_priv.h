/* What the agent's parts share. */
#pragma once
#include "agent/accel.h"
#include "agent/agent.h"
#include "agent/drain.h"
#include "agent/events.h"
#include "agent/guest_identity.h"
#include "agent/guest_policy.h"
#include "agent/health.h"
#include "agent/hearing.h"
#include "agent/jobs.h"
#include "agent/ledger.h"
#include "agent/migration.h"
#include "agent/notice.h"
#include "agent/probes.h"
#include "agent/switch_link.h"
#include "agent/vm_machine.h"

struct agent {
	struct agent_config config;
	struct goal_client_config controller;
	char *socket_dir, *vm_dir, *goal_path; /* Owned */
	char *exchange_dir; /* Owned; for files between agent and switch */
	struct vm_manager *manager; /* Borrowed */
	struct nic_provider *provider; /* Borrowed; NULL: none */
	struct vm_host vm_host;
	struct jobs *jobs; /* Owned */
	struct jobs *unplugs; /* Owned; waits for guests, of which many may not answer */
	struct switch_link *link; /* Owned */
	struct hearing *hearing; /* Owned */
	struct health *health; /* Owned */
	struct probes *probes; /* Owned; NULL: load balancers ask nobody here */
	struct tunnel *tunnel; /* Owned; NULL: none */
	struct goal_client *client; /* Owned; NULL: no controller */
	struct ledger *ledger; /* Owned */
	struct goal *goal; /* Owned; NULL: none yet */
	struct guest_policies *guest_policies; /* Owned */
	struct guest_identities *guest_identities; /* Owned */
	struct events *events; /* Owned */
	GError *goal_error; /* why the goal cannot be told to the switch; NULL when it can */
	GHashTable
		*left_out; /* Owned: uid → sentence why the switch's state is without that NIC of the goal */
	GHashTable *machines; /* Owned: uid → struct vm_machine; those of the goal and the ledger */
	GHashTable *accels; /* Owned: uid → struct accel; likewise */
	GHashTable *migrations; /* Owned: uid of a VM → struct migration; of those that take part in one */
	bool state_dirty; /* goal or ledger changed since the switch's state was built */
	uint64_t goal_number; /* the switch's state that came of the goal: see switch_link.h; 0: none yet */
	int64_t applied; /* version of the newest goal that the switch confirmed */
	bool refreshing, refresh_again; /* a look at all VMs is under way; another is due */
	uint64_t looks_begun,
		looks_done; /* numbers of the last look at all VMs, and of the last that succeeded */
	bool refreshed, refresh_failed; /* one has succeeded since the start; the last one did not */
	bool stopping;
	guint evaluate_source, refresh_timer, wake_timer;
	int64_t wake_at; /* monotonic, of wake_timer */
	struct report *last_report; /* Owned; to see what is new */
};

/* Makes a machine for each VM that goal or ledger name, an acceleration for each NIC likewise. */
void agent_add_members(struct agent *agent);
/* Evaluates soon; several calls, one evaluation. */
void agent_kick(struct agent *agent);
/* Evaluates at a monotonic time, or before. */
void agent_wake_at(struct agent *agent, int64_t at_us);
/* Brings the end of a VM's console log to the controller, soon. */
void agent_fetch_console(struct agent *agent, const char *vm);
/* Looks at all VMs now, or again after the look that is under way. */
void agent_refresh(struct agent *agent);

/* Saves the ledger, then kicks. On failure the caller's step must not be done: it is tried again later. */
bool agent_save(struct agent *agent, GError **error);

/* Whether the provider holds a function for a NIC of the VM, as far as the ledger knows. */
bool agent_functions_held(const struct agent *agent, const char *vm);
/* What an operator must see: the controller's conditions, what is not there of the physical networks, what is wrong with functions
 * and could not be repaired, and what the physical networks do not hear. A list of sentences, new reference. */
json_t *agent_conditions(const struct agent *agent);
/* Memory promised to VMs that are starting now. */
int64_t agent_starting_mib(const struct agent *agent);

const struct goal_vm *agent_goal_vm(const struct agent *agent, const char *uid);
const struct goal_nic *agent_goal_nic(const struct agent *agent, const char *uid);
const struct goal_network *agent_goal_network(const struct agent *agent, const char *uid);

/* Pause before try number `failures` + 1. */
int64_t agent_backoff_us(const struct agent *agent, unsigned failures);
