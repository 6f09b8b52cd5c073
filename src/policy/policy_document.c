/* A NIC's rules for its guest: see policy_document.h. */
#include "policy/policy_document.h"

#include "policy/policy_effective.h"
#include "policy/policy_prefixes.h"
#include "policy/policy_words.h"

#include <stdlib.h>

/* ---- a side ---- */

static int by_first(const void *a, const void *b)
{
	const struct policy_ports *x = a, *y = b;

	return (int)x->first - (int)y->first;
}

static json_t *ports_encode(const struct policy_side *side)
{
	json_t *json = json_array();
	g_autofree struct policy_ports *sorted = g_memdup2(side->ports, side->n_ports * sizeof *sorted);

	if (side->n_ports == 0)
		return json;
	qsort(sorted, side->n_ports, sizeof *sorted, by_first);
	struct policy_ports run = sorted[0];
	for (size_t i = 1; i < side->n_ports; i++) {
		if (sorted[i].first <= run.last + 1) {
			run.last = MAX(run.last, sorted[i].last);
			continue;
		}
		json_array_append_new(json, json_pack("[i, i]", run.first, run.last));
		run = sorted[i];
	}
	json_array_append_new(json, json_pack("[i, i]", run.first, run.last));
	return json;
}

static json_t *prefixes_encode(const GArray *prefixes)
{
	json_t *json = json_array();
	char text[PREFIX_TEXT_MAX];

	for (unsigned i = 0; i < prefixes->len; i++)
		json_array_append_new(
			json, json_string(prefix_format(g_array_index(prefixes, struct ip_prefix, i), text)));
	return json;
}

/* NULL when no address is of the side. */
static json_t *side_encode(const struct policy_side *side, const struct policy_space *space)
{
	g_autoptr(GArray) prefixes = policy_side_prefixes(side, space);

	if (prefixes->len == 0)
		return NULL;
	return json_pack("{s:o, s:o}", "prefixes", prefixes_encode(prefixes), "ports", ports_encode(side));
}

/* ---- rules ---- */

static json_t *protocol_encode(uint8_t protocol)
{
	if (protocol == POLICY_ANY || protocol == POLICY_ICMP)
		return json_string(policy_word_text(policy_protocol_words, protocol));
	return json_integer(protocol);
}

static bool can_match(const struct policy_rule *rule)
{
	bool lists_ports = rule->source.n_ports || rule->destination.n_ports;

	return !lists_ports || rule->protocol == POLICY_ANY || rule->protocol == POLICY_TCP ||
	       rule->protocol == POLICY_UDP;
}

static void add_rule(json_t *rules, const struct policy_rule *rule, const struct policy_space *space)
{
	json_auto_t *source = side_encode(&rule->source, space),
		    *destination = side_encode(&rule->destination, space);

	if (source && destination && can_match(rule))
		json_array_append_new(rules, json_pack("{s:s, s:o, s:O, s:O}", "action",
						     policy_word_text(policy_action_words, rule->action),
						     "protocol", protocol_encode(rule->protocol), "source",
						     source, "destination", destination));
}

static json_t *group_new(json_t *groups, bool revalidate)
{
	json_t *rules = json_array();

	json_array_append_new(groups, json_pack("{s:b, s:o}", "revalidate", revalidate, "rules", rules));
	return rules;
}

/* What policy_check() says of a NIC with no group, as rules. */
static json_t *ungrouped_encode(const struct policy_document *document, enum policy_direction direction)
{
	json_t *groups = json_array();
	const struct policy_space *space = &document->nic->space;
	const struct policy_rule closed = {.action = POLICY_DENY,
		.source.tags = POLICY_TAG_INTERNET,
		.destination = {.n_prefixes = document->n_standard, .prefixes = document->standard}};
	const struct policy_rule open = {
		.action = POLICY_ALLOW, .source.tags = POLICY_TAG_ANY, .destination.tags = POLICY_TAG_ANY};

	if (direction == POLICY_INBOUND && document->n_standard > 0) {
		json_t *rules = group_new(groups, true);
		add_rule(rules, &closed, space);
		add_rule(rules, &open, space);
	}
	return groups;
}

static json_t *direction_encode(const struct policy_document *document, enum policy_direction direction)
{
	g_autoptr(GArray) list = policy_effective(document->nic, direction);
	json_t *groups, *rules = NULL;

	if (list->len == 0)
		return ungrouped_encode(document, direction);
	groups = json_array();
	for (unsigned i = 0; i < list->len; i++) {
		const struct policy_effective_rule *entry =
			&g_array_index(list, struct policy_effective_rule, i);
		if (i == 0 || entry->at != entry[-1].at)
			rules = group_new(groups, entry->at == POLICY_AT_SUBNET ? document->subnet_revalidates
										: document->nic_revalidates);
		add_rule(rules, entry->rule, &document->nic->space);
	}
	return groups;
}

json_t *policy_document_encode(const struct policy_document *document)
{
	return json_pack("{s:i, s:o, s:o}", "version", POLICY_DOCUMENT_VERSION, "inbound",
		direction_encode(document, POLICY_INBOUND), "outbound",
		direction_encode(document, POLICY_OUTBOUND));
}

char *policy_document_text(const json_t *json)
{
	char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
	char *copy = g_strdup(text);

	free(text);
	return copy;
}
