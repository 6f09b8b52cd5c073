/* Load balancers for tests: see balancer_fixture.h. */
#include "control/balancer_fixture.h"

#include <string.h>

struct address *balancer_fixture_address(struct fixture *f, const char *name, int sku)
{
	struct address *wanted = model_new(KIND_ADDRESS, name, f->group);

	wanted->meta.location = g_strdup("centralus");
	wanted->spec.sku = sku;
	wanted->spec.allocation = ALLOCATION_STATIC;
	return fixture_must_put(f, wanted);
}

void *balancer_fixture_add(GPtrArray **list, const struct shape *shape, const char *name)
{
	char **part = shape_new(shape);

	if (!*list)
		*list = shape_list_new(shape);
	*part = g_strdup(name);
	g_ptr_array_add(*list, part);
	return part;
}

struct balancer_nat *balancer_fixture_nat(
	GPtrArray **list, const char *name, const char *pool, int64_t first, int64_t last)
{
	struct balancer_nat *nat = balancer_fixture_add(list, &balancer_nat_shape, name);

	nat->front = g_strdup("FRONT"); /* parts are known without case */
	nat->pool = g_strdup(pool);
	nat->protocol = PROTOCOL_TCP;
	nat->first_port = first;
	nat->last_port = last;
	nat->back_port = 22;
	return nat;
}

struct balancer_rule *balancer_fixture_rule(struct balancer *balancer, const char *name, int64_t port)
{
	struct balancer_rule *rule = balancer_fixture_add(&balancer->spec.rules, &balancer_rule_shape, name);

	rule->front = g_strdup("front");
	rule->pool = g_strdup("pool");
	rule->protocol = PROTOCOL_TCP;
	rule->front_port = port;
	rule->back_port = port;
	return rule;
}

struct balancer *balancer_fixture_new(struct fixture *f, const char *name, const struct address *address)
{
	struct balancer *balancer = model_new(KIND_BALANCER, name, f->group);
	struct balancer_front *front =
		balancer_fixture_add(&balancer->spec.fronts, &balancer_front_shape, "front");

	balancer->meta.location = g_strdup("centralus");
	balancer->spec.sku = ADDRESS_STANDARD;
	front->address = address ? g_strdup(address->meta.uid) : NULL;
	balancer_fixture_add(&balancer->spec.pools, &balancer_pool_shape, "pool");
	return balancer;
}

GPtrArray *balancer_fixture_refs(const struct balancer *balancer, const char *name)
{
	GPtrArray *refs = NULL;
	struct balancer_ref *ref;

	if (!name)
		return NULL;
	refs = shape_list_new(&balancer_ref_shape);
	ref = shape_new(&balancer_ref_shape);
	*ref = (struct balancer_ref){g_strdup(balancer->meta.uid), g_strdup(name)};
	g_ptr_array_add(refs, ref);
	return refs;
}

struct nic *balancer_fixture_member(struct fixture *f, const char *name, const struct balancer *balancer,
	const char *pool, const char *nat_rule, const char *nat_pool, GError **error)
{
	struct nic *nic = fixture_nic(f, name, false);
	struct nic_config *config = nic->spec.configs->pdata[0];

	config->pools = balancer_fixture_refs(balancer, pool);
	config->nat_rules = balancer_fixture_refs(balancer, nat_rule);
	config->nat_pools = balancer_fixture_refs(balancer, nat_pool);
	return fixture_put(f, nic, error);
}

struct balancer *balancer_fixture_reload(struct fixture *f, const struct balancer *balancer)
{
	g_autoptr(GError) error = NULL;
	struct balancer *now = control_get(f->control, KIND_BALANCER, balancer->meta.uid, &error);

	g_assert_no_error(error);
	return now;
}

void balancer_fixture_remove(struct fixture *f, const void *object, const char *refusal)
{
	const struct control_request request = {.principal = "test"};
	_cleanup_(control_result_clear) struct control_result result = {};
	g_autoptr(GError) error = NULL;
	const struct meta *meta = object;

	control_delete(f->control, (enum kind)meta->kind, meta->uid, &request, &result, &error);
	if (refusal) {
		g_assert_error(error, FAULT, FAULT_IN_USE);
		g_assert_nonnull(strstr(error->message, refusal));
		return;
	}
	g_assert_no_error(error);
	model_free(fixture_finish(f, result.operation, true));
}

void balancer_fixture_refused(
	struct fixture *f, struct balancer *balancer, enum fault code, const char *words)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(fixture_put(f, balancer, &error));
	g_assert_error(error, FAULT, (gint)code);
	if (!strstr(error->message, words))
		g_error("'%s' is not in: %s", words, error->message);
}

struct vm *balancer_fixture_run(struct fixture *f, const char *name, const struct nic *nic)
{
	return fixture_must_put(f, fixture_vm(f, name, "Standard_B1s", nic));
}
