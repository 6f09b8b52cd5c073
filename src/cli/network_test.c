/* How `sluice network segment` finds the network that it is told. */
#include "cli/cli.h"
#include "cli/test_controller.h"

#include <string.h>

#define NETWORK(uid, group, name)                                                                            \
	"{\"uid\": \"" uid "\", \"name\": \"" name "\", \"group\": \"" group "\", \"segment\": \"vxlan\", "  \
	"\"nicCount\": 0}"

static void answer(SoupServerMessage *message, const char *path, GHashTable *query, void *data)
{
	static const char list[] = "{\"networks\": [" NETWORK("n1", "rg", "web") ", " NETWORK(
		"n2", "rg", "twin") ", " NETWORK("n3", "other", "twin") "]}";

	if (g_str_has_suffix(path, "/networks"))
		test_controller_reply(message, 200, list);
	else if (g_str_has_suffix(path, "/networks/n1/segment") ||
		 g_str_has_suffix(path, "/networks/RG/Web/segment"))
		test_controller_reply(message, 200, NETWORK("n1", "rg", "web"));
	else if (g_str_has_suffix(path, "/networks/other/twin/segment"))
		test_controller_reply(message, 200, NETWORK("n3", "other", "twin"));
	else if (g_str_has_suffix(path, "/physical-networks/p"))
		test_controller_reply(message, 400,
			"{\"error\": {\"code\": \"InvalidParameter\", \"message\": \"'abc' are no VLANs\"}}");
	else if (g_str_has_suffix(path, "/networks/n2/segment"))
		test_controller_reply(message, 400,
			"{\"error\": {\"code\": \"InvalidResourceReference\", \"message\": \"there is "
			"none\"}}");
	else
		test_controller_reply(
			message, 404, "{\"error\": {\"code\": \"x\", \"message\": \"not asked for\"}}");
}

static int run_case(const char *words)
{
	return test_case_call(cli_network, words);
}

static const struct test_case cases[] = {
	{"network list", CLI_OK, "NETWORK*\nother/twin *n3\nrg/twin *n2\nrg/web *n1\n", ""},
	{"network segment web --vxlan", CLI_OK, "rg/web: vxlan\n", ""},
	{"network segment RG/Web --vxlan", CLI_OK, "rg/web: vxlan\n", ""},
	{"network segment n1 --vxlan", CLI_OK, "rg/web: vxlan\n", ""},
	{"network segment other/twin --vxlan", CLI_OK, "other/twin: vxlan\n", ""},
	{"network segment twin --vxlan", CLI_USAGE,
		"sluice network: 2 virtual networks are called twin; give GROUP/NAME or a uid, *"},
	{"network segment none --vlan physnet1:7", CLI_FAILED,
		"sluice network: there is no virtual network none: give NAME, GROUP/NAME or a uid, as "
		"'sluice network "
		"list' shows them\n"},
	{"network physical add p --vlans abc", CLI_USAGE, "sluice network: 'abc' are no VLANs\n"},
	{"network segment n2 --vlan gone", CLI_FAILED, "sluice network: there is none\n"},
};

static void test_segment(void)
{
	test_controller_assert(run_case, answer, NULL, cases, G_N_ELEMENTS(cases));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/network/a network is named by its name, by group and name, or by its uid; words "
			"that are refused end with 2, what is not there with 1",
		test_segment);
	return g_test_run();
}
