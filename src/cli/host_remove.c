/* `sluice host remove`: ends a machine's part in the cloud of this one. */
#include "base/fault.h"
#include "cli/cli.h"
#include "cli/controller.h"
#include "cli/host_priv.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

/* *ret_any is set when there was one. */
static bool remove_file(const char *dir, const char *name, const char *suffix, bool *ret_any, GError **error)
{
	g_autofree char *file = g_strconcat(name, suffix, NULL), *path = g_build_filename(dir, file, NULL);

	if (unlink(path) == 0)
		return *ret_any = true;
	return errno == ENOENT ||
	       fault_set(error, FAULT_INTERNAL, "%s cannot be removed: %s", path, g_strerror(errno));
}

static bool remove_pair(const char *dir, const char *name, bool *ret_any, GError **error)
{
	return remove_file(dir, name, ".pem", ret_any, error) &&
	       remove_file(dir, name, ".key", ret_any, error);
}

/* What 'sluice host add' made for it, or 'sluice up' when the host is this one: the next is to make another. The controller
 * takes the old one no more, wherever copies are. *ret_any: there was something. */
static bool remove_certificates(const char *state_option, const char *host, bool *ret_any, GError **error)
{
	g_autofree char *state = cli_state_dir(state_option), *tls = g_build_filename(state, "tls", NULL),
			*bundle = g_build_filename(tls, "hosts", host, NULL),
			*file = g_strconcat("host-", host, NULL);

	*ret_any = false;
	if ((g_ascii_strcasecmp(host, g_get_host_name()) == 0 && !remove_pair(tls, "host", ret_any, error)) ||
		!remove_pair(tls, file, ret_any, error) || !remove_pair(bundle, "host", ret_any, error) ||
		!remove_file(bundle, "ca", ".pem", ret_any, error))
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

/* The controller knows no such host: one was removed by a command that was cut off before it took the certificates, with
 * which 'sluice host add' would go on, or it never came. Takes the controller's error. */
static int tidy(const char *state_option, const char *host, bool as_json, GError *refusal)
{
	g_autoptr(GError) error = refusal, failure = NULL;
	bool any;

	if (!host_check_name(host, NULL))
		return cli_fail("host", error);
	if (!remove_certificates(state_option, host, &any, &failure))
		return cli_fail("host", failure);
	if (!any)
		return cli_fail("host", error);
	json_auto_t *answer = json_pack("{s:s, s:[]}", "host", host, "lost");
	if (as_json)
		cli_print_json(answer);
	else
		printf("the cloud has no host %s; its certificates are removed here\n", host);
	return CLI_OK;
}

int host_remove(const char *state_option, const char *host, bool lost, bool as_json)
{
	g_autoptr(GError) error = NULL;
	_cleanup_(controller_close) struct controller *controller = controller_open(state_option, &error);
	g_autofree char *name = g_uri_escape_string(host, NULL, false);
	g_autofree char *path = g_strdup_printf("/hosts/%s%s", name, lost ? "?lost=true" : "");
	json_auto_t *answer = NULL;
	bool any;

	if (!controller)
		return cli_refused("host", error);
	if (!controller_call(controller, "DELETE", path, NULL, &answer, &error))
		return g_error_matches(error, FAULT, FAULT_NOT_FOUND)
			       ? tidy(state_option, host, as_json, g_steal_pointer(&error))
			       : cli_fail("host", error);
	if (as_json)
		cli_print_json(answer);
	else
		print(host, json_object_get(answer, "lost"));
	return remove_certificates(state_option, host, &any, &error) ? CLI_OK : cli_fail("host", error);
}
