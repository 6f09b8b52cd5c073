/* Tests of the flow table: against GLib's hash table, and with readers beside a writer. */
#include "switch/flow_table.h"

#include <errno.h>
#include <glib.h>
#include <rte_rcu_qsbr.h>
#include <stdatomic.h>

struct fixture {
	struct rte_rcu_qsbr *readers;
	struct flow_table *table;
};

static void setup(struct fixture *f, const void *data)
{
	f->readers = g_aligned_alloc0(1, rte_rcu_qsbr_get_memsize(2), 64);
	rte_rcu_qsbr_init(f->readers, 2);
	f->table = flow_table_new(flow_memory_new(GPOINTER_TO_UINT(data)), f->readers);
	g_assert_nonnull(f->table);
}

static void teardown(struct fixture *f, const void *data)
{
	flow_table_free(f->table);
	g_aligned_free(f->readers);
}

/* The i-th connection: both of its keys are functions of i. */
static void halves(uint32_t i, struct flow_half *forward, struct flow_half *reply)
{
	*forward = (struct flow_half){
		.key = {.family = IP_V4, .protocol = 17, .nic = i % 5, .sport = (uint16_t)i}};
	memcpy(forward->key.src, &i, sizeof i);
	forward->action.target = i;
	*reply = (struct flow_half){.key = flow_key_reverse(&forward->key)};
	reply->key.nic = 99;
	reply->action.target = ~i;
}

static struct flow *put(struct fixture *f, uint32_t i, int *error)
{
	struct flow_half forward, reply;

	halves(i, &forward, &reply);
	return flow_table_put(f->table, &forward, &reply, 7, 1000, error);
}

static struct flow *find(struct fixture *f, uint32_t i, bool want_reply)
{
	struct flow_half forward, reply;

	halves(i, &forward, &reply);
	return flow_table_find(f->table, want_reply ? &reply.key : &forward.key);
}

static void test_put(struct fixture *f, const void *data)
{
	int error = 0;
	struct flow *flow = put(f, 1, &error);

	g_assert_nonnull(flow);
	g_assert_true(find(f, 1, false) == flow);
	g_assert_true(find(f, 1, true) == flow_table_pair(f->table, flow));
	g_assert_true(flow_table_pair(f->table, find(f, 1, true)) == flow);
	g_assert_false(flow->reply);
	g_assert_true(find(f, 1, true)->reply);
	g_assert_cmpuint(flow->action.target, ==, 1);
	g_assert_cmpuint(find(f, 1, true)->action.target, ==, ~1u);
	g_assert_cmpuint(flow->epoch, ==, 7);
	g_assert_cmpuint(flow_table_count(f->table), ==, 1);
}

/* The state of epoch 9 refuses the connection; a worker that still knows that of 8 allows it, or sends it elsewhere. */
static void test_older_word(struct fixture *f, const void *data)
{
	struct flow_half forward, reply;
	int error = 0;
	struct flow *flow = put(f, 1, &error), *pair = flow_table_pair(f->table, flow);

	flow_table_decide(f->table, pair, true, 9);
	g_assert_true(flow->blocked && pair->blocked);
	g_assert_cmpuint(flow->epoch, ==, 9);
	flow_table_decide(f->table, flow, false, 8);
	g_assert_true(flow->blocked && pair->blocked);
	g_assert_cmpuint(flow->epoch, ==, 9);
	g_assert_cmpuint(pair->epoch, ==, 9);
	halves(1, &forward, &reply);
	g_assert_null(flow_table_replace(f->table, flow, &forward, &reply, 8, &error));
	g_assert_cmpint(error, ==, -ESTALE);
	flow_table_decide(f->table, flow, false, 10);
	g_assert_false(flow->blocked || pair->blocked);
}

/* Whoever holds no entry may come too late: another connection has its place. */
static void test_decide_seen(struct fixture *f, const void *data)
{
	struct flow *flow, *other;
	struct flow seen;
	int error = 0;

	flow = put(f, 1, &error);
	uint32_t index = (uint32_t)(flow - flow_table_at(f->table, 0));
	g_assert_true(flow_table_copy(f->table, index, &seen));
	g_assert_true(flow_table_decide_seen(f->table, index, &seen, true, 9));
	g_assert_true(flow->blocked);
	g_assert_true(flow_table_remove(f->table, flow));
	g_assert_false(flow_table_decide_seen(f->table, index, &seen, true, 9));
	for (unsigned n = 2; (other = put(f, n, &error)) != flow; n++) {
		g_assert_cmpuint(n, <, 1000);
		flow_table_remove(f->table, other);
	}
	g_assert_false(flow_table_decide_seen(f->table, index, &seen, true, 9));
	g_assert_false(other->blocked);
	g_assert_cmpuint(other->epoch, ==, 7);
}

static void test_remove_seen(struct fixture *f, const void *data)
{
	struct flow_half forward, reply;
	struct flow seen;
	int error = 0;
	struct flow *flow = put(f, 1, &error);

	g_assert_true(flow_table_copy(f->table, (uint32_t)(flow - flow_table_at(f->table, 0)), &seen));
	halves(1, &forward, &reply);
	struct flow *made = flow_table_replace(f->table, flow, &forward, &reply, 8, &error);
	g_assert_nonnull(made);
	g_assert_false(flow_table_remove_seen(f->table, flow, &seen));
	g_assert_true(find(f, 1, false) == made);
	g_assert_true(flow_table_copy(f->table, (uint32_t)(made - flow_table_at(f->table, 0)), &seen));
	g_assert_true(flow_table_remove_seen(f->table, made, &seen));
	g_assert_cmpuint(flow_table_count(f->table), ==, 0);
}

static void test_conflicts(struct fixture *f, const void *data)
{
	struct flow_half forward, reply, other;
	int error = 0;

	put(f, 1, &error);
	g_assert_null(put(f, 1, &error));
	g_assert_cmpint(error, ==, -EEXIST);
	halves(1, &forward, &reply);
	halves(2, &other, &forward);
	g_assert_null(flow_table_put(f->table, &other, &reply, 7, 0, &error)); /* only the reply is taken */
	g_assert_cmpint(error, ==, -EEXIST);
	g_assert_null(flow_table_find(f->table, &other.key));
	g_assert_null(flow_table_put(f->table, &other, &other, 7, 0, &error)); /* its own reply */
	g_assert_cmpint(error, ==, -EEXIST);
	g_assert_cmpuint(flow_table_count(f->table), ==, 1);
}

static void test_full(struct fixture *f, const void *data)
{
	uint32_t capacity = flow_table_capacity(f->table);
	int error = 0;

	for (uint32_t i = 0; i < capacity; i++)
		g_assert_nonnull(put(f, i, &error));
	g_assert_null(put(f, capacity, &error));
	g_assert_cmpint(error, ==, -ENOSPC);
	g_assert_cmpuint(flow_table_count(f->table), ==, capacity);
	for (uint32_t i = 0; i < capacity; i++)
		g_assert_nonnull(find(f, i, true));
	g_assert_true(flow_table_remove(f->table, find(f, 3, false)));
	g_assert_nonnull(put(f, capacity, &error));
}

static void test_grace(struct fixture *f, const void *data)
{
	uint32_t capacity = flow_table_capacity(f->table);
	int error = 0;

	for (uint32_t i = 0; i < capacity; i++)
		put(f, i, &error);
	rte_rcu_qsbr_thread_register(f->readers, 0);
	rte_rcu_qsbr_thread_online(f->readers, 0);
	struct flow *flow = find(f, 5, false), *pair = find(f, 5, true);
	g_assert_true(flow_table_remove(f->table, pair));
	g_assert_false(flow_table_remove(f->table, flow));
	g_assert_null(find(f, 5, false));
	g_assert_null(find(f, 5, true));

	/* Whoever looked it up before may still use it: its place is not given away. */
	g_assert_null(put(f, capacity, &error));
	g_assert_cmpint(error, ==, -ENOSPC);
	g_assert_cmpuint(flow->action.target, ==, 5);
	rte_rcu_qsbr_quiescent(f->readers, 0);
	g_assert_nonnull(put(f, capacity, &error));
	rte_rcu_qsbr_thread_offline(f->readers, 0);
	rte_rcu_qsbr_thread_unregister(f->readers, 0);
}

/* Gives connection i other actions; reply_nic: of the reply's key, 99 as put() has it. */
static struct flow *replace(struct fixture *f, uint32_t i, uint32_t target, uint32_t reply_nic, int *error)
{
	struct flow_half forward, reply;

	halves(i, &forward, &reply);
	forward.action.target = target;
	reply.key.nic = reply_nic;
	reply.action.target = ~target;
	return flow_table_replace(f->table, find(f, i, false), &forward, &reply, 8, error);
}

static void test_replace(struct fixture *f, const void *data)
{
	struct flow_half forward, reply;
	int error = 0;
	struct flow *old = put(f, 1, &error);

	rte_rcu_qsbr_thread_register(f->readers, 0);
	rte_rcu_qsbr_thread_online(f->readers, 0);
	old->packets = 5;
	old->tcp = 3;
	flow_table_pair(f->table, old)->packets = 6;
	struct flow *made = replace(f, 1, 77, 99, &error);
	g_assert_true(made && made != old && made == find(f, 1, false));
	g_assert_true(find(f, 1, true) == flow_table_pair(f->table, made));
	g_assert_true(flow_table_pair(f->table, find(f, 1, true)) == made);
	g_assert_cmpuint(made->action.target, ==, 77);
	g_assert_cmpuint(made->epoch, ==, 8);
	g_assert_cmpuint(made->created_s, ==, 1);
	g_assert_cmpuint(made->packets, ==, 5);
	g_assert_cmpuint(made->tcp, ==, 3);
	g_assert_cmpuint(find(f, 1, true)->packets, ==, 6);

	/* Another reply key: the one before is no more. */
	g_assert_nonnull(replace(f, 1, 78, 98, &error));
	halves(1, &forward, &reply);
	g_assert_null(flow_table_find(f->table, &reply.key));
	reply.key.nic = 98;
	g_assert_true(flow_table_find(f->table, &reply.key) == flow_table_pair(f->table, find(f, 1, false)));
	g_assert_cmpuint(flow_table_count(f->table), ==, 1);

	/* Who still holds the old entry cannot replace what has taken its place. */
	g_assert_null(flow_table_replace(f->table, old, &forward, &reply, 8, &error));
	g_assert_cmpint(error, ==, -ESTALE);
	rte_rcu_qsbr_thread_offline(f->readers, 0);
	rte_rcu_qsbr_thread_unregister(f->readers, 0);
}

/* The connection now begins somewhere else, and its answers may stay where they are or not. */
static void test_replace_forward(struct fixture *f, const void *data)
{
	struct flow_half forward, reply, before;
	int error = 0;

	for (unsigned i = 0; i < 2; i++) {
		struct flow *old = put(f, i, &error);
		flow_table_pair(f->table, old)->packets = 6;
		halves(i, &forward, &reply);
		before = forward;
		forward.key.nic = 98;
		reply.key.nic += i;
		struct flow *made = flow_table_replace(f->table, old, &forward, &reply, 8, &error);
		g_assert_nonnull(made);
		g_assert_null(flow_table_find(f->table, &before.key));
		g_assert_true(flow_table_find(f->table, &forward.key) == made);
		g_assert_true(flow_table_find(f->table, &reply.key) == flow_table_pair(f->table, made));
		g_assert_cmpuint(flow_table_pair(f->table, made)->packets, ==, 6);
		g_assert_false(made->reply);
	}
	/* Neither another connection's key, nor twice the same. */
	g_assert_null(flow_table_replace(f->table, put(f, 2, &error), &forward, &reply, 8, &error));
	g_assert_cmpint(error, ==, -EEXIST);
	g_assert_null(flow_table_replace(f->table, find(f, 2, false), &before, &before, 8, &error));
	g_assert_cmpint(error, ==, -EEXIST);
	g_assert_nonnull(find(f, 2, true));
	g_assert_cmpuint(flow_table_count(f->table), ==, 3);
}

static void test_take_in(struct fixture *f, const void *data)
{
	const struct flow past[2] = {
		{.created_s = 5, .seen_ms = 6, .tcp = 7, .packets = 8, .bytes = 9, .blocked = true},
		{.created_s = 5, .seen_ms = 16, .tcp = 17, .packets = 18, .bytes = 19, .blocked = true},
	};
	struct flow_half halves_of[2];
	int error = 0;

	halves(1, &halves_of[0], &halves_of[1]);
	struct flow *made = flow_table_take_in(f->table, &halves_of[0], &halves_of[1], past, 7, &error);
	g_assert_nonnull(made);
	for (unsigned i = 0; i < 2; i++) {
		const struct flow *flow = flow_table_find(f->table, &halves_of[i].key);
		g_assert_cmpuint(flow->created_s, ==, past[i].created_s);
		g_assert_cmpuint(flow->seen_ms, ==, past[i].seen_ms);
		g_assert_cmpuint(flow->tcp, ==, past[i].tcp);
		g_assert_cmpuint(flow->packets, ==, past[i].packets);
		g_assert_cmpuint(flow->bytes, ==, past[i].bytes);
		g_assert_true(flow->blocked);
	}
	g_assert_null(flow_table_take_in(f->table, &halves_of[0], &halves_of[1], past, 7, &error));
	g_assert_cmpint(error, ==, -EEXIST);
	/* Who gives it another way has decided that it may go. */
	made = flow_table_replace(f->table, made, &halves_of[0], &halves_of[1], 8, &error);
	g_assert_false(made->blocked || flow_table_pair(f->table, made)->blocked);
}

static void test_replace_conflict(struct fixture *f, const void *data)
{
	struct flow_half forward, reply, other;
	int error = 0;

	put(f, 1, &error);
	put(f, 2, &error);
	halves(1, &forward, &reply);
	halves(2, &other, &reply); /* connection 2's reply key */
	g_assert_null(flow_table_replace(f->table, find(f, 1, false), &forward, &reply, 8, &error));
	g_assert_cmpint(error, ==, -EEXIST);
	g_assert_cmpuint(find(f, 1, false)->action.target, ==, 1);
	g_assert_cmpuint(find(f, 1, true)->action.target, ==, ~1u);
}

/* While a reader holds everything, as many can be replaced as there are spare places; then one stays as it is
 * and can be replaced after the grace period. */
static void test_replace_full(struct fixture *f, const void *data)
{
	uint32_t capacity = flow_table_capacity(f->table);
	int error = 0;

	for (uint32_t i = 0; i < capacity; i++)
		g_assert_nonnull(put(f, i, &error));
	rte_rcu_qsbr_thread_register(f->readers, 0);
	rte_rcu_qsbr_thread_online(f->readers, 0);
	for (uint32_t i = 0; i < FLOW_MEMORY_SPARE; i++)
		g_assert_nonnull(replace(f, i % capacity, 1000 + i, 99, &error));
	g_assert_null(replace(f, 5, 77, 99, &error));
	g_assert_cmpint(error, ==, -ENOSPC);
	g_assert_cmpuint(find(f, 5, false)->action.target, >=, 1000);
	g_assert_true(flow_table_pair(f->table, find(f, 5, false)) == find(f, 5, true));
	rte_rcu_qsbr_quiescent(f->readers, 0);
	g_assert_nonnull(replace(f, 5, 77, 99, &error));
	g_assert_cmpuint(find(f, 5, false)->action.target, ==, 77);
	g_assert_null(put(f, capacity, &error)); /* the spare places are not for new connections */
	g_assert_cmpint(error, ==, -ENOSPC);
	for (uint32_t i = 0; i < capacity; i++)
		g_assert_true(find(f, i, false) && find(f, i, true));
	g_assert_cmpuint(flow_table_count(f->table), ==, capacity);
	rte_rcu_qsbr_thread_offline(f->readers, 0);
	rte_rcu_qsbr_thread_unregister(f->readers, 0);
}

static void assert_burst(struct fixture *f, const bool *present, uint32_t n, uint32_t first)
{
	struct flow_half forward[FLOW_TABLE_BURST], reply[FLOW_TABLE_BURST];
	const struct flow_key *keys[FLOW_TABLE_BURST];
	struct flow *found[FLOW_TABLE_BURST];

	for (unsigned i = 0; i < FLOW_TABLE_BURST; i++) {
		halves((first + i) % n, &forward[i], &reply[i]);
		keys[i] = i % 2 ? &forward[i].key : &reply[i].key;
	}
	flow_table_lookup_burst(f->table, keys, FLOW_TABLE_BURST, found);
	for (unsigned i = 0; i < FLOW_TABLE_BURST; i++) {
		g_assert_cmpint(found[i] != NULL, ==, present[(first + i) % n]);
		if (found[i])
			g_assert_true(flow_key_equal(&found[i]->key, keys[i]));
	}
}

/* Random puts and removes of a set that just fits: the table always holds what a plain array says. */
static void test_model(struct fixture *f, const void *data)
{
	uint32_t n = flow_table_capacity(f->table);
	g_autofree bool *present = g_new0(bool, n);
	uint32_t count = 0;

	for (unsigned step = 0; step < 200000; step++) {
		uint32_t i = (uint32_t)g_test_rand_int_range(0, (int)n);
		int error = 0;
		if (present[i]) {
			g_assert_true(flow_table_remove(f->table, find(f, i, step & 1)));
		} else {
			g_assert_nonnull(put(f, i, &error));
		}
		present[i] = !present[i];
		count += present[i] ? 1 : -1u;
		g_assert_cmpuint(flow_table_count(f->table), ==, count);
		if (step % 100 == 0)
			assert_burst(f, present, n, i);
	}
}

/* ---- a reader beside a writer ---- */

struct race {
	struct fixture *f;
	_Atomic bool stop;
	uint64_t hits, misses, copies;
};

/* Connection 0 is always there, though often replaced, and must always be found; what is found must be whole. */
static void *reader(void *data)
{
	struct race *race = data;
	struct fixture *f = race->f;

	rte_rcu_qsbr_thread_register(f->readers, 1);
	rte_rcu_qsbr_thread_online(f->readers, 1);
	while (!atomic_load(&race->stop)) {
		g_assert_nonnull(find(f, 0, false));
		g_assert_nonnull(find(f, 0, true));
		for (uint32_t i = 1; i < 64; i++) {
			struct flow *flow = find(f, i, i & 1);
			if (!flow) {
				race->misses++;
				continue;
			}
			race->hits++;
			g_assert_cmpuint(flow->action.target, ==, i & 1 ? ~i : i);
		}
		rte_rcu_qsbr_quiescent(f->readers, 1);
		struct flow copy;
		for (uint32_t i = 1; i < flow_table_end(f->table); i++) {
			if (!flow_table_copy(f->table, i, &copy))
				continue;
			race->copies++;
			uint32_t id;
			memcpy(&id, copy.reply ? copy.key.dst : copy.key.src, sizeof id);
			g_assert_cmpuint(copy.action.target, ==, copy.reply ? ~id : id);
		}
	}
	rte_rcu_qsbr_thread_offline(f->readers, 1);
	rte_rcu_qsbr_thread_unregister(f->readers, 1);
	return NULL;
}

static void test_race(struct fixture *f, const void *data)
{
	struct race race = {.f = f};
	int64_t end = g_get_monotonic_time() + G_USEC_PER_SEC;
	uint64_t replaced = 0;
	int error;

	g_assert_nonnull(put(f, 0, &error));
	GThread *thread = g_thread_new("reader", reader, &race);
	while (g_get_monotonic_time() < end) {
		for (uint32_t i = 1; i < 64; i++) {
			struct flow *flow = find(f, i, false);
			if (flow)
				flow_table_remove(f->table, flow);
			else if (!put(f, i, &error))
				g_usleep(100); /* everything rests: the reader's turn */
		}
		replaced += replace(f, 0, 0, 99, &error) != NULL;
	}
	atomic_store(&race.stop, true);
	g_thread_join(thread);
	g_assert_cmpuint(replaced, >, 0);
	g_assert_cmpuint(race.hits, >, 0);
	g_assert_cmpuint(race.misses, >, 0);
	g_assert_cmpuint(race.copies, >, 0);
}

#define ADD(name, capacity, fn)                                                                              \
	g_test_add("/flow table/" name, struct fixture, GUINT_TO_POINTER(capacity), setup, fn, teardown)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("both directions are found and know each other", 64, test_put);
	ADD("an older state's word does not stand against a newer one's", 64, test_older_word);
	ADD("only the connection that was seen is decided", 64, test_decide_seen);
	ADD("only the connection that was seen is removed", 64, test_remove_seen);
	ADD("a key that is taken in either direction is refused, whole", 64, test_conflicts);
	ADD("holds as many connections as it says, and not one more", 5000, test_full);
	ADD("a removed entry is not used again before the readers' grace period", 64, test_grace);
	ADD("a replaced connection goes on with other actions", 64, test_replace);
	ADD("a replaced connection may begin somewhere else", 64, test_replace_forward);
	ADD("a connection that is taken in has its past", 64, test_take_in);
	ADD("a connection cannot be replaced by another's reply key", 64, test_replace_conflict);
	ADD("a full table can replace its connections, and keeps those it cannot", 64, test_replace_full);
	ADD("holds what a model holds after random puts and removes", 500, test_model);
	ADD("readers see whole entries while a writer changes the table", 128, test_race);
	return g_test_run();
}
