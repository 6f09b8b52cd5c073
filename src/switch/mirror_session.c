/* The operator's side of a mirror: see mirror_session.h. */
#include "switch/mirror_session.h"

#include "base/fault.h"
#include "base/log.h"
#include "switch/decode.h"
#include "switch/lookup.h"
#include "switch/packet_words.h"
#include "switch/parse.h"

#define READ_PACKETS     256 /* in one answer, unless the call says */
#define READ_PACKETS_MAX 1024
#define READ_BYTES       (4u * 1024 * 1024) /* in one answer, or one packet */

struct mirror_session {
	struct datapath *datapath; /* Borrowed */
	struct mirror *mirror; /* Owned; NULL: none */
	char *nic, *nic_name; /* Owned; the uid is in the log, the name is what its reader knows */
	uint32_t id; /* of the present mirror, or of the last */
	int64_t read_us; /* when it was last read */
	struct mirror_counters past; /* of mirrors that have ended */
};

struct mirror_session *mirror_session_new(struct datapath *datapath)
{
	struct mirror_session *session = g_new0(struct mirror_session, 1);

	session->datapath = datapath;
	return session;
}

struct mirror_counters mirror_session_counters(const struct mirror_session *session)
{
	struct mirror_counters sum = session->past;

	if (session->mirror) {
		const struct mirror_counters now = mirror_counters_sum(session->mirror);
		sum.wanted += now.wanted;
		sum.limited += now.limited;
		sum.overrun += now.overrun;
	}
	return sum;
}

static void end(struct mirror_session *session)
{
	if (!session->mirror)
		return;
	session->past = mirror_session_counters(session);
	datapath_set_mirror(session->datapath, NULL);
	g_clear_pointer(&session->mirror, mirror_free);
	g_clear_pointer(&session->nic, g_free);
	g_clear_pointer(&session->nic_name, g_free);
}

void mirror_session_free(struct mirror_session *session)
{
	if (!session)
		return;
	end(session);
	g_free(session);
}

void mirror_session_tick(struct mirror_session *session, int64_t now_us)
{
	if (!session->mirror || now_us - session->read_us < MIRROR_IDLE_S * G_USEC_PER_SEC)
		return;
	log_info(session->nic, "its mirror ends: nobody has read it for %d s", MIRROR_IDLE_S);
	end(session);
}

/* ---- start ---- */

struct start {
	const char *nic, *flow; /* Borrowed; flow: NULL when not given */
	struct mirror_config config;
};

static bool decode_snaplen(struct decode *d, json_t *value, void *to)
{
	int64_t snaplen = 0;

	if (!decode_whole(d, value, 64, MIRROR_SNAPLEN_MAX, &snaplen))
		return false;
	*(uint32_t *)to = (uint32_t)snaplen;
	return true;
}

static bool decode_rate(struct decode *d, json_t *value, void *to)
{
	int64_t rate = 0;

	if (!decode_whole(d, value, 10, MIRROR_RATE_MAX, &rate))
		return false;
	*(uint32_t *)to = (uint32_t)rate;
	return true;
}

static const struct decode_member start_members[] = {
	{"nic", decode_word, offsetof(struct start, nic)},
	{"flow", decode_word, offsetof(struct start, flow), .optional = true},
	{"protocol", flow_filter_decode_protocol, offsetof(struct start, config.filter.protocol),
		.optional = true},
	{"address", flow_filter_decode_address, offsetof(struct start, config.filter), .optional = true},
	{"port", flow_filter_decode_port, offsetof(struct start, config.filter), .optional = true},
	{"snaplen", decode_snaplen, offsetof(struct start, config.snaplen), .optional = true},
	{"rate", decode_rate, offsetof(struct start, config.rate), .optional = true},
	{},
};

/* "tcp 192.168.1.4:1234 > 10.0.0.5:22", as for trace, without a direction: both are meant. */
static bool parse_flow(const char *text, struct flow_key *ret, GError **error)
{
	g_autofree char *packet = g_strdup_printf("out %s", text);
	uint8_t frame[PACKET_WORDS_FRAME];
	struct packet_words words;
	struct packet parsed;

	if (!packet_words_parse(packet, &words, error)) {
		g_prefix_error(error, "flow: ");
		return false;
	}
	uint32_t length = packet_words_build(&words, frame);
	parse_frame(frame, MIN(length, PACKET_WORDS_FRAME), length, &parsed);
	*ret = parsed.key;
	return parsed.kind == PACKET_FLOW ||
	       fault_set(error, FAULT_INVALID, "flow: '%s' is not a packet that a connection has", text);
}

/* Makes the address the one that the NIC's port has: its public one is translated behind the port, and so is one
 * that it shares, of which nothing says whose it is. */
static bool translate(const struct nic *nic, struct ip_addr *addr, GError **error)
{
	const struct nic_address *own = nic_find_public(nic, *addr);
	char text[IP_TEXT_MAX];

	if (own)
		*addr = own->ip;
	return addr->family != IP_V4 || !network_shares(nic->network, addr->bytes) ||
	       fault_set(error, FAULT_INVALID,
		       "%s is shared by NICs without a public address, outside only; copies are made at the "
		       "port of %s, where it is the private address: give that",
		       ip_format(*addr, text), nic->name);
}

static bool translate_filter(const struct nic *nic, struct flow_filter *filter, GError **error)
{
	unsigned whole = filter->prefix.addr.family == IP_V4 ? 32 : 128;

	return filter->prefix.length != whole || translate(nic, &filter->prefix.addr, error);
}

static bool translate_flow(const struct nic *nic, struct flow_key *flow, GError **error)
{
	struct ip_addr src = flow_key_source(flow), dst = flow_key_destination(flow);

	if (!translate(nic, &src, error) || !translate(nic, &dst, error))
		return false;
	memcpy(flow->src, src.bytes, sizeof flow->src);
	memcpy(flow->dst, dst.bytes, sizeof flow->dst);
	return true;
}

static bool decode_start(const struct snapshot *snapshot, json_t *params, struct start *ret,
	const struct nic **ret_nic, GError **error)
{
	*ret = (struct start){
		.config = {.filter = flow_filter_any(), .snaplen = MIRROR_SNAPLEN, .rate = MIRROR_RATE}};
	if (!decode_params(params, start_members, ret, error))
		return false;
	const struct nic *nic = lookup_nic(snapshot, ret->nic, error);
	if (!nic || (ret->flow && !parse_flow(ret->flow, &ret->config.flow, error)))
		return false;
	ret->config.nic = nic->id;
	ret->config.has_flow = ret->flow != NULL;
	if (!translate_filter(nic, &ret->config.filter, error) ||
		(ret->flow && !translate_flow(nic, &ret->config.flow, error)))
		return false;
	*ret_nic = nic;
	return true;
}

json_t *mirror_session_start(struct mirror_session *session, json_t *params, GError **error)
{
	const struct nic *nic = NULL;
	struct start start;

	if (!decode_start(datapath_snapshot(session->datapath), params, &start, &nic, error))
		return NULL;
	if (session->mirror) {
		fault_set(error, FAULT_BUSY,
			"NIC %s is being mirrored, and one mirror runs at a time; it ends when its reader "
			"stops "
			"it, or %d s after the reader went away",
			session->nic_name, MIRROR_IDLE_S);
		return NULL;
	}
	session->mirror = mirror_new(&start.config, session->datapath->limits.workers);
	session->nic = g_strdup(nic->uid);
	session->nic_name = g_strdup(nic->name);
	session->id++;
	session->read_us = g_get_monotonic_time();
	datapath_set_mirror(session->datapath, session->mirror);
	return json_pack("{s:I, s:s, s:s, s:I, s:I}", "mirror", (json_int_t)session->id, "nic", nic->uid,
		"nic_name", nic->name, "snaplen", (json_int_t)start.config.snaplen, "rate",
		(json_int_t)start.config.rate);
}

/* ---- read and stop ---- */

struct read {
	int64_t mirror;
	int64_t limit;
};

static bool decode_id(struct decode *d, json_t *value, void *to)
{
	return decode_whole(d, value, 1, UINT32_MAX, to);
}

static bool decode_limit(struct decode *d, json_t *value, void *to)
{
	return decode_whole(d, value, 1, READ_PACKETS_MAX, to);
}

static const struct decode_member read_members[] = {
	{"mirror", decode_id, offsetof(struct read, mirror)},
	{"limit", decode_limit, offsetof(struct read, limit), .optional = true},
	{},
};

static bool find_mirror(
	const struct mirror_session *session, json_t *params, struct read *ret, GError **error)
{
	*ret = (struct read){.limit = READ_PACKETS};
	if (!decode_params(params, read_members, ret, error))
		return false;
	if (!session->mirror || session->id != ret->mirror)
		return fault_set(error, FAULT_NOT_FOUND, "mirror %d has ended", (int)ret->mirror);
	return true;
}

static json_t *encode_packet(const struct mirror_packet *packet)
{
	g_autofree char *data = g_base64_encode(packet->bytes, packet->captured);

	return json_pack("{s:I, s:s, s:s, s:I, s:s}", "time_ns", (json_int_t)packet->time_ns, "direction",
		packet->direction == MIRROR_RECEIVED ? "rx" : "tx", "attachment",
		packet->attachment == ATTACHMENT_SYNTHETIC ? "synthetic" : "function", "length",
		(json_int_t)packet->length, "data", data);
}

/* The lane with the oldest packet, or -1 when all are empty. */
static int oldest_lane(const struct mirror_session *session)
{
	uint64_t oldest = UINT64_MAX;
	int found = -1;

	for (unsigned i = 0; i < session->datapath->limits.workers; i++) {
		const struct mirror_packet *packet = mirror_peek(session->mirror, i);
		if (packet && packet->time_ns < oldest) {
			oldest = packet->time_ns;
			found = (int)i;
		}
	}
	return found;
}

static json_t *take_packets(struct mirror_session *session, int64_t limit)
{
	json_t *list = json_array();
	size_t bytes = 0;
	int lane;

	while ((int64_t)json_array_size(list) < limit && bytes < READ_BYTES &&
		(lane = oldest_lane(session)) >= 0) {
		const struct mirror_packet *packet = mirror_peek(session->mirror, (unsigned)lane);
		bytes += packet->captured;
		json_array_append_new(list, encode_packet(packet));
		mirror_pop(session->mirror, (unsigned)lane);
	}
	return list;
}

/* With the counters of the present mirror. */
static void add_counters(const struct mirror_session *session, json_t *object)
{
	const struct mirror_counters counters = mirror_counters_sum(session->mirror);

	json_object_set_new(object, "wanted", json_integer((json_int_t)counters.wanted));
	json_object_set_new(object, "limited", json_integer((json_int_t)counters.limited));
	json_object_set_new(object, "overrun", json_integer((json_int_t)counters.overrun));
}

json_t *mirror_session_read(struct mirror_session *session, json_t *params, GError **error)
{
	struct read read;

	if (!find_mirror(session, params, &read, error))
		return NULL;
	const struct snapshot *snapshot = datapath_snapshot(session->datapath);
	bool present = snapshot_nic(snapshot, mirror_config_of(session->mirror)->nic) != NULL;
	json_t *object =
		json_pack("{s:o, s:b}", "packets", take_packets(session, read.limit), "present", present);
	session->read_us = g_get_monotonic_time();
	add_counters(session, object);
	return object;
}

json_t *mirror_session_stop(struct mirror_session *session, json_t *params, GError **error)
{
	struct read read;

	if (!find_mirror(session, params, &read, error))
		return NULL;
	json_t *object = json_object();
	add_counters(session, object);
	end(session);
	return object;
}
