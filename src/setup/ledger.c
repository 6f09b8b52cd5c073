/* The ledger of what was set up, and of what was there before. */
#include "base/fault.h"
#include "setup/setup_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#define VERSION 1

static void entry_free(struct setup_entry *entry)
{
	g_free(entry->object);
	g_free(entry->before);
	g_free(entry->wrote);
	g_free(entry);
}

void setup_ledger_close(struct setup_ledger *ledger)
{
	if (ledger->lock >= 0)
		close(ledger->lock);
	g_ptr_array_unref(ledger->entries);
	g_free(ledger->path);
	g_free(ledger);
}

/* ---- reading ---- */

static bool decode_entry(const json_t *json, GPtrArray *entries)
{
	enum setup_kind kind = setup_kind_of(json_string_value(json_object_get(json, "kind")));
	const char *object = json_string_value(json_object_get(json, "object"));
	const char *wrote = json_string_value(json_object_get(json, "wrote"));

	if (kind == SETUP_PERSON || !object || !wrote)
		return false;
	struct setup_entry *entry = g_new0(struct setup_entry, 1);
	entry->kind = kind;
	entry->object = g_strdup(object);
	entry->before = g_strdup(json_string_value(json_object_get(json, "before")));
	entry->wrote = g_strdup(wrote);
	entry->done = json_is_true(json_object_get(json, "done"));
	g_ptr_array_add(entries, entry);
	return true;
}

static bool decode(const char *path, GPtrArray *entries, GError **error)
{
	json_error_t where;
	json_auto_t *json = json_load_file(path, 0, &where);
	size_t i;
	json_t *entry;

	if (!json)
		return fault_set(error, FAULT_INTERNAL, "%s cannot be read: %s", path, where.text);
	if (json_integer_value(json_object_get(json, "version")) != VERSION)
		return fault_set(error, FAULT_INTERNAL,
			"%s is of another version of this program; revert with that one first", path);
	json_array_foreach(json_object_get(json, "entries"), i, entry)
	{
		if (!decode_entry(entry, entries))
			return fault_set(error, FAULT_INTERNAL,
				"%s: entry %zu is none of a ledger of this program", path, i);
	}
	return true;
}

static bool lock(struct setup_ledger *ledger, const char *folder, GError **error)
{
	if (g_mkdir_with_parents(folder, 0755) < 0)
		return fault_set(error, FAULT_INTERNAL, "%s cannot be made: %s", folder, g_strerror(errno));
	ledger->lock = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (ledger->lock < 0)
		return fault_set(error, FAULT_INTERNAL, "%s cannot be opened: %s", folder, g_strerror(errno));
	if (flock(ledger->lock, LOCK_EX | LOCK_NB) < 0)
		return fault_set(error, FAULT_BUSY,
			"another 'sluice host setup' is at work; try again when it has ended");
	return true;
}

struct setup_ledger *setup_ledger_open(const struct setup_machine *machine, GError **error)
{
	_cleanup_(setup_ledger_close) struct setup_ledger *ledger = g_new0(struct setup_ledger, 1);
	g_autofree char *folder = g_strconcat(machine->root, machine->state, NULL);

	ledger->lock = -1;
	ledger->path = g_build_filename(folder, SETUP_LEDGER, NULL);
	ledger->entries = g_ptr_array_new_with_free_func((GDestroyNotify)entry_free);
	if (!lock(ledger, folder, error))
		return NULL;
	if (g_file_test(ledger->path, G_FILE_TEST_EXISTS) && !decode(ledger->path, ledger->entries, error))
		return NULL;
	return g_steal_pointer(&ledger);
}

/* ---- writing ---- */

struct setup_entry *setup_ledger_find(struct setup_ledger *ledger, enum setup_kind kind, const char *object)
{
	for (guint i = 0; i < ledger->entries->len; i++) {
		struct setup_entry *entry = ledger->entries->pdata[i];
		if (entry->kind == kind && g_str_equal(entry->object, object))
			return entry;
	}
	return NULL;
}

struct setup_entry *setup_ledger_intend(
	struct setup_ledger *ledger, const struct setup_step *step, const char *now)
{
	struct setup_entry *entry = setup_ledger_find(ledger, step->kind, step->object);

	if (!entry) {
		entry = g_new0(struct setup_entry, 1);
		entry->kind = step->kind;
		entry->object = g_strdup(step->object);
		entry->before = g_strdup(now);
		g_ptr_array_add(ledger->entries, entry);
	}
	g_free(entry->wrote);
	entry->wrote = g_strdup(step->wanted);
	entry->done = false;
	return entry;
}

bool setup_ledger_save(const struct setup_ledger *ledger, GError **error)
{
	json_t *list = json_array();

	for (guint i = 0; i < ledger->entries->len; i++) {
		const struct setup_entry *entry = ledger->entries->pdata[i];
		json_t *json = json_pack("{s:s, s:s, s:s?, s:s, s:b}", "kind", setup_kinds[entry->kind].word,
			"object", entry->object, "before", entry->before, "wrote", entry->wrote, "done",
			entry->done);
		if (json_array_append_new(list, json) < 0) {
			json_decref(list);
			return fault_set(error, FAULT_INVALID,
				"%s holds bytes that are no UTF-8 text; move it away first", entry->object);
		}
	}
	json_auto_t *json = json_pack("{s:i, s:o}", "version", VERSION, "entries", list);
	char *text = json_dumps(json, JSON_INDENT(2));
	g_autoptr(GError) cause = NULL;
	bool ok = g_file_set_contents_full(ledger->path, text, -1,
		G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600, &cause);
	free(text);
	return ok ||
	       fault_set(error, FAULT_INTERNAL, "%s cannot be written: %s", ledger->path, cause->message);
}
