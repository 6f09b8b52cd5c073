/* Buckets: what passes in a time, whatever the packets and the clock. */
#include "switch/meter.h"

#include "switch/test_values.h"

#include <rte_mbuf.h>

#define NIC    7u
#define SECOND 1000u
#define FRAME  1514u

static const struct limit megabit = {.bits_per_s = 1000000, .burst_ms = 50};

/* Bytes that pass when packets of that size always wait, between two times, with a turn each millisecond. */
static uint64_t passes(
	struct meter_bucket *bucket, const struct limit *limit, uint32_t from_ms, uint32_t ms, uint32_t size)
{
	uint64_t bytes = 0;

	for (uint32_t t = 0; t <= ms; t++) {
		while (meter_bucket_is_open(bucket, limit, NIC, from_ms + t)) {
			unsigned n = meter_bucket_room(bucket, limit, 32);
			g_assert_cmpuint(n, >=, 1);
			g_assert_cmpuint(n, <=, 32);
			meter_bucket_spend(bucket, (uint64_t)n * size, n);
			bytes += (uint64_t)n * size;
		}
	}
	return bytes;
}

/* No more than the rate and one burst, and a packet over; no less than the rate. */
static void assert_rate(uint64_t got, uint64_t rate, uint32_t ms, uint32_t burst_ms, uint64_t over)
{
	g_assert_cmpuint(got, >=, rate * ms / 1000);
	g_assert_cmpuint(got, <=, rate * (ms + burst_ms) / 1000 + over);
}

static void test_bits(void)
{
	static const uint64_t rates[] = {LIMIT_BITS_MIN, 1000000, 20000000, 999999937, 100000000000};
	static const uint32_t sizes[] = {60, FRAME, 9014, 65000};

	for (size_t r = 0; r < G_N_ELEMENTS(rates); r++) {
		for (size_t s = 0; s < G_N_ELEMENTS(sizes); s++) {
			struct meter_bucket bucket = {};
			struct limit limit = {.bits_per_s = rates[r], .burst_ms = 20};
			uint64_t bytes = passes(&bucket, &limit, 5, 20 * SECOND, sizes[s]);
			assert_rate(bytes * 8, rates[r], 20 * SECOND, 20, 32 * sizes[s] * 8);
		}
	}
}

static void test_packets(void)
{
	struct meter_bucket bucket = {};
	struct limit limit = {.packets_per_s = 10, .burst_ms = 1000};

	assert_rate(passes(&bucket, &limit, 0, 60 * SECOND, 1), 10, 60 * SECOND, 1000, 1);
	limit.packets_per_s = 123457;
	bucket = (struct meter_bucket){};
	assert_rate(passes(&bucket, &limit, 0, 10 * SECOND, 1), 123457, 10 * SECOND, 1000, 1);
}

/* The lower one of the two counts, and leaves no debt of the other behind. */
static void test_both(void)
{
	struct meter_bucket bucket = {};
	struct limit limit = {.bits_per_s = 1000000, .packets_per_s = 1000, .burst_ms = 10};

	assert_rate(passes(&bucket, &limit, 0, 10 * SECOND, 60) / 60, 1000, 10 * SECOND, 10, 1);
	assert_rate(passes(&bucket, &limit, 20 * SECOND, 10 * SECOND, FRAME) * 8, 1000000, 10 * SECOND, 10,
		32 * FRAME * 8);
}

/* A burst may follow any idle time, but is one burst. */
static void test_idle(void)
{
	for (uint32_t idle = 1; idle != 0; idle = idle < UINT32_MAX / 2 ? idle * 2 + 1 : 0) {
		struct meter_bucket bucket = {};
		passes(&bucket, &megabit, 0, SECOND, FRAME);
		uint64_t burst = passes(&bucket, &megabit, SECOND + idle, 0, 100) * 8;
		g_assert_cmpuint(burst, <=, 50000 + 32 * 800);
		g_assert_cmpuint(burst, >=, idle > 200 ? 50000 : 0);
	}
}

static void test_wrap(void)
{
	struct meter_bucket bucket = {};

	passes(&bucket, &megabit, UINT32_MAX - 2 * SECOND, SECOND, FRAME);
	assert_rate(passes(&bucket, &megabit, UINT32_MAX - SECOND + 1, 10 * SECOND, FRAME) * 8, 999000,
		10 * SECOND, 50, 32 * FRAME * 8);
	g_assert_cmpuint(bucket.filled_ms, ==, 9 * SECOND);
}

/* A clock that is a little behind takes nothing, gives nothing, and does not set the time back. */
static void test_behind(void)
{
	struct meter_bucket bucket = {};

	passes(&bucket, &megabit, 0, SECOND, FRAME);
	int64_t bits = bucket.bits;
	meter_bucket_is_open(&bucket, &megabit, NIC, SECOND - 3);
	g_assert_cmpint(bucket.bits, ==, bits);
	g_assert_cmpuint(bucket.filled_ms, ==, SECOND);
	meter_bucket_is_open(&bucket, &megabit, NIC, SECOND + 1);
	g_assert_cmpint(bucket.bits, ==, bits + 1000000);
}

/* A large packet passes when anything may; what comes after it waits until it is paid for. */
static void test_debt(void)
{
	struct meter_bucket bucket = {};

	g_assert_true(meter_bucket_is_open(&bucket, &megabit, NIC, 0));
	meter_bucket_spend(&bucket, 31250, 1); /* 250 ms, of which 50 are there */
	g_assert_false(meter_bucket_is_open(&bucket, &megabit, NIC, 200));
	g_assert_true(meter_bucket_is_open(&bucket, &megabit, NIC, 201));
}

/* Another limit counts from what is there. */
static void test_changed(void)
{
	const struct limit ten = {.bits_per_s = 10000000, .burst_ms = 50},
			   tenth = {.bits_per_s = 100000, .burst_ms = 50};
	struct meter_bucket bucket = {};

	passes(&bucket, &megabit, 0, SECOND, FRAME);
	int64_t bits = bucket.bits;
	g_assert_cmpint(bits, <=, 0);
	meter_bucket_is_open(&bucket, &ten, NIC, SECOND + 1);
	g_assert_cmpint(bucket.bits, ==, bits + 10000000);
	meter_bucket_is_open(&bucket, &ten, NIC, 2 * SECOND);
	g_assert_cmpint(bucket.bits, ==, INT64_C(500000000));
	meter_bucket_is_open(&bucket, &tenth, NIC, 2 * SECOND + 1);
	g_assert_cmpint(bucket.bits, ==, 5000000);
	/* Who comes after it in the slot begins with a full one. */
	meter_bucket_spend(&bucket, 1000000, 1);
	g_assert_false(meter_bucket_is_open(&bucket, &tenth, NIC, 2 * SECOND + 2));
	g_assert_true(meter_bucket_is_open(&bucket, &tenth, NIC + 1, 2 * SECOND + 2));
	g_assert_cmpint(bucket.bits, ==, 5000000);
}

/* What was not limited before owes nothing when it is. */
static void test_unlimited(void)
{
	const struct limit packets = {.packets_per_s = 1000000, .burst_ms = 50};
	struct meter_bucket bucket = {};

	for (uint32_t t = 0; t < 100; t++)
		if (meter_bucket_is_open(&bucket, &packets, NIC, t))
			meter_bucket_spend(&bucket, UINT64_C(1) << 40, 1);
	meter_bucket_is_open(&bucket, &packets, NIC, 100);
	g_assert_true(meter_bucket_is_open(&bucket, &megabit, NIC, 101));
}

/* What is delivered counts its bytes, and as many packets as it will be. */
static void test_segments(void)
{
	const struct nic nic = {.id = NIC, .receive = {.packets_per_s = 1000, .burst_ms = 10}};
	const struct rte_mbuf plain = {.pkt_len = FRAME},
			      large = {.pkt_len = 5 * 1448 + 60,
				      .ol_flags = RTE_MBUF_F_TX_TCP_SEG,
				      .tso_segsz = 1448},
			      whole = {.pkt_len = FRAME, .tso_segsz = 48}; /* left over in the buffer */
	struct meter meter = {};

	g_assert_true(meter_may_deliver(&meter, &nic, 0, &plain));
	g_assert_cmpint(meter.shared.receive.packets, ==, 9000);
	g_assert_true(meter_may_deliver(&meter, &nic, 0, &large));
	g_assert_cmpint(meter.shared.receive.packets, ==, 3000);
	g_assert_true(meter_may_deliver(&meter, &nic, 0, &whole));
	g_assert_cmpint(meter.shared.receive.packets, ==, 2000);
	g_assert_true(meter_may_deliver(&meter, &nic, 0, &large));
	g_assert_false(meter_may_deliver(&meter, &nic, 4, &plain));
	g_assert_true(meter_may_deliver(&meter, &nic, 5, &plain));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/meter/bits pass at the rate, whatever the packets' size", test_bits);
	g_test_add_func("/meter/packets pass at the rate", test_packets);
	g_test_add_func("/meter/of two limits the lower one counts", test_both);
	g_test_add_func("/meter/after idle time there is one burst", test_idle);
	g_test_add_func("/meter/the clock may wrap", test_wrap);
	g_test_add_func("/meter/a clock that is behind does no harm", test_behind);
	g_test_add_func("/meter/a debt is paid first", test_debt);
	g_test_add_func("/meter/a changed limit keeps what is in the bucket", test_changed);
	g_test_add_func("/meter/a packet to be segmented counts as its segments", test_segments);
	g_test_add_func("/meter/what has no limit owes nothing", test_unlimited);
	return g_test_run();
}
