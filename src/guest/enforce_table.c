/* The table of all NICs' rules: see enforce_table.h. */
#include "guest/enforce_table.h"

#include "base/fault.h"
#include "guest/enforce_rules.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct enforce_table {
	GMutex lock; /* of all below */
	char *folder, *path; /* Owned */
	GHashTable *policies; /* Owned: interface → json_t */
	unsigned generation; /* of the last text; 0: none yet */
	char *made; /* Owned: the table as nft listed it when it was made; NULL: not made by this process */
};

/* ---- nft ---- */

/* Standard output is Owned by the caller; NULL with a sentence. */
static char *run_nft(const char *const *arguments, GError **error)
{
	g_autofree char *out = NULL, *complaint = NULL;
	g_autoptr(GError) cause = NULL;
	int status;

	if (!g_spawn_sync(NULL, (char **)arguments, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, &complaint,
		    &status, &cause)) {
		if (g_error_matches(cause, G_SPAWN_ERROR, G_SPAWN_ERROR_NOENT))
			fault_set(error, FAULT_UNAVAILABLE,
				"the program nft is missing; install the package nftables");
		else
			fault_set(error, FAULT_UNAVAILABLE, "nft cannot be run: %s", cause->message);
		return NULL;
	}
	if (g_spawn_check_wait_status(status, NULL))
		return g_steal_pointer(&out);
	fault_set(error, FAULT_UNAVAILABLE, "nft refuses the rules: %s", g_strstrip(complaint));
	return NULL;
}

/* NULL when there is no table, or no nft. */
static char *list_table(void)
{
	static const char *const list[] = {"nft", "-s", "list", "table", "inet", "sluice", NULL};

	return run_nft(list, NULL);
}

/* ---- making it ---- */

static char *build_text(struct enforce_table *table, GError **error)
{
	guint n;
	g_autofree char **interfaces = (char **)g_hash_table_get_keys_as_array(table->policies, &n);
	g_autofree struct enforce_nic *nics = g_new0(struct enforce_nic, n);

	for (guint i = 0; i < n; i++)
		nics[i] = (struct enforce_nic){
			interfaces[i], g_hash_table_lookup(table->policies, interfaces[i])};
	g_autofree char *rules = enforce_rules_text(nics, n, table->generation, error);
	return rules ? g_strdup_printf("# generation %u\n%s", table->generation, rules) : NULL;
}

/* The file comes first: so the next process knows the generation, whatever became of this one. */
static bool make(struct enforce_table *table, GError **error)
{
	const char *const load[] = {"nft", "-f", table->path, NULL};
	g_autoptr(GError) cause = NULL;

	table->generation = enforce_generation_after(table->generation);
	g_clear_pointer(&table->made, g_free);
	g_autofree char *text = build_text(table, error);
	if (!text)
		return false;
	if (g_mkdir_with_parents(table->folder, 0700) < 0)
		return fault_set(error, FAULT_UNAVAILABLE, "cannot make folder %s: %s", table->folder,
			g_strerror(errno));
	if (!g_file_set_contents_full(table->path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600, &cause))
		return fault_set(error, FAULT_UNAVAILABLE, "%s", cause->message);
	g_autofree char *said = run_nft(load, error);
	if (!said)
		return false;
	table->made = list_table();
	return true;
}

static bool was_made(const struct enforce_table *table)
{
	return table->made || g_file_test(table->path, G_FILE_TEST_EXISTS);
}

/* The file goes last, since it says that there may be a table. */
static bool remove_table(struct enforce_table *table, GError **error)
{
	if (!make(table, error))
		return false;
	g_clear_pointer(&table->made, g_free);
	remove(table->path);
	return true;
}

bool enforce_table_set(struct enforce_table *table, const char *interface, json_t *policy, GError **error)
{
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&table->lock);
	json_auto_t *former = json_incref(g_hash_table_lookup(table->policies, interface));
	bool ok;

	if (policy)
		g_hash_table_replace(table->policies, g_strdup(interface), json_incref(policy));
	else
		g_hash_table_remove(table->policies, interface);
	if (g_hash_table_size(table->policies) > 0)
		ok = make(table, error);
	else
		ok = !was_made(table) || remove_table(table, error);
	if (!ok && former)
		g_hash_table_replace(table->policies, g_strdup(interface), json_incref(former));
	else if (!ok)
		g_hash_table_remove(table->policies, interface);
	return ok;
}

bool enforce_table_keep(struct enforce_table *table, GError **error)
{
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&table->lock);
	g_autofree char *present = NULL;

	if (g_hash_table_size(table->policies) == 0)
		return true;
	present = list_table();
	return (present && g_strcmp0(present, table->made) == 0) || make(table, error);
}

/* ---- life ---- */

struct enforce_table *enforce_table_open(const char *folder)
{
	struct enforce_table *table = g_new0(struct enforce_table, 1);
	g_autofree char *text = NULL;

	g_mutex_init(&table->lock);
	table->folder = g_strdup(folder);
	table->path = g_build_filename(folder, "rules.nft", NULL);
	table->policies = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)json_decref);
	if (g_file_get_contents(table->path, &text, NULL, NULL))
		sscanf(text, "# generation %u", &table->generation);
	return table;
}

void enforce_table_free(struct enforce_table *table)
{
	g_hash_table_unref(table->policies);
	g_free(table->made);
	g_free(table->folder);
	g_free(table->path);
	g_mutex_clear(&table->lock);
	g_free(table);
}
