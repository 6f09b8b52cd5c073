/* ethtool: features and channels by generic netlink; what drivers tell of themselves by ioctl, as netlink has no message for it. */
#include "nic/ethtool.h"

#include "base/fault.h"

#include <assert.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/ethtool_netlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* The header is the first attribute of every request. */
static_assert((int)ETHTOOL_A_FEATURES_HEADER == (int)ETHTOOL_A_CHANNELS_HEADER, "requests have one header");

static struct nl_msg *request_new(uint8_t command, const char *netdev)
{
	struct nl_msg *request = genl_request(command, ETHTOOL_GENL_VERSION);
	struct nlattr *header = nla_nest_start(request, ETHTOOL_A_FEATURES_HEADER | NLA_F_NESTED);

	NLA_PUT_STRING(request, ETHTOOL_A_HEADER_DEV_NAME, netdev);
	nla_nest_end(request, header);
	return request;
nla_put_failure:
	g_error("no room in a netlink message");
}

/* The attributes of the one answer, Borrowed of what is returned, which is Owned by the caller; NULL with *ret_error (-errno; 0:
 * the answer is none) and *ret_why as of genl_ask(). Takes the request. */
static GPtrArray *exchange(struct genl *ethtool, struct nl_msg *request, int max, struct nlattr **ret,
	int *ret_error, char **ret_why)
{
	g_autoptr(GPtrArray) answers = genl_ask(ethtool, request, false, ret_error, ret_why);

	return answers && answers->len && genl_parse(answers->pdata[0], max, ret) ? g_steal_pointer(&answers)
										  : NULL;
}

/* The same, of a request that names no more than the interface. */
static GPtrArray *ask(struct genl *ethtool, uint8_t command, const char *netdev, int max, struct nlattr **ret)
{
	g_autofree char *why = NULL;
	int rc;

	return exchange(ethtool, request_new(command, netdev), max, ret, &rc, &why);
}

/* ---- features ---- */

/* Whether a set names the bit, and in *ret_value its value. A set without a mask names those bits that are set; one with a mask
 * all that it is about, each with its value. */
static bool find_bit(struct nlattr *set, const char *name, bool *ret_value)
{
	struct nlattr *parts[ETHTOOL_A_BITSET_MAX + 1], *bit[ETHTOOL_A_BITSET_BIT_MAX + 1], *at;
	int rest;

	if (!set || nla_parse_nested(parts, ETHTOOL_A_BITSET_MAX, set, NULL) < 0 ||
		!parts[ETHTOOL_A_BITSET_BITS])
		return false;
	nla_for_each_nested(at, parts[ETHTOOL_A_BITSET_BITS], rest)
	{
		if (nla_parse_nested(bit, ETHTOOL_A_BITSET_BIT_MAX, at, NULL) < 0 ||
			g_strcmp0(genl_text(bit[ETHTOOL_A_BITSET_BIT_NAME]), name) != 0)
			continue;
		*ret_value = parts[ETHTOOL_A_BITSET_NOMASK] || bit[ETHTOOL_A_BITSET_BIT_VALUE];
		return true;
	}
	return false;
}

static bool has_bit(struct nlattr *set, const char *name)
{
	bool value;

	return find_bit(set, name, &value) && value;
}

enum ethtool_feature ethtool_feature(struct genl *ethtool, const char *netdev, const char *name)
{
	struct nlattr *attributes[ETHTOOL_A_FEATURES_MAX + 1];
	g_autoptr(GPtrArray) answers =
		ask(ethtool, ETHTOOL_MSG_FEATURES_GET, netdev, ETHTOOL_A_FEATURES_MAX, attributes);

	if (!answers)
		return ETHTOOL_UNKNOWN;
	if (has_bit(attributes[ETHTOOL_A_FEATURES_ACTIVE], name))
		return ETHTOOL_ON;
	return has_bit(attributes[ETHTOOL_A_FEATURES_HW], name) ? ETHTOOL_OFF : ETHTOOL_ABSENT;
}

/* What is wanted is a set with a mask, of one bit. */
static struct nl_msg *set_request_new(const char *netdev, const char *name, bool on)
{
	struct nl_msg *request = request_new(ETHTOOL_MSG_FEATURES_SET, netdev);
	struct nlattr *set = nla_nest_start(request, ETHTOOL_A_FEATURES_WANTED | NLA_F_NESTED);
	struct nlattr *bits = nla_nest_start(request, ETHTOOL_A_BITSET_BITS | NLA_F_NESTED);
	struct nlattr *bit = nla_nest_start(request, ETHTOOL_A_BITSET_BITS_BIT | NLA_F_NESTED);

	NLA_PUT_STRING(request, ETHTOOL_A_BITSET_BIT_NAME, name);
	if (on)
		NLA_PUT_FLAG(request, ETHTOOL_A_BITSET_BIT_VALUE);
	nla_nest_end(request, bit);
	nla_nest_end(request, bits);
	nla_nest_end(request, set);
	return request;
nla_put_failure:
	g_error("no room in a netlink message");
}

static enum fault fault_of(int error)
{
	return error == -ENODEV                      ? FAULT_NOT_FOUND
	       : error == -EPERM || error == -EACCES ? FAULT_DENIED
	       : error == -EOPNOTSUPP                ? FAULT_UNSUPPORTED
						     : FAULT_INTERNAL;
}

/* The kernel answers 0 whatever became of it, with the bits that did not become what was wanted.
 * Source: Linux net/ethtool/features.c, ethnl_set_features(). */
bool ethtool_set_feature(struct genl *ethtool, const char *netdev, const char *name, bool on, GError **error)
{
	struct nlattr *attributes[ETHTOOL_A_FEATURES_MAX + 1];
	const char *word = on ? "on" : "off";
	g_autofree char *why = NULL;
	bool wanted;
	int rc;
	g_autoptr(GPtrArray) answers = exchange(
		ethtool, set_request_new(netdev, name, on), ETHTOOL_A_FEATURES_MAX, attributes, &rc, &why);

	if (!answers)
		return fault_set(error, fault_of(rc), "%s of %s cannot be turned %s: %s", name, netdev, word,
			why  ? why
			: rc ? g_strerror(-rc)
			     : "the kernel's answer is none");
	if (find_bit(attributes[ETHTOOL_A_FEATURES_WANTED], name, &wanted))
		return fault_set(error, FAULT_UNSUPPORTED,
			"%s of %s cannot be turned %s: its driver leaves it as it is, for what dmesg or "
			"'ethtool -k %s' ([fixed]) may tell",
			name, netdev, word, netdev);
	return true;
}

/* ---- channels ---- */

/* A kind whose maximum is 0 has no attributes. */
bool ethtool_channels(struct genl *ethtool, const char *netdev, struct ethtool_queues *ret)
{
	static const struct {
		int count, max;
	} kinds[ETHTOOL_QUEUE_KINDS] = {
		[ETHTOOL_COMBINED] = {ETHTOOL_A_CHANNELS_COMBINED_COUNT, ETHTOOL_A_CHANNELS_COMBINED_MAX},
		[ETHTOOL_RX] = {ETHTOOL_A_CHANNELS_RX_COUNT, ETHTOOL_A_CHANNELS_RX_MAX},
		[ETHTOOL_TX] = {ETHTOOL_A_CHANNELS_TX_COUNT, ETHTOOL_A_CHANNELS_TX_MAX},
	};
	struct nlattr *attributes[ETHTOOL_A_CHANNELS_MAX + 1];
	g_autoptr(GPtrArray) answers =
		ask(ethtool, ETHTOOL_MSG_CHANNELS_GET, netdev, ETHTOOL_A_CHANNELS_MAX, attributes);
	unsigned any = 0;

	if (!answers)
		return false;
	for (unsigned i = 0; i < ETHTOOL_QUEUE_KINDS; i++) {
		ret->count[i] = genl_number(attributes[kinds[i].count], 0);
		ret->max[i] = genl_number(attributes[kinds[i].max], 0);
		any |= ret->max[i];
	}
	return any;
}

/* ---- drivers ---- */

char *ethtool_firmware_parse(const char *field, size_t size)
{
	g_autofree char *text = g_strstrip(g_strndup(field, size));

	return *text && !g_str_equal(text, "N/A") ? g_steal_pointer(&text) : NULL;
}

char *ethtool_firmware(const char *netdev)
{
	struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
	struct ifreq request = {.ifr_data = (void *)&info};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	g_strlcpy(request.ifr_name, netdev, sizeof request.ifr_name);
	bool told = fd >= 0 && ioctl(fd, SIOCETHTOOL, &request) == 0;
	if (fd >= 0)
		close(fd);
	return told ? ethtool_firmware_parse(info.fw_version, sizeof info.fw_version) : NULL;
}
