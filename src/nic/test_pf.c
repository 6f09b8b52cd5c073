/* A real PF of the lab, and what libvirt does with its VFs. */
#include "nic/test_pf.h"

#include "nic/filter.h"
#include "nic/pci_driver.h"

#include <stdlib.h>
#include <string.h>

const char *lab_pf, *lab_wire;
char *lab_pf_address;
struct links *lab_links;

/* ---- the host ---- */

void lab_shell(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	g_autofree char *command = g_strdup_vprintf(format, args);
	va_end(args);
	g_test_message("%s", command);
	g_assert_cmpint(system(command), ==, 0);
}

void lab_wait_for_carrier(void)
{
	lab_shell(
		"i=0; until grep -q 1 /sys/class/net/%s/carrier; do i=$((i + 1)); [ $i -lt %d ]; sleep 0.1; "
		"done",
		lab_pf, LAB_CARRIER_S * 10);
}

struct vf_attributes lab_read_vf(unsigned index)
{
	g_autoptr(GError) error = NULL;
	struct vf_attributes is;

	vf_read(lab_links, lab_pf, index, &is, &error);
	g_assert_no_error(error);
	return is;
}

void lab_write_vf(unsigned index, struct vf_attributes want, unsigned which)
{
	g_autoptr(GError) error = NULL;

	vf_write(lab_links, lab_pf, index, &want, which, &error);
	g_assert_no_error(error);
}

bool lab_hears(struct mac_addr mac)
{
	g_autoptr(GArray) macs = filter_list(lab_links, lab_pf, NULL);

	g_assert_nonnull(macs);
	for (guint i = 0; i < macs->len; i++)
		if (memcmp(&g_array_index(macs, struct mac_addr, i), &mac, sizeof mac) == 0)
			return true;
	return false;
}

/* ---- libvirt ---- */

char *lab_vf_address(unsigned index)
{
	g_autofree char *link = g_strdup_printf("/sys/bus/pci/devices/%s/virtfn%u", lab_pf_address, index);
	g_autofree char *target = g_file_read_link(link, NULL);

	return g_path_get_basename(target);
}

void lab_plug(unsigned index, struct mac_addr mac)
{
	g_autofree char *address = lab_vf_address(index);
	g_autoptr(GError) error = NULL;

	pci_driver_bind("", address, "vfio-pci", &error);
	g_assert_no_error(error);
	lab_write_vf(index, (struct vf_attributes){.mac = mac, .vlan = LAB_VLAN}, VF_MAC | VF_VLAN);
}

void lab_unplug(unsigned index)
{
	g_autofree char *address = lab_vf_address(index);
	_cleanup_(links_close) struct links *own = links_open(NULL, NULL);

	vf_write(own, lab_pf, index, &(struct vf_attributes){.vlan = LAB_VLAN}, VF_MAC | VF_VLAN, NULL);
	pci_driver_set_override("", address, NULL, NULL);
	pci_driver_unbind("", address, NULL);
}
