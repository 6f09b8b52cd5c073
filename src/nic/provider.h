/* NIC functions: what a NIC's accelerated path is made of, by any provider.
 *
 * A function is claimed for one NIC and released again; it is as it was found then, and none leaks when any
 * program dies: a provider records its intent on disk before it touches a device. One conformance test runs
 * on all providers.
 *
 * Calls block (netlink) and may come from any thread; a provider locks inside.
 */
#pragma once
#include "base/cleanup.h"
#include "base/ip.h"
#include "nic/vf.h"
#include "nic/vf_counters.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* What a function can enforce by itself, and whether packets pass the host at all. */
struct nic_caps {
	const char *name; /* "emulated" */
	const char *claim; /* what users are told: "emulated: no host bypass, no speed claim" */
	bool bypass; /* packets do not go through the switch; functions are PCI devices that a VM gets */
	bool tunnels; /* can carry vxlan segments past the host, where the host's underlay leaves by the NIC */
	bool flow_policy; /* can enforce any policy, flow by flow */
	bool representors; /* what no flow takes goes by the function's representor, an interface for the switch */
};

enum nic_segment { NIC_SEGMENT_VXLAN, NIC_SEGMENT_VLAN };
enum nic_policy { NIC_POLICY_ALLOW_ALL, NIC_POLICY_OTHER };
enum nic_enforcer { NIC_ENFORCER_SWITCH, NIC_ENFORCER_HARDWARE, NIC_ENFORCER_GUEST };

/* Whether a NIC on such a segment and under such a policy may be accelerated by such functions without being
 * unprotected, and who enforces its policy then. When not, *ret_reason says why in a sentence (a constant).
 * `guest`: operator and NIC both want the guest itself to apply the rules where nothing else can. This is DESIGN's
 * table:
 *
 *     functions                                   vxlan       vlan, allow-all   vlan, any other policy
 *     through the switch (emulated)               switch      switch            switch
 *     bypass, flow policy, tunnels (switchdev)    hardware    hardware          hardware
 *     bypass without (sriov)                      synthetic   hardware          guest if it is wanted, else synthetic
 */
bool nic_caps_allow(const struct nic_caps *caps, enum nic_segment segment, enum nic_policy policy, bool guest,
	enum nic_enforcer *ret_enforcer, const char **ret_reason);

/* What a function is claimed for. Texts Borrowed. */
struct nic_request {
	const char *nic; /* uid */
	const char *
		physical; /* physical network that its packets go by; NULL: none, as emulated functions need none */
	bool tunnel; /* they go there by the host's underlay, in a VXLAN */
	struct mac_addr mac;
	uint16_t vlan; /* of the physical network; 0: not tagged */
	uint32_t rate_mbps; /* that it may send; 0: not limited */
};

struct nic_function {
	char *name; /* unique on the host: interface name, or PCI address of a bypass function ("0000:3b:10.0") */
	char *nic; /* uid */
	char *representor; /* interface of the host; NULL: it has none, or not now */
	bool cut; /* nothing passes it until it is released */
	bool quarantined; /* its NIC is without it, and nobody gets it: it is not yet as it was found */
	/* Owned. Why a guest that has it gets nothing by it until it is released and claimed anew, as the end of a sentence about
	 * it: "is not there any more". It says nothing of one that no guest has. NULL: as far as can be told it works, as bypass
	 * functions always do: what happens to a PCI device, guest and VM manager see. */
	char *loss;
};
void nic_function_free(struct nic_function *function);

/* A MAC on a physical network. Borrowed. */
struct nic_heard {
	const char *physical;
	uint16_t vlan;
	struct mac_addr mac;
};

/* Who has a function. */
enum nic_use {
	NIC_USE_FREE,
	NIC_USE_CLAIMED, /* a NIC, and no guest yet, or no more */
	NIC_USE_ARMED, /* a NIC, and its guest may */
	NIC_USE_CUT, /* a NIC whose guest may have it still; nothing passes it */
	NIC_USE_RELEASING, /* nobody any more, but it is not yet as it was found */
	NIC_USE_QUARANTINED, /* the same, and trying failed */
	NIC_USE_LOST, /* a NIC, but its PF has no such function now */
	NIC_USE_UNAVAILABLE, /* nobody of ours, and it cannot be given: others use it, or it would not work */
};
const char *nic_use_word(enum nic_use use);

/* A function of the host as it is now, claimed or not. Texts Owned. */
struct nic_device {
	char *name; /* PCI address */
	char *physical; /* name of its physical network */
	char *pf, *pf_netdev; /* PCI address; interface, or NULL */
	char *representor; /* interface; NULL: none */
	unsigned index; /* of the VF */
	enum nic_use use;
	char *nic; /* uid that it is claimed for; NULL: none */
	char *detail; /* "is up, as ens1v0", "is open in …", why it is not to be had; NULL: nothing to say, of an armed one: no program
			 has it open */
	struct vf_attributes attributes; /* as its PF has them */
	struct vf_counters counters; /* likewise */
};
void nic_device_free(struct nic_device *device);

struct nic_provider;
struct sriov_physical;

/* Life of a function, in this order; each call is idempotent, and every one may be repeated after a crash:
 *
 *     claim → arm → (the VM manager plugs it) … [cut] … (it leaves the guest) → left → release
 */
struct nic_provider_ops {
	/* Gives the NIC a function, ready to be plugged and, where it is no bypass, to be opened by the switch;
	 * the same one when it has one already (whose device is made again if it vanished, as after a reboot).
	 * *ret_name is Owned by the caller. FAULT_POOL_FULL when none is free. */
	bool (*claim)(struct nic_provider *provider, const struct nic_request *request, char **ret_name,
		GError **error);
	/* The claimed function is about to be plugged: the NIC's MAC becomes its own, nobody else's filter
	 * has it. NULL: there is nothing to do. */
	bool (*arm)(struct nic_provider *provider, const char *nic, GError **error);
	/* The guest holds on to the function, and must not use it any more: nothing passes it from now on, whatever the guest
	 * does, and the host hears the NIC's MAC again. It stays so until the function is released; it cannot be claimed
	 * before. That it is to be so is on disk before it is done, and check() sees to it that it stays so.
	 * FAULT_NOT_FOUND when the NIC has none. */
	bool (*cut)(struct nic_provider *provider, const char *nic, GError **error);
	/* The function has left the guest: its MAC and VLAN are cleared, and the host hears the NIC's MAC again.
	 * FAULT_TIMEOUT: that is so, but the VM manager has not given its driver back; where nobody will, release sees to it.
	 * FAULT_IN_USE: a guest has it open all the same; nothing passes it, and it is to be told again.
	 * NULL: there is nothing to do. */
	bool (*left)(struct nic_provider *provider, const char *nic, GError **error);
	/* Takes the NIC's function back; a NIC without one is fine. What cannot be made as it was found is not the NIC's any more
	 * either, which may claim another: it is in quarantine, given to nobody, and tried again by check() and by each claim and
	 * release. Fails, FAULT_IN_USE, when a guest may have it that it was not told to have left. */
	bool (*release)(struct nic_provider *provider, const char *nic, GError **error);
	/* An operator wants that function out of quarantine: it is tried at once again, and, `as_is`, what cannot be made as it was
	 * found is given up. Then anybody may get it. *ret_lost: what was given up, a sentence for each, GPtrArray of text, Owned by
	 * the caller. FAULT_NOT_FOUND when no such function is claimed, FAULT_NOT_ALLOWED when it is a NIC's, FAULT_IN_USE when a
	 * guest may have it, also `as_is`; else why it is as before. */
	bool (*reclaim)(struct nic_provider *provider, const char *name, bool as_is, GPtrArray **ret_lost,
		GError **error);
	/* Those that are claimed: GPtrArray of struct nic_function, Owned by the caller. */
	GPtrArray *(*list)(struct nic_provider *provider);
	/* All functions that it could give on its physical networks, and those that it has given: GPtrArray of
	 * struct nic_device by PF and number, Owned by the caller. NULL: functions are made on demand. */
	GPtrArray *(*survey)(struct nic_provider *provider);
	/* Compares what is with what was set, and repairs what somebody else has changed. A sentence for each
	 * repair and each thing that could not be: GPtrArray of text, Owned by the caller. NULL: nothing can
	 * drift. */
	GPtrArray *(*check)(struct nic_provider *provider);
	/* MACs that the host must hear on physical networks although no interface of its has them: of NICs whose
	 * function is not in place, and of gateways. Whole: those not named any more are not heard. While a
	 * function is claimed and not armed, its NIC's MAC is heard unasked; while it is armed, never.
	 * FAULT_POOL_FULL when the hardware has no room for all, FAULT_UNAVAILABLE when some cannot be heard for another reason: as
	 * many as can be are, and none that is not named. After any other fault one that is not named may be heard still.
	 * NULL: it hears all. */
	bool (*hear)(struct nic_provider *provider, const struct nic_heard *heard, size_t n, GError **error);
	/* The PFs of its physical networks are these now, of the same networks: PFs come and go. NULL: it has none. */
	void (*follow)(struct nic_provider *provider, const struct sriov_physical *physicals, size_t n);
	/* Releases nothing: claims outlive the process. */
	void (*close)(struct nic_provider *provider);
};

/* First member of every provider's own struct. */
struct nic_provider {
	const struct nic_provider_ops *ops;
	const struct nic_caps *caps;
};

/* Taps in the namespace of the switch and of QEMU, each the far end of an e1000e device that the VM manager
 * plugs; "no host bypass, no speed claim". `ledger`: file. */
struct nic_provider *nic_emulated_open(const char *ledger, const char *netns, GError **error);

/* A physical network, and the PFs that are on it. Borrowed. */
struct sriov_physical {
	const char *name;
	const GPtrArray *
		pfs; /* PCI addresses; none: they are away. The switch's port is on the first, so that one hears */
	const GPtrArray *tunnel_pfs; /* those of them that the host's underlay leaves by; NULL: none */
};

/* VFs of legacy SR-IOV NICs, for NICs on VLANs of physical networks. `root`: see base/sysfs.h; `ledger`: file, of which one
 * process is the master; others may open it to survey. Opening it touches no device. FAULT_INTERNAL when the ledger is there and cannot be read. */
struct nic_provider *nic_sriov_open(const char *root, const char *ledger,
	const struct sriov_physical *physicals, size_t n, GError **error);

/* VFs of NICs in switchdev mode, for NICs on VLANs and in VXLANs, whatever their policy; as above in all else. What a VF sends and no flow takes comes from its
 * representor, and goes to the VF by it: so VLAN, rate and MACs are for the switch to see to, and the VF's PF holds but
 * its MAC. The representor is up while its VF is claimed, and for the
 * switch alone: the host itself neither answers nor speaks there. FAULT_UNSUPPORTED when the kernel has no devlink. */
struct nic_provider *nic_switchdev_open(const char *root, const char *ledger,
	const struct sriov_physical *physicals, size_t n, GError **error);

/* For tests: a function is a file in `folder`, which also holds the ledger, so that it outlives the process
 * as taps do. At most `limit` functions. */
struct nic_provider *nic_fake_open(const char *folder, unsigned limit, GError **error);

/* The same with bypass functions. What a function's file says tells how far it is: "claimed", "armed", "cut" or "left", then
 * physical network, VLAN, MAC and rate; the file `heard` has what the host hears. It refuses what would break a
 * real one: to arm a function whose MAC another one or the host's filters have, and to release one that is still
 * armed or cut off. A file fail-arm, fail-cut, fail-left, fail-release or fail-hear in the folder makes that call fail, a file stuck makes left fail by FAULT_TIMEOUT; the lines of a file `drift`
 * are what check() finds, once. While there is a file unopened, no program has any function open. The PF of an armed one has counted 3 packets that it received and 5 that it sent. `note` (NULL: nobody) is told each call, from any thread: "arm 0000:3b:10.0". */
typedef void (*nic_fake_note)(const char *text, void *data);
struct nic_provider *nic_fake_open_bypass(
	const char *folder, unsigned limit, nic_fake_note note, void *data, GError **error);

/* The same with representors: "rep0" is that of 0000:3b:10.0. */
struct nic_provider *nic_fake_open_switchdev(
	const char *folder, unsigned limit, nic_fake_note note, void *data, GError **error);

static inline void nic_provider_close(struct nic_provider *provider)
{
	if (provider)
		provider->ops->close(provider);
}
CLEANUP_FUNC(struct nic_provider *, nic_provider_close)
