/* Rolling upgrades of scale sets: batches, pauses, and what stops them. */
#include "control/control_priv.h"
#include "control/set_fixture.h"

#include <string.h>

/* Runs until the operation is over; how many instances were on their way at once at most. */
static guint follow(struct fixture *f, const struct operation *operation, struct operation **ret)
{
	guint most = 0;

	for (;;) {
		_cleanup_(model_free) struct operation *now =
			control_get(f->control, KIND_OPERATION, operation->meta.uid, NULL);
		if (now->status.state != OPERATION_RUNNING) {
			*ret = g_steal_pointer(&now);
			return most;
		}
		g_autoptr(GPtrArray) vms = set_instances(f);
		guint n = 0;
		for (guint i = 0; i < vms->len; i++)
			n += ((const struct vm *)vms->pdata[i])->status.outcome.state ==
			     PROVISIONING_UPDATING;
		most = MAX(most, n);
		fixture_obey(f);
		g_main_context_iteration(NULL, TRUE);
	}
}

/* A changed model with a rolling policy; the operation is under way. */
static void begin_rolling(
	struct fixture *f, const struct set_rolling_policy *policy, struct control_result *ret)
{
	_cleanup_(model_free) struct scale_set *wanted = set_read(f);
	g_autoptr(GError) error = NULL;

	wanted->spec.upgrade = UPGRADE_ROLLING;
	wanted->spec.rolling = *policy;
	g_free(wanted->spec.model.size);
	wanted->spec.model.size = g_strdup("Standard_DS4_v2");
	control_put(f->control, wanted, &set_request, ret, &error);
	g_assert_no_error(error);
}

static void test_rolling(void)
{
	const struct set_rolling_policy policy = {40, 20, 20, 0};
	_cleanup_(control_result_clear) struct control_result result = {};
	_cleanup_(model_free) struct operation *over = NULL;
	OPEN(f);

	set_put_capacity(&f, 3);
	set_do(&f, VERB_DEALLOCATE, 2);
	begin_rolling(&f, &policy, &result);
	g_assert_cmpuint(follow(&f, result.operation, &over), ==, 1);
	g_assert_cmpint(over->status.state, ==, OPERATION_SUCCEEDED);
	set_assert_instances(&f, "web_0* web_1* web_2*");
	set_assert_power(&f, "rrd");
	_cleanup_(model_free) struct scale_set *set = set_read(&f);
	g_assert_cmpint(set->status.rolling.state, ==, ROLLING_COMPLETED);
	g_assert_cmpint(set->status.rolling.finished_us, >=, set->status.rolling.started_us);
	/* Nothing to do is no upgrade. */
	model_free(set_put(&f, set_read(&f)));
	_cleanup_(model_free) struct scale_set *again = set_read(&f);
	g_assert_cmpint(again->status.rolling.started_us, ==, set->status.rolling.started_us);
}

static void test_batches_and_pause(void)
{
	const struct set_rolling_policy policy = {67, 20, 20, 1};
	_cleanup_(control_result_clear) struct control_result result = {};
	_cleanup_(model_free) struct operation *over = NULL;
	OPEN(f);

	set_put_capacity(&f, 3);
	int64_t from = g_get_monotonic_time();
	begin_rolling(&f, &policy, &result);
	g_assert_cmpuint(follow(&f, result.operation, &over), ==, 2);
	g_assert_cmpint(g_get_monotonic_time() - from, >=, G_USEC_PER_SEC);
	g_assert_cmpint(over->status.state, ==, OPERATION_SUCCEEDED);
	set_assert_instances(&f, "web_0* web_1* web_2*");
}

static void test_rolling_stops(void)
{
	const struct set_rolling_policy policy = {30, 40, 40, 0};
	_cleanup_(control_result_clear) struct control_result result = {};
	_cleanup_(model_free) struct operation *over = NULL;
	OPEN(f);

	set_put_capacity(&f, 3);
	f.failing = "web_0";
	begin_rolling(&f, &policy, &result);
	follow(&f, result.operation, &over);
	g_assert_cmpint(over->status.state, ==, OPERATION_FAILED);
	set_assert_words(over->status.message,
		"The rolling upgrade of scale set web has stopped: 1 of 1 upgraded instances are not healthy "
		"(web_0), its policy allows 40 percent.");
	set_assert_instances(&f, "web_0* web_1 web_2");
	_cleanup_(model_free) struct scale_set *set = set_read(&f);
	g_assert_cmpint(set->status.rolling.state, ==, ROLLING_FAULTED);
	g_assert_cmpint(set->status.outcome.state, ==, PROVISIONING_FAILED);

	/* Of all instances a third may be unhealthy, so the rest is upgraded when it is asked for again. */
	_cleanup_(control_result_clear) struct control_result second = {};
	_cleanup_(model_free) struct operation *done = NULL;
	begin_rolling(&f, &policy, &second);
	follow(&f, second.operation, &done);
	g_assert_cmpint(done->status.state, ==, OPERATION_SUCCEEDED);
	set_assert_instances(&f, "web_0* web_1* web_2*");
}

/* Instances that the operation makes have the model from the first, and speak for no upgrade. */
static void test_new_instances_do_not_count(void)
{
	OPEN(f);

	set_put_capacity(&f, 2);
	f.failing = "web_0";
	EDIT(&f);
	edit->spec.capacity = 6;
	edit->spec.upgrade = UPGRADE_ROLLING;
	edit->spec.rolling = (struct set_rolling_policy){50, 100, 40, 0};
	g_free(edit->spec.model.size);
	edit->spec.model.size = g_strdup("Standard_B1s");
	set_assert_fails(&f, edit, FAULT_NOT_ALLOWED,
		"1 of 2 upgraded instances are not healthy (web_0), its policy allows 40 percent.");
	set_assert_instances(&f, "web_0* web_1* web_2* web_3* web_4* web_5*");
}

static void test_rolling_does_not_begin(void)
{
	const struct set_rolling_policy policy = {30, 20, 100, 0};
	_cleanup_(control_result_clear) struct control_result result = {};
	_cleanup_(model_free) struct operation *over = NULL;
	OPEN(f);

	set_put_capacity(&f, 3);
	f.failing = "web_1";
	set_assert_act_fails(&f, VERB_RESTART, 1, FAULT_INTERNAL, "web_1: its disk is broken");
	begin_rolling(&f, &policy, &result);
	follow(&f, result.operation, &over);
	set_assert_words(over->status.message, "1 of 3 instances are not healthy (web_1)");
	set_assert_instances(&f, "web_0 web_1 web_2");
}

static void test_rolling_cancelled(void)
{
	const struct set_rolling_policy policy = {30, 20, 20, 3600};
	_cleanup_(control_result_clear) struct control_result result = {};
	_cleanup_(model_free) struct operation *over = NULL;
	g_autoptr(GError) error = NULL;
	OPEN(f);

	set_put_capacity(&f, 3);
	_cleanup_(model_free) struct scale_set *set = set_read(&f);
	g_assert_false(control_scale_set_cancel(f.control, set->meta.uid, &error));
	g_assert_error(error, FAULT, FAULT_NOT_ALLOWED);
	begin_rolling(&f, &policy, &result);
	for (;;) {
		_cleanup_(model_free) struct scale_set *now = set_read(&f);
		if (now->status.rolling.resume_us)
			break;
		fixture_obey(&f);
		g_main_context_iteration(NULL, TRUE);
	}
	fixture_restart(&f); /* a pause is remembered */
	g_assert_true(control_scale_set_cancel(f.control, set->meta.uid, NULL));
	follow(&f, result.operation, &over);
	g_assert_cmpstr(over->status.fault, ==, fault_name(FAULT_CANCELLED));
	set_assert_instances(&f, "web_0* web_1 web_2");
}

/* Nothing is said by any host from now on. */
static void test_silent_batch_cancelled(void)
{
	const struct set_rolling_policy policy = {50, 20, 20, 0};
	_cleanup_(control_result_clear) struct control_result result = {};
	_cleanup_(fixture_close) struct fixture f = {.host_timeout_s = 1};

	fixture_open(&f);
	set_put_capacity(&f, 2);
	begin_rolling(&f, &policy, &result);
	for (;;) {
		_cleanup_(model_free) struct vm *first = set_instance(&f, 0);
		if (operation_running(&first->status.outcome) &&
			hosts_is_silent(f.control, first->status.host))
			break;
		g_main_context_iteration(NULL, TRUE);
	}
	_cleanup_(model_free) struct scale_set *set = set_read(&f);
	g_assert_true(control_scale_set_cancel(f.control, set->meta.uid, NULL));
	_cleanup_(model_free) struct operation *over = fixture_finish(&f, result.operation, false);
	g_assert_cmpstr(over->status.fault, ==, fault_name(FAULT_CANCELLED));
	set_assert_instances(&f, "web_0* web_1");
}

/* ---- health by a probe ---- */

static void test_health_is_asked_for(void)
{
	OPEN(f);
	_cleanup_(model_free) struct balancer *balancer = set_put_balancer(&f);
	struct scale_set *wanted = fixture_scale_set(&f, "web", 1);

	wanted->spec.health = (struct balancer_ref){g_strdup(balancer->meta.uid), g_strdup("probe")};
	set_assert_refused(&f, wanted, FAULT_INVALID_REFERENCE,
		"probe probe of load balancer lb, which asks no instance: a load-balancing rule must have "
		"it");
}

/* Runs until something is so. */
static void run_until(struct fixture *f, bool (*is_so)(const struct scale_set *set))
{
	for (;;) {
		_cleanup_(model_free) struct scale_set *now = set_read(f);
		if (is_so(now))
			return;
		fixture_obey(f);
		g_main_context_iteration(NULL, TRUE);
	}
}

static bool waits_for_batch(const struct scale_set *set)
{
	return set->status.rolling.patience_us != 0;
}

static bool is_in_second_batch(const struct scale_set *set)
{
	const GPtrArray *batch = set->status.rolling.batch;

	return list_length(batch) > 0 && set->status.rolling.resume_us != 0 && waits_for_batch(set);
}

static void test_health(void)
{
	const struct set_rolling_policy policy = {50, 100, 40, 0};
	_cleanup_(control_result_clear) struct control_result result = {};
	_cleanup_(model_free) struct operation *over = NULL;
	OPEN(f);
	_cleanup_(model_free) struct balancer *balancer = set_put_balancer(&f);

	set_put_health(&f, balancer);
	begin_rolling(&f, &policy, &result);
	run_until(&f, waits_for_batch);
	set_assert_instances(&f, "web_0* web_1");
	fixture_restart(&f);
	set_say_well(&f, "web_0", balancer);
	run_until(&f, is_in_second_batch);
	set_assert_instances(&f, "web_0* web_1*");
	/* The time of the second one is over. */
	EDIT(&f);
	edit->status.rolling.patience_us = 1;
	g_assert_true(control_store(f.control, edit, NULL));
	model_free(edit);
	follow(&f, result.operation, &over);
	set_assert_words(over->status.message,
		"1 of 2 upgraded instances are not healthy (web_1), its policy allows 40 percent.");
}

static void test_patience_cancelled(void)
{
	const struct set_rolling_policy policy = {50, 100, 40, 0};
	_cleanup_(control_result_clear) struct control_result result = {};
	_cleanup_(model_free) struct operation *over = NULL;
	OPEN(f);
	_cleanup_(model_free) struct balancer *balancer = set_put_balancer(&f);

	set_put_health(&f, balancer);
	begin_rolling(&f, &policy, &result);
	run_until(&f, waits_for_batch);
	_cleanup_(model_free) struct scale_set *set = set_read(&f);
	g_assert_true(control_scale_set_cancel(f.control, set->meta.uid, NULL));
	follow(&f, result.operation, &over);
	g_assert_cmpstr(over->status.fault, ==, fault_name(FAULT_CANCELLED));
	set_assert_instances(&f, "web_0* web_1");
}

static void test_health_of_all(void)
{
	const struct set_rolling_policy policy = {50, 40, 100, 0};
	_cleanup_(control_result_clear) struct control_result result = {};
	_cleanup_(model_free) struct operation *over = NULL;
	OPEN(f);
	_cleanup_(model_free) struct balancer *balancer = set_put_balancer(&f);

	set_put_health(&f, balancer);
	set_say_well(&f, "web_1", balancer);
	begin_rolling(&f, &policy, &result);
	follow(&f, result.operation, &over);
	set_assert_words(over->status.message, "1 of 2 instances are not healthy (web_0)");
	set_assert_instances(&f, "web_0 web_1");
}

/* ---- the newest image ---- */

static void test_new_image(void)
{
	_cleanup_(control_result_clear) struct control_result result = {}, again = {};
	_cleanup_(model_free) struct operation *over = NULL, *nothing = NULL;
	g_autoptr(GError) error = NULL;
	json_auto_t *reference = json_object();
	OPEN(f);

	set_put_capacity(&f, 2);
	_cleanup_(model_free) struct scale_set *set = set_read(&f);
	control_scale_set_roll(f.control, set->meta.uid, "newer", reference, &set_request, &result, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(follow(&f, result.operation, &over), ==, 1);
	g_assert_cmpint(over->status.state, ==, OPERATION_SUCCEEDED);
	set_assert_instances(&f, "web_0* web_1*");
	_cleanup_(model_free) struct vm *vm = set_instance(&f, 1);
	g_assert_cmpstr(vm->spec.image, ==, "newer");
	g_assert_cmpint(vm->spec.reimages, ==, 1);
	_cleanup_(model_free) struct scale_set *rolled = set_read(&f);
	g_assert_cmpint(rolled->spec.upgrade, ==, UPGRADE_MANUAL);
	g_assert_cmpint(rolled->status.rolling.state, ==, ROLLING_COMPLETED);
	/* Who has it is left alone. */
	control_scale_set_roll(f.control, set->meta.uid, "newer", reference, &set_request, &again, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(follow(&f, again.operation, &nothing), ==, 0);
	g_assert_cmpint(nothing->status.state, ==, OPERATION_SUCCEEDED);
	set_assert_instances(&f, "web_0* web_1*");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(name, fn) g_test_add_func("/rolling-upgrade/" name, fn)
	ADD("it takes batch after batch", test_rolling);
	ADD("it pauses between batches", test_batches_and_pause);
	ADD("it stops at unhealthy instances", test_rolling_stops);
	ADD("instances that come with it do not count as upgraded", test_new_instances_do_not_count);
	ADD("it does not begin on unhealthy instances", test_rolling_does_not_begin);
	ADD("it can be cancelled in its pause, also behind a crash", test_rolling_cancelled);
	ADD("it can be cancelled while its batch is on a host that is silent", test_silent_batch_cancelled);
	ADD("a probe that asks no instance says nothing of its health", test_health_is_asked_for);
	ADD("a batch has time to be found well, also behind a crash", test_health);
	ADD("it can be cancelled while a batch has time to be found well", test_patience_cancelled);
	ADD("it does not begin while too many are not found well", test_health_of_all);
	ADD("a newer image is taken batch after batch, whatever the policy is", test_new_image);
	return g_test_run();
}
