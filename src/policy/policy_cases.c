/* Prints random worlds with packets and the reference's verdicts, for oracles in other languages.
 *
 *     policy_cases SEED RULES PACKETS     at most RULES in a group
 *
 * One JSON text a line, before and after a change: {"seed", "state" (docs/API.md), "packets": [{"nic",
 * "direction", "protocol", "src", "dst", "sport", "dport", "allow", "why"}], "documents": {NIC: what its guest
 * is to apply (policy_document.h)}}.
 */
#include "policy/policy_document.h"
#include "policy/policy_effective.h"
#include "policy/policy_gen.h"
#include "policy/policy_json.h"
#include "policy/policy_words.h"

#include <stdio.h>
#include <stdlib.h>

/* The rules' names, for whoever reads a mismatch. */
static char *why(const struct policy_explanation *explanation)
{
	GString *text =
		g_string_new(policy_word_text(policy_reason_words, (uint8_t)explanation->verdict.reason));

	for (unsigned i = 0; i < explanation->n_steps; i++)
		g_string_append_printf(text, " %s", explanation->steps[i].rule->name);
	return g_string_free(text, false);
}

static json_t *packet_encode(const struct policy_gen_world *world, const struct policy_gen_packet *packet)
{
	const struct policy_packet *fields = &packet->packet;
	const struct policy_nic nic = policy_gen_policy(world, packet->nic, packet->address);
	const struct policy_explanation explanation = policy_explain(&nic, fields);
	g_autofree char *reason = why(&explanation);
	char source[IP_TEXT_MAX], destination[IP_TEXT_MAX];

	return json_pack("{s:s, s:s, s:i, s:s, s:s, s:i, s:i, s:b, s:s}", "nic", world->nics[packet->nic].uid,
		"direction", policy_word_text(policy_direction_words, fields->direction), "protocol",
		fields->protocol, "src", ip_format(fields->source, source), "dst",
		ip_format(fields->destination, destination), "sport", fields->source_port, "dport",
		fields->destination_port, "allow", explanation.verdict.allow, "why", reason);
}

static json_t *document_encode(const struct policy_gen_world *world, unsigned number)
{
	const struct policy_gen_nic *nic = &world->nics[number];
	const struct policy_nic policy = policy_gen_policy(world, number, 0);
	struct ip_prefix standard[POLICY_GEN_ADDRESSES];
	struct policy_document document = {
		.nic = &policy, .subnet_revalidates = true, .nic_revalidates = true, .standard = standard};

	for (unsigned i = 0; i < nic->n_addresses; i++)
		if (nic->addresses[i].standard)
			standard[document.n_standard++] = (struct ip_prefix){
				nic->addresses[i].ip, nic->addresses[i].ip.family == IP_V4 ? 32 : 128};
	return policy_document_encode(&document);
}

static void print_world(struct policy_gen *gen, unsigned n_packets)
{
	const struct policy_gen_world *world = policy_gen_world(gen);
	json_t *packets = json_array(), *documents = json_object();
	json_t *json = json_pack("{s:I, s:o, s:o, s:o}", "seed", (json_int_t)world->seed, "state",
		policy_gen_state(gen, 1), "packets", packets, "documents", documents);

	for (unsigned i = 0; i < n_packets; i++) {
		const struct policy_gen_packet packet = policy_gen_packet(gen, i % world->n_nics);
		json_array_append_new(packets, packet_encode(world, &packet));
	}
	for (unsigned i = 0; i < world->n_nics; i++)
		json_object_set_new(documents, world->nics[i].uid, document_encode(world, i));
	json_dumpf(json, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(json);
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "policy_cases SEED RULES PACKETS\n");
		return 2;
	}
	const struct policy_gen_config config = {
		.rules_max = (unsigned)strtoul(argv[2], NULL, 10), .groups = 4, .nics = 8};
	unsigned n_packets = (unsigned)strtoul(argv[3], NULL, 10);
	_cleanup_(policy_gen_free) struct policy_gen *gen =
		policy_gen_new(strtoull(argv[1], NULL, 10), &config);

	print_world(gen, n_packets);
	policy_gen_change(gen);
	print_world(gen, n_packets);
	return 0;
}
