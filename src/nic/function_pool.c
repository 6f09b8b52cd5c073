/* Functions made on demand, with their ledger. */
#include "nic/function_pool.h"

#include "base/failpoint.h"
#include "base/fault.h"
#include "base/log.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

struct function_pool {
	struct nic_provider provider; /* first member */
	const struct function_maker *maker;
	void *data; /* Owned, the maker's */
	char *ledger;
	char *place; /* NULL: none */
	unsigned limit;
	GMutex mutex; /* guards what follows, and all calls of the maker */
	GPtrArray *functions; /* Owned, of struct nic_function */
};

static struct nic_function *function_new(const char *name, const char *nic)
{
	struct nic_function *function = g_new0(struct nic_function, 1);

	function->name = g_strdup(name);
	function->nic = g_strdup(nic);
	return function;
}

static GPtrArray *functions_new(void)
{
	return g_ptr_array_new_with_free_func((GDestroyNotify)nic_function_free);
}

/* ---- the file ---- */

static bool save(struct function_pool *pool, GError **error)
{
	json_t *list = json_array();
	g_autoptr(GError) cause = NULL;

	for (unsigned i = 0; i < pool->functions->len; i++) {
		const struct nic_function *function = pool->functions->pdata[i];
		json_array_append_new(
			list, json_pack("{s:s, s:s, s:b, s:b}", "name", function->name, "nic", function->nic,
				      "cut", function->cut, "quarantined", function->quarantined));
	}
	json_auto_t *root = json_pack("{s:s*, s:o}", "place", pool->place, "functions", list);
	char *text = json_dumps(root, JSON_INDENT(1));
	bool ok = g_file_set_contents_full(pool->ledger, text, -1,
		G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600, &cause);
	free(text);
	return ok ||
	       fault_set(error, FAULT_INTERNAL, "cannot write the ledger of functions: %s", cause->message);
}

static bool load(struct function_pool *pool, GError **error)
{
	json_error_t parse_error;
	json_t *entry;
	size_t i;

	if (!g_file_test(pool->ledger, G_FILE_TEST_EXISTS))
		return true;
	json_auto_t *root = json_load_file(pool->ledger, 0, &parse_error);
	json_t *list = json_object_get(root, "functions");
	if (!json_is_array(list))
		return fault_set(error, FAULT_INTERNAL,
			"the ledger of functions %s is damaged (%s); remove its taps and the file",
			pool->ledger, root ? "it has no list of functions" : parse_error.text);
	json_array_foreach(list, i, entry)
	{
		const char *name = json_string_value(json_object_get(entry, "name"));
		const char *nic = json_string_value(json_object_get(entry, "nic"));
		if (!name || !nic)
			continue;
		struct nic_function *function = function_new(name, nic);
		function->cut = json_is_true(json_object_get(entry, "cut"));
		function->quarantined = json_is_true(json_object_get(entry, "quarantined"));
		g_ptr_array_add(pool->functions, function);
	}
	return true;
}

/* The function is gone from the host, and from the ledger; while that cannot be written down it stays there, here too. */
static bool forget(struct function_pool *pool, guint index, GError **error)
{
	struct nic_function *function = g_ptr_array_steal_index(pool->functions, index);

	if (!save(pool, error)) {
		g_ptr_array_insert(pool->functions, (int)index, function);
		return false;
	}
	nic_function_free(function);
	return true;
}

static bool forget_function(struct function_pool *pool, const struct nic_function *function, GError **error)
{
	guint index;

	return !g_ptr_array_find(pool->functions, function, &index) || forget(pool, index, error);
}

char *function_pool_place(const char *ledger)
{
	json_auto_t *root = json_load_file(ledger, 0, NULL);

	return g_strdup(json_string_value(json_object_get(root, "place")));
}

/* ---- finding ---- */

/* Of those that are not in quarantine. */
static struct nic_function *find_nic(const struct function_pool *pool, const char *nic)
{
	for (unsigned i = 0; i < pool->functions->len; i++) {
		struct nic_function *function = pool->functions->pdata[i];
		if (g_str_equal(function->nic, nic) && !function->quarantined)
			return function;
	}
	return NULL;
}

/* NULL when nobody has the function. */
static const struct nic_function *find_name(const struct function_pool *pool, const char *name)
{
	for (unsigned i = 0; i < pool->functions->len; i++) {
		const struct nic_function *function = pool->functions->pdata[i];
		if (g_str_equal(function->name, name))
			return function;
	}
	return NULL;
}

static char *name_of(const struct function_pool *pool, unsigned n)
{
	return pool->maker->name ? pool->maker->name(n) : g_strdup_printf("sl-f%u", n);
}

/* NULL when all are taken. Owned by the caller. */
static char *free_name(const struct function_pool *pool)
{
	for (unsigned i = 0; i < pool->limit; i++) {
		g_autofree char *name = name_of(pool, i);
		if (!find_name(pool, name))
			return g_steal_pointer(&name);
	}
	return NULL;
}

/* ---- the provider's calls ---- */

/* Enters the claim in the ledger. NULL with *error when that fails. */
static struct nic_function *record(struct function_pool *pool, const char *nic, GError **error)
{
	g_autofree char *name = free_name(pool);

	if (!name) {
		fault_set(error, FAULT_POOL_FULL, "all %u functions of this host are in use", pool->limit);
		return NULL;
	}
	struct nic_function *function = function_new(name, nic);
	g_ptr_array_add(pool->functions, function);
	if (save(pool, error)) {
		failpoint(FAILPOINT_NIC_FUNCTION_RECORDED);
		return function;
	}
	g_ptr_array_remove(pool->functions, function);
	return NULL;
}

/* Tries again to remove what could not be. */
static bool sweep(struct function_pool *pool, GError **error)
{
	for (unsigned i = pool->functions->len; i-- > 0;) {
		const struct nic_function *function = pool->functions->pdata[i];
		if (function->quarantined && pool->maker->remove(pool->data, function->name, NULL) &&
			!forget(pool, i, error))
			return false;
	}
	return true;
}

static bool pool_claim(
	struct nic_provider *provider, const struct nic_request *request, char **ret_name, GError **error)
{
	struct function_pool *pool = (struct function_pool *)provider;
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&pool->mutex);
	struct nic_function *function = find_nic(pool, request->nic);

	if (!sweep(pool, error))
		return false;
	if (!function)
		function = record(pool, request->nic, error);
	if (function && function->cut)
		return fault_set(error, FAULT_IN_USE,
			"NIC %s has function %s, which was cut off; release it first", request->nic,
			function->name);
	if (!function || !pool->maker->make(pool->data, function->name, request, error))
		return false;
	*ret_name = g_strdup(function->name);
	return true;
}

static bool pool_release(struct nic_provider *provider, const char *nic, GError **error)
{
	struct function_pool *pool = (struct function_pool *)provider;
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&pool->mutex);
	struct nic_function *function = find_nic(pool, nic);
	g_autoptr(GError) cause = NULL;

	if (!sweep(pool, error))
		return false;
	if (!function)
		return true;
	if (pool->maker->remove(pool->data, function->name, &cause)) {
		failpoint(FAILPOINT_NIC_FUNCTION_REMOVED);
		return forget_function(pool, function, error);
	}
	if (g_error_matches(cause, FAULT, FAULT_IN_USE)) {
		g_propagate_error(error, g_steal_pointer(&cause));
		return false;
	}
	log_warn(function->name, "it is given to nobody: %s", cause->message);
	function->quarantined = true;
	return save(pool, error);
}

static bool check_quarantined(const struct nic_function *function, const char *name, GError **error)
{
	if (!function)
		return fault_set(error, FAULT_NOT_FOUND,
			"no function %s is in quarantine; see `sluice vf list`", name);
	return function->quarantined ||
	       fault_set(error, FAULT_NOT_ALLOWED,
		       "function %s is in no quarantine: it is NIC %s's; `sluice vf revoke` takes it back",
		       name, function->nic);
}

static bool pool_reclaim(
	struct nic_provider *provider, const char *name, bool as_is, GPtrArray **ret_lost, GError **error)
{
	struct function_pool *pool = (struct function_pool *)provider;
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&pool->mutex);
	const struct nic_function *function = find_name(pool, name);
	g_autoptr(GPtrArray) lost = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GError) cause = NULL;

	if (!check_quarantined(function, name, error))
		return false;
	if (!pool->maker->remove(pool->data, name, &cause)) {
		if (!as_is || g_error_matches(cause, FAULT, FAULT_IN_USE)) {
			g_propagate_error(error, g_steal_pointer(&cause));
			return false;
		}
		g_ptr_array_add(lost, g_strdup(cause->message));
	}
	if (!forget_function(pool, function, error))
		return false;
	*ret_lost = g_steal_pointer(&lost);
	return true;
}

static GPtrArray *pool_list(struct nic_provider *provider)
{
	struct function_pool *pool = (struct function_pool *)provider;
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&pool->mutex);
	GPtrArray *list = functions_new();

	for (unsigned i = 0; i < pool->functions->len; i++) {
		const struct nic_function *function = pool->functions->pdata[i];
		struct nic_function *copy = function_new(function->name, function->nic);
		copy->representor =
			pool->maker->representor ? pool->maker->representor(function->name) : NULL;
		copy->loss = pool->maker->loss ? pool->maker->loss(pool->data, function->name) : NULL;
		copy->cut = function->cut;
		copy->quarantined = function->quarantined;
		g_ptr_array_add(list, copy);
	}
	return list;
}

/* A NIC that has no function needs neither. */
static bool change(struct nic_provider *provider, const char *nic,
	bool (*run)(void *data, const char *name, GError **error), GError **error)
{
	struct function_pool *pool = (struct function_pool *)provider;
	const struct nic_function *function = find_nic(pool, nic);

	return !function || run(pool->data, function->name, error);
}

static bool pool_arm(struct nic_provider *provider, const char *nic, GError **error)
{
	struct function_pool *pool = (struct function_pool *)provider;
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&pool->mutex);

	return change(provider, nic, pool->maker->arm, error);
}

static bool pool_cut(struct nic_provider *provider, const char *nic, GError **error)
{
	struct function_pool *pool = (struct function_pool *)provider;
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&pool->mutex);
	struct nic_function *function = find_nic(pool, nic);

	if (!function)
		return fault_set(
			error, FAULT_NOT_FOUND, "NIC %s has no function here that could be cut off", nic);
	function->cut = true;
	return save(pool, error) && pool->maker->cut(pool->data, function->name, error);
}

static bool pool_left(struct nic_provider *provider, const char *nic, GError **error)
{
	struct function_pool *pool = (struct function_pool *)provider;
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&pool->mutex);

	return change(provider, nic, pool->maker->left, error);
}

static GPtrArray *pool_survey(struct nic_provider *provider)
{
	struct function_pool *pool = (struct function_pool *)provider;
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&pool->mutex);
	GPtrArray *survey = g_ptr_array_new_with_free_func((GDestroyNotify)nic_device_free);

	for (unsigned i = 0; i < pool->limit; i++) {
		struct nic_device *device = g_new0(struct nic_device, 1);
		device->name = name_of(pool, i);
		const struct nic_function *function = find_name(pool, device->name);
		device->nic = g_strdup(function ? function->nic : NULL);
		pool->maker->survey(pool->data, i, device);
		if (function && function->quarantined)
			device->use = NIC_USE_QUARANTINED;
		g_ptr_array_add(survey, device);
	}
	return survey;
}

/* Adds sentences to the list. */
static void mend(struct function_pool *pool, GPtrArray *sentences)
{
	for (unsigned i = 0; pool->maker->mend && i < pool->functions->len; i++) {
		const struct nic_function *function = pool->functions->pdata[i];
		char *sentence = function->quarantined ? NULL : pool->maker->mend(pool->data, function);
		if (sentence)
			g_ptr_array_add(sentences, sentence);
	}
}

static GPtrArray *pool_check(struct nic_provider *provider)
{
	struct function_pool *pool = (struct function_pool *)provider;
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&pool->mutex);
	g_autoptr(GError) error = NULL;
	GPtrArray *sentences =
		pool->maker->check ? pool->maker->check(pool->data) : g_ptr_array_new_with_free_func(g_free);

	mend(pool, sentences);
	if (!sweep(pool, &error))
		g_ptr_array_add(sentences, g_strdup(error->message));
	return sentences;
}

static bool pool_hear(struct nic_provider *provider, const struct nic_heard *heard, size_t n, GError **error)
{
	struct function_pool *pool = (struct function_pool *)provider;
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&pool->mutex);

	return pool->maker->hear(pool->data, heard, n, error);
}

static void pool_close(struct nic_provider *provider)
{
	struct function_pool *pool = (struct function_pool *)provider;

	if (pool->maker->free)
		pool->maker->free(pool->data);
	g_ptr_array_unref(pool->functions);
	g_mutex_clear(&pool->mutex);
	g_free(pool->ledger);
	g_free(pool->place);
	g_free(pool);
}

static const struct nic_provider_ops pool_ops = {
	.claim = pool_claim,
	.cut = pool_cut,
	.release = pool_release,
	.reclaim = pool_reclaim,
	.list = pool_list,
	.check = pool_check,
	.close = pool_close,
};

static const struct nic_provider_ops bypass_ops = {
	.claim = pool_claim,
	.arm = pool_arm,
	.cut = pool_cut,
	.left = pool_left,
	.release = pool_release,
	.reclaim = pool_reclaim,
	.list = pool_list,
	.survey = pool_survey,
	.check = pool_check,
	.hear = pool_hear,
	.close = pool_close,
};

struct nic_provider *function_pool_open(const struct nic_caps *caps, const char *ledger, unsigned limit,
	const char *place, const struct function_maker *maker, void *data, GError **error)
{
	struct function_pool *pool = g_new0(struct function_pool, 1);

	pool->provider = (struct nic_provider){caps->bypass ? &bypass_ops : &pool_ops, caps};
	pool->maker = maker;
	pool->data = data;
	pool->ledger = g_strdup(ledger);
	pool->place = g_strdup(place);
	pool->limit = limit;
	pool->functions = functions_new();
	g_mutex_init(&pool->mutex);
	if (load(pool, error))
		return &pool->provider;
	pool_close(&pool->provider);
	return NULL;
}
