/* `sluice host show`: the network devices of this host: what the kernel shows of them, what they can enforce, what their virtual
 * functions have carried. */
#include "cli/cli.h"
#include "cli/host_priv.h"
#include "nic/enforcement.h"

#include <libsmartcols/libsmartcols.h>
#include <stdio.h>

/* Of an agent that is busy. */
#define CALL_MS 5000

static const char *text_of(const json_t *json, const char *member)
{
	const char *text = json_string_value(json_object_get(json, member));

	return text ? text : "";
}

/* Of a PF as it is encoded: as people call it. */
static const char *name_of(const json_t *pf)
{
	return text_of(pf, *text_of(pf, "interface") ? "interface" : "address");
}

/* ---- the table of devices ---- */

static const struct {
	const char *title;
	int flags;
} columns[] = {
	{"ADDRESS", 0},
	{"INTERFACE", 0},
	{"DRIVER", 0},
	{"FIRMWARE", 0},
	{"ID", 0},
	{"NUMA", SCOLS_FL_RIGHT},
	{"GROUP", SCOLS_FL_RIGHT},
	{"VFS", SCOLS_FL_RIGHT},
	{"CLASSES", SCOLS_FL_RIGHT},
	{"ESWITCH", 0},
	{"REPRESENTOR", 0},
	{"QUEUES", 0},
};

static char *number(int value)
{
	return value == INVENTORY_NONE ? g_strdup("-") : g_strdup_printf("%d", value);
}

static void set_cells(struct libscols_line *line, char *const cells[G_N_ELEMENTS(columns)])
{
	for (size_t i = 0; i < G_N_ELEMENTS(columns); i++) {
		scols_line_set_data(line, i, cells[i] ? cells[i] : "-");
		g_free(cells[i]);
	}
}

static void add_pf(struct libscols_table *table, const struct nic_pf *pf)
{
	char *const cells[G_N_ELEMENTS(columns)] = {
		g_strdup(pf->address),
		g_strdup(pf->netdev),
		g_strdup(pf->driver),
		g_strdup(pf->firmware),
		g_strdup_printf("%04x:%04x", pf->vendor, pf->device),
		number(pf->numa_node),
		number(pf->iommu_group),
		pf->sriov ? g_strdup_printf("%u/%u", pf->num_vfs, pf->total_vfs) : NULL,
		pf->traffic_classes ? g_strdup_printf("%u", pf->traffic_classes) : NULL,
		g_strdup(pf->eswitch.mode),
		g_strdup(pf->representor),
		inventory_queues_format(&pf->queues),
	};
	struct libscols_line *parent = scols_table_new_line(table, NULL);

	set_cells(parent, cells);
	for (guint i = 0; i < pf->vfs->len; i++) {
		const struct nic_vf *vf = pf->vfs->pdata[i];
		char *const of_vf[G_N_ELEMENTS(columns)] = {
			g_strdup_printf("%s vf %u", vf->address, vf->index),
			g_strdup(vf->netdev),
			g_strdup(vf->driver),
			NULL,
			NULL,
			NULL,
			number(vf->iommu_group),
			NULL,
			NULL,
			NULL,
			g_strdup(vf->representor),
			inventory_queues_format(&vf->queues),
		};
		set_cells(scols_table_new_line(table, parent), of_vf);
	}
}

static void print_table(const GPtrArray *pfs)
{
	struct libscols_table *table = scols_new_table();

	if (!pfs->len) {
		puts("there is no network device on a PCI bus, but perhaps virtio's");
		scols_unref_table(table);
		return;
	}
	for (size_t i = 0; i < G_N_ELEMENTS(columns); i++)
		scols_table_new_column(table, columns[i].title, 0,
			i == 0 ? columns[i].flags | SCOLS_FL_TREE : columns[i].flags);
	for (guint i = 0; i < pfs->len; i++)
		add_pf(table, pfs->pdata[i]);
	scols_print_table(table);
	scols_unref_table(table);
}

/* ---- what PFs hold of their VFs ---- */

static char *on_or_off(const json_t *value)
{
	return json_is_boolean(value) ? g_strdup(json_is_true(value) ? "on" : "off") : NULL;
}

static char *text(const json_t *value)
{
	if (json_is_integer(value))
		return g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
	return g_strdup(json_string_value(value));
}

/* 0 is none. */
static char *vlan(const json_t *value)
{
	const json_t *id = json_object_get(value, "id");

	return json_integer_value(id) || !id ? text(id) : g_strdup("none");
}

static char *priority(const json_t *value)
{
	return text(json_object_get(value, "priority"));
}

/* "100 Mbit/s", "10-100 Mbit/s", "10- Mbit/s". */
static char *rate(const json_t *value)
{
	g_autofree char *min = text(json_object_get(value, "min")),
			*max = text(json_object_get(value, "max"));

	if (!min || !max)
		return NULL;
	if (g_str_equal(min, "0"))
		return g_str_equal(max, "0") ? g_strdup("none") : g_strdup_printf("%s Mbit/s", max);
	return g_strdup_printf("%s-%s Mbit/s", min, g_str_equal(max, "0") ? "" : max);
}

/* Members of a VF as it is encoded. */
static const struct {
	const char *title, *member;
	char *(*cell)(const json_t *value); /* Owned by the caller; NULL: not known */
	int flags;
} vf_columns[] = {
	{"VF", "index", text, SCOLS_FL_RIGHT},
	{"ADDRESS", "address", text, 0},
	{"MAC", "mac", text, 0},
	{"VLAN", "vlan", vlan, SCOLS_FL_RIGHT},
	{"QOS", "vlan", priority, SCOLS_FL_RIGHT},
	{"SPOOFCHK", "spoofchk", on_or_off, 0},
	{"TRUST", "trust", on_or_off, 0},
	{"RATE", "rate_mbps", rate, SCOLS_FL_RIGHT},
	{"LINK", "link", text, 0},
	{"VM", "vm", text, 0},
};

static void add_vf(struct libscols_table *table, const char *port, const json_t *vf)
{
	struct libscols_line *line = scols_table_new_line(table, NULL);

	scols_line_set_data(line, 0, port);
	for (size_t c = 0; c < G_N_ELEMENTS(vf_columns); c++) {
		g_autofree char *cell = vf_columns[c].cell(json_object_get(vf, vf_columns[c].member));
		scols_line_set_data(line, c + 1, cell ? cell : "-");
	}
}

/* Nothing where there is no VF. */
static void print_vfs(const json_t *encoded)
{
	struct libscols_table *table = scols_new_table();
	size_t i, v, n = 0;
	json_t *pf, *vf;

	scols_table_new_column(table, "PORT", 0, 0);
	for (size_t c = 0; c < G_N_ELEMENTS(vf_columns); c++)
		scols_table_new_column(table, vf_columns[c].title, 0, vf_columns[c].flags);
	json_array_foreach((json_t *)encoded, i, pf)
	{
		json_array_foreach(json_object_get(pf, "vfs"), v, vf)
		{
			add_vf(table, name_of(pf), vf);
			n++;
		}
	}
	if (n) {
		putchar('\n');
		scols_print_table(table);
	}
	scols_unref_table(table);
}

/* ---- which VM has a VF ---- */

/* Of the agent's list; NULL: none has it. Borrowed. */
static json_t *find_vm(const json_t *functions, const char *address)
{
	json_t *function;
	size_t i;

	json_array_foreach((json_t *)functions, i, function)
	{
		json_t *vm = json_object_get(function, "vm");
		if (json_is_string(vm) && g_str_equal(text_of(function, "function"), address))
			return vm;
	}
	return NULL;
}

void host_add_vms(const char *state_option, json_t *encoded)
{
	_cleanup_(jsonrpc_client_free) struct jsonrpc_client *client =
		cli_client(state_option, CLI_AGENT_SOCKET, NULL);
	json_auto_t *functions = client ? jsonrpc_call(client, "vf.list", NULL, CALL_MS, NULL) : NULL;
	size_t i, v;
	json_t *pf, *vf;

	json_array_foreach(encoded, i, pf)
	{
		json_array_foreach(json_object_get(pf, "vfs"), v, vf)
		{
			json_t *vm = find_vm(functions, text_of(vf, "address"));
			if (vm)
				json_object_set(vf, "vm", vm);
		}
	}
}

/* ---- what they can enforce ---- */

/* "mac, vlan": the names of those from *at on whose answers are the same; *at: then the first of the others. Owned by the caller. */
static char *next_alike(const json_t *abilities, size_t *at)
{
	const json_t *first = json_array_get(abilities, *at);
	g_autoptr(GString) names = g_string_new(text_of(first, "name"));

	for (++*at; *at < json_array_size(abilities); ++*at) {
		const json_t *next = json_array_get(abilities, *at);
		if (!g_str_equal(text_of(next, "answer"), text_of(first, "answer")) ||
			!g_str_equal(text_of(next, "reason"), text_of(first, "reason")))
			break;
		g_string_append_printf(names, ", %s", text_of(next, "name"));
	}
	return g_string_free(g_steal_pointer(&names), FALSE);
}

static void print_abilities(const json_t *abilities)
{
	for (size_t at = 0; at < json_array_size(abilities);) {
		const json_t *first = json_array_get(abilities, at);
		const char *answer = text_of(first, "answer"), *reason = text_of(first, "reason");
		g_autofree char *names = next_alike(abilities, &at);
		printf("  %s %s%s%s\n",
			g_str_equal(answer, ENFORCEMENT_YES)  ? "enforces"
			: g_str_equal(answer, ENFORCEMENT_NO) ? "not"
							      : "perhaps",
			names, *reason ? ": " : "", reason);
	}
}

/* "NICs on a VLAN with any other rules: stay synthetic: Its security groups ..." */
static void print_network(const json_t *network)
{
	const char *policy = text_of(network, "policy"), *enforcer = text_of(network, "enforcer"),
		   *reason = text_of(network, "reason");
	bool vxlan = g_str_equal(text_of(network, "segment"), "vxlan");

	printf("  NICs %s%s: %s%s%s%s\n", vxlan ? "on a VXLAN" : "on a VLAN",
		g_str_equal(policy, "any")         ? ""
		: g_str_equal(policy, "allow-all") ? " whose rules allow everything"
						   : " with any other rules",
		g_str_equal(enforcer, "hardware") ? "accelerated, the NIC enforces"
		: *enforcer                       ? "accelerated, the switch enforces"
						  : "stay synthetic",
		json_is_true(json_object_get(network, "guest"))
			? ", or are accelerated with guest enforcement"
			: "",
		*reason ? ": " : "", reason);
}

static void print_enforcement(const json_t *pf)
{
	const json_t *enforcement = json_object_get(pf, "enforcement");
	const char *provider = text_of(enforcement, "provider"), *name = name_of(pf);
	json_t *network;
	size_t i;

	if (!*provider) {
		printf("%s: %s\n", name, text_of(enforcement, "reason"));
		return;
	}
	printf("%s, provider %s:\n", name, provider);
	print_abilities(json_object_get(enforcement, "abilities"));
	json_array_foreach(json_object_get(enforcement, "networks"), i, network) print_network(network);
}

static bool takes(void *links, const char *pf, unsigned beyond, enum vf_attribute attribute, GError **error)
{
	return vf_takes(links, pf, beyond, attribute, error);
}

/* To the devices as they are encoded. */
static bool add_enforcement(const GPtrArray *pfs, struct genl *ethtool, json_t *encoded, GError **error)
{
	_cleanup_(links_close) struct links *links = links_open(NULL, error);
	const struct enforcement_source source = {takes, links, ethtool};

	for (guint i = 0; links && i < pfs->len; i++)
		json_object_set_new(json_array_get(encoded, i), "enforcement",
			enforcement_describe(pfs->pdata[i], &source));
	return links != NULL;
}

/* ---- what VFs have carried ---- */

static void add_counters(struct libscols_table *table, const struct nic_pf *pf, const struct nic_vf *vf)
{
	struct libscols_line *line = scols_table_new_line(table, NULL);
	g_autofree char *name = g_strdup_printf("%s vf %u", pf->netdev, vf->index);

	scols_line_set_data(line, 0, name);
	for (unsigned i = 0; i < VF_COUNTERS; i++) {
		g_autofree char *value = vf->counters.known & 1u << i ? g_strdup_printf("%" G_GUINT64_FORMAT,
										vf->counters.values[i])
								      : g_strdup("-");
		scols_line_set_data(line, i + 1, value);
	}
}

/* Nothing where no driver tells any. */
static void print_counters(const GPtrArray *pfs)
{
	struct libscols_table *table = scols_new_table();
	size_t n = 0;

	scols_table_new_column(table, "VF", 0, 0);
	for (unsigned i = 0; i < VF_COUNTERS; i++)
		scols_table_new_column(table, vf_counter_title(i), 0, SCOLS_FL_RIGHT);
	for (guint i = 0; i < pfs->len; i++) {
		const struct nic_pf *pf = pfs->pdata[i];
		for (guint v = 0; v < pf->vfs->len; v++) {
			const struct nic_vf *vf = pf->vfs->pdata[v];
			if (vf->counters.known && ++n)
				add_counters(table, pf, vf);
		}
	}
	if (n) {
		putchar('\n');
		scols_print_table(table);
	}
	scols_unref_table(table);
}

/* ---- the verb ---- */

void host_print(const GPtrArray *pfs, const json_t *encoded)
{
	json_t *pf;
	size_t i;

	print_table(pfs);
	print_vfs(encoded);
	json_array_foreach((json_t *)encoded, i, pf)
	{
		if (i == 0)
			putchar('\n');
		print_enforcement(pf);
	}
	print_counters(pfs);
}

int host_show(const char *state_option, bool as_json)
{
	g_autoptr(GPtrArray) pfs = inventory_read("");
	g_autoptr(GError) error = NULL;
	_cleanup_(genl_close) struct genl *devlink = genl_open("devlink", NULL);
	_cleanup_(genl_close) struct genl *ethtool = genl_open("ethtool", NULL);

	if (!inventory_add_attributes(pfs, &error))
		return cli_fail("host", error);
	inventory_add_eswitches(pfs, devlink);
	inventory_add_firmware(pfs);
	inventory_add_queues(pfs, "", ethtool);
	json_auto_t *encoded = inventory_encode(pfs);
	if (!add_enforcement(pfs, ethtool, encoded, &error))
		return cli_fail("host", error);
	host_add_vms(state_option, encoded);
	if (as_json)
		cli_print_json(encoded);
	else
		host_print(pfs, encoded);
	return CLI_OK;
}
