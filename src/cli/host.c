/* `sluice host`: `list`s the cloud's hosts; `show`s physical functions and their virtual ones, as the kernel shows them; `add`s other machines, `remove`s
 * them, and says which of them share a `fault-domain`; `setup`s this one, `drain`s it and `undrain`s it. */
#include "cli/cli.h"
#include "cli/host_priv.h"

#include <limits.h>

#define DRAIN_S      120
#define NOTICE_MAX_S 3600 /* the agent's */
#define NOT_GIVEN    INT_MIN

/* What is wrong with the options of the action; NULL: nothing. */
static const char *check(const char *action, int notice_s, int timeout_s, bool drains, bool lost)
{
	bool drain = g_str_equal(action, "drain");

	if (!drain && (drains || notice_s != NOT_GIVEN || timeout_s != NOT_GIVEN))
		return "--notice, --timeout, --force and --migrate are for 'drain'";
	if (lost && !g_str_equal(action, "remove"))
		return "--lost is for 'remove NAME'";
	if (notice_s != NOT_GIVEN && (notice_s < 0 || notice_s > NOTICE_MAX_S))
		return "--notice takes a number of seconds, from 0 to 3600";
	if (timeout_s != NOT_GIVEN && timeout_s < 0)
		return "--timeout takes a number of seconds, 0 or more";
	return NULL;
}

/* The words are none of the verb's. */
static int refuse(int argc, char **argv)
{
	static const struct {
		const char *action, *wants;
	} actions[] = {
		{"list", "list takes no argument"},
		{"show", "show takes no argument"},
		{"add", "add takes one NAME, as 'hostname' prints it there"},
		{"remove", "remove takes one NAME, of a host"},
		{"fault-domain", "fault-domain takes a HOST, and a NAME or none"},
		{"drain", "drain takes no argument: it is this host that is drained"},
		{"undrain", "undrain takes no argument: it is this host that is undrained"},
	};

	for (size_t i = 0; argc > 1 && i < G_N_ELEMENTS(actions); i++)
		if (g_str_equal(argv[1], actions[i].action))
			return cli_misused("host", actions[i].wants);
	return cli_no_action("host", argc > 1 ? argv[1] : NULL,
		"'list', 'show', 'add NAME', 'remove NAME', 'fault-domain HOST', 'drain', 'undrain' or "
		"'setup'");
}

int cli_host(int argc, char **argv)
{
	g_autofree char *state_option = NULL;
	gboolean as_json = FALSE, force = FALSE, migrate = FALSE, lost = FALSE;
	int timeout_s = NOT_GIVEN, notice_s = NOT_GIVEN;
	const GOptionEntry entries[] = {
		{"state", 0, 0, G_OPTION_ARG_FILENAME, &state_option,
			"State folder of the cloud (/var/lib/sluice)", "DIR"},
		{"notice", 0, 0, G_OPTION_ARG_INT, &notice_s,
			"Tell guests so long before their functions go, unless they acknowledge it earlier "
			"(0)",
			"SECONDS"},
		{"timeout", 0, 0, G_OPTION_ARG_INT, &timeout_s,
			"How long to wait for guests to let their functions go (120); 0: not at all",
			"SECONDS"},
		{"force", 0, 0, G_OPTION_ARG_NONE, &force, "Cut functions off that guests do not let go of",
			NULL},
		{"migrate", 0, 0, G_OPTION_ARG_NONE, &migrate,
			"Then move all virtual machines that run here to other hosts", NULL},
		{"lost", 0, 0, G_OPTION_ARG_NONE, &lost,
			"Give the host's virtual machines up with it: their disks do not come back", NULL},
		{"json", 0, 0, G_OPTION_ARG_NONE, &as_json, "Print JSON", NULL},
		{NULL},
	};

	if (argc > 1 && g_str_equal(argv[1], "setup")) {
		argv[1] = "host setup";
		return host_setup(argc - 1, argv + 1);
	}
	if (!cli_options(&argc, &argv,
		    "list | show | add NAME | remove NAME | fault-domain HOST [NAME] | drain | undrain | "
		    "setup",
		    "Lists the hosts of this cloud: which are ready, drained or silent, and what is amiss "
		    "there. Or shows the network devices on this host's PCI buses: physical functions, their "
		    "virtual functions (made/possible), how many traffic classes these leave on ports whose "
		    "number depends on it, their queues (there are/could be), what each virtual function may "
		    "do and which VM has it, what they can enforce, and what they have carried. Or makes, or "
		    "renews, the certificate by which the host NAME takes part in this cloud. Or removes the "
		    "host NAME, which must not report any more and, without --lost, have no machines. Or "
		    "says which fault domain HOST shares with others, such as a rack (without NAME: none), "
		    "so that machines of an availability set are spread over several. Or drains this host "
		    "for maintenance: its NICs go on by their synthetic paths, no connection is lost, and it "
		    "gets no new VMs until it is undrained. 'sluice host setup --help' tells of setting it "
		    "up for SR-IOV.",
		    entries))
		return CLI_USAGE;
	const char *mistake = check(argc > 1 ? argv[1] : "", notice_s, timeout_s, force || migrate, lost);
	if (mistake)
		return cli_misused("host", mistake);
	if (argc == 3 && g_str_equal(argv[1], "add"))
		return host_add(state_option, argv[2], as_json);
	if (argc == 3 && g_str_equal(argv[1], "remove"))
		return host_remove(state_option, argv[2], lost, as_json);
	if ((argc == 3 || argc == 4) && g_str_equal(argv[1], "fault-domain"))
		return host_domain(state_option, argv[2], argc == 4 ? argv[3] : NULL, as_json);
	if (argc == 2 && g_str_equal(argv[1], "list"))
		return host_list(state_option, as_json);
	if (argc == 2 && g_str_equal(argv[1], "show"))
		return host_show(state_option, as_json);
	const struct drain_plan plan = {notice_s == NOT_GIVEN ? 0 : (unsigned)notice_s,
		timeout_s == NOT_GIVEN ? DRAIN_S : (unsigned)timeout_s, force, migrate};
	if (argc == 2 && g_str_equal(argv[1], "drain"))
		return host_drain(state_option, &plan, as_json);
	if (argc == 2 && g_str_equal(argv[1], "undrain"))
		return host_undrain(state_option, as_json);
	return refuse(argc, argv);
}
