/* What this guest tells its host that it is. */
#include "guest/identity.h"

#include "guest/os_release.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define WORD_MAX 128 /* bytes; the host takes no longer ones */

/* As much of it as the host takes. */
static char *clip(const char *word)
{
	g_autofree char *valid = g_utf8_make_valid(word, -1);
	GString *text = g_string_new(NULL);

	for (const char *c = valid; *c; c = g_utf8_next_char(c)) {
		gunichar character = g_utf8_get_char(c);
		if (text->len + (gsize)g_unichar_to_utf8(character, NULL) > WORD_MAX)
			break;
		g_string_append_unichar(text, g_unichar_isprint(character) ? character : ' ');
	}
	return g_string_free(text, FALSE);
}

static void put(json_t *json, const char *key, const char *word)
{
	g_autofree char *text = word && *word ? clip(word) : NULL;

	if (text)
		json_object_set_new(json, key, json_string(text));
}

static const char *driver_of(const struct accel_report *seen, const char *interface)
{
	for (guint i = 0; i < seen->nics->len; i++) {
		const struct accel_nic *nic = seen->nics->pdata[i];
		if (g_str_equal(nic->name, interface))
			return nic->primary ? nic->primary->driver : NULL;
	}
	return NULL;
}

char *identity_text(const struct accel_source *source, const char *interface, const char *agent)
{
	_cleanup_(accel_report_free) struct accel_report *seen = accel_inspect(source);
	_cleanup_(os_release_clear) struct os_release release = {};
	json_auto_t *json = json_object();
	json_t *os = json_object();

	os_release_read(source->root, &release);
	json_object_set_new(json, "os", os);
	put(os, "kernel", seen->kernel);
	put(os, "id", release.id);
	put(os, "version", release.version);
	put(os, "name", release.name);
	put(os, "agent", agent);
	put(json, "driver", driver_of(seen, interface));
	return json_dumps(json, JSON_COMPACT);
}
