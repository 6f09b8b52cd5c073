/* The operator's shell: `sluice VERB ...`. One file a verb; this is the table's row and what verbs share. */
#pragma once
#include "base/jsonrpc.h"

#include <glib.h>
#include <stdbool.h>

/* Exit statuses. */
enum {
	CLI_OK = 0,
	CLI_FAILED = 1, /* what was asked for failed; a sentence on standard error says why */
	CLI_USAGE = 2, /* the command line is wrong */
};

struct cli_verb {
	const char *name; /* "vf" */
	const char *summary; /* for `sluice --help` */
	/* argv[0] is the verb. Returns an exit status. */
	int (*run)(int argc, char **argv);
};

int cli_up(int argc, char **argv);
int cli_audit(int argc, char **argv);
int cli_az_env(int argc, char **argv);
int cli_doctor(int argc, char **argv);
int cli_drops(int argc, char **argv);
int cli_flow(int argc, char **argv);
int cli_host(int argc, char **argv);
int cli_image(int argc, char **argv);
int cli_metrics(int argc, char **argv);
int cli_mirror(int argc, char **argv);
int cli_network(int argc, char **argv);
int cli_policy(int argc, char **argv);
int cli_quota(int argc, char **argv);
int cli_top(int argc, char **argv);
int cli_trace(int argc, char **argv);
int cli_vf(int argc, char **argv);
int cli_vm(int argc, char **argv);
int cli_status(int argc, char **argv);

/* Parses options into entries; argv keeps what is left. `synopsis`: what follows the verb's name; "": nothing may
 * be left. On a mistake it prints the error, with the help unless it is about an option's value, and returns false:
 * return CLI_USAGE. Does not return from --help and -h, nor from 'help' alone where the synopsis begins with a word that is to be
 * written as it is, or is "". */
bool cli_options(
	int *argc, char ***argv, const char *synopsis, const char *summary, const GOptionEntry *entries);

/* Prints "sluice VERB: message" and returns CLI_FAILED. */
int cli_fail(const char *verb, const GError *error);
/* As cli_fail(), where a part of the cloud was asked: CLI_USAGE when it finds the words that it was sent malformed or out of range
 * (FAULT_INVALID), as only it knows which there are. */
int cli_refused(const char *verb, const GError *error);
/* Prints "sluice VERB: sentence" and returns CLI_USAGE. */
int cli_misused(const char *verb, const char *sentence);
/* Behind all that the verb takes, `usage`, another word stands. Returns CLI_USAGE. */
int cli_surplus(const char *verb, const char *word, const char *usage);
/* The verb has no such action (NULL: none was given). actions: those that it has, "'list' or 'show ID'". Returns CLI_USAGE. */
int cli_no_action(const char *verb, const char *word, const char *actions);

/* "7s", "5m07s", "3h02m", "2d03h". Owned by the caller. */
char *cli_duration(int64_t seconds);

/* For --json: the value and a new line to standard output. */
void cli_print_json(const json_t *value);

/* State folder: the option if given, else $SLUICE_STATE, else /var/lib/sluice; absolute. Owned by the caller.
 */
char *cli_state_dir(const char *option);

/* Control sockets, below the state folder. */
#define CLI_AGENT_SOCKET  "run/agent.sock"
#define CLI_SWITCH_SOCKET "switch/switch.sock"

/* A client of one of them; `option` as above. Owned by the caller. NULL: FAULT_UNAVAILABLE when no cloud runs on the
 * state folder, FAULT_DENIED when the user may not talk to it. Whether somebody answers shows at the first call. */
struct jsonrpc_client *cli_client(const char *option, const char *socket, GError **error);
