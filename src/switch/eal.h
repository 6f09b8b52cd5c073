/* DPDK's environment, and the process's own: network namespace, huge pages, lcores. */
#pragma once
#include "base/cleanup.h"

#include <glib.h>
#include <stdbool.h>

struct rte_mempool;

enum eal_hugepages { EAL_HUGEPAGES_AUTO, EAL_HUGEPAGES_ON, EAL_HUGEPAGES_OFF };

struct eal_config {
	unsigned workers;
	unsigned memory_mib; /* for packet buffers and what DPDK itself needs */
	enum eal_hugepages hugepages;
	/* Borrowed, each ends with NULL; a NULL list is empty. */
	char **drivers; /* shared objects with drivers that DPDK is to load */
	char **vdevs; /* virtual devices to make: "net_ring0", "net_af_xdp0,iface=ens1" */
	char **pci; /* addresses of the physical devices to take: "0000:3b:00.0" */
};

/* Enters the network namespace of that name (/run/netns) or path. Before eal_start, so that all threads are
 * in it. */
bool eal_enter_netns(const char *name, GError **error);

/* Starts DPDK: the devices of the configuration and no others, no files that a second switch on the machine
 * could meet, `workers` lcores beside the main one, all of them free to run on any CPU that the process may
 * use. *ret_hugepages: whether huge pages are used. */
bool eal_start(const struct eal_config *config, bool *ret_hugepages, GError **error);
void eal_stop(void);

/* Packet buffers, as many as three quarters of the memory hold. */
struct rte_mempool *eal_pool_new(const struct eal_config *config, GError **error);

const char *eal_version(void);
