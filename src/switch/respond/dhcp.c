/* DHCP for NICs (RFC 2131): every NIC is told the address that it has in the state, for ever.
 *
 * There is no lease and so no state: the answer is a function of the NIC and the request. The server calls
 * itself by the gateway's address, so that renewals, which are unicast, come here too.
 */
#include "switch/checksum.h"
#include "switch/decide.h"
#include "switch/output.h"
#include "switch/respond/respond.h"
#include "switch/segmentation.h"
#include "switch/wire.h"

#include <errno.h>
#include <rte_mbuf.h>

enum {
	BOOTP_OP = 0, /* RFC 951 and RFC 2131, figure 1 */
	BOOTP_HTYPE = 1,
	BOOTP_HLEN = 2,
	BOOTP_XID = 4,
	BOOTP_FLAGS = 10,
	BOOTP_CIADDR = 12,
	BOOTP_YIADDR = 16,
	BOOTP_GIADDR = 24,
	BOOTP_CHADDR = 28,
	BOOTP_COOKIE = 236,
	BOOTP_OPTIONS = 240,
	BOOTP_MIN = 300,

	BOOTREQUEST = 1,
	BOOTREPLY = 2,
	BROADCAST_FLAG = 0x8000,

	OPTION_PAD = 0, /* RFC 2132 */
	OPTION_MASK = 1,
	OPTION_ROUTER = 3,
	OPTION_DNS = 6,
	OPTION_HOSTNAME = 12,
	OPTION_MTU = 26,
	OPTION_REQUESTED = 50,
	OPTION_LEASE = 51,
	OPTION_TYPE = 53,
	OPTION_SERVER = 54,
	OPTION_ROUTES = 121, /* RFC 3442 */
	OPTION_END = 255,

	DHCPDISCOVER = 1,
	DHCPOFFER = 2,
	DHCPREQUEST = 3,
	DHCPACK = 5,
	DHCPNAK = 6,
	DHCPINFORM = 8,
};

static const uint8_t cookie[4] = {99, 130, 83, 99};
static const uint8_t zero_ip[4];

/* What of a request matters. */
struct request {
	uint8_t type;
	const uint8_t *requested, *server; /* NULL: not given */
	const uint8_t *ciaddr;
	bool broadcast;
};

/* ---- the request ---- */

static int parse_options(const uint8_t *at, const uint8_t *end, struct request *ret)
{
	while (at < end && *at != OPTION_END) {
		if (*at == OPTION_PAD) {
			at++;
			continue;
		}
		if (end - at < 2 || end - at < 2 + at[1])
			return -EBADMSG;
		const uint8_t *value = at + 2;
		if (at[0] == OPTION_TYPE && at[1] == 1)
			ret->type = value[0];
		else if (at[0] == OPTION_REQUESTED && at[1] == 4)
			ret->requested = value;
		else if (at[0] == OPTION_SERVER && at[1] == 4)
			ret->server = value;
		at = value + at[1];
	}
	return 0;
}

static int parse_request(const struct nic *nic, const uint8_t *message, size_t length, struct request *ret)
{
	*ret = (struct request){};
	if (length < BOOTP_OPTIONS || message[BOOTP_OP] != BOOTREQUEST || message[BOOTP_HTYPE] != 1 ||
		message[BOOTP_HLEN] != 6 || memcmp(message + BOOTP_COOKIE, cookie, 4) != 0)
		return -EBADMSG;
	if (memcmp(message + BOOTP_CHADDR, nic->mac.bytes, 6) != 0 ||
		memcmp(message + BOOTP_GIADDR, zero_ip, 4) != 0)
		return -EBADMSG; /* asks for another, or by a relay */
	ret->ciaddr = message + BOOTP_CIADDR;
	ret->broadcast = load16(message + BOOTP_FLAGS) & BROADCAST_FLAG;
	return parse_options(message + BOOTP_OPTIONS, message + length, ret);
}

/* The type of the answer to the request, 0: none. */
static uint8_t answer_type(const struct request *request, const uint8_t address[4], const uint8_t server[4])
{
	const uint8_t *wanted = request->requested ? request->requested : request->ciaddr;

	switch (request->type) {
	case DHCPDISCOVER: return DHCPOFFER;
	case DHCPINFORM: return DHCPACK;
	case DHCPREQUEST:
		if (request->server && memcmp(request->server, server, 4) != 0)
			return 0; /* the client chose another server */
		return memcmp(wanted, address, 4) == 0 ? DHCPACK : DHCPNAK;
	default: return 0;
	}
}

/* ---- the answer ---- */

static uint8_t *put(uint8_t *at, uint8_t option, const void *value, uint8_t length)
{
	*at++ = option;
	*at++ = length;
	memcpy(at, value, length);
	return at + length;
}

static uint8_t *put16(uint8_t *at, uint8_t option, uint16_t value)
{
	uint8_t bytes[2];

	store16(bytes, value);
	return put(at, option, bytes, sizeof bytes);
}

static uint8_t *put32(uint8_t *at, uint8_t option, uint32_t value)
{
	uint8_t bytes[4];

	store32(bytes, value);
	return put(at, option, bytes, sizeof bytes);
}

/* Clients that read this option ignore the router option, so the default route is in it too. */
static uint8_t *put_routes(uint8_t *at, const uint8_t gateway[4])
{
	uint8_t routes[] = {
		32, 169, 254, 169, 254, gateway[0], gateway[1], gateway[2], gateway[3], /* metadata */
		0, gateway[0], gateway[1], gateway[2], gateway[3], /* everything */
	};

	return put(at, OPTION_ROUTES, routes, sizeof routes);
}

static uint8_t *put_dns(uint8_t *at, const struct subnet *subnet)
{
	uint8_t servers[4 * 8], n = 0;

	for (unsigned i = 0; i < subnet->n_dns && n < 8; i++)
		if (subnet->dns[i].family == IP_V4)
			memcpy(servers + 4 * n++, subnet->dns[i].bytes, 4);
	return n ? put(at, OPTION_DNS, servers, (uint8_t)(4 * n)) : at;
}

/* What the NIC should know; at most 2+4 + 2+4 + 2+32 + 2+63 + 2+2 + 2+14 bytes. */
static uint8_t *put_configuration(uint8_t *at, const struct nic *nic)
{
	const struct subnet *subnet = nic->subnet;
	uint32_t mask = subnet->prefix.length ? UINT32_MAX << (32 - subnet->prefix.length) : 0;

	at = put32(at, OPTION_MASK, mask);
	at = put(at, OPTION_ROUTER, subnet->gateway.bytes, 4);
	at = put_dns(at, subnet);
	if (nic->hostname)
		at = put(at, OPTION_HOSTNAME, nic->hostname, (uint8_t)strlen(nic->hostname));
	at = put16(at, OPTION_MTU, nic->mtu);
	return put_routes(at, subnet->gateway.bytes);
}

/* What comes back from the request, and what does not: RFC 2131, table 3. */
static void write_head(
	uint8_t ret[static DHCP_MESSAGE_MAX], const struct nic *nic, const uint8_t *request, uint8_t type)
{
	memset(ret, 0, DHCP_MESSAGE_MAX);
	ret[BOOTP_OP] = BOOTREPLY;
	ret[BOOTP_HTYPE] = request[BOOTP_HTYPE];
	ret[BOOTP_HLEN] = request[BOOTP_HLEN];
	memcpy(ret + BOOTP_XID, request + BOOTP_XID, 4);
	memcpy(ret + BOOTP_FLAGS, request + BOOTP_FLAGS, 2);
	if (type == DHCPACK)
		memcpy(ret + BOOTP_CIADDR, request + BOOTP_CIADDR, 4);
	memcpy(ret + BOOTP_CHADDR, nic->mac.bytes, 6);
	memcpy(ret + BOOTP_COOKIE, cookie, 4);
}

int dhcp_answer(const struct nic *nic, const uint8_t *request, size_t length,
	uint8_t ret[static DHCP_MESSAGE_MAX], bool *ret_broadcast)
{
	const struct nic_address *address = nic_first_address(nic, IP_V4);
	struct request parsed;

	if (!address)
		return 0;
	if (parse_request(nic, request, length, &parsed) < 0)
		return -EBADMSG;
	const uint8_t *server = nic->subnet->gateway.bytes;
	uint8_t type = answer_type(&parsed, address->ip.bytes, server);
	if (!type)
		return 0;
	write_head(ret, nic, request, type);
	if (type != DHCPNAK && parsed.type != DHCPINFORM)
		memcpy(ret + BOOTP_YIADDR, address->ip.bytes, 4);
	uint8_t *at = put(ret + BOOTP_OPTIONS, OPTION_TYPE, &type, 1);
	at = put(at, OPTION_SERVER, server, 4);
	if (type != DHCPNAK) {
		if (parsed.type != DHCPINFORM)
			at = put32(at, OPTION_LEASE, UINT32_MAX);
		at = put_configuration(at, nic);
	}
	*at++ = OPTION_END;
	*ret_broadcast = type == DHCPNAK || (parsed.broadcast && memcmp(parsed.ciaddr, zero_ip, 4) == 0);
	return RTE_MAX((int)(at - ret), (int)BOOTP_MIN);
}

enum dhcp_kind dhcp_answer_kind(const uint8_t *answer)
{
	uint8_t type = answer[BOOTP_OPTIONS + 2]; /* its option comes first */

	return type == DHCPOFFER ? DHCP_OFFERS : type == DHCPACK ? DHCP_CONFIRMS : DHCP_REFUSES;
}

/* ---- packets ---- */

bool dhcp_is_request(const struct packet *parsed)
{
	return parsed->kind == PACKET_FLOW && parsed->key.family == IP_V4 &&
	       parsed->key.protocol == PROTO_UDP && parsed->key.dport == htobe16(DHCP_SERVER_PORT) &&
	       !(parsed->flags & PACKET_FRAGMENT_FIRST);
}

/* Wraps the message: Ethernet, IPv4, UDP. `to` is the client's address, or broadcast. */
static void write_headers(
	uint8_t *frame, const struct nic *nic, const uint8_t to[4], bool broadcast, uint16_t length)
{
	uint8_t *ip = frame + ETH_LEN, *udp = ip + IPV4_MIN;
	static const uint8_t all_ones[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

	memset(frame, 0, ETH_LEN + IPV4_MIN + UDP_LEN);
	memcpy(frame + ETH_DST, broadcast ? all_ones : nic->mac.bytes, 6);
	memcpy(frame + ETH_SRC, gateway_mac, 6);
	store16(frame + ETH_TYPE, ETH_IPV4);
	ip[0] = 0x45;
	store16(ip + IPV4_TOTAL, (uint16_t)(IPV4_MIN + UDP_LEN + length));
	ip[IPV4_TTL] = 64;
	ip[IPV4_PROTOCOL] = PROTO_UDP;
	memcpy(ip + IPV4_SRC, nic->subnet->gateway.bytes, 4);
	memcpy(ip + IPV4_DST, broadcast ? all_ones : to, 4);
	checksum_set(ip, IPV4_MIN, IPV4_CHECK);
	store16(udp, DHCP_SERVER_PORT);
	store16(udp + 2, DHCP_CLIENT_PORT);
	store16(udp + UDP_LENGTH, (uint16_t)(UDP_LEN + length));

	uint64_t sum = checksum_pseudo4(ip + IPV4_SRC, PROTO_UDP, (uint16_t)(UDP_LEN + length));
	uint16_t check = (uint16_t)~checksum_fold(checksum_add(sum, udp, UDP_LEN + length));
	check = check ? check : 0xffff;
	memcpy(udp + UDP_CHECK, &check, sizeof check);
}

/* A client that has no address yet says so; one that has may use only its own. */
static bool source_is_right(const struct nic *nic, const struct packet *parsed)
{
	return memcmp(parsed->key.src, zero_ip, 4) == 0 ||
	       nic_find_address(nic, flow_key_source(&parsed->key));
}

enum drop dhcp_answer_frame(const struct nic *nic, const struct packet *parsed, const uint8_t *frame,
	uint32_t available, uint8_t ret[static DHCP_MESSAGE_MAX], int *ret_length, bool *ret_broadcast)
{
	uint32_t start = parsed->l4 + UDP_LEN, end = parsed->l3 + parsed->l3_length;

	if (!source_is_right(nic, parsed))
		return DROP_SPOOFED_IP;
	int length = end <= available && reply_udp_is_right(frame, parsed)
			     ? dhcp_answer(nic, frame + start, end - start, ret, ret_broadcast)
			     : -EBADMSG;
	if (length < 0)
		return DROP_DHCP_MALFORMED;
	*ret_length = length;
	return DROP_NONE;
}

void dhcp_from_nic(
	struct worker *worker, const struct nic *nic, const struct packet *parsed, struct rte_mbuf *packet)
{
	uint8_t *frame = rte_pktmbuf_mtod(packet, uint8_t *);
	uint8_t answer[DHCP_MESSAGE_MAX];
	bool broadcast = false;
	int length = 0;

	if (segmentation_is_open(packet))
		segmentation_complete(packet);
	enum drop reason =
		dhcp_answer_frame(nic, parsed, frame, packet->data_len, answer, &length, &broadcast);

	if (reason != DROP_NONE) {
		output_drop(worker, nic->id, reason, packet);
		return;
	}
	uint16_t size = (uint16_t)(ETH_LEN + IPV4_MIN + UDP_LEN + length);
	if (length == 0) {
		rte_pktmbuf_free(packet); /* heard, and nothing to say */
		return;
	}
	if (!reply_resize(packet, size)) {
		output_drop(worker, nic->id, DROP_NO_BUFFER, packet);
		return;
	}
	frame = rte_pktmbuf_mtod(packet, uint8_t *);
	memcpy(frame + ETH_LEN + IPV4_MIN + UDP_LEN, answer, (size_t)length);
	write_headers(frame, nic, nic_first_address(nic, IP_V4)->ip.bytes, broadcast, (uint16_t)length);
	output_nic(worker, nic, packet);
}
