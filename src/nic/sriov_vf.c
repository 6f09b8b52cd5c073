/* The SR-IOV provider: what is done to one VF. */
#include "base/failpoint.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/sysfs.h"
#include "nic/pci_driver.h"
#include "nic/sriov_priv.h"
#include "nic/vf_use.h"

#include <string.h>

#define CARRIER_WAIT_MS 3000
#define POLL_US         (20 * 1000)

/* IEEE 802.1Q has it reserved: no network is there, and no bridge passes it on. */
#define DEAD_VLAN 4095

/* Of a VF that passes nothing: known to nobody, and another one for each of a PF. */
static struct mac_addr dead_mac(unsigned index)
{
	return (struct mac_addr){{0x02, 'c', 'u', 't', (uint8_t)(index >> 8), (uint8_t)index}};
}

/* Nothing may pass it: it is cut off, or is in a guest that it was said to have left. */
static bool is_dead(const struct sriov_claim *claim, bool in_guest)
{
	return claim->step == SRIOV_CUT || (claim->step == SRIOV_LEFT && in_guest);
}

struct vf_attributes sriov_vf_wanted(const struct sriov_claim *claim, bool in_guest)
{
	if (is_dead(claim, in_guest))
		return (struct vf_attributes){.mac = dead_mac(claim->index),
			.vlan = DEAD_VLAN,
			.spoofchk = true,
			.max_rate = claim->rate_mbps,
			.link = VF_LINK_DISABLE};
	bool vlan = claim->step == SRIOV_CLAIMED || claim->step == SRIOV_ARMED;

	return (struct vf_attributes){
		.mac = in_guest && claim->step == SRIOV_ARMED ? claim->mac : (struct mac_addr){},
		.vlan = vlan ? claim->vlan : 0,
		.spoofchk = true,
		.max_rate = claim->rate_mbps,
	};
}

/* ---- setting up ---- */

bool sriov_is_up(const struct sriov *sriov, const char *netdev)
{
	return sysfs_number(sriov->root, 0, "/sys/class/net/%s/flags", netdev) & 1;
}

static bool pf_has_carrier(const struct sriov *sriov, const struct nic_pf *pf)
{
	return sysfs_number(sriov->root, 0, "/sys/class/net/%s/carrier", pf->netdev) == 1;
}

/* VFs have no carrier while their PF is down, and igb takes no rate then; a PF without a cable stays without carrier. */
static bool bring_pf_up(struct sriov *sriov, const struct nic_pf *pf, GError **error)
{
	int64_t deadline = g_get_monotonic_time() + CARRIER_WAIT_MS * 1000;

	if (sriov_is_up(sriov, pf->netdev))
		return true;
	if (!links_set_up(sriov->links, pf->netdev, error))
		return false;
	log_info(pf->netdev, "was down, and its VFs without carrier; brought up");
	while (!pf_has_carrier(sriov, pf) && g_get_monotonic_time() < deadline)
		g_usleep(POLL_US);
	return true;
}

/* What a driver takes and does not do, it could not protect with. */
static bool check_protection(struct sriov *sriov, const struct nic_pf *pf, const struct sriov_claim *claim,
	const struct vf_attributes *want, GError **error)
{
	struct vf_attributes is;

	if (!vf_read(sriov->links, pf->netdev, claim->index, &is, error))
		return false;
	unsigned differ = vf_compare(&is, want, sriov_kind_of(sriov, claim)->protection);
	if (!differ)
		return true;
	enum vf_attribute first = differ & -differ;
	g_autofree char *value = vf_attribute_format(want, first);
	return fault_set(error, FAULT_UNSUPPORTED,
		"%s takes %s for the %s of its VF %u, and does not keep it", pf->netdev, value,
		vf_attribute_word(first), claim->index);
}

static bool set_attributes(
	struct sriov *sriov, const struct nic_pf *pf, const struct sriov_claim *claim, GError **error)
{
	struct vf_attributes is, want = sriov_vf_wanted(claim, false);
	g_autofree char *label = sriov_label(claim, pf);
	g_autoptr(GError) cause = NULL;

	if (!vf_read(sriov->links, pf->netdev, claim->index, &is, error))
		return false;
	/* Those that are as wanted are written too: a driver that cannot set them is found out now. */
	const struct sriov_kind *kind = sriov_kind_of(sriov, claim);
	unsigned which = kind->needed | vf_compare(&is, &want, kind->protection | kind->limits);
	unsigned refused = vf_write(sriov->links, pf->netdev, claim->index, &want, which, &cause);
	if (refused & kind->protection) {
		g_propagate_prefixed_error(
			error, g_steal_pointer(&cause), "without anti-spoofing a VF is not handed out: ");
		return false;
	}
	if (refused)
		log_warn(label, "%s", cause->message);
	return check_protection(sriov, pf, claim, &want, error);
}

bool sriov_vf_set_up(struct sriov *sriov, const struct sriov_claim *claim, GError **error)
{
	_cleanup_(sriov_place_done) struct sriov_place place;

	if (!sriov_must_find(sriov, claim, &place, error) ||
		!sriov_vf_check_unused(sriov, claim, &place, error) || !bring_pf_up(sriov, place.pf, error))
		return false;
	/* Its driver would choose a MAC. */
	if (!pci_driver_unbind(sriov->root, claim->vf, error))
		return false;
	failpoint(FAILPOINT_SRIOV_UNBOUND);
	return set_attributes(sriov, place.pf, claim, error) && switchdev_raise(sriov, claim, &place, error);
}

bool sriov_vf_cut(struct sriov *sriov, const struct sriov_claim *claim, GError **error)
{
	_cleanup_(sriov_place_done) struct sriov_place place = sriov_find(sriov, claim);
	const struct vf_attributes want = sriov_vf_wanted(claim, true);
	const unsigned protection = sriov_kind_of(sriov, claim)->protection;
	g_autoptr(GError) cause = NULL;
	struct vf_attributes is;

	if (!place.vf)
		return sriov_is_gone(sriov, claim, &place, error);
	if (!switchdev_lower(sriov, claim, &place, error) ||
		!vf_read(sriov->links, place.pf->netdev, claim->index, &is, error))
		return false;
	unsigned which = vf_compare(&is, &want, protection | VF_LINK);
	if (vf_write(sriov->links, place.pf->netdev, claim->index, &want, which, &cause) & protection) {
		g_propagate_error(error, g_steal_pointer(&cause));
		return false;
	}
	return check_protection(sriov, place.pf, claim, &want, error);
}

bool sriov_vf_clear(struct sriov *sriov, const struct sriov_claim *claim, GError **error)
{
	_cleanup_(sriov_place_done) struct sriov_place place = sriov_find(sriov, claim);
	const struct vf_attributes none = {};
	struct vf_attributes is;

	if (!place.vf)
		return sriov_is_gone(sriov, claim, &place, error);
	if (!vf_read(sriov->links, place.pf->netdev, claim->index, &is, error))
		return false;
	/* It has no link when it was cut off. */
	unsigned which =
		(sriov_kind_of(sriov, claim)->needed & (VF_MAC | VF_VLAN)) | vf_compare(&is, &none, VF_LINK);
	return vf_write(sriov->links, place.pf->netdev, claim->index, &none, which, error) == 0;
}

/* ---- restoring ---- */

/* Also of a PF that has no interface here. */
static const struct nic_vf *find_address(const GPtrArray *inventory, const char *address)
{
	for (guint p = 0; p < inventory->len; p++) {
		const struct nic_pf *pf = inventory->pdata[p];
		for (guint v = 0; v < pf->vfs->len; v++) {
			const struct nic_vf *vf = pf->vfs->pdata[v];
			if (g_strcmp0(vf->address, address) == 0)
				return vf;
		}
	}
	return NULL;
}

bool sriov_vf_check_unused(const struct sriov *sriov, const struct sriov_claim *claim,
	const struct sriov_place *place, GError **error)
{
	g_autofree char *label = sriov_label(claim, place->pf);
	g_autoptr(GHashTable) guests = vf_use_guests(sriov->root);
	const struct nic_vf *vf = place->vf ? place->vf : find_address(place->inventory, claim->vf);
	const char *guest = vf ? vf_use_guest(guests, sriov->root, vf) : NULL;

	return !guest || fault_set(error, FAULT_IN_USE, "%s is open in %s; detach it first", label, guest);
}

/* Attributes before the driver, which reads its MAC when it is bound. */
static bool put_back(
	struct sriov *sriov, const struct sriov_place *place, const struct sriov_claim *claim, GError **error)
{
	const struct vf_attributes *original = &claim->original.attributes;
	const char *pf = place->pf->netdev;
	struct vf_attributes is;

	if (!vf_read(sriov->links, pf, claim->index, &is, error))
		return false;
	unsigned which = vf_compare(&is, original, original->known);
	if (vf_write(sriov->links, pf, claim->index, original, which, error))
		return false;
	failpoint(FAILPOINT_SRIOV_ATTRIBUTED);
	return switchdev_lower(sriov, claim, place, error) &&
	       pci_driver_bind(sriov->root, claim->vf, claim->original.driver, error) &&
	       pci_driver_set_override(sriov->root, claim->vf, claim->original.override, error);
}

static void add_difference(GPtrArray *differences, const char *what, const char *is, const char *was)
{
	g_ptr_array_add(differences,
		g_strdup_printf("its %s is %s, not %s", what, is ? is : "none", was ? was : "none"));
}

/* In what the VF is not as it was found, a sentence for each: GPtrArray of text, Owned by the caller. NULL when that cannot be
 * seen. */
static GPtrArray *find_differences(
	struct sriov *sriov, const struct nic_pf *pf, const struct sriov_claim *claim, GError **error)
{
	g_autofree char *driver = pci_driver_get(sriov->root, claim->vf);
	g_autofree char *override = pci_driver_get_override(sriov->root, claim->vf);
	const struct vf_attributes *original = &claim->original.attributes;
	struct vf_attributes is;

	if (!vf_read(sriov->links, pf->netdev, claim->index, &is, error))
		return NULL;
	GPtrArray *differences = g_ptr_array_new_with_free_func(g_free);
	if (g_strcmp0(driver, claim->original.driver) != 0)
		add_difference(differences, "driver", driver, claim->original.driver);
	if (g_strcmp0(override, claim->original.override) != 0)
		add_difference(differences, "driver_override", override, claim->original.override);
	/* Where none was set, a driver chooses a MAC when it is bound. */
	static const struct mac_addr none;
	bool chosen = driver && memcmp(&original->mac, &none, sizeof none) == 0;
	unsigned differ = vf_compare(&is, original, original->known & ~(chosen ? (unsigned)VF_MAC : 0));
	for (unsigned i = 0; i < VF_ATTRIBUTES; i++) {
		g_autofree char *value = vf_attribute_format(&is, 1u << i),
				*was = vf_attribute_format(original, 1u << i);
		if (differ & 1u << i)
			add_difference(differences, vf_attribute_word(1u << i), value, was);
	}
	return differences;
}

static bool check_original(
	struct sriov *sriov, const struct nic_pf *pf, const struct sriov_claim *claim, GError **error)
{
	g_autoptr(GPtrArray) differences = find_differences(sriov, pf, claim, error);

	if (!differences || differences->len == 0)
		return differences != NULL;
	return fault_set(error, FAULT_INTERNAL, "%s", (char *)differences->pdata[0]);
}

/* Functions must have a reset by PCI Express's rules; one without is told, and given back all the same. */
static bool reset(
	struct sriov *sriov, const struct sriov_claim *claim, const struct sriov_place *place, GError **error)
{
	g_autofree char *label = sriov_label(claim, place->pf);
	g_autoptr(GError) cause = NULL;

	if (pci_driver_reset(sriov->root, claim->vf, &cause))
		return true;
	if (g_error_matches(cause, FAULT, FAULT_UNSUPPORTED)) {
		log_warn(label, "%s; it is given back as its guest has left it", cause->message);
		return true;
	}
	g_propagate_error(error, g_steal_pointer(&cause));
	return false;
}

bool sriov_vf_restore(struct sriov *sriov, const struct sriov_claim *claim, GError **error)
{
	_cleanup_(sriov_place_done) struct sriov_place place = sriov_find(sriov, claim);

	if (!sriov_vf_check_unused(sriov, claim, &place, error))
		return false;
	if (!place.vf)
		return sriov_is_gone(sriov, claim, &place, error);
	if (!pci_driver_unbind(sriov->root, claim->vf, error) || !reset(sriov, claim, &place, error))
		return false;
	failpoint(FAILPOINT_SRIOV_RESET);
	return put_back(sriov, &place, claim, error) && check_original(sriov, place.pf, claim, error);
}

/* Each step, whatever became of those before it. Those whose failure no difference tells of are told themselves. */
static void put_back_what_goes(struct sriov *sriov, const struct sriov_claim *claim,
	const struct sriov_place *place, GPtrArray *lost)
{
	const struct vf_attributes *original = &claim->original.attributes;
	const char *pf = place->pf->netdev;
	g_autoptr(GError) error = NULL, lowering = NULL;
	struct vf_attributes is;

	if (!pci_driver_unbind(sriov->root, claim->vf, &error) || !reset(sriov, claim, place, &error))
		g_ptr_array_add(lost, g_strdup(error->message));
	if (!switchdev_lower(sriov, claim, place, &lowering))
		g_ptr_array_add(lost, g_strdup(lowering->message));
	if (vf_read(sriov->links, pf, claim->index, &is, NULL))
		vf_write(sriov->links, pf, claim->index, original, vf_compare(&is, original, original->known),
			NULL);
	pci_driver_bind(sriov->root, claim->vf, claim->original.driver, NULL);
	pci_driver_set_override(sriov->root, claim->vf, claim->original.override, NULL);
}

bool sriov_vf_give_up(struct sriov *sriov, const struct sriov_claim *claim, GPtrArray *lost, GError **error)
{
	_cleanup_(sriov_place_done) struct sriov_place place = sriov_find(sriov, claim);
	g_autoptr(GError) cause = NULL;

	if (!sriov_vf_check_unused(sriov, claim, &place, error))
		return false;
	if (!place.vf && sriov_is_gone(sriov, claim, &place, &cause))
		return true;
	if (place.vf) {
		put_back_what_goes(sriov, claim, &place, lost);
		g_autoptr(GPtrArray) differences = find_differences(sriov, place.pf, claim, &cause);
		if (differences)
			g_ptr_array_extend_and_steal(lost, g_steal_pointer(&differences));
	}
	if (cause) /* nothing can be seen of it */
		g_ptr_array_add(lost, g_strdup(cause->message));
	return true;
}

/* ---- drift ---- */

/* One attribute is not as it was set. */
static void repair(struct sriov *sriov, const struct nic_pf *pf, const struct sriov_claim *claim,
	const struct vf_attributes *is, const struct vf_attributes *want, enum vf_attribute attribute,
	GPtrArray *sentences)
{
	g_autofree char *label = sriov_label(claim, pf);
	g_autofree char *value = vf_attribute_format(is, attribute),
			*set = vf_attribute_format(want, attribute);
	const char *word = vf_attribute_word(attribute);
	g_autoptr(GError) error = NULL;

	if (vf_write(sriov->links, pf->netdev, claim->index, want, attribute, &error) == 0)
		g_ptr_array_add(sentences,
			g_strdup_printf("%s: its %s was %s; it is %s again", label, word, value, set));
	/* Nothing passes one by its MAC and VLAN where the driver sets no link. */
	else if (want->link != VF_LINK_DISABLE || attribute != VF_LINK)
		g_ptr_array_add(sentences, g_strdup_printf("%s: its %s is %s, and %s cannot be set: %s",
						   label, word, value, set, error->message));
}

/* libvirt has the driver of one that is armed, and gives it back to one that has left. */
static void check_driver(struct sriov *sriov, const struct nic_pf *pf, const struct sriov_claim *claim,
	const char *driver, GPtrArray *sentences)
{
	g_autofree char *label = sriov_label(claim, pf);
	g_autoptr(GError) error = NULL;

	if (claim->step != SRIOV_CLAIMED || !driver)
		return;
	if (pci_driver_unbind(sriov->root, claim->vf, &error))
		g_ptr_array_add(sentences,
			g_strdup_printf("%s: it was bound to %s; it is unbound again", label, driver));
	else
		g_ptr_array_add(sentences, g_strdup_printf("%s: %s", label, error->message));
}

void sriov_check_up(struct sriov *sriov, const char *netdev, GPtrArray *sentences)
{
	g_autoptr(GError) error = NULL;

	if (sriov_is_up(sriov, netdev))
		return;
	if (links_set_up(sriov->links, netdev, &error))
		g_ptr_array_add(sentences, g_strdup_printf("%s was down; it is up again", netdev));
	else
		g_ptr_array_add(sentences, g_strdup(error->message));
}

void sriov_vf_check(
	struct sriov *sriov, const struct sriov_claim *claim, GHashTable *guests, GPtrArray *sentences)
{
	_cleanup_(sriov_place_done) struct sriov_place place;
	g_autoptr(GError) error = NULL;
	struct vf_attributes is;

	if (!sriov_must_find(sriov, claim, &place, &error) ||
		!vf_read(sriov->links, place.pf->netdev, claim->index, &is, &error)) {
		g_ptr_array_add(sentences, g_strdup(error->message));
		return;
	}
	bool in_guest = vf_use_guest(guests, sriov->root, place.vf) != NULL;
	struct vf_attributes want = sriov_vf_wanted(claim, in_guest);
	/* MAC and VLAN of one that is armed and not yet, or no more, in its guest are libvirt's. */
	const struct sriov_kind *kind = sriov_kind_of(sriov, claim);
	unsigned which = kind->protection | kind->limits;
	if (is_dead(claim, in_guest))
		which |= VF_LINK;
	if (claim->step == SRIOV_ARMED && !in_guest)
		which &= ~(unsigned)(VF_MAC | VF_VLAN);
	sriov_check_up(sriov, place.pf->netdev, sentences);
	switchdev_check(sriov, claim, &place, sentences);
	if (!in_guest)
		check_driver(sriov, place.pf, claim, place.vf->driver, sentences);
	unsigned differ = vf_compare(&is, &want, which);
	for (unsigned i = 0; i < VF_ATTRIBUTES; i++)
		if (differ & 1u << i)
			repair(sriov, place.pf, claim, &is, &want, 1u << i, sentences);
}
