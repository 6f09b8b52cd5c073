/* Connections: the state of a pair of flows, worked out from what each direction saw.
 *
 * How it works: a packet only leaves a trace in its own direction (TCP flags, time, counters; flow.h), so the
 * two workers of a connection never write the same line. The state is what those two traces add up to, and is
 * worked out when somebody asks: the ager, a new SYN, the operator.
 */
#pragma once
#include "switch/flow.h"

enum connection_state {
	/* Only the side that opened it has spoken. Left by the first answer (TCP: when both have
	 * acknowledged), or by its time-out. */
	CONNECTION_NEW,
	/* Left by FIN, RST, its time-out, or a revocation. */
	CONNECTION_ESTABLISHED,
	/* TCP: one side has sent FIN; the other may go on for long. */
	CONNECTION_CLOSING,
	/* TCP: both have sent FIN, or one RST, each in the other's window (tcp.h). What is under way passes; a
	 * SYN begins a new connection in its place. */
	CONNECTION_CLOSED,
	/* Policy no longer allows it: both directions drop. It stays while packets come, since the answers of
	 * the side that was spoken to would otherwise look like a new connection of its own, which other
	 * rules may allow. Left by silence, by a SYN (a new connection, judged anew), or by a state that
	 * allows it again. */
	CONNECTION_BLOCKED,
	CONNECTION_STATES,
};

/* "established" */
const char *connection_word(enum connection_state state);

enum connection_state connection_state(const struct flow *forward, const struct flow *reply);
/* The same by either direction and the other. */
enum connection_state connection_state_of(const struct flow *flow, const struct flow *pair);

/* How long one of TCP may be silent once it is established (RFC 5382, REQ-5). */
#define CONNECTION_TCP_ESTABLISHED_S 7440u

/* How long a connection may be silent. */
uint32_t connection_timeout_ms(uint8_t protocol, enum connection_state state);

/* Neither direction has seen a packet for longer than its state permits. now_ms and the flows' clocks wrap.
 */
bool connection_expired(const struct flow *forward, const struct flow *reply, uint32_t now_ms);
/* The same whatever its state, by what an established one is permitted. */
bool connection_is_forgotten(const struct flow *forward, const struct flow *reply, uint32_t now_ms);
