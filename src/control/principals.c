/* Who may log in: names with PBKDF2-hashed secrets; and the default subscription. */
#include "base/fault.h"
#include "control/control_priv.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

/* OWASP's figure for PBKDF2-HMAC-SHA256, for secrets that people choose. Those that are made here have 256 random bits,
 * which no count makes harder to guess, and a login must not hold up the main loop. */
#define ITERATIONS_CHOSEN 600000
#define ITERATIONS_MADE   1000
#define HASH_BYTES        32
#define SALT_BYTES        16

static bool derive(const char *secret, const uint8_t *salt, int iterations, uint8_t hash[static HASH_BYTES])
{
	return PKCS5_PBKDF2_HMAC(secret, (int)strlen(secret), salt, SALT_BYTES, iterations, EVP_sha256(),
		       HASH_BYTES, hash) == 1;
}

static char *hash_secret(const char *secret, int iterations)
{
	uint8_t salt[SALT_BYTES], hash[HASH_BYTES];

	if (RAND_bytes(salt, sizeof salt) != 1 || !derive(secret, salt, iterations, hash))
		return NULL;
	g_autofree char *salt_text = g_base64_encode(salt, sizeof salt),
			*hash_text = g_base64_encode(hash, sizeof hash);
	return g_strdup_printf("pbkdf2-sha256$%d$%s$%s", iterations, salt_text, hash_text);
}

static bool secret_matches(const char *stored, const char *secret)
{
	g_auto(GStrv) parts = g_strsplit(stored, "$", -1);
	uint8_t hash[HASH_BYTES];
	gsize salt_length = 0, wanted_length = 0;
	guint64 iterations;

	if (g_strv_length(parts) != 4 || !g_str_equal(parts[0], "pbkdf2-sha256") ||
		!g_ascii_string_to_unsigned(parts[1], 10, 1, G_MAXINT, &iterations, NULL))
		return false;
	g_autofree uint8_t *salt = g_base64_decode(parts[2], &salt_length);
	g_autofree uint8_t *wanted = g_base64_decode(parts[3], &wanted_length);
	return salt_length == SALT_BYTES && wanted_length == HASH_BYTES &&
	       derive(secret, salt, (int)iterations, hash) && CRYPTO_memcmp(hash, wanted, HASH_BYTES) == 0;
}

static bool add_principal(struct change *change, void *data, GError **error)
{
	struct principal *principal = data;
	void *there;

	if (!change_find(change, KIND_PRINCIPAL, NULL, principal->meta.name, &there, error))
		return false;
	if (there)
		return fault_set(
			error, FAULT_EXISTS, "there is a principal %s already", principal->meta.name);
	change_put(change, principal);
	change_name(change, principal);
	return true;
}

char *control_principal_add(
	struct control *control, const char *name, const char *secret, bool user, GError **error)
{
	_cleanup_(model_free) struct principal *principal = model_new(KIND_PRINCIPAL, name, NULL);
	uint8_t random[HASH_BYTES];
	g_autofree char *text = g_strdup(secret);

	if (!text && RAND_bytes(random, sizeof random) == 1) {
		text = g_base64_encode(random, sizeof random);
		g_strdelimit(text, "+/=", '_'); /* safe to paste into a shell */
	}
	principal->spec.secret_hash =
		text ? hash_secret(text, secret ? ITERATIONS_CHOSEN : ITERATIONS_MADE) : NULL;
	if (!principal->spec.secret_hash) {
		fault_set(
			error, FAULT_INTERNAL, "no secret could be made: the random number generator failed");
		return NULL;
	}
	principal->spec.tenant = g_strdup(control->tenant);
	principal->spec.user = user;
	return change_run(control->store, add_principal, principal, NULL, error) ? g_steal_pointer(&text)
										 : NULL;
}

bool control_principal_check(struct control *control, const char *name, const char *secret, GError **error)
{
	static const char *nobody = "pbkdf2-sha256$1000$AAAAAAAAAAAAAAAAAAAAAA==$"
				    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
	g_autoptr(GError) failure = NULL;
	_cleanup_(model_free) struct principal *principal =
		control_find(control, KIND_PRINCIPAL, NULL, name, &failure);

	if (failure) {
		g_propagate_error(error, g_steal_pointer(&failure));
		return false;
	}
	bool matches = secret_matches(principal ? principal->spec.secret_hash : nobody, secret);
	return (principal && matches) ||
	       fault_set(error, FAULT_UNAUTHENTICATED, "the name '%s' or its secret is wrong", name);
}

static bool ensure_subscription(struct change *change, void *data, GError **error)
{
	struct control *control = data;
	struct subscription *subscription;
	void *there;

	if (!change_find(change, KIND_SUBSCRIPTION, NULL, "default", &there, error))
		return false;
	subscription = there ? there : model_new(KIND_SUBSCRIPTION, "default", NULL);
	if (!there) {
		subscription->spec.tenant = g_uuid_string_random();
		change_put(change, subscription);
		change_name(change, subscription);
	}
	g_free(control->subscription);
	g_free(control->tenant);
	control->subscription = g_strdup(subscription->meta.uid);
	control->tenant = g_strdup(subscription->spec.tenant);
	if (!there)
		model_free(subscription);
	return true;
}

bool principals_open(struct control *control, GError **error)
{
	return change_run(control->store, ensure_subscription, control, NULL, error);
}

const char *control_subscription(struct control *control)
{
	return control->subscription;
}

const char *control_tenant(struct control *control)
{
	return control->tenant;
}
