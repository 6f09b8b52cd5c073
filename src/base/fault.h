/* The one error domain of failures that an operator or an API client reads.
 *
 * A fault's code says what kind of failure it is, so that each dialect can map it with one table to its own
 * words (ARM error code and HTTP status, OpenStack fault name, exit status of the CLI); its sentence says
 * what failed, of which object, and what to do. Packet-path and small helpers do not use faults: they return
 * 0 or -errno and say nothing.
 */
#pragma once
#include <glib.h>
#include <stdbool.h>

/* X(NAME, "name") : the name is the stable word that `--json` output and agents' reports carry. */
#define FAULT_CODES(X)                                                                                       \
	X(INTERNAL, "internal") /* our own mistake, or the machine's (disk full, ...) */                     \
	X(UNAVAILABLE, "unavailable") /* a part that is needed is down; trying again may help */             \
	X(INVALID, "invalid") /* the request itself is malformed or out of range */                          \
	X(INVALID_REFERENCE,                                                                                 \
		"invalid-reference") /* it names a resource that does not exist or does not fit */           \
	X(NOT_FOUND, "not-found")                                                                            \
	X(PARENT_NOT_FOUND, "parent-not-found")                                                              \
	X(GROUP_NOT_FOUND, "group-not-found")                                                                \
	X(EXISTS, "exists")                                                                                  \
	X(IN_USE, "in-use") /* something else still refers to it */                                          \
	X(BUSY, "busy") /* another operation on the same object is under way */                              \
	X(NOT_ALLOWED, "not-allowed") /* a rule forbids it in the object's present state */                  \
	X(PRECONDITION, "precondition") /* If-Match / expected revision did not match */                     \
	X(BAD_LOCATION, "bad-location")                                                                      \
	X(OVERLAP, "overlap") /* address ranges overlap */                                                   \
	X(POOL_FULL, "pool-full") /* no free address, VNI, ... left */                                       \
	X(ALLOCATION, "allocation") /* no host can hold it */                                                \
	X(CANCELLED, "cancelled") /* somebody asked for its end */                                           \
	X(TIMEOUT, "timeout") /* it was not finished in time; it may still be */                             \
	X(QUOTA, "quota")                                                                                    \
	X(UNSUPPORTED, "unsupported") /* a kind or feature that Sluice does not have */                      \
	X(UNAUTHENTICATED, "unauthenticated")                                                                \
	X(DENIED, "denied")                                                                                  \
	X(CONFLICT, "conflict") /* lost a race with another writer too often */                              \
	X(COMPACTED, "compacted") /* the revision asked for is gone; list again */

enum fault {
#define X(NAME, name) FAULT_##NAME,
	FAULT_CODES(X)
#undef X
};

#define FAULT fault_quark()
GQuark fault_quark(void);

/* Stable word of a code, e.g. "in-use". */
const char *fault_name(enum fault code);

/* Code of a stable word; FAULT_INTERNAL for a word that is not known. */
enum fault fault_from_name(const char *name);

/* Code of an error of any domain: foreign domains count as FAULT_INTERNAL. */
enum fault fault_code(const GError *error);

/* Sets *error (when error is not NULL) and returns false, so that a check is one line:
 *     if (!ok) return fault_set(error, FAULT_INVALID, "...");                                      */
bool fault_set(GError **error, enum fault code, const char *format, ...) G_GNUC_PRINTF(3, 4);
