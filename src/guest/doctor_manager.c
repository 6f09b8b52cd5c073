/* Who configures the interfaces of a NIC: one manager, and the whole alone.
 *
 * A lower interface that gets addresses and routes of its own takes packets past the pair, and loses them with the VF.
 * Sources: Azure's "Configure drivers to be unmanaged" for custom images; sd-network(3) for /run/systemd/netif/links, NetworkManager's
 * /run/NetworkManager/devices, ifupdown's /run/network/ifstate.
 */
#include "guest/doctor_priv.h"

#include "base/sysfs.h"

#include <string.h>

static bool has_line(const char *text, const char *start)
{
	g_auto(GStrv) lines = text ? g_strsplit(text, "\n", -1) : NULL;

	for (char **line = lines; lines && *line; line++)
		if (g_str_has_prefix(*line, start))
			return true;
	return false;
}

static bool by_networkd(const char *root, const char *netdev, const char *index)
{
	g_autofree char *text = sysfs_text(root, "/run/systemd/netif/links/%s", index);

	return has_line(text, "ADMIN_STATE=configur") || has_line(text, "ADMIN_STATE=failed");
}

static bool by_network_manager(const char *root, const char *netdev, const char *index)
{
	g_autofree char *text = sysfs_text(root, "/run/NetworkManager/devices/%s", index);

	return has_line(text, "managed=true");
}

static bool by_ifupdown(const char *root, const char *netdev, const char *index)
{
	g_autofree char *text = sysfs_text(root, "/run/network/ifstate"),
			*start = g_strconcat(netdev, "=", NULL);

	return has_line(text, start);
}

static const struct {
	const char *name;
	bool (*manages)(const char *root, const char *netdev, const char *index);
	const char *leave; /* format: how it is told to leave an interface alone */
} managers[] = {
	{"systemd-networkd", by_networkd,
		"a file /etc/systemd/network/05-%1$s.network with [Match] Name=%1$s and [Link] "
		"Unmanaged=yes, then "
		"networkctl reload"},
	{"NetworkManager", by_network_manager,
		"unmanaged-devices=interface-name:%1$s under [keyfile] in "
		"/etc/NetworkManager/conf.d/sluice.conf, "
		"then nmcli general reload"},
	{"ifupdown", by_ifupdown,
		"ifdown --force %1$s, and no 'auto' or 'allow-hotplug' for it in /etc/network/interfaces"},
};

/* How many of them have the interface; their names, "a and b", to add to. */
static unsigned count_managers(const char *root, const char *netdev, GString *names)
{
	g_autofree char *index = sysfs_text(root, "/sys/class/net/%s/ifindex", netdev);
	unsigned n = 0;

	for (size_t i = 0; index && i < G_N_ELEMENTS(managers); i++)
		if (managers[i].manages(root, netdev, index))
			g_string_append_printf(names, "%s%s", n++ ? " and " : "", managers[i].name);
	return n;
}

static void check_side(const char *root, const struct accel_nic *nic, const char *netdev, GPtrArray *findings)
{
	g_autofree char *index = sysfs_text(root, "/sys/class/net/%s/ifindex", netdev);

	for (size_t i = 0; index && i < G_N_ELEMENTS(managers); i++) {
		if (!managers[i].manages(root, netdev, index))
			continue;
		g_autoptr(GString) remedy = g_string_new(managers[i].leave);
		g_string_replace(remedy, "%1$s", netdev, 0);
		findings_add(findings, FINDING_PROBLEM, "manager", netdev, remedy->str,
			"%s configures it, which is for %s to carry: what it sends by itself is lost when "
			"the VF leaves",
			managers[i].name, nic->name);
	}
}

void doctor_check_manager(const char *root, const struct accel_nic *nic, GPtrArray *findings)
{
	g_autoptr(GString) names = g_string_new(NULL);
	unsigned n = count_managers(root, nic->name, names);

	if (n > 1)
		findings_add(findings, FINDING_PROBLEM, "manager", nic->name,
			"leave it to one of them, and disable the others' units",
			"%s configure it side by side", names->str);
	else if (n)
		findings_add(
			findings, FINDING_OK, "manager", nic->name, NULL, "%s configures it", names->str);
	if (nic->standby)
		check_side(root, nic, nic->standby->netdev, findings);
	if (nic->primary && nic->pairing != ACCEL_DIRECT)
		check_side(root, nic, nic->primary->netdev, findings);
}
