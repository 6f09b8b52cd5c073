/* Many clients create, change and delete what a cloud has at the same time; nothing may be lost, left behind, or listed
 * in anything but pages. With --bench it is also measured how fast the API answers, beside a bare server of the same
 * libraries.
 *
 *     test/api/cloud.py --controller PROGRAM --sizes FILE --hosts 4 load [OPTIONS] FOLDER
 *
 * How it works. Each client has a thread and makes one request after another. First there are machines that stay, so
 * that the store is as full as it shall be; then each client makes, changes, reads and deletes machines of its own in
 * turns, with networks, security groups and public addresses, by single requests and by deployments, and parts of what it
 * shares with others. One more client reads all lists meanwhile: what is there all the while must be in each of them. At
 * the end what is listed must be just what was made and not deleted, and once the groups are deleted nothing may be
 * counted any more. A group that something still refers to could not be deleted, and an address that was not given back
 * would not be the first that the next interface, or the next public address, gets.
 */
#include "ceiling.h"
#include "lists.h"
#include "resources.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GROUPS_MAX 20
#define SHORT_PAGE 10 /* elements, for lists that are not long */

static const char *const types[] = {VM_TYPE, NIC_TYPE, NETWORK_TYPE, NSG_TYPE, ADDRESS_TYPE};

/* ---- what there should be ---- */

static unsigned share(const struct load *load, unsigned client)
{
	unsigned all = (unsigned)load->options->machines, n = (unsigned)load->options->clients;

	return all / n + (client < all % n);
}

/* Every other machine stays, and every other one is a deployment's. */
static gboolean is_kept(unsigned turn)
{
	return turn % 2;
}

static gboolean is_deployed(unsigned client, unsigned turn)
{
	return (client + turn) % 2;
}

/* Calls back for each machine that is kept. */
typedef void (*kept_fn)(const struct load *load, unsigned client, unsigned turn, const char *name,
	GHashTable *ids, void *data);
static void each_kept(const struct load *load, kept_fn fn, GHashTable *ids, const void *data)
{
	for (int c = 0; c < load->options->clients; c++)
		for (int turn = 0; turn < load->options->turns; turn++) {
			g_autofree char *name = resource_name((unsigned)c, "turn", (unsigned)turn);
			if (is_kept((unsigned)turn))
				fn(load, (unsigned)c, (unsigned)turn, name, ids, (void *)data);
		}
}

static void add_part(const struct load *load, unsigned client, unsigned turn, const char *name,
	GHashTable *ids, void *data)
{
	ids_add(ids, resource_id(load, client, data, name));
}

static void add_deployment(const struct load *load, unsigned client, unsigned turn, const char *name,
	GHashTable *ids, void *data)
{
	if (is_deployed(client, turn))
		ids_add(ids, resource_id(load, client, DEPLOY_TYPE, name));
}

/* A list of what the clients share, whose own element is there from the start. */
struct shared {
	const char *type, *child, *own;
};
static const struct shared shared_lists[] = {
	{NSG_TYPE, "securityRules", "ssh"}, {NETWORK_TYPE, "subnets", "sub"}};

static void add_shared(const struct load *load, unsigned client, unsigned turn, const char *name,
	GHashTable *ids, void *data)
{
	const struct shared *shared = data;

	ids_add(ids, resource_child_id(load, client, shared->type, SHARED, shared->child, name));
}

/* What is there all the while. */
static void add_steady(const struct load *load, const char *type, GHashTable *ids)
{
	gboolean is_shared = g_str_equal(type, NETWORK_TYPE) || g_str_equal(type, NSG_TYPE),
		 is_plain = g_str_equal(type, VM_TYPE) || g_str_equal(type, NIC_TYPE);

	for (unsigned i = 0; is_shared && i < load->groups; i++)
		ids_add(ids, resource_id(load, i, type, SHARED));
	for (int c = 0; is_plain && c < load->options->clients; c++)
		for (unsigned i = 0; i < share(load, (unsigned)c); i++) {
			g_autofree char *name = resource_name((unsigned)c, "stays", i);
			ids_add(ids, resource_id(load, (unsigned)c, type, name));
		}
}

/* ---- checks ---- */

static gboolean check(const char *promise, gboolean held)
{
	static unsigned number;

	printf("%sok %u - %s\n", held ? "" : "not ", ++number, promise);
	fflush(stdout);
	return held;
}

static gboolean check_type(struct load *load, struct client *client, const char *type)
{
	g_autoptr(GHashTable) expected = ids_new();

	add_steady(load, type, expected);
	each_kept(load, add_part, expected, type);
	return lists_are_same(list_ids(load, client, type, 0), expected, type);
}

static gboolean check_all_types(struct load *load, struct client *client)
{
	g_autoptr(GHashTable) expected = ids_new();

	for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
		add_steady(load, types[i], expected);
		each_kept(load, add_part, expected, types[i]);
	}
	return lists_are_same(list_ids(load, client, NULL, 0), expected, "all resources");
}

/* All groups' together. */
static gboolean check_shared(struct load *load, struct client *client, const struct shared *shared)
{
	g_autoptr(GHashTable) expected = ids_new(), ids = ids_new();

	each_kept(load, add_shared, expected, shared);
	for (unsigned i = 0; i < load->groups; i++) {
		g_autofree char *path =
			resource_child_id(load, i, shared->type, SHARED, shared->child, shared->own);
		ids_add(expected, g_strdup(path));
		*strrchr(path, '/') = '\0';
		g_autoptr(GHashTable) its = list_ids_at(load, client, path, SHORT_PAGE);
		if (!its)
			return FALSE;
		ids_join(ids, its);
	}
	return lists_are_same(g_steal_pointer(&ids), expected, shared->child);
}

static gboolean check_deployments(struct load *load, struct client *client)
{
	g_autoptr(GHashTable) expected = ids_new(), ids = ids_new();

	each_kept(load, add_deployment, expected, NULL);
	for (unsigned i = 0; i < load->groups; i++) {
		g_autofree char *path = resource_id(load, i, DEPLOY_TYPE, "");
		g_autoptr(GHashTable) its = list_ids_at(load, client, path, SHORT_PAGE);
		if (!its)
			return FALSE;
		ids_join(ids, its);
	}
	return lists_are_same(g_steal_pointer(&ids), expected, DEPLOY_TYPE);
}

static gboolean check_empty(struct load *load, struct client *client)
{
	g_autoptr(GHashTable) none = ids_new();
	gboolean good = lists_are_same(list_ids(load, client, NULL, 0), none, "all resources");

	for (size_t i = 0; i < G_N_ELEMENTS(types); i++)
		good &= lists_are_same(list_ids(load, client, types[i], 0), none, types[i]);
	return good;
}

static gboolean check_counts(struct load *load, struct client *client)
{
	json_auto_t *answer = NULL;
	gboolean good = client_ask(client, SORT_READ, "GET", "/sluice/v1/quotas", NULL, &answer, NULL) == 200;
	json_t *quota;
	size_t i;

	json_array_foreach(json_object_get(answer, "quotas"), i, quota)
	{
		if (json_integer_value(json_object_get(quota, "used")) == 0)
			continue;
		g_printerr("%s are still counted\n", json_string_value(json_object_get(quota, "name")));
		good = FALSE;
	}
	return good;
}

/* ---- lists that are read all the while ---- */

struct reading {
	struct load *load; /* Borrowed */
	gboolean good;
	unsigned times;
};

static gboolean read_lists(struct load *load, struct client *client)
{
	unsigned limit = load->options->bench ? 0 : SHORT_PAGE;
	g_autoptr(GHashTable) steady = ids_new();
	gboolean good = TRUE;

	for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
		g_autoptr(GHashTable) its = ids_new();
		add_steady(load, types[i], its);
		add_steady(load, types[i], steady);
		good &= lists_have(list_ids(load, client, types[i], limit), its, types[i]);
	}
	return lists_have(list_ids(load, client, NULL, limit), steady, "all resources") && good;
}

static void *keep_reading(void *data)
{
	struct reading *reading = data;
	struct client client;

	client_init(&client, &reading->load->server, 0);
	reading->good = TRUE;
	do {
		reading->good &= read_lists(reading->load, &client) && client.errors == 0;
		reading->times++;
	} while (reading->good && !g_atomic_int_get(&reading->load->over));
	client_clear(&client);
	return NULL;
}

/* ---- work of clients ---- */

static void make_group(struct client *client, void *data)
{
	resource_group_put(data, client, client->number);
}

static void remove_group(struct client *client, void *data)
{
	resource_group_delete(data, client, client->number);
}

static void fill(struct client *client, void *data)
{
	struct load *load = data;

	for (unsigned i = 0; i < share(load, client->number); i++) {
		g_autofree char *name = resource_name(client->number, "stays", i);
		plain_machine_put(load, client, name);
	}
}

static gboolean take_turn(struct load *load, struct client *client, unsigned turn)
{
	unsigned turns = (unsigned)load->options->turns, mine = client->number / load->groups * turns + turn;
	g_autofree char *name = resource_name(client->number, "turn", turn),
			*text = g_strdup_printf("%u", turn);
	gboolean deployed = is_deployed(client->number, turn);

	if (!share_put(load, client, name, mine))
		return FALSE;
	if (deployed ? !machine_deploy(load, client, name) : !machine_put(load, client, name))
		return FALSE;
	if (!machine_read(load, client, name) || !machine_change(load, client, name, text))
		return FALSE;
	return is_kept(turn) ||
	       (machine_delete(load, client, name, deployed) && share_delete(load, client, name));
}

static void take_turns(struct client *client, void *data)
{
	struct load *load = data;

	for (unsigned turn = 0; turn < (unsigned)load->options->turns; turn++)
		if (!take_turn(load, client, turn))
			return;
}

static gboolean goes_on(const struct load *load)
{
	return g_get_monotonic_time() < load->until_us;
}

static void only_read(struct client *client, void *data)
{
	struct load *load = data;
	g_autofree char *name = resource_name(client->number, "stays", 0);

	while (goes_on(load))
		machine_read(load, client, name);
}

static void only_list(struct client *client, void *data)
{
	struct load *load = data;
	g_autofree char *path = g_strdup_printf("%s/providers/" VM_TYPE "?api-version=1", load->subscription);

	while (goes_on(load))
		client_ask(client, SORT_LIST, "GET", path, NULL, NULL, NULL);
}

/* What the client waits for is the answer, which goes out when the change is on the disk. */
static void only_write(struct client *client, void *data)
{
	struct load *load = data;
	g_autofree char *name = resource_name(client->number, "stays", 0),
			*id = resource_id(load, client->number, NIC_TYPE, name), *nic = resource_path(id);

	for (unsigned turn = 0; goes_on(load); turn++) {
		g_autofree char *tag = g_strdup_printf("%u", turn),
				*body = plain_nic_body(load, client->number, tag);
		unsigned status = client_ask(client, SORT_WRITE, "PUT", nic, body, NULL, NULL);
		/* The one before may still be on its way to the hosts. */
		load_expect(load, status == 409 ? 200 : status, NULL, "PUT", nic);
	}
}

/* ---- figures ---- */

static void print(const char *what, const struct figures *figures, enum sort sort)
{
	printf("| %s | %.0f | %.1f | %.1f |\n", what, figures_rate(figures, sort),
		figures_percentile(figures, sort, 50), figures_percentile(figures, sort, 99));
	fflush(stdout);
}

static void measure(
	struct load *load, const char *what, client_work_fn work, enum sort sort, double *ret_rate)
{
	struct figures figures;

	load->until_us = g_get_monotonic_time() + load->options->seconds * G_USEC_PER_SEC;
	clients_run(&load->server, (unsigned)load->options->clients, work, load, &figures);
	print(what, &figures, sort);
	*ret_rate = figures_rate(&figures, sort);
	figures_clear(&figures);
}

static void bench(struct load *load, const char *folder)
{
	double reads, lists, writes, bare_reads, bare_writes;
	struct load bare = *load;
	struct ceiling *ceiling = ceiling_start(folder);

	bare.server.endpoint = ceiling_endpoint(ceiling);
	measure(load, "writes: PUT of an interface", only_write, SORT_WRITE, &writes);
	measure(&bare, "writes: libsoup and SQLite alone", only_write, SORT_WRITE, &bare_writes);
	measure(load, "reads: GET of a machine", only_read, SORT_READ, &reads);
	measure(&bare, "reads: libsoup and SQLite alone", only_read, SORT_READ, &bare_reads);
	measure(load, "lists: a page of 100 machines", only_list, SORT_LIST, &lists);
	printf("reads are at %.2f of the ceiling, writes at %.2f\n", reads / bare_reads,
		writes / bare_writes);
	ceiling_stop(ceiling);
}

/* ---- all of it ---- */

static void run(struct load *load, unsigned clients, const char *what, client_work_fn work)
{
	struct figures figures;

	clients_run(&load->server, clients, work, load, &figures);
	g_atomic_int_add(&load->failed, (gint)figures.errors);
	if (load->options->bench && work != make_group)
		printf("%s: %.1f s; writes %.0f/s, p50 %.1f ms, p99 %.1f ms\n", what, figures.seconds,
			figures_rate(&figures, SORT_WRITE), figures_percentile(&figures, SORT_WRITE, 50),
			figures_percentile(&figures, SORT_WRITE, 99));
	fflush(stdout);
	figures_clear(&figures);
}

/* The first private and the first public address that are given now, as a text. Owned. */
static char *first_addresses(struct load *load, struct client *client)
{
	json_auto_t *nic = resource_probe(load, client, NIC_TYPE),
		    *address = resource_probe(load, client, ADDRESS_TYPE);
	const json_t *config =
		json_array_get(json_object_get(json_object_get(nic, "properties"), "ipConfigurations"), 0);
	const char *private =
		json_string_value(json_object_get(json_object_get(config, "properties"), "privateIPAddress")),
		   *public = json_string_value(
			   json_object_get(json_object_get(address, "properties"), "ipAddress"));

	return g_strdup_printf("%s %s", private ? private : "none", public ? public : "none");
}

static gboolean check_addresses(struct load *load, struct client *client, const char *first)
{
	g_autofree char *now = first_addresses(load, client);

	if (g_str_equal(now, first))
		return TRUE;
	g_printerr("the first addresses were %s and are %s: others were not given back\n", first, now);
	return FALSE;
}

/* Turns, while somebody reads lists. */
static gboolean run_turns(struct load *load)
{
	struct reading reading = {.load = load};
	GThread *thread = g_thread_new("reader", keep_reading, &reading);

	run(load, (unsigned)load->options->clients, "machines that come, change and go", take_turns);
	g_atomic_int_set(&load->over, 1);
	g_thread_join(thread);
	if (load->options->bench)
		printf("meanwhile all lists were read %u times\n", reading.times);
	return reading.good;
}

static gboolean check_lists(struct load *load, struct client *client)
{
	gboolean good = check("machines are listed in pages, none lost and none left over",
		check_type(load, client, VM_TYPE) & check_type(load, client, NIC_TYPE));

	good &= check("so are their networks, security groups and public addresses",
		check_type(load, client, NETWORK_TYPE) & check_type(load, client, NSG_TYPE) &
			check_type(load, client, ADDRESS_TYPE));
	good &= check("there are no other resources", check_all_types(load, client));
	good &= check("rules and subnets of what many change at once are all there, and no others",
		check_shared(load, client, &shared_lists[0]) & check_shared(load, client, &shared_lists[1]));
	good &= check("so are deployments", check_deployments(load, client));
	return good;
}

static gboolean run_all(struct load *load, const char *folder)
{
	struct client one;
	gboolean good;

	client_init(&one, &load->server, 0);
	run(load, load->groups, "groups", make_group);
	g_autofree char *first = first_addresses(load, &one);
	run(load, (unsigned)load->options->clients, "machines that stay", fill);
	if (load->options->bench)
		bench(load, folder);
	good = check("lists are in pages and have what is there, whatever comes and goes meanwhile",
		run_turns(load));
	good &= check("every request of clients that work at once is answered as it should", !load->failed);
	good &= check_lists(load, &one);
	run(load, load->groups, "deletion of all groups", remove_group);
	good &= check("all groups go with what is in them", !load->failed);
	good &= check("nothing is listed any more", check_empty(load, &one));
	good &= check("nothing is counted any more", check_counts(load, &one));
	run(load, 1, "groups", make_group);
	good &= check("addresses are given back", check_addresses(load, &one, first));
	client_clear(&one);
	return good;
}

/* ---- starting ---- */

static char *log_in(const struct server *server, const char *folder)
{
	g_autofree char *path = g_build_filename(folder, "principal.json", NULL);
	json_auto_t *principal = json_load_file(path, 0, NULL), *answer = NULL;
	g_autofree char *form = soup_form_encode("grant_type", "client_credentials", "client_id",
		json_string_value(json_object_get(principal, "appId")), "client_secret",
		json_string_value(json_object_get(principal, "password")), NULL);
	struct client client;

	client_init(&client, server, 0);
	client_ask(&client, SORT_WAIT, "POST", "/adfs/oauth2/token", form, &answer, NULL);
	client_clear(&client);
	return g_strdup(json_string_value(json_object_get(answer, "access_token")));
}

static char *find_subscription(const struct server *server)
{
	json_auto_t *answer = NULL;
	struct client client;

	client_init(&client, server, 0);
	client_ask(&client, SORT_WAIT, "GET", "/subscriptions?api-version=1", NULL, &answer, NULL);
	client_clear(&client);
	return g_strdup(json_string_value(
		json_object_get(json_array_get(json_object_get(answer, "value"), 0), "id")));
}

/* Four clients in each, or more where there would be more groups than GROUPS_MAX. */
static unsigned groups_of(int clients)
{
	return MIN(((unsigned)clients + 3) / 4, GROUPS_MAX);
}

int main(int argc, char **argv)
{
	struct options options = {.clients = 12, .machines = 24, .turns = 2, .seconds = 5};
	const GOptionEntry entries[] = {
		{"clients", 0, 0, G_OPTION_ARG_INT, &options.clients, "at once", "N"},
		{"machines", 0, 0, G_OPTION_ARG_INT, &options.machines, "that are there all the while", "N"},
		{"turns", 0, 0, G_OPTION_ARG_INT, &options.turns, "of each client", "N"},
		{"seconds", 0, 0, G_OPTION_ARG_INT, &options.seconds, "for each figure", "N"},
		{"bench", 0, 0, G_OPTION_ARG_NONE, &options.bench, "measure, too", NULL},
		{NULL},
	};
	g_autoptr(GOptionContext) context = g_option_context_new("FOLDER");
	g_autoptr(GError) error = NULL;

	if (argc == 3 && g_str_equal(argv[1], "--ceiling"))
		ceiling_serve(argv[2]);
	g_option_context_add_main_entries(context, entries, NULL);
	if (!g_option_context_parse(context, &argc, &argv, &error) || argc != 2 || options.clients < 1)
		return 2;
	struct load load = {.options = &options, .groups = groups_of(options.clients)};
	if (((unsigned)options.clients / load.groups + 1) * (unsigned)options.turns > SHARE_MAX)
		return 2;
	g_autofree char *ca = g_build_filename(argv[1], "ca.pem", NULL),
			*path = g_build_filename(argv[1], "endpoint", NULL), *endpoint = NULL, *token = NULL;
	g_autoptr(GTlsDatabase) trust = g_tls_file_database_new(ca, &error);
	if (!trust || !g_file_get_contents(path, &endpoint, NULL, &error)) {
		g_printerr("%s\n", error->message);
		return 1;
	}
	/* Not the session's own: glib-networking gives each connection the default's certificates first, and the system's are
	 * 140, which took most of the clients' time. */
	g_tls_backend_set_default_database(g_tls_backend_get_default(), trust);
	load.server = (struct server){.endpoint = g_strchomp(endpoint)};
	load.server.token = token = log_in(&load.server, argv[1]);
	load.subscription = find_subscription(&load.server);
	puts("1..11");
	gboolean good = load.subscription && run_all(&load, argv[1]);
	g_free(load.subscription);
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
