/* The compiled classifier against the reference evaluator. */
#include "switch/classifier.h"

#include "switch/test_policy.h"

#define SETS    400
#define PACKETS 200

static struct ip_addr random_addr(bool v6)
{
	static const char *const v4_addrs[] = {"10.1.1.4", "10.1.1.5", "10.1.1.200", "10.1.2.7", "10.1.2.129",
		"10.9.0.1", "203.0.113.77", "203.0.113.78", "8.8.8.8", "168.63.129.16", "1.2.3.4",
		"192.0.2.1", "127.255.255.255"};
	static const char *const v6_addrs[] = {
		"fd00:1::4", "fd00:1::5", "fd00:2::1", "2001:db8::1", "2001:db8:8000::1"};

	return test_addr(v6 ? v6_addrs[test_below(G_N_ELEMENTS(v6_addrs))]
			    : v4_addrs[test_below(G_N_ELEMENTS(v4_addrs))]);
}

static struct policy_packet random_packet(void)
{
	static const uint8_t protocols[] = {
		POLICY_ICMP, POLICY_TCP, POLICY_UDP, POLICY_ESP, POLICY_AH, 47, 132};
	bool v6 = test_below(4) == 0;
	struct policy_packet packet = {
		.direction = test_below(2) ? POLICY_INBOUND : POLICY_OUTBOUND,
		.protocol = protocols[test_below(G_N_ELEMENTS(protocols))],
		.source = random_addr(v6),
		.destination = random_addr(v6),
	};

	if (packet.protocol == POLICY_TCP || packet.protocol == POLICY_UDP) {
		packet.source_port = test_random_port();
		packet.destination_port = test_random_port();
	}
	return packet;
}

static struct policy_space random_space(void)
{
	static struct ip_prefix prefixes[3];
	unsigned n = test_below(4);

	for (unsigned i = 0; i < n; i++)
		prefixes[i] =
			test_prefix(((const char *[]){"10.1.0.0/16", "fd00:1::/64", "203.0.113.0/24"})[i]);
	return (struct policy_space){.n_prefixes = n, .prefixes = prefixes};
}

static struct classifier_packet compile_packet(
	const struct policy_space *space, const struct policy_packet *packet)
{
	return (struct classifier_packet){
		.protocol = packet->protocol,
		.has_ports = packet->protocol == POLICY_TCP || packet->protocol == POLICY_UDP,
		.source_tags = classifier_tags(space, packet->source),
		.destination_tags = classifier_tags(space, packet->destination),
		.source = packet->source,
		.destination = packet->destination,
		.source_port = packet->source_port,
		.destination_port = packet->destination_port,
	};
}

static void test_differential(void)
{
	g_autofree struct test_group *group = g_new0(struct test_group, 1);
	unsigned allowed = 0, by_own_rule = 0;

	for (unsigned set = 0; set < SETS; set++) {
		test_random_group(group, "g");
		_cleanup_(classifier_free) struct classifier *classifier = classifier_new(&group->group);
		for (unsigned i = 0; i < PACKETS; i++) {
			struct policy_packet packet = random_packet();
			struct policy_nic nic = {.nic_group = &group->group, .space = random_space()};
			/* Platform addresses pass groups before a classifier is asked (layers/group.c). */
			if (policy_is_platform(
				    packet.direction == POLICY_INBOUND ? packet.source : packet.destination))
				continue;
			struct policy_verdict expected = policy_check(&nic, &packet);
			struct classifier_packet compiled = compile_packet(&nic.space, &packet);
			struct classifier_verdict verdict =
				classifier_check(classifier, packet.direction, &compiled);
			g_assert_cmpint(verdict.allow, ==, expected.allow);
			g_assert_cmpstr(verdict.rule, ==, expected.rule->name);
			allowed += verdict.allow;
			by_own_rule += expected.rule->priority < 65000;
		}
	}
	/* The cases are worth something only if all kinds of verdict are among them. */
	g_assert_cmpuint(allowed, >, SETS * PACKETS / 10);
	g_assert_cmpuint(allowed, <, SETS * PACKETS * 9 / 10);
	g_assert_cmpuint(by_own_rule, >, SETS * PACKETS / 10);
}

static void test_defaults(void)
{
	const struct policy_group empty = {.name = "empty"};
	_cleanup_(classifier_free) struct classifier *classifier = classifier_new(&empty);
	struct classifier_packet packet = {.protocol = POLICY_TCP, .source = test_addr("1.2.3.4")};

	packet.destination = test_addr("10.0.0.4");
	packet.source_tags = POLICY_TAG_INTERNET;
	packet.destination_tags = POLICY_TAG_VIRTUAL_NETWORK;
	g_assert_cmpstr(classifier_check(classifier, POLICY_INBOUND, &packet).rule, ==, "DenyAllInBound");
	packet.source_tags = POLICY_TAG_VIRTUAL_NETWORK;
	g_assert_cmpstr(classifier_check(classifier, POLICY_INBOUND, &packet).rule, ==, "AllowVnetInBound");
	packet.destination_tags = POLICY_TAG_INTERNET;
	g_assert_cmpstr(
		classifier_check(classifier, POLICY_OUTBOUND, &packet).rule, ==, "AllowInternetOutBound");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func(
		"/classifier/agrees with the reference on random groups and packets", test_differential);
	g_test_add_func("/classifier/default rules come last in every group", test_defaults);
	return g_test_run();
}
