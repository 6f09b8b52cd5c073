/* Who is at the other end of a TLS connection. */
#pragma once
#include <gio/gio.h>
#include <stdbool.h>
#include <stdint.h>

/* One of a host: letters, digits, '-' and '.', 64 at most (ub-common-name of RFC 5280). length: its bytes. */
bool peer_is_host_name(const char *name, size_t length);

/* Common name of the certificate's subject; NULL without a certificate, or when it has not exactly one, or
 * one that is no host name (letters, digits, '-', '.', 64 characters at most). Owned. The certificate must
 * have been checked by the TLS layer. */
char *peer_name(GTlsCertificate *certificate);

/* When pki.h made the certificate: seconds since 1970; 0 when it does not say. */
int64_t peer_made_s(GTlsCertificate *certificate);

/* Whether the certificate was made for a client (extended key usage of RFC 5280). GLib checks who signed it,
 * but not for what: without this the controller's own certificate, of the same CA, would pass for a host's.
 */
bool peer_is_client(GTlsCertificate *certificate);
