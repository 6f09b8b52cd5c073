/* The network around the switch, for real: as root, in namespaces of its own. */
#include "agent/namespaces.h"

#include "agent/metadata.h"
#include "base/fault.h"
#include "nic/link.h"
#include "nic/netns.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define SWITCH  "agent-ns-switch"
#define META    "agent-ns-meta"
#define OUTSIDE "agent-ns-outside"

struct fixture {
	char *folder, *ledger;
	struct namespaces_config config;
	struct namespaces_ports ports;
	struct namespaces_keeper *keeper;
	char **moved; /* what was told of it */
};

static void setup(struct fixture *f, gconstpointer data)
{
	f->folder = g_dir_make_tmp("namespaces-XXXXXX", NULL);
	f->ledger = g_build_filename(f->folder, "namespaces.json", NULL);
	f->config = (struct namespaces_config){.switch_netns = SWITCH,
		.meta_netns = META,
		.outside_address = "203.0.113.1/24",
		.ledger = f->ledger};
	g_assert_true(namespaces_parse_outside("netns:" OUTSIDE, &f->config));
}

static void teardown(struct fixture *f, gconstpointer data)
{
	g_assert_true(namespaces_tear_down(&f->config, NULL));
	g_assert_cmpint(g_rmdir(f->folder), ==, 0);
	g_free(f->folder);
	g_free(f->ledger);
}

static void set_up(struct fixture *f)
{
	g_autoptr(GError) error = NULL;

	namespaces_set_up(&f->config, &f->ports, &error);
	g_assert_no_error(error);
}

/* Interface index by name inside a namespace, 0 when there is none. */
struct find {
	const char *name;
	unsigned index;
	short flags;
	uint8_t mac[6];
};

static bool find_inside(void *data, GError **error)
{
	struct find *find = data;
	struct ifreq request = {};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	find->index = if_nametoindex(find->name);
	g_strlcpy(request.ifr_name, find->name, sizeof request.ifr_name);
	if (ioctl(fd, SIOCGIFFLAGS, &request) == 0)
		find->flags = request.ifr_flags;
	if (ioctl(fd, SIOCGIFHWADDR, &request) == 0)
		memcpy(find->mac, request.ifr_hwaddr.sa_data, 6);
	close(fd);
	return true;
}

static struct find find(const char *netns, const char *name)
{
	struct find find = {.name = name};

	g_assert_true(netns_run(netns, find_inside, &find, NULL));
	return find;
}

static void test_set_up(struct fixture *f, gconstpointer data)
{
	char text[PREFIX_TEXT_MAX];

	set_up(f);
	struct find out = find(SWITCH, "sl-out"), host = find(SWITCH, "sl-host");
	g_assert_cmpuint(out.index, >, 0);
	g_assert_true((out.flags & IFF_UP) && (out.flags & IFF_NOARP));
	g_assert_true((host.flags & IFF_UP) && (host.flags & IFF_NOARP));
	g_assert_cmpint(memcmp(out.mac, f->ports.outside.mac.bytes, 6), ==, 0);
	g_assert_true(find(OUTSIDE, "sl-gw").flags & IFF_UP);
	g_assert_false(find(OUTSIDE, "sl-gw").flags & IFF_NOARP);
	g_assert_true(find(META, "sl-meta").flags & IFF_UP);
	g_assert_true(f->ports.has_outside);
	g_assert_cmpstr(prefix_format(f->ports.outside.prefix, text), ==, "203.0.113.0/24");
	g_assert_cmpstr(prefix_format(f->ports.host.prefix, text), ==, "100.64.0.0/10");
	set_up(f);
	g_assert_cmpuint(find(SWITCH, "sl-out").index, ==, out.index);
	g_assert_cmpuint(find(SWITCH, "sl-host").index, ==, host.index);
}

/* Connecting chooses route and source address without sending anything. */
static bool source_inside(void *data, GError **error)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(9)};
	socklen_t length = sizeof address;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char *text = data; /* in: where to; out: the source */

	g_assert_cmpint(inet_pton(AF_INET, text, &address.sin_addr), ==, 1);
	if (connect(fd, (void *)&address, sizeof address) == 0 &&
		getsockname(fd, (void *)&address, &length) == 0)
		inet_ntop(AF_INET, &address.sin_addr, text, IP_TEXT_MAX);
	else
		strcpy(text, "-");
	close(fd);
	return true;
}

static void assert_source(const char *netns, const char *to, const char *wanted)
{
	char text[IP_TEXT_MAX];

	g_strlcpy(text, to, sizeof text);
	g_assert_true(netns_run(netns, source_inside, text, NULL));
	g_assert_cmpstr(text, ==, wanted);
}

static void test_routes(struct fixture *f, gconstpointer data)
{
	set_up(f);
	assert_source(META, "100.64.0.4", "169.254.169.254");
	assert_source(META, "100.127.255.254", "169.254.169.254");
	assert_source(META, "100.128.0.1", "-");
	assert_source(OUTSIDE, "203.0.113.10", "203.0.113.1");
	assert_source(SWITCH, "203.0.113.10", "-");
	assert_source(SWITCH, "100.64.0.4", "-");
}

static const struct goal *no_goal(void *data)
{
	return NULL;
}

static bool connect_inside(void *data, GError **error)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(80)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	g_assert_cmpint(inet_pton(AF_INET, "169.254.169.254", &address.sin_addr), ==, 1);
	*(int *)data = connect(fd, (void *)&address, sizeof address);
	close(fd);
	return true;
}

static void test_metadata(struct fixture *f, gconstpointer data)
{
	const struct metadata_config config = {
		.netns = META, .address = "169.254.169.254", .port = 80, .goal = no_goal};
	g_autoptr(GError) error = NULL;
	int connected = -1;

	set_up(f);
	_cleanup_(metadata_free) struct metadata *metadata = metadata_serve(&config, &error);
	g_assert_no_error(error);
	g_assert_true(netns_run(META, connect_inside, &connected, NULL));
	g_assert_cmpint(connected, ==, 0);
}

static bool remove_gateway(void *data, GError **error)
{
	_cleanup_(links_close) struct links *links = links_open(OUTSIDE, error);

	return links && links_remove(links, data, error);
}

static void test_keeper(struct fixture *f, gconstpointer data)
{
	f->config.outside_interface = "sl-mine";
	set_up(f);
	g_assert_cmpuint(find(OUTSIDE, "sl-gw").index, ==, 0);
	struct find before = find(OUTSIDE, "sl-mine");
	struct namespaces_keeper *keeper = namespaces_keep(&f->config, &f->ports, NULL, NULL);
	g_assert_true(remove_gateway((void *)"sl-mine", NULL));
	g_assert_cmpuint(find(SWITCH, "sl-out").index, ==, 0);
	for (unsigned i = 0; i < 150 && !(find(OUTSIDE, "sl-mine").flags & IFF_UP); i++)
		g_usleep(G_USEC_PER_SEC / 10);
	namespaces_keeper_free(keeper);
	struct find after = find(OUTSIDE, "sl-mine");
	g_assert_true(after.flags & IFF_UP);
	g_assert_cmpint(memcmp(after.mac, before.mac, 6), ==, 0);
	g_assert_cmpuint(find(SWITCH, "sl-out").index, >, 0);
}

static void test_tear_down(struct fixture *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	g_assert_true(netns_create(OUTSIDE, &error));
	set_up(f);
	g_assert_true(namespaces_tear_down(&f->config, &error));
	g_assert_no_error(error);
	g_assert_false(netns_exists(SWITCH));
	g_assert_false(netns_exists(META));
	g_assert_true(netns_exists(OUTSIDE));
	g_assert_cmpuint(find(OUTSIDE, "sl-gw").index, ==, 0);
	g_assert_true(netns_remove(OUTSIDE, &error));
}

/* The wire to other hosts: a pair between this namespace and OUTSIDE, whose near end is the host's interface. */
static void make_wire(void)
{
	_cleanup_(links_close) struct links *links = links_open(NULL, NULL);

	g_assert_true(netns_create(OUTSIDE, NULL));
	g_assert_true(links_add_veth(links, "sl-t-wire", "wire", OUTSIDE, NULL));
	g_assert_true(links_set_mtu(links, "sl-t-wire", 1600, NULL));
}

static void give_address(const char *netns, const char *text)
{
	_cleanup_(links_close) struct links *links = links_open(netns, NULL);
	struct ip_addr address;

	ip_parse(text, &address);
	g_assert_true(links_add_address(links, "sl-t-wire", address, 24, NULL));
}

static void test_underlay(struct fixture *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	char text[IP_TEXT_MAX];

	make_wire();
	f->config.underlay_interface = "sl-t-wire";
	f->config.underlay_address = "172.16.0.7/24";
	f->config.underlay_gateway = "172.16.0.254";
	set_up(f);
	struct find end = find(SWITCH, "sl-under");
	g_assert_true((end.flags & IFF_UP) && (end.flags & IFF_NOARP));
	g_assert_true(f->ports.has_underlay);
	g_assert_cmpint(memcmp(end.mac, f->ports.underlay.mac.bytes, 6), ==, 0);
	g_assert_cmpstr(ip_format(f->ports.underlay.address, text), ==, "172.16.0.7");
	g_assert_cmpstr(ip_format(f->ports.underlay.gateway, text), ==, "172.16.0.254");
	g_assert_cmpuint(f->ports.underlay.mtu, ==, 1600);
	f->config.underlay_mtu = 1500;
	set_up(f);
	g_assert_cmpuint(f->ports.underlay.mtu, ==, 1500);
	g_assert_cmpuint(find(SWITCH, "sl-under").index, ==, end.index);
	f->config.underlay_interface = NULL;
	set_up(f);
	g_assert_cmpuint(find(SWITCH, "sl-under").index, ==, 0);
	g_assert_false(f->ports.has_underlay);
	g_assert_true(netns_remove(OUTSIDE, &error));
}

static void test_underlay_refusals(struct fixture *f, gconstpointer data)
{
	static const struct {
		const char *interface, *address, *gateway;
		int mtu;
		const char *says;
	} rows[] = {
		{"sl-t-wire", "172.16.0.7", NULL, 0, "'172.16.0.7' is none"},
		{"sl-t-wire", "172.16.0.0/24", NULL, 0, "is none"},
		{"sl-t-wire", "fd00::1/64", NULL, 0, "is none"},
		{"sl-t-wire", "172.16.0.7/24", "172.16.1.1", 0, "gateway '172.16.1.1'"},
		{"sl-t-wire", "172.16.0.7/24", NULL, 1601, "sl-t-wire is 1600"},
		{"sl-t-wire", "172.16.0.7/24", NULL, -1, "an MTU of -1"},
		{"sl-t-wire", "172.16.0.7/24", NULL, 1329, "1330 are needed"},
		{"sl-t-none", "172.16.0.7/24", NULL, 0, "no interface sl-t-none"},
		{"sl-t-wire", "172.16.0.9/24", NULL, 0, "'172.16.0.9/24' is the host's own on sl-t-wire"},
		{"sl-t-wire", "host", NULL, 0, "a network namespace of its own"},
	};

	make_wire();
	give_address(NULL, "172.16.0.9");
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(GError) error = NULL;
		f->config.underlay_interface = rows[i].interface;
		f->config.underlay_address = rows[i].address;
		f->config.underlay_gateway = rows[i].gateway;
		f->config.underlay_mtu = rows[i].mtu;
		g_assert_false(namespaces_set_up(&f->config, &f->ports, &error));
		if (!strstr(error->message, rows[i].says))
			g_error("'%s' is not said, but: %s", rows[i].says, error->message);
	}
	g_assert_true(netns_remove(OUTSIDE, NULL));
}

static void test_refusals(struct fixture *f, gconstpointer data)
{
	static const char *const bad[] = {
		NULL, "", "203.0.113.1", "203.0.113.1/33", "203.0.113.1/31", "x/24", "fd00::1/64"};
	struct namespaces_config config = {};

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;
		f->config.outside_address = bad[i];
		g_assert_false(namespaces_set_up(&f->config, &f->ports, &error));
		g_assert_error(error, FAULT, FAULT_INVALID);
	}
	g_assert_false(namespaces_parse_outside("netns:", &config));
	g_assert_false(namespaces_parse_outside("somewhere", &config));
	g_assert_true(namespaces_parse_outside("none", &config));
	g_assert_true(namespaces_parse_outside("host", &config));
	g_assert_cmpint(config.outside, ==, OUTSIDE_HOST);
}

/* ---- one namespace for the switch and the outside, as where the switch has physical networks ---- */

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

/* A router that takes packets wherever they come from. */
static bool route_all(void *data, GError **error)
{
	return write_file("/proc/sys/net/ipv4/ip_forward", "1") &&
	       write_file("/proc/sys/net/ipv4/conf/all/rp_filter", "0") &&
	       write_file("/proc/sys/net/ipv4/conf/default/rp_filter", "0");
}

/* A packet from elsewhere to the host 203.0.113.10, as the gateway's end sends it to the switch's. */
static bool send_inside(void *data, GError **error)
{
	static const uint8_t packet[] = {0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0x14, 0x8b, 198, 51, 100, 7, 203,
		0, 113, 10, 0, 9, 0, 9, 0, 8, 0, 0};
	struct sockaddr_ll to = {.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_IP),
		.sll_ifindex = (int)if_nametoindex("sl-gw"),
		.sll_halen = 6};
	int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(to.sll_addr, data, 6);
	bool ok = sendto(fd, packet, sizeof packet, 0, (void *)&to, sizeof to) == (ssize_t)sizeof packet;
	close(fd);
	return ok;
}

/* Columns 3 (received) and 6 (forwarded) of the second line "Ip:". */
static bool count_inside(void *data, GError **error)
{
	unsigned long *counts = data;
	g_autofree char *text = NULL;

	if (!g_file_get_contents("/proc/thread-self/net/snmp", &text, NULL, error))
		return false;
	const char *values = strchr(text, '\n') + 1;
	return sscanf(values, "Ip: %*u %*u %lu %*u %*u %lu", &counts[0], &counts[1]) == 2;
}

static void test_router(struct fixture *f, gconstpointer data)
{
	unsigned long before[2], after[2];
	GError *error = NULL;

	f->config.outside_netns = SWITCH;
	g_assert_true(netns_create(SWITCH, &error));
	g_assert_true(netns_run(SWITCH, route_all, NULL, &error));
	set_up(f);
	g_assert_true(netns_run(SWITCH, count_inside, before, &error));
	g_assert_true(netns_run(SWITCH, send_inside, f->ports.outside.mac.bytes, &error));
	g_assert_true(netns_run(SWITCH, count_inside, after, &error));
	g_assert_cmpuint(after[0], >, before[0]);
	g_assert_cmpuint(after[1], ==, before[1]);
	g_assert_true(netns_remove(SWITCH, &error));
}

/* The wire's near end is in SWITCH, which stands for the host's namespace; its far end here. */
static void make_wire_inside(void)
{
	_cleanup_(links_close) struct links *links = NULL;

	g_assert_true(netns_create(SWITCH, NULL));
	links = links_open(SWITCH, NULL);
	g_assert_true(links_add_veth(links, "sl-t-wire", "sl-t-far", NULL, NULL));
	g_assert_true(
		links_set_mtu(links, "sl-t-wire", 1600, NULL) && links_set_up(links, "sl-t-wire", NULL));
}

static bool set_up_inside(void *data, GError **error)
{
	struct fixture *f = data;

	return namespaces_set_up(&f->config, &f->ports, error);
}

static void on_moved(const char *message, void *data)
{
	struct fixture *f = data;

	g_assert_null(g_atomic_pointer_get(f->moved));
	g_atomic_pointer_set(f->moved, g_strdup(message));
}

static bool keep_inside(void *data, GError **error)
{
	struct fixture *f = data;

	f->keeper = namespaces_keep(&f->config, &f->ports, on_moved, f);
	return true;
}

/* An underlay with the host's address is the host's interface as it stands, and what eswitches tunnel by. */
static void test_shared_underlay(struct fixture *f, gconstpointer data)
{
	const struct switch_underlay *underlay = &f->ports.underlay;
	char text[PREFIX_TEXT_MAX];
	g_autoptr(GError) none = NULL, taken = NULL, error = NULL;

	make_wire_inside();
	f->config.switch_netns = NULL;
	f->config.outside = OUTSIDE_NONE;
	f->config.underlay_interface = "sl-t-wire";
	f->config.underlay_address = NAMESPACES_HOST_ADDRESS;
	g_assert_false(netns_run(SWITCH, set_up_inside, f, &none));
	g_assert_nonnull(strstr(none->message, "sl-t-wire has no IPv4 address"));
	give_address(SWITCH, "172.16.0.9");
	struct find wire = find(SWITCH, "sl-t-wire");
	/* Somebody else reads VXLAN here. */
	_cleanup_(links_close) struct links *links = links_open(SWITCH, NULL);
	g_assert_true(
		links_add_vxlan(links, "sl-t-other", 4789, NULL) && links_set_up(links, "sl-t-other", NULL));
	g_assert_false(netns_run(SWITCH, set_up_inside, f, &taken));
	g_assert_nonnull(strstr(taken->message, "something else on this host has VXLAN's UDP port 4789"));
	g_assert_true(links_remove(links, "sl-t-other", NULL));
	g_assert_true(netns_run(SWITCH, set_up_inside, f, &error));
	g_assert_no_error(error);
	g_assert_true(underlay->kernel);
	g_assert_cmpstr(underlay->interface, ==, "sl-t-wire");
	g_assert_cmpstr(ip_format(underlay->address, text), ==, "172.16.0.9");
	g_assert_cmpstr(prefix_format(underlay->prefix, text), ==, "172.16.0.0/24");
	g_assert_cmpint(memcmp(underlay->mac.bytes, wire.mac, 6), ==, 0);
	g_assert_cmpuint(underlay->mtu, ==, 1600);
	g_assert_cmpuint(find(SWITCH, "sl-under").index, ==, 0);
	struct find tunnel = find(SWITCH, underlay->vxlan_device);
	g_assert_true((tunnel.flags & IFF_UP) && (tunnel.flags & IFF_NOARP));
	g_assert_cmpint(find(SWITCH, "sl-t-wire").flags, ==, wire.flags);
	g_assert_true(netns_run(SWITCH, set_up_inside, f, &error));
	g_assert_cmpuint(find(SWITCH, "sl-vxlan").index, ==, tunnel.index);
	/* Another MAC: who has to know is told once, by the next look. */
	char *moved = NULL;
	f->moved = &moved;
	g_assert_true(netns_run(SWITCH, keep_inside, f, &error));
	g_assert_true(links_set_mac(links, "sl-t-wire", (struct mac_addr){{2, 0, 0, 0, 0, 7}}, NULL));
	while (!g_atomic_pointer_get(&moved))
		g_usleep(10000);
	namespaces_keeper_free(f->keeper);
	g_assert_nonnull(
		strstr(moved, "sl-t-wire has the address 172.16.0.9/24 and the MAC 02:00:00:00:00:07"));
	g_free(moved);

	f->config.underlay_interface = NULL;
	g_assert_true(netns_run(SWITCH, set_up_inside, f, &error));
	g_assert_cmpuint(find(SWITCH, "sl-vxlan").index, ==, 0);
	f->config.switch_netns = SWITCH; /* for what takes it away */
	g_assert_true(netns_remove(SWITCH, &error));
}

static void add(const char *name, void (*fn)(struct fixture *, gconstpointer))
{
	g_test_add(name, struct fixture, NULL, setup, fn, teardown);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	if (getuid() != 0) {
		g_print("1..0 # SKIP network namespaces need root\n");
		return 0;
	}
	add("/namespaces/the switch's ends are bare wires, and stay when it is all made again", test_set_up);
	add("/namespaces/a pair that somebody removes comes back, under the name of the config", test_keeper);
	add("/namespaces/routes lead by the gateway's and the metadata service's addresses", test_routes);
	add("/namespaces/the metadata service answers inside its namespace", test_metadata);
	add("/namespaces/what was there before is left there", test_tear_down);
	add("/namespaces/a host that is a router does not forward what it hears at the switch's end",
		test_router);
	add("/namespaces/the underlay is a wire of its own on an interface that stays the host's",
		test_underlay);
	add("/namespaces/an underlay with the host's address is the host's interface, with a device for "
	    "tunnels",
		test_shared_underlay);
	add("/namespaces/an underlay that cannot carry what it must is refused", test_underlay_refusals);
	add("/namespaces/addresses and places that are none are refused", test_refusals);
	return g_test_run();
}
