/* A switch without devices, for tests: fake ports, a clock that is the test's, one worker that is called by
 * hand.
 *
 * The state has NICs a and b in one subnet (b with the group g, which has no rules), c in another, an uplink
 * and a host port; a has a second attachment, "/a". The clock starts an hour after the switch did.
 */
#pragma once
#include "switch/datapath.h"
#include "switch/port_fake.h"
#include "switch/test_frame6.h"

#define MAC_A       "00:0d:3a:00:00:0a"
#define MAC_B       "00:0d:3a:00:00:0b"
#define MAC_C       "00:0d:3a:00:00:0c"
#define MAC_GATEWAY "12:34:56:78:9a:bc"
#define MAC_OUT     "02:00:5e:00:00:01"
#define MAC_HOST    "02:00:5e:00:00:02"
#define MAC_PEER    "02:00:00:00:00:99"
#define IP_A        "192.168.1.4"
#define IP_B        "192.168.1.5"
#define IP_C        "192.168.2.4"
#define LINK_A      "fe80::20d:3aff:fe00:a" /* what a makes of its MAC */
#define IP6_A       "fd00:0:0:1::a"
#define IP6_B       "fd00:0:0:1::b"
#define IP6_C       "fd00:0:0:2::c"
#define GATEWAY6_1  "fd00:0:0:1::1" /* of a and b */
#define GATEWAY6_2  "fd00:0:0:2::1" /* of c */
#define GATEWAY_LL  "fe80::1034:56ff:fe78:9abc"
#define PUBLIC_A    "203.0.113.10"
#define PUBLIC_B    "203.0.113.11"
#define PEER        "203.0.113.1"
#define SECOND      1000u

struct fixture {
	json_t *state;
	struct datapath *datapath;
	unsigned workers; /* 0: one; set before lab_start */
	const char *
		memory_path; /* of the connections, which outlive the switch; NULL: they do not; set before lab_start */
	struct worker *worker; /* the first */
	GHashTable *ports; /* name → struct port */
	uint64_t now_ms;
};

/* Starts DPDK; runs the tests; returns their status. */
int lab_run(void);
/* Starts DPDK alone, for who runs something else; eal_stop ends it. */
void lab_begin(void);
/* The same, with threads for so many workers, and packets' buffers kept by those operations (rte_mempool; NULL: the
 * usual ones). */
void lab_begin_with(unsigned workers, const char *pool_ops);

/* For g_test_add. */
void lab_setup(struct fixture *f, const void *data);
void lab_setup_large(struct fixture *f, const void *data); /* for 100,000 */
void lab_setup_small(struct fixture *f, const void *data); /* room for 16 connections */
void lab_teardown(struct fixture *f, const void *data);
/* The same with another state, which is taken. */
void lab_start(struct fixture *f, json_t *state, uint32_t connections, uint32_t nic_connections);

/* Gives the subnets and a, b and c IPv6 beside IPv4. */
void lab_setup_ipv6(struct fixture *f);

/* Makes f->state the switch's, whose workers run as threads. */
void lab_publish(struct fixture *f);
/* Waits until an eswitch has followed, as apply's answer does. */
void lab_settle(struct fixture *f);
/* The same where the test turns the first worker itself. */
void lab_apply(struct fixture *f);
json_t *lab_nic(struct fixture *f, size_t i);
json_t *lab_group(struct fixture *f);
/* Group g gets one inbound rule: that TCP port, from anywhere; or none. */
void lab_allow_port(struct fixture *f, int port);
void lab_deny_all(struct fixture *f);

struct port *lab_port(struct fixture *f, const char *name);
/* Where packets are made. */
struct rte_mempool *lab_pool(void);
/* Lets time pass, with all that is done by the clock. */
void lab_pass(struct fixture *f, uint32_t milliseconds);
/* Frames arrive at a port, as one burst. */
void lab_put_burst(struct fixture *f, const char *port, const struct test_frame *frames, unsigned n);
void lab_put(struct fixture *f, const char *port, struct test_frame frame);
/* The same with packets, which are taken. */
void lab_put_packets(struct fixture *f, const char *port, struct rte_mbuf **packets, unsigned n);
/* The next frame out of the port; its checksums are right. False when there is none. */
bool lab_take(struct fixture *f, const char *port, struct test_frame *ret);
/* The same, and it fails when there is none. */
struct test_frame lab_expect(struct fixture *f, const char *port);
void lab_expect_none(struct fixture *f, const char *port);
uint64_t lab_drops(struct fixture *f, enum drop reason);
void lab_assert_path(
	const struct test_frame *frame, const char *smac, const char *dmac, const char *src, const char *dst);
/* The same of IPv6. */
void lab_assert_path6(
	const struct test_frame *frame, const char *smac, const char *dmac, const char *src, const char *dst);
/* The peer outside becomes known to the switch. */
void lab_meet_peer(struct fixture *f);
