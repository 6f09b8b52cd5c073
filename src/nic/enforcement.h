/* What the functions of a PF can enforce: as their provider says, and as the PF's driver and eswitch answer when they are asked.
 *
 * How it works. What is asked for is what the provider's own code goes by: the bits of its nic_caps, by which nic_caps_allow()
 * decides which NICs are accelerated, and the attributes of VFs without which it hands none out. Nothing tells beforehand
 * which attributes a driver takes; vf_takes() asks without a change. What is said to be taken may still be refused of a
 * VF: the claim finds that out, and the VF is not handed out (sriov_vf.c).
 */
#pragma once
#include "nic/inventory.h"
#include "nic/provider.h"

/* The answers' names in JSON. */
#define ENFORCEMENT_YES     "yes"
#define ENFORCEMENT_NO      "no"
#define ENFORCEMENT_UNKNOWN "unknown"

/* Where the answers come from. */
struct enforcement_source {
	/* As vf_takes(). */
	bool (*takes)(
		void *data, const char *pf, unsigned beyond, enum vf_attribute attribute, GError **error);
	void *data; /* Borrowed; for `takes` */
	struct genl *ethtool; /* Borrowed; NULL: the kernel has none */
};

/* {"provider", "abilities": [{"name", "answer", "reason"?}], "networks": [{"segment", "policy", "enforcer", "reason"?, "guest"}]}.
 *
 * provider: null: it gives no functions, and there is a "reason" in place of the lists. name: an attribute of VFs
 * (vf_attribute_word), "addresses" (that senders' IP addresses, ARP and DHCP are their own), "policy" or "tunnels"; answer: as above; reason: a clause about the PF. networks: what becomes of
 * a NIC on such a segment ("vxlan", "vlan") and under such a policy ("any", "allow-all", "other"); enforcer: "hardware",
 * "switch", or null: it stays synthetic; reason: why not hardware, or what that takes; guest: it does not where guest enforcement is allowed.
 * pf: with attributes and eswitch. New reference. */
json_t *enforcement_describe(const struct nic_pf *pf, const struct enforcement_source *source);
