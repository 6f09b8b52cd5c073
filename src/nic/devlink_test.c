/* Tests of what is asked of devlink and ethtool, each after the other on the same NIC: Linux' netdevsim, with two VFs, as it was
 * recorded (traces/); live where SLUICE_NETDEVSIM is "record" or "live", in the lab (test/lab/switchdev_test.py, which sets the
 * NIC up). "record" writes the traces anew, to SLUICE_TRACES. */
#include "base/fault.h"
#include "nic/devlink.h"
#include "nic/ethtool.h"
#include "nic/test_devlink.h"
#include "nic/test_trace.h"

#include <string.h>

#define NIC   "netdevsim/netdevsim1"
#define OTHER "netdevsim/netdevsim2" /* in switchdev mode, with a VF */

/* Of main: what all tests ask. */
static struct genl *devlink, *ethtool;

static struct genl *family_open(const char *family)
{
	g_autofree char *file = g_strdup_printf("netdevsim-%s.trace", family);
	const char *how = g_getenv("SLUICE_NETDEVSIM");
	g_autoptr(GError) error = NULL;

	if (!how) {
		g_autofree char *path = g_test_build_filename(G_TEST_DIST, "traces", file, NULL);
		return trace_replay(path);
	}
	struct genl *genl = genl_open(family, &error);
	g_assert_no_error(error);
	g_autofree char *path = g_build_filename(g_getenv("SLUICE_TRACES"), file, NULL);
	return g_str_equal(how, "record") ? trace_record(genl, path) : genl;
}

static struct devlink_eswitch eswitch_of(struct genl *genl, const char *handle)
{
	struct devlink_eswitch eswitch;
	g_autoptr(GError) error = NULL;

	devlink_read_eswitch(genl, handle, &eswitch, &error);
	g_assert_no_error(error);
	return eswitch;
}

static void write_mode(struct genl *genl, const char *handle, const char *mode)
{
	g_autoptr(GError) error = NULL;

	devlink_write_eswitch(genl, handle, DEVLINK_MODE, mode, &error);
	g_assert_no_error(error);
}

static GPtrArray *ports_of(const char *handle)
{
	g_autoptr(GError) error = NULL;
	GPtrArray *ports = devlink_ports(devlink, handle, &error);

	g_assert_no_error(error);
	return ports;
}

/* ---- netdevsim ---- */

static void test_firmware(void)
{
	g_autofree char *version = devlink_firmware(devlink, NIC), *none = devlink_firmware(devlink, "pci/x");

	g_assert_cmpstr(version, ==, "10.20.30");
	g_assert_null(none);
}

static void test_legacy(void)
{
	const struct devlink_eswitch eswitch = eswitch_of(devlink, NIC);
	g_autoptr(GPtrArray) ports = ports_of(NIC);

	g_assert_cmpstr(eswitch.mode, ==, DEVLINK_LEGACY);
	g_assert_null(eswitch.inline_mode);
	g_assert_null(eswitch.encap_mode);
	g_assert_cmpuint(ports->len, ==, 0);
}

static void test_nobody(void)
{
	struct devlink_eswitch eswitch;
	g_autoptr(GError) error = NULL;

	g_assert_false(devlink_read_eswitch(devlink, "pci/0000:00:00.0", &eswitch, &error));
	g_assert_error(error, FAULT, FAULT_UNSUPPORTED);
	g_assert_cmpstr(error->message, ==, "pci/0000:00:00.0 shows no eswitch: No such device");
}

static void test_refused(void)
{
	g_autoptr(GError) unsupported = NULL, unknown = NULL;

	g_assert_false(devlink_write_eswitch(devlink, NIC, DEVLINK_INLINE_MODE, "transport", &unsupported));
	g_assert_error(unsupported, FAULT, FAULT_UNSUPPORTED);
	g_assert_false(devlink_write_eswitch(devlink, NIC, DEVLINK_MODE, "switch", &unknown));
	g_assert_error(unknown, FAULT, FAULT_INVALID);
}

static void test_switchdev(void)
{
	write_mode(devlink, NIC, DEVLINK_SWITCHDEV);
	g_assert_cmpstr(eswitch_of(devlink, NIC).mode, ==, DEVLINK_SWITCHDEV);
	g_autoptr(GPtrArray) ports = ports_of(NIC), others = ports_of(OTHER);

	g_assert_cmpuint(ports->len, ==, 2);
	for (guint i = 0; i < ports->len; i++) {
		const struct devlink_port *port = ports->pdata[i];
		g_autofree char *name = g_strdup_printf("eth%u", i);
		g_assert_true(port->is_vf);
		g_assert_cmpuint(port->pf, ==, 0);
		g_assert_cmpuint(port->vf, ==, i);
		g_assert_cmpstr(port->netdev, ==, name);
	}
	g_assert_cmpuint(others->len, ==, 1);
}

static void test_parameter(void)
{
	g_autofree char *unknown = devlink_parameter(devlink, NIC, "flow_steering_mode"),
			*number = devlink_parameter(devlink, NIC, "max_macs");

	g_assert_null(unknown);
	g_assert_null(number); /* is no text */
}

static void test_back(void)
{
	write_mode(devlink, NIC, DEVLINK_LEGACY);
	test_legacy();
}

static void test_features(void)
{
	g_assert_cmpint(ethtool_feature(ethtool, "sim1p", "hw-tc-offload"), ==, ETHTOOL_ON);
	g_assert_cmpint(ethtool_feature(ethtool, "sim2p", "hw-tc-offload"), ==, ETHTOOL_OFF);
	g_assert_cmpint(ethtool_feature(ethtool, "lo", "hw-tc-offload"), ==, ETHTOOL_ABSENT);
	g_assert_cmpint(ethtool_feature(ethtool, "sim9p", "hw-tc-offload"), ==, ETHTOOL_UNKNOWN);
	g_assert_cmpint(ethtool_feature(ethtool, "sim2vf0", "hw-tc-offload"), ==, ETHTOOL_ON);
}

/* Both ways, and on lo, whose is fixed: the kernel answers that with success, too. */
static void test_set_feature(void)
{
	g_autoptr(GError) error = NULL, fixed = NULL, nobody = NULL, unknown = NULL;

	g_assert_true(ethtool_set_feature(ethtool, "sim2p", ETHTOOL_TC_OFFLOAD, true, &error));
	g_assert_cmpint(ethtool_feature(ethtool, "sim2p", ETHTOOL_TC_OFFLOAD), ==, ETHTOOL_ON);
	g_assert_cmpint(ethtool_feature(ethtool, "sim2vf0", ETHTOOL_TC_OFFLOAD), ==, ETHTOOL_ON);
	g_assert_true(ethtool_set_feature(ethtool, "sim2p", ETHTOOL_TC_OFFLOAD, true, &error)); /* is so */
	g_assert_true(ethtool_set_feature(ethtool, "sim2p", ETHTOOL_TC_OFFLOAD, false, &error));
	g_assert_no_error(error);
	g_assert_cmpint(ethtool_feature(ethtool, "sim2p", ETHTOOL_TC_OFFLOAD), ==, ETHTOOL_OFF);
	g_assert_cmpint(ethtool_feature(ethtool, "sim1p", ETHTOOL_TC_OFFLOAD), ==, ETHTOOL_ON);
	g_assert_false(ethtool_set_feature(ethtool, "lo", ETHTOOL_TC_OFFLOAD, true, &fixed));
	g_assert_error(fixed, FAULT, FAULT_UNSUPPORTED);
	g_assert_nonnull(
		strstr(fixed->message, "hw-tc-offload of lo cannot be turned on: its driver leaves it"));
	g_assert_cmpint(ethtool_feature(ethtool, "lo", ETHTOOL_TC_OFFLOAD), ==, ETHTOOL_ABSENT);
	g_assert_false(ethtool_set_feature(ethtool, "sim9p", ETHTOOL_TC_OFFLOAD, true, &nobody));
	g_assert_error(nobody, FAULT, FAULT_NOT_FOUND);
	g_assert_false(ethtool_set_feature(ethtool, "sim2p", "hw-moon-offload", true, &unknown));
	g_assert_nonnull(strstr(unknown->message, "hw-moon-offload of sim2p cannot be turned on: "));
}

/* lo has no driver to ask. */
static void test_channels(void)
{
	struct ethtool_queues queues;

	g_assert_true(ethtool_channels(ethtool, "sim1p", &queues));
	g_assert_cmpuint(queues.count[ETHTOOL_COMBINED], ==, 2);
	g_assert_cmpuint(queues.max[ETHTOOL_COMBINED], ==, 4);
	g_assert_cmpuint(queues.count[ETHTOOL_RX] + queues.max[ETHTOOL_RX], ==, 0);
	g_assert_cmpuint(queues.count[ETHTOOL_TX] + queues.max[ETHTOOL_TX], ==, 0);
	g_assert_false(ethtool_channels(ethtool, "lo", &queues));
	g_assert_false(ethtool_channels(ethtool, "sim9p", &queues));
}

/* ---- what netdevsim has not, on a NIC that is made up ---- */

static void test_more(void)
{
	struct test_eswitch eswitch = {.handle = "pci/0000:03:00.0",
		.is.mode = DEVLINK_LEGACY,
		.is.inline_mode = "link",
		.is.encap_mode = "none",
		.firmware = "16.35.2000",
		.steering = "smfs"};
	_cleanup_(genl_close) struct genl *genl = test_devlink_open(&eswitch, 1);
	g_autofree char *firmware = devlink_firmware(genl, eswitch.handle),
			*steering = devlink_parameter(genl, eswitch.handle, "flow_steering_mode");
	g_autoptr(GError) error = NULL;

	g_assert_cmpstr(firmware, ==, "16.35.2000");
	g_assert_cmpstr(steering, ==, "smfs");
	g_assert_cmpstr(eswitch_of(genl, eswitch.handle).inline_mode, ==, "link");
	g_assert_cmpstr(eswitch_of(genl, eswitch.handle).encap_mode, ==, "none");
	g_assert_true(devlink_write_eswitch(genl, eswitch.handle, DEVLINK_INLINE_MODE, "transport", &error));
	g_assert_true(devlink_write_eswitch(genl, eswitch.handle, DEVLINK_ENCAP_MODE, "basic", &error));
	g_assert_cmpstr(eswitch.is.inline_mode, ==, "transport");
	g_assert_cmpstr(eswitch.is.encap_mode, ==, "basic");
	g_assert_cmpstr(eswitch.is.mode, ==, DEVLINK_LEGACY);
}

static void test_sentence(void)
{
	struct test_eswitch eswitch = {.handle = "pci/0000:03:00.0",
		.is.mode = DEVLINK_LEGACY,
		.refusal = "Changing eswitch mode is allowed only if there is no VFs created"};
	_cleanup_(genl_close) struct genl *genl = test_devlink_open(&eswitch, 1);
	g_autoptr(GError) error = NULL;

	g_assert_false(devlink_write_eswitch(genl, eswitch.handle, DEVLINK_MODE, DEVLINK_SWITCHDEV, &error));
	g_assert_error(error, FAULT, FAULT_UNSUPPORTED);
	g_assert_cmpstr(error->message, ==,
		"pci/0000:03:00.0 does not take switchdev for its eswitch's mode: Changing eswitch mode is "
		"allowed only if there is no VFs created");
}

#define TEST(name, fn) g_test_add_func("/devlink/" name, fn)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	devlink = family_open("devlink");
	ethtool = family_open("ethtool");
	TEST("the version of the firmware that runs is read", test_firmware);
	TEST("an eswitch is in legacy mode, and what its driver has not is not shown", test_legacy);
	TEST("a device without devlink is unsupported", test_nobody);
	TEST("what the driver does not do, and words that there are not, are refused", test_refused);
	TEST("in switchdev mode each VF has its representor, and other NICs' are not among them",
		test_switchdev);
	TEST("a parameter that is not there, or no text, is none", test_parameter);
	TEST("back in legacy mode the representors have gone", test_back);
	TEST("offload is on, off, not to be had, or unknown", test_features);
	TEST("channels are told as they are and as they could be, or not at all", test_channels);
	TEST("offload is turned on and off, and what stays as it was is refused", test_set_feature);
	TEST("inline mode, encapsulation and steering are read, and the first two set alone", test_more);
	TEST("a driver's refusal is told in its own words", test_sentence);
	int status = g_test_run();
	genl_close(devlink);
	genl_close(ethtool);
	return status;
}
