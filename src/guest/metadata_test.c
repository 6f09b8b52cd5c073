/* Instance metadata, well-formed and hostile. */
#include "guest/metadata.h"

#include <glib.h>
#include <string.h>

#define KEY "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQC7 me@example"

static struct metadata *parse(const char *text)
{
	return metadata_parse(text, strlen(text));
}

static void test_whole(void)
{
	_cleanup_(metadata_free) struct metadata *metadata =
		parse("{\"compute\": {\"vmId\": \"02aab8a4-74ef-476e-8182-f6d2ba4166a6\", \"name\": \"myVm\","
		      " \"osProfile\": {\"computerName\": \"web-1\", \"adminUsername\": \"azureuser\"},"
		      " \"publicKeys\": [{\"keyData\": \"" KEY "\\r\\n\", \"path\": \"x\"},"
		      " {\"keyData\": \"ssh-ed25519 AAAAC3Nz\"}]}, \"network\": {}}");

	g_assert_nonnull(metadata);
	g_assert_cmpstr(metadata->vm_id, ==, "02aab8a4-74ef-476e-8182-f6d2ba4166a6");
	g_assert_cmpstr(metadata->hostname, ==, "web-1");
	g_assert_cmpstr(metadata->user, ==, "azureuser");
	g_assert_cmpint(g_strv_length(metadata->keys), ==, 2);
	g_assert_cmpstr(metadata->keys[0], ==, KEY);
	g_assert_cmpstr(metadata->keys[1], ==, "ssh-ed25519 AAAAC3Nz");
}

static void test_name_stands_in(void)
{
	_cleanup_(metadata_free) struct metadata *metadata = parse("{\"compute\": {\"name\": \"myVm\"}}");

	g_assert_cmpstr(metadata->hostname, ==, "myVm");
	g_assert_null(metadata->vm_id);
	g_assert_null(metadata->user);
	g_assert_cmpint(g_strv_length(metadata->keys), ==, 0);
}

static void test_no_document(void)
{
	static const char *const texts[] = {"", "{", "[]", "{}", "null", "{\"compute\": []}",
		"{\"compute\": \"x\"}", "{\"compute\": {}} trailing", "<html>",
		"{\"compute\": {\"name\": \"a\\u0000b\"}}"};

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
		g_assert_null(parse(texts[i]));
}

static void test_too_big(void)
{
	g_autofree char *text = g_strnfill(METADATA_SIZE_MAX + 1, ' ');

	memcpy(text, "{\"compute\":{}}", strlen("{\"compute\":{}}"));
	g_assert_null(parse(text));
	text[METADATA_SIZE_MAX] = '\0';
	_cleanup_(metadata_free) struct metadata *metadata = parse(text);
	g_assert_nonnull(metadata);
}

/* The document is JSON text: \\n in C is \n in it. */
static struct metadata *parse_profile(const char *member, const char *value)
{
	g_autofree char *text =
		g_strdup_printf("{\"compute\": {\"osProfile\": {\"%s\": %s}}}", member, value);

	return parse(text);
}

static void test_bad_users(void)
{
	static const char *const values[] = {"\"\"", "\"root\"", "\"a b\"", "\"a\\n\"", "\"a\\nb\"", "\"-a\"",
		"\"0a\"", "\"a;reboot\"", "\"../a\"", "\"a:b\"", "\"$(id)\"", "7", "null", "[\"a\"]",
		"\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\""};

	for (size_t i = 0; i < G_N_ELEMENTS(values); i++) {
		_cleanup_(metadata_free) struct metadata *metadata =
			parse_profile("adminUsername", values[i]);

		g_assert_nonnull(metadata);
		g_assert_null(metadata->user);
	}
}

static void test_bad_hostnames(void)
{
	static const char *const values[] = {"\"\"", "\"-a\"", "\"a-\"", "\"a_b\"", "\"a b\"", "\"a\\n\"",
		"\"a'b\"", "\"a/b\"", "{}",
		"\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\""};

	for (size_t i = 0; i < G_N_ELEMENTS(values); i++) {
		_cleanup_(metadata_free) struct metadata *metadata = parse_profile("computerName", values[i]);

		g_assert_nonnull(metadata);
		g_assert_null(metadata->hostname);
	}
}

static void test_bad_keys(void)
{
	static const char *const values[] = {"\"\"", "\"AAAA\"", "\"command=\\\"id\\\" " KEY "\"",
		"\"" KEY "\\n" KEY "\"", "\"ssh-rsa\"", "\"ssh-rsa \"", "\"ssh-rsa AAAA\\tx\"",
		"\"ssh-rsa AAAA'\"", "1", "null"};

	for (size_t i = 0; i < G_N_ELEMENTS(values); i++) {
		g_autofree char *text = g_strdup_printf(
			"{\"compute\": {\"publicKeys\": [{\"keyData\": %s}, 5, {}]}}", values[i]);
		_cleanup_(metadata_free) struct metadata *metadata = parse(text);

		g_assert_nonnull(metadata);
		g_assert_cmpint(g_strv_length(metadata->keys), ==, 0);
	}
}

static void test_shell(void)
{
	_cleanup_(metadata_free) struct metadata *metadata = parse(
		"{\"compute\": {\"vmId\": \"v-1\", \"osProfile\": {\"adminUsername\": \"me\"}, "
		"\"publicKeys\":"
		" [{\"keyData\": \"ssh-rsa AAAA it's $(reboot) `x`\"}, {\"keyData\": \"ssh-rsa BBBB\"}]}}");
	g_autofree char *shell = metadata_shell(metadata);

	g_assert_cmpstr(shell, ==,
		"vm_id='v-1'\nhostname=''\nuser='me'\n"
		"keys='ssh-rsa AAAA it'\\''s $(reboot) `x`\nssh-rsa BBBB'\n");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/metadata/a whole document gives id, name, user and keys", test_whole);
	g_test_add_func("/metadata/the VM's name stands in for a missing computer name", test_name_stands_in);
	g_test_add_func("/metadata/what is no document is refused", test_no_document);
	g_test_add_func("/metadata/a document over the limit is refused", test_too_big);
	g_test_add_func("/metadata/malformed user names count as absent", test_bad_users);
	g_test_add_func("/metadata/malformed host names count as absent", test_bad_hostnames);
	g_test_add_func("/metadata/malformed keys are left out", test_bad_keys);
	g_test_add_func("/metadata/shell assignments are quoted", test_shell);
	return g_test_run();
}
