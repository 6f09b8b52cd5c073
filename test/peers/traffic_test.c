/* Tests of the benchmark's traffic: that the sink tells right frames from all others. */
#include "traffic.h"

#include <glib.h>

static const struct traffic_rule rules[] = {
	{.source = 0x0a010203, .first_port = 2000, .n_ports = 100, .protocol = IPPROTO_UDP, .passes = true},
	{.source = 0x0a020304, .first_port = 443, .n_ports = 1, .protocol = IPPROTO_TCP, .passes = true},
	{.source = 0x0a030405, .first_port = 53, .n_ports = 2, .protocol = IPPROTO_UDP, .passes = false},
};
static const uint8_t macs[12] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1};

#define LENGTH (TRAFFIC_FRAME_MIN - TRAFFIC_FCS)

static struct traffic_frame frame_of(uint16_t rule, uint32_t round, bool reverse)
{
	struct traffic_frame frame = {.ether_type = htons(0x0800),
		.version_ihl = 0x45,
		.total_length = htons(LENGTH - TRAFFIC_ETH),
		.ttl = TRAFFIC_TTL};

	memcpy(&frame, macs, sizeof macs);
	traffic_write(
		&frame, LENGTH, &rules[rule], (struct traffic_claim){.round = round, .rule = rule}, reverse);
	return frame;
}

static enum traffic_verdict judge(const struct traffic_frame *frame, bool reverse)
{
	return traffic_judge(frame, LENGTH, rules, G_N_ELEMENTS(rules), reverse, macs);
}

static void test_right(void)
{
	for (uint32_t round = 0; round < 200000; round += 997) {
		for (uint16_t rule = 0; rule < G_N_ELEMENTS(rules); rule++) {
			for (int reverse = 0; reverse < 2; reverse++) {
				struct traffic_frame frame = frame_of(rule, round, reverse);
				g_assert_cmpint(judge(&frame, reverse), ==,
					rules[rule].passes ? TRAFFIC_RIGHT : TRAFFIC_LEAKED);
				g_assert_cmpint(judge(&frame, !reverse), ==, TRAFFIC_WRONG);
			}
		}
	}
}

/* The ranges of bytes that the sink vouches for: all headers but what UDP and TCP themselves verify. */
static void test_changed(void)
{
	static const struct {
		size_t from, to;
	} ranges[] = {{0, 12}, {14, 15}, {16, 18}, {22, 38}, {42, 48}};

	for (size_t i = 0; i < G_N_ELEMENTS(ranges); i++) {
		for (size_t at = ranges[i].from; at < ranges[i].to; at++) {
			struct traffic_frame frame = frame_of(0, 12345, false);
			((uint8_t *)&frame)[at] ^= 0x41;
			g_assert_cmpint(judge(&frame, false), !=, TRAFFIC_RIGHT);
		}
	}
}

static void test_foreign(void)
{
	struct traffic_frame frame = frame_of(0, 1, false);

	frame.ether_type = htons(0x0806);
	g_assert_cmpint(judge(&frame, false), ==, TRAFFIC_OTHER);
	frame = frame_of(0, 1, false);
	g_assert_cmpint(traffic_judge(&frame, LENGTH - 1, rules, G_N_ELEMENTS(rules), false, macs), ==,
		TRAFFIC_OTHER);
	g_assert_cmpint(traffic_judge(&frame, LENGTH, rules, 0, false, macs), ==, TRAFFIC_WRONG);
}

static void test_distinct(void)
{
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);

	for (uint32_t round = 0; round < 4 * TRAFFIC_PORTS; round++) {
		struct traffic_tuple tuple = traffic_tuple(&rules[0], round, false);
		uint64_t key = (uint64_t)tuple.dst << 16 | tuple.sport;
		g_assert_cmpuint(tuple.dport, >=, rules[0].first_port);
		g_assert_cmpuint(tuple.dport, <, rules[0].first_port + rules[0].n_ports);
		g_assert_cmpuint(tuple.dst - TRAFFIC_DESTINATION, <, TRAFFIC_DESTINATIONS);
		g_assert_true(g_hash_table_add(seen, g_memdup2(&key, sizeof key)));
	}
}

/* Ones' complement sum of the whole, which is -0 where the checksum is right. */
static uint16_t sum_of(const uint8_t *bytes, size_t n, uint32_t sum)
{
	for (size_t i = 0; i < n; i += 2)
		sum += (uint32_t)(bytes[i] << 8 | bytes[i + 1]);
	return traffic_fold(sum);
}

static void test_checksums(void)
{
	for (uint32_t round = 0; round < 100000; round += 101) {
		struct traffic_frame frame = frame_of(1, round, round & 1);
		const uint8_t *ip = (const uint8_t *)&frame + TRAFFIC_ETH;
		uint32_t length = LENGTH - TRAFFIC_ETH - TRAFFIC_IP;
		g_assert_cmphex(sum_of(ip, TRAFFIC_IP, 0), ==, 0xffff);
		uint32_t pseudo = sum_of(ip + 12, 8, IPPROTO_TCP + length);
		g_assert_cmphex(sum_of(ip + TRAFFIC_IP, length, pseudo), ==, 0xffff);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/traffic/what was made is right in its direction, or leaked", test_right);
	g_test_add_func("/traffic/a frame with any header changed is not right", test_changed);
	g_test_add_func("/traffic/frames of others are told apart", test_foreign);
	g_test_add_func("/traffic/flows of a rule are distinct and within it", test_distinct);
	g_test_add_func("/traffic/checksums of IPv4 and TCP are right", test_checksums);
	return g_test_run();
}
