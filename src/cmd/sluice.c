/* sluice: the operator's shell. Verbs are a table; each lives in a file of src/cli. */
#include "cli/cli.h"

#include <locale.h>
#include <stdio.h>

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
		"\n'sluice VERB --help' tells more.\n"
		"Exit status: 0 when it was done or answered, whatever the answer; 1 when it failed, or the "
		"part that\nwas asked refused it; 2 when the command line is wrong.\n");
	return to == stdout ? CLI_OK : CLI_USAGE;
}

int main(int argc, char **argv)
{
	setlocale(LC_ALL, "");
	if (argc < 2)
		return usage(stderr);
	if (g_str_equal(argv[1], "--help") || g_str_equal(argv[1], "help"))
		return usage(stdout);
	if (g_str_equal(argv[1], "--version")) {
		puts("sluice " SLUICE_VERSION);
		return CLI_OK;
	}
	for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++)
		if (g_str_equal(argv[1], verbs[i].name))
			return verbs[i].run(argc - 1, argv + 1);
	fprintf(stderr, "sluice: there is no verb '%s'\n\n", argv[1]);
	return usage(stderr);
}
