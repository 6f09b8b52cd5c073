/* Boot diagnostics: the console logs of virtual machines.
 *
 * How it works. Clients ask for URLs (retrieveBootDiagnosticsData), as of a storage account that the cloud manages, and
 * read these without a token: the URL itself is signed, for one machine and a time. The log is fetched from the
 * machine's host when somebody reads it. There is no screenshot: machines have no display.
 */
#include "api/arm/arm_priv.h"
#include "api/auth.h"

#define LIFETIME_MIN     120 /* of a URL, where the client names none */
#define LIFETIME_MAX_MIN 1440
#define HOST_LIMIT_MS    20000
#define LOG_PATH         "/boot-diagnostics/{vm}/serialconsole.log"

static bool check_enabled(const struct vm *vm, GError **error)
{
	return vm->spec.boot_diagnostics ||
	       fault_set(error, FAULT_NOT_ALLOWED,
		       "Boot diagnostics of virtual machine %s are not enabled; enable them first (az vm "
		       "boot-diagnostics enable)",
		       vm->meta.name);
}

/* 0 with *error. */
static guint64 read_lifetime(const struct call *call, GError **error)
{
	const char *text = call_query(call, "sasUriExpirationTimeInMinutes");
	guint64 minutes = LIFETIME_MIN;

	if (!text || g_ascii_string_to_unsigned(text, 10, 1, LIFETIME_MAX_MIN, &minutes, NULL))
		return minutes;
	fault_set(error, FAULT_INVALID, "sasUriExpirationTimeInMinutes=%s: a number from 1 to %d is needed",
		text, LIFETIME_MAX_MIN);
	return 0;
}

static json_t *build_urls(const struct arm *arm, const struct vm *vm, guint64 lifetime_min)
{
	const struct auth_claims claims = {
		.use = AUTH_CONSOLE,
		.issuer = arm->url,
		.audience = arm->url,
		.principal = vm->meta.uid,
		.lifetime_s = (int64_t)lifetime_min * 60,
	};
	g_autofree char *token = auth_issue(arm->auth, &claims);
	g_autofree char *url = g_strdup_printf(
		"%s/boot-diagnostics/%s/serialconsole.log?sig=%s", arm->url, vm->meta.uid, token);

	return json_pack("{s:s}", "serialConsoleLogBlobUri", url);
}

/* NULL with *error when the id names no machine. */
static struct vm *find_machine(const struct call *call, struct arm *arm, GError **error)
{
	_cleanup_(arm_id_clear) struct arm_id id = {};

	arm_id_of_call(call, &id);
	struct meta *object = arm_find(arm, &id, error);
	if (!object || object->kind == KIND_VM)
		return (struct vm *)object;
	fault_set(error, FAULT_UNSUPPORTED, "A %s has no boot diagnostics.",
		kind_info((enum kind)object->kind)->title);
	model_free(object);
	return NULL;
}

static void post_retrieve(struct call *call, void *data)
{
	struct arm *arm = data;
	GError *error = NULL;
	_cleanup_(model_free) struct vm *vm = find_machine(call, arm, &error);
	guint64 lifetime_min = vm && check_enabled(vm, &error) ? read_lifetime(call, &error) : 0;

	if (lifetime_min)
		call_answer_json(call, 200, build_urls(arm, vm, lifetime_min));
	else
		arm_fail(call, error);
}

/* ---- the log ---- */

struct reading {
	struct call *call; /* Borrowed: held until it is answered or gone */
	struct control *control; /* Borrowed */
	guint id; /* of control_console() */
};

static void on_log(GBytes *log, const GError *error, void *data)
{
	g_autofree struct reading *reading = data;

	if (log)
		call_answer_bytes(reading->call, 200, "text/plain; charset=utf-8", log);
	else
		call_fail(reading->call, error);
}

static void on_gone(void *data)
{
	g_autofree struct reading *reading = data;

	control_console_cancel(reading->control, reading->id);
}

/* The machine that the URL is signed for. */
static struct vm *find_signed(const struct call *call, struct arm *arm, GError **error)
{
	const char *token = call_query(call, "sig"), *uid = call_param(call, "vm");
	_cleanup_(auth_identity_clear) struct auth_identity identity = {};

	if (!auth_check(arm->auth, token ? token : "", AUTH_CONSOLE, &identity, error))
		return NULL;
	if (!g_str_equal(identity.principal, uid)) {
		fault_set(error, FAULT_DENIED, "The URL is signed for another machine's console log.");
		return NULL;
	}
	return control_get(arm->control, KIND_VM, uid, error);
}

static void get_log(struct call *call, void *data)
{
	struct arm *arm = data;
	GError *error = NULL;
	_cleanup_(model_free) struct vm *vm = find_signed(call, arm, &error);
	guint id = 0;

	if (!vm || !check_enabled(vm, &error)) {
		arm_fail(call, error);
		return;
	}
	struct reading *reading = g_new0(struct reading, 1);
	*reading = (struct reading){.call = call, .control = arm->control};
	id = control_console(arm->control, vm, HOST_LIMIT_MS, on_log, reading, &error);
	if (!id) {
		g_free(reading);
		arm_fail(call, error);
		return;
	}
	reading->id = id;
	call_hold(call, on_gone, reading);
}

#define MACHINE "/subscriptions/{subscription}/resourceGroups/{group}/providers/{namespace}/{type}/{name}"

const struct route arm_console_routes[] = {
	{"POST", MACHINE "/retrieveBootDiagnosticsData", post_retrieve},
	{"GET", LOG_PATH, get_log, ROUTE_OPEN},
	{},
};
