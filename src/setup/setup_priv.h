/* Between the files of this folder. */
#pragma once
#include "nic/inventory.h"
#include "setup/setup.h"

/* ---- kinds.c: one kind of step ---- */

struct setup_kind_ops {
	const char *word; /* in the ledger and in JSON */
	/* What is there now, Owned by the caller; NULL: nothing is. */
	char *(*read)(const struct setup_machine *machine, const char *object);
	/* text NULL: as it is when nothing is there. */
	bool (*write)(
		const struct setup_machine *machine, const char *object, const char *text, GError **error);
};

extern const struct setup_kind_ops setup_kinds[];

/* The kind of a word; SETUP_PERSON when it is none's. */
enum setup_kind setup_kind_of(const char *word);

/* The PF at an address; NULL: none. Borrowed of the inventory. */
const struct nic_pf *setup_find_pf(const GPtrArray *inventory, const char *address);

/* Whether nobody uses a VF of the PF; FAULT_IN_USE. */
bool setup_check_unused(const struct setup_machine *machine, const struct nic_pf *pf, GError **error);

/* Whether the number of VFs of the PF may become `wanted`; FAULT_INVALID, FAULT_IN_USE. */
bool setup_check_vfs(
	const struct setup_machine *machine, const struct nic_pf *pf, unsigned wanted, GError **error);

/* ---- files.c: files that are written, and what must hear of them ---- */

struct setup_content {
	const char *path;
	char *text; /* Owned */
	const char *why;
};

/* GPtrArray of struct setup_content, Owned by the caller: those that this machine has a use for. */
GPtrArray *setup_contents(const struct setup_machine *machine, const struct host_file *file);

/* Tells the program that reads the file; a file that none has to be told of, or a program that is not running, is fine. */
bool setup_tell(const struct setup_machine *machine, const char *path, GError **error);

/* Whether a path exists on the machine. */
bool setup_exists(const struct setup_machine *machine, const char *path);

/* ---- kernel_line.c ---- */

/* Adds the step that has the kernel's command line turn the IOMMU on, or tells a person to. */
void setup_plan_kernel_line(const struct setup_machine *machine, GPtrArray *steps);

/* ---- ledger.c ---- */

struct setup_entry {
	enum setup_kind kind;
	char *object; /* Owned */
	char *before; /* Owned; NULL: it was not there */
	char *wrote; /* Owned */
	bool done; /* written, and who reads it was told */
};

struct setup_ledger {
	char *path; /* Owned */
	int lock; /* Owned; on the state folder: one program at a time */
	GPtrArray *entries; /* Owned; of struct setup_entry, in the order in which they were done */
};

/* FAULT_BUSY when another program has it; FAULT_INTERNAL when it cannot be read. */
struct setup_ledger *setup_ledger_open(const struct setup_machine *machine, GError **error);
void setup_ledger_close(struct setup_ledger *ledger);
CLEANUP_FUNC(struct setup_ledger *, setup_ledger_close)

struct setup_entry *setup_ledger_find(struct setup_ledger *ledger, enum setup_kind kind, const char *object);
/* What was before stays that of the first time. */
struct setup_entry *setup_ledger_intend(
	struct setup_ledger *ledger, const struct setup_step *step, const char *now);
bool setup_ledger_save(const struct setup_ledger *ledger, GError **error);

/* ---- plan.c ---- */

/* A step that is judged by what is there now. Borrowed of `steps`. wanted may be NULL for SETUP_PERSON. */
struct setup_step *setup_add_step(const struct setup_machine *machine, GPtrArray *steps, enum setup_kind kind,
	const char *object, const char *wanted, const char *format, ...) G_GNUC_PRINTF(6, 7);
GPtrArray *setup_steps_new(void);
