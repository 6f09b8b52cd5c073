/* What becomes of an agent when devices of its host go, come and are called otherwise: physical networks and functions that
 * cannot be released. */
#include "agent/agent_priv.h"
#include "agent/control_socket.h"
#include "agent/test_world.h"
#include "base/jsonrpc.h"
#include "base/test_tree.h"
#include "nic/heir.h"
#include "nic/host_file.h"

#include <glib/gstdio.h>
#include <string.h>

#define PF       "sys/bus/pci/devices/0000:3b:00.0"
#define FUNCTION "switch " WORLD_NIC " function +physical"

/* A host whose NIC is not there yet. */
struct fixture {
	struct world world;
	struct tree *tree;
	struct host_file *file;
	struct physicals_source source;
};

static struct fixture *fixture_of(struct world *w)
{
	return (struct fixture *)w;
}

static void setup(struct world *w, gconstpointer data)
{
	struct fixture *f = fixture_of(w);
	g_autoptr(GError) error = NULL;

	world_init(w);
	w->bypass = true;
	f->tree = tree_new();
	tree_write(f->tree, "[physical physnet1]\ndevices=0000:3b:00.0\n", "host.conf");
	g_autofree char *path = g_build_filename(f->tree->root, "host.conf", NULL);
	f->file = physicals_open(path, &error);
	g_assert_no_error(error);
	f->source = (struct physicals_source){f->tree->root, f->file};
	w->config.physicals = &f->source;
}

static void teardown(struct world *w, gconstpointer data)
{
	struct fixture *f = fixture_of(w);

	world_done(w);
	host_file_free(f->file);
	tree_free(f->tree);
}

static void add_pf(struct world *w, const char *netdev)
{
	struct fixture *f = fixture_of(w);

	tree_write(f->tree, "0x020000", PF "/class");
	tree_write(f->tree, "1", PF "/net/%s/ifindex", netdev);
}

static void remove_netdev(struct world *w, const char *netdev)
{
	tree_remove(fixture_of(w)->tree, PF "/net/%s", netdev);
}

/* ---- looking ---- */

static bool is_running(struct world *w)
{
	return world_power(w, WORLD_VM) == POWER_STATE_RUNNING && w->state;
}

static const struct report_nic *nic_of(const struct report *report)
{
	return report->nics->pdata[0];
}

static bool is_on(struct world *w)
{
	_cleanup_(report_free) struct report *report = agent_report(w->agent);

	return report->nics->len && nic_of(report)->path == PATH_VF && world_find(w, FUNCTION, 0) >= 0;
}

static const char *port_interface(struct world *w)
{
	json_t *physical = json_array_get(json_object_get(w->state, "physicals"), 0);

	return json_string_value(json_object_get(physical, "interface"));
}

static bool is_on_ens3(struct world *w)
{
	return is_on(w) && g_strcmp0(port_interface(w), "ens3") == 0;
}

static bool is_on_eth7(struct world *w)
{
	return g_strcmp0(port_interface(w), "eth7") == 0;
}

static guint n_reported(struct world *w)
{
	_cleanup_(report_free) struct report *report = agent_report(w->agent);

	return report->physicals->len;
}

static bool is_reported(struct world *w)
{
	return n_reported(w) == 1;
}

static bool is_not_reported(struct world *w)
{
	return n_reported(w) == 0;
}

static void *ask(void *path)
{
	_cleanup_(jsonrpc_client_free) struct jsonrpc_client *client = jsonrpc_client_new(path);

	return jsonrpc_call(client, "status", NULL, 10000, NULL);
}

static gboolean stop_waiting(void *loop)
{
	g_main_loop_quit(loop);
	return G_SOURCE_REMOVE;
}

static void *ask_and_tell(void *data)
{
	void **given = data;
	void *status = ask(given[0]);

	g_idle_add(stop_waiting, given[1]);
	return status;
}

/* As `sluice status` shows them. New reference. */
static json_t *conditions(struct world *w)
{
	g_autofree char *path = g_build_filename(w->folder, "agent.sock", NULL);
	g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, false);
	void *given[] = {path, loop};
	g_autoptr(GError) error = NULL;
	_cleanup_(control_socket_close) struct control_socket *control =
		control_socket_open(w->agent, path, &error);

	g_assert_no_error(error);
	GThread *thread = g_thread_new("operator", ask_and_tell, given);
	g_main_loop_run(loop);
	json_auto_t *status = g_thread_join(thread);
	return json_incref(json_object_get(status, "conditions"));
}

/* ---- tests ---- */

static void test_absent(struct world *w, gconstpointer data)
{
	world_start_agent(w, true);
	agent_take_goal(w->agent, world_goal_physical(1, true));
	world_wait(w, "the VM runs without the NIC of the host", is_running);
	g_assert_cmpstr(port_interface(w), ==, "sl-none0");
	_cleanup_(report_free) struct report *report = agent_report(w->agent);
	g_assert_cmpuint(report->physicals->len, ==, 0);
	g_assert_nonnull(strstr(nic_of(report)->reason, "has no VFs on this host now"));
	json_auto_t *told = conditions(w);
	g_assert_cmpuint(json_array_size(told), ==, 1);
	g_assert_nonnull(
		strstr(json_string_value(json_array_get(told, 0)), "its device 0000:3b:00.0 is not there"));
	add_pf(w, "ens3");
	world_wait(w, "the NIC gets its function when the host's NIC has come", is_on_ens3);
	g_assert_true(is_reported(w));
	json_auto_t *well = conditions(w);
	g_assert_cmpuint(json_array_size(well), ==, 0);
}

static void test_renamed(struct world *w, gconstpointer data)
{
	add_pf(w, "ens3");
	world_start_agent(w, true);
	agent_take_goal(w->agent, world_goal_physical(1, true));
	world_wait(w, "the NIC is on its function", is_on_ens3);
	world_forget(w);
	remove_netdev(w, "ens3");
	world_wait(w, "the physical network is not offered any more", is_not_reported);
	g_assert_cmpstr(port_interface(w), ==, "ens3");
	add_pf(w, "eth7");
	world_wait(w, "the switch's port is the interface's new name", is_on_eth7);
	world_wait(w, "the physical network is offered again", is_reported);
	g_assert_true(world_find(w, "unplug " WORLD_NIC, 0) < 0);
}

static bool nothing_is_claimed(struct world *w)
{
	g_autoptr(GPtrArray) list = w->provider->ops->list(w->provider);

	return list->len == 0;
}

/* What a guest has still, or what quarantines itself, must not keep the host's other machines from running. */
static void test_stray(struct world *w, gconstpointer data)
{
	g_autofree char *failure = g_build_filename(w->folder, "fail-left", NULL), *name = NULL;
	g_autoptr(GError) error = NULL;
	struct nic_provider *provider = nic_fake_open_bypass(w->folder, 2, NULL, NULL, &error);
	const struct nic_request request = {.nic = "nobody's", .physical = "physnet1", .vlan = 7};

	g_assert_true(provider->ops->claim(provider, &request, &name, &error));
	g_assert_true(provider->ops->arm(provider, request.nic, &error));
	nic_provider_close(provider);
	g_assert_true(g_file_set_contents(failure, "", 0, &error));
	world_start_agent(w, true);
	agent_take_goal(w->agent, world_goal(1, true));
	world_wait(w, "the VM runs", is_running);
	g_assert_false(nothing_is_claimed(w));
	json_auto_t *told = accel_describe(g_hash_table_lookup(w->agent->accels, request.nic));
	g_assert_cmpstr(json_string_value(json_object_get(told, "function")), ==, WORLD_VF);
	g_assert_cmpint(g_unlink(failure), ==, 0);
	world_wait(w, "the stray is released when it can be", nothing_is_claimed);
	world_expect(w, "left " WORLD_VF, "release " WORLD_VF, NULL);
}

static bool has_tap(struct world *w)
{
	_cleanup_(report_free) struct report *report = agent_report(w->agent);

	return report->nics->len && nic_of(report)->path == PATH_EMULATED &&
	       world_find(w, "plug " WORLD_NIC " sl-f0", 0) >= 0;
}

/* The operator has emptied the host file while a guest has a VF. */
static void test_other_provider(struct world *w, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	add_pf(w, "ens3");
	world_start_agent(w, true);
	agent_take_goal(w->agent, world_goal_physical(1, true));
	world_wait(w, "the NIC is on its VF", is_on);
	world_stop_agent(w);
	world_forget(w);
	struct nic_provider *vfs = nic_fake_open_bypass(w->folder, 2, NULL, NULL, &error);
	w->provider = nic_heir_open(nic_fake_open(fixture_of(w)->tree->root, 2, &error), vfs);
	w->agent = agent_new(&w->config, &error);
	g_assert_true(agent_start(w->agent, w->proxy, w->provider, &error));
	world_wait(w, "it is on a function of the present provider", has_tap);
	world_expect(w, "unplug " WORLD_NIC, "plug " WORLD_NIC " sl-f0", NULL);
	g_autoptr(GPtrArray) left = vfs->ops->list(vfs);
	g_assert_cmpuint(left->len, ==, 0);
}

static void add(const char *name, void (*run)(struct world *, gconstpointer))
{
	g_test_add_vtable(name, sizeof(struct fixture), NULL, (GTestFixtureFunc)setup, (GTestFixtureFunc)run,
		(GTestFixtureFunc)teardown);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	add("/health/a host whose NIC is away runs its machines, says so, and follows when it comes",
		test_absent);
	add("/health/a NIC that goes and comes by another name is followed, and functions stay",
		test_renamed);
	add("/health/a function that cannot be released at the start is released later", test_stray);
	add("/health/a VF that a guest has is taken back when the host gives others now",
		test_other_provider);
	return g_test_run();
}
