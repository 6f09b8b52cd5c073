/* VM ports whose guests come and go while the ports do: what librte_vhost has freed is not used again. And what guests
 * leave to the switch, and it to them: guests are DPDK's virtio-user devices, which sit where QEMU does. */
#include "base/log.h"
#include "switch/eal.h"
#include "switch/parse.h"
#include "switch/port.h"
#include "switch/segmentation.h"
#include "switch/split.h"
#include "switch/test_large.h"

#include <glib/gstdio.h>
#include <linux/vhost.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_rcu_qsbr.h>
#include <rte_vhost.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ROUNDS  10000
#define SEGMENT 1448

struct rig {
	struct rte_mempool *pool;
	struct rte_rcu_qsbr *readers;
	char *path; /* Owned: of the socket */
};

/* ---- the end that QEMU has ---- */

static int guest_listen(const struct rig *rig)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	g_strlcpy(address.sun_path, rig->path, sizeof address.sun_path);
	g_assert_cmpint(bind(listener, (struct sockaddr *)&address, sizeof address), ==, 0);
	g_assert_cmpint(listen(listener, 16), ==, 0);
	return listener;
}

static void guest_stop_listening(const struct rig *rig, int listener)
{
	close(listener);
	g_unlink(rig->path);
}

/* Returns when the switch has begun to take the connection down. */
static void guest_die(int connection)
{
	struct pollfd seen = {.fd = connection};

	shutdown(connection, SHUT_WR);
	g_assert_cmpint(poll(&seen, 1, 5000), ==, 1);
	close(connection);
}

/* ---- tests ---- */

static void test_again(const void *data)
{
	const struct rig *rig = data;
	struct port *port = vhost_open(rig->path, rig->pool, rig->readers);
	int connection;

	g_assert_null(port->error);
	for (unsigned i = 0; i < 3; i++) {
		int listener = guest_listen(rig);
		for (unsigned tries = 0; (connection = accept(listener, NULL, NULL)) < 0; tries++) {
			g_assert_cmpuint(tries, <, 50);
			g_usleep(20000);
			port->ops->tick(port);
		}
		g_assert_cmpint(port->ops->state(port), ==, PORT_WAITING); /* its rings are never set up */
		guest_stop_listening(rig, listener);
		guest_die(connection);
	}
	port->ops->close(port);
}

/* What QEMU asks of a backend before it migrates: the log of what is written, and an announcement when it has come. */
static void test_migration(const void *data)
{
	const struct rig *rig = data;
	struct port *port = vhost_open(rig->path, rig->pool, rig->readers);
	uint64_t features = 0, protocol = 0;

	g_assert_cmpint(rte_vhost_driver_get_features(rig->path, &features), ==, 0);
	g_assert_true(features & 1ULL << VHOST_F_LOG_ALL);
	g_assert_true(features & 1ULL << VIRTIO_NET_F_GUEST_ANNOUNCE);
	g_assert_cmpint(rte_vhost_driver_get_protocol_features(rig->path, &protocol), ==, 0);
	g_assert_true(protocol & 1ULL << VHOST_USER_PROTOCOL_F_LOG_SHMFD);
	g_assert_true(protocol & 1ULL << VHOST_USER_PROTOCOL_F_RARP);
	port->ops->close(port);
}

/* Shorter than any sleep. */
static void spin(unsigned us)
{
	int64_t until = g_get_monotonic_time() + us;

	while (g_get_monotonic_time() < until)
		;
}

static void test_close(const void *data)
{
	const struct rig *rig = data;

	for (unsigned i = 0; i < ROUNDS; i++) {
		int listener = guest_listen(rig);
		struct port *port = vhost_open(rig->path, rig->pool, rig->readers);
		int connection = accept(listener, NULL, NULL);
		g_assert_cmpint(connection, >=, 0);
		guest_stop_listening(rig, listener);
		guest_die(connection);
		spin((unsigned)g_test_rand_int_range(0, 20));
		port->ops->close(port);
	}
	int listener = guest_listen(rig);
	struct pollfd late = {.fd = listener, .events = POLLIN};
	g_assert_cmpint(poll(&late, 1, 1500), ==, 0); /* nobody is left who would connect */
	guest_stop_listening(rig, listener);
}

/* ---- guests of virtio-user ---- */

static const struct large v4 = {.smac = "02:00:00:00:00:0a",
	.dmac = "02:00:00:00:00:0b",
	.src = "192.168.1.4",
	.dst = "192.168.1.5",
	.sport = 1,
	.dport = 2,
	.payload = 64000};
static const struct large v6 = {.smac = "02:00:00:00:00:0a",
	.dmac = "02:00:00:00:00:0b",
	.src = "fd00::4",
	.dst = "fd00::5",
	.sport = 1,
	.dport = 2,
	.payload = 64000};

/* Makes the device, which waits until the switch has connected. data: its arguments, after its name and a comma. */
static void *make_device(void *data)
{
	g_auto(GStrv) words = g_strsplit(data, ",", 2);

	g_assert_cmpint(rte_eal_hotplug_add("vdev", words[0], words[1]), ==, 0);
	return NULL;
}

static uint16_t start_driver(const struct rig *rig, const char *name, uint64_t receive)
{
	const struct rte_eth_conf conf = {.rxmode.offloads = receive,
		.txmode.offloads = RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_TCP_CKSUM |
				   RTE_ETH_TX_OFFLOAD_UDP_CKSUM | RTE_ETH_TX_OFFLOAD_MULTI_SEGS};
	uint16_t device;

	g_assert_cmpint(rte_eth_dev_get_port_by_name(name, &device), ==, 0);
	g_assert_cmpint(rte_eth_dev_configure(device, 1, 1, &conf), ==, 0);
	g_assert_cmpint(rte_eth_rx_queue_setup(device, 0, 256, 0, NULL, rig->pool), ==, 0);
	g_assert_cmpint(rte_eth_tx_queue_setup(device, 0, 256, 0, NULL), ==, 0);
	g_assert_cmpint(rte_eth_dev_start(device), ==, 0);
	return device;
}

/* A guest whose driver takes what `receive` says, and the port that it is behind. */
static struct port *meet_guest(
	const struct rig *rig, const char *name, uint64_t receive, uint16_t *ret_device)
{
	g_autofree char *device =
		g_strdup_printf("%s,path=%s,server=1,queues=1,mac=02:00:00:00:00:0a", name, rig->path);
	GThread *maker = g_thread_new("guest", make_device, device);
	struct port *port = vhost_open(rig->path, rig->pool, rig->readers);

	while (rte_eth_dev_get_port_by_name(name, ret_device) != 0) {
		g_usleep(20000);
		port->ops->tick(port);
	}
	g_thread_join(maker);
	*ret_device = start_driver(rig, name, receive);
	for (unsigned tries = 0; port->ops->state(port) != PORT_READY; tries++) {
		g_assert_cmpuint(tries, <, 250);
		g_usleep(20000);
	}
	g_usleep(50000); /* its rings are enabled one by one */
	return port;
}

static void leave_guest(struct port *port, const char *name, uint16_t device)
{
	rte_eth_dev_stop(device);
	g_assert_cmpint(rte_eal_hotplug_remove("vdev", name), ==, 0);
	port->ops->close(port);
}

/* Sends a run of segments as one frame, as the guest's driver does. */
static void guest_send(const struct rig *rig, uint16_t device, const struct large *large)
{
	struct rte_mbuf *packet = large_make(large, rig->pool, 0);

	packet->l2_len = 14;
	packet->l3_len = large == &v6 ? 40 : 20;
	packet->l4_len = 20;
	packet->tso_segsz = SEGMENT;
	packet->ol_flags |= RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_TCP_CKSUM |
			    (large == &v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4);
	g_assert_cmpuint(rte_eth_tx_prepare(device, 0, &packet, 1), ==, 1);
	g_assert_cmpuint(rte_eth_tx_burst(device, 0, &packet, 1), ==, 1);
}

static struct rte_mbuf *receive(struct port *port)
{
	struct rte_mbuf *packet;

	for (unsigned tries = 0; port_rx(port, 0, &packet, 1) == 0; tries++) {
		g_assert_cmpuint(tries, <, 1000);
		g_usleep(1000);
	}
	return packet;
}

static struct rte_mbuf *guest_receive(uint16_t device)
{
	struct rte_mbuf *packet;

	for (unsigned tries = 0; rte_eth_rx_burst(device, 0, &packet, 1) == 0; tries++) {
		g_assert_cmpuint(tries, <, 1000);
		g_usleep(1000);
	}
	return packet;
}

static void check_whole(const struct large *large, const struct rte_mbuf *packet)
{
	g_autofree uint8_t *copy = g_malloc(LARGE_MAX);
	const uint8_t *bytes = rte_pktmbuf_read(packet, 0, packet->pkt_len, copy);

	large_check_whole(large, bytes, packet->pkt_len, 64);
}

/* What the guest sent, opened as the pipeline does. */
static struct rte_mbuf *receive_open(struct port *port)
{
	struct rte_mbuf *packet = receive(port);
	struct packet parsed;

	g_assert_true(segmentation_is_claimed(packet));
	parse_frame(rte_pktmbuf_mtod(packet, const uint8_t *), packet->data_len, packet->pkt_len, &parsed);
	g_assert_cmpint(segmentation_accept(packet, &parsed, 0), ==, DROP_NONE);
	g_assert_true(segmentation_is_needed(packet));
	g_assert_cmpuint(packet->tso_segsz, ==, SEGMENT);
	return packet;
}

static void test_segments(const void *data)
{
	const struct rig *rig = data;
	uint16_t device;
	struct port *port = meet_guest(rig, "net_virtio_user0",
		RTE_ETH_RX_OFFLOAD_TCP_LRO | RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM,
		&device);
	const struct large *frames[] = {&v4, &v6};
	bool down;

	g_assert_cmphex(port->takes, ==, PORT_TAKES_CHECKSUM | PORT_TAKES_TSO4 | PORT_TAKES_TSO6);
	for (unsigned i = 0; i < G_N_ELEMENTS(frames); i++) {
		guest_send(rig, device, frames[i]);
		struct rte_mbuf *packet = receive_open(port);
		check_whole(frames[i], packet);
		/* And back, as another guest would get it. */
		g_assert_true(segmentation_is_taken(packet, port->takes));
		g_assert_cmpuint(port_tx(port, SNAPSHOT_WORKERS, &packet, 1, &down), ==, 1);
		packet = guest_receive(device);
		check_whole(frames[i], packet);
		large_check_started(frames[i], rte_pktmbuf_mtod(packet, const uint8_t *));
		g_assert_true(packet->ol_flags & RTE_MBUF_F_RX_LRO);
		g_assert_cmpuint(packet->tso_segsz, ==, SEGMENT);
		rte_pktmbuf_free(packet);
	}
	leave_guest(port, "net_virtio_user0", device);
}

/* A device of DPDK's that cuts, as the switch's own port. */
static void test_device(const void *data)
{
	const struct rig *rig = data;
	static const char name[] = "net_virtio_user2";
	g_autofree char *arguments =
		g_strdup_printf("%s,path=%s,server=1,queues=1,mac=02:00:00:00:00:0b", name, rig->path);
	GThread *maker = g_thread_new("guest", make_device, arguments);
	struct port *port = vhost_open(rig->path, rig->pool, rig->readers), *device = NULL;
	uint16_t number;
	bool down;

	for (; rte_eth_dev_get_port_by_name(name, &number) != 0; g_usleep(20000))
		port->ops->tick(port);
	g_thread_join(maker);
	device = ethdev_open(PORT_DEVICE "net_virtio_user2", rig->pool, rig->readers, 1, 1500);
	g_assert_cmpint(device->ops->state(device), ==, PORT_READY);
	g_assert_cmphex(
		device->takes, ==, PORT_TAKES_CHECKSUM | PORT_TAKES_TSO4 | PORT_TAKES_TSO6 | PORT_TAKES_CWR);
	for (unsigned tries = 0; port->ops->state(port) != PORT_READY; tries++) {
		g_assert_cmpuint(tries, <, 250);
		g_usleep(20000);
	}
	g_usleep(50000);

	struct rte_mbuf *packet = large_make(&v4, rig->pool, 0);
	struct packet parsed;
	large_claim(packet, SEGMENT);
	parse_frame(rte_pktmbuf_mtod(packet, const uint8_t *), packet->data_len, packet->pkt_len, &parsed);
	g_assert_cmpint(segmentation_accept(packet, &parsed, 0), ==, DROP_NONE);
	g_assert_true(segmentation_is_taken(packet, device->takes));
	g_assert_cmpuint(port_tx(device, SNAPSHOT_WORKERS, &packet, 1, &down), ==, 1);
	packet = receive_open(port);
	struct rte_mbuf *piece;
	struct split split;
	uint32_t from = 0;
	split_segments(&split, packet, rig->pool);
	for (unsigned n = 0; (piece = split_next(&split)); n++) {
		segmentation_complete(piece);
		from = large_check(
			&v4, rte_pktmbuf_mtod(piece, const uint8_t *), piece->pkt_len, n, from, SEGMENT, 64);
		rte_pktmbuf_free(piece);
	}
	rte_pktmbuf_free(packet);
	device->ops->close(device);
	g_assert_cmpint(rte_eal_hotplug_remove("vdev", name), ==, 0);
	port->ops->close(port);
}

/* A driver that takes none of it. */
static void test_plain_guest(const void *data)
{
	const struct rig *rig = data;
	uint16_t device;
	struct port *port = meet_guest(rig, "net_virtio_user1", 0, &device);
	struct rte_mbuf *piece;
	struct split split;
	uint32_t from = 0;
	bool down;

	g_assert_cmphex(port->takes, ==, 0);
	guest_send(rig, device, &v4); /* what it leaves to us is its own choice */
	struct rte_mbuf *packet = receive_open(port);
	g_assert_false(segmentation_is_taken(packet, port->takes));
	split_segments(&split, packet, rig->pool);
	for (unsigned n = 0; (piece = split_next(&split)); n++) {
		segmentation_complete(piece);
		g_assert_cmpuint(port_tx(port, SNAPSHOT_WORKERS, &piece, 1, &down), ==, 1);
		piece = guest_receive(device);
		g_assert_cmpuint(piece->nb_segs, ==, 1);
		from = large_check(
			&v4, rte_pktmbuf_mtod(piece, const uint8_t *), piece->pkt_len, n, from, SEGMENT, 64);
		rte_pktmbuf_free(piece);
	}
	g_assert_cmpuint(from, ==, v4.payload);
	rte_pktmbuf_free(packet);
	leave_guest(port, "net_virtio_user1", device);
}

int main(int argc, char **argv)
{
	const struct eal_config eal = {.workers = 1, .memory_mib = 64, .hugepages = EAL_HUGEPAGES_OFF};
	g_autoptr(GError) error = NULL;
	struct rig rig = {};
	g_autofree char *folder = g_dir_make_tmp("sluice-vhost-XXXXXX", NULL);
	bool hugepages;

	g_test_init(&argc, &argv, NULL);
	log_init("vhost_test");
	if (!eal_start(&eal, &hugepages, &error) || !(rig.pool = eal_pool_new(&eal, &error)))
		g_error("%s", error->message);
	rig.readers = g_aligned_alloc0(1, rte_rcu_qsbr_get_memsize(1), RTE_CACHE_LINE_SIZE);
	g_assert_cmpint(rte_rcu_qsbr_init(rig.readers, 1), ==, 0);
	rig.path = g_build_filename(folder, "vhost.sock", NULL);
	g_test_add_data_func("/vhost/a guest that dies is connected to again", &rig, test_again);
	g_test_add_data_func(
		"/vhost/nothing that a live migration asks for is missing", &rig, test_migration);
	g_test_add_data_func("/vhost/a guest may die while its port is closed", &rig, test_close);
	g_test_add_data_func(
		"/vhost/64 KB of segments come from a guest as one frame, and go to one that takes it", &rig,
		test_segments);
	g_test_add_data_func("/vhost/a guest that takes no offloads is known, and gets each segment", &rig,
		test_plain_guest);
	g_test_add_data_func("/vhost/a DPDK device is given what it can cut", &rig, test_device);
	int status = g_test_run();
	eal_stop();
	g_rmdir(folder);
	g_free(rig.path);
	g_aligned_free(rig.readers);
	return status;
}
