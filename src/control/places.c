/* Which host has which address of which network: one walk over all VMs for the goals of all hosts.
 *
 * A VM is where its disk is (of one that migrates: at the source until it has moved), and its NICs are there for packets while it is not deallocated, as in goal.c, of which
 * this is the other side. What was found holds for one revision of the store; it is found anew for the next that
 * somebody asks for. Where there is but one host nobody looks.
 */
#include "base/fault.h"
#include "control/control_priv.h"

#include <string.h>

static void place_free(void *data)
{
	struct place *place = data;

	g_free(place->ip);
	g_free(place->mac);
	g_free(place->host);
	g_free(place);
}

static struct places *places_new(int64_t revision)
{
	struct places *places = g_new0(struct places, 1);

	places->revision = revision;
	places->hosts = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, model_free);
	places->by_network =
		g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_ptr_array_unref);
	return places;
}

void places_free(struct places *places)
{
	if (!places)
		return;
	g_hash_table_unref(places->hosts);
	g_hash_table_unref(places->by_network);
	g_free(places);
}

static void add_place(
	struct places *places, const struct nic_config *config, const struct nic *nic, const char *host)
{
	GPtrArray *list = g_hash_table_lookup(places->by_network, config->network);
	struct place *place = g_new0(struct place, 1);

	place->ip = g_strdup(config->ip);
	place->mac = g_strdup(nic->status.mac);
	place->host = g_strdup(host);
	if (!list) {
		list = g_ptr_array_new_with_free_func(place_free);
		g_hash_table_insert(places->by_network, g_strdup(config->network), list);
	}
	g_ptr_array_add(list, place);
}

/* *ret is NULL when there is none, which is that host's trouble alone. But a store that cannot be read must not
 * look like one where nobody is. */
static bool find(const struct control *control, enum kind kind, const char *uid, void *ret, GError **error)
{
	g_autoptr(GError) failure = NULL;

	*(const void **)ret = mirror_get(control->mirror, kind, uid, &failure);
	if (!failure || g_error_matches(failure, FAULT, FAULT_NOT_FOUND))
		return true;
	g_propagate_error(error, g_steal_pointer(&failure));
	return false;
}

static bool add_nic(
	struct control *control, struct places *places, const char *uid, const char *host, GError **error)
{
	const struct nic *nic;

	if (!find(control, KIND_NIC, uid, &nic, error))
		return false;
	for (guint i = 0; nic && i < list_length(nic->spec.configs); i++)
		add_place(places, nic->spec.configs->pdata[i], nic, host);
	return true;
}

/* key: of its placement on a host, which may not be where it is: the target of its migration has one, too. */
static bool add_vm(struct control *control, struct places *places, const char *key, GError **error)
{
	const struct vm *vm;

	if (!find(control, KIND_VM, strrchr(key, '/') + 1, &vm, error))
		return false;
	g_autofree char *home = vm && vm->status.host ? key_placed(vm->status.host, vm->meta.uid) : NULL;
	if (g_strcmp0(home, key) != 0 || vm->spec.power == POWER_DEALLOCATED ||
		vm->status.outcome.state == PROVISIONING_DELETING)
		return true;
	for (guint i = 0; i < list_length(vm->spec.nics); i++) {
		const struct vm_nic_ref *ref = vm->spec.nics->pdata[i];
		if (!add_nic(control, places, ref->nic, vm->status.host, error))
			return false;
	}
	return true;
}

static bool add_vms(struct control *control, struct places *places, GError **error)
{
	g_autofree char *prefix = key_placements(NULL), *end = store_prefix_end(prefix);
	_cleanup_(store_range_clear) struct store_range range = {};

	if (!store_list(control->store, prefix, end, 0, 0, &range, NULL, error))
		return false;
	for (guint i = 0; i < range.kvs->len; i++)
		if (!add_vm(control, places, ((struct store_kv *)range.kvs->pdata[i])->key, error))
			return false;
	return true;
}

static bool add_hosts(struct control *control, struct places *places, GError **error)
{
	g_autoptr(GPtrArray) hosts = control_list(control, KIND_HOST, NULL, error);

	for (guint i = 0; i < list_length(hosts); i++) {
		struct host *host = model_copy(hosts->pdata[i]);
		g_hash_table_insert(places->hosts, host->meta.uid, host);
	}
	return hosts != NULL;
}

const struct places *places_at(struct control *control, int64_t revision, GError **error)
{
	_cleanup_(places_free) struct places *places = NULL;

	if (control->places && control->places->revision == revision)
		return control->places;
	places = places_new(revision);
	mirror_at(control->mirror, revision);
	if (!add_hosts(control, places, error) ||
		(g_hash_table_size(places->hosts) > 1 && !add_vms(control, places, error)))
		return NULL;
	places_free(control->places);
	control->places = g_steal_pointer(&places);
	return control->places;
}
