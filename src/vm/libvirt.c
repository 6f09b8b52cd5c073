/* VM manager on libvirt.
 *
 * How it works: each operation takes the connection and the domain (libvirt_call.c), looks whether the wish is
 * fulfilled already, asks libvirt, and turns its error into a fault. libvirt serialises what concerns one
 * domain and lets the rest run side by side on one connection.
 *
 * define writes the definition, with the directory in its metadata, before it makes the directory; remove
 * deletes the directory before the definition. So a directory never exists without a definition that leads to
 * it, wherever a kill strikes.
 *
 * start is guarded by a thread that ends the domain at the deadline: a QEMU that waits for the switch answers
 * nothing, so neither libvirt nor we could otherwise get out of the call (see vm.h).
 */
#include "base/fault.h"
#include "vm/domain_xml.h"
#include "vm/files.h"
#include "vm/image.h"
#include "vm/libvirt_priv.h"

#include <stdlib.h>
#include <string.h>

#define LOOK_US         (G_USEC_PER_SEC / 2) /* events may be missed; look at least this often */
#define POWER_BUTTON_US (5 * G_USEC_PER_SEC) /* a guest that was still booting has not heard the first */

static bool is_active(struct libvirt_call *call)
{
	return virDomainIsActive(call->domain) == 1;
}

static bool power_off(struct libvirt_call *call, GError **error)
{
	if (virDomainDestroy(call->domain) == 0 || virDomainIsActive(call->domain) == 0)
		return true;
	return libvirt_call_fail(call, "turn off", FAULT_INTERNAL, error);
}

static char *version_text(unsigned long version)
{
	return g_strdup_printf("%lu.%lu.%lu", version / 1000000, version / 1000 % 1000, version % 1000);
}

/* *ret_lost: it failed because the daemon went away. */
static bool ask_versions(struct vm_manager *manager, unsigned long *ret_qemu, unsigned long *ret_daemon,
	bool *ret_lost, GError **error)
{
	_cleanup_(libvirt_call_end) struct libvirt_call call = {};

	*ret_lost = false;
	if (!libvirt_call_begin(&call, manager, NULL, error))
		return false;
	if (virConnectGetVersion(call.conn, ret_qemu) >= 0 &&
		virConnectGetLibVersion(call.conn, ret_daemon) >= 0)
		return true;
	libvirt_fail(call.conn, "cannot ask libvirt for its version", FAULT_INTERNAL, error);
	*ret_lost = virConnectIsAlive(call.conn) != 1;
	return false;
}

/* Asks again after a daemon that dies meanwhile: an agent cannot start without the answer. */
static bool libvirt_host(struct vm_manager *manager, struct vm_host *ret, GError **error)
{
	const struct libvirt_manager *libvirt = libvirt_manager_of(manager);
	g_autoptr(GError) failure = NULL;
	unsigned long qemu, daemon;
	bool lost;

	if (!ask_versions(manager, &qemu, &daemon, &lost, &failure)) {
		if (!lost) {
			g_propagate_error(error, g_steal_pointer(&failure));
			return false;
		}
		if (!ask_versions(manager, &qemu, &daemon, &lost, error))
			return false;
	}
	g_autofree char *qemu_text = version_text(qemu), *daemon_text = version_text(daemon);
	*ret = (struct vm_host){
		.kvm = libvirt->probe.outcome == KVM_USABLE,
		.accel_detail = kvm_probe_describe(&libvirt->probe),
		.version = g_strdup_printf("QEMU %s, libvirt %s", qemu_text, daemon_text),
	};
	return true;
}

static bool libvirt_define(struct vm_manager *manager, const struct vm_spec *spec, GError **error)
{
	const struct libvirt_manager *libvirt = libvirt_manager_of(manager);
	_cleanup_(libvirt_call_end) struct libvirt_call call = {};

	if (!vm_spec_check(spec, error) || !libvirt_call_begin(&call, manager, NULL, error))
		return false;
	call.domain = virDomainLookupByUUIDString(call.conn, spec->uid);
	if (call.domain && is_active(&call))
		return true;
	g_clear_pointer(&call.domain, virDomainFree);
	_cleanup_(image_free) struct image *image = image_load(libvirt->image_dir, spec->image, error);
	if (!image) {
		g_prefix_error(error, "vm %s: ", spec->name);
		return false;
	}
	g_autofree char *xml = domain_xml_format(spec, &(struct domain_xml_options){.image = image,
							       .kvm = libvirt->probe.outcome == KVM_USABLE,
							       .emulator = libvirt->emulator});
	call.domain = virDomainDefineXML(call.conn, xml);
	if (!call.domain) {
		g_autofree char *what = g_strdup_printf("cannot define vm %s", spec->name);
		return libvirt_fail(call.conn, what, FAULT_INTERNAL, error);
	}
	libvirt_link_add(libvirt->link, spec->uid);
	return vm_files_prepare(spec, image, error);
}

static bool libvirt_take_disk(
	struct vm_manager *manager, const struct vm_spec *spec, const char *path, GError **error)
{
	const struct libvirt_manager *libvirt = libvirt_manager_of(manager);
	_cleanup_(libvirt_call_end) struct libvirt_call call = {};

	if (!libvirt_call_begin(&call, manager, spec->uid, error))
		return false;
	if (is_active(&call))
		return fault_set(
			error, FAULT_NOT_ALLOWED, "vm %s runs; its disk is not replaced", spec->name);
	_cleanup_(image_free) struct image *image = image_load(libvirt->image_dir, spec->image, error);
	if (!image)
		return false;
	return vm_files_take_disk(spec, image, path, error);
}

/* Ends a domain whose start takes too long. */
struct guard {
	virDomainPtr domain; /* Borrowed */
	unsigned limit_s;
	GThread *thread;
	GMutex lock;
	GCond changed;
	bool done, fired;
};

static void *guard_run(void *data)
{
	struct guard *guard = data;
	gint64 deadline_us = g_get_monotonic_time() + guard->limit_s * G_USEC_PER_SEC;

	g_mutex_lock(&guard->lock);
	while (!guard->done && g_cond_wait_until(&guard->changed, &guard->lock, deadline_us))
		;
	bool late = guard->fired = !guard->done;
	g_mutex_unlock(&guard->lock);
	if (late)
		virDomainDestroy(guard->domain);
	return NULL;
}

static void guard_begin(struct guard *guard, struct libvirt_call *call)
{
	*guard = (struct guard){.domain = call->domain, .limit_s = libvirt_call_start_limit(call)};
	g_mutex_init(&guard->lock);
	g_cond_init(&guard->changed);
	guard->thread = g_thread_new("vm-start-guard", guard_run, guard);
}

/* Whether it fired. */
static bool guard_end(struct guard *guard)
{
	g_mutex_lock(&guard->lock);
	guard->done = true;
	g_cond_signal(&guard->changed);
	g_mutex_unlock(&guard->lock);
	g_thread_join(guard->thread);
	g_mutex_clear(&guard->lock);
	g_cond_clear(&guard->changed);
	return guard->fired;
}

static bool start_late(struct libvirt_call *call, unsigned limit_s, GError **error)
{
	/* QEMU's last words, which libvirt passes on: said before each NIC, also of one to which the switch connects at once. */
	bool switch_away = strstr(virGetLastErrorMessage(), "waiting for connection");

	return fault_set(error, FAULT_UNAVAILABLE,
		switch_away
			? "vm %s was not started: the switch did not connect to its NICs within %u s, or "
			  "the host was too busy for QEMU to go on; check that the switch runs and knows them"
			: "vm %s was not started: its QEMU was not ready within %u s",
		call->name, limit_s);
}

static bool is_between(struct libvirt_call *call)
{
	int state, reason;

	return virDomainGetState(call->domain, &state, &reason, 0) == 0 && libvirt_is_between(state, reason);
}

static bool libvirt_start(struct vm_manager *manager, const char *uid, GError **error)
{
	_cleanup_(libvirt_call_end) struct libvirt_call call = {};
	struct guard guard;

	if (!libvirt_call_begin(&call, manager, uid, error))
		return false;
	enum vm_state state = libvirt_call_state(&call);
	if (state == VM_RUNNING)
		return true;
	/* A machine that is held still, its disk having failed. */
	if (state == VM_CRASHED && is_active(&call) && !power_off(&call, error))
		return false;
	if (is_between(&call))
		return fault_set(error, FAULT_BUSY,
			"vm %s is on its way to or from another host; its migration says where it will run",
			call.name);
	g_autofree char *directory = libvirt_call_directory(&call);
	if (directory)
		vm_files_rotate(directory);
	guard_begin(&guard, &call);
	int result = virDomainCreate(call.domain);
	bool late = guard_end(&guard);
	if (late) /* also if it came up in that very moment: it was ended */
		return start_late(&call, guard.limit_s, error);
	if (result == 0)
		return true;
	g_autoptr(GError) reason = NULL;
	libvirt_call_fail(&call, "start", FAULT_INTERNAL, &reason);
	if (libvirt_call_state(&call) == VM_RUNNING)
		return true;
	g_propagate_error(error, g_steal_pointer(&reason));
	return false;
}

static bool libvirt_stop(struct vm_manager *manager, const char *uid, unsigned grace_s, GError **error)
{
	_cleanup_(libvirt_call_end) struct libvirt_call call = {};
	gint64 now = g_get_monotonic_time(), end = now + grace_s * G_USEC_PER_SEC, press = now;

	if (!libvirt_call_begin(&call, manager, uid, error))
		return false;
	uint64_t serial = libvirt_link_serial(call.link);
	for (; now < end && is_active(&call); now = g_get_monotonic_time()) {
		if (now >= press) {
			virDomainShutdown(call.domain);
			press = now + POWER_BUTTON_US;
		}
		libvirt_link_wait(call.link, &serial, MIN(end, now + LOOK_US));
	}
	return virDomainIsActive(call.domain) == 0 || power_off(&call, error);
}

/* Sets FAULT_NOT_ALLOWED when it does not run. */
static bool must_run(struct libvirt_call *call, GError **error)
{
	if (libvirt_call_state(call) == VM_RUNNING)
		return true;
	return fault_set(error, FAULT_NOT_ALLOWED, "vm %s is not running; start it first", call->name);
}

static bool libvirt_reset(struct vm_manager *manager, const char *uid, GError **error)
{
	_cleanup_(libvirt_call_end) struct libvirt_call call = {};

	if (!libvirt_call_begin(&call, manager, uid, error) || !must_run(&call, error))
		return false;
	return virDomainReset(call.domain, 0) == 0 ||
	       libvirt_call_fail(&call, "reset", FAULT_INTERNAL, error);
}

static bool libvirt_remove(struct vm_manager *manager, const char *uid, GError **error)
{
	_cleanup_(libvirt_call_end) struct libvirt_call call = {};
	g_autoptr(GError) reason = NULL;

	if (!libvirt_call_begin(&call, manager, uid, &reason)) {
		if (g_error_matches(reason, FAULT, FAULT_NOT_FOUND))
			return true;
		g_propagate_error(error, g_steal_pointer(&reason));
		return false;
	}
	g_autofree char *directory = libvirt_call_directory(&call);
	if (!directory)
		return fault_set(error, FAULT_NOT_ALLOWED, "vm %s was not made by Sluice; it is left alone",
			call.name);
	if (is_active(&call) && !power_off(&call, error))
		return false;
	if (!vm_files_remove(directory, error))
		return false;
	return virDomainUndefineFlags(call.domain, LIBVIRT_UNDEFINE_FLAGS) == 0 ||
	       virGetLastErrorCode() == VIR_ERR_NO_DOMAIN ||
	       libvirt_call_fail(&call, "remove", FAULT_INTERNAL, error);
}

static GPtrArray *libvirt_list(struct vm_manager *manager, GError **error)
{
	_cleanup_(libvirt_call_end) struct libvirt_call call = {};

	if (!libvirt_call_begin(&call, manager, NULL, error))
		return NULL;
	return libvirt_scan(call.conn, libvirt_manager_of(manager)->log_dir, error);
}

/* Whether the machine has a device of this alias; one that its guest is about to let go counts. */
static bool has_device(struct libvirt_call *call, const char *alias, bool *ret, GError **error)
{
	char *xml = virDomainGetXMLDesc(call->domain, 0);

	if (!xml)
		return libvirt_call_fail(call, "look into", FAULT_INTERNAL, error);
	*ret = domain_xml_has_alias(xml, alias);
	free(xml);
	return true;
}

/* What a function needs of its machine, libvirt sees to: a limit of locked memory that holds all of the guest's (vfio
 * pins it), the device and its group for vfio, MAC and VLAN on the PF; and puts all of it back when QEMU refuses. */
static bool libvirt_plug(
	struct vm_manager *manager, const char *uid, const struct vm_primary *primary, GError **error)
{
	_cleanup_(libvirt_call_end) struct libvirt_call call = {};
	g_autofree char *alias = domain_xml_primary_alias(primary->nic_uid);
	bool there = false;

	if (!vm_primary_check(primary, error) || !libvirt_call_begin(&call, manager, uid, error) ||
		!must_run(&call, error) || !has_device(&call, alias, &there, error))
		return false;
	if (there)
		return true;
	g_autofree char *xml = domain_xml_format_primary(primary);
	g_autofree char *verb = primary->pci ? g_strdup_printf("plug the function %s into", primary->pci)
					     : g_strdup_printf("plug the primary on %s into", primary->tap);
	if (virDomainAttachDeviceFlags(call.domain, xml, VIR_DOMAIN_AFFECT_LIVE) == 0)
		return true;
	g_autofree char *message = g_strdup(virGetLastErrorMessage());
	g_autoptr(GError) failure = NULL;
	libvirt_call_fail(&call, verb, FAULT_UNAVAILABLE, &failure);
	if (!primary->pci || !libvirt_stale_fail(manager, &call, primary->pci, message, error))
		g_propagate_error(error, g_steal_pointer(&failure));
	return false;
}

/* Asks the guest for the device; whether it is gone already does not matter here. */
static bool request_removal(struct libvirt_call *call, const char *alias, GError **error)
{
	libvirt_link_expect(call->link, alias);
	if (virDomainDetachDeviceAlias(call->domain, alias, VIR_DOMAIN_AFFECT_LIVE) == 0 ||
		virGetLastErrorCode() == VIR_ERR_DEVICE_MISSING)
		return true;
	/* An earlier request that the guest has not answered yet: that is what we wait for. */
	if (strstr(virGetLastErrorMessage(), "already in the process of unplug"))
		return true;
	return libvirt_call_fail(call, "unplug the primary of", FAULT_UNAVAILABLE, error);
}

static bool libvirt_unplug(struct vm_manager *manager, const char *uid, const struct vm_primary *primary,
	unsigned timeout_ms, GError **error)
{
	_cleanup_(libvirt_call_end) struct libvirt_call call = {};
	g_autofree char *alias = domain_xml_primary_alias(primary->nic_uid);
	gint64 now = g_get_monotonic_time(), end = now + timeout_ms * 1000ll;
	bool there = false;

	if (!libvirt_call_begin(&call, manager, uid, error))
		return false;
	uint64_t serial = libvirt_link_serial(call.link);
	if (!is_active(&call))
		return true;
	if (!has_device(&call, alias, &there, error) || (there && !request_removal(&call, alias, error)))
		return false;
	while (there && now < end && !libvirt_link_refused(call.link, alias)) {
		libvirt_link_wait(call.link, &serial, MIN(end, now + LOOK_US));
		if (!is_active(&call))
			return true;
		if (!has_device(&call, alias, &there, error))
			return false;
		now = g_get_monotonic_time();
	}
	return !there ||
	       fault_set(error, FAULT_UNAVAILABLE,
		       "the guest of vm %s did not let go of the primary of NIC %s within %u ms; it may be "
		       "booting or hung, or have no hot-plug driver",
		       call.name, primary->nic_uid, timeout_ms);
}

static bool libvirt_plugged(
	struct vm_manager *manager, const char *uid, const char *nic_uid, bool *ret, GError **error)
{
	_cleanup_(libvirt_call_end) struct libvirt_call call = {};
	g_autofree char *alias = domain_xml_primary_alias(nic_uid);

	if (!libvirt_call_begin(&call, manager, uid, error))
		return false;
	if (is_active(&call))
		return has_device(&call, alias, ret, error);
	*ret = false;
	return true;
}

static void libvirt_close(struct vm_manager *manager)
{
	struct libvirt_manager *libvirt = libvirt_manager_of(manager);

	vm_events_stop(libvirt->base.events);
	if (libvirt->link)
		libvirt_link_close(libvirt->link);
	vm_events_unref(libvirt->base.events);
	g_hash_table_unref(libvirt->moves);
	g_mutex_clear(&libvirt->lock);
	g_free(libvirt->uri);
	g_free(libvirt->image_dir);
	g_free(libvirt->emulator);
	g_free(libvirt->log_dir);
	g_free(libvirt->qemu_dir);
	g_free(libvirt->pid_file);
	g_free(libvirt);
}

static const struct vm_ops libvirt_ops = {
	.name = "libvirt",
	.host = libvirt_host,
	.define = libvirt_define,
	.take_disk = libvirt_take_disk,
	.start = libvirt_start,
	.stop = libvirt_stop,
	.reset = libvirt_reset,
	.remove = libvirt_remove,
	.list = libvirt_list,
	.plug = libvirt_plug,
	.unplug = libvirt_unplug,
	.plugged = libvirt_plugged,
	.migration_paths = libvirt_migration_paths,
	.migrate = libvirt_migrate,
	.migrate_cancel = libvirt_migrate_cancel,
	.close = libvirt_close,
};

struct vm_manager *vm_libvirt_open(
	const struct vm_libvirt_config *config, vm_event_fn event, void *data, GError **error)
{
	struct libvirt_manager *libvirt = g_new0(struct libvirt_manager, 1);

	libvirt->base.ops = &libvirt_ops;
	libvirt->base.events = vm_events_new(event, data);
	libvirt->uri = g_strdup(config->uri);
	libvirt->image_dir = g_strdup(config->image_dir);
	libvirt->emulator = g_strdup(config->emulator);
	libvirt->log_dir = g_strdup(config->log_dir);
	libvirt->qemu_dir = g_strdup(config->qemu_dir);
	libvirt->pid_file = g_strdup(config->pid_file);
	g_mutex_init(&libvirt->lock);
	libvirt->moves = g_hash_table_new(g_str_hash, g_str_equal);
	libvirt->link = libvirt_link_open(config->uri, config->log_dir, libvirt->base.events, error);
	if (!libvirt->link) {
		libvirt_close(&libvirt->base);
		return NULL;
	}
	libvirt->probe = kvm_probe_run("/dev/kvm");
	return &libvirt->base;
}
