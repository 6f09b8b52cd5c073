/* Network functions on the guest's PCI bus that can carry a NIC's packets past the host's virtual switch, and
 * the emulated device that stands in for one. */
#pragma once
#include "base/cleanup.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

enum function_kind {
	FUNCTION_VF, /* a virtual function of an SR-IOV NIC */
	FUNCTION_EMULATED, /* a device that the hypervisor imitates: no host bypass, no speed claim */
	FUNCTION_OTHER, /* any other network device, for example a whole NIC passed through */
};

struct function {
	char *address; /* Owned; "0000:02:00.0" */
	char *driver; /* Owned; NULL: no driver is bound */
	char *netdev; /* Owned; NULL: no network interface yet */
	const char *model; /* name of vendor and device; NULL: not in the table */
	const char *wanted; /* driver that fits it; NULL: not known */
	enum function_kind kind;
	uint16_t vendor;
	uint16_t device;
};

void function_free(struct function *function);
CLEANUP_FUNC(struct function *, function_free)

/* All network-class PCI functions but virtio's, by address: GPtrArray of struct function.
 * A VF is known by its PCI id; in a machine that sees the PF too, by its `physfn` link as well. */
GPtrArray *function_list(const char *root);

/* "0000:02:00.0 Intel 82599 Virtual Function [8086:10ed]". Owned by the caller. */
char *function_describe(const struct function *function);

/* "virtual-function", "emulated" or "other": the word in JSON. */
const char *function_kind_name(enum function_kind kind);
