/* Lists: in parts, and of those that refer to something. */
#include "base/fault.h"
#include "control/control_priv.h"

#include <string.h>

void control_page_clear(struct control_page *page)
{
	g_clear_pointer(&page->objects, g_ptr_array_unref);
	g_clear_pointer(&page->next, g_free);
}

/* The first key behind prefix/after: names and uids have no control characters, so that nothing lies between. */
static char *first_key(const char *prefix, const char *after)
{
	return after ? g_strconcat(prefix, after, "\x01", NULL) : g_strdup(prefix);
}

/* What the value of a name's key, or an object's, stands for. *ret stays NULL when it is gone. */
static bool read_object(struct control *control, enum kind kind, const struct store_kv *kv, bool by_name,
	void **ret, GError **error)
{
	gsize length;
	const char *text = g_bytes_get_data(kv->value, &length);
	g_autoptr(GError) failure = NULL;

	if (!by_name) {
		*ret = cache_decode(control->cache, kind, kv, error);
		return *ret != NULL;
	}
	g_autofree char *uid = g_strndup(text, length);
	*ret = control_get(control, kind, uid, &failure);
	if (*ret || g_error_matches(failure, FAULT, FAULT_NOT_FOUND))
		return true;
	g_propagate_error(error, g_steal_pointer(&failure));
	return false;
}

bool control_list_page(struct control *control, enum kind kind, const char *parent, const char *after,
	guint limit, struct control_page *ret, GError **error)
{
	g_autofree char *prefix = parent ? key_names(kind, parent) : key_objects(kind),
			*from = first_key(prefix, after), *end = store_prefix_end(prefix);
	_cleanup_(store_range_clear) struct store_range range = {};
	_cleanup_(control_page_clear) struct control_page page = {
		.objects = g_ptr_array_new_with_free_func(model_free)};

	if (!store_list(control->store, from, end, 0, limit, &range, NULL, error))
		return false;
	for (guint i = 0; i < range.kvs->len; i++) {
		void *object = NULL;
		if (!read_object(control, kind, range.kvs->pdata[i], parent != NULL, &object, error))
			return false;
		if (object)
			g_ptr_array_add(page.objects, object);
	}
	if (range.more) {
		const struct store_kv *last = range.kvs->pdata[range.kvs->len - 1];
		page.next = g_strdup(last->key + strlen(prefix));
	}
	*ret = page;
	page = (struct control_page){};
	return true;
}

guint control_count(struct control *control, enum kind kind, const char *parent)
{
	g_autofree char *prefix = key_names(kind, parent), *end = store_prefix_end(prefix);
	_cleanup_(store_range_clear) struct store_range range = {};

	return store_list(control->store, prefix, end, 0, 0, &range, NULL, NULL) ? range.kvs->len : 0;
}

static bool list_references(struct control *control, const char *uid, struct store_range *ret, GError **error)
{
	g_autofree char *prefix = key_refs(uid), *end = store_prefix_end(prefix);

	return store_list(control->store, prefix, end, 0, 0, ret, NULL, error);
}

static bool is_of(const struct store_kv *kv, enum kind kind)
{
	const char *name = kind_info(kind)->name;
	gsize length;
	const char *text = g_bytes_get_data(kv->value, &length);

	return length == strlen(name) && memcmp(text, name, length) == 0;
}

GPtrArray *control_users(
	struct control *control, enum kind kind, const char *uid, guint limit, GError **error)
{
	_cleanup_(store_range_clear) struct store_range range = {};
	g_autoptr(GPtrArray) users = g_ptr_array_new_with_free_func(model_free);

	if (!list_references(control, uid, &range, error))
		return NULL;
	for (guint i = 0; i < range.kvs->len && (!limit || users->len < limit); i++) {
		const struct store_kv *kv = range.kvs->pdata[i];
		void *user =
			is_of(kv, kind) ? control_get(control, kind, strrchr(kv->key, '/') + 1, error) : NULL;
		if (user)
			g_ptr_array_add(users, user);
		else if (is_of(kv, kind))
			return NULL;
	}
	return g_steal_pointer(&users);
}

guint control_count_users(struct control *control, enum kind kind, const char *uid)
{
	_cleanup_(store_range_clear) struct store_range range = {};
	guint n = 0;

	if (!list_references(control, uid, &range, NULL))
		return 0;
	for (guint i = 0; i < range.kvs->len; i++)
		n += is_of(range.kvs->pdata[i], kind);
	return n;
}
