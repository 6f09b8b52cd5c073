/* tc over another kernel than this machine's, for tests. */
#pragma once
#include "offload/tc.h"
#include "offload/tc_kernel.h"

/* Takes the kernel. */
struct offload_provider *offload_tc_new(enum offload_tc_mode mode, struct tc_kernel *kernel);
