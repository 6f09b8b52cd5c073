/* SSH public keys over the wire: kept by a name, or made with a private one that is told once. */
#include "api/test_cloud.h"
#include "base/ssh_key.h"

#include <string.h>

#define GROUP "S/resourceGroups/myResourceGroup"
#define KEYS  GROUP "/providers/Microsoft.Compute/sshPublicKeys"
#define KEY   KEYS "/mine"

static const char key[] =
	"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGk8Jb0o5lYXwYn9sY1x1Z4n0X2cN0j2J4Jt2b1hQ2aT ada";

static void log_in_to_group(struct test_cloud *cloud)
{
	log_in_as_tester(cloud);
	put_recorded(cloud, "group");
}

static struct answer put_key(struct test_cloud *cloud, const char *path, const char *text)
{
	g_autofree char *body =
		text ? g_strdup_printf(
			       "{\"location\": \"centralus\", \"properties\": {\"publicKey\": \"%s\"}}", text)
		     : g_strdup("{\"location\": \"centralus\"}");

	return ask(cloud, "PUT", path, body, NULL);
}

static const char *key_in(const struct answer *answer)
{
	return json_string_value(json_object_get(json_object_get(answer->json, "properties"), "publicKey"));
}

static void assert_key(struct test_cloud *cloud, const char *expected)
{
	_cleanup_(answer_clear) struct answer answer = ask(cloud, "GET", KEY, NULL, NULL);

	g_assert_cmpint(answer.status, ==, 200);
	g_assert_cmpstr(key_in(&answer), ==, expected);
}

static size_t count(struct test_cloud *cloud, const char *path)
{
	_cleanup_(answer_clear) struct answer answer = ask(cloud, "GET", path, NULL, NULL);

	g_assert_cmpint(answer.status, ==, 200);
	return json_array_size(json_object_get(answer.json, "value"));
}

static void scenario_life(struct test_cloud *cloud)
{
	g_autofree char *line = g_strconcat(key, "\\n", NULL);

	log_in_to_group(cloud);
	_cleanup_(answer_clear) struct answer put = put_key(cloud, KEY, line);
	g_assert_cmpint(put.status, ==, 201);
	g_assert_cmpstr(answer_text(&put, "type"), ==, "Microsoft.Compute/sshPublicKeys");
	assert_key(cloud, key);
	g_assert_cmpuint(count(cloud, KEYS), ==, 1);
	g_assert_cmpuint(count(cloud, "S/providers/Microsoft.Compute/sshPublicKeys"), ==, 1);
	_cleanup_(answer_clear) struct answer tagged =
		ask(cloud, "PATCH", KEY, "{\"tags\": {\"a\": \"1\"}}", NULL);
	g_assert_cmpint(tagged.status, ==, 200);
	assert_key(cloud, key);
	test_cloud_restart(cloud);
	assert_key(cloud, key);
	_cleanup_(answer_clear) struct answer gone = ask(cloud, "DELETE", KEY, NULL, NULL);
	g_assert_cmpint(gone.status, ==, 200);
	_cleanup_(answer_clear) struct answer again = ask(cloud, "DELETE", KEY, NULL, NULL);
	g_assert_cmpint(again.status, ==, 204);
	g_assert_cmpuint(count(cloud, KEYS), ==, 0);
	_cleanup_(answer_clear) struct answer other = put_key(cloud, KEY, key);
	g_assert_cmpint(other.status, ==, 201);
	_cleanup_(answer_clear) struct answer group = ask(cloud, "DELETE", GROUP, NULL, NULL);
	g_autofree char *end = finish(cloud, &group, NULL);
	g_assert_cmpstr(end, ==, "Succeeded");
}

static void assert_refused(struct answer answer, unsigned status, const char *words)
{
	_cleanup_(answer_clear) struct answer own = answer;
	const char *message =
		json_string_value(json_object_get(json_object_get(own.json, "error"), "message"));

	g_assert_cmpint(own.status, ==, status);
	if (!message || !strstr(message, words))
		g_error("'%s' is not in: %s", words, message);
}

static void scenario_refused(struct test_cloud *cloud)
{
	put_base(cloud);
	assert_refused(
		put_key(cloud, KEY, "ssh-rsa AAAA"), 400, "SSH public key mine: what follows 'ssh-rsa'");
	assert_refused(put_key(cloud, KEY, "secret"), 400, "a public key is 'ssh-rsa AAAA...'");
	assert_refused(ask(cloud, "POST", KEY "/generateKeyPair", NULL, NULL), 404, "mine");
	_cleanup_(answer_clear) struct answer put = put_key(cloud, KEY, key);
	g_assert_cmpint(put.status, ==, 201);
	assert_refused(ask(cloud, "POST", KEY "/generateKeyPair", NULL, NULL), 409, "has a key already");
	assert_refused(ask(cloud, "POST",
			       GROUP "/providers/Microsoft.Network/virtualNetworks/myVnet/generateKeyPair",
			       NULL, NULL),
		400, "has no action generateKeyPair");
	_cleanup_(answer_clear) struct answer empty = put_key(cloud, KEYS "/other", NULL);
	g_assert_cmpint(empty.status, ==, 201);
	assert_refused(
		ask(cloud, "POST", KEYS "/other/generateKeyPair", "{\"encryptionType\": \"DSA\"}", NULL), 400,
		"encryptionType");
}

/* A pair is made for a resource that has no key yet; its private key is in this answer and nowhere else. */
static void make_pair(struct test_cloud *cloud, const char *body, const char *private, const char *public)
{
	_cleanup_(answer_clear) struct answer put = put_key(cloud, KEY, NULL);
	g_assert_cmpint(put.status, ==, 201);
	g_assert_null(key_in(&put));
	_cleanup_(answer_clear) struct answer made = ask(cloud, "POST", KEY "/generateKeyPair", body, NULL);
	g_assert_cmpint(made.status, ==, 200);
	g_assert_true(g_str_has_prefix(answer_text(&made, "privateKey"), private));
	g_assert_true(g_str_has_prefix(answer_text(&made, "publicKey"), public));
	g_assert_true(ssh_key_check(answer_text(&made, "publicKey"), NULL));
	g_assert_true(g_str_has_suffix(answer_text(&made, "id"), "/sshPublicKeys/mine"));
	assert_key(cloud, answer_text(&made, "publicKey"));
	assert_refused(ask(cloud, "POST", KEY "/generateKeyPair", body, NULL), 409, "a pair is made once");
	_cleanup_(answer_clear) struct answer gone = ask(cloud, "DELETE", KEY, NULL, NULL);
	g_assert_cmpint(gone.status, ==, 200);
}

static void scenario_pair(struct test_cloud *cloud)
{
	log_in_to_group(cloud);
	make_pair(cloud, NULL, "-----BEGIN RSA PRIVATE KEY-----\n", "ssh-rsa ");
	make_pair(cloud, "{\"encryptionType\": \"Ed25519\"}", "-----BEGIN OPENSSH PRIVATE KEY-----\n",
		"ssh-ed25519 ");
}

/* ---- several at once ---- */

#define SEVERAL 6
#define ROUNDS  8 /* until one comes while others are being made */

/* Asks for all of these pairs at once. Who gets none is told one of the two: *ret_first counts those that were told the
 * first. How many were made. */
static size_t make_at_once(struct test_cloud *cloud, const char *const paths[SEVERAL], unsigned status,
	const char *first, const char *second, size_t *ret_first)
{
	struct answer answers[SEVERAL];
	size_t made = 0;

	*ret_first = 0;
	ask_at_once(cloud, "POST", paths, SEVERAL, answers);
	for (size_t i = 0; i < SEVERAL; i++) {
		_cleanup_(answer_clear) struct answer own = answers[i];
		const char *message =
			json_string_value(json_object_get(json_object_get(own.json, "error"), "message"));
		made += own.status == 200;
		if (own.status == 200)
			continue;
		g_assert_cmpint(own.status, ==, status);
		*ret_first += strstr(message, first) != NULL;
		if (!strstr(message, first) && !strstr(message, second))
			g_error("neither '%s' nor '%s' is in: %s", first, second, message);
	}
	return made;
}

/* Only one of those who ask for the same is given a private key. */
static void scenario_twice(struct test_cloud *cloud)
{
	const char *paths[SEVERAL];
	size_t busy = 0;

	log_in_to_group(cloud);
	for (size_t i = 0; i < SEVERAL; i++)
		paths[i] = KEY "/generateKeyPair";
	for (unsigned round = 0; !busy && round < ROUNDS; round++) {
		_cleanup_(answer_clear) struct answer put = put_key(cloud, KEY, NULL);
		g_assert_cmpuint(
			make_at_once(cloud, paths, 409, "A pair for SSH public key mine is being made",
				"a pair is made once", &busy),
			==, 1);
		_cleanup_(answer_clear) struct answer gone = ask(cloud, "DELETE", KEY, NULL, NULL);
		g_assert_cmpint(gone.status, ==, 200);
	}
	g_assert_cmpuint(busy, >, 0);
}

/* Four are made at one time; whoever is told so gets one later. */
static void scenario_many(struct test_cloud *cloud)
{
	static const char words[] = "4 key pairs are being made";
	static const char *const paths[SEVERAL] = {KEYS "/k0/generateKeyPair", KEYS "/k1/generateKeyPair",
		KEYS "/k2/generateKeyPair", KEYS "/k3/generateKeyPair", KEYS "/k4/generateKeyPair",
		KEYS "/k5/generateKeyPair"};
	size_t refused = 0, later = 0;

	log_in_to_group(cloud);
	for (unsigned round = 0; !refused && round < ROUNDS; round++) {
		for (size_t i = 0; i < SEVERAL; i++) {
			g_autofree char *path = g_path_get_dirname(paths[i]);
			_cleanup_(answer_clear) struct answer gone = ask(cloud, "DELETE", path, NULL, NULL),
							      put = put_key(cloud, path, NULL);
			g_assert_cmpint(put.status, ==, 201);
		}
		size_t made = make_at_once(cloud, paths, 503, words, words, &refused);
		g_assert_cmpuint(made, >=, 4);
		g_assert_cmpuint(made + refused, ==, SEVERAL);
	}
	g_assert_cmpuint(refused, >, 0);
	for (size_t i = 0; i < SEVERAL; i++) {
		_cleanup_(answer_clear) struct answer again = ask(cloud, "POST", paths[i], NULL, NULL);
		later += again.status == 200;
	}
	g_assert_cmpuint(later, ==, refused);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	TEST_CLOUD_ADD("/key-pairs/a public key is kept, shown, listed, tagged and deleted", scenario_life);
	TEST_CLOUD_ADD("/key-pairs/what is no key is refused, and a second pair", scenario_refused);
	TEST_CLOUD_ADD("/key-pairs/a pair is made, its private key told once", scenario_pair);
	TEST_CLOUD_ADD("/key-pairs/of several who ask for the same pair one gets it", scenario_twice);
	TEST_CLOUD_ADD("/key-pairs/four are made at one time, and others later", scenario_many);
	return g_test_run();
}
