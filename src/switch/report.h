/* What the switch tells of itself, as JSON (docs/API.md). New references; main thread only. */
#pragma once
#include "switch/datapath.h"

#include <jansson.h>

json_t *report_nics(const struct datapath *datapath);
/* nic: uid, or NULL for all. At most `limit` of the directions. */
json_t *report_flows(const struct datapath *datapath, const char *nic, unsigned limit);
json_t *report_drops(const struct datapath *datapath);
json_t *report_counters(const struct datapath *datapath);
