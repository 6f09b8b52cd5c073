/* Sorting JSON. */
#include "cli/order.h"

#include <glib.h>
#include <stdbool.h>
#include <string.h>

static int compare_texts(const char *a, const char *b)
{
	g_autofree char *x = g_ascii_strdown(a, -1), *y = g_ascii_strdown(b, -1);
	int order = strverscmp(x, y);

	return order ? order : strcmp(a, b);
}

/* Both are there. */
static int compare_values(const json_t *a, const json_t *b)
{
	json_int_t x = json_integer_value(a), y = json_integer_value(b);

	if (json_is_string(a) && json_is_string(b))
		return compare_texts(json_string_value(a), json_string_value(b));
	return x < y ? -1 : x > y;
}

static int compare_members(const json_t *a, const json_t *b, const char *member)
{
	bool presence = *member == '?';
	const json_t *x = json_object_get(a, member + presence), *y = json_object_get(b, member + presence);
	bool has_x = x && !json_is_null(x), has_y = y && !json_is_null(y);

	if (has_x != has_y)
		return has_x ? -1 : 1;
	return has_x && !presence ? compare_values(x, y) : 0;
}

static int compare(const void *a, const void *b, void *data)
{
	int order = 0;

	for (const char *const *member = data; !order && *member; member++)
		order = compare_members(*(json_t *const *)a, *(json_t *const *)b, *member);
	return order;
}

void order_by(json_t *array, const char *const *members)
{
	g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func((GDestroyNotify)json_decref);
	json_t *item;
	size_t i;

	json_array_foreach(array, i, item)
	{
		g_ptr_array_add(items, json_incref(item));
	}
	g_ptr_array_sort_with_data(items, compare, (void *)members); /* which is stable */
	json_array_clear(array);
	for (guint n = 0; n < items->len; n++)
		json_array_append(array, items->pdata[n]);
}
