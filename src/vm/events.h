/* How a manager tells its owner what happened: from any thread, in the owner's main context.
 *
 * The object outlives the manager by as long as a callback of the library below may still run.
 */
#pragma once
#include "vm/vm.h"

/* fn may be NULL: nothing is told. The owner's context is the calling thread's thread-default one. */
struct vm_events *vm_events_new(vm_event_fn fn, void *data);
struct vm_events *vm_events_ref(struct vm_events *events);
void vm_events_unref(struct vm_events *events);

/* Tells later, in the owner's context. Thread-safe; one thread's events stay in order. */
void vm_events_tell(struct vm_events *events, const char *uid, enum vm_state state, const char *gone_nic);

/* Called in the owner's context, so that no fn is running: what was not told yet is dropped. */
void vm_events_stop(struct vm_events *events);
