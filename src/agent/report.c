/* The report: what the controller is told. */
#include "agent/agent_priv.h"
#include "base/log.h"

static void add_host(const struct agent *agent, struct report *report)
{
	struct host_memory memory = {};
	g_autoptr(GError) error = NULL;
	char vtep[IP_TEXT_MAX];

	if (!host_read_memory(agent->config.proc, &memory, &error))
		log_debug(NULL, "%s", error->message);
	report->host = g_strdup(agent->config.host_name);
	report->vcpus = host_vcpus();
	report->memory_mib = memory.total_mib;
	report->available_mib = MAX(memory.available_mib - agent->config.admission.reserve_mib, 0);
	report->drained = agent->ledger->drained;
	report->kvm = agent->vm_host.kvm;
	report->accel_detail = g_strdup(agent->vm_host.accel_detail);
	report->provider = g_strdup(agent->provider ? agent->provider->caps->name : "none");
	if (agent->config.site.underlay)
		report->vtep = g_strdup(ip_format(agent->config.site.underlay->address, vtep));
	report->version = g_strdup_printf("Sluice %s, %s", agent->config.version,
		agent->vm_host.version ? agent->vm_host.version : "no VMs");
}

/* Adds what is there; NULL entries are left out. */
static void add(GPtrArray *list, void *entry)
{
	if (entry)
		g_ptr_array_add(list, entry);
}

struct report *agent_report(struct agent *agent)
{
	struct report *report = report_new();
	GHashTableIter iter;
	void *member;

	add_host(agent, report);
	report->goal_host = g_strdup(agent->goal ? agent->goal->host : NULL);
	report->received = agent->goal ? agent->goal->version : 0;
	report->applied = agent->applied;
	report->vms = shape_list_new(&report_vm_shape);
	report->nics = shape_list_new(&report_nic_shape);
	report->functions = shape_list_new(&report_function_shape);
	g_hash_table_iter_init(&iter, agent->machines);
	while (g_hash_table_iter_next(&iter, NULL, &member))
		add(report->vms, vm_machine_report(member));
	g_hash_table_iter_init(&iter, agent->accels);
	while (g_hash_table_iter_next(&iter, NULL, &member)) {
		add(report->nics, accel_report(member));
		add(report->functions, accel_report_function(member));
	}
	return report;
}
