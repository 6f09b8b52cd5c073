/* Which host answers for the addresses of public load balancers, and who is no member while its host is down.
 *
 * How it works. Each load balancer has all hosts in a line of its own (rendezvous hashing), so that they spread, and goes to
 * the first one when it is made. It stays there until that host has been silent for so long that it counts as down: then it
 * goes to the first in line that reports, and stays there, too, when the first one comes back, since each move costs
 * connections. While nobody reports nothing moves: then it is the controller that is cut off.
 *
 * What a silent host's probes found last is forgotten, and so its members get no new connections, until it reports again.
 *
 * A silent host may be one whose agent alone is away. Its switch goes on with what it knows, but leaves the addresses to
 * the switch that announces them (arp.c there).
 */
#include "base/fault.h"
#include "base/log.h"
#include "control/control_priv.h"

static guint rank_of(const struct balancer *balancer, const struct host *host)
{
	g_autofree char *pair = g_strconcat(balancer->meta.uid, host->meta.uid, NULL);

	return g_str_hash(pair) * 0x9e3779b1u;
}

/* The first in line of those that `may` (NULL: all) lets. Borrowed from the list; NULL: there is none. */
static const struct host *first_in_line(const struct balancer *balancer, const GPtrArray *hosts,
	bool (*may)(const struct host *host, void *data), void *data)
{
	const struct host *best = NULL;

	for (guint i = 0; i < list_length(hosts); i++) {
		const struct host *host = hosts->pdata[i];
		if (may && !may(host, data))
			continue;
		if (!best || rank_of(balancer, host) > rank_of(balancer, best))
			best = host;
	}
	return best;
}

bool balancer_settle(struct change *change, struct balancer *balancer, GError **error)
{
	if (balancer_is_internal(balancer)) {
		g_clear_pointer(&balancer->status.host, g_free);
		return true;
	}
	if (balancer->status.host)
		return true;
	g_autoptr(GPtrArray) hosts = change_list(change, KIND_HOST, error);
	const struct host *best = first_in_line(balancer, hosts, NULL, NULL);
	balancer->status.host = best ? g_strdup(best->meta.uid) : NULL;
	return hosts != NULL;
}

/* ---- its host is down ---- */

struct rescue {
	struct control *control; /* Borrowed */
	const char *balancer; /* uid. Borrowed */
	const char *from; /* uid of the host. Borrowed */
	char *name; /* Owned: of the host that it goes to; NULL: it stays */
	bool tunnel; /* the host has to have a VTEP, as the one before */
};

static bool may_take_over(const struct host *host, void *data)
{
	const struct rescue *rescue = data;
	struct host_live live;

	hosts_live(rescue->control, host->meta.uid, &live);
	return live.alive && !live.drained && (host->status.vtep || !rescue->tunnel);
}

static bool move(struct change *change, void *data, GError **error)
{
	struct rescue *rescue = data;
	struct balancer *balancer = change_get(change, KIND_BALANCER, rescue->balancer, NULL);
	const struct host *from = change_get(change, KIND_HOST, rescue->from, NULL);
	g_autoptr(GPtrArray) hosts = change_list(change, KIND_HOST, error);

	g_clear_pointer(&rescue->name, g_free);
	if (!balancer || g_strcmp0(balancer->status.host, rescue->from) != 0)
		return hosts != NULL; /* it has gone, or moved, meanwhile */
	rescue->tunnel = from && from->status.vtep;
	const struct host *to = first_in_line(balancer, hosts, may_take_over, rescue);
	if (!to)
		return hosts != NULL;
	g_free(balancer->status.host);
	balancer->status.host = g_strdup(to->meta.uid);
	rescue->name = g_strdup(to->meta.name);
	change_put(change, balancer);
	return true;
}

static void rescue(struct control *control, const struct balancer *balancer)
{
	struct rescue rescue = {
		.control = control, .balancer = balancer->meta.uid, .from = balancer->status.host};
	_cleanup_(model_free) struct host *from = control_get(control, KIND_HOST, rescue.from, NULL);
	g_autoptr(GError) failure = NULL;

	if (!change_run(control->store, move, &rescue, NULL, &failure))
		log_error(balancer->meta.name, "it cannot leave its host, which is silent: %s",
			failure->message);
	else if (rescue.name)
		log_warn(balancer->meta.name, "host %s is silent: load balancer goes to host %s",
			from ? from->meta.name : rescue.from, rescue.name);
	g_free(rescue.name);
}

/* ---- its host is none any more ---- */

static bool is_other(const struct host *host, void *data)
{
	return !g_str_equal(host->meta.uid, ((const struct rescue *)data)->from);
}

static bool leave(struct change *change, void *data, GError **error)
{
	struct rescue *rescue = data;
	struct balancer *balancer = change_get(change, KIND_BALANCER, rescue->balancer, NULL);
	g_autoptr(GPtrArray) hosts = change_list(change, KIND_HOST, error);

	if (!balancer || g_strcmp0(balancer->status.host, rescue->from) != 0)
		return hosts != NULL;
	const struct host *to = first_in_line(balancer, hosts, may_take_over, rescue);
	if (!to)
		to = first_in_line(balancer, hosts, is_other, rescue);
	g_free(balancer->status.host);
	balancer->status.host = to ? g_strdup(to->meta.uid) : NULL;
	change_put(change, balancer);
	return hosts != NULL;
}

bool balancers_leave_host(struct control *control, const char *host, GError **error)
{
	g_autoptr(GPtrArray) balancers = control_list(control, KIND_BALANCER, NULL, error);

	for (guint i = 0; i < list_length(balancers); i++) {
		const struct balancer *balancer = balancers->pdata[i];
		struct rescue rescue = {.control = control, .balancer = balancer->meta.uid, .from = host};
		if (g_strcmp0(balancer->status.host, host) == 0 &&
			!change_run(control->store, leave, &rescue, NULL, error))
			return false;
	}
	return balancers != NULL;
}

/* ---- its members' hosts are ---- */

struct forgetting {
	struct control *control; /* Borrowed */
	const char *nic; /* uid. Borrowed */
};

static bool is_lost(struct control *control, const struct nic *nic)
{
	_cleanup_(model_free) struct vm *vm = list_length(nic->status.well) && nic->status.vm
						      ? control_get(control, KIND_VM, nic->status.vm, NULL)
						      : NULL;

	return vm && vm->status.host && hosts_is_silent(control, vm->status.host);
}

static bool forget(struct change *change, void *data, GError **error)
{
	const struct forgetting *forgetting = data;
	struct nic *nic = change_get(change, KIND_NIC, forgetting->nic, NULL);

	if (!nic || !is_lost(forgetting->control, nic))
		return true;
	g_clear_pointer(&nic->status.well, g_ptr_array_unref);
	change_put(change, nic);
	return true;
}

static void forget_lost(struct control *control, const struct balancer *balancer)
{
	for (guint i = 0; i < list_length(balancer->status.members); i++) {
		const struct balancer_member *member = balancer->status.members->pdata[i];
		struct forgetting forgetting = {control, member->nic};
		_cleanup_(model_free) struct nic *nic = control_get(control, KIND_NIC, member->nic, NULL);
		g_autoptr(GError) failure = NULL;
		if (nic && is_lost(control, nic) &&
			!change_run(control->store, forget, &forgetting, NULL, &failure))
			log_error(nic->meta.name, "it cannot be taken for lost with its host: %s",
				failure->message);
	}
}

void balancers_leave_silent(struct control *control)
{
	if (!hosts_any_silent(control) || !hosts_any_alive(control))
		return;
	g_autoptr(GPtrArray) balancers = control_list(control, KIND_BALANCER, NULL, NULL);
	for (guint i = 0; i < list_length(balancers); i++) {
		const struct balancer *balancer = balancers->pdata[i];
		if (balancer->status.host && hosts_is_silent(control, balancer->status.host))
			rescue(control, balancer);
		forget_lost(control, balancer);
	}
}
