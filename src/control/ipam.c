/* Giving addresses, MACs and segment numbers: the first free one, or a random one where order does not
 * matter. */
#include "base/fault.h"
#include "control/control_priv.h"
#include "model/vlan_set.h"

#define SUBNET_RESERVED 4 /* network, gateway and two more, as in Azure */
#define VNI_FIRST       4096
#define VNI_LAST        0xffffff
#define RANDOM_TRIES    64
#define GROUPS_MAX      3000 /* application groups; as in Azure, and fewer than a switch takes for one network */

static bool reserved(struct ip_prefix prefix, struct ip_addr addr)
{
	for (uint64_t i = 0; i < SUBNET_RESERVED; i++)
		if (ip_equal(addr, prefix_nth(prefix, i)))
			return true;
	return prefix.addr.family == IP_V4 && ip_equal(addr, prefix_nth(prefix, prefix_size(prefix) - 1));
}

void ipam_gateway(struct ip_prefix prefix, char text[static IP_TEXT_MAX])
{
	ip_format(prefix_nth(prefix, 1), text);
}

static char *claim_wanted(struct change *change, const struct subnet *subnet, struct ip_prefix prefix,
	const char *wanted, const char *holder, GError **error)
{
	struct ip_addr addr;
	char text[IP_TEXT_MAX], range[PREFIX_TEXT_MAX];

	if (ip_parse(wanted, &addr) < 0 || !prefix_contains(prefix, addr)) {
		fault_set(error, FAULT_INVALID,
			"Private static IP address %s does not belong to the range of subnet prefix %s.",
			wanted, prefix_format(prefix, range));
		return NULL;
	}
	if (reserved(prefix, addr)) {
		fault_set(error, FAULT_INVALID,
			"Private static IP address %s falls within reserved IP range of subnet prefix %s.",
			wanted, prefix_format(prefix, range));
		return NULL;
	}
	ip_format(addr, text);
	if (!change_claim(change, subnet->uid, text, holder, error)) {
		g_prefix_error(error, "private address of subnet %s: ", subnet->name);
		return NULL;
	}
	return g_strdup(text);
}

/* First free address of a prefix from its `first` on, leaving out its last one. */
static char *claim_first(struct change *change, const char *pool, struct ip_prefix prefix, uint64_t first,
	struct ip_addr skip, const char *holder, GError **error)
{
	g_autoptr(GHashTable) held = change_pool(change, pool, error);
	uint64_t size = prefix_size(prefix);

	if (!held)
		return NULL;
	/* One more than is held is enough to find a gap. */
	uint64_t last = MIN(size - 1, first + g_hash_table_size(held) + 2);
	for (uint64_t i = first; i < last; i++) {
		char text[IP_TEXT_MAX];
		struct ip_addr addr = prefix_nth(prefix, i);
		if (g_hash_table_contains(held, ip_format(addr, text)) || ip_equal(addr, skip))
			continue;
		return change_claim(change, pool, text, holder, error) ? g_strdup(text) : NULL;
	}
	char text[PREFIX_TEXT_MAX];
	fault_set(error, FAULT_POOL_FULL, "no address of %s is free: all %u are in use",
		prefix_format(prefix, text), g_hash_table_size(held));
	return NULL;
}

char *ipam_claim(struct change *change, const struct subnet *subnet, bool ipv6, const char *wanted,
	const char *holder, GError **error)
{
	const char *range = ipv6 ? subnet->prefix6 : subnet->prefix;
	struct ip_prefix prefix;

	if (!range || prefix_parse(range, &prefix) < 0) {
		fault_set(error, FAULT_INTERNAL, "subnet %s has a prefix that cannot be read: %s",
			subnet->name, range ? range : "none");
		return NULL;
	}
	if (wanted)
		return claim_wanted(change, subnet, prefix, wanted, holder, error);
	char *text =
		claim_first(change, subnet->uid, prefix, SUBNET_RESERVED, (struct ip_addr){}, holder, error);
	if (!text)
		g_prefix_error(error, "subnet %s is full: ", subnet->name);
	return text;
}

char *ipam_claim_public(struct control *control, struct change *change, const char *holder, GError **error)
{
	char *text = claim_first(
		change, POOL_PUBLIC, control->public_prefix, 1, control->public_gateway, holder, error);

	if (!text)
		g_prefix_error(error, "public addresses: ");
	return text;
}

char *ipam_claim_shared(struct control *control, struct change *change, const char *holder, GError **error)
{
	struct ip_prefix pool = control->public_prefix;
	g_autoptr(GHashTable) held = change_pool(change, POOL_PUBLIC, error);

	for (uint64_t i = prefix_size(pool) - 2; held && i > 0; i--) {
		char text[IP_TEXT_MAX];
		struct ip_addr addr = prefix_nth(pool, i);
		if (!g_hash_table_contains(held, ip_format(addr, text)) &&
			!ip_equal(addr, control->public_gateway))
			return change_claim(change, POOL_PUBLIC, text, holder, error) ? g_strdup(text) : NULL;
	}
	if (held)
		fault_set(error, FAULT_POOL_FULL, "no public address is free to be shared");
	return NULL;
}

char *ipam_claim_mac(struct change *change, const char *holder, GError **error)
{
	for (unsigned i = 0; i < RANDOM_TRIES; i++) {
		char text[MAC_TEXT_MAX];
		uint32_t r = g_random_int();
		mac_format((struct mac_addr){{0x00, 0x0d, 0x3a, (uint8_t)(r >> 16), (uint8_t)(r >> 8),
				   (uint8_t)r}},
			text);
		if (change_claim(change, POOL_MAC, text, holder, NULL))
			return g_strdup(text);
	}
	fault_set(error, FAULT_POOL_FULL, "no free MAC address found in 00:0d:3a:00:00:00/24");
	return NULL;
}

char *ipam_claim_host_address(struct change *change, const char *holder, GError **error)
{
	struct ip_prefix pool;

	g_assert(prefix_parse("100.64.0.0/10", &pool) == 0);
	for (unsigned i = 0; i < RANDOM_TRIES; i++) {
		char text[IP_TEXT_MAX];
		/* The pool's first /24 is left to the host's own end. */
		ip_format(prefix_nth(pool, 256 + g_random_int() % (prefix_size(pool) - 512)), text);
		if (change_claim(change, POOL_HOST, text, holder, NULL))
			return g_strdup(text);
	}
	fault_set(error, FAULT_POOL_FULL, "no free host-port address found in 100.64.0.0/10");
	return NULL;
}

int64_t ipam_claim_vni(struct change *change, const char *holder, GError **error)
{
	for (unsigned i = 0; i < RANDOM_TRIES; i++) {
		int32_t vni = g_random_int_range(VNI_FIRST, VNI_LAST);
		g_autofree char *text = g_strdup_printf("%d", vni);
		if (change_claim(change, POOL_VNI, text, holder, NULL))
			return vni;
	}
	fault_set(error, FAULT_POOL_FULL, "no free VXLAN network identifier found");
	return 0;
}

int64_t ipam_claim_group_number(struct change *change, const char *holder, GError **error)
{
	g_autoptr(GHashTable) held = change_pool(change, POOL_APPLICATION_GROUP, error);

	for (int64_t number = 1; held && number <= GROUPS_MAX; number++) {
		g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, number);
		if (!g_hash_table_contains(held, text))
			return change_claim(change, POOL_APPLICATION_GROUP, text, holder, error) ? number : 0;
	}
	if (held)
		fault_set(error, FAULT_QUOTA, "there are %d application security groups, which is the most",
			GROUPS_MAX);
	return 0;
}

static bool check_vlan(
	const struct physical *physical, const struct vlan_set *ids, int64_t vlan, GError **error)
{
	return vlan_set_has(ids, vlan) ||
	       fault_set(error, FAULT_INVALID,
		       "VLAN %" G_GINT64_FORMAT " is none of physical network %s, whose networks have %s",
		       vlan, physical->meta.name, physical->spec.vlans);
}

static bool claim_vlan(struct change *change, const struct physical *physical, int64_t vlan,
	const char *holder, GError **error)
{
	g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, vlan);
	g_autoptr(GError) failure = NULL;

	if (change_claim(change, physical->meta.uid, text, holder, &failure))
		return true;
	if (!g_error_matches(failure, FAULT, FAULT_EXISTS)) {
		g_propagate_error(error, g_steal_pointer(&failure));
		return false;
	}
	g_autofree char *other = change_holder(change, physical->meta.uid, text);
	const struct network *network = other ? change_get(change, KIND_NETWORK, other, NULL) : NULL;
	return fault_set(error, FAULT_EXISTS,
		"VLAN %s of physical network %s is virtual network %s's; name another, or none for one that "
		"is free",
		text, physical->meta.name, network ? network->meta.name : "another");
}

int64_t ipam_claim_vlan(struct change *change, const struct physical *physical, int64_t wanted,
	const char *holder, GError **error)
{
	struct vlan_set ids;

	if (!vlan_set_parse(physical->spec.vlans, &ids, error))
		return 0;
	if (wanted)
		return check_vlan(physical, &ids, wanted, error) &&
				       claim_vlan(change, physical, wanted, holder, error)
			       ? wanted
			       : 0;
	g_autoptr(GHashTable) held = change_pool(change, physical->meta.uid, error);
	for (int64_t id = 1; held && id <= VLAN_ID_MAX; id++) {
		g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, id);
		if (vlan_set_has(&ids, id) && !g_hash_table_contains(held, text))
			return claim_vlan(change, physical, id, holder, error) ? id : 0;
	}
	if (held)
		fault_set(error, FAULT_POOL_FULL,
			"no VLAN of physical network %s is free: all of %s are in use", physical->meta.name,
			physical->spec.vlans);
	return 0;
}
