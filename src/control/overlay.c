/* How a host reaches those of its networks who are on other hosts: by which VTEP.
 *
 * How it works. Hosts report their VTEPs; each is held in a pool, so that no two hosts have one, and is stored with its
 * host: a controller that starts has every mapping before any host has reported.
 *
 * A host that has no VTEP takes part in everything but this. It is never silent: the goals of all hosts that it
 * concerns carry a sentence, which their agents and the list of hosts show. (One that has not reported yet is
 * not spoken of.)
 *
 * Networks in a VLAN are not reached this way but on the wire, so they have no mappings, and a host of a physical
 * network whose networks are all such needs no VTEP.
 */
#include "base/fault.h"
#include "control/control_priv.h"

#include <string.h>

struct overlay {
	const struct places *places; /* Borrowed */
	const struct host *host; /* Borrowed */
	GHashTable *without; /* Owned: names of hosts without VTEP that have NICs of this host's networks */
	bool needed; /* one of this host's networks is a VXLAN */
};

struct overlay *overlay_new(const struct places *places, const struct host *host)
{
	struct overlay *overlay = g_new0(struct overlay, 1);

	overlay->places = places;
	overlay->host = host;
	overlay->without = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	return overlay;
}

void overlay_free(struct overlay *overlay)
{
	if (!overlay)
		return;
	g_hash_table_unref(overlay->without);
	g_free(overlay);
}

/* NULL when it is this host. */
static const struct host *other_host(const struct overlay *overlay, const char *uid)
{
	return g_str_equal(uid, overlay->host->meta.uid) ? NULL
							 : g_hash_table_lookup(overlay->places->hosts, uid);
}

static void add_mapping(struct goal_network *network, const struct place *place, const char *vtep)
{
	struct goal_mapping *mapping = shape_new(&goal_mapping_shape);

	mapping->ip = g_strdup(place->ip);
	mapping->vtep = g_strdup(vtep);
	mapping->mac = g_strdup(place->mac);
	g_ptr_array_add(network->mappings, mapping);
}

static int by_ip(const void *a, const void *b)
{
	return strcmp(
		(*(const struct goal_mapping *const *)a)->ip, (*(const struct goal_mapping *const *)b)->ip);
}

void overlay_map(struct overlay *overlay, struct goal_network *network)
{
	const GPtrArray *places = g_hash_table_lookup(overlay->places->by_network, network->uid);

	if (network->physical)
		return;
	overlay->needed = true;
	network->mappings = shape_list_new(&goal_mapping_shape);
	for (guint i = 0; overlay->host->status.vtep && i < list_length(places); i++) {
		const struct place *place = places->pdata[i];
		const struct host *host = other_host(overlay, place->host);
		if (host && host->status.vtep)
			add_mapping(network, place, host->status.vtep);
		else if (host)
			g_hash_table_add(overlay->without, g_strdup(host->meta.name));
	}
	g_ptr_array_sort(network->mappings, by_ip);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

GPtrArray *overlay_conditions(const struct overlay *overlay)
{
	const struct host *host = overlay->host;
	g_autoptr(GPtrArray) conditions = strings_new();
	g_autoptr(GList) names = g_list_sort(g_hash_table_get_keys(overlay->without), by_text);

	bool reported = host->status.vcpus > 0;
	bool needed = overlay->needed || list_length(host->status.physicals) == 0;

	if (reported && needed && !host->status.vtep && g_hash_table_size(overlay->places->hosts) > 1)
		g_ptr_array_add(conditions,
			g_strdup_printf(
				"Host %s has no underlay%s%s: its virtual machines and those of other "
				"hosts cannot reach each other. Give its agent --underlay.",
				host->meta.name, host->status.vtep_fault ? ", for " : "",
				host->status.vtep_fault ? host->status.vtep_fault : ""));
	for (GList *name = names; name; name = name->next)
		g_ptr_array_add(conditions,
			g_strdup_printf(
				"Host %s has no underlay: virtual machines there and here cannot reach "
				"each other. Give its agent --underlay.",
				(const char *)name->data));
	return conditions->len ? g_steal_pointer(&conditions) : NULL;
}

bool overlay_check_vtep(const char *vtep, GError **error)
{
	struct ip_addr addr;

	if (!vtep || (ip_parse(vtep, &addr) == 0 && addr.family == IP_V4 && addr.bytes[0] != 0 &&
			     addr.bytes[0] != 127 && addr.bytes[0] < 224))
		return true;
	return fault_set(
		error, FAULT_INVALID, "vtep in the report, %s, is no IPv4 address of one host", vtep);
}

bool overlay_note_vtep(struct change *change, struct host *host, const char *vtep, GError **error)
{
	g_autoptr(GError) failure = NULL;

	if (g_strcmp0(host->status.vtep, vtep) == 0 && !host->status.vtep_fault)
		return true;
	if (host->status.vtep)
		change_release(change, POOL_VTEP, host->status.vtep);
	g_clear_pointer(&host->status.vtep, g_free);
	g_clear_pointer(&host->status.vtep_fault, g_free);
	if (!vtep)
		return true;
	if (change_claim(change, POOL_VTEP, vtep, host->meta.uid, &failure)) {
		host->status.vtep = g_strdup(vtep);
	} else if (g_error_matches(failure, FAULT, FAULT_EXISTS)) {
		host->status.vtep_fault = g_strdup_printf("the address %s is another host's", vtep);
	} else {
		g_propagate_error(error, g_steal_pointer(&failure));
		return false;
	}
	return true;
}
