/* The state on disk. */
#include "switch/state_file.h"

#include "base/fault.h"
#include "switch/snapshot.h"

#include <glib/gstdio.h>

static char *path_in(const char *dir)
{
	return g_build_filename(dir, "state.json", NULL);
}

/* NULL when a part cannot be written. */
static GString *write_state(json_t *state, const GPtrArray *groups)
{
	json_auto_t *rest = json_copy(state);
	g_autoptr(GString) text = g_string_new("{\"groups\":[");

	json_object_del(rest, "groups");
	char *more = json_dumps(rest, JSON_COMPACT); /* {"generation":.. */
	bool ok = more != NULL;
	for (unsigned i = 0; ok && i < groups->len; i++) {
		const struct group *group = g_ptr_array_index(groups, i);
		ok = group->text != NULL;
		g_string_append_printf(text, "%s%s", i ? "," : "", ok ? group->text : "");
	}
	if (ok)
		g_string_append_printf(text, "],%s", more + 1);
	free(more);
	return ok ? g_steal_pointer(&text) : NULL;
}

bool state_file_save(const char *dir, json_t *state, const GPtrArray *groups, GError **error)
{
	g_autofree char *path = path_in(dir);
	g_autoptr(GString) text = write_state(state, groups);
	g_autoptr(GError) cause = NULL;

	if (!text)
		return fault_set(error, FAULT_INTERNAL, "the state cannot be written as JSON");
	bool ok = g_file_set_contents_full(path, text->str, (gssize)text->len,
		G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600, &cause);
	return ok || fault_set(error, FAULT_INTERNAL, "cannot save the state: %s", cause->message);
}

json_t *state_file_load(const char *dir, GError **error)
{
	g_autofree char *path = path_in(dir);
	json_error_t parse_error;

	if (!g_file_test(path, G_FILE_TEST_EXISTS))
		return NULL;
	json_t *state = json_load_file(path, JSON_REJECT_DUPLICATES, &parse_error);
	if (!state)
		fault_set(error, FAULT_INVALID, "%s, line %d: %s", path, parse_error.line, parse_error.text);
	return state;
}
