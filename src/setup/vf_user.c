/* Who uses a VF. */
#include "setup/vf_user.h"

#include "base/fault.h"
#include "base/sysfs.h"
#include "nic/pci_driver.h"
#include "nic/vf_use.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>

/* Given by a person or a program: link-local ones an interface makes itself. */
static bool is_given(const struct sockaddr *address)
{
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;

	if (!address || address->sa_family == AF_INET)
		return address != NULL;
	return address->sa_family == AF_INET6 && !IN6_IS_ADDR_LINKLOCAL(&six->sin6_addr);
}

bool vf_has_address(const char *netdev)
{
	struct ifaddrs *all = NULL;
	bool found = false;

	if (getifaddrs(&all) < 0)
		return true; /* not known: the safe side */
	for (const struct ifaddrs *at = all; at && !found; at = at->ifa_next)
		found = g_str_equal(at->ifa_name, netdev) && is_given(at->ifa_addr);
	freeifaddrs(all);
	return found;
}

/* ---- the agent ---- */

static char *claimant(const struct vf_watch *watch, const char *address)
{
	g_autofree char *path = g_strconcat(watch->root, watch->claims, NULL);
	json_auto_t *ledger = json_load_file(path, 0, NULL);
	const json_t *claims = json_object_get(ledger, "claims");
	size_t i;
	json_t *entry;

	if (!json_is_array(claims) && g_file_test(path, G_FILE_TEST_EXISTS))
		return g_strdup_printf(
			"somebody, perhaps: the agent's ledger %s cannot be read", watch->claims);
	json_array_foreach((json_t *)claims, i, entry)
	{
		const char *vf = json_string_value(json_object_get(entry, "vf"));
		const char *nic = json_string_value(json_object_get(entry, "nic"));
		if (nic && g_strcmp0(vf, address) == 0)
			return g_strdup_printf(
				"the agent, for NIC %s (`sluice host drain` frees it; an agent that has "
				"another provider now, or a host file without the device, frees it by itself "
				"when it starts)",
				nic);
	}
	return NULL;
}

/* ---- guests ---- */

static char *vfio_user(const char *root, const struct nic_vf *vf)
{
	g_autoptr(GHashTable) guests = vf_use_guests(root);
	const char *guest = vf_use_guest(guests, root, vf);

	return guest ? g_strdup_printf("%s, by vfio", guest) : NULL;
}

/* ---- interfaces ---- */

static char *interface_use(const struct vf_watch *watch, const char *netdev)
{
	g_auto(GStrv) uppers = sysfs_children(watch->root, "upper_", "/sys/class/net/%s", netdev);

	if (*uppers) /* a bridge or bond that it is a port of, or a VLAN on it */
		return g_strdup_printf("%s, on its interface %s", *uppers + strlen("upper_"), netdev);
	if (sysfs_number(watch->root, 0, "/sys/class/net/%s/flags", netdev) & IFF_UP)
		return g_strdup_printf("this host, whose interface %s is up", netdev);
	if (watch->has_address(netdev))
		return g_strdup_printf("this host, whose interface %s has an address", netdev);
	return NULL;
}

char *vf_user(const struct vf_watch *watch, const struct nic_vf *vf)
{
	char *user = claimant(watch, vf->address);

	if (user || !vf->driver)
		return user;
	if (vf->netdev)
		return interface_use(watch, vf->netdev);
	if (pci_driver_is_vfio(vf->driver))
		return vfio_user(watch->root, vf);
	return g_strdup_printf(
		"somebody who cannot be seen from here: %s has it, and no interface", vf->driver);
}

bool vf_check_unused(const struct vf_watch *watch, const struct nic_pf *pf, GError **error)
{
	g_autoptr(GString) users = g_string_new(NULL);

	for (guint i = 0; i < pf->vfs->len; i++) {
		const struct nic_vf *vf = pf->vfs->pdata[i];
		g_autofree char *user = vf_user(watch, vf);
		if (user)
			g_string_append_printf(users, "%sVF %u (%s) by %s", users->len ? "; " : "", vf->index,
				vf->address, user);
	}
	if (!users->len)
		return true;
	return fault_set(error, FAULT_IN_USE,
		"the number of VFs of %s can change only while none is in use, and there are in use: %s; "
		"free them first",
		pf->netdev ? pf->netdev : pf->address, users->str);
}
