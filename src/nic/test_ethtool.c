/* ethtool's features, made up. Source of its messages: Linux net/ethtool/features.c and bitset.c (6.1). */
#include "nic/test_ethtool.h"

#include <errno.h>
#include <linux/ethtool_netlink.h>
#include <netlink/attr.h>
#include <netlink/genl/genl.h>
#include <netlink/msg.h>

struct model {
	struct genl genl; /* first member */
	struct test_feature *features; /* Borrowed */
	size_t n;
};

/* A set of one bit, or of none. */
static void put_set(struct nl_msg *message, int attribute, bool mask, const char *name, bool value)
{
	struct nlattr *set = nla_nest_start(message, attribute | NLA_F_NESTED);

	if (!mask)
		nla_put_flag(message, ETHTOOL_A_BITSET_NOMASK);
	struct nlattr *bits = nla_nest_start(message, ETHTOOL_A_BITSET_BITS | NLA_F_NESTED);
	if (name) {
		struct nlattr *bit = nla_nest_start(message, ETHTOOL_A_BITSET_BITS_BIT | NLA_F_NESTED);
		nla_put_string(message, ETHTOOL_A_BITSET_BIT_NAME, name);
		if (value && mask)
			nla_put_flag(message, ETHTOOL_A_BITSET_BIT_VALUE);
		nla_nest_end(message, bit);
	}
	nla_nest_end_keep_empty(message, bits);
	nla_nest_end_keep_empty(message, set);
}

static void answer_send(GPtrArray *answers, struct nl_msg *answer)
{
	const struct nlmsghdr *header = nlmsg_hdr(answer);

	g_ptr_array_add(answers, g_bytes_new(nlmsg_data(header), (gsize)nlmsg_datalen(header)));
	nlmsg_free(answer);
}

static int get_features(const struct test_feature *feature, GPtrArray *answers)
{
	struct nl_msg *answer = genl_request(ETHTOOL_MSG_FEATURES_GET_REPLY, ETHTOOL_GENL_VERSION);
	bool can = feature->is != ETHTOOL_ABSENT, on = feature->is == ETHTOOL_ON;

	put_set(answer, ETHTOOL_A_FEATURES_HW, true, can ? feature->name : NULL, true);
	put_set(answer, ETHTOOL_A_FEATURES_ACTIVE, false, on ? feature->name : NULL, true);
	answer_send(answers, answer);
	return 0;
}

/* Of a set with a mask: its one bit. */
static const char *bit_of(struct nlattr *set, bool *ret_value)
{
	struct nlattr *parts[ETHTOOL_A_BITSET_MAX + 1], *list[ETHTOOL_A_BITSET_BITS_MAX + 1],
		*bit[ETHTOOL_A_BITSET_BIT_MAX + 1];

	g_assert_nonnull(set);
	g_assert_cmpint(nla_parse_nested(parts, ETHTOOL_A_BITSET_MAX, set, NULL), ==, 0);
	g_assert_null(parts[ETHTOOL_A_BITSET_NOMASK]);
	g_assert_cmpint(
		nla_parse_nested(list, ETHTOOL_A_BITSET_BITS_MAX, parts[ETHTOOL_A_BITSET_BITS], NULL), ==, 0);
	g_assert_cmpint(
		nla_parse_nested(bit, ETHTOOL_A_BITSET_BIT_MAX, list[ETHTOOL_A_BITSET_BITS_BIT], NULL), ==,
		0);
	*ret_value = bit[ETHTOOL_A_BITSET_BIT_VALUE] != NULL;
	return genl_text(bit[ETHTOOL_A_BITSET_BIT_NAME]);
}

/* What did not become as wanted is in the first set of the answer, what has changed in the second. */
static int set_feature(struct test_feature *feature, struct nlattr *wanted, GPtrArray *answers)
{
	struct nl_msg *answer = genl_request(ETHTOOL_MSG_FEATURES_SET_REPLY, ETHTOOL_GENL_VERSION);
	bool was_on = feature->is == ETHTOOL_ON, on;

	g_assert_cmpstr(bit_of(wanted, &on), ==, feature->name);
	if (feature->is != ETHTOOL_ABSENT && !feature->stays)
		feature->is = on ? ETHTOOL_ON : ETHTOOL_OFF;
	bool is_on = feature->is == ETHTOOL_ON;
	put_set(answer, ETHTOOL_A_FEATURES_WANTED, true, is_on != on ? feature->name : NULL, on);
	put_set(answer, ETHTOOL_A_FEATURES_ACTIVE, true, is_on != was_on ? feature->name : NULL, is_on);
	answer_send(answers, answer);
	return 0;
}

static struct test_feature *find(const struct model *model, struct nlattr *header)
{
	struct nlattr *parts[ETHTOOL_A_HEADER_MAX + 1];

	g_assert_cmpint(nla_parse_nested(parts, ETHTOOL_A_HEADER_MAX, header, NULL), ==, 0);
	for (size_t i = 0; i < model->n; i++)
		if (g_strcmp0(genl_text(parts[ETHTOOL_A_HEADER_DEV_NAME]), model->features[i].netdev) == 0)
			return &model->features[i];
	return NULL;
}

static int model_ask(struct genl *genl, struct nl_msg *request, GPtrArray *answers, char **ret_why)
{
	const struct model *model = (const struct model *)genl;
	const struct genlmsghdr *header = nlmsg_data(nlmsg_hdr(request));
	struct nlattr *attributes[ETHTOOL_A_FEATURES_MAX + 1];

	g_assert_cmpint(
		genlmsg_parse(nlmsg_hdr(request), 0, attributes, ETHTOOL_A_FEATURES_MAX, NULL), ==, 0);
	struct test_feature *feature = find(model, attributes[ETHTOOL_A_FEATURES_HEADER]);
	return !feature                                  ? -ENODEV
	       : header->cmd == ETHTOOL_MSG_FEATURES_GET ? get_features(feature, answers)
	       : header->cmd == ETHTOOL_MSG_FEATURES_SET
		       ? set_feature(feature, attributes[ETHTOOL_A_FEATURES_WANTED], answers)
		       : -EOPNOTSUPP;
}

static void model_close(struct genl *genl)
{
	g_free(genl);
}

static const struct genl_ops model_ops = {.ask = model_ask, .close = model_close};

struct genl *test_ethtool_open(struct test_feature *features, size_t n)
{
	struct model *model = g_new0(struct model, 1);

	*model = (struct model){{&model_ops}, features, n};
	return &model->genl;
}
