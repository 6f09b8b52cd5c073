/* An operator in tests of the agent: asks by a control socket of its own, while the agent goes on. */
#pragma once
#include "agent/test_world.h"

/* What the method answers, at most 10 s later; takes the parameters. NULL with error: it is refused. New reference. */
json_t *operator_ask(struct world *w, const char *method, json_t *params, GError **error);
