/* The functions of the template language: tables, one for each family, and what their files share. */
#pragma once
#include "api/arm/expression.h"
#include "api/arm/expression_tree.h"

/* An expression on its way to its value. */
struct evaluation {
	struct expression_scope *scope;
	GError **error; /* EXPRESSION_MISTAKE with its column, or a complete failure of another domain */
};

struct expression_function {
	const char *name;
	size_t min, max; /* arguments */
	/* New reference, or NULL with *error: EXPRESSION_MISTAKE, or a complete failure of another domain. Never called
	 * with arguments that are unknown. */
	json_t *(*call)(struct expression_scope *scope, const json_t *arguments, GError **error);
	/* Instead of `call`: evaluates what it needs of its arguments itself. */
	json_t *(*lazy)(struct evaluation *evaluation, const struct expression_node *call);
	bool shares; /* makes nothing: gives what is there already */
};

/* Each ends with a NULL name. */
extern const struct expression_function expression_text_functions[], expression_code_functions[],
	expression_cidr_functions[], expression_list_functions[], expression_lambda_functions[],
	expression_number_functions[], expression_logic_functions[], expression_time_functions[],
	expression_resource_functions[];

/* Without case; NULL when there is none. */
const struct expression_function *expression_function_find(const char *name);
/* Why there is none of the name, where Azure has one: a clause; NULL: Azure has none either. */
const char *expression_function_absence(const char *name);

/* Value of a node. New reference; NULL with *evaluation->error. */
json_t *expression_value(struct evaluation *evaluation, const struct expression_node *node);
/* A mistake at a node. */
json_t *expression_mistake_at(struct evaluation *evaluation, const struct expression_node *node,
	const char *format, ...) G_GNUC_PRINTF(3, 4);

/* Sets a mistake whose place the caller knows. */
json_t *expression_mistake(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
#define EXPRESSION_COST 64 /* of anything at all, in bytes */
/* Counts bytes that are about to be made; false with a mistake when they are too many. */
bool expression_afford(struct expression_scope *scope, size_t bytes, GError **error);
/* Counts a value with all that is in it, which is not deep. */
bool expression_afford_value(struct expression_scope *scope, const json_t *value, GError **error);

/* Member of an object, without case when there is none with it. Borrowed. */
const json_t *expression_member(const json_t *object, const char *name);
/* An argument's text, or NULL with a mistake. */
const char *expression_text_argument(const json_t *arguments, size_t index, GError **error);
bool expression_integer_argument(const json_t *arguments, size_t index, json_int_t *ret, GError **error);
/* A value as string() and concat() write it; false when it has no text: null, objects and arrays. */
bool expression_append_text(GString *to, const json_t *value);
