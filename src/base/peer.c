/* The subject's common name. GLib only gives the subject as text that would have to be parsed; OpenSSL takes
 * the name apart. */
#include "base/peer.h"

#include "base/pki.h"

#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>

#define NAME_MAX_LENGTH 64 /* ub-common-name of RFC 5280 */

bool peer_is_host_name(const char *name, size_t length)
{
	if (length == 0 || length > NAME_MAX_LENGTH)
		return false;
	for (size_t i = 0; i < length; i++)
		if (!g_ascii_isalnum(name[i]) && name[i] != '-' && name[i] != '.')
			return false;
	return true;
}

static char *common_name(const X509 *x509)
{
	X509_NAME *subject = X509_get_subject_name(x509);
	int index = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);

	if (index < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, index) >= 0)
		return NULL;
	const ASN1_STRING *value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, index));
	const char *text = (const char *)ASN1_STRING_get0_data(value);
	size_t length = (size_t)ASN1_STRING_length(value);
	return peer_is_host_name(text, length) ? g_strndup(text, length) : NULL;
}

static X509 *parse_certificate(GTlsCertificate *certificate)
{
	g_autoptr(GByteArray) der = NULL;
	const unsigned char *at;

	g_object_get(certificate, "certificate", &der, NULL);
	at = der ? der->data : NULL;
	return at ? d2i_X509(NULL, &at, (long)der->len) : NULL;
}

char *peer_name(GTlsCertificate *certificate)
{
	X509 *x509 = certificate ? parse_certificate(certificate) : NULL;
	char *name = x509 ? common_name(x509) : NULL;

	X509_free(x509);
	return name;
}

int64_t peer_made_s(GTlsCertificate *certificate)
{
	g_autoptr(GDateTime) valid_from = g_tls_certificate_get_not_valid_before(certificate);

	return valid_from ? g_date_time_to_unix(valid_from) + PKI_EARLIER_S : 0;
}

bool peer_is_client(GTlsCertificate *certificate)
{
	X509 *x509 = parse_certificate(certificate);
	bool is_client = x509 && (X509_get_extended_key_usage(x509) & XKU_SSL_CLIENT) &&
			 X509_check_purpose(x509, X509_PURPOSE_SSL_CLIENT, 0) == 1;

	X509_free(x509);
	return is_client;
}
