/* Whether the rules of a NIC allow everything, as the goal has them. Pure. */
#pragma once
#include "model/goal.h"
#include "nic/provider.h"

/* NIC_POLICY_ALLOW_ALL when subnet's and NIC's groups together are open (policy/policy_open.h). What the goal does not
 * tell, or this host does not understand, is NIC_POLICY_OTHER. */
enum nic_policy accel_policy_of(const struct goal *goal, const struct goal_nic *nic);
