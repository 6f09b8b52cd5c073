/* What the kernel tells of filters: see tc_read.h. */
#include "offload/tc_read.h"

#include <endian.h>
#include <errno.h>
#include <linux/gen_stats.h>
#include <linux/netlink.h>
#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>

#define ETHERNET_BYTES 14

/* The kernel tells of packets with 32 bits, and of more than these have by an attribute behind (TCA_STATS_PKT64 in net/core/
 * gen_stats.c): for all, and then once more for those of the hardware. */
static bool read_stats(struct nlattr *nest, struct offload_stats *ret)
{
	struct offload_stats all = {}, hardware = {}, *last = NULL;
	struct nlattr *attribute;
	int left;

	nla_for_each_nested(attribute, nest, left)
	{
		int type = nla_type(attribute), size = nla_len(attribute);
		struct gnet_stats_basic basic;
		if (type == TCA_STATS_PKT64 && last && size >= (int)sizeof last->packets) {
			memcpy(&last->packets, nla_data(attribute), sizeof last->packets);
		} else if ((type == TCA_STATS_BASIC || type == TCA_STATS_BASIC_HW) &&
			   size >= (int)sizeof basic) {
			memcpy(&basic, nla_data(attribute), sizeof basic);
			last = type == TCA_STATS_BASIC ? &all : &hardware;
			*last = (struct offload_stats){.packets = basic.packets, .bytes = basic.bytes};
		}
	}
	*ret = all;
	/* Where the kernel receives, it does not count the frame's header. */
	ret->bytes += ETHERNET_BYTES * (all.packets - hardware.packets);
	return last;
}

/* Police actions are shared; the first other one is the filter's own and sees all its packets. */
static bool is_shared(struct nlattr *kind)
{
	return !kind || nla_strcmp(kind, "police") == 0;
}

static void read_cookie(struct nlattr *attribute, struct tc_filter *ret)
{
	struct tc_cookie cookie;

	if (!attribute || nla_len(attribute) != sizeof cookie)
		return;
	memcpy(&cookie, nla_data(attribute), sizeof cookie);
	ret->ours = memcmp(cookie.name, TC_NAME, sizeof cookie.name) == 0;
	ret->made_ingress = ret->ours && cookie.made_ingress;
}

static void read_actions(struct nlattr *actions, struct tc_filter *ret)
{
	struct nlattr *action;
	bool own = false;
	int left;

	nla_for_each_nested(action, actions, left)
	{
		struct nlattr *attributes[TCA_ACT_MAX + 1];
		if (nla_parse_nested(attributes, TCA_ACT_MAX, action, NULL) < 0)
			return;
		read_cookie(attributes[TCA_ACT_COOKIE], ret);
		if (own || is_shared(attributes[TCA_ACT_KIND]))
			continue;
		own = true;
		ret->has_stats =
			attributes[TCA_ACT_STATS] && read_stats(attributes[TCA_ACT_STATS], &ret->stats);
	}
}

bool tc_read_filter(struct nlmsghdr *header, struct tc_filter *ret)
{
	struct nlattr *attributes[TCA_MAX + 1], *options[TCA_FLOWER_MAX + 1];

	if (nlmsg_parse(header, sizeof(struct tcmsg), attributes, TCA_MAX, NULL) < 0 ||
		!attributes[TCA_KIND] || nla_strcmp(attributes[TCA_KIND], "flower") != 0 ||
		!attributes[TCA_OPTIONS] ||
		nla_parse_nested(options, TCA_FLOWER_MAX, attributes[TCA_OPTIONS], NULL) < 0)
		return false;
	const struct tcmsg *head = nlmsg_data(header);
	struct nlattr *flags = options[TCA_FLOWER_FLAGS];
	*ret = (struct tc_filter){.place = {.ifindex = head->tcm_ifindex,
					  .handle = head->tcm_handle,
					  .protocol = be16toh((uint16_t)head->tcm_info),
					  .priority = (uint16_t)(head->tcm_info >> 16)}};
	ret->in_hw = flags && nla_len(flags) >= 4 && nla_get_u32(flags) & TCA_CLS_FLAGS_IN_HW;
	if (options[TCA_FLOWER_ACT])
		read_actions(options[TCA_FLOWER_ACT], ret);
	return ret->place.handle != 0; /* a dump also tells of empty priorities */
}

int tc_read_error(struct nlmsghdr *header, const char **ret_text)
{
	struct nlattr *attributes[NLMSGERR_ATTR_MAX + 1];
	const struct nlmsgerr *error = nlmsg_data(header);
	int offset = sizeof *error, length = (int)header->nlmsg_len - NLMSG_HDRLEN - offset;

	*ret_text = NULL;
	if (nlmsg_datalen(header) < (int)sizeof *error)
		return -EBADMSG;
	if (!(header->nlmsg_flags & NLM_F_ACK_TLVS))
		return error->error;
	if (!(header->nlmsg_flags & NLM_F_CAPPED)) {
		int quoted = (int)NLMSG_ALIGN(error->msg.nlmsg_len) - NLMSG_HDRLEN;
		offset += quoted;
		length -= quoted;
	}
	if (length > 0 &&
		nla_parse(attributes, NLMSGERR_ATTR_MAX,
			(struct nlattr *)((char *)nlmsg_data(header) + offset), length, NULL) == 0 &&
		attributes[NLMSGERR_ATTR_MSG])
		*ret_text = nla_get_string(attributes[NLMSGERR_ATTR_MSG]);
	return error->error;
}
