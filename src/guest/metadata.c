/* What a machine is to become, from the instance metadata document. */
#include "guest/metadata.h"

#include <jansson.h>

#define VM_ID_PATTERN    "^[0-9A-Za-z-]{1,64}$"
#define HOSTNAME_PATTERN "^[0-9A-Za-z]([0-9A-Za-z.-]{0,61}[0-9A-Za-z])?$"
#define USER_PATTERN     "^(?!root$)[A-Za-z_][0-9A-Za-z_-]{0,31}$"
/* Options before the type, such as command="...", are not the metadata's to give; no control characters. */
#define KEY_PATTERN "^(ssh-|ecdsa-sha2-|sk-)[0-9A-Za-z@.-]+ [0-9A-Za-z+/]+={0,2}( [^\\x00-\\x1f\\x7f]*)?$"

/* The text when all of it has the form, else NULL. '$' must not match before a line end. No text holds a NUL:
 * jansson refuses a document that has one. */
static char *take_text(const json_t *value, const char *pattern)
{
	const char *text = json_string_value(value);

	if (!text || strlen(text) != json_string_length(value) ||
		!g_regex_match_simple(pattern, text, G_REGEX_DOLLAR_ENDONLY, 0))
		return NULL;
	return g_strdup(text);
}

static char *take_key(const json_t *value)
{
	g_autofree char *text = g_strdup(json_string_value(value));
	json_t *stripped;
	char *key;

	if (!text)
		return NULL;
	/* `az` sends the file as it is, with its line end. */
	stripped = json_string(g_strstrip(text));
	key = take_text(stripped, KEY_PATTERN);
	json_decref(stripped);
	return key;
}

static char **take_keys(const json_t *list)
{
	g_autoptr(GPtrArray) keys = g_ptr_array_new();
	const json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		char *key = take_key(json_object_get(item, "keyData"));

		if (key)
			g_ptr_array_add(keys, key);
	}
	g_ptr_array_add(keys, NULL);
	return (char **)g_ptr_array_steal(keys, NULL);
}

struct metadata *metadata_parse(const char *text, size_t length)
{
	json_t *document = length <= METADATA_SIZE_MAX ? json_loadb(text, length, 0, NULL) : NULL;
	const json_t *compute = json_object_get(document, "compute");
	const json_t *profile = json_object_get(compute, "osProfile");
	struct metadata *metadata = NULL;

	if (json_is_object(compute)) {
		metadata = g_new0(struct metadata, 1);
		metadata->vm_id = take_text(json_object_get(compute, "vmId"), VM_ID_PATTERN);
		metadata->hostname = take_text(json_object_get(profile, "computerName"), HOSTNAME_PATTERN);
		if (!metadata->hostname)
			metadata->hostname = take_text(json_object_get(compute, "name"), HOSTNAME_PATTERN);
		metadata->user = take_text(json_object_get(profile, "adminUsername"), USER_PATTERN);
		metadata->keys = take_keys(json_object_get(compute, "publicKeys"));
	}
	json_decref(document);
	return metadata;
}

void metadata_free(struct metadata *metadata)
{
	if (!metadata)
		return;
	g_free(metadata->vm_id);
	g_free(metadata->hostname);
	g_free(metadata->user);
	g_strfreev(metadata->keys);
	g_free(metadata);
}

char *metadata_shell(const struct metadata *metadata)
{
	g_autofree char *keys = g_strjoinv("\n", metadata->keys);
	const struct {
		const char *name;
		const char *value;
	} variables[] = {
		{"vm_id", metadata->vm_id},
		{"hostname", metadata->hostname},
		{"user", metadata->user},
		{"keys", keys},
	};
	GString *out = g_string_new(NULL);

	for (size_t i = 0; i < G_N_ELEMENTS(variables); i++) {
		g_autofree char *quoted = g_shell_quote(variables[i].value ? variables[i].value : "");

		g_string_append_printf(out, "%s=%s\n", variables[i].name, quoted);
	}
	return g_string_free(out, FALSE);
}
