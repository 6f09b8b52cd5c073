/* What all ports have in common. */
#include "switch/port.h"

#include "base/log.h"

void port_init(struct port *port, const struct port_ops *ops, const char *name, struct rte_mempool *pool,
	struct rte_rcu_qsbr *readers)
{
	port->ops = ops;
	port->name = g_strdup(name);
	port->pool = pool;
	port->readers = readers;
	rte_spinlock_init(&port->tx_lock);
	port->n_queues = 1;
	for (unsigned queue = 0; queue < SNAPSHOT_WORKERS; queue++)
		atomic_init(&port->owners[queue], PORT_NOBODY);
}

void port_release(struct port *port)
{
	g_free(port->name);
	g_free(port->error);
}

void port_set_error(struct port *port, const char *format, ...)
{
	g_autofree char *error = NULL;
	va_list args;

	if (format) {
		va_start(args, format);
		error = g_strdup_vprintf(format, args);
		va_end(args);
		if (g_strcmp0(error, port->error) != 0)
			log_warn(port->name, "%s; it is tried again every second", error);
	} else if (port->error) {
		log_info(port->name, "it is open now");
	}
	g_free(port->error);
	port->error = g_steal_pointer(&error);
}

const char *port_state_word(enum port_state state)
{
	static const char *const words[] = {
		[PORT_WAITING] = "waiting",
		[PORT_READY] = "ready",
		[PORT_FAILED] = "failed",
	};

	return words[state];
}

struct port_counters port_counters_sum(const struct port *port)
{
	struct port_counters sum = {};

	for (unsigned i = 0; i <= SNAPSHOT_WORKERS; i++) {
		const struct port_counters *c = &port->counters[i];
		sum.rx_packets += __atomic_load_n(&c->rx_packets, __ATOMIC_RELAXED);
		sum.rx_bytes += __atomic_load_n(&c->rx_bytes, __ATOMIC_RELAXED);
		sum.tx_packets += __atomic_load_n(&c->tx_packets, __ATOMIC_RELAXED);
		sum.tx_bytes += __atomic_load_n(&c->tx_bytes, __ATOMIC_RELAXED);
		sum.drops += __atomic_load_n(&c->drops, __ATOMIC_RELAXED);
	}
	return sum;
}
