/* Tokens. */
#include "api/auth.h"

#include "base/fault.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

struct fixture {
	char *dir, *path;
	struct auth *auth;
};

static void set_up(struct fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;

	f->dir = g_dir_make_tmp("sluice-auth-XXXXXX", &error);
	g_assert_no_error(error);
	f->path = g_build_filename(f->dir, "token.key", NULL);
	f->auth = auth_open(f->path, &error);
	g_assert_no_error(error);
}

static void tear_down(struct fixture *f, const void *data)
{
	auth_close(f->auth);
	g_unlink(f->path);
	g_rmdir(f->dir);
	g_free(f->path);
	g_free(f->dir);
}

static char *issue(const struct auth *auth, enum auth_use use, bool user, int64_t lifetime_s)
{
	const struct auth_claims claims = {
		.use = use,
		.issuer = "https://127.0.0.1/adfs",
		.audience = "https://management.sluice.local/",
		.principal = user ? "ada@local" : "99999999-0000-0000-0000-000000000001",
		.tenant = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
		.user = user,
		.lifetime_s = lifetime_s,
	};

	return auth_issue(auth, &claims);
}

static void assert_refused(const struct auth *auth, const char *token, enum auth_use use, const char *message)
{
	_cleanup_(auth_identity_clear) struct auth_identity identity = {};
	g_autoptr(GError) error = NULL;

	g_assert_false(auth_check(auth, token, use, &identity, &error));
	g_assert_error(error, FAULT, FAULT_UNAUTHENTICATED);
	g_assert_nonnull(strstr(error->message, message));
	g_assert_null(identity.principal);
}

static void test_round_trip(struct fixture *f, const void *data)
{
	for (int user = 0; user < 2; user++) {
		g_autofree char *token = issue(f->auth, AUTH_ACCESS, user, 60);
		_cleanup_(auth_identity_clear) struct auth_identity identity = {};
		g_autoptr(GError) error = NULL;

		g_assert_true(auth_check(f->auth, token, AUTH_ACCESS, &identity, &error));
		g_assert_no_error(error);
		g_assert_cmpstr(
			identity.principal, ==, user ? "ada@local" : "99999999-0000-0000-0000-000000000001");
		g_assert_cmpint(identity.user, ==, user);
	}
}

static void test_use(struct fixture *f, const void *data)
{
	g_autofree char *refresh = issue(f->auth, AUTH_REFRESH, true, 60),
			*id = issue(f->auth, AUTH_ID, true, 60),
			*access = issue(f->auth, AUTH_ACCESS, true, 60);

	assert_refused(f->auth, refresh, AUTH_ACCESS, "not an access token");
	assert_refused(f->auth, id, AUTH_ACCESS, "not an access token");
	assert_refused(f->auth, access, AUTH_REFRESH, "not an refresh token");
}

static void test_expiry(struct fixture *f, const void *data)
{
	g_autofree char *token = issue(f->auth, AUTH_ACCESS, false, 0);

	assert_refused(f->auth, token, AUTH_ACCESS, "expired");
}

static char *encode(const char *json)
{
	char *text = g_base64_encode((const guchar *)json, strlen(json));

	for (char *c = text; *c; c++)
		*c = *c == '+' ? '-' : *c == '/' ? '_' : *c == '=' ? '\0' : *c;
	return text;
}

static void test_forgery(struct fixture *f, const void *data)
{
	g_autofree char *token = issue(f->auth, AUTH_ACCESS, false, 60);
	g_auto(GStrv) parts = g_strsplit(token, ".", 3);
	g_autofree char *none = encode("{\"alg\":\"none\",\"typ\":\"JWT\"}"),
			*payload = encode("{\"sub\":\"root\",\"use\":\"access\",\"exp\":99999999999}"),
			*unsigned_token = g_strdup_printf("%s.%s.", none, payload),
			*no_signature = g_strdup_printf("%s.%s", none, payload),
			*other_payload = g_strdup_printf("%s.%s.%s", parts[0], payload, parts[2]);
	const char *const forged[] = {
		unsigned_token, no_signature, other_payload, "", ".", "..", "opaque", "a.b.c"};

	for (size_t i = 0; i < G_N_ELEMENTS(forged); i++)
		assert_refused(f->auth, forged[i], AUTH_ACCESS, "not one of this cloud");
}

static void test_other_key(struct fixture *f, const void *data)
{
	g_autofree char *token = issue(f->auth, AUTH_ACCESS, false, 60),
			*path = g_build_filename(f->dir, "other.key", NULL);
	g_autoptr(GError) error = NULL;
	_cleanup_(auth_close) struct auth *other = auth_open(path, &error);

	g_assert_no_error(error);
	assert_refused(other, token, AUTH_ACCESS, "not one of this cloud");
	g_unlink(path);
}

static void test_key_file(struct fixture *f, const void *data)
{
	g_autofree char *token = issue(f->auth, AUTH_ACCESS, false, 60);
	_cleanup_(auth_identity_clear) struct auth_identity identity = {};
	g_autoptr(GError) error = NULL;
	struct stat status;

	g_assert_cmpint(stat(f->path, &status), ==, 0);
	g_assert_cmpint(status.st_mode & 0777, ==, 0600);
	auth_close(f->auth);
	f->auth = auth_open(f->path, &error);
	g_assert_no_error(error);
	g_assert_true(auth_check(f->auth, token, AUTH_ACCESS, &identity, &error));
}

static void test_bad_key_file(struct fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;

	g_assert_cmpint(g_chmod(f->path, 0644), ==, 0);
	g_assert_null(auth_open(f->path, &error));
	g_assert_error(error, FAULT, FAULT_INTERNAL);
	g_clear_error(&error);
	g_assert_true(g_file_set_contents_full(f->path, "short", 5, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
	g_assert_null(auth_open(f->path, &error));
	g_assert_error(error, FAULT, FAULT_INTERNAL);
}

#define ADD(name, test) g_test_add("/auth/" name, struct fixture, NULL, set_up, test, tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("an issued token says who asks", test_round_trip);
	ADD("a token is good for its own use only", test_use);
	ADD("an expired token is refused", test_expiry);
	ADD("unsigned, changed and malformed tokens are refused", test_forgery);
	ADD("a token of another key is refused", test_other_key);
	ADD("the key file is private and outlives a restart", test_key_file);
	ADD("a key file that others can read or that is damaged is refused", test_bad_key_file);
	return g_test_run();
}
