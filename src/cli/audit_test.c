/* What `sluice audit` asks for, and what it makes of pages. */
#include "cli/cli.h"
#include "cli/test_controller.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECORD(n, more)                                                                                      \
	"{\"seq\": " n ", \"time\": \"T" n                                                                   \
	"\", \"who\": \"me\", \"result\": \"done\", \"what\": \"PUT /x\"" more "}"

/* Three records in two pages; those of "nobody" are none. The second page's link leads to another machine, which must
 * not be asked. */
static void answer(SoupServerMessage *message, const char *path, GHashTable *query, void *data)
{
	const char *token = g_hash_table_lookup(query, "$skiptoken"),
		   *who = g_hash_table_lookup(query, "who");

	g_assert_cmpstr(path, ==, "/sluice/v1/audit");
	if (who && g_str_equal(who, "no body"))
		test_controller_reply(message, 200, "{\"records\": []}");
	else if (!token)
		test_controller_reply(message, 200,
			"{\"records\": [" RECORD("3", ", \"missed\": 2") ", " RECORD("2",
				"") "], \"nextLink\": \"https://192.0.2.1/sluice/v1/audit?$skiptoken=x\"}");
	else
		test_controller_reply(
			message, 200, "{\"records\": [" RECORD("1", ", \"code\": \"Bad\"") "]}");
}

static const struct {
	const char *words, *output, *errors; /* patterns */
} cases[] = {
	{"audit", "TIME*\nT1*Bad*\nT2*\nT3*\n2 records are missing in between\n", "status 0\n"},
	{"audit --last 2", "TIME*\nT2*\nT3*\n2 records*", "status 0\n"},
	{"audit --json --last 1", "*\"seq\": 3*", "status 0\n"},
	{"audit --who no_body", "nothing of the kind is in the audit log\n", "status 0\n"},
	{"audit --last 0", "", "sluice audit: --last takes a number from 1 on\nstatus 2\n"},
	{"audit all", "", "*status 2\n"},
};

static int run_case(const char *line)
{
	g_auto(GStrv) argv = g_strsplit(line, " ", -1);
	g_autofree char **borrowed = g_memdup2(argv, sizeof *argv * (g_strv_length(argv) + 1));

	for (char **word = argv; *word; word++)
		g_strdelimit(*word, "_", ' ');
	int status = cli_audit((int)g_strv_length(argv), borrowed);
	fflush(stdout);
	fprintf(stderr, "status %d\n", status);
	return status;
}

static void test_verb(void)
{
	_cleanup_(test_controller_close) struct test_controller controller;

	if (g_test_subprocess())
		exit(run_case(g_getenv("AUDIT_CASE")));
	test_controller_open(&controller, answer, NULL);
	g_setenv("SLUICE_STATE", controller.state, true);
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_setenv("AUDIT_CASE", cases[i].words, true);
		g_test_message("%s", cases[i].words);
		g_test_trap_subprocess(NULL, 0, 0);
		g_test_trap_assert_stderr(cases[i].errors);
		if (*cases[i].output)
			g_test_trap_assert_stdout(cases[i].output);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func(
		"/audit/records come page by page, the newest last, and links lead nowhere else", test_verb);
	return g_test_run();
}
