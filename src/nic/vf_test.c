/* Tests of VFs' VLANs by their protocol: what the kernel tells of them, by its answers as they were recorded on netdevsim
 * (traces/netdevsim-vf.trace), and what is asked of it. Live where SLUICE_NETDEVSIM is "record" or "live", in the lab
 * (test/lab/switchdev_test.py, which sets the NIC up); "record" writes the trace anew, to SLUICE_TRACES. */
#include "base/fault.h"
#include "nic/link_priv.h"
#include "nic/vf_priv.h"

#include <linux/if_ether.h>
#include <linux/rtnetlink.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/object.h>
#include <netlink/route/link.h>
#include <netlink/route/link/sriov.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#define PF    "sim1p"
#define TRACE "netdevsim-vf.trace"

static const struct vf_attributes stacked = {.vlan = 100, .priority = 3, .vlan_protocol = ETH_P_8021AD},
				  plain = {.vlan = 7, .vlan_protocol = ETH_P_8021Q};

/* ---- answers ---- */

static void take_link(struct nl_object *object, void *data)
{
	struct rtnl_link **link = data;

	nl_object_get(object);
	*link = (struct rtnl_link *)object;
}

/* What is known of a VF by an answer of the kernel's. */
static struct vf_attributes read_answer(struct nlmsghdr *answer, unsigned index)
{
	struct nl_msg *message = nlmsg_convert(answer);
	struct rtnl_link *link = NULL;
	struct vf_attributes is;

	nlmsg_set_proto(message, NETLINK_ROUTE);
	g_assert_cmpint(nl_msg_parse(message, take_link, &link), ==, 0);
	struct rtnl_link_vf *vf = rtnl_link_vf_get(link, index);
	g_assert_nonnull(vf);
	vf_take(vf, &is);
	rtnl_link_vf_put(vf);
	rtnl_link_put(link);
	nlmsg_free(message);
	return is;
}

static void expect_vlan(struct vf_attributes is, const struct vf_attributes *want)
{
	g_autofree char *text = vf_attribute_format(&is, VF_VLAN);

	g_test_message("%s", text);
	g_assert_true(is.known & VF_VLAN);
	g_assert_cmpuint(is.vlan_protocol, ==, want->vlan_protocol);
	g_assert_cmpuint(vf_compare(&is, want, VF_VLAN), ==, 0);
}

/* Its bytes as a line has them after "< ". Owned by the caller. */
static struct nlmsghdr *unhex(const char *text)
{
	size_t length = strlen(text) / 2;
	uint8_t *bytes = g_malloc(length);

	for (size_t i = 0; i < length; i++)
		bytes[i] = (uint8_t)(g_ascii_xdigit_value(text[2 * i]) << 4 |
				     g_ascii_xdigit_value(text[2 * i + 1]));
	g_assert_cmpuint(((struct nlmsghdr *)(void *)bytes)->nlmsg_len, ==, length);
	return (struct nlmsghdr *)(void *)bytes;
}

/* The first answer is of a PF whose VF 0 has the tag of 802.1ad, VF 1 the one of 802.1Q; in the second VF 0 has none. */
static void test_recorded(void)
{
	g_autofree char *path = g_test_build_filename(G_TEST_DIST, "traces", TRACE, NULL), *text = NULL;
	g_autoptr(GError) error = NULL;

	g_file_get_contents(path, &text, NULL, &error);
	g_assert_no_error(error);
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	g_assert_true(g_str_has_prefix(lines[1], "< ") && g_str_has_prefix(lines[2], "< "));
	g_autofree struct nlmsghdr *first = unhex(lines[1] + 2), *second = unhex(lines[2] + 2);
	expect_vlan(read_answer(first, 0), &stacked);
	expect_vlan(read_answer(first, 1), &plain);
	struct vf_attributes is = read_answer(second, 0);
	g_assert_cmpuint(vf_compare(&is, &(struct vf_attributes){}, VF_VLAN), ==, 0);
}

/* ---- requests ---- */

/* As iproute2 6.1 sends it for `ip link set dev lo vf 1 vlan 100 qos 3 proto 802.1ad`, whether attributes are marked as nests or
 * not. */
static void test_request(void)
{
	static const uint8_t vlan[] = {1, 0, 0, 0, 100, 0, 0, 0, 3, 0, 0, 0, 0x88, 0xa8, 0, 0};
	static const int nests[] = {IFLA_VFINFO_LIST, IFLA_VF_INFO, IFLA_VF_VLAN_LIST};
	struct nl_msg *request = vf_vlan_request(1, 1, &stacked);
	const struct nlmsghdr *header = nlmsg_hdr(request);
	const struct ifinfomsg *interface = nlmsg_data(header);
	struct nlattr *attribute = nlmsg_attrdata(header, sizeof *interface);

	g_assert_cmpint(header->nlmsg_type, ==, RTM_SETLINK);
	g_assert_cmpuint(header->nlmsg_len, ==, 64);
	g_assert_cmpint(interface->ifi_index, ==, 1);
	for (size_t i = 0; i < G_N_ELEMENTS(nests); i++) {
		g_assert_cmpint(nla_type(attribute), ==, nests[i]);
		g_assert_cmpint(nla_len(attribute), ==, 28 - 4 * (int)i);
		attribute = nla_data(attribute);
	}
	g_assert_cmpint(nla_type(attribute), ==, IFLA_VF_VLAN_INFO);
	g_assert_cmpmem(nla_data(attribute), (size_t)nla_len(attribute), vlan, sizeof vlan);
	nlmsg_free(request);
}

/* ---- live ---- */

static struct links *links;

/* What the kernel answers of the PF; Owned by the caller. */
static struct nlmsghdr *ask(void)
{
	const struct ifinfomsg interface = {.ifi_family = AF_UNSPEC};
	struct nl_msg *request = nlmsg_alloc_simple(RTM_GETLINK, 0);
	struct sockaddr_nl from;
	unsigned char *answer;

	nlmsg_append(request, (void *)&interface, sizeof interface, NLMSG_ALIGNTO);
	nla_put_string(request, IFLA_IFNAME, PF);
	nla_put_u32(request, IFLA_EXT_MASK, RTEXT_FILTER_VF);
	g_assert_cmpint(nl_send_auto(links_socket(links), request), >, 0);
	nlmsg_free(request);
	int length = nl_recv(links_socket(links), &from, &answer, NULL);
	g_assert_cmpint(length, >, 0);
	struct nlmsghdr *header = (struct nlmsghdr *)(void *)answer;
	g_assert_cmpint(header->nlmsg_type, ==, RTM_NEWLINK);
	struct nlmsghdr *copy = g_memdup2(header, header->nlmsg_len);
	free(answer);
	/* It is followed by the acknowledgement that libnl asks for. */
	nl_wait_for_ack(links_socket(links));
	return copy;
}

static void expect_written(unsigned index, const struct vf_attributes *want)
{
	g_autoptr(GError) error = NULL;
	struct vf_attributes is;

	g_assert_cmpuint(vf_write(links, PF, index, want, VF_VLAN, &error), ==, 0);
	g_assert_no_error(error);
	g_assert_true(vf_read(links, PF, index, &is, &error));
	g_assert_no_error(error);
	g_assert_cmpuint(vf_compare(&is, want, VF_VLAN), ==, 0);
}

static void record(FILE *file)
{
	g_autofree struct nlmsghdr *answer = ask();

	if (!file)
		return;
	fputs("< ", file);
	for (uint32_t i = 0; i < answer->nlmsg_len; i++)
		fprintf(file, "%02x", ((const uint8_t *)answer)[i]);
	fputc('\n', file);
}

static void test_live(void)
{
	bool records = g_str_equal(g_getenv("SLUICE_NETDEVSIM"), "record");
	g_autofree char *path = records ? g_build_filename(g_getenv("SLUICE_TRACES"), TRACE, NULL) : NULL;
	FILE *file = records ? fopen(path, "w") : NULL;
	g_autoptr(GError) error = NULL;
	struct utsname kernel;

	links = links_open(NULL, &error);
	g_assert_no_error(error);
	g_assert_cmpint(uname(&kernel), ==, 0);
	if (file)
		fprintf(file, "# Recorded on %s %s, %s\n", kernel.sysname, kernel.release, kernel.machine);
	expect_written(0, &stacked);
	expect_written(1, &plain);
	record(file);
	expect_written(0, &(struct vf_attributes){});
	record(file);
	expect_written(1, &(struct vf_attributes){});
	if (file)
		g_assert_cmpint(fclose(file), ==, 0);
	links_close(links);
}

/* What VFs a PF had may be gone between two looks. */
static void test_no_vfs(void)
{
	g_autoptr(GError) error = NULL, gone = NULL;
	struct links *here = links_open(NULL, &error);
	struct vf_attributes is;

	g_assert_no_error(error);
	g_assert_false(vf_read(here, "lo", 0, &is, &gone));
	g_assert_error(gone, FAULT, FAULT_NOT_FOUND);
	g_assert_cmpstr(gone->message, ==, "lo has no VF 0");
	links_close(here);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	if (g_getenv("SLUICE_NETDEVSIM"))
		g_test_add_func(
			"/vf/a VLAN is set with its protocol, told with it, and taken away", test_live);
	else
		g_test_add_func(
			"/vf/the kernel's answers say which protocol a VF's tag is of", test_recorded);
	g_test_add_func("/vf/a VF of an interface that has none is not found", test_no_vfs);
	g_test_add_func("/vf/a VLAN of 802.1ad is asked for as iproute2 asks for it", test_request);
	return g_test_run();
}
