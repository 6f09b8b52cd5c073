/* How a device spreads what it receives over queues, so that a connection keeps to one.
 *
 * How it works. The hash is Toeplitz's, over addresses and, where there are any, TCP's or UDP's ports. Its key
 * repeats two bytes: then words that are swapped give the same hash, so both directions of a connection meet
 * the same queue, on any device of the kind. (S. Woo, K. Park: Scalable TCP Session Monitoring with Symmetric
 * Receive-side Scaling, 2012.) The tunnel's packets are spread by their outer UDP source port, which stands for
 * the inner connection (RFC 7348, section 5).
 *
 * Fragments are hashed by addresses alone: all of a packet meet one queue, which may not be that of the
 * connection's whole packets. Then, and whenever the device's table of queues is changed, a connection has two
 * queues for a while, perhaps with two workers, and the single writer of flow.h is two: their counters can lose
 * a count, and a TCP flag that was seen can be forgotten, so that the connection waits for its longer time-out.
 * Nothing else hangs on it: what is passed is decided under locks.
 */
#pragma once
#include <rte_ethdev.h>

/* Queues that serve so many workers: as many, where the device has them and can hash; else one. */
uint16_t rss_queues(const struct rte_eth_dev_info *info, unsigned workers);

/* Asks for that hash; nothing for one queue. */
void rss_configure(const struct rte_eth_dev_info *info, uint16_t queues, struct rte_eth_conf *conf);
