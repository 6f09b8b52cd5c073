/* Ports of shared addresses: see source_nat.h. */
#include "switch/source_nat.h"

#include "switch/conntrack.h"

#define TRIES      64
#define PORT_FIRST 1024u
#define PORTS      (65536u - PORT_FIRST)

/* The n-th port to try, of all that the hash begins: multiples of the golden ratio lie far apart. */
static uint16_t candidate(uint32_t hash, uint32_t n)
{
	uint32_t spread = (hash + n) * 0x9e3779b1u;

	return htobe16((uint16_t)(PORT_FIRST + (uint32_t)((uint64_t)spread * PORTS >> 32)));
}

/* Who has the key of the answers. */
enum holder { HOLDER_NOBODY, HOLDER_OVER, HOLDER_ALIVE };

static enum holder holder_of(const struct flow_table *table, const struct flow_key *reply)
{
	struct flow flow, pair;

	if (!flow_table_find_copy(table, reply, &flow, &pair))
		return HOLDER_NOBODY;
	return connection_state_of(&flow, &pair) == CONNECTION_CLOSED ? HOLDER_OVER : HOLDER_ALIVE;
}

static bool decide_with(const struct snapshot *state, const struct flow_key *first, uint16_t port,
	const struct decision *present, struct decision *ret)
{
	struct flow_alias alias = flow_alias_of(&present->reply.key, &present->forward.action);

	alias.port = port;
	return decide_as(state, first, false, &alias, ret) && ret->shared;
}

bool source_nat_choose(struct flow_table *table, const struct snapshot *state, const struct flow_key *first,
	struct decision *decision, bool *ret_over)
{
	const uint32_t hash = flow_table_key_hash(table, first);
	const struct decision present = *decision;
	struct flow_key reply = present.reply.key;
	uint16_t port_of_over = 0;
	bool over = false;

	*ret_over = false;
	for (uint32_t n = 0; n < TRIES; n++) {
		uint16_t port = flow_alias_of(&reply, &present.forward.action).port;
		enum holder holder = holder_of(table, &reply);
		if (holder == HOLDER_NOBODY && decide_with(state, first, port, &present, decision))
			return true;
		if (holder == HOLDER_OVER && !over) {
			over = true;
			port_of_over = port;
		}
		flow_alias_set_port(&reply, candidate(hash, n));
	}
	*ret_over = over;
	return over && decide_with(state, first, port_of_over, &present, decision);
}
