/* What `sluice quota` makes of its words and of a controller's answers. */
#include "cli/cli.h"
#include "cli/test_controller.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Says back what it was sent, as the one quota's title would be. */
static void answer(SoupServerMessage *message, const char *path, GHashTable *query, void *data)
{
	static const char quotas[] = "{\"quotas\": [{\"name\": \"cores\", \"used\": 8, \"limit\": 10},"
				     "{\"name\": \"virtual-machines\", \"used\": 1, \"limit\": null}]}";
	SoupMessageBody *body = soup_server_message_get_request_body(message);
	g_autofree char *text = g_strndup(body->data ? body->data : "", (gsize)body->length);
	bool put = g_str_equal(soup_server_message_get_method(message), "PUT");

	g_assert_cmpstr(path, ==, "/sluice/v1/quotas");
	if (put && !g_str_equal(text, "{\"cores\":12,\"virtual-machines\":null}"))
		test_controller_reply(message, 400, "{\"error\": {\"message\": \"there is no such quota\"}}");
	else
		test_controller_reply(message, 200, quotas);
}

static const struct {
	const char *words, *output, *errors; /* patterns */
} cases[] = {
	{"quota", "QUOTA*USED*LIMIT\ncores*8*10\nvirtual-machines*1*unlimited\n", "status 0\n"},
	{"quota list --json", "*\"limit\": 10*", "status 0\n"},
	{"quota set cores=12 virtual-machines=unlimited", "*cores*10*", "status 0\n"},
	{"quota set bananas=1", "", "sluice quota: there is no such quota\nstatus 1\n"},
	{"quota set cores", "", "sluice quota: 'cores': what is needed looks like*status 1\n"},
	{"quota set cores=-1", "", "sluice quota: 'cores=-1': what is needed*status 1\n"},
	{"quota set", "", "sluice quota: 'list' or 'set NAME=LIMIT' is needed\nstatus 2\n"},
	{"quota raise cores=1", "", "*is needed\nstatus 2\n"},
};

static int run_case(const char *line)
{
	g_auto(GStrv) argv = g_strsplit(line, " ", -1);
	g_autofree char **borrowed = g_memdup2(argv, sizeof *argv * (g_strv_length(argv) + 1));
	int status = cli_quota((int)g_strv_length(argv), borrowed);

	fflush(stdout);
	fprintf(stderr, "status %d\n", status);
	return status;
}

static void test_verbs(void)
{
	_cleanup_(test_controller_close) struct test_controller controller;

	if (g_test_subprocess())
		exit(run_case(g_getenv("QUOTA_CASE")));
	test_controller_open(&controller, answer, NULL);
	g_setenv("SLUICE_STATE", controller.state, true);
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_setenv("QUOTA_CASE", cases[i].words, true);
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
	g_test_add_func("/quota/limits are shown and set, and a word that is none is refused", test_verbs);
	return g_test_run();
}
