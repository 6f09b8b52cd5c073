/* Keys of SSH: those that are made are what ssh-keygen reads, and those of users are looked at. */
#include "base/cleanup.h"
#include "base/fault.h"
#include "base/ssh_key.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#define ED25519 "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGk8Jb0o5lYXwYn9sY1x1Z4n0X2cN0j2J4Jt2b1hQ2aT"

static const char *const words[] = {"ssh-rsa ", "ssh-ed25519 "};

/* The public key that ssh-keygen finds in the private one's file, without its comment; NULL: there is no ssh-keygen. Owned. */
static char *read_by_ssh(const char *private)
{
	g_autofree char *program = g_find_program_in_path("ssh-keygen"),
			*dir = g_dir_make_tmp("sluice-ssh-XXXXXX", NULL),
			*path = g_build_filename(dir, "key", NULL), *text = NULL;
	const char *argv[] = {program, "-y", "-f", path, NULL};
	g_autoptr(GError) error = NULL;
	int status = 0;

	g_assert_true(g_file_set_contents_full(path, private, -1, G_FILE_SET_CONTENTS_NONE, 0600, &error));
	if (program)
		g_spawn_sync(
			NULL, (char **)argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &text, NULL, &status, &error);
	g_assert_no_error(error);
	g_assert_cmpint(status, ==, 0);
	g_unlink(path);
	g_rmdir(dir);
	return g_steal_pointer(&text);
}

static void test_pair(const void *data)
{
	enum ssh_key_type type = (enum ssh_key_type)GPOINTER_TO_INT(data);
	g_autofree char *private = NULL, *public = NULL, *found = NULL;
	g_autoptr(GError) error = NULL;

	g_assert_true(ssh_key_generate(type, &private, &public, &error));
	g_assert_no_error(error);
	g_assert_true(g_str_has_prefix(public, words[type]));
	g_assert_true(ssh_key_check(public, &error));
	found = read_by_ssh(private);
	if (!found) {
		g_test_skip("ssh-keygen is not installed");
		return;
	}
	g_auto(GStrv) said = g_strsplit(g_strstrip(found), " ", 3), made = g_strsplit(public, " ", 3);
	g_assert_cmpstr(said[0], ==, made[0]);
	g_assert_cmpstr(said[1], ==, made[1]);
}

static void test_good(void)
{
	static const char *const good[] = {ED25519, ED25519 " ada@example", ED25519 " two words"};

	for (size_t i = 0; i < G_N_ELEMENTS(good); i++)
		g_assert_true(ssh_key_check(good[i], NULL));
}

static void test_refused(void)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{"", "a public key is 'ssh-rsa AAAA...'"},
		{"ssh-rsa", "a public key is 'ssh-rsa AAAA...'"},
		{"ssh-dss AAAAB3NzaC1kc3M=", "a public key is 'ssh-rsa AAAA...'"},
		{"ssh-rsa AAAA", "what follows 'ssh-rsa' is no key of that type"},
		{"ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIGk8Jb0o5lYXwYn9", "what follows 'ssh-rsa' is no key"},
		{"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGk8Jb0o5lYX", "the Ed25519 key is cut off"},
		{"ssh-rsa AAAAB3NzaC1yc2EAAAADAQAB", "the RSA key is cut off"},
		{"ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAAgD/", "the RSA key has 8 bits and 2048 are needed"},
		{ED25519 "\n" ED25519, "a public key is one line"},
		{"---- BEGIN SSH2 PUBLIC KEY ----", "a public key is 'ssh-rsa AAAA...'"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;
		g_assert_false(ssh_key_check(cases[i].text, &error));
		g_assert_error(error, FAULT, FAULT_INVALID);
		if (!strstr(error->message, cases[i].why))
			g_error("'%s' is not in: %s", cases[i].why, error->message);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_data_func("/ssh-key/ssh-keygen reads an RSA pair that was made",
		GINT_TO_POINTER(SSH_KEY_RSA), test_pair);
	g_test_add_data_func("/ssh-key/ssh-keygen reads an Ed25519 pair that was made",
		GINT_TO_POINTER(SSH_KEY_ED25519), test_pair);
	g_test_add_func("/ssh-key/public keys with and without a comment are taken", test_good);
	g_test_add_func(
		"/ssh-key/what is no public key, or a weak one, is refused with the reason", test_refused);
	return g_test_run();
}
