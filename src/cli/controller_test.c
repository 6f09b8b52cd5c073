/* What passes for an answer of the controller. */
#include "cli/controller.h"

#include "base/fault.h"
#include "cli/test_controller.h"

#include <string.h>

struct fixture {
	struct test_controller controller;
	/* What is answered; set while no request is under way. */
	guint status;
	const char *body;
	gint asked; /* atomic: requests */
};

static void answer(SoupServerMessage *message, const char *path, GHashTable *query, void *data)
{
	struct fixture *f = data;

	g_atomic_int_inc(&f->asked);
	test_controller_reply(message, f->status, f->body);
	if (f->status / 100 == 3)
		soup_message_headers_append(
			soup_server_message_get_response_headers(message), "Location", "/elsewhere");
}

/* words: NULL when it passes, else what the failure says. */
static void assert_answer(struct fixture *f, guint status, const char *body, bool wanted, const char *words)
{
	g_autoptr(GError) error = NULL;
	_cleanup_(controller_close) struct controller *controller =
		controller_open(f->controller.state, &error);
	json_auto_t *answer = NULL;

	g_assert_no_error(error);
	f->status = status;
	f->body = body;
	g_test_message("%u %s", status, body ? body : "");
	g_atomic_int_set(&f->asked, 0);
	bool passed = controller_call(controller, "GET", "/networks", NULL, wanted ? &answer : NULL, &error);
	g_assert_cmpint(g_atomic_int_get(&f->asked), ==, 1);
	g_assert_cmpint(passed, ==, words == NULL);
	g_assert_cmpint(answer != NULL, ==, passed && wanted);
	if (!words)
		return;
	g_autofree char *url = g_strdup_printf(
		"http://127.0.0.1:%d/sluice/v1/networks answered", g_atomic_int_get(&f->controller.port));
	g_assert_error(error, FAULT, FAULT_UNAVAILABLE);
	g_assert_nonnull(strstr(error->message, url));
	g_assert_nonnull(strstr(error->message, words));
}

static void test_answers(void)
{
	struct fixture f = {};

	test_controller_open(&f.controller, answer, &f);
	assert_answer(&f, 200, "{\"networks\": []}", true, NULL);
	assert_answer(&f, 204, NULL, false, NULL);
	assert_answer(&f, 200, NULL, true, "answered 200 without JSON");
	assert_answer(&f, 204, NULL, true, "answered 204 without JSON");
	assert_answer(&f, 200, "<html>Welcome</html>", true, "answered 200 without JSON");
	assert_answer(&f, 200, "<html>Welcome</html>", false, "answered 200 without JSON");
	assert_answer(&f, 200, "[1]", true, "answered 200 with other JSON");
	assert_answer(&f, 302, "{}", true, "answered 302");
	assert_answer(&f, 307, NULL, false, "answered 307");
	test_controller_close(&f.controller);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func(
		"/controller/what answers without being a controller is no success, and named", test_answers);
	return g_test_run();
}
