/* What the two halves of the template reader share. */
#pragma once
#include "api/arm/template.h"

/* Every parameter's value: given, or its default. The scope's parameters may refer to earlier ones. */
json_t *template_resolve_parameters(
	const json_t *template, const json_t *given, struct expression_scope *scope, GError **error);

/* Fills `depends` of all resources; refuses circles and what is not in the template; evaluates everything
 * once. */
bool template_resolve_dependencies(struct template *template, GError **error);

/* The resource of the template that a text names: by id, by "TYPE/NAME", or by its name. All without case.
 * NULL when none is, or (ret_ambiguous, may be NULL) when more than one is. */
const struct template_resource *template_find(
	const struct template *template, const char *text, bool *ret_ambiguous);
