/* Keys of SSH: checking those of users, making pairs.
 *
 * How it works. A public key's BASE64 is a row of strings, each with its length before it (RFC 4251 section 5); the first is
 * the TYPE again. RSA has e and n behind it, as numbers in two's complement, which is OpenSSL's MPI format. OpenSSH's private
 * key is written by hand, by PROTOCOL.key of its sources: without a passphrase that is the public key and, twice over,
 * strings. What a private key was in on its way is wiped: buffers have room for all of it from the start, as one that
 * grows leaves a copy behind; OpenSSL wipes its own.
 */
#include "base/ssh_key.h"
#include "base/cleanup.h"
#include "base/fault.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <string.h>

#define RSA_WORD      "ssh-rsa"
#define ED25519_WORD  "ssh-ed25519"
#define ED25519_BYTES 32
#define COMMENT       "generated-by-sluice"
#define MAGIC         "openssh-key-v1" /* with its NUL */
#define LINE          70 /* of base64, as ssh-keygen breaks it */
#define BLOCK         8 /* what private strings are filled up to */
#define PRIVATE_MAX   1024 /* bytes of an Ed25519 private key, in any of its forms */

CLEANUP_FUNC(BIO *, BIO_free_all)
CLEANUP_FUNC(BIGNUM *, BN_free)
CLEANUP_FUNC(EVP_PKEY *, EVP_PKEY_free)

static void wipe_bytes(GByteArray *bytes)
{
	OPENSSL_cleanse(bytes->data, bytes->len);
	g_byte_array_unref(bytes);
}
CLEANUP_FUNC(GByteArray *, wipe_bytes)

void ssh_key_free_private(char *private)
{
	if (private)
		OPENSSL_cleanse(private, strlen(private));
	g_free(private);
}
CLEANUP_FUNC(char *, ssh_key_free_private)

/* ---- checking ---- */

/* What is still to be read of a public key. */
struct reader {
	const guchar *at;
	gsize left;
};

/* The next string. False: the key ends within it. */
static bool take(struct reader *reader, const guchar **ret, gsize *ret_length)
{
	guint32 length;

	if (reader->left < sizeof length)
		return false;
	memcpy(&length, reader->at, sizeof length);
	length = GUINT32_FROM_BE(length);
	if (length > reader->left - sizeof length)
		return false;
	*ret = reader->at + sizeof length;
	*ret_length = length;
	reader->at += sizeof length + length;
	reader->left -= sizeof length + length;
	return true;
}

static gsize bits_of(const guchar *number, gsize length)
{
	while (length && !*number) {
		number++;
		length--;
	}
	return length ? length * 8 - (gsize)(8 - g_bit_storage(*number)) : 0;
}

static bool check_rsa(struct reader *reader, GError **error)
{
	const guchar *e, *n;
	gsize e_length, n_length;

	if (!take(reader, &e, &e_length) || !take(reader, &n, &n_length))
		return fault_set(error, FAULT_INVALID, "the RSA key is cut off; paste the whole line");
	if (bits_of(n, n_length) < SSH_KEY_RSA_BITS_MIN)
		return fault_set(error, FAULT_INVALID,
			"the RSA key has %zu bits and %d are needed; make another one with 'ssh-keygen -t "
			"rsa "
			"-b %d'",
			(size_t)bits_of(n, n_length), SSH_KEY_RSA_BITS_MIN, SSH_KEY_RSA_BITS);
	return true;
}

static bool check_ed25519(struct reader *reader, GError **error)
{
	const guchar *key;
	gsize length;

	return (take(reader, &key, &length) && length == ED25519_BYTES) ||
	       fault_set(error, FAULT_INVALID, "the Ed25519 key is cut off; paste the whole line");
}

/* The curve, and a point on it. */
static bool check_ecdsa(struct reader *reader, GError **error)
{
	const guchar *part;
	gsize length;

	return (take(reader, &part, &length) && take(reader, &part, &length) && length > 1) ||
	       fault_set(error, FAULT_INVALID, "the ECDSA key is cut off; paste the whole line");
}

static const struct {
	const char *word;
	bool (*check)(struct reader *reader, GError **error);
} types[] = {
	{RSA_WORD, check_rsa},
	{ED25519_WORD, check_ed25519},
	{"ecdsa-sha2-nistp256", check_ecdsa},
	{"ecdsa-sha2-nistp384", check_ecdsa},
	{"ecdsa-sha2-nistp521", check_ecdsa},
};

static bool check_blob(size_t type, const char *base64, GError **error)
{
	gsize length, word_length;
	g_autofree guchar *blob = g_base64_decode(base64, &length);
	struct reader reader = {blob, length};
	const guchar *word;

	if (!take(&reader, &word, &word_length) || word_length != strlen(types[type].word) ||
		memcmp(word, types[type].word, word_length) != 0)
		return fault_set(
			error, FAULT_INVALID, "what follows '%s' is no key of that type", types[type].word);
	return types[type].check(&reader, error);
}

bool ssh_key_check(const char *text, GError **error)
{
	g_auto(GStrv) words = g_strsplit(text, " ", 3);

	for (const char *c = text; *c; c++)
		if (g_ascii_iscntrl(*c))
			return fault_set(error, FAULT_INVALID,
				"a public key is one line, as in a file id_ed25519.pub");
	if (strlen(text) > SSH_KEY_TEXT_MAX)
		return fault_set(
			error, FAULT_INVALID, "a public key has %d characters at most", SSH_KEY_TEXT_MAX);
	for (size_t i = 0; words[0] && words[1] && i < G_N_ELEMENTS(types); i++)
		if (g_str_equal(words[0], types[i].word))
			return check_blob(i, words[1], error);
	return fault_set(error, FAULT_INVALID,
		"a public key is '" RSA_WORD " AAAA...' or '" ED25519_WORD
		" AAAA...', as in a file id_ed25519.pub");
}

/* ---- making ---- */

static bool crypto_fault(GError **error)
{
	char text[256];

	ERR_error_string_n(ERR_get_error(), text, sizeof text);
	return fault_set(error, FAULT_INTERNAL, "making a key pair failed: %s", text);
}

static void put_number(GByteArray *blob, guint32 value)
{
	guint32 ordered = GUINT32_TO_BE(value);

	g_byte_array_append(blob, (const guchar *)&ordered, sizeof ordered);
}

static void put_string(GByteArray *blob, const void *bytes, gsize length)
{
	put_number(blob, (guint32)length);
	g_byte_array_append(blob, bytes, (guint)length);
}

static void put_text(GByteArray *blob, const char *text)
{
	put_string(blob, text, strlen(text));
}

static bool put_parameter(GByteArray *blob, const EVP_PKEY *key, const char *name)
{
	_cleanup_(BN_free) BIGNUM *number = NULL;

	if (EVP_PKEY_get_bn_param(key, name, &number) != 1)
		return false;
	int length = BN_bn2mpi(number, NULL);
	guint at = blob->len;
	g_byte_array_set_size(blob, at + (guint)length);
	BN_bn2mpi(number, blob->data + at);
	return true;
}

/* Owned. */
static char *public_text(const char *word, const GByteArray *blob)
{
	g_autofree char *base64 = g_base64_encode(blob->data, blob->len);

	return g_strdup_printf("%s %s " COMMENT, word, base64);
}

static bool generate_rsa(char **ret_private, char **ret_public)
{
	_cleanup_(EVP_PKEY_free) EVP_PKEY *key = EVP_RSA_gen(SSH_KEY_RSA_BITS);
	_cleanup_(BIO_free_all) BIO *pem = BIO_new(BIO_s_mem());
	g_autoptr(GByteArray) blob = g_byte_array_new();
	char *text;

	put_text(blob, RSA_WORD);
	if (!key || !put_parameter(blob, key, OSSL_PKEY_PARAM_RSA_E) ||
		!put_parameter(blob, key, OSSL_PKEY_PARAM_RSA_N) ||
		PEM_write_bio_PrivateKey_traditional(pem, key, NULL, NULL, 0, NULL, NULL) != 1)
		return false;
	long length = BIO_get_mem_data(pem, &text);
	*ret_private = g_strndup(text, (gsize)length);
	*ret_public = public_text(RSA_WORD, blob);
	return true;
}

/* The strings that a passphrase would hide: OpenSSH's private key has seed and public key in one. */
static GByteArray *private_strings(const guchar *seed, const guchar *public, guint32 check)
{
	guchar both[2 * ED25519_BYTES];
	GByteArray *strings = g_byte_array_sized_new(PRIVATE_MAX);

	memcpy(both, seed, ED25519_BYTES);
	memcpy(both + ED25519_BYTES, public, ED25519_BYTES);
	put_number(strings, check);
	put_number(strings, check);
	put_text(strings, ED25519_WORD);
	put_string(strings, public, ED25519_BYTES);
	put_string(strings, both, sizeof both);
	OPENSSL_cleanse(both, sizeof both);
	put_text(strings, COMMENT);
	for (guchar fill = 1; strings->len % BLOCK; fill++)
		g_byte_array_append(strings, &fill, 1);
	return strings;
}

/* Owned. */
static char *openssh_text(const GByteArray *file)
{
	_cleanup_(ssh_key_free_private) char *base64 = g_base64_encode(file->data, file->len);
	GString *text = g_string_sized_new(PRIVATE_MAX);

	g_string_append(text, "-----BEGIN OPENSSH PRIVATE KEY-----\n");
	for (const char *at = base64; *at;) {
		gsize length = MIN(strlen(at), LINE);
		g_string_append_len(text, at, (gssize)length);
		g_string_append_c(text, '\n');
		at += length;
	}
	g_string_append(text, "-----END OPENSSH PRIVATE KEY-----\n");
	return g_string_free(text, FALSE);
}

static bool generate_ed25519(char **ret_private, char **ret_public)
{
	_cleanup_(EVP_PKEY_free) EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	guchar seed[ED25519_BYTES], public[ED25519_BYTES];
	size_t seed_length = sizeof seed, public_length = sizeof public;
	guint32 check;

	if (!key || EVP_PKEY_get_raw_public_key(key, public, &public_length) != 1 ||
		RAND_bytes((guchar *)&check, sizeof check) != 1 ||
		EVP_PKEY_get_raw_private_key(key, seed, &seed_length) != 1)
		return false;
	g_autoptr(GByteArray) blob = g_byte_array_new();
	_cleanup_(wipe_bytes) GByteArray *strings = private_strings(seed, public, check),
					 *file = g_byte_array_sized_new(PRIVATE_MAX);
	OPENSSL_cleanse(seed, sizeof seed);
	put_text(blob, ED25519_WORD);
	put_string(blob, public, sizeof public);
	g_byte_array_append(file, (const guchar *)MAGIC, sizeof MAGIC);
	put_text(file, "none"); /* cipher, and how its key would come from a passphrase */
	put_text(file, "none");
	put_text(file, "");
	put_number(file, 1);
	put_string(file, blob->data, blob->len);
	put_string(file, strings->data, strings->len);
	*ret_private = openssh_text(file);
	*ret_public = public_text(ED25519_WORD, blob);
	return true;
}

bool ssh_key_generate(enum ssh_key_type type, char **ret_private, char **ret_public, GError **error)
{
	return (type == SSH_KEY_RSA ? generate_rsa(ret_private, ret_public)
				    : generate_ed25519(ret_private, ret_public)) ||
	       crypto_fault(error);
}
