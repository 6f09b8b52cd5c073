/* States and time-outs of connections. */
#include "switch/conntrack.h"

#include "switch/tcp.h"

#define SECOND 1000u

static const char *const words[CONNECTION_STATES] = {
	[CONNECTION_NEW] = "new",
	[CONNECTION_ESTABLISHED] = "established",
	[CONNECTION_CLOSING] = "closing",
	[CONNECTION_CLOSED] = "closed",
	[CONNECTION_BLOCKED] = "blocked",
};

/* Sources: RFC 5382 (TCP: 2 h 4 min, 4 min), RFC 4787 (UDP: 5 min), RFC 5508 (ICMP: 60 s). */
enum { TIMEOUT_TCP, TIMEOUT_UDP, TIMEOUT_ICMP, TIMEOUT_OTHER, TIMEOUT_ROWS };
static const uint32_t timeouts_ms[TIMEOUT_ROWS][CONNECTION_STATES] = {
	[TIMEOUT_TCP] = {60 * SECOND, CONNECTION_TCP_ESTABLISHED_S *SECOND, 240 * SECOND, 30 * SECOND,
		60 * SECOND},
	[TIMEOUT_UDP] = {30 * SECOND, 300 * SECOND, 0, 0, 60 * SECOND},
	[TIMEOUT_ICMP] = {30 * SECOND, 60 * SECOND, 0, 0, 60 * SECOND},
	[TIMEOUT_OTHER] = {60 * SECOND, 300 * SECOND, 0, 0, 60 * SECOND},
};

const char *connection_word(enum connection_state state)
{
	return words[state];
}

static enum connection_state tcp_state(uint8_t forward, uint8_t reply)
{
	if ((forward | reply) & TCP_RST || forward & reply & TCP_FIN)
		return CONNECTION_CLOSED;
	if ((forward | reply) & TCP_FIN)
		return CONNECTION_CLOSING;
	return forward & reply & TCP_ACK ? CONNECTION_ESTABLISHED : CONNECTION_NEW;
}

enum connection_state connection_state(const struct flow *forward, const struct flow *reply)
{
	if (flow_is_blocked(forward))
		return CONNECTION_BLOCKED;
	if (forward->key.protocol == PROTO_TCP)
		return tcp_state(tcp_flags_seen(__atomic_load_n(&forward->tcp, __ATOMIC_RELAXED)),
			tcp_flags_seen(__atomic_load_n(&reply->tcp, __ATOMIC_RELAXED)));
	return __atomic_load_n(&reply->packets, __ATOMIC_RELAXED) ? CONNECTION_ESTABLISHED : CONNECTION_NEW;
}

enum connection_state connection_state_of(const struct flow *flow, const struct flow *pair)
{
	return flow->reply ? connection_state(pair, flow) : connection_state(flow, pair);
}

uint32_t connection_timeout_ms(uint8_t protocol, enum connection_state state)
{
	switch (protocol) {
	case PROTO_TCP: return timeouts_ms[TIMEOUT_TCP][state];
	case PROTO_UDP: return timeouts_ms[TIMEOUT_UDP][state];
	case PROTO_ICMP:
	case PROTO_ICMPV6: return timeouts_ms[TIMEOUT_ICMP][state];
	default: return timeouts_ms[TIMEOUT_OTHER][state];
	}
}

static bool silent_for(const struct flow *flow, uint32_t now_ms, uint32_t limit_ms)
{
	/* Differences are signed: another worker's clock may be a little ahead of this one's. */
	return (int32_t)(now_ms - __atomic_load_n(&flow->seen_ms, __ATOMIC_RELAXED)) > (int32_t)limit_ms;
}

static bool both_silent_for(
	const struct flow *forward, const struct flow *reply, enum connection_state state, uint32_t now_ms)
{
	uint32_t limit = connection_timeout_ms(forward->key.protocol, state);

	return silent_for(forward, now_ms, limit) && silent_for(reply, now_ms, limit);
}

bool connection_expired(const struct flow *forward, const struct flow *reply, uint32_t now_ms)
{
	return both_silent_for(forward, reply, connection_state(forward, reply), now_ms);
}

bool connection_is_forgotten(const struct flow *forward, const struct flow *reply, uint32_t now_ms)
{
	return both_silent_for(forward, reply, CONNECTION_ESTABLISHED, now_ms);
}
