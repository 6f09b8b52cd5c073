/* What clients make, change and delete, each by requests and waiting for their operations.
 *
 * A machine of somebody's own is a virtual network, a security group, a public address, an interface that has them, and
 * the virtual machine, all of one name; a plain one has an interface in the network that its group's clients share.
 *
 * All return whether each request was answered as it should; what was not is printed and counted.
 */
#pragma once
#include "load.h"

/* Ids, without a version; owner: number of the client, which says the group. Owned. */
char *resource_id(const struct load *load, unsigned owner, const char *type, const char *name);
/* Of one inside of a resource. */
char *resource_child_id(const struct load *load, unsigned owner, const char *type, const char *name,
	const char *child, const char *child_name);
/* The name of a client's resource. Owned. */
char *resource_name(unsigned owner, const char *kind, unsigned i);
/* The same as a path to ask. Owned. */
char *resource_path(const char *id);

/* A group of that number, with what is shared in it; and its deletion. */
gboolean resource_group_put(struct load *load, struct client *client, unsigned number);
gboolean resource_group_delete(struct load *load, struct client *client, unsigned number);

gboolean plain_machine_put(struct load *load, struct client *client, const char *name);
/* Its interface's PUT with that tag. Owned. */
char *plain_nic_body(const struct load *load, unsigned owner, const char *tag);

/* Makes one of a client's group, a public address or an interface in the shared network, reads it and deletes it again.
 * New reference; NULL when that failed. */
json_t *resource_probe(struct load *load, struct client *client, const char *type);

/* In the order of use, by a request each, or by a deployment of that name. */
gboolean machine_put(struct load *load, struct client *client, const char *name);
gboolean machine_deploy(struct load *load, struct client *client, const char *name);
/* Changes of all kinds of it, and back; and that they are what they are now. turn: any text. */
gboolean machine_change(struct load *load, struct client *client, const char *name, const char *turn);
gboolean machine_read(struct load *load, struct client *client, const char *name);
/* deployed: with its deployment. */
gboolean machine_delete(struct load *load, struct client *client, const char *name, gboolean deployed);

/* A rule in the shared security group and a subnet in the shared network, number `index` of the group's, at the same time
 * as others put theirs; and their deletion. */
gboolean share_put(struct load *load, struct client *client, const char *name, unsigned index);
gboolean share_delete(struct load *load, struct client *client, const char *name);
#define SHARE_MAX 200 /* indexes: what the network has room for */
