/* Notice: a guest is told before something is taken from it.
 *
 * How it works. Whoever is about to take something keeps, on disk, when that is to happen at the latest, and gives notice in each
 * evaluation until it is done: a scheduled event (agent/events.h) of the VM. It is due when that time has come, or when the guest
 * has acknowledged the event, which has started then. When nothing is left to take, the event is done.
 */
#pragma once
#include "base/cleanup.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define NOTICE_MAX_S 3600

struct agent;

/* Texts Borrowed. */
struct notice {
	const char *vm; /* uid */
	const char *key; /* of the event; once a VM */
	const char *description; /* to the guest: what is about to happen */
	int64_t due_s; /* Unix time; 0: at once */
};

/* Unix time. */
int64_t notice_now_s(void);
/* Whether it may be done. The description is not needed. */
bool notice_is_due(const struct agent *agent, const struct notice *notice);
/* Tells the VM's guest, once, and again when it becomes due earlier; the agent evaluates again when it is due. The goal must have the VM. */
void notice_give(struct agent *agent, const struct notice *notice);
/* It is over, or called off. */
void notice_end(struct agent *agent, const char *vm, const char *key);
