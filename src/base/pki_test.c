/* The small CA: pairs are made once, verify, and are made anew when their names change or files are lost. */
#include "base/pki.h"

#include "base/fault.h"

#include <glib/gstdio.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

static X509 *read_cert(const char *dir, const char *file)
{
	g_autofree char *path = g_build_filename(dir, file, NULL);
	FILE *stream = fopen(path, "r");
	X509 *cert = stream ? PEM_read_X509(stream, NULL, NULL, NULL) : NULL;

	if (stream)
		fclose(stream);
	return cert;
}

static bool verifies(const char *dir, const char *file)
{
	X509 *ca = read_cert(dir, "ca.pem"), *leaf = read_cert(dir, file);
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *context = X509_STORE_CTX_new();

	g_assert_nonnull(ca);
	g_assert_nonnull(leaf);
	X509_STORE_add_cert(store, ca);
	X509_STORE_set_flags(store, X509_V_FLAG_X509_STRICT);
	X509_STORE_CTX_init(context, store, leaf, NULL);
	bool good = X509_verify_cert(context) == 1;
	X509_STORE_CTX_free(context);
	X509_STORE_free(store);
	X509_free(ca);
	X509_free(leaf);
	return good;
}

static char *contents(const char *dir, const char *file)
{
	g_autofree char *path = g_build_filename(dir, file, NULL);
	char *text = NULL;

	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	return text;
}

static void clean(const char *dir)
{
	static const char *const files[] = {
		"ca.pem", "ca.key", "server.pem", "server.key", "host.pem", "host.key"};

	for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
		g_autofree char *path = g_build_filename(dir, files[i], NULL);
		g_remove(path);
	}
	g_assert_cmpint(g_rmdir(dir), ==, 0);
}

static void test_pairs(void)
{
	g_autofree char *dir = g_dir_make_tmp("sluice-pki-XXXXXX", NULL);
	g_autoptr(GError) error = NULL;

	g_assert_true(pki_ensure_ca(dir, "Test CA", &error));
	g_assert_true(
		pki_ensure_leaf(dir, "server", "server", "IP:127.0.0.1,IP:fd00::1,DNS:localhost", &error));
	g_assert_true(pki_ensure_leaf(dir, "host", "host-1", NULL, &error));
	g_assert_no_error(error);
	g_assert_true(verifies(dir, "server.pem"));
	g_assert_true(verifies(dir, "host.pem"));
	X509 *cert = read_cert(dir, "server.pem");
	g_assert_cmpint(X509_check_ip_asc(cert, "127.0.0.1", 0), ==, 1);
	g_assert_cmpint(X509_check_ip_asc(cert, "fd00::1", 0), ==, 1);
	g_assert_cmpint(X509_check_host(cert, "localhost", 0, 0, NULL), ==, 1);
	X509_free(cert);
	g_autofree char *key_path = g_build_filename(dir, "server.key", NULL);
	GStatBuf status;
	g_assert_cmpint(g_stat(key_path, &status), ==, 0);
	g_assert_cmpint(status.st_mode & 0777, ==, 0600);
	clean(dir);
}

static void test_made_once(void)
{
	g_autofree char *dir = g_dir_make_tmp("sluice-pki-XXXXXX", NULL);

	g_assert_true(pki_ensure_ca(dir, "Test CA", NULL));
	g_assert_true(pki_ensure_leaf(dir, "server", "server", "IP:127.0.0.1", NULL));
	g_autofree char *first = contents(dir, "server.pem"), *ca = contents(dir, "ca.pem");
	g_assert_true(pki_ensure_ca(dir, "Test CA", NULL));
	g_assert_true(pki_ensure_leaf(dir, "server", "server", "IP:127.0.0.1", NULL));
	g_autofree char *second = contents(dir, "server.pem"), *same_ca = contents(dir, "ca.pem");
	g_assert_cmpstr(first, ==, second);
	g_assert_cmpstr(ca, ==, same_ca);
	g_assert_true(pki_ensure_leaf(dir, "server", "server", "IP:127.0.0.2", NULL));
	g_autofree char *third = contents(dir, "server.pem");
	g_assert_cmpstr(first, !=, third);
	clean(dir);
}

static void test_lost_key(void)
{
	g_autofree char *dir = g_dir_make_tmp("sluice-pki-XXXXXX", NULL);
	g_autofree char *key_path = g_build_filename(dir, "server.key", NULL);

	g_assert_true(pki_ensure_ca(dir, "Test CA", NULL));
	g_assert_true(pki_ensure_leaf(dir, "server", "server", "IP:127.0.0.1", NULL));
	g_assert_cmpint(g_remove(key_path), ==, 0);
	g_assert_true(pki_ensure_leaf(dir, "server", "server", "IP:127.0.0.1", NULL));
	g_assert_true(verifies(dir, "server.pem"));
	clean(dir);
}

static void test_no_ca(void)
{
	g_autofree char *dir = g_dir_make_tmp("sluice-pki-XXXXXX", NULL);
	g_autoptr(GError) error = NULL;

	g_assert_false(pki_ensure_leaf(dir, "server", "server", NULL, &error));
	g_assert_error(error, FAULT, FAULT_INTERNAL);
	clean(dir);
}

/* The CA is damaged by `text`, or by removal, in one of its files. */
static void check_damaged_ca(const char *file, const char *text)
{
	g_autofree char *dir = g_dir_make_tmp("sluice-pki-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(dir, file, NULL);
	const char *other = g_str_equal(file, "ca.pem") ? "ca.key" : "ca.pem";
	g_autoptr(GError) error = NULL;

	g_assert_true(pki_ensure_ca(dir, "Test CA", NULL));
	g_autofree char *before = contents(dir, other);
	g_assert_true(text ? g_file_set_contents(path, text, -1, NULL) : g_remove(path) == 0);
	g_assert_false(pki_ensure_ca(dir, "Test CA", &error));
	g_assert_error(error, FAULT, FAULT_INTERNAL);
	g_assert_nonnull(strstr(error->message, path));
	g_autofree char *after = contents(dir, other);
	g_assert_cmpstr(before, ==, after);
	clean(dir);
}

static void test_damaged_ca(void)
{
	check_damaged_ca("ca.pem", NULL);
	check_damaged_ca("ca.key", NULL);
	check_damaged_ca("ca.pem", "");
	check_damaged_ca("ca.key", "-----BEGIN PRIVATE KEY-----\n");
}

static void test_other_ca(void)
{
	g_autofree char *dir = g_dir_make_tmp("sluice-pki-XXXXXX", NULL);
	g_autofree char *key_path = g_build_filename(dir, "ca.key", NULL);
	g_autofree char *cert_path = g_build_filename(dir, "ca.pem", NULL);

	g_assert_true(pki_ensure_ca(dir, "Test CA", NULL));
	g_assert_true(pki_ensure_leaf(dir, "host", "host-1", NULL, NULL));
	g_assert_cmpint(g_remove(key_path), ==, 0);
	g_assert_cmpint(g_remove(cert_path), ==, 0);
	g_assert_true(pki_ensure_ca(dir, "Test CA", NULL));
	g_assert_false(verifies(dir, "host.pem"));
	g_assert_true(pki_ensure_leaf(dir, "host", "host-1", NULL, NULL));
	g_assert_true(verifies(dir, "host.pem"));
	clean(dir);
}

static uint32_t use_of(const char *dir, const char *file)
{
	X509 *cert = read_cert(dir, file);
	uint32_t use = X509_get_extended_key_usage(cert);

	X509_free(cert);
	return use;
}

static void test_use(void)
{
	g_autofree char *dir = g_dir_make_tmp("sluice-pki-XXXXXX", NULL);

	g_assert_true(pki_ensure_ca(dir, "Test CA", NULL));
	g_assert_true(pki_ensure_leaf(dir, "host", "one", "IP:127.0.0.1", NULL));
	g_assert_cmpuint(use_of(dir, "host.pem"), ==, XKU_SSL_SERVER);
	g_assert_true(pki_ensure_leaf(dir, "host", "one", NULL, NULL));
	g_assert_cmpuint(use_of(dir, "host.pem"), ==, XKU_SSL_CLIENT);
	g_autofree char *first = contents(dir, "host.pem");
	g_assert_true(pki_ensure_leaf(dir, "host", "two", NULL, NULL));
	g_autofree char *second = contents(dir, "host.pem");
	g_assert_cmpstr(first, !=, second);
	clean(dir);
}

/* Makes the leaf end in `days`, signed by the CA again. */
static void expire_in(const char *dir, const char *file, int days)
{
	g_autofree char *key_path = g_build_filename(dir, "ca.key", NULL);
	g_autofree char *path = g_build_filename(dir, file, NULL);
	X509 *cert = read_cert(dir, file);
	FILE *stream = fopen(key_path, "r");
	EVP_PKEY *key = PEM_read_PrivateKey(stream, NULL, NULL, NULL);

	fclose(stream);
	X509_time_adj_ex(X509_getm_notAfter(cert), days, 0, NULL);
	g_assert_cmpint(X509_sign(cert, key, EVP_sha256()), >, 0);
	stream = fopen(path, "w");
	g_assert_cmpint(PEM_write_X509(stream, cert), ==, 1);
	fclose(stream);
	EVP_PKEY_free(key);
	X509_free(cert);
}

static void test_expiry(void)
{
	static const struct {
		int days;
		bool kept;
	} cases[] = {{-1, false}, {29, false}, {31, true}};
	g_autofree char *dir = g_dir_make_tmp("sluice-pki-XXXXXX", NULL);

	g_assert_true(pki_ensure_ca(dir, "Test CA", NULL));
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_assert_true(pki_ensure_leaf(dir, "host", "host-1", NULL, NULL));
		expire_in(dir, "host.pem", cases[i].days);
		g_autofree char *before = contents(dir, "host.pem");
		g_assert_true(pki_ensure_leaf(dir, "host", "host-1", NULL, NULL));
		g_autofree char *after = contents(dir, "host.pem");
		g_assert_true(g_str_equal(before, after) == cases[i].kept);
	}
	clean(dir);
}

/* The time from which it is good. */
static int64_t valid_from_s(const char *dir, const char *file)
{
	X509 *cert = read_cert(dir, file);
	struct tm utc = {};

	g_assert_cmpint(ASN1_TIME_to_tm(X509_get0_notBefore(cert), &utc), ==, 1);
	X509_free(cert);
	return timegm(&utc);
}

/* Called when a second begins, ends, and anywhere between. */
static void test_later(void)
{
	g_autofree char *dir = g_dir_make_tmp("sluice-pki-XXXXXX", NULL);

	g_assert_true(pki_ensure_ca(dir, "Test CA", NULL));
	for (unsigned i = 0; i < 4; i++) {
		g_autofree char *name = g_strdup_printf("host-%u", i);
		g_usleep(i * G_USEC_PER_SEC / 3);
		int64_t before_s = g_get_real_time() / G_USEC_PER_SEC;
		g_assert_true(pki_ensure_later_leaf(dir, "host", name, NULL));
		int64_t made_s = valid_from_s(dir, "host.pem") + PKI_EARLIER_S;
		g_assert_cmpint(made_s, >, before_s);
		g_assert_cmpint(made_s, <=, g_get_real_time() / G_USEC_PER_SEC);
		g_assert_true(verifies(dir, "host.pem"));
		/* One that is good is kept, without waiting. */
		g_autofree char *first = contents(dir, "host.pem");
		g_assert_true(pki_ensure_later_leaf(dir, "host", name, NULL));
		g_autofree char *second = contents(dir, "host.pem");
		g_assert_cmpstr(first, ==, second);
	}
	clean(dir);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/pki/leaves verify strictly and carry their names", test_pairs);
	g_test_add_func("/pki/pairs are made once, and anew when names change", test_made_once);
	g_test_add_func("/pki/a lost key is replaced with its certificate", test_lost_key);
	g_test_add_func("/pki/without a CA there is no leaf", test_no_ca);
	g_test_add_func("/pki/a damaged CA is reported and never replaced", test_damaged_ca);
	g_test_add_func("/pki/a leaf of another CA is made anew", test_other_ca);
	g_test_add_func("/pki/a leaf for another use or name is made anew", test_use);
	g_test_add_func("/pki/a leaf of a later second is made when that has begun", test_later);
	g_test_add_func("/pki/a leaf is made anew 30 days before it ends", test_expiry);
	return g_test_run();
}
