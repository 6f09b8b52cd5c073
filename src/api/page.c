/* Lists in pages. */
#include "api/page.h"

#include "base/fault.h"

#include <string.h>

#define PAGE_DEFAULT 100
#define PAGE_MAX     1000
#define LOOKS_MAX    1000 /* objects that one page costs at most */

#define TOKEN   "$skiptoken"
#define VERSION "1:" /* of what is in a token */

void page_clear(struct page *page)
{
	g_clear_pointer(&page->after, g_free);
	g_clear_pointer(&page->next, g_free);
}

bool page_is_full(const struct page *page)
{
	return page->taken >= page->limit || page->looked >= LOOKS_MAX;
}

/* ---- tokens: base64 without what URLs have a use for ---- */

static char *token_of(const char *position)
{
	g_autofree char *plain = g_strconcat(VERSION, position, NULL);
	char *token = g_base64_encode((const guchar *)plain, strlen(plain));

	g_strdelimit(token, "+", '-');
	g_strdelimit(token, "/", '_');
	token[strcspn(token, "=")] = '\0';
	return token;
}

/* NULL when it is no token. */
static char *position_of(const char *token)
{
	static const char *const padding[] = {"", "===", "==", "="};
	g_autofree char *base64 = g_strconcat(token, padding[strlen(token) % 4], NULL);
	gsize length;

	if (strspn(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") !=
		strlen(token))
		return NULL;
	g_strdelimit(base64, "-", '+');
	g_strdelimit(base64, "_", '/');
	g_autofree guchar *bytes = g_base64_decode(base64, &length);
	g_autofree char *plain = g_strndup((const char *)bytes, length);
	if (strlen(plain) != length || !g_str_has_prefix(plain, VERSION) || !g_utf8_validate(plain, -1, NULL))
		return NULL;
	return g_strdup(plain + strlen(VERSION));
}

/* ---- what is asked for ---- */

bool page_of_call(const struct call *call, struct page *ret, GError **error)
{
	const char *top = call_query(call, "$top"), *token = call_query(call, TOKEN);
	guint64 limit = PAGE_DEFAULT;

	*ret = (struct page){};
	if (top && !g_ascii_string_to_unsigned(top, 10, 1, G_MAXUINT64, &limit, NULL))
		return fault_set(error, FAULT_INVALID,
			"The value '%s' of $top is invalid; it is a number from 1 to %d.", top, PAGE_MAX);
	ret->limit = (guint)MIN(limit, PAGE_MAX);
	ret->after = token ? position_of(token) : NULL;
	return !token || ret->after ||
	       fault_set(error, FAULT_INVALID,
		       "The " TOKEN " '%s' is none that a list has given; follow its nextLink, or leave it "
		       "out to begin anew.",
		       token);
}

/* ---- objects ---- */

bool page_walk(struct page *page, struct control *control, enum kind kind, const char *parent,
	page_take_fn take, void *data, GError **error)
{
	g_autofree char *after = g_strdup(page->after);

	do {
		_cleanup_(control_page_clear) struct control_page part = {};
		if (!control_list_page(control, kind, parent, after, page->limit - page->taken, &part, error))
			return false;
		for (guint i = 0; i < part.objects->len; i++)
			page->taken += take(part.objects->pdata[i], data);
		page->looked += part.objects->len;
		g_free(after);
		after = g_steal_pointer(&part.next);
	} while (after && !page_is_full(page));
	g_free(page->next);
	page->next = g_steal_pointer(&after);
	return true;
}

/* ---- arrays ---- */

struct entry {
	char *key; /* Owned */
	json_t *element; /* Borrowed */
};

static char *member(const json_t *element, const char *name)
{
	const char *text = json_string_value(json_object_get(element, name));

	return g_ascii_strdown(text ? text : "", -1);
}

char *page_key_name(const json_t *element)
{
	return member(element, "name");
}

char *page_key_id(const json_t *element)
{
	return member(element, "id");
}

static int compare_entries(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->key, ((const struct entry *)b)->key);
}

static void clear_entry(void *entry)
{
	g_free(((struct entry *)entry)->key);
}

json_t *page_cut(struct page *page, json_t *array, page_key_fn key)
{
	g_autoptr(GArray) entries = g_array_new(FALSE, FALSE, sizeof(struct entry));
	json_t *element, *cut;
	size_t i;

	if (!page->after && json_array_size(array) <= page->limit)
		return array;
	g_array_set_clear_func(entries, clear_entry);
	json_array_foreach(array, i, element)
	{
		const struct entry entry = {key(element), element};
		g_array_append_val(entries, entry);
	}
	g_array_sort(entries, compare_entries);
	cut = json_array();
	for (guint e = 0; e < entries->len; e++) {
		const struct entry *entry = &g_array_index(entries, struct entry, e);
		if (page->after && strcmp(entry->key, page->after) <= 0)
			continue;
		json_array_append(cut, entry->element);
		if (json_array_size(cut) == page->limit && e + 1 < entries->len)
			page->next = g_strdup(entry->key);
		if (json_array_size(cut) == page->limit)
			break;
	}
	json_decref(array);
	return cut;
}

/* ---- the answer ---- */

json_t *page_encode(const struct page *page, const struct call *call, const char *word, json_t *array)
{
	json_t *json = json_pack("{s:o}", word, array);
	g_autofree char *token = page->next ? token_of(page->next) : NULL,
			*url = token ? call_url_with(call, TOKEN, token) : NULL;

	if (url)
		json_object_set_new(json, "nextLink", json_string(url));
	return json;
}
