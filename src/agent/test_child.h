/* For tests: an agent in a process of its own, which may be killed.
 *
 * The child is the test's program, called with --agent. It works against the switch and the VM manager of a world in
 * the parent, which outlive it as real ones do. Goals and reports go by files in the world's folder.
 */
#pragma once
#include "agent/test_world.h"

struct child {
	GPid pid; /* 0: none */
	int status;
	bool over;
};

/* In the child, from the start. Its exit status. */
int child_main(void);
/* functions: "bypass" or "switchdev", as in struct world; NULL: neither. */
struct nic_provider *child_open_provider(const char *folder, const char *functions);

/* failpoint: NULL for none. */
void child_start(struct world *world, struct child *child, const char *failpoint);
void child_stop(struct child *child);
/* Takes the goal. */
void child_want(struct world *world, struct goal *goal);
/* Its last one; NULL: it has not reported yet. Owned by the caller. */
struct report *child_report(struct world *world);
