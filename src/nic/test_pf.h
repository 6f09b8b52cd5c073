/* For tests in the lab: a real PF, and libvirt's part in the life of its VFs, which is imitated. Failures end the test. */
#pragma once
#include "nic/link.h"
#include "nic/vf.h"

#define LAB_VLAN      100 /* of VFs that are plugged */
#define LAB_CARRIER_S 10 /* until a PF that is up has a carrier */

/* The PF's interface and another one on the same wire, the PF's PCI address, and a socket. Set by the test's main(). */
extern const char *lab_pf, *lab_wire;
extern char *lab_pf_address;
extern struct links *lab_links;

/* Runs a command, which must end well. */
void lab_shell(const char *format, ...) G_GNUC_PRINTF(1, 2);
/* Until the PF has one. */
void lab_wait_for_carrier(void);
/* What the PF has for a VF; which: of VF_MAC and the like. */
struct vf_attributes lab_read_vf(unsigned index);
void lab_write_vf(unsigned index, struct vf_attributes want, unsigned which);
/* Whether the PF hears the MAC besides its own. */
bool lab_hears(struct mac_addr mac);
/* The PCI address. Owned by the caller. */
char *lab_vf_address(unsigned index);

/* As libvirt does: the driver for guests, MAC and VLAN. */
void lab_plug(unsigned index, struct mac_addr mac);
/* Puts back what was there when it was plugged: no MAC, the VLAN, no driver. From any thread. */
void lab_unplug(unsigned index);
