/* `sluice host fault-domain`: says which hosts fail together. */
#include "cli/cli.h"
#include "cli/controller.h"
#include "cli/host_priv.h"

#include <stdio.h>

int host_domain(const char *state_option, const char *host, const char *domain, bool as_json)
{
	g_autoptr(GError) error = NULL;
	_cleanup_(controller_close) struct controller *controller = controller_open(state_option, &error);
	g_autofree char *name = g_uri_escape_string(host, NULL, false);
	g_autofree char *path = g_strdup_printf("/hosts/%s/fault-domain", name);
	json_auto_t *answer = NULL;

	if (!controller || !controller_call(controller, "PUT", path,
				   json_pack("{s:s?}", "faultDomain", domain), &answer, &error))
		return cli_refused("host", error);
	if (as_json)
		cli_print_json(answer);
	else if (domain)
		printf("host %s is in fault domain %s\n", host, domain);
	else
		printf("host %s is a fault domain of its own\n", host);
	return CLI_OK;
}
