/* Building answers: members that are left out when they have no value. */
#pragma once
#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

static inline void put_text(json_t *object, const char *key, const char *text)
{
	if (text)
		json_object_set_new(object, key, json_string(text));
}

static inline void put_flag(json_t *object, const char *key, bool flag)
{
	json_object_set_new(object, key, json_boolean(flag));
}

static inline void put_number(json_t *object, const char *key, int64_t number)
{
	json_object_set_new(object, key, json_integer(number));
}

/* Takes the reference. */
static inline void put_json(json_t *object, const char *key, json_t *json)
{
	if (json)
		json_object_set_new(object, key, json);
}

/* {key: {"id": id}}; takes the id, which may be NULL. */
static inline void put_id(json_t *object, const char *key, char *id)
{
	if (id)
		json_object_set_new(object, key, json_pack("{s:s}", "id", id));
	g_free(id);
}

/* The member as an object to put more into: the one that is there, or a new one. Borrowed. */
json_t *put_object(json_t *object, const char *key);
/* As a JSON array. */
json_t *put_strings(const GPtrArray *strings);
/* {"value": [...]}: what all lists are. Takes the array. */
static inline json_t *put_list(json_t *array)
{
	return json_pack("{s:o}", "value", array);
}
/* "2026-11-22T00:03:08.1649640Z" of microseconds since 1970. */
void put_time(json_t *object, const char *key, int64_t time_us);
