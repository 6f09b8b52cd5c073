/* What an HTTP answer is, and what is none. */
#include "guest/enforce_http.h"

#include <string.h>

static void assert_answer(const char *text, unsigned status, const char *body)
{
	_cleanup_(http_answer_clear) struct http_answer answer = {};
	g_autoptr(GError) error = NULL;

	g_assert_true(http_parse(text, strlen(text), &answer, &error));
	g_assert_no_error(error);
	g_assert_cmpuint(answer.status, ==, status);
	g_assert_cmpstr(answer.body, ==, body);
	g_assert_cmpuint(answer.length, ==, strlen(body));
}

static void test_answers(void)
{
	assert_answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 200, "{}");
	assert_answer("HTTP/1.0 204 No Content\r\n\r\n", 204, "");
	assert_answer("HTTP/1.0 404\r\nX: y\r\n\r\nuntil the end", 404, "until the end");
	/* What follows the announced body is not of it. */
	assert_answer("HTTP/1.1 200 OK\r\ncontent-length:  3 \r\n\r\nabcdef", 200, "abc");
}

static void test_no_answers(void)
{
	static const char *const texts[] = {
		"",
		"SSH-2.0-x\r\n\r\n",
		"HTTP/1.1 200 OK\r\n",
		"HTTP/1.1 \r\n\r\n",
		"HTTP/1.1 abc OK\r\n\r\n",
		"HTTP/1.1 20 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nab",
		"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nab",
		"HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\nab",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		struct http_answer answer = {};
		g_autoptr(GError) error = NULL;
		g_assert_false(http_parse(texts[i], strlen(texts[i]), &answer, &error));
		g_assert_nonnull(error);
		g_assert_null(answer.body);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/http/status and body are taken from an answer", test_answers);
	g_test_add_func("/http/what is no answer, or is cut off, is refused", test_no_answers);
	return g_test_run();
}
