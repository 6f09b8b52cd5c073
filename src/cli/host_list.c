/* `sluice host list`: the hosts of the cloud, as the controller knows them. */
#include "cli/cli.h"
#include "cli/controller.h"
#include "cli/host_priv.h"
#include "cli/order.h"

#include <libsmartcols/libsmartcols.h>
#include <stdio.h>

/* Whether it takes machines. */
static const char *state_of(const json_t *host)
{
	const json_t *drained = json_object_get(host, "drained");

	if (json_is_true(json_object_get(host, "silent")))
		return "silent";
	if (!drained)
		return "awaited"; /* since the controller's start, which was just now */
	return json_is_true(drained) ? "drained" : "ready";
}

static char *text(const json_t *value)
{
	if (json_is_integer(value))
		return g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
	return g_strdup(json_is_string(value) ? json_string_value(value) : "-");
}

/* In GiB. */
static char *memory(const json_t *value)
{
	return json_is_integer(value) ? g_strdup_printf("%.1f", (double)json_integer_value(value) / 1024)
				      : g_strdup("-");
}

static const struct {
	const char *title, *member;
	char *(*cell)(const json_t *value); /* Owned by the caller; NULL: the host's state */
	int flags;
} columns[] = {
	{"HOST", "name", text, 0},
	{"STATE", NULL, NULL, 0},
	{"VMS", "vms", text, SCOLS_FL_RIGHT},
	{"VCPUS", "vcpus", text, SCOLS_FL_RIGHT},
	{"GIB", "memoryMib", memory, SCOLS_FL_RIGHT},
	{"FREE", "availableMib", memory, SCOLS_FL_RIGHT},
	{"PROVIDER", "provider", text, 0},
	{"UNDERLAY", "vtep", text, 0},
	{"FAULT DOMAIN", "faultDomain", text, 0},
	{"VERSION", "version", text, 0},
};

static void print_table(json_t *hosts)
{
	struct libscols_table *table = scols_new_table();
	json_t *host;
	size_t i;

	for (size_t c = 0; c < G_N_ELEMENTS(columns); c++)
		scols_table_new_column(table, columns[c].title, 0, columns[c].flags);
	json_array_foreach(hosts, i, host)
	{
		struct libscols_line *line = scols_table_new_line(table, NULL);
		for (size_t c = 0; c < G_N_ELEMENTS(columns); c++) {
			g_autofree char *cell =
				columns[c].cell ? columns[c].cell(json_object_get(host, columns[c].member))
						: g_strdup(state_of(host));
			scols_line_set_data(line, c, cell);
		}
	}
	scols_print_table(table);
	scols_unref_table(table);
}

static void print_conditions(json_t *hosts)
{
	json_t *host, *sentence;
	size_t i, j;

	json_array_foreach(hosts, i, host)
	{
		json_array_foreach(json_object_get(host, "conditions"), j, sentence) printf("%s: %s\n",
			json_string_value(json_object_get(host, "name")), json_string_value(sentence));
	}
}

int host_list(const char *state_option, bool as_json)
{
	static const char *const order[] = {"name", NULL};
	g_autoptr(GError) error = NULL;
	_cleanup_(controller_close) struct controller *controller = controller_open(state_option, &error);
	json_auto_t *answer = NULL;

	if (!controller || !controller_list(controller, "/hosts", "hosts", 0, &answer, &error))
		return cli_fail("host", error);
	json_t *hosts = json_object_get(answer, "hosts");
	order_by(hosts, order);
	if (as_json) {
		cli_print_json(answer);
	} else if (json_array_size(hosts)) {
		print_table(hosts);
		print_conditions(hosts);
	} else {
		puts("the cloud has no host yet");
	}
	return CLI_OK;
}
