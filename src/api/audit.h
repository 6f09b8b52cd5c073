/* The audit log: who asked for which change, when, and what came of it.
 *
 * How it works. A record is one line of JSON in a file of the log's folder, appended by one write before the answer goes
 * out; so it survives the end of the process, and, as files are synchronised once a second, a power cut but for the last
 * second. Nothing in it is ever changed. Files are named by their first record's number; a full one is followed by the
 * next, and the oldest goes. A last line that a crash cut off is ended when the log is opened again, and readers pass
 * over it: it was of a request that was never answered.
 *
 * | member | meaning |
 * |---|---|
 * | seq, time | number, from 1 without gaps, and when, UTC |
 * | who | name of the principal; none: nobody had shown who they are |
 * | what | method and path; of an operation that ended, what it did to which object |
 * | result | enum audit_result |
 * | status, code | of HTTP, and the failure's word in the answer |
 * | operation | uid of the operation that was begun, or ended |
 * | parent | uid of the operation that it is a part of: a deployment's, the deletion of a group, a scale set's |
 * | request, client | ids: ours (x-ms-request-id), which all that follows from the request has too, and the client's own |
 * | command, address | what the client says it does, and from where |
 * | ended | when the operation had ended, of one that is on record only since the program began anew |
 * | missed | records that are missing before this one: the disk could not be written, or strangers asked too often |
 *
 * Bodies, queries and tokens are never in it, nor sentences, which may quote them.
 *
 * Rejected: the store. It would make each change larger, and a refused one a write of the store; and its compaction and
 * backups are about what is, not about what was asked.
 */
#pragma once
#include "api/page.h"

struct audit;

struct audit_config {
	const char *dir; /* made when it is missing, mode 0700 */
	int64_t file_bytes; /* after which the next file begins */
	unsigned files; /* that are kept */
};

/* FAULT_INTERNAL when the folder cannot be used. */
struct audit *audit_open(const struct audit_config *config, GError **error);
void audit_close(struct audit *audit);
CLEANUP_FUNC(struct audit *, audit_close)

enum audit_result {
	AUDIT_DONE, /* it was done when the answer went out */
	AUDIT_ACCEPTED, /* an operation was begun, whose end is a record of its own */
	AUDIT_REFUSED, /* nothing was changed */
	AUDIT_SUCCEEDED, /* an operation ended */
	AUDIT_FAILED, /* likewise */
};
extern const char *const audit_result_words[]; /* ends with NULL */

/* Texts may be NULL, and are cut to what a line holds. */
struct audit_record {
	enum audit_result result;
	unsigned status; /* 0: none */
	const char *who, *what, *code, *operation, *parent, *request, *client, *command, *address;
	int64_t ended_us; /* microseconds since 1970; 0: it is on record as it ends */
};
/* A record that cannot be written is counted, said once in the program's log, and missed in the next one. */
void audit_write(struct audit *audit, const struct audit_record *record);

/* NULL and zero values: any. */
struct audit_filter {
	const char *who; /* without case */
	const char *what; /* a part of it, without case */
	const char *result; /* word */
	const char *id; /* of the request (either's), or of the operation */
	int64_t since_us, until_us; /* microseconds since 1970 */
};
/* Fills the page, newest first. A filter that few pass makes a short one, with a link. */
bool audit_read(struct audit *audit, const struct audit_filter *filter, struct page *page, json_t *array,
	GError **error);
/* When it was written, in microseconds since 1970; 0 when it does not say. */
int64_t audit_time_us(const json_t *record);
