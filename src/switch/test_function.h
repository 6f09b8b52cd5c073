/* A switch with NICs whose functions are past the host, for tests: see test_vlan.h for the rest of it.
 *
 * NIC a's function is on the wire, where the test is the hardware, too, and is active; its synthetic attachment is "/a".
 */
#pragma once
#include "switch/test_vlan.h"

#define FUNCTION_PACKETS 10 /* of a flow: the first is no other than the last */

/* For g_test_add. */
void function_setup(struct fixture *f, const void *data);

/* NIC i gets a function on the wire beside its synthetic attachment; from the next state on. */
void function_put_on_wire(struct fixture *f, size_t i, const char *socket);
void function_set_active(struct fixture *f, size_t i, const char *active);
/* NIC a lets in that TCP port alone, from anybody; 0: nothing. What it sends is as without rules. */
void function_let_in(struct fixture *f, int port);

/* The last segment of a connection of NIC a's by that port, which the switch has not seen begin, comes out on the wire or is
 * dropped as such. */
void function_expect_taken_up(struct fixture *f, uint16_t sport, bool taken);
/* The state is without NIC a's function, and the switch has it. */
void function_detach(struct fixture *f);

/* Nothing comes out anywhere. */
void function_expect_silence(struct fixture *f);
/* It comes by the wire, in VLAN 100, is dropped for that reason, and nothing comes of it: as often as it comes. */
void function_refuse(struct fixture *f, struct test_frame frame, enum drop reason);

/* The row of the NIC's attachment; Borrowed from *ret_nics. */
const json_t *function_row_of(struct fixture *f, size_t nic, size_t attachment, json_t **ret_nics);
json_int_t function_count(struct fixture *f, size_t nic, size_t attachment, const char *member);
