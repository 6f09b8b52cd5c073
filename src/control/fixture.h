/* A control plane on a memory store with one pretended host, which is on physnet1, for tests. */
#pragma once
#include "control/control.h"

struct fixture {
	struct store *store;
	struct control *control;
	char *dir;
	char *group; /* uid of a resource group "rg" */
	char *network; /* uid of "net", 10.0.0.0/16 with subnet "sub" 10.0.1.0/24 */
	char *subnet; /* uid */
	struct report *report; /* what the host says next */
	struct report *second; /* likewise of "host-2"; NULL: there is none, see fixture_add_host() */
	struct guest_os guest; /* what all guests say that they are; its strings are Borrowed */
	const char *failing; /* Borrowed: name of a machine that no host can do anything with; NULL: none */
	bool no_default_outbound; /* of the control plane that is opened next */
	unsigned host_timeout_s; /* the same */
};

void fixture_open(struct fixture *fixture);
/* The same on a SQLite store that may hold something already; group and network are made if they are not
 * there. */
void fixture_open_at(struct fixture *fixture, const char *path);
void fixture_close(struct fixture *fixture);
CLEANUP_CLEAR_FUNC(struct fixture, fixture_close)
/* Declares one that is open, and closed at the end of the block. */
#define OPEN(f)                                                                                              \
	_cleanup_(fixture_close) struct fixture f = {};                                                      \
	fixture_open(&f)

/* Closes and opens the control plane on the same store, as a crash and restart would. */
void fixture_restart(struct fixture *fixture);

/* Puts; on success returns the stored object (Owned), on failure NULL with *error. */
void *fixture_put(struct fixture *fixture, void *object, GError **error);
/* Likewise, and it must succeed. Takes the object. */
void *fixture_must_put(struct fixture *fixture, void *object);

/* Puts, and leaves what that begins to its course. Takes the object; the operation is Owned. */
struct operation *fixture_begin(struct fixture *fixture, void *object);

/* Objects ready to be put. */
struct network *fixture_network(const struct fixture *fixture, const char *name, const char *prefix,
	...) G_GNUC_NULL_TERMINATED; /* then name, prefix of each subnet, NULL */
struct physical *fixture_physical(const char *name, const char *vlans);
struct nic *fixture_nic(const struct fixture *fixture, const char *name, bool accelerated);
struct vm *fixture_vm(
	const struct fixture *fixture, const char *name, const char *size, const struct nic *nic);
/* The NIC, which is to be put, goes into the network's first subnet. */
void fixture_join(struct nic *nic, const struct network *network);
struct availability_set *fixture_set(const struct fixture *fixture, const char *name);
/* Of Standard_DS2_v2, with one interface "eth0" of one configuration; manual upgrades. */
struct scale_set *fixture_scale_set(const struct fixture *fixture, const char *name, int64_t capacity);
struct rule *fixture_rule(const char *name, int64_t priority);

/* A second host, "host-2", which is on physnet1, too; a store that knows it brings it back. Both take machines from each
 * other. */
void fixture_add_host(struct fixture *fixture);

/* The hosts do what their goals say, at once, and report it. */
void fixture_obey(struct fixture *fixture);
/* Start, deallocate, ... of a VM of that host, to its success. */
void fixture_act(struct fixture *fixture, const struct vm *vm, enum verb verb);
/* Deletes an object, to its success. */
void fixture_delete(struct fixture *fixture, enum kind kind, const char *uid);
/* A host does what this goal says, which may be an old one; what else it says is in `report`. */
void fixture_report(
	struct fixture *fixture, const struct goal *goal, const char *host, struct report *report);
/* Another host does the same as its goal says; what else it says is in `report`. */
void fixture_obey_as(struct fixture *fixture, const char *host, struct report *report);
/* Runs the main loop until the operation is over; obeying while it does when `obey` is set. Returns it,
 * Owned. */
struct operation *fixture_finish(struct fixture *fixture, const struct operation *operation, bool obey);
