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
		"u2", "twin", "running") ", " VM("u3", "twin", "running") "]}";
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
static int run_case(const char *line)
{
	bool interrupted = g_str_has_prefix(line, "^C ");
	g_auto(GStrv) argv = g_strsplit(interrupted ? line + 3 : line, " ", -1);
	g_autofree char **borrowed = g_memdup2(argv, sizeof *argv * (g_strv_length(argv) + 1));
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	if (interrupted && sigprocmask(SIG_BLOCK, &set, NULL) == 0)
		raise(SIGINT);
	int status = cli_vm((int)g_strv_length(argv), borrowed);
	fflush(stdout);
	fprintf(stderr, "status %d\n", status);
	return status;
}

static const struct {
	const char *words, *output, *errors; /* patterns */
} cases[] = {
	{"vm list", "*rg/web*a*running*rg/twin*", "status 0\n"},
	{"vm migrate web", "rg/web: preparing: waits\nrg/web: moving, 42 %: waits\nrg/web runs on host b\n",
		"status 0\n"},
	{"vm migrate RG/WEB --json", "*\"state\": \"succeeded\"*", "status 0\n"},
	{"vm migrate u1 --to full", "", "sluice vm: no room\nstatus 1\n"},
	{"vm migrate none", "", "sluice vm: there is no virtual machine none;*status 1\n"},
	{"vm migrate twin", "", "*2 virtual machines are called twin; say GROUP/twin\nstatus 1\n"},
	{"vm migrate web --cancel", "web: cancelling;*", "status 0\n"},
	{"vm migrate --from a", "*rg/web runs on host b\n", "rg/db stays: it is stopped*status 1\n"},
	{"^C vm migrate web", "rg/web: preparing*",
		"rg/web: its migration goes on;*'sluice vm migrate rg/web --cancel' ends it\nstatus 0\n"},
};

static void test_verbs(void)
{
	_cleanup_(test_controller_close) struct test_controller controller;
	unsigned looks = 0;

	if (g_test_subprocess())
		exit(run_case(g_getenv("VM_CASE")));
	test_controller_open(&controller, answer, &looks);
	g_setenv("SLUICE_STATE", controller.state, true);
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_setenv("VM_CASE", cases[i].words, true);
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
	g_test_add_func("/vm/machines are found, moved, watched, left alone and called back", test_verbs);
	return g_test_run();
}
