/* Building answers. */
#include "api/arm/put.h"

#include "model/shape.h"

json_t *put_object(json_t *object, const char *key)
{
	json_t *there = json_object_get(object, key);

	if (json_is_object(there))
		return there;
	json_object_set_new(object, key, json_object());
	return json_object_get(object, key);
}

json_t *put_strings(const GPtrArray *strings)
{
	json_t *array = json_array();

	for (guint i = 0; i < list_length(strings); i++)
		json_array_append_new(array, json_string(strings->pdata[i]));
	return array;
}

void put_time(json_t *object, const char *key, int64_t time_us)
{
	g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(time_us / G_USEC_PER_SEC);

	if (!time)
		return;
	g_autofree char *seconds = g_date_time_format(time, "%Y-%m-%dT%H:%M:%S");
	g_autofree char *text = g_strdup_printf("%s.%06d0Z", seconds, (int)(time_us % G_USEC_PER_SEC));
	json_object_set_new(object, key, json_string(text));
}
