/* A netlink socket for many requests: see tc_socket.h.
 *
 * How it works. The kernel executes all messages of a buffer before sendmsg returns, and puts an answer to each into the
 * socket's queue. A buffer is small enough for that queue to hold all its answers, and they are taken out before the
 * next is sent, so none is ever lost.
 */
#include "offload/tc_socket.h"

#include "offload/tc_message.h"
#include "offload/tc_read.h"

#include <errno.h>

#define READ_BYTES (64 << 10)

/* Requests that wait to be sent. All Owned. */
struct batch {
	GByteArray *bytes; /* messages, one behind the other */
	GArray *ends; /* of guint: where each ends */
	GArray *cookies; /* of uint64_t: of each */
	uint32_t sequence; /* of the first */
};

struct tc_socket {
	struct tc_kernel *kernel; /* Owned */
	struct nl_msg *message; /* Owned */
	struct batch waiting;
	uint8_t *buffer; /* Owned */
};

static void batch_init(struct batch *batch, uint32_t sequence)
{
	batch->bytes = g_byte_array_new();
	batch->ends = g_array_new(false, false, sizeof(guint));
	batch->cookies = g_array_new(false, false, sizeof(uint64_t));
	batch->sequence = sequence;
}

static void batch_done(struct batch *batch)
{
	g_byte_array_unref(batch->bytes);
	g_array_unref(batch->ends);
	g_array_unref(batch->cookies);
}

struct tc_socket *tc_socket_new(struct tc_kernel *kernel)
{
	struct tc_socket *s = g_new0(struct tc_socket, 1);

	s->kernel = kernel;
	s->message = nlmsg_alloc_size(TC_MESSAGE_MAX);
	if (!s->message)
		g_error("no memory for a netlink message");
	batch_init(&s->waiting, 1);
	s->buffer = g_malloc(READ_BYTES);
	return s;
}

void tc_socket_close(struct tc_socket *s)
{
	tc_kernel_close(s->kernel);
	nlmsg_free(s->message);
	batch_done(&s->waiting);
	g_free(s->buffer);
	g_free(s);
}

struct nl_msg *tc_socket_message(struct tc_socket *s)
{
	return s->message;
}

unsigned tc_socket_waiting(const struct tc_socket *s)
{
	return s->waiting.cookies->len;
}

void tc_socket_add(struct tc_socket *s, int flags, uint64_t cookie)
{
	static const uint8_t padding[NLMSG_ALIGNTO];
	struct nlmsghdr *header = nlmsg_hdr(s->message);
	struct batch *batch = &s->waiting;

	header->nlmsg_flags |= (uint16_t)(NLM_F_ACK | flags);
	header->nlmsg_seq = batch->sequence + batch->cookies->len;
	header->nlmsg_pid = s->kernel->port;
	g_byte_array_append(batch->bytes, (const uint8_t *)header, header->nlmsg_len);
	g_byte_array_append(batch->bytes, padding, NLMSG_ALIGN(header->nlmsg_len) - header->nlmsg_len);
	g_array_append_val(batch->ends, batch->bytes->len);
	g_array_append_val(batch->cookies, cookie);
}

/* ---- answers ---- */

struct hearing {
	const struct tc_hearer *hearer;
	void *data;
	uint32_t first; /* sequence number of the first request, */
	const uint64_t *cookies; /* and what each has */
	unsigned n, n_done;
};

static void hear(struct hearing *hearing, struct nlmsghdr *header)
{
	uint32_t i = header->nlmsg_seq - hearing->first;
	const char *text = NULL;

	if (i >= hearing->n)
		return; /* nobody's */
	if (header->nlmsg_type == NLMSG_ERROR || header->nlmsg_type == NLMSG_DONE) {
		int status = header->nlmsg_type == NLMSG_ERROR ? tc_read_error(header, &text) : 0;
		hearing->n_done++;
		hearing->hearer->done(hearing->data, hearing->cookies[i], status, text);
	} else if (hearing->hearer->told) {
		hearing->hearer->told(hearing->data, hearing->cookies[i], header);
	}
}

/* Until all have been answered. They are there already, or the kernel writes the next part of a dump while it is
 * read: whatever cannot be read at once will not come. */
static int hear_all(struct tc_socket *s, struct hearing *hearing)
{
	while (hearing->n_done < hearing->n) {
		ssize_t got = s->kernel->ops->receive(s->kernel, s->buffer, READ_BYTES);
		if (got <= 0)
			return got < 0 ? (int)got : -EPIPE;
		int left = (int)got;
		for (struct nlmsghdr *h = (struct nlmsghdr *)s->buffer; nlmsg_ok(h, left);
			h = nlmsg_next(h, &left))
			hear(hearing, h);
	}
	return 0;
}

static int send_bytes(struct tc_socket *s, const void *bytes, size_t size)
{
	return s->kernel->ops->send(s->kernel, bytes, size);
}

/* Moves the first requests out of those that wait: who hears may add to the rest. */
static void take_first(struct batch *waiting, struct batch *ret)
{
	guint n = MIN(waiting->cookies->len, (guint)TC_BATCH),
	      end = g_array_index(waiting->ends, guint, n - 1);

	batch_init(ret, waiting->sequence);
	g_byte_array_append(ret->bytes, waiting->bytes->data, end);
	g_array_append_vals(ret->cookies, waiting->cookies->data, n);
	g_byte_array_remove_range(waiting->bytes, 0, end);
	g_array_remove_range(waiting->cookies, 0, n);
	g_array_remove_range(waiting->ends, 0, n);
	for (guint i = 0; i < waiting->ends->len; i++)
		g_array_index(waiting->ends, guint, i) -= end;
	waiting->sequence += n;
}

int tc_socket_run_batch(struct tc_socket *s, const struct tc_hearer *hearer, void *data)
{
	struct hearing hearing = {.hearer = hearer, .data = data};
	struct batch batch;

	if (s->waiting.cookies->len == 0)
		return 0;
	take_first(&s->waiting, &batch);
	hearing.first = batch.sequence;
	hearing.cookies = &g_array_index(batch.cookies, uint64_t, 0);
	hearing.n = batch.cookies->len;
	int status = send_bytes(s, batch.bytes->data, batch.bytes->len);
	if (status == 0)
		status = hear_all(s, &hearing);
	batch_done(&batch);
	return status;
}

int tc_socket_run(struct tc_socket *s, const struct tc_hearer *hearer, void *data)
{
	int status = 0;

	while (status == 0 && tc_socket_waiting(s))
		status = tc_socket_run_batch(s, hearer, data);
	return status;
}

int tc_socket_dump(struct tc_socket *s, uint64_t cookie, const struct tc_hearer *hearer, void *data)
{
	struct nlmsghdr *header = nlmsg_hdr(s->message);
	struct hearing hearing = {
		.hearer = hearer, .data = data, .first = s->waiting.sequence++, .cookies = &cookie, .n = 1};

	header->nlmsg_seq = hearing.first;
	header->nlmsg_pid = s->kernel->port;
	int status = send_bytes(s, header, header->nlmsg_len);
	return status ? status : hear_all(s, &hearing);
}

struct result {
	int status;
	char *text; /* Owned */
};

static void keep_result(void *data, uint64_t cookie, int status, const char *text)
{
	struct result *result = data;

	result->status = status;
	result->text = g_strdup(text);
}

int tc_socket_do(struct tc_socket *s, char **ret_text)
{
	struct result result = {.status = -EPIPE};

	tc_socket_add(s, 0, 0);
	int status = tc_socket_run(s, &(struct tc_hearer){.done = keep_result}, &result);
	if (ret_text)
		*ret_text = result.text;
	else
		g_free(result.text);
	return status ? status : result.status;
}
