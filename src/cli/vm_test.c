/* What `sluice vm` makes of a controller's answers. */
#include "cli/cli.h"
#include "cli/test_controller.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VM(uid, name, power)                                                                                 \
	"{\"uid\": \"" uid "\", \"name\": \"" name                                                           \
	"\", \"group\": \"rg\", \"host\": \"a\", \"power\": \"" power "\", \"migration\": null}"
#define UNPLACED                                                                                             \
	"{\"uid\": \"u5\", \"name\": \"big\", \"group\": \"rg\", \"host\": null, \"power\": \"unknown\", "   \
	"\"provisioning\": \"failed\", \"fault\": \"no-host\", \"message\": \"a: RamFilter\", "              \
	"\"migration\": null}"
#define OPERATION(state, more) "{\"uid\": \"op\", \"verb\": \"migrate\", \"state\": \"" state "\", " more "}"
#define MOVING(phase, percent)                                                                               \
	"\"virtualMachine\": {\"uid\": \"u1\", \"name\": \"web\", \"group\": \"rg\", \"migration\": "        \
	"{\"phase\": \"" phase "\", \"percent\": " percent ", \"message\": \"waits\"}}"

/* ---- the controller ---- */

static const char *answer_post(SoupServerMessage *message, unsigned *looks, guint *status)
{
	SoupMessageBody *body = soup_server_message_get_request_body(message);
	g_autofree char *text = g_strndup(body->data, (gsize)body->length);

	*looks = 0;
	*status = strstr(text, "full") ? 409 : 202;
	return *status == 202 ? OPERATION("running", MOVING("preparing", "0"))
			      : "{\"error\": {\"code\": \"AllocationFailed\", \"message\": \"no room\"}}";
}

/* data: how often the operation was looked at, an unsigned. */
static void answer(SoupServerMessage *message, const char *path, GHashTable *query, void *data)
{
	static const char vms[] = "{\"virtualMachines\": [" VM("u1", "web", "running") ", " VM(
		"u2", "twin", "running") ", " VM("u3", "twin", "running") ", " UNPLACED "]}";
	static const char of_a[] =
		"{\"virtualMachines\": [" VM("u1", "web", "running") ", " VM("u4", "db", "stopped") "]}";
	const char *method = soup_server_message_get_method(message), *text = "{}";
	unsigned *looks = data;
	guint status = 200;

	if (g_str_has_suffix(path, "/virtual-machines"))
		text = query ? of_a : vms;
	else if (g_str_equal(method, "POST") && g_str_has_suffix(path, "/u1/migrate"))
		text = answer_post(message, looks, &status);
	else if (g_str_has_suffix(path, "/u1/migrate"))
		text = OPERATION("running", MOVING("cancelling", "0"));
	else if (g_str_has_suffix(path, "/operations/op"))
		text = (*looks)++ ? OPERATION("succeeded",
					    "\"virtualMachine\": {\"name\": \"web\", \"group\": \"rg\", "
					    "\"host\": \"b\"}")
				  : OPERATION("running", MOVING("moving", "42"));
	test_controller_reply(message, status, text);
}

/* ---- tests ---- */

/* In the subprocess; "^C " in front: as if that was pressed at once. */
static int run_case(const char *words)
{
	bool interrupted = g_str_has_prefix(words, "^C ");
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	if (interrupted && sigprocmask(SIG_BLOCK, &set, NULL) == 0)
		raise(SIGINT);
	return strstr(words, "--json") ? test_case_call_json(cli_vm, words)
				       : test_case_call(cli_vm, interrupted ? words + 3 : words);
}

static const struct test_case cases[] = {
	{"vm list", CLI_OK,
		"VM *STATE *REASON\nrg/big *- *- *failed *a: RamFilter\nrg/twin *u2*\nrg/twin *u3*\nrg/web "
		"*a*running*",
		""},
	{"vm list --json", CLI_OK, "*\"provisioning\":\"failed\"*\"message\":\"a: RamFilter\"*", ""},
	{"vm migrate web", CLI_OK,
		"rg/web: preparing: waits\nrg/web: moving, 42 %: waits\nrg/web runs on host b\n", ""},
	{"vm migrate RG/WEB --json", CLI_OK, "*\"state\":\"succeeded\"*", ""},
	{"vm migrate u1 --to full", CLI_FAILED, "sluice vm: no room\n"},
	{"vm migrate none", CLI_FAILED, "sluice vm: there is no virtual machine none;*"},
	{"vm migrate twin", CLI_USAGE, "*2 virtual machines are called twin; say GROUP/twin\n"},
	{"vm migrate web --cancel", CLI_OK, "web: cancelling;*", ""},
	{"vm migrate --from a", CLI_FAILED, "rg/db stays: it is stopped*", "*rg/web runs on host b\n"},
	{"vm migrate --from a --json", CLI_FAILED, "rg/db stays: it is stopped*",
		"{\"migrations\":[{*\"state\":\"succeeded\"*}],\"staying\":[{\"uid\":\"u4\",*\"reason\":\"it "
		"is "
		"stopped, *\"}]}\n"},
	{"^C vm migrate web", CLI_OK, "rg/web: preparing*",
		"rg/web: its migration goes on;*'sluice vm migrate rg/web --cancel' ends it\n"},
};

static void test_verbs(void)
{
	unsigned looks = 0;

	test_controller_assert(run_case, answer, &looks, cases, G_N_ELEMENTS(cases));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/vm/machines are found, moved, watched, left alone and called back", test_verbs);
	return g_test_run();
}
