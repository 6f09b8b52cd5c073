/* Addresses to listen on.
 *
 * Our own programs never connect by an IPv6 literal: glib-networking 2.74 sends it as the TLS server name, and GnuTLS
 * refuses such a hello. They use the name localhost, and what would need a literal is refused.
 */
#include "cli/listen.h"

#include "base/fault.h"

#include <gio/gio.h>
#include <netinet/in.h>

#define ENDING_MS 2000 /* the longest that the controller of a killed `sluice up` may take to go */
#define POLL_MS   50

/* NULL unless the text is an address with a port. */
static GInetSocketAddress *parse(const char *listen)
{
	g_autoptr(GSocketConnectable) parsed = g_network_address_parse(listen, 0, NULL);
	GNetworkAddress *name = parsed ? G_NETWORK_ADDRESS(parsed) : NULL;

	if (!name || !g_network_address_get_port(name))
		return NULL;
	return (GInetSocketAddress *)g_inet_socket_address_new_from_string(
		g_network_address_get_hostname(name), g_network_address_get_port(name));
}

/* The address that a client on this machine uses. Owned by the caller. */
static GInetAddress *reachable(GInetSocketAddress *at)
{
	GInetAddress *address = g_inet_socket_address_get_address(at);

	return g_inet_address_get_is_any(address)
		       ? g_inet_address_new_loopback(g_inet_address_get_family(address))
		       : g_object_ref(address);
}

static bool is_ipv6(GInetAddress *address)
{
	return g_inet_address_get_family(address) == G_SOCKET_FAMILY_IPV6;
}

bool listen_check(const char *option, const char *listen, GError **error)
{
	g_autoptr(GInetSocketAddress) at = parse(listen);
	GInetAddress *address = at ? g_inet_socket_address_get_address(at) : NULL;

	if (!at)
		return fault_set(error, FAULT_INVALID,
			"%s takes ADDR:PORT or [ADDR]:PORT, such as 127.0.0.1:8443, not '%s'", option,
			listen);
	if (is_ipv6(address) && !g_inet_address_get_is_any(address) &&
		!g_inet_address_get_is_loopback(address))
		return fault_set(error, FAULT_UNSUPPORTED,
			"%s takes of IPv6 [::] and [::1], not '%s'; with [::] clients connect by this "
			"machine's name",
			option, listen);
	return true;
}

bool listen_overlaps(const char *one, const char *other)
{
	g_autoptr(GInetSocketAddress) a = parse(one), b = parse(other);
	GInetAddress *a_address = g_inet_socket_address_get_address(a);
	GInetAddress *b_address = g_inet_socket_address_get_address(b);

	return g_inet_socket_address_get_port(a) == g_inet_socket_address_get_port(b) &&
	       g_inet_address_get_family(a_address) == g_inet_address_get_family(b_address) &&
	       (g_inet_address_equal(a_address, b_address) || g_inet_address_get_is_any(a_address) ||
		       g_inet_address_get_is_any(b_address));
}

/* As a server would, with SO_REUSEADDR, so that connections that are only waiting for their end do not count. */
static bool try_bind(GSocketAddress *at, GError **error)
{
	g_autoptr(GSocket) socket = g_socket_new(
		g_socket_address_get_family(at), G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, error);

	if (!socket)
		return false;
	g_socket_set_option(socket, IPPROTO_IPV6, IPV6_V6ONLY, 1, NULL); /* of no meaning to IPv4 */
	return g_socket_bind(socket, at, TRUE, error);
}

bool listen_check_free(const char *option, const char *listen, GError **error)
{
	g_autoptr(GInetSocketAddress) at = parse(listen);
	g_autoptr(GError) cause = NULL;

	for (int waited_ms = 0; !try_bind(G_SOCKET_ADDRESS(at), &cause); waited_ms += POLL_MS) {
		if (!g_error_matches(cause, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE))
			return fault_set(error, FAULT_INVALID,
				"%s %s cannot be listened on: %s; give an address of this machine", option,
				listen, cause->message);
		if (waited_ms >= ENDING_MS)
			return fault_set(error, FAULT_IN_USE,
				"%s %s is in use by another program; give another address or port", option,
				listen);
		g_clear_error(&cause);
		g_usleep(POLL_MS * 1000);
	}
	return true;
}

char *listen_reach(const char *listen)
{
	g_autoptr(GInetSocketAddress) at = parse(listen);
	g_autoptr(GInetAddress) address = reachable(at);
	g_autofree char *text = g_inet_address_to_string(address);

	return g_strdup_printf(
		"%s:%u", is_ipv6(address) ? "localhost" : text, g_inet_socket_address_get_port(at));
}

static void add_name(GPtrArray *names, const char *type, const char *value)
{
	g_autofree char *name = g_strdup_printf("%s:%s", type, value);

	if (!g_ptr_array_find_with_equal_func(names, name, g_str_equal, NULL))
		g_ptr_array_add(names, g_steal_pointer(&name));
}

char *listen_alt_names(const char *const *listens, const char *host_name)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);

	for (; *listens; listens++) {
		g_autoptr(GInetSocketAddress) at = parse(*listens);
		g_autoptr(GInetAddress) address = reachable(at);
		g_autofree char *text = g_inet_address_to_string(address);
		if (g_inet_address_get_is_any(g_inet_socket_address_get_address(at)))
			add_name(names, "DNS", host_name);
		add_name(names, "IP", text);
	}
	add_name(names, "IP", "127.0.0.1");
	add_name(names, "DNS", "localhost");
	g_ptr_array_add(names, NULL);
	return g_strjoinv(",", (char **)names->pdata);
}
