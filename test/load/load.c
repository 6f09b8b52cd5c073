/* Many clients create, change and delete machines at the same time; nothing may be lost, left behind, or listed in
 * anything but pages. With --bench it is also measured how fast the API answers, beside a bare server of the same
 * libraries.
 *
 *     test/api/cloud.py --controller PROGRAM --sizes FILE --hosts 4 load [OPTIONS] FOLDER
 *
 * How it works. Each client has a thread and makes one request after another. First there are machines that stay, so
 * that the store is as full as it shall be; then each client makes, changes, reads and deletes machines of its own in
 * turns. At the end what is listed must be just what was made and not deleted, and once the groups are deleted nothing
 * may be counted any more. A group that something still refers to could not be deleted, and an address that was not
 * given back would not be the first that the next interface gets.
 */
#include "ceiling.h"
#include "client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GROUPS    20
#define PAGE      100
#define VM_TYPE   "Microsoft.Compute/virtualMachines"
#define NIC_TYPE  "Microsoft.Network/networkInterfaces"
#define VNET_TYPE "Microsoft.Network/virtualNetworks"

struct options {
	int clients, machines, turns, seconds;
	gboolean bench;
};

struct load {
	const struct options *options;
	struct server server;
	char *subscription; /* "/subscriptions/UID" */
	gint failed; /* atomic: requests that were not answered as they should */
	int64_t until_us; /* of measured work */
};

/* ---- requests ---- */

static char *path_of(const struct load *load, unsigned owner, const char *type, const char *name)
{
	return g_strdup_printf("%s/resourceGroups/load%u/providers/%s/%s?api-version=2022-11-01",
		load->subscription, owner % GROUPS, type, name);
}

static gboolean expect(
	struct load *load, unsigned status, gboolean good, const char *method, const char *path)
{
	if (good && (status == 200 || status == 201 || status == 202 || status == 204))
		return TRUE;
	g_printerr("%s %s: %u%s\n", method, path, status, good ? "" : ", its operation failed");
	g_atomic_int_inc(&load->failed);
	return FALSE;
}

/* PUT or DELETE, to its end. */
static gboolean change(
	struct load *load, struct client *client, const char *method, const char *path, const char *body)
{
	g_autofree char *async = NULL;
	unsigned status = client_ask(client, SORT_WRITE, method, path, body, NULL, &async);

	return expect(load, status, status < 300 && client_wait(client, async), method, path);
}

static char *nic_body(const struct load *load, unsigned owner, const char *tag)
{
	return g_strdup_printf("{\"location\": \"centralus\", \"tags\": {\"turn\": \"%s\"}, \"properties\": "
			       "{\"ipConfigurations\": "
			       "[{\"name\": \"one\", \"properties\": {\"subnet\": {\"id\": "
			       "\"%s/resourceGroups/load%u/providers/" VNET_TYPE "/net/subnets/sub\"}}}]}}",
		tag, load->subscription, owner % GROUPS);
}

static char *vm_body(const struct load *load, unsigned owner, const char *name)
{
	return g_strdup_printf("{\"location\": \"centralus\", \"properties\": {\"hardwareProfile\": "
			       "{\"vmSize\": \"Standard_DS1_v2\"}, "
			       "\"storageProfile\": {\"imageReference\": {\"publisher\": \"Canonical\", "
			       "\"offer\": \"UbuntuServer\", "
			       "\"sku\": \"18.04-LTS\", \"version\": \"latest\"}, \"osDisk\": "
			       "{\"createOption\": \"fromImage\"}}, "
			       "\"osProfile\": {\"computerName\": \"%s\", \"adminUsername\": \"azureuser\", "
			       "\"linuxConfiguration\": "
			       "{\"ssh\": {\"publicKeys\": [{\"path\": "
			       "\"/home/azureuser/.ssh/authorized_keys\", \"keyData\": \"ssh-ed25519 "
			       "AAAAC3NzaC1lZDI1NTE5AAAAIJfakekeyfakekeyfakekeyfakekeyfakekeyfake x\"}]}}}, "
			       "\"networkProfile\": {\"networkInterfaces\": [{\"id\": "
			       "\"%s/resourceGroups/load%u/providers/" NIC_TYPE "/%s\"}]}}}",
		name, load->subscription, owner % GROUPS, name);
}

static gboolean make_machine(struct load *load, struct client *client, const char *name)
{
	g_autofree char *nic = path_of(load, client->number, NIC_TYPE, name),
			*vm = path_of(load, client->number, VM_TYPE, name),
			*its_nic = nic_body(load, client->number, "0"),
			*its_vm = vm_body(load, client->number, name);

	return change(load, client, "PUT", nic, its_nic) && change(load, client, "PUT", vm, its_vm);
}

static gboolean remove_machine(struct load *load, struct client *client, const char *name)
{
	g_autofree char *nic = path_of(load, client->number, NIC_TYPE, name),
			*vm = path_of(load, client->number, VM_TYPE, name);

	return change(load, client, "DELETE", vm, NULL) && change(load, client, "DELETE", nic, NULL);
}

static void read_machine(struct load *load, struct client *client, const char *name)
{
	g_autofree char *vm = path_of(load, client->number, VM_TYPE, name);
	unsigned status = client_ask(client, SORT_READ, "GET", vm, NULL, NULL, NULL);

	expect(load, status, status == 200, "GET", vm);
}

static void tag_interface(struct load *load, struct client *client, const char *name, unsigned turn)
{
	g_autofree char *tag = g_strdup_printf("%u", turn),
			*nic = path_of(load, client->number, NIC_TYPE, name),
			*body = nic_body(load, client->number, tag);

	change(load, client, "PUT", nic, body);
}

/* ---- what is there ---- */

/* All names of a type in the subscription, page by page. NULL when one fails. */
static GHashTable *list_names(struct load *load, struct client *client, const char *type)
{
	g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autofree char *at =
		g_strdup_printf("%s/providers/%s?api-version=2022-11-01", load->subscription, type);

	while (at) {
		json_auto_t *page = NULL;
		unsigned status = client_ask(client, SORT_LIST, "GET", at, NULL, &page, NULL);
		json_t *list = json_object_get(page, "value"), *element;
		size_t i;
		if (!expect(load, status, status == 200 && json_array_size(list) <= PAGE, "GET", at))
			return NULL;
		json_array_foreach(list, i, element)
		{
			const char *name = json_string_value(json_object_get(element, "name"));
			if (g_hash_table_add(names, g_strdup(name)))
				continue;
			g_printerr("%s is listed twice\n", name);
			return NULL;
		}
		g_free(at);
		at = g_strdup(json_string_value(json_object_get(page, "nextLink")));
	}
	return g_steal_pointer(&names);
}

static gboolean check_list(struct load *load, struct client *client, const char *type, GHashTable *expected)
{
	g_autoptr(GHashTable) names = list_names(load, client, type);
	GHashTableIter iter;
	void *name;
	gboolean good = names != NULL;

	g_hash_table_iter_init(&iter, expected);
	while (names && g_hash_table_iter_next(&iter, &name, NULL))
		if (!g_hash_table_remove(names, name)) {
			g_printerr("%s %s is lost\n", type, (char *)name);
			good = FALSE;
		}
	g_hash_table_iter_init(&iter, names ? names : expected);
	while (names && g_hash_table_iter_next(&iter, &name, NULL)) {
		g_printerr("%s %s should not be there\n", type, (char *)name);
		good = FALSE;
	}
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

/* The first interface of a new network gets the first address that can be given. */
static gboolean check_address(struct load *load, struct client *client)
{
	g_autofree char *path = path_of(load, 0, NIC_TYPE, "first");
	g_autofree char *async = NULL;
	json_auto_t *answer = NULL, *got = NULL;
	g_autofree char *body = nic_body(load, 0, "0");
	const char *ip;

	if (!change(load, client, "PUT", path, body))
		return FALSE;
	client_ask(client, SORT_READ, "GET", path, NULL, &answer, NULL);
	got = json_incref(json_array_get(
		json_object_get(json_object_get(answer, "properties"), "ipConfigurations"), 0));
	ip = json_string_value(json_object_get(json_object_get(got, "properties"), "privateIPAddress"));
	if (g_strcmp0(ip, "10.0.0.4") != 0)
		g_printerr("the first address is %s: others were not given back\n", ip);
	return change(load, client, "DELETE", path, NULL) && g_strcmp0(ip, "10.0.0.4") == 0;
}

/* ---- work of clients ---- */

static char *name_of(const struct client *client, const char *kind, unsigned i)
{
	return g_strdup_printf("%s-%u-%u", kind, client->number, i);
}

static unsigned share(const struct load *load, const struct client *client)
{
	unsigned all = (unsigned)load->options->machines, n = (unsigned)load->options->clients;

	return all / n + (client->number < all % n);
}

static void make_group(struct client *client, void *data)
{
	struct load *load = data;
	g_autofree char *group = g_strdup_printf(
				"%s/resourcegroups/load%u?api-version=1", load->subscription, client->number),
			*net = path_of(load, client->number, VNET_TYPE, "net");

	if (change(load, client, "PUT", group, "{\"location\": \"centralus\"}"))
		change(load, client, "PUT", net,
			"{\"location\": \"centralus\", \"properties\": {\"addressSpace\": "
			"{\"addressPrefixes\": "
			"[\"10.0.0.0/16\"]}, \"subnets\": [{\"name\": \"sub\", \"properties\": "
			"{\"addressPrefix\": "
			"\"10.0.0.0/20\"}}]}}");
}

static void remove_group(struct client *client, void *data)
{
	struct load *load = data;
	g_autofree char *group =
		g_strdup_printf("%s/resourcegroups/load%u?api-version=1", load->subscription, client->number);

	change(load, client, "DELETE", group, NULL);
}

static void fill(struct client *client, void *data)
{
	struct load *load = data;

	for (unsigned i = 0; i < share(load, client); i++) {
		g_autofree char *name = name_of(client, "stays", i);
		make_machine(load, client, name);
	}
}

/* Every other machine stays. */
static void take_turns(struct client *client, void *data)
{
	struct load *load = data;

	for (unsigned i = 0; i < (unsigned)load->options->turns; i++) {
		g_autofree char *name = name_of(client, "turn", i);
		if (!make_machine(load, client, name))
			return;
		read_machine(load, client, name);
		tag_interface(load, client, name, i);
		if (i % 2 == 0)
			remove_machine(load, client, name);
	}
}

static gboolean goes_on(const struct load *load)
{
	return g_get_monotonic_time() < load->until_us;
}

static void only_read(struct client *client, void *data)
{
	struct load *load = data;
	g_autofree char *name = name_of(client, "stays", 0);

	while (goes_on(load))
		read_machine(load, client, name);
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
	g_autofree char *name = name_of(client, "stays", 0),
			*nic = path_of(load, client->number, NIC_TYPE, name);

	for (unsigned turn = 0; goes_on(load); turn++) {
		g_autofree char *tag = g_strdup_printf("%u", turn),
				*body = nic_body(load, client->number, tag);
		unsigned status = client_ask(client, SORT_WRITE, "PUT", nic, body, NULL, NULL);
		/* The one before may still be on its way to the hosts. */
		expect(load, status == 409 ? 200 : status, TRUE, "PUT", nic);
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

static GHashTable *expected_names(const struct load *load)
{
	GHashTable *names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

	for (int c = 0; c < load->options->clients; c++) {
		const struct client client = {.number = (unsigned)c};
		for (unsigned i = 0; i < share(load, &client); i++)
			g_hash_table_add(names, name_of(&client, "stays", i));
		for (int i = 1; i < load->options->turns; i += 2)
			g_hash_table_add(names, name_of(&client, "turn", (unsigned)i));
	}
	return names;
}

static gboolean check(const char *promise, gboolean held)
{
	static unsigned number;

	printf("%sok %u - %s\n", held ? "" : "not ", ++number, promise);
	fflush(stdout);
	return held;
}

static gboolean run_all(struct load *load, const char *folder)
{
	g_autoptr(GHashTable) expected = expected_names(load);
	unsigned clients = (unsigned)load->options->clients;
	struct client one;
	gboolean good;

	client_init(&one, &load->server, 0);
	run(load, GROUPS, "groups", make_group);
	run(load, clients, "machines that stay", fill);
	if (load->options->bench)
		bench(load, folder);
	run(load, clients, "machines that come, change and go", take_turns);
	good = check("every request of clients that work at once is answered as it should", !load->failed);
	good &= check("machines are listed in pages, none lost and none left over",
		check_list(load, &one, VM_TYPE, expected));
	good &= check("so are their interfaces", check_list(load, &one, NIC_TYPE, expected));
	run(load, GROUPS, "deletion of all groups", remove_group);
	g_hash_table_remove_all(expected);
	good &= check("all groups go with what is in them", !load->failed);
	good &= check("nothing is listed any more",
		check_list(load, &one, VM_TYPE, expected) && check_list(load, &one, NIC_TYPE, expected));
	good &= check("nothing is counted any more", check_counts(load, &one));
	run(load, 1, "groups", make_group);
	good &= check("addresses are given back", check_address(load, &one));
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

int main(int argc, char **argv)
{
	struct options options = {.clients = 16, .machines = 32, .turns = 2, .seconds = 5};
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
	struct load load = {.options = &options};
	g_autofree char *ca = g_build_filename(argv[1], "ca.pem", NULL),
			*path = g_build_filename(argv[1], "endpoint", NULL), *endpoint = NULL, *token = NULL;
	g_autoptr(GTlsDatabase) trust = g_tls_file_database_new(ca, &error);
	if (!trust || !g_file_get_contents(path, &endpoint, NULL, &error)) {
		g_printerr("%s\n", error->message);
		return 1;
	}
	load.server = (struct server){.endpoint = g_strchomp(endpoint), .trust = trust};
	load.server.token = token = log_in(&load.server, argv[1]);
	load.subscription = find_subscription(&load.server);
	puts("1..7");
	gboolean good = load.subscription && run_all(&load, argv[1]);
	g_free(load.subscription);
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
