/* Ports on network interfaces (veth, tap, a kernel PF): AF_PACKET, used directly.
 *
 * How it works: what arrives is read from a ring that the kernel shares with us (packet_mmap, TPACKET_V2), so
 * that polling an idle port costs one load; what is sent goes down in one sendmmsg a burst. The port is open
 * as long as the state names it; the socket under it comes and goes with the interface: once a second the
 * interface's index is looked at, since a tap that was closed and made again keeps its name but not its
 * index. A worker reads the device pointer once a burst; it is withdrawn, and a grace period waited for,
 * before the socket is closed.
 *
 * Before each frame stands a virtio_net_hdr (PACKET_VNET_HDR), both ways. So what the kernel merged (GRO), or
 * what a sender on this machine left to be cut by its device, comes as one frame of up to 64 KB, and such
 * frames can be sent. A frame that is larger than a slot of the ring is in the socket's queue as well, whole
 * (PACKET_COPY_THRESH); its slot says so, and one recvmsg takes it from there. So the ring's slots are small,
 * and what large frames may occupy is bounded by the socket's receive buffer: beyond it their slots hold their
 * first bytes alone, and the parser drops those as truncated. A checksum that was left open in a frame of one
 * segment is completed here, wherever it is; in larger ones the switch does it (segmentation.h). The kernel's
 * merging in hardware (LRO) is turned off, as what it merges may not be forwarded.
 *
 * Rejected: TPACKET_V3, whose blocks hold frames of any size, but are handed over when full or by a timer of
 * milliseconds; slots of 64 KB, which make a ring of 30 MB a port or one of few frames; and recvmmsg alone, which costs
 * a system call for each look at an idle port.
 *
 * Rejected: DPDK's af_packet device. It has the kernel reassemble IPv4 fragments (a fan-out group with the
 * DEFRAG flag, also for one queue) and then cuts them to its frame size; it takes checksums that the sender
 * left to its device for right; it waits in poll(2) without a limit when a reader has stopped, and with it
 * every other port of the worker; and there can be 32 of them in Debian's DPDK.
 *
 * Sending goes past the queueing discipline: a tap whose reader has stopped drops, and never holds up the
 * worker.
 *
 * An interface that the host itself uses, by whose address the switch tunnels (PORT_UNDERLAY), is left as it is: up or
 * down, and deaf for others' MACs. A filter in the kernel keeps all from the socket that is neither ARP nor to VXLAN's port, so
 * that what the host receives costs nothing here. The kernel gets these packets, too: it answers ARP, and who reads its VXLAN
 * device is its business.
 */
#include "switch/port.h"

#include "switch/ethtool.h"
#include "switch/grace.h"
#include "switch/segmentation.h"
#include "switch/vlan.h"
#include "switch/vxlan.h"
#include "switch/wire.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define RING_BYTES   (1u << 20) /* of received frames */
#define BLOCK_BYTES  (1u << 16)
#define FRAME_EXTRA  128u /* the ring's header and virtio's, alignment, Ethernet header and tag */
#define SEND_BUFFER  (4 << 20)
#define LARGE_BUFFER (8 << 20) /* of received frames that are larger than a slot */
#define PARTS_MAX    40 /* buffers of one packet: 64 KB are 33 */

/* The socket and its ring; immutable but for `next`, which is the polling worker's. */
struct device {
	int fd;
	unsigned interface; /* index */
	uint8_t *ring;
	unsigned slot_bytes, n_slots;
	unsigned next; /* slot that is read next */
};

struct interface_port {
	struct port port;
	const char *interface; /* within the port's name */
	bool is_underlay; /* PORT_UNDERLAY */
	struct device *_Atomic device; /* Owned; NULL: none */
};

/* ---- receiving ---- */

/* Completes the checksum that the header tells of, over what lies from there to the end; it need not be TCP's
 * or UDP's. */
static void complete_checksum(struct rte_mbuf *packet, const struct virtio_net_hdr *header)
{
	uint32_t start = header->csum_start, field = start + header->csum_offset;
	uint16_t sum;

	if (field + sizeof sum > packet->data_len ||
		rte_raw_cksum_mbuf(packet, start, packet->pkt_len - start, &sum) < 0)
		return;
	uint16_t check = (uint16_t)~sum;
	if (check == 0 && header->csum_offset == UDP_CHECK)
		check = 0xffff; /* zero says that there is none (RFC 768) */
	memcpy(rte_pktmbuf_mtod_offset(packet, uint8_t *, field), &check, sizeof check);
}

/* What the header says of a frame of several segments. Types that the switch does not cut are claims without a size. */
static void claim_segments(struct rte_mbuf *packet, const struct virtio_net_hdr *header)
{
	uint8_t type = header->gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;
	bool is_tcp = type == VIRTIO_NET_HDR_GSO_TCPV4 || type == VIRTIO_NET_HDR_GSO_TCPV6;

	packet->ol_flags |= RTE_MBUF_F_RX_LRO;
	packet->tso_segsz = is_tcp ? header->gso_size : 0;
	if (header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		packet->l3_len = RTE_MIN(header->csum_start, 0x1ffu);
}

/* The kernel takes a tag off, of either kind; the parser is to see the frame as it was. */
static void put_tag_back(struct rte_mbuf *packet, uint16_t type, uint16_t tci)
{
	if (vlan_insert(packet, type, tci) && packet->l3_len)
		packet->l3_len = (uint16_t)(packet->l3_len + VLAN_TAG_LEN);
}

/* Buffers for a frame, in a chain. NULL when there are none. */
static struct rte_mbuf *make_room(struct rte_mempool *pool, uint32_t length)
{
	struct rte_mbuf *head = NULL;

	do {
		struct rte_mbuf *part = rte_pktmbuf_alloc(pool);
		if (!part || (head && rte_pktmbuf_chain(head, part) < 0)) {
			rte_pktmbuf_free(part);
			rte_pktmbuf_free(head);
			return NULL;
		}
		uint16_t n = (uint16_t)RTE_MIN(length, (uint32_t)rte_pktmbuf_tailroom(part));
		head = head ? head : part;
		part->data_len = n;
		head->pkt_len += n;
		length -= n;
	} while (length);
	return head;
}

static struct rte_mbuf *copy_in(struct rte_mempool *pool, const uint8_t *frame, uint32_t length)
{
	struct rte_mbuf *head = make_room(pool, length);

	for (struct rte_mbuf *part = head; part; part = part->next) {
		memcpy(rte_pktmbuf_mtod(part, void *), frame, part->data_len);
		frame += part->data_len;
	}
	return head;
}

static inline struct tpacket2_hdr *slot_at(const struct device *device, unsigned i)
{
	return (struct tpacket2_hdr *)(void *)(device->ring + (size_t)i * device->slot_bytes);
}

/* Fills the packet with the next frame of the socket's queue. False: it is not there, or not that long. */
static bool receive_whole(const struct device *device, struct rte_mbuf *packet, struct virtio_net_hdr *ret)
{
	struct iovec parts[1 + PARTS_MAX] = {{ret, sizeof *ret}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 1};

	for (struct rte_mbuf *part = packet; part && message.msg_iovlen <= PARTS_MAX; part = part->next)
		parts[message.msg_iovlen++] = (struct iovec){rte_pktmbuf_mtod(part, void *), part->data_len};
	return recvmsg(device->fd, &message, MSG_DONTWAIT) == (ssize_t)(sizeof *ret + packet->pkt_len);
}

/* The frame that the slot tells of, with its header. NULL when there is no buffer for it. */
static struct rte_mbuf *read_frame(const struct port *port, const struct device *device,
	const struct tpacket2_hdr *slot, struct virtio_net_hdr *ret)
{
	const uint8_t *bytes = (const uint8_t *)slot + slot->tp_mac;

	if (slot->tp_status & TP_STATUS_COPY) {
		/* A longer one than there can be is cut, and refused by the parser. */
		struct rte_mbuf *packet =
			make_room(port->pool, RTE_MIN(slot->tp_len, (uint32_t)SEGMENTATION_FRAME_MAX));
		if (!packet || receive_whole(device, packet, ret))
			return packet;
		rte_pktmbuf_free(packet);
	}
	memcpy(ret, bytes - sizeof *ret, sizeof *ret);
	return copy_in(port->pool, bytes, slot->tp_snaplen);
}

static uint16_t interface_rx(struct port *base, struct rte_mbuf **packets, uint16_t n)
{
	struct interface_port *port = (struct interface_port *)base;
	struct device *device = atomic_load_explicit(&port->device, memory_order_acquire);
	uint16_t got = 0;

	while (device && got < n) {
		struct tpacket2_hdr *slot = slot_at(device, device->next);
		uint32_t status = __atomic_load_n(&slot->tp_status, __ATOMIC_ACQUIRE);
		struct virtio_net_hdr header;
		if (!(status & TP_STATUS_USER))
			break;
		struct rte_mbuf *packet = read_frame(base, device, slot, &header);
		if (!packet)
			break; /* it waits in the ring */
		if (header.gso_type != VIRTIO_NET_HDR_GSO_NONE)
			claim_segments(packet, &header);
		else if (header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
			complete_checksum(packet, &header);
		if (status & TP_STATUS_VLAN_VALID && !port->is_underlay) /* which hears priorities' alone */
			put_tag_back(packet,
				status & TP_STATUS_VLAN_TPID_VALID ? slot->tp_vlan_tpid : ETH_VLAN,
				slot->tp_vlan_tci);
		__atomic_store_n(&slot->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
		device->next = device->next + 1 == device->n_slots ? 0 : device->next + 1;
		packets[got++] = packet;
	}
	return got;
}

/* ---- sending ---- */

static unsigned gather(struct rte_mbuf *packet, struct iovec *parts)
{
	unsigned n = 0;

	for (; packet && n < PARTS_MAX; packet = packet->next)
		parts[n++] = (struct iovec){rte_pktmbuf_mtod(packet, void *), packet->data_len};
	return n;
}

/* What the kernel has to know of an open frame; it wants the pseudo header's sum in it. */
static void write_header(struct rte_mbuf *packet, struct virtio_net_hdr *ret)
{
	uint32_t start = (uint32_t)packet->l2_len + packet->l3_len;
	bool is_udp = (packet->ol_flags & RTE_MBUF_F_TX_L4_MASK) == RTE_MBUF_F_TX_UDP_CKSUM;

	segmentation_start_checksum(packet);
	ret->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	ret->csum_start = (uint16_t)start;
	ret->csum_offset = is_udp ? UDP_CHECK : TCP_CHECK;
	if (!segmentation_is_needed(packet))
		return;
	ret->gso_type =
		packet->ol_flags & RTE_MBUF_F_TX_IPV6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
	if (*rte_pktmbuf_mtod_offset(packet, uint8_t *, start + TCP_FLAGS) & TCP_CWR)
		ret->gso_type |= VIRTIO_NET_HDR_GSO_ECN;
	ret->gso_size = packet->tso_segsz;
	ret->hdr_len = (uint16_t)(start + packet->l4_len);
}

/* Returns how many the kernel took; what it refuses (the receiver's queue is full, the frame is larger than
 * its MTU) is stepped over. */
static uint16_t send_burst(const struct device *device, struct rte_mbuf **packets, uint16_t n)
{
	struct mmsghdr messages[PORT_BURST] = {};
	struct iovec parts[PORT_BURST][1 + PARTS_MAX];
	struct virtio_net_hdr headers[PORT_BURST] = {};
	uint16_t sent = 0;

	for (unsigned i = 0; i < n; i++) {
		if (segmentation_is_open(packets[i]))
			write_header(packets[i], &headers[i]);
		parts[i][0] = (struct iovec){&headers[i], sizeof headers[i]};
		messages[i].msg_hdr.msg_iov = parts[i];
		messages[i].msg_hdr.msg_iovlen = 1 + gather(packets[i], parts[i] + 1);
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

/* A power of two that holds the interface's largest frame. */
static unsigned slot_bytes_for(int fd, const char *name)
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
	int size = SEND_BUFFER, large = LARGE_BUFFER;
	int r = set_option(fd, PACKET_VERSION, TPACKET_V2);

	if (r == 0)
		r = set_option(fd, PACKET_QDISC_BYPASS, 1);
	if (r == 0)
		r = set_option(fd, PACKET_IGNORE_OUTGOING, 1); /* what the host's own stack sends there */
	if (r == 0)
		r = set_option(fd, PACKET_VNET_HDR, 1);
	if (r == 0)
		r = set_option(fd, PACKET_COPY_THRESH, 1);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &large, sizeof large);
	return r;
}

static int map_ring(struct device *device, const char *name)
{
	device->slot_bytes = slot_bytes_for(device->fd, name);
	device->n_slots = RING_BYTES / device->slot_bytes;
	struct tpacket_req request = {
		.tp_block_size = BLOCK_BYTES,
		.tp_block_nr = RING_BYTES / BLOCK_BYTES,
		.tp_frame_size = device->slot_bytes,
		.tp_frame_nr = device->n_slots,
	};

	if (setsockopt(device->fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof request) < 0)
		return -errno;
	void *ring = mmap(NULL, RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, device->fd, 0);
	if (ring == MAP_FAILED)
		return -errno;
	device->ring = ring;
	return 0;
}

/* From now on. */
static int bind_device(struct device *device)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htobe16(ETH_P_ALL),
		.sll_ifindex = (int)device->interface,
	};

	return bind(device->fd, (struct sockaddr *)&address, sizeof address) < 0 ? -errno : 0;
}

/* Frames for any MAC. */
static int hear_all(struct device *device)
{
	struct packet_mreq promiscuous = {.mr_ifindex = (int)device->interface, .mr_type = PACKET_MR_PROMISC};

	return setsockopt(device->fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof promiscuous) < 0
		       ? -errno
		       : 0;
}

#define LOAD(size, at)            BPF_STMT(BPF_LD | (size) | BPF_ABS, (uint32_t)(at))
#define JUMP(how, value, yes, no) BPF_JUMP(BPF_JMP | (how) | BPF_K, value, yes, no)

/* Of what has no tag, or a priority's: ARP, and UDP over IPv4 to VXLAN's port, also the first of several fragments. */
static int hear_tunnels(struct device *device)
{
	struct sock_filter program[] = {
		LOAD(BPF_B, SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT), /* else the next may be an earlier one's */
		JUMP(BPF_JEQ, 0, 2, 0),
		LOAD(BPF_H, SKF_AD_OFF + SKF_AD_VLAN_TAG),
		JUMP(BPF_JSET, VLAN_ID_MASK, 11, 0),
		LOAD(BPF_H, ETH_TYPE),
		JUMP(BPF_JEQ, ETH_ARP, 8, 0),
		JUMP(BPF_JEQ, ETH_IPV4, 0, 8),
		LOAD(BPF_B, ETH_LEN + IPV4_PROTOCOL),
		JUMP(BPF_JEQ, PROTO_UDP, 0, 6),
		LOAD(BPF_H, ETH_LEN + IPV4_FRAGMENT),
		JUMP(BPF_JSET, IPV4_OFFSET, 4, 0),
		BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, ETH_LEN), /* the IPv4 header's length */
		BPF_STMT(BPF_LD | BPF_H | BPF_IND, ETH_LEN + UDP_DST),
		JUMP(BPF_JEQ, IP_VXLAN_PORT, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX), /* all of it */
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	const struct sock_fprog filter = {.len = G_N_ELEMENTS(program), .filter = program};

	return setsockopt(device->fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) < 0 ? -errno : 0;
}

static int prepare(struct device *device, const char *name, bool is_underlay)
{
	if (is_underlay)
		return hear_tunnels(device);
	ethtool_stop_merging(device->fd, name);
	int r = set_up(device->fd, name);
	return r < 0 ? r : hear_all(device);
}

static int device_make(const char *name, unsigned interface, bool is_underlay, struct device **ret)
{
	_cleanup_(device_free) struct device *device = g_new0(struct device, 1);
	int r;

	device->interface = interface;
	device->fd = socket(
		AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); /* hears nothing until it is bound */
	if (device->fd < 0)
		return -errno;
	if ((r = prepare(device, name, is_underlay)) < 0 || (r = set_options(device->fd)) < 0 ||
		(r = map_ring(device, name)) < 0 || (r = bind_device(device)) < 0)
		return r;
	*ret = g_steal_pointer(&device);
	return 0;
}

static void note_mac(struct interface_port *port, int fd)
{
	struct ifreq ifr = {};

	if (interface_ioctl(fd, port->interface, SIOCGIFHWADDR, &ifr) == 0)
		port_set_mac(&port->port, (const uint8_t *)ifr.ifr_hwaddr.sa_data);
}

static void open_device(struct interface_port *port)
{
	const char *name = port->interface;
	unsigned interface = if_nametoindex(name);
	struct device *device;
	int r = interface ? device_make(name, interface, port->is_underlay, &device) : -ENODEV;

	if (r == -ENODEV) {
		port_set_error(&port->port, "there is no network interface %s", name);
	} else if (r < 0) {
		port_set_error(&port->port, "cannot open network interface %s: %s", name, g_strerror(-r));
	} else {
		port_set_error(&port->port, NULL);
		atomic_store(&port->port.takes, ethtool_takes(device->fd, name));
		note_mac(port, device->fd);
		atomic_store(&port->port.interface, interface);
		atomic_store_explicit(&port->device, device, memory_order_release);
	}
}

static void withdraw_device(struct interface_port *port)
{
	struct device *device = atomic_exchange(&port->device, NULL);

	if (!device)
		return;
	atomic_store(&port->port.interface, 0);
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

	if (device && if_nametoindex(port->interface) == device->interface) {
		count_lost(port, device);
		note_mac(port, device->fd); /* an operator may change it */
		atomic_store(&base->takes,
			ethtool_takes(device->fd, port->interface)); /* a tap's follow its reader's */
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

struct port *interface_open(const char *name, struct rte_mempool *pool, struct rte_rcu_qsbr *readers)
{
	struct interface_port *port = g_aligned_alloc0(1, sizeof *port, 64);

	port_init(&port->port, &interface_ops, name, pool, readers);
	port->is_underlay = g_str_has_prefix(name, PORT_UNDERLAY);
	port->interface = port->port.name + (port->is_underlay ? strlen(PORT_UNDERLAY) : 0);
	open_device(port);
	return &port->port;
}
