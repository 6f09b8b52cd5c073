/* Tests of decoding the state. */
#include "switch/state.h"

#include "base/fault.h"

#include <string.h>

static const char good_state[] =
	"{\"generation\": 7,"
	" \"outside\": {\"interface\": \"out0\", \"mac\": \"02:00:5e:00:00:01\", \"prefix\": "
	"\"203.0.113.0/24\","
	"   \"gateway\": \"203.0.113.1\"},"
	" \"host_port\": {\"interface\": \"host0\", \"mac\": \"02:00:5e:00:00:02\", \"prefix\": "
	"\"100.64.0.0/10\"},"
	" \"groups\": [{\"uid\": \"g1\", \"name\": \"web\", \"revalidate\": true, \"rules\": ["
	"   {\"name\": \"ssh\", \"direction\": \"inbound\", \"priority\": 100, \"protocol\": \"tcp\", "
	"\"action\": \"allow\","
	"    \"source\": {\"any\": false, \"tags\": [\"Internet\"], \"prefixes\": [], \"ports\": []},"
	"    \"destination\": {\"any\": true, \"tags\": [], \"prefixes\": [], \"ports\": [[22, 22]]}}]}],"
	" \"networks\": ["
	"  {\"uid\": \"n1\", \"vni\": 4096, \"prefixes\": [\"192.168.0.0/16\", \"fd00::/48\"], \"subnets\": ["
	"    {\"uid\": \"s1\", \"prefix\": \"192.168.1.0/24\", \"gateway\": \"192.168.1.1\", \"dns\": "
	"[\"9.9.9.9\"],"
	"     \"group\": \"g1\"},"
	"    {\"uid\": \"s2\", \"prefix\": \"192.168.2.0/24\", \"gateway\": \"192.168.2.1\", \"dns\": [], "
	"\"group\": null}]},"
	"  {\"uid\": \"n2\", \"vni\": 4097, \"prefixes\": [\"192.168.0.0/16\"], \"subnets\": ["
	"    {\"uid\": \"s3\", \"prefix\": \"192.168.1.0/24\", \"gateway\": \"192.168.1.1\", \"dns\": [], "
	"\"group\": null}]}],"
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

static void test_good(void)
{
	json_auto_t *state = load();
	g_autoptr(GError) error = NULL;
	_cleanup_(snapshot_free) struct snapshot *snapshot = state_decode(state, NULL, &error);

	g_assert_no_error(error);
	g_assert_cmpuint(snapshot->generation, ==, 7);
	g_assert_cmpuint(snapshot->n_networks, ==, 2);
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
	{"groups[0].rules[0].source.groups", "[1]", "groups[0]: rule \"ssh\" names application groups"},
	{"groups[0].revalidate", "1", "groups[0].revalidate: "},
	{"networks[1].vni", "4096", "networks[1].vni: "},
	{"networks[1].vni", "0", "networks[1].vni: "},
	{"networks[1].uid", "\"n1\"", "networks[1].uid: "},
	{"networks[0].prefixes[0]", "\"192.168.1.0/16\"", "networks[0].prefixes[0]: "},
	{"networks[0].subnets[0].prefix", "\"10.0.0.0/24\"", "networks[0].subnets[0].gateway: "},
	{"networks[0].subnets[1].prefix", "\"192.168.0.0/16\"", "networks[0]: subnets s1 and s2 overlap"},
	{"networks[0].prefixes", "[\"192.168.1.0/24\"]", "networks[0]: subnet s2 lies outside"},
	{"networks[0].subnets[0].group", "\"g2\"", "networks[0].subnets[0].group: "},
	{"networks[0].subnets[0].dns[0]", "\"x\"", "networks[0].subnets[0].dns[0]: "},
	{"nics[1].uid", "\"a\"", "nics[1].uid: "},
	{"nics[1].uid", "\"\"", "nics[1].uid: "},
	{"nics[0].mac", "\"zz\"", "nics[0].mac: "},
	{"nics[0].network", "\"n3\"", "nics[0].network: "},
	{"nics[0].subnet", "\"s3\"", "nics[0].subnet: "},
	{"nics[0].group", "\"\"", "nics[0].group: "},
	{"nics[0].mtu", "67", "nics[0].mtu: "},
	{"nics[0].mtu", "9001", "nics[0].mtu: "},
	{"nics[0].addresses[0].ip", "\"192.168.2.4\"", "nics[0].addresses: "},
	{"nics[0].addresses[0].ip", "\"192.168.1.1\"", "nics[0].addresses: "},
	{"nics[0].addresses[0].public", "\"fd00::1\"", "nics[0].addresses[0].public: "},
	{"nics[1].addresses[0].public", "\"203.0.113.10\"", "nics[1].addresses: "},
	{"nics[1].host_address", "\"100.64.0.4\"", "nics[1].host_address: "},
	{"nics[1].host_address", "\"10.0.0.4\"", "nics[1].host_address: "},
	{"nics[0].hostname", "\"a b\"", "nics[0].hostname: "},
	{"nics[0].attachments[0].kind", "\"virtual\"", "nics[0].attachments[0].kind: "},
	{"nics[0].attachments[0].socket", "\"relative\"", "nics[0].attachments[0].socket: "},
	{"nics[0].attachments[1].interface", NULL, "nics[0].attachments[1].interface: is missing"},
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
	_cleanup_(snapshot_free) struct snapshot *first = state_decode(state, NULL, &error);

	_cleanup_(snapshot_free) struct snapshot *again = state_decode(state, first, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(again->epoch, ==, first->epoch + 1);
	change(state, "generation", "6");
	g_assert_null(state_decode(state, first, &error));
	g_assert_error(error, FAULT, FAULT_INVALID);
}

static void test_slots(void)
{
	json_auto_t *state = load();
	_cleanup_(snapshot_free) struct snapshot *first = state_decode(state, NULL, NULL);
	uint32_t a = first->nics[0]->id, b = first->nics[1]->id;

	json_array_remove(json_object_get(state, "nics"), 0);
	_cleanup_(snapshot_free) struct snapshot *second = state_decode(state, first, NULL);
	g_assert_null(snapshot_nic(second, a));
	g_assert_cmpstr(snapshot_nic(second, b)->uid, ==, "b");

	json_auto_t *whole = load();
	_cleanup_(snapshot_free) struct snapshot *third = state_decode(whole, second, NULL);
	g_assert_null(snapshot_nic(third, a));
	g_assert_cmpstr(snapshot_nic(third, b)->uid, ==, "b");
	g_assert_cmpstr(third->nics[0]->uid, ==, "a");
	g_assert_cmpuint(third->nics[0]->id, !=, a);
}

static void test_sharing(void)
{
	json_auto_t *state = load();
	_cleanup_(snapshot_free) struct snapshot *first = state_decode(state, NULL, NULL);

	_cleanup_(snapshot_free) struct snapshot *same = state_decode(state, first, NULL);
	g_assert_true(same->nics[0]->group == first->nics[0]->group);
	change(state, "groups[0].rules[0].destination.ports", "[[23, 23]]");
	_cleanup_(snapshot_free) struct snapshot *changed = state_decode(state, first, NULL);
	g_assert_true(changed->nics[0]->group != first->nics[0]->group);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/state/a whole state is decoded and its references resolved", test_good);
	g_test_add_func("/state/an empty state is a state", test_empty);
	g_test_add_func("/state/what is bad is refused with its path", test_bad);
	g_test_add_func("/state/random mutations are taken or refused with a reason", test_mutations);
	g_test_add_func("/state/the generation never goes down", test_generation);
	g_test_add_func("/state/a NIC keeps its number, and none gets that of one before it", test_slots);
	g_test_add_func("/state/a group that did not change is shared with the state before", test_sharing);
	return g_test_run();
}
