/* What vf.c shows its test: a VF as the kernel tells of it, and a request as the kernel gets it. */
#pragma once
#include "nic/vf.h"

struct nl_msg;
struct rtnl_link_vf;

/* What is known of a VF. */
void vf_take(struct rtnl_link_vf *vf, struct vf_attributes *ret);

/* Sets VLAN, priority and protocol of a VF; `pf`: number of the interface. Owned by the caller; NULL: no memory. Source: Linux
 * net/core/rtnetlink.c, handle_vf_vlan_info. */
struct nl_msg *vf_vlan_request(int pf, unsigned index, const struct vf_attributes *want);
