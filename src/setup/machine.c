/* This machine, for setup. */
#include "base/fault.h"
#include "nic/link.h"
#include "setup/setup.h"
#include "setup/vf_user.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define WAIT_MS 30000

static int write_attribute(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int rc = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

static bool set_link(const char *netdev, bool up, GError **error)
{
	_cleanup_(links_close) struct links *links = links_open(NULL, error);

	if (!links)
		return false;
	return up ? links_set_up(links, netdev, error) : links_set_down(links, netdev, error);
}

static char *run(const char *const *argv, GError **error)
{
	g_autofree char *output = NULL, *errors = NULL;
	g_autoptr(GError) cause = NULL;
	int status;

	if (!g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &output, &errors,
		    &status, &cause)) {
		fault_set(error, FAULT_INTERNAL, "%s cannot be run: %s", argv[0], cause->message);
		return NULL;
	}
	if (!g_spawn_check_wait_status(status, &cause)) {
		fault_set(error, FAULT_INTERNAL, "%s failed: %s", argv[0],
			*errors ? g_strstrip(errors) : cause->message);
		return NULL;
	}
	return g_steal_pointer(&output);
}

struct setup_machine setup_machine_real(const char *state, const char *program)
{
	return (struct setup_machine){
		.root = "",
		.state = state,
		.program = program,
		.write_attribute = write_attribute,
		.set_link = set_link,
		.has_address = vf_has_address,
		.open_genl = genl_open,
		.run = run,
		.wait_ms = WAIT_MS,
	};
}
