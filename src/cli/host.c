/* `sluice host`: `show`s physical functions and their virtual ones, as the kernel shows them; `add`s other machines,
 * and says which of them share a `fault-domain`; `setup`s this one, `drain`s it and `undrain`s it. */
#include "cli/cli.h"
#include "cli/host_priv.h"
#include "nic/inventory.h"

#include <libsmartcols/libsmartcols.h>
#include <stdio.h>

#define DRAIN_S 120

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
	{"MAC", 0},
	{"VLAN", SCOLS_FL_RIGHT},
	{"REPRESENTOR", 0},
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
		NULL,
		NULL,
		g_strdup(pf->representor),
	};
	struct libscols_line *parent = scols_table_new_line(table, NULL);

	set_cells(parent, cells);
	for (guint i = 0; i < pf->vfs->len; i++) {
		const struct nic_vf *vf = pf->vfs->pdata[i];
		char mac[MAC_TEXT_MAX];
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
			vf->attributes.known & VF_MAC ? g_strdup(mac_format(vf->attributes.mac, mac)) : NULL,
			vf->attributes.vlan ? g_strdup_printf("%u", vf->attributes.vlan) : NULL,
			g_strdup(vf->representor),
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

static int show(bool as_json)
{
	g_autoptr(GPtrArray) pfs = inventory_read("");
	g_autoptr(GError) error = NULL;
	_cleanup_(genl_close) struct genl *devlink = genl_open("devlink", NULL);
	if (!inventory_add_attributes(pfs, &error))
		return cli_fail("host", error);
	inventory_add_eswitches(pfs, devlink);
	json_auto_t *json = inventory_encode(pfs);

	if (as_json)
		cli_print_json(json);
	else
		print_table(pfs);
	return CLI_OK;
}

int cli_host(int argc, char **argv)
{
	g_autofree char *state_option = NULL;
	gboolean as_json = FALSE, force = FALSE, migrate = FALSE;
	int timeout_s = DRAIN_S, notice_s = 0;
	const GOptionEntry entries[] = {
		{"state", 0, 0, G_OPTION_ARG_FILENAME, &state_option,
			"State folder of the cloud (/var/lib/sluice)", "DIR"},
		{"notice", 0, 0, G_OPTION_ARG_INT, &notice_s,
			"Tell guests so long before their functions go, unless they acknowledge it earlier "
			"(0)",
			"SECONDS"},
		{"timeout", 0, 0, G_OPTION_ARG_INT, &timeout_s,
			"How long to wait for guests to let their functions go (120)", "SECONDS"},
		{"force", 0, 0, G_OPTION_ARG_NONE, &force, "Cut functions off that guests do not let go of",
			NULL},
		{"migrate", 0, 0, G_OPTION_ARG_NONE, &migrate,
			"Then move all virtual machines that run here to other hosts", NULL},
		{"json", 0, 0, G_OPTION_ARG_NONE, &as_json, "Print JSON", NULL},
		{NULL},
	};

	if (argc > 1 && g_str_equal(argv[1], "setup")) {
		argv[1] = "host setup";
		return host_setup(argc - 1, argv + 1);
	}
	if (!cli_options(&argc, &argv, "show | add NAME | fault-domain HOST [NAME] | drain | undrain | setup",
		    "Shows the network devices on this host's PCI buses: physical functions, their virtual "
		    "functions "
		    "(made/possible), and how many traffic classes these leave on ports whose number depends "
		    "on it. Or makes, or renews, the certificate by which the host NAME takes part in this "
		    "cloud. Or says which fault domain HOST shares with others, such as a rack (without "
		    "NAME: none), "
		    "so that machines of an availability set are spread over several. Or drains this host "
		    "for maintenance: its NICs go on by their synthetic paths, no "
		    "connection is lost, and it gets no new VMs until it is undrained. 'sluice "
		    "host setup --help' tells of setting it up for SR-IOV.",
		    entries))
		return CLI_USAGE;
	if (argc == 3 && g_str_equal(argv[1], "add"))
		return host_add(state_option, argv[2]);
	if ((argc == 3 || argc == 4) && g_str_equal(argv[1], "fault-domain"))
		return host_domain(state_option, argv[2], argc == 4 ? argv[3] : NULL, as_json);
	if (argc == 2 && g_str_equal(argv[1], "show"))
		return show(as_json);
	if (timeout_s < 0 || notice_s < 0) {
		fprintf(stderr, "sluice host: --notice and --timeout take a number of seconds, 0 or more\n");
		return CLI_USAGE;
	}
	const struct drain_plan plan = {(unsigned)notice_s, (unsigned)timeout_s, force, migrate};
	if (argc == 2 && g_str_equal(argv[1], "drain"))
		return host_drain(state_option, &plan, as_json);
	if (argc == 2 && g_str_equal(argv[1], "undrain"))
		return host_undrain(state_option, as_json);
	fprintf(stderr, "sluice host: 'show', 'add NAME', 'fault-domain HOST', 'drain', 'undrain' or 'setup' "
			"is needed\n");
	return CLI_USAGE;
}
