/* Ports on network interfaces (veth, tap, a kernel PF): AF_PACKET, used directly.
 *
 * How it works: what arrives is read from a ring that the kernel shares with us (packet_mmap, TPACKET_V2), so
 * that polling an idle port costs one load; what is sent goes down in one sendmmsg a burst. The port is open
 * as long as the state names it; the socket under it comes and goes with the interface: once a second the
 * interface's index is looked at, since a tap that was closed and made again keeps its name but not its
 * index. A worker reads the device pointer once a burst; it is withdrawn, and a grace period waited for,
 * before the socket is closed.
 *
 * Rejected: DPDK's af_packet device. It has the kernel reassemble IPv4 fragments (a fan-out group with the
 * DEFRAG flag, also for one queue) and then cuts them to its frame size; it takes checksums that the sender
 * left to its device for right; it waits in poll(2) without a limit when a reader has stopped, and with it
 * every other port of the worker; and there can be 32 of them in Debian's DPDK.
 *
 * Checksums left open by a sender on this machine (TP_STATUS_CSUMNOTREADY) are completed here. Segmentation
 * left open is not undone: such frames are cut by the ring and dropped as truncated, so the other end needs
 * `ethtool -K PEER tso off gso off`. Receive offloads that merge packets are turned off here.
 *
 * Sending goes past the queueing discipline: a tap whose reader has stopped drops, and never holds up the
 * worker.
 */
#include "switch/port.h"

#include "switch/checksum.h"
#include "switch/grace.h"
#include "switch/wire.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <rte_mbuf.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define RING_BYTES            (1u << 20) /* of received frames */
#define BLOCK_BYTES           (1u << 16)
#define FRAME_EXTRA           128u /* ring header, alignment, Ethernet header and tag */
#define SEND_BUFFER           (4 << 20)
#define SEGMENTS_MAX          8 /* of one packet that is sent */
#define VLAN_TAG_LEN          4
#define IPV4_NO_FRAGMENT_MASK (IPV4_MF | IPV4_OFFSET)

/* The socket and its ring; immutable but for `next`, which is the polling worker's. */
struct device {
	int fd;
	unsigned interface; /* index */
	uint8_t *ring;
	unsigned frame_bytes, n_frames;
	unsigned next; /* frame that is read next */
};

struct interface_port {
	struct port port;
	struct device *_Atomic device; /* Owned; NULL: none */
};

/* ---- receiving ---- */

/* Completes a TCP or UDP checksum: the field holds the sum of the pseudo header, and is summed with the rest.
 */
static void complete_checksum(uint8_t *frame, uint32_t length)
{
	uint8_t *ip = frame + ETH_LEN;
	uint32_t l4, end;
	uint8_t protocol;

	if (length < ETH_LEN + IPV4_MIN)
		return;
	if (load16(frame + ETH_TYPE) == ETH_IPV4 && !(load16(ip + IPV4_FRAGMENT) & IPV4_NO_FRAGMENT_MASK)) {
		l4 = (uint32_t)(ip[0] & 0xf) * 4;
		end = load16(ip + IPV4_TOTAL);
		protocol = ip[IPV4_PROTOCOL];
	} else if (load16(frame + ETH_TYPE) == ETH_IPV6 && length >= ETH_LEN + IPV6_LEN) {
		l4 = IPV6_LEN;
		end = IPV6_LEN + (uint32_t)load16(ip + IPV6_PAYLOAD);
		protocol = ip[IPV6_NEXT];
	} else {
		return;
	}
	uint32_t field = l4 + (protocol == PROTO_TCP ? TCP_CHECK : UDP_CHECK);
	if ((protocol != PROTO_TCP && protocol != PROTO_UDP) || end > length - ETH_LEN || field + 2 > end)
		return;
	uint16_t check = checksum_of(ip + l4, end - l4);
	if (check == 0 && protocol == PROTO_UDP)
		check = 0xffff;
	memcpy(ip + field, &check, sizeof check);
}

/* The kernel takes a tag off; the parser is to see the frame as it was. */
static void put_tag_back(struct rte_mbuf *packet, uint16_t tci)
{
	uint8_t *frame = (uint8_t *)rte_pktmbuf_prepend(packet, VLAN_TAG_LEN);

	if (!frame)
		return;
	memmove(frame, frame + VLAN_TAG_LEN, ETH_TYPE);
	store16(frame + ETH_TYPE, ETH_VLAN);
	store16(frame + ETH_TYPE + 2, tci);
}

/* Copies a frame into as many buffers as it takes. NULL when there are none. */
static struct rte_mbuf *copy_in(struct rte_mempool *pool, const uint8_t *frame, uint32_t length)
{
	struct rte_mbuf *head = NULL;

	do {
		struct rte_mbuf *segment = rte_pktmbuf_alloc(pool);
		if (!segment) {
			rte_pktmbuf_free(head);
			return NULL;
		}
		uint16_t n = (uint16_t)RTE_MIN(length, (uint32_t)rte_pktmbuf_tailroom(segment));
		memcpy(rte_pktmbuf_append(segment, n), frame, n);
		frame += n;
		length -= n;
		if (!head)
			head = segment;
		else
			rte_pktmbuf_chain(head, segment);
	} while (length);
	return head;
}

static inline struct tpacket2_hdr *frame_at(const struct device *device, unsigned i)
{
	return (struct tpacket2_hdr *)(void *)(device->ring + (size_t)i * device->frame_bytes);
}

static uint16_t interface_rx(struct port *base, struct rte_mbuf **packets, uint16_t n)
{
	struct interface_port *port = (struct interface_port *)base;
	struct device *device = atomic_load_explicit(&port->device, memory_order_acquire);
	uint16_t got = 0;

	while (device && got < n) {
		struct tpacket2_hdr *frame = frame_at(device, device->next);
		uint32_t status = __atomic_load_n(&frame->tp_status, __ATOMIC_ACQUIRE);
		if (!(status & TP_STATUS_USER))
			break;
		uint8_t *bytes = (uint8_t *)frame + frame->tp_mac;
		if (status & TP_STATUS_CSUMNOTREADY)
			complete_checksum(bytes, frame->tp_snaplen);
		struct rte_mbuf *packet = copy_in(base->pool, bytes, frame->tp_snaplen);
		if (!packet)
			break; /* it waits in the ring */
		if (status & TP_STATUS_VLAN_VALID)
			put_tag_back(packet, frame->tp_vlan_tci);
		__atomic_store_n(&frame->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
		device->next = device->next + 1 == device->n_frames ? 0 : device->next + 1;
		packets[got++] = packet;
	}
	return got;
}

/* ---- sending ---- */

static unsigned gather(struct rte_mbuf *packet, struct iovec *parts)
{
	unsigned n = 0;

	for (; packet && n < SEGMENTS_MAX; packet = packet->next)
		parts[n++] = (struct iovec){rte_pktmbuf_mtod(packet, void *), packet->data_len};
	return n;
}

/* Returns how many the kernel took; what it refuses (the receiver's queue is full, the frame is larger than
 * its MTU) is stepped over. */
static uint16_t send_burst(const struct device *device, struct rte_mbuf **packets, uint16_t n)
{
	struct mmsghdr messages[PORT_BURST] = {};
	struct iovec parts[PORT_BURST][SEGMENTS_MAX];
	uint16_t sent = 0;

	for (unsigned i = 0; i < n; i++) {
		messages[i].msg_hdr.msg_iov = parts[i];
		messages[i].msg_hdr.msg_iovlen = gather(packets[i], parts[i]);
	}
	for (unsigned i = 0; i < n;) {
		int r = sendmmsg(device->fd, messages + i, n - i, MSG_DONTWAIT);
		if (r <= 0) {
			i++;
			continue;
		}
		i += (unsigned)r;
		sent = (uint16_t)(sent + r);
	}
	return sent;
}

static uint16_t interface_tx(struct port *base, struct rte_mbuf **packets, uint16_t n, bool *ret_down)
{
	struct interface_port *port = (struct interface_port *)base;
	const struct device *device = atomic_load_explicit(&port->device, memory_order_acquire);
	uint16_t sent = 0;

	*ret_down = device == NULL;
	for (uint16_t i = 0; device && i < n; i = (uint16_t)(i + PORT_BURST))
		sent = (uint16_t)(sent +
				  send_burst(device, packets + i, (uint16_t)RTE_MIN(PORT_BURST, n - i)));
	rte_pktmbuf_free_bulk(packets, n);
	return sent;
}

/* ---- the interface ---- */

static int interface_ioctl(int fd, const char *name, unsigned long request, struct ifreq *ifr)
{
	g_strlcpy(ifr->ifr_name, name, sizeof ifr->ifr_name);
	return ioctl(fd, request, ifr) < 0 ? -errno : 0;
}

static int set_up(int fd, const char *name)
{
	struct ifreq ifr = {};
	int r = interface_ioctl(fd, name, SIOCGIFFLAGS, &ifr);

	if (r < 0 || ifr.ifr_flags & IFF_UP)
		return r;
	ifr.ifr_flags |= IFF_UP;
	return interface_ioctl(fd, name, SIOCSIFFLAGS, &ifr);
}

/* Best effort: many drivers have no such offload to turn off. */
static void set_no_merging(int fd, const char *name)
{
	struct ethtool_value gro = {.cmd = ETHTOOL_SGRO}, flags = {.cmd = ETHTOOL_GFLAGS};
	struct ifreq ifr = {.ifr_data = (void *)&gro};

	interface_ioctl(fd, name, SIOCETHTOOL, &ifr);
	ifr.ifr_data = (void *)&flags;
	if (interface_ioctl(fd, name, SIOCETHTOOL, &ifr) < 0 || !(flags.data & ETH_FLAG_LRO))
		return;
	flags.cmd = ETHTOOL_SFLAGS;
	flags.data &= ~(uint32_t)ETH_FLAG_LRO;
	interface_ioctl(fd, name, SIOCETHTOOL, &ifr);
}

/* A power of two that holds the interface's largest frame. */
static unsigned frame_bytes_for(int fd, const char *name)
{
	struct ifreq ifr = {};
	unsigned bytes = 2048;

	if (interface_ioctl(fd, name, SIOCGIFMTU, &ifr) < 0)
		return bytes;
	while (bytes < (unsigned)ifr.ifr_mtu + FRAME_EXTRA && bytes < BLOCK_BYTES)
		bytes *= 2;
	return bytes;
}

/* ---- the device ---- */

static void device_free(struct device *device)
{
	if (!device)
		return;
	if (device->ring)
		munmap(device->ring, RING_BYTES);
	if (device->fd >= 0)
		close(device->fd);
	g_free(device);
}
CLEANUP_FUNC(struct device *, device_free)

static int set_option(int fd, int option, int value)
{
	return setsockopt(fd, SOL_PACKET, option, &value, sizeof value) < 0 ? -errno : 0;
}

static int set_options(int fd)
{
	int size = SEND_BUFFER;
	int r = set_option(fd, PACKET_VERSION, TPACKET_V2);

	if (r == 0)
		r = set_option(fd, PACKET_QDISC_BYPASS, 1);
	if (r == 0)
		r = set_option(fd, PACKET_IGNORE_OUTGOING, 1); /* what the host's own stack sends there */
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
	return r;
}

static int map_ring(struct device *device, const char *name)
{
	device->frame_bytes = frame_bytes_for(device->fd, name);
	device->n_frames = RING_BYTES / device->frame_bytes;
	struct tpacket_req request = {
		.tp_block_size = BLOCK_BYTES,
		.tp_block_nr = RING_BYTES / BLOCK_BYTES,
		.tp_frame_size = device->frame_bytes,
		.tp_frame_nr = device->n_frames,
	};

	if (setsockopt(device->fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof request) < 0)
		return -errno;
	void *ring = mmap(NULL, RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, device->fd, 0);
	if (ring == MAP_FAILED)
		return -errno;
	device->ring = ring;
	return 0;
}

/* Frames for any MAC, and from now on. */
static int bind_device(struct device *device)
{
	struct packet_mreq promiscuous = {.mr_ifindex = (int)device->interface, .mr_type = PACKET_MR_PROMISC};
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htobe16(ETH_P_ALL),
		.sll_ifindex = (int)device->interface,
	};

	if (setsockopt(device->fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof promiscuous) < 0 ||
		bind(device->fd, (struct sockaddr *)&address, sizeof address) < 0)
		return -errno;
	return 0;
}

static int device_make(const char *name, unsigned interface, struct device **ret)
{
	_cleanup_(device_free) struct device *device = g_new0(struct device, 1);
	int r;

	device->interface = interface;
	device->fd = socket(
		AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); /* hears nothing until it is bound */
	if (device->fd < 0)
		return -errno;
	set_no_merging(device->fd, name);
	if ((r = set_up(device->fd, name)) < 0 || (r = set_options(device->fd)) < 0 ||
		(r = map_ring(device, name)) < 0 || (r = bind_device(device)) < 0)
		return r;
	*ret = g_steal_pointer(&device);
	return 0;
}

static void open_device(struct interface_port *port)
{
	const char *name = port->port.name;
	unsigned interface = if_nametoindex(name);
	struct device *device;
	int r = interface ? device_make(name, interface, &device) : -ENODEV;

	if (r == -ENODEV) {
		port_set_error(&port->port, "there is no network interface %s", name);
	} else if (r < 0) {
		port_set_error(&port->port, "cannot open network interface %s: %s", name, g_strerror(-r));
	} else {
		port_set_error(&port->port, NULL);
		atomic_store_explicit(&port->device, device, memory_order_release);
	}
}

static void withdraw_device(struct interface_port *port)
{
	struct device *device = atomic_exchange(&port->device, NULL);

	if (!device)
		return;
	grace_wait(port->port.readers);
	device_free(device);
}

/* ---- main thread ---- */

/* Frames that found the ring full are lost before us; the kernel counts them, and forgets as it tells. */
static void count_lost(struct interface_port *port, const struct device *device)
{
	struct tpacket_stats stats = {};
	socklen_t size = sizeof stats;

	if (getsockopt(device->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size) == 0)
		port->port.counters[SNAPSHOT_WORKERS].drops += stats.tp_drops;
}

static enum port_state interface_state(const struct port *base)
{
	return atomic_load(&((const struct interface_port *)base)->device) ? PORT_READY : PORT_FAILED;
}

static void interface_tick(struct port *base)
{
	struct interface_port *port = (struct interface_port *)base;
	struct device *device = atomic_load(&port->device);

	if (device && if_nametoindex(base->name) == device->interface) {
		count_lost(port, device);
		return;
	}
	withdraw_device(port);
	open_device(port);
}

static void interface_close(struct port *base)
{
	withdraw_device((struct interface_port *)base);
	port_release(base);
	g_aligned_free(base);
}

static const struct port_ops interface_ops = {
	.kind = "interface",
	.rx = interface_rx,
	.tx = interface_tx,
	.state = interface_state,
	.tick = interface_tick,
	.close = interface_close,
};

struct port *interface_open(const char *interface, struct rte_mempool *pool, struct rte_rcu_qsbr *readers)
{
	struct interface_port *port = g_aligned_alloc0(1, sizeof *port, 64);

	port_init(&port->port, &interface_ops, interface, pool, readers);
	open_device(port);
	return &port->port;
}
