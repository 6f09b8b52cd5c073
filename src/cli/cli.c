/* What verbs share. */
#include "cli/cli.h"

#include <stdio.h>

#define STATE_DIR "/var/lib/sluice"

bool cli_options(
	int *argc, char ***argv, const char *synopsis, const char *summary, const GOptionEntry *entries)
{
	g_autoptr(GOptionContext) context = g_option_context_new(synopsis);
	g_autoptr(GError) error = NULL;

	g_option_context_set_summary(context, summary);
	g_option_context_add_main_entries(context, entries, NULL);
	if (g_option_context_parse(context, argc, argv, &error))
		return true;
	g_autofree char *help = g_option_context_get_help(context, TRUE, NULL);
	fprintf(stderr, "sluice: %s\n\n%s", error->message, help);
	return false;
}

int cli_fail(const char *verb, const GError *error)
{
	fprintf(stderr, "sluice %s: %s\n", verb, error->message);
	return CLI_FAILED;
}

char *cli_state_dir(const char *option)
{
	const char *dir = option ? option : g_getenv("SLUICE_STATE");

	return g_canonicalize_filename(dir ? dir : STATE_DIR, NULL);
}
