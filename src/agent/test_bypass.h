/* For tests: the world of functions that pass the host, with a machine whose NIC has one. */
#pragma once
#include "agent/test_world.h"

/* Lines of the world's log: what the switch delivers to, and what is done to the first function. */
#define SYNTHETIC "switch " WORLD_NIC " synthetic"
#define BOTH      "switch " WORLD_NIC " both +physical"
#define FUNCTION  "switch " WORLD_NIC " function +physical"
#define BESIDE    "switch " WORLD_NIC " synthetic +physical"
#define PLUG      "plug " WORLD_NIC " " WORLD_VF " vlan 100"
#define UNPLUG    "unplug " WORLD_NIC
#define CLAIM     "claim " WORLD_VF
#define ARM       "arm " WORLD_VF
#define CUT       "cut " WORLD_VF
#define LEFT      "left " WORLD_VF
#define RELEASE   "release " WORLD_VF

#define PLACE   "physnet1 100 00:0d:3a:00:00:04"
#define GATEWAY "physnet1 100 12:34:56:78:9a:bc\n"

#define SIDE_ANY "{\"addresses\": [\"*\"], \"ports\": [\"*\"]}"
#define RULE(access, protocol)                                                                               \
	"{\"name\": \"r\", \"priority\": 100, \"access\": \"" access "\", \"protocol\": \"" protocol         \
	"\", \"source\": " SIDE_ANY ", \"destination\": " SIDE_ANY "}"

/* A fixture of GTest. */
void bypass_setup(struct world *w, gconstpointer data);
void bypass_teardown(struct world *w, gconstpointer data);

/* With the goal of version 1; waits until the NIC is on its function. */
void bypass_bring_up(struct world *w);
/* world_goal_physical() with a second machine; whose NICs are to be accelerated. */
struct goal *bypass_two_nics(int64_t version, bool first, bool second);

/* What the agent's report says. Borrowed from the report; NULL when the NIC is not in it. */
const struct report_nic *bypass_entry_of(const struct report *report, const char *nic);
enum nic_path bypass_path_of(struct world *w, const char *nic);
enum enforcement bypass_enforcement(struct world *w);
bool bypass_reason_has(struct world *w, const char *nic, const char *text);
int64_t bypass_applied(struct world *w);
/* Why the NIC's policy is not in force; NULL: it is. Owned by the caller. */
char *bypass_exposure(struct world *w, const char *nic);

bool bypass_is_on(struct world *w);
/* On the synthetic path, with nothing claimed. */
bool bypass_is_back(struct world *w);
bool bypass_nothing_is_claimed(struct world *w);

/* What the host hears: lines of GATEWAY and PLACE. */
bool bypass_heard_is(struct world *w, const char *wanted);
bool bypass_hears_both(struct world *w);

/* The provider's files. Owned by the caller; NULL when there is none. */
char *bypass_read_file(struct world *w, const char *name);
void bypass_touch(struct world *w, const char *name);
void bypass_untouch(struct world *w, const char *name);
