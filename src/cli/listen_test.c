/* Addresses to listen on: what is taken, how it is reached, what a certificate names. */
#include "cli/listen.h"

#include "base/fault.h"

static void test_check(void)
{
	static const struct {
		const char *text;
		bool good;
	} cases[] = {{"127.0.0.1:8443", true}, {"0.0.0.0:1", true}, {"[::]:8443", true},
		{"[::1]:65535", true}, {"[fd00::1]:8443", false}, {"", false}, {"8443", false},
		{":8443", false}, {"127.0.0.1", false}, {"127.0.0.1:0", false}, {"127.0.0.1:65536", false},
		{"::1:8443", false}, {"localhost:8443", false}, {"a,DNS:evil:1", false}};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;
		g_test_message("'%s'", cases[i].text);
		g_assert_true(listen_check("--listen", cases[i].text, &error) == cases[i].good);
		g_assert_true(cases[i].good || error->domain == FAULT);
	}
}

static void test_reach(void)
{
	static const struct {
		const char *listen, *reach;
	} cases[] = {{"0.0.0.0:8443", "127.0.0.1:8443"}, {"[::]:99", "localhost:99"},
		{"192.0.2.1:8443", "192.0.2.1:8443"}, {"[::1]:8443", "localhost:8443"}};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *reach = listen_reach(cases[i].listen);
		g_assert_cmpstr(reach, ==, cases[i].reach);
	}
}

static void test_names(void)
{
	static const struct {
		const char *listens[3], *names;
	} cases[] = {
		{{"127.0.0.1:8443", "127.0.0.1:8444"}, "IP:127.0.0.1,DNS:localhost"},
		{{"192.0.2.1:1", "[::1]:2"}, "IP:192.0.2.1,IP:::1,IP:127.0.0.1,DNS:localhost"},
		{{"0.0.0.0:1", "192.0.2.1:2"}, "DNS:box,IP:127.0.0.1,IP:192.0.2.1,DNS:localhost"},
		{{"[::]:1", "0.0.0.0:2"}, "DNS:box,IP:::1,IP:127.0.0.1,DNS:localhost"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *names = listen_alt_names(cases[i].listens, "box");
		g_assert_cmpstr(names, ==, cases[i].names);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/listen/only an address with a port that we can reach is taken", test_check);
	g_test_add_func("/listen/a wildcard is reached by loopback", test_reach);
	g_test_add_func("/listen/a certificate names all addresses once", test_names);
	return g_test_run();
}
