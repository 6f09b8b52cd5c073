/* Reading a request's JSON by its path.
 *
 * A cursor is a place in the body that may be absent; reading from an absent place gives absence. The first
 * mistake is kept, in the error that the root cursor was made with, as ARM_INVALID_CONTENT with the path
 * ("properties.subnets[1].name: a string is needed"); reading may go on and is checked once at the end. Thus
 * a decoder is a list of assignments.
 *
 * As ARM's clients want it: null means absent, names are compared without case when they are not found with
 * it, and "true" or "80" are taken where a boolean or a number is meant, 80 where a string is.
 */
#pragma once
#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct cursor {
	const json_t *json; /* NULL: absent. Borrowed */
	const struct cursor *up; /* must outlive this one */
	const char *key; /* in `up`; NULL: it is an array's item */
	size_t index;
	GError **error; /* the root's; never NULL */
};

/* The whole body. *error must be NULL. */
struct cursor cursor_root(const json_t *json, GError **error);
/* A member, which is an object, an array or anything when it is there. */
struct cursor cursor_object(const struct cursor *at, const char *key);
struct cursor cursor_array(const struct cursor *at, const char *key);
struct cursor cursor_any(const struct cursor *at, const char *key);
/* An array's item, which is an object; one whose type does not matter. */
struct cursor cursor_item(const struct cursor *array, size_t index);
size_t cursor_length(const struct cursor *array);

static inline bool cursor_is_set(const struct cursor *at)
{
	return at->json != NULL;
}
/* No mistake so far. */
static inline bool cursor_is_good(const struct cursor *at)
{
	return *at->error == NULL;
}

/* Values of members. NULL or the fallback when absent. */
const char *cursor_string(const struct cursor *at, const char *key); /* Borrowed; no numbers */
char *cursor_dup(const struct cursor *at, const char *key);
bool cursor_bool(const struct cursor *at, const char *key, bool fallback);
int64_t cursor_int(const struct cursor *at, const char *key, int64_t fallback);
/* Index of the member's value in a list of words, compared without case. */
int cursor_word(const struct cursor *at, const char *key, const char *const *words, int fallback);
/* As cursor_dup, but absent is a mistake. */
char *cursor_need(const struct cursor *at, const char *key);
/* The array's strings, Owned; NULL when absent. */
GPtrArray *cursor_strings(const struct cursor *at, const char *key);

/* Notes a mistake at the member (key NULL: at the place itself). */
void cursor_fail(const struct cursor *at, const char *key, const char *format, ...) G_GNUC_PRINTF(3, 4);
/* Notes a failure of another kind, taking the error, unless there is one already. */
void cursor_take_error(const struct cursor *at, GError *error);
/* "properties.subnets[1].name". Owned. */
char *cursor_path(const struct cursor *at, const char *key);
