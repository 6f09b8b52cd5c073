/* What the parts of trace share: trace.c, trace_frame.c, trace_dhcp.c, trace_connection.c. */
#pragma once
#include "switch/drop.h"
#include "switch/packet_words.h"
#include "switch/parse.h"
#include "switch/trace.h"

struct trace {
	const struct datapath *datapath;
	const struct snapshot *state;
	const struct nic *nic; /* that sends it; from an edge: that it is for */
	enum flow_origin origin;
	bool shared; /* from outside, for an address that NICs share */
	struct packet_words words;
	uint8_t frame[PACKET_WORDS_FRAME];
	uint32_t length; /* of the frame */
	struct packet parsed;
	bool layer_refused; /* in the last walk */
	json_t *steps, *result; /* the steps are the result's */
};

/* ---- steps and outcomes ---- */

/* What a stage did (printf); verdict: a word of docs/API.md. */
G_GNUC_PRINTF(4, 5)
void trace_step(struct trace *t, const char *stage, const char *verdict, const char *format, ...);
void trace_outcome(struct trace *t, const char *verdict);
void trace_set_drop(struct trace *t, enum drop reason);
/* The step and the outcome in one; always false. */
bool trace_drop(struct trace *t, const char *stage, enum drop reason);
bool trace_answered(struct trace *t, const char *text);

/* The edge of that enum flow_origin or flow_exit; towards the NIC's physical network, its own. */
const struct edge *trace_edge(const struct trace *t, unsigned place);
const char *trace_edge_word(unsigned place);

/* ---- the way of a packet ---- */

/* Parses the frame and asks who answers frames. True: it is a packet with a key, of which more is to be said. */
bool trace_check_frame(struct trace *t);
/* It is a DHCP client's, of either family; always false. */
bool trace_ask_dhcp(struct trace *t);
/* No connection has it. */
void trace_first_packet(struct trace *t);
/* The connection of it: its flow, and the other direction. */
void trace_known_flow(struct trace *t, const struct flow *flow, const struct flow *pair);
