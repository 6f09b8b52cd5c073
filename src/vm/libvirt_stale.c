/* Functions that libvirt takes for a machine's long after it has let go of them.
 *
 * How it works. When a PF's driver goes, each VF vanishes from the host as soon as its QEMU has let go of it. libvirt 9 takes a
 * device off its list of those in use only while the host has it; of one that was faster it says "is in use" for good, when
 * it is there again, too. Its processes make that list anew at their start, by what machines have. So a private daemon,
 * which machines do not need to live, is told to end, and whoever supervises it starts the next one; the step is tried again
 * then. The host's own daemon may serve others: there a person is told.
 */
#include "base/fault.h"
#include "vm/domain_xml.h"
#include "vm/libvirt_priv.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* The name of the machine that has the function, as libvirt says; NULL: it says something else. */
static const char *holder(const char *message, const char *pci)
{
	g_autofree char *words = g_strdup_printf("PCI device %s is in use by driver QEMU, domain ", pci);
	const char *found = strstr(message, words);

	return found ? found + strlen(words) : NULL;
}

/* On doubt it does. */
static bool has_function(virConnectPtr conn, const char *name, const char *pci)
{
	virDomainPtr domain = virDomainLookupByName(conn, name);
	char *xml = domain ? virDomainGetXMLDesc(domain, 0) : NULL;
	bool has = xml ? domain_xml_has_function(xml, pci) : virGetLastErrorCode() != VIR_ERR_NO_DOMAIN;

	free(xml);
	if (domain)
		virDomainFree(domain);
	return has;
}

/* Whether the daemon is private, moves no machine, and was told to end. */
static bool end_daemon(struct libvirt_manager *libvirt)
{
	g_autofree char *text = NULL;

	g_mutex_lock(&libvirt->lock);
	bool moves = g_hash_table_size(libvirt->moves) > 0;
	g_mutex_unlock(&libvirt->lock);
	if (moves || !libvirt->pid_file || !g_file_get_contents(libvirt->pid_file, &text, NULL, NULL))
		return false;
	gint64 pid = g_ascii_strtoll(text, NULL, 10);
	return pid > 1 && pid <= G_MAXINT32 && kill((pid_t)pid, SIGTERM) == 0;
}

bool libvirt_stale_fail(struct vm_manager *manager, const struct libvirt_call *call, const char *pci,
	const char *message, GError **error)
{
	const char *name = holder(message, pci);

	if (!name || has_function(call->conn, name, pci))
		return false;
	if (end_daemon(libvirt_manager_of(manager)))
		fault_set(error, FAULT_UNAVAILABLE,
			"libvirt takes function %s for one of vm %s, which has let go of it; its daemon "
			"starts "
			"again and counts anew",
			pci, name);
	else
		fault_set(error, FAULT_IN_USE,
			"libvirt takes function %s for one of vm %s, which has let go of it; restart "
			"libvirtd: "
			"machines run on meanwhile",
			pci, name);
	return true;
}
