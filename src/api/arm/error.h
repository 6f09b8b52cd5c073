/* Failures in Azure Resource Manager's words.
 *
 * One table maps faults, which all of Sluice shares, to an HTTP status and an ARM code; another has the
 * failures that only this dialect knows. The shape of the body is the one of ARM's REST API:
 *     {"error": {"code": "...", "message": "...", "details": [{"code", "message"}]}}
 */
#pragma once
#include "base/fault.h"

#include <jansson.h>

enum arm_fault {
	ARM_INVALID_CONTENT, /* the body has not the shape of its type; the message begins with the JSON path
			      */
	ARM_INVALID_TEMPLATE, /* a deployment template, with the position */
	ARM_INVALID_TYPE, /* a resource type that Sluice does not have */
	ARM_INVALID_FILTER, /* a $filter that Sluice does not understand */
	ARM_SUBSCRIPTION_NOT_FOUND,
	ARM_DEPLOYMENT_ACTIVE, /* one of that name is running */
	ARM_FAULT_COUNT
};

#define ARM_FAULT arm_fault_quark()
GQuark arm_fault_quark(void);
/* As fault_set(), of this domain. */
bool arm_fault_set(GError **error, enum arm_fault code, const char *format, ...) G_GNUC_PRINTF(3, 4);

struct arm_error {
	unsigned status; /* HTTP */
	const char *code;
};

/* Of any error; foreign domains count as internal. */
struct arm_error arm_error_of(const GError *error);
/* Of the word of a fault that was stored. */
struct arm_error arm_error_of_word(const char *fault);
/* {"code", "message"} and "details", whose reference is taken, unless it is NULL. */
json_t *arm_error_json(const char *code, const char *message, json_t *details);
/* A copy of {"code","message","target","details"} with these members in ARM's order, for people who read it as it is, and of
 * the errors in its details likewise. New reference. */
json_t *arm_error_copy(const json_t *error);
