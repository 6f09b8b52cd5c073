/* `sluice network physical`: the wires whose VLANs virtual networks may have. */
#include "cli/cli.h"
#include "cli/network_priv.h"
#include "cli/order.h"

#include <stdio.h>

static char *path_of(const char *name)
{
	g_autofree char *encoded = g_uri_escape_string(name, NULL, false);

	return g_strconcat("/physical-networks/", encoded, NULL);
}

/* "rg/net 150, ..." of the networks, "node1, ..." of the hosts; "-" when there is none. */
static char *list_of(const json_t *array)
{
	g_autoptr(GString) text = g_string_new(NULL);
	json_t *item;
	size_t i;

	json_array_foreach(array, i, item)
	{
		g_string_append(text, i ? ", " : "");
		if (json_is_string(item)) {
			g_string_append(text, json_string_value(item));
			continue;
		}
		g_autofree char *title = network_title(item);
		g_string_append_printf(text, "%s %" JSON_INTEGER_FORMAT, title,
			json_integer_value(json_object_get(item, "vlan")));
	}
	return text->len ? g_string_free(g_steal_pointer(&text), FALSE) : g_strdup("-");
}

static char **row_of(const json_t *physical)
{
	GStrv row = g_new0(char *, 6);

	row[0] = g_strdup(json_string_value(json_object_get(physical, "name")));
	row[1] = g_strdup(json_string_value(json_object_get(physical, "vlans")));
	row[2] = g_strdup(json_is_true(json_object_get(physical, "guestEnforcement")) ? "allowed" : "no");
	row[3] = list_of(json_object_get(physical, "networks"));
	row[4] = list_of(json_object_get(physical, "hosts"));
	return row;
}

static void print(const json_t *array)
{
	static const char *const titles[] = {"NAME", "VLANS", "GUEST ENFORCEMENT", "NETWORKS", "HOSTS", NULL};
	g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev);
	json_t *physical;
	size_t i;

	json_array_foreach(array, i, physical)
	{
		g_ptr_array_add(rows, row_of(physical));
	}
	if (rows->len)
		network_print(titles, rows);
	else
		puts("there is no physical network; add one with 'sluice network physical add'");
}

static void print_was(const json_t *was)
{
	const char *vlans = json_string_value(json_object_get(was, "vlans"));
	const json_t *guest = json_object_get(was, "guestEnforcement");

	if (vlans)
		printf("changed: VLANs were %s\n", vlans);
	if (guest)
		printf("changed: guest enforcement was %s\n",
			json_is_true(guest) ? "allowed; functions that need it are taken back"
					    : "not allowed");
}

bool network_physical_list(struct controller *controller, const struct network_options *options,
	const char *name, GError **error)
{
	static const char *const order[] = {"name", NULL};
	json_auto_t *answer = NULL;

	if (!controller_list(controller, "/physical-networks", "physicalNetworks", 0, &answer, error))
		return false;
	order_by(json_object_get(answer, "physicalNetworks"), order);
	if (options->as_json)
		cli_print_json(answer);
	else
		print(json_object_get(answer, "physicalNetworks"));
	return true;
}

bool network_physical_add(struct controller *controller, const struct network_options *options,
	const char *name, GError **error)
{
	g_autofree char *path = path_of(name);
	json_t *body = json_pack("{s:s}", "vlans", options->vlans);
	json_auto_t *answer = NULL, *array = json_array();

	if (options->guest_enforcement || options->no_guest_enforcement)
		json_object_set_new(body, "guestEnforcement", json_boolean(options->guest_enforcement));
	if (!controller_call(controller, "PUT", path, body, &answer, error))
		return false;
	json_array_append(array, answer);
	if (options->as_json) {
		cli_print_json(answer);
		return true;
	}
	print(array);
	print_was(json_object_get(answer, "was"));
	return true;
}

bool network_physical_remove(struct controller *controller, const struct network_options *options,
	const char *name, GError **error)
{
	g_autofree char *path = path_of(name);
	json_auto_t *removed = json_pack("{s:s}", "name", name);

	if (!controller_call(controller, "DELETE", path, NULL, NULL, error))
		return false;
	if (options->as_json)
		cli_print_json(removed);
	else
		printf("physical network %s is removed\n", name);
	return true;
}
