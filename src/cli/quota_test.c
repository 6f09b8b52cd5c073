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
		test_controller_reply(message, 400,
			"{\"error\": {\"code\": \"InvalidParameter\", \"message\": \"there is no such "
			"quota\"}}");
	else
		test_controller_reply(message, 200, quotas);
}

static const struct test_case cases[] = {
	{"quota", CLI_OK, "QUOTA*USED*LIMIT\ncores*8*10\nvirtual-machines*1*unlimited\n", ""},
	{"quota list --json", CLI_OK, "*\"limit\": 10*", ""},
	{"quota set cores=12 virtual-machines=unlimited", CLI_OK, "*cores*10*", ""},
	{"quota set bananas=1", CLI_USAGE, "sluice quota: there is no such quota\n"},
	{"quota set cores", CLI_USAGE, "sluice quota: 'cores': what is needed looks like*"},
	{"quota set cores=-1", CLI_USAGE, "sluice quota: 'cores=-1': what is needed*"},
	{"quota set", CLI_USAGE, "sluice quota: 'list' or 'set NAME=LIMIT' is needed\n"},
	{"quota raise cores=1", CLI_USAGE, "*is needed\n"},
};

static int run_case(const char *words)
{
	return test_case_call(cli_quota, words);
}

static void test_verbs(void)
{
	test_controller_assert(run_case, answer, NULL, cases, G_N_ELEMENTS(cases));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/quota/limits are shown and set, and a word that is none is refused", test_verbs);
	return g_test_run();
}
