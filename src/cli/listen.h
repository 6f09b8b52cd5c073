/* Addresses to listen on, "ADDR:PORT" or "[ADDR]:PORT", and how a server there is reached and named. */
#pragma once
#include <glib.h>
#include <stdbool.h>

/* FAULT_INVALID unless the text is an address with a port, FAULT_UNSUPPORTED for an IPv6 address other than [::]
 * and [::1]; `option` is where the text came from, for the message. */
bool listen_check(const char *option, const char *listen, GError **error);

/* Whether a server on the one would get connections to the other: one port, and one address or a wildcard of
 * its IP version. Both have passed listen_check(). */
bool listen_overlaps(const char *one, const char *other);

/* FAULT_IN_USE when something listens there, FAULT_INVALID when the address is not this machine's. Waits a moment for
 * a server that is just ending. `listen` has passed listen_check(). */
bool listen_check_free(const char *option, const char *listen, GError **error);

/* Where a client on this machine connects: the same, but 127.0.0.1 for 0.0.0.0, and localhost for [::] and [::1]
 * (libsoup opens [::] for IPv6 alone). `listen` has passed listen_check(). Owned by the caller. */
char *listen_reach(const char *listen);

/* What the certificate of a server on all these addresses must name, as pki_ensure_leaf() takes it: the address
 * at which each is reached, 127.0.0.1 and localhost, and this machine's host name when one is a wildcard.
 * NULL-terminated; each has passed listen_check(). Owned by the caller. */
char *listen_alt_names(const char *const *listens, const char *host_name);
