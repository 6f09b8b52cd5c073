/* Policy out of a goal, in the words of the switch's state (docs/API.md, "State").
 *
 * So what a switch is told, what a guest is told, and what a client is shown of the rules that a NIC is subject to come
 * from one place, and policy/policy_state.h reads all of it.
 */
#pragma once
#include "model/goal.h"

/* New references; NULL with FAULT_INVALID, and the rule at fault, where one is not understood: it is never left out. */

/* One security group; the application groups that its rules name are the goal's. */
json_t *goal_policy_group(const struct goal *goal, const struct goal_group *group, GError **error);
/* What a state has of one NIC's policy and no more: its groups, its network, itself. */
json_t *goal_policy_of_nic(const struct goal *goal, const struct goal_nic *nic, GError **error);

/* The goal's application groups with members in that network. New reference; NULL: there are none. */
json_t *goal_policy_application_groups(const struct goal *goal, const char *network);
