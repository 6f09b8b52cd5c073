/* Whoever executes offloaded flows: see test_executor.h. */
#include "switch/test_executor.h"

#include "offload/fake.h"
#include "offload/tc.h"

#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define PORTS     32
#define WAIT_MS   5000
#define FLOWS_MAX 100000

struct executor {
	struct offload_provider *provider; /* Owned */
	struct offload_port ports[PORTS];
	bool is_model;
	/* Of tc: */
	uint32_t underlay;
	int wire; /* packets of the far ends */
	int up[2]; /* what tc has let through to the host: IPv4, IPv6 */
	int near[PORTS], far[PORTS]; /* interfaces, by port */
};

/* ---- veth pairs ---- */

static int open_packets(uint16_t protocol)
{
	const int on = 1;
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(protocol));

	g_assert_cmpint(fd, >=, 0);
	g_assert_cmpint(setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on), ==, 0);
	g_assert_cmpint(setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &on, sizeof on), ==, 0);
	return fd;
}

/* A socket in that namespace; the thread is where it was then. */
static int open_there(const char *namespace)
{
	g_autofree char *path = g_build_filename("/run/netns", namespace, NULL);
	int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), there = open(path, O_RDONLY | O_CLOEXEC);

	g_assert_cmpint(setns(there, CLONE_NEWNET), ==, 0);
	int fd = open_packets(ETH_P_ALL);
	g_assert_cmpint(setns(here, CLONE_NEWNET), ==, 0);
	close(here);
	close(there);
	return fd;
}

/* In the socket's namespace. */
static int index_of(int fd, const char *name)
{
	struct ifreq request = {};

	g_strlcpy(request.ifr_name, name, sizeof request.ifr_name);
	if (ioctl(fd, SIOCGIFINDEX, &request) < 0)
		g_error("there is no interface %s", name);
	return request.ifr_ifindex;
}

static void open_wires(struct executor *e, const char *wire)
{
	g_autoptr(GError) error = NULL;

	e->wire = open_there(wire);
	e->up[0] = open_packets(ETH_IPV4);
	e->up[1] = open_packets(ETH_IPV6);
	for (unsigned i = 0; i < PORTS; i++) {
		g_autofree char *near = i == e->underlay ? g_strdup("under") : g_strdup_printf("p%u", i);
		g_autofree char *far = i == e->underlay ? g_strdup("underq") : g_strdup_printf("q%u", i);
		e->near[i] = index_of(e->up[0], near);
		e->far[i] = index_of(e->wire, far);
		e->ports[i] = (struct offload_port){.number = i, .ifindex = e->near[i]};
		if (i == e->underlay)
			e->ports[i].tunnel_ifindex = index_of(e->up[0], "vx0");
	}
	e->provider = offload_tc_open(OFFLOAD_TC_SOFTWARE, &error);
	g_assert_no_error(error);
}

/* Where the kernel has put a tag aside. */
static void put_tag_back(struct msghdr *message, struct test_frame *frame)
{
	struct cmsghdr *part = CMSG_FIRSTHDR(message);
	struct tpacket_auxdata aux;

	if (!part || part->cmsg_level != SOL_PACKET || part->cmsg_type != PACKET_AUXDATA)
		return;
	memcpy(&aux, CMSG_DATA(part), sizeof aux);
	if (!(aux.tp_status & TP_STATUS_VLAN_VALID))
		return;
	memmove(frame->bytes + 16, frame->bytes + 12, frame->length - 12);
	store16(frame->bytes + 12, ETH_VLAN);
	store16(frame->bytes + 14, aux.tp_vlan_tci);
	frame->length += 4;
}

/* The next frame, and the interface that it came by; 0: none. */
static int receive(int fd, struct test_frame *ret)
{
	struct sockaddr_ll from = {};
	union {
		struct cmsghdr header;
		uint8_t bytes[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
	} control;
	struct iovec data = {.iov_base = ret->bytes, .iov_len = sizeof ret->bytes - 4};
	struct msghdr message = {.msg_name = &from,
		.msg_namelen = sizeof from,
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control};
	ssize_t got = recvmsg(fd, &message, MSG_DONTWAIT);

	if (got < 14)
		return 0;
	ret->length = (uint32_t)got;
	put_tag_back(&message, ret);
	return from.sll_ifindex;
}

/* Outer packets come to the host on their way to the VXLAN device. */
static bool is_outer(const struct executor *e, int ifindex)
{
	return e->underlay != EXECUTOR_NO_UNDERLAY && ifindex == e->near[e->underlay];
}

static enum executor_verdict run_tc(struct executor *e, uint32_t port, const struct test_frame *frame,
	uint32_t *ret_port, struct test_frame *ret_frame)
{
	const struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = e->far[port]};
	struct pollfd fds[] = {{.fd = e->wire, .events = POLLIN}, {.fd = e->up[0], .events = POLLIN},
		{.fd = e->up[1], .events = POLLIN}};

	g_assert_cmpint(
		sendto(e->wire, frame->bytes, frame->length, 0, (const struct sockaddr *)&to, sizeof to), ==,
		frame->length);
	while (poll(fds, G_N_ELEMENTS(fds), WAIT_MS) > 0) {
		int ifindex = receive(e->wire, ret_frame);
		for (*ret_port = 0; ifindex && *ret_port < PORTS; ++*ret_port)
			if (e->far[*ret_port] == ifindex)
				return EXECUTOR_SENT;
		for (unsigned i = 0; i < G_N_ELEMENTS(e->up); i++)
			if ((ifindex = receive(e->up[i], ret_frame)) && !is_outer(e, ifindex))
				return EXECUTOR_UP;
	}
	g_error("a frame to port %u is neither sent nor let through", port);
}

/* The last pair, which is no port's that tests use, takes the place of that one. */
static void exchange_pairs(struct executor *e, uint32_t port)
{
	int near = e->near[port], far = e->far[port];

	e->near[port] = e->ports[port].ifindex = e->near[PORTS - 1];
	e->far[port] = e->far[PORTS - 1];
	e->near[PORTS - 1] = e->ports[PORTS - 1].ifindex = near;
	e->far[PORTS - 1] = far;
}

/* ---- the model NIC ---- */

static void open_model(struct executor *e)
{
	for (unsigned i = 0; i < PORTS; i++)
		e->ports[i] = (struct offload_port){
			.number = i, .ifindex = (int)i + 1, .tunnel_ifindex = i == e->underlay ? PORTS : 0};
	e->provider = offload_fake_new(OFFLOAD_ALL, FLOWS_MAX);
}

static enum executor_verdict run_model(struct executor *e, uint32_t port, const struct test_frame *frame,
	uint32_t *ret_port, struct test_frame *ret_frame)
{
	g_autoptr(GByteArray) out = NULL;

	if (offload_fake_receive(e->provider, port, frame->bytes, frame->length, ret_port, &out) !=
		OFFLOAD_FAKE_SENT)
		return EXECUTOR_UP;
	*ret_frame = (struct test_frame){.length = out->len};
	memcpy(ret_frame->bytes, out->data, out->len);
	return EXECUTOR_SENT;
}

/* ---- both ---- */

static void tell_ports(struct executor *e)
{
	g_autoptr(GError) error = NULL;

	g_assert_true(e->provider->ops->ports(e->provider, e->ports, PORTS, &error));
}

struct executor *executor_new(const char *wire, uint32_t underlay)
{
	struct executor *e = g_new0(struct executor, 1);

	e->underlay = underlay;
	e->is_model = !wire;
	if (e->is_model)
		open_model(e);
	else
		open_wires(e, wire);
	tell_ports(e);
	executor_flush(e);
	return e;
}

void executor_free(struct executor *e)
{
	offload_provider_close(e->provider);
	if (!e->is_model) {
		close(e->wire);
		close(e->up[0]);
		close(e->up[1]);
	}
	g_free(e);
}

struct offload_provider *executor_provider(struct executor *e)
{
	return e->provider;
}

/* ---- lending ---- */

struct lent {
	struct offload_provider provider;
	struct offload_provider *below; /* Borrowed */
	struct executor *executor; /* Borrowed */
};

static struct offload_provider *below(struct offload_provider *provider)
{
	return ((struct lent *)provider)->below;
}

static int lent_put(struct offload_provider *provider, const struct offload_flow *flow)
{
	return below(provider)->ops->put(below(provider), flow);
}

static int lent_remove(struct offload_provider *provider, uint64_t flow)
{
	return below(provider)->ops->remove(below(provider), flow);
}

static int lent_stats(struct offload_provider *provider)
{
	return below(provider)->ops->stats(below(provider));
}

static int lent_flush(struct offload_provider *provider)
{
	return below(provider)->ops->flush(below(provider));
}

static int lent_meter(struct offload_provider *provider, const struct offload_meter *meter)
{
	return below(provider)->ops->meter(below(provider), meter);
}

static bool lent_ports(
	struct offload_provider *provider, const struct offload_port *ports, unsigned n, GError **error)
{
	return true;
}

static int lent_poll(struct offload_provider *provider, struct offload_event *events, unsigned max)
{
	return below(provider)->ops->poll(below(provider), events, max);
}

static void lent_close(struct offload_provider *provider)
{
	struct offload_event event;

	while (lent_poll(provider, &event, 1) > 0)
		;
	executor_flush(((struct lent *)provider)->executor);
	g_free(provider);
}

static const struct offload_provider_ops lent_ops = {
	.put = lent_put,
	.remove = lent_remove,
	.stats = lent_stats,
	.flush = lent_flush,
	.meter = lent_meter,
	.ports = lent_ports,
	.poll = lent_poll,
	.close = lent_close,
};

struct offload_provider *executor_lend(struct executor *e)
{
	struct lent *lent = g_new0(struct lent, 1);

	lent->provider = (struct offload_provider){.ops = &lent_ops, .caps = e->provider->caps};
	lent->below = e->provider;
	lent->executor = e;
	return &lent->provider;
}

/* ---- putting ---- */

static void expect_event(struct executor *e, struct offload_event *ret)
{
	g_assert_cmpint(e->provider->ops->poll(e->provider, ret, 1), ==, 1);
}

char *executor_put(struct executor *e, const struct offload_flow *flow)
{
	struct offload_event event;

	g_assert_cmpint(e->provider->ops->put(e->provider, flow), ==, 0);
	expect_event(e, &event);
	g_assert_cmpuint(event.flow, ==, flow->id);
	return event.kind == OFFLOAD_EVENT_INSTALLED ? NULL : g_strdup(event.reason);
}

void executor_flush(struct executor *e)
{
	struct offload_event event;

	g_assert_cmpint(e->provider->ops->flush(e->provider), ==, 0);
	expect_event(e, &event);
	g_assert_cmpint(event.kind, ==, OFFLOAD_EVENT_FLUSHED);
}

unsigned executor_remake(struct executor *e, uint32_t port)
{
	struct offload_event event;
	unsigned n = 0;

	if (e->is_model)
		e->ports[port].ifindex += PORTS;
	else
		exchange_pairs(e, port);
	tell_ports(e);
	while (e->provider->ops->poll(e->provider, &event, 1) == 1) {
		g_assert_cmpint(event.kind, ==, OFFLOAD_EVENT_EVICTED);
		n++;
	}
	return n;
}

enum executor_verdict executor_run(struct executor *e, uint32_t port, const struct test_frame *frame,
	uint32_t *ret_port, struct test_frame *ret_frame)
{
	return e->is_model ? run_model(e, port, frame, ret_port, ret_frame)
			   : run_tc(e, port, frame, ret_port, ret_frame);
}
