/* What a guest says that it is (sluice-guest): a tenant's word, shown and held against nobody but the guest. */
#pragma once
#include "model/shape.h"

#define GUEST_WORD_MAX 128 /* bytes of each word below */

/* Absent as a whole when there is no kernel. */
struct guest_os {
	char *kernel; /* as `uname -r` */
	char *id, *version; /* ID and VERSION_ID, os-release(5); "ubuntu", "16.04" */
	char *name; /* PRETTY_NAME */
	char *agent; /* version of sluice-guest */
};

extern const struct shape guest_os_shape;

/* Into a struct that has been in use, or is all zero. */
void guest_os_take(struct guest_os *os, const struct guest_os *from);
/* A kernel is there, and each word is short and on one line. */
bool guest_os_is_sound(const struct guest_os *os);
bool guest_word_is_sound(const char *word); /* NULL is */
/* What is to be said of an accelerated NIC of the guest: `reason` (NULL: nothing), and that the guest's kernel is too old
 * for VFs if that is known. NULL: nothing. Owned by the caller. */
char *guest_os_explain(const struct guest_os *os, const char *reason);
