/* VM ports: vhost-user, on librte_vhost itself.
 *
 * How it works: the switch is the client and QEMU the server, so that after a kill -9 of either side the
 * other waits where it is. While nobody is connected, every tick registers the socket anew and tries to connect.
 * librte_vhost could do that by itself, but a connection that ends while rte_vhost_driver_unregister runs is then
 * put on its list of those to connect again, with the socket that is freed a moment later.
 *
 * librte_vhost calls us back, from its thread unless said otherwise:
 *
 *   new_connection       QEMU accepted us; on the main thread.
 *   destroy_connection   The connection ended: the next tick tries again.
 *   new_device           The guest's driver has set the rings up: the device number is published, ready.
 *   vring_state_changed  The ring's bit is set or cleared in `enabled_rx` or `enabled_tx`.
 *   destroy_device       The number is withdrawn; after a grace period no worker uses it: waiting again.
 *
 * The main thread sends too (advertise.h), and is no reader of the grace periods: port_tx holds the port's lock while it
 * does, and so destroy_device takes that once.
 *
 * vring_state_changed runs under the ring's lock, which a worker may be spinning on, so it must not wait for
 * workers; destroy_device does not, so it can. rte_vhost_driver_unregister ends in destroy_device as well, on
 * the main thread.
 *
 * Offloads: a guest may leave TCP's and UDP's checksums to us, and the cutting of TCP into segments, so that it sends
 * frames of 64 KB, in chained buffers. It gets as much as it has said that it takes, else output completes and cuts
 * (segmentation.h). What librte_vhost makes of the header that a guest writes is a claim like any other. Not offered:
 * segmentation of UDP, which there is none of here; and GUEST_ECN, as librte_vhost does not pass on that a frame needs
 * it: such frames are cut before.
 *
 * Buffers: what a guest sends has them for one turn of the worker, as large frames never wait (neighbour.h),
 * and no frame that is longer than an IP packet goes on. While librte_vhost copies one in, though, it may have
 * all buffers that are free: a guest can have its worker copy and drop what its descriptors say, and other
 * workers' ports miss packets (counted by whoever sends them) meanwhile.
 *
 * Memory of guests is mapped by librte_vhost and never locked: nothing in this program calls mlockall.
 */
#include "base/log.h"
#include "switch/grace.h"
#include "switch/port.h"
#include "switch/segmentation.h"
#include "switch/wire.h"

#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <rte_mbuf.h>
#include <rte_vhost.h>
#include <stdatomic.h>

#define VHOST_PAIRS_MAX 64
#define NO_DEVICE       (-1)

/* Offered by librte_vhost by default, and not kept right here. */
#define VHOST_OFF                                                                                            \
	(1ULL << VIRTIO_NET_F_HOST_UFO | 1ULL << VIRTIO_NET_F_GUEST_UFO | 1ULL << VIRTIO_NET_F_GUEST_ECN)
#define VHOST_FLAGS                                                                                          \
	(RTE_VHOST_USER_CLIENT | RTE_VHOST_USER_NO_RECONNECT | RTE_VHOST_USER_NET_COMPLIANT_OL_FLAGS)

struct vhost_port {
	struct port port;
	_Atomic int vid; /* NO_DEVICE: nobody is connected, or the rings are not set up */
	_Atomic uint64_t enabled_rx, enabled_tx; /* one bit a queue pair, as the guest names them */
	atomic_bool connected;
	bool registered; /* main thread */
	unsigned next_pair; /* where polling goes on; of the polling worker */
};

/* librte_vhost's callbacks carry no pointer of ours, only a device number from which the socket's path can be
 * asked: this maps paths to ports. It is this file's own, under its lock. */
static struct {
	GMutex lock;
	GHashTable *by_path;
} registry;

static struct vhost_port *find_port(int vid)
{
	char path[PATH_MAX];

	if (rte_vhost_get_ifname(vid, path, sizeof path) < 0)
		return NULL;
	g_mutex_lock(&registry.lock);
	struct vhost_port *port = registry.by_path ? g_hash_table_lookup(registry.by_path, path) : NULL;
	g_mutex_unlock(&registry.lock);
	return port;
}

/* ---- librte_vhost's thread ---- */

/* What the guest's driver takes. */
static uint32_t takes_of(uint64_t features)
{
	uint32_t takes = 0;

	if (!(features & 1ULL << VIRTIO_NET_F_GUEST_CSUM))
		return 0;
	takes |= PORT_TAKES_CHECKSUM;
	takes |= features & 1ULL << VIRTIO_NET_F_GUEST_TSO4 ? PORT_TAKES_TSO4 : 0;
	takes |= features & 1ULL << VIRTIO_NET_F_GUEST_TSO6 ? PORT_TAKES_TSO6 : 0;
	return takes;
}

static int new_device(int vid)
{
	struct vhost_port *port = find_port(vid);
	uint64_t features = 0;

	if (!port)
		return -1;
	/* The guest need not wake us for what it sends: we poll. */
	for (uint16_t i = 0; i < rte_vhost_get_vring_num(vid); i++)
		rte_vhost_enable_guest_notification(vid, i, 0);
	rte_vhost_get_negotiated_features(vid, &features);
	atomic_store(&port->port.takes, takes_of(features));
	atomic_store_explicit(&port->vid, vid, memory_order_release);
	log_info(port->port.name, "the guest is connected, features 0x%" G_GINT64_MODIFIER "x", features);
	return 0;
}

static void destroy_device(int vid)
{
	struct vhost_port *port = find_port(vid);

	if (!port || atomic_exchange(&port->vid, NO_DEVICE) == NO_DEVICE)
		return;
	grace_wait(port->port.readers);
	rte_spinlock_lock(&port->port.tx_lock);
	rte_spinlock_unlock(&port->port.tx_lock);
	log_info(port->port.name, "the guest is gone");
}

static int vring_state_changed(int vid, uint16_t ring, int enable)
{
	struct vhost_port *port = find_port(vid);
	uint64_t bit = 1ULL << ring / 2;

	if (!port || ring / 2 >= VHOST_PAIRS_MAX)
		return 0;
	_Atomic uint64_t *enabled = ring % 2 ? &port->enabled_tx : &port->enabled_rx;
	if (enable)
		atomic_fetch_or(enabled, bit);
	else
		atomic_fetch_and(enabled, ~bit);
	return 0;
}

static int new_connection(int vid)
{
	struct vhost_port *port = find_port(vid);

	if (!port)
		return -1;
	atomic_store(&port->connected, true);
	return 0;
}

static void destroy_connection(int vid)
{
	struct vhost_port *port = find_port(vid);

	if (!port)
		return;
	atomic_store(&port->enabled_rx, 0);
	atomic_store(&port->enabled_tx, 0);
	atomic_store(&port->connected, false);
}

static const struct rte_vhost_device_ops device_ops = {
	.new_device = new_device,
	.destroy_device = destroy_device,
	.vring_state_changed = vring_state_changed,
	.new_connection = new_connection,
	.destroy_connection = destroy_connection,
};

/* ---- workers ---- */

/* Ring numbers as the guest counts them: it receives on even ones and sends on odd ones. */
static uint16_t vhost_rx(struct port *base, struct rte_mbuf **packets, uint16_t n)
{
	struct vhost_port *port = (struct vhost_port *)base;
	int vid = atomic_load_explicit(&port->vid, memory_order_acquire);
	uint64_t enabled = atomic_load_explicit(&port->enabled_tx, memory_order_relaxed);
	uint16_t got = 0;

	if (vid == NO_DEVICE || !enabled)
		return 0;
	/* Each turn begins behind the queue that was served last, so that none starves behind a busy one. */
	unsigned first = port->next_pair % VHOST_PAIRS_MAX;
	uint64_t turned = first ? enabled >> first | enabled << (VHOST_PAIRS_MAX - first) : enabled;
	for (; turned && got < n; turned &= turned - 1) {
		unsigned pair = (first + (unsigned)__builtin_ctzll(turned)) % VHOST_PAIRS_MAX;
		uint16_t more = rte_vhost_dequeue_burst(
			vid, (uint16_t)(pair * 2 + 1), base->pool, packets + got, (uint16_t)(n - got));
		got += more;
		port->next_pair = more ? pair + 1 : port->next_pair;
	}
	return got;
}

/* The n-th of the set bits. */
static unsigned nth_pair(uint64_t enabled, unsigned n)
{
	while (n--)
		enabled &= enabled - 1;
	return (unsigned)__builtin_ctzll(enabled);
}

/* Spreads packets over the guest's queues by their flow, so that each flow keeps its order. */
static uint16_t tx_spread(int vid, uint64_t enabled, struct rte_mbuf **packets, uint16_t n)
{
	unsigned pairs = (unsigned)__builtin_popcountll(enabled);
	struct rte_mbuf *batch[PORT_BURST];
	uint16_t sent = 0;

	for (unsigned q = 0; q < pairs; q++) {
		uint16_t count = 0;
		for (uint16_t i = 0; i < n; i++)
			if (packets[i]->hash.rss % pairs == q)
				batch[count++] = packets[i];
		if (count)
			sent += rte_vhost_enqueue_burst(
				vid, (uint16_t)(nth_pair(enabled, q) * 2), batch, count);
	}
	return sent;
}

/* librte_vhost would write a sum without the length into a frame of several segments, as Intel's devices want
 * it; a guest that cuts such a frame itself, because it forwards it, would then make wrong checksums of it. It
 * leaves headers alone that are not all in the first buffer: the Ethernet header gets one of its own. */
static struct rte_mbuf *set_apart(struct rte_mempool *pool, struct rte_mbuf *packet)
{
	struct rte_mbuf *head = rte_pktmbuf_alloc(pool);

	if (!head)
		return packet;
	segmentation_start_checksum(packet);
	memcpy(rte_pktmbuf_append(head, ETH_LEN), rte_pktmbuf_mtod(packet, const void *), ETH_LEN);
	rte_pktmbuf_adj(packet, ETH_LEN);
	head->ol_flags |= packet->ol_flags & (SEGMENTATION_OPEN | RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IPV6);
	head->tx_offload = packet->tx_offload;
	head->hash.rss = packet->hash.rss;
	head->next = packet;
	head->nb_segs = (uint16_t)(packet->nb_segs + 1);
	head->pkt_len += packet->pkt_len;
	return head;
}

static uint16_t vhost_tx(struct port *base, struct rte_mbuf **packets, uint16_t n, bool *ret_down)
{
	struct vhost_port *port = (struct vhost_port *)base;
	int vid = atomic_load_explicit(&port->vid, memory_order_acquire);
	uint64_t enabled = atomic_load_explicit(&port->enabled_rx, memory_order_relaxed);
	uint16_t sent = 0;

	*ret_down = vid == NO_DEVICE || !enabled;
	for (uint16_t i = 0; i < n; i++)
		if (__builtin_expect(segmentation_is_needed(packets[i]), 0))
			packets[i] = set_apart(base->pool, packets[i]);
	for (uint16_t i = 0; !*ret_down && i < n; i += PORT_BURST)
		sent += tx_spread(vid, enabled, packets + i, RTE_MIN(PORT_BURST, n - i));
	rte_pktmbuf_free_bulk(packets, n); /* delivery is a copy into the guest */
	return sent;
}

/* ---- main thread ---- */

static enum port_state vhost_state(const struct port *base)
{
	const struct vhost_port *port = (const struct vhost_port *)base;

	if (base->error)
		return PORT_FAILED;
	return atomic_load(&port->vid) == NO_DEVICE ? PORT_WAITING : PORT_READY;
}

static bool vhost_register(struct vhost_port *port)
{
	const char *path = port->port.name;

	if (rte_vhost_driver_register(path, VHOST_FLAGS) != 0) {
		port_set_error(&port->port, "DPDK refuses the vhost-user socket");
		return false;
	}
	if (rte_vhost_driver_disable_features(path, VHOST_OFF) != 0 ||
		rte_vhost_driver_callback_register(path, &device_ops) != 0) {
		rte_vhost_driver_unregister(path);
		port_set_error(&port->port, "DPDK cannot set the vhost-user client up");
		return false;
	}
	port_set_error(&port->port, NULL);
	return true;
}

static void vhost_unregister(struct vhost_port *port)
{
	if (port->registered)
		rte_vhost_driver_unregister(port->port.name);
	port->registered = false;
}

/* Registers anew before each try: a socket serves for one. */
static void vhost_tick(struct port *base)
{
	struct vhost_port *port = (struct vhost_port *)base;

	if (atomic_load(&port->connected))
		return;
	vhost_unregister(port);
	port->registered = vhost_register(port);
	if (port->registered)
		rte_vhost_driver_start(base->name); /* fails while QEMU does not listen */
}

static void vhost_close(struct port *base)
{
	struct vhost_port *port = (struct vhost_port *)base;

	vhost_unregister(port);
	g_mutex_lock(&registry.lock);
	g_hash_table_remove(registry.by_path, base->name);
	g_mutex_unlock(&registry.lock);
	port_release(base);
	g_aligned_free(port);
}

static const struct port_ops vhost_ops = {
	.kind = "vhost-user",
	.rx = vhost_rx,
	.tx = vhost_tx,
	.state = vhost_state,
	.tick = vhost_tick,
	.close = vhost_close,
};

/* A socket that is registered and never started: with the last one, librte_vhost 24.11 ends its thread, and waits for it up
 * to a second on ours. */
static void keep_thread(void)
{
	static const char unused[] = "sluice-switch-unused";

	if (rte_vhost_driver_register(unused, VHOST_FLAGS) != 0)
		log_warn(NULL, "DPDK refuses a socket that keeps its thread: ports may take a second "
			       "to close");
}

struct port *vhost_open(const char *path, struct rte_mempool *pool, struct rte_rcu_qsbr *readers)
{
	struct vhost_port *port = g_aligned_alloc0(1, sizeof *port, 64);

	port_init(&port->port, &vhost_ops, path, pool, readers);
	atomic_init(&port->vid, NO_DEVICE);
	g_mutex_lock(&registry.lock);
	if (!registry.by_path) {
		registry.by_path = g_hash_table_new(g_str_hash, g_str_equal);
		keep_thread();
	}
	g_hash_table_insert(registry.by_path, port->port.name, port);
	g_mutex_unlock(&registry.lock);
	vhost_tick(&port->port);
	return &port->port;
}
