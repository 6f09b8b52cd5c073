/* sluice-controller: REST dialects, resource model and goal states. Wiring only. */
#include "api/admin/admin.h"
#include "api/agent/agent_api.h"
#include "api/arm/arm.h"
#include "base/fault.h"
#include "base/help.h"
#include "base/log.h"

#include <errno.h>
#include <glib-unix.h>
#include <jansson.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The audit log keeps a few hundred thousand requests. */
#define AUDIT_FILE_BYTES (16 * 1024 * 1024)
#define AUDIT_FILES      8

#define HOST_TIMEOUT_MIN_S 15 /* agents report every 10 s */

/* Set from the command line; texts Owned. */
struct options {
	char *state;
	char *listen, *agent_listen;
	char *certificate, *key, *ca;
	char *advertise;
	char *sizes, *aliases, *locations;
	char *public_prefix, *public_gateway;
	char *store;
	char *principal;
	gboolean no_default_outbound;
	double cpu_ratio, ram_ratio;
	int host_timeout_s;
	gboolean version;
};

/* What runs, in the order in which it was started. */
struct program {
	struct options options;
	GPtrArray *locations; /* of text */
	struct store *store;
	struct control *control;
	struct auth *auth;
	struct audit *audit;
	struct arm *arm;
	struct server *clients, *agents;
};

static struct options defaults(void)
{
	return (struct options){
		.state = g_strdup("/var/lib/sluice/controller"),
		.listen = g_strdup("127.0.0.1:8443"),
		.agent_listen = g_strdup("127.0.0.1:8444"),
		.sizes = g_strdup("/usr/share/sluice/sizes.json"),
		.locations = g_strdup("centralus,westus,southcentralus"),
		.public_prefix = g_strdup("198.18.0.0/24"),
		.public_gateway = g_strdup("198.18.0.1"),
		.store = g_strdup("sqlite"),
		.cpu_ratio = 16,
		.ram_ratio = 1.5,
		.host_timeout_s = 30,
	};
}

static bool parse(struct options *o, int *argc, char ***argv, GError **error)
{
	const GOptionEntry entries[] = {
		{"state", 0, 0, G_OPTION_ARG_FILENAME, &o->state, "store and signing key", "DIR"},
		{"listen", 0, 0, G_OPTION_ARG_STRING, &o->listen, "where clients connect", "ADDR:PORT"},
		{"agent-listen", 0, 0, G_OPTION_ARG_STRING, &o->agent_listen, "where hosts connect",
			"ADDR:PORT"},
		{"cert", 0, 0, G_OPTION_ARG_FILENAME, &o->certificate, "this server's certificate", "FILE"},
		{"key", 0, 0, G_OPTION_ARG_FILENAME, &o->key, "its key", "FILE"},
		{"ca", 0, 0, G_OPTION_ARG_FILENAME, &o->ca, "who signs the hosts' certificates", "FILE"},
		{"advertise", 0, 0, G_OPTION_ARG_STRING, &o->advertise, "how clients reach --listen", "URL"},
		{"sizes", 0, 0, G_OPTION_ARG_FILENAME, &o->sizes, "catalog of sizes", "FILE"},
		{"aliases", 0, 0, G_OPTION_ARG_FILENAME, &o->aliases, "image aliases", "FILE"},
		{"locations", 0, 0, G_OPTION_ARG_STRING, &o->locations, "locations on offer", "LIST"},
		{"public-prefix", 0, 0, G_OPTION_ARG_STRING, &o->public_prefix, "pool of public addresses",
			"PREFIX"},
		{"public-gateway", 0, 0, G_OPTION_ARG_STRING, &o->public_gateway,
			"address in the pool that is never given out", "ADDR"},
		{"no-default-outbound", 0, 0, G_OPTION_ARG_NONE, &o->no_default_outbound,
			"interfaces without a public address do not reach the outside", NULL},
		{"cpu-allocation-ratio", 0, 0, G_OPTION_ARG_DOUBLE, &o->cpu_ratio, "vCPUs for each processor",
			"N"},
		{"ram-allocation-ratio", 0, 0, G_OPTION_ARG_DOUBLE, &o->ram_ratio,
			"memory promised for each byte", "N"},
		{"host-timeout", 0, 0, G_OPTION_ARG_INT, &o->host_timeout_s,
			"a host that has not reported for so long is taken for down", "SECONDS"},
		{"store", 0, 0, G_OPTION_ARG_STRING, &o->store, "engine of the store", "sqlite|memory"},
		{"print-principal", 0, 0, G_OPTION_ARG_FILENAME, &o->principal,
			"write the first service principal there when it is made", "FILE"},
		{"version", 0, 0, G_OPTION_ARG_NONE, &o->version, "print the version", NULL},
		{},
	};
	g_autoptr(GOptionContext) context = g_option_context_new("- the controller of a cloud");

	g_option_context_add_main_entries(context, entries, NULL);
	if (!g_option_context_parse(context, argc, argv, error))
		return false;
	if (*argc > 1)
		return fault_set(error, FAULT_INVALID, "it takes no argument '%s'", (*argv)[1]);
	if (!o->version && (!o->certificate || !o->key || !o->ca))
		return fault_set(error, FAULT_INVALID, "--cert, --key and --ca are needed");
	return true;
}

/* ---- starting ---- */

static GPtrArray *split_locations(const char *list)
{
	g_auto(GStrv) parts = g_strsplit(list, ",", -1);
	GPtrArray *locations = strings_new();

	for (char **part = parts; *part; part++)
		if (*g_strstrip(*part))
			g_ptr_array_add(locations, g_strdup(*part));
	return locations;
}

static bool open_store(struct program *p, GError **error)
{
	g_autofree char *path = g_build_filename(p->options.state, "store.db", NULL);

	if (g_mkdir_with_parents(p->options.state, 0700) < 0)
		return fault_set(error, FAULT_INTERNAL, "folder %s cannot be made: %s", p->options.state,
			g_strerror(errno));
	if (g_str_equal(p->options.store, "memory"))
		p->store = store_memory_open();
	else if (g_str_equal(p->options.store, "sqlite"))
		p->store = store_sqlite_open(path, error);
	else
		return fault_set(
			error, FAULT_INVALID, "--store %s: sqlite or memory is needed", p->options.store);
	return p->store != NULL;
}

static bool open_control(struct program *p, GError **error)
{
	p->locations = split_locations(p->options.locations);
	if (p->locations->len == 0)
		return fault_set(error, FAULT_INVALID, "--locations names none");
	if (p->options.host_timeout_s < HOST_TIMEOUT_MIN_S)
		return fault_set(error, FAULT_INVALID,
			"--host-timeout %d: %d or more is needed, as hosts do not report more often",
			p->options.host_timeout_s, HOST_TIMEOUT_MIN_S);
	const struct control_config config = {
		.store = p->store,
		.sizes_path = p->options.sizes,
		.aliases_path = p->options.aliases,
		.locations = p->locations,
		.public_prefix = p->options.public_prefix,
		.public_gateway = p->options.public_gateway,
		.no_default_outbound = p->options.no_default_outbound,
		.cpu_allocation_ratio = p->options.cpu_ratio,
		.ram_allocation_ratio = p->options.ram_ratio,
		.host_timeout_s = (unsigned)p->options.host_timeout_s,
	};
	p->control = control_open(&config, error);
	return p->control != NULL;
}

/* The file is written before the principal is made: a crash between the two makes another one next time, and
 * no secret is ever lost. */
static bool make_principal(struct program *p, GError **error)
{
	g_autoptr(GPtrArray) there = control_list(p->control, KIND_PRINCIPAL, NULL, error);
	g_autofree char *name = g_uuid_string_random(), *first = g_uuid_string_random(),
			*second = g_uuid_string_random();
	g_autofree char *secret = g_strconcat(first, second, NULL), *made = NULL;

	if (!there || there->len || !p->options.principal)
		return there != NULL;
	g_strdelimit(secret, "-", '_');
	json_auto_t *json = json_pack(
		"{s:s, s:s, s:s}", "appId", name, "password", secret, "tenant", control_tenant(p->control));
	char *text = json_dumps(json, JSON_INDENT(2));
	bool written = g_file_set_contents_full(p->options.principal, text, -1,
		G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600, error);
	free(text);
	if (!written)
		return false;
	made = control_principal_add(p->control, name, secret, false, error);
	return made != NULL;
}

static bool open_auth(struct program *p, GError **error)
{
	g_autofree char *path = g_build_filename(p->options.state, "token.key", NULL);

	p->auth = auth_open(path, error);
	return p->auth && make_principal(p, error);
}

static bool open_audit(struct program *p, GError **error)
{
	g_autofree char *dir = g_build_filename(p->options.state, "audit", NULL);
	const struct audit_config config = {.dir = dir, .file_bytes = AUDIT_FILE_BYTES, .files = AUDIT_FILES};

	p->audit = audit_open(&config, error);
	return p->audit != NULL;
}

static bool listen_for_clients(struct program *p, GError **error)
{
	const struct arm_config arm = {
		.control = p->control, .auth = p->auth, .url = p->options.advertise, .audit = p->audit};

	p->arm = arm_new(&arm);
	const struct server_config config = {
		.listen = p->options.listen,
		.certificate = p->options.certificate,
		.key = p->options.key,
		.dialect = &arm_dialect,
		.dialect_data = p->arm,
	};
	p->clients = server_new(&config, error);
	if (!p->clients)
		return false;
	admin_serve(p->control, p->clients);
	admin_serve_audit(p->audit, p->clients);
	arm_serve(p->arm, p->clients);
	log_info(NULL, "clients: %s", server_url(p->clients));
	return true;
}

static bool listen_for_agents(struct program *p, GError **error)
{
	const struct server_config config = {
		.listen = p->options.agent_listen,
		.certificate = p->options.certificate,
		.key = p->options.key,
		.client_ca = p->options.ca,
		.long_lived = true,
		.dialect = &agent_dialect,
		.dialect_data = p->control,
	};

	p->agents = server_new(&config, error);
	if (!p->agents)
		return false;
	agent_serve(p->control, p->agents);
	log_info(NULL, "agents: %s", server_url(p->agents));
	return true;
}

/* ---- running ---- */

static void stop(struct program *p)
{
	g_clear_pointer(&p->agents, server_free);
	g_clear_pointer(&p->clients, server_free);
	g_clear_pointer(&p->arm, arm_free);
	g_clear_pointer(&p->audit, audit_close);
	g_clear_pointer(&p->auth, auth_close);
	g_clear_pointer(&p->control, control_close);
	g_clear_pointer(&p->store, store_close);
	g_clear_pointer(&p->locations, g_ptr_array_unref);
}

static void free_options(struct options *o)
{
	char *const texts[] = {o->state, o->listen, o->agent_listen, o->certificate, o->key, o->ca,
		o->advertise, o->sizes, o->aliases, o->locations, o->public_prefix, o->public_gateway,
		o->store, o->principal};

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
		g_free(texts[i]);
}

static gboolean on_signal(void *data)
{
	g_main_loop_quit(data);
	return G_SOURCE_CONTINUE;
}

static int run(struct program *p)
{
	g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
	g_autoptr(GError) error = NULL;
	bool started = open_store(p, &error) && open_control(p, &error) && open_auth(p, &error) &&
		       open_audit(p, &error) && listen_for_clients(p, &error) && listen_for_agents(p, &error);

	if (started) {
		g_unix_signal_add(SIGTERM, on_signal, loop);
		g_unix_signal_add(SIGINT, on_signal, loop);
		g_main_loop_run(loop);
	} else {
		log_error(NULL, "cannot start: %s", error->message);
	}
	stop(p);
	return started ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	struct program program = {.options = defaults()};
	g_autoptr(GError) error = NULL;
	int status = EXIT_SUCCESS;

	setlocale(LC_ALL, "C.UTF-8");
	help_init();
	log_init("sluice-controller");
	if (!parse(&program.options, &argc, &argv, &error)) {
		log_error(NULL, "%s", error->message);
		status = 2;
	} else if (program.options.version) {
		printf("sluice-controller %s\n", SLUICE_VERSION);
	} else {
		status = run(&program);
	}
	free_options(&program.options);
	return status;
}
