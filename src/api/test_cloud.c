/* A cloud whose clients and host are in the same program. */
#include "api/test_cloud.h"

#include "model/goal.h"

#include <stdlib.h>
#include <string.h>

#define HOST "host1"

/* ---- sessions ---- */

static gboolean give_certificate(SoupMessage *message, GTlsClientConnection *connection, void *data)
{
	soup_message_set_tls_client_certificate(message, data);
	return TRUE;
}

static SoupSession *new_session(const struct test_cloud *cloud)
{
	g_autofree char *ca = g_build_filename(cloud->fixture.dir, "ca.pem", NULL);
	g_autoptr(GTlsDatabase) database = g_tls_file_database_new(ca, NULL);

	/* Each connection is given the default one first; the system's has 140 certificates to read. */
	g_tls_backend_set_default_database(g_tls_backend_get_default(), database);
	return soup_session_new_with_options(
		"tls-database", database, "timeout", 60, "proxy-resolver", NULL, NULL);
}

static GTlsCertificate *host_certificate(const struct test_cloud *cloud)
{
	g_autofree char *cert = g_build_filename(cloud->fixture.dir, "host.pem", NULL),
			*key = g_build_filename(cloud->fixture.dir, "host.key", NULL);

	return g_tls_certificate_new_from_files(cert, key, NULL);
}

/* ---- the host ---- */

static void obey_migration(const struct goal_migration *goal, bool hold, struct report_migration *ret)
{
	ret->uid = g_strdup(goal->uid);
	if (goal->role == MIGRATION_TARGET)
		ret->state = MIGRATION_READY;
	else if (goal->cancel)
		ret->state = MIGRATION_FAILED;
	else if (goal->go)
		ret->state = hold ? MIGRATION_MOVING : MIGRATION_MOVED;
	ret->percent = ret->state == MIGRATION_MOVING ? 50 : 0;
}

/* What the guest says is in a tag of the machine: "ID VERSION KERNEL". */
static void pretend_guest(const struct goal_vm *vm, struct guest_os *ret)
{
	const char *tag = json_string_value(json_object_get(vm->tags, "pretend-guest"));
	g_auto(GStrv) words = g_strsplit(tag ? tag : "", " ", 3);

	if (g_strv_length(words) != 3)
		return;
	ret->id = g_strdup(words[0]);
	ret->version = g_strdup(words[1]);
	ret->kernel = g_strdup(words[2]);
	ret->agent = g_strdup("0.1");
}

/* What the host says against the machine is in a tag of it. */
static void pretend_fault(const struct goal_vm *vm, struct report_vm *ret)
{
	ret->message = g_strdup(json_string_value(json_object_get(vm->tags, "pretend-fault")));
	ret->fault = g_strdup(ret->message ? "internal" : NULL);
}

static void obey_vms(const struct goal *goal, bool hold, struct report *report)
{
	static const enum power_state reached[] = {[POWER_RUNNING] = POWER_STATE_RUNNING,
		[POWER_STOPPED] = POWER_STATE_STOPPED,
		[POWER_DEALLOCATED] = POWER_STATE_DEALLOCATED};

	report->vms = shape_list_new(&report_vm_shape);
	for (guint i = 0; i < list_length(goal->vms); i++) {
		const struct goal_vm *vm = goal->vms->pdata[i];
		struct report_vm *said = shape_new(&report_vm_shape);
		said->uid = g_strdup(vm->uid);
		said->absent = vm->remove;
		said->power = (int)reached[vm->power];
		said->restarts = vm->restarts;
		said->reimages = vm->reimages;
		pretend_guest(vm, &said->guest);
		pretend_fault(vm, said);
		obey_migration(&vm->migration, hold, &said->migration);
		g_ptr_array_add(report->vms, said);
	}
}

/* The physical network that the NIC is on; NULL: none. */
static const char *physical_of(const struct goal *goal, const struct goal_nic *nic)
{
	for (guint i = 0; i < list_length(goal->networks); i++) {
		const struct goal_network *network = goal->networks->pdata[i];
		if (g_str_equal(network->uid, nic->network))
			return network->physical;
	}
	return NULL;
}

static struct report_function *make_function(const struct goal_nic *nic, guint index, const char *physical)
{
	struct report_function *function = shape_new(&report_function_shape);

	function->name = g_strdup_printf(physical ? "0000:3b:10.%u" : "f%u", index);
	function->provider = g_strdup(physical ? "sriov" : "emulated");
	function->state = g_strdup("attached");
	function->nic = g_strdup(nic->uid);
	function->vm = g_strdup(nic->vm);
	if (!physical)
		return function;
	function->physical = g_strdup(physical);
	function->pf = g_strdup("ens1f0");
	function->index = index;
	function->mac = g_strdup(nic->mac);
	return function;
}

/* On a physical network its functions pass the host, and the guest enforces where it may. */
static void obey_nics(const struct goal *goal, struct report *report)
{
	report->nics = shape_list_new(&report_nic_shape);
	report->functions = shape_list_new(&report_function_shape);
	for (guint i = 0; i < list_length(goal->nics); i++) {
		const struct goal_nic *nic = goal->nics->pdata[i];
		struct report_nic *said = shape_new(&report_nic_shape);
		said->uid = g_strdup(nic->uid);
		const char *physical = physical_of(goal, nic);
		said->path = !nic->accelerated ? PATH_SYNTHETIC : physical ? PATH_VF : PATH_EMULATED;
		said->enforcement = said->path != PATH_VF    ? ENFORCEMENT_SWITCH
				    : nic->guest_enforcement ? ENFORCEMENT_GUEST
							     : ENFORCEMENT_HARDWARE;
		g_ptr_array_add(report->nics, said);
		if (nic->accelerated)
			g_ptr_array_add(report->functions, make_function(nic, i, physical));
	}
}

static struct report *obey_goal(struct test_cloud *cloud, const char *host, const struct goal *goal)
{
	struct report *report = report_new();

	report->host = g_strdup(host);
	report->tunnel = g_strdup("192.0.2.1:8446");
	report->goal_host = g_strdup(goal->host);
	report->received = report->applied = goal->version;
	report->vcpus = 64;
	report->memory_mib = report->available_mib = 256 * 1024;
	report->provider = g_strdup("emulated");
	report->drained = g_atomic_int_get(&cloud->drained);
	report->physicals = strings_new();
	g_ptr_array_add(report->physicals, g_strdup("physnet1"));
	obey_vms(goal, g_atomic_int_get(&cloud->hold), report);
	obey_nics(goal, report);
	return report;
}

static unsigned host_send(struct test_cloud *cloud, SoupSession *session, GTlsCertificate *certificate,
	const char *method, const char *path, const char *body, json_t **ret)
{
	g_mutex_lock(&cloud->lock);
	g_autofree char *url = g_strconcat(cloud->agents_url, path, NULL);
	g_mutex_unlock(&cloud->lock);
	g_autoptr(SoupMessage) message = soup_message_new(method, url);
	g_signal_connect(message, "request-certificate", G_CALLBACK(give_certificate), certificate);
	soup_message_headers_append(soup_message_get_request_headers(message), "Sluice-Protocol", "1");
	if (body) {
		g_autoptr(GBytes) bytes = g_bytes_new(body, strlen(body));
		soup_message_set_request_body_from_bytes(message, "application/json", bytes);
	}
	g_autoptr(GBytes) answer = soup_session_send_and_read(session, message, NULL, NULL);
	if (ret && answer)
		*ret = json_loadb(g_bytes_get_data(answer, NULL), g_bytes_get_size(answer), 0, NULL);
	g_free(cloud->wanted);
	cloud->wanted = g_strdup(
		soup_message_headers_get_one(soup_message_get_response_headers(message), "Sluice-Consoles"));
	return answer ? soup_message_get_status(message) : 0;
}

/* Each machine has written two lines. */
static void bring_consoles(struct test_cloud *cloud, SoupSession *session, GTlsCertificate *certificate)
{
	g_auto(GStrv) uids = g_strsplit(cloud->wanted ? cloud->wanted : "", ",", -1);

	for (char **uid = uids; *uid; uid++) {
		g_autofree char *path = g_strconcat("/agent/v1/console/", *uid, NULL);
		g_assert_cmpint(host_send(cloud, session, certificate, "PUT", path,
					"[    0.000000] Linux\nlogin: ", NULL),
			==, 204);
	}
}

static bool wait_for_leave(struct test_cloud *cloud)
{
	g_mutex_lock(&cloud->lock);
	cloud->busy = false;
	g_cond_broadcast(&cloud->changed);
	while (!cloud->obey && !cloud->stop)
		g_cond_wait(&cloud->changed, &cloud->lock);
	bool go_on = cloud->busy = !cloud->stop;
	g_mutex_unlock(&cloud->lock);
	return go_on;
}

/* A thread is over: the main thread looks whether it was the last. */
static void leave(struct test_cloud *cloud)
{
	g_mutex_lock(&cloud->lock);
	cloud->running--;
	g_mutex_unlock(&cloud->lock);
	g_main_context_wakeup(NULL);
}

/* Asks for goals without waiting for newer ones on the wire: a test that ends does not wait for the host
 * then. */
static void *run_host(void *data)
{
	struct test_cloud *cloud = data;
	g_autoptr(SoupSession) session = new_session(cloud);
	g_autoptr(GTlsCertificate) certificate = host_certificate(cloud);

	while (wait_for_leave(cloud)) {
		json_auto_t *json = NULL;
		if (host_send(cloud, session, certificate, "GET", "/agent/v1/goal", NULL, &json) == 200) {
			_cleanup_(goal_free) struct goal *goal =
				shape_decode(&goal_shape, json, SHAPE_STRICT, NULL);
			g_assert_nonnull(goal);
			_cleanup_(report_free) struct report *report = obey_goal(cloud, HOST, goal);
			json_auto_t *encoded = shape_encode(&report_shape, report);
			g_autofree char *text = json_dumps(encoded, JSON_COMPACT);
			bring_consoles(cloud, session, certificate);
			host_send(cloud, session, certificate, "PUT", "/agent/v1/report", text, NULL);
		}
		g_usleep(10 * 1000);
	}
	leave(cloud);
	return NULL;
}

/* ---- the main thread ---- */

static void set_urls(struct test_cloud *cloud)
{
	g_free(cloud->clients_url);
	g_free(cloud->agents_url);
	cloud->clients_url = g_strdup(server_url(cloud->fixture.clients));
	cloud->agents_url = g_strdup(server_url(cloud->fixture.agents));
}

static void *run_scenario(void *data)
{
	struct test_cloud *cloud = data;

	cloud->session = new_session(cloud);
	cloud->scenario(cloud);
	g_clear_object(&cloud->session);
	g_mutex_lock(&cloud->lock);
	cloud->stop = true;
	g_cond_broadcast(&cloud->changed);
	g_mutex_unlock(&cloud->lock);
	leave(cloud);
	return NULL;
}

static bool serve_once(struct test_cloud *cloud)
{
	g_main_context_iteration(NULL, TRUE);
	g_mutex_lock(&cloud->lock);
	if (cloud->restart) {
		fixture_restart(&cloud->fixture);
		set_urls(cloud);
		cloud->restart = false;
		g_cond_broadcast(&cloud->changed);
	}
	bool go_on = cloud->running > 0;
	g_mutex_unlock(&cloud->lock);
	return go_on;
}

/* A session's connections end in callbacks of the servers' side, which are still to run. */
static void drain(void)
{
	for (int i = 0; i < 20; i++) {
		while (g_main_context_iteration(NULL, FALSE))
			;
		g_usleep(1000);
	}
}

/* The second host has no connection of its own: what goes over that is the first one's to test. */
static gboolean run_second(void *data)
{
	struct test_cloud *cloud = data;
	g_autoptr(GError) error = NULL;
	_cleanup_(goal_free) struct goal *goal = control_goal(cloud->fixture.control, "host2", &error);

	g_assert_no_error(error);
	_cleanup_(report_free) struct report *report = obey_goal(cloud, "host2", goal);
	control_report(cloud->fixture.control, "host2", report, &error);
	g_assert_no_error(error);
	return G_SOURCE_CONTINUE;
}

static void run_cloud(void (*scenario)(struct test_cloud *cloud), bool pair)
{
	struct test_cloud cloud = {.obey = true, .running = 2, .scenario = scenario};
	guint second = 0;

	g_mutex_init(&cloud.lock);
	g_cond_init(&cloud.changed);
	fixture_open(&cloud.fixture, true);
	fixture_serve(&cloud.fixture);
	set_urls(&cloud);
	GThread *host = g_thread_new("host", run_host, &cloud);
	GThread *driver = g_thread_new("scenario", run_scenario, &cloud);
	if (pair)
		second = g_timeout_add(20, run_second, &cloud);
	while (serve_once(&cloud))
		;
	g_clear_handle_id(&second, g_source_remove);
	g_thread_join(driver);
	g_thread_join(host);
	drain();
	fixture_close(&cloud.fixture);
	g_free(cloud.clients_url);
	g_free(cloud.agents_url);
	g_free(cloud.token);
	g_free(cloud.wanted);
	g_mutex_clear(&cloud.lock);
	g_cond_clear(&cloud.changed);
}

void test_cloud_run(void (*scenario)(struct test_cloud *cloud))
{
	run_cloud(scenario, false);
}

void test_cloud_run_pair(void (*scenario)(struct test_cloud *cloud))
{
	run_cloud(scenario, true);
}

void test_cloud_obey(struct test_cloud *cloud, bool obey)
{
	g_mutex_lock(&cloud->lock);
	cloud->obey = obey;
	g_cond_broadcast(&cloud->changed);
	while (!obey && cloud->busy)
		g_cond_wait(&cloud->changed, &cloud->lock);
	g_mutex_unlock(&cloud->lock);
}

void test_cloud_restart(struct test_cloud *cloud)
{
	g_mutex_lock(&cloud->lock);
	cloud->restart = true;
	g_main_context_wakeup(NULL);
	while (cloud->restart)
		g_cond_wait(&cloud->changed, &cloud->lock);
	g_mutex_unlock(&cloud->lock);
}

/* ---- a client ---- */

void answer_clear(struct answer *answer)
{
	json_decref(answer->json);
	g_clear_pointer(&answer->headers, soup_message_headers_unref);
	*answer = (struct answer){};
}

/* "/subscriptions/UID" for "S" in front. */
static char *make_url(const struct test_cloud *cloud, const char *path)
{
	if (g_str_has_prefix(path, "https:"))
		return g_strdup(path);
	if (g_str_has_prefix(path, "S/"))
		return g_strdup_printf("%s/subscriptions/%s%s", cloud->clients_url,
			control_subscription(cloud->fixture.control), path + 1);
	return g_strconcat(cloud->clients_url, path, NULL);
}

static SoupMessage *new_message(const struct test_cloud *cloud, const char *method, const char *path)
{
	g_autofree char *url = make_url(cloud, path),
			*bearer = cloud->token ? g_strconcat("Bearer ", cloud->token, NULL) : NULL;
	SoupMessage *message = soup_message_new(method, url);

	if (bearer)
		soup_message_headers_append(
			soup_message_get_request_headers(message), "Authorization", bearer);
	return message;
}

static void send_message(SoupSession *session, SoupMessage *message, struct answer *ret)
{
	int64_t from = g_get_monotonic_time();
	g_autoptr(GBytes) bytes = soup_session_send_and_read(session, message, NULL, NULL);

	ret->took_ms = (g_get_monotonic_time() - from) / 1000;
	ret->headers = soup_message_headers_ref(soup_message_get_response_headers(message));
	if (!bytes)
		return;
	ret->status = soup_message_get_status(message);
	ret->json = json_loadb(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), 0, NULL);
}

struct answer ask(struct test_cloud *cloud, const char *method, const char *path, const char *body, ...)
{
	struct answer answer = {};
	g_autoptr(SoupMessage) message = new_message(cloud, method, path);
	SoupMessageHeaders *headers = soup_message_get_request_headers(message);
	const char *name;
	va_list args;

	if (body) {
		g_autoptr(GBytes) bytes = g_bytes_new(body, strlen(body));
		soup_message_set_request_body_from_bytes(message, "application/json", bytes);
	}
	va_start(args, body);
	while ((name = va_arg(args, const char *)))
		soup_message_headers_replace(headers, name, va_arg(args, const char *));
	va_end(args);
	send_message(cloud->session, message, &answer);
	return answer;
}

/* One of several requests. */
struct asker {
	struct test_cloud *cloud;
	const char *method, *path;
	GMutex *start; /* held until all are connected */
	gint *connected; /* atomic */
	struct answer *answer;
};

static void *run_asker(void *data)
{
	const struct asker *asker = data;
	g_autoptr(SoupSession) session = new_session(asker->cloud);
	g_autoptr(SoupMessage) first = new_message(asker->cloud, "GET", "/metadata/endpoints"),
			       message = new_message(asker->cloud, asker->method, asker->path);
	_cleanup_(answer_clear) struct answer open = {};

	send_message(session, first, &open);
	g_atomic_int_inc(asker->connected);
	g_mutex_lock(asker->start);
	g_mutex_unlock(asker->start);
	send_message(session, message, asker->answer);
	return NULL;
}

void ask_at_once(
	struct test_cloud *cloud, const char *method, const char *const paths[], size_t n, struct answer *ret)
{
	g_autofree struct asker *askers = g_new(struct asker, n);
	g_autofree GThread **threads = g_new(GThread *, n);
	gint connected = 0;
	GMutex start;

	g_mutex_init(&start);
	g_mutex_lock(&start);
	for (size_t i = 0; i < n; i++) {
		ret[i] = (struct answer){};
		askers[i] = (struct asker){cloud, method, paths[i], &start, &connected, &ret[i]};
		threads[i] = g_thread_new("asker", run_asker, &askers[i]);
	}
	while (g_atomic_int_get(&connected) < (gint)n)
		g_usleep(1000);
	g_mutex_unlock(&start);
	for (size_t i = 0; i < n; i++)
		g_thread_join(threads[i]);
	g_mutex_clear(&start);
}

const char *answer_text(const struct answer *answer, const char *member)
{
	const char *text = json_string_value(json_object_get(answer->json, member));

	return text ? text : "";
}

const char *answer_code(const struct answer *answer)
{
	const char *code = json_string_value(json_object_get(json_object_get(answer->json, "error"), "code"));

	return code ? code : "";
}

const char *answer_header(const struct answer *answer, const char *name)
{
	return soup_message_headers_get_one(answer->headers, name);
}

char *finish(struct test_cloud *cloud, const struct answer *answer, unsigned *ret_polls)
{
	const char *url = answer_header(answer, "Azure-AsyncOperation");

	g_assert_nonnull(url);
	g_assert_cmpstr(answer_header(answer, "Retry-After"), ==, "1");
	for (unsigned polls = 1;; polls++) {
		_cleanup_(answer_clear) struct answer status = ask(cloud, "GET", url, NULL, NULL);
		g_assert_cmpint(status.status, ==, 200);
		const char *word = answer_text(&status, "status");
		if (ret_polls)
			*ret_polls = polls;
		if (!g_str_equal(word, "InProgress") && !g_str_equal(word, "Running"))
			return g_strdup(word);
	}
}

unsigned put_recorded(struct test_cloud *cloud, const char *name)
{
	json_auto_t *recorded = fixture_load(&cloud->fixture, name);
	g_autofree char *body = json_dumps(json_object_get(recorded, "request"), JSON_COMPACT);
	_cleanup_(answer_clear) struct answer answer =
		ask(cloud, "PUT", json_string_value(json_object_get(recorded, "path")), body, NULL);

	if (answer.status < 300 && answer_header(&answer, "Azure-AsyncOperation")) {
		g_autofree char *end = finish(cloud, &answer, NULL);
		g_assert_cmpstr(end, ==, "Succeeded");
	}
	return answer.status;
}

struct answer log_in(struct test_cloud *cloud, const char *grant, const char *rest)
{
	g_autofree char *form = g_strdup_printf("grant_type=%s&%s", grant, rest);

	return ask(cloud, "POST", "/adfs/oauth2/token", form, "Content-Type",
		"application/x-www-form-urlencoded", NULL);
}

void log_in_as_tester(struct test_cloud *cloud)
{
	g_autofree char *rest = g_strdup_printf("client_id=tester&client_secret=%s", cloud->fixture.secret);
	_cleanup_(answer_clear) struct answer answer = log_in(cloud, "client_credentials", rest);

	g_assert_cmpint(answer.status, ==, 200);
	cloud->token = g_strdup(answer_text(&answer, "access_token"));
}

void put_base(struct test_cloud *cloud)
{
	static const char *const names[] = {"group", "network", "security_group", "rule", "address", "nic"};

	log_in_as_tester(cloud);
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		g_assert_cmpint(put_recorded(cloud, names[i]), ==, 201);
}

void test_cloud_run_data(const void *scenario)
{
	test_cloud_run(((const struct test_cloud_scenario *)scenario)->run);
}
