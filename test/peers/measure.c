/* Gives orders to the generators inside a program under test (net_gen.c) and reports what came of them.
 *
 *   measure established|new|policy --control FILE --rules FILE [--protocol tcp] [--flows N] [--seconds S] ...
 *
 * established  Opens the flows, each once each way (TCP: a handshake), then sends them forward, in turns and
 *              without end, and counts what comes out: --runs times, --seconds each.
 * new          Sends the first packet of each flow once, forward: connections a second.
 * policy       Sends --flows packets, of rules that pass and of those that must not, once.
 *
 * Time is the processor time of the polling threads (--thread, one a lane), so that what other programs take of
 * their cores does not count; on a machine that does nothing else it is the time of the clock. `share` is the one
 * by the other.
 *
 * Prints one JSON object. In all of them `leaked` and `wrong` must be 0, and with `policy` what came out must be
 * exactly what may: the caller judges. Exits 1, with a sentence, when nothing polls the generators.
 *
 * Rules are lines "pass|stop udp|tcp ADDRESS FIRST-PORT LAST-PORT"; those of the other protocol are left out.
 */
#include "net_gen.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <glib.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define TCP_SYN      0x02
#define TCP_PSH      0x08
#define TCP_ACK      0x10
#define OBEY_MS      3000 /* in which a program that polls takes an order */
#define ONCE_MS      180000
#define QUIET_MS     50 /* without a packet: all that was sent has come out, or will not */
#define RUNS_MAX     64
#define MICROSECONDS 1e6

struct options {
	char *control, *rules, *protocol; /* Owned */
	char **threads; /* Owned: folders under /proc, of the polling threads */
	int flows, frame_bytes, lanes, runs, window;
	double seconds, warm;
	gboolean any_macs;
};

struct totals {
	uint64_t sent, no_buffer, verdicts[4];
};

struct bench {
	struct options options;
	struct net_gen_control *control; /* the mapping */
	uint32_t n_pass; /* of the rules; they are the first */
};

static G_NORETURN G_GNUC_PRINTF(1, 2) void fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	g_autofree char *sentence = g_strdup_vprintf(format, args);
	va_end(args);
	fprintf(stderr, "measure: %s\n", sentence);
	exit(1);
}

static void pause_ms(unsigned milliseconds)
{
	g_usleep((gulong)milliseconds * 1000);
}

/* ---- time ---- */

struct moment {
	double wall, busy; /* seconds: of the clock, and of the polling threads, on average */
};

/* Seconds that the thread has run: the first word of its schedstat, in nanoseconds. */
static double run_time(const char *thread)
{
	g_autofree char *path = g_build_filename(thread, "schedstat", NULL), *text = NULL;
	g_autoptr(GError) error = NULL;

	if (!g_file_get_contents(path, &text, NULL, &error))
		fail("%s", error->message);
	return (double)g_ascii_strtoull(text, NULL, 10) / 1e9;
}

static struct moment now(const struct bench *bench)
{
	struct moment moment = {.wall = (double)g_get_monotonic_time() / MICROSECONDS};
	guint n = g_strv_length(bench->options.threads);

	for (guint i = 0; i < n; i++)
		moment.busy += run_time(bench->options.threads[i]) / n;
	return moment;
}

static struct moment time_since(const struct bench *bench, struct moment began)
{
	struct moment ended = now(bench);

	return (struct moment){.wall = ended.wall - began.wall, .busy = ended.busy - began.busy};
}

/* ---- rules ---- */

static struct traffic_rule parse_rule(const char *line, uint8_t protocol)
{
	struct traffic_rule rule = {.protocol = protocol};
	g_auto(GStrv) words = g_strsplit(line, " ", 5);
	struct in_addr source;

	if (g_strv_length(words) != 5 || inet_pton(AF_INET, words[2], &source) != 1)
		fail("the rule \"%s\" is not understood", line);
	rule.passes = g_str_equal(words[0], "pass");
	rule.source = ntohl(source.s_addr);
	rule.first_port = (uint16_t)g_ascii_strtoull(words[3], NULL, 10);
	rule.n_ports = (uint16_t)(g_ascii_strtoull(words[4], NULL, 10) - rule.first_port + 1);
	return rule;
}

static void load_rules(struct bench *bench)
{
	uint8_t protocol = g_str_equal(bench->options.protocol, "tcp") ? IPPROTO_TCP : IPPROTO_UDP;
	struct net_gen_control *control = bench->control;
	g_autoptr(GError) error = NULL;
	g_autofree char *text = NULL;

	if (!g_file_get_contents(bench->options.rules, &text, NULL, &error))
		fail("%s", error->message);
	g_auto(GStrv) lines = g_strsplit(text, "\n", 0);
	control->n_rules = 0;
	for (unsigned pass = 1; pass <= 2; pass++) {
		for (char **line = lines; *line; line++) {
			bool passes = g_str_has_prefix(*line, "pass ");
			if (!strstr(*line, bench->options.protocol) || passes != (pass == 1))
				continue;
			if (control->n_rules == TRAFFIC_RULES)
				fail("%s has more than %d rules", bench->options.rules, TRAFFIC_RULES);
			control->rules[control->n_rules++] = parse_rule(*line, protocol);
		}
		if (pass == 1)
			bench->n_pass = control->n_rules;
	}
	if (bench->n_pass == 0)
		fail("%s has no rule that %s may pass", bench->options.rules, bench->options.protocol);
}

/* ---- orders ---- */

static struct net_gen_port *port_of(const struct bench *bench, int lane, int side)
{
	return &bench->control->ports[lane][side];
}

/* Waits until every port has taken the order, so that no packet of the one before is made any more. */
static void give(const struct bench *bench, const struct net_gen_order *order)
{
	struct net_gen_control *control = bench->control;
	uint32_t sequence = control->sequence + 1;

	control->order = *order;
	__atomic_store_n(&control->sequence, sequence, __ATOMIC_RELEASE);
	for (int i = 0; i < bench->options.lanes * 2; i++) {
		const struct net_gen_port *port = port_of(bench, i / 2, i % 2);
		int waited = 0;
		while (__atomic_load_n(&port->obeyed, __ATOMIC_ACQUIRE) != sequence) {
			if (waited++ == OBEY_MS)
				fail("nobody polls port %d of lane %d", i % 2, i / 2);
			pause_ms(1);
		}
	}
}

static struct net_gen_order order_of(const struct bench *bench)
{
	return (struct net_gen_order){
		.n_rules = bench->n_pass,
		.frame_bytes = (uint32_t)bench->options.frame_bytes,
		.flows = (uint64_t)bench->options.flows,
		.tcp_flags = TCP_ACK | TCP_PSH,
		.macs = bench->options.any_macs ? NET_GEN_MACS_ANY : NET_GEN_MACS_KEPT,
	};
}

static void be_silent(const struct bench *bench)
{
	struct net_gen_order order = order_of(bench);

	give(bench, &order);
}

static struct totals totals_of(const struct bench *bench)
{
	struct totals totals = {};

	for (int i = 0; i < bench->options.lanes * 2; i++) {
		const struct net_gen_port *port = port_of(bench, i / 2, i % 2);
		totals.sent += __atomic_load_n(&port->sent, __ATOMIC_RELAXED);
		totals.no_buffer += __atomic_load_n(&port->no_buffer, __ATOMIC_RELAXED);
		for (unsigned v = 0; v < 4; v++)
			totals.verdicts[v] += __atomic_load_n(&port->verdicts[v], __ATOMIC_RELAXED);
	}
	return totals;
}

static struct totals since(const struct bench *bench, const struct totals *before)
{
	struct totals totals = totals_of(bench);

	totals.sent -= before->sent;
	totals.no_buffer -= before->no_buffer;
	for (unsigned v = 0; v < 4; v++)
		totals.verdicts[v] -= before->verdicts[v];
	return totals;
}

static bool is_sending(const struct bench *bench)
{
	for (int i = 0; i < bench->options.lanes * 2; i++)
		if (__atomic_load_n(&port_of(bench, i / 2, i % 2)->left, __ATOMIC_ACQUIRE))
			return true;
	return false;
}

/* Gives an order of `once` and waits until all has come out. */
static struct totals send_once(const struct bench *bench, const struct net_gen_order *order)
{
	struct totals before = totals_of(bench);
	uint64_t out = 0, last;
	int waited = 0;

	give(bench, order);
	for (; is_sending(bench); pause_ms(1))
		if (waited++ == ONCE_MS)
			fail("the packets are not taken within %d s", ONCE_MS / 1000);
	do {
		last = out;
		pause_ms(QUIET_MS);
		struct totals totals = since(bench, &before);
		out = totals.verdicts[TRAFFIC_RIGHT] + totals.verdicts[TRAFFIC_LEAKED];
	} while (out != last);
	be_silent(bench);
	return since(bench, &before);
}

static struct totals send_flows(const struct bench *bench, enum net_gen_side side, uint8_t tcp_flags)
{
	struct net_gen_order order = order_of(bench);

	order.once = true;
	order.send[side] = true;
	order.tcp_flags = tcp_flags;
	order.window = (uint32_t)bench->options.window;
	return send_once(bench, &order);
}

/* ---- reports ---- */

static json_t *totals_json(const struct totals *totals)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "sent", (json_int_t)totals->sent, "right",
		(json_int_t)totals->verdicts[TRAFFIC_RIGHT], "leaked",
		(json_int_t)totals->verdicts[TRAFFIC_LEAKED], "wrong",
		(json_int_t)totals->verdicts[TRAFFIC_WRONG], "other",
		(json_int_t)totals->verdicts[TRAFFIC_OTHER], "no_buffer", (json_int_t)totals->no_buffer);
}

static double percentile_us(const struct bench *bench, double fraction)
{
	uint64_t all = 0, seen = 0;

	for (int lane = 0; lane < bench->options.lanes; lane++)
		for (unsigned i = 0; i < NET_GEN_BUCKETS; i++)
			all += bench->control->times[lane][i];
	for (unsigned i = 0; all && i < NET_GEN_BUCKETS; i++) {
		for (int lane = 0; lane < bench->options.lanes; lane++)
			seen += bench->control->times[lane][i];
		if ((double)seen >= fraction * (double)all) {
			uint64_t cycles = (1ull << i / 16) + (i % 16) * ((1ull << i / 16) >> 4);
			return (double)cycles / (double)bench->control->hz * MICROSECONDS;
		}
	}
	return 0;
}

/* ---- established ---- */

static json_t *open_flows(const struct bench *bench)
{
	bool tcp = g_str_equal(bench->options.protocol, "tcp");
	struct totals totals = send_flows(bench, NET_GEN_NEAR, TCP_SYN);
	json_t *list = json_array();

	json_array_append_new(list, totals_json(&totals));
	totals = send_flows(bench, NET_GEN_FAR, TCP_SYN | TCP_ACK);
	json_array_append_new(list, totals_json(&totals));
	if (tcp) {
		totals = send_flows(bench, NET_GEN_NEAR, TCP_ACK);
		json_array_append_new(list, totals_json(&totals));
	}
	return list;
}

static double run_once(const struct bench *bench)
{
	struct totals before = totals_of(bench);
	struct moment began = now(bench);

	g_usleep((gulong)(bench->options.seconds * MICROSECONDS));
	struct moment time = time_since(bench, began);
	struct totals totals = since(bench, &before);
	return (double)totals.verdicts[TRAFFIC_RIGHT] / time.busy / 1e6;
}

static json_t *measure_established(const struct bench *bench)
{
	json_t *opened = open_flows(bench), *mpps = json_array();
	struct net_gen_order order = order_of(bench);
	struct totals before = totals_of(bench);

	order.send[NET_GEN_NEAR] = true;
	give(bench, &order);
	g_usleep((gulong)(bench->options.warm * MICROSECONDS));
	memset(bench->control->times, 0, sizeof bench->control->times); /* a count or two may be lost */
	struct moment began = now(bench);
	for (int i = 0; i < bench->options.runs; i++)
		json_array_append_new(mpps, json_real(run_once(bench)));
	struct moment time = time_since(bench, began);
	be_silent(bench);
	pause_ms(QUIET_MS);
	struct totals totals = since(bench, &before);
	return json_pack("{s:o, s:o, s:f, s:o, s:f, s:f}", "opened", opened, "mpps", mpps, "share",
		time.busy / time.wall, "totals", totals_json(&totals), "p50_us", percentile_us(bench, .5),
		"p99_us", percentile_us(bench, .99));
}

/* ---- new, policy ---- */

static json_t *measure_new(const struct bench *bench)
{
	struct moment began = now(bench);
	struct totals totals = send_flows(bench, NET_GEN_NEAR, TCP_SYN);
	struct moment time = time_since(bench, began);
	uint64_t cycles = 0;

	for (int lane = 0; lane < bench->options.lanes; lane++)
		cycles = MAX(cycles,
			port_of(bench, lane, NET_GEN_FAR)->ended - port_of(bench, lane, NET_GEN_NEAR)->began);
	double seconds = (double)cycles / (double)bench->control->hz * time.busy / time.wall;
	return json_pack("{s:f, s:f, s:o}", "per_second", (double)totals.verdicts[TRAFFIC_RIGHT] / seconds,
		"share", time.busy / time.wall, "totals", totals_json(&totals));
}

static json_t *measure_policy(const struct bench *bench)
{
	struct net_gen_order order = order_of(bench);
	uint64_t rounds = order.flows / bench->control->n_rules;

	order.n_rules = bench->control->n_rules;
	order.flows = (rounds ? rounds : 1) * order.n_rules;
	order.once = true;
	order.send[NET_GEN_NEAR] = true;
	order.tcp_flags = TCP_SYN;
	struct totals totals = send_once(bench, &order);
	return json_pack("{s:I, s:o}", "expected",
		(json_int_t)(order.flows / order.n_rules * bench->n_pass * (uint64_t)bench->options.lanes),
		"totals", totals_json(&totals));
}

/* ---- command line ---- */

static const struct {
	const char *name;
	json_t *(*measure)(const struct bench *bench);
} kinds[] = {{"established", measure_established}, {"new", measure_new}, {"policy", measure_policy}};

static void parse_options(int *argc, char ***argv, struct options *options)
{
	const GOptionEntry entries[] = {
		{"control", 0, 0, G_OPTION_ARG_FILENAME, &options->control, "The generators' file", "FILE"},
		{"rules", 0, 0, G_OPTION_ARG_FILENAME, &options->rules, "What passes and what not", "FILE"},
		{"protocol", 0, 0, G_OPTION_ARG_STRING, &options->protocol, "udp (default) or tcp", "NAME"},
		{"thread", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options->threads,
			"A polling thread: /proc/PID/task/TID", "FOLDER"},
		{"flows", 0, 0, G_OPTION_ARG_INT, &options->flows, "Flows of each lane (1)", "N"},
		{"frame", 0, 0, G_OPTION_ARG_INT, &options->frame_bytes, "Bytes of a frame (64)", "N"},
		{"lanes", 0, 0, G_OPTION_ARG_INT, &options->lanes, "Pairs of ports (1)", "N"},
		{"window", 0, 0, G_OPTION_ARG_INT, &options->window,
			"Packets on their way at once when flows are opened (any number)", "N"},
		{"runs", 0, 0, G_OPTION_ARG_INT, &options->runs, "Measurements of one order (5)", "N"},
		{"seconds", 0, 0, G_OPTION_ARG_DOUBLE, &options->seconds, "Of one measurement (1)", "S"},
		{"warm", 0, 0, G_OPTION_ARG_DOUBLE, &options->warm, "Before the first one (0.5)", "S"},
		{"any-macs", 0, 0, G_OPTION_ARG_NONE, &options->any_macs,
			"The program under test changes MAC addresses", NULL},
		{},
	};
	g_autoptr(GOptionContext) context = g_option_context_new("established|new|policy");
	g_autoptr(GError) error = NULL;

	g_option_context_add_main_entries(context, entries, NULL);
	if (!g_option_context_parse(context, argc, argv, &error))
		fail("%s", error->message);
	if (*argc != 2 || !options->control || !options->rules || !options->threads)
		fail("what to measure, --control, --rules and --thread are needed");
	if (options->flows < 1 || options->frame_bytes < TRAFFIC_FRAME_MIN || options->frame_bytes > 2000 ||
		options->window < 0 || options->lanes < 1 || options->lanes > NET_GEN_LANES ||
		options->runs < 1 || options->runs > RUNS_MAX)
		fail("an option is out of its range");
}

static struct net_gen_control *map_control(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	struct net_gen_control *control = MAP_FAILED;

	if (fd >= 0)
		control = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (control == MAP_FAILED)
		fail("cannot map %s: %s", path, g_strerror(errno));
	close(fd);
	if (__atomic_load_n(&control->magic, __ATOMIC_ACQUIRE) != NET_GEN_MAGIC)
		fail("%s is no generator's of this version", path);
	return control;
}

int main(int argc, char **argv)
{
	struct bench bench = {
		.options = {.flows = 1,
			.frame_bytes = TRAFFIC_FRAME_MIN,
			.lanes = 1,
			.runs = 5,
			.seconds = 1,
			.warm = 0.5},
	};

	parse_options(&argc, &argv, &bench.options);
	if (!bench.options.protocol)
		bench.options.protocol = g_strdup("udp");
	bench.control = map_control(bench.options.control);
	be_silent(&bench);
	load_rules(&bench);
	for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
		if (!g_str_equal(kinds[i].name, argv[1]))
			continue;
		json_t *report = kinds[i].measure(&bench);
		json_dumpf(report, stdout, JSON_COMPACT);
		putchar('\n');
		json_decref(report);
		return 0;
	}
	fail("%s: must be one of established, new, policy", argv[1]);
}
