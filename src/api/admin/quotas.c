/* How much the subscription has, and may have. */
#include "api/admin/admin_priv.h"
#include "base/fault.h"

static json_t *encode(struct control *control, GError **error)
{
	struct control_quota quotas[QUOTA_COUNT];
	json_t *array;

	if (!control_quotas(control, quotas, error))
		return NULL;
	array = json_array();
	for (int i = 0; i < QUOTA_COUNT; i++)
		json_array_append_new(
			array, json_pack("{s:s, s:s, s:o, s:I}", "name", quotas[i].name, "title",
				       quotas[i].title, "limit",
				       quotas[i].limit == CONTROL_UNLIMITED ? json_null()
									    : json_integer(quotas[i].limit),
				       "used", (json_int_t)quotas[i].used));
	return json_pack("{s:o}", "quotas", array);
}

static void list_quotas(struct call *call, void *data)
{
	g_autoptr(GError) error = NULL;
	json_t *json = encode(data, &error);

	admin_answer(call, 200, json, error);
}

/* {NAME: limit or null}: what it leaves out stays. */
static bool decode(const json_t *body, struct control_quota *quotas, GError **error)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)body, name, value)
	{
		int item = control_quota_find(name);
		if (item < 0)
			return fault_set(error, FAULT_INVALID,
				"there is no quota '%s'; 'sluice quota' shows those that there are", name);
		if (!json_is_null(value) && (!json_is_integer(value) || json_integer_value(value) < 0))
			return fault_set(error, FAULT_INVALID,
				"%s: a number from 0 on is needed, or null for no limit", name);
		quotas[item].limit = json_is_null(value) ? CONTROL_UNLIMITED : json_integer_value(value);
	}
	return json_object_size(body) > 0 ||
	       fault_set(error, FAULT_INVALID,
		       "what is needed looks like {\"cores\": 100}, or null for no limit");
}

static json_t *set_quotas(const struct call *call, struct control *control, GError **error)
{
	struct control_quota quotas[QUOTA_COUNT];
	json_auto_t *body = admin_read_body(call, error);

	if (!body || !control_quotas(control, quotas, error) || !decode(body, quotas, error) ||
		!control_set_quotas(control, quotas, error))
		return NULL;
	return encode(control, error);
}

static void put_quotas(struct call *call, void *data)
{
	g_autoptr(GError) error = NULL;
	json_t *json = set_quotas(call, data, &error);

	admin_answer(call, 200, json, error);
}

const struct route admin_quota_routes[] = {
	{"GET", "/sluice/v1/quotas", list_quotas},
	{"PUT", "/sluice/v1/quotas", put_quotas},
	{},
};
