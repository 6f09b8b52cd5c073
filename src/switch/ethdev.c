/* Ports on DPDK's own devices: physical NICs, representors, and the virtual ones of --vdev.
 *
 * How it works: devices are there, or not, from the start of the program (eal.h), so the port looks for its
 * device by name, sets it up, and starts it. The device number is published with release when packets may flow.
 * A device that a port let go is stopped and stays; another state may name it again.
 *
 * Queues. A receive queue for each worker, where the device can keep connections apart (rss.h), else one; how
 * many is known when the port is opened, and stays. Then also a transmit queue for each worker and one for
 * other threads, where the device has as many; else one, under the port's lock.
 *
 * Size. A device that is to carry IP packets of more than Ethernet's usual 1500 bytes (port_ops.carry) is told, and
 * where they do not fit into one buffer it has to receive and send them in several; one that cannot fails, and says so,
 * as it would lose them silently. When a state wants more than the one before, the device is stopped for a moment. It is
 * never made to carry less.
 *
 * Of a device that sends packets of several buffers all that it can do for open frames (segmentation.h) is asked;
 * one that does not gets complete packets in one buffer.
 */
#include "switch/grace.h"
#include "switch/port.h"
#include "switch/rss.h"
#include "switch/segmentation.h"
#include "switch/vlan.h"
#include "switch/wire.h"

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <stdatomic.h>
#include <string.h>

#define DESCRIPTORS 1024 /* of a queue, where the device takes as many */
#define NO_DEVICE   (-1)

struct ethdev_port {
	struct port port;
	_Atomic int device; /* number of the started device, or NO_DEVICE */
	unsigned workers;
	/* Written before `device`. */
	_Atomic uint16_t shared; /* transmit queue that is used under the lock */
	bool segments; /* the device sends packets of several segments */
	bool headers; /* it makes IPv4 headers' checksums, and is asked to for the segments that it cuts */
};

/* ---- workers ---- */

static uint16_t ethdev_rx_queue(struct port *base, unsigned queue, struct rte_mbuf **packets, uint16_t n)
{
	struct ethdev_port *port = (struct ethdev_port *)base;
	int device = atomic_load_explicit(&port->device, memory_order_acquire);

	return device == NO_DEVICE ? 0 : rte_eth_rx_burst((uint16_t)device, (uint16_t)queue, packets, n);
}

static uint16_t ethdev_rx(struct port *base, struct rte_mbuf **packets, uint16_t n)
{
	return ethdev_rx_queue(base, 0, packets, n);
}

/* One segment, of another buffer: another port may be sending this one. NULL, and it is dropped, when it does not fit
 * in a buffer or there is none. */
static struct rte_mbuf *whole(struct rte_mbuf *packet, struct rte_mempool *pool)
{
	if (packet->nb_segs == 1)
		return packet;
	struct rte_mbuf *copy =
		packet->pkt_len + (uint32_t)RTE_PKTMBUF_HEADROOM <= (uint32_t)rte_pktmbuf_data_room_size(pool)
			? rte_pktmbuf_copy(packet, pool, 0, UINT32_MAX)
			: NULL;
	rte_pktmbuf_free(packet);
	return copy;
}

/* For a device that takes single segments only; returns how many are left. */
static uint16_t make_whole(struct rte_mempool *pool, struct rte_mbuf **packets, uint16_t n)
{
	uint16_t kept = 0;

	for (uint16_t i = 0; i < n; i++)
		if ((packets[kept] = whole(packets[i], pool)))
			kept++;
	return kept;
}

/* What the driver wants changed in open frames before it sends them. Frames that it refuses are freed; returns how many
 * are left. */
static uint16_t prepare(const struct ethdev_port *port, uint16_t device, uint16_t queue,
	struct rte_mbuf **packets, uint16_t n)
{
	uint16_t kept = 0, done = 0;

	for (uint16_t i = 0; port->headers && i < n; i++)
		if (segmentation_is_needed(packets[i]) && packets[i]->ol_flags & RTE_MBUF_F_TX_IPV4)
			packets[i]->ol_flags |= RTE_MBUF_F_TX_IP_CKSUM;
	while (done < n) {
		uint16_t good = rte_eth_tx_prepare(device, queue, packets + done, (uint16_t)(n - done));
		memmove(packets + kept, packets + done, good * sizeof *packets);
		kept = (uint16_t)(kept + good);
		done = (uint16_t)(done + good);
		if (done < n)
			rte_pktmbuf_free(packets[done++]);
	}
	return kept;
}

static uint16_t ethdev_tx_queue(
	struct port *base, unsigned queue, struct rte_mbuf **packets, uint16_t n, bool *ret_down)
{
	struct ethdev_port *port = (struct ethdev_port *)base;
	int device = atomic_load_explicit(&port->device, memory_order_acquire);
	uint16_t sent = 0;

	*ret_down = device == NO_DEVICE;
	if (!*ret_down && !port->segments)
		n = make_whole(base->pool, packets, n);
	else if (!*ret_down && atomic_load_explicit(&base->takes, memory_order_relaxed))
		n = prepare(port, (uint16_t)device, (uint16_t)queue, packets, n);
	if (!*ret_down)
		sent = rte_eth_tx_burst((uint16_t)device, (uint16_t)queue, packets, n);
	if (sent < n)
		rte_pktmbuf_free_bulk(packets + sent, (unsigned)(n - sent));
	return sent;
}

static uint16_t ethdev_tx(struct port *base, struct rte_mbuf **packets, uint16_t n, bool *ret_down)
{
	const struct ethdev_port *port = (const struct ethdev_port *)base;
	unsigned queue = atomic_load_explicit(&port->shared, memory_order_relaxed);

	return ethdev_tx_queue(base, queue, packets, n, ret_down);
}

/* ---- main thread ---- */

static const char *device_name(const struct ethdev_port *port)
{
	return port->port.name + strlen(PORT_DEVICE);
}

static int set_up_queues(uint16_t device, uint16_t rx_queues, uint16_t tx_queues, struct rte_mempool *pool)
{
	uint16_t n_rx = DESCRIPTORS, n_tx = DESCRIPTORS;
	unsigned socket = (unsigned)rte_eth_dev_socket_id(device);
	int r = rte_eth_dev_adjust_nb_rx_tx_desc(device, &n_rx, &n_tx);

	for (uint16_t queue = 0; r == 0 && queue < rx_queues; queue++)
		r = rte_eth_rx_queue_setup(device, queue, n_rx, socket, NULL, pool);
	for (uint16_t queue = 0; r == 0 && queue < tx_queues; queue++)
		r = rte_eth_tx_queue_setup(device, queue, n_tx, socket, NULL);
	return r;
}

/* Of what the device can do when it sends, what is asked of it: *ret_takes is what the switch may leave to it. */
static uint64_t choose_offloads(uint64_t can, uint32_t *ret_takes)
{
	const uint64_t checksums = RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM;

	*ret_takes = 0;
	if (!(can & RTE_ETH_TX_OFFLOAD_MULTI_SEGS))
		return 0;
	if ((can & checksums) != checksums)
		return RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	*ret_takes = PORT_TAKES_CHECKSUM;
	if (!(can & RTE_ETH_TX_OFFLOAD_TCP_TSO))
		return RTE_ETH_TX_OFFLOAD_MULTI_SEGS | checksums;
	*ret_takes |= PORT_TAKES_TSO4 | PORT_TAKES_TSO6 | PORT_TAKES_CWR;
	return RTE_ETH_TX_OFFLOAD_MULTI_SEGS | checksums | RTE_ETH_TX_OFFLOAD_TCP_TSO |
	       (can & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM);
}

/* Whether one buffer of the pool holds a frame with a packet of that size, behind two tags, and its checksum. */
static bool is_in_one_buffer(struct rte_mempool *pool, uint16_t mtu)
{
	return ETH_LEN + 2 * VLAN_TAG_LEN + RTE_ETHER_CRC_LEN + (unsigned)mtu <=
	       rte_pktmbuf_data_room_size(pool) - (unsigned)RTE_PKTMBUF_HEADROOM;
}

/* Asks for the size that the port is to carry. -EMSGSIZE: the device cannot, whatever its driver says. */
static int choose_size(
	const struct ethdev_port *port, const struct rte_eth_dev_info *info, struct rte_eth_conf *conf)
{
	const uint16_t mtu = port->port.mtu;

	if (mtu > RTE_ETHER_MTU)
		conf->rxmode.mtu = mtu;
	if (is_in_one_buffer(port->port.pool, mtu))
		return 0;
	conf->rxmode.offloads |= RTE_ETH_RX_OFFLOAD_SCATTER;
	return info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER &&
			       info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS
		       ? 0
		       : -EMSGSIZE;
}

/* The device's own setting, before it starts. Some have none beside the configuration's. */
static int set_size(uint16_t device, const struct rte_eth_conf *conf)
{
	int r = conf->rxmode.mtu ? rte_eth_dev_set_mtu(device, (uint16_t)conf->rxmode.mtu) : 0;

	return r == -ENOTSUP ? 0 : r;
}

/* The device is one that another program's port or a former one of ours does not use. */
static int start(struct ethdev_port *port, uint16_t device)
{
	struct rte_eth_conf conf = {};
	struct rte_eth_dev_info info;
	uint32_t takes;
	int r = rte_eth_dev_info_get(device, &info);

	if (r < 0)
		return r;
	uint16_t rx_queues = (uint16_t)port->port.n_queues;
	/* For each worker and one more. Queues of virtual devices that do not hash may each be a wire of its own. */
	bool own = rx_queues > 1 && info.max_tx_queues > port->workers;
	uint16_t tx_queues = own ? (uint16_t)(port->workers + 1) : 1;
	rss_configure(&info, rx_queues, &conf);
	conf.txmode.offloads = choose_offloads(info.tx_offload_capa, &takes);
	port->segments = conf.txmode.offloads != 0;
	port->headers = conf.txmode.offloads & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM;
	atomic_store(&port->port.takes, takes);
	if ((r = choose_size(port, &info, &conf)) < 0 ||
		(r = rte_eth_dev_configure(device, rx_queues, tx_queues, &conf)) < 0 ||
		(r = set_size(device, &conf)) < 0 ||
		(r = set_up_queues(device, rx_queues, tx_queues, port->port.pool)) < 0 ||
		(r = rte_eth_dev_start(device)) < 0)
		return r;
	atomic_store(&port->shared, (uint16_t)(tx_queues - 1));
	atomic_store(&port->port.n_senders, own ? port->workers : 0);
	rte_eth_promiscuous_enable(device); /* some are so always, and have no switch for it */
	return 0;
}

static void open_device(struct ethdev_port *port)
{
	struct rte_ether_addr mac;
	uint16_t device;

	if (rte_eth_dev_get_port_by_name(device_name(port), &device) != 0) {
		port_set_error(&port->port,
			"there is no DPDK device %s; sluice-switch has those of its --vdev and --pci",
			device_name(port));
		return;
	}
	int r = start(port, device);
	if (r < 0) {
		port_set_error(&port->port, "cannot start the DPDK device %s for IP packets of %u bytes: %s",
			device_name(port), port->port.mtu, g_strerror(-r));
		return;
	}
	port_set_error(&port->port, NULL);
	if (rte_eth_macaddr_get(device, &mac) == 0)
		port_set_mac(&port->port, mac.addr_bytes);
	atomic_store_explicit(&port->device, device, memory_order_release);
}

static enum port_state ethdev_state(const struct port *base)
{
	return atomic_load(&((const struct ethdev_port *)base)->device) == NO_DEVICE ? PORT_FAILED
										     : PORT_READY;
}

static void ethdev_tick(struct port *base)
{
	if (ethdev_state(base) == PORT_FAILED)
		open_device((struct ethdev_port *)base);
}

/* No worker uses the device when it stops. */
static void ethdev_carry(struct port *base, uint16_t mtu)
{
	struct ethdev_port *port = (struct ethdev_port *)base;
	int device = atomic_exchange(&port->device, NO_DEVICE);

	base->mtu = mtu;
	if (device != NO_DEVICE) {
		grace_wait(base->readers);
		rte_eth_dev_stop((uint16_t)device);
	}
	open_device(port);
}

static void ethdev_close(struct port *base)
{
	int device = atomic_load(&((struct ethdev_port *)base)->device);

	if (device != NO_DEVICE)
		rte_eth_dev_stop((uint16_t)device);
	port_release(base);
	g_aligned_free(base);
}

static const struct port_ops ethdev_ops = {
	.kind = "ethdev",
	.rx = ethdev_rx,
	.tx = ethdev_tx,
	.rx_queue = ethdev_rx_queue,
	.tx_queue = ethdev_tx_queue,
	.state = ethdev_state,
	.carry = ethdev_carry,
	.tick = ethdev_tick,
	.close = ethdev_close,
};

/* How many its device gives to the workers; one where there is no device. */
static unsigned queues_of(const struct ethdev_port *port)
{
	struct rte_eth_dev_info info;
	uint16_t device;

	return rte_eth_dev_get_port_by_name(device_name(port), &device) == 0 &&
			       rte_eth_dev_info_get(device, &info) == 0
		       ? rss_queues(&info, port->workers)
		       : 1;
}

struct port *ethdev_open(const char *name, struct rte_mempool *pool, struct rte_rcu_qsbr *readers,
	unsigned workers, uint16_t mtu)
{
	struct ethdev_port *port = g_aligned_alloc0(1, sizeof *port, 64);

	port_init(&port->port, &ethdev_ops, name, pool, readers);
	atomic_init(&port->device, NO_DEVICE);
	port->workers = workers;
	port->port.mtu = mtu;
	port->port.n_queues = queues_of(port);
	open_device(port);
	return &port->port;
}
