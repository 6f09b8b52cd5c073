/* Mirrors: what is copied, what is not, and that nothing waits for the reader. */
#include "switch/mirror_session.h"

#include "base/fault.h"
#include "switch/metrics.h"
#include "switch/test_lab.h"

static json_t *call(struct mirror_session *session,
	json_t *(*method)(struct mirror_session *, json_t *, GError **), json_t *params)
{
	g_autoptr(GError) error = NULL;
	json_t *result = method(session, params, &error);

	g_assert_no_error(error);
	json_decref(params);
	return result;
}

/* Starts one and lets the worker see it. */
static json_int_t start(struct fixture *f, struct mirror_session *session, json_t *params)
{
	json_auto_t *started = call(session, mirror_session_start, params);

	worker_begin(f->worker, f->now_ms);
	return json_integer_value(json_object_get(started, "mirror"));
}

static json_t *read_all(struct mirror_session *session, json_int_t id)
{
	return call(session, mirror_session_read, json_pack("{s:I, s:i}", "mirror", id, "limit", 1024));
}

static void assert_packet(
	const json_t *answer, size_t i, const char *direction, const struct test_frame *frame)
{
	const json_t *packet = json_array_get(json_object_get(answer, "packets"), i);
	gsize length;

	g_assert_cmpstr(json_string_value(json_object_get(packet, "direction")), ==, direction);
	g_autofree uint8_t *data =
		g_base64_decode(json_string_value(json_object_get(packet, "data")), &length);
	g_assert_cmpint(json_integer_value(json_object_get(packet, "length")), ==, frame->length);
	g_assert_cmpmem(data, length, frame->bytes, frame->length);
}

static size_t packets_of(const json_t *answer)
{
	return json_array_size(json_object_get(answer, "packets"));
}

static json_int_t number(const json_t *object, const char *member)
{
	return json_integer_value(json_object_get(object, member));
}

static void test_both_ways(struct fixture *f, const void *data)
{
	_cleanup_(mirror_session_free) struct mirror_session *session = mirror_session_new(f->datapath);
	struct test_frame sent = test_udp(MAC_A, MAC_GATEWAY, IP_A, 1, IP_C, 2, 5);

	lab_put(f, "a", sent); /* before: not copied */
	lab_expect(f, "c");
	json_int_t id = start(f, session, json_pack("{s:s}", "nic", "c"));
	lab_put(f, "a", sent);
	struct test_frame delivered = lab_expect(f, "c");
	struct test_frame answer = test_udp(MAC_C, MAC_GATEWAY, IP_C, 2, IP_A, 1, 5);
	lab_put(f, "c", answer);
	lab_put(f, "a", test_udp(MAC_A, MAC_B, IP_A, 1, IP_B, 2, 5)); /* others' is not copied */
	json_auto_t *read = read_all(session, id);
	g_assert_cmpuint(packets_of(read), ==, 2);
	assert_packet(read, 0, "tx", &delivered);
	assert_packet(read, 1, "rx", &answer);
	g_assert_true(json_is_true(json_object_get(read, "present")));
	json_auto_t *nothing = read_all(session, id);
	g_assert_cmpuint(packets_of(nothing), ==, 0);
}

/* What is dropped was sent all the same. */
static void test_dropped(struct fixture *f, const void *data)
{
	_cleanup_(mirror_session_free) struct mirror_session *session = mirror_session_new(f->datapath);
	struct test_frame spoofed = test_udp(MAC_B, MAC_GATEWAY, IP_A, 1, IP_C, 2, 5);
	json_int_t id = start(f, session, json_pack("{s:s}", "nic", "a"));

	lab_put(f, "a", spoofed);
	g_assert_cmpuint(lab_drops(f, DROP_SPOOFED_MAC), ==, 1);
	json_auto_t *read = read_all(session, id);
	g_assert_cmpuint(packets_of(read), ==, 1);
	assert_packet(read, 0, "rx", &spoofed);
}

static void test_flow(struct fixture *f, const void *data)
{
	_cleanup_(mirror_session_free) struct mirror_session *session = mirror_session_new(f->datapath);
	struct test_frame mine = test_udp(MAC_A, MAC_GATEWAY, IP_A, 1, IP_C, 2, 5);
	json_int_t id =
		start(f, session, json_pack("{s:s, s:s}", "nic", "a", "flow", "udp " IP_A ":1 > " IP_C ":2"));

	lab_put(f, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, 1, IP_C, 3, 5));
	lab_put(f, "a", test_arp(MAC_A, 1, MAC_A, IP_A, "192.168.1.1"));
	lab_put(f, "a", mine);
	lab_put(f, "c", test_udp(MAC_C, MAC_GATEWAY, IP_C, 2, IP_A, 1, 5));
	json_auto_t *read = read_all(session, id);
	g_assert_cmpuint(packets_of(read), ==, 2);
	assert_packet(read, 0, "rx", &mine);
	g_assert_cmpint(number(read, "wanted"), ==, 2);
}

static void test_filter(struct fixture *f, const void *data)
{
	_cleanup_(mirror_session_free) struct mirror_session *session = mirror_session_new(f->datapath);
	struct test_frame mine = test_tcp(MAC_A, MAC_GATEWAY, IP_A, 1, IP_C, 22, TCP_SYN, 0);
	json_int_t id = start(f, session,
		json_pack("{s:s, s:s, s:i, s:s}", "nic", "a", "protocol", "tcp", "port", 22, "address",
			"192.168.2.0/24"));

	lab_put(f, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, 1, IP_C, 22, 5));
	lab_put(f, "a", test_tcp(MAC_A, MAC_GATEWAY, IP_A, 1, IP_C, 23, TCP_SYN, 0));
	lab_put(f, "a", test_tcp(MAC_A, MAC_B, IP_A, 1, IP_B, 22, TCP_SYN, 0));
	lab_put(f, "a", mine);
	json_auto_t *read = read_all(session, id);
	g_assert_cmpuint(packets_of(read), ==, 1);
	assert_packet(read, 0, "rx", &mine);
}

/* The filter is about what flow.list and trace print; the NIC's port has the private address alone. */
static void assert_public_fits(struct fixture *f, json_t *params)
{
	_cleanup_(mirror_session_free) struct mirror_session *session = mirror_session_new(f->datapath);
	struct test_frame mine = test_udp(MAC_A, MAC_GATEWAY, IP_A, 1, PEER, 2, 5);
	json_int_t id = start(f, session, params);

	lab_put(f, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, 1, IP_C, 3, 5));
	lab_put(f, "a", mine);
	json_auto_t *read = read_all(session, id);
	g_assert_cmpuint(packets_of(read), >=, 1);
	assert_packet(read, packets_of(read) - 1, "rx", &mine);
}

static void test_public(struct fixture *f, const void *data)
{
	assert_public_fits(f, json_pack("{s:s, s:s}", "nic", "a", "address", PUBLIC_A));
	assert_public_fits(f, json_pack("{s:s, s:s}", "nic", "a", "flow", "udp " PUBLIC_A ":1 > " PEER ":2"));
	assert_public_fits(f, json_pack("{s:s, s:s}", "nic", "a", "flow", "udp " PEER ":2 > " PUBLIC_A ":1"));
}

static void test_cut(struct fixture *f, const void *data)
{
	_cleanup_(mirror_session_free) struct mirror_session *session = mirror_session_new(f->datapath);
	struct test_frame frame = test_udp(MAC_A, MAC_GATEWAY, IP_A, 1, IP_C, 2, 1000);
	json_int_t id = start(f, session, json_pack("{s:s, s:i}", "nic", "a", "snaplen", 64));
	gsize length;

	lab_put(f, "a", frame);
	json_auto_t *read = read_all(session, id);
	const json_t *packet = json_array_get(json_object_get(read, "packets"), 0);
	g_autofree uint8_t *bytes =
		g_base64_decode(json_string_value(json_object_get(packet, "data")), &length);
	g_assert_cmpmem(bytes, length, frame.bytes, 64);
	g_assert_cmpint(number(packet, "length"), ==, frame.length);
}

static void test_rate(struct fixture *f, const void *data)
{
	_cleanup_(mirror_session_free) struct mirror_session *session = mirror_session_new(f->datapath);
	struct test_frame frame = test_udp(MAC_A, MAC_GATEWAY, IP_A, 1, IP_C, 2, 0);
	json_int_t id = start(f, session, json_pack("{s:s, s:i}", "nic", "a", "rate", 50));

	for (unsigned i = 0; i < 20; i++)
		lab_put(f, "a", frame);
	lab_pass(f, 200);
	lab_put(f, "a", frame);
	json_auto_t *read = read_all(session, id);
	g_assert_cmpuint(packets_of(read), ==, 6); /* 5 in a tenth of a second, then one more */
	g_assert_cmpint(number(read, "limited"), ==, 15);
	g_assert_cmpint(number(read, "wanted"), ==, 21);
}

static void test_slow_reader(struct fixture *f, const void *data)
{
	_cleanup_(mirror_session_free) struct mirror_session *session = mirror_session_new(f->datapath);
	json_int_t id = start(f, session, json_pack("{s:s, s:i}", "nic", "a", "rate", 1000000));
	unsigned copied = 0, read_packets;

	for (unsigned i = 0; i < 3000; i++)
		lab_put(f, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, 1, IP_C, 2, 0));
	for (unsigned i = 0; i < 3000; i++)
		lab_expect(f, "c"); /* the packets themselves went on */
	json_int_t overrun = 0;
	do {
		json_auto_t *read = read_all(session, id);
		read_packets = (unsigned)packets_of(read);
		copied += read_packets;
		overrun = number(read, "overrun");
	} while (read_packets);
	g_assert_cmpint(overrun, >, 0);
	g_assert_cmpint(copied + overrun, ==, 3000);
	lab_put(f, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, 1, IP_C, 2, 0));
	json_auto_t *again = read_all(session, id);
	g_assert_cmpuint(packets_of(again), ==, 1);
}

static void test_life(struct fixture *f, const void *data)
{
	_cleanup_(mirror_session_free) struct mirror_session *session = mirror_session_new(f->datapath);
	json_auto_t *params = json_pack("{s:s}", "nic", "a");
	g_autoptr(GError) busy = NULL, over = NULL;
	json_object_set_new(lab_nic(f, 0), "name", json_string("web"));
	lab_apply(f);
	json_int_t id = start(f, session, json_incref(params));

	g_assert_null(mirror_session_start(session, params, &busy));
	g_assert_error(busy, FAULT, FAULT_BUSY);
	g_assert_nonnull(strstr(busy->message, "NIC web is being mirrored"));
	json_decref(call(session, mirror_session_stop, json_pack("{s:I}", "mirror", id)));
	json_auto_t *gone = json_pack("{s:I}", "mirror", id);
	g_assert_null(mirror_session_read(session, gone, &over));
	g_assert_error(over, FAULT, FAULT_NOT_FOUND);
	/* One whose reader went away ends by itself, and its NIC's removal is said. */
	id = start(f, session, json_incref(params));
	json_array_remove(json_object_get(f->state, "nics"), 0);
	lab_apply(f);
	json_auto_t *read = read_all(session, id);
	g_assert_true(json_is_false(json_object_get(read, "present")));
	mirror_session_tick(session, g_get_monotonic_time());
	g_assert_nonnull(atomic_load(&f->datapath->mirror));
	mirror_session_tick(session, g_get_monotonic_time() + (MIRROR_IDLE_S + 1) * G_USEC_PER_SEC);
	g_assert_null(atomic_load(&f->datapath->mirror));
	worker_begin(f->worker, f->now_ms);
}

static void test_refused(struct fixture *f, const void *data)
{
	static const struct {
		const char *params, *says;
	} cases[] = {
		{"{}", "nic: is missing"},
		{"{\"nic\": \"q\"}", "no NIC"},
		{"{\"nic\": \"a\", \"flow\": \"tcp 1.2.3.4 > 1.2.3.5\"}", "flow: packet: '1.2.3.4' is not"},
		{"{\"nic\": \"a\", \"flow\": \"arp who-has 1.2.3.4 tell 1.2.3.5\"}",
			"not a packet that a connection"},
		{"{\"nic\": \"a\", \"snaplen\": 10}", "snaplen: must be"},
		{"{\"nic\": \"a\", \"rate\": 0}", "rate: must be"},
	};
	_cleanup_(mirror_session_free) struct mirror_session *session = mirror_session_new(f->datapath);

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		json_auto_t *params = json_loads(cases[i].params, 0, NULL);
		g_autoptr(GError) error = NULL;
		g_assert_null(mirror_session_start(session, params, &error));
		if (!strstr(error->message, cases[i].says))
			g_error("%s", error->message);
	}
}

static void test_shared(struct fixture *f, const void *data)
{
	_cleanup_(mirror_session_free) struct mirror_session *session = mirror_session_new(f->datapath);
	json_auto_t *params = json_pack("{s:s, s:s}", "nic", "c", "address", "203.0.113.250");
	json_t *network = json_array_get(json_object_get(f->state, "networks"), 0);
	g_autoptr(GError) error = NULL;

	json_object_set_new(network, "source_nat", json_pack("{s:[s]}", "addresses", "203.0.113.250"));
	lab_apply(f);
	g_assert_null(mirror_session_start(session, params, &error));
	g_assert_error(error, FAULT, FAULT_INVALID);
	g_assert_nonnull(strstr(error->message, "give that"));
}

/* ---- metrics, which count mirrors too ---- */

static json_int_t metric(struct fixture *f, const struct mirror_session *session, const char *name,
	const char *label, const char *wanted)
{
	json_auto_t *families = metrics_encode(f->datapath, session);
	json_t *family, *sample;
	size_t i, j;

	json_array_foreach(families, i, family)
	{
		if (!g_str_equal(json_string_value(json_object_get(family, "name")), name))
			continue;
		json_array_foreach(json_object_get(family, "samples"), j, sample)
		{
			const json_t *value = json_object_get(json_object_get(sample, "labels"), label);
			if (!wanted || g_strcmp0(json_string_value(value), wanted) == 0)
				return number(sample, "value");
		}
	}
	return -1;
}

static void test_metrics(struct fixture *f, const void *data)
{
	_cleanup_(mirror_session_free) struct mirror_session *session = mirror_session_new(f->datapath);
	json_int_t id = start(f, session, json_pack("{s:s}", "nic", "a"));

	lab_put(f, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, 1, IP_C, 2, 0));
	lab_put(f, "a", test_udp(MAC_B, MAC_GATEWAY, IP_A, 1, IP_C, 2, 0));
	json_decref(call(session, mirror_session_stop, json_pack("{s:I}", "mirror", id)));
	worker_begin(f->worker, f->now_ms);
	g_assert_cmpint(metric(f, session, "sluice_switch_rx_total", "worker", "0"), ==, 2);
	g_assert_cmpint(metric(f, session, "sluice_nic_rx_packets_total", "nic", "a"), ==, 2);
	g_assert_cmpint(metric(f, session, "sluice_nic_tx_packets_total", "nic", "c"), ==, 1);
	g_assert_cmpint(metric(f, session, "sluice_nic_connections", "nic", "a"), ==, 1);
	g_assert_cmpint(metric(f, session, "sluice_switch_connections", NULL, NULL), ==, 1);
	g_assert_cmpint(
		metric(f, session, "sluice_switch_dropped_packets_total", "reason", "spoofed-mac"), ==, 1);
	g_assert_cmpint(metric(f, session, "sluice_nic_dropped_packets_total", "nic", "a"), ==, 1);
	g_assert_cmpint(metric(f, session, "sluice_nic_dropped_packets_total", "nic", "c"), ==, -1);
	g_assert_cmpint(
		metric(f, session, "sluice_mirror_packets_total", NULL, NULL), ==, 2); /* also past ones */
	g_assert_cmpint(metric(f, session, "sluice_nic_attachment_ready", "nic", "b"), ==, 1);
}

#define ADD(name, test) g_test_add("/mirror/" name, struct fixture, NULL, lab_setup, test, lab_teardown)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("a NIC's packets are copied both ways, as the NIC sees them", test_both_ways);
	ADD("what is dropped is copied, as it was sent", test_dropped);
	ADD("a flow is mirrored in both directions and nothing else", test_flow);
	ADD("protocol, address and port choose together", test_filter);
	ADD("a public address of the NIC means its private one", test_public);
	ADD("an address that NICs share outside is refused with what to give", test_shared);
	ADD("copies are cut to the length that is asked for", test_cut);
	ADD("no more packets are copied than the rate allows", test_rate);
	ADD("a slow reader loses copies, counted, and no packet waits for it", test_slow_reader);
	ADD("there is one mirror, and it does not outlive its reader", test_life);
	ADD("a wrong request is refused and says where", test_refused);
	ADD("metrics say what the counters are", test_metrics);
	return lab_run();
}
