/* Namespaces and veth pairs around the switch. */
#include "agent/namespaces.h"

#include "base/fault.h"
#include "base/log.h"
#include "nic/link.h"
#include "nic/netns.h"

#include <glib/gstdio.h>
#include <jansson.h>
#include <string.h>

#define METADATA_ADDRESS "169.254.169.254"
#define HOST_PREFIX      "100.64.0.0/10"

/* The switch's own MACs: locally administered, the same on every host, never seen outside of it. */
static const struct mac_addr outside_mac = {{0x02, 0x00, 0x5e, 0x00, 0x00, 0x01}};
static const struct mac_addr host_mac = {{0x02, 0x00, 0x5e, 0x00, 0x00, 0x02}};

/* ---- namespaces, and which of them are ours ---- */

static json_t *load_made(const char *ledger)
{
	json_t *made = json_load_file(ledger, 0, NULL);

	if (json_is_array(made))
		return made;
	json_decref(made);
	return json_array();
}

static bool is_made(const json_t *made, const char *netns)
{
	size_t i;
	json_t *name;

	json_array_foreach(
		(json_t *)made, i, name) if (g_strcmp0(json_string_value(name), netns) == 0) return true;
	return false;
}

static bool note_made(const char *ledger, const char *netns, GError **error)
{
	json_auto_t *made = load_made(ledger);

	if (is_made(made, netns))
		return true;
	json_array_append_new(made, json_string(netns));
	char *text = json_dumps(made, JSON_INDENT(1));
	bool ok = g_file_set_contents_full(
		ledger, text, -1, G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600, error);
	free(text);
	return ok;
}

static bool make_netns(const struct namespaces_config *config, const char *netns, GError **error)
{
	if (!netns || netns_exists(netns))
		return true;
	return note_made(config->ledger, netns, error) && netns_create(netns, error);
}

/* ---- pairs ---- */

/* The switch's end: nothing but a wire. */
static bool prepare_switch_end(struct links *links, const char *name, struct mac_addr mac, GError **error)
{
	return links_set_mac(links, name, mac, error) && links_quiet(links, name, error) &&
	       links_set_up(links, name, error);
}

/* Of the gateway's interface: the same whenever it is made anew, as the switch and others know it by ARP, and another on each host,
 * whose interfaces somebody may join by a bridge. */
static struct mac_addr gateway_mac(const struct namespaces_config *config, const char *name)
{
	g_autofree char *text = g_strjoin(" ", g_get_host_name(), config->ledger, name, NULL);
	g_autoptr(GChecksum) hash = g_checksum_new(G_CHECKSUM_SHA256);
	guint8 digest[32];
	gsize length = sizeof digest;
	struct mac_addr mac;

	g_checksum_update(hash, (const guchar *)text, -1);
	g_checksum_get_digest(hash, digest, &length);
	memcpy(mac.bytes, digest, sizeof mac.bytes);
	mac.bytes[0] = (mac.bytes[0] & 0xfc) | 0x02; /* locally administered, of one station */
	return mac;
}

static bool prepare_far_end(
	struct links *links, const char *name, struct ip_addr address, uint8_t length, GError **error)
{
	return links_set_up(links, name, error) && links_add_address(links, name, address, length, error);
}

static const char *outside_netns(const struct namespaces_config *config)
{
	return config->outside == OUTSIDE_NETNS ? config->outside_netns : NULL;
}

/* The prefix of an address. */
static struct ip_prefix prefix_of(struct ip_addr address, uint8_t length)
{
	struct ip_prefix prefix = {address, length};

	for (unsigned bit = length; bit < 32; bit++)
		prefix.addr.bytes[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
	return prefix;
}

/* "203.0.113.1/24" into address and prefix. */
static bool parse_address(const char *text, struct ip_addr *ret_address, struct ip_prefix *ret_prefix)
{
	g_auto(GStrv) halves = g_strsplit(text ? text : "", "/", 2);
	guint64 length;

	if (!halves[0] || !halves[1] || ip_parse(halves[0], ret_address) < 0 || ret_address->family != IP_V4)
		return false;
	if (!g_ascii_string_to_unsigned(halves[1], 10, 8, 30, &length, NULL))
		return false;
	*ret_prefix = prefix_of(*ret_address, (uint8_t)length);
	return true;
}

static bool set_up_outside(const struct namespaces_config *config, struct links *switch_links,
	struct namespaces_ports *ret, GError **error)
{
	struct switch_port *port = &ret->outside;

	*port = (struct switch_port){.interface = NAMESPACES_OUTSIDE_SWITCH, .mac = outside_mac};
	if (!parse_address(config->outside_address, &port->gateway, &port->prefix))
		return fault_set(error, FAULT_INVALID,
			"the outside address '%s' is none; give the gateway with its prefix's length, "
			"as 203.0.113.1/24",
			config->outside_address ? config->outside_address : "");
	_cleanup_(links_close) struct links *far = links_open(outside_netns(config), error);
	const char *name = config->outside_interface ? config->outside_interface : NAMESPACES_OUTSIDE;
	ret->has_outside = true;
	return far &&
	       links_add_veth(switch_links, NAMESPACES_OUTSIDE_SWITCH, name, outside_netns(config), error) &&
	       prepare_switch_end(switch_links, NAMESPACES_OUTSIDE_SWITCH, outside_mac, error) &&
	       links_set_mac(far, name, gateway_mac(config, name), error) &&
	       prepare_far_end(far, name, port->gateway, port->prefix.length, error);
}

static bool set_up_host(const struct namespaces_config *config, struct links *switch_links,
	struct namespaces_ports *ret, GError **error)
{
	struct switch_port *port = &ret->host;
	_cleanup_(links_close) struct links *far = links_open(config->meta_netns, error);
	struct ip_addr metadata, probe;

	*port = (struct switch_port){.interface = NAMESPACES_HOST_SWITCH, .mac = host_mac};
	prefix_parse(HOST_PREFIX, &port->prefix);
	ip_parse(METADATA_ADDRESS, &metadata);
	ip_parse(NAMESPACES_PROBES, &probe);
	return far &&
	       links_add_veth(
		       switch_links, NAMESPACES_HOST_SWITCH, NAMESPACES_HOST, config->meta_netns, error) &&
	       prepare_switch_end(switch_links, NAMESPACES_HOST_SWITCH, host_mac, error) &&
	       prepare_far_end(far, NAMESPACES_HOST, metadata, 32, error) &&
	       links_add_address(far, NAMESPACES_HOST, probe, 32, error) &&
	       links_add_route(far, NAMESPACES_HOST, port->prefix, error);
}

/* ---- the underlay ---- */

/* One of its own: kernel and switch would both answer for one that the host has. */
static bool parse_own_address(const struct namespaces_config *config, struct links *host,
	struct switch_underlay *underlay, GError **error)
{
	const char *address = config->underlay_address;

	if (!parse_address(address, &underlay->address, &underlay->prefix) ||
		ip_equal(underlay->address, underlay->prefix.addr))
		return fault_set(error, FAULT_INVALID,
			"the underlay address '%s' is none; give the switch one of its own with the prefix's "
			"length, as 172.16.0.1/24, or '" NAMESPACES_HOST_ADDRESS "'",
			address ? address : "");
	g_autofree char *holder = links_find_address(host, underlay->address);
	return !holder ||
	       fault_set(error, FAULT_INVALID,
		       "the underlay address '%s' is the host's own on %s; give the switch one that nobody "
		       "has, or '" NAMESPACES_HOST_ADDRESS "' to share the one that the host has on %s",
		       address, holder, config->underlay_interface);
}

static bool is_shared(const struct namespaces_config *config)
{
	return g_strcmp0(config->underlay_address, NAMESPACES_HOST_ADDRESS) == 0;
}

static bool find_host_address(const struct namespaces_config *config, struct links *host,
	struct switch_underlay *underlay, GError **error)
{
	uint8_t length;

	if (config->switch_netns)
		return fault_set(error, FAULT_INVALID,
			"the underlay cannot have the host's address: the switch is in a network namespace "
			"of its own, as the host file (/etc/sluice/host.conf) names no physical networks; "
			"name the NIC there, or give the switch an address of its own, as 172.16.0.1/24");
	if (!links_get_address(host, config->underlay_interface, &underlay->address, &length, error) ||
		!links_get_mac(host, config->underlay_interface, &underlay->mac, error))
		return false;
	underlay->prefix = prefix_of(underlay->address, length);
	underlay->kernel = true;
	underlay->interface = config->underlay_interface;
	return true;
}

static bool parse_gateway(
	const struct namespaces_config *config, struct switch_underlay *underlay, GError **error)
{
	const char *gateway = config->underlay_gateway;
	char text[PREFIX_TEXT_MAX];

	return !gateway ||
	       (ip_parse(gateway, &underlay->gateway) == 0 &&
		       prefix_contains(underlay->prefix, underlay->gateway)) ||
	       fault_set(error, FAULT_INVALID, "the underlay gateway '%s' is no address of %s", gateway,
		       prefix_format(underlay->prefix, text));
}

/* The wire's MTU, or the less that the config says. */
static bool choose_mtu(
	const struct namespaces_config *config, struct links *links, unsigned *ret, GError **error)
{
	const char *name = config->underlay_interface;
	unsigned mtu;

	if (!links_get_mtu(links, name, &mtu, error))
		return false;
	if (config->underlay_mtu < 0 || config->underlay_mtu > (int)mtu)
		return fault_set(error, FAULT_INVALID,
			"the underlay cannot have an MTU of %d: that of interface %s is %u",
			config->underlay_mtu, name, mtu);
	*ret = MIN(config->underlay_mtu ? (unsigned)config->underlay_mtu : mtu, UNDERLAY_MTU_MAX);
	return *ret >= UNDERLAY_MTU_MIN ||
	       fault_set(error, FAULT_INVALID,
		       "the underlay on interface %s would carry %u bytes; %d are needed for guests' packets",
		       name, *ret, UNDERLAY_MTU_MIN);
}

/* Like the VTEP, the same whenever the interface is made, so that peers need not learn another; locally
 * administered. */
static struct mac_addr underlay_mac(struct ip_addr vtep)
{
	return (struct mac_addr){{0x02, 0x5e, vtep.bytes[0], vtep.bytes[1], vtep.bytes[2], vtep.bytes[3]}};
}

/* The switch's own wire. */
static bool add_own(const struct namespaces_config *config, struct links *switch_links,
	struct switch_underlay *underlay, GError **error)
{
	const char *name = NAMESPACES_UNDERLAY;

	underlay->interface = name;
	underlay->mac = underlay_mac(underlay->address);
	return links_add_macvlan(switch_links, name, config->underlay_interface, NULL, error) &&
	       links_set_mtu(switch_links, name, underlay->mtu, error) &&
	       prepare_switch_end(switch_links, name, underlay->mac, error);
}

/* What an eswitch tunnels by. The kernel reads VXLAN from then on, and nobody reads what it has read; without it, it would answer
 * other hosts that nobody has the port. */
static bool add_tunnel(struct links *links, struct switch_underlay *underlay, GError **error)
{
	const char *name = NAMESPACES_VXLAN;
	g_autoptr(GError) failure = NULL;

	underlay->vxlan_device = name;
	return (links_add_vxlan(links, name, IP_VXLAN_PORT, &failure) && links_quiet(links, name, &failure) &&
		       links_set_up(links, name, &failure)) ||
	       fault_set(error, fault_code(failure),
		       "%s; if something else on this host has VXLAN's UDP port %d (ip -d link show type "
		       "vxlan), take it away, or give the switch an underlay address of its own",
		       failure->message, IP_VXLAN_PORT);
}

/* An underlay of an earlier run, which this one does not have: a wire of the switch's own, wherever the switch was; or what it shared
 * with the host. */
static bool drop_own(const struct namespaces_config *config, struct links *switch_links, GError **error)
{
	json_auto_t *made = load_made(config->ledger);
	size_t i;
	json_t *name;

	json_array_foreach(made, i, name)
	{
		const char *netns = json_string_value(name);
		_cleanup_(links_close) struct links *links =
			netns_exists(netns) ? links_open(netns, NULL) : NULL;
		if (links && !links_remove(links, NAMESPACES_UNDERLAY, error))
			return false;
	}
	return links_remove(switch_links, NAMESPACES_UNDERLAY, error);
}

/* In the host's namespace there may be another cloud's: of two, one has its switch there. */
static bool drop_shared(const struct namespaces_config *config, struct links *switch_links, GError **error)
{
	return config->switch_netns || links_remove(switch_links, NAMESPACES_VXLAN, error);
}

static bool drop_underlay(const struct namespaces_config *config, struct links *switch_links, GError **error)
{
	return drop_own(config, switch_links, error) && drop_shared(config, switch_links, error);
}

static bool set_up_underlay(const struct namespaces_config *config, struct links *switch_links,
	struct namespaces_ports *ret, GError **error)
{
	struct switch_underlay *underlay = &ret->underlay;
	_cleanup_(links_close) struct links *host = links_open(NULL, error);

	if (!host ||
		!(is_shared(config) ? find_host_address(config, host, underlay, error)
				    : parse_own_address(config, host, underlay, error)) ||
		!parse_gateway(config, underlay, error) || !choose_mtu(config, host, &underlay->mtu, error))
		return false;
	ret->has_underlay = true;
	if (underlay->kernel)
		return drop_own(config, switch_links, error) && add_tunnel(host, underlay, error);
	return drop_shared(config, switch_links, error) && add_own(config, switch_links, underlay, error);
}

bool namespaces_set_up(const struct namespaces_config *config, struct namespaces_ports *ret, GError **error)
{
	struct namespaces_ports ports = {};

	if (!make_netns(config, config->switch_netns, error) ||
		!make_netns(config, config->meta_netns, error) ||
		!make_netns(config, outside_netns(config), error))
		return false;
	_cleanup_(links_close) struct links *switch_links = links_open(config->switch_netns, error);
	if (!switch_links || !set_up_host(config, switch_links, &ports, error))
		return false;
	if (config->outside != OUTSIDE_NONE && !set_up_outside(config, switch_links, &ports, error))
		return false;
	if (config->underlay_interface ? !set_up_underlay(config, switch_links, &ports, error)
				       : !drop_underlay(config, switch_links, error))
		return false;
	*ret = ports;
	return true;
}

/* ---- the keeper ---- */

#define KEEP_US (5 * G_USEC_PER_SEC)

struct namespaces_keeper {
	const struct namespaces_config *config; /* Borrowed */
	struct namespaces_ports ports; /* as they were set up */
	namespaces_moved_fn moved; /* NULL: nobody asks, or has been told */
	void *data;
	GThread *thread;
	GMutex lock;
	GCond changed;
	bool stop; /* under the lock */
};

/* Others know the host's address, and its MAC, by the kernel; the switch by us alone. */
static void compare_underlay(struct namespaces_keeper *keeper, const struct namespaces_ports *now)
{
	const struct switch_underlay *a = &keeper->ports.underlay, *b = &now->underlay;
	char address[IP_TEXT_MAX], mac[MAC_TEXT_MAX];

	if (!keeper->moved || !b->kernel ||
		(ip_equal(a->address, b->address) && memcmp(&a->mac, &b->mac, sizeof a->mac) == 0 &&
			a->prefix.length == b->prefix.length))
		return;
	g_autofree char *message = g_strdup_printf(
		"the underlay's interface %s has the address %s/%u and the MAC %s now", b->interface,
		ip_format(b->address, address), b->prefix.length, mac_format(b->mac, mac));
	g_steal_pointer (&keeper->moved)(message, keeper->data);
}

static void set_up_again(struct namespaces_keeper *keeper, bool *failed)
{
	struct namespaces_ports ports;
	g_autoptr(GError) error = NULL;
	bool ok = namespaces_set_up(keeper->config, &ports, &error);

	if (!ok && !*failed)
		log_warn("network", "%s; it is tried again every few seconds", error->message);
	if (ok)
		compare_underlay(keeper, &ports);
	*failed = !ok;
}

static void *keep(void *data)
{
	struct namespaces_keeper *keeper = data;
	bool failed = false;

	g_mutex_lock(&keeper->lock);
	while (!keeper->stop) {
		gint64 until = g_get_monotonic_time() + KEEP_US;
		while (!keeper->stop && g_cond_wait_until(&keeper->changed, &keeper->lock, until))
			;
		if (keeper->stop)
			break;
		g_mutex_unlock(&keeper->lock);
		set_up_again(keeper, &failed);
		g_mutex_lock(&keeper->lock);
	}
	g_mutex_unlock(&keeper->lock);
	return NULL;
}

struct namespaces_keeper *namespaces_keep(const struct namespaces_config *config,
	const struct namespaces_ports *ports, namespaces_moved_fn moved, void *data)
{
	struct namespaces_keeper *keeper = g_new0(struct namespaces_keeper, 1);

	keeper->config = config;
	keeper->ports = *ports;
	keeper->moved = moved;
	keeper->data = data;
	g_mutex_init(&keeper->lock);
	g_cond_init(&keeper->changed);
	keeper->thread = g_thread_new("network", keep, keeper);
	return keeper;
}

void namespaces_keeper_free(struct namespaces_keeper *keeper)
{
	if (!keeper)
		return;
	g_mutex_lock(&keeper->lock);
	keeper->stop = true;
	g_cond_signal(&keeper->changed);
	g_mutex_unlock(&keeper->lock);
	g_thread_join(keeper->thread);
	g_mutex_clear(&keeper->lock);
	g_cond_clear(&keeper->changed);
	g_free(keeper);
}

/* ---- the end ---- */

static bool remove_pairs(const struct namespaces_config *config, GError **error)
{
	if (config->switch_netns && !netns_exists(config->switch_netns))
		return true;
	_cleanup_(links_close) struct links *links = links_open(config->switch_netns, error);
	return links && links_remove(links, NAMESPACES_OUTSIDE_SWITCH, error) &&
	       links_remove(links, NAMESPACES_HOST_SWITCH, error) && drop_underlay(config, links, error);
}

bool namespaces_tear_down(const struct namespaces_config *config, GError **error)
{
	json_auto_t *made = load_made(config->ledger);
	size_t i;
	json_t *name;

	if (!remove_pairs(config, error))
		return false;
	json_array_foreach(made, i, name) if (!netns_remove(json_string_value(name), error)) return false;
	g_unlink(config->ledger);
	return true;
}

bool namespaces_parse_outside(const char *text, struct namespaces_config *config)
{
	if (!text || g_str_equal(text, "none")) {
		config->outside = OUTSIDE_NONE;
	} else if (g_str_equal(text, "host")) {
		config->outside = OUTSIDE_HOST;
	} else if (g_str_has_prefix(text, "netns:") && strlen(text) > strlen("netns:")) {
		config->outside = OUTSIDE_NETNS;
		config->outside_netns = text + strlen("netns:");
	} else {
		return false;
	}
	return true;
}
