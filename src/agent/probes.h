/* Probes of load balancers: whether the members on this host are well.
 *
 * How it works. Each host asks its own NICs, over the switch's host port, where each has an address of its own
 * (host_address): a connection from the platform's address, 168.63.129.16, comes to the guest as one to its private
 * address, whichever host has the load balancer. The sockets are made inside the namespace behind the host port and served
 * from the main loop. An asked port that takes the connection is well; with HTTP it must answer 200, too.
 *
 * The first answer of all is believed at once, then it takes `threshold` in a row to be believed of something else. An
 * answer has the time of one interval.
 */
#pragma once
#include "base/cleanup.h"
#include "model/goal.h"

struct probes;

struct probes_config {
	const char *netns; /* behind the host port; NULL: the process's own */
	const char *source; /* "168.63.129.16" */
	void (*changed)(void *data); /* what is believed of some NIC */
	void *data;
};

/* The config's texts are Borrowed until probes_free. */
struct probes *probes_new(const struct probes_config *config);
void probes_free(struct probes *probes);
CLEANUP_FUNC(struct probes *, probes_free)

/* Asks what the goal says, and nothing else, from now on. */
void probes_update(struct probes *probes, const struct goal *goal);

/* The NIC's machine has stopped: it is not well, and its first answer is believed at once again. probes NULL: nobody was
 * asked. */
void probes_restart(struct probes *probes, const char *nic);

/* Whether this host asks the NIC, and what it believes. probes NULL: it asks nobody. */
bool probes_find(const struct probes *probes, const char *nic, const char *key, bool *ret_well);
/* Keys of the probes that find the NIC well, for the report. Owned by the caller; NULL when there are none. */
GPtrArray *probes_well(const struct probes *probes, const char *nic);
