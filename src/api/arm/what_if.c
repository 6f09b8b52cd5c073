/* What a deployment would change: ARM's what-if. And what it would be refused for: validation.
 *
 * How it works. The template is deployed in a preview of the control plane (control_preview_open), resource after
 * resource as their dependencies want it, by the very puts of a deployment; each resource is encoded before and behind
 * its put, and what differs is the answer. Defaults, what a put keeps, and what it would refuse are thus those of the
 * real one, and the preview is thrown away. Validation puts the deployment itself first, and asks for refusals only.
 *
 * What hosts and reconcilers would make of it is not foretold: a machine that no host can hold in the end, instances of
 * scale sets. A value of reference() that only they give leaves the resource open: it would be created, or
 * (Unsupported) nobody knows what would change, and so is what depends on it. So is what is busy just now, for which a
 * deployment waits: what could become of it is never refused.
 */
#include "api/arm/deploy_priv.h"
#include "api/arm/extra.h"
#include "api/arm/what_if_delta.h"

#include <string.h>

#define FAILED_MESSAGE                                                                                       \
	"At least one resource would be refused. Nothing was changed; repair the template, or what is in "   \
	"its way."

struct what_if {
	struct arm arm; /* whose control plane is the preview */
	const struct group *group; /* Borrowed */
	const char *principal;
	bool whole; /* changes are shown with the resources */
	bool complete;
	bool veiled; /* what some deployment inside of the template has is not known */
	json_t *changes; /* NULL: only failures are wanted */
	json_t *failures;
	GHashTable *seen; /* ids of the templates' resources, in small letters */
	GHashTable *kept; /* those, and what Complete mode spares for their sake */
};

/* A template on its way. */
struct look {
	struct what_if *what_if;
	struct template *template;
	const char *name; /* of its deployment */
	unsigned depth; /* how many others that is inside of */
	bool *done, *open; /* of each resource; open: what becomes of it is not known, or it would fail */
};

/* ---- resources as they are shown ---- */

/* As it is now, in the preview; NULL without *error when it is not there. New reference. */
static json_t *read_now(struct what_if *what_if, const struct arm_id *id, GError **error)
{
	g_autoptr(GError) failure = NULL;
	_cleanup_(model_free) void *object = arm_find(&what_if->arm, id, &failure);
	json_auto_t *whole = object ? arm_encode_wanted(&what_if->arm, object) : NULL;

	if (failure && fault_code(failure) != FAULT_NOT_FOUND &&
		fault_code(failure) != FAULT_PARENT_NOT_FOUND)
		g_propagate_error(error, g_steal_pointer(&failure));
	return whole && id->child_name ? json_incref(arm_child_of(whole, id->child, id->child_name))
				       : g_steal_pointer(&whole);
}

/* The snapshot of a change: the resource with what says where and what it is. New reference. */
static json_t *snapshot(const struct arm_id *id, const json_t *api_version, const json_t *json)
{
	json_t *shot = json_object();
	g_autofree char *id_text = arm_id_format(id), *type = arm_id_type(id);

	if (json_is_string(api_version))
		json_object_set(shot, "apiVersion", (json_t *)api_version);
	put_text(shot, "id", id_text);
	json_object_update(shot, (json_t *)json);
	put_text(shot, "name", id->child_name ? id->child_name : id->name);
	put_text(shot, "resourceGroup", id->group);
	put_text(shot, "type", type);
	return shot;
}

/* ---- changes ---- */

static json_t *new_change(const char *id, const char *type)
{
	return json_pack("{s:s, s:s}", "resourceId", id, "changeType", type);
}

static void note_created(const struct look *look, const struct template_resource *resource, GError **error)
{
	struct what_if *what_if = look->what_if;
	json_auto_t *whole =
		what_if->changes ? template_shown_body(look->template, resource->index, error) : NULL;
	json_t *change;

	if (!whole)
		return;
	json_auto_t *body = extra_clean(whole);
	change = new_change(resource->id_text, "Create");
	if (what_if->whole)
		json_object_set_new(change, "after",
			snapshot(&resource->id, json_object_get(resource->json, "apiVersion"), body));
	json_array_append_new(what_if->changes, change);
}

static void note_compared(struct what_if *what_if, const struct template_resource *resource,
	const json_t *before, const json_t *after)
{
	const json_t *version = json_object_get(resource->json, "apiVersion");
	json_t *delta = what_if_delta(before, after),
	       *change = new_change(resource->id_text, json_array_size(delta) ? "Modify" : "NoChange");

	if (what_if->whole) {
		json_object_set_new(change, "before", snapshot(&resource->id, version, before));
		json_object_set_new(change, "after", snapshot(&resource->id, version, after));
		if (json_array_size(delta))
			json_object_set(change, "delta", delta);
	}
	json_decref(delta);
	json_array_append_new(what_if->changes, change);
}

/* Clients print messages, and no targets. */
static void note_failure(
	const struct look *look, const struct template_resource *resource, const GError *failure)
{
	g_autofree char *where = look->depth ? g_strdup_printf("In the deployment '%s': ", look->name)
					     : g_strdup(""),
			*message = g_strdup_printf(
				"%s%s '%s': %s", where, resource->type, resource->name, failure->message);
	json_t *detail = arm_error_json(arm_error_of(failure).code, message, NULL);

	put_text(detail, "target", resource->id_text);
	json_array_append_new(look->what_if->failures, detail);
}

/* What it would be is not known; reason: a sentence. */
static void note_open(const struct look *look, const struct template_resource *resource, const json_t *before,
	const char *reason, GError **error)
{
	json_t *change;

	look->open[resource->index] = true;
	if (!before)
		note_created(look, resource, error);
	if (!before || !look->what_if->changes)
		return;
	change = new_change(resource->id_text, "Unsupported");
	put_text(change, "unsupportedReason", reason);
	if (look->what_if->whole)
		json_object_set_new(change, "before",
			snapshot(&resource->id, json_object_get(resource->json, "apiVersion"), before));
	json_array_append_new(look->what_if->changes, change);
}

/* ---- one resource ---- */

/* The first of its dependencies that is open. */
static const struct template_resource *find_open(
	const struct look *look, const struct template_resource *resource)
{
	for (guint i = 0; i < resource->depends->len; i++) {
		guint on = g_array_index(resource->depends, guint, i);
		if (look->open[on])
			return look->template->resources->pdata[on];
	}
	return NULL;
}

/* Owned. */
static char *open_reason(const struct template_resource *waits_for)
{
	return g_strdup_printf("What becomes of '%s', which it depends on, is not known.", waits_for->name);
}

static void put_and_compare(const struct look *look, const struct template_resource *resource,
	const json_t *before, const json_t *body, GError **error)
{
	struct what_if *what_if = look->what_if;
	const struct control_request request = {.principal = what_if->principal};
	_cleanup_(arm_put_result_clear) struct arm_put_result put = {};
	json_auto_t *after = NULL;

	if (!arm_put(&what_if->arm, &resource->id, body, &request, &put, error) || !what_if->changes ||
		!(after = read_now(what_if, &resource->id, error)))
		return;
	if (before)
		note_compared(what_if, resource, before, after);
	else
		note_created(look, resource, error);
}

static void look_at_resource(const struct look *look, const struct template_resource *resource)
{
	struct what_if *what_if = look->what_if;
	const struct template_resource *waits_for = find_open(look, resource);
	g_autoptr(GError) failure = NULL, unknown = NULL;
	json_auto_t *before = what_if->changes ? read_now(what_if, &resource->id, &failure) : NULL,
		    *body = NULL;

	g_hash_table_add(what_if->seen, g_ascii_strdown(resource->id_text, -1));
	deploy_keep(what_if->kept, resource->id_text);
	if (!failure && !waits_for)
		body = template_body(
			look->template, resource->index, deploying_look_up, &what_if->arm, &unknown);
	if (waits_for && !failure) {
		g_autofree char *reason = open_reason(waits_for);
		note_open(look, resource, before, reason, &failure);
	} else if (unknown && g_error_matches(unknown, ARM_FAULT, ARM_INVALID_TEMPLATE)) {
		note_open(look, resource, before, unknown->message, &failure);
	} else if (unknown) {
		g_propagate_error(&failure, g_steal_pointer(&unknown));
	} else if (body) {
		put_and_compare(look, resource, before, body, &failure);
	}
	if (failure && deploying_is_passing(failure)) {
		g_autofree char *reason = g_steal_pointer(&failure->message);
		g_clear_error(&failure);
		note_open(look, resource, before, reason, &failure);
	}
	if (!failure)
		return;
	look->open[resource->index] = true;
	note_failure(look, resource, failure);
}

/* ---- templates ---- */

static struct template *look_at_template(struct what_if *what_if, const struct group *group,
	const struct deployment *deployment, unsigned depth, GError **error);

/* A deployment inside of this one is there when its resources are; others may want its outputs. */
static bool put_deployment(
	struct what_if *what_if, struct template *template, struct deployment *inner, GError **error)
{
	const struct control_request request = {.principal = what_if->principal};
	_cleanup_(control_result_clear) struct control_result result = {};
	struct deployment *stored;

	if (!control_put(what_if->arm.control, inner, &request, &result, error))
		return false;
	stored = result.object;
	json_decref(stored->status.outputs);
	stored->status.outputs = template_outputs(template, deploying_look_up, &what_if->arm, NULL);
	return control_store(what_if->arm.control, stored, error);
}

/* What it has is not known, nor whether what is there is among that. */
static void note_veiled(const struct look *look, const struct template_resource *resource, const char *reason)
{
	json_t *change;

	look->open[resource->index] = look->what_if->veiled = true;
	if (!look->what_if->changes)
		return;
	change = new_change(resource->id_text, "Unsupported");
	put_text(change, "unsupportedReason", reason);
	json_array_append_new(look->what_if->changes, change);
}

static bool look_inside(
	const struct look *look, const struct template_resource *resource, const json_t *body, GError **error)
{
	struct what_if *what_if = look->what_if;
	_cleanup_(model_free) struct group *group =
		deploy_check_depth(look->depth, error)
			? arm_find_group(&what_if->arm, resource->id.subscription, resource->id.group, error)
			: NULL;
	_cleanup_(model_free) struct deployment *inner =
		group ? deploy_decode(body, resource->name, group, error) : NULL;
	_cleanup_(template_free) struct template *template =
		inner ? look_at_template(what_if, group, inner, look->depth + 1, error) : NULL;

	return template && put_deployment(what_if, template, inner, error);
}

static void look_at_deployment(const struct look *look, const struct template_resource *resource)
{
	const struct template_resource *waits_for = find_open(look, resource);
	g_autoptr(GError) failure = NULL;
	json_auto_t *body = waits_for ? NULL
				      : template_body(look->template, resource->index, deploying_look_up,
						&look->what_if->arm, &failure);

	if (waits_for) {
		g_autofree char *reason = open_reason(waits_for);
		note_veiled(look, resource, reason);
	} else if (!body && g_error_matches(failure, ARM_FAULT, ARM_INVALID_TEMPLATE)) {
		note_veiled(look, resource, failure->message);
	} else if (!body || !look_inside(look, resource, body, &failure)) {
		look->open[resource->index] = true;
		if (!deploying_is_passing(failure))
			note_failure(look, resource, failure);
	}
}

static bool is_ready(const struct look *look, const struct template_resource *resource)
{
	for (guint i = 0; i < resource->depends->len; i++)
		if (!look->done[g_array_index(resource->depends, guint, i)])
			return false;
	return !look->done[resource->index];
}

/* All whose dependencies are done, as a deployment starts them; false when there is none. The template has no circles. */
static bool look_at_round(const struct look *look)
{
	const GPtrArray *resources = look->template->resources;
	g_autofree bool *ready = g_new0(bool, resources->len + 1);
	bool any = false;

	for (guint i = 0; i < resources->len; i++)
		any |= ready[i] = is_ready(look, resources->pdata[i]);
	for (guint i = 0; i < resources->len; i++) {
		const struct template_resource *resource = resources->pdata[i];
		if (!ready[i])
			continue;
		look->done[i] = true;
		if (!resource->skipped && resource->deployment)
			look_at_deployment(look, resource);
		else if (!resource->skipped)
			look_at_resource(look, resource);
	}
	return any;
}

/* The template, whose resources are in the preview now, but for those that failed. */
static struct template *look_at_template(struct what_if *what_if, const struct group *group,
	const struct deployment *deployment, unsigned depth, GError **error)
{
	struct template *template = deploy_open(&what_if->arm, group, deployment, NULL, error);

	if (!template)
		return NULL;
	g_autofree bool *done = g_new0(bool, template->resources->len + 1),
			*open = g_new0(bool, template->resources->len + 1);
	const struct look look = {what_if, template, deployment->meta.name, depth, done, open};
	while (look_at_round(&look))
		continue;
	return template;
}

/* ---- what the template does not have ---- */

static void look_at_other(
	const struct arm_type *type, const struct meta *meta, const char *id_text, void *data)
{
	struct what_if *what_if = data;
	g_autofree char *small = g_ascii_strdown(id_text, -1);
	bool goes = what_if->complete && !g_hash_table_contains(what_if->kept, small);
	_cleanup_(arm_id_clear) struct arm_id id = {};
	json_auto_t *before = arm_id_parse(id_text, &id, NULL) ? read_now(what_if, &id, NULL) : NULL;
	json_t *change = new_change(id_text, !goes ? "Ignore" : what_if->veiled ? "Unsupported" : "Delete");

	if (goes && what_if->veiled)
		put_text(change, "unsupportedReason",
			"It would go, unless a deployment inside of this one has it, of which that is not "
			"known.");
	if (what_if->whole && before)
		json_object_set_new(change, "before", snapshot(&id, NULL, before));
	json_array_append_new(what_if->changes, change);
}

/* ---- the whole ---- */

/* A preview, and what is known of it: nothing. False with *error. */
static bool begin(struct what_if *what_if, struct arm *arm, const struct group *group, const char *principal,
	GError **error)
{
	*what_if = (struct what_if){
		.arm = *arm,
		.group = group,
		.principal = principal,
		.failures = json_array(),
		.seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
		.kept = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
	};
	what_if->arm.control = control_preview_open(arm->control, error);
	return what_if->arm.control != NULL;
}

static void end(struct what_if *what_if)
{
	control_preview_close(what_if->arm.control);
	json_decref(what_if->changes);
	json_decref(what_if->failures);
	g_hash_table_unref(what_if->seen);
	g_hash_table_unref(what_if->kept);
}

/* {"code","message","details"} of why not; NULL: nothing speaks against it. */
static json_t *error_of(const struct what_if *what_if, const GError *failure)
{
	if (failure)
		return arm_error_json(arm_error_of(failure).code, failure->message, NULL);
	return json_array_size(what_if->failures) ? arm_error_json("InvalidTemplateDeployment",
							    FAILED_MESSAGE, json_incref(what_if->failures))
						  : NULL;
}

static bool look_at_all(struct what_if *what_if, const struct deployment *deployment, GError **error)
{
	_cleanup_(template_free) struct template *template =
		look_at_template(what_if, what_if->group, deployment, 0, error);

	if (!template)
		return false;
	what_if->complete = template->complete;
	return deploy_each_other(&what_if->arm, what_if->group, what_if->seen, look_at_other, what_if, error);
}

json_t *deploy_what_if(struct arm *arm, const struct group *group, const struct deployment *deployment,
	bool whole, const char *principal)
{
	g_autoptr(GError) failure = NULL;
	struct what_if what_if;
	json_t *error, *answer;

	if (begin(&what_if, arm, group, principal, &failure)) {
		what_if.changes = json_array();
		what_if.whole = whole;
		look_at_all(&what_if, deployment, &failure);
	}
	error = error_of(&what_if, failure);
	answer = error ? json_pack("{s:s, s:o}", "status", "Failed", "error", error)
		       : json_pack("{s:s, s:{s:O}}", "status", "Succeeded", "properties", "changes",
				 what_if.changes);
	end(&what_if);
	return answer;
}

/* {"id"} of what the template deploys. New reference. */
static json_t *encode_ids(const struct template *template)
{
	json_t *ids = json_array();

	for (guint i = 0; i < template->resources->len; i++) {
		const struct template_resource *resource = template->resources->pdata[i];
		if (!resource->skipped)
			json_array_append_new(ids, json_pack("{s:s}", "id", resource->id_text));
	}
	return ids;
}

/* Whether its own PUT would be taken now. */
static bool check_put(
	const struct what_if *what_if, struct arm *arm, const struct deployment *deployment, GError **error)
{
	const struct control_request request = {.principal = what_if->principal};
	_cleanup_(control_result_clear) struct control_result result = {};
	GError *failure = NULL;

	if (control_put(what_if->arm.control, deployment, &request, &result, &failure))
		return true;
	deploy_explain(arm, what_if->group, deployment->meta.name, &failure);
	g_propagate_error(error, failure);
	return false;
}

json_t *deploy_validate(struct arm *arm, const struct group *group, const struct deployment *deployment,
	const char *principal, json_t **ret_ids)
{
	g_autoptr(GError) failure = NULL;
	struct what_if what_if;
	_cleanup_(template_free) struct template *template = NULL;
	json_t *error;

	if (begin(&what_if, arm, group, principal, &failure) &&
		check_put(&what_if, arm, deployment, &failure))
		template = look_at_template(&what_if, group, deployment, 0, &failure);
	error = error_of(&what_if, failure);
	if (!error)
		*ret_ids = encode_ids(template);
	end(&what_if);
	return error;
}
