/* The resource model: one kind, one struct; spec is what the user wants, status what is.
 *
 * Both dialects (ARM, OpenStack) are projections of these structs; their words never appear here. Structs are
 * plain and described by field tables (model/shape.h), which give codec, copy, comparison and release.
 *
 * Identity is the uid. A name is an index of the dialects. Objects refer to each other by uid.
 * Subnets and security rules live inside their network and group: whoever changes one compares and swaps the
 * whole parent, so overlap and uniqueness checks cannot race.
 */
#pragma once
#include "base/cleanup.h"
#include "model/guest_os.h"
#include "model/shape.h"

enum kind {
	KIND_NONE,
	KIND_SUBSCRIPTION,
	KIND_PRINCIPAL,
	KIND_GROUP,
	KIND_NETWORK,
	KIND_SECURITY_GROUP,
	KIND_ADDRESS,
	KIND_NIC,
	KIND_VM,
	KIND_DEPLOYMENT,
	KIND_OPERATION,
	KIND_HOST,
	KIND_PHYSICAL,
	KIND_AVAILABILITY_SET,
	KIND_SCALE_SET,
	KIND_BALANCER,
	KIND_APPLICATION_GROUP,
	KIND_ROUTE_TABLE,
	KIND_CUSTOM_IMAGE,
	KIND_KEY_PAIR,
	KIND_COUNT
};

/* Where an object stands with its last operation. */
enum provisioning {
	PROVISIONING_SUCCEEDED, /* status is what spec asks for; the operation is over */
	PROVISIONING_CREATING, /* first operation under way; may be read, not referred to by a second
				  operation */
	PROVISIONING_UPDATING,
	PROVISIONING_DELETING, /* deletion mark is set; only its delete operation may touch it */
	PROVISIONING_FAILED, /* the last operation failed; `fault` and `message` say why; may be tried again
			      */
};

/* First member of every resource. */
struct meta {
	int kind; /* enum kind; not in JSON: the key tells */
	int64_t revision; /* the store's, of the version that was read; not in JSON; 0: not stored yet */
	char *uid;
	char *name;
	char *parent; /* uid of the group; of the subscription for a group; NULL for the rest */
	int parent_kind; /* enum kind; KIND_NONE: the parent is of the kind's usual one, else inside of what it is */
	char *location;
	int64_t generation; /* counts changes of spec, from 1 */
	int64_t created_us; /* UTC, microseconds since 1970 */
	json_t *tags; /* object of strings */
	json_t *extra; /* what a dialect was sent and the model does not know; only that dialect reads it */
};

/* Common to every status. */
struct outcome {
	int state; /* enum provisioning */
	char *fault; /* word of enum fault, when failed */
	char *message; /* sentence, when failed */
};

/* How many of something. */
struct quota_line {
	char *name; /* as in control/quota.c */
	int64_t n;
};

struct subscription {
	struct meta meta;
	struct subscription_spec {
		char *tenant; /* uuid */
		GPtrArray *limits; /* of struct quota_line: how many there may be; none: any number */
	} spec;
	struct subscription_status {
		GPtrArray *used; /* of struct quota_line */
	} status;
};

/* Who may log in: a service principal, or a user when `user` is set. */
struct principal {
	struct meta meta; /* name: appId (a uuid), or the user's name */
	struct principal_spec {
		char *secret_hash; /* "pbkdf2-sha256$ITERATIONS$SALT$HASH", base64 parts */
		char *tenant;
		bool user;
	} spec;
};

struct group {
	struct meta meta;
	struct group_status {
		struct outcome outcome;
	} status;
};

/* Where the packets of a network travel between hosts. */
enum segment {
	SEGMENT_VXLAN, /* in a VXLAN of its own, by the hosts' underlays */
	SEGMENT_VLAN, /* in a VLAN of a physical network, where others may be, too */
};

struct subnet {
	char *uid;
	char *name;
	char *prefix; /* IPv4, inside one of the network's */
	char *prefix6; /* IPv6, likewise; NULL: it has none */
	char *security_group; /* uid or NULL */
	char *route_table; /* uid or NULL */
	bool no_outbound; /* NICs without a public address do not reach the outside */
	json_t *extra;
};

struct network {
	struct meta meta;
	struct network_spec {
		GPtrArray *prefixes; /* of text */
		GPtrArray *subnets; /* of struct subnet */
		int segment; /* enum segment; kept by a put, see control/segment.c */
		char *physical; /* uid of the physical network of a VLAN; NULL: it is none */
	} spec;
	struct network_status {
		struct outcome outcome;
		int64_t vni; /* of a VXLAN, unique among all networks; 0: it is none */
		int64_t vlan; /* id on the physical network, unique there; 0: it is none */
	} status;
};

/* A wire that hosts have NICs on, and what of it Sluice may use: the operator's. */
struct physical {
	struct meta meta; /* name: as in the hosts' files */
	struct physical_spec {
		char *vlans; /* model/vlan_set.h; networks get their ids from these */
		bool guest_enforcement; /* guests may apply rules themselves, where nothing else can */
	} spec;
	struct physical_status {
		struct outcome outcome;
	} status;
};

enum direction { DIRECTION_INBOUND, DIRECTION_OUTBOUND };
enum access { ACCESS_DENY, ACCESS_ALLOW };
enum protocol { PROTOCOL_ANY, PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_ICMP, PROTOCOL_ESP, PROTOCOL_AH };

/* One side of a rule, as text that was checked: prefixes "10.0.0.0/8" or addresses, "*", tags "Internet",
 * "VirtualNetwork", "AzureLoadBalancer"; ports "22", "1000-2000", "*". It has addresses or application groups. */
struct rule_side {
	GPtrArray *addresses;
	GPtrArray *ports; /* at least one */
	GPtrArray *application_groups; /* uids */
};

struct rule {
	char *uid;
	char *name;
	char *description;
	int direction; /* enum direction */
	int access; /* enum access */
	int protocol; /* enum protocol */
	int64_t priority; /* 100..4096, unique per direction */
	struct rule_side source, destination;
};

/* Whether its ports may be others than "*": with a protocol that has none it would match nothing. */
static inline bool rule_may_name_ports(const struct rule *rule)
{
	return rule->protocol == PROTOCOL_ANY || rule->protocol == PROTOCOL_TCP ||
	       rule->protocol == PROTOCOL_UDP;
}

struct security_group {
	struct meta meta;
	struct security_group_spec {
		GPtrArray *rules; /* of struct rule */
		bool keep_established; /* false: a change revalidates existing connections (flowRevalidation
					  on) */
	} spec;
	struct security_group_status {
		struct outcome outcome;
	} status;
};

/* An address of a NIC that is in an application group. */
struct application_member {
	char *nic; /* uid */
	char *ip;
};

/* NICs that rules name together, whatever their addresses are. */
struct application_group {
	struct meta meta;
	struct application_group_status {
		struct outcome outcome;
		int64_t number; /* by which hosts know it, unique; given at creation */
		char *network; /* uid, of all its members; NULL while it has none */
		GPtrArray *members; /* of struct application_member */
	} status;
};

/* Where a route leads. */
enum next_hop {
	NEXT_HOP_NETWORK, /* to whoever of the network has the address */
	NEXT_HOP_OUTSIDE,
	NEXT_HOP_NONE, /* nowhere */
	NEXT_HOP_APPLIANCE, /* to an address of the network, whoever has that */
};

struct user_route {
	char *uid;
	char *name;
	char *prefix; /* unique in its table */
	int next_hop; /* enum next_hop */
	char *appliance; /* address of NEXT_HOP_APPLIANCE */
};

/* Routes of the subnets that refer to it, beside those that every subnet has. */
struct route_table {
	struct meta meta;
	struct route_table_spec {
		GPtrArray *routes; /* of struct user_route */
		bool no_propagation; /* of routes that gateways learn, of which there are none here: only kept */
	} spec;
	struct route_table_status {
		struct outcome outcome;
	} status;
};

enum address_sku { ADDRESS_BASIC, ADDRESS_STANDARD };
enum allocation { ALLOCATION_DYNAMIC, ALLOCATION_STATIC };

struct address {
	struct meta meta;
	struct address_spec {
		int sku; /* enum address_sku */
		int allocation; /* enum allocation */
		int64_t idle_timeout_min; /* 0: the default, 4 */
	} spec;
	struct address_status {
		struct outcome outcome;
		char *ip; /* given at creation, whatever the allocation */
		char *nic; /* uid of the NIC that uses it, or NULL */
		char *balancer; /* uid of the load balancer that uses it, or NULL */
	} status;
};

/* A part of a load balancer: its parts have no identity of their own, and are known by name, without case, inside of it. */
struct balancer_ref {
	char *balancer; /* uid */
	char *name;
};

struct nic_config {
	char *name;
	char *network; /* uid */
	char *subnet; /* uid */
	int allocation; /* enum allocation */
	char *ip; /* asked for when static; given when dynamic */
	bool ipv6; /* its address is of the subnet's prefix6 */
	char *address; /* uid of a public address, or NULL */
	bool primary;
	/* Where load balancers send to it; each of struct balancer_ref. */
	GPtrArray *pools; /* backend pools that it is in */
	GPtrArray *nat_rules; /* NAT rules of one target, which it is */
	GPtrArray *nat_pools; /* NAT pools of which it gets a port */
	GPtrArray *application_groups; /* uids of those that it is in */
};

/* Which path carries a NIC's packets, as `status.path`. */
enum nic_path { PATH_NONE, PATH_SYNTHETIC, PATH_EMULATED, PATH_VF };
/* Where its policy is enforced. */
enum enforcement {
	ENFORCEMENT_NONE,
	ENFORCEMENT_SWITCH,
	ENFORCEMENT_HARDWARE,
	ENFORCEMENT_GUEST,
	ENFORCEMENT_CUT, /* the switch; and its guest has a function still, which nothing passes */
};

struct nic {
	struct meta meta;
	struct nic_spec {
		bool accelerated;
		bool ip_forwarding;
		char *security_group; /* uid or NULL */
		GPtrArray *configs; /* of struct nic_config, the first one primary */
	} spec;
	struct nic_status {
		struct outcome outcome;
		char *mac; /* "00:0d:3a:xx:xx:xx", given at creation */
		char *host_address; /* its identity on the host port, 100.64.0.0/10, given at creation */
		char *vm; /* uid of the VM it is bound to, or NULL */
		bool primary; /* of that VM */
		int path; /* enum nic_path, as reported */
		int enforcement; /* enum enforcement, as reported */
		char *reason; /* sentence: why the path is not what spec asks for, or will not work; NULL: all is well */
		char *driver; /* of its VF, as its guest says, or NULL */
		GPtrArray *well; /* of text, sorted: load balancers' probes that it answers, as reported */
	} status;
};

/* What of a packet decides the member of a pool that gets its connection. */
enum distribution {
	DISTRIBUTION_TUPLE, /* addresses, ports and protocol */
	DISTRIBUTION_SOURCE, /* addresses */
	DISTRIBUTION_SOURCE_PROTOCOL, /* addresses and protocol */
};
enum probe_protocol { PROBE_TCP, PROBE_HTTP };

/* Public, by its address; or internal, by a private address of its own. All of a load balancer are of one kind. */
struct balancer_front {
	char *name;
	char *address; /* uid of a public address; NULL: it is internal */
	char *network, *subnet; /* uids; of an internal one, NULL else */
	int allocation; /* enum allocation, of the private address */
	char *ip; /* private: asked for when static; given when dynamic */
};

struct balancer_pool {
	char *name;
};

/* Asks each member whether it is well. */
struct balancer_probe {
	char *name;
	int protocol; /* enum probe_protocol */
	int64_t port;
	char *path; /* PROBE_HTTP: what must be answered with 200 */
	int64_t interval_s;
	int64_t threshold; /* probes in a row that must agree before it is believed */
};

/* Connections to a front end's port, spread over the members of a pool. */
struct balancer_rule {
	char *name, *front, *pool;
	char *probe; /* NULL: every member is well */
	int protocol; /* enum protocol: TCP or UDP */
	int64_t front_port, back_port;
	bool floating; /* members get the packets with the front end's address */
	int distribution; /* enum distribution */
	bool no_outbound; /* does not give the pool's members the front end's address for what they begin */
	int64_t idle_timeout_min; /* 0: the default, 4 */
};

/* Ports of a front end that lead to one member each: a NAT rule or a NAT pool. */
struct balancer_nat {
	char *name, *front;
	char *pool; /* whose members get a port each; NULL: those that refer to it */
	int protocol; /* enum protocol: TCP or UDP */
	int64_t first_port, last_port; /* of the front end */
	int64_t back_port;
	bool floating;
	int64_t idle_timeout_min; /* 0: the default, 4 */
};

struct balancer_member {
	char *pool;
	char *nic, *config; /* uid, name of its IP configuration */
};

/* Who a port of a NAT rule, or of a NAT pool, leads to. */
struct balancer_target {
	char *nat;
	bool of_pool; /* nat is a NAT pool, not a rule */
	char *nic, *config;
	int64_t port;
};

struct balancer {
	struct meta meta;
	struct balancer_spec {
		int sku; /* enum address_sku; its addresses have the same */
		GPtrArray *fronts; /* of struct balancer_front */
		GPtrArray *pools; /* of struct balancer_pool */
		GPtrArray *probes; /* of struct balancer_probe */
		GPtrArray *rules; /* of struct balancer_rule */
		GPtrArray *nat_rules; /* of struct balancer_nat */
		GPtrArray *nat_pools; /* of struct balancer_nat */
	} spec;
	struct balancer_status {
		struct outcome outcome;
		char *mac; /* by which members on other hosts send to it */
		char *host; /* uid of the host that answers for its addresses; NULL: no host was known yet, or all do */
		char *network; /* uid, of all its members and private addresses; NULL while it has none */
		GPtrArray *members; /* of struct balancer_member */
		GPtrArray *targets; /* of struct balancer_target */
	} status;
};

/* Virtual machines that shall not fail together: those that refer to it, see control/kinds/availability_set.c. */
struct availability_set {
	struct meta meta;
	struct availability_set_spec {
		bool aligned; /* for machines with managed disks, which all are here; else it takes none */
		int64_t fault_domains; /* how many it tells apart */
		int64_t update_domains; /* into how many its machines are divided for planned work */
	} spec;
	struct availability_set_status {
		struct outcome outcome;
	} status;
};

/* The public half of a pair of SSH keys; the private one is the user's alone. */
struct key_pair {
	struct meta meta;
	struct key_pair_spec {
		char *key; /* as base/ssh_key.h; NULL: none was given or made yet */
	} spec;
	struct key_pair_status {
		struct outcome outcome;
	} status;
};

/* An image of a user's own, of what the operator has imported: see control/kinds/custom_image.c. */
struct custom_image {
	struct meta meta;
	struct custom_image_spec {
		char *image; /* id in the image store; for good */
	} spec;
	struct custom_image_status {
		struct outcome outcome;
	} status;
};

enum power { POWER_RUNNING, POWER_STOPPED, POWER_DEALLOCATED };
enum power_state {
	POWER_STATE_UNKNOWN,
	POWER_STATE_STARTING,
	POWER_STATE_RUNNING,
	POWER_STATE_STOPPING,
	POWER_STATE_STOPPED,
	POWER_STATE_DEALLOCATING,
	POWER_STATE_DEALLOCATED,
};

/* A public address that each instance of a scale set gets with its configuration. */
struct set_address {
	char *name; /* NULL: it gets none */
	int sku; /* enum address_sku */
	int64_t idle_timeout_min;
};

struct set_config {
	struct nic_config nic; /* as each instance's interface gets it; no addresses are in it */
	struct set_address address;
};

/* An interface that each instance has. */
struct set_nic {
	char *name;
	bool primary;
	bool accelerated;
	bool ip_forwarding;
	char *security_group; /* uid or NULL */
	GPtrArray *configs; /* of struct set_config */
};

/* What instances are made by; what is in it means what it means in a VM. */
struct set_model {
	char *size;
	char *image;
	char *custom_image;
	json_t *image_reference;
	int64_t disk_gib;
	char *name_prefix; /* of computer names */
	char *admin_user;
	GPtrArray *ssh_keys; /* of struct ssh_key */
	GPtrArray *nics; /* of struct set_nic */
};

/* When instances take a changed model. */
enum upgrade {
	UPGRADE_MANUAL, /* when they are told to */
	UPGRADE_AUTOMATIC, /* at once, all together */
	UPGRADE_ROLLING, /* batch after batch, as long as enough of them are healthy */
};

struct set_rolling_policy {
	int64_t batch_percent; /* of the set that is upgraded together; one instance at least */
	int64_t unhealthy_percent; /* of the set, more than which stop it */
	int64_t unhealthy_upgraded_percent; /* likewise of those that were upgraded */
	int64_t pause_s; /* between batches */
};

/* Who goes first when capacity becomes less. */
enum scale_in {
	SCALE_IN_DEFAULT, /* the youngest, too */
	SCALE_IN_NEWEST,
	SCALE_IN_OLDEST,
};

/* Where a rolling upgrade stands. */
enum rolling {
	ROLLING_NONE, /* there was none yet */
	ROLLING_FORWARD,
	ROLLING_COMPLETED,
	ROLLING_CANCELLED,
	ROLLING_FAULTED,
};

struct set_rolling_status {
	char *operation; /* uid of the one that it belongs to */
	int state; /* enum rolling */
	bool cancel; /* somebody asked for its end */
	GPtrArray *batch; /* of text: uids of the instances that are upgraded now */
	int64_t resume_us; /* when the next batch may begin */
	int64_t patience_us; /* until when the batch, which has the model, may be found well; 0: it does not have it */
	int64_t started_us, finished_us;
	char *message; /* sentence: why it stopped */
};

/* Virtual machines that are made alike, see control/kinds/scale_set.c. */
struct scale_set {
	struct meta meta;
	struct scale_set_spec {
		bool flexible; /* its instances are machines of the group; else they are inside of the set */
		int64_t capacity; /* how many instances it shall have */
		int64_t fault_domains; /* how many it tells apart; 1: as many as there are */
		int upgrade; /* enum upgrade */
		struct set_rolling_policy rolling;
		int scale_in; /* enum scale_in */
		struct balancer_ref
			health; /* probe that finds instances well; of no balancer: there is none */
		struct set_model model;
	} spec;
	struct scale_set_status {
		struct outcome outcome;
		int64_t model; /* counts changes of the model, from 1 */
		int64_t instances_made; /* counts; the next one gets this number */
		struct set_rolling_status rolling;
	} status;
};

struct ssh_key {
	char *path; /* as the client named it; the guest decides by user */
	char *key;
};

struct vm_nic_ref {
	char *nic; /* uid */
	bool primary;
};

/* How far a VM is on its way to another host; what each phase waits for is in control/migrate.c. */
enum migration_phase {
	MIGRATION_PREPARING, /* the target was told; the source must not begin */
	MIGRATION_GOING, /* the source was told to; only the hosts know on which of them the machine is */
	MIGRATION_CANCELLING, /* the source was told to stop, unless it is too late */
};

struct vm_migration_status {
	char *uid; /* of its operation; NULL: the VM is not on its way, and the rest says nothing */
	char *target; /* uid of the host; `host` of the VM is the source */
	int phase; /* enum migration_phase */
	int64_t notice_s; /* that its guest gets */
	char *message; /* sentence: why it was cancelled; NULL while it was not */
};

struct vm {
	struct meta meta;
	struct vm_spec_model {
		char *size;
		char *image; /* id in the image store */
		char *custom_image; /* uid of the image of a user's own that this was, which may be gone; NULL: none */
		char *computer_name;
		char *admin_user;
		GPtrArray *ssh_keys; /* of struct ssh_key */
		GPtrArray *nics; /* of struct vm_nic_ref, in the guest's order */
		int64_t disk_gib; /* 0: the image's */
		int power; /* enum power: what the user wants */
		int64_t restarts; /* each increment asks for one restart */
		int64_t reimages; /* each increment asks for a new disk, made from the image */
		json_t *image_reference; /* as the client named the image; the dialect's */
		char *availability_set; /* uid or NULL; for good */
		char *scale_set; /* uid of the one that it is an instance of, or NULL; for good */
		int64_t instance; /* its number in there, from 0 */
		bool boot_diagnostics; /* its users may read its console log */
	} spec;
	struct vm_status {
		struct outcome outcome;
		char *host; /* uid of the host that has its disk, from first start to removal */
		int power; /* enum power_state, as reported */
		char *detail; /* sentence when the machine died */
		int64_t restarts_done;
		int64_t started_us;
		int64_t vcpus; /* that it counts for, by its size */
		int64_t update_domain; /* of its availability set, from 0; given at creation */
		int64_t model; /* of its scale set, that it was last made by */
		char *set_operation; /* uid of its scale set's operation that began its own last one; NULL: a client did */
		char *made_by; /* uid of its scale set's operation that made it; NULL: it is of no set */
		struct vm_migration_status migration;
		struct guest_os guest; /* what its guest has said last, of this disk */
		bool guest_heard; /* it is there, and says so */
		char *lost; /* name of the host that was given up, and its disk with it; NULL: it is not lost */
	} status;
};

struct deployment_resource {
	char *type;
	char *name;
	char *id; /* the dialect's */
	char *operation; /* uid of the running operation, or NULL */
	int state; /* enum provisioning */
	bool removed; /* it is not in the template and goes, or went */
	char *code;
	char *message;
	json_t *details; /* array of {code, message, target, details}: what failed inside of it; NULL: nothing is known */
};

struct deployment {
	struct meta meta;
	struct deployment_spec {
		json_t *template;
		json_t *parameters;
		char *mode;
		char *within; /* uid of the operation of the deployment that it is inside of; NULL: it is by itself */
	} spec;
	struct deployment_status {
		struct outcome outcome;
		char *operation; /* uid of the operation that all below belongs to; an older one's is void */
		GPtrArray *resources; /* of struct deployment_resource */
		json_t *outputs;
		json_t *details; /* array of {code, message} when failed */
		int64_t finished_us;
		int64_t cancelled; /* the generation that somebody asked to end; 0: none */
	} status;
};

enum verb {
	VERB_PUT,
	VERB_DELETE,
	VERB_START,
	VERB_POWER_OFF,
	VERB_DEALLOCATE,
	VERB_RESTART,
	VERB_MIGRATE,
	VERB_UPGRADE, /* instances of a scale set take its model */
	VERB_REMOVE, /* instances of a scale set go */
	VERB_REIMAGE, /* of a VM: its disk is made anew from its image */
	VERB_ROLL, /* instances of a scale set take its model, by a rolling upgrade whatever its policy is */
};
enum operation_state { OPERATION_RUNNING, OPERATION_SUCCEEDED, OPERATION_FAILED };

/* One mutation on its way. Written in the transaction of the spec that it carries. */
struct operation {
	struct meta meta;
	struct operation_spec {
		int verb; /* enum verb */
		int target_kind; /* enum kind */
		char *target; /* uid */
		char *target_name;
		char *principal; /* who asked */
		char *request; /* id of the request that it follows from; NULL: from none that has one */
		char *parent; /* uid of the operation that it is a part of; NULL: of none */
		bool created; /* the target did not exist before */
		GPtrArray *instances; /* of text: uids of those of a scale set that it is about; empty: all */
	} spec;
	struct operation_status {
		int state; /* enum operation_state */
		char *fault; /* word, when failed */
		char *message; /* sentence, when failed */
		json_t *details;
		int64_t finished_us;
	} status;
};

struct host {
	struct meta meta; /* name: the host's name */
	struct host_spec {
		char *fault_domain; /* what hosts of the same name share, a rack or a power line; NULL: it is one of its own */
	} spec;
	struct host_status {
		int64_t vcpus;
		int64_t memory_mib;
		bool kvm;
		char *accel_detail; /* sentence */
		char *provider; /* acceleration: "emulated" or "none" */
		char *version;
		char *vtep; /* held in the pool of VTEPs: where other hosts send to; NULL: it has none */
		char *vtep_fault; /* sentence: why it has not the one that it reports */
		char *tunnel; /* "IP:PORT" where it takes machines that migrate; NULL: nowhere */
		char *source_nat; /* public address that its NICs without one share, while it has VMs; or NULL */
		GPtrArray *physicals; /* of text: names of the physical networks that it is on */
	} status;
};

struct kind_info {
	enum kind kind;
	const char *name; /* "network": word in keys, logs and messages */
	const char *title; /* "virtual network": for sentences */
	const struct shape *shape;
	enum kind parent; /* KIND_NONE: global */
	size_t outcome; /* offset of status.outcome, 0 when the kind has none */
};

const struct kind_info *kind_info(enum kind kind);

/* A new object of the kind with a fresh uid; its name and parent are copied. */
void *model_new(enum kind kind, const char *name, const char *parent);
void model_free(void *object);
void *model_copy(const void *object);
static inline struct meta *model_meta(void *object)
{
	return object;
}
/* status.outcome of the object; NULL when the kind has none. */
struct outcome *model_outcome(void *object);

/* {"v":1,"meta":{...},"spec":{...},"status":{...}} */
char *model_encode(const void *object);
void *model_decode(enum kind kind, const char *text, size_t length, int64_t revision, GError **error);

/* For any kind: _cleanup_(model_free) struct nic *nic = NULL; */
static inline void model_free_at_exit(void *at)
{
	void *object = *(void **)at;

	if (object)
		model_free(object);
}

/* Whether it is inside of another resource than a group, and goes with that. */
static inline bool model_is_inner(const void *object)
{
	return ((const struct meta *)object)->parent_kind != KIND_NONE;
}

extern const struct shape balancer_ref_shape, balancer_front_shape, balancer_pool_shape, balancer_probe_shape,
	balancer_rule_shape, balancer_nat_shape, balancer_member_shape, balancer_target_shape;
extern const char *const distribution_words[], *const probe_words[];
extern const struct shape quota_line_shape, subnet_shape, rule_shape, nic_config_shape, ssh_key_shape,
	vm_nic_ref_shape, deployment_resource_shape, application_member_shape, user_route_shape,
	set_nic_shape, set_config_shape, set_model_shape;
extern const char *const upgrade_words[], *const scale_in_words[], *const rolling_words[],
									   *const next_hop_words[];
extern const char *const migration_phase_words[],
	*const direction_words[],
		*const access_words[],
			*const protocol_words[],
				*const power_words[],
					*const power_state_words[],
						*const path_words[],
							*const enforcement_words[],
								*const verb_words[],
									*const provisioning_words[],
										*const operation_words[],
											*const allocation_words
												[];
