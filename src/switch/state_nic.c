/* Decoding of the state's NICs: see state.c. */
#include "switch/port.h"
#include "switch/state_priv.h"
#include "switch/wire.h"

#include <string.h>
#include <sys/un.h>

struct nic_words {
	struct nic *nic;
	struct ip_addr host_address;
	bool synthetic, function; /* which attachments are active */
};

static const struct decode_member address_members[] = {
	{"ip", decode_ip, offsetof(struct nic_address, ip)},
	{"public", decode_public_address, offsetof(struct nic_address, public_ip), .optional = true},
	{"standard", decode_bool, offsetof(struct nic_address, standard), .optional = true},
	{},
};

static bool decode_address(struct decode *d, json_t *value, void *to)
{
	struct nic_address *address = to;

	if (!decode_object(d, value, address_members, address))
		return false;
	if (address->public_ip.family != IP_NONE && address->ip.family != IP_V4)
		return decode_fail_at(d, "public", "an IPv6 address has no IPv4 translation");
	return true;
}

static bool decode_addresses(struct decode *d, json_t *value, void *to)
{
	struct nic *nic = ((struct nic_words *)to)->nic;

	nic->addresses = decode_list(
		d, value, sizeof *nic->addresses, NIC_ADDRESSES, decode_address, &nic->n_addresses);
	return !d->error;
}

static bool decode_socket(struct decode *d, json_t *value, void *to)
{
	const char *path = json_string_value(value);

	if (!path || path[0] != '/' || strlen(path) >= sizeof((struct sockaddr_un *)NULL)->sun_path)
		return decode_fail(d, "must be an absolute path of at most %zu bytes",
			sizeof((struct sockaddr_un *)NULL)->sun_path - 1);
	char *copy = snapshot_strdup(d->snapshot, path);
	if (!g_hash_table_add(index_of(d)->ports, copy))
		return decode_fail(d, "%s is used twice", path);
	*(char **)to = copy;
	return true;
}

static const char *const kind_words[] = {
	[ATTACHMENT_SYNTHETIC] = "synthetic",
	[ATTACHMENT_FUNCTION] = "function",
};

static bool decode_kind(struct decode *d, json_t *value, void *to)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(kind_words); i++) {
		if (g_strcmp0(json_string_value(value), kind_words[i]) == 0) {
			*(enum attachment_kind *)to = (enum attachment_kind)i;
			return true;
		}
	}
	return decode_fail(d, "must be one of synthetic, function");
}

static bool decode_physical(struct decode *d, json_t *value, void *to)
{
	*(bool *)to = json_is_true(value);
	return *(bool *)to || decode_fail(d, "must be true, or be left out");
}

static const struct decode_member synthetic_members[] = {
	{"kind", decode_kind, offsetof(struct attachment, kind)},
	{"socket", decode_socket, offsetof(struct attachment, name)},
	{},
};

static const struct decode_member function_members[] = {
	{"kind", decode_kind, offsetof(struct attachment, kind)},
	{"interface", decode_interface, offsetof(struct attachment, name), .optional = true},
	{"device", decode_device, offsetof(struct attachment, name), .optional = true},
	{"physical", decode_physical, offsetof(struct attachment, physical), .optional = true},
	{"offload", decode_offload, offsetof(struct attachment, offload), .optional = true},
	{},
};

static bool check_function(struct decode *d, const struct attachment *attachment)
{
	if (attachment->physical && attachment->name)
		return decode_fail_at(d, "physical",
			"cannot be beside an interface or a device: the function is reached by the physical "
			"network's");
	if (attachment->physical && attachment->offload)
		return decode_fail_at(d, "offload",
			"cannot be beside \"physical\": such a function has no representor, and needs none");
	if (!attachment->physical && !attachment->name)
		return decode_fail(d,
			"must say where the function is: \"interface\", \"device\", or \"physical\": true");
	return attachment->physical || check_offload(d, attachment->name, attachment->offload);
}

static bool decode_attachment(struct decode *d, json_t *value, void *to)
{
	struct attachment *attachment = to;

	/* Before all others: it says which those are. */
	if (json_is_object(value) &&
		!decode_at(d, "kind", json_object_get(value, "kind"), decode_kind, &attachment->kind))
		return false;
	bool function = attachment->kind == ATTACHMENT_FUNCTION;
	return decode_object(d, value, function ? function_members : synthetic_members, to) &&
	       (!function || check_function(d, to));
}

/* What its port is called: the place on the wire, so that another place has another port. */
static bool name_physical(struct decode *d, const struct nic *nic, struct attachment *attachment)
{
	const struct network *network = nic->network;
	char mac[MAC_TEXT_MAX];

	if (!network->physical)
		return decode_fail(d,
			"a function cannot be on a physical network (\"physical\"), as network %s is in "
			"VXLAN",
			network->uid);
	g_autofree char *name = g_strdup_printf(PORT_FUNCTION "%s:%u:%s", network->physical->edge.interface,
		segment_vlan_id(network->segment), mac_format(nic->mac, mac));
	attachment->name = snapshot_strdup(d->snapshot, name);
	return true;
}

static bool decode_attachments(struct decode *d, json_t *value, void *to)
{
	struct nic *nic = ((struct nic_words *)to)->nic;
	unsigned n = 0;
	struct attachment *list = decode_list(d, value, sizeof *list, NIC_ATTACHMENTS, decode_attachment, &n);

	if (d->error)
		return false;
	if (n == 2 && list[0].kind == list[1].kind)
		return decode_fail(d, "holds two attachments of the kind %s", kind_words[list[0].kind]);
	for (unsigned i = 0; i < n; i++) {
		if (list[i].physical && !name_physical(d, nic, &list[i]))
			return false;
		nic->attachments[i] = list[i];
	}
	nic->n_attachments = n;
	return true;
}

/* Comes after the attachments in the table. */
static bool decode_active(struct decode *d, json_t *value, void *to)
{
	struct nic *nic = ((struct nic_words *)to)->nic;
	const char *word = json_string_value(value);
	bool both = g_strcmp0(word, "both") == 0;
	unsigned n = 0;

	if (!both && g_strcmp0(word, "synthetic") != 0 && g_strcmp0(word, "function") != 0)
		return decode_fail(d, "must be one of synthetic, function, both");
	for (unsigned i = 0; i < nic->n_attachments; i++) {
		nic->attachments[i].active = both || g_str_equal(word, kind_words[nic->attachments[i].kind]);
		n += nic->attachments[i].active;
	}
	if (n < (both ? 2 : 1))
		return decode_fail(d, "\"%s\" names an attachment that the NIC does not have", word);
	return true;
}

/* RFC 1123, one label; it goes into DHCP answers. */
static bool decode_hostname(struct decode *d, json_t *value, void *to)
{
	const char *name = json_string_value(value);

	if (!name || !*name || strlen(name) > 63 || name[0] == '-' ||
		strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") !=
			strlen(name))
		return decode_fail(d, "must be a host name of 1 to 63 letters, digits and '-'");
	((struct nic_words *)to)->nic->hostname = snapshot_strdup(d->snapshot, name);
	return true;
}

bool decode_network_reference(struct decode *d, json_t *value, void *to)
{
	const char *uid = json_string_value(value);
	const struct network *network = uid ? g_hash_table_lookup(index_of(d)->networks, uid) : NULL;

	*(const struct network **)to = network;
	return network || decode_fail(d, "must be the uid of a network of this state");
}

static bool decode_nic_network(struct decode *d, json_t *value, void *to)
{
	return decode_network_reference(d, value, &((struct nic_words *)to)->nic->network);
}

/* Comes after the network in the table. */
static bool decode_nic_subnet(struct decode *d, json_t *value, void *to)
{
	struct nic *nic = ((struct nic_words *)to)->nic;

	for (unsigned i = 0; i < nic->network->n_subnets; i++)
		if (g_strcmp0(nic->network->subnets[i].uid, json_string_value(value)) == 0)
			nic->subnet = &nic->network->subnets[i];
	return nic->subnet || decode_fail(d, "must be the uid of a subnet of the NIC's network");
}

static bool decode_mtu(struct decode *d, json_t *value, void *to)
{
	int64_t mtu;

	if (!decode_whole(d, value, NIC_MTU_MIN, NIC_MTU_MAX, &mtu))
		return false;
	((struct nic_words *)to)->nic->mtu = (uint16_t)mtu;
	return true;
}

static bool decode_nic_uid(struct decode *d, json_t *value, void *to)
{
	return decode_text(d, value, &((struct nic_words *)to)->nic->uid);
}

static bool decode_nic_name(struct decode *d, json_t *value, void *to)
{
	return decode_text(d, value, &((struct nic_words *)to)->nic->name);
}

static bool decode_nic_mac(struct decode *d, json_t *value, void *to)
{
	return decode_mac(d, value, &((struct nic_words *)to)->nic->mac);
}

static bool decode_away(struct decode *d, json_t *value, void *to)
{
	return decode_bool(d, value, &((struct nic_words *)to)->nic->away);
}

static bool decode_forwarding(struct decode *d, json_t *value, void *to)
{
	return decode_bool(d, value, &((struct nic_words *)to)->nic->forwarding);
}

/* ---- limits ---- */

static bool decode_rate(struct decode *d, json_t *value, uint64_t min, uint64_t max, void *to)
{
	int64_t rate;

	if (!decode_whole(d, value, (int64_t)min, (int64_t)max, &rate))
		return false;
	*(uint64_t *)to = (uint64_t)rate;
	return true;
}

static bool decode_bits(struct decode *d, json_t *value, void *to)
{
	return decode_rate(d, value, LIMIT_BITS_MIN, LIMIT_BITS_MAX, to);
}

static bool decode_packets(struct decode *d, json_t *value, void *to)
{
	return decode_rate(d, value, LIMIT_PACKETS_MIN, LIMIT_PACKETS_MAX, to);
}

static bool decode_burst(struct decode *d, json_t *value, void *to)
{
	int64_t burst_ms;

	if (!decode_whole(d, value, 1, LIMIT_BURST_MAX_MS, &burst_ms))
		return false;
	*(uint32_t *)to = (uint32_t)burst_ms;
	return true;
}

static const struct decode_member limit_members[] = {
	{"bits_per_s", decode_bits, offsetof(struct limit, bits_per_s), .optional = true},
	{"packets_per_s", decode_packets, offsetof(struct limit, packets_per_s), .optional = true},
	{"burst_ms", decode_burst, offsetof(struct limit, burst_ms), .optional = true},
	{},
};

static bool decode_limit(struct decode *d, json_t *value, struct limit *limit, uint32_t burst_ms)
{
	limit->burst_ms = burst_ms;
	if (!decode_object(d, value, limit_members, limit))
		return false;
	return limit_is_set(limit) || decode_fail(d, "must have bits_per_s or packets_per_s, or both");
}

static bool decode_send(struct decode *d, json_t *value, void *to)
{
	return decode_limit(d, value, to, LIMIT_SEND_BURST_MS);
}

static bool decode_receive(struct decode *d, json_t *value, void *to)
{
	return decode_limit(d, value, to, LIMIT_RECEIVE_BURST_MS);
}

static const struct decode_member limits_members[] = {
	{"send", decode_send, offsetof(struct nic, send), .optional = true},
	{"receive", decode_receive, offsetof(struct nic, receive), .optional = true},
	{},
};

static bool decode_limits(struct decode *d, json_t *value, void *to)
{
	return decode_object(d, value, limits_members, ((struct nic_words *)to)->nic);
}

static bool decode_nic_group(struct decode *d, json_t *value, void *to)
{
	return decode_group_reference(d, value, &((struct nic_words *)to)->nic->group);
}

static bool decode_nic_front(struct decode *d, json_t *value, void *to)
{
	return decode_front(d, value, &((struct nic_words *)to)->nic->front);
}

static bool decode_nic_source_nat(struct decode *d, json_t *value, void *to)
{
	return decode_ipv4(d, value, &((struct nic_words *)to)->nic->source_nat);
}

static const struct decode_member nic_members[] = {
	{"uid", decode_nic_uid},
	{"name", decode_nic_name},
	{"mac", decode_nic_mac},
	{"network", decode_nic_network},
	{"subnet", decode_nic_subnet},
	{"group", decode_nic_group, .optional = true},
	{"mtu", decode_mtu},
	{"addresses", decode_addresses},
	{"host_address", decode_ipv4, offsetof(struct nic_words, host_address), .optional = true},
	{"hostname", decode_hostname, .optional = true},
	{"away", decode_away, .optional = true},
	{"forwarding", decode_forwarding, .optional = true},
	{"front", decode_nic_front, .optional = true},
	{"source_nat", decode_nic_source_nat, .optional = true},
	{"limits", decode_limits, .optional = true},
	{"attachments", decode_attachments},
	{"active", decode_active},
	{},
};

/* ---- addresses and slots ---- */

static bool check_private(struct decode *d, const struct nic *nic, struct ip_addr ip)
{
	char text[IP_TEXT_MAX];

	if (!subnet_contains(nic->subnet, ip))
		return decode_fail_at(
			d, "addresses", "%s lies outside the NIC's subnet", ip_format(ip, text));
	const char *reserved =
		prefix_reserved(ip.family == IP_V6 ? nic->subnet->prefix6 : nic->subnet->prefix, ip);
	return !reserved ||
	       decode_fail_at(d, "addresses", "%s is the %s address of the NIC's subnet; no NIC can have it",
		       ip_format(ip, text), reserved);
}

static bool add_address(struct decode *d, struct nic *nic, struct nic_address *address)
{
	struct snapshot *snapshot = d->snapshot;
	struct owner owner = {.kind = OWNER_NIC, .nic = nic, .address = address};
	char text[IP_TEXT_MAX];

	if (!check_private(d, nic, address->ip))
		return false;
	if (nic->away)
		return true; /* they are where it is */
	if (!snapshot_add_address(snapshot, nic->network->space, address->ip, owner))
		return decode_fail_at(
			d, "addresses", "%s is taken in this network", ip_format(address->ip, text));
	if (snapshot_find(snapshot, SPACE_PUBLIC, address->public_ip).kind == OWNER_SHARED)
		return decode_fail_at(d, "addresses",
			"the public address %s is one that a network's NICs share (source_nat)",
			ip_format(address->public_ip, text));
	if (address->public_ip.family != IP_NONE &&
		!snapshot_add_address(snapshot, SPACE_PUBLIC, address->public_ip, owner))
		return decode_fail_at(d, "addresses", "the public address %s is taken",
			ip_format(address->public_ip, text));
	return true;
}

static bool add_host_address(struct decode *d, struct nic *nic, struct ip_addr addr)
{
	const struct edge *host = &d->snapshot->host;
	struct owner owner = {.kind = OWNER_NIC, .nic = nic};

	if (addr.family == IP_NONE)
		return true;
	if (host->present && !prefix_contains(host->prefix, addr))
		return decode_fail_at(d, "host_address", "lies outside the host port's prefix");
	if (!snapshot_add_address(d->snapshot, SPACE_HOST, addr, owner))
		return decode_fail_at(d, "host_address", "is another NIC's too");
	memcpy(nic->host_address, addr.bytes, sizeof nic->host_address);
	return true;
}

/* Two NICs with one MAC in a network would be one to their peers. */
static bool claim_mac(struct decode *d, const struct nic *nic)
{
	char text[MAC_TEXT_MAX];

	return nic->away || snapshot_add_mac(d->snapshot, nic) ||
	       decode_fail_at(
		       d, "mac", "%s is another NIC's of this network too", mac_format(nic->mac, text));
}

/* RFC 8200, section 5: every link carries that much. */
static bool check_mtu(struct decode *d, const struct nic *nic)
{
	if (nic->mtu >= IPV6_MTU_MIN || !nic_first_address(nic, IP_V6))
		return true;
	return decode_fail_at(
		d, "mtu", "is less than the %d that a NIC with an IPv6 address needs", IPV6_MTU_MIN);
}

/* The slot that the NIC had, or one that nobody had in the snapshot before, with its next incarnation. */
bool take_slot(struct decode *d, struct nic *nic)
{
	const struct snapshot *previous = index_of(d)->previous;
	struct snapshot *snapshot = d->snapshot;
	unsigned slot;

	for (slot = 0; previous && slot < NIC_SLOTS; slot++) {
		if (g_strcmp0(snapshot_slot_uid(previous, slot), nic->uid) == 0) {
			nic->id = nic_id(slot, previous->incarnations[slot]);
			snapshot->nics[slot] = nic;
			return true;
		}
	}
	for (slot = 0; slot < NIC_SLOTS; slot++)
		if (!snapshot->nics[slot] && !(previous && snapshot_slot_uid(previous, slot)))
			break;
	if (slot == NIC_SLOTS)
		return decode_fail(d, "more than %d NICs are not possible on one switch", NIC_SLOTS);
	/* 0 is nobody's: with slot 0, it would be the number 0. */
	if (++snapshot->incarnations[slot] == 0)
		snapshot->incarnations[slot] = 1;
	nic->id = nic_id(slot, snapshot->incarnations[slot]);
	snapshot->nics[slot] = nic;
	return true;
}

static bool was_bypassed(const struct snapshot *previous, const struct nic *nic)
{
	const struct nic *was = previous ? snapshot_nic(previous, nic->id) : NULL;

	return was && was->bypassed;
}

static bool decode_nic(struct decode *d, json_t *value, void *to)
{
	struct nic *nic = to;
	struct nic_words words = {.nic = nic};

	if (!decode_object(d, value, nic_members, &words))
		return false;
	if (!g_hash_table_insert(index_of(d)->nics, nic->uid, nic))
		return decode_fail_at(d, "uid", "two NICs have the uid %s", nic->uid);
	for (unsigned i = 0; i < nic->n_addresses; i++)
		if (!add_address(d, nic, &nic->addresses[i]))
			return false;
	if (!check_mtu(d, nic) || !claim_mac(d, nic) || !add_host_address(d, nic, words.host_address) ||
		!take_slot(d, nic))
		return false;
	d->snapshot->n_changing += nic_is_changing(nic);
	nic->bypassed = nic_physical_function(nic) || was_bypassed(index_of(d)->previous, nic);
	return true;
}

/* Every address and MAC that the state names, so that the map is made once. */
static unsigned count_addresses(const struct snapshot *snapshot, json_t *nics, json_t *balancers)
{
	size_t n = 0;

	for (unsigned i = 0; i < snapshot->n_networks; i++)
		n += 2 * snapshot->networks[i].n_subnets + snapshot->networks[i].n_source_nat;
	n += count_balancer_addresses(balancers);
	for (size_t i = 0; i < json_array_size(nics); i++)
		n += 2 + 2 * json_array_size(json_object_get(json_array_get(nics, i), "addresses"));
	return (unsigned)MIN(n, UINT_MAX / 4);
}

static void add_gateways_of(
	struct snapshot *snapshot, const struct network *network, const struct subnet *subnet)
{
	const struct owner owner = {.kind = OWNER_GATEWAY, .subnet = subnet};

	if (subnet->gateway.family != IP_NONE && !subnet->gateway_external)
		snapshot_add_address(snapshot, network->space, subnet->gateway, owner);
	if (subnet->gateway6.family != IP_NONE)
		snapshot_add_address(snapshot, network->space, subnet->gateway6, owner);
}

static void add_gateways(struct snapshot *snapshot)
{
	for (unsigned i = 0; i < snapshot->n_networks; i++)
		for (unsigned j = 0; j < snapshot->networks[i].n_subnets; j++)
			add_gateways_of(snapshot, &snapshot->networks[i], &snapshot->networks[i].subnets[j]);
}

/* Networks may share them with each other: what is in use of them is told apart by connections. */
static void add_shared_addresses(struct snapshot *snapshot)
{
	for (unsigned i = 0; i < snapshot->n_networks; i++)
		for (unsigned j = 0; j < snapshot->networks[i].n_source_nat; j++)
			snapshot_add_address(snapshot, SPACE_PUBLIC, snapshot->networks[i].source_nat[j],
				(struct owner){.kind = OWNER_SHARED});
}

bool decode_nics(struct decode *d, json_t *value, void *to)
{
	unsigned n;

	json_t *balancers = json_object_get(index_of(d)->state, "balancers");

	snapshot_reserve(d->snapshot, count_addresses(d->snapshot, value, balancers));
	add_gateways(d->snapshot);
	add_shared_addresses(d->snapshot);
	decode_list(d, value, sizeof(struct nic), NIC_SLOTS, decode_nic, &n);
	return !d->error;
}
