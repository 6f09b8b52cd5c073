/* A deployment template, read: its resources in the group, what each depends on, and their bodies.
 *
 * Everything but the bodies' values of reference() is worked out when the template is opened, so a template
 * that opens has no mistake of language left in it. Opening has no side effects and gives the same for the
 * same input; a deployment opens its template again whenever it goes on.
 */
#pragma once
#include "api/arm/expression.h"
#include "api/arm/id.h"

struct template_resource {
	struct arm_id id;
	char *id_text;
	char *type; /* "Microsoft.Network/virtualNetworks" */
	char *name; /* "net", "net/sub" */
	char *location; /* NULL: it names none */
	bool skipped; /* its condition, or its parent's, is false: others may depend on it, but it is not
			 deployed */
	GArray *depends; /* of guint: indexes of others */
	json_t *json; /* Ref: as it stands in the template */
};

struct template
{
	GPtrArray *resources; /* of struct template_resource, parents before children */
	json_t *parameters; /* Owned: name → value */
	json_t *json; /* Ref */
	struct expression_scope scope;
	json_t *group_object, *subscription_object; /* Owned */
};

struct template_input {
	const json_t *template; /* may be NULL, or anything */
	const json_t *parameters; /* {name: {"value"}}; may be NULL */
	const char *mode;
	const char *subscription; /* uid */
	const char *tenant;
	const char *group; /* name */
	json_t *group_object; /* what resourceGroup() gives; Borrowed */
};

/* A resource by its id, whole; json_null() when it does not exist. NULL with *error. */
typedef json_t *(*template_lookup)(const struct arm_id *id, void *data, GError **error);

/* ARM_INVALID_TEMPLATE with what is wrong, and where. */
struct template *template_open(const struct template_input *input, GError **error);
void template_free(struct template *template);
CLEANUP_FUNC(struct template *, template_free)

/* The body of a PUT of the resource. New reference. */
json_t *template_body(
	struct template *template, guint index, template_lookup lookup, void *data, GError **error);
/* {name: {"type", "value"}}. New reference. */
json_t *template_outputs(struct template *template, template_lookup lookup, void *data, GError **error);
/* Parameters as they may be shown: without those of the types secureString and secureObject. New reference.
 */
json_t *template_shown_parameters(const json_t *template, const json_t *parameters);
