/* States of a NIC's acceleration, and what each means to the switch and to the host's filters. Pure.
 *
 * The order of DESIGN's "Revocation" is this table: a change goes down the rows, each row is on disk before
 * anything is done in it, and the switch has confirmed a row's attachments before the row's own step runs.
 *
 *     OFF → CLAIMING → ARMING → PLUGGING → COPYING → ON → UNPLUGGING → DRAINING → RELEASING → OFF
 *                                                             ↓           ↑
 *                                                            CUT ─────────┘
 *
 * Early exits, whichever comes first: a claim that fails or is no longer wanted goes CLAIMING → RELEASING; arming
 * that fails or is no longer wanted goes ARMING → DRAINING; a plug that fails or is no longer wanted goes PLUGGING
 * or COPYING → UNPLUGGING; where the machine itself is off, its device is gone with it, and any state that has
 * one goes to DRAINING. Functions that are no bypass have nothing to arm and go CLAIMING → PLUGGING.
 *
 * A guest may not answer: it boots, hangs, has no driver for hot-plugging, or does not want to. Where its function
 * carries what the rules forbid, or an operator forces it, the function is cut off when the guest has had its time
 * (CUT): nothing passes it any more, and the synthetic path is all that the NIC has. A guest that has the function
 * registered as primary drops what comes there until it lets go, which it goes on being asked for: rules come before
 * its connections. It is never made whole again in that guest.
 *
 * Why this order. A guest drops what arrives on the standby while a primary is registered, and registers and
 * forgets it at moments of its own choice; so what passes the switch goes to both from before the plug until the
 * device is gone, and only the first frame by the function, or DEVICE_DELETED, says where the guest listens. A
 * bypass function (a VF) cannot be copied to for what comes from the wire: the NIC delivers by its filters, to
 * one place. So
 *   - until it is armed the host hears the NIC's MAC, and the VF has none of it. The host stops hearing it
 *     before the VF gets it: of two filters with one MAC the PF's would win, and libvirt's would be refused.
 *     It is armed once: from PLUGGING on MAC and VLAN are libvirt's, and must not be written again.
 *   - when the guest has let go, its MAC is cleared at once, not when the switch is ready: a filter that is
 *     left makes the NIC swallow the replies (16 s in a measurement). The host hears the MAC from then on, and
 *     the switch delivers what it hears by the standby, which the guest listens to again.
 * An idle guest sends no first frame; the switch probes it by ARP, and as long as it does not answer both get
 * copies, which is safe.
 */
#pragma once
#include <stdbool.h>

enum accel_state {
	/* Nothing is held. Left when the NIC may be accelerated and its guest is up. */
	ACCEL_OFF,
	/* A function is being claimed; the provider may or may not hold it yet. The switch knows nothing of
	   it. */
	ACCEL_CLAIMING,
	/* The host stops hearing the MAC, so that libvirt can give it to the function. Copies would go to the whole wire, which
	 * knows the MAC nowhere yet, so delivery is to the synthetic path; from PLUGGING on they do for the moment until
	 * libvirt has set it. Plugging is forbidden. Passed by bypass functions only. */
	ACCEL_ARMING,
	/* The switch copies to both attachments; the device is on its way into the machine. Delivering to the
	 * function alone is forbidden: nobody reads it yet. So is arming. */
	ACCEL_PLUGGING,
	/* The device is in the machine. Left when the guest answers the switch by it, or its frames arrive: then it has registered it
	 * as primary and drops what comes on the standby. An idle guest may stay here; that is safe. One that
	 * keeps sending on the standby has no driver for a VF, which is taken back. */
	ACCEL_COPYING,
	/* The function is the active path. Left by revocation, by the machine's end, or back to COPYING, where the guest is asked
	 * what it uses, when its virtio driver goes away (it reboots) or when it sends by its standby. */
	ACCEL_ON,
	/* The guest was asked to let the device go; copies to both, since it moves at a moment of its own
	 * choice. Releasing the function is forbidden. Left at DEVICE_DELETED. */
	ACCEL_UNPLUGGING,
	/* The guest did not let the device go in time: the provider cuts it off, whatever the switch is at, and the guest goes on
	 * being asked for it. The switch knows nothing of the function any more. Releasing it is forbidden, and so is going
	 * back to it. Left at DEVICE_DELETED. */
	ACCEL_CUT,
	/* The device is gone. The provider is told so at once; delivery is to the synthetic path, frames still
	 * in the function are accepted. Left when the provider has answered and the switch has confirmed. */
	ACCEL_DRAINING,
	/* The switch has let the function go; the provider takes it back. */
	ACCEL_RELEASING,
	ACCEL_STATE_COUNT
};

struct accel_row {
	bool attached; /* the switch has the function's attachment */
	const char *active; /* docs/API.md, "State" */
	bool in_guest; /* the device is in the machine, or may be */
	bool heard; /* the host hears the NIC's MAC, if it is on a physical network */
};

const struct accel_row *accel_row(enum accel_state state);
/* The rows' words, for field tables. */
extern const char *const accel_state_words[];
