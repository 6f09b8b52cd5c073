/* Operations: the record of a mutation on its way, and who waits for it. */
#include "base/fault.h"
#include "control/control_priv.h"

struct control_request control_request_after(const struct operation *operation)
{
	return (struct control_request){.principal = operation->spec.principal,
		.id = operation->spec.request,
		.parent = operation->meta.uid};
}

struct operation *operation_new(
	enum verb verb, const void *target, const struct control_request *request, bool created)
{
	const struct meta *meta = target;
	struct operation *operation = model_new(KIND_OPERATION, NULL, NULL);

	operation->meta.location = g_strdup(meta->location);
	operation->spec.verb = (int)verb;
	operation->spec.target_kind = meta->kind;
	operation->spec.target = g_strdup(meta->uid);
	operation->spec.target_name = g_strdup(meta->name);
	operation->spec.principal = g_strdup(request->principal);
	operation->spec.request = g_strdup(request->id);
	operation->spec.parent = g_strdup(request->parent);
	operation->spec.created = created;
	return operation;
}

bool operation_running(const struct outcome *outcome)
{
	return outcome->state == PROVISIONING_CREATING || outcome->state == PROVISIONING_UPDATING ||
	       outcome->state == PROVISIONING_DELETING;
}

void outcome_begin(void *object, enum provisioning state)
{
	struct outcome *outcome = model_outcome(object);

	outcome->state = (int)state;
	g_clear_pointer(&outcome->fault, g_free);
	g_clear_pointer(&outcome->message, g_free);
}

static void set_outcome(struct outcome *outcome, const GError *failure)
{
	g_clear_pointer(&outcome->fault, g_free);
	g_clear_pointer(&outcome->message, g_free);
	outcome->state = failure ? PROVISIONING_FAILED : PROVISIONING_SUCCEEDED;
	if (failure) {
		outcome->fault = g_strdup(fault_name(fault_code(failure)));
		outcome->message = g_strdup(failure->message);
	}
}

void operation_fail(struct operation *operation, const GError *failure)
{
	g_free(operation->status.fault);
	g_free(operation->status.message);
	operation->status.state = OPERATION_FAILED;
	operation->status.finished_us = g_get_real_time();
	operation->status.fault = g_strdup(fault_name(fault_code(failure)));
	operation->status.message = g_strdup(failure->message);
}

void operation_finish(struct change *change, struct operation *operation, const GError *failure)
{
	void *target =
		change_get(change, (enum kind)operation->spec.target_kind, operation->spec.target, NULL);
	struct outcome *outcome = target ? model_outcome(target) : NULL;

	operation->status.state = OPERATION_SUCCEEDED;
	operation->status.finished_us = g_get_real_time();
	if (failure)
		operation_fail(operation, failure);
	change_put(change, operation);
	/* An operation that a deletion overtook must not take the deletion mark away; what became of a migration says
	 * nothing of the VM. */
	if (outcome && operation->spec.verb != VERB_MIGRATE &&
		(outcome->state != PROVISIONING_DELETING || operation->spec.verb == VERB_DELETE)) {
		set_outcome(outcome, failure);
		change_put(change, target);
	}
}
