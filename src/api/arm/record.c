/* What the audit log says of requests and operations. */
#include "api/arm/arm_priv.h"

#include <string.h>

static bool is_reading(const char *method)
{
	return g_str_equal(method, "GET") || g_str_equal(method, "HEAD") || g_str_equal(method, "OPTIONS");
}

static enum audit_result result_of(const struct call *call, unsigned status)
{
	if (status >= 400 || call_code(call))
		return AUDIT_REFUSED;
	return call_answer_header(call, "Azure-AsyncOperation") || status == 202 ? AUDIT_ACCEPTED
										 : AUDIT_DONE;
}

void arm_record_answer(struct call *call, unsigned status, void *data)
{
	const struct arm *arm = data;

	if (!arm->audit || call_is_open(call) || is_reading(call_method(call)))
		return;
	g_autofree char *what = g_strdup_printf("%s %s", call_method(call), call_path(call));
	const struct audit_record record = {
		.result = result_of(call, status),
		.status = status,
		.who = call_principal(call),
		.what = what,
		.code = call_code(call),
		.operation = call_operation(call),
		.request = call_id(call),
		.client = call_header(call, "x-ms-client-request-id"),
		.command = call_header(call, "CommandName"),
		.address = call_remote(call),
	};
	audit_write(arm->audit, &record);
}

void arm_record_end(const struct operation *operation, void *data)
{
	const struct arm *arm = data;
	bool failed = operation->status.state == OPERATION_FAILED;

	if (!arm->audit)
		return;
	g_autofree char *what = g_strdup_printf("%s %s %s", verb_words[operation->spec.verb],
		kind_info((enum kind)operation->spec.target_kind)->title, operation->spec.target_name);
	const struct audit_record record = {
		.result = failed ? AUDIT_FAILED : AUDIT_SUCCEEDED,
		.who = operation->spec.principal,
		.what = what,
		.code = failed ? arm_error_of_word(operation->status.fault).code : NULL,
		.operation = operation->meta.uid,
		.parent = operation->spec.parent,
		.request = operation->spec.request,
	};
	audit_write(arm->audit, &record);
}

/* Of an operation that was over when it began no end is told. */
static enum audit_result result_of_part(const struct operation *operation)
{
	if (!operation)
		return AUDIT_REFUSED;
	return operation->status.state == OPERATION_RUNNING ? AUDIT_ACCEPTED : AUDIT_DONE;
}

void arm_record_part(struct arm *arm, const struct operation *deployment, const char *verb, const char *id,
	const struct operation *operation, const char *code)
{
	g_autofree char *what = g_strdup_printf("%s %s", verb, id);
	const struct audit_record record = {
		.result = result_of_part(operation),
		.who = deployment->spec.principal,
		.what = what,
		.code = code,
		.operation = operation ? operation->meta.uid : NULL,
		.parent = deployment->meta.uid,
		.request = deployment->spec.request,
	};

	if (arm->audit)
		audit_write(arm->audit, &record);
}

void arm_record_forgotten(struct arm *arm, const struct operation *deployment, const char *id)
{
	g_autofree char *what = g_strdup_printf("DELETE %s", id);
	const struct audit_record record = {
		.result = AUDIT_DONE,
		.who = deployment->spec.principal,
		.what = what,
		.parent = deployment->meta.uid,
		.request = deployment->spec.request,
	};

	if (arm->audit)
		audit_write(arm->audit, &record);
}
