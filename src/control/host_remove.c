/* Hosts that leave the cloud: those that are empty, and those that are lost.
 *
 * How it works. Only a host that does not report is removed: what its machines are doing nobody knows then but the operator,
 * who says so with `lost`. Machine by machine, each in one transaction, gives up its place: one that is being deleted counts
 * as gone, and its deletion ends as ever; of another one its record stays, deallocated and failed, with the host's name in
 * `lost`, for its user to see and delete. Nothing else can be done to it: its disk was there alone, and a new one made from
 * the image would pass for the old. Load balancers go elsewhere, then the host's record goes, with the addresses that it
 * held. A crash between leaves a host with fewer machines, and the command is repeated.
 *
 * A host that was given up may come back, with machines that have been made anew elsewhere. Its name is kept with the time of
 * the removal, and certificates that are older open nothing any more; the operator lets it in again, once it is empty, with
 * a new one. Certificates tell in which second they were made, and no more: those of the removal's own are refused, and who
 * makes new ones waits for the next (pki_ensure_later_leaf).
 */
#include "base/fault.h"
#include "base/log.h"
#include "base/peer.h"
#include "control/control_priv.h"

#include <string.h>

struct removal {
	struct control *control; /* Borrowed, as all here */
	const struct host *host;
	const char *vm; /* uid of the machine that a transaction is about */
	struct vm *left; /* Owned: its record, when that stays */
};

/* ---- its machines ---- */

static void lose(struct change *change, struct vm *vm, const struct host *host)
{
	struct outcome *outcome = &vm->status.outcome;
	g_autoptr(GError) failure = NULL;

	g_clear_pointer(&vm->status.host, g_free);
	g_free(vm->status.lost);
	vm->status.lost = g_strdup(host->meta.name);
	vm->spec.power = POWER_DEALLOCATED;
	vm->status.power = POWER_STATE_DEALLOCATED;
	vm->status.guest_heard = false;
	vm->meta.generation++;
	hosts_clear_paths(change, vm);
	vm_check_there(vm, &failure);
	g_free(vm->status.detail);
	vm->status.detail = g_strdup(failure->message);
	if (outcome->state != PROVISIONING_DELETING) {
		outcome_begin(vm, PROVISIONING_FAILED);
		outcome->fault = g_strdup(fault_name(fault_code(failure)));
		outcome->message = g_strdup(failure->message);
	}
	change_put(change, vm);
}

/* *ret is NULL when there is only its place left. */
static bool find_vm(struct change *change, const char *uid, struct vm **ret, GError **error)
{
	g_autoptr(GError) failure = NULL;

	*ret = change_get(change, KIND_VM, uid, &failure);
	if (!failure || g_error_matches(failure, FAULT, FAULT_NOT_FOUND))
		return true;
	g_propagate_error(error, g_steal_pointer(&failure));
	return false;
}

static bool give_up(struct change *change, void *data, GError **error)
{
	struct removal *removal = data;
	const char *host = removal->host->meta.uid;
	struct vm *vm;

	g_clear_pointer(&removal->left, model_free);
	if (!find_vm(change, removal->vm, &vm, error) ||
		(vm && !migrate_lose(removal->control, change, vm, host, error)) ||
		!vm_leave_host(removal->control, change, host, removal->vm, error))
		return false;
	if (!vm || g_strcmp0(vm->status.host, host) != 0)
		return true;
	lose(change, vm, removal->host);
	if (vm->status.outcome.state != PROVISIONING_DELETING)
		removal->left = model_copy(vm);
	return true;
}

static char *title_of(struct control *control, const struct vm *vm)
{
	_cleanup_(model_free) struct group *group = control_group_of(control, &vm->meta);

	return g_strdup_printf("%s/%s", group ? group->meta.name : "-", vm->meta.name);
}

static bool give_up_all(
	struct removal *removal, const struct store_range *placed, GPtrArray *lost, GError **error)
{
	for (guint i = 0; i < placed->kvs->len; i++) {
		removal->vm = strrchr(((const struct store_kv *)placed->kvs->pdata[i])->key, '/') + 1;
		bool done = change_run(removal->control->store, give_up, removal, NULL, error);
		_cleanup_(model_free) struct vm *left = g_steal_pointer(&removal->left);
		if (!done)
			return false;
		if (left)
			g_ptr_array_add(lost, title_of(removal->control, left));
	}
	return true;
}

/* ---- the host ---- */

/* Certificates that were made for it until now, and in this second, are refused. data: its name. */
static bool shut_out(struct change *change, void *data, GError **error)
{
	g_autofree char *name = g_ascii_strdown(data, -1),
			*now = g_strdup_printf("%" G_GINT64_FORMAT, g_get_real_time() / G_USEC_PER_SEC);

	change_release(change, POOL_REMOVED_HOST, name);
	return change_claim(change, POOL_REMOVED_HOST, name, now, error);
}

static bool take_out(struct change *change, void *data, GError **error)
{
	const struct removal *removal = data;
	struct host *host = change_get(change, KIND_HOST, removal->host->meta.uid, error);
	bool placed;

	if (!host || !change_has_placed(change, host->meta.uid, &placed, error) ||
		!outbound_settle(removal->control, change, host, false, error))
		return false;
	if (placed)
		return fault_set(error, FAULT_CONFLICT, "host %s got a machine meanwhile", host->meta.name);
	if (host->status.vtep)
		change_release(change, POOL_VTEP, host->status.vtep);
	if (!shut_out(change, host->meta.name, error))
		return false;
	change_delete(change, host);
	return true;
}

static bool check_removable(struct control *control, const struct host *host, guint n_placed, GError **error)
{
	if (!hosts_is_silent(control, host->meta.uid))
		return fault_set(error, FAULT_NOT_ALLOWED,
			"host %s reports, or may yet do so: only one that has not for %" G_GINT64_FORMAT
			" s can be removed. Take its machines away ('sluice vm migrate --from %s', then "
			"those that "
			"are deallocated one by one), and end 'sluice up' there",
			host->meta.name, control->silent_us / G_USEC_PER_SEC, host->meta.name);
	return n_placed == 0 ||
	       fault_set(error, FAULT_NOT_ALLOWED,
		       "host %s has the disks of %u virtual machines. When it is back, they can be moved "
		       "('sluice vm migrate') or deleted; if it never comes back, 'sluice host remove %s "
		       "--lost' "
		       "gives them up with it",
		       host->meta.name, n_placed, host->meta.name);
}

bool control_remove_host(
	struct control *control, const char *host_name, bool lost, GPtrArray **ret_lost, GError **error)
{
	g_autoptr(GError) failure = NULL;
	_cleanup_(model_free) struct host *host = control_find(control, KIND_HOST, NULL, host_name, &failure);
	_cleanup_(store_range_clear) struct store_range placed = {};
	g_autoptr(GPtrArray) names = strings_new();
	struct removal removal = {.control = control, .host = host};

	if (failure) {
		g_propagate_error(error, g_steal_pointer(&failure));
		return false;
	}
	if (!host) /* it may have certificates, and come yet */
		return (!peer_is_host_name(host_name, strlen(host_name)) ||
			       change_run(control->store, shut_out, (void *)host_name, NULL, error)) &&
		       fault_set(error, FAULT_NOT_FOUND, "there is no host %s", host_name);
	g_autofree char *prefix = key_placements(host->meta.uid), *end = store_prefix_end(prefix);
	if (!store_list(control->store, prefix, end, 0, 0, &placed, NULL, error) ||
		!check_removable(control, host, lost ? 0 : placed.kvs->len, error) ||
		!give_up_all(&removal, &placed, names, error) ||
		!balancers_leave_host(control, host->meta.uid, error) ||
		!change_run(control->store, take_out, &removal, NULL, error))
		return false;
	log_info(host->meta.name, "removed; %u virtual machines were lost with it", names->len);
	hosts_forget(control, host->meta.uid);
	*ret_lost = g_steal_pointer(&names);
	return true;
}

/* ---- when it comes back ---- */

bool control_admit_host(
	struct control *control, const char *host_name, int64_t certificate_made_s, GError **error)
{
	g_autofree char *name = g_ascii_strdown(host_name, -1), *key = key_pool(POOL_REMOVED_HOST, name);
	_cleanup_(store_kv_free) struct store_kv *kv = NULL;
	gsize length;

	if (!store_get(control->store, key, &kv, error))
		return false;
	if (!kv)
		return true;
	const char *data = g_bytes_get_data(kv->value, &length);
	g_autofree char *text = g_strndup(data, length);
	if (g_ascii_strtoll(text, NULL, 10) < certificate_made_s)
		return true;
	return fault_set(error, FAULT_DENIED,
		"host %s was removed from the cloud, and what still runs there must not go on. End 'sluice "
		"up' there "
		"and empty its state folder but for images/; to take it in again, run 'sluice host add %s' "
		"where the "
		"controller is, and copy the certificates anew",
		host_name, host_name);
}
