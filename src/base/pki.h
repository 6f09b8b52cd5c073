/* A small certificate authority: one CA of our own and the leaf certificates that it signs.
 *
 * Keys are EC P-256. Files are PEM; a key file is mode 0600. Each file is replaced by rename, the key first:
 * a crash between the two leaves a key without its certificate. A leaf in that state does not load and is
 * made anew. A CA in that state is a fault, as is any CA that cannot be read: a new one would lock out
 * everybody who trusts the old, and that is not decided here.
 *
 * Profile: RFC 5280; subject and authority key identifiers are set because Python 3.13 (`az` on Debian 13)
 * verifies strictly.
 */
#pragma once
#include <glib.h>
#include <stdbool.h>

/* Certificates are good from so long before they are made: clocks differ. */
#define PKI_EARLIER_S 3600

/* Makes DIR/ca.pem and DIR/ca.key when neither is there. `name` is the CA's common name. FAULT_INTERNAL names
 * the file when they are there but not a pair. */
bool pki_ensure_ca(const char *dir, const char *name, GError **error);

/* Makes DIR/FILE.pem and DIR/FILE.key, signed by the CA of DIR, unless they are there, signed by that CA, for
 * the same names and the same use, and still valid for 30 days. `alt_names`: comma-separated
 * "DNS:localhost,IP:127.0.0.1" (openssl's x509v3_config), for a server; NULL for a client, which is known by
 * its common name alone. A server's certificate cannot be used as a client's, nor the reverse. */
bool pki_ensure_leaf(
	const char *dir, const char *file, const char *common_name, const char *alt_names, GError **error);

/* The same for a client that may have been shut out just now. Times in certificates are of whole seconds (RFC 5280, 4.1.2.5), so
 * one that is made is of a later second than the call: it waits for that, for a second at most. One who refuses what was made
 * up to the second in which he shut a client out refuses all of before, and nothing of after. */
bool pki_ensure_later_leaf(const char *dir, const char *file, const char *common_name, GError **error);
