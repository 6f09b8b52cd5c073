/* Tokens: signed statements of who asks.
 *
 * They are JSON Web Tokens (RFC 7519), signed with HMAC-SHA256 by a key that only this program reads: nobody
 * but the controller has to verify them, so a shared key does, and rotating it means removing the file. A
 * token says what it is for, so that a refresh token is no access token and the other way round.
 */
#pragma once
#include "base/cleanup.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct auth;

enum auth_use {
	AUTH_ACCESS, /* goes with every request */
	AUTH_REFRESH, /* gets a new access token without the secret */
	AUTH_ID, /* tells the client its own name; proves nothing to us */
	AUTH_CONSOLE, /* reads the console log of one machine; the principal is that machine's uid */
};

struct auth_claims {
	enum auth_use use;
	const char *issuer; /* URL */
	const char *audience;
	const char *principal; /* name: appId of a service principal, or the user's name */
	const char *tenant;
	bool user;
	int64_t lifetime_s;
};

/* What a good token says. */
struct auth_identity {
	char *principal; /* Owned */
	bool user;
};
void auth_identity_clear(struct auth_identity *identity);
CLEANUP_CLEAR_FUNC(struct auth_identity, auth_identity_clear)

/* Reads the signing key from the file; makes it, mode 0600, when there is none. FAULT_INTERNAL when it cannot
 * be read, is damaged, or others may read it. */
struct auth *auth_open(const char *key_path, GError **error);
void auth_close(struct auth *auth);
CLEANUP_FUNC(struct auth *, auth_close)

/* Owned text. */
char *auth_issue(const struct auth *auth, const struct auth_claims *claims);
/* FAULT_UNAUTHENTICATED when the token is malformed, not signed by us, not for this use, or has expired. */
bool auth_check(const struct auth *auth, const char *token, enum auth_use use, struct auth_identity *ret,
	GError **error);
