/* What guests say that they are: the metadata service's part, and the host's report of it. */
#include "agent/guest_identity.h"

#include "agent/agent_priv.h"
#include "agent/test_metadata.h"
#include "base/fault.h"

#include <string.h>

#define GUEST "127.0.0.4"
#define OTHER "127.0.0.5"
#define PATH  "/sluice/v1/guest"
#define OLD                                                                                                  \
	"{\"os\": {\"kernel\": \"4.4.0-31-generic\", \"id\": \"ubuntu\", \"version\": \"16.04\", "           \
	"\"name\": \"Ubuntu 16.04.1 LTS\", \"agent\": \"0.1\"}, \"driver\": \"mlx4_core\", \"newer\": 1}"

/* ---- over the wire ---- */

static void setup(struct guests *f, gconstpointer data)
{
	guests_init(f, NULL, NULL);
}

static void teardown(struct guests *f, gconstpointer data)
{
	guests_done(f);
}

static guint say(struct guests *f, const char *from, const char *method, const char *body)
{
	_cleanup_(answer_clear) struct answer answer =
		guests_ask(f, &(struct request){from, method, PATH, NULL, body});

	return answer.status;
}

static void test_said(struct guests *f, gconstpointer data)
{
	g_assert_cmpuint(say(f, GUEST, "PUT", OLD), ==, 204);
	const struct guest_identity *identity = guest_identities_find(f->identities, WORLD_NIC);
	g_assert_nonnull(identity);
	g_assert_cmpstr(identity->os.kernel, ==, "4.4.0-31-generic");
	g_assert_cmpstr(identity->os.name, ==, "Ubuntu 16.04.1 LTS");
	g_assert_cmpstr(identity->driver, ==, "mlx4_core");
	g_assert_null(guest_identities_find(f->identities, WORLD_NIC_2));
	g_assert_cmpuint(say(f, OTHER, "PUT", "{\"os\": {\"kernel\": \"6.1\"}}"), ==, 204);
	g_assert_null(guest_identities_find(f->identities, WORLD_NIC_2)->driver);
	g_assert_cmpuint(say(f, GUEST, "PUT", "{\"os\": {\"kernel\": \"6.1\"}}"), ==, 204);
	g_assert_null(guest_identities_find(f->identities, WORLD_NIC)->os.id);
}

static void test_refused(struct guests *f, gconstpointer data)
{
	g_autofree char *longer = g_strnfill(GUEST_WORD_MAX + 1, 'x'),
			*named = g_strdup_printf("{\"os\": {\"kernel\": \"6.1\", \"name\": \"%s\"}}", longer),
			*driven = g_strdup_printf(
				"{\"os\": {\"kernel\": \"6.1\"}, \"driver\": \"%s\"}", longer);
	const char *const bodies[] = {"", "[]", "{}", "{\"os\": {\"id\": \"debian\"}}",
		"{\"os\": {\"kernel\": 6}}", "{\"os\": {\"kernel\": \"a\\nb\"}}", named, driven};

	for (size_t i = 0; i < G_N_ELEMENTS(bodies); i++)
		g_assert_cmpuint(say(f, GUEST, "PUT", bodies[i]), ==, 400);
	g_assert_cmpuint(say(f, GUEST, "GET", NULL), ==, 405);
	g_assert_cmpuint(say(f, "127.0.0.9", "PUT", OLD), ==, 404);
	g_assert_null(guest_identities_find(f->identities, WORLD_NIC));
}

/* ---- how long it holds ---- */

static int64_t clock_us = 1;

static int64_t now_us(void)
{
	return clock_us;
}

static void take(struct guest_identities *identities, const char *nic)
{
	g_autoptr(GError) error = NULL;
	json_auto_t *json = json_loads(OLD, 0, NULL);

	guest_identities_take(identities, nic, json, &error);
	g_assert_no_error(error);
}

static void test_silence(void)
{
	_cleanup_(guest_identities_free) struct guest_identities *identities = guest_identities_new(now_us);

	take(identities, WORLD_NIC);
	clock_us += GUEST_IDENTITY_RENEW_S * G_USEC_PER_SEC - 1;
	g_assert_nonnull(guest_identities_find(identities, WORLD_NIC));
	clock_us++;
	g_assert_null(guest_identities_find(identities, WORLD_NIC));
	take(identities, WORLD_NIC);
	g_assert_nonnull(guest_identities_find(identities, WORLD_NIC));
	guest_identities_forget(identities, WORLD_NIC);
	g_assert_null(guest_identities_find(identities, WORLD_NIC));
}

static void test_goal(void)
{
	_cleanup_(guest_identities_free) struct guest_identities *identities = guest_identities_new(now_us);
	_cleanup_(goal_free) struct goal *goal = world_goal(1, true);

	take(identities, WORLD_NIC);
	take(identities, WORLD_NIC_2);
	guest_identities_set_goal(identities, goal);
	g_assert_nonnull(guest_identities_find(identities, WORLD_NIC));
	g_assert_null(guest_identities_find(identities, WORLD_NIC_2));
}

/* ---- the host's part ---- */

static void world_setup(struct world *w, gconstpointer data)
{
	world_init(w);
}

static void world_teardown(struct world *w, gconstpointer data)
{
	world_stop_agent(w);
	world_done(w);
}

static bool runs(struct world *w)
{
	return world_power(w, WORLD_VM) == POWER_STATE_RUNNING;
}

static bool is_off(struct world *w)
{
	return world_power(w, WORLD_VM) == POWER_STATE_STOPPED;
}

static void test_report(struct world *w, gconstpointer data)
{
	world_start_agent(w, true);
	agent_take_goal(w->agent, world_goal(1, true));
	world_wait(w, "the machine runs", runs);
	_cleanup_(report_free) struct report *before = agent_report(w->agent);
	g_assert_null(((const struct report_vm *)before->vms->pdata[0])->guest.kernel);
	take(agent_guest_identities(w->agent), WORLD_NIC);
	_cleanup_(report_free) struct report *report = agent_report(w->agent);
	const struct report_vm *vm = report->vms->pdata[0];
	g_assert_cmpstr(vm->guest.kernel, ==, "4.4.0-31-generic");
	g_assert_cmpstr(vm->guest.agent, ==, "0.1");
	g_assert_cmpstr(((const struct report_nic *)report->nics->pdata[0])->driver, ==, "mlx4_core");
	json_auto_t *shown = accel_describe(g_hash_table_lookup(w->agent->accels, WORLD_NIC));
	const char *reason = json_string_value(json_object_get(shown, "reason"));
	g_assert_nonnull(strstr(reason, "Its guest runs kernel 4.4.0-31-generic, older than 4.11.0-1013"));
}

static void test_forgotten(struct world *w, gconstpointer data)
{
	world_start_agent(w, true);
	agent_take_goal(w->agent, world_goal(1, true));
	world_wait(w, "the machine runs", runs);
	take(agent_guest_identities(w->agent), WORLD_NIC);
	struct goal *off = world_goal(2, true);
	world_vm(off)->power = POWER_STOPPED;
	agent_take_goal(w->agent, off);
	world_wait(w, "the machine is off", is_off);
	world_run(50);
	g_assert_null(guest_identities_find(agent_guest_identities(w->agent), WORLD_NIC));
}

#define WIRE(name, fn) g_test_add("/guest identity/" name, struct guests, NULL, setup, fn, teardown)
#define WORLD(name, fn)                                                                                      \
	g_test_add("/guest identity/" name, struct world, NULL, world_setup, fn, world_teardown)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	WIRE("a guest says by its NIC what it is", test_said);
	WIRE("what is no such word, or from nobody, is refused", test_refused);
	g_test_add_func("/guest identity/a guest that is silent is not there", test_silence);
	g_test_add_func("/guest identity/nothing is kept of NICs that went", test_goal);
	WORLD("the host reports it, and says of a function that the kernel is too old", test_report);
	WORLD("a machine that stops is forgotten", test_forgotten);
	return g_test_run();
}
