/* Images that support accelerated networking by their names alone. */
#include "vm/image_support.h"

#include <glib.h>

/* "Create a Linux virtual machine with Accelerated Networking" and "Accelerated Networking overview" give the names. How
 * they are spelled in URNs is the publishers' matter, and changed: 18.04-LTS, 22_04-lts, ubuntu-24_04-lts. These are
 * regular expressions over PUBLISHER:OFFER:SKU. */
static const char *const documented[] = {
	/* Ubuntu 16.04 or newer */
	"^canonical:.*[:-](1[6-9]|[2-9][0-9])[._](04|10)([^0-9]|$)",
	/* SUSE Linux Enterprise Server 12 SP3, 15 SP4 */
	"^suse:sles[:-](12-sp3|15-sp4)([^0-9]|$)",
	/* Red Hat Enterprise Linux 7.4, 8.8, 8.10, 9.2, 9.4, 9.6 */
	"^redhat:rhel:(7[._]?4|8[._]?8|8[._]?10|9[._]?[246])([^0-9]|$)",
	/* CentOS 7.4 */
	"^openlogic:centos:7[._]?4([^0-9]|$)",
	/* CoreOS Linux */
	"^coreos:coreos:",
	/* Rocky Linux 8.10, 9.2 or newer */
	"^ciq[^:]*:rocky[^:]*:.*(8[._-]?10|9[._-]([2-9]|1[0-9]))([^0-9]|$)",
	/* Debian 9 with the kernel of its backports, 12 */
	"^credativ:debian:9-backports",
	"^debian:debian-12:12",
	/* Oracle Linux 7.4, 8.0, 9.0 */
	"^oracle:oracle-linux:(ol)?(7[._]?4|[89][._]?0)([^0-9]|$)",
};

bool image_support_is_documented(const char *publisher, const char *offer, const char *sku)
{
	g_autofree char *urn = g_strjoin(":", publisher, offer, sku, NULL);

	for (size_t i = 0; i < G_N_ELEMENTS(documented); i++)
		if (g_regex_match_simple(documented[i], urn, G_REGEX_CASELESS, 0))
			return true;
	return false;
}
