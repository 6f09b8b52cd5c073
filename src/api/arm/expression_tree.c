/* The parser of the template language. */
#include "api/arm/expression_tree.h"

#include <stdbool.h>
#include <string.h>

G_DEFINE_QUARK(sluice - expression - mistake, expression_mistake)

struct parser {
	const char *text; /* the whole expression with its brackets */
	const char *at, *end; /* what is left of its inside */
	unsigned depth;
	GError **error;
};

static struct expression_node *parse_expression(struct parser *parser);

static size_t column_of(const struct parser *parser, const char *where)
{
	return (size_t)(where - parser->text) + 1;
}

static void *fail_at(struct parser *parser, const char *where, const char *format, ...) G_GNUC_PRINTF(3, 4);
static void *fail_at(struct parser *parser, const char *where, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (parser->error)
		*parser->error =
			g_error_new_valist(EXPRESSION_MISTAKE, (int)column_of(parser, where), format, args);
	va_end(args);
	return NULL;
}

static void free_node(void *data)
{
	expression_node_free(data);
}

void expression_node_free(struct expression_node *node)
{
	if (!node)
		return;
	json_decref(node->value);
	g_free(node->name);
	g_ptr_array_unref(node->children);
	g_free(node);
}

static struct expression_node *new_node(
	const struct parser *parser, enum expression_node_type type, const char *where)
{
	struct expression_node *node = g_new0(struct expression_node, 1);

	node->type = type;
	node->column = column_of(parser, where);
	node->children = g_ptr_array_new_with_free_func(free_node);
	return node;
}

/* Takes the value. */
static struct expression_node *value_node(const struct parser *parser, const char *where, json_t *value)
{
	struct expression_node *node = new_node(parser, NODE_VALUE, where);

	node->value = value;
	return node;
}

static char next(struct parser *parser)
{
	while (parser->at < parser->end && g_ascii_isspace(*parser->at))
		parser->at++;
	return parser->at < parser->end ? *parser->at : '\0';
}

static void skip_name(struct parser *parser)
{
	while (parser->at < parser->end && (g_ascii_isalnum(*parser->at) || *parser->at == '_'))
		parser->at++;
}

/* 'text', in which two quotes stand for one. */
static struct expression_node *parse_text(struct parser *parser)
{
	const char *open = parser->at;
	g_autoptr(GString) text = g_string_new(NULL);

	for (parser->at++; parser->at < parser->end; parser->at++) {
		if (*parser->at != '\'')
			g_string_append_c(text, *parser->at);
		else if (parser->at + 1 < parser->end && parser->at[1] == '\'')
			g_string_append_c(text, *parser->at++);
		else
			break;
	}
	if (parser->at == parser->end)
		return fail_at(parser, open, "this string has no end");
	parser->at++;
	return value_node(parser, open, json_string(text->str));
}

static struct expression_node *parse_integer(struct parser *parser)
{
	const char *from = parser->at;
	gint64 value;

	if (*parser->at == '-')
		parser->at++;
	while (parser->at < parser->end && g_ascii_isdigit(*parser->at))
		parser->at++;
	g_autofree char *text = g_strndup(from, (gsize)(parser->at - from));
	if (!g_ascii_string_to_signed(text, 10, G_MININT64, G_MAXINT64, &value, NULL))
		return fail_at(parser, from, "this is no whole number");
	return value_node(parser, from, json_integer(value));
}

/* The arguments behind an opening bracket, up to the closing one. */
static bool parse_arguments(struct parser *parser, struct expression_node *call)
{
	parser->at++;
	if (next(parser) == ')') {
		parser->at++;
		return true;
	}
	for (;;) {
		struct expression_node *argument = parse_expression(parser);
		if (!argument)
			return false;
		g_ptr_array_add(call->children, argument);
		char c = next(parser);
		if (c != ',' && c != ')')
			return fail_at(parser, parser->at, "a ',' or ')' is needed");
		parser->at++;
		if (c == ')')
			return true;
	}
}

static struct expression_node *parse_call(struct parser *parser)
{
	const char *from = parser->at;
	_cleanup_(expression_node_free) struct expression_node *call = new_node(parser, NODE_CALL, from);

	skip_name(parser);
	/* A bare name has no members, so a point can only be behind a namespace. */
	if (parser->at < parser->end && *parser->at == '.') {
		parser->at++;
		skip_name(parser);
	}
	call->name = g_strndup(from, (gsize)(parser->at - from));
	if (next(parser) != '(')
		return fail_at(parser, parser->at, "expected '(' after '%s'", call->name);
	return parse_arguments(parser, call) ? g_steal_pointer(&call) : NULL;
}

static struct expression_node *parse_primary(struct parser *parser)
{
	char c = next(parser);

	if (c == '\'')
		return parse_text(parser);
	if (c == '-' || g_ascii_isdigit(c))
		return parse_integer(parser);
	if (g_ascii_isalpha(c) || c == '_')
		return parse_call(parser);
	if (!c)
		return fail_at(parser, parser->at, "it ends too early");
	g_autofree char *shown = g_strndup(parser->at, (gsize)(g_utf8_next_char(parser->at) - parser->at));
	return fail_at(parser, parser->at, "'%s' is not expected here", shown);
}

/* Both take the object. */
static struct expression_node *parse_member(struct parser *parser, struct expression_node *object)
{
	const char *from = ++parser->at;
	_cleanup_(expression_node_free) struct expression_node *member = new_node(parser, NODE_MEMBER, from);

	g_ptr_array_add(member->children, object);
	next(parser);
	const char *name = parser->at;
	skip_name(parser);
	member->name = g_strndup(name, (gsize)(parser->at - name));
	return *member->name ? g_steal_pointer(&member)
			     : fail_at(parser, from, "a property's name is needed");
}

static struct expression_node *parse_index(struct parser *parser, struct expression_node *array)
{
	_cleanup_(expression_node_free) struct expression_node *node =
		new_node(parser, NODE_INDEX, parser->at);
	struct expression_node *index;

	g_ptr_array_add(node->children, array);
	parser->at++;
	index = parse_expression(parser);
	if (!index)
		return NULL;
	g_ptr_array_add(node->children, index);
	if (next(parser) != ']')
		return fail_at(parser, parser->at, "a ']' is needed");
	parser->at++;
	return g_steal_pointer(&node);
}

static struct expression_node *parse_expression(struct parser *parser)
{
	struct expression_node *node;
	unsigned steps = 0;

	if (++parser->depth > EXPRESSION_DEPTH_MAX)
		return fail_at(parser, parser->at, "too many brackets inside each other");
	node = parse_primary(parser);
	while (node && (next(parser) == '.' || next(parser) == '[')) {
		if (++steps > EXPRESSION_DEPTH_MAX) {
			expression_node_free(node);
			return fail_at(parser, parser->at, "too many properties behind each other");
		}
		node = next(parser) == '.' ? parse_member(parser, node) : parse_index(parser, node);
	}
	parser->depth--;
	return node;
}

struct expression_node *expression_parse(const char *text, GError **error)
{
	struct parser parser = {.text = text, .at = text + 1, .end = text + strlen(text) - 1, .error = error};
	_cleanup_(expression_node_free) struct expression_node *node = parse_expression(&parser);

	if (node && next(&parser))
		return fail_at(&parser, parser.at, "the expression should end here");
	return g_steal_pointer(&node);
}
