/* Internal load balancers in the control plane: their private addresses, who may be behind them, and which hosts have them. */
#include "control/balancer_fixture.h"

#include <string.h>

static struct balancer_front *front_of(const struct balancer *balancer)
{
	return balancer->spec.fronts->pdata[0];
}

/* ip: static (NULL: dynamic). */
static struct balancer *new_internal(struct fixture *f, const char *name, const char *ip)
{
	struct balancer *balancer = balancer_fixture_new(f, name, NULL);
	struct balancer_front *front = front_of(balancer);

	front->network = g_strdup(f->network);
	front->subnet = g_strdup(f->subnet);
	front->allocation = ip ? ALLOCATION_STATIC : ALLOCATION_DYNAMIC;
	front->ip = g_strdup(ip);
	return balancer;
}

static void assert_ip(const struct balancer *balancer, const char *ip)
{
	g_assert_cmpstr(front_of(balancer)->ip, ==, ip);
}

static void test_address(void)
{
	OPEN(f);
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct balancer *lb = fixture_must_put(&f, new_internal(&f, "lb", NULL));
	assert_ip(lb, "10.0.1.4");
	g_assert_null(lb->status.host);
	g_assert_cmpstr(lb->status.network, ==, f.network);
	/* It is nobody else's. */
	_cleanup_(model_free) struct nic *nic = fixture_put(&f, fixture_nic(&f, "nic", false), &error);
	g_assert_no_error(error);
	g_assert_cmpstr(((struct nic_config *)nic->spec.configs->pdata[0])->ip, ==, "10.0.1.5");
	balancer_fixture_refused(&f, new_internal(&f, "other", "10.0.1.5"), FAULT_EXISTS, "10.0.1.5");
	balancer_fixture_refused(&f, new_internal(&f, "other", "10.0.9.5"), FAULT_INVALID, "10.0.9.5");
	/* It stays over puts, and changes where another is asked for. */
	_cleanup_(model_free) struct balancer *again = fixture_must_put(&f, new_internal(&f, "lb", NULL));
	assert_ip(again, "10.0.1.4");
	_cleanup_(model_free) struct balancer *moved =
		fixture_must_put(&f, new_internal(&f, "lb", "10.0.1.9"));
	assert_ip(moved, "10.0.1.9");
	_cleanup_(model_free) struct balancer *second =
		fixture_must_put(&f, new_internal(&f, "second", NULL));
	assert_ip(second, "10.0.1.4");
	/* Subnet and network stay while it is there. */
	_cleanup_(model_free) struct network *network = control_get(f.control, KIND_NETWORK, f.network, NULL);
	balancer_fixture_remove(&f, nic, NULL);
	balancer_fixture_remove(&f, network, "load balancer");
	g_assert_null(fixture_put(
		&f, fixture_network(&f, "net", "10.0.0.0/16", "other", "10.0.2.0/24", NULL), &error));
	g_assert_error(error, FAULT, FAULT_IN_USE);
	balancer_fixture_remove(&f, moved, NULL);
	balancer_fixture_remove(&f, second, NULL);
	balancer_fixture_remove(&f, network, NULL);
}

static void test_fronts(void)
{
	OPEN(f);
	_cleanup_(model_free) struct address *ip = balancer_fixture_address(&f, "ip", ADDRESS_STANDARD);
	struct balancer *balancer = balancer_fixture_new(&f, "lb", NULL);

	balancer_fixture_refused(&f, balancer, FAULT_INVALID, "a public IP address or a subnet");
	balancer = new_internal(&f, "lb", NULL);
	front_of(balancer)->address = g_strdup(ip->meta.uid);
	balancer_fixture_refused(&f, balancer, FAULT_INVALID, "has not both");
	balancer = new_internal(&f, "lb", NULL);
	struct balancer_front *second =
		balancer_fixture_add(&balancer->spec.fronts, &balancer_front_shape, "public");
	second->address = g_strdup(ip->meta.uid);
	balancer_fixture_refused(&f, balancer, FAULT_INVALID, "put them into load balancers of their own");
	/* From one kind to the other, with what they hold. */
	model_free(fixture_must_put(&f, new_internal(&f, "lb", NULL)));
	_cleanup_(model_free) struct balancer *public =
		fixture_must_put(&f, balancer_fixture_new(&f, "lb", ip));
	g_assert_null(public->status.network);
	g_assert_nonnull(public->status.host);
	_cleanup_(model_free) struct balancer *internal = fixture_must_put(&f, new_internal(&f, "lb", NULL));
	assert_ip(internal, "10.0.1.4");
	g_assert_null(internal->status.host);
	balancer_fixture_remove(&f, ip, NULL);
	/* Not with members, which may be behind another one of that kind. */
	_cleanup_(model_free) struct address *another =
		balancer_fixture_address(&f, "another", ADDRESS_STANDARD);
	_cleanup_(model_free) struct nic *nic =
		balancer_fixture_member(&f, "nic", internal, "pool", NULL, NULL, NULL);
	g_assert_nonnull(nic);
	balancer_fixture_refused(
		&f, balancer_fixture_new(&f, "lb", another), FAULT_IN_USE, "so its front ends stay internal");
}

/* A VLAN's machines on the wire have no switch that leads them. */
static void test_vlan(void)
{
	OPEN(f);
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct physical *physical =
		fixture_put(&f, fixture_physical("physnet1", "100-110"), &error);
	_cleanup_(model_free) struct balancer *lb = fixture_must_put(&f, new_internal(&f, "lb", NULL));
	struct network *wanted = fixture_network(&f, "net", "10.0.0.0/16", "sub", "10.0.1.0/24", NULL);

	wanted->meta.tags = json_pack("{s:s}", "sluice-segment", "vlan:physnet1");
	g_assert_null(fixture_put(&f, wanted, &error));
	g_assert_error(error, FAULT, FAULT_UNSUPPORTED);
	g_assert_nonnull(strstr(error->message, "internal load balancer lb"));
	g_clear_error(&error);
	balancer_fixture_remove(&f, lb, NULL);
	wanted = fixture_network(&f, "net", "10.0.0.0/16", "sub", "10.0.1.0/24", NULL);
	wanted->meta.tags = json_pack("{s:s}", "sluice-segment", "vlan:physnet1");
	_cleanup_(model_free) struct network *network = fixture_put(&f, wanted, &error);
	g_assert_no_error(error);
	balancer_fixture_refused(&f, new_internal(&f, "lb", NULL), FAULT_UNSUPPORTED, "in a VLAN");
}

/* One of each kind, whose members are in its network. */
static void test_members(void)
{
	OPEN(f);
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct address *ip = balancer_fixture_address(&f, "ip", ADDRESS_STANDARD);
	_cleanup_(model_free) struct balancer *internal = fixture_must_put(&f, new_internal(&f, "in", NULL)),
					      *second = fixture_must_put(&f, new_internal(&f, "in2", NULL)),
					      *public = fixture_must_put(
						      &f, balancer_fixture_new(&f, "out", ip));
	struct nic *nic = fixture_nic(&f, "a", false);
	struct nic_config *config = nic->spec.configs->pdata[0];

	config->pools = balancer_fixture_refs(internal, "pool");
	g_ptr_array_add(config->pools,
		shape_copy(&balancer_ref_shape, &(struct balancer_ref){second->meta.uid, (char *)"pool"}));
	g_assert_null(fixture_put(&f, nic, &error));
	g_assert_error(error, FAULT, FAULT_UNSUPPORTED);
	g_clear_error(&error);
	nic = fixture_nic(&f, "a", false);
	config = nic->spec.configs->pdata[0];
	config->pools = balancer_fixture_refs(internal, "pool");
	g_ptr_array_add(config->pools,
		shape_copy(&balancer_ref_shape, &(struct balancer_ref){public->meta.uid, (char *)"pool"}));
	_cleanup_(model_free) struct nic *member = fixture_put(&f, nic, &error);
	g_assert_no_error(error);
	/* The network that it is internal to stays its own without members, too. */
	balancer_fixture_remove(&f, member, NULL);
	_cleanup_(model_free) struct balancer *left = balancer_fixture_reload(&f, internal);
	g_assert_cmpstr(left->status.network, ==, f.network);
	_cleanup_(model_free) struct network *other = fixture_put(
		&f, fixture_network(&f, "net2", "10.1.0.0/16", "sub", "10.1.1.0/24", NULL), &error);
	nic = fixture_nic(&f, "b", false);
	config = nic->spec.configs->pdata[0];
	g_free(config->network);
	g_free(config->subnet);
	config->network = g_strdup(other->meta.uid);
	config->subnet = g_strdup(((struct subnet *)other->spec.subnets->pdata[0])->uid);
	config->pools = balancer_fixture_refs(internal, "pool");
	g_assert_null(fixture_put(&f, nic, &error));
	g_assert_error(error, FAULT, FAULT_INVALID_REFERENCE);
}

static const struct goal_balancer *only_balancer(const struct goal *goal)
{
	g_assert_cmpuint(list_length(goal->balancers), ==, 1);
	return goal->balancers->pdata[0];
}

/* Each host with a NIC of the network, whoever has the members. */
static void test_hosts(void)
{
	OPEN(f);
	g_autoptr(GError) error = NULL;

	fixture_add_host(&f);
	f.report->vtep = g_strdup("172.16.0.1");
	f.second->vtep = g_strdup("172.16.0.2");
	fixture_obey(&f);
	struct balancer *wanted = new_internal(&f, "lb", NULL);
	balancer_fixture_rule(wanted, "web", 80);
	_cleanup_(model_free) struct balancer *lb = fixture_must_put(&f, wanted);
	_cleanup_(goal_free) struct goal *nobody = control_goal(f.control, "host-1", NULL);
	g_assert_cmpuint(list_length(nobody->balancers), ==, 0);
	for (unsigned i = 0; i < 4; i++) {
		g_autofree char *name = g_strdup_printf("m%u", i);
		_cleanup_(model_free) struct nic *nic =
			balancer_fixture_member(&f, name, lb, i ? NULL : "pool", NULL, NULL, &error);
		g_assert_no_error(error);
		model_free(balancer_fixture_run(&f, name, nic));
	}
	_cleanup_(goal_free) struct goal *one = control_goal(f.control, "host-1", NULL),
					 *two = control_goal(f.control, "host-2", NULL);
	g_assert_cmpuint(list_length(one->nics), >, 0);
	g_assert_cmpuint(list_length(two->nics), >, 0);
	const struct goal_balancer *here = only_balancer(one), *there = only_balancer(two);
	g_assert_true(here->internal);
	g_assert_true(shape_equal(&goal_balancer_shape, here, there));
	g_assert_cmpstr(here->addresses->pdata[0], ==, "10.0.1.4");
	const struct goal_balance *rule = here->rules->pdata[0];
	g_assert_cmpuint(list_length(rule->members), ==, 1);
	for (guint i = 0; i < one->nics->len + two->nics->len; i++) {
		const struct goal_nic *nic =
			i < one->nics->len ? one->nics->pdata[i] : two->nics->pdata[i - one->nics->len];
		g_assert_null(nic->front.vtep);
		g_assert_null(nic->source_nat);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/internal-balancer/its address is the subnet's, and nobody else's", test_address);
	g_test_add_func("/internal-balancer/front ends are of one kind", test_fronts);
	g_test_add_func("/internal-balancer/there is none in a VLAN", test_vlan);
	g_test_add_func("/internal-balancer/a NIC is behind one of each kind", test_members);
	g_test_add_func("/internal-balancer/each host with NICs of its network has it", test_hosts);
	return g_test_run();
}
