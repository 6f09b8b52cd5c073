/* Addresses of network interfaces: several, of both families, and one of them primary. */
#include "base/fault.h"
#include "control/fixture.h"

#include <string.h>

static void assert_refused(struct fixture *f, void *object, int code, const char *words)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(fixture_put(f, object, &error));
	g_assert_error(error, FAULT, code);
	if (!strstr(error->message, words))
		g_error("'%s' is not in: %s", words, error->message);
}

static void set(char **text, const char *value)
{
	g_free(*text);
	*text = g_strdup(value);
}

/* A network of 10.8.0.0/16 and fd00:8::/48 with one subnet of these prefixes; prefix6 may be NULL. */
static struct network *dual(const struct fixture *f, const char *prefix, const char *prefix6)
{
	struct network *network = fixture_network(f, "dual", "10.8.0.0/16", "sub", prefix, NULL);

	g_ptr_array_add(network->spec.prefixes, g_strdup("fd00:8::/48"));
	set(&((struct subnet *)network->spec.subnets->pdata[0])->prefix6, prefix6);
	return network;
}

static struct nic_config *config_of(const struct nic *nic, guint i)
{
	return nic->spec.configs->pdata[i];
}

/* One more configuration of the NIC's subnet. */
static struct nic_config *add_config(struct nic *nic, const char *name, bool ipv6)
{
	struct nic_config *config = shape_copy(&nic_config_shape, nic->spec.configs->pdata[0]);

	g_ptr_array_add(nic->spec.configs, config);
	set(&config->name, name);
	set(&config->ip, NULL);
	set(&config->address, NULL);
	config->primary = false;
	config->ipv6 = ipv6;
	return config;
}

/* A NIC in the first subnet of a network. */
static struct nic *nic_in(const struct fixture *f, const char *name, const struct network *network)
{
	const struct subnet *subnet = network->spec.subnets->pdata[0];
	struct nic *nic = fixture_nic(f, name, false);

	set(&config_of(nic, 0)->network, network->meta.uid);
	set(&config_of(nic, 0)->subnet, subnet->uid);
	return nic;
}

/* The same with a configuration of IPv6; ip NULL: any address. */
static struct nic *dual_nic(
	const struct fixture *f, const char *name, const struct network *network, const char *ip)
{
	struct nic *nic = nic_in(f, name, network);
	struct nic_config *config = add_config(nic, "six", true);

	config->allocation = ip ? ALLOCATION_STATIC : ALLOCATION_DYNAMIC;
	set(&config->ip, ip);
	return nic;
}

static struct address *put_address(struct fixture *f, const char *name)
{
	struct address *wanted = model_new(KIND_ADDRESS, name, f->group);

	wanted->meta.location = g_strdup("centralus");
	return fixture_must_put(f, wanted);
}

static const struct goal_nic *find_nic(const struct goal *goal, const struct nic *nic)
{
	for (guint i = 0; i < list_length(goal->nics); i++) {
		const struct goal_nic *out = goal->nics->pdata[i];
		if (g_str_equal(out->uid, nic->meta.uid))
			return out;
	}
	g_error("the goal has no NIC %s", nic->meta.name);
}

/* What the host is told of a NIC: its addresses in order, "IP" or "IP=PUBLIC". */
static void assert_addresses(struct fixture *f, const struct nic *nic, const char *expected)
{
	g_autoptr(GError) error = NULL;
	_cleanup_(goal_free) struct goal *goal = control_goal(f->control, "host-1", &error);
	g_autoptr(GString) text = g_string_new(NULL);

	g_assert_no_error(error);
	const struct goal_nic *out = find_nic(goal, nic);
	for (guint i = 0; i < out->addresses->len; i++) {
		const struct goal_address *address = out->addresses->pdata[i];
		g_string_append_printf(text, "%s%s%s%s", i ? ", " : "", address->ip,
			address->public_ip ? "=" : "", address->public_ip ? address->public_ip : "");
	}
	g_assert_cmpstr(text->str, ==, expected);
}

/* ---- networks ---- */

static void test_prefixes(void)
{
	OPEN(f);
	static const struct {
		const char *prefix, *prefix6, *words;
	} wrong[] = {
		{"10.8.1.0/24", "fd00:9:0:1::/64", "outside"},
		{"10.8.1.0/24", "fd00:8:0:1::/56", "bits set behind its length"},
		{"10.8.1.0/24", "fd00:8:0:100::/56", "is /64"},
		{"10.8.1.0/24", "fd00:8:0:1::/80", "is /64"},
		{"10.8.1.0/24", "10.8.2.0/24", "one IPv6 prefix may stand beside it"},
		{"fd00:8:0:1::/64", NULL, "needs an IPv4 prefix"},
	};
	static const char *const spaces[] = {"fe80::/10", "ff00::/8", "::/0", "::1/128", "64:ff9b::/96"};

	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
		assert_refused(
			&f, dual(&f, wrong[i].prefix, wrong[i].prefix6), FAULT_INVALID, wrong[i].words);
	for (size_t i = 0; i < G_N_ELEMENTS(spaces); i++)
		assert_refused(&f, fixture_network(&f, "n", spaces[i], NULL), FAULT_INVALID,
			"no addresses for machines");
	struct network *two = dual(&f, "10.8.1.0/24", "fd00:8:0:1::/64");
	struct subnet *same = shape_copy(&subnet_shape, two->spec.subnets->pdata[0]);
	set(&same->name, "other");
	set(&same->prefix, "10.8.2.0/24");
	g_ptr_array_add(two->spec.subnets, same);
	assert_refused(&f, two, FAULT_OVERLAP, "other (fd00:8:0:1::/64) overlaps");
	_cleanup_(model_free) struct network *good =
		fixture_must_put(&f, dual(&f, "10.8.1.0/24", "fd00:8:0:1::/64"));
	g_assert_nonnull(good);
}

static void test_prefix6_comes_and_goes(void)
{
	OPEN(f);
	_cleanup_(model_free) struct network *net = fixture_must_put(&f, dual(&f, "10.8.1.0/24", NULL));
	assert_refused(&f, dual_nic(&f, "nic", net, NULL), FAULT_INVALID, "subnet sub has no IPv6 prefix");
	_cleanup_(model_free) struct nic *nic = fixture_must_put(&f, nic_in(&f, "nic", net));

	/* NICs of IPv4 are not in its way, but in that of theirs. */
	model_free(fixture_must_put(&f, dual(&f, "10.8.1.0/24", "fd00:8:0:1::/64")));
	model_free(fixture_must_put(&f, dual(&f, "10.8.1.0/24", "fd00:8:0:2::/64")));
	assert_refused(&f, dual(&f, "10.8.2.0/24", "fd00:8:0:2::/64"), FAULT_IN_USE,
		"addresses of 10.8.1.0/24 and cannot be moved");
	_cleanup_(model_free) struct nic *both = fixture_must_put(&f, dual_nic(&f, "nic", net, NULL));
	g_assert_cmpstr(config_of(both, 1)->ip, ==, "fd00:8:0:2::4");
	assert_refused(&f, dual(&f, "10.8.1.0/24", "fd00:8:0:1::/64"), FAULT_IN_USE, "cannot be moved");
	assert_refused(&f, dual(&f, "10.8.1.0/24", NULL), FAULT_IN_USE, "addresses of fd00:8:0:2::/64");
	model_free(fixture_must_put(&f, nic_in(&f, "nic", net)));
	model_free(fixture_must_put(&f, dual(&f, "10.8.1.0/24", NULL)));
}

static void test_no_ipv6_on_the_wire(void)
{
	OPEN(f);
	static const struct control_request request = {.principal = "test"};
	_cleanup_(control_result_clear) struct control_result result = {};
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct physical *wire =
		fixture_must_put(&f, fixture_physical("physnet1", "100-199"));
	_cleanup_(model_free) struct network *net =
		fixture_must_put(&f, dual(&f, "10.8.1.0/24", "fd00:8:0:1::/64"));

	g_assert_false(
		control_set_segment(f.control, net->meta.uid, "vlan:physnet1", &request, &result, &error));
	g_assert_error(error, FAULT, FAULT_UNSUPPORTED);
	g_assert_nonnull(strstr(error->message, "fd00:8::/48"));
	g_clear_error(&error);
	model_free(fixture_must_put(&f, fixture_network(&f, "dual", "10.8.0.0/16", NULL)));
	g_assert_true(
		control_set_segment(f.control, net->meta.uid, "vlan:physnet1", &request, &result, &error));
	g_assert_no_error(error);
	assert_refused(
		&f, dual(&f, "10.8.1.0/24", "fd00:8:0:1::/64"), FAULT_UNSUPPORTED, "only IPv4 is carried");
}

/* ---- interfaces ---- */

static void test_dual_stack(void)
{
	OPEN(f);
	_cleanup_(model_free) struct network *net =
		fixture_must_put(&f, dual(&f, "10.8.1.0/24", "fd00:8:0:1::/64"));
	_cleanup_(model_free) struct nic *nic = fixture_must_put(&f, dual_nic(&f, "nic", net, NULL)),
					 *other = fixture_must_put(
						 &f, dual_nic(&f, "other", net, "fd00:8:0:1:0::77"));

	g_assert_cmpstr(config_of(other, 1)->ip, ==, "fd00:8:0:1::77");
	assert_refused(&f, dual_nic(&f, "third", net, "fd00:8:0:1::77"), FAULT_EXISTS, "taken already");
	assert_refused(&f, dual_nic(&f, "third", net, "fd00:8:0:1::1"), FAULT_INVALID, "reserved");
	assert_refused(&f, dual_nic(&f, "third", net, "fd00:8:0:2::9"), FAULT_INVALID, "does not belong");
	assert_refused(&f, dual_nic(&f, "third", net, "10.8.1.9"), FAULT_INVALID,
		"does not belong to the range of subnet prefix fd00:8:0:1::/64");
	_cleanup_(model_free) struct vm *vm =
		fixture_must_put(&f, fixture_vm(&f, "vm", "Standard_DS2_v2", nic));
	g_assert_nonnull(vm);
	assert_addresses(&f, nic, "10.8.1.4, fd00:8:0:1::4");
	_cleanup_(goal_free) struct goal *goal = control_goal(f.control, "host-1", NULL);
	const struct goal_network *told = goal->networks->pdata[0];
	const struct goal_subnet *subnet = told->subnets->pdata[0];
	g_assert_cmpstr(told->prefixes->pdata[1], ==, "fd00:8::/48");
	g_assert_cmpstr(subnet->gateway, ==, "10.8.1.1");
	g_assert_cmpstr(subnet->prefix6, ==, "fd00:8:0:1::/64");
	g_assert_cmpstr(subnet->gateway6, ==, "fd00:8:0:1::1");
}

static void test_ipv6_refused(void)
{
	OPEN(f);
	_cleanup_(model_free) struct network *net =
		fixture_must_put(&f, dual(&f, "10.8.1.0/24", "fd00:8:0:1::/64"));
	_cleanup_(model_free) struct address *address = put_address(&f, "pip");

	struct nic *alone = nic_in(&f, "nic", net);
	config_of(alone, 0)->ipv6 = true;
	assert_refused(&f, alone, FAULT_INVALID, "ipconfig1 is of IPv6 and cannot be the primary one");
	struct nic *public = dual_nic(&f, "nic", net, NULL);
	set(&config_of(public, 1)->address, address->meta.uid);
	assert_refused(&f, public, FAULT_UNSUPPORTED, "six is of IPv6 and cannot have a public address");
	struct nic *pooled = dual_nic(&f, "nic", net, NULL);
	struct balancer_ref *ref = shape_new(&balancer_ref_shape);
	ref->name = g_strdup("pool");
	ref->balancer = g_strdup("b");
	config_of(pooled, 1)->pools = shape_list_new(&balancer_ref_shape);
	g_ptr_array_add(config_of(pooled, 1)->pools, ref);
	assert_refused(&f, pooled, FAULT_UNSUPPORTED, "cannot have a load balancer");
}

static void test_secondary(void)
{
	OPEN(f);
	_cleanup_(model_free) struct address *one = put_address(&f, "one"), *two = put_address(&f, "two");
	struct nic *wanted = fixture_nic(&f, "nic", false);
	set(&config_of(wanted, 0)->address, one->meta.uid);
	set(&add_config(wanted, "second", false)->address, two->meta.uid);
	struct nic_config *third = add_config(wanted, "third", false);
	third->allocation = ALLOCATION_STATIC;
	set(&third->ip, "10.0.1.99");
	_cleanup_(model_free) struct nic *nic = fixture_must_put(&f, wanted);
	_cleanup_(model_free) struct vm *vm =
		fixture_must_put(&f, fixture_vm(&f, "vm", "Standard_DS2_v2", nic));

	g_assert_nonnull(vm);
	assert_addresses(&f, nic, "10.0.1.4=203.0.113.2, 10.0.1.5=203.0.113.3, 10.0.1.99");
	/* A machine that runs gets and loses them, too. */
	struct nic *other = model_copy(nic);
	config_of(other, 0)->primary = false;
	config_of(other, 2)->primary = true;
	g_ptr_array_remove_index(other->spec.configs, 1);
	_cleanup_(model_free) struct nic *now = fixture_must_put(&f, other);
	assert_addresses(&f, nic, "10.0.1.99, 10.0.1.4=203.0.113.2");
	_cleanup_(model_free) struct address *free_again =
		control_get(f.control, KIND_ADDRESS, two->meta.uid, NULL);
	g_assert_null(free_again->status.nic);
	struct nic *third_nic = fixture_nic(&f, "taker", false);
	_cleanup_(model_free) struct nic *taker = fixture_must_put(&f, third_nic);
	g_assert_cmpstr(config_of(taker, 0)->ip, ==, "10.0.1.5");
	g_assert_nonnull(now);
}

static void test_primary_stays(void)
{
	OPEN(f);
	struct nic *wanted = fixture_nic(&f, "nic", false);
	add_config(wanted, "second", false);
	_cleanup_(model_free) struct nic *nic = fixture_must_put(&f, wanted);

	g_assert_true(config_of(nic, 0)->primary);
	struct nic *without = model_copy(nic), *two = model_copy(nic), *unsaid = model_copy(nic);
	g_ptr_array_remove_index(without->spec.configs, 0);
	assert_refused(&f, without, FAULT_NOT_ALLOWED, "make another one primary first");
	config_of(two, 1)->primary = true;
	assert_refused(&f, two, FAULT_INVALID, "2 primary IP configurations");
	config_of(unsaid, 0)->primary = false;
	_cleanup_(model_free) struct nic *same = fixture_must_put(&f, unsaid);
	g_assert_true(config_of(same, 0)->primary);
	struct nic *moved = model_copy(same);
	config_of(moved, 1)->primary = true;
	g_ptr_array_remove_index(moved->spec.configs, 0);
	_cleanup_(model_free) struct nic *left = fixture_must_put(&f, moved);
	g_assert_cmpstr(config_of(left, 0)->name, ==, "second");
}

static void test_allocation_changes(void)
{
	OPEN(f);
	_cleanup_(model_free) struct nic *nic = fixture_must_put(&f, fixture_nic(&f, "nic", false));
	struct nic *fixed = model_copy(nic);

	config_of(fixed, 0)->allocation = ALLOCATION_STATIC;
	set(&config_of(fixed, 0)->ip, "10.0.1.50");
	_cleanup_(model_free) struct nic *after = fixture_must_put(&f, fixed);
	g_assert_cmpstr(config_of(after, 0)->ip, ==, "10.0.1.50");
	struct nic *loose = model_copy(after);
	config_of(loose, 0)->allocation = ALLOCATION_DYNAMIC;
	_cleanup_(model_free) struct nic *last = fixture_must_put(&f, loose);
	g_assert_cmpstr(config_of(last, 0)->ip, ==, "10.0.1.50");
}

static void test_instances(void)
{
	OPEN(f);
	_cleanup_(model_free) struct network *net =
		fixture_must_put(&f, dual(&f, "10.8.1.0/24", "fd00:8:0:1::/64"));
	struct scale_set *wanted = fixture_scale_set(&f, "web", 1);
	struct set_nic *model = wanted->spec.model.nics->pdata[0];
	struct set_config *four = model->configs->pdata[0], *six = shape_copy(&set_config_shape, four);

	set(&four->nic.network, net->meta.uid);
	set(&four->nic.subnet, ((struct subnet *)net->spec.subnets->pdata[0])->uid);
	set(&six->nic.name, "six");
	six->nic.ipv6 = true;
	g_ptr_array_add(model->configs, six);
	struct scale_set *elsewhere = model_copy(wanted);
	set(&six->nic.network, net->meta.uid);
	set(&six->nic.subnet, four->nic.subnet);
	assert_refused(&f, elsewhere, FAULT_INVALID_REFERENCE, "one subnet");
	struct scale_set *public = model_copy(wanted);
	set(&((struct set_config *)((struct set_nic *)public->spec.model.nics->pdata[0])->configs->pdata[1])
			->address.name,
		"pip");
	assert_refused(&f, public, FAULT_UNSUPPORTED, "pip is for a configuration of IPv6");
	_cleanup_(model_free) struct scale_set *set_now = fixture_must_put(&f, wanted);
	g_autoptr(GPtrArray) instances = control_scale_set_instances(f.control, set_now, NULL);
	const struct vm_nic_ref *ref = ((struct vm *)instances->pdata[0])->spec.nics->pdata[0];
	_cleanup_(model_free) struct nic *nic = control_get(f.control, KIND_NIC, ref->nic, NULL);
	assert_addresses(&f, nic, "10.8.1.4, fd00:8:0:1::4");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define TEST(text, fn) g_test_add_func("/nic/" text, fn)
	TEST("a subnet has a prefix of IPv4, and one of IPv6 beside it", test_prefixes);
	TEST("an IPv6 prefix comes and goes while nobody has an address of it", test_prefix6_comes_and_goes);
	TEST("a network in a VLAN has no IPv6 prefix", test_no_ipv6_on_the_wire);
	TEST("an interface has addresses of both families", test_dual_stack);
	TEST("what IPv6 cannot have is refused", test_ipv6_refused);
	TEST("secondary addresses follow the primary one, each with its public one", test_secondary);
	TEST("the primary configuration is not taken away", test_primary_stays);
	TEST("an address becomes static and dynamic again", test_allocation_changes);
	TEST("instances of scale sets have both families", test_instances);
#undef TEST
	return g_test_run();
}
