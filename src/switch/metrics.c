/* Metrics. Names follow Prometheus' conventions: a unit, `_total` behind what only grows, one meaning a name. */
#include "switch/metrics.h"

#include "switch/eal.h"
#include "switch/meter.h"
#include "switch/offloader.h"

/* ---- families ---- */

/* Adds a family and returns its samples, Borrowed. */
static json_t *add_family(json_t *families, const char *name, const char *type, const char *help)
{
	json_t *samples = json_array();

	json_array_append_new(families, json_pack("{s:s, s:s, s:s, s:o}", "name", name, "type", type, "help",
						help, "samples", samples));
	return samples;
}

/* Takes the labels. */
static void add_sample(json_t *samples, json_t *labels, uint64_t value)
{
	json_array_append_new(samples, json_pack("{s:o, s:I}", "labels", labels, "value", (json_int_t)value));
}

static void add_single(json_t *families, const char *name, const char *type, const char *help, uint64_t value)
{
	add_sample(add_family(families, name, type, help), json_object(), value);
}

static json_t *nic_labels(const struct nic *nic)
{
	return json_pack("{s:s, s:s}", "nic", nic->uid, "name", nic->name);
}

/* ---- the switch ---- */

static void add_workers(json_t *families, const struct datapath *datapath)
{
	json_t *samples;

#define X(counter, help)                                                                                     \
	samples = add_family(families, "sluice_switch_" #counter "_total", "counter", help);                 \
	for (unsigned i = 0; i < datapath->limits.workers; i++)                                              \
		add_sample(samples, json_pack("{s:o}", "worker", json_sprintf("%u", i)),                     \
			__atomic_load_n(&datapath->workers[i]->counters.counter, __ATOMIC_RELAXED));
	WORKER_COUNTERS(X)
#undef X
	samples = add_family(families, "sluice_switch_busy_cycles_total", "counter",
		"cycles of the processor's clock in which the worker had packets");
	for (unsigned i = 0; i < datapath->limits.workers; i++)
		add_sample(samples, json_pack("{s:o}", "worker", json_sprintf("%u", i)),
			__atomic_load_n(&datapath->workers[i]->busy_cycles, __ATOMIC_RELAXED));
}

static void add_switch(json_t *families, const struct datapath *datapath)
{
	const struct snapshot *snapshot = datapath_snapshot(datapath);

	add_sample(add_family(families, "sluice_switch_info", "gauge", "1, with the versions as labels"),
		json_pack("{s:s, s:s}", "version", SLUICE_VERSION, "dpdk", eal_version()), 1);
	add_single(families, "sluice_switch_generation", "gauge", "generation of the state that is in use",
		snapshot->generation);
	add_single(families, "sluice_switch_connections", "gauge", "connections in the flow table",
		flow_table_count(datapath->flows));
	add_single(families, "sluice_switch_connections_max", "gauge",
		"connections that the flow table has room for", flow_table_capacity(datapath->flows));
}

static void add_mirrors(json_t *families, const struct mirror_session *mirrors)
{
	const struct mirror_counters counters = mirror_session_counters(mirrors);

	add_single(families, "sluice_mirror_packets_total", "counter", "packets that a mirror was asked for",
		counters.wanted);
	add_single(families, "sluice_mirror_limited_total", "counter",
		"packets not copied: over the mirror's rate", counters.limited);
	add_single(families, "sluice_mirror_overrun_total", "counter",
		"packets not copied: the mirror's reader was too slow", counters.overrun);
}

/* ---- drops ---- */

static void add_drops(json_t *families, const struct datapath *datapath)
{
	const struct snapshot *snapshot = datapath_snapshot(datapath);
	json_t *all = add_family(families, "sluice_switch_dropped_packets_total", "counter",
		"packets dropped, by reason; `sluice drops --all` has a sentence for each");
	json_t *of_nics = add_family(families, "sluice_nic_dropped_packets_total", "counter",
		"packets of a NIC that were dropped, by reason; reasons that occurred");

	for (enum drop reason = DROP_NONE + 1; reason < DROP_COUNT; reason++)
		add_sample(all, json_pack("{s:s}", "reason", drop_word(reason)),
			datapath_drops(datapath, reason));
	for (unsigned slot = 0; slot < NIC_SLOTS; slot++) {
		const struct nic *nic = snapshot->nics[slot];
		for (enum drop reason = DROP_NONE + 1; nic && reason < DROP_COUNT; reason++) {
			uint64_t n = datapath_nic_drops(datapath, nic, reason);
			json_t *labels = n ? nic_labels(nic) : NULL;
			if (!n)
				continue;
			json_object_set_new(labels, "reason", json_string(drop_word(reason)));
			add_sample(of_nics, labels, n);
		}
	}
}

/* ---- ports ---- */

static const struct {
	const char *name, *help;
	size_t offset; /* in struct port_counters */
} port_metrics[] = {
	{"rx_packets_total", "packets that came in by the port; a NIC's: that its VM sent",
		offsetof(struct port_counters, rx_packets)},
	{"rx_bytes_total", "bytes of the packets that came in", offsetof(struct port_counters, rx_bytes)},
	{"tx_packets_total", "packets that left by the port; a NIC's: that its VM got",
		offsetof(struct port_counters, tx_packets)},
	{"tx_bytes_total", "bytes of the packets that left", offsetof(struct port_counters, tx_bytes)},
	{"tx_failed_packets_total", "packets that the receiver was not there for, or not fast enough",
		offsetof(struct port_counters, drops)},
};

static void add_port_sample(json_t *samples, const struct port *port, json_t *labels, size_t offset)
{
	const struct port_counters sum = port_counters_sum(port);

	add_sample(samples, labels, *(const uint64_t *)((const uint8_t *)&sum + offset));
}

static json_t *attachment_labels(const struct nic *nic, const struct attachment *attachment)
{
	json_t *labels = nic_labels(nic);

	json_object_set_new(labels, "attachment",
		json_string(attachment->kind == ATTACHMENT_SYNTHETIC ? "synthetic" : "function"));
	return labels;
}

static void add_nic_ports(json_t *families, const struct snapshot *snapshot, size_t metric)
{
	g_autofree char *name = g_strdup_printf("sluice_nic_%s", port_metrics[metric].name);
	json_t *samples = add_family(families, name, "counter", port_metrics[metric].help);

	for (unsigned slot = 0; slot < NIC_SLOTS; slot++) {
		const struct nic *nic = snapshot->nics[slot];
		for (unsigned i = 0; nic && i < nic->n_attachments; i++)
			if (nic->attachments[i].port)
				add_port_sample(samples, nic->attachments[i].port,
					attachment_labels(nic, &nic->attachments[i]),
					port_metrics[metric].offset);
	}
}

static void add_edge_ports(json_t *families, const struct snapshot *snapshot, size_t metric)
{
	g_autofree char *name = g_strdup_printf("sluice_edge_%s", port_metrics[metric].name);
	json_t *samples = add_family(families, name, "counter", port_metrics[metric].help);

	if (snapshot->outside.port)
		add_port_sample(samples, snapshot->outside.port, json_pack("{s:s}", "edge", "outside"),
			port_metrics[metric].offset);
	if (snapshot->host.port)
		add_port_sample(samples, snapshot->host.port, json_pack("{s:s}", "edge", "host"),
			port_metrics[metric].offset);
	if (snapshot->underlay.edge.port)
		add_port_sample(samples, snapshot->underlay.edge.port, json_pack("{s:s}", "edge", "underlay"),
			port_metrics[metric].offset);
	for (unsigned slot = 0; slot < PHYSICAL_SLOTS; slot++) {
		const struct physical *physical = &snapshot->physicals[slot];
		if (physical->edge.port)
			add_port_sample(samples, physical->edge.port,
				json_pack("{s:s, s:s}", "edge", "physical", "physical", physical->name),
				port_metrics[metric].offset);
	}
}

static void add_nics(json_t *families, const struct datapath *datapath)
{
	const struct snapshot *snapshot = datapath_snapshot(datapath);
	json_t *connections = add_family(families, "sluice_nic_connections", "gauge",
		"connections that the NIC began, or that an edge began with it");
	json_t *ready = add_family(families, "sluice_nic_attachment_ready", "gauge",
		"1: packets flow by the attachment, 0: nobody is there, or it failed");
	json_t *active = add_family(families, "sluice_nic_attachment_active", "gauge",
		"1: packets to the NIC go by the attachment");

	for (unsigned slot = 0; slot < NIC_SLOTS; slot++) {
		const struct nic *nic = snapshot->nics[slot];
		if (nic)
			add_sample(
				connections, nic_labels(nic), atomic_load(&datapath->nic_connections[slot]));
		for (unsigned i = 0; nic && i < nic->n_attachments; i++) {
			const struct attachment *attachment = &nic->attachments[i];
			const struct port *port = attachment->port;
			add_sample(ready, attachment_labels(nic, attachment),
				port && port->ops->state(port) == PORT_READY);
			add_sample(active, attachment_labels(nic, attachment), attachment->active);
		}
	}
}

static void add_meters(json_t *families, const struct datapath *datapath)
{
	const struct snapshot *snapshot = datapath_snapshot(datapath);
	json_t *times = add_family(families, "sluice_nic_holds_total", "counter",
		"times that the NIC was not polled any more, as it had sent what its limit lets it");
	json_t *ms = add_family(families, "sluice_nic_held_milliseconds_total", "counter",
		"time that it was not polled for that");

	for (unsigned slot = 0; slot < NIC_SLOTS; slot++) {
		const struct nic *nic = snapshot->nics[slot];
		if (!nic || !limit_is_set(&nic->send))
			continue;
		const struct meter_holds holds = meter_holds_of(&datapath->meters[slot], nic);
		add_sample(times, nic_labels(nic), holds.times);
		add_sample(ms, nic_labels(nic), holds.ms);
	}
}

/* ---- offload ---- */

static const struct {
	const char *name, *help;
	size_t offset; /* in struct offload_counts */
} offload_metrics[] = {
	{"sluice_offload_installed_total", "directions of connections that an eswitch took",
		offsetof(struct offload_counts, installed)},
	{"sluice_offload_refused_total", "directions that it did not take",
		offsetof(struct offload_counts, refused)},
	{"sluice_offload_evicted_total", "directions that it threw out",
		offsetof(struct offload_counts, evicted)},
	{"sluice_offload_deaths_total", "times that the eswitch went away with all that it had",
		offsetof(struct offload_counts, deaths)},
};

static const struct {
	const char *name, *help;
	size_t offset; /* in struct offloader_nic, a uint64_t */
} offload_nic_metrics[] = {
	{"sluice_nic_offload_rx_packets_total", "packets that the VM sent and an eswitch carried",
		offsetof(struct offloader_nic, sent.packets)},
	{"sluice_nic_offload_rx_bytes_total", "bytes of these", offsetof(struct offloader_nic, sent.bytes)},
	{"sluice_nic_offload_tx_packets_total", "packets that an eswitch brought to the VM",
		offsetof(struct offloader_nic, received.packets)},
	{"sluice_nic_offload_tx_bytes_total", "bytes of these",
		offsetof(struct offloader_nic, received.bytes)},
};

static uint64_t number_at(const void *object, size_t offset)
{
	uint64_t number;

	memcpy(&number, (const char *)object + offset, sizeof number);
	return number;
}

static void add_offload_nics(
	json_t *families, const struct snapshot *snapshot, const struct offloader_report *report)
{
	json_t *flows = add_family(families, "sluice_nic_offload_flows", "gauge",
		"directions of connections that an eswitch executes: sent by the NIC, or come to it from an "
		"edge");

	for (unsigned slot = 0; slot < NIC_SLOTS; slot++)
		if (snapshot->nics[slot] && report->nics[slot].wanted)
			add_sample(flows, nic_labels(snapshot->nics[slot]),
				report->nics[slot].states[OFFLOAD_STATE_INSTALLED]);
	for (size_t i = 0; i < G_N_ELEMENTS(offload_nic_metrics); i++) {
		json_t *samples = add_family(
			families, offload_nic_metrics[i].name, "counter", offload_nic_metrics[i].help);
		for (unsigned slot = 0; slot < NIC_SLOTS; slot++)
			if (snapshot->nics[slot] && report->nics[slot].wanted)
				add_sample(samples, nic_labels(snapshot->nics[slot]),
					number_at(&report->nics[slot], offload_nic_metrics[i].offset));
	}
}

/* Nothing where there is no eswitch. */
static void add_offload(json_t *families, const struct datapath *datapath)
{
	_cleanup_(offloader_report_free) struct offloader_report *report =
		offloader_report(datapath->offloader);

	if (!report)
		return;
	json_t *states = add_family(families, "sluice_offload_flows", "gauge",
		"directions of connections that were offered to an eswitch, by what became of them");
	for (unsigned state = OFFLOAD_STATE_NONE + 1; state < OFFLOAD_STATES; state++)
		add_sample(states, json_pack("{s:s}", "state", offload_state_word((enum offload_state)state)),
			report->counts.states[state]);
	for (size_t i = 0; i < G_N_ELEMENTS(offload_metrics); i++)
		add_single(families, offload_metrics[i].name, "counter", offload_metrics[i].help,
			number_at(&report->counts, offload_metrics[i].offset));
	add_offload_nics(families, datapath_snapshot(datapath), report);
}

json_t *metrics_encode(const struct datapath *datapath, const struct mirror_session *mirrors)
{
	const struct snapshot *snapshot = datapath_snapshot(datapath);
	json_t *families = json_array();

	add_switch(families, datapath);
	add_workers(families, datapath);
	add_drops(families, datapath);
	add_nics(families, datapath);
	add_meters(families, datapath);
	add_offload(families, datapath);
	for (size_t metric = 0; metric < G_N_ELEMENTS(port_metrics); metric++) {
		add_nic_ports(families, snapshot, metric);
		add_edge_ports(families, snapshot, metric);
	}
	add_mirrors(families, mirrors);
	return families;
}
