/* Trace: what would become of a packet.
 *
 * How it works. The description becomes a frame, and the frame goes the way of a real one through the same
 * functions: the parser and the check of its MAC (trace_frame.c), the flow table, the responders, the checks
 * of a first packet, the layers (decide_observed), the quota, the table's room, the checks of execution
 * (trace_connection.c). Only what these would do is left out: no flow is put in, nothing is counted, nothing is
 * sent. Each leaves a step; the first that refuses or answers is the last.
 *
 * A packet of a known connection is executed by its flows; the layers are asked all the same, as they are
 * when the state changes, since what they say is what the flows were composed from.
 */
#include "switch/trace.h"

#include "base/fault.h"
#include "switch/connections.h"
#include "switch/decode.h"
#include "switch/flow_query.h"
#include "switch/layers/layer.h"
#include "switch/lookup.h"
#include "switch/trace_priv.h"

/* ---- steps and outcomes ---- */

void trace_step(struct trace *t, const char *stage, const char *verdict, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	g_autofree char *text = g_strdup_vprintf(format, args);
	va_end(args);
	json_array_append_new(
		t->steps, json_pack("{s:s, s:s, s:s}", "stage", stage, "verdict", verdict, "text", text));
}

void trace_outcome(struct trace *t, const char *verdict)
{
	json_object_set_new(t->result, "verdict", json_string(verdict));
}

void trace_set_drop(struct trace *t, enum drop reason)
{
	trace_outcome(t, "dropped");
	json_object_set_new(t->result, "drop",
		json_pack("{s:s, s:s}", "reason", drop_word(reason), "text", drop_text(reason)));
}

bool trace_drop(struct trace *t, const char *stage, enum drop reason)
{
	trace_step(t, stage, "refused", "%s", drop_text(reason));
	trace_set_drop(t, reason);
	return false;
}

bool trace_answered(struct trace *t, const char *text)
{
	trace_step(t, "responders", "answered", "%s", text);
	trace_outcome(t, "answered");
	return false;
}

/* ---- edges ---- */

const struct edge *trace_edge(const struct trace *t, unsigned place)
{
	return place == FLOW_TO_PHYSICAL ? &t->nic->network->physical->edge : snapshot_edge(t->state, place);
}

const char *trace_edge_word(unsigned place)
{
	return place == FLOW_TO_OUTSIDE    ? "uplink"
	       : place == FLOW_TO_TUNNEL   ? "underlay"
	       : place == FLOW_TO_PHYSICAL ? "physical network"
					   : "host port";
}

/* ---- where it comes from ---- */

static bool is_host_address(const struct nic *nic, struct ip_addr addr)
{
	static const uint8_t none[4];

	return addr.family == IP_V4 && memcmp(nic->host_address, none, 4) != 0 &&
	       memcmp(nic->host_address, addr.bytes, 4) == 0;
}

/* "in": by an edge, or from a neighbour, whose packet it then is. */
static bool find_sender(struct trace *t, GError **error)
{
	char dst[IP_TEXT_MAX], src[IP_TEXT_MAX];
	struct ip_addr to = t->words.dst;
	struct owner owner = snapshot_find(t->state, SPACE_PUBLIC, to);

	ip_format(to, dst);
	ip_format(t->words.src, src);
	if (t->words.kind != PACKET_WORDS_IP)
		return fault_set(error, FAULT_INVALID,
			"packet: ARP, neighbour discovery and DHCP are traced on their way out only");
	if (owner.kind == OWNER_NIC && owner.nic->load_balancer)
		t->nic = owner.nic; /* whose choice may be another member */
	if ((owner.kind == OWNER_NIC && owner.nic == t->nic) ||
		(owner.kind == OWNER_SHARED && network_shares(t->nic->network, to.bytes))) {
		t->origin = FLOW_FROM_OUTSIDE;
		t->shared = owner.kind == OWNER_SHARED;
	} else if (is_host_address(t->nic, to)) {
		t->origin = FLOW_FROM_HOST;
	} else if (!nic_find_address(t->nic, to)) {
		return fault_set(
			error, FAULT_INVALID, "packet: %s is no address of NIC %s", dst, t->nic->name);
	} else {
		owner = snapshot_find(t->state, t->nic->network->space, t->words.src);
		if (vxlan_remote(t->state, t->nic, t->words.src)) {
			t->origin = FLOW_FROM_TUNNEL;
			return true;
		}
		if (vlan_remote(t->state, t->nic, t->words.src).family != IP_NONE) {
			t->origin = FLOW_FROM_PHYSICAL;
			return true;
		}
		if (owner.kind != OWNER_NIC || owner.nic == t->nic)
			return fault_set(error, FAULT_INVALID,
				"packet: no other NIC of the network has the address %s; from outside, a "
				"packet is for a public address of the NIC, from the host for its host "
				"address",
				src);
		t->nic = owner.nic;
	}
	if (t->origin != FLOW_FROM_NIC && !trace_edge(t, t->origin)->present)
		return fault_set(error, FAULT_INVALID,
			"packet: the switch has no %s, so nothing comes from there",
			trace_edge_word(t->origin));
	return true;
}

/* Of what is for all, or for a group of IPv6 (RFC 2464, section 7). */
static struct mac_addr group_mac(const struct packet_words *w)
{
	struct mac_addr mac = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

	if (w->dst.family != IP_V6)
		return mac;
	mac.bytes[0] = mac.bytes[1] = 0x33;
	memcpy(mac.bytes + 2, w->dst.bytes + 12, 4);
	if (w->kind == PACKET_WORDS_ND)
		mac.bytes[2] = 0xff;
	return mac;
}

static void set_macs(struct trace *t)
{
	struct packet_words *w = &t->words;
	bool from_nic = t->origin == FLOW_FROM_NIC;
	struct owner owner = snapshot_find(t->state, t->nic->network->space, w->dst);

	if (!w->has_smac && from_nic)
		w->smac = t->nic->mac;
	if (w->has_dmac)
		return;
	if (t->origin == FLOW_FROM_TUNNEL || t->origin == FLOW_FROM_PHYSICAL)
		w->dmac = t->nic->mac;
	else if (!from_nic)
		w->dmac = trace_edge(t, t->origin)->mac;
	else if (packet_words_is_for_all(w))
		w->dmac = group_mac(w);
	else if (owner.kind == OWNER_NIC && owner.nic->subnet == t->nic->subnet)
		w->dmac = owner.nic->mac;
	else
		memcpy(w->dmac.bytes, gateway_mac, 6);
}

/* ---- the method ---- */

static void run(struct trace *t)
{
	struct flow flow, pair;

	set_macs(t);
	t->length = packet_words_build(&t->words, t->frame);
	if (!trace_check_frame(t))
		return;
	if (flow_query_find(t->datapath, &t->parsed.key, &flow, &pair)) {
		trace_known_flow(t, &flow, &pair);
	} else if (connections_look_moved(t->datapath, t->state, &t->parsed.key, &flow, &pair)) {
		trace_step(t, "flow", "found", "its connection came another way before a NIC moved");
		trace_known_flow(t, &flow, &pair);
	} else {
		trace_step(t, "flow", "none", "no connection has it: a first packet");
		trace_first_packet(t);
	}
}

struct trace_params {
	const char *nic, *packet; /* Borrowed */
};

static const struct decode_member trace_members[] = {
	{"nic", decode_word, offsetof(struct trace_params, nic)},
	{"packet", decode_word, offsetof(struct trace_params, packet)},
	{},
};

json_t *trace_packet(const struct datapath *datapath, json_t *params, GError **error)
{
	struct trace t = {
		.datapath = datapath, .state = datapath_snapshot(datapath), .origin = FLOW_FROM_NIC};
	struct trace_params words = {};

	if (!decode_params(params, trace_members, &words, error))
		return NULL;
	const struct nic *asked = t.nic = lookup_nic(t.state, words.nic, error);
	if (!asked || !packet_words_parse(words.packet, &t.words, error) ||
		(t.words.inwards && !find_sender(&t, error)))
		return NULL;
	t.steps = json_array();
	t.result = json_pack(
		"{s:s, s:s, s:o, s:n}", "nic", asked->uid, "packet", words.packet, "steps", t.steps, "flow");
	run(&t);
	return t.result;
}
