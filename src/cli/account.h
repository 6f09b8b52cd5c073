/* The system user that a program runs as: found, let into folders, and become by a child process.
 *
 * A program that needs some of root's rights runs as a user of its own with those capabilities alone: they are
 * ambient, so they outlive the exec, and neither a set-user-id program nor a file's capabilities can add to
 * them (no_new_privs, an empty bounding set).
 */
#pragma once
#include "base/cleanup.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct account {
	char *name; /* Owned */
	uid_t uid;
	gid_t gid;
	uint64_t capabilities; /* that it keeps: bit n is number n of linux/capability.h */
};

/* Looks the user up; it gets no capability. FAULT_NOT_FOUND says how to make it; FAULT_INVALID for root, and for
 * a user whose group is root's. */
bool account_find(const char *name, struct account *ret, GError **error);
void account_clear(struct account *account);
CLEANUP_CLEAR_FUNC(struct account, account_clear)

/* Makes the folder where it is missing, and sets its owner, group and mode. When it was another owner's or
 * group's (an earlier user's, root's before there was one), what that owner put there changes hands with it; what
 * the new owner puts there is never touched: root would follow where its links lead. */
bool account_give(const char *path, uid_t uid, gid_t gid, mode_t mode, GError **error);

/* Whether the user may pass through all folders of the path and into the last; FAULT_DENIED names the first that
 * stops it. For the main thread. */
bool account_check_reach(const struct account *account, const char *path, GError **error);

/* In a forked child of root: becomes the user, with no other group than its own, with its capabilities and no
 * other from the next exec on. System calls only; false with errno. */
bool account_become(const struct account *account);
