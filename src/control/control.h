/* The control plane: what changes resources, and what drives the changes to their end.
 *
 * How it works. A dialect fills a fresh struct with what the client wants and calls control_put() or another
 * verb. The kind's hooks (kinds/ *.c) validate it against what is stored, give what must be given (addresses,
 * MACs, VNIs), and stage references; spec, operation, indexes and references are written in one transaction,
 * retried when another writer was faster. Nothing else happens in the call. Reconcilers then drive the
 * operation in idempotent steps: each looks at the store and the hosts' reports, does one transaction, and is
 * run again when something it reads changes, so a crash between any two steps resumes by itself.
 *
 * Threads: everything runs in the main context of the thread that opened it; no call blocks longer than the
 * store.
 */
#pragma once
#include "base/cleanup.h"
#include "model/goal.h"
#include "model/model.h"
#include "store/store.h"

struct control;

/* A size that VMs can have, from the catalog file. */
struct size {
	char *name; /* "Standard_DS4_v2" */
	char *family; /* "standardDSv2Family" */
	int64_t vcpus;
	int64_t memory_mib;
	int64_t max_nics;
	int64_t bandwidth_mbps; /* that a NIC may send; 0: as much as it can */
	int64_t os_disk_mib, resource_disk_mib, max_data_disks;
	bool hyperthreaded;
	bool accelerated; /* capability AcceleratedNetworkingEnabled */
	bool accelerated_ignored; /* NC and NV: the flag is accepted and has no effect */
	bool rdma; /* the 'r' sizes of Azure have InfiniBand; here it is only said */
};

/* An accelerated NIC may be in a VM of the size, whether that speeds it up or not. */
static inline bool size_takes_acceleration(const struct size *size)
{
	return size->accelerated || size->accelerated_ignored;
}

/* An image that clients may name: by alias, or by publisher, offer and sku. */
struct image_entry {
	char *alias;
	char *publisher, *offer, *sku, *version; /* version: as shown, e.g. "18.04.202611220" */
	char *architecture;
	char *image; /* id in the image store */
	bool accelerated; /* its guests support acceleration; without it no accelerated NIC may be in their VMs */
	char *description; /* what really stands behind it */
};

struct control_config {
	struct store *store; /* Borrowed */
	const char *sizes_path; /* catalog of sizes (dist/catalog/sizes.json) */
	const char *aliases_path; /* image aliases, read again when it changes; may be missing */
	GPtrArray *locations; /* of text */
	const char *public_prefix; /* pool of public addresses, "203.0.113.0/24" */
	const char *public_gateway; /* address in it that is never given out */
	bool no_default_outbound; /* NICs without a public address do not reach the outside */
	double cpu_allocation_ratio; /* vCPUs per processor, for the scheduler */
	double ram_allocation_ratio;
	unsigned host_timeout_s; /* without a report for so long a host is taken for down; 0: 30 */
};

struct control *control_open(const struct control_config *config, GError **error);
void control_close(struct control *control);
CLEANUP_FUNC(struct control *, control_close)

/* The same control plane, whose changes go nowhere: what is put or deleted is seen by what is asked of it from then on, and
 * gone with it. Its puts check and give what real ones do, and are over at once, as no host hears of them; what
 * reconcilers would do does not happen. Nothing else may change before it is closed. */
struct control *control_preview_open(struct control *control, GError **error);
void control_preview_close(struct control *preview);
CLEANUP_FUNC(struct control *, control_preview_close)

/* ---- catalog ---- */
const GPtrArray *control_locations(struct control *control); /* of text */
/* Canonical spelling ("Central US" and "centralus" are one); NULL when unknown. */
const char *control_location(struct control *control, const char *name);
const GPtrArray *control_sizes(struct control *control); /* of struct size */
const struct size *control_size(
	struct control *control, const char *name); /* without case; NULL when unknown */
const GPtrArray *control_images(struct control *control); /* of struct image_entry */

/* ---- reading. Objects are Owned by the caller (model_free). ---- */

/* FAULT_NOT_FOUND when there is none. */
void *control_get(struct control *control, enum kind kind, const char *uid, GError **error);
/* By name without case under a parent (uid; "" for kinds without one). NULL without error when there is none.
 */
void *control_find(
	struct control *control, enum kind kind, const char *parent, const char *name, GError **error);
/* All of a kind under a parent (NULL: all there are), by name. GPtrArray of objects, released with it. */
GPtrArray *control_list(struct control *control, enum kind kind, const char *parent, GError **error);

/* A part of a list, and where it goes on. */
struct control_page {
	GPtrArray *objects; /* Owned; as of control_list() */
	char *next; /* Owned: the next part's `after`; NULL: the list is at its end */
};
void control_page_clear(struct control_page *page);
CLEANUP_CLEAR_FUNC(struct control_page, control_page_clear)
/* `limit` of a kind at most, under a parent by name, or (parent NULL) of all by uid, behind `after` (NULL: from the
 * start). What is there all the while is in one part of the list, whatever comes and goes between two. Reads no more
 * than it returns. */
bool control_list_page(struct control *control, enum kind kind, const char *parent, const char *after,
	guint limit, struct control_page *ret, GError **error);

/* How many of a kind there are under a parent; 0 when they cannot be read. */
guint control_count(struct control *control, enum kind kind, const char *parent);

/* Objects of a kind that refer to the one of that uid (NICs to their network): `limit` of them at most (0: all), by uid;
 * as control_list(). */
GPtrArray *control_users(
	struct control *control, enum kind kind, const char *uid, guint limit, GError **error);
/* How many those are; 0 when they cannot be read. */
guint control_count_users(struct control *control, enum kind kind, const char *uid);

/* The resource group that it is in, however deep. Owned by the caller; NULL when there is none (any more). */
struct group *control_group_of(struct control *control, const struct meta *meta);

/* ---- changing ---- */

/* What came of a change. `object` is as stored after it; `operation` may already be over. */
struct control_result {
	bool created;
	void *object; /* Owned */
	struct operation *operation; /* Owned */
};
void control_result_clear(struct control_result *result);
CLEANUP_CLEAR_FUNC(struct control_result, control_result_clear)

struct control_request {
	const char *principal; /* who asks, for the operation's record */
	const char *id; /* of the request, for the records of all that follows from it; NULL: it has none */
	const char *parent; /* uid of the operation that it follows from; NULL: from none */
	int64_t if_revision; /* > 0: the object's revision must be this (If-Match), else FAULT_PRECONDITION */
	bool if_none; /* the object must not exist (If-None-Match: *) */
};

/* For what follows from an operation: by whom and for which request that is, and that it is a part of it. Borrowed from the
 * operation. */
struct control_request control_request_after(const struct operation *operation);

/* Bytes of STORE_TXN_BYTES_MAX that are left free: by a store for the end of the object's operation, which writes both in one
 * transaction, and by a put for that and for what its dialect adds to the object until then. */
#define CONTROL_STORE_ROOM (4 * 1024)
#define CONTROL_PUT_ROOM   (16 * 1024)

/* Creates or replaces the object that has the name and parent of `wanted` (Borrowed): meta.location, tags,
 * extra and spec are taken from it, the rest is kept or given. FAULT_BUSY while an operation on it is under
 * way that the change cannot join, FAULT_INVALID for what is too large. All faults leave everything as it was. */
bool control_put(struct control *control, const void *wanted, const struct control_request *request,
	struct control_result *ret, GError **error);

/* Puts on record that control_put() refused `wanted`: an operation that has failed, for dialects whose clients learn
 * of refusals from operations only. details (Borrowed, may be NULL): as in its status. Nothing else changes. */
bool control_refuse(struct control *control, const void *wanted, const struct control_request *request,
	const GError *failure, json_t *details, struct operation **ret, GError **error);

/* Marks the object deleted and starts the operation that removes it. FAULT_NOT_FOUND, FAULT_IN_USE. A group
 * is deleted with all that is in it. */
bool control_delete(struct control *control, enum kind kind, const char *uid,
	const struct control_request *request, struct control_result *ret, GError **error);

/* VERB_START, VERB_POWER_OFF, VERB_DEALLOCATE, VERB_RESTART, VERB_REIMAGE of a VM. */
bool control_vm_action(struct control *control, const char *uid, enum verb verb,
	const struct control_request *request, struct control_result *ret, GError **error);

/* ---- migration: a VM that runs, or is deallocated, moves to another host ---- */

struct control_migration {
	const char *host; /* name; NULL: whichever can hold it */
	int64_t notice_s; /* that its guest gets, unless it acknowledges the event earlier */
};

/* Begins the operation that moves it. FAULT_NOT_ALLOWED while the VM neither runs nor is deallocated, or is on its way already,
 * FAULT_ALLOCATION with what speaks against each host. */
bool control_migrate(struct control *control, const char *uid, const struct control_migration *wish,
	const struct control_request *request, struct control_result *ret, GError **error);
/* Asks for its end: the operation ends with FAULT_CANCELLED and the VM where it was, or with success where it was too
 * late. FAULT_NOT_ALLOWED when the VM is not on its way. */
bool control_migrate_cancel(
	struct control *control, const char *uid, const struct control_request *request, GError **error);

/* Of a VM that is on its way, for people. Borrowed until the next report of a host. */
struct control_progress {
	const char *phase; /* word */
	int64_t percent; /* of memory and disk */
	const char *message; /* sentence: what it waits for; NULL: nothing is known */
};
void control_migration_progress(struct control *control, const struct vm *vm, struct control_progress *ret);

/* ---- segments: where the packets of networks travel ---- */

/* Takes a network to the segment in `words`: "vxlan", "vlan:PHYSICAL" (a VLAN of that physical network, one that is
 * free) or "vlan:PHYSICAL:ID". FAULT_NOT_ALLOWED while virtual machines with NICs in it are not deallocated, naming
 * them; FAULT_INVALID_REFERENCE, FAULT_EXISTS, FAULT_POOL_FULL. No host is affected, so nothing is waited for. */
bool control_set_segment(struct control *control, const char *network, const char *words,
	const struct control_request *request, struct control_result *ret, GError **error);
/* The network's segment in those words, with its id. Owned by the caller; NULL with *error. */
char *control_segment(struct control *control, const struct network *network, GError **error);

/* The host has said that it is on the physical network of that name, which is compared without case. */
bool control_host_is_on(const struct host *host, const char *physical);

/* Whether the guest of a NIC may apply its rules itself, where nothing else can. */
enum guest {
	GUEST_NOT_ASKED, /* its tag sluice-enforcement does not say 'guest' */
	GUEST_NOT_ALLOWED, /* it does, but its network is on no physical network where the operator lets it */
	GUEST_ALLOWED, /* both want it */
};
bool control_guest(struct control *control, const struct nic *nic, enum guest *ret, GError **error);

/* ---- what a NIC is subject to ---- */

/* A goal that has of a host's no more than the NIC, its network and its groups: what policy needs (model/goal_policy.h).
 * FAULT_NOT_ALLOWED when its virtual machine does not run, so that nothing is in force. Owned by the caller. */
struct goal *control_nic_policy(struct control *control, const struct nic *nic, GError **error);

/* What is done with the packets of a NIC to a prefix. */
struct control_route {
	struct user_route *route; /* Owned; without a uid and a name when it is a default one */
	bool is_default; /* every subnet has it */
	bool is_active; /* else one of a user is in its place */
};
/* Of struct control_route, defaults first; as control_nic_policy(). */
GPtrArray *control_nic_routes(struct control *control, const struct nic *nic, GError **error);

/* ---- quotas: how much the subscription may have ---- */

enum quota_item {
	QUOTA_CORES, /* vCPUs of machines, running or not */
	QUOTA_MACHINES,
	QUOTA_AVAILABILITY_SETS,
	QUOTA_SCALE_SETS,
	QUOTA_FUNCTIONS, /* accelerated NICs: each may have a virtual function */
	QUOTA_INTERFACES,
	QUOTA_ADDRESSES,
	QUOTA_NETWORKS,
	QUOTA_SECURITY_GROUPS,
	QUOTA_BALANCERS,
	QUOTA_APPLICATION_GROUPS,
	QUOTA_ROUTE_TABLES,
	QUOTA_IMAGES, /* of users' own */
	QUOTA_KEYS, /* of SSH */
	QUOTA_COUNT
};

#define CONTROL_UNLIMITED (-1)

struct control_quota {
	const char *name; /* "public-addresses" */
	const char *title; /* "Public IP Addresses" */
	int64_t limit; /* CONTROL_UNLIMITED: none */
	int64_t used;
};

/* The item of that name; -1: there is none. */
int control_quota_find(const char *name);
bool control_quotas(struct control *control, struct control_quota ret[QUOTA_COUNT], GError **error);
/* Takes the limits alone. What is there already stays, also where it is more. */
bool control_set_quotas(
	struct control *control, const struct control_quota limits[QUOTA_COUNT], GError **error);

/* ---- availability sets ---- */

/* VMs of a set, by name; as control_list(). */
GPtrArray *control_set_machines(struct control *control, const struct availability_set *set, GError **error);
/* A NIC of the VM, or of another of its set, is accelerated: its size must take that. */
bool control_is_accelerated(struct control *control, const struct vm *vm);
/* Number of the fault domain that the VM is in, as its set counts them; false: it is in no set, or on no host. */
bool control_fault_domain(struct control *control, const struct vm *vm, int64_t *ret);

/* The host of that name shares that fault domain with others of the same; NULL: with none.
 * Machines stay where they are. FAULT_NOT_FOUND, FAULT_INVALID. */
bool control_set_fault_domain(
	struct control *control, const char *host_name, const char *fault_domain, GError **error);

/* ---- scale sets ---- */

/* VERB_START, POWER_OFF, DEALLOCATE, RESTART, REIMAGE, UPGRADE (takes the set's model) or REMOVE of instances of a set, by
 * their uids (NULL or empty: all). FAULT_BUSY while an operation on the set is under way. */
bool control_scale_set_act(struct control *control, const char *uid, enum verb verb,
	const GPtrArray *instances, const struct control_request *request, struct control_result *ret,
	GError **error);
/* Begins a rolling upgrade of all instances that lack the model, which gets this image before. */
bool control_scale_set_roll(struct control *control, const char *uid, const char *image, json_t *reference,
	const struct control_request *request, struct control_result *ret, GError **error);
/* Its VMs, by their numbers; as control_list(). */
GPtrArray *control_scale_set_instances(struct control *control, const struct scale_set *set, GError **error);
/* A VM as the set's model says; without a name and interfaces. Owned by the caller. */
struct vm *control_scale_set_machine(const struct scale_set *set);
bool control_instance_is_current(const struct scale_set *set, const struct vm *vm);
/* The set's operation has given it the model; one that it has made has not been upgraded. */
bool control_instance_was_upgraded(const struct vm *vm, const char *operation);
/* It is as it was last asked to be and, while it shall run, found well by the set's probe, if there is one. */
bool control_instance_is_healthy(struct control *control, const struct scale_set *set, const struct vm *vm);
/* A VM, NIC or address is an instance, or of one: it comes and goes with that. */
bool control_is_of_instance(struct control *control, const void *object);
/* Asks for the end of the rolling upgrade, behind what hosts that report do of its batch. FAULT_NOT_ALLOWED when none is under way. */
bool control_scale_set_cancel(struct control *control, const char *uid, GError **error);

/* ---- operations ---- */

/* Calls `done` once, from the main loop, when the operation is over (at once if it is) or after timeout_ms;
 * the operation passed is as stored then (Borrowed). Returns an id for control_wait_cancel. */
typedef void (*control_wait_fn)(const struct operation *operation, void *data);
guint control_wait(struct control *control, const char *operation_uid, unsigned timeout_ms,
	control_wait_fn done, void *data);
void control_wait_cancel(struct control *control, guint id);

/* Told of each operation that ran and ended, from the main loop: once, or not at all when this process ends before. fn
 * NULL: nobody is. */
typedef void (*control_end_fn)(const struct operation *operation, void *data);
void control_set_listener(struct control *control, control_end_fn fn, void *data);

/* Dialects that have operations of their own (deployments) run them here: the hook is called for each running
 * operation on an object of the kind, again and again until it ends, as reconcilers are: 1 done, 0 waiting
 * (called again when anything changes), -1 failed with *error. */
typedef int (*control_reconcile_fn)(
	struct control *control, struct operation *operation, void *data, GError **error);
void control_set_reconciler(struct control *control, enum kind kind, control_reconcile_fn fn, void *data);
/* Stores a changed object as it is (status written by such a reconciler); FAULT_CONFLICT when someone else
 * was faster, FAULT_INVALID when it is too large. */
bool control_store(struct control *control, void *object, GError **error);

/* Forgets deployments, by their uids, but for those that run (again). What they deployed stays. */
bool control_forget_deployments(struct control *control, const GPtrArray *uids, GError **error);

/* ---- hosts ---- */

/* Goal state of a host by its name; creates the host's record at its first call. Owned by the caller. */
struct goal *control_goal(struct control *control, const char *host_name, GError **error);
/* Calls back once when the host's goal is newer than `after`, or with NULL after timeout_ms or when a console is wanted
 * of it. */
typedef void (*control_goal_fn)(const struct goal *goal, void *data);
guint control_goal_wait(struct control *control, const char *host_name, int64_t after, unsigned timeout_ms,
	control_goal_fn fn, void *data);
void control_goal_wait_cancel(struct control *control, guint id);
bool control_report(
	struct control *control, const char *host_name, const struct report *report, GError **error);
/* Takes a host that does not report out of the cloud; FAULT_NOT_ALLOWED while it does. lost: machines that it has are lost
 * with it: those that are being deleted have gone, of others only their record is left, to be deleted; *ret_lost has the
 * names of these, "GROUP/NAME" (Owned by the caller). Else FAULT_NOT_ALLOWED when it has any. FAULT_NOT_FOUND: there is none;
 * certificates that were made for one of that name are refused from then on, as those of a host that is removed. It is done
 * machine by machine: what fails is repeated. */
bool control_remove_host(
	struct control *control, const char *host_name, bool lost, GPtrArray **ret_lost, GError **error);
/* A host of that name, whose certificate was made then (seconds since 1970), may take part; else FAULT_DENIED: one of the
 * name was removed since, or in the same second. */
bool control_admit_host(
	struct control *control, const char *host_name, int64_t certificate_made_s, GError **error);
/* The functions that a host reported last, for `sluice vf list`. Borrowed; NULL when it never did. */
const struct report *control_last_report(struct control *control, const char *host_name);
/* It has not reported for the controller's time-out, or not since the controller's start, which is that long ago. */
bool control_host_is_silent(struct control *control, const struct host *host);

/* ---- consoles of machines, whose logs their hosts have ---- */

/* Calls back once with the end of what the VM has written to its console, or with NULL and why there is nothing after
 * timeout_ms at most. Returns an id for control_console_cancel; 0 with FAULT_NOT_FOUND (it never had a host) or
 * FAULT_UNAVAILABLE (its host is silent), and no call back. */
typedef void (*control_console_fn)(GBytes *log, const GError *error, void *data);
guint control_console(struct control *control, const struct vm *vm, unsigned timeout_ms,
	control_console_fn fn, void *data, GError **error);
void control_console_cancel(struct control *control, guint id);
/* uids of the machines whose logs are wanted of the host, separated by commas; NULL: none. Owned. Each is named once. */
char *control_consoles_wanted(struct control *control, const char *host_name);
/* The host brings one. FAULT_NOT_FOUND when nobody waits for it. */
bool control_console_bring(
	struct control *control, const char *host_name, const char *vm, GBytes *log, GError **error);

/* ---- principals ---- */

/* Makes a principal with a secret (made when NULL) and returns the secret's text. FAULT_EXISTS. */
char *control_principal_add(
	struct control *control, const char *name, const char *secret, bool user, GError **error);
/* FAULT_UNAUTHENTICATED when name or secret is wrong; takes the same time either way. */
bool control_principal_check(struct control *control, const char *name, const char *secret, GError **error);
/* uid of the one default subscription and its tenant, made on first use. Borrowed. */
const char *control_subscription(struct control *control);
const char *control_tenant(struct control *control);
