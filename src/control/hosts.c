/* Hosts: their goal states going out, their reports coming in.
 *
 * How it works. What a host must do is computed whole from the store (goal.c). A goal's version is the
 * store's revision at which its content last changed, so versions only grow, also over a restart: then the
 * same content goes out once more under a newer version, which an agent applies for nothing. `checked` is the
 * revision up to which that content is known to hold; together they answer "has this host applied revision
 * R?".
 *
 * Reports are kept in memory only, for they come again; what users see of them (power states, paths) and what
 * other hosts' goals are made of (VTEPs) is written to the objects when it changes.
 */
#include "base/failpoint.h"
#include "base/fault.h"
#include "base/log.h"
#include "control/control_priv.h"

#include <string.h>

struct live {
	char *name;
	char *uid;
	struct goal *goal; /* the newest; NULL: never computed */
	int64_t checked; /* revision up to which `goal` is what the store says */
	GHashTable *
		since; /* uid of a VM → version (int64_t, Owned) since which it is in `goal` as it is there now */
	struct report *report; /* the last; NULL: none yet */
	bool ours; /* the report was about a goal of this store when it came */
	int64_t seen_us; /* monotonic time of it */
};

struct waiter {
	guint id;
	char *host_name;
	int64_t after;
	control_goal_fn fn;
	void *data;
	guint timeout;
	struct control *control;
};

struct hosts {
	int64_t opened_us; /* monotonic */
	GHashTable *by_name; /* of struct live, Owned; all that ever reported */
	GList *waiters; /* of struct waiter */
	guint next_id;
	guint refresh; /* idle source, 0: none */
};

static void live_free(void *data)
{
	struct live *live = data;

	g_free(live->name);
	g_free(live->uid);
	g_clear_pointer(&live->goal, goal_free);
	g_clear_pointer(&live->report, report_free);
	g_clear_pointer(&live->since, g_hash_table_unref);
	g_free(live);
}

static void waiter_free(struct waiter *waiter)
{
	if (waiter->timeout)
		g_source_remove(waiter->timeout);
	g_free(waiter->host_name);
	g_free(waiter);
}

struct hosts *hosts_open(struct control *control, GError **error)
{
	g_autoptr(GPtrArray) known = control_list(control, KIND_HOST, NULL, error);

	if (!known)
		return NULL;
	struct hosts *hosts = g_new0(struct hosts, 1);
	hosts->opened_us = g_get_monotonic_time();
	hosts->by_name = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, live_free);
	for (guint i = 0; i < known->len; i++) {
		const struct host *host = known->pdata[i];
		struct live *live = g_new0(struct live, 1);
		live->name = g_strdup(host->meta.name);
		live->uid = g_strdup(host->meta.uid);
		g_hash_table_insert(hosts->by_name, live->name, live);
	}
	return hosts;
}

void hosts_close(struct hosts *hosts)
{
	if (!hosts)
		return;
	if (hosts->refresh)
		g_source_remove(hosts->refresh);
	g_list_free_full(hosts->waiters, (GDestroyNotify)waiter_free);
	g_hash_table_unref(hosts->by_name);
	g_free(hosts);
}

/* ---- the host's record ---- */

static bool ensure_host(struct change *change, void *data, GError **error)
{
	struct live *live = data;
	void *there;

	if (!change_find(change, KIND_HOST, NULL, live->name, &there, error))
		return false;
	struct host *host = there ? there : model_new(KIND_HOST, live->name, NULL);
	g_free(live->uid);
	live->uid = g_strdup(host->meta.uid);
	if (!there) {
		change_put(change, host);
		change_name(change, host);
		model_free(host);
	}
	return true;
}

static struct live *get_live(struct control *control, const char *host_name, GError **error)
{
	struct live *live = g_hash_table_lookup(control->hosts->by_name, host_name);

	if (live)
		return live;
	live = g_new0(struct live, 1);
	live->name = g_strdup(host_name);
	if (!change_run(control->store, ensure_host, live, NULL, error)) {
		live_free(live);
		return NULL;
	}
	g_hash_table_insert(control->hosts->by_name, live->name, live);
	return live;
}

static struct live *find_live(struct control *control, const char *host)
{
	GHashTableIter iter;
	void *value;

	g_hash_table_iter_init(&iter, control->hosts->by_name);
	while (g_hash_table_iter_next(&iter, NULL, &value))
		if (g_str_equal(((struct live *)value)->uid, host))
			return value;
	return NULL;
}

static bool is_alive(const struct control *control, const struct live *live)
{
	return live->report && g_get_monotonic_time() - live->seen_us < control->silent_us;
}

/* A host that has not reported yet may still do so, for a while after the controller's own start. */
static bool is_awaited(const struct control *control, const struct live *live)
{
	return !live->report && g_get_monotonic_time() - control->hosts->opened_us < control->silent_us;
}

bool hosts_awaited(struct control *control)
{
	GHashTableIter iter;
	void *value;

	if (g_hash_table_size(control->hosts->by_name) == 0)
		return g_get_monotonic_time() - control->hosts->opened_us < control->silent_us;
	g_hash_table_iter_init(&iter, control->hosts->by_name);
	while (g_hash_table_iter_next(&iter, NULL, &value))
		if (is_awaited(control, value))
			return true;
	return false;
}

/* ---- goals ---- */

/* goal becomes the newest one. Takes it. */
static void take_goal(struct live *live, struct goal *goal)
{
	g_autoptr(GHashTable) before = g_hash_table_new(g_str_hash, g_str_equal),
			      since = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);

	for (guint i = 0; live->goal && i < list_length(live->goal->vms); i++) {
		struct goal_vm *vm = live->goal->vms->pdata[i];
		g_hash_table_insert(before, vm->uid, vm);
	}
	for (guint i = 0; i < list_length(goal->vms); i++) {
		const struct goal_vm *vm = goal->vms->pdata[i], *was = g_hash_table_lookup(before, vm->uid);
		bool same = was && shape_equal(&goal_vm_shape, vm, was);
		const int64_t *version = same ? g_hash_table_lookup(live->since, vm->uid) : &goal->version;
		g_hash_table_insert(since, g_strdup(vm->uid), g_memdup2(version, sizeof *version));
	}
	g_clear_pointer(&live->since, g_hash_table_unref);
	live->since = g_steal_pointer(&since);
	g_clear_pointer(&live->goal, goal_free);
	live->goal = goal;
}

/* Makes live->goal hold for the store as it is now. */
static bool refresh(struct control *control, struct live *live, GError **error)
{
	int64_t revision;

	if (!control_revision(control, &revision, error))
		return false;
	if (live->goal && live->checked == revision)
		return true;
	_cleanup_(model_free) struct host *host = control_get(control, KIND_HOST, live->uid, error);
	_cleanup_(goal_free) struct goal *goal = host ? goal_build(control, host, revision, error) : NULL;
	if (!goal)
		return false;
	goal->version = live->goal ? live->goal->version : revision;
	if (!live->goal || !shape_equal(&goal_shape, goal, live->goal)) {
		goal->version = revision;
		take_goal(live, g_steal_pointer(&goal));
	}
	live->checked = revision;
	return true;
}

/* Makes live->goal hold for the store as it is at that revision or later. Where many operations wait, each that ends is a
 * revision more, and a goal takes long to build: those of one pass share it. */
static bool refresh_to(struct control *control, struct live *live, int64_t revision, GError **error)
{
	return (live->goal && live->checked >= revision) ||
	       (refresh(control, live, error) && live->checked >= revision);
}

struct goal *control_goal(struct control *control, const char *host_name, GError **error)
{
	struct live *live = get_live(control, host_name, error);

	if (!live || !refresh(control, live, error))
		return NULL;
	return shape_copy(&goal_shape, live->goal);
}

static void answer(struct control *control, struct waiter *waiter, const struct goal *goal)
{
	control->hosts->waiters = g_list_remove(control->hosts->waiters, waiter);
	waiter->fn(goal, waiter->data);
	waiter_free(waiter);
}

static gboolean refresh_waited(void *data)
{
	struct control *control = data;
	g_autoptr(GList) waiters = g_list_copy(control->hosts->waiters);

	control->hosts->refresh = 0;
	for (GList *item = waiters; item; item = item->next) {
		struct waiter *waiter = item->data;
		g_autoptr(GError) failure = NULL;
		struct live *live = get_live(control, waiter->host_name, &failure);
		if (!live || !refresh(control, live, &failure))
			log_error(waiter->host_name, "its goal cannot be computed: %s", failure->message);
		else if (live->goal->version > waiter->after)
			answer(control, waiter, live->goal);
		else if (consoles_has_news(control, waiter->host_name))
			answer(control, waiter, NULL);
	}
	return G_SOURCE_REMOVE;
}

void hosts_touch(struct control *control)
{
	if (!control->hosts->refresh)
		control->hosts->refresh = g_idle_add(refresh_waited, control);
}

static gboolean waited_enough(void *data)
{
	struct waiter *waiter = data;

	waiter->timeout = 0;
	answer(waiter->control, waiter, NULL);
	return G_SOURCE_REMOVE;
}

guint control_goal_wait(struct control *control, const char *host_name, int64_t after, unsigned timeout_ms,
	control_goal_fn fn, void *data)
{
	struct waiter *waiter = g_new0(struct waiter, 1);

	*waiter = (struct waiter){
		.id = ++control->hosts->next_id,
		.host_name = g_strdup(host_name),
		.after = after,
		.fn = fn,
		.data = data,
		.timeout = g_timeout_add(timeout_ms, waited_enough, waiter),
		.control = control,
	};
	control->hosts->waiters = g_list_append(control->hosts->waiters, waiter);
	hosts_touch(control);
	return waiter->id;
}

void control_goal_wait_cancel(struct control *control, guint id)
{
	for (GList *item = control->hosts->waiters; item; item = item->next) {
		struct waiter *waiter = item->data;
		if (waiter->id != id)
			continue;
		control->hosts->waiters = g_list_delete_link(control->hosts->waiters, item);
		waiter_free(waiter);
		return;
	}
}

void hosts_forget(struct control *control, const char *host)
{
	struct live *live;

	while ((live = find_live(control, host))) {
		g_autoptr(GList) waiters = g_list_copy(control->hosts->waiters);
		for (GList *item = waiters; item; item = item->next)
			if (g_str_equal(((struct waiter *)item->data)->host_name, live->name))
				answer(control, item->data, NULL);
		g_hash_table_remove(control->hosts->by_name, live->name);
	}
}

/* ---- what hosts have applied ---- */

/* The report is about a goal of this store as it is: a host may still follow that of a store that was lost or set back.
 * No host has a newer goal than live->goal. */
static bool follows_us(const struct live *live)
{
	const struct report *report = live->report;

	return report && live->ours && g_strcmp0(report->goal_host, live->uid) == 0 &&
	       report->received <= live->goal->version && report->applied <= live->goal->version;
}

static bool has_placements(struct control *control, const struct live *live)
{
	g_autofree char *prefix = key_placements(live->uid), *end = store_prefix_end(prefix);
	_cleanup_(store_range_clear) struct store_range range = {};

	return !store_list(control->store, prefix, end, 0, 1, &range, NULL, NULL) || range.kvs->len > 0;
}

/* NULL when the host has applied the operation; else why not. Owned by the caller. */
static char *behind(struct control *control, struct live *live, const struct operation *operation)
{
	g_autoptr(GError) failure = NULL;

	if (!has_placements(control, live))
		return NULL;
	/* One that runs was written once, so its revision is that of the change it belongs to. */
	if (!refresh_to(control, live, operation->meta.revision, &failure))
		return g_strdup_printf("the goal of host %s cannot be computed: %s", live->name,
			failure ? failure->message : "the store is behind");
	/* What it uses goes on there as it was; what it has nothing to do with is not held up. */
	if (!is_alive(control, live))
		return exposure_concerns(control, live->goal, operation)
			       ? g_strdup_printf("the agent of host %s does not report", live->name)
			       : NULL;
	/* The goal may have changed since for other reasons; where many make changes it always has. One whose version is the
	 * operation's revision or newer has the operation in it. */
	if (!follows_us(live) || live->report->applied < MIN(live->goal->version, operation->meta.revision))
		return g_strdup_printf("host %s has not applied it yet", live->name);
	return exposure_behind(control, live->report, operation);
}

bool hosts_applied(struct control *control, const struct operation *operation, char **ret_behind)
{
	GHashTableIter iter;
	void *value;

	g_hash_table_iter_init(&iter, control->hosts->by_name);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		*ret_behind = behind(control, value, operation);
		if (*ret_behind)
			return false;
	}
	return true;
}

const struct report_vm *hosts_vm_report(
	struct control *control, const char *host, const struct vm *vm, int64_t revision)
{
	struct live *live = find_live(control, host);

	if (!live || !refresh_to(control, live, MAX(revision, vm->meta.revision), NULL) || !follows_us(live))
		return NULL;
	/* The rest of the goal may have changed since. */
	const int64_t *since = g_hash_table_lookup(live->since, vm->meta.uid);
	if (live->report->received < (since ? *since : live->goal->version))
		return NULL;
	for (guint i = 0; i < list_length(live->report->vms); i++) {
		const struct report_vm *report = live->report->vms->pdata[i];
		if (g_strcmp0(report->uid, vm->meta.uid) == 0)
			return report;
	}
	return NULL;
}

const struct report *control_last_report(struct control *control, const char *host_name)
{
	struct live *live = g_hash_table_lookup(control->hosts->by_name, host_name);

	return live ? live->report : NULL;
}

void hosts_live(struct control *control, const char *host, struct host_live *ret)
{
	const struct live *live = find_live(control, host);

	*ret = (struct host_live){.alive = live && is_alive(control, live)};
	if (live && live->report) {
		ret->drained = live->report->drained;
		ret->vcpus = live->report->vcpus;
		ret->memory_mib = live->report->memory_mib;
		ret->available_mib = live->report->available_mib;
		ret->report = live->report;
	}
}

static bool is_silent(const struct control *control, const struct live *live)
{
	return !is_alive(control, live) && !is_awaited(control, live);
}

bool hosts_is_silent(struct control *control, const char *host)
{
	const struct live *live = find_live(control, host);

	return !live || is_silent(control, live);
}

bool control_host_is_silent(struct control *control, const struct host *host)
{
	return hosts_is_silent(control, host->meta.uid);
}

bool hosts_any_silent(struct control *control)
{
	GHashTableIter iter;
	void *live;

	g_hash_table_iter_init(&iter, control->hosts->by_name);
	while (g_hash_table_iter_next(&iter, NULL, &live))
		if (is_silent(control, live))
			return true;
	return false;
}

bool hosts_any_alive(struct control *control)
{
	GHashTableIter iter;
	void *live;

	g_hash_table_iter_init(&iter, control->hosts->by_name);
	while (g_hash_table_iter_next(&iter, NULL, &live))
		if (is_alive(control, live))
			return true;
	return false;
}

/* ---- reports ---- */

struct note {
	struct control *control;
	const struct report *report;
	const char *host; /* uid */
	const void *entry;
};

void hosts_clear_paths(struct change *change, const struct vm *vm)
{
	for (guint i = 0; i < list_length(vm->spec.nics); i++) {
		const struct vm_nic_ref *ref = vm->spec.nics->pdata[i];
		struct nic *nic = change_get(change, KIND_NIC, ref->nic, NULL);
		if (!nic)
			continue;
		nic_clear_path(nic);
		change_put(change, nic);
	}
}

/* A guest that is not heard any more is still what it was; of a disk that is to go nothing is wanted. */
static bool take_guest(struct vm *vm, const struct report_vm *report)
{
	const struct guest_os *reported = &report->guest;
	bool heard = report->reimages == vm->spec.reimages && guest_os_is_sound(reported);

	if (heard == vm->status.guest_heard &&
		(!heard || shape_equal(&guest_os_shape, reported, &vm->status.guest)))
		return false;
	vm->status.guest_heard = heard;
	if (heard)
		guest_os_take(&vm->status.guest, reported);
	return true;
}

/* Takes what the host says of the VM; whether that is news. */
static bool take_vm(struct vm *vm, const struct note *note)
{
	const struct report_vm *report = note->entry;

	if (g_strcmp0(vm->status.host, note->host) != 0 || report->absent)
		return false;
	bool news = take_guest(vm, report);
	if (vm->status.power == report->power && vm->status.restarts_done == report->restarts &&
		g_strcmp0(vm->status.detail, report->message) == 0)
		return news;
	if (report->power == POWER_STATE_RUNNING && vm->status.power != POWER_STATE_RUNNING)
		vm->status.started_us = g_get_real_time();
	vm->status.power = report->power;
	vm->status.restarts_done = report->restarts;
	g_free(vm->status.detail);
	vm->status.detail = g_strdup(report->message);
	return true;
}

static bool note_vm(struct change *change, void *data, GError **error)
{
	const struct note *note = data;
	const struct report_vm *report = note->entry;
	struct vm *vm = change_get(change, KIND_VM, report->uid, NULL);
	int before = vm ? vm->status.power : 0;

	if (!vm || !take_vm(vm, note))
		return true;
	if (report->power == POWER_STATE_DEALLOCATED && before != POWER_STATE_DEALLOCATED)
		hosts_clear_paths(change, vm);
	change_put(change, vm);
	return true;
}

static bool take_driver(struct nic *nic, const char *driver)
{
	if (!guest_word_is_sound(driver) || g_strcmp0(nic->status.driver, driver) == 0)
		return false;
	g_free(nic->status.driver);
	nic->status.driver = g_strdup(driver);
	return true;
}

/* A host speaks for the NICs of its own VMs only. */
static bool take_nic(struct nic *nic, const struct vm *vm, const struct note *note)
{
	const struct report_nic *report = note->entry;

	if (!vm || g_strcmp0(vm->status.host, note->host) != 0 || vm->spec.power == POWER_DEALLOCATED)
		return false;
	g_autofree char *reason = nic_reason(note->control, nic, vm, report->reason);
	bool new_health = balancing_note(nic, report->well);
	bool new_driver = take_driver(nic, report->driver);
	if (!new_health && !new_driver && nic->status.path == report->path &&
		nic->status.enforcement == report->enforcement && g_strcmp0(nic->status.reason, reason) == 0)
		return false;
	nic->status.path = report->path;
	nic->status.enforcement = report->enforcement;
	g_free(nic->status.reason);
	nic->status.reason = g_steal_pointer(&reason);
	return true;
}

static bool note_nic(struct change *change, void *data, GError **error)
{
	const struct note *note = data;
	const struct report_nic *report = note->entry;
	struct nic *nic = change_get(change, KIND_NIC, report->uid, NULL);
	const struct vm *vm =
		nic && nic->status.vm ? change_get(change, KIND_VM, nic->status.vm, NULL) : NULL;

	if (nic && take_nic(nic, vm, note))
		change_put(change, nic);
	return true;
}

/* Most of what a host says it has said before; a transaction is for the rest. */
static bool is_news_of_vm(struct control *control, const struct note *note)
{
	const struct report_vm *report = note->entry;
	_cleanup_(model_free) struct vm *vm = control_get(control, KIND_VM, report->uid, NULL);

	return vm && take_vm(vm, note);
}

static bool is_news_of_nic(struct control *control, const struct note *note)
{
	const struct report_nic *report = note->entry;
	_cleanup_(model_free) struct nic *nic = control_get(control, KIND_NIC, report->uid, NULL);
	_cleanup_(model_free) struct vm *vm =
		nic && nic->status.vm ? control_get(control, KIND_VM, nic->status.vm, NULL) : NULL;

	return nic && take_nic(nic, vm, note);
}

static void note_physicals(struct host *host, const GPtrArray *names)
{
	g_clear_pointer(&host->status.physicals, g_ptr_array_unref);
	host->status.physicals = strings_new();
	for (guint i = 0; i < list_length(names); i++)
		g_ptr_array_add(host->status.physicals, g_strdup(names->pdata[i]));
}

static bool note_host(struct change *change, void *data, GError **error)
{
	const struct note *note = data;
	const struct report *report = note->report;
	struct host *host = change_get(change, KIND_HOST, note->host, error);
	bool placed;

	if (!host)
		return false;
	_cleanup_(model_free) struct host *before = model_copy(host);
	host->status.vcpus = report->vcpus;
	host->status.memory_mib = report->memory_mib;
	host->status.kvm = report->kvm;
	g_free(host->status.accel_detail);
	host->status.accel_detail = g_strdup(report->accel_detail);
	g_free(host->status.provider);
	host->status.provider = g_strdup(report->provider);
	g_free(host->status.version);
	host->status.version = g_strdup(report->version);
	g_free(host->status.tunnel);
	host->status.tunnel = g_strdup(report->tunnel);
	note_physicals(host, report->physicals);
	if (!overlay_note_vtep(change, host, report->vtep, error) ||
		!change_has_placed(change, note->host, &placed, error) ||
		!outbound_settle(note->control, change, host, placed, error))
		return false;
	if (!shape_equal(kind_info(KIND_HOST)->shape, before, host))
		change_put(change, host);
	return true;
}

/* What a host sends is not trusted to be whole. */
static bool check_report(const struct report *report, GError **error)
{
	for (guint i = 0; i < list_length(report->vms); i++)
		if (!((const struct report_vm *)report->vms->pdata[i])->uid)
			return fault_set(error, FAULT_INVALID, "vms[%u].uid is missing in the report", i);
	for (guint i = 0; i < list_length(report->nics); i++)
		if (!((const struct report_nic *)report->nics->pdata[i])->uid)
			return fault_set(error, FAULT_INVALID, "nics[%u].uid is missing in the report", i);
	for (guint i = 0; i < list_length(report->exposed); i++) {
		const struct report_exposure *exposed = report->exposed->pdata[i];
		if (!exposed->nic || !exposed->vm || !exposed->reason)
			return fault_set(error, FAULT_INVALID, "exposed[%u] is not whole in the report", i);
	}
	return overlay_check_vtep(report->vtep, error);
}

bool control_report(
	struct control *control, const char *host_name, const struct report *report, GError **error)
{
	struct live *live = check_report(report, error) ? get_live(control, host_name, error) : NULL;

	if (!live)
		return false;
	struct note note = {.control = control, .report = report, .host = live->uid};
	if (!change_run(control->store, note_host, &note, NULL, error))
		return false;
	for (guint i = 0; i < list_length(report->vms); i++) {
		note.entry = report->vms->pdata[i];
		if (is_news_of_vm(control, &note) && !change_run(control->store, note_vm, &note, NULL, error))
			return false;
	}
	for (guint i = 0; i < list_length(report->nics); i++) {
		note.entry = report->nics->pdata[i];
		if (is_news_of_nic(control, &note) &&
			!change_run(control->store, note_nic, &note, NULL, error))
			return false;
	}
	failpoint(FAILPOINT_CONTROL_REPORTED);
	int64_t now;
	g_clear_pointer(&live->report, report_free);
	live->report = shape_copy(&report_shape, report);
	live->ours =
		control_revision(control, &now, NULL) && report->received <= now && report->applied <= now;
	live->seen_us = g_get_monotonic_time();
	reconciler_kick(control);
	return true;
}
