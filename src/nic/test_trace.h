/* For tests: exchanges by generic netlink, recorded from a real kernel and played again.
 *
 * A trace is a file of text; what follows # is a comment. An exchange is its request, its answers and how it ended:
 *
 *     ? 0 1d010000…      a request that changes nothing: the dump flag, then from the generic netlink header on, in hexadecimal
 *     ! 0 1e010000…      one that changes something
 *     < 1d010000…        an answer; any number of them
 *     = -95 sentence     the kernel's error and sentence, or 0
 *
 * Numbers are as that machine had them, little-endian. Played, a trace is a line of states, each begun by a change: a request
 * that changes nothing is answered from the state that it is in, any number of times; a change must be the next one.
 */
#pragma once
#include "nic/genl.h"

/* Asks `inner` (taken), and writes all of it to the file, made anew. Aborts when that fails. */
struct genl *trace_record(struct genl *inner, const char *path);

/* A request that the trace does not answer ends the test. Aborts when there is no such file, or it is none. */
struct genl *trace_replay(const char *path);
