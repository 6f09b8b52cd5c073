/* Packets from scratch: see test_packet.h. */
#include "switch/test_packet.h"

#define ERROR_QUOTE_MAX  548 /* RFC 1812: an error is of 576 bytes at most */
#define ERROR_QUOTE_MAX6 1232 /* RFC 4443: of 1280 */

/* ---- checksums (RFC 1071) ---- */

/* Big-endian 16-bit words, an odd byte being the high one of its own. */
static uint64_t sum_of(const uint8_t *bytes, uint32_t n)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < n; i++)
		sum += i % 2 ? bytes[i] : (uint64_t)bytes[i] << 8;
	return sum;
}

static uint16_t check_of(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* ---- transport ---- */

static uint64_t pseudo_header(const struct test_packet *packet, uint32_t length)
{
	unsigned n = packet->source.family == IP_V4 ? 4 : 16;

	return sum_of(packet->source.bytes, n) + sum_of(packet->destination.bytes, n) + packet->protocol +
	       length;
}

static uint32_t header_length(const struct test_packet *packet)
{
	if (packet->protocol == IPPROTO_TCP)
		return 20;
	return packet->protocol == IPPROTO_UDP || test_packet_is_icmp(packet) ? 8 : 0;
}

/* Writes the header without its checksum; returns where that is. */
static uint8_t *write_header(const struct test_packet *packet, uint8_t *at, uint32_t length)
{
	if (test_packet_is_icmp(packet)) {
		at[0] = packet->icmp_type;
		store16(at + 4, packet->icmp_id);
		store16(at + 6, 1);
		return at + 2;
	}
	store16(at, packet->source_port);
	store16(at + 2, packet->destination_port);
	if (packet->protocol == IPPROTO_UDP) {
		store16(at + 4, (uint16_t)length);
		return at + 6;
	}
	store32(at + 4, packet->sequence);
	store32(at + 8, packet->acknowledged);
	at[12] = 5 << 4;
	at[13] = packet->tcp_flags;
	return at + 16;
}

static uint32_t write_transport(const struct test_packet *packet, uint8_t *at)
{
	uint32_t header = header_length(packet), length = header + packet->payload;

	memset(at, 0, header);
	for (uint32_t i = 0; i < packet->payload; i++)
		at[header + i] = (uint8_t)(packet->fill + i * 13);
	if (header == 0)
		return length;
	uint8_t *check = write_header(packet, at, length);
	uint64_t sum = sum_of(at, length);
	if (packet->protocol != IPPROTO_ICMP)
		sum += pseudo_header(packet, length);
	uint16_t value = check_of(sum);
	if (packet->protocol == IPPROTO_UDP)
		value = packet->no_checksum ? 0 : value ? value : 0xffff; /* RFC 768 */
	store16(check, value);
	return length;
}

/* ---- IP ---- */

static uint32_t write_ipv4(const struct test_packet *packet, uint8_t *ip, uint32_t length)
{
	uint32_t header = 20 + packet->options * 4u;
	bool more = packet->cut && !packet->later;

	memset(ip, 0, header);
	ip[0] = (uint8_t)(0x40 | header / 4);
	ip[1] = packet->service;
	store16(ip + 2, (uint16_t)(header + length));
	store16(ip + 4, packet->id);
	store16(ip + 6, (uint16_t)((packet->df ? 0x4000 : 0) | (more ? 0x2000 : 0) |
				   (packet->later ? packet->cut / 8 : 0)));
	ip[8] = packet->hops;
	ip[9] = packet->protocol;
	memcpy(ip + 12, packet->source.bytes, 4);
	memcpy(ip + 16, packet->destination.bytes, 4);
	memset(ip + 20, 1, packet->options * 4u);
	store16(ip + 10, check_of(sum_of(ip, header)));
	return header;
}

static uint32_t write_ipv6(const struct test_packet *packet, uint8_t *ip, uint32_t length)
{
	bool part = packet->cut != 0;
	uint32_t header = part ? 48 : 40;

	memset(ip, 0, header);
	store32(ip, 6u << 28 | (uint32_t)packet->service << 20);
	store16(ip + 4, (uint16_t)(length + header - 40));
	ip[6] = part ? IPPROTO_FRAGMENT : packet->protocol;
	ip[7] = packet->hops;
	memcpy(ip + 8, packet->source.bytes, 16);
	memcpy(ip + 24, packet->destination.bytes, 16);
	if (part) {
		ip[40] = packet->protocol;
		store16(ip + 42, packet->later ? packet->cut : 1);
		store32(ip + 44, packet->id);
	}
	return header;
}

static void write_ethernet(uint8_t *frame, struct mac_addr from, struct mac_addr to, uint8_t family)
{
	memcpy(frame, to.bytes, 6);
	memcpy(frame + 6, from.bytes, 6);
	store16(frame + 12, family == IP_V4 ? 0x0800 : 0x86dd);
}

struct test_frame test_packet_write(const struct test_packet *packet)
{
	struct test_frame frame;
	uint8_t transport[TEST_FRAME_MAX], *ip = frame.bytes + 14;
	uint32_t from = packet->later ? packet->cut : 0, to = write_transport(packet, transport);

	if (packet->cut && !packet->later)
		to = packet->cut;
	write_ethernet(frame.bytes, packet->from, packet->to, packet->source.family);
	uint32_t header = packet->source.family == IP_V4 ? write_ipv4(packet, ip, to - from)
							 : write_ipv6(packet, ip, to - from);
	memcpy(ip + header, transport + from, to - from);
	frame.length = 14 + header + to - from;
	memset(frame.bytes + frame.length, 0xee, packet->padding);
	frame.length += packet->padding;
	return frame;
}

/* ---- errors ---- */

struct test_frame test_icmp_error_write(const struct test_icmp_error *error)
{
	bool v6 = error->source.family == IP_V6;
	struct test_packet bare = error->about;
	bare.padding = 0;
	struct test_frame about = test_packet_write(&bare), frame = {};
	uint32_t quoted = MIN(about.length - 14, (uint32_t)(v6 ? ERROR_QUOTE_MAX6 : ERROR_QUOTE_MAX));
	uint8_t *ip = frame.bytes + 14, *icmp = ip + (v6 ? 40 : 20);
	const struct test_packet outer = {
		.source = error->source,
		.destination = error->destination,
		.protocol = v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP,
		.hops = 64,
		.service = v6 ? 0 : 0xc0,
	};

	write_ethernet(frame.bytes, error->from, error->to, error->source.family);
	(v6 ? write_ipv6 : write_ipv4)(&outer, ip, 8 + quoted);
	icmp[0] = error->type;
	icmp[1] = error->code;
	memcpy(icmp + 8, about.bytes + 14, quoted);
	store16(icmp + 2, check_of(sum_of(icmp, 8 + quoted) + (v6 ? pseudo_header(&outer, 8 + quoted) : 0)));
	frame.length = (uint32_t)(icmp - frame.bytes) + 8 + quoted;
	return frame;
}

char *test_packet_text(const struct test_packet *p)
{
	char from[MAC_TEXT_MAX], to[MAC_TEXT_MAX], source[IP_TEXT_MAX], destination[IP_TEXT_MAX];

	return g_strdup_printf("%s > %s, protocol %u, %s:%u > %s:%u, hops %u, id %u, options %u, flags %02x "
			       "%u/%u, icmp %u/%u, "
			       "payload %u, padding %u, cut %u%s%s%s",
		mac_format(p->from, from), mac_format(p->to, to), p->protocol, ip_format(p->source, source),
		p->source_port, ip_format(p->destination, destination), p->destination_port, p->hops, p->id,
		p->options, p->tcp_flags, p->sequence, p->acknowledged, p->icmp_type, p->icmp_id, p->payload,
		p->padding, p->cut, p->later ? " later" : "", p->df ? ", df" : "",
		p->no_checksum ? ", no checksum" : "");
}
