/* States of a NIC's acceleration, and what each means to the switch. Pure.
 *
 * The order of DESIGN's "Revocation" is this table: a change goes down the rows, each row is on disk before
 * anything is done in it, and the switch has confirmed a row's attachments before the row's own step runs.
 *
 *     OFF → CLAIMING → PLUGGING → COPYING → ON → UNPLUGGING → DRAINING → RELEASING → OFF
 *
 * Early exits, whichever comes first: a claim that fails or is no longer wanted goes CLAIMING → RELEASING; a
 * plug that fails or is no longer wanted goes PLUGGING or COPYING → UNPLUGGING; where the machine itself is
 * off, its device is gone with it, and any state that has one goes to DRAINING.
 */
#pragma once
#include <stdbool.h>

enum accel_state {
	/* Nothing is held. Left when the NIC may be accelerated and its guest is up. */
	ACCEL_OFF,
	/* A function is being claimed; the provider may or may not hold it yet. The switch knows nothing of
	   it. */
	ACCEL_CLAIMING,
	/* The switch copies to both attachments; the device is on its way into the machine. Delivering to the
	 * function alone is forbidden: nobody reads it yet. */
	ACCEL_PLUGGING,
	/* The device is in the machine. Left when its first frame arrives: then the guest has registered it
	 * as primary and drops what comes on the standby. An idle guest may stay here; that is safe. */
	ACCEL_COPYING,
	/* The function is the active path. Left by revocation, by the machine's end, or back to COPYING when
	 * the guest's virtio driver goes away (it reboots). */
	ACCEL_ON,
	/* The guest was asked to let the device go; copies to both, since it moves at a moment of its own
	 * choice. Releasing the function is forbidden. Left at DEVICE_DELETED. */
	ACCEL_UNPLUGGING,
	/* The device is gone; delivery is to the synthetic path, frames still in the function are accepted.
	 */
	ACCEL_DRAINING,
	/* The switch has let the function go; the provider takes it back. */
	ACCEL_RELEASING,
	ACCEL_STATE_COUNT
};

struct accel_row {
	bool attached; /* the switch has the function's attachment */
	const char *active; /* docs/API.md, "State" */
};

const struct accel_row *accel_row(enum accel_state state);
/* The rows' words, for field tables. */
extern const char *const accel_state_words[];
