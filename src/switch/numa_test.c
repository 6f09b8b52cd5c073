/* Tests of NUMA nodes, on made-up trees and on the machine itself. */
#include "switch/numa.h"

#include "base/fault.h"
#include "base/test_tree.h"

#include <linux/mempolicy.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NODE "sys/devices/system/node/"

static cpu_set_t all(void)
{
	cpu_set_t set;

	memset(&set, 0xff, sizeof set);
	return set;
}

static void test_processors(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_new();
	cpu_set_t allowed = all(), got;

	tree_write(tree, "0-1,4,8-9", NODE "node1/cpulist");
	g_assert_true(numa_processors(tree->root, 1, &allowed, &got, NULL));
	g_assert_cmpint(CPU_COUNT(&got), ==, 5);
	g_assert_true(CPU_ISSET(4, &got) && CPU_ISSET(9, &got) && !CPU_ISSET(3, &got));
	CPU_CLR(4, &allowed);
	g_assert_true(numa_processors(tree->root, 1, &allowed, &got, NULL));
	g_assert_false(CPU_ISSET(4, &got));
}

static void expect_fault(
	const struct tree *tree, unsigned node, const cpu_set_t *allowed, int code, const char *says)
{
	g_autoptr(GError) error = NULL;
	cpu_set_t got;

	g_assert_false(numa_processors(tree->root, node, allowed, &got, &error));
	g_assert_error(error, FAULT, code);
	g_assert_nonnull(strstr(error->message, says));
}

static void test_refused(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_new();
	cpu_set_t allowed = all(), none;

	CPU_ZERO(&none);
	tree_write(tree, "0-1", NODE "node0/cpulist");
	tree_write(tree, "", NODE "node2/cpulist"); /* memory alone */
	expect_fault(tree, 1, &allowed, FAULT_NOT_FOUND, "no NUMA node 1");
	expect_fault(tree, 0, &none, FAULT_INVALID, "it has 0-1");
	expect_fault(tree, 2, &allowed, FAULT_INVALID, "it has none");
}

static void test_device(void)
{
	_cleanup_(tree_free) struct tree *tree = tree_new();

	tree_write(tree, "1", "sys/bus/pci/devices/0000:3b:00.0/numa_node");
	tree_write(tree, "-1", "sys/bus/pci/devices/0000:3b:00.1/numa_node");
	g_assert_cmpint(numa_node_of(tree->root, "0000:3b:00.0"), ==, 1);
	g_assert_cmpint(numa_node_of(tree->root, "0000:3b:00.1"), ==, -1);
	g_assert_cmpint(numa_node_of(tree->root, "0000:3b:00.2"), ==, -1);
}

static void test_enter(void)
{
	g_autoptr(GError) error = NULL;
	unsigned long mask = 0;
	int mode = -1;

	if (!g_file_test("/" NODE "node0/cpulist", G_FILE_TEST_EXISTS)) {
		g_test_skip("the kernel shows no NUMA nodes");
		return;
	}
	if (!numa_enter("", 0, &error)) {
		/* This test's processors may be of another node. */
		g_assert_error(error, FAULT, FAULT_INVALID);
		g_test_skip("no processor of node 0 is for this process");
		return;
	}
	g_assert_cmpint(syscall(SYS_get_mempolicy, &mode, &mask, sizeof mask * 8 + 1, NULL, 0), ==, 0);
	g_assert_cmpint(mode, ==, MPOL_PREFERRED);
	g_assert_cmpuint(mask, ==, 1);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/numa/a node's processors are those that the process may use", test_processors);
	g_test_add_func("/numa/a node that is not there, or is of no use, is refused by name", test_refused);
	g_test_add_func("/numa/a device's node is known where the machine says it", test_device);
	g_test_add_func("/numa/memory comes from the node that was entered", test_enter);
	return g_test_run();
}
