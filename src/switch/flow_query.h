/* Questions about flows: filters, and the methods flow.list, flow.count and flow.show.
 *
 * How it works. The flow table is walked by index on the main thread, and each entry is copied as of one moment
 * (flow_table_copy), so workers never wait. One call looks at QUERY_ENTRIES entries at most and then answers
 * with what it has and `next`, the cursor to go on from: however large the table, other calls get their turn
 * in a few milliseconds. What begins or ends between two pages may be in neither.
 *
 * A connection matches when one of its directions does, and is listed whole: the forward direction, then the
 * reply.
 */
#pragma once
#include "switch/conntrack.h"
#include "switch/datapath.h"

#include <jansson.h>

#define QUERY_ENTRIES 65536
#define QUERY_LIMIT   1000 /* directions listed, unless the call says */

/* Which flows are meant: all that is not `any` must fit. */
struct flow_filter {
	uint32_t nic; /* number, or NO_NIC: any */
	int protocol; /* IANA number; ICMP means both; -1: any */
	struct ip_prefix prefix; /* of the source or the destination; IP_NONE: any */
	bool has_port;
	uint16_t port; /* source or destination; of TCP and UDP only */
	int state; /* enum connection_state; -1: any */
};

struct flow_filter flow_filter_any(void);
/* Whether a packet's key is meant: protocol, addresses and ports as they come. */
bool flow_filter_matches_key(const struct flow_filter *filter, const struct flow_key *key);

struct decode;
/* Element decoders (decode.h) of a filter's members, for methods that take one: the protocol is an int, the others
 * fill a struct flow_filter. */
bool flow_filter_decode_protocol(struct decode *d, json_t *value, void *to);
bool flow_filter_decode_port(struct decode *d, json_t *value, void *to);
bool flow_filter_decode_address(struct decode *d, json_t *value, void *to);

/* The methods (docs/API.md): parameters → result, or NULL with *error. */
json_t *flow_query_list(const struct datapath *datapath, json_t *params, GError **error);
json_t *flow_query_count(const struct datapath *datapath, json_t *params, GError **error);
json_t *flow_query_show(const struct datapath *datapath, json_t *params, GError **error);

/* The connection that has the key, as of one moment: its direction with that key, and the other. False when
 * there is none. */
bool flow_query_find(const struct datapath *datapath, const struct flow_key *key, struct flow *ret_flow,
	struct flow *ret_pair);
/* A connection's id, by which flow.show finds it; the forward direction's pair is given. */
char *flow_query_id(const struct flow *forward, const struct flow *reply);
