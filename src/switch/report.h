/* What the switch tells of itself, as JSON (docs/API.md). New references; main thread only. */
#pragma once
#include "switch/datapath.h"

#include <jansson.h>

json_t *report_nics(const struct datapath *datapath);
json_t *report_balancers(const struct datapath *datapath);
json_t *report_edges(const struct datapath *datapath);
/* {"nic"?}: uid or name; all packets without it. NULL with *error when it is not known. */
json_t *report_drops(const struct datapath *datapath, json_t *params, GError **error);
/* Workers, how busy they are, and what they poll. */
json_t *report_workers(const struct datapath *datapath);
json_t *report_counters(const struct datapath *datapath);
