/* The conformance test of offload providers: whatever they send of flows that the switch has decided, the switch would
 * have sent, bit by bit, by the same port; and what flows mean (offload/flow.h), they do send.
 *
 * Random worlds and traffic (policy/policy_gen.h, test_traffic.h), with the model (test_model.h) as reference: connections
 * are opened through the switch, all its flows are offloaded, and each later packet is given to all three. Then the world
 * changes, and what the switch has decided anew is offloaded anew. Tunnels and VLANs have worlds of their own (test_offload.h).
 *
 * Then the same as it runs: the offloader (offloader.h) chooses, a packet goes to the provider and only what that lets
 * through to the switch, and a change is published with flows in the provider. Whoever sends a packet does as the reference.
 *
 *     offload_conformance_test                     the model NIC
 *     offload_conformance_test --wire wire         tc, on veth pairs (test_executor.h)
 */
#include "switch/neighbour.h"
#include "switch/offload_flows.h"
#include "switch/offloader.h"
#include "switch/output.h"
#include "switch/test_executor.h"
#include "switch/test_lab.h"
#include "switch/test_model.h"
#include "switch/test_offload.h"
#include "switch/test_traffic.h"
#include "switch/test_values.h"
#include "switch/test_vlan.h"

#include <string.h>

#define GROUPS_MAX       100 /* policy_gen's */
#define NETWORKS_MAX     16
#define CONNECTIONS      60 /* opened between two changes */
#define CHANGES          3
#define PROBES           3 /* of each direction */
#define LAB_ROOM         20000
#define PACKETS_A_SECOND 400 /* the switch limits its ICMP errors */
/* Of worlds whose flows the switch chooses: connections that are made hot, by so many packets each way, and changes while they
 * are. */
#define CHOSEN_CONNECTIONS 10
#define CHOSEN_PACKETS     20
#define CHOSEN_CHANGES     4

/* X(NAME, "what it counts"): what must have happened. */
#define MET(X)                                                                                               \
	X(V4, "IPv4 packets sent")                                                                           \
	X(V6, "IPv6 packets sent")                                                                           \
	X(TCP, "TCP packets sent")                                                                           \
	X(UDP, "UDP packets sent")                                                                           \
	X(OTHER, "packets of protocols without ports sent")                                                  \
	X(OPTIONS, "packets with IPv4 options sent")                                                         \
	X(NO_CHECKSUM, "UDP packets without a checksum sent")                                                \
	X(SOURCE, "packets sent with another source")                                                        \
	X(DESTINATION, "packets sent with another destination")                                              \
	X(HOP, "packets sent with a hop less")                                                               \
	X(IN, "packets sent from outside")                                                                   \
	X(OUT, "packets sent to the outside")                                                                \
	X(UP, "packets let through without a flow")                                                          \
	X(UP_FLAGS, "SYNs, FINs and RSTs let through")                                                       \
	X(UP_FRAGMENT, "fragments let through")                                                              \
	X(UP_HOPS, "last hops let through")                                                                  \
	X(UP_STRANGER, "packets of other MACs or ports let through")                                         \
	X(DROPPED, "packets that policy drops, let through")                                                 \
	X(REFUSED, "flows that cannot be offloaded")                                                         \
	X(AGAIN, "flows offloaded after a change")

/* The same of worlds whose flows the switch chooses. */
#define CHOSEN(X)                                                                                            \
	X(SENT, "packets sent by the provider")                                                              \
	X(UP, "packets let through")                                                                         \
	X(KEPT, "packets sent right after a change, by flows that stayed")                                   \
	X(LEFT, "flows that a change took out")                                                              \
	X(DROPPED, "packets of connections that a change has revoked")

enum met {
#define X(NAME, text) MET_##NAME,
	MET(X)
#undef X
		MET_N
};

enum chosen {
#define X(NAME, text) CHOSEN_##NAME,
	CHOSEN(X)
#undef X
		CHOSEN_N
};

static char *wire; /* namespace of the far ends; NULL: the model NIC */

struct talk {
	unsigned port, far_port;
	struct test_packet first, answer;
};

/* A direction that is offloaded, by what its packets look like. */
struct seen_flow {
	uint32_t port;
	uint8_t src[16], dst[16];
	uint16_t sport, dport;
	uint8_t protocol, zero[3];
};
G_STATIC_ASSERT(sizeof(struct seen_flow) == 44);

struct run {
	struct fixture lab;
	struct traffic traffic;
	struct policy_gen_coverage coverage;
	const struct policy_gen_world *world;
	struct model *model;
	struct executor *executor;
	bool revalidate[GROUPS_MAX];
	struct ip_addr shared[NETWORKS_MAX]; /* none */
	GArray *talks;
	GHashTable *offloaded; /* struct seen_flow → struct offload_flow */
	uint64_t generation, seed;
	unsigned n_packets;
	unsigned *met; /* Borrowed */
	bool chosen; /* all ports are the provider's, and the offloader chooses */
};

static const char *port_name(const struct run *run, unsigned port)
{
	if (port < run->world->n_nics)
		return run->world->nics[port].uid;
	return port == MODEL_OUTSIDE(run->world->n_nics) ? "out" : "host";
}

static guint seen_hash(gconstpointer key)
{
	g_autoptr(GBytes) bytes = g_bytes_new_static(key, sizeof(struct seen_flow));

	return g_bytes_hash(bytes);
}

static gboolean seen_equal(gconstpointer a, gconstpointer b)
{
	return memcmp(a, b, sizeof(struct seen_flow)) == 0;
}

/* ---- comparing ---- */

static G_NORETURN void differ(const struct run *run, const struct test_packet *packet, const char *what)
{
	g_autofree char *text = test_packet_text(packet);

	g_error("world %" G_GUINT64_FORMAT ": %s: %s", run->seed, text, what);
}

static char *hex(const void *bytes, size_t length)
{
	GString *text = g_string_new(NULL);

	for (size_t i = 0; i < length; i++)
		g_string_append_printf(text, "%02x", ((const uint8_t *)bytes)[i]);
	return g_string_free(text, false);
}

static void compare(const struct run *run, const struct test_packet *packet, const char *who,
	const struct test_frame *want, const void *got, size_t size)
{
	if (size == want->length && memcmp(got, want->bytes, size) == 0)
		return;
	g_autofree char *want_text = hex(want->bytes, want->length), *got_text = hex(got, size);
	g_autofree char *what = g_strdup_printf("%s must send\n%s\nand sent\n%s", who, want_text, got_text);
	differ(run, packet, what);
}

/* ---- the switch and the model ---- */

/* Next hops answer at once. */
static void learn(struct run *run, const struct model_outcome *outcome)
{
	bool outside = outcome->port == MODEL_OUTSIDE(run->world->n_nics);
	unsigned place = outside ? FLOW_TO_OUTSIDE : FLOW_TO_HOST;
	const struct snapshot *snapshot = datapath_snapshot(run->lab.datapath);
	const struct mac_addr mac = model_neighbour_mac(outcome->next_hop);
	uint8_t known[6];

	struct neighbour_table *table = datapath_neighbours(run->lab.datapath, place);
	if (neighbour_find(table, outcome->next_hop.bytes, run->lab.now_ms, known))
		return;
	vlan_drain(&run->lab, port_name(run, outcome->port)); /* the question */
	neighbour_learn(
		table, run->lab.worker, snapshot_edge(snapshot, place), outcome->next_hop.bytes, mac.bytes);
	output_flush(run->lab.worker);
}

static void pass_second(struct run *run)
{
	run->lab.now_ms += SECOND;
	worker_begin(run->lab.worker, run->lab.now_ms);
}

/* Through the switch, which does as the model does. Returns what that is. */
static struct model_outcome send_packet(struct run *run, unsigned port, const struct test_packet *packet)
{
	struct model_outcome outcome = model_send(run->model, port, packet);
	gsize size = 0;

	if (!run->chosen && ++run->n_packets % PACKETS_A_SECOND == 0)
		pass_second(run);
	lab_put(&run->lab, port_name(run, port), test_packet_write(packet));
	if (!outcome.answer)
		return outcome;
	if (outcome.next_hop.family != IP_NONE)
		learn(run, &outcome);
	g_autoptr(GBytes) out = port_fake_take(lab_port(&run->lab, port_name(run, outcome.port)));
	struct test_frame want = outcome.answer == MODEL_PACKET ? test_packet_write(&outcome.packet)
								: test_icmp_error_write(&outcome.error);
	const void *got = out ? g_bytes_get_data(out, &size) : "";
	compare(run, packet, "the switch", &want, got, size);
	return outcome;
}

static void open_connection(struct run *run)
{
	struct talk talk = {};

	talk.port = traffic_first(&run->traffic, &talk.first);
	struct model_outcome outcome = send_packet(run, talk.port, &talk.first);
	if (outcome.answer != MODEL_PACKET || outcome.packet.to.bytes[0] & 1 ||
		(outcome.port == talk.port && test_packet_is_icmp(&talk.first)))
		return;
	talk.far_port = outcome.port;
	talk.answer = traffic_answer(&run->traffic, outcome.port, &outcome.packet);
	send_packet(run, talk.far_port, &talk.answer);
	g_array_append_val(run->talks, talk);
}

/* ---- offloading ---- */

static struct seen_flow seen_of(uint32_t port, const struct offload_match *match)
{
	struct seen_flow seen = {
		.port = port, .sport = match->sport, .dport = match->dport, .protocol = match->protocol};

	memcpy(seen.src, match->src, 16);
	memcpy(seen.dst, match->dst, 16);
	return seen;
}

static void offload(struct run *run, const struct flow *flow, const struct flow *pair, bool again)
{
	struct offload_flow made;
	const char *reason;

	if (!offload_flows_make(run->lab.datapath, flow, pair, run->lab.now_ms, &made, &reason)) {
		run->met[MET_REFUSED]++;
		return;
	}
	g_autofree char *refused = executor_put(run->executor, &made);
	if (refused)
		g_error("world %" G_GUINT64_FORMAT ": the provider refuses a flow: %s", run->seed, refused);
	struct seen_flow seen = seen_of(made.match.port, &made.match);
	g_hash_table_insert(run->offloaded, g_memdup2(&seen, sizeof seen), g_memdup2(&made, sizeof made));
	run->met[MET_AGAIN] += again;
}

static void offload_all(struct run *run, bool again)
{
	struct flow flow, pair;

	for (uint32_t i = 1; i < flow_table_end(run->lab.datapath->flows); i++)
		if (flow_table_copy_both(run->lab.datapath->flows, i, &flow, &pair))
			offload(run, &flow, &pair, again);
}

static const struct offload_flow *find_flow(struct run *run, uint32_t port, const struct test_packet *packet)
{
	bool ports = packet->protocol == IPPROTO_TCP || packet->protocol == IPPROTO_UDP;
	struct seen_flow seen = {.port = port, .protocol = packet->protocol};

	memcpy(seen.src, packet->source.bytes, 16);
	memcpy(seen.dst, packet->destination.bytes, 16);
	seen.sport = ports ? htobe16(packet->source_port) : 0;
	seen.dport = ports ? htobe16(packet->destination_port) : 0;
	return g_hash_table_lookup(run->offloaded, &seen);
}

/* ---- probing ---- */

static void tally_sent(struct run *run, unsigned port, const struct test_packet *packet,
	const struct model_outcome *outcome, const struct offload_actions *actions)
{
	unsigned *met = run->met, outside = MODEL_OUTSIDE(run->world->n_nics);

	met[packet->source.family == IP_V6 ? MET_V6 : MET_V4]++;
	met[packet->protocol == IPPROTO_TCP       ? MET_TCP
		: packet->protocol == IPPROTO_UDP ? MET_UDP
						  : MET_OTHER]++;
	met[MET_OPTIONS] += packet->options > 0;
	met[MET_NO_CHECKSUM] += packet->no_checksum && packet->protocol == IPPROTO_UDP;
	met[MET_SOURCE] += actions->set_src;
	met[MET_DESTINATION] += actions->set_dst;
	met[MET_HOP] += actions->hop;
	met[MET_IN] += port == outside;
	met[MET_OUT] += outcome->port == outside;
}

/* Why a packet of an offloaded flow goes up; MET_UP: there is no reason. */
static enum met exception_of(const struct test_packet *packet, const struct offload_flow *flow)
{
	if (packet->cut)
		return MET_UP_FRAGMENT;
	if (packet->protocol == IPPROTO_TCP && packet->tcp_flags & 7)
		return MET_UP_FLAGS;
	if (packet->hops < 2)
		return MET_UP_HOPS;
	if ((flow->match.has_smac && memcmp(flow->match.smac, packet->from.bytes, 6) != 0) ||
		(flow->match.has_dmac && memcmp(flow->match.dmac, packet->to.bytes, 6) != 0))
		return MET_UP_STRANGER;
	return MET_UP;
}

/* The packet through all three. */
static void probe(struct run *run, unsigned port, const struct test_packet *packet)
{
	uint32_t number = lab_port(&run->lab, port_name(run, port))->index, out_number;
	const struct offload_flow *flow = find_flow(run, number, packet);
	struct model_outcome outcome = send_packet(run, port, packet);
	struct test_frame frame = test_packet_write(packet), out;
	enum met exception = flow ? exception_of(packet, flow) : MET_UP;

	if (executor_run(run->executor, number, &frame, &out_number, &out) == EXECUTOR_UP) {
		if (flow && exception == MET_UP)
			differ(run, packet, "its flow is offloaded, but it was let through");
		run->met[exception]++;
		run->met[MET_DROPPED] += outcome.drop != DROP_NONE;
		return;
	}
	if (!flow || outcome.answer != MODEL_PACKET)
		differ(run, packet, "it was sent, and must not");
	if (exception == MET_UP_FLAGS || exception == MET_UP_FRAGMENT)
		differ(run, packet, "it was sent, and no flow means it");
	struct test_frame want = test_packet_write(&outcome.packet);
	compare(run, packet, executor_provider(run->executor)->caps.name, &want, out.bytes, out.length);
	if (out_number != lab_port(&run->lab, port_name(run, outcome.port))->index)
		differ(run, packet, "it was sent by another port");
	tally_sent(run, port, packet, &outcome, &flow->actions);
}

/* As the later ones of its connection, with something else: a part of one, or of another sender. */
static struct test_packet vary(const struct test_packet *packet)
{
	struct test_packet other = traffic_later(packet);

	switch (test_below(4)) {
	case 0:
		other.cut = 24;
		other.payload = (uint16_t)(24 + 1 + test_below(100));
		break;
	case 1: other.from.bytes[5] ^= 1; break;
	case 2: other.hops = 1; break;
	default: other.tcp_flags |= (uint8_t)(1 << test_below(2)); break; /* FIN, SYN */
	}
	return other;
}

static void probe_connection(struct run *run, const struct talk *talk)
{
	for (unsigned i = 0; i < PROBES; i++) {
		struct test_packet there = traffic_later(&talk->first), back = traffic_later(&talk->answer);
		probe(run, talk->port, &there);
		probe(run, talk->far_port, &back);
	}
	if (test_packet_is_icmp(&talk->first))
		return;
	struct test_packet other = vary(&talk->first);
	probe(run, talk->port, &other);
}

/* ---- worlds ---- */

static json_t *edge_state(const char *interface, struct mac_addr mac, struct ip_prefix prefix)
{
	char mac_text[MAC_TEXT_MAX], prefix_text[PREFIX_TEXT_MAX];

	return json_pack("{s:s, s:s, s:s}", "interface", interface, "mac", mac_format(mac, mac_text),
		"prefix", prefix_format(prefix, prefix_text));
}

static void mark_ports(json_t *state)
{
	size_t i;
	json_t *nic;

	json_object_set_new(json_object_get(state, "outside"), "offload", json_string("tc"));
	json_array_foreach(json_object_get(state, "nics"), i, nic) json_object_set_new(
		json_array_get(json_object_get(nic, "attachments"), 0), "offload", json_string("tc"));
}

static json_t *make_state(struct run *run)
{
	json_t *state = policy_gen_state(run->traffic.gen, ++run->generation);
	json_t *outside = edge_state("out", model_outside_mac, model_outside);
	char gateway[IP_TEXT_MAX];

	json_object_set_new(outside, "gateway", json_string(ip_format(model_outside_gateway, gateway)));
	json_object_set_new(state, "outside", outside);
	json_object_set_new(state, "host_port", edge_state("host", model_host_mac, model_host));
	for (unsigned g = 0; g < run->world->n_groups; g++)
		json_object_set_new(json_array_get(json_object_get(state, "groups"), g), "revalidate",
			json_boolean(run->revalidate[g]));
	if (run->chosen)
		mark_ports(state);
	return state;
}

/* The flows leave first; the first packet of each connection has the switch decide it anew. */
static void change_world(struct run *run)
{
	executor_flush(run->executor);
	g_hash_table_remove_all(run->offloaded);
	for (unsigned n = 1 + test_below(12); n; n--)
		policy_gen_change(run->traffic.gen);
	json_decref(run->lab.state);
	run->lab.state = make_state(run);
	lab_apply(&run->lab);
	model_change(run->model);
	for (unsigned i = 0; i < run->talks->len; i++) {
		const struct talk *talk = &g_array_index(run->talks, struct talk, i);
		struct test_packet there = traffic_later(&talk->first), back = traffic_later(&talk->answer);
		probe(run, talk->port, &there);
		probe(run, talk->far_port, &back);
	}
}

static void run_phase(struct run *run, bool again)
{
	for (unsigned i = 0; i < CONNECTIONS; i++)
		open_connection(run);
	offload_all(run, again);
	for (unsigned i = 0; i < run->talks->len; i++)
		probe_connection(run, &g_array_index(run->talks, struct talk, i));
}

static void run_fixed(struct run *run)
{
	run_phase(run, false);
	for (unsigned i = 0; i < CHANGES; i++) {
		change_world(run);
		run_phase(run, true);
	}
}

/* A random world, its switch and its provider, through which `go` takes packets. */
static void run_world(unsigned met[], bool chosen, void (*go)(struct run *run))
{
	const struct policy_gen_config config = {.rules_max = 40};
	struct run run = {.seed = (uint64_t)(uint32_t)g_test_rand_int(), .met = met, .chosen = chosen};

	_cleanup_(policy_gen_free) struct policy_gen *gen = policy_gen_new(run.seed, &config);
	_cleanup_(executor_free) struct executor *executor = executor_new(wire, EXECUTOR_NO_UNDERLAY);
	run.executor = executor;
	run.world = policy_gen_world(gen);
	run.traffic = (struct traffic){.gen = gen,
		.world = run.world,
		.coverage = &run.coverage,
		.shared = test_addr("203.0.113.250")}; /* nobody's */
	run.talks = g_array_new(false, true, sizeof(struct talk));
	run.offloaded = g_hash_table_new_full(seen_hash, seen_equal, g_free, g_free);
	for (unsigned g = 0; g < run.world->n_groups; g++)
		run.revalidate[g] = !traffic_once_in(3);
	run.model = model_new(run.world, run.revalidate, run.shared);
	lab_start(&run.lab, make_state(&run), LAB_ROOM, LAB_ROOM);
	go(&run);
	lab_teardown(&run.lab, NULL);
	model_free(run.model);
	g_hash_table_unref(run.offloaded);
	g_array_unref(run.talks);
}

static void assert_met(const unsigned met[], const char *const texts[], unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		g_test_message("%8u %s", met[i], texts[i]);
	for (unsigned i = 0; i < n; i++)
		if (!met[i])
			g_error("there were no %s", texts[i]);
}

static void test_worlds(void)
{
	static const char *const texts[MET_N] = {
#define X(NAME, text) text,
		MET(X)
#undef X
	};
	unsigned met[MET_N] = {};

	for (unsigned i = 0; i < (g_test_slow() ? 100 : 8); i++)
		run_world(met, false, run_fixed);
	assert_met(met, texts, MET_N);
}

/* ---- what the switch chooses ---- */

static struct offload_provider *lend(void *data, GError **error)
{
	return executor_lend(((struct run *)data)->executor);
}

/* By the provider, or else by the switch: as the reference does. Returns whether it was the provider. */
static bool deliver(struct run *run, unsigned port, const struct test_packet *packet)
{
	uint32_t number = lab_port(&run->lab, port_name(run, port))->index, out_number;
	struct test_frame frame = test_packet_write(packet), out;

	if (executor_run(run->executor, number, &frame, &out_number, &out) == EXECUTOR_UP) {
		struct model_outcome outcome = send_packet(run, port, packet);
		run->met[CHOSEN_UP]++;
		run->met[CHOSEN_DROPPED] += outcome.drop == DROP_REVOKED;
		return false;
	}
	struct model_outcome outcome = model_send(run->model, port, packet);
	if (outcome.answer != MODEL_PACKET)
		differ(run, packet, "the provider sent it, and it must not be sent");
	struct test_frame want = test_packet_write(&outcome.packet);
	compare(run, packet, executor_provider(run->executor)->caps.name, &want, out.bytes, out.length);
	if (out_number != lab_port(&run->lab, port_name(run, outcome.port))->index)
		differ(run, packet, "it was sent by another port");
	run->met[CHOSEN_SENT]++;
	return true;
}

static void take_round(struct run *run)
{
	pass_second(run);
	while (offloader_turn(run->lab.datapath->offloader, run->lab.now_ms))
		;
}

static unsigned installed(struct run *run)
{
	_cleanup_(offloader_report_free) struct offloader_report *report =
		offloader_report(run->lab.datapath->offloader);

	return report->counts.states[OFFLOAD_STATE_INSTALLED];
}

/* But no RST, which is the one thing that differs: nobody knows the window of what a NIC carries (offloader_test.c). */
static struct test_packet without_reset(const struct test_packet *packet)
{
	struct test_packet later = traffic_later(packet);

	if (later.protocol == IPPROTO_TCP && later.tcp_flags & TCP_RST)
		later.tcp_flags = TCP_ACK;
	return later;
}

/* Some connections; returns how many packets the provider sent. */
static unsigned deliver_some(struct run *run, unsigned packets)
{
	unsigned n = 0;

	for (unsigned i = 0; i < MIN(run->talks->len, CHOSEN_CONNECTIONS); i++) {
		const struct talk *talk = &g_array_index(run->talks, struct talk, run->talks->len - 1 - i);
		for (unsigned j = 0; j < packets; j++) {
			struct test_packet there = without_reset(&talk->first),
					   back = without_reset(&talk->answer);
			n += deliver(run, talk->port, &there);
			n += deliver(run, talk->far_port, &back);
		}
	}
	return n;
}

static void change_under_flows(struct run *run)
{
	for (unsigned n = 1 + test_below(12); n; n--)
		policy_gen_change(run->traffic.gen);
	json_decref(run->lab.state);
	run->lab.state = make_state(run);
	unsigned before = installed(run);
	lab_apply(&run->lab);
	run->met[CHOSEN_LEFT] += before - installed(run);
	model_change(run->model);
	run->met[CHOSEN_KEPT] += deliver_some(run, 1);
}

static void run_chosen(struct run *run)
{
	_cleanup_(offloader_free) struct offloader *offloader = offloader_new(run->lab.datapath, lend, run);

	lab_apply(&run->lab); /* it follows from here on */
	for (unsigned i = 0; i < CHANGES; i++) {
		for (unsigned j = 0; j < CHOSEN_CONNECTIONS; j++)
			open_connection(run);
		take_round(run);
		deliver_some(run, CHOSEN_PACKETS);
		take_round(run);
		deliver_some(run, PROBES);
		for (unsigned j = 0; j < CHOSEN_CHANGES; j++)
			change_under_flows(run);
	}
}

static void test_chosen(void)
{
	static const char *const texts[CHOSEN_N] = {
#define X(NAME, text) text,
		CHOSEN(X)
#undef X
	};
	unsigned met[CHOSEN_N] = {};

	for (unsigned i = 0; i < (g_test_slow() ? 50 : 6); i++)
		run_world(met, true, run_chosen);
	assert_met(met, texts, CHOSEN_N);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	if (argc == 3 && g_str_equal(argv[1], "--wire"))
		wire = argv[2];
	g_test_add_func("/offload conformance/random worlds: the same verdict, port and bytes", test_worlds);
	g_test_add_func(
		"/offload conformance/random worlds whose flows the switch chooses: the same", test_chosen);
	test_offload_add(wire);
	return lab_run();
}
