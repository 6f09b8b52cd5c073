/* The switch's counters as families of metrics, in Prometheus' data model. The method `metrics`. */
#pragma once
#include "switch/datapath.h"
#include "switch/mirror_session.h"

#include <jansson.h>

/* [{"name", "type", "help", "samples": [{"labels": {…}, "value"}]}]. New reference; main thread. */
json_t *metrics_encode(const struct datapath *datapath, const struct mirror_session *mirrors);
