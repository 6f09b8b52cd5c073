/* The audit log as operators read it. */
#include "api/audit.h"
#include "api/admin/admin_priv.h"
#include "base/fault.h"

/* *ret stays as it is when the call does not say it. */
static bool read_time(const struct call *call, const char *name, int64_t *ret, GError **error)
{
	g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
	const char *text = call_query(call, name);
	g_autoptr(GDateTime) time = text ? g_date_time_new_from_iso8601(text, utc) : NULL;

	if (time)
		*ret = g_date_time_to_unix(time) * G_USEC_PER_SEC + g_date_time_get_microsecond(time);
	return !text || time ||
	       fault_set(
		       error, FAULT_INVALID, "%s: '%s' is no time such as 2026-11-22T08:00:00Z", name, text);
}

static bool read_filter(const struct call *call, struct audit_filter *ret, GError **error)
{
	*ret = (struct audit_filter){
		.who = call_query(call, "who"),
		.what = call_query(call, "what"),
		.result = call_query(call, "result"),
		.id = call_query(call, "id"),
	};
	g_autofree char *words = words_list(audit_result_words);
	if (ret->result && words_find(audit_result_words, ret->result) < 0)
		return fault_set(error, FAULT_INVALID, "result: '%s' is none of %s", ret->result, words);
	return read_time(call, "since", &ret->since_us, error) &&
	       read_time(call, "until", &ret->until_us, error);
}

static void list_records(struct call *call, void *data)
{
	_cleanup_(page_clear) struct page page = {};
	struct audit_filter filter;
	g_autoptr(GError) error = NULL;
	json_auto_t *array = json_array();
	bool good = read_filter(call, &filter, &error) && page_of_call(call, &page, &error) &&
		    audit_read(data, &filter, &page, array, &error);

	admin_answer(call, 200, good ? page_encode(&page, call, "records", json_incref(array)) : NULL, error);
}

static const struct route routes[] = {
	{"GET", "/sluice/v1/audit", list_records},
	{},
};

void admin_serve_audit(struct audit *audit, struct server *server)
{
	server_add_routes(server, routes, audit);
}
