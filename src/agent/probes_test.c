/* Probes, against servers of the test's own on loopback. */
#include "agent/probes.h"

#include <gio/gio.h>
#include <string.h>

/* A member: takes connections while `open`, and answers HTTP with the status. */
struct member {
	GSocketService *service; /* Owned; NULL: nobody listens */
	guint port;
	const char *status; /* NULL: it takes the connection, and is silent */
	unsigned asked;
};

struct fixture {
	struct member member;
	struct goal *goal;
	struct probes *probes;
	unsigned changes;
};

static gboolean on_incoming(
	GSocketService *service, GSocketConnection *connection, GObject *source, gpointer data)
{
	struct member *member = data;
	GOutputStream *out = g_io_stream_get_output_stream(G_IO_STREAM(connection));
	g_autofree char *text = g_strdup_printf("HTTP/1.1 %s\r\n\r\n", member->status ? member->status : "");

	member->asked++;
	if (member->status)
		g_output_stream_write_all(out, text, strlen(text), NULL, NULL, NULL);
	return TRUE;
}

static void listen_on(struct member *member, guint port)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GSocketAddress) address = g_inet_socket_address_new_from_string("127.0.0.2", port),
				  real = NULL;

	member->service = g_socket_service_new();
	g_socket_listener_add_address(G_SOCKET_LISTENER(member->service), address, G_SOCKET_TYPE_STREAM,
		G_SOCKET_PROTOCOL_TCP, NULL, &real, &error);
	g_assert_no_error(error);
	member->port = g_inet_socket_address_get_port(G_INET_SOCKET_ADDRESS(real));
	g_signal_connect(member->service, "incoming", G_CALLBACK(on_incoming), member);
	g_socket_service_start(member->service);
}

static void stop_listening(struct member *member)
{
	g_socket_service_stop(member->service);
	g_socket_listener_close(G_SOCKET_LISTENER(member->service));
	g_clear_object(&member->service);
}

static void on_change(void *data)
{
	((struct fixture *)data)->changes++;
}

static struct goal_probe *add_probe(struct fixture *f, int protocol)
{
	struct goal_nic *nic = f->goal->nics->pdata[0];
	struct goal_probe *probe = shape_new(&goal_probe_shape);

	*probe = (struct goal_probe){g_strdup("lb/probe"), protocol, f->member.port,
		protocol == PROBE_HTTP ? g_strdup("/health") : NULL, 1, 2};
	g_ptr_array_add(nic->probes, probe);
	return probe;
}

static void setup(struct fixture *f, gconstpointer data)
{
	const struct probes_config config = {.source = "127.0.0.1", .changed = on_change, .data = f};
	struct goal_nic *nic = shape_new(&goal_nic_shape);

	listen_on(&f->member, 0);
	f->goal = goal_new();
	f->goal->nics = shape_list_new(&goal_nic_shape);
	nic->uid = g_strdup("n");
	nic->host_address = g_strdup("127.0.0.2");
	nic->probes = shape_list_new(&goal_probe_shape);
	g_ptr_array_add(f->goal->nics, nic);
	f->probes = probes_new(&config);
}

static void teardown(struct fixture *f, gconstpointer data)
{
	probes_free(f->probes);
	goal_free(f->goal);
	if (f->member.service)
		stop_listening(&f->member);
}

static gboolean on_timeout(gpointer data)
{
	*(bool *)data = true;
	return G_SOURCE_CONTINUE;
}

/* Runs the main loop until the member is believed to be that, for 10 s at most. */
static void wait_until(struct fixture *f, bool well)
{
	bool late = false, found = false;
	guint timer = g_timeout_add_seconds(10, on_timeout, &late);

	while (!late && !(probes_find(f->probes, "n", "lb/probe", &found) && found == well))
		g_main_context_iteration(NULL, true);
	g_source_remove(timer);
	g_assert_false(late);
}

static void pass(unsigned milliseconds)
{
	bool over = false;
	guint timer = g_timeout_add(milliseconds, on_timeout, &over);

	while (!over)
		g_main_context_iteration(NULL, true);
	g_source_remove(timer);
}

static void test_tcp(struct fixture *f, gconstpointer data)
{
	bool well = true;

	g_assert_false(probes_find(f->probes, "n", "lb/probe", &well));
	add_probe(f, PROBE_TCP);
	probes_update(f->probes, f->goal);
	g_assert_true(probes_find(f->probes, "n", "lb/probe", &well));
	g_assert_false(well);
	wait_until(f, true);
	g_autoptr(GPtrArray) keys = probes_well(f->probes, "n");
	g_assert_cmpuint(keys->len, ==, 1);
	g_assert_cmpstr(keys->pdata[0], ==, "lb/probe");
	g_assert_cmpuint(f->changes, ==, 1);
	/* The same goal changes nothing. */
	probes_update(f->probes, f->goal);
	g_assert_true(probes_find(f->probes, "n", "lb/probe", &well) && well);
	guint port = f->member.port;
	stop_listening(&f->member);
	wait_until(f, false);
	g_assert_cmpuint(f->changes, ==, 2);
	g_assert_null(probes_well(f->probes, "n"));
	listen_on(&f->member, port);
	wait_until(f, true);
	/* Who is not to be asked any more is forgotten. */
	g_ptr_array_set_size(f->goal->nics, 0);
	probes_update(f->probes, f->goal);
	g_assert_false(probes_find(f->probes, "n", "lb/probe", &well));
}

static void test_threshold(struct fixture *f, gconstpointer data)
{
	add_probe(f, PROBE_HTTP)->threshold = 3;
	f->member.status = "200 OK";
	probes_update(f->probes, f->goal);
	wait_until(f, true);
	unsigned asked = f->member.asked;
	f->member.status = "503 Service Unavailable";
	wait_until(f, false);
	g_assert_cmpuint(f->member.asked, >=, asked + 3);
}

static void test_restart(struct fixture *f, gconstpointer data)
{
	bool well = true;

	add_probe(f, PROBE_TCP)->threshold = 3;
	probes_update(f->probes, f->goal);
	wait_until(f, true);
	probes_restart(f->probes, "another");
	g_assert_cmpuint(f->changes, ==, 1);
	probes_restart(f->probes, "n");
	g_assert_true(probes_find(f->probes, "n", "lb/probe", &well) && !well);
	g_assert_cmpuint(f->changes, ==, 2);
	wait_until(f, true); /* by one answer */
	probes_restart(NULL, "n");
}

static void test_http(struct fixture *f, gconstpointer data)
{
	bool well;

	add_probe(f, PROBE_HTTP);
	f->member.status = "2000 Odd";
	probes_update(f->probes, f->goal);
	pass(600);
	g_assert_true(probes_find(f->probes, "n", "lb/probe", &well) && !well);
	f->member.status = NULL; /* the connection ends without a word */
	pass(1200);
	g_assert_true(probes_find(f->probes, "n", "lb/probe", &well) && !well);
	f->member.status = "200 OK";
	wait_until(f, true);
	g_assert_cmpuint(f->changes, ==, 1);
}

static void test_coming(struct fixture *f, gconstpointer data)
{
	struct goal_vm *vm = shape_new(&goal_vm_shape);
	bool well;

	add_probe(f, PROBE_TCP);
	((struct goal_nic *)f->goal->nics->pdata[0])->vm = g_strdup("v");
	f->goal->vms = shape_list_new(&goal_vm_shape);
	g_ptr_array_add(f->goal->vms, vm);
	vm->uid = g_strdup("v");
	vm->migration.uid = g_strdup("m");
	vm->migration.role = MIGRATION_TARGET;
	probes_update(f->probes, f->goal);
	g_assert_false(probes_find(f->probes, "n", "lb/probe", &well));
	g_clear_pointer(&vm->migration.uid, g_free);
	probes_update(f->probes, f->goal);
	g_assert_true(probes_find(f->probes, "n", "lb/probe", &well));
}

#define TEST(name, fn) g_test_add("/probes/" name, struct fixture, NULL, setup, fn, teardown)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	TEST("a port that takes connections is well, while it does", test_tcp);
	TEST("it takes several answers to believe something else", test_threshold);
	TEST("a machine that stopped is not well until it answers again", test_restart);
	TEST("HTTP must answer with 200", test_http);
	TEST("who is still on another host is not asked", test_coming);
	return g_test_run();
}
