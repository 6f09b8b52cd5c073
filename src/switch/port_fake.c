/* The fake port. */
#include "switch/port_fake.h"

#include "switch/segmentation.h"

#include <rte_mbuf.h>

struct port_fake {
	struct port port;
	GQueue sent; /* of struct sent */
	GQueue offered; /* of GBytes */
	unsigned limit;
	bool down;
};

struct sent {
	GBytes *bytes; /* Owned */
	struct port_fake_open open;
};

static uint16_t fake_rx(struct port *base, struct rte_mbuf **packets, uint16_t n)
{
	struct port_fake *port = (struct port_fake *)base;
	uint16_t got = 0;

	while (got < n && !g_queue_is_empty(&port->offered)) {
		g_autoptr(GBytes) frame = g_queue_pop_head(&port->offered);
		gsize size;
		const void *data = g_bytes_get_data(frame, &size);
		packets[got] = rte_pktmbuf_alloc(base->pool);
		memcpy(rte_pktmbuf_append(packets[got++], (uint16_t)size), data, size);
	}
	return got;
}

static uint16_t fake_tx(struct port *base, struct rte_mbuf **packets, uint16_t n, bool *ret_down)
{
	struct port_fake *port = (struct port_fake *)base;
	uint16_t sent = 0;

	*ret_down = port->down;
	while (!port->down && sent < n && port->limit) {
		struct rte_mbuf *packet = packets[sent++];
		uint8_t *copy = g_malloc(packet->pkt_len);
		const uint8_t *bytes = rte_pktmbuf_read(packet, 0, packet->pkt_len, copy);
		if (bytes != copy)
			memcpy(copy, bytes, packet->pkt_len);
		struct sent *frame = g_new(struct sent, 1);
		*frame = (struct sent){g_bytes_new_take(copy, packet->pkt_len),
			{packet->ol_flags & SEGMENTATION_OPEN, packet->tso_segsz}};
		g_queue_push_tail(&port->sent, frame);
		port->limit -= port->limit != UINT_MAX;
	}
	rte_pktmbuf_free_bulk(packets, n);
	return sent;
}

static enum port_state fake_state(const struct port *port)
{
	return ((const struct port_fake *)port)->down ? PORT_WAITING : PORT_READY;
}

static const struct port_ops fake_ops = {
	.kind = "fake",
	.rx = fake_rx,
	.tx = fake_tx,
	.state = fake_state,
	.close = port_fake_close,
};

struct port *port_fake_open(const char *name, unsigned index, struct rte_mempool *pool)
{
	struct port_fake *port = g_aligned_alloc0(1, sizeof *port, 64);

	port_init(&port->port, &fake_ops, name, pool, NULL);
	port->port.index = index;
	port->limit = UINT_MAX;
	g_queue_init(&port->sent);
	g_queue_init(&port->offered);
	return &port->port;
}

void port_fake_close(struct port *base)
{
	struct port_fake *port = (struct port_fake *)base;

	for (GBytes *bytes; (bytes = port_fake_take(base));)
		g_bytes_unref(bytes);
	g_queue_clear_full(&port->offered, (GDestroyNotify)g_bytes_unref);
	port_release(base);
	g_aligned_free(port);
}

GBytes *port_fake_take_open(struct port *base, struct port_fake_open *ret)
{
	g_autofree struct sent *frame = g_queue_pop_head(&((struct port_fake *)base)->sent);

	if (!frame)
		return NULL;
	*ret = frame->open;
	return frame->bytes;
}

GBytes *port_fake_take(struct port *base)
{
	struct port_fake_open open;

	return port_fake_take_open(base, &open);
}

void port_fake_offer(struct port *base, const void *frame, size_t length, unsigned n)
{
	GBytes *bytes = g_bytes_new(frame, length);

	for (unsigned i = 0; i < n; i++)
		g_queue_push_tail(&((struct port_fake *)base)->offered, g_bytes_ref(bytes));
	g_bytes_unref(bytes);
}

unsigned port_fake_waiting(struct port *base)
{
	return g_queue_get_length(&((struct port_fake *)base)->offered);
}

void port_fake_limit(struct port *base, unsigned packets)
{
	((struct port_fake *)base)->limit = packets;
}

void port_fake_set_down(struct port *base, bool down)
{
	((struct port_fake *)base)->down = down;
}
