/* Who uses a VF. */
#include "setup/vf_user.h"

#include "base/fault.h"
#include "nic/pci_driver.h"
#include "nic/vf_use.h"

#include <jansson.h>

bool vf_has_address(const char *netdev)
{
	_cleanup_(links_close) struct links *links = links_open(NULL, NULL);

	return !links || links_has_address(links, netdev);
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
		return g_strdup_printf("may be claimed: the agent's ledger %s cannot be read", watch->claims);
	json_array_foreach((json_t *)claims, i, entry)
	{
		const char *vf = json_string_value(json_object_get(entry, "vf"));
		const char *nic = json_string_value(json_object_get(entry, "nic"));
		if (nic && g_strcmp0(vf, address) == 0)
			return g_strdup_printf(
				"is claimed by the agent, for NIC %s (`sluice host drain` frees it; an agent "
				"that has "
				"another provider now, or a host file without the device, frees it by itself "
				"when it starts)",
				nic);
	}
	return NULL;
}

/* ---- any use ---- */

static char *open_in(const char *root, const struct nic_vf *vf)
{
	g_autoptr(GHashTable) guests = vf_use_guests(root);
	const char *guest = vf_use_guest(guests, root, vf);

	return guest ? g_strdup_printf("is open in %s", guest) : NULL;
}

char *vf_user(const struct vf_watch *watch, const struct nic_vf *vf)
{
	char *use = claimant(watch, vf->address);

	if (use || !vf->driver)
		return use;
	if (vf->netdev)
		return vf_use_netdev(watch->root, vf->netdev, watch->has_address(vf->netdev));
	if (pci_driver_is_vfio(vf->driver))
		return open_in(watch->root, vf);
	return g_strdup_printf("is bound to %s, with no interface here", vf->driver);
}

bool vf_check_unused(const struct vf_watch *watch, const struct nic_pf *pf, GError **error)
{
	g_autoptr(GString) uses = g_string_new(NULL);

	for (guint i = 0; i < pf->vfs->len; i++) {
		const struct nic_vf *vf = pf->vfs->pdata[i];
		g_autofree char *use = vf_user(watch, vf);
		if (use)
			g_string_append_printf(
				uses, "%sVF %u (%s) %s", uses->len ? "; " : "", vf->index, vf->address, use);
	}
	if (!uses->len)
		return true;
	return fault_set(error, FAULT_IN_USE,
		"the number of VFs of %s can change only while none is in use: %s; "
		"free them first",
		pf->netdev ? pf->netdev : pf->address, uses->str);
}
