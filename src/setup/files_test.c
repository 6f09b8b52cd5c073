/* Tests of what setup's files are made of. */
#include "setup/setup.h"

static void test_words(void)
{
	static const struct {
		const char *word, *written;
	} cases[] = {
		{"/usr/local/bin/sluice", "/usr/local/bin/sluice"},
		{"/opt/our cloud/sluice", "\"/opt/our cloud/sluice\""},
		{"/a\"b\\c", "\"/a\\\"b\\\\c\""},
		{"/100%/$HOME", "\"/100%%/$$HOME\""},
		{"", ""},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GString) line = g_string_new(NULL);
		setup_add_word(line, cases[i].word);
		g_assert_cmpstr(line->str, ==, cases[i].written);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func(
		"/setup-files/a word of a unit's command is one to systemd, whatever is in it", test_words);
	return g_test_run();
}
