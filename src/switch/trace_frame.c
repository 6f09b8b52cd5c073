/* What becomes of a traced frame before it is of a connection: see trace.c. */
#include "switch/decide.h"
#include "switch/flow_text.h"
#include "switch/layers/layer.h"
#include "switch/parse.h"
#include "switch/respond/respond.h"
#include "switch/trace_priv.h"

/* The sender's MAC is of somebody here: see arrival.c. */
static bool is_mac_here(const struct trace *t)
{
	const uint8_t *mac = t->frame + ETH_SRC;

	return snapshot_find_mac(t->state, t->nic->network->segment, mac) || memcmp(mac, gateway_mac, 6) == 0;
}

/* From the wire: see arrival.c. */
static enum drop check_stranger(struct trace *t)
{
	t->parsed.flags |= PACKET_ON_WIRE;
	return t->frame[ETH_SRC] & 1 || is_mac_here(t) ? DROP_SPOOFED_PHYSICAL
	       : t->frame[ETH_DST] & 1                 ? DROP_MULTICAST
	       : nic_is_on_wire(t->nic)                ? DROP_ON_WIRE
						       : DROP_NONE;
}

/* Whether a neighbour on the wire gets it from the NIC's function, when the guest has found the neighbour's MAC. */
static bool goes_past(const struct trace *t)
{
	struct owner owner = snapshot_find(t->state, t->nic->network->space, t->words.dst);
	bool routed = false;

	if (t->words.kind != PACKET_WORDS_IP || t->words.has_dmac)
		return false;
	if (owner.kind == OWNER_NIC)
		return owner.nic->subnet == t->nic->subnet && nic_is_on_wire(owner.nic);
	return vlan_remote(t->state, t->nic, t->words.dst).family != IP_NONE &&
	       route_via(t->nic, t->words.dst, &routed).family != IP_NONE && !routed;
}

/* By the NIC's function, which is on the wire. */
static bool check_function(struct trace *t)
{
	const uint8_t *to = t->frame + ETH_DST;
	const struct nic *neighbour = snapshot_find_mac(t->state, t->nic->network->segment, to);

	t->parsed.flags |= PACKET_BY_FUNCTION;
	if (goes_past(t)) {
		trace_step(t, "deliver", "passed",
			"its function sends it to the physical network, past the switch");
		trace_outcome(t, "forwarded");
		return false;
	}
	if (memcmp(to, gateway_mac, 6) == 0)
		return true;
	t->parsed.flags |= PACKET_ON_WIRE;
	return to[0] & 1 || (neighbour && !nic_is_on_wire(neighbour)) || trace_drop(t, "mac", DROP_ON_WIRE);
}

static bool check_mac(struct trace *t)
{
	char mac[MAC_TEXT_MAX];

	if (t->origin == FLOW_FROM_TUNNEL || t->origin == FLOW_FROM_PHYSICAL) {
		g_autofree char *segment = flow_segment_format(t->state, t->nic->network->segment);
		enum drop reason = t->origin == FLOW_FROM_PHYSICAL ? check_stranger(t) : DROP_NONE;
		if (reason != DROP_NONE)
			return trace_drop(t, "mac", reason);
		if (memcmp(t->frame + ETH_DST, t->nic->mac.bytes, 6) != 0)
			return trace_drop(t, "mac", DROP_UNKNOWN_MAC);
		trace_step(t, "mac", "passed", "it comes by the %s, %s", trace_edge_word(t->origin), segment);
		return true;
	}
	if (t->origin != FLOW_FROM_NIC) {
		if (memcmp(t->frame + ETH_DST, trace_edge(t, t->origin)->mac.bytes, 6) != 0)
			return trace_drop(t, "mac", DROP_NOT_OURS);
		trace_step(t, "mac", "passed", "it comes by the %s, for the switch's MAC",
			trace_edge_word(t->origin));
		return true;
	}
	if (memcmp(t->frame + ETH_SRC, t->nic->mac.bytes, 6) != 0)
		return trace_drop(t, "mac", DROP_SPOOFED_MAC);
	bool on_wire = nic_is_on_wire(t->nic);
	trace_step(t, "mac", "passed", "%s is NIC %s%s", mac_format(t->nic->mac, mac), t->nic->name,
		on_wire ? ", by its function on the physical network" : "");
	return !on_wire || check_function(t);
}

static bool check_arp(struct trace *t)
{
	const uint8_t *mac = NULL;
	struct mac_addr addr;
	char text[MAC_TEXT_MAX];
	enum drop reason = arp_answer(t->state, t->nic, t->frame + ETH_LEN, &mac);

	if (reason != DROP_NONE)
		return trace_drop(t, "responders", reason);
	if (!mac) {
		g_autofree char *segment = flow_segment_format(t->state, t->nic->network->segment);
		trace_step(t, "responders", "passed", "it %s %s as it is",
			t->parsed.flags & PACKET_ON_WIRE ? "is on" : "goes to", segment);
		trace_outcome(t, "forwarded");
		return false;
	}
	memcpy(addr.bytes, mac, 6);
	g_autofree char *answer =
		g_strdup_printf("the switch answers that it is at %s", mac_format(addr, text));
	return trace_answered(t, answer);
}

static bool check_nd(struct trace *t, uint32_t available)
{
	struct nd_answer answer;
	struct mac_addr addr;
	char text[MAC_TEXT_MAX];
	enum drop reason = nd_answer(t->state, t->nic, &t->parsed, t->frame, available, &answer);

	if (reason != DROP_NONE)
		return trace_drop(t, "responders", reason);
	if (answer.router)
		return trace_answered(t, "the switch answers as the router");
	memcpy(addr.bytes, answer.mac, 6);
	g_autofree char *says = g_strdup_printf("the switch answers that it is at %s%s",
		mac_format(addr, text), answer.to_all ? ", so that the address is not taken twice" : "");
	return trace_answered(t, says);
}

bool trace_check_frame(struct trace *t)
{
	uint32_t available = MIN(t->length, (uint32_t)PACKET_WORDS_FRAME);

	parse_frame(t->frame, available, t->length, &t->parsed);
	t->parsed.key.nic = t->shared ? FLOW_NIC_SHARED : t->nic->id;
	t->parsed.key.origin = (uint8_t)t->origin;
	if (!check_mac(t))
		return false;
	if (t->parsed.kind == PACKET_DROP)
		return trace_drop(t, "parse", t->parsed.drop);
	if (t->parsed.kind == PACKET_ARP) {
		trace_step(t, "parse", "passed", "ARP, %u bytes", t->length);
		return check_arp(t);
	}
	if (t->parsed.kind == PACKET_ND) {
		trace_step(t, "parse", "passed", "neighbour discovery, %u bytes", t->parsed.l3_length);
		return check_nd(t, available);
	}
	g_autofree char *key = flow_key_format(&t->parsed.key);
	if (t->parsed.kind == PACKET_ICMP_ERROR) {
		trace_step(t, "parse", "passed",
			"%s, an error: it passes along the connection that it quotes", key);
		return trace_drop(t, "flow", DROP_ICMP_NO_FLOW);
	}
	trace_step(t, "parse", "passed", "%s, %u bytes", key, t->parsed.l3_length);
	return true;
}
