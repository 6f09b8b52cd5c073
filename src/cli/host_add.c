/* `sluice host add`: lets another machine take part in the cloud of this one. */
#include "base/fault.h"
#include "base/pki.h"
#include "cli/cli.h"
#include "cli/host_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define NAME_MAX_BYTES 64 /* of a common name, RFC 5280 appendix A.1 */

bool host_check_name(const char *name, GError **error)
{
	static const char allowed[] = G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "-.";

	if (strlen(name) <= NAME_MAX_BYTES && g_ascii_isalnum(name[0]) && !name[strspn(name, allowed)])
		return true;
	return fault_set(error, FAULT_INVALID,
		"'%s' is no name of a host: give what 'hostname' prints there, letters, digits, '-' and '.'",
		name);
}

/* Under the name that the host's own `sluice up` looks for. */
static bool copy(const char *from_dir, const char *from, const char *to_dir, const char *to, GError **error)
{
	g_autofree char *source = g_build_filename(from_dir, from, NULL), *text = NULL;
	g_autofree char *target = g_build_filename(to_dir, to, NULL);
	gsize length;

	return g_file_get_contents(source, &text, &length, error) &&
	       g_file_set_contents_full(target, text, (gssize)length,
		       G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600, error);
}

/* Makes the certificate, or takes the one that is there and good, and puts it with the CA's in a folder. */
static bool add_certificates(const char *tls, const char *name, const char *bundle, GError **error)
{
	g_autofree char *file = g_strdup_printf("host-%s", name);
	g_autofree char *certificate = g_strdup_printf("%s.pem", file),
			*key = g_strdup_printf("%s.key", file);

	if (!pki_ensure_later_leaf(tls, file, name, error)) {
		g_prefix_error(error,
			"no certificate for %s; did 'sluice up' run on this state folder once? ", name);
		return false;
	}
	if (g_mkdir_with_parents(bundle, 0700) < 0)
		return fault_set(error, FAULT_INTERNAL, "%s cannot be made: %s", bundle, g_strerror(errno));
	return copy(tls, "ca.pem", bundle, "ca.pem", error) &&
	       copy(tls, certificate, bundle, "host.pem", error) && copy(tls, key, bundle, "host.key", error);
}

int host_add(const char *state_option, const char *name, bool as_json)
{
	g_autofree char *state = cli_state_dir(state_option);
	g_autofree char *tls = g_build_filename(state, "tls", NULL);
	g_autofree char *bundle = g_build_filename(tls, "hosts", name, NULL);
	g_autoptr(GError) error = NULL;

	if (!host_check_name(name, &error))
		return cli_misused("host", error->message);
	if (!add_certificates(tls, name, bundle, &error))
		return cli_fail("host", error);
	json_auto_t *made = json_pack("{s:s, s:s}", "host", name, "folder", bundle);
	if (as_json) {
		cli_print_json(made);
		return CLI_OK;
	}
	printf("%s holds ca.pem, host.pem and host.key: copy them to tls/ of the state folder on %s\n",
		bundle, name);
	return CLI_OK;
}
