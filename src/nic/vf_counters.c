/* Counters of virtual functions, by rtnetlink: libnl-route knows of no dropped packets. */
#include "nic/vf_counters.h"

#include "nic/link_priv.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>
#include <string.h>

CLEANUP_FUNC(struct nl_cb *, nl_cb_put)
CLEANUP_FUNC(struct nl_msg *, nlmsg_free)

static const struct {
	const char *word, *title;
	int attribute;
} counters_known[VF_COUNTERS] = {
	[VF_RX_PACKETS] = {"rx_packets", "RX PACKETS", IFLA_VF_STATS_RX_PACKETS},
	[VF_RX_BYTES] = {"rx_bytes", "RX BYTES", IFLA_VF_STATS_RX_BYTES},
	[VF_RX_BROADCAST] = {"rx_broadcast", "RX BROADCAST", IFLA_VF_STATS_BROADCAST},
	[VF_RX_MULTICAST] = {"rx_multicast", "RX MULTICAST", IFLA_VF_STATS_MULTICAST},
	[VF_RX_DROPPED] = {"rx_dropped", "RX DROPPED", IFLA_VF_STATS_RX_DROPPED},
	[VF_TX_PACKETS] = {"tx_packets", "TX PACKETS", IFLA_VF_STATS_TX_PACKETS},
	[VF_TX_BYTES] = {"tx_bytes", "TX BYTES", IFLA_VF_STATS_TX_BYTES},
	[VF_TX_DROPPED] = {"tx_dropped", "TX DROPPED", IFLA_VF_STATS_TX_DROPPED},
};

const char *vf_counter_word(enum vf_counter counter)
{
	return counters_known[counter].word;
}

const char *vf_counter_title(enum vf_counter counter)
{
	return counters_known[counter].title;
}

/* ---- the answer ---- */

static GArray *counters_new(void)
{
	return g_array_new(false, false, sizeof(struct vf_counters));
}

/* Of one IFLA_VF_INFO, whose attributes all begin with the VF's number. */
static bool parse_vf(struct nlattr *info, struct vf_counters *ret)
{
	struct nlattr *vf[IFLA_VF_MAX + 1], *stats[IFLA_VF_STATS_MAX + 1];
	struct ifla_vf_mac mac;

	if (nla_type(info) != IFLA_VF_INFO || nla_parse_nested(vf, IFLA_VF_MAX, info, NULL) < 0 ||
		!vf[IFLA_VF_MAC] || !vf[IFLA_VF_STATS] ||
		nla_memcpy(&mac, vf[IFLA_VF_MAC], sizeof mac) != (int)sizeof mac ||
		nla_parse_nested(stats, IFLA_VF_STATS_MAX, vf[IFLA_VF_STATS], NULL) < 0)
		return false;
	*ret = (struct vf_counters){.index = mac.vf};
	for (unsigned i = 0; i < VF_COUNTERS; i++) {
		const struct nlattr *value = stats[counters_known[i].attribute];
		if (value && nla_len(value) == (int)sizeof ret->values[i]) {
			ret->values[i] = nla_get_u64(value);
			ret->known |= 1u << i;
		}
	}
	return ret->known != 0;
}

static bool is_counted(const struct vf_counters *counters)
{
	uint64_t any = 0;

	for (unsigned i = 0; i < VF_COUNTERS; i++)
		any |= counters->values[i];
	return any != 0;
}

GArray *vf_counters_parse(const struct nlmsghdr *answer)
{
	struct nlattr *link[IFLA_MAX + 1], *info;
	g_autoptr(GArray) all = counters_new();
	bool counted = false;
	int rest;

	if (nlmsg_parse((struct nlmsghdr *)answer, sizeof(struct ifinfomsg), link, IFLA_MAX, NULL) < 0 ||
		!link[IFLA_VFINFO_LIST])
		return g_steal_pointer(&all);
	nla_for_each_nested(info, link[IFLA_VFINFO_LIST], rest)
	{
		struct vf_counters counters;
		if (!parse_vf(info, &counters))
			continue;
		g_array_append_val(all, counters);
		counted |= is_counted(&counters);
	}
	return counted ? g_steal_pointer(&all) : counters_new();
}

/* ---- asking ---- */

/* One request under way. */
struct exchange {
	GArray *counters; /* Owned; NULL: no answer yet */
	bool done;
};

static int on_answer(struct nl_msg *message, void *data)
{
	struct exchange *exchange = data;

	if (!exchange->counters)
		exchange->counters = vf_counters_parse(nlmsg_hdr(message));
	return NL_OK;
}

static int on_end(struct nl_msg *message, void *data)
{
	((struct exchange *)data)->done = true;
	return NL_STOP;
}

static int on_error(struct sockaddr_nl *from, struct nlmsgerr *error, void *data)
{
	((struct exchange *)data)->done = true;
	return NL_STOP;
}

GArray *vf_counters_read(struct links *links, const char *pf)
{
	_cleanup_(nl_cb_put) struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	_cleanup_(nlmsg_free) struct nl_msg *request = NULL;
	struct exchange exchange = {};

	/* It asks for VFs (RTEXT_FILTER_VF), and not to leave their counters out (RTEXT_FILTER_SKIP_STATS). */
	int rc = cb ? rtnl_link_build_get_request(0, pf, &request) : -NLE_NOMEM;
	if (rc >= 0) {
		nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, on_answer, &exchange);
		nl_cb_set(cb, NL_CB_ACK, NL_CB_CUSTOM, on_end, &exchange);
		nl_cb_err(cb, NL_CB_CUSTOM, on_error, &exchange);
		rc = nl_send_auto(links_socket(links), request);
	}
	while (rc >= 0 && !exchange.done)
		rc = nl_recvmsgs(links_socket(links), cb);
	return exchange.counters ? exchange.counters : counters_new();
}

/* ---- telling ---- */

struct vf_counters vf_counters_of(const GArray *all, unsigned index)
{
	for (guint i = 0; i < all->len; i++) {
		const struct vf_counters *counters = &g_array_index(all, struct vf_counters, i);
		if (counters->index == index)
			return *counters;
	}
	return (struct vf_counters){.index = index};
}

json_t *vf_counters_encode(const struct vf_counters *counters)
{
	json_t *json = counters->known ? json_object() : NULL;

	for (unsigned i = 0; i < VF_COUNTERS; i++)
		if (counters->known & 1u << i)
			json_object_set_new(
				json, counters_known[i].word, json_integer((json_int_t)counters->values[i]));
	return json;
}
