/* A small certificate authority: one CA of our own and the leaf certificates that it signs.
 *
 * Keys are EC P-256. Files are PEM; a key file is mode 0600 and is written before its certificate, both by
 * rename, so a crash leaves either nothing or a whole pair. Profile: RFC 5280; subject and authority key
 * identifiers are set because Python 3.13 (`az` on Debian 13) verifies strictly.
 */
#pragma once
#include <glib.h>
#include <stdbool.h>

/* Makes DIR/ca.pem and DIR/ca.key unless they are there. `name` is the CA's common name. */
bool pki_ensure_ca(const char *dir, const char *name, GError **error);

/* Makes DIR/FILE.pem and DIR/FILE.key, signed by the CA of DIR, unless they are there, still valid for 30
 * days and made for the same names. `alt_names`: comma-separated "DNS:localhost,IP:127.0.0.1" (openssl's
 * x509v3_config), for servers; NULL for a client, which is known by its common name alone. */
bool pki_ensure_leaf(
	const char *dir, const char *file, const char *common_name, const char *alt_names, GError **error);
