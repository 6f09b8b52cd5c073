/* A kernel with tc, made up: see test_kernel.h. */
#include "offload/test_kernel.h"

#include <endian.h>
#include <errno.h>
#include <linux/gen_stats.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <string.h>

#define INGRESS TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)

struct connection {
	struct tc_kernel end;
	struct test_kernel *kernel; /* Borrowed */
	GQueue *answers; /* of GBytes, Owned */
};

/* ---- answers ---- */

static void answer(struct connection *c, struct nl_msg *msg)
{
	const struct nlmsghdr *header = nlmsg_hdr(msg);

	g_queue_push_tail(c->answers, g_bytes_new(header, header->nlmsg_len));
	nlmsg_free(msg);
}

static void answer_status(struct connection *c, const struct nlmsghdr *request, int status)
{
	struct nl_msg *msg = nlmsg_alloc();
	const struct nlmsgerr error = {.error = status, .msg = *request};

	nlmsg_put(msg, 0, request->nlmsg_seq, NLMSG_ERROR, 0, NLM_F_CAPPED | NLM_F_ACK_TLVS);
	nlmsg_append(msg, (void *)&error, sizeof error, NLMSG_ALIGNTO);
	if (status == -EOPNOTSUPP)
		nla_put_string(msg, NLMSGERR_ATTR_MSG, TEST_NO);
	answer(c, msg);
}

static void answer_done(struct connection *c, const struct nlmsghdr *request)
{
	struct nl_msg *msg = nlmsg_alloc();

	nlmsg_put(msg, 0, request->nlmsg_seq, NLMSG_DONE, sizeof(int), NLM_F_MULTI);
	answer(c, msg);
}

static void put_action(struct nl_msg *msg, const struct test_filter *filter)
{
	const struct gnet_stats_basic basic = {.bytes = filter->bytes, .packets = (uint32_t)filter->packets};
	struct nlattr *actions = nla_nest_start(msg, TCA_FLOWER_ACT), *action = nla_nest_start(msg, 1);

	nla_put_string(msg, TCA_ACT_KIND, filter->redirect ? "mirred" : "gact");
	struct nlattr *stats = nla_nest_start(msg, TCA_ACT_STATS);
	nla_put(msg, TCA_STATS_BASIC, sizeof basic, &basic);
	nla_put(msg, TCA_STATS_BASIC_HW, sizeof basic, &basic);
	nla_nest_end(msg, stats);
	if (filter->cookie_size)
		nla_put(msg, TCA_ACT_COOKIE, (int)filter->cookie_size, filter->cookie);
	nla_nest_end(msg, action);
	nla_nest_end(msg, actions);
}

static void answer_filter(
	struct connection *c, const struct nlmsghdr *request, int type, const struct test_filter *filter)
{
	const struct tcmsg head = {.tcm_ifindex = filter->ifindex,
		.tcm_parent = INGRESS,
		.tcm_handle = filter->handle,
		.tcm_info = (uint32_t)filter->priority << 16 | htobe16(filter->protocol)};
	struct nl_msg *msg = nlmsg_alloc();

	nlmsg_put(msg, 0, request->nlmsg_seq, type, 0, NLM_F_MULTI);
	nlmsg_append(msg, (void *)&head, sizeof head, NLMSG_ALIGNTO);
	nla_put_string(msg, TCA_KIND, "flower");
	struct nlattr *options = nla_nest_start(msg, TCA_OPTIONS);
	nla_put_u32(msg, TCA_FLOWER_FLAGS, filter->flags);
	put_action(msg, filter);
	nla_nest_end(msg, options);
	answer(c, msg);
}

/* ---- filters ---- */

static bool is_at(const struct test_filter *filter, const struct tcmsg *head)
{
	unsigned priority = head->tcm_info >> 16;

	return filter->ifindex == head->tcm_ifindex && (!priority || filter->priority == priority) &&
	       (!head->tcm_handle || filter->handle == head->tcm_handle);
}

static void read_action(struct nlattr *action, struct test_filter *ret)
{
	struct nlattr *attributes[TCA_ACT_MAX + 1], *options[TCA_MIRRED_MAX + 1];

	nla_parse_nested(attributes, TCA_ACT_MAX, action, NULL);
	if (attributes[TCA_ACT_COOKIE]) {
		ret->cookie_size = (unsigned)nla_len(attributes[TCA_ACT_COOKIE]);
		memcpy(ret->cookie, nla_data(attributes[TCA_ACT_COOKIE]),
			MIN(ret->cookie_size, sizeof ret->cookie));
	}
	if (nla_strcmp(attributes[TCA_ACT_KIND], "mirred") != 0)
		return;
	nla_parse_nested(options, TCA_MIRRED_MAX, attributes[TCA_ACT_OPTIONS], NULL);
	ret->redirect = (int)((const struct tc_mirred *)nla_data(options[TCA_MIRRED_PARMS]))->ifindex;
}

static struct test_filter read_filter(struct nlmsghdr *request)
{
	const struct tcmsg *head = nlmsg_data(request);
	struct nlattr *attributes[TCA_MAX + 1], *options[TCA_FLOWER_MAX + 1], *action;
	struct test_filter filter = {.ifindex = head->tcm_ifindex,
		.priority = (uint16_t)(head->tcm_info >> 16),
		.protocol = be16toh((uint16_t)head->tcm_info),
		.handle = head->tcm_handle};
	int left;

	nlmsg_parse(request, sizeof *head, attributes, TCA_MAX, NULL);
	nla_parse_nested(options, TCA_FLOWER_MAX, attributes[TCA_OPTIONS], NULL);
	filter.flags = nla_get_u32(options[TCA_FLOWER_FLAGS]);
	filter.tunnelled = options[TCA_FLOWER_KEY_ENC_UDP_DST_PORT_MASK];
	nla_for_each_nested(action, options[TCA_FLOWER_ACT], left) read_action(action, &filter);
	return filter;
}

static bool is_refused(const struct test_kernel *kernel, const struct test_filter *filter)
{
	if (filter->ifindex == kernel->tunnel && !filter->tunnelled)
		return true;
	return !(filter->flags & TCA_CLS_FLAGS_SKIP_HW) &&
	       kernel->refusal == (filter->redirect ? TEST_REFUSE_FLOWS : TEST_REFUSE_GUARDS);
}

static bool has_device(const struct test_kernel *kernel, int ifindex)
{
	return g_hash_table_contains(kernel->devices, GINT_TO_POINTER(ifindex));
}

static int put_filter(struct connection *c, struct nlmsghdr *request)
{
	struct test_filter filter = read_filter(request);

	if (!test_kernel_has_ingress(c->kernel, filter.ifindex))
		return has_device(c->kernel, filter.ifindex) ? -EINVAL : -ENODEV;
	for (guint i = 0; i < c->kernel->filters->len; i++) {
		const struct test_filter *other = &g_array_index(c->kernel->filters, struct test_filter, i);
		if (other->ifindex != filter.ifindex || other->priority != filter.priority)
			continue;
		if (other->protocol != filter.protocol)
			return -EINVAL;
		if (other->handle == filter.handle)
			return -EEXIST;
	}
	if (filter.redirect && !has_device(c->kernel, filter.redirect))
		return -ENODEV;
	if (is_refused(c->kernel, &filter))
		return filter.flags & TCA_CLS_FLAGS_SKIP_SW ? -EOPNOTSUPP : 0;
	if (!(filter.flags & TCA_CLS_FLAGS_SKIP_HW) &&
		(filter.redirect || c->kernel->refusal != TEST_IGNORE_GUARDS))
		filter.flags |= TCA_CLS_FLAGS_IN_HW;
	g_array_append_val(c->kernel->filters, filter);
	if (request->nlmsg_flags & NLM_F_ECHO)
		answer_filter(c, request, RTM_NEWTFILTER, &filter);
	return 0;
}

static int remove_filters(struct connection *c, struct nlmsghdr *request)
{
	GArray *filters = c->kernel->filters;
	int status = -ENOENT;

	for (guint i = filters->len; i-- > 0;) {
		const struct test_filter *filter = &g_array_index(filters, struct test_filter, i);
		if (!is_at(filter, nlmsg_data(request)))
			continue;
		if (request->nlmsg_flags & NLM_F_ECHO)
			answer_filter(c, request, RTM_DELTFILTER, filter);
		g_array_remove_index(filters, i);
		status = 0;
	}
	return status;
}

/* Of a device that is not there it has none to tell of. */
static void dump_filters(struct connection *c, const struct nlmsghdr *request)
{
	const struct tcmsg *head = nlmsg_data(request);

	for (guint i = 0; i < c->kernel->filters->len && head->tcm_parent == INGRESS; i++) {
		const struct test_filter *filter = &g_array_index(c->kernel->filters, struct test_filter, i);
		if (is_at(filter, head))
			answer_filter(c, request, RTM_NEWTFILTER, filter);
	}
}

/* ---- the rest ---- */

static int set_ingress(struct test_kernel *kernel, const struct tcmsg *head, bool on)
{
	if (!has_device(kernel, head->tcm_ifindex))
		return -ENODEV;
	if (test_kernel_has_ingress(kernel, head->tcm_ifindex) == on)
		return on ? -EEXIST : -ENOENT;
	test_kernel_add_device(kernel, head->tcm_ifindex, on);
	if (!on)
		test_kernel_clear(kernel, head->tcm_ifindex, 0, UINT16_MAX);
	return 0;
}

static int set_police(struct test_kernel *kernel, struct nlmsghdr *request, bool on)
{
	struct nlattr *table = nlmsg_find_attr(request, sizeof(struct tcamsg), TCA_ACT_TAB);
	struct nlattr *attributes[TCA_ACT_MAX + 1], *options[TCA_POLICE_MAX + 1];

	nla_parse_nested(attributes, TCA_ACT_MAX, nla_data(table), NULL);
	if (!on) {
		guint index = nla_get_u32(attributes[TCA_ACT_INDEX]);
		return g_hash_table_remove(kernel->police, GUINT_TO_POINTER(index)) ? 0 : -ENOENT;
	}
	nla_parse_nested(options, TCA_POLICE_MAX, attributes[TCA_ACT_OPTIONS], NULL);
	if (kernel->refusal == TEST_REFUSE_POLICE)
		return -EOPNOTSUPP;
	const struct tc_police *police = nla_data(options[TCA_POLICE_TBF]);
	g_hash_table_add(kernel->police, GUINT_TO_POINTER(police->index));
	return 0;
}

static int execute(struct connection *c, struct nlmsghdr *request)
{
	switch (request->nlmsg_type) {
	case RTM_NEWQDISC:
	case RTM_DELQDISC:
		return set_ingress(c->kernel, nlmsg_data(request), request->nlmsg_type == RTM_NEWQDISC);
	case RTM_NEWTFILTER: return put_filter(c, request);
	case RTM_DELTFILTER: return remove_filters(c, request);
	case RTM_NEWACTION:
	case RTM_DELACTION: return set_police(c->kernel, request, request->nlmsg_type == RTM_NEWACTION);
	case RTM_GETLINK:
		return has_device(c->kernel, ((const struct ifinfomsg *)nlmsg_data(request))->ifi_index)
			       ? 0
			       : -ENODEV;
	default: return -EOPNOTSUPP;
	}
}

/* ---- the connection ---- */

static int test_send(struct tc_kernel *end, const void *bytes, size_t size)
{
	struct connection *c = (struct connection *)end;
	g_autofree uint8_t *copy = g_memdup2(bytes, size);
	int left = (int)size;

	for (struct nlmsghdr *h = (struct nlmsghdr *)copy; nlmsg_ok(h, left); h = nlmsg_next(h, &left)) {
		if (h->nlmsg_type == RTM_GETTFILTER) {
			dump_filters(c, h);
			answer_done(c, h);
		} else {
			answer_status(c, h, execute(c, h));
		}
	}
	return 0;
}

static ssize_t test_receive(struct tc_kernel *end, void *buffer, size_t size)
{
	g_autoptr(GBytes) answer = g_queue_pop_head(((struct connection *)end)->answers);

	if (!answer)
		return -EAGAIN;
	g_assert_cmpuint(g_bytes_get_size(answer), <=, size);
	memcpy(buffer, g_bytes_get_data(answer, NULL), g_bytes_get_size(answer));
	return (ssize_t)g_bytes_get_size(answer);
}

static void test_close(struct tc_kernel *end)
{
	struct connection *c = (struct connection *)end;

	g_assert_true(g_queue_is_empty(c->answers)); /* all were heard */
	g_queue_free(c->answers);
	g_free(c);
}

static const struct tc_kernel_ops test_ops = {
	.send = test_send, .receive = test_receive, .close = test_close};

struct tc_kernel *test_kernel_connect(struct test_kernel *kernel)
{
	struct connection *c = g_new0(struct connection, 1);

	c->end.ops = &test_ops;
	c->kernel = kernel;
	c->answers = g_queue_new();
	return &c->end;
}

/* ---- the test's end ---- */

struct test_kernel *test_kernel_new(void)
{
	struct test_kernel *kernel = g_new0(struct test_kernel, 1);

	kernel->devices = g_hash_table_new(NULL, NULL);
	kernel->filters = g_array_new(false, false, sizeof(struct test_filter));
	kernel->police = g_hash_table_new(NULL, NULL);
	return kernel;
}

void test_kernel_free(struct test_kernel *kernel)
{
	g_hash_table_unref(kernel->devices);
	g_array_unref(kernel->filters);
	g_hash_table_unref(kernel->police);
	g_free(kernel);
}

void test_kernel_add_device(struct test_kernel *kernel, int ifindex, bool ingress)
{
	g_hash_table_replace(kernel->devices, GINT_TO_POINTER(ifindex), GINT_TO_POINTER(ingress));
}

void test_kernel_remove_device(struct test_kernel *kernel, int ifindex)
{
	test_kernel_clear(kernel, ifindex, 0, UINT16_MAX);
	g_hash_table_remove(kernel->devices, GINT_TO_POINTER(ifindex));
}

bool test_kernel_has_ingress(const struct test_kernel *kernel, int ifindex)
{
	return g_hash_table_lookup(kernel->devices, GINT_TO_POINTER(ifindex));
}

void test_kernel_clear(struct test_kernel *kernel, int ifindex, unsigned first, unsigned last)
{
	for (guint i = kernel->filters->len; i-- > 0;) {
		const struct test_filter *filter = &g_array_index(kernel->filters, struct test_filter, i);
		if (filter->ifindex == ifindex && filter->priority >= first && filter->priority <= last)
			g_array_remove_index(kernel->filters, i);
	}
}

unsigned test_kernel_count(const struct test_kernel *kernel, int ifindex, int redirect)
{
	unsigned n = 0;

	for (guint i = 0; i < kernel->filters->len; i++) {
		const struct test_filter *filter = &g_array_index(kernel->filters, struct test_filter, i);
		n += filter->ifindex == ifindex && filter->redirect == redirect;
	}
	return n;
}
