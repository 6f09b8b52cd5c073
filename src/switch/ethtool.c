/* Drivers' features: see ethtool.h.
 *
 * Features are numbered anew by each kernel version; their names stay: ETHTOOL_GSTRINGS tells which number has which.
 */
#include "switch/ethtool.h"

#include "switch/port.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>

static bool ask(int fd, const char *interface, void *request)
{
	struct ifreq ifr = {.ifr_data = request};

	g_strlcpy(ifr.ifr_name, interface, sizeof ifr.ifr_name);
	return ioctl(fd, SIOCETHTOOL, &ifr) == 0;
}

static uint32_t count_features(int fd, const char *interface)
{
	g_autofree struct ethtool_sset_info *info = g_malloc0(sizeof *info + sizeof info->data[0]);

	info->cmd = ETHTOOL_GSSET_INFO;
	info->sset_mask = 1ULL << ETH_SS_FEATURES;
	return ask(fd, interface, info) && info->sset_mask ? info->data[0] : 0;
}

/* The features' names, ETH_GSTRING_LEN bytes each; g_free it. NULL: they are not told. */
static struct ethtool_gstrings *get_names(int fd, const char *interface, uint32_t n)
{
	g_autofree struct ethtool_gstrings *names = g_malloc0(sizeof *names + (size_t)n * ETH_GSTRING_LEN);

	names->cmd = ETHTOOL_GSTRINGS;
	names->string_set = ETH_SS_FEATURES;
	names->len = n;
	return ask(fd, interface, names) && names->len == n ? g_steal_pointer(&names) : NULL;
}

static struct ethtool_gfeatures *get_features(int fd, const char *interface, uint32_t n)
{
	uint32_t blocks = (n + 31) / 32;
	g_autofree struct ethtool_gfeatures *features =
		g_malloc0(sizeof *features + blocks * sizeof features->features[0]);

	features->cmd = ETHTOOL_GFEATURES;
	features->size = blocks;
	return ask(fd, interface, features) && features->size == blocks ? g_steal_pointer(&features) : NULL;
}

uint32_t ethtool_takes(int fd, const char *interface)
{
	static const struct {
		const char *name;
		uint32_t takes;
	} known[] = {
		{"tx-tcp-segmentation", PORT_TAKES_TSO4},
		{"tx-tcp6-segmentation", PORT_TAKES_TSO6},
		{"tx-tcp-ecn-segmentation", PORT_TAKES_CWR},
	};
	uint32_t n = count_features(fd, interface), takes = PORT_TAKES_CHECKSUM;
	g_autofree struct ethtool_gstrings *names = n ? get_names(fd, interface, n) : NULL;
	g_autofree struct ethtool_gfeatures *features = names ? get_features(fd, interface, n) : NULL;

	for (uint32_t i = 0; features && i < n; i++)
		for (size_t k = 0; k < G_N_ELEMENTS(known); k++)
			if (features->features[i / 32].active & 1u << i % 32 &&
				strncmp((const char *)names->data + (size_t)i * ETH_GSTRING_LEN,
					known[k].name, ETH_GSTRING_LEN) == 0)
				takes |= known[k].takes;
	return takes;
}

void ethtool_stop_merging(int fd, const char *interface)
{
	struct ethtool_value flags = {.cmd = ETHTOOL_GFLAGS};

	if (!ask(fd, interface, &flags) || !(flags.data & ETH_FLAG_LRO))
		return;
	flags.cmd = ETHTOOL_SFLAGS;
	flags.data &= ~(uint32_t)ETH_FLAG_LRO;
	ask(fd, interface, &flags);
}
