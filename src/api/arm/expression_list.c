/* Functions of the template language on arrays and objects, and on strings as rows of characters. */
#include "api/arm/expression_functions.h"

#include <stdint.h>
#include <string.h>

#define RANGE_MAX 10000 /* ARM's limit */

/* ---- making ---- */

static json_t *call_array(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	json_t *value = json_array_get(arguments, 0);

	return json_is_array(value) ? json_incref(value) : json_pack("[O]", value);
}

static json_t *call_create_array(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	return json_incref((json_t *)arguments);
}

static json_t *call_create_object(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	json_auto_t *object = json_object();

	if (json_array_size(arguments) % 2)
		return expression_mistake(error, "createObject() takes pairs of a key and a value");
	for (size_t i = 0; i < json_array_size(arguments); i += 2) {
		const char *key = expression_text_argument(arguments, i, error);
		if (!key)
			return NULL;
		json_object_set(object, key, json_array_get(arguments, i + 1));
	}
	return g_steal_pointer(&object);
}

static json_t *call_range(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	json_int_t start, count;

	if (!expression_integer_argument(arguments, 0, &start, error) ||
		!expression_integer_argument(arguments, 1, &count, error))
		return NULL;
	if (count < 0 || count > RANGE_MAX || start < INT32_MIN || start > INT32_MAX - count)
		return expression_mistake(
			error, "range() gives 0 to %d numbers, none over %d", RANGE_MAX, INT32_MAX);
	json_t *array = json_array();
	for (json_int_t i = 0; i < count; i++)
		json_array_append_new(array, json_integer(start + i));
	return array;
}

/* ---- looking ---- */

static json_t *call_length(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const json_t *value = json_array_get(arguments, 0);

	if (json_is_string(value))
		return json_integer(g_utf8_strlen(json_string_value(value), -1));
	if (!json_is_array(value) && !json_is_object(value))
		return expression_mistake(error, "a string, an array or an object is needed");
	return json_integer((json_int_t)(json_array_size(value) + json_object_size(value)));
}

static json_t *call_empty(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const json_t *value = json_array_get(arguments, 0);

	if (!json_is_string(value) && !json_is_array(value) && !json_is_object(value) && !json_is_null(value))
		return expression_mistake(error, "a string, an array or an object is needed");
	return json_boolean(json_string_length(value) == 0 && json_array_size(value) == 0 &&
			    json_object_size(value) == 0);
}

static bool has_item(const json_t *array, const json_t *item)
{
	json_t *other;
	size_t i;

	json_array_foreach((json_t *)array, i, other)
	{
		if (json_equal(other, item))
			return true;
	}
	return false;
}

/* An array has an equal item, an object a member of the name, a string a part. */
static json_t *call_contains(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const json_t *in = json_array_get(arguments, 0), *of = json_array_get(arguments, 1);

	if (json_is_array(in))
		return json_boolean(has_item(in, of));
	const char *text = expression_text_argument(arguments, 1, error);
	if (!text)
		return NULL;
	if (json_is_object(in))
		return json_boolean(expression_member(in, text));
	if (json_is_string(in))
		return json_boolean(strstr(json_string_value(in), text));
	return expression_mistake(error, "argument 1 must be a string, an array or an object");
}

/* ---- parts ---- */

/* From character or item `from` on, `n` of them. */
static json_t *slice(const json_t *value, json_int_t from, json_int_t n)
{
	json_t *array;

	if (json_is_string(value)) {
		g_autofree char *part =
			g_utf8_substring(json_string_value(value), (glong)from, (glong)(from + n));
		return json_string(part);
	}
	array = json_array();
	for (json_int_t i = 0; i < n; i++)
		json_array_append(array, json_array_get(value, (size_t)(from + i)));
	return array;
}

/* Characters or items; -1 with a mistake. */
static json_int_t size_of(const json_t *value, GError **error)
{
	if (json_is_string(value))
		return g_utf8_strlen(json_string_value(value), -1);
	if (json_is_array(value))
		return (json_int_t)json_array_size(value);
	expression_mistake(error, "argument 1 must be a string or an array");
	return -1;
}

static json_t *call_take(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const json_t *value = json_array_get(arguments, 0);
	json_int_t n, size = size_of(value, error);

	if (size < 0 || !expression_integer_argument(arguments, 1, &n, error))
		return NULL;
	return slice(value, 0, CLAMP(n, 0, size));
}

static json_t *call_skip(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const json_t *value = json_array_get(arguments, 0);
	json_int_t n, size = size_of(value, error);

	if (size < 0 || !expression_integer_argument(arguments, 1, &n, error))
		return NULL;
	n = CLAMP(n, 0, size);
	return slice(value, n, size - n);
}

/* The first or last item, or character as a string; of nothing, null or "". */
static json_t *end_of(const json_t *value, bool last, GError **error)
{
	json_int_t size = size_of(value, error);

	if (size < 0)
		return NULL;
	if (json_is_string(value))
		return slice(value, last ? MAX(size - 1, 0) : 0, MIN(size, 1));
	return size ? json_incref(json_array_get(value, last ? (size_t)size - 1 : 0)) : json_null();
}

static json_t *call_first(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	return end_of(json_array_get(arguments, 0), false, error);
}

static json_t *call_last(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	return end_of(json_array_get(arguments, 0), true, error);
}

/* tryGet(object or array, key or index, ...): null where there is nothing. */
static json_t *call_try_get(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const json_t *value = json_array_get(arguments, 0);

	for (size_t i = 1; value && i < json_array_size(arguments); i++) {
		const json_t *key = json_array_get(arguments, i);
		json_int_t index = json_integer_value(key);
		if (json_is_string(key))
			value = expression_member(value, json_string_value(key));
		else if (json_is_integer(key))
			value = index >= 0 ? json_array_get(value, (size_t)index) : NULL;
		else
			return expression_mistake(
				error, "argument %zu must be a string or a whole number", i + 1);
	}
	return value ? json_incref((json_t *)value) : json_null();
}

/* ---- sets ---- */

/* What items are compared by: their JSON. Owned. */
static char *key_of(const json_t *item)
{
	return json_dumps(item, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);
}

/* All arguments are arrays, or all are objects. */
static bool check_alike(const json_t *arguments, GError **error)
{
	bool arrays = json_is_array(json_array_get(arguments, 0));
	json_t *argument;
	size_t i;

	json_array_foreach((json_t *)arguments, i, argument)
	{
		if (arrays ? json_is_array(argument) : json_is_object(argument))
			continue;
		expression_mistake(error, "either arrays or objects are needed");
		return false;
	}
	return true;
}

static json_t *unite_arrays(const json_t *arguments)
{
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	json_t *result = json_array(), *argument, *item;
	size_t i, j;

	json_array_foreach((json_t *)arguments, i, argument)
	{
		json_array_foreach(argument, j, item)
		{
			if (g_hash_table_add(seen, key_of(item)))
				json_array_append(result, item);
		}
	}
	return result;
}

/* Objects inside of both are united too; of anything else the later one counts. Borrows both; new reference. */
static json_t *unite_objects(const json_t *one, const json_t *other)
{
	json_t *result = json_copy((json_t *)one), *value;
	const char *key;

	json_object_foreach((json_t *)other, key, value)
	{
		const json_t *there = json_object_get(result, key);
		if (json_is_object(there) && json_is_object(value))
			json_object_set_new(result, key, unite_objects(there, value));
		else
			json_object_set(result, key, value);
	}
	return result;
}

static json_t *call_union(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	json_t *result;

	if (!check_alike(arguments, error))
		return NULL;
	if (json_is_array(json_array_get(arguments, 0)))
		return unite_arrays(arguments);
	result = json_incref(json_array_get(arguments, 0));
	for (size_t i = 1; i < json_array_size(arguments); i++) {
		json_auto_t *before = result;
		result = unite_objects(before, json_array_get(arguments, i));
	}
	return result;
}

static json_t *intersect_arrays(const json_t *one, const json_t *other)
{
	g_autoptr(GHashTable) in_other = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	json_t *result = json_array(), *item;
	size_t i;

	json_array_foreach((json_t *)other, i, item)
	{
		g_hash_table_add(in_other, key_of(item));
	}
	json_array_foreach((json_t *)one, i, item)
	{
		g_autofree char *key = key_of(item);
		/* Each once: what was taken is not in the other any more. */
		if (g_hash_table_remove(in_other, key))
			json_array_append(result, item);
	}
	return result;
}

static json_t *intersect_objects(const json_t *one, const json_t *other)
{
	json_t *result = json_object(), *value;
	const char *key;

	json_object_foreach((json_t *)one, key, value)
	{
		if (json_object_get(other, key) && json_equal(json_object_get(other, key), value))
			json_object_set(result, key, value);
	}
	return result;
}

static json_t *call_intersection(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	json_t *result;

	if (!check_alike(arguments, error))
		return NULL;
	result = json_incref(json_array_get(arguments, 0));
	for (size_t i = 1; i < json_array_size(arguments); i++) {
		json_auto_t *before = result;
		const json_t *other = json_array_get(arguments, i);
		result = json_is_array(before) ? intersect_arrays(before, other)
					       : intersect_objects(before, other);
	}
	return result;
}

static json_t *call_shallow_merge(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const json_t *objects = json_array_get(arguments, 0);
	json_auto_t *result = json_object();
	json_t *item;
	size_t i;

	json_array_foreach((json_t *)objects, i, item)
	{
		if (json_object_update(result, item) < 0)
			break;
	}
	if (!json_is_array(objects) || i < json_array_size(objects))
		return expression_mistake(error, "an array of objects is needed");
	return g_steal_pointer(&result);
}

static json_t *call_flatten(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const json_t *arrays = json_array_get(arguments, 0);
	json_auto_t *result = json_array();
	json_t *item;
	size_t i;

	json_array_foreach((json_t *)arrays, i, item)
	{
		if (!expression_afford(scope, json_array_size(item) * sizeof item, error))
			return NULL;
		if (json_array_extend(result, item) < 0)
			break;
	}
	if (!json_is_array(arrays) || i < json_array_size(arrays))
		return expression_mistake(error, "an array of arrays is needed");
	return g_steal_pointer(&result);
}

/* ---- members ---- */

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Keys in their order; NULL with a mistake. The keys are borrowed. */
static GPtrArray *sorted_keys(const json_t *object, GError **error)
{
	GPtrArray *keys;
	const char *key;
	json_t *value;

	if (!json_is_object(object)) {
		expression_mistake(error, "an object is needed");
		return NULL;
	}
	keys = g_ptr_array_new();
	json_object_foreach((json_t *)object, key, value)
	{
		g_ptr_array_add(keys, (void *)key);
	}
	g_ptr_array_sort(keys, compare_texts);
	return keys;
}

static json_t *call_items(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const json_t *object = json_array_get(arguments, 0);
	g_autoptr(GPtrArray) keys = sorted_keys(object, error);
	json_t *array = keys ? json_array() : NULL;

	for (guint i = 0; keys && i < keys->len; i++)
		json_array_append_new(array, json_pack("{s:s, s:O}", "key", keys->pdata[i], "value",
						     json_object_get(object, keys->pdata[i])));
	return array;
}

static json_t *call_object_keys(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	g_autoptr(GPtrArray) keys = sorted_keys(json_array_get(arguments, 0), error);
	json_t *array = keys ? json_array() : NULL;

	for (guint i = 0; keys && i < keys->len; i++)
		json_array_append_new(array, json_string(keys->pdata[i]));
	return array;
}

/* An item counted from the end, from 1; NULL: there is none. Borrowed. */
static const json_t *from_end(const json_t *arguments, GError **error)
{
	const json_t *array = json_array_get(arguments, 0);
	size_t n = json_array_size(array);
	json_int_t index;

	if (!json_is_array(array)) {
		expression_mistake(error, "an array is needed");
		return NULL;
	}
	if (!expression_integer_argument(arguments, 1, &index, error))
		return NULL;
	return index > 0 && (size_t)index <= n ? json_array_get(array, n - (size_t)index) : NULL;
}

static json_t *call_index_from_end(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	GError *failure = NULL;
	const json_t *item = from_end(arguments, &failure);

	if (item)
		return json_incref((json_t *)item);
	if (!failure)
		expression_mistake(&failure, "there is no such item");
	g_propagate_error(error, failure);
	return NULL;
}

static json_t *call_try_index_from_end(
	struct expression_scope *scope, const json_t *arguments, GError **error)
{
	GError *failure = NULL;
	const json_t *item = from_end(arguments, &failure);

	if (failure)
		g_propagate_error(error, failure);
	return failure ? NULL : item ? json_incref((json_t *)item) : json_null();
}

const struct expression_function expression_list_functions[] = {
	{"array", 1, 1, call_array},
	{"contains", 2, 2, call_contains},
	{"createArray", 0, SIZE_MAX, call_create_array},
	{"createObject", 0, SIZE_MAX, call_create_object},
	{"empty", 1, 1, call_empty},
	{"first", 1, 1, call_first},
	{"flatten", 1, 1, call_flatten},
	{"indexFromEnd", 2, 2, call_index_from_end},
	{"intersection", 2, SIZE_MAX, call_intersection},
	{"items", 1, 1, call_items},
	{"last", 1, 1, call_last},
	{"length", 1, 1, call_length},
	{"objectKeys", 1, 1, call_object_keys},
	{"range", 2, 2, call_range},
	{"shallowMerge", 1, 1, call_shallow_merge},
	{"skip", 2, 2, call_skip},
	{"take", 2, 2, call_take},
	{"tryGet", 2, SIZE_MAX, call_try_get},
	{"tryIndexFromEnd", 2, 2, call_try_index_from_end},
	{"union", 2, SIZE_MAX, call_union},
	{},
};
