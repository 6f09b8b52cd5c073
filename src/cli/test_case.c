/* The subprocess is the same test again; it is told by the environment which case it is. */
#include "cli/test_case.h"

#include "cli/cli.h"

#include <glib.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char variable[] = "SLUICE_TEST_CASE";

void test_cases_answer(int (*run)(const char *words))
{
	if (!g_test_subprocess())
		return;
	int status = run(g_getenv(variable));
	fflush(stdout);
	fprintf(stderr, "status %d\n", status);
	exit(status);
}

void test_cases_assert(const struct test_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct test_case *c = &cases[i];
		bool good = c->status == CLI_OK;
		const char *output = good ? c->output : c->other, *errors = good ? c->other : c->output;
		g_autofree char *all = g_strdup_printf("%sstatus %d\n", errors ? errors : "*", c->status);

		g_setenv(variable, c->words, true);
		g_test_message("%s", c->words);
		g_test_trap_subprocess(NULL, 0, 0);
		g_test_trap_assert_stderr(all);
		if (output)
			g_test_trap_assert_stdout(output);
	}
}

int test_case_call(int (*verb)(int argc, char **argv), const char *words)
{
	g_auto(GStrv) argv = NULL;
	int argc;

	g_assert_true(g_shell_parse_argv(words, &argc, &argv, NULL));
	g_autofree char **borrowed =
		g_memdup2(argv, sizeof *argv * ((size_t)argc + 1)); /* options take from it */
	return verb(argc, borrowed);
}

int test_case_call_json(int (*verb)(int argc, char **argv), const char *words)
{
	int usual = dup(STDOUT_FILENO);
	FILE *file = tmpfile();
	json_error_t why;

	g_assert_true(usual >= 0 && file && dup2(fileno(file), STDOUT_FILENO) >= 0);
	int status = test_case_call(verb, words);
	fflush(stdout);
	g_assert_true(dup2(usual, STDOUT_FILENO) >= 0);
	close(usual);
	rewind(file);
	json_auto_t *json = json_loadf(file, 0, &why); /* the whole file must be one value */
	if (!json)
		g_error("'%s' prints no single JSON value: %s", words, why.text);
	fclose(file);
	json_dumpf(json, stdout, JSON_COMPACT);
	putchar('\n');
	return status;
}
