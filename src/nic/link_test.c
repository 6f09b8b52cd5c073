/* Namespaces and interfaces, for real: as root, in namespaces of its own. */
#include "base/fault.h"
#include "nic/filter.h"
#include "nic/link.h"
#include "nic/netns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define NETNS_A "agent-link-a"
#define NETNS_B "agent-link-b"

static ino_t own_netns(void)
{
	struct stat st;

	g_assert_cmpint(stat("/proc/self/ns/net", &st), ==, 0);
	return st.st_ino;
}

#define must(call)                                                                                           \
	G_STMT_START                                                                                         \
	{                                                                                                    \
		g_autoptr(GError) error = NULL;                                                              \
		bool done_ = (call);                                                                         \
		g_assert_no_error(error);                                                                    \
		g_assert_true(done_);                                                                        \
	}                                                                                                    \
	G_STMT_END

static struct links *must_open(const char *netns)
{
	g_autoptr(GError) error = NULL;
	struct links *links = links_open(netns, &error);

	g_assert_no_error(error);
	return links;
}

static void make_both(void)
{
	must(netns_create(NETNS_A, &error));
	must(netns_create(NETNS_B, &error));
}

static void remove_both(void)
{
	must(netns_remove(NETNS_A, &error));
	must(netns_remove(NETNS_B, &error));
}

static bool note_netns(void *data, GError **error)
{
	struct stat st;

	g_assert_cmpint(stat("/proc/thread-self/ns/net", &st), ==, 0);
	*(ino_t *)data = st.st_ino;
	return true;
}

static void test_netns(void)
{
	ino_t own = own_netns(), inside = 0;
	g_autoptr(GError) missing = NULL;

	make_both();
	must(netns_create(NETNS_A, &error));
	must(netns_run(NETNS_A, note_netns, &inside, &error));
	g_assert_cmpuint(inside, !=, own);
	g_assert_cmpuint(own_netns(), ==, own);
	remove_both();
	remove_both();
	g_assert_false(netns_exists(NETNS_A));
	g_assert_false(netns_run(NETNS_A, note_netns, &inside, &missing));
	g_assert_error(missing, FAULT, FAULT_NOT_FOUND);
}

static void test_netns_leftover(void)
{
	g_autofree char *path = netns_path(NETNS_A);

	must(g_file_set_contents(path, "", 0, &error));
	g_assert_false(netns_exists(NETNS_A));
	must(netns_create(NETNS_A, &error));
	g_assert_true(netns_exists(NETNS_A));
	must(netns_remove(NETNS_A, &error));
}

/* 10.1.1.1 on veth-a in A, 10.1.1.2 on veth-b in B. */
static void make_pair(struct links *a, struct links *b)
{
	struct ip_addr addr_a, addr_b;

	g_assert_cmpint(ip_parse("10.1.1.1", &addr_a), ==, 0);
	g_assert_cmpint(ip_parse("10.1.1.2", &addr_b), ==, 0);
	must(links_add_veth(a, "veth-a", "veth-b", NETNS_B, &error));
	must(links_add_address(a, "veth-a", addr_a, 24, &error));
	must(links_add_address(b, "veth-b", addr_b, 24, &error));
	must(links_set_up(a, "veth-a", &error));
	must(links_set_up(b, "veth-b", &error));
}

static bool udp_socket(void *data, GError **error)
{
	*(int *)data = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return *(int *)data >= 0;
}

static struct sockaddr_in udp_address(const char *ip)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(4242)};

	g_assert_cmpint(inet_pton(AF_INET, ip, &address.sin_addr), ==, 1);
	return address;
}

static void set_receive_timeout(int fd)
{
	struct timeval timeout = {.tv_sec = 5};

	g_assert_cmpint(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout), ==, 0);
}

static void test_veth(void)
{
	make_both();
	struct links *a = must_open(NETNS_A), *b = must_open(NETNS_B);
	struct sockaddr_in to = udp_address("10.1.1.2");
	char text[8] = "";
	int sender, receiver;

	make_pair(a, b);
	make_pair(a, b);
	must(netns_run(NETNS_A, udp_socket, &sender, &error));
	must(netns_run(NETNS_B, udp_socket, &receiver, &error));
	set_receive_timeout(receiver);
	g_assert_cmpint(bind(receiver, (void *)&to, sizeof to), ==, 0);
	g_assert_cmpint(sendto(sender, "hello", 6, 0, (void *)&to, sizeof to), ==, 6);
	g_assert_cmpint(recv(receiver, text, sizeof text, 0), ==, 6);
	g_assert_cmpstr(text, ==, "hello");
	must(links_remove(a, "veth-a", &error));
	must(links_remove(a, "veth-a", &error));
	g_assert_false(links_exists(b, "veth-b"));
	close(sender);
	close(receiver);
	links_close(a);
	links_close(b);
	remove_both();
}

static bool trust_all(void *data, GError **error)
{
	return g_file_set_contents_full(
		       "/proc/sys/net/ipv4/conf/all/rp_filter", "0", 1, G_FILE_SET_CONTENTS_NONE, 0, error) &&
	       g_file_set_contents_full(data, "0", 1, G_FILE_SET_CONTENTS_NONE, 0, error);
}

/* From somewhere to 10.7.0.1, by UDP, in a frame for all. */
static bool send_to_all(void *data, GError **error)
{
	static const uint8_t frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 8, 0, 0x45, 0,
		0, 29, 0, 0, 0, 0, 64, 17, 0x34, 0x86, 203, 0, 113, 66, 10, 7, 0, 1, 0, 9, 4242 >> 8,
		4242 & 0xff, 0, 9};
	const struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex("veth-b")};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	bool ok = sendto(fd, frame, sizeof frame, 0, (const void *)&to, sizeof to) == (ssize_t)sizeof frame;

	close(fd);
	return ok;
}

/* Guests and other hosts send there what they like: it reaches nothing of the host's. */
static void test_quiet(void)
{
	char path[] = "/proc/sys/net/ipv4/conf/veth-a/rp_filter", text[8];
	struct sockaddr_in to = udp_address("10.7.0.1");
	struct ip_addr addr;
	int receiver;

	make_both();
	_cleanup_(links_close) struct links *a = must_open(NETNS_A), *b = must_open(NETNS_B);
	must(links_add_veth(a, "veth-a", "veth-b", NETNS_B, &error));
	must(links_set_up(a, "veth-a", &error));
	must(links_set_up(b, "veth-b", &error));
	must(links_add_tap(a, "tap", &error));
	g_assert_cmpint(ip_parse("10.7.0.1", &addr), ==, 0);
	must(links_add_address(a, "tap", addr, 24, &error));
	must(links_set_up(a, "tap", &error));
	must(netns_run(NETNS_A, trust_all, path, &error));
	must(netns_run(NETNS_A, udp_socket, &receiver, &error));
	set_receive_timeout(receiver);
	g_assert_cmpint(bind(receiver, (void *)&to, sizeof to), ==, 0);
	must(netns_run(NETNS_B, send_to_all, NULL, &error));
	g_assert_cmpint(recv(receiver, text, sizeof text, 0), ==, 1);
	must(links_quiet(a, "veth-a", &error));
	must(netns_run(NETNS_B, send_to_all, NULL, &error));
	g_usleep(100000);
	g_assert_cmpint(recv(receiver, text, sizeof text, MSG_DONTWAIT), <, 0);
	close(receiver);
	remove_both();
}

/* A macvlan in B of the far end of a pair: a neighbour of its near end beside the far end itself. */
static void test_macvlan(void)
{
	make_both();
	struct links *a = must_open(NETNS_A), *b = must_open(NETNS_B);
	struct sockaddr_in to = udp_address("10.1.1.3");
	struct ip_addr addr;
	int sender, receiver;
	unsigned mtu = 0;
	char text[8] = "";

	make_pair(a, b);
	must(links_set_mtu(a, "veth-a", 1600, &error));
	must(links_set_mtu(b, "veth-b", 1600, &error));
	must(links_add_macvlan(a, "mv", "veth-b", NETNS_B, &error));
	must(links_get_mtu(a, "mv", &mtu, &error));
	g_assert_cmpuint(mtu, ==, 1600);
	must(links_set_mtu(a, "mv", 1550, &error));
	must(links_add_macvlan(a, "mv", "veth-b", NETNS_B, &error));
	must(links_get_mtu(a, "mv", &mtu, &error));
	g_assert_cmpuint(mtu, ==, 1550);
	g_assert_cmpint(ip_parse("10.1.1.3", &addr), ==, 0);
	must(netns_create("agent-link-c", &error));
	struct links *c = must_open("agent-link-c");
	must(links_add_tap(c, "mv", &error));
	must(links_add_tap(b, "other", &error));
	must(links_add_macvlan(c, "mv", "other", NETNS_B, &error));
	must(links_add_macvlan(c, "mv", "veth-b", NETNS_B, &error));
	must(links_add_address(c, "mv", addr, 24, &error));
	must(links_set_up(c, "mv", &error));
	must(netns_run(NETNS_A, udp_socket, &sender, &error));
	must(netns_run("agent-link-c", udp_socket, &receiver, &error));
	set_receive_timeout(receiver);
	g_assert_cmpint(bind(receiver, (void *)&to, sizeof to), ==, 0);
	g_assert_cmpint(sendto(sender, "hello", 6, 0, (void *)&to, sizeof to), ==, 6);
	g_assert_cmpint(recv(receiver, text, sizeof text, 0), ==, 6);
	close(sender);
	close(receiver);
	links_close(a);
	links_close(b);
	links_close(c);
	must(netns_remove("agent-link-c", &error));
	remove_both();
}

static void test_vxlan(void)
{
	make_both();
	_cleanup_(links_close) struct links *a = must_open(NETNS_A);
	struct mac_addr mac, again;

	must(links_add_veth(a, "vx", "vx-far", NETNS_B, &error));
	must(links_add_vxlan(a, "vx", 4789, &error));
	must(links_set_up(a, "vx", &error));
	must(links_get_mac(a, "vx", &mac, &error));
	must(links_add_vxlan(a, "vx", 4789, &error));
	must(links_get_mac(a, "vx", &again, &error));
	g_assert_cmpmem(&mac, sizeof mac, &again, sizeof again);
	must(links_add_vxlan(a, "vx", 4790, &error));
	must(links_get_mac(a, "vx", &again, &error));
	g_assert_cmpint(memcmp(&mac, &again, sizeof mac), !=, 0);
	remove_both();
}

static void test_address(void)
{
	struct ip_addr addr, second, found;
	g_autoptr(GError) none = NULL;
	uint8_t length;

	make_both();
	struct links *a = must_open(NETNS_A);
	must(links_add_tap(a, "tap", &error));
	g_assert_false(links_has_address(a, "tap") || links_has_address(a, "none"));
	g_assert_cmpint(ip_parse("fe80::7", &addr), ==, 0);
	must(links_add_address(a, "tap", addr, 64, &error));
	g_assert_false(links_has_address(a, "tap"));
	g_assert_cmpint(ip_parse("10.7.0.1", &addr), ==, 0);
	g_assert_false(links_get_address(a, "tap", &found, &length, &none));
	g_assert_error(none, FAULT, FAULT_NOT_FOUND);
	g_assert_null(links_find_address(a, addr));
	must(links_add_address(a, "tap", addr, 24, &error));
	g_assert_true(links_has_address(a, "tap"));
	/* A second one of the prefix is no way to be known by. */
	g_assert_cmpint(ip_parse("10.7.0.2", &second), ==, 0);
	must(links_add_address(a, "tap", second, 24, &error));
	must(links_get_address(a, "tap", &found, &length, &error));
	g_assert_true(ip_equal(found, addr) && length == 24);
	g_autofree char *holder = links_find_address(a, second);
	g_assert_cmpstr(holder, ==, "tap");
	links_close(a);
	remove_both();
}

/* What the filter holds besides the MACs of groups, as texts with a space behind each. Owned by the caller. */
static char *filters_of(struct links *links, const char *name)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GArray) macs = filter_list(links, name, &error);
	g_autoptr(GString) text = g_string_new(NULL);
	char mac[MAC_TEXT_MAX];

	g_assert_no_error(error);
	for (guint i = 0; i < macs->len; i++)
		g_string_append_printf(text, "%s ", mac_format(g_array_index(macs, struct mac_addr, i), mac));
	return g_string_free(g_steal_pointer(&text), FALSE);
}

static void test_filter(void)
{
	const struct mac_addr first = {{2, 0, 0, 0, 0, 1}}, second = {{2, 0, 0, 0, 0, 2}};
	g_autoptr(GError) missing = NULL;

	make_both();
	struct links *a = must_open(NETNS_A), *b = must_open(NETNS_B);
	make_pair(a, b);
	must(filter_add(a, "veth-a", first, &error));
	must(filter_add(a, "veth-a", first, &error));
	must(filter_add(a, "veth-a", second, &error));
	must(links_add_tap(a, "other", &error));
	g_autofree char *two = filters_of(a, "veth-a"), *nothing = filters_of(a, "other");
	g_assert_cmpstr(two, ==, "02:00:00:00:00:01 02:00:00:00:00:02 ");
	g_assert_cmpstr(nothing, ==, "");
	must(filter_remove(a, "veth-a", first, &error));
	must(filter_remove(a, "veth-a", first, &error));
	g_autofree char *one = filters_of(a, "veth-a");
	g_assert_cmpstr(one, ==, "02:00:00:00:00:02 ");
	g_assert_null(filter_list(a, "none", &missing));
	g_assert_error(missing, FAULT, FAULT_NOT_FOUND);
	g_assert_false(filter_add(a, "none", first, NULL) || filter_remove(a, "none", first, NULL));
	links_close(a);
	links_close(b);
	remove_both();
}

static void test_half_pair(void)
{
	make_both();
	struct links *a = must_open(NETNS_A), *b = must_open(NETNS_B);

	must(links_add_tap(b, "veth-b", &error));
	must(links_add_veth(a, "veth-a", "veth-b", NETNS_B, &error));
	must(links_add_tap(b, "veth-b", &error));
	must(links_remove(a, "veth-a", &error));
	g_assert_false(links_exists(b, "veth-b"));
	links_close(a);
	links_close(b);
	remove_both();
}

static bool read_disable_ipv6(void *data, GError **error)
{
	return g_file_get_contents("/proc/sys/net/ipv6/conf/tap0/disable_ipv6", data, NULL, error);
}

static bool make_router(void *data, GError **error)
{
	int fd = open("/proc/sys/net/ipv4/ip_forward", O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, "1", 1) == 1;

	close(fd);
	return ok || fault_set(error, FAULT_INTERNAL, "cannot make a router");
}

static bool read_forwarding(void *data, GError **error)
{
	return g_file_get_contents("/proc/sys/net/ipv4/conf/tap0/forwarding", data, NULL, error);
}

static void test_tap(void)
{
	make_both();
	struct links *a = must_open(NETNS_A);
	g_autofree char *off = NULL, *forwarding = NULL;
	struct mac_addr mac;

	g_assert_cmpint(mac_parse("02:00:5e:00:00:01", &mac), ==, 0);
	must(netns_run(NETNS_A, make_router, NULL, &error));
	must(links_add_tap(a, "tap0", &error));
	must(links_add_tap(a, "tap0", &error));
	must(links_quiet(a, "tap0", &error));
	must(links_set_mac(a, "tap0", mac, &error));
	must(links_set_up(a, "tap0", &error));
	if (g_file_test("/proc/sys/net/ipv6", G_FILE_TEST_IS_DIR)) {
		must(netns_run(NETNS_A, read_disable_ipv6, &off, &error));
		g_assert_cmpstr(off, ==, "1\n");
	}
	must(netns_run(NETNS_A, read_forwarding, &forwarding, &error));
	g_assert_cmpstr(forwarding, ==, "0\n");
	g_assert_cmpuint(if_nametoindex("tap0"), ==, 0);
	must(links_remove(a, "tap0", &error));
	g_assert_false(links_exists(a, "tap0"));
	links_close(a);
	remove_both();
}

static void test_check_free(void)
{
	static const struct {
		const char *prefix, *own;
		bool free;
	} cases[] = {
		{"10.1.1.0/24", "none", false},
		{"10.1.1.128/25", "none", false},
		{"10.0.0.0/8", "none", false},
		{"10.1.2.0/24", "none", true},
		{"10.1.1.0/24", "veth-a", true},
	};
	make_both();
	struct links *a = must_open(NETNS_A), *b = must_open(NETNS_B);
	struct ip_prefix prefix;

	make_pair(a, b);
	g_assert_cmpint(prefix_parse("0.0.0.0/0", &prefix), ==, 0);
	must(links_add_route(a, "veth-a", prefix, &error));
	must(links_add_route(a, "veth-a", prefix, &error)); /* it is there */
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;
		g_assert_cmpint(prefix_parse(cases[i].prefix, &prefix), ==, 0);
		g_assert_cmpint(links_check_free(a, prefix, cases[i].own, &error), ==, cases[i].free);
		if (cases[i].free)
			continue;
		g_assert_error(error, FAULT, FAULT_OVERLAP);
		g_assert_nonnull(strstr(error->message, "veth-a"));
	}
	links_close(a);
	links_close(b);
	remove_both();
}

static void test_name_gone(void)
{
	make_both();
	struct links *a = must_open(NETNS_A);

	remove_both();
	must(links_add_tap(a, "tap0", &error));
	must(links_set_up(a, "tap0", &error));
	g_assert_true(links_exists(a, "tap0"));
	must(links_remove(a, "tap0", &error));
	links_close(a);
}

static void test_faults(void)
{
	make_both();
	struct links *a = must_open(NETNS_A);
	g_autoptr(GError) error = NULL;
	struct ip_prefix prefix;

	g_assert_cmpint(prefix_parse("10.0.0.0/8", &prefix), ==, 0);
	g_assert_false(links_add_route(a, "nowhere", prefix, &error));
	g_assert_error(error, FAULT, FAULT_NOT_FOUND);
	g_assert_nonnull(strstr(error->message, "nowhere"));
	g_assert_nonnull(strstr(error->message, NETNS_A));
	g_clear_error(&error);
	g_assert_false(links_set_up(a, "nowhere", &error));
	g_assert_nonnull(strstr(error->message, "nowhere"));
	g_clear_error(&error);
	g_assert_false(links_add_macvlan(a, "mv", "nowhere", NETNS_B, &error));
	g_assert_error(error, FAULT, FAULT_NOT_FOUND);
	g_assert_nonnull(strstr(error->message, "nowhere in namespace " NETNS_B));
	links_close(a);
	remove_both();
	g_clear_error(&error);
	g_assert_null(links_open(NETNS_A, &error));
	g_assert_error(error, FAULT, FAULT_NOT_FOUND);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	if (getuid() != 0) {
		g_print("1..0 # SKIP network namespaces need root\n");
		return 0;
	}
	g_test_add_func("/netns/a function runs inside while the process stays where it is", test_netns);
	g_test_add_func("/netns/a file left by a crash is taken over", test_netns_leftover);
	g_test_add_func(
		"/link/a veth pair between two namespaces carries packets, made twice or once", test_veth);
	g_test_add_func("/link/what comes by a quiet interface reaches nothing of the host's", test_quiet);
	g_test_add_func("/link/a half of a pair that stands alone is replaced", test_half_pair);
	g_test_add_func(
		"/link/a macvlan is on the wire of a parent in another namespace, and of no other parent",
		test_macvlan);
	g_test_add_func(
		"/link/a VXLAN device is external, made once, and replaces what had its name", test_vxlan);
	g_test_add_func("/link/addresses are seen on the interface that was given them", test_address);
	g_test_add_func(
		"/filter/MACs are added once, listed for their interface alone, and removed", test_filter);
	g_test_add_func("/link/a tap is made quiet and up in its namespace only, and removed", test_tap);
	g_test_add_func("/link/a prefix that another interface's address or route overlaps is not free, a "
			"default route or one's own does not count",
		test_check_free);
	g_test_add_func("/link/a handle outlives the name of its namespace", test_name_gone);
	g_test_add_func("/link/faults name the interface and the namespace", test_faults);
	return g_test_run();
}
