/* Ports to functions that are on a physical network themselves, past the host.
 *
 * How it works. The NIC's hardware has the network's port and the function on one switch of its own. So what this
 * switch has for such a NIC leaves by the network's port, in the NIC's VLAN and to the NIC's MAC, and the hardware
 * brings it to the function. The MAC is written in any case: what is for all on a NIC's link, as advertisements and some
 * of DHCP's answers are, is for that NIC alone, and would be for everybody there. (RFC 6085 has IPv6 multicast to one
 * MAC; of IPv4, RFC 1122, section 3.3.6, forbids the opposite alone.)
 *
 * Nothing is received by such a port: what the function sends comes by the network's port, too, where workers know it by
 * its source MAC, and count it here (arrival.c).
 *
 * A buffer may be shared with the NIC's other attachment, which gets the packet without a tag: then a copy is sent.
 * Sending is done by the network's port in the same call, under its lock or by the worker's own queue: here are neither.
 */
#include "switch/port.h"
#include "switch/vlan.h"
#include "switch/worker.h"

#include <rte_mbuf.h>

struct function_port {
	struct port port;
	uint16_t vlan;
	struct mac_addr mac;
};

/* As it is to be on the wire. NULL: there is no buffer, or no room. */
static struct rte_mbuf *address(const struct function_port *port, struct rte_mbuf *packet)
{
	if (rte_mbuf_refcnt_read(packet) > 1) {
		struct rte_mbuf *copy = rte_pktmbuf_copy(packet, port->port.pool, 0, UINT32_MAX);
		rte_pktmbuf_free(packet);
		packet = copy;
	}
	if (!packet)
		return NULL;
	memcpy(rte_pktmbuf_mtod(packet, uint8_t *) + ETH_DST, port->mac.bytes, 6);
	if (vlan_push(packet, port->vlan))
		return packet;
	rte_pktmbuf_free(packet);
	return NULL;
}

/* The network's port counts them as well. sender: as of port_tx. */
static uint16_t send(const struct function_port *port, unsigned sender, struct rte_mbuf **packets, uint16_t n,
	bool *ret_down)
{
	struct port *below = port->port.below;
	struct port_counters *counters = &below->counters[sender];
	uint64_t bytes = 0;
	uint16_t ready = 0;

	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *packet = address(port, packets[i]);
		if (!packet)
			continue;
		bytes += packet->pkt_len;
		packets[ready++] = packet;
	}
	if (ready == 0)
		return 0;
	uint16_t sent = port_tx(below, sender, packets, ready, ret_down);
	counter_add(&counters->tx_packets, sent);
	counter_add(&counters->tx_bytes, sent == ready ? bytes : bytes * sent / ready);
	counter_add(&counters->drops, ready - sent);
	return sent;
}

static uint16_t function_tx(struct port *base, struct rte_mbuf **packets, uint16_t n, bool *ret_down)
{
	return send((struct function_port *)base, SNAPSHOT_WORKERS, packets, n, ret_down);
}

static uint16_t function_tx_queue(
	struct port *base, unsigned worker, struct rte_mbuf **packets, uint16_t n, bool *ret_down)
{
	return send((struct function_port *)base, worker, packets, n, ret_down);
}

static enum port_state function_state(const struct port *base)
{
	return base->below->ops->state(base->below);
}

static void function_close(struct port *base)
{
	port_release(base);
	g_aligned_free(base);
}

static const struct port_ops function_ops = {
	.kind = "function",
	.tx = function_tx,
	.tx_queue = function_tx_queue,
	.state = function_state,
	.close = function_close,
};

struct port *function_open(
	const char *name, struct port *below, uint16_t vlan, struct mac_addr mac, struct rte_mempool *pool)
{
	struct function_port *port = g_aligned_alloc0(1, sizeof *port, 64);

	port_init(&port->port, &function_ops, name, pool, NULL);
	port->port.n_queues = 0;
	atomic_init(&port->port.n_senders, SNAPSHOT_WORKERS);
	port->port.below = below;
	port->vlan = vlan;
	port->mac = mac;
	return &port->port;
}
