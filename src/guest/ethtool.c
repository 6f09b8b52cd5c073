/* The private statistics of a network interface.
 *
 * Source: linux/ethtool.h. ETHTOOL_GSTRINGS answers with names of ETH_GSTRING_LEN bytes each, ETHTOOL_GSTATS
 * with 64-bit values in the same order; the kernel fills both up to the number that the driver has, so the
 * buffers are sized by asking that first (ETHTOOL_GDRVINFO, n_stats).
 */
#include "guest/ethtool.h"

#include <glib.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define STATISTICS_MAX 65536 /* far more than any driver has; bounds what we allocate */

static const struct {
	const char *name;
	size_t offset;
} vf_fields[] = {
#define X(name) {"vf_" #name, offsetof(struct accel_counters, name)},
	ACCEL_COUNTERS(X)
#undef X
};

static bool ask(int fd, const char *netdev, void *command)
{
	struct ifreq request = {.ifr_data = command};

	g_strlcpy(request.ifr_name, netdev, sizeof(request.ifr_name));
	return ioctl(fd, SIOCETHTOOL, &request) == 0;
}

/* Picks the vf_* values; true when there is any. */
static bool pick(
	const struct ethtool_gstrings *names, const struct ethtool_stats *values, struct accel_counters *ret)
{
	bool found = false;

	for (uint32_t i = 0; i < MIN(names->len, values->n_stats); i++) {
		const char *name = (const char *)names->data + (size_t)i * ETH_GSTRING_LEN;

		for (size_t f = 0; f < G_N_ELEMENTS(vf_fields); f++) {
			if (strncmp(name, vf_fields[f].name, ETH_GSTRING_LEN) != 0)
				continue;
			memcpy((char *)ret + vf_fields[f].offset, &values->data[i], sizeof(uint64_t));
			found = true;
		}
	}
	return found;
}

static bool read_statistics(int fd, const char *netdev, struct accel_counters *ret)
{
	struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
	struct accel_counters counters = {};

	if (!ask(fd, netdev, &info) || info.n_stats == 0 || info.n_stats > STATISTICS_MAX)
		return false;

	g_autofree struct ethtool_gstrings *names =
		g_malloc0(sizeof(*names) + (size_t)info.n_stats * ETH_GSTRING_LEN);
	g_autofree struct ethtool_stats *values =
		g_malloc0(sizeof(*values) + (size_t)info.n_stats * sizeof(uint64_t));

	names->cmd = ETHTOOL_GSTRINGS;
	names->string_set = ETH_SS_STATS;
	names->len = info.n_stats;
	values->cmd = ETHTOOL_GSTATS;
	values->n_stats = info.n_stats;
	if (!ask(fd, netdev, names) || !ask(fd, netdev, values) || !pick(names, values, &counters))
		return false;
	*ret = counters;
	return true;
}

bool ethtool_vf_statistics(const char *netdev, struct accel_counters *ret)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool ok = fd >= 0 && read_statistics(fd, netdev, ret);

	if (fd >= 0)
		close(fd);
	return ok;
}
