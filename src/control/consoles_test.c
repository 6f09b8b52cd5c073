/* Console logs: asked of hosts by the answers to their requests for goals. */
#include "base/fault.h"
#include "control/fixture.h"

#include <string.h>

/* What a caller was told. */
struct told {
	unsigned times;
	char *log; /* Owned; NULL with error */
	GError *error;
};

static void told_clear(struct told *told)
{
	g_free(told->log);
	g_clear_error(&told->error);
}
CLEANUP_CLEAR_FUNC(struct told, told_clear)

static void on_log(GBytes *log, const GError *error, void *data)
{
	struct told *told = data;

	size_t length = log ? g_bytes_get_size(log) : 0;

	told->times++;
	if (log)
		told->log = g_strndup(length ? g_bytes_get_data(log, NULL) : "", length);
	told->error = error ? g_error_copy(error) : NULL;
}

static struct vm *put_vm(struct fixture *f, const char *name)
{
	g_autoptr(GError) error = NULL;
	_cleanup_(model_free) struct nic *nic = fixture_put(f, fixture_nic(f, name, false), &error);
	struct vm *vm = fixture_put(f, fixture_vm(f, name, "Standard_DS2_v2", nic), &error);

	g_assert_no_error(error);
	return vm;
}

static guint ask(struct fixture *f, const struct vm *vm, unsigned timeout_ms, struct told *told)
{
	g_autoptr(GError) error = NULL;
	guint id = control_console(f->control, vm, timeout_ms, on_log, told, &error);

	g_assert_no_error(error);
	g_assert_cmpuint(id, !=, 0);
	return id;
}

static bool bring(struct fixture *f, const char *host, const struct vm *vm, const char *text)
{
	g_autoptr(GBytes) log = g_bytes_new(text, strlen(text));
	g_autoptr(GError) error = NULL;
	bool done = control_console_bring(f->control, host, vm->meta.uid, log, &error);

	g_assert_true(done || g_error_matches(error, FAULT, FAULT_NOT_FOUND));
	return done;
}

static void assert_wanted(struct fixture *f, const char *host, const char *expected)
{
	g_autofree char *wanted = control_consoles_wanted(f->control, host);

	g_assert_cmpstr(wanted, ==, expected);
}

static void on_goal(const struct goal *goal, void *data)
{
	g_assert_null(goal);
	++*(unsigned *)data;
}

static void test_brought(void)
{
	OPEN(f);
	_cleanup_(model_free) struct vm *vm = put_vm(&f, "vm"), *other = put_vm(&f, "other");
	_cleanup_(told_clear) struct told one = {}, two = {}, third = {};
	g_autofree char *both = g_strdup_printf("%s,%s", vm->meta.uid, other->meta.uid);

	g_assert_false(bring(&f, "host-1", vm, "nobody asked"));
	ask(&f, vm, 10000, &one);
	ask(&f, other, 10000, &two);
	assert_wanted(&f, "host-2", NULL);
	g_assert_false(bring(&f, "host-1", vm, "before it was asked"));
	assert_wanted(&f, "host-1", both);
	assert_wanted(&f, "host-1", NULL);
	g_assert_false(bring(&f, "host-2", vm, "another host's"));
	/* Who asks now wants what is written until then. */
	ask(&f, vm, 10000, &third);
	g_assert_true(bring(&f, "host-1", vm, "Linux"));
	g_assert_cmpstr(one.log, ==, "Linux");
	g_assert_cmpuint(two.times + third.times, ==, 0);
	assert_wanted(&f, "host-1", vm->meta.uid);
	g_assert_true(bring(&f, "host-1", vm, ""));
	g_assert_cmpstr(third.log, ==, "");
	g_assert_true(bring(&f, "host-1", other, "other"));
	g_assert_cmpuint(one.times, ==, 1);
	g_assert_cmpuint(two.times, ==, 1);
}

/* A request for a goal that is held is answered for it. */
static void test_held_request(void)
{
	OPEN(f);
	_cleanup_(model_free) struct vm *vm = put_vm(&f, "vm");
	_cleanup_(told_clear) struct told told = {};
	_cleanup_(goal_free) struct goal *elsewhere = control_goal(f.control, "host-2", NULL);
	_cleanup_(goal_free) struct goal *goal = control_goal(f.control, "host-1", NULL);
	unsigned answered = 0;

	control_goal_wait(f.control, "host-1", goal->version, 60000, on_goal, &answered);
	guint stays = control_goal_wait(f.control, "host-2", elsewhere->version, 60000, on_goal, &answered);
	while (g_main_context_iteration(NULL, FALSE))
		;
	g_assert_cmpuint(answered, ==, 0);
	guint id = ask(&f, vm, 60000, &told);
	while (answered == 0)
		g_main_context_iteration(NULL, TRUE);
	control_goal_wait_cancel(f.control, stays);
	control_console_cancel(f.control, id);
	assert_wanted(&f, "host-1", NULL);
	g_assert_cmpuint(told.times, ==, 0);
}

static void test_late(void)
{
	OPEN(f);
	_cleanup_(model_free) struct vm *vm = put_vm(&f, "vm");
	_cleanup_(told_clear) struct told told = {};

	ask(&f, vm, 20, &told);
	assert_wanted(&f, "host-1", vm->meta.uid);
	while (told.times == 0)
		g_main_context_iteration(NULL, TRUE);
	g_assert_error(told.error, FAULT, FAULT_UNAVAILABLE);
	g_assert_nonnull(strstr(told.error->message, "host-1 has not brought"));
	g_assert_false(bring(&f, "host-1", vm, "too late"));
}

static void test_no_host(void)
{
	OPEN(f);
	_cleanup_(model_free) struct vm *vm = put_vm(&f, "vm");
	_cleanup_(told_clear) struct told told = {};
	g_autoptr(GError) error = NULL;

	g_clear_pointer(&vm->status.host, g_free);
	g_assert_cmpuint(control_console(f.control, vm, 20, on_log, &told, &error), ==, 0);
	g_assert_error(error, FAULT, FAULT_NOT_FOUND);
	g_assert_nonnull(strstr(error->message, "has not been started yet"));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/consoles/a host is told once, and who asked gets what it brings", test_brought);
	g_test_add_func("/consoles/a request for a goal that is held is answered for one", test_held_request);
	g_test_add_func("/consoles/nobody waits for ever", test_late);
	g_test_add_func("/consoles/a machine that never had a host has none", test_no_host);
	return g_test_run();
}
