/* What writing and reading of the audit log share. */
#pragma once
#include "api/audit.h"

#define AUDIT_BLOCK (64 * 1024) /* of a file that is read at once; longer than a line can be */

struct audit {
	char *dir; /* Owned */
	int64_t file_bytes;
	unsigned files;
	int fd; /* of the last file */
	int64_t size; /* its */
	int64_t seq; /* of the last record; 0: there is none */
	bool torn; /* the file's last line has no end */
	bool dirty; /* something was written that may not be on the disk yet */
	bool failing; /* the last record could not be written, which was said */
	uint64_t missed; /* records since the last one that was written */
	int64_t strangers_s; /* second in which strangers were counted */
	unsigned strangers;
	guint timer;
};

/* Of the file whose first record has that number. Owned by the caller. */
char *audit_path(const struct audit *audit, int64_t first);
/* Numbers of the files' first records, in order. */
GArray *audit_files(const struct audit *audit, GError **error);
