/* Fuzz target: the rules of a group. The bytes are JSON. */
#include "fuzz.h"

#include "base/fault.h"
#include "policy/policy_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_auto_t *json = json_loadb((const char *)data, size, JSON_DECODE_ANY, NULL);
	g_autoptr(GError) error = NULL;

	if (!json)
		return 0;
	_cleanup_(policy_rules_free) struct policy_rules *rules = policy_rules_decode("g", json, &error);
	if (!rules) {
		g_assert_error(error, FAULT, FAULT_INVALID);
		return 0;
	}
	g_assert_no_error(error);
	g_assert_cmpuint(rules->group.n_rules, ==, json_array_size(json));

	/* Rules that were understood are said again so that they are understood alike. */
	json_auto_t *said = policy_rules_encode(&rules->group);
	_cleanup_(policy_rules_free) struct policy_rules *again = policy_rules_decode("g", said, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(again->group.n_rules, ==, rules->group.n_rules);
	json_auto_t *said_again = policy_rules_encode(&again->group);
	g_assert_true(json_equal(said, said_again));
	return 0;
}
