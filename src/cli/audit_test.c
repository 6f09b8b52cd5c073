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
	if (g_hash_table_contains(query, "result"))
		test_controller_reply(message, 400,
			"{\"error\": {\"code\": \"InvalidParameter\", \"message\": \"result: 'bogus' is none "
			"of *\"}}");
	else if (who && g_str_equal(who, "no body"))
		test_controller_reply(message, 200, "{\"records\": []}");
	else if (!token)
		test_controller_reply(message, 200,
			"{\"records\": [" RECORD("3", ", \"missed\": 2") ", " RECORD("2",
				"") "], \"nextLink\": \"https://192.0.2.1/sluice/v1/audit?$skiptoken=x\"}");
	else
		test_controller_reply(
			message, 200, "{\"records\": [" RECORD("1", ", \"code\": \"Bad\"") "]}");
}

static const struct test_case cases[] = {
	{"audit", CLI_OK, "TIME*\nT1*Bad*\nT2*\nT3*\n2 records are missing in between\n", ""},
	{"audit --last 2", CLI_OK, "TIME*\nT2*\nT3*\n2 records*", ""},
	{"audit --json --last 1", CLI_OK, "*\"seq\": 3*", ""},
	{"audit --who 'no body'", CLI_OK, "nothing of the kind is in the audit log\n", ""},
	{"audit --last 0", CLI_USAGE, "sluice audit: --last takes a number from 1 on\n"},
	{"audit all", CLI_USAGE, "*"},
	{"audit --result bogus", CLI_USAGE, "sluice audit: result: 'bogus' is none of *\n"},
};

static int run_case(const char *words)
{
	return test_case_call(cli_audit, words);
}

static void test_verb(void)
{
	test_controller_assert(run_case, answer, NULL, cases, G_N_ELEMENTS(cases));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func(
		"/audit/records come page by page, the newest last, and links lead nowhere else", test_verb);
	return g_test_run();
}
