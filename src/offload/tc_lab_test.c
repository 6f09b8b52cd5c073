/* tc as an offload provider, in a kernel that has it: requests, counters, refusals, evictions, meters. And how many flows a
 * second it takes.
 *
 * In the namespace of the test there are the veth pairs t0 and t0q, t1 and t1q (test/lab/offload_test.py): flows come by t0
 * and leave by t1.
 */
#include "offload/tc.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define FRAME_LENGTH 60
#define RATE_FLOWS   10000u

struct fixture {
	struct offload_provider *tc;
	int wire; /* packets of t1q, and where t0q's are sent by */
};

/* ---- the provider ---- */

static bool set_ports(struct offload_provider *tc, GError **error)
{
	const struct offload_port ports[] = {{.number = 1, .ifindex = (int)if_nametoindex("t0")},
		{.number = 2, .ifindex = (int)if_nametoindex("t1")}};

	return tc->ops->ports(tc, ports, G_N_ELEMENTS(ports), error);
}

static struct offload_provider *open_tc(void)
{
	g_autoptr(GError) error = NULL;
	struct offload_provider *tc = offload_tc_open(OFFLOAD_TC_SOFTWARE, &error);

	g_assert_no_error(error);
	g_assert_true(set_ports(tc, &error));
	return tc;
}

static void expect(struct offload_provider *tc, enum offload_event_kind kind, struct offload_event *ret)
{
	g_assert_cmpint(tc->ops->poll(tc, ret, 1), ==, 1);
	g_assert_cmpint(ret->kind, ==, kind);
}

static void flush(struct offload_provider *tc)
{
	struct offload_event event;

	g_assert_cmpint(tc->ops->flush(tc), ==, 0);
	expect(tc, OFFLOAD_EVENT_FLUSHED, &event);
}

/* UDP from 10.n.n.n to 10.0.1.1. */
static struct offload_flow flow_of(unsigned id)
{
	uint32_t source = htonl(0x0a000000 + id);
	struct offload_flow flow = {.id = id};

	flow.match = (struct offload_match){.port = 1,
		.family = IP_V4,
		.protocol = IPPROTO_UDP,
		.dst = {10, 0, 1, 1},
		.sport = htons(1000),
		.dport = htons(53)};
	memcpy(flow.match.src, &source, 4);
	flow.actions = (struct offload_actions){.mtu = 1500,
		.set_macs = true,
		.dmac = {2, 0, 0, 0, 0, 1},
		.smac = {2, 0, 0, 0, 0, 2},
		.hop = true,
		.port = 2};
	return flow;
}

static void put(struct offload_provider *tc, unsigned id)
{
	struct offload_flow flow = flow_of(id);
	struct offload_event event;

	g_assert_cmpint(tc->ops->put(tc, &flow), ==, 0);
	expect(tc, OFFLOAD_EVENT_INSTALLED, &event);
	g_assert_cmpuint(event.flow, ==, id);
}

static void assert_refused(struct offload_provider *tc, const struct offload_flow *flow, const char *why)
{
	struct offload_event event;

	g_assert_cmpint(tc->ops->put(tc, flow), ==, 0);
	expect(tc, OFFLOAD_EVENT_REFUSED, &event);
	g_assert_cmpuint(event.flow, ==, flow->id);
	if (!strstr(event.reason, why))
		g_error("\"%s\" should say \"%s\"", event.reason, why);
}

/* ---- packets ---- */

static int open_wire(void)
{
	struct sockaddr_ll to = {.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex("t1q")};
	const int on = 1;
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	g_assert_cmpint(setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on), ==, 0);
	g_assert_cmpint(bind(fd, (struct sockaddr *)&to, sizeof to), ==, 0);
	return fd;
}

/* How many of n packets of the flow come out of t1. */
static unsigned forwarded(int wire, unsigned id, unsigned n)
{
	const struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex("t0q")};
	uint8_t frame[FRAME_LENGTH] = {
		[0] = 2, [6] = 2, [12] = 8, [14] = 0x45, [17] = 28, [22] = 64, [23] = IPPROTO_UDP};
	uint32_t source = htonl(0x0a000000 + id);
	struct pollfd fd = {.fd = wire, .events = POLLIN};
	unsigned got = 0;

	memcpy(frame + 26, &source, 4);
	memcpy(frame + 30, (uint8_t[]){10, 0, 1, 1, 1000 >> 8, 1000 & 0xff, 0, 53, 0, 8}, 10);
	for (unsigned i = 0; i < n; i++)
		g_assert_cmpint(sendto(wire, frame, sizeof frame, 0, (const struct sockaddr *)&to, sizeof to),
			==, FRAME_LENGTH);
	while (got < n && poll(&fd, 1, 300) > 0) {
		uint8_t seen[FRAME_LENGTH];
		got += recv(wire, seen, sizeof seen, 0) == FRAME_LENGTH && seen[12] == 8 && seen[22] == 63;
	}
	return got;
}

static void setup(struct fixture *f, const void *data)
{
	f->tc = open_tc();
	f->wire = open_wire();
	flush(f->tc);
}

static void teardown(struct fixture *f, const void *data)
{
	offload_provider_close(f->tc);
	close(f->wire);
}

/* ---- tests ---- */

static void test_life(struct fixture *f, const void *data)
{
	struct offload_event event;

	g_assert_cmpuint(forwarded(f->wire, 1, 3), ==, 0);
	put(f->tc, 1);
	put(f->tc, 2);
	g_assert_cmpuint(forwarded(f->wire, 1, 10), ==, 10);
	g_assert_cmpint(f->tc->ops->stats(f->tc), ==, 0);
	for (unsigned i = 0; i < 2; i++) {
		expect(f->tc, OFFLOAD_EVENT_STATS, &event);
		g_assert_true(event.has_stats);
		g_assert_cmpuint(event.stats.packets, ==, event.flow == 1 ? 10 : 0);
		g_assert_cmpuint(event.stats.bytes, ==, event.flow == 1 ? 10 * FRAME_LENGTH : 0);
	}
	expect(f->tc, OFFLOAD_EVENT_STATS_DONE, &event);
	g_assert_cmpuint(forwarded(f->wire, 1, 5), ==, 5);
	g_assert_cmpint(f->tc->ops->remove(f->tc, 1), ==, 0);
	expect(f->tc, OFFLOAD_EVENT_REMOVED, &event);
	g_assert_cmpuint(event.stats.packets, ==, 15);
	g_assert_cmpuint(forwarded(f->wire, 1, 3), ==, 0);
	g_assert_cmpint(f->tc->ops->remove(f->tc, 1), ==, 0);
	expect(f->tc, OFFLOAD_EVENT_REMOVED, &event);
}

static void test_refused(struct fixture *f, const void *data)
{
	struct offload_flow flow = flow_of(1);

	put(f->tc, 1);
	flow.id = 2;
	assert_refused(f->tc, &flow, "did not take it");
	flow.actions.port = 7;
	assert_refused(f->tc, &flow, "a port that");
	flow.actions.port = 2;
	flow.actions.meters[0] = 5;
	assert_refused(f->tc, &flow, "a meter that");
}

/* A veth pair is none. The kernel does not execute in its place what it does not take. */
static void test_no_hardware(struct fixture *f, const void *data)
{
	static const struct {
		enum offload_tc_mode mode;
		const char *why;
	} cases[] = {{OFFLOAD_TC_HARDWARE, "takes no filter"}, {OFFLOAD_TC_EITHER, "not in hardware"}};
	struct offload_flow flow = flow_of(1);

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL, none = NULL;
		offload_provider_close(f->tc);
		f->tc = offload_tc_open(cases[i].mode, &none);
		g_assert_no_error(none);
		g_assert_false(set_ports(f->tc, &error));
		g_test_message("%s", error->message);
		g_assert_nonnull(strstr(error->message, cases[i].why));
		assert_refused(f->tc, &flow, cases[i].why);
		g_assert_cmpuint(forwarded(f->wire, 1, 3), ==, 0);
	}
}

static void test_evicted(struct fixture *f, const void *data)
{
	struct offload_event event;

	put(f->tc, 1);
	g_assert_cmpint(system("tc filter del dev t0 ingress"), ==, 0);
	g_assert_cmpint(f->tc->ops->stats(f->tc), ==, 0);
	expect(f->tc, OFFLOAD_EVENT_EVICTED, &event);
	g_assert_cmpuint(event.flow, ==, 1);
	g_assert_nonnull(strstr(event.reason, "removed"));
	expect(f->tc, OFFLOAD_EVENT_STATS_DONE, &event);
	flush(f->tc);
	put(f->tc, 1); /* once more, under the same id */
}

static void test_left_over(struct fixture *f, const void *data)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		put(open_tc(), 1);
		_exit(0);
	}
	g_assert_cmpint(waitpid(child, &status, 0), ==, child);
	g_assert_cmpint(status, ==, 0);
	g_assert_cmpuint(forwarded(f->wire, 1, 3), ==, 3); /* it outlives its process */
	flush(f->tc);
	g_assert_cmpuint(forwarded(f->wire, 1, 3), ==, 0);
}

static bool shell(const char *command)
{
	return system(command) == 0;
}

/* In the priority of our flows; and the ingress goes with the last filter, whosever that is. */
static void test_foreign(struct fixture *f, const void *data)
{
	g_assert_true(shell("tc filter add dev t0 ingress protocol ip pref 32 handle 1 flower skip_hw src_ip "
			    "10.9.9.9 action pass"));
	put(f->tc, 1);
	flush(f->tc);
	g_assert_true(shell("tc filter show dev t0 ingress pref 32 | grep -q 10.9.9.9"));
	put(f->tc, 1);
	offload_provider_close(f->tc);
	g_assert_true(shell("tc filter show dev t0 ingress pref 32 | grep -q 10.9.9.9"));
	g_assert_true(shell("tc filter show dev t0 ingress | grep -c handle | grep -qx 1"));
	g_assert_false(shell("tc qdisc show dev t1 | grep -q clsact"));
	g_assert_true(shell("tc qdisc del dev t0 clsact"));
	f->tc = open_tc();
	offload_provider_close(f->tc);
	g_assert_false(shell("tc qdisc show dev t0 | grep -q clsact"));
	f->tc = open_tc();
}

static void test_meter(struct fixture *f, const void *data)
{
	struct offload_meter packets = {.id = 3, .packets_per_s = 20, .burst_ms = 500},
			     bits = {.id = 4, .bits_per_s = 80 * FRAME_LENGTH * 8, .burst_ms = 250};
	struct offload_flow flow = flow_of(1);
	struct offload_event event;

	g_assert_cmpint(f->tc->ops->meter(f->tc, &packets), ==, 0);
	g_assert_cmpint(f->tc->ops->meter(f->tc, &bits), ==, 0);
	for (unsigned i = 0; i < 2; i++) {
		flow = flow_of(1 + i);
		flow.actions.meters[i] = i ? bits.id : packets.id;
		g_assert_cmpint(f->tc->ops->put(f->tc, &flow), ==, 0);
		expect(f->tc, OFFLOAD_EVENT_INSTALLED, &event);
	}
	g_usleep(packets.burst_ms * 1500); /* the kernel begins with nothing for packets */
	unsigned by_packets = forwarded(f->wire, 1, 200), by_bits = forwarded(f->wire, 2, 200);
	/* What the burst lets pass, and a little for the time that it took. */
	g_test_message("of 200: %u by packets, %u by bits", by_packets, by_bits);
	g_assert_cmpuint(by_packets, >=, 9);
	g_assert_cmpuint(by_packets, <=, 40);
	g_assert_cmpuint(by_bits, >=, 19);
	g_assert_cmpuint(by_bits, <=, 80);
}

static void test_death(struct fixture *f, const void *data)
{
	struct offload_event event;

	put(f->tc, 1);
	g_assert_cmpint(system("ip link del t0 && ip link del t1"), ==, 0);
	g_assert_cmpint(f->tc->ops->stats(f->tc), ==, 0);
	g_assert_cmpint(f->tc->ops->poll(f->tc, &event, 1), ==, -ENODEV);
	g_assert_cmpint(f->tc->ops->stats(f->tc), ==, -ENODEV);
}

/* ---- how fast ---- */

/* Waits until so many flows have been answered. */
static void answer_all(struct offload_provider *tc, enum offload_event_kind kind, unsigned n)
{
	struct offload_event events[64];

	for (unsigned answered = 0; answered < n;) {
		int got = tc->ops->poll(tc, events, G_N_ELEMENTS(events));
		g_assert_cmpint(got, >, 0);
		for (int i = 0; i < got; i++)
			answered += events[i].kind == kind;
	}
}

static double since(gint64 start)
{
	return (double)(g_get_monotonic_time() - start) / 1e6;
}

static void test_rate(struct fixture *f, const void *data)
{
	const unsigned some = 1000; /* as many as a manager has under way */
	gint64 start = g_get_monotonic_time();

	for (unsigned done = 0; done < RATE_FLOWS; done += some) {
		for (unsigned i = 0; i < some; i++) {
			struct offload_flow flow = flow_of(done + i + 1);
			g_assert_cmpint(f->tc->ops->put(f->tc, &flow), ==, 0);
		}
		answer_all(f->tc, OFFLOAD_EVENT_INSTALLED, some);
	}
	g_test_message("figure: insertion %.0f flows/s", RATE_FLOWS / since(start));
	start = g_get_monotonic_time();
	g_assert_cmpint(f->tc->ops->stats(f->tc), ==, 0);
	answer_all(f->tc, OFFLOAD_EVENT_STATS_DONE, 1);
	g_test_message("figure: counters %.0f flows/s", RATE_FLOWS / since(start));
	start = g_get_monotonic_time();
	for (unsigned done = 0; done < RATE_FLOWS; done += some) {
		for (unsigned i = 0; i < some; i++)
			g_assert_cmpint(f->tc->ops->remove(f->tc, done + i + 1), ==, 0);
		answer_all(f->tc, OFFLOAD_EVENT_REMOVED, some);
	}
	g_test_message("figure: removal %.0f flows/s", RATE_FLOWS / since(start));
}

#define TEST(name, function) g_test_add("/tc/" name, struct fixture, NULL, setup, function, teardown)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	TEST("flows are executed, counted, and removed with their last counters", test_life);
	TEST("what the kernel or the provider cannot take is refused with the reason", test_refused);
	TEST("ports of a NIC that cannot take flows are left out, and the kernel does not execute them "
	     "instead",
		test_no_hardware);
	TEST("what somebody removes is told as an eviction", test_evicted);
	TEST("what a process before left is flushed", test_left_over);
	TEST("filters and an ingress of others stay, ours go", test_foreign);
	TEST("meters hold flows to their rates", test_meter);
	TEST("ten thousand flows are put, counted and removed", test_rate);
	TEST("a NIC whose devices are gone is gone",
		test_death); /* the last: it takes the interfaces along */
	return g_test_run();
}
