/* The health of the host's functions. */
#include "agent/health.h"

#include "agent/agent_priv.h"
#include "base/log.h"

#include <string.h>

#define SOON_US G_USEC_PER_SEC /* between two looks, at least */

struct health {
	struct agent *agent; /* Borrowed */
	GPtrArray *devices; /* Owned; NULL: none seen */
	GPtrArray *sentences; /* Owned, of text: of the last look */
	GHashTable *findings; /* Owned: uid of a NIC → sentence, the last about it */
	char *last; /* Owned; NULL: none yet */
	unsigned repairs;
	bool busy; /* a job is running */
	int64_t looked_us, next_us; /* monotonic: the last look, the next one */
};

struct health_job {
	struct health *health; /* main thread only */
	struct nic_provider *provider;
	GPtrArray *sentences, *devices; /* Owned; NULL: the provider has no such call */
};

/* ---- looking ---- */

static void look(void *data)
{
	struct health_job *job = data;
	const struct nic_provider_ops *ops = job->provider->ops;

	job->sentences = ops->check ? ops->check(job->provider) : NULL;
	job->devices = ops->survey ? ops->survey(job->provider) : NULL;
}

static void note_finding(struct health *h, const char *sentence)
{
	GHashTableIter iter;
	void *nic;

	log_warn("functions", "%s", sentence);
	h->repairs++;
	g_free(h->last);
	h->last = g_strdup(sentence);
	g_hash_table_iter_init(&iter, h->agent->accels);
	while (g_hash_table_iter_next(&iter, &nic, NULL))
		if (strstr(sentence, nic))
			g_hash_table_replace(h->findings, g_strdup(nic), g_strdup(sentence));
}

static void looked(void *data)
{
	struct health_job *job = data;
	struct health *h = job->health;

	h->busy = false;
	h->looked_us = g_get_monotonic_time();
	h->next_us = MAX(h->next_us, h->looked_us + SOON_US);
	for (guint i = 0; job->sentences && i < job->sentences->len; i++)
		if (!h->sentences || !g_ptr_array_find_with_equal_func(
					     h->sentences, job->sentences->pdata[i], g_str_equal, NULL))
			note_finding(h, job->sentences->pdata[i]);
	g_clear_pointer(&h->sentences, g_ptr_array_unref);
	g_clear_pointer(&h->devices, g_ptr_array_unref);
	h->sentences = job->sentences;
	h->devices = job->devices;
	agent_kick(h->agent);
	g_free(job);
}

void health_update(struct health *h)
{
	struct nic_provider *provider = h->agent->provider;

	if (!provider || h->busy || (!provider->ops->check && !provider->ops->survey))
		return;
	if (g_get_monotonic_time() < h->next_us) {
		agent_wake_at(h->agent, h->next_us);
		return;
	}
	struct health_job *job = g_new0(struct health_job, 1);
	job->health = h;
	job->provider = provider;
	h->busy = true;
	h->next_us = g_get_monotonic_time() + (int64_t)h->agent->config.times.health_ms * 1000;
	jobs_run(h->agent->jobs, look, looked, job);
}

void health_touch(struct health *h)
{
	h->next_us = MIN(h->next_us, h->looked_us + SOON_US);
}

/* ---- telling ---- */

unsigned health_repairs(const struct health *h)
{
	return h->repairs;
}

const char *health_finding(const struct health *h, const char *nic)
{
	return nic ? g_hash_table_lookup(h->findings, nic) : h->last;
}

const GPtrArray *health_devices(const struct health *h)
{
	return h->devices;
}

const struct nic_device *health_device(const struct health *h, const char *name)
{
	for (guint i = 0; h->devices && name && i < h->devices->len; i++) {
		const struct nic_device *device = h->devices->pdata[i];
		if (g_strcmp0(device->name, name) == 0)
			return device;
	}
	return NULL;
}

json_t *health_describe(const struct nic_device *device)
{
	static const struct mac_addr none;
	const struct vf_attributes *attributes = &device->attributes;
	json_t *json = json_pack("{s:s?, s:s?, s:i, s:s*, s:s?}", "physical", device->physical, "pf",
		device->pf_netdev ? device->pf_netdev : device->pf, "index", (int)device->index,
		"representor", device->representor, "detail", device->detail);
	char mac[MAC_TEXT_MAX];

	if (attributes->known & VF_MAC && memcmp(&attributes->mac, &none, sizeof none) != 0)
		json_object_set_new(json, "mac", json_string(mac_format(attributes->mac, mac)));
	if (attributes->known & VF_VLAN && attributes->vlan)
		json_object_set_new(json, "vlan", json_integer(attributes->vlan));
	return json;
}

/* ---- life ---- */

struct health *health_new(struct agent *agent)
{
	struct health *h = g_new0(struct health, 1);

	h->agent = agent;
	h->findings = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	return h;
}

void health_free(struct health *h)
{
	if (!h)
		return;
	g_assert(!h->busy);
	g_clear_pointer(&h->devices, g_ptr_array_unref);
	g_clear_pointer(&h->sentences, g_ptr_array_unref);
	g_hash_table_unref(h->findings);
	g_free(h->last);
	g_free(h);
}
