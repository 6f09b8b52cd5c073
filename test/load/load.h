/* What the parts of the load share: the run, and where its groups and clients are. */
#pragma once
#include "client.h"

#include <stdint.h>

#define NSG_TYPE     "Microsoft.Network/networkSecurityGroups"
#define NETWORK_TYPE "Microsoft.Network/virtualNetworks"
#define ADDRESS_TYPE "Microsoft.Network/publicIPAddresses"
#define NIC_TYPE     "Microsoft.Network/networkInterfaces"
#define VM_TYPE      "Microsoft.Compute/virtualMachines"
#define DEPLOY_TYPE  "Microsoft.Resources/deployments"
#define SHARED       "shared" /* name of what a group's clients share */

struct options {
	int clients, machines, turns, seconds;
	gboolean bench;
};

struct load {
	const struct options *options;
	struct server server;
	unsigned groups; /* resource groups, each of a network and a security group that its clients share */
	char *subscription; /* "/subscriptions/UID". Owned */
	gint failed; /* atomic: requests that were not answered as they should */
	gint over; /* atomic: the lists need not be read any more */
	int64_t until_us; /* of measured work */
};

/* Whether a request was answered well; prints and counts it if not. problem: what is wrong with what the answer says or
 * led to, NULL for nothing. */
gboolean load_expect(
	struct load *load, unsigned status, const char *problem, const char *method, const char *path);
