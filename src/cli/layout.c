/* Where `sluice up` keeps things. */
#include "cli/layout.h"

#include "base/fault.h"

#include <errno.h>
#include <string.h>
#include <sys/un.h>

/* The longest socket path below the state folder: run/<uid>.sock and the like. */
#define SOCKET_ROOM 64

static char *program_dir(void)
{
	g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);

	return self ? g_path_get_dirname(self) : g_strdup(".");
}

char *layout_program(const char *name, GError **error)
{
	g_autofree char *dir = program_dir();
	/* Beside this program (installed, or all programs in one folder of the build tree), or in libexec. */
	const char *const places[] = {"", "../libexec/sluice", "../cmd", "../switch", "../agent", "../guest"};

	for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
		g_autofree char *path = g_build_filename(dir, places[i], name, NULL);
		if (g_file_test(path, G_FILE_TEST_IS_EXECUTABLE))
			return g_canonicalize_filename(path, NULL);
	}
	fault_set(error, FAULT_UNSUPPORTED,
		"the program %s is not beside this one in %s; build or install all of Sluice", name, dir);
	return NULL;
}

char *layout_data(const char *name)
{
	g_autofree char *dir = program_dir();
	/* Installed; or from BUILD/src/cmd up to the source tree that the build folder is in. */
	const char *const places[] = {"../share/sluice", "../../../dist", "../../dist", "../dist"};

	for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
		g_autofree char *path = g_build_filename(dir, places[i], name, NULL);
		if (g_file_test(path, G_FILE_TEST_EXISTS))
			return g_canonicalize_filename(path, NULL);
	}
	g_autofree char *built_from = g_build_filename(SLUICE_SOURCE_DIR, "dist", name, NULL);
	return g_file_test(built_from, G_FILE_TEST_EXISTS) ? g_steal_pointer(&built_from) : NULL;
}

static bool make_dirs(const struct layout *layout, GError **error)
{
	const char *const dirs[] = {layout->state, layout->tls, layout->logs, layout->run, layout->images,
		layout->controller, layout->agent, layout->switch_, layout->libvirt};

	for (size_t i = 0; i < G_N_ELEMENTS(dirs); i++)
		/* The state folder itself is open: clients read ca.pem in it. */
		if (g_mkdir_with_parents(dirs[i], i ? 0700 : 0755) < 0)
			return fault_set(
				error, FAULT_INTERNAL, "%s cannot be made: %s", dirs[i], g_strerror(errno));
	return true;
}

struct layout *layout_new(const char *state, GError **error)
{
	_cleanup_(layout_free) struct layout *layout = g_new0(struct layout, 1);
	g_autofree char *hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, state, -1);

	if (strlen(state) + SOCKET_ROOM > sizeof((struct sockaddr_un *)NULL)->sun_path) {
		fault_set(error, FAULT_INVALID,
			"the state folder's path %s is too long: sockets in it could not be named; "
			"take one of %zu characters or less",
			state, sizeof((struct sockaddr_un *)NULL)->sun_path - SOCKET_ROOM);
		return NULL;
	}
	layout->state = g_strdup(state);
	layout->tls = g_build_filename(state, "tls", NULL);
	layout->logs = g_build_filename(state, "log", NULL);
	layout->run = g_build_filename(state, "run", NULL);
	layout->images = g_build_filename(state, "images", NULL);
	layout->controller = g_build_filename(state, "controller", NULL);
	layout->agent = g_build_filename(state, "agent", NULL);
	layout->switch_ = g_build_filename(state, "switch", NULL);
	layout->libvirt = g_build_filename(state, "libvirt", NULL);
	layout->vhost = g_build_filename(layout->run, "vhost", NULL);
	layout->switch_socket = g_build_filename(layout->switch_, "switch.sock", NULL);
	layout->agent_socket = g_build_filename(layout->run, "agent.sock", NULL);
	layout->principal = g_build_filename(state, "principal.json", NULL);
	layout->lock = g_build_filename(state, "lock", NULL);
	layout->instance = g_strndup(hash, 8);
	layout->netns = g_strdup_printf("sluice-%s", layout->instance);
	layout->outside_interface = g_strdup_printf("sl-%s", layout->instance);
	layout->meta_netns = g_strdup_printf("sluice-%s-meta", layout->instance);
	layout->sizes = layout_data("catalog/sizes.json");
	if (!layout->sizes) {
		fault_set(error, FAULT_UNSUPPORTED,
			"the catalog of sizes (catalog/sizes.json) is not installed");
		return NULL;
	}
	return make_dirs(layout, error) ? g_steal_pointer(&layout) : NULL;
}

void layout_free(struct layout *layout)
{
	char **const members[] = {&layout->state, &layout->tls, &layout->logs, &layout->run, &layout->images,
		&layout->controller, &layout->agent, &layout->switch_, &layout->libvirt, &layout->vhost,
		&layout->switch_socket, &layout->agent_socket, &layout->principal, &layout->lock,
		&layout->instance, &layout->outside_interface, &layout->netns, &layout->meta_netns,
		&layout->sizes};

	for (size_t i = 0; i < G_N_ELEMENTS(members); i++)
		g_free(*members[i]);
	g_free(layout);
}
