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

/* What the port in that place of a NAT pool is shown as. Owned. */
static inline char *balancer_port_name(const char *pool, int64_t place)
{
	return g_strdup_printf("%s.%" G_GINT64_FORMAT, pool, place);
}

void balancer_encode(struct arm *arm, const void *object, unsigned flags, json_t *answer, json_t *properties);
