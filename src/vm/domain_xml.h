/* struct vm_spec to libvirt's domain XML, and the few things that are read back from it. Pure: no I/O.
 *
 * Source of the format: libvirt.org/formatdomain.html (libvirt 9.0).
 */
#pragma once
#include "base/fault.h"
#include "vm/image.h"
#include "vm/vm.h"

/* Namespace of our element in a domain's metadata. A domain without it is not ours. */
#define DOMAIN_XML_NAMESPACE "urn:sluice:vm:1"
#define DOMAIN_XML_PREFIX    "sluice"

struct domain_xml_options {
	const struct image *image; /* Borrowed */
	bool kvm; /* else TCG */
	const char *emulator; /* NULL: libvirt's choice */
};

/* Text of the whole domain; the caller owns it. The spec has passed vm_spec_check. */
char *domain_xml_format(const struct vm_spec *spec, const struct domain_xml_options *options);

/* Text of the interface element that plugs a primary, which has passed vm_primary_check. */
char *domain_xml_format_primary(const struct vm_primary *primary);

/* libvirt's name of a VM: its own name, with what file and domain names cannot hold replaced by '_', and the
 * first 8 digits of the uid. */
char *domain_xml_name(const char *name, const char *uid);

/* Device alias of a NIC's primary, and the way back: the NIC's uid in the alias (Borrowed), NULL when the
 * alias is not a primary's. */
char *domain_xml_primary_alias(const char *nic_uid);
const char *domain_xml_alias_nic(const char *alias);

/* Whether a device of the domain has this alias. */
bool domain_xml_has_alias(const char *xml, const char *alias);

/* The VM's directory from our metadata element; NULL when the text is not that element. */
char *domain_xml_directory(const char *metadata);

/* Whether the domain has the host's PCI device of this address ("0000:01:10.0"), or one of the guest's own has it: both are
 * written alike. */
bool domain_xml_has_function(const char *xml, const char *pci);

/* NICs whose backends are waited for at a start. */
unsigned domain_xml_count_nics(const char *xml);

/* Whether a primary is plugged into the domain. */
bool domain_xml_has_primary(const char *xml);

/* domain_xml_move.c: the definition `running` as another host takes it, where `there` defines the same VM: each path of
 * this host is replaced by the one that stands in its place there (emulator, kernel, disk, sockets, console log,
 * directory), and all that the guest can see stays. FAULT_INVALID when the places do not pair. */
char *domain_xml_move(const char *running, const char *there, GError **error);
