/* A netlink socket that sends many requests at once and counts their answers. */
#pragma once
#include "offload/tc_kernel.h"

#include <netlink/msg.h>

#define TC_BATCH 256 /* requests that are sent at once, at most */

struct tc_socket;

/* Takes the kernel. */
struct tc_socket *tc_socket_new(struct tc_kernel *kernel);
void tc_socket_close(struct tc_socket *socket);
CLEANUP_FUNC(struct tc_socket *, tc_socket_close)

/* Where a message is to be written for tc_socket_add. */
struct nl_msg *tc_socket_message(struct tc_socket *socket);
/* Queues what was written there; flags: NLM_F_ECHO, or 0. `cookie` comes with its answers. */
void tc_socket_add(struct tc_socket *socket, int flags, uint64_t cookie);
/* How many wait to be sent. */
unsigned tc_socket_waiting(const struct tc_socket *socket);

/* Who hears answers. In this order for each request: what it tells (an echo; each part of a dump), then its end.
 * status: 0 or -errno; text: the kernel's words, Borrowed, or NULL. `told` may be NULL. */
struct tc_hearer {
	void (*told)(void *data, uint64_t cookie, struct nlmsghdr *header);
	void (*done)(void *data, uint64_t cookie, int status, const char *text);
};

/* Sends TC_BATCH of what waits, at most, and hears all answers. Returns 0, or -errno when the socket is of no use any more:
 * then the rest is not answered. */
int tc_socket_run_batch(struct tc_socket *socket, const struct tc_hearer *hearer, void *data);
/* The same until nothing waits. */
int tc_socket_run(struct tc_socket *socket, const struct tc_hearer *hearer, void *data);
/* Sends the message alone, which is a dump, and hears its parts and end. Nothing may be waiting. */
int tc_socket_dump(struct tc_socket *socket, uint64_t cookie, const struct tc_hearer *hearer, void *data);
/* The status of one message, and the kernel's words (*ret_text Owned by the caller, or NULL; NULL: not wanted). Nothing may
 * be waiting. */
int tc_socket_do(struct tc_socket *socket, char **ret_text);
