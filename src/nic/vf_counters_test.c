/* Tests of VFs' counters: the kernel's answer about a PF, as it was recorded, and with what other drivers put into it. */
#include "nic/vf_counters.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <string.h>

/* Of igb, which counts nothing of its two VFs (traces/igb-vfs.trace). Its bytes, Owned by the caller. */
static GByteArray *answer_of_igb(void)
{
	g_autofree char *path = g_test_build_filename(G_TEST_DIST, "traces", "igb-vfs.trace", NULL),
			*text = NULL;
	GByteArray *bytes = g_byte_array_new();

	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	for (const char *at = strchr(text, '\n') + 1; g_ascii_isxdigit(at[0]); at += 2) {
		uint8_t byte = (uint8_t)(g_ascii_xdigit_value(at[0]) << 4 | g_ascii_xdigit_value(at[1]));
		g_byte_array_append(bytes, &byte, 1);
	}
	return bytes;
}

static struct nlmsghdr *header_of(GByteArray *answer)
{
	struct nlmsghdr *header = (void *)answer->data;

	g_assert_cmpuint(header->nlmsg_type, ==, RTM_NEWLINK);
	g_assert_cmpuint(header->nlmsg_len, ==, answer->len);
	return header;
}

/* The counter in the answer, as a driver that has ndo_get_vf_stats puts it there. */
static struct nlattr *find_counter(struct nlmsghdr *header, unsigned vf, int counter)
{
	struct nlattr *list = nlmsg_find_attr(header, sizeof(struct ifinfomsg), IFLA_VFINFO_LIST), *info;
	int rest;

	g_assert_nonnull(list);
	nla_for_each_nested(info, list, rest)
	{
		struct nlattr *stats = nla_find(nla_data(info), nla_len(info), IFLA_VF_STATS);
		g_assert_nonnull(stats);
		if (vf-- == 0)
			return nla_find(nla_data(stats), nla_len(stats), counter);
	}
	g_assert_not_reached();
}

static void set_counter(struct nlmsghdr *header, unsigned vf, int counter, uint64_t value)
{
	memcpy(nla_data(find_counter(header, vf, counter)), &value, sizeof value);
}

static void test_none(void)
{
	g_autoptr(GByteArray) answer = answer_of_igb();
	g_autoptr(GArray) all = vf_counters_parse(header_of(answer));
	const struct vf_counters first = vf_counters_of(all, 0);

	g_assert_cmpuint(all->len, ==, 0);
	g_assert_cmpuint(first.known, ==, 0);
	g_assert_null(vf_counters_encode(&first));
}

static void test_all(void)
{
	static const int attributes[VF_COUNTERS] = {IFLA_VF_STATS_RX_PACKETS, IFLA_VF_STATS_RX_BYTES,
		IFLA_VF_STATS_BROADCAST, IFLA_VF_STATS_MULTICAST, IFLA_VF_STATS_RX_DROPPED,
		IFLA_VF_STATS_TX_PACKETS, IFLA_VF_STATS_TX_BYTES, IFLA_VF_STATS_TX_DROPPED};
	g_autoptr(GByteArray) answer = answer_of_igb();

	for (unsigned i = 0; i < VF_COUNTERS; i++)
		set_counter(header_of(answer), 1, attributes[i], (1ull << 40) + i);
	g_autoptr(GArray) all = vf_counters_parse(header_of(answer));
	const struct vf_counters idle = vf_counters_of(all, 0), busy = vf_counters_of(all, 1),
				 absent = vf_counters_of(all, 2);
	g_assert_cmpuint(idle.known, ==, (1u << VF_COUNTERS) - 1);
	g_assert_cmpuint(idle.values[VF_RX_PACKETS], ==, 0);
	for (unsigned i = 0; i < VF_COUNTERS; i++)
		g_assert_cmpuint(busy.values[i], ==, (1ull << 40) + i);
	g_assert_cmpuint(absent.known, ==, 0);
	json_auto_t *json = vf_counters_encode(&busy);
	g_assert_cmpuint(json_object_size(json), ==, VF_COUNTERS);
	g_assert_cmpint(json_integer_value(json_object_get(json, "rx_dropped")), ==, (1ll << 40) + 4);
	g_assert_cmpstr(vf_counter_title(VF_TX_DROPPED), ==, "TX DROPPED");
}

/* An older kernel's, which has no dropped packets. */
static void test_some(void)
{
	g_autoptr(GByteArray) answer = answer_of_igb();
	struct nlattr *dropped = find_counter(header_of(answer), 0, IFLA_VF_STATS_TX_DROPPED);

	dropped->nla_type = IFLA_VF_STATS_PAD;
	set_counter(header_of(answer), 0, IFLA_VF_STATS_TX_BYTES, 60);
	g_autoptr(GArray) all = vf_counters_parse(header_of(answer));
	const struct vf_counters first = vf_counters_of(all, 0);
	json_auto_t *json = vf_counters_encode(&first);
	g_assert_null(json_object_get(json, "tx_dropped"));
	g_assert_cmpint(json_integer_value(json_object_get(json, "tx_bytes")), ==, 60);
}

/* Cut off anywhere, it is read without harm. */
static void test_cut(void)
{
	g_autoptr(GByteArray) answer = answer_of_igb();

	set_counter(header_of(answer), 1, IFLA_VF_STATS_RX_BYTES, 60);
	for (guint length = NLMSG_HDRLEN; length < answer->len; length++) {
		g_autofree struct nlmsghdr *part = g_memdup2(answer->data, length);
		part->nlmsg_len = length;
		g_autoptr(GArray) all = vf_counters_parse(part);
		g_assert_cmpuint(all->len, <=, 2);
	}
}

static void test_no_interface(void)
{
	g_autoptr(GError) error = NULL;
	_cleanup_(links_close) struct links *links = links_open(NULL, &error);

	g_assert_no_error(error);
	for (int again = 0; again < 2; again++) {
		g_autoptr(GArray) none = vf_counters_read(links, "none9"), lo = vf_counters_read(links, "lo");
		g_assert_cmpuint(none->len, ==, 0);
		g_assert_cmpuint(lo->len, ==, 0);
	}
	g_assert_true(links_exists(links, "lo"));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define TEST(name, function) g_test_add_func("/vf counters/" name, function)
	TEST("zeros of all VFs are those of a driver that counts nothing", test_none);
	TEST("counters are read of each VF, dropped packets too", test_all);
	TEST("what a kernel does not show is not told", test_some);
	TEST("an answer that is cut off is read without harm", test_cut);
	TEST("an interface that is not there, or has no VFs, has none", test_no_interface);
	return g_test_run();
}
