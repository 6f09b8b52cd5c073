/* `sluice policy`: the rules that a NIC is subject to, and what they say of a packet.
 *
 * Both are worked out here, by the reference evaluator (policy/), from the state that the switch says it uses:
 * so the answer is about the rules in force, also while the agent or the controller is away.
 */
#include "cli/cli.h"
#include "cli/policy_priv.h"
#include "cli/switch_call.h"
#include "policy/policy_effective.h"
#include "policy/policy_words.h"

#include <libsmartcols/libsmartcols.h>
#include <stdio.h>

static void options_clear(struct cli_policy_options *options)
{
	g_free(options->state);
	g_free(options->protocol);
	g_free(options->source);
	g_free(options->destination);
	g_free(options->direction);
}
CLEANUP_CLEAR_FUNC(struct cli_policy_options, options_clear)

static struct policy_state *load(const struct cli_policy_options *options, GError **error)
{
	_cleanup_(jsonrpc_client_free) struct jsonrpc_client *client = switch_client(options->state, error);
	json_auto_t *json = client ? switch_call(client, "state", NULL, error) : NULL;
	struct policy_state *state = json ? policy_state_decode(json, error) : NULL;

	if (json && !state)
		g_prefix_error(error, "the switch's state: ");
	return state;
}

/* Lets `what` of the state's NIC run; returns its exit status. */
static int with_nic(const struct cli_policy_options *options, const char *name,
	int (*what)(const struct cli_policy_options *, const struct policy_state_nic *))
{
	g_autoptr(GError) error = NULL;
	_cleanup_(policy_state_free) struct policy_state *state = load(options, &error);
	const struct policy_state_nic *nic = state ? policy_state_find(state, name, &error) : NULL;

	if (!state)
		return cli_fail(
			"policy", error); /* it may be malformed, too, but by no fault of the command line */
	return nic ? what(options, nic) : cli_refused("policy", error);
}

/* ---- effective ---- */

static void add_word(GString *text, const char *word)
{
	g_string_append_printf(text, "%s%s", text->len ? ", " : "", word);
}

static const char *group_name(const struct policy_space *space, uint32_t number)
{
	for (size_t i = 0; i < space->n_members; i++)
		if (space->members[i].group == number)
			return space->members[i].name;
	return NULL;
}

static char *addresses_text(const struct policy_side *side, const struct policy_space *space)
{
	GString *text = g_string_new(side->tags & POLICY_TAG_ANY ? "*" : NULL);
	char prefix[PREFIX_TEXT_MAX];

	for (const struct policy_word *tag = policy_tag_words; tag->text; tag++)
		if (side->tags & tag->value)
			add_word(text, tag->text);
	for (size_t i = 0; i < side->n_prefixes; i++)
		add_word(text, prefix_format(side->prefixes[i], prefix));
	for (size_t i = 0; i < side->n_groups; i++) {
		const char *name = group_name(space, side->groups[i]);
		g_autofree char *number = g_strdup_printf("group %u", side->groups[i]);
		add_word(text, name ? name : number);
	}
	return g_string_free(text, false);
}

static char *ports_text(const struct policy_side *side)
{
	GString *text = g_string_new(side->n_ports ? NULL : "*");

	for (size_t i = 0; i < side->n_ports; i++) {
		struct policy_ports ports = side->ports[i];
		g_autofree char *word = ports.first == ports.last
						? g_strdup_printf("%u", ports.first)
						: g_strdup_printf("%u-%u", ports.first, ports.last);
		add_word(text, word);
	}
	return g_string_free(text, false);
}

char *cli_policy_protocol(uint8_t protocol)
{
	const char *word = policy_word_text(policy_protocol_words, protocol);

	return protocol == POLICY_ANY ? g_strdup("*")
	       : word                 ? g_strdup(word)
				      : g_strdup_printf("%u", protocol);
}

static void add_line(struct libscols_table *table, const struct policy_effective_rule *entry,
	const struct policy_space *space)
{
	const struct policy_rule *rule = entry->rule;
	struct libscols_line *line = scols_table_new_line(table, NULL);
	char *const cells[] = {
		g_strdup(policy_word_text(policy_place_words, (uint8_t)entry->at)),
		g_strdup(entry->group->name),
		g_strdup_printf("%u", rule->priority),
		g_strdup(rule->name),
		g_strdup(policy_word_text(policy_action_words, rule->action)),
		cli_policy_protocol(rule->protocol),
		addresses_text(&rule->source, space),
		ports_text(&rule->source),
		addresses_text(&rule->destination, space),
		ports_text(&rule->destination),
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cells); i++) {
		scols_line_set_data(line, i, cells[i]);
		g_free(cells[i]);
	}
}

static void print_direction(const struct policy_nic *nic, enum policy_direction direction)
{
	static const char *const titles[] = {"AT", "GROUP", "PRIORITY", "RULE", "ACTION", "PROTOCOL",
		"SOURCE", "PORTS", "DESTINATION", "PORTS"};
	g_autoptr(GArray) list = policy_effective(nic, direction);
	struct libscols_table *table = scols_new_table();

	printf("%s\n", policy_word_text(policy_direction_words, (uint8_t)direction));
	for (size_t i = 0; i < G_N_ELEMENTS(titles); i++)
		scols_table_new_column(
			table, titles[i], 0, g_str_equal(titles[i], "PRIORITY") ? SCOLS_FL_RIGHT : 0);
	for (unsigned i = 0; i < list->len; i++)
		add_line(table, &g_array_index(list, struct policy_effective_rule, i), &nic->space);
	scols_print_table(table);
	scols_unref_table(table);
	putchar('\n');
}

static void print_meaning(const char *name, const struct policy_side *side, const struct policy_space *space)
{
	g_autoptr(GArray) prefixes = policy_side_prefixes(side, space);
	g_autoptr(GString) text = g_string_new(NULL);
	char prefix[PREFIX_TEXT_MAX];

	for (unsigned i = 0; i < prefixes->len; i++)
		add_word(text, prefix_format(g_array_index(prefixes, struct ip_prefix, i), prefix));
	printf("%s: %s\n", name, text->len ? text->str : "no address");
}

/* What the names in the tables stand for at this NIC. */
static void print_meanings(const struct policy_space *space)
{
	const struct policy_side network = {.tags = POLICY_TAG_VIRTUAL_NETWORK};

	print_meaning("VirtualNetwork", &network, space);
	printf("Internet: all that is not VirtualNetwork\n");
	for (size_t i = 0; i < space->n_members; i++) {
		const struct policy_side group = {.groups = &space->members[i].group, .n_groups = 1};
		print_meaning(space->members[i].name, &group, space);
	}
}

static bool has_standard(const struct policy_state_nic *nic)
{
	for (unsigned i = 0; i < nic->n_addresses; i++)
		if (nic->addresses[i].standard)
			return true;
	return false;
}

int cli_policy_effective(const struct cli_policy_options *options, const struct policy_state_nic *nic)
{
	if (options->as_json) {
		json_auto_t *json = policy_effective_encode(&nic->policy);
		json_object_set_new(json, "nic", json_string(nic->uid));
		json_object_set_new(json, "nic_name", json_string(nic->name));
		cli_print_json(json);
		return CLI_OK;
	}
	if (!nic->policy.subnet_group && !nic->policy.nic_group) {
		printf("%s has no security group, nor has its subnet: everything is allowed%s\n", nic->name,
			has_standard(nic) ? ", but nothing from outside to a Standard public address" : "");
		return CLI_OK;
	}
	print_direction(&nic->policy, POLICY_INBOUND);
	print_direction(&nic->policy, POLICY_OUTBOUND);
	print_meanings(&nic->policy.space);
	return CLI_OK;
}

/* ---- the verb ---- */

static bool parse_options(int *argc, char ***argv, struct cli_policy_options *options)
{
	const GOptionEntry entries[] = {
		{"state", 0, 0, G_OPTION_ARG_FILENAME, &options->state,
			"State folder of the cloud (/var/lib/sluice)", "DIR"},
		{"json", 0, 0, G_OPTION_ARG_NONE, &options->as_json,
			"Print JSON, with tags and application groups resolved", NULL},
		{"proto", 0, 0, G_OPTION_ARG_STRING, &options->protocol,
			"tcp (if not given), udp, icmp, esp, ah or a number", "NAME"},
		{"src", 0, 0, G_OPTION_ARG_STRING, &options->source, "Where the packet comes from",
			"ADDRESS"},
		{"dst", 0, 0, G_OPTION_ARG_STRING, &options->destination, "Where it goes to", "ADDRESS"},
		{"sport", 0, 0, G_OPTION_ARG_INT, &options->source_port, "Its source port (49152)", "PORT"},
		{"dport", 0, 0, G_OPTION_ARG_INT, &options->destination_port, "Its destination port", "PORT"},
		{"direction", 0, 0, G_OPTION_ARG_STRING, &options->direction,
			"inbound or outbound; else by the end that is the NIC's, else inbound", "WORD"},
		{NULL},
	};

	return cli_options(argc, argv, "effective NIC | check NIC --dport PORT",
		"Shows the rules that a NIC (uid or name) is subject to, in the order in which they are "
		"asked; "
		"says what they decide about the first packet of a connection, and by which rule. An end of "
		"the "
		"packet that is not given is the NIC's own address, or somewhere on the Internet; when none "
		"is, the "
		"packet comes in. Give a public "
		"address of the NIC, or the private one: rules see the private.",
		entries);
}

/* What is wrong with the command line of an action that there is; NULL: nothing. */
static const char *find_mistake(int argc, char **argv, const struct cli_policy_options *o)
{
	bool effective = g_str_equal(argv[1], "effective");
	bool has_packet = o->protocol || o->source || o->destination || o->direction ||
			  o->source_port != CLI_POLICY_NO_PORT || o->destination_port != CLI_POLICY_NO_PORT;

	if (argc < 3)
		return "a NIC is needed, by its uid or name";
	if (argc > 3)
		return "it takes one NIC, and options begin with --";
	return effective && has_packet ? "effective shows all rules; 'check NIC' asks about a packet" : NULL;
}

int cli_policy(int argc, char **argv)
{
	_cleanup_(options_clear) struct cli_policy_options options = {
		.source_port = CLI_POLICY_NO_PORT, .destination_port = CLI_POLICY_NO_PORT};
	g_autoptr(GError) error = NULL;

	if (!parse_options(&argc, &argv, &options))
		return CLI_USAGE;
	bool check = argc > 1 && g_str_equal(argv[1], "check");
	if (!check && !(argc > 1 && g_str_equal(argv[1], "effective")))
		return cli_no_action("policy", argc > 1 ? argv[1] : NULL, "'effective NIC' or 'check NIC'");
	const char *mistake = find_mistake(argc, argv, &options);
	if (mistake)
		return cli_misused("policy", mistake);
	if (check && !cli_policy_check_packet(&options, &error))
		return cli_misused("policy", error->message);
	return with_nic(&options, argv[2], check ? cli_policy_check : cli_policy_effective);
}
