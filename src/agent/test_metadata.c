/* For tests: guests of a metadata service. See test_metadata.h. */
#include "agent/test_metadata.h"

struct asking {
	SoupSession *session; /* Owned */
	GCancellable *cancellable; /* Owned */
	SoupMessage *message; /* Owned */
	GBytes *body; /* Owned; NULL with error */
	GError *error; /* Owned */
	bool done;
};

static const struct goal *goal_of(void *data)
{
	return ((struct guests *)data)->goal;
}

static void set_host_address(struct goal *goal, guint i, const char *address)
{
	struct goal_nic *nic = goal->nics->pdata[i];

	g_free(nic->host_address);
	nic->host_address = g_strdup(address);
}

void guests_init(struct guests *guests, struct guest_policies *policies, struct events *events)
{
	guests->identities = guest_identities_new(g_get_monotonic_time);
	const struct metadata_config config = {.address = "127.0.0.1",
		.goal = goal_of,
		.data = guests,
		.policies = policies,
		.identities = guests->identities,
		.events = events};
	g_autoptr(GError) error = NULL;

	guests->goal = world_goal(1, true);
	world_add_vm(guests->goal);
	set_host_address(guests->goal, 0, "127.0.0.4");
	set_host_address(guests->goal, 1, "127.0.0.5");
	guests->metadata = metadata_serve(&config, &error);
	g_assert_no_error(error);
}

void guests_done(struct guests *guests)
{
	metadata_free(guests->metadata);
	guest_identities_free(guests->identities);
	if (guests->goal)
		goal_free(guests->goal);
}

void answer_clear(struct answer *answer)
{
	g_free(answer->body);
	g_free(answer->type);
}

static void on_answer(GObject *source, GAsyncResult *result, void *data)
{
	struct asking *asking = data;

	asking->body = soup_session_send_and_read_finish(SOUP_SESSION(source), result, &asking->error);
	asking->done = true;
}

struct asking *guests_begin(struct guests *guests, const struct request *request)
{
	static const char *const needed[] = {"Metadata", "true", NULL};
	struct asking *asking = g_new0(struct asking, 1);
	g_autoptr(GSocketAddress) local = g_inet_socket_address_new_from_string(request->from, 0);
	g_autofree char *uri =
		g_strdup_printf("http://127.0.0.1:%u%s", metadata_port(guests->metadata), request->path);

	asking->session = soup_session_new_with_options("local-address", local, NULL);
	asking->cancellable = g_cancellable_new();
	asking->message = soup_message_new(request->method, uri);
	for (const char *const *header = request->headers ? request->headers : needed; *header; header += 2)
		soup_message_headers_append(
			soup_message_get_request_headers(asking->message), header[0], header[1]);
	if (request->body) {
		g_autoptr(GBytes) bytes = g_bytes_new(request->body, strlen(request->body));
		soup_message_set_request_body_from_bytes(asking->message, "application/json", bytes);
	}
	soup_session_send_and_read_async(
		asking->session, asking->message, G_PRIORITY_DEFAULT, asking->cancellable, on_answer, asking);
	return asking;
}

bool guests_is_answered(const struct asking *asking)
{
	return asking->done;
}

static void asking_free(struct asking *asking)
{
	g_clear_pointer(&asking->body, g_bytes_unref);
	g_clear_error(&asking->error);
	g_object_unref(asking->message);
	g_object_unref(asking->cancellable);
	g_object_unref(asking->session);
	g_free(asking);
}

struct answer guests_finish(struct asking *asking)
{
	gsize length;

	while (!asking->done)
		g_main_context_iteration(NULL, true);
	g_assert_no_error(asking->error);
	const char *body = g_bytes_get_data(asking->body, &length);
	struct answer answer = {soup_message_get_status(asking->message), g_strndup(body ? body : "", length),
		g_strdup(soup_message_headers_get_content_type(
			soup_message_get_response_headers(asking->message), NULL))};
	asking_free(asking);
	return answer;
}

void guests_hang_up(struct asking *asking)
{
	g_cancellable_cancel(asking->cancellable);
	while (!asking->done)
		g_main_context_iteration(NULL, true);
	asking_free(asking);
}

struct answer guests_ask(struct guests *guests, const struct request *request)
{
	return guests_finish(guests_begin(guests, request));
}
