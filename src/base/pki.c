/* A small certificate authority. */
#include "base/pki.h"

#include "base/cleanup.h"
#include "base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CA_DAYS    3650
#define LEAF_DAYS  730
#define RENEW_DAYS 30

CLEANUP_FUNC(BIO *, BIO_free_all)
CLEANUP_FUNC(FILE *, fclose)
CLEANUP_FUNC(X509_EXTENSION *, X509_EXTENSION_free)

/* A pair as it is in memory. */
struct pair {
	X509 *cert;
	EVP_PKEY *key;
};

static void pair_clear(struct pair *pair)
{
	X509_free(pair->cert);
	EVP_PKEY_free(pair->key);
	*pair = (struct pair){};
}
CLEANUP_CLEAR_FUNC(struct pair, pair_clear)

static bool crypto_fault(GError **error, const char *what)
{
	char text[256];

	ERR_error_string_n(ERR_get_error(), text, sizeof text);
	return fault_set(error, FAULT_INTERNAL, "%s failed: %s", what, text);
}

/* ---- files ---- */

static bool write_whole(const char *path, BIO *memory, mode_t mode, GError **error)
{
	g_autofree char *temp = g_strconcat(path, ".new", NULL);
	char *data;
	long length = BIO_get_mem_data(memory, &data);
	int fd = g_open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	bool written = fd >= 0 && write(fd, data, (size_t)length) == length && fsync(fd) == 0;

	if (fd >= 0)
		close(fd);
	return (written && g_rename(temp, path) == 0) ||
	       fault_set(error, FAULT_INTERNAL, "%s cannot be written: %s", path, g_strerror(errno));
}

static bool save(const char *dir, const char *file, const struct pair *pair, GError **error)
{
	g_autofree char *cert_path = g_strdup_printf("%s/%s.pem", dir, file);
	g_autofree char *key_path = g_strdup_printf("%s/%s.key", dir, file);
	_cleanup_(BIO_free_all) BIO *cert = BIO_new(BIO_s_mem()), *key = BIO_new(BIO_s_mem());

	if (PEM_write_bio_PrivateKey(key, pair->key, NULL, NULL, 0, NULL, NULL) != 1 ||
		PEM_write_bio_X509(cert, pair->cert) != 1)
		return crypto_fault(error, "encoding a certificate");
	return write_whole(key_path, key, 0600, error) && write_whole(cert_path, cert, 0644, error);
}

static FILE *open_pem(const char *path, GError **error)
{
	FILE *file = fopen(path, "re");

	if (!file)
		fault_set(error, FAULT_INTERNAL, "%s cannot be read: %s", path, g_strerror(errno));
	return file;
}

/* Reads both files; a pair that does not belong together is no pair. FAULT_INTERNAL names the file. */
static bool load(const char *dir, const char *file, struct pair *ret, GError **error)
{
	g_autofree char *cert_path = g_strdup_printf("%s/%s.pem", dir, file);
	g_autofree char *key_path = g_strdup_printf("%s/%s.key", dir, file);
	_cleanup_(fclose) FILE *cert = open_pem(cert_path, error);
	_cleanup_(fclose) FILE *key = cert ? open_pem(key_path, error) : NULL;
	_cleanup_(pair_clear) struct pair pair = {};

	if (!key)
		return false;
	pair.cert = PEM_read_X509(cert, NULL, NULL, NULL);
	pair.key = PEM_read_PrivateKey(key, NULL, NULL, NULL);
	bool match = pair.cert && pair.key && X509_check_private_key(pair.cert, pair.key) == 1;
	ERR_clear_error();
	if (!pair.cert)
		return fault_set(error, FAULT_INTERNAL, "%s holds no certificate", cert_path);
	if (!pair.key)
		return fault_set(error, FAULT_INTERNAL, "%s holds no private key", key_path);
	if (!match)
		return fault_set(error, FAULT_INTERNAL, "%s is not the key of %s", key_path, cert_path);
	*ret = pair;
	pair = (struct pair){};
	return true;
}

/* ---- making ---- */

struct request {
	const char *common_name;
	const char *alt_names; /* NULL: none */
	int days;
	const struct pair *issuer; /* NULL: itself, a CA */
};

static X509_EXTENSION *make_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX context;

	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
	return X509V3_EXT_conf_nid(NULL, &context, nid, value);
}

static bool add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	_cleanup_(X509_EXTENSION_free) X509_EXTENSION *extension = make_extension(cert, issuer, nid, value);

	return extension && X509_add_ext(cert, extension, -1) == 1;
}

static bool add_extensions(X509 *cert, const struct request *request)
{
	X509 *issuer = request->issuer ? request->issuer->cert : cert;
	bool ca = !request->issuer;
	/* A server's certificate must not pass for a host's. */
	const char *use = request->alt_names ? "serverAuth" : "clientAuth";

	return add_extension(
		       cert, issuer, NID_basic_constraints, ca ? "critical,CA:TRUE" : "critical,CA:FALSE") &&
	       add_extension(cert, issuer, NID_key_usage,
		       ca ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature") &&
	       (ca || add_extension(cert, issuer, NID_ext_key_usage, use)) &&
	       add_extension(cert, issuer, NID_subject_key_identifier, "hash") &&
	       add_extension(cert, issuer, NID_authority_key_identifier, "keyid:always") &&
	       (!request->alt_names || add_extension(cert, issuer, NID_subject_alt_name, request->alt_names));
}

static bool set_serial(X509 *cert)
{
	uint64_t serial;

	return RAND_bytes((unsigned char *)&serial, sizeof serial) == 1 &&
	       ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), serial >> 1) == 1;
}

static bool make(const struct request *request, struct pair *ret, GError **error)
{
	_cleanup_(pair_clear) struct pair pair = {X509_new(), EVP_EC_gen("P-256")};
	X509_NAME *name = X509_get_subject_name(pair.cert);
	const struct pair *issuer = request->issuer ? request->issuer : &pair;

	if (!pair.key || X509_set_version(pair.cert, X509_VERSION_3) != 1 || !set_serial(pair.cert) ||
		!X509_gmtime_adj(X509_getm_notBefore(pair.cert), -PKI_EARLIER_S) ||
		!X509_time_adj_ex(X509_getm_notAfter(pair.cert), request->days, 0, NULL) ||
		X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
			(const unsigned char *)request->common_name, -1, -1, 0) != 1 ||
		X509_set_issuer_name(pair.cert, X509_get_subject_name(issuer->cert)) != 1 ||
		X509_set_pubkey(pair.cert, pair.key) != 1 || !add_extensions(pair.cert, request) ||
		X509_sign(pair.cert, issuer->key, EVP_sha256()) == 0)
		return crypto_fault(error, "making a certificate");
	*ret = pair;
	pair = (struct pair){};
	return true;
}

/* ---- authority ---- */

static bool is_absent(const char *dir, const char *file)
{
	g_autofree char *path = g_build_filename(dir, file, NULL);

	return access(path, F_OK) < 0 && errno == ENOENT;
}

bool pki_ensure_ca(const char *dir, const char *name, GError **error)
{
	const struct request request = {.common_name = name, .days = CA_DAYS};
	_cleanup_(pair_clear) struct pair pair = {};

	if (g_mkdir_with_parents(dir, 0700) < 0)
		return fault_set(error, FAULT_INTERNAL, "%s cannot be made: %s", dir, g_strerror(errno));
	if (is_absent(dir, "ca.pem") && is_absent(dir, "ca.key"))
		return make(&request, &pair, error) && save(dir, "ca", &pair, error);
	if (load(dir, "ca", &pair, error))
		return true;
	g_prefix_error(error,
		"the CA cannot be used; restore ca.pem and ca.key of %s, or remove both for a new CA, which "
		"all hosts and clients must then be given: ",
		dir);
	return false;
}

/* ---- leaves ---- */

static bool still_valid(X509 *cert)
{
	time_t limit = time(NULL) + RENEW_DAYS * 24 * 3600;

	return X509_cmp_time(X509_get0_notAfter(cert), &limit) > 0;
}

static bool has_common_name(X509 *cert, const char *wanted)
{
	const X509_NAME *name = X509_get_subject_name(cert);
	int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
	const ASN1_STRING *is = at < 0 ? NULL : X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at));

	return is && (size_t)ASN1_STRING_length(is) == strlen(wanted) &&
	       memcmp(ASN1_STRING_get0_data(is), wanted, strlen(wanted)) == 0;
}

/* Encodes the names that are wanted and compares that with what the certificate has. */
static bool has_alt_names(X509 *cert, const char *wanted)
{
	int at = X509_get_ext_by_NID(cert, NID_subject_alt_name, -1);

	if (at < 0 || !wanted)
		return at < 0 && !wanted;
	_cleanup_(X509_EXTENSION_free) X509_EXTENSION *extension =
		make_extension(cert, cert, NID_subject_alt_name, wanted);
	return extension && ASN1_OCTET_STRING_cmp(X509_EXTENSION_get_data(extension),
				    X509_EXTENSION_get_data(X509_get_ext(cert, at))) == 0;
}

static bool is_signed_by(X509 *cert, const struct pair *ca)
{
	return X509_check_issued(ca->cert, cert) == X509_V_OK && X509_verify(cert, ca->key) == 1;
}

/* Whether the leaf is still what is asked for. */
static bool satisfies(X509 *cert, const struct request *request)
{
	uint32_t use = request->alt_names ? XKU_SSL_SERVER : XKU_SSL_CLIENT;
	bool good = still_valid(cert) && is_signed_by(cert, request->issuer) &&
		    X509_get_extended_key_usage(cert) == use && has_common_name(cert, request->common_name) &&
		    has_alt_names(cert, request->alt_names);

	ERR_clear_error();
	return good;
}

/* By the clock that certificates are made by, which may be some milliseconds late. Whoever sets it back is not waited for. */
static void wait_for_next_second(void)
{
	int64_t now_us = g_get_real_time(), deadline_us = g_get_monotonic_time() + 2 * G_USEC_PER_SEC;

	g_usleep((gulong)(G_USEC_PER_SEC - now_us % G_USEC_PER_SEC));
	while (time(NULL) <= now_us / G_USEC_PER_SEC && g_get_monotonic_time() < deadline_us)
		g_usleep(1000);
}

static bool ensure_leaf(const char *dir, const char *file, const char *common_name, const char *alt_names,
	bool later, GError **error)
{
	_cleanup_(pair_clear) struct pair ca = {}, old = {}, pair = {};
	const struct request request = {common_name, alt_names, LEAF_DAYS, &ca};

	if (!load(dir, "ca", &ca, error))
		return false;
	if (load(dir, file, &old, NULL) && satisfies(old.cert, &request))
		return true;
	if (later)
		wait_for_next_second();
	return make(&request, &pair, error) && save(dir, file, &pair, error);
}

bool pki_ensure_leaf(
	const char *dir, const char *file, const char *common_name, const char *alt_names, GError **error)
{
	return ensure_leaf(dir, file, common_name, alt_names, false, error);
}

bool pki_ensure_later_leaf(const char *dir, const char *file, const char *common_name, GError **error)
{
	return ensure_leaf(dir, file, common_name, NULL, true, error);
}
