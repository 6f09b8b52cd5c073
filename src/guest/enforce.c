/* `sluice-guest enforce`: see enforce.h. */
#include "guest/enforce.h"

#include "base/fault.h"
#include "base/sysfs.h"
#include "guest/accel.h"
#include "guest/enforce_http.h"
#include "guest/enforce_rules.h"
#include "guest/enforce_table.h"
#include "guest/ethtool.h"
#include "guest/identity.h"

#include <jansson.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#define POLICY_PATH "/sluice/v1/policy"
#define GUEST_PATH  "/sluice/v1/guest"
#define HOLD_S      35 /* a little longer than the host holds a request */
#define REPORT_S    10
#define PAUSE_MIN_S 1
#define PAUSE_MAX_S 5 /* a host's new agent gives a guest 10 s to say that its rules are in force */
#define RENEW_S     1 /* after a hold without news: two programs that ask for one NIC end each other's */
#define FOREIGN_S   60 /* between two requests to a service that does not know of policy */
#define RESCAN_S    30 /* between two looks for NICs that have come */

struct enforcer {
	const char *version; /* Borrowed: of this program */
	struct enforce_table *table; /* Borrowed */
	GMutex lock;
	GHashTable *followed; /* Borrowed, under lock: names of interfaces that have a thread */
};

struct follower {
	struct enforcer *enforcer; /* Borrowed */
	char *interface; /* Owned */
	char *hash; /* Owned: of the rules that the host wants; NULL: not asked yet */
	bool enforcing; /* it wants some */
	char *trouble; /* Owned: what was said last; NULL: nothing */
};

static void follower_free(struct follower *f)
{
	g_free(f->interface);
	g_free(f->hash);
	g_free(f->trouble);
	g_free(f);
}
CLEANUP_FUNC(struct follower *, follower_free)

/* What the host said. */
struct wanted {
	char *hash; /* Owned; NULL: the rules have not changed */
	json_t *policy; /* Owned; NULL: none are to be applied */
	bool foreign; /* it does not know of such rules */
};

static void wanted_clear(struct wanted *wanted)
{
	g_free(wanted->hash);
	json_decref(wanted->policy);
}
CLEANUP_CLEAR_FUNC(struct wanted, wanted_clear)

/* Says it once for as long as it lasts; NULL: it is over. */
static void say(struct follower *f, const char *trouble)
{
	if (trouble && g_strcmp0(f->trouble, trouble) != 0)
		fprintf(stderr, "sluice-guest: %s: %s\n", f->interface, trouble);
	g_free(f->trouble);
	f->trouble = g_strdup(trouble);
}

/* ---- asking ---- */

/* As the host hashes it. */
static char *hash_of(const json_t *policy)
{
	char *text = json_dumps(policy, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
	char *hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);

	free(text);
	return hash;
}

static bool decode_wanted(const struct http_answer *answer, struct wanted *ret, GError **error)
{
	json_auto_t *json = json_loadb(answer->body, answer->length, 0, NULL);
	json_t *policy = json_object_get(json, "policy");

	if (!json_is_object(policy) && !json_is_null(policy))
		return fault_set(error, FAULT_INVALID, "the host's answer has no policy in it");
	ret->hash = hash_of(policy);
	if (g_strcmp0(json_string_value(json_object_get(json, "hash")), ret->hash) != 0)
		return fault_set(error, FAULT_INVALID, "the host's rules are not those whose hash it says");
	ret->policy = json_is_null(policy) ? NULL : json_incref(policy);
	return true;
}

/* after: a hash that is known; the host holds the request while that is right. NULL: at once. */
static bool ask(const char *interface, const char *after, struct wanted *ret, GError **error)
{
	g_autofree char *path =
		after ? g_strdup_printf(POLICY_PATH "?after=%s", after) : g_strdup(POLICY_PATH);
	const struct http_request request = {
		.interface = interface, .method = "GET", .path = path, .timeout_s = HOLD_S};
	_cleanup_(http_answer_clear) struct http_answer answer = {};

	*ret = (struct wanted){};
	if (!http_exchange(&request, &answer, error))
		return false;
	if (answer.status == 200)
		return decode_wanted(&answer, ret, error);
	ret->foreign = answer.status == 404;
	if (answer.status == 204 || answer.status == 404)
		return true;
	return fault_set(error, FAULT_UNAVAILABLE, "the metadata service answers %u", answer.status);
}

/* Takes the body. */
static bool put(
	const struct follower *f, const char *path, char *body, struct http_answer *ret, GError **error)
{
	const struct http_request request = {.interface = f->interface,
		.method = "PUT",
		.path = path,
		.body = body,
		.timeout_s = REPORT_S};
	bool sent = http_exchange(&request, ret, error);

	free(body);
	return sent;
}

/* To a host that knows of rules. What keeps this from it keeps the next question from it, too, and is said of that. */
static void introduce(const struct follower *f)
{
	const struct accel_source source = {.root = "", .vf_statistics = ethtool_vf_statistics};
	_cleanup_(http_answer_clear) struct http_answer answer = {};

	put(f, GUEST_PATH, identity_text(&source, f->interface, f->enforcer->version), &answer, NULL);
}

/* failure NULL: the rules are in force. */
static bool report(const struct follower *f, const GError *failure, GError **error)
{
	json_auto_t *json = failure ? json_pack("{s:s, s:b, s:s}", "hash", f->hash, "applied", false, "error",
					      failure->message)
				    : json_pack("{s:s, s:b}", "hash", f->hash, "applied", true);
	_cleanup_(http_answer_clear) struct http_answer answer = {};
	bool sent = put(f, POLICY_PATH, json_dumps(json, JSON_COMPACT), &answer, error);

	if (sent && answer.status != 204)
		return fault_set(error, FAULT_UNAVAILABLE, "the host refuses the report: %u %s",
			answer.status, answer.body);
	return sent;
}

/* ---- one NIC ---- */

/* A bridge, bond, macvlan or VLAN on the interface takes its packets before the rules see them. */
static bool check_alone(const char *interface, GError **error)
{
	g_auto(GStrv) uppers = sysfs_children("", "upper_", "/sys/class/net/%s", interface);

	return !*uppers || fault_set(error, FAULT_UNAVAILABLE,
				   "%s carries packets of %s past its rules; put the addresses on %s alone",
				   *uppers + strlen("upper_"), interface, interface);
}

static bool apply(struct follower *f, const struct wanted *wanted, GError **error)
{
	struct enforce_table *table = f->enforcer->table;

	if (wanted->hash && !enforce_table_set(table, f->interface, wanted->policy, error))
		return false;
	return !f->enforcing ||
	       (check_alone(f->interface, error) && (wanted->hash || enforce_table_keep(table, error)));
}

/* Applies, and reports where there is something to apply. */
static bool take(struct follower *f, const struct wanted *wanted, GError **error)
{
	g_autoptr(GError) failure = NULL;

	if (wanted->hash) {
		g_free(f->hash);
		f->hash = g_strdup(wanted->hash);
		f->enforcing = wanted->policy != NULL;
	}
	if (apply(f, wanted, &failure))
		return !f->enforcing || report(f, NULL, error);
	if (f->enforcing)
		report(f, failure, NULL);
	g_propagate_error(error, g_steal_pointer(&failure));
	return false;
}

/* One round; seconds to wait before the next. */
static unsigned follow_once(struct follower *f, unsigned pause_s)
{
	_cleanup_(wanted_clear) struct wanted wanted = {};
	g_autoptr(GError) error = NULL;

	bool asked = ask(f->interface, f->hash, &wanted, &error);
	if (asked && wanted.foreign)
		return FOREIGN_S;
	bool taken = asked && take(f, &wanted, &error);
	if (asked)
		introduce(f);
	if (taken) {
		say(f, NULL);
		return wanted.hash ? 0 : RENEW_S;
	}
	say(f, error->message);
	g_clear_pointer(&f->hash, g_free);
	return CLAMP(pause_s * 2, PAUSE_MIN_S, PAUSE_MAX_S);
}

/* The rules of an interface that is gone are of no use. */
static void *follow(void *data)
{
	struct follower *f = data;
	struct enforcer *enforcer = f->enforcer;
	unsigned pause_s = 0;

	while (if_nametoindex(f->interface) != 0) {
		pause_s = follow_once(f, pause_s);
		g_usleep(pause_s * G_USEC_PER_SEC);
	}
	enforce_table_set(enforcer->table, f->interface, NULL, NULL);
	g_mutex_lock(&enforcer->lock);
	g_hash_table_remove(enforcer->followed, f->interface);
	g_mutex_unlock(&enforcer->lock);
	follower_free(f);
	return NULL;
}

/* ---- all NICs ---- */

/* Owned, of text. */
static GPtrArray *find_interfaces(const struct enforce_options *options)
{
	const struct accel_source source = {.root = "", .vf_statistics = ethtool_vf_statistics};
	GPtrArray *interfaces = g_ptr_array_new_with_free_func(g_free);

	if (options->interface) {
		g_ptr_array_add(interfaces, g_strdup(options->interface));
		return interfaces;
	}
	_cleanup_(accel_report_free) struct accel_report *seen = accel_inspect(&source);
	for (guint i = 0; i < seen->nics->len; i++)
		g_ptr_array_add(interfaces, g_strdup(((const struct accel_nic *)seen->nics->pdata[i])->name));
	return interfaces;
}

static struct follower *follower_new(struct enforcer *enforcer, const char *interface)
{
	struct follower *f = g_new0(struct follower, 1);

	f->enforcer = enforcer;
	f->interface = g_strdup(interface);
	return f;
}

static void start_followers(struct enforcer *enforcer, const GPtrArray *interfaces)
{
	g_mutex_lock(&enforcer->lock);
	for (guint i = 0; i < interfaces->len; i++)
		if (g_hash_table_add(enforcer->followed, g_strdup(interfaces->pdata[i])))
			g_thread_unref(
				g_thread_new("follow", follow, follower_new(enforcer, interfaces->pdata[i])));
	g_mutex_unlock(&enforcer->lock);
}

static void serve(struct enforcer *enforcer, const struct enforce_options *options)
{
	for (;;) {
		g_autoptr(GPtrArray) interfaces = find_interfaces(options);
		start_followers(enforcer, interfaces);
		g_usleep(RESCAN_S * G_USEC_PER_SEC);
	}
}

static bool print_rules(struct follower *f, const struct wanted *wanted, GError **error)
{
	const struct enforce_nic nic = {.interface = f->interface, .policy = wanted->policy};
	g_autofree char *text = wanted->policy ? enforce_rules_text(&nic, 1, 1, error) : NULL;

	if (text)
		printf("# %s, %s\n%s", f->interface, wanted->hash, text);
	else if (!wanted->policy)
		printf("# %s: the host asks for no rules here\n", f->interface);
	return text || !wanted->policy;
}

static int run_once(struct enforcer *enforcer, const struct enforce_options *options)
{
	g_autoptr(GPtrArray) interfaces = find_interfaces(options);
	int status = 0;

	for (guint i = 0; i < interfaces->len; i++) {
		_cleanup_(wanted_clear) struct wanted wanted = {};
		_cleanup_(follower_free) struct follower *f = follower_new(enforcer, interfaces->pdata[i]);
		g_autoptr(GError) error = NULL;
		bool ok = ask(f->interface, NULL, &wanted, &error) &&
			  (options->show ? print_rules(f, &wanted, &error)
					 : wanted.foreign || take(f, &wanted, &error));
		if (ok && !wanted.foreign && !options->show)
			introduce(f);
		say(f, ok ? NULL : error->message);
		status |= !ok;
	}
	return status;
}

int enforce_run(const struct enforce_options *options)
{
	const char *folder = g_getenv("RUNTIME_DIRECTORY");
	_cleanup_(enforce_table_free) struct enforce_table *table =
		enforce_table_open(folder ? folder : "/run/sluice-guest");
	g_autoptr(GHashTable) followed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	struct enforcer enforcer = {.version = options->version, .table = table, .followed = followed};

	g_mutex_init(&enforcer.lock);
	if (!options->once && !options->show)
		serve(&enforcer, options);
	return run_once(&enforcer, options);
}
