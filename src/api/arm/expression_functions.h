/* The functions of the template language. */
#pragma once
#include "api/arm/expression.h"

/* Domain of mistakes in a call, of which the caller knows the place; the message is a clause. */
#define EXPRESSION_MISTAKE expression_mistake_quark()
GQuark expression_mistake_quark(void);

struct expression_function {
	const char *name;
	size_t min, max; /* arguments */
	/* New reference, or NULL with *error: EXPRESSION_MISTAKE, or a complete failure of another domain. */
	json_t *(*call)(struct expression_scope *scope, const json_t *arguments, GError **error);
};

/* Without case; NULL when there is none. */
const struct expression_function *expression_function_find(const char *name);
/* "concat, format, ...". Owned. */
char *expression_function_names(void);
/* Member of an object, without case when there is none with it. Borrowed. */
const json_t *expression_member(const json_t *object, const char *name);
