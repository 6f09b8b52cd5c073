/* The state on disk. */
#include "switch/state_file.h"

#include "base/fault.h"

#include <glib/gstdio.h>

static char *path_in(const char *dir)
{
	return g_build_filename(dir, "state.json", NULL);
}

bool state_file_save(const char *dir, const json_t *state, GError **error)
{
	g_autofree char *path = path_in(dir);
	g_autoptr(GError) cause = NULL;
	char *text = json_dumps(state, JSON_COMPACT);

	if (!text)
		return fault_set(error, FAULT_INTERNAL, "the state cannot be written as JSON");
	bool ok = g_file_set_contents_full(
		path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600, &cause);
	free(text);
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
