/* The rules of one NIC of the goal, for its guest: see policy/policy_document.h. */
#pragma once
#include "model/goal.h"

/* The document's text, Owned by the caller. NULL with FAULT_INVALID when the goal's rules are not understood. */
char *guest_document_text(const struct goal *goal, const struct goal_nic *nic, GError **error);
