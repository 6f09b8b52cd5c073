/* What the conformance test of offload has beside random worlds: tunnels, VLANs, shared addresses, and ports that change. */
#pragma once

/* Adds the tests. wire: as of executor_new; Borrowed. */
void test_offload_add(const char *wire);
