/* A DPDK device that makes packets and judges them: generator and sink inside the program under test.
 *
 * How it works: what the program receives from a port is made on the spot, in buffers of the program's own, and
 * what it sends to a port is judged and freed. So all is done by the program's polling thread: one core, one
 * process, no cache line on its way to another core, and nothing that waits. Two ports make a lane: what side 0
 * makes comes out at side 1, and the other way round.
 *
 *   -d librte_net_gen.so --vdev net_gen0,control=FILE,side=0 --vdev net_gen1,control=FILE,side=1[,lane=0][,tunnel=1]
 *
 * With tunnel=1 the port is the program's underlay: frames come and go in VXLAN (tunnel.h), and the VTEP at the other
 * end answers ARP.
 *
 * Orders come from measure.c through FILE (net_gen.h). Flows come in turns, rule by rule: the worst case for
 * caches. Limits: buffers are hot in the cache, and there is no copy and no PCI bus: the rate is that of the
 * program's own work, an upper bound of what it does with a NIC.
 *
 * The device driver interface is DPDK's internal one, whose headers no package has: dist/setup.sh bench takes
 * them from the source package of the installed version.
 */
#include "net_gen.h"
#include "tunnel.h"

#include <bus_vdev_driver.h>
#include <ethdev_driver.h>
#include <ethdev_vdev.h>
#include <fcntl.h>
#include <rte_arp.h>
#include <rte_cycles.h>
#include <rte_ether.h>
#include <rte_kvargs.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define STAMP_EVERY 16 /* bursts */
#define TCP_SEQ     1000u /* of the near side's SYN; the far side's is twice that */
#define TCP_SYN     0x02
#define TCP_ACK     0x10

/* A queue's own copy of the order, and how far it has come. */
struct queue {
	struct generator *generator; /* Borrowed */
	struct rte_mempool *pool; /* Borrowed: of a receive queue */
	uint32_t sequence; /* of the order */
	struct net_gen_order order;
	struct traffic_frame template;
	struct tunnel_outer outer; /* before it, where there is a tunnel */
	uint64_t flow; /* of the order's flows, the next one */
	struct traffic_claim next;
	uint32_t bursts;
	uint64_t sent_before, out_before; /* what was counted here and at the far end before the order */
} __attribute__((aligned(64)));

struct generator {
	struct net_gen_control *control; /* the mapping; stays as long as the process */
	struct net_gen_port *counters, *peer; /* this side's, and the other's */
	uint64_t *times;
	unsigned lane;
	enum net_gen_side side;
	uint16_t number;
	struct rte_ether_addr mac;
	uint8_t expected_macs[12];
	bool tunnel;
	bool asked; /* by ARP, for the tunnel's peer; `asker` has not been answered */
	struct rte_ether_addr asker;
};

/* One writer, and readers in another process. */
static inline void count(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

/* 02:00:00:00:LANE:SIDE+1, as in the topologies of bench.py. */
static struct rte_ether_addr mac_of(unsigned lane, enum net_gen_side side)
{
	return (struct rte_ether_addr){{2, 0, 0, 0, (uint8_t)lane, (uint8_t)(side + 1)}};
}

/* ---- generator ---- */

static void fill_tcp(struct queue *queue, bool far)
{
	struct traffic_tcp *tcp = &queue->template.tcp;
	bool syn = queue->order.tcp_flags & TCP_SYN;

	tcp->seq = htonl(TCP_SEQ * (far ? 2 : 1) + !syn);
	tcp->ack = queue->order.tcp_flags & TCP_ACK ? htonl(TCP_SEQ * (far ? 1 : 2) + 1) : 0;
	tcp->offset = 5 << 4;
	tcp->flags = queue->order.tcp_flags;
	tcp->window = htons(UINT16_MAX);
}

static void fill_template(struct queue *queue)
{
	const struct generator *generator = queue->generator;
	struct traffic_frame *frame = &queue->template;
	uint16_t length = (uint16_t)(queue->order.frame_bytes - TRAFFIC_FCS - TRAFFIC_ETH);
	bool far = generator->side == NET_GEN_FAR;

	memset(frame, 0, sizeof *frame);
	struct rte_ether_addr dmac = mac_of(generator->lane, !far);
	memcpy(frame->dmac, &dmac, 6);
	memcpy(frame->smac, &generator->mac, 6);
	tunnel_fill(&queue->outer, queue->order.frame_bytes - TRAFFIC_FCS, generator->lane);
	memcpy(queue->outer.dmac, &generator->asker, 6);
	memcpy(queue->outer.smac, &generator->mac, 6);
	frame->ether_type = htons(0x0800);
	frame->version_ihl = 0x45;
	frame->total_length = htons(length);
	frame->ttl = TRAFFIC_TTL;
	if (generator->control->rules[0].protocol == IPPROTO_TCP)
		fill_tcp(queue, far);
	else
		frame->udp.length = htons((uint16_t)(length - TRAFFIC_IP));
}

/* Packets of this port's that have come out. */
static inline uint64_t packets_out(const struct generator *generator)
{
	return __atomic_load_n(&generator->peer->verdicts[TRAFFIC_RIGHT], __ATOMIC_RELAXED);
}

static void take_order(struct queue *queue, uint32_t sequence)
{
	const struct generator *generator = queue->generator;
	struct net_gen_port *counters = generator->counters;

	queue->sequence = sequence;
	queue->order = generator->control->order;
	queue->flow = 0;
	queue->next = (struct traffic_claim){};
	fill_template(queue);
	bool sends = queue->order.send[generator->side];
	queue->sent_before = counters->sent;
	queue->out_before = packets_out(generator);
	counters->left = sends && queue->order.once ? queue->order.flows : 0;
	if (sends)
		counters->began = 0;
	__atomic_store_n(&counters->obeyed, sequence, __ATOMIC_RELEASE);
}

/* The order's next flow. */
static inline void step(const struct net_gen_order *order, struct traffic_claim *claim, uint64_t *flow)
{
	if (++claim->rule == order->n_rules) {
		claim->rule = 0;
		claim->round++;
	}
	if (++*flow == order->flows) {
		*flow = 0;
		*claim = (struct traffic_claim){};
	}
}

/* Bytes. */
static inline uint32_t before_frame(const struct generator *generator)
{
	return generator->tunnel ? sizeof(struct tunnel_outer) : 0;
}

static inline void make(const struct queue *queue, struct traffic_claim claim, struct rte_mbuf *packet)
{
	const struct generator *generator = queue->generator;
	const struct traffic_rule *rule = &generator->control->rules[claim.rule];
	uint8_t *data = rte_pktmbuf_mtod(packet, uint8_t *);
	uint32_t length = queue->order.frame_bytes - TRAFFIC_FCS, before = before_frame(generator);
	struct traffic_frame *frame = (struct traffic_frame *)(data + before);

	if (before)
		memcpy(data, &queue->outer, sizeof queue->outer);
	*frame = queue->template;
	traffic_write(frame, length, rule, claim, generator->side == NET_GEN_FAR);
	length += before;
	packet->data_len = (uint16_t)length;
	packet->pkt_len = length;
	packet->port = generator->number;
	packet->ol_flags = RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD; /* as of any NIC */
}

static inline void make_burst(struct queue *queue, struct rte_mbuf **packets, uint16_t n)
{
	struct traffic_claim claim = queue->next;
	uint64_t flow = queue->flow;

	for (uint16_t i = 0; i < n; i++) {
		make(queue, claim, packets[i]);
		step(&queue->order, &claim, &flow);
	}
	queue->next = claim;
	queue->flow = flow;
}

static inline void stamp(struct queue *queue, struct rte_mbuf *packet)
{
	struct traffic_frame *frame =
		rte_pktmbuf_mtod_offset(packet, struct traffic_frame *, before_frame(queue->generator));

	if (frame->protocol == IPPROTO_UDP && ++queue->bursts % STAMP_EVERY == 0)
		frame->udp.stamp = rte_rdtsc();
}

/* How many more packets may be on their way. */
static inline uint64_t room(const struct queue *queue)
{
	const struct generator *generator = queue->generator;
	uint64_t sent = generator->counters->sent - queue->sent_before;

	return queue->order.window -
	       RTE_MIN(queue->order.window, sent - (packets_out(generator) - queue->out_before));
}

/* The peer's answer; the same thread sends and receives. */
static uint16_t answer(struct queue *queue, struct rte_mbuf **ret_packet)
{
	struct generator *generator = (struct generator *)queue->generator;
	struct rte_mbuf *packet = rte_pktmbuf_alloc(queue->pool);
	struct {
		struct rte_ether_hdr ethernet;
		struct rte_arp_hdr arp;
	} frame = {
		.ethernet = {generator->asker, generator->mac, htons(RTE_ETHER_TYPE_ARP)},
		.arp = {htons(RTE_ARP_HRD_ETHER), htons(RTE_ETHER_TYPE_IPV4), 6, 4, htons(RTE_ARP_OP_REPLY),
			{generator->mac, htonl(TUNNEL_PEER), generator->asker, htonl(TUNNEL_SWITCH)}},
	};

	if (!packet)
		return 0;
	generator->asked = false;
	memcpy(rte_pktmbuf_append(packet, sizeof frame), &frame, sizeof frame);
	packet->port = generator->number;
	*ret_packet = packet;
	return 1;
}

static uint16_t generate(void *data, struct rte_mbuf **packets, uint16_t n)
{
	struct queue *queue = data;
	const struct generator *generator = queue->generator;
	struct net_gen_port *counters = generator->counters;
	uint32_t sequence = __atomic_load_n(&generator->control->sequence, __ATOMIC_ACQUIRE);

	if (unlikely(queue->sequence != sequence))
		take_order(queue, sequence);
	if (unlikely(generator->asked))
		return answer(queue, packets);
	if (!queue->order.send[generator->side])
		return 0;
	n = RTE_MIN(n, NET_GEN_BURST);
	if (queue->order.once)
		n = (uint16_t)RTE_MIN(n, counters->left);
	if (queue->order.window)
		n = (uint16_t)RTE_MIN(n, room(queue));
	if (n == 0)
		return 0;
	if (unlikely(rte_pktmbuf_alloc_bulk(queue->pool, packets, n) != 0)) {
		count(&counters->no_buffer, 1);
		return 0;
	}
	if (unlikely(!counters->began))
		counters->began = rte_rdtsc();
	make_burst(queue, packets, n);
	stamp(queue, packets[n - 1]);
	count(&counters->sent, n);
	if (queue->order.once)
		__atomic_store_n(&counters->left, counters->left - n, __ATOMIC_RELEASE);
	return n;
}

/* ---- sink ---- */

static inline void note_time(const struct generator *generator, const struct traffic_frame *frame)
{
	if (frame->protocol != IPPROTO_UDP || likely(!frame->udp.stamp))
		return;
	uint64_t cycles = rte_rdtsc() - frame->udp.stamp;
	unsigned log2 = 63 - (unsigned)__builtin_clzll(cycles | 16);
	count(&generator->times[log2 * 16 + (cycles >> (log2 - 4) & 15)], 1);
}

/* Takes the tunnel's header off. NULL when it is none that the program may send. */
static inline const struct traffic_frame *open_tunnel(
	struct generator *generator, const struct rte_mbuf *packet, uint32_t *length)
{
	const struct tunnel_outer *outer = rte_pktmbuf_mtod(packet, const struct tunnel_outer *);

	if (outer->ether_type == htons(RTE_ETHER_TYPE_ARP)) {
		generator->asked = true;
		memcpy(&generator->asker, outer->smac, 6);
		return NULL;
	}
	if (!tunnel_is_right(outer, *length, generator->lane) || memcmp(outer->dmac, &generator->mac, 6) != 0)
		return NULL;
	*length -= sizeof *outer;
	return (const struct traffic_frame *)(outer + 1);
}

static uint16_t judge(void *data, struct rte_mbuf **packets, uint16_t n)
{
	const struct queue *queue = data;
	const struct generator *generator = queue->generator;
	const struct net_gen_control *control = generator->control;
	const uint8_t *macs = control->order.macs == NET_GEN_MACS_KEPT ? generator->expected_macs : NULL;
	bool far = generator->side == NET_GEN_FAR;
	uint64_t verdicts[4] = {};

	for (uint16_t i = 0; i < n; i++) {
		const struct traffic_frame *frame =
			rte_pktmbuf_mtod(packets[i], const struct traffic_frame *);
		uint32_t length = packets[i]->data_len;
		if (generator->tunnel)
			frame = open_tunnel((struct generator *)generator, packets[i], &length);
		enum traffic_verdict verdict =
			frame ? traffic_judge(frame, length, control->rules, control->n_rules, !far, macs)
			      : TRAFFIC_OTHER;
		verdicts[verdict]++;
		if (far && verdict == TRAFFIC_RIGHT)
			note_time(generator, frame);
	}
	rte_pktmbuf_free_bulk(packets, n);
	for (unsigned i = 0; i < 4; i++)
		count(&generator->counters->verdicts[i], verdicts[i]);
	__atomic_store_n(&generator->counters->ended, rte_rdtsc(), __ATOMIC_RELAXED);
	return n;
}

/* ---- the device ---- */

static const struct rte_eth_link link_up = {
	.link_speed = RTE_ETH_SPEED_NUM_100G,
	.link_duplex = RTE_ETH_LINK_FULL_DUPLEX,
	.link_status = RTE_ETH_LINK_UP,
};

static int nothing(struct rte_eth_dev *device)
{
	return 0;
}

static int start(struct rte_eth_dev *device)
{
	device->data->dev_link = link_up;
	return 0;
}

static int stop(struct rte_eth_dev *device)
{
	device->data->dev_link.link_status = RTE_ETH_LINK_DOWN;
	return 0;
}

static int set_mtu(struct rte_eth_dev *device, uint16_t mtu)
{
	return 0;
}

static int update_link(struct rte_eth_dev *device, int wait)
{
	return 0;
}

static int set_mac(struct rte_eth_dev *device, struct rte_ether_addr *mac)
{
	return 0;
}

static int get_info(struct rte_eth_dev *device, struct rte_eth_dev_info *info)
{
	info->max_mac_addrs = 1;
	info->max_rx_pktlen = RTE_ETHER_MAX_JUMBO_FRAME_LEN;
	info->min_mtu = RTE_ETHER_MIN_MTU;
	info->max_mtu = RTE_ETHER_MAX_JUMBO_FRAME_LEN - RTE_ETHER_HDR_LEN - RTE_ETHER_CRC_LEN;
	info->max_rx_queues = 1;
	info->max_tx_queues = 16; /* Open vSwitch wants one a thread */
	info->rx_offload_capa = RTE_ETH_RX_OFFLOAD_CHECKSUM;
	return 0;
}

static int get_stats(struct rte_eth_dev *device, struct rte_eth_stats *stats)
{
	const struct generator *generator = device->data->dev_private;

	stats->ipackets = generator->counters->sent;
	stats->rx_nombuf = generator->counters->no_buffer;
	for (unsigned i = 0; i < 4; i++)
		stats->opackets += generator->counters->verdicts[i];
	return 0;
}

static struct queue *queue_new(struct rte_eth_dev *device, unsigned socket)
{
	struct queue *queue = rte_zmalloc_socket(NULL, sizeof *queue, 64, (int)socket);

	if (queue)
		queue->generator = device->data->dev_private;
	return queue;
}

static int set_up_rx(struct rte_eth_dev *device, uint16_t i, uint16_t n, unsigned socket,
	const struct rte_eth_rxconf *conf, struct rte_mempool *pool)
{
	struct queue *queue = queue_new(device, socket);

	if (!queue)
		return -ENOMEM;
	queue->pool = pool;
	queue->sequence = UINT32_MAX;
	device->data->rx_queues[i] = queue;
	return 0;
}

static int set_up_tx(struct rte_eth_dev *device, uint16_t i, uint16_t n, unsigned socket,
	const struct rte_eth_txconf *conf)
{
	device->data->tx_queues[i] = queue_new(device, socket);
	return device->data->tx_queues[i] ? 0 : -ENOMEM;
}

static void release_rx(struct rte_eth_dev *device, uint16_t i)
{
	rte_free(device->data->rx_queues[i]);
}

static void release_tx(struct rte_eth_dev *device, uint16_t i)
{
	rte_free(device->data->tx_queues[i]);
}

static int close_device(struct rte_eth_dev *device)
{
	device->data->mac_addrs = NULL; /* it lies in dev_private */
	return 0;
}

static const struct eth_dev_ops operations = {
	.dev_configure = nothing,
	.dev_start = start,
	.dev_stop = stop,
	.dev_close = close_device,
	.dev_infos_get = get_info,
	.stats_get = get_stats,
	.stats_reset = nothing,
	.link_update = update_link,
	.mtu_set = set_mtu,
	.mac_addr_set = set_mac,
	.promiscuous_enable = nothing,
	.promiscuous_disable = nothing,
	.allmulticast_enable = nothing,
	.allmulticast_disable = nothing,
	.rx_queue_setup = set_up_rx,
	.tx_queue_setup = set_up_tx,
	.rx_queue_release = release_rx,
	.tx_queue_release = release_tx,
};

/* ---- the driver ---- */

/* Every port of a process maps the file; the first one, and the first process, finds it empty. */
static struct net_gen_control *map_control(const char *path)
{
	struct net_gen_control *control = MAP_FAILED;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd >= 0 && ftruncate(fd, sizeof *control) == 0)
		control = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd >= 0)
		close(fd);
	if (control == MAP_FAILED)
		return NULL;
	control->hz = rte_get_tsc_hz();
	__atomic_store_n(&control->magic, NET_GEN_MAGIC, __ATOMIC_RELEASE);
	return control;
}

struct arguments {
	char *control; /* Owned */
	unsigned long lane, side, tunnel;
};

static int take_argument(const char *key, const char *value, void *data)
{
	struct arguments *arguments = data;

	if (strcmp(key, "control") == 0) {
		free(arguments->control);
		arguments->control = strdup(value);
	} else if (strcmp(key, "lane") == 0) {
		arguments->lane = strtoul(value, NULL, 10);
	} else if (strcmp(key, "tunnel") == 0) {
		arguments->tunnel = strtoul(value, NULL, 10);
	} else {
		arguments->side = strtoul(value, NULL, 10);
	}
	return 0;
}

static int parse_arguments(const char *text, struct arguments *ret)
{
	static const char *const keys[] = {"control", "lane", "side", "tunnel", NULL};
	struct rte_kvargs *list = rte_kvargs_parse(text, keys);

	if (!list)
		return -EINVAL;
	rte_kvargs_process(list, NULL, take_argument, ret);
	rte_kvargs_free(list);
	return ret->control && ret->lane < NET_GEN_LANES && ret->side < 2 ? 0 : -EINVAL;
}

static int make_device(struct rte_vdev_device *vdev, const struct arguments *arguments)
{
	struct net_gen_control *control = map_control(arguments->control);

	if (!control)
		return -EIO;
	if (vdev->device.numa_node == SOCKET_ID_ANY)
		vdev->device.numa_node = 0;
	struct rte_eth_dev *device = rte_eth_vdev_allocate(vdev, sizeof(struct generator));
	if (!device)
		return -ENOMEM;
	struct generator *generator = device->data->dev_private;
	generator->control = control;
	generator->lane = (unsigned)arguments->lane;
	generator->side = (enum net_gen_side)arguments->side;
	generator->counters = &control->ports[generator->lane][generator->side];
	generator->peer = &control->ports[generator->lane][!generator->side];
	generator->times = control->times[generator->lane];
	generator->tunnel = arguments->tunnel != 0;
	generator->number = device->data->port_id;
	generator->mac = mac_of(generator->lane, generator->side);
	/* What comes out here was sent to here. */
	struct rte_ether_addr peer = mac_of(generator->lane, !generator->side);
	memcpy(generator->expected_macs, &generator->mac, 6);
	memcpy(generator->expected_macs + 6, &peer, 6);
	device->data->mac_addrs = &generator->mac;
	device->data->dev_link = link_up;
	device->data->promiscuous = 1;
	device->data->all_multicast = 1;
	device->dev_ops = &operations;
	device->rx_pkt_burst = generate;
	device->tx_pkt_burst = judge;
	rte_eth_dev_probing_finish(device);
	return 0;
}

static int probe(struct rte_vdev_device *vdev)
{
	struct arguments arguments = {};
	int r = parse_arguments(rte_vdev_device_args(vdev), &arguments);

	if (r == 0)
		r = make_device(vdev, &arguments);
	free(arguments.control);
	return r;
}

static int forget(struct rte_vdev_device *vdev)
{
	struct rte_eth_dev *device = rte_eth_dev_allocated(rte_vdev_device_name(vdev));

	if (device) {
		close_device(device);
		rte_eth_dev_release_port(device);
	}
	return 0;
}

static struct rte_vdev_driver driver = {.probe = probe, .remove = forget};
RTE_PMD_REGISTER_VDEV(net_gen, driver);
RTE_PMD_REGISTER_PARAM_STRING(net_gen, "control=<path> lane=<int> side=<0|1> tunnel=<0|1>");
