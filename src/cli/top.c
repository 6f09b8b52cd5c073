/* `sluice top`: what NICs send and get, second by second, and how busy workers are.
 *
 * How it works: the switch counts and never measures rates, so two readings of `nic.list`, `edge.list` and
 * `worker.list` and the time between them make one table. A counter that went down belongs to a port that was
 * opened anew: its rate is 0 once.
 */
#include "cli/cli.h"
#include "cli/switch_call.h"

#include <libsmartcols/libsmartcols.h>
#include <stdio.h>
#include <unistd.h>

#define CLEAR_SCREEN "\033[H\033[2J"

/* Sums over a NIC's attachments, and over its drop reasons. */
enum { RX_PACKETS, RX_BYTES, TX_PACKETS, TX_BYTES, DROPS, COUNTERS };
static const char *const members[] = {[RX_PACKETS] = "rx_packets",
	[RX_BYTES] = "rx_bytes",
	[TX_PACKETS] = "tx_packets",
	[TX_BYTES] = "tx_bytes"};

struct reading {
	json_t *nics, *edges, *workers; /* Owned */
	int64_t at_us;
};

static json_int_t number(const json_t *object, const char *member)
{
	return json_integer_value(json_object_get(object, member));
}

static void sum_up(const json_t *nic, json_int_t ret[static COUNTERS])
{
	const char *reason;
	json_t *attachment, *packets;
	size_t i;

	memset(ret, 0, COUNTERS * sizeof *ret);
	json_array_foreach(json_object_get(nic, "attachments"), i, attachment) for (unsigned c = RX_PACKETS;
										    c < DROPS; c++) ret[c] +=
		number(attachment, members[c]);
	json_object_foreach(json_object_get(nic, "drops"), reason, packets) ret[DROPS] +=
		json_integer_value(packets);
}

/* The object of the list that has the same `member` as this one; NULL: none has. */
static const json_t *find_same(const json_t *list, const json_t *object, const char *member)
{
	size_t i;
	json_t *other;

	json_array_foreach(list, i, other) if (json_equal(json_object_get(other, member),
						       json_object_get(object, member))) return other;
	return NULL;
}

static json_int_t rate_of(json_int_t now, json_int_t then, int64_t elapsed_us)
{
	return (json_int_t)((double)MAX(now - then, 0) * G_USEC_PER_SEC / (double)MAX(elapsed_us, 1));
}

/* A NIC's row: rates since the reading before; one that is new has none yet. */
static json_t *rates_of(const json_t *nic, const struct reading *before, int64_t elapsed_us)
{
	const json_t *was = find_same(before->nics, nic, "uid");
	json_int_t now[COUNTERS], then[COUNTERS], rate[COUNTERS] = {};

	sum_up(nic, now);
	if (was)
		sum_up(was, then);
	for (unsigned c = 0; was && c < COUNTERS; c++)
		rate[c] = rate_of(now[c], then[c], elapsed_us);
	return json_pack("{s:O, s:O, s:O, s:O, s:I, s:I, s:I, s:I, s:I, s:I}", "nic",
		json_object_get(nic, "uid"), "name", json_object_get(nic, "name"), "active",
		json_object_get(nic, "active"), "worker", json_object_get(nic, "worker"), "rx_pps",
		rate[RX_PACKETS], "rx_bps", 8 * rate[RX_BYTES], "tx_pps", rate[TX_PACKETS], "tx_bps",
		8 * rate[TX_BYTES], "drops_ps", rate[DROPS], "connections", number(nic, "flows"));
}

/* An edge's: what came by it, and what left. */
static json_t *edge_rates_of(const json_t *edge, const struct reading *before, int64_t elapsed_us)
{
	const char *member = json_object_get(edge, "physical") ? "physical" : "edge";
	const json_t *was = find_same(before->edges, edge, member);
	json_int_t rate[COUNTERS] = {};

	for (unsigned c = RX_PACKETS; was && c < DROPS; c++)
		rate[c] = rate_of(number(edge, members[c]), number(was, members[c]), elapsed_us);
	if (was)
		rate[DROPS] = rate_of(number(edge, "drops"), number(was, "drops"), elapsed_us);
	return json_pack("{s:O, s:O, s:I, s:I, s:I, s:I, s:I}", "edge", json_object_get(edge, "edge"), "name",
		json_object_get(edge, member), "rx_pps", rate[RX_PACKETS], "rx_bps", 8 * rate[RX_BYTES],
		"tx_pps", rate[TX_PACKETS], "tx_bps", 8 * rate[TX_BYTES], "drops_ps", rate[DROPS]);
}

/* Busiest first. */
static int by_rate(const void *a, const void *b)
{
	const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
	json_int_t p = number(x, "rx_pps") + number(x, "tx_pps"),
		   q = number(y, "rx_pps") + number(y, "tx_pps");

	return p != q ? (p < q ? 1 : -1)
		      : strcmp(json_string_value(json_object_get(x, "name")),
				json_string_value(json_object_get(y, "name")));
}

/* A worker's: how much of its time has gone into packets, and how many it took. */
static json_t *worker_rates_of(const json_t *worker, const struct reading *before, int64_t elapsed_us)
{
	const json_t *was = find_same(before->workers, worker, "worker");
	json_int_t busy = rate_of(number(worker, "busy_us"), number(was, "busy_us"), elapsed_us);
	json_int_t pps = rate_of(number(worker, "rx_packets"), number(was, "rx_packets"), elapsed_us);

	return json_pack("{s:O, s:o, s:I, s:I, s:I}", "worker", json_object_get(worker, "worker"), "name",
		json_sprintf("worker %d", (int)number(worker, "worker")), "busy_percent",
		MIN(busy * 100 / G_USEC_PER_SEC, (json_int_t)100), "rx_pps", pps, "queues",
		(json_int_t)json_array_size(json_object_get(worker, "polls")));
}

static json_t *worker_rates(const struct reading *before, const struct reading *now)
{
	json_t *list = json_array(), *worker;
	size_t i;

	json_array_foreach(now->workers, i, worker)
		json_array_append_new(list, worker_rates_of(worker, before, now->at_us - before->at_us));
	return list;
}

static json_t *rates(const struct reading *before, const struct reading *now)
{
	g_autoptr(GPtrArray) rows = g_ptr_array_new();
	json_t *list = json_array(), *nic, *edge;
	size_t i;

	json_array_foreach(now->nics, i, nic)
		g_ptr_array_add(rows, rates_of(nic, before, now->at_us - before->at_us));
	g_ptr_array_sort(rows, by_rate);
	for (i = 0; i < rows->len; i++)
		json_array_append_new(list, rows->pdata[i]);
	json_array_foreach(now->edges, i, edge)
		json_array_append_new(list, edge_rates_of(edge, before, now->at_us - before->at_us));
	return list;
}

/* ---- printing ---- */

static const struct {
	const char *title, *member;
} columns[] = {
	{"NIC", "name"},
	{"PATH", "active"},
	{"WORKER", "worker"},
	{"RX PPS", "rx_pps"},
	{"RX BPS", "rx_bps"},
	{"TX PPS", "tx_pps"},
	{"TX BPS", "tx_bps"},
	{"DROPS/S", "drops_ps"},
	{"CONNECTIONS", "connections"},
};

/* "950", "12.3k", "1.20G" */
static char *scaled(json_int_t value)
{
	static const char units[] = "kMGT";
	double v = (double)value;
	int unit = -1;

	if (value < 10000)
		return g_strdup_printf("%" JSON_INTEGER_FORMAT, value);
	while (v >= 1000 && unit < 3) {
		v /= 1000;
		unit++;
	}
	return g_strdup_printf("%.*f%c", v < 10 ? 2 : v < 100 ? 1 : 0, v, units[unit]);
}

static char *cell_of(const json_t *row, size_t column)
{
	const json_t *value = json_object_get(row, columns[column].member);

	if (!value && column == 1)
		value = json_object_get(row, "edge");
	if (!value)
		return g_strdup("");
	return json_is_string(value) ? g_strdup(json_string_value(value)) : scaled(json_integer_value(value));
}

static void print_table(json_t *list)
{
	struct libscols_table *table = scols_new_table();
	size_t i;
	json_t *row;

	for (size_t c = 0; c < G_N_ELEMENTS(columns); c++)
		scols_table_new_column(table, columns[c].title, 0, c < 2 ? 0 : SCOLS_FL_RIGHT);
	json_array_foreach(list, i, row)
	{
		struct libscols_line *line = scols_table_new_line(table, NULL);
		for (size_t c = 0; c < G_N_ELEMENTS(columns); c++) {
			g_autofree char *cell = cell_of(row, c);
			scols_line_set_data(line, c, cell);
		}
	}
	scols_print_table(table);
	scols_unref_table(table);
}

/* "worker 0: 63 % busy, 1.20M pps, polls 12 queues" */
static void print_workers(const json_t *workers)
{
	size_t i;
	json_t *worker;

	json_array_foreach(workers, i, worker)
	{
		g_autofree char *pps = scaled(number(worker, "rx_pps"));
		printf("%s: %d %% busy, %s pps, polls %d queues\n",
			json_string_value(json_object_get(worker, "name")),
			(int)number(worker, "busy_percent"), pps, (int)number(worker, "queues"));
	}
	putchar('\n');
}

static void print_refresh(const struct reading *before, const struct reading *now, bool as_json, bool screen)
{
	json_auto_t *list = rates(before, now), *workers = worker_rates(before, now);

	if (as_json) {
		json_array_extend(list, workers);
		json_dumpf(list, stdout, 0);
		putchar('\n');
	} else {
		if (screen)
			fputs(CLEAR_SCREEN
				"rx: sent by the VM, or come by the edge; tx: delivered to it; ^C ends\n\n",
				stdout);
		print_workers(workers);
		print_table(list);
	}
	fflush(stdout);
}

/* ---- run ---- */

static void reading_clear(struct reading *reading)
{
	json_decref(reading->nics);
	json_decref(reading->edges);
	json_decref(reading->workers);
}

static bool read_switch(struct jsonrpc_client *client, struct reading *ret, GError **error)
{
	*ret = (struct reading){.nics = switch_call(client, "nic.list", NULL, error)};
	if (ret->nics)
		ret->edges = switch_call(client, "edge.list", NULL, error);
	if (ret->edges)
		ret->workers = switch_call(client, "worker.list", NULL, error);
	ret->at_us = g_get_monotonic_time();
	if (!ret->workers)
		reading_clear(ret);
	return ret->workers != NULL;
}

static int run(struct jsonrpc_client *client, double interval_s, bool once, bool as_json)
{
	g_autoptr(GError) error = NULL;
	struct reading before, now;
	bool screen = !once && !as_json && isatty(STDOUT_FILENO);

	if (!read_switch(client, &before, &error))
		return cli_fail("top", error);
	do {
		g_usleep((gulong)(interval_s * G_USEC_PER_SEC));
		if (!read_switch(client, &now, &error)) {
			reading_clear(&before);
			return cli_fail("top", error);
		}
		print_refresh(&before, &now, as_json, screen);
		reading_clear(&before);
		before = now;
	} while (!once && !ferror(stdout));
	reading_clear(&before);
	return CLI_OK;
}

int cli_top(int argc, char **argv)
{
	g_autofree char *state = NULL;
	gboolean as_json = FALSE, once = FALSE;
	double interval_s = 1;
	g_autoptr(GError) error = NULL;
	const GOptionEntry entries[] = {
		{"state", 0, 0, G_OPTION_ARG_FILENAME, &state, "State folder of the cloud (/var/lib/sluice)",
			"DIR"},
		{"interval", 0, 0, G_OPTION_ARG_DOUBLE, &interval_s, "Seconds between two readings (1)",
			"SECONDS"},
		{"once", 0, 0, G_OPTION_ARG_NONE, &once, "Print one table and end", NULL},
		{"json", 0, 0, G_OPTION_ARG_NONE, &as_json,
			"Print JSON, one line a reading: NICs, edges and workers", NULL},
		{NULL},
	};

	if (!cli_options(&argc, &argv, "",
		    "Shows per second what each NIC sends (rx), what is delivered to it (tx) and its drops, "
		    "and its connections; what comes and leaves by each edge: the uplink (outside), the "
		    "host port, the underlay, physical networks; and how busy the switch's workers are.",
		    entries))
		return CLI_USAGE;
	if (!(interval_s >= 0.1 && interval_s <= 3600)) {
		fprintf(stderr, "sluice top: --interval must be from 0.1 to 3600 seconds\n");
		return CLI_USAGE;
	}
	_cleanup_(jsonrpc_client_free) struct jsonrpc_client *client = switch_client(state, &error);
	if (!client)
		return cli_fail("top", error);
	return run(client, interval_s, once, as_json);
}
