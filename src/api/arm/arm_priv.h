/* What the files of the ARM dialect share. */
#pragma once
#include "api/arm/arm.h"
#include "api/arm/cursor.h"
#include "api/arm/error.h"
#include "api/arm/extra.h"
#include "api/arm/id.h"
#include "api/arm/put.h"
#include "api/page.h"

struct arm {
	struct control *control; /* Borrowed */
	const struct auth *auth; /* Borrowed */
	char *url; /* without a '/' at its end */
	struct audit *audit; /* Borrowed; NULL: none is kept */
	GHashTable *pairs; /* Ref: uids of the SSH public keys whose pair is being made; key_pairs.c */
};

/* ---- record.c: the audit log's view of the dialect ---- */
/* Of an answer; reading is no change. */
void arm_record_answer(struct call *call, unsigned status, void *arm);
/* Of an operation that ended. */
void arm_record_end(const struct operation *operation, void *arm);
/* Of all that ended without a record, as the program did too. */
void arm_record_missed(const struct arm *arm);
/* Of what a deployment does: the operation that it began on the resource, which may be over, or (NULL) why none. */
void arm_record_part(struct arm *arm, const struct operation *deployment, const char *verb, const char *id,
	const struct operation *operation, const char *code);
/* Of a deployment that went because that operation's came. */
void arm_record_forgotten(struct arm *arm, const struct operation *deployment, const char *id);

/* ---- resource types: one file for each noun ---- */

enum encode_flags {
	ENCODE_INSTANCE_VIEW = 1 << 0,
	ENCODE_WANTED =
		1
		<< 1, /* only what a PUT can say: no states, no addresses that were given, nobody who uses it */
};

struct arm_type;

/* A list inside of a resource whose elements are resources of their own to clients. */
struct arm_child {
	const char *name; /* "subnets" */
	const struct shape *shape; /* of an element */
	size_t element_name; /* offset of its name */
	GPtrArray **(*list)(void *object);
	/* One element of `parent`. */
	void (*decode)(struct arm *arm, const struct cursor *body, const void *parent, void *element);
};

/* Something that is only read, behind the resource's id. */
struct arm_view {
	const char *name; /* "instanceView" */
	json_t *(*encode)(struct arm *arm, const void *object);
};

/* The same, asked for by a POST: what is worked out, and may be refused. */
struct arm_report {
	const char *name; /* "effectiveRouteTable" */
	json_t *(*encode)(struct arm *arm, const void *object, GError **error);
};

struct arm_action {
	const char *name; /* "deallocate" */
	enum verb verb;
};

struct arm_type {
	const char *namespace;
	const char *name;
	enum kind kind;
	const char *const
		*owned; /* members of "properties" that extra does not keep: modelled or the server's */
	const struct refusal *refused;
	/* Fills spec from the body; `old` is what is stored, or NULL. Mistakes go to the cursor. */
	void (*decode)(struct arm *arm, const struct cursor *body, const void *old, void *wanted);
	/* Adds to the answer, which has what all resources have, and to its "properties". */
	void (*encode)(
		struct arm *arm, const void *object, unsigned flags, json_t *answer, json_t *properties);
	/* All of these may be NULL and end with a NULL name. */
	const struct arm_child *children;
	const struct arm_view *views;
	const struct arm_report *reports;
	const struct arm_action *actions;
	/* A PUT without properties says what it says: clients scale so. */
	bool keeps;
};

extern const struct arm_type arm_groups, arm_networks, arm_security_groups, arm_addresses, arm_nics, arm_vms,
	arm_availability_sets, arm_scale_sets, arm_balancers, arm_application_groups, arm_route_tables,
	arm_custom_images, arm_key_pairs;

/* ---- types.c ---- */
extern const struct arm_type *const arm_types[]; /* ends with NULL; without the groups */
/* ARM_INVALID_TYPE says what there is instead. */
const struct arm_type *arm_type_find(const char *namespace, const char *name, GError **error);
/* ARM_INVALID_TYPE when the type has no such children that can be put. */
const struct arm_child *arm_child_find(const struct arm_type *type, const char *name, GError **error);
const struct arm_type *arm_type_of(enum kind kind);
/* What objects of the kind inside of a scale set are called. */
const char *arm_inner_type(enum kind kind);

/* ---- vms.c, nics.c, addresses.c: what machines have, and models of scale sets ---- */

/* Storage and OS profile; old may be NULL. */
void arm_decode_machine(struct arm *arm, const struct cursor *at, const struct vm *old, struct vm *vm);
void arm_encode_machine(const struct vm *vm, json_t *at);
/* Mistakes in the version of a public address go to the cursor. */
void arm_check_public_version(const struct cursor *properties);
/* "Dynamic"; "IPv4": of addresses, by enum allocation and by whether they are of IPv6. */
extern const char *const arm_allocations[], *const arm_versions[];
/* {"subnet": {"id"}} */
void arm_put_subnet(struct arm *arm, json_t *properties, const char *network_uid, const char *subnet_uid);

/* ---- effective.c: of a NIC whose machine runs ---- */
json_t *arm_effective_groups(struct arm *arm, const void *object, GError **error);
json_t *arm_effective_routes(struct arm *arm, const void *object, GError **error);

/* ---- route_tables.c ---- */
extern const char *const arm_next_hops[]; /* of enum next_hop */

/* ---- scale_sets.c, scale_set_instances.c ---- */
extern const struct route arm_scale_set_routes[];
/* Of an instance: as its set's model would say it. */
json_t *arm_encode_set_nic(struct arm *arm, const struct set_nic *nic);
/* How many of a set's instances are in which state. */
json_t *arm_scale_set_view(struct arm *arm, const void *object);

/* ---- consoles.c, tags.c, key_pairs.c ---- */
extern const struct route arm_console_routes[], arm_tag_routes[], arm_key_pair_routes[];

/* ---- lookup.c: between ids and objects ---- */

/* ARM_SUBSCRIPTION_NOT_FOUND unless it is the one. */
bool arm_check_subscription(struct arm *arm, const char *subscription, GError **error);
struct group *arm_find_group(struct arm *arm, const char *subscription, const char *group, GError **error);
/* The resource (or the parent, when the id names a child). FAULT_NOT_FOUND, FAULT_GROUP_NOT_FOUND, ... */
void *arm_find(struct arm *arm, const struct arm_id *id, GError **error);
/* Id of an object, in its stored case; NULL when it does not exist. Owned. */
char *arm_id_of(struct arm *arm, enum kind kind, const char *uid);
char *arm_id_of_object(struct arm *arm, const struct meta *meta);
/* {key: {"id": ...}}: uid of the resource of that kind; NULL when absent or wrong, which is noted in the
 * cursor. */
char *arm_reference(struct arm *arm, const struct cursor *at, const char *key, enum kind kind);
/* The same of the place {"id": ...} itself. */
char *arm_reference_at(struct arm *arm, const struct cursor *reference, enum kind kind);
/* An array of {"id"} of resources of that kind: their uids, Owned; NULL when it is absent. */
GPtrArray *arm_references(struct arm *arm, const struct cursor *at, const char *key, enum kind kind);
/* Puts the same as JSON under the key, unless there are none. */
void arm_put_references(
	struct arm *arm, json_t *object, const char *key, enum kind kind, const GPtrArray *uids);
/* Who uses a resource, as ARM answers it: puts "networkInterfaces", and "subnets" whose member at `of_subnet` (offsetof(struct
 * subnet, …), a uid) names it; nothing where nobody does. */
void arm_put_interfaces(struct arm *arm, json_t *object, const char *uid);
void arm_put_subnets(struct arm *arm, json_t *object, const char *uid, size_t of_subnet);
/* {key: {"id": ...}} of a subnet. */
bool arm_subnet_reference(
	struct arm *arm, const struct cursor *at, const char *key, char **ret_network, char **ret_subnet);
/* An array of {"id"} of parts of load balancers, of that list ("backendAddressPools"): of struct balancer_ref, Owned;
 * NULL when it is absent. */
GPtrArray *arm_balancer_refs(struct arm *arm, const struct cursor *at, const char *key, const char *list);
/* The same as JSON. */
json_t *arm_encode_balancer_refs(struct arm *arm, const GPtrArray *refs, const char *list);
/* {"id"} of one of them; *ret stays as it is when it is absent. */
void arm_balancer_ref(struct arm *arm, const struct cursor *at, const char *key, const char *list,
	struct balancer_ref *ret);
/* Owned; NULL when the load balancer is gone. */
char *arm_id_of_part(struct arm *arm, const struct balancer_ref *ref, const char *list);

/* ---- resource.c ---- */

/* What came of a PUT of a resource or of a child. */
struct arm_put_result {
	bool created; /* the resource or child that the id names */
	struct control_result result; /* of the resource, or the child's parent */
};
void arm_put_result_clear(struct arm_put_result *result);
CLEANUP_CLEAR_FUNC(struct arm_put_result, arm_put_result_clear)

/* Creates or replaces what the id names. */
bool arm_put(struct arm *arm, const struct arm_id *id, const json_t *body,
	const struct control_request *request, struct arm_put_result *ret, GError **error);
json_t *arm_encode(struct arm *arm, const void *object, unsigned flags);
/* "Succeeded", of an enum provisioning, as arm_encode() shows it. */
const char *arm_provisioning_state(int state);
/* The child of an encoded parent, compared without case. Borrowed; NULL when there is none. */
json_t *arm_child_of(const json_t *parent, const char *list, const char *name);
/* As arm_put() of a child; body NULL: removes it, and ret->result is empty when it was not there. */
bool arm_put_child(struct arm *arm, const struct arm_id *id, const json_t *body,
	const struct control_request *request, struct arm_put_result *ret, GError **error);

/* ---- handlers.c ---- */
/* What the resource is now, with the patch on it (RFC 7396, but tags are replaced as a whole), put back.
 * FAULT_PRECONDITION: it changed meanwhile. */
bool arm_patch(struct arm *arm, const struct arm_id *id, const json_t *patch,
	const struct control_request *request, struct arm_put_result *ret, GError **error);
/* Answers with JSON under an ETag, or 304 when the client has it already. Takes the JSON. */
void arm_answer_read(struct call *call, const struct meta *meta, json_t *json);
/* What "$expand" asks for, of enum encode_flags. */
unsigned arm_expand_of(const struct call *call);
/* {"value", "nextLink"?}. Takes the array. */
void arm_answer_page(struct call *call, const struct page *page, json_t *array);
/* FAULT_UNSUPPORTED when the type has none of that name. */
const struct arm_action *arm_action_find(
	const struct call *call, const struct arm_type *type, const char *name, GError **error);
extern const struct route arm_resource_routes[];

/* ---- operations.c ---- */

/* Answers a change: at once when the operation is over, else with its URLs. Takes the body. */
void arm_answer_put(struct call *call, struct arm *arm, const struct arm_type *type, bool created,
	const struct control_result *result, json_t *body);
void arm_answer_accepted(
	struct call *call, struct arm *arm, const struct arm_type *type, const struct control_result *result);
/* Answers a change whose operation has failed, or runs. */
void arm_answer_unfinished(
	struct call *call, struct arm *arm, const struct arm_type *type, const struct operation *operation);
/* Holds the call until the operation is over or the time for polls is, then calls `answer`. */
typedef void (*arm_answer_fn)(struct call *call, struct arm *arm, const struct operation *operation);
void arm_wait(struct call *call, struct arm *arm, const char *operation, arm_answer_fn answer);
/* "Retry-After: 1": without it, or with less, clients sleep 30 s between polls. */
void arm_set_async(struct call *call, const char *header, const char *url);
/* {"code","message"} of a failed operation. */
json_t *arm_operation_error(const struct operation *operation);
extern const struct route arm_operation_routes[];

/* ---- deployments.c, deploy.c ---- */
extern const struct route arm_deployment_routes[], arm_preflight_routes[];

/* ---- export.c ---- */
extern const struct route arm_export_routes[];
/* A resource as arm_encode() with ENCODE_WANTED, without what comes and goes by itself anywhere in it. New reference. */
json_t *arm_encode_wanted(struct arm *arm, const void *object);
int arm_deploy(struct control *control, struct operation *operation, void *data, GError **error);

/* ---- cloud.c, login.c, groups.c, images.c, sizes.c, usages.c ---- */

/* The cloud's endpoints, the subscription, and a resource provider with its types (NULL when no type is of the
 * namespace), as clients read them. New references. */
json_t *arm_environment(const struct arm *arm);
json_t *arm_subscription(struct arm *arm);
json_t *arm_provider(struct arm *arm, const char *namespace);
/* The version of the API that is answered with, as far as there are versions. */
const char *arm_api_version(void);
extern const struct route arm_cloud_routes[], arm_login_routes[], arm_inventory_routes[], arm_image_routes[],
	arm_size_routes[], arm_usage_routes[];
/* Those that the VM may be resized to by the rules, whether its host has room now or not; NULL: all. */
json_t *arm_size_list(struct arm *arm, const struct vm *vm);
/* What a client names as {"publisher","offer","sku","version"}; NULL when there is none. Borrowed. */
const struct image_entry *arm_image_find(
	struct arm *arm, const char *publisher, const char *offer, const char *sku, const char *version);
const char *arm_image_version(const struct image_entry *image);
/* Audience of access tokens; only compared, never dialled. */
#define ARM_AUDIENCE "https://management.sluice.local/"

/* ---- call helpers, arm.c ---- */
void arm_id_of_call(const struct call *call, struct arm_id *ret);
json_t *arm_body(const struct call *call, GError **error);
/* Fails with *error and frees it. */
void arm_fail(struct call *call, GError *error);
/* If-Match and If-None-Match; FAULT_PRECONDITION for an ETag that none of ours can be. */
bool arm_request_of(const struct call *call, struct control_request *ret, GError **error);
/* W/"17". Owned. */
char *arm_etag(const struct meta *meta);
/* Canonical spelling; FAULT_BAD_LOCATION with the list, for a type unless it is NULL. */
const char *arm_location(struct arm *arm, const struct arm_type *type, const char *location, GError **error);
