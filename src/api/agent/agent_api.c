/* What hosts ask of the controller. */
#include "api/agent/agent_api.h"

#include "base/fault.h"
#include "model/goal.h"

#include <string.h>

#define HOLD_MS         25000
#define PROTOCOL_HEADER "Sluice-Protocol"
#define CONSOLES_HEADER "Sluice-Consoles"

static void begin(struct call *call, void *data)
{
	g_autofree char *protocol = g_strdup_printf("%d", GOAL_PROTOCOL);

	call_set_header(call, PROTOCOL_HEADER, protocol);
}

static char *authenticate(struct call *call, void *data, GError **error)
{
	if (call_peer(call))
		return control_admit_host(data, call_peer(call), call_peer_made_s(call), error)
			       ? g_strdup(call_peer(call))
			       : NULL;
	fault_set(error, FAULT_UNAUTHENTICATED,
		"the certificate names no host: its subject needs one common name");
	return NULL;
}

static const struct {
	enum fault fault;
	unsigned status;
} statuses[] = {
	{FAULT_INVALID, 400},
	{FAULT_UNAUTHENTICATED, 401},
	{FAULT_DENIED, 403},
	{FAULT_NOT_FOUND, 404},
	{FAULT_UNSUPPORTED, 400},
	{FAULT_UNAVAILABLE, 503},
};

static void fail(struct call *call, unsigned status, const GError *error, void *data)
{
	enum fault fault = fault_code(error);

	for (size_t i = 0; status == 0 && i < G_N_ELEMENTS(statuses); i++)
		if (statuses[i].fault == fault)
			status = statuses[i].status;
	call_answer_json(call, status ? status : 500,
		json_pack("{s:s, s:s}", "fault", fault_name(fault), "message", error->message));
}

const struct server_dialect agent_dialect = {.begin = begin, .authenticate = authenticate, .fail = fail};

/* False after it has answered. */
static bool check_protocol(struct call *call)
{
	const char *text = call_header(call, PROTOCOL_HEADER);
	g_autoptr(GError) error = NULL;
	guint64 protocol;

	if (text && g_ascii_string_to_unsigned(text, 10, 1, G_MAXINT, &protocol, NULL) &&
		protocol == GOAL_PROTOCOL)
		return true;
	fault_set(&error, FAULT_UNSUPPORTED,
		"this controller speaks protocol %d, the host %s; install the same version", GOAL_PROTOCOL,
		text ? text : "names none");
	call_fail(call, error);
	return false;
}

/* ---- GET /agent/v1/goal ---- */

struct waiting {
	struct call *call; /* Borrowed: held until it is answered or gone */
	struct control *control; /* Borrowed */
	guint id;
};

/* Names the machines whose console logs the host is to bring. */
static void name_consoles(struct call *call, struct control *control)
{
	g_autofree char *wanted = control_consoles_wanted(control, call_principal(call));

	if (wanted)
		call_set_header(call, CONSOLES_HEADER, wanted);
}

static void on_goal(const struct goal *goal, void *data)
{
	g_autofree struct waiting *waiting = data;

	name_consoles(waiting->call, waiting->control);
	if (goal)
		call_answer_json(waiting->call, 200, shape_encode(&goal_shape, goal));
	else
		call_answer(waiting->call, 204);
}

static void on_gone(void *data)
{
	g_autofree struct waiting *waiting = data;

	control_goal_wait_cancel(waiting->control, waiting->id);
}

static void get_goal(struct call *call, void *data)
{
	struct control *control = data;
	const char *text = call_query(call, "after"), *host = call_query(call, "host");
	g_autoptr(GError) error = NULL;
	gint64 after = 0;

	if (!check_protocol(call))
		return;
	if (text && !g_ascii_string_to_signed(text, 10, -1, G_MAXINT64, &after, NULL)) {
		fault_set(&error, FAULT_INVALID, "after=%s is no version of a goal", text);
		call_fail(call, error);
		return;
	}
	_cleanup_(goal_free) struct goal *goal = control_goal(control, call_principal(call), &error);
	if (!goal) {
		call_fail(call, error);
		return;
	}
	if (after > goal->version || (host && g_strcmp0(host, goal->host) != 0))
		after = -1; /* a version of another store, or from before this one was set back */
	if (goal->version > after) {
		name_consoles(call, control);
		call_answer_json(call, 200, shape_encode(&goal_shape, goal));
		return;
	}
	struct waiting *waiting = g_new0(struct waiting, 1);
	*waiting = (struct waiting){.call = call, .control = control};
	call_hold(call, on_gone, waiting);
	waiting->id = control_goal_wait(control, call_principal(call), after, HOLD_MS, on_goal, waiting);
}

/* ---- PUT /agent/v1/report ---- */

static struct report *decode_report(const struct call *call, GError **error)
{
	size_t length;
	const char *text = call_body(call, &length);
	json_error_t where;
	json_auto_t *json = json_loadb(text, length, 0, &where);
	_cleanup_(report_free) struct report *report = NULL;

	if (!json) {
		fault_set(error, FAULT_INVALID, "the report is no JSON: line %d, column %d: %s", where.line,
			where.column, where.text);
		return NULL;
	}
	/* A newer agent may say more than this controller knows. */
	report = shape_decode(&report_shape, json, SHAPE_LENIENT, error);
	if (!report)
		return NULL;
	if (g_strcmp0(report->host, call_principal(call)) != 0) {
		fault_set(error, FAULT_DENIED, "host %s cannot report for host %s", call_principal(call),
			report->host ? report->host : "(none)");
		return NULL;
	}
	return g_steal_pointer(&report);
}

static void put_report(struct call *call, void *data)
{
	g_autoptr(GError) error = NULL;

	if (!check_protocol(call))
		return;
	_cleanup_(report_free) struct report *report = decode_report(call, &error);
	if (report && control_report(data, call_principal(call), report, &error))
		call_answer(call, 204);
	else
		call_fail(call, error);
}

/* ---- PUT /agent/v1/console/MACHINE ---- */

static void put_console(struct call *call, void *data)
{
	g_autoptr(GError) error = NULL;
	size_t length;

	if (!check_protocol(call))
		return;
	const char *text = call_body(call, &length);
	g_autoptr(GBytes) log = g_bytes_new(text, length);
	if (control_console_bring(data, call_principal(call), call_param(call, "vm"), log, &error))
		call_answer(call, 204);
	else
		call_fail(call, error);
}

static const struct route routes[] = {
	{"GET", "/agent/v1/goal", get_goal},
	{"PUT", "/agent/v1/report", put_report},
	{"PUT", "/agent/v1/console/{vm}", put_console},
	{},
};

void agent_serve(struct control *control, struct server *server)
{
	server_add_routes(server, routes, control);
}
