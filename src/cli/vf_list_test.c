/* What `sluice vf list` makes of an agent's functions. */
#include "cli/vf_priv.h"

#include <glib.h>

#define VF(index, more)                                                                                      \
	"{\"function\": \"0000:3b:10." index                                                                 \
	"\", \"provider\": \"sriov\", \"physical\": \"physnet1\", \"pf\": \"ens1f0\", \"index\": " index     \
	", " more "}"
#define EMULATED(name, more)                                                                                 \
	"{\"function\": \"" name                                                                             \
	"\", \"provider\": \"emulated: no host bypass, no speed claim\", \"repaired\": null, " more "}"

/* Repairs of three hours ago and of two days ago. */
static char *list_text(void)
{
	g_autoptr(GDateTime) now = g_date_time_new_now_utc();
	g_autoptr(GDateTime) hours = g_date_time_add_minutes(now, -182);
	g_autoptr(GDateTime) days = g_date_time_add_hours(now, -51);
	g_autofree char *late = g_date_time_format_iso8601(hours), *early = g_date_time_format_iso8601(days);

	return g_strdup_printf(
		"[" EMULATED("sl-f10", "\"nic\": \"n4\", \"nic_name\": \"d\"") ", " VF(
			"10", "\"nic\": null, \"state\": \"free\"") ", " VF("2",
			"\"nic\": null, \"state\": \"free\"") ", " EMULATED("sl-f2",
			"\"nic\": \"n3\", \"nic_name\": \"c\"") ", " VF("1",
			"\"nic\": \"n1\", \"nic_name\": \"z\", \"repaired\": \"VF 1 of ens1f0 (NIC n1): its "
			"vlan was 7; it is 100 again\", \"repairs\": 2, \"repaired_at\": \"%s\", "
			"\"changes\": 44, \"dampings\": 3, \"statistics\": {\"rx_packets\": 3}") ", " VF("0",
			"\"nic\": \"n2\", \"nic_name\": \"a\", \"repaired\": \"VF 0 of ens1f0 (NIC n2): its "
			"mac was gone\", \"repairs\": 1, \"repaired_at\": \"%s\"") "]",
		late, early);
}

static void print_list(bool statistics, bool as_json)
{
	g_autofree char *text = list_text();
	json_t *list = json_loads(text, 0, NULL);

	g_assert_nonnull(list);
	vf_print_list(list, statistics, as_json);
	json_decref(list);
}

static void test_order(void)
{
	if (g_test_subprocess()) {
		print_list(false, true);
		return;
	}
	g_test_trap_subprocess(NULL, 0, 0);
	g_test_trap_assert_passed();
	g_test_trap_assert_stdout(
		"*:10.0\"*:10.1\"*\"sl-f2\"*\"sl-f10\"*:10.2\"*:10.10\"*"); /* free ones last */
}

static void test_repairs(void)
{
	if (g_test_subprocess()) {
		print_list(false, false);
		return;
	}
	g_test_trap_subprocess(NULL, 0, 0);
	g_test_trap_assert_passed();
	g_test_trap_assert_stdout(
		"FUNCTION *REPAIRED *PROVIDER\n0000:3b:10.0 *2d03h ago *sriov\n0000:3b:10.1 "
		"*3h02m ago, 2 times *sriov\nsl-f2 *- *emulated*");
	g_test_trap_assert_stdout(
		"*\nrepaired 3h02m ago, 2 times: VF 1 of ens1f0 (NIC n1): its vlan was 7; it is 100 again\n");
	g_test_trap_assert_stdout_unmatched("*its mac was gone*");
}

static void test_damped(void)
{
	if (g_test_subprocess()) {
		print_list(false, false);
		return;
	}
	g_test_trap_subprocess(NULL, 0, 0);
	g_test_trap_assert_passed();
	g_test_trap_assert_stdout("FUNCTION *CHANGES *DAMPED *REASON*\n0000:3b:10.1 *44 *3 *");
}

static void test_statistics(void)
{
	if (g_test_subprocess()) {
		print_list(true, false);
		return;
	}
	g_test_trap_subprocess(NULL, 0, 0);
	g_test_trap_assert_passed();
	g_test_trap_assert_stdout(
		"FUNCTION *TX DROPPED\n0000:3b:10.1 ens1f0 1 *z *- *3 *\n"
		"emulated functions (2) are not listed: they have no counters of their own; 'sluice top' "
		"shows what their NICs send and get\n");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func(
		"/vf list/NICs' functions come first, by physical network, PF and number", test_order);
	g_test_add_func("/vf list/a repair is told by its age, and in full for a day", test_repairs);
	g_test_add_func(
		"/vf list/a NIC whose path was damped says how often, beside its changes", test_damped);
	g_test_add_func("/vf list/emulated functions are said to have no counters", test_statistics);
	return g_test_run();
}
