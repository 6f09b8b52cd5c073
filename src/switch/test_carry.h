/* Connections of NIC a that go from switch one to switch two of a pair, for tests: see test_talk.h for the switches. */
#pragma once
#include "switch/carry.h"
#include "switch/test_talk.h"

#define CARRY_MANY 500000u

/* The NIC, which must be at that switch. */
const struct nic *carry_nic_a(const struct fixture *f);
/* The contents of the file that switch one exports: so many connections, and so many that it has to leave. */
GBytes *carry_file(struct pair *p, unsigned wanted, unsigned wanted_left);
/* Switch two imports it. */
struct carry_taken carry_take(struct pair *p, GBytes *file);
/* For whatever reason. */
unsigned carry_refused(const struct carry_taken *taken);
void carry_assert_taken(struct carry_taken taken, unsigned imported, unsigned known, unsigned n_refused);

/* One rule for everything that goes that way. */
json_t *carry_rules(const char *direction, const char *action);
void carry_set_rules(struct fixture *f, const char *direction, const char *action);
/* Of a struct pair: all groups allow all; everybody knows everybody. */
void carry_setup(struct pair *p, const void *data);
/* a arrives at switch two, where the peer outside finds it. */
void carry_move(struct pair *p);
