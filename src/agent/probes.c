/* Probes of load balancers: see probes.h. */
#include "agent/probes.h"

#include "base/fault.h"
#include "base/ip.h"
#include "base/log.h"
#include "nic/netns.h"

#include <gio/gio.h>
#include <string.h>

#define FIRST_MS      200 /* after a probe is new */
#define ANSWER_MAX    64 /* bytes of an answer that are read */
#define STATUS_LENGTH 13 /* of it, that say which it is: "HTTP/1.1 200 " */

struct probes {
	struct probes_config config;
	GHashTable *all; /* Owned: "NIC KEY" → struct probe */
};

struct probe {
	struct probes *probes; /* Borrowed */
	char *nic, *address; /* uid; on the host port */
	struct goal_probe *spec; /* Owned */
	bool answered; /* once at least */
	bool well; /* what is believed */
	bool last; /* what the last one said; */
	int64_t streak; /* and how many before it */
	guint timer; /* to the next, or to the end of this one's time */
	GSocket *socket; /* Owned; NULL: none is under way */
	GSource *waiting; /* Owned: for the socket */
	char answer[ANSWER_MAX];
	size_t n_answer;
};

static gboolean begin(void *data);

/* ---- one question ---- */

static void hang_up(struct probe *probe)
{
	if (probe->waiting) {
		g_source_destroy(probe->waiting);
		g_clear_pointer(&probe->waiting, g_source_unref);
	}
	g_clear_object(&probe->socket);
	probe->n_answer = 0;
}

static void believe(struct probe *probe, bool well)
{
	probe->streak = probe->last == well ? probe->streak + 1 : 1;
	probe->last = well;
	bool believed = !probe->answered || probe->streak >= probe->spec->threshold;
	bool news = believed && probe->well != well;
	if (believed)
		probe->well = well;
	probe->answered = true;
	if (!news)
		return;
	log_info(probe->nic, "probe %s: it is %s", probe->spec->key, well ? "well" : "not well");
	probe->probes->config.changed(probe->probes->config.data);
}

/* The next one comes when this one's interval is over. */
static gboolean on_answer(struct probe *probe, bool well)
{
	hang_up(probe);
	believe(probe, well);
	return G_SOURCE_REMOVE;
}

static gboolean wait_for(struct probe *probe, GIOCondition condition, GSocketSourceFunc fn)
{
	if (probe->waiting) {
		g_source_destroy(probe->waiting);
		g_source_unref(probe->waiting);
	}
	probe->waiting = g_socket_create_source(probe->socket, condition, NULL);
	g_source_set_callback(probe->waiting, G_SOURCE_FUNC(fn), probe, NULL);
	g_source_attach(probe->waiting, g_main_context_get_thread_default());
	return G_SOURCE_REMOVE;
}

/* "HTTP/1.1 200 OK", or of another minor version. */
static bool is_ok(const struct probe *probe)
{
	static const char version[] = "HTTP/1.", code[] = " 200";
	const size_t before = sizeof version, end = before + strlen(code);

	return probe->n_answer > end && memcmp(probe->answer, version, strlen(version)) == 0 &&
	       memcmp(probe->answer + before, code, strlen(code)) == 0 &&
	       !g_ascii_isdigit(probe->answer[end]);
}

static gboolean on_readable(GSocket *socket, GIOCondition condition, void *data)
{
	struct probe *probe = data;
	gssize n = g_socket_receive(
		socket, probe->answer + probe->n_answer, ANSWER_MAX - probe->n_answer, NULL, NULL);

	if (n <= 0)
		return on_answer(probe, false);
	probe->n_answer += (size_t)n;
	if (probe->n_answer < STATUS_LENGTH)
		return G_SOURCE_CONTINUE;
	return on_answer(probe, is_ok(probe));
}

static gboolean on_connected(GSocket *socket, GIOCondition condition, void *data)
{
	struct probe *probe = data;

	if (!g_socket_check_connect_result(socket, NULL))
		return on_answer(probe, false);
	if (probe->spec->protocol != PROBE_HTTP)
		return on_answer(probe, true);
	g_autofree char *request = g_strdup_printf("GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: Load Balancer "
						   "Agent\r\nConnection: close\r\n\r\n",
		probe->spec->path, probe->address);
	/* A new connection takes as much at once. */
	if (g_socket_send(socket, request, strlen(request), NULL, NULL) != (gssize)strlen(request))
		return on_answer(probe, false);
	return wait_for(probe, G_IO_IN, on_readable);
}

/* Runs in the namespace. */
static bool make_socket(void *data, GError **error)
{
	struct probe *probe = data;
	g_autoptr(GSocketAddress) source =
		g_inet_socket_address_new_from_string(probe->probes->config.source, 0);
	g_autoptr(GError) cause = NULL;
	g_autoptr(GSocket) socket =
		g_socket_new(G_SOCKET_FAMILY_IPV4, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, &cause);

	if (!socket || !g_socket_bind(socket, source, true, &cause))
		return fault_set(error, FAULT_INTERNAL, "probes cannot be sent from %s: %s",
			probe->probes->config.source, cause->message);
	g_socket_set_blocking(socket, false);
	probe->socket = g_steal_pointer(&socket);
	return true;
}

static bool dial(struct probe *probe)
{
	g_autoptr(GSocketAddress) to =
		g_inet_socket_address_new_from_string(probe->address, (guint)probe->spec->port);
	g_autoptr(GError) error = NULL;

	if (!netns_run(probe->probes->config.netns, make_socket, probe, &error)) {
		log_warn(probe->nic, "%s", error->message);
		return false;
	}
	if (g_socket_connect(probe->socket, to, NULL, &error) ||
		g_error_matches(error, G_IO_ERROR, G_IO_ERROR_PENDING)) {
		wait_for(probe, G_IO_OUT, on_connected);
		return true;
	}
	return false;
}

/* Time for the next one; the one before has had its. */
static gboolean begin(void *data)
{
	struct probe *probe = data;

	if (probe->socket)
		on_answer(probe, false);
	probe->timer = g_timeout_add((guint)probe->spec->interval_s * 1000, begin, probe);
	if (!dial(probe))
		on_answer(probe, false);
	return G_SOURCE_REMOVE;
}

/* ---- all of them ---- */

static void probe_free(void *data)
{
	struct probe *probe = data;

	g_clear_handle_id(&probe->timer, g_source_remove);
	hang_up(probe);
	shape_free(&goal_probe_shape, probe->spec);
	g_free(probe->nic);
	g_free(probe->address);
	g_free(probe);
}

static char *id_of(const char *nic, const char *key)
{
	return g_strdup_printf("%s %s", nic, key);
}

struct probes *probes_new(const struct probes_config *config)
{
	struct probes *probes = g_new0(struct probes, 1);

	probes->config = *config;
	probes->all = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, probe_free);
	return probes;
}

void probes_free(struct probes *probes)
{
	if (!probes)
		return;
	g_hash_table_unref(probes->all);
	g_free(probes);
}

static bool can_ask(const struct goal_nic *nic, const struct goal_probe *spec)
{
	struct ip_addr addr;

	return nic->uid && nic->host_address && ip_parse(nic->host_address, &addr) == 0 && spec->key &&
	       spec->port >= 1 && spec->port <= 65535 && spec->interval_s >= 1 &&
	       spec->interval_s <= G_MAXINT / 1000 && (spec->protocol != PROBE_HTTP || spec->path);
}

/* The one that is there goes on, if it is the same. */
static void add(
	struct probes *probes, GHashTable *wanted, const struct goal_nic *nic, const struct goal_probe *spec)
{
	char *id = id_of(nic->uid, spec->key);
	const struct probe *there = g_hash_table_lookup(probes->all, id);

	g_hash_table_add(wanted, id);
	if (there && shape_equal(&goal_probe_shape, there->spec, spec) &&
		g_str_equal(there->address, nic->host_address))
		return;
	struct probe *probe = g_new0(struct probe, 1);
	*probe = (struct probe){.probes = probes,
		.nic = g_strdup(nic->uid),
		.address = g_strdup(nic->host_address),
		.spec = shape_copy(&goal_probe_shape, spec)};
	probe->timer = g_timeout_add(FIRST_MS, begin, probe);
	g_hash_table_replace(probes->all, g_strdup(id), probe);
}

/* It is on another host still, whose business it is. */
static bool is_coming(const struct goal *goal, const struct goal_nic *nic)
{
	for (guint i = 0; i < list_length(goal->vms); i++) {
		const struct goal_vm *vm = goal->vms->pdata[i];
		if (g_strcmp0(vm->uid, nic->vm) == 0)
			return vm->migration.uid && vm->migration.role == MIGRATION_TARGET;
	}
	return false;
}

static gboolean is_unwanted(void *id, void *probe, void *wanted)
{
	return !g_hash_table_contains(wanted, id);
}

void probes_update(struct probes *probes, const struct goal *goal)
{
	g_autoptr(GHashTable) wanted = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

	for (guint i = 0; i < list_length(goal->nics); i++) {
		const struct goal_nic *nic = goal->nics->pdata[i];
		if (list_length(nic->probes) == 0 || is_coming(goal, nic))
			continue;
		for (guint j = 0; j < nic->probes->len; j++)
			if (can_ask(nic, nic->probes->pdata[j]))
				add(probes, wanted, nic, nic->probes->pdata[j]);
	}
	g_hash_table_foreach_remove(probes->all, is_unwanted, wanted);
}

void probes_restart(struct probes *probes, const char *nic)
{
	GHashTableIter iter;
	struct probe *probe;
	bool news = false;

	if (!probes)
		return;
	g_hash_table_iter_init(&iter, probes->all);
	while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&probe)) {
		if (!g_str_equal(probe->nic, nic))
			continue;
		hang_up(probe);
		news |= probe->well;
		probe->well = probe->answered = probe->last = false;
		probe->streak = 0;
	}
	if (news)
		probes->config.changed(probes->config.data);
}

bool probes_find(const struct probes *probes, const char *nic, const char *key, bool *ret_well)
{
	g_autofree char *id = probes && nic && key ? id_of(nic, key) : NULL;
	const struct probe *probe = id ? g_hash_table_lookup(probes->all, id) : NULL;

	if (probe)
		*ret_well = probe->well;
	return probe != NULL;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

GPtrArray *probes_well(const struct probes *probes, const char *nic)
{
	GPtrArray *keys = NULL;
	GHashTableIter iter;
	struct probe *probe;

	if (!probes)
		return NULL;
	g_hash_table_iter_init(&iter, probes->all);
	while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&probe)) {
		if (!probe->well || !g_str_equal(probe->nic, nic))
			continue;
		if (!keys)
			keys = strings_new();
		g_ptr_array_add(keys, g_strdup(probe->spec->key));
	}
	if (keys)
		g_ptr_array_sort(keys, by_text);
	return keys;
}
