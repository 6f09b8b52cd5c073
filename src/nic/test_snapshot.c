/* What a host's PFs and VFs are, as text. */
#include "nic/test_snapshot.h"

#include "nic/filter.h"
#include "nic/pci_driver.h"
#include "nic/sriov_priv.h"

char *test_snapshot(struct links *links, const char *pf, const char *pf_address)
{
	g_autoptr(GPtrArray) inventory = inventory_read("");
	g_autoptr(GString) text = g_string_new(NULL);
	g_autoptr(GError) error = NULL;

	inventory_add_attributes(inventory, &error);
	g_assert_no_error(error);
	json_auto_t *root = inventory_encode(inventory);
	char *encoded = json_dumps(root, JSON_INDENT(1) | JSON_SORT_KEYS);
	g_string_append(text, encoded);
	free(encoded);
	const struct nic_pf *own = sriov_find_pf(inventory, pf_address);
	for (guint i = 0; i < own->vfs->len; i++) {
		const struct nic_vf *vf = own->vfs->pdata[i];
		g_autofree char *override = pci_driver_get_override("", vf->address);
		g_string_append_printf(text, "\n%u: override %s", i, override ? override : "none");
	}
	g_autoptr(GArray) macs = filter_list(links, pf, NULL);
	for (guint i = 0; i < macs->len; i++) {
		char mac[MAC_TEXT_MAX];
		g_string_append_printf(
			text, "\nhears %s", mac_format(g_array_index(macs, struct mac_addr, i), mac));
	}
	return g_string_free(g_steal_pointer(&text), FALSE);
}
