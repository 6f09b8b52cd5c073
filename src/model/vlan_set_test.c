/* Sets of VLAN ids: what text they are read from and written as. */
#include "model/vlan_set.h"

#include "base/fault.h"

static void test_text(void)
{
	static const struct {
		const char *text, *canonical;
	} cases[] = {{"1", "1"}, {"4094", "4094"}, {"100-199,300", "100-199,300"}, {"1-4094", "1-4094"},
		{"300,5,100-150,120-199,200", "5,100-200,300"}, {"63-64", "63-64"}, {"7-7", "7"}};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct vlan_set set;
		g_autoptr(GError) error = NULL;
		vlan_set_parse(cases[i].text, &set, &error);
		g_assert_no_error(error);
		g_autofree char *text = vlan_set_format(&set);
		g_assert_cmpstr(text, ==, cases[i].canonical);
	}
}

static void test_has(void)
{
	struct vlan_set set;

	g_assert_true(vlan_set_parse("64,100-101", &set, NULL));
	for (int64_t id = -1; id <= 5000; id++)
		g_assert_cmpint(vlan_set_has(&set, id), ==, id == 64 || id == 100 || id == 101);
}

static void test_refused(void)
{
	static const char *const bad[] = {"", ",", "1,", ",1", "0", "4095", "0-5", "4090-4095", "9-8", "1-",
		"-1", "1-2-3", "a", "1 ,2", "+1", "1.5", "99999999999999999999999"};

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		struct vlan_set set;
		g_autoptr(GError) error = NULL;
		g_assert_false(vlan_set_parse(bad[i], &set, &error));
		g_assert_error(error, FAULT, FAULT_INVALID);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func(
		"/vlan-set/what is read is written in order, with as few ranges as can be", test_text);
	g_test_add_func("/vlan-set/it holds what was named and no other id", test_has);
	g_test_add_func("/vlan-set/what is no list of ids is refused", test_refused);
	return g_test_run();
}
