/* What the switch demands of a NIC: the same as src/switch/state_nic.c, without its NICs' attachments, which
 * the agent makes. */
#include "agent/switch_nic.h"

#include "base/capacity.h"

#include <string.h>
#include <sys/un.h>

/* One NIC's check: what it would take is kept apart until all of it is free. */
struct check {
	struct switch_nics *nics;
	const struct goal_nic *nic;
	const struct goal_network *network;
	struct ip_prefix subnet, subnet6; /* subnet6.addr.family is IP_NONE where there is none */
	GPtrArray *wanted; /* Owned, of text */
	char *reason; /* Owned; the sentence, when it fails */
};

G_GNUC_PRINTF(2, 3)
static bool fail(struct check *check, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	check->reason = g_strdup_vprintf(format, args);
	va_end(args);
	return false;
}

/* Takes what the text names. False when it is taken. */
static bool want(struct check *check, char *text)
{
	bool is_free = !g_hash_table_contains(check->nics->taken, text) &&
		       !g_ptr_array_find_with_equal_func(check->wanted, text, g_str_equal, NULL);

	g_ptr_array_add(check->wanted, text);
	return is_free;
}

static char *address_in(const char *space, struct ip_addr addr)
{
	char text[IP_TEXT_MAX];

	return g_strdup_printf("%s %s", space, ip_format(addr, text));
}

/* ---- the parts of a NIC ---- */

static bool is_text(const char *text)
{
	return text && *text && strlen(text) <= TEXT_LENGTH_MAX && g_utf8_validate(text, -1, NULL);
}

static bool check_names(struct check *check)
{
	const struct goal_nic *nic = check->nic;

	if (!is_text(nic->uid) || !is_text(nic->name))
		return fail(check, "Its uid and its name must be text of 1 to %d bytes.", TEXT_LENGTH_MAX);
	if (!want(check, g_strdup_printf("uid %s", nic->uid)))
		return fail(check, "Another NIC of this host has the uid %s.", nic->uid);
	g_autofree char *socket = switch_state_socket(check->nics->site, nic->uid);
	if (strlen(socket) >= sizeof((struct sockaddr_un *)NULL)->sun_path)
		return fail(check, "The path of its socket, %s, is too long.", socket);
	return true;
}

bool switch_mac_parse(const char *text, struct mac_addr *ret)
{
	static const struct mac_addr zero;

	return text && mac_parse(text, ret) == 0 && !(ret->bytes[0] & 1) &&
	       memcmp(ret, &zero, sizeof zero) != 0;
}

static bool check_mac(struct check *check)
{
	const struct goal_nic *nic = check->nic;
	char text[MAC_TEXT_MAX];
	struct mac_addr mac;

	if (!switch_mac_parse(nic->mac, &mac))
		return fail(
			check, "Its MAC address, %s, is no unicast address.", nic->mac ? nic->mac : "none");
	if (!want(check, g_strdup_printf("mac %s %s", nic->network, mac_format(mac, text))))
		return fail(check, "Another NIC of its network has its MAC address, %s.", text);
	return true;
}

static bool check_place(struct check *check)
{
	const struct goal_nic *nic = check->nic;
	const struct goal_network *network = goal_find_network(check->nics->goal, nic->network);
	const struct goal_subnet *subnet = goal_find_subnet(network, nic->subnet);
	const char *lost = network ? g_hash_table_lookup(check->nics->lost, network->uid) : NULL;

	if (lost)
		return fail(check, "%s", lost);
	if (!subnet || !subnet->prefix || prefix_parse(subnet->prefix, &check->subnet) < 0 ||
		(subnet->prefix6 && prefix_parse(subnet->prefix6, &check->subnet6) < 0))
		return fail(check, "This host was told of no subnet %s in a network %s.",
			nic->subnet ? nic->subnet : "(none)", nic->network ? nic->network : "(none)");
	check->network = network;
	return true;
}

static bool check_group(struct check *check)
{
	const GPtrArray *groups = check->nics->goal->groups;
	const char *uid = check->nic->security_group;

	for (guint i = 0; uid && i < list_length(groups); i++)
		if (g_strcmp0(((const struct goal_group *)groups->pdata[i])->uid, uid) == 0)
			return true;
	return !uid || fail(check, "This host was told of no security group %s.", uid);
}

static bool check_public(struct check *check, const struct goal_address *address, struct ip_addr ip)
{
	const struct switch_port *host = check->nics->site->host_port;
	struct ip_addr public_ip;

	if (!address->public_ip)
		return true;
	if (ip_parse(address->public_ip, &public_ip) < 0 || public_ip.family != IP_V4 || ip.family != IP_V4)
		return fail(check, "%s cannot be translated to %s; both must be IPv4 addresses.", address->ip,
			address->public_ip);
	if (host && prefix_contains(host->prefix, public_ip))
		return fail(check, "The public address %s is of the host port's prefix.", address->public_ip);
	if (!want(check, address_in("public", public_ip)))
		return fail(check, "The public address %s is another's on this host, or a gateway's.",
			address->public_ip);
	return true;
}

static bool check_address(struct check *check, const struct goal_address *address)
{
	struct ip_addr ip;

	if (!address->ip || ip_parse(address->ip, &ip) < 0)
		return fail(check, "%s is no IP address.", address->ip ? address->ip : "(none)");
	struct ip_prefix prefix = ip.family == IP_V6 ? check->subnet6 : check->subnet;
	if (!prefix_contains(prefix, ip))
		return fail(check, "Its address %s lies outside its subnet.", address->ip);
	const char *reserved = prefix_reserved(prefix, ip);
	if (reserved)
		return fail(check, "Its address %s is the %s address of its subnet.", address->ip, reserved);
	if (!want(check, address_in(check->network->uid, ip)))
		return fail(check, "Its address %s is another's in its network.", address->ip);
	return check_public(check, address, ip);
}

static bool check_addresses(struct check *check)
{
	const GPtrArray *addresses = check->nic->addresses;

	if (list_length(addresses) > NIC_ADDRESSES)
		return fail(check, "It has %u addresses; %d are possible.", list_length(addresses),
			NIC_ADDRESSES);
	for (guint i = 0; i < list_length(addresses); i++)
		if (!check_address(check, addresses->pdata[i]))
			return false;
	return true;
}

static bool check_host_address(struct check *check)
{
	const struct switch_port *host = check->nics->site->host_port;
	const char *text = check->nic->host_address;
	struct ip_addr ip;

	if (!text)
		return true;
	if (ip_parse(text, &ip) < 0 || ip.family != IP_V4 || (host && !prefix_contains(host->prefix, ip)))
		return fail(check, "Its address on the host port, %s, is none of that port's prefix.", text);
	if (!want(check, address_in("host", ip)))
		return fail(check, "Its address on the host port, %s, is another NIC's too.", text);
	return true;
}

/* ---- all NICs ---- */

/* The switch has them before any NIC. */
static void take_gateways(struct switch_nics *nics)
{
	for (guint i = 0; i < list_length(nics->goal->networks); i++) {
		const struct goal_network *network = nics->goal->networks->pdata[i];
		for (guint j = 0; j < list_length(network->subnets); j++) {
			const struct goal_subnet *subnet = network->subnets->pdata[j];
			struct ip_addr gateway;
			if (subnet->gateway && ip_parse(subnet->gateway, &gateway) == 0)
				g_hash_table_add(nics->taken, address_in(network->uid, gateway));
			if (subnet->gateway6 && ip_parse(subnet->gateway6, &gateway) == 0)
				g_hash_table_add(nics->taken, address_in(network->uid, gateway));
		}
	}
}

static void take_public(struct switch_nics *nics, struct ip_addr addr)
{
	if (addr.family != IP_NONE)
		g_hash_table_add(nics->taken, address_in("public", addr));
}

/* They are somebody's already. */
static void take_edges(struct switch_nics *nics)
{
	const struct switch_site *site = nics->site;

	if (site->outside)
		take_public(nics, site->outside->gateway);
	if (!site->underlay)
		return;
	take_public(nics, site->underlay->address);
	take_public(nics, site->underlay->gateway);
}

/* No NIC's own: it belongs to all. */
static void take_shared(struct switch_nics *nics)
{
	struct ip_addr shared;

	if (nics->goal->source_nat && ip_parse(nics->goal->source_nat, &shared) == 0)
		take_public(nics, shared);
}

void switch_nics_init(
	struct switch_nics *nics, const struct goal *goal, const struct switch_site *site, GHashTable *lost)
{
	*nics = (struct switch_nics){
		.goal = goal,
		.site = site,
		.lost = lost,
		.taken = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
	};
	take_gateways(nics);
	take_edges(nics);
	take_shared(nics);
}

void switch_nics_done(struct switch_nics *nics)
{
	g_hash_table_unref(nics->taken);
}

bool switch_nics_take(struct switch_nics *nics, const char *space, const char *text)
{
	return g_hash_table_add(nics->taken, g_strdup_printf("%s %s", space, text));
}

char *switch_nics_add(
	struct switch_nics *nics, const struct goal_nic *nic, const struct goal_network **ret_network)
{
	g_autoptr(GPtrArray) wanted = g_ptr_array_new_with_free_func(g_free);
	struct check check = {.nics = nics, .nic = nic, .wanted = wanted};

	if (nics->n == NIC_SLOTS) {
		fail(&check, "One switch serves %d NICs; this host has more.", NIC_SLOTS);
		return check.reason;
	}
	if (!check_names(&check) || !check_place(&check) || !check_mac(&check) || !check_group(&check) ||
		!check_addresses(&check) || !check_host_address(&check))
		return check.reason;
	for (guint i = 0; i < wanted->len; i++)
		g_hash_table_add(nics->taken, g_steal_pointer(&wanted->pdata[i]));
	nics->n++;
	*ret_network = check.network;
	return NULL;
}
