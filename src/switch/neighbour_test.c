/* The neighbour table's places: who may take whose. */
#include "switch/neighbour.h"

#include "switch/output.h"
#include "switch/respond/respond.h"
#include "switch/test_lab.h"

#include <rte_mbuf.h>

#define UPLINK   "198.18.0.0/16"
#define GATEWAY  "198.18.0.1"
#define SCANNED  3000 /* addresses, several times the table's */
#define OPEN_MAX 32 /* questions of a NIC */

static void set_up(struct fixture *f, const void *data)
{
	lab_setup_large(f, data);
	json_t *outside = json_object_get(f->state, "outside");
	json_object_set_new(outside, "prefix", json_string(UPLINK));
	json_object_set_new(outside, "gateway", json_string(GATEWAY));
	lab_apply(f);
}

static struct neighbour_table *table_of(struct fixture *f)
{
	return f->datapath->outside;
}

static const struct edge *edge_of(struct fixture *f)
{
	return &f->worker->snapshot->outside;
}

/* The n-th address of the uplink that is not its gateway's. */
static void nth(unsigned n, uint8_t ret_ip[4])
{
	n += 16;
	memcpy(ret_ip, (uint8_t[]){198, 18, (uint8_t)(n >> 8), (uint8_t)n}, 4);
}

/* Somebody wants it. */
static void want(struct fixture *f, const uint8_t ip[4], uint32_t nic)
{
	const struct test_frame frame = test_udp(MAC_OUT, MAC_PEER, PUBLIC_A, 1, PEER, 1, 0);
	struct rte_mbuf *packet = rte_pktmbuf_alloc(lab_pool());

	memcpy(rte_pktmbuf_append(packet, (uint16_t)frame.length), frame.bytes, frame.length);
	neighbour_wait(table_of(f), f->worker, edge_of(f), ip, nic, packet);
	output_flush(f->worker);
}

static void answer(struct fixture *f, const uint8_t ip[4])
{
	uint8_t mac[6];

	test_mac(MAC_PEER, mac);
	neighbour_learn(table_of(f), f->worker, edge_of(f), ip, mac);
	output_flush(f->worker);
}

static bool is_known(struct fixture *f, const uint8_t ip[4])
{
	uint8_t mac[6];

	return neighbour_find(table_of(f), ip, f->now_ms, mac);
}

/* How many questions the uplink heard, of any address. */
static unsigned heard(struct fixture *f)
{
	unsigned n = 0;

	for (GBytes *bytes; (bytes = port_fake_take(lab_port(f, "out"))); g_bytes_unref(bytes))
		n += load16((const uint8_t *)g_bytes_get_data(bytes, NULL) + ETH_TYPE) == 0x0806;
	return n;
}

/* By frames, as a guest does it. */
static void scan(struct fixture *f)
{
	for (unsigned i = 0; i < SCANNED; i++) {
		g_autofree char *to = g_strdup_printf("198.18.%u.%u", (i + 1000) >> 8, (i + 1000) & 0xff);
		lab_put(f, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, 1, to, (uint16_t)(i % 50), 0));
	}
}

static void test_scan(struct fixture *f, const void *data)
{
	const uint8_t gateway[] = {198, 18, 0, 1};
	uint8_t other[4];

	nth(0, other);
	want(f, gateway, f->worker->snapshot->nics[1]->id);
	answer(f, gateway);
	want(f, other, f->worker->snapshot->nics[1]->id);
	answer(f, other);
	heard(f);
	scan(f);
	g_assert_cmpuint(heard(f), ==, OPEN_MAX);
	g_assert_cmpuint(lab_drops(f, DROP_NEIGHBOUR_WAIT), >, 0);
	g_assert_true(is_known(f, gateway));
	g_assert_true(is_known(f, other));
	/* And whom b has not met yet it gets to know. */
	lab_put(f, "b", test_udp(MAC_B, MAC_GATEWAY, IP_B, 1, "198.18.0.99", 1, 0));
	g_assert_cmpuint(heard(f), ==, 1);
	lab_put(f, "out", test_arp(MAC_PEER, 2, MAC_PEER, "198.18.0.99", PUBLIC_B));
	struct test_frame frame = lab_expect(f, "out");
	lab_assert_path(&frame, MAC_OUT, MAC_PEER, PUBLIC_B, "198.18.0.99");
	/* What was asked in vain is over, and a may ask again. */
	lab_pass(f, 5 * SECOND);
	heard(f);
	lab_put(f, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, 1, "198.18.200.1", 1, 0));
	g_assert_cmpuint(heard(f), ==, 1);
}

/* More NICs than the table has room for the questions of. */
static unsigned ask_for_many(struct fixture *f, unsigned first, unsigned nics)
{
	uint8_t ip[4];

	for (unsigned i = 0; i < nics * OPEN_MAX; i++) {
		nth(first + i, ip);
		want(f, ip, nic_id(100 + i / OPEN_MAX, 0));
	}
	return heard(f);
}

static void test_many(struct fixture *f, const void *data)
{
	const uint8_t gateway[] = {198, 18, 0, 1};
	unsigned answered = 0;
	uint8_t ip[4];

	heard(f);
	g_assert_cmpuint(ask_for_many(f, 0, 64), >, 1000);
	/* One that asks little still gets places, of theirs. */
	for (unsigned i = 0; i < 20; i++) {
		nth(10000 + i, ip);
		want(f, ip, nic_id(7, 0));
		answer(f, ip);
		answered += is_known(f, ip);
	}
	g_assert_cmpuint(answered, ==, 20);
	want(f, gateway, nic_id(100, 0)); /* also for one that has all its questions open */
	answer(f, gateway);
	g_assert_true(is_known(f, gateway));
}

/* All places are of neighbours that have answered. */
static void fill(struct fixture *f)
{
	uint8_t ip[4];

	for (unsigned i = 0; i < SCANNED; i++) {
		nth(i, ip);
		want(f, ip, nic_id(5, 0));
		answer(f, ip);
	}
}

static unsigned count_known(struct fixture *f, unsigned first)
{
	unsigned known = 0;
	uint8_t ip[4];

	for (unsigned i = first; i < first + SCANNED; i++) {
		nth(i, ip);
		known += is_known(f, ip);
	}
	return known;
}

static void test_idle(struct fixture *f, const void *data)
{
	const uint8_t gateway[] = {198, 18, 0, 1};
	uint8_t ip[4];

	want(f, gateway, nic_id(7, 0));
	answer(f, gateway);
	fill(f);
	unsigned known = count_known(f, 0);
	g_assert_cmpuint(known, >, 900);
	nth(20000, ip);
	want(f, ip, nic_id(7, 0));
	answer(f, ip);
	g_assert_cmpuint(
		count_known(f, 0), >=, known - 1); /* they are in use; or a last free place was left */
	f->now_ms += 11 * SECOND;
	worker_begin(f->worker, f->now_ms);
	nth(20001, ip);
	want(f, ip, nic_id(7, 0));
	answer(f, ip);
	g_assert_true(is_known(f, ip));
	g_assert_true(is_known(f, gateway)); /* idle as the others */
}

/* Nothing else is free, and the gateway is known again. */
static void test_gateway(struct fixture *f, const void *data)
{
	const uint8_t gateway[] = {198, 18, 0, 1};

	fill(f);
	want(f, gateway, nic_id(7, 0));
	answer(f, gateway);
	g_assert_true(is_known(f, gateway));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(name, function)                                                                                  \
	g_test_add("/neighbour/" name, struct fixture, NULL, set_up, function, lab_teardown)
	ADD("who asks for addresses that nobody has takes nothing from others", test_scan);
	ADD("who asks for few gets places of those who ask for many", test_many);
	ADD("neighbours in use stay, idle ones give way, the gateway does not", test_idle);
	ADD("the gateway always gets a place", test_gateway);
#undef ADD
	return lab_run();
}
