/* What clients make, change and delete. Bodies are written with single quotes. */
#include "resources.h"

#include <string.h>

#define API_VERSION "2022-11-01"
#define PRIORITY    100 /* of the first shared rule */

/* ---- requests ---- */

gboolean load_expect(
	struct load *load, unsigned status, const char *problem, const char *method, const char *path)
{
	if (!problem && (status == 200 || status == 201 || status == 202 || status == 204))
		return TRUE;
	g_printerr("%s %s: %u%s%s\n", method, path, status, problem ? ", " : "", problem ? problem : "");
	g_atomic_int_inc(&load->failed);
	return FALSE;
}

/* PUT or DELETE, to its end. */
static gboolean change(
	struct load *load, struct client *client, const char *method, const char *id, const char *body)
{
	g_autofree char *path = resource_path(id), *async = NULL;
	unsigned status = client_ask(client, SORT_WRITE, method, path, body, NULL, &async);

	gboolean done = status >= 300 || client_wait(client, async);

	return load_expect(load, status, done ? NULL : "its operation failed", method, path);
}

static char *json_of(const char *format, ...) G_GNUC_PRINTF(1, 2);
static char *json_of(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	char *text = g_strdup_vprintf(format, args);
	va_end(args);
	return g_strdelimit(text, "'", '"');
}

/* ---- ids ---- */

char *resource_id(const struct load *load, unsigned owner, const char *type, const char *name)
{
	return g_strdup_printf("%s/resourceGroups/load%u/providers/%s/%s", load->subscription,
		owner % load->groups, type, name);
}

char *resource_child_id(const struct load *load, unsigned owner, const char *type, const char *name,
	const char *child, const char *child_name)
{
	g_autofree char *id = resource_id(load, owner, type, name);

	return g_strdup_printf("%s/%s/%s", id, child, child_name);
}

char *resource_name(unsigned owner, const char *kind, unsigned i)
{
	return g_strdup_printf("%s-%u-%u", kind, owner, i);
}

char *resource_path(const char *id)
{
	return g_strconcat(id, "?api-version=" API_VERSION, NULL);
}

/* ---- bodies: members of objects, as those of a template's resources are the same. Owned. ---- */

/* A rule's properties. */
static char *rule_members(unsigned priority, unsigned port)
{
	return json_of("'priority': %u, 'access': 'Allow', 'direction': 'Inbound', 'protocol': 'Tcp', "
		       "'sourceAddressPrefix': '*', 'sourcePortRange': '*', 'destinationAddressPrefix': '*', "
		       "'destinationPortRange': '%u'",
		priority, port);
}

static char *group_members(const struct load *load, unsigned owner, const char *name)
{
	g_autofree char *rule = rule_members(PRIORITY, 22);

	return json_of("'properties': {'securityRules': [{'name': 'ssh', 'properties': {%s}}]}", rule);
}

static char *network_members(const struct load *load, unsigned owner, const char *name)
{
	return json_of("'properties': {'addressSpace': {'addressPrefixes': ['10.0.0.0/16']}, 'subnets': "
		       "[{'name': 'sub', 'properties': {'addressPrefix': '10.0.0.0/20'}}]}");
}

static char *address_members(const struct load *load, unsigned owner, const char *name)
{
	return json_of("'sku': {'name': 'Standard'}, 'properties': {'publicIPAllocationMethod': 'Static'}");
}

static char *nic_members(const struct load *load, unsigned owner, const char *name)
{
	g_autofree char *group = resource_id(load, owner, NSG_TYPE, name),
			*address = resource_id(load, owner, ADDRESS_TYPE, name),
			*subnet = resource_child_id(load, owner, NETWORK_TYPE, name, "subnets", "sub");

	return json_of("'properties': {'networkSecurityGroup': {'id': '%s'}, 'ipConfigurations': [{'name': "
		       "'one', 'properties': {'subnet': {'id': '%s'}, 'publicIPAddress': {'id': '%s'}}}]}",
		group, subnet, address);
}

static char *vm_members(const struct load *load, unsigned owner, const char *name)
{
	g_autofree char *nic = resource_id(load, owner, NIC_TYPE, name);

	return json_of("'properties': {'hardwareProfile': {'vmSize': 'Standard_DS1_v2'}, 'storageProfile': "
		       "{'imageReference': {'publisher': 'Canonical', 'offer': 'UbuntuServer', 'sku': "
		       "'18.04-LTS', 'version': 'latest'}, 'osDisk': {'createOption': 'fromImage'}}, "
		       "'osProfile': {'computerName': '%s', 'adminUsername': 'azureuser', "
		       "'linuxConfiguration': {'ssh': {'publicKeys': [{'path': "
		       "'/home/azureuser/.ssh/authorized_keys', 'keyData': 'ssh-ed25519 "
		       "AAAAC3NzaC1lZDI1NTE5AAAAIJfakekeyfakekeyfakekeyfakekeyfakekeyfake x'}]}}}, "
		       "'networkProfile': {'networkInterfaces': [{'id': '%s'}]}}",
		name, nic);
}

/* A whole body. tag: NULL for none. Takes the members. */
static char *body_of(char *members, const char *tag)
{
	g_autofree char *own = members, *tags = tag ? json_of(", 'tags': {'turn': '%s'}", tag) : g_strdup("");

	return json_of("{'location': 'centralus', %s%s}", own, tags);
}

/* ---- groups, and what is shared in them ---- */

static gboolean put_shared(struct load *load, struct client *client, unsigned number, const char *type,
	char *(*members)(const struct load *load, unsigned owner, const char *name))
{
	g_autofree char *id = resource_id(load, number, type, SHARED),
			*body = body_of(members(load, number, SHARED), NULL);

	return change(load, client, "PUT", id, body);
}

gboolean resource_group_put(struct load *load, struct client *client, unsigned number)
{
	g_autofree char *id = g_strdup_printf("%s/resourceGroups/load%u", load->subscription, number);

	return change(load, client, "PUT", id, "{\"location\": \"centralus\"}") &&
	       put_shared(load, client, number, NETWORK_TYPE, network_members) &&
	       put_shared(load, client, number, NSG_TYPE, group_members);
}

gboolean resource_group_delete(struct load *load, struct client *client, unsigned number)
{
	g_autofree char *id = g_strdup_printf("%s/resourceGroups/load%u", load->subscription, number);

	return change(load, client, "DELETE", id, NULL);
}

static gboolean put_child(struct load *load, struct client *client, const char *id, const char *members)
{
	g_autofree char *body = json_of("{'properties': {%s}}", members);

	return change(load, client, "PUT", id, body);
}

gboolean share_put(struct load *load, struct client *client, const char *name, unsigned index)
{
	g_autofree char *rule = resource_child_id(
				load, client->number, NSG_TYPE, SHARED, "securityRules", name),
			*subnet = resource_child_id(
				load, client->number, NETWORK_TYPE, SHARED, "subnets", name),
			*its_rule = rule_members(PRIORITY + 1 + index, 1000 + index),
			*its_subnet = json_of("'addressPrefix': '10.0.%u.0/24'", 16 + index);

	return put_child(load, client, rule, its_rule) && put_child(load, client, subnet, its_subnet);
}

gboolean share_delete(struct load *load, struct client *client, const char *name)
{
	g_autofree char *rule = resource_child_id(
				load, client->number, NSG_TYPE, SHARED, "securityRules", name),
			*subnet = resource_child_id(
				load, client->number, NETWORK_TYPE, SHARED, "subnets", name);

	return change(load, client, "DELETE", rule, NULL) && change(load, client, "DELETE", subnet, NULL);
}

/* ---- plain machines ---- */

char *plain_nic_body(const struct load *load, unsigned owner, const char *tag)
{
	g_autofree char *subnet = resource_child_id(load, owner, NETWORK_TYPE, SHARED, "subnets", "sub");

	return body_of(json_of("'properties': {'ipConfigurations': [{'name': 'one', 'properties': {'subnet': "
			       "{'id': '%s'}}}]}",
			       subnet),
		tag);
}

gboolean plain_machine_put(struct load *load, struct client *client, const char *name)
{
	g_autofree char *nic = resource_id(load, client->number, NIC_TYPE, name),
			*vm = resource_id(load, client->number, VM_TYPE, name),
			*its_nic = plain_nic_body(load, client->number, "0"),
			*its_vm = body_of(vm_members(load, client->number, name), NULL);

	return change(load, client, "PUT", nic, its_nic) && change(load, client, "PUT", vm, its_vm);
}

json_t *resource_probe(struct load *load, struct client *client, const char *type)
{
	unsigned owner = client->number;
	g_autofree char *id = resource_id(load, owner, type, "probe"), *path = resource_path(id),
			*body = g_str_equal(type, NIC_TYPE)
					? plain_nic_body(load, owner, NULL)
					: body_of(address_members(load, owner, "probe"), NULL);
	json_auto_t *answer = NULL;

	if (!change(load, client, "PUT", id, body))
		return NULL;
	client_ask(client, SORT_READ, "GET", path, NULL, &answer, NULL);
	return change(load, client, "DELETE", id, NULL) ? g_steal_pointer(&answer) : NULL;
}

/* ---- machines with all that is theirs ---- */

/* In the order of use. needs: how many of those before it are used by it, counted from the one before. */
static const struct part {
	const char *type;
	char *(*members)(const struct load *load, unsigned owner, const char *name);
	unsigned needs;
} parts[] = {
	{NSG_TYPE, group_members, 0},
	{NETWORK_TYPE, network_members, 0},
	{ADDRESS_TYPE, address_members, 0},
	{NIC_TYPE, nic_members, 3},
	{VM_TYPE, vm_members, 1},
};
static const struct part *const address_part = &parts[2], *const nic_part = &parts[3];

static gboolean put_part(
	struct load *load, struct client *client, const struct part *part, const char *name, const char *tag)
{
	g_autofree char *id = resource_id(load, client->number, part->type, name),
			*body = body_of(part->members(load, client->number, name), tag);

	return change(load, client, "PUT", id, body);
}

gboolean machine_put(struct load *load, struct client *client, const char *name)
{
	for (size_t i = 0; i < G_N_ELEMENTS(parts); i++)
		if (!put_part(load, client, &parts[i], name, "0"))
			return FALSE;
	return TRUE;
}

static void append_resource(
	GString *template, const struct load *load, unsigned owner, size_t i, const char *name)
{
	g_autofree char *members = parts[i].members(load, owner, name);
	g_autoptr(GString) needs = g_string_new(NULL);

	for (size_t n = i - parts[i].needs; n < i; n++)
		g_string_append_printf(needs, "%s'%s/%s'", needs->len ? ", " : "", parts[n].type, name);
	g_string_append_printf(template,
		"%s{'type': '%s', 'name': '%s', 'apiVersion': '" API_VERSION "', 'location': 'centralus', "
		"'dependsOn': [%s], %s}",
		i ? ", " : "", parts[i].type, name, needs->str, members);
}

gboolean machine_deploy(struct load *load, struct client *client, const char *name)
{
	g_autofree char *id = resource_id(load, client->number, DEPLOY_TYPE, name), *body = NULL;
	g_autoptr(GString) resources = g_string_new(NULL);

	for (size_t i = 0; i < G_N_ELEMENTS(parts); i++)
		append_resource(resources, load, client->number, i, name);
	body = json_of("{'properties': {'mode': 'Incremental', 'template': {'$schema': "
		       "'https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#', "
		       "'contentVersion': '1.0.0.0', 'resources': [%s]}}}",
		resources->str);
	return change(load, client, "PUT", id, body);
}

gboolean machine_delete(struct load *load, struct client *client, const char *name, gboolean deployed)
{
	for (size_t i = G_N_ELEMENTS(parts); i-- > 0;) {
		g_autofree char *id = resource_id(load, client->number, parts[i].type, name);
		if (!change(load, client, "DELETE", id, NULL))
			return FALSE;
	}
	g_autofree char *deployment = resource_id(load, client->number, DEPLOY_TYPE, name);
	return !deployed || change(load, client, "DELETE", deployment, NULL);
}

/* ---- changes ---- */

/* Whether a list of the resource has one element, of that name. */
static gboolean has_only(
	struct load *load, struct client *client, const char *id, const char *list, const char *name)
{
	g_autofree char *path = resource_path(id);
	json_auto_t *answer = NULL;
	unsigned status = client_ask(client, SORT_READ, "GET", path, NULL, &answer, NULL);
	json_t *elements = json_object_get(json_object_get(answer, "properties"), list);
	const char *first = json_string_value(json_object_get(json_array_get(elements, 0), "name"));

	gboolean good = json_array_size(elements) == 1 && g_strcmp0(first, name) == 0;

	return load_expect(load, status, good ? NULL : "other parts than it should have", "GET", path);
}

/* Another rule, which changes, instead of the first one. */
static gboolean change_rules(struct load *load, struct client *client, const char *name)
{
	g_autofree char *group = resource_id(load, client->number, NSG_TYPE, name),
			*web = g_strconcat(group, "/securityRules/web", NULL),
			*ssh = g_strconcat(group, "/securityRules/ssh", NULL),
			*open = rule_members(PRIORITY + 1, 80), *secure = rule_members(PRIORITY + 2, 443);

	return put_child(load, client, web, open) && put_child(load, client, web, secure) &&
	       change(load, client, "DELETE", ssh, NULL) &&
	       has_only(load, client, group, "securityRules", "web");
}

/* Another subnet comes and goes. */
static gboolean change_subnets(struct load *load, struct client *client, const char *name)
{
	g_autofree char *network = resource_id(load, client->number, NETWORK_TYPE, name),
			*more = g_strconcat(network, "/subnets/more", NULL);

	return put_child(load, client, more, "'addressPrefix': '10.0.16.0/24'") &&
	       change(load, client, "DELETE", more, NULL) &&
	       has_only(load, client, network, "subnets", "sub");
}

gboolean machine_change(struct load *load, struct client *client, const char *name, const char *turn)
{
	return change_rules(load, client, name) && change_subnets(load, client, name) &&
	       put_part(load, client, address_part, name, turn) &&
	       put_part(load, client, nic_part, name, turn);
}

gboolean machine_read(struct load *load, struct client *client, const char *name)
{
	g_autofree char *id = resource_id(load, client->number, VM_TYPE, name), *path = resource_path(id);
	unsigned status = client_ask(client, SORT_READ, "GET", path, NULL, NULL, NULL);

	return load_expect(load, status, NULL, "GET", path);
}
