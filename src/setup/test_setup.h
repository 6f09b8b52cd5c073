/* For tests of setting a host up: a made-up host with a PF, eth0, of 7 VFs at most, and a kernel that makes them when it is told. Its
 * driver takes another mode of its eswitch only while there are no VFs, and leaves tc offload off, as ice. */
#pragma once
#include "base/test_tree.h"
#include "nic/test_devlink.h"
#include "nic/test_ethtool.h"
#include "setup/setup.h"

#define TEST_SETUP_BUS   "sys/bus/pci/devices/"
#define TEST_SETUP_PF    "0000:01:00.0"
#define TEST_SETUP_STATE "/var/lib/sluice"
#define TEST_SETUP_VFS   3 /* that have representors, rep0 to rep2, where there is an eswitch */

/* The host of the test that runs: hooks have no argument. All is as below after test_setup_new(). */
extern struct test_setup {
	const struct tree *tree; /* Borrowed */
	GString *writes, *runs; /* "NAME=TEXT " of each attribute, "COMMAND; " of each program; none */
	const char *failing_program; /* NULL: none */
	bool makes_vfs; /* true; else it says it does, and does not */
	bool has_addresses; /* false; whether interfaces have any */
	struct test_eswitch eswitch; /* of the PF, in legacy mode; no handle: it has none */
	struct test_feature
		features[1 + TEST_SETUP_VFS]; /* tc offload of the PF and of the representors: off */
	bool wants_headers; /* false; in switchdev mode the NIC wants VFs' headers, which shows only then */
} test_setup;

/* A host with GRUB and systemd on which nothing is set up. Owned by the caller. */
struct tree *test_setup_new(void);
struct setup_machine test_setup_machine(const struct tree *tree);

/* As the kernel does: the PF when it comes (without VFs), VFs when it is told. */
void test_setup_add_pf(const struct tree *tree);
void test_setup_make_vfs(const char *pf, unsigned n);

/* Steps, Owned by the caller, for that text of a host file. */
GPtrArray *test_setup_plan(const struct tree *tree, const char *text, bool boot, GError **error);
GPtrArray *test_setup_apply(const struct tree *tree, const char *text, bool boot);
GPtrArray *test_setup_revert(const struct tree *tree);

unsigned test_setup_count(const GPtrArray *steps, enum setup_state state);
/* The first of that kind. Borrowed; ends the test where there is none. */
const struct setup_step *test_setup_find(const GPtrArray *steps, enum setup_kind kind);

/* It is planned as blocked with that sentence, and an apply does nothing at all. */
void test_setup_expect_blocked(
	const struct tree *tree, const char *text, enum setup_kind kind, const char *says);

/* All files but the ledger, as "path: contents" lines; and what one holds. Owned by the caller. */
char *test_setup_snapshot(const struct tree *tree);
char *test_setup_text(const struct tree *tree, const char *path);
