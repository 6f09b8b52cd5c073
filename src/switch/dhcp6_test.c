/* Tests of the DHCPv6 answers: messages are written and read here by their own code. */
#include "switch/packet_words.h"
#include "switch/parse.h"
#include "switch/respond/respond.h"
#include "switch/test_values.h"
#include "switch/wire.h"

#include <errno.h>

enum { SOLICIT = 1, ADVERTISE, REQUEST, CONFIRM, RENEW, REBIND, REPLY, RELEASE, DECLINE, INFORM = 11 };
enum {
	CLIENT = 1,
	SERVER,
	IA_NA,
	IA_TA,
	ADDRESS,
	PREFERENCE = 7,
	STATUS = 13,
	RAPID = 14,
	DNS = 23,
	IA_PD = 25
};

#define OWN   "fd00::4"
#define OTHER "fd00::99"
#define FAR   "fd01::4"

static struct ip_addr dns[3];
static struct subnet subnet;
static struct nic_address addresses[NIC_ADDRESSES];
static struct nic nic;

static void make_nic(void)
{
	dns[0] = test_addr("9.9.9.9");
	dns[1] = test_addr("2620:fe::fe");
	dns[2] = test_addr("2620:fe::9");
	subnet = (struct subnet){.prefix6 = test_prefix("fd00::/64"),
		.gateway6 = test_addr("fd00::1"),
		.n_dns = 3,
		.dns = dns};
	addresses[0] = (struct nic_address){.ip = test_addr("192.168.1.4")};
	addresses[1] = (struct nic_address){.ip = test_addr(OWN)};
	nic = (struct nic){.mac = {{0, 0x0d, 0x3a, 0, 0, 4}},
		.mtu = 1500,
		.subnet = &subnet,
		.n_addresses = 2,
		.addresses = addresses};
}

/* ---- messages ---- */

struct message {
	uint8_t bytes[2048];
	size_t length;
};

static void put(struct message *m, uint16_t code, const void *value, size_t length)
{
	store16(m->bytes + m->length, code);
	store16(m->bytes + m->length + 2, (uint16_t)length);
	if (length)
		memcpy(m->bytes + m->length + 4, value, length);
	m->length += 4 + length;
}

static const uint8_t client_id[] = {0, 3, 0, 1, 0, 0x0d, 0x3a, 0, 0, 4};
static const uint8_t server_id[] = {0, 3, 0, 1, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc};

/* With the client's identifier, and the server's where the type has it. */
static struct message message_of(uint8_t type)
{
	struct message m = {.bytes = {type, 0xca, 0xfe, 0x01}, .length = 4};

	put(&m, CLIENT, client_id, sizeof client_id);
	if (type == REQUEST || type == RENEW || type == RELEASE || type == DECLINE)
		put(&m, SERVER, server_id, sizeof server_id);
	return m;
}

/* An association of that number, with an address (NULL: none). */
static void put_association(struct message *m, uint16_t code, uint8_t number, const char *address)
{
	uint8_t value[12 + 28] = {[3] = number};
	size_t head = code == IA_TA ? 4 : 12;

	if (address) {
		const struct ip_addr ip = test_addr(address);
		store16(value + head, ADDRESS);
		store16(value + head + 2, 24);
		memcpy(value + head + 4, ip.bytes, 16);
	}
	put(m, code, value, head + (address ? 28 : 0));
}

static int answer(const struct message *m, uint8_t ret[DHCP6_MESSAGE_MAX])
{
	g_autofree uint8_t *exact = g_memdup2(m->bytes, m->length);

	return dhcp6_answer(&nic, exact, m->length, ret);
}

/* The option of that code, the n-th, within [at, at + length); NULL: there is none. */
static const uint8_t *find(const uint8_t *at, size_t length, uint16_t code, unsigned n)
{
	const uint8_t *end = at + length;

	while (at < end) {
		g_assert_cmpint(end - at, >=, 4 + load16(at + 2));
		if (load16(at) == code && n-- == 0)
			return at;
		at += 4 + load16(at + 2);
	}
	return NULL;
}

struct reply {
	uint8_t bytes[DHCP6_MESSAGE_MAX];
	size_t length;
};

/* It is answered so, with both identifiers and the transaction. */
static struct reply replied(const struct message *m, uint8_t type)
{
	struct reply reply;
	int length = answer(m, reply.bytes);

	g_assert_cmpint(length, >, 4);
	reply.length = (size_t)length;
	g_assert_cmpuint(reply.bytes[0], ==, type);
	g_assert_cmpmem(reply.bytes + 1, 3, m->bytes + 1, 3);
	const uint8_t *option = find(reply.bytes + 4, reply.length - 4, SERVER, 0);
	g_assert_nonnull(option);
	g_assert_cmpmem(option + 4, load16(option + 2), server_id, sizeof server_id);
	if ((option = find(reply.bytes + 4, reply.length - 4, CLIENT, 0)) != NULL)
		g_assert_cmpmem(option + 4, load16(option + 2), client_id, sizeof client_id);
	return reply;
}

static const uint8_t *option_of(const struct reply *reply, uint16_t code, unsigned n)
{
	return find(reply->bytes + 4, reply->length - 4, code, n);
}

/* Of an association: its n-th address with the lifetime. */
static void assert_address(const uint8_t *association, unsigned n, const char *address, uint32_t lifetime)
{
	const uint8_t *option = find(association + 16, load16(association + 2) - 12u, ADDRESS, n);
	const struct ip_addr ip = test_addr(address);

	g_assert_nonnull(option);
	g_assert_cmpmem(option + 4, 16, ip.bytes, 16);
	g_assert_cmphex(load32(option + 20), ==, lifetime);
	g_assert_cmphex(load32(option + 24), ==, lifetime);
}

/* -1: there is none. */
static int status_in(const uint8_t *options, size_t length)
{
	const uint8_t *status = find(options, length, STATUS, 0);

	return status ? load16(status + 4) : -1;
}

static int status_of(const uint8_t *association)
{
	size_t head = load16(association) == IA_TA ? 4 : 12;

	return status_in(association + 4 + head, load16(association + 2) - head);
}

static void assert_refused(const uint8_t *association, uint8_t number, int status)
{
	size_t head = load16(association) == IA_TA ? 4 : 12;

	g_assert_nonnull(association);
	g_assert_cmpuint(load32(association + 4), ==, number);
	g_assert_null(find(association + 4 + head, load16(association + 2) - head, ADDRESS, 0));
	g_assert_cmpint(status_of(association), ==, status);
}

/* ---- tests ---- */

static void test_advertise(void)
{
	struct message m = message_of(SOLICIT);

	put_association(&m, IA_NA, 7, NULL);
	struct reply reply = replied(&m, ADVERTISE);
	const uint8_t *association = option_of(&reply, IA_NA, 0);
	g_assert_cmpuint(load32(association + 4), ==, 7);
	g_assert_cmphex(load32(association + 8), ==, UINT32_MAX);
	assert_address(association, 0, OWN, UINT32_MAX);
	g_assert_cmpint(status_of(association), ==, -1);
	g_assert_cmpuint(option_of(&reply, PREFERENCE, 0)[4], ==, 255);
	g_assert_null(option_of(&reply, RAPID, 0));
	const uint8_t *servers = option_of(&reply, DNS, 0); /* those of IPv6 */
	g_assert_cmpmem(servers + 4, load16(servers + 2),
		((const uint8_t[]){0x26, 0x20, 0, 0xfe, [15] = 0xfe, [16] = 0x26, 0x20, 0, 0xfe, [31] = 9}),
		32);
}

static void test_rapid(void)
{
	struct message m = message_of(SOLICIT);

	put_association(&m, IA_NA, 7, NULL);
	put(&m, RAPID, NULL, 0);
	struct reply reply = replied(&m, REPLY);
	g_assert_nonnull(option_of(&reply, RAPID, 0));
	assert_address(option_of(&reply, IA_NA, 0), 0, OWN, UINT32_MAX);
	nic.n_addresses = 1; /* nothing to commit to */
	reply = replied(&m, ADVERTISE);
	assert_refused(option_of(&reply, IA_NA, 0), 7, 2);
	g_assert_null(option_of(&reply, RAPID, 0));
	make_nic();
}

static void test_request(void)
{
	struct message m = message_of(REQUEST);

	put_association(&m, IA_NA, 7, OWN);
	struct reply reply = replied(&m, REPLY);
	assert_address(option_of(&reply, IA_NA, 0), 0, OWN, UINT32_MAX);
	m = message_of(REQUEST);
	put_association(&m, IA_NA, 7, OTHER); /* not its own: it is told what is */
	reply = replied(&m, REPLY);
	assert_address(option_of(&reply, IA_NA, 0), 0, OWN, UINT32_MAX);
	m = message_of(REQUEST);
	put_association(&m, IA_NA, 7, FAR);
	reply = replied(&m, REPLY);
	assert_refused(option_of(&reply, IA_NA, 0), 7, 4);
}

static void test_renew(void)
{
	static const uint8_t types[] = {RENEW, REBIND};

	for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
		struct message m = message_of(types[i]);
		put_association(&m, IA_NA, 7, OTHER);
		struct reply reply = replied(&m, REPLY);
		const uint8_t *association = option_of(&reply, IA_NA, 0);
		assert_address(association, 0, OTHER, 0); /* to be dropped */
		assert_address(association, 1, OWN, UINT32_MAX);
		nic.n_addresses = 1;
		reply = replied(&m, REPLY);
		assert_refused(option_of(&reply, IA_NA, 0), 7, 3);
		make_nic();
	}
}

static void test_confirm(void)
{
	struct message m = message_of(CONFIRM);
	uint8_t reply_bytes[DHCP6_MESSAGE_MAX];

	put_association(&m, IA_NA, 7, NULL);
	g_assert_cmpint(answer(&m, reply_bytes), ==, 0); /* of nothing, nothing can be said */
	put_association(&m, IA_NA, 8, OWN);
	struct reply reply = replied(&m, REPLY);
	g_assert_cmpint(status_in(reply.bytes + 4, reply.length - 4), ==, 0);
	g_assert_null(option_of(&reply, IA_NA, 0));
	put_association(&m, IA_NA, 9, OTHER);
	reply = replied(&m, REPLY);
	g_assert_cmpint(status_in(reply.bytes + 4, reply.length - 4), ==, 4);
}

static void test_release(void)
{
	static const uint8_t types[] = {RELEASE, DECLINE};

	for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
		struct message m = message_of(types[i]);
		put_association(&m, IA_NA, 7, OWN);
		struct reply reply = replied(&m, REPLY);
		g_assert_cmpint(status_in(reply.bytes + 4, reply.length - 4), ==, 0);
	}
}

static void test_inform(void)
{
	struct message m = {.bytes = {INFORM, 1, 2, 3}, .length = 4}; /* even without an identifier */
	struct reply reply = replied(&m, REPLY);

	g_assert_null(option_of(&reply, CLIENT, 0));
	g_assert_cmpuint(load16(option_of(&reply, DNS, 0) + 2), ==, 32);
	subnet.n_dns = 1; /* of IPv4 */
	reply = replied(&m, REPLY);
	g_assert_null(option_of(&reply, DNS, 0));
	make_nic();
}

static void test_other_associations(void)
{
	struct message m = message_of(SOLICIT);

	put_association(&m, IA_PD, 1, NULL);
	put_association(&m, IA_TA, 2, NULL);
	put_association(&m, IA_NA, 3, NULL);
	put_association(&m, IA_NA, 4, NULL);
	struct reply reply = replied(&m, ADVERTISE);
	assert_refused(option_of(&reply, IA_PD, 0), 1, 6);
	assert_refused(option_of(&reply, IA_TA, 0), 2, 2);
	assert_address(option_of(&reply, IA_NA, 0), 0, OWN, UINT32_MAX);
	assert_refused(option_of(&reply, IA_NA, 1), 4, 2); /* they are the other one's */
}

static void test_many_addresses(void)
{
	struct message m = message_of(SOLICIT);

	for (unsigned i = 1; i < NIC_ADDRESSES; i++)
		addresses[i] = (struct nic_address){.ip = prefix_nth(subnet.prefix6, 3 + i)};
	nic.n_addresses = NIC_ADDRESSES;
	put_association(&m, IA_NA, 1, NULL);
	struct reply reply = replied(&m, ADVERTISE);
	const uint8_t *association = option_of(&reply, IA_NA, 0);
	g_assert_cmpuint(load16(association + 2), ==, 12 + 24 * 28);
	assert_address(association, 0, OWN, UINT32_MAX);
	make_nic();
}

/* Which identifiers a message must and must not have. */
static void test_identifiers(void)
{
	static const uint8_t others[] = {0, 3, 0, 1, 2, 0, 0, 0, 0, 1};
	uint8_t reply[DHCP6_MESSAGE_MAX], long_id[131] = {};

	for (uint8_t type = 1; type <= 13; type++) {
		struct message none = {.bytes = {type}, .length = 4}, m = message_of(type), other = none;
		g_test_message("type %u", type);
		if (type != INFORM)
			g_assert_cmpint(answer(&none, reply), ==, -EBADMSG);
		if (type == SOLICIT || type == CONFIRM || type == REBIND) {
			put(&m, SERVER, server_id, sizeof server_id);
			g_assert_cmpint(answer(&m, reply), ==, -EBADMSG);
			continue;
		}
		put(&other, CLIENT, client_id, sizeof client_id);
		put(&other, SERVER, others, sizeof others);
		bool known = type == REQUEST || type == RENEW || type == RELEASE || type == DECLINE ||
			     type == INFORM;
		g_assert_cmpint(answer(&other, reply), ==, known ? 0 : -EBADMSG);
	}
	struct message twice = message_of(SOLICIT), large = {.bytes = {SOLICIT}, .length = 4}, small = large;
	put(&twice, CLIENT, client_id, sizeof client_id);
	g_assert_cmpint(answer(&twice, reply), ==, -EBADMSG);
	put(&large, CLIENT, long_id, sizeof long_id);
	g_assert_cmpint(answer(&large, reply), ==, -EBADMSG);
	put(&small, CLIENT, long_id, 2);
	g_assert_cmpint(answer(&small, reply), ==, -EBADMSG);
}

static void test_malformed(void)
{
	struct message whole = message_of(SOLICIT);
	uint8_t reply[DHCP6_MESSAGE_MAX];

	put_association(&whole, IA_NA, 7, OWN);
	for (size_t n = 0; n < whole.length; n++) {
		struct message cut = whole;
		cut.length = n;
		if (n != 4 + 14) /* there it ends between two options */
			g_assert_cmpint(answer(&cut, reply), ==, -EBADMSG);
	}
	struct message many = message_of(SOLICIT);
	for (uint8_t i = 0; i < 9; i++)
		put_association(&many, IA_NA, i, NULL);
	g_assert_cmpint(answer(&many, reply), ==, -EBADMSG);
	struct message short_one = message_of(SOLICIT);
	put(&short_one, IA_NA, "\0\0\0\1\0\0\0\0", 8);
	g_assert_cmpint(answer(&short_one, reply), ==, -EBADMSG);
	struct message within = message_of(CONFIRM); /* an option that ends beyond its association */
	put(&within, IA_NA, (const uint8_t[]){[3] = 1, [13] = 5, [15] = 24, [19] = 0}, 20);
	g_assert_cmpint(answer(&within, reply), ==, -EBADMSG);
	struct message tiny = message_of(REQUEST); /* an address of 8 bytes */
	put(&tiny, IA_NA, (const uint8_t[]){[3] = 1, [13] = 5, [15] = 8, [23] = 0}, 24);
	g_assert_cmpint(answer(&tiny, reply), ==, -EBADMSG);
	/* More to be dropped than one answer can say. */
	struct message claims = message_of(RENEW);
	uint8_t value[12 + 28 * 50] = {};
	for (unsigned i = 0; i < 50; i++) {
		store16(value + 12 + 28 * i, ADDRESS);
		store16(value + 14 + 28 * i, 24);
	}
	put(&claims, IA_NA, value, sizeof value);
	g_assert_cmpint(answer(&claims, reply), ==, -EBADMSG);
}

static void test_random(void)
{
	uint8_t reply[DHCP6_MESSAGE_MAX];

	for (unsigned i = 0; i < 50000; i++) {
		struct message m = message_of((uint8_t)(1 + test_below(12)));
		for (unsigned n = test_below(4); n; n--)
			put_association(&m, (const uint16_t[]){IA_NA, IA_TA, IA_PD}[test_below(3)],
				(uint8_t)n, test_below(2) ? OTHER : NULL);
		for (unsigned n = test_below(4); n; n--)
			m.bytes[test_below((unsigned)m.length)] = (uint8_t)test_below(256);
		m.length -= test_below(4) == 0 ? test_below((unsigned)m.length) : 0;
		int length = answer(&m, reply);
		g_assert_true(length == -EBADMSG || length == 0 || length > 4);
		if (length > 4)
			find(reply + 4, (size_t)length - 4, 0xffff, 0); /* its options are whole */
	}
}

/* There is always one (RFC 8200, section 8.1). */
static void test_checksum(void)
{
	uint8_t frame[PACKET_WORDS_FRAME], reply[DHCP6_MESSAGE_MAX];
	static const enum drop wanted[] = {DROP_NONE, DROP_DHCP_MALFORMED, DROP_DHCP_MALFORMED};
	struct packet_words words;
	struct packet parsed;
	int length;

	g_assert_true(packet_words_parse("out dhcp6", &words, NULL));
	words.smac = nic.mac;
	uint32_t size = packet_words_build(&words, frame);
	parse_frame(frame, size, size, &parsed);
	uint8_t *check = frame + parsed.l4 + UDP_CHECK;
	for (unsigned i = 0; i < G_N_ELEMENTS(wanted); i++) {
		g_assert_cmpint(
			dhcp6_answer_frame(&nic, &parsed, frame, size, reply, &length), ==, wanted[i]);
		if (i == 0)
			check[1] ^= 1;
		else
			memset(check, 0, 2);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	make_nic();
	g_test_add_func(
		"/dhcp6/a solicitation is offered the NIC's addresses and name servers", test_advertise);
	g_test_add_func("/dhcp6/a rapid commit is committed to, where there is an address", test_rapid);
	g_test_add_func("/dhcp6/a request gets the NIC's own, and is told what is far off", test_request);
	g_test_add_func("/dhcp6/a renewal drops what is not the NIC's", test_renew);
	g_test_add_func("/dhcp6/a confirmation is of the NIC's own addresses alone", test_confirm);
	g_test_add_func("/dhcp6/a release and a decline are acknowledged", test_release);
	g_test_add_func("/dhcp6/information needs neither address nor identifier", test_inform);
	g_test_add_func("/dhcp6/prefixes, temporary and second addresses are refused each by name",
		test_other_associations);
	g_test_add_func("/dhcp6/a NIC of many addresses is told as many as fit", test_many_addresses);
	g_test_add_func("/dhcp6/identifiers are there where they must be, and ours", test_identifiers);
	g_test_add_func("/dhcp6/what is cut, absurd or too much is refused", test_malformed);
	g_test_add_func("/dhcp6/a wrong checksum, or none, is answered as little as what is malformed",
		test_checksum);
	g_test_add_func("/dhcp6/random options break nothing", test_random);
	return g_test_run();
}
