/* `sluice az-env`: what a user's az needs to talk to this cloud, printed as shell lines or done.
 *
 * az keeps its clouds and logins in $AZURE_CONFIG_DIR (default ~/.azure); the CA comes by
 * $REQUESTS_CA_BUNDLE. Debian 12's az 2.45 does not fit the libraries that it is packaged with: with the newest
 * profile its network commands end in a traceback before any request. So `az version` is asked, and such an az
 * gets the profile that works with it.
 *
 * The password is in no command line, where every user of the machine could read it: az takes "@FILE", and
 * the file is principal.secret in the state folder, for root alone.
 */
#include "base/fault.h"
#include "cli/cli.h"
#include "cli/controller.h"

#include <gio/gio.h>
#include <jansson.h>
#include <stdio.h>

#define CLOUD_NAME "sluice"

#define OLD_AZ         45 /* 2.45: it and those before it need OLD_AZ_PROFILE */
#define OLD_AZ_PROFILE "2020-09-01-hybrid"

/* One command; arguments in order, NULL-terminated. */
typedef char **command;

static const char *member(const json_t *json, const char *name)
{
	const char *text = json_string_value(json_object_get(json, name));

	return text ? text : "";
}

static command words(const char *first, ...)
{
	GStrvBuilder *builder = g_strv_builder_new();
	va_list args;

	va_start(args, first);
	for (const char *word = first; word; word = va_arg(args, const char *))
		g_strv_builder_add(builder, word);
	va_end(args);
	command result = g_strv_builder_end(builder);
	g_strv_builder_unref(builder);
	return result;
}

/* "2.45.0" of that az; NULL: it does not say. Owned by the caller. */
static char *version_of(const char *az)
{
	g_autoptr(GSubprocess) process =
		g_subprocess_new(G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_SILENCE, NULL, az,
			"version", "--output", "json", NULL);
	g_autofree char *text = NULL;

	if (!process || !g_subprocess_communicate_utf8(process, NULL, NULL, &text, NULL, NULL))
		return NULL;
	json_auto_t *json = json_loads(text, 0, NULL);
	return g_strdup(json_string_value(json_object_get(json, "azure-cli")));
}

static bool is_old(const char *version)
{
	unsigned major, minor;

	return version && sscanf(version, "%u.%u", &major, &minor) == 2 &&
	       (major < 2 || (major == 2 && minor <= OLD_AZ));
}

/* Writes the password alone to a file for az; returns "@FILE". Owned by the caller. */
static char *secret_word(const char *state, const json_t *principal, GError **error)
{
	g_autofree char *path = g_build_filename(state, "principal.secret", NULL);
	bool written = g_file_set_contents_full(
		path, member(principal, "password"), -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600, error);

	return written ? g_strconcat("@", path, NULL) : NULL;
}

static GPtrArray *commands(const json_t *principal, const char *secret, const char *endpoint, const char *az,
	const char *profile)
{
	GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev);
	g_autofree char *aliases = g_strconcat(endpoint, "/aliases.json", NULL);

	g_ptr_array_add(
		list, words(az, "cloud", "register", "--name", CLOUD_NAME, "--endpoint-resource-manager",
			      endpoint, "--endpoint-vm-image-alias-doc", aliases, NULL));
	g_ptr_array_add(list, words(az, "cloud", "set", "--name", CLOUD_NAME, NULL));
	if (profile)
		g_ptr_array_add(list, words(az, "cloud", "update", "--profile", profile, NULL));
	g_ptr_array_add(list, words(az, "login", "--service-principal", "-u", member(principal, "appId"),
				      "-p", secret, "--tenant", member(principal, "tenant"), NULL));
	return list;
}

/* One word of a shell line, after `before`. */
static void print_word(const char *before, const char *word)
{
	g_autofree char *quoted = g_shell_quote(word);
	bool plain = g_regex_match_simple("^[A-Za-z0-9_./:@%+=,-]+$", word, 0, 0);

	printf("%s%s", before, plain ? word : quoted);
}

static void print_export(const char *ca)
{
	print_word("export REQUESTS_CA_BUNDLE=", ca);
	putchar('\n');
}

static void print_words(command words)
{
	for (char **word = words; *word; word++)
		print_word(word == words ? "" : " ", *word);
}

/* The first command registers the cloud; one that is registered already is brought up to date instead. */
static void print_commands(const GPtrArray *list, const char *ca)
{
	print_export(ca);
	for (guint i = 0; i < list->len; i++) {
		print_words(list->pdata[i]);
		if (i == 0) {
			g_auto(GStrv) again = g_strdupv(list->pdata[i]);
			g_free(again[2]);
			again[2] = g_strdup("update");
			printf(" 2>/dev/null || ");
			print_words(again);
		}
		putchar('\n');
	}
}

/* Why there is a profile that nobody asked for. */
static void print_profile(const char *before, const char *version, const char *profile)
{
	if (version && profile)
		printf("%sthis az is %s, whose commands work here with the profile %s only\n", before,
			version, profile);
}

/* What az says is shown only when it fails: its advice is for other clouds. */
static bool run_command(GSubprocessLauncher *launcher, command argv, GError **error)
{
	g_autoptr(GSubprocess) process =
		g_subprocess_launcher_spawnv(launcher, (const char *const *)argv, error);
	g_autofree char *words = NULL;

	if (!process || !g_subprocess_communicate_utf8(process, NULL, NULL, NULL, &words, error))
		return false;
	return g_subprocess_get_successful(process) ||
	       fault_set(error, FAULT_INTERNAL, "'%s %s %s' failed: %s", argv[0], argv[1], argv[2],
		       g_strstrip(words));
}

/* The first command registers the cloud; one that is registered already is brought up to date instead. */
static bool run_commands(const GPtrArray *list, const char *ca, GError **error)
{
	g_autoptr(GSubprocessLauncher) launcher =
		g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDOUT_SILENCE | G_SUBPROCESS_FLAGS_STDERR_PIPE);
	command first = list->pdata[0];

	g_subprocess_launcher_setenv(launcher, "REQUESTS_CA_BUNDLE", ca, TRUE);
	if (!run_command(launcher, first, NULL)) {
		g_free(first[2]);
		first[2] = g_strdup("update");
		if (!run_command(launcher, first, error))
			return false;
	}
	for (guint i = 1; i < list->len; i++)
		if (!run_command(launcher, list->pdata[i], error))
			return false;
	return true;
}

int cli_az_env(int argc, char **argv)
{
	g_autofree char *state_option = NULL, *az = NULL, *profile = NULL;
	gboolean run = FALSE;
	const GOptionEntry entries[] = {
		{"state", 0, 0, G_OPTION_ARG_FILENAME, &state_option,
			"State folder of the cloud (/var/lib/sluice)", "DIR"},
		{"do", 0, 0, G_OPTION_ARG_NONE, &run, "Run the commands instead of printing them", NULL},
		{"az", 0, 0, G_OPTION_ARG_FILENAME, &az, "The az to use (az)", "PROGRAM"},
		{"profile", 0, 0, G_OPTION_ARG_STRING, &profile,
			"Profile (" OLD_AZ_PROFILE
			" for an az up to 2." G_STRINGIFY(OLD_AZ) ", else az's own)",
			"NAME"},
		{NULL},
	};
	g_autoptr(GError) error = NULL;

	if (!cli_options(&argc, &argv, "", "Prints (or does) what az needs to use this cloud.", entries))
		return CLI_USAGE;
	g_autofree char *state = cli_state_dir(state_option), *ca = g_build_filename(state, "ca.pem", NULL);
	g_autofree char *endpoint = controller_endpoint(state, &error);
	json_auto_t *principal = endpoint ? controller_principal(state, &error) : NULL;
	g_autofree char *secret = principal ? secret_word(state, principal, &error) : NULL;
	if (!secret)
		return cli_fail("az-env", error);
	const char *program = az ? az : "az";
	g_autofree char *version = profile ? NULL : version_of(program);
	if (is_old(version))
		profile = g_strdup(OLD_AZ_PROFILE);
	g_autoptr(GPtrArray) list = commands(principal, secret, endpoint, program, profile);
	if (!run) {
		print_commands(list, ca);
		print_profile("# ", version, profile);
		return CLI_OK;
	}
	if (!run_commands(list, ca, &error))
		return cli_fail("az-env", error);
	print_profile("", version, profile);
	printf("az is logged in to %s; each shell that runs it needs:\n", endpoint);
	print_export(ca);
	return CLI_OK;
}
