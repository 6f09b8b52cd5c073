/* Fuzz target: adoption of the connections that another process left. The bytes are damage to a good file:
 *
 *   DAMAGE = PLACE OFFSET(2) LENGTH(1) BYTES    PLACE & 3: 0 the header, 1 the NICs in it, 2 the entries, where BYTES go
 *                                               3: the file ends OFFSET * LENGTH bytes behind its beginning
 *
 * Whatever is adopted is whole, and all the rest can be used.
 */
#include "fuzz.h"

#include "switch/flow_table.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <rte_rcu_qsbr.h>
#include <string.h>
#include <unistd.h>

#define CAPACITY    16u
#define CONNECTIONS 9u
#define NICS        2u
#define EPOCH       7u
#define DAMAGES     32 /* of one input; more are not looked at */

static struct {
	char *path, *file;
	gsize size;
	struct rte_rcu_qsbr *readers;
} good;

static uint32_t number_of(unsigned nic)
{
	return (3u + nic) << 16 | nic;
}

static struct flow_half forward_of(uint32_t i)
{
	struct flow_half half = {
		.key = {.family = IP_V4, .protocol = 17, .nic = number_of(i % NICS), .sport = (uint16_t)i}};

	memcpy(half.key.src, &i, sizeof i);
	return half;
}

static struct flow *put(struct flow_table *table, uint32_t i)
{
	struct flow_half forward = forward_of(i), reply = {.key = flow_key_reverse(&forward.key)};
	int error;

	reply.key.origin = FLOW_FROM_OUTSIDE;
	return flow_table_put(table, &forward, &reply, EPOCH, 1000, &error);
}

/* ---- a good file, and damage to it ---- */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	g_autoptr(GError) error = NULL;

	good.path = g_strdup_printf("/dev/shm/fuzz-flow-memory-%d", (int)getpid());
	good.readers = g_aligned_alloc0(1, rte_rcu_qsbr_get_memsize(2), 64);
	rte_rcu_qsbr_init(good.readers, 2);
	struct flow_memory *memory = flow_memory_open(good.path, CAPACITY, &error);
	g_assert_no_error(error);
	struct flow_table *table = flow_table_new(memory, good.readers);
	for (unsigned i = 0; i < NICS; i++)
		flow_memory_set_nic(memory, i, number_of(i), i ? "nic-1" : "nic-0");
	memory->header->epoch = EPOCH;
	for (unsigned i = 0; i < CONNECTIONS; i++)
		g_assert_nonnull(put(table, i));
	flow_table_free(table);
	g_file_get_contents(good.path, &good.file, &good.size, &error);
	g_assert_no_error(error);
	g_unlink(good.path);
	return 0;
}

static void damage(char *file, gsize *size, const uint8_t *data, const uint8_t *end)
{
	const gsize entries = (sizeof(struct flow_header) + 4095) / 4096 * 4096;
	const gsize starts[] = {0, offsetof(struct flow_header, nics), MIN(entries, good.size)};
	const gsize used[] = {
		offsetof(struct flow_header, nics),
		NICS * sizeof(struct flow_memory_nic),
		MIN(2 * (CONNECTIONS + 1) * sizeof(struct flow), good.size - starts[2]),
	};

	for (unsigned i = 0; i < DAMAGES && end - data >= 4; i++) {
		unsigned place = data[0] & 3, offset = data[1] << 8 | data[2], length = data[3];
		data += 4;
		if (place == 3) {
			*size = MIN(*size, offset * length);
			continue;
		}
		length = (unsigned)MIN((ptrdiff_t)length, end - data);
		gsize at = starts[place] + offset % MAX(used[place], 1);
		memcpy(file + at, data, MIN(length, good.size - at));
		data += length;
	}
}

static void write_file(const char *file, gsize size)
{
	int fd = open(good.path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

	g_assert_cmpint(fd, >=, 0);
	g_assert_cmpint(write(fd, file, size), ==, (ssize_t)size);
	close(fd);
}

/* ---- what the next process has ---- */

static void assert_sound(struct flow_table *table, uint32_t adopted)
{
	uint32_t live = 0, room = flow_table_capacity(table) - flow_table_count(table);

	for (uint32_t i = 1; i < flow_table_end(table); i++) {
		struct flow *flow = flow_table_at(table, i);
		g_assert_cmpuint(flow->seq & 1, ==, 0);
		if (!flow->live)
			continue;
		struct flow *pair = flow_table_pair(table, flow);
		live++;
		g_assert_true(pair->live && pair->reply != flow->reply);
		g_assert_true(flow_table_pair(table, pair) == flow);
		g_assert_true(flow_table_find(table, &flow->key) == flow);
	}
	g_assert_cmpuint(live, ==, 2 * flow_table_count(table));
	g_assert_cmpuint(flow_table_count(table), ==, adopted);
	for (uint32_t i = 0; i < room; i++)
		g_assert_nonnull(put(table, 1000000 + i));
	g_assert_null(put(table, 999999));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree char *file = g_memdup2(good.file, good.size);
	g_autoptr(GError) error = NULL;
	struct flow_adoption adoption = {};
	gsize file_size = good.size;

	damage(file, &file_size, data, data + size);
	write_file(file, file_size);
	struct flow_memory *memory = flow_memory_open(good.path, CAPACITY, &error);
	g_unlink(good.path);
	g_assert_no_error(error);
	g_assert_cmpuint(memory->connections, ==, CAPACITY);
	bool adopted = memory->adopted;
	g_assert_true(!adopted || !memory->refused);
	for (unsigned slot = 0; slot < NIC_SLOTS; slot++) {
		const char *uid = flow_memory_nic_uid(memory, slot);
		g_assert_true(!uid || strlen(uid) <= TEXT_LENGTH_MAX);
	}
	struct flow_table *table = flow_table_new(memory, good.readers);
	g_assert_nonnull(table);
	if (adopted)
		flow_table_adopt(table, &adoption);
	if (size == 0)
		g_assert_cmpuint(adoption.connections, ==, CONNECTIONS);
	assert_sound(table, adoption.connections);
	flow_table_free(table);
	return 0;
}
