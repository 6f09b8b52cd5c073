/* tc as an offload provider, on a kernel and a NIC that are made up: what of a NIC's answers becomes of ports and flows, and
 * what is left behind. The kernel's own behaviour is tc_lab_test.c's. */
#include "offload/tc_priv.h"
#include "offload/test_kernel.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#define ONE    11 /* interfaces */
#define TWO    12
#define TUNNEL 13 /* a VXLAN device, whose packets go by TWO */
#define GUARDS 4 /* filters of a device before its flows */

struct fixture {
	struct test_kernel *kernel;
	struct offload_provider *tc;
};

/* Numbers 1 and 2. */
static bool set_ports(struct fixture *f, int one, int two, GError **error)
{
	const struct offload_port ports[] = {{.number = 1, .ifindex = one}, {.number = 2, .ifindex = two}};

	return f->tc->ops->ports(f->tc, ports, G_N_ELEMENTS(ports), error);
}

static void expect(struct fixture *f, enum offload_event_kind kind, uint64_t flow, const char *why)
{
	struct offload_event event;

	g_assert_cmpint(f->tc->ops->poll(f->tc, &event, 1), ==, 1);
	g_assert_cmpint(event.kind, ==, kind);
	g_assert_cmpuint(event.flow, ==, flow);
	if (why && !strstr(event.reason, why))
		g_error("\"%s\" should say \"%s\"", event.reason, why);
}

static void expect_nothing(struct fixture *f)
{
	struct offload_event event;

	g_assert_cmpint(f->tc->ops->poll(f->tc, &event, 1), ==, 0);
}

static void open_tc(struct fixture *f, enum offload_tc_mode mode)
{
	f->tc = offload_tc_new(mode, test_kernel_connect(f->kernel));
}

static void flush(struct fixture *f)
{
	g_assert_cmpint(f->tc->ops->flush(f->tc), ==, 0);
	expect(f, OFFLOAD_EVENT_FLUSHED, 0, NULL);
}

static void setup_empty(struct fixture *f, const void *data)
{
	f->kernel = test_kernel_new();
	test_kernel_add_device(f->kernel, ONE, false);
	test_kernel_add_device(f->kernel, TWO, false);
	open_tc(f, OFFLOAD_TC_HARDWARE);
}

static void setup(struct fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;

	setup_empty(f, data);
	g_assert_true(set_ports(f, ONE, TWO, &error));
	g_assert_no_error(error);
	flush(f);
}

static void teardown(struct fixture *f, const void *data)
{
	g_clear_pointer(&f->tc, offload_provider_close);
	g_assert_cmpuint(g_hash_table_size(f->kernel->police), ==, 0);
	test_kernel_free(f->kernel);
}

/* UDP that comes by that port. */
static struct offload_flow flow_of(unsigned id, uint32_t from, uint32_t to)
{
	return (struct offload_flow){.id = id,
		.match = {.port = from,
			.family = IP_V4,
			.protocol = IPPROTO_UDP,
			.src = {10, 0, 0, (uint8_t)id},
			.dst = {10, 0, 1, 1}},
		.actions = {.mtu = 1500, .hop = true, .port = to}};
}

static void put_flow(struct fixture *f, const struct offload_flow *flow)
{
	g_assert_cmpint(f->tc->ops->put(f->tc, flow), ==, 0);
	expect(f, OFFLOAD_EVENT_INSTALLED, flow->id, NULL);
}

static void put(struct fixture *f, unsigned id, uint32_t from, uint32_t to)
{
	struct offload_flow flow = flow_of(id, from, to);

	put_flow(f, &flow);
}

static void assert_refused(struct fixture *f, const struct offload_flow *flow, const char *why)
{
	g_assert_cmpint(f->tc->ops->put(f->tc, flow), ==, 0);
	expect(f, OFFLOAD_EVENT_REFUSED, flow->id, why);
}

static void ask_stats(struct fixture *f)
{
	g_assert_cmpint(f->tc->ops->stats(f->tc), ==, 0);
}

/* ---- tests ---- */

static void test_life(struct fixture *f, const void *data)
{
	struct offload_event event;

	put(f, 1, 1, 2);
	put(f, 2, 2, 1);
	g_assert_cmpuint(test_kernel_count(f->kernel, ONE, TWO), ==, 1);
	g_array_index(f->kernel->filters, struct test_filter, f->kernel->filters->len - 1).packets = 7;
	ask_stats(f);
	for (unsigned i = 0; i < 2; i++) {
		g_assert_cmpint(f->tc->ops->poll(f->tc, &event, 1), ==, 1);
		g_assert_cmpint(event.kind, ==, OFFLOAD_EVENT_STATS);
		g_assert_cmpuint(event.stats.packets, ==, event.flow == 2 ? 7 : 0);
	}
	expect(f, OFFLOAD_EVENT_STATS_DONE, 0, NULL);
	g_assert_cmpint(f->tc->ops->remove(f->tc, 1), ==, 0);
	expect(f, OFFLOAD_EVENT_REMOVED, 1, NULL);
	flush(f);
	for (int device = ONE; device <= TWO; device++)
		g_assert_cmpuint(test_kernel_count(f->kernel, device, ONE + TWO - device), ==, 0);
}

static void test_refused(struct fixture *f, const void *data)
{
	struct offload_flow flow = flow_of(1, 1, 2);

	f->kernel->refusal = TEST_REFUSE_FLOWS;
	assert_refused(f, &flow, TEST_NO);
	f->kernel->refusal = TEST_REFUSE_NOTHING;
	put(f, 1, 1, 2); /* the same again */
}

static void test_mtu(struct fixture *f, const void *data)
{
	struct offload_flow flow = flow_of(1, 1, 2);

	f->kernel->refusal = TEST_REFUSE_POLICE;
	assert_refused(f, &flow, TEST_NO);
	g_assert_cmpuint(test_kernel_count(f->kernel, ONE, TWO), ==, 0);
	f->kernel->refusal = TEST_REFUSE_NOTHING;
	put(f, 1, 1, 2);
}

/* The first time, and when it changes. */
static void test_meter(struct fixture *f, const void *data)
{
	struct offload_meter meter = {.id = 3, .bits_per_s = 1000000, .packets_per_s = 1000, .burst_ms = 100};
	struct offload_flow flow = flow_of(1, 1, 2);

	flow.actions.meters[0] = meter.id;
	for (unsigned i = 0; i < 2; i++) {
		f->kernel->refusal = TEST_REFUSE_POLICE;
		g_assert_cmpint(f->tc->ops->meter(f->tc, &meter), ==, -EOPNOTSUPP);
		f->kernel->refusal = TEST_REFUSE_NOTHING;
		assert_refused(f, &flow, "meter");
		g_assert_cmpint(f->tc->ops->meter(f->tc, &meter), ==, 0);
		g_assert_cmpint(f->tc->ops->put(f->tc, &flow), ==, 0);
		expect(f, OFFLOAD_EVENT_INSTALLED, flow.id, NULL);
		flow.id++;
		flow.match.sport++;
	}
}

static void test_removed(struct fixture *f, const void *data)
{
	put(f, 1, 1, 2);
	test_kernel_clear(f->kernel, ONE, 0x20, 0x20);
	ask_stats(f);
	expect(f, OFFLOAD_EVENT_EVICTED, 1, "removed");
	expect(f, OFFLOAD_EVENT_STATS_DONE, 0, NULL);
	expect_nothing(f);
}

/* Of the operator, in our priorities. */
static void add_foreign(struct fixture *f, int ifindex)
{
	for (uint16_t i = 0; i < 2; i++) {
		const struct test_filter filter = {.ifindex = ifindex,
			.priority = i ? 0x20 : 0x10,
			.protocol = 0x0800,
			.handle = 1,
			.redirect = TWO};
		g_array_append_val(f->kernel->filters, filter);
	}
}

static void test_foreign(struct fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;

	test_kernel_add_device(f->kernel, ONE, true);
	add_foreign(f, ONE);
	g_assert_true(set_ports(f, ONE, TWO, &error));
	put(f, 1, 1, 2);
	flush(f);
	g_assert_cmpuint(test_kernel_count(f->kernel, ONE, TWO), ==, 2);
	put(f, 1, 1, 2);
	g_clear_pointer(&f->tc, offload_provider_close);
	g_assert_cmpuint(f->kernel->filters->len, ==, 2);
	g_assert_true(test_kernel_has_ingress(f->kernel, ONE));
	g_assert_false(test_kernel_has_ingress(f->kernel, TWO)); /* which we have made */
}

/* A process is killed; the next one ends as it should. */
static void test_left(struct fixture *f, const void *data)
{
	struct offload_provider *killed = f->tc;
	g_autoptr(GError) error = NULL;

	put(f, 1, 1, 2);
	open_tc(f, OFFLOAD_TC_HARDWARE);
	g_assert_true(set_ports(f, ONE, TWO, &error));
	g_assert_cmpuint(test_kernel_count(f->kernel, ONE, TWO), ==, 0);
	put(f, 1, 1, 2);
	g_clear_pointer(&f->tc, offload_provider_close);
	g_assert_cmpuint(f->kernel->filters->len, ==, 0);
	g_assert_false(test_kernel_has_ingress(f->kernel, ONE));
	offload_provider_close(killed);
}

/* Somebody has put a filter there since. */
static void test_shared_ingress(struct fixture *f, const void *data)
{
	add_foreign(f, ONE);
	g_clear_pointer(&f->tc, offload_provider_close);
	g_assert_cmpuint(f->kernel->filters->len, ==, 2);
	g_assert_true(test_kernel_has_ingress(f->kernel, ONE));
}

/* An interface that comes again under its name has another number; so has whatever lay on it. */
static void test_remade(struct fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;

	put(f, 1, 1, 2);
	g_array_index(f->kernel->filters, struct test_filter, f->kernel->filters->len - 1).packets = 7;
	put(f, 2, 2, 1);
	test_kernel_remove_device(f->kernel, TWO);
	test_kernel_add_device(f->kernel, TWO + 1, false);
	g_assert_true(set_ports(f, ONE, TWO + 1, &error));
	for (unsigned i = 0; i < 2; i++) {
		struct offload_event event;
		g_assert_cmpint(f->tc->ops->poll(f->tc, &event, 1), ==, 1);
		g_assert_cmpint(event.kind, ==, OFFLOAD_EVENT_EVICTED);
		g_assert_cmpuint(event.stats.packets, ==, event.flow == 1 ? 7 : 0);
		g_assert_nonnull(strstr(event.reason, "another interface"));
	}
	g_assert_cmpuint(test_kernel_count(f->kernel, ONE, TWO), ==, 0);
	put(f, 1, 1, 2);
	put(f, 2, 2, 1);
	g_assert_cmpuint(test_kernel_count(f->kernel, TWO + 1, ONE), ==, 1);
}

static bool set_tunnel(struct fixture *f, int tunnel)
{
	const struct offload_port ports[] = {
		{.number = 1, .ifindex = ONE}, {.number = 2, .ifindex = TWO, .tunnel_ifindex = tunnel}};
	g_autoptr(GError) error = NULL;

	return f->tc->ops->ports(f->tc, ports, G_N_ELEMENTS(ports), &error);
}

/* Of n flows, in any order, and behind those of counters that they were all. */
static void expect_events(struct fixture *f, unsigned n, enum offload_event_kind kind)
{
	struct offload_event event;

	if (kind == OFFLOAD_EVENT_STATS)
		ask_stats(f);
	for (unsigned i = 0; i < n; i++) {
		g_assert_cmpint(f->tc->ops->poll(f->tc, &event, 1), ==, 1);
		g_assert_cmpint(event.kind, ==, kind);
	}
	if (kind == OFFLOAD_EVENT_STATS)
		expect(f, OFFLOAD_EVENT_STATS_DONE, 0, NULL);
	expect_nothing(f);
}

/* Flows of tunnels come and leave by the VXLAN device, where the NIC's driver takes no filter that does not say so. */
static void test_tunnel(struct fixture *f, const void *data)
{
	const struct offload_tunnel way = {true, 7, {172, 16, 0, 2}, {172, 16, 0, 1}};
	struct offload_flow out = flow_of(1, 1, 2), in = flow_of(2, 2, 1), hop = flow_of(4, 2, 1);

	out.actions.tunnel = in.match.tunnel = hop.match.tunnel = way;
	in.actions.hop = false;
	assert_refused(f, &out, "VXLAN device");
	test_kernel_add_device(f->kernel, TUNNEL, false);
	f->kernel->tunnel = TUNNEL;
	g_assert_true(set_tunnel(f, TUNNEL));
	g_assert_cmpuint(
		test_kernel_count(f->kernel, TUNNEL, 0), ==, 0); /* which would take tunnels off, too */
	assert_refused(f, &hop, "last hops");
	put_flow(f, &out);
	put_flow(f, &in);
	g_assert_cmpuint(test_kernel_count(f->kernel, ONE, TUNNEL), ==, 1);
	g_assert_cmpuint(test_kernel_count(f->kernel, TUNNEL, ONE), ==, 1);
	expect_events(f, 2, OFFLOAD_EVENT_STATS);
	/* It is removed: nothing else of the port is touched. */
	put(f, 3, 1, 2);
	g_assert_true(set_tunnel(f, 0));
	expect_events(f, 2, OFFLOAD_EVENT_EVICTED);
	g_assert_cmpuint(test_kernel_count(f->kernel, TUNNEL, ONE), ==, 0);
	g_assert_cmpuint(test_kernel_count(f->kernel, ONE, TWO), ==, 1);
}

/* Its filters go, and it has nothing of ours any more. */
static void test_port_gone(struct fixture *f, const void *data)
{
	const struct offload_port one = {.number = 1, .ifindex = ONE};
	g_autoptr(GError) error = NULL;

	put(f, 1, 1, 2);
	put(f, 2, 1, 1);
	g_assert_true(f->tc->ops->ports(f->tc, &one, 1, &error));
	expect(f, OFFLOAD_EVENT_EVICTED, 1, "port");
	expect_nothing(f);
	g_assert_cmpuint(test_kernel_count(f->kernel, ONE, ONE), ==, 1);
	g_assert_false(test_kernel_has_ingress(f->kernel, TWO));
}

static void test_death(struct fixture *f, const void *data)
{
	struct offload_event event;

	put(f, 1, 1, 2);
	test_kernel_remove_device(f->kernel, ONE);
	test_kernel_remove_device(f->kernel, TWO);
	ask_stats(f);
	g_assert_cmpint(f->tc->ops->poll(f->tc, &event, 1), ==, -ENODEV);
}

/* It has nothing left of ours, and flows by it say why. Then the NIC is asked once more. */
static void test_guards_refused(struct fixture *f, const void *data)
{
	struct offload_flow there = flow_of(1, 1, 2), back = flow_of(2, 2, 1);
	g_autoptr(GError) error = NULL, none = NULL;
	enum offload_tc_mode mode = GPOINTER_TO_INT(data);

	offload_provider_close(f->tc);
	open_tc(f, mode);
	f->kernel->refusal = mode == OFFLOAD_TC_EITHER ? TEST_IGNORE_GUARDS : TEST_REFUSE_GUARDS;
	const char *why = mode == OFFLOAD_TC_EITHER ? "not in hardware" : TEST_NO;
	g_assert_false(set_ports(f, ONE, TWO, &error));
	g_assert_nonnull(strstr(error->message, why));
	assert_refused(f, &there, why);
	assert_refused(f, &back, why);
	g_assert_cmpuint(f->kernel->filters->len, ==, 0);
	f->kernel->refusal = TEST_REFUSE_NOTHING;
	g_assert_true(set_ports(f, ONE, TWO, &none));
	put(f, 1, 1, 2);
}

static void test_guards_removed(struct fixture *f, const void *data)
{
	struct offload_flow flow = flow_of(2, 1, 2);

	put(f, 1, 1, 2);
	test_kernel_clear(f->kernel, ONE, 0x11, 0x11);
	f->kernel->refusal = TEST_REFUSE_GUARDS;
	ask_stats(f);
	expect(f, OFFLOAD_EVENT_EVICTED, 1, "last hops");
	expect(f, OFFLOAD_EVENT_STATS_DONE, 0, NULL);
	g_assert_cmpuint(test_kernel_count(f->kernel, ONE, TWO), ==, 0);
	assert_refused(f, &flow, "last hops");
	f->kernel->refusal = TEST_REFUSE_NOTHING;
	ask_stats(f);
	expect(f, OFFLOAD_EVENT_STATS_DONE, 0, NULL);
	g_assert_cmpuint(test_kernel_count(f->kernel, ONE, 0), ==, GUARDS);
	put(f, 2, 1, 2);
}

#define TEST(name, function) g_test_add("/tc/" name, struct fixture, NULL, setup, function, teardown)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	TEST("flows lie on the interface that they come by, are counted, and removed", test_life);
	TEST("a flow that the NIC does not take is refused in its words", test_refused);
	TEST("a flow whose MTU the NIC cannot hold is refused", test_mtu);
	TEST("a flow whose meter the NIC has not taken, or not taken anew, is refused", test_meter);
	g_test_add("/tc/a port whose guards the NIC does not take is left out, until it takes them",
		struct fixture, GINT_TO_POINTER(OFFLOAD_TC_HARDWARE), setup_empty, test_guards_refused,
		teardown);
	g_test_add("/tc/a port whose guards the NIC silently does not take is left out", struct fixture,
		GINT_TO_POINTER(OFFLOAD_TC_EITHER), setup_empty, test_guards_refused, teardown);
	TEST("flows whose guards somebody removes leave, until guards are there again", test_guards_removed);
	TEST("what somebody removes is told as an eviction", test_removed);
	TEST("a port that is another interface now has none of its flows", test_remade);
	TEST("tunnels go by the port's VXLAN device, in filters as drivers want them", test_tunnel);
	TEST("a port that is gone has no flows", test_port_gone);
	g_test_add("/tc/filters and an ingress of others stay, ours go", struct fixture, NULL, setup_empty,
		test_foreign, teardown);
	TEST("what a killed process has left goes, and its ingress with the last of ours", test_left);
	TEST("an ingress that others use stays", test_shared_ingress);
	TEST("a NIC whose interfaces are gone is gone", test_death);
	return g_test_run();
}
