/* For tests in the lab: all that a provider of VFs may touch. */
#pragma once
#include "nic/link.h"

/* PFs and VFs of this host with their attributes, of one PF (interface, PCI address) also its VFs' driver_override and the MACs that it
 * hears. Owned by the caller. */
char *test_snapshot(struct links *links, const char *pf, const char *pf_address);
