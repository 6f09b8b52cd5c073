/* The health of the host's functions. */
#include "agent/health.h"

#include "agent/agent_priv.h"
#include "base/log.h"

#include <string.h>

#define SOON_US    G_USEC_PER_SEC /* between two looks, at least */
#define NOTES_KEPT 16

/* Something that was found. */
struct note {
	char *sentence; /* Owned */
	int64_t at_us; /* real time */
};

struct notes {
	GQueue list; /* Owned, of struct note: the last come first, and the oldest are dropped */
	unsigned times; /* how many there were */
};

/* About a NIC's function. */
struct finding {
	char *function; /* Owned; its name */
	struct notes notes;
};

struct health {
	struct agent *agent; /* Borrowed */
	GPtrArray *devices; /* Owned; NULL: none seen */
	GPtrArray *sentences; /* Owned, of text: of the last look */
	GPtrArray *standing; /* Owned, of text Borrowed from it: those that the look before had found, too */
	/* Owned, of struct physical_port, and what the site has of them; NULL: it is as it was configured. A job may read them:
	   they change when it has ended. */
	GPtrArray *physicals;
	struct switch_physical *ports;
	GHashTable *findings; /* Owned: uid of a NIC → struct finding */
	struct notes repairs;
	bool busy; /* a job is running */
	int64_t looked_us, next_us; /* monotonic: the last look, the next one */
};

struct health_job {
	struct health *health; /* main thread only */
	struct nic_provider *provider; /* NULL: none */
	const struct physicals_source *source; /* NULL: none */
	const GPtrArray *before; /* of struct physical_port; Borrowed */
	GPtrArray *physicals; /* Owned; NULL: there is no source */
	GPtrArray *sentences, *devices; /* Owned; NULL: the provider has no such call */
	int64_t began_us; /* monotonic: of what follows */
	GPtrArray *
		functions; /* Owned, of struct nic_function; NULL: the provider's are PCI devices, which lose no end */
};

/* ---- physical networks ---- */

static bool has_text(const GPtrArray *list, const char *text)
{
	return list && g_ptr_array_find_with_equal_func((GPtrArray *)list, text, g_str_equal, NULL);
}

/* Lists are of one host file. before: NULL at the start. */
static void log_changes(const struct physical_port *before, const struct physical_port *now)
{
	for (guint i = 0; i < now->conditions->len; i++)
		if (!has_text(before ? before->conditions : NULL, now->conditions->pdata[i]))
			log_warn("network", "%s", (char *)now->conditions->pdata[i]);
	if (now->pfs->len && before && (!before->pfs->len || !g_str_equal(before->interface, now->interface)))
		log_info("network", "physical network %s is on %s now", now->name, now->interface);
}

static bool is_same_port(const struct switch_physical *a, const struct switch_physical *b)
{
	return g_str_equal(a->interface, b->interface) && a->mtu == b->mtu && a->absent == b->absent &&
	       a->vxlans == b->vxlans;
}

/* Takes the list. The switch is told when it has changed. */
static void take_physicals(struct health *h, GPtrArray *physicals)
{
	struct agent *agent = h->agent;
	struct switch_physical *ports = physicals_for_switch(physicals);

	for (guint i = 0; i < physicals->len; i++) {
		log_changes(h->physicals ? h->physicals->pdata[i] : NULL, physicals->pdata[i]);
		if (!h->ports || !is_same_port(&h->ports[i], &ports[i]))
			agent->state_dirty = true;
	}
	agent->config.site.physicals = ports;
	agent->config.site.n_physicals = physicals->len;
	g_clear_pointer(&h->physicals, g_ptr_array_unref);
	g_free(h->ports);
	h->physicals = physicals;
	h->ports = ports;
}

static void find_physicals(struct health_job *job)
{
	if (!job->source)
		return;
	job->physicals = physicals_find(job->source, job->before);
	if (job->provider && job->provider->ops->follow) {
		g_autofree struct sriov_physical *list = physicals_for_provider(job->physicals);
		job->provider->ops->follow(job->provider, list, job->physicals->len);
	}
}

/* ---- looking ---- */

static void look(void *data)
{
	struct health_job *job = data;

	find_physicals(job);
	if (job->provider && job->provider->ops->check)
		job->sentences = job->provider->ops->check(job->provider);
	if (job->provider && job->provider->ops->survey)
		job->devices = job->provider->ops->survey(job->provider);
	job->began_us = g_get_monotonic_time();
	if (job->provider && !job->provider->caps->bypass)
		job->functions = job->provider->ops->list(job->provider);
}

/* ---- notes ---- */

static void note_free(struct note *note)
{
	g_free(note->sentence);
	g_free(note);
}

static void notes_add(struct notes *notes, const char *sentence)
{
	struct note *note = g_new(struct note, 1);

	*note = (struct note){g_strdup(sentence), g_get_real_time()};
	g_queue_push_head(&notes->list, note);
	notes->times++;
	if (notes->list.length > NOTES_KEPT)
		note_free(g_queue_pop_tail(&notes->list));
}

/* As if the last such note had never been. */
static void notes_withdraw(struct notes *notes, const char *sentence)
{
	for (GList *link = notes->list.head; link; link = link->next) {
		struct note *note = link->data;
		if (!g_str_equal(note->sentence, sentence))
			continue;
		g_queue_delete_link(&notes->list, link);
		note_free(note);
		notes->times--;
		return;
	}
}

/* NULL: there is none. */
static const struct note *notes_last(const struct notes *notes)
{
	return notes->list.head ? notes->list.head->data : NULL;
}

static void notes_clear(struct notes *notes)
{
	g_queue_clear_full(&notes->list, (GDestroyNotify)note_free);
}

/* ---- findings ---- */

static void finding_free(struct finding *finding)
{
	notes_clear(&finding->notes);
	g_free(finding->function);
	g_free(finding);
}

/* The NIC's function; NULL: it has none. */
static const char *function_of(const struct agent *agent, const char *nic)
{
	const struct ledger_nic *record = ledger_find_nic(agent->ledger, nic);

	return record ? record->function : NULL;
}

/* Whether the sentence, which names the NIC, is about the function that it has: an earlier one may be in quarantine. */
static bool is_about(const struct health *h, const char *function, const char *sentence)
{
	const struct nic_device *device = health_device(h, function);

	if (!device)
		return true;
	g_autofree char *by_name = g_strdup_printf("VF %u of %s ", device->index,
				device->pf_netdev ? device->pf_netdev : device->pf),
			*by_address = g_strdup_printf("VF %u of %s ", device->index, device->pf);
	return g_str_has_prefix(sentence, by_name) || g_str_has_prefix(sentence, by_address);
}

static bool is_about_nic(const struct health *h, const char *nic, const char *sentence)
{
	const char *function = function_of(h->agent, nic);

	return function && strstr(sentence, nic) && is_about(h, function, sentence);
}

/* About the NIC's function. */
static void note_finding_of(struct health *h, const char *nic, const char *function, const char *sentence)
{
	struct finding *finding = g_hash_table_lookup(h->findings, nic);

	if (!finding) {
		finding = g_new0(struct finding, 1);
		finding->function = g_strdup(function);
		g_hash_table_insert(h->findings, g_strdup(nic), finding);
	}
	notes_add(&finding->notes, sentence);
}

void health_note(struct health *h, const char *sentence)
{
	GHashTableIter iter;
	void *nic;

	log_warn("functions", "%s", sentence);
	notes_add(&h->repairs, sentence);
	g_hash_table_iter_init(&iter, h->agent->accels);
	while (g_hash_table_iter_next(&iter, &nic, NULL))
		if (is_about_nic(h, nic, sentence))
			note_finding_of(h, nic, function_of(h->agent, nic), sentence);
}

/* It was not repaired after all. */
static void withdraw(struct health *h, const char *sentence)
{
	GHashTableIter iter;
	void *finding;

	notes_withdraw(&h->repairs, sentence);
	g_hash_table_iter_init(&iter, h->findings);
	while (g_hash_table_iter_next(&iter, NULL, &finding))
		notes_withdraw(&((struct finding *)finding)->notes, sentence);
}

/* Another NIC's by now. */
static bool is_taken(const struct agent *agent, const char *nic, const char *function)
{
	for (guint i = 0; i < agent->ledger->nics->len; i++) {
		const struct ledger_nic *record = agent->ledger->nics->pdata[i];
		if (!g_str_equal(record->uid, nic) && g_strcmp0(record->function, function) == 0)
			return true;
	}
	return false;
}

/* Those that say nothing any more of what their NIC has. */
static void forget_findings(struct health *h)
{
	GHashTableIter iter;
	void *nic, *value;

	g_hash_table_iter_init(&iter, h->findings);
	while (g_hash_table_iter_next(&iter, &nic, &value)) {
		const struct finding *finding = value;
		const char *now = function_of(h->agent, nic);
		bool has_another = now && !g_str_equal(now, finding->function);
		if (has_another || is_taken(h->agent, nic, finding->function) ||
			!g_hash_table_contains(h->agent->accels, nic))
			g_hash_table_iter_remove(&iter);
	}
}

/* Functions that their NICs' guests should have, and no program has: their guests may have lost them unseen. */
static void doubt_unused(struct health *h)
{
	for (guint i = 0; h->devices && i < h->devices->len; i++) {
		const struct nic_device *device = h->devices->pdata[i];
		struct accel *accel = device->nic && device->use == NIC_USE_ARMED && !device->detail
					      ? g_hash_table_lookup(h->agent->accels, device->nic)
					      : NULL;
		if (accel)
			accel_doubt(accel);
	}
}

static void tell_losses(struct health *h, const struct health_job *job)
{
	for (guint i = 0; job->functions && i < job->functions->len; i++) {
		const struct nic_function *function = job->functions->pdata[i];
		struct accel *accel =
			function->loss ? g_hash_table_lookup(h->agent->accels, function->nic) : NULL;
		if (accel && !function->quarantined)
			accel_lose(accel, function->loss, job->began_us);
	}
}

/* What a look finds is new, and noted; or the look before had found it, too: then it stands. What stood and is not found any
 * more is over. */
static void take_sentences(struct health *h, GPtrArray *sentences)
{
	GPtrArray *standing = g_ptr_array_new();

	for (guint i = 0; sentences && i < sentences->len; i++) {
		const char *sentence = sentences->pdata[i];
		if (!has_text(h->sentences, sentence)) {
			health_note(h, sentence);
			h->next_us = h->looked_us + SOON_US;
			continue;
		}
		if (!has_text(h->standing, sentence))
			withdraw(h, sentence);
		g_ptr_array_add(standing, (char *)sentence);
	}
	for (guint i = 0; h->standing && i < h->standing->len; i++)
		if (!has_text(standing, h->standing->pdata[i]))
			log_info("functions", "not so any more: %s", (char *)h->standing->pdata[i]);
	g_clear_pointer(&h->standing, g_ptr_array_unref);
	g_clear_pointer(&h->sentences, g_ptr_array_unref);
	h->standing = standing;
	h->sentences = sentences;
}

static void looked(void *data)
{
	struct health_job *job = data;
	struct health *h = job->health;

	h->busy = false;
	h->looked_us = g_get_monotonic_time();
	h->next_us = MAX(h->next_us, h->looked_us + SOON_US);
	forget_findings(h);
	take_sentences(h, job->sentences);
	if (job->physicals)
		take_physicals(h, job->physicals);
	g_clear_pointer(&h->devices, g_ptr_array_unref);
	h->devices = job->devices;
	doubt_unused(h);
	tell_losses(h, job);
	g_clear_pointer(&job->functions, g_ptr_array_unref);
	agent_kick(h->agent);
	g_free(job);
}

void health_update(struct health *h)
{
	struct nic_provider *provider = h->agent->provider;
	const struct physicals_source *source = h->agent->config.physicals;

	if (h->busy || (!source && !provider))
		return;
	if (g_get_monotonic_time() < h->next_us) {
		agent_wake_at(h->agent, h->next_us);
		return;
	}
	struct health_job *job = g_new0(struct health_job, 1);
	job->health = h;
	job->provider = provider;
	job->source = source;
	job->before = h->physicals;
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
	return h->repairs.times;
}

const char *health_last_repair(const struct health *h)
{
	const struct note *last = notes_last(&h->repairs);

	return last ? last->sentence : NULL;
}

/* Owned by the caller. */
static char *time_text(int64_t time_us)
{
	g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(time_us / G_USEC_PER_SEC);

	return g_date_time_format(time, "%Y-%m-%dT%H:%M:%SZ");
}

char *health_last_repair_at(const struct health *h)
{
	const struct note *last = notes_last(&h->repairs);

	return last ? time_text(last->at_us) : NULL;
}

const GPtrArray *health_conditions(const struct health *h)
{
	return h->standing;
}

/* Of the NIC's function. New reference; NULL: there are none. */
static json_t *conditions_of(const struct health *h, const char *nic)
{
	json_t *list = NULL;

	for (guint i = 0; h->standing && i < h->standing->len; i++) {
		if (!is_about_nic(h, nic, h->standing->pdata[i]))
			continue;
		list = list ? list : json_array();
		json_array_append_new(list, json_string(h->standing->pdata[i]));
	}
	return list;
}

json_t *health_describe_finding(const struct health *h, const char *nic)
{
	const struct finding *finding = g_hash_table_lookup(h->findings, nic);
	const struct note *last = finding ? notes_last(&finding->notes) : NULL;
	json_t *conditions = conditions_of(h, nic);

	if (!last)
		return json_pack("{s:n, s:o*}", "repaired", "conditions", conditions);
	g_autofree char *at = time_text(last->at_us);
	return json_pack("{s:s, s:i, s:s, s:o*}", "repaired", last->sentence, "repairs",
		(int)finding->notes.times, "repaired_at", at, "conditions", conditions);
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

const GPtrArray *health_physicals(const struct health *h)
{
	return h->physicals;
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
	json_t *counters = vf_counters_encode(&device->counters);
	if (counters)
		json_object_set_new(json, "statistics", counters);
	return json;
}

/* ---- life ---- */

struct health *health_new(struct agent *agent)
{
	struct health *h = g_new0(struct health, 1);

	h->agent = agent;
	h->findings = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)finding_free);
	if (agent->config.physicals)
		take_physicals(h, physicals_find(agent->config.physicals, NULL));
	return h;
}

void health_free(struct health *h)
{
	if (!h)
		return;
	g_assert(!h->busy);
	g_clear_pointer(&h->devices, g_ptr_array_unref);
	g_clear_pointer(&h->standing, g_ptr_array_unref);
	g_clear_pointer(&h->sentences, g_ptr_array_unref);
	g_clear_pointer(&h->physicals, g_ptr_array_unref);
	g_free(h->ports);
	g_hash_table_unref(h->findings);
	notes_clear(&h->repairs);
	g_free(h);
}
