/* struct vm_spec to libvirt's domain XML.
 *
 * All text goes through g_markup_printf_escaped, so names and paths cannot break out of their place.
 *
 * PCI: every device that the guest sees sits alone behind a pcie-root-port, since root ports can be plugged
 * and the root bus cannot. PRIMARY_PORTS empty ones are kept for each NIC: a guest that has not yet let go of
 * one primary still holds its port when the next is plugged. libvirt would add ports as devices need them,
 * but no spare ones; since ours come first it fills them in the order of devices, the same at each
 * definition.
 */
#include "vm/domain_xml.h"

#include <string.h>

#define PRIMARY_PORTS      2
#define OWN_PCI_DEVICES    3 /* disk, random numbers, balloon */
#define TCG_CACHE_MIB      256 /* translated code; QEMU's default of up to 1 GiB each does not fit many VMs */
#define ETHERNET_MTU       1500
#define DOMAIN_NAME_MAX    64
#define STANDBY_PREFIX     "ua-standby-" /* libvirt wants "ua-" before an alias that it did not choose */
#define PRIMARY_PREFIX     "ua-primary-"
#define QEMU_XML_NAMESPACE "http://libvirt.org/schemas/domain/qemu/1.0"

static void G_GNUC_PRINTF(2, 3) add(GString *xml, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	g_autofree char *text = g_markup_vprintf_escaped(format, args);
	va_end(args);
	g_string_append(xml, text);
}

char *domain_xml_name(const char *name, const char *uid)
{
	g_autofree char *word = g_strndup(name, DOMAIN_NAME_MAX);

	g_strcanon(word, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "-_.", '_');
	if (*word == '.')
		*word = '_';
	return g_strdup_printf("%s-%.8s", word, uid);
}

char *domain_xml_primary_alias(const char *nic_uid)
{
	return g_strconcat(PRIMARY_PREFIX, nic_uid, NULL);
}

const char *domain_xml_alias_nic(const char *alias)
{
	return g_str_has_prefix(alias, PRIMARY_PREFIX) ? alias + strlen(PRIMARY_PREFIX) : NULL;
}

static void add_identity(GString *xml, const struct vm_spec *spec)
{
	g_autofree char *name = domain_xml_name(spec->name, spec->uid);

	add(xml, "  <name>%s</name>\n  <uuid>%s</uuid>\n", name, spec->uid);
	add(xml, "  <title>%s</title>\n", spec->name);
	add(xml,
		"  <metadata>\n    <" DOMAIN_XML_PREFIX ":vm xmlns:" DOMAIN_XML_PREFIX
		"='" DOMAIN_XML_NAMESPACE "' directory='%s'/>\n  </metadata>\n",
		spec->directory);
}

static void add_processor(GString *xml, const struct vm_spec *spec, bool kvm)
{
	add(xml, "  <vcpu>%u</vcpu>\n", spec->vcpus);
	add(xml, kvm ? "  <cpu mode='host-passthrough' check='none' migratable='on'>\n"
		     : "  <cpu mode='maximum'>\n");
	/* One socket: some guests refuse more. */
	add(xml, "    <topology sockets='1' dies='1' cores='%u' threads='1'/>\n  </cpu>\n", spec->vcpus);
}

/* Shared, because the switch maps the guest's memory. */
static void add_memory(GString *xml, const struct vm_spec *spec)
{
	add(xml, "  <memory unit='MiB'>%" G_GUINT64_FORMAT "</memory>\n", spec->memory_mib);
	add(xml, "  <memoryBacking>\n    <source type='memfd'/>\n    <access mode='shared'/>\n  "
		 "</memoryBacking>\n");
}

static void add_boot(GString *xml, const struct image *image, bool kvm)
{
	add(xml, "  <os>\n    <type arch='x86_64' machine='q35'>hvm</type>\n");
	if (image->kernel_path) {
		g_autofree char *cmdline = image_cmdline(image, !kvm);
		add(xml, "    <kernel>%s</kernel>\n", image->kernel_path);
		if (image->initrd_path)
			add(xml, "    <initrd>%s</initrd>\n", image->initrd_path);
		add(xml, "    <cmdline>%s</cmdline>\n", cmdline ? cmdline : "");
	} else {
		add(xml, "    <boot dev='hd'/>\n");
	}
	add(xml, "  </os>\n");
}

static void add_features(GString *xml, bool kvm)
{
	add(xml, "  <features>\n    <acpi/>\n    <apic/>\n");
	if (!kvm)
		add(xml, "    <tcg>\n      <tb-cache unit='MiB'>%d</tb-cache>\n    </tcg>\n", TCG_CACHE_MIB);
	add(xml,
		"  </features>\n  <clock offset='utc'>\n    <timer name='hpet' present='no'/>\n  </clock>\n");
	/* A guest that panicked is gone at once and seen as crashed, not left spinning. */
	add(xml, "  <on_poweroff>destroy</on_poweroff>\n  <on_reboot>restart</on_reboot>\n"
		 "  <on_crash>destroy</on_crash>\n");
}

static void add_ports(GString *xml, guint nics)
{
	guint ports = OWN_PCI_DEVICES + nics * (1 + PRIMARY_PORTS);

	add(xml, "    <controller type='usb' model='none'/>\n");
	add(xml, "    <controller type='pci' index='0' model='pcie-root'/>\n");
	for (guint i = 1; i <= ports; i++)
		add(xml, "    <controller type='pci' index='%u' model='pcie-root-port'/>\n", i);
}

static void add_disk(GString *xml, const struct vm_spec *spec)
{
	add(xml,
		"    <disk type='file' device='disk'>\n"
		"      <driver name='qemu' type='qcow2' discard='unmap' detect_zeroes='unmap'/>\n"
		"      <source file='%s/" VM_DISK_FILE "'/>\n"
		"      <target dev='vda' bus='virtio'/>\n"
		"    </disk>\n",
		spec->directory);
}

static void add_nic(GString *xml, const struct vm_nic *nic)
{
	char mac[MAC_TEXT_MAX];

	add(xml,
		"    <interface type='vhostuser'>\n"
		"      <mac address='%s'/>\n"
		"      <source type='unix' path='%s' mode='server'/>\n"
		"      <model type='virtio'/>\n"
		"      <driver queues='%u'/>\n",
		mac_format(nic->mac, mac), nic->vhost_socket, nic->queues);
	if (nic->teamed)
		add(xml, "      <teaming type='persistent'/>\n");
	add(xml, "      <alias name='" STANDBY_PREFIX "%s'/>\n      <rom enabled='no'/>\n    </interface>\n",
		nic->uid);
}

/* Console, random numbers, balloon (what the guest frees goes back to the host), panic notification. */
static void add_platform_devices(GString *xml, const struct vm_spec *spec)
{
	add(xml,
		"    <serial type='unix'>\n"
		"      <source mode='bind' path='%s/" VM_CONSOLE_SOCKET "'/>\n"
		"      <log file='%s/" VM_CONSOLE_LOG "' append='on'/>\n"
		"      <target type='isa-serial' port='0'/>\n"
		"    </serial>\n",
		spec->directory, spec->directory);
	add(xml, "    <rng model='virtio'>\n      <backend model='random'>/dev/urandom</backend>\n    "
		 "</rng>\n");
	add(xml, "    <memballoon model='virtio' autodeflate='on' freePageReporting='on'/>\n");
	add(xml, "    <panic model='isa'/>\n");
}

/* The MTU by QEMU's own property: libvirt's <mtu> would also set it on a host interface, which vhost-user
 * has not, and then refuses to start. A team whose standby has a maximum below Ethernet's 1500 is not told:
 * Linux's net_failover first gives its members its own 1500 and turns a standby away that does not take it.
 */
static bool tell_mtu(const struct vm_nic *nic)
{
	return nic->mtu && !(nic->teamed && nic->mtu < ETHERNET_MTU);
}

static void add_mtus(GString *xml, const struct vm_spec *spec)
{
	g_autoptr(GString) devices = g_string_new(NULL);

	for (guint i = 0; i < spec->nics->len; i++) {
		const struct vm_nic *nic = spec->nics->pdata[i];
		if (tell_mtu(nic))
			add(devices,
				"    <qemu:device alias='" STANDBY_PREFIX "%s'>\n"
				"      <qemu:frontend>\n"
				"        <qemu:property name='host_mtu' type='unsigned' value='%u'/>\n"
				"      </qemu:frontend>\n"
				"    </qemu:device>\n",
				nic->uid, nic->mtu);
	}
	if (devices->len)
		g_string_append_printf(xml, "  <qemu:override>\n%s  </qemu:override>\n", devices->str);
}

/*
 * An emulated primary must hand over finished packets: checksums in place, no segment longer than the MTU.
 * Libvirt opens its tap with vnet headers, so e1000e would leave both to the kernel, and whoever reads the
 * tap's other side by packet socket would see neither done. A global reaches devices that are plugged later,
 * an override does not.
 */
static void add_globals(GString *xml, const struct vm_spec *spec)
{
	bool teamed = false;

	for (guint i = 0; i < spec->nics->len; i++)
		teamed |= ((const struct vm_nic *)spec->nics->pdata[i])->teamed;
	if (teamed)
		add(xml, "  <qemu:commandline>\n"
			 "    <qemu:arg value='-global'/>\n"
			 "    <qemu:arg value='e1000e.disable_vnet_hdr=1'/>\n"
			 "  </qemu:commandline>\n");
}

char *domain_xml_format(const struct vm_spec *spec, const struct domain_xml_options *options)
{
	GString *xml = g_string_new(NULL);

	add(xml, "<domain type='%s' xmlns:qemu='" QEMU_XML_NAMESPACE "'>\n", options->kvm ? "kvm" : "qemu");
	add_identity(xml, spec);
	add_memory(xml, spec);
	add_processor(xml, spec, options->kvm);
	add_boot(xml, options->image, options->kvm);
	add_features(xml, options->kvm);
	add(xml, "  <devices>\n");
	if (options->emulator)
		add(xml, "    <emulator>%s</emulator>\n", options->emulator);
	add_ports(xml, spec->nics->len);
	add_disk(xml, spec);
	for (guint i = 0; i < spec->nics->len; i++)
		add_nic(xml, spec->nics->pdata[i]);
	add_platform_devices(xml, spec);
	add(xml, "  </devices>\n");
	add_globals(xml, spec);
	add_mtus(xml, spec);
	add(xml, "</domain>\n");
	return g_string_free(xml, FALSE);
}

/* No <teaming>: libvirt takes the transient side on hostdev only. The guest pairs by MAC address. */
static void add_tap(GString *xml, const struct vm_primary *primary)
{
	add(xml,
		"  <target dev='%s' managed='no'/>\n"
		"  <model type='e1000e'/>\n",
		primary->tap);
}

/* As libvirt writes it, too. Owned by the caller. */
static char *format_address(const char *text)
{
	struct vm_pci pci = {};

	vm_pci_parse(text, &pci);
	return g_strdup_printf(
		"<address type='pci' domain='0x%04x' bus='0x%02x' slot='0x%02x' function='0x%x'/>",
		pci.domain, pci.bus, pci.slot, pci.function);
}

bool domain_xml_has_function(const char *xml, const char *pci)
{
	g_autofree char *address = format_address(pci);

	return strstr(xml, address);
}

unsigned domain_xml_count_nics(const char *xml)
{
	static const char nic[] = "<interface type='vhostuser'";
	unsigned n = 0;

	for (const char *at = strstr(xml, nic); at; at = strstr(at + 1, nic))
		n++;
	return n;
}

/* Teamed: QEMU shows it to a guest only once that drives the standby, and takes it away before it migrates. */
static void add_function(GString *xml, const struct vm_primary *primary)
{
	g_autofree char *address = format_address(primary->pci);

	g_string_append_printf(xml, "  <source>\n    %s\n  </source>\n", address);
	if (primary->vlan)
		add(xml, "  <vlan>\n    <tag id='%u'/>\n  </vlan>\n", primary->vlan);
	add(xml,
		"  <driver name='vfio'/>\n"
		"  <teaming type='transient' persistent='" STANDBY_PREFIX "%s'/>\n",
		primary->nic_uid);
}

char *domain_xml_format_primary(const struct vm_primary *primary)
{
	GString *xml = g_string_new(NULL);
	char mac[MAC_TEXT_MAX];

	add(xml, primary->pci ? "<interface type='hostdev' managed='yes'>\n"
			      : "<interface type='ethernet'>\n");
	add(xml, "  <mac address='%s'/>\n", mac_format(primary->mac, mac));
	if (primary->pci)
		add_function(xml, primary);
	else
		add_tap(xml, primary);
	add(xml, "  <alias name='" PRIMARY_PREFIX "%s'/>\n  <rom enabled='no'/>\n</interface>\n",
		primary->nic_uid);
	return g_string_free(xml, FALSE);
}

/* An attribute that is looked for in a document: the first with this value (wanted set), or the first at all.
 */
struct attribute_search {
	const char *element, *attribute, *wanted;
	bool is_prefix; /* `wanted` is how the value begins */
	char *found; /* Owned */
};

static void search_element(GMarkupParseContext *context, const char *element, const char **names,
	const char **values, void *data, GError **error)
{
	struct attribute_search *search = data;

	if (search->found || !g_str_equal(element, search->element))
		return;
	for (; *names; names++, values++)
		if (g_str_equal(*names, search->attribute) &&
			(!search->wanted || (search->is_prefix ? g_str_has_prefix(*values, search->wanted)
							       : g_str_equal(*values, search->wanted))))
			search->found = g_strdup(*values);
}

/* The attribute's value, NULL when it is not there or the document is malformed. */
static char *find_attribute(const char *xml, struct attribute_search search)
{
	static const GMarkupParser parser = {.start_element = search_element};
	g_autoptr(GMarkupParseContext) context = g_markup_parse_context_new(&parser, 0, &search, NULL);

	if (g_markup_parse_context_parse(context, xml, -1, NULL) &&
		g_markup_parse_context_end_parse(context, NULL))
		return search.found;
	g_free(search.found);
	return NULL;
}

bool domain_xml_has_alias(const char *xml, const char *alias)
{
	struct attribute_search search = {.element = "alias", .attribute = "name", .wanted = alias};
	g_autofree char *found = find_attribute(xml, search);

	return found;
}

bool domain_xml_has_primary(const char *xml)
{
	struct attribute_search search = {
		.element = "alias", .attribute = "name", .wanted = PRIMARY_PREFIX, .is_prefix = true};
	g_autofree char *found = find_attribute(xml, search);

	return found;
}

char *domain_xml_directory(const char *metadata)
{
	/* libvirt gives our element back with or without its prefix. */
	struct attribute_search plain = {.element = "vm", .attribute = "directory"};
	struct attribute_search prefixed = {.element = DOMAIN_XML_PREFIX ":vm", .attribute = "directory"};
	char *found = find_attribute(metadata, plain);

	return found ? found : find_attribute(metadata, prefixed);
}
