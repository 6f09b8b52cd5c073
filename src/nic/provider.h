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

#include <glib.h>
#include <stdbool.h>

/* What a function can enforce by itself, and whether packets pass the host at all. */
struct nic_caps {
	const char *name; /* "emulated" */
	const char *claim; /* what users are told: "emulated: no host bypass, no speed claim" */
	bool bypass; /* packets do not go through the switch */
	bool tunnels; /* can carry vxlan segments past the host */
	bool flow_policy; /* can enforce any policy, flow by flow */
};

enum nic_segment { NIC_SEGMENT_VXLAN, NIC_SEGMENT_VLAN };
enum nic_policy { NIC_POLICY_ALLOW_ALL, NIC_POLICY_OTHER };

/* Whether a NIC on such a segment and under such a policy may be accelerated by such functions without being
 * unprotected. When not, *ret_reason says why in a sentence (a constant). This is DESIGN's table:
 *
 *     functions                          vxlan        vlan, allow-all   vlan, any other policy
 *     through the switch (emulated)      accelerated  accelerated       accelerated
 *     bypass with tunnels, flow policy   accelerated  accelerated       accelerated
 *     bypass with neither                synthetic    accelerated       synthetic */
bool nic_caps_allow(const struct nic_caps *caps, enum nic_segment segment, enum nic_policy policy,
	const char **ret_reason);

struct nic_function {
	char *name; /* interface name */
	char *nic; /* uid */
};
void nic_function_free(struct nic_function *function);

struct nic_provider;

struct nic_provider_ops {
	/* Gives the NIC a function, ready to be plugged and to be opened by the switch; the same one when it
	 * has one already (whose device is made again if it vanished, as after a reboot). *ret_name is Owned
	 * by the caller. FAULT_POOL_FULL when none is free. */
	bool (*claim)(struct nic_provider *provider, const char *nic, char **ret_name, GError **error);
	/* Takes the NIC's function back; a NIC without one is fine. */
	bool (*release)(struct nic_provider *provider, const char *nic, GError **error);
	/* Those that are claimed: GPtrArray of struct nic_function, Owned by the caller. */
	GPtrArray *(*list)(struct nic_provider *provider);
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

/* For tests: a function is a file in `folder`, which also holds the ledger, so that it outlives the process
 * as taps do. At most `limit` functions. */
struct nic_provider *nic_fake_open(const char *folder, unsigned limit, GError **error);

static inline void nic_provider_close(struct nic_provider *provider)
{
	if (provider)
		provider->ops->close(provider);
}
CLEANUP_FUNC(struct nic_provider *, nic_provider_close)
