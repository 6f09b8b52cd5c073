/* The goal state of one host, and the report that answers it.
 *
 * A goal is whole: what it does not name, the host must not have. `version` is the revision of the store that
 * it was computed from, so it never goes down while the controller keeps its store, also across restarts. The
 * agent long-polls
 *     GET /agent/v1/goal?after=VERSION&host=UID   200 with a newer goal (-1: any), 204: none within 25 s
 *     PUT /agent/v1/report                        204
 * over TLS with the host's certificate (its CN is the host's name); a host sees only its own goal. A report
 * is whole too. The controller takes `applied` = V to mean: everything in every goal up to V is in force on
 * this host, but for the objects whose entries in the report say otherwise, and the NICs that `exposed` names.
 *
 * A store may be lost, or an older copy of it be put in its place. Versions of two stores say nothing about
 * each other; the uid that each has for the host, drawn at random, tells them apart. The agent names it with
 * the version: as `host` when it asks, as `goal_host` in the report. A controller that has another uid for the
 * host, or is asked for goals after a version that it has not reached, answers with the goal it has. The agent
 * takes whatever goal it is answered, also one of a lower version: the controller's store is right.
 */
#pragma once
#include "base/cleanup.h"
#include "model/guest_os.h"
#include "model/model.h"

#define GOAL_PROTOCOL 1 /* in header "Sluice-Protocol" of every request and answer; others are refused */

struct goal_address {
	char *ip;
	char *public_ip; /* 1:1 translation, or NULL */
	bool standard; /* the public address is of the Standard kind */
};

/* A load balancer's question to a NIC: is it well? */
struct goal_probe {
	char *key; /* of the load balancer's uid and its own name */
	int protocol; /* enum probe_protocol */
	int64_t port;
	char *path; /* of PROBE_HTTP */
	int64_t interval_s;
	int64_t threshold; /* answers in a row, of one kind, that are believed */
};

/* A load balancer on another host, which a NIC here is behind. */
struct goal_front {
	char *vtep; /* of that host's switch; NULL: there is none, and the rest says nothing */
	char *mac;
	bool standard;
	GPtrArray *floating; /* of text: its addresses that come to the NIC as they are */
};

struct goal_nic {
	char *uid;
	char *name;
	char *mac;
	char *vm; /* uid */
	char *network;
	char *subnet;
	char *security_group; /* or NULL */
	char *host_address;
	bool accelerated;
	bool primary;
	bool forwarding; /* an appliance: it may send for others, and gets what is for others */
	bool guest_enforcement; /* operator and NIC both let the guest apply the rules where nothing else can */
	int64_t bandwidth_mbps; /* that it may send; 0: not limited */
	GPtrArray *addresses; /* of struct goal_address, the primary first */
	GPtrArray *probes; /* of struct goal_probe */
	struct goal_front front;
	char *source_nat; /* of a load balancer on this host, in the place of the goal's; or NULL */
};

struct goal_member {
	char *nic; /* uid */
	char *ip; /* of the load balancer's network */
	bool well; /* as its host has said, which may be this one */
};

/* A port of a load balancer, and who gets its connections. */
struct goal_balance {
	char *name;
	char *address; /* of the load balancer's */
	int protocol; /* enum protocol: TCP or UDP */
	int64_t port, member_port;
	bool floating;
	int distribution; /* enum distribution */
	char *probe; /* key of a goal_probe; NULL: all are well */
	GPtrArray *members; /* of struct goal_member */
};

/* A load balancer whose addresses this host's switch has: public ones, alone of all hosts; or those of an internal one, as
 * each host that has NICs of its network. */
struct goal_balancer {
	char *uid;
	char *name;
	char *mac;
	char *network; /* uid */
	bool internal;
	bool standard;
	GPtrArray *addresses; /* of text */
	GPtrArray *rules; /* of struct goal_balance */
};

/* What a host says of a VM's migration, of which it is the source or the target. */
enum migration_state {
	MIGRATION_WAITING, /* nothing has moved: the target prepares, the source has not begun */
	MIGRATION_READY, /* target: it takes what the source sends */
	MIGRATION_MOVING, /* source: functions are taken back, then memory and disk are copied */
	MIGRATION_MOVED, /* source: the machine is not here any more; target: it runs here */
	MIGRATION_FAILED, /* source: the machine is here and will not move */
};
enum migration_role { MIGRATION_SOURCE, MIGRATION_TARGET };

/* A VM on its way from one host to another. Both hosts' goals have the VM, with its NICs; it runs on one of them. */
struct goal_migration {
	char *uid; /* NULL: the VM is not on its way, and the rest says nothing */
	int role; /* enum migration_role */
	char *peer; /* name of the other host, as in its certificate */
	char *address; /* "IP:PORT" where the peer's tunnel listens; NULL: nowhere */
	char *vtep; /* of the peer's switch; NULL: it has none */
	int64_t notice_s; /* source: its guest has so long from when it hears of it */
	bool go; /* source: the target was ready */
	bool cancel; /* source: it is not to move, if that can still be turned back */
};

struct goal_vm {
	char *uid;
	int64_t generation; /* of the VM: another one means that a command was given, which may be the same again */
	char *name;
	char *group_name;
	char *location;
	char *size;
	char *subscription;
	int64_t vcpus;
	int64_t memory_mib; /* 0: its size is not known any more; it is deallocated, or to be removed */
	char *image; /* id in the image store */
	int64_t disk_gib;
	char *computer_name;
	char *admin_user;
	GPtrArray *ssh_keys; /* of text, "ssh-rsa AAAA... comment" */
	json_t *tags;
	int power; /* enum power; POWER_DEALLOCATED: keep the disk, hold nothing else */
	int64_t restarts; /* restart once for each step above what was done */
	int64_t reimages; /* above what was done: remove the disk, and make it anew */
	bool remove; /* delete it with its disk, then report it absent */
	struct goal_migration migration;
};

/* Where the packets of a subnet's NICs to a prefix go. */
struct goal_route {
	char *prefix; /* one route a prefix */
	char *via; /* "network", "outside", "none", or the address of an appliance in the network */
};

struct goal_subnet {
	char *uid;
	char *prefix, *gateway; /* IPv4 */
	char *prefix6, *gateway6; /* IPv6; NULL: it has none */
	char *security_group; /* or NULL */
	GPtrArray *routes; /* of struct goal_route: those that users made */
};

/* An address of a network that is on another host. */
struct goal_mapping {
	char *ip;
	char *vtep; /* of that host's switch */
	char *mac; /* of the NIC */
};

struct goal_network {
	char *uid;
	char *name;
	int64_t vni; /* of a vxlan segment */
	char *physical; /* name of the physical network that its vlan segment is on; NULL: a vxlan segment */
	int64_t vlan; /* id there, 1–4094 */
	GPtrArray *prefixes;
	GPtrArray *subnets; /* of struct goal_subnet */
	bool no_outbound; /* its NICs do not use the goal's source_nat */
	GPtrArray *mappings; /* of struct goal_mapping, sorted by ip: all that this host can reach */
};

struct goal_group {
	char *uid;
	char *name;
	bool keep_established;
	GPtrArray *rules; /* of struct rule; the defaults are implied */
};

/* An application group that rules of the goal's groups name; with no members where a network has none of it. */
struct goal_application_group {
	char *uid;
	int64_t number; /* by which the switch knows it */
	char *name;
	char *network; /* uid, of all its members; NULL: it has none */
	GPtrArray *members; /* of text: their addresses, on whatever host */
};

struct goal {
	int64_t version;
	char *host; /* uid; another one: the goal is another store's */
	char *source_nat; /* public address that NICs without one share on this host; NULL: they share none */
	GPtrArray *networks; /* of struct goal_network */
	GPtrArray *groups; /* of struct goal_group */
	GPtrArray *application_groups; /* of struct goal_application_group */
	GPtrArray *vms; /* of struct goal_vm */
	GPtrArray *nics; /* of struct goal_nic: those of VMs that are not deallocated */
	GPtrArray *balancers; /* of struct goal_balancer */
	GPtrArray *conditions; /* sentences for the operator: which VMs cannot reach each other, and why */
};

struct report_migration {
	char *uid; /* of the goal's; NULL: the goal has none */
	int state; /* enum migration_state */
	int64_t percent; /* source, while moving: of memory and disk */
	char *message; /* sentence: what it waits for, or why it failed; or NULL */
};

struct report_vm {
	char *uid;
	int power; /* enum power_state; DEALLOCATED: only the disk is left */
	bool absent; /* removed, disk and all */
	char *fault; /* word of enum fault when what the goal wants failed; it will be tried again */
	char *message; /* sentence */
	int64_t restarts, reimages; /* done so far */
	struct report_migration migration;
	struct guest_os guest; /* what its guest says that it is; no kernel: it is not heard */
};

struct report_nic {
	char *uid;
	int path; /* enum nic_path */
	int enforcement; /* enum enforcement */
	char *reason; /* sentence, when the path is not what the goal wants */
	GPtrArray *well; /* of text: keys of the goal's probes that find it so */
	char *driver; /* of its VF, as its guest says; NULL: it has none, or is not heard */
};

/* A NIC that passes its host by a function that the goal does not allow it: its policy is not in force. The goal may be without
 * it. */
struct report_exposure {
	char *nic; /* uid */
	char *vm; /* uid of the one that has the function */
	char *reason; /* what is waited for, and what to do, as the end of a sentence */
};

/* One function in use or free, for `sluice vf list`. */
struct report_function {
	char *name; /* "sl-f0", or a PCI address */
	char *provider; /* "emulated: no host bypass, no speed claim" */
	char *nic; /* uid or NULL */
	char *vm; /* uid or NULL */
	char *state; /* word: free, attached, revoked, ... */
	char *physical; /* physical network of its PF; NULL: it is none's */
	char *pf; /* interface of its PF; NULL: it has none */
	bool vxlan; /* the host's underlay leaves by its PF, so that NICs in VXLANs may have it */
	int64_t index; /* VF number of the PF */
	char *mac; /* as the PF has it; NULL: none */
	int64_t vlan; /* as the PF has it; 0: none */
};

struct report {
	char *host; /* name; the certificate's CN must be the same */
	char *goal_host; /* `host` of the goal that both versions below are of; NULL: it has none yet */
	int64_t received; /* newest goal version that it works on; VM faults are about this goal */
	int64_t applied; /* goal version that is fully in force, but for what the entries below say */
	int64_t vcpus;
	int64_t memory_mib;
	int64_t available_mib;
	bool kvm;
	char *accel_detail;
	char *provider; /* "emulated", "none" */
	bool drained; /* by its operator: it gives no functions and takes no new VMs */
	char *version;
	char *vtep; /* the switch's IPv4 address on the underlay; NULL: it has none */
	char *tunnel; /* "IP:PORT" where it takes machines that migrate; NULL: nowhere */
	GPtrArray *
		physicals; /* of text: names of the physical networks that it is on, and has a device of now */
	char *vxlans; /* the one of them by whose functions NICs in VXLANs pass the host; NULL: none do */
	GPtrArray *vms; /* of struct report_vm */
	GPtrArray *nics; /* of struct report_nic */
	GPtrArray *exposed; /* of struct report_exposure */
	GPtrArray *functions; /* of struct report_function */
};

extern const struct shape goal_shape, report_shape;
extern const char *const migration_state_words[], *const migration_role_words[];
extern const struct shape goal_nic_shape, goal_vm_shape, goal_migration_shape, goal_network_shape,
	goal_subnet_shape, goal_route_shape, goal_mapping_shape, goal_group_shape,
	goal_application_group_shape, goal_address_shape, goal_probe_shape, goal_front_shape,
	goal_balancer_shape, goal_balance_shape, goal_member_shape, report_vm_shape, report_nic_shape,
	report_migration_shape, report_exposure_shape, report_function_shape;

struct goal *goal_new(void);
void goal_free(struct goal *goal);
CLEANUP_FUNC(struct goal *, goal_free)
/* Whether the goal comes from another store than one of that host's uid and version, or from a store that was
 * set back since. */
bool goal_is_astray(const struct goal *goal, const char *host, int64_t version);
/* NULL when there is none, also where uid or network is NULL. Borrowed from the goal. */
const struct goal_network *goal_find_network(const struct goal *goal, const char *uid);
const struct goal_subnet *goal_find_subnet(const struct goal_network *network, const char *uid);
const struct goal_vm *goal_find_vm(const struct goal *goal, const char *uid);
const struct goal_nic *goal_find_nic(const struct goal *goal, const char *uid);
struct report *report_new(void);
void report_free(struct report *report);
CLEANUP_FUNC(struct report *, report_free)
