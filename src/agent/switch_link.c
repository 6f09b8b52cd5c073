/* Keeps the switch at the wanted state. */
#include "agent/switch_link.h"

#include "agent/jobs.h"
#include "base/failpoint.h"
#include "base/fault.h"
#include "base/jsonrpc.h"
#include "base/log.h"

#define QUERY_TIMEOUT_MS 3000
#define APPLY_TIMEOUT_MS 30000
#define CALL_TIMEOUT_MS  30000
#define REFUSED_RETRY_US (5 * G_USEC_PER_SEC) /* before a state that the switch refused is offered again */
#define PROTOCOL         1

struct switch_link {
	struct switch_link_config config;
	char *socket;
	struct jsonrpc_client *client; /* Owned; used only in rounds */
	struct jobs *jobs; /* Owned; one thread */
	json_t *wanted; /* Owned; NULL: nothing yet */
	uint64_t wanted_number;
	uint64_t confirmed;
	int64_t pid; /* of the switch that answered last; 0: it did not, nothing is offered */
	int64_t floor; /* generation that the switch had when we met it */
	GHashTable *nics; /* Owned: uid → struct switch_nic */
	int64_t refused_until_us; /* the wanted state was refused: not offered before */
	GError *error;
	bool eager, busy, stopping;
	int64_t waited_from_us; /* while eager */
	guint timer;
};

/* One round: copies in, answers out. */
struct round {
	struct switch_link *link;
	int64_t known_pid;
	json_t *state; /* Owned: with its generation; NULL: nothing to apply */
	uint64_t number;
	int64_t pid, floor;
	bool met; /* the switch is another process than the known one; nothing was applied */
	json_t *list; /* Owned */
	GError *error;
};

static void schedule(struct switch_link *link, unsigned ms);

/* ---- in the round's thread ---- */

static json_t *call(struct round *round, const char *method, json_t *params, unsigned timeout_ms)
{
	return jsonrpc_call(round->link->client, method, params, timeout_ms, &round->error);
}

static bool ask_version(struct round *round)
{
	json_auto_t *version = call(round, "version", NULL, QUERY_TIMEOUT_MS);
	json_int_t protocol = json_integer_value(json_object_get(version, "protocol"));

	if (!version)
		return false;
	round->pid = json_integer_value(json_object_get(version, "pid"));
	round->met = round->pid != round->known_pid;
	return protocol == PROTOCOL ||
	       fault_set(&round->error, FAULT_UNSUPPORTED,
		       "the switch speaks protocol %d, this agent %d; run programs of one version",
		       (int)protocol, PROTOCOL);
}

static void run_round(void *data)
{
	struct round *round = data;

	if (!ask_version(round))
		return;
	if (round->met) {
		json_auto_t *state = call(round, "state", NULL, QUERY_TIMEOUT_MS);
		round->floor = json_integer_value(json_object_get(state, "generation"));
		return;
	}
	if (round->state) {
		json_auto_t *applied = call(round, "apply", json_incref(round->state), APPLY_TIMEOUT_MS);
		if (!applied)
			return;
		failpoint(FAILPOINT_AGENT_SWITCH_APPLIED);
	}
	round->list = call(round, "nic.list", NULL, QUERY_TIMEOUT_MS);
}

/* ---- in the main thread ---- */

static void switch_nic_free(void *data)
{
	struct switch_nic *nic = data;

	g_free(nic->synthetic.error);
	g_free(nic->function.error);
	g_free(nic->offload_reason);
	g_free(nic);
}

static enum switch_port_state port_state(const char *word)
{
	if (g_strcmp0(word, "ready") == 0)
		return SWITCH_PORT_READY;
	return g_strcmp0(word, "failed") == 0 ? SWITCH_PORT_FAILED : SWITCH_PORT_WAITING;
}

static void read_attachment(const json_t *json, struct switch_nic *nic)
{
	const char *kind = json_string_value(json_object_get(json, "kind"));
	struct switch_attachment *attachment =
		g_strcmp0(kind, "function") == 0 ? &nic->function : &nic->synthetic;

	g_free(attachment->error);
	*attachment = (struct switch_attachment){
		.present = true,
		.state = port_state(json_string_value(json_object_get(json, "state"))),
		.rx_packets = json_integer_value(json_object_get(json, "rx_packets")),
		.answered = json_is_true(json_object_get(json, "answered")),
		.error = g_strdup(json_string_value(json_object_get(json, "error"))),
	};
}

/* What most flows were refused for; NULL: none was. Borrowed. */
static const char *first_reason(json_t *reasons)
{
	const char *reason, *found = NULL;
	json_int_t most = 0;
	json_t *n;

	json_object_foreach(reasons, reason, n)
	{
		if (json_integer_value(n) > most) {
			most = json_integer_value(n);
			found = reason;
		}
	}
	return found;
}

static void read_offload(const json_t *offload, struct switch_nic *nic)
{
	const char *error = json_string_value(json_object_get(offload, "error"));

	nic->offloaded = json_is_string(json_object_get(offload, "provider"));
	nic->offloaded_flows = json_integer_value(json_object_get(offload, "installed"));
	bool refuses = json_integer_value(json_object_get(offload, "refused")) > 0;
	if (!error && refuses && nic->offloaded_flows == 0)
		error = first_reason(json_object_get(offload, "reasons"));
	nic->offload_reason = g_strdup(error);
}

static void read_list(struct switch_link *link, const json_t *list)
{
	size_t i, j;
	json_t *entry, *attachment;

	g_hash_table_remove_all(link->nics);
	json_array_foreach(list, i, entry)
	{
		const char *uid = json_string_value(json_object_get(entry, "uid"));
		struct switch_nic *nic = g_new0(struct switch_nic, 1);
		json_array_foreach(json_object_get(entry, "attachments"), j, attachment)
			read_attachment(attachment, nic);
		read_offload(json_object_get(entry, "offload"), nic);
		g_hash_table_replace(link->nics, g_strdup(uid ? uid : ""), nic);
	}
}

/* Logs an error once, when it is new. */
static void note_error(struct switch_link *link, GError *error)
{
	if (error && g_strcmp0(link->error ? link->error->message : NULL, error->message) != 0)
		log_warn("switch", "%s", error->message);
	if (!error && link->error)
		log_info("switch", "it answers again");
	g_clear_error(&link->error);
	link->error = error;
}

/* Whether the next round has something to apply. */
static bool is_due(const struct switch_link *link)
{
	return link->wanted && link->pid != 0 && link->confirmed != link->wanted_number &&
	       g_get_monotonic_time() >= link->refused_until_us;
}

static unsigned next_delay(const struct switch_link *link)
{
	int64_t waited_ms = (g_get_monotonic_time() - link->waited_from_us) / 1000;

	if (is_due(link))
		return 0;
	if (!link->eager)
		return link->config.idle_ms;
	return (unsigned)MAX(MIN(waited_ms / 4, link->config.idle_ms), link->config.eager_ms);
}

/* What the round says about the switch itself. */
static void note_switch(struct switch_link *link, const struct round *round)
{
	bool refused = round->error && round->state && fault_code(round->error) != FAULT_UNAVAILABLE;

	if (round->error || round->met)
		link->confirmed = 0;
	if (refused)
		link->refused_until_us = g_get_monotonic_time() + REFUSED_RETRY_US;
	else if (round->error)
		link->pid = 0;
	if (round->error)
		return;
	if (round->met) {
		link->pid = round->pid;
		link->floor = MAX(link->floor, round->floor);
	} else if (round->number != 0) {
		link->confirmed = round->number;
	}
}

static void finish_round(void *data)
{
	struct round *round = data;
	struct switch_link *link = round->link;

	link->busy = false;
	note_switch(link, round);
	if (round->list)
		read_list(link, round->list);
	note_error(link, g_steal_pointer(&round->error));
	schedule(link, next_delay(link));
	json_decref(round->state);
	json_decref(round->list);
	g_free(round);
	if (!link->stopping)
		link->config.changed(link->config.data);
}

/* Puts the wanted state into the round, under a generation of its own. */
static bool add_state(struct switch_link *link, struct round *round, GError **error)
{
	int64_t generation = link->config.next_generation(link->floor, link->config.data, error);

	if (generation < 0)
		return false;
	failpoint(FAILPOINT_AGENT_SWITCH_GENERATION);
	round->state = json_copy(link->wanted);
	json_object_set_new(round->state, "generation", json_integer(generation));
	round->number = link->wanted_number;
	return true;
}

static gboolean start_round(void *data)
{
	struct switch_link *link = data;
	g_autoptr(GError) error = NULL;
	struct round *round = g_new0(struct round, 1);

	link->timer = 0;
	round->link = link;
	round->known_pid = link->pid;
	if (is_due(link) && !add_state(link, round, &error)) {
		note_error(link, g_steal_pointer(&error));
		g_free(round);
		schedule(link, link->config.idle_ms);
		return G_SOURCE_REMOVE;
	}
	link->busy = true;
	jobs_run(link->jobs, run_round, finish_round, round);
	return G_SOURCE_REMOVE;
}

static void schedule(struct switch_link *link, unsigned ms)
{
	if (link->busy || link->stopping)
		return;
	g_clear_handle_id(&link->timer, g_source_remove);
	link->timer = g_timeout_add(ms, start_round, link);
}

struct switch_link *switch_link_new(const struct switch_link_config *config)
{
	struct switch_link *link = g_new0(struct switch_link, 1);

	link->config = *config;
	link->socket = g_strdup(config->socket);
	link->client = jsonrpc_client_new(link->socket);
	link->jobs = jobs_new(1);
	link->nics = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, switch_nic_free);
	schedule(link, 0);
	return link;
}

void switch_link_free(struct switch_link *link)
{
	if (!link)
		return;
	link->stopping = true;
	g_clear_handle_id(&link->timer, g_source_remove);
	jobs_drain(link->jobs);
	jobs_free(link->jobs);
	jsonrpc_client_free(link->client);
	g_hash_table_unref(link->nics);
	g_clear_error(&link->error);
	json_decref(link->wanted);
	g_free(link->socket);
	g_free(link);
}

/* ---- other questions ---- */

struct question {
	struct switch_link *link;
	char *method;
	json_t *params, *answer; /* Owned */
	switch_link_answer_fn done;
	void *data;
	GError *error;
};

static void run_question(void *data)
{
	struct question *question = data;

	question->answer = jsonrpc_call(question->link->client, question->method,
		g_steal_pointer(&question->params), CALL_TIMEOUT_MS, &question->error);
}

static void finish_question(void *data)
{
	struct question *question = data;

	question->done(question->answer, question->error, question->data);
	json_decref(question->answer);
	g_clear_error(&question->error);
	g_free(question->method);
	g_free(question);
}

void switch_link_call(
	struct switch_link *link, const char *method, json_t *params, switch_link_answer_fn done, void *data)
{
	struct question *question = g_new0(struct question, 1);

	*question = (struct question){
		.link = link, .method = g_strdup(method), .params = params, .done = done, .data = data};
	jobs_run(link->jobs, run_question, finish_question, question);
}

uint64_t switch_link_want(struct switch_link *link, json_t *state)
{
	if (link->wanted && json_equal(link->wanted, state)) {
		json_decref(state);
		return link->wanted_number;
	}
	json_decref(link->wanted);
	link->wanted = state;
	link->wanted_number++;
	link->refused_until_us = 0;
	link->waited_from_us = g_get_monotonic_time();
	schedule(link, 0);
	return link->wanted_number;
}

uint64_t switch_link_confirmed(const struct switch_link *link)
{
	return link->confirmed;
}

const struct switch_nic *switch_link_nic(const struct switch_link *link, const char *uid)
{
	return g_hash_table_lookup(link->nics, uid);
}

const GError *switch_link_error(const struct switch_link *link)
{
	return link->error;
}

void switch_link_hurry(struct switch_link *link)
{
	link->waited_from_us = g_get_monotonic_time();
	if (link->eager)
		schedule(link, next_delay(link));
}

void switch_link_set_eager(struct switch_link *link, bool eager)
{
	bool begins = eager && !link->eager;

	link->eager = eager;
	if (begins)
		switch_link_hurry(link);
}
