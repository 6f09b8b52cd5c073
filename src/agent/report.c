/* The report: what the controller is told; and what an operator has to see. */
#include "agent/agent_priv.h"
#include "base/log.h"

#include <string.h>

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
	report->tunnel = g_strdup(agent->tunnel ? tunnel_address(agent->tunnel) : NULL);
	report->version = g_strdup_printf("Sluice %s, %s", agent->config.version,
		agent->vm_host.version ? agent->vm_host.version : "no VMs");
}

/* Adds what is there; NULL entries are left out. */
static void add(GPtrArray *list, void *entry)
{
	if (entry)
		g_ptr_array_add(list, entry);
}

static void add_physicals(const struct agent *agent, struct report *report)
{
	const struct switch_physical *tunnels = switch_site_vxlans(&agent->config.site);

	if (tunnels)
		report->vxlans = g_strdup(tunnels->name);
	report->physicals = strings_new();
	for (size_t i = 0; i < agent->config.site.n_physicals; i++) {
		const struct switch_physical *physical = &agent->config.site.physicals[i];
		if (!physical->absent)
			g_ptr_array_add(report->physicals, g_strdup(physical->name));
	}
}

static struct report_function *find_function(const GPtrArray *functions, const char *name)
{
	for (guint i = 0; i < functions->len; i++) {
		struct report_function *function = functions->pdata[i];
		if (g_strcmp0(function->name, name) == 0)
			return function;
	}
	return NULL;
}

/* The host's underlay leaves by the function's PF. */
static bool is_for_vxlans(const struct agent *agent, const struct nic_device *device)
{
	const struct switch_physical *vxlans = switch_site_vxlans(&agent->config.site);
	const GPtrArray *physicals = agent_physicals(agent);

	for (guint i = 0; vxlans && physicals && i < physicals->len; i++) {
		const struct physical_port *physical = physicals->pdata[i];
		if (g_str_equal(physical->name, vxlans->name))
			return g_ptr_array_find_with_equal_func(
				physical->tunnel_pfs, device->pf, g_str_equal, NULL);
	}
	return false;
}

/* Where it is, and what its PF has for it. */
static void complete_function(struct report_function *function, const struct nic_device *device)
{
	static const struct mac_addr none;
	const struct vf_attributes *attributes = &device->attributes;
	char mac[MAC_TEXT_MAX];

	function->physical = g_strdup(device->physical);
	function->pf = g_strdup(device->pf_netdev);
	function->index = device->index;
	if (attributes->known & VF_MAC && memcmp(&attributes->mac, &none, sizeof none) != 0)
		function->mac = g_strdup(mac_format(attributes->mac, mac));
	if (attributes->known & VF_VLAN)
		function->vlan = attributes->vlan;
}

/* Those that NICs have are there already. */
static void add_devices(const struct agent *agent, struct report *report)
{
	const GPtrArray *devices = health_devices(agent->health);

	for (guint i = 0; devices && i < devices->len; i++) {
		const struct nic_device *device = devices->pdata[i];
		struct report_function *function = find_function(report->functions, device->name);
		if (!function) {
			function = shape_new(&report_function_shape);
			function->name = g_strdup(device->name);
			function->provider = g_strdup(agent->provider->caps->claim);
			function->nic = g_strdup(device->nic);
			function->state = g_strdup(nic_use_word(device->use));
			g_ptr_array_add(report->functions, function);
		}
		complete_function(function, device);
		function->vxlan = is_for_vxlans(agent, device);
	}
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
	report->exposed = shape_list_new(&report_exposure_shape);
	report->functions = shape_list_new(&report_function_shape);
	g_hash_table_iter_init(&iter, agent->machines);
	while (g_hash_table_iter_next(&iter, NULL, &member))
		add(report->vms, vm_machine_report(member));
	g_hash_table_iter_init(&iter, agent->accels);
	while (g_hash_table_iter_next(&iter, NULL, &member)) {
		add(report->nics, accel_report(member));
		add(report->exposed, accel_report_exposure(member));
		add(report->functions, accel_report_function(member));
	}
	add_devices(agent, report);
	add_physicals(agent, report);
	return report;
}

json_t *agent_conditions(const struct agent *agent)
{
	const GPtrArray *physicals = agent_physicals(agent);
	const GPtrArray *standing = health_conditions(agent->health);
	const GError *deaf = hearing_error(agent->hearing);
	json_auto_t *found = switch_state_texts(standing);
	json_t *list = switch_state_texts(agent->goal ? agent->goal->conditions : NULL);

	for (guint i = 0; physicals && i < physicals->len; i++) {
		const struct physical_port *physical = physicals->pdata[i];
		json_auto_t *texts = switch_state_texts(physical->conditions);
		json_array_extend(list, texts);
	}
	json_array_extend(list, found);
	/* A look finds that, too, in these words unless something has changed since. */
	if (deaf && !(standing && g_ptr_array_find_with_equal_func(
					  (GPtrArray *)standing, deaf->message, g_str_equal, NULL)))
		json_array_append_new(list, json_string(deaf->message));
	return list;
}
