/* One HTTP exchange: see enforce_http.h. */
#include "guest/enforce_http.h"

#include "base/fault.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SERVICE_ADDRESS "169.254.169.254"
#define SERVICE_PORT    80
#define HEAD_MAX        16384

void http_answer_clear(struct http_answer *answer)
{
	g_clear_pointer(&answer->body, g_free);
}

/* ---- the answer ---- */

/* -1: the head does not say; -2: it says nonsense. */
static gint64 content_length(const char *head)
{
	g_auto(GStrv) lines = g_strsplit(head, "\r\n", -1);
	guint64 length;

	for (char **line = lines; *line; line++) {
		if (g_ascii_strncasecmp(*line, "Content-Length:", 15) != 0)
			continue;
		if (!g_ascii_string_to_unsigned(g_strstrip(*line + 15), 10, 0, HTTP_BODY_MAX, &length, NULL))
			return -2;
		return (gint64)length;
	}
	return -1;
}

bool http_parse(const char *text, size_t length, struct http_answer *ret, GError **error)
{
	const char *end = g_strstr_len(text, (gssize)MIN(length, HEAD_MAX), "\r\n\r\n");
	g_autofree char *head = end ? g_strndup(text, (gsize)(end - text)) : NULL;
	unsigned status = 0;

	/* "HTTP/1.1 200 OK" */
	if (!head || !g_str_has_prefix(head, "HTTP/1.") || strlen(head) < 12 || head[8] != ' ')
		return fault_set(error, FAULT_UNAVAILABLE, "the metadata service answers no HTTP");
	for (unsigned i = 9; i < 12 && g_ascii_isdigit(head[i]); i++)
		status = status * 10 + (unsigned)(head[i] - '0');
	size_t present = length - (size_t)(end + 4 - text);
	gint64 announced = content_length(head);
	if (status < 100 || announced == -2 || (announced >= 0 && (size_t)announced > present))
		return fault_set(error, FAULT_UNAVAILABLE, "the metadata service's answer is cut off");
	ret->status = status;
	ret->length = announced >= 0 ? (size_t)announced : present;
	ret->body = g_strndup(end + 4, ret->length);
	return true;
}

/* ---- the exchange ---- */

static bool fail(GError **error, const struct http_request *request, const char *what)
{
	return fault_set(error, FAULT_UNAVAILABLE, "%s the metadata service by %s: %s", what,
		request->interface, g_strerror(errno));
}

/* Time that is left until a deadline, as the socket's own; at least a moment. */
static void set_timeout(int fd, gint64 deadline_us)
{
	gint64 left_us = MAX(deadline_us - g_get_monotonic_time(), 1000);
	struct timeval time = {.tv_sec = left_us / G_USEC_PER_SEC, .tv_usec = left_us % G_USEC_PER_SEC};

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time);
}

static int open_connection(const struct http_request *request, gint64 deadline_us, GError **error)
{
	const struct sockaddr_in service = {.sin_family = AF_INET,
		.sin_port = htons(SERVICE_PORT),
		.sin_addr.s_addr = inet_addr(SERVICE_ADDRESS)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0)
		set_timeout(fd, deadline_us);
	if (fd >= 0 &&
		setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, request->interface, strlen(request->interface)) ==
			0 &&
		connect(fd, (const struct sockaddr *)&service, sizeof service) == 0)
		return fd;
	fail(error, request, "cannot reach");
	if (fd >= 0)
		close(fd);
	return -1;
}

static bool send_request(int fd, const struct http_request *request)
{
	const char *body = request->body ? request->body : "";
	g_autofree char *text =
		g_strdup_printf("%s %s HTTP/1.0\r\nHost: " SERVICE_ADDRESS "\r\nMetadata: true\r\n"
				"Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
			request->method, request->path, strlen(body), body);
	size_t length = strlen(text), done = 0;

	while (done < length) {
		ssize_t n = send(fd, text + done, length - done, MSG_NOSIGNAL);
		if (n < 0)
			return false;
		done += (size_t)n;
	}
	return true;
}

static bool receive_all(int fd, GByteArray *all, gint64 deadline_us)
{
	guint8 chunk[16384];

	while (all->len <= HTTP_BODY_MAX + HEAD_MAX) {
		set_timeout(fd, deadline_us);
		ssize_t n = recv(fd, chunk, sizeof chunk, 0);
		if (n <= 0)
			return n == 0;
		g_byte_array_append(all, chunk, (guint)n);
	}
	errno = EMSGSIZE;
	return false;
}

bool http_exchange(const struct http_request *request, struct http_answer *ret, GError **error)
{
	gint64 deadline_us = g_get_monotonic_time() + request->timeout_s * G_USEC_PER_SEC;
	g_autoptr(GByteArray) all = g_byte_array_new();
	int fd = open_connection(request, deadline_us, error);
	bool ok = false;

	if (fd < 0)
		return false;
	if (!send_request(fd, request))
		fail(error, request, "cannot ask");
	else if (!receive_all(fd, all, deadline_us))
		fail(error, request, "no answer from");
	else
		ok = http_parse((const char *)all->data, all->len, ret, error);
	close(fd);
	return ok;
}
