/* Whoever executes offloaded flows, for tests: the model NIC; or tc of this machine's kernel, on veth pairs.
 *
 * For tc, somebody has made (test/lab/offload_test.py) interfaces p0 … p31 in the namespace of the test, whose far ends
 * are q0 … in the namespace "wire"; an underlay with the address VTEP_1 of test_pair.h, called "under" and "underq"; and the
 * VXLAN device "vx0". Ports of the switch under test have the interface of their index.
 */
#pragma once
#include "offload/provider.h"
#include "switch/test_frame.h"

struct executor;

enum executor_verdict {
	EXECUTOR_UP, /* to the switch */
	EXECUTOR_SENT,
};

#define EXECUTOR_NO_UNDERLAY UINT32_MAX

/* wire: namespace; NULL: the model NIC. underlay: number of the port that tunnels go by. */
struct executor *executor_new(const char *wire, uint32_t underlay);
void executor_free(struct executor *executor);
CLEANUP_FUNC(struct executor *, executor_free)
struct offload_provider *executor_provider(struct executor *executor); /* Borrowed */
/* The same for who wants one of its own: its ports are there already, and when it is closed its flows have gone. */
struct offload_provider *executor_lend(struct executor *executor);

/* Puts a flow in, and returns NULL when it is installed, else the reason. Takes all out. */
char *executor_put(struct executor *executor, const struct offload_flow *flow);
void executor_flush(struct executor *executor);
/* The port becomes another interface; returns how many flows that has evicted. */
unsigned executor_remake(struct executor *executor, uint32_t port);
/* A frame arrives; what leaves. */
enum executor_verdict executor_run(struct executor *executor, uint32_t port, const struct test_frame *frame,
	uint32_t *ret_port, struct test_frame *ret_frame);
