/* The whole pipeline with rate limits: a is held back when it sends too much, and spared what is too much for it. */
#include "switch/meter.h"
#include "switch/metrics.h"
#include "switch/mirror_session.h"
#include "switch/report.h"
#include "switch/test_lab.h"

#include <string.h>

#define FRAME 1000u /* bytes */

static struct test_frame from_a(void)
{
	return test_udp(MAC_A, MAC_B, IP_A, 1, IP_B, 1, FRAME - 42);
}

static struct test_frame to_a(void)
{
	return test_udp(MAC_B, MAC_A, IP_B, 1, IP_A, 1, FRAME - 42);
}

static void limit(struct fixture *f, const char *direction, json_t *rates)
{
	json_object_set_new(lab_nic(f, 0), "limits", json_pack("{s:o}", direction, rates));
	lab_apply(f);
}

/* That many packets wait at the port. */
static void offer(struct fixture *f, const char *port, const struct test_frame *frame, unsigned n)
{
	port_fake_offer(lab_port(f, port), frame->bytes, frame->length, n);
}

/* A turn each millisecond, and a second one in it; what came out of b is counted. */
static unsigned turn(struct fixture *f, unsigned ms, const char *port)
{
	unsigned n = 0;

	for (unsigned i = 0; i < 2 * ms; i++) {
		worker_begin(f->worker, f->now_ms += i & 1);
		worker_turn(f->worker);
	}
	for (GBytes *bytes; (bytes = port_fake_take(lab_port(f, port))); g_bytes_unref(bytes))
		n++;
	return n;
}

static struct meter_holds holds(struct fixture *f)
{
	return meter_holds_of(&f->datapath->meters[0], datapath_snapshot(f->datapath)->nics[0]);
}

static void assert_near(uint64_t got, uint64_t least, uint64_t over)
{
	g_assert_cmpuint(got, >=, least);
	g_assert_cmpuint(got, <=, least + over);
}

/* 8 Mbit/s are a frame each millisecond, and 50 more at first. */
static void test_held(struct fixture *f, const void *data)
{
	struct test_frame frame = from_a(), other = test_udp(MAC_C, MAC_GATEWAY, IP_C, 1, IP_B, 1, 10);

	limit(f, "send", json_pack("{s:i}", "bits_per_s", 8000000));
	offer(f, "a", &frame, 3000);
	assert_near(turn(f, 1000, "b"), 1000, 60);
	assert_near(turn(f, 1000, "b"), 990, 20);
	g_assert_cmpuint(port_fake_waiting(lab_port(f, "a")), >=, 900); /* there, not here */
	g_assert_cmpuint(datapath_counters(f->datapath).drops, ==, 0);
	g_assert_cmpuint(holds(f).times, >=, 100);
	assert_near(holds(f).ms, 1000, 1000);
	/* Others are not held back with it. */
	offer(f, "c", &other, 500);
	g_assert_cmpuint(turn(f, 10, "b"), >=, 320);
	/* Without the limit all comes at once. */
	json_object_del(lab_nic(f, 0), "limits");
	lab_apply(f);
	turn(f, 100, "b");
	g_assert_cmpuint(port_fake_waiting(lab_port(f, "a")), ==, 0);
	g_assert_cmpuint(datapath_counters(f->datapath).drops, ==, 0);
}

static void test_held_packets(struct fixture *f, const void *data)
{
	struct test_frame frame = from_a();

	limit(f, "send", json_pack("{s:i, s:i}", "packets_per_s", 200, "burst_ms", 100));
	offer(f, "a", &frame, 3000);
	assert_near(turn(f, 5000, "b"), 1000, 21);
}

static void test_both_attachments(struct fixture *f, const void *data)
{
	struct test_frame frame = from_a();

	limit(f, "send", json_pack("{s:i}", "bits_per_s", 8000000));
	offer(f, "a", &frame, 3000);
	offer(f, "/a", &frame, 3000);
	assert_near(turn(f, 1000, "b"), 1000, 60);
	/* Neither takes all. */
	g_assert_cmpuint(port_fake_waiting(lab_port(f, "a")), <, 2600);
	g_assert_cmpuint(port_fake_waiting(lab_port(f, "/a")), <, 2600);
	/* Nor is the other kept waiting for one that is gone. */
	json_array_remove(json_object_get(lab_nic(f, 0), "attachments"), 1);
	lab_apply(f);
	assert_near(turn(f, 1000, "b"), 990, 20);
}

/* Another limit holds at once, from what is in the bucket; another NIC in the slot begins anew. */
static void test_changed(struct fixture *f, const void *data)
{
	struct test_frame frame = from_a();

	limit(f, "send", json_pack("{s:i}", "bits_per_s", 8000000));
	offer(f, "a", &frame, 5000);
	turn(f, 100, "b");
	limit(f, "send", json_pack("{s:i}", "bits_per_s", 80000));
	assert_near(turn(f, 1000, "b"), 9, 2);
	limit(f, "send", json_pack("{s:i}", "bits_per_s", 80000000));
	assert_near(turn(f, 100, "b"), 990, 20); /* no burst beside it */
	g_assert_cmpuint(holds(f).times, >, 0);
	json_auto_t *a = json_incref(lab_nic(f, 0));
	json_array_remove(json_object_get(f->state, "nics"), 0);
	lab_apply(f);
	lab_pass(f, 10 * SECOND); /* its connection ends */
	json_array_insert(json_object_get(f->state, "nics"), 0, a);
	lab_apply(f);
	g_assert_cmpuint(holds(f).times, ==, 0);
	offer(f, "a", &frame, 5000);
	assert_near(turn(f, 100, "b"), 990 + 500, 20);
}

/* Time without a limit is not time of being held back. */
static void test_holds(struct fixture *f, const void *data)
{
	struct test_frame frame = from_a();

	limit(f, "send", json_pack("{s:i}", "bits_per_s", 80000));
	offer(f, "a", &frame, 20);
	turn(f, 40, "b"); /* the first packet is paid for in 50 ms */
	json_object_del(lab_nic(f, 0), "limits");
	lab_apply(f);
	turn(f, 10 * SECOND, "b");
	limit(f, "send", json_pack("{s:i}", "bits_per_s", 80000));
	turn(f, 10, "b");
	g_assert_cmpuint(holds(f).times, ==, 1);
	assert_near(holds(f).ms, 38, 2);
}

static uint64_t rate_drops(struct fixture *f)
{
	return datapath_nic_drops(f->datapath, datapath_snapshot(f->datapath)->nics[0], DROP_RATE);
}

static void test_policed(struct fixture *f, const void *data)
{
	struct test_frame frame = to_a();
	unsigned got;

	limit(f, "receive", json_pack("{s:i, s:i}", "bits_per_s", 8000000, "burst_ms", 50));
	offer(f, "b", &frame, 3000);
	got = turn(f, 40, "a"); /* two bursts of 32 a millisecond */
	assert_near(got, 40 + 50, 2);
	g_assert_cmpuint(got + rate_drops(f), ==, 40 * 64);
	g_assert_cmpuint(holds(f).times, ==, 0);
	/* b is nobody's neighbour in this. */
	struct test_frame other = from_a();
	offer(f, "a", &other, 100);
	g_assert_cmpuint(turn(f, 10, "b"), ==, 100);
}

/* While deliveries are copied to both attachments, the guest gets each packet twice, and each counts once. */
static void test_policed_both(struct fixture *f, const void *data)
{
	struct test_frame frame = to_a();

	json_object_set_new(lab_nic(f, 0), "active", json_string("both"));
	limit(f, "receive", json_pack("{s:i, s:i}", "packets_per_s", 1000, "burst_ms", 50));
	offer(f, "b", &frame, 640);
	unsigned got = turn(f, 10, "a"), copies = turn(f, 0, "/a");
	assert_near(got, 60, 1);
	g_assert_cmpuint(copies, ==, got);
	g_assert_cmpuint(rate_drops(f), ==, 640 - got);
}

static json_t *sample(const json_t *families, const char *name)
{
	size_t i;
	json_t *family;

	json_array_foreach(families, i,
		family) if (g_str_equal(json_string_value(json_object_get(family, "name")),
				    name)) return json_array_get(json_object_get(family, "samples"), 0);
	return NULL;
}

static void test_shown(struct fixture *f, const void *data)
{
	struct test_frame frame = from_a();

	limit(f, "send", json_pack("{s:i}", "bits_per_s", 8000000));
	offer(f, "a", &frame, 300);
	turn(f, 200, "b");
	json_auto_t *nics = report_nics(f->datapath);
	_cleanup_(mirror_session_free) struct mirror_session *mirrors = mirror_session_new(f->datapath);
	json_auto_t *families = metrics_encode(f->datapath, mirrors);
	const json_t *a = json_array_get(nics, 0), *times = sample(families, "sluice_nic_holds_total");
	g_assert_cmpint(json_integer_value(json_object_get(a, "holds")), ==, (json_int_t)holds(f).times);
	g_assert_cmpint(json_integer_value(json_object_get(a, "held_ms")), ==, (json_int_t)holds(f).ms);
	g_assert_cmpint(json_integer_value(json_object_get(times, "value")), ==, (json_int_t)holds(f).times);
	g_assert_cmpstr(json_string_value(json_object_get(json_object_get(times, "labels"), "nic")), ==, "a");
	g_assert_cmpint(json_integer_value(json_object_get(
				sample(families, "sluice_nic_held_milliseconds_total"), "value")),
		==, (json_int_t)holds(f).ms);
}

#define ADD(name, fn) g_test_add("/limits/" name, struct fixture, NULL, lab_setup, fn, lab_teardown)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("a NIC that sends too much is held back, and nothing is dropped", test_held);
	ADD("it is held back by packets, too", test_held_packets);
	ADD("all attachments of a NIC send by one limit", test_both_attachments);
	ADD("another limit holds at once", test_changed);
	ADD("time without a limit is not counted", test_holds);
	ADD("what is too much for a NIC is dropped and counted", test_policed);
	ADD("a copy for the other attachment counts no more", test_policed_both);
	ADD("how often a NIC was held back is shown", test_shown);
	return lab_run();
}
