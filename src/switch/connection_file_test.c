/* Files of connections: what is written is read, and what is not whole is refused with its reason. */
#include "switch/connection_file.h"

#include "base/fault.h"
#include "switch/wire.h"

#include <glib/gstdio.h>
#include <string.h>

#define HEADER 280 /* the places of connection_file.h */
#define RECORD 116
#define SUM    32
#define N      5u

struct fixture {
	char *folder, *path; /* Owned */
};

static struct connection_record record_of(unsigned i)
{
	struct connection_record record = {
		.own = {.family = i % 2 ? IP_V6 : IP_V4, .protocol = 6, .sport = (uint16_t)i, .dport = 80},
		.answers = i & 1,
		.blocked = i & 2,
		.age_s = 1000 + i,
		.sent = {.idle_ms = 10 + i, .tcp = 0xabc00110u + i, .packets = UINT64_MAX - i, .bytes = i},
		.received = {.idle_ms = 20 + i, .tcp = 0x12300210u + i, .packets = i, .bytes = 1ull << 40},
	};

	record.sent.carried = i % 3 == 0;
	record.received.carried = i % 3 == 1;

	memset(record.own.src, 10 + (int)i, i % 2 ? 16 : 4);
	memset(record.own.dst, 20 + (int)i, i % 2 ? 16 : 4);
	memcpy(record.alias, record.own.src, sizeof record.alias);
	if (i % 2 == 0)
		record.alias[0] = 203;
	if (!record.answers)
		memset(record.member, (int)i, sizeof record.member); /* of the first one: nobody */
	return record;
}

static void write_file(struct fixture *f, const struct connection_record *records, unsigned n)
{
	_cleanup_(connection_writer_free) struct connection_writer *writer = connection_writer_new("nic");

	for (unsigned i = 0; i < n; i++)
		connection_writer_add(writer, &records[i]);
	g_assert_cmpuint(connection_writer_count(writer), ==, n);
	g_assert_true(connection_writer_save(writer, f->path, NULL));
}

static void write_records(struct fixture *f)
{
	struct connection_record records[N];

	for (unsigned i = 0; i < N; i++)
		records[i] = record_of(i);
	write_file(f, records, N);
}

static void setup(struct fixture *f, const void *data)
{
	f->folder = g_dir_make_tmp("connections-XXXXXX", NULL);
	f->path = g_build_filename(f->folder, "nic", NULL);
	write_records(f);
}

static void teardown(struct fixture *f, const void *data)
{
	g_unlink(f->path);
	g_rmdir(f->folder);
	g_free(f->path);
	g_free(f->folder);
}

/* Opens it as NIC `uid`'s; the fault's words, or NULL. Owned by the caller. */
static char *refusal(const struct fixture *f, const char *uid, uint32_t max, enum fault code)
{
	g_autoptr(GError) error = NULL;
	_cleanup_(connection_reader_free) struct connection_reader *reader =
		connection_reader_open(f->path, uid, max, &error);

	g_assert_true(!reader == !!error);
	if (!error)
		return NULL;
	g_assert_error(error, FAULT, (int)code);
	return g_strdup(error->message);
}

static void expect_refused(const struct fixture *f, const char *words)
{
	g_autofree char *why = refusal(f, "nic", N, FAULT_INVALID);

	if (!why || !strstr(why, words))
		g_error("wanted \"%s\", got %s", words, why ? why : "nothing");
}

/* Changes bytes of the file, and its sum if it is to be right. */
static void edit(const struct fixture *f, gsize at, const void *bytes, gsize n, bool mend)
{
	g_autofree char *contents = NULL;
	gsize size, length = SUM;

	g_assert_true(g_file_get_contents(f->path, &contents, &size, NULL));
	memcpy(contents + at, bytes, n);
	if (mend) {
		g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
		g_checksum_update(sum, (const guchar *)contents, (gssize)(size - SUM));
		g_checksum_get_digest(sum, (guint8 *)contents + size - SUM, &length);
	}
	g_assert_true(g_file_set_contents(f->path, contents, (gssize)size, NULL));
}

static void assert_same_way(const struct connection_way *got, const struct connection_way *wanted)
{
	g_assert_cmpuint(got->idle_ms, ==, wanted->idle_ms);
	g_assert_cmphex(got->tcp, ==, wanted->tcp);
	g_assert_true(got->carried == wanted->carried);
	g_assert_cmpuint(got->packets, ==, wanted->packets);
	g_assert_cmpuint(got->bytes, ==, wanted->bytes);
}

static void test_same(struct fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	_cleanup_(connection_reader_free) struct connection_reader *reader =
		connection_reader_open(f->path, "nic", N, &error);
	struct connection_record got;
	GStatBuf st;

	g_assert_no_error(error);
	g_assert_cmpuint(connection_reader_count(reader), ==, N);
	for (unsigned i = 0; i < N; i++) {
		const struct connection_record wanted = record_of(i);
		connection_reader_get(reader, i, &got);
		g_assert_true(flow_key_equal(&got.own, &wanted.own));
		g_assert_cmpmem(got.alias, 16, wanted.alias, 16);
		g_assert_cmpmem(got.member, 6, wanted.member, 6);
		g_assert_true(got.answers == wanted.answers && got.blocked == wanted.blocked);
		g_assert_cmpuint(got.age_s, ==, wanted.age_s);
		assert_same_way(&got.sent, &wanted.sent);
		assert_same_way(&got.received, &wanted.received);
	}
	g_assert_cmpint(g_stat(f->path, &st), ==, 0);
	g_assert_cmpuint(st.st_mode & 0777, ==, 0600);
	g_assert_cmpuint((gsize)st.st_size, ==, HEADER + N * RECORD + SUM);
}

static void write_function(struct fixture *f, uint32_t ago_s)
{
	_cleanup_(connection_writer_free) struct connection_writer *writer = connection_writer_new("nic");

	connection_writer_note_function(writer, ago_s);
	g_assert_true(connection_writer_save(writer, f->path, NULL));
}

static void assert_function(const struct fixture *f, bool wanted, uint32_t wanted_s)
{
	_cleanup_(connection_reader_free) struct connection_reader *reader =
		connection_reader_open(f->path, "nic", N, NULL);
	uint32_t ago_s = 0;

	g_assert_nonnull(reader);
	g_assert_true(connection_reader_function(reader, &ago_s) == wanted);
	g_assert_cmpuint(ago_s, ==, wanted_s);
}

static void test_function(struct fixture *f, const void *data)
{
	static const uint32_t ago_s[] = {0, 1, 300, 7440};
	uint8_t too_long[4];

	assert_function(f, false, 0);
	for (unsigned i = 0; i < G_N_ELEMENTS(ago_s); i++) {
		write_function(f, ago_s[i]);
		assert_function(f, true, ago_s[i]);
	}
	store32(too_long, 7442);
	edit(f, 20, too_long, sizeof too_long, true);
	expect_refused(f, "active 7441 s ago");
	edit(f, 20, "\377\377\377\377", sizeof too_long, true);
	expect_refused(f, "which no switch writes");
}

static void test_none(struct fixture *f, const void *data)
{
	write_file(f, NULL, 0);
	g_assert_null(refusal(f, "nic", 0, FAULT_INTERNAL));
}

/* However much is missing. */
static void test_truncated(struct fixture *f, const void *data)
{
	g_autofree char *contents = NULL;
	gsize size;

	g_assert_true(g_file_get_contents(f->path, &contents, &size, NULL));
	for (gsize n = 0; n < size; n++) {
		g_assert_true(g_file_set_contents(f->path, contents, (gssize)n, NULL));
		expect_refused(f, n < HEADER + SUM ? "header" : "shorter");
	}
}

static void test_corrupted(struct fixture *f, const void *data)
{
	g_autofree char *contents = NULL;
	gsize size;

	g_assert_true(g_file_get_contents(f->path, &contents, &size, NULL));
	for (gsize at = HEADER; at < size; at += 7) {
		uint8_t byte = (uint8_t)~contents[at];
		edit(f, at, &byte, 1, false);
		expect_refused(f, "checksum");
		edit(f, at, contents + at, 1, false);
	}
	g_assert_null(refusal(f, "nic", N, FAULT_INTERNAL));
}

static void test_foreign(struct fixture *f, const void *data)
{
	uint8_t version[4];
	g_autofree char *other = refusal(f, "cin", N, FAULT_INVALID);

	g_assert_nonnull(strstr(other, "another NIC"));
	store32(version, 1);
	edit(f, 8, version, sizeof version, true);
	expect_refused(f, "version 1");
	edit(f, 0, "ELF", 3, true);
	expect_refused(f, "no file of connections");
}

static void test_large(struct fixture *f, const void *data)
{
	uint8_t count[4];
	g_autofree char *why = refusal(f, "nic", N - 1, FAULT_QUOTA);

	g_assert_nonnull(strstr(why, "larger"));
	store32(count, UINT32_MAX);
	edit(f, 16, count, sizeof count, true);
	expect_refused(f, "shorter");
}

/* What no switch writes, in a file that is whole. */
static void test_absurd(struct fixture *f, const void *data)
{
	static const struct {
		unsigned at;
		uint8_t byte;
	} edits[] = {
		{0, 5}, /* family */
		{2, 16}, /* flags */
		{3, 1},
		{1, 17}, /* UDP with TCP's word */
		{1, 47}, /* ports where there are none */
		{8 + 4, 1}, /* an IPv4 address of five bytes */
		{24 + 15, 1},
		{40 + 9, 1},
		{60, 1}, /* silent for longer than it is old */
		{84, 1},
		{114, 1},
		{115, 1},
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(edits); i++) {
		write_records(f);
		edit(f, HEADER + 4 * RECORD + edits[i].at, &edits[i].byte, 1, true);
		expect_refused(f, "record 4");
	}
	/* It may be 68 years old, and not silent for longer than a clock of 32 bits tells. */
	write_records(f);
	edit(f, HEADER + 4 * RECORD + 56, "\200", 1, true);
	g_assert_null(refusal(f, "nic", N, FAULT_INVALID));
	edit(f, HEADER + 4 * RECORD + 60, "\200", 1, true);
	expect_refused(f, "record 4");
	/* A load balancer leads what the NIC began. */
	write_records(f);
	edit(f, HEADER + RECORD + 108, "\1", 1, true);
	expect_refused(f, "record 1");
	/* IPv6 is never translated. */
	write_records(f);
	edit(f, HEADER + RECORD + 40, "\377", 1, true);
	expect_refused(f, "record 1");
}

#define ADD(name, fn) g_test_add("/connection file/" name, struct fixture, NULL, setup, fn, teardown)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("what is written is read", test_same);
	ADD("when the NIC's function was active is read, and not believed of just any time", test_function);
	ADD("a file of no connections is one", test_none);
	ADD("a file that ends early is refused", test_truncated);
	ADD("a file with a changed byte is refused", test_corrupted);
	ADD("files of others are refused", test_foreign);
	ADD("more than there is room for is refused", test_large);
	ADD("a record that no switch writes is refused", test_absurd);
	return g_test_run();
}
