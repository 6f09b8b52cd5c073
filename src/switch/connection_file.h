/* A NIC's connections in a file, on their way to another switch: docs/API.md says when.
 *
 * The format is bytes in network order, of fixed places: a header, records of one size, and a SHA-256 of all before it.
 * A record says what a connection is whatever the switch: by what its NIC sends, and by the address that the other end
 * has for that. Where the other end is, and where packets go, is for the switch that takes it in (peer.h).
 *
 *   header   0 "SLUICECN"   8 version (4)   12 size of a record (4)   16 records (4)
 *            20 how long ago the NIC's function past the host was active, in s, and one; 0: it was not (4)
 *            24 the NIC's uid, zero to the end (256)
 *   record   0 family   1 protocol   2 flags   3 zero   4 source port (2)   6 destination port (2)
 *            8 source (16)   24 destination (16)   40 alias (16)   56 age in s (4)
 *            60 two directions, what the NIC sent first: idle ms (4), TCP's word (4), packets (8), bytes (8)
 *            108 MAC of the member (6)   114 zero (2)
 *
 * The version changes with a place, or a meaning: that of TCP's word (tcp.h), and of ports (struct flow_key).
 */
#pragma once
#include "base/cleanup.h"
#include "switch/flow.h"

#include <glib.h>

struct connection_way {
	uint32_t idle_ms; /* since its last packet: at most CONNECTION_IDLE_MAX, and the connection's age */
	uint32_t tcp; /* as in struct flow; 0 of other protocols */
	bool carried; /* as in struct flow: a NIC has, or had, its packets, so that TCP's word is old */
	uint64_t packets, bytes;
};

struct connection_record {
	struct flow_key own; /* of what the NIC sends: its `nic` and `origin` are not in the file, and 0 */
	uint8_t alias[16]; /* the address that the other end has for the NIC, as in struct flow_key */
	uint8_t member[6]; /* of an internal load balancer, which has what the NIC began; zero: none has */
	bool answers; /* the other end began the connection */
	bool blocked; /* policy has revoked it */
	uint32_t age_s;
	struct connection_way sent, received;
};

/* Whether an internal load balancer led the NIC's packets to a member. */
static inline bool connection_record_is_led(const struct connection_record *record)
{
	static const uint8_t none[sizeof record->member];

	return memcmp(record->member, none, sizeof none) != 0;
}

#define CONNECTION_IDLE_MAX INT32_MAX /* in ms: what a clock that wraps can tell apart */

/* ---- writing ---- */

struct connection_writer;

struct connection_writer *connection_writer_new(const char *nic_uid);
void connection_writer_free(struct connection_writer *writer);
CLEANUP_FUNC(struct connection_writer *, connection_writer_free)

void connection_writer_add(struct connection_writer *writer, const struct connection_record *record);
/* The NIC's function past the host was last active so many seconds ago, at most BYPASS_TAKE_UP_S (bypass.h); 0: it is. */
void connection_writer_note_function(struct connection_writer *writer, uint32_t ago_s);
unsigned connection_writer_count(const struct connection_writer *writer);
/* Puts the file in its place as a whole, mode 0600. */
bool connection_writer_save(struct connection_writer *writer, const char *path, GError **error);

/* ---- reading ---- */

struct connection_reader;

/* A file that is whole in every respect: each of its records can be read. FAULT_INVALID when it is not, or is of another
 * version or another NIC; FAULT_QUOTA when it has more than `max` records; FAULT_NOT_FOUND when it cannot be read. */
struct connection_reader *connection_reader_open(
	const char *path, const char *nic_uid, uint32_t max, GError **error);
/* The same of bytes that are here, which are Borrowed for the reader's life. */
struct connection_reader *connection_reader_new(
	const uint8_t *bytes, size_t size, const char *nic_uid, uint32_t max, GError **error);
void connection_reader_free(struct connection_reader *reader);
CLEANUP_FUNC(struct connection_reader *, connection_reader_free)

/* What connection_writer_note_function said; false: nothing, as the NIC had none. */
bool connection_reader_function(const struct connection_reader *reader, uint32_t *ret_ago_s);
unsigned connection_reader_count(const struct connection_reader *reader);
void connection_reader_get(const struct connection_reader *reader, unsigned i, struct connection_record *ret);
