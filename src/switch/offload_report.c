/* What is told of offload: see offloader.h. */
#include "switch/offloader_priv.h"

void offloader_flow_clear(struct offloader_flow *flow)
{
	g_free(flow->reason);
}

struct offload_stats offloader_carried(struct offloader *o, const struct flow *flow, const struct flow *pair)
{
	uint64_t id = offload_flows_id(flow, pair);
	struct offload_stats carried = {};

	if (!o || !o->used)
		return carried;
	offloader_lock(o);
	const struct offered *offered = g_hash_table_lookup(o->flows, &id);
	if (offered)
		carried = offered->carried;
	offloader_unlock(o);
	return carried;
}

/* Why the eswitch does not have it; NULL: it has, or nobody wants that. */
static const char *why_not(const struct offloader *o, const struct flow *flow, const struct offered *offered,
	const struct offload_flow_report *report)
{
	unsigned slot = nic_slot(offload_choice_nic(flow));

	if (report->state != OFFLOAD_STATE_NONE)
		return report->reason;
	if (offered && offered->unable)
		return offered->unable;
	return slot < NIC_SLOTS && o->is_wanted[slot] && o->error ? o->error->message : NULL;
}

struct offloader_flow offloader_look(struct offloader *o, const struct flow *flow, const struct flow *pair)
{
	uint64_t id = offload_flows_id(flow, pair);
	struct offloader_flow ret = {};

	if (!o || !o->used)
		return ret;
	offloader_lock(o);
	const struct offered *offered = g_hash_table_lookup(o->flows, &id);
	const struct offload_flow_report report = offload_manager_find(o->manager, id);
	ret.state = report.state;
	ret.reason = g_strdup(why_not(o, flow, offered, &report));
	if (offered)
		ret.carried = offered->carried;
	offloader_unlock(o);
	return ret;
}

/* ---- all ---- */

static void add_reason(struct offloader_nic *nic, const char *reason)
{
	if (!nic->reasons)
		nic->reasons = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	guint n = GPOINTER_TO_UINT(g_hash_table_lookup(nic->reasons, reason));
	g_hash_table_replace(nic->reasons, g_strdup(reason), GUINT_TO_POINTER(n + 1));
}

static void add_flow(
	const struct offloader *o, struct offloader_report *report, const struct offered *offered)
{
	const struct offload_flow_report flow = offload_manager_find(o->manager, offered->id);
	const char *reason = flow.state == OFFLOAD_STATE_NONE ? offered->unable : flow.reason;
	struct offloader_nic *nic = &report->nics[nic_slot(offered->nic) % NIC_SLOTS];

	if (!snapshot_nic(datapath_snapshot(o->datapath), offered->nic))
		return;
	nic->states[flow.state]++;
	if (reason && flow.state != OFFLOAD_STATE_EVICTING)
		add_reason(nic, reason);
}

static void add_nics(const struct offloader *o, struct offloader_report *report)
{
	const struct snapshot *snapshot = datapath_snapshot(o->datapath);

	for (unsigned slot = 0; slot < NIC_SLOTS; slot++) {
		const struct traffic *traffic = &o->traffic[slot];
		struct offloader_nic *nic = &report->nics[slot];
		nic->wanted = o->is_wanted[slot];
		if (snapshot->nics[slot] && snapshot->nics[slot]->id == traffic->nic) {
			nic->sent = traffic->sent;
			nic->received = traffic->received;
		}
	}
}

struct offloader_report *offloader_report(struct offloader *o)
{
	GHashTableIter iter;
	gpointer value;

	if (!o || !o->used)
		return NULL;
	offloader_lock(o);
	const struct offload_provider *provider = offload_manager_provider(o->manager);
	struct offloader_report *report = g_new0(struct offloader_report, 1);
	report->provider = provider ? provider->caps.name : NULL;
	report->error = g_strdup(o->error ? o->error->message : NULL);
	report->counts = offload_manager_counts(o->manager);
	add_nics(o, report);
	g_hash_table_iter_init(&iter, o->flows);
	while (g_hash_table_iter_next(&iter, NULL, &value))
		add_flow(o, report, value);
	offloader_unlock(o);
	return report;
}

void offloader_report_free(struct offloader_report *report)
{
	if (!report)
		return;
	for (unsigned slot = 0; slot < NIC_SLOTS; slot++)
		g_clear_pointer(&report->nics[slot].reasons, g_hash_table_unref);
	g_free(report->error);
	g_free(report);
}
