/* Trace: what would become of a packet that an operator describes, and who says so. The method `trace`. */
#pragma once
#include "switch/datapath.h"

#include <jansson.h>

/* {"nic": uid or name, "packet": words (packet_words.h)} → the steps and the outcome (docs/API.md), or NULL with
 * *error. Nothing is sent and nothing changes; main thread. */
json_t *trace_packet(const struct datapath *datapath, json_t *params, GError **error);
