/* Physical networks: what the operator lets virtual networks have of the wires that hosts are on.
 *
 * Their names are told apart without case, as all names, and stored in lower case: hosts' files and reports, which
 * other people write, mean the same wire by any spelling.
 */
#include "base/fault.h"
#include "control/control_priv.h"
#include "model/vlan_set.h"

/* A network keeps the VLAN that it has. */
static bool check_held(struct put *put, const struct vlan_set *ids, GError **error)
{
	const struct physical *physical = put->object;
	g_autoptr(GPtrArray) networks = change_list(put->change, KIND_NETWORK, error);

	for (guint i = 0; i < list_length(networks); i++) {
		const struct network *network = networks->pdata[i];
		if (g_strcmp0(network->spec.physical, physical->meta.uid) == 0 &&
			!vlan_set_has(ids, network->status.vlan))
			return fault_set(error, FAULT_IN_USE,
				"VLAN %" G_GINT64_FORMAT " of physical network %s is virtual network %s's "
				"and would not be among %s; keep "
				"it, or take that network to another segment first ('sluice network "
				"segment')",
				network->status.vlan, physical->meta.name, network->meta.name,
				physical->spec.vlans);
	}
	return networks != NULL;
}

static bool physical_prepare(struct put *put, GError **error)
{
	struct physical *physical = put->object;
	struct vlan_set ids;

	if (!vlan_set_parse(physical->spec.vlans ? physical->spec.vlans : "", &ids, error)) {
		g_prefix_error(error, "physical network %s: ", physical->meta.name);
		return false;
	}
	if (!put->old) {
		char *lower = g_ascii_strdown(physical->meta.name, -1);
		g_free(physical->meta.name);
		physical->meta.name = lower;
	}
	g_free(physical->spec.vlans);
	physical->spec.vlans = vlan_set_format(&ids);
	return !put->old || check_held(put, &ids, error);
}

static bool physical_release(struct control *control, struct change *change, void *object, GError **error)
{
	return change_unreferenced(change, object, error);
}

const struct kind_hooks physical_hooks = {
	.prepare = physical_prepare,
	.release = physical_release,
	.nowhere = true,
};
