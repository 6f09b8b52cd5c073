/* What a subscription has, counted as it changes, and how much of it it may have.
 *
 * How it works. A change (change.h) knows what each object that it hands out counted for, and what those that it stages
 * will count for. When it commits, the difference is added to the counts in the subscription, in the same transaction,
 * and refused where it leads beyond a limit. So the hooks of kinds have nothing to do with it, whoever makes or removes
 * an object, and a crash cannot set counts and objects apart. What an object counts for is said by the object alone: a
 * machine carries its processors, so a catalog that changes takes nothing away that was not given.
 *
 * A change that needs less of something than before is never refused, also where a limit is below what is used.
 */
#pragma once
#include "control/control.h"

struct quota_counts {
	int64_t of[QUOTA_COUNT];
};

/* What the object counts for. */
struct quota_counts quota_of(const void *object);
/* Adds the difference between what an object counted for and what it does. */
void quota_add_difference(
	struct quota_counts *sum, const struct quota_counts *was, const struct quota_counts *is);
bool quota_is_zero(const struct quota_counts *counts);
/* Takes the difference into the subscription, which the caller stores. FAULT_QUOTA names limit, use and request. */
bool quota_take(struct subscription *subscription, const struct quota_counts *difference, GError **error);
/* Counts what is there: an older version may have counted less. */
bool quota_open(struct control *control, GError **error);
