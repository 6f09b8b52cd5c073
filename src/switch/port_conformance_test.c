/* What every port promises, whatever is behind it: vhost-user, a network interface, a DPDK device, and the tests' own.
 *
 * Each kind is a subject: how it is opened, and its other end, which sends and receives without the port's code. The other
 * ends: a virtio-user device for vhost-user; a packet socket on the peer of a veth for an interface, for an underlay that is the
 * kernel's, and for DPDK's af_packet. All in a network namespace of this program's own, for which it must be root. */
#include "base/log.h"
#include "switch/eal.h"
#include "switch/port_fake.h"
#include "switch/vlan.h"
#include "switch/vxlan.h"

#include <arpa/inet.h>
#include <glib/gstdio.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_rcu_qsbr.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#define FRAME_MIN  60
#define FRAME_MAX  1514
#define TYPE       0x88b5 /* for local experiments, IEEE 802; what the kernel itself sends is not taken for ours */
#define FLOOD      4096
#define LATE_TRIES 1000 /* of a millisecond */
#define GUEST      "net_virtio_user0"
#define DEVICE     "net_af_packet0"

static uint16_t frame_type; /* of the subject's frames */
static struct rte_mempool *pool, *guest_pool;
static struct rte_rcu_qsbr *readers;
static char *folder;

struct subject;

struct kind {
	const char *name;
	bool goes; /* its other end can go away and come again */
	struct port *(*open)(struct subject *s); /* with its other end */
	void (*close)(struct subject *s);
	void (*put)(struct subject *s, const uint8_t *frame, uint16_t length);
	/* The next frame that came, or 0: there is none now. */
	uint16_t (*take)(struct subject *s, uint8_t frame[FRAME_MAX]);
	void (*cut)(struct subject *s);
	void (*mend)(struct subject *s);
	uint16_t type; /* of frames that it takes */
};

struct subject {
	const struct kind *kind;
	struct port *port;
	int socket; /* of a veth's other end */
	uint16_t guest;
};

/* ---- the tests' own ---- */

static struct port *open_fake(struct subject *s)
{
	return port_fake_open("fake", 0, pool);
}

static void close_port(struct subject *s)
{
	s->port->ops->close(s->port);
}

static void put_fake(struct subject *s, const uint8_t *frame, uint16_t length)
{
	port_fake_offer(s->port, frame, length, 1);
}

static uint16_t take_fake(struct subject *s, uint8_t frame[FRAME_MAX])
{
	g_autoptr(GBytes) bytes = port_fake_take(s->port);
	gsize length = 0;

	if (bytes)
		memcpy(frame, g_bytes_get_data(bytes, NULL), length = g_bytes_get_size(bytes));
	return (uint16_t)length;
}

static void cut_fake(struct subject *s)
{
	port_fake_set_down(s->port, true);
}

static void mend_fake(struct subject *s)
{
	port_fake_set_down(s->port, false);
}

/* ---- an interface, and a DPDK device on one ---- */

G_GNUC_PRINTF(1, 2)
static void run(const char *format, ...)
{
	g_autoptr(GError) error = NULL;
	va_list args;
	int status;

	va_start(args, format);
	g_autofree char *command = g_strdup_vprintf(format, args);
	va_end(args);
	g_spawn_command_line_sync(command, NULL, NULL, &status, &error);
	g_assert_no_error(error);
	g_assert_true(g_spawn_check_wait_status(status, NULL));
}

static void mend_veth(struct subject *s)
{
	run("ip link add near type veth peer name far");
	run("ip link set near up");
	run("ip link set far up");
	struct sockaddr_ll address = {.sll_family = AF_PACKET,
		.sll_protocol = htons(frame_type),
		.sll_ifindex = (int)if_nametoindex("far")};
	s->socket = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	g_assert_cmpint(bind(s->socket, (struct sockaddr *)&address, sizeof address), ==, 0);
}

static void cut_veth(struct subject *s)
{
	close(s->socket);
	run("ip link del near");
}

static struct port *open_interface(struct subject *s)
{
	mend_veth(s);
	return interface_open("near", pool, readers);
}

static struct port *open_underlay(struct subject *s)
{
	mend_veth(s);
	return interface_open(PORT_UNDERLAY "near", pool, readers);
}

static void close_interface(struct subject *s)
{
	close_port(s);
	cut_veth(s);
}

static struct port *open_device(struct subject *s)
{
	mend_veth(s);
	g_assert_cmpint(rte_eal_hotplug_add("vdev", DEVICE, "iface=near"), ==, 0);
	return ethdev_open(PORT_DEVICE DEVICE, pool, readers, 1, 1500);
}

static void close_device(struct subject *s)
{
	close_port(s);
	g_assert_cmpint(rte_eal_hotplug_remove("vdev", DEVICE), ==, 0);
	cut_veth(s);
}

static void put_veth(struct subject *s, const uint8_t *frame, uint16_t length)
{
	g_assert_cmpint(send(s->socket, frame, length, 0), ==, length);
}

static uint16_t take_veth(struct subject *s, uint8_t frame[FRAME_MAX])
{
	ssize_t length = recv(s->socket, frame, FRAME_MAX, 0);

	return length > 0 ? (uint16_t)length : 0;
}

/* ---- a guest ---- */

/* Makes the guest's device, which waits until the port has connected. */
static void *make_guest(void *data)
{
	g_autofree char *arguments =
		g_strdup_printf("path=%s/sock,server=1,queues=1,mac=02:00:00:00:00:0a", folder);

	g_assert_cmpint(rte_eal_hotplug_add("vdev", GUEST, arguments), ==, 0);
	return NULL;
}

static void start_guest(struct subject *s)
{
	const struct rte_eth_conf conf = {};

	g_assert_cmpint(rte_eth_dev_configure(s->guest, 1, 1, &conf), ==, 0);
	g_assert_cmpint(rte_eth_rx_queue_setup(s->guest, 0, 256, 0, NULL, guest_pool), ==, 0);
	g_assert_cmpint(rte_eth_tx_queue_setup(s->guest, 0, 256, 0, NULL), ==, 0);
	g_assert_cmpint(rte_eth_dev_start(s->guest), ==, 0);
}

static void meet_guest(struct subject *s, struct port *port)
{
	GThread *maker = g_thread_new("guest", make_guest, NULL);

	while (rte_eth_dev_get_port_by_name(GUEST, &s->guest) != 0) {
		g_usleep(20000);
		port->ops->tick(port);
	}
	g_thread_join(maker);
	start_guest(s);
	for (unsigned tries = 0; port->ops->state(port) != PORT_READY; tries++) {
		g_assert_cmpuint(tries, <, LATE_TRIES);
		g_usleep(20000);
		port->ops->tick(port);
	}
	g_usleep(50000); /* its rings are enabled one by one */
}

static void mend_guest(struct subject *s)
{
	meet_guest(s, s->port);
}

static struct port *open_vhost(struct subject *s)
{
	g_autofree char *path = g_build_filename(folder, "sock", NULL);
	struct port *port = vhost_open(path, pool, readers);

	meet_guest(s, port);
	return port;
}

static void cut_guest(struct subject *s)
{
	rte_eth_dev_stop(s->guest);
	g_assert_cmpint(rte_eal_hotplug_remove("vdev", GUEST), ==, 0);
	for (unsigned tries = 0; s->port->ops->state(s->port) == PORT_READY; tries++) {
		g_assert_cmpuint(tries, <, LATE_TRIES);
		g_usleep(1000);
	}
}

static void close_vhost(struct subject *s)
{
	cut_guest(s);
	close_port(s);
}

static void put_guest(struct subject *s, const uint8_t *frame, uint16_t length)
{
	struct rte_mbuf *packet = rte_pktmbuf_alloc(guest_pool);

	memcpy(rte_pktmbuf_append(packet, length), frame, length);
	g_assert_cmpuint(rte_eth_tx_burst(s->guest, 0, &packet, 1), ==, 1);
}

static uint16_t take_guest(struct subject *s, uint8_t frame[FRAME_MAX])
{
	struct rte_mbuf *packet;

	if (rte_eth_rx_burst(s->guest, 0, &packet, 1) == 0)
		return 0;
	uint16_t length = (uint16_t)packet->pkt_len;
	g_assert_cmpuint(length, <=, FRAME_MAX);
	memcpy(frame, rte_pktmbuf_mtod(packet, uint8_t *), length);
	rte_pktmbuf_free(packet);
	return length;
}

static const struct kind kinds[] = {
	{"the tests' own", true, open_fake, close_port, put_fake, take_fake, cut_fake, mend_fake, TYPE},
	{"interface", true, open_interface, close_interface, put_veth, take_veth, cut_veth, mend_veth, TYPE},
	{"underlay", true, open_underlay, close_interface, put_veth, take_veth, cut_veth, mend_veth, ETH_ARP},
	{"DPDK device", false, open_device, close_device, put_veth, take_veth, NULL, NULL, TYPE},
	{"vhost-user", true, open_vhost, close_vhost, put_guest, take_guest, cut_guest, mend_guest, TYPE},
};

/* ---- frames: each says its number, and its bytes follow from it ---- */

static uint16_t make_frame(unsigned number, uint8_t frame[FRAME_MAX])
{
	uint16_t length = (uint16_t)(FRAME_MIN + number * 97 % (FRAME_MAX - FRAME_MIN + 1));

	for (unsigned i = 0; i < length; i++)
		frame[i] = (uint8_t)(number + i * 7);
	frame[0] = frame[6] = 2; /* unicast, locally administered */
	store16(frame + ETH_TYPE, frame_type);
	return length;
}

static void check_frame(unsigned number, const uint8_t *frame, uint16_t length)
{
	uint8_t wanted[FRAME_MAX];

	g_assert_cmpmem(frame, length, wanted, make_frame(number, wanted));
}

/* In so many parts. */
static struct rte_mbuf *make_packet(unsigned number, unsigned parts)
{
	uint8_t frame[FRAME_MAX];
	uint16_t length = make_frame(number, frame), done = 0;
	struct rte_mbuf *packet = NULL;

	for (unsigned i = 1; i <= parts; i++) {
		uint16_t n = i == parts ? (uint16_t)(length - done) : (uint16_t)(length / parts);
		struct rte_mbuf *part = rte_pktmbuf_alloc(pool);
		memcpy(rte_pktmbuf_append(part, n), frame + done, n);
		done = (uint16_t)(done + n);
		if (packet)
			g_assert_cmpint(rte_pktmbuf_chain(packet, part), ==, 0);
		else
			packet = part;
	}
	return packet;
}

static struct rte_mbuf *receive(struct subject *s)
{
	struct rte_mbuf *packet;

	for (unsigned tries = 0; port_rx(s->port, 0, &packet, 1) == 0; tries++) {
		g_assert_cmpuint(tries, <, LATE_TRIES);
		g_usleep(1000);
	}
	return packet;
}

static uint16_t take(struct subject *s, uint8_t frame[FRAME_MAX])
{
	uint16_t length;

	for (unsigned tries = 0; (length = s->kind->take(s, frame)) == 0; tries++) {
		g_assert_cmpuint(tries, <, LATE_TRIES);
		g_usleep(1000);
	}
	return length;
}

static void send_one(struct subject *s, unsigned number, unsigned parts)
{
	struct rte_mbuf *packet = make_packet(number, parts);
	bool down = true;

	g_assert_cmpuint(port_tx(s->port, SNAPSHOT_WORKERS, &packet, 1, &down), ==, 1);
	g_assert_false(down);
}

/* Both ways work. */
static void check_works(struct subject *s)
{
	uint8_t frame[FRAME_MAX];

	s->kind->put(s, frame, make_frame(1, frame));
	struct rte_mbuf *packet = receive(s);
	check_frame(1, rte_pktmbuf_mtod(packet, uint8_t *), (uint16_t)packet->pkt_len);
	rte_pktmbuf_free(packet);
	send_one(s, 2, 1);
	check_frame(2, frame, take(s, frame));
}

/* ---- the promises ---- */

static void test_receive(struct subject *s)
{
	struct rte_mbuf *packets[PORT_BURST];
	uint8_t frame[FRAME_MAX];
	unsigned got = 0;

	for (unsigned i = 0; i < 100; i++)
		s->kind->put(s, frame, make_frame(i, frame));
	for (unsigned tries = 0; got < 100; tries++) {
		uint16_t n = port_rx(s->port, 0, packets, 7);
		g_assert_cmpuint(n, <=, 7);
		for (uint16_t i = 0; i < n; i++, got++)
			check_frame(
				got, rte_pktmbuf_mtod(packets[i], uint8_t *), (uint16_t)packets[i]->pkt_len);
		rte_pktmbuf_free_bulk(packets, n);
		g_assert_cmpuint(tries, <, LATE_TRIES);
		if (n == 0)
			g_usleep(1000);
	}
	g_assert_cmpuint(port_rx(s->port, 0, packets, 7), ==, 0);
}

static void test_send(struct subject *s)
{
	struct rte_mbuf *packets[PORT_BURST];
	uint8_t frame[FRAME_MAX];
	bool down = true;

	for (unsigned i = 0; i < PORT_BURST; i++)
		packets[i] = make_packet(i, 1 + i % 3);
	g_assert_cmpuint(port_tx(s->port, SNAPSHOT_WORKERS, packets, PORT_BURST, &down), ==, PORT_BURST);
	g_assert_false(down);
	for (unsigned i = 0; i < PORT_BURST; i++)
		check_frame(i, frame, take(s, frame));
}

static void test_nobody(struct subject *s)
{
	struct rte_mbuf *packets[PORT_BURST];
	bool down = false;

	s->kind->cut(s);
	if (s->port->ops->tick)
		s->port->ops->tick(s->port);
	g_assert_cmpint(s->port->ops->state(s->port), !=, PORT_READY);
	unsigned before = rte_mempool_avail_count(pool);
	for (unsigned i = 0; i < PORT_BURST; i++)
		packets[i] = make_packet(i, 1);
	g_assert_cmpuint(port_tx(s->port, SNAPSHOT_WORKERS, packets, PORT_BURST, &down), ==, 0);
	g_assert_true(down);
	g_assert_cmpuint(rte_mempool_avail_count(pool), ==, before);
	g_assert_cmpuint(port_rx(s->port, 0, packets, PORT_BURST), ==, 0);
	s->kind->mend(s);
}

static void test_again(struct subject *s)
{
	for (unsigned i = 0; i < 3; i++) {
		s->kind->cut(s);
		if (s->port->ops->tick)
			s->port->ops->tick(s->port);
		s->kind->mend(s);
		if (s->port->ops->tick)
			s->port->ops->tick(s->port);
		g_assert_cmpint(s->port->ops->state(s->port), ==, PORT_READY);
		check_works(s);
	}
}

/* Nobody reads: what is too much is lost, but no buffer is, and the port works when there is room again. */
static void test_flood(struct subject *s)
{
	unsigned before = rte_mempool_avail_count(pool), sent = 0;
	uint8_t frame[FRAME_MAX];
	bool down;

	for (unsigned i = 0; i < FLOOD; i++) {
		struct rte_mbuf *packet = make_packet(i, 1);
		uint16_t n = port_tx(s->port, SNAPSHOT_WORKERS, &packet, 1, &down);
		g_assert_cmpuint(n, <=, 1);
		sent += n;
	}
	g_assert_cmpuint(sent, >, 0);
	g_assert_cmpuint(rte_mempool_avail_count(pool), ==, before);
	for (unsigned quiet = 0; quiet < 100; quiet++)
		if (s->kind->take(s, frame))
			quiet = 0;
		else
			g_usleep(1000);
	check_works(s);
}

static void test_close(struct subject *s)
{
	unsigned before = rte_mempool_avail_count(pool);
	uint8_t frame[FRAME_MAX];

	for (unsigned i = 0; i < 3; i++) {
		s->kind->put(s, frame, make_frame(i, frame));
		send_one(s, i, 1);
	}
	s->kind->close(s);
	g_assert_cmpuint(rte_mempool_avail_count(pool), ==, before);
	s->port = s->kind->open(s);
	check_works(s);
}

static const struct promise {
	const char *name;
	void (*run)(struct subject *s);
	bool goes; /* is about an end that goes away */
} promises[] = {
	{"what comes is received whole and in order, never more than asked for", test_receive, false},
	{"what is sent arrives whole and in order, be it in one part or in several", test_send, false},
	{"with nobody there all is taken, nothing delivered, and that is said", test_nobody, true},
	{"an end that went and comes again is reached again", test_again, true},
	{"a receiver that does not read costs packets, but no buffers", test_flood, false},
	{"a port is closed and opened again with packets under way, and no buffer is lost", test_close,
		false},
};

/* ---- the underlay's filter ---- */

/* Of that destination port, or with another byte in it. */
static void put_udp(struct subject *s, uint16_t port, unsigned at, uint8_t byte)
{
	uint8_t frame[FRAME_MIN] = {[0] = 2, [6] = 2};

	store16(frame + ETH_TYPE, ETH_IPV4);
	frame[ETH_LEN] = 0x46; /* with an option */
	frame[ETH_LEN + IPV4_PROTOCOL] = PROTO_UDP;
	store16(frame + ETH_LEN + 24 + UDP_DST, port);
	frame[at] |= byte;
	s->kind->put(s, frame, sizeof frame);
}

/* The same to VXLAN's port, with a tag. */
static void put_tagged(struct subject *s, uint16_t tci)
{
	uint8_t frame[FRAME_MIN + VLAN_TAG_LEN] = {[0] = 2, [6] = 2};
	uint8_t *ip = frame + ETH_LEN + VLAN_TAG_LEN;

	store16(frame + ETH_TYPE, ETH_VLAN);
	store16(frame + ETH_LEN, tci);
	store16(frame + ETH_LEN + 2, ETH_IPV4);
	ip[0] = 0x46;
	ip[IPV4_PROTOCOL] = PROTO_UDP;
	store16(ip + 24 + UDP_DST, IP_VXLAN_PORT);
	s->kind->put(s, frame, sizeof frame);
}

/* What the host itself receives there costs nothing: only tunnels come. */
static void test_filter(void)
{
	const struct kind *kind = kinds;
	while (!g_str_equal(kind->name, "underlay"))
		kind++;
	struct subject s = {.kind = kind};
	uint8_t frame[FRAME_MAX];
	struct rte_mbuf *packet;

	frame_type = TYPE;
	s.port = kind->open(&s);
	put_udp(&s, IP_VXLAN_PORT - 1, 0, 0);
	put_udp(&s, IP_VXLAN_PORT, ETH_LEN + IPV4_FRAGMENT + 1, 1); /* a later fragment, */
	put_udp(&s, IP_VXLAN_PORT, ETH_LEN + IPV4_PROTOCOL, 4); /* another protocol, */
	put_udp(&s, IP_VXLAN_PORT, ETH_TYPE + 1, 1); /* another type, */
	put_tagged(&s, 7); /* a VLAN */
	s.kind->put(&s, frame, make_frame(1, frame));
	put_udp(&s, IP_VXLAN_PORT, ETH_LEN + IPV4_FRAGMENT, 0x20); /* the first fragment */
	put_udp(&s, IP_VXLAN_PORT, 0, 0);
	put_tagged(&s, 3 << 13); /* a priority and no VLAN, which is as without */
	for (unsigned i = 0; i < 3; i++) {
		packet = receive(&s);
		const uint8_t *got = rte_pktmbuf_mtod(packet, uint8_t *);
		g_assert_cmpuint(load16(got + ETH_LEN + 24 + UDP_DST), ==, IP_VXLAN_PORT);
		g_assert_cmpuint(got[ETH_LEN + IPV4_FRAGMENT], ==, i == 0 ? 0x20 : 0);
		rte_pktmbuf_free(packet);
	}
	g_assert_cmpuint(port_rx(s.port, 0, &packet, 1), ==, 0);
	kind->close(&s);
}

/* ---- running them ---- */

struct test {
	const struct kind *kind;
	const struct promise *promise;
};

static void run_test(const void *data)
{
	const struct test *test = data;
	struct subject s = {.kind = test->kind};

	frame_type = test->kind->type;
	s.port = s.kind->open(&s);
	g_assert_null(s.port->error);
	g_assert_cmpint(s.port->ops->state(s.port), ==, PORT_READY);
	test->promise->run(&s);
	s.kind->close(&s);
}

static void add_tests(void)
{
	for (size_t k = 0; k < G_N_ELEMENTS(kinds); k++)
		for (size_t p = 0; p < G_N_ELEMENTS(promises); p++) {
			g_autofree char *name =
				g_strdup_printf("/port/%s: %s", kinds[k].name, promises[p].name);
			if (promises[p].goes && !kinds[k].goes)
				continue;
			struct test *test = g_new(struct test, 1);
			*test = (struct test){&kinds[k], &promises[p]};
			g_test_add_data_func_full(name, test, run_test, g_free);
		}
}

int main(int argc, char **argv)
{
	const struct eal_config eal = {.workers = 1, .memory_mib = 128, .hugepages = EAL_HUGEPAGES_OFF};
	g_autoptr(GError) error = NULL;
	bool hugepages;

	g_test_init(&argc, &argv, NULL);
	if (geteuid() != 0) {
		g_print("1..0 # SKIP network namespaces need root\n");
		return 0;
	}
	log_init("port_conformance_test");
	g_assert_cmpint(unshare(CLONE_NEWNET), ==, 0);
	/* Interfaces of this namespace send nothing of their own. */
	g_assert_true(g_file_set_contents_full(
		"/proc/sys/net/ipv6/conf/default/disable_ipv6", "1", 1, G_FILE_SET_CONTENTS_NONE, 0, NULL));
	if (!eal_start(&eal, &hugepages, &error) || !(pool = eal_pool_new(&eal, &error)))
		g_error("%s", error->message);
	guest_pool = rte_pktmbuf_pool_create("guest", 2047, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	g_assert_nonnull(guest_pool);
	readers = g_aligned_alloc0(1, rte_rcu_qsbr_get_memsize(1), RTE_CACHE_LINE_SIZE);
	g_assert_cmpint(rte_rcu_qsbr_init(readers, 1), ==, 0);
	folder = g_dir_make_tmp("sluice-port-XXXXXX", NULL);
	add_tests();
	g_test_add_func("/port/underlay: nothing but ARP and tunnels comes by it", test_filter);
	int status = g_test_run();
	eal_stop();
	g_rmdir(folder);
	g_free(folder);
	g_aligned_free(readers);
	return status;
}
