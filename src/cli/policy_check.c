/* `sluice policy check`: what the rules say of the first packet of a connection. */
#include "base/fault.h"
#include "cli/cli.h"
#include "cli/policy_priv.h"
#include "policy/policy_effective.h"
#include "policy/policy_json.h"
#include "policy/policy_words.h"

#include <netinet/in.h>
#include <stdio.h>

#define EPHEMERAL    49152 /* first of RFC 6335's dynamic ports: what a client's side is when nothing is said */
#define SOMEWHERE_V4 "198.51.100.1" /* of RFC 5737: on the Internet, and nobody's */
#define SOMEWHERE_V6 "2001:db8::1" /* of RFC 3849 */

static bool address_parse(const char *option, const char *text, struct ip_addr *ret, GError **error)
{
	if (!text || ip_parse(text, ret) == 0)
		return true;
	return fault_set(error, FAULT_INVALID, "%s: '%s' is no IP address", option, text);
}

static bool protocol_parse(const char *text, uint8_t *ret, GError **error)
{
	g_autofree char *lower = g_ascii_strdown(text ? text : "tcp", -1);
	const struct policy_word *word = policy_word_find(policy_protocol_words, lower);
	guint64 number = word ? word->value : 0;

	if (!word)
		g_ascii_string_to_unsigned(lower, 10, 1, UINT8_MAX, &number, NULL);
	if (number == 0)
		return fault_set(error, FAULT_INVALID,
			"--proto: '%s' is none of tcp, udp, icmp, esp, ah, and no number of a protocol",
			text);
	*ret = number == IPPROTO_ICMPV6 ? POLICY_ICMP : (uint8_t)number;
	return true;
}

/* `otherwise`: the port when none is given; CLI_POLICY_NO_PORT: it must be. */
static bool port_parse(
	const char *option, int given, int otherwise, uint8_t protocol, uint16_t *ret, GError **error)
{
	bool has_ports = protocol == POLICY_TCP || protocol == POLICY_UDP;
	int port = given == CLI_POLICY_NO_PORT ? otherwise : given;

	if (!has_ports && given != CLI_POLICY_NO_PORT)
		return fault_set(error, FAULT_INVALID, "%s: only tcp and udp have ports", option);
	if (has_ports && port == CLI_POLICY_NO_PORT)
		return fault_set(
			error, FAULT_INVALID, "%s is needed: the port that the packet goes to", option);
	if (has_ports && (port < 0 || port > UINT16_MAX))
		return fault_set(error, FAULT_INVALID, "%s: %d is no port", option, port);
	*ret = has_ports ? (uint16_t)port : 0;
	return true;
}

/* From --direction, else from the end that is the NIC's; without any end it is asked who gets in. */
static bool direction_find(const struct cli_policy_options *options, const struct policy_state_nic *nic,
	struct policy_packet *packet, GError **error)
{
	bool from = policy_state_find_address(nic, packet->source);
	bool to = policy_state_find_address(nic, packet->destination);
	const struct policy_word *word = policy_word_find(policy_direction_words, options->direction);

	if (word)
		packet->direction = word->value;
	else if (to || from)
		packet->direction = to ? POLICY_INBOUND : POLICY_OUTBOUND;
	else if (options->source && options->destination)
		return fault_set(error, FAULT_INVALID,
			"neither --src nor --dst is an address of %s; leave out the end that is the NIC's, "
			"or say --direction",
			nic->name);
	else
		packet->direction = options->destination ? POLICY_OUTBOUND : POLICY_INBOUND;
	return true;
}

/* The end that is the NIC's own: what was given, translated to the private address, or its first of the other
 * end's family. */
static bool own_end(const struct policy_state_nic *nic, struct ip_addr other, struct ip_addr *end,
	bool *ret_standard, GError **error)
{
	const struct policy_state_address *found = NULL;

	if (end->family != IP_NONE)
		found = policy_state_find_address(nic, *end);
	for (unsigned i = 0; end->family == IP_NONE && !found && i < nic->n_addresses; i++)
		if (other.family == IP_NONE || nic->addresses[i].ip.family == other.family)
			found = &nic->addresses[i];
	if (!found)
		return fault_set(error, FAULT_INVALID, "%s has no such address%s", nic->name,
			end->family == IP_NONE ? " of the other end's family" : "");
	*end = found->ip;
	*ret_standard = found->standard;
	return true;
}

/* What goes to a public address leaves by one, also when both ends are of one network: rules never see such a pair. */
static bool other_end_check(
	const struct policy_state_nic *nic, struct ip_addr given, struct ip_addr other, GError **error)
{
	const struct policy_space *space = &nic->policy.space;
	const struct policy_state_address *own = policy_state_find_address(nic, given);
	char to[IP_TEXT_MAX], from[IP_TEXT_MAX];

	if (!own || ip_equal(own->ip, given))
		return true;
	for (size_t i = 0; i < space->n_prefixes; i++)
		if (prefix_contains(space->prefixes[i], other))
			return fault_set(error, FAULT_INVALID,
				"--src: %s is of %s's own network, and what it sends to the public address "
				"%s comes "
				"from a public one: say that (the sender's own, or the one that its network "
				"shares; "
				"sluice trace at the sender shows it), or --dst %s",
				ip_format(other, from), nic->name, ip_format(given, to),
				ip_format(own->ip, (char[IP_TEXT_MAX]){}));
	return true;
}

static bool ends_find(
	const struct policy_state_nic *nic, struct policy_packet *packet, bool *ret_standard, GError **error)
{
	bool inbound = packet->direction == POLICY_INBOUND;
	struct ip_addr *own = inbound ? &packet->destination : &packet->source;
	struct ip_addr *other = inbound ? &packet->source : &packet->destination;

	if ((inbound && !other_end_check(nic, *own, *other, error)) ||
		!own_end(nic, *other, own, ret_standard, error))
		return false;
	if (other->family == IP_NONE)
		ip_parse(own->family == IP_V4 ? SOMEWHERE_V4 : SOMEWHERE_V6, other);
	return other->family == own->family ||
	       fault_set(error, FAULT_INVALID, "the packet's two ends are not of one IP version");
}

/* All but what depends on whose NIC it is. */
static bool words_parse(
	const struct cli_policy_options *options, struct policy_packet *packet, GError **error)
{
	if (options->direction && !policy_word_find(policy_direction_words, options->direction))
		return fault_set(error, FAULT_INVALID, "--direction: '%s' is none of inbound, outbound",
			options->direction);
	return address_parse("--src", options->source, &packet->source, error) &&
	       address_parse("--dst", options->destination, &packet->destination, error) &&
	       protocol_parse(options->protocol, &packet->protocol, error) &&
	       port_parse("--sport", options->source_port, EPHEMERAL, packet->protocol, &packet->source_port,
		       error) &&
	       port_parse("--dport", options->destination_port, CLI_POLICY_NO_PORT, packet->protocol,
		       &packet->destination_port, error);
}

static bool packet_parse(const struct cli_policy_options *options, const struct policy_state_nic *nic,
	struct policy_packet *packet, bool *ret_standard, GError **error)
{
	return words_parse(options, packet, error) && direction_find(options, nic, packet, error) &&
	       ends_find(nic, packet, ret_standard, error);
}

bool cli_policy_check_packet(const struct cli_policy_options *options, GError **error)
{
	struct policy_packet packet = {};

	return words_parse(options, &packet, error);
}

static char *end_text(struct ip_addr addr, uint16_t port, uint8_t protocol)
{
	char text[IP_TEXT_MAX];
	bool has_ports = protocol == POLICY_TCP || protocol == POLICY_UDP;

	ip_format(addr, text);
	if (!has_ports)
		return g_strdup(text);
	return g_strdup_printf(addr.family == IP_V6 ? "[%s]:%u" : "%s:%u", text, port);
}

static const char *reason_text(enum policy_reason reason)
{
	static const char *const texts[] = {
		[POLICY_BY_RULE] = NULL,
		[POLICY_BY_PLATFORM] = "a platform address passes all groups",
		[POLICY_BY_NO_GROUP] = "neither the NIC nor its subnet has a group",
		[POLICY_BY_ADDRESS] =
			"without any group, a Standard public address admits nothing from outside",
	};

	return texts[reason];
}

static void print_explanation(
	const struct policy_packet *packet, const struct policy_explanation *explanation)
{
	g_autofree char *source = end_text(packet->source, packet->source_port, packet->protocol);
	g_autofree char *destination =
		end_text(packet->destination, packet->destination_port, packet->protocol);
	g_autofree char *protocol = cli_policy_protocol(packet->protocol);
	const char *reason = reason_text(explanation->verdict.reason);

	printf("%s: %s %s from %s to %s\n", explanation->verdict.allow ? "allow" : "deny",
		policy_word_text(policy_direction_words, packet->direction), protocol, source, destination);
	if (reason)
		printf("  %s\n", reason);
	for (unsigned i = 0; i < explanation->n_steps; i++) {
		const struct policy_step *step = &explanation->steps[i];
		printf("  %s group %s: %s by rule %s, priority %u\n",
			step->at == POLICY_AT_SUBNET ? "subnet" : "NIC", step->group->name,
			step->allow ? "allow" : "deny", step->rule->name, step->rule->priority);
	}
}

static json_t *packet_encode(const struct policy_packet *packet)
{
	char source[IP_TEXT_MAX], destination[IP_TEXT_MAX];

	return json_pack("{s:s, s:o, s:s, s:s, s:i, s:i}", "direction",
		policy_word_text(policy_direction_words, packet->direction), "protocol",
		policy_protocol_encode(packet->protocol), "src", ip_format(packet->source, source), "dst",
		ip_format(packet->destination, destination), "sport", packet->source_port, "dport",
		packet->destination_port);
}

int cli_policy_check(const struct cli_policy_options *options, const struct policy_state_nic *nic)
{
	struct policy_nic policy = nic->policy;
	struct policy_packet packet = {};
	g_autoptr(GError) error = NULL;

	if (!packet_parse(options, nic, &packet, &policy.standard_address, &error)) {
		cli_fail("policy", error);
		return CLI_USAGE;
	}
	const struct policy_explanation explanation = policy_explain(&policy, &packet);
	if (!options->as_json) {
		print_explanation(&packet, &explanation);
		return CLI_OK;
	}
	json_auto_t *json = policy_explanation_encode(&explanation);
	json_object_set_new(json, "nic", json_string(nic->uid));
	json_object_set_new(json, "nic_name", json_string(nic->name));
	json_object_set_new(json, "packet", packet_encode(&packet));
	cli_print_json(json);
	return CLI_OK;
}
