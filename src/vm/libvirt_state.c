/* libvirt's states and errors in our words. */
#include "base/fault.h"
#include "vm/domain_xml.h"
#include "vm/libvirt_priv.h"

#include <stdlib.h>
#include <string.h>

#define LOG_TAIL 4096

bool libvirt_is_between(int state, int reason)
{
	return (state == VIR_DOMAIN_PAUSED && reason == VIR_DOMAIN_PAUSED_MIGRATION) ||
	       (state == VIR_DOMAIN_SHUTOFF && reason == VIR_DOMAIN_SHUTOFF_MIGRATED);
}

enum vm_state libvirt_vm_state(int state, int reason)
{
	switch (state) {
	case VIR_DOMAIN_PAUSED:
		if (reason == VIR_DOMAIN_PAUSED_STARTING_UP || libvirt_is_between(state, reason))
			return VM_STOPPED;
		return reason == VIR_DOMAIN_PAUSED_IOERROR || reason == VIR_DOMAIN_PAUSED_CRASHED
			       ? VM_CRASHED
			       : VM_RUNNING;
	case VIR_DOMAIN_SHUTOFF:
		/* DAEMON: the new daemon could not take over the process and ended it. */
		return reason == VIR_DOMAIN_SHUTOFF_CRASHED || reason == VIR_DOMAIN_SHUTOFF_DAEMON
			       ? VM_CRASHED
			       : VM_STOPPED;
	case VIR_DOMAIN_CRASHED: return VM_CRASHED;
	default: return VM_RUNNING;
	}
}

/* What libvirt and QEMU say where a code says nothing: their words, up to where they name a device. A remedy that they
 * do not name themselves is added. */
static const struct {
	const char *words;
	enum fault fault;
	const char *remedy;
} complaints[] = {
	{"is in use by driver", FAULT_IN_USE, "unplug it there first"},
	{"host doesn't support", FAULT_UNSUPPORTED,
		"vfio needs an IOMMU, on in the firmware and in the kernel's command line, and the module "
		"vfio-pci: "
		"'sluice doctor host' says what is missing"},
	{"is not viable", FAULT_UNAVAILABLE,
		"another device of its IOMMU group is bound to a driver of the host: unbind it, or take a "
		"function "
		"that has a group of its own"},
	{"PF is not online", FAULT_UNAVAILABLE, NULL},
	{"Cannot set interface MAC/vlanid", FAULT_UNAVAILABLE,
		"the PF's driver did not take them: the kernel's log may say why"},
	{"on SR-IOV Virtual Functions only", FAULT_INVALID, "give it a virtual function"},
	{"could not access /sys/bus/pci/devices/", FAULT_NOT_FOUND, "the host has no such function now"},
	{"Cannot allocate memory", FAULT_ALLOCATION, NULL},
	{"Attempt to migrate guest to the same host", FAULT_UNSUPPORTED,
		"the libvirt daemons of the two hosts have one host name or one host_uuid: each needs its "
		"own"},
	{"guest CPU doesn't match", FAULT_UNSUPPORTED,
		"the processors of the two hosts differ too much: choose a host with the same"},
	{"does not provide required features", FAULT_UNSUPPORTED,
		"the processors of the two hosts differ too much: choose a host with the same"},
};

bool libvirt_complaint(const char *message, enum fault *ret_fault, const char **ret_remedy)
{
	for (size_t i = 0; i < G_N_ELEMENTS(complaints); i++)
		if (strstr(message, complaints[i].words)) {
			*ret_fault = complaints[i].fault;
			*ret_remedy = complaints[i].remedy;
			return true;
		}
	return false;
}

bool libvirt_fail(virConnectPtr conn, const char *what, enum fault otherwise, GError **error)
{
	static const struct {
		int code;
		enum fault fault;
	} faults[] = {
		{VIR_ERR_NO_DOMAIN, FAULT_NOT_FOUND},
		{VIR_ERR_NO_MEMORY, FAULT_ALLOCATION},
		{VIR_ERR_OPERATION_TIMEOUT, FAULT_BUSY},
		{VIR_ERR_OPERATION_INVALID, FAULT_NOT_ALLOWED},
		{VIR_ERR_XML_ERROR, FAULT_INVALID},
		{VIR_ERR_CONFIG_UNSUPPORTED, FAULT_UNSUPPORTED},
		{VIR_ERR_RPC, FAULT_UNAVAILABLE},
	};
	g_autoptr(virError) last = virSaveLastError(); /* the question below would overwrite it */
	enum fault fault = otherwise;
	const char *remedy = NULL;

	if (!last || !last->message)
		return fault_set(error, otherwise, "%s: libvirt gave no reason", what);
	for (size_t i = 0; i < G_N_ELEMENTS(faults); i++)
		if (last->code == faults[i].code)
			fault = faults[i].fault;
	libvirt_complaint(last->message, &fault, &remedy);
	if (virConnectIsAlive(conn) != 1)
		fault = FAULT_UNAVAILABLE;
	return fault_set(
		error, fault, "%s: %s%s%s", what, last->message, remedy ? "; " : "", remedy ? remedy : "");
}

char *libvirt_last_words(const char *log_dir, const char *name)
{
	g_autofree char *file = g_strconcat(name, ".log", NULL),
			*path = g_build_filename(log_dir, file, NULL);
	g_autofree char *text = NULL;
	gsize length;

	if (!g_file_get_contents(path, &text, &length, NULL))
		return NULL;
	g_auto(GStrv) lines = g_strsplit(text + (length > LOG_TAIL ? length - LOG_TAIL : 0), "\n", -1);
	for (guint i = g_strv_length(lines); i-- > 0 && !strstr(lines[i], ": starting up ");) {
		const char *said = strstr(lines[i], "qemu-system-x86_64: ");
		if (said && !strstr(said, ": info: ") && !strstr(said, ": warning: "))
			return g_strdup(said + strlen("qemu-system-x86_64: "));
	}
	return NULL;
}

static char *crash_detail(const char *log_dir, const char *name, int state)
{
	if (state == VIR_DOMAIN_PAUSED)
		return g_strdup("Its disk failed with an I/O error; the host's disk may be full.");
	g_autofree char *words = log_dir ? libvirt_last_words(log_dir, name) : NULL;
	return words ? g_strdup_printf("Its QEMU process ended unexpectedly; its last words: %s.", words)
		     : g_strdup("Its QEMU process ended unexpectedly (killed, or the guest panicked).");
}

enum description {
	OURS,
	NOT_OURS, /* no metadata of ours, or it is going while we look */
	UNKNOWN, /* the daemon did not say */
};

static enum description describe(virDomainPtr domain, const char *log_dir, struct vm_info **ret)
{
	char *ours = virDomainGetMetadata(domain, VIR_DOMAIN_METADATA_ELEMENT, DOMAIN_XML_NAMESPACE, 0);
	char uid[VIR_UUID_STRING_BUFLEN];
	int state, reason;

	free(ours);
	if (!ours || virDomainGetState(domain, &state, &reason, 0) < 0) {
		int code = virGetLastErrorCode();
		return code == VIR_ERR_NO_DOMAIN_METADATA || code == VIR_ERR_NO_DOMAIN ? NOT_OURS : UNKNOWN;
	}
	virDomainGetUUIDString(domain, uid);
	struct vm_info *info = g_new0(struct vm_info, 1);
	info->uid = g_strdup(uid);
	info->state = libvirt_vm_state(state, reason);
	if (info->state == VM_CRASHED)
		info->detail = crash_detail(log_dir, virDomainGetName(domain), state);
	*ret = info;
	return OURS;
}

GPtrArray *libvirt_scan(virConnectPtr conn, const char *log_dir, GError **error)
{
	g_autoptr(GPtrArray) infos = g_ptr_array_new_with_free_func((GDestroyNotify)vm_info_free);
	virDomainPtr *domains = NULL;
	int n = virConnectListAllDomains(conn, &domains, 0);
	bool ok = n >= 0;

	for (int i = 0; i < n; i++) {
		struct vm_info *info = NULL;
		ok = ok && describe(domains[i], log_dir, &info) != UNKNOWN;
		if (info)
			g_ptr_array_add(infos, info);
	}
	/* A list with a hole in it would read as a VM that is absent. */
	if (!ok)
		libvirt_fail(conn, "cannot list VMs", FAULT_INTERNAL, error);
	for (int i = 0; i < n; i++)
		virDomainFree(domains[i]);
	free(domains);
	return ok ? g_steal_pointer(&infos) : NULL;
}
