/* Findings: what a doctor's checks found, for people and for programs. */
#pragma once
#include "base/cleanup.h"

#include <glib.h>
#include <jansson.h>

enum finding_level {
	FINDING_OK, /* it is as it should be */
	FINDING_NOTE, /* worth knowing; nothing fails for it */
	FINDING_PROBLEM, /* something fails for it, or will */
};

struct finding {
	enum finding_level level;
	const char *check; /* constant: "iommu" */
	char *subject; /* Owned: what it is about where there are several, "0000:3b:00.0"; or NULL */
	char *text; /* Owned: one sentence without a full stop */
	char *remedy; /* Owned: what to do, one sentence; NULL: nothing */
};

/* GPtrArray of struct finding, in order. Owned by the caller. */
GPtrArray *findings_new(void);

/* subject and remedy are copied; both may be NULL. */
void findings_add(GPtrArray *findings, enum finding_level level, const char *check, const char *subject,
	const char *remedy, const char *format, ...) G_GNUC_PRINTF(6, 7);

unsigned findings_count(const GPtrArray *findings, enum finding_level level);

/* Exit statuses of a doctor. */
enum findings_exit {
	FINDINGS_WELL = 0, /* no problem was found */
	FINDINGS_PROBLEM = 1,
	FINDINGS_USAGE = 2, /* the command line is wrong */
};
enum findings_exit findings_exit_of(const GPtrArray *findings);

/* Lines "problem  iommu  …" with the remedy below each, and a last line that counts. Owned by the caller. */
char *findings_text(const GPtrArray *findings);

/* {"problems": N, "notes": N, "findings": [{"level","check","subject","text","remedy"}]}; new reference. */
json_t *findings_encode(const GPtrArray *findings);
