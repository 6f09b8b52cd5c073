/* What the parts of a NIC's acceleration share: accel.c drives it, accel_calls.c calls, accel_want.c knows what is wanted,
 * accel_answer.c tells about it. */
#pragma once
#include "agent/accel.h"
#include "agent/agent_priv.h"
#include "agent/change_log.h"
#include "agent/damping.h"

/* What the log has to tell of a NIC yet. */
enum accel_change {
	ACCEL_TOLD, /* nothing: its last change is told, or came to nothing */
	ACCEL_GIVING, /* a function is on its way to the guest: from CLAIMING, until its guest uses it or has not for long */
	ACCEL_TAKING, /* one is on its way back: from COPYING or ON, until nothing is held */
};

struct accel {
	struct agent *agent; /* Borrowed */
	char *uid;
	enum nic_policy policy; /* of the goal that is there */
	bool busy; /* a job is running */
	bool left; /* DRAINING only: the provider knows that the function has left the guest */
	bool cut; /* CUT only: the provider has cut the function off */
	bool asks; /* CUT only: it could not; the guest is asked before that is tried again */
	bool gone; /* the VM manager has said so while a job was running, whose outcome may be older */
	bool lacked_port; /* ON only: at the last step the switch could not open the function's interface */
	char *loss; /* Owned; COPYING and ON: what is amiss with the function (struct nic_function); NULL: nothing */
	int64_t ask_at_us; /* COPYING and ON: when the VM manager is asked whether the device is there still; 0: no doubt */
	uint64_t number; /* of the switch's state with this state's attachments; 0: not built yet */
	/* Of the last visit to each state: when it was entered, when the switch confirmed it. Monotonic. */
	int64_t entered_us[ACCEL_STATE_COUNT], confirmed_us[ACCEL_STATE_COUNT];
	bool asked; /* an operator asked for the change that is under way */
	int64_t began_us; /* when the change that is under way, or was last, was asked for */
	int64_t baseline; /* frames from the function before its device was plugged */
	/* COPYING and ON: frames from the standby at the last look. COPYING: since when it is seen to be used. */
	int64_t standby_frames, standby_since_us;
	int64_t retry_at_us; /* the state's job is not tried before */
	unsigned failures; /* of the state's job */
	unsigned attach_failures;
	GError *fault; /* Owned; why the state's job failed */
	GError *attach_fault; /* Owned; why the last attaching failed */
	int64_t attach_at_us; /* after that, no attaching before */
	unsigned driverless; /* how often in a row the guest had no driver */
	GPtrArray *waiters; /* Owned, of struct waiter */
	/* Of the change that is under way, or was last, for the log (change_log.h). */
	char *function; /* Owned; NULL: none yet */
	char *why; /* Owned; sentence: why it is taken */
	enum accel_change change;
	int64_t change_us; /* when it began */
};

/* An operator who waits. */
struct accel_waiter {
	accel_done_fn done;
	void *data;
	bool revoking;
};

/* One call, which blocks: on a thread, for which the job has copies of all that it needs. */
struct accel_job {
	struct accel *accel; /* main thread only */
	struct nic_provider *provider;
	struct vm_manager *manager;
	char *nic, *vm, *function, *representor; /* Owned; claim sets the last two */
	char *physical; /* Owned; NULL: none */
	bool tunnel; /* there it goes by the underlay */
	bool bypass;
	struct mac_addr mac;
	uint16_t vlan;
	uint32_t rate_mbps;
	unsigned timeout_ms;
	unsigned tries; /* that have failed before */
	bool plugged; /* what plugged answered */
	bool (*run)(struct accel_job *job);
	void (*then)(struct accel *a, struct accel_job *job, GError *error);
	struct vm_machine *held; /* the machine that the job keeps still; main thread only */
	GError *error;
};

/* What a job runs, any thread: false with job->error when it fails. accel_run_claim sets the job's function and representor;
 * accel_run_plugged its answer, `plugged`. */
bool accel_run_claim(struct accel_job *job);
bool accel_run_arm(struct accel_job *job);
bool accel_run_cut(struct accel_job *job);
bool accel_run_left(struct accel_job *job);
bool accel_run_release(struct accel_job *job);
bool accel_run_plug(struct accel_job *job);
bool accel_run_unplug(struct accel_job *job);
bool accel_run_plugged(struct accel_job *job);

struct ledger_nic *accel_record(const struct accel *a);
const struct goal_nic *accel_goal(const struct accel *a);
enum accel_state accel_state(const struct accel *a);
/* The function is a PCI device, which passes the host by itself or by an eswitch. */
bool accel_is_bypass(const struct ledger_nic *record);
/* The machine that has the function; the goal's while none has; NULL when there is none. */
struct vm_machine *accel_machine(const struct accel *a);
/* The machine is off for sure, or not there. */
bool accel_machine_is_off(const struct accel *a);

/* Whether the NIC's segment and policy let it have a function, whoever wants it, and who enforces the policy then;
 * else *ret_reason is a sentence (a constant). */
bool accel_is_permitted(const struct accel *a, enum nic_enforcer *ret_enforcer, const char **ret_reason);
/* The goal's network of the NIC; NULL when there is none. */
const struct goal_network *accel_network(const struct accel *a);
/* The physical network by whose devices the NIC's packets go past the host, be it in its VLANs or by the underlay; NULL: by none.
 * Borrowed. */
const char *accel_physical(const struct accel *a);
/* A function of the provider, claimed now, would be a bypass one. */
bool accel_provider_bypasses(const struct accel *a);
/* Whether the NIC may have a function as far as goal, provider and operator say; else *ret_reason is a
 * sentence (a constant), or NULL when the goal does not want it. */
bool accel_is_entitled(const struct accel *a, const char **ret_reason);
/* A function that passes the host is in the guest, or may be, and the goal does not allow that: the NIC's policy does
 * not hold. Not so of one that is cut off. */
bool accel_is_exposed(const struct accel *a);
/* Its function is revoked, and stays until its guest has acknowledged that, or had its time. */
bool accel_has_notice(const struct accel *a);
/* Whether a guest that does not let the function go has it cut off. */
bool accel_is_forced(const struct accel *a);
/* Whether it may keep, or get, a function of the machine that it is on. */
bool accel_is_wanted(const struct accel *a);
/* Its path is damped (damping.h): no attaching before, monotonic; 0: it is not. */
int64_t accel_damped_until_us(const struct accel *a);
/* The guest's virtio driver has set the rings up. */
bool accel_guest_is_ready(const struct accel *a);
/* The guest's virtio driver has gone, while the switch is there to say so. */
bool accel_guest_went_away(const struct accel *a);
/* The switch cannot open the interface of its function, which is no bypass one. */
bool accel_lacks_port(const struct accel *a);
/* Whether an eswitch takes flows of the function that the NIC has. */
bool accel_is_offloaded(const struct accel *a);
/* Frames from the guest by the function, or by the standby, as the switch counted last. */
int64_t accel_function_frames(const struct accel *a);
int64_t accel_standby_frames(const struct accel *a);
/* Whether the guest has gone on sending by its standby for too long: looked at each time that the switch has been. */
bool accel_keeps_to_standby(struct accel *a);
/* The active function is a VF, and the guest has sent by its standby: it has set the function down, or has lost its
 * driver; or something in it sends there now and then, so this is looked at no more often than a guest may take to begin. */
bool accel_strays_to_standby(struct accel *a);
/* The guest uses the function. By one past the host anybody on the wire can send in its name, so its frames count only where
 * it has not answered the switch for long: some guests answer no ping. */
bool accel_is_heard_by_function(const struct accel *a);

/* Answers those who wait for a revocation, or for a restoration. */
void accel_answer(struct accel *a, bool revoking, const GError *error);
