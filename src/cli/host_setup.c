/* `sluice host setup`: makes a host what its host file says, at once and at every start, and undoes it. */
#include "cli/cli.h"
#include "cli/host_priv.h"
#include "doctor/host.h"
#include "nic/host_file.h"
#include "setup/setup.h"

#include <stdio.h>

struct options {
	gboolean plan, apply, revert, boot, json;
	const char *state, *host_file; /* Borrowed; as given, or NULL */
};

/* How the unit is to start it: by the program that runs now, with the options that are not as usual. */
static char *command_line(const struct options *options)
{
	g_autofree char *program = g_file_read_link("/proc/self/exe", NULL);
	GString *line = g_string_new(NULL);

	setup_add_word(line, program ? program : "sluice");
	g_string_append(line, " host setup");
	if (options->host_file) {
		g_autofree char *path = g_canonicalize_filename(options->host_file, NULL);
		g_string_append(line, " --host-file ");
		setup_add_word(line, path);
	}
	if (options->state) {
		g_autofree char *path = cli_state_dir(options->state);
		g_string_append(line, " --state ");
		setup_add_word(line, path);
	}
	return g_string_free(line, false);
}

static int print(const GPtrArray *steps, bool as_json, const char *nothing)
{
	g_autofree char *text = setup_text(steps);
	json_auto_t *json = setup_encode(steps);

	if (as_json)
		cli_print_json(json);
	else
		fputs(steps->len ? text : nothing, stdout);
	return setup_is_well(steps) ? CLI_OK : CLI_FAILED;
}

static int revert(const struct setup_machine *machine, bool as_json)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) steps = setup_revert(machine, &error);

	return steps ? print(steps, as_json, "nothing was set up here\n") : cli_fail("host setup", error);
}

/* What the doctor finds that no program can change. */
static void add_firmware(GPtrArray *steps)
{
	g_autoptr(GPtrArray) findings = host_examine_firmware(&host_source_real);

	for (guint i = 0; i < findings->len; i++) {
		const struct finding *finding = findings->pdata[i];
		g_autofree char *text = g_strdup_printf("%s (%s)", finding->remedy, finding->text);
		setup_add_by_hand(steps, finding->subject ? finding->subject : "firmware", text);
	}
}

static int plan_or_apply(const struct setup_machine *machine, const struct options *options)
{
	const char *path = options->host_file ? options->host_file : HOST_FILE;
	g_autofree char *nothing = g_strdup_printf("%s %s, so there is nothing to do\n", path,
		g_file_test(path, G_FILE_TEST_EXISTS) ? "names no devices" : "is not there");
	g_autoptr(GError) error = NULL;
	_cleanup_(host_file_free) struct host_file *file = host_file_read(path, &error);

	if (!file)
		return cli_fail("host setup", error);
	if (options->boot)
		setup_wait_for_devices(machine, file);
	g_autoptr(GPtrArray) steps = setup_plan(machine, file, options->boot, &error);
	if (steps && options->apply && !setup_is_well(steps))
		fprintf(stderr, "sluice host setup: a step is blocked, so nothing is done\n");
	if (!steps || (!options->plan && !setup_apply(machine, steps, options->boot, &error)))
		return cli_fail("host setup", error);
	if (!options->boot && file->physicals->len)
		add_firmware(steps);
	return print(steps, options->json, nothing);
}

static int run(const struct options *options)
{
	g_autofree char *state = cli_state_dir(options->state), *line = command_line(options);
	const struct setup_machine machine = setup_machine_real(state, line);

	if (options->plan + options->apply + options->revert + options->boot != 1) {
		fprintf(stderr, "sluice host setup: one of --plan, --apply and --revert is needed\n");
		return CLI_USAGE;
	}
	if (!options->revert && options->host_file && !g_file_test(options->host_file, G_FILE_TEST_EXISTS)) {
		fprintf(stderr, "sluice host setup: --host-file: there is no %s\n", options->host_file);
		return CLI_USAGE;
	}
	return options->revert ? revert(&machine, options->json) : plan_or_apply(&machine, options);
}

int host_setup(int argc, char **argv)
{
	struct options options = {};
	g_autofree char *state = NULL, *host_file = NULL;
	const GOptionEntry entries[] = {
		{"plan", 0, 0, G_OPTION_ARG_NONE, &options.plan,
			"Print what would be done, and change nothing", NULL},
		{"apply", 0, 0, G_OPTION_ARG_NONE, &options.apply, "Do it", NULL},
		{"revert", 0, 0, G_OPTION_ARG_NONE, &options.revert, "Undo all that --apply has done", NULL},
		{"boot", 0, 0, G_OPTION_ARG_NONE, &options.boot,
			"Do again what does not outlive a restart (for sluice-vfs.service)", NULL},
		{"host-file", 0, 0, G_OPTION_ARG_FILENAME, &host_file,
			"Devices, physical networks and numbers of VFs (" HOST_FILE ")", "FILE"},
		{"state", 0, 0, G_OPTION_ARG_FILENAME, &state,
			"State folder, which holds what was there before (/var/lib/sluice)", "DIR"},
		{"json", 0, 0, G_OPTION_ARG_NONE, &options.json, "Print JSON", NULL},
		{NULL},
	};

	if (!cli_options(&argc, &argv, "",
		    "Makes this host what its host file says: the IOMMU on, VFs made now and at every start, "
		    "network "
		    "managers kept off them. It remembers what was there before. Exit status 1 when "
		    "something is "
		    "blocked or failed.",
		    entries))
		return CLI_USAGE;
	options.state = state;
	options.host_file = host_file;
	return run(&options);
}
