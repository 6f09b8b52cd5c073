/* For tests of the providers of VFs: a made-up sysfs tree with two PFs, sriov-pf1 and sriov-pf2, of two VFs each, and a provider on it.
 * There are no such interfaces in the kernel, so what is asked of it about them fails. */
#pragma once
#include "base/test_tree.h"
#include "nic/sriov_priv.h"
#include "nic/test_devlink.h"

#define TEST_SRIOV_BUS "sys/bus/pci/devices/"
#define TEST_SRIOV_PF1 "0000:03:00.0"
#define TEST_SRIOV_PF2 "0000:04:00.0"

/* Addresses, by PF and number. */
extern const char *const test_sriov_vfs[2][2];

struct test_sriov {
	struct test_eswitch eswitches[2]; /* of the PFs, where VFs have representors */
	struct tree *tree; /* Owned */
	char *ledger; /* Owned; file */
	struct nic_provider *provider; /* Owned */
};

/* Both PFs are of physnet1, with legacy VFs. */
void test_sriov_setup(struct test_sriov *f, gconstpointer data);
/* The first is of physnet1 and in switchdev mode, but its first VF has no representor; the second is of physnet2, and in legacy mode. */
void test_sriov_setup_switchdev(struct test_sriov *f, gconstpointer data);
void test_sriov_teardown(struct test_sriov *f, gconstpointer data);

/* An Ethernet device on the PCI bus. */
void test_sriov_add_device(const struct tree *tree, const char *address);
struct sriov *test_sriov_provider(const struct test_sriov *f);
/* As the driver of a real PF would have shown the VFs. Owned by the caller. */
GPtrArray *test_sriov_inventory(const struct test_sriov *f);
/* A claim on physnet1, in memory alone; index 2 and above: of a VF that there is not. */
void test_sriov_add_claim(const struct test_sriov *f, const char *pf, unsigned index, const char *nic);
void test_sriov_bind(const struct test_sriov *f, const char *address, const char *driver);
