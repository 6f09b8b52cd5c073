/* Fuzz target: the switch's state, as `apply` and the file of the last state bring it. The bytes are JSON. */
#include "fuzz.h"

#include "base/fault.h"
#include "policy/policy_state.h"
#include "switch/state.h"

#include <string.h>

/* The same state again keeps NICs in their slots and compiles no group anew. */
static void assert_same_again(json_t *json, const struct snapshot *first)
{
	g_autoptr(GError) error = NULL;
	_cleanup_(snapshot_free) struct snapshot *again = state_decode(json, first, &error);

	g_assert_no_error(error);
	g_assert_cmpuint(again->n_networks, ==, first->n_networks);
	g_assert_cmpuint(again->groups->len, ==, first->groups->len);
	for (unsigned i = 0; i < again->groups->len; i++)
		g_assert_true(g_ptr_array_index(again->groups, i) == g_ptr_array_index(first->groups, i));
	for (unsigned slot = 0; slot < NIC_SLOTS; slot++) {
		const struct nic *a = first->nics[slot], *b = again->nics[slot];
		g_assert_true(!a == !b);
		if (a)
			g_assert_true(a->id == b->id && g_str_equal(a->uid, b->uid));
	}
}

/* What the snapshot says of its NICs is found in it by address and MAC. */
static void assert_found(const struct snapshot *snapshot)
{
	for (unsigned slot = 0; slot < NIC_SLOTS; slot++) {
		const struct nic *nic = snapshot->nics[slot];
		if (!nic)
			continue;
		g_assert_true(snapshot_nic(snapshot, nic->id) == nic);
		g_assert_true(snapshot_find_mac(snapshot, nic->network->segment, nic->mac.bytes) == nic);
		for (unsigned i = 0; i < nic->n_addresses && !nic->load_balancer; i++) {
			struct ip_addr ip = nic->addresses[i].ip;
			g_assert_true(snapshot_find(snapshot, nic->network->space, ip).nic == nic);
			g_assert_true(network_contains(nic->network, ip));
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_auto_t *json = json_loadb((const char *)data, size, JSON_DECODE_ANY, NULL);
	g_autoptr(GError) error = NULL, policy_error = NULL;

	if (!json)
		return 0;
	_cleanup_(snapshot_free) struct snapshot *snapshot = state_decode(json, NULL, &error);
	/* Of the same bytes a reader of policy sees its part; it must not break either, whatever it says of them. */
	_cleanup_(policy_state_free) struct policy_state *policy = policy_state_decode(json, &policy_error);
	g_assert_true(!policy == !!policy_error);
	if (!snapshot) {
		g_assert_error(error, FAULT, FAULT_INVALID);
		return 0;
	}
	g_assert_no_error(error);
	g_assert_no_error(policy_error); /* what the switch enforces can be explained */
	assert_found(snapshot);
	assert_same_again(json, snapshot);
	return 0;
}
