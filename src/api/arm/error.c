/* Failures in Azure Resource Manager's words. */
#include "api/arm/error.h"

G_DEFINE_QUARK(sluice - arm - fault, arm_fault)

/* Never 408, 429 or 5xx for what the client did: its SDK repeats those for seconds before it shows them. */
static const struct arm_error faults[] = {
	[FAULT_INTERNAL] = {500, "InternalServerError"},
	[FAULT_UNAVAILABLE] = {503, "ServiceUnavailable"},
	[FAULT_INVALID] = {400, "InvalidParameter"},
	[FAULT_INVALID_REFERENCE] = {400, "InvalidResourceReference"},
	[FAULT_NOT_FOUND] = {404, "ResourceNotFound"},
	[FAULT_PARENT_NOT_FOUND] = {404, "ParentResourceNotFound"},
	[FAULT_GROUP_NOT_FOUND] = {404, "ResourceGroupNotFound"},
	[FAULT_EXISTS] = {409, "Conflict"},
	[FAULT_IN_USE] = {409, "ResourceInUse"},
	[FAULT_BUSY] = {409, "AnotherOperationInProgress"},
	[FAULT_NOT_ALLOWED] = {409, "OperationNotAllowed"},
	[FAULT_PRECONDITION] = {412, "PreconditionFailed"},
	[FAULT_BAD_LOCATION] = {400, "LocationNotAvailableForResourceType"},
	[FAULT_OVERLAP] = {409, "Conflict"},
	[FAULT_POOL_FULL] = {409, "InsufficientCapacity"},
	[FAULT_ALLOCATION] = {409, "AllocationFailed"},
	[FAULT_CANCELLED] = {409, "OperationCanceled"},
	[FAULT_TIMEOUT] = {409, "OperationTimedOut"},
	[FAULT_QUOTA] = {409, "QuotaExceeded"},
	[FAULT_UNSUPPORTED] = {400, "NotSupported"},
	[FAULT_UNAUTHENTICATED] = {401, "AuthenticationFailed"},
	[FAULT_DENIED] = {403, "AuthorizationFailed"},
	[FAULT_CONFLICT] = {409, "Conflict"},
	[FAULT_COMPACTED] = {500, "InternalServerError"},
};

static const struct arm_error own[ARM_FAULT_COUNT] = {
	[ARM_INVALID_CONTENT] = {400, "InvalidRequestContent"},
	[ARM_INVALID_TEMPLATE] = {400, "InvalidTemplate"},
	[ARM_INVALID_TYPE] = {400, "InvalidResourceType"},
	[ARM_INVALID_FILTER] = {400, "InvalidFilterInQueryString"},
	[ARM_SUBSCRIPTION_NOT_FOUND] = {404, "SubscriptionNotFound"},
	[ARM_DEPLOYMENT_ACTIVE] = {409, "DeploymentActive"},
};

bool arm_fault_set(GError **error, enum arm_fault code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (error)
		*error = g_error_new_valist(ARM_FAULT, (int)code, format, args);
	va_end(args);
	return false;
}

static struct arm_error of_fault(enum fault fault)
{
	return (size_t)fault < G_N_ELEMENTS(faults) && faults[fault].code ? faults[fault]
									  : faults[FAULT_INTERNAL];
}

struct arm_error arm_error_of(const GError *error)
{
	return error->domain == ARM_FAULT ? own[error->code] : of_fault(fault_code(error));
}

struct arm_error arm_error_of_word(const char *fault)
{
	return of_fault(fault_from_name(fault));
}

json_t *arm_error_json(const char *code, const char *message, json_t *details)
{
	json_t *json = json_pack("{s:s, s:s}", "code", code, "message", message ? message : "");

	if (details)
		json_object_set_new(json, "details", details);
	return json;
}

json_t *arm_error_copy(const json_t *error)
{
	static const char *const order[] = {"code", "target", "message"};
	const json_t *details = json_object_get(error, "details");
	json_t *copy = json_object(), *item, *copies;
	size_t i;

	for (i = 0; i < G_N_ELEMENTS(order); i++)
		if (json_object_get(error, order[i]))
			json_object_set(copy, order[i], json_object_get(error, order[i]));
	if (!json_array_size(details))
		return copy;
	copies = json_array();
	json_array_foreach((json_t *)details, i, item)
	{
		json_array_append_new(copies, arm_error_copy(item));
	}
	json_object_set_new(copy, "details", copies);
	return copy;
}
