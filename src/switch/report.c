/* Reports: see report.h. Counters are read while workers write them: each is exact, together they are of
 * about now. */
#include "switch/report.h"

#include "switch/bypass.h"
#include "switch/decode.h"
#include "switch/load_balancer.h"
#include "switch/lookup.h"
#include "switch/meter.h"
#include "switch/offloader.h"
#include "switch/takeover.h"
#include "switch/wire.h"

#include <rte_cycles.h>

/* ---- NICs ---- */

/* What `member` of it says, its state and its counters; NULL: it has no port. */
static json_t *encode_port(const char *member, const char *value, const struct port *port)
{
	if (!port)
		return json_pack("{s:s, s:s, s:s}", member, value, "state", port_state_word(PORT_FAILED),
			"error", "no port is free");
	struct port_counters sum = port_counters_sum(port);
	json_t *object = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I}", member, value, "state",
		port_state_word(port->ops->state(port)), "rx_packets", (json_int_t)sum.rx_packets, "rx_bytes",
		(json_int_t)sum.rx_bytes, "tx_packets", (json_int_t)sum.tx_packets, "tx_bytes",
		(json_int_t)sum.tx_bytes, "drops", (json_int_t)sum.drops);
	const char *error = port->below ? port->below->error : port->error;
	if (error)
		json_object_set_new(object, "error", json_string(error));
	return object;
}

static json_t *encode_attachment(
	const struct datapath *datapath, const struct nic *nic, const struct attachment *attachment)
{
	json_t *object = encode_port("kind",
		attachment->kind == ATTACHMENT_SYNTHETIC ? "synthetic" : "function", attachment->port);

	if (attachment->physical) {
		json_object_set_new(object, "physical", json_string(nic->network->physical->name));
		json_object_set_new(object, "answered", json_boolean(bypass_has_answered(datapath, nic)));
	}
	return object;
}

static const char *active_word(const struct nic *nic)
{
	unsigned n = 0;
	enum attachment_kind kind = ATTACHMENT_SYNTHETIC;

	for (unsigned i = 0; i < nic->n_attachments; i++) {
		if (nic->attachments[i].active) {
			kind = nic->attachments[i].kind;
			n++;
		}
	}
	return n == 2 ? "both" : kind == ATTACHMENT_SYNTHETIC ? "synthetic" : "function";
}

/* Reasons that occurred. */
static json_t *encode_drops(const struct datapath *datapath, const struct nic *nic)
{
	json_t *drops = json_object();

	for (enum drop reason = DROP_NONE + 1; reason < DROP_COUNT; reason++) {
		uint64_t n = datapath_nic_drops(datapath, nic, reason);
		if (n)
			json_object_set_new(drops, drop_word(reason), json_integer((json_int_t)n));
	}
	return drops;
}

static json_t *encode_reasons(GHashTable *reasons)
{
	json_t *object = json_object();
	GHashTableIter iter;
	gpointer reason, n;

	if (reasons)
		g_hash_table_iter_init(&iter, reasons);
	while (reasons && g_hash_table_iter_next(&iter, &reason, &n))
		json_object_set_new(object, reason, json_integer(GPOINTER_TO_UINT(n)));
	return object;
}

/* Where the NIC is on an eswitch. */
static void add_offload(json_t *object, const struct offloader_report *report, unsigned slot)
{
	const struct offloader_nic *nic = report ? &report->nics[slot] : NULL;

	if (!nic || !nic->wanted)
		return;
	json_object_set_new(object, "offload",
		json_pack("{s:s?, s:s*, s:i, s:i, s:o, s:I, s:I, s:I, s:I}", "provider", report->provider,
			"error", report->error, "installed", (int)nic->states[OFFLOAD_STATE_INSTALLED],
			"refused", (int)nic->states[OFFLOAD_STATE_REFUSED], "reasons",
			encode_reasons(nic->reasons), "rx_packets", (json_int_t)nic->sent.packets, "rx_bytes",
			(json_int_t)nic->sent.bytes, "tx_packets", (json_int_t)nic->received.packets,
			"tx_bytes", (json_int_t)nic->received.bytes));
}

json_t *report_nics(const struct datapath *datapath)
{
	_cleanup_(offloader_report_free) struct offloader_report *offload =
		offloader_report(datapath->offloader);
	const struct snapshot *snapshot = datapath_snapshot(datapath);
	const struct polling *polling = datapath_polling(datapath);
	json_t *list = json_array();

	for (unsigned slot = 0; slot < NIC_SLOTS; slot++) {
		const struct nic *nic = snapshot->nics[slot];
		if (!nic || nic->load_balancer)
			continue;
		json_t *attachments = json_array();
		for (unsigned i = 0; i < nic->n_attachments; i++)
			json_array_append_new(
				attachments, encode_attachment(datapath, nic, &nic->attachments[i]));
		const struct meter_holds holds = meter_holds_of(&datapath->meters[slot], nic);
		json_array_append_new(
			list, json_pack("{s:s, s:s, s:s, s:i, s:o, s:I, s:I, s:I, s:o}", "uid", nic->uid,
				      "name", nic->name, "active", active_word(nic), "worker",
				      (int)polling->nics[slot], "attachments", attachments, "flows",
				      (json_int_t)atomic_load(&datapath->nic_connections[slot]), "holds",
				      (json_int_t)holds.times, "held_ms", (json_int_t)holds.ms, "drops",
				      encode_drops(datapath, nic)));
		add_offload(json_array_get(list, json_array_size(list) - 1), offload, slot);
	}
	return list;
}

/* ---- load balancers ---- */

static json_t *encode_rule(const struct load_rule *rule)
{
	json_t *members = json_array();
	char text[IP_TEXT_MAX];

	for (unsigned i = 0; i < rule->n_members; i++)
		json_array_append_new(
			members, json_pack("{s:s, s:b}", "ip", ip_format(rule->members[i].ip, text),
					 "healthy", rule->members[i].healthy));
	return json_pack("{s:s, s:s, s:s, s:i, s:i, s:b, s:s, s:o}", "name", rule->name, "address",
		ip_format(rule->address, text), "protocol", rule->protocol == PROTO_UDP ? "udp" : "tcp",
		"port", (int)be16toh(rule->port), "member_port", (int)be16toh(rule->member_port), "floating",
		rule->floating, "distribution", load_distribution_words[rule->distribution], "members",
		members);
}

static json_t *encode_balancer(const struct datapath *datapath, const struct nic *nic)
{
	bool internal = nic->load_balancer->internal;
	json_t *addresses = json_array(), *rules = json_array();
	char text[IP_TEXT_MAX];

	for (unsigned i = 0; i < nic->n_addresses; i++)
		json_array_append_new(addresses,
			json_string(ip_format(
				internal ? nic->addresses[i].ip : nic->addresses[i].public_ip, text)));
	for (unsigned i = 0; i < nic->load_balancer->n_rules; i++)
		json_array_append_new(rules, encode_rule(&nic->load_balancer->rules[i]));
	return json_pack("{s:s, s:s, s:b, s:b, s:o, s:o, s:I, s:o}", "uid", nic->uid, "name", nic->name,
		"internal", internal, "yielded", takeover_has_yielded(datapath, nic), "addresses", addresses,
		"rules", rules, "flows",
		(json_int_t)atomic_load(&datapath->nic_connections[nic_slot(nic->id)]), "drops",
		encode_drops(datapath, nic));
}

json_t *report_balancers(const struct datapath *datapath)
{
	const struct snapshot *snapshot = datapath_snapshot(datapath);
	json_t *list = json_array();

	for (unsigned slot = 0; slot < NIC_SLOTS; slot++)
		if (snapshot->nics[slot] && snapshot->nics[slot]->load_balancer)
			json_array_append_new(list, encode_balancer(datapath, snapshot->nics[slot]));
	return list;
}

/* ---- edges ---- */

static void add_edge(json_t *list, const char *word, const struct edge *edge)
{
	if (edge->present)
		json_array_append_new(list, encode_port("edge", word, edge->port));
}

json_t *report_edges(const struct datapath *datapath)
{
	const struct snapshot *snapshot = datapath_snapshot(datapath);
	json_t *list = json_array();

	add_edge(list, "outside", &snapshot->outside);
	add_edge(list, "host", &snapshot->host);
	add_edge(list, "underlay", &snapshot->underlay.edge);
	for (unsigned slot = 0; slot < PHYSICAL_SLOTS; slot++) {
		const struct physical *physical = &snapshot->physicals[slot];
		add_edge(list, "physical", &physical->edge);
		if (physical->edge.present)
			json_object_set_new(json_array_get(list, json_array_size(list) - 1), "physical",
				json_string(physical->name));
	}
	return list;
}

/* ---- workers ---- */

static json_t *encode_source(const struct snapshot *snapshot, const struct source *source)
{
	const struct nic *nic = snapshot_nic(snapshot, source->nic);
	json_t *object = json_pack("{s:s, s:i}", "port", source->port->name, "queue", (int)source->queue);

	if (source->origin == FLOW_FROM_NIC && nic)
		json_object_set_new(object, "nic", json_string(nic->uid));
	return object;
}

static uint64_t microseconds(uint64_t cycles)
{
	uint64_t hz = rte_get_tsc_hz();

	return cycles / hz * G_USEC_PER_SEC + cycles % hz * G_USEC_PER_SEC / hz;
}

static json_t *encode_worker(const struct datapath *datapath, unsigned index)
{
	const struct worker *worker = datapath->workers[index];
	const GArray *sources = datapath_polling(datapath)->sources[index];
	json_t *polls = json_array();

	for (unsigned i = 0; i < sources->len; i++)
		json_array_append_new(polls, encode_source(datapath_snapshot(datapath),
						     &g_array_index(sources, struct source, i)));
	return json_pack("{s:i, s:I, s:I, s:I, s:o}", "worker", (int)index, "busy_us",
		(json_int_t)microseconds(__atomic_load_n(&worker->busy_cycles, __ATOMIC_RELAXED)),
		"rx_packets", (json_int_t)__atomic_load_n(&worker->counters.rx, __ATOMIC_RELAXED),
		"tx_packets", (json_int_t)__atomic_load_n(&worker->counters.tx, __ATOMIC_RELAXED), "polls",
		polls);
}

json_t *report_workers(const struct datapath *datapath)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < datapath->limits.workers; i++)
		json_array_append_new(list, encode_worker(datapath, i));
	return list;
}

/* ---- counters ---- */

static const struct decode_member drop_members[] = {
	{"nic", decode_word, 0, .optional = true},
	{},
};

json_t *report_drops(const struct datapath *datapath, json_t *params, GError **error)
{
	const struct nic *nic = NULL;
	const char *word = NULL;

	if (!decode_params(params, drop_members, &word, error) ||
		(word && !(nic = lookup_nic(datapath_snapshot(datapath), word, error))))
		return NULL;
	json_t *list = json_array();
	for (enum drop reason = DROP_NONE + 1; reason < DROP_COUNT; reason++) {
		uint64_t n =
			nic ? datapath_nic_drops(datapath, nic, reason) : datapath_drops(datapath, reason);
		json_array_append_new(list, json_pack("{s:s, s:s, s:I}", "reason", drop_word(reason), "text",
						    drop_text(reason), "packets", (json_int_t)n));
	}
	return list;
}

json_t *report_counters(const struct datapath *datapath)
{
	const struct worker_counters counters = datapath_counters(datapath);
	json_t *object = json_object();

#define X(name, help) json_object_set_new(object, #name, json_integer((json_int_t)counters.name));
	WORKER_COUNTERS(X)
#undef X
	json_object_set_new(object, "flows", json_integer(flow_table_count(datapath->flows)));
	json_object_set_new(object, "flow_capacity", json_integer(flow_table_capacity(datapath->flows)));
	return object;
}
