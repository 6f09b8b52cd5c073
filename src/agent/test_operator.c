/* The operator's thread. */
#include "agent/test_operator.h"

#include "agent/control_socket.h"
#include "base/jsonrpc.h"

struct request {
	char *path; /* Owned */
	const char *method;
	json_t *params; /* Owned */
	gint done;
	json_t *result; /* Owned */
	GError *error; /* Owned */
};

static void *ask(void *data)
{
	struct request *request = data;
	_cleanup_(jsonrpc_client_free) struct jsonrpc_client *client = jsonrpc_client_new(request->path);

	request->result = jsonrpc_call(
		client, request->method, g_steal_pointer(&request->params), 10000, &request->error);
	g_atomic_int_set(&request->done, 1);
	return NULL;
}

json_t *operator_ask(struct world *w, const char *method, json_t *params, GError **error)
{
	struct request request = {
		.path = g_build_filename(w->folder, "agent.sock", NULL), .method = method, .params = params};
	_cleanup_(control_socket_close) struct control_socket *control =
		control_socket_open(w->agent, request.path, &request.error);
	g_assert_no_error(request.error);
	GThread *thread = g_thread_new("operator", ask, &request);

	while (!g_atomic_int_get(&request.done))
		world_run(5);
	g_thread_join(thread);
	g_free(request.path);
	if (request.error)
		g_propagate_error(error, request.error);
	return request.result;
}
