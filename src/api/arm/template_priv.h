/* What the files of the template reader share. */
#pragma once
#include "api/arm/template.h"

#define TEMPLATE_INVALID "Deployment template validation failed: "

/* ---- template_values.c: parameters and outputs ---- */

/* Every parameter's value: given, or its default, which may refer to any other parameter. seed: as in the input. */
json_t *template_resolve_parameters(const json_t *template, const json_t *given, const char *seed,
	struct expression_scope *scope, GError **error);
/* The values once more, with the scope's unknown one for each that is secure. New reference. */
json_t *template_open_parameters(const struct template *template);
/* With the scope's reference(). */
json_t *template_evaluate_outputs(struct template *template, GError **error);

/* ---- template_resolve.c: names and dependencies ---- */

/* Makes the resource known by its names. ARM_INVALID_TEMPLATE when there is one of that id already. */
bool template_know(struct template *template, struct template_resource *resource, GError **error);
/* The resource of the template that a text names: by id, by "TYPE/NAME", by its symbol or by its name. All without
 * case. NULL when none is, or when more than one has that name. */
struct template_resource *template_find(const struct template *template, const char *text);
/* struct expression_scope.rounds; data: the template. */
json_int_t template_rounds(const char *symbol, void *data);
/* Fills `depends` of all resources; refuses circles and what is not in the template; evaluates everything
 * once. */
bool template_resolve_dependencies(struct template *template, GError **error);

/* ---- template_body.c ---- */

/* Evaluates for a resource: its loop and its place are the scope's. */
json_t *template_expand(struct template *template, const struct template_resource *resource, const char *key,
	const json_t *json, GError **error);
/* The body with what reference() of the scope gives. */
json_t *template_make_body(
	struct template *template, const struct template_resource *resource, GError **error);
