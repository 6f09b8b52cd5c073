/* The switch against the model (test_model.h), in random worlds (policy/policy_gen.h): the same verdict,
 * counted for the same NIC and reason, and the same bytes out of the same port.
 *
 * A world is some networks and NICs, groups of rules, an uplink and a host port. A connection is its first
 * packet, an answer, bursts in both directions, and a tenth packet of each. Then the world changes, as an
 * operator would change it, and connections of before go on beside new ones. Every packet is one case.
 *
 * --seed replays a run, -p chooses a test, -m slow has ten times the worlds. What differs is shown with its packet.
 */
#include "switch/test_lab.h"
#include "switch/test_model.h"
#include "switch/test_traffic.h"
#include "switch/test_values.h"

#include <rte_mbuf.h>
#include <string.h>

#define GROUPS_MAX     100 /* policy_gen's */
#define NETWORKS_MAX   16
#define CONNECTIONS    120 /* opened between two changes */
#define CHANGES        6
#define BURST          8 /* the second to ninth packet */
#define LAB_ROOM       20000 /* connections */
#define ERRORS_AT_ONCE 900 /* ICMP errors of a second: the switch allows a thousand */

/* What the driver counts beside the model. */
enum { ALLOWED, REFUSED, TENTH, BURSTS, MIXED_BURSTS, REVERSED, ASKED_NEIGHBOUR, NEVER_BEGUN, OPEN, N_DONE };
static const char *const done_texts[N_DONE] = {
	[ALLOWED] = "connections that were allowed",
	[REFUSED] = "connections that were refused",
	[TENTH] = "tenth packets that passed",
	[BURSTS] = "bursts of one connection",
	[MIXED_BURSTS] = "bursts of many connections",
	[REVERSED] = "first packets by whoever was to answer",
	[ASKED_NEIGHBOUR] = "next hops that were asked for",
	[NEVER_BEGUN] = "connections that were not allowed and are tried after a change",
	[OPEN] = "packets whose checksum was left open",
};

struct tally {
	uint64_t cases, passed;
	uint64_t features[MODEL_N_FEATURES], done[N_DONE];
	uint64_t drops[DROP_COUNT];
	struct policy_gen_coverage coverage;
};

/* A connection as the driver keeps it, to send more of it later. */
struct talk {
	unsigned port, far_port;
	struct test_packet first, answer; /* as their senders send them */
	bool begun; /* an answer is known */
};

struct run {
	struct fixture lab;
	struct traffic traffic;
	const struct policy_gen_world *world; /* the traffic's */
	struct model *model;
	bool revalidate[GROUPS_MAX];
	struct ip_addr shared[NETWORKS_MAX]; /* by network; IP_NONE: its NICs share none */
	GHashTable *neighbours; /* "port address" of those that the switch has learnt */
	GArray *talks; /* of struct talk */
	unsigned n_errors; /* since the clock went on */
	uint64_t generation, seed;
	struct tally *tally; /* Borrowed */
};

static const char *port_name(const struct run *run, unsigned port)
{
	if (port < run->world->n_nics)
		return run->world->nics[port].uid;
	return port == MODEL_OUTSIDE(run->world->n_nics) ? "out" : "host";
}

/* ---- comparing ---- */

static char *hex(const struct test_frame *frame)
{
	GString *text = g_string_new(NULL);

	for (uint32_t i = 0; i < frame->length; i++)
		g_string_append_printf(text, "%02x", frame->bytes[i]);
	return g_string_free(text, false);
}

static G_NORETURN void differ(
	const struct run *run, unsigned port, const struct test_packet *packet, const char *what)
{
	g_autofree char *text = test_packet_text(packet);

	g_error("world %" G_GUINT64_FORMAT ", case %" G_GUINT64_FORMAT ": from %s: %s: %s", run->seed,
		run->tally->cases, port_name(run, port), text, what);
}

static struct test_frame expected_frame(const struct model_outcome *outcome)
{
	return outcome->answer == MODEL_PACKET ? test_packet_write(&outcome->packet)
					       : test_icmp_error_write(&outcome->error);
}

/* The port that the switch chose: the model only knows which it may not. */
static void settle_port(struct run *run, unsigned port, const struct test_packet *packet,
	struct model_outcome *outcome, const uint8_t *frame, gsize size)
{
	uint32_t l4 = size > 14 ? 14 + (frame[14] & 15) * 4u : 0;

	if (size < l4 + 8)
		differ(run, port, packet, "something must come out");
	if (!model_take_port(
		    run->model, outcome, load16(frame + l4 + (packet->protocol == IPPROTO_ICMP ? 4 : 0))))
		differ(run, port, packet, "it got a port that it may not have");
}

static void compare_output(
	struct run *run, unsigned port, const struct test_packet *packet, struct model_outcome *outcome)
{
	g_autoptr(GBytes) bytes = port_fake_take(lab_port(&run->lab, port_name(run, outcome->port)));
	struct test_frame got = {};
	gsize size = 0;
	const void *data = bytes ? g_bytes_get_data(bytes, &size) : NULL;

	if (outcome->any_port)
		settle_port(run, port, packet, outcome, data, size);
	struct test_frame want = expected_frame(outcome);
	if (size == want.length && memcmp(data, want.bytes, size) == 0)
		return;
	memcpy(got.bytes, data ? data : "", MIN(size, sizeof got.bytes));
	got.length = (uint32_t)size;
	g_autofree char *want_text = hex(&want), *got_text = hex(&got);
	g_autofree char *what = g_strdup_printf(
		"out of %s must come\n%s\nand came\n%s", port_name(run, outcome->port), want_text, got_text);
	differ(run, port, packet, what);
}

/* What the switch has counted, of all that it can be made to count here. */
static uint64_t counted(const struct run *run, const struct model_outcome *outcome)
{
	return run->lab.worker->drops[outcome->nobody ? NIC_SLOTS : outcome->nic][outcome->drop];
}

static enum drop find_drop(const struct run *run, unsigned row)
{
	for (enum drop d = 1; d < DROP_COUNT; d++)
		if (run->lab.worker->drops[row][d])
			return d;
	return DROP_NONE;
}

/* The counters are cleared before each burst. */
static void compare_drops(struct run *run, unsigned port, const struct test_packet *packet,
	const struct model_outcome *outcomes, unsigned n)
{
	const struct worker_counters *counters = &run->lab.worker->counters;
	uint64_t drops = 0;

	for (unsigned i = 0; i < n; i++) {
		uint64_t same = 0;
		drops += outcomes[i].drop != DROP_NONE;
		for (unsigned j = 0; outcomes[i].drop && j < n; j++)
			same += outcomes[j].drop == outcomes[i].drop && outcomes[j].nic == outcomes[i].nic &&
				outcomes[j].nobody == outcomes[i].nobody;
		if (outcomes[i].drop && counted(run, &outcomes[i]) != same) {
			g_autofree char *what = g_strdup_printf("must be dropped as %s, not %s",
				drop_word(outcomes[i].drop), drop_word(find_drop(run, outcomes[i].nic)));
			differ(run, port, &packet[i], what);
		}
	}
	if (counters->drops != drops) {
		unsigned row = port < run->world->n_nics ? port : outcomes[0].nic;
		g_autofree char *what = g_strdup_printf("%u of %u packets must be dropped, not %u (%s)",
			(unsigned)drops, n, (unsigned)counters->drops, drop_word(find_drop(run, row)));
		differ(run, port, packet, what);
	}
}

static void clear_counters(struct run *run)
{
	struct worker *worker = run->lab.worker;

	worker->counters = (struct worker_counters){};
	memset(worker->drops, 0, run->world->n_nics * sizeof *worker->drops);
	memset(worker->drops + NIC_SLOTS, 0, sizeof *worker->drops);
}

/* ---- sending ---- */

static char *neighbour_key(const struct model_outcome *outcome)
{
	char text[IP_TEXT_MAX];

	return g_strdup_printf("%u %s", outcome->port, ip_format(outcome->next_hop, text));
}

/* The switch asks for the next hop in the packet's name, and is told. */
static void introduce(struct run *run, const struct model_outcome *outcome)
{
	const char *port = port_name(run, outcome->port);
	struct test_frame want = expected_frame(outcome), question = lab_expect(&run->lab, port);
	struct test_frame answer = {.length = 42};
	const struct mac_addr mac = model_neighbour_mac(outcome->next_hop);
	uint8_t *arp = answer.bytes + 14;

	g_assert_cmphex(load16(question.bytes + 12), ==, 0x0806);
	g_assert_cmpuint(load16(question.bytes + 20), ==, 1);
	g_assert_cmpmem(question.bytes + 22, 6, want.bytes + 6, 6);
	g_assert_cmpmem(question.bytes + 28, 4, want.bytes + 26, 4);
	g_assert_cmpmem(question.bytes + 38, 4, outcome->next_hop.bytes, 4);
	memcpy(answer.bytes, question.bytes, 42);
	memcpy(answer.bytes, question.bytes + 6, 6);
	memcpy(answer.bytes + 6, mac.bytes, 6);
	store16(arp + 6, 2);
	memcpy(arp + 8, mac.bytes, 6);
	memcpy(arp + 14, outcome->next_hop.bytes, 4);
	memcpy(arp + 18, question.bytes + 22, 10);
	lab_put(&run->lab, port, answer);
	g_hash_table_add(run->neighbours, neighbour_key(outcome));
	run->tally->done[ASKED_NEIGHBOUR]++;
}

static bool is_known(const struct run *run, const struct model_outcome *outcome)
{
	g_autofree char *key = neighbour_key(outcome);

	return outcome->next_hop.family == IP_NONE || g_hash_table_contains(run->neighbours, key);
}

/* The switch limits its ICMP errors by the second. */
static void spend_errors(struct run *run, unsigned n)
{
	run->n_errors += n;
	if (run->n_errors < ERRORS_AT_ONCE)
		return;
	run->n_errors = 0;
	run->lab.now_ms += SECOND;
	worker_begin(run->lab.worker, run->lab.now_ms);
}

/* The frame as a packet; now and then its sender has left the checksum to a device, which is to make no difference. */
static struct rte_mbuf *packet_of(struct run *run, const struct test_packet *packet)
{
	struct test_frame frame = test_packet_write(packet);
	struct rte_mbuf *made = rte_pktmbuf_alloc(lab_pool());
	uint32_t l4 = 14 + (packet->source.family == IP_V4 ? 20 + packet->options * 4u : 40);
	bool is_tcp = packet->protocol == IPPROTO_TCP;

	if (traffic_once_in(3) && !packet->cut && (is_tcp || packet->protocol == IPPROTO_UDP) &&
		!packet->no_checksum) {
		test_set_check(frame.bytes + l4 + (is_tcp ? 16 : 6), (uint16_t)g_test_rand_int());
		made->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_NONE;
		run->tally->done[OPEN]++;
	}
	memcpy(rte_pktmbuf_append(made, (uint16_t)frame.length), frame.bytes, frame.length);
	return made;
}

/* One burst: what comes of it is compared. Unknown next hops are for bursts of one. */
static void send_burst(struct run *run, unsigned port, const struct test_packet *packets, unsigned n,
	struct model_outcome *outcomes)
{
	struct rte_mbuf *frames[WORKER_BURST];
	unsigned out = 0, asked = 0;

	clear_counters(run);
	for (unsigned i = 0; i < n; i++) {
		outcomes[i] = model_send(run->model, port, &packets[i]);
		frames[i] = packet_of(run, &packets[i]);
		out += outcomes[i].answer != MODEL_NOTHING;
		run->tally->passed += outcomes[i].drop == DROP_NONE;
		run->tally->drops[outcomes[i].drop]++;
	}
	lab_put_packets(&run->lab, port_name(run, port), frames, n);
	if (n == 1 && outcomes[0].answer && !is_known(run, &outcomes[0])) {
		introduce(run, &outcomes[0]);
		asked = 1;
	}
	compare_drops(run, port, packets, outcomes, n);
	for (unsigned i = 0; i < n; i++, run->tally->cases++)
		if (outcomes[i].answer)
			compare_output(run, port, &packets[i], &outcomes[i]);
	if (run->lab.worker->counters.tx != out + asked)
		differ(run, port, packets, "more came out than must");
	spend_errors(run, n);
}

static struct model_outcome send_one(struct run *run, unsigned port, const struct test_packet *packet)
{
	struct model_outcome outcome;

	send_burst(run, port, packet, 1, &outcome);
	return outcome;
}

/* ---- connections ---- */

/* In two parts, the first with the transport header. */
static void send_fragments(struct run *run, unsigned port, const struct test_packet *packet)
{
	struct test_packet parts[2];

	parts[0] = traffic_later(packet);
	parts[0].cut = (uint16_t)(24 + 8 * test_below(8));
	parts[0].payload = (uint16_t)(parts[0].cut + 1 + test_below(100));
	parts[0].hops =
		(uint8_t)MAX(parts[0].hops, 2); /* it may be a first packet, whose port is to be seen */
	parts[1] = parts[0];
	parts[1].later = true;
	send_one(run, port, &parts[0]);
	send_one(run, port, &parts[1]);
}

static void send_bursts(struct run *run, unsigned port, const struct test_packet *packet)
{
	struct test_packet packets[BURST];
	struct model_outcome outcomes[BURST];

	for (unsigned i = 0; i < BURST; i++)
		packets[i] = traffic_later(packet);
	send_burst(run, port, packets, BURST, outcomes);
	run->tally->done[BURSTS]++;
}

static void send_tenth(struct run *run, unsigned port, const struct test_packet *packet)
{
	struct test_packet tenth = traffic_later(packet);

	run->tally->done[TENTH] += send_one(run, port, &tenth).drop == DROP_NONE;
}

static void begin(struct run *run, struct talk *talk, const struct model_outcome *outcome)
{
	if (outcome->answer != MODEL_PACKET || outcome->packet.to.bytes[0] & 1)
		return;
	/* A gateway's echo is no connection. */
	if (outcome->port == talk->port && test_packet_is_icmp(&talk->first) &&
		(outcome->packet.icmp_type == 0 || outcome->packet.icmp_type == 129))
		return;
	talk->begun = true;
	talk->far_port = outcome->port;
	talk->answer = traffic_answer(&run->traffic, outcome->port, &outcome->packet);
	if (talk->answer.protocol == IPPROTO_TCP && traffic_once_in(10)) {
		struct test_packet forged = traffic_forged(&talk->answer);
		send_one(run, talk->far_port, &forged);
	}
	send_one(run, talk->far_port, &talk->answer);
	send_bursts(run, talk->port, &talk->first);
	send_bursts(run, talk->far_port, &talk->answer);
	if (traffic_once_in(4)) {
		send_fragments(run, talk->port, &talk->first);
		send_fragments(run, talk->far_port, &talk->answer);
	}
	send_tenth(run, talk->port, &talk->first);
	send_tenth(run, talk->far_port, &talk->answer);
}

static void open_connection(struct run *run)
{
	struct talk talk = {};

	talk.port = traffic_first(&run->traffic, &talk.first);
	if (traffic_once_in(30)) {
		send_fragments(run, talk.port, &talk.first);
		return;
	}
	struct model_outcome outcome = send_one(run, talk.port, &talk.first);
	run->tally->done[outcome.drop ? REFUSED : ALLOWED]++;
	begin(run, &talk, &outcome);
	if (outcome.drop && traffic_once_in(4))
		send_one(run, talk.port, &talk.first);
	g_array_append_val(run->talks, talk);
}

/* After a change: whoever speaks first finds out. */
static void continue_connection(struct run *run, struct talk *talk)
{
	struct model_outcome outcome;

	if (!talk->begun) {
		run->tally->done[NEVER_BEGUN]++;
		outcome = send_one(run, talk->port, &talk->first);
		begin(run, talk, &outcome);
		return;
	}
	bool answer_first = traffic_once_in(2);
	if (answer_first) {
		send_tenth(run, talk->far_port, &talk->answer);
		run->tally->done[REVERSED]++;
	}
	send_tenth(run, talk->port, &talk->first);
	if (!answer_first)
		send_tenth(run, talk->far_port, &talk->answer);
	if (traffic_once_in(2))
		send_one(run, talk->port, &talk->first); /* perhaps a SYN */
}

/* Later packets of many connections that enter by one port, in one burst. */
static void send_mixed(struct run *run, unsigned port)
{
	struct test_packet packets[WORKER_BURST];
	struct model_outcome outcomes[WORKER_BURST];
	unsigned n = 0, start = run->talks->len ? test_below(run->talks->len) : 0;

	for (unsigned i = 0; i < run->talks->len && n < WORKER_BURST; i++) {
		const struct talk *talk =
			&g_array_index(run->talks, struct talk, (start + i) % run->talks->len);
		if (talk->begun && talk->port == port)
			packets[n++] = traffic_later(&talk->first);
		else if (talk->begun && talk->far_port == port)
			packets[n++] = traffic_later(&talk->answer);
	}
	if (n == 0)
		return;
	send_burst(run, port, packets, n, outcomes);
	run->tally->done[MIXED_BURSTS]++;
}

/* ---- worlds ---- */

static json_t *edge_state(const char *interface, struct mac_addr mac, struct ip_prefix prefix)
{
	char mac_text[MAC_TEXT_MAX], prefix_text[PREFIX_TEXT_MAX];

	return json_pack("{s:s, s:s, s:s}", "interface", interface, "mac", mac_format(mac, mac_text),
		"prefix", prefix_format(prefix, prefix_text));
}

/* The world's state with the edges, and with the word of each group on existing connections. */
static json_t *make_state(struct run *run)
{
	json_t *state = policy_gen_state(run->traffic.gen, ++run->generation);
	json_t *outside = edge_state("out", model_outside_mac, model_outside);
	char gateway[IP_TEXT_MAX];

	json_object_set_new(outside, "gateway", json_string(ip_format(model_outside_gateway, gateway)));
	json_object_set_new(state, "outside", outside);
	json_object_set_new(state, "host_port", edge_state("host", model_host_mac, model_host));
	for (unsigned n = 0; n < run->world->n_networks; n++)
		if (run->shared[n].family != IP_NONE)
			json_object_set_new(json_array_get(json_object_get(state, "networks"), n),
				"source_nat",
				json_pack("{s:[s]}", "addresses", ip_format(run->shared[n], gateway)));
	for (unsigned g = 0; g < run->world->n_groups; g++)
		json_object_set_new(json_array_get(json_object_get(state, "groups"), g), "revalidate",
			json_boolean(run->revalidate[g]));
	return state;
}

static void check_slots(const struct run *run)
{
	const struct snapshot *snapshot = datapath_snapshot(run->lab.datapath);

	for (unsigned i = 0; i < run->world->n_nics; i++)
		g_assert_cmpstr(snapshot->nics[i]->uid, ==, run->world->nics[i].uid);
}

static void change_world(struct run *run)
{
	for (unsigned n = 1 + test_below(12); n; n--)
		policy_gen_change(run->traffic.gen);
	if (traffic_once_in(2)) {
		unsigned group = test_below(run->world->n_groups);
		run->revalidate[group] = !run->revalidate[group];
	}
	json_decref(run->lab.state);
	run->lab.state = make_state(run);
	lab_apply(&run->lab);
	model_change(run->model);
}

static void run_phase(struct run *run, bool changed)
{
	unsigned before = run->talks->len;

	for (unsigned port = 0; changed && port < run->world->n_nics + 2; port++)
		if (traffic_once_in(2))
			send_mixed(run, port);
	for (unsigned i = 0; i < before; i++)
		if (!traffic_once_in(3))
			continue_connection(run, &g_array_index(run->talks, struct talk, i));
	for (unsigned i = 0; i < CONNECTIONS; i++)
		open_connection(run);
	for (unsigned port = 0; port < run->world->n_nics + 2; port++)
		send_mixed(run, port);
}

/* Networks share them with each other, too. */
static void choose_shared(struct run *run)
{
	static const char *const addresses[] = {"203.0.113.250", "203.0.113.251"};

	g_assert_cmpuint(run->world->n_networks, <=, NETWORKS_MAX);
	for (unsigned n = 0; n < run->world->n_networks; n++)
		if (!traffic_once_in(4))
			run->shared[n] = test_addr(addresses[traffic_once_in(4)]);
	run->traffic.shared = test_addr(addresses[0]);
}

static void run_world(const struct policy_gen_config *config, struct tally *tally)
{
	struct run run = {
		.seed = (uint64_t)(uint32_t)g_test_rand_int(),
		.neighbours = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
		.talks = g_array_new(false, true, sizeof(struct talk)),
		.tally = tally,
	};

	_cleanup_(policy_gen_free) struct policy_gen *gen = policy_gen_new(run.seed, config);
	run.world = policy_gen_world(gen);
	run.traffic = (struct traffic){.gen = gen, .world = run.world, .coverage = &tally->coverage};
	for (unsigned g = 0; g < run.world->n_groups; g++)
		run.revalidate[g] = !traffic_once_in(3);
	choose_shared(&run);
	run.model = model_new(run.world, run.revalidate, run.shared);
	policy_gen_cover_world(&tally->coverage, run.world);
	lab_start(&run.lab, make_state(&run), LAB_ROOM, LAB_ROOM);
	check_slots(&run);
	run_phase(&run, false);
	for (unsigned i = 0; i < CHANGES; i++) {
		change_world(&run);
		run_phase(&run, true);
	}
	for (unsigned i = 0; i < MODEL_N_FEATURES; i++)
		tally->features[i] += model_features(run.model)[i];
	lab_teardown(&run.lab, NULL);
	model_free(run.model);
	g_array_unref(run.talks);
	g_hash_table_unref(run.neighbours);
}

/* ---- coverage ---- */

/* A test that meets little promises little: each kind of thing must have happened. What has not; NULL: all has. Owned by
 * the caller. */
static char *find_missing(const struct tally *tally, uint64_t rare)
{
	static const enum drop reasons[] = {DROP_MULTICAST, DROP_FRAGMENT, DROP_SPOOFED_MAC, DROP_SPOOFED_IP,
		DROP_SPOOFED_OUTSIDE, DROP_DENIED_INBOUND, DROP_DENIED_OUTBOUND, DROP_NO_GROUP, DROP_REVOKED,
		DROP_NO_PUBLIC_ADDRESS, DROP_NO_DESTINATION, DROP_NOT_OURS, DROP_BAD_DESTINATION, DROP_TTL,
		DROP_TCP_NO_SYN, DROP_ICMP_NO_FLOW, DROP_SHARED_ADDRESS, DROP_NO_PORTS, DROP_LINK_LOCAL,
		DROP_IPV6_OUTSIDE};
	static const enum policy_gen_feature features[] = {POLICY_GEN_NETWORK_OVERLAP,
		POLICY_GEN_NIC_BOTH_GROUPS, POLICY_GEN_EDGE_INSIDE, POLICY_GEN_EDGE_OUTSIDE,
		POLICY_GEN_FIRST_DENIES, POLICY_GEN_SECOND_DENIES, POLICY_GEN_BY_TAG, POLICY_GEN_BY_PREFIX,
		POLICY_GEN_SIDE_V6, POLICY_GEN_PORT_LIST};

	for (unsigned i = 0; i < MODEL_N_FEATURES; i++)
		if (tally->features[i] == 0 && !(rare >> i & 1))
			return g_strdup_printf("no packet was %s", model_feature_text(i));
	for (unsigned i = 0; i < N_DONE; i++)
		if (tally->done[i] == 0)
			return g_strdup_printf("there were no %s", done_texts[i]);
	for (size_t i = 0; i < G_N_ELEMENTS(reasons); i++)
		if (tally->drops[reasons[i]] == 0)
			return g_strdup_printf("no packet was dropped as %s", drop_word(reasons[i]));
	for (size_t i = 0; i < G_N_ELEMENTS(features); i++)
		if (tally->coverage.counts[features[i]] == 0)
			return g_strdup_printf("there were no %s", policy_gen_feature_text(features[i]));
	return NULL;
}

/* And none may be rare. */
static void check_tally(const struct tally *tally, uint64_t rare)
{
	g_autofree char *missing = find_missing(tally, rare);

	g_test_message(
		"%" G_GUINT64_FORMAT " cases, %" G_GUINT64_FORMAT " passed", tally->cases, tally->passed);
	for (unsigned i = 0; i < MODEL_N_FEATURES; i++)
		g_test_message("%8u %s", (unsigned)tally->features[i], model_feature_text(i));
	for (unsigned i = 0; i < N_DONE; i++)
		g_test_message("%8u %s", (unsigned)tally->done[i], done_texts[i]);
	for (enum drop d = 1; d < DROP_COUNT; d++)
		if (tally->drops[d])
			g_test_message("%8u dropped: %s", (unsigned)tally->drops[d], drop_word(d));
	if (missing)
		g_error("%s", missing);
	g_assert_cmpuint(tally->done[ALLOWED] * 5, >, tally->done[REFUSED]);
	g_assert_cmpuint(tally->done[REFUSED] * 5, >, tally->done[ALLOWED]);
}

#define RARE(FEATURE) (UINT64_C(1) << MODEL_##FEATURE)

/* Many worlds of one kind. `rare`: what too few of them have to be promised; the other tests do. */
static void run_worlds(const struct policy_gen_config *config, unsigned worlds, uint64_t rare)
{
	struct tally tally = {};
	unsigned n = worlds * (g_test_slow() ? 10 : 1);
	bool enough = false;

	/* What chance leaves out of them is looked for in more. */
	for (unsigned i = 0; i < n || (i < n * 4 && !enough); i++) {
		run_world(config, &tally);
		g_autofree char *missing = find_missing(&tally, rare);
		enough = !missing;
	}
	check_tally(&tally, rare);
}

/* ---- tests ---- */

static void test_few_rules(void)
{
	run_worlds(&(struct policy_gen_config){.rules_max = 12}, 30, RARE(STANDARD));
}

static void test_many_rules(void)
{
	run_worlds(&(struct policy_gen_config){}, 14, RARE(STANDARD) | RARE(SHARED_HAIRPIN));
}

static void test_many_nics(void)
{
	run_worlds(&(struct policy_gen_config){.rules_max = 60, .nics = 60, .networks = 6, .groups = 12}, 12,
		RARE(AGAIN) | RARE(SHARED_HAIRPIN));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/differential/the switch does as the model does, with few rules", test_few_rules);
	g_test_add_func("/differential/the switch does as the model does, with many rules", test_many_rules);
	g_test_add_func("/differential/the switch does as the model does, with many NICs", test_many_nics);
	return lab_run();
}
