/* DHCPv6 for NICs (RFC 8415): every NIC is told the addresses that it has in the state, for ever.
 *
 * There is no lease and so no state: the answer is a function of the NIC and the request. The first association
 * (IA_NA) of a message gets all of the NIC's IPv6 addresses; more associations, temporary addresses and
 * delegated prefixes get none. What a client says that it has and has not, it is told to drop. Clients speak to
 * all servers of their link by multicast and are answered from the gateway's link-local address; unicast to a
 * server is not offered. The server is the same one, by its DUID, wherever a NIC is.
 */
#include "switch/decide.h"
#include "switch/output.h"
#include "switch/respond/respond.h"
#include "switch/segmentation.h"
#include "switch/wire.h"

#include <errno.h>
#include <rte_mbuf.h>

#define DUID_MAX     130 /* RFC 8415, section 11.1 */
#define ASSOCIATIONS 8 /* of one message; a client with more is none of ours */
#define ADDRESSES    24 /* that fit into an answer beside all else; a NIC of more is told the first ones */

enum {
	SOLICIT = 1, /* RFC 8415, section 7.3 */
	ADVERTISE = 2,
	REQUEST = 3,
	CONFIRM = 4,
	RENEW = 5,
	REBIND = 6,
	REPLY = 7,
	RELEASE = 8,
	DECLINE = 9,
	INFORMATION_REQUEST = 11,

	HEADER_LEN = 4, /* type and transaction */
	OPTION_HEADER = 4,

	OPTION_CLIENT = 1, /* RFC 8415, section 21 */
	OPTION_SERVER = 2,
	OPTION_IA_NA = 3,
	OPTION_IA_TA = 4,
	OPTION_ADDRESS = 5,
	OPTION_PREFERENCE = 7,
	OPTION_STATUS = 13,
	OPTION_RAPID_COMMIT = 14,
	OPTION_DNS = 23, /* RFC 3646 */
	OPTION_IA_PD = 25,

	IA_LEN = 12, /* IAID, T1, T2; IA_TA has the IAID alone */
	IA_TA_LEN = 4,
	ADDRESS_LEN = 24, /* address, preferred and valid lifetime */

	STATUS_SUCCESS = 0,
	STATUS_NO_ADDRESSES = 2,
	STATUS_NO_BINDING = 3,
	STATUS_NOT_ON_LINK = 4,
	STATUS_NO_PREFIX = 6,
};

struct option {
	uint16_t code, length;
	const uint8_t *value;
};

/* What of a request matters. */
struct request {
	uint8_t type;
	struct option client, server; /* value is NULL: not given */
	bool rapid_commit;
	unsigned n_associations;
	struct option associations[ASSOCIATIONS]; /* IA_NA, IA_TA and IA_PD, in their order */
};

/* ---- the request ---- */

/* Takes the next option off [*at, end). False: there is none, or *ret_bad, half a one. */
static bool next_option(const uint8_t **at, const uint8_t *end, struct option *ret, bool *ret_bad)
{
	size_t left = (size_t)(end - *at);

	*ret_bad = false;
	if (left == 0)
		return false;
	*ret_bad = left < OPTION_HEADER || left - OPTION_HEADER < load16(*at + 2);
	if (*ret_bad)
		return false;
	*ret = (struct option){.code = load16(*at), .length = load16(*at + 2), .value = *at + OPTION_HEADER};
	*at += OPTION_HEADER + ret->length;
	return true;
}

/* The part of an association before its options. */
static uint16_t association_length(const struct option *association)
{
	return association->code == OPTION_IA_TA ? IA_TA_LEN : IA_LEN;
}

/* An identifier is there once and is one. */
static bool set_identifier(struct option *identifier, const struct option *option)
{
	bool good = !identifier->value && option->length > 2 && option->length <= DUID_MAX;

	*identifier = *option;
	return good;
}

static bool add_association(struct request *request, const struct option *option)
{
	if (request->n_associations == ASSOCIATIONS || option->length < association_length(option))
		return false;
	request->associations[request->n_associations++] = *option;
	return true;
}

static bool take_option(struct request *request, const struct option *option)
{
	switch (option->code) {
	case OPTION_CLIENT: return set_identifier(&request->client, option);
	case OPTION_SERVER: return set_identifier(&request->server, option);
	case OPTION_IA_NA:
	case OPTION_IA_TA:
	case OPTION_IA_PD: return add_association(request, option);
	case OPTION_RAPID_COMMIT: request->rapid_commit = true; return true;
	default: return true;
	}
}

static bool parse_request(const uint8_t *message, size_t length, struct request *ret)
{
	struct option option;
	bool bad;

	*ret = (struct request){};
	if (length < HEADER_LEN)
		return false;
	const uint8_t *at = message + HEADER_LEN, *end = message + length;
	ret->type = message[0];
	while (next_option(&at, end, &option, &bad))
		if (!take_option(ret, &option))
			return false;
	return !bad;
}

/* Our own: made of the gateway's MAC (DUID-LL). */
static void write_server(uint8_t duid[static 10])
{
	static const uint8_t link_layer_ethernet[4] = {0, 3, 0, 1};

	memcpy(duid, link_layer_ethernet, 4);
	memcpy(duid + 4, gateway_mac, 6);
}

static bool is_for_us(const struct request *request)
{
	uint8_t ours[10];

	write_server(ours);
	return request->server.length == sizeof ours && memcmp(request->server.value, ours, sizeof ours) == 0;
}

/* RFC 8415, section 16: which identifiers and associations a message has. 1: it is for us, 0: for another
 * server, -EBADMSG. */
static int check_request(const struct request *request)
{
	bool client = request->client.value, server = request->server.value;

	switch (request->type) {
	case SOLICIT:
	case CONFIRM:
	case REBIND: return client && !server ? 1 : -EBADMSG;
	case REQUEST:
	case RENEW:
	case RELEASE:
	case DECLINE: return client && server ? is_for_us(request) : -EBADMSG;
	case INFORMATION_REQUEST: return request->n_associations ? -EBADMSG : !server || is_for_us(request);
	default: return -EBADMSG;
	}
}

/* ---- the answer ---- */

struct writer {
	uint8_t *at, *end;
	bool full; /* something had no room */
};

/* Room for the option's value, or NULL. */
static uint8_t *put(struct writer *w, uint16_t option, size_t length)
{
	uint8_t *value = w->at + OPTION_HEADER;

	if (w->full || (size_t)(w->end - w->at) < OPTION_HEADER + length) {
		w->full = true;
		return NULL;
	}
	store16(w->at, option);
	store16(w->at + 2, (uint16_t)length);
	w->at += OPTION_HEADER + length;
	return value;
}

static void put_copy(struct writer *w, uint16_t option, const void *value, size_t length)
{
	uint8_t *at = put(w, option, length);

	if (at)
		memcpy(at, value, length);
}

static void put_status(struct writer *w, uint16_t status)
{
	uint8_t *at = put(w, OPTION_STATUS, 2);

	if (at)
		store16(at, status);
}

/* lifetime: in seconds, preferred and valid. */
static void put_address(struct writer *w, const uint8_t ip[16], uint32_t lifetime)
{
	uint8_t *at = put(w, OPTION_ADDRESS, ADDRESS_LEN);

	if (!at)
		return;
	memcpy(at, ip, 16);
	store32(at + 16, lifetime);
	store32(at + 20, lifetime);
}

static void put_dns(struct writer *w, const struct subnet *subnet)
{
	unsigned n = 0;

	for (unsigned i = 0; i < subnet->n_dns; i++)
		n += subnet->dns[i].family == IP_V6;
	uint8_t *at = n ? put(w, OPTION_DNS, 16 * (size_t)n) : NULL;
	for (unsigned i = 0; at && i < subnet->n_dns; i++) {
		if (subnet->dns[i].family == IP_V6) {
			memcpy(at, subnet->dns[i].bytes, 16);
			at += 16;
		}
	}
}

/* ---- associations ---- */

static struct ip_addr address_in(const struct option *option)
{
	struct ip_addr addr = {.family = IP_V6};

	memcpy(addr.bytes, option->value, 16);
	return addr;
}

/* The next address that the client says it has; like next_option. */
static bool next_address(const uint8_t **at, const uint8_t *end, struct ip_addr *ret, bool *ret_bad)
{
	struct option option;

	while (next_option(at, end, &option, ret_bad)) {
		if (option.code != OPTION_ADDRESS)
			continue;
		*ret_bad = option.length < ADDRESS_LEN;
		if (!*ret_bad)
			*ret = address_in(&option);
		return !*ret_bad;
	}
	return false;
}

struct claims {
	bool any, off_link, bad;
	bool others; /* some are not the NIC's */
};

/* What an association claims; where w is given, the client is told to drop what is not the NIC's. */
static void look_at_claims(
	const struct nic *nic, const struct option *association, struct claims *claims, struct writer *w)
{
	const uint8_t *at = association->value + association_length(association);
	const uint8_t *end = association->value + association->length;
	struct ip_addr addr;
	bool bad;

	while (next_address(&at, end, &addr, &bad)) {
		bool own = nic_find_address(nic, addr) != NULL;
		claims->any = true;
		claims->off_link |= !prefix_contains(nic->subnet->prefix6, addr);
		claims->others |= !own;
		if (w && !own)
			put_address(w, addr.bytes, 0);
	}
	claims->bad |= bad;
}

static void put_addresses(struct writer *w, const struct nic *nic)
{
	unsigned n = 0;

	for (unsigned i = 0; i < nic->n_addresses && n < ADDRESSES; i++) {
		if (nic->addresses[i].ip.family != IP_V6)
			continue;
		put_address(w, nic->addresses[i].ip.bytes, UINT32_MAX);
		n++;
	}
}

/* Why an association gets nothing. */
static uint16_t refusal(const struct request *request, uint16_t code)
{
	if (request->type == RENEW || request->type == REBIND)
		return STATUS_NO_BINDING;
	return code == OPTION_IA_PD ? STATUS_NO_PREFIX : STATUS_NO_ADDRESSES;
}

/* False when the client's own words in it cannot be read. */
static bool put_association(struct writer *w, const struct nic *nic, const struct request *request,
	const struct option *association, bool gets_addresses)
{
	uint8_t *start = w->at;
	uint8_t *head = put(w, association->code, association_length(association));
	struct claims claims = {};
	bool keeps = request->type == RENEW || request->type == REBIND;

	if (!head)
		return true; /* there is no room: w says so */
	memset(head, 0, association_length(association));
	memcpy(head, association->value, 4); /* its number */
	if (association->code == OPTION_IA_NA)
		look_at_claims(nic, association, &claims, keeps && gets_addresses ? w : NULL);
	if (!gets_addresses) {
		put_status(w, refusal(request, association->code));
	} else if (request->type == REQUEST && claims.off_link) {
		put_status(w, STATUS_NOT_ON_LINK);
	} else {
		store32(head + 4, UINT32_MAX); /* it need never come again, */
		store32(head + 8, UINT32_MAX); /* to this server or another */
		put_addresses(w, nic);
	}
	if (!w->full)
		store16(start + 2, (uint16_t)(w->at - start - OPTION_HEADER));
	return !claims.bad;
}

static bool put_associations(struct writer *w, const struct nic *nic, const struct request *request)
{
	bool left = nic_first_address(nic, IP_V6) != NULL; /* the addresses are nobody's yet */

	for (unsigned i = 0; i < request->n_associations; i++) {
		const struct option *association = &request->associations[i];
		bool gets = left && association->code == OPTION_IA_NA;
		left = left && !gets;
		if (!put_association(w, nic, request, association, gets))
			return false;
	}
	return true;
}

/* Whether what the client has is still its own. Returns 1, 0 when it has nothing (and gets no answer), -EBADMSG. */
static int put_confirmation(struct writer *w, const struct nic *nic, const struct request *request)
{
	struct claims claims = {};

	for (unsigned i = 0; i < request->n_associations; i++)
		if (request->associations[i].code != OPTION_IA_PD)
			look_at_claims(nic, &request->associations[i], &claims, NULL);
	if (claims.bad)
		return -EBADMSG;
	put_status(w, claims.others ? STATUS_NOT_ON_LINK : STATUS_SUCCESS);
	return claims.any;
}

/* ---- messages ---- */

/* Returns 1, 0 when no answer is due, -EBADMSG. */
static int put_body(struct writer *w, const struct nic *nic, const struct request *request, bool commits)
{
	static const uint8_t no_other = 255; /* the client need not wait for other servers' offers */

	switch (request->type) {
	case CONFIRM: return put_confirmation(w, nic, request);
	case RELEASE:
	case DECLINE: put_status(w, STATUS_SUCCESS); return 1;
	case INFORMATION_REQUEST: break;
	default:
		if (!put_associations(w, nic, request))
			return -EBADMSG;
		break;
	}
	if (commits)
		put(w, OPTION_RAPID_COMMIT, 0);
	else if (request->type == SOLICIT)
		put_copy(w, OPTION_PREFERENCE, &no_other, sizeof no_other);
	put_dns(w, nic->subnet);
	return 1;
}

int dhcp6_answer(
	const struct nic *nic, const uint8_t *message, size_t length, uint8_t ret[static DHCP6_MESSAGE_MAX])
{
	struct writer w = {.at = ret + HEADER_LEN, .end = ret + DHCP6_MESSAGE_MAX};
	struct request request;
	uint8_t server[10];

	if (!parse_request(message, length, &request))
		return -EBADMSG;
	int due = check_request(&request);
	if (due <= 0)
		return due;
	bool commits =
		request.type == SOLICIT && request.rapid_commit && nic_first_address(nic, IP_V6) != NULL;
	memcpy(ret, message, HEADER_LEN); /* the transaction */
	ret[0] = request.type == SOLICIT && !commits ? ADVERTISE : REPLY;
	if (request.client.value)
		put_copy(&w, OPTION_CLIENT, request.client.value, request.client.length);
	write_server(server);
	put_copy(&w, OPTION_SERVER, server, sizeof server);
	due = put_body(&w, nic, &request, commits);
	if (due <= 0)
		return due;
	return w.full ? -EBADMSG : (int)(w.at - ret);
}

/* ---- packets ---- */

void dhcp6_answer_look(const uint8_t *answer, size_t length, struct dhcp6_given *ret)
{
	const uint8_t *at = answer + HEADER_LEN, *end = answer + length;
	struct option option;
	struct ip_addr addr;
	bool bad;

	*ret = (struct dhcp6_given){.advertises = answer[0] == ADVERTISE};
	while (next_option(&at, end, &option, &bad)) {
		const uint8_t *inner = option.value + IA_LEN;
		while (option.code == OPTION_IA_NA &&
			next_address(&inner, option.value + option.length, &addr, &bad))
			if (ret->n++ == 0)
				ret->first = addr;
	}
}

bool dhcp6_is_request(const struct packet *parsed)
{
	static const uint8_t all_servers[16] = {0xff, 2, [13] = 1, [15] = 2}; /* ff02::1:2 */

	return parsed->kind == PACKET_FLOW && parsed->key.family == IP_V6 &&
	       parsed->key.protocol == PROTO_UDP && parsed->key.dport == htobe16(DHCP6_SERVER_PORT) &&
	       !(parsed->flags & PACKET_FRAGMENT_FIRST) &&
	       memcmp(parsed->key.dst, all_servers, sizeof all_servers) == 0;
}

enum drop dhcp6_answer_frame(const struct nic *nic, const struct packet *parsed, const uint8_t *frame,
	uint32_t available, uint8_t ret[static DHCP6_MESSAGE_MAX], int *ret_length)
{
	uint32_t start = parsed->l4 + UDP_LEN, end = parsed->l3 + parsed->l3_length;

	if (!reach_may_speak(nic, flow_key_source(&parsed->key)))
		return DROP_SPOOFED_IP;
	int length = end <= available && reply_udp_is_right(frame, parsed)
			     ? dhcp6_answer(nic, frame + start, end - start, ret)
			     : -EBADMSG;
	if (length < 0)
		return DROP_DHCP_MALFORMED;
	*ret_length = length;
	return DROP_NONE;
}

void dhcp6_from_nic(
	struct worker *worker, const struct nic *nic, const struct packet *parsed, struct rte_mbuf *packet)
{
	uint8_t *frame = rte_pktmbuf_mtod(packet, uint8_t *), answer[DHCP6_MESSAGE_MAX];
	int length = 0;

	if (segmentation_is_open(packet))
		segmentation_complete(packet);
	enum drop reason = dhcp6_answer_frame(nic, parsed, frame, packet->data_len, answer, &length);

	if (reason != DROP_NONE) {
		output_drop(worker, nic->id, reason, packet);
		return;
	}
	uint16_t datagram = (uint16_t)(UDP_LEN + length);
	if (length == 0) {
		rte_pktmbuf_free(packet); /* heard, and nothing to say */
		return;
	}
	if (!reply_resize(packet, (uint16_t)(ETH_LEN + IPV6_LEN + datagram))) {
		output_drop(worker, nic->id, DROP_NO_BUFFER, packet);
		return;
	}
	frame = rte_pktmbuf_mtod(packet, uint8_t *);
	uint8_t *udp = frame + ETH_LEN + IPV6_LEN;
	reply_write_ipv6(
		frame, nic->mac.bytes, gateway_link_local.bytes, parsed->key.src, PROTO_UDP, 64, datagram);
	store16(udp, DHCP6_SERVER_PORT);
	store16(udp + 2, DHCP6_CLIENT_PORT);
	store16(udp + UDP_LENGTH, datagram);
	memcpy(udp + UDP_LEN, answer, (size_t)length);
	reply_set_checksum6(udp - IPV6_LEN, udp + UDP_CHECK);
	output_nic(worker, nic, packet);
}
