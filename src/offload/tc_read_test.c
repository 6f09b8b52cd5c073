/* What the kernel tells of filters, with counters that it has after a long time. */
#include "offload/tc_read.h"

#include <linux/gen_stats.h>
#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>

#define MANY (UINT64_C(5) << 32)

/* As net/core/gen_stats.c writes them. */
static void put_counters(struct nl_msg *msg, int type, uint64_t packets, uint64_t bytes)
{
	const struct gnet_stats_basic basic = {.bytes = bytes, .packets = (uint32_t)packets};

	nla_put(msg, type, sizeof basic, &basic);
	if (packets != basic.packets)
		nla_put(msg, TCA_STATS_PKT64, sizeof packets, &packets);
}

/* Of `software` packets of 86 bytes (100 with the header) that the kernel forwarded, and `hardware` ones of 100. */
static struct offload_stats read_counters(uint64_t software, uint64_t hardware)
{
	const struct tcmsg head = {.tcm_handle = 1};
	struct nl_msg *msg = nlmsg_alloc();
	struct tc_filter filter;

	nlmsg_put(msg, 0, 0, RTM_NEWTFILTER, 0, 0);
	nlmsg_append(msg, (void *)&head, sizeof head, NLMSG_ALIGNTO);
	nla_put_string(msg, TCA_KIND, "flower");
	struct nlattr *options = nla_nest_start(msg, TCA_OPTIONS),
		      *actions = nla_nest_start(msg, TCA_FLOWER_ACT), *action = nla_nest_start(msg, 1);
	nla_put_string(msg, TCA_ACT_KIND, "mirred");
	struct nlattr *stats = nla_nest_start(msg, TCA_ACT_STATS);
	put_counters(msg, TCA_STATS_BASIC, software + hardware, software * 86 + hardware * 100);
	put_counters(msg, TCA_STATS_BASIC_HW, hardware, hardware * 100);
	nla_nest_end(msg, stats);
	nla_nest_end(msg, action);
	nla_nest_end(msg, actions);
	nla_nest_end(msg, options);
	g_assert_true(tc_read_filter(nlmsg_hdr(msg), &filter));
	g_assert_true(filter.has_stats);
	nlmsg_free(msg);
	return filter.stats;
}

static void test_counters(void)
{
	static const uint64_t counts[] = {0, 1, UINT32_MAX, MANY - 1, MANY, MANY + 7};

	for (unsigned i = 0; i < G_N_ELEMENTS(counts); i++) {
		for (unsigned j = 0; j < G_N_ELEMENTS(counts); j++) {
			const struct offload_stats stats = read_counters(counts[i], counts[j]);
			g_assert_cmpuint(stats.packets, ==, counts[i] + counts[j]);
			g_assert_cmpuint(stats.bytes, ==, 100 * (counts[i] + counts[j]));
		}
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func(
		"/tc read/counters go on beyond 32 bits, by the kernel and by the NIC", test_counters);
	return g_test_run();
}
