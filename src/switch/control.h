/* The control socket (docs/API.md): methods that change and show the switch. Main thread only. */
#pragma once
#include "switch/datapath.h"
#include "switch/ports.h"

#include <jansson.h>

struct control;

struct control_config {
	const char *socket;
	const char *state_dir; /* it is there; NULL: nothing is saved */
	bool hugepages;
};

/* Serves the socket in the default main context; takes up the saved state first, if there is one: a saved
 * state that is unusable is logged, and the switch starts empty. datapath and ports are Borrowed. */
struct control *control_new(
	const struct control_config *config, struct datapath *datapath, struct ports *ports, GError **error);
void control_free(struct control *control);
CLEANUP_FUNC(struct control *, control_free)

/* Makes `state` the switch's: all of it or nothing. */
bool control_apply(struct control *control, json_t *state, GError **error);
