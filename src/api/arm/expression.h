/* The language of deployment templates: strings such as "[concat(parameters('vm'), '-nic')]".
 *
 *     expression := primary { '.' NAME | '[' expression ']' }
 *     primary    := [ NAMESPACE '.' ] FUNCTION '(' [ expression { ',' expression } ] ')' | 'text' | INTEGER
 *
 * A text that begins with "[[" stands for itself, less one bracket. The functions are in tables
 * (expression_functions.h); their names, and those of parameters and variables, are compared without case.
 * Evaluation has no side effects. Mistakes are ARM_INVALID_TEMPLATE with the place in the template, the
 * expression and the column in it. Source: ARM's "Syntax and expressions in ARM templates" and "ARM template
 * functions".
 *
 * How it works. A text is parsed to a tree (expression_tree.h), which is evaluated from its leaves; if(), and(),
 * or() and those that take a lambda evaluate their arguments themselves. A value that is only known later, what
 * reference() gives before its resource is there, is scope->unknown: whatever is made of it is unknown too.
 * Everything that a value takes is counted, as if nothing in it were shared, so that a few lines that double each
 * other end early and whatever walks over a value has an end.
 */
#pragma once
#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* A round of a copy loop, for copyIndex(). */
struct expression_loop {
	const struct expression_loop *outer; /* or NULL */
	const char *name; /* NULL: of an output */
	json_int_t index;
	bool main; /* of the resource or output itself, which a copyIndex() without a name means */
};

/* A variable of a lambda that is being applied. */
struct expression_variable {
	const struct expression_variable *outer; /* or NULL */
	const char *name;
	json_t *value; /* Borrowed */
};

/* Where in the template the text stands: a member, or (key NULL) an item. */
struct expression_place {
	const struct expression_place *outer; /* or NULL */
	const char *key;
	size_t index;
};

struct expression_scope {
	const char *subscription; /* uid; for resourceId() */
	const char *group; /* name; for resourceId() */
	json_t *globals; /* what subscription(), resourceGroup(), tenant(), deployment() and environment() give, by these
			    names. Borrowed, as all below */
	json_t *parameters; /* name → value */
	/* The value of a parameter that is not among those yet: a new reference, NULL with *error. NULL: there are no
	 * others. */
	json_t *(*parameter)(const char *name, struct expression_scope *scope, void *data, GError **error);
	void *parameter_data;
	json_t *variables; /* name → value, in which expressions may stand */
	json_t *evaluated; /* variables that were asked for: name → value; NULL: they are not kept */
	json_t *functions; /* of the template's own; may be NULL */
	json_t *unknown; /* an object that nothing else is; NULL: nothing is unknown */
	/* The resource with that name or id, whole: a new reference, scope->unknown when it is not there yet. NULL
	 * with *error. A scope without it has no reference(). */
	json_t *(*reference)(const char *name, void *data, GError **error);
	/* What a resource provider has ("resourceTypes"): a new reference; NULL when there is none of the name. */
	json_t *(*providers)(const char *namespace, void *data);
	/* How many rounds the resource of that symbol has: -1: it is no loop, or there is none. */
	json_int_t (*rounds)(const char *symbol, void *data);
	void *rounds_data;
	void *data; /* of reference */
	void *providers_data;
	const struct expression_loop *loop;
	const struct expression_variable *lambda;
	const struct expression_place *place;
	const char *seed; /* that newGuid() is made of; NULL: neither it nor utcNow() may be called */
	int64_t time_us; /* what utcNow() says */
	bool shows; /* what has an unknown value stays the text that it is */
	unsigned guids; /* made so far */
	unsigned depth; /* of variables and functions inside of each other; 0 */
	size_t spent; /* roughly the bytes that evaluation has made, up to EXPRESSION_SPEND_MAX; 0 */
};

#define EXPRESSION_SPEND_MAX ((size_t)64 * 1024 * 1024)
#define EXPRESSION_COPY_MAX  800 /* rounds of a loop: ARM's limit */

bool expression_is(const char *text);
/* Value of one text, which need not be an expression. New reference. */
json_t *expression_evaluate(const char *text, struct expression_scope *scope, GError **error);
/* Deep copy in which all texts are replaced by their values, and copy loops,
 * {"copy": [{"name", "count", "input"}]}, by the arrays they stand for. New reference. */
json_t *expression_expand(const json_t *json, struct expression_scope *scope, GError **error);
/* Deep copy of a value that expression_expand() turns into that value again: brackets are doubled. New reference. */
json_t *expression_escape(const json_t *json);
/* Whether something of the value is unknown. */
bool expression_is_unknown(const struct expression_scope *scope, const json_t *value);
/* How often a loop goes round, of its "count"; -1 with *error. */
json_int_t expression_count(const json_t *copy, struct expression_scope *scope, GError **error);
/* The array that a loop {"count", "input"} stands for; name NULL: an output's. New reference. */
json_t *expression_repeat(
	const json_t *copy, const char *name, struct expression_scope *scope, GError **error);
/* "resources['vm'].properties.x"; "" when nothing is known. Owned. */
char *expression_place_text(const struct expression_place *place);
