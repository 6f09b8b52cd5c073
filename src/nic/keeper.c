/* Who configures an interface of this host. */
#include "nic/keeper.h"

#include "base/sysfs.h"

#include <string.h>

#define MARK "let 'sluice host setup --apply' mark VFs as not to be managed, and make them anew"

static const struct {
	const char *name, *remedy; /* NULL: it is set down */
} keepers[] = {
	[KEEPER_NONE] = {"nobody that is known", NULL},
	[KEEPER_NETWORKMANAGER] = {"NetworkManager", MARK},
	[KEEPER_NETWORKD] = {"systemd-networkd", MARK},
	[KEEPER_IFUPDOWN] = {"ifupdown", "take it out of /etc/network/interfaces, and set it down"},
};

const char *keeper_name(enum keeper keeper)
{
	return keepers[keeper].name;
}

char *keeper_remedy(enum keeper keeper, const char *netdev)
{
	const char *remedy = keepers[keeper].remedy;

	return remedy ? g_strdup(remedy) : g_strdup_printf("set it down: ip link set dev %s down", netdev);
}

/* ---- NetworkManager, systemd-networkd ---- */

static bool has_line(const char *text, const char *line)
{
	g_auto(GStrv) lines = text ? g_strsplit(text, "\n", -1) : NULL;

	return lines && g_strv_contains((const char *const *)lines, line);
}

static bool networkmanager_has(const char *root, guint64 index)
{
	g_autofree char *state = sysfs_text(root, "/run/NetworkManager/devices/%" G_GUINT64_FORMAT, index);

	return has_line(state, "managed=true");
}

static bool networkd_has(const char *root, guint64 index)
{
	static const char *const states[] = {
		"ADMIN_STATE=configuring", "ADMIN_STATE=configured", "ADMIN_STATE=failed"};
	g_autofree char *state = sysfs_text(root, "/run/systemd/netif/links/%" G_GUINT64_FORMAT, index);

	for (size_t i = 0; i < G_N_ELEMENTS(states); i++)
		if (has_line(state, states[i]))
			return true;
	return false;
}

/* ---- ifupdown ---- */

/* "auto NAME…", "allow-hotplug NAME…", "iface NAME …". */
static bool names_interface(const char *line, const char *netdev)
{
	g_auto(GStrv) words = g_strsplit_set(line, " \t", -1);
	const char *first = words[0] ? words[0] : "";

	if (!g_str_equal(first, "auto") && !g_str_equal(first, "iface") && !g_str_has_prefix(first, "allow-"))
		return false;
	return g_strv_contains((const char *const *)words + 1, netdev);
}

static bool file_names_interface(const char *text, const char *netdev)
{
	g_auto(GStrv) lines = text ? g_strsplit(text, "\n", -1) : NULL;

	for (char **line = lines; lines && *line; line++)
		if (names_interface(g_strstrip(*line), netdev))
			return true;
	return false;
}

static bool ifupdown_has(const char *root, const char *netdev)
{
	g_auto(GStrv) parts = sysfs_children(root, "", "/etc/network/interfaces.d");
	g_autofree char *main_file = sysfs_text(root, "/etc/network/interfaces");

	if (file_names_interface(main_file, netdev))
		return true;
	for (char **part = parts; *part; part++) {
		g_autofree char *text = sysfs_text(root, "/etc/network/interfaces.d/%s", *part);
		if (file_names_interface(text, netdev))
			return true;
	}
	return false;
}

enum keeper keeper_of(const char *root, const char *netdev)
{
	guint64 index = sysfs_number(root, 0, "/sys/class/net/%s/ifindex", netdev);

	if (index && networkmanager_has(root, index))
		return KEEPER_NETWORKMANAGER;
	if (index && networkd_has(root, index))
		return KEEPER_NETWORKD;
	return ifupdown_has(root, netdev) ? KEEPER_IFUPDOWN : KEEPER_NONE;
}
