/* For tests: the world around an agent, in the test's main context.
 *
 * A fake switch (a JSON-RPC server), and a VM manager that lives here while the agent, in this process or in
 * another one that may be killed, reaches it by a second JSON-RPC socket. Everything that the agent does to
 * either is written down in one list, in order.
 */
#pragma once
#include "agent/agent.h"
#include "vm/fake.h"

#define WORLD_VM    "11111111-1111-4111-8111-111111111111"
#define WORLD_NIC   "22222222-2222-4222-8222-222222222222"
#define WORLD_VM_2  "33333333-3333-4333-8333-333333333333"
#define WORLD_NIC_2 "44444444-4444-4444-8444-444444444444"

#define WORLD_FLOWS 7 /* in the eswitch, of each NIC with a representor */
#define WORLD_VF    "0000:3b:10.0" /* the first function of the bypass provider */

struct jsonrpc_server;

struct world {
	char *folder; /* of all files; removed at the end */
	char *switch_path, *vm_path;
	struct jsonrpc_server *switch_server, *vm_server;
	struct world_mover *mover; /* calls of migrate, which block, are answered by a thread of their own */
	struct vm_manager *machines; /* the fake manager */
	struct vm_manager *proxy; /* what the agent is given */
	struct nic_provider *provider;
	struct agent *agent; /* NULL: not in this process */
	GMutex lock; /* guards the log: providers write to it from other threads */
	GPtrArray *log; /* of text */
	json_t *state; /* what the switch was told last; NULL: nothing */
	int64_t generation; /* highest that the switch was told */
	int64_t pid; /* that the switch says it has */
	unsigned applies, looks; /* how often it was told a state, and asked for its NICs */
	bool guest_is_deaf; /* its drivers never set the rings up */
	bool guest_is_quiet; /* it sends nothing on a function */
	bool has_no_driver; /* it sends by its standby only, all the time */
	bool function_fails; /* the switch cannot open the interfaces of functions */
	bool chatters; /* it sends by its standby, too, and answers by its function */
	bool drops_next; /* it gives the next function away as soon as it has it; cleared then */
	bool bypass; /* functions pass the host */
	bool switchdev; /* the same, and have representors */
	const char *offload_error; /* what the switch says of their eswitch; NULL: it takes flows */
	unsigned vfs; /* how many of these there are */
	unsigned half_starts; /* so many starts fail after a while in which the machine seems to run */
	bool half_started;
	bool refuse_apply; /* apply answers invalid */
	bool reboot; /* the guest's drivers are away just now */
	json_int_t frames, standby_frames; /* of functions, and of standbys, counted by the switch */
	bool refuse_export; /* connection.export answers unavailable */
	struct tunnel_config tunnel; /* see world_config_tunnel(); texts Borrowed from `certificates` */
	GStrv certificates; /* Owned */
	struct agent_config config;
};

void world_init(struct world *world);
void world_done(struct world *world);

/* With short times; texts Borrowed. */
struct agent_config world_config(const char *folder, const char *switch_path);
/* Puts the host on the physical network physnet1. */
void world_config_physical(struct agent_config *config);

/* Makes it a host of that name, which takes machines from the peer and gives machines to it, on the loopback. `ca`: a folder with the
 * cloud's CA. */
void world_join(struct world *world, struct world *peer, const char *name, const char *ca);

/* The manager that an agent in another process uses. */
struct vm_manager *world_proxy_open(const char *vm_path);

/* Starts an agent in this process on the world's files; with_provider: functions are files, and with `bypass` or
 * `switchdev` they pass the host. */
void world_start_agent(struct world *world, bool with_provider);
void world_stop_agent(struct world *world);

/* The switch goes, and another one comes that knows what the first was told. */
void world_stop_switch(struct world *world);
void world_start_switch(struct world *world);

/* A goal of one VM with one NIC, running; version 1. */
struct goal *world_goal(int64_t version, bool accelerated);
/* The same on VLAN 100 of physnet1, without public addresses. */
struct goal *world_goal_physical(int64_t version, bool accelerated);
/* Gives the NIC a group with these rules (as the goal has them). */
void world_add_rules(struct goal *goal, const char *rules);
/* Adds WORLD_VM_2 with WORLD_NIC_2. */
void world_add_vm(struct goal *goal);
static inline struct goal_vm *world_vm(struct goal *goal)
{
	return goal->vms->pdata[0];
}
static inline struct goal_nic *world_nic(struct goal *goal)
{
	return goal->nics->pdata[0];
}

/* Runs the main loop until the condition holds; fails the test after 10 s with what has happened so far. */
typedef bool (*world_condition)(struct world *world);
void world_wait(struct world *world, const char *what, world_condition condition);
/* Lets the main loop run for so long. */
void world_run(unsigned ms);

/* Of the agent's report; unknown when the VM is not in it. */
enum power_state world_power(struct world *world, const char *vm);
enum vm_state world_machine(struct world *world, const char *vm);
/* Forgets what has happened so far. */
void world_forget(struct world *world);
/* Index of the first entry of the log that equals text, from `from` on; -1 when there is none. */
int world_find(struct world *world, const char *text, int from);
/* Fails the test unless the entries are in the log in this order; NULL-terminated. */
void world_expect(struct world *world, ...) G_GNUC_NULL_TERMINATED;
