/* The language of deployment templates: strings such as "[concat(parameters('vm'), '-nic')]".
 *
 *     expression := primary { '.' NAME | '[' expression ']' }
 *     primary    := FUNCTION '(' [ expression { ',' expression } ] ')' | 'text' | INTEGER
 *
 * A text that begins with "[[" stands for itself, less one bracket. Functions: concat, format, parameters,
 * reference, resourceGroup, resourceId, subscription, toLower, variables; their names, and those of
 * parameters and variables, are compared without case. Evaluation has no side effects. Mistakes are
 * ARM_INVALID_TEMPLATE with the expression and the column in it. Source: ARM's "Syntax and expressions in ARM
 * templates" and "ARM template functions".
 */
#pragma once
#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

struct expression_scope {
	const char *subscription; /* uid; for resourceId() */
	const char *group; /* name; for resourceId() */
	json_t *subscription_object; /* what subscription() gives. Borrowed, as all below */
	json_t *group_object;
	json_t *parameters; /* name → value */
	json_t *variables; /* name → value, in which expressions may stand */
	/* The resource with that name or id, whole: a new reference. json_null() when it is not known yet and
	 * its members shall be null. NULL with *error. */
	json_t *(*reference)(const char *name, void *data, GError **error);
	void *data;
	unsigned depth; /* of variables inside of variables; 0 */
	size_t spent; /* roughly the bytes that evaluation has made, up to EXPRESSION_SPEND_MAX; 0 */
};

/* A few lines of variables that double each other would fill any memory. */
#define EXPRESSION_SPEND_MAX ((size_t)32 * 1024 * 1024)

bool expression_is(const char *text);
/* Value of one text, which need not be an expression. New reference. */
json_t *expression_evaluate(const char *text, struct expression_scope *scope, GError **error);
/* Deep copy in which all texts are replaced by their values. New reference. */
json_t *expression_expand(const json_t *json, struct expression_scope *scope, GError **error);
