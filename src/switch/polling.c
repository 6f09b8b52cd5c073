/* Sources and their workers: see polling.h. */
#include "switch/polling.h"

#include "switch/port.h"

#include <string.h>

struct polling *polling_new(const struct polling_plan *plan)
{
	struct polling *polling = g_new0(struct polling, 1);

	for (unsigned i = 0; i < SNAPSHOT_WORKERS; i++)
		polling->sources[i] = g_array_new(false, false, sizeof(struct source));
	for (unsigned slot = 0; slot < NIC_SLOTS; slot++)
		polling->nics[slot] =
			plan->before ? plan->before->nics[slot] : (uint8_t)(slot % plan->workers);
	if (plan->moved && plan->moved->origin == FLOW_FROM_NIC)
		polling->nics[nic_slot(plan->moved->nic)] = (uint8_t)plan->to;
	memset(polling->places, (int)plan->workers - 1, sizeof polling->places);
	return polling;
}

void polling_free(struct polling *polling)
{
	if (!polling)
		return;
	for (unsigned i = 0; i < SNAPSHOT_WORKERS; i++)
		g_array_unref(polling->sources[i]);
	g_free(polling);
}

static bool is_queue(const struct source *a, const struct source *b)
{
	return a->port == b->port && a->queue == b->queue;
}

/* The first queues of edges begin with the last worker, as NICs do with the first. */
static unsigned worker_of_queue(const struct polling_plan *plan, const struct source *source)
{
	if (plan->moved && is_queue(plan->moved, source))
		return plan->to;
	for (unsigned worker = 0; plan->before && worker < plan->workers; worker++) {
		const GArray *sources = plan->before->sources[worker];
		for (unsigned i = 0; i < sources->len; i++)
			if (is_queue(&g_array_index(sources, struct source, i), source))
				return worker;
	}
	return plan->workers - 1 - source->queue % plan->workers;
}

void polling_add(struct polling *polling, const struct polling_plan *plan, struct source source)
{
	for (source.queue = 0; source.port && source.queue < source.port->n_queues; source.queue++) {
		unsigned worker = source.origin == FLOW_FROM_NIC ? polling->nics[nic_slot(source.nic)]
								 : worker_of_queue(plan, &source);
		g_array_append_val(polling->sources[worker], source);
		if (source.origin != FLOW_FROM_NIC && source.queue == 0)
			polling->places[source.origin % POLLING_PLACES] = (uint8_t)worker;
	}
}

void polling_grant(const struct polling *polling)
{
	for (unsigned worker = 0; worker < SNAPSHOT_WORKERS; worker++) {
		const GArray *sources = polling->sources[worker];
		for (unsigned i = 0; i < sources->len; i++) {
			const struct source *source = &g_array_index(sources, struct source, i);
			port_set_owner(source->port, source->queue, worker);
		}
	}
}
