/* Balance: which source is moved to which worker. Pure: no time, no I/O.
 *
 * How it works. Every period the busy share of each worker is looked at, and how many packets each source
 * brought. When the busiest worker has had much to do, and much more than the idlest, for some periods in a
 * row, one source is moved from the one to the other: that which evens them out best. A source that would only
 * carry the imbalance over stays, so one that keeps a worker busy alone gets it to itself, as the others move
 * away. A source's share of its worker's time is taken to be its share of the packets.
 *
 * A move costs a moment's wait of its packets and cold caches, so there is one a period at most, and after it the
 * imbalance has to last anew.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define BALANCE_PERIODS 3 /* that an imbalance must last */
#define BALANCE_BUSY    500 /* per mille of its time, that the busiest worker must be busy */
#define BALANCE_GAP     250 /* that the idlest must be less busy */
#define BALANCE_GAIN    20 /* that the busiest of the two is less busy after the move, by estimate */

struct balance {
	unsigned busiest; /* worker */
	unsigned periods; /* that it has been so */
};

/* What moves as a whole: a NIC, or a queue of an edge. */
struct balance_load {
	unsigned worker;
	uint64_t packets; /* that it brought in the period */
};

struct balance_move {
	unsigned load; /* index */
	unsigned worker; /* that it goes to */
};

/* Looks at one period. busy: of each worker, per mille of its time. True: something is to be moved. */
bool balance_look(struct balance *balance, const unsigned *busy, unsigned workers,
	const struct balance_load *loads, unsigned n, struct balance_move *ret);
