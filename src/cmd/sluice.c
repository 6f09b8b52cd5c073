/* sluice: the operator's shell. Verbs are a table; each lives in a file of src/cli. */
#include "base/help.h"
#include "cli/cli.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>

static const struct cli_verb verbs[] = {
	{"up", "run a whole cloud on this machine", cli_up},
	{"az-env", "print or do what az needs to use the cloud", cli_az_env},
	{"image", "make, import and list images of virtual machines", cli_image},
	{"doctor", "why virtual machines or SR-IOV would fail on this host, and what to do", cli_doctor},
	{"host", "the network devices of this host; let another machine be a host of the cloud", cli_host},
	{"network", "where virtual networks travel: VXLANs, or VLANs of physical networks", cli_network},
	{"vm", "where virtual machines are, and their way from host to host", cli_vm},
	{"vf", "list, revoke and restore functions", cli_vf},
	{"policy", "what rules a NIC is subject to, and why a packet passes or not", cli_policy},
	{"flow", "list, count and show the connections that the switch knows", cli_flow},
	{"trace", "what would become of a packet, layer by layer", cli_trace},
	{"top", "what NICs send and get, second by second", cli_top},
	{"mirror", "copy the packets of a NIC or a flow to a pcapng file", cli_mirror},
	{"metrics", "the switch's counters as Prometheus text", cli_metrics},
	{"drops", "why the switch dropped packets", cli_drops},
	{"quota", "what the subscription has, and may have", cli_quota},
	{"audit", "who asked for which change, and what came of it", cli_audit},
	{"status", "what runs, and whether it is well", cli_status},
};

static int usage(FILE *to)
{
	fprintf(to, "sluice VERB [OPTIONS]\n\n");
	for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++)
		fprintf(to, "  %-8s %s\n", verbs[i].name, verbs[i].summary);
	fprintf(to,
		"\n'sluice help VERB', or 'sluice VERB --help', tells more.\n"
		"Exit status: 0 when it was done or answered, whatever the answer; 1 when it failed, or the "
		"part that\nwas asked refused it; 2 when the command line is wrong.\n");
	return to == stdout ? CLI_OK : CLI_USAGE;
}

static bool is_help(const char *word)
{
	return g_str_equal(word, "help") || g_str_equal(word, "--help") || g_str_equal(word, "-h");
}

static const struct cli_verb *find_verb(const char *name)
{
	for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++)
		if (g_str_equal(name, verbs[i].name))
			return &verbs[i];
	fprintf(stderr, "sluice: there is no verb '%s'\n\n", name);
	return NULL;
}

/* `sluice help VERB WORD…` is `sluice VERB WORD… --help`: what follows argv[0] goes one to the front. */
static int help(int argc, char **argv)
{
	static char option[] = "--help";
	const struct cli_verb *verb = argc > 2 ? find_verb(argv[2]) : NULL;

	if (argc == 2)
		return usage(stdout);
	if (!verb)
		return usage(stderr);
	memmove(&argv[1], &argv[2], sizeof *argv * (size_t)(argc - 2));
	argv[argc - 1] = option;
	return verb->run(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
	setlocale(LC_ALL, "");
	help_init();
	if (argc < 2)
		return usage(stderr);
	if (is_help(argv[1]))
		return help(argc, argv);
	if (g_str_equal(argv[1], "--version")) {
		puts("sluice " SLUICE_VERSION);
		return CLI_OK;
	}
	const struct cli_verb *verb = find_verb(argv[1]);
	return verb ? verb->run(argc - 1, argv + 1) : usage(stderr);
}
