/* Options of `sluice up`: which make a cloud, and what is said of those that do not. */
#include "base/fault.h"
#include "cli/up_priv.h"
#include "nic/host_file.h"

#include <string.h>

static struct up_options good(void)
{
	return (struct up_options){
		.outside = (char *)"host",
		.host_file = (char *)HOST_FILE,
		.listen = (char *)"127.0.0.1:8443",
		.agent_listen = (char *)"127.0.0.1:8444",
		.locations = (char *)"centralus",
		.public_prefix = (char *)"198.18.0.0/24",
		.cpu_ratio = 16,
		.ram_ratio = 1.5,
		.workers = 1,
	};
}

static void assert_refused(struct up_options options, const char *part)
{
	g_autoptr(GError) error = NULL;

	g_assert_false(up_check_options(&options, &error));
	g_assert_error(error, FAULT, FAULT_INVALID);
	g_test_message("%s", error->message);
	g_assert_nonnull(strstr(error->message, part));
}

static void test_gateway(void)
{
	static const struct {
		const char *prefix, *gateway, *used;
	} cases[] = {{"198.18.0.0/24", NULL, "198.18.0.1"}, {"203.0.113.8/29", NULL, "203.0.113.9"},
		{"203.0.113.0/24", "203.0.113.254", "203.0.113.254"}};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct up_options options = good();
		g_autoptr(GError) error = NULL;
		options.public_prefix = (char *)cases[i].prefix;
		options.public_gateway = (char *)cases[i].gateway;
		g_assert_true(up_check_options(&options, &error));
		g_assert_cmpstr(options.public_gateway, ==, cases[i].used);
	}
}

static void test_pool(void)
{
	static const struct {
		const char *prefix, *gateway, *part;
	} cases[] = {
		{"198.18.0.9/24", NULL, "198.18.0.0/24 is probably meant"},
		{"198.18.5.9/15", NULL, "198.18.0.0/15 is probably meant"},
		{"198.18.0.0/30", NULL, "/29 is the smallest pool"},
		{"198.18.0.1", NULL, "/29 is the smallest pool"},
		{"198.18.0.0/33", NULL, "an IPv4 prefix"},
		{"fd00::/64", NULL, "an IPv4 prefix"},
		{"pool", NULL, "not 'pool'"},
		{"198.18.0.0/24", "198.18.1.1", "an address of 198.18.0.0/24, not '198.18.1.1'"},
		{"198.18.0.0/24", "", "an address of 198.18.0.0/24"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct up_options options = good();
		options.public_prefix = (char *)cases[i].prefix;
		options.public_gateway = (char *)cases[i].gateway;
		assert_refused(options, cases[i].part);
	}
}

/* What the switch is told, in the words that it has. */
static void test_switch(void)
{
	struct up_options options = good();
	g_autoptr(GPtrArray) bare = up_switch_arguments(&options, "/s", "/d");

	g_assert_cmpuint(bare->len, ==, 3);
	g_assert_cmpstr(bare->pdata[0], ==, "--socket=/s");
	g_assert_cmpstr(bare->pdata[1], ==, "--state-dir=/d");
	g_assert_cmpstr(bare->pdata[2], ==, "--workers=1");
	options.switch_values[0] = (char *)"/mnt/huge/flows";
	options.switch_values[UP_SWITCH_OPTIONS - 1] = (char *)"1";
	g_autoptr(GPtrArray) args = up_switch_arguments(&options, "/s", "/d");
	g_assert_cmpuint(args->len, ==, 5);
	g_assert_cmpstr(args->pdata[3], ==, "--flow-memory=/mnt/huge/flows");
	g_assert_cmpstr(args->pdata[4], ==, "--numa-node=1");
	for (unsigned i = 0; i < UP_SWITCH_OPTIONS; i++)
		g_assert_true(g_str_has_prefix(up_switch_options[i].name, UP_SWITCH_PREFIX));
}

static void test_refusals(void)
{
	struct up_options options = good();

	options.agent_listen = (char *)"0.0.0.0:8443";
	assert_refused(options, "--listen 127.0.0.1:8443 and --agent-listen 0.0.0.0:8443 are one place");
	options = good();
	options.listen = (char *)"8443";
	assert_refused(options, "--listen takes ADDR:PORT");
	options = good();
	options.locations = (char *)" , ,";
	assert_refused(options, "--locations names none");
	options = good();
	options.workers = 0;
	assert_refused(options, "--workers takes a number from 1 to 16, not 0");
	options.workers = 17;
	assert_refused(options, "not 17");
	options = good();
	options.ram_ratio = 0;
	assert_refused(options, "greater than 0");
	options = good();
	options.outside = (char *)"moon";
	assert_refused(options, "not 'moon'");
	options = good();
	options.sizes = (char *)"/nonexistent";
	assert_refused(options, "--sizes /nonexistent: there is no such file");
	options = good();
	options.host_file = (char *)"/nonexistent";
	assert_refused(options, "--host-file /nonexistent: there is no such file");
	options = good();
	options.controller = (char *)"10.0.0.1:8444";
	assert_refused(options, "--controller takes a URL such as https://");
	for (const char *const *tunnel = (const char *const[]){"0.0.0.0:8446", "10.0.0.1", "host:8446", NULL};
		*tunnel; tunnel++) {
		options = good();
		options.tunnel = (char *)*tunnel;
		assert_refused(
			options, "--tunnel takes the IPv4 address at which other hosts reach this one");
	}
	options.tunnel = (char *)"10.0.0.1:0";
	assert_refused(options, "--tunnel");
}

static void test_underlay(void)
{
	struct up_options options = good();
	g_autoptr(GError) error = NULL;

	options.underlay_mtu = 1500;
	assert_refused(options, "need --underlay");
	options = good();
	options.underlay = (char *)"eth1";
	assert_refused(options, "given together");
	options.underlay_address = (char *)"172.16.0.1";
	assert_refused(options, "not '172.16.0.1'");
	options.underlay_address = (char *)"fd00::1/64";
	assert_refused(options, "an IPv4 address");
	options.underlay_address = (char *)"172.16.0.1/33";
	assert_refused(options, "not '172.16.0.1/33'");
	options.underlay_address = (char *)"host";
	g_assert_true(up_check_options(&options, &error));
	options.underlay_address = (char *)"172.16.0.1/24";
	options.controller = (char *)"https://10.0.0.1:8444";
	g_assert_true(up_check_options(&options, &error));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/up_options/the gateway is the pool's first address unless given", test_gateway);
	g_test_add_func("/up_options/a pool without room or with stray bits is refused", test_pool);
	g_test_add_func("/up_options/the switch is told what is for it, and no more", test_switch);
	g_test_add_func("/up_options/what makes no cloud is refused with its option", test_refusals);
	g_test_add_func("/up_options/an underlay has an interface and an address", test_underlay);
	return g_test_run();
}
