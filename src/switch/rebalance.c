/* Measuring and moving: see rebalance.h.
 *
 * How it works: workers count the time in which they had packets, ports the packets by worker; a period's are the
 * differences to what was noted at the end of the last. Where a worker polls several queues of one port, they share
 * what it got there evenly. A port that is new has no note yet: it takes part from the next period on.
 */
#include "switch/rebalance.h"

#include "base/log.h"
#include "switch/balance.h"
#include "switch/port.h"

#include <rte_cycles.h>

struct rebalance {
	struct datapath *datapath; /* Borrowed */
	struct balance balance;
	uint64_t busy[SNAPSHOT_WORKERS]; /* noted, in cycles */
	uint64_t looked; /* rte_rdtsc */
};

struct rebalance *rebalance_new(struct datapath *datapath)
{
	struct rebalance *rebalance = g_new0(struct rebalance, 1);

	rebalance->datapath = datapath;
	rebalance->looked = rte_rdtsc();
	return rebalance;
}

void rebalance_free(struct rebalance *rebalance)
{
	g_free(rebalance);
}

/* ---- measuring ---- */

/* Of each worker, per mille of the period. */
static void measure_workers(struct rebalance *rebalance, uint64_t cycles, unsigned *ret_busy)
{
	for (unsigned i = 0; i < rebalance->datapath->limits.workers; i++) {
		uint64_t now =
			__atomic_load_n(&rebalance->datapath->workers[i]->busy_cycles, __ATOMIC_RELAXED);
		ret_busy[i] = (unsigned)MIN((now - rebalance->busy[i]) * 1000 / MAX(cycles, 1u), 1000u);
		rebalance->busy[i] = now;
	}
}

static unsigned queues_of(const GArray *sources, const struct port *port)
{
	unsigned n = 0;

	for (unsigned i = 0; i < sources->len; i++)
		n += g_array_index(sources, struct source, i).port == port;
	return n;
}

static uint64_t packets_of(const struct source *source, unsigned worker, const GArray *sources)
{
	const struct port *port = source->port;
	uint64_t now = __atomic_load_n(&port->counters[worker].rx_packets, __ATOMIC_RELAXED);

	return port->has_noted ? (now - port->noted[worker]) / queues_of(sources, port) : 0;
}

/* One load for each NIC and each queue of an edge; ret_sources: a source of each. A NIC's attachments follow each other
 * in its worker's list. */
static void measure_sources(
	const struct polling *polling, unsigned workers, GArray *ret_loads, GArray *ret_sources)
{
	for (unsigned worker = 0; worker < workers; worker++) {
		const GArray *sources = polling->sources[worker];
		for (unsigned i = 0; i < sources->len; i++) {
			const struct source *source = &g_array_index(sources, struct source, i);
			struct balance_load load = {worker, packets_of(source, worker, sources)};
			bool more = i && source->origin == FLOW_FROM_NIC &&
				    source[-1].origin == FLOW_FROM_NIC && source[-1].nic == source->nic;
			if (more) {
				g_array_index(ret_loads, struct balance_load, ret_loads->len - 1).packets +=
					load.packets;
				continue;
			}
			g_array_append_val(ret_loads, load);
			g_array_append_val(ret_sources, *source);
		}
	}
}

static void note_sources(const struct polling *polling, unsigned workers)
{
	for (unsigned worker = 0; worker < workers; worker++) {
		const GArray *sources = polling->sources[worker];
		for (unsigned i = 0; i < sources->len; i++) {
			struct port *port = g_array_index(sources, struct source, i).port;
			for (unsigned w = 0; w < workers; w++)
				port->noted[w] =
					__atomic_load_n(&port->counters[w].rx_packets, __ATOMIC_RELAXED);
			port->has_noted = true;
		}
	}
}

/* ---- periods ---- */

bool rebalance_look(struct rebalance *rebalance, uint64_t cycles)
{
	struct datapath *datapath = rebalance->datapath;
	unsigned workers = datapath->limits.workers, busy[SNAPSHOT_WORKERS];
	const struct polling *polling = datapath_polling(datapath);
	g_autoptr(GArray) loads = g_array_new(false, false, sizeof(struct balance_load));
	g_autoptr(GArray) sources = g_array_new(false, false, sizeof(struct source));
	struct balance_move move;

	measure_workers(rebalance, cycles, busy);
	measure_sources(polling, workers, loads, sources);
	note_sources(polling, workers);
	if (!balance_look(&rebalance->balance, busy, workers,
		    (const struct balance_load *)(void *)loads->data, loads->len, &move))
		return false;
	const struct source *moved = &g_array_index(sources, struct source, move.load);
	log_info(moved->port->name,
		"moved from worker %u, which is busy for %u %% of its time, to worker %u, for %u %%",
		rebalance->balance.busiest, busy[rebalance->balance.busiest] / 10, move.worker,
		busy[move.worker] / 10);
	datapath_move(datapath, moved, move.worker);
	return true;
}

void rebalance_tick(struct rebalance *rebalance)
{
	uint64_t now = rte_rdtsc(), cycles = now - rebalance->looked;

	if (rebalance->datapath->limits.workers == 1 ||
		cycles < REBALANCE_SECONDS * rte_get_tsc_hz() * 9 / 10)
		return;
	rebalance->looked = now;
	rebalance_look(rebalance, cycles);
}
