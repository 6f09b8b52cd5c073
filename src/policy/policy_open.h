/* Whether a NIC's policy allows everything, so that nobody needs to enforce it. */
#pragma once
#include "policy/policy.h"

/* True: policy_check() allows every packet whose near end is an address of the NIC's network (nic->space), which
 * is all that anti-spoofing leaves, in both directions.
 *
 * False may also be said of rules that only together amount to everything, in ways that operators do not write:
 * the safe side, since what is not open is enforced. Rules are walked by priority until those that allow, for
 * any protocol and from or to all of the NIC's network, name every far end; one that denies before that, whatever
 * it denies, makes the policy no open one. */
bool policy_is_open(const struct policy_nic *nic);
