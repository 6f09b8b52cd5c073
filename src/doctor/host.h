/* Every reason why SR-IOV or virtual machines fail on a host, found before they do, each with its remedy.
 *
 * A check is a function and a row of the table in host.c. It reads what the kernel shows and changes nothing.
 */
#pragma once
#include "base/findings.h"
#include "nic/genl.h"
#include "vm/kvm_probe.h"

#include <stdbool.h>

/* What is looked at: a seam for tests. */
struct host_source {
	const char *root; /* before /sys, /proc, /lib and /run: see base/sysfs.h */
	const char *host_file; /* below root: see nic/host_file.h */
	struct kvm_probe (*probe_kvm)(void);
	/* The kernel's messages since it was started, a line each; NULL when this user may not read them. Owned by the
	 * caller. */
	char *(*kernel_log)(void);
	/* What `NAME --version` prints, "" where it fails; NULL when the program is not installed. Owned by the caller. */
	char *(*program_version)(const char *name);
	struct genl *(*open_genl)(const char *family, GError **error); /* nic/genl.h */
};

/* This machine. */
extern const struct host_source host_source_real;

/* GPtrArray of struct finding, Owned by the caller. Takes milliseconds, KVM_PROBE_TIMEOUT_MS at most. */
GPtrArray *host_examine(const struct host_source *source);

/* Of these, the problems that only a person can solve, in the set-up of firmware or of a NIC. Owned by the caller. */
GPtrArray *host_examine_firmware(const struct host_source *source);
