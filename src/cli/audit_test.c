/* What `sluice audit` asks for, and what it makes of pages. */
#include "cli/cli.h"
#include "cli/test_controller.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

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

/* ---- on a terminal ---- */

#define WIDTH 120
#define GROUP "/subscriptions/0f2c9a52-2b1c-4f52-9f5a-1d9a0d6f7c11/resourceGroups/myResourceGroup"

static void answer_long(SoupServerMessage *message, const char *path, GHashTable *query, void *data)
{
	test_controller_reply(message, 200,
		"{\"records\": [{\"time\": \"2026-11-22T08:00:00.123456Z\", \"who\": \"ada@local\", "
		"\"result\": \"refused\", \"what\": \"PUT " GROUP
		"/providers/Microsoft.Network/networkInterfaces/myNic\", \"code\": \"OperationNotAllowed\", "
		"\"request\": \"5b0c7c52-98f3-4f0e-8f5e-7a4cc0d2a8b1\"}, {\"time\": "
		"\"2026-11-22T07:00:00.5Z\", \"who\": \"a92c2e87-d760-4709-bab8-99fb0870176b\", \"result\": "
		"\"succeeded\", \"what\": \"put deployment "
		"a_deployment_whose_name_is_longer_than_what_there_is_room_for_beside_the_rest\"}]}");
}

static void assert_width(const char *text)
{
	for (size_t length; *text; text += length + strspn(text + length, "\r\n")) {
		length = strcspn(text, "\r\n");
		g_assert_cmpuint(length, <=, WIDTH);
	}
}

/* What the verb writes to a terminal goes to standard output, as far as a terminal keeps it. */
static int run_on_terminal(const char *words)
{
	const struct winsize size = {.ws_row = 25, .ws_col = WIDTH};
	int usual = dup(STDOUT_FILENO), terminal = posix_openpt(O_RDWR | O_NOCTTY);
	char text[4096];

	g_assert_true(terminal >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0);
	int end = open(ptsname(terminal), O_RDWR | O_NOCTTY);
	g_assert_true(end >= 0 && ioctl(end, TIOCSWINSZ, &size) == 0 && dup2(end, STDOUT_FILENO) >= 0);
	int status = test_case_call(cli_audit, words);
	fflush(stdout);
	g_assert_true(dup2(usual, STDOUT_FILENO) >= 0);
	ssize_t length = read(terminal, text, sizeof text - 1);
	g_assert_cmpint(length, >, 0);
	text[length] = 0;
	if (!strstr(words, "--wide"))
		assert_width(text);
	g_assert_cmpint(write(STDOUT_FILENO, text, (size_t)length), ==, length);
	close(end);
	close(terminal);
	close(usual);
	return status;
}

static const struct test_case on_terminal[] = {
	{"audit", CLI_OK,
		"TIME *WHO *RESULT *WHAT *CODE*\n"
		"2026-11-22T07:00:00Z a92c2e87-d760-4... succeeded put deployment "
		"a_deployment_whose_name_is_longe... "
		"-*\n"
		"2026-11-22T08:00:00Z ada@local *refused *PUT .../Microsoft.Network/networkInterfaces/myNic "
		"*OperationNotAllowed*\n",
		"sluice audit: as far as it fits; --wide prints all, *\n"},
	{"audit --wide", CLI_OK,
		"TIME *REQUEST*99fb0870176b *_beside_the_rest *\n2026-11-22T08:00:00.123456Z *PUT " GROUP
		"/providers/*myNic *OperationNotAllowed 5b0c*a8b1*\n",
		""},
};

static void test_terminal(void)
{
	test_controller_assert(run_on_terminal, answer_long, NULL, on_terminal, G_N_ELEMENTS(on_terminal));
}

static const struct test_case piped[] = {{"audit", CLI_OK,
	"TIME *REQUEST\n*_beside_the_rest *\n2026-11-22T08:00:00.123456Z *PUT " GROUP "/*a8b1\n", ""}};

static void test_pipe(void)
{
	test_controller_assert(run_case, answer_long, NULL, piped, G_N_ELEMENTS(piped));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func(
		"/audit/records come page by page, the newest last, and links lead nowhere else", test_verb);
	g_test_add_func("/audit/the table fits on a terminal, but with --wide", test_terminal);
	g_test_add_func("/audit/what is piped is whole", test_pipe);
	return g_test_run();
}
