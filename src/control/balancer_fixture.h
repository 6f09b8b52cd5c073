/* Load balancers and their members, for tests of the control plane. */
#pragma once
#include "base/fault.h"
#include "control/fixture.h"

/* A public address. Owned. */
struct address *balancer_fixture_address(struct fixture *f, const char *name, int sku);

/* A new part of the list, which is made if need be: its name is its first member. Borrowed. */
void *balancer_fixture_add(GPtrArray **list, const struct shape *shape, const char *name);
struct balancer_nat *balancer_fixture_nat(
	GPtrArray **list, const char *name, const char *pool, int64_t first, int64_t last);
struct balancer_rule *balancer_fixture_rule(struct balancer *balancer, const char *name, int64_t port);

/* A front end "front" of that address (NULL: none) and a pool "pool"; what is to be put further is the caller's. Owned. */
struct balancer *balancer_fixture_new(struct fixture *f, const char *name, const struct address *address);

/* References of a NIC's configuration to the part of that name; NULL: none. Owned. */
GPtrArray *balancer_fixture_refs(const struct balancer *balancer, const char *name);
/* Puts a NIC that refers to these parts, each of which may be NULL. Owned; NULL when it is refused. */
struct nic *balancer_fixture_member(struct fixture *f, const char *name, const struct balancer *balancer,
	const char *pool, const char *nat_rule, const char *nat_pool, GError **error);
/* Puts a VM with the NIC. Owned. */
struct vm *balancer_fixture_run(struct fixture *f, const char *name, const struct nic *nic);

/* As it is stored now. Owned. */
struct balancer *balancer_fixture_reload(struct fixture *f, const struct balancer *balancer);
/* Deletes it, or is refused with FAULT_IN_USE and these words. */
void balancer_fixture_remove(struct fixture *f, const void *object, const char *refusal);
/* Takes the balancer. */
void balancer_fixture_refused(
	struct fixture *f, struct balancer *balancer, enum fault code, const char *words);
