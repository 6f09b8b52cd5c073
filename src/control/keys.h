/* Where things are in the store. Keys are paths; the last part is an identity.
 *
 *     /sluice/object/KIND/UID          the object, JSON
 *     /sluice/name/KIND/PARENT/NAME    uid; NAME in lower case; PARENT "-" for kinds without one
 *     /sluice/ref/TARGET/SOURCE        kind of SOURCE, which refers to TARGET: TARGET cannot be deleted
 *     /sluice/pool/POOL/VALUE          uid of who holds VALUE: addresses of a subnet, MACs, VNIs, ...
 *     /sluice/placed/HOST/VM           the VM's disk is on this host
 */
#pragma once
#include "model/model.h"

#define KEY_ROOT    "/sluice/"
#define KEY_OBJECTS "/sluice/object/"

/* All are Owned by the caller. */
char *key_object(enum kind kind, const char *uid);
char *key_objects(enum kind kind); /* prefix of all of a kind */
char *key_name(enum kind kind, const char *parent, const char *name);
char *key_names(enum kind kind, const char *parent); /* prefix */
char *key_ref(const char *target, const char *source);
char *key_refs(const char *target); /* prefix */
char *key_pool(const char *pool, const char *value);
char *key_pools(const char *pool); /* prefix */
char *key_placed(const char *host, const char *vm);
char *key_placements(const char *host); /* prefix; NULL: of all hosts */

/* Pools that are not a subnet's addresses or a physical network's VLANs (those are named by its uid). */
#define POOL_MAC               "mac"
#define POOL_VNI               "vni"
#define POOL_HOST              "host-address"
#define POOL_PUBLIC            "public"
#define POOL_VTEP              "vtep" /* held by hosts */
#define POOL_REMOVED_HOST      "removed-host" /* names in lower case, held by when that was, as in host_remove.c */
#define POOL_APPLICATION_GROUP "application-group" /* their numbers */
