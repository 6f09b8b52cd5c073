/* Reading a request's JSON by its path. */
#include "api/arm/cursor.h"

#include "api/arm/error.h"
#include "model/shape.h"

#include <string.h>

/* ---- places ---- */

static void append_path(GString *path, const struct cursor *at)
{
	if (!at->up)
		return;
	append_path(path, at->up);
	if (at->key)
		g_string_append_printf(path, "%s%s", path->len ? "." : "", at->key);
	else
		g_string_append_printf(path, "[%zu]", at->index);
}

char *cursor_path(const struct cursor *at, const char *key)
{
	g_autoptr(GString) path = g_string_new(NULL);

	append_path(path, at);
	if (key)
		g_string_append_printf(path, "%s%s", path->len ? "." : "", key);
	return g_string_free(g_steal_pointer(&path), FALSE);
}

void cursor_fail(const struct cursor *at, const char *key, const char *format, ...)
{
	va_list args;

	if (!cursor_is_good(at))
		return;
	va_start(args, format);
	g_autofree char *path = cursor_path(at, key), *text = g_strdup_vprintf(format, args);
	va_end(args);
	arm_fault_set(at->error, ARM_INVALID_CONTENT, "The request content is not valid: %s%s%s.", path,
		*path ? ": " : "", text);
}

void cursor_take_error(const struct cursor *at, GError *error)
{
	if (cursor_is_good(at))
		*at->error = error;
	else
		g_error_free(error);
}

struct cursor cursor_root(const json_t *json, GError **error)
{
	struct cursor root = {.json = json, .error = error};

	if (!json_is_object(json)) {
		root.json = NULL;
		cursor_fail(&root, NULL, "an object is needed");
	}
	return root;
}

static const json_t *member(const json_t *object, const char *key)
{
	const json_t *exact = json_object_get(object, key);
	const char *other;
	json_t *value;

	if (exact)
		return exact;
	json_object_foreach(
		(json_t *)object, other, value) if (g_ascii_strcasecmp(other, key) == 0) return value;
	return NULL;
}

struct cursor cursor_any(const struct cursor *at, const char *key)
{
	struct cursor to = {.up = at, .key = key, .error = at->error};

	to.json = at->json ? member(at->json, key) : NULL;
	if (json_is_null(to.json))
		to.json = NULL;
	return to;
}

struct cursor cursor_object(const struct cursor *at, const char *key)
{
	struct cursor to = cursor_any(at, key);

	if (to.json && !json_is_object(to.json)) {
		cursor_fail(at, key, "an object is needed");
		to.json = NULL;
	}
	return to;
}

struct cursor cursor_array(const struct cursor *at, const char *key)
{
	struct cursor to = cursor_any(at, key);

	if (to.json && !json_is_array(to.json)) {
		cursor_fail(at, key, "an array is needed");
		to.json = NULL;
	}
	return to;
}

struct cursor cursor_item(const struct cursor *array, size_t index)
{
	struct cursor to = {.up = array, .index = index, .error = array->error};

	to.json = json_array_get(array->json, index);
	if (!json_is_object(to.json)) {
		cursor_fail(&to, NULL, "an object is needed");
		to.json = NULL;
	}
	return to;
}

size_t cursor_length(const struct cursor *array)
{
	return json_array_size(array->json);
}

/* ---- values ---- */

const char *cursor_string(const struct cursor *at, const char *key)
{
	struct cursor to = cursor_any(at, key);

	if (to.json && !json_is_string(to.json))
		cursor_fail(at, key, "a string is needed");
	return json_string_value(to.json);
}

char *cursor_dup(const struct cursor *at, const char *key)
{
	struct cursor to = cursor_any(at, key);

	if (json_is_integer(to.json))
		return g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(to.json));
	return g_strdup(cursor_string(at, key));
}

char *cursor_need(const struct cursor *at, const char *key)
{
	char *text = cursor_dup(at, key);

	if (!text || !*text)
		cursor_fail(at, key, "it is required");
	return text;
}

bool cursor_bool(const struct cursor *at, const char *key, bool fallback)
{
	struct cursor to = cursor_any(at, key);
	const char *text = json_string_value(to.json);

	if (!to.json)
		return fallback;
	if (json_is_boolean(to.json))
		return json_is_true(to.json);
	if (text && g_ascii_strcasecmp(text, "true") == 0)
		return true;
	if (!text || g_ascii_strcasecmp(text, "false") != 0)
		cursor_fail(at, key, "true or false is needed");
	return false;
}

int64_t cursor_int(const struct cursor *at, const char *key, int64_t fallback)
{
	struct cursor to = cursor_any(at, key);
	gint64 number;

	if (!to.json)
		return fallback;
	if (json_is_integer(to.json))
		return json_integer_value(to.json);
	if (json_is_string(to.json) && g_ascii_string_to_signed(json_string_value(to.json), 10, G_MININT64,
					       G_MAXINT64, &number, NULL))
		return number;
	cursor_fail(at, key, "a whole number is needed");
	return fallback;
}

int cursor_word(const struct cursor *at, const char *key, const char *const *words, int fallback)
{
	const char *text = cursor_string(at, key);
	int index;

	if (!text)
		return fallback;
	index = words_find(words, text);
	if (index < 0) {
		g_autofree char *list = words_list(words);
		cursor_fail(at, key, "'%s' is not allowed; use %s", text, list);
		return fallback;
	}
	return index;
}

GPtrArray *cursor_strings(const struct cursor *at, const char *key)
{
	struct cursor array = cursor_array(at, key);
	GPtrArray *strings;

	if (!cursor_is_set(&array))
		return NULL;
	strings = strings_new();
	for (size_t i = 0; i < cursor_length(&array); i++) {
		const json_t *item = json_array_get(array.json, i);
		if (json_is_string(item))
			g_ptr_array_add(strings, g_strdup(json_string_value(item)));
		else if (json_is_integer(item))
			g_ptr_array_add(
				strings, g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(item)));
		else
			cursor_fail(&array, NULL, "its item %zu must be a string", i);
	}
	return strings;
}
