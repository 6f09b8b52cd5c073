/* What verbs share. */
#include "cli/cli.h"

#include "base/fault.h"
#include "base/help.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define STATE_DIR "/var/lib/sluice"

static const char help_option[] = "--help";

/* Whether `help` alone stands for --help: not where it may be a NIC's name. */
static bool is_help(int argc, char **argv, const char *synopsis)
{
	const char *first = synopsis + strspn(synopsis, "[");

	return argc == 2 && g_str_equal(argv[1], "help") && !g_ascii_isupper(*first);
}

bool cli_options(
	int *argc, char ***argv, const char *synopsis, const char *summary, const GOptionEntry *entries)
{
	g_autofree char *name = g_strdup_printf("sluice %s", (*argv)[0]);
	g_autoptr(GOptionContext) context = g_option_context_new(synopsis);
	g_autoptr(GError) error = NULL;

	g_set_prgname(name);
	g_option_context_set_summary(context, summary);
	g_option_context_add_main_entries(context, entries, NULL);
	if (is_help(*argc, *argv, synopsis))
		(*argv)[1] = (char *)help_option; /* options take words, and write into none */
	if (g_option_context_parse(context, argc, argv, &error)) {
		if (*synopsis || *argc == 1)
			return true;
		fprintf(stderr, "sluice %s: it takes no argument '%s'\n", (*argv)[0], (*argv)[1]);
		return false;
	}
	if (g_error_matches(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE)) {
		fprintf(stderr, "%s: %s\n", name, error->message); /* which names the option and the value */
		return false;
	}
	g_autofree char *help = help_text(context);
	fprintf(stderr, "%s: %s\n\n%s", name, error->message, help);
	return false;
}

int cli_fail(const char *verb, const GError *error)
{
	fprintf(stderr, "sluice %s: %s\n", verb, error->message);
	return CLI_FAILED;
}

int cli_refused(const char *verb, const GError *error)
{
	cli_fail(verb, error);
	return g_error_matches(error, FAULT, FAULT_INVALID) ? CLI_USAGE : CLI_FAILED;
}

int cli_misused(const char *verb, const char *sentence)
{
	fprintf(stderr, "sluice %s: %s\n", verb, sentence);
	return CLI_USAGE;
}

int cli_surplus(const char *verb, const char *word, const char *usage)
{
	fprintf(stderr, "sluice %s: it does not take '%s'; usage: sluice %s %s\n", verb, word, verb, usage);
	return CLI_USAGE;
}

int cli_no_action(const char *verb, const char *word, const char *actions)
{
	if (word)
		fprintf(stderr, "sluice %s: there is no '%s'; %s is needed\n", verb, word, actions);
	else
		fprintf(stderr, "sluice %s: %s is needed\n", verb, actions);
	return CLI_USAGE;
}

char *cli_duration(int64_t seconds)
{
	static const struct {
		int64_t seconds;
		char big, small;
		int64_t part; /* of which the small one is */
	} units[] = {{86400, 'd', 'h', 3600}, {3600, 'h', 'm', 60}, {60, 'm', 's', 1}};

	for (size_t i = 0; i < G_N_ELEMENTS(units); i++)
		if (seconds >= units[i].seconds)
			return g_strdup_printf("%" G_GINT64_FORMAT "%c%02d%c", seconds / units[i].seconds,
				units[i].big, (int)(seconds % units[i].seconds / units[i].part),
				units[i].small);
	return g_strdup_printf("%ds", (int)seconds);
}

void cli_print_json(const json_t *value)
{
	json_dumpf(value, stdout, JSON_INDENT(2));
	putchar('\n');
}

char *cli_state_dir(const char *option)
{
	const char *dir = option ? option : g_getenv("SLUICE_STATE");

	return g_canonicalize_filename(dir ? dir : STATE_DIR, NULL);
}

/* 0 when this user may connect to the state folder's socket, else an errno. */
static int try_socket(const char *state, const char *socket)
{
	g_autofree char *path = g_build_filename(state, socket, NULL);

	return access(path, W_OK) == 0 ? 0 : errno;
}

/* Whether there is none of the sockets; a part that is being started again lacks its own alone. */
static bool is_down(const char *state)
{
	return try_socket(state, CLI_AGENT_SOCKET) == ENOENT &&
	       try_socket(state, CLI_SWITCH_SOCKET) == ENOENT;
}

struct jsonrpc_client *cli_client(const char *option, const char *socket, GError **error)
{
	g_autofree char *state = cli_state_dir(option);
	g_autofree char *path = g_build_filename(state, socket, NULL);

	if (try_socket(state, socket) == EACCES)
		fault_set(error, FAULT_DENIED, "the cloud on %s is not for this user; run as root", state);
	else if (is_down(state))
		fault_set(error, FAULT_UNAVAILABLE,
			"no cloud runs on %s; start one with 'sluice up', or name another by --state or "
			"$SLUICE_STATE",
			state);
	else
		return jsonrpc_client_new(path);
	return NULL;
}
