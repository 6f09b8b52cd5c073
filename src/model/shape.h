/* Field tables: a plain struct described once, so that codec, copy, comparison and release walk the table.
 *
 * A shape names the members of one struct. Members own what they point to; an object made by shape_new() is
 * all zero, NULL and empty lists are the same thing, and shape_free() releases everything. In JSON an absent
 * member and a null mean the zero value; zero values are left out when encoding, so that old and new programs
 * read each other's objects. A member that the table does not know is an error in shape_decode() unless
 * SHAPE_LENIENT.
 */
#pragma once
#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum field_type {
	FIELD_END,
	FIELD_BOOL, /* bool */
	FIELD_INT, /* int64_t */
	FIELD_ENUM, /* int, one of a table of words; the word at 0 is the default and is left out */
	FIELD_STRING, /* char *, Owned */
	FIELD_STRINGS, /* GPtrArray * of char *, Owned */
	FIELD_JSON, /* json_t *, Owned: any JSON, kept as it is */
	FIELD_STRUCT, /* an embedded struct with its own shape */
	FIELD_LIST, /* GPtrArray * of pointers to structs with one shape, Owned */
};

struct shape;

struct field {
	const char *name; /* in JSON */
	enum field_type type;
	size_t offset;
	const char *const *words; /* FIELD_ENUM: NULL-terminated */
	const struct shape *shape; /* FIELD_STRUCT, FIELD_LIST */
};

struct shape {
	const char *name; /* for error messages */
	size_t size;
	const struct field *fields; /* ends with FIELD_END */
};

#define F_BOOL(S, member)                                                                                    \
	{                                                                                                    \
#member, FIELD_BOOL, offsetof(struct S, member)                                              \
	}
#define F_INT(S, member)                                                                                     \
	{                                                                                                    \
#member, FIELD_INT, offsetof(struct S, member)                                               \
	}
#define F_STRING(S, member)                                                                                  \
	{                                                                                                    \
#member, FIELD_STRING, offsetof(struct S, member)                                            \
	}
#define F_STRINGS(S, member)                                                                                 \
	{                                                                                                    \
#member, FIELD_STRINGS, offsetof(struct S, member)                                           \
	}
#define F_JSON(S, member)                                                                                    \
	{                                                                                                    \
#member, FIELD_JSON, offsetof(struct S, member)                                              \
	}
#define F_ENUM(S, member, table)                                                                             \
	{                                                                                                    \
#member, FIELD_ENUM, offsetof(struct S, member), .words = table                              \
	}
#define F_STRUCT(S, member, sh)                                                                              \
	{                                                                                                    \
#member, FIELD_STRUCT, offsetof(struct S, member), .shape = &(sh)                            \
	}
#define F_LIST(S, member, sh)                                                                                \
	{                                                                                                    \
#member, FIELD_LIST, offsetof(struct S, member), .shape = &(sh)                              \
	}
#define F_END                                                                                                \
	{                                                                                                    \
		NULL, FIELD_END, 0                                                                           \
	}

enum shape_flags {
	SHAPE_STRICT = 0,
	SHAPE_LENIENT = 1 << 0, /* skip members that the table does not know */
};

void *shape_new(const struct shape *shape);
void shape_free(const struct shape *shape, void *object);
/* Releases what the struct owns and zeroes it; for structs that are embedded or on the stack. */
void shape_clear(const struct shape *shape, void *object);
void *shape_copy(const struct shape *shape, const void *object);
bool shape_equal(const struct shape *shape, const void *a, const void *b);

/* New reference. */
json_t *shape_encode(const struct shape *shape, const void *object);
/* NULL and FAULT_INVALID with the path of the first bad member ("spec.subnets[1].prefix: a string is
 * needed"). */
void *shape_decode(const struct shape *shape, const json_t *json, unsigned flags, GError **error);

/* Index of a word in an enum's table, compared without case; -1 when it is none of them. */
int words_find(const char *const *words, const char *word);
/* "a, b or c", for error messages. Owned by the caller. */
char *words_list(const char *const *words);

/* New list of struct pointers whose elements are released by the shape; what a FIELD_LIST holds. */
GPtrArray *shape_list_new(const struct shape *shape);
/* New list of strings; what a FIELD_STRINGS holds. */
GPtrArray *strings_new(void);
/* Length of a list that may be NULL. */
static inline guint list_length(const GPtrArray *list)
{
	return list ? list->len : 0;
}
