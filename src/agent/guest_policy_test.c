/* Rules that guests apply: documents of a goal, states of NICs, and the metadata service's part. */
#include "agent/guest_policy.h"

#include "agent/test_metadata.h"
#include "base/fault.h"

#include <string.h>

#define GUEST "127.0.0.4"
#define PATH  "/sluice/v1/policy"

static int64_t clock_us;

static int64_t now_us(void)
{
	return clock_us;
}

static void pass(unsigned seconds)
{
	clock_us += seconds * G_USEC_PER_SEC;
}

struct fixture {
	struct guests guests;
	struct guest_policies *policies;
	unsigned reports; /* that were told */
};

static void on_report(void *data)
{
	((struct fixture *)data)->reports++;
}

static void *add(GPtrArray **list, const struct shape *shape)
{
	void *object = shape_new(shape);

	if (!*list)
		*list = shape_list_new(shape);
	g_ptr_array_add(*list, object);
	return object;
}

static void add_rule(struct goal_group *group, const char *name, int64_t priority, const char *source)
{
	struct rule *rule = add(&group->rules, &rule_shape);

	rule->name = g_strdup(name);
	rule->priority = priority;
	rule->source.addresses = strings_new();
	rule->source.ports = strings_new();
	rule->destination.addresses = strings_new();
	rule->destination.ports = strings_new();
	g_ptr_array_add(rule->source.addresses, g_strdup(source));
	g_ptr_array_add(rule->source.ports, g_strdup("*"));
	g_ptr_array_add(rule->destination.addresses, g_strdup("*"));
	g_ptr_array_add(rule->destination.ports, g_strdup("22"));
}

static struct goal_group *add_group(struct goal *goal, const char *uid)
{
	struct goal_group *group = add(&goal->groups, &goal_group_shape);

	group->uid = g_strdup(uid);
	group->name = g_strdup(uid);
	return group;
}

static void setup(struct fixture *f, gconstpointer data)
{
	const struct guest_policies_config config = {.now_us = now_us, .reported = on_report, .data = f};

	clock_us = 1000 * G_USEC_PER_SEC;
	f->policies = guest_policies_new(&config);
	guests_init(&f->guests, f->policies, NULL);
	struct goal_group *group = add_group(f->guests.goal, "group-1");
	add_rule(group, "b", 200, "Internet");
	add_rule(group, "a", 100, "192.0.2.0/24");
	world_nic(f->guests.goal)->security_group = g_strdup("group-1");
	world_nic(f->guests.goal)->guest_enforcement = true;
	guest_policies_set_goal(f->policies, f->guests.goal);
}

static void teardown(struct fixture *f, gconstpointer data)
{
	guests_done(&f->guests);
	guest_policies_free(f->policies);
}

/* ---- helpers ---- */

static const char *hash_of(struct fixture *f)
{
	return guest_policies_hash(f->policies, WORLD_NIC);
}

static bool report(struct fixture *f, const char *hash, const char *failure)
{
	json_auto_t *json =
		json_pack("{s:s, s:b, s:s*}", "hash", hash, "applied", failure == NULL, "error", failure);
	g_autoptr(GError) error = NULL;

	return guest_policies_report(f->policies, WORLD_NIC, json, &error);
}

static void assert_state(struct fixture *f, enum guest_policy_state state)
{
	g_assert_cmpint(guest_policies_state(f->policies, WORLD_NIC), ==, state);
	g_assert_true(
		(guest_policies_sentence(f->policies, WORLD_NIC) == NULL) == (state == GUEST_POLICY_CURRENT));
}

/* Seconds until the deadline. */
static int64_t left_s(struct fixture *f)
{
	return (guest_policies_deadline_us(f->policies, WORLD_NIC) - clock_us) / G_USEC_PER_SEC;
}

static void change_rules(struct fixture *f)
{
	add_rule(f->guests.goal->groups->pdata[0], "c", 300, "198.51.100.0/24");
	guest_policies_set_goal(f->policies, f->guests.goal);
}

/* ---- documents ---- */

static void test_document(struct fixture *f, gconstpointer data)
{
	json_auto_t *body = json_loads(guest_policies_body(f->policies, WORLD_NIC), 0, NULL);
	const json_t *group = json_array_get(json_object_get(json_object_get(body, "policy"), "inbound"), 0),
		     *first = json_array_get(json_object_get(group, "rules"), 0);
	char *text = json_dumps(json_object_get(body, "policy"), JSON_COMPACT | JSON_SORT_KEYS);
	g_autofree char *hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);

	g_assert_cmpstr(json_string_value(json_object_get(body, "hash")), ==, hash);
	g_assert_cmpstr(hash_of(f), ==, hash);
	g_assert_true(json_is_true(json_object_get(group, "revalidate")));
	g_assert_cmpstr(json_string_value(json_array_get(
				json_object_get(json_object_get(first, "source"), "prefixes"), 0)),
		==, "192.0.2.0/24");
	free(text);
}

static void test_same_hash(struct fixture *f, gconstpointer data)
{
	g_autofree char *before = g_strdup(hash_of(f));
	struct goal_group *group = f->guests.goal->groups->pdata[0];
	void *first = group->rules->pdata[0];

	group->rules->pdata[0] = group->rules->pdata[1];
	group->rules->pdata[1] = first;
	f->guests.goal->version++;
	guest_policies_set_goal(f->policies, f->guests.goal);
	g_assert_cmpstr(hash_of(f), ==, before);
	group->keep_established = true;
	guest_policies_set_goal(f->policies, f->guests.goal);
	g_assert_cmpstr(hash_of(f), !=, before);
}

static void test_not_asked(struct fixture *f, gconstpointer data)
{
	json_auto_t *other = json_loads(guest_policies_body(f->policies, WORLD_NIC_2), 0, NULL);

	g_assert_true(json_is_null(json_object_get(other, "policy")));
	g_assert_null(guest_policies_body(f->policies, "nobody"));
	g_assert_cmpint(guest_policies_state(f->policies, WORLD_NIC_2), ==, GUEST_POLICY_NEVER);
	g_assert_cmpint(guest_policies_deadline_us(f->policies, WORLD_NIC_2), ==, 0);
	g_assert_cmpint(guest_policies_deadline_us(f->policies, "nobody"), ==, 0);
}

static void test_bad_rules(struct fixture *f, gconstpointer data)
{
	g_autofree char *before = g_strdup(hash_of(f));

	add_rule(f->guests.goal->groups->pdata[0], "bad", 400, "no address");
	guest_policies_set_goal(f->policies, f->guests.goal);
	g_assert_cmpstr(hash_of(f), ==, before);
}

/* ---- states ---- */

static void test_states(struct fixture *f, gconstpointer data)
{
	assert_state(f, GUEST_POLICY_NEVER);
	g_assert_cmpint(left_s(f), ==, GUEST_POLICY_GRACE_S);
	g_assert_true(report(f, hash_of(f), NULL));
	g_assert_cmpuint(f->reports, ==, 1);
	assert_state(f, GUEST_POLICY_CURRENT);
	g_assert_cmpint(left_s(f), ==, GUEST_POLICY_RENEW_S);
	pass(GUEST_POLICY_RENEW_S - 1);
	assert_state(f, GUEST_POLICY_CURRENT);
	pass(1);
	assert_state(f, GUEST_POLICY_STALE);
	g_assert_cmpint(left_s(f), ==, 0);
	g_assert_true(report(f, hash_of(f), NULL));
	assert_state(f, GUEST_POLICY_CURRENT);
}

static void test_change(struct fixture *f, gconstpointer data)
{
	g_autofree char *before = g_strdup(hash_of(f));

	report(f, before, NULL);
	pass(60);
	change_rules(f);
	assert_state(f, GUEST_POLICY_STALE);
	g_assert_cmpint(left_s(f), ==, GUEST_POLICY_GRACE_S);
	pass(4);
	/* What it still has is not what it is to have, and gives it no more time. */
	report(f, before, NULL);
	assert_state(f, GUEST_POLICY_STALE);
	g_assert_cmpint(left_s(f), ==, GUEST_POLICY_GRACE_S - 4);
	report(f, hash_of(f), NULL);
	assert_state(f, GUEST_POLICY_CURRENT);
	/* A goal that says the same changes nothing. */
	guest_policies_set_goal(f->policies, f->guests.goal);
	assert_state(f, GUEST_POLICY_CURRENT);
}

static void test_failure(struct fixture *f, gconstpointer data)
{
	report(f, hash_of(f), "nft is missing\nor \x01 so");
	assert_state(f, GUEST_POLICY_FAILED);
	g_assert_cmpstr(guest_policies_sentence(f->policies, WORLD_NIC), ==,
		"Its guest cannot apply its rules: nft is missing or   so");
	g_assert_cmpint(left_s(f), ==, GUEST_POLICY_GRACE_S);
	pass(30);
	report(f, hash_of(f), NULL);
	assert_state(f, GUEST_POLICY_CURRENT);
	/* Rules that are no longer in force are none; there is no second grace. */
	pass(30);
	report(f, hash_of(f), "somebody took them away");
	g_assert_cmpint(left_s(f), <, 0);
}

static void test_long_words(struct fixture *f, gconstpointer data)
{
	g_autofree char *words = g_strnfill(50000, 'x');

	report(f, hash_of(f), words);
	g_assert_cmpuint(strlen(guest_policies_sentence(f->policies, WORLD_NIC)), <, 400);
	report(f, words, NULL);
	assert_state(f, GUEST_POLICY_STALE);
}

static void test_forget(struct fixture *f, gconstpointer data)
{
	pass(30);
	report(f, hash_of(f), NULL);
	pass(30);
	guest_policies_forget(f->policies, WORLD_NIC);
	assert_state(f, GUEST_POLICY_NEVER);
	g_assert_cmpint(left_s(f), ==, 0);
}

static void test_opt_out(struct fixture *f, gconstpointer data)
{
	report(f, hash_of(f), NULL);
	world_nic(f->guests.goal)->guest_enforcement = false;
	guest_policies_set_goal(f->policies, f->guests.goal);
	assert_state(f, GUEST_POLICY_NEVER);
	g_assert_cmpint(guest_policies_deadline_us(f->policies, WORLD_NIC), ==, 0);
	g_assert_false(report(f, hash_of(f), NULL));
}

/* ---- the metadata service ---- */

static struct answer ask(struct fixture *f, const char *method, const char *path, const char *body)
{
	return guests_ask(&f->guests, &(struct request){GUEST, method, path, NULL, body});
}

static char *held_path(struct fixture *f)
{
	return g_strdup_printf(PATH "?after=%s", hash_of(f));
}

static struct asking *begin_held(struct fixture *f)
{
	g_autofree char *path = held_path(f);
	struct asking *asking = guests_begin(&f->guests, &(struct request){GUEST, "GET", path, NULL, NULL});

	world_run(50);
	g_assert_false(guests_is_answered(asking));
	return asking;
}

static void test_get(struct fixture *f, gconstpointer data)
{
	_cleanup_(answer_clear) struct answer plain = ask(f, "GET", PATH, NULL),
					      other = ask(f, "GET", PATH "?after=other", NULL);
	_cleanup_(answer_clear) struct answer second =
		guests_ask(&f->guests, &(struct request){"127.0.0.5", "GET", PATH, NULL, NULL});
	_cleanup_(answer_clear) struct answer stranger =
		guests_ask(&f->guests, &(struct request){"127.0.0.6", "GET", PATH, NULL, NULL});
	static const char *const none[] = {NULL};
	_cleanup_(answer_clear) struct answer unmarked =
		guests_ask(&f->guests, &(struct request){GUEST, "GET", PATH, none, NULL});

	g_assert_cmpuint(plain.status, ==, 200);
	g_assert_cmpstr(plain.body, ==, guest_policies_body(f->policies, WORLD_NIC));
	g_assert_cmpstr(other.body, ==, plain.body);
	g_assert_cmpstr(second.body, ==, guest_policies_body(f->policies, WORLD_NIC_2));
	g_assert_cmpuint(stranger.status, ==, 404);
	g_assert_cmpuint(unmarked.status, ==, 400);
}

static void test_hold(struct fixture *f, gconstpointer data)
{
	struct asking *asking = begin_held(f);

	change_rules(f);
	_cleanup_(answer_clear) struct answer answer = guests_finish(asking);
	g_assert_cmpuint(answer.status, ==, 200);
	g_assert_cmpstr(answer.body, ==, guest_policies_body(f->policies, WORLD_NIC));
}

static void test_one_held(struct fixture *f, gconstpointer data)
{
	struct asking *first = begin_held(f), *second = begin_held(f);
	_cleanup_(answer_clear) struct answer answer = guests_finish(first);

	g_assert_cmpuint(answer.status, ==, 204);
	g_assert_false(guests_is_answered(second));
	guests_hang_up(second);
	world_run(50);
	change_rules(f); /* nobody waits any more */
}

static void test_held_at_the_end(struct fixture *f, gconstpointer data)
{
	struct asking *asking = begin_held(f);

	metadata_free(g_steal_pointer(&f->guests.metadata));
	guests_hang_up(asking);
	change_rules(f);
}

static void test_nic_goes(struct fixture *f, gconstpointer data)
{
	struct asking *asking = begin_held(f);

	g_ptr_array_remove_index(f->guests.goal->nics, 0);
	guest_policies_set_goal(f->policies, f->guests.goal);
	_cleanup_(answer_clear) struct answer answer = guests_finish(asking);
	g_assert_cmpuint(answer.status, ==, 204);
	g_assert_null(hash_of(f));
}

static void test_put(struct fixture *f, gconstpointer data)
{
	static const char *const bad[] = {"", "[]", "{}", "{\"hash\": 7, \"applied\": true}",
		"{\"hash\": \"x\", \"applied\": \"yes\"}"};
	g_autofree char *good = g_strdup_printf("{\"hash\": \"%s\", \"applied\": true}", hash_of(f));
	_cleanup_(answer_clear) struct answer applied = ask(f, "PUT", PATH, good);

	g_assert_cmpuint(applied.status, ==, 204);
	assert_state(f, GUEST_POLICY_CURRENT);
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		_cleanup_(answer_clear) struct answer answer = ask(f, "PUT", PATH, bad[i]);
		g_assert_cmpuint(answer.status, ==, 400);
	}
	assert_state(f, GUEST_POLICY_CURRENT);
	_cleanup_(answer_clear) struct answer other =
		guests_ask(&f->guests, &(struct request){"127.0.0.5", "PUT", PATH, NULL, good});
	g_assert_cmpuint(other.status, ==, 409);
}

static void add_test(const char *name, void (*fn)(struct fixture *, gconstpointer))
{
	g_test_add(name, struct fixture, NULL, setup, fn, teardown);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_log_set_always_fatal(G_LOG_FATAL_MASK); /* rules that are not understood are logged */
	add_test("/guest-policy/a NIC's document is its rules, named by their hash", test_document);
	add_test("/guest-policy/the same rules in another order have the same hash", test_same_hash);
	add_test("/guest-policy/a NIC whose guest is asked for nothing may have nothing", test_not_asked);
	add_test("/guest-policy/rules that are not understood leave those before", test_bad_rules);
	add_test("/guest-policy/a report counts for 90 seconds", test_states);
	add_test("/guest-policy/new rules make it stale at once, with 10 seconds to confirm", test_change);
	add_test("/guest-policy/a failure is said in the guest's words", test_failure);
	add_test("/guest-policy/a guest's words are kept short", test_long_words);
	add_test("/guest-policy/a guest that begins anew has reported nothing", test_forget);
	add_test("/guest-policy/without the opt-in reports count for nothing", test_opt_out);
	add_test("/guest-policy/a guest gets its own NIC's rules and nobody else's", test_get);
	add_test("/guest-policy/a request is held until the rules change", test_hold);
	add_test("/guest-policy/one request is held for a NIC, the last", test_one_held);
	add_test("/guest-policy/the service may end while a request is held", test_held_at_the_end);
	add_test("/guest-policy/a NIC may go while its request is held", test_nic_goes);
	add_test("/guest-policy/reports are taken from the NIC's guest, and only well-formed ones", test_put);
	return g_test_run();
}
