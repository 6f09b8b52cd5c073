/* A switch with NICs on VLANs, and its wire, for tests.
 *
 * The lab's network n is VLAN 100 of physnet1. Beside it are the network m, VLAN 200, with the NIC v and an
 * external gateway, and the network o, without a tag, with the NIC w. The test is the wire, "phys"; frames are
 * tagged by its own code.
 */
#pragma once
#include "switch/test_lab.h"

#define MAC_V      "00:0d:3a:00:00:16"
#define MAC_W      "00:0d:3a:00:00:17"
#define MAC_ROUTER "02:00:00:00:00:fe"
#define IP_V       IP_A /* VLANs are apart: so may their addresses be the same */
#define IP_W       "10.0.0.4"
#define IP_PEER    "192.168.1.99"
#define IP_REMOTE  "192.168.2.99" /* in c's subnet */
#define IP_ROUTER  "192.168.1.1"
#define IP_FAR     "198.51.100.7"
#define METADATA   "169.254.169.254"
#define UNTAGGED   0

/* For g_test_add; the second takes the announcements of the NICs off the wire. */
void vlan_setup_announcing(struct fixture *f, const void *data);
void vlan_setup(struct fixture *f, const void *data);

/* Parts of the state: Borrowed, but for the value of a "vlan". */
json_t *vlan_network(struct fixture *f, size_t i);
json_t *vlan_subnet(struct fixture *f, size_t i, size_t j);
json_t *vlan_segment(int id);

/* Takes everything that came out of a port. */
void vlan_drain(struct fixture *f, const char *port);

struct test_frame vlan_with_tag(struct test_frame frame, uint16_t type, uint16_t tci);
struct test_frame vlan_tagged(struct test_frame frame, uint16_t id);
struct test_frame vlan_to_mac(struct test_frame frame, const char *dmac);
/* The frame comes by the wire, in that VLAN. */
void vlan_from_wire(struct fixture *f, uint16_t id, struct test_frame frame);
/* The next frame on the wire, which is in that VLAN, without its tag. */
struct test_frame vlan_on_wire(struct fixture *f, uint16_t id);
/* It comes by the wire, is dropped for that reason, and nothing comes of it. */
void vlan_refused(struct fixture *f, struct test_frame frame, enum drop reason);

void vlan_assert_same(struct test_frame a, struct test_frame b);
void vlan_assert_arp(
	struct test_frame frame, uint16_t operation, const char *smac, const char *spa, const char *tpa);
