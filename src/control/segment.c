/* Where the packets of a virtual network travel: in a VXLAN of its own, or in a VLAN of a physical network.
 *
 * How it works. The operator's verb and the tag `sluice-segment` of a network say it in the same words:
 *
 *     vxlan               in a VXLAN, whose VNI is chosen
 *     vlan:PHYSICAL       in a VLAN of that physical network, one that is free
 *     vlan:PHYSICAL:ID    in that one
 *
 * A network always has one segment, and its number from a pool: of all VNIs, or of the VLANs of that physical network.
 * It moves in one transaction, which also finds that no virtual machine that is on has a NIC in it: a host that were
 * told before another would cut the network in two.
 *
 * A put with the tag takes the network to where it says, which is nothing to do for a network that is there; a put
 * without the tag keeps the segment. Where the verb says something else than the tag, the tag is made to say the same:
 * what a network shows is true, and the user whose template still has the old words asks for a move back.
 *
 * Rejected: the segment as a part of the network that puts carry along. A dialect that read it before the operator
 * changed it would set it back.
 */
#include "base/fault.h"
#include "control/control_priv.h"
#include "model/vlan_set.h"

#include <string.h>

#define TAG_SEGMENT     "sluice-segment"
#define TAG_ENFORCEMENT "sluice-enforcement"
#define NAMES_MAX       3

/* What the words ask for. */
struct wish {
	char *physical; /* Owned name; NULL: a VXLAN */
	int64_t vlan; /* 0: any that is free */
};

static void wish_clear(struct wish *wish)
{
	g_free(wish->physical);
}
CLEANUP_CLEAR_FUNC(struct wish, wish_clear)

static bool parse(const char *words, struct wish *ret, GError **error)
{
	g_auto(GStrv) parts = g_strsplit(words, ":", -1);
	guint n = g_strv_length(parts);
	guint64 vlan = 0;

	if (g_str_equal(words, "vxlan"))
		return true;
	if (n < 2 || n > 3 || !g_str_equal(parts[0], "vlan") || !*parts[1] ||
		(n == 3 && !g_ascii_string_to_unsigned(parts[2], 10, 1, VLAN_ID_MAX, &vlan, NULL)))
		return fault_set(error, FAULT_INVALID,
			"'%s' is no segment: 'vxlan', 'vlan:PHYSICAL' or 'vlan:PHYSICAL:ID' is needed, with "
			"an id "
			"from 1 to %d",
			words, VLAN_ID_MAX);
	*ret = (struct wish){g_strdup(parts[1]), (int64_t)vlan};
	return true;
}

static bool find_physical(struct change *change, const char *name, struct physical **ret, GError **error)
{
	void *there = NULL;

	if (name && !change_find(change, KIND_PHYSICAL, NULL, name, &there, error))
		return false;
	if (name && !there)
		return fault_set(error, FAULT_INVALID_REFERENCE,
			"there is no physical network %s; 'sluice network physical list' shows those that "
			"are there",
			name);
	*ret = there;
	return true;
}

/* ---- who would be cut off ---- */

static bool has_nic_of(const struct vm *vm, GHashTable *nics)
{
	for (guint i = 0; i < list_length(vm->spec.nics); i++)
		if (g_hash_table_contains(nics, ((struct vm_nic_ref *)vm->spec.nics->pdata[i])->nic))
			return true;
	return false;
}

/* NICs come to a VM only by a put of the VM, which the guard on the list of VMs finds. The list comes first: any NIC of
 * a VM in it referred to the network before, so that it is among the references. Read the other way round, a NIC
 * that came between with its VM would be in the list and not among the references, and nothing would find it. */
static bool check_nobody_there(struct change *change, const struct network *network, GError **error)
{
	g_autoptr(GPtrArray) vms = change_list(change, KIND_VM, error);
	g_autoptr(GHashTable) users = vms ? change_refs(change, network->meta.uid, error) : NULL;
	g_autoptr(GString) names = g_string_new(NULL);
	guint n = 0;

	if (!users)
		return false;
	for (guint i = 0; i < vms->len; i++) {
		const struct vm *vm = vms->pdata[i];
		if (vm_is_off(vm) || !has_nic_of(vm, users))
			continue;
		if (n++ < NAMES_MAX)
			g_string_append_printf(names, "%s%s", names->len ? ", " : "", vm->meta.name);
	}
	if (n == 0)
		return true;
	return fault_set(error, FAULT_NOT_ALLOWED,
		"The segment of virtual network %s cannot be changed while virtual machines in it are not "
		"deallocated: "
		"%s%s. Deallocate them first (az vm deallocate), change the segment, then start them again.",
		network->meta.name, names->str, n > NAMES_MAX ? " and others" : "");
}

/* ---- moving ---- */

void segment_release(struct change *change, struct network *network)
{
	int64_t number = network->spec.physical ? network->status.vlan : network->status.vni;
	g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, number);

	change_release(change, network->spec.physical ? network->spec.physical : POOL_VNI, text);
	if (network->spec.physical)
		change_unref(change, network->spec.physical, network->meta.uid);
	g_clear_pointer(&network->spec.physical, g_free);
	network->status.vni = network->status.vlan = 0;
}

static bool claim(struct change *change, struct network *network, const struct physical *physical,
	int64_t vlan, GError **error)
{
	network->spec.segment = physical ? SEGMENT_VLAN : SEGMENT_VXLAN;
	if (!physical) {
		network->status.vni = ipam_claim_vni(change, network->meta.uid, error);
		return network->status.vni != 0;
	}
	network->status.vlan = ipam_claim_vlan(change, physical, vlan, network->meta.uid, error);
	if (!network->status.vlan)
		return false;
	network->spec.physical = g_strdup(physical->meta.uid);
	change_ref(change, physical->meta.uid, &network->meta);
	return true;
}

static bool is_there(const struct network *network, const struct physical *physical, int64_t vlan)
{
	if (!physical || !network->spec.physical)
		return !physical && network->status.vni;
	return g_str_equal(network->spec.physical, physical->meta.uid) &&
	       (!vlan || vlan == network->status.vlan);
}

static bool settle(struct change *change, struct network *network, const char *words,
	struct physical **ret_physical, GError **error)
{
	_cleanup_(wish_clear) struct wish wish = {};
	struct physical *physical = NULL;

	if (!parse(words, &wish, error) || !find_physical(change, wish.physical, &physical, error)) {
		g_prefix_error(error, "virtual network %s: ", network->meta.name);
		return false;
	}
	*ret_physical = physical;
	if (is_there(network, physical, wish.vlan))
		return true;
	if (network->meta.revision) {
		if (!check_nobody_there(change, network, error))
			return false;
		segment_release(change, network);
	}
	return claim(change, network, physical, wish.vlan, error);
}

/* The switch carries IPv4 alone to and from physical networks. */
static bool check_versions(const struct network *network, GError **error)
{
	for (guint i = 0; network->spec.physical && i < list_length(network->spec.prefixes); i++) {
		const char *prefix = network->spec.prefixes->pdata[i];
		if (strchr(prefix, ':'))
			return fault_set(error, FAULT_UNSUPPORTED,
				"virtual network %s has the IPv6 prefix %s, but in a VLAN of a physical "
				"network only IPv4 is carried; leave the prefix out, or keep the network in "
				"a VXLAN",
				network->meta.name, prefix);
	}
	return true;
}

/* An internal load balancer leads its clients by their own switches, which machines on the wire do not have. The list is
 * guarded against one that comes meanwhile. */
static bool check_balancers(struct change *change, const struct network *network, GError **error)
{
	g_autoptr(GPtrArray) balancers =
		network->spec.physical ? change_list(change, KIND_BALANCER, error) : NULL;

	for (guint i = 0; i < list_length(balancers); i++) {
		const struct balancer *balancer = balancers->pdata[i];
		if (balancer_is_internal(balancer) &&
			g_str_equal(balancer->status.network, network->meta.uid))
			return fault_set(error, FAULT_UNSUPPORTED,
				"virtual network %s has the internal load balancer %s, which there cannot be "
				"in a "
				"VLAN of a physical network; delete that first, or keep the network in a "
				"VXLAN",
				network->meta.name, balancer->meta.name);
	}
	return balancers || !network->spec.physical;
}

bool segment_prepare(struct put *put, GError **error)
{
	const struct network *old = put->old;
	struct network *network = put->object;
	const char *tag = tag_value(&network->meta, TAG_SEGMENT);
	struct physical *physical;

	g_free(network->spec.physical);
	network->spec.physical = old ? g_strdup(old->spec.physical) : NULL;
	network->spec.segment = old ? old->spec.segment : SEGMENT_VXLAN;
	if ((!old || tag) && !settle(put->change, network, tag ? tag : "vxlan", &physical, error))
		return false;
	return check_versions(network, error) && check_balancers(put->change, network, error);
}

static char *format(const struct network *network, const struct physical *physical)
{
	return physical ? g_strdup_printf(
				  "vlan:%s:%" G_GINT64_FORMAT, physical->meta.name, network->status.vlan)
			: g_strdup("vxlan");
}

static void set_tag(struct network *network, const char *words)
{
	const char *key;
	json_t *value;

	json_object_foreach(network->meta.tags, key, value)
	{
		if (g_ascii_strcasecmp(key, TAG_SEGMENT) == 0)
			json_string_set(value, words);
	}
}

bool segment_move(struct change *change, struct network *network, const char *words, GError **error)
{
	const char *tag = tag_value(&network->meta, TAG_SEGMENT);
	struct physical *physical;

	if (!settle(change, network, words, &physical, error) || !check_versions(network, error) ||
		!check_balancers(change, network, error))
		return false;
	g_autofree char *now = format(network, physical);
	if (tag && !g_str_equal(tag, words))
		set_tag(network, now);
	return true;
}

/* ---- what others ask ---- */

char *control_segment(struct control *control, const struct network *network, GError **error)
{
	_cleanup_(model_free) struct physical *physical = NULL;

	if (network->spec.physical) {
		physical = control_get(control, KIND_PHYSICAL, network->spec.physical, error);
		if (!physical)
			return NULL;
	}
	return format(network, physical);
}

bool segment_check_nic(const struct nic *nic, GError **error)
{
	const char *tag = tag_value(&nic->meta, TAG_ENFORCEMENT);

	return !tag || g_str_equal(tag, "guest") ||
	       fault_set(error, FAULT_INVALID,
		       "network interface %s has the tag " TAG_ENFORCEMENT
		       " with the value '%s'; only 'guest' can be asked for",
		       nic->meta.name, tag);
}

bool control_guest(struct control *control, const struct nic *nic, enum guest *ret, GError **error)
{
	const struct nic_config *first = nic->spec.configs->pdata[0];

	*ret = GUEST_NOT_ASKED;
	if (g_strcmp0(tag_value(&nic->meta, TAG_ENFORCEMENT), "guest") != 0)
		return true;
	_cleanup_(model_free) struct network *network =
		control_get(control, KIND_NETWORK, first->network, error);
	if (!network)
		return false;
	*ret = GUEST_NOT_ALLOWED;
	if (!network->spec.physical)
		return true;
	_cleanup_(model_free) struct physical *physical =
		control_get(control, KIND_PHYSICAL, network->spec.physical, error);
	if (physical && physical->spec.guest_enforcement)
		*ret = GUEST_ALLOWED;
	return physical != NULL;
}

bool control_host_is_on(const struct host *host, const char *physical)
{
	for (guint i = 0; i < list_length(host->status.physicals); i++)
		if (g_ascii_strcasecmp(host->status.physicals->pdata[i], physical) == 0)
			return true;
	return false;
}

void segment_fill(const struct host *host, struct goal *goal)
{
	for (guint i = 0; i < list_length(goal->networks); i++) {
		const struct goal_network *network = goal->networks->pdata[i];
		if (!network->physical || control_host_is_on(host, network->physical))
			continue;
		if (!goal->conditions)
			goal->conditions = strings_new();
		g_ptr_array_add(goal->conditions,
			g_strdup_printf("Host %s is not on physical network %s, which virtual network %s is "
					"a VLAN of: "
					"virtual machines there are cut off from others. Name its devices in "
					"/etc/sluice/host.conf of that host.",
				host->meta.name, network->physical, network->name));
	}
}
