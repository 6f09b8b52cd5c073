/* Test support: what vm.h promises, checked on any manager. */
#pragma once
#include "vm/vm.h"

/* What the tests need of the machine around a manager. */
struct conformance {
	struct vm_manager *manager;
	GMainContext *context; /* where the manager tells its events; the tests run it */
	GPtrArray *events; /* Owned: what conformance_event was told */
	char *vm_root; /* folder for the VMs' directories */
	char *image; /* an image that boots */
	char *tap; /* an interface for a primary */
	void *data; /* of the functions below */
	void (*serve)(
		struct conformance *c, const struct vm_spec *spec); /* the switch learns of a VM's NICs... */
	void (*unserve)(struct conformance *c, const struct vm_spec *spec); /* ...and forgets them */
	void (*await_guest)(
		struct conformance *c, const struct vm_spec *spec); /* until it answers hot-plug */
	void (*kill)(struct conformance *c, const struct vm_spec *spec); /* its machine dies */
	struct conformance *target; /* where VMs migrate to; Borrowed */
	void (*join)(struct conformance *c,
		const char *migration); /* leads the streams of a migration to the target */
	void (*hold)(struct conformance *c, const struct vm_spec *spec,
		bool hold); /* its migrations take long enough to cancel them */
};

/* The vm_event_fn that the manager is opened with; data is the struct conformance. */
void conformance_event(const char *uid, enum vm_state state, const char *gone_nic, void *data);

/* A VM with one teamed NIC; the caller frees it. */
struct vm_spec *conformance_spec(const struct conformance *c, const char *name);

/* The same VM as the target of c is to define it: in other places. */
struct vm_spec *conformance_twin(const struct conformance *c, const struct vm_spec *spec);

/* Waits for an event and takes it; fails the test after 20 s. gone_nic as in vm_event_fn. */
void conformance_await(struct conformance *c, const char *uid, enum vm_state state, const char *gone_nic);

/* State in the list, and its detail (NULL: not wanted). */
enum vm_state conformance_state(struct conformance *c, const char *uid, char **ret_detail);

/* Adds the tests as "/PREFIX/...". c stays the caller's and must live until they ran, and its target. */
void conformance_add(const char *prefix, struct conformance *c);
