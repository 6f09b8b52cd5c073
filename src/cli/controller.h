/* The controller of the cloud, asked as its operator by what `sluice up` leaves in the state folder. */
#pragma once
#include "base/cleanup.h"

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

/* {"appId", "password", "tenant"} of who may log in. New reference; NULL with *error. */
json_t *controller_principal(const char *state, GError **error);
/* "https://ADDRESS:PORT", where clients connect. Owned by the caller; NULL with *error. */
char *controller_endpoint(const char *state, GError **error);

struct controller;

/* Logs in. `state_option` as for cli_state_dir(). FAULT_NOT_FOUND when no cloud began in this state folder, or the
 * user may not read it; FAULT_UNAVAILABLE when the controller does not answer. */
struct controller *controller_open(const char *state_option, GError **error);
void controller_close(struct controller *controller);
CLEANUP_FUNC(struct controller *, controller_close)

/* One request to "/sluice/v1" and `path`, encoded as it goes there, blocking. Takes the body (NULL: none). *ret is the
 * answer's JSON object, a new reference; NULL: none is waited for. What the controller refuses is *error in its words,
 * FAULT_NOT_FOUND (404), FAULT_INVALID (the request is malformed or out of range) or FAULT_NOT_ALLOWED; FAULT_UNAVAILABLE names the URL when something answers that is no controller. */
bool controller_call(struct controller *controller, const char *method, const char *path, json_t *body,
	json_t **ret, GError **error);

/* A list of that word, page after page of it until there are `enough` (0: all), as {WORD: [...]}; else as
 * controller_call(). */
bool controller_list(struct controller *controller, const char *path, const char *word, size_t enough,
	json_t **ret, GError **error);
