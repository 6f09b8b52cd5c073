/* Setting a host up for SR-IOV, as its host file says (nic/host_file.h), and undoing it.
 *
 * How it works. What is wanted is a list of steps. A step's kind says how a thing is read and written as text: a file's
 * contents, a kernel attribute, a PF's number of VFs, an interface's switch or offload, an eswitch's modes. So every step is done and
 * undone in the same way, and all of it is a comparison of three texts: what is now, what was before us, what we wrote.
 *
 *     apply    now is wanted           nothing is done
 *              else                    ledger: before us, wanted; write; ledger: done
 *     revert   now is what we wrote    before us is written again, and the ledger forgets it
 *              now is before us        the ledger forgets it (we were stopped before writing, or somebody was faster)
 *              else                    somebody has changed it since: it is left, said so, and forgotten
 *
 * The ledger is replaced whole and durably before each thing is touched, so a crash at any point leaves it knowing more than was
 * done, never less; the same call repeated ends right. Some files need a command after them (update-grub); an entry that
 * is not marked done has it run again. `--boot` repeats the steps that do not outlive a restart, at every boot and whenever a
 * PF comes (src/setup/files.c has the unit and the udev rule).
 *
 * Rejected: a udev rule that writes sriov_numvfs itself (udev ends what takes long, and nobody would look whether VFs are in
 * use), and kernel parameters such as igb.max_vfs (drivers have dropped them).
 */
#pragma once
#include "base/cleanup.h"
#include "nic/genl.h"
#include "nic/host_file.h"

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

#define SETUP_LEDGER "host-setup.json" /* in the state folder */

/* What is set up: a seam for tests. Functions block. */
struct setup_machine {
	const char *root; /* before all paths: see base/sysfs.h */
	const char *state; /* state folder, below root */
	const char *program; /* `sluice` as the unit at boot is to start it, with options */
	/* Writes a kernel attribute by one write(2); path with root. Returns 0 or -errno. */
	int (*write_attribute)(const char *path, const char *text);
	bool (*set_link)(const char *netdev, bool up, GError **error);
	bool (*has_address)(const char *netdev);
	struct genl *(*open_genl)(const char *family, GError **error); /* nic/genl.h */
	/* Standard output of a program, Owned by the caller; NULL: it is not there, or failed. */
	char *(*run)(const char *const *argv, GError **error);
	unsigned wait_ms; /* how long VFs may take to appear */
};

/* Adds a word of a unit's command, in quotes where it has to be. Source: systemd.service(5), "Command lines". */
void setup_add_word(GString *line, const char *word);

/* This machine. state, program: Borrowed. */
struct setup_machine setup_machine_real(const char *state, const char *program);

#define SETUP_FIXED_OFF "fixed off" /* what a driver does not have */

enum setup_kind {
	SETUP_FILE, /* object: path; text: its contents */
	SETUP_ATTRIBUTE, /* object: path below /sys or /proc */
	SETUP_MODE, /* object: PCI address of a PF, as below; text: "legacy", "switchdev" */
	SETUP_INLINE_MODE, /* text: "transport", also when the NIC needs no headers of VFs; else what it has */
	SETUP_ENCAP_MODE, /* text: "basic", also when the driver does not say; else "none" */
	SETUP_OFFLOAD, /* whether the PF takes flows of tc: "on", "off"; now also SETUP_FIXED_OFF */
	SETUP_REPRESENTORS, /* the same of its VFs' representors: "on" when it is on of all that are there */
	SETUP_VFS, /* object: PCI address of a PF; text: number */
	SETUP_LINK, /* object: PCI address of a PF; text: "up", "down" */
	SETUP_PERSON, /* only a person can do it; object: where */
};

enum setup_state {
	SETUP_SO, /* it is as it should be */
	SETUP_TO_DO,
	SETUP_BLOCKED, /* it cannot be done, for the reason in `problem` */
	SETUP_FOR_PERSON,
	SETUP_DONE,
	SETUP_UNDONE,
	SETUP_LEFT, /* not undone, since somebody has changed it */
	SETUP_FAILED, /* see `problem` */
};

struct setup_command; /* run after a file was written: kinds.c */

struct setup_step {
	enum setup_kind kind;
	enum setup_state state;
	char *object; /* Owned */
	char *wanted; /* Owned; NULL only of SETUP_PERSON, and when undone: it is not there */
	char *now; /* Owned; as it was when it was looked at; NULL: it was not there */
	char *text; /* Owned; what for, one sentence without a full stop */
	char *problem; /* Owned; NULL: none */
};

/* What the host needs. `boot`: only what does not outlive a restart, and a device that is not there is a step
 * of its own that is blocked; else it is a fault of host_file_check(). GPtrArray of struct setup_step, Owned. */
GPtrArray *setup_plan(
	const struct setup_machine *machine, const struct host_file *file, bool boot, GError **error);

/* Adds what only a person can do, and where. */
void setup_add_by_hand(GPtrArray *steps, const char *where, const char *text);

/* Does those that are to do; their states become SO, DONE or FAILED. One that is BLOCKED, unless at boot, keeps all
 * from being done. Whether all is well is in the states; FAULT_BUSY, FAULT_INTERNAL: nothing was tried. */
bool setup_apply(const struct setup_machine *machine, GPtrArray *steps, bool boot, GError **error);

/* Undoes all that the ledger knows, last first. GPtrArray of struct setup_step, Owned; NULL as above. */
GPtrArray *setup_revert(const struct setup_machine *machine, GError **error);

/* Waits until the devices of the file are there and have interfaces, named by udev where it runs; machine->wait_ms at most. Of
 * several PFs that come at once the first asks for the unit at boot, and systemd does not start again what is starting: so
 * that one must see to all of them. Returns whether they are. */
bool setup_wait_for_devices(const struct setup_machine *machine, const struct host_file *file);

/* Whether no step is BLOCKED or FAILED. */
bool setup_is_well(const GPtrArray *steps);

/* Lines for people; Owned by the caller. [{"kind","object","state","now","wanted","text","problem"}]; new reference. */
char *setup_text(const GPtrArray *steps);
json_t *setup_encode(const GPtrArray *steps);
