/* The metadata document of one VM. */
#include "agent/metadata_document.h"

#include "base/ip.h"

#include <string.h>

const struct goal_nic *metadata_find_nic(const struct goal *goal, const char *host_address)
{
	for (guint i = 0; goal && i < list_length(goal->nics); i++) {
		const struct goal_nic *nic = goal->nics->pdata[i];
		if (g_strcmp0(nic->host_address, host_address) == 0)
			return nic;
	}
	return NULL;
}

static json_t *text(const char *value)
{
	return json_string(value ? value : "");
}

/* ---- network ---- */

/* The prefix of a subnet's text, split as the service shows it. */
static json_t *build_subnet(const struct goal *goal, const struct goal_nic *nic)
{
	for (guint i = 0; i < list_length(goal->networks); i++) {
		const struct goal_network *network = goal->networks->pdata[i];
		for (guint j = 0; j < list_length(network->subnets); j++) {
			const struct goal_subnet *subnet = network->subnets->pdata[j];
			if (g_strcmp0(subnet->uid, nic->subnet) != 0)
				continue;
			g_auto(GStrv) halves = g_strsplit(subnet->prefix, "/", 2);
			return json_pack(
				"[{s:s, s:s}]", "address", halves[0], "prefix", halves[1] ? halves[1] : "");
		}
	}
	return json_array();
}

static json_t *build_family(const struct goal *goal, const struct goal_nic *nic, enum ip_family family)
{
	json_t *addresses = json_array();

	for (guint i = 0; i < list_length(nic->addresses); i++) {
		const struct goal_address *address = nic->addresses->pdata[i];
		struct ip_addr ip;
		if (ip_parse(address->ip, &ip) < 0 || ip.family != family)
			continue;
		json_t *json = json_pack("{s:s}", "privateIpAddress", address->ip);
		if (family == IP_V4)
			json_object_set_new(json, "publicIpAddress", text(address->public_ip));
		json_array_append_new(addresses, json);
	}
	if (family == IP_V6)
		return json_pack("{s:o}", "ipAddress", addresses);
	return json_pack("{s:o, s:o}", "ipAddress", addresses, "subnet", build_subnet(goal, nic));
}

/* "000D3A000004" of "00:0d:3a:00:00:04" */
static json_t *build_mac(const char *mac)
{
	g_auto(GStrv) bytes = g_strsplit(mac ? mac : "", ":", -1);
	g_autofree char *joined = g_strjoinv("", bytes), *upper = g_ascii_strup(joined, -1);

	return json_string(upper);
}

/* The primary NIC comes first, as it does in the machine. */
static json_t *build_interfaces(const struct goal *goal, const char *vm)
{
	json_t *interfaces = json_array();

	for (int primary = 1; primary >= 0; primary--)
		for (guint i = 0; i < list_length(goal->nics); i++) {
			const struct goal_nic *nic = goal->nics->pdata[i];
			if (g_strcmp0(nic->vm, vm) != 0 || nic->primary != (primary == 1))
				continue;
			json_array_append_new(interfaces,
				json_pack("{s:o, s:o, s:o}", "ipv4", build_family(goal, nic, IP_V4), "ipv6",
					build_family(goal, nic, IP_V6), "macAddress", build_mac(nic->mac)));
		}
	return json_pack("{s:o}", "interface", interfaces);
}

/* ---- compute ---- */

static json_t *build_keys(const struct goal_vm *vm)
{
	g_autofree char *path =
		g_strdup_printf("/home/%s/.ssh/authorized_keys", vm->admin_user ? vm->admin_user : "");
	json_t *keys = json_array();

	for (guint i = 0; i < list_length(vm->ssh_keys); i++) {
		g_autofree char *key = g_strstrip(g_strdup(vm->ssh_keys->pdata[i]));
		json_array_append_new(keys, json_pack("{s:s, s:s}", "keyData", key, "path", path));
	}
	return keys;
}

/* Both of the service's forms: "name:value;name:value", and a list. */
static void add_tags(json_t *compute, const json_t *tags)
{
	g_autoptr(GString) line = g_string_new(NULL);
	json_t *list = json_array(), *value;
	const char *name;

	json_object_foreach((json_t *)tags, name, value)
	{
		const char *word = json_string_value(value);
		g_string_append_printf(line, "%s%s:%s", line->len ? ";" : "", name, word ? word : "");
		json_array_append_new(list, json_pack("{s:s, s:s}", "name", name, "value", word ? word : ""));
	}
	json_object_set_new(compute, "tags", json_string(line->str));
	json_object_set_new(compute, "tagsList", list);
}

static json_t *build_compute(const struct goal_vm *vm)
{
	g_autofree char *id = g_strdup_printf(
		"/subscriptions/%s/resourceGroups/%s/providers/Microsoft.Compute/virtualMachines/%s",
		vm->subscription ? vm->subscription : "", vm->group_name ? vm->group_name : "", vm->name);
	json_t *profile = json_pack("{s:o, s:o, s:s}", "adminUsername", text(vm->admin_user), "computerName",
		text(vm->computer_name), "disablePasswordAuthentication", "true");
	json_t *compute = json_pack("{s:s, s:o, s:o, s:s, s:o, s:s, s:o, s:o, s:s, s:o, s:o, s:s, s:o, s:s}",
		"azEnvironment", "Sluice", "location", text(vm->location), "name", text(vm->name), "osType",
		"Linux", "osProfile", profile, "provider", "Microsoft.Compute", "publicKeys", build_keys(vm),
		"resourceGroupName", text(vm->group_name), "resourceId", id, "subscriptionId",
		text(vm->subscription), "vmId", text(vm->uid), "vmScaleSetName", "", "vmSize", text(vm->size),
		"zone", "");

	add_tags(compute, vm->tags);
	return compute;
}

json_t *metadata_document(const struct goal *goal, const struct goal_nic *nic)
{
	const struct goal_vm *vm = goal_find_vm(goal, nic->vm);

	return vm ? json_pack("{s:o, s:o}", "compute", build_compute(vm), "network",
			    build_interfaces(goal, vm->uid))
		  : NULL;
}

/* ---- parts ---- */

const json_t *metadata_find(const json_t *document, const char *path)
{
	g_auto(GStrv) steps = g_strsplit(path, "/", -1);

	for (char **step = steps; document && *step; step++) {
		guint64 index;
		if (**step == '\0')
			continue;
		if (!json_is_array(document))
			document = json_object_get(document, *step);
		else if (g_ascii_string_to_unsigned(*step, 10, 0, G_MAXUINT, &index, NULL))
			document = json_array_get(document, (size_t)index);
		else
			document = NULL;
	}
	return document;
}

static bool is_leaf(const json_t *part)
{
	return !json_is_object(part) && !json_is_array(part);
}

char *metadata_text(const json_t *part)
{
	GString *lines = g_string_new(NULL);
	const char *name;
	json_t *below;
	size_t i;

	if (is_leaf(part))
		g_string_append(lines, json_string_value(part));
	json_object_foreach((json_t *)part, name, below) g_string_append_printf(
		lines, "%s%s%s", lines->len ? "\n" : "", name, is_leaf(below) ? "" : "/");
	json_array_foreach(part, i, below) g_string_append_printf(
		lines, "%s%zu%s", lines->len ? "\n" : "", i, is_leaf(below) ? "" : "/");
	return g_string_free(lines, false);
}
