/* `sluice flow`: the connections that the switch knows, listed, counted, and one of them shown.
 *
 * The switch answers in pages (docs/API.md), which are printed as they come: a table of millions is neither held
 * here nor keeps the switch from anything else.
 */
#include "cli/cli.h"
#include "cli/switch_call.h"

#include <libsmartcols/libsmartcols.h>
#include <stdio.h>

static const char *const action_words[] = {"list", "count", "show", NULL};

#define LIST_LIMIT 1000
#define PAGE_ROWS  1000
#define NOT_GIVEN  INT_MIN

struct options {
	char *state, *nic, *protocol, *address, *connection_state; /* Owned */
	int port, limit; /* NOT_GIVEN: not given */
	gboolean json;
};

static void options_clear(struct options *options)
{
	g_free(options->state);
	g_free(options->nic);
	g_free(options->protocol);
	g_free(options->address);
	g_free(options->connection_state);
}
CLEANUP_CLEAR_FUNC(struct options, options_clear)

/* Whether an option chooses connections. */
static bool has_filter(const struct options *o)
{
	return o->nic || o->protocol || o->address || o->connection_state || o->port != NOT_GIVEN;
}

/* The filter, with a page's cursor. */
static json_t *page_params(const struct options *o, json_int_t cursor)
{
	json_t *params = json_pack("{s:s*, s:s*, s:s*, s:s*, s:I}", "nic", o->nic, "protocol", o->protocol,
		"address", o->address, "state", o->connection_state, "cursor", cursor);

	if (o->port != NOT_GIVEN)
		json_object_set_new(params, "port", json_integer(o->port));
	return params;
}

/* ---- list ---- */

static const struct {
	const char *title;
	int flags;
} columns[] = {
	{"ID", 0},
	{"NIC", 0},
	{"DIRECTION", 0},
	{"PROTO", 0},
	{"SOURCE", 0},
	{"DESTINATION", 0},
	{"STATE", 0},
	{"PACKETS", SCOLS_FL_RIGHT},
	{"BYTES", SCOLS_FL_RIGHT},
	{"AGE", SCOLS_FL_RIGHT},
	{"OFFLOAD", 0},
	{"ACTIONS", 0},
};

static const char *text(const json_t *row, const char *member)
{
	const char *value = json_string_value(json_object_get(row, member));

	return value ? value : "-";
}

static json_int_t number(const json_t *row, const char *member)
{
	return json_integer_value(json_object_get(row, member));
}

static void add_row(struct libscols_table *table, const json_t *row)
{
	struct libscols_line *line = scols_table_new_line(table, NULL);
	g_autofree char *src = switch_format_end(row, "src", "sport"),
			*dst = switch_format_end(row, "dst", "dport");
	g_autofree char *packets = g_strdup_printf("%" JSON_INTEGER_FORMAT, number(row, "packets"));
	g_autofree char *bytes = g_strdup_printf("%" JSON_INTEGER_FORMAT, number(row, "bytes"));
	g_autofree char *age = cli_duration(number(row, "age_s")), *actions = switch_format_actions(row);
	const char *const cells[] = {text(row, "id"), text(row, "nic_name"), text(row, "direction"),
		text(row, "protocol"), src, dst, text(row, "state"), packets, bytes, age,
		text(row, "offload"), actions};

	for (size_t i = 0; i < G_N_ELEMENTS(cells); i++)
		scols_line_set_data(line, i, cells[i]);
}

static void print_rows(const json_t *rows, bool headings)
{
	struct libscols_table *table = scols_new_table();
	size_t i;
	json_t *row;

	scols_table_enable_noheadings(table, !headings);
	for (size_t c = 0; c < G_N_ELEMENTS(columns); c++)
		scols_table_new_column(table, columns[c].title, 0, columns[c].flags);
	json_array_foreach(rows, i, row) add_row(table, row);
	scols_print_table(table);
	scols_unref_table(table);
}

static void print_page(const json_t *rows, bool as_json, bool first)
{
	size_t i;
	json_t *row;

	if (!as_json) {
		print_rows(rows, first);
		return;
	}
	json_array_foreach(rows, i, row)
	{
		fputs(first && i == 0 ? "  " : ",\n  ", stdout);
		json_dumpf(row, stdout, 0);
	}
}

static int run_list(struct jsonrpc_client *client, const struct options *o)
{
	json_int_t cursor = 1, printed = 0, limit = o->limit == NOT_GIVEN ? LIST_LIMIT : o->limit;

	if (o->json)
		puts("[");
	while (cursor && (!limit || printed + 2 <= limit)) {
		json_int_t room = limit ? limit - printed : PAGE_ROWS;
		json_t *params = page_params(o, cursor);
		g_autoptr(GError) error = NULL;
		json_object_set_new(params, "limit", json_integer(MIN(room, PAGE_ROWS)));
		json_auto_t *page = switch_call(client, "flow.list", params, &error);
		if (!page) {
			if (o->json)
				puts("\n]"); /* what was printed so far is whole */
			return cli_refused("flow list", error);
		}
		const json_t *rows = json_object_get(page, "flows");
		cursor = number(page, "next");
		if (json_array_size(rows))
			print_page(rows, o->json, printed == 0);
		printed += (json_int_t)json_array_size(rows);
	}
	if (o->json)
		puts(printed ? "\n]" : "]");
	else if (!printed)
		puts(has_filter(o) ? "no connection is like that" : "there are no connections");
	if (cursor)
		fprintf(stderr, "sluice flow list: the first %d rows; --limit 0 prints all of them\n",
			(int)printed);
	return CLI_OK;
}

/* ---- count ---- */

/* Adds the numbers of one page to the sum, also those in objects. */
static void add_numbers(json_t *sum, json_t *page)
{
	const char *member;
	json_t *value;

	json_object_foreach(page, member, value)
	{
		json_t *so_far = json_object_get(sum, member);
		if (json_is_object(value)) {
			if (!so_far) {
				so_far = json_object();
				json_object_set_new(sum, member, so_far);
			}
			add_numbers(so_far, value);
		} else if (json_is_integer(value)) {
			json_object_set_new(sum, member,
				json_integer(json_integer_value(so_far) + json_integer_value(value)));
		}
	}
}

static void print_count(json_t *sum)
{
	const char *state;
	json_t *value;

	printf("%" JSON_INTEGER_FORMAT " connections, %" JSON_INTEGER_FORMAT " packets, %" JSON_INTEGER_FORMAT
	       " bytes\n",
		number(sum, "connections"), number(sum, "packets"), number(sum, "bytes"));
	json_object_foreach(json_object_get(sum, "states"), state, value)
		printf("  %-12s %" JSON_INTEGER_FORMAT "\n", state, json_integer_value(value));
}

static int run_count(struct jsonrpc_client *client, const struct options *o)
{
	json_auto_t *sum = json_object();

	for (json_int_t cursor = 1; cursor;) {
		g_autoptr(GError) error = NULL;
		json_auto_t *page = switch_call(client, "flow.count", page_params(o, cursor), &error);
		if (!page)
			return cli_refused("flow count", error);
		cursor = number(page, "next");
		json_object_del(page, "next");
		add_numbers(sum, page);
	}
	if (o->json)
		cli_print_json(sum);
	else
		print_count(sum);
	return CLI_OK;
}

/* ---- show ---- */

static void print_direction(const char *title, const json_t *flow)
{
	g_autofree char *src = switch_format_end(flow, "src", "sport"),
			*dst = switch_format_end(flow, "dst", "dport");
	g_autofree char *actions = switch_format_actions(flow), *idle = cli_duration(number(flow, "idle_s"));
	const char *reason = json_string_value(json_object_get(flow, "offload_reason"));

	printf("%s: %s %s > %s\n", title, text(flow, "protocol"), src, dst);
	printf("  %-10s %s, %s\n", "nic", text(flow, "nic_name"), text(flow, "direction"));
	printf("  %-10s %s\n", "actions", actions);
	printf("  %-10s %" JSON_INTEGER_FORMAT " packets, %" JSON_INTEGER_FORMAT " bytes, the last %s ago\n",
		"seen", number(flow, "packets"), number(flow, "bytes"), idle);
	printf("  %-10s %" JSON_INTEGER_FORMAT "\n", "mtu", number(flow, "mtu"));
	printf("  %-10s %s%s%s\n", "offload", text(flow, "offload"), reason ? ": " : "",
		reason ? reason : "");
}

static int run_show(struct jsonrpc_client *client, const struct options *o, const char *id)
{
	g_autoptr(GError) error = NULL;
	json_auto_t *shown = switch_call(client, "flow.show", json_pack("{s:s}", "id", id), &error);

	if (!shown)
		return cli_refused("flow show", error);
	if (o->json) {
		cli_print_json(shown);
		return CLI_OK;
	}
	g_autofree char *age = cli_duration(number(shown, "age_s")),
			*left = cli_duration(number(shown, "expires_s"));
	printf("connection %s: %s, %s old, ends in %s without packets%s\n", text(shown, "id"),
		text(shown, "state"), age, left,
		json_is_true(json_object_get(shown, "current")) ? "" : "; its next packet is judged anew");
	print_direction("forward", json_object_get(shown, "forward"));
	print_direction("reply", json_object_get(shown, "reply"));
	return CLI_OK;
}

/* ---- command line ---- */

static bool parse_options(int *argc, char ***argv, struct options *o)
{
	const GOptionEntry entries[] = {
		{"state", 0, 0, G_OPTION_ARG_FILENAME, &o->state,
			"State folder of the cloud (/var/lib/sluice)", "DIR"},
		{"nic", 0, 0, G_OPTION_ARG_STRING, &o->nic, "Connections of this NIC", "UID|NAME"},
		{"protocol", 0, 0, G_OPTION_ARG_STRING, &o->protocol, "tcp, udp, icmp, esp, ah or a number",
			"PROTOCOL"},
		{"address", 0, 0, G_OPTION_ARG_STRING, &o->address,
			"From or to it, before or after translation", "ADDRESS|PREFIX"},
		{"port", 0, 0, G_OPTION_ARG_INT, &o->port, "From or to this port of TCP or UDP", "PORT"},
		{"connection-state", 0, 0, G_OPTION_ARG_STRING, &o->connection_state,
			"new, established, closing, closed or blocked", "STATE"},
		{"limit", 0, 0, G_OPTION_ARG_INT, &o->limit,
			"List so many rows, two a connection (" G_STRINGIFY(LIST_LIMIT) "); 0: all", "ROWS"},
		{"json", 0, 0, G_OPTION_ARG_NONE, &o->json, "Print JSON", NULL},
		{NULL},
	};

	return cli_options(argc, argv, "list | count | show ID",
		"Lists or counts the connections that the switch knows, all or those that fit every option "
		"given; shows one by the id that list prints.",
		entries);
}

static bool is_state(const char *word)
{
	static const char *const words[] = {"new", "established", "closing", "closed", "blocked", NULL};

	return !word || g_strv_contains(words, word);
}

/* What is wrong with the command line of an action that there is; NULL: nothing. */
static const char *find_mistake(int argc, char **argv, const struct options *o)
{
	bool list = g_str_equal(argv[1], "list"), show = g_str_equal(argv[1], "show");

	if (show && argc != 3)
		return "show takes one ID, as list prints it";
	if (!show && argc != 2)
		return "list and count take no argument, but options that begin with --";
	if (show && has_filter(o))
		return "show takes an ID, and no option that chooses connections";
	if (!list && o->limit != NOT_GIVEN)
		return "--limit is of list alone";
	if (o->limit != NOT_GIVEN && (o->limit < 0 || o->limit == 1))
		return "--limit must be 0 or at least 2: a connection is two rows";
	if (o->port != NOT_GIVEN && (o->port < 0 || o->port > G_MAXUINT16))
		return "--port must be a number from 0 to 65535";
	return is_state(o->connection_state)
		       ? NULL
		       : "--connection-state must be new, established, closing, closed or blocked";
}

int cli_flow(int argc, char **argv)
{
	_cleanup_(options_clear) struct options o = {.port = NOT_GIVEN, .limit = NOT_GIVEN};
	g_autoptr(GError) error = NULL;

	if (!parse_options(&argc, &argv, &o))
		return CLI_USAGE;
	if (argc < 2 || !g_strv_contains(action_words, argv[1]))
		return cli_no_action("flow", argc < 2 ? NULL : argv[1], "'list', 'count' or 'show ID'");
	const char *mistake = find_mistake(argc, argv, &o);
	if (mistake)
		return cli_misused("flow", mistake);
	_cleanup_(jsonrpc_client_free) struct jsonrpc_client *client = switch_client(o.state, &error);
	if (!client)
		return cli_fail("flow", error);
	if (g_str_equal(argv[1], "list"))
		return run_list(client, &o);
	return g_str_equal(argv[1], "count") ? run_count(client, &o) : run_show(client, &o, argv[2]);
}
