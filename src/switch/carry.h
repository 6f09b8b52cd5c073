/* Connections that move with their NIC from one host's switch to another's: connection.export and connection.import.
 *
 * What moves is what a connection is whatever the switch (connection_file.h); this switch finds where its other end is
 * (peer.h) and has its own layers decide it, as it would at a change of rules: groups that do not revalidate are not
 * asked, of the others each that is asked must allow it. Who is refused comes in all the same, blocked (conntrack.h), so
 * that its packets are no new connection's.
 *
 * The state must have the NIC. What is known here already is left as it is: whoever lives here knows better than a copy
 * of what was elsewhere. A connection of the other end's NIC, which was with this NIC on another host, is found by that
 * and becomes the one that both share.
 *
 * What a NIC began by a function past the host is in no switch's table. The file says how long ago the function was active,
 * and the NIC is taken for one whose function was active here then (bypass.h).
 *
 * Not moved: connections by an address that NICs of a host share, which stays there, and those with what is behind the
 * host port, which is the host's own. They are counted. Fragments that wait are not.
 *
 * Threads. Both run on the main thread while workers go on. Export copies entry by entry (flow_table_copy_both), without
 * a lock. Import acts as a worker without ports (connections.h): the table's lock is held for one connection at a time.
 */
#pragma once
#include "switch/datapath.h"

#include <jansson.h>

struct carry_left {
	unsigned shared; /* by a shared source address */
	unsigned host; /* with what is behind the host port */
};

struct carry_taken {
	unsigned imported; /* allowed, and in the table now */
	unsigned known; /* were in it already */
	unsigned refused[DROP_COUNT]; /* by reason */
};

struct connection_writer;
struct connection_reader;

void carry_export(const struct datapath *datapath, const struct nic *nic, uint64_t now_ms,
	struct connection_writer *writer, struct carry_left *ret);
void carry_import(struct datapath *datapath, const struct nic *nic, uint64_t now_ms,
	const struct connection_reader *reader, struct carry_taken *ret);

/* The methods (docs/API.md): parameters → result, or NULL with *error. */
json_t *carry_method_export(struct datapath *datapath, json_t *params, GError **error);
json_t *carry_method_import(struct datapath *datapath, json_t *params, GError **error);
