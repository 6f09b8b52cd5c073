/* sluice-guest: the tool inside virtual machines. Wiring only. */
#include "base/help.h"
#include "guest/accel.h"
#include "guest/doctor.h"
#include "guest/enforce.h"
#include "guest/ethtool.h"
#include "guest/metadata.h"
#include "guest/status.h"

#include <glib.h>
#include <stdio.h>

struct options {
	gboolean json;
	gboolean version;
	struct enforce_options enforce;
};

static const char description[] =
	"Verbs:\n"
	"  status         kernel, VF, pairing and VF counters, and whether acceleration works\n"
	"  doctor         why acceleration does not work, each reason with its remedy\n"
	"  metadata FILE  what an instance metadata document asks for, as assignments for a shell\n"
	"  enforce        tell the host what this guest is, and follow its wish that it applies its NICs' "
	"rules by "
	"nftables; a service\n"
	"\n"
	"Exit status of `status`:\n"
	"  0  acceleration is on and working\n"
	"  1  it is off: not enabled, or the host took the VF away\n"
	"  2  there is a VF and it does not work; the last line says why\n"
	"\n"
	"Exit status of `doctor`: 0 when it finds no problem, 1 when there is one.\n"
	"\n"
	"Exit status of all: 3 when the command line is wrong.\n";

#define VERBS "status, doctor, metadata FILE or enforce"

static int run_status(const struct options *options, char **arguments)
{
	const struct accel_source source = {.root = "", .vf_statistics = ethtool_vf_statistics};
	_cleanup_(accel_report_free) struct accel_report *report = accel_inspect(&source);
	g_autofree char *text = options->json ? status_json(report) : status_text(report);

	fputs(text, stdout);
	return status_exit_of(report);
}

static int run_doctor(const struct options *options, char **arguments)
{
	const struct accel_source source = {.root = "", .vf_statistics = ethtool_vf_statistics};
	g_autoptr(GPtrArray) findings = doctor_examine(&source);
	g_autofree char *text = findings_text(findings);
	json_t *json = findings_encode(findings);

	if (options->json && json_dumpf(json, stdout, JSON_INDENT(2)) == 0)
		putchar('\n');
	else
		fputs(text, stdout);
	json_decref(json);
	return findings_exit_of(findings);
}

static int run_metadata(const struct options *options, char **arguments)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *text = NULL;
	gsize length;

	if (!g_file_get_contents(arguments[0], &text, &length, &error)) {
		fprintf(stderr, "sluice-guest: %s\n", error->message);
		return 1;
	}
	_cleanup_(metadata_free) struct metadata *metadata = metadata_parse(text, length);
	g_autofree char *assignments = metadata ? metadata_shell(metadata) : NULL;

	if (!metadata) {
		fprintf(stderr, "sluice-guest: %s is no instance metadata document\n", arguments[0]);
		return 1;
	}
	fputs(assignments, stdout);
	return 0;
}

static int run_enforce(const struct options *options, char **arguments)
{
	struct enforce_options enforce = options->enforce;

	enforce.version = SLUICE_VERSION;
	return enforce_run(&enforce);
}

static const struct verb {
	const char *name;
	int arguments;
	int (*run)(const struct options *options, char **arguments);
} verbs[] = {
	{"status", 0, run_status},
	{"doctor", 0, run_doctor},
	{"metadata", 1, run_metadata},
	{"enforce", 0, run_enforce},
};

static const struct verb *find_verb(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < G_N_ELEMENTS(verbs); i++)
		if (g_str_equal(argv[1], verbs[i].name))
			return &verbs[i];
	return NULL;
}

static int refuse(const char *sentence)
{
	fprintf(stderr, "sluice-guest: %s\n", sentence);
	return STATUS_EXIT_USAGE;
}

/* Options that are another verb's; NULL: there are none. */
static const char *find_misplaced(const struct verb *verb, const struct options *options)
{
	const struct enforce_options *enforce = &options->enforce;

	if (options->json && verb->run != run_status && verb->run != run_doctor)
		return "--json is for status and doctor";
	if ((enforce->once || enforce->show || enforce->interface) && verb->run != run_enforce)
		return "--once, --show and --interface are for enforce";
	return NULL;
}

static int run_verb(const struct options *options, int argc, char **argv)
{
	const struct verb *verb = find_verb(argc, argv);

	if (argc < 2)
		return refuse("one of " VERBS " is needed; --help tells more");
	if (!verb) {
		fprintf(stderr, "sluice-guest: there is no verb '%s'; one of " VERBS " is needed\n", argv[1]);
		return STATUS_EXIT_USAGE;
	}
	const char *misplaced = find_misplaced(verb, options);
	if (misplaced)
		return refuse(misplaced);
	if (argc != verb->arguments + 2)
		return refuse(verb->arguments ? "metadata takes one FILE"
					      : "status, doctor and enforce take no argument");
	return verb->run(options, argv + 2);
}

static int print_help(GOptionContext *context)
{
	g_autofree char *help = help_text(context);

	fputs(help, stdout);
	return 0;
}

int main(int argc, char **argv)
{
	struct options options = {};
	const GOptionEntry entries[] = {
		{"json", 'j', 0, G_OPTION_ARG_NONE, &options.json, "Print JSON (status, doctor)", NULL},
		{"once", 0, 0, G_OPTION_ARG_NONE, &options.enforce.once,
			"Apply the rules, report them and leave (enforce)", NULL},
		{"show", 0, 0, G_OPTION_ARG_NONE, &options.enforce.show,
			"Print what would be applied and leave (enforce)", NULL},
		{"interface", 0, 0, G_OPTION_ARG_STRING, &options.enforce.interface,
			"Only this interface (enforce)", "NAME"},
		{"version", 0, 0, G_OPTION_ARG_NONE, &options.version, "Print the version and leave", NULL},
		{},
	};
	g_autoptr(GOptionContext) context = g_option_context_new("VERB");
	g_autoptr(GError) error = NULL;

	help_init();
	g_option_context_set_summary(context, "Checks accelerated networking inside a virtual machine.");
	g_option_context_set_description(context, description);
	g_option_context_add_main_entries(context, entries, NULL);
	if (!g_option_context_parse(context, &argc, &argv, &error)) {
		fprintf(stderr, "sluice-guest: %s; --help tells which options there are\n", error->message);
		return STATUS_EXIT_USAGE;
	}
	if (options.version) {
		puts("sluice-guest " SLUICE_VERSION);
		return 0;
	}

	bool help = argc > 1 && g_str_equal(argv[1], "help");
	int status = help ? print_help(context) : run_verb(&options, argc, argv);

	g_free(options.enforce.interface);
	return status;
}
