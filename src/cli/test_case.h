/* Cases of verbs in tests, each in a subprocess, as verbs print, and may keep things for the rest of a program. */
#pragma once

#include <stddef.h>

struct test_case {
	const char *words;
	int status;
	const char *output; /* pattern: of standard output when the status is CLI_OK, else of the errors */
	const char *other; /* likewise of the other one; NULL: whatever it is */
};

/* First of all in a test with cases: where this is the subprocess of one, runs it with its words and ends with the status that
 * it returns. */
void test_cases_answer(int (*run)(const char *words));
/* Borrows all. */
void test_cases_assert(const struct test_case *cases, size_t n);

/* What a shell would make of the words, given to the verb; the status. */
int test_case_call(int (*verb)(int argc, char **argv), const char *words);
/* The same of words with --json: aborts unless what it prints is exactly one JSON value, which is then printed on one line. */
int test_case_call_json(int (*verb)(int argc, char **argv), const char *words);
