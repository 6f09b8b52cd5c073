/* What a guest tells its host that it is. */
#include "base/test_tree.h"
#include "guest/identity.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define NET "sys/class/net/"

static bool no_statistics(const char *netdev, struct accel_counters *ret)
{
	return false;
}

/* eth0 pairs a standby and the VF of an 82576; eth1 is a virtio NIC alone. */
static struct tree *guest_new(void)
{
	static const struct {
		const char *name, *bus, *driver;
	} netdevs[] = {{"eth0nsby", "virtio", "virtio_net"}, {"eth0npri", "pci", "igbvf"},
		{"eth0", "virtio", "virtio_net"}, {"eth1", "virtio", "virtio_net"}};
	struct tree *tree = tree_new();

	tree_write(tree, "4.4.0-31-generic", "proc/sys/kernel/osrelease");
	tree_write(tree, "NAME=x\nID=ubuntu\nVERSION_ID=\"16.04\"\nPRETTY_NAME=\"Ubuntu 16.04.1 LTS\"\n",
		"etc/os-release");
	for (size_t i = 0; i < G_N_ELEMENTS(netdevs); i++) {
		g_autofree char *bus = g_strdup_printf("../../bus/%s", netdevs[i].bus),
				*driver = g_strdup_printf("../../%s", netdevs[i].driver);
		tree_write(tree, i < 3 ? "00:0d:3a:00:00:01" : "00:0d:3a:00:00:02", NET "%s/address",
			netdevs[i].name);
		tree_link(tree, bus, NET "%s/device/subsystem", netdevs[i].name);
		tree_link(tree, driver, NET "%s/device/driver", netdevs[i].name);
	}
	for (size_t i = 0; i < 2; i++) {
		g_autofree char *target = g_strdup_printf("../%s", netdevs[i].name);
		tree_link(tree, target, NET "eth0/lower_%s", netdevs[i].name);
		tree_link(tree, "../eth0", NET "%s/master", netdevs[i].name);
	}
	return tree;
}

static json_t *identity_of(const struct tree *tree, const char *interface)
{
	const struct accel_source source = {.root = tree->root, .vf_statistics = no_statistics};
	char *text = identity_text(&source, interface, "0.9");
	json_t *json = json_loads(text, 0, NULL);

	g_assert_nonnull(json);
	free(text);
	return json;
}

static const char *os_word(const json_t *json, const char *key)
{
	return json_string_value(json_object_get(json_object_get(json, "os"), key));
}

static void test_identity(void)
{
	_cleanup_(tree_free) struct tree *tree = guest_new();
	json_auto_t *paired = identity_of(tree, "eth0"), *plain = identity_of(tree, "eth1"),
		    *wanted = json_pack("{s:{s:s, s:s, s:s, s:s, s:s}, s:s}", "os", "kernel",
			    "4.4.0-31-generic", "id", "ubuntu", "version", "16.04", "name",
			    "Ubuntu 16.04.1 LTS", "agent", "0.9", "driver", "igbvf");

	g_assert_true(json_equal(paired, wanted));
	g_assert_true(json_equal(json_object_get(plain, "os"), json_object_get(wanted, "os")));
	g_assert_null(json_object_get(plain, "driver"));
}

static void test_other_place(void)
{
	_cleanup_(tree_free) struct tree *tree = guest_new();

	tree_remove(tree, "etc/os-release");
	json_auto_t *unknown = identity_of(tree, "eth0");
	g_assert_null(os_word(unknown, "id"));
	g_assert_cmpstr(os_word(unknown, "kernel"), ==, "4.4.0-31-generic");
	tree_write(tree, "ID=sles", "usr/lib/os-release");
	json_auto_t *json = identity_of(tree, "eth0");
	g_assert_cmpstr(os_word(json, "id"), ==, "sles");
}

/* 64 letters of two bytes are as much as the host takes; a line cannot be kept whole. */
static void test_clipped(void)
{
	_cleanup_(tree_free) struct tree *tree = guest_new();
	g_autoptr(GString) text = g_string_new("ID=x\nPRETTY_NAME=\"a\tb");

	for (int i = 0; i < 200; i++)
		g_string_append(text, "\303\244");
	g_string_append(text, "\"\nVERSION_ID=\"\"\n");
	tree_write(tree, text->str, "etc/os-release");
	json_auto_t *json = identity_of(tree, "eth0");
	const char *name = os_word(json, "name");
	g_assert_true(g_str_has_prefix(name, "a b\303\244"));
	g_assert_cmpuint(strlen(name), ==, 127);
	g_assert_true(g_utf8_validate(name, -1, NULL));
	g_assert_null(os_word(json, "version"));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/identity/a guest tells kernel, distribution and its VF's driver", test_identity);
	g_test_add_func("/identity/a distribution may say what it is in either place", test_other_place);
	g_test_add_func("/identity/what it tells is what a host takes", test_clipped);
	return g_test_run();
}
