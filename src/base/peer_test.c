/* Certificates of clients. All are self-signed and valid for a hundred years: who signed them is the TLS
 * layer's to check. */
#include "base/peer.h"

#include "base/pki.h"

/* clang-format off */
static const char client[] =
	"-----BEGIN CERTIFICATE-----\n"
	"MIIBlTCCATugAwIBAgIUTMOeH5wE6K81lfN3kntBDXZ3GiIwCgYIKoZIzj0EAwIw\n"
	"KDENMAsGA1UECgwEdGVzdDEXMBUGA1UEAwwOaG9zdC0xLmV4YW1wbGUwIBcNMjYx\n"
	"MTIyMDI1MzUwWhgPMjEyNjEwMjkwMjUzNTBaMCgxDTALBgNVBAoMBHRlc3QxFzAV\n"
	"BgNVBAMMDmhvc3QtMS5leGFtcGxlMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n"
	"UfD2EZR049PihgTspdIleEqvQTKU2CXkPZ4cs86S0aAbF4OrkS70BZ44HG47i5B3\n"
	"Go+c+QbchGuDZD0RI0+O8qNBMD8wCQYDVR0TBAIwADATBgNVHSUEDDAKBggrBgEF\n"
	"BQcDAjAdBgNVHQ4EFgQU2hhXc/diAnUYOOKqsffRwDpN58wwCgYIKoZIzj0EAwID\n"
	"SAAwRQIhAKV01yYbQRC3Ye3Hc26Puqb1rbYLylrbv2Bj6aP4aV7YAiAnStBaR/Lw\n"
	"5TJi1lo01yvUFyju18Os3ZL36pGKekGUJA==\n"
	"-----END CERTIFICATE-----\n";

static const char server[] =
	"-----BEGIN CERTIFICATE-----\n"
	"MIIBcDCCARWgAwIBAgIUaY9WEyv6M3JduupaIKDXFtZUfpEwCgYIKoZIzj0EAwIw\n"
	"FTETMBEGA1UEAwwKY29udHJvbGxlcjAgFw0yNjExMjIwMjUzNTBaGA8yMTI2MTAy\n"
	"OTAyNTM1MFowFTETMBEGA1UEAwwKY29udHJvbGxlcjBZMBMGByqGSM49AgEGCCqG\n"
	"SM49AwEHA0IABMrfdTqyIW//dLhyTM/Qtpp0vuq3Qjg2p+y8Dci2BIy2wQbF4ZWQ\n"
	"mQxqlEp1e0QVNqZ8LGY9JZkJVjX7FQR9mG+jQTA/MAkGA1UdEwQCMAAwEwYDVR0l\n"
	"BAwwCgYIKwYBBQUHAwEwHQYDVR0OBBYEFLhIqfLS0uY0zmS3m+QayKPV03jrMAoG\n"
	"CCqGSM49BAMCA0kAMEYCIQDxJKBA5/bf5+FBmJ3h3KG9DBzvPGeNiTQElo5c706m\n"
	"8AIhAJLTrIqOneI1DDXgnNFctMCZsu2rlGMKslv7OwS3CMSh\n"
	"-----END CERTIFICATE-----\n";

static const char anything[] =
	"-----BEGIN CERTIFICATE-----\n"
	"MIIBVTCB/KADAgECAhQ1/lmBwLvoh9l6PJZtpa9spkRWYDAKBggqhkjOPQQDAjAT\n"
	"MREwDwYDVQQDDAhhbnl0aGluZzAgFw0yNjExMjIwMjUzNTBaGA8yMTI2MTAyOTAy\n"
	"NTM1MFowEzERMA8GA1UEAwwIYW55dGhpbmcwWTATBgcqhkjOPQIBBggqhkjOPQMB\n"
	"BwNCAAQQVwaAbt7nGUYWaMgIC4DV8Wu26p4AsCZ3MaI8dNqx9xKCD1sgmLj4w3Bl\n"
	"x9PjOB3GWnjeijDcsOHLgP6R2bZuoywwKjAJBgNVHRMEAjAAMB0GA1UdDgQWBBQd\n"
	"Vi7c6/9Xi40+iGUhtxp2x8mTVTAKBggqhkjOPQQDAgNIADBFAiEAs/qQSLQdxa0F\n"
	"0CW/MU8/jztgckMqs+loNywTQP7wqTwCIHUA8+W2q0Pgrj0H9JMLAbn5URvpPrr/\n"
	"KJuNEBi96qjq\n"
	"-----END CERTIFICATE-----\n";

static const char twice[] =
	"-----BEGIN CERTIFICATE-----\n"
	"MIIBdDCCARugAwIBAgIUdmGmGpKovzFSwK2YVrK7ZZxW5S4wCgYIKoZIzj0EAwIw\n"
	"GDEKMAgGA1UEAwwBYTEKMAgGA1UEAwwBYjAgFw0yNjExMjIwMjUzNTBaGA8yMTI2\n"
	"MTAyOTAyNTM1MFowGDEKMAgGA1UEAwwBYTEKMAgGA1UEAwwBYjBZMBMGByqGSM49\n"
	"AgEGCCqGSM49AwEHA0IABNCUGGGgJXBJUMhsLnaLF8m72H2g93dPKCjkOk/kBDV+\n"
	"QYL85MyscKbejsdyrqsEtwo6dXqEI2zvdM1SOiLfzjmjQTA/MAkGA1UdEwQCMAAw\n"
	"EwYDVR0lBAwwCgYIKwYBBQUHAwIwHQYDVR0OBBYEFBfIQBBdin45Gz1PtL0Ky6oP\n"
	"MnU/MAoGCCqGSM49BAMCA0cAMEQCIB0cOj7ALZEEWbS5P8Bs/Doo7QJ5Igdc5O/5\n"
	"MsXUPT3XAiB782cVCzo6yELxMIRBaC9veLDMXP/3Uzw+hKLF/nRIiw==\n"
	"-----END CERTIFICATE-----\n";

static const char strange[] =
	"-----BEGIN CERTIFICATE-----\n"
	"MIIBdTCCARugAwIBAgIUfyW57JVEBwToPzBHVirN1E8IQHQwCgYIKoZIzj0EAwIw\n"
	"GDEWMBQGA1UEAwwNLi4vb3RoZXIgaG9zdDAgFw0yNjExMjIwMjUzNTBaGA8yMTI2\n"
	"MTAyOTAyNTM1MFowGDEWMBQGA1UEAwwNLi4vb3RoZXIgaG9zdDBZMBMGByqGSM49\n"
	"AgEGCCqGSM49AwEHA0IABO47XcGpVy3BcSRow1VKQkj68/s82coGgNbZyp633fFf\n"
	"T9/6AoqAbZsILihK5IHiR0EcS97BdMcx7S/zCQCQ9hKjQTA/MAkGA1UdEwQCMAAw\n"
	"EwYDVR0lBAwwCgYIKwYBBQUHAwIwHQYDVR0OBBYEFKK71JpYDsZRifSIoyFgYuQb\n"
	"UGpmMAoGCCqGSM49BAMCA0gAMEUCIQDtv7YNB2T9TOi6Uge1lZytH5mAEQ3ZgMSu\n"
	"TgbhngwDxQIgLoBeYq8qNQMeoF6deMtLdZ9tLeS9cK1Rt+ftO6U+rpw=\n"
	"-----END CERTIFICATE-----\n";

static const char nameless[] =
	"-----BEGIN CERTIFICATE-----\n"
	"MIIBYzCCAQmgAwIBAgIUdetff99AlKJwe8Cmcy3N0qxV2XQwCgYIKoZIzj0EAwIw\n"
	"DzENMAsGA1UECgwEdGVzdDAgFw0yNjExMjIwMjUzNTBaGA8yMTI2MTAyOTAyNTM1\n"
	"MFowDzENMAsGA1UECgwEdGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABCRF\n"
	"IrezC4+q2ogfzcE4qBTUWZafmUZvep2ZD67Rr2MjlKFrioM1tNtSMF92DEW7Jvbi\n"
	"/F0sQKglw+oGOj/C60OjQTA/MAkGA1UdEwQCMAAwEwYDVR0lBAwwCgYIKwYBBQUH\n"
	"AwIwHQYDVR0OBBYEFAdJ+GhhyOXQoabM9XpcF6ZJqhznMAoGCCqGSM49BAMCA0gA\n"
	"MEUCIEE8Eghjr0hfwYtcDmaH117oLn7ZNdfDb76O4VQoRfZtAiEA36CzAJUFPmG5\n"
	"5gzZBvW+MP0pGu0XML1ow+d9VDzs5fY=\n"
	"-----END CERTIFICATE-----\n";
/* clang-format on */

static GTlsCertificate *load(const char *pem)
{
	g_autoptr(GError) error = NULL;
	GTlsCertificate *certificate = g_tls_certificate_new_from_pem(pem, -1, &error);

	g_assert_no_error(error);
	return certificate;
}

static void assert_name(const char *pem, const char *expected)
{
	g_autoptr(GTlsCertificate) certificate = load(pem);
	g_autofree char *name = peer_name(certificate);

	g_assert_cmpstr(name, ==, expected);
}

static void test_name(void)
{
	assert_name(client, "host-1.example");
	g_assert_null(peer_name(NULL));
}

static void test_bad_name(void)
{
	assert_name(twice, NULL);
	assert_name(strange, NULL);
	assert_name(nameless, NULL);
}

static bool is_client(const char *pem)
{
	g_autoptr(GTlsCertificate) certificate = load(pem);

	return peer_is_client(certificate);
}

static void test_purpose(void)
{
	g_assert_true(is_client(client));
	g_assert_true(is_client(anything));
	g_assert_false(is_client(server));
}

static void test_made(void)
{
	const struct tm from = {
		.tm_year = 126, .tm_mon = 10, .tm_mday = 22, .tm_hour = 2, .tm_min = 53, .tm_sec = 50};
	struct tm utc = from;
	g_autoptr(GTlsCertificate) certificate = load(nameless);

	g_assert_cmpint(peer_made_s(certificate), ==, timegm(&utc) + PKI_EARLIER_S);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/peer/a client is known by its common name", test_name);
	g_test_add_func("/peer/no name, two names and what is no host name are none", test_bad_name);
	g_test_add_func("/peer/a certificate made for servers is no client's", test_purpose);
	g_test_add_func("/peer/it is known when a certificate was made", test_made);
	return g_test_run();
}
