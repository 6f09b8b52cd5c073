/* `sluice host remove`: ends a machine's part in the cloud of this one. */
#include "base/fault.h"
#include "cli/cli.h"
#include "cli/controller.h"
#include "cli/host_priv.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static bool remove_file(const char *dir, const char *name, const char *suffix, GError **error)
{
	g_autofree char *file = g_strconcat(name, suffix, NULL), *path = g_build_filename(dir, file, NULL);

	return unlink(path) == 0 || errno == ENOENT ||
	       fault_set(error, FAULT_INTERNAL, "%s cannot be removed: %s", path, g_strerror(errno));
}

static bool remove_pair(const char *dir, const char *name, GError **error)
{
	return remove_file(dir, name, ".pem", error) && remove_file(dir, name, ".key", error);
}

/* What 'sluice host add' made for it, or 'sluice up' when the host is this one: the next is to make another. The controller
 * takes the old one no more, wherever copies are. */
static bool remove_certificates(const char *state_option, const char *host, GError **error)
{
	g_autofree char *state = cli_state_dir(state_option), *tls = g_build_filename(state, "tls", NULL),
			*bundle = g_build_filename(tls, "hosts", host, NULL),
			*file = g_strconcat("host-", host, NULL);

	if ((g_ascii_strcasecmp(host, g_get_host_name()) == 0 && !remove_pair(tls, "host", error)) ||
		!remove_pair(tls, file, error) || !remove_pair(bundle, "host", error) ||
		!remove_file(bundle, "ca", ".pem", error))
		return false;
	return rmdir(bundle) == 0 || errno == ENOENT ||
	       fault_set(error, FAULT_INTERNAL, "%s cannot be removed: %s", bundle, g_strerror(errno));
}

static void print(const char *host, const json_t *lost)
{
	const json_t *name;
	size_t i;

	printf("host %s is removed\n", host);
	json_array_foreach(lost, i, name)
		printf("virtual machine %s is lost; it can be deleted\n", json_string_value(name));
}

int host_remove(const char *state_option, const char *host, bool lost, bool as_json)
{
	g_autoptr(GError) error = NULL;
	_cleanup_(controller_close) struct controller *controller = controller_open(state_option, &error);
	g_autofree char *name = g_uri_escape_string(host, NULL, false);
	g_autofree char *path = g_strdup_printf("/hosts/%s%s", name, lost ? "?lost=true" : "");
	json_auto_t *answer = NULL;

	if (!controller || !controller_call(controller, "DELETE", path, NULL, &answer, &error))
		return cli_fail("host", error);
	if (as_json)
		cli_print_json(answer);
	else
		print(host, json_object_get(answer, "lost"));
	return remove_certificates(state_option, host, &error) ? CLI_OK : cli_fail("host", error);
}
