/* Fuzz target: neighbour discovery. The bytes are one frame that a NIC sends, behind its two MACs: what they
 * are is made right, and so is the checksum where the first byte is even. */
#include "fuzz.h"

#include "switch/checksum.h"
#include "switch/decide.h"
#include "switch/parse.h"
#include "switch/respond/respond.h"

#include <string.h>

static struct nic_address address = {.ip = {.family = IP_V6, .bytes = {0xfd, [15] = 4}}};
static struct nic_address address_of_other = {.ip = {.family = IP_V6, .bytes = {0xfd, [15] = 5}}};
static struct subnet subnet = {
	.prefix6 = {.addr = {.family = IP_V6, .bytes = {0xfd}}, .length = 64},
	.gateway6 = {.family = IP_V6, .bytes = {0xfd, [15] = 1}},
};
static struct ip_prefix prefix = {.addr = {.family = IP_V6, .bytes = {0xfd}}, .length = 48};
static struct network network = {.space = SPACE_NETWORKS, .n_prefixes = 1, .prefixes = &prefix};
static struct nic nic = {
	.mac = {{0, 0x0d, 0x3a, 0, 0, 4}}, .mtu = 1500, .n_addresses = 1, .addresses = &address};
static struct nic other = {
	.mac = {{0, 0x0d, 0x3a, 0, 0, 5}}, .mtu = 1500, .n_addresses = 1, .addresses = &address_of_other};
static struct snapshot *snapshot;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	nic.network = other.network = &network;
	nic.subnet = other.subnet = &subnet;
	snapshot = snapshot_new();
	snapshot_reserve(snapshot, 3);
	snapshot_add_address(snapshot, network.space, subnet.gateway6,
		(struct owner){.kind = OWNER_GATEWAY, .subnet = &subnet});
	snapshot_add_address(
		snapshot, network.space, address.ip, (struct owner){.kind = OWNER_NIC, .nic = &nic});
	snapshot_add_address(snapshot, network.space, address_of_other.ip,
		(struct owner){.kind = OWNER_NIC, .nic = &other});
	return 0;
}

/* Most bytes would end at the checksum. */
static void mend(uint8_t *frame, const struct packet *parsed)
{
	uint8_t *icmp = frame + parsed->l4;
	uint32_t length = parsed->l3_length - IPV6_LEN;

	memset(icmp + ICMP_CHECK, 0, 2);
	uint64_t sum = checksum_pseudo6(frame + parsed->l3 + IPV6_SRC, PROTO_ICMPV6, length);
	uint16_t check = (uint16_t)~checksum_fold(checksum_add(sum, icmp, length));
	memcpy(icmp + ICMP_CHECK, &check, sizeof check);
}

/* Nobody is answered who spoke in another's name, or from afar; and it is said who has the target, where it is
 * known. */
static void assert_answer(const struct nd_answer *answer, const struct packet *parsed, const uint8_t *frame)
{
	static const uint8_t nobody[16];
	struct ip_addr source = flow_key_source(&parsed->key);
	const uint8_t *icmp = frame + parsed->l4;
	bool unspecified = memcmp(parsed->key.src, nobody, 16) == 0;

	g_assert_cmpint(frame[parsed->l3 + IPV6_HOPS], ==, 255);
	g_assert_true(unspecified || ip_is_link_local(source) || ip_equal(source, address.ip));
	if (answer->router) {
		g_assert_cmpint(icmp[0], ==, ICMPV6_TYPE_ROUTER_SOLICITATION);
		return;
	}
	g_assert_cmpint(icmp[0], ==, ICMPV6_TYPE_NEIGHBOUR_SOLICITATION);
	g_assert_cmpint(answer->to_all, ==, unspecified);
	if (memcmp(icmp + 8, address_of_other.ip.bytes, 16) == 0)
		g_assert_cmpmem(answer->mac, 6, other.mac.bytes, 6);
	else
		g_assert_true(answer->target_routes && memcmp(answer->mac, gateway_mac, 6) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t length = (uint32_t)MIN(size, 65535u);
	g_autofree uint8_t *frame = g_memdup2(data, length);
	struct nd_answer answer;
	struct packet parsed;

	parse_frame(frame, length, length, &parsed);
	if (parsed.kind != PACKET_ND)
		return 0;
	if (!(data[0] & 1))
		mend(frame, &parsed);
	enum drop reason = nd_answer(snapshot, &nic, &parsed, frame, length, &answer);
	g_assert_cmpint(reason, <, DROP_COUNT);
	if (reason == DROP_NONE)
		assert_answer(&answer, &parsed, frame);
	return 0;
}
