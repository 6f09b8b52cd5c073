/* Inventory of network devices, from sysfs, netlink, devlink and ethtool. */
#include "nic/inventory.h"

#include "base/sysfs.h"
#include "nic/pci_config.h"

#include <string.h>

#define DEVICES       "/sys/bus/pci/devices"
#define CLASS_NETWORK 0x02 /* first byte of the class code */
#define CLASS_BRIDGE  0x06
#define VENDOR_VIRTIO 0x1af4

static void vf_free(struct nic_vf *vf)
{
	g_free(vf->address);
	g_free(vf->driver);
	g_free(vf->netdev);
	g_free(vf->representor);
	g_free(vf);
}

void nic_pf_free(struct nic_pf *pf)
{
	g_free(pf->address);
	g_free(pf->driver);
	g_free(pf->netdev);
	g_free(pf->bridge);
	g_free(pf->switch_id);
	g_free(pf->firmware);
	g_free(pf->representor);
	g_ptr_array_unref(pf->vfs);
	g_free(pf);
}

/* ---- tables ---- */

/* By device: 82599 (10f7 to 1558) and X540 (1528, 1560). */
static bool shares_classes(uint16_t vendor, uint16_t device)
{
	static const uint16_t devices[] = {0x10f7, 0x10f8, 0x10f9, 0x10fb, 0x10fc, 0x1507, 0x1514, 0x1517,
		0x151c, 0x1529, 0x152a, 0x154a, 0x154d, 0x154f, 0x1557, 0x1558, 0x1528, 0x1560};

	for (size_t i = 0; vendor == 0x8086 && i < G_N_ELEMENTS(devices); i++)
		if (devices[i] == device)
			return true;
	return false;
}

unsigned inventory_traffic_classes(uint16_t vendor, uint16_t device, unsigned num_vfs)
{
	if (!shares_classes(vendor, device))
		return 0;
	return num_vfs < 16 ? 8 : num_vfs < 32 ? 4 : 1;
}

/* ---- one function ---- */

/* "pf0vf3", "c1pf0vf3", "pf0": ports of functions. An uplink is "p0", or has no such name. */
static bool is_representor(const char *root, const char *netdev)
{
	g_autofree char *port = sysfs_text(root, "/sys/class/net/%s/phys_port_name", netdev);

	return port && strstr(port, "pf");
}

/* Drivers have the representors among the interfaces of the PF. */
static char *first_netdev(const char *root, const char *address)
{
	g_auto(GStrv) netdevs = sysfs_children(root, "", DEVICES "/%s/net", address);
	char **netdev = netdevs;

	while (*netdev && is_representor(root, *netdev))
		netdev++;
	return g_strdup(*netdev);
}

static int number_or_none(const char *root, const char *address, const char *file)
{
	g_autofree char *text = sysfs_text(root, DEVICES "/%s/%s", address, file);
	gint64 value;

	/* The kernel says -1 where it does not know a node. */
	return text && g_ascii_string_to_signed(text, 10, 0, G_MAXINT, &value, NULL) ? (int)value
										     : INVENTORY_NONE;
}

static int group_of(const char *root, const char *address)
{
	g_autofree char *name = sysfs_link_name(root, DEVICES "/%s/iommu_group", address);
	guint64 group;

	return name && g_ascii_string_to_unsigned(name, 10, 0, G_MAXINT, &group, NULL) ? (int)group
										       : INVENTORY_NONE;
}

/* The device's link leads through all bridges above it: "…/0000:00:01.0/0000:01:00.0". */
static char *bridge_of(const char *root, const char *address)
{
	g_autofree char *link = g_strdup_printf("%s" DEVICES "/%s", root, address);
	g_autofree char *target = g_file_read_link(link, NULL);
	g_autofree char *above = target ? g_path_get_dirname(target) : NULL;
	g_autofree char *name = above ? g_path_get_basename(above) : NULL;

	return name && !g_str_has_prefix(name, "pci") && strchr(name, ':') ? g_steal_pointer(&name) : NULL;
}

/* ---- VFs ---- */

static struct nic_vf *read_vf(const char *root, const struct nic_pf *pf, unsigned index)
{
	char *address = sysfs_link_name(root, DEVICES "/%s/virtfn%u", pf->address, index);

	if (!address)
		return NULL;
	struct nic_vf *vf = g_new0(struct nic_vf, 1);
	vf->index = index;
	vf->address = address;
	vf->driver = sysfs_link_name(root, DEVICES "/%s/driver", address);
	vf->netdev = first_netdev(root, address);
	vf->iommu_group = group_of(root, address);
	return vf;
}

static void read_vfs(const char *root, struct nic_pf *pf)
{
	struct nic_vf *vf;

	for (unsigned i = 0; i < pf->num_vfs && (vf = read_vf(root, pf, i)); i++)
		g_ptr_array_add(pf->vfs, vf);
}

/* ---- representors ---- */

static void set_representor(const struct nic_pf *pf, unsigned index, const char *netdev)
{
	if (index >= pf->vfs->len)
		return;
	struct nic_vf *vf = pf->vfs->pdata[index];
	g_free(vf->representor);
	vf->representor = g_strdup(netdev);
}

/* Those whose port is "pf0vf3" (or "c1pf0vf3") of the same eswitch, where the PF's own is "p0". */
static void read_representors(const char *root, const struct nic_pf *pf)
{
	g_auto(GStrv) netdevs = sysfs_children(root, "", "/sys/class/net");
	g_autofree char *own = sysfs_text(root, "/sys/class/net/%s/phys_port_name", pf->netdev);
	g_autofree char *start = g_strdup_printf("pf%svf", own && own[0] == 'p' ? own + 1 : "0");

	for (char **netdev = netdevs; *netdev; netdev++) {
		g_autofree char *id = sysfs_text(root, "/sys/class/net/%s/phys_switch_id", *netdev);
		g_autofree char *port = sysfs_text(root, "/sys/class/net/%s/phys_port_name", *netdev);
		const char *at = port ? strstr(port, start) : NULL;
		guint64 index;
		if (g_strcmp0(id, pf->switch_id) == 0 && at &&
			g_ascii_string_to_unsigned(at + strlen(start), 10, 0, G_MAXUINT, &index, NULL))
			set_representor(pf, (unsigned)index, *netdev);
	}
}

/* ---- PFs ---- */

static struct nic_pf *read_pf(const char *root, const char *address)
{
	struct nic_pf *pf = g_new0(struct nic_pf, 1);
	g_autofree char *total = sysfs_text(root, DEVICES "/%s/sriov_totalvfs", address);
	struct pci_config config;

	pci_config_read(root, address, &config);
	pf->address = g_strdup(address);
	pf->driver = sysfs_link_name(root, DEVICES "/%s/driver", address);
	pf->netdev = first_netdev(root, address);
	pf->bridge = bridge_of(root, address);
	pf->vendor = (uint16_t)sysfs_number(root, 0, DEVICES "/%s/vendor", address);
	pf->device = (uint16_t)sysfs_number(root, 0, DEVICES "/%s/device", address);
	pf->numa_node = number_or_none(root, address, "numa_node");
	pf->iommu_group = group_of(root, address);
	pf->config_vfs = pci_config_total_vfs(&config);
	pf->sriov = total != NULL;
	pf->total_vfs = (unsigned)sysfs_number(root, 0, DEVICES "/%s/sriov_totalvfs", address);
	pf->num_vfs = (unsigned)sysfs_number(root, 0, DEVICES "/%s/sriov_numvfs", address);
	pf->traffic_classes = inventory_traffic_classes(pf->vendor, pf->device, pf->num_vfs);
	pf->switch_id = pf->netdev ? sysfs_text(root, "/sys/class/net/%s/phys_switch_id", pf->netdev) : NULL;
	pf->vfs = g_ptr_array_new_with_free_func((GDestroyNotify)vf_free);
	read_vfs(root, pf);
	if (pf->switch_id)
		read_representors(root, pf);
	return pf;
}

static unsigned class_of(const char *root, const char *address)
{
	return (unsigned)(sysfs_number(root, 0, DEVICES "/%s/class", address) >> 16);
}

GPtrArray *inventory_read(const char *root)
{
	GPtrArray *pfs = g_ptr_array_new_with_free_func((GDestroyNotify)nic_pf_free);
	g_auto(GStrv) addresses = sysfs_children(root, "", DEVICES);

	for (char **address = addresses; *address; address++) {
		g_autofree char *physfn = sysfs_link_name(root, DEVICES "/%s/physfn", *address);
		if (class_of(root, *address) == CLASS_NETWORK && !physfn &&
			sysfs_number(root, 0, DEVICES "/%s/vendor", *address) != VENDOR_VIRTIO)
			g_ptr_array_add(pfs, read_pf(root, *address));
	}
	return pfs;
}

static void add_attributes(struct links *links, const struct nic_pf *pf)
{
	g_autoptr(GArray) counters = vf_counters_read(links, pf->netdev);

	for (guint v = 0; v < pf->vfs->len; v++) {
		struct nic_vf *vf = pf->vfs->pdata[v];
		/* One that has gone meanwhile has none. */
		vf_read(links, pf->netdev, vf->index, &vf->attributes, NULL);
		vf->counters = vf_counters_of(counters, vf->index);
	}
}

bool inventory_add_attributes(GPtrArray *pfs, GError **error)
{
	_cleanup_(links_close) struct links *links = links_open(NULL, error);

	if (!links)
		return false;
	for (guint i = 0; i < pfs->len; i++) {
		const struct nic_pf *pf = pfs->pdata[i];
		if (pf->netdev && pf->vfs->len)
			add_attributes(links, pf);
	}
	return true;
}

static void add_ports(struct nic_pf *pf, const GPtrArray *ports)
{
	for (guint i = 0; i < ports->len; i++) {
		const struct devlink_port *port = ports->pdata[i];
		if (port->is_vf) {
			set_representor(pf, port->vf, port->netdev);
		} else {
			g_free(pf->representor);
			pf->representor = g_strdup(port->netdev);
		}
	}
}

void inventory_add_eswitches(GPtrArray *pfs, struct genl *devlink)
{
	for (guint i = 0; devlink && i < pfs->len; i++) {
		struct nic_pf *pf = pfs->pdata[i];
		g_autofree char *handle = devlink_handle(pf->address);
		g_free(pf->firmware);
		pf->firmware = devlink_firmware(devlink, handle);
		if (!devlink_read_eswitch(devlink, handle, &pf->eswitch, NULL))
			continue;
		g_autoptr(GPtrArray) ports = devlink_ports(devlink, handle, NULL);
		if (ports)
			add_ports(pf, ports);
	}
}

void inventory_add_firmware(GPtrArray *pfs)
{
	for (guint i = 0; i < pfs->len; i++) {
		struct nic_pf *pf = pfs->pdata[i];
		if (!pf->firmware && pf->netdev)
			pf->firmware = ethtool_firmware(pf->netdev);
	}
}

/* ---- queues ---- */

static const char *const queue_words[ETHTOOL_QUEUE_KINDS] = {
	[ETHTOOL_COMBINED] = "combined", [ETHTOOL_RX] = "rx", [ETHTOOL_TX] = "tx"};

static unsigned count_queues(const char *root, const char *netdev, const char *prefix)
{
	g_auto(GStrv) queues = sysfs_children(root, prefix, "/sys/class/net/%s/queues", netdev);

	return g_strv_length(queues);
}

static struct ethtool_queues read_queues(const char *root, struct genl *ethtool, const char *netdev)
{
	struct ethtool_queues queues = {};

	if (!netdev || (ethtool && ethtool_channels(ethtool, netdev, &queues)))
		return queues;
	return (struct ethtool_queues){.count = {[ETHTOOL_RX] = count_queues(root, netdev, "rx-"),
					       [ETHTOOL_TX] = count_queues(root, netdev, "tx-")}};
}

void inventory_add_queues(GPtrArray *pfs, const char *root, struct genl *ethtool)
{
	for (guint i = 0; i < pfs->len; i++) {
		struct nic_pf *pf = pfs->pdata[i];
		pf->queues = read_queues(root, ethtool, pf->netdev);
		for (guint v = 0; v < pf->vfs->len; v++) {
			struct nic_vf *vf = pf->vfs->pdata[v];
			vf->queues = read_queues(root, ethtool, vf->netdev);
		}
	}
}

char *inventory_queues_format(const struct ethtool_queues *queues)
{
	g_autoptr(GString) text = g_string_new(NULL);

	for (unsigned i = 0; i < ETHTOOL_QUEUE_KINDS; i++) {
		if (!queues->count[i])
			continue; /* which another kind stands for */
		g_string_append(text, text->len ? ", " : "");
		if (i != ETHTOOL_COMBINED)
			g_string_append_printf(text, "%s ", queue_words[i]);
		g_string_append_printf(text, "%u", queues->count[i]);
		if (queues->max[i])
			g_string_append_printf(text, "/%u", queues->max[i]);
	}
	return text->len ? g_string_free(g_steal_pointer(&text), FALSE) : NULL;
}

GStrv inventory_group(const char *root, int group)
{
	g_auto(GStrv) all = sysfs_children(root, "", "/sys/kernel/iommu_groups/%d/devices", group);
	g_autoptr(GPtrArray) kept = g_ptr_array_new();

	for (char **address = all; *address; address++)
		if (class_of(root, *address) != CLASS_BRIDGE)
			g_ptr_array_add(kept, g_strdup(*address));
	g_ptr_array_add(kept, NULL);
	return (GStrv)g_ptr_array_steal(kept, NULL);
}

/* ---- JSON ---- */

static json_t *number_or_null(int number)
{
	return number == INVENTORY_NONE ? json_null() : json_integer(number);
}

static json_t *encode_queues(const struct ethtool_queues *queues)
{
	json_t *json = json_object();

	for (unsigned i = 0; i < ETHTOOL_QUEUE_KINDS; i++)
		if (queues->count[i] || queues->max[i])
			json_object_set_new(json, queue_words[i],
				json_pack("{s:i, s:o*}", "count", (int)queues->count[i], "max",
					queues->max[i] ? json_integer(queues->max[i]) : NULL));
	if (json_object_size(json))
		return json;
	json_decref(json);
	return json_null();
}

static void encode_attributes(json_t *json, const struct vf_attributes *is)
{
	static const char *const links[] = {
		[VF_LINK_AUTO] = "auto", [VF_LINK_ENABLE] = "enable", [VF_LINK_DISABLE] = "disable"};
	char mac[MAC_TEXT_MAX];

	if (is->known & VF_MAC)
		json_object_set_new(json, "mac", json_string(mac_format(is->mac, mac)));
	if (is->known & VF_VLAN)
		json_object_set_new(
			json, "vlan", json_pack("{s:i, s:i}", "id", is->vlan, "priority", is->priority));
	if (is->known & VF_SPOOFCHK)
		json_object_set_new(json, "spoofchk", json_boolean(is->spoofchk));
	if (is->known & VF_TRUST)
		json_object_set_new(json, "trust", json_boolean(is->trust));
	if (is->known & VF_RATE)
		json_object_set_new(json, "rate_mbps",
			json_pack("{s:I, s:I}", "min", (json_int_t)is->min_rate, "max",
				(json_int_t)is->max_rate));
	if (is->known & VF_LINK)
		json_object_set_new(json, "link", json_string(links[is->link]));
}

static json_t *encode_vf(const struct nic_vf *vf)
{
	json_t *json = json_pack("{s:i, s:s, s:s?, s:s?, s:s?, s:o, s:o}", "index", (int)vf->index, "address",
		vf->address, "driver", vf->driver, "interface", vf->netdev, "representor", vf->representor,
		"iommu_group", number_or_null(vf->iommu_group), "queues", encode_queues(&vf->queues));
	encode_attributes(json, &vf->attributes);
	json_t *counters = vf_counters_encode(&vf->counters);
	if (counters)
		json_object_set_new(json, "statistics", counters);
	return json;
}

/* {"mode","inline_mode","encap_mode"}: those that are shown. */
static json_t *encode_eswitch(const struct devlink_eswitch *eswitch)
{
	return eswitch->mode ? json_pack("{s:s, s:s*, s:s*}", "mode", eswitch->mode, "inline_mode",
				       eswitch->inline_mode, "encap_mode", eswitch->encap_mode)
			     : json_null();
}

static json_t *encode_pf(const struct nic_pf *pf)
{
	g_autofree char *id = g_strdup_printf("%04x:%04x", pf->vendor, pf->device);
	json_t *vfs = json_array();

	for (guint v = 0; v < pf->vfs->len; v++)
		json_array_append_new(vfs, encode_vf(pf->vfs->pdata[v]));
	return json_pack("{s:s, s:s, s:s?, s:s?, s:s?, s:o, s:s?, s:o, s:o, s:i, s:i, s:o, s:o, s:o}",
		"address", pf->address, "id", id, "driver", pf->driver, "interface", pf->netdev, "firmware",
		pf->firmware, "eswitch", encode_eswitch(&pf->eswitch), "representor", pf->representor,
		"numa_node", number_or_null(pf->numa_node), "iommu_group", number_or_null(pf->iommu_group),
		"total_vfs", (int)pf->total_vfs, "num_vfs", (int)pf->num_vfs, "traffic_classes",
		pf->traffic_classes ? json_integer(pf->traffic_classes) : json_null(), "queues",
		encode_queues(&pf->queues), "vfs", vfs);
}

json_t *inventory_encode(const GPtrArray *pfs)
{
	json_t *list = json_array();

	for (guint i = 0; i < pfs->len; i++)
		json_array_append_new(list, encode_pf(pfs->pdata[i]));
	return list;
}
