/* What programs say of themselves, and of words that they do not know. */
#include <glib.h>

struct line {
	const char *words;
	int status;
	const char *output, *errors; /* patterns; NULL: nothing */
};

static const struct line sluice_lines[] = {
	{"--help", 0, "sluice VERB *", NULL},
	{"-h", 0, "sluice VERB *", NULL},
	{"help", 0, "sluice VERB *", NULL},
	{"vf --help", 0, "Usage:*sluice vf *restore NIC*", NULL},
	{"vf -h", 0, "Usage:*sluice vf *restore NIC*", NULL},
	{"vf help", 0, "Usage:*sluice vf *restore NIC*", NULL},
	{"host help", 0, "Usage:*sluice host *list | show | add NAME*", NULL},
	{"host setup help", 0, "Usage:*sluice host setup *", NULL},
	{"status help", 0, "Usage:*sluice status *", NULL},
	{"help vf", 0, "Usage:*sluice vf *restore NIC*", NULL},
	{"help mirror", 0, "Usage:*sluice mirror *NIC*", NULL},
	{"help host setup", 0, "Usage:*sluice host setup *", NULL},
	{"", 2, NULL, "sluice VERB *"},
	{"frob", 2, NULL, "sluice: there is no verb 'frob'\n*  vf *"},
	{"help frob", 2, NULL, "sluice: there is no verb 'frob'\n*  vf *"},
	{"--frob", 2, NULL, "sluice: there is no verb '--frob'\n*"},
};

/* 2 is a verdict of its `status`. */
static const struct line guest_lines[] = {
	{"--help", 0, "Usage:*sluice-guest *doctor*", NULL},
	{"-h", 0, "Usage:*sluice-guest *doctor*", NULL},
	{"help", 0, "Usage:*sluice-guest *doctor*", NULL},
	{"", 3, NULL, "sluice-guest: one of status, doctor, metadata FILE or enforce is needed;*"},
	{"frob", 3, NULL, "sluice-guest: there is no verb 'frob'; one of status, doctor, *"},
	{"--frob", 3, NULL, "sluice-guest: *--frob;*"},
	{"status now", 3, NULL, "sluice-guest: status, doctor and enforce take no argument\n"},
	{"metadata", 3, NULL, "sluice-guest: metadata takes one FILE\n"},
	{"metadata one two", 3, NULL, "sluice-guest: metadata takes one FILE\n"},
	{"metadata one --json", 3, NULL, "sluice-guest: --json is for status and doctor\n"},
	{"enforce --json", 3, NULL, "sluice-guest: --json is for status and doctor\n"},
	{"status --once", 3, NULL, "sluice-guest: --once, --show and --interface are for enforce\n"},
};

static void assert_like(const char *words, const char *pattern, const char *text)
{
	if (!g_pattern_match_simple(pattern ? pattern : "", text))
		g_error("'%s' says '%s'", words, text);
}

static void assert_lines(const char *variable, const struct line *lines, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		g_autofree char *command = g_strdup_printf("%s %s", g_getenv(variable), lines[i].words);
		g_autofree char *output = NULL, *errors = NULL;
		g_autoptr(GError) error = NULL;
		int status;
		g_test_message("%s", lines[i].words);
		g_spawn_command_line_sync(command, &output, &errors, &status, &error);
		g_assert_no_error(error);
		g_assert_cmpint(status, ==, lines[i].status << 8);
		assert_like(lines[i].words, lines[i].output, output);
		assert_like(lines[i].words, lines[i].errors, errors);
	}
}

static void test_sluice(void)
{
	assert_lines("SLUICE", sluice_lines, G_N_ELEMENTS(sluice_lines));
}

static void test_guest(void)
{
	assert_lines("SLUICE_GUEST", guest_lines, G_N_ELEMENTS(guest_lines));
}

/* In whatever locale: the ellipsis that GLib has in it becomes '?' in most. */
static void test_help(void)
{
	static const char *const locales[] = {"C", "C.UTF-8"};
	g_auto(GStrv) programs = g_strsplit(g_getenv("PROGRAMS"), ":", -1);

	for (char **program = programs; *program; program++)
		for (size_t i = 0; i < G_N_ELEMENTS(locales); i++) {
			g_autofree char *command =
				g_strdup_printf("env LC_ALL=%s %s --help", locales[i], *program);
			g_autofree char *output = NULL;
			g_autoptr(GError) error = NULL;
			int status;
			g_test_message("%s", command);
			g_spawn_command_line_sync(command, &output, NULL, &status, &error);
			g_assert_no_error(error);
			g_assert_cmpint(status, ==, 0);
			assert_like(command, "Usage:*[OPTION...]*", output);
			g_assert_true(g_str_is_ascii(output));
		}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/command line/sluice tells its verbs, and which word is none of them", test_sluice);
	g_test_add_func("/command line/so does sluice-guest", test_guest);
	g_test_add_func("/command line/help is the same in all locales", test_help);
	return g_test_run();
}
