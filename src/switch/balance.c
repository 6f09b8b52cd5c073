/* Balance: see balance.h. */
#include "switch/balance.h"

/* Whether the imbalance is large, and has been for long enough. */
static bool has_lasted(struct balance *balance, const unsigned *busy, unsigned busiest, unsigned idlest)
{
	if (busy[busiest] < BALANCE_BUSY || busy[busiest] - busy[idlest] < BALANCE_GAP) {
		balance->periods = 0;
		return false;
	}
	if (balance->busiest != busiest)
		balance->periods = 0;
	balance->busiest = busiest;
	return ++balance->periods >= BALANCE_PERIODS;
}

/* How much less busy the busier of two workers is, that differ by `gap`, when a share of it goes to the other. */
static unsigned gain_of(unsigned share, unsigned gap)
{
	return share >= gap ? 0 : share < gap - share ? share : gap - share;
}

static uint64_t packets_of(unsigned worker, const struct balance_load *loads, unsigned n)
{
	uint64_t packets = 0;

	for (unsigned i = 0; i < n; i++)
		packets += loads[i].worker == worker ? loads[i].packets : 0;
	return packets;
}

bool balance_look(struct balance *balance, const unsigned *busy, unsigned workers,
	const struct balance_load *loads, unsigned n, struct balance_move *ret)
{
	unsigned busiest = 0, idlest = 0, best = BALANCE_GAIN - 1;

	for (unsigned i = 1; i < workers; i++) {
		busiest = busy[i] > busy[busiest] ? i : busiest;
		idlest = busy[i] < busy[idlest] ? i : idlest;
	}
	uint64_t packets = packets_of(busiest, loads, n);
	if (!has_lasted(balance, busy, busiest, idlest) || packets == 0)
		return false;
	for (unsigned i = 0; i < n; i++) {
		unsigned share = (unsigned)(loads[i].packets * busy[busiest] / packets);
		unsigned gain = loads[i].worker == busiest ? gain_of(share, busy[busiest] - busy[idlest]) : 0;
		if (gain > best) {
			best = gain;
			*ret = (struct balance_move){.load = i, .worker = idlest};
		}
	}
	if (best < BALANCE_GAIN)
		return false;
	balance->periods = 0;
	return true;
}
