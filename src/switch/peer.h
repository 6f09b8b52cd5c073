/* The other end of a NIC's connection: where its packets come from, as the present state has it.
 *
 * A NIC knows its connections by what it sends itself, wherever it is. Where the answers enter the switch, or what
 * began the connection did, is another matter: the other end is a NIC here today, and behind the tunnel or on the wire
 * once it, or this one, has gone to another host.
 */
#pragma once
#include "switch/snapshot.h"

struct flow_key;

/* own: what the NIC sends (origin FLOW_FROM_NIC). alias: the address that the other end has for the NIC, which is
 * own's source unless it is translated; as in struct flow_key. False when the NIC is not here, or its routes lead
 * nowhere within its network. It is not asked whether that is allowed, or anybody there: decide() knows. */
bool peer_key(const struct snapshot *state, const struct flow_key *own, const uint8_t alias[16],
	struct flow_key *ret);

/* What answers a packet of that key, as it enters the switch; where the layers decide nothing else of it. False when
 * that cannot be told: only its flow knows whose a packet to a shared address is. */
bool peer_answer(const struct snapshot *state, const struct flow_key *key, struct flow_key *ret);

/* The first packet's key of a connection as it enters the switch now; `forward`'s own where nothing else is known. */
struct flow_key peer_first(
	const struct snapshot *state, const struct flow_key *forward, const struct flow_key *reply);
