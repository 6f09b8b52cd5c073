/* An expression of a template, parsed. */
#pragma once
#include "base/cleanup.h"

#include <glib.h>
#include <jansson.h>

#define EXPRESSION_DEPTH_MAX 32 /* expressions, and variables, inside each other */

enum expression_node_type {
	NODE_VALUE, /* `value` */
	NODE_CALL, /* of the function `name`, with `children` as arguments */
	NODE_MEMBER, /* `name` of the only child */
	NODE_INDEX, /* of the first child, by what the second one gives */
};

struct expression_node {
	enum expression_node_type type;
	size_t column; /* from 1, in the text with its brackets */
	json_t *value; /* Owned */
	char *name; /* Owned: "concat", "contoso.name" */
	GPtrArray *children; /* Owned */
};

/* Domain of mistakes inside of an expression; code: the column, 0 when the caller knows it; the message is a clause. */
#define EXPRESSION_MISTAKE expression_mistake_quark()
GQuark expression_mistake_quark(void);

/* Of a text for which expression_is() is true. EXPRESSION_MISTAKE. */
struct expression_node *expression_parse(const char *text, GError **error);
void expression_node_free(struct expression_node *node);
CLEANUP_FUNC(struct expression_node *, expression_node_free)
