/* What drivers tell of their devices by devlink, and the eswitch's mode.
 *
 * A device is named by its handle, bus and address: "pci/0000:3b:00.0". In mode `legacy` a NIC switches between its VFs and
 * the wire by MAC and VLAN; in mode `switchdev` by flows that it is given, and each VF has a representor, an interface of the
 * host by which goes what no flow takes.
 * Source: Linux include/uapi/linux/devlink.h, Documentation/networking/devlink.
 */
#pragma once
#include "nic/genl.h"

#define DEVLINK_LEGACY    "legacy"
#define DEVLINK_SWITCHDEV "switchdev"
/* What flows that match ports need in switchdev mode, where the driver shows anything else than "none". */
#define DEVLINK_INLINE_WANTED "transport"
/* What flows that put tunnels on would need, where the driver shows anything at all. */
#define DEVLINK_ENCAP_WANTED "basic"

/* Each a constant; NULL: the driver shows none. */
struct devlink_eswitch {
	const char *mode; /* "legacy", "switchdev" */
	const char *
		inline_mode; /* headers that VFs' drivers must copy for flows to match: "none", "link", "network", "transport" */
	const char *encap_mode; /* whether flows may put tunnels on: "none", "basic" */
};

enum devlink_setting { DEVLINK_MODE, DEVLINK_INLINE_MODE, DEVLINK_ENCAP_MODE };
#define DEVLINK_SETTINGS 3

/* Handle of the device at a PCI address. Owned by the caller. */
char *devlink_handle(const char *address);

/* FAULT_UNSUPPORTED when the device or its driver has no eswitch; FAULT_DENIED when this process may not ask. */
bool devlink_read_eswitch(
	struct genl *devlink, const char *handle, struct devlink_eswitch *ret, GError **error);

/* Sets one, and returns when that is done, which may take seconds. FAULT_INVALID when there is no such word;
 * FAULT_UNSUPPORTED and others with the driver's own sentence. */
bool devlink_write_eswitch(struct genl *devlink, const char *handle, enum devlink_setting setting,
	const char *word, GError **error);

/* Version of the firmware that runs; NULL: it tells none. Owned by the caller. */
char *devlink_firmware(struct genl *devlink, const char *handle);

/* Value of a parameter that is a text, as it is now ("flow_steering_mode"); NULL: there is none. Owned by the caller. */
char *devlink_parameter(struct genl *devlink, const char *handle, const char *name);

/* A port of an eswitch that belongs to a function of this host. */
struct devlink_port {
	bool is_vf; /* else a PF's own */
	unsigned pf, vf; /* their numbers */
	char *netdev; /* Owned; the representor */
};

/* Those of the device that have an interface here: GPtrArray of struct devlink_port, Owned by the caller. Empty in legacy mode,
 * and of drivers that have no such ports. NULL with *error. */
GPtrArray *devlink_ports(struct genl *devlink, const char *handle, GError **error);
