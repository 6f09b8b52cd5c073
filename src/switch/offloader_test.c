/* Offload as it runs: the switch itself decides which flows the eswitch gets, which here is the model NIC. What arrives goes
 * to the NIC first, and what that has no flow for goes up to the switch. */
#include "base/fault.h"
#include "offload/fake.h"
#include "switch/conntrack.h"
#include "switch/flow_query.h"
#include "switch/metrics.h"
#include "switch/mirror_session.h"
#include "switch/neighbour.h"
#include "switch/offload_flows.h"
#include "switch/offloader_priv.h"
#include "switch/report.h"
#include "switch/test_lab.h"

#define ROOM   16
#define HOT    40 /* packets that make a connection worth a place */
#define BEYOND 5000000u /* bytes: further than a window without scale */

struct world {
	struct fixture lab;
	struct offloader *offloader;
	struct offload_provider *nic; /* Borrowed: the offloader's */
	unsigned n_opened;
	bool absent; /* there is no eswitch */
	bool slow; /* it does not answer yet */
};

static struct offload_provider *open_model(void *data, GError **error)
{
	struct world *w = data;

	if (w->absent) {
		fault_set(error, FAULT_UNSUPPORTED, "there is no eswitch");
		return NULL;
	}
	w->n_opened++;
	w->nic = offload_fake_new(OFFLOAD_ALL, ROOM);
	offload_fake_hold(w->nic, w->slow);
	return w->nic;
}

/* ---- time ---- */

static void turn(struct world *w)
{
	if (w->nic)
		offload_fake_set_clock(w->nic, w->lab.now_ms);
	while (offloader_turn(w->offloader, w->lab.now_ms))
		;
}

static void pass(struct world *w, unsigned seconds)
{
	for (unsigned i = 0; i < 4 * seconds; i++) {
		lab_pass(&w->lab, 250);
		turn(w);
	}
}

/* ---- packets ---- */

enum by { BY_SWITCH, BY_NIC, BY_NOBODY };

/* A frame arrives at the port; who sends it on, and then it has left by `out`. */
static enum by arrive(struct world *w, const char *in, const char *out, struct test_frame frame)
{
	g_autoptr(GByteArray) sent = NULL;
	uint32_t port;

	enum offload_fake_verdict verdict =
		w->nic ? offload_fake_receive(w->nic, lab_port(&w->lab, in)->index, frame.bytes, frame.length,
				 &port, &sent)
		       : OFFLOAD_FAKE_UP;
	if (verdict == OFFLOAD_FAKE_METERED)
		return BY_NOBODY;
	if (verdict == OFFLOAD_FAKE_SENT) {
		g_assert_cmpuint(port, ==, lab_port(&w->lab, out)->index);
		test_assert_checksums(sent->data, sent->len);
		return BY_NIC;
	}
	lab_put(&w->lab, in, frame);
	g_autoptr(GBytes) bytes = port_fake_take(lab_port(&w->lab, out));
	return bytes ? BY_SWITCH : BY_NOBODY;
}

static struct test_frame udp_there(uint16_t port)
{
	return test_udp(MAC_A, MAC_GATEWAY, IP_A, port, IP_C, 53, 20);
}

static struct test_frame udp_back(uint16_t port)
{
	return test_udp(MAC_C, MAC_GATEWAY, IP_C, 53, IP_A, port, 20);
}

static struct test_frame tcp_there(uint8_t flags, uint32_t sequence, uint32_t acknowledged)
{
	struct test_frame frame = test_tcp(MAC_A, MAC_B, IP_A, 1000, IP_B, 80, flags, 20);

	store32(frame.bytes + 38, sequence);
	store32(frame.bytes + 42, acknowledged);
	test_fix(&frame);
	return frame;
}

static struct test_frame tcp_back(uint8_t flags, uint32_t sequence, uint32_t acknowledged)
{
	struct test_frame frame = test_tcp(MAC_B, MAC_A, IP_B, 80, IP_A, 1000, flags, 20);

	store32(frame.bytes + 38, sequence);
	store32(frame.bytes + 42, acknowledged);
	test_fix(&frame);
	return frame;
}

/* Makes a's connection to c hot, and lets a round see it. */
static void heat(struct world *w, uint16_t port)
{
	pass(w, 1);
	for (unsigned i = 0; i < HOT; i++) {
		arrive(w, "a", "c", udp_there(port));
		arrive(w, "c", "a", udp_back(port));
	}
	pass(w, 1);
}

/* The connection that open_tcp makes. */
static void assert_installed(struct world *w)
{
	const struct flow_key key = {.nic = datapath_snapshot(w->lab.datapath)->nics[0]->id,
		.src = {192, 168, 1, 4},
		.dst = {192, 168, 1, 5},
		.sport = htobe16(1000),
		.dport = htobe16(80),
		.family = IP_V4,
		.protocol = IPPROTO_TCP};
	struct flow flow, pair;

	g_assert_true(flow_query_find(w->lab.datapath, &key, &flow, &pair));
	g_assert_true(offload_fake_has(w->nic, offload_flows_id(&flow, &pair)));
	g_assert_true(offload_fake_has(w->nic, offload_flows_id(&pair, &flow)));
}

static void open_tcp(struct world *w)
{
	g_assert_cmpint(arrive(w, "a", "b", tcp_there(TCP_SYN, 0, 0)), ==, BY_SWITCH);
	g_assert_cmpint(arrive(w, "b", "a", tcp_back(TCP_SYN | TCP_ACK, 0, 1)), ==, BY_SWITCH);
	g_assert_cmpint(arrive(w, "a", "b", tcp_there(TCP_ACK, 1, 1)), ==, BY_SWITCH);
}

static void heat_tcp(struct world *w)
{
	lab_allow_port(&w->lab, 80);
	open_tcp(w);
	pass(w, 1);
	for (unsigned i = 0; i < HOT; i++) {
		arrive(w, "a", "b", tcp_there(TCP_ACK, 1, 1));
		arrive(w, "b", "a", tcp_back(TCP_ACK, 1, 1));
	}
	pass(w, 1);
	assert_installed(w);
}

/* ---- what is told ---- */

static json_t *rows(struct world *w)
{
	g_autoptr(GError) error = NULL;
	json_auto_t *page = flow_query_list(w->lab.datapath, NULL, &error);

	g_assert_no_error(error);
	return json_incref(json_object_get(page, "flows"));
}

static void assert_rows(struct world *w, size_t n, const char *offload, const char *reason)
{
	json_auto_t *list = rows(w);
	size_t i;
	json_t *row;

	g_assert_cmpuint(json_array_size(list), ==, n);
	json_array_foreach(list, i, row)
	{
		g_assert_cmpstr(json_string_value(json_object_get(row, "offload")), ==, offload);
		g_assert_cmpstr(json_string_value(json_object_get(row, "offload_reason")), ==, reason);
	}
}

static json_int_t packets_of(struct world *w, size_t i)
{
	json_auto_t *list = rows(w);

	return json_integer_value(json_object_get(json_array_get(list, i), "packets"));
}

/* Of NIC a, whose `offload` it is. */
static json_t *offload_of_a(struct world *w)
{
	json_auto_t *nics = report_nics(w->lab.datapath);

	return json_incref(json_object_get(json_array_get(nics, 0), "offload"));
}

/* The first sample. */
static json_int_t metric_of(struct world *w, const char *name)
{
	_cleanup_(mirror_session_free) struct mirror_session *mirrors = mirror_session_new(w->lab.datapath);
	json_auto_t *families = metrics_encode(w->lab.datapath, mirrors);
	size_t i;
	json_t *family;

	json_array_foreach(families, i, family)
	{
		const json_t *first = json_array_get(json_object_get(family, "samples"), 0);
		if (g_str_equal(json_string_value(json_object_get(family, "name")), name))
			return json_integer_value(json_object_get(first, "value"));
	}
	return -1;
}

/* ---- the world ---- */

static void mark_ports(struct world *w, bool on)
{
	json_t *const edge = json_object_get(w->lab.state, "outside");

	for (size_t i = 0; i < 3; i++) {
		json_t *attachment = json_array_get(json_object_get(lab_nic(&w->lab, i), "attachments"), 0);
		json_object_set_new(attachment, "offload", on ? json_string("tc") : json_null());
	}
	json_object_set_new(edge, "offload", on ? json_string("tc") : json_null());
}

static void set_offload(struct world *w, bool on)
{
	mark_ports(w, on);
	lab_apply(&w->lab);
}

static void setup_off(struct world *w, const void *data)
{
	lab_setup(&w->lab, data);
	w->offloader = offloader_new(w->lab.datapath, open_model, w);
}

static void setup(struct world *w, const void *data)
{
	setup_off(w, data);
	set_offload(w, true);
	pass(w, 1);
	g_assert_cmpuint(w->n_opened, ==, 1);
}

static void teardown(struct world *w, const void *data)
{
	offloader_free(w->offloader);
	lab_teardown(&w->lab, data);
}

/* Group g lets nothing in. */
static void deny(struct world *w)
{
	json_object_set_new(lab_group(&w->lab), "rules",
		json_pack("[{s:s, s:s, s:i, s:s, s:s, s:{s:b}, s:{s:b}}]", "name", "none", "direction",
			"inbound", "priority", 100, "protocol", "any", "action", "deny", "source", "any", 1,
			"destination", "any", 1));
	lab_apply(&w->lab);
}

/* ---- tests ---- */

static void test_hot(struct world *w, const void *data)
{
	g_assert_cmpint(arrive(w, "a", "c", udp_there(7)), ==, BY_SWITCH);
	g_assert_cmpint(arrive(w, "c", "a", udp_back(7)), ==, BY_SWITCH);
	heat(w, 9);
	g_assert_cmpint(arrive(w, "a", "c", udp_there(9)), ==, BY_NIC);
	g_assert_cmpint(arrive(w, "c", "a", udp_back(9)), ==, BY_NIC);
	g_assert_cmpint(arrive(w, "a", "c", udp_there(7)), ==, BY_SWITCH);
	g_assert_cmpuint(offload_fake_count(w->nic), ==, 2);
}

/* Nobody has answered: what is not established is not a connection yet. */
static void test_unanswered(struct world *w, const void *data)
{
	for (unsigned i = 0; i < 3; i++) {
		for (unsigned j = 0; j < HOT; j++)
			arrive(w, "a", "c", udp_there(9));
		pass(w, 1);
	}
	g_assert_cmpuint(offload_fake_count(w->nic), ==, 0);
}

static void test_counters(struct world *w, const void *data)
{
	heat(w, 9);
	json_int_t there = packets_of(w, 0), back = packets_of(w, 1);

	for (unsigned i = 0; i < 5; i++)
		g_assert_cmpint(arrive(w, "a", "c", udp_there(9)), ==, BY_NIC);
	g_assert_cmpint(arrive(w, "c", "a", udp_back(9)), ==, BY_NIC);
	pass(w, 3);
	g_assert_cmpint(packets_of(w, 0), ==, there + 5);
	g_assert_cmpint(packets_of(w, 1), ==, back + 1);
	json_auto_t *offload = offload_of_a(w);
	g_assert_cmpint(json_integer_value(json_object_get(offload, "rx_packets")), ==, 5);
	g_assert_cmpint(json_integer_value(json_object_get(offload, "tx_packets")), ==, 1);
	g_assert_cmpint(metric_of(w, "sluice_nic_offload_rx_packets_total"), ==, 5);
	g_assert_cmpint(metric_of(w, "sluice_nic_offload_flows"), ==, 1);
	g_assert_cmpint(metric_of(w, "sluice_offload_installed_total"), ==, 2);
}

/* Ten minutes without a packet that the switch saw; then as long without any. */
static void test_age(struct world *w, const void *data)
{
	heat(w, 9);
	for (unsigned i = 0; i < 300; i++) {
		g_assert_cmpint(arrive(w, "a", "c", udp_there(9)), ==, BY_NIC);
		g_assert_cmpint(arrive(w, "c", "a", udp_back(9)), ==, BY_NIC);
		pass(w, 2);
	}
	assert_rows(w, 2, "installed", NULL);
	pass(w, 60);
	assert_rows(w, 2, "none", NULL);
	g_assert_cmpuint(offload_fake_count(w->nic), ==, 0);
	pass(w, 300);
	assert_rows(w, 0, NULL, NULL);
}

/* The window has moved far while the NIC carried it: nobody here has seen that. */
static void test_reset(struct world *w, const void *data)
{
	heat_tcp(w);
	g_assert_cmpint(arrive(w, "b", "a", tcp_back(TCP_ACK, 1, BEYOND)), ==, BY_NIC);
	g_assert_cmpint(arrive(w, "a", "b", tcp_there(TCP_RST, BEYOND, 0)), ==, BY_SWITCH);
	assert_rows(w, 2, "installed", NULL);
	pass(w, 2);
	g_assert_cmpuint(offload_fake_count(w->nic), ==, 0);
	pass(w, 60);
	assert_rows(w, 0, NULL, NULL);
}

static void test_end(struct world *w, const void *data)
{
	heat_tcp(w);
	g_assert_cmpint(arrive(w, "b", "a", tcp_back(TCP_ACK, 1, BEYOND)), ==, BY_NIC);
	g_assert_cmpint(arrive(w, "a", "b", tcp_there(TCP_FIN | TCP_ACK, BEYOND, 1)), ==, BY_SWITCH);
	g_assert_cmpint(arrive(w, "b", "a", tcp_back(TCP_FIN | TCP_ACK, 1, BEYOND + 21)), ==, BY_SWITCH);
	pass(w, 2);
	g_assert_cmpuint(offload_fake_count(w->nic), ==, 0);
	pass(w, 60);
	assert_rows(w, 0, NULL, NULL);
}

/* Of what the NIC never had, windows are known. */
static void test_window(struct world *w, const void *data)
{
	offload_fake_refuse(w->nic, 2, "no");
	lab_allow_port(&w->lab, 80);
	open_tcp(w);
	pass(w, 1);
	for (unsigned i = 0; i < HOT; i++) {
		arrive(w, "a", "b", tcp_there(TCP_ACK, 1, 1));
		arrive(w, "b", "a", tcp_back(TCP_ACK, 1, 1));
	}
	pass(w, 1);
	assert_rows(w, 2, "refused", "no");
	g_assert_cmpint(arrive(w, "a", "b", tcp_there(TCP_RST, BEYOND, 0)), ==, BY_NOBODY);
	g_assert_cmpuint(lab_drops(&w->lab, DROP_TCP_WINDOW), ==, 1);
}

static void test_revoked(struct world *w, const void *data)
{
	struct offload_counts before, after;

	heat(w, 9);
	heat_tcp(w);
	_cleanup_(offloader_report_free) struct offloader_report *first = offloader_report(w->offloader);
	before = first->counts;
	g_assert_cmpuint(before.states[OFFLOAD_STATE_INSTALLED], ==, 4);
	deny(w); /* b's group; the other connection does not care */
	g_assert_cmpuint(offload_fake_count(w->nic), ==, 2);
	g_assert_cmpint(arrive(w, "a", "b", tcp_there(TCP_ACK, 1, 1)), ==, BY_NOBODY);
	g_assert_cmpuint(lab_drops(&w->lab, DROP_REVOKED), ==, 1);
	g_assert_cmpint(arrive(w, "a", "c", udp_there(9)), ==, BY_NIC);
	g_assert_cmpint(arrive(w, "c", "a", udp_back(9)), ==, BY_NIC);
	pass(w, 3);
	g_assert_cmpint(arrive(w, "a", "c", udp_there(9)), ==, BY_NIC);
	_cleanup_(offloader_report_free) struct offloader_report *second = offloader_report(w->offloader);
	after = second->counts;
	g_assert_cmpuint(after.installed, ==, before.installed); /* it was never out */
	g_assert_cmpuint(after.states[OFFLOAD_STATE_INSTALLED], ==, 2);
}

/* By its other path, by both, and without the NIC at the other end. */
static void test_paths(struct world *w, const void *data)
{
	heat(w, 9);
	json_object_set_new(lab_nic(&w->lab, 0), "active", json_string("both"));
	lab_apply(&w->lab);
	g_assert_cmpuint(offload_fake_count(w->nic), ==, 0);
	heat(w, 9);
	assert_rows(w, 2, "none", "its NIC is on two paths while its function comes or goes");
	json_object_set_new(lab_nic(&w->lab, 0), "active", json_string("function"));
	lab_apply(&w->lab);
	while (port_fake_take(lab_port(&w->lab, "/a")))
		;
	heat(w, 9);
	g_assert_cmpuint(offload_fake_count(w->nic), ==, 2);
	json_array_remove(json_object_get(w->lab.state, "nics"), 2);
	lab_apply(&w->lab);
	g_assert_cmpuint(offload_fake_count(w->nic), ==, 0);
}

static void test_refused(struct world *w, const void *data)
{
	offload_fake_refuse(w->nic, 2, "its table is full");
	heat(w, 9);
	assert_rows(w, 2, "refused", "its table is full");
	json_auto_t *offload = offload_of_a(w);
	g_assert_cmpint(json_integer_value(json_object_get(offload, "refused")), ==, 1);
	g_assert_cmpint(
		json_integer_value(json_object_get(json_object_get(offload, "reasons"), "its table is full")),
		==, 1);
	g_assert_cmpint(arrive(w, "a", "c", udp_there(9)), ==, BY_SWITCH);
	for (unsigned i = 0; i < 12; i++)
		heat(w, 9);
	assert_rows(w, 2, "installed", NULL);
}

static void test_evicted(struct world *w, const void *data)
{
	struct flow flow, pair;

	heat(w, 9);
	g_assert_true(flow_table_copy_both(w->lab.datapath->flows, 1, &flow, &pair));
	g_assert_true(offload_fake_evict(w->nic, offload_flows_id(&flow, &pair), "it made room"));
	turn(w);
	json_auto_t *list = rows(w);
	g_assert_cmpstr(json_string_value(json_object_get(json_array_get(list, 0), "offload_reason")), ==,
		"it made room");
	g_assert_cmpint(arrive(w, "a", "c", udp_there(9)), ==, BY_SWITCH);
}

/* Nothing is lost but the NIC's place; another takes it. */
static void test_death(struct world *w, const void *data)
{
	heat(w, 9);
	offload_fake_die(w->nic);
	g_assert_cmpint(arrive(w, "a", "c", udp_there(9)), ==, BY_SWITCH);
	w->absent = true;
	turn(w);
	w->nic = NULL;
	pass(w, 6);
	g_assert_cmpint(arrive(w, "a", "c", udp_there(9)), ==, BY_SWITCH);
	assert_rows(w, 2, "none", "there is no eswitch");
	json_auto_t *offload = offload_of_a(w);
	g_assert_cmpstr(json_string_value(json_object_get(offload, "error")), ==, "there is no eswitch");
	g_assert_true(json_is_null(json_object_get(offload, "provider")));
	w->absent = false;
	pass(w, 6);
	g_assert_cmpuint(w->n_opened, ==, 2);
	heat(w, 9);
	g_assert_cmpint(arrive(w, "a", "c", udp_there(9)), ==, BY_NIC);
}

/* Its driver was not ready yet, say. Nothing of the state changes meanwhile. */
static void test_port_refused(struct world *w, const void *data)
{
	set_offload(w, false);
	offload_fake_refuse_port(w->nic, lab_port(&w->lab, "c")->index);
	set_offload(w, true);
	heat(w, 9);
	assert_rows(w, 2, "refused", "it names a port that the NIC does not have");
	json_auto_t *told = offload_of_a(w);
	g_assert_nonnull(strstr(json_string_value(json_object_get(told, "error")), "does not take port"));
	offload_fake_refuse_port(w->nic, 0);
	for (unsigned i = 0; i < 12; i++)
		heat(w, 9);
	g_assert_cmpint(arrive(w, "a", "c", udp_there(9)), ==, BY_NIC);
	json_auto_t *after = offload_of_a(w);
	g_assert_null(json_object_get(after, "error"));
}

/* An interface of the same name with another index: what goes to the old one arrives nowhere. */
static void test_remade(struct world *w, const void *data)
{
	heat(w, 9);
	g_assert_cmpint(arrive(w, "a", "c", udp_there(9)), ==, BY_NIC);
	atomic_store(&lab_port(&w->lab, "c")->interface, 77);
	pass(w, 2);
	g_assert_cmpint(arrive(w, "a", "c", udp_there(9)), ==, BY_SWITCH);
	assert_rows(w, 2, "refused", "its port is gone");
	for (unsigned i = 0; i < 12; i++)
		heat(w, 9);
	g_assert_cmpint(arrive(w, "a", "c", udp_there(9)), ==, BY_NIC);
}

static void test_neighbour(struct world *w, const void *data)
{
	struct test_frame there = test_udp(MAC_A, MAC_GATEWAY, IP_A, 5, PEER, 5, 9);
	struct test_frame back = test_udp(MAC_PEER, MAC_OUT, PEER, 5, PUBLIC_A, 5, 9);
	const struct snapshot *snapshot = datapath_snapshot(w->lab.datapath);
	static const uint8_t other[6] = {2, 0, 0, 0, 0, 0x98};
	uint8_t peer[4];

	lab_meet_peer(&w->lab);
	pass(w, 1);
	for (unsigned i = 0; i < HOT; i++) {
		arrive(w, "a", "out", there);
		arrive(w, "out", "a", back);
	}
	pass(w, 1);
	g_assert_cmpint(arrive(w, "a", "out", there), ==, BY_NIC);
	test_ip(PEER, peer);
	neighbour_learn(w->lab.datapath->outside, w->lab.worker, &snapshot->outside, peer, other);
	pass(w, 2);
	g_assert_cmpint(arrive(w, "a", "out", there), ==, BY_SWITCH);
	g_assert_cmpint(arrive(w, "out", "a", back), ==, BY_NIC);
}

static void set_limit(struct world *w, int packets_per_s)
{
	json_object_set_new(lab_nic(&w->lab, 0), "limits",
		json_pack("{s:{s:i}}", "send", "packets_per_s", packets_per_s));
	lab_apply(&w->lab);
}

static void test_limit(struct world *w, const void *data)
{
	unsigned by[3] = {};

	set_limit(w, 800);
	heat(w, 9);
	for (unsigned i = 0; i < 100; i++) {
		lab_pass(&w->lab, 10);
		turn(w);
		for (unsigned j = 0; j < 20; j++)
			by[arrive(w, "a", "c", udp_there(9))]++;
	}
	g_assert_cmpuint(by[BY_SWITCH], ==, 0);
	g_assert_cmpuint(by[BY_NIC], >=, 780);
	g_assert_cmpuint(by[BY_NIC], <=, 850);
	g_assert_cmpuint(by[BY_NOBODY], ==, 2000 - by[BY_NIC]);
}

/* When it counts, the NIC carries nothing by the old one. */
static void test_limit_refused(struct world *w, const void *data)
{
	set_limit(w, 800);
	heat(w, 9);
	g_assert_cmpint(arrive(w, "a", "c", udp_there(9)), ==, BY_NIC);
	offload_fake_refuse_meters(w->nic, true);
	set_limit(w, 400);
	g_assert_cmpint(arrive(w, "a", "c", udp_there(9)), ==, BY_SWITCH);
	heat(w, 9);
	json_auto_t *offload = offload_of_a(w);
	g_assert_nonnull(
		json_object_get(json_object_get(offload, "reasons"), "the NIC did not take its limit"));
	g_assert_cmpint(arrive(w, "a", "c", udp_there(9)), ==, BY_SWITCH);
	offload_fake_refuse_meters(w->nic, false);
	for (unsigned i = 0; i < 12; i++)
		heat(w, 9);
	g_assert_cmpint(arrive(w, "a", "c", udp_there(9)), ==, BY_NIC);
}

/* Not to the eswitch's ports, and nothing that it could not tell apart. */
static void test_others(struct world *w, const void *data)
{
	json_t *attachment = json_array_get(json_object_get(lab_nic(&w->lab, 2), "attachments"), 0);

	json_object_del(attachment, "offload");
	lab_apply(&w->lab);
	heat(w, 9);
	assert_rows(w, 2, "none", "the way that it comes or leaves by is no port of an eswitch");
	g_assert_cmpuint(offload_fake_count(w->nic), ==, 0);
}

static void test_off(struct world *w, const void *data)
{
	heat(w, 9);
	g_assert_cmpuint(w->n_opened, ==, 0);
	assert_rows(w, 2, "none", NULL);
	g_assert_null(offload_of_a(w));
	g_assert_null(offloader_report(w->offloader));
	set_offload(w, true);
	heat(w, 9);
	assert_rows(w, 2, "installed", NULL);
	set_offload(w, false);
	g_assert_cmpuint(offload_fake_count(w->nic), ==, 0);
	assert_rows(w, 2, "none", NULL);
}

/* A publication returns, and questions are answered, while the NIC takes its time; it is told when it has done. */
static void test_slow(struct world *w, const void *data)
{
	w->slow = true;
	offloader_start(w->offloader);
	mark_ports(w, true);
	for (unsigned i = 0; i < 3; i++) {
		lab_publish(&w->lab);
		g_usleep(20000);
		g_assert_false(offloader_is_settled(w->offloader));
		json_auto_t *offload = offload_of_a(w);
		g_assert_true(json_is_object(offload));
	}
	offloader_lock(w->offloader);
	g_assert_cmpuint(w->n_opened, ==, 1);
	offload_fake_hold(w->nic, false);
	offloader_unlock(w->offloader);
	lab_settle(&w->lab);
}

#define ADD(name, test) g_test_add("/offloader/" name, struct world, NULL, setup, test, teardown)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_log_set_always_fatal(G_LOG_FATAL_MASK); /* that there is no eswitch is logged */
	ADD("a connection that is hot goes to the NIC, both ways", test_hot);
	ADD("one that nobody has answered does not", test_unanswered);
	ADD("what the NIC carries is counted", test_counters);
	ADD("what the NIC carries does not age, and leaves when it is silent", test_age);
	ADD("a reset is believed wherever the NIC has moved the window", test_reset);
	ADD("the ends of both sides end the connection, and it leaves", test_end);
	ADD("a reset is held against a window that the NIC has not moved", test_window);
	ADD("what a change revokes has left before it counts, what it does not stays", test_revoked);
	ADD("a NIC that changes its path, or goes, has nothing in the NIC", test_paths);
	ADD("a refusal is told with its reason, and tried again", test_refused);
	ADD("an eviction is told with its reason", test_evicted);
	ADD("when the NIC dies the switch goes on, and with the next one it begins anew", test_death);
	ADD("a port that the NIC could not have is asked for again", test_port_refused);
	ADD("a port that is made anew has none of its flows", test_remade);
	ADD("another MAC of the next hop takes the flow out, and only it", test_neighbour);
	ADD("the NIC holds a limit", test_limit);
	ADD("what has a limit that the NIC does not take anew is the switch's", test_limit_refused);
	ADD("what does not come and leave by the NIC's ports stays with the switch", test_others);
	g_test_add("/offloader/without an eswitch nothing is done, and its ports may come and go",
		struct world, NULL, setup_off, test_off, teardown);
	g_test_add("/offloader/a NIC that takes its time holds up nobody but who applies", struct world, NULL,
		setup_off, test_slow, teardown);
	return lab_run();
}
