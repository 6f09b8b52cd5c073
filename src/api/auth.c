/* Tokens, over libjwt. */
#include "api/auth.h"

#include "base/fault.h"

#include <errno.h>
#include <jwt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#define KEY_SIZE 32 /* RFC 7518, section 3.2: a key of the hash's size or larger */

struct auth {
	unsigned char key[KEY_SIZE];
};

static const char *const uses[] = {
	[AUTH_ACCESS] = "access", [AUTH_REFRESH] = "refresh", [AUTH_ID] = "id", [AUTH_CONSOLE] = "console"};

static void jwt_free_at_exit(jwt_t **at)
{
	if (*at)
		jwt_free(*at);
}

void auth_identity_clear(struct auth_identity *identity)
{
	g_free(identity->principal);
	*identity = (struct auth_identity){};
}

/* ---- the key ---- */

static bool make_key(struct auth *auth, const char *path, GError **error)
{
	g_autoptr(GError) failure = NULL;

	if (getrandom(auth->key, KEY_SIZE, 0) != KEY_SIZE)
		return fault_set(
			error, FAULT_INTERNAL, "no random bytes for %s: %s", path, g_strerror(errno));
	if (g_file_set_contents_full(path, (const char *)auth->key, KEY_SIZE,
		    G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600, &failure))
		return true;
	return fault_set(error, FAULT_INTERNAL, "the signing key cannot be written: %s", failure->message);
}

static bool read_key(struct auth *auth, const char *path, GError **error)
{
	g_autoptr(GError) failure = NULL;
	g_autofree char *bytes = NULL;
	struct stat status;
	gsize length;

	if (!g_file_get_contents(path, &bytes, &length, &failure))
		return fault_set(
			error, FAULT_INTERNAL, "the signing key cannot be read: %s", failure->message);
	if (length != KEY_SIZE)
		return fault_set(error, FAULT_INTERNAL,
			"%s is no signing key of %d bytes; remove it, and everybody has to log in again",
			path, KEY_SIZE);
	if (stat(path, &status) < 0 || (status.st_mode & 077))
		return fault_set(error, FAULT_INTERNAL,
			"others may read the signing key %s; remove it, and everybody has to log in again",
			path);
	memcpy(auth->key, bytes, KEY_SIZE);
	return true;
}

struct auth *auth_open(const char *key_path, GError **error)
{
	_cleanup_(auth_close) struct auth *auth = g_new0(struct auth, 1);
	bool exists = g_file_test(key_path, G_FILE_TEST_EXISTS);

	if (exists ? !read_key(auth, key_path, error) : !make_key(auth, key_path, error))
		return NULL;
	return g_steal_pointer(&auth);
}

void auth_close(struct auth *auth)
{
	explicit_bzero(auth->key, KEY_SIZE);
	g_free(auth);
}

/* ---- tokens ---- */

/* The claims that clients look at are those of Active Directory Federation Services; "use" is ours. */
char *auth_issue(const struct auth *auth, const struct auth_claims *claims)
{
	__attribute__((cleanup(jwt_free_at_exit))) jwt_t *jwt = NULL;
	long now = (long)(g_get_real_time() / G_USEC_PER_SEC);
	char *text, *token;

	/* libjwt fails here only when memory runs out, which ends the program as in all of GLib. */
	if (jwt_new(&jwt) != 0 || jwt_set_alg(jwt, JWT_ALG_HS256, auth->key, KEY_SIZE) != 0)
		g_error("out of memory");
	jwt_add_grant(jwt, "iss", claims->issuer);
	jwt_add_grant(jwt, "aud", claims->audience);
	jwt_add_grant(jwt, "sub", claims->principal);
	jwt_add_grant(jwt, "oid", claims->principal);
	jwt_add_grant(jwt, "tid", claims->tenant);
	jwt_add_grant(jwt, "use", uses[claims->use]);
	jwt_add_grant(jwt, "ver", "1.0");
	jwt_add_grant_int(jwt, "iat", now);
	jwt_add_grant_int(jwt, "nbf", now);
	jwt_add_grant_int(jwt, "exp", now + (long)claims->lifetime_s);
	if (claims->user) {
		jwt_add_grant(jwt, "upn", claims->principal);
		jwt_add_grant(jwt, "unique_name", claims->principal);
		jwt_add_grant(jwt, "preferred_username", claims->principal);
	} else {
		jwt_add_grant(jwt, "appid", claims->principal);
	}
	text = jwt_encode_str(jwt);
	token = g_strdup(text);
	free(text);
	return token;
}

bool auth_check(const struct auth *auth, const char *token, enum auth_use use, struct auth_identity *ret,
	GError **error)
{
	__attribute__((cleanup(jwt_free_at_exit))) jwt_t *jwt = NULL;
	long now = (long)(g_get_real_time() / G_USEC_PER_SEC);

	/* The algorithm is ours to choose, not the token's. */
	if (jwt_decode(&jwt, token, auth->key, KEY_SIZE) != 0 || jwt_get_alg(jwt) != JWT_ALG_HS256)
		return fault_set(error, FAULT_UNAUTHENTICATED,
			"The access token is not one of this cloud; log in again.");
	if (g_strcmp0(jwt_get_grant(jwt, "use"), uses[use]) != 0 || !jwt_get_grant(jwt, "sub"))
		return fault_set(error, FAULT_UNAUTHENTICATED, "The token is not an %s token.", uses[use]);
	if (jwt_get_grant_int(jwt, "exp") <= now)
		return fault_set(error, FAULT_UNAUTHENTICATED, "The access token has expired; log in again.");
	ret->principal = g_strdup(jwt_get_grant(jwt, "sub"));
	ret->user = jwt_get_grant(jwt, "upn") != NULL;
	return true;
}
