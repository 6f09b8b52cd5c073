/* What the two halves of load balancers' dialect share: balancers.c reads them, balancers_encode.c shows them. */
#pragma once
#include "api/arm/arm_priv.h"

#define FRONTS    "frontendIPConfigurations"
#define POOLS     "backendAddressPools"
#define PROBES    "probes"
#define RULES     "loadBalancingRules"
#define NAT_RULES "inboundNatRules"
#define NAT_POOLS "inboundNatPools"

extern const char *const balancer_skus[],
	*const balancer_protocols[], *const balancer_probe_protocols[], *const balancer_distributions[];

void balancer_encode(struct arm *arm, const void *object, unsigned flags, json_t *answer, json_t *properties);
