/* Lists of what there is. */
#include "lists.h"

GHashTable *ids_new(void)
{
	return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

void ids_add(GHashTable *ids, char *id)
{
	g_autofree char *own = id;

	g_hash_table_add(ids, g_ascii_strdown(own, -1));
}

void ids_join(GHashTable *ids, GHashTable *others)
{
	GHashTableIter iter;
	void *id;

	g_hash_table_iter_init(&iter, others);
	while (g_hash_table_iter_next(&iter, &id, NULL))
		ids_add(ids, g_strdup(id));
}

/* False when one has no id, or the id of another. */
static gboolean take_page(GHashTable *ids, const json_t *list)
{
	json_t *element;
	size_t i;

	json_array_foreach(list, i, element)
	{
		const char *id = json_string_value(json_object_get(element, "id"));
		if (!id || !g_hash_table_add(ids, g_ascii_strdown(id, -1)))
			return FALSE;
	}
	return TRUE;
}

GHashTable *list_ids_at(struct load *load, struct client *client, const char *path, unsigned limit)
{
	g_autoptr(GHashTable) ids = ids_new();
	g_autofree char *at = limit ? g_strdup_printf("%s?api-version=2022-11-01&$top=%u", path, limit)
				    : g_strdup_printf("%s?api-version=2022-11-01", path);

	while (at) {
		json_auto_t *page = NULL;
		unsigned status = client_ask(client, SORT_LIST, "GET", at, NULL, &page, NULL);
		const json_t *list = json_object_get(page, "value");
		const char *problem = json_array_size(list) > (limit ? limit : PAGE) ? "too long a page"
				      : !json_is_array(list)                         ? "no list"
				      : !take_page(ids, list)
					      ? "an element without id, or for the second time"
					      : NULL;
		if (!load_expect(load, status, problem, "GET", at))
			return NULL;
		g_free(at);
		at = g_strdup(json_string_value(json_object_get(page, "nextLink")));
	}
	return g_steal_pointer(&ids);
}

GHashTable *list_ids(struct load *load, struct client *client, const char *type, unsigned limit)
{
	g_autofree char *at = type ? g_strdup_printf("%s/providers/%s", load->subscription, type)
				   : g_strdup_printf("%s/resources", load->subscription);

	return list_ids_at(load, client, at, limit);
}

/* Those of `ids` that are not in `others`: how many. */
static unsigned print_missing(GHashTable *ids, GHashTable *others, const char *what, const char *problem)
{
	GHashTableIter iter;
	unsigned n = 0;
	void *id;

	g_hash_table_iter_init(&iter, ids);
	while (g_hash_table_iter_next(&iter, &id, NULL))
		if (!g_hash_table_contains(others, id)) {
			g_printerr("%s: %s %s\n", what, (char *)id, problem);
			n++;
		}
	return n;
}

gboolean lists_have(GHashTable *ids, GHashTable *expected, const char *what)
{
	g_autoptr(GHashTable) own = ids;

	return own && print_missing(expected, own, what, "is not listed") == 0;
}

gboolean lists_are_same(GHashTable *ids, GHashTable *expected, const char *what)
{
	g_autoptr(GHashTable) own = ids;

	return own && print_missing(expected, own, what, "is lost") +
				      print_missing(own, expected, what, "should not be there") ==
			      0;
}
