/* `sluice up`: whether the options make a cloud, as far as they alone tell. */
#include "base/fault.h"
#include "base/ip.h"
#include "cli/listen.h"
#include "cli/up_priv.h"
#include "nic/host_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WORKERS_MAX     16 /* as the switch has it: switch/snapshot.h, SNAPSHOT_WORKERS */
#define POOL_LENGTH_MAX 29 /* the network's address, the gateway and the last one are given to nobody */

const struct up_switch_option up_switch_options[UP_SWITCH_OPTIONS] = {
	{"switch-flow-memory", "Keep connections in this file on hugetlbfs or tmpfs (one of its own)",
		"FILE"},
	{"switch-memory", "Memory of the switch for packet buffers (64)", "MIB"},
	{"switch-hugepages", "Whether the switch uses huge pages: auto (when enough are free), on, off",
		"WHEN"},
	{"switch-connections", "Connections that the switch holds", "N"},
	{"switch-nic-connections", "Connections that one NIC may hold", "N"},
	{"switch-numa-node", "Run the switch on this NUMA node, with its memory", "N"},
};

GPtrArray *up_switch_arguments(const struct up_options *options, const char *socket, const char *state_dir)
{
	GPtrArray *args = g_ptr_array_new_with_free_func(g_free);

	g_ptr_array_add(args, g_strdup_printf("--socket=%s", socket));
	g_ptr_array_add(args, g_strdup_printf("--state-dir=%s", state_dir));
	g_ptr_array_add(args, g_strdup_printf("--workers=%d", options->workers));
	g_assert(args->len == UP_SWITCH_OWN_ARGUMENTS);
	for (unsigned i = 0; i < UP_SWITCH_OPTIONS; i++)
		if (options->switch_values[i])
			g_ptr_array_add(args, g_strdup_printf("--%s=%s",
						      up_switch_options[i].name + strlen(UP_SWITCH_PREFIX),
						      options->switch_values[i]));
	return args;
}

/* The switch's sentence about an option of its own, which is called something longer here. */
static bool fail_switch_option(const char *said, GError **error)
{
	static const char speaker[] = "sluice-switch: ";
	const char *sentence = g_str_has_prefix(said, speaker) ? said + strlen(speaker) : said;
	const char *dashes = strstr(sentence, "--");

	if (!dashes)
		return fault_set(error, FAULT_INTERNAL, "sluice-switch --check fails: %s", sentence);
	return fault_set(error, FAULT_INVALID, "%.*s--" UP_SWITCH_PREFIX "%s", (int)(dashes - sentence),
		sentence, dashes + 2);
}

bool up_ask_switch(const struct up_options *options, GError **error)
{
	g_autoptr(GPtrArray) args = up_switch_arguments(options, "/", "/");
	g_autofree char *program = NULL, *said = NULL;
	int status = 0;

	if (args->len == UP_SWITCH_OWN_ARGUMENTS)
		return true;
	program = layout_program("sluice-switch", error);
	if (!program)
		return false;
	g_ptr_array_insert(args, 0, g_strdup(program));
	g_ptr_array_add(args, g_strdup("--check"));
	g_ptr_array_add(args, NULL);
	if (!g_spawn_sync(NULL, (char **)args->pdata, NULL, G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL,
		    &said, &status, error))
		return false;
	return status == 0 || fail_switch_option(g_strchomp(said), error);
}

/* Fails with the prefix that the text would be without the bits past its length. */
static bool fail_host_bits(const char *text, GError **error)
{
	const char *slash = strchr(text, '/');
	g_autofree char *bare = g_strndup(text, (gsize)(slash - text));
	unsigned length = (unsigned)g_ascii_strtoull(slash + 1, NULL, 10);
	struct ip_prefix meant = {.length = (uint8_t)length};
	char meant_text[PREFIX_TEXT_MAX];

	ip_parse(bare, &meant.addr);
	for (unsigned bit = length; bit < 8 * sizeof meant.addr.bytes; bit++)
		meant.addr.bytes[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
	return fault_set(error, FAULT_INVALID,
		"--public-prefix %s has bits set past its length; %s is probably meant", text,
		prefix_format(meant, meant_text));
}

static bool check_pool(struct up_options *options, GError **error)
{
	const char *text = options->public_prefix;
	struct ip_prefix pool;
	struct ip_addr gateway;
	int r = prefix_parse(text, &pool);

	if (r == -ERANGE)
		return fail_host_bits(text, error);
	if (r < 0 || pool.addr.family != IP_V4)
		return fault_set(error, FAULT_INVALID,
			"--public-prefix takes an IPv4 prefix such as 198.18.0.0/24, not '%s'", text);
	if (pool.length > POOL_LENGTH_MAX)
		return fault_set(error, FAULT_INVALID,
			"--public-prefix %s has no room for public addresses; /%d is the smallest pool", text,
			POOL_LENGTH_MAX);
	if (!options->public_gateway)
		options->public_gateway = ip_format(prefix_nth(pool, 1), options->first_address);
	if (ip_parse(options->public_gateway, &gateway) < 0 || !prefix_contains(pool, gateway))
		return fault_set(error, FAULT_INVALID, "--public-gateway takes an address of %s, not '%s'",
			text, options->public_gateway);
	return true;
}

/* Other hosts are told to come there. */
static bool check_tunnel(const char *tunnel, GError **error)
{
	struct ip_addr address;
	const char *colon = strrchr(tunnel, ':');
	g_autofree char *host = g_strndup(tunnel, colon ? (gsize)(colon - tunnel) : strlen(tunnel));

	if (colon && ip_parse(host, &address) == 0 && address.family == IP_V4 && address.bytes[0] != 0)
		return listen_check("--tunnel", tunnel, error);
	return fault_set(error, FAULT_INVALID,
		"--tunnel takes the IPv4 address at which other hosts reach this one, with a port, such as "
		"10.0.0.1:8446, not '%s'",
		tunnel);
}

static bool check_listens(const struct up_options *options, GError **error)
{
	if (!listen_check("--listen", options->listen, error) ||
		!listen_check("--agent-listen", options->agent_listen, error))
		return false;
	if (options->tunnel && !check_tunnel(options->tunnel, error))
		return false;
	if (listen_overlaps(options->listen, options->agent_listen))
		return fault_set(error, FAULT_INVALID,
			"--listen %s and --agent-listen %s are one place; give one of them another port",
			options->listen, options->agent_listen);
	return true;
}

/* As far as no interface must be looked at: the agent does. */
static bool check_underlay(const struct up_options *options, GError **error)
{
	g_auto(GStrv) halves = g_strsplit(options->underlay_address ? options->underlay_address : "", "/", 2);
	struct ip_addr address;
	guint64 length;

	if (!options->underlay != !options->underlay_address)
		return fault_set(error, FAULT_INVALID,
			"--underlay and --underlay-address are given together, or none of them");
	if (!options->underlay && (options->underlay_gateway || options->underlay_mtu))
		return fault_set(error, FAULT_INVALID,
			"--underlay-gateway and --underlay-mtu need --underlay and --underlay-address");
	if (!options->underlay || g_str_equal(options->underlay_address, "host"))
		return true;
	if (!halves[0] || !halves[1] || ip_parse(halves[0], &address) < 0 || address.family != IP_V4 ||
		!g_ascii_string_to_unsigned(halves[1], 10, 1, 32, &length, NULL))
		return fault_set(error, FAULT_INVALID,
			"--underlay-address takes an IPv4 address with its prefix's length, such as "
			"172.16.0.1/24, or 'host', not '%s'",
			options->underlay_address);
	return true;
}

static bool check_controller(const struct up_options *options, GError **error)
{
	if (!options->controller || g_str_has_prefix(options->controller, "https://"))
		return true;
	return fault_set(error, FAULT_INVALID,
		"--controller takes a URL such as https://10.0.0.1:8444, not '%s'", options->controller);
}

bool up_check_options(struct up_options *options, GError **error)
{
	if (options->sizes && !g_file_test(options->sizes, G_FILE_TEST_IS_REGULAR))
		return fault_set(error, FAULT_INVALID, "--sizes %s: there is no such file", options->sizes);
	if (!g_str_equal(options->host_file, HOST_FILE) &&
		!g_file_test(options->host_file, G_FILE_TEST_EXISTS))
		return fault_set(error, FAULT_INVALID,
			"--host-file %s: there is no such file; /dev/null stands for none",
			options->host_file);
	if (!g_str_equal(options->outside, "host") && !g_str_has_prefix(options->outside, "netns:"))
		return fault_set(error, FAULT_INVALID, "--outside takes 'host' or 'netns:NAME', not '%s'",
			options->outside);
	if (!options->locations[strspn(options->locations, ", \t")])
		return fault_set(
			error, FAULT_INVALID, "--locations names none; give at least one, such as centralus");
	if (options->workers < 1 || options->workers > WORKERS_MAX)
		return fault_set(error, FAULT_INVALID, "--workers takes a number from 1 to %d, not %d",
			WORKERS_MAX, options->workers);
	/* Not <=: what is no number fails too. */
	if (!(options->cpu_ratio > 0) || !(options->ram_ratio > 0))
		return fault_set(error, FAULT_INVALID, "allocation ratios must be greater than 0");
	return check_pool(options, error) && check_listens(options, error) &&
	       check_underlay(options, error) && check_controller(options, error);
}
