/* A deployment template, read: its resources, what each depends on, and their bodies.
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
	char *symbol; /* its key where 'resources' is an object; NULL: it has none */
	char *place; /* "resources[0].resources[2]" */
	bool skipped; /* its condition, or its parent's, is false, or it is 'existing': others may depend on it, but it is
			 not deployed */
	bool deployment; /* it is a deployment itself */
	bool repeated; /* it is a round of its own 'copy' loop */
	struct expression_loop
		loop; /* that it, or its parent, is a round of; without a name: none. The name is Borrowed of
					json */
	json_int_t batch; /* rounds that run at one time; 0: all */
	guint index; /* of it in the template */
	GArray *depends; /* of guint: indexes of others */
	json_t *json; /* Ref: as it stands in the template */
};

struct template
{
	GPtrArray *resources; /* of struct template_resource, parents before children */
	bool complete; /* what else is in the group shall go */
	json_t *parameters; /* Owned: name → value */
	json_t *json; /* Ref */
	struct expression_scope scope; /* its members are Owned */
	GHashTable *
		names; /* what a resource can be called, in small letters → struct template_resource, Borrowed; NULL:
			      more than one is called that */
	GHashTable *loops; /* names of 'copy' loops, in small letters */
};

struct template_input {
	const json_t *template; /* may be NULL, or anything */
	const json_t *parameters; /* {name: {"value"}}; may be NULL */
	const char *mode; /* NULL: Incremental */
	const char *subscription; /* uid */
	const char *group; /* name */
	json_t *globals; /* of struct expression_scope. Borrowed */
	json_t *(*providers)(const char *namespace, void *data); /* of struct expression_scope; may be NULL */
	void *providers_data;
	const char *seed; /* of what newGuid() makes: the same gives the same */
	int64_t time_us; /* of utcNow() */
};

/* A resource by its id, whole. NULL with *error. */
typedef json_t *(*template_lookup)(const struct arm_id *id, void *data, GError **error);

/* ARM_INVALID_TEMPLATE with what is wrong, and where. */
struct template *template_open(const struct template_input *input, GError **error);
void template_free(struct template *template);
CLEANUP_FUNC(struct template *, template_free)

/* The body of a PUT of the resource. lookup NULL: what it would look up is unknown. New reference. */
json_t *template_body(
	struct template *template, guint index, template_lookup lookup, void *data, GError **error);
/* The same for people: an expression whose value is not known yet, or is made of secure parameters, stays as it is. New
 * reference. */
json_t *template_shown_body(struct template *template, guint index, GError **error);
/* {name: {"type", "value"}}; secure ones are without their value. New reference. */
json_t *template_outputs(struct template *template, template_lookup lookup, void *data, GError **error);
/* Whether something of a value is unknown. */
bool template_is_unknown(const struct template *template, const json_t *value);
/* Parameters as they may be shown, {name: {"type", "value"}}: those of the types secureString and secureObject
 * without their value. New reference. */
json_t *template_shown_parameters(const json_t *template, const json_t *parameters);
