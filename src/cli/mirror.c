/* `sluice mirror`: copies of the packets of one NIC, or of one flow of it, as a pcapng file.
 *
 * How it works: the switch keeps copies in a ring (docs/API.md, mirror.start), which is read here several times a
 * second and written out. Interface 0 of the file is the NIC's synthetic path, interface 1 its function; inbound is
 * what the VM sent, outbound what was delivered to it, as the switch sees its ports.
 */
#include "base/fault.h"
#include "cli/cli.h"
#include "cli/pcapng.h"
#include "cli/switch_call.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define NOT_GIVEN    INT_MIN
#define POLL_MS      50
#define READ_PACKETS 1024 /* the most that one answer has */
#define SNAPLEN_MIN  64 /* the switch's, as what follows: switch/mirror_session.c */
#define SNAPLEN_MAX  65535
#define RATE_MIN     10
#define RATE_MAX     1000000

struct options {
	char *state, *flow, *protocol, *address, *file; /* Owned */
	int port, count, seconds, snaplen, rate; /* NOT_GIVEN: not given */
	gboolean json;
};

static void options_clear(struct options *options)
{
	g_free(options->state);
	g_free(options->flow);
	g_free(options->protocol);
	g_free(options->address);
	g_free(options->file);
}
CLEANUP_CLEAR_FUNC(struct options, options_clear)

struct capture {
	struct jsonrpc_client *client; /* Borrowed */
	const struct options *options; /* Borrowed */
	FILE *to; /* Owned, but for standard output */
	json_int_t mirror, written, limited, overrun;
	int64_t end_us; /* INT64_MAX: when it is told to */
	int signals; /* Borrowed: readable when SIGINT or SIGTERM came */
};

static json_int_t number(const json_t *object, const char *member)
{
	return json_integer_value(json_object_get(object, member));
}

/* ---- start ---- */

static json_t *start_params(const char *nic, const struct options *o)
{
	json_t *params = json_pack("{s:s, s:s*, s:s*, s:s*}", "nic", nic, "flow", o->flow, "protocol",
		o->protocol, "address", o->address);
	const struct {
		const char *member;
		int value;
	} numbers[] = {{"port", o->port}, {"snaplen", o->snaplen}, {"rate", o->rate}};

	for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++)
		if (numbers[i].value != NOT_GIVEN)
			json_object_set_new(params, numbers[i].member, json_integer(numbers[i].value));
	return params;
}

static bool fail_write(GError **error)
{
	return fault_set(error, FAULT_INTERNAL, "cannot write the packets: %s", g_strerror(errno));
}

static bool write_head(struct capture *c, const json_t *started, GError **error)
{
	const char *nic = json_string_value(json_object_get(started, "nic_name"));
	g_autofree char *synthetic = g_strdup_printf("%s synthetic", nic);
	g_autofree char *function = g_strdup_printf("%s function", nic);
	uint32_t snaplen = (uint32_t)number(started, "snaplen");

	if (c->options->json)
		return true;
	return (pcapng_begin(c->to, "sluice") && pcapng_interface(c->to, synthetic, snaplen) &&
		       pcapng_interface(c->to, function, snaplen)) ||
	       fail_write(error);
}

/* ---- packets ---- */

static bool write_packet(struct capture *c, const json_t *packet)
{
	gsize length;

	if (c->options->json)
		return json_dumpf(packet, c->to, 0) == 0 && fputc('\n', c->to) != EOF;
	g_autofree uint8_t *bytes =
		g_base64_decode(json_string_value(json_object_get(packet, "data")), &length);
	const struct pcapng_packet out = {
		.interface =
			g_str_equal(json_string_value(json_object_get(packet, "attachment")), "function"),
		.time_ns = (uint64_t)number(packet, "time_ns"),
		.outbound = g_str_equal(json_string_value(json_object_get(packet, "direction")), "tx"),
		.length = (uint32_t)number(packet, "length"),
		.captured = (uint32_t)length,
		.bytes = bytes,
	};
	return pcapng_packet(c->to, &out);
}

/* Whether a signal comes within the time. */
static bool wait_for_signal(const struct capture *c, int timeout_ms)
{
	struct pollfd poll_fd = {.fd = c->signals, .events = POLLIN};

	return poll(&poll_fd, 1, timeout_ms) == 1;
}

static bool is_over(const struct capture *c)
{
	return wait_for_signal(c, 0) || (c->options->count > 0 && c->written >= c->options->count) ||
	       g_get_monotonic_time() >= c->end_us;
}

static bool write_packets(struct capture *c, const json_t *packets, GError **error)
{
	size_t i;
	json_t *packet;

	json_array_foreach(packets, i, packet)
	{
		if (c->options->count > 0 && c->written >= c->options->count)
			break;
		if (!write_packet(c, packet))
			return fail_write(error);
		c->written++;
	}
	return fflush(c->to) == 0 || fail_write(error);
}

/* Until the packets, the seconds or the patience are over, or the NIC is. */
static bool copy_all(struct capture *c, GError **error)
{
	bool more = true;

	while (more && !is_over(c)) {
		json_auto_t *answer = switch_call(c->client, "mirror.read",
			json_pack("{s:I, s:i}", "mirror", c->mirror, "limit", READ_PACKETS), error);
		if (!answer)
			return false;
		const json_t *packets = json_object_get(answer, "packets");
		if (!write_packets(c, packets, error))
			return false;
		c->limited = number(answer, "limited");
		c->overrun = number(answer, "overrun");
		more = json_is_true(json_object_get(answer, "present"));
		if (!more)
			fprintf(stderr, "sluice mirror: the NIC is gone\n");
		else if (json_array_size(packets) < READ_PACKETS)
			wait_for_signal(c, POLL_MS);
	}
	return true;
}

/* ---- run ---- */

static void tell_end(const struct capture *c)
{
	fprintf(stderr, "%" JSON_INTEGER_FORMAT " packets", c->written);
	if (c->limited || c->overrun)
		fprintf(stderr,
			"; not copied: %" JSON_INTEGER_FORMAT " over the rate, %" JSON_INTEGER_FORMAT
			" that were not read in time",
			c->limited, c->overrun);
	fputc('\n', stderr);
}

static bool is_stdout(const struct options *o)
{
	return !o->file || g_str_equal(o->file, "-");
}

/* What tenants send is for its owner's eyes alone. */
static FILE *open_capture(const struct options *o, GError **error)
{
	if (is_stdout(o))
		return stdout;
	int fd = open(o->file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	FILE *to = fd < 0 ? NULL : fdopen(fd, "wb");
	if (!to)
		fault_set(error, FAULT_INTERNAL, "cannot write %s: %s", o->file, g_strerror(errno));
	return to;
}

static bool close_capture(FILE *to, GError **error)
{
	return to == stdout || fclose(to) == 0 || fail_write(error);
}

/* The file is touched only when the switch has taken the mirror: an older capture outlives a mistake. */
static bool capture(struct capture *c, const json_t *started, GError **error)
{
	c->to = open_capture(c->options, error);
	if (!c->to)
		return false;
	bool ok = write_head(c, started, error) && copy_all(c, error);
	ok = close_capture(c->to, ok ? error : NULL) && ok;
	tell_end(c);
	return ok;
}

static int run(const char *nic, const struct options *o, int signals)
{
	g_autoptr(GError) error = NULL;
	_cleanup_(jsonrpc_client_free) struct jsonrpc_client *client = switch_client(o->state, &error);
	struct capture c = {.client = client, .options = o, .end_us = INT64_MAX, .signals = signals};
	json_auto_t *started =
		client ? switch_call(client, "mirror.start", start_params(nic, o), &error) : NULL;

	if (!started)
		return cli_refused("mirror", error);
	c.mirror = number(started, "mirror");
	if (o->seconds > 0)
		c.end_us = g_get_monotonic_time() + (int64_t)o->seconds * G_USEC_PER_SEC;
	bool ok = capture(&c, started, &error);
	/* It ends without this too, but later. */
	json_decref(switch_call(client, "mirror.stop", json_pack("{s:I}", "mirror", c.mirror), NULL));
	return ok ? CLI_OK : cli_fail("mirror", error);
}

/* SIGINT and SIGTERM end the capture, not the program; neither does a reader that has seen enough. */
static int take_signals(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static bool parse_options(int *argc, char ***argv, struct options *o)
{
	const GOptionEntry entries[] = {
		{"state", 0, 0, G_OPTION_ARG_FILENAME, &o->state,
			"State folder of the cloud (/var/lib/sluice)", "DIR"},
		{"flow", 0, 0, G_OPTION_ARG_STRING, &o->flow,
			"Only this flow, both ways: 'tcp 192.168.1.4:1234 > 10.0.0.5:22'; NIC's end by its "
			"private or its public address",
			"FLOW"},
		{"protocol", 0, 0, G_OPTION_ARG_STRING, &o->protocol,
			"Only tcp, udp, icmp, esp, ah or a number", "PROTOCOL"},
		{"address", 0, 0, G_OPTION_ARG_STRING, &o->address,
			"Only from or to it; NIC's own public one means its private", "ADDRESS|PREFIX"},
		{"port", 0, 0, G_OPTION_ARG_INT, &o->port, "Only from or to this port of TCP or UDP", "PORT"},
		{"write", 'w', 0, G_OPTION_ARG_FILENAME, &o->file,
			"Write to a file; - is standard output (-)", "FILE|-"},
		{"count", 'c', 0, G_OPTION_ARG_INT, &o->count, "End after so many packets", "N"},
		{"seconds", 0, 0, G_OPTION_ARG_INT, &o->seconds, "End after so many seconds", "N"},
		{"snaplen", 's', 0, G_OPTION_ARG_INT, &o->snaplen, "Cut packets to so many bytes (2048)",
			"N"},
		{"rate", 0, 0, G_OPTION_ARG_INT, &o->rate,
			"Copy at most so many packets a second and worker (10000)", "N"},
		{"json", 0, 0, G_OPTION_ARG_NONE, &o->json,
			"Print JSON, one line a packet, its bytes in base64", NULL},
		{NULL},
	};

	return cli_options(argc, argv, "NIC",
		"Copies what NIC (uid or name) sends and gets to a pcapng file. The switch never waits for "
		"it: "
		"what is too much is not copied, and counted.",
		entries);
}

static bool is_outside(int value, int least, int most)
{
	return value != NOT_GIVEN && (value < least || value > most);
}

/* What is wrong with the command line; NULL: nothing. */
static const char *find_mistake(int argc, const struct options *o)
{
	if (argc != 2)
		return "one NIC is needed";
	if (is_outside(o->count, 1, INT_MAX) || is_outside(o->seconds, 1, INT_MAX))
		return "-c and --seconds take a number from 1; without them ^C ends it";
	if (is_outside(o->port, 0, UINT16_MAX))
		return "--port must be a number from 0 to 65535";
	if (is_outside(o->snaplen, SNAPLEN_MIN, SNAPLEN_MAX))
		return "--snaplen must be a number from " G_STRINGIFY(SNAPLEN_MIN) " to " G_STRINGIFY(
			SNAPLEN_MAX);
	if (is_outside(o->rate, RATE_MIN, RATE_MAX))
		return "--rate must be a number from " G_STRINGIFY(RATE_MIN) " to " G_STRINGIFY(RATE_MAX);
	if (!o->json && is_stdout(o) && isatty(STDOUT_FILENO))
		return "packets would go to the terminal; give -w FILE, or pipe them: sluice mirror NIC | "
		       "tcpdump "
		       "-nr -";
	return NULL;
}

int cli_mirror(int argc, char **argv)
{
	_cleanup_(options_clear) struct options o = {.port = NOT_GIVEN,
		.count = NOT_GIVEN,
		.seconds = NOT_GIVEN,
		.snaplen = NOT_GIVEN,
		.rate = NOT_GIVEN};

	if (!parse_options(&argc, &argv, &o))
		return CLI_USAGE;
	if (argc > 2)
		return cli_surplus("mirror", argv[2], "[OPTION...] NIC");
	const char *mistake = find_mistake(argc, &o);
	if (mistake)
		return cli_misused("mirror", mistake);
	int signals = take_signals();
	int status = run(argv[1], &o, signals);
	close(signals);
	return status;
}
