/* `sluice trace`: what would become of a packet, layer by layer. */
#include "cli/cli.h"
#include "cli/switch_call.h"

#include <libsmartcols/libsmartcols.h>
#include <stdio.h>

static const char *text(const json_t *object, const char *member)
{
	const char *value = json_string_value(json_object_get(object, member));

	return value ? value : "";
}

static void print_steps(json_t *steps)
{
	static const char *const members[] = {"stage", "nic_name", "direction", "verdict", "text"};
	static const char *const titles[] = {"STAGE", "NIC", "DIRECTION", "VERDICT", ""};
	struct libscols_table *table = scols_new_table();
	size_t i;
	json_t *step;

	for (size_t c = 0; c < G_N_ELEMENTS(titles); c++)
		scols_table_new_column(table, titles[c], 0, 0);
	json_array_foreach(steps, i, step)
	{
		struct libscols_line *line = scols_table_new_line(table, NULL);
		for (size_t c = 0; c < G_N_ELEMENTS(members); c++)
			scols_line_set_data(line, c, text(step, members[c]));
	}
	scols_print_table(table);
	scols_unref_table(table);
}

static void print_half(const char *title, const json_t *half)
{
	if (!half)
		return;
	g_autofree char *src = switch_format_end(half, "src", "sport");
	g_autofree char *dst = switch_format_end(half, "dst", "dport");
	g_autofree char *actions = switch_format_actions(half);
	printf("  %s %s %s > %s: %s\n", title, text(half, "protocol"), src, dst, actions);
}

static void print_outcome(const json_t *result)
{
	const json_t *drop = json_object_get(result, "drop");

	printf("\n%s", text(result, "verdict"));
	if (drop)
		printf(": %s (%s)", text(drop, "text"), text(drop, "reason"));
	if (drop && json_object_get(drop, "rule"))
		printf(", by rule %s of group %s", text(drop, "rule"), text(drop, "group"));
	putchar('\n');
	print_half("packet ", json_object_get(result, "forward"));
	print_half("answers", json_object_get(result, "reply"));
}

int cli_trace(int argc, char **argv)
{
	g_autofree char *state = NULL;
	gboolean as_json = FALSE;
	const GOptionEntry entries[] = {
		{"state", 0, 0, G_OPTION_ARG_FILENAME, &state, "State folder of the cloud (/var/lib/sluice)",
			"DIR"},
		{"json", 0, 0, G_OPTION_ARG_NONE, &as_json, "Print JSON", NULL},
		{NULL},
	};
	g_autoptr(GError) error = NULL;

	if (!cli_options(&argc, &argv, "NIC PACKET",
		    "Says what the switch would do with a packet that NIC (uid or name) sends, or that is "
		    "sent to "
		    "it, and what each layer has to say. Nothing is sent. PACKET, quoted for the shell:\n"
		    "  'out tcp 192.168.1.4:1234 > 10.0.0.5:22 syn'   'in udp 198.18.0.1:53 > "
		    "198.18.0.10:5000'\n"
		    "  'out icmp 192.168.1.4 > 192.168.1.1'   'out arp who-has 192.168.1.1 tell "
		    "192.168.1.4'\n"
		    "  'out dhcp'   'out nd who-has fd00::1'   'out rs'   'out dhcp6'\n"
		    "  'out esp 192.168.1.4 > 10.0.0.5', also ah, or proto N\n"
		    "  of tcp with flags: syn ack fin rst psh urg, or none; of icmp with echo, echo-reply, "
		    "or "
		    "type N code N, and id N\n"
		    "  with ttl N, length N, df, smac MAC, dmac MAC behind any of them.",
		    entries))
		return CLI_USAGE;
	if (argc < 3) {
		fprintf(stderr, "sluice trace: a NIC and a packet are needed, as in: sluice trace web-nic "
				"'out tcp 192.168.1.4:1234 > 10.0.0.5:22 syn'\n");
		return CLI_USAGE;
	}
	g_autofree char *packet = g_strjoinv(" ", argv + 2);
	_cleanup_(jsonrpc_client_free) struct jsonrpc_client *client = switch_client(state, &error);
	if (!client)
		return cli_fail("trace", error);
	json_auto_t *result = switch_call(
		client, "trace", json_pack("{s:s, s:s}", "nic", argv[1], "packet", packet), &error);
	if (!result)
		return cli_refused("trace", error);
	if (as_json) {
		cli_print_json(result);
		return CLI_OK;
	}
	print_steps(json_object_get(result, "steps"));
	print_outcome(result);
	return CLI_OK;
}
