/* Addresses to listen on: what is taken, how it is reached, what a certificate names. */
#include "cli/listen.h"

#include "base/fault.h"

#include <gio/gio.h>

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

static void test_overlaps(void)
{
	static const struct {
		const char *one, *other;
		bool overlaps;
	} cases[] = {{"127.0.0.1:1", "127.0.0.1:1", true}, {"127.0.0.1:1", "127.0.0.1:2", false},
		{"127.0.0.1:1", "127.0.0.2:1", false}, {"0.0.0.0:1", "127.0.0.2:1", true},
		{"127.0.0.2:1", "0.0.0.0:1", true}, {"[::]:1", "0.0.0.0:1", false},
		{"[::]:1", "[::1]:1", true}};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
		g_assert_true(listen_overlaps(cases[i].one, cases[i].other) == cases[i].overlaps);
}

/* A socket on a free port of 127.0.0.1, and its "ADDR:PORT". */
static GSocket *bound(char **ret_text)
{
	g_autoptr(GSocketAddress) any = g_inet_socket_address_new_from_string("127.0.0.1", 0);
	GSocket *socket =
		g_socket_new(G_SOCKET_FAMILY_IPV4, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, NULL);

	g_assert_true(g_socket_bind(socket, any, TRUE, NULL));
	g_autoptr(GSocketAddress) at = g_socket_get_local_address(socket, NULL);
	*ret_text =
		g_strdup_printf("127.0.0.1:%u", g_inet_socket_address_get_port(G_INET_SOCKET_ADDRESS(at)));
	return socket;
}

static void test_free(void)
{
	g_autofree char *text = NULL;
	g_autoptr(GSocket) socket = bound(&text);
	g_autoptr(GError) error = NULL;

	g_assert_true(g_socket_listen(socket, NULL));
	g_assert_false(listen_check_free("--listen", text, &error));
	g_assert_error(error, FAULT, FAULT_IN_USE);
	g_clear_error(&error);
	g_socket_close(socket, NULL);
	g_assert_true(listen_check_free("--listen", text, &error));
	g_assert_no_error(error);
	g_assert_false(listen_check_free("--listen", "192.0.2.1:8443", &error));
	g_assert_error(error, FAULT, FAULT_INVALID);
}

static void *close_later(void *socket)
{
	g_usleep(200 * 1000);
	g_socket_close(socket, NULL);
	return NULL;
}

static void test_ending(void)
{
	g_autofree char *text = NULL;
	g_autoptr(GSocket) socket = bound(&text);
	g_autoptr(GError) error = NULL;

	g_assert_true(g_socket_listen(socket, NULL));
	GThread *thread = g_thread_new("ending", close_later, socket);
	g_assert_true(listen_check_free("--listen", text, &error));
	g_assert_no_error(error);
	g_thread_join(thread);
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
	g_test_add_func("/listen/a wildcard overlaps all addresses of its version", test_overlaps);
	g_test_add_func("/listen/an address in use or of another machine is refused", test_free);
	g_test_add_func("/listen/a server that is just ending is waited for", test_ending);
	g_test_add_func("/listen/a wildcard is reached by loopback", test_reach);
	g_test_add_func("/listen/a certificate names all addresses once", test_names);
	return g_test_run();
}
