/* The agent of one host: follows its goal state, runs its VMs, programs its switch, gives and takes
 * functions.
 *
 * How it works. Everything the agent knows is in four places: the goal (from the controller, and on disk),
 * the ledger (what it has done and was about to do, on disk), the VM manager (what runs) and the switch (what
 * it confirmed). evaluate.c compares them and lets each VM's machine (vm_machine.h) and each NIC's
 * acceleration (accel.h) take one step. It runs again whenever any of the four changes, so nothing waits
 * inside a step, and a step that is repeated finds its work done. That is also how a crash is survived: the
 * next process reads goal and ledger, asks the VM manager and the switch, and evaluates.
 *
 * Threads:
 *     main      owns all state; goal client, metadata service and all callbacks run in its main context
 *     jobs      a pool for calls that block: the VM manager and the NIC provider, one at a time for each VM
 *     switch    one thread for calls to the switch (switch_link.h)
 *     tunnel    streams of migrations (tunnel.h)
 *     control   serves the control socket (control_socket.h); hands each call to main and waits for its
 * answer netns     short-lived ones that enter a network namespace (nic/netns.h) VMs, switch and packets do
 * not need the agent: it may be killed at any time.
 */
#pragma once
#include "agent/goal_client.h"
#include "agent/host.h"
#include "agent/physicals.h"
#include "agent/switch_state.h"
#include "agent/tunnel.h"
#include "base/cleanup.h"
#include "nic/provider.h"
#include "vm/vm.h"

/* Times; zeros stand for the defaults (agent_times_default). */
struct agent_times {
	unsigned port_ms; /* a guest's drivers set the rings up within this, or the VM is reported anyhow */
	unsigned confirm_ms; /* the switch confirms a new port within this, or the start fails */
	unsigned first_frame_ms; /* after which `vf restore` answers without a first frame */
	unsigned no_driver_ms; /* that a guest sends by its standby only, before its function is taken back */
	unsigned no_driver_pause_ms; /* before it gets one again; doubles */
	unsigned unplug_ms; /* for one try to make the guest let a device go */
	unsigned migrate_functions_ms; /* for guests to let functions go before a migration */
	unsigned stop_grace_s; /* for a guest to power off by itself */
	unsigned retry_ms; /* first pause after a failure; doubles, up to retry_max_ms */
	unsigned retry_max_ms;
	unsigned refresh_ms; /* between two looks at all VMs, besides those that events ask for */
	unsigned health_ms; /* between two looks at the host's functions */
	unsigned eager_ms,
		idle_ms; /* between two looks at the switch, at least and at most (switch_link.h) */
	unsigned report_ms;
};
extern const struct agent_times agent_times_default;

#define AGENT_DEATHS_MAX                                                                                     \
	5 /* restarts after a death, before a VM is left alone; forgotten after 10 minutes up */
#define AGENT_CHANGES_MAX 20 /* of one NIC's path in a minute, before attaching is held off */

/* Strings Borrowed until agent_free. */
struct agent_config {
	const char *host_name;
	const char *version;
	const char *state_dir; /* ledger, goal, VMs' folders */
	const char *run_dir; /* sockets */
	const char *switch_socket;
	const char *proc; /* "/proc" */
	struct switch_site site; /* socket_dir and probes are the agent's to fill */
	const struct physicals_source *
		physicals; /* where the site's physical networks are found; NULL: they are as the site has them */
	const char *
		probe_source; /* address, behind the host port, that load balancers ask from; NULL: they do not */
	const char *probe_netns; /* where that is; NULL: the process's own namespace */
	struct host_admission admission;
	struct agent_times times;
	const struct tunnel_config
		*tunnel; /* certificates, where to listen; NULL: no VM migrates from or to here */
	const struct goal_client_config
		*controller; /* url, certificates; NULL: work from the stored goal only */
};

struct agent;

/* Makes a folder, and those above it, that others may pass through: VMs and the switch have files below. */
bool agent_make_folder(const char *path, GError **error);

/* Reads goal and ledger from state_dir, makes the folders. Nothing runs yet. */
struct agent *agent_new(const struct agent_config *config, GError **error);

/* Pass this with the agent as data to vm_..._open(). */
void agent_vm_event(const char *uid, enum vm_state state, const char *gone_nic, void *data);

/* Starts to work, with managers that stay open until agent_free. provider NULL: no acceleration here. */
bool agent_start(
	struct agent *agent, struct vm_manager *manager, struct nic_provider *provider, GError **error);

/* Ends what is under way, in order; VMs, functions and the switch's state stay as they are. */
void agent_free(struct agent *agent);
CLEANUP_FUNC(struct agent *, agent_free)

/* The goal that the controller has now: on disk first, then worked on. Takes the goal. */
void agent_take_goal(struct agent *agent, struct goal *goal);

/* Borrowed until the main loop runs again; NULL when there is none yet. */
const struct goal *agent_goal(const struct agent *agent);

/* Of struct physical_port; NULL when the configuration does not say where they are found. Borrowed until the main loop
 * runs. */
const GPtrArray *agent_physicals(const struct agent *agent);

/* For the metadata service. Borrowed until agent_free. */
struct guest_policies *agent_guest_policies(const struct agent *agent);
struct guest_identities *agent_guest_identities(const struct agent *agent);
struct events *agent_events(const struct agent *agent);

/* As sent to the controller. Owned by the caller. */
struct report *agent_report(struct agent *agent);
