/* Tests of decoding the state. */
#include "switch/state.h"

#include "base/fault.h"
#include "switch/classifier.h"
#include "switch/membership.h"
#include "switch/port.h"

#include <string.h>

static const char good_state[] =
	"{\"generation\": 7,"
	" \"outside\": {\"interface\": \"out0\", \"mac\": \"02:00:5e:00:00:01\", \"prefix\": "
	"\"203.0.113.0/24\","
	"   \"gateway\": \"203.0.113.1\"},"
	" \"host_port\": {\"interface\": \"host0\", \"mac\": \"02:00:5e:00:00:02\", \"prefix\": "
	"\"100.64.0.0/10\"},"
	" \"underlay\": {\"interface\": \"under0\", \"mac\": \"02:00:5e:00:00:03\", \"address\": "
	"\"172.16.0.1\","
	"   \"prefix\": \"172.16.0.0/22\", \"gateway\": \"172.16.3.254\", \"mtu\": 1550},"
	" \"physicals\": [{\"name\": \"physnet1\", \"interface\": \"phys1\", \"mtu\": 1500},"
	"   {\"name\": \"physnet2\", \"device\": \"net_ring0\", \"mtu\": 9000}],"
	" \"groups\": [{\"uid\": \"g1\", \"name\": \"web\", \"revalidate\": true, \"rules\": ["
	"   {\"name\": \"ssh\", \"direction\": \"inbound\", \"priority\": 100, \"protocol\": \"tcp\", "
	"\"action\": \"allow\","
	"    \"source\": {\"any\": false, \"tags\": [\"Internet\"], \"prefixes\": [], \"ports\": []},"
	"    \"destination\": {\"any\": true, \"tags\": [], \"prefixes\": [], \"ports\": [[22, 22]]}}]}],"
	" \"networks\": ["
	"  {\"uid\": \"n1\", \"vni\": 4096, \"prefixes\": [\"192.168.0.0/16\", \"fd00::/48\"], \"subnets\": ["
	"    {\"uid\": \"s1\", \"prefix\": \"192.168.1.0/24\", \"gateway\": \"192.168.1.1\", \"dns\": "
	"[\"9.9.9.9\", \"2620:fe::fe\"], \"prefix6\": \"fd00::/64\", \"gateway6\": \"fd00::1\","
	"     \"group\": \"g1\", \"routes\": [{\"prefix\": \"0.0.0.0/0\", \"via\": \"192.168.2.9\"},"
	"       {\"prefix\": \"10.0.0.0/8\", \"via\": \"none\"}]},"
	"    {\"uid\": \"s2\", \"prefix\": \"192.168.2.0/24\", \"gateway\": \"192.168.2.1\", \"dns\": [], "
	"\"group\": null}],"
	"   \"mappings\": [{\"prefix\": \"192.168.2.0/24\", \"vtep\": \"172.16.0.2\", \"mac\": "
	"\"02:00:00:00:00:09\"},"
	"     {\"prefix\": \"192.168.2.9\", \"vtep\": \"172.16.0.3\", \"mac\": \"02:00:00:00:00:0a\"}],"
	"   \"application_groups\": ["
	"    {\"number\": 3, \"name\": \"web\", \"members\": [\"192.168.1.4/32\", \"fd00::4/128\"]},"
	"    {\"number\": 1, \"name\": \"all\", \"members\": [\"192.168.0.0/16\"]}]},"
	"  {\"uid\": \"n2\", \"vni\": 4097, \"prefixes\": [\"192.168.0.0/16\"], \"subnets\": ["
	"    {\"uid\": \"s3\", \"prefix\": \"192.168.1.0/24\", \"gateway\": \"192.168.1.1\", \"dns\": [], "
	"\"group\": null}]},"
	"  {\"uid\": \"n3\", \"vlan\": {\"physical\": \"physnet1\", \"id\": 100}, \"prefixes\": "
	"[\"10.0.0.0/8\"],"
	"   \"subnets\": [{\"uid\": \"s4\", \"prefix\": \"10.0.0.0/24\", \"gateway\": \"10.0.0.1\","
	"     \"gateway_external\": true, \"dns\": []}]},"
	"  {\"uid\": \"n4\", \"vlan\": {\"physical\": \"physnet1\", \"id\": null}, \"prefixes\": [], "
	"\"subnets\": []},"
	"  {\"uid\": \"n5\", \"vlan\": {\"physical\": \"physnet2\", \"id\": 100}, \"prefixes\": [], "
	"\"subnets\": []}],"
	" \"nics\": ["
	"  {\"uid\": \"a\", \"name\": \"nicA\", \"mac\": \"00:0d:3a:00:00:04\", \"network\": \"n1\", "
	"\"subnet\": \"s1\","
	"   \"group\": \"g1\", \"mtu\": 1500,"
	"   \"addresses\": [{\"ip\": \"192.168.1.4\", \"public\": \"203.0.113.10\", \"standard\": true}],"
	"   \"host_address\": \"100.64.0.4\", \"hostname\": \"vm-a\","
	"   \"attachments\": [{\"kind\": \"synthetic\", \"socket\": \"/run/a.sock\"},"
	"     {\"kind\": \"function\", \"interface\": \"sl-f0\"}], \"active\": \"both\"},"
	"  {\"uid\": \"b\", \"name\": \"nicB\", \"mac\": \"00:0d:3a:00:00:04\", \"network\": \"n2\", "
	"\"subnet\": \"s3\","
	"   \"group\": null, \"mtu\": 1500, \"addresses\": [{\"ip\": \"192.168.1.4\", \"public\": null, "
	"\"standard\": false}],"
	"   \"host_address\": \"100.64.0.5\", \"hostname\": \"vm-b\","
	"   \"attachments\": [{\"kind\": \"synthetic\", \"socket\": \"/run/b.sock\"}], \"active\": "
	"\"synthetic\"}]}";

static json_t *load(void)
{
	json_t *state = json_loads(good_state, 0, NULL);

	g_assert_nonnull(state);
	return state;
}

/* "nics[0].addresses[0].ip" → the value there; its holder and last step too. */
static json_t *walk(json_t *at, const char *path, json_t **ret_holder, char *ret_step)
{
	while (*path) {
		size_t n = strcspn(path, ".[]");
		if (n) {
			*ret_holder = at;
			memcpy(ret_step, path, n);
			ret_step[n] = '\0';
			at = json_is_array(at) ? json_array_get(at, (size_t)atoi(ret_step))
					       : json_object_get(at, ret_step);
		}
		path += n;
		path += *path != '\0';
	}
	return at;
}

/* Puts the JSON text `value` at `path`; NULL removes what is there. */
static void change(json_t *state, const char *path, const char *value)
{
	json_t *holder = NULL;
	char step[64];

	walk(state, path, &holder, step);
	g_assert_nonnull(holder);
	if (!value) {
		g_assert_cmpint(json_object_del(holder, step), ==, 0);
		return;
	}
	json_t *json = json_loads(value, JSON_DECODE_ANY, NULL);
	g_assert_nonnull(json);
	if (json_is_array(holder))
		json_array_set_new(holder, (size_t)atoi(step), json);
	else
		json_object_set_new(holder, step, json);
}

/* The test goes on changing what it was made from. */
static struct snapshot *decode_copy(json_t *state, const struct snapshot *previous, GError **error)
{
	json_auto_t *copy = json_deep_copy(state);

	return state_decode(copy, previous, error);
}

static struct snapshot *decode(json_t *state, const struct snapshot *previous)
{
	g_autoptr(GError) error = NULL;
	struct snapshot *snapshot = state_decode(state, previous, &error);

	g_assert_no_error(error);
	return snapshot;
}

static void test_good(void)
{
	json_auto_t *state = load();
	g_autoptr(GError) error = NULL;
	_cleanup_(snapshot_free) struct snapshot *snapshot = state_decode(state, NULL, &error);

	g_assert_no_error(error);
	g_assert_cmpuint(snapshot->generation, ==, 7);
	g_assert_cmpuint(snapshot->n_networks, ==, 5);
	const struct nic *a = snapshot->nics[0], *b = snapshot->nics[1];
	g_assert_cmpstr(a->uid, ==, "a");
	g_assert_cmpstr(a->group->name, ==, "web");
	g_assert_true(a->subnet->group == a->group);
	g_assert_null(b->group);
	g_assert_cmpint(a->n_attachments, ==, 2);
	g_assert_true(a->attachments[0].active && a->attachments[1].active);
	struct ip_addr ip;
	ip_parse("192.168.1.4", &ip);
	g_assert_true(snapshot_find(snapshot, a->network->space, ip).nic == a);
	g_assert_true(snapshot_find(snapshot, b->network->space, ip).nic == b);
	ip_parse("203.0.113.10", &ip);
	g_assert_true(snapshot_find(snapshot, SPACE_PUBLIC, ip).nic == a);
	ip_parse("192.168.2.1", &ip);
	g_assert_cmpint(snapshot_find(snapshot, a->network->space, ip).kind, ==, OWNER_GATEWAY);
	g_assert_cmpint(snapshot_find(snapshot, b->network->space, ip).kind, ==, OWNER_NONE);
	g_assert_true(snapshot_find_mac(snapshot, 4096, a->mac.bytes) == a);
	g_assert_true(snapshot_find_mac(snapshot, 4097, a->mac.bytes) == b); /* the same MAC */
	g_assert_null(snapshot_find_mac(snapshot, 4098, a->mac.bytes));
}

static void test_ipv6(void)
{
	json_auto_t *state = load();
	g_autoptr(GError) error = NULL;
	struct ip_addr ip;

	json_array_append_new(json_object_get(json_array_get(json_object_get(state, "nics"), 0), "addresses"),
		json_pack("{s:s}", "ip", "fd00::4"));
	_cleanup_(snapshot_free) struct snapshot *both = state_decode(state, NULL, &error);
	g_assert_no_error(error);
	const struct nic *a = both->nics[0];
	ip_parse("fd00::4", &ip);
	g_assert_true(snapshot_find(both, a->network->space, ip).nic == a);
	g_assert_true(subnet_contains(a->subnet, ip));
	ip_parse("fd00::1", &ip);
	g_assert_cmpint(snapshot_find(both, a->network->space, ip).kind, ==, OWNER_GATEWAY);
	ip_parse("192.168.1.1", &ip);
	g_assert_cmpint(snapshot_find(both, a->network->space, ip).kind, ==, OWNER_GATEWAY);
	g_assert_cmpuint(a->subnet->n_dns, ==, 2);
	/* A link of less than 1280 bytes is none of IPv6. */
	change(state, "nics[0].mtu", "1279");
	g_assert_null(state_decode(state, NULL, &error));
	g_assert_true(g_str_has_prefix(error->message, "nics[0].mtu: is less than the 1280"));
	g_clear_error(&error);
	change(state, "nics[0].mtu", "1280");
	/* A subnet of IPv6 alone. */
	change(state, "nics[0].addresses[0].public", "null");
	change(state, "nics[0].addresses[0].ip", "\"fd00::5\"");
	change(state, "networks[0].subnets[0].prefix", NULL);
	change(state, "networks[0].subnets[0].gateway", NULL);
	_cleanup_(snapshot_free) struct snapshot *alone = state_decode(state, both, &error);
	g_assert_no_error(error);
	g_assert_cmpint(snapshot_find(alone, alone->nics[0]->network->space, ip).kind, ==, OWNER_NONE);
	ip_parse("192.168.1.4", &ip);
	g_assert_false(subnet_contains(alone->nics[0]->subnet, ip));
}

static void test_overlay(void)
{
	json_auto_t *state = load();
	g_autoptr(GError) error = NULL;
	_cleanup_(snapshot_free) struct snapshot *snapshot = state_decode(state, NULL, &error);
	struct ip_addr ip;

	g_assert_no_error(error);
	const struct underlay *underlay = &snapshot->underlay;
	g_assert_true(underlay->edge.present);
	g_assert_true(underlay_is_on_link(underlay, (const uint8_t[]){172, 16, 3, 255}));
	g_assert_false(underlay_is_on_link(underlay, (const uint8_t[]){172, 16, 4, 0}));
	const struct network *network = &snapshot->networks[0];
	ip_parse("192.168.2.9", &ip);
	const struct mapping *mapping = prefix_table_find(network->mappings, ip);
	g_assert_cmpuint(mapping->vtep[3], ==, 3);
	ip_parse("192.168.2.8", &ip);
	mapping = prefix_table_find(network->mappings, ip);
	g_assert_cmpuint(mapping->vtep[3], ==, 2);
	const struct route *route = prefix_table_find(network->subnets[0].routes, ip);
	g_assert_cmpuint(route->kind, ==, ROUTE_APPLIANCE);
	g_assert_true(prefix_table_row(network->subnets[0].routes, 0) == route);
	g_assert_null(prefix_table_row(network->subnets[0].routes, 2));
	g_assert_null(network->subnets[1].routes);
	/* The next state shares what did not change, and keeps it when the first is gone. */
	struct snapshot *next = decode_copy(state, snapshot, &error);
	g_assert_no_error(error);
	g_assert_true(next->networks[0].mappings == network->mappings);
	g_assert_true(next->networks[0].subnets[0].routes == network->subnets[0].routes);
	snapshot_free(g_steal_pointer(&snapshot));
	mapping = prefix_table_find(next->networks[0].mappings, ip);
	g_assert_cmpuint(mapping->vtep[3], ==, 2);
	snapshot_free(next);
}

/* What is past the network's subnets may be on another switch all the same, if a mapping says so. */
static void test_mapped_appliance(void)
{
	json_auto_t *state = load();

	change(state, "networks[0].mappings[0].prefix", "\"192.168.3.0/24\"");
	change(state, "networks[0].subnets[0].routes[0].via", "\"192.168.3.9\"");
	change(state, "networks[0].subnets[0].routes[1].via", "\"fd00::9\"");
	snapshot_free(decode(state, NULL));
}

/* Networks may share an address with each other. */
static void test_source_nat(void)
{
	json_auto_t *state = load();
	g_autoptr(GError) error = NULL;
	struct ip_addr ip;

	change(state, "networks[0].source_nat", "{\"addresses\": [\"203.0.113.250\", \"203.0.113.251\"]}");
	change(state, "networks[1].source_nat", "{\"addresses\": [\"203.0.113.250\"]}");
	_cleanup_(snapshot_free) struct snapshot *snapshot = state_decode(state, NULL, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(snapshot->networks[0].n_source_nat, ==, 2);
	g_assert_cmpuint(snapshot->networks[1].n_source_nat, ==, 1);
	ip_parse("203.0.113.251", &ip);
	g_assert_true(ip_equal(snapshot->networks[0].source_nat[1], ip));
	g_assert_cmpint(snapshot_find(snapshot, SPACE_PUBLIC, ip).kind, ==, OWNER_SHARED);
	ip_parse("203.0.113.252", &ip);
	g_assert_cmpint(snapshot_find(snapshot, SPACE_PUBLIC, ip).kind, ==, OWNER_NONE);
}

static void test_limits(void)
{
	json_auto_t *state = load();
	g_autoptr(GError) error = NULL;

	change(state, "nics[0].limits",
		"{\"send\": {\"bits_per_s\": 64000}, \"receive\": {\"packets_per_s\": 10, \"burst_ms\": 1}}");
	change(state, "nics[1].limits", "{\"send\": null, \"receive\": {\"bits_per_s\": 64000}}");
	_cleanup_(snapshot_free) struct snapshot *snapshot = state_decode(state, NULL, &error);
	g_assert_no_error(error);
	const struct nic *a = snapshot->nics[0], *b = snapshot->nics[1];
	g_assert_cmpuint(a->send.bits_per_s, ==, 64000);
	g_assert_cmpuint(a->send.packets_per_s, ==, 0);
	g_assert_cmpuint(a->send.burst_ms, ==, LIMIT_SEND_BURST_MS);
	g_assert_cmpuint(a->receive.packets_per_s, ==, 10);
	g_assert_cmpuint(a->receive.burst_ms, ==, 1);
	g_assert_false(limit_is_set(&b->send));
	g_assert_cmpuint(b->receive.burst_ms, ==, LIMIT_RECEIVE_BURST_MS);
}

static void test_physicals(void)
{
	json_auto_t *state = load();
	_cleanup_(snapshot_free) struct snapshot *snapshot = decode(state, NULL);
	const struct network *tagged = &snapshot->networks[2], *flat = &snapshot->networks[3],
			     *other = &snapshot->networks[4];
	struct ip_addr ip;

	g_assert_cmpstr(tagged->physical->name, ==, "physnet1");
	g_assert_cmpstr(other->physical->edge.interface, ==, "dpdk:net_ring0");
	g_assert_cmpuint(other->physical->mtu, ==, 9000);
	g_assert_true(flat->physical == tagged->physical && flat->physical != other->physical);
	g_assert_true(snapshot_vlan(snapshot, tagged->segment) == tagged);
	g_assert_true(snapshot_vlan(snapshot, flat->segment) == flat);
	g_assert_true(snapshot_vlan(snapshot, other->segment) == other);
	g_assert_cmpuint(segment_vlan_id(tagged->segment), ==, 100);
	g_assert_cmpuint(segment_vlan_id(flat->segment), ==, 0);
	g_assert_null(snapshot_vlan(snapshot, tagged->segment + 1));
	g_assert_null(snapshot_vlan(snapshot, segment_of_vlan(PHYSICAL_SLOTS, 100)));
	g_assert_null(snapshot_vlan(snapshot, 4096)); /* a VNI */
	g_assert_null(snapshot->networks[0].physical);
	/* An external gateway's address is nobody's here. */
	ip_parse("10.0.0.1", &ip);
	g_assert_cmpint(snapshot_find(snapshot, tagged->space, ip).kind, ==, OWNER_NONE);
}

/* What is an eswitch's says so; all else is not. */
static void test_offload(void)
{
	json_auto_t *state = load();

	change(state, "outside.offload", "\"tc\"");
	change(state, "physicals[0].offload", "\"tc\"");
	change(state, "nics[0].attachments[1].offload", "\"tc\"");
	change(state, "underlay.offload", "\"tc\"");
	change(state, "underlay.vxlan_device", "\"vx0\"");
	change(state, "underlay.kernel", "true");
	change(state, "underlay.interface", "\"out0\"");
	_cleanup_(snapshot_free) struct snapshot *snapshot = decode(state, NULL);
	g_assert_true(snapshot->outside.offload && !snapshot->host.offload);
	g_assert_true(snapshot->networks[2].physical->edge.offload);
	g_assert_false(snapshot->networks[4].physical->edge.offload);
	g_assert_true(snapshot->nics[0]->attachments[1].offload);
	g_assert_true(snapshot->underlay.edge.offload);
	/* Of the kernel's it may be a port's, too. */
	g_assert_cmpstr(snapshot->underlay.edge.interface, ==, PORT_UNDERLAY "out0");
	g_assert_cmpstr(snapshot->underlay.vxlan_device, ==, "vx0");
	g_assert_false(snapshot->nics[0]->attachments[0].offload);
}

/* Flows hold segments: what one of them means must not change under their hands. */
static void test_physical_slots(void)
{
	json_auto_t *state = load();
	_cleanup_(snapshot_free) struct snapshot *first = decode(state, NULL);
	uint32_t one = first->networks[2].segment, two = first->networks[4].segment;

	change(state, "networks[2].vlan.physical", "\"physnet9\"");
	change(state, "networks[3].vlan.physical", "\"physnet9\"");
	change(state, "physicals[0].name", "\"physnet9\"");
	_cleanup_(snapshot_free) struct snapshot *second = decode(state, first);
	g_assert_null(snapshot_vlan(second, one));
	g_assert_true(snapshot_vlan(second, two) == &second->networks[4]);
	g_assert_null(snapshot_vlan(first, second->networks[2].segment));
	/* Neighbours stay known where the wire is the same. */
	g_assert_true(second->networks[4].neighbours == first->networks[4].neighbours);
	change(state, "physicals[1].device", "\"net_ring1\"");
	_cleanup_(snapshot_free) struct snapshot *third = decode(state, second);
	g_assert_cmpuint(third->networks[4].segment, ==, two);
	g_assert_true(third->networks[4].neighbours != second->networks[4].neighbours);
	g_assert_true(third->networks[2].neighbours == second->networks[2].neighbours);
	/* And so do slots when all of the many are replaced. */
	json_t *physicals = json_object_get(state, "physicals");
	for (unsigned round = 0; round < 2; round++) {
		json_array_clear(json_object_get(state, "networks"));
		json_array_clear(json_object_get(state, "nics"));
		json_array_clear(physicals);
		for (int i = 0; i < PHYSICALS_MAX; i++)
			json_array_append_new(physicals,
				json_pack("{s:o, s:o, s:i}", "name", json_sprintf("p%u-%d", round, i),
					"interface", json_sprintf("p%u-%d", round, i), "mtu", 1500));
		struct snapshot *next = decode(state, third);
		snapshot_free(third);
		third = next;
	}
}

static void test_empty(void)
{
	json_auto_t *state =
		json_pack("{s:i, s:[], s:[], s:[]}", "generation", 0, "groups", "networks", "nics");
	g_autoptr(GError) error = NULL;
	_cleanup_(snapshot_free) struct snapshot *snapshot = state_decode(state, NULL, &error);

	g_assert_no_error(error);
	g_assert_false(snapshot->outside.present);
}

/* A change to the good state, and how the fault's sentence must begin. */
static const struct bad {
	const char *path, *value, *fault;
} bad_states[] = {
	{"generation", "\"7\"", "generation: "},
	{"underlay.interface", "\"out0\"", "underlay.interface: out0 is used twice"},
	{"underlay.device", "\"net0\"", "underlay.device: "},
	{"underlay.address", "\"172.16.4.1\"", "underlay.address: lies outside"},
	{"underlay.address", "\"fd00::1\"", "underlay.address: "},
	{"underlay.gateway", "\"172.16.4.1\"", "underlay.gateway: lies outside"},
	{"underlay.mtu", "117", "underlay.mtu: "},
	{"underlay.mtu", "9051", "underlay.mtu: "},
	{"underlay.mtu", NULL, "underlay.mtu: is missing"},
	{"underlay.vlan", "7", "underlay.vlan: is not known"},
	{"underlay.kernel", "1", "underlay.kernel: "},
	{"underlay.offload", "\"tc\"", "underlay.offload: needs \"vxlan_device\""},
	{"underlay.vxlan_device", "\"vx0\"", "underlay.vxlan_device: needs \"kernel\""},
	{"underlay.vxlan_device", "\"a/b\"",
		"underlay.vxlan_device: must be the name of a network interface"},
	{"networks[0].mappings", "7", "networks[0].mappings: must be an array"},
	{"networks[0].mappings[0].prefix", "\"192.168.2.1/24\"", "networks[0].mappings[0].prefix: has bits"},
	{"networks[0].mappings[0].vtep", "\"fd00::1\"", "networks[0].mappings[0].vtep: must be an IPv4"},
	{"networks[0].mappings[0].mac", "\"01:00:00:00:00:00\"",
		"networks[0].mappings[0].mac: must be a uni"},
	{"networks[0].mappings[0].mac", NULL, "networks[0].mappings[0].mac: is missing"},
	{"networks[0].mappings[1].prefix", "\"192.168.2.0/24\"", "networks[0].mappings: has two elements of"},
	{"networks[0].subnets[0].routes[0].via", "\"anywhere\"", "networks[0].subnets[0].routes[0].via: "},
	{"networks[0].subnets[0].routes[0].via", "7", "networks[0].subnets[0].routes[0].via: "},
	{"networks[0].subnets[0].routes[0].via", "\"192.168.3.9\"",
		"networks[0].subnets[0].routes[0].via: 192.168.3.9 is in no subnet of the network"},
	{"networks[0].subnets[0].routes[1].via", "\"203.0.113.77\"",
		"networks[0].subnets[0].routes[1].via: 203.0.113.77 is in no subnet"},
	{"networks[0].subnets[0].routes[1].via", "\"fd00:0:0:1::9\"",
		"networks[0].subnets[0].routes[1].via: fd00:0:0:1::9 is in no subnet"},
	{"networks[0].subnets[0].routes[0].prefix", "\"10.0.0.0/8\"",
		"networks[0].subnets[0].routes: has two"},
	{"networks[0].source_nat", "{\"addresses\": []}",
		"networks[0].source_nat.addresses: must name an address"},
	{"nics[0].limits", "7", "nics[0].limits: must be an object"},
	{"nics[0].limits", "{\"both\": {}}", "nics[0].limits.both: is not known"},
	{"nics[0].limits", "{\"send\": {}}", "nics[0].limits.send: must have bits_per_s or packets_per_s"},
	{"nics[0].limits", "{\"send\": {\"burst_ms\": 5}}", "nics[0].limits.send: must have"},
	{"nics[0].limits", "{\"send\": {\"bits_per_s\": 63999}}",
		"nics[0].limits.send.bits_per_s: must be a whole"},
	{"nics[0].limits", "{\"send\": {\"bits_per_s\": 1000000000001}}", "nics[0].limits.send.bits_per_s: "},
	{"nics[0].limits", "{\"receive\": {\"packets_per_s\": 9}}", "nics[0].limits.receive.packets_per_s: "},
	{"nics[0].limits", "{\"receive\": {\"packets_per_s\": 1e3}}",
		"nics[0].limits.receive.packets_per_s: "},
	{"nics[0].limits", "{\"receive\": {\"packets_per_s\": 10, \"burst_ms\": 0}}",
		"nics[0].limits.receive.burst_ms: "},
	{"nics[0].limits", "{\"receive\": {\"packets_per_s\": 10, \"burst_ms\": 1001}}",
		"nics[0].limits.receive.burst_ms: "},
	{"networks[0].source_nat", "{}", "networks[0].source_nat.addresses: is missing"},
	{"networks[0].source_nat", "[\"203.0.113.250\"]", "networks[0].source_nat: must be an object"},
	{"networks[0].source_nat", "{\"addresses\": [\"203.0.113.250\"], \"ports\": 7}",
		"networks[0].source_nat.ports: is not known"},
	{"networks[0].source_nat", "{\"addresses\": [\"203.0.113.250\", \"fd00::1\"]}",
		"networks[0].source_nat.addresses[1]: must be an IPv4"},
	{"networks[0].source_nat", "{\"addresses\": [\"203.0.113.250\", \"203.0.113.250\"]}",
		"networks[0].source_nat.addresses: names 203.0.113.250 twice"},
	{"networks[0].source_nat", "{\"addresses\": [\"203.0.113.1\"]}",
		"networks[0].source_nat.addresses[0]: is the address of the uplink's gateway"},
	{"networks[0].source_nat", "{\"addresses\": [\"172.16.0.1\"]}",
		"networks[0].source_nat.addresses[0]: is the address of this switch on the underlay"},
	{"networks[0].source_nat", "{\"addresses\": [\"172.16.3.254\"]}",
		"networks[0].source_nat.addresses[0]: is the address of the underlay's gateway"},
	{"networks[0].source_nat", "{\"addresses\": [\"100.64.7.7\"]}",
		"networks[0].source_nat.addresses[0]: is the address of something behind the host port"},
	{"networks[0].source_nat", "{\"addresses\": [\"224.0.0.5\"]}",
		"networks[0].source_nat.addresses[0]: must be an address that others can send to"},
	{"networks[0].source_nat", "{\"addresses\": [\"168.63.129.16\"]}",
		"networks[0].source_nat.addresses[0]: must be an address that others can send to"},
	{"networks[1].source_nat", "{\"addresses\": [\"203.0.113.10\"]}",
		"nics[0].addresses: the public address 203.0.113.10 is one that"},
	{"nics[0].forwarding", "1", "nics[0].forwarding: must be true or false"},
	{"generation", "-1", "generation: "},
	{"generation", NULL, "generation: is missing"},
	{"nics", NULL, "nics: is missing"},
	{"surprise", "1", "surprise: is not known"},
	{"outside.mac", "\"01:00:5e:00:00:01\"", "outside.mac: "},
	{"outside.mac", "\"00:00:00:00:00:00\"", "outside.mac: "},
	{"outside.prefix", "\"203.0.113.1/24\"", "outside.prefix: "},
	{"outside.prefix", "\"fd00::/64\"", "outside.prefix: "},
	{"outside.gateway", "\"203.0.114.1\"", "outside.gateway: "},
	{"outside.interface", "\"a,b=c\"", "outside.interface: "},
	{"outside.interface", NULL, "outside.interface: is missing"},
	{"outside.interface", "\"dpdk:net_ring0\"", "outside.interface: "},
	{"outside.device", "\"net_ring0\"", "outside.device: cannot be beside an interface"},
	{"host_port", "{\"device\": \"a,b=c\"}", "host_port.device: "},
	{"outside.interface", "\"sixteen-letters-\"", "outside.interface: "},
	{"host_port.interface", "\"out0\"", "host_port.interface: "},
	{"host_port.gateway", "\"100.64.0.1\"", "host_port.gateway: is not known"},
	{"groups[0].rules[0].priority", "99", "groups[0].rules[0].priority"},
	{"groups[0].rules[0].source.tags[0]", "\"Intranet\"", "groups[0].rules[0].source.tags[0]"},
	{"groups[0].rules[0].source.groups", "[-1]", "groups[0].rules[0].source.groups[0]"},
	{"networks[0].application_groups", "3", "networks[0].application_groups: "},
	{"networks[0].application_groups[1].number", "3",
		"networks[0].application_groups: two application groups have the number 3"},
	{"networks[0].application_groups[0].number", "4294967296",
		"networks[0].application_groups[0].number: "},
	{"networks[0].application_groups[0].name", NULL,
		"networks[0].application_groups[0].name: is missing"},
	{"networks[0].application_groups[0].members[1]", "\"fd00::4/64\"",
		"networks[0].application_groups[0].members[1]: "},
	{"groups[0].revalidate", "1", "groups[0].revalidate: "},
	{"groups[0].rules[0].protocol", "\"icmp\"",
		"groups[0].rules[0].destination.ports: only tcp and udp have ports"},
	{"physicals", "{}", "physicals: must be an array"},
	{"physicals[0].name", "\"\"", "physicals[0].name: "},
	{"physicals[1].name", "\"physnet1\"", "physicals[1].name: two physical networks have the name"},
	{"physicals[0].interface", "\"out0\"", "physicals[0].interface: out0 is used twice"},
	{"physicals[0].interface", NULL, "physicals[0].interface: is missing"},
	{"physicals[0].device", "\"net_ring1\"", "physicals[0].device: cannot be beside"},
	{"physicals[0].mtu", "67", "physicals[0].mtu: "},
	{"physicals[0].mtu", "9001", "physicals[0].mtu: "},
	{"physicals[0].mtu", NULL, "physicals[0].mtu: is missing"},
	{"physicals[0].offload", "\"hardware\"", "physicals[0].offload: must be \"tc\""},
	{"physicals[1].offload", "\"tc\"", "physicals[1].offload: is of network interfaces"},
	{"host_port.offload", "\"tc\"", "host_port.offload: is not known"},
	{"physicals[0].mac", "\"02:00:00:00:00:01\"", "physicals[0].mac: is not known"},
	{"networks[2].vlan", NULL, "networks[2]: has neither \"vni\" nor \"vlan\""},
	{"networks[2].vni", "7", "networks[2].vlan: cannot be beside a VNI"},
	{"networks[2].vlan", "100", "networks[2].vlan: must be an object"},
	{"networks[2].vlan.id", "0", "networks[2].vlan.id: "},
	{"networks[2].vlan.id", "4095", "networks[2].vlan.id: "},
	{"networks[2].vlan.id", "null", "networks[3].vlan: two networks are on physnet1 without a VLAN id"},
	{"networks[3].vlan.id", "100", "networks[3].vlan.id: two networks are on VLAN 100 of physnet1"},
	{"networks[2].vlan.physical", "\"physnet3\"", "networks[2].vlan.physical: must be the name"},
	{"networks[2].vlan.physical", NULL, "networks[2].vlan.physical: is missing"},
	{"networks[2].vlan.priority", "7", "networks[2].vlan.priority: is not known"},
	{"networks[2].mappings",
		"[{\"prefix\": \"10.0.0.9\", \"vtep\": \"172.16.0.2\", \"mac\": \"02:00:00:00:00:09\"}]",
		"networks[2].mappings: are of networks in VXLAN"},
	{"networks[2].subnets[0].gateway_external", "1",
		"networks[2].subnets[0].gateway_external: must be true"},
	{"networks[1].subnets[0].gateway_external", "true", "networks[1]: subnet s3: only on a VLAN"},
	{"networks[1].vni", NULL, "networks[1]: has neither"},
	{"networks[1].vni", "4096", "networks[1].vni: "},
	{"networks[1].vni", "0", "networks[1].vni: "},
	{"networks[1].uid", "\"n1\"", "networks[1].uid: "},
	{"networks[0].prefixes[0]", "\"192.168.1.0/16\"", "networks[0].prefixes[0]: "},
	{"networks[0].subnets[0].prefix", "\"10.0.0.0/24\"", "networks[0].subnets[0].gateway: "},
	{"networks[0].subnets[0].prefix", "\"fd00::/64\"", "networks[0].subnets[0].prefix: must be an IPv4"},
	{"networks[0].subnets[0].gateway", NULL, "networks[0].subnets[0].gateway: is missing"},
	{"networks[0].subnets[0].gateway", "\"fd00::1\"", "networks[0].subnets[0].gateway: must be an IPv4"},
	{"networks[0].subnets[0].gateway6", NULL, "networks[0].subnets[0].gateway6: is missing"},
	{"networks[0].subnets[0].gateway6", "\"fd00:0:0:1::1\"", "networks[0].subnets[0].gateway6: is no"},
	{"networks[0].subnets[0].gateway6", "\"fd00::\"", "networks[0].subnets[0].gateway6: is no address"},
	{"networks[0].subnets[0].gateway6", "\"192.168.1.1\"", "networks[0].subnets[0].gateway6: is no"},
	{"networks[0].subnets[0].prefix6", NULL, "networks[0].subnets[0].gateway6: is no address"},
	{"networks[0].subnets[0].prefix6", "\"fd00::/63\"",
		"networks[0].subnets[0].prefix6: must be an IPv6"},
	{"networks[0].subnets[0].prefix6", "\"fd00::/127\"", "networks[0].subnets[0].prefix6: must be an"},
	{"networks[0].subnets[0].prefix6", "\"fe80::/64\"", "networks[0].subnets[0].prefix6: must be an"},
	{"networks[0].subnets[0].prefix6", "\"192.168.1.0/24\"", "networks[0].subnets[0].prefix6: must be"},
	{"networks[0].subnets[0].prefix6", "\"fd00::1/64\"", "networks[0].subnets[0].prefix6: has bits"},
	{"networks[0].subnets[1]", "{\"uid\": \"s2\", \"dns\": []}",
		"networks[0].subnets[1].prefix: is missing, and prefix6 too"},
	{"networks[0].subnets[1]",
		"{\"uid\": \"s2\", \"prefix6\": \"fd00::/96\", \"gateway6\": \"fd00::9\", \"dns\": []}",
		"networks[0]: subnets s1 and s2 overlap"},
	{"networks[0].subnets[1]",
		"{\"uid\": \"s2\", \"prefix6\": \"fd01::/64\", \"gateway6\": \"fd01::9\", \"dns\": []}",
		"networks[0]: subnet s2 lies outside"},
	{"nics[0].addresses[0].ip", "\"fd00::1\"", "nics[0].addresses"},
	{"networks[0].subnets[1].prefix", "\"192.168.0.0/16\"", "networks[0]: subnets s1 and s2 overlap"},
	{"networks[0].prefixes", "[\"192.168.1.0/24\", \"fd00::/48\"]",
		"networks[0]: subnet s2 lies outside"},
	{"networks[0].subnets[0].group", "\"g2\"", "networks[0].subnets[0].group: "},
	{"networks[0].subnets[0].dns[0]", "\"x\"", "networks[0].subnets[0].dns[0]: "},
	{"nics[1].uid", "\"a\"", "nics[1].uid: "},
	{"nics[1].uid", "\"\"", "nics[1].uid: "},
	{"nics[0].mac", "\"zz\"", "nics[0].mac: "},
	{"nics[0].network", "\"n9\"", "nics[0].network: "},
	{"nics[0].subnet", "\"s3\"", "nics[0].subnet: "},
	{"nics[0].group", "\"\"", "nics[0].group: "},
	{"nics[0].mtu", "67", "nics[0].mtu: "},
	{"nics[0].mtu", "9001", "nics[0].mtu: "},
	{"nics[0].addresses[0].ip", "\"192.168.2.4\"", "nics[0].addresses: "},
	{"nics[0].addresses[0].ip", "\"192.168.1.1\"", "nics[0].addresses: "},
	{"nics[0].addresses[0].ip", "\"192.168.1.0\"",
		"nics[0].addresses: 192.168.1.0 is the network address of"},
	{"nics[0].addresses[0].ip", "\"192.168.1.255\"",
		"nics[0].addresses: 192.168.1.255 is the broadcast address of"},
	{"nics[0].addresses[0]", "{\"ip\": \"fd00::\"}",
		"nics[0].addresses: fd00:: is the subnet-router anycast address of"},
	{"nics[0].addresses[0].public", "\"fd00::1\"", "nics[0].addresses[0].public: "},
	{"nics[0].addresses[0].public", "\"203.0.113.1\"",
		"nics[0].addresses[0].public: is the address of the uplink's gateway"},
	{"nics[0].addresses[0].public", "\"172.16.0.1\"",
		"nics[0].addresses[0].public: is the address of this switch on the underlay"},
	{"nics[0].addresses[0].public", "\"100.64.0.1\"",
		"nics[0].addresses[0].public: is the address of something behind the host port"},
	{"nics[0].addresses[0].public", "\"224.0.0.5\"",
		"nics[0].addresses[0].public: must be an address that others can send to"},
	{"nics[1].addresses[0].public", "\"203.0.113.10\"", "nics[1].addresses: "},
	{"nics[1].host_address", "\"100.64.0.4\"", "nics[1].host_address: "},
	{"nics[1].host_address", "\"10.0.0.4\"", "nics[1].host_address: "},
	{"nics[0].hostname", "\"a b\"", "nics[0].hostname: "},
	{"nics[0].attachments[0].kind", "\"virtual\"",
		"nics[0].attachments[0].kind: must be one of synthetic, function"},
	{"nics[0].attachments[1].kind", "\"foo\"",
		"nics[0].attachments[1].kind: must be one of synthetic, function"},
	{"nics[0].attachments[1].kind", NULL, "nics[0].attachments[1].kind: must be one of"},
	{"nics[0].attachments[1]", "7", "nics[0].attachments[1]: must be an object"},
	{"nics[0].attachments[0].socket", "\"relative\"", "nics[0].attachments[0].socket: "},
	{"nics[0].attachments[1].interface", NULL, "nics[0].attachments[1]: must say where the function is"},
	{"nics[0].attachments[1].physical", "true", "nics[0].attachments[1].physical: cannot be beside"},
	{"nics[0].attachments[1].physical", "false", "nics[0].attachments[1].physical: must be true"},
	{"nics[0].attachments[1].physical", "\"physnet1\"", "nics[0].attachments[1].physical: must be true"},
	{"nics[0].attachments[1].offload", "true", "nics[0].attachments[1].offload: must be \"tc\""},
	{"nics[0].attachments[0].offload", "\"tc\"", "nics[0].attachments[0].offload: is not known"},
	{"nics[0].attachments[1]", "{\"kind\": \"function\", \"physical\": true, \"offload\": \"tc\"}",
		"nics[0].attachments[1].offload: cannot be beside \"physical\""},
	{"nics[0].attachments[0].physical", "true", "nics[0].attachments[0].physical: is not known"},
	{"nics[0].attachments[1]", "{\"kind\": \"function\", \"physical\": true}",
		"nics[0].attachments: a function cannot be on a physical network (\"physical\"), as network "
		"n1 "
		"is in VXLAN"},
	{"nics[0].attachments",
		"[{\"kind\": \"function\", \"interface\": \"x\"}, "
		"{\"kind\": \"function\", \"physical\": true}]",
		"nics[0].attachments: holds two attachments of the kind function"},
	{"nics[0].attachments[1].device", "\"net_ring0\"", "nics[0].attachments[1].device: cannot be"},
	{"nics[0].attachments[0].interface", "\"x\"", "nics[0].attachments[0].interface: is not known"},
	{"nics[1].attachments[0].socket", "\"/run/a.sock\"", "nics[1].attachments[0].socket: "},
	{"nics[0].attachments[1]", "{\"kind\": \"synthetic\", \"socket\": \"/c\"}", "nics[0].attachments: "},
	{"nics[1].active", "\"function\"", "nics[1].active: "},
	{"nics[1].active", "\"both\"", "nics[1].active: "},
	{"nics[1].active", "\"none\"", "nics[1].active: "},
	{"nics[0]", "3", "nics[0]: "},
};

static void test_bad(void)
{
	for (size_t i = 0; i < G_N_ELEMENTS(bad_states); i++) {
		const struct bad *bad = &bad_states[i];
		json_auto_t *state = load();
		g_autoptr(GError) error = NULL;
		change(state, bad->path, bad->value);
		g_assert_null(state_decode(state, NULL, &error));
		g_assert_error(error, FAULT, FAULT_INVALID);
		if (!g_str_has_prefix(error->message, bad->fault))
			g_error("%s = %s: \"%s\" does not begin with \"%s\"", bad->path, bad->value,
				error->message, bad->fault);
	}
}

/* Whatever is put anywhere, decoding ends, and says why when it refuses. */
static void mutate(json_t *at)
{
	static const char *const values[] = {
		"null", "true", "-1", "4294967296", "\"\"", "[]", "{}", "[[]]", "\"x\"", "1.5"};

	if (json_is_array(at) && json_array_size(at) && g_test_rand_int_range(0, 4)) {
		mutate(json_array_get(at, (size_t)g_test_rand_int_range(0, (int)json_array_size(at))));
		return;
	}
	if (!json_is_object(at) || json_object_size(at) == 0)
		return;
	void *i = json_object_iter(at);
	for (int skip = g_test_rand_int_range(0, (int)json_object_size(at)); skip; skip--)
		i = json_object_iter_next(at, i);
	if (g_test_rand_int_range(0, 3))
		mutate(json_object_iter_value(i));
	else
		json_object_iter_set_new(at, i,
			json_loads(values[g_test_rand_int_range(0, G_N_ELEMENTS(values))], JSON_DECODE_ANY,
				NULL));
}

static void test_mutations(void)
{
	unsigned refused = 0;

	for (unsigned i = 0; i < 3000; i++) {
		json_auto_t *state = load();
		g_autoptr(GError) error = NULL;
		mutate(state);
		_cleanup_(snapshot_free) struct snapshot *snapshot = state_decode(state, NULL, &error);
		g_assert_true((snapshot == NULL) == (error != NULL));
		refused += snapshot == NULL;
	}
	g_assert_cmpuint(refused, >, 1000);
}

static void test_generation(void)
{
	json_auto_t *state = load();
	g_autoptr(GError) error = NULL;
	_cleanup_(snapshot_free) struct snapshot *first = decode_copy(state, NULL, &error);

	_cleanup_(snapshot_free) struct snapshot *again = decode_copy(state, first, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(again->epoch, ==, first->epoch + 1);
	change(state, "generation", "6");
	g_assert_null(decode_copy(state, first, &error));
	g_assert_error(error, FAULT, FAULT_INVALID);
}

static void test_slots(void)
{
	json_auto_t *state = load();
	_cleanup_(snapshot_free) struct snapshot *first = decode_copy(state, NULL, NULL);
	uint32_t a = first->nics[0]->id, b = first->nics[1]->id;

	json_array_remove(json_object_get(state, "nics"), 0);
	_cleanup_(snapshot_free) struct snapshot *second = decode_copy(state, first, NULL);
	g_assert_null(snapshot_nic(second, a));
	g_assert_cmpstr(snapshot_nic(second, b)->uid, ==, "b");

	json_auto_t *whole = load();
	_cleanup_(snapshot_free) struct snapshot *third = decode_copy(whole, second, NULL);
	g_assert_null(snapshot_nic(third, a));
	g_assert_cmpstr(snapshot_nic(third, b)->uid, ==, "b");
	g_assert_cmpstr(third->nics[0]->uid, ==, "a");
	g_assert_cmpuint(third->nics[0]->id, !=, a);
}

/* As datapath.c makes the first snapshot when it has adopted flows. */
static void test_adopted_slots(void)
{
	json_auto_t *state = load();
	_cleanup_(snapshot_free) struct snapshot *first = snapshot_new();

	first->adopted[0] = snapshot_strdup(first, "b");
	first->adopted[1] = snapshot_strdup(first, "gone");
	first->adopted[7] = snapshot_strdup(first, "a");
	first->incarnations[0] = first->incarnations[1] = 5;
	first->incarnations[7] = 9;
	_cleanup_(snapshot_free) struct snapshot *second = decode_copy(state, first, NULL);
	g_assert_cmpstr(snapshot_nic(second, nic_id(0, 5))->uid, ==, "b");
	g_assert_cmpstr(snapshot_nic(second, nic_id(7, 9))->uid, ==, "a");
	g_assert_true(snapshot_knows(first, nic_id(1, 5)));
	g_assert_false(snapshot_knows(first, nic_id(1, 4)));
	g_assert_false(snapshot_knows(second, nic_id(1, 5))); /* it was given up with the first state */
	g_assert_true(snapshot_knows(second, nic_id(7, 9)));
}

static void test_sharing(void)
{
	json_auto_t *state = load();
	_cleanup_(snapshot_free) struct snapshot *first = decode_copy(state, NULL, NULL);

	_cleanup_(snapshot_free) struct snapshot *same = decode_copy(state, first, NULL);
	g_assert_true(same->nics[0]->group == first->nics[0]->group);
	change(state, "groups[0].rules[0].destination.ports", "[[23, 23]]");
	_cleanup_(snapshot_free) struct snapshot *changed = decode_copy(state, first, NULL);
	g_assert_true(changed->nics[0]->group != first->nics[0]->group);
}

static void test_application_groups(void)
{
	json_auto_t *state = load();
	_cleanup_(snapshot_free) struct snapshot *snapshot = state_decode(state, NULL, NULL);
	struct ip_addr addr;
	struct membership are;

	g_assert_cmpint(ip_parse("192.168.1.4", &addr), ==, 0);
	are = membership_find(snapshot->networks[0].memberships, addr);
	g_assert_cmpuint(are.tags, ==, POLICY_TAG_VIRTUAL_NETWORK);
	g_assert_cmpuint(are.n_groups, ==, 2);
	g_assert_cmpuint(are.groups[0], ==, 1);
	g_assert_cmpuint(are.groups[1], ==, 3);
	are = membership_find(snapshot->networks[1].memberships, addr); /* another network's address */
	g_assert_cmpuint(are.n_groups, ==, 0);
}

/* One more group of 192.168.1.4 than an address may have, and it is refused by name. */
static void test_too_many_groups(void)
{
	json_auto_t *state = load();
	json_t *network = json_array_get(json_object_get(state, "networks"), 0);
	json_t *groups = json_object_get(network, "application_groups");
	g_autoptr(GError) error = NULL;

	for (int i = 2; i < CLASSIFIER_GROUPS_MAX; i++)
		json_array_append_new(groups, json_pack("{s:i, s:s, s:[s]}", "number", i + 100, "name",
						      "more", "members", "192.168.1.4/30"));
	_cleanup_(snapshot_free) struct snapshot *full = state_decode(state, NULL, &error);
	g_assert_no_error(error);
	json_array_append_new(groups, json_pack("{s:i, s:s, s:[s]}", "number", 0, "name", "one too many",
					      "members", "192.168.1.4"));
	g_assert_null(state_decode(state, NULL, &error));
	g_assert_error(error, FAULT, FAULT_INVALID);
	g_assert_cmpstr(error->message, ==,
		"networks[0].application_groups: 192.168.1.4 is in more than 32 application groups; take its "
		"NIC "
		"out of some of them");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/state/a whole state is decoded and its references resolved", test_good);
	g_test_add_func("/state/a subnet is of IPv4, of IPv6, or of both", test_ipv6);
	g_test_add_func("/state/an empty state is a state", test_empty);
	g_test_add_func("/state/the overlay is decoded, and shared with the state before", test_overlay);
	g_test_add_func("/state/limits are of one direction each, by bits or packets", test_limits);
	g_test_add_func("/state/a route leads to a subnet, or where a mapping does", test_mapped_appliance);
	g_test_add_func("/state/networks share public addresses with each other", test_source_nat);
	g_test_add_func("/state/networks are found by the VLANs that they are", test_physicals);
	g_test_add_func("/state/ports of an eswitch say so", test_offload);
	g_test_add_func("/state/a physical network keeps its slot, and nobody takes it over at once",
		test_physical_slots);
	g_test_add_func("/state/what is bad is refused with its path", test_bad);
	g_test_add_func("/state/random mutations are taken or refused with a reason", test_mutations);
	g_test_add_func("/state/the generation never goes down", test_generation);
	g_test_add_func("/state/a NIC keeps its number, and none gets that of one before it", test_slots);
	g_test_add_func("/state/a NIC gets the number that adopted flows know it by", test_adopted_slots);
	g_test_add_func("/state/a group that did not change is shared with the state before", test_sharing);
	g_test_add_func("/state/an address has its network's application groups", test_application_groups);
	g_test_add_func("/state/an address in too many application groups is refused", test_too_many_groups);
	return g_test_run();
}
