/* What every operation on libvirt begins with, and how it fails. */
#include "vm/domain_xml.h"
#include "vm/libvirt_priv.h"

#include <stdlib.h>

struct libvirt_manager *libvirt_manager_of(struct vm_manager *manager)
{
	return (struct libvirt_manager *)manager;
}

void libvirt_call_end(struct libvirt_call *call)
{
	if (call->domain)
		virDomainFree(call->domain);
	if (call->conn)
		virConnectClose(call->conn);
}

bool libvirt_call_find(struct libvirt_call *call, const char *uid, GError **error)
{
	call->domain = virDomainLookupByUUIDString(call->conn, uid);
	if (call->domain) {
		call->name = virDomainGetName(call->domain);
		return true;
	}
	if (virGetLastErrorCode() == VIR_ERR_NO_DOMAIN)
		return fault_set(error, FAULT_NOT_FOUND, "there is no vm %s on this host", uid);
	return libvirt_fail(call->conn, "cannot look a VM up", FAULT_INTERNAL, error);
}

bool libvirt_call_begin(
	struct libvirt_call *call, struct vm_manager *manager, const char *uid, GError **error)
{
	call->link = libvirt_manager_of(manager)->link;
	call->conn = libvirt_link_take(call->link, error);
	if (!call->conn)
		return false;
	return !uid || libvirt_call_find(call, uid, error);
}

bool libvirt_call_fail(struct libvirt_call *call, const char *verb, enum fault otherwise, GError **error)
{
	g_autofree char *what = g_strdup_printf("cannot %s vm %s", verb, call->name);

	return libvirt_fail(call->conn, what, otherwise, error);
}

enum vm_state libvirt_call_state(struct libvirt_call *call)
{
	int state, reason;

	return virDomainGetState(call->domain, &state, &reason, 0) < 0 ? VM_ABSENT
								       : libvirt_vm_state(state, reason);
}

unsigned libvirt_call_start_limit(struct libvirt_call *call)
{
	char *xml = virDomainGetXMLDesc(call->domain, VIR_DOMAIN_XML_INACTIVE);
	unsigned nics = xml ? domain_xml_count_nics(xml) : 0;

	free(xml);
	return VM_START_DEADLINE_S + nics * VM_START_NIC_S;
}

char *libvirt_call_directory(struct libvirt_call *call)
{
	char *metadata =
		virDomainGetMetadata(call->domain, VIR_DOMAIN_METADATA_ELEMENT, DOMAIN_XML_NAMESPACE, 0);
	char *directory = metadata ? domain_xml_directory(metadata) : NULL;

	free(metadata);
	return directory;
}
