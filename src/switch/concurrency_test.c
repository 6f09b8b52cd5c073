/* Two workers as real threads, while the main thread publishes states and moves sources from one to the other, and a
 * third one reads the flow table. Under a sanitizer of threads (make check-all) this is where races are looked for.
 *
 * The offloader runs, too, with a thread and a NIC of its own; no packet goes by that, so it may have any flow.
 *
 * How it works. Ports here make their packets themselves when they are polled, and judge what is sent to them.
 * What they carry are talks: a talk is a script of packets between two ports, one of which is under way at any
 * time. Who gets it has the next turn, so a packet that is lost ends the talk, which is seen in the end; one
 * that comes twice or out of turn is seen at once. What of a talk must come through follows from its kind.
 */
#include "offload/fake.h"
#include "switch/eal.h"
#include "switch/flow_query.h"
#include "switch/mirror.h"
#include "switch/offloader.h"
#include "switch/report.h"
#include "switch/test_lab.h"

#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <string.h>

#define PUBLICATIONS 300
#define ENOUGH       60 /* of them, where the machine has little time */
#define SECONDS      3
#define PAUSE_US     1000 /* between two of them */
#define POOL_OPS     "seen"
#define OF_A_KIND    8 /* as many packets as wait for a neighbour together */
#define TALKS        (OF_A_KIND * KINDS)
#define OPEN_PORT    80 /* of b, in all states */
#define SHUT_PORT    666 /* in none */
#define DOOR_PORT    443 /* in some */
#define FIRST_PORT   1024 /* of talks, one each */

/* ---- buffers ---- */

/* A stack under a lock, in sight of the sanitizer, in place of DPDK's ring, which is in its library. */
struct stack {
	rte_spinlock_t lock;
	unsigned n;
	void *objects[];
};

static int stack_alloc(struct rte_mempool *pool)
{
	pool->pool_data = rte_zmalloc(NULL, sizeof(struct stack) + pool->size * sizeof(void *), 0);
	return pool->pool_data ? 0 : -ENOMEM;
}

static void stack_free(struct rte_mempool *pool)
{
	rte_free(pool->pool_data);
}

static int stack_put(struct rte_mempool *pool, void *const *objects, unsigned n)
{
	struct stack *stack = pool->pool_data;

	rte_spinlock_lock(&stack->lock);
	memcpy(stack->objects + stack->n, objects, n * sizeof *objects);
	stack->n += n;
	rte_spinlock_unlock(&stack->lock);
	return 0;
}

static int stack_take(struct rte_mempool *pool, void **objects, unsigned n)
{
	struct stack *stack = pool->pool_data;

	rte_spinlock_lock(&stack->lock);
	bool enough = stack->n >= n;
	if (enough) {
		stack->n -= n;
		memcpy(objects, stack->objects + stack->n, n * sizeof *objects);
	}
	rte_spinlock_unlock(&stack->lock);
	return enough ? 0 : -ENOBUFS;
}

static unsigned stack_count(const struct rte_mempool *pool)
{
	return ((const struct stack *)pool->pool_data)->n;
}

static const struct rte_mempool_ops stack_ops = {
	.name = POOL_OPS,
	.alloc = stack_alloc,
	.free = stack_free,
	.enqueue = stack_put,
	.dequeue = stack_take,
	.get_count = stack_count,
};
RTE_MEMPOOL_REGISTER_OPS(stack_ops);

/* ---- talks ---- */

enum side { SIDE_FIRST, SIDE_SECOND, UNDER_WAY };

struct step {
	uint8_t from; /* enum side */
	uint8_t flags; /* of TCP */
	bool error; /* an ICMP error about the talk's first packet */
};

enum kind { FINISHED, RESET, ASKED, OUTSIDE, SHUT, DOOR, FLEETING, KINDS };

#define THERE(flags)                                                                                         \
	{                                                                                                    \
		SIDE_FIRST, flags                                                                            \
	}
#define BACK(flags)                                                                                          \
	{                                                                                                    \
		SIDE_SECOND, flags                                                                           \
	}

static const struct {
	const char *first, *second; /* ports */
	uint16_t service; /* the second's */
	bool tcp;
	bool sure; /* all states allow it */
	unsigned n_steps;
	struct step steps[10];
} kinds[KINDS] = {
	[FINISHED] = {"a", "b", OPEN_PORT, true, true, 9,
		{THERE(TCP_SYN), BACK(TCP_SYN | TCP_ACK), THERE(TCP_ACK), THERE(TCP_ACK), BACK(TCP_ACK),
			THERE(TCP_ACK | TCP_FIN), BACK(TCP_ACK), BACK(TCP_ACK | TCP_FIN), THERE(TCP_ACK)}},
	[RESET] = {"a", "b", OPEN_PORT, true, true, 5,
		{THERE(TCP_SYN), BACK(TCP_SYN | TCP_ACK), THERE(TCP_ACK), BACK(TCP_ACK), THERE(TCP_RST)}},
	[ASKED] = {"a", "b", OPEN_PORT, false, true, 3, {THERE(0), BACK(0), {SIDE_SECOND, 0, true}}},
	[OUTSIDE] = {"a", "out", 53, false, true, 2, {THERE(0), BACK(0)}},
	[SHUT] = {"a", "b", SHUT_PORT, true, false, 2, {THERE(TCP_SYN), THERE(TCP_ACK)}},
	[DOOR] = {"a", "b", DOOR_PORT, true, false, 4,
		{THERE(TCP_SYN), BACK(TCP_SYN | TCP_ACK), THERE(TCP_ACK), BACK(TCP_ACK)}},
	[FLEETING] = {"c", "b", OPEN_PORT, false, false, 2, {THERE(0), BACK(0)}},
};

struct talk {
	enum kind kind;
	struct test_frame there, back;
	_Atomic unsigned turn; /* enum side; what follows belongs to whose turn it is */
	unsigned step;
	uint16_t number; /* of the packet under way: its IP identification */
	uint64_t rounds;
};

static struct talk talk_make(enum kind kind, uint16_t port)
{
	uint16_t service = kinds[kind].service;
	struct talk talk = {.kind = kind};

	if (kind == OUTSIDE) {
		talk.there = test_udp(MAC_A, MAC_GATEWAY, IP_A, port, PEER, service, 20);
		talk.back = test_udp(MAC_PEER, MAC_OUT, PEER, service, PUBLIC_A, port, 20);
	} else if (kind == FLEETING) {
		talk.there = test_udp(MAC_C, MAC_GATEWAY, IP_C, port, IP_B, service, 20);
		talk.back = test_udp(MAC_B, MAC_GATEWAY, IP_B, service, IP_C, port, 20);
	} else if (kinds[kind].tcp) {
		talk.there = test_tcp(MAC_A, MAC_B, IP_A, port, IP_B, service, 0, 20);
		talk.back = test_tcp(MAC_B, MAC_A, IP_B, service, IP_A, port, 0, 20);
	} else {
		talk.there = test_udp(MAC_A, MAC_B, IP_A, port, IP_B, service, 20);
		talk.back = test_udp(MAC_B, MAC_A, IP_B, service, IP_A, port, 20);
	}
	return talk;
}

/* An ICMP error from b about what a sent. */
static struct test_frame error_about(const struct test_frame *sent)
{
	struct test_frame error = test_icmp(MAC_B, MAC_A, IP_B, IP_A, 3, 3, 0, 28);

	memset(error.bytes + 38, 0, 4);
	memcpy(error.bytes + 42, sent->bytes + 14, 28);
	return error;
}

static struct test_frame frame_of(const struct talk *talk, const struct step *step)
{
	struct test_frame frame = step->error                ? error_about(&talk->there)
				  : step->from == SIDE_FIRST ? talk->there
							     : talk->back;

	store16(frame.bytes + 18, talk->number);
	if (kinds[talk->kind].tcp)
		frame.bytes[47] = step->flags;
	test_fix(&frame);
	return frame;
}

/* ---- ports ---- */

struct world {
	struct fixture lab;
	struct offloader *offloader;
	struct talk talks[TALKS];
	atomic_bool running;
	_Atomic unsigned strange; /* frames that should not have come */
};

/* A port that talks. */
struct mouth {
	struct port port;
	struct world *world; /* Borrowed */
	atomic_bool polled; /* by a worker, at this moment */
	unsigned cursor; /* of the polling worker */
	_Atomic uint64_t sent;
	atomic_bool asked; /* the MAC of PEER */
	uint64_t answers; /* of these; of the polling worker */
	uint64_t received, made; /* under the lock of tx; made: by the switch */
};

static bool is_end_of(const struct mouth *mouth, const struct talk *talk, unsigned side)
{
	const char *end = side == SIDE_FIRST ? kinds[talk->kind].first : kinds[talk->kind].second;

	return g_str_equal(mouth->port.name, end);
}

/* What is not sure to come through is sent without waiting for the other side. */
static bool may_speak(const struct mouth *mouth, const struct talk *talk)
{
	unsigned turn = atomic_load_explicit(&talk->turn, memory_order_acquire);

	return turn != UNDER_WAY && is_end_of(mouth, talk, turn);
}

/* The script's next packet; the turn goes to whom it is for, when that one has it. */
static struct test_frame speak(struct talk *talk)
{
	const struct step *step = &kinds[talk->kind].steps[talk->step];

	talk->number++;
	struct test_frame frame = frame_of(talk, step);
	if (++talk->step == kinds[talk->kind].n_steps) {
		talk->step = 0;
		talk->rounds++;
	}
	unsigned next = kinds[talk->kind].steps[talk->step].from;
	atomic_store_explicit(
		&talk->turn, kinds[talk->kind].sure ? (unsigned)UNDER_WAY : next, memory_order_release);
	return frame;
}

static struct rte_mbuf *packet_of(struct mouth *mouth, const struct test_frame *frame)
{
	struct rte_mbuf *packet = rte_pktmbuf_alloc(mouth->port.pool);

	g_assert_nonnull(packet);
	memcpy(rte_pktmbuf_append(packet, (uint16_t)frame->length), frame->bytes, frame->length);
	atomic_fetch_add(&mouth->sent, 1);
	return packet;
}

static uint16_t mouth_rx(struct port *port, struct rte_mbuf **packets, uint16_t n)
{
	struct mouth *mouth = (struct mouth *)port;
	struct world *world = mouth->world;
	uint16_t got = 0;

	if (atomic_exchange(&mouth->polled, true))
		g_error("two workers poll %s", port->name);
	if (atomic_exchange(&mouth->asked, false)) {
		struct test_frame reply = test_arp(MAC_PEER, 2, MAC_PEER, PEER, PUBLIC_A);
		packets[got++] = packet_of(mouth, &reply);
		mouth->answers++;
	}
	for (unsigned i = 0; atomic_load(&world->running) && i < TALKS && got < n; i++) {
		struct talk *talk = &world->talks[mouth->cursor++ % TALKS];
		if (!may_speak(mouth, talk))
			continue;
		struct test_frame frame = speak(talk);
		packets[got++] = packet_of(mouth, &frame);
	}
	atomic_store(&mouth->polled, false);
	return got;
}

/* The talk that the frame belongs to; NULL: none. */
static struct talk *talk_of(struct world *world, const uint8_t *bytes)
{
	bool error = bytes[23] == 1;
	unsigned there = load16(bytes + (error ? 62 : 34)), back = load16(bytes + (error ? 64 : 36));
	unsigned i = MAX(there, back) - FIRST_PORT;

	return i < TALKS ? &world->talks[i] : NULL;
}

static void hear(struct mouth *mouth, const uint8_t *bytes)
{
	struct talk *talk = talk_of(mouth->world, bytes);

	if (!talk || talk->kind == SHUT) {
		atomic_fetch_add(&mouth->world->strange, 1);
	} else if (kinds[talk->kind].sure) {
		unsigned turn = atomic_load_explicit(&talk->turn, memory_order_acquire);
		unsigned next = kinds[talk->kind].steps[talk->step].from;
		if (turn != UNDER_WAY || load16(bytes + 18) != talk->number)
			atomic_fetch_add(&mouth->world->strange, 1);
		atomic_store_explicit(&talk->turn, next, memory_order_release);
	}
}

/* By the switch: ARP, and ICMP errors of gateways. */
static bool is_made(const uint8_t *bytes)
{
	return load16(bytes + 12) == 0x0806 ||
	       (bytes[23] == 1 && load16(bytes + 26) == 0xc0a8 && bytes[29] == 1);
}

/* ARP for PEER. */
static bool is_question(const uint8_t *bytes)
{
	uint8_t peer[4];

	test_ip(PEER, peer);
	return load16(bytes + 12) == 0x0806 && memcmp(bytes + 38, peer, 4) == 0;
}

static uint16_t mouth_tx(struct port *port, struct rte_mbuf **packets, uint16_t n, bool *ret_down)
{
	struct mouth *mouth = (struct mouth *)port;

	for (unsigned i = 0; i < n; i++) {
		const uint8_t *bytes = rte_pktmbuf_mtod(packets[i], const uint8_t *);
		bool made = is_made(bytes);
		mouth->received++;
		mouth->made += made;
		if (!made)
			hear(mouth, bytes);
		else if (is_question(bytes))
			atomic_store(&mouth->asked, true);
	}
	*ret_down = false;
	rte_pktmbuf_free_bulk(packets, n);
	return n;
}

static enum port_state mouth_state(const struct port *port)
{
	return PORT_READY;
}

static void mouth_close(struct port *port)
{
	port_release(port);
	g_aligned_free(port);
}

static const struct port_ops mouth_ops = {
	.kind = "mouth",
	.rx = mouth_rx,
	.tx = mouth_tx,
	.state = mouth_state,
	.close = mouth_close,
};

/* ---- states ---- */

static json_t *rule(const char *name, int priority, const char *protocol, int port)
{
	return json_pack("{s:s, s:s, s:i, s:s, s:s, s:{s:b}, s:{s:b, s:[[i,i]]}}", "name", name, "direction",
		"inbound", "priority", priority, "protocol", protocol, "action", "allow", "source", "any", 1,
		"destination", "any", 1, "ports", port, port);
}

static void set_rules(struct world *world, bool door, bool more)
{
	json_t *rules = json_pack("[o, o, {s:s, s:s, s:i, s:s, s:s, s:{s:b}, s:{s:b}}]",
		rule("tcp", 100, "tcp", OPEN_PORT), rule("udp", 101, "udp", OPEN_PORT), "name", "rest",
		"direction", "inbound", "priority", 4096, "protocol", "any", "action", "deny", "source",
		"any", 1, "destination", "any", 1);

	g_assert_nonnull(rules);
	if (door)
		json_array_append_new(rules, rule("door", 102, "tcp", DOOR_PORT));
	if (more)
		json_array_append_new(rules, rule("more", 103, "udp", 1));
	json_object_set_new(lab_group(&world->lab), "rules", rules);
}

/* One of the things that change. c: the NIC's part of the state. */
static void change(struct world *world, unsigned i, json_t *c)
{
	json_t *nics = json_object_get(world->lab.state, "nics");
	json_t *address = json_array_get(json_object_get(c, "addresses"), 0);

	switch (i % 5) {
	case 0: set_rules(world, i / 5 % 2, false); break;
	case 1: set_rules(world, i / 5 % 2, true); break;
	case 2:
		if (json_array_size(nics) == 3)
			json_array_remove(nics, 2);
		else
			json_array_append(nics, c);
		break;
	case 3: json_object_set_new(address, "ip", json_string(i / 5 % 2 ? IP_C : "192.168.2.77")); break;
	case 4:
		address = json_array_get(json_object_get(lab_nic(&world->lab, 1), "addresses"), 0);
		json_object_set_new(address, "public", i / 5 % 2 ? json_string(PUBLIC_B) : json_null());
		break;
	}
	lab_publish(&world->lab);
	lab_settle(&world->lab);
}

/* Some source goes to the other worker. */
static void move(struct world *world, unsigned i)
{
	const struct polling *polling = datapath_polling(world->lab.datapath);
	unsigned worker = polling->sources[i % 2]->len ? i % 2 : !(i % 2);
	const GArray *sources = polling->sources[worker];
	const struct source source = g_array_index(sources, struct source, i / 2 % sources->len);

	datapath_move(world->lab.datapath, &source, !worker);
}

/* What an operator may ask at any time. */
static void ask(struct world *world, unsigned i)
{
	json_t *flows = flow_query_list(world->lab.datapath, NULL, NULL);
	json_t *nics = report_nics(world->lab.datapath);
	struct flow_key key = {.nic = datapath_snapshot(world->lab.datapath)->nics[0]->id,
		.sport = htobe16((uint16_t)(FIRST_PORT + i % TALKS)),
		.dport = htobe16(OPEN_PORT),
		.family = IP_V4,
		.protocol = 6};
	struct flow flow, pair;

	g_assert_nonnull(flows);
	g_assert_nonnull(nics);
	test_ip(IP_A, key.src);
	test_ip(IP_B, key.dst);
	if (flow_query_find(world->lab.datapath, &key, &flow, &pair))
		g_assert_true(flow_key_equal(&flow.key, &key));
	json_decref(flows);
	json_decref(nics);
	offloader_report_free(offloader_report(world->offloader));
}

static void publish_many(struct world *world)
{
	const struct mirror_config config = {.nic = datapath_snapshot(world->lab.datapath)->nics[0]->id,
		.snaplen = 64,
		.rate = 1000,
		.filter = flow_filter_any()};
	json_t *c = json_incref(lab_nic(&world->lab, 2));

	int64_t end_us = g_get_monotonic_time() + SECONDS * G_USEC_PER_SEC;

	for (unsigned i = 0; i < PUBLICATIONS && (i < ENOUGH || g_get_monotonic_time() < end_us); i++) {
		struct mirror *mirror = mirror_new(&config, world->lab.workers);
		change(world, i, c);
		datapath_set_mirror(world->lab.datapath, mirror);
		move(world, i);
		if (i % 8 == 0)
			ask(world, i);
		g_usleep(PAUSE_US);
		datapath_set_mirror(world->lab.datapath, NULL);
		mirror_free(mirror);
	}
	json_decref(c);
}

/* ---- a reader of the flow table ---- */

/* Copies are whole: the two directions of a connection say the same of it. */
static void *read_flows(void *data)
{
	struct world *world = data;
	struct flow_table *table = world->lab.datapath->flows;
	uint64_t received = 0;

	while (atomic_load(&world->running)) {
		for (uint32_t i = 1; i < flow_table_end(table); i++) {
			struct flow flow, pair;
			if (!flow_table_copy_both(table, i, &flow, &pair))
				continue;
			g_assert_cmpuint(flow.key.nic, !=, NO_NIC);
			g_assert_cmpuint(pair.pair, ==, i);
			g_assert_cmpuint(pair.reply, ==, !flow.reply);
			g_assert_cmpuint(pair.key.protocol, ==, flow.key.protocol);
		}
		uint64_t now = datapath_counters(world->lab.datapath).rx;
		g_assert_cmpuint(now, >=, received);
		received = now;
	}
	return NULL;
}

/* ---- a NIC ---- */

static struct offload_provider *open_model(void *data, GError **error)
{
	return offload_fake_new(OFFLOAD_ALL, TALKS);
}

static void start_offloader(struct world *world)
{
	for (size_t i = 0; i < 3; i++)
		json_object_set_new(
			json_array_get(json_object_get(lab_nic(&world->lab, i), "attachments"), 0), "offload",
			json_string("tc"));
	world->offloader = offloader_new(world->lab.datapath, open_model, NULL);
	offloader_start(world->offloader);
}

/* ---- the test ---- */

static void setup(struct world *world, const void *data)
{
	static const char *const names[] = {"a", "b", "c", "out"};
	struct fixture *f = &world->lab;

	f->workers = 2;
	/* Entries rest while a worker is kept from its processor, and the other goes on opening connections. */
	lab_setup_large(f, NULL);
	atomic_init(&world->running, true);
	for (unsigned i = 0; i < TALKS; i++)
		world->talks[i] = talk_make((enum kind)(i % KINDS), (uint16_t)(FIRST_PORT + i));
	for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
		struct mouth *mouth = g_aligned_alloc0(1, sizeof *mouth, 64);
		struct port *fake = lab_port(f, names[i]);
		port_init(&mouth->port, &mouth_ops, names[i], fake->pool, NULL);
		mouth->port.index = fake->index;
		mouth->world = world;
		/* The snapshot before names the fake one. */
		g_hash_table_steal(f->ports, names[i]);
		g_hash_table_insert(f->ports, mouth->port.name, mouth);
		lab_publish(f);
		port_fake_close(fake);
	}
	set_rules(world, false, false);
	start_offloader(world);
	lab_publish(f);
	lab_settle(f);
	f->datapath->started_ms -= 3600 * SECOND; /* nothing is learnt in the middle */
}

static void teardown(struct world *world, const void *data)
{
	offloader_free(world->offloader);
	lab_teardown(&world->lab, data);
}

/* Every packet went somewhere and was counted once: but for ARP replies, it was delivered or dropped. */
static void assert_sums(struct world *world)
{
	const struct datapath *datapath = world->lab.datapath;
	const struct worker_counters counters = datapath_counters(datapath);
	uint64_t sent = 0, answers = 0, received = 0, made = 0, dropped = 0, announced = 0;
	GHashTableIter ports;
	void *port;

	g_hash_table_iter_init(&ports, world->lab.ports);
	while (g_hash_table_iter_next(&ports, NULL, &port)) {
		const struct mouth *mouth = port;
		if (mouth->port.ops != &mouth_ops)
			continue;
		const struct port_counters sum = port_counters_sum(&mouth->port);
		g_assert_cmpuint(sum.rx_packets, ==, mouth->sent);
		g_assert_cmpuint(sum.tx_packets, ==, mouth->received);
		sent += mouth->sent;
		received += mouth->received;
		made += mouth->made;
		answers += mouth->answers;
		announced += mouth->port.counters[SNAPSHOT_WORKERS].tx_packets;
	}
	for (enum drop reason = DROP_NONE + 1; reason < DROP_COUNT; reason++)
		dropped += datapath_drops(datapath, reason);
	/* An error that was due and not sent is counted beside its packet. */
	uint64_t unsent = datapath_drops(datapath, DROP_ERROR_RATE);
	g_assert_cmpuint(counters.rx, ==, sent);
	g_assert_cmpuint(counters.tx, ==, received - announced);
	g_assert_cmpuint(counters.drops, ==, dropped);
	g_assert_cmpuint(sent - answers, ==, received - made + dropped - unsent);
}

static void test_changes(struct world *world, const void *data)
{
	struct datapath *datapath = world->lab.datapath;
	uint64_t rounds[KINDS] = {};

	datapath_start(datapath);
	GThread *reader = g_thread_new("reader", read_flows, world);
	publish_many(world);
	atomic_store(&world->running, false);
	g_thread_join(reader);
	datapath_stop(datapath);

	g_assert_cmpuint(world->strange, ==, 0);
	for (unsigned i = 0; i < TALKS; i++) {
		const struct talk *talk = &world->talks[i];
		rounds[talk->kind] += talk->rounds;
		if (talk->turn == UNDER_WAY)
			g_error("talk %u of kind %u lost packet %u", i, talk->kind, talk->number);
	}
	for (unsigned kind = 0; kind < KINDS; kind++)
		g_assert_cmpuint(rounds[kind], >, 0);
	assert_sums(world);
	_cleanup_(offloader_report_free) struct offloader_report *offload =
		offloader_report(world->offloader);
	g_assert_cmpuint(offload->counts.installed, >, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	lab_begin_with(2, POOL_OPS);
	g_test_add("/concurrency/while states and pollers change no packet that both allow is lost and none "
		   "that both "
		   "forbid passes",
		struct world, NULL, setup, test_changes, teardown);
	int status = g_test_run();
	eal_stop();
	return status;
}
