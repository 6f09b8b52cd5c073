/* Tests of ports on DPDK devices: net_ring0 gives back what it is sent, net_null0 swallows it. */
#include "switch/datapath.h"
#include "switch/eal.h"
#include "switch/ports.h"
#include "switch/state.h"
#include "switch/test_frame.h"

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <string.h>

#define MAC_A "02:00:00:00:00:0a"
#define MAC_B "02:00:00:00:00:0b"
#define FRAME 60

static struct rte_mempool *pool;

/* a sends by net_ring0, b receives by net_null0. */
static const char state_text[] =
	"{\"generation\": 1, \"groups\": [],"
	" \"networks\": [{\"uid\": \"n\", \"vni\": 1, \"prefixes\": [\"192.168.0.0/16\"], \"subnets\": ["
	"   {\"uid\": \"s\", \"prefix\": \"192.168.1.0/24\", \"gateway\": \"192.168.1.1\", \"dns\": []}]}],"
	" \"nics\": ["
	"  {\"uid\": \"a\", \"name\": \"a\", \"mac\": \"" MAC_A "\", \"network\": \"n\", \"subnet\": \"s\","
	"   \"mtu\": 1500, \"addresses\": [{\"ip\": \"192.168.1.4\"}], \"active\": \"function\","
	"   \"attachments\": [{\"kind\": \"function\", \"device\": \"net_ring0\"}]},"
	"  {\"uid\": \"b\", \"name\": \"b\", \"mac\": \"" MAC_B "\", \"network\": \"n\", \"subnet\": \"s\","
	"   \"mtu\": 1500, \"addresses\": [{\"ip\": \"192.168.1.5\"}], \"active\": \"function\","
	"   \"attachments\": [{\"kind\": \"function\", \"device\": \"net_null0\"}]}]}";

static struct rte_mbuf *packet_of(const uint8_t *bytes, uint16_t length)
{
	struct rte_mbuf *packet = rte_pktmbuf_alloc(pool);

	memcpy(rte_pktmbuf_append(packet, length), bytes, length);
	return packet;
}

static void test_back(void)
{
	struct port *port = ethdev_open(PORT_DEVICE "net_ring0", pool, NULL, 1, 1500);
	struct rte_mbuf *packets[PORT_BURST];
	uint8_t frame[FRAME] = {};
	bool down;

	g_assert_cmpint(port->ops->state(port), ==, PORT_READY);
	g_assert_cmpuint(port_rx(port, 0, packets, PORT_BURST), ==, 0);
	for (unsigned i = 0; i < 3; i++) {
		frame[0] = (uint8_t)i;
		packets[i] = packet_of(frame, sizeof frame);
	}
	g_assert_cmpuint(port_tx(port, 0, packets, 3, &down), ==, 3);
	g_assert_false(down);
	g_assert_cmpuint(port_rx(port, 0, packets, PORT_BURST), ==, 3);
	for (unsigned i = 0; i < 3; i++) {
		g_assert_cmpuint(packets[i]->pkt_len, ==, sizeof frame);
		g_assert_cmpuint(*rte_pktmbuf_mtod(packets[i], uint8_t *), ==, i);
	}
	rte_pktmbuf_free_bulk(packets, 3);
	port->ops->close(port);
}

static void test_again(void)
{
	for (unsigned i = 0; i < 3; i++) {
		struct port *port = ethdev_open(PORT_DEVICE "net_ring0", pool, NULL, 1, 1500);
		g_assert_cmpint(port->ops->state(port), ==, PORT_READY);
		port->ops->close(port);
	}
}

static void test_missing(void)
{
	struct port *port = ethdev_open(PORT_DEVICE "net_ring7", pool, NULL, 1, 1500);
	struct rte_mbuf *packet = packet_of((const uint8_t *)"x", 1);
	bool down;

	g_assert_cmpint(port->ops->state(port), ==, PORT_FAILED);
	g_assert_nonnull(strstr(port->error, "net_ring7"));
	g_assert_nonnull(strstr(port->error, "--vdev"));
	port->ops->tick(port);
	g_assert_cmpint(port->ops->state(port), ==, PORT_FAILED);
	g_assert_cmpuint(port_rx(port, 0, &packet, 1), ==, 0);
	g_assert_cmpuint(port_tx(port, 0, &packet, 1, &down), ==, 0);
	g_assert_true(down);
	port->ops->close(port);
}

/* Sends a frame of a's into the ring, where its port finds it. */
static void put(struct port *port, const struct test_frame *frame)
{
	struct rte_mbuf *packet = packet_of(frame->bytes, (uint16_t)frame->length);
	bool down;

	g_assert_cmpuint(port_tx(port, 0, &packet, 1, &down), ==, 1);
}

static void test_switch(void)
{
	const struct datapath_limits limits = {.workers = 1, .connections = 100, .nic_connections = 100};
	const struct test_frame frame = test_udp(MAC_A, MAC_B, "192.168.1.4", 1, "192.168.1.5", 2, 100);
	json_auto_t *state = json_loads(state_text, 0, NULL);
	g_autoptr(GError) error = NULL;
	_cleanup_(datapath_free) struct datapath *datapath = datapath_new(&limits, NULL, pool, &error);
	g_assert_no_error(error);
	_cleanup_(ports_free) struct ports *ports = ports_new(pool, datapath->readers, 1);
	struct snapshot *snapshot = state_decode(state, datapath_snapshot(datapath), &error);
	g_assert_no_error(error);

	ports_resolve(ports, snapshot);
	snapshot_free(datapath_publish(datapath, snapshot));
	struct port *a = snapshot->nics[0]->attachments[0].port, *b = snapshot->nics[1]->attachments[0].port;
	for (unsigned i = 0; i < 5; i++) {
		put(a, &frame);
		worker_begin(datapath->workers[0], datapath_clock_ms());
		g_assert_cmpuint(worker_turn(datapath->workers[0]), ==, 1);
	}
	g_assert_cmpuint(port_counters_sum(a).rx_packets, ==, 5);
	g_assert_cmpuint(port_counters_sum(b).tx_packets, ==, 5);
	g_assert_cmpuint(port_counters_sum(b).tx_bytes, ==, 5 * frame.length);
	g_assert_cmpuint(flow_table_count(datapath->flows), ==, 1);
}

static uint16_t mtu_of(const char *name)
{
	uint16_t device, mtu;

	g_assert_cmpint(rte_eth_dev_get_port_by_name(name, &device), ==, 0);
	g_assert_cmpint(rte_eth_dev_get_mtu(device, &mtu), ==, 0);
	return mtu;
}

/* A state with an underlay on net_ring0, and that MTU there. */
static struct snapshot *underlay_of(const struct snapshot *before, int mtu)
{
	json_auto_t *state = json_pack("{s:i, s:[], s:[], s:[], s:{s:s, s:s, s:s, s:s, s:s, s:i}}",
		"generation", 1, "groups", "networks", "nics", "underlay", "device", "net_ring0", "mac",
		MAC_A, "address", "172.16.0.1", "prefix", "172.16.0.0/24", "gateway", "172.16.0.254", "mtu",
		mtu);
	g_autoptr(GError) error = NULL;
	struct snapshot *snapshot = state_decode(state, before, &error);

	g_assert_no_error(error);
	return snapshot;
}

/* Several buffers, of which no device gives back less than it was sent. */
static void assert_passes(struct port *port, uint16_t length)
{
	static const uint8_t bytes[2000];
	struct rte_mbuf *packet = packet_of(bytes, (uint16_t)RTE_MIN(length, sizeof bytes)), *back;
	bool down;

	for (uint32_t left = length - packet->pkt_len; left; left = length - packet->pkt_len)
		g_assert_cmpint(
			rte_pktmbuf_chain(packet, packet_of(bytes, (uint16_t)RTE_MIN(left, sizeof bytes))),
			==, 0);
	g_assert_cmpuint(port_tx(port, 0, &packet, 1, &down), ==, 1);
	g_assert_cmpuint(port_rx(port, 0, &back, 1), ==, 1);
	g_assert_cmpuint(back->pkt_len, ==, length);
	rte_pktmbuf_free(back);
}

static void test_sizes(void)
{
	static const struct {
		int wanted;
		uint16_t mtu;
	} states[] = {
		{1400, 1500}, {1550, 1550}, {9000, 9000}, {1500, 9000}}; /* it never carries less again */
	const struct datapath_limits limits = {.workers = 1, .connections = 100, .nic_connections = 100};
	g_autoptr(GError) error = NULL;
	_cleanup_(datapath_free) struct datapath *datapath = datapath_new(&limits, NULL, pool, &error);
	g_assert_no_error(error);
	_cleanup_(ports_free) struct ports *ports = ports_new(pool, datapath->readers, 1);

	for (unsigned i = 0; i < G_N_ELEMENTS(states); i++) {
		struct snapshot *snapshot = underlay_of(datapath_snapshot(datapath), states[i].wanted);
		ports_resolve(ports, snapshot);
		struct port *port = snapshot->underlay.edge.port;
		g_assert_cmpint(port->ops->state(port), ==, PORT_READY);
		g_assert_cmpuint(mtu_of("net_ring0"), ==, states[i].mtu);
		assert_passes(port, (uint16_t)(states[i].mtu + 14));
		snapshot_free(datapath_publish(datapath, snapshot));
	}
}

/* Nobody would see that it loses them: net_null0 takes no packets of several buffers. */
static void test_too_small(void)
{
	struct port *port = ethdev_open(PORT_DEVICE "net_null0", pool, NULL, 1, 2000);

	g_assert_cmpint(port->ops->state(port), ==, PORT_READY);
	port->ops->close(port);
	port = ethdev_open(PORT_DEVICE "net_null0", pool, NULL, 1, 9000);
	g_assert_cmpint(port->ops->state(port), ==, PORT_FAILED);
	g_assert_nonnull(strstr(port->error, "net_null0"));
	g_assert_nonnull(strstr(port->error, "9000"));
	port->ops->close(port);
}

/* net_null1 can hash and has queues enough, net_ring0 can do neither. */
static void test_queues(void)
{
	struct port *many = ethdev_open(PORT_DEVICE "net_null1", pool, NULL, 3, 1500);
	struct port *one = ethdev_open(PORT_DEVICE "net_ring0", pool, NULL, 3, 1500);
	struct rte_eth_dev_info info;
	struct rte_eth_stats stats;
	uint16_t device;

	g_assert_cmpint(rte_eth_dev_get_port_by_name("net_null1", &device), ==, 0);
	g_assert_cmpint(rte_eth_dev_info_get(device, &info), ==, 0);
	g_assert_cmpuint(many->n_queues, ==, 3);
	g_assert_cmpuint(info.nb_rx_queues, ==, 3);
	g_assert_cmpuint(info.nb_tx_queues, ==, 4);
	g_assert_cmpuint(one->n_queues, ==, 1);
	g_assert_cmpuint(one->n_senders, ==, 0);
	for (unsigned sender = 0; sender <= 3; sender++) {
		struct rte_mbuf *packet = packet_of((const uint8_t *)"x", 1), *none;
		bool down;
		g_assert_cmpuint(
			port_tx(many, sender < 3 ? sender : SNAPSHOT_WORKERS, &packet, 1, &down), ==, 1);
		if (sender < 3)
			g_assert_cmpuint(port_rx(many, sender, &none, 1), ==, 0);
	}
	g_assert_cmpint(rte_eth_stats_get(device, &stats), ==, 0);
	for (unsigned queue = 0; queue <= 3; queue++)
		g_assert_cmpuint(stats.q_opackets[queue], ==, 1); /* each sender has its own */
	many->ops->close(many);
	one->ops->close(one);
}

int main(int argc, char **argv)
{
	char *vdevs[] = {"net_ring0", "net_null0,no-rx=1", "net_null1,no-rx=1", NULL};
	const struct eal_config eal = {
		.workers = 1, .memory_mib = 32, .hugepages = EAL_HUGEPAGES_OFF, .vdevs = vdevs};
	g_autoptr(GError) error = NULL;
	bool hugepages;

	g_test_init(&argc, &argv, NULL);
	g_log_set_always_fatal(G_LOG_FATAL_MASK); /* that a device is missing is logged */
	if (!eal_start(&eal, &hugepages, &error) || !(pool = eal_pool_new(&eal, &error)))
		g_error("%s", error->message);
	g_test_add_func("/ethdev/a device gives and takes packets in order", test_back);
	g_test_add_func("/ethdev/a device that was let go can be taken again", test_again);
	g_test_add_func("/ethdev/a missing device fails, says which, and what to do", test_missing);
	g_test_add_func("/ethdev/NICs on DPDK devices reach each other", test_switch);
	g_test_add_func("/ethdev/a device has a queue for each worker, each way, where it can", test_queues);
	g_test_add_func(
		"/ethdev/a device carries what a state wants, and more when the next one does", test_sizes);
	g_test_add_func(
		"/ethdev/a device that cannot carry what the state wants fails and says so", test_too_small);
	int status = g_test_run();
	g_assert_cmpuint(rte_mempool_in_use_count(pool), ==, 0);
	eal_stop();
	return status;
}
