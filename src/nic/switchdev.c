/* The switchdev provider: virtual functions of NICs whose eswitch does as it is told, flow by flow.
 *
 * How it works. A VF leads the life that sriov.c leads it, with the same ledger; what differs is what stands by it. All that a
 * VF sends and that no flow takes comes to the host by the VF's representor, and what the host sends by the representor the VF
 * gets. So the switch, whose port the representor is, decides over everything that the hardware does not, and the PF holds
 * nothing for a VF but its MAC: drivers in this mode refuse VLAN, spoofchk and trust, and no filter is needed for anything to
 * be heard. A VF has carrier while its representor is up: it is set up at the claim, and down at the release. One that was up
 * before is somebody else's, and its VF is given to nobody. One whose VF is cut off is down. The host itself must not answer what a guest sends, so ARP and
 * IPv6 are turned off there, and stay so.
 *
 * A VF is found by its number among devlink's ports of the PF (inventory.h), each time anew: representors are renamed by udev
 * after they have come, and made again with the VFs. Whether the PF is in switchdev mode is seen by that, too.
 *
 * It carries tunnels where the host's underlay leaves by the eswitch, with an address of the kernel's: drivers put packets into
 * VXLAN from such an address on the uplink (or a VLAN or bond above it), and find routes and neighbours by the kernel's tables.
 * For a network in a VXLAN only VFs of those PFs will do: what another's sent would come up by the representor, packet
 * by packet, and leave by the switch, slower than a synthetic NIC and with a VF that another NIC could use.
 *
 * Rejected: to put VFs of a PF that is in legacy mode into switchdev mode on demand, which takes all VFs of the PF away from
 * whoever has them; `sluice host setup` does it while nobody has any.
 */
#include "base/fault.h"
#include "nic/sriov_priv.h"
#include "nic/vf_use.h"

const struct sriov_kind sriov_switchdev = {
	.caps =
		{
			.name = "switchdev",
			.claim = "switchdev: packets with flows bypass the host",
			.bypass = true,
			.tunnels = true,
			.flow_policy = true,
			.representors = true,
		},
	.needed = VF_MAC,
	.protection = VF_MAC,
};

/* Why a VF of the kind has no representor; NULL: it has one, or needs none. Owned by the caller. */
static char *lack_of(const struct sriov_kind *kind, const struct nic_pf *pf, const struct nic_vf *vf)
{
	if (!kind->caps.representors || vf->representor)
		return NULL;
	if (g_strcmp0(pf->eswitch.mode, DEVLINK_SWITCHDEV) != 0)
		return g_strdup_printf("has a PF in %s mode, not in switchdev mode",
			pf->eswitch.mode ? pf->eswitch.mode : "no");
	return g_strdup("has no representor here");
}

char *switchdev_obstacle(const struct sriov *sriov, const struct nic_pf *pf, const struct nic_vf *vf)
{
	char *lack = lack_of(sriov->kind, pf, vf);

	if (lack || !sriov->kind->caps.representors)
		return lack;
	g_autofree char *use =
		vf_use_netdev(sriov->root, vf->representor, links_has_address(sriov->links, vf->representor));
	return use ? g_strdup_printf("has a representor that %s", use) : NULL;
}

bool switchdev_raise(
	struct sriov *sriov, const struct sriov_claim *claim, const struct sriov_place *place, GError **error)
{
	const struct sriov_kind *kind = sriov_kind_of(sriov, claim);
	g_autofree char *label = sriov_label(claim, place->pf), *lack = lack_of(kind, place->pf, place->vf);

	if (lack)
		return fault_set(error, FAULT_UNAVAILABLE, "%s %s; see `sluice doctor host`", label, lack);
	return !kind->caps.representors || (links_quiet(sriov->links, place->vf->representor, error) &&
						   links_set_up(sriov->links, place->vf->representor, error));
}

bool switchdev_lower(
	struct sriov *sriov, const struct sriov_claim *claim, const struct sriov_place *place, GError **error)
{
	return !sriov_kind_of(sriov, claim)->caps.representors || !place->vf->representor ||
	       links_set_down(sriov->links, place->vf->representor, error);
}

static void check_down(struct sriov *sriov, const struct sriov_claim *claim, const struct sriov_place *place,
	GPtrArray *sentences)
{
	const char *representor = place->vf->representor;
	g_autoptr(GError) error = NULL;

	if (!sriov_is_up(sriov, representor))
		return;
	if (switchdev_lower(sriov, claim, place, &error))
		g_ptr_array_add(
			sentences, g_strdup_printf("%s was up, though its VF is cut off; it is down again",
					   representor));
	else
		g_ptr_array_add(sentences, g_strdup(error->message));
}

void switchdev_check(struct sriov *sriov, const struct sriov_claim *claim, const struct sriov_place *place,
	GPtrArray *sentences)
{
	const struct sriov_kind *kind = sriov_kind_of(sriov, claim);
	g_autofree char *label = sriov_label(claim, place->pf), *lack = lack_of(kind, place->pf, place->vf);

	if (lack)
		g_ptr_array_add(sentences, g_strdup_printf("%s %s", label, lack));
	else if (kind->caps.representors && claim->step == SRIOV_CUT)
		check_down(sriov, claim, place, sentences);
	else if (kind->caps.representors && claim->step != SRIOV_LEFT)
		sriov_check_up(sriov, place->vf->representor, sentences);
}

struct nic_provider *switchdev_open(const char *root, const char *ledger, struct genl *devlink,
	const struct sriov_physical *physicals, size_t n, GError **error)
{
	return sriov_open(&sriov_switchdev, root, ledger, devlink, physicals, n, error);
}

struct nic_provider *nic_switchdev_open(const char *root, const char *ledger,
	const struct sriov_physical *physicals, size_t n, GError **error)
{
	struct genl *devlink = genl_open("devlink", error);

	return devlink ? switchdev_open(root, ledger, devlink, physicals, n, error) : NULL;
}
