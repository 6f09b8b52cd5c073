/* Walking field tables: codec, copy, comparison, release. */
#include "model/shape.h"

#include "base/fault.h"

#include <string.h>

static void *at(const void *object, const struct field *field)
{
	return (char *)object + field->offset;
}

int words_find(const char *const *words, const char *word)
{
	for (int i = 0; word && words[i]; i++)
		if (g_ascii_strcasecmp(words[i], word) == 0)
			return i;
	return -1;
}

char *words_list(const char *const *words)
{
	GString *text = g_string_new(words[0]);

	for (int i = 1; words[0] && words[i]; i++)
		g_string_append_printf(text, "%s%s", words[i + 1] ? ", " : " or ", words[i]);
	return g_string_free(text, FALSE);
}

GPtrArray *strings_new(void)
{
	return g_ptr_array_new_with_free_func(g_free);
}

/* ---- lists: GPtrArray's free function takes no data, so a list remembers its shape through its elements
 * ---- */

/* Elements are allocated with their shape in front of them: one free function serves every shape. */
struct element {
	const struct shape *shape;
	max_align_t object[];
};

static struct element *element_of(void *object)
{
	return (struct element *)((char *)object - offsetof(struct element, object));
}

void *shape_new(const struct shape *shape)
{
	struct element *element = g_malloc0(sizeof *element + shape->size);

	element->shape = shape;
	return element->object;
}

static void element_free(void *object)
{
	if (!object)
		return;
	shape_clear(element_of(object)->shape, object);
	g_free(element_of(object));
}

void shape_free(const struct shape *shape, void *object)
{
	g_assert(!object || element_of(object)->shape == shape);
	element_free(object);
}

GPtrArray *shape_list_new(const struct shape *shape)
{
	return g_ptr_array_new_with_free_func(element_free);
}

/* ---- release ---- */

static void clear_field(const struct field *field, void *value)
{
	switch (field->type) {
	case FIELD_STRING: g_free(*(char **)value); break;
	case FIELD_STRINGS:
	case FIELD_LIST: g_clear_pointer((GPtrArray **)value, g_ptr_array_unref); break;
	case FIELD_JSON: json_decref(*(json_t **)value); break;
	case FIELD_STRUCT: shape_clear(field->shape, value); break;
	default: break;
	}
}

void shape_clear(const struct shape *shape, void *object)
{
	for (const struct field *field = shape->fields; field->type != FIELD_END; field++)
		clear_field(field, at(object, field));
	memset(object, 0, shape->size);
}

/* ---- copy ---- */

static void *copy_element(const void *object, void *data)
{
	return shape_copy(data, object);
}

static void *copy_string(const void *text, void *data)
{
	return g_strdup(text);
}

static void copy_into(const struct shape *shape, void *to, const void *from);

static void copy_field(const struct field *field, void *to, const void *from)
{
	GPtrArray *list =
		field->type == FIELD_STRINGS || field->type == FIELD_LIST ? *(GPtrArray **)from : NULL;

	switch (field->type) {
	case FIELD_BOOL: *(bool *)to = *(const bool *)from; break;
	case FIELD_INT: *(int64_t *)to = *(const int64_t *)from; break;
	case FIELD_ENUM: *(int *)to = *(const int *)from; break;
	case FIELD_STRING: *(char **)to = g_strdup(*(char **)from); break;
	case FIELD_JSON: *(json_t **)to = json_deep_copy(*(json_t **)from); break;
	case FIELD_STRUCT: copy_into(field->shape, to, from); break;
	case FIELD_STRINGS:
		if (list) {
			*(GPtrArray **)to = g_ptr_array_copy(list, (GCopyFunc)copy_string, NULL);
			g_ptr_array_set_free_func(*(GPtrArray **)to, g_free);
		}
		break;
	case FIELD_LIST:
		if (list) {
			*(GPtrArray **)to =
				g_ptr_array_copy(list, (GCopyFunc)copy_element, (void *)field->shape);
			g_ptr_array_set_free_func(*(GPtrArray **)to, element_free);
		}
		break;
	case FIELD_END: break;
	}
}

static void copy_into(const struct shape *shape, void *to, const void *from)
{
	for (const struct field *field = shape->fields; field->type != FIELD_END; field++)
		copy_field(field, at(to, field), at(from, field));
}

void *shape_copy(const struct shape *shape, const void *object)
{
	void *copy = shape_new(shape);

	copy_into(shape, copy, object);
	return copy;
}

/* ---- comparison ---- */

static bool lists_equal(const struct field *field, const GPtrArray *a, const GPtrArray *b)
{
	if (a == b || list_length(a) != list_length(b))
		return a == b;
	for (guint i = 0; i < list_length(a); i++) {
		if (field->type == FIELD_STRINGS ? strcmp(a->pdata[i], b->pdata[i]) != 0
						 : !shape_equal(field->shape, a->pdata[i], b->pdata[i]))
			return false;
	}
	return true;
}

static bool json_same(const json_t *a, const json_t *b)
{
	return a == b || (a && b && json_equal(a, b));
}

static bool field_equal(const struct field *field, const void *a, const void *b)
{
	switch (field->type) {
	case FIELD_BOOL: return *(const bool *)a == *(const bool *)b;
	case FIELD_INT: return *(const int64_t *)a == *(const int64_t *)b;
	case FIELD_ENUM: return *(const int *)a == *(const int *)b;
	case FIELD_STRING: return g_strcmp0(*(char **)a, *(char **)b) == 0;
	case FIELD_JSON: return json_same(*(json_t **)a, *(json_t **)b);
	case FIELD_STRUCT: return shape_equal(field->shape, a, b);
	case FIELD_STRINGS:
	case FIELD_LIST: return lists_equal(field, *(GPtrArray **)a, *(GPtrArray **)b);
	case FIELD_END: break;
	}
	return true;
}

bool shape_equal(const struct shape *shape, const void *a, const void *b)
{
	for (const struct field *field = shape->fields; field->type != FIELD_END; field++)
		if (!field_equal(field, at(a, field), at(b, field)))
			return false;
	return true;
}

/* ---- encoding ---- */

static json_t *encode_list(const struct field *field, const GPtrArray *list)
{
	json_t *array = json_array();

	for (guint i = 0; i < list->len; i++)
		json_array_append_new(array, field->type == FIELD_STRINGS
						     ? json_string(list->pdata[i])
						     : shape_encode(field->shape, list->pdata[i]));
	return array;
}

/* NULL for the zero value, which is left out. */
static json_t *encode_field(const struct field *field, const void *value)
{
	switch (field->type) {
	case FIELD_BOOL: return *(const bool *)value ? json_true() : NULL;
	case FIELD_INT: return *(const int64_t *)value ? json_integer(*(const int64_t *)value) : NULL;
	case FIELD_ENUM: return *(const int *)value ? json_string(field->words[*(const int *)value]) : NULL;
	case FIELD_STRING: return *(char **)value ? json_string(*(char **)value) : NULL;
	case FIELD_JSON: return json_incref(*(json_t **)value);
	case FIELD_STRINGS:
	case FIELD_LIST: {
		const GPtrArray *list = *(GPtrArray **)value;
		return list_length(list) ? encode_list(field, list) : NULL;
	}
	case FIELD_STRUCT: {
		json_t *object = shape_encode(field->shape, value);
		if (json_object_size(object))
			return object;
		json_decref(object);
		break;
	}
	case FIELD_END: break;
	}
	return NULL;
}

json_t *shape_encode(const struct shape *shape, const void *object)
{
	json_t *json = json_object();

	for (const struct field *field = shape->fields; field->type != FIELD_END; field++) {
		json_t *value = encode_field(field, at(object, field));
		if (value)
			json_object_set_new(json, field->name, value);
	}
	return json;
}

/* ---- decoding ---- */

static bool decode_into(
	const struct shape *shape, void *object, const json_t *json, unsigned flags, GError **error);

static bool wants(GError **error, const struct field *field, const char *what)
{
	return fault_set(error, FAULT_INVALID, "%s: %s is needed", field->name, what);
}

static bool decode_enum(const struct field *field, void *value, const json_t *json, GError **error)
{
	int index = words_find(field->words, json_string_value(json));

	if (index < 0) {
		g_autofree char *list = words_list(field->words);
		return wants(error, field, list);
	}
	*(int *)value = index;
	return true;
}

static bool decode_strings(const struct field *field, void *value, const json_t *json, GError **error)
{
	g_autoptr(GPtrArray) list = strings_new();
	size_t i;
	json_t *item;

	if (!json_is_array(json))
		return wants(error, field, "an array of strings");
	json_array_foreach((json_t *)json, i, item)
	{
		if (!json_is_string(item))
			return wants(error, field, "an array of strings");
		g_ptr_array_add(list, g_strdup(json_string_value(item)));
	}
	*(GPtrArray **)value = g_steal_pointer(&list);
	return true;
}

static bool decode_list(
	const struct field *field, void *value, const json_t *json, unsigned flags, GError **error)
{
	g_autoptr(GPtrArray) list = shape_list_new(field->shape);
	size_t i;
	json_t *item;

	if (!json_is_array(json))
		return wants(error, field, "an array");
	json_array_foreach((json_t *)json, i, item)
	{
		void *element = shape_decode(field->shape, item, flags, error);
		if (!element) {
			g_prefix_error(error, "%s[%zu].", field->name, i);
			return false;
		}
		g_ptr_array_add(list, element);
	}
	*(GPtrArray **)value = g_steal_pointer(&list);
	return true;
}

static bool decode_field(
	const struct field *field, void *value, const json_t *json, unsigned flags, GError **error)
{
	switch (field->type) {
	case FIELD_BOOL:
		*(bool *)value = json_is_true(json);
		return json_is_boolean(json) || wants(error, field, "true or false");
	case FIELD_INT:
		*(int64_t *)value = json_integer_value(json);
		return json_is_integer(json) || wants(error, field, "an integer");
	case FIELD_STRING:
		*(char **)value = g_strdup(json_string_value(json));
		return json_is_string(json) || wants(error, field, "a string");
	case FIELD_ENUM: return decode_enum(field, value, json, error);
	case FIELD_JSON: *(json_t **)value = json_deep_copy(json); return true;
	case FIELD_STRINGS: return decode_strings(field, value, json, error);
	case FIELD_LIST: return decode_list(field, value, json, flags, error);
	case FIELD_STRUCT:
		if (!json_is_object(json))
			return wants(error, field, "an object");
		if (decode_into(field->shape, value, json, flags, error))
			return true;
		g_prefix_error(error, "%s.", field->name);
		return false;
	case FIELD_END: break;
	}
	return true;
}

static const struct field *find_field(const struct shape *shape, const char *name)
{
	for (const struct field *field = shape->fields; field->type != FIELD_END; field++)
		if (g_str_equal(field->name, name))
			return field;
	return NULL;
}

static bool decode_into(
	const struct shape *shape, void *object, const json_t *json, unsigned flags, GError **error)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)json, name, value)
	{
		const struct field *field = find_field(shape, name);
		if (!field && !(flags & SHAPE_LENIENT))
			return fault_set(
				error, FAULT_INVALID, "%s: a %s has no such member", name, shape->name);
		if (!field || json_is_null(value))
			continue;
		if (!decode_field(field, at(object, field), value, flags, error))
			return false;
	}
	return true;
}

void *shape_decode(const struct shape *shape, const json_t *json, unsigned flags, GError **error)
{
	if (!json_is_object(json)) {
		fault_set(error, FAULT_INVALID, "a %s must be a JSON object", shape->name);
		return NULL;
	}
	void *object = shape_new(shape);
	if (decode_into(shape, object, json, flags, error))
		return object;
	shape_free(shape, object);
	return NULL;
}
