/* What the generator's files share. */
#pragma once
#include "policy/policy_gen.h"

#include <glib.h>

#define GEN_APPLICATION_GROUPS 8 /* numbers 1..8; the last has no member anywhere */

/* A place in the sequence that the seed starts. */
struct gen_random {
	uint64_t state;
};

struct policy_gen {
	struct policy_gen_config config;
	struct gen_random random;
	struct policy_gen_world world;
	GPtrArray *blocks; /* Owned: everything that the world points to */
	GArray *addresses; /* Owned, of struct ip_addr: those that rules and packets like */
};

uint64_t gen_next(struct gen_random *random);
/* 0..n-1; 0 for n = 0. */
unsigned gen_below(struct gen_random *random, unsigned n);
/* True once in n times. */
bool gen_once_in(struct gen_random *random, unsigned n);

/* Memory that lives as long as the generator, zeroed. */
void *gen_alloc(struct policy_gen *gen, size_t n, size_t size);
char *gen_text(struct policy_gen *gen, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* The neighbour, around the ends of the address space too. */
struct ip_addr gen_before(struct ip_addr addr);
struct ip_addr gen_after(struct ip_addr addr);
struct ip_addr gen_last(struct ip_prefix prefix);
struct ip_prefix gen_prefix_of(struct ip_addr addr, unsigned length);
unsigned gen_bits(uint8_t family);
/* One that rules like, or any; of the family, or of either (IP_NONE). */
struct ip_addr gen_address(struct policy_gen *gen, uint8_t family);
uint16_t gen_port(struct gen_random *random);

/* New rules for the group. */
void gen_rules(struct policy_gen *gen, struct policy_group *group);
/* One rule of the group is added, removed or becomes another. */
void gen_change_rule(struct policy_gen *gen, struct policy_group *group);
/* New members of the network's application groups. */
void gen_members(struct policy_gen *gen, struct policy_gen_network *network);
