/* What changes between two states of a resource. */
#include "api/arm/what_if_delta.h"

#include <glib.h>
#include <stdbool.h>

/* How elements of two lists are known. */
enum identity { BY_NAME, BY_ID, BY_VALUE, BY_PLACE };

static void compare(json_t *into, const char *path, const json_t *before, const json_t *after);

/* Not there, or as good as. */
static bool is_absent(const json_t *json)
{
	const char *key;
	json_t *value;

	if (!json_is_object(json))
		return !json || json_is_null(json) || (json_is_array(json) && json_array_size(json) == 0);
	json_object_foreach((json_t *)json, key, value)
	{
		if (!is_absent(value))
			return false;
	}
	return true;
}

/* Takes the children, which may be NULL. */
static void add(json_t *into, const char *path, const char *type, const json_t *before, const json_t *after,
	json_t *children)
{
	json_t *change = json_pack("{s:s, s:s}", "path", path, "propertyChangeType", type);

	if (before)
		json_object_set(change, "before", (json_t *)before);
	if (after)
		json_object_set(change, "after", (json_t *)after);
	if (children)
		json_object_set_new(change, "children", children);
	json_array_append_new(into, change);
}

/* ---- objects ---- */

static void compare_objects(json_t *into, const char *path, const json_t *before, const json_t *after)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)before, key, value)
	{
		g_autofree char *inner = *path ? g_strconcat(path, ".", key, NULL) : g_strdup(key);
		compare(into, inner, value, json_object_get(after, key));
	}
	json_object_foreach((json_t *)after, key, value)
	{
		g_autofree char *inner = *path ? g_strconcat(path, ".", key, NULL) : g_strdup(key);
		if (!json_object_get(before, key))
			compare(into, inner, NULL, value);
	}
}

/* ---- lists ---- */

/* Every element has the member, and no two the same. */
static bool all_have(const json_t *array, const char *key)
{
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	json_t *item;
	size_t i;

	json_array_foreach((json_t *)array, i, item)
	{
		const char *text = json_string_value(json_object_get(item, key));
		if (!text || !g_hash_table_add(seen, g_ascii_strdown(text, -1)))
			return false;
	}
	return true;
}

static bool all_are_plain(const json_t *array)
{
	json_t *item;
	size_t i;

	json_array_foreach((json_t *)array, i, item)
	{
		if (json_is_object(item) || json_is_array(item))
			return false;
	}
	return true;
}

static enum identity identity_of(const json_t *before, const json_t *after)
{
	if (all_have(before, "name") && all_have(after, "name"))
		return BY_NAME;
	if (all_have(before, "id") && all_have(after, "id"))
		return BY_ID;
	return all_are_plain(before) && all_are_plain(after) ? BY_VALUE : BY_PLACE;
}

static bool is_same(enum identity identity, const json_t *a, const json_t *b)
{
	const char *key = identity == BY_NAME ? "name" : "id";

	if (identity == BY_VALUE)
		return json_equal(a, b);
	return g_ascii_strcasecmp(json_string_value(json_object_get(a, key)),
		       json_string_value(json_object_get(b, key))) == 0;
}

/* For each element before, its place after, or -1. Owned. */
static ssize_t *match(enum identity identity, const json_t *before, const json_t *after)
{
	size_t n = json_array_size(before), m = json_array_size(after);
	ssize_t *places = g_new(ssize_t, n + 1);
	g_autofree bool *taken = g_new0(bool, m + 1);

	for (size_t i = 0; i < n; i++) {
		places[i] = identity == BY_PLACE && i < m ? (ssize_t)i : -1;
		for (size_t j = 0; identity != BY_PLACE && places[i] < 0 && j < m; j++)
			if (!taken[j] &&
				is_same(identity, json_array_get(before, i), json_array_get(after, j)))
				places[i] = (ssize_t)j;
		if (places[i] >= 0)
			taken[places[i]] = true;
	}
	return places;
}

/* What is in both comes in another order. */
static bool is_moved(const ssize_t *places, size_t n)
{
	ssize_t last = -1;

	for (size_t i = 0; i < n; i++) {
		if (places[i] >= 0 && places[i] < last)
			return true;
		last = MAX(last, places[i]);
	}
	return false;
}

static void compare_elements(json_t *into, size_t place, const json_t *before, const json_t *after)
{
	g_autofree char *path = g_strdup_printf("%zu", place);
	json_t *children;

	if (!json_is_object(before) || !json_is_object(after)) {
		compare(into, path, before, after);
		return;
	}
	children = json_array();
	compare_objects(children, "", before, after);
	if (json_array_size(children) > 0)
		add(into, path, "Modify", before, after, children);
	else
		json_decref(children);
}

static bool is_matched(const ssize_t *places, size_t n, size_t place)
{
	for (size_t i = 0; i < n; i++)
		if (places[i] == (ssize_t)place)
			return true;
	return false;
}

static void compare_arrays(json_t *into, const char *path, const json_t *before, const json_t *after)
{
	size_t n = json_array_size(before), m = json_array_size(after);
	g_autofree ssize_t *places = match(identity_of(before, after), before, after);
	json_t *children;

	if (is_moved(places, n)) {
		add(into, path, "Modify", before, after, NULL);
		return;
	}
	children = json_array();
	for (size_t i = 0; i < n; i++) {
		g_autofree char *place = g_strdup_printf("%zu", i);
		if (places[i] < 0)
			add(children, place, "Delete", json_array_get(before, i), NULL, NULL);
		else
			compare_elements(children, (size_t)places[i], json_array_get(before, i),
				json_array_get(after, (size_t)places[i]));
	}
	for (size_t j = 0; j < m; j++) {
		g_autofree char *place = g_strdup_printf("%zu", j);
		if (!is_matched(places, n, j))
			add(children, place, "Create", NULL, json_array_get(after, j), NULL);
	}
	if (json_array_size(children) > 0)
		add(into, path, "Array", NULL, NULL, children);
	else
		json_decref(children);
}

/* ---- values ---- */

static void compare(json_t *into, const char *path, const json_t *before, const json_t *after)
{
	if (is_absent(before) && is_absent(after))
		return;
	if (is_absent(before))
		add(into, path, "Create", NULL, after, NULL);
	else if (is_absent(after))
		add(into, path, "Delete", before, NULL, NULL);
	else if (json_is_object(before) && json_is_object(after))
		compare_objects(into, path, before, after);
	else if (json_is_array(before) && json_is_array(after))
		compare_arrays(into, path, before, after);
	else if (!json_equal(before, after))
		add(into, path, "Modify", before, after, NULL);
}

json_t *what_if_delta(const json_t *before, const json_t *after)
{
	json_t *delta = json_array();

	compare_objects(delta, "", before, after);
	return delta;
}
