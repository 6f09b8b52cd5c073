/* A control plane with the dialects on it, for tests. */
#include "api/fixture.h"

#include "api/admin/admin.h"
#include "api/agent/agent_api.h"
#include "base/pki.h"

#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>

#define ALIASES                                                                                              \
	"{\"UbuntuLTS\": {\"publisher\": \"Canonical\", \"offer\": \"UbuntuServer\", \"sku\": "              \
	"\"18.04-LTS\","                                                                                     \
	" \"version\": \"18.04.202611220\", \"architecture\": \"x64\", \"image\": \"small\", "               \
	"\"accelerated\": true},"                                                                            \
	" \"Debian12\": {\"publisher\": \"Debian\", \"offer\": \"debian-12\", \"sku\": \"12\","              \
	" \"version\": \"latest\", \"image\": \"small\"},"                                                   \
	" \"Old\": {\"publisher\": \"me\", \"offer\": \"old\", \"sku\": \"1\", \"image\": \"old\"}}"

#define AUDIT_FILE_BYTES 65536

static void start(struct fixture *f)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *db = g_build_filename(f->dir, "store.db", NULL),
			*aliases = g_build_filename(f->dir, "aliases.json", NULL),
			*key = g_build_filename(f->dir, "token.key", NULL),
			*log = g_build_filename(f->dir, "audit", NULL);
	g_autoptr(GPtrArray) locations = strings_new();

	g_ptr_array_add(locations, g_strdup("centralus"));
	g_ptr_array_add(locations, g_strdup("westus"));
	f->store = f->persistent ? store_sqlite_open(db, &error) : store_memory_open();
	g_assert_no_error(error);
	const struct control_config config = {
		.store = f->store,
		.sizes_path = SIZES_PATH,
		.aliases_path = aliases,
		.locations = locations,
		.public_prefix = "203.0.113.0/24",
		.public_gateway = "203.0.113.1",
		.host_timeout_s = f->host_timeout_s,
		.cpu_allocation_ratio = 16,
		.ram_allocation_ratio = 1.5,
	};
	f->control = control_open(&config, &error);
	g_assert_no_error(error);
	f->auth = auth_open(key, &error);
	g_assert_no_error(error);
	const struct audit_config audit = {.dir = log, .file_bytes = AUDIT_FILE_BYTES, .files = 3};
	f->audit = audit_open(&audit, &error);
	g_assert_no_error(error);
	const struct arm_config arm = {.control = f->control, .auth = f->auth, .audit = f->audit};
	f->arm = arm_new(&arm);
}

static void stop(struct fixture *f)
{
	g_clear_pointer(&f->agents, server_free);
	g_clear_pointer(&f->clients, server_free);
	g_clear_pointer(&f->arm, arm_free);
	g_clear_pointer(&f->audit, audit_close);
	g_clear_pointer(&f->auth, auth_close);
	g_clear_pointer(&f->control, control_close);
	g_clear_pointer(&f->store, store_close);
}

void fixture_open(struct fixture *f, bool persistent)
{
	g_autoptr(GError) error = NULL;

	*f = (struct fixture){.persistent = persistent};
	f->dir = g_dir_make_tmp("sluice-api-XXXXXX", &error);
	g_assert_no_error(error);
	g_autofree char *aliases = g_build_filename(f->dir, "aliases.json", NULL);
	g_assert_true(g_file_set_contents(aliases, ALIASES, -1, NULL));
	start(f);
	f->secret = control_principal_add(f->control, "tester", NULL, false, &error);
	g_assert_no_error(error);
	g_free(control_principal_add(f->control, "ada@local", "pass word", true, &error));
	g_assert_no_error(error);
}

void fixture_restart(struct fixture *f)
{
	bool served = f->clients != NULL;

	g_assert_true(f->persistent);
	stop(f);
	start(f);
	if (served)
		fixture_serve(f);
}

static void remove_folder(const char *path)
{
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;

	while ((name = g_dir_read_name(dir))) {
		g_autofree char *file = g_build_filename(path, name, NULL);
		g_unlink(file);
	}
	g_rmdir(path);
}

void fixture_close(struct fixture *f)
{
	g_autofree char *log = g_build_filename(f->dir, "audit", NULL);

	stop(f);
	remove_folder(log);
	remove_folder(f->dir);
	g_free(f->dir);
	g_free(f->secret);
}

static struct server *listen_on(
	const struct fixture *f, const struct server_dialect *dialect, void *data, bool mutual)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *cert = g_build_filename(f->dir, "controller.pem", NULL),
			*key = g_build_filename(f->dir, "controller.key", NULL),
			*ca = g_build_filename(f->dir, "ca.pem", NULL);
	const struct server_config config = {
		.listen = "127.0.0.1:0",
		.certificate = cert,
		.key = key,
		.client_ca = mutual ? ca : NULL,
		.long_lived = mutual,
		.dialect = dialect,
		.dialect_data = data,
	};
	struct server *server = server_new(&config, &error);

	g_assert_no_error(error);
	return server;
}

void fixture_serve(struct fixture *f)
{
	g_autoptr(GError) error = NULL;

	if (!pki_ensure_ca(f->dir, "test CA", &error) ||
		!pki_ensure_leaf(
			f->dir, "controller", "sluice-controller", "IP:127.0.0.1,DNS:localhost", &error) ||
		!pki_ensure_leaf(f->dir, "host", "host1", NULL, &error))
		g_error("certificates: %s", error->message);
	f->clients = listen_on(f, &arm_dialect, f->arm, false);
	admin_serve(f->control, f->clients);
	admin_serve_audit(f->audit, f->clients);
	arm_serve(f->arm, f->clients);
	f->agents = listen_on(f, &agent_dialect, f->control, true);
	agent_serve(f->control, f->agents);
}

json_t *fixture_load(const struct fixture *f, const char *name)
{
	g_autofree char *path = g_strdup_printf("%s/%s.json", TESTDATA_DIR, name), *text = NULL;
	json_error_t where;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		g_error("%s cannot be read", path);
	g_auto(GStrv) parts = g_strsplit(text, "SUBSCRIPTION", -1);
	g_autofree char *whole = g_strjoinv(control_subscription(f->control), parts);
	json_t *json = json_loads(whole, 0, &where);
	if (!json)
		g_error("%s: line %d: %s", path, where.line, where.text);
	return json;
}

static void assert_covers_at(const json_t *expected, const json_t *actual, const char *path)
{
	const char *key;
	json_t *value;
	size_t i;

	if (json_is_object(expected)) {
		json_object_foreach((json_t *)expected, key, value)
		{
			g_autofree char *inner = g_strdup_printf("%s.%s", path, key);
			if (!json_is_null(value))
				assert_covers_at(value, json_object_get(actual, key), inner);
		}
		return;
	}
	if (json_is_array(expected) && json_array_size(expected) == json_array_size(actual)) {
		json_array_foreach((json_t *)expected, i, value)
		{
			g_autofree char *inner = g_strdup_printf("%s[%zu]", path, i);
			assert_covers_at(value, json_array_get(actual, i), inner);
		}
		return;
	}
	if (json_equal(expected, actual))
		return;
	g_autofree char *want = json_dumps(expected, JSON_ENCODE_ANY | JSON_COMPACT),
			*have = actual ? json_dumps(actual, JSON_ENCODE_ANY | JSON_COMPACT)
				       : g_strdup("nothing");
	g_error("%s: expected %s, there is %s", path, want, have);
}

void fixture_assert_covers(const json_t *expected, const json_t *actual)
{
	assert_covers_at(expected, actual, "answer");
}
