/* Failpoints: named places after a persisted step where a program can be told to die, as if by kill -9.
 *
 * SLUICE_FAILPOINT=NAME kills the process with SIGKILL the first time that it gets there, NAME:N the N-th time.
 * SLUICE_FAILPOINT=@FILE kills it where FILE says, and takes FILE away first: so programs that are supervised,
 * and started again with the same variable, die once each time that a test writes a name. Tests walk the whole
 * table (failpoint_name()), start the program again without the variable, and expect the end state that was
 * asked for. A place is named where losing the next step could leak or repeat something: after intent is on
 * disk, and after a side effect whose outcome is not on disk yet.
 */
#pragma once

/* X(NAME, "name", "what has just been done") */
#define FAILPOINTS(X)                                                                                        \
	X(AGENT_GOAL_CACHED, "agent.goal-cached", "a goal is on disk, nothing of it is done")                \
	X(AGENT_VM_RECORDED, "agent.vm-recorded", "a new VM is in the agent's ledger, not defined")          \
	X(AGENT_VM_DEFINED, "agent.vm-defined", "a VM is defined, not started")                              \
	X(AGENT_VM_STARTED, "agent.vm-started", "a VM was started, its ports are not confirmed")             \
	X(AGENT_VM_STOPPED, "agent.vm-stopped", "a VM was stopped, its functions are held")                  \
	X(AGENT_VM_RESTARTING, "agent.vm-restarting", "a restart is counted, the VM is off")                 \
	X(AGENT_VM_WIPED, "agent.vm-wiped", "a VM's disk is gone to be made anew, the ledger does not know") \
	X(AGENT_VM_REMOVED, "agent.vm-removed", "a VM is gone, the ledger still names it")                   \
	X(AGENT_SWITCH_GENERATION, "agent.switch-generation", "a generation is on disk, not applied")        \
	X(AGENT_SWITCH_APPLIED, "agent.switch-applied", "the switch uses a state, nobody was told")          \
	X(AGENT_ACCEL_CLAIMING, "agent.accel-claiming", "a function is about to be claimed")                 \
	X(AGENT_ACCEL_CLAIMED, "agent.accel-claimed", "a function is claimed, the ledger does not name it")  \
	X(AGENT_VF_ARMING, "agent.vf-arming", "a function is about to get its MAC")                          \
	X(AGENT_VF_ARMED, "agent.vf-armed", "a function has its MAC, the ledger does not know")              \
	X(AGENT_ACCEL_PLUGGING, "agent.accel-plugging", "a function is about to be plugged")                 \
	X(AGENT_ACCEL_PLUGGED, "agent.accel-plugged",                                                        \
		"a function is in the guest, the ledger does not know")                                      \
	X(AGENT_ACCEL_COPYING, "agent.accel-copying", "copies go to both paths")                             \
	X(AGENT_ACCEL_ON, "agent.accel-on", "the function is about to be the active path")                   \
	X(AGENT_ACCEL_UNPLUGGING, "agent.accel-unplugging", "a function is about to be unplugged")           \
	X(AGENT_ACCEL_UNPLUGGED, "agent.accel-unplugged", "the guest let go, the ledger does not know")      \
	X(AGENT_VF_CUTTING, "agent.vf-cutting", "a function is about to be cut off")                         \
	X(AGENT_VF_CUT, "agent.vf-cut", "a function is cut off, nobody was told")                            \
	X(AGENT_ACCEL_DRAINING, "agent.accel-draining", "the synthetic path is about to be the active one")  \
	X(AGENT_VF_LEFT, "agent.vf-left", "a function's MAC is cleared, the ledger does not know")           \
	X(AGENT_ACCEL_RELEASING, "agent.accel-releasing", "a function is about to be released")              \
	X(AGENT_ACCEL_RELEASED, "agent.accel-released", "a function is released, the ledger still names it") \
	X(MIGRATION_GOING, "migration.going", "a VM is about to be moved to another host")                   \
	X(MIGRATION_OVER, "migration.over", "a VM was moved, or was not, the ledger does not know")          \
	X(MIGRATION_LEFT, "migration.left", "the ledger knows that a VM has moved, nobody was told")         \
	X(MIGRATION_FAILED, "migration.failed", "the ledger knows that a VM stays, nobody was told")         \
	X(MIGRATION_ADMITTED, "migration.admitted", "a VM may come, nobody was told")                        \
	X(MIGRATION_ARRIVED, "migration.arrived", "a VM has come, the switch does not know")                 \
	X(NIC_FUNCTION_RECORDED, "nic.function-recorded",                                                    \
		"a function is in the provider's ledger, not made")                                          \
	X(NIC_FUNCTION_REMOVED, "nic.function-removed", "a function's device is gone, the ledger names it")  \
	X(SETUP_INTENDED, "setup.intended", "a step is in the setup's ledger, not done")                     \
	X(SETUP_WRITTEN, "setup.written", "a step is done, the ledger does not know")                        \
	X(SETUP_RESTORED, "setup.restored", "a step is undone, the ledger still names it")                   \
	X(SRIOV_RECORDED, "sriov.recorded", "a VF's originals are on disk, it is not touched")               \
	X(SRIOV_UNBOUND, "sriov.unbound", "a claimed VF has lost its driver, it is not set up")              \
	X(SRIOV_SET_UP, "sriov.set-up", "a claimed VF is set up, nobody was told")                           \
	X(SRIOV_ARMING, "sriov.arming", "a VF is about to be armed, its PF still hears its MAC")             \
	X(SRIOV_ARMED, "sriov.armed", "a VF is armed, nobody was told")                                      \
	X(SRIOV_CUTTING, "sriov.cutting", "a VF is about to be cut off from the wire")                       \
	X(SRIOV_CUT, "sriov.cut", "a VF is cut off, its PF does not hear the NIC's MAC")                     \
	X(SRIOV_LEFT, "sriov.left", "a VF left its guest, it still has MAC and VLAN")                        \
	X(SRIOV_CLEARED, "sriov.cleared", "a VF's MAC and VLAN are cleared, its PF does not hear the MAC")   \
	X(SRIOV_RESETTING, "sriov.resetting", "a VF is about to be reset")                                   \
	X(SRIOV_RESET, "sriov.reset", "a VF was reset, its originals are not restored")                      \
	X(SRIOV_ATTRIBUTED, "sriov.attributed", "a VF has its old attributes, not its old driver")           \
	X(SRIOV_RESTORED, "sriov.restored", "a VF is as it was found, the ledger still names it")            \
	X(SRIOV_RELEASED, "sriov.released", "a VF is out of the ledger, its PF still hears the NIC's MAC")   \
	X(SRIOV_FILTERING, "sriov.filtering", "a PF's new filters are on disk, not set")                     \
	X(SRIOV_FILTERED, "sriov.filtered", "a PF's old filter is gone, the ledger still names it")          \
	X(CONTROL_ACCEPTED, "control.accepted", "a change and its operation are stored, nobody was told")    \
	X(CONTROL_PLACED, "control.placed", "a VM has a host, the host was not told")                        \
	X(CONTROL_MIGRATING, "control.migrating",                                                            \
		"a VM's target is ready, its source was not told to begin")                                  \
	X(CONTROL_MIGRATED, "control.migrated", "a VM has its new host, the old one was not told")           \
	X(CONTROL_STAYED, "control.stayed", "a VM stays where it is, the target was not told")               \
	X(CONTROL_DISSOLVED, "control.dissolved", "a VM is out of the store, its operation still runs")      \
	X(CONTROL_INSTANCE_MADE, "control.instance-made",                                                    \
		"an instance of a scale set is stored, not all are")                                         \
	X(CONTROL_INSTANCE_UPGRADED, "control.instance-upgraded",                                            \
		"an instance has its set's new model, not all have")                                         \
	X(CONTROL_INSTANCE_TOLD, "control.instance-told",                                                    \
		"an instance of a scale set was told, not all were")                                         \
	X(CONTROL_BATCH_CHOSEN, "control.batch-chosen", "a batch is to be upgraded, nothing of it is")       \
	X(CONTROL_BATCH_OVER, "control.batch-over", "a batch was upgraded, the next one is not chosen")      \
	X(CONTROL_SET_DISSOLVED, "control.set-dissolved",                                                    \
		"a scale set is out of the store, its operation runs")                                       \
	X(CONTROL_CHILD_DELETED, "control.child-deleted", "something of a group is deleted, not all")        \
	X(CONTROL_GROUP_REMOVED, "control.group-removed", "a group is out of the store, its operation runs") \
	X(CONTROL_FINISHED, "control.finished", "an operation is over, nobody was told")                     \
	X(CONTROL_REPORTED, "control.reported", "a host's report is stored, nobody was told")

enum failpoint {
#define X(NAME, name, text) FAILPOINT_##NAME,
	FAILPOINTS(X)
#undef X
		FAILPOINT_COUNT
};

/* Dies here when SLUICE_FAILPOINT says so. From any thread. */
void failpoint(enum failpoint point);
/* "agent.goal-cached" */
const char *failpoint_name(enum failpoint point);
/* What has just been done there, in words. */
const char *failpoint_text(enum failpoint point);
