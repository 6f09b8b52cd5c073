/* Makes a small Linux image from this machine's own Debian packages. */
#include "vm/image_build.h"

#include "base/fault.h"
#include "vm/image.h"
#include "vm/image_alias.h"

#include <gio/gio.h>
#include <string.h>

/* Given by Meson: the folders of the source tree, of the build, and of what is installed. */
#define SOURCE_SCRIPT    IMAGE_SOURCE_ROOT "/dist/image/build.sh"
#define BUILT_TOOL       IMAGE_BUILD_ROOT "/src/guest/sluice-guest"
#define INSTALLED_SCRIPT IMAGE_DATA_DIR "/image/build.sh"
#define INSTALLED_TOOL   IMAGE_LIBEXEC_DIR "/sluice-guest"

/* Whether this program runs from the build folder. */
static bool is_uninstalled(void)
{
	g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);

	return self && g_str_has_prefix(self, IMAGE_BUILD_ROOT "/");
}

static bool check_there(const char *path, const char *what, GError **error)
{
	return g_file_test(path, G_FILE_TEST_IS_EXECUTABLE) ||
	       fault_set(error, FAULT_NOT_FOUND,
		       "%s is missing: %s is not there; install Sluice, or build it with `make`", what, path);
}

/* Runs the script. Its progress goes to our standard error; its output is the id. */
static char *run_script(const char *const *argv, GError **error)
{
	g_autoptr(GSubprocess) process = g_subprocess_newv(argv, G_SUBPROCESS_FLAGS_STDOUT_PIPE, error);
	g_autofree char *text = NULL;

	if (!process || !g_subprocess_communicate_utf8(process, NULL, NULL, &text, NULL, error))
		return NULL;
	if (!g_subprocess_get_successful(process)) {
		fault_set(error, FAULT_INTERNAL, "the image could not be built; what %s printed says why",
			argv[0]);
		return NULL;
	}
	return g_strdup(g_strstrip(text));
}

bool image_build_run(const struct image_build *build, char **ret_id, GError **error)
{
	bool uninstalled = is_uninstalled();
	const char *script = build->script ? build->script : uninstalled ? SOURCE_SCRIPT : INSTALLED_SCRIPT;
	const char *tool = build->guest_tool ? build->guest_tool : uninstalled ? BUILT_TOOL : INSTALLED_TOOL;
	const char *argv[8] = {script, "--store", build->image_dir, "--guest-tool", tool};
	size_t argc = 5;

	if (build->update)
		argv[argc++] = "--update";
	if (build->quiet)
		argv[argc++] = "--quiet";
	if (!check_there(script, "the script that builds images", error) ||
		!check_there(tool, "the guest tool", error))
		return false;

	g_autofree char *id = run_script(argv, error);
	_cleanup_(image_free) struct image *image = id ? image_load(build->image_dir, id, error) : NULL;

	if (!image || !image_alias_set_built(build->image_dir, image, error))
		return false;
	*ret_id = g_steal_pointer(&id);
	return true;
}
