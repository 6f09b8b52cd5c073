/* Two switches and the wire between them, for tests.
 *
 * Switch one has the lab's NICs a, b and c. Switch two has d beside a and b, e beside c. The test is the wire;
 * the outer headers are written and read by its own code.
 */
#pragma once
#include "switch/test_lab.h"

#define MAC_D    "00:0d:3a:00:00:0d"
#define MAC_E    "00:0d:3a:00:00:0e"
#define MAC_W1   "02:00:00:00:01:01"
#define MAC_W2   "02:00:00:00:02:01"
#define IP_D     "192.168.1.6"
#define IP_E     "192.168.2.6"
#define VTEP_1   "172.16.0.1"
#define VTEP_2   "172.16.0.2"
#define VTEP_3   "172.16.0.3"
#define OUTER    50
#define WIRE_MTU 1500

struct pair {
	struct fixture one, two;
};

/* For g_test_add. */
void pair_setup(struct pair *p, const void *data);
void pair_teardown(struct pair *p, const void *data);

/* Parts of states. */
json_t *pair_network(struct fixture *f); /* Borrowed */
json_t *pair_mapping(const char *prefix, const char *vtep, const char *mac);
json_t *pair_nic(const char *name, const char *mac, const char *subnet, const char *ip, json_t *group);

/* The next frame that the switch sent on the wire; false: none. */
bool pair_take(struct fixture *f, struct test_frame *ret);
/* Carries frames both ways until there are none. */
void pair_settle(struct pair *p);
/* Both switches come to know each other's MAC, by packets between a and d. */
void pair_meet(struct pair *p);

/* Puts the frame into an outer one; and its IPv4 checksum right after a change. */
void pair_outer(struct test_frame *frame, const char *smac, const char *dmac, const char *src,
	const char *dst, uint32_t vni);
void pair_fix_outer(struct test_frame *frame);
/* What an honest switch two would send, of d. */
struct test_frame pair_from_two(struct test_frame inner);

/* The frame comes to switch one by the wire: it is dropped for that reason, and nothing comes of it. */
void pair_refused(struct pair *p, struct test_frame frame, enum drop reason);
