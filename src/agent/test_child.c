/* For tests: the child and its parent. */
#include "agent/test_child.h"

#include <glib-unix.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

struct nic_provider *child_open_provider(const char *folder, const char *functions)
{
	if (!functions)
		return nic_fake_open(folder, 4, NULL);
	return (g_str_equal(functions, "switchdev") ? nic_fake_open_switchdev : nic_fake_open_bypass)(
		folder, 2, NULL, NULL, NULL);
}

/* ---- the child ---- */

static gboolean stop_child(void *loop)
{
	g_main_loop_quit(loop);
	return G_SOURCE_CONTINUE;
}

/* Reads goal.json of the folder again and again, in place of a controller. */
static gboolean look_for_goal(void *data)
{
	struct agent *agent = data;
	g_autofree char *path = g_build_filename(g_getenv("AGENT_FOLDER"), "wanted.json", NULL);
	json_auto_t *json = json_load_file(path, 0, NULL);
	struct goal *goal = json ? shape_decode(&goal_shape, json, SHAPE_STRICT, NULL) : NULL;

	if (goal)
		agent_take_goal(agent, goal);
	return G_SOURCE_CONTINUE;
}

/* Writes the agent's report where the parent looks for it. */
static gboolean write_report(void *data)
{
	_cleanup_(report_free) struct report *report = agent_report(data);
	json_auto_t *json = shape_encode(&report_shape, report);
	g_autofree char *path = g_build_filename(g_getenv("AGENT_FOLDER"), "report.json", NULL);
	char *text = json_dumps(json, 0);

	g_file_set_contents(path, text, -1, NULL);
	free(text);
	return G_SOURCE_CONTINUE;
}

/* Host name, certificate, key and CA. What it sets is Borrowed from the answer, which is Owned. */
static GStrv read_tunnel(struct agent_config *config)
{
	static struct tunnel_config tunnel;
	const char *words = g_getenv("AGENT_TUNNEL");
	GStrv parts = words ? g_strsplit(words, ":", 4) : NULL;

	if (!parts)
		return NULL;
	tunnel = (struct tunnel_config){
		.certificate = parts[1], .key = parts[2], .ca = parts[3], .listen = "127.0.0.1:0"};
	config->host_name = parts[0];
	config->tunnel = &tunnel;
	return parts;
}

int child_main(void)
{
	const char *folder = g_getenv("AGENT_FOLDER");
	g_autofree char *vm_path = g_build_filename(folder, "vm.sock", NULL);
	g_autofree char *switch_path = g_build_filename(folder, "switch.sock", NULL);
	g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, false);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	struct agent_config config = world_config(folder, switch_path);
	config.times.refresh_ms = 10;
	if (g_getenv("AGENT_FUNCTIONS"))
		world_config_physical(&config);
	g_auto(GStrv) tunnel = read_tunnel(&config);
	struct vm_manager *proxy = world_proxy_open(vm_path);
	struct nic_provider *provider = child_open_provider(folder, g_getenv("AGENT_FUNCTIONS"));
	struct agent *agent = agent_new(&config, NULL);
	if (!provider || !agent || !agent_start(agent, proxy, provider, NULL))
		return 3;
	g_timeout_add(5, look_for_goal, agent);
	g_timeout_add(5, write_report, agent);
	g_unix_signal_add(SIGTERM, stop_child, loop);
	g_main_loop_run(loop);
	agent_free(agent);
	vm_manager_close(proxy);
	nic_provider_close(provider);
	return 0;
}

/* ---- the parent ---- */

static void on_exit_of_child(GPid pid, int status, void *data)
{
	struct child *child = data;

	child->status = status;
	child->over = true;
	g_spawn_close_pid(pid);
}

void child_start(struct world *w, struct child *child, const char *failpoint)
{
	char *argv[] = {"/proc/self/exe", "--agent", NULL};
	g_auto(GStrv) env = g_environ_setenv(g_get_environ(), "AGENT_FOLDER", w->folder, true);
	g_autoptr(GError) error = NULL;

	if (w->bypass || w->switchdev)
		env = g_environ_setenv(env, "AGENT_FUNCTIONS", w->switchdev ? "switchdev" : "bypass", true);
	if (w->certificates) {
		g_autofree char *files = g_strjoinv(":", w->certificates);
		g_autofree char *tunnel = g_strdup_printf("%s:%s", w->config.host_name, files);
		env = g_environ_setenv(env, "AGENT_TUNNEL", tunnel, true);
	}
	if (failpoint)
		env = g_environ_setenv(env, "SLUICE_FAILPOINT", failpoint, true);
	*child = (struct child){};
	g_spawn_async(NULL, argv, env, G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL,
		&child->pid, &error);
	g_assert_no_error(error);
	g_child_watch_add(child->pid, on_exit_of_child, child);
}

void child_stop(struct child *child)
{
	if (!child->over)
		kill(child->pid, SIGTERM);
	while (!child->over)
		g_main_context_iteration(NULL, true);
}

/* Takes the goal. */
void child_want(struct world *w, struct goal *goal)
{
	json_auto_t *json = shape_encode(&goal_shape, goal);
	g_autofree char *path = g_build_filename(w->folder, "wanted.json", NULL);
	char *text = json_dumps(json, 0);

	g_assert_true(g_file_set_contents(path, text, -1, NULL));
	free(text);
	goal_free(goal);
}

struct report *child_report(struct world *w)
{
	g_autofree char *path = g_build_filename(w->folder, "report.json", NULL);
	json_auto_t *json = json_load_file(path, 0, NULL);

	return json ? shape_decode(&report_shape, json, SHAPE_STRICT, NULL) : NULL;
}
