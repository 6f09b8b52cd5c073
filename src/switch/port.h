/* Ports: where packets come from and go to, behind one interface.
 *
 * Providers: vhost.c (a VM's virtio NIC, over vhost-user), interface.c (a network interface), ethdev.c (a DPDK
 * device), function.c (a function on a physical network, which is reached by that network's port), and for tests
 * port_fake.c. A port's name says which it is: a path is a vhost-user socket, a name behind PORT_DEVICE a DPDK
 * device, one behind PORT_FUNCTION such a function, one behind PORT_UNDERLAY the tunnels that come by an interface which is
 * the kernel's and may be another port, too, and another an interface. Policy never belongs to a port, always to the NIC that it is
 * an attachment of.
 *
 * Threads. rx of a queue is called by its owner alone: the one worker that polls it, as the main thread says
 * (polling.h). tx is called by any thread, under tx_lock, which port_tx takes: once a burst, and uncontended
 * unless workers send to each other's ports. Where a device has a queue for each worker, those need no lock.
 * The rest is called by the main thread. A provider whose device comes and goes keeps rx and tx safe at any
 * time: they see the device by one atomic load, and the device is torn down only after a grace period of the
 * workers.
 */
#pragma once
#include "switch/drop.h"
#include "switch/snapshot.h"

#include <rte_spinlock.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define PORT_BURST    32
#define PORT_DEVICE   "dpdk:" /* no interface's name has a colon */
#define PORT_FUNCTION "function:"
#define PORT_UNDERLAY "underlay:"
#define PORT_NOBODY   0xff /* owner of a queue that no worker may poll */
#define PORTS_MAX     (NIC_SLOTS * NIC_ATTACHMENTS + PHYSICALS_MAX + 3)

struct rte_mbuf;
struct rte_mempool;
struct rte_rcu_qsbr;

enum port_state {
	PORT_WAITING, /* nobody is at the other end yet; the port keeps trying */
	PORT_READY, /* packets flow */
	PORT_FAILED, /* `port_error` says why; tried again from time to time */
};

/* What a port can send beside complete frames (segmentation.h). */
enum {
	PORT_TAKES_CHECKSUM = 1 << 0, /* TCP and UDP whose checksum is open */
	PORT_TAKES_TSO4 = 1 << 1, /* with it: several segments in one, over IPv4 */
	PORT_TAKES_TSO6 = 1 << 2, /* the same over IPv6 */
	PORT_TAKES_CWR = 1 << 3, /* also where the first of them says CWR (RFC 3168) */
};

/* Written by the worker whose index it is (the last one: by the main thread), read by anybody. */
struct port_counters {
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes;
	uint64_t drops; /* the receiver was not there or not fast enough */
} __attribute__((aligned(64)));

struct port;

struct port_ops {
	const char *kind;
	/* At most n packets; 0 when there is no device. */
	uint16_t (*rx)(struct port *port, struct rte_mbuf **packets, uint16_t n);
	/* Takes all n packets, whatever becomes of them. Returns how many were delivered; when none could be
	 * because nobody is there, *ret_down is set. */
	uint16_t (*tx)(struct port *port, struct rte_mbuf **packets, uint16_t n, bool *ret_down);
	/* The same of one of several queues (n_queues): may be NULL where there is one. */
	uint16_t (*rx_queue)(struct port *port, unsigned queue, struct rte_mbuf **packets, uint16_t n);
	/* The same on the worker's own queue (n_senders), without the lock: may be NULL where nobody has one. */
	uint16_t (*tx_queue)(
		struct port *port, unsigned worker, struct rte_mbuf **packets, uint16_t n, bool *ret_down);
	enum port_state (*state)(const struct port *port);
	/* IP packets of up to `mtu` bytes, more than before (port.mtu), are to go by it. May be NULL. */
	void (*carry)(struct port *port, uint16_t mtu);
	/* Every second: tries again what failed, notices what went away. May be NULL. */
	void (*tick)(struct port *port);
	/* No worker holds the port any more. Frees it. */
	void (*close)(struct port *port);
};

struct port {
	const struct port_ops *ops;
	_Atomic uint8_t owners[SNAPSHOT_WORKERS]; /* worker that may poll, by queue; PORT_NOBODY */
	unsigned n_queues; /* that packets come by; set when it is opened; 0: none come by it */
	_Atomic unsigned n_senders; /* workers that have a queue of their own to send by, the first ones */
	char *name; /* Owned */
	unsigned index; /* below PORTS_MAX; no other open port has it */
	char *error; /* Owned: why it failed, or NULL; main thread only */
	struct port *below; /* Borrowed: sends for it, and is there as long as it is; NULL: it has a device */
	bool seen; /* the registry's mark */
	uint16_t mtu; /* of the largest IP packets that a state has had it carry; main thread only */
	struct rte_rcu_qsbr *readers; /* Borrowed: the workers' grace periods */
	struct rte_mempool *pool; /* Borrowed: buffers for what is received */
	_Atomic uint32_t
		takes; /* PORT_TAKES_CHECKSUM ..; written before the device that takes it is there for tx */
	_Atomic unsigned interface; /* index of the interface that it has open; 0: none */
	_Atomic uint64_t mac; /* its device's, as it lies in memory; 0: not known */
	rte_spinlock_t tx_lock;
	uint64_t noted[SNAPSHOT_WORKERS]; /* rx_packets at the last look of rebalance.c, whose it is */
	bool has_noted;
	struct port_counters counters[SNAPSHOT_WORKERS + 1];
};

/* Providers. All return a port even when its device cannot be opened yet; `port->error` says why. */
struct port *vhost_open(const char *path, struct rte_mempool *pool, struct rte_rcu_qsbr *readers);
/* name: the interface's. Behind PORT_UNDERLAY only ARP and VXLAN come by the port, and nothing is changed at the interface. */
struct port *interface_open(const char *name, struct rte_mempool *pool, struct rte_rcu_qsbr *readers);
/* workers: how many will poll it, and send by it. mtu: as of port_ops.carry. */
struct port *ethdev_open(const char *name, struct rte_mempool *pool, struct rte_rcu_qsbr *readers,
	unsigned workers, uint16_t mtu);

/* To the function of that MAC in that VLAN (0: without a tag) of the physical network that `below` (Borrowed) opens. */
struct port *function_open(
	const char *name, struct port *below, uint16_t vlan, struct mac_addr mac, struct rte_mempool *pool);

/* For providers: sets up the common part. */
void port_init(struct port *port, const struct port_ops *ops, const char *name, struct rte_mempool *pool,
	struct rte_rcu_qsbr *readers);
void port_release(struct port *port);
/* Records why the port failed, and logs it unless it failed the same way before; NULL: it works. */
void port_set_error(struct port *port, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* "waiting" */
const char *port_state_word(enum port_state state);
/* Sum over all workers. */
struct port_counters port_counters_sum(const struct port *port);

static inline void port_set_mac(struct port *port, const uint8_t mac[6])
{
	uint64_t packed = 0;

	memcpy(&packed, mac, 6);
	atomic_store_explicit(&port->mac, packed, memory_order_relaxed);
}

/* False: it is not known. */
static inline bool port_get_mac(const struct port *port, uint8_t ret[6])
{
	uint64_t packed = atomic_load_explicit(&port->mac, memory_order_relaxed);

	memcpy(ret, &packed, 6);
	return packed != 0;
}

static inline bool port_is_owner(const struct port *port, unsigned queue, unsigned worker)
{
	/* What the owner before did with the queue has happened. */
	return atomic_load_explicit(&port->owners[queue], memory_order_acquire) == worker;
}

static inline void port_set_owner(struct port *port, unsigned queue, unsigned worker)
{
	atomic_store_explicit(&port->owners[queue], (uint8_t)worker, memory_order_release);
}

static inline uint16_t port_rx(struct port *port, unsigned queue, struct rte_mbuf **packets, uint16_t n)
{
	return queue ? port->ops->rx_queue(port, queue, packets, n) : port->ops->rx(port, packets, n);
}

/* sender: the worker's index; SNAPSHOT_WORKERS: another thread. */
static inline uint16_t port_tx(
	struct port *port, unsigned sender, struct rte_mbuf **packets, uint16_t n, bool *ret_down)
{
	if (sender < atomic_load_explicit(&port->n_senders, memory_order_relaxed))
		return port->ops->tx_queue(port, sender, packets, n, ret_down);
	rte_spinlock_lock(&port->tx_lock);
	uint16_t sent = port->ops->tx(port, packets, n, ret_down);
	rte_spinlock_unlock(&port->tx_lock);
	return sent;
}
