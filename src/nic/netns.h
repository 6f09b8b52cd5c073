/* Network namespaces: made, removed, and entered for the length of a function.
 *
 * A namespace is named as ip-netns(8) names it, a file below /run/netns; a name with a '/' is a path of its
 * own (a private folder). NULL is the namespace of the process itself. The calling thread never changes its
 * namespace: what must run inside runs on a short-lived thread that enters it and ends there.
 */
#pragma once
#include <glib.h>
#include <stdbool.h>

/* Path of the namespace's file. Owned by the caller. */
char *netns_path(const char *name);

bool netns_exists(const char *name);

/* Makes the namespace with its loopback up; one that is there is left as it is. A file that a crash left
 * behind without its mount is taken over. */
bool netns_create(const char *name, GError **error);

/* Removes the name; the namespace ends with the last process in it. One that is not there is fine. */
bool netns_remove(const char *name, GError **error);

/* A file descriptor that keeps the namespace, also when its name goes; -1 with FAULT_NOT_FOUND when there is
 * no such namespace. Owned by the caller. */
int netns_open(const char *name, GError **error);

/* Runs fn in the namespace on a thread of its own and waits for it. Sockets and files of /dev/net/tun that it
 * opens stay in the namespace wherever they are used afterwards. */
typedef bool (*netns_fn)(void *data, GError **error);
bool netns_run(const char *name, netns_fn fn, void *data, GError **error);
bool netns_run_in(int fd, netns_fn fn, void *data, GError **error);
