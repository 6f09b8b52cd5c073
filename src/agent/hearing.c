/* Which MACs the host hears on its physical networks. */
#include "agent/hearing.h"

#include "agent/agent_priv.h"
#include "agent/switch_nic.h"
#include "base/fault.h"
#include "base/gateway.h"
#include "base/log.h"

#include <string.h>

/* The switch's on every network. */
static const struct mac_addr gateway_mac = {GATEWAY_MAC};

/* Lists are compared byte by byte. */
G_STATIC_ASSERT(
	sizeof(struct nic_heard) == sizeof(const char *) + sizeof(uint16_t) + sizeof(struct mac_addr));

struct hearing {
	struct agent *agent; /* Borrowed */
	/* Owned, of struct nic_heard, whose names are the site's: the list of the last update, and that of which the
	   provider was told, and hears no other MAC; NULL: none yet. */
	GArray *wanted, *told;
	bool busy; /* a job is running */
	GError *error; /* Owned; with `told`: why not all of that is heard */
	unsigned failures;
	int64_t retry_at_us;
};

struct hearing_job {
	struct hearing *hearing; /* main thread only */
	struct nic_provider *provider;
	GArray *list; /* Ref */
	GError *error;
};

/* ---- the list ---- */

static void add(GArray *list, const struct switch_physical *physical, uint16_t vlan, struct mac_addr mac)
{
	const struct nic_heard heard = {.physical = physical->name, .vlan = vlan, .mac = mac};

	for (guint i = 0; i < list->len; i++)
		if (memcmp(&g_array_index(list, struct nic_heard, i), &heard, sizeof heard) == 0)
			return;
	g_array_append_val(list, heard);
}

static void add_nic(GArray *list, const struct agent *agent, const struct goal_nic *nic)
{
	const struct goal_network *network = agent_goal_network(agent, nic->network);
	const struct switch_physical *physical =
		network ? switch_site_physical(&agent->config.site, network->physical) : NULL;
	const struct accel *accel = g_hash_table_lookup(agent->accels, nic->uid);
	struct mac_addr mac;

	if (!physical)
		return;
	add(list, physical, (uint16_t)network->vlan, gateway_mac);
	if (accel && accel_is_heard(accel) && !(nic->vm && migration_is_elsewhere(agent, nic->vm)) &&
		switch_mac_parse(nic->mac, &mac))
		add(list, physical, (uint16_t)network->vlan, mac);
}

static GArray *build(const struct agent *agent)
{
	GArray *list = g_array_new(false, false, sizeof(struct nic_heard));

	for (guint i = 0; i < list_length(agent->goal->nics); i++) {
		const struct goal_nic *nic = agent->goal->nics->pdata[i];
		if (nic->uid)
			add_nic(list, agent, nic);
	}
	return list;
}

static bool is_same(const GArray *a, const GArray *b)
{
	return a && b && a->len == b->len &&
	       (a->len == 0 || memcmp(a->data, b->data, a->len * sizeof(struct nic_heard)) == 0);
}

/* ---- telling ---- */

static void tell(void *data)
{
	struct hearing_job *job = data;

	job->provider->ops->hear(
		job->provider, (const struct nic_heard *)job->list->data, job->list->len, &job->error);
}

static void failed(struct hearing *h, GError *error)
{
	if (g_strcmp0(h->error ? h->error->message : NULL, error->message) != 0)
		log_warn("network", "%s", error->message);
	g_clear_error(&h->error);
	h->error = error;
	h->retry_at_us = g_get_monotonic_time() + agent_backoff_us(h->agent, h->failures++);
}

/* Not all is heard that is to be, but nothing else is. */
static bool is_lacking(const GError *error)
{
	return g_error_matches(error, FAULT, FAULT_POOL_FULL) ||
	       g_error_matches(error, FAULT, FAULT_UNAVAILABLE);
}

static void told(void *data)
{
	struct hearing_job *job = data;
	struct hearing *h = job->hearing;

	h->busy = false;
	g_clear_pointer(&h->told, g_array_unref);
	if (!job->error || is_lacking(job->error))
		h->told = g_array_ref(job->list);
	if (job->error) {
		failed(h, job->error);
	} else {
		g_clear_error(&h->error);
		h->failures = 0;
	}
	agent_kick(h->agent);
	g_array_unref(job->list);
	g_free(job);
}

void hearing_update(struct hearing *h)
{
	struct nic_provider *provider = h->agent->provider;

	if (!provider || !provider->ops->hear)
		return;
	g_clear_pointer(&h->wanted, g_array_unref);
	h->wanted = build(h->agent);
	bool same = is_same(h->wanted, h->told);
	if (h->busy || (same && !h->error))
		return;
	/* What is new is told at once, unless the provider would not even be told the last. */
	if ((same || !h->told) && g_get_monotonic_time() < h->retry_at_us) {
		agent_wake_at(h->agent, h->retry_at_us);
		return;
	}
	struct hearing_job *job = g_new(struct hearing_job, 1);
	*job = (struct hearing_job){.hearing = h, .provider = provider, .list = g_array_ref(h->wanted)};
	h->busy = true;
	jobs_run(h->agent->jobs, tell, told, job);
}

bool hearing_is_settled(const struct hearing *h)
{
	const struct nic_provider *provider = h->agent->provider;

	return !provider || !provider->ops->hear || (!h->busy && is_same(h->wanted, h->told));
}

const GError *hearing_error(const struct hearing *h)
{
	return h->error;
}

/* ---- life ---- */

struct hearing *hearing_new(struct agent *agent)
{
	struct hearing *h = g_new0(struct hearing, 1);

	h->agent = agent;
	return h;
}

void hearing_free(struct hearing *h)
{
	if (!h)
		return;
	g_assert(!h->busy);
	g_clear_pointer(&h->wanted, g_array_unref);
	g_clear_pointer(&h->told, g_array_unref);
	g_clear_error(&h->error);
	g_free(h);
}
