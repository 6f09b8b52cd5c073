/* Fuzz target: the whole pipeline, from any port. The bytes are records of what happens to the lab's switch, which has
 * IPv6 and an underlay beside (test_lab.h):
 *
 *   EVENT = OP LENGTH(2) FRAME     OP & 7: 0…6, a port; a length past the end means the rest
 *         | OP HOW(1)              OP & 7: 7; HOW < 128: so many tenths of a second pass, else group g's rules change
 *
 * OP & 8: the frame comes in two segments, the first of 20 bytes; OP & 16: the first of 300. OP & 32: it waits
 * for the next frame of that port, up to a burst. OP & 64: its sender claims to have left the checksum open; OP
 * & 128: and that it is several TCP segments, of a size that follows from the frame's.
 *
 * What leaves a port is looked at: no NIC spoofs, and what a NIC is sent, its parser would take.
 */
#include "fuzz.h"

#include "switch/eal.h"
#include "switch/parse.h"
#include "switch/test_lab.h"

#include <stdlib.h>
#include <string.h>

#define MAC_WIRE    "02:00:00:00:01:01"
#define IP_D        "192.168.1.6"
#define SHARED      "203.0.113.250"
#define OP_PORT     7
#define OP_SHORT    8
#define OP_LONG     16
#define OP_BURST    32
#define OP_OPEN     64
#define OP_SEGMENTS 128
#define EVENTS      64 /* of one input; more are not looked at */

static const char *const ports[] = {"a", "/a", "b", "c", "out", "host", "wire"};

struct input {
	const uint8_t *at, *end;
	struct fixture lab;
	bool closed; /* group g has no rules */
	unsigned port; /* that the burst is of */
	unsigned n;
	struct rte_mbuf *burst[WORKER_BURST];
};

/* ---- what leaves ---- */

static void assert_mac(const uint8_t *at, const char *text)
{
	uint8_t mac[6];

	test_mac(text, mac);
	g_assert_cmpmem(at, 6, mac, 6);
}

/* It is one of these addresses. */
static void assert_source(const uint8_t *frame, const char *one, const char *other, const char *third)
{
	const char *const texts[] = {one, other, third};
	bool found = false;
	uint8_t ip[4];

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		test_ip(texts[i], ip);
		found |= memcmp(frame + ETH_LEN + IPV4_SRC, ip, 4) == 0;
	}
	g_assert_true(found);
}

static void assert_to_edge(const char *port, const uint8_t *frame, uint32_t length)
{
	bool is_ip = load16(frame + ETH_TYPE) == ETH_IPV4;

	g_assert_true(is_ip || load16(frame + ETH_TYPE) == ETH_ARP);
	if (g_str_equal(port, "out")) {
		assert_mac(frame + ETH_SRC, MAC_OUT);
		if (is_ip)
			assert_source(frame, PUBLIC_A, PUBLIC_B, SHARED);
	} else if (g_str_equal(port, "host")) {
		assert_mac(frame + ETH_SRC, MAC_HOST);
		if (is_ip)
			assert_source(frame, "100.64.0.4", "100.64.0.5", "100.64.0.5");
	} else {
		assert_mac(frame + ETH_SRC, MAC_WIRE);
		if (is_ip) {
			assert_source(frame, "172.16.0.1", "172.16.0.1", "172.16.0.1");
			g_assert_cmpuint(length, >=, VXLAN_OVERHEAD);
		}
	}
}

static void assert_to_nic(const char *port, const uint8_t *frame, uint32_t length)
{
	const char *mac = g_str_equal(port, "b") ? MAC_B : g_str_equal(port, "c") ? MAC_C : MAC_A;

	/* DHCP may answer to all, neighbour discovery to all nodes. */
	if (load16(frame + ETH_TYPE) == ETH_IPV6)
		assert_mac(frame + ETH_DST, frame[ETH_DST] & 1 ? "33:33:00:00:00:01" : mac);
	else
		assert_mac(frame + ETH_DST, frame[ETH_DST] & 1 ? "ff:ff:ff:ff:ff:ff" : mac);
}

static void assert_taken(const char *port, const uint8_t *frame, uint32_t length)
{
	uint8_t *exact = g_memdup2(frame, length);
	struct packet packet;

	g_assert_cmpuint(length, >=, ETH_LEN);
	parse_frame(exact, length, length, &packet);
	g_assert_cmpint(packet.kind, !=, PACKET_DROP);
	g_free(exact);
	if (strlen(port) <= 2)
		assert_to_nic(port, frame, length);
	else
		assert_to_edge(port, frame, length);
}

static void look_at_what_left(struct input *in)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(ports); i++)
		for (GBytes *bytes; (bytes = port_fake_take(lab_port(&in->lab, ports[i])));) {
			gsize length;
			const uint8_t *frame = g_bytes_get_data(bytes, &length);
			assert_taken(ports[i], frame, (uint32_t)length);
			g_bytes_unref(bytes);
		}
}

/* ---- what arrives ---- */

static void append(struct rte_mbuf *packet, const uint8_t *bytes, uint32_t n)
{
	memcpy(rte_pktmbuf_append(packet, (uint16_t)n), bytes, n);
}

/* first: bytes of the first segment. */
static struct rte_mbuf *packet_of(struct input *in, const uint8_t *frame, uint32_t length, uint32_t first)
{
	struct rte_mempool *pool = in->lab.datapath->pool;
	struct rte_mbuf *head = rte_pktmbuf_alloc(pool);

	append(head, frame, MIN(first, length));
	if (length > first) {
		struct rte_mbuf *tail = rte_pktmbuf_alloc(pool);
		append(tail, frame + first, length - first);
		g_assert_cmpint(rte_pktmbuf_chain(head, tail), ==, 0);
	}
	return head;
}

static void claim(struct rte_mbuf *packet, uint8_t op)
{
	if (op & (OP_OPEN | OP_SEGMENTS))
		packet->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_NONE;
	if (op & OP_SEGMENTS) {
		packet->ol_flags |= RTE_MBUF_F_RX_LRO;
		packet->tso_segsz = (uint16_t)(40 + packet->pkt_len % 600);
	}
}

static void send_burst(struct input *in)
{
	const GArray *sources = datapath_polling(in->lab.datapath)->sources[0];
	const struct port *port = lab_port(&in->lab, ports[in->port]);

	for (unsigned i = 0; in->n && i < sources->len; i++) {
		struct source source = g_array_index(sources, struct source, i);
		if (source.port != port)
			continue;
		worker_burst(in->lab.worker, &source, in->burst, in->n);
		in->n = 0;
	}
	g_assert_cmpuint(in->n, ==, 0);
	look_at_what_left(in);
}

static void arrive(struct input *in, uint8_t op)
{
	if (in->end - in->at < 2)
		return;
	uint32_t length = MIN(load16(in->at), (uint32_t)(in->end - in->at - 2));
	length = MIN(length, TEST_FRAME_MAX);
	uint32_t first = op & OP_SHORT ? 20 : op & OP_LONG ? 300 : TEST_FRAME_MAX;
	if (in->port != (op & OP_PORT))
		send_burst(in);
	in->port = op & OP_PORT;
	in->burst[in->n] = packet_of(in, in->at + 2, length, first);
	claim(in->burst[in->n++], op);
	in->at += 2 + length;
	if (!(op & OP_BURST) || in->n == WORKER_BURST)
		send_burst(in);
}

/* ---- what else happens ---- */

static void happen(struct input *in)
{
	uint8_t how = in->at < in->end ? *in->at++ : 0;

	send_burst(in);
	if (how < 128) {
		lab_pass(&in->lab, how * 100u);
		look_at_what_left(in);
		return;
	}
	in->closed = !in->closed;
	if (in->closed)
		lab_deny_all(&in->lab);
	else
		lab_allow_port(&in->lab, 22);
}

static void start(struct input *in)
{
	lab_setup(&in->lab, NULL);
	lab_setup_ipv6(&in->lab);
	json_object_set_new(in->lab.state, "underlay",
		json_pack("{s:s, s:s, s:s, s:s, s:s, s:i}", "interface", "wire", "mac", MAC_WIRE, "address",
			"172.16.0.1", "prefix", "172.16.0.0/24", "gateway", "172.16.0.254", "mtu", 1500));
	json_object_set_new(json_array_get(json_object_get(in->lab.state, "networks"), 0), "mappings",
		json_pack("[{s:s, s:s, s:s}]", "prefix", IP_D, "vtep", "172.16.0.2", "mac",
			"00:0d:3a:00:00:0d"));
	json_object_set_new(json_array_get(json_object_get(in->lab.state, "networks"), 0), "source_nat",
		json_pack("{s:[s]}", "addresses", SHARED));
	lab_allow_port(&in->lab, 22);
	look_at_what_left(in);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	lab_begin();
	atexit(eal_stop);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {.at = data, .end = data + size};

	start(&in);
	for (unsigned i = 0; i < EVENTS && in.at < in.end; i++) {
		uint8_t op = *in.at++;
		if ((op & OP_PORT) < G_N_ELEMENTS(ports))
			arrive(&in, op);
		else
			happen(&in);
	}
	send_burst(&in);
	lab_teardown(&in.lab, NULL); /* asserts that no packet was lost on the way */
	return 0;
}
