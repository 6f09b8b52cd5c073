/* `sluice vf list`: the functions of this host as tables. */
#include "cli/cli.h"
#include "cli/order.h"
#include "cli/vf_priv.h"
#include "nic/vf_counters.h"

#include <libsmartcols/libsmartcols.h>
#include <stdio.h>

#define TOLD_S (24 * 3600) /* so long a repair is told of below the table */

static const struct {
	const char *title, *member;
} columns[] = {
	{"FUNCTION", "function"},
	{"PHYSICAL", "physical"},
	{"PF", "pf"},
	{"VF", "index"},
	{"REPRESENTOR", "representor"},
	{"MAC", "mac"},
	{"VLAN", "vlan"},
	{"NIC", "nic_name"},
	{"VM", "vm"},
	{"STATE", "state"},
	{"ACTIVE PATH", "active"},
	{"REVOKED", "revoked"},
	{"FLOWS IN NIC", "offloaded_flows"},
	{"CHANGES", "changes"},
	{"DAMPED", "dampings"},
	{"REASON", "reason"},
	{"REPAIRED", "repaired"},
	{"PROVIDER", "provider"},
};

char *vf_text(const json_t *entry, const char *member)
{
	bool nameless = g_str_equal(member, "nic_name") && !json_is_string(json_object_get(entry, member));
	const json_t *value = json_object_get(entry, nameless ? "nic" : member);

	if (json_is_boolean(value))
		return g_strdup(json_is_true(value) ? "yes" : "no");
	if (json_is_integer(value))
		return g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
	if (json_is_real(value))
		return g_strdup_printf("%.0f", json_real_value(value));
	return g_strdup(json_is_string(value) ? json_string_value(value) : "-");
}

/* ---- repairs ---- */

/* How long ago the last one was, in seconds; -1: there was none. */
static int64_t repair_age(const json_t *entry)
{
	const char *text = json_string_value(json_object_get(entry, "repaired_at"));
	g_autoptr(GDateTime) at = text ? g_date_time_new_from_iso8601(text, NULL) : NULL;
	g_autoptr(GDateTime) now = g_date_time_new_now_utc();

	return at ? MAX(0, g_date_time_difference(now, at) / G_TIME_SPAN_SECOND) : -1;
}

/* "3h02m ago, 2 times". */
static char *repair_cell(const json_t *entry)
{
	json_int_t times = json_integer_value(json_object_get(entry, "repairs"));
	int64_t age = repair_age(entry);

	if (age < 0)
		return g_strdup("-");
	g_autofree char *ago = cli_duration(age);
	return times > 1 ? g_strdup_printf("%s ago, %" JSON_INTEGER_FORMAT " times", ago, times)
			 : g_strdup_printf("%s ago", ago);
}

/* What was found is too long for a cell; it names function and NIC. */
static void print_repairs(json_t *list)
{
	size_t i;
	json_t *entry;

	json_array_foreach(list, i, entry)
	{
		int64_t age = repair_age(entry);
		if (age < 0 || age > TOLD_S)
			continue;
		g_autofree char *what = vf_text(entry, "repaired"), *cell = repair_cell(entry);
		printf("repaired %s: %s\n", cell, what);
	}
}

/* ---- what they are ---- */

/* Why it is as it is, and what is wrong with the function. */
static char *reason_cell(const json_t *entry)
{
	const json_t *conditions = json_object_get(entry, "conditions"), *condition;
	g_autoptr(GString) text = g_string_new(json_string_value(json_object_get(entry, "reason")));
	size_t i;

	json_array_foreach(conditions, i, condition)
		g_string_append_printf(text, "%s%s", text->len ? "; " : "", json_string_value(condition));
	return text->len ? g_string_free(g_steal_pointer(&text), FALSE) : vf_text(entry, "reason");
}

static char *column_cell(const json_t *entry, const char *member)
{
	if (g_str_equal(member, "reason"))
		return reason_cell(entry);
	return g_str_equal(member, "repaired") ? repair_cell(entry) : vf_text(entry, member);
}

static void print_table(json_t *list)
{
	struct libscols_table *table = scols_new_table();
	size_t i;
	json_t *entry;

	for (size_t c = 0; c < G_N_ELEMENTS(columns); c++)
		scols_table_new_column(table, columns[c].title, 0, 0);
	json_array_foreach(list, i, entry)
	{
		struct libscols_line *line = scols_table_new_line(table, NULL);
		for (size_t c = 0; c < G_N_ELEMENTS(columns); c++) {
			g_autofree char *text = column_cell(entry, columns[c].member);
			scols_line_set_data(line, c, text);
		}
	}
	scols_print_table(table);
	scols_unref_table(table);
}

/* ---- what they have carried ---- */

/* A function without a NIC of its own, which counts nothing of it. */
static bool is_emulated(const json_t *entry)
{
	const char *provider = json_string_value(json_object_get(entry, "provider"));

	return json_is_string(json_object_get(entry, "function")) && provider &&
	       g_str_has_prefix(provider, "emulated");
}

/* Those that their NIC tells it of; returns how many. */
static size_t print_counters(json_t *list)
{
	static const struct {
		const char *title, *member;
	} names[] = {
		{"FUNCTION", "function"}, {"PF", "pf"}, {"VF", "index"}, {"NIC", "nic_name"}, {"VM", "vm"}};
	struct libscols_table *table = scols_new_table();
	size_t i, n = 0;
	json_t *entry;

	for (size_t c = 0; c < G_N_ELEMENTS(names); c++)
		scols_table_new_column(table, names[c].title, 0, 0);
	for (unsigned c = 0; c < VF_COUNTERS; c++)
		scols_table_new_column(table, vf_counter_title(c), 0, SCOLS_FL_RIGHT);
	json_array_foreach(list, i, entry)
	{
		const json_t *statistics = json_object_get(entry, "statistics");
		struct libscols_line *line = statistics ? scols_table_new_line(table, NULL) : NULL;
		for (size_t c = 0; line && c < G_N_ELEMENTS(names); c++) {
			g_autofree char *text = vf_text(entry, names[c].member);
			scols_line_set_data(line, c, text);
		}
		for (unsigned c = 0; line && c < VF_COUNTERS; c++) {
			g_autofree char *text = vf_text(statistics, vf_counter_word(c));
			scols_line_set_data(line, G_N_ELEMENTS(names) + c, text);
		}
		n += line != NULL;
	}
	if (n)
		scols_print_table(table);
	scols_unref_table(table);
	return n;
}

static void print_statistics(json_t *list)
{
	size_t i, emulated = 0, shown = print_counters(list);
	json_t *entry;

	json_array_foreach(list, i, entry)
	{
		emulated += is_emulated(entry);
	}
	if (emulated)
		printf("emulated functions (%zu) are not listed: they have no counters of their own; 'sluice "
		       "top' shows what their NICs send and get\n",
			emulated);
	else if (!shown)
		puts("no function of this host has statistics: its NICs' drivers tell none of VFs, or "
		     "nothing has passed any yet");
}

void vf_print_list(json_t *list, bool statistics, bool as_json)
{
	static const char *const order[] = {
		"?nic", "physical", "pf", "index", "function", "nic_name", "nic", NULL};

	order_by(list, order);
	if (as_json) {
		cli_print_json(list);
	} else if (json_array_size(list) == 0) {
		puts("no NIC of this host is accelerated, and it has no function");
	} else if (statistics) {
		print_statistics(list);
	} else {
		print_table(list);
		print_repairs(list);
	}
}
