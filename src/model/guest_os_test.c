/* What is taken of a guest's words, and what follows from its kernel. */
#include "model/guest_os.h"

#include <string.h>

static void test_sound(void)
{
	g_autofree char *longest = g_strnfill(GUEST_WORD_MAX, 'x'),
			*longer = g_strnfill(GUEST_WORD_MAX + 1, 'x');

	g_assert_true(guest_os_is_sound(&(struct guest_os){.kernel = "6.1.0-56-amd64"}));
	g_assert_true(
		guest_os_is_sound(&(struct guest_os){.kernel = "6.1", .name = (char *)"D\303\251bian 12"}));
	g_assert_true(guest_os_is_sound(&(struct guest_os){.kernel = longest}));
	g_assert_false(guest_os_is_sound(&(struct guest_os){.id = "debian"}));
	g_assert_false(guest_os_is_sound(&(struct guest_os){.kernel = longer}));
	g_assert_false(guest_os_is_sound(&(struct guest_os){.kernel = "6.1", .name = longer}));
	g_assert_false(guest_os_is_sound(&(struct guest_os){.kernel = ""}));
	g_assert_false(guest_os_is_sound(&(struct guest_os){.kernel = "6.1", .id = "deb\nian"}));
	g_assert_false(guest_os_is_sound(&(struct guest_os){.kernel = "6.1", .agent = "\033[2J"}));
	g_assert_false(guest_os_is_sound(&(struct guest_os){.kernel = "6.1", .version = "\377"}));
}

static void assert_old(const char *id, const char *version, const char *kernel, bool old)
{
	const struct guest_os os = {.kernel = (char *)kernel, .id = (char *)id, .version = (char *)version};
	g_autofree char *said = guest_os_explain(&os, NULL);

	g_assert_cmpint(said != NULL, ==, old);
	if (old)
		g_assert_nonnull(strstr(said, kernel));
}

static void test_minima(void)
{
	assert_old("ubuntu", "16.04", "4.4.0-31-generic", true);
	assert_old("ubuntu", "16.04", "4.11.0-1012-azure", true);
	assert_old("ubuntu", "16.04", "4.11.0-1013-azure", false);
	assert_old("ubuntu", "16.04", "4.15.0-1-azure", false);
	assert_old("ubuntu", "18.04", "4.4.0-31-generic", false);
	assert_old("sles", "12.3", "4.4.73-5-default", true);
	assert_old("sles", "12.3", "4.4.92-6.18-default", false);
	assert_old("debian", "8", "3.16.0-4-amd64", false);
	assert_old(NULL, NULL, "3.16.0-4-amd64", false);
	assert_old("ubuntu", "16.04", NULL, false);
}

static void test_both(void)
{
	const struct guest_os old = {.kernel = "4.4.0-31", .id = "ubuntu", .version = "16.04"}, fresh = {};
	g_autofree char *both = guest_os_explain(&old, "It waits."),
			*one = guest_os_explain(&fresh, "It waits."), *none = guest_os_explain(&fresh, NULL);

	g_assert_true(
		g_str_has_prefix(both, "It waits. Its guest runs kernel 4.4.0-31, older than 4.11.0-1013"));
	g_assert_cmpstr(one, ==, "It waits.");
	g_assert_null(none);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/guest_os/words that are long, empty or not printable are refused", test_sound);
	g_test_add_func("/guest_os/the documents' kernels are the oldest ones that pass", test_minima);
	g_test_add_func("/guest_os/an old kernel is told beside what else is to be said", test_both);
	return g_test_run();
}
