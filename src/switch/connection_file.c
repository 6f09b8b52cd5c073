/* The file of a NIC's connections: see connection_file.h.
 *
 * How it works. Reading checks all before it gives anything: the size that the header promises, the sum, and each record
 * for what no switch writes. So whoever takes records in meets no bad one in the middle.
 */
#include "switch/connection_file.h"

#include "base/capacity.h"
#include "base/fault.h"
#include "switch/bypass.h"
#include "switch/wire.h"

#include <errno.h>
#include <glib/gstdio.h>

#define VERSION 5

enum {
	MAGIC_SIZE = 8,
	AT_VERSION = 8,
	AT_RECORD = 12,
	AT_COUNT = 16,
	AT_FUNCTION = 20,
	AT_UID = 24,
	UID_SIZE = TEXT_LENGTH_MAX + 1,
	HEADER_SIZE = AT_UID + UID_SIZE,

	AT_FAMILY = 0,
	AT_PROTOCOL = 1,
	AT_FLAGS = 2,
	AT_SPORT = 4,
	AT_DPORT = 6,
	AT_SRC = 8,
	AT_DST = 24,
	AT_ALIAS = 40,
	AT_AGE = 56,
	AT_SENT = 60,
	WAY_SIZE = 24,
	AT_RECEIVED = AT_SENT + WAY_SIZE,
	AT_MEMBER = AT_RECEIVED + WAY_SIZE,
	AT_END = AT_MEMBER + 6,
	RECORD_SIZE = AT_END + 2,

	FLAG_ANSWERS = 1 << 0,
	FLAG_BLOCKED = 1 << 1,
	FLAG_SENT_CARRIED = 1 << 2,
	FLAG_RECEIVED_CARRIED = 1 << 3,
	FLAGS_ALL = FLAG_ANSWERS | FLAG_BLOCKED | FLAG_SENT_CARRIED | FLAG_RECEIVED_CARRIED,

	SUM_SIZE = 32,
};
static const uint8_t magic[MAGIC_SIZE] = "SLUICECN";

struct connection_writer {
	GByteArray *bytes; /* Owned: the header, and the records so far */
};

struct connection_reader {
	char *contents; /* Owned, or NULL: the bytes are the caller's */
	const uint8_t *records;
	uint32_t count;
	uint32_t function; /* as in the header */
};

static void sum_of(const uint8_t *bytes, size_t size, uint8_t ret[SUM_SIZE])
{
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
	gsize length = SUM_SIZE;

	g_checksum_update(sum, bytes, (gssize)size);
	g_checksum_get_digest(sum, ret, &length);
}

static void store64(void *at, uint64_t v)
{
	v = htobe64(v);
	memcpy(at, &v, sizeof v);
}

static uint64_t load64(const void *at)
{
	uint64_t v;

	memcpy(&v, at, sizeof v);
	return be64toh(v);
}

/* ---- writing ---- */

struct connection_writer *connection_writer_new(const char *nic_uid)
{
	struct connection_writer *writer = g_new0(struct connection_writer, 1);
	uint8_t header[HEADER_SIZE] = {};

	memcpy(header, magic, sizeof magic);
	store32(header + AT_VERSION, VERSION);
	store32(header + AT_RECORD, RECORD_SIZE);
	g_strlcpy((char *)header + AT_UID, nic_uid, UID_SIZE);
	writer->bytes = g_byte_array_append(g_byte_array_new(), header, sizeof header);
	return writer;
}

void connection_writer_free(struct connection_writer *writer)
{
	if (!writer)
		return;
	g_byte_array_unref(writer->bytes);
	g_free(writer);
}

static void encode_way(uint8_t *at, const struct connection_way *way)
{
	store32(at, way->idle_ms);
	store32(at + 4, way->tcp);
	store64(at + 8, way->packets);
	store64(at + 16, way->bytes);
}

static uint8_t flags_of(const struct connection_record *record)
{
	return (uint8_t)((record->answers ? FLAG_ANSWERS : 0) | (record->blocked ? FLAG_BLOCKED : 0) |
			 (record->sent.carried ? FLAG_SENT_CARRIED : 0) |
			 (record->received.carried ? FLAG_RECEIVED_CARRIED : 0));
}

void connection_writer_add(struct connection_writer *writer, const struct connection_record *record)
{
	const struct flow_key *own = &record->own;
	uint8_t at[RECORD_SIZE] = {
		[AT_FAMILY] = own->family,
		[AT_PROTOCOL] = own->protocol,
		[AT_FLAGS] = flags_of(record),
	};

	memcpy(at + AT_SPORT, &own->sport, 2);
	memcpy(at + AT_DPORT, &own->dport, 2);
	memcpy(at + AT_SRC, own->src, 16);
	memcpy(at + AT_DST, own->dst, 16);
	memcpy(at + AT_ALIAS, record->alias, 16);
	store32(at + AT_AGE, record->age_s);
	encode_way(at + AT_SENT, &record->sent);
	encode_way(at + AT_RECEIVED, &record->received);
	memcpy(at + AT_MEMBER, record->member, sizeof record->member);
	g_byte_array_append(writer->bytes, at, sizeof at);
}

void connection_writer_note_function(struct connection_writer *writer, uint32_t ago_s)
{
	g_assert(ago_s <= BYPASS_TAKE_UP_S);
	store32(writer->bytes->data + AT_FUNCTION, ago_s + 1);
}

unsigned connection_writer_count(const struct connection_writer *writer)
{
	return (writer->bytes->len - HEADER_SIZE) / RECORD_SIZE;
}

bool connection_writer_save(struct connection_writer *writer, const char *path, GError **error)
{
	GByteArray *bytes = writer->bytes;
	g_autoptr(GError) cause = NULL;
	uint8_t sum[SUM_SIZE];

	store32(bytes->data + AT_COUNT, connection_writer_count(writer));
	sum_of(bytes->data, bytes->len, sum);
	g_byte_array_append(bytes, sum, sizeof sum);
	bool saved = g_file_set_contents_full(
		path, (const char *)bytes->data, bytes->len, G_FILE_SET_CONTENTS_CONSISTENT, 0600, &cause);
	g_byte_array_set_size(bytes, bytes->len - SUM_SIZE);
	return saved || fault_set(error, FAULT_UNAVAILABLE, "cannot write connections: %s", cause->message);
}

/* ---- reading ---- */

static void decode_way(const uint8_t *at, bool carried, struct connection_way *ret)
{
	*ret = (struct connection_way){
		.idle_ms = load32(at),
		.tcp = load32(at + 4),
		.carried = carried,
		.packets = load64(at + 8),
		.bytes = load64(at + 16),
	};
}

static void decode_record(const uint8_t *at, struct connection_record *ret)
{
	*ret = (struct connection_record){
		.own = {.family = at[AT_FAMILY], .protocol = at[AT_PROTOCOL]},
		.answers = at[AT_FLAGS] & FLAG_ANSWERS,
		.blocked = at[AT_FLAGS] & FLAG_BLOCKED,
		.age_s = load32(at + AT_AGE),
	};
	memcpy(&ret->own.sport, at + AT_SPORT, 2);
	memcpy(&ret->own.dport, at + AT_DPORT, 2);
	memcpy(ret->own.src, at + AT_SRC, 16);
	memcpy(ret->own.dst, at + AT_DST, 16);
	memcpy(ret->alias, at + AT_ALIAS, 16);
	decode_way(at + AT_SENT, at[AT_FLAGS] & FLAG_SENT_CARRIED, &ret->sent);
	decode_way(at + AT_RECEIVED, at[AT_FLAGS] & FLAG_RECEIVED_CARRIED, &ret->received);
	memcpy(ret->member, at + AT_MEMBER, sizeof ret->member);
}

static bool is_address(uint8_t family, const uint8_t bytes[16])
{
	static const uint8_t zero[12];

	return family == IP_V6 || (family == IP_V4 && memcmp(bytes + 4, zero, sizeof zero) == 0);
}

static bool is_way(const struct connection_record *record, const struct connection_way *way)
{
	return way->idle_ms <= CONNECTION_IDLE_MAX && way->idle_ms / 1000 <= record->age_s &&
	       (record->own.protocol == PROTO_TCP || way->tcp == 0);
}

/* Whether there may be something in the places of its ports: ICMP's are its identifier, type and code. */
static bool uses_ports(const struct flow_key *key)
{
	return flow_key_has_ports(key) || key->protocol == PROTO_ICMP || key->protocol == PROTO_ICMPV6;
}

/* Whether a switch may have written it. What it says may still be untrue: policy judges that. */
static bool is_record(const uint8_t *at)
{
	struct connection_record record;
	const struct flow_key *own = &record.own;

	decode_record(at, &record);
	return !(at[AT_FLAGS] & ~FLAGS_ALL) && !at[AT_FLAGS + 1] && !at[AT_END] && !at[AT_END + 1] &&
	       !(record.answers && connection_record_is_led(&record)) && is_address(own->family, own->src) &&
	       is_address(own->family, own->dst) && is_address(own->family, record.alias) &&
	       (own->family == IP_V4 || memcmp(own->src, record.alias, sizeof record.alias) == 0) &&
	       (uses_ports(own) || (!own->sport && !own->dport)) && is_way(&record, &record.sent) &&
	       is_way(&record, &record.received);
}

/* What is wrong with the header, or NULL. */
static char *check_header(const uint8_t *bytes, size_t size, const char *nic_uid)
{
	char uid[UID_SIZE] = {};

	g_strlcpy(uid, nic_uid, sizeof uid);
	if (size < HEADER_SIZE + SUM_SIZE || memcmp(bytes, magic, sizeof magic) != 0)
		return g_strdup("it is no file of connections, or ends within its header");
	if (load32(bytes + AT_VERSION) != VERSION || load32(bytes + AT_RECORD) != RECORD_SIZE)
		return g_strdup_printf("it is of version %u with records of %u bytes, and this switch reads "
				       "version %u with %u; let both hosts run the same release",
			load32(bytes + AT_VERSION), load32(bytes + AT_RECORD), VERSION, RECORD_SIZE);
	if (size != HEADER_SIZE + (uint64_t)load32(bytes + AT_COUNT) * RECORD_SIZE + SUM_SIZE)
		return g_strdup("it is longer or shorter than its header says; copy it again");
	if (memcmp(bytes + AT_UID, uid, sizeof uid) != 0)
		return g_strdup("it is of another NIC");
	return NULL;
}

/* The same of the whole. */
static char *check(const uint8_t *bytes, size_t size, const char *nic_uid)
{
	char *wrong = check_header(bytes, size, nic_uid);
	uint8_t sum[SUM_SIZE];

	if (wrong)
		return wrong;
	sum_of(bytes, size - SUM_SIZE, sum);
	if (memcmp(sum, bytes + size - SUM_SIZE, SUM_SIZE) != 0)
		return g_strdup("its checksum is wrong; copy it again");
	if (load32(bytes + AT_FUNCTION) > BYPASS_TAKE_UP_S + 1)
		return g_strdup_printf("it has the NIC's function active %u s ago, which no switch writes",
			load32(bytes + AT_FUNCTION) - 1);
	for (uint32_t i = 0; i < load32(bytes + AT_COUNT); i++)
		if (!is_record(bytes + HEADER_SIZE + (size_t)i * RECORD_SIZE))
			return g_strdup_printf("its record %u is none that a switch writes", i);
	return NULL;
}

struct connection_reader *connection_reader_new(
	const uint8_t *bytes, size_t size, const char *nic_uid, uint32_t max, GError **error)
{
	g_autofree char *wrong = check(bytes, size, nic_uid);

	if (wrong) {
		fault_set(error, FAULT_INVALID, "the connections of NIC %s cannot be taken in: %s", nic_uid,
			wrong);
		return NULL;
	}
	uint32_t count = load32(bytes + AT_COUNT);
	if (count > max) {
		fault_set(error, FAULT_QUOTA,
			"the %u connections of NIC %s are more than the %u that this switch has room for; "
			"start it with more (--connections)",
			count, nic_uid, max);
		return NULL;
	}
	struct connection_reader *reader = g_new0(struct connection_reader, 1);
	reader->records = bytes + HEADER_SIZE;
	reader->count = count;
	reader->function = load32(bytes + AT_FUNCTION);
	return reader;
}

/* What is too large is not read. */
static bool check_size(const char *path, uint32_t max, GError **error)
{
	GStatBuf st;

	if (g_stat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return fault_set(error, FAULT_NOT_FOUND, "cannot read connections from %s: %s", path,
			errno ? g_strerror(errno) : "it is no regular file");
	return (uint64_t)st.st_size <= HEADER_SIZE + (uint64_t)max * RECORD_SIZE + SUM_SIZE ||
	       fault_set(error, FAULT_QUOTA,
		       "%s is larger than a file of the %u connections that this switch has room for", path,
		       max);
}

struct connection_reader *connection_reader_open(
	const char *path, const char *nic_uid, uint32_t max, GError **error)
{
	g_autofree char *contents = NULL;
	g_autoptr(GError) cause = NULL;
	gsize size;

	errno = 0;
	if (!check_size(path, max, error))
		return NULL;
	if (!g_file_get_contents(path, &contents, &size, &cause)) {
		fault_set(error, FAULT_NOT_FOUND, "cannot read connections: %s", cause->message);
		return NULL;
	}
	struct connection_reader *reader =
		connection_reader_new((const uint8_t *)contents, size, nic_uid, max, error);
	if (reader)
		reader->contents = g_steal_pointer(&contents);
	return reader;
}

void connection_reader_free(struct connection_reader *reader)
{
	if (!reader)
		return;
	g_free(reader->contents);
	g_free(reader);
}

bool connection_reader_function(const struct connection_reader *reader, uint32_t *ret_ago_s)
{
	if (reader->function == 0)
		return false;
	*ret_ago_s = reader->function - 1;
	return true;
}

unsigned connection_reader_count(const struct connection_reader *reader)
{
	return reader->count;
}

void connection_reader_get(const struct connection_reader *reader, unsigned i, struct connection_record *ret)
{
	g_assert(i < reader->count);
	decode_record(reader->records + (size_t)i * RECORD_SIZE, ret);
}
