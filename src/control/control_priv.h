/* What the parts of the control plane share. */
#pragma once
#include "base/ip.h"
#include "control/cache.h"
#include "control/change.h"
#include "control/control.h"
#include "control/mirror.h"

struct catalog;
struct reconciler;
struct hosts;
struct consoles;

struct control {
	struct store *store; /* Borrowed */
	struct cache *cache;
	struct mirror *mirror;
	struct catalog *catalog;
	struct reconciler *reconciler;
	struct hosts *hosts;
	struct consoles *consoles;
	struct places *places; /* Owned; NULL: not asked for yet */
	struct ip_prefix public_prefix;
	struct ip_addr public_gateway;
	bool default_outbound;
	double cpu_ratio, ram_ratio;
	int64_t silent_us; /* without a report for so long a host is silent */
	char *subscription; /* uid */
	char *tenant;
	bool preview; /* only store, cache, mirror and places are its own; nothing is waited for */
};

/* The store's newest revision. */
bool control_revision(struct control *control, int64_t *ret, GError **error);

/* ---- catalog.c ---- */
struct catalog *catalog_open(const struct control_config *config, GError **error);
void catalog_close(struct catalog *catalog);
const struct image_entry *catalog_image(struct control *control, const char *image);
/* Some alias of the image says that its guests support acceleration, or none is left to say so. */
bool catalog_supports(struct control *control, const char *image);
/* The image store beside the file of aliases has an image of that id, whether an alias stands for it or not. */
bool catalog_has_stored(struct control *control, const char *image);

/* ---- kinds/: hooks of one kind ---- */

/* What a put is about. */
struct put {
	struct control *control;
	struct change *change;
	const void *old; /* as stored; NULL when it is created. Borrowed */
	void *object; /* to be stored: spec as wanted, status as it was. Borrowed */
	const struct group *group; /* its parent; NULL for kinds without one. Borrowed */
	bool by_set; /* a scale set puts it, as its model says */
};

struct kind_hooks {
	/* Checks object->spec against its rules and what is stored, gives what must be given, stages claims
	 * and references. Nothing is changed when it fails. */
	bool (*prepare)(struct put *put, GError **error);
	/* Checks that it may go (FAULT_IN_USE) and stages the release of what it holds. Objects with hosts to
	 * wait for are released when those are done, by `finish`. */
	bool (*release)(struct control *control, struct change *change, void *object, GError **error);
	/* A put of it reaches hosts: its operation waits until they have applied it. */
	bool reaches_hosts;
	/* Its delete is driven by a reconciler (kinds/vm.c, kinds/group.c); `release` only checks. */
	bool delete_later;
	/* It is in no location. */
	bool nowhere;
};

extern const struct kind_hooks group_hooks, network_hooks, security_group_hooks, address_hooks, nic_hooks,
	vm_hooks, deployment_hooks, physical_hooks, availability_set_hooks, scale_set_hooks, balancer_hooks,
	application_group_hooks, route_table_hooks, custom_image_hooks, key_pair_hooks;
const struct kind_hooks *kind_hooks(enum kind kind);

/* kinds/network.c: its subnets have opted out of default outbound access, all of them. */
bool network_has_no_outbound(const struct network *network);
/* kinds/network.c: the address is in a subnet of the network, whoever has it. */
bool network_has_address(const struct network *network, struct ip_addr addr);
/* kinds/network.c: NULL when the network has no such subnet. */
const struct subnet *network_find_subnet(const struct network *network, const char *uid);
/* kinds/vm.c: the host holds the VM's place, or does not any more. */
bool vm_enter_host(
	struct control *control, struct change *change, const char *host, const char *vm, GError **error);
bool vm_leave_host(
	struct control *control, struct change *change, const char *host, const char *vm, GError **error);
/* kinds/vm.c: rules of what is machine, or makes some. */
bool machine_check_user(const struct meta *of, const char *user, const GPtrArray *ssh_keys, GError **error);
/* Spells the size as the catalog does. NULL on failure. */
const struct size *machine_check_size(struct control *control, const struct meta *of, char **size_name,
	const GPtrArray *nics, GError **error);
/* kinds/nic.c: in a put of a NIC as it would be: what it needs for that is there. */
bool nic_check(struct put *put, GError **error);
/* kinds/nic.c: it is in the pools and application groups that the other one is in, and has its NAT rules. */
void nic_config_take_memberships(struct nic_config *config, const struct nic_config *other);
/* kinds/nic.c: the NIC has no path: its VM is off or let it go. */
void nic_clear_path(struct nic *nic);
/* Why its path is not what its spec asks for, where the host says `reported`, or (NULL) that all is well. Owned. */
char *nic_reason(struct control *control, const struct nic *nic, const struct vm *vm, const char *reported);
/* kinds/vm.c: no host has its NICs, nor will one without another command. */
bool vm_is_off(const struct vm *vm);
/* kinds/vm.c: its disk was not lost with its host; else FAULT_NOT_ALLOWED: it can only be deleted. */
bool vm_check_there(const struct vm *vm, GError **error);
/* kinds/vm.c: it holds more of its host than a disk, and is to go on doing so. */
bool vm_needs_size(const struct vm *vm);
/* Its guest has not said that its kernel is too old for the NIC of that name to be accelerated. FAULT_NOT_ALLOWED. */
bool vm_check_kernel(const struct vm *vm, const char *nic, GError **error);
/* Its disk is made anew: what its guest has said is of the old one. */
void vm_reimage(struct vm *vm);
/* NULL when the VM does not name the NIC. */
const struct vm_nic_ref *vm_find_nic(const struct vm *vm, const char *nic);

/* ---- kinds/custom_image.c ---- */

/* What a machine is made from, or machines of a model are. */
struct machine_image {
	const char *id; /* in the image store */
	const char *custom; /* uid of the image of a user's own that named it; NULL: an alias did */
};
/* It may be made from that: the image is there, and in its location. FAULT_INVALID_REFERENCE. */
bool machine_check_image(
	struct put *put, const struct meta *of, const struct machine_image *image, GError **error);
/* The image lets it have the accelerated NIC of that name. FAULT_NOT_ALLOWED. */
bool machine_check_support(struct put *put, const struct meta *of, const struct machine_image *image,
	const char *nic, GError **error);

/* ---- kinds/availability_set.c ---- */

/* In a put of a VM: it joins the set that it names; an existing one is where it was. */
bool availability_join(struct put *put, GError **error);
/* The VM, and all others of its set, are deallocated; else FAULT_NOT_ALLOWED, which names those that are not and begins
 * with `what`: "Accelerated networking of ... cannot be changed". */
bool availability_check_off(struct change *change, const struct vm *vm, const char *what, GError **error);
/* No NIC of the VM's set is accelerated, so that the VM may get that size, which does not support it. */
bool availability_check_plain(
	struct change *change, const struct vm *vm, const struct size *size, GError **error);

/* The others of a VM's set, for the choice of a host; all NULL when it is in none. */
struct availability_mates {
	GHashTable *domains; /* Owned: uid of each host → number of its fault domain */
	GPtrArray *hosts; /* Owned: uid of a host for each VM that has one */
};
bool availability_find_mates(
	struct control *control, const struct vm *vm, struct availability_mates *ret, GError **error);
void availability_mates_clear(struct availability_mates *mates);
CLEANUP_CLEAR_FUNC(struct availability_mates, availability_mates_clear)
/* How many of them are in the fault domain of a host, and on it. */
void availability_count(
	const struct availability_mates *mates, const char *host, unsigned *ret_domain, unsigned *ret_host);

/* ---- kinds/scale_set.c, scale_set_instance.c, scale_set_health.c ---- */

/* In a put of a VM: an instance stays one, and clients leave it alone while its set works on it. */
bool scale_set_prepare_instance(struct put *put, GError **error);
/* FAULT_BUSY while an operation on the VM's scale set, if it has one, is under way. */
bool scale_set_check_idle(struct change *change, const struct vm *vm, GError **error);
/* In a put of an instance's NIC: it is a matter of the set's model. */
bool scale_set_check_nic(struct put *put, const struct vm *vm, GError **error);
/* All instances are deallocated; else FAULT_NOT_ALLOWED, which names those that are not and begins with `what`. */
bool scale_set_check_off(
	struct change *change, const struct scale_set *set, const char *what, GError **error);
/* A VM that is deleted leaves its scale set, if it has one: whoever deletes an instance wants one less. */
bool scale_set_let_go(struct change *change, const struct vm *vm, GError **error);
/* Deletes an instance's NIC, which has no VM any more, and its public addresses. */
bool scale_set_take_nic(struct control *control, struct change *change, struct nic *nic, GError **error);
/* Stages what begins an action on instances of the set. */
bool scale_set_begin(struct control *control, struct scale_set *set, enum verb verb,
	const GPtrArray *instances, GError **error);
/* FAULT_INVALID_REFERENCE: the probe that it names asks no instance. */
bool scale_set_check_health(struct put *put, GError **error);
/* Into the model, unless it has that image. */
void scale_set_take_image(struct scale_set *set, const char *image, json_t *reference);
/* Refers, or no more, to what the model names. */
void scale_set_stage_refs(struct change *change, const struct scale_set *set, bool wanted);

/* One instance more; *revision is the set's as the caller has counted its instances, and what it is then. Does nothing
 * when it is another one. */
bool instance_make(
	struct control *control, const struct operation *operation, int64_t *revision, GError **error);
/* It takes the set's model, whatever it has now. */
bool instance_upgrade(
	struct control *control, const struct operation *operation, const char *vm, GError **error);
/* control.c: START, POWER_OFF, DEALLOCATE, RESTART or DELETE of it. */
bool instance_act(struct control *control, const struct operation *operation, const char *vm, enum verb verb,
	GError **error);

/* ---- kinds/balancer.c, kinds/balancer_fronts.c, kinds/balancer_members.c, balancer_hosts.c ---- */

/* In a put of a NIC, before its addresses are claimed (old NULL: it is new), or when it goes (nic NULL): it leaves the
 * load balancers that its configurations named and joins those that they name, with a port of each NAT pool and of each
 * NAT rule that is for a pool of its. The ports that it has it keeps. FAULT_INVALID_REFERENCE, FAULT_IN_USE,
 * FAULT_POOL_FULL. */
bool balancer_join(struct change *change, const struct nic *old, const struct nic *nic, GError **error);
/* In a put of a load balancer: members go on with what it has now. FAULT_IN_USE: a part that goes is referred to. */
bool balancer_keep_members(struct put *put, GError **error);
/* The part of a list that has the name, the first member of them all; NULL when there is none. */
void *balancer_part(const GPtrArray *parts, const char *name);
/* Those whose host this is go to another one, if there is any. */
bool balancers_leave_host(struct control *control, const char *host, GError **error);
/* Gives it a host to answer for its addresses, once there is one. */
bool balancer_settle(struct change *change, struct balancer *balancer, GError **error);
/* Those whose host is silent go to one that reports, and members of silent hosts are not well. Called every now and then. */
void balancers_leave_silent(struct control *control);
/* In a put of a load balancer: takes the addresses of its front ends, and gives back those that it had and does not want.
 * FAULT_IN_USE, FAULT_UNSUPPORTED: its virtual network is in a VLAN. */
bool balancer_claim_fronts(struct put *put, GError **error);
bool balancer_release_fronts(struct change *change, const struct balancer *balancer, GError **error);
/* Its front ends have private addresses: each host with NICs of its network has them. */
bool balancer_is_internal(const struct balancer *balancer);

/* ---- kinds/application_group.c ---- */

/* In a put of a NIC, once it has its addresses (old NULL: it is new), or when it goes (nic NULL): its configurations leave
 * the application groups that they were in and enter those that they name. FAULT_INVALID_REFERENCE: one is not
 * there, or its members are in another network; FAULT_QUOTA. */
bool application_groups_join(struct control *control, struct change *change, const struct nic *old,
	const struct nic *nic, GError **error);
/* In a put of what is to be a NIC: those that it names are there, and would take it. */
bool application_groups_check(struct change *change, const struct nic *nic, GError **error);
/* All application groups of the rule, which exist, have their members in one network; else FAULT_INVALID_REFERENCE. */
bool application_groups_check_rule(
	struct change *change, const struct security_group *group, const struct rule *rule, GError **error);

/* ---- kinds/route_table.c ---- */

/* FAULT_INVALID when a virtual appliance of the table is in no subnet of the network. */
bool route_table_check_fits(const struct route_table *table, const struct network *network, GError **error);
/* Of a subnet that uses the table (NULL: none): see control_nic_routes(). */
GPtrArray *route_table_effective(const struct network *network, const struct route_table *table);

/* ---- checks.c: small rules that several kinds share ---- */

/* Names as ARM has them: letters, digits, '_', '.', '-'; starts with a letter or digit, ends without '.' or
 * '-'. */
bool check_name(enum kind kind, const char *name, GError **error);
/* How many characters it has at most. */
size_t check_name_max(enum kind kind);
/* FAULT_BUSY while another operation on it is under way that the change cannot join, FAULT_NOT_ALLOWED while it
 * migrates. */
bool check_not_busy(const void *object, GError **error);
/* Canonical location into meta; FAULT_BAD_LOCATION lists those that exist. An existing object's cannot
 * change. */
bool check_location(struct put *put, GError **error);
/* Value of a tag, whose name is compared without case; NULL when there is none of text. Borrowed. */
const char *tag_value(const struct meta *meta, const char *name);
/* The object that a reference names, guarded; FAULT_INVALID_REFERENCE when it does not exist or is going. */
void *check_reference(
	struct change *change, enum kind kind, const char *uid, const struct meta *from, GError **error);

/* ---- ipam.c ---- */

/* Claims `wanted` of the subnet (FAULT_INVALID out of range or reserved, FAULT_EXISTS taken), or the first free
 * address when wanted is NULL (FAULT_POOL_FULL); ipv6: of its prefix6, which it has. Returns the address's text. As in
 * Azure, the first four addresses of a prefix and the last one of IPv4 are reserved. */
char *ipam_claim(struct change *change, const struct subnet *subnet, bool ipv6, const char *wanted,
	const char *holder, GError **error);
/* First free public address. */
char *ipam_claim_public(struct control *control, struct change *change, const char *holder, GError **error);
/* Last free public address: those that users are given begin at the other end. */
char *ipam_claim_shared(struct control *control, struct change *change, const char *holder, GError **error);
/* A MAC of Azure's 00:0d:3a range, a host-port address of 100.64.0.0/10, a VNI of 4096 and up. */
char *ipam_claim_mac(struct change *change, const char *holder, GError **error);
char *ipam_claim_host_address(struct change *change, const char *holder, GError **error);
int64_t ipam_claim_vni(struct change *change, const char *holder, GError **error);
/* The wanted VLAN of a physical network (FAULT_INVALID: it is none of its, FAULT_EXISTS: it is taken), or the first free
 * one when wanted is 0 (FAULT_POOL_FULL). 0 on failure. */
int64_t ipam_claim_vlan(struct change *change, const struct physical *physical, int64_t wanted,
	const char *holder, GError **error);
/* The first free number of application groups; FAULT_QUOTA. 0 on failure. */
int64_t ipam_claim_group_number(struct change *change, const char *holder, GError **error);
/* The address that routes: the second one. */
void ipam_gateway(struct ip_prefix prefix, char text[static IP_TEXT_MAX]);

/* ---- segment.c: where the packets of networks travel ---- */
/* In a put of a network: gives the segment that its tag asks for, else keeps it, or gives a first one. */
bool segment_prepare(struct put *put, GError **error);
/* Takes the network, which the caller stores, to the segment in `words`; see control_set_segment(). */
bool segment_move(struct change *change, struct network *network, const char *words, GError **error);
/* Gives back what a network that goes holds. */
void segment_release(struct change *change, struct network *network);
/* The tag of ours that a NIC may have. FAULT_INVALID. */
bool segment_check_nic(const struct nic *nic, GError **error);
/* Adds what the operator must know of the host's physical networks to the goal's conditions. */
void segment_fill(const struct host *host, struct goal *goal);

/* ---- principals.c ---- */
/* Reads the default subscription, makes it on first use. */
bool principals_open(struct control *control, GError **error);

/* ---- operations.c ---- */
/* An operation on the object has begun. */
void outcome_begin(void *object, enum provisioning state);
struct operation *operation_new(
	enum verb verb, const void *target, const struct control_request *request, bool created);
/* It is over, and this is why. */
void operation_fail(struct operation *operation, const GError *failure);
/* Stages the end of an operation and its target's outcome. failure NULL: it succeeded. */
void operation_finish(struct change *change, struct operation *operation, const GError *failure);
/* Whether an operation is under way on the object. */
bool operation_running(const struct outcome *outcome);

/* ---- reconcile.c: drives running operations ---- */
#define HOSTS_US (120 * G_USEC_PER_SEC) /* how long an operation waits for hosts */
struct reconciler *reconciler_open(struct control *control, GError **error);
void reconciler_close(struct reconciler *reconciler);
/* A dialect drives operations of this kind itself. */
bool reconciler_has(struct control *control, enum kind kind);
/* Something that reconcilers look at changed outside of the store (a report came). */
void reconciler_kick(struct control *control);
/* Tells the listener of an operation that was over when it began. */
void reconciler_tell_end(struct control *control, const struct operation *operation);

/* One step of the operation on a kind: 1 done, 0 waiting, -1 failed with *error. */
int vm_reconcile(struct control *control, struct operation *operation, int64_t revision, GError **error);
int group_reconcile(struct control *control, struct operation *operation, int64_t revision, GError **error);
/* kinds/scale_set_reconcile.c */
int scale_set_reconcile(struct control *control, const struct operation *operation, GError **error);

/* ---- hosts.c: goal states and reports ---- */
struct hosts *hosts_open(struct control *control, GError **error);
void hosts_close(struct hosts *hosts);
/* The store changed: goals may have. */
void hosts_touch(struct control *control);
/* All hosts that have VMs have applied everything up to the operation's revision, and it to all NICs that it is about; else
 * *ret_behind says which has not, and why (Owned by the caller). A host whose agent is silent has not applied what it uses:
 * its packets flow on under the old policy. */
bool hosts_applied(struct control *control, const struct operation *operation, char **ret_behind);
/* Some host may still report for the first time since the controller's start: no placement has failed yet. */
bool hosts_awaited(struct control *control);
/* What the host last said of a VM, if it said it about a goal that has the VM as it was read, and as it is at the revision;
 * NULL else. Borrowed. */
const struct report_vm *hosts_vm_report(
	struct control *control, const char *host, const struct vm *vm, int64_t revision);
/* ---- exposure.c ---- */
/* Why the operation is not in force on that host although it has applied it; NULL: it is. Owned by the caller. */
char *exposure_behind(
	struct control *control, const struct report *report, const struct operation *operation);
/* A host with that goal, which does not report, may have to do with packets otherwise than before the operation; false: its
 * own NICs and load balancers have nothing to do with what that is about. */
bool exposure_concerns(struct control *control, const struct goal *goal, const struct operation *operation);

/* ---- consoles.c ---- */
struct consoles *consoles_open(void);
void consoles_close(struct consoles *consoles);
/* There is a wish that the host has not been told of. */
bool consoles_has_news(const struct control *control, const char *host_name);

/* The host is none any more: whoever waits for its goal is answered. */
void hosts_forget(struct control *control, const char *host);
/* The NICs of a VM that is deallocated are in no goal any more, so nobody would report their change. */
void hosts_clear_paths(struct change *change, const struct vm *vm);

/* Live figures for the scheduler. */
struct host_live {
	bool alive;
	bool drained; /* by its operator */
	int64_t vcpus, memory_mib, available_mib;
	const struct report *report; /* its last; NULL: none yet. Borrowed */
};
void hosts_live(struct control *control, const char *host, struct host_live *ret);
/* It has not reported for a while, or not since the controller's start, which is a while ago. */
bool hosts_is_silent(struct control *control, const char *host);
/* Some host is; some host reports. */
bool hosts_any_silent(struct control *control);
bool hosts_any_alive(struct control *control);
/* The store's newest revision is the one that is given. */
struct goal *goal_build(struct control *control, const struct host *host, int64_t revision, GError **error);
/* One with the NIC, its network and its groups, and no more. */
struct goal *goal_of_nic(struct control *control, const struct nic *nic, GError **error);

/* ---- places.c: which host has which address of which network ---- */
struct place {
	char *ip;
	char *mac;
	char *host; /* uid */
};
struct places {
	int64_t revision; /* of the store that this holds for */
	GHashTable *hosts; /* Owned: uid → struct host; all */
	GHashTable *by_network; /* Owned: uid → GPtrArray of struct place; empty where there is one host */
};
/* The store's newest revision is the one that is given. Borrowed until the next call. */
const struct places *places_at(struct control *control, int64_t revision, GError **error);
void places_free(struct places *places);
CLEANUP_FUNC(struct places *, places_free)

/* ---- overlay.c: how a host reaches those on others ---- */
struct overlay;
/* As one host sees it. All Borrowed until overlay_free. */
struct overlay *overlay_new(const struct places *places, const struct host *host);
void overlay_free(struct overlay *overlay);
CLEANUP_FUNC(struct overlay *, overlay_free)
/* Fills network->mappings, unless it is in a VLAN. */
void overlay_map(struct overlay *overlay, struct goal_network *network);
/* What stands between the networks that were mapped and being whole. Owned by the caller; NULL: nothing. */
GPtrArray *overlay_conditions(const struct overlay *overlay);
/* NULL is fine. FAULT_INVALID. */
bool overlay_check_vtep(const char *vtep, GError **error);
/* Takes the VTEP that a host reports (NULL: none) into its status, which the caller stores. */
bool overlay_note_vtep(struct change *change, struct host *host, const char *vtep, GError **error);

/* ---- outbound.c: the public address that a host's NICs without one share ---- */
/* Takes it into the host's status, which the caller stores, or gives it back. wanted: the host has VMs. That all
 * addresses are in use is no failure: the host is without, and gets one when it is asked for it again. */
bool outbound_settle(
	struct control *control, struct change *change, struct host *host, bool wanted, GError **error);
/* Adds what the operator must know to the goal's conditions. */
void outbound_fill(const struct control *control, const struct host *host, struct goal *goal);

/* ---- balancing.c: what hosts are told of load balancers ---- */

/* refs, of struct balancer_ref, name that part of it. */
bool balancer_is_among(const GPtrArray *refs, const struct balancer *balancer, const char *name);
/* The probe that it refers to finds the NIC well. */
bool balancing_finds_well(const struct nic *nic, const struct balancer_ref *probe);
/* Those whose addresses the host has. */
bool balancing_fill(struct control *control, const struct host *host, struct goal *goal, GError **error);
/* What a NIC of that host has to do with the load balancer that it is behind, if it is. */
void balancing_fill_nic(struct control *control, const struct host *host, const struct places *places,
	const struct nic *nic, struct goal_nic *ret);
/* Takes the probes that the NIC's host has found answered; whether that is news. */
bool balancing_note(struct nic *nic, const GPtrArray *reported);

/* ---- scheduler.c ---- */

/* uid of a host that passes all filters, only the one that has the VM's disk if one has; FAULT_ALLOCATION lists, per host,
 * the filter that refused and why, and says what to do of a disk whose host is full. */
char *schedule(struct control *control, const struct vm *vm, const struct size *size, GError **error);
/* The same for a VM that runs, of hosts that it is not on and that take machines from others; `wanted`: uid of the only one that
 * will do, or NULL. */
char *schedule_target(struct control *control, const struct vm *vm, const struct size *size,
	const char *wanted, GError **error);

/* ---- migrate.c: moving a VM to another host ---- */

/* One step of the operation that does it, as above. It ends the operation itself, in the transaction of what ends it. */
int migrate_reconcile(
	struct control *control, const struct operation *operation, const struct vm *vm, GError **error);
/* FAULT_NOT_ALLOWED while the VM is on its way. */
bool migrate_check_still(const struct vm *vm, GError **error);
/* The host, which has a place for the VM, is given up: the VM's migration, if it is on one, ends. FAULT_NOT_ALLOWED while it
 * may be on, or go on at, the other host. */
bool migrate_lose(
	struct control *control, struct change *change, struct vm *vm, const char *host, GError **error);
/* What the goal of a host says of it. */
bool migrate_fill(struct control *control, const struct host *host, const struct vm *vm,
	struct goal_migration *ret, GError **error);
