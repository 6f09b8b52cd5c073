/* `sluice doctor`: what is wrong with this host, before it fails. */
#include "cli/cli.h"
#include "doctor/host.h"
#include "nic/host_file.h"

#include <stdio.h>

int cli_doctor(int argc, char **argv)
{
	gboolean as_json = FALSE;
	g_autofree char *host_file = NULL;
	struct host_source source = host_source_real;
	const GOptionEntry entries[] = {
		{"host-file", 0, 0, G_OPTION_ARG_FILENAME, &host_file,
			"What this host should have (" HOST_FILE ")", "FILE"},
		{"json", 0, 0, G_OPTION_ARG_NONE, &as_json, "Print JSON", NULL},
		{NULL},
	};

	if (!cli_options(&argc, &argv, "[host]",
		    "Looks for every reason why virtual machines or SR-IOV would fail on this host, and says "
		    "what "
		    "to do about each. It changes nothing. Exit status 1 when there is a problem.",
		    entries))
		return CLI_USAGE;
	if (argc > 2 || (argc == 2 && !g_str_equal(argv[1], "host"))) {
		fprintf(stderr,
			"sluice doctor: it looks at 'host'; inside a virtual machine: sluice-guest doctor\n");
		return CLI_USAGE;
	}
	if (host_file && !g_file_test(host_file, G_FILE_TEST_EXISTS)) {
		fprintf(stderr, "sluice doctor: --host-file: there is no %s\n", host_file);
		return CLI_USAGE;
	}
	if (host_file)
		source.host_file = host_file;
	g_autoptr(GPtrArray) findings = host_examine(&source);
	g_autofree char *text = findings_text(findings);
	json_auto_t *json = findings_encode(findings);

	if (as_json)
		cli_print_json(json);
	else
		fputs(text, stdout);
	return findings_exit_of(findings) == FINDINGS_WELL ? CLI_OK : CLI_FAILED;
}
