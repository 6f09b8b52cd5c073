/* The registry of open ports. */
#include "switch/ports.h"

struct ports {
	GHashTable *by_name; /* Borrowed names → struct port, Owned */
	struct port *by_index[PORTS_MAX];
	struct rte_mempool *pool;
	struct rte_rcu_qsbr *readers;
	unsigned workers;
};

struct ports *ports_new(struct rte_mempool *pool, struct rte_rcu_qsbr *readers, unsigned workers)
{
	struct ports *ports = g_new0(struct ports, 1);

	ports->by_name = g_hash_table_new(g_str_hash, g_str_equal);
	ports->pool = pool;
	ports->readers = readers;
	ports->workers = workers;
	return ports;
}

static void close_port(struct ports *ports, struct port *port)
{
	ports->by_index[port->index] = NULL;
	g_hash_table_remove(ports->by_name, port->name);
	port->ops->close(port);
}

void ports_free(struct ports *ports)
{
	if (!ports)
		return;
	for (unsigned i = 0; i < PORTS_MAX; i++)
		if (ports->by_index[i])
			close_port(ports, ports->by_index[i]);
	g_hash_table_unref(ports->by_name);
	g_free(ports);
}

/* nic: whose attachment it is; NULL: an edge's. NULL: the network that the function is on has no port. */
static struct port *open_port(
	const struct ports *ports, const char *name, const struct nic *nic, uint16_t mtu)
{
	if (g_str_has_prefix(name, PORT_FUNCTION)) {
		struct port *below = nic->network->physical->edge.port;
		return below ? function_open(name, below, segment_vlan_id(nic->network->segment), nic->mac,
				       ports->pool)
			     : NULL;
	}
	if (name[0] == '/')
		return vhost_open(name, ports->pool, ports->readers);
	if (g_str_has_prefix(name, PORT_DEVICE))
		return ethdev_open(name, ports->pool, ports->readers, ports->workers, mtu);
	return interface_open(name, ports->pool, ports->readers);
}

/* An index is always free: a snapshot names PORTS_MAX ports at most, and those of the one before are closed
 * by now, unless this one takes the last of them over. Returns NULL else; the next apply finds room. */
static struct port *find_or_open(struct ports *ports, const char *name, const struct nic *nic, uint16_t mtu)
{
	struct port *port = g_hash_table_lookup(ports->by_name, name);
	unsigned index;

	if (port) {
		if (port->ops->carry && mtu > port->mtu)
			port->ops->carry(port, mtu);
		return port;
	}
	for (index = 0; index < PORTS_MAX && ports->by_index[index]; index++)
		;
	if (index == PORTS_MAX)
		return NULL;
	port = open_port(ports, name, nic, mtu);
	if (!port)
		return NULL;
	port->index = index;
	ports->by_index[index] = port;
	g_hash_table_insert(ports->by_name, port->name, port);
	return port;
}

static void resolve_edge(struct ports *ports, struct edge *edge, uint16_t mtu)
{
	if (edge->present)
		edge->port = find_or_open(ports, edge->interface, NULL, mtu);
}

void ports_resolve(struct ports *ports, struct snapshot *snapshot)
{
	resolve_edge(ports, &snapshot->outside, OUTSIDE_MTU);
	resolve_edge(ports, &snapshot->host, OUTSIDE_MTU);
	resolve_edge(ports, &snapshot->underlay.edge, snapshot->underlay.mtu);
	for (unsigned i = 0; i < PHYSICAL_SLOTS; i++)
		resolve_edge(ports, &snapshot->physicals[i].edge, snapshot->physicals[i].mtu);
	for (unsigned slot = 0; slot < NIC_SLOTS; slot++) {
		struct nic *nic = snapshot->nics[slot];
		for (unsigned i = 0; nic && i < nic->n_attachments; i++) {
			struct attachment *attachment = &nic->attachments[i];
			attachment->port = find_or_open(ports, attachment->name, nic, nic->mtu);
		}
	}
}

static void mark(struct port *port)
{
	if (port)
		port->seen = true;
}

void ports_collect(struct ports *ports, const struct snapshot *snapshot)
{
	mark(snapshot->outside.port);
	mark(snapshot->host.port);
	mark(snapshot->underlay.edge.port);
	for (unsigned i = 0; i < PHYSICAL_SLOTS; i++)
		mark(snapshot->physicals[i].edge.port);
	for (unsigned slot = 0; slot < NIC_SLOTS; slot++) {
		const struct nic *nic = snapshot->nics[slot];
		for (unsigned i = 0; nic && i < nic->n_attachments; i++)
			mark(nic->attachments[i].port);
	}
	for (unsigned i = 0; i < PORTS_MAX; i++) {
		struct port *port = ports->by_index[i];
		if (port && !port->seen)
			close_port(ports, port);
		else if (port)
			port->seen = false;
	}
}

void ports_tick(struct ports *ports)
{
	for (unsigned i = 0; i < PORTS_MAX; i++) {
		struct port *port = ports->by_index[i];
		if (port && port->ops->tick)
			port->ops->tick(port);
	}
}
