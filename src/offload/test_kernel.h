/* For tests: a kernel with tc flower and a NIC that takes its filters, both made up. It keeps interfaces, their ingress, filters
 * and police actions by the messages that it gets, answers as net/sched does, and refuses on command. No packet moves.
 */
#pragma once
#include "offload/tc_kernel.h"

#include <stdbool.h>

#define TEST_NO "the NIC's driver says no" /* its words when it was told to refuse */

enum test_refusal {
	TEST_REFUSE_NOTHING,
	TEST_REFUSE_GUARDS, /* filters that pass packets to the host */
	TEST_REFUSE_FLOWS, /* filters that redirect them */
	TEST_REFUSE_POLICE,
	TEST_IGNORE_GUARDS, /* the kernel takes them, the NIC does not */
};

struct test_filter {
	int ifindex;
	uint16_t priority, protocol;
	uint32_t handle, flags;
	int redirect; /* interface; 0: none */
	bool tunnelled; /* it matches the UDP port of a tunnel */
	uint64_t packets, bytes;
	uint8_t cookie[16]; /* of its last action */
	unsigned cookie_size;
};

struct test_kernel {
	GHashTable *devices; /* Owned: ifindex → whether there is an ingress qdisc */
	GArray *filters; /* Owned, of struct test_filter */
	GHashTable *police; /* Owned: indices of actions */
	enum test_refusal refusal;
	int tunnel; /* interface of a VXLAN device, of which the NIC takes no filters but such; 0: none */
};

struct test_kernel *test_kernel_new(void);
void test_kernel_free(struct test_kernel *kernel);
CLEANUP_FUNC(struct test_kernel *, test_kernel_free)

/* A socket to it. What it has stays when that is closed. */
struct tc_kernel *test_kernel_connect(struct test_kernel *kernel);

void test_kernel_add_device(struct test_kernel *kernel, int ifindex, bool ingress);
/* With its filters. What redirects to it stays. */
void test_kernel_remove_device(struct test_kernel *kernel, int ifindex);
bool test_kernel_has_ingress(const struct test_kernel *kernel, int ifindex);
/* Takes out the device's filters of these priorities, as somebody may. */
void test_kernel_clear(struct test_kernel *kernel, int ifindex, unsigned first, unsigned last);
/* Those that lie on the device and redirect to that one; 0: those that redirect nowhere. */
unsigned test_kernel_count(const struct test_kernel *kernel, int ifindex, int redirect);
