/* Tests of the memory that outlives the process: what the next one adopts, and what it refuses. The kill is
 * played by leaving a table as it is and opening its file again, whole or with the marks of a kill. */
#include "switch/flow_memory.h"

#include "base/fault.h"
#include "switch/flow_table.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <rte_rcu_qsbr.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#define CAPACITY 1000u
#define NICS     5u
#define EPOCH    7u

struct fixture {
	char *path;
	struct rte_rcu_qsbr *readers;
	struct flow_table *table; /* NULL: ended */
	struct flow_adoption adoption; /* of the last begin() */
};

static uint32_t number_of(unsigned nic)
{
	return (3u + nic) << 16 | nic;
}

/* A process begins: it opens the file and adopts what is in it. */
static void begin(struct fixture *f, uint32_t capacity)
{
	g_autoptr(GError) error = NULL;
	struct flow_memory *memory = flow_memory_open(f->path, capacity, &error);

	g_assert_no_error(error);
	bool adopted = memory->adopted;
	f->table = flow_table_new(memory, f->readers);
	g_assert_nonnull(f->table);
	f->adoption = (struct flow_adoption){};
	if (adopted)
		flow_table_adopt(f->table, &f->adoption);
}

/* Nothing is tidied up: as after a kill. */
static void end(struct fixture *f)
{
	flow_table_free(f->table);
	f->table = NULL;
}

static void name_nics(struct fixture *f)
{
	struct flow_memory *memory = flow_table_memory(f->table);

	for (unsigned i = 0; i < NICS; i++) {
		g_autofree char *uid = g_strdup_printf("nic-%u", i);
		flow_memory_set_nic(memory, i, number_of(i), uid);
	}
	memory->header->epoch = EPOCH;
}

static void setup(struct fixture *f, const void *data)
{
	f->path = g_strdup_printf("/dev/shm/flow-memory-test-%d", (int)getpid());
	g_unlink(f->path);
	f->readers = g_aligned_alloc0(1, rte_rcu_qsbr_get_memsize(2), 64);
	rte_rcu_qsbr_init(f->readers, 2);
	begin(f, CAPACITY);
	name_nics(f);
}

static void teardown(struct fixture *f, const void *data)
{
	if (f->table)
		end(f);
	g_unlink(f->path);
	g_free(f->path);
	g_aligned_free(f->readers);
}

/* The i-th connection: both of its keys are functions of i. */
static void halves(uint32_t i, struct flow_half *forward, struct flow_half *reply)
{
	*forward = (struct flow_half){
		.key = {.family = IP_V4, .protocol = 17, .nic = number_of(i % NICS), .sport = (uint16_t)i}};
	memcpy(forward->key.src, &i, sizeof i);
	forward->action.target = i;
	*reply = (struct flow_half){.key = flow_key_reverse(&forward->key)};
	reply->key.origin = FLOW_FROM_OUTSIDE;
	reply->action.target = ~i;
}

static struct flow *put(struct fixture *f, uint32_t i)
{
	struct flow_half forward, reply;
	int error;

	halves(i, &forward, &reply);
	return flow_table_put(f->table, &forward, &reply, EPOCH, 1000, &error);
}

static struct flow *find(struct fixture *f, uint32_t i, bool want_reply)
{
	struct flow_half forward, reply;

	halves(i, &forward, &reply);
	return flow_table_find(f->table, want_reply ? &reply.key : &forward.key);
}

/* Whatever was adopted: entries and buckets agree, and all that is free can be used. */
static void assert_sound(struct fixture *f)
{
	uint32_t live = 0, end = flow_table_end(f->table);

	g_assert_cmpuint(end, >=, 1);
	for (uint32_t i = 1; i < end; i++) {
		struct flow *flow = flow_table_at(f->table, i), *pair;
		g_assert_cmpuint(flow->seq & 1, ==, 0);
		if (!flow->live)
			continue;
		live++;
		pair = flow_table_pair(f->table, flow);
		g_assert_true(pair->live && pair->reply != flow->reply);
		g_assert_true(flow_table_pair(f->table, pair) == flow);
		g_assert_true(flow_table_find(f->table, &flow->key) == flow);
		g_assert_cmpint((int32_t)(flow_table_memory(f->table)->header->epoch - flow->epoch), >=, 0);
	}
	g_assert_cmpuint(live, ==, 2 * flow_table_count(f->table));
	g_assert_cmpuint(f->adoption.connections, ==, flow_table_count(f->table));
	uint32_t room = flow_table_capacity(f->table) - flow_table_count(f->table);
	for (uint32_t i = 0; i < room; i++)
		g_assert_nonnull(put(f, 1000000 + i));
	g_assert_null(put(f, 999999));
	for (uint32_t i = 0; i < room; i++)
		g_assert_true(flow_table_remove(f->table, find(f, 1000000 + i, true)));
}

/* ---- what goes on ---- */

static void test_adopts(struct fixture *f, const void *data)
{
	for (uint32_t i = 0; i < 600; i++)
		g_assert_nonnull(put(f, i));
	for (uint32_t i = 0; i < 100; i++)
		flow_table_remove(f->table, find(f, i * 5, false));
	struct flow *flow = find(f, 501, false);
	flow->packets = 77;
	flow->tcp = 0x12;
	flow->blocked = true; /* and the kill before its pair's store */
	end(f);
	begin(f, CAPACITY);
	g_assert_cmpuint(f->adoption.connections, ==, 500);
	g_assert_cmpuint(f->adoption.dropped, ==, 0);
	g_assert_cmpuint(f->adoption.by_slot[0], ==, 20);
	g_assert_cmpuint(f->adoption.by_slot[1], ==, 120);
	for (uint32_t i = 0; i < 600; i++) {
		bool there = i >= 500 || i % 5;
		g_assert_true(!!find(f, i, false) == there && !!find(f, i, true) == there);
	}
	flow = find(f, 501, false);
	g_assert_true(flow->packets == 77 && flow->tcp == 0x12 && flow->blocked);
	g_assert_cmpuint(flow->action.target, ==, 501);
	g_assert_cmpuint(flow->created_s, ==, 1);
	assert_sound(f);
	end(f);
	begin(f, CAPACITY); /* and once more, what has been adopted */
	g_assert_cmpuint(f->adoption.connections, ==, 500);
}

static void test_nics(struct fixture *f, const void *data)
{
	struct flow_memory *memory = flow_table_memory(f->table);

	for (unsigned i = 1; i < 4; i++)
		memory->header->nics[i].function_s = 100 + i;
	flow_memory_set_nic(memory, 1, number_of(1), "nic-1"); /* it is the same */
	flow_memory_set_nic(memory, 2, 0, NULL);
	flow_memory_set_nic(memory, 3, 9u << 16 | 3, "other");
	for (uint32_t i = 0; i < 10; i++)
		put(f, i);
	end(f);
	begin(f, CAPACITY);
	memory = flow_table_memory(f->table);
	g_assert_cmpuint(memory->header->epoch, ==, EPOCH);
	g_assert_cmpstr(flow_memory_nic_uid(memory, 1), ==, "nic-1");
	g_assert_cmpuint(memory->header->nics[1].number, ==, number_of(1));
	g_assert_null(flow_memory_nic_uid(memory, 2));
	g_assert_cmpstr(flow_memory_nic_uid(memory, 3), ==, "other");
	g_assert_cmpuint(memory->header->nics[1].function_s, ==, 101);
	g_assert_cmpuint(memory->header->nics[2].function_s, ==, 0);
	g_assert_cmpuint(memory->header->nics[3].function_s, ==, 0);
	/* Two each of NICs 2 and 3, who are gone: nobody has their numbers any more. */
	g_assert_cmpuint(f->adoption.connections, ==, 6);
	g_assert_cmpuint(f->adoption.dropped, ==, 8);
	g_assert_null(find(f, 2, false));
	assert_sound(f);
}

/* ---- marks of a kill ---- */

/* Makes one mark of a kill, or of damage, in connection i. False: there is no such kind. */
static bool mark(struct fixture *f, unsigned kind, uint32_t i)
{
	struct flow *flow = find(f, i, false), *pair = flow_table_pair(f->table, flow);

	switch (kind) {
	case 0: flow->seq++; return true; /* while it was written */
	case 1: pair->seq++; return true;
	case 2: pair->live = false; return true; /* half removed, or not yet written */
	case 3: flow->live = false; return true;
	case 4: pair->pair++; return true; /* the pair is another's by now */
	case 5: flow->pair = UINT32_MAX; return true;
	case 6: flow->pair = 0; return true;
	case 7: pair->reply = false; return true;
	case 8: flow->epoch = EPOCH + 1; return true; /* decided by a state that is still to come */
	case 9: flow->key.sport ^= 1; return true; /* the hash knows */
	case 10: pair->hash ^= 1; return true;
	case 11: flow->live = 7; return true;
	case 12: flow->blocked = 9; return true;
	default: return false;
	}
}

static void test_half_written(struct fixture *f, const void *data)
{
	unsigned kinds = 0;

	for (uint32_t i = 0; i < 100; i++)
		put(f, i);
	while (mark(f, kinds, kinds * 3))
		kinds++;
	g_assert_cmpuint(kinds, ==, 13);
	end(f);
	begin(f, CAPACITY);
	g_assert_cmpuint(f->adoption.connections, ==, 100 - kinds);
	g_assert_cmpuint(f->adoption.dropped, >, kinds);
	for (uint32_t i = 0; i < 100; i++) {
		bool there = i % 3 || i / 3 >= kinds;
		g_assert_true(!!find(f, i, false) == there && !!find(f, i, true) == there);
	}
	assert_sound(f);
}

/* Killed between the new entries of a replacement and the end of the old ones: one of them is enough. */
static void test_half_replaced(struct fixture *f, const void *data)
{
	struct flow copies[2], *places[2];
	struct flow_half forward, reply;
	int error;

	put(f, 1);
	places[0] = find(f, 1, false);
	places[1] = find(f, 1, true);
	copies[0] = *places[0];
	copies[1] = *places[1];
	halves(1, &forward, &reply);
	forward.action.target = reply.action.target = 555;
	g_assert_nonnull(flow_table_replace(f->table, places[0], &forward, &reply, EPOCH, &error));
	*places[0] = copies[0]; /* the old ones, not yet retired */
	*places[1] = copies[1];
	end(f);
	begin(f, CAPACITY);
	g_assert_cmpuint(f->adoption.connections, ==, 1);
	g_assert_cmpuint(f->adoption.dropped, ==, 2);
	assert_sound(f);
}

/* Random bytes anywhere: whatever is adopted is sound, and most of what is whole survives. */
static void test_garbage(struct fixture *f, const void *data)
{
	uint32_t adopted = 0;

	for (unsigned round = 0; round < 300; round++) {
		g_unlink(f->path);
		end(f);
		begin(f, CAPACITY);
		name_nics(f);
		for (uint32_t i = 0; i < 500; i++)
			put(f, i);
		uint8_t *bytes = (uint8_t *)flow_table_memory(f->table)->header;
		size_t header = round % 3 == 0 ? sizeof(struct flow_header) : 0;
		size_t from = header ? 0 : (size_t)((uint8_t *)flow_table_at(f->table, 0) - bytes);
		size_t span = header ? header : 1100 * sizeof(struct flow);
		for (int n = g_test_rand_int_range(1, 200); n > 0; n--) {
			size_t at = from + (size_t)g_test_rand_int_range(0, (int)span);
			bytes[at] =
				(uint8_t)(g_test_rand_int_range(0, 2) ? g_test_rand_int() : bytes[at] ^ 1);
		}
		end(f);
		begin(f, CAPACITY);
		assert_sound(f);
		adopted += f->adoption.connections;
	}
	g_assert_cmpuint(adopted, >, 200 * 250);
}

/* All entries point at random others, each as if it were whole but for that. */
static void test_tangled(struct fixture *f, const void *data)
{
	for (uint32_t i = 0; i < 500; i++)
		put(f, i);
	for (uint32_t i = 1; i < 1001; i++)
		flow_table_at(f->table, i)->pair = (uint32_t)g_test_rand_int_range(0, 1200);
	end(f);
	begin(f, CAPACITY);
	assert_sound(f);
}

/* ---- what is refused ---- */

/* The file cannot be adopted for that reason, and is begun anew. */
static void assert_begun_anew(struct fixture *f, uint32_t capacity, const char *why)
{
	if (f->table)
		end(f);
	begin(f, capacity);
	const struct flow_memory *memory = flow_table_memory(f->table);
	g_assert_false(memory->adopted);
	g_assert_nonnull(strstr(memory->refused, why));
	g_assert_cmpuint(flow_table_count(f->table), ==, 0);
	g_assert_cmpuint(flow_table_end(f->table), ==, 1);
	g_assert_null(flow_memory_nic_uid(memory, 1));
	assert_sound(f);
	name_nics(f);
	for (uint32_t i = 0; i < 50; i++)
		put(f, i);
}

static void test_refused(struct fixture *f, const void *data)
{
	put(f, 1);
	assert_begun_anew(f, 2 * CAPACITY, "it was made for 1000 connections, not 2000");
	flow_table_memory(f->table)->header->layout++;
	assert_begun_anew(f, 2 * CAPACITY, "another version wrote it");
	flow_table_memory(f->table)->header->version++;
	assert_begun_anew(f, 2 * CAPACITY, "another version wrote it");
	flow_table_memory(f->table)->header->high_water = 0;
	assert_begun_anew(f, 2 * CAPACITY, "damaged");
	flow_table_memory(f->table)->header->high_water = UINT32_MAX;
	assert_begun_anew(f, 2 * CAPACITY, "damaged");
	flow_table_memory(f->table)->header->magic = 0;
	assert_begun_anew(f, 2 * CAPACITY, "never finished");
	end(f);
	g_assert_cmpint(truncate(f->path, 100), ==, 0);
	assert_begun_anew(f, 2 * CAPACITY, "too short");
	end(f);
	g_assert_cmpint(truncate(f->path, 512 * 1024), ==, 0);
	assert_begun_anew(f, 2 * CAPACITY, "size");
}

static void assert_fails(const char *path, enum fault code)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(flow_memory_open(path, CAPACITY, &error));
	g_assert_error(error, FAULT, (int)code);
}

static void test_one_process(struct fixture *f, const void *data)
{
	assert_fails(f->path, FAULT_IN_USE);
	put(f, 1);
	end(f);
	begin(f, CAPACITY);
	g_assert_nonnull(find(f, 1, true));
}

static void test_place(struct fixture *f, const void *data)
{
	g_autofree char *link = g_strconcat(f->path, "-link", NULL);
	g_autofree char *disk = g_strdup_printf("/var/tmp/flow-memory-test-%d", (int)getpid());
	g_autofree char *nowhere = g_build_filename(f->path, "x", NULL);

	end(f);
	g_assert_cmpint(symlink(f->path, link), ==, 0);
	assert_fails(link, FAULT_UNAVAILABLE);
	g_unlink(link);
	assert_fails(nowhere, FAULT_UNAVAILABLE);
	g_assert_cmpint(g_chmod(f->path, 0644), ==, 0);
	assert_fails(f->path, FAULT_DENIED); /* others could have written it */
	assert_fails(disk, FAULT_INVALID);
	g_assert_false(g_file_test(disk, G_FILE_TEST_EXISTS)); /* and leaves nothing there */
}

static void test_forget(struct fixture *f, const void *data)
{
	put(f, 1);
	flow_memory_forget(flow_table_memory(f->table));
	g_assert_nonnull(put(f, 2)); /* it goes on as before */
	end(f);
	g_assert_false(g_file_test(f->path, G_FILE_TEST_EXISTS));
	begin(f, CAPACITY);
	g_assert_null(flow_table_memory(f->table)->refused);
	g_assert_cmpuint(flow_table_count(f->table), ==, 0);
}

static void test_state_dir(struct fixture *f, const void *data)
{
	g_autofree char *dir = g_dir_make_tmp("flow-memory-XXXXXX", NULL);
	g_autofree char *other = g_strconcat(dir, "/.", NULL);
	g_autoptr(GError) error = NULL;
	_cleanup_(flow_memory_free) struct flow_memory *memory =
		flow_memory_open_for(dir, CAPACITY, false, &error);
	struct stat st;

	g_assert_no_error(error);
	g_assert_true(g_str_has_prefix(memory->path, "/dev/shm/sluice-"));
	g_assert_true(g_str_has_suffix(memory->path, "-flows"));
	g_assert_cmpint(stat(memory->path, &st), ==, 0);
	g_assert_cmpuint(st.st_mode & 07777, ==, 0600);
	g_assert_null(flow_memory_open_for(other, CAPACITY, false, &error)); /* the same folder */
	g_assert_error(error, FAULT, FAULT_IN_USE);
	flow_memory_forget(memory);
	g_rmdir(dir);
}

static void test_places(struct fixture *f, const void *data)
{
	static const struct {
		const char *path, *says;
	} cases[] = {
		{"/proc/flows", "file system"},
		{"/dev/shm/nonexistent/flows", "/dev/shm/nonexistent: "},
		{"/dev/shm", "a folder"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;
		g_assert_false(flow_memory_check_place(cases[i].path, &error));
		g_assert_error(error, FAULT, FAULT_INVALID);
		g_assert_nonnull(strstr(error->message, cases[i].says));
	}
	g_assert_true(flow_memory_check_place(f->path, NULL));
}

/* A start that fails removes its own file, and no other that holds connections. */
static void test_forget_made(struct fixture *f, const void *data)
{
	end(f);
	for (unsigned known = 0; known < 2; known++) {
		if (!known)
			g_unlink(f->path);
		else
			flow_memory_free(flow_memory_open(f->path, CAPACITY, NULL));
		_cleanup_(flow_memory_free) struct flow_memory *memory =
			flow_memory_open(f->path, CAPACITY, NULL);
		g_assert_nonnull(memory);
		flow_memory_forget_made(memory);
		g_assert_cmpint(access(f->path, F_OK), ==, known ? 0 : -1);
	}
}

/* What was never used takes no memory. */
static void test_sparse(struct fixture *f, const void *data)
{
	struct stat st;

	end(f);
	g_unlink(f->path);
	begin(f, 2000000);
	name_nics(f);
	put(f, 1);
	g_assert_cmpint(stat(f->path, &st), ==, 0);
	g_assert_cmpint(st.st_size, >, 512000000);
	g_assert_cmpint(st.st_blocks * 512, <, 2000000);
}

/* With -m perf: what it costs at the size that a switch has. */
static void test_two_million(struct fixture *f, const void *data)
{
	const uint32_t n = 2000000;

	end(f);
	g_unlink(f->path);
	begin(f, n);
	name_nics(f);
	g_test_timer_start();
	for (uint32_t i = 0; i < n; i++)
		g_assert_nonnull(put(f, i));
	g_test_message("%.2f M connections a second put in, up to %u", n / 1e6 / g_test_timer_elapsed(), n);
	g_test_timer_start();
	end(f);
	g_test_message("%.0f ms to unmap", g_test_timer_elapsed() * 1000);
	g_test_timer_start();
	begin(f, n);
	g_test_message("%.0f ms to adopt %u connections", g_test_timer_elapsed() * 1000, n);
	g_assert_cmpuint(f->adoption.connections, ==, n);
	g_test_timer_start();
	for (uint32_t i = 0; i < n; i++)
		g_assert_true(flow_table_remove(f->table, find(f, i, false)));
	g_test_message("%.2f M connections a second found and removed", n / 1e6 / g_test_timer_elapsed());
	g_test_timer_start();
	for (uint32_t i = 0; i < n; i++)
		g_assert_nonnull(put(f, i));
	g_test_message("%.2f M connections a second put in again", n / 1e6 / g_test_timer_elapsed());
}

/* For an address that NICs share only answers come, and from outside. */
static void test_shared(struct fixture *f, const void *data)
{
	struct flow_half forward, reply;
	int error;

	halves(1, &forward, &reply);
	reply.key.nic = FLOW_NIC_SHARED;
	g_assert_nonnull(flow_table_put(f->table, &forward, &reply, EPOCH, 1000, &error));
	halves(2, &forward, &reply);
	reply.key.nic = FLOW_NIC_SHARED;
	reply.key.origin = FLOW_FROM_HOST;
	g_assert_nonnull(flow_table_put(f->table, &forward, &reply, EPOCH, 1000, &error));
	halves(3, &forward, &reply);
	forward.key.nic = FLOW_NIC_SHARED;
	forward.key.origin = FLOW_FROM_OUTSIDE;
	reply.key.origin = FLOW_FROM_NIC;
	g_assert_nonnull(flow_table_put(f->table, &forward, &reply, EPOCH, 1000, &error));
	end(f);
	begin(f, CAPACITY);
	g_assert_cmpuint(f->adoption.connections, ==, 1);
	g_assert_cmpuint(f->adoption.by_slot[1], ==, 1);
	g_assert_nonnull(find(f, 1, false));
	assert_sound(f);
}

#define ADD(name, fn) g_test_add("/flow memory/" name, struct fixture, NULL, setup, fn, teardown)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	if (access("/dev/shm", W_OK) < 0) {
		g_print("1..0 # SKIP there is no /dev/shm to write to\n");
		return 0;
	}
	ADD("answers for an address that NICs share are adopted, questions are not", test_shared);
	ADD("the next process finds every connection as it was", test_adopts);
	ADD("a NIC keeps its number, and who is gone leaves no connection", test_nics);
	ADD("what was half-written or damaged is dropped whole, and nothing else", test_half_written);
	ADD("a connection that was half replaced is there once", test_half_replaced);
	ADD("random damage leaves a sound table", test_garbage);
	ADD("entries that point anywhere leave a sound table", test_tangled);
	ADD("another layout, size or version is begun anew, with the reason", test_refused);
	ADD("two processes cannot have it at once", test_one_process);
	ADD("a file that is not ours alone, or on a disk, is refused", test_place);
	ADD("what is forgotten is gone with the process", test_forget);
	ADD("a state directory has a file of its own", test_state_dir);
	ADD("a place where it cannot be is told before it is opened", test_places);
	ADD("a start that fails removes the file that it made, and no other", test_forget_made);
	ADD("memory is taken as it is used", test_sparse);
	if (g_test_perf())
		ADD("two million connections", test_two_million);
	return g_test_run();
}
